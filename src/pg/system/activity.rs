//! What `pg_catalog` says of tables' rows and of VACUUM.

use std::net::SocketAddr;

use super::login;
use super::objects;
use super::relations;
use super::rows::{Rows, row};
use super::value::Value;
use crate::activity::Doing;
use crate::audit::{read, verify};
use crate::catalog::{DATABASE_ID, DATABASE_NAME, Relation, RelationKind};
use crate::context::Context;
use crate::encode::parse_timestamp;
use crate::error::{Plain, SqlError, SqlState, failed, internal};
use crate::govern::predefined::{AUDIT_READER, READ_ALL_STATS};
use crate::metastore::SnapshotRow;
use crate::setting::Zone;
use crate::types::PgType;

/// `pg_stat_all_tables`. What is counted since the server started begins with 0 then.
pub(super) fn tables(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "relid",
        "schemaname",
        "relname",
        "n_live_tup",
        "n_dead_tup",
        "n_ins_since_vacuum",
        "last_vacuum",
        "last_autovacuum",
        "vacuum_count",
        "autovacuum_count",
        "total_vacuum_time",
        "total_autovacuum_time",
    ]);
    for relation in relations().filter(|relation| !relation.view) {
        rows.push(row![
            relation.oid,
            relation.schema,
            relation.name,
            0,
            0,
            0,
            None::<i64>,
            None::<i64>,
            0,
            0,
            0.0,
            0.0
        ]);
    }
    let is_table = |relation: &Relation| matches!(relation.storage, RelationKind::Table(_));
    for (id, relation) in objects::visible(ctx).filter(|(_, relation)| is_table(relation)) {
        let data = ctx.catalog.data(id);
        let dead: u64 = data.files.iter().map(|file| file.record_count.saturating_sub(file.live_count())).sum();
        let schema = ctx.catalog.schema(relation.schema).map(|schema| schema.name.as_str());
        // How many rows a relation under policies has is not everyone's to know.
        let counted = ctx.owns(relation.owner) || !relation.row_security;
        let done = ctx.upkeep.table(id);
        rows.push(row![
            id.oid(),
            schema,
            relation.name.as_str(),
            Some(data.row_count()).filter(|_| counted),
            Some(dead).filter(|_| counted),
            Some(data.inlined.len()).filter(|_| counted),
            done.manual.last_us,
            done.automatic.last_us,
            done.manual.count,
            done.automatic.count,
            done.manual.total_ms,
            done.automatic.total_ms,
        ]);
    }
}

/// `pg_cursors`: the session's own.
pub(super) fn cursors(ctx: &Context, rows: &mut Rows) {
    let columns = ["name", "statement", "is_holdable", "is_binary", "is_scrollable", "creation_time"];
    let mut rows = rows.columns(columns);
    for (time_us, cursor) in ctx.open_objects.cursors.entries() {
        rows.push(row![cursor.name, cursor.statement, cursor.hold, false, cursor.scroll, time_us]);
    }
}

/// `pg_prepared_statements`: the session's own. How often they were planned is not counted.
pub(super) fn prepared_statements(ctx: &Context, rows: &mut Rows) {
    let columns = ["name", "statement", "prepare_time", "parameter_types", "result_types", "from_sql"];
    let mut rows = rows.columns(columns);
    let oids = |types: &[PgType]| Value::Items(types.iter().map(|pg| pg.oid().into()).collect());
    for (time_us, prepared) in ctx.open_objects.prepared.entries() {
        rows.push(row![
            prepared.name,
            prepared.statement,
            time_us,
            oids(&prepared.parameters),
            prepared.results.as_deref().map_or(Value::Null, oids),
            prepared.from_sql,
        ]);
    }
}

/// `pg_stat_activity`. What sessions of others do is for `pg_read_all_stats`.
pub(super) fn backends(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "datid",
        "datname",
        "pid",
        "usesysid",
        "usename",
        "application_name",
        "client_addr",
        "client_port",
        "backend_start",
        "xact_start",
        "query_start",
        "state_change",
        "wait_event_type",
        "wait_event",
        "state",
        "query",
        "backend_type",
    ]);
    for backend in ctx.activity.backends() {
        let user = ctx.catalog.role(backend.role).map(|role| role.name.as_str());
        let now = backend.now();
        let seen = ctx.superuser || ctx.roles.contains(&backend.role) || ctx.roles.contains(&READ_ALL_STATS);
        let peer = backend.client.parse::<SocketAddr>().ok();
        let waits = seen && now.doing != Doing::Active;
        let statement = now.statement.as_ref().map_or("", |statement| statement.shown());
        rows.push(row![
            DATABASE_ID.oid(),
            DATABASE_NAME,
            backend.pid,
            backend.role.oid(),
            user,
            seen.then_some(now.application.as_str()),
            peer.filter(|_| seen).map(|peer| peer.ip().to_string()),
            // A socket of this machine has none.
            Some(peer.map_or(-1, |peer| i32::from(peer.port()))).filter(|_| seen),
            Some(backend.started_us).filter(|_| seen),
            now.transaction_us.filter(|_| seen),
            now.statement_us.filter(|_| seen),
            Some(now.changed_us).filter(|_| seen),
            waits.then_some("Client"),
            waits.then_some("ClientRead"),
            seen.then(|| now.doing.name()),
            if seen { statement } else { "<insufficient privilege>" },
            "client backend",
        ]);
    }
}

/// The records of the audit trail, and what is found by computing their hashes anew.
pub(super) const AUDIT_LOG: &str = "pg_audit_log";
pub(super) const AUDIT_TRAIL: &str = "boathouse_audit_trail";

/// Whether a role may read one of the system's relations: the audit trail and the rules of who may log in are not everyone's.
pub(super) fn may_read(ctx: &Context, relation: &str) -> bool {
    match relation {
        AUDIT_LOG | AUDIT_TRAIL => ctx.superuser || ctx.roles.contains(&AUDIT_READER),
        login::RULES | login::MAPS => ctx.superuser,
        _ => true,
    }
}

/// `pg_audit_log` and `boathouse_audit_trail`, for members of `pg_audit_reader`. `42501`, `58030`.
pub(super) async fn audit(ctx: &Context, relation: &str, rows: &mut Rows) -> Result<(), SqlError> {
    if !may_read(ctx, relation) {
        let message = format!("permission denied for view {relation}");
        let detail = "Only roles with privileges of role \"pg_audit_reader\" may read the audit trail.";
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).detail(detail).into());
    }
    if !ctx.audit.is_on() {
        return Ok(());
    }
    let directory = ctx.audit.directory().to_owned();
    let unreadable = |error: std::io::Error| failed("read the audit trail", SqlState::IO_ERROR)(error);
    if relation == AUDIT_TRAIL {
        let trail = tokio::task::spawn_blocking(move || verify(&directory)).await.map_err(internal)?;
        let trail = trail.map_err(unreadable)?;
        let mut rows = rows.columns(["records", "first_seq", "last_seq", "head", "broken_at"]);
        rows.push(row![trail.records, trail.first, trail.last, trail.head, trail.broken]);
        return Ok(());
    }
    let all = tokio::task::spawn_blocking(move || read(&directory)).await.map_err(internal)?.map_err(unreadable)?;
    let mut rows = rows.columns([
        "seq",
        "at",
        "node",
        "class",
        "event",
        "pid",
        "login_role",
        "session_role",
        "effective_role",
        "client",
        "application",
        "command",
        "statement",
        "objects",
        "policies",
        "rows",
        "complete",
        "duration_us",
        "sqlstate",
        "detail",
        "hash",
    ]);
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    for found in all {
        rows.push(row![
            found.seq,
            parse_timestamp(&found.at, Some(Zone::UTC)).ok(),
            found.node,
            found.class,
            found.event,
            found.pid,
            some(found.login_role),
            some(found.session_role),
            some(found.effective_role),
            some(found.client),
            some(found.application),
            some(found.command),
            some(found.statement),
            Some(found.objects.to_string()).filter(|_| !found.objects.is_null()),
            Some(found.policies).filter(|policies| !policies.is_empty()),
            found.rows,
            found.complete,
            found.duration_us,
            found.sqlstate,
            some(found.detail),
            found.hash,
        ]);
    }
    Ok(())
}

/// `pg_stat_progress_vacuum`.
pub(super) fn vacuums(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["pid", "datid", "datname", "relid", "phase", "heap_blks_total"]);
    for running in ctx.upkeep.running() {
        let blocks = running.bytes / BLOCK_BYTES;
        rows.push(row![running.pid, DATABASE_ID.oid(), DATABASE_NAME, running.table.oid(), "rewriting files", blocks,]);
    }
}

/// PostgreSQL's unit of sizes.
const BLOCK_BYTES: u64 = 8192;

/// The one relation whose rows are read from the metadata database.
pub(super) const SNAPSHOTS: &str = "boathouse_snapshots";

/// `boathouse_snapshots`. What they did, and who did it, is for superusers: it names objects.
pub(super) fn snapshots(ctx: &Context, all: Vec<SnapshotRow>, rows: &mut Rows) {
    let mut rows = rows.columns(["snapshot_id", "snapshot_time", "schema_version", "changes", "author"]);
    for SnapshotRow { id, time, schema_version, changes, author } in all {
        let time = parse_timestamp(&time, Some(Zone::UTC)).ok();
        let (changes, author) = if ctx.superuser { (changes, author) } else { (None, None) };
        rows.push(row![id.0, time, schema_version, changes, author]);
    }
}
