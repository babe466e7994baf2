//! Text → statements. No catalog, no I/O.
//!
//! Queries, INSERT, UPDATE and DELETE are read by sqlparser's PostgreSQL dialect; every other command has a recursive-descent parser of
//! its own here, on sqlparser's tokenizer.

mod alter;
mod class;
mod constraint;
mod copy;
mod cursor;
mod declare;
mod grant;
mod layout;
mod lock;
mod maintain;
mod merge;
mod modify;
mod past;
mod policy;
mod prepare;
mod redact;
mod role;
mod sequence;
mod setting;
mod spelling;
mod table;
mod tag;
mod text;
mod transaction;
mod user_type;
mod with;

use std::sync::Arc;

pub use alter::{AlterColumn, AlterKind, AlterTable, AlterTableAction};
pub use constraint::{
    Condition, ConstraintDefinition, CreateIndex, IndexElement, IndexValue, Inference, Key, References, SortColumn,
    Timing,
};
pub use copy::{ColumnSet, CopyFormat, CopyOptions, CopySource, CopyStatement, CopyTarget, Header, Verbosity};
use cursor::Cursor;
pub use declare::{Declare, Direction, Fetch};
pub use grant::{AlterDefaultPrivileges, Grant, GrantObjects, GrantRole, Owned, PrivilegeItem};
pub use layout::Layout;
pub use lock::{LockMode, LockTable};
pub use maintain::{Effort, Maintain, Restore};
pub use merge::{Merge, MergeAction, MergeClause, MergeWhen};
pub use modify::{Modify, RowChange};
pub use past::{AsOf, as_it_was};
pub use policy::{
    AlterPolicy, AlterRlsPolicy, AttachMask, CreateMaskingPolicy, CreatePolicy, CreateRlsPolicy, DetachMask,
    OtherMasks, RlsChange,
};
pub use prepare::{Execute, Prepare};
pub use role::{CreateRole, DropRole, RoleOptions, RoleSpec};
pub use sequence::{AlterSequence, CreateSequence, Limit, Restart, SequenceOptions, SequenceOwner};
pub use setting::{AlterSystem, SetConstraints, SetStatement, SetValue, Shown};
use sqlparser::ast;
pub use table::{
    AlterSchema, AlterSchemaAction, ColumnDefinition, Comment, CommentTarget, CreateCredential, CreateExternalTable,
    CreateSchema, CreateTable, CreateTableAs, CreateView, Drop, DropKind, IdentityOption, NewTable, Refresh, Truncate,
};
pub use tag::{AlterTag, AlterTagAction, CreateTag, SetTags, TagCondition, TagMaskChange, TagValues, TagsOf};
pub use text::{SyntaxError, Text};
pub use transaction::{IsolationLevel, TransactionModes};

pub use class::Class;
pub use cursor::ALL_COLUMNS;
pub use user_type::{AlterType, AlterTypeAction, AttributeChange, CreateType, NewDomain, NewType};
pub use with::{Part, WithParts};

use crate::name::QualifiedName;
use crate::notification::Listening;

/// One statement of a message.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The whole message: positions count from its start.
    pub text: Arc<Text>,
    /// What it asks for; no name in it is resolved.
    pub command: Command,
    /// How many parameters it names (`$1` … `$n`).
    pub parameters: usize,
    /// Moments of the past that it asks for.
    pub moments: Vec<AsOf>,
}

impl Statement {
    /// A command that no user wrote.
    pub fn of(command: Command) -> Self {
        Self { text: Arc::new(Text::new("")), command, parameters: 0, moments: Vec::new() }
    }
}

/// What a statement asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// `SELECT`, `VALUES`, `TABLE` or `WITH`, as sqlparser reads it.
    Query(Box<ast::Query>),
    /// `INSERT`, as sqlparser reads it.
    Insert(Box<ast::Insert>),
    /// `UPDATE` or `DELETE`.
    Modify(Box<Modify>),
    /// `MERGE`.
    Merge(Box<Merge>),
    /// `EXPLAIN` of a query, an INSERT or a CREATE TABLE AS.
    Explain(Explain),
    /// `COPY`, from or to the client or files.
    Copy(CopyStatement),
    /// `CREATE SCHEMA`, also without a name of its own: `CREATE SCHEMA AUTHORIZATION role`.
    CreateSchema(CreateSchema),
    /// Keep others from writing to tables.
    LockTable(LockTable),
    /// There is nothing to write that is not durable.
    Checkpoint,
    /// Rename a schema, or give it to another role.
    AlterSchema(AlterSchema),
    /// `CREATE TABLE` with a list of columns: an empty table of the warehouse.
    CreateTable(CreateTable),
    /// `CREATE TABLE … AS query`: a table of the warehouse with the query's rows.
    CreateTableAs(CreateTableAs),
    /// REFRESH MATERIALIZED VIEW.
    Refresh(Refresh),
    /// `CREATE EXTERNAL TABLE`: a table over files of the lake.
    CreateExternalTable(CreateExternalTable),
    /// `CREATE [UNIQUE] INDEX`: a key of a table.
    CreateIndex(CreateIndex),
    /// `CREATE [OR REPLACE] VIEW`: a stored query.
    CreateView(CreateView),
    /// `CREATE STORAGE CREDENTIAL`: keys for an object store.
    CreateCredential(CreateCredential),
    /// `ALTER TABLE`, also with EXTERNAL or FOREIGN.
    AlterTable(AlterTable),
    /// WITH whose queries change rows, and what comes after it.
    Parts(WithParts),
    /// `CREATE SEQUENCE`: a source of numbers.
    CreateSequence(CreateSequence),
    /// `ALTER SEQUENCE` with options.
    AlterSequence(AlterSequence),
    /// `CREATE TYPE` or `CREATE DOMAIN`.
    CreateType(CreateType),
    /// `ALTER TYPE` or `ALTER DOMAIN`.
    AlterType(AlterType),
    /// `DROP` of anything but roles.
    Drop(Drop),
    /// `TRUNCATE`: deletes all rows of tables.
    Truncate(Truncate),
    /// `VACUUM` or `ANALYZE`: care for tables.
    Maintain(Maintain),
    /// `COMMENT ON`.
    Comment(Comment),
    /// `CREATE ROLE`, `USER` or `GROUP`.
    CreateRole(CreateRole),
    /// `ALTER ROLE` or `USER`: only what is mentioned changes.
    AlterRole(CreateRole),
    /// `UNDROP TABLE` or `RESTORE TABLE`.
    Restore(Restore),
    /// `ALTER SYSTEM`.
    AlterSystem(AlterSystem),
    /// `DROP ROLE`, `USER` or `GROUP`.
    DropRole(DropRole),
    /// `GRANT privilege, … ON objects TO grantee, …`.
    Grant(Grant),
    /// `REVOKE privilege, … ON objects FROM grantee, …`.
    Revoke(Grant),
    /// `ALTER DEFAULT PRIVILEGES`: what new objects have from the start.
    AlterDefaultPrivileges(AlterDefaultPrivileges),
    /// `REASSIGN OWNED` or `DROP OWNED`: all objects of roles.
    Owned(Owned),
    /// `GRANT role, … TO member, …`.
    GrantRole(GrantRole),
    /// `REVOKE role, … FROM member, …`.
    RevokeRole(GrantRole),
    /// `CREATE POLICY`: which rows of a table a command may see or write.
    CreatePolicy(CreatePolicy),
    /// `ALTER POLICY`: changes a row policy, or its name.
    AlterPolicy(AlterPolicy),
    /// `CREATE [OR REPLACE] MASKING POLICY`, as in Redshift.
    CreateMaskingPolicy(CreateMaskingPolicy),
    /// `CREATE RLS POLICY`: which rows are seen, without effect until it is attached.
    CreateRlsPolicy(CreateRlsPolicy),
    /// `ALTER RLS POLICY`: another expression.
    AlterRlsPolicy(AlterRlsPolicy),
    /// `ATTACH` or `DETACH RLS POLICY`.
    ChangeRls(RlsChange),
    /// `ATTACH MASKING POLICY`: masks a column for a grantee.
    AttachMask(AttachMask),
    /// `DETACH MASKING POLICY`: undoes an ATTACH of the same policy, column and grantee.
    DetachMask(DetachMask),
    /// `CREATE TAG`: what may be said of objects.
    CreateTag(CreateTag),
    /// `ALTER TAG`: its name, owner or values.
    AlterTag(AlterTag),
    /// `ALTER {SCHEMA | DATABASE} … {SET | UNSET} TAG`: says it of one, or takes it back.
    SetTags(SetTags),
    /// `ATTACH` or `DETACH MASKING POLICY … ON TAG`.
    TagMask(TagMaskChange),
    /// `SET` of a setting, of the role or of the session's user.
    Set(SetStatement),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`: of the transactions to come.
    SetCharacteristics(TransactionModes),
    /// `SHOW name`, or ALL.
    Show(Shown),
    /// `RESET name`, or ALL.
    Reset(Option<String>),
    /// `DISCARD ALL`: the session is as it was after login. `25001` inside a transaction block.
    DiscardAll,
    /// `DISCARD TEMP`: temporary tables and views are gone.
    DiscardTemporary,
    /// `LISTEN` to a channel, or `UNLISTEN`.
    Listen(Listening),
    /// `NOTIFY` a channel, with what is said; perhaps nothing.
    Notify(String, String),
    /// `PREPARE`.
    Prepare(Prepare),
    /// `EXECUTE`.
    Execute(Execute),
    /// `DEALLOCATE name`, or ALL.
    Deallocate(Option<String>),
    /// `DECLARE`: opens a cursor over a query.
    Declare(Declare),
    /// `FETCH` or `MOVE`: the next rows of a cursor.
    Fetch(Fetch),
    /// `CLOSE name`, or ALL.
    CloseCursor(Option<String>),
    /// `BEGIN` or `START TRANSACTION`, with its modes.
    Begin(TransactionModes),
    /// `SET TRANSACTION modes`: for the transaction in progress only.
    SetTransaction(TransactionModes),
    /// `SET CONSTRAINTS ALL` or names: when keys that may be deferred are checked.
    SetConstraints(SetConstraints),
    /// `COMMIT` or `END`; it rolls back if the transaction has failed.
    Commit,
    /// `ROLLBACK` or `ABORT` of the whole transaction.
    Rollback,
    /// `SAVEPOINT name`: a point in the transaction to go back to.
    Savepoint(String),
    /// `ROLLBACK TO [SAVEPOINT] name`: also ends the failed state. `3B001` if there is no such savepoint.
    RollbackTo(String),
    /// `RELEASE [SAVEPOINT] name`: forgets it, keeps what was done since. `3B001` if there is no such savepoint.
    Release(String),
}

/// `EXPLAIN [ANALYZE] statement`.
#[derive(Clone, Debug)]
pub struct Explain {
    /// `ANALYZE`: the statement is run, and the plan shown with what was measured.
    pub analyze: bool,
    /// `VERBOSE`: the plan is shown with more detail.
    pub verbose: bool,
    /// `POLICIES`: the policies that count are shown after the plan.
    pub policies: bool,
    /// What is explained: a query, an INSERT or a CREATE TABLE AS; the parser refuses all else with `0A000`.
    pub statement: Box<Command>,
}

/// Reads all statements of a message. Either all of them are well-formed or none is returned. Empty statements vanish.
pub fn parse(sql: &str) -> Result<Vec<Statement>, SyntaxError> {
    let text = Arc::new(Text::new(sql));
    let mut cursor = Cursor::new(&text)?;
    let mut statements = Vec::new();
    loop {
        while cursor.semicolon() {}
        if cursor.at_end() {
            return Ok(statements);
        }
        cursor.begin_statement();
        let command = command(&mut cursor)?;
        if !cursor.semicolon() && !cursor.at_end() {
            return Err(cursor.unexpected());
        }
        let moments = cursor.moments();
        if !moments.is_empty() && !command.may_read_the_past() {
            let feature = format!("the past in {}", command.tag());
            return Err(SyntaxError::Unsupported { feature, position: None });
        }
        let mut statement = Statement { text: Arc::clone(&text), command, parameters: cursor.parameters(), moments };
        if let Command::Prepare(prepare) = &mut statement.command {
            prepare.statement.parameters = std::mem::take(&mut statement.parameters);
            prepare.statement.moments = std::mem::take(&mut statement.moments);
        }
        statements.push(statement);
    }
}

/// Reads one expression, such as a stored default or policy.
pub fn parse_expression(sql: &str) -> Result<ast::Expr, SyntaxError> {
    let text = Arc::new(Text::new(sql));
    let mut cursor = Cursor::new(&text)?;
    let (expression, _source) = cursor.expression()?;
    if cursor.at_end() { Ok(expression) } else { Err(cursor.unexpected()) }
}

/// Reads one query, such as a stored view.
pub fn parse_query(sql: &str) -> Result<Box<ast::Query>, SyntaxError> {
    let text = Arc::new(Text::new(sql));
    let mut cursor = Cursor::new(&text)?;
    let (query, _source) = cursor.query()?;
    if cursor.at_end() { Ok(query) } else { Err(cursor.unexpected()) }
}

type Parse = fn(&mut Cursor<'_>) -> Result<Command, SyntaxError>;

/// What statements begin with, and what reads the rest.
static COMMANDS: &[(&[&str], Parse)] = &[
    (&["merge"], merge::parse),
    (&["refresh"], table::refresh),
    (&["lock"], lock::parse),
    (&["checkpoint"], |_| Ok(Command::Checkpoint)),
    (&["explain"], explain),
    (&["copy"], copy::parse),
    (&["create"], create),
    (&["alter"], alter),
    (&["drop"], drop),
    (&["truncate"], table::truncate),
    (&["undrop", "table"], maintain::undrop),
    (&["restore", "table"], maintain::restore),
    (&["vacuum"], maintain::vacuum),
    (&["analyze"], maintain::analyze),
    (&["analyse"], maintain::analyze),
    (&["comment", "on"], table::comment),
    (&["grant"], |c| grant::parse(c, false)),
    (&["revoke"], |c| grant::parse(c, true)),
    (&["reassign"], grant::reassign_owned),
    (&["attach", "rls", "policy"], |c| policy::change_rls(c, true)),
    (&["detach", "rls", "policy"], |c| policy::change_rls(c, false)),
    (&["attach", "masking", "policy"], policy::attach),
    (&["detach", "masking", "policy"], policy::detach),
    (&["set"], setting::set),
    (&["reset"], setting::reset),
    (&["show"], setting::show),
    (&["discard"], setting::discard),
    (&["declare"], |c| declare::declare(c, command)),
    (&["fetch"], |c| declare::fetch(c, false)),
    (&["move"], |c| declare::fetch(c, true)),
    (&["close"], declare::close),
];

fn command(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.peek_any(&["select", "with", "values", "table"]) || c.peek_left_parenthesis() {
        return top_level(c.query()?.0);
    }
    if c.peek_any(&["insert", "update", "delete"]) {
        return c.modifying();
    }
    if c.peek_any(&["listen", "unlisten", "notify"]) {
        return setting::listen_or_notify(c);
    }
    if c.peek_any(&["prepare", "execute", "deallocate"]) {
        return prepare::parse(c);
    }
    match COMMANDS.iter().find(|(words, _)| c.words(words)) {
        Some((_, parse)) => parse(c),
        None => transaction::parse(c),
    }
}

/// The name that an identifier stands for.
pub fn folded(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { crate::name::fold(&ident.value) }
}

/// What a query is as a statement: WITH may stand before a statement that changes rows.
fn top_level(mut query: Box<ast::Query>) -> Result<Command, SyntaxError> {
    if let Some(parts) = with::split(&mut query)? {
        return Ok(Command::Parts(WithParts { parts, main: Box::new(top_level(query)?) }));
    }
    if let Some(into) = into(&mut query.body) {
        let parts = into.name.0.iter().filter_map(ast::ObjectNamePart::as_ident).map(folded).collect::<Vec<_>>();
        let name = match parts.as_slice() {
            [name] => QualifiedName::bare(name.clone()),
            [.., schema, name] => QualifiedName::new(schema.clone(), name.clone()),
            [] => return Err(SyntaxError::Unsupported { feature: "this INTO".to_owned(), position: None }),
        };
        let name = NewTable { name, if_not_exists: false, temporary: into.temporary, on_commit: None };
        let (columns, layout, materialized) = (Vec::new(), Layout::default(), None);
        return Ok(Command::CreateTableAs(CreateTableAs {
            name,
            columns,
            layout,
            query,
            with_data: true,
            materialized,
        }));
    }
    match *query.body {
        ast::SetExpr::Insert(ast::Statement::Insert(mut insert)) => match insert.source.as_mut() {
            Some(source) if source.with.is_none() => {
                source.with = query.with;
                Ok(Command::Insert(Box::new(insert)))
            }
            _ if query.with.is_none() => Ok(Command::Insert(Box::new(insert))),
            _ => Err(SyntaxError::Unsupported { feature: "WITH before this INSERT".to_owned(), position: None }),
        },
        ast::SetExpr::Update(statement @ ast::Statement::Update(_))
        | ast::SetExpr::Delete(statement @ ast::Statement::Delete(_)) => {
            let feature = "this statement after WITH".to_owned();
            modify::from_statement(query.with, statement)
                .unwrap_or(Err(SyntaxError::Unsupported { feature, position: None }))
        }
        body => {
            query.body = Box::new(body);
            Ok(Command::Query(query))
        }
    }
}

/// Takes away `INTO table` of a query's first SELECT.
fn into(body: &mut ast::SetExpr) -> Option<ast::SelectInto> {
    match body {
        ast::SetExpr::Select(select) => select.into.take(),
        ast::SetExpr::SetOperation { left, .. } => into(left),
        _ => None,
    }
}

fn create(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let replace = c.words(&["or", "replace"]);
    if c.words(&["masking", "policy"]) {
        return policy::create_masking(c, replace);
    }
    if !replace && c.words(&["rls", "policy"]) {
        return policy::create_rls(c);
    }
    let scoped = c.words(&["local"]) || c.words(&["global"]);
    let temporary = c.words(&["temporary"]) || c.words(&["temp"]);
    if c.words(&["view"]) && !scoped {
        return table::create_view(c, replace, temporary);
    }
    let plain = !replace && !scoped && !temporary;
    if plain && c.words(&["materialized", "view"]) {
        return table::create_materialized(c);
    }
    if plain && c.words(&["unlogged", "materialized"]) {
        return Err(c.unsupported("a materialized view that is unlogged"));
    }
    if temporary && !replace && c.words(&["table"]) {
        return table::create(c, true);
    }
    if !replace && !scoped && c.words(&["sequence"]) {
        return sequence::create(c, temporary);
    }
    if temporary || scoped {
        return Err(c.unsupported_or_unexpected("CREATE TEMPORARY", &["recursive"]));
    }
    if replace {
        return Err(c.unexpected());
    }
    if c.words(&["external", "table"]) {
        return table::create_external(c);
    }
    // What is not logged could be lost: here nothing is.
    if c.words(&["table"]) || c.words(&["unlogged", "table"]) {
        return table::create(c, false);
    }
    if c.words(&["index"]) {
        return constraint::create_index(c, false);
    }
    if c.words(&["unique", "index"]) {
        return constraint::create_index(c, true);
    }
    if c.words(&["schema"]) {
        return table::create_schema(c);
    }
    if c.words(&["type"]) {
        return user_type::create_type(c);
    }
    if c.words(&["domain"]) {
        return user_type::create_domain(c);
    }
    if c.words(&["policy"]) {
        return policy::create(c);
    }
    if c.words(&["storage", "credential"]) {
        return table::create_credential(c);
    }
    if c.words(&["tag"]) {
        return tag::create(c);
    }
    if c.words(&["role"]) || c.words(&["group"]) {
        return role::create(c, false);
    }
    if c.words(&["user"]) {
        return role::create(c, true);
    }
    Err(c.unsupported_or_unexpected(
        "CREATE",
        &[
            "unlogged",
            "function",
            "procedure",
            "extension",
            "trigger",
            "database",
            "foreign",
            "server",
            "publication",
            "subscription",
            "rule",
            "aggregate",
            "operator",
            "collation",
            "cast",
            "recursive",
            "language",
            "statistics",
            "tablespace",
            "event",
            "crawler",
            "pipe",
            "task",
        ],
    ))
}

fn alter(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["table"]) || c.words(&["external", "table"]) || c.words(&["foreign", "table"]) {
        return alter::parse(c);
    }
    if c.words(&["index"]) {
        return alter::parse_other(c, AlterKind::Index);
    }
    if c.words(&["sequence"]) {
        return alter::parse_other(c, AlterKind::Sequence);
    }
    if c.words(&["view"]) {
        return alter::parse_other(c, AlterKind::View);
    }
    if c.words(&["materialized", "view"]) {
        return alter::parse_other(c, AlterKind::MaterializedView);
    }
    if c.words(&["type"]) {
        return user_type::alter(c, false);
    }
    if c.words(&["domain"]) {
        return user_type::alter(c, true);
    }
    if c.words(&["schema"]) {
        return table::alter_schema(c);
    }
    if c.words(&["default", "privileges"]) {
        return grant::alter_default(c);
    }
    if c.words(&["policy"]) {
        return policy::alter(c);
    }
    if c.words(&["rls", "policy"]) {
        return policy::alter_rls(c);
    }
    if c.words(&["role"]) || c.words(&["user"]) {
        return role::alter(c);
    }
    if c.words(&["system"]) {
        return setting::alter_system(c);
    }
    if c.words(&["tag"]) {
        return tag::alter(c);
    }
    if c.words(&["database"]) {
        return tag::alter_database(c);
    }
    Err(c.unsupported_or_unexpected("ALTER", &["schema", "default", "function", "masking", "group", "extension"]))
}

fn drop(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if c.words(&["owned"]) {
        return grant::drop_owned(c);
    }
    if c.words(&["role"]) || c.words(&["user"]) || c.words(&["group"]) {
        return role::drop(c);
    }
    let kind = if c.words(&["table"]) {
        DropKind::Table
    } else if c.words(&["external", "table"]) || c.words(&["foreign", "table"]) {
        DropKind::ExternalTable
    } else if c.words(&["view"]) {
        DropKind::View
    } else if c.words(&["materialized", "view"]) {
        DropKind::MaterializedView
    } else if c.words(&["sequence"]) {
        DropKind::Sequence
    } else if c.words(&["index"]) {
        let _no_difference = c.words(&["concurrently"]);
        DropKind::Index
    } else if c.words(&["schema"]) {
        DropKind::Schema
    } else if c.words(&["type"]) {
        DropKind::Type
    } else if c.words(&["domain"]) {
        DropKind::Domain
    } else if c.words(&["policy"]) {
        return policy::drop(c);
    } else if c.words(&["masking", "policy"]) {
        DropKind::MaskingPolicy
    } else if c.words(&["rls", "policy"]) {
        DropKind::RlsPolicy
    } else if c.words(&["storage", "credential"]) {
        DropKind::Credential
    } else if c.words(&["tag"]) {
        DropKind::Tag
    } else {
        return Err(
            c.unsupported_or_unexpected("DROP", &["function", "extension", "database", "owned", "server", "trigger"])
        );
    };
    table::drop(c, kind)
}

fn explain(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let (mut analyze, mut verbose, mut policies) = (false, false, false);
    if c.left_parenthesis() {
        loop {
            let option = c.ident()?;
            let on = !(c.words(&["off"]) || c.words(&["false"]));
            let _explicit = on && (c.words(&["on"]) || c.words(&["true"]));
            match option.as_str() {
                "analyze" => analyze = on,
                "verbose" => verbose = on,
                "policies" => policies = on,
                "costs" | "timing" | "summary" | "buffers" | "settings" | "wal" => {}
                "format" => {
                    let format = c.ident()?;
                    if format != "text" {
                        return Err(c.unsupported(&format!("EXPLAIN format \"{format}\"")));
                    }
                }
                other => return Err(c.unsupported(&format!("EXPLAIN option \"{other}\""))),
            }
            if !c.comma() {
                break;
            }
        }
        c.expect_right_parenthesis()?;
    } else {
        analyze = c.words(&["analyze"]);
        verbose = c.words(&["verbose"]);
    }
    let statement = Box::new(command(c)?);
    match statement.as_ref() {
        Command::Query(_) | Command::Insert(_) | Command::Parts(_) | Command::CreateTableAs(_) => {
            Ok(Command::Explain(Explain { analyze, verbose, policies, statement }))
        }
        _ => Err(c.unsupported("EXPLAIN of this statement")),
    }
}
