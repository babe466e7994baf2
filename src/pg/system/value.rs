//! Values of the catalogs: between Rust, and Arrow's columns.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type, UInt32Type};

use crate::encode::{ColumnBuilder, InputError};

/// One value of a catalog column, or of a function over the catalog.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Integers, OIDs, and microseconds since 1970.
    Int(i64),
    Float(f64),
    Text(String),
    Items(Vec<Self>),
}

macro_rules! value {
    ($($from:ty => |$value:ident| $variant:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $variant
            }
        })*
    };
}

value! {
    bool => |value| Self::Bool(value);
    i16 => |value| Self::Int(value.into());
    i32 => |value| Self::Int(value.into());
    u32 => |value| Self::Int(value.into());
    i64 => |value| Self::Int(value);
    u64 => |value| Self::Int(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Self::Float(value);
    char => |value| Self::Text(value.to_string());
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    &String => |value| Self::Text(value.clone());
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::Items(values.into_iter().map(Into::into).collect())
    }
}

impl Value {
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text; empty if it is none.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            _ => 0,
        }
    }

    pub(super) fn oid(&self) -> u32 {
        u32::try_from(self.int()).unwrap_or(0)
    }

    /// One row of an argument, which has one of the types that arguments are coerced to.
    pub(super) fn of(array: &ArrayRef, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(row)),
            DataType::Int16 => Self::Int(array.as_primitive::<Int16Type>().value(row).into()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::UInt32 => Self::Int(array.as_primitive::<UInt32Type>().value(row).into()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::Utf8View => Self::Text(array.as_string_view().value(row).to_owned()),
            DataType::List(_) => {
                let items = array.as_list::<i32>().value(row);
                Self::Items((0..items.len()).map(|item| Self::of(&items, item)).collect())
            }
            _ => Self::Null,
        }
    }
}

pub(super) fn append(builder: &mut ColumnBuilder, value: Value) -> Result<(), InputError> {
    match value {
        Value::Null => builder.append_null(),
        Value::Bool(value) => builder.append_bool(value),
        Value::Int(value) => builder.append_integer(value),
        Value::Float(value) => return builder.append_text(&value.to_string()),
        Value::Text(text) => builder.append_text(&text)?,
        Value::Items(items) => {
            builder.append_items(|builder| items.into_iter().try_for_each(|item| append(builder, item)))?;
        }
    }
    Ok(())
}
