//! Reading the newest committed catalog into memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::MetastoreError;
use super::commit::INLINED_DELETES;
use super::db::{Db, Row, Value};
use super::inline;
use super::keys::{self, Keys};
use super::rows::FILE_PATH;
use crate::catalog::{
    Body, CatalogState, Change, ColumnStats, DataFile, DeleteFile, Deletes, FilePartition, Inlined, RelationKind,
    TableData, file_schema,
};
use crate::name::{FileId, ObjectId, SnapshotId};
use crate::secret::{Keyring, SecretError};

pub(super) async fn is_empty(db: &Db) -> Result<bool, MetastoreError> {
    let rows = db.query("SELECT count(*) FROM ducklake_snapshot", vec![]).await?;
    rows.first().map_or(Ok(true), |row| Ok(row.int(0)? == 0))
}

/// Where the warehouse's files are.
pub(super) async fn data_path(db: &Db) -> Result<String, MetastoreError> {
    let rows = db.query("SELECT \"value\" FROM ducklake_metadata WHERE \"key\" = 'data_path'", vec![]).await?;
    rows.first().map_or_else(|| Err(MetastoreError::Corrupt("there is no data_path".to_owned())), |row| row.text(0))
}

/// The snapshot after all others.
pub(super) const LAST: SnapshotId = SnapshotId(i64::MAX);

/// The last snapshot that was there at a time, which is as DuckLake writes times; `None`: it is before the first.
pub(super) async fn snapshot_at(db: &Db, time: &str) -> Result<Option<SnapshotId>, MetastoreError> {
    let sql = "SELECT max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time <= $1";
    let rows = db.query(sql, vec![time.into()]).await?;
    rows.first().map_or(Ok(None), |row| Ok(row.int_or_null(0)?.map(SnapshotId)))
}

/// The catalog and all live data files at a snapshot, or at the last one before it.
pub(super) async fn at(db: &Db, keys: &Keys, snapshot: SnapshotId) -> Result<CatalogState, MetastoreError> {
    let mut attempt = 1;
    loop {
        let state = read(db, &keys.keyring(), snapshot).await;
        // What is read may be let go meanwhile; the last snapshot is another one then.
        let read = match &state {
            Ok(state) => is_kept(db, state.snapshot).await?,
            Err(MetastoreError::Database { .. }) => false,
            Err(error) => !has_other_key(error, db, keys).await?,
        };
        if read || attempt == READS_MAX {
            return state;
        }
        attempt += 1;
    }
}

/// How often a state is read until nothing of it is let go, or gets another key, meanwhile.
const READS_MAX: u32 = 10;

/// Whether a snapshot is still there, and so all that it needs.
pub(super) async fn is_kept(db: &Db, snapshot: SnapshotId) -> Result<bool, MetastoreError> {
    let sql = "SELECT count(*) FROM ducklake_snapshot WHERE snapshot_id = $1";
    let rows = db.query(sql, vec![snapshot.0.into()]).await?;
    rows.first().map_or(Ok(false), |row| Ok(row.int(0)? > 0))
}

/// Whether what was read is sealed with a key that came, or went, meanwhile. What another server made is known afterwards.
async fn has_other_key(error: &MetastoreError, db: &Db, keys: &Keys) -> Result<bool, MetastoreError> {
    let other = matches!(error, MetastoreError::Secret(SecretError::KeyGone(_)));
    if other {
        keys.refresh(db).await?;
    }
    Ok(other)
}

async fn read(db: &Db, keyring: &Keyring, snapshot: SnapshotId) -> Result<CatalogState, MetastoreError> {
    let rows = db
        .query(
            "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id
               FROM ducklake_snapshot WHERE snapshot_id <= $1 ORDER BY snapshot_id DESC LIMIT 1",
            vec![snapshot.0.into()],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Err(MetastoreError::NoSnapshot(format!("snapshot {snapshot} is not kept any more")));
    };
    let at = || vec![Value::from(snapshot.0)];
    let mut state = CatalogState::new(SnapshotId(row.int(0)?), row.int(1)?, row.int(2)?, row.int(3)?);

    let rows =
        db.query(&format!("SELECT object_id, begin_snapshot, body FROM boathouse_object WHERE {LIVE}"), at()).await?;
    let mut by_version: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
    for row in &rows {
        let (id, body) = object(row, keyring)?;
        by_version.entry(row.int(1)?).or_default().push(Change::Put(id, Box::new(body)));
    }
    for (version, changes) in by_version {
        state = state.with(SnapshotId(version), changes);
    }
    let mut data = data_files(db, snapshot, None).await?;
    inlined(db, &state, snapshot, None, &mut data).await?;
    Ok(state.with_data(data.into_iter().map(|(table, data)| (table, Some(Arc::new(data))))))
}

/// What was committed after a state.
#[derive(Debug)]
pub(super) struct Later {
    /// The catalog at the last snapshot.
    pub(super) state: CatalogState,
    /// Tables whose rows were changed; `None`: that is not known.
    pub(super) changed: Option<BTreeMap<ObjectId, RowChanges>>,
}

/// The last snapshots that changed a table's rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowChanges {
    pub(super) last: SnapshotId,
    /// Took rows away, or changed them.
    pub(super) deleted: Option<SnapshotId>,
}

/// The last snapshot that there is.
pub(super) const LAST_SNAPSHOT: &str = "SELECT max(snapshot_id) FROM ducklake_snapshot";

/// What was committed after a state, by whomever; `None`: nothing. Only what has changed is read, if that can be told.
pub(super) async fn since(db: &Db, keys: &Keys, head: &CatalogState) -> Result<Option<Later>, MetastoreError> {
    let mut later = changes_since(db, &keys.keyring(), head).await;
    for _ in 1..READS_MAX {
        match &later {
            Err(error) if has_other_key(error, db, keys).await? => {
                later = changes_since(db, &keys.keyring(), head).await;
            }
            _ => break,
        }
    }
    // As long as the state's own snapshot is kept, nothing that came after is let go.
    if is_kept(db, head.snapshot).await? {
        return later;
    }
    let mut state = at(db, keys, LAST).await?;
    state.rights_changed = state.snapshot;
    let tables = state.relations().filter(|(_, relation)| matches!(relation.storage, RelationKind::Table(_)));
    let changed = tables.map(|(id, _)| {
        let data = TableData { version: Some(state.snapshot), ..state.data(id).as_ref().clone() };
        (id, Some(Arc::new(data)))
    });
    let changed: Vec<_> = changed.collect();
    Ok(Some(Later { state: state.with_data(changed), changed: None }))
}

async fn changes_since(db: &Db, keyring: &Keyring, head: &CatalogState) -> Result<Option<Later>, MetastoreError> {
    let sql = "SELECT s.snapshot_id, s.schema_version, s.next_catalog_id, s.next_file_id, c.changes_made
                 FROM ducklake_snapshot s JOIN ducklake_snapshot_changes c ON c.snapshot_id = s.snapshot_id
                WHERE s.snapshot_id > $1 ORDER BY s.snapshot_id";
    let rows = db.query(sql, vec![head.snapshot.0.into()]).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let snapshot = SnapshotId(last.int(0)?);
    let mut changed: BTreeMap<ObjectId, RowChanges> = BTreeMap::new();
    let mut moved = BTreeSet::new();
    for row in &rows {
        let made = row.text_or_null(4)?.unwrap_or_default();
        for (what, table) in made.split(',').filter_map(|token| token.split_once(':')) {
            let Ok(table) = table.parse().map(ObjectId) else { continue };
            let deletes = ["deleted_from_table", "inlined_delete"].contains(&what);
            if deletes || ["inserted_into_table", "inlined_insert"].contains(&what) {
                let last = SnapshotId(row.int(0)?);
                let deleted = changed.get(&table).and_then(|changes| changes.deleted);
                changed.insert(table, RowChanges { last, deleted: deleted.max(deletes.then_some(last)) });
            } else {
                moved.insert(table);
            }
        }
    }
    let mut state = head.clone();
    for (version, changes) in objects_since(db, keyring, head, snapshot).await? {
        moved.extend(changes.iter().map(Change::id));
        state = state.with(version, changes);
    }
    state.snapshot = snapshot;
    state.schema_version = last.int(1)?;
    state.next_catalog_id = last.int(2)?;
    state.next_file_id = last.int(3)?;
    let mut data = Vec::new();
    for id in moved.into_iter().chain(changed.keys().copied()).collect::<BTreeSet<_>>() {
        let is_table = state.relation(id).is_some_and(|relation| matches!(relation.storage, RelationKind::Table(_)));
        if is_table {
            let mut later = table(db, &state, id, snapshot).await?;
            later.version = changed.get(&id).map(|changes| changes.last).or(head.data(id).version);
            data.push((id, Some(Arc::new(later))));
        } else {
            data.push((id, None));
        }
    }
    Ok(Some(Later { state: state.with_data(data), changed: Some(changed) }))
}

/// How objects changed after a state, by the snapshot that did it.
async fn objects_since(
    db: &Db,
    keyring: &Keyring,
    head: &CatalogState,
    snapshot: SnapshotId,
) -> Result<BTreeMap<SnapshotId, Vec<Change>>, MetastoreError> {
    let both = || vec![Value::from(snapshot.0), head.snapshot.0.into()];
    let sql = "SELECT object_id, end_snapshot FROM boathouse_object WHERE end_snapshot <= $1 AND end_snapshot > $2";
    let mut ended = HashMap::new();
    for row in db.query(sql, both()).await? {
        let at = ended.entry(ObjectId(row.int(0)?)).or_insert(0);
        *at = row.int(1)?.max(*at);
    }
    let sql =
        format!("SELECT object_id, begin_snapshot, body FROM boathouse_object WHERE {LIVE} AND begin_snapshot > $2");
    let mut changes: BTreeMap<SnapshotId, Vec<Change>> = BTreeMap::new();
    for row in &db.query(&sql, both()).await? {
        let (id, body) = object(row, keyring)?;
        ended.remove(&id);
        changes.entry(SnapshotId(row.int(1)?)).or_default().push(Change::Put(id, Box::new(body)));
    }
    for (id, at) in ended.into_iter().filter(|(id, _)| head.entry(*id).is_some()) {
        changes.entry(SnapshotId(at)).or_default().insert(0, Change::Delete(id));
    }
    Ok(changes)
}

/// An object from its id and, in the third place, its body.
fn object(row: &Row, keyring: &Keyring) -> Result<(ObjectId, Body), MetastoreError> {
    let (id, mut body) = stored_object(row)?;
    keys::open(&mut body, id, keyring)?;
    Ok((id, body))
}

/// The same with its secrets sealed.
pub(super) fn stored_object(row: &Row) -> Result<(ObjectId, Body), MetastoreError> {
    let id = ObjectId(row.int(0)?);
    let mut body: Body = serde_json::from_str(&row.text(2)?)
        .map_err(|error| MetastoreError::Corrupt(format!("object {id}: {error}")))?;
    if let Body::Credential(credential) = &mut body {
        credential.set_secrets_apart();
    }
    Ok((id, body))
}

/// One table's rows at a snapshot. `state`: a catalog in which it has the columns that it had then.
pub(super) async fn table(
    db: &Db,
    state: &CatalogState,
    table: ObjectId,
    snapshot: SnapshotId,
) -> Result<TableData, MetastoreError> {
    let mut data = data_files(db, snapshot, Some(table)).await?;
    inlined(db, state, snapshot, Some(table), &mut data).await?;
    Ok(data.remove(&table).unwrap_or_default())
}

/// What snapshots did, from one to another: `changes_made` as DuckLake has it.
pub(super) async fn changes(
    db: &Db,
    from: SnapshotId,
    to: SnapshotId,
) -> Result<Vec<(SnapshotId, String)>, MetastoreError> {
    let sql = "SELECT snapshot_id, changes_made FROM ducklake_snapshot_changes
                WHERE snapshot_id BETWEEN $1 AND $2 ORDER BY snapshot_id";
    let rows = db.query(sql, vec![from.0.into(), to.0.into()]).await?;
    rows.iter().map(|row| Ok((SnapshotId(row.int(0)?), row.text_or_null(1)?.unwrap_or_default()))).collect()
}

/// Versions of relations that no other version followed: the object and the snapshot that dropped it, the last first. The
/// bodies are as they are stored.
pub(super) async fn dropped_relations(db: &Db) -> Result<Vec<(ObjectId, SnapshotId, String)>, MetastoreError> {
    let sql = "SELECT o.object_id, o.end_snapshot, o.body FROM boathouse_object o
                WHERE o.kind = 'relation' AND o.end_snapshot IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM boathouse_object later
                                   WHERE later.object_id = o.object_id AND later.begin_snapshot >= o.end_snapshot)
                ORDER BY o.end_snapshot DESC, o.object_id DESC";
    let rows = db.query(sql, vec![]).await?;
    rows.iter().map(|row| Ok((ObjectId(row.int(0)?), SnapshotId(row.int(1)?), row.text(2)?))).collect()
}

/// All snapshots, in order.
pub(super) async fn snapshots(db: &Db) -> Result<Vec<SnapshotRow>, MetastoreError> {
    let sql = "SELECT s.snapshot_id, s.snapshot_time, s.schema_version, c.changes_made, c.author
                 FROM ducklake_snapshot s LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = s.snapshot_id
                ORDER BY s.snapshot_id";
    let read = |row: &Row| {
        Ok(SnapshotRow {
            id: SnapshotId(row.int(0)?),
            time: row.text(1)?,
            schema_version: row.int(2)?,
            changes: row.text_or_null(3)?,
            author: row.text_or_null(4)?,
        })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// One commit.
#[derive(Clone, Debug)]
pub struct SnapshotRow {
    /// Its number.
    pub id: SnapshotId,
    /// When it was made, as DuckLake writes times.
    pub time: String,
    /// Changes of the catalog up to it.
    pub schema_version: i64,
    /// What it did, as DuckLake writes it.
    pub changes: Option<String>,
    /// The role that made it.
    pub author: Option<String>,
}

fn only(column: &str, table: Option<ObjectId>) -> String {
    table.map_or_else(String::new, |table| format!(" AND {column} = {table}"))
}

/// What is live at a snapshot, `$1`. Nothing ends after the last.
pub(super) const LIVE: &str = "begin_snapshot <= $1 AND (end_snapshot IS NULL OR end_snapshot > $1)";

async fn data_files(
    db: &Db,
    snapshot: SnapshotId,
    table: Option<ObjectId>,
) -> Result<BTreeMap<ObjectId, TableData>, MetastoreError> {
    let of_table = only("f.table_id", table);
    let mut stats: HashMap<i64, Vec<ColumnStats>> = HashMap::new();
    let at = || vec![Value::from(snapshot.0)];
    let sql = format!(
        "SELECT s.data_file_id, s.column_id, s.column_size_bytes, s.value_count, s.null_count, s.min_value, s.max_value,
                s.contains_nan
           FROM ducklake_file_column_stats s JOIN ducklake_data_file f ON f.data_file_id = s.data_file_id
          WHERE {LIVE}{of_table}
          ORDER BY s.data_file_id, s.column_id"
    );
    let rows = db.query(&sql, at()).await?;
    for row in rows {
        stats.entry(row.int(0)?).or_default().push(ColumnStats {
            column: i32::try_from(row.int(1)?).map_err(|error| MetastoreError::Corrupt(error.to_string()))?,
            size_bytes: row.int_or_null(2)?.unwrap_or(0),
            value_count: row.int_or_null(3)?.unwrap_or(0),
            null_count: row.int_or_null(4)?.unwrap_or(0),
            min: row.text_or_null(5)?,
            max: row.text_or_null(6)?,
            contains_nan: row.int_or_null(7)?.map(|flag| flag != 0),
        });
    }
    let mut deletes = deletes(db, snapshot, table).await?;
    let mut partitions = partitions(db, snapshot, table).await?;
    let sql = format!(
        "SELECT table_id, data_file_id, path, record_count, file_size_bytes, footer_size, begin_snapshot
           FROM ducklake_data_file f WHERE {LIVE}{of_table} ORDER BY table_id, data_file_id"
    );
    let rows = db.query(&sql, at()).await?;
    let mut tables: BTreeMap<ObjectId, TableData> = BTreeMap::new();
    for row in rows {
        let (table, id) = (ObjectId(row.int(0)?), row.int(1)?);
        let data = tables.entry(table).or_default();
        let (deleted_at, deletes) = deletes.remove(&id).unwrap_or_default();
        data.version = data.version.max(Some(SnapshotId(row.int(6)?.max(deleted_at))));
        data.files.push(Arc::new(DataFile {
            id: Some(FileId(id)),
            path: row.text(2)?,
            record_count: unsigned(row.int(3)?)?,
            size_bytes: unsigned(row.int(4)?)?,
            footer_bytes: row.int_or_null(5)?.map(unsigned).transpose()?,
            columns: stats.remove(&id).unwrap_or_default(),
            deletes,
            partition: partitions.remove(&id).map(Arc::new),
        }));
    }
    Ok(tables)
}

/// The partitions of files that have one.
async fn partitions(
    db: &Db,
    snapshot: SnapshotId,
    table: Option<ObjectId>,
) -> Result<HashMap<i64, FilePartition>, MetastoreError> {
    let of_table = only("f.table_id", table);
    let sql = format!(
        "SELECT f.data_file_id, f.partition_id, v.partition_value
           FROM ducklake_file_partition_value v JOIN ducklake_data_file f ON f.data_file_id = v.data_file_id
          WHERE {LIVE}{of_table} AND f.partition_id IS NOT NULL
          ORDER BY f.data_file_id, v.partition_key_index"
    );
    let mut found: HashMap<i64, FilePartition> = HashMap::new();
    for row in db.query(&sql, vec![Value::from(snapshot.0)]).await? {
        let of = ObjectId(row.int(1)?);
        let partition = found.entry(row.int(0)?).or_insert_with(|| FilePartition { of, values: Vec::new() });
        partition.values.push(row.text_or_null(2)?);
    }
    Ok(found)
}

/// The rows that are in no file, and the next row ids.
async fn inlined(
    db: &Db,
    state: &CatalogState,
    snapshot: SnapshotId,
    table: Option<ObjectId>,
    tables: &mut BTreeMap<ObjectId, TableData>,
) -> Result<(), MetastoreError> {
    for row in db.query("SELECT table_id, next_row_id FROM ducklake_table_stats", vec![]).await? {
        let table = ObjectId(row.int(0)?);
        if state.relation(table).is_some() {
            tables.entry(table).or_default().next_row_id = unsigned(row.int(1)?)?;
        }
    }
    let of_table = only("t.table_id", table);
    // All rows that are there are in the table of the present columns.
    let sql = format!(
        "SELECT t.table_id, t.table_name, t.schema_version
           FROM ducklake_inlined_data_tables t
          WHERE t.schema_version >= (
                  SELECT max(v.schema_version) FROM ducklake_schema_versions v
                   WHERE v.table_id = t.table_id
                     AND v.begin_snapshot = (
                           SELECT max(c.begin_snapshot) FROM ducklake_column c WHERE c.table_id = t.table_id AND {LIVE}))
            AND t.schema_version <= $2{of_table}"
    );
    let found = db.query(&sql, vec![snapshot.0.into(), state.schema_version.into()]).await?;
    for row in found {
        let id = ObjectId(row.int(0)?);
        let Some(relation) = state.relation(id) else { continue };
        let rows = inline::load(db, &row.text(1)?, snapshot, relation, file_schema(&relation.columns)).await?;
        let data = tables.entry(id).or_default();
        data.inlined_version = Some(row.int(2)?);
        data.inlined = Inlined::default().with(rows).map_err(|error| MetastoreError::Corrupt(error.to_string()))?;
    }
    Ok(())
}

/// Deleted rows by data file, and the last snapshot that deleted one.
async fn deletes(
    db: &Db,
    snapshot: SnapshotId,
    table: Option<ObjectId>,
) -> Result<HashMap<i64, (i64, Deletes)>, MetastoreError> {
    let of_table = only("table_id", table);
    let mut found: HashMap<i64, (i64, Deletes)> = HashMap::new();
    let at = || vec![Value::from(snapshot.0)];
    let sql = format!(
        "SELECT data_file_id, begin_snapshot, delete_file_id, path, delete_count, file_size_bytes
           FROM ducklake_delete_file WHERE {LIVE}{of_table}"
    );
    let rows = db.query(&sql, at()).await?;
    for row in rows {
        let (at, deletes) = found.entry(row.int(0)?).or_default();
        *at = row.int(1)?;
        deletes.file = Some(Arc::new(DeleteFile {
            id: Some(FileId(row.int(2)?)),
            path: row.text(3)?,
            count: unsigned(row.int(4)?)?,
            size_bytes: unsigned(row.int(5)?)?,
            positions: OnceLock::new(),
        }));
    }
    let own = table.map(|table| format!("{INLINED_DELETES}{table}"));
    for table in
        db.tables_like(INLINED_DELETES).await?.into_iter().filter(|name| own.as_ref().is_none_or(|own| own == name))
    {
        let sql = format!(
            "SELECT d.file_id, d.row_id, d.begin_snapshot FROM {table} d
               JOIN (SELECT data_file_id FROM ducklake_data_file WHERE {LIVE}) f ON f.data_file_id = d.file_id
              WHERE d.begin_snapshot <= $1"
        );
        let rows = db.query(&sql, at()).await?;
        for row in rows {
            let (at, deletes) = found.entry(row.int(0)?).or_default();
            *at = (*at).max(row.int(2)?);
            Arc::make_mut(&mut deletes.inlined).insert(unsigned(row.int(1)?)?);
        }
    }
    Ok(found)
}

pub(super) async fn sequences(db: &Db) -> Result<BTreeMap<ObjectId, i64>, MetastoreError> {
    let rows = db.query("SELECT sequence_id, last_value FROM boathouse_sequence", vec![]).await?;
    rows.iter().map(|row| Ok((ObjectId(row.int(0)?), row.int(1)?))).collect()
}

/// Paths below the data path of all files that any snapshot needs.
pub(super) async fn used_files(db: &Db) -> Result<HashSet<String>, MetastoreError> {
    let sql = format!(
        "SELECT DISTINCT {FILE_PATH}
           FROM (SELECT table_id, path FROM ducklake_data_file
                 UNION ALL SELECT table_id, path FROM ducklake_delete_file) f
           JOIN ducklake_table t ON t.table_id = f.table_id
           JOIN ducklake_schema s ON s.schema_id = t.schema_id"
    );
    db.query(&sql, vec![]).await?.iter().map(|row| row.text(0)).collect()
}

fn unsigned(value: i64) -> Result<u64, MetastoreError> {
    u64::try_from(value).map_err(|_negative| MetastoreError::Corrupt(format!("negative count {value}")))
}
