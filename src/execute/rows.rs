//! What every new row is held against, whatever statement it comes from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;

use super::condition::Condition;
use super::keys::Keys;
use crate::catalog::{Column, Index, Relation};
use crate::encode::{Surplus, describe_row, within_modifier};
use crate::error::{About, Plain, SqlError, SqlState, internal};
use crate::govern::Privilege;
use crate::guard::{masks, row_security_applies, sanitize};
use crate::name::ObjectId;
use crate::pg::rectangular;
use crate::plan::{AskedBy, DomainRules, RowCheck, Scope, generation};
use crate::transaction::Transaction;

/// Lengths of types, domains, COPY's WHERE, row policies, NOT NULL, CHECK and unique keys, in this order.
pub(super) struct RowChecks {
    table: Arc<Table>,
    /// Positions of generated columns, and their values over a row.
    generated: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    /// Positions of columns of domains, and what must hold of their values.
    domains: Vec<(usize, DomainRules)>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    conditions: Vec<(AskedBy, Condition)>,
    keys: Keys,
    /// Whether errors must not tell of values: rows are made of some that the user may not read all of.
    of_old_rows: bool,
}

/// The table that rows are written to, for errors about them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) id: ObjectId,
    pub(super) schema_name: String,
    pub(super) relation: Relation,
    /// Its columns, all nullable.
    pub(super) schema: SchemaRef,
    shown: ShownColumns,
}

/// What an error may tell of a row: whoever wrote it need not have the right to read all of it.
#[derive(Clone, Debug, PartialEq)]
enum ShownColumns {
    All,
    /// Those with these indexes, which may be none.
    Only(Vec<usize>),
}

impl RowChecks {
    /// `touches`: whether the statement gives an index other keys.
    pub(super) fn new(
        scope: &Scope,
        id: ObjectId,
        relation: &Relation,
        filter: Option<&Expr>,
        checks: &[RowCheck],
        touches: impl Fn(&Index) -> bool,
    ) -> Result<Self, SqlError> {
        let table = Arc::new(Table::new(scope, id, relation)?);
        let df_schema = DFSchema::try_from(Arc::clone(&table.schema)).map_err(SqlError::from_engine)?;
        let physical = |expr: &Expr| scope.engine.physical_expr(expr, &df_schema).map_err(SqlError::from_engine);
        let mut conditions = Vec::new();
        for check in checks {
            let condition = Condition::new(scope, &relation.name, &df_schema, &check.condition)?;
            conditions.push((check.asked_by.clone(), condition));
        }
        let filter = filter.map(physical).transpose()?;
        let mut generated = Vec::new();
        let mut domains = Vec::new();
        for (index, column) in relation.columns.iter().enumerate() {
            if let Some((id, domain)) = scope.ctx.catalog.domain_of(column) {
                domains.push((index, DomainRules::new(scope, id, domain)?));
            }
            if let Some(own) = &column.generated {
                generated.push((index, physical(&generation(scope, relation, column, own)?)?));
            }
        }
        let keys = Keys::new(scope, &table, touches)?;
        Ok(Self { table, generated, domains, filter, conditions, keys, of_old_rows: false })
    }

    /// The rows were made of rows that are there: what the user may not read of those must not show in errors.
    pub(super) fn of_old_rows(mut self) -> Self {
        self.of_old_rows = self.table.shown != ShownColumns::All;
        self
    }

    fn failure(&self, error: DataFusionError) -> SqlError {
        let hidden = self.of_old_rows;
        SqlError::from_engine(if hidden { sanitize(&self.table.relation.name, error) } else { error })
    }

    /// Whose keys decide what happens to a row, and are not held against those that are there.
    pub(super) fn arbitrated_by(mut self, arbiters: &[ObjectId]) -> Self {
        self.keys.arbitrate(arbiters);
        self
    }

    /// The unique keys that the statement touches.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The rows as they are to be kept, with their keys noted. `22001`, `42501`, `23502`, `23514`.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let batch = self.check(batch)?;
        self.note_keys(&batch)?;
        Ok(batch)
    }

    /// Notes the keys of rows that were checked.
    pub(super) fn note_keys(&self, batch: &RecordBatch) -> Result<(), SqlError> {
        // What an expression of a key fails for may be a value that the user may not read.
        self.keys.add(batch).map_err(|error| if self.of_old_rows { self.failure(error.into()) } else { error })
    }

    /// The rows as they are to be kept, if they are. `22001`, `42501`, `23502`, `23514`.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let arrow = |error: arrow::error::ArrowError| SqlError::from_engine(error.into());
        let mut columns = Vec::with_capacity(batch.num_columns());
        for ((array, column), field) in
            batch.columns().iter().zip(&self.table.relation.columns).zip(self.table.schema.fields())
        {
            let array = if array.data_type() == field.data_type() {
                Arc::clone(array)
            } else {
                cast(array, field.data_type()).map_err(arrow)?
            };
            columns.push(within_modifier(rectangular(array, &column.pg)?, &column.pg, Surplus::Refused)?);
        }
        self.generate(&mut columns, batch.num_rows())?;
        for (index, rules) in &self.domains {
            if let Some(values) = columns.get(*index) {
                rules.hold(values)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let mut batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.table.schema), columns, &options).map_err(arrow)?;
        if let Some(filter) = &self.filter {
            let kept = filter.evaluate(&batch).and_then(|kept| kept.into_array(batch.num_rows()));
            let kept = kept.map_err(SqlError::from_engine)?;
            let kept = kept.as_boolean_opt().ok_or_else(|| internal("a filter that is not boolean"))?;
            batch = filter_record_batch(&batch, kept).map_err(arrow)?;
        }
        if batch.num_rows() == 0 {
            return Ok(batch);
        }
        let policies = |asked_by: &AskedBy| matches!(asked_by, AskedBy::Policy(_));
        for (asked_by, condition) in self.conditions.iter().filter(|(asked_by, _)| policies(asked_by)) {
            self.hold(&batch, asked_by, condition)?;
        }
        self.table.check_nulls(&batch)?;
        for (asked_by, condition) in self.conditions.iter().filter(|(asked_by, _)| !policies(asked_by)) {
            self.hold(&batch, asked_by, condition)?;
        }
        Ok(batch)
    }

    /// Puts the values of generated columns into their places.
    fn generate(&self, columns: &mut [ArrayRef], rows: usize) -> Result<(), SqlError> {
        if self.generated.is_empty() {
            return Ok(());
        }
        let given = RecordBatch::try_new(Arc::clone(&self.table.schema), columns.to_vec());
        let given = given.map_err(SqlError::from_arrow)?;
        for (index, value) in &self.generated {
            let value = value.evaluate(&given).and_then(|value| value.into_array(rows));
            let value = value.map_err(|error| self.failure(error))?;
            let pairs = columns.get_mut(*index).zip(self.table.relation.columns.get(*index));
            let (place, column) = pairs.ok_or_else(|| internal("a generated column that is not there"))?;
            *place = within_modifier(value, &column.pg, Surplus::Refused)?;
        }
        Ok(())
    }

    fn hold(&self, batch: &RecordBatch, asked_by: &AskedBy, condition: &Condition) -> Result<(), SqlError> {
        let value = condition.evaluate(batch).map_err(|error| match condition {
            // What the policy reads is not the user's to know.
            Condition::Query { .. } => SqlError::from_engine(sanitize(&self.table.relation.name, error)),
            Condition::Expression(_) => self.failure(error),
        })?;
        let fails = |row: &usize| match asked_by {
            AskedBy::Policy(_) => value.is_null(*row) || !value.value(*row),
            AskedBy::Constraint(_) => value.is_valid(*row) && !value.value(*row),
        };
        let Some(row) = (0..value.len()).find(fails) else { return Ok(()) };
        let table = &self.table.relation.name;
        Err(match asked_by {
            AskedBy::Policy(policy) => {
                let which = policy.as_ref().map(|policy| format!(" \"{policy}\"")).unwrap_or_default();
                let message = format!("new row violates row-level security policy{which} for table \"{table}\"");
                Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into()
            }
            AskedBy::Constraint(name) => {
                let message = format!("new row for relation \"{table}\" violates check constraint \"{name}\"");
                let about = About { constraint: Some(name.clone()), ..self.table.about() };
                self.table.failing(Plain::new(SqlState::CHECK_VIOLATION, message).about(about), batch, row)?.into()
            }
        })
    }

    /// When all rows of the statement were checked, those it removes are gone from the transaction, and its own are not
    /// there yet: holds them to the unique keys. `23505`. Rows that are too many to be remembered are to be checked
    /// by [`RowChecks::finish`].
    pub(super) async fn keys_are_new(&self, transaction: &mut Transaction) -> Result<(), SqlError> {
        self.keys.are_new(transaction).await
    }

    /// When the statement's rows are in the transaction. `23505`.
    pub(super) async fn finish(&self, transaction: &mut Transaction) -> Result<(), SqlError> {
        self.keys.finish(transaction).await
    }
}

/// Whether an index has one of the columns that are set, which go by their positions in the table.
pub(super) fn touches(relation: &Relation, index: &Index, sets: impl Fn(usize) -> bool) -> bool {
    // A generated column has another value if one that it is computed from has.
    let reads = index.reads();
    let generated = relation.columns.iter().filter(|column| reads.contains(&column.id));
    let mut columns = reads.clone();
    columns.extend(generated.filter_map(|column| column.generated.as_ref()).flat_map(|own| &own.columns));
    relation.columns.iter().enumerate().any(|(position, column)| columns.contains(&column.id) && sets(position))
}

impl Table {
    fn new(scope: &Scope, id: ObjectId, relation: &Relation) -> Result<Self, SqlError> {
        let fields = relation.columns.iter().map(|column| crate::types::field(&column.name, &column.pg, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let schema_name = scope.ctx.catalog.schema(relation.schema).map(|schema| schema.name.clone());
        let shown = ShownColumns::new(scope, id, relation)?;
        Ok(Self { id, schema_name: schema_name.unwrap_or_default(), relation: relation.clone(), schema, shown })
    }

    /// What drivers are told an error is about.
    pub(super) fn about(&self) -> About {
        About { schema: Some(self.schema_name.clone()), table: Some(self.relation.name.clone()), ..About::default() }
    }

    fn check_nulls(&self, batch: &RecordBatch) -> Result<(), SqlError> {
        for (column, array) in self.relation.columns.iter().zip(batch.columns()) {
            if column.nullable || array.logical_null_count() == 0 {
                continue;
            }
            let nulls = array.logical_nulls();
            let row = nulls.and_then(|nulls| (0..nulls.len()).find(|row| nulls.is_null(*row))).unwrap_or(0);
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, self.relation.name
            );
            let about = About { column: Some(column.name.clone()), ..self.about() };
            let error = Plain::new(SqlState::NOT_NULL_VIOLATION, message).about(about);
            return Err(self.failing(error, batch, row)?.into());
        }
        Ok(())
    }

    /// The error, with as much of the row as the user may read.
    fn failing(&self, error: Plain, batch: &RecordBatch, row: usize) -> Result<Plain, SqlError> {
        let described = self.shown.describe(&self.relation.columns, batch, row);
        let described = described.map_err(SqlError::from_arrow)?;
        Ok(match described {
            Some(row) => error.detail(format!("Failing row contains {row}.")),
            None => error,
        })
    }

    /// `(a, b)=(1, 2)`, if the user may read all columns that decide about the key. `batch` has the key, `shown` is what it is of.
    pub(super) fn describe_key(&self, shown: &str, reads: &[usize], batch: &RecordBatch, row: usize) -> Option<String> {
        if let ShownColumns::Only(columns) = &self.shown
            && !reads.iter().all(|column| columns.contains(column))
        {
            return None;
        }
        Some(format!("({shown})=({})", describe_row(batch, row).ok()?))
    }
}

impl ShownColumns {
    fn new(scope: &Scope, id: ObjectId, relation: &Relation) -> Result<Self, SqlError> {
        let ctx = &scope.ctx;
        if ctx.superuser {
            return Ok(Self::All);
        }
        if row_security_applies(ctx, relation) {
            return Ok(Self::Only(Vec::new()));
        }
        let masked: Vec<usize> = masks(ctx, &scope.reader, id, relation)?.iter().map(|mask| mask.column).collect();
        let all = ctx.relation_rights(id, relation).contains(Privilege::Select);
        if all && masked.is_empty() {
            return Ok(Self::All);
        }
        let readable = |column: &Column| all || ctx.column_rights(id, column).contains(Privilege::Select);
        let shown =
            relation.columns.iter().enumerate().filter(|(index, column)| !masked.contains(index) && readable(column));
        Ok(Self::Only(shown.map(|(index, _)| index).collect()))
    }

    fn describe(
        &self,
        columns: &[Column],
        batch: &RecordBatch,
        row: usize,
    ) -> Result<Option<String>, arrow::error::ArrowError> {
        match self {
            Self::All => Ok(Some(format!("({})", describe_row(batch, row)?))),
            Self::Only(indexes) if indexes.is_empty() => Ok(None),
            Self::Only(indexes) => {
                let names = indexes.iter().filter_map(|index| columns.get(*index)).map(|column| column.name.as_str());
                let names = names.collect::<Vec<_>>().join(", ");
                Ok(Some(format!("({names}) = ({})", describe_row(&batch.project(indexes)?, row)?)))
            }
        }
    }
}
