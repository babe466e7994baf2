//! Functions and operators of `json` and `jsonb`
//! (<https://www.postgresql.org/docs/18/functions-json.html>). Values of `jsonb` are text in normal form, and so are its parts.

mod change;
mod order;
mod path;
mod text;

use self::text::{Kind, at_path, field, item, items, members, plain, quoted, unquoted};
use super::argument::{Json, JsonText, Jsonb, JsonbText, OrNull, Text, TextArray};
use super::{Overload, f1, f2, f3, f4};
use crate::error::{Plain, SqlState};

type Named = (&'static str, Overload);

/// All of them.
pub(super) fn functions() -> Vec<Named> {
    let mut all = parts();
    all.extend(contents());
    all.extend(sets());
    all.extend(made());
    all.extend(change::functions());
    all.extend(path::functions());
    all
}

fn json(value: Option<&str>) -> Option<JsonText> {
    value.map(|value| JsonText(value.to_owned()))
}

fn jsonb(value: Option<&str>) -> Option<JsonbText> {
    value.map(|value| JsonbText(value.to_owned()))
}

fn parts() -> Vec<Named> {
    vec![
        ("->", f2::<Json, Text, _>(|_, value, key| Ok(json(field(value, key))))),
        ("->", f2::<Jsonb, Text, _>(|_, value, key| Ok(jsonb(field(value, key))))),
        ("->", f2::<Json, i32, _>(|_, value, number| Ok(json(item(value, number.into()))))),
        ("->", f2::<Jsonb, i32, _>(|_, value, number| Ok(jsonb(item(value, number.into()))))),
        ("->>", f2::<Json, Text, _>(|_, value, key| Ok(field(value, key).and_then(plain)))),
        ("->>", f2::<Jsonb, Text, _>(|_, value, key| Ok(field(value, key).and_then(plain)))),
        ("->>", f2::<Json, i32, _>(|_, value, number| Ok(item(value, number.into()).and_then(plain)))),
        ("->>", f2::<Jsonb, i32, _>(|_, value, number| Ok(item(value, number.into()).and_then(plain)))),
        ("#>", f2::<Json, TextArray, _>(|_, value, path| Ok(json(at_path(value, &path))))),
        ("#>", f2::<Jsonb, TextArray, _>(|_, value, path| Ok(jsonb(at_path(value, &path))))),
        ("#>>", f2::<Json, TextArray, _>(|_, value, path| Ok(at_path(value, &path).and_then(plain)))),
        ("#>>", f2::<Jsonb, TextArray, _>(|_, value, path| Ok(at_path(value, &path).and_then(plain)))),
        (super::JSONB_ORDER, f1::<Jsonb, _>(|_, value| Ok(order::key(value)))),
        // What a cast from jsonb to a number or a boolean reads.
        ("jsonb_scalar", f2::<Jsonb, Text, _>(|_, value, pg| scalar(value, pg))),
    ]
}

/// `22023` for a value of another kind.
fn scalar(value: &str, pg: &str) -> Result<Option<String>, Plain> {
    let kind = Kind::of(value);
    let wanted = if pg == "boolean" { Kind::Boolean } else { Kind::Number };
    if kind == Kind::Null {
        return Ok(None);
    }
    if kind == wanted {
        return Ok(Some(value.to_owned()));
    }
    let kind = match kind {
        Kind::Number => "numeric",
        other => other.name(),
    };
    let message = format!("cannot cast jsonb {kind} to type {pg}");
    Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

/// Whether one value has another in it: all its members and items, at the same places.
fn contains(whole: &str, part: &str) -> bool {
    match (Kind::of(whole), Kind::of(part)) {
        (Kind::Object, Kind::Object) => members(part)
            .into_iter()
            .all(|(key, value)| field(whole, &unquoted(key)).is_some_and(|own| nested(own, value))),
        (Kind::Array, Kind::Array) => {
            let own = items(whole);
            items(part).into_iter().all(|wanted| own.iter().any(|own| nested(own, wanted)))
        }
        // An array may have a value that is none.
        (Kind::Array, Kind::Object) => false,
        (Kind::Array, _) => items(whole).contains(&part),
        _ => whole == part,
    }
}

/// The same within a value: what is no array is not in one.
fn nested(whole: &str, part: &str) -> bool {
    match (Kind::of(whole), Kind::of(part)) {
        (Kind::Object, Kind::Object) | (Kind::Array, Kind::Array) => contains(whole, part),
        _ => whole == part,
    }
}

/// Whether a text is a key of an object, or a string of an array, or the string itself.
fn has(value: &str, key: &str) -> bool {
    match Kind::of(value) {
        Kind::Object => field(value, key).is_some(),
        Kind::Array => items(value).into_iter().any(|item| Kind::of(item) == Kind::String && unquoted(item) == key),
        Kind::String => unquoted(value) == key,
        _ => false,
    }
}

fn length(value: &str) -> Result<i32, Plain> {
    match Kind::of(value) {
        Kind::Array => Ok(i32::try_from(items(value).len()).unwrap_or(i32::MAX)),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }
}

fn invalid(message: &str) -> Plain {
    Plain::new(SqlState::INVALID_PARAMETER_VALUE, message.to_owned())
}

fn contents() -> Vec<Named> {
    let any = |value: &str, keys: &[Option<String>]| keys.iter().flatten().any(|key| has(value, key));
    let all = |value: &str, keys: &[Option<String>]| keys.iter().flatten().all(|key| has(value, key));
    vec![
        ("@>", f2::<Jsonb, Jsonb, _>(|_, whole, part| Ok(contains(whole, part)))),
        ("<@", f2::<Jsonb, Jsonb, _>(|_, part, whole| Ok(contains(whole, part)))),
        ("?", f2::<Jsonb, Text, _>(|_, value, key| Ok(has(value, key)))),
        ("?|", f2::<Jsonb, TextArray, _>(move |_, value, keys| Ok(any(value, &keys)))),
        ("?&", f2::<Jsonb, TextArray, _>(move |_, value, keys| Ok(all(value, &keys)))),
        ("json_array_length", f1::<Json, _>(|_, value| length(value))),
        ("jsonb_array_length", f1::<Jsonb, _>(|_, value| length(value))),
        ("json_typeof", f1::<Json, _>(|_, value| Ok(Kind::of(value).name().to_owned()))),
        ("jsonb_typeof", f1::<Jsonb, _>(|_, value| Ok(Kind::of(value).name().to_owned()))),
    ]
}

/// The items of an array, for a set of rows. `22023` for what is none.
fn elements(value: &str) -> Result<Vec<&str>, Plain> {
    match Kind::of(value) {
        Kind::Array => Ok(items(value)),
        Kind::Object => Err(invalid("cannot extract elements from an object")),
        _ => Err(invalid("cannot extract elements from a scalar")),
    }
}

/// The members of an object, for a set of rows. `22023` for what is none.
fn pairs<'t>(value: &'t str, name: &str) -> Result<Vec<(&'t str, &'t str)>, Plain> {
    match Kind::of(value) {
        Kind::Object => Ok(members(value)),
        Kind::Array => Err(invalid(&format!("cannot call {name} on an array"))),
        _ => Err(invalid(&format!("cannot call {name} on a scalar"))),
    }
}

/// Functions that return sets: each makes an array, of which the planner makes rows.
fn sets() -> Vec<Named> {
    fn keys(value: &str, name: &str) -> Result<Vec<Option<String>>, Plain> {
        Ok(pairs(value, name)?.into_iter().map(|(key, _)| Some(unquoted(key))).collect())
    }
    fn texts(value: &str, name: &str) -> Result<Vec<Option<String>>, Plain> {
        Ok(pairs(value, name)?.into_iter().map(|(_, value)| plain(value)).collect())
    }
    let of_json =
        |value: &str| Ok(elements(value)?.into_iter().map(|item| JsonText(item.to_owned())).collect::<Vec<_>>());
    let of_jsonb =
        |value: &str| Ok(elements(value)?.into_iter().map(|item| JsonbText(item.to_owned())).collect::<Vec<_>>());
    let of_text = |value: &str| Ok(elements(value)?.into_iter().map(plain).collect::<Vec<_>>());
    vec![
        ("json_array_elements", f1::<Json, _>(move |_, value| of_json(value))),
        ("jsonb_array_elements", f1::<Jsonb, _>(move |_, value| of_jsonb(value))),
        ("json_array_elements_text", f1::<Json, _>(move |_, value| of_text(value))),
        ("jsonb_array_elements_text", f1::<Jsonb, _>(move |_, value| of_text(value))),
        ("json_object_keys", f1::<Json, _>(|_, value| keys(value, "json_object_keys"))),
        ("jsonb_object_keys", f1::<Jsonb, _>(|_, value| keys(value, "jsonb_object_keys"))),
        ("json_each.key", f1::<Json, _>(|_, value| keys(value, "json_each"))),
        ("jsonb_each.key", f1::<Jsonb, _>(|_, value| keys(value, "jsonb_each"))),
        ("json_each_text.key", f1::<Json, _>(|_, value| keys(value, "json_each_text"))),
        ("jsonb_each_text.key", f1::<Jsonb, _>(|_, value| keys(value, "jsonb_each_text"))),
        ("json_each_text.value", f1::<Json, _>(|_, value| texts(value, "json_each_text"))),
        ("jsonb_each_text.value", f1::<Jsonb, _>(|_, value| texts(value, "jsonb_each_text"))),
        (
            "json_each.value",
            f1::<Json, _>(|_, value| {
                let all = pairs(value, "json_each")?.into_iter();
                Ok(all.map(|(_, value)| JsonText(value.to_owned())).collect::<Vec<_>>())
            }),
        ),
        (
            "jsonb_each.value",
            f1::<Jsonb, _>(|_, value| {
                let all = pairs(value, "jsonb_each")?.into_iter();
                Ok(all.map(|(_, value)| JsonbText(value.to_owned())).collect::<Vec<_>>())
            }),
        ),
    ]
}

/// Keys and values of an object, as `json_object` takes them. `22004`, `2202E`
fn object(keys: &[Option<String>], values: &[Option<String>]) -> Result<Vec<(String, Option<String>)>, Plain> {
    if keys.len() != values.len() {
        return Err(Plain::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "mismatched array dimensions"));
    }
    let pair = |(key, value): (&Option<String>, &Option<String>)| {
        let missing = || Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key");
        Ok((key.clone().ok_or_else(missing)?, value.clone()))
    };
    keys.iter().zip(values).map(pair).collect()
}

/// The same of an array of keys and values by turns.
fn paired(all: &[Option<String>]) -> Result<Vec<(String, Option<String>)>, Plain> {
    if !all.len().is_multiple_of(2) {
        let message = "array must have even number of elements";
        return Err(Plain::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    }
    let part = |turn: usize| all.iter().skip(turn).step_by(2).cloned().collect::<Vec<_>>();
    object(&part(0), &part(1))
}

fn written(pairs: &[(String, Option<String>)]) -> JsonText {
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), quoted);
    let all = pairs.iter().map(|(key, own)| format!("{} : {}", quoted(key), value(own)));
    JsonText(format!("{{{}}}", all.collect::<Vec<_>>().join(", ")))
}

fn normal(pairs: &[(String, Option<String>)]) -> JsonbText {
    let value = |value: Option<&String>| value.map_or(serde_json::Value::Null, |text| text.as_str().into());
    let all = pairs.iter().map(|(key, own)| (key.clone(), value(own.as_ref())));
    JsonbText(crate::encode::jsonb_text(&serde_json::Value::Object(all.collect())))
}

fn made() -> Vec<Named> {
    vec![
        ("json_object", f1::<TextArray, _>(|_, all| Ok(written(&paired(&all)?)))),
        ("jsonb_object", f1::<TextArray, _>(|_, all| Ok(normal(&paired(&all)?)))),
        ("json_object", f2::<TextArray, TextArray, _>(|_, keys, values| Ok(written(&object(&keys, &values)?)))),
        ("jsonb_object", f2::<TextArray, TextArray, _>(|_, keys, values| Ok(normal(&object(&keys, &values)?)))),
        // What aggregates collect, as `json_agg` and `json_object_agg` write it.
        (
            "json_of_items",
            f1::<TextArray, _>(|_, all| {
                let items = all.iter().map(|item| item.as_deref().unwrap_or("null"));
                Ok(JsonText(format!("[{}]", items.collect::<Vec<_>>().join(", "))))
            }),
        ),
        (
            "json_of_pairs",
            f2::<TextArray, TextArray, _>(|_, keys, values| {
                let all = object(&keys, &values)?;
                let pair = |(key, value): &(String, Option<String>)| {
                    format!("{} : {}", quoted(key), value.as_deref().unwrap_or("null"))
                };
                Ok(JsonText(format!("{{ {} }}", all.iter().map(pair).collect::<Vec<_>>().join(", "))))
            }),
        ),
    ]
}
