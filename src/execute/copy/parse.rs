//! A chunk's records → columns.

use std::sync::atomic::Ordering;

use arrow::array::ArrayRef;

use super::fields::{Broken, Fields};
use super::split::Chunk;
use super::{Layout, Position, bad};
use crate::encode::{ColumnBuilder, InputError, utf8};
use crate::error::{Plain, SqlError, SqlState};
use crate::statement::{CopyFormat, Verbosity};

/// Rows that there is space for from the start; columns grow.
const CAPACITY_ROWS: usize = 16 << 10;

/// A chunk's rows.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) columns: Vec<ParsedColumn>,
}

/// One column's values, and the rows where its default is to stand instead.
#[derive(Debug)]
pub(super) struct ParsedColumn {
    pub(super) values: ArrayRef,
    pub(super) defaults: Vec<usize>,
}

/// Reads a chunk's records into columns.
pub(super) fn parse_chunk(layout: &Layout, chunk: &Chunk) -> Result<Parsed, SqlError> {
    if layout.options.format == CopyFormat::Binary { parse_binary(layout, chunk) } else { parse_lines(layout, chunk) }
}

fn parse_lines(layout: &Layout, chunk: &Chunk) -> Result<Parsed, SqlError> {
    let first = memchr::memchr(b'\n', &chunk.bytes).unwrap_or(chunk.bytes.len());
    let rows = (chunk.bytes.len() / (first + 1)).min(CAPACITY_ROWS);
    let builders = layout.types.iter().map(|pg| ColumnBuilder::with_capacity(pg, layout.zone, rows + rows / 8));
    let mut builders = builders.collect::<Result<Vec<_>, InputError>>()?;
    let mut defaults = vec![Vec::new(); builders.len()];
    let text = std::str::from_utf8(&chunk.bytes).ok();
    let (mut start, mut first) = (0, chunk.first);
    while let Some(rest) = chunk.bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let (fields, broken) = Fields::read(layout, rest, text.and_then(|text| text.get(start..)));
        let skipped = if layout.options.on_error_ignore { skip(layout, &fields, first)? } else { vec![] };
        let before = builders.first().map_or(0, ColumnBuilder::len);
        append(layout, &fields, &skipped, broken, first, &mut builders)?;
        if layout.options.default.is_some() {
            let kept: Vec<usize> = (0..fields.rows()).filter(|row| skipped.get(*row) != Some(&true)).collect();
            for (column, defaults) in defaults.iter_mut().enumerate() {
                let marked = fields.defaults(column).filter_map(|row| kept.binary_search(&row).ok());
                defaults.extend(marked.map(|row| before + row));
            }
        }
        first.line += fields.lines();
        start += fields.end();
    }
    let values = builders.iter_mut().map(ColumnBuilder::finish).zip(defaults);
    Ok(Parsed { columns: values.map(|(values, defaults)| ParsedColumn { values, defaults }).collect() })
}

/// `ON_ERROR` ignore: tells of each row whether one of its values is none of its column's type, and counts those rows.
/// `22P02` when there are more in all than `REJECT_LIMIT` allows.
fn skip(layout: &Layout, fields: &Fields<'_>, first: Position) -> Result<Vec<bool>, SqlError> {
    let mut skipped = vec![None; fields.rows()];
    for (column, pg) in layout.types.iter().enumerate() {
        let mut builder = ColumnBuilder::new(pg, layout.zone)?;
        for (text, skipped) in fields.column(column).zip(&mut skipped) {
            if skipped.is_none()
                && let Ok(Some(text)) = text
                && builder.append_text(text).is_err_and(|error| !matches!(error, InputError::Encoding(_)))
            {
                *skipped = Some(column);
            }
        }
    }
    let rows = || skipped.iter().enumerate().filter_map(|(row, column)| Some((row, (*column)?)));
    let before = layout.skipped.fetch_add(rows().count() as u64, Ordering::AcqRel);
    let left = layout.options.reject_limit.map(|limit| (limit, limit.saturating_sub(before)));
    let over = left.and_then(|(limit, left)| Some((limit, rows().nth(usize::try_from(left).unwrap_or(usize::MAX))?)));
    if layout.options.verbosity == Verbosity::Verbose {
        // With the one that is too many.
        let until = over.map_or(usize::MAX, |(_, (row, _))| row);
        for (row, column) in rows().take_while(|(row, _)| *row <= until) {
            layout.say(at(fields, first, row), layout.name(column), fields.shown(row, column));
        }
    }
    if let Some((limit, (row, column))) = over {
        let message = format!("skipped more than REJECT_LIMIT ({limit}) rows due to data type incompatibility");
        let error = SqlError::from(Plain::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
        return Err(error.with_context(|| value_context(layout, fields, first, row, column)));
    }
    Ok(skipped.iter().map(Option::is_some).collect())
}

/// Appends fields, column after column, without those of skipped rows. Of several errors the one that comes first in the
/// input is told.
fn append(
    layout: &Layout,
    fields: &Fields<'_>,
    skipped: &[bool],
    mut earliest: Option<Broken>,
    first: Position,
    builders: &mut [ColumnBuilder],
) -> Result<(), SqlError> {
    let kept = |row: &usize| !skipped.get(*row).is_some_and(|skipped| *skipped);
    if let Some(Broken { row, error, .. }) = &mut earliest {
        *error = error.clone().with_context(|| {
            format!("{}: \"{}\"", layout.place(at(fields, first, *row)), shown(fields.record_of(*row)))
        });
    }
    for (column, builder) in builders.iter_mut().enumerate() {
        let before = builder.len();
        let texts = fields.column(column);
        let appended = if skipped.is_empty() {
            builder.append_texts(texts)
        } else {
            builder.append_texts(texts.enumerate().filter(|(row, _)| kept(row)).map(|(_, text)| text))
        };
        let Err(error) = appended else { continue };
        let row = (0..).filter(kept).nth(builder.len() - before).unwrap_or(0);
        if earliest.as_ref().is_none_or(|earliest| (row, column) < (earliest.row, earliest.column)) {
            let context = value_context(layout, fields, first, row, column);
            earliest = Some(Broken { row, column, error: SqlError::from(error).with_context(|| context) });
        }
    }
    earliest.map_or(Ok(()), |earliest| Err(earliest.error))
}

/// Where a record is.
fn at(fields: &Fields<'_>, first: Position, row: usize) -> Position {
    Position { line: first.line + fields.lines_before(row), ..first }
}

/// Where a value is, and the value if it is text.
fn value_context(layout: &Layout, fields: &Fields<'_>, first: Position, row: usize, column: usize) -> String {
    let line = layout.place(at(fields, first, row));
    let name = layout.name(column);
    let value = fields.shown(row, column);
    match utf8(value) {
        Ok(_) => format!("{line}, column {name}: \"{}\"", shown(value)),
        Err(_) => line,
    }
}

/// The beginning of what a message is about.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.into_owned(),
    }
}

fn parse_binary(layout: &Layout, chunk: &Chunk) -> Result<Parsed, SqlError> {
    let builders = layout.types.iter().map(|pg| ColumnBuilder::new(pg, layout.zone));
    let mut builders = builders.collect::<Result<Vec<_>, InputError>>()?;
    let mut rest = chunk.bytes.as_slice();
    let mut position = chunk.first;
    while let Some((head, tail)) = rest.split_first_chunk::<2>() {
        rest = tail;
        let here = || layout.place(position);
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
                        SqlError::from(error).with_context(|| format!("{}, column {}", here(), layout.name(index)))
                    })?;
                }
            }
        }
        position.line += 1;
    }
    let values = builders.iter_mut().map(ColumnBuilder::finish);
    Ok(Parsed { columns: values.map(|values| ParsedColumn { values, defaults: vec![] }).collect() })
}
