//! What `pg_catalog` says of tables' rows and of VACUUM.

use super::objects;
use super::relations;
use super::rows::{Rows, row};
use crate::catalog::{DATABASE_ID, DATABASE_NAME, Relation, RelationKind};
use crate::context::Context;
use crate::encode::parse_timestamp;
use crate::metastore::SnapshotRow;
use crate::setting::Zone;

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
