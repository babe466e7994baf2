//! Descriptions of a warehouse table's data files.

use std::sync::Arc;

use crate::name::{FileId, SnapshotId};

/// One Parquet file.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Set once it is committed.
    pub id: Option<FileId>,
    /// Below the table's path.
    pub path: String,
    /// Rows in the file.
    pub record_count: u64,
    /// Length of the whole file, footer included.
    pub size_bytes: u64,
    /// Length of the Thrift footer.
    pub footer_bytes: Option<u64>,
    /// By column id, ascending.
    pub columns: Vec<ColumnStats>,
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

/// A table's live files at one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableData {
    /// The last snapshot known to have changed the files; `None` if none is.
    pub version: Option<SnapshotId>,
    /// In ascending order of id; empty if the table has no committed rows.
    pub files: Vec<Arc<DataFile>>,
}

impl TableData {
    /// Rows in all the files.
    pub fn row_count(&self) -> u64 {
        self.files.iter().map(|file| file.record_count).sum()
    }

    /// Length of all the files together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}
