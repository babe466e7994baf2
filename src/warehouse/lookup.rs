//! Rows of a table by a key, without a scan.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::{cast, filter};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, internal_datafusion_err};
use object_store::path::Path;

use super::WarehouseTable;
use super::deletes::Place;
use super::hot::{At, Group, Index, KeyedFile, Keys, Opened, matching};
use crate::catalog::{Column, DataFile};
use crate::types::PgType;

/// A row group that may have rows with a key.
struct Candidate<'a> {
    place: Place,
    file: &'a DataFile,
    path: Path,
    known: Arc<KeyedFile>,
    group: usize,
    /// Numbers of the keys.
    keys: Vec<usize>,
    index: Option<Arc<Index>>,
}

/// Whether values of a type are equal in SQL when they are equal in memory.
fn has_equality(pg: &PgType) -> bool {
    matches!(
        pg,
        PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Numeric(_)
            | PgType::Text
            | PgType::Varchar(_)
            | PgType::Char(_)
            | PgType::Bytea
            | PgType::Date
            | PgType::Time(_)
            | PgType::Timestamp(_)
            | PgType::Timestamptz(_)
            | PgType::Uuid
            | PgType::Enum(_)
    )
}

impl WarehouseTable {
    /// All rows whose columns have one of some keys; `values` has an array for each of the `columns`, in their types. NULL
    /// is no key. The rows have the columns of `projection`, by their places in the schema of the scan. `None`: a scan
    /// is the better way, or the only one.
    pub async fn lookup(
        &self,
        columns: &[usize],
        values: &[ArrayRef],
        projection: &[usize],
    ) -> Result<Option<Vec<RecordBatch>>> {
        let key: Option<Vec<&Column>> = columns.iter().map(|index| self.columns.get(*index)).collect();
        let Some(key) = key.filter(|key| key.iter().all(|column| has_equality(&column.pg))) else { return Ok(None) };
        let typed = |(index, values): (&usize, &ArrayRef)| self.own.field(*index).data_type() == values.data_type();
        if columns.len() != values.len() || !columns.iter().zip(values).all(typed) {
            return Ok(None);
        }
        let keys = Keys::new(without_nulls(values)?)?;
        let Some(mut candidates) = self.candidates(&keys, &key).await? else { return Ok(None) };
        if !self.indexed(&mut candidates, &key).await? {
            return Ok(None);
        }
        let mut found = Vec::new();
        for candidate in &candidates {
            if let Some(rows) = self.of_file(candidate, &keys, &key, projection).await? {
                found.push(rows);
            }
        }
        for in_memory in &self.rows {
            if let Some(rows) = self.of_memory(in_memory, columns, &keys, projection)? {
                found.push(rows);
            }
        }
        Ok(Some(found))
    }

    /// The row groups that may have a key. `None`: there is a file that lacks a column of it.
    async fn candidates(&self, keys: &Keys, key: &[&Column]) -> Result<Option<Vec<Candidate<'_>>>> {
        let hot = &self.warehouse.hot;
        let mut candidates = Vec::new();
        for (place, file) in &self.files {
            let path = self.directory.clone().join(file.path.as_str());
            let known = hot.file(&path, file, key);
            let within: Vec<usize> = keys.rows().filter(|row| known.may_have(keys, *row)).collect();
            if within.is_empty() {
                continue;
            }
            let opened = hot.open(self.at(&path, file), &known, key).await?;
            if !key.iter().all(|column| opened.has(column)) {
                return Ok(None);
            }
            for (group, of_group) in opened.groups.iter().enumerate() {
                let wanted: Vec<usize> = within.iter().copied().filter(|row| of_group.may_have(keys, *row)).collect();
                if !wanted.is_empty() {
                    candidates.push(Candidate {
                        place: *place,
                        file,
                        path: path.clone(),
                        known: Arc::clone(&known),
                        group,
                        keys: wanted,
                        index: hot.index(&path, group, key),
                    });
                }
            }
        }
        Ok(Some(candidates))
    }

    /// Sees to it that all row groups have an index; tells whether they have. Large ones get theirs one at a time.
    async fn indexed(&self, candidates: &mut [Candidate<'_>], key: &[&Column]) -> Result<bool> {
        let hot = &self.warehouse.hot;
        if candidates.iter().all(|candidate| candidate.index.is_some()) {
            return Ok(true);
        }
        let mut bytes = 0;
        for candidate in candidates.iter() {
            let (opened, group) = self.group(candidate, key).await?;
            bytes += opened.bytes(candidate.group, key) + (group.rows * size_of::<u64>()) as u64;
        }
        if !hot.has_room(bytes) {
            return Ok(false);
        }
        let mut large = 0;
        for candidate in candidates.iter_mut().filter(|candidate| candidate.index.is_none()) {
            let (opened, group) = self.group(candidate, key).await?;
            if !group.is_small() {
                large += 1;
                if large > 1 || !candidate.known.is_asked_often() {
                    return Ok(false);
                }
            }
            let built = hot.build(self.at(&candidate.path, candidate.file), opened, candidate.group, key).await?;
            if built.is_none() {
                return Ok(false);
            }
            candidate.index = built;
        }
        Ok(true)
    }

    async fn group<'a>(&self, candidate: &'a Candidate<'_>, key: &[&Column]) -> Result<(&'a Opened, &'a Group)> {
        let at = self.at(&candidate.path, candidate.file);
        let opened = self.warehouse.hot.open(at, &candidate.known, key).await?;
        Ok((opened, opened.group(candidate.group)?))
    }

    async fn of_file(
        &self,
        candidate: &Candidate<'_>,
        keys: &Keys,
        key: &[&Column],
        projection: &[usize],
    ) -> Result<Option<RecordBatch>> {
        let (opened, group) = self.group(candidate, key).await?;
        let Some(index) = &candidate.index else { return Ok(None) };
        let mut rows = index.find(keys, &candidate.keys)?;
        let deletes = &candidate.file.deletes;
        if !rows.is_empty() && !deletes.is_empty() {
            let deleted = self.warehouse.deleted(&self.directory, deletes).await?;
            rows.retain(|row| !deleted.contains(group.first + u64::from(*row)));
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let wanted: Vec<&Column> = projection.iter().filter_map(|index| self.columns.get(*index)).collect();
        let at = self.at(&candidate.path, candidate.file);
        let mut values = self.warehouse.hot.values(at, opened, candidate.group, &wanted, &rows).await?.into_iter();
        let positions = rows.iter().map(|row| i64::try_from(group.first + u64::from(*row)).unwrap_or(i64::MAX));
        let positions = Int64Array::from_iter_values(positions);
        let columns = projection.iter().map(|index| match self.columns.get(*index) {
            Some(_) => values.next().ok_or_else(|| internal_datafusion_err!("a column that was not read")),
            None => Ok(self.address(*index, candidate.place, &positions)),
        });
        Ok(Some(self.projected(projection, columns.collect::<Result<_>>()?, rows.len())?))
    }

    fn of_memory(
        &self,
        (rows, positions, place): &(RecordBatch, Int64Array, Place),
        columns: &[usize],
        keys: &Keys,
        projection: &[usize],
    ) -> Result<Option<RecordBatch>> {
        let typed = |index: usize| cast(rows.column(index), self.own.field(index).data_type());
        let own = columns.iter().map(|index| typed(*index)).collect::<Result<Vec<_>, _>>()?;
        let found = matching(&own, keys, rows.num_rows())?;
        let count = found.true_count();
        if count == 0 {
            return Ok(None);
        }
        let kept = |array: &dyn Array| filter(array, &found);
        let positions = kept(positions)?;
        let values = projection.iter().map(|index| match self.columns.get(*index) {
            Some(_) => kept(&typed(*index)?),
            None => {
                let positions = positions.as_primitive::<Int64Type>();
                Ok::<_, ArrowError>(self.address(*index, *place, positions))
            }
        });
        Ok(Some(self.projected(projection, values.collect::<Result<_, ArrowError>>()?, count)?))
    }

    /// One of the two columns that tell where rows are.
    fn address(&self, index: usize, place: Place, positions: &Int64Array) -> ArrayRef {
        if index == self.own.fields().len() {
            Arc::new(Int64Array::from_value(place.number(), positions.len()))
        } else {
            Arc::new(positions.clone())
        }
    }

    fn projected(&self, projection: &[usize], columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.project(projection)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    fn at<'a>(&'a self, path: &'a Path, file: &'a DataFile) -> At<'a> {
        At { store: &self.warehouse.store, path, file }
    }
}

/// The keys in which no column is NULL.
fn without_nulls(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    if values.iter().all(|array| array.logical_null_count() == 0) {
        return Ok(values.to_vec());
    }
    let rows = values.first().map_or(0, Array::len);
    let nulls: Vec<_> = values.iter().filter_map(Array::logical_nulls).collect();
    let whole: BooleanArray = (0..rows).map(|row| Some(nulls.iter().all(|nulls| nulls.is_valid(row)))).collect();
    values.iter().map(|array| Ok(filter(array, &whole)?)).collect()
}
