//! Schemas, tables, external tables, views, storage credentials: CREATE, ALTER, DROP, TRUNCATE, COMMENT.

use std::collections::BTreeMap;

use sqlparser::ast;

use super::Command;
use super::constraint::{ConstraintDefinition, TABLE_CONSTRAINTS, of_column, of_table, storage_parameters};
use super::cursor::Cursor;
use super::layout::Layout;
use super::role::RoleSpec;
use super::sequence::SequenceOptions;
use super::tag::{SetTags, TagsOf};
use super::text::SyntaxError;
use crate::catalog::{ExternalFormat, IdentityKind, OnCommit};
use crate::error::SqlState;
use crate::name::{QualifiedName, fold};
use crate::types::PgType;

/// `CREATE SCHEMA [IF NOT EXISTS] [name] [AUTHORIZATION role]`.
#[derive(Clone, Debug)]
pub struct CreateSchema {
    /// The new schema's name; where only AUTHORIZATION is given, the role's.
    pub name: String,
    /// `IF NOT EXISTS`: a schema of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `AUTHORIZATION`: who owns it. `None`: the current role.
    pub owner: Option<RoleSpec>,
}

/// `ALTER SCHEMA name …`.
#[derive(Clone, Debug)]
pub struct AlterSchema {
    /// The schema's name.
    pub name: String,
    /// What becomes of it.
    pub action: AlterSchemaAction,
}

/// What ALTER SCHEMA does.
#[derive(Clone, Debug)]
pub enum AlterSchemaAction {
    /// `RENAME TO name`.
    Rename(String),
    /// `OWNER TO role`.
    Owner(RoleSpec),
}

pub(super) fn alter_schema(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    if let Some(tags) = super::tag::assignments(c)? {
        return Ok(Command::SetTags(SetTags { of: TagsOf::Schema(name), tags }));
    }
    let action = if c.words(&["rename", "to"]) {
        AlterSchemaAction::Rename(c.ident()?)
    } else {
        c.expect_words(&["owner", "to"])?;
        AlterSchemaAction::Owner(RoleSpec::parse(c)?)
    };
    Ok(Command::AlterSchema(AlterSchema { name, action }))
}

/// `[TEMP] TABLE [IF NOT EXISTS] name … [ON COMMIT …]`: a table to be, wherever its columns come from.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// The new table, as written: unresolved.
    pub name: QualifiedName,
    /// `IF NOT EXISTS`: a relation of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// `TEMP`: it is the session's own, and goes with it.
    pub temporary: bool,
    /// `ON COMMIT …`; `None`: not said.
    pub on_commit: Option<OnCommit>,
}

impl NewTable {
    fn with_on_commit(mut self, c: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        if c.words(&["on", "commit"]) {
            self.on_commit = Some(if c.words(&["preserve", "rows"]) {
                OnCommit::PreserveRows
            } else if c.words(&["delete", "rows"]) {
                OnCommit::DeleteRows
            } else if c.words(&["drop"]) {
                OnCommit::Drop
            } else {
                return Err(c.unexpected());
            });
        }
        Ok(self)
    }
}

/// `CREATE TABLE name (column, …) [PARTITIONED BY (…)] [SORTED BY (…)]`: a table of the warehouse.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Which it is.
    pub name: NewTable,
    /// In the table's order; there may be none.
    pub columns: Vec<ColumnDefinition>,
    /// Those of the table; those of a column are with it.
    pub constraints: Vec<ConstraintDefinition>,
    /// How its rows are laid out.
    pub layout: Layout,
}

/// `name type [constraint …]`, in CREATE TABLE and CREATE EXTERNAL TABLE.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// The column's name, folded unless quoted.
    pub name: String,
    /// The declared type; the integer type that is behind `serial` and its like.
    pub pg: PgType,
    /// `NOT NULL`, or implied by an identity or by `serial`.
    pub not_null: bool,
    /// Source text.
    pub default: Option<String>,
    /// `GENERATED … AS IDENTITY`, or `serial` and its like. `None`: neither.
    pub identity: Option<IdentityOption>,
    /// `GENERATED ALWAYS AS (expression)`: its source text, and whether it is STORED.
    pub generated: Option<(String, bool)>,
    /// Its keys, CHECKs and REFERENCES.
    pub constraints: Vec<ConstraintDefinition>,
}

/// A column that draws from a sequence of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityOption {
    /// ALWAYS, BY DEFAULT or from the type `serial`.
    pub kind: IdentityKind,
    /// `SEQUENCE NAME`; `None`: one after the table and the column.
    pub name: Option<QualifiedName>,
    /// How the sequence counts.
    pub options: SequenceOptions,
}

/// `CREATE TABLE name [(column, …)] [PARTITIONED BY (…)] [SORTED BY (…)] AS query [WITH [NO] DATA]`.
#[derive(Clone, Debug)]
pub struct CreateTableAs {
    /// Which it is. If it is there already, the query is not run.
    pub name: NewTable,
    /// Names for the query's first columns. Those beyond, or all if the list is empty, keep the query's names.
    pub columns: Vec<String>,
    /// How its rows are laid out.
    pub layout: Layout,
    /// What the table gets its columns and its rows from.
    pub query: Box<ast::Query>,
    /// False: `WITH NO DATA`, the table stays empty.
    pub with_data: bool,
    /// The query's text, if it is `CREATE MATERIALIZED VIEW`, which keeps it.
    pub materialized: Option<String>,
}

/// `REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]`.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Which.
    pub name: QualifiedName,
    /// `CONCURRENTLY`: readers are never in the way, so all it asks for is what PostgreSQL does.
    pub concurrently: bool,
    /// False: it loses its rows, and cannot be read.
    pub with_data: bool,
}

/// `CREATE EXTERNAL TABLE name [(column, …)] STORED AS format LOCATION 'location' …`: files of the lake as a table.
#[derive(Clone, Debug)]
pub struct CreateExternalTable {
    /// The new table, as written: unresolved.
    pub name: QualifiedName,
    /// `IF NOT EXISTS`: a relation of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// Empty: read from the files.
    pub columns: Vec<ColumnDefinition>,
    /// `STORED AS`: the format of all its files.
    pub format: ExternalFormat,
    /// With a type where it is not one of `columns`.
    pub partitions: Vec<(String, Option<PgType>)>,
    /// `LOCATION`: a file or a folder, as a URL or an absolute path, as written: not checked yet.
    pub location: String,
    /// `OPTIONS (…)`: how the format is read, such as `delimiter` for CSV, by name. Not checked yet.
    pub options: BTreeMap<String, String>,
}

/// `CREATE [OR REPLACE] [TEMP] VIEW name [(column, …)] [WITH (option, …)] AS query`.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// The new view, as written: unresolved.
    pub name: QualifiedName,
    /// `OR REPLACE`: a view of that name gets the new query; its columns must stay, more may follow.
    pub replace: bool,
    /// `TEMP`: it is the session's own, and goes with it.
    pub temporary: bool,
    /// Names for the query's first columns. Those beyond, or all if the list is empty, keep the query's names.
    pub columns: Vec<String>,
    /// `WITH (security_invoker)`: what it reads is read with its user's rights, not with its owner's.
    pub security_invoker: bool,
    /// The defining query, parsed.
    pub query: Box<ast::Query>,
    /// The query as written.
    pub source: String,
}

/// `CREATE STORAGE CREDENTIAL name [WITH | OPTIONS] (option value, …)`: keys for an object store.
#[derive(Clone, Debug)]
pub struct CreateCredential {
    /// The credential's name: it is in no schema, and so unique in the whole catalog.
    pub name: String,
    /// `IF NOT EXISTS`: a credential of that name stays as it is, with a notice.
    pub if_not_exists: bool,
    /// The keys, by option: secrets. `scope` is the URL prefix they are used for, all of `s3://` if not given.
    pub options: BTreeMap<String, String>,
}

/// `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`, but for roles.
#[derive(Clone, Debug)]
pub struct Drop {
    /// What the names are names of; a relation of another kind is `42809`.
    pub kind: DropKind,
    /// The objects that go, as written: unresolved. Only relations are looked for in a schema.
    pub names: Vec<QualifiedName>,
    /// `IF EXISTS`: an object that is not there is passed over with a notice.
    pub if_exists: bool,
    /// `CASCADE`: relations that depend on the objects go too. False: RESTRICT, they make it `2BP01`.
    pub cascade: bool,
}

/// The kinds of objects that DROP names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropKind {
    /// `TABLE`: a table of the warehouse.
    Table,
    /// `EXTERNAL TABLE` or `FOREIGN TABLE`: a table over files of the lake; the files stay.
    ExternalTable,
    /// `VIEW`: a stored query.
    View,
    /// `MATERIALIZED VIEW`: a stored query with its rows.
    MaterializedView,
    /// `SEQUENCE`: `2BP01` for one that belongs to a table's column.
    Sequence,
    /// `INDEX`: `2BP01` for one that carries a constraint.
    Index,
    /// `TYPE`: an enumeration, or a domain.
    Type,
    /// `DOMAIN`.
    Domain,
    /// `SCHEMA`: its relations and types depend on it.
    Schema,
    /// `MASKING POLICY`: `2BP01` while it is attached to a column, even with CASCADE.
    MaskingPolicy,
    /// `RLS POLICY`: `2BP01` while it is attached to a table, even with CASCADE.
    RlsPolicy,
    /// `STORAGE CREDENTIAL`: keys for an object store.
    Credential,
    /// `TAG`: `2BP01` while anything has it or follows from it, even with CASCADE.
    Tag,
    /// On this table.
    Policy(QualifiedName),
}

/// `TRUNCATE [TABLE] name, … [RESTART | CONTINUE IDENTITY] [CASCADE]`.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// The tables whose rows go, as written: unresolved.
    pub tables: Vec<QualifiedName>,
    /// `RESTART IDENTITY`: their identity columns count from the start again. False: they go on.
    pub restart_identity: bool,
    /// `CASCADE`: so do those of the tables whose foreign keys refer to them, and so on.
    pub cascade: bool,
}

/// `COMMENT ON target IS text`.
#[derive(Clone, Debug)]
pub struct Comment {
    /// What the comment is about.
    pub target: CommentTarget,
    /// The new comment. `None`: NULL, which removes the old one.
    pub text: Option<String>,
}

/// What a comment can be about.
#[derive(Clone, Debug)]
pub enum CommentTarget {
    /// `TABLE`, `VIEW`, `INDEX`, `SEQUENCE`, `EXTERNAL TABLE` or `FOREIGN TABLE`: any relation, whatever the keyword.
    Relation(QualifiedName),
    /// `COLUMN [schema.]relation.column`: the relation, unresolved, and the column's name.
    Column(QualifiedName, String),
    /// `SCHEMA`: by its name, folded unless quoted.
    Schema(String),
    /// `CONSTRAINT name ON table`.
    Constraint(String, QualifiedName),
    /// `TYPE` or `DOMAIN`.
    Type(QualifiedName),
    /// `ROLE`.
    Role(RoleSpec),
    /// `DATABASE`.
    Database(String),
    /// `POLICY name ON table`.
    Policy(String, QualifiedName),
}

pub(super) fn create_schema(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    if c.words(&["authorization"]) {
        let owner = RoleSpec::parse(c)?;
        let RoleSpec::Name(name) = &owner else { return Err(c.unexpected()) };
        return Ok(Command::CreateSchema(CreateSchema { name: name.clone(), if_not_exists, owner: Some(owner) }));
    }
    let name = c.ident()?;
    let owner = if c.words(&["authorization"]) { Some(RoleSpec::parse(c)?) } else { None };
    Ok(Command::CreateSchema(CreateSchema { name, if_not_exists, owner }))
}

pub(super) fn create(c: &mut Cursor<'_>, temporary: bool) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let mut name = NewTable { name: c.qualified_name()?, if_not_exists, temporary, on_commit: None };
    if !c.peek_left_parenthesis() {
        let layout = Layout::clauses(c)?;
        name = name.with_on_commit(c)?;
        if c.words(&["as"]) {
            return create_as(c, name, Vec::new(), layout);
        }
    }
    if c.words(&["partition", "of"]) || c.words(&["of"]) {
        return Err(c.unsupported("CREATE TABLE … OF"));
    }
    c.expect_left_parenthesis()?;
    let mut columns = Vec::new();
    let mut constraints = Vec::new();
    let mut bare_names = Vec::new();
    if !c.right_parenthesis() {
        loop {
            if c.peek_any(&["like"]) {
                return Err(c.unsupported("CREATE TABLE … LIKE"));
            }
            if c.peek_any(TABLE_CONSTRAINTS) {
                constraints.push(of_table(c)?);
            } else {
                let column = c.ident()?;
                if c.at_list_separator() {
                    bare_names.push(column);
                } else {
                    columns.push(column_definition(c, column)?);
                }
            }
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    }
    let layout = Layout::clauses(c)?;
    let parameters = c.words(&["with"]);
    if parameters {
        storage_parameters(c)?;
    }
    let name = name.with_on_commit(c)?;
    if c.words(&["as"]) && columns.is_empty() && !parameters {
        return create_as(c, name, bare_names, layout);
    }
    if !bare_names.is_empty() {
        return Err(c.unexpected());
    }
    if !c.at_statement_end() {
        return Err(c.unsupported_or_unexpected(
            "CREATE TABLE …",
            &["inherits", "partition", "without", "tablespace", "using"],
        ));
    }
    Ok(Command::CreateTable(CreateTable { name, columns, constraints, layout }))
}

fn create_as(c: &mut Cursor<'_>, name: NewTable, columns: Vec<String>, layout: Layout) -> Result<Command, SyntaxError> {
    let (query, _source) = c.query()?;
    let with_data = with_data(c);
    Ok(Command::CreateTableAs(CreateTableAs { name, columns, layout, query, with_data, materialized: None }))
}

/// What comes after `CREATE MATERIALIZED VIEW`.
pub(super) fn create_materialized(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = NewTable { name: c.qualified_name()?, if_not_exists, temporary: false, on_commit: None };
    let columns = if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() };
    let layout = Layout::clauses(c)?;
    if c.words(&["with"]) {
        storage_parameters(c)?;
    }
    if c.peek_any(&["using", "tablespace", "auto", "backup"]) {
        return Err(c.unsupported("this clause of CREATE MATERIALIZED VIEW"));
    }
    c.expect_words(&["as"])?;
    let (query, source) = c.query()?;
    let with_data = with_data(c);
    let materialized = Some(source);
    Ok(Command::CreateTableAs(CreateTableAs { name, columns, layout, query, with_data, materialized }))
}

/// What comes after `REFRESH`.
pub(super) fn refresh(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    c.expect_words(&["materialized", "view"])?;
    let concurrently = c.words(&["concurrently"]);
    let name = c.qualified_name()?;
    let with_data = with_data(c);
    if concurrently && !with_data {
        let message = "CONCURRENTLY and WITH NO DATA options cannot be used together".to_owned();
        return Err(SyntaxError::Invalid { message, code: SqlState::SYNTAX_ERROR, position: None });
    }
    Ok(Command::Refresh(Refresh { name, concurrently, with_data }))
}

/// `[WITH [NO] DATA]`
fn with_data(c: &mut Cursor<'_>) -> bool {
    let with_data = !c.words(&["with", "no", "data"]);
    let _explicit = with_data && c.words(&["with", "data"]);
    with_data
}

pub(super) fn column_definition(c: &mut Cursor<'_>, name: String) -> Result<ColumnDefinition, SyntaxError> {
    let mut column = ColumnDefinition {
        name,
        pg: PgType::Text,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        constraints: Vec::new(),
    };
    let serial = [
        ("smallserial", PgType::Int2),
        ("serial2", PgType::Int2),
        ("serial", PgType::Int4),
        ("serial4", PgType::Int4),
        ("bigserial", PgType::Int8),
        ("serial8", PgType::Int8),
    ];
    match serial.into_iter().find(|(word, _)| c.words(&[word])) {
        Some((_, pg)) => {
            column.pg = pg;
            column.not_null = true;
            column.identity =
                Some(IdentityOption { kind: IdentityKind::Serial, name: None, options: SequenceOptions::default() });
        }
        None => column.pg = c.data_type()?,
    }
    loop {
        if c.words(&["not", "null"]) {
            column.not_null = true;
        } else if c.words(&["null"]) {
            // The default.
        } else if c.words(&["default"]) {
            column.default = Some(c.default_expression()?.1);
        } else if c.words(&["generated", "always", "as", "identity"]) {
            column.identity = Some(identity(c, IdentityKind::Always)?);
            column.not_null = true;
        } else if c.words(&["generated", "by", "default", "as", "identity"]) {
            column.identity = Some(identity(c, IdentityKind::ByDefault)?);
            column.not_null = true;
        } else if c.words(&["generated", "always", "as"]) {
            c.expect_left_parenthesis()?;
            let (_, expression) = c.expression()?;
            c.expect_right_parenthesis()?;
            let stored = c.words(&["stored"]);
            let _default = !stored && c.words(&["virtual"]);
            column.generated = Some((expression, stored));
        } else if c.peek_any(COLUMN_CONSTRAINTS) {
            // A name of NOT NULL or of a default is not kept; those come next.
            column.constraints.extend(of_column(c, &column.name)?);
        } else if c.peek_any(&["collate"]) {
            c.collation()?;
        } else if c.peek_any(&["storage", "compression"]) {
            return Err(c.unsupported_or_unexpected("column option", &["storage", "compression"]));
        } else {
            return Ok(column);
        }
    }
}

/// Words that a column's constraint may begin with.
const COLUMN_CONSTRAINTS: &[&str] = &["constraint", "primary", "unique", "references", "check"];

pub(super) fn identity(c: &mut Cursor<'_>, kind: IdentityKind) -> Result<IdentityOption, SyntaxError> {
    let (mut name, mut options) = (None, SequenceOptions::default());
    if c.left_parenthesis() {
        if c.words(&["sequence", "name"]) {
            name = Some(c.qualified_name()?);
        }
        options = SequenceOptions::parse(c)?;
        c.expect_right_parenthesis()?;
    }
    Ok(IdentityOption { kind, name, options })
}

pub(super) fn create_external(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = c.qualified_name()?;
    let columns = if c.peek_left_parenthesis() {
        c.parenthesized(|c| {
            let name = c.ident()?;
            column_definition(c, name)
        })?
    } else {
        Vec::new()
    };
    let (mut format, mut location) = (None, None);
    let mut partitions = Vec::new();
    let mut options = BTreeMap::new();
    loop {
        if c.words(&["stored", "as"]) {
            let word = c.ident()?;
            format = Some(match word.as_str() {
                "parquet" => ExternalFormat::Parquet,
                "csv" => ExternalFormat::Csv,
                "json" | "ndjson" | "jsonl" => ExternalFormat::Json,
                other => return Err(c.unsupported(&format!("STORED AS {}", other.to_ascii_uppercase()))),
            });
        } else if c.words(&["partitioned", "by"]) {
            partitions = c.parenthesized(|c| {
                let name = c.ident()?;
                let pg = if c.at_list_separator() { None } else { Some(c.data_type()?) };
                Ok((name, pg))
            })?;
        } else if c.words(&["location"]) {
            location = Some(c.string()?);
        } else if c.words(&["options"]) {
            options = option_list(c)?;
        } else {
            break;
        }
    }
    let (Some(format), Some(location)) = (format, location) else { return Err(c.unexpected()) };
    Ok(Command::CreateExternalTable(CreateExternalTable {
        name,
        if_not_exists,
        columns,
        format,
        partitions,
        location,
        options,
    }))
}

/// `( name 'value', name = 'value', … )`; names may be quoted and dotted.
fn option_list(c: &mut Cursor<'_>) -> Result<BTreeMap<String, String>, SyntaxError> {
    let items = c.parenthesized(|c| {
        let mut name = if c.peek_string() { fold(&c.string()?) } else { c.ident()? };
        while c.period() {
            name = format!("{name}.{}", c.ident()?);
        }
        let _either = c.equals();
        Ok((name, c.word_or_literal()?))
    })?;
    Ok(items.into_iter().collect())
}

pub(super) fn create_view(c: &mut Cursor<'_>, replace: bool, temporary: bool) -> Result<Command, SyntaxError> {
    let name = c.qualified_name()?;
    let columns = if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() };
    let mut security_invoker = false;
    if c.words(&["with"]) {
        for (option, value) in c.parenthesized(|c| {
            let name = c.ident()?;
            Ok((name, if c.equals() { c.word_or_literal()? } else { "true".to_owned() }))
        })? {
            match (option.as_str(), value.as_str()) {
                ("security_invoker", "true" | "on" | "1") => security_invoker = true,
                ("security_invoker", "false" | "off" | "0") => security_invoker = false,
                _ => return Err(c.unsupported(&format!("view option \"{option}\""))),
            }
        }
    }
    c.expect_words(&["as"])?;
    let (query, source) = c.query()?;
    if c.peek_any(&["with"]) {
        return Err(c.unsupported("WITH CHECK OPTION"));
    }
    Ok(Command::CreateView(CreateView { name, replace, temporary, columns, security_invoker, query, source }))
}

pub(super) fn create_credential(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_not_exists = c.if_not_exists();
    let name = c.ident()?;
    let _either = c.words(&["with"]) || c.words(&["options"]);
    let options = option_list(c)?;
    Ok(Command::CreateCredential(CreateCredential { name, if_not_exists, options }))
}

pub(super) fn drop(c: &mut Cursor<'_>, kind: DropKind) -> Result<Command, SyntaxError> {
    let if_exists = c.if_exists();
    let names = c.list(Cursor::qualified_name)?;
    let cascade = c.words(&["cascade"]);
    let _default = !cascade && c.words(&["restrict"]);
    Ok(Command::Drop(Drop { kind, names, if_exists, cascade }))
}

pub(super) fn truncate(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let _noise = c.words(&["table"]);
    let _only = c.words(&["only"]);
    let tables = c.list(Cursor::qualified_name)?;
    let restart_identity = c.words(&["restart", "identity"]);
    let _default = !restart_identity && c.words(&["continue", "identity"]);
    let cascade = c.words(&["cascade"]);
    let _default = !cascade && c.words(&["restrict"]);
    Ok(Command::Truncate(Truncate { tables, restart_identity, cascade }))
}

pub(super) fn comment(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let target = if c.words(&["column"]) {
        let mut parts = vec![c.ident()?];
        while c.period() {
            parts.push(c.ident()?);
        }
        let Some(column) = parts.pop() else { return Err(c.unexpected()) };
        let Some(table) = parts.pop() else { return Err(c.unexpected()) };
        CommentTarget::Column(QualifiedName { schema: parts.pop(), name: table }, column)
    } else if c.words(&["schema"]) {
        CommentTarget::Schema(c.ident()?)
    } else if c.words(&["type"]) || c.words(&["domain"]) {
        CommentTarget::Type(c.qualified_name()?)
    } else if c.words(&["constraint"]) {
        let name = c.ident()?;
        c.expect_words(&["on"])?;
        CommentTarget::Constraint(name, c.qualified_name()?)
    } else if c.words(&["role"]) {
        CommentTarget::Role(RoleSpec::parse(c)?)
    } else if c.words(&["database"]) {
        CommentTarget::Database(c.ident()?)
    } else if c.words(&["policy"]) {
        let name = c.ident()?;
        c.expect_words(&["on"])?;
        CommentTarget::Policy(name, c.qualified_name()?)
    } else if c.words(&["table"])
        || c.words(&["index"])
        || c.words(&["sequence"])
        || c.words(&["view"])
        || c.words(&["materialized", "view"])
        || c.words(&["foreign", "table"])
        || c.words(&["external", "table"])
    {
        CommentTarget::Relation(c.qualified_name()?)
    } else {
        return Err(c.unsupported_or_unexpected(
            "COMMENT ON",
            &["function", "extension", "aggregate", "language", "operator", "trigger"],
        ));
    };
    c.expect_words(&["is"])?;
    let text = if c.words(&["null"]) { None } else { Some(c.string()?) };
    Ok(Command::Comment(Comment { target, text }))
}
