//! Reading tokens: small steps that every command's parser is made of.

use std::sync::Arc;

use sqlparser::ast;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::Command;
use super::past::{AsOf, as_it_was, with_moments};
use super::spelling::respelled;
use super::text::{SyntaxError, Text};
use crate::error::SqlState;
use crate::name::{QualifiedName, fold};
use crate::types::{PgType, from_sql, unknown_collation};

static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};
/// What `*` in `(row).*` is called in a parsed query.
pub const ALL_COLUMNS: &str = "*";
/// Nesting of expressions and subqueries.
const DEPTH_MAX: usize = 200;
/// Operators in a row without parentheses: `1 + 1 + …`, and SELECTs between UNION and its like. Each is one level of
/// nesting that the parser does not count.
const CHAIN_MAX: usize = 1_000;
/// AND and OR in a row.
const LOGICAL_CHAIN_MAX: usize = 10_000;

pub(super) struct Cursor<'a> {
    parser: Parser<'a>,
    text: &'a Arc<Text>,
    /// Highest parameter number of each token, so that a statement knows its own.
    first_token: usize,
    parameters: Vec<(usize, usize)>,
    /// Moments of the past, each with its token.
    moments: Vec<(usize, AsOf)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a Arc<Text>) -> Result<Self, SyntaxError> {
        let tokens =
            Tokenizer::new(&DIALECT, text.sql()).tokenize_with_location().map_err(|error| token_error(text, &error))?;
        let tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        let tokens: Vec<_> = tokens.collect();
        refuse_own_names(text, &tokens)?;
        let tokens = respelled(text, tokens)?;
        let tokens = with_row_expansions(without_table_queries(with_moments(text, with_signs_apart(tokens))?));
        let moments = tokens.iter().enumerate().filter_map(|(index, token)| match &token.token {
            Token::Word(word) => Some((index, as_it_was(&word.value)?.1)),
            _ => None,
        });
        let moments = moments.collect();
        let parameters = tokens
            .iter()
            .enumerate()
            .filter_map(|(index, token)| match &token.token {
                Token::Placeholder(name) => Some((index, name.strip_prefix('$')?.parse().ok()?)),
                _ => None,
            })
            .collect();
        check_chains(text, &tokens)?;
        let parser = Parser::new(&DIALECT).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens);
        Ok(Self { parser, text, first_token: 0, parameters, moments })
    }

    pub(super) fn begin_statement(&mut self) {
        self.first_token = self.parser.index();
    }

    /// How many parameters the statement that ends here names.
    pub(super) fn parameters(&self) -> usize {
        let here = self.first_token..self.parser.index();
        self.parameters.iter().filter(|(index, _)| here.contains(index)).map(|(_, number)| *number).max().unwrap_or(0)
    }

    /// Moments of the past that the statement that ends here asks for.
    pub(super) fn moments(&self) -> Vec<AsOf> {
        let here = self.first_token..self.parser.index();
        self.moments.iter().filter(|(token, _)| here.contains(token)).map(|(_, moment)| moment.clone()).collect()
    }

    /// The whole message.
    pub(super) fn text(&self) -> &'a Arc<Text> {
        self.text
    }

    pub(super) fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    pub(super) fn at_statement_end(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::EOF | Token::SemiColon)
    }

    pub(super) fn semicolon(&mut self) -> bool {
        self.parser.consume_token(&Token::SemiColon)
    }
    pub(super) fn comma(&mut self) -> bool {
        self.parser.consume_token(&Token::Comma)
    }
    pub(super) fn equals(&mut self) -> bool {
        self.parser.consume_token(&Token::Eq)
    }
    pub(super) fn period(&mut self) -> bool {
        self.parser.consume_token(&Token::Period)
    }
    pub(super) fn left_parenthesis(&mut self) -> bool {
        self.parser.consume_token(&Token::LParen)
    }
    pub(super) fn peek_left_parenthesis(&self) -> bool {
        self.parser.peek_token_ref().token == Token::LParen
    }
    pub(super) fn expect_left_parenthesis(&mut self) -> Result<(), SyntaxError> {
        if self.left_parenthesis() { Ok(()) } else { Err(self.unexpected()) }
    }
    pub(super) fn expect_right_parenthesis(&mut self) -> Result<(), SyntaxError> {
        if self.parser.consume_token(&Token::RParen) { Ok(()) } else { Err(self.unexpected()) }
    }
    /// Whether a list goes on or ends here.
    pub(super) fn at_list_separator(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::Comma | Token::RParen)
    }
    pub(super) fn right_parenthesis(&mut self) -> bool {
        self.parser.consume_token(&Token::RParen)
    }
    pub(super) fn star(&mut self) -> bool {
        self.parser.consume_token(&Token::Mul)
    }

    /// Takes a sequence of unquoted words (given in lower case), or nothing.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| is_word(&self.parser.peek_nth_token(ahead), word));
        if found {
            for _ in words {
                self.parser.advance_token();
            }
        }
        found
    }

    /// Takes an unquoted word that a name follows, and none of the words that would end a list of names: then it is a name
    /// itself.
    pub(super) fn word_before_name(&mut self, word: &str) -> bool {
        let next = self.parser.peek_nth_token(1);
        let is_name = matches!(next.token, Token::Word(_)) && !is_word(&next, "to") && !is_word(&next, "from");
        is_name && self.words(&[word])
    }

    /// Whether the next token is one of these unquoted words.
    pub(super) fn peek_any(&self, words: &[&str]) -> bool {
        let next = self.parser.peek_token_ref();
        words.iter().any(|word| is_word(next, word))
    }

    pub(super) fn expect_words(&mut self, words: &[&str]) -> Result<(), SyntaxError> {
        for word in words {
            if !self.words(&[word]) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.words(&["if", "exists"])
    }
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.words(&["if", "not", "exists"])
    }

    /// An identifier, folded unless quoted.
    pub(super) fn ident(&mut self) -> Result<String, SyntaxError> {
        match &self.parser.peek_token_ref().token {
            Token::Word(word) => {
                let name = if word.quote_style.is_some() { word.value.clone() } else { fold(&word.value) };
                self.parser.advance_token();
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `COLLATE name`, if it is there: texts are in the order of their bytes, whichever name that goes by. `42704` for another.
    pub(super) fn collation(&mut self) -> Result<(), SyntaxError> {
        if !self.words(&["collate"]) {
            return Ok(());
        }
        let position = self.position();
        let name = self.qualified_name()?;
        match unknown_collation(&name.name) {
            None => Ok(()),
            Some(message) => Err(SyntaxError::Invalid { message, code: SqlState::UNDEFINED_OBJECT, position }),
        }
    }

    /// `[schema.]name`, also with the database's name before it.
    pub(super) fn qualified_name(&mut self) -> Result<QualifiedName, SyntaxError> {
        let mut parts = vec![self.ident()?];
        while self.period() {
            parts.push(self.ident()?);
        }
        match parts.as_mut_slice() {
            [name] => Ok(QualifiedName::bare(std::mem::take(name))),
            [schema, name] | [_, schema, name] => Ok(QualifiedName::new(std::mem::take(schema), std::mem::take(name))),
            _ => Err(self.unexpected()),
        }
    }

    /// Items with commas between them.
    pub(super) fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = vec![item(self)?];
        while self.comma() {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( item, … )`.
    pub(super) fn parenthesized<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        self.expect_left_parenthesis()?;
        let items = self.list(item)?;
        self.expect_right_parenthesis()?;
        Ok(items)
    }

    /// A string constant in any of its forms.
    pub(super) fn string(&mut self) -> Result<String, SyntaxError> {
        let value = match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => {
                text.clone()
            }
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return Err(self.unexpected()),
        };
        self.parser.advance_token();
        Ok(value)
    }

    pub(super) fn peek_string(&self) -> bool {
        matches!(
            self.parser.peek_token_ref().token,
            Token::SingleQuotedString(_)
                | Token::EscapedStringLiteral(_)
                | Token::UnicodeStringLiteral(_)
                | Token::DollarQuotedString(_)
        )
    }

    pub(super) fn peek_number(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::Number(..) | Token::Minus)
    }

    pub(super) fn integer(&mut self) -> Result<i64, SyntaxError> {
        let negative = self.parser.consume_token(&Token::Minus);
        match &self.parser.peek_token_ref().token {
            Token::Number(digits, _) => {
                let value: i64 = digits.parse().map_err(|_not_an_integer| self.unexpected())?;
                self.parser.advance_token();
                Ok(if negative { -value } else { value })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A setting's value: a string, number or word, as text.
    pub(super) fn word_or_literal(&mut self) -> Result<String, SyntaxError> {
        if self.peek_string() {
            return self.string();
        }
        let negative = self.parser.consume_token(&Token::Minus);
        if let Token::Number(digits, _) = &self.parser.peek_token_ref().token {
            let value = if negative { format!("-{digits}") } else { digits.clone() };
            self.parser.advance_token();
            return Ok(value);
        }
        self.ident()
    }

    /// An expression, and its source text.
    pub(super) fn expression(&mut self) -> Result<(ast::Expr, String), SyntaxError> {
        self.parsed(Parser::parse_expr)
    }

    /// An expression that `IS`, `NOT NULL` and the like do not belong to, as a column's default; and its source text.
    pub(super) fn default_expression(&mut self) -> Result<(ast::Expr, String), SyntaxError> {
        self.parsed(|parser| parser.parse_subexpr(DIALECT.prec_value(Precedence::Is)))
    }

    /// An expression without operators behind it, such as a column or a call; and its source text.
    pub(super) fn operand(&mut self) -> Result<(ast::Expr, String), SyntaxError> {
        self.parsed(Parser::parse_prefix)
    }

    /// A table or a query in FROM, with its alias.
    pub(super) fn table_factor(&mut self) -> Result<ast::TableFactor, SyntaxError> {
        Ok(self.parsed(Parser::parse_table_factor)?.0)
    }

    /// What follows SET in UPDATE.
    pub(super) fn assignments(&mut self) -> Result<Vec<ast::Assignment>, SyntaxError> {
        Ok(self.parsed(|parser| parser.parse_comma_separated(Parser::parse_assignment))?.0)
    }

    /// What follows SELECT or RETURNING.
    pub(super) fn select_items(&mut self) -> Result<Vec<ast::SelectItem>, SyntaxError> {
        Ok(self.parsed(|parser| parser.parse_comma_separated(Parser::parse_select_item))?.0)
    }

    /// A query, and its source text.
    pub(super) fn query(&mut self) -> Result<(Box<ast::Query>, String), SyntaxError> {
        self.parsed(Parser::parse_query)
    }

    pub(super) fn data_type(&mut self) -> Result<PgType, SyntaxError> {
        let position = self.text.at(self.parser.peek_token_ref().span.start);
        let (sql, _source) = self.parsed(Parser::parse_data_type)?;
        let pg = from_sql(&sql).map_err(|error| {
            use crate::error::Report;
            SyntaxError::Invalid { code: error.sqlstate(), message: error.to_string(), position }
        })?;
        // `int ARRAY`, the standard's spelling.
        let array = !matches!(pg, PgType::Array(_)) && self.words(&["array"]);
        Ok(if array { PgType::Array(Box::new(pg)) } else { pg })
    }

    /// INSERT, UPDATE or DELETE.
    pub(super) fn modifying(&mut self) -> Result<Command, SyntaxError> {
        let (statement, _source) = self.parsed(Parser::parse_statement)?;
        match statement {
            ast::Statement::Insert(insert) => Ok(Command::Insert(Box::new(insert))),
            other => super::modify::from_statement(None, other).unwrap_or_else(|| Err(self.unexpected())),
        }
    }

    fn parsed<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>,
    ) -> Result<(T, String), SyntaxError> {
        let start = self.parser.peek_token_ref().span.start;
        let value = match parse(&mut self.parser) {
            Ok(value) => value,
            Err(ParserError::RecursionLimitExceeded) => {
                let message = "stack depth limit exceeded".to_owned();
                return Err(SyntaxError::Invalid { message, code: SqlState::PROGRAM_LIMIT_EXCEEDED, position: None });
            }
            Err(ParserError::ParserError(detail) | ParserError::TokenizerError(detail)) => {
                return Err(self.unexpected_with(Some(detail)));
            }
        };
        let end = self.parser.get_current_token().span.end;
        let source = match (self.text.byte(start.line, start.column), self.text.byte(end.line, end.column)) {
            (Some(start), Some(end)) => self.text.slice(start, end),
            _ => String::new(),
        };
        Ok((value, source))
    }

    /// The error at the next token.
    pub(super) fn unexpected(&self) -> SyntaxError {
        self.unexpected_with(None)
    }

    fn unexpected_with(&self, detail: Option<String>) -> SyntaxError {
        let token = self.parser.peek_token_ref();
        if token.token == Token::EOF {
            let position = Some(self.text.sql().chars().count() + 1);
            return SyntaxError::AtEnd { position };
        }
        let near = match (
            self.text.byte(token.span.start.line, token.span.start.column),
            self.text.byte(token.span.end.line, token.span.end.column),
        ) {
            (Some(start), Some(end)) => self.text.slice(start, end),
            _ => token.token.to_string(),
        };
        SyntaxError::Near { near, position: self.text.at(token.span.start), detail }
    }

    /// Of the next token.
    pub(super) fn position(&self) -> Option<usize> {
        self.text.at(self.parser.peek_token_ref().span.start)
    }

    /// An error at the next token.
    pub(super) fn invalid(&self, code: SqlState, message: &str) -> SyntaxError {
        SyntaxError::Invalid { message: message.to_owned(), code, position: self.position() }
    }

    /// `0A000` at the next token.
    pub(super) fn unsupported(&self, feature: &str) -> SyntaxError {
        SyntaxError::Unsupported { feature: feature.to_owned(), position: self.position() }
    }

    /// `0A000` if the next word starts something PostgreSQL knows, else a syntax error.
    pub(super) fn unsupported_or_unexpected(&self, verb: &str, known: &[&str]) -> SyntaxError {
        match &self.parser.peek_token_ref().token {
            Token::Word(word) if known.contains(&fold(&word.value).as_str()) => {
                let separator = if verb.is_empty() { "" } else { " " };
                self.unsupported(&format!("{verb}{separator}{}", word.value.to_ascii_uppercase()))
            }
            _ => self.unexpected(),
        }
    }
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// An operator ends with a sign only if it has one of the characters that SQL's own operators lack: `>=-` is `>=` and `-`.
/// Source: PostgreSQL's manual, “Operators” in “Lexical Structure”.
fn with_signs_apart(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut apart = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::CustomBinaryOperator(operator) = &token.token else {
            apart.push(token);
            continue;
        };
        let bare = operator.trim_end_matches(['+', '-']);
        let own = match bare {
            "=" => Some(Token::Eq),
            "<" => Some(Token::Lt),
            ">" => Some(Token::Gt),
            "<=" => Some(Token::LtEq),
            ">=" => Some(Token::GtEq),
            "<>" => Some(Token::Neq),
            "*" => Some(Token::Mul),
            "/" => Some(Token::Div),
            "->" => Some(Token::Arrow),
            "->>" => Some(Token::LongArrow),
            _ => None,
        };
        let Some(own) = own else {
            apart.push(token);
            continue;
        };
        apart.push(TokenWithSpan { token: own, span: token.span });
        let signs = operator.chars().skip(bare.len());
        let signs = signs.map(|sign| if sign == '-' { Token::Minus } else { Token::Plus });
        apart.extend(signs.map(|sign| TokenWithSpan { token: sign, span: token.span }));
    }
    apart
}

/// `(row).*` names a column that stands for all.
fn with_row_expansions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    for index in 2..tokens.len() {
        if let Some([before, dot, star]) = tokens.get_mut(index - 2..=index)
            && (&before.token, &dot.token, &star.token) == (&Token::RParen, &Token::Period, &Token::Mul)
        {
            star.token = Token::make_word(ALL_COLUMNS, Some('"'));
        }
    }
    tokens
}

/// `TABLE name`, where a query stands, is `SELECT * FROM name`.
fn without_table_queries(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(token, "table")) {
        return tokens;
    }
    let mut written: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut statement = 0;
    for (index, token) in tokens.iter().enumerate() {
        let before = tokens.get(statement..index).unwrap_or_default();
        if is_word(token, "table")
            && starts_query(before)
            && is_table_query(tokens.get(index + 1..).unwrap_or_default())
        {
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            written.extend(words.map(|word| TokenWithSpan { token: word, span: token.span }));
        } else {
            written.push(token.clone());
        }
        if token.token == Token::SemiColon {
            statement = index + 1;
        }
    }
    written
}

/// Whether a query may stand after these tokens, which a statement begins with.
fn starts_query(before: &[TokenWithSpan]) -> bool {
    let first = |word: &str| before.first().is_some_and(|token| is_word(token, word));
    let any = |words: &[&str], token: &TokenWithSpan| words.iter().any(|word| is_word(token, word));
    let no_query_yet = || !before.iter().any(|token| any(&["select", "values"], token));
    match before {
        [] => true,
        [.., last] if matches!(last.token, Token::LParen | Token::RParen) => true,
        [.., last] if any(&["union", "intersect", "except"], last) => true,
        [.., set, last] if any(&["all", "distinct"], last) => any(&["union", "intersect", "except"], set),
        [.., last] if any(&["explain", "analyze", "verbose"], last) => first("explain"),
        // Elsewhere it names a column.
        [.., last] if is_word(last, "as") => first("create") && no_query_yet(),
        _ => first("insert") && no_query_yet(),
    }
}

/// Names with control characters are the planner's own.
fn refuse_own_names(text: &Text, tokens: &[TokenWithSpan]) -> Result<(), SyntaxError> {
    let own =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.contains(char::is_control));
    match tokens.iter().find(own) {
        Some(token) => Err(SyntaxError::Unsupported {
            feature: "an identifier with control characters".to_owned(),
            position: text.at(token.span.start),
        }),
        None => Ok(()),
    }
}

/// Whether what follows TABLE is a name and what may stand after a query.
fn is_table_query(after: &[TokenWithSpan]) -> bool {
    const NEXT: &[&str] =
        &["order", "limit", "offset", "fetch", "for", "union", "intersect", "except", "with", "returning", "on"];
    let after = match after {
        [name, period, more, rest @ ..] if period.token == Token::Period && is_name(name) && is_name(more) => rest,
        [name, rest @ ..] if is_name(name) => rest,
        _ => return false,
    };
    match after.first() {
        None => true,
        Some(next) => {
            matches!(next.token, Token::EOF | Token::SemiColon | Token::RParen)
                || NEXT.iter().any(|word| is_word(next, word))
        }
    }
}

fn is_name(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Word(_))
}

fn token_error(text: &Text, error: &TokenizerError) -> SyntaxError {
    SyntaxError::Token { message: format!("syntax error: {}", error.message), position: text.at(error.location) }
}

/// `54001` for a chain of operators that is too long. A comma, a semicolon or a parenthesis ends a chain.
fn check_chains(text: &Text, tokens: &[TokenWithSpan]) -> Result<(), SyntaxError> {
    // For each open parenthesis: arithmetic and set operators, and logical ones.
    let mut open = vec![(0_usize, 0_usize)];
    for token in tokens {
        let nested = open.len() > 1;
        let Some((plain, logical)) = open.last_mut() else { return Ok(()) };
        match &token.token {
            Token::LParen | Token::LBracket => {
                open.push((0, 0));
                continue;
            }
            Token::RParen | Token::RBracket if nested => {
                open.pop();
                continue;
            }
            Token::Comma | Token::SemiColon => (*plain, *logical) = (0, 0),
            Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::StringConcat
            | Token::Caret
            | Token::Ampersand
            | Token::Pipe => *plain += 1,
            Token::Word(word) if word.quote_style.is_none() => match fold(&word.value).as_str() {
                "union" | "intersect" | "except" => *plain += 1,
                "and" | "or" => *logical += 1,
                _ => {}
            },
            _ => {}
        }
        if *plain > CHAIN_MAX || *logical > LOGICAL_CHAIN_MAX {
            return Err(SyntaxError::Invalid {
                message: "stack depth limit exceeded".to_owned(),
                code: SqlState::STATEMENT_TOO_COMPLEX,
                position: text.at(token.span.start),
            });
        }
    }
    Ok(())
}
