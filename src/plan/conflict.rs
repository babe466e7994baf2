//! ON CONFLICT: which keys may be there already, and what becomes of the rows that have them.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as EngineColumn, DFSchema, TableReference};
use datafusion::logical_expr::utils::{split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast;

use super::command::without_table;
use super::insert::{self, RowCheck, positions, with_checks};
use super::returning::Bound;
use super::{Need, PlanResult, Right, Scope, has_subquery, immutable, modify, policy, query};
use crate::catalog::{IndexKey, KeyValue, Relation};
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::govern::{PolicyCommand, Privilege};
use crate::guard::{masks, row_security_applies};
use crate::name::ObjectId;
use crate::statement::{IndexElement, IndexValue, Inference, folded};
use crate::types::field;

/// What happens to rows whose keys are there already.
#[derive(Debug)]
pub struct OnConflict {
    /// The unique indexes that it is about; a violation of others is an error.
    pub arbiters: Vec<ObjectId>,
    /// DO UPDATE; `None`: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// What becomes of the row that has the key.
#[derive(Debug)]
pub struct ConflictUpdate {
    /// The values of SET, over the table's columns and then those of the row that was to be inserted, which go by
    /// [`excluded_name`].
    pub values: Vec<Expr>,
    /// For each column of the table its new value over `values`, which go by [`set_name`]; `None`: what it has.
    pub assigned: Vec<Option<Expr>>,
    /// WHERE, over what `values` are over; where it does not hold, nothing happens.
    pub condition: Option<Expr>,
    /// What row policies and constraints ask of the changed rows.
    pub checks: Vec<RowCheck>,
}

/// The row that was to be inserted, in FROM.
const EXCLUDED: &str = "excluded";

/// What a column of the row that was to be inserted is called.
pub fn excluded_name(index: usize) -> String {
    format!("\u{2}excluded{index}")
}

/// What a value of SET is called.
pub fn set_name(index: usize) -> String {
    format!("\u{2}set{index}")
}

/// Also tells the rights that it needs. `alias`: the table's name in the statement.
pub(super) fn plan(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    alias: &TableReference,
    on: &ast::OnInsert,
    mut bound: Bound<'_>,
) -> PlanResult<(OnConflict, Vec<Need>)> {
    let ast::OnInsert::OnConflict(on) = on else { return Err(unsupported("this form of INSERT").into()) };
    let (arbiters, mut read) = arbiters(scope, relation, on.conflict_target.as_ref())?;
    let need = |privilege, columns: &BTreeSet<i32>| Need {
        role: scope.ctx.role,
        right: Right::Relation { id, privilege, columns: positions(relation, |column| columns.contains(&column)) },
    };
    let ast::OnConflictAction::DoUpdate(update) = &on.action else {
        let needs = if read.is_empty() { vec![] } else { vec![need(Privilege::Select, &read)] };
        return Ok((OnConflict { arbiters, update: None }, needs));
    };
    if on.conflict_target.is_none() {
        let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
        return Err(Plain::new(SqlState::SYNTAX_ERROR, message).hint("For example, ON CONFLICT (column_name).").into());
    }
    // It would tell which row has a value that is masked.
    let hidden = masks(&scope.ctx, &scope.reader, id, relation).map_err(SqlError::from)?;
    for mask in &hidden {
        if let Some(column) = relation.columns.get(mask.column).filter(|column| read.contains(&column.id)) {
            let message = format!("cannot read masked column \"{}\" in ON CONFLICT DO UPDATE", column.name);
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
    }
    if row_security_applies(&scope.ctx, relation) {
        return Err(unsupported("ON CONFLICT DO UPDATE under row-level security").into());
    }
    let fields = || relation.columns.iter().map(|column| field(&column.name, &column.pg, true));
    let of = |name: TableReference| -> PlanResult<DFSchema> {
        Ok(DFSchema::try_from_qualified_schema(name, policy::schema_of(fields())?.as_arrow())?)
    };
    let excluded = TableReference::bare(EXCLUDED);
    let schema = of(alias.clone())?.join(&of(excluded.clone())?)?;
    let sets = modify::sets(scope, relation, &update.assignments, Some(alias.table()))?;
    let mut values = Vec::new();
    for (_, value) in &sets {
        values.push(bound.bind(scope, value.clone(), &schema)?);
    }
    let condition = update.selection.clone().map(|selection| bound.bind(scope, selection, &schema)).transpose()?;
    let condition = condition.map(|condition| policy::condition(condition, &schema, "WHERE")).transpose()?;
    for expr in values.iter().chain(&condition) {
        if has_subquery(expr) {
            return Err(unsupported("a subquery in ON CONFLICT DO UPDATE").into());
        }
        if expr.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_))))? {
            let message = "aggregate functions are not allowed in UPDATE";
            return Err(Plain::new(SqlState::GROUPING_ERROR, message).into());
        }
        let columns: BTreeSet<&EngineColumn> = expr.column_refs().into_iter().collect();
        for column in columns {
            let Some(index) = relation.columns.iter().position(|own| own.name == column.name) else { continue };
            if column.relation.as_ref() == Some(alias) && hidden.iter().any(|mask| mask.column == index) {
                let message = format!("cannot read masked column \"{}\" in ON CONFLICT DO UPDATE", column.name);
                return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
            }
            read.extend(relation.columns.get(index).map(|column| column.id));
        }
    }
    let set: BTreeSet<i32> = sets.iter().map(|(column, _)| column.id).collect();
    let needs = vec![need(Privilege::Update, &set), need(Privilege::Select, &read)];

    let assigned = assigned(scope, relation, &schema, &sets, &values)?;
    let unqualified = |expr: Expr| -> PlanResult<Expr> {
        let renamed = expr.transform(|expr| {
            let Expr::Column(column) = expr else { return Ok(Transformed::no(expr)) };
            let index = relation.columns.iter().position(|own| own.name == column.name);
            let name = match index {
                Some(index) if column.relation.as_ref() == Some(&excluded) => excluded_name(index),
                _ => column.name,
            };
            Ok(Transformed::yes(Expr::Column(EngineColumn::new_unqualified(name))))
        });
        Ok(renamed?.data)
    };
    let update = ConflictUpdate {
        values: values.into_iter().map(unqualified).collect::<PlanResult<_>>()?,
        assigned,
        condition: condition.map(unqualified).transpose()?,
        checks: with_checks(scope, id, relation, PolicyCommand::Update, true)?,
    };
    Ok((OnConflict { arbiters, update: Some(update) }, needs))
}

/// For each column of the table its new value, as an assignment of a value of SET.
fn assigned(
    scope: &Scope,
    relation: &Relation,
    schema: &DFSchema,
    sets: &[(&crate::catalog::Column, ast::Expr)],
    values: &[Expr],
) -> PlanResult<Vec<Option<Expr>>> {
    let row = EmptyRelation { produce_one_row: false, schema: schema.clone().into() };
    let named = values.iter().enumerate().map(|(index, value)| value.clone().alias(set_name(index)));
    let source = LogicalPlanBuilder::from(LogicalPlan::EmptyRelation(row)).project(named)?.build()?;
    let value = |column: &crate::catalog::Column| -> PlanResult<Option<Expr>> {
        let Some(index) = sets.iter().position(|(set, _)| set.id == column.id) else { return Ok(None) };
        Ok(Some(insert::unqualified(insert::assign(scope, &source, index, column)?)?))
    };
    relation.columns.iter().map(value).collect()
}

/// The unique indexes that a conflict target names, and the columns that it reads. `42P10`, `42704`.
fn arbiters(
    scope: &Scope,
    relation: &Relation,
    target: Option<&ast::ConflictTarget>,
) -> PlanResult<(Vec<ObjectId>, BTreeSet<i32>)> {
    let unique = || scope.ctx.catalog.indexes(relation).filter(|(_, _, index)| index.unique);
    match target {
        None => Ok((unique().map(|(id, ..)| id).collect(), BTreeSet::new())),
        Some(ast::ConflictTarget::OnConstraint(name)) => {
            let name = query::qualified(name).map(|name| name.name).unwrap_or_default();
            if let Some(inference) = Inference::parse(&name)? {
                return inferred(scope, relation, &inference);
            }
            let found = relation.constraints.iter().find(|constraint| constraint.name == name);
            let index = found.and_then(crate::catalog::Constraint::index).ok_or_else(|| match found {
                Some(_) => {
                    let message = "constraint in ON CONFLICT clause has no associated index";
                    Plain::new(SqlState::WRONG_OBJECT_TYPE, message)
                }
                None => {
                    let message = format!("constraint \"{name}\" for table \"{}\" does not exist", relation.name);
                    Plain::new(SqlState::UNDEFINED_OBJECT, message)
                }
            })?;
            let columns = unique().find(|(id, ..)| *id == index).map(|(_, _, index)| index.reads());
            Ok((vec![index], columns.unwrap_or_default()))
        }
        Some(ast::ConflictTarget::Columns(columns)) => {
            let element = |column: &ast::Ident| IndexElement {
                value: IndexValue::Column(folded(column)),
                operator_class: None,
                descending: false,
                nulls_first: false,
            };
            let inference = Inference { elements: columns.iter().map(element).collect(), predicate: None };
            inferred(scope, relation, &inference)
        }
    }
}

/// The unique indexes over these columns and expressions, in any order, for rows that are all told by the predicate; and
/// the columns that they read. `42P10`
fn inferred(scope: &Scope, relation: &Relation, inference: &Inference) -> PlanResult<(Vec<ObjectId>, BTreeSet<i32>)> {
    let mut wanted: Vec<Expr> = Vec::new();
    for element in &inference.elements {
        let value = match &element.value {
            IndexValue::Column(name) => {
                let column = super::command::named(relation, name)?;
                Expr::Column(EngineColumn::new_unqualified(&column.name))
            }
            IndexValue::Expression(text) => immutable::bound(scope, relation, &without_table(relation, text)?)?.0,
        };
        if !wanted.contains(&value) {
            wanted.push(value);
        }
    }
    let told: Vec<Expr> = match &inference.predicate {
        None => Vec::new(),
        Some(text) => {
            let (told, schema) = immutable::bound(scope, relation, text)?;
            split_conjunction_owned(policy::condition(told, &schema, "WHERE")?)
        }
    };
    let (mut found, mut read) = (Vec::new(), BTreeSet::new());
    for (id, _, index) in scope.ctx.catalog.indexes(relation).filter(|(_, _, index)| index.unique) {
        let mut keys: Vec<Expr> = Vec::new();
        for key in &index.keys {
            keys.push(key_of(scope, relation, key)?);
        }
        let is_same = keys.len() == wanted.len() && keys.iter().all(|key| wanted.contains(key));
        let implied = match &index.predicate {
            None => true,
            Some(predicate) => {
                let asked = immutable::predicate(scope, relation, predicate)?;
                split_conjunction(&asked).into_iter().all(|part| told.contains(part))
            }
        };
        if is_same && implied {
            found.push(id);
            read.extend(index.reads());
        }
    }
    if found.is_empty() {
        let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
        return Err(Plain::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
    }
    Ok((found, read))
}

fn key_of(scope: &Scope, relation: &Relation, key: &IndexKey) -> PlanResult<Expr> {
    Ok(match &key.value {
        KeyValue::Expression(own) => immutable::key_value(scope, relation, own)?,
        KeyValue::Column(id) => {
            let name = relation.column_by_id(*id).map(|column| column.name.as_str()).unwrap_or_default();
            Expr::Column(EngineColumn::new_unqualified(name))
        }
    })
}
