//! Rows as values, in PostgreSQL's text and binary forms: `(1,"a b",)`.
//!
//! Source: <https://www.postgresql.org/docs/18/rowtypes.html#ROWTYPES-IO-SYNTAX>.

use bytes::BufMut;

use super::binary::write_field;
use super::{Column, InputError, Style, write_text};

/// Writes a row as text.
pub(super) fn write_record(out: &mut Vec<u8>, columns: &[Column], row: usize, style: &Style) {
    out.push(b'(');
    let mut scratch = Vec::new();
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if column.values.is_null(row) {
            continue;
        }
        scratch.clear();
        write_text(&mut scratch, column, row, style);
        if !needs_quotes(&scratch) {
            out.extend_from_slice(&scratch);
            continue;
        }
        out.push(b'"');
        for byte in &scratch {
            if matches!(byte, b'"' | b'\\') {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b')');
}

fn needs_quotes(text: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'(' | b')' | b',' | b'"' | b'\\') || is_space(char::from(*byte));
    text.is_empty() || text.iter().any(special)
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

/// Writes a row in binary.
pub(super) fn write_record_binary(out: &mut Vec<u8>, columns: &[Column], row: usize, style: &Style) {
    out.put_i32(i32::try_from(columns.len()).unwrap_or(i32::MAX));
    for column in columns {
        out.put_u32(column.pg.oid());
        write_field(out, column, row, style);
    }
}

/// The columns of a row in text form; `None` is NULL. `22P02`.
pub(super) fn record_items(text: &str, width: usize) -> Result<Vec<Option<String>>, InputError> {
    let malformed = |detail| InputError::Record { text: text.to_owned(), detail };
    let mut chars = text.chars().peekable();
    while chars.next_if(|c| is_space(*c)).is_some() {}
    if chars.next() != Some('(') {
        return Err(malformed("Missing left parenthesis."));
    }
    let mut items = Vec::with_capacity(width);
    loop {
        if items.len() == width {
            // A type without columns has none to separate.
            if width == 0 && chars.next_if_eq(&')').is_some() {
                break;
            }
            return Err(malformed("Too many columns."));
        }
        let mut item = None;
        let mut quoted = false;
        loop {
            let Some(c) = chars.peek().copied() else { return Err(malformed("Unexpected end of input.")) };
            if !quoted && matches!(c, ',' | ')') {
                break;
            }
            chars.next();
            let value: &mut String = item.get_or_insert_default();
            match c {
                '\\' => value.push(chars.next().ok_or_else(|| malformed("Unexpected end of input."))?),
                '"' if !quoted => quoted = true,
                // Twice it stands for itself.
                '"' => match chars.next_if_eq(&'"') {
                    Some(quote) => value.push(quote),
                    None => quoted = false,
                },
                other => value.push(other),
            }
        }
        items.push(item);
        if chars.next() == Some(')') {
            break;
        }
    }
    if items.len() < width {
        return Err(malformed("Too few columns."));
    }
    if chars.any(|c| !is_space(c)) {
        return Err(malformed("Junk after right parenthesis."));
    }
    Ok(items)
}

/// A column's value in a row's binary form: the OID of its type, and its bytes unless it is NULL.
type BinaryField<'a> = (u32, Option<&'a [u8]>);

/// The columns of a row in binary form, with the OIDs of their types; `None` is NULL. `42804`, `22P03`.
pub(super) fn record_fields(bytes: &[u8], width: usize) -> Result<Vec<BinaryField<'_>>, InputError> {
    let mut rest = bytes;
    let word = |rest: &mut &[u8]| -> Result<i32, InputError> {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or(InputError::Short)?;
        *rest = tail;
        Ok(i32::from_be_bytes(*head))
    };
    let count = word(&mut rest)?;
    if usize::try_from(count) != Ok(width) {
        return Err(InputError::Mismatch(format!("wrong number of columns: {count}, expected {width}")));
    }
    let mut fields = Vec::with_capacity(width);
    for _ in 0..width {
        let oid = word(&mut rest)?.cast_unsigned();
        let value = match usize::try_from(word(&mut rest)?) {
            Err(_) => None,
            Ok(length) => {
                let (value, tail) = rest.split_at_checked(length).ok_or(InputError::Short)?;
                rest = tail;
                Some(value)
            }
        };
        fields.push((oid, value));
    }
    if rest.is_empty() { Ok(fields) } else { Err(InputError::Binary) }
}

/// The columns of an array of rows, ready to be written.
pub(super) fn columns_of(
    array: &arrow::array::StructArray,
    pg: &crate::types::PgType,
) -> Result<Vec<Column>, arrow::error::ArrowError> {
    let attributes = pg.attributes().unwrap_or_default();
    let columns = array.columns().iter().zip(array.fields()).enumerate().map(|(index, (values, field))| {
        // What the row's own type says of them counts.
        let pg = attributes.get(index).map_or_else(|| crate::types::of_field(field), |attribute| attribute.pg.clone());
        Ok(Column { values: super::Values::new(values, &pg)?, pg })
    });
    debug_assert!(attributes.is_empty() || attributes.len() == array.num_columns(), "a row of its type");
    columns.collect()
}
