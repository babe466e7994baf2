//! Functions for masking policies. They never fail: an error would tell of the value that it was about. What cannot be made less
//! precise is NULL.

use std::sync::Arc;

use arrow::array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Date32Type, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::encode::jsonb_text;
use crate::error::{Plain, SqlError, SqlState};
use crate::secret::Secret;
use crate::types::{PgType, field, of_field};

/// The name of the one that takes the database's key.
pub const MASK_HASH: &str = "mask_hash";

/// All of them; [`MASK_HASH`] without its key, which is `42501` to use.
pub fn mask_functions() -> Vec<ScalarUDF> {
    let all = [Kind::Partial, Kind::Email, Kind::Hash, Kind::Bucket, Kind::Date, Kind::Json];
    all.map(|kind| Mask::of(kind, None)).into()
}

/// The one with a key, for masking policies only: whoever could call it could try values until their hash is the one he sees.
/// HMAC-SHA-256, 64 hexadecimal digits; equal values have equal hashes.
pub fn mask_hash(key: &Secret) -> ScalarUDF {
    Mask::of(Kind::Hash, Some(key.clone()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// `mask_partial(text, first int, filling text, last int)`: the first and the last characters and something else between; if
    /// there are no more characters than these, only that.
    Partial,
    /// `mask_email(text)`: `jo******@ex******.org`. What is no address is asterisks only.
    Email,
    /// `mask_hash(text)`.
    Hash,
    /// `mask_bucket(number, width)`: the greatest multiple of the width that is not greater.
    Bucket,
    /// `mask_date(date or timestamp, unit text)`: the beginning of its `year`, `quarter`, `month`, `week`, `day` or `hour`, of a
    /// timestamp with time zone in UTC.
    Date,
    /// `mask_jsonb_delete(jsonb, path text, …)`: without what is at a path, of keys with dots between; arrays are gone through.
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mask {
    kind: Kind,
    key: Option<Secret>,
    signature: Signature,
}

impl std::hash::Hash for Mask {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl Mask {
    fn of(kind: Kind, key: Option<Secret>) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { kind, key, signature: Signature::user_defined(Volatility::Immutable) })
    }

    fn hashed(&self, text: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()?.expose().as_bytes()).ok()?;
        mac.update(text.as_bytes());
        let mut out = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(digit.into(), 16));
            }
        }
        Some(out)
    }
}

impl ScalarUDFImpl for Mask {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Partial => "mask_partial",
            Kind::Email => "mask_email",
            Kind::Hash => MASK_HASH,
            Kind::Bucket => "mask_bucket",
            Kind::Date => "mask_date",
            Kind::Json => "mask_jsonb_delete",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = DataType::Utf8View;
        let is_text = |given: &DataType| given.is_string() || given.is_null();
        Ok(match (self.kind, given) {
            (Kind::Partial, [masked, first, _, last]) if is_text(masked) && first.is_integer() && last.is_integer() => {
                vec![text.clone(), DataType::Int64, text, DataType::Int64]
            }
            (Kind::Email | Kind::Hash, [masked]) if is_text(masked) => vec![text],
            (Kind::Bucket, [masked, width]) if masked.is_integer() && width.is_integer() => {
                vec![masked.clone(), DataType::Int64]
            }
            (Kind::Bucket, [masked @ DataType::Decimal128(_, scale), width]) => {
                let scale = match width {
                    DataType::Decimal128(_, of_width) => *scale.max(of_width),
                    width if width.is_integer() => *scale,
                    _ => return plan_err!("function {} does not take these arguments", self.name()),
                };
                vec![masked.clone(), DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)]
            }
            (Kind::Bucket, [masked, width]) if masked.is_floating() && width.is_numeric() => {
                vec![masked.clone(), DataType::Float64]
            }
            (Kind::Date, [masked, _]) if masked.is_temporal() => {
                let is_date = *masked == DataType::Date32;
                let zone = if let DataType::Timestamp(_, zone) = masked { zone.clone() } else { None };
                vec![if is_date { DataType::Date32 } else { DataType::Timestamp(TimeUnit::Microsecond, zone) }, text]
            }
            (Kind::Json, [masked, paths @ ..]) if is_text(masked) && !paths.is_empty() => vec![text; given.len()],
            _ => return plan_err!("function {} does not take these arguments", self.name()),
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.kind == Kind::Hash && self.key.is_none() {
            let error = Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied for function mask_hash");
            return Err(SqlError::from(error.hint("It is for the expressions of masking policies.")).into());
        }
        let pg = match (self.kind, args.arg_fields.first()) {
            (Kind::Bucket | Kind::Date, Some(masked)) => of_field(masked),
            (Kind::Json, _) => PgType::Jsonb,
            _ => PgType::Text,
        };
        Ok(Arc::new(field(self.name(), &pg, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let result: ArrayRef = match (self.kind, arrays.as_slice()) {
            (Kind::Partial, [masked, first, filling, last]) => {
                let (first, last) = (first.as_primitive::<Int64Type>(), last.as_primitive::<Int64Type>());
                let filling = filling.as_string_view();
                texts(masked, |row, text| {
                    let known = first.is_valid(row) && filling.is_valid(row) && last.is_valid(row);
                    known.then(|| partial(text, first.value(row), filling.value(row), last.value(row)))
                })
            }
            (Kind::Email, [masked]) => texts(masked, |_, text| Some(email(text))),
            (Kind::Hash, [masked]) => texts(masked, |_, text| self.hashed(text)),
            (Kind::Json, [masked, paths @ ..]) => texts(masked, |row, text| {
                let mut value = serde_json::from_str(text).ok()?;
                for path in paths.iter().map(AsArray::as_string_view) {
                    delete(&mut value, path.is_valid(row).then(|| path.value(row))?);
                }
                Some(jsonb_text(&value))
            }),
            (Kind::Bucket, [masked, width]) => bucket(masked, width)?,
            (Kind::Date, [masked, unit]) => dates(masked, unit.as_string_view()),
            _ => return plan_err!("function {} does not take these arguments", self.name()),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// What is made of each text that is there.
fn texts(masked: &ArrayRef, make: impl Fn(usize, &str) -> Option<String>) -> ArrayRef {
    let values = masked.as_string_view().iter().enumerate();
    Arc::new(values.map(|(row, text)| text.and_then(|text| make(row, text))).collect::<StringViewArray>())
}

fn partial(text: &str, first: i64, filling: &str, last: i64) -> String {
    let [first, last] = [first, last].map(|count| usize::try_from(count).unwrap_or(0));
    let length = text.chars().count();
    if first.saturating_add(last) >= length {
        return filling.to_owned();
    }
    let start = text.chars().take(first);
    let end = text.chars().skip(length - last);
    start.chain(filling.chars()).chain(end).collect()
}

fn email(text: &str) -> String {
    const HIDDEN: &str = "******";
    let parts = text.split_once('@').and_then(|(user, domain)| Some((user, domain.rsplit_once('.')?)));
    let Some((user, (name, top))) = parts else { return HIDDEN.to_owned() };
    let is_top = (2..=24).contains(&top.len()) && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_top || text.contains(char::is_whitespace) || name.contains('@') {
        return HIDDEN.to_owned();
    }
    // Of what is short nothing is shown: that would be most of it.
    let beginning = |part: &str| if part.chars().count() < 4 { String::new() } else { part.chars().take(2).collect() };
    format!("{}{HIDDEN}@{}{HIDDEN}.{top}", beginning(user), beginning(name))
}

fn delete(value: &mut serde_json::Value, path: &str) {
    use serde_json::Value;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| delete(item, path)),
        Value::Object(map) => {
            map.remove(path);
            // Keys may have dots, too.
            for (dot, _) in path.match_indices('.') {
                let (key, rest) = path.split_at(dot);
                if let Some(inner) = map.get_mut(key) {
                    delete(inner, rest.trim_start_matches('.'));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn bucket(masked: &ArrayRef, width: &ArrayRef) -> Result<ArrayRef> {
    /// By Euclid's division: its remainder is never negative.
    fn whole(value: i128, width: i128) -> Option<i128> {
        let rest = (width > 0).then(|| value.checked_rem_euclid(width))??;
        value.checked_sub(rest)
    }
    let result: ArrayRef = match masked.data_type() {
        of if of.is_integer() => {
            let values = cast(masked, &DataType::Int64)?;
            let pairs = values.as_primitive::<Int64Type>().iter().zip(width.as_primitive::<Int64Type>());
            let floor =
                |(value, width): (Option<i64>, Option<i64>)| i64::try_from(whole(value?.into(), width?.into())?).ok();
            Arc::new(pairs.map(floor).collect::<PrimitiveArray<Int64Type>>())
        }
        DataType::Decimal128(..) => {
            let values = cast(masked, width.data_type())?;
            let pairs = values.as_primitive::<Decimal128Type>().iter().zip(width.as_primitive::<Decimal128Type>());
            let floor = |(value, width): (Option<i128>, Option<i128>)| whole(value?, width?);
            let floors = pairs.map(floor).collect::<PrimitiveArray<Decimal128Type>>();
            Arc::new(floors.with_data_type(width.data_type().clone()))
        }
        _ => {
            let values = cast(masked, &DataType::Float64)?;
            let pairs = values.as_primitive::<Float64Type>().iter().zip(width.as_primitive::<Float64Type>());
            let floor = |(value, width): (Option<f64>, Option<f64>)| {
                let (value, width) = (value?, width?);
                (width > 0.0).then(|| (value / width).floor() * width)
            };
            Arc::new(pairs.map(floor).collect::<PrimitiveArray<Float64Type>>())
        }
    };
    // What does not fit is NULL.
    Ok(cast(&result, masked.data_type())?)
}

fn dates(masked: &ArrayRef, units: &StringViewArray) -> ArrayRef {
    let unit = |row: usize| units.is_valid(row).then(|| units.value(row));
    if let Some(days) = masked.as_primitive_opt::<Date32Type>() {
        let begin = |(row, days): (usize, Option<i32>)| {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::try_days(days?.into())?)?;
            let begin = beginning(date.and_hms_opt(0, 0, 0)?, unit(row)?)?;
            i32::try_from((begin.date() - NaiveDate::default()).num_days()).ok()
        };
        return Arc::new(days.iter().enumerate().map(begin).collect::<Date32Array>());
    }
    let times = masked.as_primitive::<TimestampMicrosecondType>();
    let begin = |(row, time): (usize, Option<i64>)| {
        let time = DateTime::from_timestamp_micros(time?)?.naive_utc();
        Some(beginning(time, unit(row)?)?.and_utc().timestamp_micros())
    };
    let begun = times.iter().enumerate().map(begin).collect::<TimestampMicrosecondArray>();
    Arc::new(begun.with_data_type(masked.data_type().clone()))
}

/// `None`: there is no such unit.
fn beginning(time: NaiveDateTime, unit: &str) -> Option<NaiveDateTime> {
    use chrono::Timelike;
    let date = time.date();
    let begin = match unit.to_ascii_lowercase().as_str() {
        "year" => date.with_ordinal(1)?,
        "quarter" => date.with_day(1)?.with_month(date.month0() / 3 * 3 + 1)?,
        "month" => date.with_day(1)?,
        "week" => date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into()))?,
        "day" => date,
        "hour" => return date.and_hms_opt(time.hour(), 0, 0),
        _ => return None,
    };
    begin.and_hms_opt(0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::{delete, email, partial};

    #[test]
    fn texts_are_hidden_in_part() {
        assert_eq!(partial("4111222233334444", 0, "****", 4), "****4444");
        assert_eq!(partial("Zoë", 1, "…", 1), "Z…ë");
        assert_eq!(partial("ab", 1, "…", 1), "…");
        assert_eq!(partial("abc", -5, "…", i64::MAX), "…");
        assert_eq!(email("joanna@example.org"), "jo******@ex******.org");
        assert_eq!(email("nobody"), "******");
        assert_eq!(email("@"), "******");
        assert_eq!(email("a@b.co"), "******@******.co");
        assert_eq!(email("see a@example.org and this"), "******");
        assert_eq!(email("a@b@example.org"), "******");
    }

    #[test]
    fn paths_go_through_arrays() {
        let mut value = serde_json::json!({"a": [{"b": 1, "c": 2}, {"b": 3}, 4], "a.b": 6, "b": 5, "x.y": {"z": 7}});
        for path in ["a.b", "x.y.z", "b.z"] {
            delete(&mut value, path);
        }
        assert_eq!(value, serde_json::json!({"a": [{"c": 2}, {}, 4], "b": 5, "x.y": {}}));
    }
}
