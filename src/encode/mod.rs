//! Arrow arrays → PostgreSQL text and binary values, and the rows of results and COPY made of them.
//!
//! A batch is encoded row by row from typed slices: each column is downcast once ([`Column::new`]), each value is
//! written straight into the output buffer, without an allocation of its own.

mod array;
mod binary;
mod datetime;
mod duckdb;
mod input;
mod interval;
mod nested;
mod network;
mod number;
mod record;
mod rounding;
mod row;
mod text;
mod timetz;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray,
    LargeBinaryArray, LargeStringArray, ListArray, StringArray, StringViewArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;

pub(crate) use array::{array_items, binary_dimensions, is_rectangular, text_dimensions};
pub(crate) use binary::write_field;
pub(crate) use datetime::timestamp_text;
pub use datetime::{
    DAY_US, DAYS, DAYS_1970_TO_2000, MICROS_1970_TO_2000, MONTHS, Malformed, civil, days_from_civil, month_length,
    parse_date, parse_time, parse_timestamp,
};
pub(crate) use duckdb::duckdb_texts;
pub use input::{ColumnBuilder, InputError, jsonb_text, utf8};
pub(crate) use input::{Surplus, within_modifier};
pub use interval::parse_interval;
pub(crate) use interval::write_stored as write_stored_interval;
pub(crate) use nested::rebuilt;
pub(crate) use network::{Inet, narrowed, widened};
pub use number::{Numeric, parse_bool, parse_numeric};
pub use row::RowEncoder;
pub use text::array_needs_quotes;
pub(crate) use text::{bounds, describe_row, scalar_text, text_array, write_text};

use crate::error::Plain;
use crate::setting::{Settings, Zone};
use crate::types::{EnumType, PgType, arrow_type, of_field};

/// Signature, flags and extension length at the start of a binary COPY.
pub const BINARY_COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Wire format of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As `::text` prints it: format code 0.
    Text,
    /// As PostgreSQL's send functions write it, big-endian: format code 1.
    Binary,
}

/// The names behind values of the `reg…` types, which are OIDs.
pub trait ObjectNames: std::fmt::Debug + Send + Sync {
    /// How an object prints; its number if there is none.
    fn name(&self, pg: &PgType, oid: u32) -> String;
    /// The object of a name. An undefined-object error of the type's own if there is none.
    fn oid(&self, pg: &PgType, text: &str) -> Result<u32, Plain>;
    /// What the names depend on: the addresses of a catalog and of settings, and who asks. Names are compared within one
    /// plan, which holds what is at the addresses.
    fn known_from(&self) -> (usize, usize, i64);
}

/// Settings that decide how values print, and the names of objects.
#[derive(Clone, Debug)]
pub struct Style {
    /// The zone in which `timestamptz` is read and printed.
    pub zone: Zone,
    /// Above 0: floats print in their shortest exact form. Else with 15 (float4: 6) digits, plus this many.
    pub extra_float_digits: i32,
    /// Whether intervals print as `P1DT2H`, not as `1 day 02:00:00`.
    pub iso_8601_intervals: bool,
    objects: Option<Arc<dyn ObjectNames>>,
}

impl PartialEq for Style {
    fn eq(&self, other: &Self) -> bool {
        let objects = match (&self.objects, &other.objects) {
            (None, None) => true,
            (Some(a), Some(b)) => a.known_from() == b.known_from(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        objects
            && self.zone == other.zone
            && self.extra_float_digits == other.extra_float_digits
            && self.iso_8601_intervals == other.iso_8601_intervals
    }
}
impl Eq for Style {}

impl Style {
    /// How values print where no session is: in files and failing rows.
    pub(crate) fn utc() -> Self {
        Self { zone: Zone::UTC, extra_float_digits: 1, iso_8601_intervals: false, objects: None }
    }

    /// How values print under a session's settings.
    pub fn of(settings: &Settings, objects: Arc<dyn ObjectNames>) -> Self {
        Self {
            zone: settings.time_zone(),
            extra_float_digits: settings.extra_float_digits(),
            iso_8601_intervals: settings.interval_style() == "iso_8601",
            objects: Some(objects),
        }
    }

    /// The object of a name. `0A000` where there is no catalog to look in.
    pub(crate) fn object_oid(&self, pg: &PgType, text: &str) -> Result<u32, Plain> {
        match &self.objects {
            Some(objects) => objects.oid(pg, text),
            None => Err(crate::error::unsupported(format!("input of type {pg} here"))),
        }
    }

    fn object_name(&self, pg: &PgType, oid: u32) -> String {
        self.objects.as_ref().map_or_else(|| oid.to_string(), |objects| objects.name(pg, oid))
    }
}

/// A column's values behind their concrete type.
pub(crate) enum Values {
    Bool(BooleanArray),
    Int2(Int16Array),
    Int4(Int32Array),
    Int8(Int64Array),
    Oid(UInt32Array),
    Float4(Float32Array),
    Float8(Float64Array),
    Numeric(Decimal128Array, i8),
    BigNumeric(Decimal256Array, i8),
    TextView(StringViewArray),
    Text(StringArray),
    LargeText(LargeStringArray),
    BytesView(BinaryViewArray),
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    Uuid(FixedSizeBinaryArray),
    Enum(FixedSizeBinaryArray, Arc<EnumType>),
    Timetz(FixedSizeBinaryArray),
    Network(FixedSizeBinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray),
    Timestamptz(TimestampMicrosecondArray),
    Interval(IntervalMonthDayNanoArray),
    /// With its elements and their type.
    List(ListArray, Box<Column>),
    /// With the columns of the rows.
    Row(StructArray, Vec<Column>),
    Null,
}

/// A column ready to be written.
pub(crate) struct Column {
    pub(crate) pg: PgType,
    pub(crate) values: Values,
}

impl Column {
    /// Downcasts a column once; types that have no encoder of their own are cast to one that has.
    pub(crate) fn new(array: &ArrayRef, field: &Field) -> Result<Self, ArrowError> {
        let pg = of_field(field);
        let values = Values::new(array, &pg)?;
        Ok(Self { pg, values })
    }
}

impl Values {
    fn new(array: &ArrayRef, pg: &PgType) -> Result<Self, ArrowError> {
        fn take<T: Array + Clone + 'static>(array: &ArrayRef) -> Result<T, ArrowError> {
            array.as_any().downcast_ref::<T>().cloned().ok_or_else(|| {
                ArrowError::SchemaError(format!("array of type {} is not what its type says", array.data_type()))
            })
        }
        Ok(match array.data_type() {
            DataType::Boolean => Self::Bool(take(array)?),
            DataType::Int16 => Self::Int2(take(array)?),
            DataType::Int32 => Self::Int4(take(array)?),
            DataType::Int64 => Self::Int8(take(array)?),
            DataType::UInt32 if *pg != PgType::Int8 => Self::Oid(take(array)?),
            DataType::Float32 => Self::Float4(take(array)?),
            DataType::Float64 => Self::Float8(take(array)?),
            DataType::Decimal128(_, scale) => Self::Numeric(take(array)?, *scale),
            DataType::Decimal256(_, scale) => Self::BigNumeric(take(array)?, *scale),
            DataType::Utf8View => Self::TextView(take(array)?),
            DataType::Utf8 => Self::Text(take(array)?),
            DataType::LargeUtf8 => Self::LargeText(take(array)?),
            DataType::BinaryView => Self::BytesView(take(array)?),
            DataType::Binary => Self::Bytes(take(array)?),
            DataType::LargeBinary => Self::LargeBytes(take(array)?),
            DataType::FixedSizeBinary(16) if *pg == PgType::Uuid => Self::Uuid(take(array)?),
            DataType::FixedSizeBinary(_) if let PgType::Enum(of) = pg => Self::Enum(take(array)?, Arc::clone(of)),
            DataType::FixedSizeBinary(_) if matches!(pg, PgType::Timetz(_)) => Self::Timetz(take(array)?),
            DataType::FixedSizeBinary(_) if pg.is_network() => Self::Network(take(array)?),
            DataType::Date32 => Self::Date(take(array)?),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(take(array)?),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp(take(array)?),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamptz(take(array)?),
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Interval(take(array)?),
            DataType::List(element) => {
                let list: ListArray = take(array)?;
                // What the array's own type says of them counts.
                let pg = pg.element().cloned().unwrap_or_else(|| of_field(element));
                let values = Self::new(list.values(), &pg)?;
                Self::List(list, Box::new(Column { pg, values }))
            }
            DataType::Struct(_) => {
                let rows: StructArray = take(array)?;
                let columns = record::columns_of(&rows, pg)?;
                Self::Row(rows, columns)
            }
            DataType::Null => Self::Null,
            DataType::Map(..) | DataType::Union(..) => {
                let text = arrow::util::display::ArrayFormatter::try_new(
                    array.as_ref(),
                    &arrow::util::display::FormatOptions::default(),
                )?;
                let rows = (0..array.len()).map(|row| array.is_valid(row).then(|| text.value(row).to_string()));
                Self::Text(rows.collect())
            }
            _ => {
                let array = cast(array, &arrow_type(pg))?;
                return Self::new(&array, pg);
            }
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(array) => array.is_null(row),
            Self::Int2(array) => array.is_null(row),
            Self::Int4(array) => array.is_null(row),
            Self::Int8(array) => array.is_null(row),
            Self::Oid(array) => array.is_null(row),
            Self::Float4(array) => array.is_null(row),
            Self::Float8(array) => array.is_null(row),
            Self::Numeric(array, _) => array.is_null(row),
            Self::BigNumeric(array, _) => array.is_null(row),
            Self::TextView(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::LargeText(array) => array.is_null(row),
            Self::BytesView(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::LargeBytes(array) => array.is_null(row),
            Self::Uuid(array) | Self::Enum(array, _) | Self::Timetz(array) | Self::Network(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) | Self::Timestamptz(array) => array.is_null(row),
            Self::Interval(array) => array.is_null(row),
            Self::List(array, _) => array.is_null(row),
            Self::Row(array, _) => array.is_null(row),
            Self::Null => true,
        }
    }
}

/// All columns of a batch, ready to be written.
pub(crate) fn columns(batch: &arrow::record_batch::RecordBatch) -> Result<Vec<Column>, ArrowError> {
    let schema = batch.schema();
    let fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    batch.columns().iter().zip(&fields).map(|(array, field)| Column::new(array, field)).collect()
}

#[cfg(test)]
mod tests;
