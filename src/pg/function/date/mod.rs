//! Functions and operators of dates, times and intervals.

mod calendar;
mod interval;
mod pattern;
mod read;
mod show;

use std::cmp::Ordering;

use self::calendar::{
    Moment, SECOND_US, Unit, in_range, is_infinite, no_unit, out_of_range, part_of_date, part_of_interval,
    part_of_moment, part_of_time, part_of_timestamp, truncated_interval,
};
use self::interval::{difference, key, plus};
use self::read::Read;
use self::show::Shown;
pub(super) use self::show::ordinal;
use super::argument::{Date, Interval, Text, Time, Timestamp, Timestamptz};
use super::series::series;
use super::{Asked, Call, Overload, f1, f2, f3, f4, f6, f7};
use crate::encode::{DAY_US, days_from_civil, month_length};
use crate::error::{Plain, SqlState};
use crate::pg::interval::divided;
use crate::setting::Zone;

type Named = (&'static str, Overload);

/// All of them.
pub(super) fn functions() -> Vec<Named> {
    let mut all = parts();
    all.extend(truncation());
    all.extend(made_of_parts());
    all.extend(arithmetic());
    all.extend(intervals());
    all.extend(patterns());
    all.extend(days());
    all
}

/// The digits after the point of what `extract` gives.
fn digits(asked: &[Asked<'_>]) -> i8 {
    asked.first().and_then(Asked::text).and_then(Unit::parse).map_or(6, Unit::digits)
}

fn no_digits(_: &[Asked<'_>]) -> i8 {
    0
}

fn parts() -> Vec<Named> {
    vec![
        ("extract", f2::<Text, Date, _>(|_, unit, date| part_of_date(unit, date.0)?.numeric()).scale(no_digits)),
        ("extract", f2::<Text, Timestamp, _>(|_, unit, at| part_of_timestamp(unit, at.0)?.numeric()).scale(digits)),
        (
            "extract",
            f2::<Text, Timestamptz, _>(|call, unit, at| part_of_moment(unit, at.0, call.zone)?.numeric())
                .zoned()
                .scale(digits),
        ),
        ("extract", f2::<Text, Time, _>(|_, unit, time| part_of_time(unit, time.0)?.numeric()).scale(digits)),
        ("extract", f2::<Text, Interval, _>(|_, unit, of| part_of_interval(unit, of)?.numeric()).scale(digits)),
        ("date_part", f2::<Text, Date, _>(|_, unit, date| Ok(part_of_timestamp(unit, midnight(date)?.0)?.float()))),
        ("date_part", f2::<Text, Timestamp, _>(|_, unit, at| Ok(part_of_timestamp(unit, at.0)?.float()))),
        (
            "date_part",
            f2::<Text, Timestamptz, _>(|call, unit, at| Ok(part_of_moment(unit, at.0, call.zone)?.float())).zoned(),
        ),
        ("date_part", f2::<Text, Time, _>(|_, unit, time| Ok(part_of_time(unit, time.0)?.float()))),
        ("date_part", f2::<Text, Interval, _>(|_, unit, of| Ok(part_of_interval(unit, of)?.float()))),
        ("isfinite", f1::<Date, _>(|_, date| Ok(!matches!(date.0, i32::MIN | i32::MAX)))),
        ("isfinite", f1::<Timestamp, _>(|_, at| Ok(!is_infinite(at.0)))),
        ("isfinite", f1::<Timestamptz, _>(|_, at| Ok(!is_infinite(at.0)))),
        ("isfinite", f1::<Interval, _>(|_, _| Ok(true))),
        ("age", f2::<Timestamp, Timestamp, _>(|_, later, earlier| interval::age(later.0, earlier.0))),
        (
            "age",
            f2::<Timestamptz, Timestamptz, _>(|call, later, earlier| {
                interval::age(local(later, call.zone).0, local(earlier, call.zone).0)
            })
            .zoned(),
        ),
    ]
}

fn truncated(unit: &str, local_us: i64, of: &str) -> Result<i64, Plain> {
    let known = Unit::parse(unit);
    let missing = || no_unit(unit, known, of);
    let known = known.ok_or_else(missing)?;
    if is_infinite(local_us) {
        return Ok(local_us);
    }
    Moment::of(local_us).truncated(known).ok_or_else(missing)
}

fn truncated_in(unit: &str, at: Timestamptz, zone: Zone) -> Result<Timestamptz, Plain> {
    let start = truncated(unit, local(at, zone).0, "timestamp with time zone")?;
    let within_hours = matches!(
        Unit::parse(unit),
        Some(Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour)
    );
    if within_hours && !is_infinite(at.0) {
        // An hour that clocks show twice is not another one.
        return Ok(Timestamptz(start - i64::from(zone.offset_at(at.0)) * SECOND_US));
    }
    moment(Timestamp(start), zone)
}

fn truncation() -> Vec<Named> {
    vec![
        (
            "date_trunc",
            f2::<Text, Timestamp, _>(|_, unit, at| {
                Ok(Timestamp(truncated(unit, at.0, "timestamp without time zone")?))
            }),
        ),
        ("date_trunc", f2::<Text, Timestamptz, _>(|call, unit, at| truncated_in(unit, at, call.zone)).zoned()),
        ("date_trunc", f2::<Text, Interval, _>(|_, unit, of| truncated_interval(unit, of))),
        (
            "date_trunc",
            f3::<Text, Timestamptz, Text, _>(|call, unit, at, zone| truncated_in(unit, at, named(call, zone)?)),
        ),
        (
            "date_bin",
            f3::<Interval, Timestamp, Timestamp, _>(|_, stride, at, origin| {
                Ok(Timestamp(interval::bin(stride, at.0, origin.0)?))
            }),
        ),
        (
            "date_bin",
            f3::<Interval, Timestamptz, Timestamptz, _>(|_, stride, at, origin| {
                Ok(Timestamptz(interval::bin(stride, at.0, origin.0)?))
            }),
        ),
    ]
}

/// Days since 1970. `22008`
fn date_of(year: i32, month: i32, day: i32) -> Result<i64, Plain> {
    let missing = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    let astronomical = i64::from(if year < 0 { year + 1 } else { year });
    let (month, day) = (u32::try_from(month).unwrap_or(0), u32::try_from(day).unwrap_or(0));
    let valid = year != 0
        && (1..=12).contains(&month)
        && (1..=month_length(astronomical, month)).contains(&day)
        && (-4713..=5_874_897).contains(&astronomical);
    if valid { Ok(days_from_civil(astronomical, month, day)) } else { Err(missing()) }
}

/// Microseconds since midnight. `22008`
fn time_of(hour: i32, minute: i32, second: f64) -> Result<i64, Plain> {
    let missing = || {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(missing());
    }
    #[expect(clippy::cast_possible_truncation, reason = "within a minute")]
    let micros =
        (second * 1e6).round() as i64 + i64::from(hour) * calendar::HOUR_US + i64::from(minute) * calendar::MINUTE_US;
    if micros > DAY_US { Err(missing()) } else { Ok(micros) }
}

fn timestamp_of(date: (i32, i32, i32), time: (i32, i32, f64)) -> Result<Timestamp, Plain> {
    let days = date_of(date.0, date.1, date.2)?;
    let time = time_of(time.0, time.1, time.2)?;
    in_range(days.checked_mul(DAY_US).and_then(|day| day.checked_add(time))).map(Timestamp)
}

fn made_of_parts() -> Vec<Named> {
    vec![
        (
            "make_date",
            f3::<i32, i32, i32, _>(|_, year, month, day| {
                i32::try_from(date_of(year, month, day)?).map(Date).map_err(|_too_far| out_of_range())
            }),
        ),
        ("make_time", f3::<i32, i32, f64, _>(|_, hour, minute, second| time_of(hour, minute, second).map(Time))),
        (
            "make_timestamp",
            f6::<i32, i32, i32, i32, i32, f64, _>(|_, year, month, day, hour, minute, second| {
                timestamp_of((year, month, day), (hour, minute, second))
            }),
        ),
        (
            "make_timestamptz",
            f6::<i32, i32, i32, i32, i32, f64, _>(|call, year, month, day, hour, minute, second| {
                moment(timestamp_of((year, month, day), (hour, minute, second))?, call.zone)
            })
            .zoned(),
        ),
        (
            "make_timestamptz",
            f7::<i32, i32, i32, i32, i32, f64, Text, _>(|call, year, month, day, hour, minute, second, zone| {
                moment(timestamp_of((year, month, day), (hour, minute, second))?, named(call, zone)?)
            }),
        ),
        (
            "make_interval",
            f7::<i32, i32, i32, i32, i32, i32, f64, _>(|_, years, months, weeks, days, hours, minutes, seconds| {
                interval::made([years, months, weeks, days, hours, minutes], seconds)
            }),
        ),
        ("to_timestamp", f1::<f64, _>(|_, seconds| interval::of_epoch(seconds).map(Timestamptz))),
    ]
}

/// `generate_series`.
fn days() -> Vec<Named> {
    fn moments(start: Timestamptz, stop: Timestamptz, by: Interval, zone: Zone) -> Result<Vec<Timestamptz>, Plain> {
        series(start, stop, key(by).cmp(&0), |at| shifted_in(at, by, zone).map(Some))
    }
    vec![
        (
            "generate_series",
            f3::<Timestamp, Timestamp, Interval, _>(|_, start, stop, by| {
                series(start, stop, key(by).cmp(&0), |at| shifted(at, by).map(Some))
            }),
        ),
        (
            "generate_series",
            f3::<Timestamptz, Timestamptz, Interval, _>(|call, start, stop, by| moments(start, stop, by, call.zone))
                .zoned(),
        ),
        (
            "generate_series",
            f4::<Timestamptz, Timestamptz, Interval, Text, _>(|call, start, stop, by, zone| {
                moments(start, stop, by, named(call, zone)?)
            }),
        ),
    ]
}

/// What clocks in a zone show.
fn local(at: Timestamptz, zone: Zone) -> Timestamp {
    if is_infinite(at.0) { Timestamp(at.0) } else { Timestamp(at.0 + i64::from(zone.offset_at(at.0)) * SECOND_US) }
}

/// When clocks in a zone show a time.
fn moment(local: Timestamp, zone: Zone) -> Result<Timestamptz, Plain> {
    if is_infinite(local.0) {
        return Ok(Timestamptz(local.0));
    }
    in_range(zone.to_utc(local.0)).map(Timestamptz)
}

/// A zone by its name. `22023`
fn named(call: &Call, name: &str) -> Result<Zone, Plain> {
    let zone = call.once(name, |name| {
        let missing = || Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"));
        Zone::named(name).ok_or_else(missing)
    });
    zone.map(|zone| *zone)
}

/// A zone by its distance from UTC. `22023`
fn offset(of: Interval) -> Result<Zone, Plain> {
    let seconds = i32::try_from(of.nanoseconds / 1_000_000_000).ok();
    if of.months != 0 || of.days != 0 {
        let message = "interval time zone must not include months or days";
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    seconds.map(Zone::Fixed).ok_or_else(interval::out_of_range)
}

fn midnight(date: Date) -> Result<Timestamp, Plain> {
    match date.0 {
        i32::MIN => Ok(Timestamp(i64::MIN)),
        i32::MAX => Ok(Timestamp(i64::MAX)),
        days => in_range(i64::from(days).checked_mul(DAY_US)).map(Timestamp),
    }
}

fn shifted(at: Timestamp, by: Interval) -> Result<Timestamp, Plain> {
    plus(at.0, by).map(Timestamp)
}

/// Months and days are counted by the clocks of a zone, hours are not.
fn shifted_in(at: Timestamptz, by: Interval, zone: Zone) -> Result<Timestamptz, Plain> {
    if is_infinite(at.0) {
        return Ok(at);
    }
    let (calendar, time) = (Interval::new(by.months, by.days, 0), Interval::new(0, 0, by.nanoseconds));
    let on_day = if by.months == 0 && by.days == 0 { at } else { moment(shifted(local(at, zone), calendar)?, zone)? };
    plus(on_day.0, time).map(Timestamptz)
}

fn negated(by: Interval) -> Result<Interval, Plain> {
    let parts = (by.months.checked_neg(), by.days.checked_neg(), by.nanoseconds.checked_neg());
    match parts {
        (Some(months), Some(days), Some(nanoseconds)) => Ok(Interval::new(months, days, nanoseconds)),
        _ => Err(interval::out_of_range()),
    }
}

fn days_between(later: Date, earlier: Date) -> Result<i32, Plain> {
    if [later, earlier].iter().any(|date| matches!(date.0, i32::MIN | i32::MAX)) {
        return Err(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    later.0.checked_sub(earlier.0).ok_or_else(|| Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"))
}

/// A time of day some hours later or earlier, on whatever day.
fn time_shifted(time: Time, by: Interval) -> Time {
    Time((time.0 + by.nanoseconds / 1000 % DAY_US).rem_euclid(DAY_US))
}

fn time_on(date: Date, time: Time) -> Result<Timestamp, Plain> {
    let start = midnight(date)?;
    if is_infinite(start.0) { Ok(start) } else { in_range(start.0.checked_add(time.0)).map(Timestamp) }
}

fn arithmetic() -> Vec<Named> {
    vec![
        ("+", f2::<Date, Interval, _>(|_, date, by| shifted(midnight(date)?, by))),
        ("+", f2::<Interval, Date, _>(|_, by, date| shifted(midnight(date)?, by))),
        ("-", f2::<Date, Interval, _>(|_, date, by| shifted(midnight(date)?, negated(by)?))),
        ("-", f2::<Date, Date, _>(|_, later, earlier| days_between(later, earlier))),
        ("+", f2::<Date, Time, _>(|_, date, time| time_on(date, time))),
        ("+", f2::<Time, Date, _>(|_, time, date| time_on(date, time))),
        ("+", f2::<Timestamp, Interval, _>(|_, at, by| shifted(at, by))),
        ("+", f2::<Interval, Timestamp, _>(|_, by, at| shifted(at, by))),
        ("-", f2::<Timestamp, Interval, _>(|_, at, by| shifted(at, negated(by)?))),
        ("+", f2::<Timestamptz, Interval, _>(|call, at, by| shifted_in(at, by, call.zone)).zoned()),
        ("+", f2::<Interval, Timestamptz, _>(|call, by, at| shifted_in(at, by, call.zone)).zoned()),
        ("-", f2::<Timestamptz, Interval, _>(|call, at, by| shifted_in(at, negated(by)?, call.zone)).zoned()),
        ("-", f2::<Timestamp, Timestamp, _>(|_, later, earlier| difference(later.0, earlier.0))),
        ("-", f2::<Timestamptz, Timestamptz, _>(|_, later, earlier| difference(later.0, earlier.0))),
        ("+", f2::<Time, Interval, _>(|_, time, by| Ok(time_shifted(time, by)))),
        ("+", f2::<Interval, Time, _>(|_, by, time| Ok(time_shifted(time, by)))),
        ("-", f2::<Time, Interval, _>(|_, time, by| Ok(time_shifted(time, negated(by)?)))),
        ("-", f2::<Time, Time, _>(|_, later, earlier| Ok(Interval::new(0, 0, (later.0 - earlier.0) * 1000)))),
        (
            "average_of",
            f2::<Interval, i64, _>(|_, sum, count| {
                #[expect(clippy::cast_precision_loss, reason = "so many rows are not told apart by a float")]
                divided(sum, count as f64)
            }),
        ),
        ("date_add", f2::<Timestamptz, Interval, _>(|call, at, by| shifted_in(at, by, call.zone)).zoned()),
        ("date_add", f3::<Timestamptz, Interval, Text, _>(|call, at, by, zone| shifted_in(at, by, named(call, zone)?))),
        (
            "date_subtract",
            f2::<Timestamptz, Interval, _>(|call, at, by| shifted_in(at, negated(by)?, call.zone)).zoned(),
        ),
        (
            "date_subtract",
            f3::<Timestamptz, Interval, Text, _>(|call, at, by, zone| shifted_in(at, negated(by)?, named(call, zone)?)),
        ),
        ("timezone", f2::<Text, Timestamp, _>(|call, zone, at| moment(at, named(call, zone)?))),
        ("timezone", f2::<Text, Timestamptz, _>(|call, zone, at| Ok(local(at, named(call, zone)?)))),
        ("timezone", f2::<Interval, Timestamp, _>(|_, zone, at| moment(at, offset(zone)?))),
        ("timezone", f2::<Interval, Timestamptz, _>(|_, zone, at| Ok(local(at, offset(zone)?)))),
        ("overlaps", overlapping::<Timestamp>()),
        ("overlaps", overlapping::<Timestamptz>()),
    ]
}

/// `(start, end) OVERLAPS (start, end)`, over ends in either order.
fn overlapping<T>() -> Overload
where
    T: for<'a> super::argument::Argument<Of<'a> = T> + Microseconds,
{
    f4::<T, T, T, T, _>(|_, start, end, other_start, other_end| {
        let ordered = |a: T, b: T| {
            let (a, b) = (a.micros(), b.micros());
            (a.min(b), a.max(b))
        };
        let ((start, end), (other_start, other_end)) = (ordered(start, end), ordered(other_start, other_end));
        Ok(match start.cmp(&other_start) {
            Ordering::Equal => true,
            Ordering::Greater => start < other_end,
            Ordering::Less => other_start < end,
        })
    })
}

trait Microseconds {
    fn micros(&self) -> i64;
}
impl Microseconds for Timestamp {
    fn micros(&self) -> i64 {
        self.0
    }
}
impl Microseconds for Timestamptz {
    fn micros(&self) -> i64 {
        self.0
    }
}

/// NULL by an empty pattern.
fn shown(call: &Call, pattern: &str, what: &Shown) -> Result<Option<String>, Plain> {
    if pattern.is_empty() {
        return Ok(None);
    }
    what.by(&call.once(pattern, |pattern| Ok(pattern::parse(pattern)))?).map(Some)
}

fn read_by(call: &Call, text: &str, pattern: &str) -> Result<Read, Plain> {
    read::read(text, &call.once(pattern, |pattern| Ok(pattern::parse(pattern)))?)
}

fn patterns() -> Vec<Named> {
    vec![
        (
            "to_char",
            f2::<Timestamp, Text, _>(|call, at, pattern| {
                let what = (!is_infinite(at.0)).then(|| Shown::timestamp(at.0));
                what.map_or(Ok(None), |what| shown(call, pattern, &what))
            }),
        ),
        (
            "to_char",
            f2::<Timestamptz, Text, _>(|call, at, pattern| {
                let what = (!is_infinite(at.0)).then(|| Shown::moment(at.0, call.zone));
                what.map_or(Ok(None), |what| shown(call, pattern, &what))
            })
            .zoned(),
        ),
        ("to_char", f2::<Interval, Text, _>(|call, of, pattern| shown(call, pattern, &Shown::interval(of)))),
        (
            "to_timestamp",
            f2::<Text, Text, _>(|call, text, pattern| {
                let read = read_by(call, text, pattern)?;
                let zone = read.offset.map_or(call.zone, Zone::Fixed);
                let day = read.days.checked_mul(DAY_US).and_then(|day| day.checked_add(read.time_us));
                moment(Timestamp(in_range(day)?), zone)
            })
            .zoned(),
        ),
        (
            "to_date",
            f2::<Text, Text, _>(|call, text, pattern| {
                i32::try_from(read_by(call, text, pattern)?.days).map(Date).map_err(|_too_far| out_of_range())
            }),
        ),
    ]
}

fn intervals() -> Vec<Named> {
    vec![
        ("=", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) == key(b)))),
        ("<>", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) != key(b)))),
        ("<", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) < key(b)))),
        ("<=", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) <= key(b)))),
        (">", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) > key(b)))),
        (">=", f2::<Interval, Interval, _>(|_, a, b| Ok(key(a) >= key(b)))),
        ("+", f2::<Interval, Interval, _>(|_, a, b| interval::sum(a, b))),
        ("-", f2::<Interval, Interval, _>(|_, a, b| interval::sum(a, negated(b)?))),
        ("justify_days", f1::<Interval, _>(|_, of| interval::justified_days(of))),
        ("justify_hours", f1::<Interval, _>(|_, of| interval::justified_hours(of))),
        ("justify_interval", f1::<Interval, _>(|_, of| interval::justified(of))),
    ]
}
