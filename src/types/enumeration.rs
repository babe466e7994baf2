//! Enumerations: types whose values are labels in an order.

use std::hash::{Hash, Hasher};

use arrow::array::{ArrayRef, AsArray};
use serde::{Deserialize, Serialize};

use crate::name::ObjectId;

/// The distance of the first label's code from 0, and of each label's from the one before: others may come between.
const CODE_STEP: u64 = 1 << 32;

/// An enumeration as it is known where its values are. Two are equal if they are the same object, whatever its labels are
/// by now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnumType {
    /// The type's object in the catalog.
    pub id: ObjectId,
    /// The name of its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// In their order.
    pub labels: Vec<EnumLabel>,
}

/// One value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnumLabel {
    /// What stands for it in the engine: it never changes, and is in the order of the labels.
    pub code: u64,
    /// As users write it.
    pub name: String,
}

impl EnumType {
    /// New labels in their order.
    pub fn number(names: impl IntoIterator<Item = String>) -> Vec<EnumLabel> {
        names.into_iter().zip(1..).map(|(name, place)| EnumLabel { code: place * CODE_STEP, name }).collect()
    }

    /// A code for a label at a place among those that are there; `None`: there is none left between its neighbours.
    pub fn code_at(labels: &[EnumLabel], place: usize) -> Option<u64> {
        let before = place.checked_sub(1).and_then(|before| labels.get(before)).map_or(0, |label| label.code);
        match labels.get(place) {
            Some(after) => Some(before + (after.code - before) / 2).filter(|code| *code > before),
            None => before.checked_add(CODE_STEP),
        }
    }

    /// The label that a code stands for.
    pub fn label(&self, code: u64) -> Option<&str> {
        let place = self.labels.binary_search_by_key(&code, |label| label.code).ok()?;
        self.labels.get(place).map(|label| label.name.as_str())
    }

    /// The code of a label; `None`: it has no such label.
    pub fn code(&self, label: &str) -> Option<u64> {
        self.labels.iter().find(|known| known.name == label).map(|known| known.code)
    }

    /// Whether all of some values, in their bytes, are labels.
    pub fn has_all(&self, values: &ArrayRef) -> bool {
        let Some(values) = values.as_fixed_size_binary_opt() else { return false };
        values.iter().flatten().all(|value| {
            let code = value.try_into().map(u64::from_be_bytes);
            code.is_ok_and(|code| self.label(code).is_some())
        })
    }
}

impl PartialEq for EnumType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for EnumType {}
impl Hash for EnumType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
