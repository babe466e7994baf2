//! Arrays in PostgreSQL's text and binary forms: `{{1,2},{3,NULL}}`.
//!
//! Source: <https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO>.

use bytes::BufMut;

use super::binary::write_field;
use super::text::bounds;
use super::{Column, ColumnBuilder, InputError, Style, Values};
use crate::types::PgType;

/// As many dimensions an array may have.
const DIMENSIONS_MAX: usize = 6;

/// Something between the braces of an array's text.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// A value; `None` is NULL.
    Value(Option<String>),
    /// An array, with its braces.
    Array(&'a str),
}

/// The elements of an array of one dimension; `None`: the text is none.
pub(crate) fn array_items(text: &str) -> Option<Vec<Option<String>>> {
    let item = |part| match part {
        Part::Value(value) => Some(value),
        Part::Array(_) => None,
    };
    parts(text)?.into_iter().map(item).collect()
}

/// What is between an array's braces. `None`: the text is no array's.
pub(super) fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let body = without_bounds(text)?.strip_prefix('{')?.strip_suffix('}')?;
    let mut parts = Vec::new();
    let mut rest = after_blanks(body);
    if rest.is_empty() {
        return Some(parts);
    }
    loop {
        let (part, after) = if rest.starts_with('{') { array(rest)? } else { value(rest)? };
        parts.push(part);
        let after = after_blanks(after);
        rest = match after.strip_prefix(',') {
            Some(after) => after_blanks(after),
            None if after.is_empty() => return Some(parts),
            None => return None,
        };
    }
}

/// The text after `[1:2]=`: bounds that are given are read and dropped.
fn without_bounds(text: &str) -> Option<&str> {
    let text = text.trim_matches(is_blank);
    if text.starts_with('[') { Some(text.split_once('=')?.1.trim_matches(is_blank)) } else { Some(text) }
}

/// `array_isspace` in PostgreSQL's `arrayutils.c`: other blanks of Unicode are part of values.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

fn after_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// An array at the beginning of a text, and what comes after it.
fn array(text: &str) -> Option<(Part<'_>, &str)> {
    let (mut depth, mut quoted) = (0_usize, false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    let (array, after) = text.split_at_checked(at + 1)?;
                    return Some((Part::Array(array), after));
                }
            }
            _ => {}
        }
    }
    None
}

/// A value at the beginning of a text, and what comes after it.
fn value(text: &str) -> Option<(Part<'_>, &str)> {
    let mut chars = text.char_indices();
    let mut value = String::new();
    if text.starts_with('"') {
        chars.next();
        loop {
            match chars.next()?.1 {
                '"' => return Some((Part::Value(Some(value)), chars.as_str())),
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
    }
    // Blanks around a value do not belong to it, unless they are escaped.
    let mut kept = 0;
    let mut escaped = false;
    let mut after = "";
    while let Some((at, c)) = chars.next() {
        match c {
            ',' => {
                after = text.get(at..)?;
                break;
            }
            '\\' => {
                value.push(chars.next()?.1);
                (kept, escaped) = (value.len(), true);
            }
            '{' | '}' | '"' => return None,
            c => {
                value.push(c);
                if !is_blank(c) {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    if value.is_empty() {
        return None;
    }
    let null = !escaped && value.eq_ignore_ascii_case("null");
    Some((Part::Value((!null).then_some(value)), after))
}

/// How long an array is in each dimension. `None`: the text is no array's, or its parts are not of one length.
pub(super) fn shape(text: &str) -> Option<Vec<usize>> {
    shape_of(text, DIMENSIONS_MAX)
}

fn shape_of(text: &str, depth: usize) -> Option<Vec<usize>> {
    let depth = depth.checked_sub(1)?;
    let parts = parts(text)?;
    let mut inner: Option<Vec<usize>> = None;
    for part in &parts {
        let own = match part {
            Part::Value(_) => Vec::new(),
            Part::Array(array) => shape_of(array, depth)?,
        };
        if *inner.get_or_insert_with(|| own.clone()) != own {
            return None;
        }
    }
    Some(std::iter::once(parts.len()).chain(inner.unwrap_or_default()).collect())
}

/// How many dimensions the array of a text has; `None`: it is empty, has too many, or the text is no array's.
pub(crate) fn text_dimensions(text: &str) -> Option<usize> {
    let text = without_bounds(text)?;
    let inner = text.trim_start_matches(|c: char| c == '{' || is_blank(c));
    let opened = text.len() - inner.len();
    let braces = text.get(..opened)?.bytes().filter(|byte| *byte == b'{').count();
    ((1..=DIMENSIONS_MAX).contains(&braces) && !inner.starts_with('}')).then_some(braces)
}

/// How many dimensions an array in binary form has; `None`: it is empty, has too many, or there is none.
pub(crate) fn binary_dimensions(bytes: &[u8]) -> Option<usize> {
    let count = i32::from_be_bytes(*bytes.first_chunk::<4>()?);
    usize::try_from(count).ok().filter(|count| (1..=DIMENSIONS_MAX).contains(count))
}

/// Appends the elements of an array in binary form. `0A000`, `22P03`.
pub(super) fn read(elements: &mut ColumnBuilder, bytes: &[u8]) -> Result<(), InputError> {
    let mut rest = bytes;
    let dimensions = word(&mut rest)?;
    let _has_nulls = word(&mut rest)?;
    let element_oid = word(&mut rest)?.cast_unsigned();
    let base = elements.pg.base();
    if element_oid != base.oid() && !(base.is_text() && PgType::from_oid(element_oid).is_some_and(|pg| pg.is_text())) {
        return Err(InputError::Binary);
    }
    if dimensions == 0 {
        return Ok(());
    }
    let wanted = elements.pg.dimensions() + 1;
    if usize::try_from(dimensions) != Ok(wanted) {
        return Err(InputError::Dimensions { wanted });
    }
    let mut lengths = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        lengths.push(word(&mut rest)?);
        let _lower_bound = word(&mut rest)?;
    }
    read_dimension(elements, &lengths, &mut rest)?;
    if rest.is_empty() { Ok(()) } else { Err(InputError::Binary) }
}

fn word(rest: &mut &[u8]) -> Result<i32, InputError> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or(InputError::Binary)?;
    *rest = tail;
    Ok(i32::from_be_bytes(*head))
}

fn read_dimension(elements: &mut ColumnBuilder, lengths: &[i32], rest: &mut &[u8]) -> Result<(), InputError> {
    let Some((length, inner)) = lengths.split_first() else { return Err(InputError::Binary) };
    for _ in 0..*length {
        if !inner.is_empty() {
            elements.append_items(|elements| read_dimension(elements, inner, rest))?;
            continue;
        }
        match usize::try_from(word(rest)?) {
            Err(_) => elements.append_null(),
            Ok(length) => {
                let (value, tail) = rest.split_at_checked(length).ok_or(InputError::Binary)?;
                elements.append_binary(value)?;
                *rest = tail;
            }
        }
    }
    Ok(())
}

/// Writes an array in binary. `first`: its lowest subscript.
pub(super) fn write(out: &mut Vec<u8>, offsets: &[i32], row: usize, elements: &Column, first: i32, style: &Style) {
    let mut lengths = Vec::new();
    let (mut range, mut inner) = (bounds(offsets, row), elements);
    loop {
        lengths.push(range.len());
        let (Values::List(list, of_list), false) = (&inner.values, range.is_empty()) else { break };
        (range, inner) = (bounds(list.value_offsets(), range.start), of_list);
    }
    let empty = lengths.contains(&0);
    let range = bounds(offsets, row);
    out.put_i32(if empty { 0 } else { i32::try_from(lengths.len()).unwrap_or(i32::MAX) });
    out.put_i32(i32::from(!empty && has_null(elements, range.clone())));
    out.put_u32(elements.pg.base().oid());
    if empty {
        return;
    }
    for length in lengths {
        out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        out.put_i32(first);
    }
    write_elements(out, elements, range, style);
}

fn has_null(elements: &Column, mut range: std::ops::Range<usize>) -> bool {
    match &elements.values {
        Values::List(list, inner) => range.any(|element| has_null(inner, bounds(list.value_offsets(), element))),
        values => range.any(|element| values.is_null(element)),
    }
}

fn write_elements(out: &mut Vec<u8>, elements: &Column, range: std::ops::Range<usize>, style: &Style) {
    for element in range {
        match &elements.values {
            Values::List(list, inner) => write_elements(out, inner, bounds(list.value_offsets(), element), style),
            _ => write_field(out, elements, element, style),
        }
    }
}

/// Whether all arrays of a column have parts of one length, as those of PostgreSQL have: lists that others wrote may not.
pub(crate) fn is_rectangular(column: &Column) -> bool {
    let Values::List(list, elements) = &column.values else { return true };
    if !matches!(elements.values, Values::List(..)) {
        return true;
    }
    (0..list.value_offsets().len() - 1).all(|row| {
        let mut parts = bounds(list.value_offsets(), row).map(|part| lengths(elements, part));
        let first = parts.next();
        first.as_ref().is_none_or(Option::is_some) && parts.all(|part| Some(part) == first)
    })
}

/// How long one of a column's arrays is in each dimension; `None`: it is NULL, or its parts are not alike.
fn lengths(column: &Column, row: usize) -> Option<Vec<usize>> {
    let Values::List(list, elements) = &column.values else { return Some(Vec::new()) };
    if column.values.is_null(row) {
        return None;
    }
    let range = bounds(list.value_offsets(), row);
    let mut inner: Option<Vec<usize>> = None;
    if matches!(elements.values, Values::List(..)) {
        for part in range.clone() {
            let own = lengths(elements, part)?;
            if *inner.get_or_insert_with(|| own.clone()) != own {
                return None;
            }
        }
    }
    Some(std::iter::once(range.len()).chain(inner.unwrap_or_default()).collect())
}
