//! Row policies and masks as expressions over a relation's raw columns.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, ExprSchemable, lit};
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast;

use super::names::Names;
use super::{Scope, exists_within, mask, query, rewrite, typing};
use crate::catalog::{self, Relation};
use crate::error::{Plain, SqlError, SqlState};
use crate::govern::{PolicyCommand, part_name};
use crate::guard::{AppliedPolicy, ChosenMask, Policies, RowRules, masks, row_policies};
use crate::name::ObjectId;
use crate::pg::{part_at, part_type, with_parts};
use crate::statement::parse_expression;
use crate::types::{PgType, field};

/// The policies a relation is read through; `None` if there are none for this user.
pub(super) fn bind(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    within: &[ObjectId],
) -> Result<Option<Policies>, SqlError> {
    let rules = rules(scope, id, relation, PolicyCommand::Select)?;
    let chosen = masks(&scope.ctx, &scope.reader, id, relation)?;
    if rules.is_none() && chosen.is_empty() {
        return Ok(None);
    }
    if within.contains(&id) {
        let message = format!("infinite recursion detected in policy for relation \"{}\"", relation.name);
        return Err(Plain::new(SqlState::INVALID_OBJECT_DEFINITION, message).into());
    }
    let mut inner = within.to_vec();
    inner.push(id);
    let row_filter = match &rules {
        Some(rules) => Some(row_filter(scope, relation, rules, &inner)?),
        None => None,
    };
    let columns = relation.columns.iter().enumerate().map(|(index, column)| {
        let own: Vec<&ChosenMask<'_>> = chosen.iter().filter(|mask| mask.column == index).collect();
        masked_column(scope, relation, column, &own, &inner)
    });
    let bound = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Policies { row_filter, masks: bound, applied: applied(relation, rules.as_ref(), &chosen) }))
}

fn applied(relation: &Relation, rules: Option<&RowRules<'_>>, masks: &[ChosenMask<'_>]) -> Vec<AppliedPolicy> {
    let mut all = Vec::new();
    if let Some(rules) = rules {
        all.extend(rules.permissive.is_empty().then_some(AppliedPolicy::NoRow));
        all.extend(rules.permissive.iter().map(|policy| AppliedPolicy::Permissive(policy.name.clone())));
        all.extend(rules.restrictive.iter().map(|policy| AppliedPolicy::Restrictive(policy.name.clone())));
    }
    all.extend(masks.iter().filter_map(|mask| {
        let column = part_name(&relation.columns.get(mask.column)?.name, mask.path);
        Some(match mask.policy {
            Some(policy) => AppliedPolicy::Mask { policy: policy.name.clone(), column },
            None => AppliedPolicy::Nothing { column },
        })
    }));
    all
}

/// The row policies that count. `42501` if the session wants an error instead of fewer rows (`row_security = off`).
fn rules<'a>(
    scope: &'a Scope,
    id: ObjectId,
    relation: &Relation,
    command: PolicyCommand,
) -> Result<Option<RowRules<'a>>, SqlError> {
    let rules = row_policies(&scope.ctx, id, relation, command);
    if rules.is_some() && !scope.ctx.settings.is_on("row_security") {
        let message = format!("query would be affected by row-level security policy for table \"{}\"", relation.name);
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
    }
    Ok(rules)
}

/// (any permissive) and (every restrictive); false without a permissive one.
fn row_filter(scope: &Scope, relation: &Relation, rules: &RowRules<'_>, within: &[ObjectId]) -> Result<Expr, SqlError> {
    let mut any: Option<Expr> = None;
    for policy in &rules.permissive {
        let bound = optional(&scope.with_path(&policy.search_path), relation, policy.using.as_deref(), within)?;
        any = Some(match any {
            Some(any) => any.or(bound),
            None => bound,
        });
    }
    let mut all = any.unwrap_or_else(|| lit(false));
    for policy in &rules.restrictive {
        all = all.and(optional(&scope.with_path(&policy.search_path), relation, policy.using.as_deref(), within)?);
    }
    Ok(all)
}

fn optional(scope: &Scope, relation: &Relation, source: Option<&str>, within: &[ObjectId]) -> Result<Expr, SqlError> {
    source.map_or(Ok(lit(true)), |source| boolean(scope, relation, source, within))
}

/// The rows that a statement may change; `None`: all. `reads`: it also reads them.
pub(super) fn target_filter(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    command: PolicyCommand,
    reads: bool,
) -> Result<Option<Expr>, SqlError> {
    let mut filter: Option<Expr> = None;
    for command in [Some(command), reads.then_some(PolicyCommand::Select)].into_iter().flatten() {
        if let Some(rules) = rules(scope, id, relation, command)? {
            let own = row_filter(scope, relation, &rules, &[id])?;
            filter = Some(match filter {
                Some(filter) => filter.and(own),
                None => own,
            });
        }
    }
    Ok(filter)
}

/// A condition, and the restrictive policy that asks for it.
pub(super) type NamedCheck = (Option<String>, Expr);

/// What a new row must satisfy: (any permissive, then each restrictive), with the name of a failing restrictive policy.
pub(super) fn checks(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    command: PolicyCommand,
) -> Result<Option<Vec<NamedCheck>>, SqlError> {
    let Some(rules) = rules(scope, id, relation, command)? else { return Ok(None) };
    let within = [id];
    let check = |policy: &crate::govern::RowPolicy| {
        // A row that is read must be one that may be seen.
        let own = policy.check.as_deref().filter(|_| command != PolicyCommand::Select);
        optional(&scope.with_path(&policy.search_path), relation, own.or(policy.using.as_deref()), &within)
    };
    let mut any: Option<Expr> = None;
    for policy in &rules.permissive {
        let bound = check(policy)?;
        any = Some(match any {
            Some(any) => any.or(bound),
            None => bound,
        });
    }
    let mut all = vec![(None, any.unwrap_or_else(|| lit(false)))];
    for policy in &rules.restrictive {
        all.push((Some(policy.name.clone()), check(policy)?));
    }
    Ok(Some(all))
}

/// What stands in a column's place; `None`: it is not masked.
fn masked_column(
    scope: &Scope,
    relation: &Relation,
    column: &catalog::Column,
    masks: &[&ChosenMask<'_>],
    within: &[ObjectId],
) -> Result<Option<Expr>, SqlError> {
    match masks {
        [] => Ok(None),
        [whole] if whole.path.is_empty() => masked(scope, relation, whole, &column.pg, within).map(Some),
        parts => {
            let mut arguments = vec![named(&column.name)];
            for mask in parts {
                // What a path leads to may have gone since. Nothing is shown then, as nobody knows where it went.
                let Ok(pg) = part_type(&column.pg, mask.path) else { return nothing(&column.pg).map(Some) };
                arguments.push(masked(scope, relation, mask, &pg, within)?);
            }
            let function = with_parts(parts.iter().map(|mask| mask.path.to_vec()).collect());
            Ok(Some(function.call(arguments)))
        }
    }
}

fn nothing(pg: &PgType) -> Result<Expr, SqlError> {
    let null = ScalarValue::try_new_null(field("", pg, true).data_type()).map_err(SqlError::from_engine)?;
    Ok(Expr::Literal(null, None))
}

/// What a mask makes of a column, or of the part that it is for, whose type is given.
fn masked(
    scope: &Scope,
    relation: &Relation,
    mask: &ChosenMask<'_>,
    pg: &PgType,
    within: &[ObjectId],
) -> Result<Expr, SqlError> {
    let Some(policy) = mask.policy else { return nothing(pg) };
    let target = relation.columns.get(mask.column).map(|column| column.id);
    let arguments = &policy.arguments;
    let schema = schema_of(arguments.iter().map(|(name, pg)| field(name, pg, true)))?;
    let bound = mask_expression(&scope.with_path(&policy.search_path), &policy.expression, &schema, within)?;
    // From the policy's arguments to the columns it is attached to.
    let replaced = bound.transform(|expr| {
        Ok(match &expr {
            Expr::Column(column) => {
                let index = arguments.iter().position(|(name, _)| *name == column.name);
                let id = index.and_then(|index| mask.inputs.get(index)).copied();
                match id.and_then(|id| relation.column_by_id(id)) {
                    Some(input) if id == target && !mask.path.is_empty() => {
                        Transformed::yes(part_at(mask.path.to_vec()).call(vec![named(&input.name)]))
                    }
                    Some(input) => Transformed::yes(named(&input.name)),
                    None => return Err(SqlError::from(crate::error::internal("a mask names no column")).into()),
                }
            }
            _ => Transformed::no(expr),
        })
    });
    replaced.map(|transformed| transformed.data).map_err(SqlError::from_engine)
}

/// Binds a condition over a relation's columns. `42804` if it is not boolean.
pub(super) fn boolean(scope: &Scope, relation: &Relation, source: &str, within: &[ObjectId]) -> Result<Expr, SqlError> {
    let fields = relation.columns.iter().map(|column| field(&column.name, &column.pg, column.nullable));
    let alone = schema_of(fields)?;
    // Its columns may be named with the table's name, also in subqueries.
    let named = DFSchema::try_from_qualified_schema(TableReference::bare(relation.name.clone()), alone.as_arrow());
    let named = named.map_err(SqlError::from_engine)?;
    let bound = condition(expression(scope, source, &named, within)?, &named, "POLICY")?;
    refuse(&bound, "policy")?;
    // The leaf has its columns without the name, but to subqueries, which see them from outside.
    let without_table = |expr| {
        Ok(match expr {
            Expr::Column(column) if column.relation.is_some() => Transformed::yes(self::named(&column.name)),
            other => Transformed::no(other),
        })
    };
    bound.transform(without_table).map(|bound| bound.data).map_err(SqlError::from_engine)
}

/// Refuses what would fail, or do something, whenever a policy or a mask is evaluated. `42803`, `42P20`, `0A000`.
pub(super) fn refuse(bound: &Expr, what: &str) -> Result<(), SqlError> {
    let mut refusal = None;
    let walked = bound.apply(|expr| {
        refusal = match expr {
            Expr::AggregateFunction(_) => {
                let message = format!("aggregate functions are not allowed in {what} expressions");
                Some(Plain::new(SqlState::GROUPING_ERROR, message))
            }
            Expr::WindowFunction(_) => {
                let message = format!("window functions are not allowed in {what} expressions");
                Some(Plain::new(SqlState::WINDOWING_ERROR, message))
            }
            Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
                Some(crate::error::unsupported(format!("a correlated scalar subquery in a {what}")))
            }
            _ => None,
        };
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(SqlError::from_engine)?;
    if let Some(effect) = effect_in(bound, EFFECTS).map_err(SqlError::from_engine)? {
        return Err(crate::error::unsupported(format!("{effect} in a {what}")).into());
    }
    refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
}

/// The first of some functions that is called in an expression or its subqueries, or of those that wait.
pub(super) fn effect_in(expr: &Expr, effects: &[&str]) -> datafusion::common::Result<Option<String>> {
    let mut effect = None;
    exists_within(expr, &mut |expr| {
        if let Expr::ScalarFunction(function) = expr {
            let has_effect = effects.contains(&function.name()) || function.func.as_async().is_some();
            effect = has_effect.then(|| function.name().to_owned());
        }
        effect.is_some()
    })?;
    Ok(effect)
}

/// Functions that would carry values out of a policy.
const EFFECTS: &[&str] = &["set_config", "pg_notify", "nextval", "setval", "currval", "lastval"];

/// Holds a condition to be boolean. `42804`, which names `clause`.
pub(super) fn condition(bound: Expr, schema: &DFSchema, clause: &str) -> Result<Expr, SqlError> {
    match bound.get_type(schema).map_err(SqlError::from_engine)? {
        arrow::datatypes::DataType::Boolean | arrow::datatypes::DataType::Null => Ok(bound),
        other => {
            let pg = crate::types::of_field(&arrow::datatypes::Field::new("", other, true));
            Err(Plain::new(
                SqlState::DATATYPE_MISMATCH,
                format!("argument of {clause} must be type boolean, not type {pg}"),
            )
            .into())
        }
    }
}

/// Binds an expression over some columns.
pub(super) fn expression(
    scope: &Scope,
    source: &str,
    schema: &DFSchema,
    within: &[ObjectId],
) -> Result<Expr, SqlError> {
    bound(scope, parse_expression(source)?, schema, within)
}

/// The same, from its syntax.
pub(super) fn bound(
    scope: &Scope,
    mut parsed: ast::Expr,
    schema: &DFSchema,
    within: &[ObjectId],
) -> Result<Expr, SqlError> {
    rewrite::expression(scope, &mut parsed)?;
    bound_by(&Names::new(scope, within.to_vec()), parsed, schema)
}

/// Binds the expression of a masking policy over its arguments.
pub(super) fn mask_expression(
    scope: &Scope,
    source: &str,
    arguments: &DFSchema,
    within: &[ObjectId],
) -> Result<Expr, SqlError> {
    let mut parsed = parse_expression(source)?;
    mask::as_scalars(&mut parsed)?;
    rewrite::expression(scope, &mut parsed)?;
    let bound = bound_by(&Names::new(scope, within.to_vec()).for_mask(), parsed, arguments)?;
    mask::refuse_others(&bound)?;
    Ok(bound)
}

fn bound_by(names: &Names<'_>, parsed: ast::Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
    let scope = names.scope;
    let bound = query::sql_to_rel(names)
        .sql_to_expr(parsed, schema, &mut PlannerContext::new())
        .map_err(SqlError::from_engine)?;
    typing::expression_with_subqueries(scope, bound, schema).map_err(SqlError::from_engine)
}

pub(super) fn schema_of(fields: impl Iterator<Item = arrow::datatypes::Field>) -> Result<DFSchema, SqlError> {
    let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    DFSchema::try_from(Arc::new(schema)).map_err(SqlError::from_engine)
}

pub(super) fn named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
