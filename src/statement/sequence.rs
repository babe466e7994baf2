//! CREATE SEQUENCE, ALTER SEQUENCE, and the same options of identity columns.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::name::QualifiedName;
use crate::types::PgType;

/// `CREATE [TEMP] SEQUENCE [IF NOT EXISTS] name [option …]`.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// The new sequence, as written: unresolved.
    pub name: QualifiedName,
    /// `IF NOT EXISTS`: a relation of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `TEMP`: it is the session's own, and goes with it.
    pub temporary: bool,
    /// How it counts.
    pub options: SequenceOptions,
}

/// `ALTER SEQUENCE [IF EXISTS] name option …`.
#[derive(Clone, Debug)]
pub struct AlterSequence {
    /// The sequence, as written: unresolved.
    pub name: QualifiedName,
    /// `IF EXISTS`: a sequence that is not there is passed over with a notice.
    pub if_exists: bool,
    /// What changes.
    pub options: SequenceOptions,
}

/// How a sequence counts; `None`: not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceOptions {
    /// `AS type`.
    pub pg: Option<PgType>,
    /// `INCREMENT [BY]`.
    pub increment: Option<i64>,
    /// `MINVALUE`.
    pub min: Option<Limit>,
    /// `MAXVALUE`.
    pub max: Option<Limit>,
    /// `START [WITH]`.
    pub start: Option<i64>,
    /// `RESTART [WITH]`.
    pub restart: Option<Restart>,
    /// `[NO] CYCLE`.
    pub cycle: Option<bool>,
    /// `OWNED BY`.
    pub owned_by: Option<SequenceOwner>,
}

/// An end of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// This value.
    At(i64),
    /// `NO MINVALUE` or `NO MAXVALUE`: that of the type, or 1 or -1.
    Usual,
}

/// Where a sequence goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// With this value.
    With(i64),
    /// At its start.
    AtStart,
}

/// What a sequence is dropped with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceOwner {
    /// `NONE`.
    Nothing,
    /// A column of a table.
    Column(QualifiedName, String),
}

pub(super) fn create(c: &mut Cursor<'_>, temporary: bool) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = c.qualified_name()?;
    let options = SequenceOptions::parse(c)?;
    Ok(Command::CreateSequence(CreateSequence { name, if_not_exists, temporary, options }))
}

/// What follows `ALTER SEQUENCE [IF EXISTS] name`, if that is options.
pub(super) fn alter(c: &mut Cursor<'_>, name: QualifiedName, if_exists: bool) -> Result<Command, SyntaxError> {
    let options = SequenceOptions::parse(c)?;
    if options == SequenceOptions::default() {
        return Err(c.unsupported_or_unexpected("ALTER SEQUENCE …", &["set"]));
    }
    Ok(Command::AlterSequence(AlterSequence { name, if_exists, options }))
}

impl SequenceOptions {
    /// Options in any order; there may be none. `42601` for one that is there twice.
    pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        let mut options = Self::default();
        loop {
            let mut option = Self::default();
            if c.words(&["as"]) {
                option.pg = Some(c.data_type()?);
            } else if c.words(&["increment"]) {
                let _noise = c.words(&["by"]);
                option.increment = Some(c.integer()?);
            } else if c.words(&["minvalue"]) {
                option.min = Some(Limit::At(c.integer()?));
            } else if c.words(&["no", "minvalue"]) {
                option.min = Some(Limit::Usual);
            } else if c.words(&["maxvalue"]) {
                option.max = Some(Limit::At(c.integer()?));
            } else if c.words(&["no", "maxvalue"]) {
                option.max = Some(Limit::Usual);
            } else if c.words(&["start"]) {
                let _noise = c.words(&["with"]);
                option.start = Some(c.integer()?);
            } else if c.words(&["restart"]) {
                let with = c.words(&["with"]) || c.peek_number();
                option.restart = Some(if with { Restart::With(c.integer()?) } else { Restart::AtStart });
            } else if c.words(&["cache"]) {
                // Values are handed out one by one, and cost nothing.
                c.integer()?;
                continue;
            } else if c.words(&["cycle"]) {
                option.cycle = Some(true);
            } else if c.words(&["no", "cycle"]) {
                option.cycle = Some(false);
            } else if c.words(&["owned", "by"]) {
                option.owned_by = Some(owner(c)?);
            } else {
                return Ok(options);
            }
            if !options.add(option) {
                return Err(c.unexpected());
            }
        }
    }
}

impl SequenceOptions {
    /// Takes more options in; `false` if one of them is there already.
    pub(super) fn add(&mut self, more: Self) -> bool {
        let Self { pg, increment, min, max, start, restart, cycle, owned_by } = more;
        put(&mut self.pg, pg)
            && put(&mut self.increment, increment)
            && put(&mut self.min, min)
            && put(&mut self.max, max)
            && put(&mut self.start, start)
            && put(&mut self.restart, restart)
            && put(&mut self.cycle, cycle)
            && put(&mut self.owned_by, owned_by)
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let free = place.is_none() || value.is_none();
    if value.is_some() {
        *place = value;
    }
    free
}

fn owner(c: &mut Cursor<'_>) -> Result<SequenceOwner, SyntaxError> {
    if c.words(&["none"]) {
        return Ok(SequenceOwner::Nothing);
    }
    let mut parts = vec![c.ident()?];
    while c.period() {
        parts.push(c.ident()?);
    }
    let (Some(column), Some(name)) = (parts.pop(), parts.pop()) else { return Err(c.unexpected()) };
    Ok(SequenceOwner::Column(QualifiedName { schema: parts.pop(), name }, column))
}
