//! Set-returning functions: each column is a function that makes an array of its values.

use super::Function;
use super::Kind::{Array, Object, Oid};
use super::definition::relation_of;
use crate::catalog::{RelationKind, Sequence};
use crate::context::Context;
use crate::error::{Plain, Report};
use crate::govern::Privilege;
use crate::name::{ObjectId, parse_qualified};
use crate::pg::system::value::Value;
use crate::types::PgType;

fn texts() -> PgType {
    PgType::Array(Box::new(PgType::Text))
}

fn oids() -> PgType {
    PgType::Array(Box::new(PgType::Oid))
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("pg_get_keywords.word", &[&[]], texts, |_, _| Ok(keywords(0))),
    Function::new("pg_get_keywords.catcode", &[&[]], texts, |_, _| Ok(keywords(1))),
    Function::new(
        "pg_get_keywords.barelabel",
        &[&[]],
        || PgType::Array(Box::new(PgType::Bool)),
        |_, _| Ok(keywords(2)),
    ),
    Function::new("pg_get_keywords.catdesc", &[&[]], texts, |_, _| Ok(keywords(3))),
    Function::new("pg_get_keywords.baredesc", &[&[]], texts, |_, _| Ok(keywords(4))),
    Function::new("pg_options_to_table.option_name", &[&[Array]], texts, |_, arguments| {
        options(arguments, |(name, _)| name.into())
    }),
    Function::new("pg_options_to_table.option_value", &[&[Array]], texts, |_, arguments| {
        options(arguments, |(_, value)| value.into())
    }),
    Function::new("_pg_expandarray.x", &[&[Array]], oids, |_, arguments| {
        Ok(arguments.first().cloned().unwrap_or(Value::Null))
    }),
    Function::new(
        "_pg_expandarray.n",
        &[&[Array]],
        || PgType::Array(Box::new(PgType::Int4)),
        |_, arguments| {
            let count = i64::try_from(items(arguments).len()).unwrap_or(0);
            Ok(Value::Items((1..=count).map(Value::Int).collect()))
        },
    ),
    Function::new(
        "pg_partition_ancestors",
        &[&[Oid]],
        || PgType::Array(Box::new(PgType::Regclass)),
        |_, _| Ok(Value::Items(vec![])),
    ),
    Function::new(
        "pg_get_sequence_data.last_value",
        &[&[Object]],
        || PgType::Array(Box::new(PgType::Int8)),
        |ctx, arguments| sequence_data(ctx, arguments, |sequence, last| last.unwrap_or(sequence.start).into()),
    ),
    Function::new(
        "pg_get_sequence_data.is_called",
        &[&[Object]],
        || PgType::Array(Box::new(PgType::Bool)),
        |ctx, arguments| sequence_data(ctx, arguments, |_, last| last.is_some().into()),
    ),
    Function::new("pg_available_extensions.name", &[&[]], texts, |_, _| Ok(Value::Items(vec![]))),
    Function::new("pg_available_extensions.default_version", &[&[]], texts, |_, _| Ok(Value::Items(vec![]))),
    Function::new("pg_available_extensions.comment", &[&[]], texts, |_, _| Ok(Value::Items(vec![]))),
    Function::new("pg_listening_channels", &[&[]], texts, |ctx, _| {
        let channels = ctx.activity.backend(ctx.backend_pid).map(|own| own.mailbox().channels());
        Ok(Value::Items(channels.into_iter().flatten().map(Value::from).collect()))
    }),
    Function::new("aclexplode.grantor", &[&[Array]], oids, |ctx, arguments| {
        acl(ctx, arguments, |grant| grant.grantor.into())
    }),
    Function::new("aclexplode.grantee", &[&[Array]], oids, |ctx, arguments| {
        acl(ctx, arguments, |grant| grant.grantee.into())
    }),
    Function::new("aclexplode.privilege_type", &[&[Array]], texts, |ctx, arguments| {
        acl(ctx, arguments, |grant| grant.privilege.keyword().into())
    }),
    Function::new(
        "aclexplode.is_grantable",
        &[&[Array]],
        || PgType::Array(Box::new(PgType::Bool)),
        |ctx, arguments| acl(ctx, arguments, |grant| grant.grantable.into()),
    ),
];

fn items(arguments: &[Value]) -> &[Value] {
    match arguments.first() {
        Some(Value::Items(items)) => items,
        _ => &[],
    }
}

/// Of a sequence that may be read; NULL of any other.
fn sequence_data(
    ctx: &Context,
    arguments: &[Value],
    part: fn(&Sequence, Option<i64>) -> Value,
) -> Result<Value, Plain> {
    let found = arguments.first().and_then(|object| relation_of(ctx, object));
    let readable = found.filter(|(id, relation)| ctx.relation_rights(*id, relation).contains(Privilege::Select));
    let Some((id, RelationKind::Sequence(sequence))) = readable.map(|(id, relation)| (id, &relation.storage)) else {
        return Ok(Value::Items(vec![Value::Null]));
    };
    let last = ctx.counter(id).last(id).map_err(|error| Plain::new(error.sqlstate(), error.to_string()))?;
    let called = last.filter(|last| *last != sequence.before(sequence.start));
    Ok(Value::Items(vec![part(sequence, called)]))
}

/// One column of the list of key words.
fn keywords(column: usize) -> Value {
    let lines = include_str!("../../../../sql/pg_catalog/keywords.tsv").lines().skip(2);
    Value::Items(lines.map(|line| line.split('\t').nth(column).unwrap_or_default().into()).collect())
}

/// Of `name=value` items.
fn options(arguments: &[Value], part: fn((&str, &str)) -> Value) -> Result<Value, Plain> {
    Ok(Value::Items(items(arguments).iter().filter_map(|item| item.text().split_once('=')).map(part).collect()))
}

/// One privilege of an ACL item.
struct Grant {
    grantor: u32,
    /// 0: PUBLIC.
    grantee: u32,
    privilege: Privilege,
    grantable: bool,
}

/// Of `grantee=privileges/grantor` items.
fn acl(ctx: &Context, arguments: &[Value], part: fn(&Grant) -> Value) -> Result<Value, Plain> {
    let role = |name: &str| {
        let name = parse_qualified(name).map(|parts| parts.concat()).unwrap_or_default();
        ctx.catalog.role_id(&name).map_or(0, ObjectId::oid)
    };
    let mut values = Vec::new();
    for item in items(arguments) {
        let Some((rest, grantor)) = item.text().rsplit_once('/') else { continue };
        let Some((grantee, letters)) = rest.rsplit_once('=') else { continue };
        let (grantor, grantee) = (role(grantor), if grantee.is_empty() { 0 } else { role(grantee) });
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            let Some(privilege) = Privilege::ALL.iter().find(|known| known.letter() == letter) else { continue };
            let grantable = letters.next_if_eq(&'*').is_some();
            values.push(part(&Grant { grantor, grantee, privilege: *privilege, grantable }));
        }
    }
    Ok(Value::Items(values))
}
