//! Time zones: IANA names and fixed offsets.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};

/// A session's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// A zone of the IANA time zone database.
    Named(Tz),
    /// Seconds east of Greenwich.
    Fixed(i32),
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self::Named(Tz::UTC);

    /// Reads what the setting takes: hours east of Greenwich as a number, or [what else names a zone](Self::named).
    pub fn parse(text: &str) -> Option<Self> {
        match f64::from_str(text.trim()) {
            #[expect(clippy::cast_possible_truncation, reason = "it is less than a week")]
            Ok(hours) => (hours.abs() < HOURS_MAX).then_some(Self::Fixed((hours * 3600.0).round() as i32)),
            Err(_no_number) => Self::named(text),
        }
    }

    /// Reads a zone's name in any case, an abbreviation, or POSIX's form, whose hours are west: `UTC+04:43`, `<+02>-02`, `-02:00`.
    /// `None` if it is none of these, as is a rule for summer time.
    pub fn named(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
            return Some(Self::Named(*zone));
        }
        if let Some((_, seconds)) = ABBREVIATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(Self::Fixed(*seconds));
        }
        let west = match text.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>')?.1,
            None => text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()),
        };
        match distance(west)? {
            seconds if seconds % 60 == 0 => Some(Self::Fixed(-seconds)),
            _ => None,
        }
    }

    /// Reads an offset as values have it, east of Greenwich: `+05:30`, up to `15:59:59`.
    pub fn offset(text: &str) -> Option<Self> {
        let seconds = distance(text).filter(|_| text.starts_with(['+', '-']))?;
        (seconds.abs() < OFFSET_END).then_some(Self::Fixed(seconds))
    }

    /// The zone as the setting says it; of what is no name, in POSIX's form.
    pub fn setting(text: &str) -> Option<String> {
        Some(match Self::parse(text)? {
            Self::Named(zone) => zone.name().to_owned(),
            zone @ Self::Fixed(_) if f64::from_str(text.trim()).is_ok() => zone.posix(),
            Self::Fixed(_) => text.trim().to_ascii_uppercase(),
        })
    }

    /// A fixed offset in POSIX's form, named after itself: `<+02>-02`.
    pub fn posix(self) -> String {
        match self {
            Self::Named(zone) => zone.name().to_owned(),
            Self::Fixed(east) => {
                let west = Self::Fixed(-east).to_string();
                format!("<{self}>{}", if east == 0 { "-00" } else { &west })
            }
        }
    }

    /// Seconds east of Greenwich at a moment given in microseconds since 1970.
    pub fn offset_at(self, micros: i64) -> i32 {
        let micros = known_year(micros);
        match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(Tz::UTC) => 0,
            Self::Named(zone) => match DateTime::<Utc>::from_timestamp_micros(micros) {
                Some(moment) => zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc(),
                None => 0,
            },
        }
    }

    /// What people call the zone at a moment, such as `CEST`; of an offset itself.
    pub fn abbreviation_at(self, micros: i64) -> String {
        match (self, DateTime::<Utc>::from_timestamp_micros(micros)) {
            (Self::Named(zone), Some(moment)) => {
                let offset = zone.offset_from_utc_datetime(&moment.naive_utc());
                offset.abbreviation().map_or_else(|| offset.fix().to_string(), ToOwned::to_owned)
            }
            (zone, _) => zone.to_string(),
        }
    }

    /// Microseconds since 1970 of a local time. In a gap or overlap the standard offset before it counts.
    pub fn to_utc(self, local_micros: i64) -> Option<i64> {
        let offset = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(Tz::UTC) => 0,
            Self::Named(zone) => {
                let local = known_year(local_micros);
                let local: NaiveDateTime = DateTime::<Utc>::from_timestamp_micros(local)?.naive_utc();
                match zone.offset_from_local_datetime(&local) {
                    LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => offset.fix().local_minus_utc(),
                    LocalResult::None => self.offset_at(local_micros.checked_sub(86_400_000_000)?),
                }
            }
        };
        local_micros.checked_sub(i64::from(offset) * 1_000_000)
    }
}

/// The setting takes fewer hours.
const HOURS_MAX: f64 = 168.0;
/// Values have offsets of fewer seconds.
const OFFSET_END: i32 = 16 * 3600;

/// Abbreviations, with seconds east of Greenwich.
static ABBREVIATIONS: LazyLock<Vec<(&str, i32)>> = LazyLock::new(|| {
    let lines = include_str!("../../sql/pg_catalog/timezone_abbreviations.tsv").lines().skip(2);
    lines
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some((fields.next()?, fields.next()?.parse().ok()?))
        })
        .collect()
});

/// Seconds of `[+|-]hours[:minutes[:seconds]]`.
fn distance(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => (1, text),
    };
    let part = |part: &str, below: i32| {
        let is_number = part.bytes().all(|digit| digit.is_ascii_digit());
        i32::from_str(part).ok().filter(|number| is_number && *number < below)
    };
    let mut parts = digits.split(':');
    let hours = part(parts.next()?, 168)?;
    let minutes = parts.next().map_or(Some(0), |minutes| part(minutes, 60))?;
    let seconds = parts.next().map_or(Some(0), |seconds| part(seconds, 60))?;
    parts.next().is_none().then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// Moments until when the zone database says what clocks show: 2090.
const KNOWN_MICROS: i64 = 3_786_912_000_000_000;

/// The same moment in an earlier year with the same calendar, if the zone database does not go so far: rules for summer time are by
/// weekdays, and calendars come again within 28 years.
fn known_year(micros: i64) -> i64 {
    let Some(moment) = DateTime::<Utc>::from_timestamp_micros(micros).filter(|_| micros >= KNOWN_MICROS) else {
        return micros;
    };
    let calendar = |year: i32| NaiveDate::from_yo_opt(year, 1).map(|first| (first.weekday(), first.leap_year()));
    let alike = (2060..2088).find(|year| calendar(*year) == calendar(moment.year()));
    let days = |year: i32| NaiveDate::from_yo_opt(year, 1).map(|first| i64::from(first.num_days_from_ce()));
    let apart = alike.and_then(|alike| Some(days(moment.year())? - days(alike)?));
    micros - apart.unwrap_or_default() * 86_400_000_000
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Fixed(seconds) => {
                let sign = if *seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                write!(f, "{sign}{:02}", minutes / 60)?;
                let seconds = seconds.abs() % 60;
                if minutes % 60 != 0 || seconds != 0 {
                    write!(f, ":{:02}", minutes % 60)?;
                }
                if seconds == 0 { Ok(()) } else { write!(f, ":{seconds:02}") }
            }
        }
    }
}
