//! Time zones: IANA names and fixed offsets.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
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

    /// Reads a zone's name in any case, or an offset east of Greenwich such as `+05:30`. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
            return Some(Self::Named(*zone));
        }
        let (sign, digits) = match text.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let mut parts = digits.split(':');
        let hours = i32::from_str(parts.next()?).ok().filter(|hours| (0..=15).contains(hours))?;
        let minutes = parts
            .next()
            .map_or(Some(0), |part| i32::from_str(part).ok())
            .filter(|minutes| (0..60).contains(minutes))?;
        let seconds = parts
            .next()
            .map_or(Some(0), |part| i32::from_str(part).ok())
            .filter(|seconds| (0..60).contains(seconds))?;
        parts.next().is_none().then_some(Self::Fixed(sign * (hours * 3600 + minutes * 60 + seconds)))
    }

    /// Seconds east of Greenwich at a moment given in microseconds since 1970.
    pub fn offset_at(self, micros: i64) -> i32 {
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
                let local: NaiveDateTime = DateTime::<Utc>::from_timestamp_micros(local_micros)?.naive_utc();
                match zone.offset_from_local_datetime(&local) {
                    LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => offset.fix().local_minus_utc(),
                    LocalResult::None => self.offset_at(local_micros.checked_sub(86_400_000_000)?),
                }
            }
        };
        local_micros.checked_sub(i64::from(offset) * 1_000_000)
    }
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
