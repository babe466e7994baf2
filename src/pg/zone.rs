//! `AT TIME ZONE`: from a moment to what clocks in a zone show, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::setting::Zone;
use crate::types::{PgType, arrow_type, field};

/// `timezone(zone, moment)`: of a `timestamptz` the local time as `timestamp`, and the reverse.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct AtTimeZone {
    signature: Signature,
}

impl Default for AtTimeZone {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

fn result(moment: Option<&DataType>) -> Result<PgType> {
    match moment {
        Some(DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => Ok(PgType::Timestamp),
        Some(DataType::Timestamp(TimeUnit::Microsecond, None)) => Ok(PgType::Timestamptz),
        // A date, and a literal: the planner makes a moment of it.
        Some(DataType::Date32 | DataType::Utf8 | DataType::Utf8View) => Ok(PgType::Timestamp),
        _ => Err(SqlError::from(unsupported("AT TIME ZONE of what is no timestamp")).into()),
    }
}

/// `22023` for a name that is none. Offsets count west of Greenwich, as in POSIX.
fn zone_of(name: &str) -> Result<Zone> {
    match Zone::parse(name) {
        Some(Zone::Fixed(east)) => Ok(Zone::Fixed(-east)),
        Some(zone) => Ok(zone),
        None => {
            let message = format!("time zone \"{name}\" not recognized");
            Err(SqlError::from(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)).into())
        }
    }
}

fn moved(zone: Zone, micros: i64, to_local: bool) -> Result<i64> {
    if matches!(micros, i64::MIN | i64::MAX) {
        return Ok(micros); // infinity
    }
    let moved =
        if to_local { micros.checked_add(i64::from(zone.offset_at(micros)) * 1_000_000) } else { zone.to_utc(micros) };
    let out_of_range = || SqlError::from(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"));
    Ok(moved.ok_or_else(out_of_range)?)
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &'static str {
        "timezone"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&result(arguments.get(1))?))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let moment = args.arg_fields.get(1).map(|field| field.data_type());
        Ok(Arc::new(field("timezone", &result(moment)?, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [zones, moments] = arrays.as_slice() else { return exec_err!("timezone takes two arguments") };
        let target = result(Some(moments.data_type()))?;
        if !matches!(moments.data_type(), DataType::Timestamp(..)) {
            return Err(SqlError::from(unsupported("AT TIME ZONE of what is no timestamp")).into());
        }
        let zones = cast(zones, &DataType::Utf8View)?;
        let (zones, micros) = (zones.as_string_view(), moments.as_primitive::<TimestampMicrosecondType>());
        // Nearly always one zone for all rows.
        let mut last: Option<(String, Zone)> = None;
        let mut values = Vec::with_capacity(micros.len());
        for (zone, micros) in zones.iter().zip(micros) {
            let (Some(name), Some(micros)) = (zone, micros) else {
                values.push(None);
                continue;
            };
            let zone = match &last {
                Some((known, zone)) if known == name => *zone,
                _ => last.insert((name.to_owned(), zone_of(name)?)).1,
            };
            values.push(Some(moved(zone, micros, target == PgType::Timestamp)?));
        }
        let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(values));
        let values = match arrow_type(&target) {
            DataType::Timestamp(_, Some(zone)) => {
                Arc::new(values.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(zone)) as ArrayRef
            }
            _ => values,
        };
        Ok(ColumnarValue::Array(values))
    }
}
