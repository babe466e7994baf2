//! The order of `jsonb` (`compareJsonbContainers` in PostgreSQL's `jsonb_util.c`), as bytes that are in the same order.

use super::text::{Kind, items, members, unquoted};

/// Ends what has no length before it: less than all that may go on.
const END: u8 = 0;

/// What compares as a document does: by kind, then by how much is in it, then by what that is.
pub(super) fn key(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    // An empty array is less than all else, but only if it is the whole document.
    if Kind::of(text) == Kind::Array && items(text).is_empty() {
        return vec![END];
    }
    write(&mut out, text);
    out
}

fn write(out: &mut Vec<u8>, text: &str) {
    let kind = Kind::of(text);
    out.push(match kind {
        Kind::Null => 1,
        Kind::String => 2,
        Kind::Number => 3,
        Kind::Boolean => 4,
        Kind::Array => 5,
        Kind::Object => 6,
    });
    match kind {
        Kind::Null => {}
        Kind::Boolean => out.push(u8::from(text.trim() == "true")),
        Kind::String => string(out, text),
        Kind::Number => number(out, text.trim()),
        Kind::Array => {
            let items = items(text);
            count(out, items.len());
            for item in items {
                write(out, item);
            }
        }
        Kind::Object => {
            let members = members(text);
            count(out, members.len());
            for (key, value) in members {
                string(out, key);
                write(out, value);
            }
        }
    }
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// Strings have no character of code 0.
fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(unquoted(text).bytes());
    out.push(END);
}

/// A sign, where the first digit is, and the digits; of negative numbers all of it the other way around.
fn number(out: &mut Vec<u8>, text: &str) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        out.push(1);
        return;
    }
    let leading = i64::try_from(digits.len() - significant.len()).unwrap_or(0);
    let places = i64::try_from(whole.len()).unwrap_or(0);
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let first = places.saturating_sub(leading).saturating_add(exponent);
    let size = (first ^ i64::MIN).to_be_bytes();
    let magnitude = size.into_iter().chain(significant.trim_end_matches('0').bytes()).chain([END]);
    out.push(if negative { 0 } else { 2 });
    out.extend(magnitude.map(|byte| if negative { !byte } else { byte }));
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn documents_are_in_order() {
        let ordered = [
            "[]",
            "null",
            "\"\"",
            "\"a\"",
            "\"ab\"",
            "\"b\"",
            "-1e5",
            "-221",
            "-93",
            "-1.5",
            "-1",
            "-0.01",
            "0",
            "0.001",
            "0.5",
            "1",
            "1.5",
            "93",
            "221",
            "1e5",
            "false",
            "true",
            "[1]",
            "[2]",
            "[1, 2]",
            "{}",
            "{\"a\": 1}",
            "{\"a\": 2}",
            "{\"b\": 0}",
            "{\"a\": 1, \"b\": 2}",
        ];
        for pair in ordered.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        assert_eq!(key("1.0"), key("1"));
        assert_eq!(key("100"), key("1e2"));
    }
}
