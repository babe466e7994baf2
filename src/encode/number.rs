//! Numbers and booleans: PostgreSQL's text and binary forms.

use super::input::InputError;
use bytes::BufMut;

/// Writes a float8 as PostgreSQL does: the shortest digits that read back as the same number (`extra_float_digits` > 0),
/// or 15 + `extra_float_digits` significant ones.
pub(super) fn write_float8(out: &mut Vec<u8>, value: f64, extra_float_digits: i32) {
    if extra_float_digits > 0 {
        write_float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), |out| {
            shortest(out, &format!("{value:e}"), 15);
        });
    } else {
        let digits = usize::try_from(15 + extra_float_digits).unwrap_or(1).max(1);
        write_float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), |out| {
            rounded(out, &format!("{value:.*e}", digits - 1), digits);
        });
    }
}

/// As [`write_float8`], for float4: 6 digits when not the shortest.
pub(super) fn write_float4(out: &mut Vec<u8>, value: f32, extra_float_digits: i32) {
    if extra_float_digits > 0 {
        write_float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), |out| {
            shortest(out, &format!("{value:e}"), 6);
        });
    } else {
        let digits = usize::try_from(6 + extra_float_digits).unwrap_or(1).max(1);
        write_float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), |out| {
            rounded(out, &format!("{value:.*e}", digits - 1), digits);
        });
    }
}

fn write_float(out: &mut Vec<u8>, nan: bool, infinite: bool, negative: bool, finite: impl FnOnce(&mut Vec<u8>)) {
    if nan {
        out.extend_from_slice(b"NaN");
    } else if infinite {
        out.extend_from_slice(if negative { b"-Infinity" } else { b"Infinity" });
    } else {
        finite(out);
    }
}

/// From Rust's `d.ddde±x` to PostgreSQL's choice between plain and exponent notation: the latter below 1e-4 and from
/// 10^`plain_digits` on.
fn shortest(out: &mut Vec<u8>, scientific: &str, plain_digits: i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    let digits: Vec<u8> = mantissa.bytes().filter(|b| *b != b'.').collect();
    if exponent < -4 || exponent >= plain_digits {
        out.extend_from_slice(mantissa.as_bytes());
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        let size = exponent.unsigned_abs();
        if size < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(itoa::Buffer::new().format(size).as_bytes());
        return;
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', usize::try_from(-exponent - 1).unwrap_or(0)));
        out.extend_from_slice(&digits);
        return;
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(1);
    if digits.len() <= whole {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
    } else {
        let (integer, fraction) = digits.split_at(whole);
        out.extend_from_slice(integer);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// C's `%g`: trailing zeros go.
fn rounded(out: &mut Vec<u8>, scientific: &str, digits: usize) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let trimmed = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    shortest(out, &format!("{trimmed}e{exponent}"), i32::try_from(digits).unwrap_or(15));
}

/// Writes a decimal: `value` times ten to the power of minus `scale`.
pub(super) fn write_decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    let mut buffer = itoa::Buffer::new();
    write_decimal_digits(out, value < 0, buffer.format(value.unsigned_abs()), scale);
}

pub(super) fn write_decimal_digits(out: &mut Vec<u8>, negative: bool, digits: &str, scale: i8) {
    if negative {
        out.push(b'-');
    }
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits.as_bytes());
        if digits != "0" {
            out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        }
        return;
    };
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
    } else if digits.len() <= scale {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        out.extend_from_slice(digits.as_bytes());
    } else {
        let (integer, fraction) = digits.as_bytes().split_at(digits.len() - scale);
        out.extend_from_slice(integer);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Writes numeric's binary form: digits of base 10,000, weight of the first, sign, display scale.
pub(super) fn write_numeric_binary(out: &mut Vec<u8>, negative: bool, digits: &str, scale: i8) {
    let scale_digits = usize::try_from(scale).unwrap_or(0);
    let mut whole: String = digits.to_owned();
    if scale < 0 && digits != "0" {
        whole.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
    }
    let (integer, fraction) = if whole.len() > scale_digits {
        let (integer, fraction) = whole.as_bytes().split_at(whole.len() - scale_digits);
        (integer.to_vec(), fraction.to_vec())
    } else {
        let mut fraction = vec![b'0'; scale_digits - whole.len()];
        fraction.extend_from_slice(whole.as_bytes());
        (Vec::new(), fraction)
    };
    // Align both parts to groups of four around the decimal point.
    let pad = (4 - integer.len() % 4) % 4;
    let mut aligned = vec![b'0'; pad];
    aligned.extend_from_slice(&integer);
    let integer_groups = aligned.len() / 4;
    aligned.extend_from_slice(&fraction);
    while aligned.len() % 4 != 0 {
        aligned.push(b'0');
    }
    let groups: Vec<i16> =
        aligned.chunks(4).map(|group| group.iter().fold(0_i16, |n, d| n * 10 + i16::from(d - b'0'))).collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let used: &[i16] =
        if leading == groups.len() { &[] } else { groups.get(leading..groups.len() - trailing).unwrap_or_default() };
    let weight = if used.is_empty() {
        0
    } else {
        i16::try_from(integer_groups).unwrap_or(0) - i16::try_from(leading).unwrap_or(0) - 1
    };
    out.put_i16(i16::try_from(used.len()).unwrap_or(0));
    out.put_i16(weight);
    out.put_u16(if negative && !used.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::from(scale.max(0)));
    for group in used {
        out.put_i16(*group);
    }
}

/// A numeric as read: an integer and its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numeric {
    /// All its digits, as if there were no point.
    pub value: i128,
    /// How many of the digits come after the point.
    pub scale: i8,
}

impl Numeric {
    /// The value at another scale, rounded half away from zero; `None` when it does not fit 38 digits.
    pub fn rescale(self, scale: i8) -> Option<i128> {
        let difference = i32::from(scale) - i32::from(self.scale);
        let power = 10_i128.checked_pow(difference.unsigned_abs())?;
        if difference >= 0 {
            self.value.checked_mul(power)
        } else {
            let (quotient, remainder) = (self.value / power, self.value % power);
            let round = if remainder.abs() * 2 >= power { self.value.signum() } else { 0 };
            quotient.checked_add(round)
        }
    }

    /// The value with a precision and scale. `0A000` if digits after the point would be lost, `22003` if it is too large.
    pub fn exactly(self, precision: u8, scale: i8) -> Result<i128, InputError> {
        let short = self.shortest();
        if short.scale > scale {
            let what = format!("a value with more than {scale} digits after the point in a numeric without precision");
            return Err(InputError::Unsupported(what));
        }
        let limit = 10_i128.checked_pow(u32::from(precision));
        let value = short.rescale(scale).filter(|value| limit.is_none_or(|limit| value.abs() < limit));
        value.ok_or(InputError::NumericOverflow { precision, scale })
    }

    /// The value without the zeros at the end of its digits after the point.
    #[must_use]
    pub fn shortest(mut self) -> Self {
        while self.scale > 0 && self.value % 10 == 0 {
            self.value /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Reads numeric's binary form; `None` for NaN, infinities and what is too large.
    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| -> Option<i16> {
            Some(i16::from_be_bytes([*bytes.get(index * 2)?, *bytes.get(index * 2 + 1)?]))
        };
        let count = usize::try_from(word(0)?).ok()?;
        let weight = i32::from(word(1)?);
        let sign = word(2)?.cast_unsigned();
        let scale = i8::try_from(word(3)?).ok()?;
        if bytes.len() != 8 + count * 2 || !matches!(sign, 0 | 0x4000) {
            return None;
        }
        let mut value: i128 = 0;
        for index in 0..count {
            value = value.checked_mul(10_000)?.checked_add(i128::from(word(4 + index)?))?;
        }
        // The last group stands for 10,000 to the power of (weight - count + 1).
        let last = i8::try_from(4 * (i32::try_from(count).ok()? - 1 - weight)).ok()?;
        let value = Self { value: if sign == 0 { value } else { -value }, scale: last }.rescale(scale)?;
        Some(Self { value, scale })
    }
}

/// Reads a numeric's text form. `None` if it is none, or has more than 38 digits.
pub fn parse_numeric(text: &str) -> Option<Numeric> {
    if let Some(plain) = plain_numeric(text.as_bytes()) {
        return Some(plain);
    }
    let text = text.trim();
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)?.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for digit in integer.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    let value = if negative { -value } else { value };
    if scale >= 0 {
        return Some(Numeric { value, scale: i8::try_from(scale).ok()? });
    }
    let power = 10_i128.checked_pow(scale.unsigned_abs())?;
    Some(Numeric { value: value.checked_mul(power)?, scale: 0 })
}

/// Reads up to 18 digits with a sign and a point, which needs no wide arithmetic. Anything else takes the long way.
fn plain_numeric(text: &[u8]) -> Option<Numeric> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 19 {
        return None;
    }
    let mut value = 0_i64;
    let mut point = None;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?,
            b'.' if point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |point| digits.len() - point - 1);
    if digits.len() == usize::from(point.is_some()) {
        return None;
    }
    let value = i128::from(if negative { -value } else { value });
    Some(Numeric { value, scale: i8::try_from(fraction).ok()? })
}

/// Reads a boolean as PostgreSQL does: any unique prefix of true, false, yes, no, and on, off, 1, 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let word = text.trim().to_ascii_lowercase();
    let prefix = |of: &str| !word.is_empty() && of.starts_with(&word);
    match word.as_str() {
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        _ if prefix("true") || prefix("yes") => Some(true),
        _ if prefix("false") || prefix("no") => Some(false),
        _ => None,
    }
}
