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
    /// The code that drivers act upon.
    fn sqlstate(&self) -> SqlState;
    /// More about this case, such as the failing row; `None`: nothing to add.
    fn detail(&self) -> Option<String> {
        None
    }
    /// What the user may do about it; `None`: no advice.
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

/// The schema, table, column, constraint and routine fields of an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The schema's name; `None`: the failure is about none.
    pub schema: Option<String>,
    /// The table's name; `None`: the failure is about none.
    pub table: Option<String>,
    /// The column's name; `None`: the failure is about none.
    pub column: Option<String>,
    /// The constraint's name; `None`: the failure is about none.
    pub constraint: Option<String>,
    /// The name of PostgreSQL's routine, where drivers go by it.
    pub routine: Option<&'static str>,
}

/// Any failure, ready for a client. Cheap to clone, because a failure inside a stream may reach several readers.
#[derive(Clone)]
pub struct SqlError {
    report: Arc<dyn Report>,
    id: Uuid,
    context: Option<String>,
    position: Option<usize>,
    /// What of the statement it is about, until its position is known.
    about: Option<Written>,
}

/// A part of a statement, by what is written there.
#[derive(Clone, Debug)]
pub enum Written {
    /// A string literal of a value.
    Literal(Arc<str>),
    /// A name.
    Name(Arc<str>),
}

impl SqlError {
    /// The id under which the log keeps the whole chain.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The module's own error, unmasked.
    pub fn report(&self) -> &dyn Report {
        self.report.as_ref()
    }

    /// The code that drivers act upon.
    pub fn sqlstate(&self) -> SqlState {
        self.report.sqlstate()
    }

    /// The message a client sees. Internal errors are masked: their text may hold data.
    pub fn message(&self) -> String {
        if self.is_internal() { "internal error".to_owned() } else { self.report.to_string() }
    }

    /// More about this case; the id to look up in the log, for an internal error.
    pub fn detail(&self) -> Option<String> {
        if self.is_internal() { Some(format!("Error id {}", self.id)) } else { self.report.detail() }
    }

    /// The `CONTEXT` line that was added, or else the report's own. `None`: there is none.
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
        self.about.get_or_insert_with(|| Written::Literal(value.into()));
        self
    }

    /// The error of a name in the statement.
    #[must_use]
    pub fn of_name(mut self, name: &str) -> Self {
        self.about.get_or_insert_with(|| Written::Name(name.into()));
        self
    }

    /// With the position of what it is about, which `find` tells.
    #[must_use]
    pub fn located(mut self, find: impl FnOnce(&Written) -> Option<usize>) -> Self {
        if self.position().is_none() {
            self.position = self.about.as_ref().and_then(find);
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

    /// Whether it is a broken invariant (`XX000`), which clients are told the id of only.
    pub fn is_internal(&self) -> bool {
        self.sqlstate() == SqlState::INTERNAL_ERROR
    }

    /// The failure with all its causes, for the log.
    pub fn chain(&self) -> String {
        chain(self.report.as_ref())
    }
}

/// A failure with all its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl<E: Report> From<E> for SqlError {
    fn from(report: E) -> Self {
        Self { report: Arc::new(report), id: Uuid::now_v7(), context: None, position: None, about: None }
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
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Plain {
    /// The code that drivers act upon.
    pub code: SqlState,
    /// What clients see first; of an internal error, only the log.
    pub message: String,
    /// More about this case; `None`: nothing to add.
    pub detail: Option<String>,
    /// What the user may do about it; `None`: no advice.
    pub hint: Option<String>,
    /// Where in the statement's text: characters, counted from 1. `None`: not known.
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
    /// A failure without detail, hint and position.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None, position: None, about: None }
    }
    /// With more about this case.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
    /// With advice on what the user may do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// With its position in the statement's text: characters, counted from 1.
    #[must_use]
    pub fn at(mut self, position: Option<usize>) -> Self {
        self.position = position;
        self
    }
    /// With the objects it is about, for drivers that read them.
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
    /// What was being done: the message, such as `open catalog`.
    pub doing: String,
    /// The code that drivers act upon.
    pub code: SqlState,
    /// The cause, for the log.
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
    /// Whether it is a NOTICE or a WARNING.
    pub severity: Severity,
    /// `00000`, `01000`, or the code that an error of this kind has.
    pub code: SqlState,
    /// What clients see first.
    pub message: String,
    /// What the user may do about it; `None`: no advice.
    pub hint: Option<String>,
    /// Where it comes from, such as the table of a COPY; `None`: the statement.
    pub context: Option<String>,
}

/// How much a message matters, the least first: `client_min_messages` leaves out the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something the user may want to know, such as that IF EXISTS found nothing.
    Notice,
    /// Something that is probably not what the user meant.
    Warning,
}

impl Notice {
    /// A NOTICE without a hint.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, code, message: message.into(), hint: None, context: None }
    }
    /// A WARNING without a hint.
    pub fn warning(code: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(code, message) }
    }
}
