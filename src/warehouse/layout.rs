//! Rows by partition and in a table's order, before they are written; which partitions a condition leaves out.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt32Array};
use arrow::compute::{DatePart, SortOptions, date_part, partition, take};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::catalog::{Column, DataFile, FilePartition, Partitioning, Relation, Transform};
use crate::encode::{Style, scalar_text};
use crate::name::ObjectId;
use crate::types::PgType;

/// How a table's rows are to be written.
#[derive(Debug)]
pub(super) struct Layout {
    partitioning: Option<ObjectId>,
    /// The column's index and type, and what is made of it.
    keys: Vec<(usize, PgType, Transform)>,
    /// Indexes of columns, the most significant first.
    sorting: Vec<(usize, SortOptions)>,
}

/// Rows that go into one file.
pub(super) struct Part {
    pub(super) partition: Option<FilePartition>,
    /// Their numbers, in the order in which they are to be written.
    pub(super) rows: UInt32Array,
}

impl Layout {
    /// `None`: rows are written as they come.
    pub(super) fn of(relation: &Relation) -> Option<Self> {
        let (partitioning, sorting) = (relation.partitioning(), relation.sorting());
        if partitioning.is_none() && sorting.is_none() {
            return None;
        }
        let index = |id: i32| relation.columns.iter().position(|column| column.id == id);
        let keys = partitioning.iter().flat_map(|partitioning| &partitioning.keys).filter_map(|key| {
            let index = index(key.column)?;
            Some((index, relation.columns.get(index)?.pg.clone(), key.transform))
        });
        let sorting = sorting.iter().flat_map(|sorting| &sorting.keys).filter_map(|key| {
            Some((index(key.column)?, SortOptions { descending: key.descending, nulls_first: key.nulls_first }))
        });
        Some(Self {
            partitioning: partitioning.map(|partitioning| partitioning.id),
            keys: keys.collect(),
            sorting: sorting.collect(),
        })
    }

    /// Rows by partition, each part in the table's order; rows that are equal in it stay in theirs.
    pub(super) fn arrange(&self, rows: &RecordBatch) -> Result<Vec<Part>, ArrowError> {
        let key = |(index, _, transform): &(usize, PgType, Transform)| transformed(rows.column(*index), *transform);
        let keys = self.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let by_key = keys.iter().map(|key| (Arc::clone(key), SortOptions::default()));
        let by_column = self.sorting.iter().map(|(index, options)| (Arc::clone(rows.column(*index)), *options));
        let (columns, options): (Vec<ArrayRef>, Vec<SortOptions>) = by_key.chain(by_column).unzip();
        let fields = columns.iter().zip(options);
        let fields = fields.map(|(column, options)| SortField::new_with_options(column.data_type().clone(), options));
        let comparable = RowConverter::new(fields.collect())?.convert_columns(&columns)?;
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        order.sort_by(|left, right| comparable.row(*left).cmp(&comparable.row(*right)));
        let order: UInt32Array = order.into_iter().map(|row| u32::try_from(row).ok()).collect();
        let Some(of) = self.partitioning else { return Ok(vec![Part { partition: None, rows: order }]) };
        let sorted = keys.iter().map(|key| take(key, &order, None)).collect::<Result<Vec<_>, _>>()?;
        let mut parts = Vec::new();
        for range in partition(&sorted)?.ranges() {
            let pairs = sorted.iter().zip(&self.keys);
            let values = pairs.map(|(key, (_, pg, transform))| text(key, range.start, pg, *transform));
            let partition = FilePartition { of, values: values.collect::<Result<_, _>>()? };
            parts.push(Part { partition: Some(partition), rows: order.slice(range.start, range.len()) });
        }
        Ok(parts)
    }
}

/// Files that may have rows for which all conditions are true, by their partitions. Bounds of columns say more of files
/// by years or hours; this is for equality.
pub(super) fn pruned<'a, T>(
    files: &'a [(T, Arc<DataFile>)],
    partitioning: Option<&Partitioning>,
    columns: &[Column],
    conditions: &[Expr],
) -> Vec<&'a (T, Arc<DataFile>)> {
    let wanted: Vec<(usize, BTreeSet<Option<String>>)> = partitioning
        .iter()
        .flat_map(|partitioning| partitioning.keys.iter().enumerate())
        .filter(|(_, key)| matches!(key.transform, Transform::Identity | Transform::Bucket(_)))
        .filter_map(|(index, key)| Some((index, columns.iter().find(|column| column.id == key.column)?, key.transform)))
        .flat_map(|(index, column, transform)| {
            let all = conditions.iter().flat_map(split_conjunction);
            all.filter_map(move |condition| Some((index, values(condition, column, transform)?)))
        })
        .collect();
    let may_have = |file: &DataFile| {
        let Some(partition) = file.partition.as_ref().filter(|own| partitioning.is_some_and(|now| now.id == own.of))
        else {
            return true;
        };
        wanted.iter().all(|(index, values)| partition.values.get(*index).is_none_or(|own| values.contains(own)))
    };
    files.iter().filter(|(_, file)| may_have(file)).collect()
}

/// The values of a key that a condition on its column can be true for; `None`: it does not tell.
fn values(condition: &Expr, column: &Column, transform: Transform) -> Option<BTreeSet<Option<String>>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column.name);
    let literals: Vec<&Expr> = match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(left) => vec![right],
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(right) => vec![left],
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr) => list.iter().collect(),
        _ => return None,
    };
    let value = |literal: &Expr| {
        let Expr::Literal(value, _) = literal else { return None };
        if value.data_type() != crate::types::arrow_type(&column.pg) {
            return None;
        }
        let key = transformed(&value.to_array().ok()?, transform).ok()?;
        // Equality with NULL is never true; another's NULL is a value that is not.
        if key.is_null(0) { None } else { text(&key, 0, &column.pg, transform).ok() }
    };
    literals.into_iter().map(value).collect()
}

/// A key's values.
fn transformed(column: &ArrayRef, transform: Transform) -> Result<ArrayRef, ArrowError> {
    match transform {
        Transform::Identity => Ok(Arc::clone(column)),
        Transform::Year => date_part(column, DatePart::Year),
        Transform::Month => date_part(column, DatePart::Month),
        Transform::Day => date_part(column, DatePart::Day),
        Transform::Hour => date_part(column, DatePart::Hour),
        Transform::Bucket(count) => Ok(Arc::new(buckets(column, count)?)),
    }
}

/// Iceberg's bucket transform. Whole numbers, dates and times are hashed as 64 bits, least significant first; DuckDB does
/// the same with decimals.
fn buckets(column: &ArrayRef, count: u32) -> Result<Int32Array, ArrowError> {
    let bucket = |bytes: &[u8]| -> Option<i32> {
        let hash = murmur3::murmur3_32(&mut Cursor::new(bytes), 0).ok()? & i32::MAX.unsigned_abs();
        i32::try_from(hash.checked_rem(count)?).ok()
    };
    let of_number = |value: Option<i64>| value.and_then(|value| bucket(&value.to_le_bytes()));
    Ok(match column.data_type() {
        DataType::Int16 => column.as_primitive::<Int16Type>().iter().map(|v| of_number(v.map(i64::from))).collect(),
        DataType::Int32 => column.as_primitive::<Int32Type>().iter().map(|v| of_number(v.map(i64::from))).collect(),
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(of_number).collect(),
        DataType::Date32 => column.as_primitive::<Date32Type>().iter().map(|v| of_number(v.map(i64::from))).collect(),
        DataType::Time64(_) => column.as_primitive::<Time64MicrosecondType>().iter().map(of_number).collect(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().iter().map(of_number).collect(),
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().iter();
            values.map(|value| of_number(value.and_then(|value| i64::try_from(value).ok()))).collect()
        }
        DataType::Utf8View => column.as_string_view().iter().map(|v| v.and_then(|v| bucket(v.as_bytes()))).collect(),
        DataType::BinaryView => column.as_binary_view().iter().map(|v| v.and_then(bucket)).collect(),
        other => return Err(ArrowError::NotYetImplemented(format!("a bucket of {other}"))),
    })
}

/// A key's value as DuckDB prints it; `None`: NULL.
fn text(key: &ArrayRef, row: usize, pg: &PgType, transform: Transform) -> Result<Option<String>, ArrowError> {
    if key.is_null(row) {
        return Ok(None);
    }
    if transform != Transform::Identity {
        return Ok(Some(key.as_primitive::<Int32Type>().value(row).to_string()));
    }
    if let Some(values) = key.as_boolean_opt() {
        return Ok(Some(values.value(row).to_string()));
    }
    if let Some(values) = key.as_string_view_opt() {
        return Ok(Some(values.value(row).to_owned()));
    }
    let value = ScalarValue::try_from_array(key, row).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let text = scalar_text(&value, pg, &Style::utc()).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    Ok(Some(match text.strip_suffix(" BC") {
        Some(before) => format!("{before} (BC)"),
        None => text,
    }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringViewArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn buckets_are_those_of_duckdb_and_iceberg() {
        let bucket = |column: ArrayRef| buckets(&column, 1_000_000).unwrap().value(0);
        assert_eq!(bucket(Arc::new(Int64Array::from(vec![7]))), 879_619);
        assert_eq!(bucket(Arc::new(Int32Array::from(vec![7]))), 879_619);
        assert_eq!(bucket(Arc::new(StringViewArray::from(vec!["x"]))), 319_643);
        assert_eq!(bucket(Arc::new(Date32Array::from(vec![19_783]))), 156_724);
        assert_eq!(bucket(Arc::new(TimestampMicrosecondArray::from(vec![1_709_254_923_250_000]))), 416_175);
        let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(bucket(Arc::new(decimal)), 386_831);
        // Appendix B of Iceberg's specification.
        let hash = murmur3::murmur3_32(&mut Cursor::new(34_i64.to_le_bytes()), 0).unwrap();
        assert_eq!(hash, 2_017_239_379);
    }
}
