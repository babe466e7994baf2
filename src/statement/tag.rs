//! Tags, and what follows from them.

use super::Command;
use super::cursor::Cursor;
use super::role::RoleSpec;
use super::text::SyntaxError;

/// `CREATE TAG [IF NOT EXISTS] name [ALLOWED_VALUES 'value', …]`.
#[derive(Clone, Debug)]
pub struct CreateTag {
    /// The tag's name: it is in no schema, and so unique in the whole catalog.
    pub name: String,
    /// `IF NOT EXISTS`: a tag of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `ALLOWED_VALUES`; empty: any.
    pub values: Vec<String>,
}

/// `ALTER TAG name …`.
#[derive(Clone, Debug)]
pub struct AlterTag {
    /// The name that it has now.
    pub name: String,
    /// What changes.
    pub action: AlterTagAction,
}

/// What ALTER TAG can do.
#[derive(Clone, Debug)]
pub enum AlterTagAction {
    /// `RENAME TO name`.
    Rename(String),
    /// `OWNER TO role`.
    Owner(RoleSpec),
    /// `ADD ALLOWED_VALUES 'value', …`.
    AddValues(Vec<String>),
    /// `DROP ALLOWED_VALUES 'value', …`: those that are set stay, and are refused.
    DropValues(Vec<String>),
    /// `UNSET ALLOWED_VALUES`: any value.
    AnyValue,
}

/// `ALTER {SCHEMA | DATABASE} name {SET TAG name = 'value', … | UNSET TAG name, …}`; of tables it is an action of ALTER TABLE.
#[derive(Clone, Debug)]
pub struct SetTags {
    /// What has them.
    pub of: TagsOf,
    /// What is said of it.
    pub tags: TagValues,
}

/// Tags and the values they get; `None`: the tag is taken away.
pub type TagValues = Vec<(String, Option<String>)>;

/// What can have tags, beside relations and columns.
#[derive(Clone, Debug)]
pub enum TagsOf {
    /// The database, by its name.
    Database(String),
    /// A schema, by its name.
    Schema(String),
}

/// `ATTACH MASKING POLICY policy ON TAG name [= 'value'] TO grantee [PRIORITY n]`, and DETACH.
#[derive(Clone, Debug)]
pub struct TagMaskChange {
    /// The masking policy's name; `pg_unmasked` is the built-in one that shows the value as it is.
    pub policy: String,
    /// The tag's name.
    pub tag: String,
    /// `None`: whatever its value.
    pub value: Option<String>,
    /// Whom it is for: a role with its members, or PUBLIC.
    pub grantee: RoleSpec,
    /// `None`: DETACH. Else the priority.
    pub attach: Option<i32>,
}

/// `{TABLES | COLUMNS} TAGGED (name = 'value' AND name IN ('value', …) …)`.
#[derive(Clone, Debug)]
pub struct TagCondition {
    /// COLUMNS.
    pub columns: bool,
    /// Tags, and for each the values of which it must have one.
    pub tags: Vec<(String, Vec<String>)>,
}

pub(super) fn create(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = c.ident()?;
    let values = if c.words(&["allowed_values"]) { c.list(Cursor::string)? } else { Vec::new() };
    Ok(Command::CreateTag(CreateTag { name, if_not_exists, values }))
}

pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    let action = if c.words(&["rename", "to"]) {
        AlterTagAction::Rename(c.ident()?)
    } else if c.words(&["owner", "to"]) {
        AlterTagAction::Owner(RoleSpec::parse(c)?)
    } else if c.words(&["add", "allowed_values"]) {
        AlterTagAction::AddValues(c.list(Cursor::string)?)
    } else if c.words(&["drop", "allowed_values"]) {
        AlterTagAction::DropValues(c.list(Cursor::string)?)
    } else {
        c.expect_words(&["unset", "allowed_values"])?;
        AlterTagAction::AnyValue
    };
    Ok(Command::AlterTag(AlterTag { name, action }))
}

/// `SET TAG …` or `UNSET TAG …`, if it is that.
pub(super) fn assignments(c: &mut Cursor<'_>) -> Result<Option<TagValues>, SyntaxError> {
    if c.words(&["set", "tag"]) {
        let pairs = c.list(|c| {
            let name = c.ident()?;
            if !c.equals() {
                return Err(c.unexpected());
            }
            Ok((name, Some(c.string()?)))
        });
        return pairs.map(Some);
    }
    if c.words(&["unset", "tag"]) {
        return c.list(|c| Ok((c.ident()?, None))).map(Some);
    }
    Ok(None)
}

/// `ALTER DATABASE`: nothing else of it can be changed.
pub(super) fn alter_database(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    match assignments(c)? {
        Some(tags) => Ok(Command::SetTags(SetTags { of: TagsOf::Database(name), tags })),
        None => Err(c.unsupported_or_unexpected(
            "ALTER DATABASE …",
            &["set", "reset", "owner", "rename", "with", "connection", "allow_connections", "is_template", "refresh"],
        )),
    }
}

/// `ON TAG …`, after ATTACH or DETACH MASKING POLICY and the policy's name.
pub(super) fn mask(c: &mut Cursor<'_>, policy: String, attach: bool) -> Result<Command, SyntaxError> {
    let tag = c.ident()?;
    let value = if c.equals() { Some(c.string()?) } else { None };
    c.expect_words(&[if attach { "to" } else { "from" }])?;
    let grantee = super::policy::grantee(c)?;
    let attach = if attach { Some(super::policy::priority(c)?) } else { None };
    Ok(Command::TagMask(TagMaskChange { policy, tag, value, grantee, attach }))
}

/// `(…)`, after TABLES TAGGED or COLUMNS TAGGED.
pub(super) fn condition(c: &mut Cursor<'_>, columns: bool) -> Result<TagCondition, SyntaxError> {
    c.expect_left_parenthesis()?;
    let mut tags = Vec::new();
    loop {
        let name = c.ident()?;
        let values = if c.words(&["in"]) {
            c.parenthesized(Cursor::string)?
        } else if !c.equals() {
            return Err(c.unexpected());
        } else if c.words(&["any"]) {
            c.parenthesized(Cursor::string)?
        } else {
            vec![c.string()?]
        };
        tags.push((name, values));
        if !c.words(&["and"]) {
            break;
        }
    }
    c.expect_right_parenthesis()?;
    Ok(TagCondition { columns, tags })
}
