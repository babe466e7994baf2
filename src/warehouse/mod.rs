//! Tables we own: Parquet files listed in the metadata database, a transaction's own staged rows, scans over both.
//!
//! Files are immutable. Nothing here decides who may read; only `guard` opens a scan.

mod adapter;
mod deletes;
mod evolve;
mod hot;
mod layout;
mod lookup;
mod scan;
mod stage;
mod stats;
mod sweep;
mod text;
mod upkeep;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

pub use deletes::Addresses;
pub use evolve::{evolved, initial};
pub use scan::{FILE_COLUMN, POSITION_COLUMN, WarehouseTable};
pub use stage::{Staged, StagedTable};
pub use sweep::TRANSACTION_AGE_MAX;
pub use upkeep::{Running, UpkeepLog, Vacuumed};
pub use write::{TableWriter, WriteError, Written};

use self::hot::Hot;
use crate::catalog::{CatalogState, Relation, RelationKind};

/// The warehouse's files.
#[derive(Clone, Debug)]
pub struct Warehouse {
    store: Arc<dyn ObjectStore>,
    /// The folder in the store that has all files.
    root: object_store::path::Path,
    /// The same as a directory, if it is one.
    directory: Option<Arc<Path>>,
    /// What DuckLake calls the data path; ends with a slash.
    data_path: Arc<str>,
    upkeep: Arc<UpkeepLog>,
    hot: Arc<Hot>,
}

impl Warehouse {
    /// Files below a local directory, which is made if it is not there. `hot_bytes`: what may be kept of them in memory.
    pub fn local(directory: &Path, hot_bytes: u64) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let directory: PathBuf = directory.canonicalize()?;
        let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
        let shown = directory.to_str().ok_or_else(|| invalid(format!("{} is not UTF-8", directory.display())))?;
        Ok(Self {
            store: Arc::new(LocalFileSystem::new()),
            root: object_store::path::Path::from_absolute_path(&directory)
                .map_err(|error| invalid(error.to_string()))?,
            data_path: format!("{}/", shown.trim_end_matches('/')).into(),
            directory: Some(directory.into()),
            upkeep: Arc::default(),
            hot: Arc::new(Hot::new(hot_bytes)),
        })
    }

    /// Files below the path of a URL, in the store that it is about. `hot_bytes`: what may be kept of them in memory.
    pub fn remote(store: Arc<dyn ObjectStore>, url: &Url, hot_bytes: u64) -> Result<Self, object_store::Error> {
        Ok(Self {
            store,
            root: object_store::path::Path::from_url_path(url.path())?,
            directory: None,
            data_path: format!("{}/", url.as_str().trim_end_matches('/')).into(),
            upkeep: Arc::default(),
            hot: Arc::new(Hot::new(hot_bytes)),
        })
    }

    /// Where its files are: a local path or a URL, with a slash at its end.
    pub fn data_path(&self) -> &str {
        &self.data_path
    }

    /// What VACUUM did and does to the tables.
    pub fn upkeep(&self) -> &Arc<UpkeepLog> {
        &self.upkeep
    }

    /// The folder of a table's files.
    fn directory(&self, catalog: &CatalogState, relation: &Relation) -> Option<object_store::path::Path> {
        let RelationKind::Table(storage) = &relation.storage else { return None };
        let schema = catalog.schema(relation.schema)?;
        let home = storage.home.as_ref().unwrap_or(&schema.path);
        Some(self.path(&format!("{home}{}", storage.path)))
    }

    /// What lies below the data path, in the store.
    fn path(&self, below: &str) -> object_store::path::Path {
        below.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), object_store::path::Path::join)
    }
}

/// A folder name for a new schema or table: readable where the name allows it, always unique.
pub fn folder(name: &str) -> String {
    let readable: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    format!("{readable}-{}/", uuid::Uuid::now_v7())
}
