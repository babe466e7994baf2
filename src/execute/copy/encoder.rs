//! Rows of COPY TO, in its text, CSV and binary formats.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::BufMut;

use crate::encode::{BINARY_COPY_HEADER, Style, columns, write_field, write_text};
use crate::statement::{CopyFormat, CopyOptions, Header};

const BINARY_COPY_TRAILER: &[u8] = &[0xff, 0xff];

/// Encodes one COPY's rows.
#[derive(Debug)]
pub struct CopyEncoder {
    options: CopyOptions,
    names: Vec<String>,
    force_quote: Vec<bool>,
    style: Style,
}

impl CopyEncoder {
    /// `names`: of the output columns, in order, for the header and `FORCE_QUOTE`. `style`: how values print.
    pub fn new(options: CopyOptions, names: Vec<String>, style: Style) -> Self {
        let force_quote = names.iter().map(|name| options.force_quote.contains(name)).collect();
        Self { options, names, force_quote, style }
    }

    /// What comes before the first row.
    pub fn header(&self) -> Vec<u8> {
        match self.options.format {
            CopyFormat::Binary => BINARY_COPY_HEADER.to_vec(),
            _ if self.options.header == Header::None => Vec::new(),
            format => {
                let mut line = Vec::new();
                for (index, name) in self.names.iter().enumerate() {
                    if index > 0 {
                        line.push(self.options.delimiter);
                    }
                    if format == CopyFormat::Csv {
                        self.csv(&mut line, name.as_bytes(), false);
                    } else {
                        self.escape(&mut line, name.as_bytes());
                    }
                }
                line.push(b'\n');
                line
            }
        }
    }

    /// What comes after the last row.
    pub fn trailer(&self) -> &'static [u8] {
        if self.options.format == CopyFormat::Binary { BINARY_COPY_TRAILER } else { b"" }
    }

    /// Appends a batch's rows, calling `row_end` with the buffer after each.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        batch: &RecordBatch,
        mut row_end: impl FnMut(&mut Vec<u8>),
    ) -> Result<(), ArrowError> {
        let columns = columns(batch)?;
        let mut scratch = Vec::new();
        for row in 0..batch.num_rows() {
            if self.options.format == CopyFormat::Binary {
                out.put_i16(i16::try_from(columns.len()).unwrap_or(i16::MAX));
                for column in &columns {
                    write_field(out, column, row, &self.style);
                }
                row_end(out);
                continue;
            }
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(self.options.delimiter);
                }
                if column.values.is_null(row) {
                    out.extend_from_slice(self.options.null.as_bytes());
                    continue;
                }
                scratch.clear();
                write_text(&mut scratch, column, row, &self.style);
                if self.options.format == CopyFormat::Csv {
                    let force = self.force_quote.get(index).copied().unwrap_or(false);
                    // A single column's `\.` would read as the end of the data.
                    let force =
                        force || scratch == self.options.null.as_bytes() || (columns.len() == 1 && scratch == b"\\.");
                    self.csv(out, &scratch, force);
                } else {
                    self.escape(out, &scratch);
                }
            }
            out.push(b'\n');
            row_end(out);
        }
        Ok(())
    }

    fn csv(&self, out: &mut Vec<u8>, value: &[u8], force: bool) {
        let special =
            |byte: &u8| *byte == self.options.delimiter || *byte == self.options.quote || matches!(byte, b'\n' | b'\r');
        if !force && !value.iter().any(special) {
            return out.extend_from_slice(value);
        }
        out.push(self.options.quote);
        for byte in value {
            if *byte == self.options.quote || *byte == self.options.escape {
                out.push(self.options.escape);
            }
            out.push(*byte);
        }
        out.push(self.options.quote);
    }

    fn escape(&self, out: &mut Vec<u8>, value: &[u8]) {
        for byte in value {
            let letter = match byte {
                b'\\' => b'\\',
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                other if *other == self.options.delimiter => *other,
                other => {
                    out.push(*other);
                    continue;
                }
            };
            out.push(b'\\');
            out.push(letter);
        }
    }
}
