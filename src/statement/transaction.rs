//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT and what else starts with a word of its own.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;

/// `ISOLATION LEVEL`: what a transaction's statements see of others' commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Each statement sees what was committed when it began. READ UNCOMMITTED is the same, as in PostgreSQL.
    ReadCommitted,
    /// All statements see what was committed when the transaction began.
    RepeatableRead,
    /// Read here, refused by the session with `0A000`.
    Serializable,
}

/// Modes as far as they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// Whether the command is spelled START TRANSACTION.
    pub start: bool,
    /// `ISOLATION LEVEL`. `None`: not given, it stays as it is.
    pub isolation: Option<IsolationLevel>,
    /// `READ ONLY` (true) or `READ WRITE` (false). `None`: not given, it stays as it is.
    pub read_only: Option<bool>,
}

pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["begin"]) {
        let _noise = c.words(&["transaction"]) || c.words(&["work"]);
        return Ok(Command::Begin(modes(c)?));
    }
    if c.words(&["start", "transaction"]) {
        return Ok(Command::Begin(TransactionModes { start: true, ..modes(c)? }));
    }
    if c.words(&["commit"]) || c.words(&["end"]) {
        if c.peek_any(&["prepared"]) {
            return Err(c.unsupported("COMMIT PREPARED"));
        }
        end(c)?;
        return Ok(Command::Commit);
    }
    if c.words(&["rollback"]) || c.words(&["abort"]) {
        let _noise = c.words(&["transaction"]) || c.words(&["work"]);
        if c.peek_any(&["prepared"]) {
            return Err(c.unsupported("ROLLBACK PREPARED"));
        }
        if c.words(&["to"]) {
            let _noise = c.words(&["savepoint"]);
            return Ok(Command::RollbackTo(c.ident()?));
        }
        end(c)?;
        return Ok(Command::Rollback);
    }
    if c.words(&["savepoint"]) {
        return Ok(Command::Savepoint(c.ident()?));
    }
    if c.words(&["release"]) {
        let _noise = c.words(&["savepoint"]);
        return Ok(Command::Release(c.ident()?));
    }
    Err(c.unsupported_or_unexpected(
        "",
        &[
            "update", "delete", "merge", "prepare", "execute", "declare", "fetch", "move", "close", "listen",
            "unlisten", "notify", "vacuum", "analyze", "cluster", "reindex", "do", "call", "load", "security",
            "import", "reassign", "unload", "msck", "undrop",
        ],
    ))
}

fn end(c: &mut Cursor<'_>) -> Result<(), SyntaxError> {
    let _noise = c.words(&["transaction"]) || c.words(&["work"]);
    if c.words(&["and", "chain"]) {
        return Err(c.unsupported("AND CHAIN"));
    }
    let _default = c.words(&["and", "no", "chain"]);
    Ok(())
}

pub(super) fn modes(c: &mut Cursor<'_>) -> Result<TransactionModes, SyntaxError> {
    let mut modes = TransactionModes::default();
    loop {
        if c.words(&["isolation", "level"]) {
            modes.isolation = Some(if c.words(&["read", "committed"]) || c.words(&["read", "uncommitted"]) {
                IsolationLevel::ReadCommitted
            } else if c.words(&["repeatable", "read"]) {
                IsolationLevel::RepeatableRead
            } else if c.words(&["serializable"]) {
                IsolationLevel::Serializable
            } else {
                return Err(c.unexpected());
            });
        } else if c.words(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if c.words(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if !(c.words(&["not", "deferrable"]) || c.words(&["deferrable"])) {
            return Ok(modes);
        }
        let _separator = c.comma();
    }
}
