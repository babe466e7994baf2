//! PostgreSQL's types, and how each looks in Arrow and in DuckLake.
//!
//! A [`PgType`] travels through the engine as a field's metadata ([`TYPE_KEY`]), because several PostgreSQL types
//! share one Arrow type (text, varchar, json …).

mod arrow_map;
mod composite;
mod enumeration;
mod sql;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use arrow_map::{Origin, TYPE_KEY, arrow_type, ducklake_type, field, item, of_field};
pub use composite::{Attribute, CompositeType};
pub use enumeration::{EnumLabel, EnumType};
use serde::{Deserialize, Serialize};
pub use sql::{TypeError, from_sql, unknown_collation};

use crate::name::{ObjectId, QualifiedName, quote};

/// The highest precision of a stored numeric.
pub const NUMERIC_PRECISION_MAX: u8 = 38;

/// The digits of a second that there are: microseconds.
pub const SECOND_DIGITS_MAX: u8 = 6;

/// A type a user can name or receive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PgType {
    /// `boolean`: true or false.
    Bool,
    /// `smallint`: 16 bits.
    Int2,
    /// `integer`: 32 bits.
    Int4,
    /// `bigint`: 64 bits.
    Int8,
    /// `real`: 32 bits.
    Float4,
    /// `double precision`: 64 bits.
    Float8,
    /// With (precision, scale), or as an expression's result whose scale only the value knows.
    Numeric(Option<(u8, i8)>),
    /// Text without a limit.
    Text,
    /// With its length limit in characters.
    Varchar(Option<u32>),
    /// Blank-padded to this many characters when printed; kept without the padding.
    Char(u32),
    /// A string of bytes.
    Bytea,
    /// A day: days since 1970.
    Date,
    /// A time of day without a zone: microseconds since midnight. With the digits of a second that are kept, as the three that
    /// follow; without them all six are.
    Time(Option<u8>),
    /// A time of day with an offset from UTC. In data files it is text.
    Timetz(Option<u8>),
    /// A date and time without a zone: microseconds since 1970.
    Timestamp(Option<u8>),
    /// A point in time: microseconds since 1970, UTC. Printed in the session's zone.
    Timestamptz(Option<u8>),
    /// Months, days and a time, kept apart from one another. In data files it is text.
    Interval,
    /// 16 bytes.
    Uuid,
    /// A network address of version 4 or 6, which may say its network. In data files it is text, as are the next three.
    Inet,
    /// A network.
    Cidr,
    /// A hardware address of six bytes.
    Macaddr,
    /// A hardware address of eight bytes.
    Macaddr8,
    /// JSON, kept as it was written.
    Json,
    /// JSON in normal form (keys sorted, none twice), kept as text.
    Jsonb,
    /// Identifier type of the catalogs.
    Name,
    /// The number of a catalog object.
    Oid,
    /// The OID of a relation, printed as its name.
    Regclass,
    /// The OID of a type, printed as its name.
    Regtype,
    /// The OID of a function, printed as its name.
    Regproc,
    /// The OID of a schema, printed as its name.
    Regnamespace,
    /// The OID of a role, printed as its name.
    Regrole,
    /// One byte, `"char"`.
    InternalChar,
    /// A catalog's list of `smallint`, with subscripts from 0.
    Int2vector,
    /// A catalog's list of OIDs, with subscripts from 0.
    Oidvector,
    /// One entry of an ACL, as text: who may do what, and who granted it.
    Aclitem,
    /// A catalog's stored expression, as text.
    PgNodeTree,
    /// What functions return that return nothing.
    Void,
    /// A literal whose type is still to be found; text inside the engine.
    Unknown,
    /// An array; one over arrays has several dimensions. To clients they are all of one type.
    Array(Box<PgType>),
    /// An enumeration that a user made. In data files it is text.
    Enum(Arc<EnumType>),
    /// A row of a type that a user made.
    Composite(Arc<CompositeType>),
    /// A row with these columns; `None`: with any.
    Record(Option<Arc<[Attribute]>>),
    /// A name that stands for a type of the catalog, before it was looked up there.
    Named(QualifiedName),
}

/// The longest `char(n)` and `varchar(n)`.
pub const CHAR_LENGTH_MAX: u32 = 10_485_760;

impl PgType {
    /// Every type of PostgreSQL's own that is not an array and has no modifier.
    pub const SCALARS: &[Self] = &[
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float4,
        Self::Float8,
        Self::Numeric(None),
        Self::Text,
        Self::Varchar(None),
        Self::Char(0),
        Self::Bytea,
        Self::Date,
        Self::Time(None),
        Self::Timetz(None),
        Self::Timestamp(None),
        Self::Timestamptz(None),
        Self::Interval,
        Self::Uuid,
        Self::Inet,
        Self::Cidr,
        Self::Macaddr,
        Self::Macaddr8,
        Self::Json,
        Self::Jsonb,
        Self::Name,
        Self::Oid,
        Self::Regclass,
        Self::Regtype,
        Self::Regproc,
        Self::Regnamespace,
        Self::Regrole,
        Self::InternalChar,
        Self::Int2vector,
        Self::Oidvector,
        Self::Aclitem,
        Self::PgNodeTree,
        Self::Record(None),
        Self::Void,
        Self::Unknown,
    ];

    /// `pg_type.oid`.
    pub fn oid(&self) -> u32 {
        self.numbers().0
    }

    /// `pg_type.typarray`: the OID of the array over this type, 0 if there is none.
    pub fn array_oid(&self) -> u32 {
        self.numbers().1
    }

    /// OID, array OID, length in bytes (-1 variable, -2 C string).
    fn numbers(&self) -> (u32, u32, i16) {
        match self {
            Self::Bool => (16, 1000, 1),
            Self::Bytea => (17, 1001, -1),
            Self::InternalChar => (18, 1002, 1),
            Self::Name => (19, 1003, 64),
            Self::Int8 => (20, 1016, 8),
            Self::Int2 => (21, 1005, 2),
            Self::Int2vector => (22, 1006, -1),
            Self::Int4 => (23, 1007, 4),
            Self::Regproc => (24, 1008, 4),
            Self::Text => (25, 1009, -1),
            Self::Oid => (26, 1028, 4),
            Self::Oidvector => (30, 1013, -1),
            Self::Json => (114, 199, -1),
            Self::PgNodeTree => (194, 0, -1),
            Self::Float4 => (700, 1021, 4),
            Self::Float8 => (701, 1022, 8),
            Self::Unknown => (705, 0, -2),
            Self::Aclitem => (1033, 1034, 16),
            Self::Char(_) => (1042, 1014, -1),
            Self::Varchar(_) => (1043, 1015, -1),
            Self::Date => (1082, 1182, 4),
            Self::Time(_) => (1083, 1183, 8),
            Self::Timetz(_) => (1266, 1270, 12),
            Self::Timestamp(_) => (1114, 1115, 8),
            Self::Timestamptz(_) => (1184, 1185, 8),
            Self::Interval => (1186, 1187, 16),
            Self::Numeric(_) => (1700, 1231, -1),
            Self::Regclass => (2205, 2210, 4),
            Self::Regtype => (2206, 2211, 4),
            Self::Record(_) => (2249, 2287, -1),
            Self::Void => (2278, 0, 4),
            Self::Uuid => (2950, 2951, 16),
            Self::Inet => (869, 1041, -1),
            Self::Cidr => (650, 651, -1),
            Self::Macaddr => (829, 1040, 6),
            Self::Macaddr8 => (774, 775, 8),
            Self::Jsonb => (3802, 3807, -1),
            Self::Regnamespace => (4089, 4090, 4),
            Self::Regrole => (4096, 4097, 4),
            Self::Array(_) => (self.base().array_oid(), 0, -1),
            Self::Enum(of) => (of.id.oid(), array_type_oid(of.id), 4),
            Self::Composite(of) => (of.id.oid(), array_type_oid(of.id), -1),
            Self::Named(_) => (0, 0, -1),
        }
    }

    /// `pg_type.typlen`.
    pub fn length(&self) -> i16 {
        self.numbers().2
    }

    /// The type modifier, -1 if there is none.
    pub fn typmod(&self) -> i32 {
        match self {
            Self::Numeric(Some((precision, scale))) => {
                ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
            }
            Self::Varchar(Some(length)) => i32::try_from(*length).map_or(-1, |n| n + 4),
            Self::Char(length) if *length > 0 => i32::try_from(*length).map_or(-1, |n| n + 4),
            Self::Array(element) => element.typmod(),
            timed => timed.second_digits().map_or(-1, i32::from),
        }
    }

    /// The type with an OID, without modifier.
    pub fn from_oid(oid: u32) -> Option<Self> {
        if oid == 0 {
            return None;
        }
        Self::SCALARS.iter().find_map(|scalar| {
            if scalar.oid() == oid {
                Some(scalar.clone())
            } else if scalar.array_oid() == oid {
                Some(Self::Array(Box::new(scalar.clone())))
            } else {
                None
            }
        })
    }

    /// The type alone, as error messages call it.
    #[must_use]
    pub fn without_modifier(&self) -> Self {
        match self {
            Self::Numeric(_) => Self::Numeric(None),
            Self::Varchar(_) => Self::Varchar(None),
            Self::Array(element) => Self::Array(Box::new(element.without_modifier())),
            timed if timed.second_digits().is_some() => timed.with_second_digits(None),
            other => other.clone(),
        }
    }

    /// How many digits of a second a time keeps, if its type says so.
    pub fn second_digits(&self) -> Option<u8> {
        match self {
            Self::Time(digits) | Self::Timetz(digits) | Self::Timestamp(digits) | Self::Timestamptz(digits) => *digits,
            _ => None,
        }
    }

    /// A time with another number of digits; any other type as it is.
    #[must_use]
    pub fn with_second_digits(&self, digits: Option<u8>) -> Self {
        match self {
            Self::Time(_) => Self::Time(digits),
            Self::Timetz(_) => Self::Timetz(digits),
            Self::Timestamp(_) => Self::Timestamp(digits),
            Self::Timestamptz(_) => Self::Timestamptz(digits),
            other => other.clone(),
        }
    }

    /// The type for values of any length and scale.
    #[must_use]
    pub fn unbounded(&self) -> Self {
        match self {
            Self::Char(_) => Self::Char(CHAR_LENGTH_MAX),
            Self::Array(element) => Self::Array(Box::new(element.unbounded())),
            other => other.without_modifier(),
        }
    }

    /// The type with a modifier put back: what `format_type(oid, typmod)` is asked for.
    #[must_use]
    pub fn with_typmod(self, typmod: i32) -> Self {
        match self {
            Self::Numeric(_) if typmod >= 4 => {
                let value = typmod - 4;
                let scale = i8::try_from(value & 0x7ff).unwrap_or(0);
                Self::Numeric(u8::try_from(value >> 16).ok().map(|precision| (precision, scale)))
            }
            Self::Varchar(_) if typmod >= 4 => Self::Varchar(u32::try_from(typmod - 4).ok()),
            Self::Char(_) if typmod >= 4 => Self::Char(u32::try_from(typmod - 4).unwrap_or(1)),
            Self::Array(element) => Self::Array(Box::new(element.with_typmod(typmod))),
            timed => timed.with_second_digits(u8::try_from(typmod).ok()),
        }
    }

    /// `pg_type.typname`.
    pub fn typname(&self) -> String {
        match self {
            Self::Bool => "bool".to_owned(),
            Self::Int2 => "int2".to_owned(),
            Self::Int4 => "int4".to_owned(),
            Self::Int8 => "int8".to_owned(),
            Self::Float4 => "float4".to_owned(),
            Self::Float8 => "float8".to_owned(),
            Self::Numeric(_) => "numeric".to_owned(),
            Self::Varchar(_) => "varchar".to_owned(),
            Self::Char(_) => "bpchar".to_owned(),
            Self::Time(_) => "time".to_owned(),
            Self::Timestamp(_) => "timestamp".to_owned(),
            Self::Timestamptz(_) => "timestamptz".to_owned(),
            Self::InternalChar => "char".to_owned(),
            Self::Timetz(_) => "timetz".to_owned(),
            Self::Array(_) => format!("_{}", self.base().typname()),
            Self::Enum(of) => of.name.clone(),
            Self::Composite(of) => of.name.clone(),
            Self::Named(name) => name.name.clone(),
            other => other.to_string(),
        }
    }

    /// `pg_type.typcategory`.
    pub fn category(&self) -> char {
        match self {
            Self::Bool => 'B',
            Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::Numeric(_)
            | Self::Oid
            | Self::Regclass
            | Self::Regtype
            | Self::Regproc
            | Self::Regnamespace
            | Self::Regrole => 'N',
            Self::Text | Self::Varchar(_) | Self::Char(_) | Self::Name => 'S',
            Self::Date | Self::Time(_) | Self::Timetz(_) | Self::Timestamp(_) | Self::Timestamptz(_) => 'D',
            Self::Enum(_) => 'E',
            Self::Composite(_) => 'C',
            Self::Interval => 'T',
            Self::Array(_) | Self::Int2vector | Self::Oidvector => 'A',
            Self::InternalChar | Self::PgNodeTree => 'Z',
            Self::Void | Self::Record(_) => 'P',
            Self::Unknown | Self::Named(_) => 'X',
            Self::Inet | Self::Cidr => 'I',
            Self::Bytea | Self::Uuid | Self::Macaddr | Self::Macaddr8 | Self::Json | Self::Jsonb | Self::Aclitem => 'U',
        }
    }

    /// Whether values are text inside the engine.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Varchar(_)
                | Self::Char(_)
                | Self::Json
                | Self::Jsonb
                | Self::Name
                | Self::InternalChar
                | Self::Unknown
                | Self::PgNodeTree
                | Self::Aclitem
        )
    }

    /// Whether values are addresses of networks or of hardware.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Inet | Self::Cidr | Self::Macaddr | Self::Macaddr8)
    }

    /// Whether values are OIDs that print as the names of objects.
    pub fn is_object_name(&self) -> bool {
        matches!(self, Self::Regclass | Self::Regtype | Self::Regproc | Self::Regnamespace | Self::Regrole)
    }

    /// The type with a `pg_type.typname`, without modifier.
    pub fn from_typname(typname: &str) -> Option<Self> {
        let scalar = |name: &str| Self::SCALARS.iter().find(|scalar| scalar.typname() == name).cloned();
        match typname.strip_prefix('_') {
            Some(element) => Some(Self::Array(Box::new(scalar(element)?))),
            None => scalar(typname),
        }
    }

    /// The type of the values of an array, however many dimensions it has; of anything else itself.
    pub fn base(&self) -> &Self {
        match self {
            Self::Array(element) => element.base(),
            other => other,
        }
    }

    /// How many dimensions an array of the type has; 0: it is none.
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Array(element) => 1 + element.dimensions(),
            _ => 0,
        }
    }

    /// The array over the type's base that has some dimensions.
    #[must_use]
    pub fn with_dimensions(&self, dimensions: usize) -> Self {
        (0..dimensions).fold(self.base().clone(), |pg, _| Self::Array(Box::new(pg)))
    }

    /// The element type of an array.
    pub fn element(&self) -> Option<&Self> {
        match self {
            Self::Array(element) => Some(element),
            Self::Int2vector => Some(&Self::Int2),
            Self::Oidvector => Some(&Self::Oid),
            _ => None,
        }
    }
}

impl fmt::Display for PgType {
    /// As `format_type` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric(None) => "numeric",
            Self::Numeric(Some((precision, scale))) => return write!(f, "numeric({precision},{scale})"),
            Self::Text => "text",
            Self::Varchar(None) => "character varying",
            Self::Varchar(Some(length)) => return write!(f, "character varying({length})"),
            Self::Char(0) => "bpchar",
            Self::Char(length) => return write!(f, "character({length})"),
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time(None) => "time without time zone",
            Self::Timetz(None) => "time with time zone",
            Self::Timestamp(None) => "timestamp without time zone",
            Self::Timestamptz(None) => "timestamp with time zone",
            Self::Time(Some(digits)) => return write!(f, "time({digits}) without time zone"),
            Self::Timetz(Some(digits)) => return write!(f, "time({digits}) with time zone"),
            Self::Timestamp(Some(digits)) => return write!(f, "timestamp({digits}) without time zone"),
            Self::Timestamptz(Some(digits)) => return write!(f, "timestamp({digits}) with time zone"),
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Inet => "inet",
            Self::Cidr => "cidr",
            Self::Macaddr => "macaddr",
            Self::Macaddr8 => "macaddr8",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Name => "name",
            Self::Oid => "oid",
            Self::Regclass => "regclass",
            Self::Regtype => "regtype",
            Self::Regproc => "regproc",
            Self::Regnamespace => "regnamespace",
            Self::Regrole => "regrole",
            Self::InternalChar => "\"char\"",
            Self::Int2vector => "int2vector",
            Self::Oidvector => "oidvector",
            Self::Aclitem => "aclitem",
            Self::PgNodeTree => "pg_node_tree",
            Self::Void => "void",
            Self::Unknown => "unknown",
            Self::Array(_) => return write!(f, "{}[]", self.base()),
            Self::Record(_) => "record",
            Self::Enum(of) => return f.write_str(&display_name(&of.schema, &of.name)),
            Self::Composite(of) => return f.write_str(&display_name(&of.schema, &of.name)),
            Self::Named(name) => return name.fmt(f),
        };
        f.write_str(name)
    }
}

impl FromStr for PgType {
    type Err = TypeError;

    /// Reads every spelling that SQL has for the type, and what [`PgType::to_key`] gives.
    fn from_str(text: &str) -> Result<Self, TypeError> {
        let Some((kind @ (ENUM_KEY | COMPOSITE_KEY | RECORD_KEY), definition)) = text.split_once(' ') else {
            return sql::parse(text);
        };
        let unknown = || TypeError::Unknown(text.to_owned());
        let mut values = serde_json::Deserializer::from_str(definition).into_iter::<serde_json::Value>();
        let value = values.next().and_then(Result::ok).ok_or_else(unknown)?;
        let dimensions = definition.get(values.byte_offset()..).map_or(0, |brackets| brackets.len() / 2);
        let pg = match kind {
            ENUM_KEY => serde_json::from_value(value).map(|of| Self::Enum(Arc::new(of))),
            COMPOSITE_KEY => serde_json::from_value(value).map(|of| Self::Composite(Arc::new(of))),
            _ => serde_json::from_value::<Vec<Attribute>>(value).map(|of| Self::Record(Some(of.into()))),
        };
        let pg = pg.map_err(|_malformed| unknown())?;
        Ok(pg.with_dimensions(dimensions))
    }
}

/// The first word of the key of a type that has a definition, which follows.
const ENUM_KEY: &str = "enum";
const COMPOSITE_KEY: &str = "composite";
const RECORD_KEY: &str = "record";
/// The OID of an array type of the catalog is that of its elements and this.
const ARRAY_OID: u32 = 0x2000_0000;

/// `pg_type.oid` of the array type over a type of the catalog.
pub fn array_type_oid(id: ObjectId) -> u32 {
    id.oid().saturating_add(ARRAY_OID)
}

/// The type of the catalog that an OID would be of, and whether it is the array type over it.
pub fn type_of_oid(oid: u32) -> Option<(ObjectId, bool)> {
    let of = ObjectId::from_oid(oid)?;
    // The OIDs of types that are not committed are above those of arrays of committed ones.
    let element = oid.checked_sub(ARRAY_OID).and_then(ObjectId::from_oid);
    let element = element.filter(|element| element.is_provisional() == of.is_provisional());
    Some(element.map_or((of, false), |element| (element, true)))
}

impl PgType {
    /// The type with all that belongs to it, as text.
    pub fn to_key(&self) -> String {
        match self {
            Self::Enum(of) => format!("{ENUM_KEY} {}", serde_json::to_string(of).unwrap_or_default()),
            Self::Composite(of) => format!("{COMPOSITE_KEY} {}", serde_json::to_string(of).unwrap_or_default()),
            Self::Record(Some(of)) => {
                format!("{RECORD_KEY} {}", serde_json::to_string(&**of).unwrap_or_default())
            }
            Self::Array(element) => format!("{}[]", element.to_key()),
            other => other.to_string(),
        }
    }
}

/// A type that a user made, as messages call it.
fn display_name(schema: &str, name: &str) -> String {
    if schema == "public" { quote(name) } else { format!("{}.{}", quote(schema), quote(name)) }
}

impl Serialize for PgType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_key())
    }
}

impl<'de> Deserialize<'de> for PgType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::PgType;

    #[test]
    fn prints_what_it_reads() {
        for scalar in PgType::SCALARS {
            let array = PgType::Array(Box::new(scalar.clone()));
            for wanted in [scalar, &array] {
                assert_eq!(&wanted.to_string().parse::<PgType>().unwrap(), wanted, "{wanted}");
            }
        }
        for text in ["numeric(10,2)", "character varying(5)", "character(3)[]"] {
            let read: PgType = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            let bare = PgType::from_oid(read.oid()).unwrap();
            assert_eq!(bare.with_typmod(read.typmod()), read, "{text}");
        }
    }
}
