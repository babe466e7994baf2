//! The value of a subquery used as an expression.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use crate::error::{Plain, SqlError, SqlState};

/// An aggregate over at most one row: its value, or NULL if there is none. `21000` if there are more.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SingleValue {
    signature: Signature,
}

impl Default for SingleValue {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
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
        Ok(Box::new(Single { value: ScalarValue::try_from(args.return_field.data_type())?, rows: 0 }))
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
}

impl Single {
    fn add(&mut self, values: &ArrayRef, row: usize) -> Result<()> {
        self.rows += 1;
        if self.rows > 1 {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(SqlError::from(Plain::new(SqlState::CARDINALITY_VIOLATION, message)).into());
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
        use arrow::array::AsArray;
        let [values, rows] = states else { return exec_err!("single_value has two states") };
        let rows = rows.as_primitive::<arrow::datatypes::Int64Type>();
        for row in (0..values.len()).filter(|row| rows.value(*row) > 0) {
            self.add(values, row)?;
        }
        Ok(())
    }
}
