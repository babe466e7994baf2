//! What must hold of a table's rows, and the indexes that carry its keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CatalogState, Relation, RelationKind};
use crate::name::ObjectId;
use crate::types::PgType;

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

/// A condition on a single row: a CHECK, or the rows that an index is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Source text over the table's columns by their names alone. For a CHECK, NULL is as good as true.
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

/// An index: a name and a key. Files are read by their statistics, so it holds no data; a unique one is enforced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The table, which it is dropped with.
    pub table: ObjectId,
    /// In the order of the key.
    pub keys: Vec<IndexKey>,
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
    /// WHERE: the rows that it is about; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<Check>,
}

/// A part of an index's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexKey {
    /// What it is made of.
    #[serde(flatten)]
    pub value: KeyValue,
    /// DESC.
    #[serde(default)]
    pub descending: bool,
    /// Whether NULLs come before the values.
    #[serde(default)]
    pub nulls_first: bool,
    /// `pg_opclass.opcname`, if it is not the default of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_class: Option<String>,
}

/// What a part of an index's key is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// A column's id.
    Column(i32),
    /// A value that is computed from a row.
    Expression(KeyExpression),
}

/// A value that is computed from a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyExpression {
    /// Source text over the table's columns by their names alone.
    pub expression: String,
    /// Ids of the columns it reads, ascending.
    pub columns: Vec<i32>,
    /// Its type.
    pub pg: PgType,
    /// `pg_attribute.attname`
    pub name: String,
}

/// A column of the order of a table's rows.
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
    /// Ids of the key's columns, in order; `None`: a part of it is an expression.
    pub fn columns(&self) -> Option<Vec<i32>> {
        self.keys.iter().map(IndexKey::column).collect()
    }

    /// Ids of the key's columns if the key is of columns and all rows have one.
    pub fn columns_of_all_rows(&self) -> Option<Vec<i32>> {
        self.columns().filter(|_| self.predicate.is_none())
    }

    /// Ids of the columns that decide about a row's key.
    pub fn reads(&self) -> BTreeSet<i32> {
        let keys = self.keys.iter().flat_map(|key| match &key.value {
            KeyValue::Column(id) => std::slice::from_ref(id),
            KeyValue::Expression(expression) => &expression.columns,
        });
        keys.chain(self.predicate.iter().flat_map(|predicate| &predicate.columns)).copied().collect()
    }

    /// The texts over the table's columns that it has, each with the ids of the columns that it reads.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &[i32])> {
        let keys = self.keys.iter().filter_map(|key| match &key.value {
            KeyValue::Expression(own) => Some((own.expression.as_str(), own.columns.as_slice())),
            KeyValue::Column(_) => None,
        });
        keys.chain(self.predicate.iter().map(|own| (own.condition.as_str(), own.columns.as_slice())))
    }

    /// The same, to be changed.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = (&mut String, &[i32])> {
        let keys = self.keys.iter_mut().filter_map(|key| match &mut key.value {
            KeyValue::Expression(own) => Some((&mut own.expression, own.columns.as_slice())),
            KeyValue::Column(_) => None,
        });
        keys.chain(self.predicate.iter_mut().map(|own| (&mut own.condition, own.columns.as_slice())))
    }
}

impl IndexKey {
    /// Of a column, in ascending order.
    pub fn of_column(id: i32) -> Self {
        Self { value: KeyValue::Column(id), descending: false, nulls_first: false, operator_class: None }
    }

    /// The column's id, if it is one.
    pub fn column(&self) -> Option<i32> {
        match self.value {
            KeyValue::Column(id) => Some(id),
            KeyValue::Expression(_) => None,
        }
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
