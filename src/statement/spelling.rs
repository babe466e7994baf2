//! What PostgreSQL spells in a way that sqlparser reads as something else, or not at all: tokens in the place of others.

use std::iter::Peekable;
use std::vec::IntoIter;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::text::{SyntaxError, Text};
use crate::error::SqlState;
use crate::types::PgType;

/// `0x1F`, `0o17`, `0b101`; `value ISNULL`; `TRIM(LEADING FROM text)`; `FOR NO KEY UPDATE`, `FOR KEY SHARE`;
/// `FROM ONLY table`; `inet '…'`; `FETCH FIRST (1 + 1) ROWS ONLY`; `FOR UPDATE OF a, b`; `ON CONFLICT (lower(a)) WHERE b`, whose
/// text becomes the name of a constraint ([`INFERRED`]). `42601` for letters right after a number.
pub(super) fn respelled(text: &Text, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SyntaxError> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let token_span = token.span;
        match &token.token {
            Token::HexStringLiteral(digits) => {
                let begins = text.byte(token.span.start.line, token.span.start.column);
                let is_number = begins.is_some_and(|at| text.sql().get(at..).is_some_and(|rest| rest.starts_with('0')));
                if !is_number {
                    let position = text.at(token.span.start);
                    return Err(SyntaxError::Unsupported { feature: "a bit string".to_owned(), position });
                }
                let number = number(digits, 16).ok_or_else(|| junk(text, &token, &format!("0x{digits}")))?;
                out.push(TokenWithSpan { token: Token::Number(number, false), ..token });
            }
            Token::SingleQuotedByteStringLiteral(_) => {
                let position = text.at(token.span.start);
                return Err(SyntaxError::Unsupported { feature: "a bit string".to_owned(), position });
            }
            Token::Number(digits, _) => {
                let next = rest.peek().filter(|next| next.span.start == token.span.end);
                let word = next.and_then(|next| match &next.token {
                    Token::Word(word) if word.quote_style.is_none() => Some(word.value.clone()),
                    _ => None,
                });
                let Some(word) = word else {
                    out.push(token);
                    continue;
                };
                let base = match word.get(..1).map(str::to_ascii_lowercase).as_deref() {
                    Some("o") => 8,
                    Some("b") => 2,
                    Some("x") => 16,
                    _ => 0,
                };
                let value = word.get(1..).filter(|_| digits == "0" && base > 0).and_then(|rest| number(rest, base));
                let value = value.ok_or_else(|| junk(text, &token, &format!("{digits}{word}")))?;
                out.push(TokenWithSpan { token: Token::Number(value, false), ..token });
                rest.next();
            }
            Token::Word(word)
                if word.quote_style.is_none()
                    && word.value.eq_ignore_ascii_case("isnull")
                    && out.last().is_some_and(ends_operand)
                    && rest.peek().is_none_or(|next| !matches!(next.token, Token::LParen | Token::Period)) =>
            {
                out.push(TokenWithSpan { token: Token::make_keyword("IS"), span: token.span });
                out.push(TokenWithSpan { token: Token::make_keyword("NULL"), span: token.span });
            }
            // `inet '…'`: the parser knows the names of fewer types.
            Token::Word(word)
                if word.quote_style.is_none()
                    && PgType::from_typname(&word.value.to_ascii_lowercase()).is_some_and(|pg| pg.is_network())
                    && rest.peek().is_some_and(|next| matches!(next.token, Token::SingleQuotedString(_))) =>
            {
                let at = |token| TokenWithSpan { token, span: token_span };
                out.extend([at(Token::make_keyword("CAST")), at(Token::LParen)]);
                out.extend(rest.next());
                out.extend([at(Token::make_keyword("AS")), token, at(Token::RParen)]);
            }
            // No table has others that inherit from it.
            Token::Word(word)
                if word.quote_style.is_none()
                    && word.value.eq_ignore_ascii_case("only")
                    && out.last().is_some_and(|last| matches!(keyword(last), Keyword::FROM | Keyword::JOIN))
                    && rest.peek().is_some_and(|next| matches!(next.token, Token::Word(_))) => {}
            // Locks that leave more to others are taken for the next stronger ones.
            Token::Word(word) if ends_weaker_lock(&out, word.keyword) => {
                while out.last().is_some_and(|last| keyword(last) != Keyword::FOR) {
                    out.pop();
                }
                out.push(token);
            }
            Token::Word(word) if word.keyword == Keyword::FETCH && !out.is_empty() => {
                let Some((count, with_ties)) = fetched(&mut rest) else {
                    out.push(token);
                    continue;
                };
                let keyword = |word| TokenWithSpan { token: Token::make_keyword(word), span: token.span };
                out.push(keyword("LIMIT"));
                out.extend(count);
                if with_ties {
                    out.extend(["FETCH", "FIRST", "ROWS", "WITH", "TIES"].map(keyword));
                }
            }
            Token::LParen if let Some(target) = conflict_target(text, &out, &token, &mut rest) => {
                let word = |token| TokenWithSpan { token, ..target };
                out.extend(["ON", "CONSTRAINT"].map(|keyword| word(Token::make_keyword(keyword))));
                out.push(target.clone());
            }
            // One clause for each table.
            Token::Comma if let Some(lock) = locks_table(&out) => {
                let clause = [Keyword::FOR, lock, Keyword::OF].map(|word| Token::make_keyword(&format!("{word:?}")));
                out.extend(clause.map(|word| TokenWithSpan { token: word, span: token.span }));
            }
            Token::Word(word) if word.keyword == Keyword::FROM && begins_trim(&out) => {
                // Blanks are what is trimmed if nothing is said.
                out.push(TokenWithSpan { token: Token::SingleQuotedString(" ".to_owned()), span: token.span });
                out.push(token);
            }
            _ => out.push(token),
        }
    }
    Ok(out)
}

/// What the name of a constraint begins with that is the text of what an index is inferred from. No statement can spell it.
pub(super) const INFERRED: char = '\u{2}';

/// What follows ON CONFLICT, as a name, unless it is columns alone.
fn conflict_target(
    text: &Text,
    before: &[TokenWithSpan],
    open: &TokenWithSpan,
    rest: &mut Peekable<IntoIter<TokenWithSpan>>,
) -> Option<TokenWithSpan> {
    let [.., on, conflict] = before else { return None };
    let begins = keyword(on) == Keyword::ON && keyword(conflict) == Keyword::CONFLICT;
    if !begins {
        return None;
    }
    let mut ahead = rest.clone();
    let (mut depth, mut is_plain, mut end) = (1, true, open.span.end);
    while ahead.peek().is_some_and(|next| depth > 0 || keyword(next) != Keyword::DO) {
        let token = ahead.next()?;
        end = token.span.end;
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF | Token::SemiColon => return None,
            Token::Word(_) | Token::Comma if depth == 1 => continue,
            _ => {}
        }
        is_plain &= depth == 0 && token.token == Token::RParen;
    }
    if is_plain {
        return None;
    }
    let start = text.byte(open.span.start.line, open.span.start.column)?;
    let source = text.slice(start, text.byte(end.line, end.column)?);
    *rest = ahead;
    let name = sqlparser::ast::Ident::with_quote('"', format!("{INFERRED}{source}"));
    Some(TokenWithSpan { token: Token::make_word(&name.value, name.quote_style), span: open.span })
}

/// What follows FETCH in a query: how many rows, and whether with those that are alike to the last. `None`: it is another FETCH.
fn fetched(rest: &mut Peekable<IntoIter<TokenWithSpan>>) -> Option<(Vec<TokenWithSpan>, bool)> {
    let mut ahead = rest.clone();
    ahead.next().filter(|next| matches!(keyword(next), Keyword::FIRST | Keyword::NEXT))?;
    let (mut count, mut depth) = (Vec::new(), 0);
    let rows = loop {
        let token = ahead.next()?;
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF | Token::SemiColon => return None,
            _ if depth == 0 && matches!(keyword(&token), Keyword::ROW | Keyword::ROWS) => break token,
            _ => {}
        }
        count.push(token);
    };
    let with_ties = match keyword(&ahead.next()?) {
        Keyword::ONLY => false,
        Keyword::WITH if keyword(&ahead.next()?) == Keyword::TIES => true,
        _ => return None,
    };
    if count.is_empty() {
        count.push(TokenWithSpan { token: Token::Number("1".to_owned(), false), ..rows });
    }
    *rest = ahead;
    Some((count, with_ties))
}

/// The number that digits of a base are, in decimal.
fn number(digits: &str, base: u32) -> Option<String> {
    let separated = !digits.contains("__") && !digits.ends_with('_');
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    u128::from_str_radix(&digits, base).ok().filter(|_| separated).map(|number| number.to_string())
}

fn junk(text: &Text, token: &TokenWithSpan, near: &str) -> SyntaxError {
    SyntaxError::Invalid {
        message: format!("trailing junk after numeric literal at or near \"{near}\""),
        code: SqlState::SYNTAX_ERROR,
        position: text.at(token.span.start),
    }
}

/// Whether a value ends with a token.
fn ends_operand(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Word(word) => {
            word.quote_style.is_some()
                || matches!(
                    word.keyword,
                    Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::END
                )
        }
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) | Token::RParen | Token::RBracket => {
            true
        }
        _ => false,
    }
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Whether tokens end with `FOR NO KEY` before UPDATE, or with `FOR KEY` before SHARE.
fn ends_weaker_lock(tokens: &[TokenWithSpan], last: Keyword) -> bool {
    let is = |token: &TokenWithSpan, word: Keyword| keyword(token) == word;
    match (tokens, last) {
        ([.., begin, no, key], Keyword::UPDATE) => {
            is(begin, Keyword::FOR) && is(no, Keyword::NO) && is(key, Keyword::KEY)
        }
        ([.., begin, key], Keyword::SHARE) => is(begin, Keyword::FOR) && is(key, Keyword::KEY),
        _ => false,
    }
}

/// Whether tokens end with `FOR UPDATE OF name`, or with SHARE: with which.
fn locks_table(tokens: &[TokenWithSpan]) -> Option<Keyword> {
    match tokens {
        [.., begin, lock, of, name] if matches!(name.token, Token::Word(_)) => {
            let lock = keyword(lock);
            let is_lock = keyword(begin) == Keyword::FOR && keyword(of) == Keyword::OF;
            (is_lock && matches!(lock, Keyword::UPDATE | Keyword::SHARE)).then_some(lock)
        }
        _ => None,
    }
}

/// Whether tokens end with `TRIM (`, and maybe a side.
fn begins_trim(tokens: &[TokenWithSpan]) -> bool {
    let before = match tokens {
        [before @ .., last] if matches!(keyword(last), Keyword::LEADING | Keyword::TRAILING | Keyword::BOTH) => before,
        all => all,
    };
    matches!(before, [.., trim, open] if keyword(trim) == Keyword::TRIM && open.token == Token::LParen)
}
