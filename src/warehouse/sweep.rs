//! Finding and deleting files that no snapshot needs: left by rolled-back transactions and by crashes.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::ObjectStoreExt;

use super::Warehouse;
use crate::catalog::{CatalogState, Relation};

/// A file that no snapshot needs and that is as old as this belongs to no open transaction: see
/// [`TRANSACTION_AGE_MAX`].
const ORPHAN_AGE: Duration = Duration::from_hours(7 * 24);
/// Older transactions cannot commit files: they might be swept away.
pub const TRANSACTION_AGE_MAX: Duration = Duration::from_hours(6 * 24);

/// Deletes what a killed process leaves of files it was writing: the local store writes `name#1` first, renames it when it
/// is complete, and does not list it.
fn delete_unfinished(directory: &std::path::Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += delete_unfinished(&entry.path())?;
            continue;
        }
        let name = entry.file_name();
        let staged = name.to_string_lossy().rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok());
        if staged {
            std::fs::remove_file(entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}

impl Warehouse {
    /// Deletes every file below the root that is not in `referenced` (paths below the root). Other transactions than those
    /// of this process may be open: then only files as old as no transaction becomes.
    pub async fn sweep(&self, referenced: &HashSet<String>, alone: bool) -> Result<usize, object_store::Error> {
        let before = (!alone).then(|| chrono::Utc::now() - ORPHAN_AGE);
        let mut orphans = Vec::new();
        let mut listing = self.store.list(Some(&self.root));
        while let Some(object) = listing.try_next().await? {
            let below = object
                .location
                .prefix_match(&self.root)
                .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            let is_old = before.is_none_or(|before| object.last_modified < before);
            if is_old && below.is_some_and(|below| !referenced.contains(&below)) {
                orphans.push(object.location);
            }
        }
        drop(listing);
        let unfinished = match &self.directory {
            Some(directory) if alone => delete_unfinished(directory)
                .map_err(|error| object_store::Error::Generic { store: "warehouse", source: Box::new(error) })?,
            _ => 0,
        };
        let count = orphans.len() + unfinished;
        futures::stream::iter(orphans)
            .map(Ok)
            .try_for_each(|path| async move { self.store.delete(&path).await })
            .await?;
        Ok(count)
    }

    /// Deletes files by their paths below the root. Those that are gone already do not count as a failure.
    pub async fn delete(&self, paths: &[String]) -> Result<(), object_store::Error> {
        for path in paths {
            match self.store.delete(&self.path(path)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes files that nobody can see any more. What cannot be deleted now, a sweep finds later.
    pub async fn delete_quietly(&self, paths: impl IntoIterator<Item = String>) {
        if let Err(error) = self.delete(&paths.into_iter().collect::<Vec<_>>()).await {
            tracing::warn!(%error, "files could not be deleted");
        }
    }

    /// Deletes files of a transaction that was rolled back. What cannot be deleted now, a sweep finds later.
    pub async fn discard(&self, catalog: &CatalogState, relation: &Relation, paths: &[String]) {
        let Some(directory) = self.directory(catalog, relation) else { return };
        for path in paths {
            match self.store.delete(&directory.clone().join(path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "a discarded data file could not be deleted"),
            }
        }
    }
}
