//! Functions of strings of bytes.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::argument::{Bytea, Text};
use super::super::{f1, f2, f3, f4};
use super::{Named, bounds, invalid_parameter};
use crate::error::{Plain, SqlState};

/// Characters of a line of base64.
const LINE: usize = 76;

fn encoded(bytes: &[u8], form: &str) -> Result<String, Plain> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => Ok(bytes.iter().fold(String::new(), |mut text, byte| {
            // Strings take all that is written to them.
            let _written = write!(text, "{byte:02x}");
            text
        })),
        "base64" => {
            let text = STANDARD.encode(bytes);
            let lines = text.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).into_owned());
            Ok(lines.collect::<Vec<_>>().join("\n"))
        }
        "escape" => Ok(bytes
            .iter()
            .map(|byte| match byte {
                0 | 0x80.. => format!("\\{byte:03o}"),
                b'\\' => "\\\\".to_owned(),
                other => char::from(*other).to_string(),
            })
            .collect()),
        _ => Err(invalid_parameter(&format!("unrecognized encoding: \"{form}\""))),
    }
}

fn decoded(text: &str, form: &str) -> Result<Vec<u8>, Plain> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => {
            let mut nibbles = Vec::with_capacity(text.len());
            for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
                let bad = || invalid_parameter(&format!("invalid hexadecimal digit: \"{letter}\""));
                nibbles.push(letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(bad)?);
            }
            if nibbles.len() % 2 == 1 {
                return Err(invalid_parameter("invalid hexadecimal data: odd number of digits"));
            }
            Ok(nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect())
        }
        "base64" => {
            let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
            let malformed = |_| invalid_parameter("invalid base64 end sequence");
            STANDARD.decode(text).map_err(malformed)
        }
        "escape" => unescaped(text),
        _ => Err(invalid_parameter(&format!("unrecognized encoding: \"{form}\""))),
    }
}

fn unescaped(text: &str) -> Result<Vec<u8>, Plain> {
    let malformed = || Plain::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea");
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().ok_or_else(malformed)? {
            b'\\' => out.push(b'\\'),
            first @ b'0'..=b'3' => {
                let digits = [Some(first), bytes.next(), bytes.next()];
                let value = digits.into_iter().try_fold(0_u8, |value, digit| {
                    let digit = digit.filter(|digit| (b'0'..=b'7').contains(digit))?;
                    Some(value << 3 | (digit - b'0'))
                });
                out.push(value.ok_or_else(malformed)?);
            }
            _ => return Err(malformed()),
        }
    }
    Ok(out)
}

fn part(bytes: &[u8], start: i32, length: Option<i32>) -> Result<Vec<u8>, Plain> {
    let (first, end) = bounds(start, length)?;
    let end = end.min(bytes.len());
    Ok(bytes.get(first.min(end)..end).unwrap_or_default().to_vec())
}

fn overlaid(bytes: &[u8], with: &[u8], start: i32, length: i32) -> Result<Vec<u8>, Plain> {
    if start <= 0 {
        return Err(Plain::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let behind = start.saturating_add(length);
    let mut out = part(bytes, 1, Some(start - 1))?;
    out.extend_from_slice(with);
    out.extend(part(bytes, behind, None)?);
    Ok(out)
}

fn trimmed(bytes: &[u8], of: &[u8], left: bool, right: bool) -> Vec<u8> {
    let stays = |byte: &u8| !of.contains(byte);
    let first = if left { bytes.iter().position(stays).unwrap_or(bytes.len()) } else { 0 };
    let end = if right { bytes.iter().rposition(stays).map_or(first, |last| last + 1) } else { bytes.len() };
    bytes.get(first..end.max(first)).unwrap_or_default().to_vec()
}

fn place(bytes: &[u8], part: &[u8]) -> i32 {
    if part.is_empty() {
        return 1;
    }
    let found = bytes.windows(part.len()).position(|window| window == part);
    found.and_then(|at| i32::try_from(at + 1).ok()).unwrap_or(0)
}

fn out_of_range(at: i64, count: usize) -> Plain {
    let message = format!("index {at} out of valid range, 0..{}", i64::try_from(count).unwrap_or(0) - 1);
    Plain::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

fn byte_at(bytes: &[u8], at: i32) -> Result<usize, Plain> {
    let place = usize::try_from(at).ok().filter(|place| *place < bytes.len());
    place.ok_or_else(|| out_of_range(at.into(), bytes.len()))
}

/// The byte of a bit, and the bit in it.
fn bit_at(bytes: &[u8], at: i64) -> Result<(usize, u8), Plain> {
    let all = bytes.len() * 8;
    let place = usize::try_from(at).ok().filter(|place| *place < all).ok_or_else(|| out_of_range(at, all))?;
    Ok((place / 8, 1 << (place % 8)))
}

fn with_byte(bytes: &[u8], place: usize, change: impl FnOnce(u8) -> u8) -> Vec<u8> {
    let mut out = bytes.to_vec();
    if let Some(byte) = out.get_mut(place) {
        *byte = change(*byte);
    }
    out
}

/// Text of an encoding as one of another; only UTF-8 is known here.
fn utf8(name: &str) -> Result<(), Plain> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode") {
        return Ok(());
    }
    Err(crate::error::unsupported(format!("encoding \"{name}\"")))
}

#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn functions() -> Vec<Named> {
    let length = |bytes: &[u8]| i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    vec![
        ("encode", f2::<Bytea, Text, _>(|_, bytes, form| encoded(bytes, form))),
        ("decode", f2::<Text, Text, _>(|_, text, form| decoded(text, form))),
        ("length", f1::<Bytea, _>(move |_, bytes| Ok(length(bytes)))),
        ("length", f1::<Text, _>(|_, text| Ok(i32::try_from(text.chars().count()).unwrap_or(i32::MAX)))),
        ("octet_length", f1::<Bytea, _>(move |_, bytes| Ok(length(bytes)))),
        ("octet_length", f1::<Text, _>(move |_, text| Ok(length(text.as_bytes())))),
        ("bit_length", f1::<Bytea, _>(move |_, bytes| Ok(length(bytes).saturating_mul(8)))),
        ("bit_length", f1::<Text, _>(move |_, text| Ok(length(text.as_bytes()).saturating_mul(8)))),
        ("substr", f2::<Bytea, i32, _>(|_, bytes, start| part(bytes, start, None))),
        ("substr", f3::<Bytea, i32, i32, _>(|_, bytes, start, length| part(bytes, start, Some(length)))),
        ("substring", f2::<Bytea, i32, _>(|_, bytes, start| part(bytes, start, None))),
        ("substring", f3::<Bytea, i32, i32, _>(|_, bytes, start, length| part(bytes, start, Some(length)))),
        (
            "overlay",
            f4::<Bytea, Bytea, i32, i32, _>(|_, bytes, with, start, length| overlaid(bytes, with, start, length)),
        ),
        (
            "overlay",
            f3::<Bytea, Bytea, i32, _>(move |_, bytes, with, start| overlaid(bytes, with, start, length(with))),
        ),
        (
            "overlay",
            f4::<Text, Text, i32, i32, _>(|_, text, with, start, length| {
                if start <= 0 {
                    return Err(Plain::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
                }
                let before = super::part(text, 1, Some(start - 1))?;
                Ok(before + with + &super::part(text, start.saturating_add(length), None)?)
            }),
        ),
        (
            "overlay",
            f3::<Text, Text, i32, _>(|_, text, with, start| {
                if start <= 0 {
                    return Err(Plain::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
                }
                let before = super::part(text, 1, Some(start - 1))?;
                let length = i32::try_from(with.chars().count()).unwrap_or(i32::MAX);
                Ok(before + with + &super::part(text, start.saturating_add(length), None)?)
            }),
        ),
        (
            "get_byte",
            f2::<Bytea, i32, _>(|_, bytes, at| Ok(bytes.get(byte_at(bytes, at)?).map_or(0, |b| i32::from(*b)))),
        ),
        (
            "set_byte",
            f3::<Bytea, i32, i32, _>(|_, bytes, at, value| {
                let place = byte_at(bytes, at)?;
                Ok(with_byte(bytes, place, |_| value.to_le_bytes()[0]))
            }),
        ),
        (
            "get_bit",
            f2::<Bytea, i64, _>(|_, bytes, at| {
                let (place, bit) = bit_at(bytes, at)?;
                Ok(i32::from(bytes.get(place).is_some_and(|byte| byte & bit != 0)))
            }),
        ),
        (
            "set_bit",
            f3::<Bytea, i64, i32, _>(|_, bytes, at, value| {
                let (place, bit) = bit_at(bytes, at)?;
                if !(0..=1).contains(&value) {
                    return Err(invalid_parameter("new bit must be 0 or 1"));
                }
                Ok(with_byte(bytes, place, |byte| if value == 1 { byte | bit } else { byte & !bit }))
            }),
        ),
        (
            "bit_count",
            f1::<Bytea, _>(|_, bytes| Ok(bytes.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>())),
        ),
        ("reverse", f1::<Bytea, _>(|_, bytes| Ok(bytes.iter().rev().copied().collect::<Vec<u8>>()))),
        ("reverse", f1::<Text, _>(|_, text| Ok(text.chars().rev().collect::<String>()))),
        ("strpos", f2::<Bytea, Bytea, _>(|_, bytes, part| Ok(place(bytes, part)))),
        (
            "strpos",
            f2::<Text, Text, _>(|_, text, part| {
                let found = text.find(part).map(|at| text.get(..at).unwrap_or_default().chars().count() + 1);
                Ok(i32::try_from(found.unwrap_or(0)).unwrap_or(i32::MAX))
            }),
        ),
        ("btrim", f2::<Bytea, Bytea, _>(|_, bytes, of| Ok(trimmed(bytes, of, true, true)))),
        ("ltrim", f2::<Bytea, Bytea, _>(|_, bytes, of| Ok(trimmed(bytes, of, true, false)))),
        ("rtrim", f2::<Bytea, Bytea, _>(|_, bytes, of| Ok(trimmed(bytes, of, false, true)))),
        ("btrim", f2::<Text, Text, _>(|_, text, of| Ok(text.trim_matches(|c| of.contains(c)).to_owned()))),
        ("ltrim", f2::<Text, Text, _>(|_, text, of| Ok(text.trim_start_matches(|c| of.contains(c)).to_owned()))),
        ("rtrim", f2::<Text, Text, _>(|_, text, of| Ok(text.trim_end_matches(|c| of.contains(c)).to_owned()))),
        ("btrim", f1::<Text, _>(|_, text| Ok(text.trim_matches(' ').to_owned()))),
        ("ltrim", f1::<Text, _>(|_, text| Ok(text.trim_start_matches(' ').to_owned()))),
        ("rtrim", f1::<Text, _>(|_, text| Ok(text.trim_end_matches(' ').to_owned()))),
        (
            "convert_from",
            f2::<Bytea, Text, _>(|_, bytes, encoding| {
                utf8(encoding)?;
                crate::encode::utf8(bytes)
                    .map(ToOwned::to_owned)
                    .map_err(|error| Plain::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, error.to_string()))
            }),
        ),
        (
            "convert_to",
            f2::<Text, Text, _>(|_, text, encoding| {
                utf8(encoding)?;
                Ok(text.as_bytes().to_vec())
            }),
        ),
    ]
}
