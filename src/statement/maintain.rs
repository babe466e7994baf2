//! VACUUM and ANALYZE.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::name::QualifiedName;

/// What a VACUUM takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// In the background: what has become a burden, and no more than that.
    Automatic,
    /// VACUUM: all small files become one.
    Usual,
    /// VACUUM FULL: all files are written again that are not as good as new.
    Full,
}

/// `VACUUM` or `ANALYZE`.
#[derive(Clone, Debug)]
pub struct Maintain {
    /// `VACUUM`: files are merged and deleted rows left out. False: `ANALYZE`, for which there is nothing to do, because
    /// each commit keeps the statistics.
    pub vacuum: bool,
    /// How much is worth being done.
    pub effort: Effort,
    /// The tables, as written; empty: all that the user owns.
    pub tables: Vec<QualifiedName>,
}

/// `UNDROP TABLE t`, or `RESTORE TABLE t AT (VERSION => n)` or its other spellings.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The table; with the moment in its name ([`super::as_it_was`]) if it is there.
    pub table: QualifiedName,
    /// Whether it was dropped.
    pub dropped: bool,
}

/// After the words UNDROP TABLE.
pub(super) fn undrop(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::Restore(Restore { table: c.qualified_name()?, dropped: true }))
}

/// After the words RESTORE TABLE.
pub(super) fn restore(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let table = c.qualified_name()?;
    if super::as_it_was(&table.name).is_none() {
        return Err(c.unexpected());
    }
    // The alias that every table of the past gets.
    c.expect_words(&["as"])?;
    c.ident()?;
    Ok(Command::Restore(Restore { table, dropped: false }))
}

/// After the word VACUUM.
pub(super) fn vacuum(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let mut full = false;
    if c.left_parenthesis() {
        loop {
            let option = c.word_or_literal()?;
            let on = !(c.words(&["off"]) || c.words(&["false"]));
            match option.as_str() {
                "full" => full = on,
                // What is done about heaps, trees and statistics has no counterpart here.
                "freeze"
                | "verbose"
                | "analyze"
                | "disable_page_skipping"
                | "skip_locked"
                | "index_cleanup"
                | "process_main"
                | "process_toast"
                | "truncate"
                | "parallel"
                | "skip_database_stats"
                | "only_database_stats"
                | "buffer_usage_limit" => {
                    let _value = !c.at_list_separator() && c.word_or_literal().is_ok();
                }
                other => return Err(unknown(c, "VACUUM", other)),
            }
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    } else {
        full = c.words(&["full"]);
        let _meaningless =
            [c.words(&["freeze"]), c.words(&["verbose"]), c.words(&["analyze"]) || c.words(&["analyse"])];
    }
    Ok(Command::Maintain(Maintain {
        vacuum: true,
        effort: if full { Effort::Full } else { Effort::Usual },
        tables: tables(c)?,
    }))
}

/// After the word ANALYZE.
pub(super) fn analyze(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.left_parenthesis() {
        loop {
            let option = c.word_or_literal()?;
            match option.as_str() {
                "verbose" | "skip_locked" | "buffer_usage_limit" => {
                    let _value = !c.at_list_separator() && c.word_or_literal().is_ok();
                }
                other => return Err(unknown(c, "ANALYZE", other)),
            }
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    } else {
        let _meaningless = c.words(&["verbose"]);
    }
    Ok(Command::Maintain(Maintain { vacuum: false, effort: Effort::Usual, tables: tables(c)? }))
}

fn unknown(c: &Cursor<'_>, command: &str, option: &str) -> SyntaxError {
    SyntaxError::Invalid {
        code: crate::error::SqlState::SYNTAX_ERROR,
        message: format!("unrecognized {command} option \"{option}\""),
        position: c.position(),
    }
}

fn tables(c: &mut Cursor<'_>) -> Result<Vec<QualifiedName>, SyntaxError> {
    if c.at_statement_end() {
        return Ok(Vec::new());
    }
    c.list(|c| {
        let _only = c.words(&["only"]);
        let name = c.qualified_name()?;
        if c.peek_left_parenthesis() {
            c.parenthesized(Cursor::ident)?;
        }
        Ok(name)
    })
}
