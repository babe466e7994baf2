//! What `pg_catalog` says of schemas, relations, columns and what belongs to them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::rows::{Rows, row};
use super::value::Value;
use super::{
    INFORMATION_SCHEMA, INFORMATION_SCHEMA_OID, PG_CATALOG, PG_CATALOG_OID, deparse, keys, names, relations,
    schema_oid, types,
};
use crate::catalog::{
    BOOTSTRAP_ROLE, Column, Constraint, ConstraintKind, DATABASE_ID, IdentityKind, PUBLIC_SCHEMA, Relation,
    RelationKind, Schema, TEMPORARY_SCHEMA, UserType, View,
};
use crate::context::Context;
use crate::govern::predefined::SECURITY_ADMIN;
use crate::govern::{Acl, Grantee};
use crate::name::{ObjectId, QualifiedName, fold, quote};
use crate::types::{Attribute, PgType};

/// OIDs of the catalogs that other catalogs refer to (`classid` and its like).
pub(super) const PG_CLASS_OID: u32 = 1259;
pub(super) const PG_NAMESPACE_OID: u32 = 2615;
pub(super) const PG_POLICY_OID: u32 = 3256;
const PG_AUTHID_OID: u32 = 1260;
const PG_ATTRDEF_OID: u32 = 2604;
const PG_REWRITE_OID: u32 = 2618;
const PG_DATABASE_OID: u32 = 1262;
const HEAP_OID: u32 = 2;
const LAKE_WRAPPER_OID: u32 = 13_500;
const LAKE_SERVER_OID: u32 = 13_501;
/// The name of the one foreign server: every external table belongs to it.
const LAKE_SERVER: &str = "lake";
/// Of text, and of `name`.
const DEFAULT_COLLATION: u32 = 100;
const C_COLLATION: u32 = 950;
const POSIX_COLLATION: u32 = 951;
const DEFAULT_TABLESPACE: u32 = 1663;
const GLOBAL_TABLESPACE: u32 = 1664;
const UTF8: i32 = 6;

/// Rows of `pg_proc`.
pub(super) const FUNCTIONS: &str = include_str!("../../../sql/pg_catalog/pg_proc.tsv");

static FUNCTION_NAMES: LazyLock<HashMap<u32, &'static str>> = LazyLock::new(|| {
    let named = |line: &'static str| {
        let mut fields = line.split('\t');
        Some((fields.next()?.parse().ok()?, fields.next()?))
    };
    FUNCTIONS.lines().filter_map(named).collect()
});

/// `pg_proc.proname`.
pub(super) fn function_name(oid: u32) -> Option<String> {
    FUNCTION_NAMES.get(&oid).map(|name| (*name).to_owned())
}

/// `pg_proc.oid`.
pub(super) fn function_oid(name: &str) -> Option<u32> {
    FUNCTION_NAMES.iter().filter(|(_, known)| **known == name).map(|(oid, _)| *oid).min()
}

/// Whether the current role may know of a relation: its schema may be used, or it is the role's own.
pub fn is_visible(ctx: &Context, relation: &Relation) -> bool {
    ctx.owns(relation.owner) || ctx.may_use_schema(relation.schema)
}

/// Whether the current role may read the expressions of a relation's policies.
pub(super) fn may_know_policies(ctx: &Context, relation: &Relation) -> bool {
    ctx.owns(relation.owner) || ctx.roles.contains(&SECURITY_ADMIN)
}

/// Users' relations that the current role may know of.
pub(super) fn visible(ctx: &Context) -> impl Iterator<Item = (ObjectId, &Relation)> {
    ctx.catalog.relations().filter(|(_, relation)| is_visible(ctx, relation))
}

/// `aclitem[]` in its text form.
pub(super) fn acl_items(ctx: &Context, acl: &Acl) -> Vec<String> {
    let role = |id: ObjectId| quote(&ctx.catalog.role_name(id));
    let item = |item: &crate::govern::AclItem| {
        let grantee = match item.grantee {
            Grantee::Public => String::new(),
            Grantee::Role(id) => role(id),
        };
        let letters: String = item
            .privileges
            .iter()
            .flat_map(|privilege| {
                let star = item.grantable.contains(privilege).then_some('*');
                std::iter::once(privilege.letter()).chain(star)
            })
            .collect();
        format!("{grantee}={letters}/{}", role(item.grantor))
    };
    acl.0.iter().map(item).collect()
}

pub(super) fn acl(ctx: &Context, acl: Option<&Acl>) -> Option<Vec<String>> {
    acl.map(|acl| acl_items(ctx, acl))
}

/// A number for what belongs to a column and has no object id of its own. OIDs are unique within one catalog only.
pub(super) fn column_object_oid(relation: u32, column: i32) -> u32 {
    0x8000_0000 | ((relation & 0xf_ffff) << 11) | (u32::try_from(column).unwrap_or(0) & 0x7ff)
}

pub(super) fn namespace(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "nspname", "nspowner", "nspacl"]);
    let everyone = format!("=U/{}", quote(&ctx.catalog.role_name(BOOTSTRAP_ROLE)));
    for (oid, name) in [(PG_CATALOG_OID, PG_CATALOG), (INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA)] {
        rows.push(row![oid, name, BOOTSTRAP_ROLE.oid(), vec![everyone.clone()]]);
    }
    for (id, schema) in ctx.catalog.schemas() {
        rows.push(row![id.oid(), &schema.name, schema.owner.oid(), acl(ctx, schema.acl.as_ref())]);
    }
}

/// How a table is laid out, as options of it: that is what `\\d+` shows. `None`: as it comes.
fn layout(relation: &Relation) -> Option<Vec<String>> {
    let name = |id: i32| relation.column_by_id(id).map(|column| quote(&column.name)).unwrap_or_default();
    let partitioned = relation.partitioning().map(|partitioning| {
        let keys = partitioning.keys.iter().map(|key| key.transform.of(&name(key.column)));
        format!("partitioned_by={}", keys.collect::<Vec<_>>().join(", "))
    });
    let sorted = relation.sorting().map(|sorting| {
        let keys = sorting.keys.iter().map(|key| {
            let direction = if key.descending { " DESC" } else { "" };
            let nulls = match (key.descending, key.nulls_first) {
                (false, true) => " NULLS FIRST",
                (true, false) => " NULLS LAST",
                _ => "",
            };
            format!("{}{direction}{nulls}", name(key.column))
        });
        format!("sorted_by={}", keys.collect::<Vec<_>>().join(", "))
    });
    let options: Vec<String> = partitioned.into_iter().chain(sorted).collect();
    (!options.is_empty()).then_some(options)
}

pub(super) fn class(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns([
        "oid",
        "relname",
        "relnamespace",
        "reltype",
        "relowner",
        "relam",
        "relfilenode",
        "relpages",
        "reltuples",
        "relpersistence",
        "relkind",
        "relnatts",
        "relhasrules",
        "relrowsecurity",
        "relforcerowsecurity",
        "relispopulated",
        "relhasindex",
        "relchecks",
        "relreplident",
        "relacl",
        "reloptions",
    ]);
    for relation in relations() {
        let (kind, storage) = if relation.view { ('v', 0) } else { ('r', HEAP_OID) };
        let width = i16::try_from(relation.columns.len()).unwrap_or(i16::MAX);
        rows.push(row![
            relation.oid,
            relation.name,
            schema_oid(relation),
            0_u32,
            BOOTSTRAP_ROLE.oid(),
            storage,
            if relation.view { 0 } else { relation.oid },
            0,
            if relation.view { 0 } else { -1 },
            'p',
            kind,
            width,
            relation.view,
            false,
            false,
            true,
            false,
            0,
            'n',
            vec![format!("=r/{}", quote(&ctx.catalog.role_name(BOOTSTRAP_ROLE)))],
            None::<Vec<String>>,
        ]);
    }
    for (id, relation) in asked {
        let table = matches!(relation.storage, RelationKind::Table(_));
        // How many rows a relation under policies has is not everyone's to know.
        let counted = table && (ctx.owns(relation.owner) || !relation.row_security);
        let (tuples, pages) = if counted { size(ctx, id) } else { (-1, 0) };
        let options = match &relation.storage {
            RelationKind::View(view) if view.security_invoker => Some(vec!["security_invoker=true".to_owned()]),
            RelationKind::Table(_) => layout(relation),
            _ => None,
        };
        rows.push(row![
            id.oid(),
            &relation.name,
            relation.schema.oid(),
            0_u32,
            relation.owner.oid(),
            relation.as_index().map_or(if table { HEAP_OID } else { 0 }, keys::access_method),
            if table || relation.as_index().is_some() { id.oid() } else { 0 },
            pages,
            tuples,
            if relation.schema == TEMPORARY_SCHEMA { 't' } else { 'p' },
            relation.relkind(),
            attribute_number(
                relation.as_index().map_or(relation.columns.len(), |index| { index.keys.len() + index.included.len() })
            ),
            relation.query().is_some(),
            relation.row_security,
            relation.force_row_security,
            relation.materialized().is_none_or(|materialized| materialized.populated),
            !relation.indexes.is_empty(),
            attribute_number(relation.constraints.iter().filter(|constraint| is_check(constraint)).count()),
            if table { 'd' } else { 'n' },
            acl(ctx, relation.acl.as_ref()),
            options,
        ]);
    }
    for (id, user_type, attributes) in types::composites(ctx) {
        rows.push(composite_class(id, user_type, attributes));
    }
}

/// A composite type as a relation.
fn composite_class(id: ObjectId, user_type: &UserType, attributes: &[Attribute]) -> [Value; 21] {
    row![
        id.oid(),
        &user_type.name,
        user_type.schema.oid(),
        id.oid(),
        user_type.owner.oid(),
        0,
        0,
        0,
        0_i64,
        'p',
        'c',
        attribute_number(attributes.len()),
        false,
        false,
        false,
        true,
        false,
        0_i16,
        'n',
        None::<Vec<String>>,
        None::<Vec<String>>,
    ]
}

fn is_check(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::Check(_))
}

fn attribute_number(index: usize) -> i16 {
    i16::try_from(index).unwrap_or(i16::MAX)
}

/// Rows and 8-kB pages of a warehouse table.
fn size(ctx: &Context, table: ObjectId) -> (i64, i32) {
    let data = ctx.catalog.data(table);
    let pages = i32::try_from(data.size_bytes().div_ceil(8192)).unwrap_or(i32::MAX);
    (i64::try_from(data.row_count()).unwrap_or(i64::MAX), pages)
}

pub(super) fn attribute(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns([
        "attrelid",
        "attname",
        "atttypid",
        "attlen",
        "attnum",
        "atttypmod",
        "attndims",
        "attbyval",
        "attalign",
        "attstorage",
        "attnotnull",
        "atthasdef",
        "attidentity",
        "attgenerated",
        "attislocal",
        "attcollation",
        "attstattarget",
        "attacl",
    ]);
    for relation in relations() {
        for (index, (name, pg)) in relation.columns.iter().enumerate() {
            let own = OwnAttributes::default();
            rows.push(attribute_row(relation.oid, name, pg, i32::from(attribute_number(index + 1)), own));
        }
    }
    for (id, _, attributes) in types::composites(ctx) {
        for (index, attribute) in attributes.iter().enumerate() {
            let (number, own) = (i32::from(attribute_number(index + 1)), OwnAttributes::default());
            rows.push(attribute_row(id.oid(), &attribute.name, &attribute.pg, number, own));
        }
    }
    for (id, relation) in asked {
        let table = relation.as_index().and_then(|index| Some((index, ctx.catalog.relation(index.table)?)));
        let keys = table.map(|(index, table)| keys::columns(index, table)).unwrap_or_default();
        for (index, (name, pg)) in keys.into_iter().enumerate() {
            let own = OwnAttributes::default();
            let number = i32::from(attribute_number(index + 1));
            rows.push(attribute_row(id.oid(), name, pg, number, own));
        }
        for column in &relation.columns {
            let identity = match column.identity.as_ref().map(|identity| identity.kind) {
                Some(IdentityKind::Always) => "a",
                Some(IdentityKind::ByDefault) => "d",
                Some(IdentityKind::Serial) | None => "",
            };
            let generated = match &column.generated {
                Some(own) if own.stored => "s",
                Some(_) => "v",
                None => "",
            };
            let own = OwnAttributes {
                not_null: !column.nullable,
                has_default: has_default(column),
                identity,
                generated,
                acl: acl(ctx, column.acl.as_ref()),
            };
            let mut row = attribute_row(id.oid(), &column.name, &column.pg, column.id, own);
            if let (Some(domain), [_, _, of_type, _, _, modifier, ..]) = (column.domain, &mut row) {
                *of_type = domain.id.oid().into();
                *modifier = (-1).into();
            }
            rows.push(row);
        }
    }
}

/// What only a table's own columns have: NOT NULL, whether there is a default, `attidentity`, `attgenerated`, `attacl`.
#[derive(Default)]
struct OwnAttributes {
    not_null: bool,
    has_default: bool,
    identity: &'static str,
    generated: &'static str,
    acl: Option<Vec<String>>,
}

fn attribute_row(relation: u32, name: &str, pg: &PgType, number: i32, own: OwnAttributes) -> [Value; 18] {
    let OwnAttributes { not_null, has_default, identity, generated, acl } = own;
    let length = pg.length();
    let align = match length {
        1 => 'c',
        2 => 's',
        8 => 'd',
        _ => 'i',
    };
    let storage = match pg {
        PgType::Numeric(_) | PgType::Inet | PgType::Cidr => 'm',
        _ if length > 0 => 'p',
        _ => 'x',
    };
    row![
        relation,
        name,
        pg.oid(),
        length,
        number,
        pg.typmod(),
        i32::try_from(pg.dimensions()).unwrap_or(i32::MAX),
        matches!(length, 1 | 2 | 4 | 8),
        align,
        storage,
        not_null,
        has_default,
        identity,
        generated,
        true,
        collation_of(pg),
        None::<i16>,
        acl,
    ]
}

pub(super) fn collation_of(pg: &PgType) -> u32 {
    match pg {
        PgType::Name => C_COLLATION,
        PgType::Text | PgType::Varchar(_) | PgType::Char(_) => DEFAULT_COLLATION,
        PgType::Array(element) => collation_of(element),
        _ => 0,
    }
}

/// A column's default as an expression; `serial` draws from its sequence.
pub(super) fn default_text(ctx: &Context, relation: &Relation, column: &Column) -> Option<String> {
    match &column.identity {
        Some(identity) if identity.kind == IdentityKind::Serial => {
            let name = names::relation_name(ctx, identity.sequence.oid())?;
            Some(format!("nextval({}::regclass)", crate::name::quote_literal(&name)))
        }
        _ if let Some(own) = &column.generated => Some(deparse::expression(ctx, relation, &own.expression, false)),
        _ => own_default(column).map(|default| match column.domain {
            None => deparse::default(ctx, default, &column.pg),
            Some(_) => default.to_owned(),
        }),
    }
}

/// What DEFAULT says, unless it is nothing.
fn own_default(column: &Column) -> Option<&str> {
    column.default.as_deref().filter(|default| !default.trim().eq_ignore_ascii_case("null"))
}

/// Whether a column has a default, or is generated.
fn has_default(column: &Column) -> bool {
    let is_serial = column.identity.as_ref().is_some_and(|identity| identity.kind == IdentityKind::Serial);
    is_serial || column.generated.is_some() || own_default(column).is_some()
}

pub(super) fn attrdef(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns(["oid", "adrelid", "adnum", "adbin"]);
    for (id, relation) in asked {
        for column in &relation.columns {
            if let Some(default) = default_text(ctx, relation, column) {
                rows.push(row![column_object_oid(id.oid(), column.id), id.oid(), column.id, default]);
            }
        }
    }
}

pub(super) fn sequence(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows =
        rows.columns(["seqrelid", "seqtypid", "seqstart", "seqincrement", "seqmax", "seqmin", "seqcache", "seqcycle"]);
    for (id, relation) in asked {
        if let RelationKind::Sequence(sequence) = &relation.storage {
            let column = sequence.owned_by.and_then(|(table, column)| {
                let column = ctx.catalog.relation(table)?.column_by_id(column)?;
                column.identity.as_ref().filter(|identity| identity.sequence == id).map(|_| column)
            });
            rows.push(row![
                id.oid(),
                sequence.pg.as_ref().or(column.map(|column| &column.pg)).unwrap_or(&PgType::Int8).oid(),
                sequence.start,
                sequence.increment,
                sequence.max,
                sequence.min,
                1_i64,
                sequence.cycle,
            ]);
        }
    }
}

/// Sequences depend on the columns they are for, indexes and constraints on those they are about.
pub(super) fn depend(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["classid", "objid", "refclassid", "refobjid", "refobjsubid", "deptype"]);
    for (class, object, other_class, other, column, kind) in keys::dependencies(ctx) {
        rows.push(row![class, object, other_class, other, column, kind]);
    }
    for (id, relation) in visible(ctx) {
        if let RelationKind::Sequence(sequence) = &relation.storage
            && let Some((table, column)) = sequence.owned_by
        {
            let identity = ctx
                .catalog
                .relation(table)
                .and_then(|table| table.column_by_id(column))
                .and_then(|column| column.identity.as_ref())
                .is_some_and(|identity| identity.kind != IdentityKind::Serial);
            let kind = if identity { 'i' } else { 'a' };
            rows.push(row![PG_CLASS_OID, id.oid(), PG_CLASS_OID, table.oid(), column, kind]);
        }
        if relation.materialized().is_some() {
            rows.push(row![PG_CLASS_OID, id.oid(), PG_NAMESPACE_OID, relation.schema.oid(), 0, 'n']);
        }
        if let Some(view) = relation.query() {
            rows.push(row![PG_REWRITE_OID, id.oid(), PG_CLASS_OID, id.oid(), 0, 'i']);
            for read in reads(ctx, view) {
                rows.push(row![PG_REWRITE_OID, id.oid(), PG_CLASS_OID, read.oid(), 0, 'n']);
            }
        }
        for column in relation.columns.iter().filter(|column| has_default(column)) {
            let own = column_object_oid(id.oid(), column.id);
            rows.push(row![PG_ATTRDEF_OID, own, PG_CLASS_OID, id.oid(), column.id, 'a']);
            let serial = column.identity.as_ref().filter(|identity| identity.kind == IdentityKind::Serial);
            let drawn = serial.map(|identity| identity.sequence).or_else(|| drawn_from(ctx, own_default(column)?));
            if let Some(sequence) = drawn {
                rows.push(row![PG_ATTRDEF_OID, own, PG_CLASS_OID, sequence.oid(), 0, 'n']);
            }
        }
    }
}

/// The sequence of a default `nextval('name'…)`.
fn drawn_from(ctx: &Context, default: &str) -> Option<ObjectId> {
    let name = default.trim_start().strip_prefix("nextval('")?.split_once('\'')?.0;
    Some(ctx.relation(&QualifiedName::parse(name).ok()?)?.0)
}

/// The relations of the catalog that a view's query names.
fn reads(ctx: &Context, view: &View) -> BTreeSet<ObjectId> {
    #[derive(Default)]
    struct Named {
        relations: Vec<QualifiedName>,
        of_with: HashSet<String>,
    }

    fn folded(ident: &ast::Ident) -> String {
        if ident.quote_style.is_some() { ident.value.clone() } else { fold(&ident.value) }
    }

    impl ast::Visitor for Named {
        type Break = ();

        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.of_with.extend(tables.map(|table| folded(&table.alias.name)));
            ControlFlow::Continue(())
        }

        fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
            let mut parts = name.0.iter().rev().filter_map(ast::ObjectNamePart::as_ident).map(folded);
            if let Some(name) = parts.next() {
                self.relations.push(QualifiedName { schema: parts.next(), name });
            }
            ControlFlow::Continue(())
        }
    }

    let Ok(parsed) = Parser::parse_sql(&PostgreSqlDialect {}, &view.query) else { return BTreeSet::new() };
    let mut named = Named::default();
    let _flow = ast::Visit::visit(&parsed, &mut named);
    let ctx = ctx.clone().with_search_path(&view.search_path);
    let own = named.relations.iter().filter(|name| name.schema.is_some() || !named.of_with.contains(&name.name));
    own.filter_map(|name| Some(ctx.relation(name)?.0)).collect()
}

/// A comment on a relation or on one of its columns (0: the relation itself).
pub(super) fn relation_comment(relation: &Relation, column: i32) -> Option<&str> {
    let comment = if column == 0 { &relation.comment } else { &relation.column_by_id(column)?.comment };
    comment.as_deref()
}

pub(super) fn description(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["objoid", "classoid", "objsubid", "description"]);
    for (id, schema) in ctx.catalog.schemas() {
        if let Some(comment) = schema_comment(id, schema) {
            rows.push(row![id.oid(), PG_NAMESPACE_OID, 0, comment]);
        }
    }
    for (oid, comment) in types::comments(ctx) {
        rows.push(row![oid, types::PG_TYPE_OID, 0, comment]);
    }
    for (id, relation) in visible(ctx) {
        for (policy_id, policy) in ctx.catalog.row_policies(id) {
            if let Some(comment) = &policy.comment {
                rows.push(row![policy_id.oid(), PG_POLICY_OID, 0, comment]);
            }
        }
        for constraint in &relation.constraints {
            if let Some(comment) = &constraint.comment {
                rows.push(row![constraint.id.oid(), keys::PG_CONSTRAINT_OID, 0, comment]);
            }
        }
        for column in std::iter::once(0).chain(relation.columns.iter().map(|column| column.id)) {
            if let Some(comment) = relation_comment(relation, column) {
                rows.push(row![id.oid(), PG_CLASS_OID, column, comment]);
            }
        }
    }
}

/// What COMMENT ON said of a row policy.
pub(super) fn policy_comment(ctx: &Context, id: ObjectId) -> Option<&str> {
    let policies = visible(ctx).flat_map(|(table, _)| ctx.catalog.row_policies(table));
    policies.into_iter().find(|(known, _)| *known == id)?.1.comment.as_deref()
}

/// Comments on what all databases of a server share: `pg_shdescription`.
pub(super) fn shared_description(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["objoid", "classoid", "description"]);
    for (id, role) in ctx.catalog.roles() {
        if let Some(comment) = &role.comment {
            rows.push(row![id.oid(), PG_AUTHID_OID, comment]);
        }
    }
    if let Some(comment) = ctx.catalog.database().and_then(|database| database.comment.as_deref()) {
        rows.push(row![DATABASE_ID.oid(), PG_DATABASE_OID, comment]);
    }
}

/// `shobj_description`.
pub(super) fn shared_comment(ctx: &Context, oid: u32, catalog: &str) -> Option<String> {
    let id = ObjectId::from_oid(oid)?;
    match catalog {
        "pg_authid" => ctx.catalog.role(id)?.comment.clone(),
        "pg_database" if id == DATABASE_ID => ctx.catalog.database()?.comment.clone(),
        _ => None,
    }
}

/// What ALTER DEFAULT PRIVILEGES said.
pub(super) fn default_acl(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "defaclrole", "defaclnamespace", "defaclobjtype", "defaclacl"]);
    for (id, role) in ctx.catalog.roles() {
        let there = |schema: &Option<ObjectId>| schema.is_none_or(|schema| ctx.catalog.schema(schema).is_some());
        let known = role.default_privileges.iter().filter(|defaults| there(&defaults.schema));
        for (number, defaults) in (1..).zip(known) {
            rows.push(row![
                column_object_oid(id.oid(), number),
                id.oid(),
                defaults.schema.map_or(0, ObjectId::oid),
                defaults.kind.letter(),
                acl_items(ctx, &defaults.acl),
            ]);
        }
    }
}

pub(super) fn schema_comment(id: ObjectId, schema: &Schema) -> Option<&str> {
    schema.comment.as_deref().or_else(|| (id == PUBLIC_SCHEMA).then_some("standard public schema"))
}

pub(super) fn policy(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows =
        rows.columns(["oid", "polname", "polrelid", "polcmd", "polpermissive", "polroles", "polqual", "polwithcheck"]);
    for (relation, table) in asked {
        // Their expressions may tell what is hidden.
        let may_know = may_know_policies(ctx, table);
        for (id, policy) in ctx.catalog.row_policies(relation) {
            let role = |grantee: &Grantee| match grantee {
                Grantee::Public => 0,
                Grantee::Role(id) => id.oid(),
            };
            rows.push(row![
                id.oid(),
                &policy.name,
                relation.oid(),
                policy.command.letter(),
                policy.permissive,
                policy.roles.iter().map(role).collect::<Vec<_>>(),
                policy.using.as_ref().filter(|_| may_know),
                policy.check.as_ref().filter(|_| may_know),
            ]);
        }
    }
}

/// The rule that makes a relation a view.
pub(super) fn rewrite(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns(["oid", "rulename", "ev_class", "ev_type", "ev_enabled", "is_instead", "ev_action"]);
    for (id, relation) in asked {
        if let Some(view) = relation.query() {
            rows.push(row![id.oid(), "_RETURN", id.oid(), '1', 'O', true, &view.query]);
        }
    }
}

pub(super) fn foreign_data_wrapper(rows: &mut Rows) {
    rows.columns(["oid", "fdwname", "fdwowner"]).push(row![LAKE_WRAPPER_OID, "boathouse", BOOTSTRAP_ROLE.oid()]);
}

pub(super) fn foreign_server(rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "srvname", "srvowner", "srvfdw"]);
    rows.push(row![LAKE_SERVER_OID, LAKE_SERVER, BOOTSTRAP_ROLE.oid(), LAKE_WRAPPER_OID]);
}

pub(super) fn foreign_table(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns(["ftrelid", "ftserver", "ftoptions"]);
    for (id, relation) in asked {
        if let RelationKind::External(external) = &relation.storage {
            let mut options = vec![format!("format={}", external.format.name())];
            // Where the files lie is the owner's to know.
            if ctx.owns(relation.owner) {
                options.push(format!("location={}", external.location));
            }
            options.extend(external.options.iter().map(|(name, value)| format!("{name}={value}")));
            rows.push(row![id.oid(), LAKE_SERVER_OID, options]);
        }
    }
}

pub(super) fn collation(rows: &mut Rows) {
    let mut rows = rows.columns([
        "oid",
        "collname",
        "collnamespace",
        "collowner",
        "collprovider",
        "collisdeterministic",
        "collencoding",
        "collcollate",
        "collctype",
    ]);
    let known = [(DEFAULT_COLLATION, "default", 'd'), (C_COLLATION, "C", 'c'), (POSIX_COLLATION, "POSIX", 'c')];
    for (oid, name, provider) in known {
        let locale = (provider == 'c').then_some(name);
        rows.push(row![oid, name, PG_CATALOG_OID, BOOTSTRAP_ROLE.oid(), provider, true, -1, locale, locale]);
    }
}

pub(super) fn language(rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "lanname", "lanowner", "lanispl", "lanpltrusted"]);
    for (oid, name, trusted) in [(12, "internal", false), (13, "c", false), (14, "sql", true)] {
        rows.push(row![oid, name, BOOTSTRAP_ROLE.oid(), false, trusted]);
    }
}

pub(super) fn tablespace(rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "spcname", "spcowner"]);
    for (oid, name) in [(DEFAULT_TABLESPACE, "pg_default"), (GLOBAL_TABLESPACE, "pg_global")] {
        rows.push(row![oid, name, BOOTSTRAP_ROLE.oid()]);
    }
}

pub(super) fn database(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "oid",
        "datname",
        "datdba",
        "encoding",
        "datlocprovider",
        "datallowconn",
        "datconnlimit",
        "dattablespace",
        "datcollate",
        "datctype",
        "datacl",
    ]);
    if let Some(database) = ctx.catalog.database() {
        rows.push(row![
            DATABASE_ID.oid(),
            &database.name,
            database.owner.oid(),
            UTF8,
            'c',
            true,
            -1,
            DEFAULT_TABLESPACE,
            "C",
            "C",
            acl(ctx, database.acl.as_ref()),
        ]);
    }
}
