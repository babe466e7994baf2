//! Schemas, tables, external tables, views: CREATE, ALTER, DROP, TRUNCATE, COMMENT.

use std::collections::BTreeSet;

use super::super::generated;
use super::super::insert::{InsertPlan, default_value, from_query};
use super::super::{Parameters, PlanError, PlanResult, Right, Scope, query, waiting, with_changes};
use super::constraint::{Constrained, drop_index, numbered};
use super::dependents::policy_reads;
use super::layout::lay_out;
use super::materialized::refuse_effects;
use super::rls::refuse_attached;
use super::sequence;
use super::{DdlPlan, column, relation, reserved, role_id, undefined_role};
use crate::catalog::{
    Body, Change, Column, Constraint, ConstraintKind, Credential, DATABASE_ID, DATABASE_NAME, ExternalTable, Identity,
    Materialized, Namespace, OnCommit, Relation, RelationKind, Schema, Sequence, TEMPORARY_SCHEMA, TableStorage,
    UserType, View,
};
use crate::context::undefined_schema;
use crate::error::{Notice, Plain, SqlState, internal, unsupported};
use crate::govern::predefined::{READ_SERVER_FILES, SECURITY_ADMIN};
use crate::govern::{Acl, ObjectKind, Privilege, initial_acl};
use crate::guard::row_security_applies;
use crate::lake::{Lake, Location};
use crate::name::{ObjectId, QualifiedName};
use crate::statement::{
    AlterKind, AlterTable, AlterTableAction, ColumnDefinition, Comment, CommentTarget, Condition, CreateCredential,
    CreateExternalTable, CreateSchema, CreateTable, CreateTableAs, CreateView, Drop, DropKind, IdentityOption,
    NewTable, Truncate,
};
use crate::transaction::temporary_schema;
use crate::types::{PgType, of_field};
use crate::warehouse::folder;

pub(super) fn create_schema(scope: &Scope, ddl: &mut DdlPlan, create: &CreateSchema) -> PlanResult<()> {
    reserved(&create.name, "schema")?;
    ddl.need(scope, Right::Database(Privilege::Create));
    let owner = match &create.owner {
        Some(spec) => role_id(scope, spec)?,
        None => scope.ctx.role,
    };
    ddl.need(scope, Right::Member(owner));
    if scope.catalog().schema_id(&create.name).is_some() {
        return ddl.exists(SqlState::DUPLICATE_SCHEMA, "schema", &create.name, create.if_not_exists);
    }
    let acl = initial(scope, owner, ObjectKind::Schemas, None);
    let schema = Schema { name: create.name.clone(), path: folder(&create.name), owner, acl, comment: None };
    let id = ddl.new_id(scope);
    ddl.put(id, Body::Schema(schema));
    Ok(())
}

/// The schema that a new relation goes to. `temporary`: the session's own, which is made if it is not there.
fn schema_of(scope: &Scope, ddl: &mut DdlPlan, name: &QualifiedName, temporary: bool) -> PlanResult<ObjectId> {
    let temporary = temporary
        || match &name.schema {
            Some(schema) => schema == "pg_temp",
            None => scope.ctx.settings.search_path().first().is_some_and(|first| first == "pg_temp"),
        };
    if !temporary {
        let (schema, _) = scope.ctx.creation_schema(name)?;
        ddl.need(scope, Right::Schema(schema, Privilege::Create));
        return Ok(schema);
    }
    if let Some(schema) = &name.schema
        && schema != "pg_temp"
        && scope.catalog().schema_id(schema) != Some(TEMPORARY_SCHEMA)
    {
        let message = "cannot create temporary relation in non-temporary schema";
        return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
    }
    ddl.need(scope, Right::Database(Privilege::Temporary));
    if scope.catalog().schema(TEMPORARY_SCHEMA).is_none() {
        ddl.put(TEMPORARY_SCHEMA, Body::Schema(temporary_schema(scope.ctx.backend_pid)));
    }
    Ok(TEMPORARY_SCHEMA)
}

/// Where a new table goes; `None` if there is one by that name already and that is all right.
fn place_table(scope: &Scope, ddl: &mut DdlPlan, table: &NewTable) -> PlanResult<Option<ObjectId>> {
    let schema = place(scope, ddl, &table.name, table.if_not_exists, table.temporary)?;
    if table.on_commit.is_some() && schema.is_some_and(|schema| schema != TEMPORARY_SCHEMA) {
        let message = "ON COMMIT can only be used on temporary tables";
        return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
    }
    Ok(schema)
}

/// Whether the role may know what is in a schema; else it may not make anything there either.
fn may_look(scope: &Scope, schema: ObjectId) -> bool {
    scope.catalog().schema(schema).is_none_or(|of| !scope.ctx.schema_rights(of).is_empty())
}

/// Where a new relation goes; `None` if there is one by that name already and that is all right.
pub(super) fn place(
    scope: &Scope,
    ddl: &mut DdlPlan,
    name: &QualifiedName,
    if_not_exists: bool,
    temporary: bool,
) -> PlanResult<Option<ObjectId>> {
    let schema = schema_of(scope, ddl, name, temporary)?;
    if !may_look(scope, schema) || scope.catalog().find(Namespace::Relation(schema), &name.name).is_none() {
        return Ok(Some(schema));
    }
    ddl.exists(SqlState::DUPLICATE_TABLE, "relation", &name.name, if_not_exists)?;
    Ok(None)
}

/// The privileges of an object that a role makes.
pub(super) fn initial(scope: &Scope, owner: ObjectId, kind: ObjectKind, schema: Option<ObjectId>) -> Option<Acl> {
    initial_acl(&scope.catalog().role(owner)?.default_privileges, owner, kind, schema)
}

pub(super) fn new_relation(
    scope: &Scope,
    schema: ObjectId,
    name: &str,
    columns: Vec<Column>,
    storage: RelationKind,
) -> Relation {
    let kind = match storage {
        RelationKind::Sequence(_) => ObjectKind::Sequences,
        _ => ObjectKind::Tables,
    };
    let acl = initial(scope, scope.ctx.role, kind, Some(schema));
    Relation {
        schema,
        name: name.to_owned(),
        owner: scope.ctx.role,
        acl,
        columns,
        storage,
        row_security: false,
        force_row_security: false,
        any_rls_policy: false,
        comment: None,
        constraints: Vec::new(),
        indexes: Vec::new(),
    }
}

pub(super) fn plain_column(id: i32, name: &str, pg: PgType) -> Column {
    Column {
        id,
        name: name.to_owned(),
        pg,
        domain: None,
        nullable: true,
        default: None,
        initial: None,
        identity: None,
        generated: None,
        acl: None,
        comment: None,
    }
}

fn table_storage(table: &NewTable, schema: ObjectId) -> RelationKind {
    let temporary = schema == TEMPORARY_SCHEMA;
    RelationKind::Table(TableStorage {
        uuid: uuid::Uuid::now_v7().to_string(),
        path: folder(&table.name.name),
        home: None,
        on_commit: temporary.then(|| table.on_commit.unwrap_or(OnCommit::PreserveRows)),
        next_column_id: None,
        partitioning: None,
        sorting: None,
        materialized: None,
    })
}

/// Numbers the columns. `42701` for a name that is there twice.
fn number(names_and_types: impl Iterator<Item = (String, PgType)>) -> PlanResult<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, pg) in names_and_types {
        // A file may have any names; these are the planner's own.
        if name.contains(['\u{1}', '\u{2}']) {
            return Err(unsupported("a column name with control characters").into());
        }
        if columns.iter().any(|column| column.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Plain::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        let id = i32::try_from(columns.len()).unwrap_or(i32::MAX - 1) + 1;
        columns.push(plain_column(id, &name, pg));
    }
    Ok(columns)
}

pub(super) fn create_table(scope: &Scope, ddl: &mut DdlPlan, create: &CreateTable) -> PlanResult<()> {
    let Some(schema) = place_table(scope, ddl, &create.name)? else { return Ok(()) };
    let table = &create.name.name.name;
    let mut columns = number(create.columns.iter().map(|column| (column.name.clone(), column.pg.clone())))?;
    let id = ddl.new_id(scope);
    let mut sequences = Vec::new();
    for (column, definition) in columns.iter_mut().zip(&create.columns) {
        declare(scope, column)?;
        column.nullable = !definition.not_null;
        column.default = definition.default.as_deref().map(|text| sequence::with_schemas(scope, text)).transpose()?;
        if let Some(option) = &definition.identity {
            if definition.default.is_some() {
                let message =
                    format!("multiple default values specified for column \"{}\" of table \"{}\"", column.name, table);
                return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
            }
            let sequence = sequence::of_column(id, column, &option.options)?;
            let sequence_id = ddl.new_id(scope);
            let name = sequence_name(scope, schema, table, &column.name, option)?;
            sequences
                .push((sequence_id, new_relation(scope, schema, &name, Vec::new(), RelationKind::Sequence(sequence))));
            column.identity = Some(Identity { kind: option.kind, sequence: sequence_id });
            column.nullable = false;
        }
    }
    let mut relation = new_relation(scope, schema, table, columns, table_storage(&create.name, schema));
    let columns = relation.columns.iter().zip(&create.columns).enumerate();
    let mut generated = Vec::new();
    for (index, (column, definition)) in columns {
        if let Some((expression, stored)) = &definition.generated {
            one_source(column, definition, table)?;
            generated.push((index, generated::define(scope, &relation, expression, *stored)?));
        }
    }
    for (index, own) in generated {
        if let Some(column) = relation.columns.get_mut(index) {
            column.generated = Some(own);
        }
    }
    for column in &relation.columns {
        if let Some(own) = &column.generated {
            // Again: none may read another, and each must fit its column.
            generated::define(scope, &relation, &own.expression, own.stored)?;
            generated::generation(scope, &relation, column, own)?;
        }
    }
    lay_out(scope, ddl, &mut relation, &create.layout)?;
    let mut constrained = Constrained { scope, ddl, id, table: &mut relation };
    // Keys first, so that foreign keys may refer to them.
    let of_columns = create.columns.iter().flat_map(|column| &column.constraints);
    let (foreign, others): (Vec<_>, Vec<_>) = of_columns
        .chain(&create.constraints)
        .partition(|constraint| matches!(constraint.condition, Condition::Foreign(_)));
    for constraint in others.into_iter().chain(foreign) {
        constrained.add(constraint)?;
    }
    // Defaults must be expressions that can be computed: checked as if a row were inserted.
    let mut ahead: Vec<Change> =
        sequences.iter().map(|(id, body)| Change::Put(*id, Box::new(Body::Relation(body.clone())))).collect();
    ahead.push(Change::Put(id, Box::new(Body::Relation(relation.clone()))));
    let mut inner = scope.clone();
    inner.ctx = with_changes(&scope.ctx, &ahead);
    for column in relation.columns.iter().filter(|column| column.default.is_some()) {
        default_value(&inner, column)?;
    }
    ddl.put(id, Body::Relation(relation));
    for (id, sequence) in sequences {
        ddl.put(id, Body::Relation(sequence));
    }
    Ok(())
}

/// `42601` for a generated column that has a default or a sequence as well.
pub(super) fn one_source(column: &Column, definition: &ColumnDefinition, table: &str) -> PlanResult<()> {
    let other = match (&definition.default, &definition.identity) {
        (Some(_), _) => "default",
        (None, Some(_)) => "identity",
        (None, None) => return Ok(()),
    };
    let message =
        format!("both {other} and generation expression specified for column \"{}\" of table \"{table}\"", column.name);
    Err(Plain::new(SqlState::SYNTAX_ERROR, message).into())
}

/// The name of a column's own sequence. `42P07` for one that is asked for and taken, `0A000` for another schema than the
/// table's.
pub(super) fn sequence_name(
    scope: &Scope,
    schema: ObjectId,
    table: &str,
    column: &str,
    option: &IdentityOption,
) -> PlanResult<String> {
    let taken = |name: &str| scope.catalog().find(Namespace::Relation(schema), name).is_some();
    let Some(wanted) = &option.name else { return Ok(numbered(&format!("{table}_{column}_seq"), taken)) };
    let own = scope.catalog().schema(schema).map(|schema| &schema.name);
    if wanted.schema.is_some() && wanted.schema.as_ref() != own {
        return Err(unsupported("a column's sequence in another schema than its table").into());
    }
    if taken(&wanted.name) {
        let message = format!("relation \"{}\" already exists", wanted.name);
        return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into());
    }
    Ok(wanted.name.clone())
}

/// Looks up the type that a column was declared with. `42704`, and as [`storable`].
pub(super) fn declare(scope: &Scope, column: &mut Column) -> PlanResult<()> {
    (column.pg, column.domain) = scope.ctx.named_type(&column.pg)?;
    storable(&column.pg)
}

/// Types that the warehouse keeps. `0A000`, `42P16`.
pub(super) fn storable(pg: &PgType) -> PlanResult<()> {
    match pg {
        PgType::Array(element) => storable(element),
        PgType::Bool
        | PgType::Int2
        | PgType::Int4
        | PgType::Int8
        | PgType::Float4
        | PgType::Float8
        | PgType::Numeric(_)
        | PgType::Text
        | PgType::Varchar(_)
        | PgType::Char(_)
        | PgType::Bytea
        | PgType::Date
        | PgType::Time(_)
        | PgType::Timetz(_)
        | PgType::Timestamp(_)
        | PgType::Timestamptz(_)
        | PgType::Interval
        | PgType::Enum(_)
        | PgType::Uuid
        | PgType::Inet
        | PgType::Cidr
        | PgType::Macaddr
        | PgType::Macaddr8
        | PgType::Json
        | PgType::Jsonb => Ok(()),
        PgType::Composite(of) => of.attributes.iter().try_for_each(|attribute| storable(&attribute.pg)),
        other => Err(unsupported(format!("a column of type {other}")).into()),
    }
}

pub(in crate::plan) fn create_table_as(
    scope: &Scope,
    create: &CreateTableAs,
    parameters: &Parameters,
) -> PlanResult<(DdlPlan, Option<InsertPlan>)> {
    let materialized = create.materialized.as_ref();
    let tag = if materialized.is_some() { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
    let mut ddl = DdlPlan { tag, ..DdlPlan::default() };
    let Some(schema) = place_table(scope, &mut ddl, &create.name)? else { return Ok((ddl, None)) };
    let query = query::plan(scope, &create.query, parameters)?;
    if create.columns.len() > query.fields.len() {
        return Err(Plain::new(SqlState::SYNTAX_ERROR, "too many column names were specified").into());
    }
    let named = query.fields.iter().enumerate().map(|(index, field)| {
        let pg = match of_field(field) {
            PgType::Name | PgType::Unknown => PgType::Text,
            other => other,
        };
        (create.columns.get(index).unwrap_or(field.name()).clone(), pg)
    });
    let columns = number(named)?;
    if let Some(column) = columns.iter().find(|column| matches!(column.pg, PgType::Record(_))) {
        let message = format!("column \"{}\" has pseudo-type record", column.name);
        return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
    }
    for column in &columns {
        storable(&column.pg)?;
    }
    let id = ddl.new_id(scope);
    let mut storage = table_storage(&create.name, schema);
    if let (RelationKind::Table(storage), Some(text)) = (&mut storage, materialized) {
        if query.parameters.iter().any(Option::is_some) {
            return Err(unsupported("a materialized view that is defined with parameters").into());
        }
        refuse_effects(&query.logical)?;
        if schema == TEMPORARY_SCHEMA || !temporary_of(scope, text).is_empty() {
            let message = "materialized views must not use temporary tables or views";
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
        let search_path = scope.path_names();
        let view = View { query: text.clone(), search_path, security_invoker: false, reads: Vec::new() };
        storage.materialized = Some(Box::new(Materialized { view, populated: create.with_data }));
    }
    let mut relation = new_relation(scope, schema, &create.name.name.name, columns, storage);
    lay_out(scope, &mut ddl, &mut relation, &create.layout)?;
    // Under a schema that may be new.
    let mut inner = scope.clone();
    inner.ctx = with_changes(&scope.ctx, &ddl.changes);
    let fill = if create.with_data { Some(from_query(&inner, id, &relation, query, "SELECT")?) } else { None };
    ddl.put(id, Body::Relation(relation));
    Ok((ddl, fill))
}

pub(super) fn create_external(scope: &Scope, ddl: &mut DdlPlan, create: &CreateExternalTable) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(READ_SERVER_FILES, "create an external table"));
    let Some(schema) = place(scope, ddl, &create.name, create.if_not_exists, false)? else { return Ok(()) };
    let facts = scope.facts.location.as_ref().zip(scope.facts.inferred.as_ref());
    let (location, inferred) = facts.ok_or_else(|| internal("an external table without facts"))?;
    let typed: Vec<(String, PgType)> =
        create.columns.iter().map(|column| (column.name.clone(), column.pg.clone())).collect();
    if create.columns.iter().any(|column: &ColumnDefinition| column.default.is_some() || column.identity.is_some()) {
        return Err(unsupported("a default for a column of an external table").into());
    }
    if create.columns.iter().any(|column| !column.constraints.is_empty()) {
        return Err(unsupported("a constraint of an external table").into());
    }
    for (_, pg) in &typed {
        if scope.ctx.named_type(pg)?.0 != *pg {
            return Err(unsupported(format!("type {pg} in an external table")).into());
        }
    }
    let partitions: Vec<(String, PgType)> = if create.partitions.is_empty() {
        // A declared column of the same name as a folder is that partition, with the declared type.
        inferred
            .partitions
            .iter()
            .map(|(name, pg)| {
                let declared = typed.iter().find(|(column, _)| column == name);
                (name.clone(), declared.map_or_else(|| pg.clone(), |(_, pg)| pg.clone()))
            })
            .collect()
    } else {
        create
            .partitions
            .iter()
            .map(|(name, pg)| {
                let declared = typed.iter().find(|(column, _)| column == name).map(|(_, pg)| pg.clone());
                let found =
                    inferred.partitions.iter().find(|(partition, _)| partition == name).map(|(_, pg)| pg.clone());
                (name.clone(), pg.clone().or(declared).or(found).unwrap_or(PgType::Text))
            })
            .collect()
    };
    let columns = if typed.is_empty() { inferred.columns.clone() } else { typed };
    let is_partition = |name: &str| partitions.iter().any(|(partition, _)| partition == name);
    let all = columns.into_iter().filter(|(name, _)| !is_partition(name)).chain(partitions.clone());
    let columns = number(all)?;
    let storage = RelationKind::External(ExternalTable {
        format: create.format,
        location: location.to_string(),
        partitions: partitions.into_iter().map(|(name, _)| name).collect(),
        options: inferred.options.clone(),
    });
    let relation = new_relation(scope, schema, &create.name.name, columns, storage);
    let id = ddl.new_id(scope);
    ddl.put(id, Body::Relation(relation));
    Ok(())
}

/// The temporary relations that a query reads.
fn temporary_of(scope: &Scope, query: &str) -> Vec<ObjectId> {
    let named = query::relations_of(query);
    let read = named.iter().filter_map(|name| scope.ctx.relation(name));
    read.filter(|(_, relation)| relation.schema == TEMPORARY_SCHEMA).map(|(id, _)| id).collect()
}

pub(super) fn create_view(scope: &Scope, ddl: &mut DdlPlan, create: &CreateView) -> PlanResult<()> {
    let bound = query::plan(scope, &create.query, &Parameters::default())?;
    waiting::refuse(&bound.logical, false).map_err(PlanError::Engine)?;
    let reads = temporary_of(scope, &create.source);
    let reads_temporary = !reads.is_empty();
    let schema = schema_of(scope, ddl, &create.name, create.temporary || reads_temporary)?;
    if reads_temporary && !create.temporary {
        let message = format!("view \"{}\" will be a temporary view", create.name.name);
        ddl.notices.push(Notice::new(SqlState::SUCCESSFUL_COMPLETION, message));
    }
    if bound.parameters.iter().any(Option::is_some) {
        return Err(Plain::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1").into());
    }
    let named = bound
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| (create.columns.get(index).unwrap_or(field.name()).clone(), of_field(field)));
    let columns = number(named)?;
    let temporary = (schema == TEMPORARY_SCHEMA).then(|| "pg_temp".to_owned());
    let view = View {
        query: create.source.clone(),
        search_path: temporary.into_iter().chain(scope.path_names()).collect(),
        security_invoker: create.security_invoker,
        reads,
    };
    let mut new = new_relation(scope, schema, &create.name.name, columns, RelationKind::View(view));
    let existing =
        scope.catalog().find(Namespace::Relation(schema), &create.name.name).filter(|_| may_look(scope, schema));
    let id = match existing.and_then(|id| scope.catalog().relation(id).map(|old| (id, old))) {
        None => ddl.new_id(scope),
        Some((id, old)) if create.replace && matches!(old.storage, RelationKind::View(_)) => {
            ddl.need(scope, Right::Own(id));
            let kept = old.columns.iter().zip(&new.columns).all(|(old, new)| old.name == new.name && old.pg == new.pg);
            if !kept || new.columns.len() < old.columns.len() {
                let message = "cannot change the columns of an existing view";
                return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message)
                    .hint("Drop the view first.")
                    .into());
            }
            (new.owner, new.acl) = (old.owner, old.acl.clone());
            id
        }
        Some((_, old)) if create.replace => {
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a view", old.name)).into());
        }
        Some(_) => {
            return Err(Plain::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" already exists", create.name.name),
            )
            .into());
        }
    };
    ddl.put(id, Body::Relation(new));
    Ok(())
}

pub(super) fn create_credential(scope: &Scope, ddl: &mut DdlPlan, create: &CreateCredential) -> PlanResult<()> {
    ddl.need(scope, Right::Superuser("create a storage credential"));
    if scope.catalog().find(Namespace::Credential, &create.name).is_some() {
        return ddl.exists(SqlState::DUPLICATE_OBJECT, "storage credential", &create.name, create.if_not_exists);
    }
    let mut options = create.options.clone();
    let scope_url = options.remove("scope").unwrap_or_else(|| "s3://".to_owned());
    let scope_url = if scope_url == "s3://" { scope_url } else { Location::prefix(&scope_url)? };
    for name in options.keys() {
        Lake::check_credential_option(name)?;
    }
    let credential = Credential::new(create.name.clone(), scope.ctx.role, scope_url, options);
    let id = ddl.new_id(scope);
    ddl.put(id, Body::Credential(credential));
    Ok(())
}

/// The old owner's rights, and what he granted, go over to the new one.
pub(super) fn change_owner(relation: &mut Relation, owner: ObjectId) {
    let old = std::mem::replace(&mut relation.owner, owner);
    let columns = relation.columns.iter_mut().filter_map(|column| column.acl.as_mut());
    relation.acl.iter_mut().chain(columns).for_each(|acl| acl.hand_over(old, owner));
}

/// What belongs to a table and has its owner: sequences of its columns, and indexes.
pub(super) fn parts(scope: &Scope, table: ObjectId) -> impl Iterator<Item = (ObjectId, &Relation)> {
    let indexes = scope
        .catalog()
        .relations()
        .filter(move |(_, relation)| relation.as_index().is_some_and(|index| index.table == table));
    owned_sequences(scope, table).chain(indexes)
}

pub(super) fn owned_sequences(scope: &Scope, table: ObjectId) -> impl Iterator<Item = (ObjectId, &Relation)> {
    scope.catalog().relations().filter(move |(_, relation)| {
        matches!(&relation.storage, RelationKind::Sequence(Sequence { owned_by: Some((owner, _)), .. }) if *owner == table)
    })
}

pub(super) fn drop(scope: &Scope, ddl: &mut DdlPlan, drop: &Drop) -> PlanResult<()> {
    let mut gone = BTreeSet::new();
    for name in &drop.names {
        let found = match &drop.kind {
            DropKind::Table
            | DropKind::ExternalTable
            | DropKind::View
            | DropKind::MaterializedView
            | DropKind::Sequence
            | DropKind::Index => drop_relation(scope, drop, name)?,
            DropKind::Type | DropKind::Domain => {
                let found = super::user_type::find(scope, name, false);
                found.and_then(|(id, user_type)| {
                    if drop.kind == DropKind::Domain && user_type.as_domain().is_none() {
                        let message = format!("\"{name}\" is not a domain");
                        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message));
                    }
                    Ok(id)
                })
            }
            DropKind::Schema => scope.catalog().schema_id(&name.name).ok_or_else(|| undefined_schema(&name.name)),
            DropKind::RlsPolicy => named(scope, Namespace::RlsPolicy, "RLS policy", &name.name),
            DropKind::MaskingPolicy => named(scope, Namespace::MaskingPolicy, "masking policy", &name.name),
            DropKind::Tag => named(scope, Namespace::Tag, "tag", &name.name),
            DropKind::Credential => named(scope, Namespace::Credential, "storage credential", &name.name),
            DropKind::Policy(table) => match relation(scope, table) {
                Ok((id, relation)) => {
                    ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, id));
                    scope.catalog().find(Namespace::RowPolicy(id), &name.name).ok_or_else(|| {
                        Plain::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("policy \"{}\" for table \"{}\" does not exist", name.name, relation.name),
                        )
                    })
                }
                Err(_) if drop.if_exists => Err(crate::context::undefined_table(table)),
                Err(error) => return Err(error),
            },
        };
        match found {
            Ok(id) => {
                match &drop.kind {
                    DropKind::Policy(_) => refuse_attached(scope, id)?,
                    DropKind::RlsPolicy | DropKind::MaskingPolicy | DropKind::Tag => {
                        ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, id));
                    }
                    DropKind::Credential => ddl.need(scope, Right::Superuser("drop it")),
                    DropKind::Table
                    | DropKind::ExternalTable
                    | DropKind::View
                    | DropKind::MaterializedView
                    | DropKind::Sequence
                    | DropKind::Index
                    | DropKind::Type
                    | DropKind::Domain
                    | DropKind::Schema => {
                        ddl.need(scope, Right::Own(id));
                    }
                }
                if drop.kind == DropKind::Index {
                    drop_index(scope, ddl, id, drop.cascade)?;
                } else {
                    gone.insert(id);
                }
            }
            Err(error) if drop.if_exists => {
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{}, skipping", error.message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    cascade(scope, ddl, drop, gone)
}

fn named(scope: &Scope, namespace: Namespace, kind: &str, name: &str) -> Result<ObjectId, Plain> {
    let missing = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("{kind} \"{name}\" does not exist"));
    scope.catalog().find(namespace, name).ok_or_else(missing)
}

fn drop_relation(scope: &Scope, drop: &Drop, name: &QualifiedName) -> PlanResult<Result<ObjectId, Plain>> {
    let (wanted, verb): (fn(&Relation) -> bool, &str) = match drop.kind {
        DropKind::ExternalTable => (|relation| matches!(relation.storage, RelationKind::External(_)), "foreign table"),
        DropKind::View => (|relation| matches!(relation.storage, RelationKind::View(_)), "view"),
        DropKind::MaterializedView => (|relation| relation.materialized().is_some(), "materialized view"),
        DropKind::Sequence => (|relation| matches!(relation.storage, RelationKind::Sequence(_)), "sequence"),
        DropKind::Index => (|relation| relation.as_index().is_some(), "index"),
        _ => (Relation::is_table, "table"),
    };
    scope.ctx.schema_usable(name)?;
    let Some((id, relation)) = scope.ctx.relation(name) else {
        let code = if verb == "index" { SqlState::UNDEFINED_OBJECT } else { SqlState::UNDEFINED_TABLE };
        return Ok(Err(Plain::new(code, format!("{verb} \"{name}\" does not exist"))));
    };
    if !wanted(relation) {
        let hint = match relation.kind_name() {
            "foreign table" => "Use DROP EXTERNAL TABLE to remove a foreign table.".to_owned(),
            kind => format!("Use DROP {} to remove a {kind}.", kind.to_ascii_uppercase()),
        };
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a {verb}", relation.name))
            .hint(hint)
            .into());
    }
    if let RelationKind::Sequence(Sequence { owned_by: Some((table, column)), .. }) = &relation.storage
        && let Some(column) = scope.catalog().relation(*table).and_then(|table| table.column_by_id(*column))
        && column.identity.as_ref().is_some_and(|identity| identity.sequence == id)
    {
        let message = format!("cannot drop sequence {} because other objects depend on it", relation.name);
        let table = scope.ctx.display_name(*table);
        return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .hint(format!("Drop the table {table} instead."))
            .into());
    }
    Ok(Ok(id))
}

/// Adds what falls with the objects, refuses to leave what does not.
pub(super) fn cascade(scope: &Scope, ddl: &mut DdlPlan, drop: &Drop, mut gone: BTreeSet<ObjectId>) -> PlanResult<()> {
    // Tables with defaults that draw from what goes.
    let mut defaults = BTreeSet::new();
    loop {
        let before = gone.len();
        let mut blocking = None;
        for entry in scope.catalog().entries().filter(|entry| !gone.contains(&entry.id)).collect::<Vec<_>>() {
            if let Body::Relation(relation) = &entry.body
                && !gone.contains(&relation.schema)
                && relation.columns.iter().any(|column| sequence::draws_from(scope, column, &gone))
                && !defaults.contains(&entry.id)
            {
                if !drop.cascade {
                    blocking.get_or_insert(entry.id);
                    continue;
                }
                defaults.insert(entry.id);
            }
            let depends = depends(scope, &entry.body, &gone);
            let cascades = drop.cascade && !is_policy(&entry.body) && !loses_attribute(&entry.body, &gone);
            if falls_with(scope, &entry.body, &gone) || depends && cascades {
                gone.insert(entry.id);
            } else if depends {
                blocking.get_or_insert(entry.id);
            }
        }
        if gone.len() > before {
            continue;
        }
        if let Some(id) = blocking {
            ddl.refusal = Some(blocked(scope, drop, id));
            return Ok(());
        }
        if let Some(refusal) = unreferenced(scope, ddl, drop, &gone) {
            ddl.refusal = Some(refusal);
            return Ok(());
        }
        let types = gone.iter().filter(|id| scope.catalog().user_type(**id).is_some());
        if let Some(by) = types.copied().find_map(|id| super::user_type::named_by(scope, id, &gone)) {
            let names = drop.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("cannot drop {names} because other objects depend on it");
            let refusal = Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message);
            ddl.refusal = Some(refusal.detail(format!("{by} names it")).hint("Drop that first."));
            return Ok(());
        }
        if let Some(refusal) = drop_columns(scope, ddl, drop, &gone)? {
            ddl.refusal = Some(refusal);
            return Ok(());
        }
        for id in defaults.difference(&gone) {
            let Some(mut table) = ddl.relation(scope, *id).cloned() else { continue };
            for column in table.columns.iter_mut().filter(|column| sequence::draws_from(scope, column, &gone)) {
                let name = scope.ctx.display_name(*id);
                let message = format!("drop cascades to default value for column {} of table {name}", column.name);
                column.default = None;
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, message);
            }
            ddl.put(*id, Body::Relation(table));
        }
        ddl.changes.extend(gone.into_iter().map(Change::Delete));
        return Ok(());
    }
}

/// With CASCADE, columns of types that go are dropped; without, they are a refusal.
fn drop_columns(scope: &Scope, ddl: &mut DdlPlan, drop: &Drop, gone: &BTreeSet<ObjectId>) -> PlanResult<Option<Plain>> {
    let of_gone = |column: &&Column| column.types().any(|id| gone.contains(&id));
    for (id, relation) in scope.catalog().relations().filter(|(id, _)| !gone.contains(id)) {
        let mut names = Vec::new();
        for column in relation.columns.iter().filter(of_gone) {
            let kind = relation.kind_name();
            let shown = format!("column {} of {kind} {}", column.name, scope.ctx.display_name(id));
            if !drop.cascade || relation.query().is_some() {
                let names = drop.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let what = if drop.kind == DropKind::Schema { "schema" } else { "type" };
                let message = format!("cannot drop {what} {names} because other objects depend on it");
                let refusal = Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(format!("{shown} depends on {what} {names}"));
                return Ok(Some(if relation.query().is_some() {
                    refusal.hint(format!("Drop the {kind} first."))
                } else {
                    refusal.hint("Use DROP ... CASCADE to drop the dependent objects too.")
                }));
            }
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to {shown}"));
            names.push(column.name.clone());
        }
        if !names.is_empty() {
            let drop_column = |column| AlterTableAction::DropColumn { if_exists: false, column, cascade: true };
            let name = QualifiedName {
                schema: scope.catalog().schema(relation.schema).map(|schema| schema.name.clone()),
                name: relation.name.clone(),
            };
            let actions = names.into_iter().map(drop_column).collect();
            let statement = AlterTable { name, if_exists: false, actions, kind: AlterKind::Table };
            let (altered, _) = super::alter::alter(scope, &statement)?;
            ddl.changes.extend(altered.changes);
            ddl.notices.extend(altered.notices);
        }
    }
    Ok(None)
}

/// With CASCADE, foreign keys that refer to tables that go are dropped; without, they are a refusal.
fn unreferenced(scope: &Scope, ddl: &mut DdlPlan, drop: &Drop, gone: &BTreeSet<ObjectId>) -> Option<Plain> {
    let refers = |constraint: &Constraint| match &constraint.kind {
        ConstraintKind::Foreign(key) => gone.contains(&key.table),
        ConstraintKind::Primary(_) | ConstraintKind::Unique(_) | ConstraintKind::Check(_) => false,
    };
    for (id, relation) in scope.catalog().relations().filter(|(id, _)| !gone.contains(id)) {
        let Some(found) = relation.constraints.iter().find(|constraint| refers(constraint)) else { continue };
        let name = format!("constraint {} on table {}", found.name, scope.ctx.display_name(id));
        if !drop.cascade {
            let names = drop.names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>().join(", ");
            let kind = if drop.kind == DropKind::Schema { "schema" } else { "table" };
            let message = format!("cannot drop {kind} {names} because other objects depend on it");
            return Some(
                Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(format!("{name} depends on {kind} {names}"))
                    .hint("Use DROP ... CASCADE to drop the dependent objects too."),
            );
        }
        let mut changed = relation.clone();
        changed.constraints.retain(|constraint| !refers(constraint));
        ddl.put(id, Body::Relation(changed));
        ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to {name}"));
    }
    None
}

/// Whether an object is part of what goes.
fn falls_with(scope: &Scope, body: &Body, gone: &BTreeSet<ObjectId>) -> bool {
    match body {
        Body::RowPolicy(policy) => gone.contains(&policy.relation),
        Body::MaskAttachment(attachment) => gone.contains(&attachment.relation),
        // Also what was said of a column that is not there any more.
        Body::TagAssignment(assignment) => {
            let relation = || scope.catalog().relation(assignment.object);
            let is_gone = |id| relation().is_some_and(|relation| relation.column_by_id(id).is_none());
            gone.contains(&assignment.object)
                || gone.contains(&assignment.tag) && assignment.column.is_some_and(is_gone)
        }
        Body::Relation(relation) => match &relation.storage {
            RelationKind::Sequence(Sequence { owned_by: Some((table, _)), .. }) => gone.contains(table),
            RelationKind::Index(index) => gone.contains(&index.table),
            _ => false,
        },
        _ => false,
    }
}

/// Whether an object makes no sense without what goes.
fn depends(scope: &Scope, body: &Body, gone: &BTreeSet<ObjectId>) -> bool {
    match body {
        Body::Relation(relation) => gone.contains(&relation.schema) || reads(scope, relation, gone),
        Body::MaskAttachment(attachment) => attachment.policy.is_some_and(|policy| gone.contains(&policy)),
        Body::TagMask(mask) => gone.contains(&mask.tag) || mask.policy.is_some_and(|policy| gone.contains(&policy)),
        Body::TagGrant(grant) => grant.condition.iter().any(|(tag, _)| gone.contains(tag)),
        Body::TagAssignment(assignment) => gone.contains(&assignment.tag),
        Body::RowPolicy(policy) => {
            let is_attached = policy.attached.is_some_and(|attached| gone.contains(&attached));
            is_attached || policy_reads(scope, policy, &|id| gone.contains(&id))
        }
        Body::RlsPolicy(_) | Body::MaskingPolicy(_) => body.types().iter().any(|id| gone.contains(id)),
        Body::Type(user_type) => {
            let over = user_type.over().flat_map(PgType::objects);
            gone.contains(&user_type.schema) || over.into_iter().any(|id| gone.contains(&id))
        }
        _ => false,
    }
}

/// What stays whatever CASCADE says: dropping it would unmask, or show more rows.
fn is_policy(body: &Body) -> bool {
    matches!(
        body,
        Body::MaskAttachment(_)
            | Body::RowPolicy(_)
            | Body::RlsPolicy(_)
            | Body::MaskingPolicy(_)
            | Body::TagMask(_)
            | Body::TagGrant(_)
            | Body::TagAssignment(_)
    )
}

/// Whether a view reads a relation that goes.
fn reads(scope: &Scope, relation: &Relation, gone: &BTreeSet<ObjectId>) -> bool {
    let Some(view) = relation.query() else { return false };
    let inner = scope.ctx.as_role(relation.owner).with_search_path(&view.search_path);
    query::relations_of(&view.query).iter().any(|name| inner.relation(name).is_some_and(|(id, _)| gone.contains(&id)))
}

/// Whether it is a composite type with an attribute of a type that goes: in PostgreSQL only the attribute would go.
fn loses_attribute(body: &Body, gone: &BTreeSet<ObjectId>) -> bool {
    let Body::Type(user_type) = body else { return false };
    let attributes = user_type.as_composite().unwrap_or_default().iter();
    !gone.contains(&user_type.schema) && attributes.flat_map(|part| part.pg.objects()).any(|id| gone.contains(&id))
}

fn blocked(scope: &Scope, drop: &Drop, by: ObjectId) -> Plain {
    let name = drop.names.first().map(|name| name.name.clone()).unwrap_or_default();
    let kind = match &drop.kind {
        DropKind::Schema => "schema",
        DropKind::RlsPolicy => "RLS policy",
        DropKind::MaskingPolicy => "masking policy",
        DropKind::Tag => "tag",
        DropKind::View => "view",
        DropKind::MaterializedView => "materialized view",
        DropKind::Sequence => "sequence",
        DropKind::ExternalTable => "foreign table",
        DropKind::Type | DropKind::Domain => "type",
        _ => "table",
    };
    let dependent = match scope.catalog().entry(by).map(|entry| &entry.body) {
        Some(Body::Relation(relation)) => {
            format!("{} {} depends on {kind} {name}", relation.kind_name(), scope.ctx.display_name(by))
        }
        Some(Body::RowPolicy(policy)) if matches!(drop.kind, DropKind::RlsPolicy) => {
            format!("it is attached to {}", scope.ctx.display_name(policy.relation))
        }
        Some(Body::RlsPolicy(policy)) => format!("RLS policy {} depends on it", policy.name),
        Some(Body::MaskingPolicy(policy)) => format!("masking policy {} depends on it", policy.name),
        Some(Body::Type(user_type)) if user_type.as_composite().is_some() => {
            format!("composite type {} depends on {kind} {name}", user_type.name)
        }
        Some(Body::MaskAttachment(attachment)) => {
            format!("it is attached to {}", scope.ctx.display_name(attachment.relation))
        }
        Some(Body::TagMask(mask)) => {
            let tag = scope.catalog().tag(mask.tag).map(|tag| tag.name.as_str()).unwrap_or_default();
            format!("a masking policy is attached to tag {tag}")
        }
        Some(Body::TagGrant(_)) => "privileges are granted on objects with it".to_owned(),
        Some(Body::TagAssignment(assignment)) => {
            match scope.catalog().entry(assignment.object).map(|entry| &entry.body) {
                Some(Body::Relation(relation)) => {
                    format!("{} {} has it", relation.kind_name(), scope.ctx.display_name(assignment.object))
                }
                Some(Body::Schema(schema)) => format!("schema {} has it", schema.name),
                _ => format!("database {DATABASE_NAME} has it"),
            }
        }
        _ => "an object depends on it".to_owned(),
    };
    let composite = |body: &Body| matches!(body, Body::Type(user_type) if user_type.as_composite().is_some());
    let hint = if matches!(drop.kind, DropKind::MaskingPolicy | DropKind::RlsPolicy) {
        "Detach it first."
    } else if drop.kind == DropKind::Tag {
        "Unset it, detach its policies and revoke its privileges first."
    } else if drop.cascade && scope.catalog().entry(by).is_some_and(|entry| composite(&entry.body)) {
        "Drop its attribute first."
    } else {
        "Use DROP ... CASCADE to drop the dependent objects too."
    };
    Plain::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {kind} {name} because other objects depend on it"),
    )
    .detail(dependent)
    .hint(hint)
}

pub(super) fn truncate(scope: &Scope, ddl: &mut DdlPlan, truncate: &Truncate) -> PlanResult<()> {
    let mut tables = truncate.tables.iter().map(|name| relation(scope, name)).collect::<PlanResult<Vec<_>>>()?;
    if truncate.cascade {
        with_referring(scope, ddl, &mut tables);
    }
    for (id, relation) in tables {
        if !relation.is_table() {
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", relation.name)).into());
        }
        ddl.need(scope, Right::Relation { id, privilege: Privilege::Truncate, columns: vec![] });
        if row_security_applies(&scope.ctx, relation) {
            let message = format!("permission denied to truncate table \"{}\" under row-level security", relation.name);
            let hint = "DELETE the rows that may be seen.";
            ddl.refusal = Some(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).hint(hint));
        }
        ddl.truncate.push(id);
        if truncate.restart_identity {
            ddl.restart.extend(owned_sequences(scope, id).map(|(id, _)| (id, None)));
        }
    }
    Ok(())
}

/// Adds the tables whose foreign keys refer to tables, and those that refer to these.
fn with_referring<'a>(scope: &'a Scope, ddl: &mut DdlPlan, tables: &mut Vec<(ObjectId, &'a Relation)>) {
    let mut next = 0;
    while let Some((referred, _)) = tables.get(next).copied() {
        next += 1;
        let refers =
            |constraint: &Constraint| matches!(&constraint.kind, ConstraintKind::Foreign(key) if key.table == referred);
        for (id, relation) in scope.catalog().relations() {
            let is_new = tables.iter().all(|(known, _)| *known != id);
            if is_new && relation.constraints.iter().any(refers) {
                let message = format!("truncate cascades to table \"{}\"", relation.name);
                ddl.notices.push(Notice::new(SqlState::SUCCESSFUL_COMPLETION, message));
                tables.push((id, relation));
            }
        }
    }
}

pub(super) fn comment(scope: &Scope, ddl: &mut DdlPlan, comment: &Comment) -> PlanResult<()> {
    match &comment.target {
        CommentTarget::Relation(name) => {
            let (id, old) = relation(scope, name)?;
            ddl.need(scope, Right::Own(id));
            let mut new = old.clone();
            new.comment.clone_from(&comment.text);
            ddl.put(id, Body::Relation(new));
        }
        CommentTarget::Column(name, column_name) => {
            let (id, old) = relation(scope, name)?;
            ddl.need(scope, Right::Own(id));
            let column_id = column(old, column_name)?.id;
            let mut new = old.clone();
            for column in new.columns.iter_mut().filter(|column| column.id == column_id) {
                column.comment.clone_from(&comment.text);
            }
            ddl.put(id, Body::Relation(new));
        }
        CommentTarget::Constraint(name, table) => {
            let (id, old) = relation(scope, table)?;
            ddl.need(scope, Right::Own(id));
            let mut new = old.clone();
            let found = new.constraints.iter_mut().find(|constraint| constraint.name == *name);
            let found = found.ok_or_else(|| {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", old.name);
                Plain::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            found.comment.clone_from(&comment.text);
            ddl.put(id, Body::Relation(new));
        }
        CommentTarget::Type(name) => {
            let (id, old) = super::user_type::find(scope, name, false)?;
            ddl.need(scope, Right::Own(id));
            ddl.put(id, Body::Type(UserType { comment: comment.text.clone(), ..old.clone() }));
        }
        CommentTarget::Schema(name) => {
            let id = scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name))?;
            ddl.need(scope, Right::Own(id));
            let mut new = scope.catalog().schema(id).cloned().ok_or_else(|| undefined_schema(name))?;
            new.comment.clone_from(&comment.text);
            ddl.put(id, Body::Schema(new));
        }
        CommentTarget::Role(spec) => {
            let id = role_id(scope, spec)?;
            let mut new = scope.catalog().role(id).cloned().ok_or_else(|| undefined_role("?"))?;
            ddl.need(scope, Right::Admin(id, "comment on"));
            new.comment.clone_from(&comment.text);
            ddl.put(id, Body::Role(new));
        }
        CommentTarget::Database(name) => {
            let Some(mut new) = scope.catalog().database().filter(|database| database.name == *name).cloned() else {
                let message = format!("database \"{name}\" does not exist");
                ddl.notices.push(Notice::warning(SqlState::UNDEFINED_DATABASE, message));
                return Ok(());
            };
            ddl.need(scope, Right::Own(DATABASE_ID));
            new.comment.clone_from(&comment.text);
            ddl.put(DATABASE_ID, Body::Database(new));
        }
        CommentTarget::Policy(name, table) => {
            let (id, relation) = relation(scope, table)?;
            ddl.need(scope, Right::Own(id));
            let found = scope.catalog().find(Namespace::RowPolicy(id), name).and_then(|id| {
                let entry = scope.catalog().entry(id)?;
                if let Body::RowPolicy(policy) = &entry.body { Some((entry.id, policy.clone())) } else { None }
            });
            let (policy_id, mut new) = found.ok_or_else(|| {
                let message = format!("policy \"{name}\" for table \"{}\" does not exist", relation.name);
                Plain::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            new.comment.clone_from(&comment.text);
            ddl.put(policy_id, Body::RowPolicy(new));
        }
    }
    Ok(())
}
