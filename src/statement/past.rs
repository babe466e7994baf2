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
}

/// Between a table's name and a moment.
const MARK: char = '\u{3}';

/// The table's own name and the moment, of a table that is asked for as it was.
pub fn as_it_was(name: &str) -> Option<(&str, AsOf)> {
    let (name, moment) = name.split_once(MARK)?;
    Some((
        name,
        match moment.strip_prefix('v') {
            Some(number) => AsOf::Version(number.parse().ok()?),
            None => AsOf::Time(moment.strip_prefix('t')?.to_owned()),
        },
    ))
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
    let mut written: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let mut ahead = rest.clone();
        let Some(moment) = moment(text, &token, &mut ahead)? else {
            written.push(token);
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
        };
        *table = quoted(format!("{name}{MARK}{shown}"));
        let span = *span;
        rest = ahead;
        let has_alias = match rest.peek().map(|next| &next.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                let word = fold(&word.value);
                word == "as" || !NO_ALIAS.contains(&word.as_str())
            }
            Some(Token::Word(_)) => true,
            _ => false,
        };
        if !has_alias {
            let alias = [Token::make_keyword("AS"), Token::Word(quoted(name))];
            written.extend(alias.map(|token| TokenWithSpan { token, span }));
        }
    }
    Ok(written)
}

fn quoted(value: String) -> Word {
    Word { value, quote_style: Some('"'), keyword: sqlparser::keywords::Keyword::NoKeyword }
}

/// What begins with `first`, if that is a moment; then `rest` is what follows.
fn moment(
    text: &Text,
    first: &TokenWithSpan,
    rest: &mut (impl Iterator<Item = TokenWithSpan> + Clone),
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
            let version = match word(&kind).as_str() {
                "version" => true,
                "timestamp" => false,
                _ => return Err(unsupported(&kind)),
            };
            let mut value = ahead.next();
            if !version
                && value.as_ref().is_some_and(|token| ["timestamp", "timestamptz"].contains(&word(token).as_str()))
            {
                value = ahead.next();
            }
            let Some(value) = value else { return Err(unsupported(&kind)) };
            let moment = match (&value.token, version) {
                (Token::Number(digits, _), true) => {
                    AsOf::Version(digits.parse().map_err(|_large| unsupported(&value))?)
                }
                (Token::SingleQuotedString(time), false) => AsOf::Time(time.clone()),
                _ => return Err(unsupported(&value)),
            };
            match ahead.next() {
                Some(close) if close.token == Token::RParen => {}
                _ => return Err(unsupported(&value)),
            }
            *rest = ahead;
            Ok(Some(moment))
        }
        "for" => {
            for wanted in ["system_time", "as", "of"] {
                if ahead.next().is_none_or(|token| word(&token) != wanted) {
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
                    Ok(Some(AsOf::Time(time)))
                }
                Some(other) => Err(unsupported(&other)),
                None => Err(unsupported(first)),
            }
        }
        _ => Ok(None),
    }
}
