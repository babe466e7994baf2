//! Functions of text and of strings of bytes.

mod bytes;
mod regex;

use super::argument::{OrNull, Text};
use super::{Overload, f1, f2, f3};
use crate::error::{Plain, SqlState};

type Named = (&'static str, Overload);

/// All of them.
pub(super) fn functions() -> Vec<Named> {
    let mut all = text();
    all.extend(regex::functions());
    all.extend(bytes::functions());
    all
}

fn invalid_parameter(message: &str) -> Plain {
    Plain::new(SqlState::INVALID_PARAMETER_VALUE, message.to_owned())
}

/// Where a part begins and ends, both counted from 0, of a length without a part before the first place. `22011`
fn bounds(start: i32, length: Option<i32>) -> Result<(usize, usize), Plain> {
    let first = i64::from(start) - 1;
    let end = match length {
        None => i64::MAX,
        Some(length) if length < 0 => {
            return Err(Plain::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(length) => first + i64::from(length),
    };
    let place = |at: i64| usize::try_from(at.max(0)).unwrap_or(usize::MAX);
    Ok((place(first), place(end)))
}

fn part(text: &str, start: i32, length: Option<i32>) -> Result<String, Plain> {
    let (first, end) = bounds(start, length)?;
    Ok(text.chars().skip(first).take(end.saturating_sub(first)).collect())
}

/// A character by its code. `54000`
fn character(code: i32) -> Result<String, Plain> {
    let refused = |message: String| Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
    match code {
        0 => Err(refused("null character not permitted".to_owned())),
        ..0 => Err(refused("character number must be positive".to_owned())),
        _ => {
            let found = u32::try_from(code).ok().and_then(char::from_u32);
            let missing = || refused(format!("requested character too large for encoding: {code}"));
            found.map(String::from).ok_or_else(missing)
        }
    }
}

fn split_part(text: &str, delimiter: &str, number: i32) -> Result<String, Plain> {
    if number == 0 {
        return Err(invalid_parameter("field position must not be zero"));
    }
    let place = usize::try_from(number.unsigned_abs() - 1).unwrap_or(usize::MAX);
    if delimiter.is_empty() {
        return Ok(if place == 0 { text.to_owned() } else { String::new() });
    }
    let found = if number > 0 { text.split(delimiter).nth(place) } else { text.rsplit(delimiter).nth(place) };
    Ok(found.unwrap_or_default().to_owned())
}

/// `unistr`: `\XXXX`, `\+XXXXXX`, `\uXXXX` and `\UXXXXXXXX` are characters. `42601`
fn unescaped(text: &str) -> Result<String, Plain> {
    let invalid = || {
        Plain::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(next) = after.strip_prefix('\\') {
            out.push('\\');
            rest = next;
            continue;
        }
        let (digits, length) = match after.chars().next() {
            Some('+') => (after.get(1..), 6),
            Some('u') => (after.get(1..), 4),
            Some('U') => (after.get(1..), 8),
            _ => (Some(after), 4),
        };
        let (code, next) = digits.and_then(|digits| digits.split_at_checked(length)).ok_or_else(invalid)?;
        let code = u32::from_str_radix(code, 16).ok().filter(|code| *code != 0).and_then(char::from_u32);
        out.push(code.ok_or_else(invalid)?);
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

fn text() -> Vec<Named> {
    vec![
        ("substr", f2::<Text, i32, _>(|_, text, start| part(text, start, None))),
        ("substr", f3::<Text, i32, i32, _>(|_, text, start, length| part(text, start, Some(length)))),
        ("substring", f2::<Text, i32, _>(|_, text, start| part(text, start, None))),
        ("substring", f3::<Text, i32, i32, _>(|_, text, start, length| part(text, start, Some(length)))),
        ("chr", f1::<i32, _>(|_, code| character(code))),
        ("split_part", f3::<Text, Text, i32, _>(|_, text, delimiter, number| split_part(text, delimiter, number))),
        ("unistr", f1::<Text, _>(|_, text| unescaped(text))),
        ("casefold", f1::<Text, _>(|_, text| Ok(text.to_lowercase()))),
        ("string_to_table", f2::<Text, OrNull<Text>, _>(|_, text, delimiter| Ok(split(text, delimiter, None)))),
        (
            "string_to_table",
            f3::<Text, OrNull<Text>, OrNull<Text>, _>(|_, text, delimiter, null| Ok(split(text, delimiter, null))),
        ),
        ("string_to_array", f2::<Text, OrNull<Text>, _>(|_, text, delimiter| Ok(split(text, delimiter, None)))),
        (
            "string_to_array",
            f3::<Text, OrNull<Text>, OrNull<Text>, _>(|_, text, delimiter, null| Ok(split(text, delimiter, null))),
        ),
    ]
}

/// Without a delimiter, the characters.
fn split(text: &str, delimiter: Option<&str>, null: Option<&str>) -> Vec<Option<String>> {
    let kept = |part: &str| (null != Some(part)).then(|| part.to_owned());
    match (text, delimiter) {
        ("", _) => Vec::new(),
        (text, None) => text.chars().map(|letter| kept(&letter.to_string())).collect(),
        (text, Some("")) => vec![kept(text)],
        (text, Some(delimiter)) => text.split(delimiter).map(kept).collect(),
    }
}
