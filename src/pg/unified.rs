//! Functions whose arguments have one type, which literals without a type take: `coalesce`, `nullif`, `greatest`,
//! `least`. While a statement is bound they stand in for the engine's, which would refuse such literals.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// One of them, around the engine's own.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Unified {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl Unified {
    /// Stands in for the engine's function `inner`.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Self { inner, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// Whether a function is one of them.
    pub fn applies_to(name: &str) -> bool {
        matches!(name, "coalesce" | "nullif" | "greatest" | "least")
    }

    /// The engine's function.
    pub fn inner(&self) -> &Arc<ScalarUDF> {
        &self.inner
    }
}

impl ScalarUDFImpl for Unified {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let known = given.iter().find(|given| !given.is_string() && !given.is_null());
        Ok(known.or(given.first()).cloned().unwrap_or(DataType::Null))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let fields = args.arg_fields;
        let known = fields.iter().find(|field| !field.data_type().is_string() && !field.data_type().is_null());
        match known.or(fields.first()) {
            Some(field) => Ok(Arc::new(field.as_ref().clone().with_name(self.name()).with_nullable(true))),
            None => exec_err!("{} has arguments", self.name()),
        }
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} was not bound", self.name())
    }
}
