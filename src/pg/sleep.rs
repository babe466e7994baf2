//! Functions that wait. The engine calls them before it evaluates what else stands in the same list, so they may not depend on a
//! condition there.
//!
//! Source: <https://www.postgresql.org/docs/18/functions-datetime.html#FUNCTIONS-DATETIME-DELAY>.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{
    DataType, FieldRef, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use async_trait::async_trait;
use chrono::Utc;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::types::{PgType, arrow_type, field};

/// `pg_sleep(seconds)`, `pg_sleep_for(interval)`, `pg_sleep_until(moment)`.
pub fn sleep_functions() -> Vec<ScalarUDF> {
    let all = [
        ("pg_sleep", PgType::Float8),
        ("pg_sleep_for", PgType::Interval),
        ("pg_sleep_until", PgType::Timestamptz(None)),
    ];
    all.map(|(name, argument)| {
        let signature = Signature::exact(vec![arrow_type(&argument)], Volatility::Volatile);
        AsyncScalarUDF::new(Arc::new(Sleep { name, signature })).into_scalar_udf()
    })
    .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &'static str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&PgType::Void))
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name, &PgType::Void, true)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} waits", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time] = args.args.as_slice() else { return exec_err!("{} has one argument", self.name) };
        let times = time.to_array(args.number_rows)?;
        for row in (0..times.len()).filter(|row| times.is_valid(*row)) {
            tokio::time::sleep(wait(&times, row)).await;
        }
        let slept = (0..times.len()).map(|row| times.is_valid(row).then_some(""));
        Ok(ColumnarValue::Array(Arc::new(slept.collect::<StringViewArray>())))
    }
}

/// Longer ones end sooner: it is the longest that the clock has.
const WAIT_MAX: Duration = Duration::from_hours(24 * 365);
const DAY_NS: i128 = 86_400_000_000_000;
/// As PostgreSQL counts a month in seconds.
const MONTH_DAYS: i128 = 30;

/// How long one row says.
fn wait(times: &ArrayRef, row: usize) -> Duration {
    let nanoseconds = |count: i128| Duration::from_nanos(u64::try_from(count.max(0)).unwrap_or(u64::MAX));
    let wait = match times.data_type() {
        DataType::Float64 => {
            let seconds = times.as_primitive::<Float64Type>().value(row).max(0.0);
            Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX)
        }
        DataType::Interval(_) => {
            let IntervalMonthDayNano { months, days, nanoseconds: rest } =
                times.as_primitive::<IntervalMonthDayNanoType>().value(row);
            nanoseconds((i128::from(months) * MONTH_DAYS + i128::from(days)) * DAY_NS + i128::from(rest))
        }
        _ => {
            let until = times.as_primitive::<TimestampMicrosecondType>().value(row);
            nanoseconds((i128::from(until) - i128::from(Utc::now().timestamp_micros())) * 1000)
        }
    };
    wait.min(WAIT_MAX)
}
