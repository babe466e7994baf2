//! What ordered-set aggregates make of the sorted values of a group: `percentile_disc`, `percentile_cont` and `mode`
//! (<https://www.postgresql.org/docs/18/functions-aggregate.html>).

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, IntervalMonthDayNanoArray, UInt64Array, make_comparator};
use arrow::compute::{SortOptions, cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, IntervalMonthDayNanoType};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::interval::{INTERVAL, between};
use crate::error::{Plain, SqlError, SqlState};

/// `sorted_percentile(array, fraction)`: the first item that as large a part of the items as the fraction does not follow.
/// `22003` for a fraction outside of 0 to 1.
pub const SORTED_PERCENTILE: &str = "sorted_percentile";
/// `sorted_interpolation(array, fraction)`: the value at a fraction of the way from the first to the last item; the items are
/// numbers or intervals. `22003` for a fraction outside of 0 to 1.
pub const SORTED_INTERPOLATION: &str = "sorted_interpolation";
/// `sorted_mode(array)`: the item that is there most often, the first of those.
pub const SORTED_MODE: &str = "sorted_mode";

/// A function of a sorted array.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfSorted {
    name: &'static str,
    signature: Signature,
}

/// All of them.
pub fn ordered_set_functions() -> [ScalarUDF; 3] {
    [(SORTED_PERCENTILE, 2), (SORTED_INTERPOLATION, 2), (SORTED_MODE, 1)].map(|(name, arguments)| {
        let signature = Signature::new(TypeSignature::Any(arguments), Volatility::Immutable);
        ScalarUDF::new_from_impl(OfSorted { name, signature })
    })
}

impl ScalarUDFImpl for OfSorted {
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
        let Some(DataType::List(item)) = args.arg_fields.first().map(|array| array.data_type()) else {
            return exec_err!("{} takes an array", self.name);
        };
        Ok(Arc::new(match item.data_type().clone() {
            INTERVAL if self.name == SORTED_INTERPOLATION => Field::new(self.name, INTERVAL, true),
            number if self.name == SORTED_INTERPOLATION && (number.is_numeric() || number.is_null()) => {
                Field::new(self.name, DataType::Float64, true)
            }
            _ if self.name == SORTED_INTERPOLATION => {
                let values = crate::types::of_field(item);
                let message = format!("function percentile_cont(double precision, {values}) does not exist");
                return Err(SqlError::from(Plain::new(SqlState::UNDEFINED_FUNCTION, message)).into());
            }
            _ => item.as_ref().clone().with_name(self.name).with_nullable(true),
        }))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(lists) = arrays.first().and_then(|array| array.as_list_opt::<i32>()) else {
            return exec_err!("{} takes an array", self.name);
        };
        let groups = lists.offsets().windows(2).enumerate().map(|(row, ends)| match ends {
            [start, end] if !lists.is_null(row) => usize::try_from(*start).ok().zip(usize::try_from(*end).ok()),
            _ => None,
        });
        let groups = groups.map(|ends| ends.map(|(start, end)| start..end).filter(|group| !group.is_empty()));
        let Some(fractions) = arrays.get(1) else {
            let same = same(lists.values())?;
            return picked(lists.values(), groups.map(|group| group.map(|group| most_frequent(&group, &same))));
        };
        let fractions = cast(fractions, &DataType::Float64)?;
        let fractions = fractions.as_primitive::<Float64Type>().iter();
        let at = groups.zip(fractions).map(|(group, fraction)| {
            let at = group.zip(fraction);
            at.map(|(group, fraction)| Ok((group, within_one(fraction)?))).transpose()
        });
        let at = at.collect::<Result<Vec<_>>>()?.into_iter();
        if self.name == SORTED_PERCENTILE {
            return picked(lists.values(), at.map(|at| at.map(|(group, fraction)| place_of(fraction, &group))));
        }
        if *lists.values().data_type() == INTERVAL {
            let values = lists.values().as_primitive::<IntervalMonthDayNanoType>();
            let found = at.map(|at| {
                let between = |(group, fraction)| {
                    let (low, high, way) = neighbours(fraction, &group);
                    between(values.value(low), values.value(high), way)
                };
                at.map(between).transpose()
            });
            let found = found.collect::<std::result::Result<IntervalMonthDayNanoArray, _>>().map_err(SqlError::from)?;
            return Ok(ColumnarValue::Array(Arc::new(found)));
        }
        let values = cast(lists.values(), &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let found = at.map(|at| {
            at.map(|(group, fraction)| {
                let (low, high, way) = neighbours(fraction, &group);
                let low = values.value(low);
                low + way * (values.value(high) - low)
            })
        });
        Ok(ColumnarValue::Array(Arc::new(found.collect::<Float64Array>())))
    }
}

/// Some of the values.
fn picked(values: &ArrayRef, places: impl Iterator<Item = Option<usize>>) -> Result<ColumnarValue> {
    let places: UInt64Array = places.map(|place| place.and_then(|place| u64::try_from(place).ok())).collect();
    Ok(ColumnarValue::Array(take(values, &places, None)?))
}

/// Tells whether two of some values are equal.
fn same(values: &ArrayRef) -> Result<impl Fn(usize, usize) -> bool> {
    let compare = make_comparator(values, values, SortOptions::default())?;
    Ok(move |a, b| compare(a, b).is_eq())
}

/// A fraction, if it is one.
fn within_one(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let message = format!("percentile value {fraction} is not between 0 and 1");
    Err(SqlError::from(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)).into())
}

/// The item of a group before which there is no smaller part of it than the fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is between 0 and the count, which arrays keep below 2^31"
)]
fn place_of(fraction: f64, group: &Range<usize>) -> usize {
    let place = (fraction * group.len() as f64).ceil() as usize;
    group.start + place.max(1) - 1
}

/// The items beside a fraction of the way through a group, and how far it is from the first to the second of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is between 0 and the count, which arrays keep below 2^31"
)]
fn neighbours(fraction: f64, group: &Range<usize>) -> (usize, usize, f64) {
    let place = fraction * (group.len() - 1) as f64;
    (group.start + place.floor() as usize, group.start + place.ceil() as usize, place - place.floor())
}

fn most_frequent(group: &Range<usize>, same: &impl Fn(usize, usize) -> bool) -> usize {
    let (mut best, mut best_len, mut first) = (group.start, 0, group.start);
    for place in group.start + 1..=group.end {
        if place < group.end && same(first, place) {
            continue;
        }
        if place - first > best_len {
            (best, best_len) = (first, place - first);
        }
        first = place;
    }
    best
}
