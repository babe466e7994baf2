//! The functions over advisory locks.
//!
//! Source: <https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS>.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray};
use arrow::datatypes::{DataType, FieldRef, Int32Type, Int64Type};
use async_trait::async_trait;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::advisory::{Key, Mode, Until};
use crate::context::{Context, Effect};
use crate::error::{Plain, SqlError, SqlState};
use crate::types::{PgType, arrow_type, field};

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// Takes a lock, after those that have it.
    Wait,
    /// Takes it if nobody has it.
    Try,
    /// Gives it back.
    Release,
    /// Gives all back.
    ReleaseAll,
}

/// Name, what it does, how, until when.
const FUNCTIONS: &[(&str, Act, Mode, Until)] = &[
    ("pg_advisory_lock", Act::Wait, Mode::Exclusive, Until::Session),
    ("pg_advisory_lock_shared", Act::Wait, Mode::Shared, Until::Session),
    ("pg_advisory_xact_lock", Act::Wait, Mode::Exclusive, Until::Transaction),
    ("pg_advisory_xact_lock_shared", Act::Wait, Mode::Shared, Until::Transaction),
    ("pg_try_advisory_lock", Act::Try, Mode::Exclusive, Until::Session),
    ("pg_try_advisory_lock_shared", Act::Try, Mode::Shared, Until::Session),
    ("pg_try_advisory_xact_lock", Act::Try, Mode::Exclusive, Until::Transaction),
    ("pg_try_advisory_xact_lock_shared", Act::Try, Mode::Shared, Until::Transaction),
    ("pg_advisory_unlock", Act::Release, Mode::Exclusive, Until::Session),
    ("pg_advisory_unlock_shared", Act::Release, Mode::Shared, Until::Session),
    ("pg_advisory_unlock_all", Act::ReleaseAll, Mode::Exclusive, Until::Session),
];

/// Whether a function is one of these.
pub fn is_advisory(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// The types of a lock's numbers.
pub fn advisory_arguments(name: &str, count: usize) -> Option<Vec<PgType>> {
    let types = if count == 1 { vec![PgType::Int8] } else { vec![PgType::Int4; count] };
    is_advisory(name).then_some(types)
}

/// The function of a name, for the session of a context.
pub fn advisory_function(name: &str, ctx: &Context) -> Option<ScalarUDF> {
    let (name, act, mode, until) = *FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
    let signature = match act {
        Act::ReleaseAll => Signature::nullary(Volatility::Volatile),
        _ => {
            // Literals are wide until they are typed.
            let numbers = [vec![PgType::Int8], vec![PgType::Int4; 2], vec![PgType::Int8; 2]];
            let exact = |numbers: &Vec<PgType>| TypeSignature::Exact(numbers.iter().map(arrow_type).collect());
            Signature::one_of(numbers.iter().map(exact).collect(), Volatility::Volatile)
        }
    };
    let function = Advisory { name, act, mode, until, ctx: Arc::new(ctx.clone()), signature };
    Some(AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf())
}

#[derive(Debug)]
struct Advisory {
    name: &'static str,
    act: Act,
    mode: Mode,
    until: Until,
    ctx: Arc<Context>,
    signature: Signature,
}

impl PartialEq for Advisory {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.ctx.advisory, &other.ctx.advisory)
    }
}
impl Eq for Advisory {}
impl std::hash::Hash for Advisory {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Advisory {
    fn pg(&self) -> PgType {
        match self.act {
            Act::Try | Act::Release => PgType::Bool,
            Act::Wait | Act::ReleaseAll => PgType::Void,
        }
    }

    async fn run(&self, key: Key) -> Result<bool, Plain> {
        let locks = &self.ctx.advisory;
        let take = |waits| locks.acquire(key, self.mode, self.until, waits, self.ctx.settings.lock_timeout());
        match self.act {
            Act::Wait => take(true).await,
            Act::Try => take(false).await,
            Act::ReleaseAll => locks.release_all().await.map(|()| true),
            Act::Release => {
                let had = locks.release(key, self.mode).await?;
                if !had {
                    let kind = if self.mode == Mode::Shared { "ShareLock" } else { "ExclusiveLock" };
                    let message = format!("you don't own a lock of type {kind}");
                    self.ctx.effects.add(Effect::Warned(SqlState::WARNING, message))?;
                }
                Ok(had)
            }
        }
    }
}

impl ScalarUDFImpl for Advisory {
    fn name(&self) -> &'static str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.pg()))
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name, &self.pg(), true)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} waits", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Advisory {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args.iter().map(|number| number.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let mut results = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let result = match key(&numbers, row)? {
                Some(key) => Some(self.run(key).await.map_err(SqlError::from)?),
                None => None,
            };
            results.push(result);
        }
        Ok(ColumnarValue::Array(match self.pg() {
            PgType::Bool => Arc::new(BooleanArray::from(results)),
            _ => Arc::new(results.iter().map(|done| done.map(|_| "")).collect::<StringViewArray>()) as ArrayRef,
        }))
    }
}

/// The numbers of one row; `None` if one is NULL. A function without numbers has any. `22003`
fn key(numbers: &[ArrayRef], row: usize) -> Result<Option<Key>> {
    if numbers.iter().any(|numbers| numbers.is_null(row)) {
        return Ok(None);
    }
    Ok(Some(match numbers {
        [] => Key::One(0),
        [number] => Key::One(number.as_primitive::<Int64Type>().value(row)),
        [first, second] => {
            let value = |numbers: &ArrayRef| match numbers.as_primitive_opt::<Int64Type>() {
                None => Ok(numbers.as_primitive::<Int32Type>().value(row)),
                Some(wide) => i32::try_from(wide.value(row)).map_err(|_too_large| {
                    SqlError::from(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
                }),
            };
            Key::Two(value(first)?, value(second)?)
        }
        _ => return plan_err!("a lock has one number or two"),
    }))
}
