//! Regular expressions: PostgreSQL's "advanced" ones in the engine's syntax
//! (<https://www.postgresql.org/docs/18/functions-matching.html#POSIX-SYNTAX-DETAILS>).
//!
//! Alternatives are tried in order, where PostgreSQL takes the longest; look-around and back-references are refused.

use regex::{Captures, Regex, RegexBuilder};

use super::Named;
use crate::error::{Plain, SqlState};

use super::super::argument::Text;
use super::super::{Call, f2, f3, f4, f5, f6, f7};

fn invalid(message: &str) -> Plain {
    Plain::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {message}"))
}

/// The same expression as the `regex` crate has it.
pub(super) fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut in_set = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('m') if !in_set => out.push_str(r"\b{start}"),
                Some('M') if !in_set => out.push_str(r"\b{end}"),
                Some('y') if !in_set => out.push_str(r"\b"),
                Some('Y') if !in_set => out.push_str(r"\B"),
                Some('Z') if !in_set => out.push_str(r"\z"),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '[' if in_set => match letters.peek() {
                Some(':') => {
                    // A class such as [:alpha:], to its end.
                    out.push('[');
                    for next in letters.by_ref() {
                        out.push(next);
                        if next == ']' {
                            break;
                        }
                    }
                }
                _ => out.push_str(r"\["),
            },
            '[' => {
                in_set = true;
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first is one of the set.
                if letters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' if in_set => {
                in_set = false;
                out.push(']');
            }
            // Operators of sets, which PostgreSQL has not.
            '&' | '~' | '-' if in_set && letters.peek() == Some(&letter) => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// Of what flags say: how the expression is read, and whether all matches count.
fn flags(text: &str, may_be_global: Option<&str>) -> Result<(bool, String), Plain> {
    let (mut global, mut options) = (false, String::new());
    for flag in text.chars() {
        match flag {
            'g' if may_be_global.is_none() => global = true,
            'g' => {
                let name = may_be_global.unwrap_or_default();
                let message = format!("{name}() does not support the \"global\" option");
                return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
            'i' | 'n' | 'm' | 'x' | 'q' => options.push(if flag == 'm' { 'n' } else { flag }),
            'c' => options.retain(|option| option != 'i'),
            's' | 't' | 'e' => {}
            other => {
                let message = format!("invalid regular expression option: \"{other}\"");
                return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok((global, options))
}

struct Compiled {
    regex: Regex,
    global: bool,
}

/// An expression with its flags, compiled once. `name`: of a function that cannot be asked for all matches.
fn compiled(call: &Call, pattern: &str, with: &str, name: Option<&str>) -> Result<std::rc::Rc<Compiled>, Plain> {
    call.once(&format!("{with}\0{pattern}"), |_| {
        let (global, options) = flags(with, name)?;
        let source = if options.contains('q') { regex::escape(pattern) } else { translated(pattern) };
        let regex = RegexBuilder::new(&source)
            .case_insensitive(options.contains('i'))
            .dot_matches_new_line(!options.contains('n'))
            .multi_line(options.contains('n'))
            .ignore_whitespace(options.contains('x'))
            .build();
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            invalid(text.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        Ok(Compiled { regex, global })
    })
}

/// Byte offset of a position that counts characters from 1. `22023`
fn start_of(text: &str, position: i32) -> Result<Option<usize>, Plain> {
    let skip =
        usize::try_from(position - 1).ok().filter(|_| position > 0).ok_or_else(|| bad_parameter("start", position))?;
    Ok(if skip == 0 { Some(0) } else { text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(skip) })
}

fn bad_parameter(name: &str, value: i32) -> Plain {
    let message = format!("invalid value for parameter \"{name}\": {value}");
    Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// What stands for a match: `\1` to `\9` are groups, `\&` the whole.
fn replacement(template: &str, found: &Captures<'_>, out: &mut String) {
    let mut letters = template.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(digit @ '1'..='9') => {
                let group = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                out.push_str(group.and_then(|group| found.get(group)).map_or("", |group| group.as_str()));
            }
            Some('&') => out.push_str(found.get(0).map_or("", |whole| whole.as_str())),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

/// Replaces the match of a number, or all if that is 0.
fn replaced(text: &str, with: &Compiled, template: &str, start: i32, number: i32) -> Result<String, Plain> {
    if number < 0 {
        return Err(bad_parameter("n", number));
    }
    let Some(start) = start_of(text, start)? else { return Ok(text.to_owned()) };
    let mut out = text.get(..start).unwrap_or_default().to_owned();
    let mut behind = start;
    for (count, found) in with.regex.captures_iter(text).filter(|found| began_from(found, start)).enumerate() {
        let wanted = number == 0 || usize::try_from(number).is_ok_and(|number| count + 1 == number);
        if let Some(whole) = found.get(0).filter(|_| wanted) {
            out.push_str(text.get(behind..whole.start()).unwrap_or_default());
            replacement(template, &found, &mut out);
            behind = whole.end();
            if number != 0 {
                break;
            }
        }
    }
    out.push_str(text.get(behind..).unwrap_or_default());
    Ok(out)
}

fn began_from(found: &Captures<'_>, start: usize) -> bool {
    found.get(0).is_some_and(|whole| whole.start() >= start)
}

/// The groups of a match, or the whole if there are none.
fn groups(found: &Captures<'_>) -> Vec<Option<String>> {
    let all = found.len();
    let wanted = if all == 1 { 0..1 } else { 1..all };
    wanted.map(|group| found.get(group).map(|group| group.as_str().to_owned())).collect()
}

/// The place, in bytes, of a match or one of its groups.
fn found_at(text: &str, with: &Compiled, start: i32, number: i32, group: i32) -> Result<Option<(usize, usize)>, Plain> {
    let Some(start) = start_of(text, start)? else { return Ok(None) };
    let skip = usize::try_from(number - 1).ok().filter(|_| number > 0).ok_or_else(|| bad_parameter("n", number))?;
    let group = usize::try_from(group).map_err(|_negative| bad_parameter("subexpr", group))?;
    let found = with.regex.captures_iter(text).filter(|found| began_from(found, start)).nth(skip);
    Ok(found.and_then(|found| found.get(group).map(|group| (group.start(), group.end()))))
}

fn characters(text: &str, bytes: usize) -> i32 {
    let count = text.get(..bytes).unwrap_or_default().chars().count();
    i32::try_from(count).map_or(i32::MAX, |count| count + 1)
}

fn place(text: &str, with: &Compiled, start: i32, number: i32, end: i32, group: i32) -> Result<i32, Plain> {
    if !(0..=1).contains(&end) {
        return Err(bad_parameter("endoption", end));
    }
    let found = found_at(text, with, start, number, group)?;
    Ok(found.map_or(0, |(first, behind)| characters(text, if end == 0 { first } else { behind })))
}

fn part(text: &str, with: &Compiled, start: i32, number: i32, group: i32) -> Result<Option<String>, Plain> {
    let found = found_at(text, with, start, number, group)?;
    Ok(found.and_then(|(first, behind)| text.get(first..behind)).map(ToOwned::to_owned))
}

fn count(text: &str, with: &Compiled, start: i32) -> Result<i32, Plain> {
    let Some(start) = start_of(text, start)? else { return Ok(0) };
    let all = with.regex.find_iter(text).filter(|found| found.start() >= start).count();
    Ok(i32::try_from(all).unwrap_or(i32::MAX))
}

/// What is between matches. An empty match splits between characters, but not at the ends.
fn split(text: &str, with: &Compiled) -> Vec<Option<String>> {
    let mut parts = Vec::new();
    let mut behind = 0;
    for found in with.regex.find_iter(text) {
        if found.is_empty() && (found.start() == behind || found.end() == text.len()) {
            continue;
        }
        parts.push(text.get(behind..found.start()).map(ToOwned::to_owned));
        behind = found.end();
    }
    parts.push(text.get(behind..).map(ToOwned::to_owned));
    parts
}

/// The regular expression that matches all of what a pattern of SIMILAR TO does. `escape`: makes the next character one of
/// the text; empty: none does. `22019`
fn similar(pattern: &str, escape: &str) -> Result<String, Plain> {
    let mut letters = escape.chars();
    let (escape, None) = (letters.next(), letters.next()) else {
        let error = Plain::new(SqlState::INVALID_ESCAPE_CHARACTER, "invalid escape string");
        return Err(error.hint("Escape string must be empty or one character."));
    };
    let (mut out, mut in_set, mut escaped) = (String::from("^(?:"), false, false);
    for letter in pattern.chars() {
        if escaped {
            out.push('\\');
            out.push(letter);
            escaped = false;
            continue;
        }
        match letter {
            letter if Some(letter) == escape => escaped = true,
            ']' if in_set => {
                in_set = false;
                out.push(']');
            }
            '\\' => out.push_str(r"\\"),
            letter if in_set => out.push(letter),
            '[' => {
                in_set = true;
                out.push('[');
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
    }
    out.push_str(")$");
    Ok(out)
}

#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn functions() -> Vec<Named> {
    const ONE: Option<&str> = Some("");
    vec![
        // What the engine's operators take.
        ("regex_of", super::super::f1::<Text, _>(|_, pattern| Ok(translated(pattern)))),
        ("similar_to_escape", super::super::f1::<Text, _>(|_, pattern| similar(pattern, "\\"))),
        ("similar_to_escape", f2::<Text, Text, _>(|_, pattern, escape| similar(pattern, escape))),
        (
            "regexp_replace",
            f3::<Text, Text, Text, _>(|call, text, pattern, with| {
                replaced(text, &*compiled(call, pattern, "", ONE)?, with, 1, 1)
            }),
        ),
        (
            "regexp_replace",
            f4::<Text, Text, Text, Text, _>(|call, text, pattern, with, options| {
                let regex = compiled(call, pattern, options, None)?;
                replaced(text, &regex, with, 1, i32::from(!regex.global))
            }),
        ),
        (
            "regexp_replace",
            f4::<Text, Text, Text, i32, _>(|call, text, pattern, with, start| {
                replaced(text, &*compiled(call, pattern, "", ONE)?, with, start, 1)
            }),
        ),
        (
            "regexp_replace",
            f5::<Text, Text, Text, i32, i32, _>(|call, text, pattern, with, start, number| {
                replaced(text, &*compiled(call, pattern, "", ONE)?, with, start, number)
            }),
        ),
        (
            "regexp_replace",
            f6::<Text, Text, Text, i32, i32, Text, _>(|call, text, pattern, with, start, number, options| {
                replaced(text, &*compiled(call, pattern, options, None)?, with, start, number)
            }),
        ),
        (
            "regexp_match",
            f2::<Text, Text, _>(|call, text, pattern| {
                Ok(compiled(call, pattern, "", ONE)?.regex.captures(text).map(|found| groups(&found)))
            }),
        ),
        (
            "regexp_match",
            f3::<Text, Text, Text, _>(|call, text, pattern, options| {
                let regex = compiled(call, pattern, options, Some("regexp_match"))?;
                Ok(regex.regex.captures(text).map(|found| groups(&found)))
            }),
        ),
        (
            "regexp_like",
            f2::<Text, Text, _>(|call, text, pattern| Ok(compiled(call, pattern, "", ONE)?.regex.is_match(text))),
        ),
        (
            "regexp_like",
            f3::<Text, Text, Text, _>(|call, text, pattern, options| {
                Ok(compiled(call, pattern, options, Some("regexp_like"))?.regex.is_match(text))
            }),
        ),
        (
            "regexp_count",
            f2::<Text, Text, _>(|call, text, pattern| count(text, &*compiled(call, pattern, "", ONE)?, 1)),
        ),
        (
            "regexp_count",
            f3::<Text, Text, i32, _>(|call, text, pattern, start| {
                count(text, &*compiled(call, pattern, "", ONE)?, start)
            }),
        ),
        (
            "regexp_count",
            f4::<Text, Text, i32, Text, _>(|call, text, pattern, start, options| {
                count(text, &*compiled(call, pattern, options, Some("regexp_count"))?, start)
            }),
        ),
        (
            "regexp_instr",
            f2::<Text, Text, _>(|call, text, pattern| place(text, &*compiled(call, pattern, "", ONE)?, 1, 1, 0, 0)),
        ),
        (
            "regexp_instr",
            f3::<Text, Text, i32, _>(|call, text, pattern, start| {
                place(text, &*compiled(call, pattern, "", ONE)?, start, 1, 0, 0)
            }),
        ),
        (
            "regexp_instr",
            f4::<Text, Text, i32, i32, _>(|call, text, pattern, start, number| {
                place(text, &*compiled(call, pattern, "", ONE)?, start, number, 0, 0)
            }),
        ),
        (
            "regexp_instr",
            f5::<Text, Text, i32, i32, i32, _>(|call, text, pattern, start, number, end| {
                place(text, &*compiled(call, pattern, "", ONE)?, start, number, end, 0)
            }),
        ),
        (
            "regexp_instr",
            f6::<Text, Text, i32, i32, i32, Text, _>(|call, text, pattern, start, number, end, options| {
                place(text, &*compiled(call, pattern, options, Some("regexp_instr"))?, start, number, end, 0)
            }),
        ),
        (
            "regexp_instr",
            f7::<Text, Text, i32, i32, i32, Text, i32, _>(|call, text, pattern, start, number, end, options, group| {
                place(text, &*compiled(call, pattern, options, Some("regexp_instr"))?, start, number, end, group)
            }),
        ),
        (
            "regexp_substr",
            f2::<Text, Text, _>(|call, text, pattern| part(text, &*compiled(call, pattern, "", ONE)?, 1, 1, 0)),
        ),
        (
            "regexp_substr",
            f3::<Text, Text, i32, _>(|call, text, pattern, start| {
                part(text, &*compiled(call, pattern, "", ONE)?, start, 1, 0)
            }),
        ),
        (
            "regexp_substr",
            f4::<Text, Text, i32, i32, _>(|call, text, pattern, start, number| {
                part(text, &*compiled(call, pattern, "", ONE)?, start, number, 0)
            }),
        ),
        (
            "regexp_substr",
            f5::<Text, Text, i32, i32, Text, _>(|call, text, pattern, start, number, options| {
                part(text, &*compiled(call, pattern, options, Some("regexp_substr"))?, start, number, 0)
            }),
        ),
        (
            "regexp_substr",
            f6::<Text, Text, i32, i32, Text, i32, _>(|call, text, pattern, start, number, options, group| {
                part(text, &*compiled(call, pattern, options, Some("regexp_substr"))?, start, number, group)
            }),
        ),
        (
            "regexp_split_to_table",
            f2::<Text, Text, _>(|call, text, pattern| Ok(split(text, &*compiled(call, pattern, "", ONE)?))),
        ),
        (
            "regexp_split_to_table",
            f3::<Text, Text, Text, _>(|call, text, pattern, options| {
                Ok(split(text, &*compiled(call, pattern, options, Some("regexp_split_to_table"))?))
            }),
        ),
        (
            "regexp_split_to_array",
            f2::<Text, Text, _>(|call, text, pattern| Ok(split(text, &*compiled(call, pattern, "", ONE)?))),
        ),
        (
            "regexp_split_to_array",
            f3::<Text, Text, Text, _>(|call, text, pattern, options| {
                Ok(split(text, &*compiled(call, pattern, options, Some("regexp_split_to_array"))?))
            }),
        ),
        (
            "substring",
            f2::<Text, Text, _>(|call, text, pattern| {
                let regex = compiled(call, pattern, "", ONE)?;
                let group = i32::from(regex.regex.captures_len() > 1);
                part(text, &regex, 1, 1, group)
            }),
        ),
    ]
}
