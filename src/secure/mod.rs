//! Plan → [`Authorized`] plan: what the plan needs, whether the user may, and views replaced by their queries.
//!
//! Nothing runs without passing here: execution takes nothing else.

mod decide;
mod lineage;

use std::collections::BTreeSet;

use datafusion::logical_expr::LogicalPlan;

use self::lineage::Lineage;
use crate::catalog::{Body, Change, Column, UserType};
use crate::context::Context;
use crate::error::{Plain, SqlError, SqlState};
use crate::guard::expand_views;
use crate::name::ObjectId;
use crate::plan::{DdlPlan, ModifyPlan, Need, PartPlan, Plan, Right, RowCheck};

/// A plan that its user may run.
#[derive(Debug)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    /// The plan to look at; it stays proven.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The plan to run; the proof that it was checked is given up.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Checks everything a plan needs. `42501` and its like if something is not permitted.
///
/// `taken` receives what it needs, up to what is not permitted.
pub fn authorize(ctx: &Context, plan: Plan, taken: &mut Vec<Need>) -> Result<Authorized<Plan>, SqlError> {
    permitted(ctx, plan, taken).map(Authorized)
}

fn permitted(ctx: &Context, plan: Plan, taken: &mut Vec<Need>) -> Result<Plan, SqlError> {
    Ok(match plan {
        Plan::Parts { parts, main, parameters } => {
            let mut permit = |part: PartPlan| Ok(PartPlan { plan: permitted(ctx, part.plan, taken)?, ..part });
            let parts = parts.into_iter().map(&mut permit).collect::<Result<_, SqlError>>()?;
            Plan::Parts { parts, main: Box::new(permitted(ctx, *main, taken)?), parameters }
        }
        Plan::Query(mut query) => {
            check(ctx, &query.locks.needs, taken)?;
            query.logical = authorize_logical(ctx, query.logical, taken)?;
            Plan::Query(query)
        }
        Plan::Declare { mut query, hold } => {
            check(ctx, &query.locks.needs, taken)?;
            query.logical = authorize_logical(ctx, query.logical, taken)?;
            Plan::Declare { query, hold }
        }
        Plan::Explain { mut query, analyze, verbose, policies } => {
            query.logical = authorize_logical(ctx, query.logical, taken)?;
            Plan::Explain { query, analyze, verbose, policies }
        }
        Plan::Insert(mut insert) => {
            check(ctx, &insert.needs, taken)?;
            check_rows(ctx, insert.table, &insert.checks, taken)?;
            insert.source = authorize_logical(ctx, insert.source, taken)?;
            Plan::Insert(insert)
        }
        Plan::Modify(mut modify) => {
            check(ctx, &modify.needs, taken)?;
            check_rows(ctx, modify.table, &modify.checks, taken)?;
            let lineage = Lineage::of(&modify.source)?;
            if let Some(column) = modify.masked.iter().find(|column| lineage.read_of_target.contains(column)) {
                return Err(masked_column(ctx, &modify, *column).into());
            }
            read(ctx, &lineage.needs(ctx.role)?, taken)?;
            // Defaults of rows that MERGE inserts are not in its source.
            if let (Some(_), Some(relation)) = (&modify.steps, ctx.catalog.relation(modify.table)) {
                let rows = modify.rows(relation).map_err(SqlError::from_engine)?;
                check(ctx, &Lineage::of(&rows)?.sequence_needs(ctx.role), taken)?;
            }
            modify.source = expanded(modify.source)?;
            Plan::Modify(modify)
        }
        Plan::CopyOut(copy, mut query) => {
            check(ctx, &copy.needs, taken)?;
            query.logical = authorize_logical(ctx, query.logical, taken)?;
            Plan::CopyOut(copy, query)
        }
        Plan::CopyIn(copy) => {
            check(ctx, &copy.needs, taken)?;
            copy.table.map_or(Ok(()), |table| check_rows(ctx, table, &copy.checks, taken))?;
            Plan::CopyIn(copy)
        }
        Plan::CopyFiles(copy, location) => {
            check(ctx, &copy.needs, taken)?;
            copy.table.map_or(Ok(()), |table| check_rows(ctx, table, &copy.checks, taken))?;
            Plan::CopyFiles(copy, location)
        }
        Plan::Fill { ddl, fill } => {
            check(ctx, &ddl.needs, taken)?;
            check(ctx, &types_of(ctx, &ddl), taken)?;
            let fill = match fill {
                Some(mut insert) => {
                    insert.source = authorize_logical(ctx, insert.source, taken)?;
                    Some(insert)
                }
                None => None,
            };
            Plan::Fill { ddl, fill }
        }
        // Who owns the table may have its rows written again. The plan reads nothing else, but a default may draw.
        Plan::Rewrite { ddl, fill } => {
            check(ctx, &ddl.needs, taken)?;
            check(ctx, &types_of(ctx, &ddl), taken)?;
            check(ctx, &Lineage::of(&fill.source)?.sequence_needs(ctx.role), taken)?;
            Plan::Rewrite { ddl, fill }
        }
        Plan::Vacuum(vacuum) => {
            check(ctx, &vacuum.needs, taken)?;
            Plan::Vacuum(vacuum)
        }
        Plan::Ddl(mut ddl) => {
            check(ctx, &ddl.needs, taken)?;
            check(ctx, &types_of(ctx, &ddl), taken)?;
            if let Some(refusal) = ddl.refusal.take() {
                return Err(refusal.into());
            }
            Plan::Ddl(ddl)
        }
    })
}

/// USAGE of the types that columns, attributes and domains get by some changes.
fn types_of(ctx: &Context, ddl: &DdlPlan) -> Vec<Need> {
    let mut used = BTreeSet::new();
    for change in &ddl.changes {
        let Change::Put(id, body) = change else { continue };
        match body.as_ref() {
            // It comes back as it was.
            Body::Relation(_) if ddl.restored.iter().any(|(table, _)| table == id) => {}
            Body::Relation(new) => {
                let old = ctx.catalog.relation(*id);
                for column in &new.columns {
                    let before = old.and_then(|old| old.column_by_id(column.id));
                    used.extend(column.named_type().filter(|id| before.and_then(Column::named_type) != Some(*id)));
                }
            }
            Body::Type(new) => {
                let before: Vec<_> = ctx.catalog.user_type(*id).into_iter().flat_map(UserType::over).collect();
                let over = new.over().filter(|pg| !before.contains(pg));
                used.extend(over.filter_map(|pg| pg.base().object()));
            }
            _ => {}
        }
    }
    used.into_iter().map(|id| Need { role: ctx.role, right: Right::UseType(id) }).collect()
}

/// A mask hides a value from the user; a condition on it, or a copy of it, would not.
fn masked_column(ctx: &Context, modify: &ModifyPlan, column: i32) -> Plain {
    let command = match (&modify.assigned, &modify.steps) {
        (_, Some(_)) => "MERGE",
        (Some(_), None) => "UPDATE",
        (None, None) => "DELETE",
    };
    let relation = ctx.catalog.relation(modify.table);
    let name = usize::try_from(column).ok().and_then(|index| Some(relation?.columns.get(index)?.name.clone()));
    let message = format!("cannot read masked column \"{}\" in {command}", name.unwrap_or_default());
    Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn check(ctx: &Context, needs: &[Need], taken: &mut Vec<Need>) -> Result<(), SqlError> {
    needs.iter().try_for_each(|need| {
        taken.push(need.clone());
        Ok(decide::permit(ctx, need)?)
    })
}

/// What policies read when they check new rows.
fn check_rows(ctx: &Context, table: ObjectId, checks: &[RowCheck], taken: &mut Vec<Need>) -> Result<(), SqlError> {
    let Some(relation) = ctx.catalog.relation(table) else { return Ok(()) };
    read(ctx, &Lineage::of_checks(relation, checks)?.needs(ctx.role)?, taken)
}

/// The rights on what views read were checked with their needs.
fn expanded(plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    expand_views(plan).map_err(SqlError::from_engine)
}

/// What a query takes: that it may, and that it is there.
fn read(ctx: &Context, needs: &[Need], taken: &mut Vec<Need>) -> Result<(), SqlError> {
    check(ctx, needs, taken)?;
    needs.iter().try_for_each(|need| populated(ctx, need))
}

/// `55000` for a materialized view that has no rows yet.
fn populated(ctx: &Context, need: &Need) -> Result<(), SqlError> {
    let (Right::Relation { id, .. } | Right::AnyColumn { id, .. }) = &need.right else { return Ok(()) };
    match ctx.catalog.relation(*id).filter(|relation| relation.materialized().is_some_and(|own| !own.populated)) {
        None => Ok(()),
        Some(relation) => {
            let message = format!("materialized view \"{}\" has not been populated", relation.name);
            let error = Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
            Err(error.hint("Use the REFRESH MATERIALIZED VIEW command.").into())
        }
    }
}

fn authorize_logical(ctx: &Context, plan: LogicalPlan, taken: &mut Vec<Need>) -> Result<LogicalPlan, SqlError> {
    read(ctx, &lineage::needs(ctx.role, &plan)?, taken)?;
    expanded(plan)
}
