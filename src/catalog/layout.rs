//! How a table's rows are laid out: in which files, and in which order there. Names and values are DuckLake's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KeyColumn;
use crate::name::ObjectId;

/// `PARTITIONED BY`: a data file has rows of one partition only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partitioning {
    /// DuckLake's `partition_id`, given as ids of objects are; files refer to it.
    pub id: ObjectId,
    /// What the rows of a partition have in common.
    pub keys: Vec<PartitionKey>,
}

/// One of the values that rows of a partition share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionKey {
    /// The id of the column that it is computed from.
    pub column: i32,
    /// How it is computed.
    pub transform: Transform,
}

/// From a column's value to a partition's. NULL stays NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// The value itself.
    Identity,
    /// Its year; moments are taken in UTC.
    Year,
    /// Its month, from 1 to 12.
    Month,
    /// Its day of the month.
    Day,
    /// Its hour of the day.
    Hour,
    /// The remainder of its hash, by so many buckets: Iceberg's bucket transform (its specification, appendix B).
    Bucket(u32),
}

/// `SORTED BY`: how rows are ordered within a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sorting {
    /// DuckLake's `sort_id`, given as ids of objects are.
    pub id: ObjectId,
    /// The most significant first.
    pub keys: Vec<KeyColumn>,
}

/// The partition that a file belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePartition {
    /// The table's [`Partitioning::id`] when the file was written.
    pub of: ObjectId,
    /// One for each key, as DuckDB prints it; `None`: NULL.
    pub values: Vec<Option<String>>,
}

impl fmt::Display for Transform {
    /// As DuckLake names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity"),
            Self::Year => f.write_str("year"),
            Self::Month => f.write_str("month"),
            Self::Day => f.write_str("day"),
            Self::Hour => f.write_str("hour"),
            Self::Bucket(count) => write!(f, "bucket({count})"),
        }
    }
}

impl Transform {
    /// As a user writes it, of a column.
    pub fn of(self, column: &str) -> String {
        match self {
            Self::Identity => column.to_owned(),
            Self::Bucket(count) => format!("bucket({count}, {column})"),
            Self::Year | Self::Month | Self::Day | Self::Hour => format!("{self}({column})"),
        }
    }
}
