//! CREATE, ALTER and DROP ROLE.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;

/// A role as commands name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSpec {
    Name(String),
    Public,
    CurrentUser,
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

#[derive(Clone, Debug)]
pub struct CreateRole {
    pub name: RoleSpec,
    pub options: RoleOptions,
    /// `ALTER ROLE … SET name = value`; `None` as value: RESET.
    pub settings: Vec<(String, Option<String>)>,
    pub rename_to: Option<String>,
}

/// Each attribute if it is mentioned.
#[derive(Clone, Default)]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub inherit: Option<bool>,
    pub create_role: Option<bool>,
    pub create_db: Option<bool>,
    pub login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_rls: Option<bool>,
    pub connection_limit: Option<i32>,
    pub valid_until: Option<String>,
    /// `Some(None)`: PASSWORD NULL.
    pub password: Option<Option<String>>,
    pub in_roles: Vec<String>,
    pub members: Vec<String>,
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

#[derive(Clone, Debug)]
pub struct DropRole {
    pub names: Vec<String>,
    pub if_exists: bool,
}

pub(super) fn create(c: &mut Cursor<'_>, login: bool) -> Result<Command, SyntaxError> {
    let name = RoleSpec::Name(c.ident()?);
    let _noise = c.words(&["with"]);
    let mut options = options(c)?;
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
        role.options = options(c)?;
    }
    Ok(Command::AlterRole(role))
}

fn options(c: &mut Cursor<'_>) -> Result<RoleOptions, SyntaxError> {
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
            o.connection_limit = Some(i32::try_from(c.integer()?).map_err(|_too_large| c.unexpected())?);
        } else if c.words(&["valid", "until"]) {
            o.valid_until = Some(c.string()?);
        } else if c.words(&["encrypted", "password"]) || c.words(&["password"]) {
            o.password = Some(if c.words(&["null"]) { None } else { Some(c.string()?) });
        } else if c.words(&["in", "role"]) || c.words(&["in", "group"]) {
            o.in_roles = c.list(Cursor::ident)?;
        } else if c.words(&["role"]) || c.words(&["user"]) {
            o.members = c.list(Cursor::ident)?;
        } else if c.words(&["admin"]) {
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
