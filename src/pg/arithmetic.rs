//! Integer arithmetic that fails instead of wrapping around.

use std::sync::Arc;

use arrow::compute::kernels::cast::cast;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::{Plain, SqlError, SqlState};

/// `+`, `-` or `*` over integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CheckedArithmetic {
    operator: Operator,
    data_type: DataType,
    signature: Signature,
}

impl CheckedArithmetic {
    /// `None` for operators that cannot overflow silently.
    pub fn new(operator: Operator, data_type: DataType) -> Option<Self> {
        let checked = matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply);
        let signature = Signature::exact(vec![data_type.clone(), data_type.clone()], Volatility::Immutable);
        checked.then_some(Self { operator, data_type, signature })
    }

    /// The type of `a <operator> b` over integers: the wider of the two.
    pub fn result_type(a: &DataType, b: &DataType) -> Option<DataType> {
        let width = |data_type: &DataType| match data_type {
            DataType::Int16 => Some(2),
            DataType::Int32 => Some(4),
            DataType::Int64 => Some(8),
            _ => None,
        };
        if width(a)? >= width(b)? { Some(a.clone()) } else { Some(b.clone()) }
    }
}

impl ScalarUDFImpl for CheckedArithmetic {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "add",
            Operator::Minus => "subtract",
            _ => "multiply",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("arithmetic has two arguments") };
        let scalar = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let operand = |value: &ColumnarValue| -> Result<_> { Ok(cast(&value.to_array(rows)?, &self.data_type)?) };
        let (left, right) = (operand(left)?, operand(right)?);
        let result = match self.operator {
            Operator::Plus => add(&left, &right),
            Operator::Minus => sub(&left, &right),
            _ => mul(&left, &right),
        };
        let array = result.map_err(|_overflow| {
            let name = match self.data_type {
                DataType::Int16 => "smallint",
                DataType::Int32 => "integer",
                _ => "bigint",
            };
            SqlError::from(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range")))
        })?;
        let array = Arc::clone(&array);
        Ok(if scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}
