//! Column bounds of data files: from a writer's footer to DuckLake's text, and back to what prunes files.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::text::stored_as_text;
use crate::catalog::{Column, ColumnStats, DataFile};
use crate::encode::{ColumnBuilder, Style, scalar_text};
use crate::setting::Zone;
use crate::types::PgType;

/// Longer text bounds are left out rather than cut, because a cut bound is not exact.
const BOUND_BYTES_MAX: usize = 64;

/// NULLs, NaN and bounds of floating-point columns. Parquet's footers cannot say whether a NaN is there, and readers lose
/// such rows; so they carry no statistics for these columns and the catalog does.
#[derive(Debug, Default)]
pub(super) struct FloatStats(Vec<FloatColumn>);

#[derive(Clone, Copy, Debug)]
struct FloatColumn {
    nulls: usize,
    min: f64,
    max: f64,
    nan: bool,
}

impl Default for FloatColumn {
    fn default() -> Self {
        Self { nulls: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, nan: false }
    }
}

impl FloatStats {
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.0.resize(batch.num_columns(), FloatColumn::default());
        for (array, column) in batch.columns().iter().zip(&mut self.0) {
            match array.data_type() {
                DataType::Float32 => {
                    column.add(array.as_primitive::<Float32Type>().iter().map(|value| value.map(f64::from)));
                }
                DataType::Float64 => column.add(array.as_primitive::<Float64Type>().iter()),
                _ => {}
            }
        }
    }
}

impl FloatColumn {
    fn add(&mut self, values: impl Iterator<Item = Option<f64>>) {
        for value in values {
            match value {
                None => self.nulls += 1,
                Some(value) if value.is_nan() => self.nan = true,
                Some(value) => {
                    self.min = self.min.min(value);
                    self.max = self.max.max(value);
                }
            }
        }
    }
}

pub(super) fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// The catalog's statistics of a file that was just written.
pub(super) fn collect(
    columns: &[Column],
    schema: &Schema,
    metadata: &ParquetMetaData,
    floats: &FloatStats,
) -> Result<Vec<ColumnStats>, parquet::errors::ParquetError> {
    let row_groups = metadata.row_groups();
    let parquet_schema = metadata.file_metadata().schema_descr();
    let mut all = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        if column.pg.parts().next().is_some() {
            continue;
        }
        let name = schema.field(index).name();
        let leaf = (0..parquet_schema.num_columns()).find(|leaf| parquet_schema.get_column_root_idx(*leaf) == index);
        let Some(leaf) = leaf else { continue };
        let chunks = || row_groups.iter().filter_map(|group| group.columns().get(leaf));
        let size_bytes = chunks().map(ColumnChunkMetaData::compressed_size).sum();
        let values: i64 = chunks().map(ColumnChunkMetaData::num_values).sum();
        let mut stats = ColumnStats {
            column: column.id,
            size_bytes,
            value_count: values,
            null_count: 0,
            min: None,
            max: None,
            contains_nan: None,
        };
        if is_float(schema.field(index).data_type()) {
            let found = floats.0.get(index).copied().unwrap_or_default();
            stats.null_count = i64::try_from(found.nulls).unwrap_or(0);
            stats.contains_nan = Some(found.nan);
            if found.min <= found.max {
                stats.min = Some(float_text(&column.pg, found.min));
                stats.max = Some(float_text(&column.pg, found.max));
            }
        } else {
            let converter = StatisticsConverter::try_new(name, schema, parquet_schema)?;
            let nulls = converter.row_group_null_counts(row_groups.iter())?;
            stats.null_count = nulls.iter().flatten().map(|count| i64::try_from(count).unwrap_or(0)).sum();
            if !stored_as_text(&column.pg) && has_bounds(&column.pg) {
                let exact = chunks().all(|chunk| {
                    chunk.statistics().is_some_and(|stats| {
                        stats.min_is_exact() && stats.max_is_exact() || stats.min_bytes_opt().is_none()
                    })
                });
                if exact {
                    let mins = converter.row_group_mins(row_groups.iter())?;
                    let maxes = converter.row_group_maxes(row_groups.iter())?;
                    // Years before the first have no text that other readers know.
                    let known = |text: &String| text.len() <= BOUND_BYTES_MAX && !text.ends_with(" BC");
                    stats.min = bound_text(&column.pg, &mins, true).filter(known);
                    stats.max = bound_text(&column.pg, &maxes, false).filter(known);
                }
            }
        }
        stats.value_count -= stats.null_count;
        all.push(stats);
    }
    Ok(all)
}

/// Types whose order in Parquet is their order in SQL and whose text form DuckLake shares.
fn has_bounds(pg: &PgType) -> bool {
    matches!(
        pg,
        PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Numeric(_)
            | PgType::Date
            | PgType::Time(_)
            | PgType::Timestamp(_)
            | PgType::Timestamptz(_)
            | PgType::Text
            | PgType::Varchar(_)
    )
}

fn float_text(pg: &PgType, value: f64) -> String {
    match pg {
        #[expect(clippy::cast_possible_truncation, reason = "the value came from an f32")]
        PgType::Float4 => (value as f32).to_string(),
        _ => value.to_string(),
    }
}

fn bound_text(pg: &PgType, bounds: &ArrayRef, min: bool) -> Option<String> {
    let mut best: Option<ScalarValue> = None;
    for group in 0..bounds.len() {
        let value = ScalarValue::try_from_array(bounds, group).ok()?;
        if value.is_null() {
            continue; // a row group of NULLs
        }
        let better = best.as_ref().is_none_or(|best| if min { value < *best } else { value > *best });
        if better {
            best = Some(value);
        }
    }
    scalar_text(&best?, pg, &Style::utc()).ok()
}

/// What the engine may know of a file. Bounds are exact only where text, NaN and infinity cannot make them wrong.
pub(super) fn file_statistics(file: &DataFile, columns: &[Column], schema: &Schema) -> Statistics {
    let rows = usize::try_from(file.record_count).unwrap_or(usize::MAX);
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(rows);
    statistics.total_byte_size = Precision::Inexact(usize::try_from(file.size_bytes).unwrap_or(usize::MAX));
    // The columns of the address, if there are any, come after the table's.
    for (column, statistics) in columns.iter().zip(&mut statistics.column_statistics) {
        if let Some(stats) = file.columns.iter().find(|stats| stats.column == column.id) {
            *statistics = column_statistics(column, stats);
        }
    }
    // Counts of all rows are none of those that are left, and would be folded into constants.
    if file.deletes.is_empty() { statistics } else { statistics.to_inexact() }
}

fn column_statistics(column: &Column, stats: &ColumnStats) -> ColumnStatistics {
    let mut known = ColumnStatistics::new_unknown();
    if matches!(column.pg, PgType::Float4 | PgType::Float8) {
        return known;
    }
    known.null_count = Precision::Exact(usize::try_from(stats.null_count).unwrap_or(0));
    if has_bounds(&column.pg)
        && let (Some(min), Some(max)) = (&stats.min, &stats.max)
        && let (Ok(min), Ok(max)) = (bound(&column.pg, min), bound(&column.pg, max))
    {
        let text = column.pg.is_text();
        known.min_value = if text { Precision::Inexact(min) } else { Precision::Exact(min) };
        known.max_value = if text { Precision::Inexact(max) } else { Precision::Exact(max) };
    }
    known
}

/// The least and the greatest value of a column in a file, if they are known.
pub(super) fn column_bounds(file: &DataFile, column: &Column) -> Option<(ScalarValue, ScalarValue)> {
    let stats = file.columns.iter().find(|stats| stats.column == column.id)?;
    let known = column_statistics(column, stats);
    Some((known.min_value.get_value()?.clone(), known.max_value.get_value()?.clone()))
}

fn bound(pg: &PgType, text: &str) -> Result<ScalarValue, ArrowError> {
    let external = |error: crate::encode::InputError| ArrowError::ParseError(error.to_string());
    let mut builder = ColumnBuilder::new(pg, Zone::UTC).map_err(external)?;
    builder.append_text(text).map_err(external)?;
    ScalarValue::try_from_array(&builder.finish(), 0).map_err(|error| ArrowError::ParseError(error.to_string()))
}
