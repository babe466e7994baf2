//! COPY's input: splitting the stream into records, and records into fields.
//!
//! [`Splitter`] cuts the bytes of the client into chunks of whole records, which needs no more than finding line ends;
//! the workers then read the chunks' fields ([`parse_chunk`]) side by side.

use arrow::array::ArrayRef;

use crate::encode::{BINARY_COPY_HEADER, ColumnBuilder, InputError};
use crate::error::{Plain, SqlError, SqlState};
use crate::setting::Zone;
use crate::statement::{CopyFormat, CopyOptions, Header};
use crate::types::PgType;

/// Chunks are handed to a worker from this size on.
const CHUNK_BYTES: usize = 1 << 20;
/// The longest record.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// What all chunks of one COPY have in common.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: String,
    pub(super) names: Vec<String>,
    pub(super) types: Vec<PgType>,
    pub(super) options: CopyOptions,
    pub(super) zone: Zone,
}

/// Whole records, and the number of the first.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) first_line: u64,
}

/// Cuts a byte stream at record ends.
#[derive(Debug)]
pub(super) struct Splitter {
    format: CopyFormat,
    quote: u8,
    escape: u8,
    buffer: Vec<u8>,
    /// How far the buffer has been looked at, and where the last whole record ends.
    scanned: usize,
    whole: usize,
    in_quotes: bool,
    escaped: bool,
    /// Lines before the buffer's first record, and lines that end before `whole`.
    line: u64,
    lines_whole: u64,
    lines_scanned: u64,
    started: bool,
    header: bool,
    /// The end-of-data mark was seen: what follows is ignored.
    ended: bool,
}

impl Splitter {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            format: options.format,
            quote: options.quote,
            escape: options.escape,
            buffer: Vec::new(),
            scanned: 0,
            whole: 0,
            in_quotes: false,
            escaped: false,
            line: 1,
            lines_whole: 0,
            lines_scanned: 0,
            started: false,
            header: options.header != Header::None,
            ended: false,
        }
    }

    /// Takes bytes; gives a chunk when there is enough for one. The header line, if any, is given apart, first.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), SqlError> {
        if self.ended {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        self.scan()?;
        if self.buffer.len() - self.whole > RECORD_BYTES_MAX {
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a COPY record is too long").into());
        }
        Ok(())
    }

    /// The header line without its end, once it is complete.
    pub(super) fn take_header(&mut self) -> Option<Vec<u8>> {
        if !self.header || self.whole == 0 {
            return None;
        }
        self.header = false;
        let end = self.first_record_end();
        let mut line: Vec<u8> = self.buffer.drain(..end).collect();
        self.scanned -= end;
        self.whole -= end;
        self.line += 1;
        self.lines_whole = self.lines_whole.saturating_sub(1);
        self.lines_scanned = self.lines_scanned.saturating_sub(1);
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        Some(line)
    }

    fn first_record_end(&self) -> usize {
        let mut quoted = false;
        for (index, byte) in self.buffer.iter().enumerate() {
            if self.format == CopyFormat::Csv && *byte == self.quote {
                quoted = !quoted;
            } else if *byte == b'\n' && !quoted {
                return index + 1;
            }
        }
        self.whole
    }

    pub(super) fn take_chunk(&mut self, at_end: bool) -> Option<Chunk> {
        if self.header || self.whole == 0 || (self.whole < CHUNK_BYTES && !at_end) {
            return None;
        }
        let rest = self.buffer.split_off(self.whole);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first_line = self.line;
        self.line += self.lines_whole;
        self.lines_scanned -= self.lines_whole;
        self.lines_whole = 0;
        self.scanned -= self.whole;
        self.whole = 0;
        Some(Chunk { bytes, first_line })
    }

    /// The input is over: a last line may lack its end.
    pub(super) fn finish(&mut self) -> Result<(), SqlError> {
        if self.format == CopyFormat::Binary {
            if !self.ended && self.started {
                return Err(bad("unexpected EOF in COPY data"));
            }
            return Ok(());
        }
        if self.in_quotes {
            return Err(bad("unterminated CSV quoted field")
                .with_context(|| format!("COPY, line {}", self.line + self.lines_scanned)));
        }
        if self.whole < self.buffer.len() && !self.ended {
            self.buffer.push(b'\n');
            self.escaped = false;
            self.scan()?;
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(), SqlError> {
        match self.format {
            CopyFormat::Binary => self.scan_binary(),
            CopyFormat::Csv => {
                self.scan_csv();
                Ok(())
            }
            _ => {
                self.scan_text();
                Ok(())
            }
        }
    }

    fn scan_text(&mut self) {
        loop {
            // A backslash makes what follows it data, a line end, too.
            if self.escaped {
                if self.scanned == self.buffer.len() {
                    return;
                }
                self.escaped = false;
                self.scanned += 1;
            }
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(at) = memchr::memchr2(b'\\', b'\n', rest) else {
                self.scanned = self.buffer.len();
                return;
            };
            self.scanned += at + 1;
            match rest.get(at) {
                Some(b'\n') => self.end_record(),
                _ => self.escaped = true,
            }
            if self.ended {
                return;
            }
        }
    }

    fn scan_csv(&mut self) {
        loop {
            if !self.escaped {
                // To the next byte that means something.
                let rest = self.buffer.get(self.scanned..).unwrap_or_default();
                let Some(at) = memchr::memchr3(self.quote, self.escape, b'\n', rest) else {
                    self.scanned = self.buffer.len();
                    return;
                };
                self.scanned += at;
            }
            let Some(byte) = self.buffer.get(self.scanned) else { return };
            self.scanned += 1;
            if self.in_quotes && self.escape != self.quote && std::mem::take(&mut self.escaped) {
                continue;
            }
            if self.in_quotes && *byte == self.escape && self.escape != self.quote {
                self.escaped = true;
            } else if *byte == self.quote {
                // A doubled quote closes and opens again.
                self.in_quotes = !self.in_quotes;
            } else if *byte == b'\n' {
                self.lines_scanned += u64::from(self.in_quotes);
                if !self.in_quotes {
                    self.end_record();
                }
            }
            if self.ended {
                return;
            }
        }
    }

    fn end_record(&mut self) {
        let record = self.buffer.get(self.whole..self.scanned).unwrap_or_default();
        let line = record.strip_suffix(b"\n").unwrap_or(record);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"\\." {
            self.ended = true;
            self.buffer.truncate(self.whole);
            self.scanned = self.whole;
            return;
        }
        self.lines_scanned += 1;
        self.lines_whole = self.lines_scanned;
        self.whole = self.scanned;
    }

    fn scan_binary(&mut self) -> Result<(), SqlError> {
        if !self.started {
            if self.buffer.len() < BINARY_COPY_HEADER.len() {
                return Ok(());
            }
            if self.buffer.get(..11) != BINARY_COPY_HEADER.get(..11) {
                return Err(bad("COPY file signature not recognized"));
            }
            let word = |at: usize| {
                self.buffer.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_be_bytes)
            };
            if word(11) != Some(0) {
                return Err(bad("unrecognized critical flags in COPY file header"));
            }
            let extension =
                word(15).and_then(|length| usize::try_from(length).ok()).filter(|length| *length < CHUNK_BYTES);
            let Some(extension) = extension else { return Err(bad("invalid COPY file header (wrong length)")) };
            let header = BINARY_COPY_HEADER.len() + extension;
            if self.buffer.len() < header {
                return Ok(());
            }
            self.buffer.drain(..header);
            self.started = true;
        }
        loop {
            let mut at = self.whole;
            let Some(count) =
                self.buffer.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()).map(i16::from_be_bytes)
            else {
                return Ok(());
            };
            if count == -1 {
                self.ended = true;
                self.buffer.truncate(self.whole);
                return Ok(());
            }
            at += 2;
            for _ in 0..count {
                let Some(length) =
                    self.buffer.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(i32::from_be_bytes)
                else {
                    return Ok(());
                };
                at += 4 + usize::try_from(length).unwrap_or(0);
            }
            if at > self.buffer.len() {
                return Ok(());
            }
            self.whole = at;
            self.scanned = at;
            self.lines_scanned += 1;
            self.lines_whole = self.lines_scanned;
        }
    }
}

fn bad(message: impl Into<String>) -> SqlError {
    Plain::new(SqlState::BAD_COPY_FILE_FORMAT, message).into()
}

/// The names in a header line.
pub(super) fn header_names(layout: &Layout, line: &[u8]) -> Result<Vec<String>, SqlError> {
    let mut names = Vec::new();
    let mut fields = Fields::new(layout);
    fields.line(line, &mut |_, value| {
        names.push(value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default());
        Ok(())
    })?;
    Ok(names)
}

/// Reads a chunk's records into columns.
pub(super) fn parse_chunk(layout: &Layout, chunk: &Chunk) -> Result<Vec<ArrayRef>, SqlError> {
    let builders: Result<Vec<ColumnBuilder>, InputError> =
        layout.types.iter().map(|pg| ColumnBuilder::new(pg, layout.zone)).collect();
    let mut builders = builders?;
    if layout.options.format == CopyFormat::Binary {
        parse_binary(layout, chunk, &mut builders)?;
    } else {
        parse_lines(layout, chunk, &mut builders)?;
    }
    Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
}

fn parse_lines(layout: &Layout, chunk: &Chunk, builders: &mut [ColumnBuilder]) -> Result<(), SqlError> {
    let mut fields = Fields::new(layout);
    fields.quotes = memchr::memchr(layout.options.quote, &chunk.bytes).is_some();
    let mut line_number = chunk.first_line;
    let mut rest = chunk.bytes.as_slice();
    while !rest.is_empty() {
        let length = fields.record_length(rest);
        let (record, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = tail;
        let line = record.strip_suffix(b"\n").unwrap_or(record);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let here = || format!("COPY {}, line {line_number}", layout.table);
        let mut count = 0;
        // A table without columns, or a single empty column, has empty lines.
        let shown = |index: usize, value: &[u8]| {
            let name = layout.names.get(index).map(String::as_str).unwrap_or_default();
            let text: String = String::from_utf8_lossy(value).chars().take(100).collect();
            format!("{}, column {name}: \"{text}\"", here())
        };
        let outcome = fields.line(line, &mut |index, value| {
            count = index + 1;
            let Some(builder) = builders.get_mut(index) else {
                return Err(bad("extra data after last expected column").with_context(here));
            };
            let Some(value) = value else {
                builder.append_null();
                return Ok(());
            };
            let text = std::str::from_utf8(value)
                .map_err(|_invalid| SqlError::from(InputError::Encoding { zero: false }).with_context(here))?;
            builder.append_text(text).map_err(|error| SqlError::from(error).with_context(|| shown(index, value)))
        });
        outcome.map_err(|error| error.with_context(here))?;
        if let Some(missing) = layout.names.get(count).filter(|_| count < builders.len()) {
            return Err(bad(format!("missing data for column \"{missing}\"")).with_context(here));
        }
        line_number += u64::try_from(memchr::memchr_iter(b'\n', record).count()).unwrap_or(1);
    }
    Ok(())
}

fn parse_binary(layout: &Layout, chunk: &Chunk, builders: &mut [ColumnBuilder]) -> Result<(), SqlError> {
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
    Ok(())
}

/// Cuts records into fields.
struct Fields<'a> {
    options: &'a CopyOptions,
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    scratch: Vec<u8>,
    /// Whether there may be quotes in CSV at all.
    quotes: bool,
}

type Sink<'s> = dyn FnMut(usize, Option<&[u8]>) -> Result<(), SqlError> + 's;

impl<'a> Fields<'a> {
    fn new(layout: &'a Layout) -> Self {
        let options = &layout.options;
        Self {
            options,
            force_not_null: layout.names.iter().map(|name| options.force_not_null.contains(name)).collect(),
            force_null: layout.names.iter().map(|name| options.force_null.contains(name)).collect(),
            scratch: Vec::new(),
            quotes: true,
        }
    }

    /// Length of the first record, line end included.
    fn record_length(&self, bytes: &[u8]) -> usize {
        let csv = self.options.format == CopyFormat::Csv;
        if csv && !self.quotes {
            return memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        }
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

    fn line(&mut self, line: &[u8], sink: &mut Sink<'_>) -> Result<(), SqlError> {
        if self.options.format == CopyFormat::Csv { self.csv(line, sink) } else { self.text(line, sink) }
    }

    fn text(&mut self, line: &[u8], sink: &mut Sink<'_>) -> Result<(), SqlError> {
        let mut index = 0;
        let mut rest = line;
        loop {
            // A field ends at a delimiter that no backslash precedes.
            let mut end = rest.len();
            let mut escapes = false;
            let mut at = 0;
            while let Some(byte) = rest.get(at) {
                if *byte == b'\\' {
                    escapes = true;
                    at += 2;
                } else if *byte == self.options.delimiter {
                    end = at;
                    break;
                } else {
                    at += 1;
                }
            }
            let (field, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if field == self.options.null.as_bytes() {
                sink(index, None)?;
            } else if escapes {
                self.scratch.clear();
                unescape(field, &mut self.scratch);
                sink(index, Some(&self.scratch))?;
            } else {
                sink(index, Some(field))?;
            }
            index += 1;
            match tail.split_first() {
                Some((_, next)) => rest = next,
                None => return Ok(()),
            }
        }
    }

    fn csv(&mut self, line: &[u8], sink: &mut Sink<'_>) -> Result<(), SqlError> {
        let (delimiter, quote, escape) = (self.options.delimiter, self.options.quote, self.options.escape);
        let mut index = 0;
        let mut rest = line;
        loop {
            let mut was_quoted = false;
            self.scratch.clear();
            let plain = rest.iter().position(|byte| *byte == delimiter || *byte == quote).unwrap_or(rest.len());
            let mut at = plain;
            let direct = rest.get(plain).is_none_or(|byte| *byte == delimiter);
            if !direct {
                self.scratch.extend_from_slice(rest.get(..plain).unwrap_or_default());
                let mut quoted = false;
                while let Some(byte) = rest.get(at) {
                    if quoted {
                        let next = rest.get(at + 1);
                        if *byte == escape && next.is_some_and(|next| *next == quote || *next == escape) {
                            self.scratch.extend(next);
                            at += 2;
                            continue;
                        }
                        if *byte == quote {
                            quoted = false;
                        } else {
                            self.scratch.push(*byte);
                        }
                    } else if *byte == quote {
                        quoted = true;
                        was_quoted = true;
                    } else if *byte == delimiter {
                        break;
                    } else {
                        self.scratch.push(*byte);
                    }
                    at += 1;
                }
                if quoted {
                    return Err(bad("unterminated CSV quoted field"));
                }
            }
            let (field, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            let value = if direct { field } else { self.scratch.as_slice() };
            let is_null_text = value == self.options.null.as_bytes();
            let not_null = self.force_not_null.get(index).copied().unwrap_or(false);
            let also_quoted = self.force_null.get(index).copied().unwrap_or(false);
            let null = is_null_text && ((!was_quoted && !not_null) || (was_quoted && also_quoted));
            sink(index, if null { None } else { Some(value) })?;
            index += 1;
            match tail.split_first() {
                Some((_, next)) => rest = next,
                None => return Ok(()),
            }
        }
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
