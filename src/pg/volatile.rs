//! Functions whose value is another one for each row: UUIDs, and the time of day.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef};
use chrono::Utc;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::types::{PgType, arrow_type, field};

/// `gen_random_uuid()`, `uuidv4()`, `uuidv7()` and `clock_timestamp()`.
pub fn volatile_functions() -> Vec<ScalarUDF> {
    let all = [
        ("gen_random_uuid", Kind::Random),
        ("uuidv4", Kind::Random),
        ("uuidv7", Kind::Ordered),
        ("clock_timestamp", Kind::Clock),
    ];
    let signature = || Signature::nullary(Volatility::Volatile);
    all.map(|(name, kind)| ScalarUDF::new_from_impl(Drawn { name, kind, signature: signature() })).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// UUID version 4 (RFC 9562).
    Random,
    /// UUID version 7: later ones are greater.
    Ordered,
    /// The time when the row is made, not when the statement began.
    Clock,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Drawn {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl Drawn {
    fn pg(&self) -> PgType {
        match self.kind {
            Kind::Random | Kind::Ordered => PgType::Uuid,
            Kind::Clock => PgType::Timestamptz(None),
        }
    }
}

impl ScalarUDFImpl for Drawn {
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
        Ok(Arc::new(field(self.name, &self.pg(), false)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let uuids = |next: fn() -> uuid::Uuid| -> Result<ArrayRef> {
            let values = (0..args.number_rows).map(|_| next().into_bytes());
            Ok(Arc::new(FixedSizeBinaryArray::try_from_iter(values)?))
        };
        let array = match self.kind {
            // Of no rows no width can be told.
            _ if args.number_rows == 0 => arrow::array::new_empty_array(&arrow_type(&self.pg())),
            Kind::Random => uuids(uuid::Uuid::new_v4)?,
            Kind::Ordered => uuids(uuid::Uuid::now_v7)?,
            Kind::Clock => {
                let times = (0..args.number_rows).map(|_| Utc::now().timestamp_micros());
                let times = TimestampMicrosecondArray::from_iter_values(times);
                arrow::compute::cast(&times.with_timezone("UTC"), &arrow_type(&self.pg()))?
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}
