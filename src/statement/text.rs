//! A message's text, and where in it something stands.

use std::sync::OnceLock;

use sqlparser::tokenizer::Location;

use super::redact::redacted;
use crate::activity::Shown;
use crate::error::{Report, SqlState, Written};

/// The text of a message with its line starts.
#[derive(Debug)]
pub struct Text {
    sql: String,
    /// Byte offset of each line.
    lines: Vec<usize>,
    redacted: OnceLock<String>,
}

impl Shown for Text {
    fn shown(&self) -> &str {
        self.redacted()
    }
}

impl Text {
    /// Takes a message's text and finds its lines.
    pub fn new(sql: &str) -> Self {
        let lines = std::iter::once(0).chain(sql.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { sql: sql.to_owned(), lines, redacted: OnceLock::new() }
    }

    /// The whole message, as the client sent it.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The whole message without its literals.
    pub fn redacted(&self) -> &str {
        self.redacted.get_or_init(|| redacted(&self.sql))
    }

    /// Byte offset of a line and column, both counted from 1 in characters.
    pub fn byte(&self, line: u64, column: u64) -> Option<usize> {
        let start = *self.lines.get(usize::try_from(line).ok()?.checked_sub(1)?)?;
        let skip = usize::try_from(column).ok()?.checked_sub(1)?;
        let rest = self.sql.get(start..)?;
        Some(start + rest.char_indices().nth(skip).map_or(rest.len(), |(at, _)| at))
    }

    /// Position in characters from 1, as clients count.
    pub fn position(&self, line: u64, column: u64) -> Option<usize> {
        let before = self.sql.get(..self.byte(line, column)?)?;
        Some(before.chars().count() + 1)
    }

    /// Position of a name's first appearance as a word, quoted or not, in any case.
    pub fn find_word(&self, name: &str) -> Option<usize> {
        let (haystack, needle) = (self.sql.to_lowercase(), name.to_lowercase());
        let boundary = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        haystack.match_indices(&needle).find_map(|(at, found)| {
            let before = haystack.get(..at)?;
            let after = haystack.get(at + found.len()..)?;
            let whole = boundary(before.chars().next_back()) && boundary(after.chars().next());
            whole.then(|| before.chars().count() + usize::from(!before.ends_with('"')))
        })
    }

    /// Position of a part of the statement.
    pub fn find(&self, part: &Written) -> Option<usize> {
        match part {
            Written::Literal(value) => self.find_literal(value),
            Written::Name(name) => self.find_word(name),
        }
    }

    /// Position of a string literal, if there is one with this value.
    fn find_literal(&self, value: &str) -> Option<usize> {
        let literal = format!("'{}'", value.replace('\'', "''"));
        let mut found = self.sql.match_indices(&literal);
        let (at, _) = found.next()?;
        found.next().is_none().then(|| self.sql.get(..at).map(|before| before.chars().count() + 1))?
    }

    pub(super) fn at(&self, location: Location) -> Option<usize> {
        self.position(location.line, location.column)
    }

    /// The source between two byte offsets, without surrounding space.
    pub(super) fn slice(&self, start: usize, end: usize) -> String {
        self.sql.get(start..end).unwrap_or_default().trim().to_owned()
    }
}

/// Text that is not a statement, or a statement there is no support for.
#[derive(Debug, thiserror::Error)]
pub enum SyntaxError {
    /// A token that does not belong where it stands. `42601`.
    #[error("syntax error at or near \"{near}\"")]
    Near {
        /// The token, as written.
        near: String,
        /// In characters from 1; `None`: no place is pointed at.
        position: Option<usize>,
        /// What sqlparser says about it, if it read that part of the statement.
        detail: Option<String>,
    },
    /// The text ends before the statement is complete. `42601`.
    #[error("syntax error at end of input")]
    AtEnd {
        /// Right after the last character; in characters from 1.
        position: Option<usize>,
    },
    /// Text that is not made of tokens, such as a string that never ends. `42601`.
    #[error("{message}")]
    Token {
        /// The client's whole message: `syntax error: …`, with the tokenizer's reason.
        message: String,
        /// In characters from 1; `None`: no place is pointed at.
        position: Option<usize>,
    },
    /// Something that other servers understand and this one does not. `0A000`.
    #[error("{feature} is not supported")]
    Unsupported {
        /// What it is, as the subject of `… is not supported`.
        feature: String,
        /// In characters from 1; `None`: no place is pointed at.
        position: Option<usize>,
    },
    /// A statement that is refused for what it says or for its size.
    #[error("{message}")]
    Invalid {
        /// The whole message for the client.
        message: String,
        /// The SQLSTATE, which depends on the case.
        code: SqlState,
        /// In characters from 1; `None`: no place is pointed at.
        position: Option<usize>,
    },
}

impl Report for SyntaxError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Near { .. } | Self::AtEnd { .. } | Self::Token { .. } => SqlState::SYNTAX_ERROR,
            Self::Unsupported { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Invalid { code, .. } => *code,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Near { detail, .. } => detail.clone(),
            Self::AtEnd { .. } | Self::Token { .. } | Self::Unsupported { .. } | Self::Invalid { .. } => None,
        }
    }
    fn position(&self) -> Option<usize> {
        match self {
            Self::Near { position, .. }
            | Self::AtEnd { position }
            | Self::Token { position, .. }
            | Self::Unsupported { position, .. }
            | Self::Invalid { position, .. } => *position,
        }
    }
}
