//! Subqueries and LATERAL that refer to outer queries, as joins, wherever the engine has no rule of its own for them.
//!
//! A subquery is evaluated once for each distinct combination of the outer columns it refers to: those combinations,
//! taken from the outer query's input, are pushed down through the subquery's operators ([`push`]), and the result is
//! joined back. Source: T. Neumann, A. Kemper, "Unnesting Arbitrary Queries", BTW 2015.
//!
//! Runs after permission is given and before the engine's analyzer, which would refuse such plans.

mod barrier;
mod push;
mod refs;

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, NullEquality, Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::expr_fn::{bool_or, count};
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, ScalarFunction, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, SortExpr,
    Subquery, binary_expr, lit, when,
};

pub use self::barrier::BarrierPlanner;
pub(super) use self::barrier::barrier;
use self::push::{Outer, columns_of};
pub use self::refs::lateral_left;
use self::refs::{free, has, subquery_of};
use crate::error::{SqlError, unsupported};
use crate::pg::{ARRAY_SUBQUERY, SingleRow, SingleValue};

/// Names for columns and relations that the user never sees, each given once.
struct Names(Cell<usize>);

impl Names {
    fn next(&self, what: &str) -> TableReference {
        let number = self.0.get() + 1;
        self.0.set(number);
        TableReference::bare(format!("__{what}_{number}"))
    }
}

/// Replaces what the engine cannot decorrelate.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    refuse_outer_aggregates(&plan)?;
    let plan = Decorrelator { names: Names(Cell::new(0)) }.node(plan)?;
    keep_totals(plan, false)
}

/// An aggregate of outer columns alone is the outer query's, in PostgreSQL; the engine computes it in the subquery.
fn refuse_outer_aggregates(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = node else { return Ok(TreeNodeRecursion::Continue) };
        let is_outer = |expr: &Expr| {
            matches!(expr, Expr::AggregateFunction(_)) && expr.contains_outer() && !expr.any_column_refs()
        };
        for expr in &aggregate.aggr_expr {
            if expr.exists(|expr| Ok(is_outer(expr)))? {
                return Err(
                    SqlError::from(unsupported("an aggregate of an outer query's columns in a subquery")).into()
                );
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(|_| ())
}

/// More rows than there can be; as a literal of a plan it has eight bytes and a sign.
const NO_LIMIT: usize = isize::MAX.cast_unsigned();

/// Sets limits above aggregates that have a row where their input has none. The engine pushes filters below them that
/// ask for none of their columns, like one for a constant beside the aggregate; it pushes none below a limit.
fn keep_totals(plan: LogicalPlan, filtered: bool) -> Result<LogicalPlan> {
    let filtered = filtered || matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_));
    let plan = plan.map_children(|child| Ok(Transformed::yes(keep_totals(child, filtered)?)))?.data;
    let plan = plan.map_subqueries(|plan| Ok(Transformed::yes(keep_totals(plan, false)?)))?.data;
    match plan {
        LogicalPlan::Aggregate(aggregate) if filtered => match aggregate.group_expr.as_slice() {
            [] => LogicalPlanBuilder::from(LogicalPlan::Aggregate(aggregate)).limit(0, Some(1))?.build(),
            [Expr::GroupingSet(_)] => {
                LogicalPlanBuilder::from(LogicalPlan::Aggregate(aggregate)).limit(0, Some(NO_LIMIT))?.build()
            }
            _ => Ok(LogicalPlan::Aggregate(aggregate)),
        },
        other => Ok(other),
    }
}

struct Decorrelator {
    names: Names,
}

impl Decorrelator {
    fn node(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let plan = match plan {
            LogicalPlan::Join(join) if lateral_left(&LogicalPlan::Join(join.clone())).is_some() => {
                self.lateral(join)?
            }
            other => other,
        };
        let plan = self.subqueries(plan)?;
        let plan = plan.map_children(|child| Ok(Transformed::yes(self.node(child)?)))?.data;
        plan.map_subqueries(|plan| match plan {
            LogicalPlan::Subquery(subquery) => {
                let inner = self.node(subquery.subquery.as_ref().clone())?;
                Ok(Transformed::yes(LogicalPlan::Subquery(subquery.with_plan(Arc::new(inner)))))
            }
            other => Ok(Transformed::no(other)),
        })
        .map(|transformed| transformed.data)
    }

    /// The distinct combinations (or all rows, if `all`) of some columns and expressions of a plan.
    fn outer(&self, input: &LogicalPlan, columns: Vec<(Column, Expr)>, all: bool) -> Result<Outer<'_>> {
        // All rows are carried along; distinct combinations are found by reading the input a second time.
        if !all && is_volatile(input)? {
            let refusal = unsupported("a subquery that refers to the result of a volatile function");
            return Err(SqlError::from(refusal).into());
        }
        let qualifier = self.names.next("outer");
        let mut carried = Vec::new();
        let mut exprs = Vec::new();
        for (index, (from, expr)) in columns.into_iter().enumerate() {
            let name = format!("outer_ref_{index}");
            carried.push((from, Column::new(Some(qualifier.clone()), name.clone())));
            exprs.push(expr.alias_qualified(Some(qualifier.clone()), name));
        }
        let plan = LogicalPlanBuilder::from(input.clone()).project(exprs)?;
        let plan = if all { plan.build()? } else { barrier(plan.distinct()?.build()?)? };
        Ok(Outer { plan, carried, names: &self.names, recursive: vec![] })
    }

    // LATERAL ---------------------------------------------------------------------------------------------------------

    fn lateral(&self, join: Join) -> Result<LogicalPlan> {
        let left_schema = Arc::clone(join.left.schema());
        let refs: Vec<Column> = free(&join.right)?.into_iter().filter(|column| has(&left_schema, column)).collect();
        if refs.is_empty() {
            let right = without_subquery(join.right.as_ref().clone())?;
            return Ok(LogicalPlan::Join(Join { right: Arc::new(right), ..join }));
        }
        let condition = condition_of(&join);
        let shown: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
        if join.join_type == JoinType::Inner && keeps_rows(&join.right)? {
            // Every row of the left side is carried along: nothing has to be joined back.
            let all = left_schema.columns().into_iter().map(|column| (column.clone(), Expr::Column(column)));
            let mut outer = self.outer(&join.left, all.collect(), true)?;
            let kept = outer.carried.clone();
            for column in &refs {
                let full = Column::from(left_schema.qualified_field_from_column(column)?);
                if let Some((_, to)) = kept.iter().find(|(from, _)| *from == full) {
                    outer.carried.push((column.clone(), to.clone()));
                }
            }
            let pushed = outer.push(&join.right)?;
            let names = kept
                .iter()
                .map(|(from, to)| Expr::Column(to.clone()).alias_qualified(from.relation.clone(), from.name.clone()));
            let right = join.right.schema().columns().into_iter().map(Expr::Column);
            let plan = LogicalPlanBuilder::from(pushed).project(names.chain(right).collect::<Vec<_>>())?;
            let plan = match condition {
                Some(condition) => plan.filter(condition)?,
                None => plan,
            };
            return plan.project(shown)?.build();
        }
        if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
            let refusal = unsupported("LATERAL on the nullable side of a join");
            return Err(SqlError::from(refusal).into());
        }
        // The condition is asked of the right side's rows, with the left side's columns carried along: what is joined
        // back then are the combinations alone.
        let asked =
            condition.iter().flat_map(|condition| condition.column_refs()).filter(|column| has(&left_schema, column));
        let mut keys = refs;
        for column in asked.cloned().collect::<Vec<_>>() {
            if !keys.contains(&column) {
                keys.push(column);
            }
        }
        let outer = self.outer(&join.left, self::refs(&keys), false)?;
        let mut pushed = outer.push(&join.right)?;
        if let Some(condition) = condition {
            let condition = condition.transform(|expr| {
                let carried = match &expr {
                    Expr::Column(column) => outer.carried.iter().find(|(from, _)| from == column),
                    _ => None,
                };
                Ok(carried.map_or(Transformed::no(expr), |(_, to)| Transformed::yes(Expr::Column(to.clone()))))
            })?;
            pushed = LogicalPlanBuilder::from(pushed).filter(condition.data)?.build()?;
        }
        let (from, to): (Vec<Column>, Vec<Column>) = outer.carried.iter().cloned().unzip();
        let joined = LogicalPlanBuilder::from(join.left.as_ref().clone())
            .join_detailed(pushed, join.join_type, (from, to), None, NullEquality::NullEqualsNull)?
            .build()?;
        LogicalPlanBuilder::from(barrier(joined)?).project(shown)?.build()
    }

    // Subqueries in expressions ---------------------------------------------------------------------------------------

    fn subqueries(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !plan.expressions().iter().any(|expr| Self::is_ours(&plan, expr)) {
            return Ok(plan);
        }
        if let LogicalPlan::Join(join) = &plan {
            // An inner join's condition is a filter.
            if join.join_type != JoinType::Inner {
                return self.outer_join(&plan, join);
            }
            let condition = condition_of(join).unwrap_or_else(|| lit(true));
            let product =
                LogicalPlanBuilder::from(join.left.as_ref().clone()).cross_join(join.right.as_ref().clone())?;
            return self.subqueries(product.filter(condition)?.build()?);
        }
        if let LogicalPlan::Filter(filter) = &plan {
            // What needs no subquery is asked first, as near to the tables as it can be.
            let conjuncts = split_conjunction_owned(filter.predicate.clone());
            let (ours, others): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(|expr| Self::is_ours(&plan, expr));
            if let (Some(ours), Some(others)) = (conjunction(ours), conjunction(others)) {
                let input = LogicalPlanBuilder::from(filter.input.as_ref().clone()).filter(others)?.build()?;
                return self.subqueries(LogicalPlanBuilder::from(input).filter(ours)?.build()?);
            }
        }
        let [input] = plan.inputs()[..] else {
            return Err(SqlError::from(unsupported("this subquery here")).into());
        };
        let mut input = Input { base: input.clone(), joined: input.clone() };
        let preserver = NamePreserver::new(&plan);
        let mut exprs = Vec::new();
        for expr in plan.expressions() {
            let name = preserver.save(&expr);
            exprs.push(name.restore(self.expression(&plan, expr, &mut input)?));
        }
        let replaced = plan.with_new_exprs(exprs, vec![barrier(input.joined)?])?;
        if replaced.schema().fields().len() == plan.schema().fields().len() {
            return Ok(replaced);
        }
        // The joined columns went through.
        let shown: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        LogicalPlanBuilder::from(replaced).project(shown)?.build()
    }

    /// An outer join with subqueries in its condition, each over the side whose columns it asks for.
    fn outer_join(&self, plan: &LogicalPlan, join: &Join) -> Result<LogicalPlan> {
        let side = |plan: &LogicalPlan| Input { base: plan.clone(), joined: plan.clone() };
        let (mut left, mut right) = (side(&join.left), side(&join.right));
        let mut conditions = Vec::new();
        for conjunct in condition_of(join).map(split_conjunction_owned).unwrap_or_default() {
            if !Self::is_ours(plan, &conjunct) {
                conditions.push(conjunct);
                continue;
            }
            let asked = asked_by_subqueries(&conjunct)?;
            let sees = |side: &Input| {
                let own = merge_schema(&[&join.left, &join.right]);
                asked.iter().filter(|column| has(&own, column)).all(|column| has(side.base.schema(), column))
            };
            let input = if sees(&left) {
                &mut left
            } else if sees(&right) {
                &mut right
            } else {
                return Err(SqlError::from(unsupported("this subquery in the condition of an outer join")).into());
            };
            conditions.push(self.expression(plan, conjunct, input)?);
        }
        let shown: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
        LogicalPlanBuilder::from(barrier(left.joined)?)
            .join_on(barrier(right.joined)?, join.join_type, conditions)?
            .project(shown)?
            .build()
    }

    fn is_ours(plan: &LogicalPlan, expr: &Expr) -> bool {
        expr.exists(|expr| Ok(is_array_subquery(expr).is_some() || Self::is_ours_alone(plan, expr))).unwrap_or(true)
    }

    fn is_ours_alone(plan: &LogicalPlan, expr: &Expr) -> bool {
        matches!(expr, Expr::ScalarSubquery(subquery) if is_uncertain(subquery))
            || subquery_of(expr).is_some() && !engine_can(plan, expr).unwrap_or(false)
    }

    /// The expression with columns of `input` for its subqueries, which are joined to it.
    fn expression(&self, plan: &LogicalPlan, expr: Expr, input: &mut Input) -> Result<Expr> {
        expr.transform_down(|expr| {
            if let Some(subquery) = is_array_subquery(&expr) {
                let value = self.array(subquery, input)?;
                return Ok(Transformed::new(value, true, TreeNodeRecursion::Jump));
            }
            if !Self::is_ours_alone(plan, &expr) {
                return Ok(Transformed::no(expr));
            }
            let value = match expr {
                // Of no other query: the engine evaluates it once, but does not say well that it has several rows.
                Expr::ScalarSubquery(subquery) if free(&subquery.subquery)?.is_empty() => {
                    let plan = subquery.subquery.as_ref().clone();
                    let value = single_value(SingleValue::strict(), last_column(&plan)?).alias("value");
                    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), [value])?.build()?;
                    Expr::ScalarSubquery(subquery.with_plan(Arc::new(plan)))
                }
                Expr::ScalarSubquery(subquery) => self.scalar(&subquery, input)?,
                Expr::Exists(exists) => {
                    let found = self.exists(&exists.subquery, input)?;
                    if exists.negated { Expr::IsNull(Box::new(found)) } else { Expr::IsNotNull(Box::new(found)) }
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let any = self.compared(*expr, Operator::Eq, &subquery, input, false)?;
                    if negated { Expr::Not(Box::new(any)) } else { any }
                }
                Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                    let all = quantifier == SetQuantifier::All;
                    self.compared(*expr, op, &subquery, input, all)?
                }
                other => return Ok(Transformed::no(other)),
            };
            Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
        })
        .map(|transformed| transformed.data)
    }

    /// Joins a subquery's value for each combination to the input. `value` makes it of the pushed subquery, whose first
    /// columns are the carried ones; it gets the alias to give the result.
    fn attach(
        &self,
        input: &mut Input,
        extra: Option<Expr>,
        subquery: &LogicalPlan,
        value: impl FnOnce(&Outer<'_>, LogicalPlan, &TableReference) -> Result<LogicalPlan>,
    ) -> Result<TableReference> {
        let schema = Arc::clone(input.base.schema());
        let free = free(subquery)?.into_iter().filter(|column| has(&schema, column)).collect::<Vec<_>>();
        let mut keys = refs(&free);
        if let Some(extra) = extra {
            // A computed key is a column first.
            let name = Column::new(Some(self.names.next("operand")), "operand");
            let all = columns_of(&input.joined).into_iter();
            let computed = extra.clone().alias_qualified(name.relation.clone(), name.name.clone());
            input.joined = LogicalPlanBuilder::from(input.joined.clone())
                .project(all.chain([computed]).collect::<Vec<_>>())?
                .build()?;
            keys.push((name, extra));
        }
        let alias = self.names.next("subquery");
        let outer = if keys.is_empty() {
            // Nothing of the input is referred to: one combination, found everywhere.
            Outer {
                plan: LogicalPlanBuilder::empty(true).build()?,
                carried: vec![],
                names: &self.names,
                recursive: vec![],
            }
        } else {
            self.outer(&input.base, keys, false)?
        };
        let pushed = outer.push(subquery)?;
        let result = value(&outer, pushed, &alias)?;
        let (from, to): (Vec<Column>, Vec<Column>) = outer.carried.iter().cloned().unzip();
        let left = LogicalPlanBuilder::from(input.joined.clone());
        input.joined = if from.is_empty() {
            left.join_on(result, JoinType::Left, [lit(true)])?.build()?
        } else {
            left.join_detailed(result, JoinType::Left, (from, to), None, NullEquality::NullEqualsNull)?.build()?
        };
        Ok(alias)
    }

    fn scalar(&self, subquery: &Subquery, input: &mut Input) -> Result<Expr> {
        let alias = self.attach(input, None, &subquery.subquery, |outer, pushed, alias| {
            let value = single_value(SingleValue::lenient(), last_column(&pushed)?);
            let value = value.alias_qualified(Some(alias.clone()), "value");
            let rows = count(lit(1_i64)).alias_qualified(Some(alias.clone()), "rows");
            LogicalPlanBuilder::from(pushed).aggregate(outer.columns(), [value, rows])?.build()
        })?;
        let column = |name: &str| Expr::Column(Column::new(Some(alias.clone()), name));
        let value = column("value");
        if subquery.subquery.max_rows().is_some_and(|rows| rows <= 1) {
            return Ok(value);
        }
        let single = Arc::new(ScalarUDF::new_from_impl(SingleRow::default()));
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(single, vec![value, column("rows")])))
    }

    /// A column that is NULL where the subquery has no row.
    fn exists(&self, subquery: &Subquery, input: &mut Input) -> Result<Expr> {
        let alias = self.attach(input, None, &subquery.subquery, |outer, pushed, alias| {
            let found = lit(true).alias_qualified(Some(alias.clone()), "found");
            let carried = outer.columns();
            let plan = LogicalPlanBuilder::from(pushed);
            let plan = if carried.is_empty() { plan.limit(0, Some(1))? } else { plan.project(carried)?.distinct()? };
            plan.project(outer.columns().into_iter().chain([found]).collect::<Vec<_>>())?.build()
        })?;
        Ok(Expr::Column(Column::new(Some(alias), "found")))
    }

    /// `operand op ANY (subquery)`, or ALL, with NULL where the answer is not known.
    fn compared(&self, operand: Expr, op: Operator, subquery: &Subquery, input: &mut Input, all: bool) -> Result<Expr> {
        let alias = self.attach(input, Some(operand), &subquery.subquery, |outer, pushed, alias| {
            let operand = outer.columns().pop().ok_or_else(|| DataFusionError::Internal("no operand".to_owned()))?;
            let result = binary_expr(operand, op, last_column(&pushed)?);
            // For ALL: whether one comparison is false.
            let decisive = if all { Expr::Not(Box::new(result.clone())) } else { result.clone() };
            let named = |expr: Expr, name: &str| expr.alias_qualified(Some(alias.clone()), name);
            let values = [
                named(bool_or(decisive), "decisive"),
                named(count(lit(1_i64)), "compared"),
                named(count(result), "known"),
            ];
            LogicalPlanBuilder::from(pushed).aggregate(outer.columns(), values)?.build()
        })?;
        let column = |name: &str| Expr::Column(Column::new(Some(alias.clone()), name));
        when(column("decisive"), lit(!all))
            .when(column("compared").gt(column("known")), lit(ScalarValue::Boolean(None)))
            .otherwise(lit(all))
    }

    /// `ARRAY(subquery)`: its rows in their order; none: an empty array.
    fn array(&self, subquery: &Subquery, input: &mut Input) -> Result<Expr> {
        let (plan, order) = ordered(subquery.subquery.as_ref())?;
        let element = plan.schema().field(plan.schema().fields().len() - 1).data_type().clone();
        let value = last_column(&plan)?;
        // The sort keys are columns of the pushed plan, whatever is carried along.
        let alias = self.attach(input, None, &plan, |outer, pushed, alias| {
            let gathered = datafusion::functions_aggregate::array_agg::array_agg_udaf();
            let gathered = AggregateFunction::new_udf(gathered, vec![value], false, None, order, None);
            let gathered = Expr::AggregateFunction(gathered).alias_qualified(Some(alias.clone()), "items");
            LogicalPlanBuilder::from(pushed).aggregate(outer.columns(), [gathered])?.build()
        })?;
        let items = Expr::Column(Column::new(Some(alias), "items"));
        when(items.clone().is_null(), empty_list(&element)?).otherwise(items)
    }
}

/// The value of at most one row.
fn single_value(function: SingleValue, value: Expr) -> Expr {
    let single = AggregateUDF::new_from_impl(function);
    Expr::AggregateFunction(AggregateFunction::new_udf(Arc::new(single), vec![value], false, None, vec![], None))
}

/// Whether a subquery that refers to no other query may have another number of rows than one: several are an error that
/// the engine does not tell well, and it makes zero of none where a column is never NULL.
fn is_uncertain(subquery: &Subquery) -> bool {
    !has_one_row(&subquery.subquery) && free(&subquery.subquery).is_ok_and(|free| free.is_empty())
}

fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.expressions().iter().any(Expr::is_volatile);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The columns around them that the subqueries of an expression ask for, and those that are compared with their rows.
fn asked_by_subqueries(expr: &Expr) -> Result<Vec<Column>> {
    let mut asked = Vec::new();
    expr.apply(|expr| {
        if let Some(subquery) = subquery_of(expr) {
            asked.extend(free(&subquery.subquery)?);
        }
        if let Expr::InSubquery(InSubquery { expr, .. }) | Expr::SetComparison(SetComparison { expr, .. }) = expr {
            asked.extend(expr.column_refs().into_iter().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(asked)
}

/// The input of a node whose subqueries are replaced.
struct Input {
    /// As it was: where combinations are read from.
    base: LogicalPlan,
    /// With what was joined to it so far.
    joined: LogicalPlan,
}

/// Columns as keys that stand for themselves.
fn refs(columns: &[Column]) -> Vec<(Column, Expr)> {
    columns.iter().map(|column| (column.clone(), Expr::Column(column.clone()))).collect()
}

fn empty_list(element: &arrow::datatypes::DataType) -> Result<Expr> {
    let list = ScalarValue::new_list_nullable(&[], element);
    Ok(Expr::Literal(ScalarValue::List(list), None))
}

/// A subquery whose rows become an array.
fn is_array_subquery(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarFunction(function) if function.func.name() == ARRAY_SUBQUERY => match function.args.as_slice() {
            [Expr::ScalarSubquery(subquery)] => Some(subquery),
            _ => None,
        },
        _ => None,
    }
}

/// The plan without its own order, and that order. Its last column is the value.
fn ordered(plan: &LogicalPlan) -> Result<(LogicalPlan, Vec<SortExpr>)> {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok((sort.input.as_ref().clone(), sort.expr.clone())),
        LogicalPlan::Limit(limit) => match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => Ok((plan.clone(), sort.expr.clone())),
            _ => Ok((plan.clone(), vec![])),
        },
        // Sorted by a column that is not shown: it is kept until the array is made.
        LogicalPlan::Projection(projection) => match (projection.input.as_ref(), projection.expr.as_slice()) {
            (LogicalPlan::Sort(sort), [value]) if sort.fetch.is_none() => {
                let columns = columns_of(&sort.input);
                let value = value.clone().alias_qualified(Some(TableReference::bare("__array")), "item");
                let plan = LogicalPlanBuilder::from(sort.input.as_ref().clone())
                    .project(columns.into_iter().chain([value]).collect::<Vec<_>>())?
                    .build()?;
                Ok((plan, sort.expr.clone()))
            }
            _ => Ok((plan.clone(), vec![])),
        },
        _ => Ok((plan.clone(), vec![])),
    }
}

fn last_column(plan: &LogicalPlan) -> Result<Expr> {
    let column = plan.schema().columns().pop();
    column.map(Expr::Column).ok_or_else(|| DataFusionError::Internal("a subquery without columns".to_owned()))
}

fn condition_of(join: &Join) -> Option<Expr> {
    let keys = join.on.iter().map(|(a, b)| a.clone().eq(b.clone()));
    keys.chain(join.filter.clone()).reduce(Expr::and)
}

/// The right side of a lateral join that turned out to refer to nothing.
fn without_subquery(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down(|node| match node {
        LogicalPlan::Subquery(subquery) => {
            Ok(Transformed::new(subquery.subquery.as_ref().clone(), true, TreeNodeRecursion::Stop))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|transformed| transformed.data)
}

/// Whether the dependent join may carry rows instead of distinct combinations: no operator counts or compares rows.
fn keeps_rows(plan: &LogicalPlan) -> Result<bool> {
    let mut keeps = true;
    plan.apply(|node| {
        keeps &= matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Subquery(_)
                | LogicalPlan::Unnest(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::EmptyRelation(_)
                | LogicalPlan::Values(_)
        );
        Ok(if keeps { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(keeps)
}

// What the engine has rules for ---------------------------------------------------------------------------------------

/// Whether the engine decorrelates a subquery itself. In doubt it does not.
fn engine_can(plan: &LogicalPlan, expr: &Expr) -> Result<bool> {
    let Some(subquery) = subquery_of(expr) else { return Ok(true) };
    let own = merge_schema(&plan.inputs());
    let free = free(&subquery.subquery)?;
    let correlated = free.iter().any(|column| has(&own, column));
    if correlated && mixes_names(&subquery.subquery)? {
        return Ok(false);
    }
    let filter = matches!(plan, LogicalPlan::Filter(_));
    Ok(match expr {
        // Of a query further out at most: a constant here.
        Expr::ScalarSubquery(_) if !correlated => free.is_empty(),
        Expr::ScalarSubquery(_) => {
            (filter || matches!(plan, LogicalPlan::Projection(_))) && simple_aggregate(&subquery.subquery)
        }
        Expr::SetComparison(_) => false,
        // The engine's NOT IN forgets NULLs unless it asks for a column, of a query that refers to nothing; and any IN
        // may become one below a NOT.
        Expr::InSubquery(within) => {
            let LogicalPlan::Filter(filter) = plan else { return Ok(false) };
            let conjunct = split_conjunction(&filter.predicate).contains(&expr);
            // Beside the column that is compared it keeps those that the condition asks for, cast or not by one name.
            let alike = subquery.subquery.schema().fields().first().map(|field| field.data_type().clone())
                == Some(within.expr.get_type(&own)?);
            let plain = !within.negated && alike && simple(&subquery.subquery, false);
            conjunct && within.expr.any_column_refs() && (free.is_empty() || plain)
        }
        _ => filter && (free.is_empty() || simple(&subquery.subquery, false)),
    })
}

/// One ungrouped aggregate over a simple input.
fn simple_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) if !refers_out(plan) => simple_aggregate(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => simple_aggregate(&alias.input),
        LogicalPlan::Aggregate(aggregate) => {
            aggregate.group_expr.is_empty() && !refers_out(plan) && simple(&aggregate.input, true)
        }
        _ => false,
    }
}

/// Whether columns of several relations go by one name where outer columns are compared: the engine pulls what compares
/// them out of the subquery, where it knows columns by their names alone.
fn mixes_names(plan: &LogicalPlan) -> Result<bool> {
    let mut columns: HashSet<Column> = HashSet::new();
    plan.apply(|node| {
        if free(node)?.is_empty() {
            return Ok(TreeNodeRecursion::Jump);
        }
        match node {
            LogicalPlan::Filter(filter) => {
                let correlated = split_conjunction(&filter.predicate).into_iter().filter(|expr| expr.contains_outer());
                columns.extend(correlated.flat_map(Expr::column_refs).cloned());
            }
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => columns.extend(node.schema().columns()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    Ok(names.len() < columns.len())
}

/// Outer columns only in filters (as `column = outer`, if `equal`) that nothing but projections and inner joins is above.
fn simple(plan: &LogicalPlan, equal: bool) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            let conjuncts = split_conjunction(&filter.predicate);
            conjuncts.into_iter().all(|conjunct| simple_conjunct(conjunct, equal)) && simple(&filter.input, equal)
        }
        LogicalPlan::Projection(projection) => !refers_out(plan) && simple(&projection.input, equal),
        LogicalPlan::SubqueryAlias(alias) => simple(&alias.input, equal),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && lateral_left(plan).is_none() => {
            !refers_out(plan) && simple(&join.left, equal) && simple(&join.right, equal)
        }
        // Whatever it is, it refers to nothing outside.
        other => free(other).is_ok_and(|free| free.is_empty()),
    }
}

fn simple_conjunct(expr: &Expr, equal: bool) -> bool {
    let nested = expr.exists(|expr| Ok(subquery_of(expr).is_some())).unwrap_or(true);
    if !expr.contains_outer() {
        // A subquery in it might still refer to what is outside of both.
        return !nested;
    }
    if nested {
        return false;
    }
    if !equal {
        return expr.any_column_refs();
    }
    match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::Eq => {
            let sides = [binary.left.as_ref(), binary.right.as_ref()];
            let outer_alone = |side: &&Expr| side.contains_outer() && !side.any_column_refs();
            let inner_column = |side: &&Expr| matches!(side, Expr::Column(_));
            sides.iter().any(outer_alone) && sides.iter().any(inner_column)
        }
        _ => false,
    }
}

/// Whether a node's own expressions refer to outer columns, or might.
fn refers_out(plan: &LogicalPlan) -> bool {
    plan.expressions()
        .iter()
        .any(|expr| expr.contains_outer() || expr.exists(|expr| Ok(subquery_of(expr).is_some())).unwrap_or(true))
}
