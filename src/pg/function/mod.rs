//! Functions and operators of PostgreSQL by name and type of their arguments, as `pg_proc` and `pg_operator` have them.
//!
//! A definition is a name and a Rust function; the types of the latter say which overload it is. While a query is bound, a
//! call stands for all of a name's overloads; typing chooses one ([`choose`]), casts the arguments to its types, and puts the
//! chosen one in its place ([`PgFunction::chosen`]).

mod argument;
mod choose;
mod date;
mod json;
mod network;
mod number;
mod series;
mod string;

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::functions_nested::concat::array_concat_udf;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use self::argument::{Argument, Column, Given, Returned};
pub use self::choose::{Asked, NoChoice, choose, is_implicit, is_preferred};
use crate::error::{Plain, SqlError};
use crate::setting::Zone;
use crate::types::{NUMERIC_PRECISION_MAX, PgType, field, of_field};

/// What a call is made under.
pub(super) struct Call {
    /// The session's time zone.
    pub(super) zone: Zone,
    /// What was made of the last text that had to be taken apart: nearly always it is the same for all rows.
    made: RefCell<Option<(String, Rc<dyn Any>)>>,
}

impl Call {
    /// What is made of a text, made once where rows have the same.
    pub(super) fn once<T: 'static>(
        &self,
        text: &str,
        make: impl FnOnce(&str) -> std::result::Result<T, Plain>,
    ) -> std::result::Result<Rc<T>, Plain> {
        let known = self.made.borrow().as_ref().filter(|(of, _)| of == text).map(|(_, made)| Rc::clone(made));
        if let Some(made) = known.and_then(|made| made.downcast::<T>().ok()) {
            return Ok(made);
        }
        let made = Rc::new(make(text)?);
        *self.made.borrow_mut() = Some((text.to_owned(), Rc::clone(&made) as Rc<dyn Any>));
        Ok(made)
    }
}

type Body = dyn Fn(&Call, &[Given], usize, &DataType) -> std::result::Result<ArrayRef, SqlError> + Send + Sync;
type ScaleOf = fn(&[Asked<'_>]) -> i8;

/// `jsonb_order(jsonb)`: bytes that are in the order of documents.
pub const JSONB_ORDER: &str = "jsonb_order";

/// A function for arguments of certain types. It gives NULL if one of them is NULL.
pub struct Overload {
    arguments: Vec<PgType>,
    result: PgType,
    /// How many digits a numeric result has after the point; `None`: as many as its first numeric argument.
    scale: Option<ScaleOf>,
    /// Whether the session's time zone decides what it gives.
    zoned: bool,
    body: Box<Body>,
}

impl Overload {
    fn scale(self, scale: ScaleOf) -> Self {
        Self { scale: Some(scale), ..self }
    }

    fn zoned(self) -> Self {
        Self { zoned: true, ..self }
    }

    /// The types of its arguments.
    pub fn arguments(&self) -> &[PgType] {
        &self.arguments
    }

    fn result(&self, name: &str, asked: &[Asked<'_>]) -> FieldRef {
        if self.result.base() != &PgType::Numeric(None) {
            return Arc::new(field(name, &self.result, true));
        }
        let (scale, all_shown) = match self.scale {
            Some(scale) => (scale(asked), true),
            None => asked.iter().find_map(|argument| argument.numeric).unwrap_or((0, true)),
        };
        let data_type = DataType::Decimal128(NUMERIC_PRECISION_MAX, scale);
        let pg = if all_shown { PgType::Numeric(Some((NUMERIC_PRECISION_MAX, scale))) } else { PgType::Numeric(None) };
        if self.result.element().is_some() {
            return Arc::new(field(
                name,
                &PgType::Array(Box::new(PgType::Numeric(Some((NUMERIC_PRECISION_MAX, scale))))),
                true,
            ));
        }
        Arc::new(field(name, &pg, true).with_data_type(data_type))
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {}", self.arguments, self.result)
    }
}

macro_rules! functions_of {
    ($make:ident: $($column:ident $argument:ident $index:literal),+) => {
        fn $make<$($argument: Argument,)+ R: Returned>(
            body: impl for<'a> Fn(&Call, $($argument::Of<'a>),+) -> std::result::Result<R, Plain> + Send + Sync + 'static,
        ) -> Overload {
            Overload {
                arguments: vec![$($argument::pg()),+],
                result: R::pg(),
                scale: None,
                zoned: false,
                body: Box::new(move |call, given, rows, data_type| {
                    $(let $column = Column::<'_, $argument>::of(given.get($index))?;)+
                    let mut out = R::builder(rows);
                    for row in 0..rows {
                        match ($($column.get(row),)+) {
                            ($(Some($column),)+) => body(call, $($column),+)?.append(&mut out, data_type)?,
                            _ => R::append_null(&mut out),
                        }
                    }
                    R::finish(out, data_type)
                }),
            }
        }
    };
}

functions_of!(f1: a A 0);
functions_of!(f2: a A 0, b B 1);
functions_of!(f3: a A 0, b B 1, c C 2);
functions_of!(f4: a A 0, b B 1, c C 2, d D 3);
functions_of!(f5: a A 0, b B 1, c C 2, d D 3, e E 4);
functions_of!(f6: a A 0, b B 1, c C 2, d D 3, e E 4, f F 5);
functions_of!(f7: a A 0, b B 1, c C 2, d D 3, e E 4, f F 5, g G 6);

/// All of them, by name; operators by what they are written as.
static DEFINITIONS: LazyLock<BTreeMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut all: BTreeMap<&'static str, Vec<Overload>> = BTreeMap::new();
    let functions =
        [date::functions(), json::functions(), network::functions(), number::functions(), string::functions()];
    for (name, overload) in functions.into_iter().flatten() {
        all.entry(name).or_default().push(overload);
    }
    all
});

/// The overloads of a function or an operator; empty: it is not defined here.
pub fn overloads(name: &str) -> &'static [Overload] {
    DEFINITIONS.get(name).map_or(&[], Vec::as_slice)
}

/// All of the functions, and the operators, of which none is chosen yet.
pub fn functions() -> impl Iterator<Item = ScalarUDF> {
    DEFINITIONS.keys().map(|name| ScalarUDF::new_from_impl(PgFunction::new(*name)))
}

/// Finds the operators that are defined here while a query is bound.
#[derive(Debug)]
pub struct OperatorPlanner;

impl ExprPlanner for OperatorPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(joined) = arrays_joined(&expr, schema) {
            return Ok(PlannerResult::Planned(joined));
        }
        let Some(function) = PgFunction::named(&expr.op.to_string()) else { return Ok(PlannerResult::Original(expr)) };
        let (Ok((_, left)), Ok((_, right))) = (expr.left.to_field(schema), expr.right.to_field(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let asked = [(&left, &expr.left), (&right, &expr.right)].map(|(field, operand)| {
            let literal = if let Expr::Literal(value, _) = operand { Some(value) } else { None };
            // Of what is cast to another type of the same form, the engine says the type that it had.
            let pg = if let Expr::Cast(cast) = operand { of_field(&cast.field) } else { of_field(field) };
            Asked::new(&pg, field, literal)
        });
        let known = asked.iter().any(|operand| operand.pg != PgType::Unknown);
        if !known || choose(overloads(&function.name), &asked).is_err() {
            return Ok(PlannerResult::Original(expr));
        }
        let udf = Arc::new(ScalarUDF::new_from_impl(function));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![expr.left, expr.right]))))
    }
}

/// `array || $1`: a parameter without a type is an array, too. The engine takes it for an item.
fn arrays_joined(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    if expr.op.to_string() != "||" {
        return None;
    }
    let as_other = |operand: &Expr, other: &Expr| {
        let Expr::Placeholder(Placeholder { id, field: None }) = operand else { return None };
        let (_, field) = other.to_field(schema).ok()?;
        let is_array = matches!(field.data_type(), DataType::List(_));
        is_array.then(|| Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(field))))
    };
    let (left, right) = (as_other(&expr.left, &expr.right), as_other(&expr.right, &expr.left));
    if left.is_none() && right.is_none() {
        return None;
    }
    let joined = vec![left.unwrap_or_else(|| expr.left.clone()), right.unwrap_or_else(|| expr.right.clone())];
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(array_concat_udf(), joined)))
}

/// A function in a plan.
#[derive(Clone)]
pub struct PgFunction {
    name: Cow<'static, str>,
    /// The place of its overload, and the session's time zone.
    chosen: Option<(usize, Zone)>,
    signature: Signature,
}

impl PgFunction {
    fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), chosen: None, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The function or operator of a name, if it is defined here.
    pub fn named(name: &str) -> Option<Self> {
        DEFINITIONS.get_key_value(name).map(|(name, _)| Self::new(*name))
    }

    /// A function that there is not: it has no overload, which is found when the types of its arguments are known.
    pub fn unknown(name: &str) -> Self {
        Self::new(name.to_owned())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether one of its overloads is chosen.
    pub fn is_chosen(&self) -> bool {
        self.chosen.is_some()
    }

    /// With one of its overloads.
    #[must_use]
    pub fn chosen(&self, overload: usize, zone: Zone) -> Self {
        let zoned = overloads(&self.name).get(overload).is_some_and(|overload| overload.zoned);
        // Else it is the same in every session.
        Self { chosen: Some((overload, if zoned { zone } else { Zone::UTC })), ..self.clone() }
    }

    fn overload(&self, place: usize) -> Result<&'static Overload> {
        overloads(&self.name).get(place).map_or_else(|| exec_err!("{} has no such overload", self.name), Ok)
    }
}

impl fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl PartialEq for PgFunction {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.chosen) == (&other.name, other.chosen)
    }
}
impl Eq for PgFunction {}
impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.chosen.map(|(place, _)| place).hash(state);
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        &self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of {} depends on what is known of its arguments", self.name)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let literals = args.scalar_arguments.iter().copied().chain(std::iter::repeat(None));
        let asked: Vec<Asked<'_>> = args
            .arg_fields
            .iter()
            .zip(literals)
            .map(|(field, literal)| Asked::new(&of_field(field), field, literal))
            .collect();
        let place = match self.chosen {
            Some((place, _)) => place,
            None => choose(overloads(&self.name), &asked).map_err(|none| none.error(&self.name, &asked))?,
        };
        Ok(self.overload(place)?.result(&self.name, &asked))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((place, zone)) = self.chosen else { return exec_err!("no overload of {} was chosen", self.name) };
        let overload = self.overload(place)?;
        let are_scalars = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let given = args.args.iter().zip(&overload.arguments).map(|(argument, pg)| {
            Ok(match argument {
                ColumnarValue::Array(array) => Given::new(Arc::clone(array), false, pg)?,
                ColumnarValue::Scalar(scalar) => Given::new(scalar.to_array()?, true, pg)?,
            })
        });
        let given = given.collect::<Result<Vec<_>>>()?;
        let rows = if are_scalars { 1 } else { args.number_rows };
        let call = Call { zone, made: RefCell::default() };
        let result = (overload.body)(&call, &given, rows, args.return_field.data_type())?;
        Ok(if are_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}
