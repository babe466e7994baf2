//! Finding and deleting files that no snapshot needs: left by rolled-back transactions and by crashes.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::Warehouse;
use crate::catalog::{CatalogState, DataFile, Relation};

impl Warehouse {
    /// Deletes every file below the root that is not in `referenced` (paths below the root). Only for when no
    /// transaction is open: at start.
    pub async fn sweep(&self, referenced: &HashSet<String>) -> Result<usize, object_store::Error> {
        let root = Path::from_absolute_path(&self.root)?;
        let mut orphans = Vec::new();
        let mut listing = self.store.list(Some(&root));
        while let Some(object) = listing.try_next().await? {
            let below = object
                .location
                .prefix_match(&root)
                .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            if below.is_some_and(|below| !referenced.contains(&below)) {
                orphans.push(object.location);
            }
        }
        drop(listing);
        let count = orphans.len();
        futures::stream::iter(orphans)
            .map(Ok)
            .try_for_each(|path| async move { self.store.delete(&path).await })
            .await?;
        Ok(count)
    }

    /// Deletes files of a transaction that was rolled back. What cannot be deleted now, a sweep finds later.
    pub async fn discard(&self, catalog: &CatalogState, relation: &Relation, files: &[DataFile]) {
        let Some(directory) = self.directory(catalog, relation) else { return };
        for file in files {
            if let Err(error) = self.store.delete(&directory.clone().join(file.path.as_str())).await {
                tracing::warn!(path = %file.path, %error, "a discarded data file could not be deleted");
            }
        }
    }
}
