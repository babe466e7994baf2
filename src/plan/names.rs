//! What names in a query stand for: relations of the catalog, functions of the engine, types.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF, ident, lit,
};

use super::domain::cast_field;
use super::from_function::FromFunction;
use super::insert::cannot_open;
use super::modify::TARGET;
use super::{Scope, TableChange, policy, query};
use crate::catalog::{CatalogState, Column, Relation, RelationKind, Sequence};
use crate::context::Context;
use crate::context::undefined_table;
use crate::error::{Plain, SqlError, SqlState, internal, unsupported};
use crate::guard::{ResultTable, ViewTable, masks};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::function::PgFunction;
use crate::pg::system::{self, SystemFunction, SystemRelation};
use crate::pg::{MASK_HASH, SystemTable, Unified, advisory_function, mask_hash};
use crate::statement::{AsOf, as_it_was};
use crate::types::{field, from_sql};

/// Views and policies may refer to each other this deep.
const DEPTH_MAX: usize = 32;

/// Resolves one query's names.
pub(super) struct Names<'a> {
    pub(super) scope: &'a Scope,
    state: &'a SessionState,
    system: Arc<SessionState>,
    types: Arc<dyn TypePlanner>,
    relations: Vec<Arc<dyn RelationPlanner>>,
    /// Relations whose policies are being bound: a policy that reads its own table never ends.
    pub(super) within: Vec<ObjectId>,
    /// Whether it is a masking policy's expression that is bound.
    for_mask: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(scope: &'a Scope, within: Vec<ObjectId>) -> Self {
        let state = scope.engine.state();
        Self {
            scope,
            state,
            system: Arc::clone(scope.engine.state()),
            types: Arc::new(Types(scope.ctx.clone())),
            relations: vec![Arc::new(FromFunction)],
            within,
            for_mask: false,
        }
    }

    /// For the expression of a masking policy.
    pub(super) fn for_mask(self) -> Self {
        Self { for_mask: true, ..self }
    }

    fn source(&self, name: &QualifiedName) -> Result<Arc<dyn TableSource>, SqlError> {
        let scope = self.scope;
        if name.name == TARGET
            && let Some(target) = &scope.target
        {
            let relation = scope.ctx.catalog.relation(target.id).ok_or_else(|| undefined_table(name))?;
            let filter = target.row_filter.clone();
            let table = scope.guard.open_target(&scope.ctx, target.id, relation, filter, &self.system)?;
            return Ok(provider_as_source(table));
        }
        if let Some(result) = scope.results.get(&name.name).filter(|_| name.schema.is_none()) {
            let without = || {
                let message = format!("WITH query \"{}\" does not have a RETURNING clause", name.name);
                Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            };
            let result: Arc<ResultTable> = Arc::clone(result.as_ref().ok_or_else(without)?);
            result.want();
            return Ok(provider_as_source(result));
        }
        if let Some(relation) = system::relation(name.schema.as_deref(), &name.name) {
            return self.system_source(relation);
        }
        if let Some((own, moment)) = as_it_was(&name.name) {
            if let AsOf::Changes { table, .. } = &moment {
                return self.changes_source(&QualifiedName::parse(table)?, &moment);
            }
            return self.past_source(&QualifiedName { schema: name.schema.clone(), name: own.to_owned() }, &moment);
        }
        let (id, relation) = scope.ctx.relation(name).ok_or_else(|| scope.ctx.missing_relation(name))?;
        if self.within.len() > DEPTH_MAX {
            return Err(unsupported("nesting of views and policies this deep").into());
        }
        match &relation.storage {
            RelationKind::Table(_) if let Some(moment) = &scope.facts.moment => self.past_source(name, moment),
            RelationKind::Table(_) | RelationKind::External(_) => {
                let policies = policy::bind(scope, id, relation, &self.within)?;
                let table = scope.guard.open(&scope.ctx, id, relation, policies, &self.system)?;
                Ok(provider_as_source(table))
            }
            RelationKind::View(view) => {
                let checked_as = if view.security_invoker { scope.ctx.role } else { relation.owner };
                // What it hides may hang on tables whose past is not the reader's to choose.
                if scope.facts.moment.is_some() && !scope.ctx.owns(checked_as) {
                    return Err(unsupported("reading another owner's view as it was").into());
                }
                let inner = scope.as_role(checked_as, &view.search_path);
                let mut within = self.within.clone();
                within.push(id);
                let plan = query::view(&inner, relation, view, within)?;
                let schema = Arc::clone(plan.schema().inner());
                Ok(provider_as_source(Arc::new(ViewTable { relation: Some(id), schema, plan, checked_as })))
            }
            RelationKind::Sequence(sequence) => self.sequence_source(id, sequence),
            RelationKind::Index(_) => Err(cannot_open(relation).into()),
        }
    }

    /// A sequence as a table: where it stands.
    fn sequence_source(&self, id: ObjectId, sequence: &Sequence) -> Result<Arc<dyn TableSource>, SqlError> {
        let ctx = &self.scope.ctx;
        self.scope.note_moment();
        let last = ctx.counter(id).last(id)?.filter(|last| *last != sequence.before(sequence.start));
        let row = vec![lit(last.unwrap_or(sequence.start)), lit(0_i64), lit(last.is_some())];
        let named = ["last_value", "log_cnt", "is_called"].iter().enumerate();
        let named: Vec<Expr> = named.map(|(index, name)| ident(format!("column{}", index + 1)).alias(*name)).collect();
        let plan = LogicalPlanBuilder::values(vec![row]).and_then(|values| values.project(named));
        let plan = plan.and_then(LogicalPlanBuilder::build).map_err(SqlError::from_engine)?;
        let schema = Arc::clone(plan.schema().inner());
        Ok(provider_as_source(Arc::new(ViewTable { relation: Some(id), schema, plan, checked_as: ctx.role })))
    }

    /// A table as it was, under the policies of today. They are about the columns of today: where those were others, and
    /// something is hidden, it is refused. Rights on single columns do not count.
    fn past_source(&self, name: &QualifiedName, moment: &AsOf) -> Result<Arc<dyn TableSource>, SqlError> {
        let (id, now) = self.with_past(name)?;
        let past = self.scope.facts.past.get(moment).ok_or_else(|| internal("a moment that was not looked up"))?;
        self.past_table(name, id, now, past)
    }

    /// The rows that snapshots gave a table and took from it, as it is at the last of them.
    fn changes_source(&self, name: &QualifiedName, moment: &AsOf) -> Result<Arc<dyn TableSource>, SqlError> {
        let (id, now) = self.with_past(name)?;
        let changes =
            self.scope.facts.changes.get(moment).ok_or_else(|| internal("changes that were not looked up"))?;
        let mut all: Option<LogicalPlanBuilder> = None;
        for TableChange { snapshot, kind, catalog } in changes {
            let source = self.past_table(name, id, now, catalog)?;
            let columns: Vec<Expr> = source.schema().fields().iter().map(|field| ident(field.name())).collect();
            let own = [lit(snapshot.0).alias("snapshot_id"), lit(kind.text()).alias("change_type")];
            let part = LogicalPlanBuilder::scan("changed", source, None)
                .and_then(|scan| scan.project(own.into_iter().chain(columns).collect::<Vec<_>>()));
            let part = part.map_err(SqlError::from_engine)?;
            all = Some(match all {
                None => part,
                Some(all) => part.build().and_then(|part| all.union(part)).map_err(SqlError::from_engine)?,
            });
        }
        let all = all.ok_or_else(|| internal("changes of nothing"))?;
        let plan = all.build().map_err(SqlError::from_engine)?;
        let schema = Arc::clone(plan.schema().inner());
        let checked_as = self.scope.ctx.role;
        Ok(provider_as_source(Arc::new(ViewTable { relation: None, schema, plan, checked_as })))
    }

    /// A table whose past the role may read.
    fn with_past(&self, name: &QualifiedName) -> Result<(ObjectId, &'a Relation), SqlError> {
        let scope = self.scope;
        let (id, now) = scope.ctx.relation(name).ok_or_else(|| scope.ctx.missing_relation(name))?;
        if !matches!(now.storage, RelationKind::Table(_)) {
            return Err(unsupported(format!("the past of a {}", now.kind_name())).into());
        }
        if !scope.ctx.may_read_all(id, now) {
            let message = format!("permission denied for table {}", now.name);
            let error = Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message);
            return Err(error.detail("The past of a table may be read by those who may read all of it.").into());
        }
        Ok((id, now))
    }

    fn past_table(
        &self,
        name: &QualifiedName,
        id: ObjectId,
        now: &Relation,
        past: &Arc<CatalogState>,
    ) -> Result<Arc<dyn TableSource>, SqlError> {
        let scope = self.scope;
        let Some(then) = past.relation(id) else {
            let message = format!("relation \"{name}\" did not exist at snapshot {}", past.snapshot);
            return Err(Plain::new(SqlState::UNDEFINED_TABLE, message).into());
        };
        let policies = policy::bind(scope, id, now, &self.within)?;
        // A column that is gone, or is not computed any more, may have been masked.
        let was_masked = !masks(&scope.ctx, &scope.reader, id, then)?.is_empty();
        let same = |(then, now): (&Column, &Column)| {
            let read = |column: &Column| column.generated.as_ref().map(|own| own.columns.clone());
            (then.id, &then.name, &then.pg) == (now.id, &now.name, &now.pg) && read(then) == read(now)
        };
        let unchanged = then.columns.len() == now.columns.len() && then.columns.iter().zip(&now.columns).all(same);
        if (policies.is_some() || was_masked) && !unchanged {
            return Err(unsupported("reading under policies what a table was before its columns changed").into());
        }
        let mut ctx = scope.ctx.clone();
        ctx.catalog = Arc::clone(past);
        ctx.staged = Arc::default();
        Ok(provider_as_source(scope.guard.open(&ctx, id, then, policies, &self.system)?))
    }

    fn system_source(&self, relation: &'static SystemRelation) -> Result<Arc<dyn TableSource>, SqlError> {
        let scope = self.scope;
        let Some(query) = system::view_query(relation) else {
            return Ok(provider_as_source(Arc::new(SystemTable::new(relation, &scope.ctx))));
        };
        // What it reads is found before anything of the search path, which tells how names are shown.
        let plan = query::system_view(scope, relation, query)?;
        let schema = Arc::clone(plan.schema().inner());
        Ok(provider_as_source(Arc::new(ViewTable { relation: None, schema, plan, checked_as: scope.ctx.role })))
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let name = QualifiedName { schema: name.schema().map(str::to_owned), name: name.table().to_owned() };
        Ok(self.source(&name)?)
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let function = self.state.table_functions().get(name);
        match function {
            Some(function) if name == "generate_series" => Ok(provider_as_source(
                function
                    .create_table_provider_with_args(datafusion::catalog::TableFunctionArgs::new(&args, self.state))?,
            )),
            _ => Err(super::typing::undefined_function(name).into()),
        }
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relations
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == MASK_HASH && self.for_mask {
            let key = self.scope.ctx.catalog.database().and_then(|database| database.hash_key.as_ref());
            return key.map(|key| Arc::new(mask_hash(key)));
        }
        match SystemFunction::bind(name, &self.scope.ctx.as_role(self.scope.ctx.user)) {
            Some(function) => Some(Arc::new(ScalarUDF::new_from_impl(function))),
            None if let Some(function) = advisory_function(name, &self.scope.ctx) => Some(Arc::new(function)),
            None => match self.state.scalar_functions().get(name) {
                Some(function) if Unified::applies_to(name) => {
                    Some(Arc::new(ScalarUDF::new_from_impl(Unified::new(Arc::clone(function)))))
                }
                Some(function) => Some(Arc::clone(function)),
                None if name == "unnest"
                    || self.state.aggregate_functions().contains_key(name)
                    || self.state.window_functions().contains_key(name) =>
                {
                    None
                }
                None => Some(Arc::new(ScalarUDF::new_from_impl(PgFunction::unknown(name)))),
            },
        }
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// SQL type names as PostgreSQL understands them.
#[derive(Debug)]
struct Types(Context);

impl TypePlanner for Types {
    fn plan_type_field(&self, sql: &sqlparser::ast::DataType) -> Result<Option<FieldRef>> {
        let named = from_sql(sql).map_err(|error| DataFusionError::from(SqlError::from(error)))?;
        let (pg, domain) = self.0.named_type(&named).map_err(SqlError::from)?;
        Ok(Some(Arc::new(match domain {
            Some(domain) => cast_field(&pg, domain.id),
            None => field("", &pg, true),
        })))
    }
}
