//! The walk over a plan: inputs first, then subqueries, which see the columns around them with the types these have by then.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, Result};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, RecursiveQuery, Subquery,
    TableScan,
};

use super::ordered;
use super::results::{as_before, remember_results, values_list, with_room_for};
use super::rule;
use super::sets::{intersected, is_intersection, unite};
use super::suggest::suggest;
use crate::pg::TOLD_APART;
use crate::plan::decorrelate::{barrier, lateral_left};
use crate::plan::records::in_order;
use crate::plan::{Scope, arrays, ties};
use crate::types::PgType;

/// Applies the rules of typing to plans.
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    /// What subqueries see of the queries around them, the innermost last.
    around: Vec<DFSchema>,
    /// The rows that recursive queries start each step from, by the names of those queries.
    work_tables: HashMap<String, SchemaRef>,
    /// Types of parameters, where they are still to be found out.
    types: Option<Vec<Option<PgType>>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self { scope, around: Vec::new(), work_tables: HashMap::new(), types: None }
    }

    /// One that finds out which types parameters have, beside those of which it is known.
    pub(super) fn noting(scope: &'a Scope, types: Vec<Option<PgType>>) -> Self {
        Self { types: Some(types), ..Self::new(scope) }
    }

    /// The types of parameters.
    pub(super) fn into_types(self) -> Vec<Option<PgType>> {
        self.types.unwrap_or_default()
    }

    /// A plan after the rules.
    #[recursive::recursive]
    pub(super) fn plan(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if let LogicalPlan::RecursiveQuery(query) = plan {
            return self.recursive_query(query);
        }
        let plan = ordered::collecting(self.children(with_keys_as_columns(plan)?)?)?;
        // A limit is counted in the engine's own integers.
        if let LogicalPlan::Limit(limit) = plan {
            return ties::kept(limit);
        }
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        self.around.push(schema);
        let plan = plan.map_subqueries(|subquery| self.plan(subquery).map(Transformed::yes));
        let schema = self.around.pop().unwrap_or_else(DFSchema::empty);
        self.node(plan?.data, &schema)
    }

    /// The plan with its inputs after the rules. The right side of a lateral join sees the left.
    fn children(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let is_lateral = lateral_left(&plan).is_some();
        let mut left = None;
        let plan = plan.map_children(|child| {
            let around = self.around.len();
            self.around.extend(left.take());
            let child = self.plan(child);
            self.around.truncate(around);
            let child = child?;
            left = is_lateral.then(|| child.schema().as_ref().clone());
            Ok(Transformed::yes(child))
        })?;
        Ok(match plan.data {
            LogicalPlan::Subquery(subquery) => {
                let outer_ref_columns = subquery.subquery.all_out_ref_exprs();
                LogicalPlan::Subquery(Subquery { outer_ref_columns, ..subquery })
            }
            other => other,
        })
    }

    fn node(&mut self, node: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
        if let Some(types) = &mut self.types {
            suggest(&node, schema, types)?;
        }
        let names = NamePreserver::new(&node);
        let values = matches!(node, LogicalPlan::Values(_));
        let keys = null_safe_keys(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| rule(self.scope, self.seen(expr), schema))?;
            Ok(if values { rewritten } else { rewritten.update_data(|expr| name.restore(expr)) })
        })?;
        let mapped = if keys == NullSafe::Compared { mapped.map_data(compare_null_safely)? } else { mapped };
        if keys == NullSafe::Joined {
            // Or a later equality would become a key of the same, null-safe join.
            return barrier(mapped.data);
        }
        match mapped.data {
            // Its schema is not recomputed: it is built anew, with a common type for each column.
            LogicalPlan::Values(values) => values_list(self.scope, values.values),
            LogicalPlan::Union(union) => unite(self.scope, union),
            LogicalPlan::Join(join) if is_intersection(&join) => intersected(self.scope, join),
            LogicalPlan::Sort(sort) => Ok(LogicalPlan::Sort(in_order(self.scope, sort)?)),
            LogicalPlan::TableScan(scan) => self.scan(scan),
            // What it is by and the order are the same expressions, which have no names.
            LogicalPlan::Distinct(Distinct::On(mut on)) => {
                on.on_expr = on.on_expr.into_iter().map(Expr::unalias).collect();
                for sort in on.sort_expr.iter_mut().flatten() {
                    sort.expr = std::mem::take(&mut sort.expr).unalias();
                }
                LogicalPlan::Distinct(Distinct::On(on)).recompute_schema()
            }
            other => other.recompute_schema().and_then(remember_results).and_then(arrays::unnested),
        }
    }

    /// A column of a query around this one, as it is there.
    fn seen(&self, expr: Expr) -> Expr {
        let Expr::OuterReferenceColumn(known, column) = expr else { return expr };
        let field = self.around.iter().rev().find_map(|schema| schema.field_from_column(&column).ok()).cloned();
        Expr::OuterReferenceColumn(field.unwrap_or(known), column)
    }

    /// WITH RECURSIVE: the rows of all steps have the types of the first. `42804`.
    fn recursive_query(&mut self, query: RecursiveQuery) -> Result<LogicalPlan> {
        let mut start = self.plan(Arc::unwrap_or_clone(query.static_term))?;
        let written = as_written(Arc::unwrap_or_clone(query.recursive_term))?;
        let mut step = self.step(&query.name, &start, written.clone())?;
        if let Some(wider) = with_room_for(&step, &start)? {
            start = wider;
            step = self.step(&query.name, &start, written)?;
        }
        let step = as_before(self.scope, &query.name, &start, step)?;
        RecursiveQuery::try_new(query.name, Arc::new(start), Arc::new(step), query.is_distinct)
            .map(LogicalPlan::RecursiveQuery)
    }

    /// The recursive term over rows like those of another plan.
    fn step(&mut self, name: &str, before: &LogicalPlan, term: LogicalPlan) -> Result<LogicalPlan> {
        let fields = before.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let work_table = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let hidden = self.work_tables.insert(name.to_owned(), work_table);
        let typed = self.plan(term);
        match hidden {
            Some(hidden) => self.work_tables.insert(name.to_owned(), hidden),
            None => self.work_tables.remove(name),
        };
        typed
    }

    /// A read of a recursive query's rows with the types that they have by now.
    fn scan(&self, mut scan: TableScan) -> Result<LogicalPlan> {
        let provider = source_as_provider(&scan.source).ok();
        let name = provider.as_ref().and_then(|provider| Some(provider.downcast_ref::<CteWorkTable>()?.name()));
        if let Some((name, schema)) = name.and_then(|name| self.work_tables.get_key_value(name)) {
            let shown = DFSchema::try_from_qualified_schema(scan.table_name.clone(), schema)?;
            scan.projected_schema = Arc::new(shown);
            scan.source = provider_as_source(Arc::new(CteWorkTable::new(name, Arc::clone(schema))));
        }
        Ok(LogicalPlan::TableScan(scan))
    }
}

/// GROUPING SETS and their like over columns alone: what is computed is a column of the input, whose name stays what it is
/// when the rules change how it is computed.
fn with_keys_as_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(plan) };
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return Ok(plan) };
    let mut keys = sets.distinct_expr();
    keys.retain(|key| !matches!(key, Expr::Column(_)));
    if keys.is_empty() {
        return Ok(plan);
    }
    let as_column = |expr: Expr| {
        expr.transform_down(|expr| {
            if !keys.contains(&&expr) {
                return Ok(Transformed::no(expr));
            }
            let column = Expr::Column(Column::new_unqualified(expr.schema_name().to_string()));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })
        .map(|transformed| transformed.data)
    };
    let is_grouping =
        |expr: &Expr| matches!(expr.clone().unalias(), Expr::AggregateFunction(call) if call.func.name() == "grouping");
    let groups = as_column(Expr::GroupingSet(sets.clone()))?;
    let values = aggregate.aggr_expr.iter().cloned();
    let values = values.map(|expr| if is_grouping(&expr) { as_column(expr) } else { Ok(expr) });
    let computed = keys.iter().map(|key| (*key).clone().alias(key.schema_name().to_string()));
    let columns = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(aggregate.input.as_ref().clone())
        .project(columns.chain(computed).collect::<Vec<_>>())?
        .aggregate([groups], values.collect::<Result<Vec<_>>>()?)?
        .build()
}

/// A recursive term without the engine's casts to the types of the first term. What is written there is marked.
fn as_written(term: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(Projection { expr, input, .. }) = term else { return Ok(term) };
    let written = expr.into_iter().map(|expr| {
        expr.transform_down(|expr| match expr {
            Expr::Alias(_) => Ok(Transformed::no(expr)),
            Expr::Cast(cast) if is_written(&cast.expr) => {
                Ok(Transformed::new(*cast.expr, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::new(other, false, TreeNodeRecursion::Jump)),
        })
        .map(|transformed| transformed.data)
    });
    Projection::try_new(written.collect::<Result<_>>()?, input).map(LogicalPlan::Projection)
}

fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::ScalarFunction(function) => function.func.name() == TOLD_APART,
        _ => false,
    }
}

/// What becomes of IS NOT DISTINCT FROM between columns in a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NullSafe {
    None,
    /// A join by nothing else.
    Joined,
    /// A condition beside others: the engine would take all of them for null-safe.
    Compared,
}

fn null_safe_keys(node: &LogicalPlan) -> NullSafe {
    let condition = match node {
        LogicalPlan::Filter(filter) => Some(&filter.predicate),
        LogicalPlan::Join(join) => join.filter.as_ref(),
        _ => None,
    };
    let is_null_safe = |expr: &Expr| {
        matches!(expr, Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right })
            if !left.column_refs().is_empty() && !right.column_refs().is_empty())
    };
    let conjuncts = condition.map(split_conjunction).unwrap_or_default();
    if !conjuncts.iter().any(|expr| expr.exists(|expr| Ok(is_null_safe(expr))).unwrap_or(true)) {
        NullSafe::None
    } else if matches!(node, LogicalPlan::Join(join) if join.on.is_empty())
        && conjuncts.iter().all(|expr| is_null_safe(expr))
    {
        NullSafe::Joined
    } else {
        NullSafe::Compared
    }
}

/// IS NOT DISTINCT FROM between columns in a form that is no key of a join.
fn compare_null_safely(node: LogicalPlan) -> Result<LogicalPlan> {
    let compared = node.map_expressions(|expr| {
        expr.transform_up(|expr| match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right }) => {
                let (null, equal) = ((*left).clone().is_null().and((*right).clone().is_null()), (*left).eq(*right));
                Ok(Transformed::yes(coalesce(vec![equal, null])))
            }
            other => Ok(Transformed::no(other)),
        })
    });
    compared.map(|transformed| transformed.data)
}
