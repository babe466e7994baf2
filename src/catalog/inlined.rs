//! Rows of a warehouse table that are too few for a file: they are kept in the metadata database, and here.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericListArray, Int64Array, OffsetSizeTrait, StructArray,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

/// A table's rows that are in no file, at one snapshot. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inlined {
    /// From many rows to few.
    batches: Vec<Arc<InlinedRows>>,
    /// Ids of the rows.
    live: Arc<RoaringTreemap>,
}

/// Some rows with their ids.
#[derive(Clone, Debug, PartialEq)]
pub struct InlinedRows {
    /// DuckLake's `row_id` of each row: never given twice in a table.
    pub ids: Vec<u64>,
    /// The table's columns; fields carry the column ids.
    pub rows: RecordBatch,
}

impl InlinedRows {
    fn without(&self, gone: &RoaringTreemap) -> Result<Self, ArrowError> {
        let kept: BooleanArray = self.ids.iter().map(|id| Some(!gone.contains(*id))).collect();
        let ids = self.ids.iter().copied().filter(|id| !gone.contains(*id)).collect();
        Ok(Self { ids, rows: compact(&filter_record_batch(&self.rows, &kept)?)? })
    }

    /// The ids as a column.
    pub fn positions(&self) -> Int64Array {
        self.ids.iter().map(|id| i64::try_from(*id).ok()).collect()
    }
}

impl Inlined {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.live.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The ids of all rows.
    pub fn ids(&self) -> &Arc<RoaringTreemap> {
        &self.live
    }

    /// The rows, without some.
    pub fn rows(&self, gone: Option<&RoaringTreemap>) -> Result<Vec<Arc<InlinedRows>>, ArrowError> {
        let Some(gone) = gone.filter(|gone| !gone.is_empty()) else { return Ok(self.batches.clone()) };
        let mut rows = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            let kept = batch.without(gone)?;
            if !kept.ids.is_empty() {
                rows.push(Arc::new(kept));
            }
        }
        Ok(rows)
    }

    /// Without some rows.
    pub fn without(&self, gone: &RoaringTreemap) -> Result<Self, ArrowError> {
        Ok(Self { batches: self.rows(Some(gone))?, live: Arc::new(self.live.as_ref() - gone) })
    }

    /// With more rows, whose ids are greater than all there are. A few batches are merged, so that there are never many.
    pub fn with(mut self, more: InlinedRows) -> Result<Self, ArrowError> {
        if more.ids.is_empty() {
            return Ok(self);
        }
        Arc::make_mut(&mut self.live).extend(more.ids.iter().copied());
        let mut merged = vec![Arc::new(more)];
        let mut count = merged.iter().map(|batch| batch.ids.len()).sum::<usize>();
        while let Some(previous) = self.batches.pop_if(|previous| previous.ids.len() < 2 * count) {
            count += previous.ids.len();
            merged.push(previous);
        }
        merged.reverse();
        self.batches.push(match merged.as_slice() {
            [first, _, ..] => {
                let ids = merged.iter().flat_map(|batch| batch.ids.iter().copied()).collect();
                let rows = concat_batches(&first.rows.schema(), merged.iter().map(|batch| &batch.rows))?;
                Arc::new(InlinedRows { ids, rows: compact(&rows)? })
            }
            _ => merged.remove(0),
        });
        Ok(self)
    }

    /// Bytes that the rows take in memory.
    pub fn size_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.rows.get_array_memory_size() as u64).sum()
    }
}

/// Views keep all buffers that their values were ever in, those of values that are gone, too: each batch gets its own.
fn compact(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(compact_array).collect::<Result<_, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options)
}

fn compact_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let columns = parts.columns().iter().map(compact_array).collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, parts.nulls().cloned(), parts.len())?)
        }
        DataType::List(field) => Arc::new(compact_list(array.as_list::<i32>(), field)?),
        DataType::LargeList(field) => Arc::new(compact_list(array.as_list::<i64>(), field)?),
        _ => Arc::clone(array),
    })
}

fn compact_list<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    field: &arrow::datatypes::FieldRef,
) -> Result<GenericListArray<O>, ArrowError> {
    let items = compact_array(lists.values())?;
    GenericListArray::try_new(Arc::clone(field), lists.offsets().clone(), items, lists.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn rows(ids: std::ops::Range<u64>) -> InlinedRows {
        let ids: Vec<u64> = ids.collect();
        let column: ArrayRef = Arc::new(ids.iter().map(|id| i64::try_from(*id).ok()).collect::<Int64Array>());
        let text: StringViewArray = ids.iter().map(|id| Some(format!("a text that is long enough: {id}"))).collect();
        let text: ArrayRef = Arc::new(text);
        InlinedRows { ids, rows: RecordBatch::try_from_iter([("a", column), ("t", text)]).unwrap() }
    }

    #[test]
    fn rows_that_are_gone_take_no_memory() {
        let mut inlined = Inlined::default().with(rows(0..10)).unwrap();
        let fresh = inlined.size_bytes();
        for id in 10..5000 {
            inlined = inlined.without(&[id - 10].into_iter().collect()).unwrap().with(rows(id..id + 1)).unwrap();
        }
        assert_eq!(inlined.len(), 10);
        let buffers = |batch: &Arc<InlinedRows>| batch.rows.column(1).as_string_view().data_buffers().len();
        assert!(inlined.batches.iter().all(|batch| buffers(batch) <= 1));
        assert!(inlined.size_bytes() < 4 * fresh, "{} from {fresh}", inlined.size_bytes());
    }

    #[test]
    fn many_small_additions_make_few_batches() {
        let mut inlined = Inlined::default();
        for id in 0..1000 {
            inlined = inlined.with(rows(id..id + 1)).unwrap();
        }
        assert_eq!(inlined.len(), 1000);
        assert!(inlined.batches.len() <= 11, "{}", inlined.batches.len());
        let gone: RoaringTreemap = (100..900).collect();
        let left = inlined.without(&gone).unwrap();
        assert_eq!((left.len(), inlined.len()), (200, 1000));
        let values: Vec<u64> = left.rows(None).unwrap().iter().flat_map(|batch| batch.ids.clone()).collect();
        assert_eq!(values, (0..100).chain(900..1000).collect::<Vec<_>>());
        let column: i64 = left
            .rows(None)
            .unwrap()
            .iter()
            .map(|batch| batch.rows.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>())
            .sum();
        assert_eq!(column, values.iter().map(|id| i64::try_from(*id).unwrap()).sum::<i64>());
    }
}
