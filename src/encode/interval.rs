//! Intervals: months, days and nanoseconds to and from PostgreSQL's text.

use arrow::datatypes::IntervalMonthDayNano;

use super::datetime::{Malformed, fraction};

/// Style `postgres`: `1 year 2 mons 3 days 04:05:06.7`.
pub(super) fn write_postgres(out: &mut Vec<u8>, value: IntervalMonthDayNano) {
    let (years, months, days) = (value.months / 12, value.months % 12, value.days);
    let micros = value.nanoseconds / 1000;
    let mut first = true;
    let mut negative_before = false;
    for (number, unit) in [(years, "year"), (months, "mon"), (days, "day")] {
        if number == 0 {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        // A positive part after a negative one carries its sign.
        if negative_before && number > 0 {
            out.push(b'+');
        }
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if number != 1 {
            out.push(b's');
        }
        first = false;
        negative_before = number < 0;
    }
    if micros == 0 && !first {
        return;
    }
    if !first {
        out.push(b' ');
    }
    if micros < 0 {
        out.push(b'-');
    } else if negative_before {
        out.push(b'+');
    }
    clock(out, micros.unsigned_abs());
}

fn clock(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    for (position, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
        if position > 0 {
            out.push(b':');
        }
        if part < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(itoa::Buffer::new().format(part).as_bytes());
    }
    fraction(out, i64::try_from(micros % 1_000_000).unwrap_or(0));
}

/// Where others have text for it: a form that Arrow's cast, DuckDB and PostgreSQL all read.
pub(crate) fn write_stored(out: &mut Vec<u8>, value: IntervalMonthDayNano) {
    let (micros, sign) = (value.nanoseconds / 1000, if value.nanoseconds < 0 { "-" } else { "" });
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let text = format!("{} mons {} days {sign}{seconds}.{fraction:06} secs", value.months, value.days);
    out.extend_from_slice(text.as_bytes());
}

/// Style `iso_8601`: `P1Y2M3DT4H5M6.7S`.
pub(super) fn write_iso_8601(out: &mut Vec<u8>, value: IntervalMonthDayNano) {
    let micros = value.nanoseconds / 1000;
    if value.months == 0 && value.days == 0 && micros == 0 {
        return out.extend_from_slice(b"PT0S");
    }
    out.push(b'P');
    let put = |out: &mut Vec<u8>, number: i64, unit: u8| {
        if number != 0 {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.push(unit);
        }
    };
    put(out, i64::from(value.months / 12), b'Y');
    put(out, i64::from(value.months % 12), b'M');
    put(out, i64::from(value.days), b'D');
    if micros == 0 {
        return;
    }
    out.push(b'T');
    let seconds = micros / 1_000_000;
    put(out, seconds / 3600, b'H');
    put(out, seconds / 60 % 60, b'M');
    let (rest, fractional) = (seconds % 60, micros % 1_000_000);
    if rest != 0 || fractional != 0 {
        if micros < 0 {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(rest.unsigned_abs()).as_bytes());
        fraction(out, fractional.abs());
        out.push(b'S');
    }
}

/// Reads an interval in PostgreSQL's verbose and short forms, `hh:mm:ss`, and ISO 8601 with designators.
pub fn parse_interval(text: &str) -> Result<IntervalMonthDayNano, Malformed> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix('P') {
        return parse_iso(iso);
    }
    let lower = text.to_ascii_lowercase();
    let (body, negate) = match lower.strip_suffix("ago") {
        Some(body) => (body.trim_end().to_owned(), true),
        None => (lower, false),
    };
    let mut total = Parts::default();
    let mut tokens = tokens(body.trim_start_matches('@'))?.into_iter().peekable();
    if tokens.peek().is_none() {
        return Err(Malformed::Syntax);
    }
    while let Some(token) = tokens.next() {
        match token {
            Token::Clock(micros) => total.micros += micros,
            Token::Number(number) => match tokens.next() {
                Some(Token::Word(unit)) => total.add(number, &unit)?,
                // A bare number at the end counts seconds.
                None => total.add(number, "second")?,
                Some(Token::Clock(micros)) => {
                    total.add(number, "day")?;
                    total.micros += if number < 0.0 { -micros } else { micros };
                }
                Some(Token::Number(_)) => return Err(Malformed::Syntax),
            },
            Token::Word(_) => return Err(Malformed::Syntax),
        }
    }
    total.finish(negate)
}

#[derive(Debug)]
enum Token {
    Number(f64),
    Clock(f64),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let numeric = rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        let end = if numeric {
            rest.char_indices()
                .skip(1)
                .find(|(_, c)| !(c.is_ascii_digit() || matches!(c, '.' | ':')))
                .map_or(rest.len(), |(at, _)| at)
        } else {
            rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len())
        };
        let (token, tail) =
            rest.split_at_checked(end).filter(|(token, _)| !token.is_empty()).ok_or(Malformed::Syntax)?;
        tokens.push(if !numeric {
            Token::Word(token.to_owned())
        } else if token.contains(':') {
            Token::Clock(clock_micros(token)?)
        } else {
            Token::Number(token.parse().map_err(|_not_a_number| Malformed::Syntax)?)
        });
        rest = tail.trim_start();
    }
    Ok(tokens)
}

fn clock_micros(text: &str) -> Result<f64, Malformed> {
    let (sign, text) = match text.split_at_checked(1) {
        Some(("-", rest)) => (-1.0, rest),
        Some(("+", rest)) => (1.0, rest),
        _ => (1.0, text),
    };
    let mut parts = text.split(':').map(|part| part.parse::<f64>().map_err(|_not_a_number| Malformed::Syntax));
    let hours = parts.next().ok_or(Malformed::Syntax)??;
    let minutes = parts.next().ok_or(Malformed::Syntax)??;
    let seconds = parts.next().transpose()?.unwrap_or(0.0);
    if parts.next().is_some() {
        return Err(Malformed::Syntax);
    }
    if minutes >= 60.0 || seconds >= 61.0 {
        return Err(Malformed::OutOfRange);
    }
    Ok(sign * ((hours * 3600.0 + minutes * 60.0 + seconds) * 1e6).round())
}

#[derive(Default)]
struct Parts {
    months: f64,
    days: f64,
    micros: f64,
}

impl Parts {
    /// Adds a number of units; fractions spill into the smaller parts with 30-day months, as in PostgreSQL.
    fn add(&mut self, number: f64, unit: &str) -> Result<(), Malformed> {
        let months = |parts: &mut Self, months: f64| {
            let whole = months.trunc();
            parts.months += whole;
            let days = ((months - whole) * 30.0 * 1e9).round() / 1e9;
            parts.days += days.trunc();
            parts.micros += (days - days.trunc()) * 86_400e6;
        };
        let days = |parts: &mut Self, days: f64| {
            parts.days += days.trunc();
            parts.micros += ((days - days.trunc()) * 86_400e6).round();
        };
        match unit {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => self.micros += number,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => self.micros += number * 1e3,
            "second" | "seconds" | "sec" | "secs" | "s" => self.micros += (number * 1e6).round(),
            "minute" | "minutes" | "min" | "mins" | "m" => self.micros += number * 60e6,
            "hour" | "hours" | "hr" | "hrs" | "h" => self.micros += number * 3600e6,
            "day" | "days" | "d" => days(self, number),
            "week" | "weeks" | "w" => days(self, number * 7.0),
            "month" | "months" | "mon" | "mons" => months(self, number),
            // Fractions of years are whole months.
            "year" | "years" | "yr" | "yrs" | "y" => self.months += (number * 12.0).round(),
            "decade" | "decades" => self.months += (number * 120.0).round(),
            "century" | "centuries" => self.months += (number * 1200.0).round(),
            "millennium" | "millennia" => self.months += (number * 12_000.0).round(),
            _ => return Err(Malformed::Syntax),
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "ranges are checked first")]
    fn finish(self, negate: bool) -> Result<IntervalMonthDayNano, Malformed> {
        let sign = if negate { -1.0 } else { 1.0 };
        let (months, days, micros) = (sign * self.months, sign * self.days, sign * self.micros.round());
        if months.abs() > f64::from(i32::MAX) || days.abs() > f64::from(i32::MAX) || micros.abs() > 9.2e15 {
            return Err(Malformed::OutOfRange);
        }
        Ok(IntervalMonthDayNano::new(months as i32, days as i32, micros as i64 * 1000))
    }
}

fn parse_iso(text: &str) -> Result<IntervalMonthDayNano, Malformed> {
    let mut total = Parts::default();
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    for (section, units) in [
        (date, [('Y', "year"), ('M', "month"), ('W', "week"), ('D', "day")].as_slice()),
        (time, &[('H', "hour"), ('M', "minute"), ('S', "second")]),
    ] {
        let mut rest = section;
        while !rest.is_empty() {
            let at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or(Malformed::Syntax)?;
            let (number, tail) = rest.split_at_checked(at).ok_or(Malformed::Syntax)?;
            let designator = tail.chars().next().ok_or(Malformed::Syntax)?;
            let (_, unit) = units.iter().find(|(letter, _)| *letter == designator).ok_or(Malformed::Syntax)?;
            total.add(number.parse().map_err(|_not_a_number| Malformed::Syntax)?, unit)?;
            rest = tail.get(1..).unwrap_or_default();
        }
    }
    if text.is_empty() { Err(Malformed::Syntax) } else { total.finish(false) }
}
