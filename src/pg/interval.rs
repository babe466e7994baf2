//! `interval * number` and `interval / number`, with the parts of months and days where PostgreSQL puts them
//! (`interval_mul` in its `timestamp.c`).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use sqlparser::ast::BinaryOperator;

use crate::error::{Plain, SqlError, SqlState};

pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DAYS_PER_MONTH: f64 = 30.0;
const SECONDS_PER_DAY: f64 = 86_400.0;
const MICROS_PER_SECOND: f64 = 1_000_000.0;

/// An interval by a number.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    divides: bool,
    signature: Signature,
}

impl Scaled {
    fn new(divides: bool) -> Self {
        Self { divides, signature: Signature::any(2, Volatility::Immutable) }
    }

    fn one(&self, interval: IntervalMonthDayNano, number: f64) -> std::result::Result<IntervalMonthDayNano, Plain> {
        if self.divides && number == 0.0 {
            return Err(Plain::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        let by = |value: f64| if self.divides { value / number } else { value * number };
        let (months, days) = (by(f64::from(interval.months)), by(f64::from(interval.days)));
        // What is left of a month is days, and what is left of those and of a day is time.
        let of_month = rounded((months - months.trunc()) * DAYS_PER_MONTH);
        let mut seconds = rounded((days - days.trunc() + of_month - of_month.trunc()) * SECONDS_PER_DAY);
        let mut whole_days = days.trunc() + of_month.trunc();
        if seconds.abs() >= SECONDS_PER_DAY {
            let more = (seconds / SECONDS_PER_DAY).trunc();
            whole_days += more;
            seconds -= more * SECONDS_PER_DAY;
        }
        #[expect(clippy::cast_precision_loss, reason = "PostgreSQL computes in float8, too")]
        let micros = by((interval.nanoseconds / 1000) as f64);
        let micros = (micros + seconds * MICROS_PER_SECOND).round_ties_even();
        let fits = |value: f64, limit: f64| value.is_finite() && value.abs() < limit;
        let limit = f64::from(i32::MAX);
        if !fits(months, limit) || !fits(whole_days, limit) || !fits(micros, 9.2e15) {
            return Err(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "held to the limits")]
        Ok(IntervalMonthDayNano::new(months.trunc() as i32, whole_days as i32, micros as i64 * 1000))
    }
}

/// An interval by a number. `22008`, `22012`
pub(super) fn divided(interval: IntervalMonthDayNano, by: f64) -> std::result::Result<IntervalMonthDayNano, Plain> {
    Scaled::new(true).one(interval, by)
}

/// What lies some of the way from an interval to another one. `22008`
pub(super) fn between(
    from: IntervalMonthDayNano,
    to: IntervalMonthDayNano,
    way: f64,
) -> std::result::Result<IntervalMonthDayNano, Plain> {
    let out_of_range = || Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range");
    let whole = to.checked_sub(from).ok_or_else(out_of_range)?;
    Scaled::new(false).one(whole, way)?.checked_add(from).ok_or_else(out_of_range)
}

/// To microseconds, so that what binary fractions cannot say does not count.
fn rounded(value: f64) -> f64 {
    (value * MICROS_PER_SECOND).round_ties_even() / MICROS_PER_SECOND
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &'static str {
        if self.divides { "interval_div" } else { "interval_mul" }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [intervals, numbers] = arrays.as_slice() else { return exec_err!("{} has two arguments", self.name()) };
        let intervals = cast(intervals, &INTERVAL)?;
        let numbers: ArrayRef = cast(numbers, &DataType::Float64)?;
        let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
        let pairs = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().zip(numbers);
        let scaled = pairs.map(|(interval, number)| interval.zip(number).map(|(i, n)| self.one(i, n)).transpose());
        let scaled: IntervalMonthDayNanoArray =
            scaled.collect::<std::result::Result<_, _>>().map_err(SqlError::from)?;
        Ok(ColumnarValue::Array(Arc::new(scaled)))
    }
}

/// Finds `*` and `/` of an interval and a number while a query is bound.
#[derive(Debug)]
pub struct IntervalPlanner;

impl ExprPlanner for IntervalPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let divides = expr.op == BinaryOperator::Divide;
        if !divides && expr.op != BinaryOperator::Multiply {
            return Ok(PlannerResult::Original(expr));
        }
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
        let is_number = |data_type: &DataType| data_type.is_numeric() || data_type.is_null();
        let (interval, number) = if is_interval(&left) && is_number(&right) {
            (expr.left, expr.right)
        } else if is_interval(&right) && is_number(&left) && !divides {
            (expr.right, expr.left)
        } else {
            return Ok(PlannerResult::Original(expr));
        };
        let udf = Arc::new(ScalarUDF::new_from_impl(Scaled::new(divides)));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![interval, number]))))
    }
}
