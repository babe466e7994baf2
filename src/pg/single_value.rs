//! The value of a subquery used as an expression.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::{Plain, SqlError, SqlState};

/// An aggregate over at most one row: its value, or NULL if there is none. If there are more: `21000`, or the first,
/// where [`SingleRow`] is asked later.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SingleValue {
    strict: bool,
    signature: Signature,
}

impl SingleValue {
    /// `21000` for a second row.
    pub fn strict() -> Self {
        Self { strict: true, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// The first row, however many there are: [`SingleRow`] complains where the value is used.
    pub fn lenient() -> Self {
        Self { strict: false, ..Self::strict() }
    }
}

fn too_many() -> SqlError {
    let message = "more than one row returned by a subquery used as an expression";
    Plain::new(SqlState::CARDINALITY_VIOLATION, message).into()
}

/// A subquery's value and the number of its rows: `21000` if there are several. Asked where the value is used, so that a
/// CASE may keep it from being asked.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SingleRow {
    signature: Signature,
}

impl Default for SingleRow {
    fn default() -> Self {
        // Volatile: not before it is used.
        Self { signature: Signature::any(2, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &'static str {
        "single_row"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = args.arg_fields.first().map(|field| field.as_ref().clone().with_nullable(true));
        field.map_or_else(|| exec_err!("single_row has two arguments"), |field| Ok(Arc::new(field)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, rows] = args.args.as_slice() else { return exec_err!("single_row has two arguments") };
        let rows = rows.to_array(args.number_rows)?;
        if rows.as_primitive::<Int64Type>().iter().flatten().any(|rows| rows > 1) {
            return Err(too_many().into());
        }
        Ok(value.clone())
    }
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &'static str {
        "single_value"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }
    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        let field = arguments.first().map(|field| field.as_ref().clone().with_nullable(true));
        field.map_or_else(|| exec_err!("single_value has one argument"), |field| Ok(Arc::new(field)))
    }
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single {
            value: ScalarValue::try_from(args.return_field.data_type())?,
            rows: 0,
            strict: self.strict,
        }))
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = args.return_field.as_ref().clone().with_name(format_state_name(args.name, "value"));
        let rows = arrow::datatypes::Field::new(format_state_name(args.name, "rows"), DataType::Int64, false);
        Ok(vec![Arc::new(value), Arc::new(rows)])
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    rows: i64,
    strict: bool,
}

impl Single {
    fn add(&mut self, values: &ArrayRef, row: usize) -> Result<()> {
        self.rows += 1;
        if self.rows > 1 {
            return if self.strict { Err(too_many().into()) } else { Ok(()) };
        }
        self.value = ScalarValue::try_from_array(values, row)?;
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        (0..values.len()).try_for_each(|row| self.add(values, row))
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }
    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Int64(Some(self.rows))])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, rows] = states else { return exec_err!("single_value has two states") };
        let rows = rows.as_primitive::<Int64Type>();
        for row in (0..values.len()).filter(|row| rows.value(*row) > 0) {
            self.add(values, row)?;
        }
        Ok(())
    }
}
