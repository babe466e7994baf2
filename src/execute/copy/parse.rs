//! A chunk's records → columns.

use arrow::array::ArrayRef;

use super::fields::{Broken, Fields};
use super::split::Chunk;
use super::{Layout, bad};
use crate::encode::{ColumnBuilder, InputError};
use crate::error::SqlError;
use crate::statement::CopyFormat;

/// Reads a chunk's records into columns.
pub(super) fn parse_chunk(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    if layout.options.format == CopyFormat::Binary { parse_binary(layout, chunk) } else { parse_lines(layout, chunk) }
}

/// Column after column. Of several errors the one that comes first in the input is told.
fn parse_lines(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    let (fields, mut first) = Fields::read(layout, &chunk.bytes);
    let mut arrays = Vec::with_capacity(layout.types.len());
    for (column, pg) in layout.types.iter().enumerate() {
        let mut builder = ColumnBuilder::with_capacity(pg, layout.zone, fields.len(column))?;
        if let Err(error) = builder.append_texts(fields.column(column)) {
            let row = builder.len();
            if first.as_ref().is_none_or(|first| (row, column) < (first.row, first.column)) {
                let known = !matches!(error, InputError::Encoding { zero: false });
                let context = || {
                    let name = layout.names.get(column).map(String::as_str).unwrap_or_default();
                    let value = String::from_utf8_lossy(fields.shown(row, column));
                    let shown = value.char_indices().nth(100).map_or(&*value, |(end, _)| value.split_at(end).0);
                    format!("{}, column {name}: \"{shown}\"", line(layout, chunk, &fields, row))
                };
                let error = SqlError::from(error);
                first = Some(Broken { row, column, error: if known { error.with_context(context) } else { error } });
            }
        }
        arrays.push(builder.finish());
    }
    match first {
        Some(Broken { row, error, .. }) => Err(error.with_context(|| line(layout, chunk, &fields, row))),
        None => Ok(arrays),
    }
}

/// `COPY table, line n`.
fn line(layout: &Layout, chunk: &Chunk, fields: &Fields<'_>, row: usize) -> String {
    format!("COPY {}, line {}", layout.table, chunk.first_line + fields.lines_before(row))
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
