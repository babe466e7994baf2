//! Dates and times taken apart, and what can be asked of them.
//!
//! After PostgreSQL's documentation of `extract` and `date_trunc`
//! (<https://www.postgresql.org/docs/18/functions-datetime.html>).

use super::super::argument::Interval;
use crate::encode::{DAY_US, Numeric, civil, days_from_civil, month_length};
use crate::error::{Plain, SqlState, unsupported};
use crate::setting::Zone;

pub(super) const HOUR_US: i64 = 3_600_000_000;
pub(super) const MINUTE_US: i64 = 60_000_000;
pub(super) const SECOND_US: i64 = 1_000_000;
/// The Julian day of 1970-01-01.
pub(super) const JULIAN_1970: i64 = 2_440_588;
/// The first microsecond that a timestamp may be: 4714-11-24 BC.
const FIRST_US: i64 = -210_866_803_200_000_000;
/// The last is beyond what is counted from 1970 in 64 bits, in the year 294247.
const END_US: i64 = i64::MAX;

/// What can be asked of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Epoch,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

impl Unit {
    /// By any of its names.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "useconds" | "usecond" => Self::Microsecond,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "mseconds" | "msecond" => Self::Millisecond,
            "second" | "seconds" | "s" | "sec" | "secs" => Self::Second,
            "minute" | "minutes" | "m" | "min" | "mins" => Self::Minute,
            "hour" | "hours" | "h" | "hr" | "hrs" => Self::Hour,
            "day" | "days" | "d" => Self::Day,
            "week" | "weeks" | "w" => Self::Week,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "quarter" | "qtr" => Self::Quarter,
            "year" | "years" | "y" | "yr" | "yrs" => Self::Year,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "century" | "centuries" | "c" | "cent" => Self::Century,
            "millennium" | "millennia" | "mil" | "mils" => Self::Millennium,
            "epoch" => Self::Epoch,
            "dow" => Self::DayOfWeek,
            "isodow" => Self::IsoDayOfWeek,
            "doy" => Self::DayOfYear,
            "isoyear" => Self::IsoYear,
            "julian" | "j" | "jd" => Self::Julian,
            "timezone" => Self::Timezone,
            "timezone_hour" | "timezone_h" => Self::TimezoneHour,
            "timezone_minute" | "timezone_m" => Self::TimezoneMinute,
            _ => return None,
        })
    }

    /// How many digits `extract` gives after the point.
    pub(super) fn digits(self) -> i8 {
        match self {
            Self::Second | Self::Epoch => 6,
            Self::Millisecond => 3,
            Self::Julian => 20,
            _ => 0,
        }
    }

    /// Whether it grows for ever with time, and so is infinite for what is.
    fn grows(self) -> bool {
        use Unit as U;
        matches!(self, U::Year | U::Decade | U::Century | U::Millennium | U::Julian | U::IsoYear | U::Epoch)
    }
}

/// A unit that a type has not. `22023`, `0A000`
pub(super) fn no_unit(name: &str, unit: Option<Unit>, of: &str) -> Plain {
    let name = name.to_ascii_lowercase();
    match unit {
        Some(_) => Plain::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{name}\" not supported for type {of}")),
        None => Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{name}\" not recognized for type {of}")),
    }
}

pub(super) fn out_of_range() -> Plain {
    Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// Whether a timestamp is `infinity` or `-infinity`.
pub(super) fn is_infinite(micros: i64) -> bool {
    matches!(micros, i64::MIN | i64::MAX)
}

/// A timestamp that was computed. `22008`
pub(super) fn in_range(micros: Option<i64>) -> Result<i64, Plain> {
    micros.filter(|micros| (FIRST_US..END_US).contains(micros)).ok_or_else(out_of_range)
}

/// A local time in its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Days since 1970.
    pub(super) days: i64,
    /// Microseconds since midnight.
    pub(super) time_us: i64,
    /// Astronomical: 0 is 1 BC.
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
}

impl Moment {
    pub(super) fn of(local_us: i64) -> Self {
        let days = local_us.div_euclid(DAY_US);
        let (year, month, day) = civil(days);
        Self { days, time_us: local_us.rem_euclid(DAY_US), year, month, day }
    }

    pub(super) fn of_days(days: i32) -> Self {
        let (year, month, day) = civil(i64::from(days));
        Self { days: i64::from(days), time_us: 0, year, month, day }
    }

    pub(super) fn micros(&self) -> i64 {
        self.days.saturating_mul(DAY_US).saturating_add(self.time_us)
    }

    pub(super) fn hour(&self) -> i64 {
        self.time_us / HOUR_US
    }

    pub(super) fn minute(&self) -> i64 {
        self.time_us / MINUTE_US % 60
    }

    /// The year as people count them: there is none between 1 BC, which is -1, and 1.
    pub(super) fn counted_year(&self) -> i64 {
        if self.year > 0 { self.year } else { self.year - 1 }
    }

    /// 0 on Sunday.
    pub(super) fn day_of_week(&self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// 1 on Monday, 7 on Sunday.
    pub(super) fn iso_day_of_week(&self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    pub(super) fn day_of_year(&self) -> i64 {
        self.days - days_from_civil(self.year, 1, 1) + 1
    }

    /// ISO 8601's year, astronomical, and week: that of the week's Thursday.
    pub(super) fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days + 4 - self.iso_day_of_week();
        let (year, ..) = civil(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    pub(super) fn century(&self) -> i64 {
        ages(self.year, 100)
    }

    /// The first moment of a unit that this one is in; `None`: it is not a length of time.
    pub(super) fn truncated(&self, unit: Unit) -> Option<i64> {
        let year = |year: i64| days_from_civil(year, 1, 1);
        // The first year of one of the ages that people count from 1 on, and back from -1.
        let first_of = |length: i64| {
            let age = ages(self.year, length);
            if age > 0 { (age - 1) * length + 1 } else { age * length + 1 }
        };
        let days = match unit {
            Unit::Microsecond => return Some(self.micros()),
            Unit::Millisecond => return Some(self.micros() - self.time_us % 1000),
            Unit::Second => return Some(self.micros() - self.time_us % SECOND_US),
            Unit::Minute => return Some(self.micros() - self.time_us % MINUTE_US),
            Unit::Hour => return Some(self.micros() - self.time_us % HOUR_US),
            Unit::Day => self.days,
            Unit::Week => self.days + 1 - self.iso_day_of_week(),
            Unit::Month => days_from_civil(self.year, self.month, 1),
            Unit::Quarter => days_from_civil(self.year, (self.month - 1) / 3 * 3 + 1, 1),
            Unit::Year => year(self.year),
            Unit::Decade => year(self.year.div_euclid(10) * 10),
            Unit::Century => year(first_of(100)),
            Unit::Millennium => year(first_of(1000)),
            _ => return None,
        };
        days.checked_mul(DAY_US)
    }

    /// Some months later, on the last day of the month if it has no such day.
    pub(super) fn plus_months(&self, months: i32) -> Self {
        let all = self.year * 12 + i64::from(self.month) - 1 + i64::from(months);
        let (year, month) = (all.div_euclid(12), u32::try_from(all.rem_euclid(12)).unwrap_or(0) + 1);
        let day = self.day.min(month_length(year, month));
        Self { days: days_from_civil(year, month, day), year, month, day, ..*self }
    }

    /// What `extract` gives. `offset`: seconds east of Greenwich, of a moment. `None`: there is no such part.
    fn part(&self, unit: Unit, offset: Option<i32>) -> Option<Numeric> {
        let whole = |value: i64| Some(Numeric { value: i128::from(value), scale: 0 });
        match unit {
            Unit::Microsecond => whole(self.time_us % MINUTE_US),
            Unit::Millisecond => Some(Numeric { value: i128::from(self.time_us % MINUTE_US), scale: 3 }),
            Unit::Second => Some(Numeric { value: i128::from(self.time_us % MINUTE_US), scale: 6 }),
            Unit::Minute => whole(self.minute()),
            Unit::Hour => whole(self.hour()),
            Unit::Day => whole(i64::from(self.day)),
            Unit::Week => whole(self.iso_week().1),
            Unit::Month => whole(i64::from(self.month)),
            Unit::Quarter => whole(i64::from((self.month - 1) / 3 + 1)),
            Unit::Year => whole(self.counted_year()),
            Unit::Decade => whole(self.year.div_euclid(10)),
            Unit::Century => whole(self.century()),
            Unit::Millennium => whole(ages(self.year, 1000)),
            Unit::IsoYear => {
                let (year, _) = self.iso_week();
                whole(if year > 0 { year } else { year - 1 })
            }
            Unit::Epoch => {
                let utc = i128::from(self.micros()) - i128::from(offset.unwrap_or(0)) * i128::from(SECOND_US);
                Some(Numeric { value: utc, scale: 6 })
            }
            Unit::DayOfWeek => whole(self.day_of_week()),
            Unit::IsoDayOfWeek => whole(self.iso_day_of_week()),
            Unit::DayOfYear => whole(self.day_of_year()),
            Unit::Julian => {
                const DIGITS: i128 = 100_000_000_000_000_000_000;
                let part = i128::from(self.time_us) * (DIGITS / 1_000_000) / 86_400;
                Some(Numeric { value: i128::from(self.days + JULIAN_1970) * DIGITS + part, scale: 20 })
            }
            Unit::Timezone => whole(i64::from(offset?)),
            Unit::TimezoneHour => whole(i64::from(offset? / 3600)),
            Unit::TimezoneMinute => whole(i64::from(offset? % 3600 / 60)),
        }
    }
}

/// Centuries and millennia are counted from 1 on, and back from -1.
fn ages(year: i64, length: i64) -> i64 {
    if year > 0 { (year + length - 1) / length } else { -((length - 1 - (year - 1)) / length) }
}

/// A part of a date or time: a number, or one of the infinities, or NULL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Finite(Numeric),
    Infinite { positive: bool },
    None,
}

impl Part {
    /// As `extract` gives it. `0A000` for an infinity, which `numeric` has not here.
    pub(super) fn numeric(self) -> Result<Option<Numeric>, Plain> {
        match self {
            Self::Finite(value) => Ok(Some(value)),
            Self::Infinite { .. } => Err(unsupported("an infinite numeric")),
            Self::None => Ok(None),
        }
    }

    /// As `date_part` gives it.
    pub(super) fn float(self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "PostgreSQL computes in float8, too")]
            Self::Finite(value) => Some(value.value as f64 / 10_f64.powi(i32::from(value.scale))),
            Self::Infinite { positive: true } => Some(f64::INFINITY),
            Self::Infinite { positive: false } => Some(f64::NEG_INFINITY),
            Self::None => None,
        }
    }
}

fn infinite(unit: Unit, micros: i64) -> Part {
    if unit.grows() { Part::Infinite { positive: micros > 0 } } else { Part::None }
}

pub(super) fn part_of_timestamp(name: &str, micros: i64) -> Result<Part, Plain> {
    let unit = Unit::parse(name);
    let missing = || no_unit(name, unit, "timestamp without time zone");
    let known = unit.ok_or_else(missing)?;
    if is_infinite(micros) {
        return Ok(infinite(known, micros));
    }
    Moment::of(micros).part(known, None).map(Part::Finite).ok_or_else(missing)
}

pub(super) fn part_of_date(name: &str, days: i32) -> Result<Part, Plain> {
    use Unit as U;
    let unit = Unit::parse(name);
    let missing = || no_unit(name, unit, "date");
    let known = unit.ok_or_else(missing)?;
    let of_time = matches!(known, U::Microsecond | U::Millisecond | U::Second | U::Minute | U::Hour);
    if of_time {
        return Err(missing());
    }
    if matches!(days, i32::MIN | i32::MAX) {
        return Ok(infinite(known, i64::from(days)));
    }
    let part = Moment::of_days(days).part(known, None).ok_or_else(missing)?;
    // A date has no part of a day.
    let power = 10_i128.pow(u32::try_from(part.scale).unwrap_or(0));
    Ok(Part::Finite(Numeric { value: part.value / power, scale: 0 }))
}

pub(super) fn part_of_moment(name: &str, micros: i64, zone: Zone) -> Result<Part, Plain> {
    let unit = Unit::parse(name);
    let missing = || no_unit(name, unit, "timestamp with time zone");
    let known = unit.ok_or_else(missing)?;
    if is_infinite(micros) {
        return Ok(infinite(known, micros));
    }
    let offset = zone.offset_at(micros);
    Moment::of(micros + i64::from(offset) * SECOND_US).part(known, Some(offset)).map(Part::Finite).ok_or_else(missing)
}

pub(super) fn part_of_time(name: &str, micros: i64) -> Result<Part, Plain> {
    use Unit as U;
    let unit = Unit::parse(name);
    let missing = || no_unit(name, unit, "time without time zone");
    match unit {
        Some(known @ (U::Microsecond | U::Millisecond | U::Second | U::Minute | U::Hour | U::Epoch)) => {
            let moment = Moment { days: 0, time_us: micros, year: 1970, month: 1, day: 1 };
            moment.part(known, None).map(Part::Finite).ok_or_else(missing)
        }
        _ => Err(missing()),
    }
}

pub(super) fn part_of_interval(name: &str, interval: Interval) -> Result<Part, Plain> {
    let unit = Unit::parse(name);
    let missing = || no_unit(name, unit, "interval");
    let (years, months) = (i64::from(interval.months / 12), i64::from(interval.months % 12));
    let days = i64::from(interval.days);
    let micros = interval.nanoseconds / 1000;
    let whole = |value: i64| Numeric { value: i128::from(value), scale: 0 };
    let in_minute = i128::from(micros % MINUTE_US);
    Ok(Part::Finite(match unit.ok_or_else(missing)? {
        Unit::Microsecond => whole(micros % MINUTE_US),
        Unit::Millisecond => Numeric { value: in_minute, scale: 3 },
        Unit::Second => Numeric { value: in_minute, scale: 6 },
        Unit::Minute => whole(micros / MINUTE_US % 60),
        Unit::Hour => whole(micros / HOUR_US),
        Unit::Day => whole(days),
        Unit::Week => whole(days / 7),
        Unit::Month => whole(months),
        Unit::Quarter => whole(if months >= 0 { months / 3 + 1 } else { months / 3 - 1 }),
        Unit::Year => whole(years),
        Unit::Decade => whole(years / 10),
        Unit::Century => whole(years / 100),
        Unit::Millennium => whole(years / 1000),
        Unit::Epoch => {
            // A year has 365.25 days, what is left of one has months of 30 days.
            let quarter_days = i128::from(years) * 1461 + i128::from(months) * 120 + i128::from(days) * 4;
            Numeric { value: quarter_days * i128::from(DAY_US / 4) + i128::from(micros), scale: 6 }
        }
        _ => return Err(missing()),
    }))
}

/// `date_trunc` of an interval.
pub(super) fn truncated_interval(name: &str, interval: Interval) -> Result<Interval, Plain> {
    let unit = Unit::parse(name);
    let missing = || {
        let error = no_unit(name, unit, "interval");
        if unit == Some(Unit::Week) { error.detail("Months usually have fractional weeks.") } else { error }
    };
    let months = |length: i32| Interval::new(interval.months / length * length, 0, 0);
    let time = |length: i64| {
        let micros = interval.nanoseconds / 1000;
        Interval::new(interval.months, interval.days, (micros - micros % length) * 1000)
    };
    Ok(match unit.ok_or_else(missing)? {
        Unit::Microsecond => interval,
        Unit::Millisecond => time(1000),
        Unit::Second => time(SECOND_US),
        Unit::Minute => time(MINUTE_US),
        Unit::Hour => time(HOUR_US),
        Unit::Day => Interval::new(interval.months, interval.days, 0),
        Unit::Month => months(1),
        Unit::Quarter => months(3),
        Unit::Year => months(12),
        Unit::Decade => months(120),
        Unit::Century => months(1200),
        Unit::Millennium => months(12_000),
        _ => return Err(missing()),
    })
}
