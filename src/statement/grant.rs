//! GRANT and REVOKE, of privileges and of roles.

use super::Command;
use super::cursor::Cursor;
use super::role::RoleSpec;
use super::tag::TagCondition;
use super::text::SyntaxError;
use crate::govern::{ObjectKind, Privilege};
use crate::name::QualifiedName;

/// Privileges on objects. For REVOKE, `option` means GRANT OPTION FOR.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Empty: ALL.
    pub privileges: Vec<PrivilegeItem>,
    /// `ALL (columns)`.
    pub all_columns: Vec<String>,
    /// After ON: what the privileges are for.
    pub objects: GrantObjects,
    /// After TO or FROM: who is given the privileges or loses them.
    pub grantees: Vec<RoleSpec>,
    /// `WITH GRANT OPTION`: the grantees may grant the privileges to others.
    pub option: bool,
    /// `GRANTED BY`: who grants or granted them; only the current role may be named.
    pub granted_by: Option<RoleSpec>,
    /// `REVOKE … CASCADE`: what the grantees granted to others goes too; without it that is `2BP01`. False for GRANT.
    pub cascade: bool,
}

/// One privilege of a GRANT or REVOKE: `privilege [(column, …)]`.
#[derive(Clone, Debug)]
pub struct PrivilegeItem {
    /// Its keyword is known; whether the object has such a privilege is not checked yet.
    pub privilege: Privilege,
    /// The columns it is limited to; empty: the object as a whole.
    pub columns: Vec<String>,
}

/// What GRANT and REVOKE can name after ON.
#[derive(Clone, Debug)]
pub enum GrantObjects {
    /// `[TABLE | SEQUENCE] name, …`: any relations, as written: unresolved, and whatever the keyword.
    Relations(Vec<QualifiedName>),
    /// `ALL TABLES | SEQUENCES IN SCHEMA schema, …`: those that are there when the command runs.
    AllRelations {
        /// The schemas' names, folded unless quoted.
        schemas: Vec<String>,
        /// ALL SEQUENCES; else ALL TABLES, which are all other relations.
        sequences: bool,
    },
    /// `SCHEMA name, …`: each folded unless quoted; there may be no such schema.
    Schemas(Vec<String>),
    /// `TYPE` or `DOMAIN name, …`.
    Types {
        /// As written.
        names: Vec<QualifiedName>,
        /// Only domains are meant.
        domains: bool,
    },
    /// `TAG name, …`.
    Tags(Vec<String>),
    /// `{TABLES | COLUMNS} TAGGED (…)`: all that have some tags, now and to come.
    Tagged(TagCondition),
    /// `DATABASE name, …`; another one than the server's only database is `3D000`.
    Databases(Vec<String>),
}

/// Membership in roles.
#[derive(Clone, Debug, Default)]
pub struct GrantRole {
    /// The roles that membership is given in or taken from, each by its name.
    pub roles: Vec<String>,
    /// After TO or FROM: who becomes a member or ceases to be one.
    pub members: Vec<RoleSpec>,
    /// For REVOKE: only these options; for GRANT: their values.
    pub admin: Option<bool>,
    /// Has the roles' rights without SET ROLE. `None`: not mentioned.
    pub inherit: Option<bool>,
    /// May SET ROLE to the roles. `None`: not mentioned.
    pub set: Option<bool>,
    /// `GRANTED BY`: who makes them members, or made them so.
    pub granted_by: Option<RoleSpec>,
    /// `REVOKE … CASCADE`: memberships that go back to these go, too.
    pub cascade: bool,
}

/// `ALTER DEFAULT PRIVILEGES`.
#[derive(Clone, Debug)]
pub struct AlterDefaultPrivileges {
    /// `FOR ROLE`: whose new objects; empty: those of the current role.
    pub roles: Vec<RoleSpec>,
    /// `IN SCHEMA`; empty: everywhere.
    pub schemas: Vec<String>,
    /// GRANT; else REVOKE.
    pub give: bool,
    /// Empty: ALL.
    pub privileges: Vec<Privilege>,
    /// After ON.
    pub kind: ObjectKind,
    /// After TO or FROM.
    pub grantees: Vec<RoleSpec>,
    /// `WITH GRANT OPTION`, or `GRANT OPTION FOR`.
    pub option: bool,
}

/// `REASSIGN OWNED` or `DROP OWNED`.
#[derive(Clone, Debug)]
pub struct Owned {
    /// Whose objects.
    pub by: Vec<RoleSpec>,
    /// REASSIGN: who gets them. `None`: they are dropped, with the privileges of those whose they are.
    pub to: Option<RoleSpec>,
    /// `DROP OWNED … CASCADE`.
    pub cascade: bool,
}

/// What PostgreSQL has privileges on, and we have not.
const UNSUPPORTED_OBJECTS: &[&str] =
    &["function", "procedure", "routine", "language", "large", "tablespace", "foreign", "parameter"];

pub(super) fn parse(c: &mut Cursor<'_>, revoke: bool) -> Result<Command, SyntaxError> {
    let mut role_options = GrantRole::default();
    let mut option = false;
    if revoke {
        if c.words(&["grant", "option", "for"]) {
            option = true;
        } else if c.words(&["admin", "option", "for"]) {
            role_options.admin = Some(false);
        } else if c.words(&["inherit", "option", "for"]) {
            role_options.inherit = Some(false);
        } else if c.words(&["set", "option", "for"]) {
            role_options.set = Some(false);
        }
    }
    let mut words: Vec<(String, Vec<String>)> = Vec::new();
    let mut all_columns = Vec::new();
    let mut all = false;
    if c.words(&["all"]) {
        all = true;
        let _noise = c.words(&["privileges"]);
        if c.peek_left_parenthesis() {
            all_columns = c.parenthesized(Cursor::ident)?;
        }
    } else {
        words = c.list(|c| {
            let word = c.ident()?;
            Ok((word, if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() }))
        })?;
    }
    let connective = if revoke { "from" } else { "to" };
    if !all && c.words(&[connective]) {
        if words.iter().any(|(_, columns)| !columns.is_empty()) {
            return Err(c.unexpected());
        }
        role_options.roles = words.into_iter().map(|(word, _)| word).collect();
        return membership(c, role_options, revoke);
    }
    let mut privileges = Vec::new();
    for (word, columns) in words {
        privileges.push(PrivilegeItem { privilege: privilege(&word)?, columns });
    }
    c.expect_words(&["on"])?;
    let objects = objects(c)?;
    c.expect_words(&[connective])?;
    let grantees = c.list(|c| {
        let _noise = c.words(&["role"]) || c.words(&["group"]);
        RoleSpec::parse(c)
    })?;
    if !revoke && c.words(&["with", "grant", "option"]) {
        option = true;
    }
    let granted_by = granted_by(c)?;
    let cascade = revoke && c.words(&["cascade"]);
    let _default = revoke && !cascade && c.words(&["restrict"]);
    let grant = Grant { privileges, all_columns, objects, grantees, option, granted_by, cascade };
    Ok(if revoke { Command::Revoke(grant) } else { Command::Grant(grant) })
}

pub(super) fn alter_default(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let mut roles = Vec::new();
    let mut schemas = Vec::new();
    loop {
        if c.words(&["for"]) {
            if !c.words(&["role"]) {
                c.expect_words(&["user"])?;
            }
            roles = c.list(RoleSpec::parse)?;
        } else if c.words(&["in", "schema"]) {
            schemas = c.list(Cursor::ident)?;
        } else {
            break;
        }
    }
    let give = c.words(&["grant"]);
    if !give {
        c.expect_words(&["revoke"])?;
    }
    let mut option = !give && c.words(&["grant", "option", "for"]);
    let mut privileges = Vec::new();
    if c.words(&["all"]) {
        let _noise = c.words(&["privileges"]);
    } else {
        privileges = c.list(Cursor::ident)?.iter().map(|word| privilege(word)).collect::<Result<_, _>>()?;
    }
    c.expect_words(&["on"])?;
    let kind = if c.words(&["tables"]) {
        ObjectKind::Tables
    } else if c.words(&["sequences"]) {
        ObjectKind::Sequences
    } else if c.words(&["functions"]) || c.words(&["routines"]) {
        ObjectKind::Functions
    } else if c.words(&["types"]) {
        ObjectKind::Types
    } else if c.words(&["schemas"]) {
        ObjectKind::Schemas
    } else {
        return Err(c.unsupported_or_unexpected("ALTER DEFAULT PRIVILEGES … ON", &["large"]));
    };
    c.expect_words(&[if give { "to" } else { "from" }])?;
    let grantees = c.list(|c| {
        let _noise = c.words(&["role"]) || c.words(&["group"]);
        RoleSpec::parse(c)
    })?;
    if give && c.words(&["with", "grant", "option"]) {
        option = true;
    }
    let _behavior = !give && (c.words(&["cascade"]) || c.words(&["restrict"]));
    let alter = AlterDefaultPrivileges { roles, schemas, give, privileges, kind, grantees, option };
    Ok(Command::AlterDefaultPrivileges(alter))
}

/// `REASSIGN OWNED BY … TO …`, after REASSIGN.
pub(super) fn reassign_owned(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    c.expect_words(&["owned", "by"])?;
    let by = c.list(RoleSpec::parse)?;
    c.expect_words(&["to"])?;
    Ok(Command::Owned(Owned { by, to: Some(RoleSpec::parse(c)?), cascade: false }))
}

/// `DROP OWNED BY …`, after OWNED.
pub(super) fn drop_owned(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    c.expect_words(&["by"])?;
    let by = c.list(RoleSpec::parse)?;
    let cascade = c.words(&["cascade"]);
    let _default = !cascade && c.words(&["restrict"]);
    Ok(Command::Owned(Owned { by, to: None, cascade }))
}

fn privilege(word: &str) -> Result<Privilege, SyntaxError> {
    Privilege::from_keyword(word).ok_or_else(|| SyntaxError::Invalid {
        message: format!("unrecognized privilege type \"{word}\""),
        code: crate::error::SqlState::SYNTAX_ERROR,
        position: None,
    })
}

fn objects(c: &mut Cursor<'_>) -> Result<GrantObjects, SyntaxError> {
    if c.words(&["all", "tables", "in", "schema"]) {
        return Ok(GrantObjects::AllRelations { schemas: c.list(Cursor::ident)?, sequences: false });
    }
    if c.words(&["all", "sequences", "in", "schema"]) {
        return Ok(GrantObjects::AllRelations { schemas: c.list(Cursor::ident)?, sequences: true });
    }
    if c.words(&["schema"]) {
        return Ok(GrantObjects::Schemas(c.list(Cursor::ident)?));
    }
    if c.words(&["database"]) {
        return Ok(GrantObjects::Databases(c.list(Cursor::ident)?));
    }
    if c.words(&["tables", "tagged"]) {
        return Ok(GrantObjects::Tagged(super::tag::condition(c, false)?));
    }
    if c.words(&["columns", "tagged"]) {
        return Ok(GrantObjects::Tagged(super::tag::condition(c, true)?));
    }
    for (word, domains) in [("type", false), ("domain", true)] {
        if c.word_before_name(word) {
            return Ok(GrantObjects::Types { names: c.list(Cursor::qualified_name)?, domains });
        }
    }
    if c.word_before_name("tag") {
        return Ok(GrantObjects::Tags(c.list(Cursor::ident)?));
    }
    if c.peek_any(UNSUPPORTED_OBJECTS) {
        return Err(c.unsupported_or_unexpected("GRANT ON", UNSUPPORTED_OBJECTS));
    }
    let _noise = c.words(&["table"]) || c.words(&["sequence"]);
    Ok(GrantObjects::Relations(c.list(Cursor::qualified_name)?))
}

fn membership(c: &mut Cursor<'_>, mut grant: GrantRole, revoke: bool) -> Result<Command, SyntaxError> {
    grant.members = c.list(RoleSpec::parse)?;
    if revoke {
        grant.granted_by = granted_by(c)?;
        grant.cascade = c.words(&["cascade"]);
        let _default = !grant.cascade && c.words(&["restrict"]);
        return Ok(Command::RevokeRole(grant));
    }
    if c.words(&["with"]) {
        loop {
            let option = c.ident()?;
            let value = !(c.words(&["false"]));
            let _explicit = value && (c.words(&["option"]) || c.words(&["true"]));
            match option.as_str() {
                "admin" => grant.admin = Some(value),
                "inherit" => grant.inherit = Some(value),
                "set" => grant.set = Some(value),
                _ => return Err(c.unexpected()),
            }
            if !c.comma() {
                break;
            }
        }
    }
    grant.granted_by = granted_by(c)?;
    Ok(Command::GrantRole(grant))
}

fn granted_by(c: &mut Cursor<'_>) -> Result<Option<RoleSpec>, SyntaxError> {
    Ok(if c.words(&["granted", "by"]) { Some(RoleSpec::parse(c)?) } else { None })
}
