//! `<` and its like between arrays and between rows: NULLs in them come last, and are equal to each other.
//!
//! Source: `array_cmp` and `record_cmp`, <https://www.postgresql.org/docs/18/functions-comparisons.html>.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// A comparison of two arrays, or of two rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NestedCompare {
    op: Operator,
    signature: Signature,
}

impl NestedCompare {
    /// `None`: it is none of `<`, `<=`, `>` and `>=`.
    pub fn new(op: Operator) -> Option<Self> {
        let ordered = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        ordered.then(|| Self { op, signature: Signature::any(2, Volatility::Immutable) })
    }

    fn holds(&self, order: Ordering) -> bool {
        match self.op {
            Operator::Lt => order.is_lt(),
            Operator::LtEq => order.is_le(),
            Operator::Gt => order.is_gt(),
            _ => order.is_ge(),
        }
    }
}

impl ScalarUDFImpl for NestedCompare {
    fn name(&self) -> &'static str {
        match self.op {
            Operator::Lt => "nested_lt",
            Operator::LtEq => "nested_le",
            Operator::Gt => "nested_gt",
            _ => "nested_ge",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let [left, right] = args.args.as_slice() else { return exec_err!("two values are compared") };
        let left = left.to_array(rows)?;
        let right = arrow::compute::cast(&right.to_array(rows)?, left.data_type())?;
        let order = make_comparator(&left, &right, SortOptions { descending: false, nulls_first: false })?;
        let known = |row: &usize| left.is_valid(*row) && right.is_valid(*row);
        let compared: BooleanArray = (0..rows).map(|row| known(&row).then(|| self.holds(order(row, row)))).collect();
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&compared, 0)?)
        } else {
            ColumnarValue::Array(Arc::new(compared))
        })
    }
}
