//! PostgreSQL's functions where the engine has none or another meaning.

mod arithmetic;
mod convert;
mod sequence;

pub use arithmetic::CheckedArithmetic;
pub use convert::{FromText, ToText};
pub use sequence::{NextValue, placeholder_functions};
