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

/// `CREATE POLICY name ON table [AS …] [FOR command] [TO role, …] [USING (…)] [WITH CHECK (…)]`.
#[derive(Clone, Debug)]
pub struct CreatePolicy {
    /// The new policy's name; another table may have one of the same name.
    pub name: String,
    /// The table whose rows it is about, as written: unresolved.
    pub table: QualifiedName,
    /// `AS PERMISSIVE`, the default: one such policy must hold. False: RESTRICTIVE, of which all must hold as well.
    pub permissive: bool,
    /// `FOR`: the commands it applies to; ALL if not given.
    pub command: PolicyCommand,
    /// Empty: PUBLIC.
    pub roles: Vec<RoleSpec>,
    /// Parsed, and as written.
    pub using: Option<(ast::Expr, String)>,
    /// `WITH CHECK`: what new rows must satisfy, parsed, and as written. `None`: what USING says.
    pub check: Option<(ast::Expr, String)>,
}

/// `ALTER POLICY name ON table`: what is given replaces what the policy has.
#[derive(Clone, Debug)]
pub struct AlterPolicy {
    /// The name that the policy has now.
    pub name: String,
    /// The table that the policy is on, as written: unresolved.
    pub table: QualifiedName,
    /// `RENAME TO`: its new name. `None`: it keeps the old one.
    pub rename_to: Option<String>,
    /// `TO`: its new roles. Empty: it keeps the old ones.
    pub roles: Vec<RoleSpec>,
    /// `USING`: the new expression, parsed, and as written. `None`: the old one stays.
    pub using: Option<(ast::Expr, String)>,
    /// `WITH CHECK`: the new expression, parsed, and as written. `None`: the old one stays.
    pub check: Option<(ast::Expr, String)>,
}

/// `CREATE RLS POLICY name [WITH (column type, …)] USING (expression)`.
#[derive(Clone, Debug)]
pub struct CreateRlsPolicy {
    /// The policy's name: it is in no schema, and so unique in the whole catalog.
    pub name: String,
    /// `IF NOT EXISTS`: a policy of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `WITH`: columns of the tables that it is for, and their types.
    pub columns: Vec<(String, PgType)>,
    /// Which rows are seen, parsed, and as written.
    pub using: (ast::Expr, String),
}

/// `ALTER RLS POLICY name USING (expression)`: for all tables that it is attached to.
#[derive(Clone, Debug)]
pub struct AlterRlsPolicy {
    /// The policy's name.
    pub name: String,
    /// Which rows are seen from now on, parsed, and as written.
    pub using: (ast::Expr, String),
}

/// `ATTACH RLS POLICY policy ON [TABLE] table, … TO grantee, …`, and `DETACH … FROM …`.
#[derive(Clone, Debug)]
pub struct RlsChange {
    /// The policy's name.
    pub policy: String,
    /// The tables, as written: unresolved.
    pub tables: Vec<QualifiedName>,
    /// For whom it counts: roles with their members, or PUBLIC.
    pub grantees: Vec<RoleSpec>,
    /// False: DETACH.
    pub attach: bool,
}

/// `CREATE [OR REPLACE] MASKING POLICY name WITH (argument type, …) USING (expression)`.
#[derive(Clone, Debug)]
pub struct CreateMaskingPolicy {
    /// The policy's name: it is in no schema, and so unique in the whole catalog.
    pub name: String,
    /// `OR REPLACE`: a policy of that name gets the new expression; its arguments must be the same.
    pub replace: bool,
    /// `IF NOT EXISTS`, before the name or after it: a policy of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `WITH`: what the expression may refer to, by name and type; the first is the masked column.
    pub arguments: Vec<(String, PgType)>,
    /// `USING`: what is shown instead of the column's value, parsed, and as written.
    pub expression: (ast::Expr, String),
}

/// `ATTACH MASKING POLICY policy ON table (column[.path]) [USING (column, …)] TO grantee [PRIORITY n]`.
#[derive(Clone, Debug)]
pub struct AttachMask {
    /// The masking policy's name; `pg_unmasked` is the built-in one that shows the value as it is.
    pub policy: String,
    /// The masked column's table, as written: unresolved.
    pub table: QualifiedName,
    /// The column that is masked, by its name.
    pub column: String,
    /// The part of its values that is masked, with dots between its steps; empty: all.
    pub path: Vec<String>,
    /// Columns, and paths in them. Empty: what is masked itself.
    pub inputs: Vec<(String, Vec<String>)>,
    /// `TO`: who sees the column through the policy: a role with its members, or PUBLIC.
    pub grantee: RoleSpec,
    /// `PRIORITY`: of the policies on a column that are for a reader the highest counts; 0 if not given.
    pub priority: i32,
    /// What becomes of other masks of just this for the same grantee.
    pub others: OtherMasks,
}

/// What becomes of masks that a column has already for a grantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherMasks {
    /// They stay, with other policies and priorities: ATTACH.
    Beside,
    /// There must be none: SET MASKING POLICY.
    Refused,
    /// They go: SET MASKING POLICY … FORCE.
    Replaced,
}

/// `DETACH MASKING POLICY policy ON table (column[.path]) FROM grantee`.
#[derive(Clone, Debug)]
pub struct DetachMask {
    /// The name of the masking policy that is attached; it may be `pg_unmasked`. `None`: all for the grantee.
    pub policy: Option<String>,
    /// The masked column's table, as written: unresolved.
    pub table: QualifiedName,
    /// The masked column, by its name.
    pub column: String,
    /// The part of its values that is masked; empty: all.
    pub path: Vec<String>,
    /// `FROM`: the grantee that the policy was attached for.
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

pub(super) fn create_rls(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = c.ident()?;
    let columns = if c.words(&["with"]) { c.parenthesized(typed)? } else { Vec::new() };
    if !c.peek_any(&["using"]) {
        return Err(c.unsupported_or_unexpected("the alias of a relation: WITH (…)", &["as"]));
    }
    c.expect_words(&["using"])?;
    let using = in_parentheses(c)?;
    Ok(Command::CreateRlsPolicy(CreateRlsPolicy { name, if_not_exists, columns, using }))
}

pub(super) fn alter_rls(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    c.expect_words(&["using"])?;
    Ok(Command::AlterRlsPolicy(AlterRlsPolicy { name, using: in_parentheses(c)? }))
}

/// After `ATTACH RLS POLICY` or `DETACH RLS POLICY`.
pub(super) fn change_rls(c: &mut Cursor<'_>, attach: bool) -> Result<Command, SyntaxError> {
    let policy = c.ident()?;
    c.expect_words(&["on"])?;
    let _noise = c.words(&["table"]);
    let tables = c.list(Cursor::qualified_name)?;
    c.expect_words(&[if attach { "to" } else { "from" }])?;
    let grantees = c.list(grantee)?;
    Ok(Command::ChangeRls(RlsChange { policy, tables, grantees, attach }))
}

fn typed(c: &mut Cursor<'_>) -> Result<(String, PgType), SyntaxError> {
    let name = c.ident()?;
    Ok((name, c.data_type()?))
}

pub(super) fn create_masking(c: &mut Cursor<'_>, replace: bool) -> Result<Command, SyntaxError> {
    let mut if_not_exists = c.if_not_exists();
    let name = c.ident()?;
    // Redshift writes it after the name.
    if_not_exists |= c.if_not_exists();
    c.expect_words(&["with"])?;
    let arguments = c.parenthesized(typed)?;
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
    c.expect_words(&["on"])?;
    if c.word_before_name("tag") {
        return super::tag::mask(c, policy, true);
    }
    let (table, (column, path)) = target(c)?;
    let inputs = if c.words(&["using"]) { c.parenthesized(part)? } else { Vec::new() };
    c.expect_words(&["to"])?;
    let grantee = grantee(c)?;
    let priority = priority(c)?;
    Ok(Command::AttachMask(AttachMask {
        policy,
        table,
        column,
        path,
        inputs,
        grantee,
        priority,
        others: OtherMasks::Beside,
    }))
}

pub(super) fn detach(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let policy = c.ident()?;
    c.expect_words(&["on"])?;
    if c.word_before_name("tag") {
        return super::tag::mask(c, policy, false);
    }
    let (table, (column, path)) = target(c)?;
    c.expect_words(&["from"])?;
    Ok(Command::DetachMask(DetachMask { policy: Some(policy), table, column, path, grantee: grantee(c)? }))
}

/// After `ALTER TABLE table ALTER COLUMN column SET MASKING POLICY`.
pub(super) fn set(c: &mut Cursor<'_>, table: QualifiedName, column: String) -> Result<AttachMask, SyntaxError> {
    let policy = c.ident()?;
    let inputs = if c.words(&["using"]) { c.parenthesized(part)? } else { Vec::new() };
    let others = if c.words(&["force"]) { OtherMasks::Replaced } else { OtherMasks::Refused };
    Ok(AttachMask { policy, table, column, path: Vec::new(), inputs, grantee: RoleSpec::Public, priority: 0, others })
}

/// A column, and a path in its values.
type Part = (String, Vec<String>);

fn part(c: &mut Cursor<'_>) -> Result<Part, SyntaxError> {
    let column = c.ident()?;
    let mut path = Vec::new();
    while c.period() {
        path.push(c.ident()?);
    }
    Ok((column, path))
}

fn target(c: &mut Cursor<'_>) -> Result<(QualifiedName, Part), SyntaxError> {
    let _noise = c.words(&["table"]);
    let table = c.qualified_name()?;
    let mut columns = c.parenthesized(part)?;
    match (columns.pop(), columns.is_empty()) {
        (Some(column), true) => Ok((table, column)),
        _ => Err(c.unsupported("a masking policy over several output columns")),
    }
}

pub(super) fn priority(c: &mut Cursor<'_>) -> Result<i32, SyntaxError> {
    if !c.words(&["priority"]) {
        return Ok(0);
    }
    i32::try_from(c.integer()?).map_err(|_too_large| c.unexpected())
}

pub(super) fn grantee(c: &mut Cursor<'_>) -> Result<RoleSpec, SyntaxError> {
    let _noise = c.words(&["role"]) || c.words(&["user"]);
    RoleSpec::parse(c)
}
