//! LOCK TABLE.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::name::QualifiedName;

/// `LOCK [TABLE] name, … [IN mode MODE] [NOWAIT]`.
#[derive(Clone, Debug)]
pub struct LockTable {
    /// The tables, as written: unresolved.
    pub tables: Vec<QualifiedName>,
    /// What others may not do meanwhile.
    pub mode: LockMode,
    /// `NOWAIT`: it fails if others have them.
    pub nowait: bool,
}

/// PostgreSQL's table locks, as far as they differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// `ACCESS SHARE`, `ROW SHARE`: it keeps nobody from anything that statements do.
    Read,
    /// `ROW EXCLUSIVE`: what each statement that writes takes by itself.
    Write,
    /// All others: nobody else writes.
    Whole,
}

pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let _noise = c.words(&["table"]);
    let tables = c.list(|c| {
        let _noise = c.words(&["only"]);
        let name = c.qualified_name()?;
        let _noise = c.star();
        Ok(name)
    })?;
    let mut mode = LockMode::Whole;
    if c.words(&["in"]) {
        let modes: &[(&[&str], LockMode)] = &[
            (&["access", "share"], LockMode::Read),
            (&["row", "share"], LockMode::Read),
            (&["row", "exclusive"], LockMode::Write),
            (&["share", "update", "exclusive"], LockMode::Whole),
            (&["share", "row", "exclusive"], LockMode::Whole),
            (&["share"], LockMode::Whole),
            (&["exclusive"], LockMode::Whole),
            (&["access", "exclusive"], LockMode::Whole),
        ];
        let found = modes.iter().find(|(words, _)| c.words(words));
        (_, mode) = *found.ok_or_else(|| c.unexpected())?;
        c.expect_words(&["mode"])?;
    }
    let nowait = c.words(&["nowait"]);
    Ok(Command::LockTable(LockTable { tables, mode, nowait }))
}
