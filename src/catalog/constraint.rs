//! What must hold of a table's rows, and the indexes that carry its keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CatalogState, Relation, RelationKind};
use crate::name::ObjectId;

/// A condition on a table's rows, under a name that is unique in the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// `pg_constraint.oid`, by the rule for all objects.
    pub id: ObjectId,
    /// Already folded.
    pub name: String,
    /// What must hold.
    pub kind: ConstraintKind,
    /// What COMMENT ON said of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The kinds of constraints. NOT NULL is a part of its column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    /// PRIMARY KEY: the columns of this index are unique and not NULL.
    Primary(ObjectId),
    /// UNIQUE: the columns of this index are unique.
    Unique(ObjectId),
    /// CHECK: not false for any row.
    Check(Check),
    /// FOREIGN KEY: recorded for those who read the catalog, never enforced.
    Foreign(ForeignKey),
}

/// A condition on a single row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Source text over the table's columns. NULL is as good as true.
    pub condition: String,
    /// Ids of the columns it reads, ascending.
    pub columns: Vec<i32>,
}

/// Says that some columns hold a key of another table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Ids of the referring columns.
    pub columns: Vec<i32>,
    /// The table referred to.
    pub table: ObjectId,
    /// Ids of the columns referred to, one for each of `columns`.
    pub referenced: Vec<i32>,
    /// The index that makes those unique.
    pub index: ObjectId,
    /// What was said about a row that is referred to and goes: `pg_constraint.confdeltype`.
    pub on_delete: char,
    /// The same for its key changing: `pg_constraint.confupdtype`.
    pub on_update: char,
    /// MATCH FULL.
    #[serde(default)]
    pub match_full: bool,
    /// DEFERRABLE.
    #[serde(default)]
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    #[serde(default)]
    pub deferred: bool,
}

/// An index: a name and columns. Files are read by their statistics, so it holds no data; a unique one is enforced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The table, which it is dropped with.
    pub table: ObjectId,
    /// In the order of the key.
    pub keys: Vec<KeyColumn>,
    /// Ids of the columns of INCLUDE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<i32>,
    /// Whether no two rows may have the same key.
    pub unique: bool,
    /// NULLS NOT DISTINCT: two keys are the same even if NULLs are in them.
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// The access method that was asked for, such as `btree`.
    pub method: String,
}

/// A column of an index, or of the order of a table's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The column's id.
    pub column: i32,
    /// DESC.
    #[serde(default)]
    pub descending: bool,
    /// Whether NULLs come before the values.
    #[serde(default)]
    pub nulls_first: bool,
}

/// Keys that a transaction gives its rows in one unique index, by their hashes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// In the order in which they came, from many to few.
    hashes: Vec<Arc<Vec<u64>>>,
    /// Whether the transaction would have done something else had it seen one of them (ON CONFLICT).
    pub arbitrated: bool,
}

impl Claims {
    /// Of these keys.
    pub fn new(hashes: Vec<u64>, arbitrated: bool) -> Self {
        Self { hashes: vec![Arc::new(hashes)], arbitrated }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.hashes.iter().map(|hashes| hashes.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All hashes.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.hashes.iter().flat_map(|hashes| hashes.iter().copied())
    }

    /// The hashes of those that came after the first `known`.
    pub fn after(&self, mut known: usize) -> impl Iterator<Item = u64> {
        self.hashes.iter().flat_map(move |hashes| {
            let skipped = known.min(hashes.len());
            known -= skipped;
            hashes.iter().skip(skipped).copied()
        })
    }

    /// With more keys.
    pub fn add(&mut self, more: Self) {
        self.arbitrated |= more.arbitrated;
        for mut last in more.hashes {
            while let Some(mut previous) = self.hashes.pop_if(|previous| previous.len() < 2 * last.len()) {
                Arc::make_mut(&mut previous).extend_from_slice(&last);
                last = previous;
            }
            self.hashes.push(last);
        }
    }
}

impl Index {
    /// Ids of the key's columns, in order.
    pub fn columns(&self) -> Vec<i32> {
        self.keys.iter().map(|key| key.column).collect()
    }
}

impl Constraint {
    /// Its own id, and those of what it refers to.
    pub(super) fn object_ids(&mut self) -> Vec<&mut ObjectId> {
        let others = match &mut self.kind {
            ConstraintKind::Primary(index) | ConstraintKind::Unique(index) => vec![index],
            ConstraintKind::Foreign(key) => vec![&mut key.table, &mut key.index],
            ConstraintKind::Check(_) => Vec::new(),
        };
        std::iter::once(&mut self.id).chain(others).collect()
    }

    /// The index that carries it, of a key.
    pub fn index(&self) -> Option<ObjectId> {
        match &self.kind {
            ConstraintKind::Primary(index) | ConstraintKind::Unique(index) => Some(*index),
            ConstraintKind::Check(_) | ConstraintKind::Foreign(_) => None,
        }
    }
}

impl Relation {
    /// The index, if that is what the relation is.
    pub fn as_index(&self) -> Option<&Index> {
        match &self.storage {
            RelationKind::Index(index) => Some(index),
            RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) | RelationKind::Sequence(_) => {
                None
            }
        }
    }

    /// The primary key's constraint.
    pub fn primary_key(&self) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| matches!(constraint.kind, ConstraintKind::Primary(_)))
    }

    /// The constraint that an index carries.
    pub fn constraint_of(&self, index: ObjectId) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.index() == Some(index))
    }
}

impl CatalogState {
    /// A table's indexes, in the order in which they were made: id, name, definition.
    pub fn indexes<'a>(&'a self, table: &'a Relation) -> impl Iterator<Item = (ObjectId, &'a str, &'a Index)> {
        table.indexes.iter().filter_map(|id| {
            let relation = self.relation(*id)?;
            Some((*id, relation.name.as_str(), relation.as_index()?))
        })
    }
}
