//! Deleted rows: which rows of a file a scan selects, and files of positions, as DuckLake has them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, exec_datafusion_err};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use roaring::RoaringTreemap;

use super::{Warehouse, WriteError};
use crate::catalog::{CatalogState, DataFile, DeleteFile, Deletes, FIELD_ID, Relation};
use crate::name::FileId;

/// Field ids that DuckLake reserves.
const FILE_PATH_ID: &str = "2147483646";
const POSITION_ID: &str = "2147483645";
/// The file of the rows that a transaction keeps in memory.
const MEMORY: i64 = i64::MIN;

/// Rows by their addresses: the number of a file, and positions in it.
#[derive(Clone, Debug, Default)]
pub struct Addresses(BTreeMap<i64, RoaringTreemap>);

/// Where the rows of one scan lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Committed(FileId),
    /// Among the transaction's own files.
    Staged(usize),
    Memory,
}

impl Place {
    /// As the address column has it.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Committed(id) => id.0,
            Self::Staged(index) => -1 - i64::try_from(index).unwrap_or(i64::MAX - 2),
            Self::Memory => MEMORY,
        }
    }

    fn of(number: i64) -> Self {
        match number {
            MEMORY => Self::Memory,
            0.. => Self::Committed(FileId(number)),
            _ => Self::Staged(usize::try_from(-1 - number).unwrap_or(usize::MAX)),
        }
    }
}

impl Addresses {
    /// Adds a row; `false` if it is among them already.
    pub fn insert(&mut self, file: i64, position: i64) -> bool {
        u64::try_from(position).is_ok_and(|position| self.0.entry(file).or_default().insert(position))
    }

    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.0.values().map(RoaringTreemap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(RoaringTreemap::is_empty)
    }

    /// Those that are in committed data.
    pub fn committed(&self) -> impl Iterator<Item = (FileId, &RoaringTreemap)> {
        self.places().filter_map(|(place, rows)| match place {
            Place::Committed(file) => Some((file, rows)),
            Place::Staged(_) | Place::Memory => None,
        })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &RoaringTreemap)> {
        self.0.iter().map(|(number, positions)| (Place::of(*number), positions))
    }
}

/// The rows of a file that are not deleted; covers exactly `record_count` rows.
pub(super) fn live_rows(deleted: &RoaringTreemap, record_count: u64) -> RowSelection {
    let length = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut covered = 0;
    let mut positions = deleted.iter().take_while(|position| *position < record_count).peekable();
    while let Some(start) = positions.next() {
        let mut end = start + 1;
        while positions.next_if_eq(&end).is_some() {
            end += 1;
        }
        if start > covered {
            selectors.push(RowSelector::select(length(start - covered)));
        }
        selectors.push(RowSelector::skip(length(end - start)));
        covered = end;
    }
    if covered < record_count {
        selectors.push(RowSelector::select(length(record_count - covered)));
    }
    RowSelection::from(selectors)
}

/// Rows in memory without some, which go by their number among all of them.
pub(super) fn without(rows: &[RecordBatch], deleted: &RoaringTreemap) -> Result<Vec<RecordBatch>> {
    let mut kept = Vec::with_capacity(rows.len());
    let mut first = 0_u64;
    for batch in rows {
        let count = batch.num_rows() as u64;
        if deleted.range_cardinality(first..first + count) == 0 {
            kept.push(batch.clone());
        } else {
            let keep = (first..first + count).map(|row| Some(!deleted.contains(row))).collect();
            let rest = filter_record_batch(batch, &keep)?;
            if rest.num_rows() > 0 {
                kept.push(rest);
            }
        }
        first += count;
    }
    Ok(kept)
}

impl Warehouse {
    /// Positions of a committed file's rows that are gone.
    pub async fn deleted_rows(
        &self,
        catalog: &CatalogState,
        relation: &Relation,
        file: &DataFile,
    ) -> Result<Arc<RoaringTreemap>, WriteError> {
        let directory = self.directory(catalog, relation).ok_or_else(|| WriteError::no_storage(relation))?;
        Ok(self.deleted(&directory, &file.deletes).await?)
    }

    pub(super) async fn deleted(&self, directory: &Path, deletes: &Deletes) -> Result<Arc<RoaringTreemap>> {
        let Some(file) = &deletes.file else { return Ok(Arc::clone(&deletes.inlined)) };
        let kept = match file.positions.get() {
            Some(positions) => Arc::clone(positions),
            None => {
                let read = Arc::new(self.read_positions(&directory.clone().join(file.path.as_str())).await?);
                if read.len() != file.count {
                    return Err(exec_datafusion_err!("delete file {} has {} positions", file.path, read.len()));
                }
                Arc::clone(file.positions.get_or_init(|| read))
            }
        };
        if deletes.inlined.is_empty() { Ok(kept) } else { Ok(Arc::new(kept.as_ref() | deletes.inlined.as_ref())) }
    }

    async fn read_positions(&self, path: &Path) -> Result<RoaringTreemap> {
        let bytes = self.store.get(path).await?.bytes().await?;
        let read = move || {
            let mut positions = RoaringTreemap::new();
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
                let batch = batch?;
                let column = batch.column_by_name("pos").and_then(|pos| pos.as_primitive_opt::<Int64Type>());
                let column = column.ok_or_else(|| exec_datafusion_err!("a delete file has no positions"))?;
                positions.extend(column.values().iter().filter_map(|position| u64::try_from(*position).ok()));
            }
            Ok(positions)
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| exec_datafusion_err!("{error}"))?
    }

    /// Writes the positions of a data file's deleted rows to a file beside it: those of the file before and `more`.
    pub async fn write_deletes(
        &self,
        catalog: &CatalogState,
        relation: &Relation,
        data: &DataFile,
        more: &RoaringTreemap,
    ) -> Result<DeleteFile, WriteError> {
        let directory = self.directory(catalog, relation).ok_or_else(|| WriteError::no_storage(relation))?;
        let mut positions = more.clone();
        if data.deletes.file.is_some() {
            let before = Deletes { inlined: Arc::default(), file: data.deletes.file.clone() };
            positions |= self.deleted(&directory, &before).await?.as_ref();
        }
        let with_id = |name: &str, data_type, id: &str| {
            Field::new(name, data_type, false).with_metadata([(FIELD_ID.to_owned(), id.to_owned())].into())
        };
        let schema = Arc::new(Schema::new(vec![
            with_id("file_path", DataType::Utf8, FILE_PATH_ID),
            with_id("pos", DataType::Int64, POSITION_ID),
        ]));
        let name = format!("{}-delete.parquet", uuid::Uuid::now_v7());
        let path = directory.clone().join(name.as_str());
        let mut writer = AsyncArrowWriter::try_new(
            BufWriter::new(Arc::clone(&self.store), path.clone()),
            Arc::clone(&schema),
            None,
        )?;
        let mut rest = positions.iter().filter_map(|position| i64::try_from(position).ok()).peekable();
        let of_file = directory.clone().join(data.path.as_str()).to_string();
        while rest.peek().is_some() {
            let chunk: Int64Array = rest.by_ref().take(BATCH_ROWS).collect::<Vec<_>>().into();
            let files: StringArray = std::iter::repeat_n(Some(of_file.as_str()), chunk.len()).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(files), Arc::new(chunk)])?).await?;
        }
        writer.finish().await?;
        let size_bytes = self.store.head(&path).await?.size;
        let count = positions.len();
        Ok(DeleteFile { id: None, path: name, count, size_bytes, positions: OnceLock::from(Arc::new(positions)) })
    }
}

/// Positions that are written at a time.
const BATCH_ROWS: usize = 65_536;
