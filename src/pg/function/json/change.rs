//! Changes of `jsonb` values.

use serde_json::{Map, Value};

use super::text::Kind;
use super::{Named, f1, f2, f3, f4, invalid};
use crate::encode::jsonb_text;
use crate::error::{Plain, SqlState, internal};

use super::{Json, JsonText, Jsonb, JsonbText, OrNull, Text, TextArray};

fn parsed(text: &str) -> Result<Value, Plain> {
    serde_json::from_str(text).map_err(|error| {
        Plain::new(SqlState::INTERNAL_ERROR, format!("a jsonb value that is no JSON: {}", internal(error)))
    })
}

fn shown(value: &Value) -> JsonbText {
    JsonbText(jsonb_text(value))
}

/// Objects become one, everything else items of one array.
fn joined(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            a.extend(b);
            Value::Object(a)
        }
        (a, b) => {
            let items = |value| if let Value::Array(items) = value { items } else { vec![value] };
            let mut all = items(a);
            all.extend(items(b));
            Value::Array(all)
        }
    }
}

fn without_key(mut value: Value, key: &str) -> Result<Value, Plain> {
    match &mut value {
        Value::Object(map) => drop(map.remove(key)),
        Value::Array(items) => items.retain(|item| item.as_str() != Some(key)),
        _ => return Err(invalid("cannot delete from scalar")),
    }
    Ok(value)
}

/// The place of an item in an array of a length, from the end if it is negative; `None`: before the first.
fn place(number: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if number < 0 { length + number } else { number }).ok()
}

fn without_item(mut value: Value, number: i32) -> Result<Value, Plain> {
    match &mut value {
        Value::Array(items) => {
            if let Some(at) = place(number.into(), items.len()).filter(|at| *at < items.len()) {
                items.remove(at);
            }
            Ok(value)
        }
        Value::Object(_) => Err(invalid("cannot delete from object using integer index")),
        _ => Err(invalid("cannot delete from scalar")),
    }
}

/// What is done at the end of a path.
#[derive(Clone, Copy)]
enum Change {
    Delete,
    /// Also where there is nothing yet?
    Set {
        create: bool,
    },
    Insert {
        after: bool,
    },
}

fn number_of(step: &str, position: usize) -> Result<i64, Plain> {
    step.parse().map_err(|_no_number| {
        let message = format!("path element at position {position} is not an integer: \"{step}\"");
        Plain::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })
}

fn changed(
    value: &mut Value,
    path: &[Option<String>],
    position: usize,
    new: &Value,
    change: Change,
) -> Result<(), Plain> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    let missing = || {
        let message = format!("path element at position {position} is null");
        Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
    };
    let step = step.as_deref().ok_or_else(missing)?;
    match value {
        Value::Object(map) if rest.is_empty() => in_object(map, step, new, change),
        Value::Object(map) => map.get_mut(step).map_or(Ok(()), |inner| changed(inner, rest, position + 1, new, change)),
        Value::Array(items) => {
            let number = number_of(step, position)?;
            let at = place(number, items.len());
            if rest.is_empty() {
                in_array(items, at, number, new, change);
                return Ok(());
            }
            let inner = at.and_then(|at| items.get_mut(at));
            inner.map_or(Ok(()), |inner| changed(inner, rest, position + 1, new, change))
        }
        _ => Ok(()),
    }
}

fn in_object(map: &mut Map<String, Value>, key: &str, new: &Value, change: Change) -> Result<(), Plain> {
    let is_there = map.contains_key(key);
    match change {
        Change::Delete => drop(map.remove(key)),
        Change::Set { create } if is_there || create => drop(map.insert(key.to_owned(), new.clone())),
        Change::Set { .. } => {}
        Change::Insert { .. } if is_there => {
            return Err(
                invalid("cannot replace existing key").hint("Try using the function jsonb_set to replace key value.")
            );
        }
        Change::Insert { .. } => drop(map.insert(key.to_owned(), new.clone())),
    }
    Ok(())
}

fn in_array(items: &mut Vec<Value>, at: Option<usize>, number: i64, new: &Value, change: Change) {
    let inside = at.filter(|at| *at < items.len());
    match (change, inside) {
        (Change::Delete, Some(at)) => drop(items.remove(at)),
        (Change::Set { .. }, Some(at)) => {
            if let Some(item) = items.get_mut(at) {
                *item = new.clone();
            }
        }
        (Change::Insert { after }, Some(at)) => items.insert(at + usize::from(after), new.clone()),
        (Change::Set { create: true } | Change::Insert { .. }, None) => {
            if number < 0 {
                items.insert(0, new.clone());
            } else {
                items.push(new.clone());
            }
        }
        (Change::Delete | Change::Set { .. }, None) => {}
    }
}

fn at(value: &str, path: &[Option<String>], new: &Value, change: Change) -> Result<JsonbText, Plain> {
    let mut value = parsed(value)?;
    if !matches!(value, Value::Object(_) | Value::Array(_)) {
        let what =
            if matches!(change, Change::Delete) { "cannot delete path in scalar" } else { "cannot set path in scalar" };
        return Err(invalid(what));
    }
    changed(&mut value, path, 1, new, change)?;
    Ok(shown(&value))
}

/// What `jsonb_set_lax` does with NULL. `22004`, `22023`
fn set_lax(
    value: &str,
    path: &[Option<String>],
    new: Option<&str>,
    create: bool,
    null: &str,
) -> Result<Option<JsonbText>, Plain> {
    let set = |new: &Value| at(value, path, new, Change::Set { create }).map(Some);
    match (new, null) {
        (Some(new), _) => set(&parsed(new)?),
        (None, "use_json_null") => set(&Value::Null),
        (None, "delete_key") => at(value, path, &Value::Null, Change::Delete).map(Some),
        (None, "return_target") => Ok(Some(JsonbText(value.to_owned()))),
        (None, "raise_exception") => Err(Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, "JSON value must not be null")
            .detail("Exception was raised because null_value_treatment is \"raise_exception\".")),
        (None, _) => Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

fn strip(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, strip(value))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(strip).collect()),
        other => other,
    }
}

/// JSON without members that are null, its members in their order.
fn stripped(text: &str) -> String {
    match Kind::of(text) {
        Kind::Object => {
            let kept = super::members(text).into_iter().filter(|(_, value)| Kind::of(value) != Kind::Null);
            let kept = kept.map(|(key, value)| format!("{key}:{}", stripped(value)));
            format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
        }
        Kind::Array => format!("[{}]", super::items(text).into_iter().map(stripped).collect::<Vec<_>>().join(",")),
        _ => text.trim().to_owned(),
    }
}

/// With a line for each item and member.
fn pretty(text: &str, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    match Kind::of(text) {
        Kind::Object => {
            out.push('{');
            for (place, (key, value)) in super::members(text).into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                out.push_str(key);
                out.push_str(": ");
                pretty(value, depth + 1, out);
            }
            line(out, depth);
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for (place, value) in super::items(text).into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                pretty(value, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        _ => out.push_str(text),
    }
}

pub(super) fn functions() -> Vec<Named> {
    const SET: Change = Change::Set { create: true };
    vec![
        ("||", f2::<Jsonb, Jsonb, _>(|_, a, b| Ok(shown(&joined(parsed(a)?, parsed(b)?))))),
        ("-", f2::<Jsonb, Text, _>(|_, value, key| Ok(shown(&without_key(parsed(value)?, key)?)))),
        ("-", f2::<Jsonb, i32, _>(|_, value, number| Ok(shown(&without_item(parsed(value)?, number)?)))),
        (
            "-",
            f2::<Jsonb, TextArray, _>(|_, value, keys| {
                Ok(shown(&keys.iter().flatten().try_fold(parsed(value)?, |value, key| without_key(value, key))?))
            }),
        ),
        ("#-", f2::<Jsonb, TextArray, _>(|_, value, path| at(value, &path, &Value::Null, Change::Delete))),
        ("jsonb_set", f3::<Jsonb, TextArray, Jsonb, _>(|_, value, path, new| at(value, &path, &parsed(new)?, SET))),
        (
            "jsonb_set",
            f4::<Jsonb, TextArray, Jsonb, bool, _>(|_, value, path, new, create| {
                at(value, &path, &parsed(new)?, Change::Set { create })
            }),
        ),
        (
            "jsonb_set_lax",
            f3::<Jsonb, TextArray, OrNull<Jsonb>, _>(|_, value, path, new| {
                set_lax(value, &path, new, true, "use_json_null")
            }),
        ),
        (
            "jsonb_set_lax",
            f4::<Jsonb, TextArray, OrNull<Jsonb>, bool, _>(|_, value, path, new, create| {
                set_lax(value, &path, new, create, "use_json_null")
            }),
        ),
        (
            "jsonb_insert",
            f3::<Jsonb, TextArray, Jsonb, _>(|_, value, path, new| {
                at(value, &path, &parsed(new)?, Change::Insert { after: false })
            }),
        ),
        (
            "jsonb_insert",
            f4::<Jsonb, TextArray, Jsonb, bool, _>(|_, value, path, new, after| {
                at(value, &path, &parsed(new)?, Change::Insert { after })
            }),
        ),
        ("jsonb_strip_nulls", f1::<Jsonb, _>(|_, value| Ok(shown(&strip(parsed(value)?))))),
        ("json_strip_nulls", f1::<Json, _>(|_, value| Ok(JsonText(stripped(value))))),
        (
            "jsonb_pretty",
            f1::<Jsonb, _>(|_, value| {
                let mut out = String::new();
                pretty(value, 0, &mut out);
                Ok(out)
            }),
        ),
    ]
}
