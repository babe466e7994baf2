//! The catalog's data keys (`boathouse_key`), and secrets on their way to and from the database: sealed in
//! `boathouse_object`, open in memory. Versions that ended have none.

use std::sync::{Arc, PoisonError, RwLock};

use super::db::{Db, Row, Script, Value};
use super::rows::now_text;
use super::{MetastoreError, load};
use crate::catalog::{BOOTSTRAP_ROLE, Body};
use crate::govern::PasswordVerifier;
use crate::name::ObjectId;
use crate::secret::{Keyring, MasterKeys, Secret, SecretError, Wrapped};

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
            let (wrapped, keyring) = Box::pin(master.generate(1)).await?;
            let mut script = db.script();
            let rows = db.query(&secrets(), vec![]).await?;
            replace(&mut script, &wrapped, &rows, &Keyring::default(), &keyring)?;
            db.run(script).await?;
            if !rows.is_empty() {
                db.wipe().await?;
            }
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

    /// Keys are known from now on, beside those that are already: somebody may be reading what was sealed with them.
    pub(super) fn learn(&self, keyring: &Keyring) {
        let mut known = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(known.merged(keyring));
    }

    /// A key to take the place of the others.
    pub(super) async fn generate(&self) -> Result<NewKey, MetastoreError> {
        // It may speak to another server, which makes its future large.
        let (wrapped, keyring) = Box::pin(self.master.generate(self.keyring().next())).await?;
        Ok(NewKey { wrapped, keyring })
    }

    /// Unwraps a key that another server made.
    pub(super) async fn refresh(&self, db: &Db) -> Result<(), MetastoreError> {
        let unwrapped = Box::pin(self.master.unwrap(&stored(db).await?, &self.keyring())).await?;
        self.learn(&unwrapped);
        Ok(())
    }
}

/// Gives up what a lost master key sealed: another data key, and no secrets but the bootstrap role's password. `55000` if
/// nothing is lost.
pub(super) async fn forget(db: &Db, master: &MasterKeys, password: PasswordVerifier) -> Result<(), MetastoreError> {
    let stored = stored(db).await?;
    if !stored.is_empty() && Box::pin(master.unwrap(&stored, &Keyring::default())).await.is_ok() {
        return Err(MetastoreError::NothingLost);
    }
    let number = stored.iter().map(|key| key.number).max().unwrap_or(0) + 1;
    let (wrapped, keyring) = Box::pin(master.generate(number)).await?;
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

/// Opens the secrets of an object. Where there are keys, all are sealed; else whoever writes to the database would need none.
pub(super) fn open(body: &mut Body, id: ObjectId, keyring: &Keyring) -> Result<(), MetastoreError> {
    for (field, secret) in body.secrets() {
        if !secret.open(keyring, &place(id, field))? && keyring.newest().is_some() {
            return Err(SecretError::Damaged("it is not sealed").into());
        }
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
