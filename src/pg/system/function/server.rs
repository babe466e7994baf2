//! The server and the session: settings, encodings, sizes.

use super::Kind::{Bool, Int, Object, Oid, Text};
use super::definition::relation_of;
use super::{Function, bigint, boolean, name, text};
use crate::activity::Backend;
use crate::catalog::TEMPORARY_SCHEMA;
use crate::catalog::{DATABASE_ID, Relation};
use crate::context::{Assignment, Context, Effect};
use crate::error::{Plain, Report, SqlState};
use crate::govern::Privilege;
use crate::govern::predefined::SIGNAL_BACKEND;
use crate::guard::{Reader, masks};
use crate::name::ObjectId;
use crate::notification::Notification;
use crate::pg::system::PG_CATALOG;
use crate::pg::system::value::Value;
use crate::types::PgType;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "current_schemas",
        &[&[Bool]],
        || PgType::Array(Box::new(PgType::Name)),
        |ctx, arguments| {
            let all = matches!(arguments, [Value::Bool(true)]);
            let temporary = ctx.search_path.contains(&TEMPORARY_SCHEMA).then_some(TEMPORARY_SCHEMA);
            let path = ctx.search_path.iter().copied().filter(|id| *id != TEMPORARY_SCHEMA);
            let names = |id: ObjectId| ctx.catalog.schema(id).map(|schema| schema.name.clone());
            let implicit = temporary.filter(|_| all).and_then(names).into_iter();
            let implicit = implicit.chain(all.then(|| PG_CATALOG.to_owned()));
            Ok(implicit.chain(path.filter_map(names)).collect::<Vec<_>>().into())
        },
    ),
    Function::new("current_setting", &[&[Text], &[Text, Bool]], text, |ctx, arguments| {
        let setting = arguments.first().map_or("", Value::text);
        match ctx.settings.show(setting) {
            Some((_, value)) => Ok(value.into()),
            None if matches!(arguments, [_, Value::Bool(true)]) => Ok(Value::Null),
            None => {
                let message = format!("unrecognized configuration parameter \"{setting}\"");
                Err(Plain::new(SqlState::UNDEFINED_OBJECT, message))
            }
        }
    }),
    Function::new("set_config", &[&[Text, Text, Bool]], text, set_config).with_nulls().volatile(),
    Function::new("pg_notify", &[&[Text, Text]], || PgType::Void, notify).with_nulls().volatile(),
    Function::new("pg_encoding_to_char", &[&[Int]], name, |_, arguments| {
        Ok(if matches!(arguments, [Value::Int(6)]) { "UTF8" } else { "" }.into())
    }),
    Function::new(
        "pg_char_to_encoding",
        &[&[Text]],
        || PgType::Int4,
        |_, arguments| {
            let known = arguments
                .first()
                .is_some_and(|name| matches!(name.text().to_ascii_lowercase().as_str(), "utf8" | "utf-8"));
            Ok(if known { 6 } else { -1 }.into())
        },
    ),
    Function::new("getdatabaseencoding", &[&[]], name, |_, _| Ok("UTF8".into())),
    Function::new("pg_client_encoding", &[&[]], name, |_, _| Ok("UTF8".into())),
    Function::new("pg_reload_conf", &[&[]], boolean, |ctx, _| {
        if !ctx.superuser {
            let message = "permission denied for function pg_reload_conf";
            return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        ctx.login.ask_for_reload();
        Ok(true.into())
    })
    .volatile(),
    Function::new("pg_cancel_backend", &[&[Int]], boolean, |ctx, arguments| {
        Ok(signaled(ctx, arguments, "cancel query")?.inspect(Backend::cancel).is_some().into())
    })
    .volatile(),
    Function::new("pg_terminate_backend", &[&[Int], &[Int, Int]], boolean, |ctx, arguments| {
        Ok(signaled(ctx, arguments, "terminate process")?.inspect(Backend::end).is_some().into())
    })
    .volatile(),
    Function::new("pg_is_in_recovery", &[&[]], boolean, |_, _| Ok(false.into())),
    Function::new(
        "pg_my_temp_schema",
        &[&[]],
        || PgType::Oid,
        |ctx, _| Ok(ctx.catalog.schema(TEMPORARY_SCHEMA).map_or(0, |_| TEMPORARY_SCHEMA.oid()).into()),
    ),
    Function::new("pg_sequence_last_value", &[&[Object]], bigint, |ctx, arguments| {
        let found = arguments.first().and_then(|object| relation_of(ctx, object));
        let readable = found.filter(|(id, relation)| {
            let held = ctx.relation_rights(*id, relation);
            held.contains(Privilege::Usage) || held.contains(Privilege::Select)
        });
        let last = readable.map_or(Ok(None), |(id, _)| ctx.counter(id).last(id));
        let last = last.map_err(|error| Plain::new(error.sqlstate(), error.to_string()))?;
        Ok(last.map_or(Value::Null, Into::into))
    }),
    Function::new("pg_is_other_temp_schema", &[&[Oid]], boolean, |_, _| Ok(false.into())),
    Function::new("pg_relation_size", &[&[Object], &[Object, Text]], bigint, relation_size),
    Function::new("pg_table_size", &[&[Object]], bigint, relation_size),
    Function::new("pg_total_relation_size", &[&[Object]], bigint, relation_size),
    Function::new("pg_indexes_size", &[&[Object]], bigint, |_, _| Ok(0.into())),
    Function::new("pg_database_size", &[&[Object]], bigint, |ctx, arguments| {
        let known = match arguments {
            [Value::Text(name)] => ctx.catalog.database().is_some_and(|database| database.name == *name),
            [oid] => oid.oid() == DATABASE_ID.oid(),
            _ => false,
        };
        let tables = ctx.catalog.relations().map(|(id, relation)| shown_bytes(ctx, id, relation)).sum::<i64>();
        Ok(known.then_some(tables).into())
    }),
    Function::new("pg_tablespace_size", &[&[Object]], bigint, |_, _| Ok(Value::Null)),
    Function::new("pg_tablespace_location", &[&[Oid]], text, |_, _| Ok("".into())),
    Function::new("pg_stat_get_numscans", &[&[Oid]], bigint, |_, _| Ok(0.into())),
    Function::new("txid_current", &[&[]], bigint, |ctx, _| Ok(ctx.catalog.snapshot.0.into())),
    Function::new("inet_server_port", &[&[]], || PgType::Int4, |_, _| Ok(Value::Null)),
    Function::new("inet_client_port", &[&[]], || PgType::Int4, |_, _| Ok(Value::Null)),
];

/// The session of a number, if there is one, for who may stop what it does. `42501`
fn signaled(ctx: &Context, arguments: &[Value], what: &str) -> Result<Option<Backend>, Plain> {
    let [Value::Int(pid), ..] = arguments else { return Ok(None) };
    let Some(backend) = i32::try_from(*pid).ok().and_then(|pid| ctx.activity.backend(pid)) else { return Ok(None) };
    let is_superuser = ctx.catalog.role(backend.role).is_some_and(|role| role.superuser);
    let may =
        ctx.superuser || !is_superuser && (ctx.roles.contains(&backend.role) || ctx.roles.contains(&SIGNAL_BACKEND));
    if may {
        return Ok(Some(backend));
    }
    let (whose, act) = if what == "cancel query" {
        ("query is being canceled", "cancel queries")
    } else {
        ("process is being terminated", "terminate processes")
    };
    let detail = if is_superuser {
        format!("Only roles with the SUPERUSER attribute may {act} of roles with the SUPERUSER attribute.")
    } else {
        let role = "privileges of the \"pg_signal_backend\" role";
        let verb = if what == "cancel query" { "cancel this query" } else { "terminate this process" };
        format!("Only roles with privileges of the role whose {whose} or with {role} may {verb}.")
    };
    Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {what}")).detail(detail))
}

fn notify(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let [channel, payload] = arguments else { return Ok(Value::Null) };
    let told = Notification::new(ctx.backend_pid, channel.text(), payload.text())?;
    ctx.effects.add(Effect::Notified(told))?;
    Ok("".into())
}

fn set_config(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let [name, value, local] = arguments else { return Ok(Value::Null) };
    let (name, value) = (name.text().to_owned(), (!value.is_null()).then(|| value.text().to_owned()));
    let mut next = ctx.settings.as_ref().clone();
    next.set(&name, value.as_deref()).map_err(|error| {
        use crate::error::Report;
        Plain::new(error.sqlstate(), error.to_string())
    })?;
    let shown = next.show(&name).map(|(_, value)| value);
    let local = matches!(local, Value::Bool(true));
    ctx.effects.add(Effect::Assigned(Assignment { name, value, local }))?;
    Ok(shown.into())
}

/// What a warehouse table's files take. A relation under policies keeps its size to those who see all of it: it tells of
/// hidden rows, and of values behind masks.
fn shown_bytes(ctx: &Context, id: ObjectId, relation: &Relation) -> i64 {
    let masked = || masks(ctx, &Reader::of(ctx), id, relation).map_or(true, |masks| !masks.is_empty());
    if !ctx.owns(relation.owner) && relation.row_security || masked() {
        return 0;
    }
    i64::try_from(ctx.catalog.data(id).size_bytes()).unwrap_or(i64::MAX)
}

fn relation_size(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let found = arguments.first().and_then(|object| relation_of(ctx, object));
    Ok(found.map(|(id, relation)| shown_bytes(ctx, id, relation)).into())
}
