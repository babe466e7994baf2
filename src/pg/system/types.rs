//! Types in `pg_catalog`: PostgreSQL's own and those that users made.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::deparse;
use super::objects::{acl, column_object_oid};
use super::rows::{Rows, from_tsv, row};
use super::value::Value;
use crate::catalog::{Domain, TypeDefinition, UserType};
use crate::context::Context;
use crate::name::{ObjectId, QualifiedName};
use crate::types::{Attribute, PgType, array_type_oid, type_of_oid};

/// The OID of `pg_type` itself.
pub(super) const PG_TYPE_OID: u32 = 1247;
/// Rows of `pg_type`.
const TYPES: &str = include_str!("../../../sql/pg_catalog/pg_type.tsv");

const ARRAY_IN: u32 = 750;
const ARRAY_OUT: u32 = 751;
const ARRAY_RECEIVE: u32 = 2400;
const ARRAY_SEND: u32 = 2401;
const ARRAY_ANALYZE: u32 = 3816;
const ARRAY_SUBSCRIPT: u32 = 6179;
const ENUM_IN: u32 = 3506;
const ENUM_OUT: u32 = 3507;
const ENUM_RECEIVE: u32 = 3532;
const ENUM_SEND: u32 = 3533;
const RECORD_IN: u32 = 2290;
const RECORD_OUT: u32 = 2291;
const RECORD_RECEIVE: u32 = 2402;
const RECORD_SEND: u32 = 2403;
const DOMAIN_IN: u32 = 2597;
const DOMAIN_RECEIVE: u32 = 2598;

/// What a domain has from the type that it is over.
#[derive(Clone, Copy)]
struct Base {
    length: i16,
    by_value: bool,
    align: char,
    storage: char,
    output: u32,
    send: u32,
    collation: u32,
}

/// By OID.
static BASES: LazyLock<HashMap<u32, Base>> = LazyLock::new(|| {
    let mut lines = TYPES.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let read = |line: &str| -> Option<(u32, Base)> {
        let fields: Vec<&str> = line.split('\t').collect();
        let value = |name: &str| fields.get(names.iter().position(|known| *known == name)?).copied();
        let letter = |name: &str| value(name)?.chars().next();
        let base = Base {
            length: value("typlen")?.parse().ok()?,
            by_value: value("typbyval")? == "true",
            align: letter("typalign")?,
            storage: letter("typstorage")?,
            output: value("typoutput")?.parse().ok()?,
            send: value("typsend")?.parse().ok()?,
            collation: value("typcollation")?.parse().ok()?,
        };
        Some((value("oid")?.parse().ok()?, base))
    };
    lines.filter_map(read).collect()
});

/// How values of an enumeration are kept by PostgreSQL.
const ENUMERATION: Base =
    Base { length: 4, by_value: true, align: 'i', storage: 'p', output: ENUM_OUT, send: ENUM_SEND, collation: 0 };

/// How rows are kept by PostgreSQL.
const ROW: Base =
    Base { length: -1, by_value: false, align: 'd', storage: 'x', output: RECORD_OUT, send: RECORD_SEND, collation: 0 };

/// `typtype` of a user's type, how PostgreSQL keeps its values, and the functions that read them.
fn kind_of(definition: &TypeDefinition) -> (char, Base, u32, u32) {
    match definition {
        TypeDefinition::Enum(_) => ('e', ENUMERATION, ENUM_IN, ENUM_RECEIVE),
        TypeDefinition::Composite(_) => ('c', ROW, RECORD_IN, RECORD_RECEIVE),
        TypeDefinition::Domain(domain) => {
            let base = match &domain.base {
                PgType::Composite(_) => ROW,
                base => BASES.get(&base.oid()).copied().unwrap_or(ENUMERATION),
            };
            ('d', base, DOMAIN_IN, DOMAIN_RECEIVE)
        }
    }
}

/// Types that the current role may know of.
pub(super) fn visible(ctx: &Context) -> impl Iterator<Item = (ObjectId, &UserType)> {
    ctx.catalog.user_types().filter(|(_, user_type)| ctx.owns(user_type.owner) || ctx.may_use_schema(user_type.schema))
}

/// A type that the current role may know of.
pub(super) fn visible_type(ctx: &Context, id: ObjectId) -> Option<&UserType> {
    ctx.catalog.user_type(id).filter(|user_type| ctx.owns(user_type.owner) || ctx.may_use_schema(user_type.schema))
}

pub(super) fn types(ctx: &Context, rows: &mut Rows) {
    from_tsv(rows, TYPES);
    let mut rows = rows.columns([
        "oid",
        "typname",
        "typnamespace",
        "typowner",
        "typlen",
        "typbyval",
        "typtype",
        "typcategory",
        "typisdefined",
        "typdelim",
        "typrelid",
        "typsubscript",
        "typelem",
        "typarray",
        "typinput",
        "typoutput",
        "typreceive",
        "typsend",
        "typanalyze",
        "typalign",
        "typstorage",
        "typnotnull",
        "typbasetype",
        "typtypmod",
        "typndims",
        "typcollation",
        "typdefault",
        "typacl",
    ]);
    for (id, user_type) in visible(ctx) {
        let value = ctx.catalog.value_type(id, user_type);
        let domain = user_type.as_domain();
        let (kind, own, input, receive) = kind_of(&user_type.definition);
        rows.push(row![
            id.oid(),
            &user_type.name,
            user_type.schema.oid(),
            user_type.owner.oid(),
            own.length,
            own.by_value,
            kind,
            value.category(),
            true,
            ',',
            if kind == 'c' { id.oid() } else { 0 },
            0_u32,
            0_u32,
            array_type_oid(id),
            input,
            own.output,
            receive,
            own.send,
            0_u32,
            own.align,
            own.storage,
            domain.is_some_and(|domain| !domain.nullable),
            domain.map_or(0, |domain| domain.base.oid()),
            domain.map_or(-1, |domain| domain.base.typmod()),
            domain.map_or(0, |domain| i32::try_from(domain.base.dimensions()).unwrap_or(i32::MAX)),
            own.collation,
            domain.and_then(|domain| domain.default.clone()),
            acl(ctx, user_type.acl.as_ref()),
        ]);
        rows.push(row![
            array_type_oid(id),
            format!("_{}", user_type.name),
            user_type.schema.oid(),
            user_type.owner.oid(),
            -1_i16,
            false,
            'b',
            'A',
            true,
            ',',
            0_u32,
            ARRAY_SUBSCRIPT,
            id.oid(),
            0_u32,
            ARRAY_IN,
            ARRAY_OUT,
            ARRAY_RECEIVE,
            ARRAY_SEND,
            ARRAY_ANALYZE,
            if own.align == 'd' { 'd' } else { 'i' },
            'x',
            false,
            0_u32,
            -1,
            0,
            own.collation,
            None::<String>,
            None::<Vec<String>>,
        ]);
    }
}

/// Composite types that the current role may know of: they are relations, too.
pub(super) fn composites(ctx: &Context) -> impl Iterator<Item = (ObjectId, &UserType, &[Attribute])> {
    visible(ctx).filter_map(|(id, user_type)| Some((id, user_type, user_type.as_composite()?)))
}

pub(super) fn enumerations(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "enumtypid", "enumsortorder", "enumlabel"]);
    for (id, user_type) in visible(ctx) {
        let TypeDefinition::Enum(labels) = &user_type.definition else { continue };
        for (label, place) in labels.iter().zip(1..) {
            rows.push(row![column_object_oid(id.oid(), place), id.oid(), place, &label.name]);
        }
    }
}

/// The conditions of a domain with their OIDs and names.
fn checks(id: ObjectId, domain: &Domain) -> impl Iterator<Item = (u32, &str, &str)> {
    let numbered = domain.checks.iter().zip(1..);
    numbered.map(move |(check, number)| {
        (column_object_oid(id.oid(), number), check.name.as_str(), check.condition.as_str())
    })
}

/// The constraints of domains, for `pg_constraint`.
pub(super) fn domain_constraints(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "oid",
        "conname",
        "connamespace",
        "contype",
        "conenforced",
        "convalidated",
        "contypid",
        "confupdtype",
        "confdeltype",
        "confmatchtype",
        "conislocal",
        "conbin",
    ]);
    for (id, user_type) in visible(ctx) {
        for (oid, name, condition) in user_type.as_domain().into_iter().flat_map(|domain| checks(id, domain)) {
            rows.push(row![
                oid,
                name,
                user_type.schema.oid(),
                'c',
                true,
                true,
                id.oid(),
                ' ',
                ' ',
                ' ',
                true,
                condition
            ]);
        }
    }
}

/// `pg_get_constraintdef` of a domain's condition.
pub(super) fn domain_constraint_definition(ctx: &Context, oid: u32) -> Option<String> {
    let all = visible(ctx).filter_map(|(id, user_type)| Some((id, user_type.as_domain()?)));
    let found = all.flat_map(|(id, domain)| checks(id, domain)).find(|(known, ..)| *known == oid);
    found.map(|(_, _, condition)| deparse::check(condition))
}

/// What COMMENT ON said of a type.
pub(super) fn comment(ctx: &Context, id: ObjectId) -> Option<&str> {
    visible_type(ctx, id).and_then(|user_type| user_type.comment.as_deref())
}

/// The same of all types.
pub(super) fn comments(ctx: &Context) -> impl Iterator<Item = (u32, &str)> {
    visible(ctx).filter_map(|(id, user_type)| Some((id.oid(), user_type.comment.as_deref()?)))
}

/// `pg_type.oid` of a type that a text names.
pub(super) fn oid_of(ctx: &Context, text: &str) -> Option<u32> {
    match text.parse::<PgType>().ok()? {
        PgType::Named(name) => named(ctx, &name).map(ObjectId::oid),
        array @ PgType::Array(_) => match array.base() {
            PgType::Named(name) => named(ctx, name).map(array_type_oid),
            base => Some(base.array_oid()),
        },
        pg => Some(pg.oid()),
    }
}

fn named(ctx: &Context, name: &QualifiedName) -> Option<ObjectId> {
    let (id, user_type) = ctx.user_type(name)?;
    (ctx.owns(user_type.owner) || ctx.may_use_schema(user_type.schema)).then_some(id)
}

/// Whether the search path finds a type; NULL for one that is not there.
pub(super) fn is_found(ctx: &Context, oid: u32) -> Value {
    if PgType::from_oid(oid).is_some() {
        return true.into();
    }
    let found = || {
        let (id, _) = type_of_oid(oid)?;
        let user_type = ctx.catalog.user_type(id)?;
        let found = ctx.user_type(&QualifiedName::bare(user_type.name.clone()));
        Some(found.is_some_and(|(found, _)| found == id))
    };
    found().map_or(Value::Null, Into::into)
}
