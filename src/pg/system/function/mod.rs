//! Functions over the catalog: names, visibility, definitions, privileges, sizes. One value at a time, because what they
//! ask for is found in maps.

mod definition;
mod policies;
mod privilege;
mod server;
mod set;
mod text;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::value::{Value, append};
use crate::context::Context;
use crate::encode::ColumnBuilder;
use crate::error::{Plain, SqlError};
use crate::setting::Zone;
use crate::types::{PgType, arrow_type, field};

/// What an argument is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Oid,
    Int,
    Text,
    Bool,
    /// An object by its name (text) or by its OID.
    Object,
    /// An array, as it is.
    Array,
}

/// A function and what it does.
struct Function {
    name: &'static str,
    /// Its argument lists.
    arguments: &'static [&'static [Kind]],
    /// Whether more arguments, all text, may follow the last list.
    variadic: bool,
    returns: fn() -> PgType,
    /// Whether a NULL argument makes the result NULL.
    strict: bool,
    /// Whether it does something: then it is called once for each row, and not before the statement runs.
    volatile: bool,
    run: fn(&Context, &[Value]) -> Result<Value, Plain>,
}

impl Function {
    const fn new(
        name: &'static str,
        arguments: &'static [&'static [Kind]],
        returns: fn() -> PgType,
        run: fn(&Context, &[Value]) -> Result<Value, Plain>,
    ) -> Self {
        Self { name, arguments, variadic: false, returns, strict: true, volatile: false, run }
    }

    /// Called with NULLs, too.
    const fn with_nulls(mut self) -> Self {
        self.strict = false;
        self
    }

    const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    fn kinds(&self, count: usize) -> Option<Vec<Kind>> {
        let fixed = self.arguments.iter().find(|kinds| kinds.len() == count);
        let longer = || {
            let last = self.arguments.last().filter(|last| self.variadic && last.len() < count)?;
            Some(last.iter().copied().chain(std::iter::repeat_n(Kind::Text, count - last.len())).collect())
        };
        fixed.map(|kinds| kinds.to_vec()).or_else(longer)
    }
}

fn functions() -> impl Iterator<Item = &'static Function> {
    let groups = [
        definition::FUNCTIONS,
        policies::FUNCTIONS,
        privilege::FUNCTIONS,
        server::FUNCTIONS,
        set::FUNCTIONS,
        text::FUNCTIONS,
    ];
    groups.into_iter().flatten()
}

fn find(name: &str) -> Option<&'static Function> {
    functions().find(|function| function.name == name)
}

/// Whether there is a function of this name here.
pub fn is_system_function(name: &str) -> bool {
    find(name).is_some()
}

/// The types that a function's arguments have where nothing else tells, if it takes so many.
pub fn argument_types(name: &str, count: usize) -> Option<Vec<PgType>> {
    let kinds = find(name)?.kinds(count)?;
    let types = kinds.into_iter().map(|kind| match kind {
        Kind::Oid => PgType::Oid,
        Kind::Int => PgType::Int4,
        Kind::Bool => PgType::Bool,
        Kind::Text | Kind::Object => PgType::Text,
        Kind::Array => PgType::Array(Box::new(PgType::Text)),
    });
    Some(types.collect())
}

/// A function bound to the context of one statement.
pub struct SystemFunction {
    function: &'static Function,
    ctx: Arc<Context>,
    signature: Signature,
}

impl SystemFunction {
    /// The function of a name, if there is one.
    pub fn bind(name: &str, ctx: &Context) -> Option<Self> {
        let function = find(name)?;
        let volatility = if function.volatile { Volatility::Volatile } else { Volatility::Stable };
        Some(Self { function, ctx: Arc::new(ctx.clone()), signature: Signature::user_defined(volatility) })
    }

    fn value(&self, arguments: &[Value]) -> Result<Value, Plain> {
        if self.function.strict && arguments.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        (self.function.run)(&self.ctx, arguments)
    }

    fn column(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, SqlError> {
        let mut builder = ColumnBuilder::new(&(self.function.returns)(), Zone::UTC)?;
        for row in 0..rows {
            let row: Vec<Value> = arguments.iter().map(|array| Value::of(array, row)).collect();
            append(&mut builder, self.value(&row)?)?;
        }
        Ok(builder.finish())
    }
}

impl std::fmt::Debug for SystemFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.function.name)
    }
}
impl PartialEq for SystemFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.ctx.catalog, &other.ctx.catalog)
    }
}
impl Eq for SystemFunction {}
impl Hash for SystemFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for SystemFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&(self.function.returns)()))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.function.name, &(self.function.returns)(), true)))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Some(kinds) = self.function.kinds(given.len()) else {
            return plan_err!("function {} does not take {} arguments", self.function.name, given.len());
        };
        let read_as = |(kind, given): (&Kind, &DataType)| match kind {
            Kind::Oid => DataType::UInt32,
            Kind::Int => DataType::Int64,
            Kind::Text => DataType::Utf8View,
            Kind::Bool => DataType::Boolean,
            Kind::Object if given.is_integer() => DataType::UInt32,
            Kind::Object => DataType::Utf8View,
            Kind::Array => given.clone(),
        };
        Ok(kinds.iter().zip(given).map(read_as).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant =
            !self.function.volatile && args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arguments = args.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let column = self.column(&arguments, rows)?;
        // Not as a scalar: that would forget what PostgreSQL type the items of an array have.
        let repeated = UInt32Array::from(vec![0; args.number_rows]);
        Ok(ColumnarValue::Array(if constant { take(&column, &repeated, None)? } else { column }))
    }
}

fn text() -> PgType {
    PgType::Text
}

fn boolean() -> PgType {
    PgType::Bool
}

fn name() -> PgType {
    PgType::Name
}

fn bigint() -> PgType {
    PgType::Int8
}
