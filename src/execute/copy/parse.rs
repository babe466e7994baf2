//! A chunk's records → columns.

use arrow::array::ArrayRef;

use super::fields::{Broken, Fields};
use super::split::Chunk;
use super::{Layout, bad};
use crate::encode::{ColumnBuilder, InputError, utf8};
use crate::error::SqlError;
use crate::statement::CopyFormat;

/// Reads a chunk's records into columns.
pub(super) fn parse_chunk(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    if layout.options.format == CopyFormat::Binary { parse_binary(layout, chunk) } else { parse_lines(layout, chunk) }
}

fn parse_lines(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    let first = memchr::memchr(b'\n', &chunk.bytes).unwrap_or(chunk.bytes.len());
    let rows = chunk.bytes.len() / (first + 1);
    let builders = layout.types.iter().map(|pg| ColumnBuilder::with_capacity(pg, layout.zone, rows + rows / 8));
    let mut builders = builders.collect::<Result<Vec<_>, InputError>>()?;
    let text = std::str::from_utf8(&chunk.bytes).ok();
    let (mut start, mut line) = (0, chunk.first_line);
    while let Some(rest) = chunk.bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let (fields, broken) = Fields::read(layout, rest, text.and_then(|text| text.get(start..)));
        append(layout, &fields, broken, line, &mut builders)?;
        line += fields.lines();
        start += fields.end();
    }
    Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
}

/// Appends fields, column after column. Of several errors the one that comes first in the input is told.
fn append(
    layout: &Layout,
    fields: &Fields<'_>,
    mut first: Option<Broken>,
    first_line: u64,
    builders: &mut [ColumnBuilder],
) -> Result<(), SqlError> {
    let line = |row| format!("COPY {}, line {}", layout.table, first_line + fields.lines_before(row));
    if let Some(Broken { row, error, .. }) = &mut first {
        *error = error.clone().with_context(|| format!("{}: \"{}\"", line(*row), shown(fields.record_of(*row))));
    }
    for (column, builder) in builders.iter_mut().enumerate() {
        let before = builder.len();
        let Err(error) = builder.append_texts(fields.column(column)) else { continue };
        let row = builder.len() - before;
        if first.as_ref().is_none_or(|first| (row, column) < (first.row, first.column)) {
            let name = layout.names.get(column).map(String::as_str).unwrap_or_default();
            let value = fields.shown(row, column);
            let context = match utf8(value) {
                Ok(_) => format!("{}, column {name}: \"{}\"", line(row), shown(value)),
                Err(_) => line(row),
            };
            first = Some(Broken { row, column, error: SqlError::from(error).with_context(|| context) });
        }
    }
    first.map_or(Ok(()), |first| Err(first.error))
}

/// The beginning of what a message is about.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.into_owned(),
    }
}

fn parse_binary(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    let builders = layout.types.iter().map(|pg| ColumnBuilder::new(pg, layout.zone));
    let mut builders = builders.collect::<Result<Vec<_>, InputError>>()?;
    let mut rest = chunk.bytes.as_slice();
    let mut number = chunk.first_line;
    while let Some((head, tail)) = rest.split_first_chunk::<2>() {
        rest = tail;
        let here = || format!("COPY {}, line {number}", layout.table);
        let count = usize::try_from(i16::from_be_bytes(*head)).unwrap_or(0);
        if count != builders.len() {
            return Err(bad(format!("row field count is {count}, expected {}", builders.len())).with_context(here));
        }
        for (index, builder) in builders.iter_mut().enumerate() {
            let incomplete = || bad("unexpected EOF in COPY data").with_context(here);
            let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(incomplete)?;
            rest = tail;
            match usize::try_from(i32::from_be_bytes(*head)) {
                Err(_) => builder.append_null(),
                Ok(length) => {
                    let (value, tail) = rest.split_at_checked(length).ok_or_else(incomplete)?;
                    rest = tail;
                    builder.append_binary(value).map_err(|error| {
                        let name = layout.names.get(index).map(String::as_str).unwrap_or_default();
                        SqlError::from(error).with_context(|| format!("{}, column {name}", here()))
                    })?;
                }
            }
        }
        number += 1;
    }
    Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
}
