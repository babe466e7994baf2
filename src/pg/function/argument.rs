//! Values of PostgreSQL's types as those of Rust, in columns: what functions take and give.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, BooleanBuilder, Date32Array, Decimal128Array,
    FixedSizeBinaryArray, FixedSizeBinaryBuilder, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, PrimitiveBuilder, StringViewArray, StringViewBuilder, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};

use crate::encode::{Inet, Numeric};
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::types::{PgType, arrow_type};

/// A type of which a function may have an argument.
pub(super) trait Argument: 'static {
    /// What its values are in Rust.
    type Of<'a>;
    /// The array that has them.
    type Column: Array + 'static;

    /// Whether NULL is a value of it, and not the function's result.
    const TAKES_NULL: bool = false;

    fn pg() -> PgType;
    fn get(column: &Self::Column, row: usize) -> Self::Of<'_>;
}

/// A type of which a function may have its result.
pub(super) trait Returned: Sized {
    /// What collects its values.
    type Builder;

    fn pg() -> PgType;
    fn builder(rows: usize) -> Self::Builder;
    /// `data_type`: that of the whole column, which has the scale of a numeric. `22003`
    fn append(self, to: &mut Self::Builder, data_type: &DataType) -> Result<(), Plain>;
    fn append_null(to: &mut Self::Builder);
    fn finish(builder: Self::Builder, data_type: &DataType) -> Result<ArrayRef, SqlError>;
}

/// A day, as days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date(pub(super) i32);
/// Microseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);
/// A local time, as microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) struct Timestamp(pub(super) i64);
/// A moment, as microseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) struct Timestamptz(pub(super) i64);
/// An interval.
pub(super) type Interval = IntervalMonthDayNano;
/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr(pub(super) Inet);
/// A hardware address of six bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Macaddr(pub(super) [u8; 6]);
/// A hardware address of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Macaddr8(pub(super) [u8; 8]);
/// Text, as an argument.
pub(super) struct Text;
/// JSON as it was written, as an argument.
pub(super) struct Json;
/// JSON in normal form, as an argument.
pub(super) struct Jsonb;
/// An array of texts, as an argument.
pub(super) struct TextArray;
/// JSON as a result.
pub(super) struct JsonText(pub(super) String);
/// JSON in normal form as a result.
pub(super) struct JsonbText(pub(super) String);
/// A string of bytes, as an argument.
pub(super) struct Bytea;

macro_rules! primitive {
    ($rust:ty, $pg:expr, $column:ty, $arrow:ty, $of:expr, $native:expr) => {
        impl Argument for $rust {
            type Of<'a> = Self;
            type Column = $column;

            fn pg() -> PgType {
                $pg
            }
            fn get(column: &Self::Column, row: usize) -> Self {
                $of(column.value(row))
            }
        }

        impl Returned for $rust {
            type Builder = PrimitiveBuilder<$arrow>;

            fn pg() -> PgType {
                $pg
            }
            fn builder(rows: usize) -> Self::Builder {
                PrimitiveBuilder::with_capacity(rows)
            }
            fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
                to.append_value($native(self));
                Ok(())
            }
            fn append_null(to: &mut Self::Builder) {
                to.append_null();
            }
            fn finish(mut builder: Self::Builder, data_type: &DataType) -> Result<ArrayRef, SqlError> {
                Ok(Arc::new(builder.finish().with_data_type(data_type.clone())))
            }
        }
    };
}

primitive!(i16, PgType::Int2, Int16Array, Int16Type, |value| value, |value| value);
primitive!(i32, PgType::Int4, Int32Array, Int32Type, |value| value, |value| value);
primitive!(i64, PgType::Int8, Int64Array, Int64Type, |value| value, |value| value);
primitive!(f32, PgType::Float4, Float32Array, Float32Type, |value| value, |value| value);
primitive!(f64, PgType::Float8, Float64Array, Float64Type, |value| value, |value| value);
primitive!(Date, PgType::Date, Date32Array, Date32Type, Date, |date: Date| date.0);
primitive!(Time, PgType::Time(None), Time64MicrosecondArray, Time64MicrosecondType, Time, |time: Time| time.0);
primitive!(
    Timestamp,
    PgType::Timestamp(None),
    TimestampMicrosecondArray,
    TimestampMicrosecondType,
    Timestamp,
    |moment: Timestamp| moment.0
);
primitive!(
    Timestamptz,
    PgType::Timestamptz(None),
    TimestampMicrosecondArray,
    TimestampMicrosecondType,
    Timestamptz,
    |moment: Timestamptz| moment.0
);
primitive!(Interval, PgType::Interval, IntervalMonthDayNanoArray, IntervalMonthDayNanoType, |value| value, |value| {
    value
});

/// Values that are bytes of a fixed length.
macro_rules! fixed {
    ($rust:ty, $pg:ident, $of:expr, $bytes:expr) => {
        impl Argument for $rust {
            type Of<'a> = Self;
            type Column = FixedSizeBinaryArray;

            fn pg() -> PgType {
                PgType::$pg
            }
            fn get(column: &Self::Column, row: usize) -> Self {
                $of(column.value(row))
            }
        }

        impl Returned for $rust {
            type Builder = FixedSizeBinaryBuilder;

            fn pg() -> PgType {
                PgType::$pg
            }
            fn builder(rows: usize) -> Self::Builder {
                let DataType::FixedSizeBinary(length) = arrow_type(&PgType::$pg) else { unreachable!() };
                FixedSizeBinaryBuilder::with_capacity(rows, length)
            }
            fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
                to.append_value($bytes(self)).map_err(|_| internal("a value of another length"))
            }
            fn append_null(to: &mut Self::Builder) {
                to.append_null();
            }
            fn finish(mut builder: Self::Builder, _: &DataType) -> Result<ArrayRef, SqlError> {
                Ok(Arc::new(builder.finish()))
            }
        }
    };
}

fixed!(Inet, Inet, Inet::of, Inet::to_bytes);
fixed!(Cidr, Cidr, |bytes| Cidr(Inet::of(bytes)), |network: Cidr| network.0.to_bytes());
fixed!(Macaddr, Macaddr, |bytes| Macaddr(octets(bytes)), |address: Macaddr| address.0);
fixed!(Macaddr8, Macaddr8, |bytes| Macaddr8(octets(bytes)), |address: Macaddr8| address.0);

fn octets<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    octets.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    octets
}

impl Argument for bool {
    type Of<'a> = Self;
    type Column = BooleanArray;

    fn pg() -> PgType {
        PgType::Bool
    }
    fn get(column: &Self::Column, row: usize) -> Self {
        column.value(row)
    }
}

impl Returned for bool {
    type Builder = BooleanBuilder;

    fn pg() -> PgType {
        PgType::Bool
    }
    fn builder(rows: usize) -> Self::Builder {
        BooleanBuilder::with_capacity(rows)
    }
    fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
        to.append_value(self);
        Ok(())
    }
    fn append_null(to: &mut Self::Builder) {
        to.append_null();
    }
    fn finish(mut builder: Self::Builder, _: &DataType) -> Result<ArrayRef, SqlError> {
        Ok(Arc::new(builder.finish()))
    }
}

impl Argument for Text {
    type Of<'a> = &'a str;
    type Column = StringViewArray;

    fn pg() -> PgType {
        PgType::Text
    }
    fn get(column: &Self::Column, row: usize) -> &str {
        column.value(row)
    }
}

impl Argument for Bytea {
    type Of<'a> = &'a [u8];
    type Column = BinaryViewArray;

    fn pg() -> PgType {
        PgType::Bytea
    }
    fn get(column: &Self::Column, row: usize) -> &[u8] {
        column.value(row)
    }
}

impl Returned for String {
    type Builder = StringViewBuilder;

    fn pg() -> PgType {
        PgType::Text
    }
    fn builder(rows: usize) -> Self::Builder {
        StringViewBuilder::with_capacity(rows)
    }
    fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
        to.append_value(self);
        Ok(())
    }
    fn append_null(to: &mut Self::Builder) {
        to.append_null();
    }
    fn finish(mut builder: Self::Builder, _: &DataType) -> Result<ArrayRef, SqlError> {
        Ok(Arc::new(builder.finish()))
    }
}

macro_rules! json {
    ($argument:ident, $returned:ident, $pg:ident) => {
        impl Argument for $argument {
            type Of<'a> = &'a str;
            type Column = StringViewArray;

            fn pg() -> PgType {
                PgType::$pg
            }
            fn get(column: &Self::Column, row: usize) -> &str {
                column.value(row)
            }
        }

        impl Returned for $returned {
            type Builder = StringViewBuilder;

            fn pg() -> PgType {
                PgType::$pg
            }
            fn builder(rows: usize) -> Self::Builder {
                StringViewBuilder::with_capacity(rows)
            }
            fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
                to.append_value(self.0);
                Ok(())
            }
            fn append_null(to: &mut Self::Builder) {
                to.append_null();
            }
            fn finish(mut builder: Self::Builder, _: &DataType) -> Result<ArrayRef, SqlError> {
                Ok(Arc::new(builder.finish()))
            }
        }
    };
}

json!(Json, JsonText, Json);
json!(Jsonb, JsonbText, Jsonb);

/// The values of an array of texts.
impl Argument for TextArray {
    type Of<'a> = Vec<Option<String>>;
    type Column = ListArray;

    fn pg() -> PgType {
        PgType::Array(Box::new(PgType::Text))
    }
    fn get(column: &Self::Column, row: usize) -> Vec<Option<String>> {
        let values = column.value(row);
        values
            .as_string_view_opt()
            .map_or_else(Vec::new, |texts| texts.iter().map(|text| text.map(ToOwned::to_owned)).collect())
    }
}

impl Returned for Vec<u8> {
    type Builder = arrow::array::BinaryViewBuilder;

    fn pg() -> PgType {
        PgType::Bytea
    }
    fn builder(rows: usize) -> Self::Builder {
        arrow::array::BinaryViewBuilder::with_capacity(rows)
    }
    fn append(self, to: &mut Self::Builder, _: &DataType) -> Result<(), Plain> {
        to.append_value(self);
        Ok(())
    }
    fn append_null(to: &mut Self::Builder) {
        to.append_null();
    }
    fn finish(mut builder: Self::Builder, _: &DataType) -> Result<ArrayRef, SqlError> {
        Ok(Arc::new(builder.finish()))
    }
}

/// The values of arrays, one array after the other.
pub(super) struct Lists<R: Returned> {
    values: R::Builder,
    /// How many values there are, and how many each array has.
    len: usize,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

/// An array.
impl<R: Returned> Returned for Vec<R> {
    type Builder = Lists<R>;

    fn pg() -> PgType {
        PgType::Array(Box::new(R::pg()))
    }
    fn builder(rows: usize) -> Self::Builder {
        Lists { values: R::builder(0), len: 0, lengths: Vec::with_capacity(rows), valid: Vec::with_capacity(rows) }
    }
    fn append(self, to: &mut Self::Builder, data_type: &DataType) -> Result<(), Plain> {
        let DataType::List(item) = data_type else {
            return Err(Plain::new(SqlState::INTERNAL_ERROR, "an array as a result of another type"));
        };
        to.len += self.len();
        if i32::try_from(to.len).is_err() {
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many values in arrays"));
        }
        to.lengths.push(self.len());
        to.valid.push(true);
        self.into_iter().try_for_each(|value| value.append(&mut to.values, item.data_type()))
    }
    fn append_null(to: &mut Self::Builder) {
        to.lengths.push(0);
        to.valid.push(false);
    }
    fn finish(builder: Self::Builder, data_type: &DataType) -> Result<ArrayRef, SqlError> {
        let DataType::List(item) = data_type else {
            return Err(internal("an array as a result of another type").into());
        };
        let values = R::finish(builder.values, item.data_type())?;
        let offsets = OffsetBuffer::from_lengths(builder.lengths);
        let lists = ListArray::try_new(Arc::clone(item), offsets, values, Some(NullBuffer::from(builder.valid)));
        Ok(Arc::new(lists.map_err(SqlError::from_arrow)?))
    }
}

impl Argument for Numeric {
    type Of<'a> = Self;
    type Column = Decimal128Array;

    fn pg() -> PgType {
        PgType::Numeric(None)
    }
    fn get(column: &Self::Column, row: usize) -> Self {
        Self { value: column.value(row), scale: column.scale() }
    }
}

impl Returned for Numeric {
    type Builder = PrimitiveBuilder<Decimal128Type>;

    fn pg() -> PgType {
        PgType::Numeric(None)
    }
    fn builder(rows: usize) -> Self::Builder {
        PrimitiveBuilder::with_capacity(rows)
    }
    fn append(self, to: &mut Self::Builder, data_type: &DataType) -> Result<(), Plain> {
        let DataType::Decimal128(precision, scale) = data_type else {
            return Err(Plain::new(SqlState::INTERNAL_ERROR, "a numeric result of another type"));
        };
        let limit = 10_i128.checked_pow(u32::from(*precision));
        let value = self.rescale(*scale).filter(|value| limit.is_none_or(|limit| value.abs() < limit));
        let overflow = || Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
        to.append_value(value.ok_or_else(overflow)?);
        Ok(())
    }
    fn append_null(to: &mut Self::Builder) {
        to.append_null();
    }
    fn finish(mut builder: Self::Builder, data_type: &DataType) -> Result<ArrayRef, SqlError> {
        Ok(Arc::new(builder.finish().with_data_type(data_type.clone())))
    }
}

/// NULL, for some values.
impl<R: Returned> Returned for Option<R> {
    type Builder = R::Builder;

    fn pg() -> PgType {
        R::pg()
    }
    fn builder(rows: usize) -> Self::Builder {
        R::builder(rows)
    }
    fn append(self, to: &mut Self::Builder, data_type: &DataType) -> Result<(), Plain> {
        match self {
            Some(value) => value.append(to, data_type)?,
            None => R::append_null(to),
        }
        Ok(())
    }
    fn append_null(to: &mut Self::Builder) {
        R::append_null(to);
    }
    fn finish(builder: Self::Builder, data_type: &DataType) -> Result<ArrayRef, SqlError> {
        R::finish(builder, data_type)
    }
}

/// An argument that may be NULL.
pub(super) struct OrNull<A>(std::marker::PhantomData<A>);

impl<A: Argument> Argument for OrNull<A> {
    type Of<'a> = Option<A::Of<'a>>;
    type Column = A::Column;

    const TAKES_NULL: bool = true;

    fn pg() -> PgType {
        A::pg()
    }
    fn get(column: &Self::Column, row: usize) -> Self::Of<'_> {
        if column.is_null(row) { None } else { Some(A::get(column, row)) }
    }
}

/// One argument in all rows.
pub(super) struct Column<'a, A: Argument> {
    array: &'a A::Column,
    /// It has one value, for all rows.
    is_one: bool,
}

impl<'a, A: Argument> Column<'a, A> {
    pub(super) fn of(given: Option<&'a Given>) -> Result<Self, SqlError> {
        let given = given.ok_or_else(|| internal("an argument is missing"))?;
        let array = given.array.as_any().downcast_ref::<A::Column>();
        let array = array.ok_or_else(|| internal("an argument is of another type than its function"))?;
        Ok(Self { array, is_one: given.is_one })
    }

    pub(super) fn get(&self, row: usize) -> Option<A::Of<'a>> {
        let row = if self.is_one { 0 } else { row };
        if !A::TAKES_NULL && self.array.is_null(row) { None } else { Some(A::get(self.array, row)) }
    }
}

/// An argument as it was given.
pub(super) struct Given {
    array: ArrayRef,
    is_one: bool,
}

impl Given {
    /// In the form that a type has in the engine.
    pub(super) fn new(array: ArrayRef, is_one: bool, pg: &PgType) -> Result<Self, SqlError> {
        let wanted = arrow_type(pg);
        let fits = match (array.data_type(), &wanted) {
            (DataType::Decimal128(..), DataType::Decimal128(..)) => true,
            (own, wanted) => own == wanted,
        };
        let array = if fits { array } else { cast(&array, &wanted).map_err(SqlError::from_arrow)? };
        Ok(Self { array, is_one })
    }
}
