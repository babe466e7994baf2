//! Cutting COPY's input into chunks of whole records, which needs no more than finding line ends.

use super::{Position, bad};
use crate::encode::BINARY_COPY_HEADER;
use crate::error::{Plain, SqlError, SqlState};
use crate::statement::{CopyFormat, CopyOptions, Header};

/// Chunks are handed to a worker from this size on.
const CHUNK_BYTES: usize = 1 << 20;
/// Space for a chunk and what comes with its last bytes.
const BUFFER_BYTES: usize = CHUNK_BYTES + (128 << 10);
/// The longest record.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Whole records, and the number of the first.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Position,
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plain,
    /// CSV: between quotes.
    Quoted,
    /// After an escape: the next byte is data. In CSV escapes are between quotes only.
    Escaped,
}

/// Cuts a byte stream at record ends.
#[derive(Debug)]
pub(super) struct Splitter {
    file: usize,
    format: CopyFormat,
    quote: u8,
    escape: u8,
    buffer: Vec<u8>,
    /// How far the buffer has been looked at, and where the last whole record ends.
    scanned: usize,
    whole: usize,
    place: Place,
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
    pub(super) fn new(options: &CopyOptions, file: usize) -> Self {
        Self {
            file,
            format: options.format,
            quote: options.quote,
            escape: options.escape,
            buffer: Vec::new(),
            scanned: 0,
            whole: 0,
            place: Place::Plain,
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
        let mut next = Vec::with_capacity(BUFFER_BYTES);
        next.extend_from_slice(self.buffer.get(self.whole..).unwrap_or_default());
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(self.whole);
        let first_line = self.line;
        self.line += self.lines_whole;
        self.lines_scanned -= self.lines_whole;
        self.lines_whole = 0;
        self.scanned -= self.whole;
        self.whole = 0;
        Some(Chunk { bytes, first: Position { file: self.file, line: first_line } })
    }

    /// The line that is being read.
    pub(super) fn position(&self) -> Position {
        Position { file: self.file, line: self.line + self.lines_scanned }
    }

    /// The record without an end, and where it begins.
    pub(super) fn unfinished(&self) -> (Position, &[u8]) {
        let begin = Position { file: self.file, line: self.line + self.lines_whole };
        (begin, self.buffer.get(self.whole..).unwrap_or_default())
    }

    /// The input is over: a last line may lack its end.
    pub(super) fn finish(&mut self) -> Result<(), SqlError> {
        if self.format == CopyFormat::Binary {
            // The trailer may be missing: several drivers leave it out, and PostgreSQL does not ask for it.
            if !self.ended && self.started && self.whole < self.buffer.len() {
                return Err(bad("unexpected EOF in COPY data"));
            }
            return Ok(());
        }
        if self.place != Place::Plain && self.format == CopyFormat::Csv {
            return Err(bad("unterminated CSV quoted field"));
        }
        if self.whole < self.buffer.len() && !self.ended {
            self.buffer.push(b'\n');
            self.place = Place::Plain;
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
            if self.place == Place::Escaped {
                if self.scanned == self.buffer.len() {
                    return;
                }
                self.place = Place::Plain;
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
                _ => self.place = Place::Escaped,
            }
            if self.ended {
                return;
            }
        }
    }

    fn scan_csv(&mut self) {
        loop {
            if self.place != Place::Escaped {
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
            match self.place {
                Place::Escaped => self.place = Place::Quoted,
                Place::Quoted if *byte == self.escape && self.escape != self.quote => self.place = Place::Escaped,
                // A doubled quote closes and opens again.
                Place::Quoted if *byte == self.quote => self.place = Place::Plain,
                Place::Plain if *byte == self.quote => self.place = Place::Quoted,
                Place::Quoted if *byte == b'\n' => self.lines_scanned += 1,
                Place::Plain if *byte == b'\n' => self.end_record(),
                Place::Quoted | Place::Plain => {}
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
