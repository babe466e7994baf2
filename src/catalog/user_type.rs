//! Types that users make: enumerations, composite types and domains.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CatalogState, Column};
use crate::govern::{Acl, ObjectKind};
use crate::name::ObjectId;
use crate::types::{Attribute, CompositeType, EnumLabel, EnumType, PgType};

/// A type of a schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserType {
    /// The schema it is in.
    pub schema: ObjectId,
    /// Already folded; unique among the types of its schema.
    pub name: String,
    /// The role that may alter and drop it.
    pub owner: ObjectId,
    /// `None`: the owner's default rights, and USAGE for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Acl>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What its values are.
    pub definition: TypeDefinition,
}

/// What values a type has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeDefinition {
    /// `AS ENUM`: labels in their order.
    Enum(Vec<EnumLabel>),
    /// `AS (name type, …)`: attributes in their order.
    Composite(Vec<Attribute>),
    /// `CREATE DOMAIN`: some of the values of another type.
    Domain(Domain),
}

/// Values of a type for which something holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// The type, which is none of the catalog's domains.
    pub base: PgType,
    /// How often what must hold of its values has changed.
    pub revision: u32,
    /// False with NOT NULL.
    pub nullable: bool,
    /// Source text of the default expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What must hold of a value, in the order of the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<DomainCheck>,
}

/// The domain of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainUse {
    /// Its object.
    pub id: ObjectId,
    /// [`Domain::revision`]: rows that were held to an earlier one may not be held to this.
    pub revision: u32,
}

/// A condition on the values of a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainCheck {
    /// Unique in the domain.
    pub name: String,
    /// Source text over `VALUE`.
    pub condition: String,
}

impl UserType {
    /// Its ACL, with what it has from the start if none was ever granted.
    pub fn effective_acl(&self) -> Acl {
        self.acl.clone().unwrap_or_else(|| ObjectKind::Types.built_in(self.owner))
    }

    /// Its conditions and so on, if it is a domain.
    pub fn as_domain(&self) -> Option<&Domain> {
        match &self.definition {
            TypeDefinition::Domain(domain) => Some(domain),
            TypeDefinition::Enum(_) | TypeDefinition::Composite(_) => None,
        }
    }

    /// Its attributes, if it is a composite type.
    pub fn as_composite(&self) -> Option<&[Attribute]> {
        match &self.definition {
            TypeDefinition::Composite(attributes) => Some(attributes),
            TypeDefinition::Enum(_) | TypeDefinition::Domain(_) => None,
        }
    }

    /// The types that it is over: a domain's own, those of attributes.
    pub fn over(&self) -> impl Iterator<Item = &PgType> {
        let attributes = self.as_composite().unwrap_or_default().iter().map(|attribute| &attribute.pg);
        self.as_domain().map(|domain| &domain.base).into_iter().chain(attributes)
    }

    /// The same, to be changed.
    pub fn over_mut(&mut self) -> impl Iterator<Item = &mut PgType> {
        let (base, attributes) = match &mut self.definition {
            TypeDefinition::Enum(_) => (None, None),
            TypeDefinition::Composite(attributes) => (None, Some(attributes)),
            TypeDefinition::Domain(domain) => (Some(&mut domain.base), None),
        };
        base.into_iter().chain(attributes.into_iter().flatten().map(|attribute| &mut attribute.pg))
    }

    /// What messages call it.
    pub fn kind_name(&self) -> &'static str {
        match self.definition {
            TypeDefinition::Enum(_) | TypeDefinition::Composite(_) => "type",
            TypeDefinition::Domain(_) => "domain",
        }
    }
}

impl CatalogState {
    /// The type that values of a user's type have: its own, or what a domain is over.
    pub fn value_type(&self, id: ObjectId, user_type: &UserType) -> PgType {
        let schema = || self.schema(user_type.schema).map(|schema| schema.name.clone()).unwrap_or_default();
        let name = user_type.name.clone();
        match &user_type.definition {
            TypeDefinition::Enum(labels) => {
                PgType::Enum(Arc::new(EnumType { id, schema: schema(), name, labels: labels.clone() }))
            }
            TypeDefinition::Composite(attributes) => PgType::Composite(Arc::new(CompositeType {
                id,
                schema: schema(),
                name,
                attributes: attributes.clone(),
            })),
            TypeDefinition::Domain(domain) => domain.base.clone(),
        }
    }

    /// The domain of a column.
    pub fn domain_of(&self, column: &Column) -> Option<(ObjectId, &Domain)> {
        let id = column.domain?.id;
        Some((id, self.user_type(id)?.as_domain()?))
    }
}
