//! The dependent join: a subquery once for each combination of the outer columns it refers to, as one plan.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, NullEquality, Result, ScalarValue, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{FetchType, SkipType};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr, TableScan,
    Unnest, Window, binary_expr, lit,
};

use super::Names;
use super::refs::{Carried, bind, free};
use crate::error::{SqlError, unsupported};

/// What a dependent join carries along: a plan of distinct combinations of outer columns, under names of their own.
pub(super) struct Outer<'a> {
    pub(super) plan: LogicalPlan,
    pub(super) carried: Carried,
    pub(super) names: &'a Names,
    /// Recursive queries whose work tables carry the columns, too.
    pub(super) recursive: Vec<String>,
}

fn refused(what: &str) -> DataFusionError {
    SqlError::from(unsupported(format!("a reference to an outer query inside {what}"))).into()
}

/// An expression's value under the name it had before.
fn renamed(expr: Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    expr.alias_qualified(qualifier.cloned(), name)
}

fn not_distinct(a: Expr, b: Expr) -> Expr {
    binary_expr(a, Operator::IsNotDistinctFrom, b)
}

/// All columns of a plan.
pub(super) fn columns_of(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

impl Outer<'_> {
    /// The carried columns.
    pub(super) fn columns(&self) -> Vec<Expr> {
        columns_of(&self.plan)
    }

    fn concerns(&self, plan: &LogicalPlan) -> Result<bool> {
        let free = free(plan)?;
        if self.carried.iter().any(|(from, _)| free.contains(from)) {
            return Ok(true);
        }
        let mut carries = false;
        plan.apply(|node| {
            carries |= matches!(node, LogicalPlan::TableScan(scan) if self.is_work_table(scan)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(carries)
    }

    fn is_work_table(&self, scan: &TableScan) -> Result<bool> {
        let provider = source_as_provider(&scan.source)?;
        Ok(provider
            .downcast_ref::<CteWorkTable>()
            .is_some_and(|table| self.recursive.iter().any(|name| name == table.name())))
    }

    /// Another instance of the same combinations, under other names.
    fn again(&self) -> Result<Self> {
        let qualifier = self.names.next("outer");
        let renamed = self.plan.schema().columns().into_iter().map(|column| {
            let name = column.name.clone();
            Expr::Column(column).alias_qualified(Some(qualifier.clone()), name)
        });
        let plan = LogicalPlanBuilder::from(self.plan.clone()).project(renamed.collect::<Vec<_>>())?.build()?;
        let carried = self
            .carried
            .iter()
            .map(|(from, to)| (from.clone(), Column::new(Some(qualifier.clone()), to.name.clone())))
            .collect();
        Ok(Self { plan, carried, names: self.names, recursive: self.recursive.clone() })
    }

    /// The rows of `plan` for each carried combination: the carried columns, then the plan's own.
    pub(super) fn push(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if !self.concerns(plan)? {
            if matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row) {
                return Ok(self.plan.clone());
            }
            return LogicalPlanBuilder::from(self.plan.clone()).cross_join(plan.clone())?.build();
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.push(&projection.input)?;
                let exprs = self.bound(&projection.expr, &projection.input)?;
                self.project(input, exprs)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.push(&filter.input)?;
                let predicate = bind(filter.predicate.clone(), &self.carried, filter.input.schema())?;
                LogicalPlanBuilder::from(input).filter(predicate)?.build()
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.push(&alias.input)?;
                let given = alias.input.schema().columns();
                let shown = alias.schema.iter();
                let exprs = given
                    .into_iter()
                    .zip(shown)
                    .map(|(column, (qualifier, field))| renamed(Expr::Column(column), qualifier, field.name()));
                self.project(input, exprs.collect())
            }
            LogicalPlan::Subquery(subquery) => self.push(&subquery.subquery),
            LogicalPlan::Sort(sort) => {
                let input = self.push(&sort.input)?;
                let order = self.bound_order(&sort.expr, &sort.input)?;
                LogicalPlanBuilder::from(input).sort_with_limit(order, sort.fetch)?.build()
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                LogicalPlanBuilder::from(self.push(input)?).distinct()?.build()
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let input = self.push(&on.input)?;
                let keys = self.columns().into_iter().chain(self.bound(&on.on_expr, &on.input)?).collect();
                let select = self.columns().into_iter().chain(self.bound(&on.select_expr, &on.input)?).collect();
                let order = match &on.sort_expr {
                    Some(order) => {
                        let first = self.columns().into_iter().map(|column| column.sort(true, false));
                        Some(first.chain(self.bound_order(order, &on.input)?).collect())
                    }
                    None => None,
                };
                LogicalPlanBuilder::from(input).distinct_on(keys, select, order)?.build()
            }
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Union(union) => {
                let mut inputs = Vec::new();
                for input in &union.inputs {
                    let pushed = self.push(input)?;
                    let columns = columns_of(input);
                    inputs.push(self.project(pushed, columns)?);
                }
                self.union(inputs, plan)
            }
            LogicalPlan::Values(values) => {
                let mut inputs = Vec::new();
                let empty = LogicalPlanBuilder::empty(true).build()?;
                for row in &values.values {
                    let row = row.iter().zip(values.schema.iter()).map(|(expr, (qualifier, field))| {
                        let bound = bind(expr.clone(), &self.carried, empty.schema())?;
                        Ok(renamed(bound, qualifier, field.name()))
                    });
                    inputs.push(self.project(self.plan.clone(), row.collect::<Result<_>>()?)?);
                }
                self.union(inputs, plan)
            }
            LogicalPlan::RecursiveQuery(query) => {
                let start = self.push(&query.static_term)?;
                let inner = Self {
                    plan: self.plan.clone(),
                    carried: self.carried.clone(),
                    names: self.names,
                    recursive: self.recursive.iter().cloned().chain([query.name.clone()]).collect(),
                };
                let step = inner.push(&query.recursive_term)?;
                LogicalPlanBuilder::from(start).to_recursive_query(query.name.clone(), step, query.is_distinct)?.build()
            }
            LogicalPlan::TableScan(scan) if self.is_work_table(scan)? => self.work_table(scan),
            other => Err(refused(&format!("{} here", other.display()))),
        }
    }

    /// The rows of the last step of a recursive query, which have the carried columns in front.
    fn work_table(&self, scan: &TableScan) -> Result<LogicalPlan> {
        let provider = source_as_provider(&scan.source)?;
        let name = provider.downcast_ref::<CteWorkTable>().map(|table| table.name().to_owned()).unwrap_or_default();
        let own = scan.source.schema();
        let carried = self.plan.schema().fields().iter();
        let fields = carried.chain(own.fields()).cloned().collect::<Vec<_>>();
        let table = CteWorkTable::new(&name, Arc::new(Schema::new(fields)));
        let source = provider_as_source(Arc::new(table));
        let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
        let columns = self.plan.schema().columns().into_iter().map(|column| {
            let read = Column::new(Some(scan.table_name.clone()), column.name.clone());
            renamed(Expr::Column(read), column.relation.as_ref(), &column.name)
        });
        let rest = scan.projected_schema.columns().into_iter().map(Expr::Column);
        LogicalPlanBuilder::from(plan).project(columns.chain(rest).collect::<Vec<_>>())?.build()
    }

    /// The carried columns, then these.
    fn project(&self, input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
        let all: Vec<Expr> = self.columns().into_iter().chain(exprs).collect();
        LogicalPlanBuilder::from(input).project(all)?.build()
    }

    /// Expressions over the pushed input, under the names that the rest of the query knows them by.
    fn bound(&self, exprs: &[Expr], input: &LogicalPlan) -> Result<Vec<Expr>> {
        let preserver = NamePreserver::new_for_projection();
        let bound = exprs.iter().map(|expr| {
            let name = preserver.save(expr);
            Ok(name.restore(bind(expr.clone(), &self.carried, input.schema())?))
        });
        bound.collect()
    }

    fn bound_order(&self, order: &[SortExpr], input: &LogicalPlan) -> Result<Vec<SortExpr>> {
        let bound = order.iter().map(|sort| {
            let expr = bind(sort.expr.clone(), &self.carried, input.schema())?;
            Ok(SortExpr::new(expr, sort.asc, sort.nulls_first))
        });
        bound.collect()
    }

    fn union(&self, inputs: Vec<LogicalPlan>, shown: &LogicalPlan) -> Result<LogicalPlan> {
        let mut inputs = inputs.into_iter();
        let first = inputs.next().ok_or_else(|| refused("an empty UNION"))?;
        let plan = inputs.try_fold(LogicalPlanBuilder::from(first), LogicalPlanBuilder::union)?.build()?;
        let columns = plan.schema().columns();
        let names = self.plan.schema().iter().chain(shown.schema().iter());
        let exprs = columns
            .into_iter()
            .zip(names)
            .map(|(column, (qualifier, field))| renamed(Expr::Column(column), qualifier, field.name()));
        LogicalPlanBuilder::from(plan).project(exprs.collect::<Vec<_>>())?.build()
    }

    /// A limit for each combination: its rows are numbered.
    fn limit(&self, limit: &Limit) -> Result<LogicalPlan> {
        // Sorted by what is not shown: rows are counted before it is gone.
        if let LogicalPlan::Projection(projection) = limit.input.as_ref()
            && matches!(projection.input.as_ref(), LogicalPlan::Sort(_) | LogicalPlan::Projection(_))
        {
            let inner = Limit { input: Arc::clone(&projection.input), ..limit.clone() };
            let input = self.limit(&inner)?;
            let exprs = self.bound(&projection.expr, &projection.input)?;
            return self.project(input, exprs);
        }
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Err(refused("a computed LIMIT"));
        };
        let (input, order) = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => (self.push(&sort.input)?, self.bound_order(&sort.expr, &sort.input)?),
            other => (self.push(other)?, vec![]),
        };
        let number = Column::new(Some(self.names.next("limit")), "row_number");
        let mut function = WindowFunction::new(row_number_udwf(), vec![]);
        function.params.partition_by = self.columns();
        if !order.is_empty() {
            function.params.window_frame = datafusion::logical_expr::WindowFrame::new(Some(true));
        }
        function.params.order_by = order;
        let numbered = Expr::WindowFunction(Box::new(function)).alias_qualified(number.relation.clone(), &number.name);
        let count = |count: usize| lit(u64::try_from(count).unwrap_or(u64::MAX));
        let mut kept = Expr::Column(number.clone()).gt(count(skip));
        if let Some(fetch) = fetch {
            kept = kept.and(Expr::Column(number).lt_eq(count(skip.saturating_add(fetch))));
        }
        let columns = columns_of(&input);
        LogicalPlanBuilder::from(input).window([numbered])?.filter(kept)?.project(columns)?.build()
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Err(refused("GROUPING SETS"));
        }
        let input = self.push(&aggregate.input)?;
        let groups: Vec<Expr> =
            self.columns().into_iter().chain(self.bound(&aggregate.group_expr, &aggregate.input)?).collect();
        let values = self.bound(&aggregate.aggr_expr, &aggregate.input)?;
        let grouped = LogicalPlanBuilder::from(input).aggregate(groups, values)?.build()?;
        if !aggregate.group_expr.is_empty() {
            return Ok(grouped);
        }
        // Without GROUP BY there is a row also where there is no input.
        let second = self.names.next("outer");
        let keys = self.plan.schema().columns().into_iter().map(|column| {
            let name = column.name.clone();
            Expr::Column(column).alias_qualified(Some(second.clone()), name)
        });
        let own: Vec<Column> = aggregate.schema.columns();
        let kept = keys.chain(own.iter().cloned().map(Expr::Column)).collect::<Vec<_>>();
        let grouped = LogicalPlanBuilder::from(grouped).project(kept)?.build()?;
        let joined = Self::left_join(self.plan.clone(), grouped, &self.plan.schema().columns(), &second)?;
        let exprs = own.iter().zip(&aggregate.aggr_expr).map(|(column, expr)| {
            let value = Expr::Column(column.clone());
            Ok(match default_value(expr, aggregate)? {
                Some(default) => renamed(
                    datafusion::functions::core::expr_fn::coalesce(vec![value, Expr::Literal(default, None)]),
                    column.relation.as_ref(),
                    &column.name,
                ),
                None => value,
            })
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        self.project(joined, exprs)
    }

    /// `left LEFT JOIN right` where these columns are the same, NULLs included; on the right they go by another
    /// qualifier.
    pub(super) fn left_join(
        left: LogicalPlan,
        right: LogicalPlan,
        keys: &[Column],
        qualifier: &TableReference,
    ) -> Result<LogicalPlan> {
        let other: Vec<Column> =
            keys.iter().map(|key| Column::new(Some(qualifier.clone()), key.name.clone())).collect();
        LogicalPlanBuilder::from(left)
            .join_detailed(right, JoinType::Left, (keys.to_vec(), other), None, NullEquality::NullEqualsNull)?
            .build()
    }

    fn window(&self, window: &Window) -> Result<LogicalPlan> {
        let input = self.push(&window.input)?;
        let preserver = NamePreserver::new_for_projection();
        let exprs = window.window_expr.iter().map(|expr| {
            let name = preserver.save(expr);
            let partitioned = self.partitioned(bind(expr.clone(), &self.carried, window.input.schema())?)?;
            Ok(name.restore(partitioned))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(input).window(exprs)?.build()
    }

    /// A window function for each combination apart.
    fn partitioned(&self, expr: Expr) -> Result<Expr> {
        match expr {
            Expr::WindowFunction(mut function) => {
                function.params.partition_by.extend(self.columns());
                Ok(Expr::WindowFunction(function))
            }
            Expr::Alias(mut alias) => {
                *alias.expr = self.partitioned(*alias.expr)?;
                Ok(Expr::Alias(alias))
            }
            _ => Err(refused("this window function")),
        }
    }

    fn unnest(&self, unnest: &Unnest) -> Result<LogicalPlan> {
        let input = self.push(&unnest.input)?;
        let pushed = LogicalPlanBuilder::from(input)
            .unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?
            .build()?;
        let columns = unnest.schema.columns().into_iter().map(Expr::Column);
        self.project(pushed, columns.collect())
    }

    fn join(&self, join: &Join) -> Result<LogicalPlan> {
        let (left, right) = (self.concerns(&join.left)?, self.concerns(&join.right)?);
        let own = merge_schema(&[&join.left, &join.right]);
        // Which side's combinations are kept where the other side has no match.
        let keeps_right =
            matches!(join.join_type, JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark);
        let one_sided = match join.join_type {
            JoinType::Inner => !(left && right),
            JoinType::Full => false,
            _ if keeps_right => !left,
            _ => !right,
        };
        let on_right = keeps_right || (join.join_type == JoinType::Inner && right && !left);
        let mut equalities = Vec::new();
        let (left_plan, right_plan) = if one_sided {
            if on_right {
                (join.left.as_ref().clone(), self.push(&join.right)?)
            } else {
                (self.push(&join.left)?, join.right.as_ref().clone())
            }
        } else {
            let other = self.again()?;
            let pairs = self.plan.schema().columns().into_iter().zip(other.plan.schema().columns());
            equalities = pairs.collect();
            if keeps_right {
                (other.push(&join.left)?, self.push(&join.right)?)
            } else {
                (self.push(&join.left)?, other.push(&join.right)?)
            }
        };
        let mut condition = join.filter.clone();
        for (a, b) in &join.on {
            let equal = match join.null_equality {
                NullEquality::NullEqualsNothing => a.clone().eq(b.clone()),
                NullEquality::NullEqualsNull => not_distinct(a.clone(), b.clone()),
            };
            condition = Some(condition.map_or(equal.clone(), |condition| condition.and(equal)));
        }
        let mut condition = condition.map(|condition| bind(condition, &self.carried, &own)).transpose()?;
        for (a, b) in &equalities {
            let same = not_distinct(Expr::Column(a.clone()), Expr::Column(b.clone()));
            condition = Some(condition.map_or(same.clone(), |condition| condition.and(same)));
        }
        let joined = LogicalPlanBuilder::from(left_plan).join_on(right_plan, join.join_type, condition)?.build()?;
        let carried: Vec<Expr> = if join.join_type == JoinType::Full {
            let merged = equalities.iter().map(|(a, b)| {
                let values = vec![Expr::Column(a.clone()), Expr::Column(b.clone())];
                renamed(datafusion::functions::core::expr_fn::coalesce(values), a.relation.as_ref(), &a.name)
            });
            merged.collect()
        } else {
            self.columns()
        };
        let exprs: Vec<Expr> = carried.into_iter().chain(join.schema.columns().into_iter().map(Expr::Column)).collect();
        LogicalPlanBuilder::from(joined).project(exprs)?.build()
    }
}

/// What an aggregate is over no rows, if that is not NULL.
fn default_value(expr: &Expr, aggregate: &Aggregate) -> Result<Option<ScalarValue>> {
    use datafusion::logical_expr::ExprSchemable;
    let mut inner = expr;
    while let Expr::Alias(alias) = inner {
        inner = &alias.expr;
    }
    let Expr::AggregateFunction(AggregateFunction { func, .. }) = inner else { return Ok(None) };
    let default = func.default_value(&expr.get_type(aggregate.input.schema())?)?;
    Ok((!default.is_null()).then_some(default))
}
