//! `nextval`: bound to its sequence while a statement is planned.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::Sequence;
use crate::error::SqlError;
use crate::metastore::Sequences;
use crate::name::ObjectId;

/// Draws values of one sequence.
#[derive(Debug)]
pub struct NextValue {
    id: ObjectId,
    name: String,
    sequence: Sequence,
    counter: Arc<Sequences>,
    /// Whether a user wrote it, and needs a right for it.
    explicit: bool,
    signature: Signature,
}

impl NextValue {
    /// Bound to a sequence that `counter` counts. `explicit`: a user wrote it, and needs a right for it.
    pub fn new(id: ObjectId, name: String, sequence: Sequence, counter: Arc<Sequences>, explicit: bool) -> Self {
        Self { id, name, sequence, counter, explicit, signature: Signature::nullary(Volatility::Volatile) }
    }

    /// The id of the sequence it draws from.
    pub fn sequence(&self) -> ObjectId {
        self.id
    }

    /// Whether a user wrote it; else it is an identity column's own.
    pub fn explicit(&self) -> bool {
        self.explicit
    }
}

impl PartialEq for NextValue {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for NextValue {}
impl Hash for NextValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl ScalarUDFImpl for NextValue {
    fn name(&self) -> &'static str {
        "nextval"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let drawn = self.counter.draw(self.id, &self.name, &self.sequence, args.number_rows);
        let values = drawn.map_err(SqlError::from)?;
        Ok(ColumnarValue::Array(Arc::new(Int64Array::from(values))))
    }
}

/// Functions that the planner replaces by bound ones.
pub fn placeholder_functions() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(Unbound { signature: Signature::any(1, Volatility::Volatile) })]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unbound {
    signature: Signature,
}

impl ScalarUDFImpl for Unbound {
    fn name(&self) -> &'static str {
        "nextval"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("nextval was not bound to a sequence")
    }
}
