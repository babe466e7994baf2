//! Catalog objects as rows of the metadata database: ours, and those DuckLake readers need.

use chrono::Utc;

use super::MetastoreError;
use super::db::{Script, Value};
use super::keys::sealed_text;
use crate::catalog::{Body, CatalogState, Column, Relation, RelationKind, Schema, TableStorage, View, parts};
use crate::name::{ObjectId, SnapshotId};
use crate::secret::Keyring;
use crate::types::{PgType, ducklake_type};

/// Now, as DuckLake writes times.
pub(super) fn now_text() -> String {
    time_text(Utc::now().timestamp_micros())
}

/// A time, in microseconds since 1970, as DuckLake writes times.
pub(super) fn time_text(time_us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(time_us).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// Columns of what [`object_row`] gives.
pub(super) const OBJECT_COLUMNS: &[&str] = &["object_id", "kind", "begin_snapshot", "body"];

/// A row of `boathouse_object` (`object_id`, kind, `begin_snapshot`, body).
pub(super) fn object_row(
    id: ObjectId,
    version: SnapshotId,
    body: &Body,
    keyring: &Keyring,
) -> Result<Vec<Value>, MetastoreError> {
    let text = sealed_text(body.clone(), id, keyring)?;
    let kind = match body {
        Body::Database(_) => "database",
        Body::Schema(_) => "schema",
        Body::Relation(_) => "relation",
        Body::Role(_) => "role",
        Body::RowPolicy(_) => "row_policy",
        Body::RlsPolicy(_) => "rls_policy",
        Body::MaskingPolicy(_) => "masking_policy",
        Body::MaskAttachment(_) => "mask_attachment",
        Body::Credential(_) => "credential",
        Body::Type(_) => "type",
        Body::Tag(_) => "tag",
        Body::TagAssignment(_) => "tag_assignment",
        Body::TagMask(_) => "tag_mask",
        Body::TagGrant(_) => "tag_grant",
    };
    Ok(vec![id.0.into(), kind.into(), version.0.into(), text.into()])
}

/// Ends the DuckLake rows of an object that is dropped; returns the token for `changes_made`.
pub(super) fn end_ducklake(script: &mut Script, snapshot: SnapshotId, id: ObjectId, body: &Body) -> Option<String> {
    let values = || vec![snapshot.0.into(), id.0.into()];
    match body {
        Body::Schema(_) => {
            script.execute(
                "UPDATE ducklake_schema SET end_snapshot = $1 WHERE schema_id = $2 AND end_snapshot IS NULL",
                values(),
            );
            Some(format!("dropped_schema:{id}"))
        }
        Body::Relation(Relation { storage: RelationKind::Table(_), .. }) => {
            for table in [
                "ducklake_table",
                "ducklake_column",
                "ducklake_data_file",
                "ducklake_delete_file",
                "ducklake_partition_info",
                "ducklake_sort_info",
            ] {
                let sql = format!("UPDATE {table} SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL");
                script.execute(sql, values());
            }
            Some(format!("dropped_table:{id}"))
        }
        Body::Relation(Relation { storage: RelationKind::View(_), .. }) => {
            script.execute(
                "UPDATE ducklake_view SET end_snapshot = $1 WHERE view_id = $2 AND end_snapshot IS NULL",
                values(),
            );
            Some(format!("dropped_view:{id}"))
        }
        Body::Relation(_)
        | Body::Database(_)
        | Body::Role(_)
        | Body::RowPolicy(_)
        | Body::RlsPolicy(_)
        | Body::MaskingPolicy(_)
        | Body::MaskAttachment(_)
        | Body::Credential(_)
        | Body::Type(_)
        | Body::Tag(_)
        | Body::TagAssignment(_)
        | Body::TagMask(_)
        | Body::TagGrant(_) => None,
    }
}

/// Writes the DuckLake rows of a new or changed object; returns the token for `changes_made`.
pub(super) fn put_ducklake(
    script: &mut Script,
    state: &CatalogState,
    snapshot: SnapshotId,
    id: ObjectId,
    old: Option<&Body>,
    body: &Body,
) -> Option<String> {
    match body {
        Body::Schema(schema) => {
            if old.is_some() {
                return None;
            }
            put_schema(script, snapshot, id, schema);
            Some(format!("created_schema:{}", quoted(&schema.name)))
        }
        Body::Relation(relation) => match &relation.storage {
            RelationKind::Table(storage) => {
                let old = match old {
                    Some(Body::Relation(old)) => Some(old),
                    _ => None,
                };
                let redefined = !old.is_some_and(|old| old.is_same_to_readers(relation));
                if redefined {
                    put_table(script, snapshot, id, relation, storage, old.is_some());
                }
                let laid_out = put_layout(script, snapshot, id, old, relation);
                if !redefined && !laid_out {
                    return None;
                }
                Some(match old {
                    Some(_) => format!("altered_table:{id}"),
                    None => format!("created_table:{}", qualified(state, relation)),
                })
            }
            RelationKind::View(view) => {
                put_view(script, snapshot, id, relation, view);
                Some(format!("created_view:{}", qualified(state, relation)))
            }
            RelationKind::External(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => None,
        },
        Body::Database(_)
        | Body::Role(_)
        | Body::RowPolicy(_)
        | Body::RlsPolicy(_)
        | Body::MaskingPolicy(_)
        | Body::MaskAttachment(_)
        | Body::Credential(_)
        | Body::Type(_)
        | Body::Tag(_)
        | Body::TagAssignment(_)
        | Body::TagMask(_)
        | Body::TagGrant(_) => None,
    }
}

fn put_schema(script: &mut Script, snapshot: SnapshotId, id: ObjectId, schema: &Schema) {
    let row = vec![
        id.0.into(),
        uuid::Uuid::now_v7().to_string().into(),
        snapshot.0.into(),
        schema.name.as_str().into(),
        schema.path.as_str().into(),
        true.into(),
    ];
    let columns = ["schema_id", "schema_uuid", "begin_snapshot", "schema_name", "path", "path_is_relative"];
    script.insert("ducklake_schema", &columns, vec![row]);
}

/// The table's rows; `existed`: in place of those that are there.
fn put_table(
    script: &mut Script,
    snapshot: SnapshotId,
    id: ObjectId,
    relation: &Relation,
    storage: &TableStorage,
    existed: bool,
) {
    if existed {
        end_ducklake_definition(script, snapshot, id);
    }
    let row = vec![
        id.0.into(),
        storage.uuid.as_str().into(),
        snapshot.0.into(),
        relation.schema.0.into(),
        relation.name.as_str().into(),
        format!("{}{}", storage.home.as_deref().unwrap_or_default(), storage.path).into(),
        storage.home.is_none().into(),
    ];
    let columns = ["table_id", "table_uuid", "begin_snapshot", "schema_id", "table_name", "path", "path_is_relative"];
    script.insert("ducklake_table", &columns, vec![row]);
    if storage.home.is_some() {
        let sql = "UPDATE ducklake_table
                      SET path = (SELECT \"value\" FROM ducklake_metadata WHERE \"key\" = 'data_path') || path
                    WHERE table_id = $1 AND begin_snapshot = $2";
        script.execute(sql, vec![id.0.into(), snapshot.0.into()]);
    }
    put_columns(script, snapshot, id, &relation.columns);
    if !existed {
        let columns = ["table_id", "record_count", "next_row_id", "file_size_bytes"];
        let row = vec![id.0.into(), 0.into(), 0.into(), 0.into()];
        script.insert("ducklake_table_stats", &columns, vec![row]);
    }
}

/// How the table is laid out, where that is new; tells whether it is.
fn put_layout(
    script: &mut Script,
    snapshot: SnapshotId,
    table: ObjectId,
    old: Option<&Relation>,
    new: &Relation,
) -> bool {
    let end = |script: &mut Script, info: &str| {
        let sql = format!("UPDATE {info} SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL");
        script.execute(sql, vec![snapshot.0.into(), table.0.into()]);
    };
    let number = |index: usize| Value::from(i64::try_from(index).unwrap_or(i64::MAX));
    let info = |id: ObjectId| vec![vec![id.0.into(), table.0.into(), snapshot.0.into()]];
    let partitioned = old.and_then(Relation::partitioning) != new.partitioning();
    if partitioned {
        end(script, "ducklake_partition_info");
        if let Some(partitioning) = new.partitioning() {
            let id = partitioning.id;
            script.insert("ducklake_partition_info", &["partition_id", "table_id", "begin_snapshot"], info(id));
            let keys = partitioning.keys.iter().enumerate().map(|(index, key)| {
                let transform = key.transform.to_string();
                vec![id.0.into(), table.0.into(), number(index), i64::from(key.column).into(), transform.into()]
            });
            let columns = ["partition_id", "table_id", "partition_key_index", "column_id", "transform"];
            script.insert("ducklake_partition_column", &columns, keys.collect());
        }
    }
    let sorted = old.and_then(Relation::sorting) != new.sorting();
    if sorted {
        end(script, "ducklake_sort_info");
        if let Some(sorting) = new.sorting() {
            let id = sorting.id;
            script.insert("ducklake_sort_info", &["sort_id", "table_id", "begin_snapshot"], info(id));
            let name = |column| new.column_by_id(column).map(|column| quoted(&column.name)).unwrap_or_default();
            let keys = sorting.keys.iter().enumerate().map(|(index, key)| {
                let direction = if key.descending { "DESC" } else { "ASC" };
                let nulls = if key.nulls_first { "NULLS_FIRST" } else { "NULLS_LAST" };
                let name = name(key.column).into();
                vec![id.0.into(), table.0.into(), number(index), name, "duckdb".into(), direction.into(), nulls.into()]
            });
            let columns =
                ["sort_id", "table_id", "sort_key_index", "expression", "dialect", "sort_direction", "null_order"];
            script.insert("ducklake_sort_expression", &columns, keys.collect());
        }
    }
    partitioned || sorted
}

fn put_view(script: &mut Script, snapshot: SnapshotId, id: ObjectId, relation: &Relation, view: &View) {
    let values = vec![snapshot.0.into(), id.0.into()];
    script.execute("UPDATE ducklake_view SET end_snapshot = $1 WHERE view_id = $2 AND end_snapshot IS NULL", values);
    let row = vec![
        id.0.into(),
        uuid::Uuid::now_v7().to_string().into(),
        snapshot.0.into(),
        relation.schema.0.into(),
        relation.name.as_str().into(),
        "postgresql".into(),
        view.query.as_str().into(),
        "".into(),
    ];
    let columns =
        ["view_id", "view_uuid", "begin_snapshot", "schema_id", "view_name", "dialect", "sql", "column_aliases"];
    script.insert("ducklake_view", &columns, vec![row]);
}

/// Ends a table's definition rows, not its files.
fn end_ducklake_definition(script: &mut Script, snapshot: SnapshotId, id: ObjectId) {
    for table in ["ducklake_table", "ducklake_column"] {
        let sql = format!("UPDATE {table} SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL");
        script.execute(sql, vec![snapshot.0.into(), id.0.into()]);
    }
}

fn put_columns(script: &mut Script, snapshot: SnapshotId, table: ObjectId, columns: &[Column]) {
    let mut rows = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let row = |id: i32, order: usize, name: &str, pg: &PgType, parent: Option<i64>| -> Vec<Value> {
            vec![
                i64::from(id).into(),
                snapshot.0.into(),
                table.0.into(),
                i64::try_from(order).unwrap_or(0).into(),
                name.into(),
                ducklake_type(pg).into(),
                "NULL".into(),
                (column.nullable || parent.is_some()).into(),
                parent.into(),
                column.initial.clone().filter(|_| parent.is_none()).into(),
                "literal".into(),
                "duckdb".into(),
            ]
        };
        rows.push(row(column.id, place, &column.name, &column.pg, None));
        let parts = parts(column).into_iter().enumerate();
        rows.extend(parts.map(|(order, part)| row(part.id, order, part.name, part.pg, Some(part.parent.into()))));
    }
    let names = [
        "column_id",
        "begin_snapshot",
        "table_id",
        "column_order",
        "column_name",
        "column_type",
        "default_value",
        "nulls_allowed",
        "parent_column",
        "initial_default",
        "default_value_type",
        "default_value_dialect",
    ];
    script.insert("ducklake_column", &names, rows);
}

fn qualified(state: &CatalogState, relation: &Relation) -> String {
    let schema = state.schema(relation.schema).map_or("", |schema| schema.name.as_str());
    format!("{}.{}", quoted(schema), quoted(&relation.name))
}

/// Where a file `f` of a table `t` of a schema `s` lies below the data path, in SQL.
pub(super) const FILE_PATH: &str = "CASE WHEN t.path_is_relative = 1 THEN s.path || t.path
              ELSE substr(t.path, 1 + (SELECT length(\"value\") FROM ducklake_metadata WHERE \"key\" = 'data_path'))
         END || f.path";

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
