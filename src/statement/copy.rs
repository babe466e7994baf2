//! COPY, in PostgreSQL's new and old syntax.

use sqlparser::ast;

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::error::SqlState;
use crate::name::QualifiedName;

/// `COPY source FROM | TO target [WITH] (option, …)`, in the new or the old syntax.
#[derive(Clone, Debug)]
pub struct CopyStatement {
    /// The table or the query between COPY and FROM or TO.
    pub source: CopySource,
    /// The direction and the other end: the client or files.
    pub target: CopyTarget,
    /// Complete, with the format's defaults filled in, and checked against each other.
    pub options: CopyOptions,
    /// `WHERE condition`, for FROM only: which rows are kept. Over the table's columns.
    pub filter: Option<ast::Expr>,
}

/// What is copied.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// `COPY table [(column, …)]`, in either direction.
    Table {
        /// The table, as written: unresolved.
        name: QualifiedName,
        /// In the order of the data; empty: all columns of the table.
        columns: Vec<String>,
    },
    /// `COPY (query) TO`; with FROM it is a syntax error.
    Query(Box<ast::Query>),
}

/// Where it comes from or goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// `FROM STDIN`: the client sends the rows.
    FromStdin,
    /// `TO STDOUT`: the client gets the rows.
    ToStdout,
    /// `FROM 'location'`: files of the lake, for superusers. A URL or an absolute path, as written: not checked yet.
    FromLocation(String),
    /// `TO 'location'`: read here, refused by the planner with `0A000`.
    ToLocation(String),
}

/// How rows are written: `FORMAT`, or BINARY and CSV in the old syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// One line for each row, with backslash escapes; the default.
    Text,
    /// Comma-separated values, between quotes where needed; a value may contain line ends.
    Csv,
    /// PostgreSQL's binary COPY format.
    Binary,
    /// Files only.
    Parquet,
    /// Files only.
    Json,
}

/// `HEADER`: whether the data start with a line of column names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `false`, the default: there is no such line.
    None,
    /// `true`: COPY TO writes the line, COPY FROM passes over it.
    Present,
    /// Must name the columns.
    Match,
}

/// COPY's options; those that were not given have their format's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// `FORMAT`; if it was not given, what the name of the files says, or text between server and client.
    pub format: CopyFormat,
    /// `DELIMITER`: the byte between columns; if not given, a tab, or a comma for CSV.
    pub delimiter: u8,
    /// `NULL`: the text that stands for NULL; if not given, `\N`, or the empty text for CSV.
    pub null: String,
    /// `HEADER`; `Header::None` if it was not given.
    pub header: Header,
    /// `QUOTE`, for CSV only: the byte before and after a quoted value; `"` if not given.
    pub quote: u8,
    /// `ESCAPE`, for CSV only: the byte before a quote inside a quoted value; the quote itself if not given.
    pub escape: u8,
    /// `FORCE_QUOTE`, for CSV: columns whose values COPY TO always quotes, but for NULL. Empty if not given.
    pub force_quote: ColumnSet,
    /// `FORCE_NOT_NULL`, for CSV: columns where an unquoted null text is a value to COPY FROM. Empty if not given.
    pub force_not_null: ColumnSet,
    /// `FORCE_NULL`, for CSV: columns where a quoted null text is NULL to COPY FROM, too. Empty if not given.
    pub force_null: ColumnSet,
    /// Stands for a column's default value.
    pub default: Option<String>,
    /// `ON_ERROR ignore`: rows with values that are none of their columns' types are left out.
    pub on_error_ignore: bool,
    /// `REJECT_LIMIT`: how many rows may be left out; `None`: all.
    pub reject_limit: Option<u64>,
    /// `LOG_VERBOSITY`: what is said about rows that are left out.
    pub verbosity: Verbosity,
}

/// `LOG_VERBOSITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Silent,
    /// How many there were.
    #[default]
    Default,
    /// Also each row's line and what is wrong in it.
    Verbose,
}

/// Some columns, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSet {
    /// Those with these names, which may be none.
    Named(Vec<String>),
    /// `*`.
    All,
}

impl ColumnSet {
    /// Whether a column is one of them.
    pub fn contains(&self, column: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| name == column),
            Self::All => true,
        }
    }
}

/// Options as they are read, before defaults that depend on the format.
#[derive(Default)]
struct Given {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<ColumnSet>,
    force_not_null: Option<ColumnSet>,
    force_null: Option<ColumnSet>,
    default: Option<String>,
    on_error_ignore: Option<bool>,
    reject_limit: Option<i64>,
    verbosity: Verbosity,
}

pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let mut given = Given::default();
    if c.words(&["binary"]) {
        given.format = Some(CopyFormat::Binary);
    }
    let source = if c.left_parenthesis() {
        if !c.peek_any(&["select", "with", "values", "table"]) && !c.peek_left_parenthesis() {
            return Err(c.unsupported("COPY of this statement"));
        }
        let (query, _source) = c.query()?;
        c.expect_right_parenthesis()?;
        CopySource::Query(query)
    } else {
        let name = c.qualified_name()?;
        let columns = if c.peek_left_parenthesis() { c.parenthesized(Cursor::ident)? } else { Vec::new() };
        CopySource::Table { name, columns }
    };
    let from = c.words(&["from"]);
    if !from {
        c.expect_words(&["to"])?;
    }
    if from && matches!(source, CopySource::Query(_)) {
        return Err(c.unexpected());
    }
    let target = if c.words(&["program"]) {
        return Err(c.unsupported("COPY PROGRAM"));
    } else if c.peek_string() {
        let location = c.string()?;
        if from { CopyTarget::FromLocation(location) } else { CopyTarget::ToLocation(location) }
    } else if from {
        c.expect_words(&["stdin"])?;
        CopyTarget::FromStdin
    } else {
        c.expect_words(&["stdout"])?;
        CopyTarget::ToStdout
    };
    let _noise = c.words(&["with"]);
    if c.peek_left_parenthesis() {
        c.parenthesized(|c| Ok(option(c)))?.into_iter().try_for_each(|item| item.map(|set| set(&mut given)))?;
    } else {
        old_options(c, &mut given)?;
    }
    let where_position = c.position();
    let filter = if matches!(source, CopySource::Table { .. }) && c.words(&["where"]) {
        if !from {
            return Err(SyntaxError::Invalid {
                message: "WHERE clause not allowed with COPY TO".to_owned(),
                code: SqlState::SYNTAX_ERROR,
                position: where_position,
            });
        }
        Some(c.expression()?.0)
    } else {
        None
    };
    if let CopyTarget::FromLocation(location) = &target {
        given.format = Some(match given.format {
            Some(format) => format,
            None => format_by_name(location)?,
        });
    }
    Ok(Command::Copy(CopyStatement { source, target, options: finish(given, from)?, filter }))
}

type Setter = Box<dyn FnOnce(&mut Given)>;

/// One option of the new syntax.
fn option(c: &mut Cursor<'_>) -> Result<Setter, SyntaxError> {
    let name = c.ident()?;
    Ok(match name.as_str() {
        "format" => {
            let word = c.word_or_literal()?;
            let format = match word.to_ascii_lowercase().as_str() {
                "text" => CopyFormat::Text,
                "csv" => CopyFormat::Csv,
                "binary" => CopyFormat::Binary,
                "parquet" => CopyFormat::Parquet,
                "json" => CopyFormat::Json,
                _ => return Err(invalid(format!("COPY format \"{word}\" not recognized"))),
            };
            Box::new(move |given| given.format = Some(format))
        }
        "delimiter" => {
            let text = c.string()?;
            Box::new(move |given| given.delimiter = Some(text))
        }
        "null" => {
            let text = c.string()?;
            Box::new(move |given| given.null = Some(text))
        }
        "default" => {
            let text = c.string()?;
            Box::new(move |given| given.default = Some(text))
        }
        "quote" => {
            let text = c.string()?;
            Box::new(move |given| given.quote = Some(text))
        }
        "escape" => {
            let text = c.string()?;
            Box::new(move |given| given.escape = Some(text))
        }
        "header" => {
            let header = if c.at_list_separator() { Header::Present } else { header(&c.word_or_literal()?)? };
            Box::new(move |given| given.header = Some(header))
        }
        "force_quote" => {
            let columns = columns(c)?;
            Box::new(move |given| given.force_quote = Some(columns))
        }
        "force_not_null" => {
            let columns = columns(c)?;
            Box::new(move |given| given.force_not_null = Some(columns))
        }
        "force_null" => {
            let columns = columns(c)?;
            Box::new(move |given| given.force_null = Some(columns))
        }
        "encoding" => {
            let encoding = c.word_or_literal()?;
            if !matches!(encoding.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode") {
                return Err(c.unsupported(&format!("COPY encoding \"{encoding}\"")));
            }
            Box::new(|_given| ())
        }
        "freeze" => {
            let _value = if c.at_list_separator() { String::new() } else { c.word_or_literal()? };
            Box::new(|_given| ())
        }
        "on_error" => {
            let value = c.word_or_literal()?.to_ascii_lowercase();
            match value.as_str() {
                "stop" => Box::new(|given| given.on_error_ignore = Some(false)),
                "ignore" => Box::new(|given| given.on_error_ignore = Some(true)),
                _ => return Err(invalid(format!("COPY ON_ERROR \"{value}\" not recognized"))),
            }
        }
        "reject_limit" => {
            let limit = c.integer()?;
            if limit <= 0 {
                return Err(invalid(format!("REJECT_LIMIT ({limit}) must be greater than zero")));
            }
            Box::new(move |given| given.reject_limit = Some(limit))
        }
        "log_verbosity" => {
            let value = c.word_or_literal()?.to_ascii_lowercase();
            match value.as_str() {
                "silent" => Box::new(|given| given.verbosity = Verbosity::Silent),
                "default" => Box::new(|given| given.verbosity = Verbosity::Default),
                "verbose" => Box::new(|given| given.verbosity = Verbosity::Verbose),
                _ => return Err(invalid(format!("COPY LOG_VERBOSITY \"{value}\" not recognized"))),
            }
        }
        other => {
            return Err(SyntaxError::Invalid {
                message: format!("option \"{other}\" not recognized"),
                code: SqlState::SYNTAX_ERROR,
                position: None,
            });
        }
    })
}

fn columns(c: &mut Cursor<'_>) -> Result<ColumnSet, SyntaxError> {
    if c.star() { Ok(ColumnSet::All) } else { Ok(ColumnSet::Named(c.parenthesized(Cursor::ident)?)) }
}

fn header(word: &str) -> Result<Header, SyntaxError> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(Header::Present),
        "false" | "off" | "0" => Ok(Header::None),
        "match" => Ok(Header::Match),
        _ => Err(invalid("header requires a Boolean value or \"match\"".to_owned())),
    }
}

/// The syntax from before PostgreSQL 9.0.
fn old_options(c: &mut Cursor<'_>, given: &mut Given) -> Result<(), SyntaxError> {
    while !c.at_statement_end() && !c.peek_any(&["where"]) {
        if c.words(&["binary"]) {
            given.format = Some(CopyFormat::Binary);
        } else if c.words(&["csv"]) {
            given.format = Some(CopyFormat::Csv);
        } else if c.words(&["header"]) {
            given.header = Some(Header::Present);
        } else if c.words(&["delimiter"]) || c.words(&["delimiters"]) {
            let _noise = c.words(&["as"]);
            given.delimiter = Some(c.string()?);
        } else if c.words(&["null"]) {
            let _noise = c.words(&["as"]);
            given.null = Some(c.string()?);
        } else if c.words(&["quote"]) {
            let _noise = c.words(&["as"]);
            given.quote = Some(c.string()?);
        } else if c.words(&["escape"]) {
            let _noise = c.words(&["as"]);
            given.escape = Some(c.string()?);
        } else if c.words(&["force", "quote"]) {
            given.force_quote = Some(if c.star() { ColumnSet::All } else { ColumnSet::Named(c.list(Cursor::ident)?) });
        } else if c.words(&["force", "not", "null"]) {
            given.force_not_null = Some(ColumnSet::Named(c.list(Cursor::ident)?));
        } else if c.words(&["force", "null"]) {
            given.force_null = Some(ColumnSet::Named(c.list(Cursor::ident)?));
        } else {
            return Err(c.unexpected());
        }
    }
    Ok(())
}

/// What is left out is PostgreSQL's default. `42601`, `22023`, `0A000`: options that exclude each other.
fn finish(given: Given, from: bool) -> Result<CopyOptions, SyntaxError> {
    let format = given.format.unwrap_or(CopyFormat::Text);
    let csv = format == CopyFormat::Csv;
    given.hold_against_format(format)?;
    given.hold_against_direction(from)?;
    let delimiter = one_byte("delimiter", given.delimiter.as_deref().unwrap_or(if csv { "," } else { "\t" }))?;
    let quote = one_byte("quote", given.quote.as_deref().unwrap_or("\""))?;
    let escape = match given.escape.as_deref() {
        Some(text) => one_byte("escape", text)?,
        None => quote,
    };
    if matches!(delimiter, b'\n' | b'\r') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return".to_owned()));
    }
    if !csv && (delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit() || matches!(delimiter, b'\\' | b'.')) {
        return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(delimiter))));
    }
    if csv && delimiter == quote {
        return Err(invalid("COPY delimiter and quote must be different".to_owned()));
    }
    let null = given.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
    for (what, text) in [("NULL", Some(&null)), ("DEFAULT", given.default.as_ref())] {
        let Some(text) = text else { continue };
        if text.contains(['\n', '\r']) {
            let what = what.to_ascii_lowercase();
            return Err(invalid(format!("COPY {what} representation cannot use newline or carriage return")));
        }
        if text.as_bytes().contains(&delimiter) {
            return Err(feature(format!("COPY delimiter character must not appear in the {what} specification")));
        }
        if csv && text.as_bytes().contains(&quote) {
            return Err(feature(format!("CSV quote character must not appear in the {what} specification")));
        }
    }
    if given.default.as_ref() == Some(&null) {
        return Err(feature("NULL specification and DEFAULT specification cannot be the same".to_owned()));
    }
    let none = || ColumnSet::Named(Vec::new());
    Ok(CopyOptions {
        format,
        delimiter,
        null,
        header: given.header.unwrap_or(Header::None),
        quote,
        escape,
        force_quote: given.force_quote.unwrap_or_else(none),
        force_not_null: given.force_not_null.unwrap_or_else(none),
        force_null: given.force_null.unwrap_or_else(none),
        default: given.default,
        on_error_ignore: given.on_error_ignore == Some(true),
        reject_limit: given.reject_limit.and_then(|limit| u64::try_from(limit).ok()),
        verbosity: given.verbosity,
    })
}

impl Given {
    fn hold_against_format(&self, format: CopyFormat) -> Result<(), SyntaxError> {
        let syntax = |message| SyntaxError::Invalid { message, code: SqlState::SYNTAX_ERROR, position: None };
        let mode = match format {
            CopyFormat::Text | CopyFormat::Csv => None,
            CopyFormat::Binary => Some("BINARY"),
            CopyFormat::Parquet => Some("PARQUET"),
            CopyFormat::Json => Some("JSON"),
        };
        if let Some(mode) = mode {
            for (name, present) in [
                ("DELIMITER", self.delimiter.is_some()),
                ("NULL", self.null.is_some()),
                ("DEFAULT", self.default.is_some()),
                ("HEADER", self.header.is_some()),
            ] {
                if present {
                    return Err(syntax(format!("cannot specify {name} in {mode} mode")));
                }
            }
            if self.on_error_ignore == Some(true) {
                return Err(syntax(format!("only ON_ERROR STOP is allowed in {mode} mode")));
            }
        }
        if format != CopyFormat::Csv {
            for (name, present) in [
                ("QUOTE", self.quote.is_some()),
                ("ESCAPE", self.escape.is_some()),
                ("FORCE_QUOTE", self.force_quote.is_some()),
                ("FORCE_NOT_NULL", self.force_not_null.is_some()),
                ("FORCE_NULL", self.force_null.is_some()),
            ] {
                if present {
                    return Err(feature(format!("COPY {name} requires CSV mode")));
                }
            }
        }
        Ok(())
    }

    fn hold_against_direction(&self, from: bool) -> Result<(), SyntaxError> {
        if self.on_error_ignore.is_some() && !from {
            return Err(invalid("COPY ON_ERROR cannot be used with COPY TO".to_owned()));
        }
        if self.reject_limit.is_some() && self.on_error_ignore != Some(true) {
            return Err(invalid("COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE".to_owned()));
        }
        if self.default.is_some() && !from {
            return Err(feature("COPY DEFAULT cannot be used with COPY TO".to_owned()));
        }
        if self.header == Some(Header::Match) && !from {
            return Err(feature("cannot use \"match\" with HEADER in COPY TO".to_owned()));
        }
        Ok(())
    }
}

/// The format of files, by their name's extensions: `.csv`, `.csv.gz`. `22023` if they say none.
fn format_by_name(location: &str) -> Result<CopyFormat, SyntaxError> {
    let name = location.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let has = |extensions: &[&str]| name.split('.').skip(1).any(|part| extensions.contains(&part));
    if has(&["parquet"]) {
        Ok(CopyFormat::Parquet)
    } else if has(&["csv"]) {
        Ok(CopyFormat::Csv)
    } else if has(&["json", "jsonl", "ndjson"]) {
        Ok(CopyFormat::Json)
    } else if has(&["txt", "tsv"]) {
        Ok(CopyFormat::Text)
    } else {
        Err(invalid("the format of the files cannot be told from their name; add WITH (FORMAT …)".to_owned()))
    }
}

fn one_byte(what: &str, text: &str) -> Result<u8, SyntaxError> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(feature(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn feature(message: String) -> SyntaxError {
    SyntaxError::Invalid { message, code: SqlState::FEATURE_NOT_SUPPORTED, position: None }
}

fn invalid(message: String) -> SyntaxError {
    SyntaxError::Invalid { message, code: SqlState::INVALID_PARAMETER_VALUE, position: None }
}
