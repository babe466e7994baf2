//! Rows in the metadata database: DuckLake's `ducklake_inlined_data_<table>_<schema version>`, whose columns are the
//! table's, after `row_id`, `begin_snapshot` and `end_snapshot`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

use super::MetastoreError;
use super::db::{Db, Row, Script, Value};
use super::load::LIVE;
use super::rows::quoted;
use crate::catalog::{Column, InlinedRows, Relation};
use crate::encode::{ColumnBuilder, duckdb_texts};
use crate::name::{ObjectId, SnapshotId};
use crate::setting::Zone;
use crate::types::{PgType, ducklake_type};

/// Rows that one commit may inline in one table; more become a file.
const ROWS_MAX: usize = 1_000;
/// Length of their texts together.
const BYTES_MAX: usize = 1 << 20;
/// Ids in one statement.
const IDS_MAX: usize = 1_000;

/// Rows on their way into the metadata database.
#[derive(Debug)]
pub struct InlinedInsert {
    /// The rows.
    pub(super) rows: RecordBatch,
    /// The same, as the database keeps them.
    values: Vec<Vec<Value>>,
}

impl InlinedInsert {
    /// `None` if they are better kept in a file: too many, or of types or with values that have no text form which all
    /// readers share.
    pub fn new(relation: &Relation, batches: &[RecordBatch]) -> Option<Self> {
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if count > ROWS_MAX
            || !has_plain_names(&relation.columns)
            || !relation.columns.iter().all(|column| is_inlined(&column.pg))
        {
            return None;
        }
        let rows = concat_batches(&batches.first()?.schema(), batches).ok()?;
        let mut columns = Vec::with_capacity(relation.columns.len());
        for (column, array) in relation.columns.iter().zip(rows.columns()) {
            columns.push(to_values(&column.pg, array)?);
        }
        let bytes = columns.iter().flatten().map(|value| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Null | Value::Int(_) => 8,
        });
        if bytes.sum::<usize>() > BYTES_MAX {
            return None;
        }
        let mut values = vec![Vec::with_capacity(columns.len()); count];
        for column in columns {
            for (row, value) in values.iter_mut().zip(column) {
                row.push(value);
            }
        }
        Some(Self { rows, values })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// The rows with the ids from `first` on.
    pub(super) fn with_ids(&self, first: u64) -> InlinedRows {
        InlinedRows { ids: (first..first + self.len()).collect(), rows: self.rows.clone() }
    }

    /// Writes the rows to the database.
    pub(super) fn write(&self, script: &mut Script, table: &str, columns: &[Column], snapshot: SnapshotId, first: u64) {
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let names: Vec<&str> =
            ["row_id", "begin_snapshot"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let rows = self.values.iter().zip(first..).map(|(values, id)| {
            let head = [Value::Int(i64::try_from(id).unwrap_or(i64::MAX)), Value::Int(snapshot.0)];
            head.into_iter().chain(values.iter().cloned()).collect()
        });
        script.insert(table, &names, rows.collect());
    }
}

/// The name of a table's inlined rows under one set of columns.
pub(super) fn table_name(table: ObjectId, schema_version: i64) -> String {
    format!("ducklake_inlined_data_{table}_{schema_version}")
}

/// Makes the database's table for rows with these columns.
pub(super) fn create(script: &mut Script, table: ObjectId, schema_version: i64, columns: &[Column]) {
    let (name, binary) = (table_name(table, schema_version), script.bytes_type());
    let columns = columns.iter().map(|column| {
        let kind = match &column.pg {
            pg if is_number(pg) => "BIGINT",
            PgType::Bytea => binary,
            _ => "VARCHAR",
        };
        format!(", {} {kind}", quoted(&column.name))
    });
    let columns: String = columns.collect();
    let sql = format!("CREATE TABLE {name} (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT{columns})");
    script.execute(sql, vec![]);
    script.execute(format!("CREATE INDEX {name}_row ON {name} (row_id)"), vec![]);
    let row = vec![table.0.into(), name.into(), schema_version.into()];
    script.insert("ducklake_inlined_data_tables", &["table_id", "table_name", "schema_version"], vec![row]);
}

/// Ends rows; `None`: all that are there.
pub(super) fn end(script: &mut Script, table: &str, snapshot: SnapshotId, ids: Option<&RoaringTreemap>) {
    let end = format!("UPDATE {table} SET end_snapshot = $1 WHERE end_snapshot IS NULL");
    let Some(ids) = ids else {
        script.execute(end, vec![snapshot.0.into()]);
        return;
    };
    let mut ids = ids.iter().filter_map(|id| i64::try_from(id).ok()).peekable();
    while ids.peek().is_some() {
        let chunk: Vec<i64> = ids.by_ref().take(IDS_MAX).collect();
        let places = (2..chunk.len() + 2).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
        let values = std::iter::once(snapshot.0).chain(chunk.iter().copied()).map(Value::Int).collect();
        script.execute_exactly(chunk.len() as u64, format!("{end} AND row_id IN ({places})"), values);
    }
}

/// The rows that are there at a snapshot, with the columns that the table has then.
pub(super) async fn load(
    db: &Db,
    table: &str,
    snapshot: SnapshotId,
    relation: &Relation,
    schema: arrow::datatypes::SchemaRef,
) -> Result<InlinedRows, MetastoreError> {
    let names: Vec<String> = relation.columns.iter().map(|column| quoted(&column.name)).collect();
    let names = names.join(", ");
    let sql = format!("SELECT row_id, {names} FROM {table} WHERE {LIVE} ORDER BY row_id");
    let rows = db.query(&sql, vec![snapshot.0.into()]).await?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in &rows {
        ids.push(u64::try_from(row.int(0)?).map_err(|error| MetastoreError::Corrupt(error.to_string()))?);
    }
    let mut arrays = Vec::with_capacity(relation.columns.len());
    for (index, (column, field)) in relation.columns.iter().zip(schema.fields()).enumerate() {
        let array = from_values(&column.pg, &rows, index + 1)?;
        let array = cast(&array, field.data_type()).map_err(|error| MetastoreError::Corrupt(error.to_string()))?;
        arrays.push(array);
    }
    let rows = RecordBatch::try_new(schema, arrays).map_err(|error| MetastoreError::Corrupt(error.to_string()))?;
    Ok(InlinedRows { ids, rows })
}

/// Whether the columns' names are different also for those who do not tell capitals apart, and from others in such a table.
fn has_plain_names(columns: &[Column]) -> bool {
    let own = ["row_id", "begin_snapshot", "end_snapshot"].into_iter();
    // PostgreSQL's tables have these.
    let system = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];
    let mut known: BTreeSet<String> = own.chain(system).map(str::to_owned).collect();
    !columns.is_empty() && columns.iter().all(|column| known.insert(column.name.to_lowercase()))
}

fn is_number(pg: &PgType) -> bool {
    matches!(pg, PgType::Bool | PgType::Int2 | PgType::Int4 | PgType::Int8)
}

/// Types whose values we and DuckDB read alike.
fn is_inlined(pg: &PgType) -> bool {
    match pg {
        PgType::Numeric(_) => ducklake_type(pg).starts_with("decimal"),
        // DuckDB reads JSON in arrays and rows in another way, in which JSON's null is not told from NULL.
        PgType::Array(_) | PgType::Composite(_) => {
            pg.parts().all(|part| is_inlined(part) && !matches!(part, PgType::Json | PgType::Jsonb))
        }
        PgType::Float4
        | PgType::Float8
        | PgType::Text
        | PgType::Varchar(_)
        | PgType::Char(_)
        | PgType::Bytea
        | PgType::Date
        | PgType::Time(_)
        | PgType::Timetz(_)
        | PgType::Timestamp(_)
        | PgType::Timestamptz(_)
        | PgType::Interval
        | PgType::Uuid
        | PgType::Inet
        | PgType::Cidr
        | PgType::Macaddr
        | PgType::Macaddr8
        | PgType::Json
        | PgType::Jsonb
        | PgType::Enum(_) => true,
        _ => is_number(pg),
    }
}

/// `None` if one of them has no common form.
fn to_values(pg: &PgType, array: &ArrayRef) -> Option<Vec<Value>> {
    if is_number(pg) {
        let numbers = cast(array, &DataType::Int64).ok()?;
        return Some(numbers.as_primitive::<Int64Type>().iter().map(Value::from).collect());
    }
    if *pg == PgType::Bytea {
        let bytes = cast(array, &DataType::Binary).ok()?;
        return Some(bytes.as_binary::<i32>().iter().map(Value::from).collect());
    }
    Some(duckdb_texts(pg, array).ok()??.into_iter().map(Value::from).collect())
}

fn from_values(pg: &PgType, rows: &[Row], index: usize) -> Result<ArrayRef, MetastoreError> {
    let corrupt = |error: &dyn std::fmt::Display| MetastoreError::Corrupt(format!("an inlined value: {error}"));
    if *pg == PgType::Bytea {
        let bytes = rows.iter().map(|row| row.bytes_or_null(index)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Arc::new(BinaryArray::from(bytes)));
    }
    let mut builder = ColumnBuilder::with_capacity(pg, Zone::UTC, rows.len()).map_err(|error| corrupt(&error))?;
    for row in rows {
        if is_number(pg) {
            match row.int_or_null(index)? {
                Some(value) if *pg == PgType::Bool => builder.append_bool(value != 0),
                Some(value) => builder.append_integer(value),
                None => builder.append_null(),
            }
        } else {
            match row.text_or_null(index)? {
                Some(text) => builder.append_duckdb(&text).map_err(|error| corrupt(&error))?,
                None => builder.append_null(),
            }
        }
    }
    Ok(builder.finish())
}
