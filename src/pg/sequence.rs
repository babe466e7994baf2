//! `nextval`, `currval`, `setval` and `lastval`: bound to their sequence while a statement is planned.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::Sequence;
use crate::context::Drawn;
use crate::error::{Plain, SqlError, SqlState};
use crate::metastore::Sequences;
use crate::name::ObjectId;

/// What is done with a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SequenceAction {
    /// `nextval`: draws a value for each row. `explicit`: a user wrote it, and needs a right for it.
    Next {
        /// Else it is an identity column's own.
        explicit: bool,
    },
    /// `currval`: the last value that this session drew. `55000` if it drew none.
    Current,
    /// `setval`: it goes on after a value. `22003` for one outside of the sequence.
    Set,
}

/// A function of one sequence.
#[derive(Debug)]
pub struct SequenceFunction {
    /// What it does.
    pub action: SequenceAction,
    /// Which sequence.
    pub id: ObjectId,
    name: String,
    sequence: Sequence,
    counter: Arc<Sequences>,
    drawn: Arc<Drawn>,
    signature: Signature,
}

impl SequenceFunction {
    /// Bound to a sequence that `counter` counts; what is drawn is noted in `drawn`.
    pub fn new(
        action: SequenceAction,
        (id, name): (ObjectId, &str),
        sequence: &Sequence,
        counter: Arc<Sequences>,
        drawn: Arc<Drawn>,
    ) -> Self {
        let signature = match action {
            SequenceAction::Next { .. } | SequenceAction::Current => Signature::nullary(Volatility::Volatile),
            SequenceAction::Set => Signature::variadic_any(Volatility::Volatile),
        };
        Self { action, id, name: name.to_owned(), sequence: sequence.clone(), counter, drawn, signature }
    }

    /// Whether it moves the sequence, so that a commit has to say how far.
    pub fn moves(&self) -> bool {
        self.action != SequenceAction::Current
    }

    fn set(&self, args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(values) = arrays.first() else { return exec_err!("setval without a value") };
        let values = arrow::compute::cast(values, &DataType::Int64)?;
        let called = arrays.get(1).map(|called| arrow::compute::cast(called, &DataType::Boolean)).transpose()?;
        let called = called.as_ref().map(AsArray::as_boolean);
        let is_known = |row: usize| called.is_none_or(|called| called.is_valid(row));
        let values: Int64Array = values
            .as_primitive::<Int64Type>()
            .iter()
            .enumerate()
            .map(|(row, value)| value.filter(|_| is_known(row)))
            .collect();
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            if !(self.sequence.min..=self.sequence.max).contains(&value) {
                let (min, max) = (self.sequence.min, self.sequence.max);
                let message =
                    format!("setval: value {value} is out of bounds for sequence \"{}\" ({min}..{max})", self.name);
                return Err(SqlError::from(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)).into());
            }
            if called.is_none_or(|called| called.value(row)) {
                self.counter.set(self.id, Some(value)).map_err(SqlError::from)?;
                self.drawn.note(self.id, value);
            } else {
                self.counter.set(self.id, Some(self.sequence.before(value))).map_err(SqlError::from)?;
            }
        }
        Ok(Arc::new(values))
    }
}

impl PartialEq for SequenceFunction {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.action == other.action
    }
}
impl Eq for SequenceFunction {}
impl Hash for SequenceFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
        self.action.hash(state);
    }
}

impl ScalarUDFImpl for SequenceFunction {
    fn name(&self) -> &'static str {
        match self.action {
            SequenceAction::Next { .. } => "nextval",
            SequenceAction::Current => "currval",
            SequenceAction::Set => "setval",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values: ArrayRef = match self.action {
            SequenceAction::Next { .. } => {
                let drawn = self.counter.draw(self.id, &self.name, &self.sequence, args.number_rows)?;
                if let Some(last) = drawn.last() {
                    self.drawn.note(self.id, *last);
                }
                Arc::new(Int64Array::from(drawn))
            }
            SequenceAction::Current => {
                let undefined = || {
                    let message = format!("currval of sequence \"{}\" is not yet defined in this session", self.name);
                    SqlError::from(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
                };
                let value = self.drawn.value(self.id).ok_or_else(undefined)?;
                Arc::new(Int64Array::from_value(value, args.number_rows))
            }
            SequenceAction::Set => self.set(&args)?,
        };
        Ok(ColumnarValue::Array(values))
    }
}

/// `lastval`: what this session drew last, from any sequence. `55000` if it drew nothing.
#[derive(Debug)]
pub struct LastValue {
    drawn: Arc<Drawn>,
    signature: Signature,
}

impl LastValue {
    /// Of this session.
    pub fn new(drawn: Arc<Drawn>) -> Self {
        Self { drawn, signature: Signature::nullary(Volatility::Volatile) }
    }
}

impl PartialEq for LastValue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.drawn, &other.drawn)
    }
}
impl Eq for LastValue {}
impl Hash for LastValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for LastValue {
    fn name(&self) -> &'static str {
        "lastval"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let undefined = || {
            let message = "lastval is not yet defined in this session";
            SqlError::from(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
        };
        let value = self.drawn.last().ok_or_else(undefined)?;
        Ok(ColumnarValue::Array(Arc::new(Int64Array::from_value(value, args.number_rows))))
    }
}

/// Functions that the planner replaces by bound ones.
pub fn placeholder_functions() -> Vec<ScalarUDF> {
    let unbound = |name, signature| ScalarUDF::new_from_impl(Unbound { name, signature });
    let any = |count| Signature::any(count, Volatility::Volatile);
    vec![
        unbound("nextval", any(1)),
        unbound("currval", any(1)),
        unbound("setval", Signature::variadic_any(Volatility::Volatile)),
        unbound("lastval", Signature::nullary(Volatility::Volatile)),
        unbound("enum_first", any(1)),
        unbound("enum_last", any(1)),
        unbound("enum_range", Signature::variadic_any(Volatility::Volatile)),
    ]
}

/// Whether a function is a placeholder for one that is to be bound.
pub fn is_unbound(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Unbound>().is_some()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unbound {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Unbound {
    fn name(&self) -> &'static str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} was not bound to a sequence", self.name)
    }
}
