//! MERGE.

use sqlparser::ast;

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;

/// `MERGE INTO target USING source ON condition WHEN … [RETURNING …]`.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The table whose rows change, with its alias.
    pub target: ast::TableFactor,
    /// What it is joined with.
    pub source: ast::TableFactor,
    /// Which rows of both belong together.
    pub on: ast::Expr,
    /// In the order in which they are tried; the first that fits counts.
    pub clauses: Vec<MergeClause>,
    /// RETURNING; `None`: the number of rows only.
    pub returning: Option<Vec<ast::SelectItem>>,
}

/// `WHEN … [AND condition] THEN action`.
#[derive(Clone, Debug)]
pub struct MergeClause {
    /// Which rows it is for.
    pub when: MergeWhen,
    /// Of those, which.
    pub condition: Option<ast::Expr>,
    /// What happens to them.
    pub action: MergeAction,
}

/// Rows of a MERGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeWhen {
    /// `MATCHED`: a row of the target with one of the source.
    Matched,
    /// `NOT MATCHED BY SOURCE`: a row of the target without one of the source.
    TargetAlone,
    /// `NOT MATCHED [BY TARGET]`: a row of the source without one of the target.
    SourceAlone,
}

/// What MERGE does to a row.
#[derive(Clone, Debug)]
pub enum MergeAction {
    /// `UPDATE SET`, not empty.
    Update(Vec<ast::Assignment>),
    /// `DELETE`.
    Delete,
    /// `INSERT`.
    Insert {
        /// Empty: the table's first ones.
        columns: Vec<String>,
        /// `None`: DEFAULT VALUES.
        values: Option<Vec<ast::Expr>>,
    },
    /// `DO NOTHING`.
    Nothing,
}

/// After the word MERGE.
pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    c.expect_words(&["into"])?;
    let _only = c.words(&["only"]);
    let target = c.table_factor()?;
    c.expect_words(&["using"])?;
    let source = c.table_factor()?;
    c.expect_words(&["on"])?;
    let (on, _) = c.expression()?;
    let mut clauses = Vec::new();
    while c.words(&["when"]) {
        clauses.push(clause(c)?);
    }
    if clauses.is_empty() {
        return Err(c.unexpected());
    }
    let returning = if c.words(&["returning"]) { Some(c.select_items()?) } else { None };
    Ok(Command::Merge(Box::new(Merge { target, source, on, clauses, returning })))
}

fn clause(c: &mut Cursor<'_>) -> Result<MergeClause, SyntaxError> {
    let when = if c.words(&["matched"]) {
        MergeWhen::Matched
    } else {
        c.expect_words(&["not", "matched"])?;
        if c.words(&["by", "source"]) {
            MergeWhen::TargetAlone
        } else {
            let _default = c.words(&["by", "target"]);
            MergeWhen::SourceAlone
        }
    };
    let condition = if c.words(&["and"]) { Some(c.expression()?.0) } else { None };
    c.expect_words(&["then"])?;
    let of_target = when != MergeWhen::SourceAlone;
    let action = if c.words(&["do", "nothing"]) {
        MergeAction::Nothing
    } else if of_target && c.words(&["update", "set"]) {
        MergeAction::Update(c.assignments()?)
    } else if of_target && c.words(&["delete"]) {
        MergeAction::Delete
    } else if !of_target && c.words(&["insert"]) {
        let columns = if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() };
        if c.peek_any(&["overriding"]) {
            return Err(c.unsupported("OVERRIDING"));
        }
        if c.words(&["default", "values"]) {
            MergeAction::Insert { columns, values: None }
        } else {
            c.expect_words(&["values"])?;
            MergeAction::Insert { columns, values: Some(c.parenthesized(|c| Ok(c.expression()?.0))?) }
        }
    } else {
        return Err(c.unexpected());
    };
    Ok(MergeClause { when, condition, action })
}
