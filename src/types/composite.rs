//! Rows as values: composite types that users make, and records, which have no name.

use serde::{Deserialize, Serialize};

use super::PgType;
use crate::name::ObjectId;

/// A composite type as it is known where its values are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CompositeType {
    /// The type's object in the catalog.
    pub id: ObjectId,
    /// The name of its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// In their order.
    pub attributes: Vec<Attribute>,
}

/// One column of a row that is a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attribute {
    /// Unique in its type; those of records need not be.
    pub name: String,
    /// The type of its values.
    pub pg: PgType,
}

impl Attribute {
    /// The attributes of a record that names none: `f1`, `f2` ….
    pub fn unnamed(types: impl IntoIterator<Item = PgType>) -> Vec<Self> {
        types.into_iter().zip(1..).map(|(pg, number)| Self { name: format!("f{number}"), pg }).collect()
    }
}

impl PgType {
    /// The columns of its values; `None`: they are no rows.
    pub fn attributes(&self) -> Option<&[Attribute]> {
        match self {
            Self::Composite(of) => Some(&of.attributes),
            Self::Record(attributes) => attributes.as_deref(),
            _ => None,
        }
    }

    /// The types that its values are made of, one level down: of an array its elements', of a row its columns'.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let attributes = self.attributes().unwrap_or_default().iter().map(|attribute| &attribute.pg);
        self.element().into_iter().chain(attributes)
    }

    /// The type's own object, if it is one that a user made.
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            Self::Enum(of) => Some(of.id),
            Self::Composite(of) => Some(of.id),
            _ => None,
        }
    }

    /// The objects of all types that users made and that its values have parts of.
    pub fn objects(&self) -> Vec<ObjectId> {
        let parts = self.parts().flat_map(Self::objects);
        self.object().into_iter().chain(parts).collect()
    }

    /// Whether it is a type that a user made, or an array of one.
    pub fn is_made(&self) -> bool {
        self.base().object().is_some()
    }

    /// Changes each type that a user made, in here and at any depth, innermost first.
    pub fn change_made(&mut self, change: &mut dyn FnMut(&mut Self)) {
        match self {
            Self::Array(element) => element.change_made(change),
            Self::Composite(of) => {
                let of = std::sync::Arc::make_mut(of);
                for attribute in &mut of.attributes {
                    attribute.pg.change_made(change);
                }
                change(self);
            }
            Self::Record(Some(attributes)) => {
                let mut changed = attributes.to_vec();
                for attribute in &mut changed {
                    attribute.pg.change_made(change);
                }
                *attributes = changed.into();
            }
            Self::Enum(_) => change(self),
            _ => {}
        }
    }

    /// The type with another one in place of what it has of the same object.
    pub fn renew(&mut self, now: &Self) {
        self.change_made(&mut |made| {
            if made.object() == now.object() {
                now.clone_into(made);
            }
        });
    }
}
