//! What a transaction has written and not yet committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, internal_datafusion_err};
use roaring::RoaringTreemap;

use super::deletes::{Addresses, Place, without};
use crate::catalog::{Claims, DataFile, Moves};
use crate::name::{FileId, ObjectId};

/// Batches of this size are left alone.
const MERGED_BYTES_MAX: usize = 16 << 20;

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
    /// Small inserts, in memory until commit, in their order; from many rows to few.
    pub rows: Vec<RecordBatch>,
    /// The keys that its new rows have, by unique index; those of rows that are gone again may be among them.
    pub claims: BTreeMap<ObjectId, Claims>,
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

    /// Takes a table's uncommitted data out.
    pub fn take(&mut self, table: ObjectId) -> Option<StagedTable> {
        self.tables.remove(&table)
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

    /// Adds rows in memory. A few batches are merged, so that there are never many: every statement reads all of them.
    pub fn add(&mut self, rows: RecordBatch) -> Result<(), ArrowError> {
        let schema = rows.schema();
        let mut last = rows;
        let merges = |previous: &RecordBatch, rows| {
            previous.num_rows() < 2 * rows
                && previous.get_array_memory_size() < MERGED_BYTES_MAX
                && previous.schema() == schema
        };
        while let Some(previous) = self.rows.pop_if(|previous| merges(previous, last.num_rows())) {
            last = concat_batches(&schema, [&previous, &last])?;
        }
        self.rows.push(last);
        Ok(())
    }

    /// Adds keys.
    pub fn claim(&mut self, index: ObjectId, claims: Claims) {
        self.claims.entry(index).or_default().add(claims);
    }

    /// Removes rows that a scan of this data gave, wherever they are kept.
    pub fn delete(&mut self, rows: &Addresses) -> Result<(), DataFusionError> {
        // Keys of own rows that go are not claimed for sure any more.
        if rows.places().any(|(place, _)| !matches!(place, Place::Committed(_))) {
            self.claims.values_mut().for_each(|claims| claims.arbitrated = true);
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn many_small_additions_make_few_batches_in_their_order() {
        let mut table = StagedTable::default();
        let index = ObjectId(7);
        for value in 0..1000 {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            table.add(RecordBatch::try_from_iter([("a", column)]).unwrap()).unwrap();
            table.claim(index, Claims::new(vec![value.unsigned_abs()], false));
        }
        assert!(table.rows.len() <= 11, "{}", table.rows.len());
        let values = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(table.rows.iter().flat_map(values).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        let claims = table.claims.get(&index).unwrap();
        assert_eq!(claims.iter().collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        assert_eq!(claims.after(997).collect::<Vec<_>>(), [997, 998, 999]);
    }
}
