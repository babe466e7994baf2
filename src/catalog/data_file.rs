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
    pub record_count: u64,
    pub size_bytes: u64,
    /// Length of the Thrift footer.
    pub footer_bytes: Option<u64>,
    /// By column id, ascending.
    pub columns: Vec<ColumnStats>,
}

/// Bounds of one column in one file, in DuckLake's text form. Absent bounds say nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStats {
    pub column: i32,
    pub size_bytes: i64,
    /// Values that are not NULL.
    pub value_count: i64,
    pub null_count: i64,
    pub min: Option<String>,
    pub max: Option<String>,
    /// For floating-point columns; NaN is outside the bounds.
    pub contains_nan: Option<bool>,
}

/// A table's live files at one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableData {
    pub version: Option<SnapshotId>,
    pub files: Vec<Arc<DataFile>>,
}

impl TableData {
    pub fn row_count(&self) -> u64 {
        self.files.iter().map(|file| file.record_count).sum()
    }

    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}
