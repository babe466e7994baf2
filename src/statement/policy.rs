//! Row policies and masking policies.

use sqlparser::ast;

use super::Command;
use super::cursor::Cursor;
use super::role::RoleSpec;
use super::table::{Drop, DropKind};
use super::text::SyntaxError;
use crate::govern::PolicyCommand;
use crate::name::QualifiedName;
use crate::types::PgType;

#[derive(Clone, Debug)]
pub struct CreatePolicy {
    pub name: String,
    pub table: QualifiedName,
    pub permissive: bool,
    pub command: PolicyCommand,
    /// Empty: PUBLIC.
    pub roles: Vec<RoleSpec>,
    /// Parsed, and as written.
    pub using: Option<(ast::Expr, String)>,
    pub check: Option<(ast::Expr, String)>,
}

#[derive(Clone, Debug)]
pub struct AlterPolicy {
    pub name: String,
    pub table: QualifiedName,
    pub rename_to: Option<String>,
    pub roles: Vec<RoleSpec>,
    pub using: Option<(ast::Expr, String)>,
    pub check: Option<(ast::Expr, String)>,
}

#[derive(Clone, Debug)]
pub struct CreateMaskingPolicy {
    pub name: String,
    pub replace: bool,
    pub if_not_exists: bool,
    pub arguments: Vec<(String, PgType)>,
    pub expression: (ast::Expr, String),
}

#[derive(Clone, Debug)]
pub struct AttachMask {
    pub policy: String,
    pub table: QualifiedName,
    pub column: String,
    /// Empty: the column itself.
    pub inputs: Vec<String>,
    pub grantee: RoleSpec,
    pub priority: i32,
}

#[derive(Clone, Debug)]
pub struct DetachMask {
    pub policy: String,
    pub table: QualifiedName,
    pub column: String,
    pub grantee: RoleSpec,
}

pub(super) fn create(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    c.expect_words(&["on"])?;
    let table = c.qualified_name()?;
    let mut policy = CreatePolicy {
        name,
        table,
        permissive: true,
        command: PolicyCommand::All,
        roles: Vec::new(),
        using: None,
        check: None,
    };
    if c.words(&["as"]) {
        policy.permissive = c.words(&["permissive"]);
        if !policy.permissive {
            c.expect_words(&["restrictive"])?;
        }
    }
    if c.words(&["for"]) {
        let commands = [
            ("all", PolicyCommand::All),
            ("select", PolicyCommand::Select),
            ("insert", PolicyCommand::Insert),
            ("update", PolicyCommand::Update),
            ("delete", PolicyCommand::Delete),
        ];
        let found = commands.into_iter().find(|(word, _)| c.words(&[word]));
        policy.command = found.ok_or_else(|| c.unexpected())?.1;
    }
    (policy.roles, policy.using, policy.check) = clauses(c)?;
    Ok(Command::CreatePolicy(policy))
}

pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    c.expect_words(&["on"])?;
    let table = c.qualified_name()?;
    let rename_to = if c.words(&["rename", "to"]) { Some(c.ident()?) } else { None };
    let (roles, using, check) = clauses(c)?;
    Ok(Command::AlterPolicy(AlterPolicy { name, table, rename_to, roles, using, check }))
}

type Clauses = (Vec<RoleSpec>, Option<(ast::Expr, String)>, Option<(ast::Expr, String)>);

fn clauses(c: &mut Cursor<'_>) -> Result<Clauses, SyntaxError> {
    let roles = if c.words(&["to"]) { c.list(RoleSpec::parse)? } else { Vec::new() };
    let using = if c.words(&["using"]) { Some(in_parentheses(c)?) } else { None };
    let check = if c.words(&["with", "check"]) { Some(in_parentheses(c)?) } else { None };
    Ok((roles, using, check))
}

fn in_parentheses(c: &mut Cursor<'_>) -> Result<(ast::Expr, String), SyntaxError> {
    c.expect_left_parenthesis()?;
    let expression = c.expression()?;
    c.expect_right_parenthesis()?;
    Ok(expression)
}

pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_exists = c.if_exists();
    let name = c.ident()?;
    c.expect_words(&["on"])?;
    let table = c.qualified_name()?;
    let cascade = c.words(&["cascade"]);
    let _default = !cascade && c.words(&["restrict"]);
    Ok(Command::Drop(Drop {
        kind: DropKind::Policy(table),
        names: vec![QualifiedName::bare(name)],
        if_exists,
        cascade,
    }))
}

pub(super) fn create_masking(c: &mut Cursor<'_>, replace: bool) -> Result<Command, SyntaxError> {
    let mut if_not_exists = c.if_not_exists();
    let name = c.ident()?;
    // Redshift writes it after the name.
    if_not_exists |= c.if_not_exists();
    c.expect_words(&["with"])?;
    let arguments = c.parenthesized(|c| {
        let name = c.ident()?;
        Ok((name, c.data_type()?))
    })?;
    c.expect_words(&["using"])?;
    c.expect_left_parenthesis()?;
    let expression = c.expression()?;
    if c.comma() {
        return Err(c.unsupported("a masking policy with several outputs"));
    }
    c.expect_right_parenthesis()?;
    Ok(Command::CreateMaskingPolicy(CreateMaskingPolicy { name, replace, if_not_exists, arguments, expression }))
}

pub(super) fn attach(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let policy = c.ident()?;
    let (table, column) = target(c)?;
    let inputs = if c.words(&["using"]) { c.parenthesized(Cursor::ident)? } else { Vec::new() };
    c.expect_words(&["to"])?;
    let grantee = grantee(c)?;
    let priority =
        if c.words(&["priority"]) { i32::try_from(c.integer()?).map_err(|_too_large| c.unexpected())? } else { 0 };
    Ok(Command::AttachMask(AttachMask { policy, table, column, inputs, grantee, priority }))
}

pub(super) fn detach(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let policy = c.ident()?;
    let (table, column) = target(c)?;
    c.expect_words(&["from"])?;
    Ok(Command::DetachMask(DetachMask { policy, table, column, grantee: grantee(c)? }))
}

fn target(c: &mut Cursor<'_>) -> Result<(QualifiedName, String), SyntaxError> {
    c.expect_words(&["on"])?;
    let _noise = c.words(&["table"]);
    let table = c.qualified_name()?;
    let mut columns = c.parenthesized(Cursor::ident)?;
    match (columns.pop(), columns.is_empty()) {
        (Some(column), true) => Ok((table, column)),
        _ => Err(c.unsupported("a masking policy over several output columns")),
    }
}

fn grantee(c: &mut Cursor<'_>) -> Result<RoleSpec, SyntaxError> {
    let _noise = c.words(&["role"]) || c.words(&["user"]);
    RoleSpec::parse(c)
}
