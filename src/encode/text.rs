//! Values in PostgreSQL's text form.

use super::network::{self, Inet};
use super::number::Numeric;
use super::record::write_record;
use super::timetz::TimeTz;
use super::{Column, Style, Values, datetime, interval, number};
use crate::types::{EnumType, PgType};

/// Writes a value that is not NULL.
pub(crate) fn write_text(out: &mut Vec<u8>, column: &Column, row: usize, style: &Style) {
    match &column.values {
        Values::Oid(array) if column.pg.is_object_name() => {
            out.extend_from_slice(style.object_name(&column.pg, array.value(row)).as_bytes());
        }
        Values::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
        Values::Int2(array) => out.extend_from_slice(itoa::Buffer::new().format(array.value(row)).as_bytes()),
        Values::Int4(array) => out.extend_from_slice(itoa::Buffer::new().format(array.value(row)).as_bytes()),
        Values::Int8(array) => out.extend_from_slice(itoa::Buffer::new().format(array.value(row)).as_bytes()),
        Values::Oid(array) => out.extend_from_slice(itoa::Buffer::new().format(array.value(row)).as_bytes()),
        Values::Float4(array) => number::write_float4(out, array.value(row), style.extra_float_digits),
        Values::Float8(array) => number::write_float8(out, array.value(row), style.extra_float_digits),
        Values::Numeric(array, scale) => {
            let Numeric { value, scale } = shown(array.value(row), *scale, &column.pg);
            number::write_decimal(out, value, scale);
        }
        Values::BigNumeric(array, scale) => {
            let text = array.value(row).to_string();
            let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
            number::write_decimal_digits(out, negative, digits, *scale);
        }
        Values::TextView(array) => write_string(out, array.value(row), &column.pg),
        Values::Text(array) => write_string(out, array.value(row), &column.pg),
        Values::LargeText(array) => write_string(out, array.value(row), &column.pg),
        Values::BytesView(array) => write_hex(out, array.value(row)),
        Values::Bytes(array) => write_hex(out, array.value(row)),
        Values::LargeBytes(array) => write_hex(out, array.value(row)),
        Values::Uuid(array) => write_uuid(out, array.value(row)),
        Values::Enum(array, of) => out.extend_from_slice(label(of, array.value(row)).as_bytes()),
        Values::Network(array) => match &column.pg {
            PgType::Macaddr | PgType::Macaddr8 => network::write_hardware(out, array.value(row)),
            pg => {
                out.extend_from_slice(Inet::of(array.value(row)).text(*pg == PgType::Cidr).as_bytes());
            }
        },
        Values::Timetz(array) => {
            if let Some(time) = TimeTz::from_bytes(array.value(row)) {
                time.write(out);
            }
        }
        Values::Date(array) => datetime::write_date(out, array.value(row)),
        Values::Time(array) => datetime::write_time(out, array.value(row)),
        Values::Timestamp(array) => datetime::write_timestamp(out, array.value(row), None),
        Values::Timestamptz(array) => datetime::write_timestamp(out, array.value(row), Some(style.zone)),
        Values::Interval(array) if style.iso_8601_intervals => interval::write_iso_8601(out, array.value(row)),
        Values::Interval(array) => interval::write_postgres(out, array.value(row)),
        Values::List(list, elements) if matches!(column.pg, PgType::Int2vector | PgType::Oidvector) => {
            for (position, element) in bounds(list.value_offsets(), row).enumerate() {
                if position > 0 {
                    out.push(b' ');
                }
                write_text(out, elements, element, style);
            }
        }
        Values::List(list, elements) => write_array(out, list.value_offsets(), row, elements, style),
        Values::Row(_, columns) => write_record(out, columns, row, style),
        Values::Null => {}
    }
}

/// A numeric as it is shown: without zeros at its end if its type has no scale.
pub(super) fn shown(value: i128, scale: i8, pg: &PgType) -> Numeric {
    let numeric = Numeric { value, scale };
    if *pg == PgType::Numeric(None) { numeric.shortest() } else { numeric }
}

/// The label that a value of an enumeration stands for. A value that it does not have is not kept anywhere.
fn label<'a>(of: &'a EnumType, value: &[u8]) -> &'a str {
    let code = value.try_into().map(u64::from_be_bytes);
    code.ok().and_then(|code| of.label(code)).unwrap_or_default()
}

/// `character(n)` is kept without its padding and gets it back here.
fn write_string(out: &mut Vec<u8>, text: &str, pg: &PgType) {
    out.extend_from_slice(text.as_bytes());
    if let PgType::Char(length) = pg {
        let missing = usize::try_from(*length).unwrap_or(0).saturating_sub(text.chars().count());
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[expect(clippy::indexing_slicing, reason = "a nibble indexes a table of 16")]
pub(super) fn hex(out: &mut Vec<u8>, byte: u8) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        hex(out, *byte);
    }
}

fn write_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex(out, *byte);
    }
}

fn write_array(out: &mut Vec<u8>, offsets: &[i32], row: usize, elements: &Column, style: &Style) {
    let range = bounds(offsets, row);
    out.push(b'{');
    let mut scratch = Vec::new();
    for (position, element) in range.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if elements.values.is_null(element) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        if matches!(elements.values, Values::List(..)) {
            write_text(out, elements, element, style);
            continue;
        }
        scratch.clear();
        write_text(&mut scratch, elements, element, style);
        if array_needs_quotes(&scratch) {
            out.push(b'"');
            for byte in &scratch {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.push(b'"');
        } else {
            out.extend_from_slice(&scratch);
        }
    }
    out.push(b'}');
}

/// The elements of one row of a list.
pub(crate) fn bounds(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    at(row)..at(row + 1)
}

/// Whether an element must be quoted in an array's text.
pub fn array_needs_quotes(element: &[u8]) -> bool {
    element.is_empty()
        || element.eq_ignore_ascii_case(b"null")
        || element
            .iter()
            .any(|byte| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
}

/// A column as text, value by value.
pub(crate) fn text_array(
    array: &arrow::array::ArrayRef,
    field: &arrow::datatypes::Field,
    style: &Style,
) -> Result<arrow::array::ArrayRef, arrow::error::ArrowError> {
    let column = Column::new(array, field)?;
    let mut builder = arrow::array::StringBuilder::new();
    let mut scratch = Vec::new();
    for row in 0..array.len() {
        if column.values.is_null(row) {
            builder.append_null();
            continue;
        }
        scratch.clear();
        write_text(&mut scratch, &column, row, style);
        builder.append_value(String::from_utf8_lossy(&scratch));
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

/// One value as text.
pub(crate) fn scalar_text(
    scalar: &datafusion::common::ScalarValue,
    pg: &PgType,
    style: &Style,
) -> Result<String, arrow::error::ArrowError> {
    let array = scalar.to_array().map_err(|error| arrow::error::ArrowError::ComputeError(error.to_string()))?;
    let column = Column::new(&array, &crate::types::field("", pg, true).with_data_type(array.data_type().clone()))?;
    let mut out = Vec::new();
    write_text(&mut out, &column, 0, style);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// One row, as PostgreSQL shows a failing one: `1, null, abc`.
pub(crate) fn describe_row(
    batch: &arrow::record_batch::RecordBatch,
    row: usize,
) -> Result<String, arrow::error::ArrowError> {
    let mut out = Vec::new();
    for (index, column) in super::columns(batch)?.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        if column.values.is_null(row) {
            out.extend_from_slice(b"null");
        } else {
            write_text(&mut out, column, row, &Style::utc());
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
