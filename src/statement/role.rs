//! CREATE, ALTER and DROP ROLE.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::error::SqlState;

/// A role as commands name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSpec {
    /// By its name, folded unless quoted; there may be no such role.
    Name(String),
    /// `PUBLIC`: every role. Only as a grantee; as a role it is `42704`.
    Public,
    /// `CURRENT_USER` or `CURRENT_ROLE`: the role whose rights the session has now.
    CurrentUser,
    /// `SESSION_USER`: the role that the session belongs to, whatever SET ROLE says.
    SessionUser,
}

impl RoleSpec {
    pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        Ok(if c.words(&["public"]) {
            Self::Public
        } else if c.words(&["current_user"]) || c.words(&["current_role"]) {
            Self::CurrentUser
        } else if c.words(&["session_user"]) {
            Self::SessionUser
        } else {
            Self::Name(c.ident()?)
        })
    }
}

/// `CREATE ROLE`, `USER` or `GROUP`; also `ALTER ROLE` or `USER`.
#[derive(Clone, Debug)]
pub struct CreateRole {
    /// The new role, always by its name; for ALTER: the role that changes.
    pub name: RoleSpec,
    /// `[WITH] option …`: attributes, password and memberships.
    pub options: RoleOptions,
    /// `ALTER ROLE … SET name = value`; `None` as value: RESET.
    pub settings: Vec<(String, Option<String>)>,
    /// `ALTER ROLE … RENAME TO`: the new name. `None`: it keeps the old one.
    pub rename_to: Option<String>,
}

/// Each attribute if it is mentioned.
#[derive(Clone, Default)]
pub struct RoleOptions {
    /// `SUPERUSER` or `NOSUPERUSER`: whether permission checks and policies are passed over.
    pub superuser: Option<bool>,
    /// `INHERIT` or `NOINHERIT`: what holds for a role granted to it without a word about INHERIT.
    pub inherit: Option<bool>,
    /// `CREATEROLE` or `NOCREATEROLE`: may create roles, and change and drop those it administers.
    pub create_role: Option<bool>,
    /// `CREATEDB` or `NOCREATEDB`: PostgreSQL's right to create databases.
    pub create_db: Option<bool>,
    /// `LOGIN` or `NOLOGIN`: may connect. Never `None` in CREATE: LOGIN is USER's default, NOLOGIN that of the others.
    pub login: Option<bool>,
    /// `REPLICATION` or `NOREPLICATION`: PostgreSQL's right to stream changes.
    pub replication: Option<bool>,
    /// `BYPASSRLS` or `NOBYPASSRLS`: whether row policies are passed over; masks are not.
    pub bypass_rls: Option<bool>,
    /// `CONNECTION LIMIT`: how many sessions the role may have; -1: no limit.
    pub connection_limit: Option<i32>,
    /// `VALID UNTIL`: when the password stops to count, a timestamptz as written; `infinity`: never.
    pub valid_until: Option<String>,
    /// `Some(None)`: PASSWORD NULL.
    pub password: Option<Option<String>>,
    /// `IN ROLE` or `IN GROUP`: the roles that a new role becomes a member of.
    pub in_roles: Vec<String>,
    /// `ROLE` or `USER`: the roles that become members of a new role.
    pub members: Vec<String>,
    /// `ADMIN`: the roles that become members of a new role and may give the membership to others.
    pub admins: Vec<String>,
}

impl std::fmt::Debug for RoleOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the password.
        f.debug_struct("RoleOptions")
            .field("superuser", &self.superuser)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

/// `DROP ROLE`, `USER` or `GROUP`.
#[derive(Clone, Debug)]
pub struct DropRole {
    /// The roles that go, each by its name, folded unless quoted.
    pub names: Vec<String>,
    /// `IF EXISTS`: a role that is not there is passed over with a notice.
    pub if_exists: bool,
}

pub(super) fn create(c: &mut Cursor<'_>, login: bool) -> Result<Command, SyntaxError> {
    let name = RoleSpec::Name(c.ident()?);
    let _noise = c.words(&["with"]);
    let mut options = options(c, true)?;
    options.login = options.login.or(Some(login));
    Ok(Command::CreateRole(CreateRole { name, options, settings: Vec::new(), rename_to: None }))
}

pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = RoleSpec::parse(c)?;
    let mut role = CreateRole { name, options: RoleOptions::default(), settings: Vec::new(), rename_to: None };
    if c.words(&["rename", "to"]) {
        role.rename_to = Some(c.ident()?);
    } else if c.words(&["set"]) {
        let setting = c.ident()?;
        if !c.equals() {
            c.expect_words(&["to"])?;
        }
        let values = c.list(Cursor::word_or_literal)?;
        role.settings.push((setting, Some(values.join(", "))));
    } else if c.words(&["reset"]) {
        role.settings.push((c.ident()?, None));
    } else {
        let _noise = c.words(&["with"]);
        role.options = options(c, false)?;
    }
    Ok(Command::AlterRole(role))
}

/// `new`: with the clauses that make members.
fn options(c: &mut Cursor<'_>, new: bool) -> Result<RoleOptions, SyntaxError> {
    let mut o = RoleOptions::default();
    while !c.at_statement_end() {
        let flags: [(&str, &str, &mut Option<bool>); 7] = [
            ("superuser", "nosuperuser", &mut o.superuser),
            ("inherit", "noinherit", &mut o.inherit),
            ("createrole", "nocreaterole", &mut o.create_role),
            ("createdb", "nocreatedb", &mut o.create_db),
            ("login", "nologin", &mut o.login),
            ("replication", "noreplication", &mut o.replication),
            ("bypassrls", "nobypassrls", &mut o.bypass_rls),
        ];
        let mut found = false;
        for (yes, no, flag) in flags {
            if c.words(&[yes]) {
                *flag = Some(true);
                found = true;
            } else if c.words(&[no]) {
                *flag = Some(false);
                found = true;
            }
        }
        if found {
            continue;
        }
        if c.words(&["connection", "limit"]) {
            let limit = i32::try_from(c.integer()?).map_err(|_too_large| c.unexpected())?;
            if limit < -1 {
                return Err(SyntaxError::Invalid {
                    message: format!("invalid connection limit: {limit}"),
                    code: SqlState::INVALID_PARAMETER_VALUE,
                    position: None,
                });
            }
            o.connection_limit = Some(limit);
        } else if c.words(&["valid", "until"]) {
            o.valid_until = Some(c.string()?);
        } else if c.words(&["encrypted", "password"]) || c.words(&["password"]) {
            o.password = Some(if c.words(&["null"]) { None } else { Some(c.string()?) });
        } else if new && (c.words(&["in", "role"]) || c.words(&["in", "group"])) {
            o.in_roles = c.list(Cursor::ident)?;
        } else if new && (c.words(&["role"]) || c.words(&["user"])) {
            o.members = c.list(Cursor::ident)?;
        } else if new && c.words(&["admin"]) {
            o.admins = c.list(Cursor::ident)?;
        } else {
            return Err(c.unexpected());
        }
    }
    Ok(o)
}

pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_exists = c.if_exists();
    Ok(Command::DropRole(DropRole { names: c.list(Cursor::ident)?, if_exists }))
}
