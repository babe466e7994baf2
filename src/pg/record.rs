//! Rows as values: how they are made, what is in them, and when one is NULL.
//!
//! Source: <https://www.postgresql.org/docs/18/rowtypes.html>.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray, make_array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::convert::one;
use crate::error::{Plain, SqlError, SqlState};
use crate::types::{Attribute, PgType, field, of_field};

/// `ROW(value, …)`: columns named `f1`, `f2` ….
pub const ROW: &str = "row";
/// `named_row('name', value, …)`.
pub const NAMED_ROW: &str = "named_row";
/// `(row).name`, as `row_attribute(row, 'name')`.
pub const ROW_ATTRIBUTE: &str = "row_attribute";
/// A row with another value in one column: `row_with(row, 'name', value)`.
pub const ROW_WITH: &str = "row_with";

/// The functions that the syntax of rows becomes.
pub fn record_functions() -> Vec<ScalarUDF> {
    let signature = || Signature::variadic_any(Volatility::Immutable);
    vec![
        ScalarUDF::new_from_impl(MakeRow { from: From::Values, pg: None, signature: signature() }),
        ScalarUDF::new_from_impl(MakeRow { from: From::Named, pg: None, signature: signature() }),
        ScalarUDF::new_from_impl(RowAttribute::default()),
        ScalarUDF::new_from_impl(RowWith { signature: Signature::any(3, Volatility::Immutable) }),
    ]
}

/// What the arguments are that a row is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum From {
    /// Its values.
    Values,
    /// Names and values by turns.
    Named,
    /// Another row and then the values: where that is NULL, the new one is.
    Row,
}

/// Values as one row.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MakeRow {
    from: From,
    /// The type, if it is not that of the values.
    pg: Option<PgType>,
    signature: Signature,
}

impl MakeRow {
    /// A row of a type, of whose columns the values are.
    pub fn of(pg: PgType) -> Self {
        Self { from: From::Values, pg: Some(pg), signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// The same of another row, the first argument, and what its values have become.
    pub fn of_row(pg: PgType) -> Self {
        Self { from: From::Row, ..Self::of(pg) }
    }

    fn pg(&self, arguments: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<PgType> {
        if let Some(pg) = &self.pg {
            return Ok(pg.clone());
        }
        if self.from == From::Values {
            let of_null = |argument: &FieldRef| *argument.data_type() == DataType::Null;
            let types = arguments.iter().map(|value| if of_null(value) { PgType::Unknown } else { of_field(value) });
            return Ok(PgType::Record(Some(Attribute::unnamed(types).into())));
        }
        let names = constants.iter().step_by(2);
        let pairs = names.zip(arguments.iter().skip(1).step_by(2)).map(|(name, value)| {
            let name = name.and_then(|name| name.try_as_str().flatten());
            let Some(name) = name else { return plan_err!("a column's name must be a constant") };
            Ok(Attribute { name: name.to_owned(), pg: of_field(value) })
        });
        Ok(PgType::Record(Some(pairs.collect::<Result<_>>()?)))
    }
}

impl ScalarUDFImpl for MakeRow {
    fn name(&self) -> &'static str {
        match self.from {
            From::Values => ROW,
            From::Named => NAMED_ROW,
            From::Row => "row_of_row",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a row comes from its fields")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let pg = self.pg(args.arg_fields, args.scalar_arguments)?;
        // The engine is not of one mind about what can be NULL.
        Ok(Arc::new(field(self.name(), &pg, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let DataType::Struct(fields) = args.return_field.data_type() else { return exec_err!("a row is a struct") };
        let (first, step) = match self.from {
            From::Values => (0, 1),
            From::Named => (1, 2),
            From::Row => (1, 1),
        };
        let values = args.args.iter().skip(first).step_by(step).zip(fields);
        let columns = values.map(|(value, field)| Ok(cast(&value.to_array(rows)?, field.data_type())?));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let nulls = match args.args.first() {
            Some(row) if self.from == From::Row => row.to_array(rows)?.logical_nulls(),
            _ => None,
        };
        result(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?), constant)
    }
}

fn result(array: ArrayRef, constant: bool) -> Result<ColumnarValue> {
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

/// The column that two arguments, a row and a name, mean: its place and its type. `42703`, `42809`.
fn attribute_of(arguments: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<(usize, PgType)> {
    let ([row, ..], [_, Some(name), ..]) = (arguments, constants) else {
        return plan_err!("a row and the name of a column are expected");
    };
    let pg = of_field(row);
    if let ScalarValue::UInt64(Some(place)) = name {
        let place = usize::try_from(*place).unwrap_or(usize::MAX);
        let Some(attribute) = pg.attributes().unwrap_or_default().get(place) else {
            return plan_err!("a row of type {pg} has no column {place}");
        };
        return Ok((place, attribute.pg.clone()));
    }
    let Some(name) = name.try_as_str().flatten() else { return plan_err!("the name of a column is text") };
    attribute(&pg, name).map_err(|error| SqlError::from(error).into())
}

/// A column of rows of a type: its place and its type. `42703`, `42809`.
pub fn attribute(row: &PgType, name: &str) -> Result<(usize, PgType), Plain> {
    let Some(attributes) = row.attributes() else {
        let message = format!("column notation .{name} applied to type {row}, which is not a composite type");
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message));
    };
    let found = attributes.iter().enumerate().find(|(_, attribute)| attribute.name == name);
    found.map(|(place, attribute)| (place, attribute.pg.clone())).ok_or_else(|| {
        let message = match row {
            PgType::Record(_) => format!("could not identify column \"{name}\" in record data type"),
            other => format!("column \"{name}\" not found in data type {other}"),
        };
        Plain::new(SqlState::UNDEFINED_COLUMN, message)
    })
}

/// A column of rows: NULL where the row is.
pub(super) fn column(rows: &StructArray, place: usize) -> Result<ArrayRef> {
    let Some(values) = rows.columns().get(place) else { return exec_err!("a row has no column {place}") };
    let Some(nulls) = rows.nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(Arc::clone(values)) };
    if *values.data_type() == DataType::Null {
        return Ok(Arc::clone(values));
    }
    let nulls = NullBuffer::union(Some(nulls), values.nulls());
    Ok(make_array(values.to_data().into_builder().nulls(nulls).build()?))
}

/// `(row).name`; instead of the name there may be the place of the column, from 0.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowAttribute {
    signature: Signature,
}

impl Default for RowAttribute {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowAttribute {
    fn name(&self) -> &'static str {
        ROW_ATTRIBUTE
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a row's column comes from its fields")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (place, pg) = attribute_of(args.arg_fields, args.scalar_arguments)?;
        let own = field(self.name(), &pg, true);
        // As it is in the rows: a numeric without a scale has that of its values.
        Ok(Arc::new(match args.arg_fields.first().map(|row| row.data_type()) {
            Some(DataType::Struct(fields)) => match fields.get(place) {
                Some(column) => own.with_data_type(column.data_type().clone()),
                None => own,
            },
            _ => own,
        }))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [row, ColumnarValue::Scalar(name)] = args.args.as_slice() else {
            return exec_err!("a row and the name of a column are expected");
        };
        let (place, _) = attribute_of(&args.arg_fields, &[None, Some(name)])?;
        let constant = matches!(row, ColumnarValue::Scalar(_));
        let rows = row.to_array(if constant { 1 } else { args.number_rows })?;
        let values = match rows.as_struct_opt() {
            Some(rows) => column(rows, place)?,
            None => new_null_array(args.return_field.data_type(), rows.len()),
        };
        result(values, constant)
    }
}

/// `row_with(row, 'name', value)`: a NULL becomes a row whose other columns are NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RowWith {
    signature: Signature,
}

impl ScalarUDFImpl for RowWith {
    fn name(&self) -> &'static str {
        ROW_WITH
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a row comes from its fields")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        attribute_of(args.arg_fields, args.scalar_arguments)?;
        let Some(row) = args.arg_fields.first() else { return exec_err!("a row is expected") };
        Ok(Arc::new(field(self.name(), &of_field(row), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [row, ColumnarValue::Scalar(name), value] = args.args.as_slice() else {
            return exec_err!("a row, the name of a column and a value are expected");
        };
        let (place, _) = attribute_of(&args.arg_fields, &[None, Some(name)])?;
        let DataType::Struct(fields) = args.return_field.data_type() else { return exec_err!("a row is a struct") };
        let rows = row.to_array(args.number_rows)?;
        let value = value.to_array(args.number_rows)?;
        let changed = |(index, field): (usize, &FieldRef)| match rows.as_struct_opt() {
            _ if index == place => Ok(cast(&value, field.data_type())?),
            Some(rows) => column(rows, index),
            None => Ok(new_null_array(field.data_type(), args.number_rows)),
        };
        let columns = fields.iter().enumerate().map(changed).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, None)?)))
    }
}

/// `row IS NULL`: it is one, or all its columns are. `row IS NOT NULL`: none of them is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowTest {
    null: bool,
    signature: Signature,
}

impl RowTest {
    /// `IS NULL`, or `IS NOT NULL`.
    pub fn new(null: bool) -> Self {
        Self { null, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowTest {
    fn name(&self) -> &'static str {
        if self.null { "row_is_null" } else { "row_is_not_null" }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Boolean, false)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| {
            let Some(rows) = array.as_struct_opt() else { return exec_err!("a row is a struct") };
            let columns: Vec<Option<NullBuffer>> = rows.columns().iter().map(Array::logical_nulls).collect();
            let is_null = |values: &Option<NullBuffer>, row| values.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let test = |row| {
                if self.null {
                    rows.is_null(row) || columns.iter().all(|values| is_null(values, row))
                } else {
                    rows.is_valid(row) && !columns.iter().any(|values| is_null(values, row))
                }
            };
            Ok(Arc::new((0..rows.len()).map(|row| Some(test(row))).collect::<BooleanArray>()))
        })
    }
}

/// Refuses a comparison of rows with columns of other types. `42804`, `42883`.
pub fn rows_comparable(op: &impl std::fmt::Display, a: &PgType, b: &PgType) -> Result<(), Plain> {
    let error = match (a.attributes(), b.attributes()) {
        (None, None) => return Ok(()),
        (Some(left), Some(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            let unknown = |attribute: &Attribute| attribute.pg == PgType::Unknown;
            let differs = |(_, (left, right)): &(usize, (&Attribute, &Attribute))| {
                left.pg.oid() != right.pg.oid() && !unknown(left) && !unknown(right)
            };
            let Some((place, (left, right))) = pairs.into_iter().find(differs) else { return Ok(()) };
            let message = format!(
                "cannot compare dissimilar column types {} and {} at record column {}",
                left.pg,
                right.pg,
                place + 1
            );
            Plain::new(SqlState::DATATYPE_MISMATCH, message)
        }
        (Some(_), Some(_)) => {
            let message = "cannot compare record types with different numbers of columns";
            Plain::new(SqlState::DATATYPE_MISMATCH, message)
        }
        _ => {
            let message = format!("operator does not exist: {a} {op} {b}");
            let hint =
                "No operator matches the given name and argument types. You might need to add explicit type casts.";
            Plain::new(SqlState::UNDEFINED_FUNCTION, message).hint(hint)
        }
    };
    Err(error)
}
