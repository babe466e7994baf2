//! Computing with intervals.

use super::super::argument::Interval;
use super::calendar::{Moment, in_range, is_infinite};
use crate::encode::{DAY_US, month_length};
use crate::error::{Plain, SqlState, unsupported};

const MONTH_DAYS: i32 = 30;

pub(super) fn out_of_range() -> Plain {
    Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// What intervals are compared by: a month has 30 days, a day 24 hours.
pub(super) fn key(of: Interval) -> i128 {
    let days = i128::from(of.months) * i128::from(MONTH_DAYS) + i128::from(of.days);
    days * i128::from(DAY_US) + i128::from(of.nanoseconds / 1000)
}

fn of_parts(months: i32, days: i64, micros: i64) -> Result<Interval, Plain> {
    let days = i32::try_from(days).map_err(|_too_large| out_of_range())?;
    let nanoseconds = micros.checked_mul(1000).ok_or_else(out_of_range)?;
    Ok(Interval::new(months, days, nanoseconds))
}

pub(super) fn sum(a: Interval, b: Interval) -> Result<Interval, Plain> {
    let parts = (a.months.checked_add(b.months), a.days.checked_add(b.days), a.nanoseconds.checked_add(b.nanoseconds));
    match parts {
        (Some(months), Some(days), Some(nanoseconds)) => Ok(Interval::new(months, days, nanoseconds)),
        _ => Err(out_of_range()),
    }
}

/// A local time, or one in UTC, an interval later.
pub(super) fn plus(micros: i64, by: Interval) -> Result<i64, Plain> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let start = Moment::of(micros);
    let moment = if by.months == 0 { start } else { start.plus_months(by.months) };
    let days = moment.days.checked_add(i64::from(by.days));
    let day = days.and_then(|days| days.checked_mul(DAY_US));
    in_range(day.and_then(|day| day.checked_add(moment.time_us)).and_then(|at| at.checked_add(by.nanoseconds / 1000)))
}

/// From one time to another, in days and hours.
pub(super) fn difference(later: i64, earlier: i64) -> Result<Interval, Plain> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(unsupported("an infinite interval"));
    }
    let micros = later.checked_sub(earlier).ok_or_else(out_of_range)?;
    of_parts(0, micros / DAY_US, micros % DAY_US)
}

/// From one time to another, in years, months, days and hours, as people tell an age.
pub(super) fn age(later: i64, earlier: i64) -> Result<Interval, Plain> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(unsupported("an infinite interval"));
    }
    let is_negative = later < earlier;
    let (end, start) = (Moment::of(later.max(earlier)), Moment::of(later.min(earlier)));
    let mut months = (end.year - start.year) * 12 + i64::from(end.month) - i64::from(start.month);
    let mut days = i64::from(end.day) - i64::from(start.day);
    let mut micros = end.time_us - start.time_us;
    if micros < 0 {
        micros += DAY_US;
        days -= 1;
    }
    if days < 0 {
        // The days of the month that the earlier one of those given is in.
        days += i64::from(month_length(start.year, start.month));
        months -= 1;
    }
    let months = i32::try_from(months).map_err(|_too_large| out_of_range())?;
    if is_negative { of_parts(-months, -days, -micros) } else { of_parts(months, days, micros) }
}

/// Days that make months.
pub(super) fn justified_days(of: Interval) -> Result<Interval, Plain> {
    let (mut months, mut days) =
        (of.months.checked_add(of.days / MONTH_DAYS).ok_or_else(out_of_range)?, of.days % MONTH_DAYS);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + MONTH_DAYS);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - MONTH_DAYS);
    }
    Ok(Interval::new(months, days, of.nanoseconds))
}

/// Hours that make days.
pub(super) fn justified_hours(of: Interval) -> Result<Interval, Plain> {
    let micros = of.nanoseconds / 1000;
    let (mut days, mut rest) = (i64::from(of.days) + micros / DAY_US, micros % DAY_US);
    if days > 0 && rest < 0 {
        (days, rest) = (days - 1, rest + DAY_US);
    } else if days < 0 && rest > 0 {
        (days, rest) = (days + 1, rest - DAY_US);
    }
    of_parts(of.months, days, rest)
}

/// Hours that make days and days that make months, all of one sign.
pub(super) fn justified(of: Interval) -> Result<Interval, Plain> {
    let micros = of.nanoseconds / 1000;
    let (mut days, mut rest) = (i64::from(of.days) + micros / DAY_US, micros % DAY_US);
    let in_months = i64::from(MONTH_DAYS);
    let mut months = i64::from(of.months) + days / in_months;
    days %= in_months;
    if months > 0 && (days < 0 || days == 0 && rest < 0) {
        (months, days) = (months - 1, days + in_months);
    } else if months < 0 && (days > 0 || days == 0 && rest > 0) {
        (months, days) = (months + 1, days - in_months);
    }
    if days > 0 && rest < 0 {
        (days, rest) = (days - 1, rest + DAY_US);
    } else if days < 0 && rest > 0 {
        (days, rest) = (days + 1, rest - DAY_US);
    }
    of_parts(i32::try_from(months).map_err(|_too_large| out_of_range())?, days, rest)
}

/// `make_interval`: years, months, weeks, days, hours, minutes, and seconds.
pub(super) fn made(parts: [i32; 6], seconds: f64) -> Result<Interval, Plain> {
    let [years, months, weeks, days, hours, minutes] = parts.map(i64::from);
    if !seconds.is_finite() || seconds.abs() > 9.2e12 {
        return Err(out_of_range());
    }
    #[expect(clippy::cast_possible_truncation, reason = "held to the limit")]
    let micros = (seconds * 1e6).round() as i64;
    let time = (hours * 3600 + minutes * 60).checked_mul(1_000_000).and_then(|time| time.checked_add(micros));
    let months = i32::try_from(years * 12 + months).map_err(|_too_large| out_of_range())?;
    of_parts(months, weeks * 7 + days, time.ok_or_else(out_of_range)?)
}

/// Microseconds of a number of seconds since 1970.
pub(super) fn of_epoch(seconds: f64) -> Result<i64, Plain> {
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { i64::MAX } else { i64::MIN });
    }
    let message = || {
        let message = format!("timestamp out of range: \"{seconds}\"");
        Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if seconds.is_nan() {
        return Err(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    if seconds.abs() > 9.3e12 {
        return Err(message());
    }
    #[expect(clippy::cast_possible_truncation, reason = "held to the limit")]
    in_range(Some((seconds * 1e6).round_ties_even() as i64)).map_err(|_too_far| message())
}

/// `date_bin`: the start of the stride that a time is in.
pub(super) fn bin(stride: Interval, at: i64, origin: i64) -> Result<i64, Plain> {
    if is_infinite(at) {
        return Ok(at);
    }
    if is_infinite(origin) {
        return Err(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let length =
        i64::from(stride.days).checked_mul(DAY_US).and_then(|days| days.checked_add(stride.nanoseconds / 1000));
    let length = length.ok_or_else(out_of_range)?;
    if length <= 0 {
        return Err(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let since = at.checked_sub(origin).ok_or_else(out_of_range)?;
    in_range(origin.checked_add(since.div_euclid(length) * length))
}
