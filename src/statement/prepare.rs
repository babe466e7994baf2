//! `PREPARE name [(type, …)] AS statement`, `EXECUTE name [(expression, …)]` and `DEALLOCATE`.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::visit_relations;

use super::cursor::Cursor;
use super::text::SyntaxError;
use super::{Command, Statement, command};
use crate::error::SqlState;
use crate::types::PgType;

/// `PREPARE`.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// The name it goes by.
    pub name: String,
    /// The types of the first parameters.
    pub types: Vec<PgType>,
    /// What is prepared: a query, INSERT, UPDATE, DELETE or MERGE.
    pub statement: Box<Statement>,
}

/// `EXECUTE`.
#[derive(Clone, Debug)]
pub struct Execute {
    /// The name of what is run.
    pub name: String,
    /// The values of its parameters, as text of expressions.
    pub arguments: Vec<String>,
}

pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["prepare", "transaction"]) {
        return Err(c.invalid(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "prepared transactions are disabled"));
    }
    if c.words(&["prepare"]) {
        prepare(c)
    } else if c.words(&["execute"]) {
        execute(c)
    } else {
        c.expect_words(&["deallocate"])?;
        deallocate(c)
    }
}

fn prepare(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    let mut types = Vec::new();
    if c.left_parenthesis() {
        loop {
            types.push(c.data_type()?);
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    }
    c.expect_words(&["as"])?;
    let unexpected = c.unexpected();
    let command = command(c)?;
    if !matches!(
        command,
        Command::Query(_) | Command::Insert(_) | Command::Modify(_) | Command::Merge(_) | Command::Parts(_)
    ) {
        return Err(unexpected);
    }
    let statement = Statement { text: Arc::clone(c.text()), command, parameters: 0, moments: Vec::new() };
    Ok(Command::Prepare(Prepare { name, types, statement: Box::new(statement) }))
}

fn execute(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    let mut arguments = Vec::new();
    if c.left_parenthesis() {
        loop {
            let (expression, source) = c.expression()?;
            // What it reads would be in no record of the audit trail. PostgreSQL refuses it, too.
            if visit_relations(&expression, |_| ControlFlow::Break(())).is_break() {
                return Err(c.unsupported("a subquery in an EXECUTE parameter"));
            }
            arguments.push(source);
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    }
    Ok(Command::Execute(Execute { name, arguments }))
}

fn deallocate(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let _noise = c.words(&["prepare"]);
    Ok(Command::Deallocate(if c.words(&["all"]) { None } else { Some(c.ident()?) }))
}
