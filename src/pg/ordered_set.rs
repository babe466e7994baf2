//! What ordered-set aggregates pick out of the sorted values of a group: `percentile_disc` and `mode`
//! (<https://www.postgresql.org/docs/18/functions-aggregate.html>).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array, make_comparator};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::error::{Plain, SqlError, SqlState};

/// `sorted_percentile(array, fraction)`: the first item that as large a part of the items as the fraction does not follow.
/// `22003` for a fraction outside of 0 to 1.
pub const SORTED_PERCENTILE: &str = "sorted_percentile";
/// `sorted_mode(array)`: the item that is there most often, the first of those.
pub const SORTED_MODE: &str = "sorted_mode";

/// A function that picks one item of a sorted array.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Picked {
    name: &'static str,
    signature: Signature,
}

/// All of them.
pub fn ordered_set_functions() -> [ScalarUDF; 2] {
    [(SORTED_PERCENTILE, 2), (SORTED_MODE, 1)].map(|(name, arguments)| {
        let signature = Signature::new(TypeSignature::Any(arguments), Volatility::Immutable);
        ScalarUDF::new_from_impl(Picked { name, signature })
    })
}

impl ScalarUDFImpl for Picked {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of {} depends on what is known of its array", self.name)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields.first().map(|array| array.data_type()) {
            Some(DataType::List(item)) => Ok(Arc::new(item.as_ref().clone().with_name(self.name).with_nullable(true))),
            _ => exec_err!("{} takes an array", self.name),
        }
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(lists) = arrays.first().and_then(|array| array.as_list_opt::<i32>()) else {
            return exec_err!("{} takes an array", self.name);
        };
        let fractions =
            arrays.get(1).map(|fractions| arrow::compute::cast(fractions, &DataType::Float64)).transpose()?;
        let fractions = fractions.as_ref().map(AsArray::as_primitive::<Float64Type>);
        let same = same(lists.values())?;
        let mut picked = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            let [start, end] = [row, row + 1].map(|place| lists.value_offsets().get(place).copied().unwrap_or(0));
            let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
            picked.push(match fractions {
                _ if lists.is_null(row) || start == end => None,
                Some(fractions) if fractions.is_null(row) => None,
                Some(fractions) => Some(start + place_of(fractions.value(row), end - start)?),
                None => Some(most_frequent(start, end, &same)),
            });
        }
        let places: UInt64Array =
            picked.into_iter().map(|place| place.and_then(|place| u64::try_from(place).ok())).collect();
        Ok(ColumnarValue::Array(take(lists.values(), &places, None)?))
    }
}

/// Tells whether two of some values are equal.
fn same(values: &ArrayRef) -> Result<impl Fn(usize, usize) -> bool> {
    let compare = make_comparator(values, values, SortOptions::default())?;
    Ok(move |a, b| compare(a, b).is_eq())
}

/// The place of a percentile among `count` values.
fn place_of(fraction: f64, count: usize) -> Result<usize> {
    if !(0.0..=1.0).contains(&fraction) {
        let message = format!("percentile value {fraction} is not between 0 and 1");
        return Err(SqlError::from(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)).into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it is between 0 and the count, which arrays keep below 2^31"
    )]
    let place = (fraction * count as f64).ceil() as usize;
    Ok(place.max(1) - 1)
}

fn most_frequent(start: usize, end: usize, same: &impl Fn(usize, usize) -> bool) -> usize {
    let (mut best, mut best_len, mut first) = (start, 0, start);
    for place in start + 1..=end {
        if place < end && same(first, place) {
            continue;
        }
        if place - first > best_len {
            (best, best_len) = (first, place - first);
        }
        first = place;
    }
    best
}
