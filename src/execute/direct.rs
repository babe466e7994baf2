//! Small queries without the engine's planner: rows that are given, or those of one table that have some key, then
//! conditions and expressions over them. What is not of that kind is the engine's.
//!
//! Parameters are columns after those of the input, so that one [`Direct`] serves all values.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::filter::batch_filter;

use crate::catalog::{CatalogState, RelationKind};
use crate::guard::OpenTable;
use crate::name::ObjectId;
use crate::plan::Scope;

/// How parameters are called among the columns. No statement can spell it.
const PARAMETER: &str = "\u{2}parameter";

/// A query that is evaluated as it is.
#[derive(Debug)]
pub(super) struct Direct {
    source: Source,
    steps: Vec<Step>,
    parameters: Vec<DataType>,
}

#[derive(Debug)]
enum Source {
    /// One row without columns.
    One,
    /// Rows of expressions.
    Values(Vec<Outputs>),
    /// Rows of a table by a key.
    Lookup(Lookup),
}

#[derive(Debug)]
struct Lookup {
    table: ObjectId,
    /// As it was opened for this statement; `None`: it is opened by each run.
    opened: Option<Arc<dyn TableProvider>>,
    /// Whether the rows are to be changed.
    addressed: bool,
    /// The columns of the key, by their places in the table.
    columns: Vec<usize>,
    /// Their values and types. A value of another integer type that does not fit is no row's.
    values: Vec<(Arc<dyn PhysicalExpr>, DataType)>,
    projection: Vec<usize>,
}

#[derive(Debug)]
enum Step {
    Filter(Arc<dyn PhysicalExpr>),
    Project(Outputs),
    /// Whatever the order is: one row is in it.
    AnyOrder,
    Limit(usize),
}

/// A row of expressions, and what they are called.
#[derive(Debug)]
struct Outputs {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Direct {
    /// For runs by other statements, each on its own catalog and rows.
    pub(super) fn kept(scope: &Scope, plan: &LogicalPlan, parameters: &[DataType]) -> Result<Option<Self>> {
        let mut direct = Self::new(scope, plan, parameters)?;
        if let Some(Self { source: Source::Lookup(lookup), .. }) = &mut direct {
            lookup.opened = None;
        }
        Ok(direct)
    }

    /// `None`: the engine has to do it.
    pub(super) fn new(scope: &Scope, plan: &LogicalPlan, parameters: &[DataType]) -> Result<Option<Self>> {
        if !may_be_direct(plan) {
            return Ok(None);
        }
        let mut compiler = Compiler { scope, parameters, key: None, source: None, steps: Vec::new() };
        if compiler.node(plan, None)?.is_none() {
            return Ok(None);
        }
        let Compiler { source: Some(source), steps, .. } = compiler else { return Ok(None) };
        Ok(Some(Self { source, steps, parameters: parameters.to_vec() }))
    }

    /// Its rows. `None`: the engine has to do it.
    pub(super) async fn rows(&self, scope: &Scope, values: &[ScalarValue]) -> Result<Option<RecordBatch>> {
        let typed = |(value, data_type): (&ScalarValue, &DataType)| value.data_type() == *data_type;
        if values.len() != self.parameters.len() || !values.iter().zip(&self.parameters).all(typed) {
            return Ok(None);
        }
        let mut rows = match &self.source {
            Source::One => one_row()?,
            Source::Values(rows) => {
                let one = one_row()?;
                let parts = rows.iter().map(|row| row.evaluate(&one, values)).collect::<Result<Vec<_>>>()?;
                let Some(first) = parts.first() else { return Ok(None) };
                concat_batches(first.schema_ref(), &parts)?
            }
            Source::Lookup(lookup) => match lookup.rows(scope, values).await? {
                Some(rows) => rows,
                None => return Ok(None),
            },
        };
        for step in &self.steps {
            rows = match step {
                Step::Filter(condition) => {
                    let kept = batch_filter(&with_parameters(&rows, values)?, condition)?;
                    let own: Vec<usize> = (0..rows.num_columns()).collect();
                    kept.project(&own)?
                }
                Step::Project(outputs) => outputs.evaluate(&rows, values)?,
                Step::AnyOrder if rows.num_rows() > 1 => return Ok(None),
                Step::AnyOrder => rows,
                Step::Limit(most) => rows.slice(0, rows.num_rows().min(*most)),
            };
        }
        Ok(Some(rows))
    }
}

impl Outputs {
    fn evaluate(&self, rows: &RecordBatch, values: &[ScalarValue]) -> Result<RecordBatch> {
        let input = with_parameters(rows, values)?;
        let value = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(&input)?.into_array(rows.num_rows());
        let columns = self.exprs.iter().map(value).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Lookup {
    async fn rows(&self, scope: &Scope, values: &[ScalarValue]) -> Result<Option<RecordBatch>> {
        let one = with_parameters(&one_row()?, values)?;
        let mut key = Vec::with_capacity(self.values.len());
        for (value, data_type) in &self.values {
            key.push(cast(&value.evaluate(&one)?.into_array(1)?, data_type)?);
        }
        let provider = match &self.opened {
            Some(opened) => Arc::clone(opened),
            None => self.open(scope)?,
        };
        let Some(table) = provider.downcast_ref::<OpenTable>() else { return Ok(None) };
        let Some(found) = table.lookup(&self.columns, &key, &self.projection).await? else { return Ok(None) };
        let schema = nullable(&Arc::new(table.schema().project(&self.projection)?));
        let relaxed = found.iter().map(|batch| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
        });
        Ok(match relaxed.collect::<Result<Vec<_>, _>>()?.as_slice() {
            [] => Some(RecordBatch::new_empty(schema)),
            [one] => Some(one.clone()),
            many => Some(concat_batches(&schema, many)?),
        })
    }

    fn open(&self, scope: &Scope) -> Result<Arc<dyn TableProvider>> {
        let gone = || datafusion::common::internal_datafusion_err!("relation {} is gone", self.table);
        let relation = scope.ctx.catalog.relation(self.table).ok_or_else(gone)?;
        let (ctx, guard, system) = (&scope.ctx, &scope.guard, scope.engine.state());
        let opened = if self.addressed {
            guard.open_target(ctx, self.table, relation, None, system)
        } else {
            guard.open(ctx, self.table, relation, None, system)
        };
        Ok(opened.map_err(crate::error::SqlError::from)?)
    }
}

/// A column's place, and the value that it is to have, of the column's type.
type Given = (usize, Arc<dyn PhysicalExpr>, DataType);

struct Compiler<'a> {
    scope: &'a Scope,
    parameters: &'a [DataType],
    /// What the condition above the scan says of the key.
    key: Option<Vec<Given>>,
    source: Option<Source>,
    steps: Vec<Step>,
}

/// A first look, which costs little.
fn may_be_direct(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => may_be_direct(&node.input),
        LogicalPlan::Filter(node) => {
            may_be_direct(&node.input) && !matches!(node.input.as_ref(), LogicalPlan::Projection(_))
        }
        LogicalPlan::SubqueryAlias(node) => may_be_direct(&node.input),
        LogicalPlan::Limit(node) => may_be_direct(&node.input),
        LogicalPlan::Sort(node) => may_be_direct(&node.input),
        LogicalPlan::TableScan(scan) => scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none(),
        LogicalPlan::Values(values) => values.values.len() <= VALUES_MAX,
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// Rows of VALUES that are evaluated one by one.
const VALUES_MAX: usize = 16;

impl Compiler<'_> {
    /// Adds what a node does; gives its columns. `wanted`: those that are read of it, if not all are.
    fn node(&mut self, plan: &LogicalPlan, wanted: Option<&BTreeSet<Column>>) -> Result<Option<DFSchema>> {
        Ok(match plan {
            LogicalPlan::Projection(node) => {
                let read: BTreeSet<Column> = node.expr.iter().flat_map(Expr::column_refs).cloned().collect();
                let Some(input) = self.node(&node.input, Some(&read))? else { return Ok(None) };
                let Some(outputs) = self.outputs(&node.expr, node.schema.inner(), &input)? else { return Ok(None) };
                let qualifiers = node.schema.iter().map(|(qualifier, _)| qualifier.cloned());
                let fields = qualifiers.zip(outputs.schema.fields().iter().cloned()).collect();
                self.steps.push(Step::Project(outputs));
                Some(DFSchema::new_with_metadata(fields, HashMap::new())?)
            }
            LogicalPlan::Filter(node) => {
                if !self.find_key(&node.predicate, &node.input)? {
                    return Ok(None);
                }
                let read = wanted.map(|wanted| {
                    wanted.iter().chain(node.predicate.column_refs()).cloned().collect::<BTreeSet<Column>>()
                });
                let Some(input) = self.node(&node.input, read.as_ref())? else { return Ok(None) };
                let Some(condition) = self.physical(&node.predicate, &input)? else { return Ok(None) };
                self.steps.push(Step::Filter(condition));
                Some(input)
            }
            LogicalPlan::SubqueryAlias(node) => {
                let inner = node.input.schema();
                let read = wanted.map(|wanted| {
                    let places = wanted.iter().filter_map(|column| node.schema.maybe_index_of_column(column));
                    places.map(|place| Column::from(inner.qualified_field(place))).collect::<BTreeSet<Column>>()
                });
                let Some(input) = self.node(&node.input, read.as_ref())? else { return Ok(None) };
                Some(DFSchema::try_from_qualified_schema(node.alias.clone(), input.as_arrow())?)
            }
            LogicalPlan::Limit(node) => {
                let most = match node.fetch.as_deref() {
                    Some(Expr::Literal(ScalarValue::Int64(Some(most)), _)) => usize::try_from(*most).ok(),
                    _ => None,
                };
                let skips = node
                    .skip
                    .as_deref()
                    .is_some_and(|skip| !matches!(skip, Expr::Literal(ScalarValue::Int64(Some(0) | None), _)));
                // Without rows nothing may be evaluated.
                let (Some(most @ 1..), false) = (most, skips) else { return Ok(None) };
                let Some(input) = self.node(&node.input, wanted)? else { return Ok(None) };
                if self.gives_several() {
                    return Ok(None);
                }
                self.steps.push(Step::Limit(most));
                Some(input)
            }
            LogicalPlan::Sort(node) => {
                let Some(input) = self.node(&node.input, wanted)? else { return Ok(None) };
                if self.gives_several() {
                    return Ok(None);
                }
                self.steps.push(Step::AnyOrder);
                if let Some(most) = node.fetch {
                    self.steps.push(Step::Limit(most));
                }
                Some(input)
            }
            LogicalPlan::TableScan(scan) => self.scan(scan, wanted)?,
            LogicalPlan::Values(values) => {
                let mut rows = Vec::with_capacity(values.values.len());
                for row in &values.values {
                    let Some(row) = self.outputs(row, values.schema.inner(), &DFSchema::empty())? else {
                        return Ok(None);
                    };
                    rows.push(row);
                }
                let Some(first) = rows.first().map(|row| Arc::clone(&row.schema)) else { return Ok(None) };
                if rows.iter().any(|row| row.schema != first) {
                    return Ok(None);
                }
                self.source = Some(Source::Values(rows));
                Some(DFSchema::try_from(first)?)
            }
            LogicalPlan::EmptyRelation(empty) => {
                self.source = Some(Source::One);
                Some(empty.schema.as_ref().clone())
            }
            _ => None,
        })
    }

    /// Whether there are several rows for sure: which of them are wanted, or in what order, is to be known before an expression
    /// over them has an effect.
    fn gives_several(&self) -> bool {
        matches!(&self.source, Some(Source::Values(rows)) if rows.len() > 1)
    }

    fn scan(&mut self, scan: &TableScan, wanted: Option<&BTreeSet<Column>>) -> Result<Option<DFSchema>> {
        let provider = source_as_provider(&scan.source)?;
        let (Some(table), Some(key)) = (provider.downcast_ref::<OpenTable>(), self.key.take()) else {
            return Ok(None);
        };
        let all = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        let projection: Vec<usize> = match wanted {
            Some(wanted) => {
                let places: BTreeSet<usize> =
                    wanted.iter().filter_map(|column| all.maybe_index_of_column(column)).collect();
                places.into_iter().collect()
            }
            None => (0..all.fields().len()).collect(),
        };
        let schema =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &all.as_arrow().project(&projection)?)?;
        self.source = Some(Source::Lookup(Lookup {
            table: table.relation(),
            addressed: table.is_addressed(),
            opened: Some(Arc::clone(&provider)),
            columns: key.iter().map(|(column, ..)| *column).collect(),
            values: key.into_iter().map(|(_, value, data_type)| (value, data_type)).collect(),
            projection,
        }));
        Ok(Some(schema))
    }

    /// Whether a condition gives a value to each column of a unique key of the table below it.
    fn find_key(&mut self, condition: &Expr, below: &LogicalPlan) -> Result<bool> {
        let mut table = below;
        while let LogicalPlan::SubqueryAlias(alias) = table {
            table = &alias.input;
        }
        let LogicalPlan::TableScan(scan) = table else { return Ok(false) };
        if !self.scope.ctx.settings.is_on("enable_indexscan") {
            return Ok(false);
        }
        let provider = source_as_provider(&scan.source)?;
        let Some(id) = provider.downcast_ref::<OpenTable>().map(OpenTable::relation) else { return Ok(false) };
        // Aliases keep the columns in their places.
        let schema = below.schema();
        let mut given: Vec<Given> = Vec::new();
        let coerced = self.scope.engine.coerced(condition, schema)?;
        for condition in split_conjunction_owned(coerced) {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { continue };
            for (column, value) in [(&left, &right), (&right, &left)] {
                let Some(place) = place_of(column, schema) else { continue };
                if given.iter().any(|(known, ..)| *known == place) || !is_constant(value) {
                    continue;
                }
                if let Some(value) = self.physical(value, &DFSchema::empty())? {
                    given.push((place, value, schema.field(place).data_type().clone()));
                }
            }
        }
        let catalog = &self.scope.ctx.catalog;
        let Some(key) = unique_key(catalog, id, |place| given.iter().any(|(known, ..)| *known == place)) else {
            return Ok(false);
        };
        given.retain(|(place, ..)| key.contains(place));
        self.key = Some(given);
        Ok(true)
    }

    fn outputs(&self, exprs: &[Expr], schema: &SchemaRef, input: &DFSchema) -> Result<Option<Outputs>> {
        let mut physical = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let Some(expr) = self.physical(expr, input)? else { return Ok(None) };
            physical.push(expr);
        }
        // As they are evaluated: the engine's own types may be others than those of the logical plan.
        let types = self.with_parameters(input)?;
        let fields = schema.fields().iter().zip(&physical).map(|(field, expr)| {
            Ok(Field::clone(field).with_data_type(expr.data_type(types.as_arrow())?).with_nullable(true))
        });
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?));
        Ok(Some(Outputs { exprs: physical, schema }))
    }

    /// An expression over some columns and the parameters; `None` if it needs the engine.
    fn physical(&self, expr: &Expr, input: &DFSchema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        if expr.exists(|expr| Ok(!is_simple(expr)))? {
            return Ok(None);
        }
        let mut unknown = false;
        let bound = expr.clone().transform_up(|expr| {
            let Expr::Placeholder(placeholder) = &expr else { return Ok(Transformed::no(expr)) };
            let number = placeholder.id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let known = number.and_then(|number| self.parameters.get(number.checked_sub(1)?));
            let same = placeholder.field.as_ref().is_some_and(|field| Some(field.data_type()) == known);
            match number.filter(|_| same) {
                Some(number) => Ok(Transformed::yes(Expr::Column(parameter(number)))),
                None => {
                    unknown = true;
                    Ok(Transformed::no(expr))
                }
            }
        })?;
        if unknown {
            return Ok(None);
        }
        self.scope.engine.physical_expr(&bound.data, &self.with_parameters(input)?).map(Some)
    }

    fn with_parameters(&self, input: &DFSchema) -> Result<DFSchema> {
        let mut fields: Vec<_> =
            input.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for (index, data_type) in self.parameters.iter().enumerate() {
            let own = parameter(index + 1);
            fields.push((own.relation, Arc::new(Field::new(own.name, data_type.clone(), true))));
        }
        DFSchema::new_with_metadata(fields, HashMap::new())
    }
}

fn parameter(number: usize) -> Column {
    Column::new(Some(TableReference::bare(PARAMETER)), number.to_string())
}

/// The place of a column, which may be read as a wider integer.
fn place_of(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        Expr::Cast(wider) if wider.field.data_type().is_integer() => match wider.expr.as_ref() {
            Expr::Column(column) => {
                let place = schema.maybe_index_of_column(column)?;
                schema.field(place).data_type().is_integer().then_some(place)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is a value as it was given, which is no error whatever else is asked for.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::ScalarFunction(function) => function.name() == "known_as" && function.args.iter().all(is_constant),
        _ => false,
    }
}

/// Whether an expression has the same value for all rows.
fn is_given(expr: &Expr) -> bool {
    let varies = |expr: &Expr| matches!(expr, Expr::Column(_)) || expr.is_volatile_node();
    !expr.exists(|expr| Ok(varies(expr))).unwrap_or(true)
}

/// The columns of a unique key that are all given, by their places in the table.
fn unique_key(catalog: &CatalogState, id: ObjectId, is_given: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
    let relation = catalog.relation(id).filter(|relation| matches!(relation.storage, RelationKind::Table(_)))?;
    let places = |columns: Vec<i32>| {
        let place = |id: i32| relation.columns.iter().position(|column| column.id == id);
        columns.into_iter().map(place).collect::<Option<Vec<usize>>>()
    };
    let unique = catalog.indexes(relation).filter(|(_, _, index)| index.unique);
    let mut keys = unique.filter_map(|(_, _, index)| places(index.columns_of_all_rows()?));
    keys.find(|key| !key.is_empty() && key.iter().all(|place| is_given(*place)))
}

/// Whether an expression means the same without the engine's simplifier.
fn is_simple(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Placeholder(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_) => true,
        Expr::InList(list) => list.list.iter().all(is_given),
        Expr::BinaryExpr(binary) => {
            let compares = matches!(
                binary.op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            compares || binary.op.is_logic_operator() || binary.op.is_numerical_operators()
        }
        Expr::ScalarFunction(function) => is_simple_function(function),
        _ => false,
    }
}

/// Functions that are what they are called when they run, not only when they are planned.
fn is_simple_function(function: &ScalarFunction) -> bool {
    matches!(
        function.name(),
        "abs"
            | "add"
            | "btrim"
            | "character_length"
            | "clock_timestamp"
            | "coalesce"
            | "domain_value"
            | "exact_numeric"
            | "fitted"
            | "from_text"
            | "gen_random_uuid"
            | "known_as"
            | "lower"
            | "ltrim"
            | "multiply"
            | "nextval"
            | "rtrim"
            | "subtract"
            | "to_integer"
            | "to_text"
            | "upper"
            | "uuidv4"
            | "uuidv7"
    )
}

/// One row of no columns.
fn one_row() -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?)
}

/// Rows with the parameters beside them.
fn with_parameters(rows: &RecordBatch, values: &[ScalarValue]) -> Result<RecordBatch> {
    if values.is_empty() {
        return Ok(rows.clone());
    }
    let mut fields: Vec<_> = rows.schema_ref().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    for (index, value) in values.iter().enumerate() {
        fields.push(Arc::new(Field::new(parameter(index + 1).name, value.data_type(), true)));
        columns.push(value.to_array_of_size(rows.num_rows())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
