//! The opaque leaf: a table under row policies and masks.
//!
//! Inside, three stages — row policy, the user's leakproof filters and limit, masks — are planned one by one and closed
//! with a barrier each, so that no optimizer rule moves an expression from one into another: neither a mask below the
//! policy, nor a user's comparison before it. Outside, the leaf has no children, no statistics and no error text of its
//! own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan, TableType,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{SchedulingType, reset_plan_states};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt;

use super::in_part::asked_in_part;
use super::leakproof::{leakproof, unqualified};
use super::view::expand_views;
use crate::catalog::Relation;
use crate::error::{Plain, SqlError, SqlState};
use crate::name::ObjectId;

/// Bound over the raw columns, which they name without qualifier.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Rows for which it is not true are hidden. `None`: row security is not in force, all rows are seen.
    pub row_filter: Option<Expr>,
    /// By column.
    pub masks: Vec<Option<Expr>>,
    /// Which they are, for those who ask.
    pub applied: Vec<AppliedPolicy>,
}

/// A policy that a relation is read through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppliedPolicy {
    /// Rows are seen if this permissive policy, or another one, says so.
    Permissive(String),
    /// Rows are seen only if this policy says so.
    Restrictive(String),
    /// No permissive policy is for the reader: no row is seen.
    NoRow,
    /// Values of a column are replaced.
    Mask {
        /// The policy's name.
        policy: String,
        /// The column's name.
        column: String,
    },
    /// A column that may not be read: policies are for its tag, but none for its type.
    Nothing {
        /// The column's name.
        column: String,
    },
}

impl fmt::Display for AppliedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permissive(policy) => write!(f, "permissive row policy {policy}"),
            Self::Restrictive(policy) => write!(f, "restrictive row policy {policy}"),
            Self::NoRow => f.write_str("no row policy, no row"),
            Self::Mask { policy, column } => write!(f, "masking policy {policy} on column {column}"),
            Self::Nothing { column } => write!(f, "no masking policy for the type of column {column}, no value"),
        }
    }
}

/// A plan for EXPLAIN: what of it is seen outside of the leaves does not depend on what is hidden in them.
pub fn shown(plan: LogicalPlan) -> Result<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<SecureTable>() else { return Ok(Transformed::no(node)) };
        let table = SecureTable { shown: true, ..table.clone() };
        let source = provider_as_source(Arc::new(table));
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan.clone() })))
    });
    replaced.map(|replaced| replaced.data)
}

/// The relations under policies that a permitted plan reads, in the order in which it names them; some more than once.
pub fn applied(plan: &LogicalPlan) -> Result<Vec<(ObjectId, Vec<AppliedPolicy>)>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = source_as_provider(&scan.source)?.downcast_ref::<SecureTable>()
        {
            found.push((table.relation, table.policies.applied.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// A relation as one user sees it.
#[derive(Clone, Debug)]
pub struct SecureTable {
    relation: ObjectId,
    name: String,
    /// Masked columns are nullable: a mask may be NULL where the column is not.
    schema: SchemaRef,
    policies: Policies,
    raw: Arc<dyn TableProvider>,
    system: Arc<SessionState>,
    /// Whether its plan is made for others to see: then it has as many parts whatever is hidden.
    shown: bool,
}

impl SecureTable {
    pub(super) fn new(
        id: ObjectId,
        relation: &Relation,
        raw: Arc<dyn TableProvider>,
        policies: Policies,
        system: Arc<SessionState>,
    ) -> Self {
        let raw_schema = raw.schema();
        let fields = raw_schema.fields().iter().zip(&policies.masks).map(|(field, mask)| match mask {
            Some(_) => Arc::new(field.as_ref().clone().with_nullable(true)),
            None => Arc::clone(field),
        });
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        Self { relation: id, name: relation.name.clone(), schema, policies, raw, system, shown: false }
    }

    /// The relation of the catalog behind it: whose columns a query's lineage leads to.
    pub fn relation(&self) -> ObjectId {
        self.relation
    }

    /// The relation's name, without its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its rows pass through; the lineage of a query looks into it.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    fn mask(&self, index: usize) -> Option<&Expr> {
        self.policies.masks.get(index).and_then(Option::as_ref)
    }

    fn is_unmasked(&self, column: &str) -> bool {
        self.schema.index_of(column).is_ok_and(|index| self.mask(index).is_none())
    }

    async fn plan(&self, args: &ScanArgs<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let user = args.filters().unwrap_or(&[]);
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        if !user.iter().all(|filter| leakproof(filter, &schema, &|column| self.is_unmasked(column))) {
            return internal("a filter that was not offered as exact reached a secure table");
        }
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = args.projection().unwrap_or(&all);

        let raw_schema = DFSchema::try_from(self.raw.schema().as_ref().clone())?;
        let mut stage = LogicalPlanBuilder::scan(self.name.as_str(), provider_as_source(Arc::clone(&self.raw)), None)?;
        // A policy that can fail is closed before the user's filters: they would tell which hidden rows it failed on.
        let total = self.policies.row_filter.as_ref().is_none_or(|policy| leakproof(policy, &raw_schema, &|_| true));
        if let Some(policy) = &self.policies.row_filter {
            stage = stage.filter(policy.clone())?;
        }
        if !total && (!user.is_empty() || args.limit().is_some()) {
            stage = self.close(stage, &self.columns_for(user, wanted)).await?;
        }
        for filter in user {
            stage = stage.filter(unqualified(filter.clone())?)?;
        }
        if let Some(limit) = args.limit() {
            stage = stage.limit(0, Some(limit))?;
        }
        if wanted.iter().any(|index| self.mask(*index).is_some()) {
            stage = self.close(stage, &self.columns_for(&[], wanted)).await?;
        }
        let mut output = Vec::with_capacity(wanted.len());
        for index in wanted {
            let field = self.schema.field(*index);
            output.push(match self.mask(*index) {
                Some(mask) => {
                    let metadata = FieldMetadata::from(field.metadata().clone());
                    mask.clone()
                        .cast_to(field.data_type(), stage.schema())?
                        .alias_with_metadata(field.name(), Some(metadata))
                }
                None => column(field.name()),
            });
        }
        let plan = self.planned(stage.project(output)?).await?;
        // The engine does not compare a provider's plan with its schema: another type would panic in a kernel.
        for (index, got) in wanted.iter().zip(plan.schema().fields()) {
            let declared = self.schema.field(*index);
            if declared.data_type() != got.data_type() || (got.is_nullable() && !declared.is_nullable()) {
                return internal(&format!("the mask of column {} does not have the column's type", declared.name()));
            }
        }
        Ok(plan)
    }

    /// Raw columns that later stages read.
    fn columns_for(&self, filters: &[Expr], wanted: &[usize]) -> Vec<Expr> {
        let mut names: BTreeSet<String> =
            filters.iter().flat_map(Expr::column_refs).map(|column| column.name.clone()).collect();
        for index in wanted {
            match self.mask(*index) {
                Some(mask) => names.extend(mask.column_refs().into_iter().map(|column| column.name.clone())),
                None => {
                    names.insert(self.schema.field(*index).name().clone());
                }
            }
        }
        names.iter().map(|name| column(name)).collect()
    }

    /// The plan of a stage, which nobody else changes: whoever reads it may leave out partitions.
    async fn planned(&self, stage: LogicalPlanBuilder) -> Result<Arc<dyn ExecutionPlan>> {
        let stage = expand_views(stage.build()?)?;
        asked_in_part(self.system.create_physical_plan(&stage).await?)
    }

    /// Plans what is there, hides it behind a barrier, and goes on from there.
    async fn close(&self, stage: LogicalPlanBuilder, columns: &[Expr]) -> Result<LogicalPlanBuilder> {
        let inner = self.planned(stage.project(columns.to_vec())?).await?;
        let closed =
            Stage { schema: inner.schema(), plan: Arc::new(SecurityBarrierExec::new(self.name.clone(), inner)) };
        LogicalPlanBuilder::scan(self.name.as_str(), provider_as_source(Arc::new(closed)), None)
    }
}

#[async_trait]
impl TableProvider for SecureTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        let verdict = |filter: &&Expr| {
            if leakproof(filter, &schema, &|column| self.is_unmasked(column)) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(verdict).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let args = ScanArgs::default()
            .with_projection(projection.map(Vec::as_slice))
            .with_filters(Some(filters))
            .with_limit(limit);
        Ok(self.scan_with_args(state, args).await?.into_inner())
    }

    async fn scan_with_args<'a>(&self, _user: &dyn Session, args: ScanArgs<'a>) -> Result<ScanResult> {
        // Planning fails with data in its text too: constant folding, file paths.
        let mut inner = self.plan(&args).await.map_err(|error| sanitize(&self.name, error))?;
        if self.shown {
            let parts = Partitioning::RoundRobinBatch(self.system.config().target_partitions());
            inner = Arc::new(RepartitionExec::try_new(inner, parts)?);
        }
        Ok(ScanResult::new(Arc::new(SecurityBarrierExec::new(self.name.clone(), inner))))
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn internal<T>(message: &str) -> Result<T> {
    Err(DataFusionError::Internal(message.to_owned()))
}

/// One stage as the next one reads it.
#[derive(Debug)]
struct Stage {
    schema: SchemaRef,
    plan: Arc<dyn ExecutionPlan>,
}

#[async_trait]
impl TableProvider for Stage {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !filters.is_empty() {
            return internal("a stage takes no filters");
        }
        let Some(projection) = projection else { return Ok(Arc::clone(&self.plan)) };
        let output = projection.iter().map(|index| {
            let name = self.schema.field(*index).name();
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(datafusion::physical_expr::expressions::Column::new(name, *index));
            (column, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(output, Arc::clone(&self.plan))?))
    }
}

/// What a user may know about a failure behind the leaf; the log gets the rest.
pub fn sanitize(table: &str, error: DataFusionError) -> DataFusionError {
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        return DataFusionError::ResourcesExhausted("Not enough memory.".to_owned());
    }
    let cause = SqlError::from_engine(error);
    if matches!(cause.sqlstate(), SqlState::QUERY_CANCELED) {
        return cause.into();
    }
    let shown = SqlError::from(Plain::new(SqlState::DATA_EXCEPTION, format!("error while reading \"{table}\"")));
    tracing::info!(error_id = %shown.id(), cause = %cause.chain(), "failure behind a policy");
    shown.into()
}

/// Hides a plan: no children, no statistics, no filters taken in, errors without data.
#[derive(Debug)]
pub(super) struct SecurityBarrierExec {
    table: String,
    inner: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SecurityBarrierExec {
    fn new(table: String, inner: Arc<dyn ExecutionPlan>) -> Self {
        let known = inner.properties();
        // What the inside knows of orders and constants stays there: the engine would rely on it without seeing why. The inner
        // plan went through its cooperative-scheduling rule already.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(inner.schema()),
            known.output_partitioning().clone(),
            known.emission_type,
            known.boundedness,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { table, inner, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for SecurityBarrierExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => write!(f, "table={}", self.table),
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "SecureScan: {}", self.table),
        }
    }
}

impl ExecutionPlan for SecurityBarrierExec {
    fn name(&self) -> &'static str {
        "SecureScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal("SecureScan is a leaf") }
    }

    /// Recursive queries run a plan many times, and cannot reach the inside by themselves.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.table.clone(), reset_plan_states(Arc::clone(&self.inner))?)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let table = self.table.clone();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stream = self.inner.execute(partition, context).map_err(|error| sanitize(&table, error))?;
        let schema = stream.schema();
        let output = stream.map(move |batch| {
            if let Ok(batch) = &batch {
                metrics.output_rows().add(batch.num_rows());
            }
            batch.map_err(|error| sanitize(&table, error))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, output)))
    }
}
