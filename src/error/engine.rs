//! DataFusion's, Arrow's and Parquet's failures in PostgreSQL's terms. Exhaustive on purpose: an upgrade that adds a
//! variant does not compile until it has a code. (Parquet's and the object stores' errors may grow: those are not.)

use std::error::Error;
use std::fmt;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::{Report, SqlError, SqlState};

/// A failure reported by the engine, kept whole as the cause.
#[derive(Debug)]
struct EngineError {
    code: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    source: DataFusionError,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl Report for EngineError {
    fn sqlstate(&self) -> SqlState {
        self.code
    }
    fn detail(&self) -> Option<String> {
        self.detail.clone()
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
    fn position(&self) -> Option<usize> {
        self.position
    }
}

impl SqlError {
    /// An engine failure; one of our own errors that travelled through the engine comes back as itself.
    pub fn from_engine(error: DataFusionError) -> Self {
        Self::from_engine_at(error, &|_, _| None)
    }

    /// A failure of one of the engine's kernels.
    pub fn from_arrow(error: ArrowError) -> Self {
        Self::from_engine(error.into())
    }

    /// As [`SqlError::from_engine`], with `locate(line, column)` giving the position in the statement's text.
    pub fn from_engine_at(error: DataFusionError, locate: &dyn Fn(u64, u64) -> Option<usize>) -> Self {
        if let Some(own) = find_own(&error) {
            return own;
        }
        let position = span(&error).and_then(|(line, column)| locate(line, column));
        let Description { code, message, detail, hint } = describe(&error);
        EngineError { code, message, detail, hint, position, source: error }.into()
    }
}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}

/// One of our own errors inside the engine's wrappers.
fn find_own(error: &(dyn Error + 'static)) -> Option<SqlError> {
    if let Some(own) = error.downcast_ref::<SqlError>() {
        return Some(own.clone());
    }
    if let Some(engine) = error.downcast_ref::<DataFusionError>() {
        return match engine {
            DataFusionError::External(inner) => find_own(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => find_own(inner.as_ref()),
            DataFusionError::Shared(inner) => find_own(inner.as_ref()),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => find_own(inner.as_ref()),
            DataFusionError::Collection(errors) => errors.iter().find_map(|e| find_own(e)),
            DataFusionError::ParquetError(inner) => match inner.as_ref() {
                parquet::errors::ParquetError::External(inner) => find_own(inner.as_ref()),
                _ => inner.source().and_then(find_own),
            },
            DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
            | DataFusionError::SQL(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Internal(_)
            | DataFusionError::Plan(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::Execution(_)
            | DataFusionError::ExecutionJoin(_)
            | DataFusionError::ResourcesExhausted(_)
            | DataFusionError::Substrait(_)
            | DataFusionError::Ffi(_) => None,
        };
    }
    if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref::<ArrowError>() {
        return find_own(inner.as_ref());
    }
    error.source().and_then(find_own)
}

/// Line and column (from 1) of the outermost diagnostic that has a span.
fn span(error: &DataFusionError) -> Option<(u64, u64)> {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => {
            diagnostic.span.map(|s| (s.start.line, s.start.column)).or_else(|| span(inner))
        }
        DataFusionError::Context(_, inner) => span(inner),
        DataFusionError::Shared(inner) => span(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(span),
        DataFusionError::ArrowError(..)
        | DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Internal(_)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Execution(_)
        | DataFusionError::ExecutionJoin(_)
        | DataFusionError::ResourcesExhausted(_)
        | DataFusionError::External(_)
        | DataFusionError::Substrait(_)
        | DataFusionError::Ffi(_) => None,
    }
}

/// An object store's error behind others.
fn find_store<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a object_store::Error> {
    error.downcast_ref().or_else(|| match error.downcast_ref::<parquet::errors::ParquetError>() {
        Some(parquet::errors::ParquetError::External(inner)) => find_store(inner.as_ref()),
        _ => error.source().and_then(find_store),
    })
}

fn describe_store(error: &object_store::Error) -> Description {
    match error {
        object_store::Error::NotFound { path, .. } => {
            Description::new(SqlState::UNDEFINED_FILE, format!("file \"{path}\" does not exist"))
        }
        object_store::Error::PermissionDenied { path, .. } | object_store::Error::Unauthenticated { path, .. } => {
            Description::new(SqlState::IO_ERROR, format!("the object store denied access to \"{path}\""))
                .hint("Check the storage credential for its location.")
        }
        other => Description::new(SqlState::IO_ERROR, format!("object store: {other}")),
    }
}

struct Description {
    code: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Description {
    fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None }
    }

    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

fn describe(error: &DataFusionError) -> Description {
    let plain = |code: SqlState, text: &str| Description::new(code, text);
    match error {
        DataFusionError::ArrowError(inner, _) => describe_arrow(inner),
        DataFusionError::ParquetError(inner) => match find_store(inner.as_ref()) {
            Some(store) => describe_store(store),
            None => plain(SqlState::DATA_EXCEPTION, &format!("could not read Parquet data: {inner}")),
        },
        DataFusionError::ObjectStore(inner) => describe_store(inner),
        DataFusionError::IoError(inner) => plain(SqlState::IO_ERROR, &format!("input/output error: {inner}")),
        DataFusionError::SQL(inner, _) => plain(SqlState::SYNTAX_ERROR, &inner.to_string()),
        // It goes on with all that is in the expression, which may be a policy's or a mask's.
        DataFusionError::NotImplemented(text) if text.starts_with("Physical plan does not support logical") => {
            plain(SqlState::FEATURE_NOT_SUPPORTED, "an expression in this place is not supported")
        }
        DataFusionError::NotImplemented(text) | DataFusionError::Substrait(text) => {
            plain(SqlState::FEATURE_NOT_SUPPORTED, first_line(text))
        }
        DataFusionError::Internal(text) | DataFusionError::Ffi(text) => plain(SqlState::INTERNAL_ERROR, text),
        DataFusionError::Plan(text) => describe_plan(first_line(text)),
        DataFusionError::Configuration(text) => plain(SqlState::INVALID_PARAMETER_VALUE, first_line(text)),
        DataFusionError::SchemaError(inner, _) => describe_schema(inner),
        DataFusionError::Execution(text) => plain(SqlState::DATA_EXCEPTION, first_line(text)),
        DataFusionError::ExecutionJoin(inner) => plain(SqlState::INTERNAL_ERROR, &inner.to_string()),
        DataFusionError::ResourcesExhausted(text) => {
            plain(SqlState::OUT_OF_MEMORY, "out of memory").hint(first_line(text))
        }
        DataFusionError::External(inner) => match inner.downcast_ref::<ArrowError>() {
            Some(arrow) => describe_arrow(arrow),
            None => describe_regex(&inner.to_string())
                .unwrap_or_else(|| plain(SqlState::INTERNAL_ERROR, &inner.to_string())),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => describe(inner),
        DataFusionError::Shared(inner) => describe(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => describe(first),
            None => plain(SqlState::INTERNAL_ERROR, "no error in a collection of errors"),
        },
    }
}

/// Errors of the engine's planner that PostgreSQL has codes and words of its own for.
fn describe_plan(text: &str) -> Description {
    if let Some((before, _)) = text.split_once(" must appear in the GROUP BY clause")
        && let Some((_, column)) = before.rsplit_once("column ")
    {
        let message = format!("column {column} must appear in the GROUP BY clause or be used in an aggregate function");
        return Description::new(SqlState::GROUPING_ERROR, message);
    }
    let compared = text.split_once("Cannot infer common argument type for comparison operation ");
    let reckoned = text.split_once("Cannot coerce arithmetic expression ");
    if let Some((_, operation)) = compared.or(reckoned) {
        let operation = operation.split(" to valid types").next().unwrap_or(operation);
        let words: Vec<&str> = operation.split(' ').map(type_word).collect();
        return Description::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {}", words.join(" ")))
            .hint("No operator matches the given name and argument types. You might need to add explicit type casts.");
    }
    if let Some((_, call)) = text.split_once("No function matches the given name and argument types '")
        && let Some((name, types)) = call.split('\'').next().and_then(|call| call.trim_end_matches(')').split_once('('))
    {
        let types: Vec<&str> = types.split(", ").map(type_word).collect();
        let message = format!("function {name}({}) does not exist", types.join(", "));
        return Description::new(SqlState::UNDEFINED_FUNCTION, message)
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    }
    if let Some((_, rest)) = text.split_once("Function '")
        && let Some((name, reasons)) = rest.split_once("' failed to match any signature")
        && let Some(given) = reasons.rsplit("(DataType: ").next().and_then(|given| given.split(')').next())
    {
        let message = format!("function {name}({}) does not exist", type_word(given));
        return Description::new(SqlState::UNDEFINED_FUNCTION, message)
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    }
    if let Some((operator, _)) = text.split_once(" queries have different number of columns") {
        let operator = operator.rsplit(' ').next().unwrap_or(operator);
        let message = format!("each {operator} query must have the same number of columns");
        return Description::new(SqlState::SYNTAX_ERROR, message);
    }
    if text.starts_with("LIMIT must be >=") {
        return Description::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative");
    }
    if text.starts_with("OFFSET must be >=") {
        return Description::new(SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET must not be negative");
    }
    Description::new(SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION, text)
}

/// The type that the engine's name for one mostly stands for.
fn type_word(word: &str) -> &str {
    match word {
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Boolean" => "boolean",
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Date32" => "date",
        "BinaryView" | "Binary" => "bytea",
        "FixedSizeBinary(16)" => "uuid",
        "FixedSizeBinary(34)" => "inet",
        "FixedSizeBinary(6)" => "macaddr",
        "FixedSizeBinary(12)" => "time with time zone",
        "FixedSizeBinary(8)" => "anyenum",
        decimal if decimal.starts_with("Decimal128(") => "numeric",
        row if row.starts_with("Struct(") => "record",
        other => other,
    }
}

/// `… is too large to store in a Decimal128 of precision 3. Max is 99.9`.
fn numeric_overflow(text: &str) -> Option<Description> {
    let (_, limits) = text.split_once(" to store in a Decimal")?;
    let (precision, most) = limits.split_once(" of precision ")?.1.split_once(". M")?;
    let precision: usize = precision.parse().ok()?;
    let scale = most.split_once('.').map_or(0, |(_, digits)| digits.len());
    let limit = if precision == scale { "1".to_owned() } else { format!("10^{}", precision - scale) };
    let detail =
        format!("A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}.");
    Some(Description::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(detail))
}

fn describe_schema(error: &SchemaError) -> Description {
    match error {
        SchemaError::AmbiguousReference { field } => {
            Description::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{}\" is ambiguous", field.name))
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            let message = format!("column name \"{name}\" is specified more than once");
            Description::new(SqlState::DUPLICATE_COLUMN, message)
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            if let Some(relation) = &field.relation
                && !valid_fields.is_empty()
                && !valid_fields
                    .iter()
                    .any(|valid| valid.relation.as_ref().is_some_and(|known| known.table() == relation.table()))
            {
                let message = format!("missing FROM-clause entry for table \"{}\"", relation.table());
                return Description::new(SqlState::UNDEFINED_TABLE, message);
            }
            let shown = match &field.relation {
                Some(relation) => format!("column {}.{} does not exist", relation.table(), field.name),
                None => format!("column \"{}\" does not exist", field.name),
            };
            let similar = valid_fields.iter().find(|valid| valid.name.eq_ignore_ascii_case(&field.name));
            let hint =
                similar.map(|valid| format!("Perhaps you meant to reference the column \"{}\".", valid.flat_name()));
            Description { hint, ..Description::new(SqlState::UNDEFINED_COLUMN, shown) }
        }
    }
}

/// A regular expression that is none, by what its parser says.
fn describe_regex(text: &str) -> Option<Description> {
    let (_, reason) = text.split_once("regex parse error").or_else(|| text.split_once("did not compile"))?;
    let reason = reason.rsplit("error: ").next().and_then(|reason| reason.lines().next()).unwrap_or_default();
    let message = format!("invalid regular expression: {}", reason.trim_end_matches([')', '\n', ' ', ',']));
    Some(Description::new(SqlState::INVALID_REGULAR_EXPRESSION, message))
}

fn describe_arrow(error: &ArrowError) -> Description {
    let (code, text) = match error {
        ArrowError::NotYetImplemented(text) => (SqlState::FEATURE_NOT_SUPPORTED, text.clone()),
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(engine) => return describe(engine),
            None => match describe_regex(&inner.to_string()) {
                Some(regex) => return regex,
                None => (SqlState::INTERNAL_ERROR, inner.to_string()),
            },
        },
        ArrowError::ComputeError(text) if let Some(regex) = describe_regex(text) => return regex,
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            (SqlState::INVALID_TEXT_REPRESENTATION, text.clone())
        }
        ArrowError::MemoryError(_) => (SqlState::OUT_OF_MEMORY, "out of memory".to_owned()),
        ArrowError::SchemaError(text) => (SqlState::INTERNAL_ERROR, text.clone()),
        ArrowError::ComputeError(text) => (SqlState::DATA_EXCEPTION, text.clone()),
        ArrowError::DivideByZero => (SqlState::DIVISION_BY_ZERO, "division by zero".to_owned()),
        ArrowError::ArithmeticOverflow(_) => (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range".to_owned()),
        ArrowError::CsvError(text)
        | ArrowError::JsonError(text)
        | ArrowError::AvroError(text)
        | ArrowError::ParquetError(text) => (SqlState::DATA_EXCEPTION, text.clone()),
        ArrowError::IoError(text, _) => (SqlState::IO_ERROR, text.clone()),
        ArrowError::InvalidArgumentError(text) => match numeric_overflow(text) {
            Some(overflow) => return overflow,
            None => (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text.clone()),
        },
        ArrowError::IpcError(text) | ArrowError::CDataInterface(text) => (SqlState::INTERNAL_ERROR, text.clone()),
        ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => (SqlState::PROGRAM_LIMIT_EXCEEDED, error.to_string()),
    };
    Description::new(code, first_line(&text))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
