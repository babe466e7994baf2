//! UPDATE and DELETE: a query for the rows to change, with where each of them is and what it becomes.
//!
//! The engine's own hooks for them lose conditions, and then change all rows; they are not used.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column as EngineColumn, DFSchema, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use sqlparser::ast;

use super::insert::{self, RowCheck, positions, with_checks};
use super::merge::{self, MergeStep, STEP_COLUMN};
use super::returning::{self, Returning};
use super::{Need, Parameters, PlanError, PlanResult, Right, Scope, policy, query, rewrite};
use crate::catalog::{Column, Relation};
use crate::error::{Plain, SqlError, SqlState, internal, unsupported};
use crate::govern::{PolicyCommand, Privilege};
use crate::guard::{FILE_COLUMN, POSITION_COLUMN, masks};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::ROW_WITH;
use crate::statement::{Modify, RowChange};
use crate::types::PgType;

/// What a statement's target is called in FROM. No statement can spell it.
pub(super) const TARGET: &str = "\u{2}target";

/// The table whose rows a statement changes, and which of them it may.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) id: ObjectId,
    pub(super) row_filter: Option<Expr>,
}

/// Rows to change.
#[derive(Debug)]
pub struct ModifyPlan {
    /// The table they are in.
    pub table: ObjectId,
    /// What the user asked for: where each row is, then the values of SET, then what RETURNING reads of joined tables. Its
    /// topmost node is a projection.
    pub source: LogicalPlan,
    /// The table's name in `source`.
    pub alias: TableReference,
    /// UPDATE: for each column of the table its new value over the output of `source`, or `None` if it keeps what it has.
    /// `None`: DELETE or MERGE.
    pub assigned: Option<Vec<Option<Expr>>>,
    /// MERGE: what its clauses do. The source then tells the number of each row's clause after the address, which is NULL
    /// where there is no row of the table.
    pub steps: Option<Vec<MergeStep>>,
    /// Indexes of columns that the user sees through a mask: the statement may not read them.
    pub masked: Vec<i32>,
    /// What row policies and constraints ask of the changed rows.
    pub checks: Vec<RowCheck>,
    /// What the client gets back.
    pub returning: Option<Returning>,
    /// Rights on the table. What the source reads needs its own.
    pub needs: Vec<Need>,
    /// Types of the parameters by position, as far as they are known.
    pub parameters: Vec<Option<PgType>>,
}

pub(super) fn plan(scope: &Scope, modify: &Modify, parameters: &Parameters) -> PlanResult<ModifyPlan> {
    let (name, alias) = named(&modify.target)?;
    let (id, relation) = insert::target(scope, &name)?;
    let alias = alias.unwrap_or_else(|| name.name.clone());
    let (command, privilege) = match modify.change {
        RowChange::Update(_) => (PolicyCommand::Update, Privilege::Update),
        RowChange::Delete => (PolicyCommand::Delete, Privilege::Delete),
    };
    let sets = match &modify.change {
        RowChange::Update(assignments) => sets(scope, relation, assignments, Some(&alias))?,
        RowChange::Delete => Vec::new(),
    };
    let query = source(modify, &alias, &sets)?;
    let alias = TableReference::bare(alias);

    let bind = |reads: bool| -> PlanResult<(Projection, Vec<Option<PgType>>)> {
        let mut scope = scope.clone();
        let row_filter = policy::target_filter(&scope, id, relation, command, reads)?;
        scope.target = Some(Target { id, row_filter });
        let (mut query, mut types) = (query.clone(), parameters.types.clone());
        rewrite::query(&scope, &mut query, &mut types)?;
        match query::bind(&scope, query, &mut types, vec![])? {
            LogicalPlan::Projection(projection) => Ok((projection, types)),
            _ => Err(internal("the source of UPDATE or DELETE is no projection").into()),
        }
    };
    let (mut projection, mut types) = bind(false)?;
    let reads = modify.returning.is_some() || reads_target(&LogicalPlan::Projection(projection.clone()), &alias)?;
    if reads && relation.row_security {
        (projection, types) = bind(true)?;
    }

    let columns = positions(relation, |column| sets.iter().any(|(set, _)| set.id == column));
    let mut needs = vec![Need { role: scope.ctx.role, right: Right::Relation { id, privilege, columns } }];
    let returning = match &modify.returning {
        Some(items) => {
            let schema: &DFSchema = projection.input.schema();
            let bound = returning::Bound { types: &mut types, values: parameters.values.as_deref() };
            let seen = returning::Seen { target: &alias, joined: Some(schema) };
            let (returning, need) = returning::plan(scope, id, relation, seen, items, bound)?;
            needs.push(need);
            Some(returning)
        }
        None => None,
    };
    let others = returning.iter().flat_map(|returning| &returning.others).enumerate();
    let others = others.map(|(index, other)| other.clone().alias(returning::other_name(index)));
    let exprs = projection.expr.into_iter().chain(others).collect();
    let source = LogicalPlan::Projection(Projection::try_new(exprs, projection.input)?);
    let assigned = match modify.change {
        RowChange::Delete => None,
        RowChange::Update(_) => {
            let value = |column: &Column| -> PlanResult<Option<Expr>> {
                let Some(index) = sets.iter().position(|(set, _)| set.id == column.id) else { return Ok(None) };
                Ok(Some(insert::assign(scope, &source, index + ADDRESS_COLUMNS, column)?))
            };
            Some(relation.columns.iter().map(value).collect::<PlanResult<_>>()?)
        }
    };
    let source = query::with_values(source, &types, parameters)?;
    let masked = masks(&scope.ctx, &scope.reader, id, relation).map_err(SqlError::from)?;
    let masked = masked.iter().filter_map(|mask| i32::try_from(mask.column).ok()).collect();
    let checks = match modify.change {
        RowChange::Update(_) => with_checks(scope, id, relation, command, reads)?,
        RowChange::Delete => Vec::new(),
    };
    Ok(ModifyPlan {
        table: id,
        source,
        alias,
        assigned,
        steps: None,
        masked,
        checks,
        returning,
        needs,
        parameters: types,
    })
}

/// The first columns of [`ModifyPlan::source`] and [`ModifyPlan::rows`]: the file and the position of each row.
pub const ADDRESS_COLUMNS: usize = 2;

impl ModifyPlan {
    /// Whether it sets the column with this index.
    pub fn sets(&self, index: usize) -> bool {
        let merged = self.steps.iter().flatten().any(|step| match step {
            MergeStep::Update(values) => values.get(index).is_some_and(Option::is_some),
            MergeStep::Insert(_) => true,
            MergeStep::Delete | MergeStep::Nothing => false,
        });
        merged || self.assigned.as_ref().is_some_and(|assigned| assigned.get(index).is_some_and(Option::is_some))
    }

    /// The rows as they are to be: where each one is, the table's columns, then what RETURNING reads of joined tables.
    /// Columns that keep their values are read without the rights and masks of the user, who does not get to see them.
    pub fn rows(&self, relation: &Relation) -> datafusion::common::Result<LogicalPlan> {
        let LogicalPlan::Projection(projection) = &self.source else {
            return datafusion::common::internal_err!("the source of UPDATE or DELETE is no projection");
        };
        let assigned = |index: usize| self.assigned.as_ref().and_then(|assigned| assigned.get(index)?.as_ref());
        // What a DELETE does not give back it need not read.
        let wanted = self.assigned.is_some() || self.steps.is_some() || self.returning.is_some();
        let columns = || relation.columns.iter().enumerate().filter(|_| wanted);
        let raw = columns().filter(|(index, _)| assigned(*index).is_none()).map(|(index, column)| {
            Expr::Column(EngineColumn::new(Some(self.alias.clone()), &column.name)).alias(kept_name(index))
        });
        let inner = projection.expr.iter().cloned().chain(raw).collect();
        let inner = LogicalPlan::Projection(Projection::try_new(inner, projection.input.clone())?);
        let named = |name: &str| Expr::Column(EngineColumn::new_unqualified(name));
        let mut outer = vec![named(FILE_COLUMN), named(POSITION_COLUMN)];
        if let Some(steps) = &self.steps {
            outer.push(named(STEP_COLUMN));
            for (index, column) in columns() {
                outer.push(merge::column_value(steps, index, column)?);
            }
        } else {
            outer.extend(columns().map(|(index, column)| {
                assigned(index).cloned().unwrap_or_else(|| named(&kept_name(index))).alias(&column.name)
            }));
        }
        let others = self.returning.iter().flat_map(|returning| &returning.others).enumerate();
        outer.extend(others.map(|(index, _)| named(&returning::other_name(index))));
        LogicalPlanBuilder::from(inner).project(outer)?.build()
    }
}

/// What a column is called that keeps its value.
pub(super) fn kept_name(index: usize) -> String {
    format!("\u{2}kept{index}")
}

/// The table's name, and its alias if it has one.
pub(super) fn named(target: &ast::TableFactor) -> PlanResult<(QualifiedName, Option<String>)> {
    let ast::TableFactor::Table { name, alias, args: None, .. } = target else {
        return Err(unsupported("a target that is no table").into());
    };
    let name = query::qualified(name).ok_or_else(|| unsupported("a relation name with more than a schema"))?;
    match alias {
        Some(alias) if !alias.columns.is_empty() => Err(unsupported("an alias of the target with columns").into()),
        alias => Ok((name, alias.as_ref().map(|alias| query::folded(&alias.name)))),
    }
}

/// Columns to set, each with its value. `called`: what the table goes by, where other tables are in sight. `42703`, `42601`, `428C9`.
pub(super) fn sets<'a>(
    scope: &Scope,
    relation: &'a Relation,
    assignments: &[ast::Assignment],
    called: Option<&str>,
) -> PlanResult<Vec<(&'a Column, ast::Expr)>> {
    let whole = |column: &Column| {
        let quoted = |name: &str| ast::Ident::with_quote('"', name);
        ast::Expr::CompoundIdentifier(called.into_iter().chain([column.name.as_str()]).map(quoted).collect())
    };
    let mut sets: Vec<(&Column, ast::Expr)> = Vec::new();
    for assignment in assignments {
        let pairs = match &assignment.target {
            ast::AssignmentTarget::ColumnName(name) => vec![(name, assignment.value.clone())],
            ast::AssignmentTarget::Tuple(names) => names.iter().zip(spread(&assignment.value, names.len())?).collect(),
        };
        for (name, value) in pairs {
            let (column, attribute) = set_column(relation, name)?;
            let set = sets.iter_mut().find(|(set, _)| set.id == column.id);
            if let Some(attribute) = attribute {
                let whole = match &set {
                    None => whole(column),
                    Some((_, before)) => before.clone(),
                };
                let value = with_attribute(column, whole, &attribute, value)?;
                match set {
                    Some((_, before)) if is_with_attribute(before) => *before = value,
                    Some(_) => return Err(set_twice(column)),
                    None => sets.push((column, value)),
                }
                continue;
            }
            if set.is_some() {
                return Err(set_twice(column));
            }
            let value = if insert::is_default(&value) {
                insert::cast_to(insert::default_source(scope, column)?, column)?
            } else if insert::is_always(column) {
                let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
                let detail = match &column.generated {
                    Some(_) => format!("Column \"{}\" is a generated column.", column.name),
                    None => format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name),
                };
                return Err(Plain::new(SqlState::GENERATED_ALWAYS, message).detail(detail).into());
            } else if has_no_type(&value) {
                insert::cast_to(value, column)?
            } else {
                value
            };
            sets.push((column, value));
        }
    }
    Ok(sets)
}

/// Whether a literal takes the type of what it is assigned to.
pub(super) fn has_no_type(value: &ast::Expr) -> bool {
    use ast::Value as V;
    match value {
        ast::Expr::Nested(inner) => has_no_type(inner),
        ast::Expr::Value(value) => {
            matches!(value.value, V::Placeholder(_) | V::SingleQuotedString(_) | V::EscapedStringLiteral(_) | V::Null)
        }
        _ => false,
    }
}

/// The column, and the attribute of it, that SET names.
fn set_column<'a>(relation: &'a Relation, name: &ast::ObjectName) -> PlanResult<(&'a Column, Option<String>)> {
    let parts = query::qualified(name).ok_or_else(|| unsupported("SET of a part of a part of a column"))?;
    let (wanted, attribute) = match parts.schema {
        Some(column) => (column, Some(parts.name)),
        None => (parts.name, None),
    };
    let column = relation.column(&wanted).ok_or_else(|| {
        let message = format!("column \"{wanted}\" of relation \"{}\" does not exist", relation.name);
        PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), wanted)
    })?;
    Ok((column, attribute))
}

fn set_twice(column: &Column) -> PlanError {
    let message = format!("multiple assignments to same column \"{}\"", column.name);
    Plain::new(SqlState::SYNTAX_ERROR, message).into()
}

/// A column's value with another one in one attribute. `42804`, `42703`, `0A000`.
fn with_attribute(column: &Column, whole: ast::Expr, attribute: &str, value: ast::Expr) -> PlanResult<ast::Expr> {
    if insert::is_always(column) {
        return Err(insert::generated_always(column).into());
    }
    let refused = |code, reason: &str| {
        let message = format!("cannot assign to field \"{attribute}\" of column \"{}\" because {reason}", column.name);
        Plain::new(code, message)
    };
    let Some(attributes) = column.pg.attributes() else {
        let reason = format!("its type {} is not a composite type", column.pg);
        return Err(refused(SqlState::DATATYPE_MISMATCH, &reason).into());
    };
    if !attributes.iter().any(|known| known.name == attribute) {
        let reason = format!("there is no such column in data type {}", column.pg);
        return Err(refused(SqlState::UNDEFINED_COLUMN, &reason).into());
    }
    if insert::is_default(&value) {
        return Err(unsupported("DEFAULT for an attribute").into());
    }
    let pg = attributes.iter().find(|known| known.name == attribute).map(|known| known.pg.clone());
    let value = match pg {
        Some(pg) if has_no_type(&value) => insert::cast_as(value, &pg)?,
        _ => value,
    };
    let name = ast::Value::SingleQuotedString(attribute.to_owned());
    Ok(rewrite::call(ast::Ident::new(ROW_WITH), vec![whole, ast::Expr::value(name), value]))
}

fn is_with_attribute(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Function(function) if function.name.to_string() == ROW_WITH)
}

/// The values of `(a, b) = …`, one for each column.
fn spread(value: &ast::Expr, count: usize) -> PlanResult<Vec<ast::Expr>> {
    let values = match value {
        ast::Expr::Tuple(values) => values.clone(),
        ast::Expr::Nested(value) => vec![value.as_ref().clone()],
        ast::Expr::Subquery(query) => of_subquery(query, count)?,
        ast::Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            rewrite::arguments(function)
        }
        _ => {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
    };
    if values.len() != count {
        return Err(Plain::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values").into());
    }
    Ok(values)
}

/// A query of several columns as one query for each of them.
fn of_subquery(query: &ast::Query, count: usize) -> PlanResult<Vec<ast::Expr>> {
    let refused = || PlanError::from(unsupported("this subquery for several columns of UPDATE"));
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return Err(refused()) };
    let plain = |item: &ast::SelectItem| {
        matches!(item, ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. })
    };
    if select.distinct.is_some() || (select.projection.len() == count && !select.projection.iter().all(plain)) {
        return Err(refused());
    }
    let of_item = |item: &ast::SelectItem| {
        let mut select = select.clone();
        select.projection = vec![item.clone()];
        let mut query = query.clone();
        query.body = Box::new(ast::SetExpr::Select(select));
        ast::Expr::Subquery(Box::new(query))
    };
    Ok(select.projection.iter().map(of_item).collect())
}

/// `SELECT where it is, what is set FROM target, others WHERE selection`.
fn source(modify: &Modify, alias: &str, sets: &[(&Column, ast::Expr)]) -> PlanResult<ast::Query> {
    let quoted = |name: &str| ast::Ident::with_quote('"', name);
    let item = |expr: ast::Expr, name: String| ast::SelectItem::ExprWithAlias { expr, alias: quoted(&name) };
    let mut items: Vec<ast::SelectItem> = [FILE_COLUMN, POSITION_COLUMN]
        .iter()
        .map(|name| item(ast::Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)]), (*name).to_owned()))
        .collect();
    let values = sets.iter().enumerate();
    items.extend(values.map(|(index, (_, value))| item(value.clone(), format!("\u{2}set{index}"))));

    let mut query = *crate::statement::parse_query("SELECT FROM target")?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Err(internal("a SELECT that is none").into());
    };
    select.projection = items;
    for table in &mut select.from {
        if let ast::TableFactor::Table { name, alias: target, .. } = &mut table.relation {
            *name = ast::ObjectName::from(vec![quoted(TARGET)]);
            *target = Some(ast::TableAlias { explicit: true, name: quoted(alias), columns: vec![], at: None });
        }
    }
    for other in &modify.others {
        let factors = std::iter::once(&other.relation).chain(other.joins.iter().map(|join| &join.relation));
        if factors.filter_map(rewrite::called).any(|name| name == alias) {
            let message = format!("table name \"{alias}\" specified more than once");
            return Err(Plain::new(SqlState::DUPLICATE_ALIAS, message).into());
        }
    }
    select.from.extend(modify.others.iter().cloned());
    select.selection.clone_from(&modify.selection);
    query.with.clone_from(&modify.with);
    Ok(query)
}

/// Whether an expression names a column of the target.
fn reads_target(plan: &LogicalPlan, alias: &TableReference) -> PlanResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = expr {
                    found |= column.relation.as_ref() == Some(alias) && !column.name.starts_with('\u{2}');
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
