//! Type names as SQL writes them.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as Sql, ExactNumberInfo, ObjectNamePart, TimezoneInfo,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{CHAR_LENGTH_MAX, NUMERIC_PRECISION_MAX, PgType, SECOND_DIGITS_MAX};
use crate::error::{Report, SqlState};
use crate::name::{QualifiedName, fold};

/// Why a type's name stands for no type here.
#[derive(Debug, thiserror::Error)]
pub enum TypeError {
    /// `42704`: no type has this name.
    #[error("type \"{0}\" does not exist")]
    Unknown(String),
    /// `0A000`: PostgreSQL has this type or modifier, this server does not. How the message calls it.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// `22023`: a length or precision that no such type can have. The whole message.
    #[error("{0}")]
    Modifier(String),
}

impl Report for TypeError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Unknown(_) => SqlState::UNDEFINED_OBJECT,
            Self::Unsupported(_) => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Modifier(_) => SqlState::INVALID_PARAMETER_VALUE,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported(what) if what.starts_with("numeric") => {
                Some(format!("The highest precision is {NUMERIC_PRECISION_MAX}."))
            }
            Self::Unsupported(_) | Self::Unknown(_) | Self::Modifier(_) => None,
        }
    }
}

/// Reads a type from its text alone.
pub(super) fn parse(text: &str) -> Result<PgType, TypeError> {
    let unknown = || TypeError::Unknown(text.to_owned());
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|_syntax| unknown())?;
    let sql = parser.parse_data_type().map_err(|_syntax| unknown())?;
    from_sql(&sql)
}

/// The type a parsed type name stands for.
pub fn from_sql(sql: &Sql) -> Result<PgType, TypeError> {
    Ok(match sql {
        Sql::Bool | Sql::Boolean => PgType::Bool,
        Sql::SmallInt(_) | Sql::Int2(_) => PgType::Int2,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => PgType::Int4,
        Sql::BigInt(_) | Sql::Int8(_) => PgType::Int8,
        Sql::Real | Sql::Float4 => PgType::Float4,
        Sql::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => PgType::Float4,
        Sql::Float(_) | Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 => PgType::Float8,
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => PgType::Numeric(numeric(info)?),
        Sql::Text => PgType::Text,
        Sql::Varchar(length) | Sql::CharacterVarying(length) | Sql::CharVarying(length) => {
            PgType::Varchar(length.as_ref().map(character_length).transpose()?)
        }
        Sql::Char(length) | Sql::Character(length) => {
            PgType::Char(length.as_ref().map(character_length).transpose()?.unwrap_or(1))
        }
        Sql::Bytea => PgType::Bytea,
        Sql::Date => PgType::Date,
        Sql::Time(precision, zone) => {
            let digits = precision.map(second_digits);
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => PgType::Time(digits),
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => PgType::Timetz(digits),
            }
        }
        Sql::Timestamp(precision, zone) => {
            let digits = precision.map(second_digits);
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => PgType::Timestamp(digits),
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => PgType::Timestamptz(digits),
            }
        }
        Sql::Interval { fields: None, precision } => match precision {
            None | Some(6) => PgType::Interval,
            Some(digits) => return Err(TypeError::Unsupported(format!("type interval({digits})"))),
        },
        Sql::Uuid => PgType::Uuid,
        Sql::JSON => PgType::Json,
        Sql::JSONB => PgType::Jsonb,
        Sql::Regclass => PgType::Regclass,
        Sql::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => PgType::Array(Box::new(from_sql(element)?)),
        Sql::Custom(name, modifiers) => {
            let parts: Vec<String> = name
                .0
                .iter()
                .filter_map(|part| match part {
                    ObjectNamePart::Identifier(ident) if ident.quote_style.is_some() => Some(ident.value.clone()),
                    ObjectNamePart::Identifier(ident) => Some(fold(&ident.value)),
                    ObjectNamePart::Function(_) => None,
                })
                .collect();
            let quoted = matches!(name.0.last(), Some(ObjectNamePart::Identifier(i)) if i.quote_style.is_some());
            let (schema, last) = match parts.as_slice() {
                [one] => (None, one),
                [schema, one] => (Some(schema), one),
                _ => return Err(TypeError::Unknown(name.to_string())),
            };
            let builtin = schema.is_none_or(|schema| schema == "pg_catalog").then(|| named(last, quoted, modifiers));
            match builtin {
                Some(Some(pg)) => pg,
                None | Some(None) if modifiers.is_empty() && schema.is_none_or(|schema| schema != "pg_catalog") => {
                    PgType::Named(QualifiedName { schema: schema.cloned(), name: last.clone() })
                }
                None | Some(None) => return Err(TypeError::Unknown(name.to_string())),
            }
        }
        other => return Err(TypeError::Unsupported(format!("type {}", fold(&other.to_string())))),
    })
}

/// Types the parser has no keyword for.
fn named(name: &str, quoted: bool, modifiers: &[String]) -> Option<PgType> {
    let length = || modifiers.first().and_then(|n| n.parse::<u32>().ok());
    let digits = || modifiers.first().and_then(|n| n.parse().ok()).map(second_digits);
    Some(match name {
        "bool" => PgType::Bool,
        "int2" => PgType::Int2,
        "int4" => PgType::Int4,
        "int8" => PgType::Int8,
        "float4" => PgType::Float4,
        "float8" => PgType::Float8,
        "timestamptz" => PgType::Timestamptz(digits()),
        "timestamp" => PgType::Timestamp(digits()),
        "numeric" => PgType::Numeric(None),
        "text" => PgType::Text,
        "date" => PgType::Date,
        "time" => PgType::Time(digits()),
        "timetz" => PgType::Timetz(digits()),
        "interval" => PgType::Interval,
        "uuid" => PgType::Uuid,
        "inet" => PgType::Inet,
        "cidr" => PgType::Cidr,
        "macaddr" => PgType::Macaddr,
        "macaddr8" => PgType::Macaddr8,
        "json" => PgType::Json,
        "jsonb" => PgType::Jsonb,
        "bytea" => PgType::Bytea,
        "varchar" => PgType::Varchar(length()),
        "bpchar" => PgType::Char(length().unwrap_or(0)),
        "char" if quoted => PgType::InternalChar,
        "char" => PgType::Char(length().unwrap_or(1)),
        "name" => PgType::Name,
        "oid" => PgType::Oid,
        "regclass" => PgType::Regclass,
        "regtype" => PgType::Regtype,
        "regproc" | "regprocedure" => PgType::Regproc,
        "regnamespace" => PgType::Regnamespace,
        "regrole" => PgType::Regrole,
        "int2vector" => PgType::Int2vector,
        "oidvector" => PgType::Oidvector,
        "aclitem" => PgType::Aclitem,
        "pg_node_tree" => PgType::PgNodeTree,
        "record" => PgType::Record(None),
        "void" => PgType::Void,
        "unknown" => PgType::Unknown,
        array if let Some(element) = array.strip_prefix('_') => {
            PgType::Array(Box::new(named(element, quoted, modifiers).filter(|pg| pg.element().is_none())?))
        }
        _ => return None,
    })
}

/// The message of `42704` for a collation that there is not. Texts are in the order of their bytes, whichever name that goes by.
pub fn unknown_collation(name: &str) -> Option<String> {
    let is_known = matches!(name, "default" | "C" | "POSIX" | "ucs_basic" | "pg_c_utf8");
    (!is_known).then(|| format!("collation \"{name}\" for encoding \"UTF8\" does not exist"))
}

fn numeric(info: &ExactNumberInfo) -> Result<Option<(u8, i8)>, TypeError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(None),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=1000).contains(&precision) {
        return Err(TypeError::Modifier(format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p), Ok(s)) if p <= NUMERIC_PRECISION_MAX && s >= 0 && i64::from(s) <= i64::from(p) => Ok(Some((p, s))),
        _ => Err(TypeError::Unsupported(format!("numeric({precision},{scale})"))),
    }
}

fn character_length(length: &CharacterLength) -> Result<u32, TypeError> {
    match length {
        CharacterLength::IntegerLength { length: 0, .. } => {
            Err(TypeError::Modifier("length for type varchar must be at least 1".to_owned()))
        }
        CharacterLength::IntegerLength { length, .. } => u32::try_from(*length)
            .ok()
            .filter(|n| *n <= CHAR_LENGTH_MAX)
            .ok_or_else(|| TypeError::Modifier("length for type varchar cannot exceed 10485760".to_owned())),
        CharacterLength::Max => Err(TypeError::Unsupported("varchar(max)".to_owned())),
    }
}

/// PostgreSQL, too, takes more digits than there are for all there are.
fn second_digits(precision: u64) -> u8 {
    u8::try_from(precision).map_or(SECOND_DIGITS_MAX, |digits| digits.min(SECOND_DIGITS_MAX))
}
