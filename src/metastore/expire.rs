//! Forgetting: snapshots that are too old are taken out of the metadata, and files that only they needed are put down for
//! deletion, as DuckLake has it (`ducklake_files_scheduled_for_deletion`).

use super::commit::INLINED_DELETES;
use super::db::{Db, Script, Value};
use super::rows::{FILE_PATH, now_text, quoted};
use super::{MetastoreError, load};
use crate::name::SnapshotId;

/// Tables whose rows are there from one snapshot to another.
const VERSIONED: &[&str] = &[
    "ducklake_schema",
    "ducklake_table",
    "ducklake_view",
    "ducklake_column",
    "ducklake_tag",
    "ducklake_column_tag",
    "boathouse_object",
];

/// Forgets all before the snapshot that was the last at a time; tells which is the first that is left, if any went.
pub(super) async fn snapshots(db: &Db, time: &str) -> Result<Option<SnapshotId>, MetastoreError> {
    let Some(kept) = load::snapshot_at(db, time).await? else { return Ok(None) };
    let before = db.query("SELECT count(*) FROM ducklake_snapshot WHERE snapshot_id < $1", vec![kept.0.into()]).await?;
    if before.first().map_or(Ok(0), |row| row.int(0))? == 0 {
        return Ok(None);
    }
    let at = || vec![Value::from(kept.0)];
    let mut script = db.script();
    for (files, id) in [("ducklake_data_file", "data_file_id"), ("ducklake_delete_file", "delete_file_id")] {
        // A file that came back from the past is there twice.
        let sql = format!(
            "INSERT INTO ducklake_files_scheduled_for_deletion (data_file_id, path, path_is_relative, schedule_start)
             SELECT DISTINCT f.{id}, {FILE_PATH}, 1, $1
               FROM {files} f
               JOIN ducklake_table t ON t.table_id = f.table_id
               JOIN ducklake_schema s ON s.schema_id = t.schema_id
              WHERE f.end_snapshot <= $2
                AND NOT EXISTS (SELECT 1 FROM {files} o
                                 WHERE o.path = f.path AND (o.end_snapshot IS NULL OR o.end_snapshot > $2))"
        );
        script.execute(sql, vec![now_text().into(), kept.0.into()]);
    }
    for table in db.tables_like(INLINED_DELETES).await? {
        let sql = format!(
            "DELETE FROM {table} WHERE file_id IN (SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot <= $1)"
        );
        script.execute(sql, at());
    }
    for dependent in ["ducklake_file_column_stats", "ducklake_file_partition_value"] {
        let sql = format!(
            "DELETE FROM {dependent}
              WHERE data_file_id IN (SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot <= $1)"
        );
        script.execute(sql, at());
    }
    for files in ["ducklake_delete_file", "ducklake_data_file"] {
        script.execute(format!("DELETE FROM {files} WHERE end_snapshot <= $1"), at());
    }
    inlined(db, kept, &mut script).await?;
    for table in VERSIONED {
        script.execute(format!("DELETE FROM {table} WHERE end_snapshot <= $1"), at());
    }
    // Files refer to layouts that their table has no more.
    for layout in
        ["ducklake_partition_info", "ducklake_partition_column", "ducklake_sort_info", "ducklake_sort_expression"]
    {
        let sql = format!("DELETE FROM {layout} WHERE table_id NOT IN (SELECT table_id FROM ducklake_table)");
        script.execute(sql, vec![]);
    }
    for table in ["ducklake_snapshot_changes", "ducklake_snapshot"] {
        script.execute(format!("DELETE FROM {table} WHERE snapshot_id < $1"), at());
    }
    db.run(script).await?;
    Ok(Some(kept))
}

/// Rows that are in no file. Tables for columns that no snapshot has any more go as a whole.
async fn inlined(db: &Db, kept: SnapshotId, script: &mut Script) -> Result<(), MetastoreError> {
    let sql = "SELECT t.table_name, t.schema_version < (
                        SELECT max(v.schema_version) FROM ducklake_schema_versions v
                         WHERE v.table_id = t.table_id
                           AND v.begin_snapshot = (SELECT max(c.begin_snapshot) FROM ducklake_column c
                                                    WHERE c.table_id = t.table_id AND c.begin_snapshot <= $1))
                 FROM ducklake_inlined_data_tables t";
    for row in db.query(sql, vec![kept.0.into()]).await? {
        let name = row.text(0)?;
        let table = quoted(&name);
        if row.int_or_null(1)? == Some(1) {
            script.execute(format!("DROP TABLE {table}"), vec![]);
            script.execute("DELETE FROM ducklake_inlined_data_tables WHERE table_name = $1", vec![name.into()]);
        } else {
            script.execute(format!("DELETE FROM {table} WHERE end_snapshot <= $1"), vec![kept.0.into()]);
        }
    }
    Ok(())
}

/// Files, by their paths below the data path, that were put down for deletion up to a time. Those that a snapshot needs
/// again, because they came back from the past meanwhile, are taken off the list.
pub(super) async fn due(db: &Db, time: &str) -> Result<Vec<String>, MetastoreError> {
    let listed = scheduled(db, time).await?;
    if listed.is_empty() {
        return Ok(listed);
    }
    let used = load::used_files(db).await?;
    let (kept, due): (Vec<String>, Vec<String>) = listed.into_iter().partition(|path| used.contains(path));
    if !kept.is_empty() {
        deleted(db, &kept).await?;
    }
    Ok(due)
}

/// All files that were put down up to a time.
pub(super) async fn scheduled(db: &Db, time: &str) -> Result<Vec<String>, MetastoreError> {
    let sql = "SELECT DISTINCT path FROM ducklake_files_scheduled_for_deletion WHERE schedule_start <= $1";
    db.query(sql, vec![time.into()]).await?.iter().map(|row| row.text(0)).collect()
}

/// Takes files off the list.
pub(super) async fn deleted(db: &Db, paths: &[String]) -> Result<(), MetastoreError> {
    let mut script = db.script();
    for path in paths {
        let sql = "DELETE FROM ducklake_files_scheduled_for_deletion WHERE path = $1";
        script.execute(sql, vec![path.as_str().into()]);
    }
    db.run(script).await
}
