//! Dates and times: days and microseconds to and from PostgreSQL's ISO text.
//!
//! Calendar arithmetic after Howard Hinnant, "chrono-compatible low-level date algorithms".

use crate::setting::Zone;

/// Days from Unix's epoch to PostgreSQL's.
pub const DAYS_1970_TO_2000: i32 = 10_957;
/// Microseconds from Unix's epoch to PostgreSQL's.
pub const MICROS_1970_TO_2000: i64 = 946_684_800_000_000;
/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// Year (astronomical: 0 is 1 BC), month, day of a day count since 1970-01-01.
pub fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// The inverse of [`civil`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let shifted = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let doy = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn two(out: &mut Vec<u8>, value: i64) {
    out.push(b'0' + u8::try_from(value / 10 % 10).unwrap_or(0));
    out.push(b'0' + u8::try_from(value % 10).unwrap_or(0));
}

fn year(out: &mut Vec<u8>, year: i64) {
    if year < 10_000 {
        two(out, year / 100);
        two(out, year % 100);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    }
}

/// Writes the date part and tells whether ` BC` must follow at the end.
fn date_part(out: &mut Vec<u8>, days: i64) -> bool {
    let (y, m, d) = civil(days);
    let bc = y <= 0;
    year(out, if bc { 1 - y } else { y });
    out.push(b'-');
    two(out, i64::from(m));
    out.push(b'-');
    two(out, i64::from(d));
    bc
}

fn time_part(out: &mut Vec<u8>, micros: i64) {
    let seconds = micros / 1_000_000;
    two(out, seconds / 3600);
    out.push(b':');
    two(out, seconds / 60 % 60);
    out.push(b':');
    two(out, seconds % 60);
    fraction(out, micros % 1_000_000);
}

/// `.ffffff` without trailing zeros.
pub(super) fn fraction(out: &mut Vec<u8>, micros: i64) {
    if micros == 0 {
        return;
    }
    out.push(b'.');
    let mut scale = 100_000;
    let mut rest = micros;
    while rest > 0 {
        out.push(b'0' + u8::try_from(rest / scale).unwrap_or(0));
        rest %= scale;
        scale /= 10;
    }
}

/// A date: days since 1970.
pub(super) fn write_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            if date_part(out, i64::from(days)) {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// A time of day: microseconds since midnight.
pub(super) fn write_time(out: &mut Vec<u8>, micros: i64) {
    time_part(out, micros);
}

/// A timestamp: microseconds since 1970, with the zone's offset if one is given.
pub(super) fn write_timestamp(out: &mut Vec<u8>, micros: i64, zone: Option<Zone>) {
    match micros {
        i64::MAX => return out.extend_from_slice(b"infinity"),
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let offset = zone.map(|zone| zone.offset_at(micros));
    let local = micros.saturating_add(i64::from(offset.unwrap_or(0)) * 1_000_000);
    let bc = date_part(out, local.div_euclid(DAY_US));
    out.push(b' ');
    time_part(out, local.rem_euclid(DAY_US));
    if let Some(offset) = offset {
        write_offset(out, offset);
    }
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// An offset from UTC, in seconds: `+02`, `-03:30`.
pub(super) fn write_offset(out: &mut Vec<u8>, offset: i32) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let offset = i64::from(offset.abs());
    two(out, offset / 3600);
    if offset % 3600 != 0 {
        out.push(b':');
        two(out, offset / 60 % 60);
        if offset % 60 != 0 {
            out.push(b':');
            two(out, offset % 60);
        }
    }
}

/// What went wrong with a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// 22007
    Syntax,
    /// 22008
    OutOfRange,
}

/// Reads `[y]yyyy-mm-dd[ BC]`, `yyyymmdd`, `infinity`, `epoch`: days since 1970.
pub fn parse_date(text: &str) -> Result<i32, Malformed> {
    if let Some(days) = plain_date(text) {
        return i32::try_from(days).map_err(|_too_large| Malformed::OutOfRange);
    }
    match special(text) {
        Some(Special::Infinity) => return Ok(i32::MAX),
        Some(Special::MinusInfinity) => return Ok(i32::MIN),
        Some(Special::Epoch) => return Ok(0),
        None => {}
    }
    let (days, rest) = leading_date(text)?;
    // A time after the date is allowed and dropped.
    let (time, offset) = split_offset(rest);
    if !time.is_empty() {
        parse_time(time)?;
    }
    zone_of(half_day(offset).1, Zone::UTC)?;
    i32::try_from(days).map_err(|_too_large| Malformed::OutOfRange)
}

/// Reads `yyyy-mm-dd`, the form nearly every date comes in. Anything else, and what is no date, takes the long way.
fn plain_date(text: &str) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *<&[u8; 10]>::try_from(text.as_bytes()).ok()? else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    let (year, month, day) = (i64::from(number(&[y1, y2, y3, y4])?), number(&[m1, m2])?, number(&[d1, d2])?);
    let valid = year > 0 && (1..=12).contains(&month) && day > 0 && day <= month_length(year, month);
    valid.then(|| days_from_civil(year, month, day))
}

/// The months, in English.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The days of a week, in English.
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Reads a date with the month's name, such as `Jan 5, 2024` or `5-Jan-2024`; gives its day count and what follows.
fn worded_date(text: &str, bc: bool) -> Option<Result<(i64, &str), Malformed>> {
    let named = |word: &str, names: &[&str]| {
        // Three letters are enough, and September may have four.
        let word = if word.eq_ignore_ascii_case("sept") { "sep" } else { word };
        let begins = |name: &&str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        names.iter().position(|name| word.len() >= 3 && begins(name))
    };
    let (mut month, mut numbers, mut rest) = (None, Vec::new(), text);
    while month.is_none() || numbers.len() < 2 {
        rest = rest.trim_start_matches([' ', ',', '-', '.', '/']);
        let is_number = rest.starts_with(|first: char| first.is_ascii_digit());
        let end = rest.find(|c: char| if is_number { !c.is_ascii_digit() } else { !c.is_ascii_alphabetic() });
        let (word, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        if is_number {
            numbers.push(word);
        } else if let Some(found) = named(word, &MONTHS).filter(|_| month.is_none()) {
            month = Some(found);
        } else {
            named(word, &DAYS)?;
        }
        rest = after;
    }
    let [a, b] = numbers.as_slice() else { return None };
    let (year, day) = if a.len() >= 3 { (a, b) } else { (b, a) };
    let (Ok(mut number), Ok(day)) = (year.parse::<i64>(), day.parse::<u32>()) else {
        return Some(Err(Malformed::Syntax));
    };
    if year.len() <= 2 && !bc {
        number += if number < 70 { 2000 } else { 1900 };
    }
    let number = if bc { 1 - number } else { number };
    let month = u32::try_from(month?).ok()? + 1;
    if day == 0 || day > month_length(number, month) || !(-4713..=5_874_897).contains(&number) {
        return Some(Err(Malformed::OutOfRange));
    }
    Some(Ok((days_from_civil(number, month, day), rest.trim_start())))
}

/// `AM` or `PM` that an offset begins with: whether it is the latter; and the offset itself.
pub(super) fn half_day(offset: &str) -> (Option<bool>, &str) {
    let (word, rest) = offset.split_at_checked(2).unwrap_or((offset, ""));
    if !rest.is_empty() && !rest.starts_with(|next: char| !next.is_ascii_alphanumeric()) {
        return (None, offset);
    }
    match word.to_ascii_lowercase().as_str() {
        "am" => (Some(false), rest.trim()),
        "pm" => (Some(true), rest.trim()),
        _ => (None, offset),
    }
}

/// A time of day on a clock of 12 hours.
fn on_half_day(micros: i64, afternoon: Option<bool>) -> Result<i64, Malformed> {
    const HOUR_US: i64 = 3_600_000_000;
    let hour = micros / HOUR_US;
    match afternoon {
        None => Ok(micros),
        Some(_) if hour > 12 => Err(Malformed::OutOfRange),
        Some(true) if hour < 12 => Ok(micros + 12 * HOUR_US),
        Some(false) if hour == 12 => Ok(micros - 12 * HOUR_US),
        Some(_) => Ok(micros),
    }
}

/// Reads the date a text starts with; gives its day count and what follows.
pub(super) fn leading_date(text: &str) -> Result<(i64, &str), Malformed> {
    let mut text = text.trim();
    let era = text.len().checked_sub(3).and_then(|at| text.split_at_checked(at));
    let bc = match era {
        Some((before, era)) if era.eq_ignore_ascii_case(" bc") => {
            text = before.trim_end();
            true
        }
        _ => false,
    };
    if text.get(..4).is_some_and(|start| start.bytes().any(|byte| byte.is_ascii_alphabetic()))
        || text.get(4..8).is_some_and(|next| next.bytes().filter(u8::is_ascii_alphabetic).count() >= 2)
    {
        return worded_date(text, bc).unwrap_or(Err(Malformed::Syntax));
    }
    let (date, rest) = match text.find([' ', 'T', 't']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default().trim_start()),
        None => (text, ""),
    };
    Ok((date_days(date, bc)?, rest))
}

enum Special {
    Infinity,
    MinusInfinity,
    Epoch,
}

fn special(text: &str) -> Option<Special> {
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => Some(Special::Infinity),
        "-infinity" => Some(Special::MinusInfinity),
        "epoch" => Some(Special::Epoch),
        _ => None,
    }
}

/// Reads a timestamp: microseconds since 1970. With a zone, local times without an offset are in it, and offsets count;
/// without one, an offset is read and ignored, as PostgreSQL does.
pub fn parse_timestamp(text: &str, zone: Option<Zone>) -> Result<i64, Malformed> {
    match special(text) {
        Some(Special::Infinity) => return Ok(i64::MAX),
        Some(Special::MinusInfinity) => return Ok(i64::MIN),
        Some(Special::Epoch) => return Ok(0),
        None => {}
    }
    let (days, rest) = leading_date(text)?;
    let (time, offset) = split_offset(rest);
    let (afternoon, offset) = half_day(offset);
    let micros = if time.is_empty() { 0 } else { on_half_day(parse_time(time)?, afternoon)? };
    let local = days.checked_mul(DAY_US).and_then(|day| day.checked_add(micros)).ok_or(Malformed::OutOfRange)?;
    let zone_given = zone_of(offset, zone.unwrap_or(Zone::UTC))?;
    if zone.is_none() {
        return Ok(local);
    }
    zone_given.to_utc(local).ok_or(Malformed::OutOfRange)
}

/// The zone that an offset means; `zone` if it is empty.
pub(super) fn zone_of(offset: &str, zone: Zone) -> Result<Zone, Malformed> {
    match offset {
        "" => Ok(zone),
        "Z" | "z" => Ok(Zone::UTC),
        name if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Zone::named(name).ok_or(Malformed::Syntax)
        }
        other => Zone::offset(&colon(other)).ok_or(Malformed::Syntax),
    }
}

/// `+0530` as `+05:30`.
fn colon(offset: &str) -> String {
    match (offset.len(), offset.get(..3), offset.get(3..)) {
        (5, Some(hours), Some(minutes)) if offset.starts_with(['+', '-']) && !offset.contains(':') => {
            format!("{hours}:{minutes}")
        }
        _ => offset.to_owned(),
    }
}

/// Separates `12:00:00` from `+02`, `Z`, ` Europe/Rome`.
pub(super) fn split_offset(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'))).unwrap_or(text.len());
    let (time, offset) = text.split_at_checked(at).unwrap_or((text, ""));
    (time, offset.trim())
}

fn date_days(date: &str, bc: bool) -> Result<i64, Malformed> {
    let number = |text: &str| text.parse::<i64>().map_err(|_not_a_number| Malformed::Syntax);
    let (y, m, d) = if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) {
        (
            number(date.get(..4).unwrap_or_default())?,
            number(date.get(4..6).unwrap_or_default())?,
            number(date.get(6..).unwrap_or_default())?,
        )
    } else {
        let separator = if date.contains('/') { '/' } else { '-' };
        let mut parts = date.splitn(3, separator);
        let (Some(a), Some(b), Some(c)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::Syntax);
        };
        if a.is_empty() || ![a, b, c].iter().all(|part| part.bytes().all(|digit| digit.is_ascii_digit())) {
            return Err(Malformed::Syntax);
        }
        if separator == '/' || (a.len() <= 2 && c.len() >= 4) {
            // DateStyle's order MDY
            if a.len() >= 3 { (number(a)?, number(b)?, number(c)?) } else { (number(c)?, number(a)?, number(b)?) }
        } else {
            (number(a)?, number(b)?, number(c)?)
        }
    };
    let y = if bc { 1 - y } else { y };
    let (month, day) = (u32::try_from(m).unwrap_or(0), u32::try_from(d).unwrap_or(0));
    if !(1..=12).contains(&month)
        || day == 0
        || day > month_length(y, month)
        || (!bc && y == 0)
        || !(-4713..=5_874_897).contains(&y)
    {
        return Err(Malformed::OutOfRange);
    }
    Ok(days_from_civil(y, month, day))
}

/// How many days a month has.
pub fn month_length(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads a time of day: microseconds since midnight. A day before it and an offset count for nothing.
pub(super) fn parse_local_time(text: &str) -> Result<i64, Malformed> {
    let text = match leading_date(text.trim()) {
        Ok((_, time)) if !time.is_empty() => time,
        _ => text,
    };
    if text.trim().eq_ignore_ascii_case("allballs") {
        return Ok(0);
    }
    let (time, offset) = split_offset(text.trim());
    let (afternoon, offset) = half_day(offset);
    zone_of(offset, Zone::UTC)?;
    on_half_day(parse_time(time)?, afternoon)
}

/// Reads `hh:mm[:ss[.ffffff]]`: microseconds since midnight, rounded.
pub fn parse_time(text: &str) -> Result<i64, Malformed> {
    let mut parts = text.trim().split(':');
    let number = |part: Option<&str>| -> Result<i64, Malformed> {
        let part = part.ok_or(Malformed::Syntax)?;
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Malformed::Syntax);
        }
        part.parse().map_err(|_not_a_number| Malformed::Syntax)
    };
    let hours = number(parts.next())?;
    let minutes = number(parts.next())?;
    let (seconds, micros) = match parts.next() {
        None => (0, 0),
        Some(part) => {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            if !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Malformed::Syntax);
            }
            let mut micros: i64 = 0;
            for index in 0..6 {
                micros = micros * 10 + fraction.as_bytes().get(index).map_or(0, |b| i64::from(b - b'0'));
            }
            let round = i64::from(fraction.as_bytes().get(6).is_some_and(|b| *b >= b'5'));
            (number(Some(whole))?, micros + round)
        }
    };
    if parts.next().is_some() {
        return Err(Malformed::Syntax);
    }
    let total = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + micros;
    if hours > 24 || minutes > 59 || seconds > 60 || total > DAY_US {
        return Err(Malformed::OutOfRange);
    }
    Ok(total)
}

/// A timestamp as text.
pub(crate) fn timestamp_text(micros: i64, zone: Option<Zone>) -> String {
    let mut out = Vec::new();
    write_timestamp(&mut out, micros, zone);
    String::from_utf8_lossy(&out).into_owned()
}
