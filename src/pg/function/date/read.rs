//! `to_timestamp` and `to_date`: what a pattern finds in a text.

use super::calendar::{HOUR_US, JULIAN_1970, MINUTE_US, SECOND_US};
use super::pattern::{Field, Kind, Piece, ROMAN};
use crate::encode::{DAY_US, DAYS, MONTHS, civil, days_from_civil, month_length};
use crate::error::{Plain, SqlState};

/// What was found.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    /// How many digits the year was written with, if that is fewer than four.
    century: Option<i64>,
    bc: bool,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    iso_day_of_year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    day_of_week: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    clock12: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    second_of_day: Option<i64>,
    zone_sign: i32,
    zone_hours: Option<i64>,
    zone_minutes: i64,
}

/// Days since 1970, microseconds since midnight, and seconds east of Greenwich if there was an offset.
pub(super) struct Read {
    pub(super) days: i64,
    pub(super) time_us: i64,
    pub(super) offset: Option<i32>,
}

fn malformed(message: String) -> Plain {
    Plain::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_blanks(&mut self) -> usize {
        let trimmed = self.rest.trim_start();
        let skipped = self.rest.len() - trimmed.len();
        self.rest = trimmed;
        skipped
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// A number of so many digits, or of as many as there are. Tells how many it had, too.
    fn number(&mut self, field: Field, digits: usize, is_last: bool) -> Result<(i64, usize), Plain> {
        self.skip_blanks();
        let signed = usize::from(self.rest.starts_with(['+', '-']) && is_last);
        let count = self.rest.bytes().skip(signed).take_while(u8::is_ascii_digit).count();
        let wanted = if is_last { count } else { digits.min(count) };
        if !is_last && self.rest.len() < digits && digits != usize::MAX {
            let message = format!("source string too short for \"{}\" formatting field", field.word);
            let detail = format!("Field requires {digits} characters, but only {} remain.", self.rest.len());
            let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
            return Err(malformed(message).detail(detail).hint(hint));
        }
        let text = self.rest.get(..signed + wanted).unwrap_or_default();
        let value = text.parse::<i64>().ok().filter(|_| is_last || digits == usize::MAX || wanted == digits);
        let Some(value) = value else {
            let shown: String = if is_last {
                self.rest.chars().take_while(|letter| !letter.is_whitespace()).collect()
            } else {
                self.rest.chars().take(digits).collect()
            };
            let message = format!("invalid value \"{shown}\" for \"{}\"", field.word);
            let error = malformed(message);
            return Err(if is_last {
                error.detail("Value must be an integer.")
            } else {
                let detail = format!("Field requires {digits} characters, but only {wanted} could be parsed.");
                error.detail(detail).hint("If your source string is not fixed-width, try using the \"FM\" modifier.")
            });
        };
        self.take(text.len());
        Ok((value, wanted))
    }

    /// The place of the first of some names that comes next, of which letters are enough.
    fn name(&mut self, field: Field, names: &[&str], letters: usize) -> Result<usize, Plain> {
        self.skip_blanks();
        let starts = |name: &&str| {
            let name = if letters == 0 { *name } else { name.get(..letters).unwrap_or(name) };
            self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let best = names.iter().enumerate().filter(|(_, name)| starts(name)).max_by_key(|(_, name)| name.len());
        let Some((place, name)) = best else {
            let shown: String = self.rest.chars().take_while(|letter| letter.is_alphanumeric()).collect();
            let message = format!("invalid value \"{shown}\" for \"{}\"", field.word);
            let detail = "The given value did not match any of the allowed values for this field.";
            return Err(malformed(message).detail(detail));
        };
        self.take(if letters == 0 { name.len() } else { letters.min(name.len()) });
        Ok(place)
    }
}

/// Years of fewer than four digits are those next to 2020.
fn near_2020(year: i64, digits: usize) -> i64 {
    match (digits, year) {
        (1 | 2, 0..=69) => year + 2000,
        (1 | 2, 70..=99) | (3, 520..=999) => year + if digits == 3 { 1000 } else { 1900 },
        (3, 0..=519) => year + 2000,
        _ => year,
    }
}

/// Reads a text by a pattern. `22007` for what does not fit it, `22008` for a date that is none.
pub(super) fn read(text: &str, pattern: &[Piece]) -> Result<Read, Plain> {
    let mut found = Found { zone_sign: 1, ..Found::default() };
    let mut reader = Reader { rest: text };
    // Blanks and signs that were skipped and that the pattern may still have.
    let mut skipped: usize = 0;
    for (place, piece) in pattern.iter().enumerate() {
        if reader.rest.is_empty() {
            break;
        }
        match piece {
            Piece::Separator(_) => {
                skipped = skipped.saturating_sub(1);
                let next = reader.rest.chars().next();
                if let Some(letter) = next.filter(|letter| letter.is_whitespace() || letter.is_ascii_punctuation()) {
                    // A sign may belong to the number after it.
                    let is_sign = matches!(letter, '+' | '-') && signed(pattern.get(place + 1));
                    if !is_sign {
                        reader.take(letter.len_utf8());
                    }
                }
                skipped += reader.skip_blanks();
            }
            Piece::Letter(_) => {
                if skipped > 0 {
                    skipped -= 1;
                } else {
                    let first = reader.rest.chars().next().map_or(0, char::len_utf8);
                    reader.take(first);
                }
            }
            Piece::Field(field) => {
                skipped += reader.skip_blanks();
                let is_last = field.fill || !is_number(pattern.get(place + 1));
                found.field(&mut reader, *field, is_last)?;
                if field.ordinal.is_some() {
                    reader.take(2);
                }
            }
        }
    }
    found.done(text)
}

fn signed(piece: Option<&Piece>) -> bool {
    matches!(piece, Some(Piece::Field(Field { kind: Kind::ZoneHours | Kind::Offset, .. })))
}

fn is_number(piece: Option<&Piece>) -> bool {
    matches!(piece, Some(Piece::Field(field)) if field.kind.digits().is_some())
}

impl Found {
    fn field(&mut self, reader: &mut Reader<'_>, field: Field, is_last: bool) -> Result<(), Plain> {
        let digits = field.kind.digits().unwrap_or(0);
        match field.kind {
            Kind::Hour24 => self.hour = reader.number(field, digits, is_last)?.0,
            Kind::Hour12 => {
                self.hour = reader.number(field, digits, is_last)?.0;
                self.clock12 = true;
            }
            Kind::Minute => self.minute = reader.number(field, digits, is_last)?.0,
            Kind::Second => self.second = reader.number(field, digits, is_last)?.0,
            Kind::Millisecond | Kind::Microsecond | Kind::Fraction(_) => {
                let (value, read) = reader.number(field, digits, is_last)?;
                let scale = u32::try_from(6_usize.saturating_sub(read)).unwrap_or(0);
                let rest = u32::try_from(read.saturating_sub(6)).unwrap_or(0);
                self.micros = value.saturating_mul(10_i64.pow(scale)) / 10_i64.saturating_pow(rest);
            }
            Kind::SecondOfDay => self.second_of_day = Some(reader.number(field, digits, is_last)?.0),
            Kind::HalfDay { .. } => {
                let names = ["a.m.", "am", "p.m.", "pm"];
                self.afternoon = Some(reader.name(field, &names, 0)? >= 2);
                self.clock12 = true;
            }
            Kind::Era { .. } => self.bc = reader.name(field, &["a.d.", "ad", "b.c.", "bc"], 0)? >= 2,
            Kind::Century => self.century = Some(reader.number(field, digits, is_last)?.0),
            Kind::Year(_) => {
                let (year, read) = reader.number(field, digits, is_last)?;
                self.year = Some(if digits < 4 { near_2020(year, read) } else { year });
            }
            Kind::GroupedYear => {
                let text = reader.rest;
                let count = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
                let missing = || malformed("invalid value for \"Y,YYY\"".to_owned());
                let year = reader.take(count).replacen(',', "", 1).parse::<i64>().map_err(|_not_a_number| missing())?;
                self.year = Some(year);
            }
            Kind::IsoYear(_) => {
                let (year, read) = reader.number(field, digits, is_last)?;
                self.iso_year = Some(if digits < 4 { near_2020(year, read) } else { year });
            }
            Kind::Month => self.month = Some(reader.number(field, digits, is_last)?.0),
            Kind::MonthName => self.month = Some(count_from_1(reader.name(field, &MONTHS, 0)?)),
            Kind::MonthAbbreviation => self.month = Some(count_from_1(reader.name(field, &MONTHS, 3)?)),
            Kind::RomanMonth => self.month = Some(count_from_1(reader.name(field, &ROMAN, 0)?)),
            Kind::Day => self.day = Some(reader.number(field, digits, is_last)?.0),
            Kind::DayOfYear => self.day_of_year = Some(reader.number(field, digits, is_last)?.0),
            Kind::IsoDayOfYear => self.iso_day_of_year = Some(reader.number(field, digits, is_last)?.0),
            Kind::DayName => self.day_of_week = Some(count_from_1(reader.name(field, &DAYS, 0)?)),
            Kind::DayAbbreviation => self.day_of_week = Some(count_from_1(reader.name(field, &DAYS, 3)?)),
            Kind::DayOfWeek => self.day_of_week = Some(reader.number(field, digits, is_last)?.0),
            Kind::IsoDayOfWeek => self.iso_day = Some(reader.number(field, digits, is_last)?.0),
            Kind::Week => self.week = Some(reader.number(field, digits, is_last)?.0),
            Kind::IsoWeek => self.iso_week = Some(reader.number(field, digits, is_last)?.0),
            Kind::WeekOfMonth => self.week_of_month = Some(reader.number(field, digits, is_last)?.0),
            Kind::Quarter => drop(reader.number(field, digits, is_last)?),
            Kind::Julian => self.julian = Some(reader.number(field, digits, is_last)?.0),
            Kind::ZoneHours | Kind::Offset => {
                if reader.rest.starts_with(['+', '-', ' ']) {
                    self.zone_sign = if reader.take(1) == "-" { -1 } else { 1 };
                }
                self.zone_hours = Some(reader.number(field, 2, is_last && field.kind == Kind::ZoneHours)?.0);
                if field.kind == Kind::Offset && reader.rest.starts_with(':') {
                    reader.take(1);
                    self.zone_minutes = reader.number(field, 2, false)?.0;
                }
            }
            Kind::ZoneMinutes => self.zone_minutes = reader.number(field, 2, is_last)?.0,
            Kind::Zone => {
                let unsupported = format!("formatting field \"{}\" is only supported in to_char", field.word);
                return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, unsupported));
            }
            Kind::Fixed => {}
        }
        Ok(())
    }

    fn done(self, text: &str) -> Result<Read, Plain> {
        let missing = || {
            let message = format!("date/time field value out of range: \"{text}\"");
            Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
        };
        let mut hour = self.hour;
        if self.clock12 {
            if !(1..=12).contains(&hour) {
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(malformed(message).hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match self.afternoon {
                Some(true) if hour < 12 => hour += 12,
                Some(false) if hour == 12 => hour = 0,
                _ => {}
            }
        }
        let (mut minute, mut second) = (self.minute, self.second);
        if let Some(all) = self.second_of_day {
            (hour, minute, second) = (all / 3600, all / 60 % 60, all % 60);
        }
        let clock = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        if !clock || !(0..SECOND_US).contains(&self.micros) {
            return Err(missing());
        }
        let time_us = hour * HOUR_US + minute * MINUTE_US + second * SECOND_US + self.micros;
        let days = self.days(&missing)?;
        let offset = self
            .zone_hours
            .map(|hours| self.zone_sign * i32::try_from(hours * 3600 + self.zone_minutes * 60).unwrap_or(0));
        if offset.is_some_and(|offset| i64::from(offset.abs()) * SECOND_US >= DAY_US) {
            return Err(missing());
        }
        Ok(Read { days, time_us, offset })
    }

    fn days(&self, missing: &dyn Fn() -> Plain) -> Result<i64, Plain> {
        if let Some(julian) = self.julian {
            return Ok(julian - JULIAN_1970);
        }
        let year = match (self.year, self.century) {
            (Some(year), Some(century)) if (0..100).contains(&(year % 100)) && year >= 1900 => {
                // Of a year of two digits, the century is told.
                if year % 100 == 0 { century * 100 } else { (century - 1) * 100 + year % 100 }
            }
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            (None, None) => 0,
        };
        let astronomical = |year: i64| if self.bc { 1 - year } else { year };
        if let Some(iso_year) = self.iso_year {
            let start = |year: i64| {
                let fourth = days_from_civil(year, 1, 4);
                fourth - (fourth + 3).rem_euclid(7)
            };
            let first = start(astronomical(iso_year));
            if let Some(day) = self.iso_day_of_year {
                return Ok(first + day - 1);
            }
            let week = self.iso_week.unwrap_or(1);
            if !(1..=53).contains(&week) {
                return Err(missing());
            }
            let day = self.iso_day.or(self.day_of_week.map(|day| if day == 1 { 7 } else { day - 1 })).unwrap_or(1);
            return Ok(first + (week - 1) * 7 + day - 1);
        }
        let year = if year == 0 { 0 } else { astronomical(year) };
        if let Some(day) = self.day_of_year {
            let length = if month_length(year, 2) == 29 { 366 } else { 365 };
            if !(1..=length).contains(&day) {
                return Err(missing());
            }
            return Ok(days_from_civil(year, 1, 1) + day - 1);
        }
        if let Some(week) = self.week {
            return Ok(days_from_civil(year, 1, 1) + (week - 1) * 7);
        }
        let month = self.month.unwrap_or(1);
        let day = self.day.or(self.week_of_month.map(|week| (week - 1) * 7 + 1)).unwrap_or(1);
        let (month, day) = (u32::try_from(month).unwrap_or(0), u32::try_from(day).unwrap_or(0));
        let valid = (1..=12).contains(&month) && (1..=month_length(year, month)).contains(&day);
        let days = days_from_civil(year, month, day);
        if valid && (-4713..=5_874_897).contains(&civil(days).0) { Ok(days) } else { Err(missing()) }
    }
}

fn count_from_1(place: usize) -> i64 {
    i64::try_from(place).map_or(1, |place| place + 1)
}
