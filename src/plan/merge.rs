//! MERGE: a join of source and target, with what is to happen to each of its rows.

use arrow::datatypes::Schema;
use datafusion::common::{Column as EngineColumn, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, case, lit};
use sqlparser::ast;

use super::insert::{self, constraint_checks, positions, resolve_columns};
use super::modify::{ADDRESS_COLUMNS, ModifyPlan, TARGET, Target, has_no_type, kept_name, named, sets};
use super::returning::{self, Returning};
use super::{Need, Parameters, PlanResult, Right, Scope, query, rewrite};
use crate::catalog::{Column, Relation};
use crate::error::{Plain, SqlError, SqlState, internal, unsupported};
use crate::govern::Privilege;
use crate::guard::{FILE_COLUMN, POSITION_COLUMN, masks, row_security_applies};
use crate::name::ObjectId;
use crate::statement::{Merge, MergeAction, MergeClause, MergeWhen};
use crate::types::{PgType, field};

/// What happens to a row, by the number of its clause, over the output of the plan's source.
#[derive(Debug)]
pub enum MergeStep {
    /// For each column of the table its new value, or `None` if it keeps what it has.
    Update(Vec<Option<Expr>>),
    /// It goes.
    Delete,
    /// For each column of the table its value.
    Insert(Vec<Expr>),
    /// Nothing.
    Nothing,
}

/// The column that has the number of a row's clause, NULL for none.
pub(super) const STEP_COLUMN: &str = "\u{2}step";
/// Its table, for RETURNING.
const STEPS: &str = "\u{2}merge";
/// The column that is not NULL where there is a row of the source.
const PRESENT: &str = "\u{2}present";

pub(super) fn plan(scope: &Scope, merge: &Merge, parameters: &Parameters) -> PlanResult<ModifyPlan> {
    let (name, alias) = named(&merge.target)?;
    let (id, relation) = insert::target(scope, &name)?;
    if row_security_applies(&scope.ctx, relation) {
        return Err(unsupported("MERGE under row-level security").into());
    }
    let alias = alias.unwrap_or_else(|| name.name.clone());
    let clauses: Vec<Clause<'_>> =
        merge.clauses.iter().map(|clause| Clause::new(scope, relation, clause)).collect::<PlanResult<_>>()?;
    let query = source(merge, &alias, &clauses)?;
    let alias = TableReference::bare(alias);
    let mut inner = scope.clone();
    inner.target = Some(Target { id, row_filter: None });
    let (mut query, mut types) = (query, parameters.types.clone());
    rewrite::query(&inner, &mut query, &mut types)?;
    let LogicalPlan::Projection(bound) = query::bind(&inner, query, &mut types, vec![])? else {
        return Err(internal("the source of MERGE is no projection").into());
    };
    let (exprs, step) = with_step(bound.expr, &clauses)?;
    let input = bound.input;

    let returning = match &merge.returning {
        Some(items) => {
            let mut items = items.clone();
            for item in &mut items {
                name_actions(item, &clauses);
            }
            let number = Schema::new(vec![field(STEP_COLUMN, &PgType::Int4, true)]);
            let schema = input.schema().join(&DFSchema::try_from_qualified_schema(STEPS, &number)?)?;
            let bound = returning::Bound { types: &mut types, values: parameters.values.as_deref() };
            let seen = returning::Seen { target: &alias, joined: Some(&schema) };
            Some(returning::plan(scope, id, relation, seen, &items, bound)?)
        }
        None => None,
    };
    let others = returning.iter().flat_map(|(returning, _)| &returning.others).enumerate();
    let number = EngineColumn::new(Some(TableReference::bare(STEPS)), STEP_COLUMN);
    let others = others.map(|(index, other)| {
        let other = if *other == Expr::Column(number.clone()) { step.clone() } else { other.clone() };
        other.alias(returning::other_name(index))
    });
    let exprs = exprs.into_iter().chain(others).collect();
    let source = LogicalPlan::Projection(Projection::try_new(exprs, input)?);
    let steps = steps(scope, relation, &source, &clauses)?;
    let source = query::with_values(source, &types, parameters)?;
    let masked = masks(&scope.ctx, &scope.reader, id, relation).map_err(SqlError::from)?;
    let masked = masked.iter().filter_map(|mask| i32::try_from(mask.column).ok()).collect();
    let mut needs = needs(scope, id, relation, &clauses);
    let returning: Option<Returning> = returning.map(|(returning, need)| {
        needs.push(need);
        returning
    });
    Ok(ModifyPlan {
        table: id,
        source,
        alias,
        assigned: None,
        steps: Some(steps),
        masked,
        checks: constraint_checks(scope, relation)?,
        returning,
        needs,
        parameters: types,
    })
}

/// A clause with the table's columns.
struct Clause<'a> {
    clause: &'a MergeClause,
    /// Columns that it gives values, which stand for themselves.
    values: Vec<(&'a Column, ast::Expr)>,
}

impl<'a> Clause<'a> {
    fn new(scope: &Scope, relation: &'a Relation, clause: &'a MergeClause) -> PlanResult<Self> {
        let values = match &clause.action {
            MergeAction::Update(assignments) => sets(scope, relation, assignments)?,
            MergeAction::Insert { columns, values: Some(values) } => {
                let all = resolve_columns(relation, columns)?;
                let syntax = |message: &str| Plain::new(SqlState::SYNTAX_ERROR, message);
                if values.len() > all.len() {
                    return Err(syntax("INSERT has more expressions than target columns").into());
                }
                if values.len() < all.len() && !columns.is_empty() {
                    return Err(syntax("INSERT has more target columns than expressions").into());
                }
                let mut given = Vec::new();
                for (column, value) in all.into_iter().zip(values) {
                    if insert::is_default(value) {
                        continue;
                    }
                    if insert::is_always(column) {
                        return Err(insert::generated_always(column).into());
                    }
                    let value =
                        if has_no_type(value) { insert::cast_to(value.clone(), column)? } else { value.clone() };
                    given.push((column, value));
                }
                given
            }
            MergeAction::Insert { values: None, .. } | MergeAction::Delete | MergeAction::Nothing => Vec::new(),
        };
        Ok(Self { clause, values })
    }
}

/// `SELECT where it is, which clause, all values FROM source JOIN target ON …`.
fn source(merge: &Merge, alias: &str, clauses: &[Clause<'_>]) -> PlanResult<ast::Query> {
    let quoted = |name: &str| ast::Ident::with_quote('"', name);
    let of_target = |name: &str| ast::Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)]);
    let item = |expr: ast::Expr, name: String| ast::SelectItem::ExprWithAlias { expr, alias: quoted(&name) };
    let has = |when: MergeWhen| clauses.iter().any(|clause| clause.clause.when == when);
    let source_name = rewrite::called(&merge.source).ok_or_else(|| unsupported("this source of MERGE"))?;
    if source_name == alias {
        let message = format!("name \"{alias}\" specified more than once");
        let detail = "The name is used both as MERGE target table and data source.";
        return Err(Plain::new(SqlState::DUPLICATE_ALIAS, message).detail(detail).into());
    }
    let here = |expr: ast::Expr| ast::Expr::IsNotNull(Box::new(expr));
    let target_here = here(of_target(POSITION_COLUMN));
    let source_here = here(ast::Expr::CompoundIdentifier(vec![quoted(&source_name), quoted(PRESENT)]));
    let not = |expr: ast::Expr| ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(expr) };
    let both = |left: ast::Expr, right: ast::Expr| ast::Expr::BinaryOp {
        left: Box::new(ast::Expr::Nested(Box::new(left))),
        op: ast::BinaryOperator::And,
        right: Box::new(ast::Expr::Nested(Box::new(right))),
    };
    let number = |index: usize| ast::Expr::Value(ast::Value::Number(index.to_string(), false).into());
    let conditions = clauses.iter().enumerate().map(|(index, clause)| {
        let kind = match clause.clause.when {
            MergeWhen::Matched => both(target_here.clone(), source_here.clone()),
            MergeWhen::TargetAlone => not(source_here.clone()),
            MergeWhen::SourceAlone => not(target_here.clone()),
        };
        let condition = match &clause.clause.condition {
            Some(condition) => both(kind, condition.clone()),
            None => kind,
        };
        ast::CaseWhen { condition, result: number(index) }
    });
    let step = ast::Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: None,
    };
    let mut items = vec![
        item(of_target(FILE_COLUMN), FILE_COLUMN.to_owned()),
        item(of_target(POSITION_COLUMN), POSITION_COLUMN.to_owned()),
        item(step, STEP_COLUMN.to_owned()),
    ];
    let values = clauses.iter().flat_map(|clause| &clause.values).enumerate();
    items.extend(values.map(|(index, (_, value))| item(value.clone(), format!("\u{2}set{index}"))));

    let kind = match (has(MergeWhen::SourceAlone), has(MergeWhen::TargetAlone)) {
        (false, false) => "JOIN",
        (true, false) => "LEFT JOIN",
        (false, true) => "RIGHT JOIN",
        (true, true) => "FULL JOIN",
    };
    let template = format!("SELECT FROM (SELECT *, true AS present FROM source) AS source {kind} target ON true");
    let mut query = *crate::statement::parse_query(&template)?;
    let broken = || internal("a query of MERGE that is none");
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return Err(broken().into()) };
    select.projection = items;
    let from = select.from.first_mut().ok_or_else(broken)?;
    let ast::TableFactor::Derived { subquery, alias: Some(derived), .. } = &mut from.relation else {
        return Err(broken().into());
    };
    derived.name = quoted(&source_name);
    let ast::SetExpr::Select(wrapped) = subquery.body.as_mut() else { return Err(broken().into()) };
    for item in &mut wrapped.projection {
        if let ast::SelectItem::ExprWithAlias { alias, .. } = item {
            *alias = quoted(PRESENT);
        }
    }
    wrapped.from.first_mut().ok_or_else(broken)?.relation = merge.source.clone();
    let join = from.joins.first_mut().ok_or_else(broken)?;
    if let ast::TableFactor::Table { name, alias: target, .. } = &mut join.relation {
        *name = ast::ObjectName::from(vec![quoted(TARGET)]);
        *target = Some(ast::TableAlias { explicit: true, name: quoted(alias), columns: vec![], at: None });
    }
    match &mut join.join_operator {
        ast::JoinOperator::Join(ast::JoinConstraint::On(on))
        | ast::JoinOperator::Left(ast::JoinConstraint::On(on))
        | ast::JoinOperator::Right(ast::JoinConstraint::On(on))
        | ast::JoinOperator::FullOuter(ast::JoinConstraint::On(on)) => on.clone_from(&merge.on),
        _ => return Err(broken().into()),
    }
    Ok(query)
}

/// The source's columns, with values for the rows of their clause only; and the number of a row's clause.
fn with_step(exprs: Vec<Expr>, clauses: &[Clause<'_>]) -> PlanResult<(Vec<Expr>, Expr)> {
    let unaliased = |expr: Expr| match expr {
        Expr::Alias(alias) => *alias.expr,
        other => other,
    };
    let step = exprs.get(ADDRESS_COLUMNS).cloned().ok_or_else(|| internal("MERGE without steps"))?;
    let step = unaliased(step);
    if step.is_volatile() {
        // It is computed for each value.
        return Err(unsupported("a volatile function in a condition of MERGE").into());
    }
    let owners = clauses.iter().enumerate().flat_map(|(index, clause)| clause.values.iter().map(move |_| index));
    let mut owners = owners.map(|index| i32::try_from(index).unwrap_or(i32::MAX));
    let mut guarded = Vec::with_capacity(exprs.len());
    for (index, expr) in exprs.into_iter().enumerate() {
        guarded.push(if index <= ADDRESS_COLUMNS {
            expr
        } else {
            let owner = owners.next().ok_or_else(|| internal("a value of MERGE without a clause"))?;
            let name = expr.schema_name().to_string();
            case(step.clone()).when(lit(owner), unaliased(expr)).end()?.alias(name)
        });
    }
    Ok((guarded, step))
}

/// What each clause makes of the table's columns, over the output of `source`.
fn steps(
    scope: &Scope,
    relation: &Relation,
    source: &LogicalPlan,
    clauses: &[Clause<'_>],
) -> PlanResult<Vec<MergeStep>> {
    let mut first = ADDRESS_COLUMNS + 1;
    let mut steps = Vec::with_capacity(clauses.len());
    for clause in clauses {
        let value = |column: &Column| -> PlanResult<Option<Expr>> {
            let Some(index) = clause.values.iter().position(|(set, _)| set.id == column.id) else { return Ok(None) };
            Ok(Some(insert::assign(scope, source, first + index, column)?))
        };
        let columns = relation.columns.iter();
        steps.push(match &clause.clause.action {
            MergeAction::Update(_) => MergeStep::Update(columns.map(value).collect::<PlanResult<_>>()?),
            MergeAction::Insert { .. } => {
                let or_default = |column: &Column| match value(column)? {
                    Some(value) => Ok(value),
                    None => insert::default_value(scope, column),
                };
                MergeStep::Insert(columns.map(or_default).collect::<PlanResult<_>>()?)
            }
            MergeAction::Delete => MergeStep::Delete,
            MergeAction::Nothing => MergeStep::Nothing,
        });
        first += clause.values.len();
    }
    Ok(steps)
}

fn needs(scope: &Scope, id: ObjectId, relation: &Relation, clauses: &[Clause<'_>]) -> Vec<Need> {
    let of = |clause: &Clause<'_>| {
        let set = |column: i32| clause.values.iter().any(|(set, _)| set.id == column);
        let (privilege, columns) = match &clause.clause.action {
            MergeAction::Update(_) => (Privilege::Update, positions(relation, set)),
            MergeAction::Delete => (Privilege::Delete, vec![]),
            MergeAction::Insert { values: Some(_), .. } => (Privilege::Insert, positions(relation, set)),
            MergeAction::Insert { values: None, .. } => (Privilege::Insert, positions(relation, |_| true)),
            MergeAction::Nothing => return None,
        };
        Some(Need { role: scope.ctx.role, right: Right::Relation { id, privilege, columns } })
    };
    clauses.iter().filter_map(of).collect()
}

/// Puts what a row's clause does in the place of `merge_action()`.
fn name_actions(item: &mut ast::SelectItem, clauses: &[Clause<'_>]) {
    let quoted = |name: &str| ast::Ident::with_quote('"', name);
    let name = match item {
        ast::SelectItem::UnnamedExpr(expr) => Some(rewrite::column_name(expr)),
        _ => None,
    };
    let (ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) = item else { return };
    let mut found = false;
    let flow: std::ops::ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
        let is_call = matches!(expr, ast::Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("merge_action"));
        if is_call {
            found = true;
            let conditions = clauses.iter().enumerate().map(|(index, clause)| {
                let action = match &clause.clause.action {
                    MergeAction::Update(_) => "UPDATE",
                    MergeAction::Delete => "DELETE",
                    MergeAction::Insert { .. } => "INSERT",
                    MergeAction::Nothing => "NOTHING",
                };
                ast::CaseWhen {
                    condition: ast::Expr::Value(ast::Value::Number(index.to_string(), false).into()),
                    result: ast::Expr::Value(ast::Value::SingleQuotedString(action.to_owned()).into()),
                }
            });
            *expr = ast::Expr::Case {
                case_token: ast::helpers::attached_token::AttachedToken::empty(),
                end_token: ast::helpers::attached_token::AttachedToken::empty(),
                operand: Some(Box::new(ast::Expr::CompoundIdentifier(vec![quoted(STEPS), quoted(STEP_COLUMN)]))),
                conditions: conditions.collect(),
                else_result: None,
            };
        }
        std::ops::ControlFlow::Continue(())
    });
    debug_assert!(flow.is_continue(), "nothing breaks the visit");
    if let Some(name) = name.filter(|_| found)
        && let ast::SelectItem::UnnamedExpr(expr) = item
    {
        *item = ast::SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&name) };
    }
}

/// The table's columns as the clauses leave them: over the output of the source, with the values of before.
pub(super) fn column_value(steps: &[MergeStep], index: usize, column: &Column) -> datafusion::common::Result<Expr> {
    let kept = Expr::Column(EngineColumn::new_unqualified(kept_name(index)));
    let number = Expr::Column(EngineColumn::new_unqualified(STEP_COLUMN));
    let changed: Vec<(i32, Expr)> = steps
        .iter()
        .enumerate()
        .filter_map(|(number, step)| {
            let value = match step {
                MergeStep::Update(values) => values.get(index)?.clone()?,
                MergeStep::Insert(values) => values.get(index)?.clone(),
                MergeStep::Delete | MergeStep::Nothing => return None,
            };
            Some((i32::try_from(number).ok()?, value))
        })
        .collect();
    let mut changed = changed.into_iter();
    let Some((first, value)) = changed.next() else { return Ok(kept.alias(&column.name)) };
    let mut whole = case(number).when(lit(ScalarValue::Int32(Some(first))), value);
    for (number, value) in changed {
        whole = whole.when(lit(ScalarValue::Int32(Some(number))), value);
    }
    Ok(whole.otherwise(kept)?.alias(&column.name))
}
