//! PostgreSQL types as Arrow fields and as DuckLake column types.
//!
//! Type names: <https://ducklake.select/docs/stable/specification/data_types>.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

use super::{Attribute, NUMERIC_PRECISION_MAX, PgType};

/// Field metadata: the PostgreSQL type where the Arrow type alone does not tell it.
pub const TYPE_KEY: &str = "boathouse.type";
/// Field metadata of an output column: its [`Origin`].
const ORIGIN_KEY: &str = "boathouse.origin";
const EXTENSION_KEY: &str = "ARROW:extension:name";
const UUID_EXTENSION: &str = "arrow.uuid";
const JSON_EXTENSION: &str = "arrow.json";

/// The Arrow type that holds a PostgreSQL type inside the engine.
pub fn arrow_type(pg: &PgType) -> DataType {
    match pg {
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Numeric(Some((precision, scale))) if *precision <= NUMERIC_PRECISION_MAX => {
            DataType::Decimal128(*precision, *scale)
        }
        PgType::Numeric(Some((precision, scale))) => DataType::Decimal256(*precision, *scale),
        PgType::Numeric(None) => DataType::Decimal128(NUMERIC_PRECISION_MAX, 10),
        PgType::Bytea => DataType::BinaryView,
        PgType::Date => DataType::Date32,
        PgType::Time(_) => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::Timestamptz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::Uuid => DataType::FixedSizeBinary(16),
        // Bytes in the order of the values.
        PgType::Enum(_) => DataType::FixedSizeBinary(ENUM_BYTES),
        PgType::Timetz(_) => DataType::FixedSizeBinary(TIMETZ_BYTES),
        PgType::Inet | PgType::Cidr => DataType::FixedSizeBinary(INET_BYTES),
        PgType::Macaddr => DataType::FixedSizeBinary(6),
        PgType::Macaddr8 => DataType::FixedSizeBinary(8),
        PgType::Oid | PgType::Regclass | PgType::Regtype | PgType::Regproc | PgType::Regnamespace | PgType::Regrole => {
            DataType::UInt32
        }
        PgType::Array(element) => DataType::List(item(element).into()),
        PgType::Composite(of) => row_type(&of.attributes),
        PgType::Record(Some(attributes)) => row_type(attributes),
        PgType::Int2vector => DataType::List(field("item", &PgType::Int2, true).into()),
        PgType::Oidvector => DataType::List(field("item", &PgType::Oid, true).into()),
        PgType::Text
        | PgType::Varchar(_)
        | PgType::Char(_)
        | PgType::Json
        | PgType::Jsonb
        | PgType::Name
        | PgType::InternalChar
        | PgType::Aclitem
        | PgType::PgNodeTree
        | PgType::Void
        | PgType::Record(None)
        | PgType::Named(_)
        | PgType::Unknown => DataType::Utf8View,
    }
}

/// Length of an enumeration's value: its label's code, big-endian.
const ENUM_BYTES: i32 = 8;
/// Length of a `timetz`: the time in UTC and the offset, each big-endian with its sign turned.
const TIMETZ_BYTES: i32 = 12;
/// Length of a network address: version, network, bits, address.
const INET_BYTES: i32 = 34;

/// The elements of an array. What the Arrow type alone does not tell of them is said of the array: the engine takes lists
/// for different whose elements say it, and for equal where it casts them.
pub fn item(element: &PgType) -> Field {
    Field::new("item", arrow_type(element), true)
}

/// A row. As with arrays, what the Arrow types alone do not tell of its columns is said of the row.
fn row_type(attributes: &[Attribute]) -> DataType {
    let column = |attribute: &Attribute| Field::new(&attribute.name, arrow_type(&attribute.pg), true);
    DataType::Struct(attributes.iter().map(column).collect())
}

/// An Arrow field that remembers its PostgreSQL type.
pub fn field(name: impl Into<String>, pg: &PgType, nullable: bool) -> Field {
    let data_type = arrow_type(pg);
    let mut metadata = HashMap::new();
    if of_data_type(&data_type) != *pg {
        metadata.insert(TYPE_KEY.to_owned(), pg.to_key());
    }
    match pg {
        PgType::Uuid => {
            metadata.insert(EXTENSION_KEY.to_owned(), UUID_EXTENSION.to_owned());
        }
        PgType::Json | PgType::Jsonb => {
            metadata.insert(EXTENSION_KEY.to_owned(), JSON_EXTENSION.to_owned());
        }
        _ => {}
    }
    Field::new(name, data_type, nullable).with_metadata(metadata)
}

/// The PostgreSQL type of a result column or of a foreign file's column.
pub fn of_field(field: &Field) -> PgType {
    if let Some(pg) = field.metadata().get(TYPE_KEY).and_then(|text| text.parse::<PgType>().ok())
        && fits(&pg, field.data_type())
    {
        return pg;
    }
    match field.metadata().get(EXTENSION_KEY).map(String::as_str) {
        Some(UUID_EXTENSION) if *field.data_type() == DataType::FixedSizeBinary(16) => PgType::Uuid,
        Some(JSON_EXTENSION) => PgType::Json,
        _ => of_data_type(field.data_type()),
    }
}

/// Where an output column comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A relation's column: its OID and `attnum`.
    Column {
        /// `pg_class.oid` of the relation.
        table: u32,
        /// `pg_attribute.attnum`: the column's id, or its place in a system relation, from 1.
        number: i16,
    },
    /// An expression whose type, with its modifier, the query says.
    #[default]
    Typed,
    /// An expression without a modifier.
    Computed,
}

impl Origin {
    /// The field with this noted in it.
    #[must_use]
    pub fn note(self, field: Field) -> Field {
        let text = match self {
            Self::Column { table, number } => format!("{table}.{number}"),
            Self::Typed => return field,
            Self::Computed => "computed".to_owned(),
        };
        let mut metadata = field.metadata().clone();
        metadata.insert(ORIGIN_KEY.to_owned(), text);
        field.with_metadata(metadata)
    }

    /// The field with nothing noted in it.
    #[must_use]
    pub fn forget(field: Field) -> Field {
        let mut metadata = field.metadata().clone();
        metadata.remove(ORIGIN_KEY);
        field.with_metadata(metadata)
    }

    /// What was noted in a field.
    pub fn of(field: &Field) -> Self {
        match field.metadata().get(ORIGIN_KEY).map(|text| text.split_once('.')) {
            None => Self::Typed,
            Some(Some((table, number))) => match (table.parse(), number.parse()) {
                (Ok(table), Ok(number)) => Self::Column { table, number },
                _ => Self::Computed,
            },
            Some(None) => Self::Computed,
        }
    }
}

/// Whether metadata still describes the data: an expression may keep a field's metadata and change its type.
fn fits(pg: &PgType, data_type: &DataType) -> bool {
    match data_type {
        // Without a scale of its own it has whatever its values need.
        DataType::Decimal128(..) if *pg == PgType::Numeric(None) => true,
        DataType::Utf8 | DataType::LargeUtf8 => arrow_type(pg) == DataType::Utf8View,
        DataType::List(element) | DataType::LargeList(element) => {
            pg.element().is_some_and(|inner| fits(inner, element.data_type()))
        }
        DataType::Struct(columns) => pg.attributes().is_some_and(|attributes| {
            let fit = |(attribute, column): (&Attribute, &FieldRef)| fits(&attribute.pg, column.data_type());
            attributes.len() == columns.len() && attributes.iter().zip(columns).all(fit)
        }),
        other => arrow_type(pg) == *other,
    }
}

fn of_data_type(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => PgType::Int2,
        DataType::UInt16 | DataType::Int32 => PgType::Int4,
        DataType::UInt32 => PgType::Oid,
        DataType::Int64 => PgType::Int8,
        DataType::UInt64 => PgType::Numeric(Some((20, 0))),
        DataType::Float16 | DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => PgType::Numeric(Some((*precision, *scale))),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => PgType::Bytea,
        DataType::Date32 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time(None),
        DataType::Date64 | DataType::Timestamp(_, None) => PgType::Timestamp(None),
        DataType::Timestamp(_, Some(_)) => PgType::Timestamptz(None),
        DataType::Interval(_) | DataType::Duration(_) => PgType::Interval,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => PgType::Array(Box::new(of_field(element))),
        DataType::Dictionary(_, value) => of_data_type(value),
        DataType::RunEndEncoded(_, value) => of_field(value),
        DataType::Struct(columns) => {
            let attribute = |column: &FieldRef| Attribute { name: column.name().clone(), pg: of_field(column) };
            PgType::Record(Some(columns.iter().map(attribute).collect()))
        }
        DataType::Map(..) | DataType::Union(..) => PgType::Jsonb,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => PgType::Text,
    }
}

/// The name of a column's type in `ducklake_column`; a list's element is a row of its own.
pub fn ducklake_type(pg: &PgType) -> String {
    match pg {
        PgType::Bool => "boolean".to_owned(),
        PgType::Int2 => "int16".to_owned(),
        PgType::Int4 => "int32".to_owned(),
        PgType::Int8 => "int64".to_owned(),
        PgType::Float4 => "float32".to_owned(),
        PgType::Float8 => "float64".to_owned(),
        PgType::Numeric(_) => match arrow_type(pg) {
            DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
            _ => "varchar".to_owned(),
        },
        PgType::Bytea => "blob".to_owned(),
        PgType::Date => "date".to_owned(),
        PgType::Time(_) => "time".to_owned(),
        PgType::Timestamp(_) => "timestamp".to_owned(),
        PgType::Timestamptz(_) => "timestamptz".to_owned(),
        PgType::Uuid => "uuid".to_owned(),
        PgType::Json | PgType::Jsonb => "json".to_owned(),
        PgType::Array(_) | PgType::Int2vector | PgType::Oidvector => "list".to_owned(),
        PgType::Composite(_) | PgType::Record(_) => "struct".to_owned(),
        PgType::Oid | PgType::Regclass | PgType::Regtype | PgType::Regproc | PgType::Regnamespace | PgType::Regrole => {
            "uint32".to_owned()
        }
        // Parquet has no interval that both Arrow and DuckDB write; its text form is kept, and that of enumerations.
        PgType::Interval
        | PgType::Text
        | PgType::Varchar(_)
        | PgType::Char(_)
        | PgType::Name
        | PgType::InternalChar
        | PgType::Aclitem
        | PgType::PgNodeTree
        | PgType::Void
        | PgType::Timetz(_)
        | PgType::Inet
        | PgType::Cidr
        | PgType::Macaddr
        | PgType::Macaddr8
        | PgType::Enum(_)
        | PgType::Named(_)
        | PgType::Unknown => "varchar".to_owned(),
    }
}
