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

/// `format('%I.%s = %L', …)`: `%I` an identifier, `%s` text, `%L` a literal, `%%` a percent sign.
fn format(_: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let Some((pattern, mut values)) = arguments.split_first() else { return Ok(Value::Null) };
    if pattern.is_null() {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    let mut characters = pattern.text().chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let invalid = |what: String| Plain::new(SqlState::INVALID_PARAMETER_VALUE, what);
        let kind = characters.next().ok_or_else(|| {
            invalid("unterminated format() type specifier".to_owned()).hint("For a single \"%\" use \"%%\".")
        })?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(invalid(format!("unrecognized format() type specifier \"{kind}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let (value, rest) = values.split_first().ok_or_else(|| invalid("too few arguments for format()".to_owned()))?;
        values = rest;
        match (kind, value.is_null()) {
            ('s', _) => out.push_str(value.text()),
            ('I', true) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
            }
            ('I', false) => out.push_str(&quote(value.text())),
            (_, true) => out.push_str("NULL"),
            (_, false) => out.push_str(&quote_literal(value.text())),
        }
    }
    Ok(out.into())
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
