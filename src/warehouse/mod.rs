//! Tables we own: Parquet files listed in the metadata database, a transaction's own staged rows, scans over both.
//!
//! Files are immutable. Nothing here decides who may read; only `guard` opens a scan.

mod adapter;
mod deletes;
mod evolve;
mod layout;
mod scan;
mod stage;
mod stats;
mod sweep;
mod upkeep;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

pub use deletes::Addresses;
pub use evolve::{evolved, initial};
pub use scan::{FILE_COLUMN, POSITION_COLUMN, WarehouseTable};
pub use stage::{Staged, StagedTable};
pub use upkeep::{Running, UpkeepLog, Vacuumed};
pub use write::{TableWriter, WriteError, Written};

use crate::catalog::{CatalogState, Relation, RelationKind};
use crate::types::PgType;

/// The warehouse's files.
#[derive(Clone, Debug)]
pub struct Warehouse {
    store: Arc<dyn ObjectStore>,
    /// Absolute; what DuckLake calls the data path.
    root: Arc<Path>,
    upkeep: Arc<UpkeepLog>,
}

impl Warehouse {
    /// Files below a local directory.
    pub fn local(root: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root: PathBuf = root.canonicalize()?;
        Ok(Self { store: Arc::new(LocalFileSystem::new()), root: root.into(), upkeep: Arc::default() })
    }

    /// What VACUUM did and does to the tables.
    pub fn upkeep(&self) -> &Arc<UpkeepLog> {
        &self.upkeep
    }

    /// The folder of a table's files.
    fn directory(&self, catalog: &CatalogState, relation: &Relation) -> Option<object_store::path::Path> {
        let RelationKind::Table(storage) = &relation.storage else { return None };
        let schema = catalog.schema(relation.schema)?;
        object_store::path::Path::from_absolute_path(self.root.join(&schema.path).join(&storage.path)).ok()
    }
}

/// A folder name for a new schema or table: readable where the name allows it, always unique.
pub fn folder(name: &str) -> String {
    let readable: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    format!("{readable}-{}/", uuid::Uuid::now_v7())
}

/// Whether a column's values are kept as text because Parquet has no home for its type.
pub(crate) fn stored_as_text(pg: &PgType) -> bool {
    *pg == PgType::Interval
}
