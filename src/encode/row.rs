//! DataRow messages.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::BufMut;

use super::binary::{with_length, write_field};
use super::{Column, Format, Style, columns, is_rectangular, write_text};

/// One batch of a result, written row by row.
pub struct RowEncoder {
    columns: Vec<Column>,
    formats: Vec<Format>,
    rows: usize,
}

impl std::fmt::Debug for RowEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowEncoder")
            .field("columns", &self.columns.len())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl RowEncoder {
    /// `formats` has one entry for each column.
    pub fn new(batch: &RecordBatch, formats: &[Format]) -> Result<Self, ArrowError> {
        let columns = columns(batch)?;
        let ragged = |(column, format): (&Column, &Format)| *format == Format::Binary && !is_rectangular(column);
        if columns.iter().zip(formats).any(ragged) {
            let message = "an array in binary whose parts are not of one length";
            return Err(ArrowError::NotYetImplemented(message.to_owned()));
        }
        Ok(Self { columns, formats: formats.to_vec(), rows: batch.num_rows() })
    }

    /// How many rows the batch has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends one DataRow message.
    pub fn write(&self, out: &mut Vec<u8>, row: usize, style: &Style) {
        out.push(b'D');
        let at = out.len();
        out.put_i32(0);
        out.put_i16(i16::try_from(self.columns.len()).unwrap_or(i16::MAX));
        for (column, format) in self.columns.iter().zip(&self.formats) {
            match format {
                Format::Binary => write_field(out, column, row, style),
                Format::Text if column.values.is_null(row) => out.put_i32(-1),
                Format::Text => with_length(out, |out| write_text(out, column, row, style)),
            }
        }
        let length = i32::try_from(out.len() - at).unwrap_or(i32::MAX).to_be_bytes();
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&length);
        }
    }
}
