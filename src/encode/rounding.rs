//! Times that keep fewer digits of a second than six.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Time64MicrosecondArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType};

use super::datetime::MICROS_1970_TO_2000;
use super::timetz::{self, TimeTz};
use crate::types::{PgType, SECOND_DIGITS_MAX};

/// Values of a type that says how many digits of a second it keeps, rounded to them: half away from midnight, or from 2000, as
/// PostgreSQL's `AdjustTimeForTypmod` and `AdjustTimestampForTypmod` do. Values of other types as they are.
pub(super) fn seconds_rounded(array: ArrayRef, pg: &PgType) -> ArrayRef {
    let Some(dropped) = pg.second_digits().map(|digits| SECOND_DIGITS_MAX.saturating_sub(digits)).filter(|n| *n > 0)
    else {
        return array;
    };
    let unit = 10_i64.pow(u32::from(dropped));
    match array.data_type() {
        DataType::Time64(TimeUnit::Microsecond) => {
            let times: Time64MicrosecondArray =
                array.as_primitive::<Time64MicrosecondType>().unary(|micros| rounded(micros, unit));
            Arc::new(times)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let moments: TimestampMicrosecondArray = array.as_primitive::<TimestampMicrosecondType>().unary(|micros| {
                if matches!(micros, i64::MAX | i64::MIN) {
                    return micros;
                }
                rounded(micros.saturating_sub(MICROS_1970_TO_2000), unit).saturating_add(MICROS_1970_TO_2000)
            });
            Arc::new(moments.with_timezone_opt(zone.clone()))
        }
        DataType::FixedSizeBinary(_) => {
            let times = array.as_fixed_size_binary().iter().map(|bytes| {
                let time = bytes.and_then(TimeTz::from_bytes)?;
                Some(TimeTz { local_us: rounded(time.local_us, unit), ..time }.to_bytes())
            });
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(times, i32::try_from(timetz::BYTES).unwrap_or(0))
                .map_or_else(|_width| Arc::clone(&array), |times| Arc::new(times) as ArrayRef)
        }
        _ => array,
    }
}

/// The nearest multiple of a unit; of two the one farther from zero.
fn rounded(micros: i64, unit: i64) -> i64 {
    let away = unit / 2 * micros.signum();
    micros.saturating_add(away) / unit * unit
}
