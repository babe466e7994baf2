//! PostgreSQL's text and binary forms → Arrow: parameters of a Bind message, fields of COPY FROM.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, StringViewBuilder, StructArray, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt32Array, UInt32Builder, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano};
use arrow::error::ArrowError;

use super::array;
use super::datetime::{Malformed, parse_date, parse_local_time, parse_timestamp};
use super::interval::parse_interval;
use super::nested::rebuilt;
use super::network::{Fault, Inet, hardware};
use super::number::{Numeric, parse_bool, parse_numeric};
use super::record::{record_fields, record_items};
use super::rounding::seconds_rounded;
use super::timetz::TimeTz;
use super::{DAYS_1970_TO_2000, MICROS_1970_TO_2000};
use crate::error::{Report, SqlState};
use crate::setting::Zone;
use crate::types::{EnumType, PgType, arrow_type, item};

/// Why text or bytes are no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// `22P02`: the text does not have the form of the type's values.
    #[error("invalid input syntax for type {pg}: \"{text}\"")]
    Syntax {
        /// The type's name, without a modifier.
        pg: String,
        /// The text that was given.
        text: String,
    },
    /// `22P02`: the text is no JSON.
    #[error("invalid input syntax for type json")]
    Json {
        /// What is wrong with it, and where.
        detail: String,
    },
    /// `22003`: a number that the type cannot hold.
    #[error("value \"{text}\" is out of range for type {pg}")]
    OutOfRange {
        /// The type's name.
        pg: String,
        /// The text that was given.
        text: String,
    },
    /// `22008`: a date or time with a field out of its range.
    #[error("date/time field value out of range: \"{text}\"")]
    DateTime {
        /// The text that was given; for binary data, what is wrong.
        text: String,
    },
    /// `22007`: the text does not have the form of a date, time or interval.
    #[error("invalid input syntax for type {pg}: \"{text}\"")]
    DateTimeSyntax {
        /// The type's name.
        pg: String,
        /// The text that was given.
        text: String,
    },
    /// `22003`: a numeric too large for the precision and scale of its type.
    #[error("numeric field overflow")]
    NumericOverflow {
        /// The type's digits in all.
        precision: u8,
        /// The type's digits after the point.
        scale: i8,
    },
    /// `22001`: a text beyond the limit of its type.
    #[error("value too long for type {pg}")]
    TooLong {
        /// The type's name, with the limit.
        pg: String,
    },
    /// `22P02`: the text does not have the form of an array.
    #[error("malformed array literal: \"{text}\"")]
    Array {
        /// The text that was given.
        text: String,
    },
    /// `0A000`: an array with more dimensions than there is room for.
    #[error("an array with other than {wanted} dimensions is not supported here")]
    Dimensions {
        /// As many there is room for.
        wanted: usize,
    },
    /// `22P02`: the text does not have the form of a row.
    #[error("malformed record literal: \"{text}\"")]
    Record {
        /// The text that was given.
        text: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// `42804`: a row in binary form that is none of the type. The whole message.
    #[error("{0}")]
    Mismatch(String),
    /// `22P03`: bytes that are not the binary form of a value of the type.
    #[error("incorrect binary data format")]
    Binary,
    /// `08P01`: fewer bytes than a value of the type has.
    #[error("insufficient data left in message")]
    Short,
    /// `22021`: these bytes are not UTF-8, or are the zero that no text may have.
    #[error("invalid byte sequence for encoding \"UTF8\": {}", .0.iter().map(|b| format!("0x{b:02x}")).collect::<Vec<_>>().join(" "))]
    Encoding(Vec<u8>),
    /// `22P02`: the text is no label of the enumeration.
    #[error("invalid input value for enum {pg}: \"{text}\"")]
    Label {
        /// The type's name.
        pg: String,
        /// The text that was given.
        text: String,
    },
    /// `22P02`: a network with bits of a host.
    #[error("invalid cidr value: \"{text}\"")]
    HostBits {
        /// The text that was given.
        text: String,
    },
    /// `0A000`: what this server cannot read, as the message calls it.
    #[error("{0} is not supported")]
    Unsupported(String),
}

impl From<ArrowError> for InputError {
    fn from(error: ArrowError) -> Self {
        Self::Unsupported(format!("a value in this form ({error})"))
    }
}

impl Report for InputError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Syntax { .. }
            | Self::Json { .. }
            | Self::Array { .. }
            | Self::Record { .. }
            | Self::Label { .. }
            | Self::HostBits { .. } => SqlState::INVALID_TEXT_REPRESENTATION,
            Self::Mismatch(_) => SqlState::DATATYPE_MISMATCH,
            Self::OutOfRange { .. } | Self::NumericOverflow { .. } => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            Self::DateTime { .. } => SqlState::DATETIME_FIELD_OVERFLOW,
            Self::DateTimeSyntax { .. } => SqlState::INVALID_DATETIME_FORMAT,
            Self::TooLong { .. } => SqlState::STRING_DATA_RIGHT_TRUNCATION,
            Self::Binary => SqlState::INVALID_BINARY_REPRESENTATION,
            Self::Short => SqlState::PROTOCOL_VIOLATION,
            Self::Encoding(_) => SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            Self::Unsupported(_) | Self::Dimensions { .. } => SqlState::FEATURE_NOT_SUPPORTED,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::NumericOverflow { precision, scale } => {
                let power = i32::from(*precision) - i32::from(*scale);
                let limit = if power == 0 { "1".to_owned() } else { format!("10^{power}") };
                Some(format!(
                    "A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
                ))
            }
            Self::Json { detail } => Some(detail.clone()),
            Self::Record { detail, .. } => Some((*detail).to_owned()),
            Self::HostBits { .. } => Some("Value has bits set to right of mask.".to_owned()),
            _ => None,
        }
    }
}

/// Collects one column's values.
#[derive(Debug)]
pub struct ColumnBuilder {
    pub(super) pg: PgType,
    zone: Zone,
    values: Builder,
}

#[derive(Debug)]
enum Builder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Oid(UInt32Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric(Decimal128Builder, u8, i8),
    Text(StringViewBuilder),
    Bytes(BinaryViewBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Enum(FixedSizeBinaryBuilder, Arc<EnumType>),
    Timetz(FixedSizeBinaryBuilder),
    Network(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder, bool),
    Interval(IntervalMonthDayNanoBuilder),
    List(Box<ColumnBuilder>, Vec<i32>, Vec<bool>),
    Row(RowBuilder),
}

impl ColumnBuilder {
    /// Without values yet. `zone` is that of timestamps without an offset. `0A000` for a type that cannot be read.
    pub fn new(pg: &PgType, zone: Zone) -> Result<Self, InputError> {
        Self::with_capacity(pg, zone, 0)
    }

    /// With space for some values; `0A000` for a type whose values cannot be read.
    pub fn with_capacity(pg: &PgType, zone: Zone, capacity: usize) -> Result<Self, InputError> {
        let unsupported = || InputError::Unsupported(format!("input of type {pg}"));
        let values = match (pg, arrow_type(pg)) {
            (PgType::Array(_) | PgType::Int2vector | PgType::Oidvector, _) => {
                let element = pg.element().ok_or_else(unsupported)?;
                Builder::List(Box::new(Self::new(element, zone)?), vec![0], Vec::new())
            }
            (PgType::Composite(_) | PgType::Record(Some(_)), _) => {
                let attributes = pg.attributes().unwrap_or_default().iter();
                let columns = attributes.map(|attribute| Self::with_capacity(&attribute.pg, zone, capacity));
                Builder::Row(RowBuilder { columns: columns.collect::<Result<_, _>>()?, places: Vec::new() })
            }
            (PgType::Record(None), _) => {
                return Err(InputError::Unsupported("input of anonymous composite types".to_owned()));
            }
            (PgType::Timestamptz(_), data_type) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity).with_data_type(data_type), true)
            }
            (PgType::Uuid, _) => Builder::Uuid(FixedSizeBinaryBuilder::with_capacity(capacity, 16)),
            (PgType::Enum(of), DataType::FixedSizeBinary(length)) => {
                Builder::Enum(FixedSizeBinaryBuilder::with_capacity(capacity, length), Arc::clone(of))
            }
            (PgType::Timetz(_), DataType::FixedSizeBinary(length)) => {
                Builder::Timetz(FixedSizeBinaryBuilder::with_capacity(capacity, length))
            }
            (pg, DataType::FixedSizeBinary(length)) if pg.is_network() => {
                Builder::Network(FixedSizeBinaryBuilder::with_capacity(capacity, length))
            }
            (PgType::Named(name), _) => return Err(InputError::Unsupported(format!("a value of type {name} here"))),
            (_, DataType::Boolean) => Builder::Bool(BooleanBuilder::with_capacity(capacity)),
            (_, DataType::Int16) => Builder::Int2(Int16Builder::with_capacity(capacity)),
            (_, DataType::Int32) => Builder::Int4(Int32Builder::with_capacity(capacity)),
            (_, DataType::Int64) => Builder::Int8(Int64Builder::with_capacity(capacity)),
            (_, DataType::UInt32) => Builder::Oid(UInt32Builder::with_capacity(capacity)),
            (_, DataType::Float32) => Builder::Float4(Float32Builder::with_capacity(capacity)),
            (_, DataType::Float64) => Builder::Float8(Float64Builder::with_capacity(capacity)),
            (_, DataType::Decimal128(precision, scale)) => {
                let data_type = DataType::Decimal128(precision, scale);
                Builder::Numeric(Decimal128Builder::with_capacity(capacity).with_data_type(data_type), precision, scale)
            }
            (_, DataType::Utf8View) => Builder::Text(StringViewBuilder::with_capacity(capacity)),
            (_, DataType::BinaryView) => Builder::Bytes(BinaryViewBuilder::with_capacity(capacity)),
            (_, DataType::Date32) => Builder::Date(Date32Builder::with_capacity(capacity)),
            (_, DataType::Time64(_)) => Builder::Time(Time64MicrosecondBuilder::with_capacity(capacity)),
            (_, DataType::Timestamp(_, None)) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity), false)
            }
            (_, DataType::Interval(_)) => Builder::Interval(IntervalMonthDayNanoBuilder::with_capacity(capacity)),
            _ => return Err(unsupported()),
        };
        Ok(Self { pg: pg.clone(), zone, values })
    }

    /// How many values it has so far, NULLs included.
    pub fn len(&self) -> usize {
        match &self.values {
            Builder::Bool(b) => b.len(),
            Builder::Int2(b) => b.len(),
            Builder::Int4(b) => b.len(),
            Builder::Int8(b) => b.len(),
            Builder::Oid(b) => b.len(),
            Builder::Float4(b) => b.len(),
            Builder::Float8(b) => b.len(),
            Builder::Numeric(b, ..) => b.len(),
            Builder::Text(b) => b.len(),
            Builder::Bytes(b) => b.len(),
            Builder::Uuid(b) | Builder::Enum(b, _) | Builder::Timetz(b) | Builder::Network(b) => b.len(),
            Builder::Date(b) => b.len(),
            Builder::Time(b) => b.len(),
            Builder::Timestamp(b, _) => b.len(),
            Builder::Interval(b) => b.len(),
            Builder::List(_, _, valid) => valid.len(),
            Builder::Row(rows) => rows.places.len(),
        }
    }

    /// Whether it has no value yet, not even a NULL.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a NULL, whatever the type.
    pub fn append_null(&mut self) {
        match &mut self.values {
            Builder::Bool(b) => b.append_null(),
            Builder::Int2(b) => b.append_null(),
            Builder::Int4(b) => b.append_null(),
            Builder::Int8(b) => b.append_null(),
            Builder::Oid(b) => b.append_null(),
            Builder::Float4(b) => b.append_null(),
            Builder::Float8(b) => b.append_null(),
            Builder::Numeric(b, ..) => b.append_null(),
            Builder::Text(b) => b.append_null(),
            Builder::Bytes(b) => b.append_null(),
            Builder::Uuid(b) | Builder::Enum(b, _) | Builder::Timetz(b) | Builder::Network(b) => b.append_null(),
            Builder::Date(b) => b.append_null(),
            Builder::Time(b) => b.append_null(),
            Builder::Timestamp(b, _) => b.append_null(),
            Builder::Interval(b) => b.append_null(),
            Builder::List(elements, offsets, valid) => {
                offsets.push(i32::try_from(elements.len()).unwrap_or(i32::MAX));
                valid.push(false);
            }
            Builder::Row(rows) => rows.places.push(None),
        }
    }

    /// Appends a value in text form.
    pub fn append_text(&mut self, text: &str) -> Result<(), InputError> {
        self.append_texts(std::iter::once(Ok(Some(text))))
    }

    /// Appends values in text form, up to the first that is none of the type's; `None` is NULL.
    pub fn append_texts<'t>(
        &mut self,
        mut texts: impl Iterator<Item = Result<Option<&'t str>, InputError>>,
    ) -> Result<(), InputError> {
        /// Appends what a function makes of each value.
        macro_rules! each {
            ($builder:expr, $read:expr) => {
                texts.try_for_each(|text| {
                    match text? {
                        Some(text) => $builder.append_value($read(text)?),
                        None => $builder.append_null(),
                    }
                    Ok(())
                })
            };
        }
        let pg = &self.pg;
        let syntax = |text: &str| InputError::Syntax { pg: pg.without_modifier().to_string(), text: text.to_owned() };
        let malformed = |error: Malformed, text: &str| match error {
            Malformed::Syntax => InputError::DateTimeSyntax { pg: pg.to_string(), text: text.to_owned() },
            Malformed::OutOfRange => InputError::DateTime { text: text.to_owned() },
        };
        match &mut self.values {
            Builder::Bool(b) => each!(b, |text| parse_bool(text).ok_or_else(|| syntax(text))),
            Builder::Int2(b) => each!(b, |text| integer(text, pg)),
            Builder::Int4(b) => each!(b, |text| integer(text, pg)),
            Builder::Int8(b) => each!(b, |text| integer(text, pg)),
            Builder::Oid(b) => each!(b, |text| integer(text, pg)),
            Builder::Float4(b) => each!(b, |text| float(text, pg)),
            Builder::Float8(b) => each!(b, |text| float(text, pg)),
            Builder::Numeric(b, precision, scale) => each!(b, |text: &str| match parse_numeric(text) {
                Some(parsed) if *pg == PgType::Numeric(None) => parsed.exactly(*precision, *scale),
                Some(parsed) => fit(parsed, *precision, *scale),
                None if text.trim().parse::<f64>().is_ok() => {
                    Err(InputError::NumericOverflow { precision: *precision, scale: *scale })
                }
                None => Err(syntax(text)),
            }),
            Builder::Text(b) => match pg {
                PgType::Json => each!(b, |text| without_zero(text).and_then(|text| json(text).map(|_parsed| text))),
                PgType::Jsonb => {
                    each!(b, |text| without_zero(text).and_then(|text| json(text).map(|parsed| jsonb_text(&parsed))))
                }
                pg => each!(b, |text| without_zero(text).and_then(|text| limited(text, pg, Surplus::Refused))),
            },
            Builder::Bytes(b) => each!(b, |text| bytea(text).ok_or_else(|| syntax(text))),
            Builder::Uuid(b) => fixed(b, texts, |text| uuid_bytes(text).ok_or_else(|| syntax(text))),
            Builder::Enum(b, of) => fixed(b, texts, |text| label(of, text)),
            Builder::Timetz(b) => fixed(b, texts, |text| {
                TimeTz::parse(text, self.zone).map(TimeTz::to_bytes).map_err(|error| malformed(error, text))
            }),
            Builder::Network(b) => match pg {
                PgType::Macaddr => fixed(b, texts, |text| hardware::<6>(text).ok_or_else(|| syntax(text))),
                PgType::Macaddr8 => fixed(b, texts, |text| hardware::<8>(text).ok_or_else(|| syntax(text))),
                pg => fixed(b, texts, |text| match Inet::parse(text, *pg == PgType::Cidr) {
                    Ok(address) => Ok(address.to_bytes()),
                    Err(Fault::Syntax) => Err(syntax(text)),
                    Err(Fault::HostBits) => Err(InputError::HostBits { text: text.to_owned() }),
                }),
            },
            Builder::Date(b) => each!(b, |text| parse_date(text).map_err(|error| malformed(error, text))),
            Builder::Time(b) => each!(b, |text| parse_local_time(text).map_err(|error| malformed(error, text))),
            Builder::Timestamp(b, zoned) => {
                let zone = zoned.then_some(self.zone);
                each!(b, |text| parse_timestamp(text, zone).map_err(|error| malformed(error, text)))
            }
            Builder::Interval(b) => each!(b, |text| parse_interval(text).map_err(|error| malformed(error, text))),
            Builder::List(elements, offsets, valid) => texts.try_for_each(|text| {
                let text = text?;
                if let Some(text) = text {
                    elements.append_elements(text, pg)?;
                }
                offsets.push(i32::try_from(elements.len()).unwrap_or(i32::MAX));
                valid.push(text.is_some());
                Ok(())
            }),
            Builder::Row(rows) => texts.try_for_each(|text| match text? {
                None => {
                    rows.places.push(None);
                    Ok(())
                }
                Some(text) => {
                    let items = record_items(text, rows.columns.len())?;
                    rows.append(&items, |column, item| column.append_text(item))
                }
            }),
        }
    }

    /// Appends the elements of an array in text form.
    fn append_elements(&mut self, text: &str, array: &PgType) -> Result<(), InputError> {
        if !matches!(array, PgType::Array(_)) {
            return text.split_ascii_whitespace().try_for_each(|item| self.append_text(item));
        }
        let malformed = || InputError::Array { text: text.to_owned() };
        let nested = matches!(self.pg, PgType::Array(_));
        // Few arrays have other arrays in them.
        if text.bytes().filter(|byte| *byte == b'{').nth(1).is_some()
            && array::shape(text).ok_or_else(malformed)?.contains(&0)
        {
            return Ok(());
        }
        array::parts(text).ok_or_else(malformed)?.iter().try_for_each(|part| match part {
            array::Part::Array(part) if nested => self.append_text(part),
            array::Part::Array(_) => Err(InputError::Dimensions { wanted: array.dimensions() }),
            array::Part::Value(_) if nested => Err(malformed()),
            array::Part::Value(Some(item)) => self.append_text(item),
            array::Part::Value(None) => {
                self.append_null();
                Ok(())
            }
        })
    }

    /// Appends a whole number to a column of integers, OIDs or points in time (microseconds since 1970). Anywhere else,
    /// and where it does not fit, it is NULL.
    #[expect(clippy::cast_precision_loss, reason = "PostgreSQL rounds, too")]
    pub fn append_integer(&mut self, value: i64) {
        match &mut self.values {
            Builder::Int2(b) => b.append_option(value.try_into().ok()),
            Builder::Int4(b) => b.append_option(value.try_into().ok()),
            Builder::Int8(b) => b.append_value(value),
            Builder::Oid(b) => b.append_option(value.try_into().ok()),
            Builder::Float4(b) => b.append_value(value as f32),
            Builder::Float8(b) => b.append_value(value as f64),
            Builder::Timestamp(b, _) => b.append_value(value),
            _ => self.append_null(),
        }
    }

    /// Appends a truth value to a column of booleans.
    pub fn append_bool(&mut self, value: bool) {
        match &mut self.values {
            Builder::Bool(b) => b.append_value(value),
            _ => self.append_null(),
        }
    }

    /// Appends an array whose items are appended to the builder of the elements.
    pub fn append_items(&mut self, items: impl FnOnce(&mut Self) -> Result<(), InputError>) -> Result<(), InputError> {
        let Builder::List(elements, offsets, valid) = &mut self.values else {
            self.append_null();
            return Ok(());
        };
        items(elements)?;
        offsets.push(i32::try_from(elements.len()).unwrap_or(i32::MAX));
        valid.push(true);
        Ok(())
    }

    /// Appends a row whose columns are appended one by one; `None` is NULL.
    pub(super) fn append_row<V>(
        &mut self,
        values: &[Option<V>],
        append: impl Fn(&mut Self, &V) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        if let Builder::Row(rows) = &mut self.values {
            return rows.append(values, append);
        }
        self.append_null();
        Ok(())
    }

    /// Appends a value in binary form.
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<(), InputError> {
        fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], InputError> {
            bytes.try_into().map_err(|_length| if bytes.len() < N { InputError::Short } else { InputError::Binary })
        }
        match &mut self.values {
            Builder::Bool(b) => b.append_value(exact::<1>(bytes)? != [0]),
            Builder::Int2(b) => b.append_value(i16::from_be_bytes(exact(bytes)?)),
            Builder::Int4(b) => b.append_value(i32::from_be_bytes(exact(bytes)?)),
            Builder::Int8(b) => b.append_value(i64::from_be_bytes(exact(bytes)?)),
            Builder::Oid(b) => b.append_value(u32::from_be_bytes(exact(bytes)?)),
            Builder::Float4(b) => b.append_value(f32::from_be_bytes(exact(bytes)?)),
            Builder::Float8(b) => b.append_value(f64::from_be_bytes(exact(bytes)?)),
            Builder::Numeric(b, precision, scale) => {
                let parsed = Numeric::from_binary(bytes).ok_or(InputError::Binary)?;
                b.append_value(match self.pg {
                    PgType::Numeric(None) => parsed.exactly(*precision, *scale)?,
                    _ => fit(parsed, *precision, *scale)?,
                });
            }
            Builder::Text(_) => {
                let bytes = match (&self.pg, bytes) {
                    (PgType::Jsonb, [1, rest @ ..]) => rest,
                    (PgType::Jsonb, _) => return Err(InputError::Binary),
                    _ => bytes,
                };
                let text = utf8(bytes)?;
                return self.append_text(text);
            }
            Builder::Bytes(b) => b.append_value(bytes),
            Builder::Uuid(b) => b.append_value(exact::<16>(bytes)?).map_err(|_width| InputError::Binary)?,
            Builder::Enum(b, of) => {
                b.append_value(label(of, utf8(bytes)?)?).map_err(|_width| InputError::Binary)?;
            }
            Builder::Network(b) => match &self.pg {
                PgType::Macaddr => b.append_value(exact::<6>(bytes)?).map_err(|_width| InputError::Binary)?,
                PgType::Macaddr8 => b.append_value(exact::<8>(bytes)?).map_err(|_width| InputError::Binary)?,
                pg => {
                    let address = Inet::from_wire(bytes, *pg == PgType::Cidr).ok_or(InputError::Binary)?;
                    b.append_value(address.to_bytes()).map_err(|_width| InputError::Binary)?;
                }
            },
            Builder::Timetz(b) => {
                let (time, west) = exact::<12>(bytes)?.split_first_chunk::<8>().map_or_else(
                    || Err(InputError::Short),
                    |(time, west)| Ok((i64::from_be_bytes(*time), i32::from_be_bytes(exact(west)?))),
                )?;
                let time = TimeTz::from_parts(time, west);
                let time = time.ok_or_else(|| InputError::DateTime { text: "time out of range".to_owned() })?;
                b.append_value(time.to_bytes()).map_err(|_width| InputError::Binary)?;
            }
            Builder::Date(b) => b.append_value(match i32::from_be_bytes(exact(bytes)?) {
                infinity @ (i32::MAX | i32::MIN) => infinity,
                days => days.checked_add(DAYS_1970_TO_2000).ok_or(InputError::Binary)?,
            }),
            Builder::Time(b) => match i64::from_be_bytes(exact(bytes)?) {
                micros @ 0..=86_400_000_000 => b.append_value(micros),
                _ => return Err(InputError::DateTime { text: "time out of range".to_owned() }),
            },
            Builder::Timestamp(b, _) => b.append_value(match i64::from_be_bytes(exact(bytes)?) {
                infinity @ (i64::MAX | i64::MIN) => infinity,
                micros => micros.checked_add(MICROS_1970_TO_2000).ok_or(InputError::Binary)?,
            }),
            Builder::Interval(b) => {
                let bytes = exact::<16>(bytes)?;
                let (micros, rest) = bytes.split_first_chunk::<8>().ok_or(InputError::Short)?;
                let (days, months) = rest.split_first_chunk::<4>().ok_or(InputError::Short)?;
                let nanoseconds = i64::from_be_bytes(*micros).checked_mul(1000).ok_or(InputError::Binary)?;
                let months = i32::from_be_bytes(exact(months)?);
                b.append_value(IntervalMonthDayNano::new(months, i32::from_be_bytes(*days), nanoseconds));
            }
            Builder::List(elements, offsets, valid) => {
                array::read(elements, bytes)?;
                offsets.push(i32::try_from(elements.len()).unwrap_or(i32::MAX));
                valid.push(true);
            }
            Builder::Row(rows) => {
                let fields = record_fields(bytes, rows.columns.len())?;
                for (number, ((oid, _), ColumnBuilder { pg, .. })) in (1..).zip(fields.iter().zip(&rows.columns)) {
                    if *oid != pg.oid() {
                        return Err(InputError::Mismatch(format!(
                            "binary data has type {oid} instead of expected {} ({pg}) in record column {number}",
                            pg.oid()
                        )));
                    }
                }
                let values: Vec<Option<&[u8]>> = fields.into_iter().map(|(_, value)| value).collect();
                rows.append(&values, |column, value| column.append_binary(value))?;
            }
        }
        Ok(())
    }

    /// The column so far; the builder starts again empty.
    pub fn finish(&mut self) -> ArrayRef {
        let array: ArrayRef = match &mut self.values {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int2(b) => Arc::new(b.finish()),
            Builder::Int4(b) => Arc::new(b.finish()),
            Builder::Int8(b) => Arc::new(b.finish()),
            Builder::Oid(b) => Arc::new(b.finish()),
            Builder::Float4(b) => Arc::new(b.finish()),
            Builder::Float8(b) => Arc::new(b.finish()),
            Builder::Numeric(b, ..) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::Uuid(b) | Builder::Enum(b, _) | Builder::Timetz(b) | Builder::Network(b) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Timestamp(b, _) => Arc::new(b.finish()),
            Builder::Interval(b) => Arc::new(b.finish()),
            Builder::List(elements, offsets, valid) => {
                let values = elements.finish();
                let offsets = std::mem::replace(offsets, vec![0]);
                let valid = std::mem::take(valid);
                let element = Arc::new(item(&elements.pg));
                Arc::new(arrow::array::ListArray::new(
                    element,
                    arrow::buffer::OffsetBuffer::new(offsets.into()),
                    values,
                    Some(valid.into()),
                ))
            }
            Builder::Row(rows) => rows.finish(&self.pg),
        };
        seconds_rounded(array, &self.pg)
    }
}

/// Collects rows that are values.
#[derive(Debug)]
struct RowBuilder {
    columns: Vec<ColumnBuilder>,
    /// Where in the columns each row is; `None`: it is NULL. What a row left that failed is in no place.
    places: Vec<Option<u32>>,
}

impl RowBuilder {
    /// Appends a row, or nothing where one of its values is an error.
    fn append<V>(
        &mut self,
        values: &[Option<V>],
        append: impl Fn(&mut ColumnBuilder, &V) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let place = self.columns.first().map_or(0, ColumnBuilder::len);
        let mut outcome = Ok(());
        for (column, value) in self.columns.iter_mut().zip(values) {
            if let (Ok(()), Some(value)) = (&outcome, value) {
                outcome = append(column, value);
            }
            if column.len() == place {
                column.append_null();
            }
        }
        outcome?;
        self.places.push(Some(u32::try_from(place).unwrap_or(u32::MAX)));
        Ok(())
    }

    fn finish(&mut self, pg: &PgType) -> ArrayRef {
        let places = std::mem::take(&mut self.places);
        let valid: Vec<bool> = places.iter().map(Option::is_some).collect();
        let places = UInt32Array::from(places);
        let columns = self.columns.iter_mut().zip(pg.attributes().unwrap_or_default()).map(|(column, attribute)| {
            let all = column.finish();
            let values = take(&all, &places, None).unwrap_or_else(|_| new_null_array(all.data_type(), places.len()));
            (Arc::new(Field::new(&attribute.name, values.data_type().clone(), true)), values)
        });
        let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) = columns.unzip();
        Arc::new(StructArray::new(fields.into(), columns, Some(valid.into())))
    }
}

fn integer<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str, pg: &PgType) -> Result<T, InputError> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    // Few have blanks around them.
    text.parse().or_else(|_| text.trim().parse()).map_err(|error: std::num::ParseIntError| match error.kind() {
        PosOverflow | NegOverflow => InputError::OutOfRange { pg: pg.to_string(), text: text.to_owned() },
        _ => InputError::Syntax { pg: pg.without_modifier().to_string(), text: text.to_owned() },
    })
}

fn float<T: std::str::FromStr + FloatLimits>(text: &str, pg: &PgType) -> Result<T, InputError> {
    let word = text.trim();
    let syntax = || InputError::Syntax { pg: pg.without_modifier().to_string(), text: text.to_owned() };
    let value: T = word.parse().map_err(|_malformed| syntax())?;
    let named_infinity = word.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("inf");
    if value.is_infinite() && !named_infinity {
        return Err(InputError::OutOfRange { pg: pg.to_string(), text: text.to_owned() });
    }
    Ok(value)
}

trait FloatLimits {
    fn is_infinite(&self) -> bool;
}
impl FloatLimits for f32 {
    fn is_infinite(&self) -> bool {
        f32::is_infinite(*self)
    }
}
impl FloatLimits for f64 {
    fn is_infinite(&self) -> bool {
        f64::is_infinite(*self)
    }
}

fn fit(value: Numeric, precision: u8, scale: i8) -> Result<i128, InputError> {
    let overflow = InputError::NumericOverflow { precision, scale };
    let limit = 10_i128.checked_pow(u32::from(precision));
    match value.rescale(scale) {
        Some(value) if limit.is_none_or(|limit| value.abs() < limit) => Ok(value),
        _ => Err(overflow),
    }
}

/// What becomes of a text beyond the limit of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// It is an error, unless it is blanks.
    Refused,
    /// It goes.
    Cut,
}

/// Holds texts against the limit of their type and rounds times to its digits, also in arrays and rows. `22001`.
pub(crate) fn within_modifier(array: ArrayRef, pg: &PgType, surplus: Surplus) -> Result<ArrayRef, InputError> {
    if !has_modifier(pg) {
        return Ok(array);
    }
    let part = |pg: &PgType, array: &ArrayRef, _: &DataType| within_modifier(Arc::clone(array), pg, surplus);
    rebuilt(pg, &array, array.data_type(), &part, &|pg, array| within_own_modifier(pg, array, surplus))
}

fn has_modifier(pg: &PgType) -> bool {
    matches!(pg, PgType::Varchar(Some(_)) | PgType::Char(_))
        || pg.second_digits().is_some()
        || pg.parts().any(has_modifier)
}

fn within_own_modifier(pg: &PgType, array: &ArrayRef, surplus: Surplus) -> Result<ArrayRef, InputError> {
    if pg.second_digits().is_some() {
        return Ok(seconds_rounded(Arc::clone(array), pg));
    }
    let Some(text) = array.as_string_view_opt() else { return Ok(Arc::clone(array)) };
    let mut changed = false;
    let mut builder = StringViewBuilder::with_capacity(text.len());
    for value in text {
        match value {
            Some(value) => {
                let kept = limited(value, pg, surplus)?;
                changed |= kept.len() != value.len();
                builder.append_value(kept);
            }
            None => builder.append_null(),
        }
    }
    Ok(if changed { Arc::new(builder.finish()) } else { Arc::clone(array) })
}

/// Reads 32 hexadecimal digits, with a hyphen after any four of them, perhaps all in braces.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let inner = text.strip_prefix('{').map_or(Some(text), |rest| rest.strip_suffix('}'))?;
    let mut digits = String::with_capacity(32);
    let mut after_hyphen = false;
    for c in inner.chars() {
        match c {
            '-' if !after_hyphen && !digits.is_empty() && digits.len().is_multiple_of(4) && digits.len() < 32 => {
                after_hyphen = true;
            }
            c if c.is_ascii_hexdigit() => {
                digits.push(c);
                after_hyphen = false;
            }
            _ => return None,
        }
    }
    u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map(u128::to_be_bytes)
}

/// Checks varchar's limit and drops char's padding. Surplus blanks are cut off without an error, as SQL wants.
pub(crate) fn limited<'a>(text: &'a str, pg: &PgType, more: Surplus) -> Result<&'a str, InputError> {
    let limit = match pg {
        PgType::Varchar(Some(limit)) | PgType::Char(limit) if *limit > 0 => {
            usize::try_from(*limit).unwrap_or(usize::MAX)
        }
        PgType::Char(_) => return Ok(text.trim_end_matches(' ')),
        _ => return Ok(text),
    };
    let within = match text.char_indices().nth(limit) {
        Some((at, _)) => {
            let (within, surplus) = text.split_at(at);
            if more == Surplus::Refused && surplus.bytes().any(|b| b != b' ') {
                return Err(InputError::TooLong { pg: pg.to_string() });
            }
            within
        }
        None => text,
    };
    Ok(if matches!(pg, PgType::Char(_)) { within.trim_end_matches(' ') } else { within })
}

/// Bytes as text. `22021` with the first bytes that are none.
pub fn utf8(bytes: &[u8]) -> Result<&str, InputError> {
    std::str::from_utf8(bytes).map_err(|invalid| {
        let rest = bytes.get(invalid.valid_up_to()..).unwrap_or_default();
        let length = match rest.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        InputError::Encoding(rest.iter().take(length).copied().collect())
    })
}

/// `22021` for a text with a zero byte, which PostgreSQL's texts cannot have.
fn without_zero(text: &str) -> Result<&str, InputError> {
    if memchr::memchr(0, text.as_bytes()).is_some() { Err(InputError::Encoding(vec![0])) } else { Ok(text) }
}

fn json(text: &str) -> Result<serde_json::Value, InputError> {
    serde_json::from_str(text).map_err(|error| InputError::Json { detail: error.to_string() })
}

/// Hex (`\x…`) and escape format.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex
            .bytes()
            .filter(|b| !b.is_ascii_whitespace())
            .map(|b| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect::<Option<_>>()?;
        let pairs = digits.chunks(2).map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        });
        return pairs.collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Some(bytes)
}

/// jsonb's normal form: keys by length and then bytes, one space after `:` and `,`.
pub fn jsonb_text(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(jsonb_text).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            let entries = entries
                .into_iter()
                .map(|(key, value)| format!("{}: {}", Value::String(key.clone()), jsonb_text(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => plain_number(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// The furthest that a number's point is moved to write it without an exponent.
const EXPONENT_MAX: i64 = 1_000;

/// A number without an exponent, and without zeros that say nothing: equal numbers are equal texts.
fn plain_number(number: &str) -> String {
    let (sign, unsigned) = number.strip_prefix('-').map_or(("", number), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Some(exponent) = exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() <= EXPONENT_MAX) else {
        return number.to_owned();
    };
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let point = length(whole).saturating_add(exponent);
    let padded = format!("{}{whole}{fraction}{}", zeros(-point), zeros(point - length(whole) - length(fraction)));
    let (whole, fraction) = padded.split_at_checked(usize::try_from(point).unwrap_or(0)).unwrap_or((&padded, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    match fraction {
        "" if whole == "0" => "0".to_owned(),
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Appends the bytes that each text stands for.
fn fixed<'t, const N: usize>(
    builder: &mut FixedSizeBinaryBuilder,
    mut texts: impl Iterator<Item = Result<Option<&'t str>, InputError>>,
    read: impl Fn(&str) -> Result<[u8; N], InputError>,
) -> Result<(), InputError> {
    texts.try_for_each(|text| {
        match text? {
            Some(text) => builder.append_value(read(text)?).map_err(|_width| InputError::Binary)?,
            None => builder.append_null(),
        }
        Ok(())
    })
}

/// The value of an enumeration that a label stands for.
fn label(of: &EnumType, text: &str) -> Result<[u8; 8], InputError> {
    let unknown = || InputError::Label { pg: PgType::Enum(Arc::new(of.clone())).to_string(), text: text.to_owned() };
    of.code(text).map(u64::to_be_bytes).ok_or_else(unknown)
}
