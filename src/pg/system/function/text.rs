//! Text that is made to be read: quoting, sizes.

use super::Kind::{Int, Text};
use super::{Function, text};
use crate::context::Context;
use crate::error::{Plain, SqlState};
use crate::name::{quote, quote_literal};
use crate::pg::system::value::Value;
use crate::types::PgType;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("quote_ident", &[&[Text]], text, |_, arguments| {
        Ok(arguments.first().map(|ident| quote(ident.text())).into())
    }),
    Function::new("quote_literal", &[&[Text]], text, |_, arguments| {
        Ok(arguments.first().map(|literal| quote_literal(literal.text())).into())
    }),
    Function::new("quote_nullable", &[&[Text]], text, |_, arguments| {
        let literal = arguments.first().filter(|literal| !literal.is_null());
        Ok(literal.map_or_else(|| "NULL".to_owned(), |literal| quote_literal(literal.text())).into())
    })
    .with_nulls(),
    Function::new("format", &[&[Text]], text, format).variadic().with_nulls(),
    Function::new(
        "parse_ident",
        &[&[Text]],
        || PgType::Array(Box::new(PgType::Text)),
        |_, arguments| {
            let ident = arguments.first().map_or("", Value::text);
            crate::name::parse_qualified(ident).map(Into::into).ok_or_else(|| {
                let message = format!("string is not a valid identifier: \"{ident}\"");
                Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })
        },
    ),
    // `LIKE pattern ESCAPE character` is LIKE with this pattern.
    Function::new("like_escape", &[&[Text, Text]], text, like_escape),
    Function::new("pg_size_pretty", &[&[Int]], text, |_, arguments| {
        Ok(arguments.first().map(|size| size_pretty(size.int())).into())
    }),
];

/// `format('%I.%s = %L', …)`: `%I` an identifier, `%s` text, `%L` a literal, `%%` a percent sign. Between, `n$`, the place of
/// the value, `-`, for blanks on the right, and the least width: a number, `*` or `*n$`, which is that of a value.
fn format(_: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let Some((pattern, values)) = arguments.split_first() else { return Ok(Value::Null) };
    if pattern.is_null() {
        return Ok(Value::Null);
    }
    let invalid = |what: String| Plain::new(SqlState::INVALID_PARAMETER_VALUE, what);
    let missing = || invalid("too few arguments for format()".to_owned());
    let percent = "For a single \"%\" use \"%%\".";
    let unterminated = || invalid("unterminated format() type specifier".to_owned()).hint(percent);
    let mut values = Values { values, next: 0 };
    let mut out = String::new();
    let mut rest = pattern.text();
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let place = place(&mut rest)?;
        let mut left = false;
        while let Some(after) = rest.strip_prefix('-') {
            (rest, left) = (after, true);
        }
        let width = match rest.strip_prefix('*') {
            Some(after) => {
                rest = after;
                let at = self::place(&mut rest)?;
                let value = values.take(at).ok_or_else(missing)?;
                let given = value.text().trim().parse::<i64>();
                if value.is_null() { 0 } else { given.unwrap_or_else(|_not_text| value.int()) }
            }
            None => number(&mut rest).unwrap_or(0),
        };
        left |= width < 0;
        let kind = rest.chars().next().ok_or_else(unterminated)?;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(invalid(format!("unrecognized format() type specifier \"{kind}\"")).hint(percent));
        }
        rest = rest.get(kind.len_utf8()..).unwrap_or_default();
        let value = values.take(place).ok_or_else(missing)?;
        let shown = match (kind, value.is_null()) {
            ('s', _) => value.text().to_owned(),
            ('I', true) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
            }
            ('I', false) => quote(value.text()),
            (_, true) => "NULL".to_owned(),
            (_, false) => quote_literal(value.text()),
        };
        let blanks = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(shown.chars().count());
        if blanks > WIDTH_MAX {
            return Err(invalid("number is out of range".to_owned()));
        }
        let blanks = " ".repeat(blanks);
        out.push_str(&if left { shown + &blanks } else { blanks + &shown });
    }
    out.push_str(rest);
    Ok(out.into())
}

/// The widest value of `format`, in blanks before or after it.
const WIDTH_MAX: usize = 100_000_000;

/// The values of `format`, each of which is the next or has a place.
struct Values<'a> {
    values: &'a [Value],
    next: usize,
}

impl<'a> Values<'a> {
    fn take(&mut self, place: Option<usize>) -> Option<&'a Value> {
        let at = place.unwrap_or(self.next);
        self.next = at + 1;
        self.values.get(at)
    }
}

/// A number at the beginning of a text, which is cut off.
fn number(rest: &mut &str) -> Option<i64> {
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at_checked(digits)?;
    let number = number.parse().ok()?;
    *rest = after;
    Some(number)
}

/// `n$` at the beginning of a text: which of the values it is, from 0.
fn place(rest: &mut &str) -> Result<Option<usize>, Plain> {
    let mut ahead = *rest;
    let Some(number) = number(&mut ahead) else { return Ok(None) };
    let Some(after) = ahead.strip_prefix('$') else { return Ok(None) };
    *rest = after;
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    place.map(Some).ok_or_else(|| {
        let message = "format specifies argument 0, but arguments are numbered from 1";
        Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// A LIKE pattern with its own escape character as one with a backslash. Without an escape character nothing is escaped.
fn like_escape(_: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let [pattern, escape] = arguments else { return Ok(Value::Null) };
    let mut escapes = escape.text().chars();
    let (escape, more) = (escapes.next(), escapes.next());
    if more.is_some() {
        return Err(Plain::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut out = String::new();
    let mut characters = pattern.text().chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            out.push('\\');
            out.extend(characters.next());
        } else {
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        }
    }
    Ok(out.into())
}

/// PostgreSQL's: the largest unit of which there are at least ten, rounded half away from zero.
fn size_pretty(bytes: i64) -> String {
    const LIMIT: i64 = 10 * 1024;
    if bytes.unsigned_abs() < LIMIT.unsigned_abs() {
        return format!("{bytes} bytes");
    }
    // Twice the size, so that half a unit is not lost.
    let mut doubled = bytes >> 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if doubled.abs() < 2 * LIMIT - 1 {
            return format!("{} {unit}", half_rounded(doubled));
        }
        doubled >>= 10;
    }
    format!("{} PB", half_rounded(doubled))
}

fn half_rounded(doubled: i64) -> i64 {
    i64::midpoint(doubled, doubled.signum())
}

#[cfg(test)]
mod tests {
    use super::size_pretty;

    #[test]
    fn sizes_print_as_in_postgresql() {
        let cases = [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_240, "-10 kB"),
            (1_000_000, "977 kB"),
            (10_485_247, "10239 kB"),
            (10_485_760, "10 MB"),
            (1_000_000_000_000, "931 GB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size_pretty(bytes), shown);
        }
    }
}
