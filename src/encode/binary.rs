//! Values in PostgreSQL's binary form.

use bytes::BufMut;

use super::array;
use super::network::Inet;
use super::number::Numeric;
use super::record::write_record_binary;
use super::text::shown;
use super::timetz::TimeTz;
use super::{Column, DAYS_1970_TO_2000, MICROS_1970_TO_2000, Style, Values, number, write_text};
use crate::types::PgType;

/// Writes a value that is not NULL, without its length.
pub(super) fn write_binary(out: &mut Vec<u8>, column: &Column, row: usize, style: &Style) {
    match &column.values {
        Values::Bool(array) => out.push(u8::from(array.value(row))),
        Values::Int2(array) => out.put_i16(array.value(row)),
        Values::Int4(array) => out.put_i32(array.value(row)),
        Values::Int8(array) => out.put_i64(array.value(row)),
        Values::Oid(array) => out.put_u32(array.value(row)),
        Values::Float4(array) => out.put_f32(array.value(row)),
        Values::Float8(array) => out.put_f64(array.value(row)),
        Values::Numeric(array, scale) => {
            let Numeric { value, scale } = shown(array.value(row), *scale, &column.pg);
            number::write_numeric_binary(out, value < 0, itoa::Buffer::new().format(value.unsigned_abs()), scale);
        }
        Values::BigNumeric(array, scale) => {
            let text = array.value(row).to_string();
            let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
            number::write_numeric_binary(out, negative, digits, *scale);
        }
        Values::TextView(_) | Values::Text(_) | Values::LargeText(_) => {
            if column.pg == PgType::Jsonb {
                out.push(1);
            }
            write_text(out, column, row, style);
        }
        Values::BytesView(array) => out.extend_from_slice(array.value(row)),
        Values::Bytes(array) => out.extend_from_slice(array.value(row)),
        Values::LargeBytes(array) => out.extend_from_slice(array.value(row)),
        Values::Uuid(array) => out.extend_from_slice(array.value(row)),
        Values::Enum(..) => write_text(out, column, row, style),
        Values::Network(array) => match &column.pg {
            PgType::Macaddr | PgType::Macaddr8 => out.extend_from_slice(array.value(row)),
            pg => {
                Inet::of(array.value(row)).write_wire(out, *pg == PgType::Cidr);
            }
        },
        Values::Timetz(array) => {
            if let Some(time) = TimeTz::from_bytes(array.value(row)) {
                out.put_i64(time.local_us);
                out.put_i32(time.west);
            }
        }
        Values::Date(array) => out.put_i32(match array.value(row) {
            infinity @ (i32::MAX | i32::MIN) => infinity,
            days => days.saturating_sub(DAYS_1970_TO_2000),
        }),
        Values::Time(array) => out.put_i64(array.value(row)),
        Values::Timestamp(array) | Values::Timestamptz(array) => out.put_i64(match array.value(row) {
            infinity @ (i64::MAX | i64::MIN) => infinity,
            micros => micros.saturating_sub(MICROS_1970_TO_2000),
        }),
        Values::Interval(array) => {
            let value = array.value(row);
            out.put_i64(value.nanoseconds / 1000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Values::List(list, elements) => {
            // Arrays start at 1; the catalogs' vectors at 0.
            let first = i32::from(!matches!(column.pg, PgType::Int2vector | PgType::Oidvector));
            array::write(out, list.value_offsets(), row, elements, first, style);
        }
        Values::Row(_, columns) => write_record_binary(out, columns, row, style),
        Values::Null => {}
    }
}

/// Writes a value with its length, or -1 for NULL.
pub(crate) fn write_field(out: &mut Vec<u8>, column: &Column, row: usize, style: &Style) {
    if column.values.is_null(row) {
        return out.put_i32(-1);
    }
    with_length(out, |out| write_binary(out, column, row, style));
}

/// Writes a length, four bytes, before what `write` appends.
pub(super) fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.put_i32(0);
    write(out);
    let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length);
    }
}
