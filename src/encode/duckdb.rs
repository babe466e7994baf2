//! Values in the text form that DuckDB reads: arrays are `['1', NULL]`, rows `{'a': '1'}`. DuckLake keeps rows in it that
//! are in no file.
//!
//! What is in arrays and rows is quoted whatever it is, with backslashes before quotes and backslashes; what others wrote
//! need not be. Source: <https://duckdb.org/docs/stable/sql/data_types/list> and `…/struct`, casts from VARCHAR.

use arrow::array::{Array, ArrayRef};
use arrow::error::ArrowError;

use super::text::{bounds, hex};
use super::{Column, ColumnBuilder, InputError, Style, Values, interval, write_text};
use crate::types::{PgType, field};

/// Texts of a column's values. `None`: one of them has no form that all readers share.
pub(crate) fn duckdb_texts(pg: &PgType, array: &ArrayRef) -> Result<Option<Vec<Option<String>>>, ArrowError> {
    let column = Column::new(array, &field("", pg, true).with_data_type(array.data_type().clone()))?;
    let text = |row| {
        let mut out = Vec::new();
        let written = column.values.is_null(row) || write_value(&mut out, &column, row).is_some();
        written.then(|| (!column.values.is_null(row)).then(|| String::from_utf8_lossy(&out).into_owned()))
    };
    Ok((0..array.len()).map(text).collect())
}

/// Writes a value that is not NULL; `None` if it has no such form.
fn write_value(out: &mut Vec<u8>, column: &Column, row: usize) -> Option<()> {
    match &column.values {
        Values::List(list, elements) => {
            out.push(b'[');
            for (position, element) in bounds(list.value_offsets(), row).enumerate() {
                if position > 0 {
                    out.extend_from_slice(b", ");
                }
                write_part(out, elements, element)?;
            }
            out.push(b']');
        }
        Values::Row(rows, columns) => {
            out.push(b'{');
            for (position, (name, column)) in rows.column_names().into_iter().zip(columns).enumerate() {
                if position > 0 {
                    out.extend_from_slice(b", ");
                }
                write_quoted(out, name.as_bytes());
                out.extend_from_slice(b": ");
                write_part(out, column, row)?;
            }
            out.push(b'}');
        }
        Values::TextView(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Values::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Values::LargeText(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Values::BytesView(array) => write_bytes(out, array.value(row)),
        Values::Bytes(array) => write_bytes(out, array.value(row)),
        Values::LargeBytes(array) => write_bytes(out, array.value(row)),
        Values::Enum(array, of) => {
            let code = array.value(row).try_into().map(u64::from_be_bytes).ok()?;
            out.extend_from_slice(of.label(code)?.as_bytes());
        }
        Values::Interval(array) => interval::write_stored(out, array.value(row)),
        _ => {
            write_text(out, column, row, &Style::utc());
            // PostgreSQL writes years before the first as others do not.
            if out.ends_with(b"BC") {
                return None;
            }
        }
    }
    Some(())
}

/// Writes what is in an array or a row.
fn write_part(out: &mut Vec<u8>, column: &Column, row: usize) -> Option<()> {
    if column.values.is_null(row) {
        out.extend_from_slice(b"NULL");
        return Some(());
    }
    if matches!(column.values, Values::List(..) | Values::Row(..)) {
        return write_value(out, column, row);
    }
    let mut value = Vec::new();
    write_value(&mut value, column, row)?;
    write_quoted(out, &value);
    Some(())
}

fn write_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'\'');
    for byte in text {
        if matches!(byte, b'\'' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'\'');
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(b"\\x");
        hex(out, *byte);
    }
}

impl ColumnBuilder {
    /// Appends a value in DuckDB's text form. `22P02` and others if it is none of the type's.
    pub(crate) fn append_duckdb(&mut self, text: &str) -> Result<(), InputError> {
        let malformed = || InputError::Syntax { pg: self.pg.to_string(), text: text.to_owned() };
        match &self.pg {
            PgType::Array(_) => {
                let parts = Reader(text).list().ok_or_else(malformed)?;
                self.append_items(|elements| {
                    parts.iter().try_for_each(|part| match part {
                        Some(part) => elements.append_duckdb(part),
                        None => {
                            elements.append_null();
                            Ok(())
                        }
                    })
                })
            }
            PgType::Composite(_) | PgType::Record(Some(_)) => {
                let parts = Reader(text).columns().ok_or_else(malformed)?;
                let attributes = self.pg.attributes().unwrap_or_default().iter();
                let value = |name: &str| parts.iter().find(|(own, _)| own == name)?.1.as_deref();
                let values: Vec<Option<&str>> = attributes.map(|attribute| value(&attribute.name)).collect();
                self.append_row(&values, |column, value| column.append_duckdb(value))
            }
            PgType::Bytea => self.append_text(&format!("\\x{}", bytes_hex(text))),
            _ => self.append_text(text),
        }
    }
}

/// The digits of bytes, of which those that others wrote stand for themselves where they can be printed.
fn bytes_hex(text: &str) -> String {
    let (mut digits, mut rest) = (Vec::with_capacity(text.len() / 2), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = if let [b'\\', b'x', high, low, tail @ ..] = rest {
            digits.extend([*high, *low]);
            tail
        } else {
            hex(&mut digits, *first);
            tail
        };
    }
    String::from_utf8_lossy(&digits).into_owned()
}

/// What is left to read of a text.
struct Reader<'a>(&'a str);

/// A value's text, unescaped unless it is that of an array or a row; `None` is NULL.
type Part = Option<String>;

impl Reader<'_> {
    /// All of it as an array.
    fn list(mut self) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        self.take('[')?;
        while self.take(']').is_none() {
            if !parts.is_empty() {
                self.take(',')?;
            }
            parts.push(self.part()?);
        }
        self.0.trim_start().is_empty().then_some(parts)
    }

    /// All of it as a row's columns with their names.
    fn columns(mut self) -> Option<Vec<(String, Part)>> {
        let mut columns = Vec::new();
        self.take('{')?;
        while self.take('}').is_none() {
            if !columns.is_empty() {
                self.take(',')?;
            }
            let name = self.part()??;
            self.take(':')?;
            columns.push((name, self.part()?));
        }
        self.0.trim_start().is_empty().then_some(columns)
    }

    /// Blanks and then a character, if it comes next.
    fn take(&mut self, wanted: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(wanted)?;
        Some(())
    }

    fn part(&mut self) -> Option<Part> {
        self.0 = self.0.trim_start();
        match self.0.chars().next()? {
            '[' | '{' => self.nested().map(Some),
            quote @ ('\'' | '"') => self.quoted(quote).map(Some),
            _ => {
                let end = self.0.find([',', ']', '}', ':'])?;
                let (text, rest) = self.0.split_at_checked(end)?;
                self.0 = rest;
                let text = text.trim_end();
                Some((!text.eq_ignore_ascii_case("null")).then(|| text.to_owned()))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.0.chars();
        chars.next();
        loop {
            match chars.next()? {
                '\\' => text.push(chars.next()?),
                c if c == quote => break,
                c => text.push(c),
            }
        }
        self.0 = chars.as_str();
        Some(text)
    }

    /// An array or a row as it stands there.
    fn nested(&mut self) -> Option<String> {
        let (mut depth, mut quote) = (0_usize, None);
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match (c, quote) {
                ('\\', _) => drop(chars.next()),
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('[' | '{', None) => depth += 1,
                (']' | '}', None) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        let (text, rest) = self.0.split_at_checked(at + 1)?;
                        self.0 = rest;
                        return Some(text.to_owned());
                    }
                }
                _ => {}
            }
        }
        None
    }
}
