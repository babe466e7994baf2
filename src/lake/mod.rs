//! Files we read but do not own: locations, object stores, formats.

mod file;
mod location;
mod readable;
mod store;
mod table;

pub use file::LakeFile;
pub use location::{Location, LocationError};
pub use store::{Lake, StoreError, bucket};
pub use table::{InferredTable, LakeTable};
