//! MERGE: a join of source and target, with what is to happen to each of its rows.

use std::collections::BTreeMap;
use std::ops::Not;

use arrow::datatypes::Schema;
use datafusion::common::{Column as EngineColumn, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, Projection, case, lit};
use sqlparser::ast;

use super::insert::{self, constraint_checks, positions, resolve_columns};
use super::modify::{ADDRESS_COLUMNS, ModifyPlan, TARGET, Target, has_no_type, kept_name, named, sets};
use super::returning::{self, Returning};
use super::{Need, Parameters, PlanResult, Right, Scope, policy, query, rewrite};
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
    for (index, clause) in merge.clauses.iter().enumerate() {
        let hides = |earlier: &MergeClause| earlier.when == clause.when && earlier.condition.is_none();
        if merge.clauses.iter().take(index).any(hides) {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
        }
    }
    let clauses: Vec<Clause<'_>> =
        merge.clauses.iter().map(|clause| Clause::new(scope, relation, clause)).collect::<PlanResult<_>>()?;
    let source_name = rewrite::called(&merge.source).ok_or_else(|| unsupported("this source of MERGE"))?;
    if source_name == alias {
        let message = format!("name \"{alias}\" specified more than once");
        let detail = "The name is used both as MERGE target table and data source.";
        return Err(Plain::new(SqlState::DUPLICATE_ALIAS, message).detail(detail).into());
    }
    let mut inner = scope.clone();
    inner.target = Some(Target { id, row_filter: None });
    let mut types = parameters.types.clone();
    let from = From { merge, alias: &alias, source: &source_name };
    let mut found = Found::default();
    let mut input = None;
    for when in [MergeWhen::Matched, MergeWhen::SourceAlone, MergeWhen::TargetAlone] {
        let mut query = from.query(when, &clauses)?;
        rewrite::query(&inner, &mut query, &mut types)?;
        let LogicalPlan::Projection(bound) = query::bind(&inner, query, &mut types, vec![])? else {
            return Err(internal("the source of MERGE is no projection").into());
        };
        refuse_aggregates(&bound)?;
        found.take(&bound, when, &clauses)?;
        if when == MergeWhen::Matched {
            input = Some(bound.input);
        }
    }
    let input = input.ok_or_else(|| internal("MERGE without a join"))?;
    let alias = TableReference::bare(alias);
    let (exprs, step) = found.exprs(&alias, &TableReference::bare(source_name), &clauses)?;

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
            MergeAction::Update(assignments) => sets(scope, relation, assignments, None)?,
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

/// What the clauses' expressions are read from: those for rows of one side see that side only.
struct From<'a> {
    merge: &'a Merge,
    alias: &'a str,
    source: &'a str,
}

impl From<'_> {
    /// `SELECT condition, value, … FROM …` for the clauses of one kind.
    fn query(&self, when: MergeWhen, clauses: &[Clause<'_>]) -> PlanResult<ast::Query> {
        let has = |when: MergeWhen| clauses.iter().any(|clause| clause.clause.when == when);
        let kind = match (has(MergeWhen::SourceAlone), has(MergeWhen::TargetAlone)) {
            (false, false) => "JOIN",
            (true, false) => "LEFT JOIN",
            (false, true) => "RIGHT JOIN",
            (true, true) => "FULL JOIN",
        };
        let template = match when {
            MergeWhen::Matched => format!("SELECT FROM (SELECT *, true AS present FROM s) AS s {kind} t ON true"),
            MergeWhen::SourceAlone => "SELECT FROM (SELECT *, true AS present FROM s) AS s".to_owned(),
            MergeWhen::TargetAlone => "SELECT FROM t".to_owned(),
        };
        let mut query = *crate::statement::parse_query(&template)?;
        let broken = || internal("a query of MERGE that is none");
        let ast::SetExpr::Select(select) = query.body.as_mut() else { return Err(broken().into()) };
        select.projection = items(when, clauses);
        let from = select.from.first_mut().ok_or_else(broken)?;
        for factor in std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation)) {
            match factor {
                ast::TableFactor::Derived { subquery, alias: Some(alias), .. } => {
                    alias.name = quoted(self.source);
                    let ast::SetExpr::Select(wrapped) = subquery.body.as_mut() else { return Err(broken().into()) };
                    for item in &mut wrapped.projection {
                        if let ast::SelectItem::ExprWithAlias { alias, .. } = item {
                            *alias = quoted(PRESENT);
                        }
                    }
                    wrapped.from.first_mut().ok_or_else(broken)?.relation = self.merge.source.clone();
                }
                ast::TableFactor::Table { name, alias, .. } => {
                    *name = ast::ObjectName::from(vec![quoted(TARGET)]);
                    let name = quoted(self.alias);
                    *alias = Some(ast::TableAlias { explicit: true, name, columns: vec![], at: None });
                }
                _ => return Err(broken().into()),
            }
        }
        for join in &mut from.joins {
            match &mut join.join_operator {
                ast::JoinOperator::Join(ast::JoinConstraint::On(on))
                | ast::JoinOperator::Left(ast::JoinConstraint::On(on))
                | ast::JoinOperator::Right(ast::JoinConstraint::On(on))
                | ast::JoinOperator::FullOuter(ast::JoinConstraint::On(on)) => on.clone_from(&self.merge.on),
                _ => return Err(broken().into()),
            }
        }
        Ok(query)
    }
}

fn quoted(name: &str) -> ast::Ident {
    ast::Ident::with_quote('"', name)
}

/// For each clause of a kind its condition, then its values.
fn items(when: MergeWhen, clauses: &[Clause<'_>]) -> Vec<ast::SelectItem> {
    let mut exprs = Vec::new();
    for clause in clauses.iter().filter(|clause| clause.clause.when == when) {
        let always = || ast::Expr::Value(ast::Value::Boolean(true).into());
        exprs.push(clause.clause.condition.clone().unwrap_or_else(always));
        exprs.extend(clause.values.iter().map(|(_, value)| value.clone()));
    }
    // A query has at least one column.
    exprs.push(ast::Expr::Value(ast::Value::Boolean(true).into()));
    let named = exprs.into_iter().enumerate();
    named
        .map(|(index, expr)| ast::SelectItem::ExprWithAlias { expr, alias: quoted(&format!("\u{2}item{index}")) })
        .collect()
}

fn refuse_aggregates(bound: &Projection) -> PlanResult<()> {
    match bound.input.as_ref() {
        LogicalPlan::Aggregate(_) => {
            let message = "aggregate functions are not allowed in MERGE WHEN conditions";
            Err(Plain::new(SqlState::GROUPING_ERROR, message).into())
        }
        LogicalPlan::Window(_) => {
            let message = "window functions are not allowed in MERGE WHEN conditions";
            Err(Plain::new(SqlState::WINDOWING_ERROR, message).into())
        }
        _ => Ok(()),
    }
}

/// The clauses' expressions, over the columns of the join.
#[derive(Default)]
struct Found(BTreeMap<usize, (Expr, Vec<Expr>)>);

impl Found {
    fn take(&mut self, bound: &Projection, when: MergeWhen, clauses: &[Clause<'_>]) -> PlanResult<()> {
        let missing = || internal("an expression of MERGE is missing");
        let mut exprs = bound.expr.iter().map(|expr| match expr {
            Expr::Alias(alias) => alias.expr.as_ref().clone(),
            other => other.clone(),
        });
        for (number, clause) in clauses.iter().enumerate().filter(|(_, clause)| clause.clause.when == when) {
            let condition = exprs.next().ok_or_else(missing)?;
            let condition = policy::condition(condition, bound.input.schema(), "MERGE WHEN")?;
            let values: Vec<Expr> = exprs.by_ref().take(clause.values.len()).collect();
            self.0.insert(number, (condition, values));
        }
        Ok(())
    }

    /// The plan's first columns: where a row is, the number of its clause, values for the rows of their clause only. And
    /// that number alone.
    fn exprs(
        self,
        target: &TableReference,
        source: &TableReference,
        clauses: &[Clause<'_>],
    ) -> PlanResult<(Vec<Expr>, Expr)> {
        let column = |table: &TableReference, name: &str| Expr::Column(EngineColumn::new(Some(table.clone()), name));
        let of_target = || column(target, POSITION_COLUMN).is_not_null();
        let of_source = || column(source, PRESENT).is_not_null();
        let number = |index: usize| i32::try_from(index).unwrap_or(i32::MAX);
        let mut branches = Vec::new();
        for (index, (condition, _)) in &self.0 {
            let kind = match clauses.get(*index).map(|clause| clause.clause.when) {
                Some(MergeWhen::Matched) => of_target().and(of_source()),
                Some(MergeWhen::TargetAlone) => of_target().and(of_source().not()),
                Some(MergeWhen::SourceAlone) | None => of_source().and(of_target().not()),
            };
            branches.push((Box::new(kind.and(condition.clone())), Box::new(lit(number(*index)))));
        }
        let step = Expr::Case(Case::new(None, branches, None));
        if step.is_volatile() {
            // It is computed for each value.
            return Err(unsupported("a volatile function in a condition of MERGE").into());
        }
        let mut exprs = vec![
            column(target, FILE_COLUMN).alias(FILE_COLUMN),
            column(target, POSITION_COLUMN).alias(POSITION_COLUMN),
            step.clone().alias(STEP_COLUMN),
        ];
        for (index, (_, values)) in self.0 {
            for value in values {
                let guarded = case(step.clone()).when(lit(number(index)), value).end()?;
                exprs.push(guarded.alias(format!("\u{2}set{}", exprs.len())));
            }
        }
        Ok((exprs, step))
    }
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
            // What it does tells at least whether there are rows.
            MergeAction::Nothing => {
                return Need { role: scope.ctx.role, right: Right::AnyColumn { id, privilege: Privilege::Select } };
            }
        };
        Need { role: scope.ctx.role, right: Right::Relation { id, privilege, columns } }
    };
    clauses.iter().map(of).collect()
}

/// Puts what a row's clause does in the place of `merge_action()`.
fn name_actions(item: &mut ast::SelectItem, clauses: &[Clause<'_>]) {
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
