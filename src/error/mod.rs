//! What went wrong, for two audiences: the client (SQLSTATE, message, detail, hint, position) and the operator
//! (an id and the full chain of causes).
//!
//! Each module has its own error enum that implements [`Report`]; it becomes a [`SqlError`] once, on its way out.

mod engine;
mod sqlstate;

use std::fmt;
use std::sync::Arc;

pub use sqlstate::SqlState;
use uuid::Uuid;

/// What a client may be told about a failure. Implemented by hand for each module's error, so that someone thinks
/// about the reader; never for a foreign error.
pub trait Report: std::error::Error + Send + Sync + 'static {
    fn sqlstate(&self) -> SqlState;
    fn detail(&self) -> Option<String> {
        None
    }
    fn hint(&self) -> Option<String> {
        None
    }
    /// Where in the statement's text: characters, counted from 1.
    fn position(&self) -> Option<usize> {
        None
    }
    /// Objects the failure is about, for drivers that read them.
    fn about(&self) -> About {
        About::default()
    }
    /// `CONTEXT` lines, such as the line of a COPY.
    fn context(&self) -> Option<String> {
        None
    }
}

/// The schema, table, column and constraint fields of an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

/// Any failure, ready for a client. Cheap to clone, because a failure inside a stream may reach several readers.
#[derive(Clone)]
pub struct SqlError {
    report: Arc<dyn Report>,
    id: Uuid,
    context: Option<String>,
    position: Option<usize>,
    /// A string literal of the statement that it is about, until its position is known.
    literal: Option<Arc<str>>,
}

impl SqlError {
    /// The id under which the log keeps the whole chain.
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn report(&self) -> &dyn Report {
        self.report.as_ref()
    }

    pub fn sqlstate(&self) -> SqlState {
        self.report.sqlstate()
    }

    /// The message a client sees. Internal errors are masked: their text may hold data.
    pub fn message(&self) -> String {
        if self.is_internal() { "internal error".to_owned() } else { self.report.to_string() }
    }

    pub fn detail(&self) -> Option<String> {
        if self.is_internal() { Some(format!("Error id {}", self.id)) } else { self.report.detail() }
    }

    pub fn context(&self) -> Option<String> {
        self.context.clone().or_else(|| self.report.context())
    }

    /// Where in the statement's text: characters, counted from 1.
    pub fn position(&self) -> Option<usize> {
        self.position.or_else(|| self.report.position())
    }

    /// The error of a string literal in the statement.
    #[must_use]
    pub fn of_literal(mut self, value: &str) -> Self {
        self.literal.get_or_insert_with(|| value.into());
        self
    }

    /// With the position of the literal it is about, which `find` tells.
    #[must_use]
    pub fn located(mut self, find: impl FnOnce(&str) -> Option<usize>) -> Self {
        if self.position().is_none() {
            self.position = self.literal.as_deref().and_then(find);
        }
        self
    }

    /// Adds a `CONTEXT` line unless there is one already.
    #[must_use]
    pub fn with_context(mut self, context: impl FnOnce() -> String) -> Self {
        if self.context().is_none() {
            self.context = Some(context());
        }
        self
    }

    pub fn is_internal(&self) -> bool {
        self.sqlstate() == SqlState::INTERNAL_ERROR
    }

    /// The failure with all its causes, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.report.to_string();
        let mut cause = std::error::Error::source(self.report.as_ref());
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl<E: Report> From<E> for SqlError {
    fn from(report: E) -> Self {
        Self { report: Arc::new(report), id: Uuid::now_v7(), context: None, position: None, literal: None }
    }
}

impl fmt::Debug for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlError({} {})", self.sqlstate(), self.chain())
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for SqlError {}

/// A failure that needs no more than a code and a text. For errors that nobody matches on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Plain {
    pub code: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<usize>,
    about: Option<Box<About>>,
}

impl Report for Plain {
    fn sqlstate(&self) -> SqlState {
        self.code
    }
    fn detail(&self) -> Option<String> {
        self.detail.clone()
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
    fn position(&self) -> Option<usize> {
        self.position
    }
    fn about(&self) -> About {
        self.about.as_deref().cloned().unwrap_or_default()
    }
}

impl Plain {
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None, position: None, about: None }
    }
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    #[must_use]
    pub fn at(mut self, position: Option<usize>) -> Self {
        self.position = position;
        self
    }
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(Box::new(about));
        self
    }
}

/// `0A000`: something we know of and cannot do correctly.
pub fn unsupported(what: impl fmt::Display) -> Plain {
    Plain::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
}

/// A broken invariant. The text goes to the log only.
pub fn internal(what: impl fmt::Display) -> Plain {
    Plain::new(SqlState::INTERNAL_ERROR, what.to_string())
}

/// A failure of something under us (disk, metadata database, object store), with its cause.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Failed {
    pub doing: String,
    pub code: SqlState,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Report for Failed {
    fn sqlstate(&self) -> SqlState {
        self.code
    }
}

/// Wraps a foreign error: `.map_err(failed("open catalog", SqlState::IO_ERROR))`.
pub fn failed<E>(doing: impl Into<String>, code: SqlState) -> impl FnOnce(E) -> Failed
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let doing = doing.into();
    move |source| Failed { doing, code, source: source.into() }
}

/// A message beside the result: NOTICE or WARNING.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    pub code: SqlState,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Notice,
    Warning,
}

impl Notice {
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, code, message: message.into(), hint: None }
    }
    pub fn warning(code: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, message: message.into(), hint: None }
    }
}
