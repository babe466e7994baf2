//! UNDROP TABLE and RESTORE TABLE: rows of the past become rows of today, in the files where they are.

use std::collections::BTreeMap;

use super::super::{PlanResult, Right, Scope};
use super::{DdlPlan, relation};
use crate::catalog::{Body, CatalogState, ConstraintKind, Namespace, Relation, RelationKind};
use crate::context::{undefined_schema, undefined_table};
use crate::error::{Notice, Plain, SqlState, internal, unsupported};
use crate::govern::Privilege;
use crate::name::{ObjectId, QualifiedName};
use crate::statement::{Restore, as_it_was};

pub(super) fn plan(scope: &Scope, ddl: &mut DdlPlan, restore: &Restore) -> PlanResult<()> {
    if restore.dropped { undrop(scope, ddl, &restore.table) } else { back(scope, ddl, &restore.table) }
}

/// A table's rows become what they were. Its definition stays, and must be the one that they were written for.
fn back(scope: &Scope, ddl: &mut DdlPlan, name: &QualifiedName) -> PlanResult<()> {
    let (own, moment) = as_it_was(&name.name).ok_or_else(|| internal("a moment to restore is missing"))?;
    let name = QualifiedName { schema: name.schema.clone(), name: own.to_owned() };
    let (id, now) = relation(scope, &name)?;
    if !now.is_table() {
        return Err(unsupported(format!("the past of a {}", now.kind_name())).into());
    }
    ddl.need(scope, Right::Own(id));
    let past = scope.facts.past.get(&moment).ok_or_else(|| internal("a moment that was not looked up"))?;
    let Some(then) = past.relation(id) else {
        let message = format!("relation \"{name}\" did not exist at snapshot {}", past.snapshot);
        return Err(Plain::new(SqlState::UNDEFINED_TABLE, message).into());
    };
    if !then.holds_the_same(now) {
        let error = unsupported("restoring a table to what it was before its columns or constraints changed");
        return Err(error.hint("Copy the rows with INSERT INTO … SELECT … FROM t AT (…).").into());
    }
    super::user_type::renew(scope, &mut then.clone())?;
    ddl.truncate.push(id);
    ddl.restored.push((id, past.data(id)));
    Ok(())
}

/// A table that was dropped is there again: under its name, with its rows, keys, rights, policies and masks.
fn undrop(scope: &Scope, ddl: &mut DdlPlan, name: &QualifiedName) -> PlanResult<()> {
    let (schema, schema_name) = match &name.schema {
        Some(schema) => (scope.catalog().schema_id(schema).ok_or_else(|| undefined_schema(schema))?, schema.clone()),
        None => {
            let (id, schema) = scope.ctx.creation_schema(name)?;
            (id, schema.name.clone())
        }
    };
    ddl.need(scope, Right::Schema(schema, Privilege::Create));
    let Some((old, past)) = &scope.facts.dropped else {
        return Err(undefined_table(name).hint("No dropped table of this name is remembered.").into());
    };
    let table = past.relation(*old).ok_or_else(|| internal("a dropped table that was not there"))?;
    if !scope.ctx.owns(table.owner) {
        let message = format!("must be owner of table {}", table.name);
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
    }
    if scope.catalog().find(Namespace::Relation(schema), &table.name).is_some() {
        let message = format!("relation \"{}\" already exists", table.name);
        let hint = format!("Rename it before \"{schema_name}.{}\" comes back.", table.name);
        return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).hint(hint).into());
    }
    let mut ids = BTreeMap::new();
    let parts = parts(past, *old);
    for (id, body) in &parts {
        ids.insert(*id, ddl.new_id(scope));
        for part in body.parts() {
            ids.insert(part, ddl.new_id(scope));
        }
    }
    for (id, body) in parts {
        let mut body = body.clone();
        if let Body::Relation(table) = &mut body {
            without_foreign_keys(scope, ddl, table);
            super::user_type::renew(scope, table)?;
            if matches!(table.storage, RelationKind::Sequence(_))
                && let Some(new) = ids.get(&id)
            {
                ddl.counters.push((*new, id));
            }
        }
        if let Body::RowPolicy(policy) = &mut body
            && let Some(attached) = policy.attached
            && let Some(now) = scope.catalog().rls_policy(attached)
        {
            policy.using = Some(now.using.clone());
            // Who changes it meanwhile does not know of the table.
            ddl.put(attached, Body::RlsPolicy(now.clone()));
        }
        body.map_ids(&|id| ids.get(&id).copied().unwrap_or(id));
        let there = |id: &ObjectId| id.is_provisional() || scope.catalog().entry(*id).is_some();
        if let Body::TagAssignment(assignment) = &body
            && !there(&assignment.tag)
        {
            let message = format!("a tag with the value \"{}\" is left out: it is gone", assignment.value);
            ddl.notices.push(Notice::warning(SqlState::WARNING, message));
            continue;
        }
        if !body.parents().iter().all(there) {
            let message = format!("what the table \"{}\" depends on is gone: its owner, or a policy", table.name);
            return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        }
        ddl.put(ids.get(&id).copied().unwrap_or(id), body);
    }
    let new = ids.get(old).copied().unwrap_or(*old);
    ddl.restored.push((new, past.data(*old)));
    Ok(())
}

/// The table and all that was dropped with it.
fn parts(past: &CatalogState, table: ObjectId) -> Vec<(ObjectId, &Body)> {
    let belongs = |id: ObjectId, body: &Body| match body {
        Body::Relation(relation) => {
            let owner = match &relation.storage {
                RelationKind::Index(index) => Some(index.table),
                RelationKind::Sequence(sequence) => sequence.owned_by.map(|(table, _)| table),
                _ => None,
            };
            id == table || owner == Some(table)
        }
        Body::RowPolicy(policy) => policy.relation == table,
        Body::MaskAttachment(mask) => mask.relation == table,
        Body::TagAssignment(assignment) => assignment.object == table,
        _ => false,
    };
    past.entries().filter(|entry| belongs(entry.id, &entry.body)).map(|entry| (entry.id, &entry.body)).collect()
}

/// Foreign keys to what is gone, or to another table of the same name, are not kept.
fn without_foreign_keys(scope: &Scope, ddl: &mut DdlPlan, table: &mut Relation) {
    let gone = |kind: &ConstraintKind| match kind {
        ConstraintKind::Foreign(key) => {
            scope.catalog().entry(key.table).is_none() || scope.catalog().entry(key.index).is_none()
        }
        _ => false,
    };
    for constraint in table.constraints.extract_if(.., |constraint| gone(&constraint.kind)) {
        let message = format!("foreign key \"{}\" is left out: what it refers to is gone", constraint.name);
        ddl.notices.push(Notice::warning(SqlState::WARNING, message));
    }
}
