//! The catalog's data keys (`boathouse_key`), and secrets on their way to and from the database: sealed in
//! `boathouse_object`, open in memory. Versions that ended have none.

use std::sync::{Arc, PoisonError, RwLock};

use super::db::{Db, Row, Script, Value};
use super::rows::now_text;
use super::{MetastoreError, load};
use crate::catalog::{BOOTSTRAP_ROLE, Body};
use crate::govern::PasswordVerifier;
use crate::name::ObjectId;
use crate::secret::{Keyring, MasterKeys, Secret, Wrapped};

/// Kinds of objects that may have secrets, as SQL.
const KINDS: &str = "('database', 'role', 'credential')";

/// A data key that nothing is sealed with yet.
#[derive(Debug)]
pub struct NewKey {
    pub(super) wrapped: Wrapped,
    /// With it as the newest.
    pub(super) keyring: Keyring,
}

impl NewKey {
    /// Its number in the catalog, and the master key that it is wrapped by.
    pub fn name(&self) -> (i64, &str) {
        (self.wrapped.number, &self.wrapped.master)
    }
}

/// The data keys that this server has unwrapped, and what it unwraps them with.
#[derive(Debug)]
pub(super) struct Keys {
    master: MasterKeys,
    keyring: RwLock<Arc<Keyring>>,
}

impl Keys {
    /// Unwraps the keys of a catalog. One without keys gets its first, and all its secrets are sealed.
    pub(super) async fn open(db: &Db, master: MasterKeys) -> Result<Self, MetastoreError> {
        let stored = stored(db).await?;
        let keyring = if stored.is_empty() {
            let (wrapped, keyring) = Box::pin(master.generate(&Keyring::default())).await?;
            let mut script = db.script();
            replace(&mut script, &wrapped, &db.query(&secrets(), vec![]).await?, &Keyring::default(), &keyring)?;
            db.run(script).await?;
            keyring
        } else {
            Box::pin(master.unwrap(&stored, &Keyring::default())).await?
        };
        Ok(Self { master, keyring: RwLock::new(Arc::new(keyring)) })
    }

    /// What seals and opens.
    pub(super) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on.
    pub(super) fn set(&self, keyring: Arc<Keyring>) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    /// A key to take the place of the others.
    pub(super) async fn generate(&self) -> Result<NewKey, MetastoreError> {
        let keyring = self.keyring();
        // It may speak to another server, which makes its future large.
        let (wrapped, keyring) = Box::pin(self.master.generate(&keyring)).await?;
        Ok(NewKey { wrapped, keyring })
    }

    /// Unwraps keys that other servers made.
    pub(super) async fn refresh(&self, db: &Db) -> Result<Arc<Keyring>, MetastoreError> {
        let known = self.keyring();
        let newest = db.query("SELECT max(key_id) FROM boathouse_key", vec![]).await?;
        if newest.first().map_or(Ok(None), |row| row.int_or_null(0))? == known.newest() {
            return Ok(known);
        }
        self.set(Arc::new(Box::pin(self.master.unwrap(&stored(db).await?, &known)).await?));
        Ok(self.keyring())
    }
}

/// Gives up what a lost master key sealed: a first data key again, and no secrets but the bootstrap role's password.
pub(super) async fn forget(db: &Db, master: &MasterKeys, password: PasswordVerifier) -> Result<(), MetastoreError> {
    let (wrapped, keyring) = Box::pin(master.generate(&Keyring::default())).await?;
    let mut script = db.script();
    for row in db.query(&secrets(), vec![]).await? {
        let (id, body) = load::stored_object(&row)?;
        let mut bare = body.without_secrets().unwrap_or(body);
        match &mut bare {
            Body::Role(role) if id == BOOTSTRAP_ROLE && is_live(&row)? => role.password = Some(password.clone()),
            Body::Database(database) if is_live(&row)? => database.hash_key = Some(Secret::random()),
            _ => {}
        }
        put(&mut script, &row, bare, id, &keyring)?;
    }
    put_key(&mut script, &wrapped);
    db.run(script).await
}

async fn stored(db: &Db) -> Result<Vec<Wrapped>, MetastoreError> {
    let rows = db.query("SELECT key_id, master, wrapped FROM boathouse_key ORDER BY key_id", vec![]).await?;
    rows.iter().map(|row| Ok(Wrapped { number: row.int(0)?, master: row.text(1)?, wrapped: row.text(2)? })).collect()
}

/// SQL for all versions of objects that may have secrets.
pub(super) fn secrets() -> String {
    format!("SELECT object_id, begin_snapshot, body, end_snapshot FROM boathouse_object WHERE kind IN {KINDS}")
}

/// Puts a key in the place of all others. `rows`: what [`secrets`] finds; what is sealed with `old` is sealed with `new`, and
/// ended versions lose what they have.
pub(super) fn replace(
    script: &mut Script,
    key: &Wrapped,
    rows: &[Row],
    old: &Keyring,
    new: &Keyring,
) -> Result<(), MetastoreError> {
    for row in rows {
        let (id, mut body) = load::stored_object(row)?;
        let is_live = is_live(row)?;
        if let Body::Database(database) = &mut body
            && is_live
        {
            // Older servers made none.
            database.hash_key.get_or_insert_with(Secret::random);
        }
        let Some(bare) = body.without_secrets() else { continue };
        if is_live {
            open(&mut body, id, old)?;
        } else {
            body = bare;
        }
        put(script, row, body, id, new)?;
    }
    put_key(script, key);
    Ok(())
}

/// Whether a row of [`secrets`] is of the present.
fn is_live(row: &Row) -> Result<bool, MetastoreError> {
    Ok(row.int_or_null(3)?.is_none())
}

fn put(script: &mut Script, row: &Row, body: Body, id: ObjectId, keyring: &Keyring) -> Result<(), MetastoreError> {
    let sql = "UPDATE boathouse_object SET body = $1 WHERE object_id = $2 AND begin_snapshot = $3";
    script.execute(sql, vec![sealed_text(body, id, keyring)?.into(), id.0.into(), row.int(1)?.into()]);
    Ok(())
}

fn put_key(script: &mut Script, key: &Wrapped) {
    script.execute("DELETE FROM boathouse_key", vec![]);
    let row: Vec<Value> =
        vec![key.number.into(), key.master.as_str().into(), key.wrapped.as_str().into(), now_text().into()];
    script.insert("boathouse_key", &["key_id", "master", "wrapped", "created_at"], vec![row]);
}

/// Opens the secrets of an object.
pub(super) fn open(body: &mut Body, id: ObjectId, keyring: &Keyring) -> Result<(), MetastoreError> {
    for (field, secret) in body.secrets() {
        secret.open(keyring, &place(id, field))?;
    }
    Ok(())
}

/// An object as JSON, its secrets sealed.
pub(super) fn sealed_text(mut body: Body, id: ObjectId, keyring: &Keyring) -> Result<String, MetastoreError> {
    for (field, secret) in body.secrets() {
        secret.seal(keyring, &place(id, field))?;
    }
    serde_json::to_string(&body).map_err(|error| MetastoreError::Corrupt(error.to_string()))
}

/// A secret opens for the object and the field only that it was sealed for.
fn place(id: ObjectId, field: &str) -> String {
    format!("{id}/{field}")
}
