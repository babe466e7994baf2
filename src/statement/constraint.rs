//! Constraints of CREATE TABLE and ALTER TABLE, and CREATE INDEX.

use std::sync::Arc;

use sqlparser::ast;

use super::cursor::Cursor;
use super::spelling::INFERRED;
use super::text::{SyntaxError, Text};
use super::{Command, folded};
use crate::name::QualifiedName;

/// `[CONSTRAINT name] …`, of a column or of a table.
#[derive(Clone, Debug)]
pub struct ConstraintDefinition {
    /// `None`: a name is made of the table's and the columns'.
    pub name: Option<String>,
    /// What must hold.
    pub condition: Condition,
}

/// What a constraint asks for.
#[derive(Clone, Debug)]
pub enum Condition {
    /// `PRIMARY KEY`.
    Primary(Key),
    /// `UNIQUE`.
    Unique(Key),
    /// `CHECK (condition)`: its source text.
    Check(String),
    /// `FOREIGN KEY`, or `REFERENCES` of a column.
    Foreign(References),
}

/// A key's columns.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// Of a column's own constraint, that column.
    pub columns: Vec<String>,
    /// `INCLUDE (column, …)`.
    pub included: Vec<String>,
    /// `NULLS NOT DISTINCT`.
    pub nulls_not_distinct: bool,
    /// `USING INDEX name`: a unique index becomes the constraint's, and has the columns.
    pub index: Option<String>,
}

/// `REFERENCES table …`.
#[derive(Clone, Debug)]
pub struct References {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The table referred to, as written.
    pub table: QualifiedName,
    /// Empty: its primary key.
    pub referenced: Vec<String>,
    /// `ON DELETE`, as `pg_constraint.confdeltype` has it.
    pub on_delete: char,
    /// `ON UPDATE`, as `pg_constraint.confupdtype` has it.
    pub on_update: char,
    /// `MATCH FULL`.
    pub match_full: bool,
    /// When it would be checked.
    pub timing: Timing,
    /// Not said to be `NOT ENFORCED`.
    pub enforced: bool,
}

/// When a foreign key would be checked, were it enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// With each statement.
    NotDeferrable,
    /// `DEFERRABLE`: with each statement, unless the transaction asks for later.
    Deferrable,
    /// `INITIALLY DEFERRED`: at commit, unless the transaction asks for earlier.
    Deferred,
}

/// `CREATE [UNIQUE] INDEX`.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// `None`: a name is made of the table's and the columns'.
    pub name: Option<String>,
    /// `IF NOT EXISTS`: a relation of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// The table, as written.
    pub table: QualifiedName,
    /// `UNIQUE`.
    pub unique: bool,
    /// `USING method`; `btree` if not given.
    pub method: String,
    /// The key.
    pub elements: Vec<IndexElement>,
    /// `INCLUDE (column, …)`.
    pub included: Vec<String>,
    /// `NULLS NOT DISTINCT`.
    pub nulls_not_distinct: bool,
    /// `WHERE`: its source text.
    pub predicate: Option<String>,
}

/// A part of the key of CREATE INDEX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexElement {
    /// What it is made of.
    pub value: IndexValue,
    /// The operator class's name, without its schema.
    pub operator_class: Option<String>,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`, or `DESC` without `NULLS LAST`.
    pub nulls_first: bool,
}

/// What a part of a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexValue {
    /// A column's name.
    Column(String),
    /// The source text of an expression.
    Expression(String),
}

/// A column of SORTED BY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortColumn {
    /// The column's name.
    pub name: String,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`, or `DESC` without `NULLS LAST`.
    pub nulls_first: bool,
}

/// What ON CONFLICT infers unique indexes from.
#[derive(Clone, Debug)]
pub struct Inference {
    /// Their key, in any order.
    pub elements: Vec<IndexElement>,
    /// `WHERE`: its source text.
    pub predicate: Option<String>,
}

impl Inference {
    /// From what stands as a constraint's name in ON CONFLICT; `None`: it is a name.
    pub fn parse(name: &str) -> Result<Option<Self>, SyntaxError> {
        let Some(source) = name.strip_prefix(INFERRED) else { return Ok(None) };
        let text = Arc::new(Text::new(source));
        let mut c = Cursor::new(&text)?;
        let elements = c.parenthesized(index_element)?;
        let predicate = if c.words(&["where"]) { Some(c.expression()?.1) } else { None };
        if c.at_end() { Ok(Some(Self { elements, predicate })) } else { Err(c.unexpected()) }
    }
}

/// Words that a table's constraint may begin with.
pub(super) const TABLE_CONSTRAINTS: &[&str] = &["constraint", "primary", "unique", "foreign", "check", "exclude"];

/// A constraint among a table's columns.
pub(super) fn of_table(c: &mut Cursor<'_>) -> Result<ConstraintDefinition, SyntaxError> {
    let name = if c.words(&["constraint"]) { Some(c.ident()?) } else { None };
    let condition = if c.words(&["primary", "key"]) {
        Condition::Primary(key(c)?)
    } else if c.words(&["unique"]) {
        Condition::Unique(key(c)?)
    } else if c.words(&["check"]) {
        check(c)?
    } else if c.words(&["foreign", "key"]) {
        let columns = c.parenthesized(Cursor::ident)?;
        c.expect_words(&["references"])?;
        Condition::Foreign(references(c, columns)?)
    } else {
        return Err(c.unsupported_or_unexpected("table constraint", &["exclude", "not"]));
    };
    Ok(ConstraintDefinition { name, condition })
}

/// A constraint after a column's type; `None` if what follows is none.
pub(super) fn of_column(c: &mut Cursor<'_>, column: &str) -> Result<Option<ConstraintDefinition>, SyntaxError> {
    let name = if c.words(&["constraint"]) { Some(c.ident()?) } else { None };
    let own = || vec![column.to_owned()];
    let condition = if c.words(&["primary", "key"]) {
        let key = Key { columns: own(), ..Key::default() };
        Condition::Primary(key_options(c, key)?)
    } else if c.words(&["unique"]) {
        let nulls_not_distinct = nulls_not_distinct(c);
        let key = Key { columns: own(), nulls_not_distinct, ..Key::default() };
        Condition::Unique(key_options(c, key)?)
    } else if c.words(&["check"]) {
        check(c)?
    } else if c.words(&["references"]) {
        Condition::Foreign(references(c, own())?)
    } else if name.is_some() {
        // NOT NULL is a part of the column, and its name is not kept.
        return if c.peek_any(&["not", "null", "default", "generated"]) { Ok(None) } else { Err(c.unexpected()) };
    } else {
        return Ok(None);
    };
    Ok(Some(ConstraintDefinition { name, condition }))
}

fn nulls_not_distinct(c: &mut Cursor<'_>) -> bool {
    let not_distinct = c.words(&["nulls", "not", "distinct"]);
    let _default = !not_distinct && c.words(&["nulls", "distinct"]);
    not_distinct
}

fn key(c: &mut Cursor<'_>) -> Result<Key, SyntaxError> {
    let mut key = Key { nulls_not_distinct: nulls_not_distinct(c), ..Key::default() };
    if c.words(&["using", "index"]) {
        key.index = Some(c.ident()?);
    } else {
        key.columns = c.parenthesized(Cursor::ident)?;
        if c.words(&["include"]) {
            key.included = c.parenthesized(Cursor::ident)?;
        }
    }
    key_options(c, key)
}

fn key_options(c: &mut Cursor<'_>, key: Key) -> Result<Key, SyntaxError> {
    if c.words(&["with"]) {
        storage_parameters(c)?;
    }
    if c.peek_any(&["using"]) {
        return Err(c.unsupported("a tablespace"));
    }
    let _default = c.words(&["not", "deferrable"]);
    let _default = c.words(&["initially", "immediate"]);
    if c.peek_any(&["deferrable", "initially"]) {
        return Err(c.unsupported("a deferrable key"));
    }
    Ok(key)
}

fn check(c: &mut Cursor<'_>) -> Result<Condition, SyntaxError> {
    c.expect_left_parenthesis()?;
    let (_, source) = c.expression()?;
    c.expect_right_parenthesis()?;
    let _default = c.words(&["enforced"]);
    let _meaningless = c.words(&["no", "inherit"]);
    let unenforced = c.words(&["not", "enforced"]);
    if unenforced || c.words(&["not", "valid"]) {
        return Err(c.unsupported("a CHECK constraint that is not enforced for all rows"));
    }
    Ok(Condition::Check(source))
}

fn references(c: &mut Cursor<'_>, columns: Vec<String>) -> Result<References, SyntaxError> {
    let table = c.qualified_name()?;
    let referenced = if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() };
    let mut found = References {
        columns,
        table,
        referenced,
        on_delete: 'a',
        on_update: 'a',
        match_full: false,
        timing: Timing::NotDeferrable,
        enforced: true,
    };
    loop {
        if c.words(&["match", "full"]) {
            found.match_full = true;
        } else if c.words(&["match", "simple"]) || c.words(&["not", "deferrable"]) || c.words(&["enforced"]) {
            // The defaults.
        } else if c.words(&["on", "delete"]) {
            found.on_delete = referential_action(c)?;
        } else if c.words(&["on", "update"]) {
            found.on_update = referential_action(c)?;
        } else if c.words(&["deferrable"]) {
            found.timing = Timing::Deferrable;
        } else if c.words(&["initially", "deferred"]) {
            found.timing = Timing::Deferred;
        } else if c.words(&["initially", "immediate"]) || c.words(&["not", "valid"]) {
            // What is not enforced is not checked when it is made, either.
        } else if c.words(&["not", "enforced"]) {
            found.enforced = false;
        } else {
            return Ok(found);
        }
    }
}

fn referential_action(c: &mut Cursor<'_>) -> Result<char, SyntaxError> {
    let actions = [
        (&["no", "action"][..], 'a'),
        (&["restrict"], 'r'),
        (&["cascade"], 'c'),
        (&["set", "null"], 'n'),
        (&["set", "default"], 'd'),
    ];
    let found = actions.into_iter().find(|(words, _)| c.words(words)).map(|(_, letter)| letter);
    let found = found.ok_or_else(|| c.unexpected())?;
    if matches!(found, 'n' | 'd') && c.peek_left_parenthesis() {
        return Err(c.unsupported("a list of columns to set"));
    }
    Ok(found)
}

/// Storage parameters of PostgreSQL that are accepted and have no meaning here.
const STORAGE_PARAMETERS: &[&str] = &[
    "fillfactor",
    "parallel_workers",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "log_autovacuum_min_duration",
    "deduplicate_items",
    "buffering",
    "fastupdate",
    "gin_pending_list_limit",
    "pages_per_range",
    "autosummarize",
];

/// `( name [= value], … )`: how PostgreSQL lays out a heap or a tree. Files have nothing of the kind. `22023` for a name
/// that PostgreSQL does not know either.
pub(super) fn storage_parameters(c: &mut Cursor<'_>) -> Result<(), SyntaxError> {
    let names = c.parenthesized(|c| {
        let position = c.position();
        let mut name = c.ident()?;
        while c.period() {
            name = format!("{name}.{}", c.ident()?);
        }
        if c.equals() {
            c.word_or_literal()?;
        }
        Ok((name, position))
    })?;
    let is_known = |name: &str| {
        let name = name.strip_prefix("toast.").unwrap_or(name);
        STORAGE_PARAMETERS.contains(&name) || name.starts_with("autovacuum_")
    };
    match names.into_iter().find(|(name, _)| !is_known(name)) {
        None => Ok(()),
        Some((name, position)) => Err(SyntaxError::Invalid {
            code: crate::error::SqlState::INVALID_PARAMETER_VALUE,
            message: format!("unrecognized parameter \"{name}\""),
            position,
        }),
    }
}

pub(super) fn create_index(c: &mut Cursor<'_>, unique: bool) -> Result<Command, SyntaxError> {
    let _no_difference = c.words(&["concurrently"]);
    let if_not_exists = c.if_not_exists();
    let name = if c.peek_any(&["on"]) { None } else { Some(c.ident()?) };
    c.expect_words(&["on"])?;
    let _only = c.words(&["only"]);
    let table = c.qualified_name()?;
    let method = if c.words(&["using"]) { c.ident()? } else { "btree".to_owned() };
    let elements = c.parenthesized(index_element)?;
    let included = if c.words(&["include"]) { c.parenthesized(Cursor::ident)? } else { Vec::new() };
    let nulls_not_distinct = nulls_not_distinct(c);
    if c.words(&["with"]) {
        storage_parameters(c)?;
    }
    if c.peek_any(&["tablespace"]) {
        return Err(c.unsupported("a tablespace"));
    }
    let predicate = if c.words(&["where"]) { Some(c.expression()?.1) } else { None };
    Ok(Command::CreateIndex(CreateIndex {
        name,
        if_not_exists,
        table,
        unique,
        method,
        elements,
        included,
        nulls_not_distinct,
        predicate,
    }))
}

/// A part of an index's key, or of what ON CONFLICT infers one from.
fn index_element(c: &mut Cursor<'_>) -> Result<IndexElement, SyntaxError> {
    let value = if c.peek_left_parenthesis() {
        c.expect_left_parenthesis()?;
        let (_, source) = c.expression()?;
        c.expect_right_parenthesis()?;
        IndexValue::Expression(source)
    } else {
        match c.operand()? {
            (ast::Expr::Identifier(name), _) => IndexValue::Column(folded(&name)),
            (_, source) => IndexValue::Expression(source),
        }
    };
    c.collation()?;
    let is_class = !c.at_list_separator() && !c.peek_any(&["asc", "desc", "nulls"]);
    let operator_class = if is_class { Some(c.qualified_name()?.name) } else { None };
    if c.peek_left_parenthesis() {
        return Err(c.unsupported("parameters of an operator class"));
    }
    let (descending, nulls_first) = order(c);
    Ok(IndexElement { value, operator_class, descending, nulls_first })
}

pub(super) fn sort_column(c: &mut Cursor<'_>) -> Result<SortColumn, SyntaxError> {
    if c.peek_left_parenthesis() {
        return Err(c.unsupported("an order by an expression"));
    }
    let name = c.ident()?;
    if c.peek_left_parenthesis() {
        return Err(c.unsupported("an order by an expression"));
    }
    c.collation()?;
    let (descending, nulls_first) = order(c);
    Ok(SortColumn { name, descending, nulls_first })
}

/// `[ASC | DESC] [NULLS FIRST | NULLS LAST]`: whether descending, whether NULLs come first.
fn order(c: &mut Cursor<'_>) -> (bool, bool) {
    let descending = c.words(&["desc"]);
    let _default = !descending && c.words(&["asc"]);
    let nulls_first = c.words(&["nulls", "first"]) || descending && !c.words(&["nulls", "last"]);
    let _default = !nulls_first && c.words(&["nulls", "last"]);
    (descending, nulls_first)
}
