//! Messages to the client.

use arrow::datatypes::FieldRef;
use bytes::BufMut;

use crate::encode::Format;
use crate::error::{Notice, Severity, SqlError};
use crate::notification::Notification;
use crate::session::TransactionStatus;
use crate::types::{Origin, PgType, of_field};

/// Appends messages to an output buffer.
pub(super) struct Reply<'a>(pub(super) &'a mut Vec<u8>);

impl Reply<'_> {
    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(kind);
        let at = self.0.len();
        self.0.put_i32(0);
        body(self.0);
        let length = i32::try_from(self.0.len() - at).unwrap_or(i32::MAX).to_be_bytes();
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&length);
        }
    }

    /// Authentication request or outcome.
    pub(super) fn authentication(&mut self, code: i32, data: &[u8]) {
        self.message(b'R', |out| {
            out.put_i32(code);
            out.extend_from_slice(data);
        });
    }

    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            string(out, name);
            string(out, value);
        });
    }

    pub(super) fn backend_key_data(&mut self, pid: i32, key: &[u8]) {
        self.message(b'K', |out| {
            out.put_i32(pid);
            out.extend_from_slice(key);
        });
    }

    pub(super) fn negotiate_protocol(&mut self, newest: i32, unknown: &[String]) {
        self.message(b'v', |out| {
            out.put_i32(newest);
            out.put_i32(i32::try_from(unknown.len()).unwrap_or(0));
            for option in unknown {
                string(out, option);
            }
        });
    }

    /// What another client said on a channel.
    pub(super) fn notification(&mut self, told: &Notification) {
        self.message(b'A', |out| {
            out.put_i32(told.pid);
            string(out, &told.channel);
            string(out, &told.payload);
        });
    }

    pub(super) fn ready(&mut self, status: TransactionStatus) {
        self.message(b'Z', |out| {
            out.push(match status {
                TransactionStatus::Idle => b'I',
                TransactionStatus::InTransaction => b'T',
                TransactionStatus::Failed => b'E',
            });
        });
    }

    pub(super) fn command_complete(&mut self, tag: &str) {
        self.message(b'C', |out| string(out, tag));
    }

    /// A message without a body.
    pub(super) fn bare(&mut self, kind: Bare) {
        self.message(kind as u8, |_| ());
    }

    /// Columns of a result. `formats` is empty for text.
    pub(super) fn row_description(&mut self, fields: &[FieldRef], formats: &[Format]) {
        self.message(b'T', |out| {
            out.put_i16(i16::try_from(fields.len()).unwrap_or(i16::MAX));
            for (index, field) in fields.iter().enumerate() {
                let pg = of_field(field);
                string(out, field.name());
                let (table, number, modifier) = match Origin::of(field) {
                    Origin::Column { table, number } => (table, number, pg.typmod()),
                    Origin::Typed => (0, 0, pg.typmod()),
                    // What an expression's precision and scale are is the engine's affair.
                    Origin::Computed if matches!(pg, PgType::Numeric(_)) => (0, 0, -1),
                    Origin::Computed => (0, 0, pg.typmod()),
                };
                out.put_u32(table);
                out.put_i16(number);
                out.put_u32(pg.oid());
                out.put_i16(pg.length());
                out.put_i32(modifier);
                out.put_i16(i16::from(formats.get(index) == Some(&Format::Binary)));
            }
        });
    }

    pub(super) fn parameter_description(&mut self, oids: &[u32]) {
        self.message(b't', |out| {
            out.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
            for oid in oids {
                out.put_u32(*oid);
            }
        });
    }

    /// `G` for COPY from the client, `H` to it.
    pub(super) fn copy_response(&mut self, kind: u8, binary: bool, columns: usize) {
        self.message(kind, |out| {
            out.push(u8::from(binary));
            out.put_i16(i16::try_from(columns).unwrap_or(i16::MAX));
            for _ in 0..columns {
                out.put_i16(i16::from(binary));
            }
        });
    }

    pub(super) fn copy_data(&mut self, data: &[u8]) {
        self.message(b'd', |out| out.extend_from_slice(data));
    }

    pub(super) fn error(&mut self, severity: &str, error: &SqlError) {
        let report = error.report();
        let about = report.about();
        self.message(b'E', |out| {
            field(out, b'S', Some(severity));
            field(out, b'V', Some(severity));
            field(out, b'C', Some(error.sqlstate().as_str()));
            field(out, b'M', Some(&error.message()));
            field(out, b'D', error.detail().as_deref());
            field(out, b'H', report.hint().as_deref());
            field(out, b'P', error.position().map(|position| position.to_string()).as_deref());
            field(out, b'W', error.context().as_deref());
            field(out, b's', about.schema.as_deref());
            field(out, b't', about.table.as_deref());
            field(out, b'c', about.column.as_deref());
            field(out, b'n', about.constraint.as_deref());
            field(out, b'R', about.routine);
            out.push(0);
        });
    }

    pub(super) fn notice(&mut self, notice: &Notice) {
        let severity = match notice.severity {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
        };
        self.message(b'N', |out| {
            field(out, b'S', Some(severity));
            field(out, b'V', Some(severity));
            field(out, b'C', Some(notice.code.as_str()));
            field(out, b'M', Some(&notice.message));
            field(out, b'H', notice.hint.as_deref());
            field(out, b'W', notice.context.as_deref());
            out.push(0);
        });
    }
}

/// Messages without a body.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Bare {
    ParseComplete = b'1',
    BindComplete = b'2',
    CloseComplete = b'3',
    NoData = b'n',
    EmptyQuery = b'I',
    PortalSuspended = b's',
    CopyDone = b'c',
}

/// A NUL inside a text would end its field.
fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| if byte == 0 { b'?' } else { byte }));
    out.push(0);
}

fn field(out: &mut Vec<u8>, code: u8, text: Option<&str>) {
    if let Some(text) = text {
        out.push(code);
        string(out, text);
    }
}
