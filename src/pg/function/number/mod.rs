//! Functions of numbers.

mod degrees;
mod pattern;

use std::cmp::Ordering;

use arrow::datatypes::i256;

use self::pattern::Pattern;
use super::argument::Text;
use super::series::series;
use super::{Asked, Call, Overload, f1, f2, f3, f4};
use crate::encode::Numeric;
use crate::error::{Plain, SqlState};

type Named = (&'static str, Overload);

/// All of them.
pub(super) fn functions() -> Vec<Named> {
    let mut all = rounding();
    all.extend(division());
    all.extend(absolute());
    all.extend(whole_numbers());
    all.extend(floats());
    all.extend(patterns());
    all.extend(runs());
    all
}

fn whole(_: &[Asked<'_>]) -> i8 {
    0
}

fn out_of_range(pg: &str) -> Plain {
    Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{pg} out of range"))
}

fn division_by_zero() -> Plain {
    Plain::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// How many digits the second argument asks for.
fn asked_digits(asked: &[Asked<'_>]) -> i8 {
    let literal =
        asked.get(1).and_then(|argument| argument.literal).and_then(|value| value.to_string().parse::<i8>().ok());
    let own = || asked.first().and_then(|argument| argument.numeric).map_or(0, |(scale, _)| scale);
    literal.map_or_else(own, |digits| digits.max(0))
}

/// Cuts digits after the point off, or before it if there are fewer than none.
fn cut(value: Numeric, digits: i32) -> Option<Numeric> {
    let drop = i32::from(value.scale) - digits;
    if drop <= 0 {
        return Some(value);
    }
    let power = 10_i128.checked_pow(drop.unsigned_abs());
    Some(power.map_or(Numeric { value: 0, ..value }, |power| Numeric { value: value.value / power * power, ..value }))
}

/// The same, rounded half away from zero.
fn rounded(value: Numeric, digits: i32) -> Option<Numeric> {
    let drop = i32::from(value.scale) - digits;
    if drop <= 0 {
        return Some(value);
    }
    let Some(power) = 10_i128.checked_pow(drop.unsigned_abs()) else { return Some(Numeric { value: 0, ..value }) };
    let half = power / 2 * value.value.signum();
    let value_cut = value.value.checked_add(half)? / power;
    Some(Numeric { value: value_cut.checked_mul(power)?, ..value })
}

fn toward(value: Numeric, up: bool) -> Numeric {
    let cut = cut(value, 0).unwrap_or(value);
    let step = 10_i128.pow(u32::try_from(value.scale).unwrap_or(0));
    match cut.value.cmp(&value.value) {
        Ordering::Less if up => Numeric { value: cut.value + step, ..value },
        Ordering::Greater if !up => Numeric { value: cut.value - step, ..value },
        _ => cut,
    }
}

/// `generate_series`.
fn runs() -> Vec<Named> {
    vec![
        ("generate_series", f2::<i32, i32, _>(|_, start, stop| whole_numbers_to(start, stop, 1))),
        ("generate_series", f3::<i32, i32, i32, _>(|_, start, stop, step| whole_numbers_to(start, stop, step))),
        (
            "generate_series",
            f2::<i64, i64, _>(|_, start, stop| series(start, stop, Ordering::Greater, |at| Ok(at.checked_add(1)))),
        ),
        (
            "generate_series",
            f3::<i64, i64, i64, _>(|_, start, stop, step| {
                series(start, stop, step.cmp(&0), |at| Ok(at.checked_add(step)))
            }),
        ),
        (
            "generate_series",
            f2::<Numeric, Numeric, _>(|_, start, stop| numerics(start, stop, Numeric { value: 1, scale: 0 }))
                .scale(longest),
        ),
        (
            "generate_series",
            f3::<Numeric, Numeric, Numeric, _>(|_, start, stop, step| numerics(start, stop, step)).scale(longest),
        ),
    ]
}

fn whole_numbers_to(start: i32, stop: i32, step: i32) -> Result<Vec<i32>, Plain> {
    series(start, stop, step.cmp(&0), |at| Ok(at.checked_add(step)))
}

/// As many digits after the point as the argument that has most.
fn longest(asked: &[Asked<'_>]) -> i8 {
    asked.iter().filter_map(|argument| argument.numeric).map(|(scale, _)| scale).max().unwrap_or(0)
}

fn numerics(start: Numeric, stop: Numeric, step: Numeric) -> Result<Vec<Numeric>, Plain> {
    let scale = start.scale.max(stop.scale).max(step.scale);
    let digits = |of: Numeric| of.rescale(scale).ok_or_else(|| out_of_range("numeric"));
    let (start, stop, step) = (digits(start)?, digits(stop)?, digits(step)?);
    let values = series(start, stop, step.cmp(&0), |at| Ok(at.checked_add(step)))?;
    Ok(values.into_iter().map(|value| Numeric { value, scale }).collect())
}

fn rounding() -> Vec<Named> {
    let overflow = || out_of_range("numeric");
    vec![
        ("ceil", f1::<Numeric, _>(|_, value| Ok(toward(value, true))).scale(whole)),
        ("ceiling", f1::<Numeric, _>(|_, value| Ok(toward(value, true))).scale(whole)),
        ("floor", f1::<Numeric, _>(|_, value| Ok(toward(value, false))).scale(whole)),
        ("ceil", f1::<f64, _>(|_, value| Ok(value.ceil()))),
        ("ceiling", f1::<f64, _>(|_, value| Ok(value.ceil()))),
        ("floor", f1::<f64, _>(|_, value| Ok(value.floor()))),
        ("trunc", f1::<Numeric, _>(move |_, value| cut(value, 0).ok_or_else(overflow)).scale(whole)),
        ("trunc", f1::<f64, _>(|_, value| Ok(value.trunc()))),
        (
            "trunc",
            f2::<Numeric, i32, _>(move |_, value, digits| cut(value, digits).ok_or_else(overflow)).scale(asked_digits),
        ),
        ("round", f1::<Numeric, _>(move |_, value| rounded(value, 0).ok_or_else(overflow)).scale(whole)),
        ("round", f1::<f64, _>(|_, value| Ok(value.round_ties_even()))),
        (
            "round",
            f2::<Numeric, i32, _>(move |_, value, digits| rounded(value, digits).ok_or_else(overflow))
                .scale(asked_digits),
        ),
        ("sign", f1::<Numeric, _>(|_, value| Ok(Numeric { value: value.value.signum(), scale: 0 })).scale(whole)),
        ("sign", f1::<f64, _>(|_, value| Ok(if value == 0.0 || value.is_nan() { value } else { value.signum() }))),
        ("scale", f1::<Numeric, _>(|_, value| Ok(i32::from(value.scale)))),
        ("min_scale", f1::<Numeric, _>(|_, value| Ok(i32::from(value.shortest().scale)))),
    ]
}

/// Two numerics as whole numbers of the same unit.
fn aligned(a: Numeric, b: Numeric) -> Result<(i128, i128, i8), Plain> {
    let scale = a.scale.max(b.scale);
    let (a, b) = (a.rescale(scale), b.rescale(scale));
    Ok((a.ok_or_else(|| out_of_range("numeric"))?, b.ok_or_else(|| out_of_range("numeric"))?, scale))
}

fn larger_scale(asked: &[Asked<'_>]) -> i8 {
    asked.iter().filter_map(|argument| argument.numeric).map(|(scale, _)| scale).max().unwrap_or(0)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn whole_numbers() -> Vec<Named> {
    macro_rules! of {
        ($type:ty, $pg:literal) => {
            [
                (
                    "mod",
                    f2::<$type, $type, _>(|_, a, b| {
                        if b == 0 { Err(division_by_zero()) } else { Ok(a.checked_rem(b).unwrap_or(0)) }
                    }),
                ),
                (
                    "gcd",
                    f2::<$type, $type, _>(|_, a, b| {
                        let found = gcd(i64::from(a).unsigned_abs(), i64::from(b).unsigned_abs());
                        <$type>::try_from(found).map_err(|_too_large| out_of_range($pg))
                    }),
                ),
                (
                    "lcm",
                    f2::<$type, $type, _>(|_, a, b| {
                        let common = i128::from(gcd(i64::from(a).unsigned_abs(), i64::from(b).unsigned_abs()).max(1));
                        let found = (i128::from(a) / common * i128::from(b)).abs();
                        <$type>::try_from(found).map_err(|_too_large| out_of_range($pg))
                    }),
                ),
                ("~", f1::<$type, _>(|_, value| Ok(!value))),
            ]
        };
    }
    let mut all: Vec<Named> = Vec::new();
    all.push((
        "mod",
        f2::<i16, i16, _>(|_, a, b| if b == 0 { Err(division_by_zero()) } else { Ok(a.checked_rem(b).unwrap_or(0)) }),
    ));
    all.push(("~", f1::<i16, _>(|_, value| Ok(!value))));
    all.extend(of!(i32, "integer"));
    all.extend(of!(i64, "bigint"));
    all.extend([
        (
            "mod",
            f2::<Numeric, Numeric, _>(|_, a, b| {
                let (a, b, scale) = aligned(a, b)?;
                let rest = a.checked_rem(b).ok_or_else(division_by_zero)?;
                Ok(Numeric { value: rest, scale })
            })
            .scale(larger_scale),
        ),
        (
            "div",
            f2::<Numeric, Numeric, _>(|_, a, b| {
                let (a, b, _) = aligned(a, b)?;
                let times = a.checked_div(b).ok_or_else(division_by_zero)?;
                Ok(Numeric { value: times, scale: 0 })
            })
            .scale(whole),
        ),
        (
            "factorial",
            f1::<i64, _>(|_, of| {
                if of < 0 {
                    let message = "factorial of a negative number is undefined";
                    return Err(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
                }
                let found = (2..=i128::from(of)).try_fold(1_i128, i128::checked_mul);
                let overflow = || Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
                Ok(Numeric { value: found.ok_or_else(overflow)?, scale: 0 })
            })
            .scale(whole),
        ),
        ("to_hex", f1::<i32, _>(|_, value| Ok(format!("{value:x}")))),
        ("to_hex", f1::<i64, _>(|_, value| Ok(format!("{value:x}")))),
        ("to_oct", f1::<i32, _>(|_, value| Ok(format!("{value:o}")))),
        ("to_oct", f1::<i64, _>(|_, value| Ok(format!("{value:o}")))),
        ("to_bin", f1::<i32, _>(|_, value| Ok(format!("{value:b}")))),
        ("to_bin", f1::<i64, _>(|_, value| Ok(format!("{value:b}")))),
        (
            "width_bucket",
            f4::<Numeric, Numeric, Numeric, i32, _>(|_, value, low, high, count| {
                let scale = value.scale.max(low.scale).max(high.scale);
                let same = |number: Numeric| number.rescale(scale).ok_or_else(|| out_of_range("numeric"));
                let (value, low, high) = (same(value)?, same(low)?, same(high)?);
                bucket(value.cmp(&low), value.cmp(&high), low.cmp(&high), count, || {
                    let part = (value - low).unsigned_abs().checked_mul(u128::from(count.unsigned_abs()))?;
                    i32::try_from(part / (high - low).unsigned_abs()).ok()
                })
            }),
        ),
        (
            "width_bucket",
            f4::<f64, f64, f64, i32, _>(|_, value, low, high, count| {
                if value.is_nan() || low.is_nan() || high.is_nan() {
                    let message = "operand, lower bound, and upper bound cannot be NaN";
                    return Err(Plain::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message));
                }
                if low.is_infinite() || high.is_infinite() {
                    let message = "lower and upper bounds must be finite";
                    return Err(Plain::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message));
                }
                bucket(value.total_cmp(&low), value.total_cmp(&high), low.total_cmp(&high), count, || {
                    let part = ((value - low) / (high - low) * f64::from(count)).floor();
                    #[expect(clippy::cast_possible_truncation, reason = "fewer than there are buckets")]
                    Some((part as i32).min(count - 1))
                })
            }),
        ),
    ]);
    all
}

/// How many digits a quotient has after the point at least, as PostgreSQL gives one of about 1.
const QUOTIENT_DIGITS: i8 = 16;

fn quotient_digits(asked: &[Asked<'_>]) -> i8 {
    larger_scale(asked).max(QUOTIENT_DIGITS)
}

/// Rounded half away from zero to as many digits as the operands have, and no fewer than 16. `22003`, `22012`
fn quotient(a: Numeric, b: Numeric) -> Result<Numeric, Plain> {
    if b.value == 0 {
        return Err(division_by_zero());
    }
    let scale = a.scale.max(b.scale).max(QUOTIENT_DIGITS);
    let power = i32::from(scale) - i32::from(a.scale) + i32::from(b.scale);
    let overflow = || Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
    let ten = i256::from_i128(10).checked_pow(power.unsigned_abs()).ok_or_else(overflow)?;
    let numerator = i256::from_i128(a.value).checked_mul(ten).ok_or_else(overflow)?;
    let divisor = i256::from_i128(b.value);
    let (whole, rest) = (numerator.checked_div(divisor), numerator.checked_rem(divisor));
    let (whole, rest) = (whole.ok_or_else(overflow)?, rest.ok_or_else(overflow)?);
    let twice = rest.checked_mul(i256::from_i128(2)).ok_or_else(overflow)?;
    let away = twice.wrapping_abs() >= divisor.wrapping_abs();
    let step = if (a.value < 0) == (b.value < 0) { i256::ONE } else { i256::MINUS_ONE };
    let whole = if away { whole.checked_add(step).ok_or_else(overflow)? } else { whole };
    Ok(Numeric { value: whole.to_i128().ok_or_else(overflow)?, scale })
}

/// A float's quotient. `22012`; `22003` where finite numbers give an infinite one.
fn float_quotient(a: f64, b: f64) -> Result<f64, Plain> {
    if b == 0.0 && !a.is_nan() {
        return Err(division_by_zero());
    }
    let found = a / b;
    if found.is_infinite() && a.is_finite() {
        return Err(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    if found == 0.0 && a != 0.0 && b.is_finite() {
        return Err(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow"));
    }
    Ok(found)
}

fn division() -> Vec<Named> {
    macro_rules! of {
        ($type:ty, $pg:literal) => {
            (
                "/",
                f2::<$type, $type, _>(|_, a, b| {
                    if b == 0 { Err(division_by_zero()) } else { a.checked_div(b).ok_or_else(|| out_of_range($pg)) }
                }),
            )
        };
    }
    vec![
        of!(i16, "smallint"),
        of!(i32, "integer"),
        of!(i64, "bigint"),
        ("/", f2::<Numeric, Numeric, _>(|_, a, b| quotient(a, b)).scale(quotient_digits)),
        (
            "/",
            f2::<f32, f32, _>(|_, a, b| {
                #[expect(clippy::cast_possible_truncation, reason = "it is a quotient of such numbers")]
                float_quotient(f64::from(a), f64::from(b)).map(|found| found as f32)
            }),
        ),
        ("/", f2::<f64, f64, _>(|_, a, b| float_quotient(a, b))),
        // `avg`, of a sum and a count.
        (
            "average_of",
            f2::<i64, i64, _>(|_, sum, count| {
                let of = |value: i64| Numeric { value: value.into(), scale: 0 };
                quotient(of(sum), of(count))
            })
            .scale(quotient_digits),
        ),
        (
            "average_of",
            f2::<Numeric, i64, _>(|_, sum, count| quotient(sum, Numeric { value: count.into(), scale: 0 }))
                .scale(quotient_digits),
        ),
        (
            "average_of",
            f2::<f64, i64, _>(|_, sum, count| {
                #[expect(clippy::cast_precision_loss, reason = "so many rows are not told apart by a float")]
                Ok(sum / count as f64)
            }),
        ),
    ]
}

fn absolute() -> Vec<Named> {
    vec![
        ("abs", f1::<i16, _>(|_, value| value.checked_abs().ok_or_else(|| out_of_range("smallint")))),
        ("abs", f1::<i32, _>(|_, value| value.checked_abs().ok_or_else(|| out_of_range("integer")))),
        ("abs", f1::<i64, _>(|_, value| value.checked_abs().ok_or_else(|| out_of_range("bigint")))),
        ("abs", f1::<Numeric, _>(|_, value| Ok(Numeric { value: value.value.abs(), ..value }))),
        ("abs", f1::<f32, _>(|_, value| Ok(value.abs()))),
        ("abs", f1::<f64, _>(|_, value| Ok(value.abs()))),
    ]
}

/// `width_bucket`: by how the value lies to both bounds, and these to each other.
fn bucket(
    low: Ordering,
    high: Ordering,
    bounds: Ordering,
    count: i32,
    place: impl FnOnce() -> Option<i32>,
) -> Result<i32, Plain> {
    let refused = |message: &str| Plain::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message.to_owned());
    if count <= 0 {
        return Err(refused("count must be greater than zero"));
    }
    let (low, high) = match bounds {
        Ordering::Equal => return Err(refused("lower bound cannot equal upper bound")),
        Ordering::Less => (low, high),
        Ordering::Greater => (low.reverse(), high.reverse()),
    };
    if low.is_lt() {
        return Ok(0);
    }
    let last = || count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    if high.is_ge() { last() } else { Ok(place().ok_or_else(|| out_of_range("integer"))? + 1) }
}

fn logarithm_of(value: f64) -> Result<f64, Plain> {
    if value == 0.0 {
        return Err(Plain::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of zero"));
    }
    if value < 0.0 {
        let message = "cannot take logarithm of a negative number";
        return Err(Plain::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, message));
    }
    Ok(value)
}

fn floats() -> Vec<Named> {
    let mut all: Vec<Named> = vec![
        (
            "sqrt",
            f1::<f64, _>(|_, value| {
                if value < 0.0 {
                    let message = "cannot take square root of a negative number";
                    return Err(Plain::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message));
                }
                Ok(value.sqrt())
            }),
        ),
        ("ln", f1::<f64, _>(|_, value| Ok(logarithm_of(value)?.ln()))),
        ("log", f1::<f64, _>(|_, value| Ok(logarithm_of(value)?.log10()))),
        ("log10", f1::<f64, _>(|_, value| Ok(logarithm_of(value)?.log10()))),
        ("erf", f1::<f64, _>(|_, value| Ok(libm::erf(value)))),
        ("erfc", f1::<f64, _>(|_, value| Ok(libm::erfc(value)))),
        ("gamma", f1::<f64, _>(|_, value| finite(value, libm::tgamma(value)))),
        ("lgamma", f1::<f64, _>(|_, value| finite(value, libm::lgamma(value)))),
    ];
    all.extend(degrees::functions());
    all
}

/// A result that is infinite only where its argument is. `22003`
fn finite(of: f64, result: f64) -> Result<f64, Plain> {
    if result.is_infinite() && of.is_finite() {
        return Err(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    Ok(result)
}

fn by(call: &Call, pattern: &str, value: Numeric) -> Result<String, Plain> {
    call.once(pattern, Pattern::parse)?.show(value)
}

/// A float in as many digits as it has.
fn decimal(value: f64, digits: usize) -> Result<Numeric, Plain> {
    let text = format!("{value:.digits$}");
    crate::encode::parse_numeric(&text).ok_or_else(|| out_of_range("numeric"))
}

fn patterns() -> Vec<Named> {
    vec![
        (
            "to_char",
            f2::<i32, Text, _>(|call, value, pattern| by(call, pattern, Numeric { value: value.into(), scale: 0 })),
        ),
        (
            "to_char",
            f2::<i64, Text, _>(|call, value, pattern| by(call, pattern, Numeric { value: value.into(), scale: 0 })),
        ),
        ("to_char", f2::<Numeric, Text, _>(|call, value, pattern| by(call, pattern, value))),
        (
            "to_char",
            f2::<f64, Text, _>(|call, value, pattern| {
                // A float has no more than 15 digits that mean something.
                let whole = value.abs().log10().floor().max(0.0);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 15")]
                let digits = (14.0 - whole).clamp(0.0, 15.0) as usize;
                by(call, pattern, decimal(value, digits)?)
            }),
        ),
        (
            "to_number",
            f2::<Text, Text, _>(|call, text, pattern| call.once(pattern, Pattern::parse)?.read(text)).scale(|asked| {
                let pattern = asked.get(1).and_then(Asked::text).and_then(|pattern| Pattern::parse(pattern).ok());
                pattern.and_then(|pattern| i8::try_from(pattern.digits_after()).ok()).unwrap_or(10)
            }),
        ),
    ]
}
