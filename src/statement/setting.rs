//! SET, SHOW, RESET, DISCARD, LISTEN, NOTIFY.

use super::cursor::Cursor;
use super::text::SyntaxError;
use super::{Command, transaction};
use crate::name::QualifiedName;
use crate::notification::Listening;
use crate::setting::Zone;

/// `SET [SESSION | LOCAL] …`, but for SET TRANSACTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStatement {
    /// SET LOCAL: until the transaction ends.
    pub local: bool,
    /// What is set, with its new value.
    pub value: SetValue,
}

/// What SET can change: a setting, the role or the session's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// A setting; `None` as value: DEFAULT.
    Setting {
        /// Dotted names are one text; `TIME ZONE` is `timezone`, `NAMES` is `client_encoding`.
        name: String,
        /// As text; elements of a list are quoted as needed and joined with commas.
        value: Option<String>,
    },
    /// SET ROLE; `None`: NONE.
    Role(Option<String>),
    /// SET SESSION AUTHORIZATION; `None`: DEFAULT.
    SessionAuthorization(Option<String>),
}

/// `SET CONSTRAINTS`. Foreign keys alone may be deferred, and these are not enforced: when they would be checked is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetConstraints {
    /// Of constraints; none: ALL.
    pub names: Vec<QualifiedName>,
    /// DEFERRED; else IMMEDIATE.
    pub deferred: bool,
}

/// `ALTER SYSTEM`: for the whole server, and after a restart, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterSystem {
    /// `SET` or `RESET`.
    Set {
        /// As written.
        setting: String,
        /// As text; `None`: back to the default.
        value: Option<String>,
    },
    /// `RESET ALL`.
    ResetAll,
    /// `ROTATE KEYS`: secrets are sealed anew, with another key.
    RotateKeys,
}

/// What SHOW is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One setting, by its name; `TIME ZONE` is `timezone`, for example.
    One(String),
    /// `SHOW ALL`: every setting, with its value and a description.
    All,
}

pub(super) fn set(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["session", "characteristics", "as", "transaction"]) {
        return Ok(Command::SetCharacteristics(transaction::modes(c)?));
    }
    if c.words(&["transaction"]) {
        return Ok(Command::SetTransaction(transaction::modes(c)?));
    }
    if c.words(&["constraints"]) {
        let names = if c.words(&["all"]) { Vec::new() } else { c.list(Cursor::qualified_name)? };
        let deferred = c.words(&["deferred"]);
        if !deferred {
            c.expect_words(&["immediate"])?;
        }
        return Ok(Command::SetConstraints(SetConstraints { names, deferred }));
    }
    let local = c.words(&["local"]);
    if c.words(&["session", "authorization"]) {
        let value = if c.words(&["default"]) { None } else { Some(c.word_or_literal()?) };
        return Ok(Command::Set(SetStatement { local, value: SetValue::SessionAuthorization(value) }));
    }
    let _default = !local && c.words(&["session"]);
    if c.words(&["role"]) {
        let _either = c.equals() || c.words(&["to"]);
        let value = if c.words(&["none"]) { None } else { Some(c.word_or_literal()?) };
        return Ok(Command::Set(SetStatement { local, value: SetValue::Role(value) }));
    }
    if c.words(&["time", "zone"]) {
        // `INTERVAL '+02:00' HOUR TO MINUTE`
        let is_interval = c.words(&["interval"]);
        let value = if c.words(&["default"]) || c.words(&["local"]) { None } else { Some(c.word_or_literal()?) };
        let _fields = is_interval && c.words(&["hour", "to", "minute"]);
        let east = |value: String| Zone::offset(&value).map_or(value, Zone::posix);
        let value = if is_interval { value.map(east) } else { value };
        return Ok(Command::Set(SetStatement {
            local,
            value: SetValue::Setting { name: "timezone".to_owned(), value },
        }));
    }
    if c.words(&["names"]) {
        let value = if c.words(&["default"]) { None } else { Some(c.word_or_literal()?) };
        return Ok(Command::Set(SetStatement {
            local,
            value: SetValue::Setting { name: "client_encoding".to_owned(), value },
        }));
    }
    let mut name = c.ident()?;
    while c.period() {
        name = format!("{name}.{}", c.ident()?);
    }
    if !c.equals() {
        c.expect_words(&["to"])?;
    }
    let value = if c.words(&["default"]) {
        None
    } else {
        let values = c.list(|c| if c.peek_any(&["on"]) { c.ident() } else { c.word_or_literal() })?;
        // A list setting keeps its elements quoted as needed.
        Some(if values.len() > 1 || name == "search_path" {
            values.iter().map(|value| crate::name::quote(value)).collect::<Vec<_>>().join(", ")
        } else {
            values.concat()
        })
    };
    Ok(Command::Set(SetStatement { local, value: SetValue::Setting { name, value } }))
}

pub(super) fn show(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["all"]) {
        return Ok(Command::Show(Shown::All));
    }
    if c.words(&["effective", "policy", "on"]) {
        return effective_policy(c);
    }
    let name = if c.words(&["time", "zone"]) {
        "timezone".to_owned()
    } else if c.words(&["transaction", "isolation", "level"]) {
        "transaction_isolation".to_owned()
    } else if c.words(&["session", "authorization"]) {
        "session_authorization".to_owned()
    } else {
        let mut name = c.ident()?;
        while c.period() {
            name = format!("{name}.{}", c.ident()?);
        }
        name
    };
    Ok(Command::Show(Shown::One(name)))
}

/// `SHOW EFFECTIVE POLICY ON relation [FOR ROLE role]`: a query for what [`crate::pg`]'s `effective_policy` gives.
fn effective_policy(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let _noise = c.words(&["table"]);
    let relation = c.qualified_name()?;
    let quoted = |part: &str| crate::name::quote(part);
    let schema = relation.schema.as_deref().map(|schema| format!("{}.", quoted(schema))).unwrap_or_default();
    let relation = crate::name::quote_literal(&format!("{schema}{}", quoted(&relation.name)));
    let role = if c.words(&["for"]) {
        let _noise = c.words(&["role"]) || c.words(&["user"]);
        format!(", {}", crate::name::quote_literal(&c.ident()?))
    } else {
        String::new()
    };
    let query = super::parse_query(&format!("SELECT * FROM effective_policy({relation}::regclass{role})"))?;
    Ok(Command::Query(query))
}

pub(super) fn reset(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["all"]) {
        return Ok(Command::Reset(None));
    }
    if c.words(&["session", "authorization"]) {
        return Ok(Command::Reset(Some("session_authorization".to_owned())));
    }
    let name = if c.words(&["time", "zone"]) { "timezone".to_owned() } else { c.ident()? };
    Ok(Command::Reset(Some(name)))
}

/// After the words ALTER SYSTEM.
pub(super) fn alter_system(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["set"]) {
        let setting = c.ident()?;
        if !c.equals() {
            c.expect_words(&["to"])?;
        }
        let value = if c.words(&["default"]) { None } else { Some(c.word_or_literal()?) };
        return Ok(Command::AlterSystem(AlterSystem::Set { setting, value }));
    }
    if c.words(&["rotate"]) {
        c.expect_words(&["keys"])?;
        return Ok(Command::AlterSystem(AlterSystem::RotateKeys));
    }
    c.expect_words(&["reset"])?;
    let all = c.words(&["all"]);
    let alter = if all { AlterSystem::ResetAll } else { AlterSystem::Set { setting: c.ident()?, value: None } };
    Ok(Command::AlterSystem(alter))
}

pub(super) fn discard(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["all"]) {
        return Ok(Command::DiscardAll);
    }
    if c.words(&["temp"]) || c.words(&["temporary"]) {
        return Ok(Command::DiscardTemporary);
    }
    Err(c.unsupported_or_unexpected("DISCARD", &["plans", "sequences"]))
}

pub(super) fn listen_or_notify(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["listen"]) {
        return Ok(Command::Listen(Listening::To(c.ident()?)));
    }
    if c.words(&["unlisten"]) {
        return Ok(Command::Listen(if c.star() { Listening::ToNone } else { Listening::NoMoreTo(c.ident()?) }));
    }
    c.expect_words(&["notify"])?;
    let channel = c.ident()?;
    let payload = if c.comma() { c.string()? } else { String::new() };
    Ok(Command::Notify(channel, payload))
}
