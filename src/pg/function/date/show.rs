//! `to_char` of dates, times and intervals.

use std::fmt::Write;

use super::super::argument::Interval;
use super::calendar::{HOUR_US, JULIAN_1970, MINUTE_US, Moment, SECOND_US};
use super::pattern::{Case, Field, Kind, Piece, ROMAN};
use crate::encode::{DAYS, MONTHS, days_from_civil};
use crate::error::{Plain, SqlState};
use crate::setting::Zone;

/// What there is to be shown.
pub(super) struct Shown {
    moment: Option<Moment>,
    /// Of an interval: its years, and months of one.
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Seconds east of Greenwich, and what people call the zone then.
    zone: Option<(i32, String)>,
}

impl Shown {
    pub(super) fn timestamp(local_us: i64) -> Self {
        let moment = Moment::of(local_us);
        Self {
            year: moment.year,
            month: i64::from(moment.month),
            day: i64::from(moment.day),
            hour: moment.hour(),
            minute: moment.minute(),
            second: moment.time_us / SECOND_US % 60,
            micros: moment.time_us % SECOND_US,
            zone: None,
            moment: Some(moment),
        }
    }

    pub(super) fn moment(utc_us: i64, zone: Zone) -> Self {
        let offset = zone.offset_at(utc_us);
        let shown = Self::timestamp(utc_us + i64::from(offset) * SECOND_US);
        Self { zone: Some((offset, zone.abbreviation_at(utc_us))), ..shown }
    }

    pub(super) fn interval(of: Interval) -> Self {
        let micros = of.nanoseconds / 1000;
        Self {
            moment: None,
            year: i64::from(of.months / 12),
            month: i64::from(of.months % 12),
            day: i64::from(of.days),
            hour: micros / HOUR_US,
            minute: micros / MINUTE_US % 60,
            second: micros / SECOND_US % 60,
            micros: micros % SECOND_US,
            zone: None,
        }
    }

    /// By a pattern. `22007` for what an interval has not.
    pub(super) fn by(&self, pattern: &[Piece]) -> Result<String, Plain> {
        let mut out = String::new();
        for piece in pattern {
            match piece {
                Piece::Field(field) => self.field(&mut out, *field)?,
                Piece::Separator(letter) | Piece::Letter(letter) => out.push(*letter),
            }
        }
        Ok(out)
    }

    /// As people count years: that of 1 BC is 1, too.
    fn counted_year(&self) -> i64 {
        if self.moment.is_some() && self.year <= 0 { 1 - self.year } else { self.year }
    }

    /// `22007` for an interval.
    fn calendar(&self) -> Result<&Moment, Plain> {
        self.moment.as_ref().ok_or_else(|| {
            Plain::new(SqlState::INVALID_DATETIME_FORMAT, "invalid format specification for an interval value")
                .hint("Intervals are not tied to specific calendar dates.")
        })
    }

    fn field(&self, out: &mut String, field: Field) -> Result<(), Plain> {
        let begun = out.len();
        match self.number(field.kind)? {
            Some((value, width)) => {
                let width = if field.fill { 0 } else { width + usize::from(value < 0) };
                // Strings take all that is written to them.
                let _written = write!(out, "{value:0width$}");
            }
            None => self.word(out, field)?,
        }
        if let (Some(case), true) = (field.ordinal, field.kind.digits().is_some()) {
            let suffix = ordinal(out.get(begun..).unwrap_or_default());
            word_of(out, suffix, case);
        }
        Ok(())
    }

    /// A number, and how many digits it has at least; `None`: it is none.
    fn number(&self, kind: Kind) -> Result<Option<(i64, usize)>, Plain> {
        let last_digits = |year: i64, digits: u8| {
            let shown = if digits >= 4 { year } else { year % 10_i64.pow(u32::from(digits)) };
            (shown, usize::from(digits))
        };
        Ok(Some(match kind {
            Kind::Hour12 => (if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            Kind::Hour24 => (self.hour, 2),
            Kind::Minute => (self.minute, 2),
            Kind::Second => (self.second, 2),
            Kind::Millisecond => (self.micros / 1000, 3),
            Kind::Microsecond => (self.micros, 6),
            Kind::Fraction(digits) => (self.micros / 10_i64.pow(6 - u32::from(digits.min(6))), usize::from(digits)),
            Kind::SecondOfDay => (self.hour * 3600 + self.minute * 60 + self.second, 0),
            Kind::Month => (self.month, 2),
            Kind::Day => (self.day, 2),
            Kind::Year(digits) => last_digits(self.counted_year(), digits),
            Kind::Century => {
                let century = self.moment.as_ref().map_or(self.year / 100, Moment::century);
                (century, if century.abs() <= 99 { 2 } else { 4 })
            }
            Kind::Quarter if self.month != 0 => ((self.month - 1) / 3 + 1, 0),
            Kind::DayOfYear => (self.calendar()?.day_of_year(), 3),
            Kind::Week => ((self.calendar()?.day_of_year() - 1) / 7 + 1, 2),
            Kind::WeekOfMonth => ((self.day - 1) / 7 + 1, 0),
            Kind::IsoWeek => (self.calendar()?.iso_week().1, 2),
            Kind::IsoDayOfYear => {
                let moment = self.calendar()?;
                ((moment.iso_week().1 - 1) * 7 + moment.iso_day_of_week(), 3)
            }
            Kind::IsoYear(digits) => {
                let (year, _) = self.calendar()?.iso_week();
                last_digits(if year <= 0 { 1 - year } else { year }, digits)
            }
            Kind::DayOfWeek => (self.calendar()?.day_of_week() + 1, 0),
            Kind::IsoDayOfWeek => (self.calendar()?.iso_day_of_week(), 0),
            Kind::Julian => {
                let days = self.moment.as_ref().map_or_else(|| days_from_civil(self.year, 1, 1), |moment| moment.days);
                (days + JULIAN_1970, 0)
            }
            _ => return Ok(None),
        }))
    }

    /// What is not one number.
    fn word(&self, out: &mut String, field: Field) -> Result<(), Plain> {
        match field.kind {
            Kind::GroupedYear => {
                let year = self.counted_year();
                let _written = write!(out, "{},{:03}", year / 1000, year % 1000);
            }
            Kind::HalfDay { dots } => {
                let word = if self.hour.rem_euclid(24) >= 12 { "P.M." } else { "A.M." };
                word_of(out, &undotted(word, dots), field.case);
            }
            Kind::Era { dots } => {
                let word = if self.calendar()?.year <= 0 { "B.C." } else { "A.D." };
                word_of(out, &undotted(word, dots), field.case);
            }
            Kind::MonthName | Kind::MonthAbbreviation | Kind::RomanMonth => self.month_name(out, field),
            Kind::DayName | Kind::DayAbbreviation => {
                let name = usize::try_from(self.calendar()?.day_of_week()).ok().and_then(|day| DAYS.get(day));
                name_of(out, name.copied().unwrap_or_default(), field, Kind::DayAbbreviation);
            }
            Kind::Zone => {
                self.calendar()?;
                if let Some((_, name)) = &self.zone {
                    word_of(out, name, field.case);
                }
            }
            Kind::ZoneHours | Kind::Offset => {
                self.calendar()?;
                let offset = self.offset();
                let _written = write!(out, "{}{:02}", sign(offset), offset.abs() / 3600);
                if field.kind == Kind::Offset && offset % 3600 != 0 {
                    let _written = write!(out, ":{:02}", offset.abs() % 3600 / 60);
                }
            }
            Kind::ZoneMinutes => {
                self.calendar()?;
                let _written = write!(out, "{:02}", self.offset().abs() % 3600 / 60);
            }
            _ => {}
        }
        Ok(())
    }

    fn offset(&self) -> i32 {
        self.zone.as_ref().map_or(0, |(offset, _)| *offset)
    }

    fn month_name(&self, out: &mut String, field: Field) {
        let place = usize::try_from(self.month - 1).ok();
        if field.kind == Kind::RomanMonth {
            let Some(name) = place.and_then(|place| ROMAN.get(place)) else { return };
            let width = if field.fill { 0 } else { 4 };
            let name = if field.case == Case::Lower { name.to_lowercase() } else { (*name).to_owned() };
            let _written = write!(out, "{name:width$}");
            return;
        }
        if let Some(name) = place.and_then(|place| MONTHS.get(place)) {
            name_of(out, name, field, Kind::MonthAbbreviation);
        }
    }
}

fn sign(offset: i32) -> char {
    if offset < 0 { '-' } else { '+' }
}

fn undotted(word: &str, dots: bool) -> String {
    if dots { word.to_owned() } else { word.replace('.', "") }
}

/// A name, or its first three letters; whole names are as wide as the longest.
fn name_of(out: &mut String, name: &str, field: Field, short: Kind) {
    let (name, width) = if field.kind == short { (name.get(..3).unwrap_or(name), 0) } else { (name, 9) };
    let begun = out.len();
    word_of(out, name, field.case);
    if !field.fill {
        while out.len() - begun < width {
            out.push(' ');
        }
    }
}

fn word_of(out: &mut String, word: &str, case: Case) {
    match case {
        Case::Upper => out.push_str(&word.to_uppercase()),
        Case::Title => out.push_str(word),
        Case::Lower => out.push_str(&word.to_lowercase()),
    }
}

/// `st`, `nd`, `rd` or `th`.
pub(in super::super) fn ordinal(number: &str) -> &'static str {
    let digits = number.trim_end_matches(|letter: char| !letter.is_ascii_digit()).as_bytes();
    match digits {
        [.., b'1', _] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    }
}
