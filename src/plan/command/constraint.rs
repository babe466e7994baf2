//! Constraints and indexes: what CREATE TABLE, ALTER TABLE, CREATE INDEX and DROP INDEX make of a table's definition, and
//! what the table's rows are held against.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column as EngineColumn, DFSchema};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use sqlparser::ast;

use super::super::rewrite::figure;
use super::super::{PlanError, PlanResult, Right, Scope, has_subquery, immutable, policy, type_names};
use super::{DdlPlan, Validation, relation};
use crate::catalog::{
    Body, Change, Check, Column, Constraint, ConstraintKind, ForeignKey, Index, IndexKey, KeyExpression, KeyValue,
    Namespace, Relation, RelationKind, TEMPORARY_SCHEMA,
};
use crate::error::{About, Notice, Plain, SqlError, SqlState, unsupported};
use crate::govern::Privilege;
use crate::guard::masks;
use crate::name::{ObjectId, quote};
use crate::statement::{
    Condition, ConstraintDefinition, CreateIndex, IndexElement, IndexValue, Key, References, Timing, folded,
    parse_expression,
};
use crate::types::{PgType, field};

/// A table whose constraints and indexes change. New objects are put into the plan, the table itself is not.
pub(super) struct Constrained<'a> {
    pub(super) scope: &'a Scope,
    pub(super) ddl: &'a mut DdlPlan,
    pub(super) id: ObjectId,
    pub(super) table: &'a mut Relation,
}

impl Constrained<'_> {
    /// Adds what CREATE TABLE or ALTER TABLE declares. Tells the new constraint's id.
    pub(super) fn add(&mut self, definition: &ConstraintDefinition) -> PlanResult<ObjectId> {
        let id = self.ddl.new_id(self.scope);
        let (name, kind) = match &definition.condition {
            Condition::Primary(key) => self.key(definition.name.as_deref(), key, true)?,
            Condition::Unique(key) => self.key(definition.name.as_deref(), key, false)?,
            Condition::Check(condition) => self.check(definition.name.as_deref(), condition)?,
            Condition::Foreign(references) => self.foreign(definition.name.as_deref(), references)?,
        };
        self.table.constraints.push(Constraint { id, name, kind, comment: None });
        Ok(id)
    }

    fn free_name(&self, given: Option<&str>, made: &str) -> PlanResult<String> {
        let taken = |name: &str| self.table.constraints.iter().any(|constraint| constraint.name == name);
        match given {
            Some(name) if taken(name) => {
                let message = format!("constraint \"{name}\" for relation \"{}\" already exists", self.table.name);
                Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into())
            }
            Some(name) => Ok(name.to_owned()),
            None => Ok(numbered(made, taken)),
        }
    }

    fn key(&mut self, name: Option<&str>, key: &Key, primary: bool) -> PlanResult<(String, ConstraintKind)> {
        if primary && self.table.primary_key().is_some() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", self.table.name);
            return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
        }
        let of = |index| if primary { ConstraintKind::Primary(index) } else { ConstraintKind::Unique(index) };
        if let Some(index) = &key.index {
            let (id, columns) = self.take_index(index, name)?;
            let name = name.unwrap_or(index).to_owned();
            self.primary_columns(primary, &columns);
            return Ok((name, of(id)));
        }
        let what = if primary { "primary key" } else { "unique" };
        let mut columns: Vec<i32> = Vec::new();
        for name in &key.columns {
            let found = self.named(name)?;
            if columns.contains(&found.id) {
                let message = format!("column \"{name}\" appears twice in {what} constraint");
                return Err(Plain::new(SqlState::DUPLICATE_COLUMN, message).into());
            }
            columns.push(found.id);
        }
        let index = Index {
            table: self.id,
            keys: columns.iter().map(|column| IndexKey::of_column(*column)).collect(),
            included: key.included.iter().map(|name| Ok(self.named(name)?.id)).collect::<PlanResult<_>>()?,
            unique: true,
            nulls_not_distinct: key.nulls_not_distinct,
            method: "btree".to_owned(),
            predicate: None,
        };
        let made = if primary {
            object_name(&self.table.name, "", "pkey")
        } else {
            let names: Vec<&str> = key.columns.iter().chain(&key.included).map(String::as_str).collect();
            object_name(&self.table.name, &names.join("_"), "key")
        };
        if let Some(name) = name {
            self.free_name(Some(name), "")?;
        }
        self.primary_columns(primary, &columns);
        let (id, name) = self.put_index(index, name, &made)?;
        Ok((name, of(id)))
    }

    /// The columns of a primary key are NOT NULL.
    fn primary_columns(&mut self, primary: bool, columns: &[i32]) {
        for column in self.table.columns.iter_mut().filter(|column| primary && columns.contains(&column.id)) {
            column.nullable = false;
        }
    }

    /// A unique index that becomes a constraint's, under the constraint's name.
    fn take_index(&mut self, index: &str, name: Option<&str>) -> PlanResult<(ObjectId, Vec<i32>)> {
        let id = self.scope.catalog().find(Namespace::Relation(self.table.schema), index);
        let found = id.and_then(|id| Some((id, self.scope.catalog().relation(id)?)));
        let Some((id, relation)) = found.filter(|(id, _)| self.table.indexes.contains(id)) else {
            let message = format!("index \"{index}\" does not exist");
            return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
        };
        let refused = |message: &str| {
            let error = Plain::new(SqlState::WRONG_OBJECT_TYPE, message);
            Err(error.detail("Cannot create a primary key or unique constraint using such an index.").into())
        };
        let quoted = format!("\"{index}\"");
        let columns = match relation.as_index() {
            Some(definition) if !definition.unique => return refused(&format!("{quoted} is not a unique index")),
            Some(definition) => match definition.columns() {
                None => return refused(&format!("index {quoted} contains expressions")),
                Some(_) if definition.predicate.is_some() => return refused(&format!("{quoted} is a partial index")),
                Some(columns) => columns,
            },
            None => return refused(&format!("{quoted} is not an index")),
        };
        if self.table.constraint_of(id).is_some() {
            let message = format!("index \"{index}\" is already associated with a constraint");
            return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        }
        if let Some(name) = name.filter(|name| *name != index) {
            let mut renamed = relation.clone();
            self.free_relation(Some(name), "")?.clone_into(&mut renamed.name);
            self.ddl.put(id, Body::Relation(renamed));
        }
        Ok((id, columns))
    }

    /// `42703`
    fn named(&self, name: &str) -> PlanResult<&Column> {
        self.table.column(name).ok_or_else(|| {
            let message = format!("column \"{name}\" named in key does not exist");
            PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.to_owned())
        })
    }

    /// A name for a relation beside the table. `42P07`.
    fn free_relation(&self, given: Option<&str>, made: &str) -> PlanResult<String> {
        let schema = self.table.schema;
        let taken = |name: &str| {
            let new = self.ddl.changes.iter().any(|change| match change {
                Change::Put(_, body) => {
                    matches!(body.as_ref(), Body::Relation(other) if other.schema == schema && other.name == name)
                }
                Change::Delete(_) => false,
            });
            new || self.table.name == name || self.scope.catalog().find(Namespace::Relation(schema), name).is_some()
        };
        match given {
            Some(name) if taken(name) => {
                let message = format!("relation \"{name}\" already exists");
                Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into())
            }
            Some(name) => Ok(name.to_owned()),
            None => Ok(numbered(made, taken)),
        }
    }

    /// A new index of the table. `42704` for a type whose values cannot be compared.
    fn put_index(&mut self, index: Index, name: Option<&str>, made: &str) -> PlanResult<(ObjectId, String)> {
        for key in &index.keys {
            let pg = match &key.value {
                KeyValue::Column(id) => self.table.column_by_id(*id).map(|column| &column.pg),
                KeyValue::Expression(own) => Some(&own.pg),
            };
            pg.map_or(Ok(()), |pg| comparable(pg, &index))?;
        }
        let name = self.free_relation(name, made)?;
        let id = self.ddl.new_id(self.scope);
        let relation = Relation {
            schema: self.table.schema,
            name: name.clone(),
            owner: self.table.owner,
            acl: None,
            columns: Vec::new(),
            storage: RelationKind::Index(index),
            row_security: false,
            force_row_security: false,
            any_rls_policy: false,
            comment: None,
            constraints: Vec::new(),
            indexes: Vec::new(),
        };
        self.ddl.put(id, Body::Relation(relation));
        self.table.indexes.push(id);
        Ok((id, name))
    }

    fn check(&mut self, name: Option<&str>, condition: &str) -> PlanResult<(String, ConstraintKind)> {
        let condition = without_table(self.table, condition)?;
        let condition = type_names::qualified(self.scope, &condition)?;
        let bound = bind_check(self.scope, self.table, &condition)?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in check constraint";
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
        let read: BTreeSet<&str> = bound.column_refs().into_iter().map(|column| column.name.as_str()).collect();
        let read: Vec<&Column> =
            self.table.columns.iter().filter(|column| read.contains(column.name.as_str())).collect();
        refuse_masked(self.scope, self.id, "a check constraint", |id| read.iter().any(|read| read.id == id))?;
        let of_one = match read.as_slice() {
            [column] => column.name.as_str(),
            _ => "",
        };
        let name = self.free_name(name, &object_name(&self.table.name, of_one, "check"))?;
        let mut columns: Vec<i32> = read.iter().map(|column| column.id).collect();
        columns.sort_unstable();
        Ok((name, ConstraintKind::Check(Check { condition, columns })))
    }

    fn foreign(&mut self, name: Option<&str>, references: &References) -> PlanResult<(String, ConstraintKind)> {
        let columns: Vec<&Column> = references
            .columns
            .iter()
            .map(|name| {
                self.table.column(name).ok_or_else(|| {
                    let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
                    PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.clone())
                })
            })
            .collect::<PlanResult<_>>()?;
        let itself = references.table.name == self.table.name
            && references.table.schema.as_ref().is_none_or(|schema| {
                self.scope.catalog().schema(self.table.schema).is_some_and(|own| own.name == *schema)
            });
        let (id, other) = match relation(self.scope, &references.table) {
            Ok((id, _)) if id == self.id => (id, self.table.clone()),
            Ok((id, other)) => (id, other.clone()),
            // It is being created.
            Err(_) if itself => (self.id, self.table.clone()),
            Err(error) => return Err(error),
        };
        if !other.is_table() {
            let message = format!("referenced relation \"{}\" is not a table", other.name);
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        }
        let is_temporary = |table: &Relation| table.schema == TEMPORARY_SCHEMA;
        if is_temporary(self.table) != is_temporary(&other) {
            let kind = if is_temporary(self.table) { "temporary" } else { "permanent" };
            let message = format!("constraints on {kind} tables may reference only {kind} tables");
            return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
        }
        let (index, referenced) = self.referenced(&other, &references.referenced)?;
        if referenced.len() != columns.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(Plain::new(SqlState::INVALID_FOREIGN_KEY, message).into());
        }
        let made = object_name(&self.table.name, &references.columns.join("_"), "fkey");
        let name = self.free_name(name, &made)?;
        for (own, other_id) in columns.iter().zip(&referenced) {
            let Some(key) = other.column_by_id(*other_id) else { continue };
            if own.pg.category() != key.pg.category() {
                let message = format!("foreign key constraint \"{name}\" cannot be implemented");
                let detail = format!(
                    "Key columns \"{}\" of the referencing table and \"{}\" of the referenced table are of incompatible \
                     types: {} and {}.",
                    own.name, key.name, own.pg, key.pg
                );
                return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).detail(detail).into());
            }
        }
        let positions = other.columns.iter().enumerate().filter(|(_, column)| referenced.contains(&column.id));
        let positions = positions.map(|(index, _)| i32::try_from(index).unwrap_or(i32::MAX)).collect();
        if id != self.id {
            self.ddl.need(self.scope, Right::Relation { id, privilege: Privilege::References, columns: positions });
        }
        let columns = columns.iter().map(|column| column.id).collect();
        if references.enforced {
            let message = format!("foreign key constraint \"{name}\" is recorded but not enforced");
            let hint = Some("Declare it NOT ENFORCED to say so yourself.".to_owned());
            self.ddl.notices.push(Notice { hint, ..Notice::warning(SqlState::WARNING, message) });
        }
        Ok((
            name,
            ConstraintKind::Foreign(ForeignKey {
                columns,
                table: id,
                referenced,
                index,
                on_delete: references.on_delete,
                on_update: references.on_update,
                match_full: references.match_full,
                deferrable: references.timing != Timing::NotDeferrable,
                deferred: references.timing == Timing::Deferred,
            }),
        ))
    }

    /// The key that a foreign key refers to. `42830`, `42704`, `42703`.
    fn referenced(&self, other: &Relation, names: &[String]) -> PlanResult<(ObjectId, Vec<i32>)> {
        let definition = |id: ObjectId| self.ddl.relation(self.scope, id)?.as_index();
        if names.is_empty() {
            let index = other.primary_key().and_then(Constraint::index);
            let found = index.and_then(|id| Some((id, definition(id)?.columns()?)));
            return found.ok_or_else(|| {
                let message = format!("there is no primary key for referenced table \"{}\"", other.name);
                Plain::new(SqlState::UNDEFINED_OBJECT, message).into()
            });
        }
        let mut columns = Vec::new();
        for name in names {
            let found = other.column(name).ok_or_else(|| {
                let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
                PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.clone())
            })?;
            columns.push(found.id);
        }
        let wanted: BTreeSet<i32> = columns.iter().copied().collect();
        let is_it = |id: &ObjectId| {
            definition(*id)
                .filter(|index| index.unique)
                .and_then(Index::columns_of_all_rows)
                .is_some_and(|columns| columns.into_iter().collect::<BTreeSet<_>>() == wanted)
        };
        let index = other.indexes.iter().copied().find(is_it).filter(|_| wanted.len() == columns.len());
        let index = index.ok_or_else(|| {
            let message =
                format!("there is no unique constraint matching given keys for referenced table \"{}\"", other.name);
            Plain::new(SqlState::INVALID_FOREIGN_KEY, message)
        })?;
        Ok((index, columns))
    }

    /// Takes a constraint away, with its index. `42704`, `2BP01`.
    pub(super) fn drop(&mut self, name: &str, if_exists: bool, cascade: bool) -> PlanResult<()> {
        let Some(position) = self.table.constraints.iter().position(|constraint| constraint.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", self.table.name);
            if !if_exists {
                return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
            }
            self.ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
            return Ok(());
        };
        let constraint = self.table.constraints.remove(position);
        if let Some(index) = constraint.index() {
            let what = format!("constraint {name} on table {}", self.table.name);
            self.forget_index(index, &what, cascade)?;
        }
        Ok(())
    }

    /// Deletes an index, and with CASCADE the foreign keys that refer to it.
    fn forget_index(&mut self, index: ObjectId, what: &str, cascade: bool) -> PlanResult<()> {
        self.table.indexes.retain(|id| *id != index);
        let refers =
            |constraint: &Constraint| matches!(&constraint.kind, ConstraintKind::Foreign(key) if key.index == index);
        self.table.constraints.retain(|constraint| !refers(constraint));
        for (id, _) in self.scope.catalog().relations().filter(|(id, _)| *id != self.id) {
            let Some(other) = self.ddl.relation(self.scope, id) else { continue };
            let Some(found) = other.constraints.iter().find(|constraint| refers(constraint)) else { continue };
            let dependent = format!("constraint {} on table {}", found.name, self.scope.ctx.display_name(id));
            if !cascade {
                let message = format!("cannot drop {what} because other objects depend on it");
                return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(format!("{dependent} depends on {what}"))
                    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
                    .into());
            }
            let mut changed = other.clone();
            changed.constraints.retain(|constraint| !refers(constraint));
            self.ddl.put(id, Body::Relation(changed));
            self.ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to {dependent}"));
        }
        self.ddl.changes.retain(|change| change.id() != index);
        self.ddl.changes.push(Change::Delete(index));
        Ok(())
    }

    /// Takes away what a column that goes is a part of.
    pub(super) fn forget_column(&mut self, column: &Column, cascade: bool) -> PlanResult<()> {
        let is_in = |id: &ObjectId| {
            let index = self.ddl.relation(self.scope, *id).and_then(Relation::as_index);
            index.is_some_and(|index| index.reads().contains(&column.id) || index.included.contains(&column.id))
        };
        let involved: Vec<ObjectId> = self.table.indexes.iter().copied().filter(is_in).collect();
        for index in involved {
            self.table.constraints.retain(|constraint| constraint.index() != Some(index));
            let what = format!("column {} of table {}", column.name, self.table.name);
            self.forget_index(index, &what, cascade)?;
        }
        self.table.constraints.retain(|constraint| match &constraint.kind {
            ConstraintKind::Check(check) => !check.columns.contains(&column.id),
            ConstraintKind::Foreign(key) => !key.columns.contains(&column.id),
            ConstraintKind::Primary(_) | ConstraintKind::Unique(_) => true,
        });
        Ok(())
    }

    /// Gives a constraint, and the index that carries it, another name. `42704`, `42710`, `42P07`.
    pub(super) fn rename(&mut self, name: &str, to: &str) -> PlanResult<()> {
        let Some(position) = self.table.constraints.iter().position(|constraint| constraint.name == name) else {
            let message = format!("constraint \"{name}\" for table \"{}\" does not exist", self.table.name);
            return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
        };
        self.free_name(Some(to), "")?;
        let Some(constraint) = self.table.constraints.get_mut(position) else { return Ok(()) };
        to.clone_into(&mut constraint.name);
        if let Some(index) = constraint.index()
            && let Some(relation) = self.ddl.relation(self.scope, index)
        {
            let mut renamed = relation.clone();
            renamed.name = self.free_relation(Some(to), "")?;
            self.ddl.put(index, Body::Relation(renamed));
        }
        Ok(())
    }
}

/// CREATE INDEX.
pub(super) fn create_index(scope: &Scope, ddl: &mut DdlPlan, create: &CreateIndex) -> PlanResult<()> {
    let (id, old) = relation(scope, &create.table)?;
    ddl.need(scope, Right::Own(id));
    if !matches!(old.storage, RelationKind::Table(_)) {
        let message = format!("cannot create index on relation \"{}\"", old.name);
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
    }
    if let Some(name) = &create.name
        && create.if_not_exists
        && scope.catalog().find(Namespace::Relation(old.schema), name).is_some()
    {
        ddl.skip(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists, skipping"));
        return Ok(());
    }
    if !["btree", "hash", "gin", "gist", "brin", "spgist"].contains(&create.method.as_str()) {
        let message = format!("access method \"{}\" does not exist", create.method);
        return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
    }
    if create.unique && create.method != "btree" {
        let message = format!("access method \"{}\" does not support unique indexes", create.method);
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
    }
    let id_of = |name: &str| -> PlanResult<i32> { Ok(super::layout::find(old, name)?.id) };
    let mut names: Vec<String> = Vec::new();
    let mut keys = Vec::new();
    for element in &create.elements {
        let key = index_key(scope, old, element)?;
        let name = match &key.value {
            KeyValue::Column(id) => old.column_by_id(*id).map(|column| column.name.as_str()).unwrap_or_default(),
            KeyValue::Expression(own) => &own.name,
        };
        names.push(numbered(name, |name| names.iter().any(|taken| taken == name)));
        keys.push(key);
    }
    for (key, name) in keys.iter_mut().zip(&names) {
        if let KeyValue::Expression(own) = &mut key.value {
            own.name.clone_from(name);
        }
    }
    let repeated = |at: usize| keys.iter().take(at).any(|key| Some(&key.value) == keys.get(at).map(|key| &key.value));
    if create.unique && (0..keys.len()).any(repeated) {
        return Err(unsupported("a unique index with one column twice").into());
    }
    let predicate = create.predicate.as_ref();
    let predicate = predicate.map(|text| immutable::define_predicate(scope, old, &without_table(old, text)?));
    let index = Index {
        table: id,
        keys,
        included: create.included.iter().map(|name| id_of(name)).collect::<PlanResult<_>>()?,
        unique: create.unique,
        nulls_not_distinct: create.nulls_not_distinct,
        method: create.method.clone(),
        predicate: predicate.transpose()?,
    };
    if index.columns_of_all_rows().is_none() {
        refuse_masked(scope, id, "an index", |id| index.reads().contains(&id))?;
    }
    names.extend(create.included.iter().cloned());
    let made = object_name(&old.name, &names.join("_"), "idx");
    let mut table = old.clone();
    let mut constrained = Constrained { scope, ddl, id, table: &mut table };
    let (_, name) = constrained.put_index(index.clone(), create.name.as_deref(), &made)?;
    if create.unique {
        let rows = rows(scope, id, old, &table)?;
        let mut validation = no_duplicates(scope, id, rows, &table, &index, &name)?;
        validation.error = validation.error.about(about(scope, &table, &name));
        ddl.validations.push(validation);
    }
    ddl.put(id, Body::Relation(table));
    Ok(())
}

/// A part of a key, as it is declared. `42703`, `42704`, and as [`immutable::define_key`].
fn index_key(scope: &Scope, table: &Relation, element: &IndexElement) -> PlanResult<IndexKey> {
    let IndexElement { value, operator_class, descending, nulls_first } = element;
    let value = match value {
        IndexValue::Column(name) => KeyValue::Column(super::layout::find(table, name)?.id),
        IndexValue::Expression(source) => {
            let source = without_table(table, source)?;
            let (expression, columns, pg) = immutable::define_key(scope, table, &source)?;
            if let Some(object) = pg.objects().first() {
                let name = scope.ctx.display_name(*object);
                return Err(unsupported(format!("an index on an expression of type {name}")).into());
            }
            let name = figure(&parse_expression(&source)?).unwrap_or_else(|| "expr".to_owned());
            let columns = columns.into_iter().collect();
            KeyValue::Expression(KeyExpression { expression, columns, pg, name })
        }
    };
    let operator_class = operator_class.clone();
    Ok(IndexKey { value, descending: *descending, nulls_first: *nulls_first, operator_class })
}

/// An expression without the table's own name before its columns.
pub(in crate::plan) fn without_table(table: &Relation, source: &str) -> PlanResult<String> {
    let mut parsed = parse_expression(source)?;
    Ok(if own_names(&mut parsed, &table.name) { parsed.to_string() } else { source.to_owned() })
}

/// Refuses what would tell of values that a mask hides. `0A000`.
fn refuse_masked(scope: &Scope, id: ObjectId, what: &str, reads: impl Fn(i32) -> bool) -> PlanResult<()> {
    let Some(old) = scope.catalog().relation(id) else { return Ok(()) };
    let hidden = masks(&scope.ctx, &scope.reader, id, old).map_err(SqlError::from)?;
    let mut hidden = hidden.iter().filter_map(|mask| old.columns.get(mask.column));
    match hidden.find(|column| reads(column.id)) {
        None => Ok(()),
        Some(column) => {
            let message = format!("cannot read masked column \"{}\" in {what}", column.name);
            Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into())
        }
    }
}

/// DROP INDEX of one that no constraint needs. `2BP01`.
pub(super) fn drop_index(scope: &Scope, ddl: &mut DdlPlan, index: ObjectId, cascade: bool) -> PlanResult<()> {
    let Some(relation) = scope.catalog().relation(index) else { return Ok(()) };
    let Some(definition) = relation.as_index() else { return Ok(()) };
    let Some(mut table) = ddl.relation(scope, definition.table).cloned() else { return Ok(()) };
    if let Some(constraint) = table.constraint_of(index) {
        let name = format!("constraint {} on table {}", constraint.name, table.name);
        let message = format!("cannot drop index {} because {name} requires it", relation.name);
        let refusal = Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message);
        ddl.refusal = Some(refusal.hint(format!("You can drop {name} instead.")));
        return Ok(());
    }
    let what = format!("index {}", relation.name);
    let id = definition.table;
    Constrained { scope, ddl: &mut *ddl, id, table: &mut table }.forget_index(index, &what, cascade)?;
    ddl.put(id, Body::Relation(table));
    Ok(())
}

/// What the table's rows are now, under its new definition.
pub(super) fn rows(scope: &Scope, id: ObjectId, old: &Relation, new: &Relation) -> PlanResult<LogicalPlanBuilder> {
    let scan = super::alter::scan(scope, id, old)?;
    let values = new.columns.iter().map(|column| -> PlanResult<Expr> {
        let value = match old.column_by_id(column.id) {
            Some(before) => Expr::Column(EngineColumn::new(Some(super::alter::TABLE), &before.name)),
            None => Expr::Literal(crate::warehouse::initial(column)?, None),
        };
        Ok(value.alias(&column.name))
    });
    Ok(scan.project(values.collect::<PlanResult<Vec<_>>>()?)?)
}

/// Asks that the rows there are satisfy a constraint of the new definition.
pub(super) fn validation(
    scope: &Scope,
    id: ObjectId,
    old: &Relation,
    new: &Relation,
    constraint: &Constraint,
    ddl: &DdlPlan,
) -> PlanResult<Option<Validation>> {
    Ok(match &constraint.kind {
        ConstraintKind::Primary(key) | ConstraintKind::Unique(key) => {
            let Some(key) = ddl.relation(scope, *key).and_then(Relation::as_index) else { return Ok(None) };
            let rows = rows(scope, id, old, new)?;
            let mut validation = no_duplicates(scope, id, rows, new, key, &constraint.name)?;
            validation.error = validation.error.about(about(scope, new, &constraint.name));
            Some(validation)
        }
        ConstraintKind::Check(check) => {
            let broken = Expr::IsFalse(Box::new(bind_check(scope, new, &check.condition)?));
            let none_of = rows(scope, id, old, new)?.filter(broken)?.limit(0, Some(1))?.build()?;
            let message = format!(
                "check constraint \"{}\" of relation \"{}\" is violated by some row",
                constraint.name, new.name
            );
            let error = Plain::new(SqlState::CHECK_VIOLATION, message).about(about(scope, new, &constraint.name));
            Some(Validation { table: id, none_of, error, key: None })
        }
        ConstraintKind::Foreign(_) => None,
    })
}

/// What drivers are told that an error is about.
fn about(scope: &Scope, table: &Relation, constraint: &str) -> About {
    About {
        schema: scope.catalog().schema(table.schema).map(|schema| schema.name.clone()),
        table: Some(table.name.clone()),
        constraint: Some(constraint.to_owned()),
        ..About::default()
    }
}

/// Asks that no two rows have the same key.
fn no_duplicates(
    scope: &Scope,
    id: ObjectId,
    rows: LogicalPlanBuilder,
    table: &Relation,
    index: &Index,
    name: &str,
) -> PlanResult<Validation> {
    let mut rows = rows;
    if let Some(predicate) = &index.predicate {
        rows = rows.filter(immutable::predicate(scope, table, predicate)?)?;
    }
    let mut names: Vec<String> = Vec::new();
    let mut values = Vec::new();
    for key in &index.keys {
        let (name, value) = match &key.value {
            KeyValue::Column(id) => {
                let Some(column) = table.column_by_id(*id) else { continue };
                (quote(&column.name), Expr::Column(EngineColumn::new_unqualified(&column.name)))
            }
            KeyValue::Expression(own) => (own.expression.clone(), immutable::key_value(scope, table, own)?),
        };
        values.push(value.alias(&name));
        names.push(name);
    }
    let nulls_too = index.nulls_not_distinct;
    let message = format!("could not create unique index \"{name}\"");
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(Validation {
        table: id,
        none_of: duplicates(rows.project(values)?, &named, nulls_too)?,
        error: Plain::new(SqlState::UNIQUE_VIOLATION, message),
        key: Some(names),
    })
}

/// One key that several rows have, if there is one: its columns, then how many.
pub fn duplicates(
    rows: LogicalPlanBuilder,
    names: &[&str],
    nulls_too: bool,
) -> datafusion::common::Result<datafusion::logical_expr::LogicalPlan> {
    let named = |name: &&str| Expr::Column(EngineColumn::new_unqualified(*name));
    let mut rows = rows;
    for name in names.iter().filter(|_| !nulls_too) {
        rows = rows.filter(named(name).is_not_null())?;
    }
    let total = "\u{2}count";
    let counted = rows.aggregate(names.iter().map(named), [count(lit(1_i64)).alias(total)])?;
    counted.filter(Expr::Column(EngineColumn::new_unqualified(total)).gt(lit(1_i64)))?.limit(0, Some(1))?.build()
}

/// The condition of a CHECK constraint over the table's columns by their names alone. `42804`, `42703` …
pub(in crate::plan) fn bind_check(scope: &Scope, table: &Relation, condition: &str) -> Result<Expr, SqlError> {
    let columns = table.columns.iter().map(|column| field(&column.name, &column.pg, column.nullable));
    let schema: DFSchema = policy::schema_of(columns)?;
    let bound = policy::expression(scope, condition, &schema, &[])?;
    let aggregates = bound.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_))));
    if aggregates.unwrap_or(true) {
        let message = "aggregate functions are not allowed in check constraints";
        return Err(Plain::new(SqlState::GROUPING_ERROR, message).into());
    }
    policy::condition(bound, &schema, "CHECK")
}

/// The condition with another name for a column.
pub(super) fn renamed(condition: &str, from: &str, to: &str) -> PlanResult<String> {
    use std::ops::ControlFlow;
    let mut parsed = parse_expression(condition)?;
    let flow: ControlFlow<()> = ast::visit_expressions_mut(&mut parsed, |expr| {
        if let ast::Expr::Identifier(ident) = expr
            && folded(ident) == from
        {
            *ident = ast::Ident::with_quote('"', to);
        }
        ControlFlow::Continue(())
    });
    debug_assert!(flow.is_continue(), "nothing breaks the visit");
    Ok(parsed.to_string())
}

/// Takes the table's own name from before its columns; tells whether there was one.
fn own_names(expr: &mut ast::Expr, table: &str) -> bool {
    use std::ops::ControlFlow;
    let mut found = false;
    let flow: ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
        if let ast::Expr::CompoundIdentifier(parts) = expr
            && let [qualifier, column] = parts.as_slice()
            && folded(qualifier) == table
        {
            *expr = ast::Expr::Identifier(column.clone());
            found = true;
        }
        ControlFlow::Continue(())
    });
    debug_assert!(flow.is_continue(), "nothing breaks the visit");
    found
}

/// `42704` for types without an order; `0A000` for those whose equal values may differ as they are kept.
fn comparable(pg: &PgType, index: &Index) -> PlanResult<()> {
    match pg {
        PgType::Json if index.method == "btree" => {
            let message =
                format!("data type json has no default operator class for access method \"{}\"", index.method);
            let hint = "You must specify an operator class for the index or define a default operator class for the data type.";
            Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).hint(hint).into())
        }
        PgType::Jsonb | PgType::Interval if index.unique => {
            Err(unsupported(format!("a unique key of type {pg}")).into())
        }
        other => other.parts().try_for_each(|part| comparable(part, index)),
    }
}

/// PostgreSQL's name for an object that is given none: `table_columns_label` in at most 63 bytes.
fn object_name(table: &str, columns: &str, label: &str) -> String {
    const LENGTH_MAX: usize = 63;
    let overhead = label.len() + 1 + usize::from(!columns.is_empty());
    let room = LENGTH_MAX.saturating_sub(overhead);
    let (mut first, mut second) = (table.len(), columns.len());
    while first + second > room {
        if first > second { first -= 1 } else { second -= 1 }
    }
    let cut = |text: &str, length: usize| text.get(..text.floor_char_boundary(length)).unwrap_or_default().to_owned();
    let middle = if columns.is_empty() { String::new() } else { format!("_{}", cut(columns, second)) };
    format!("{}{middle}_{label}", cut(table, first))
}

/// The name, with a number after it if it is taken.
pub(super) fn numbered(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    (1..=u32::MAX).map(|number| format!("{name}{number}")).find(|name| !taken(name)).unwrap_or_default()
}
