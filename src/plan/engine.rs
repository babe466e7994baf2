//! DataFusion, set up once: functions, optimizer, limits. Nothing is registered in it; tables come from the catalog.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use super::BarrierPlanner;
use super::joins::{AskedInPart, YieldInJoins};
use super::opaque::{HideOrderings, KeepFilters};
use crate::error::SqlError;
use crate::pg::function::{OperatorPlanner, functions};
use crate::pg::{
    ARRAY_SUBQUERY, AnyEqual, ArrayMark, ArrayOf, Bound, BytesPlanner, IntervalPlanner, Subscripts, ToldApart,
    ToldByType, UNTYPED_ARRAY, dimension_functions, json_functions, mask_functions, ordered_set_functions,
    placeholder_functions, record_functions, sleep_functions, volatile_functions,
};

/// Consumers named when memory runs out.
const CONSUMERS_SHOWN: usize = 5;

/// The engine that all sessions share.
#[derive(Debug)]
pub struct Engine {
    state: Arc<SessionState>,
    task: Arc<TaskContext>,
    runtime: Arc<RuntimeEnv>,
}

impl Engine {
    /// `memory_bytes` bounds what all statements together keep in memory; beyond it they spill or fail with `53200`.
    pub fn new(partitions: usize, memory_bytes: usize) -> std::result::Result<Self, SqlError> {
        let consumers = std::num::NonZeroUsize::new(CONSUMERS_SHOWN).unwrap_or(std::num::NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes), consumers);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            // A folder is listed by each query: files that came are seen, and so is a credential that went.
            .with_object_list_cache_limit(0)
            .build_arc()
            .map_err(SqlError::from_engine)?;
        let mut options = ConfigOptions::new();
        // Aggregates over a subquery collect in its order (`typing/ordered.rs`).
        options.sql_parser.enable_subquery_sort_elimination = false;
        options.execution.target_partitions = partitions;
        options.execution.collect_statistics = true;
        // It takes a literal under DISTINCT for a column that may be NULL, and fails because it was not before.
        options.execution.skip_physical_aggregate_schema_check = true;
        options.explain.show_statistics = false;
        options.catalog.create_default_catalog_and_schema = false;
        let config = SessionConfig::from(options);
        let table_functions = SessionStateDefaults::default_table_functions().into_iter();
        let table_functions = table_functions.map(|function| (function.name().to_owned(), function)).collect();
        let mut rules = PhysicalOptimizer::new().rules;
        rules.insert(0, Arc::new(HideOrderings));
        for rule in rules.iter_mut().filter(|rule| rule.name().starts_with("FilterPushdown")) {
            *rule = Arc::new(KeepFilters(Arc::clone(rule)));
        }
        rules.push(Arc::new(AskedInPart));
        rules.push(Arc::new(YieldInJoins));
        let mut planners = SessionStateDefaults::default_expr_planners();
        planners.insert(0, Arc::new(IntervalPlanner));
        planners.insert(0, Arc::new(BytesPlanner));
        planners.insert(0, Arc::new(OperatorPlanner));
        let mut template = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_table_functions(table_functions)
            .with_expr_planners(planners)
            .with_query_planner(Arc::new(BarrierPlanner))
            .with_physical_optimizer_rules(rules)
            .with_optimizer_rules(datafusion::optimizer::Optimizer::new().rules)
            .build();
        let own = [
            ScalarUDF::new_from_impl(ArrayMark::new(ARRAY_SUBQUERY)),
            ScalarUDF::new_from_impl(AnyEqual::default()),
            ScalarUDF::new_from_impl(ArrayOf::default()),
            ScalarUDF::new_from_impl(Bound::lower()),
            ScalarUDF::new_from_impl(Bound::upper()),
            ScalarUDF::new_from_impl(Subscripts::default()),
            ScalarUDF::new_from_impl(ToldApart::default()),
            ScalarUDF::new_from_impl(ArrayMark::new(UNTYPED_ARRAY)),
        ];
        for function in placeholder_functions()
            .into_iter()
            .chain(own)
            .chain(ToldByType::all().map(ScalarUDF::new_from_impl))
            .chain(json_functions())
            .chain(mask_functions())
            .chain(ordered_set_functions())
            .chain(record_functions())
            .chain(dimension_functions())
            .chain(volatile_functions())
            .chain(sleep_functions())
            .chain(functions())
        {
            use datafusion::logical_expr::registry::FunctionRegistry;
            template.register_udf(Arc::new(function)).map_err(SqlError::from_engine)?;
        }
        let state = Arc::new(template);
        Ok(Self { task: state.task_ctx(), state, runtime })
    }

    /// Its functions, rules and options. One for all statements: nothing in it is a statement's own.
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// An expression over rows of a schema, with the casts that make its operands agree.
    pub fn coerced(&self, expr: &Expr, schema: &DFSchema) -> Result<Expr> {
        ExprSimplifier::new(self.simplification(schema)).coerce(expr.clone(), schema)
    }

    fn simplification(&self, schema: &DFSchema) -> SimplifyContext {
        SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_config_options(Arc::clone(self.state.config_options()))
            .build()
    }

    /// An expression over rows of a schema, to be evaluated outside of a plan. Only functions that exist until an expression
    /// is simplified are replaced: more would take CASE apart, whose branches guard each other.
    pub fn physical_expr(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        let context = self.simplification(schema);
        let coerced = ExprSimplifier::new(context.clone()).coerce(expr.clone(), schema)?;
        let replaced = coerced.transform_up(|expr| match expr {
            Expr::ScalarFunction(function) if function.name() == "coalesce" => {
                Ok(match function.func.simplify(function.args, &context)? {
                    ExprSimplifyResult::Simplified(simple) => Transformed::yes(simple),
                    ExprSimplifyResult::Original(args) => {
                        Transformed::no(Expr::ScalarFunction(ScalarFunction::new_udf(function.func, args)))
                    }
                })
            }
            other => Ok(Transformed::no(other)),
        })?;
        self.state.create_physical_expr(replaced.data, schema)
    }

    /// What plans run with. One for all, like the state.
    pub fn task(&self) -> Arc<TaskContext> {
        Arc::clone(&self.task)
    }

    /// Memory, spill files and object stores of all statements together.
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }
}
