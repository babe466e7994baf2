//! Cutting a chunk's records into fields.

use std::ops::Range;

use super::{Layout, bad};
use crate::encode::{InputError, utf8};
use crate::error::{Plain, SqlError, SqlState};
use crate::statement::{CopyFormat, CopyOptions};

/// Records that are cut at once: what comes of them stays in the processor's cache until it is read.
const RECORDS: usize = 1024;

/// The fields of some records, column by column.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    options: &'a CopyOptions,
    names: &'a [String],
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    /// Which columns have a default.
    defaults: &'a [bool],
    bytes: &'a [u8],
    /// The same, if all of it is UTF-8.
    text: Option<&'a str>,
    /// Fields without their quotes or backslashes.
    resolved: Vec<u8>,
    columns: Vec<Vec<Field>>,
    rows: usize,
    end: usize,
}

/// Where a field's value stands.
#[derive(Clone, Copy, Debug)]
enum Field {
    Null,
    /// The marker of COPY's DEFAULT option.
    Default,
    Plain(Span),
    Resolved(Span),
}

/// Whether a field began with a quote, and where the next one is.
#[derive(Clone, Copy)]
enum Quoted {
    No,
    Open,
    Until(usize),
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Chunks are far shorter than 4 GB.
    fn new(range: Range<usize>) -> Self {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self { start: number(range.start), length: number(range.len()) }
    }
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

/// What is wrong with a value or a record, and where. Before it in its row come the values of the columns before `column`.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) error: SqlError,
}

impl<'a> Fields<'a> {
    fn new(options: &'a CopyOptions, names: &'a [String], columns: usize, bytes: &'a [u8]) -> Self {
        Self {
            options,
            names,
            force_not_null: names.iter().map(|name| options.force_not_null.contains(name)).collect(),
            force_null: names.iter().map(|name| options.force_null.contains(name)).collect(),
            defaults: &[],
            bytes,
            text: None,
            resolved: Vec::new(),
            columns: (0..columns).map(|_| Vec::with_capacity(RECORDS)).collect(),
            rows: 0,
            end: 0,
        }
    }

    /// The fields of the first records, up to one that is no row of the table. `text` is all of the bytes, if they are
    /// UTF-8.
    pub(super) fn read(layout: &'a Layout, bytes: &'a [u8], text: Option<&'a str>) -> (Self, Option<Broken>) {
        let mut fields = Self::new(&layout.options, &layout.names, layout.names.len(), bytes);
        fields.text = text;
        fields.defaults = &layout.defaults;
        let broken = fields.records().err();
        (fields, broken)
    }

    /// The rows where a column is to have its default.
    pub(super) fn defaults(&self, index: usize) -> impl Iterator<Item = usize> {
        let fields = self.columns.get(index).into_iter().flatten().enumerate();
        fields.filter_map(|(row, field)| matches!(field, Field::Default).then_some(row))
    }

    /// Whole records.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Where the records end whose fields these are.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The fields of a header line.
    pub(super) fn header(options: &'a CopyOptions, line: &'a [u8]) -> Result<Vec<String>, SqlError> {
        let most = memchr::memchr_iter(options.delimiter, line).count() + 1;
        let mut fields = Self::new(options, &[], most, line);
        let count = fields.record(0..line.len()).map_err(|broken| broken.error)?;
        let values = fields.columns.iter().take(count).filter_map(|column| column.first());
        Ok(values.map(|field| String::from_utf8_lossy(fields.value(*field)).into_owned()).collect())
    }

    /// A column's values. `22021` for one that is not UTF-8.
    pub(super) fn column(&self, index: usize) -> impl Iterator<Item = Result<Option<&str>, InputError>> {
        let resolved = std::str::from_utf8(&self.resolved).ok();
        self.columns.get(index).map_or(&[][..], Vec::as_slice).iter().map(move |field| {
            let text = match field {
                Field::Null | Field::Default => return Ok(None),
                Field::Plain(span) => self.text.and_then(|text| text.get(span.range())),
                Field::Resolved(span) => resolved.and_then(|text| text.get(span.range())),
            };
            match text {
                Some(text) => Ok(Some(text)),
                None => utf8(self.value(*field)).map(Some),
            }
        })
    }

    /// The bytes of a field, for a message; NULL has none.
    pub(super) fn shown(&self, row: usize, column: usize) -> &[u8] {
        self.columns.get(column).and_then(|fields| fields.get(row)).map_or(&[], |field| self.value(*field))
    }

    fn value(&self, field: Field) -> &[u8] {
        match field {
            Field::Null | Field::Default => &[],
            Field::Plain(span) => self.bytes.get(span.range()).unwrap_or_default(),
            Field::Resolved(span) => self.resolved.get(span.range()).unwrap_or_default(),
        }
    }

    /// How many lines the records are, as PostgreSQL counts them: in text format a record is one, whatever is in it.
    pub(super) fn lines(&self) -> u64 {
        self.lines_in(self.rows, self.end)
    }

    /// Lines before a row.
    pub(super) fn lines_before(&self, row: usize) -> u64 {
        self.lines_in(row, self.start(row))
    }

    /// A row's record without its line end.
    pub(super) fn record_of(&self, row: usize) -> &[u8] {
        let start = self.start(row);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let end = start + self.record_length(rest);
        let end = if self.bytes.get(end - 1) == Some(&b'\n') { end - 1 } else { end };
        self.bytes
            .get(start..without_carriage_return(self.bytes, start..end, self.options.format == CopyFormat::Text))
            .unwrap_or_default()
    }

    fn start(&self, row: usize) -> usize {
        let rest = |start: usize| self.bytes.get(start..).unwrap_or_default();
        (0..row).fold(0, |start, _| start + self.record_length(rest(start)))
    }

    fn lines_in(&self, rows: usize, end: usize) -> u64 {
        let lines = if self.options.format == CopyFormat::Csv {
            memchr::memchr_iter(b'\n', self.bytes.get(..end).unwrap_or_default()).count()
        } else {
            rows
        };
        u64::try_from(lines).unwrap_or(u64::MAX)
    }

    fn records(&mut self) -> Result<(), Broken> {
        while self.rows < RECORDS && self.end < self.bytes.len() {
            self.plain_records()?;
            let rest = self.bytes.get(self.end..).unwrap_or_default();
            if self.rows < RECORDS && !rest.is_empty() {
                let next = self.end + self.record_length(rest);
                let end = if self.bytes.get(next - 1) == Some(&b'\n') { next - 1 } else { next };
                let count = self.record(
                    self.end
                        ..without_carriage_return(self.bytes, self.end..end, self.options.format == CopyFormat::Text),
                )?;
                self.end_row(count, next)?;
            }
        }
        Ok(())
    }

    /// Reads records up to one with a backslash (text), or with quotes (CSV) that are more than around a whole field.
    fn plain_records(&mut self) -> Result<(), Broken> {
        let csv = self.options.format == CopyFormat::Csv;
        let mark = if csv { self.options.quote } else { b'\\' };
        let quotes = csv && self.options.escape == self.options.quote;
        let base = self.end;
        let bytes = self.bytes.get(base..).unwrap_or_default();
        let (mut start, mut index, mut quoted) = (base, 0, Quoted::No);
        for found in memchr::memchr3_iter(self.options.delimiter, b'\n', mark, bytes) {
            let byte = bytes.get(found).copied();
            let at = base + found;
            match quoted {
                Quoted::Open if byte == Some(mark) => quoted = Quoted::Until(at),
                Quoted::Open => {}
                Quoted::No if byte == Some(mark) && quotes && at == start => quoted = Quoted::Open,
                _ if byte == Some(mark) || self.rows == RECORDS => break,
                Quoted::No | Quoted::Until(_) => {
                    let last = byte == Some(b'\n');
                    let end = if last { without_carriage_return(self.bytes, start..at, false) } else { at };
                    match quoted {
                        Quoted::Until(quote) if quote + 1 == end => self.quoted(index, start + 1..quote)?,
                        Quoted::Until(_) => break,
                        Quoted::No | Quoted::Open => self.plain(index, start..end)?,
                    }
                    (start, quoted) = (at + 1, Quoted::No);
                    index += 1;
                    if last {
                        self.end_row(index, start)?;
                        index = 0;
                    }
                }
            }
        }
        // The record that is not plain is read again.
        self.columns.iter_mut().take(index).for_each(|column| column.truncate(self.rows));
        Ok(())
    }

    fn quoted(&mut self, index: usize, range: Range<usize>) -> Result<(), Broken> {
        let null = self.force_null.get(index).is_some_and(|force| *force)
            && self.bytes.get(range.clone()) == Some(self.options.null.as_bytes());
        self.push(index, if null { Field::Null } else { Field::Plain(Span::new(range)) })
    }

    fn plain(&mut self, index: usize, range: Range<usize>) -> Result<(), Broken> {
        let null = self.bytes.get(range.clone()) == Some(self.options.null.as_bytes())
            && !self.force_not_null.get(index).is_some_and(|force| *force);
        if let Some(marker) = &self.options.default
            && self.bytes.get(range.clone()) == Some(marker.as_bytes())
        {
            return match self.defaults.get(index) {
                Some(true) => self.push(index, Field::Default),
                Some(false) => Err(self.without_default(index)),
                None => self.push(index, Field::Null),
            };
        }
        self.push(index, if null { Field::Null } else { Field::Plain(Span::new(range)) })
    }

    fn without_default(&self, column: usize) -> Broken {
        let name = self.names.get(column).map(String::as_str).unwrap_or_default();
        let error = Plain::new(SqlState::BAD_COPY_FILE_FORMAT, "unexpected default marker in COPY data")
            .detail(format!("Column \"{name}\" has no default value."));
        Broken { row: self.rows, column, error: error.into() }
    }

    fn push(&mut self, index: usize, field: Field) -> Result<(), Broken> {
        match self.columns.get_mut(index) {
            Some(column) => column.push(field),
            None => return Err(self.broken(0, "extra data after last expected column")),
        }
        Ok(())
    }

    fn end_row(&mut self, count: usize, end: usize) -> Result<(), Broken> {
        match self.names.get(count) {
            Some(missing) => Err(self.broken(count, format!("missing data for column \"{missing}\""))),
            None => {
                self.rows += 1;
                self.end = end;
                Ok(())
            }
        }
    }

    fn broken(&self, column: usize, message: impl Into<String>) -> Broken {
        Broken { row: self.rows, column, error: bad(message) }
    }

    /// Length of the first record, line end included.
    fn record_length(&self, bytes: &[u8]) -> usize {
        let csv = self.options.format == CopyFormat::Csv;
        let (quote, escape) = if csv { (self.options.quote, self.options.escape) } else { (b'\\', b'\\') };
        let mut quoted = false;
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr3(quote, escape, b'\n', rest)) {
            at += found + 1;
            match bytes.get(at - 1) {
                Some(b'\n') if !quoted => return at,
                Some(b'\n') | None => {}
                // What follows a backslash is data.
                Some(_) if !csv => at += 1,
                Some(byte) if quoted && *byte == escape && escape != quote => at += 1,
                Some(byte) if *byte == quote => quoted = !quoted,
                Some(_) => {}
            }
        }
        bytes.len()
    }

    /// Reads a record, which is given without its line end. Returns how many fields it has.
    fn record(&mut self, range: Range<usize>) -> Result<usize, Broken> {
        if self.options.format == CopyFormat::Csv { self.csv(range) } else { self.escaped(range) }
    }

    fn escaped(&mut self, range: Range<usize>) -> Result<usize, Broken> {
        let bytes = self.bytes.get(..range.end).unwrap_or_default();
        let (mut start, mut index) = (range.start, 0);
        loop {
            // A field ends at a delimiter that no backslash precedes.
            let (mut end, mut escapes) = (start, false);
            let found = loop {
                let rest = bytes.get(end..).unwrap_or_default();
                match memchr::memchr2(self.options.delimiter, b'\\', rest) {
                    Some(at) if rest.get(at) == Some(&b'\\') => {
                        escapes = true;
                        end += at + 2;
                    }
                    Some(at) => {
                        end += at;
                        break true;
                    }
                    None => break false,
                }
            };
            if !found {
                end = bytes.len();
            }
            let field = bytes.get(start..end).unwrap_or_default();
            let marker = self.options.default.as_deref().is_some_and(|marker| field == marker.as_bytes());
            if escapes && field != self.options.null.as_bytes() && !marker {
                let from = self.resolved.len();
                unescape(field, &mut self.resolved);
                self.push(index, Field::Resolved(Span::new(from..self.resolved.len())))?;
            } else {
                self.plain(index, start..end)?;
            }
            index += 1;
            if !found {
                return Ok(index);
            }
            start = end + 1;
        }
    }

    fn csv(&mut self, range: Range<usize>) -> Result<usize, Broken> {
        let (delimiter, quote, escape) = (self.options.delimiter, self.options.quote, self.options.escape);
        let bytes = self.bytes.get(..range.end).unwrap_or_default();
        let (mut start, mut index) = (range.start, 0);
        loop {
            let rest = bytes.get(start..).unwrap_or_default();
            let mut end = start + memchr::memchr2(delimiter, quote, rest).unwrap_or(rest.len());
            if bytes.get(end).is_none_or(|byte| *byte == delimiter) {
                self.plain(index, start..end)?;
            } else {
                let from = self.resolved.len();
                self.resolved.extend_from_slice(bytes.get(start..end).unwrap_or_default());
                let mut quoted = false;
                while let Some(byte) = bytes.get(end) {
                    let next = bytes.get(end + 1);
                    if quoted && *byte == escape && next.is_some_and(|next| *next == quote || *next == escape) {
                        self.resolved.extend(next);
                        end += 2;
                        continue;
                    }
                    if *byte == quote {
                        quoted = !quoted;
                    } else if !quoted && *byte == delimiter {
                        break;
                    } else {
                        self.resolved.push(*byte);
                    }
                    end += 1;
                }
                if quoted {
                    return Err(self.broken(0, "unterminated CSV quoted field"));
                }
                let null = self.resolved.get(from..) == Some(self.options.null.as_bytes())
                    && self.force_null.get(index).is_some_and(|force| *force);
                let span = Span::new(from..self.resolved.len());
                self.push(index, if null { Field::Null } else { Field::Resolved(span) })?;
            }
            index += 1;
            if end >= bytes.len() {
                return Ok(index);
            }
            start = end + 1;
        }
    }
}

/// The end of a record, before the carriage return of its line end; after a backslash, if that `escapes`, it is data.
fn without_carriage_return(bytes: &[u8], record: Range<usize>, escapes: bool) -> usize {
    match bytes.get(record.clone()) {
        Some([start @ .., b'\r'])
            if !escapes || start.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0 =>
        {
            record.end - 1
        }
        _ => record.end,
    }
}

/// Text format's backslash sequences.
fn unescape(field: &[u8], out: &mut Vec<u8>) {
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if *first != b'\\' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let Some((code, after)) = tail.split_first() else {
            out.push(b'\\');
            return;
        };
        rest = after;
        match code {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            b'0'..=b'7' => {
                let digits = 1 + after.iter().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let octal = tail.iter().take(digits).fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(u8::try_from(octal & 0xff).unwrap_or(0));
                rest = tail.get(digits..).unwrap_or_default();
            }
            b'x' if after.first().is_some_and(u8::is_ascii_hexdigit) => {
                let digits = after.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
                let value = after
                    .iter()
                    .take(digits)
                    .fold(0_u32, |value, digit| value * 16 + char::from(*digit).to_digit(16).unwrap_or(0));
                out.push(u8::try_from(value).unwrap_or(0));
                rest = after.get(digits..).unwrap_or_default();
            }
            other => out.push(*other),
        }
    }
}
