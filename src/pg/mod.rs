//! PostgreSQL's functions where the engine has none or another meaning.

mod advisory;
mod arithmetic;
mod array;
mod bytes;
mod compare;
mod convert;
mod dimensions;
pub mod function;
mod interval;
mod json;
mod mask;
mod mask_path;
mod numeric;
mod ordered_set;
mod record;
mod sequence;
mod single_value;
mod sleep;
pub mod system;
mod unified;
mod volatile;

pub use advisory::{advisory_arguments, advisory_function, is_advisory};
pub use arithmetic::{CheckedArithmetic, ShiftedDate, ToInteger};
pub use array::{
    ANY_EQUAL, ARRAY_OF, ARRAY_SUBQUERY, AnyEqual, ArrayMark, ArrayOf, Bound, HasNull, Subscripts, UNTYPED_ARRAY,
    is_vector,
};
pub use bytes::BytesPlanner;
pub use compare::NestedCompare;
pub use convert::{
    Fitted, FromText, KnownAs, OUTPUT_TEXT, TOLD_APART, TYPE_OF, ToText, ToldApart, ToldByType, always_the_same, one,
};
pub use dimensions::{
    ARRAY_AT, ARRAY_FLATTENED, ArrayAt, Flattened, OfArrays, WithDimensions, dimension_functions, rectangular,
};
pub use interval::IntervalPlanner;
pub use json::json_functions;
pub use mask::{MASK_HASH, mask_functions, mask_hash};
pub use mask_path::{part_at, part_type, with_parts};
pub use numeric::ExactNumeric;
pub use ordered_set::{SORTED_INTERPOLATION, SORTED_MODE, SORTED_PERCENTILE, ordered_set_functions};
pub use record::{
    MakeRow, NAMED_ROW, ROW, ROW_ATTRIBUTE, ROW_WITH, RowAttribute, RowTest, attribute, record_functions,
    rows_comparable,
};
pub use sequence::{LastValue, SequenceAction, SequenceFunction, is_unbound, placeholder_functions};
pub use single_value::{SingleRow, SingleValue};
pub use sleep::sleep_functions;
pub use system::{Objects, SystemTable};
pub use unified::Unified;
pub use volatile::volatile_functions;
