//! Numbered migrations (`sql/catalog/`), and the first snapshot of a new catalog.

use std::collections::{BTreeMap, BTreeSet};

use super::MetastoreError;
use super::db::{Db, Value};
use super::rows::{OBJECT_COLUMNS, now_text, object_row};
use crate::catalog::{
    BOOTSTRAP_ROLE, Body, DATABASE_ID, DATABASE_NAME, Database, FIRST_FREE_ID, PUBLIC_SCHEMA, Schema,
};
use crate::govern::predefined::{PREDEFINED_ROLES, predefined_role};
use crate::govern::{Acl, Grantee, PasswordVerifier, Privilege, PrivilegeSet, Role};
use crate::name::SnapshotId;
use crate::secret::{Keyring, Secret};

/// In order; never edited once released.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../../sql/catalog/0001_init.sql")),
    (2, include_str!("../../sql/catalog/0002_claim.sql")),
    (3, include_str!("../../sql/catalog/0003_key.sql")),
];

const DUCKLAKE_VERSION: &str = "1.0";

pub(super) async fn run(db: &Db) -> Result<(), MetastoreError> {
    db.batch("CREATE TABLE IF NOT EXISTS boathouse_migration (number BIGINT PRIMARY KEY, applied_at VARCHAR NOT NULL)")
        .await?;
    let rows = db.query("SELECT coalesce(max(number), 0) FROM boathouse_migration", vec![]).await?;
    let found = rows.first().map_or(Ok(0), |row| row.int(0))?;
    let known = MIGRATIONS.last().map_or(0, |(number, _)| *number);
    if found > known {
        return Err(MetastoreError::TooNew { found, known });
    }
    for (number, script) in MIGRATIONS.iter().filter(|(number, _)| *number > found) {
        let mut all = db.script();
        for statement in script.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            if db.is_shared() {
                all.execute(statement, vec![]);
            } else {
                // Of this type the key is SQLite's own address of a row, else there is an index beside the table.
                all.execute(statement.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY"), vec![]);
            }
        }
        let row = vec![Value::from(*number), now_text().into()];
        all.insert("boathouse_migration", &["number", "applied_at"], vec![row]);
        db.run(all).await?;
    }
    Ok(())
}

/// Adds the roles that every catalog has and this one lacks, because it is new or was made by an earlier version.
pub(super) async fn add_predefined_roles(db: &Db, keyring: &Keyring) -> Result<(), MetastoreError> {
    let sql = "SELECT DISTINCT object_id FROM boathouse_object WHERE object_id >= $1";
    let least = PREDEFINED_ROLES.iter().map(|(id, _)| *id).min().unwrap_or(BOOTSTRAP_ROLE);
    let known = db.query(sql, vec![least.0.into()]).await?;
    let known = known.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<i64>, _>>()?;
    let missing = PREDEFINED_ROLES.iter().filter(|(id, _)| !known.contains(&id.0));
    let rows = missing.map(|(id, name)| {
        object_row(*id, SnapshotId(0), &Body::Role(predefined_role(*id, name, BOOTSTRAP_ROLE)), keyring)
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut script = db.script();
    script.insert("boathouse_object", OBJECT_COLUMNS, rows);
    db.run(script).await
}

/// Snapshot 0: DuckLake's empty schema `main`, our role, database and schema `public`.
pub(super) async fn bootstrap(
    db: &Db,
    keyring: &Keyring,
    data_path: &str,
    verifier: PasswordVerifier,
) -> Result<(), MetastoreError> {
    let zero = SnapshotId(0);
    let mut role = Role::new(DATABASE_NAME);
    role.superuser = true;
    role.create_role = true;
    role.create_db = true;
    role.login = true;
    role.replication = true;
    role.bypass_rls = true;
    role.password = Some(verifier);

    let owner = BOOTSTRAP_ROLE;
    let connect = PrivilegeSet::of(&[Privilege::Connect, Privilege::Temporary]);
    let database = Database {
        name: DATABASE_NAME.to_owned(),
        owner,
        acl: Some(Acl::default_for(owner, PrivilegeSet::database(), connect)),
        settings: BTreeMap::new(),
        comment: None,
        hash_key: Some(Secret::random()),
    };
    let mut public_acl = Acl::default_for(owner, PrivilegeSet::schema(), PrivilegeSet::EMPTY);
    public_acl.grant(Grantee::Public, owner, PrivilegeSet::of(&[Privilege::Usage]), false);
    let public = Schema {
        name: "public".to_owned(),
        path: "public/".to_owned(),
        owner,
        acl: Some(public_acl),
        comment: Some("standard public schema".to_owned()),
    };
    let objects = vec![
        object_row(owner, zero, &Body::Role(role), keyring)?,
        object_row(DATABASE_ID, zero, &Body::Database(database), keyring)?,
        object_row(PUBLIC_SCHEMA, zero, &Body::Schema(public), keyring)?,
    ];

    let metadata = [
        ("version", DUCKLAKE_VERSION.to_owned()),
        ("created_by", format!("Boathouse {}", env!("CARGO_PKG_VERSION"))),
        ("data_path", data_path.to_owned()),
        ("encrypted", "false".to_owned()),
    ];
    let schemas = [(0, "main"), (PUBLIC_SCHEMA.0, "public")];

    let mut script = db.script();
    let rows = metadata.into_iter().map(|(key, value)| vec![key.into(), value.into()]).collect();
    script.insert("ducklake_metadata", &["key", "value"], rows);
    script.insert(
        "ducklake_snapshot",
        &["snapshot_id", "snapshot_time", "schema_version", "next_catalog_id", "next_file_id"],
        vec![vec![0.into(), now_text().into(), 0.into(), FIRST_FREE_ID.into(), 0.into()]],
    );
    script.insert(
        "ducklake_snapshot_changes",
        &["snapshot_id", "changes_made"],
        vec![vec![0.into(), r#"created_schema:"main",created_schema:"public""#.into()]],
    );
    let rows = schemas.into_iter().map(|(id, name)| {
        let uuid = uuid::Uuid::now_v7().to_string();
        vec![id.into(), uuid.into(), 0.into(), name.into(), format!("{name}/").into(), true.into()]
    });
    script.insert(
        "ducklake_schema",
        &["schema_id", "schema_uuid", "begin_snapshot", "schema_name", "path", "path_is_relative"],
        rows.collect(),
    );
    script.insert("boathouse_object", OBJECT_COLUMNS, objects);
    db.run(script).await
}
