//! Descriptions of a warehouse table's data files.

use std::sync::{Arc, OnceLock};

use roaring::RoaringTreemap;

use super::{FilePartition, Inlined};
use crate::name::{FileId, SnapshotId};

/// One Parquet file.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Set once it is committed.
    pub id: Option<FileId>,
    /// Below the table's path.
    pub path: String,
    /// Rows in the file, deleted ones included.
    pub record_count: u64,
    /// Length of the whole file, footer included.
    pub size_bytes: u64,
    /// Length of the Thrift footer.
    pub footer_bytes: Option<u64>,
    /// By column id, ascending.
    pub columns: Vec<ColumnStats>,
    /// Which of its rows are gone.
    pub deletes: Deletes,
    /// The partition that all its rows belong to; `None`: the table had none when it was written.
    pub partition: Option<Arc<FilePartition>>,
}

/// Rows of a data file that are gone, by their positions in it, which count from 0. Files are never changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deletes {
    /// Kept in the metadata database; none of them is in `file`.
    pub inlined: Arc<RoaringTreemap>,
    /// Kept in a file of their own.
    pub file: Option<Arc<DeleteFile>>,
}

/// A Parquet file with positions of deleted rows.
#[derive(Clone, Debug)]
pub struct DeleteFile {
    /// Set once it is committed.
    pub id: Option<FileId>,
    /// Below the table's path.
    pub path: String,
    /// How many positions it has.
    pub count: u64,
    /// Length of the whole file, footer included.
    pub size_bytes: u64,
    /// Read when first needed, and kept.
    pub positions: OnceLock<Arc<RoaringTreemap>>,
}

impl PartialEq for DeleteFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Deletes {
    /// Rows that are gone.
    pub fn count(&self) -> u64 {
        self.inlined.len() + self.file.as_ref().map_or(0, |file| file.count)
    }

    /// Whether no row is gone.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl DataFile {
    /// Rows that are there.
    pub fn live_count(&self) -> u64 {
        self.record_count.saturating_sub(self.deletes.count())
    }
}

/// Bounds of one column in one file, in DuckLake's text form. Absent bounds say nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStats {
    /// Column id, which is the Parquet field id.
    pub column: i32,
    /// Compressed bytes of the column in the file; 0 if whoever wrote the file did not record them.
    pub size_bytes: i64,
    /// Values that are not NULL.
    pub value_count: i64,
    /// NULLs; 0 where nobody recorded them.
    pub null_count: i64,
    /// No value is less, NaN aside; `None` if no bound is known.
    pub min: Option<String>,
    /// No value is greater, NaN aside; `None` if no bound is known.
    pub max: Option<String>,
    /// For floating-point columns; NaN is outside the bounds.
    pub contains_nan: Option<bool>,
}

/// A table's rows at one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableData {
    /// The last snapshot known to have changed the files or their deleted rows; `None` if none is.
    pub version: Option<SnapshotId>,
    /// In ascending order of id; empty if the table has no committed rows in files.
    pub files: Vec<Arc<DataFile>>,
    /// Rows that are in no file.
    pub inlined: Inlined,
    /// Which of the database's tables takes rows with the table's present columns; `None`: there is none yet.
    pub inlined_version: Option<i64>,
    /// DuckLake's id of the table's next new row.
    pub next_row_id: u64,
}

impl TableData {
    /// Rows that are not deleted.
    pub fn row_count(&self) -> u64 {
        self.inlined.len() + self.files.iter().map(|file| file.live_count()).sum::<u64>()
    }

    /// Length of all the files together.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Length of all the files together, and of the rows in memory.
    pub fn size_bytes(&self) -> u64 {
        self.inlined.size_bytes() + self.file_bytes()
    }
}
