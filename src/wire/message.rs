//! Messages from the client. The format: <https://www.postgresql.org/docs/17/protocol-message-formats.html>.

use crate::encode::Format;
use crate::error::{Plain, SqlError, SqlState};

/// A client's message after start-up.
#[derive(Debug)]
pub(super) enum Message {
    Query(String),
    Parse { name: String, sql: String, types: Vec<u32> },
    Bind(Bind),
    Describe(Target, String),
    Execute { portal: String, rows_max: i32 },
    Close(Target, String),
    Flush,
    Sync,
    Terminate,
    Password(Vec<u8>),
    CopyData(Vec<u8>),
    CopyDone,
    CopyFail(String),
    FunctionCall,
}

#[derive(Debug)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<Format>,
    pub(super) values: Vec<Option<Vec<u8>>>,
    pub(super) result_formats: Vec<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

pub(super) fn violation(message: impl Into<String>) -> SqlError {
    Plain::new(SqlState::PROTOCOL_VIOLATION, message).into()
}

/// Reads one message of a kind from exactly its body.
pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Message, SqlError> {
    let mut reader = Reader { rest: body };
    let message = match kind {
        b'Q' => Message::Query(reader.string()?),
        b'P' => {
            let (name, sql) = (reader.string()?, reader.string()?);
            let count = reader.count()?;
            Message::Parse {
                name,
                sql,
                types: (0..count).map(|_| reader.int4().map(i32::cast_unsigned)).collect::<Result<_, _>>()?,
            }
        }
        b'B' => Message::Bind(bind(&mut reader)?),
        b'D' | b'C' => {
            let target = match reader.byte()? {
                b'S' => Target::Statement,
                b'P' => Target::Portal,
                other => return Err(violation(format!("invalid DESCRIBE or CLOSE message subtype {other}"))),
            };
            let name = reader.string()?;
            if kind == b'D' { Message::Describe(target, name) } else { Message::Close(target, name) }
        }
        b'E' => Message::Execute { portal: reader.string()?, rows_max: reader.int4()? },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'p' => Message::Password(reader.all().to_vec()),
        b'd' => Message::CopyData(reader.all().to_vec()),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(reader.string()?),
        b'F' => {
            let _call = reader.all();
            Message::FunctionCall
        }
        other => return Err(violation(format!("invalid frontend message type {other}"))),
    };
    if reader.rest.is_empty() { Ok(message) } else { Err(violation("invalid message format")) }
}

fn bind(reader: &mut Reader<'_>) -> Result<Bind, SqlError> {
    let (portal, statement) = (reader.string()?, reader.string()?);
    let formats = formats(reader)?;
    let count = reader.count()?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match usize::try_from(reader.int4()?) {
            Ok(length) => Some(reader.bytes(length)?.to_vec()),
            Err(_) => None,
        });
    }
    Ok(Bind { portal, statement, formats, values, result_formats: self::formats(reader)? })
}

fn formats(reader: &mut Reader<'_>) -> Result<Vec<Format>, SqlError> {
    let count = reader.count()?;
    (0..count)
        .map(|_| match reader.int2()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => {
                Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {other}")).into())
            }
        })
        .collect()
}

/// Takes a body apart; running out of bytes is a protocol violation.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], SqlError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| violation("insufficient data left in message"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn byte(&mut self) -> Result<u8, SqlError> {
        Ok(self.bytes(1)?.first().copied().unwrap_or_default())
    }

    fn int2(&mut self) -> Result<i16, SqlError> {
        Ok(i16::from_be_bytes(self.bytes(2)?.try_into().unwrap_or_default()))
    }

    pub(super) fn int4(&mut self) -> Result<i32, SqlError> {
        Ok(i32::from_be_bytes(self.bytes(4)?.try_into().unwrap_or_default()))
    }

    fn count(&mut self) -> Result<usize, SqlError> {
        // Counts are unsigned: 65,535 parameters are allowed.
        Ok(usize::from(u16::from_be_bytes(self.bytes(2)?.try_into().unwrap_or_default())))
    }

    /// A string up to its NUL. `22021` if it is not UTF-8.
    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = self.bytes(end)?;
        let _nul = self.bytes(1)?;
        match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                Err(Plain::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, decode};

    /// Damaged frames are errors: never a panic, never a message with bytes left over.
    #[test]
    fn damaged_frames_are_errors() {
        for (kind, body) in [
            (b'Q', b"SELECT 1".as_slice()),
            (b'Q', b"SELECT 1\0Q\0\0\0\x0dSELECT 2\0"),
            (b'Q', b"\xff'\0"),
            (b'P', b"a\0"),
            (b'P', b"a\0b\0\x00\x02\0\0\0\0"),
            (b'B', b"\0\0\x00\x01"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
            (b'D', b"Xa\0"),
            (b'E', b"\0\0\0"),
            (b'?', b""),
        ] {
            assert!(decode(kind, body).is_err(), "{} {body:?}", char::from(kind));
        }
        assert!(matches!(decode(b'Q', b"SELECT 1\0"), Ok(Message::Query(sql)) if sql == "SELECT 1"));
    }
}
