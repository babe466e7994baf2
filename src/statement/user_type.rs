//! CREATE, ALTER and DROP of types and domains.

use super::Command;
use super::cursor::Cursor;
use super::role::RoleSpec;
use super::text::SyntaxError;
use crate::name::QualifiedName;
use crate::types::{Attribute, PgType};

/// `CREATE TYPE` or `CREATE DOMAIN`.
#[derive(Clone, Debug)]
pub struct CreateType {
    /// As written: unresolved.
    pub name: QualifiedName,
    /// What its values are.
    pub definition: NewType,
}

/// What a new type's values are.
#[derive(Clone, Debug)]
pub enum NewType {
    /// `AS ENUM (label, …)`.
    Enum(Vec<String>),
    /// `AS (name type, …)`.
    Composite(Vec<Attribute>),
    /// `CREATE DOMAIN`.
    Domain(NewDomain),
}

/// What a new domain is.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// The type that it is over.
    pub base: PgType,
    /// Source text of the default.
    pub default: Option<String>,
    /// `NOT NULL`.
    pub not_null: bool,
    /// `[CONSTRAINT name] CHECK (condition)`: names, if given, and source texts.
    pub checks: Vec<(Option<String>, String)>,
}

/// `ALTER TYPE` or `ALTER DOMAIN`.
#[derive(Clone, Debug)]
pub struct AlterType {
    /// As written: unresolved.
    pub name: QualifiedName,
    /// Whether the statement says DOMAIN.
    pub domain: bool,
    /// What changes.
    pub action: AlterTypeAction,
}

/// What ALTER TYPE and ALTER DOMAIN can do.
#[derive(Clone, Debug)]
pub enum AlterTypeAction {
    /// `ADD VALUE [IF NOT EXISTS] label [{BEFORE | AFTER} label]`.
    AddValue {
        /// `IF NOT EXISTS`: a label that is there stays, with a notice.
        if_not_exists: bool,
        /// The new label.
        label: String,
        /// The label beside it, and whether it comes after that; `None`: it is the last.
        beside: Option<(String, bool)>,
    },
    /// `RENAME VALUE label TO label`.
    RenameValue {
        /// The label so far.
        label: String,
        /// The label from now on.
        to: String,
    },
    /// Changes of attributes, one after the other.
    Attributes(Vec<AttributeChange>),
    /// `RENAME TO name`.
    Rename(String),
    /// `OWNER TO role`.
    Owner(RoleSpec),
    /// `SET SCHEMA name`.
    SetSchema(String),
    /// `SET DEFAULT expression`, its source text; `None`: `DROP DEFAULT`.
    Default(Option<String>),
    /// `SET NOT NULL` (true) or `DROP NOT NULL`.
    NotNull(bool),
    /// `ADD [CONSTRAINT name] CHECK (condition) [NOT VALID]`.
    AddCheck {
        /// `None`: a name is made of the domain's.
        name: Option<String>,
        /// Source text over `VALUE`.
        condition: String,
    },
    /// `DROP CONSTRAINT [IF EXISTS] name`.
    DropConstraint {
        /// `IF EXISTS`: one that is not there is passed over with a notice.
        if_exists: bool,
        /// Its name.
        name: String,
    },
    /// `RENAME CONSTRAINT name TO name`.
    RenameConstraint {
        /// Its name so far.
        name: String,
        /// Its name from now on.
        to: String,
    },
    /// `VALIDATE CONSTRAINT name`: those that are there always hold.
    Validate(String),
}

/// What ALTER TYPE can do with an attribute of a composite type. CASCADE and RESTRICT, which are about tables made of the
/// type, count for nothing.
#[derive(Clone, Debug)]
pub enum AttributeChange {
    /// `ADD ATTRIBUTE name type`.
    Add(Attribute),
    /// `DROP ATTRIBUTE [IF EXISTS] name`.
    Drop {
        /// `IF EXISTS`: one that is not there is passed over with a notice.
        if_exists: bool,
        /// Its name.
        name: String,
    },
    /// `ALTER ATTRIBUTE name [SET DATA] TYPE type`: with its new type.
    Retype(Attribute),
    /// `RENAME ATTRIBUTE name TO name`.
    Rename {
        /// Its name so far.
        name: String,
        /// Its name from now on.
        to: String,
    },
}

pub(super) fn create_type(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.qualified_name()?;
    if c.words(&["as", "enum"]) {
        let labels = listed(c, label)?;
        return Ok(Command::CreateType(CreateType { name, definition: NewType::Enum(labels) }));
    }
    if c.at_statement_end() || c.peek_left_parenthesis() {
        return Err(c.unsupported("a base type"));
    }
    c.expect_words(&["as"])?;
    if c.peek_any(&["range"]) {
        return Err(c.unsupported("a range type"));
    }
    let attributes = listed(c, attribute)?;
    Ok(Command::CreateType(CreateType { name, definition: NewType::Composite(attributes) }))
}

/// What is in parentheses, which may be nothing.
fn listed<T>(
    c: &mut Cursor<'_>,
    item: impl Fn(&mut Cursor<'_>) -> Result<T, SyntaxError>,
) -> Result<Vec<T>, SyntaxError> {
    c.expect_left_parenthesis()?;
    if c.right_parenthesis() {
        return Ok(Vec::new());
    }
    let items = c.list(item)?;
    c.expect_right_parenthesis()?;
    Ok(items)
}

fn label(c: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    c.string()
}

fn attribute(c: &mut Cursor<'_>) -> Result<Attribute, SyntaxError> {
    let attribute = Attribute { name: c.ident()?, pg: c.data_type()? };
    c.collation()?;
    Ok(attribute)
}

fn attribute_change(c: &mut Cursor<'_>) -> Result<AttributeChange, SyntaxError> {
    let change = if c.words(&["add", "attribute"]) {
        AttributeChange::Add(attribute(c)?)
    } else if c.words(&["drop", "attribute"]) {
        AttributeChange::Drop { if_exists: c.if_exists(), name: c.ident()? }
    } else {
        c.expect_words(&["alter", "attribute"])?;
        let name = c.ident()?;
        let _noise = c.words(&["set", "data"]);
        c.expect_words(&["type"])?;
        AttributeChange::Retype(Attribute { name, pg: c.data_type()? })
    };
    let _of_tables = c.words(&["cascade"]) || c.words(&["restrict"]);
    Ok(change)
}

pub(super) fn create_domain(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.qualified_name()?;
    let _noise = c.words(&["as"]);
    let mut domain = NewDomain { base: c.data_type()?, default: None, not_null: false, checks: Vec::new() };
    loop {
        c.collation()?;
        let constraint = if c.words(&["constraint"]) { Some(c.ident()?) } else { None };
        if c.words(&["not", "null"]) {
            domain.not_null = true;
        } else if c.words(&["null"]) {
            // The default.
        } else if c.words(&["check"]) {
            domain.checks.push((constraint, condition(c)?));
        } else if constraint.is_none() && c.words(&["default"]) {
            domain.default = Some(c.default_expression()?.1);
        } else if constraint.is_some() {
            return Err(c.unexpected());
        } else {
            return Ok(Command::CreateType(CreateType { name, definition: NewType::Domain(domain) }));
        }
    }
}

fn condition(c: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    c.expect_left_parenthesis()?;
    let (_, source) = c.expression()?;
    c.expect_right_parenthesis()?;
    Ok(source)
}

pub(super) fn alter(c: &mut Cursor<'_>, domain: bool) -> Result<Command, SyntaxError> {
    let name = c.qualified_name()?;
    let action = if c.words(&["rename", "to"]) {
        AlterTypeAction::Rename(c.ident()?)
    } else if c.words(&["owner", "to"]) {
        AlterTypeAction::Owner(RoleSpec::parse(c)?)
    } else if c.words(&["set", "schema"]) {
        AlterTypeAction::SetSchema(c.ident()?)
    } else if domain {
        alter_domain(c)?
    } else if c.words(&["add", "value"]) {
        let if_not_exists = c.if_not_exists();
        let label = c.string()?;
        let beside = if c.words(&["before"]) {
            Some((c.string()?, false))
        } else if c.words(&["after"]) {
            Some((c.string()?, true))
        } else {
            None
        };
        AlterTypeAction::AddValue { if_not_exists, label, beside }
    } else if c.words(&["rename", "value"]) {
        let label = c.string()?;
        c.expect_words(&["to"])?;
        AlterTypeAction::RenameValue { label, to: c.string()? }
    } else if c.words(&["rename", "attribute"]) {
        let name = c.ident()?;
        c.expect_words(&["to"])?;
        let rename = AttributeChange::Rename { name, to: c.ident()? };
        let _of_tables = c.words(&["cascade"]) || c.words(&["restrict"]);
        AlterTypeAction::Attributes(vec![rename])
    } else if c.peek_any(&["add", "drop", "alter"]) {
        AlterTypeAction::Attributes(c.list(attribute_change)?)
    } else {
        return Err(c.unsupported_or_unexpected("ALTER TYPE …", &["set", "rename"]));
    };
    Ok(Command::AlterType(AlterType { name, domain, action }))
}

fn alter_domain(c: &mut Cursor<'_>) -> Result<AlterTypeAction, SyntaxError> {
    Ok(if c.words(&["set", "default"]) {
        AlterTypeAction::Default(Some(c.expression()?.1))
    } else if c.words(&["drop", "default"]) {
        AlterTypeAction::Default(None)
    } else if c.words(&["set", "not", "null"]) {
        AlterTypeAction::NotNull(true)
    } else if c.words(&["drop", "not", "null"]) {
        AlterTypeAction::NotNull(false)
    } else if c.words(&["add"]) {
        let name = if c.words(&["constraint"]) { Some(c.ident()?) } else { None };
        if name.is_none() && c.words(&["not", "null"]) {
            return Ok(AlterTypeAction::NotNull(true));
        }
        c.expect_words(&["check"])?;
        let condition = condition(c)?;
        if c.peek_any(&["not"]) {
            return Err(c.unsupported("NOT VALID"));
        }
        AlterTypeAction::AddCheck { name, condition }
    } else if c.words(&["drop", "constraint"]) {
        let if_exists = c.if_exists();
        let name = c.ident()?;
        let _nothing_depends = c.words(&["cascade"]) || c.words(&["restrict"]);
        AlterTypeAction::DropConstraint { if_exists, name }
    } else if c.words(&["rename", "constraint"]) {
        let name = c.ident()?;
        c.expect_words(&["to"])?;
        AlterTypeAction::RenameConstraint { name, to: c.ident()? }
    } else if c.words(&["validate", "constraint"]) {
        AlterTypeAction::Validate(c.ident()?)
    } else {
        return Err(c.unexpected());
    })
}
