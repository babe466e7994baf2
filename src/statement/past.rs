//! Tables as they were: `t AT (VERSION => n)`, `t AT (TIMESTAMP => 'time')`, `t FOR SYSTEM_TIME AS OF 'time'`. Such a table
//! gets a name that no statement can spell, which says what was asked for.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::text::{SyntaxError, Text};
use crate::name::fold;

/// A moment in a table's history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AsOf {
    /// The number of a snapshot.
    Version(i64),
    /// Text of a timestamp, read in the session's time zone.
    Time(String),
    /// Not one moment: `table_changes('table', from, to)`.
    Changes {
        /// The table's name as written.
        table: String,
        /// The number of the first snapshot whose changes are asked for.
        from: i64,
        /// That of the last.
        to: i64,
    },
}

/// Between a table's name and a moment.
const MARK: char = '\u{3}';

/// The table's own name and the moment, of a table that is asked for as it was.
pub fn as_it_was(name: &str) -> Option<(&str, AsOf)> {
    let (name, moment) = name.split_once(MARK)?;
    let (kind, text) = moment.split_at_checked(1)?;
    let moment = match kind {
        "v" => AsOf::Version(text.parse().ok()?),
        "t" => AsOf::Time(text.to_owned()),
        "c" => {
            let mut parts = text.splitn(3, ':');
            let (from, to) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            AsOf::Changes { table: parts.next()?.to_owned(), from, to }
        }
        _ => return None,
    };
    Some((name, moment))
}

/// Words that come after a table and are no alias of it.
const NO_ALIAS: &[&str] = &[
    "as",
    "where",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "on",
    "using",
    "group",
    "order",
    "limit",
    "offset",
    "fetch",
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "for",
    "returning",
    "when",
    "set",
    "with",
];

/// Gives tables that are asked for as they were their names.
pub(super) fn with_moments(text: &Text, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SyntaxError> {
    if !tokens.iter().any(may_begin) {
        return Ok(tokens);
    }
    let mut written: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        if !may_begin(token) {
            written.push(token.clone());
            continue;
        }
        if let Some(name) = history(text, token, &mut rest)? {
            let shown = match &token.token {
                Token::Word(word) => fold(&word.value),
                _ => String::new(),
            };
            let has_alias = is_alias(rest.as_slice().first());
            let span = token.span;
            written.push(TokenWithSpan { token: Token::Word(quoted(name)), span });
            if !has_alias {
                let alias = [Token::make_keyword("AS"), Token::Word(quoted(shown))];
                written.extend(alias.map(|token| TokenWithSpan { token, span }));
            }
            continue;
        }
        let Some(moment) = moment(text, token, &mut rest)? else {
            written.push(token.clone());
            continue;
        };
        let Some(TokenWithSpan { token: Token::Word(table), span }) = written.last_mut() else {
            return Err(SyntaxError::Near {
                near: token.token.to_string(),
                position: text.at(token.span.start),
                detail: None,
            });
        };
        let name = if table.quote_style.is_some() { table.value.clone() } else { fold(&table.value) };
        let shown = match &moment {
            AsOf::Version(number) => format!("v{number}"),
            AsOf::Time(time) => format!("t{time}"),
            AsOf::Changes { table, from, to } => changes_text(table, *from, *to),
        };
        *table = quoted(format!("{name}{MARK}{shown}"));
        let span = *span;
        if !is_alias(rest.as_slice().first()) {
            let alias = [Token::make_keyword("AS"), Token::Word(quoted(name))];
            written.extend(alias.map(|token| TokenWithSpan { token, span }));
        }
    }
    Ok(written)
}

/// Whether a token may be the first of a moment or of a function over the history.
fn may_begin(token: &TokenWithSpan) -> bool {
    let Token::Word(word) = &token.token else { return false };
    let name = fold(&word.value);
    word.quote_style.is_none()
        && (["at", "for", CHANGES].contains(&name.as_str()) || RELATIONS.iter().any(|(function, _)| *function == name))
}

fn is_alias(next: Option<&TokenWithSpan>) -> bool {
    match next.map(|next| &next.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            let word = fold(&word.value);
            word == "as" || !NO_ALIAS.contains(&word.as_str())
        }
        Some(Token::Word(_)) => true,
        _ => false,
    }
}

fn changes_text(table: &str, from: i64, to: i64) -> String {
    format!("c{from}:{to}:{table}")
}

/// The name of the relation that `snapshots()`, `audit_verify()` or `table_changes('table', from, to)` stands for, if that begins with
/// `first`; then `rest` is what follows.
fn history(
    text: &Text,
    first: &TokenWithSpan,
    rest: &mut std::slice::Iter<'_, TokenWithSpan>,
) -> Result<Option<String>, SyntaxError> {
    let Token::Word(word) = &first.token else { return Ok(None) };
    let name = if word.quote_style.is_none() { fold(&word.value) } else { return Ok(None) };
    let relation = RELATIONS.iter().find(|(function, _)| *function == name).map(|(_, relation)| *relation);
    if relation.is_none() && name != CHANGES {
        return Ok(None);
    }
    let mut ahead = rest.clone();
    if ahead.next().is_none_or(|token| token.token != Token::LParen) {
        return Ok(None);
    }
    if let Some(relation) = relation {
        if ahead.next().is_none_or(|token| token.token != Token::RParen) {
            return Ok(None);
        }
        *rest = ahead;
        return Ok(Some(relation.to_owned()));
    }
    let arguments: Vec<&Token> = ahead.by_ref().map(|token| &token.token).take(6).collect();
    let [
        Token::SingleQuotedString(table),
        Token::Comma,
        Token::Number(from, _),
        Token::Comma,
        Token::Number(to, _),
        Token::RParen,
    ] = arguments.as_slice()
    else {
        let feature = "table_changes without a table's name and the numbers of two snapshots as literals".to_owned();
        return Err(SyntaxError::Unsupported { feature, position: text.at(first.span.start) });
    };
    let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { return Ok(None) };
    *rest = ahead;
    Ok(Some(format!("{name}{MARK}{}", changes_text(table, from, to))))
}

/// The function whose arguments are a table's name and two snapshots.
const CHANGES: &str = "table_changes";

/// Functions without arguments that stand for relations.
const RELATIONS: &[(&str, &str)] = &[("snapshots", "boathouse_snapshots"), ("audit_verify", "boathouse_audit_trail")];

fn quoted(value: String) -> Word {
    Word { value, quote_style: Some('"'), keyword: sqlparser::keywords::Keyword::NoKeyword }
}

/// What begins with `first`, if that is a moment; then `rest` is what follows.
fn moment(
    text: &Text,
    first: &TokenWithSpan,
    rest: &mut std::slice::Iter<'_, TokenWithSpan>,
) -> Result<Option<AsOf>, SyntaxError> {
    let word = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => fold(&word.value),
        _ => String::new(),
    };
    let unsupported = |token: &TokenWithSpan| SyntaxError::Unsupported {
        feature: "a moment that is not a literal".to_owned(),
        position: text.at(token.span.start),
    };
    let mut ahead = rest.clone();
    match word(first).as_str() {
        "at" => {
            let [Some(open), Some(kind), Some(arrow)] = [ahead.next(), ahead.next(), ahead.next()] else {
                return Ok(None);
            };
            if open.token != Token::LParen || arrow.token != Token::RArrow {
                return Ok(None);
            }
            let version = match word(kind).as_str() {
                "version" => true,
                "timestamp" => false,
                _ => return Err(unsupported(kind)),
            };
            let mut value = ahead.next();
            if !version
                && value.as_ref().is_some_and(|token| ["timestamp", "timestamptz"].contains(&word(token).as_str()))
            {
                value = ahead.next();
            }
            let Some(value) = value else { return Err(unsupported(kind)) };
            let moment = match (&value.token, version) {
                (Token::Number(digits, _), true) => AsOf::Version(digits.parse().map_err(|_large| unsupported(value))?),
                (Token::SingleQuotedString(time), false) => AsOf::Time(time.clone()),
                _ => return Err(unsupported(value)),
            };
            match ahead.next() {
                Some(close) if close.token == Token::RParen => {}
                _ => return Err(unsupported(value)),
            }
            *rest = ahead;
            Ok(Some(moment))
        }
        "for" => {
            for wanted in ["system_time", "as", "of"] {
                if ahead.next().is_none_or(|token| word(token) != wanted) {
                    return Ok(None);
                }
            }
            let mut value = ahead.next();
            if value.as_ref().is_some_and(|token| ["timestamp", "timestamptz"].contains(&word(token).as_str())) {
                value = ahead.next();
            }
            match value {
                Some(TokenWithSpan { token: Token::SingleQuotedString(time), .. }) => {
                    *rest = ahead;
                    Ok(Some(AsOf::Time(time.clone())))
                }
                Some(other) => Err(unsupported(other)),
                None => Err(unsupported(first)),
            }
        }
        _ => Ok(None),
    }
}
