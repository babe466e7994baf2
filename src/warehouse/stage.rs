//! What a transaction has written and not yet committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, internal_datafusion_err};
use roaring::RoaringTreemap;

use super::deletes::{Addresses, Place, without};
use crate::catalog::{Claims, DataFile, Moves};
use crate::name::{FileId, ObjectId};

/// By table. Cloning is cheap: files and rows are shared.
#[derive(Clone, Debug, Default)]
pub struct Staged {
    tables: BTreeMap<ObjectId, StagedTable>,
}

/// One table's uncommitted data.
#[derive(Clone, Debug, Default)]
pub struct StagedTable {
    /// Whether the committed rows are gone for this transaction.
    pub truncated: bool,
    /// Rows of committed files that are gone for this transaction; none of them was gone before.
    pub deleted: BTreeMap<FileId, Arc<RoaringTreemap>>,
    /// Files that are written already.
    pub files: Vec<Arc<DataFile>>,
    /// Small inserts, in memory until commit.
    pub rows: Vec<RecordBatch>,
    /// Hashes of the keys that its new rows have, by unique index; those of rows that are gone again may be among them.
    pub claims: BTreeMap<ObjectId, Arc<Claims>>,
    /// Where its new rows were before, if they are all rows of the table that it only writes again.
    pub moves: Option<Arc<Moves>>,
    /// Whether its new rows include all of the table's that were in no file.
    pub moves_inlined: bool,
}

impl Staged {
    /// A table's uncommitted data. `None`: the transaction has not written to it.
    pub fn get(&self, table: ObjectId) -> Option<&StagedTable> {
        self.tables.get(&table)
    }

    /// A table's uncommitted data, to be added to; empty at first.
    pub fn table(&mut self, table: ObjectId) -> &mut StagedTable {
        self.tables.entry(table).or_default()
    }

    /// Drops what was staged for a table that is dropped itself; its files are left to a sweep.
    pub fn forget(&mut self, table: ObjectId) {
        self.tables.remove(&table);
    }

    /// Whether no table was written to or truncated.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Each table that was written to or truncated, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectId, &StagedTable)> {
        self.tables.iter().map(|(id, table)| (*id, table))
    }
}

impl StagedTable {
    /// Hides the committed rows and drops the staged ones; their files are left to a sweep.
    pub fn truncate(&mut self) {
        self.truncated = true;
        self.deleted.clear();
        self.files.clear();
        self.rows.clear();
        self.claims.clear();
    }

    /// Adds hashes of keys.
    pub fn claim(&mut self, index: ObjectId, claims: Claims) {
        let all = Arc::make_mut(self.claims.entry(index).or_default());
        all.hashes.extend(claims.hashes);
        all.arbitrated |= claims.arbitrated;
    }

    /// Removes rows that a scan of this data gave, wherever they are kept.
    pub fn delete(&mut self, rows: &Addresses) -> Result<(), DataFusionError> {
        // Keys of own rows that go are not claimed for sure any more.
        if rows.places().any(|(place, _)| !matches!(place, Place::Committed(_))) {
            self.claims.values_mut().for_each(|claims| Arc::make_mut(claims).arbitrated = true);
        }
        for (place, positions) in rows.places() {
            match place {
                Place::Committed(file) => *Arc::make_mut(self.deleted.entry(file).or_default()) |= positions,
                Place::Staged(index) => {
                    let missing = || internal_datafusion_err!("a deleted row is in no file of the transaction");
                    let file = Arc::make_mut(self.files.get_mut(index).ok_or_else(missing)?);
                    *Arc::make_mut(&mut file.deletes.inlined) |= positions;
                }
                Place::Memory => self.rows = without(&self.rows, positions)?,
            }
        }
        Ok(())
    }
}
