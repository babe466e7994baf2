//! JSON as it is written: where its parts begin and end. Nothing is taken apart that is not asked for.

/// The first byte from a place on that is no blank.
fn skip_blanks(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Where a value ends that begins at a place. The text is JSON.
fn end_of(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut in_string) = (start, 0_usize, false);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return at;
                }
            }
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth <= 1 => return if depth == 1 { at } else { at - 1 },
            b']' | b'}' => depth -= 1,
            b',' | b':' if depth == 0 => return at - 1,
            byte if byte.is_ascii_whitespace() && depth == 0 => return at - 1,
            _ => {}
        }
    }
    at
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Kind {
    pub(super) fn of(text: &str) -> Self {
        match text.trim_start().bytes().next() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }
}

/// The items of an array, in order; none of what is no array.
pub(super) fn items(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let start = skip_blanks(text, 0);
    if text.as_bytes().get(start) != Some(&b'[') {
        return found;
    }
    let mut at = skip_blanks(text, start + 1);
    while text.as_bytes().get(at).is_some_and(|byte| *byte != b']') {
        let end = end_of(text, at);
        found.extend(text.get(at..end));
        at = skip_blanks(text, end);
        if text.as_bytes().get(at) == Some(&b',') {
            at = skip_blanks(text, at + 1);
        }
    }
    found
}

/// The keys of an object with their values, in order; none of what is no object. Keys are as they are written, in quotes.
pub(super) fn members(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let start = skip_blanks(text, 0);
    if text.as_bytes().get(start) != Some(&b'{') {
        return found;
    }
    let mut at = skip_blanks(text, start + 1);
    while text.as_bytes().get(at).is_some_and(|byte| *byte != b'}') {
        let key_end = end_of(text, at);
        let colon = skip_blanks(text, key_end);
        let value = skip_blanks(text, colon + 1);
        let end = end_of(text, value);
        if let (Some(key), Some(value)) = (text.get(at..key_end), text.get(value..end)) {
            found.push((key, value));
        }
        at = skip_blanks(text, end);
        if text.as_bytes().get(at) == Some(&b',') {
            at = skip_blanks(text, at + 1);
        }
    }
    found
}

/// The text that a string stands for.
pub(super) fn unquoted(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_no_string| text.to_owned())
}

/// A text as a string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Whether a key, as it is written, is a name.
fn is_key(key: &str, name: &str) -> bool {
    let plain = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
    plain == name || plain.contains('\\') && unquoted(key) == name
}

/// The value of a key; the last one, if there are several.
pub(super) fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    members(text).into_iter().rfind(|(key, _)| is_key(key, name)).map(|(_, value)| value)
}

/// The item of a number, counted from 0, or from the end if it is negative.
pub(super) fn item(text: &str, number: i64) -> Option<&str> {
    let all = items(text);
    let place = if number < 0 { i64::try_from(all.len()).ok()? + number } else { number };
    all.get(usize::try_from(place).ok()?).copied()
}

/// What is at the end of a path of keys and numbers.
pub(super) fn at_path<'t>(text: &'t str, path: &[Option<String>]) -> Option<&'t str> {
    path.iter().try_fold(text.trim(), |value, step| {
        let step = step.as_deref()?;
        match Kind::of(value) {
            Kind::Object => field(value, step),
            Kind::Array => item(value, step.parse().ok()?),
            _ => None,
        }
    })
}

/// A value as `->>` gives it: a string's text, nothing for null.
pub(super) fn plain(value: &str) -> Option<String> {
    match Kind::of(value) {
        Kind::Null => None,
        Kind::String => Some(unquoted(value)),
        _ => Some(value.to_owned()),
    }
}
