//! ALTER SCHEMA.

use super::super::{PlanResult, Right, Scope};
use super::{DdlPlan, reserved, role_id, sequence};
use crate::catalog::{Body, Change, RelationKind, Schema};
use crate::context::undefined_schema;
use crate::error::{Plain, SqlState, unsupported};
use crate::govern::Privilege;
use crate::name::{ObjectId, quote};
use crate::statement::{AlterSchema, AlterSchemaAction};

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterSchema) -> PlanResult<()> {
    let id = scope.catalog().schema_id(&alter.name).ok_or_else(|| undefined_schema(&alter.name))?;
    let old = scope.catalog().schema(id).ok_or_else(|| undefined_schema(&alter.name))?;
    ddl.need(scope, Right::Own(id));
    let mut new = old.clone();
    match &alter.action {
        AlterSchemaAction::Rename(name) => {
            ddl.need(scope, Right::Database(Privilege::Create));
            if scope.catalog().schema_id(name).is_some() {
                let message = format!("schema \"{name}\" already exists");
                return Err(Plain::new(SqlState::DUPLICATE_SCHEMA, message).into());
            }
            reserved(name, "schema")?;
            new.name.clone_from(name);
            follow(scope, ddl, (id, old), name)?;
        }
        AlterSchemaAction::Owner(spec) => {
            let owner = role_id(scope, spec)?;
            ddl.need(scope, Right::Member(owner));
            ddl.need(scope, Right::Database(Privilege::Create));
            let before = std::mem::replace(&mut new.owner, owner);
            new.acl.iter_mut().for_each(|acl| acl.hand_over(before, owner));
        }
    }
    ddl.put(id, Body::Schema(new));
    Ok(())
}

/// A schema gets another name: defaults that draw from its sequences, and the paths under which views and policies find
/// names, follow. Its files stay where they are. `0A000` where another text names the schema.
fn follow(scope: &Scope, ddl: &mut DdlPlan, (id, old): (ObjectId, &Schema), name: &str) -> PlanResult<()> {
    if let Some((_, user_type)) = scope.catalog().user_types().find(|(_, user_type)| user_type.schema == id) {
        // Columns of its types know them by their names.
        let what = format!("renaming a schema with types, such as \"{}\",", user_type.name);
        ddl.refusal = Some(unsupported(what));
        return Ok(());
    }
    for (sequence_id, relation) in scope.catalog().relations().filter(|(_, relation)| relation.schema == id) {
        if matches!(relation.storage, RelationKind::Sequence(_)) {
            let new = format!("{}.{}", quote(name), quote(&relation.name));
            sequence::follow_rename(scope, ddl, sequence_id, &new)?;
        }
    }
    for entry in scope.catalog().entries() {
        let changed = ddl.changes.iter().rev().find_map(|change| match change {
            Change::Put(id, body) if *id == entry.id => Some(body.as_ref()),
            Change::Put(..) | Change::Delete(_) => None,
        });
        let mut body = changed.unwrap_or(&entry.body).clone();
        let path = match &mut body {
            Body::Relation(relation) => relation.query_mut().map(|view| &mut view.search_path),
            Body::RowPolicy(policy) => Some(&mut policy.search_path),
            Body::RlsPolicy(policy) => Some(&mut policy.search_path),
            Body::MaskingPolicy(policy) => Some(&mut policy.search_path),
            Body::Type(_) | Body::MaskAttachment(_) => None,
            Body::Role(_)
            | Body::Database(_)
            | Body::Schema(_)
            | Body::Credential(_)
            | Body::Tag(_)
            | Body::TagAssignment(_)
            | Body::TagMask(_)
            | Body::TagGrant(_) => continue,
        };
        let mut moved = false;
        for part in path.into_iter().flatten().filter(|part| **part == old.name) {
            name.clone_into(part);
            moved = true;
        }
        if mentions(&body, &old.name) {
            let what = match &body {
                Body::Relation(relation) => format!("{} \"{}\"", relation.kind_name(), relation.name),
                Body::RowPolicy(policy) => format!("policy \"{}\"", policy.name),
                Body::RlsPolicy(policy) => format!("RLS policy \"{}\"", policy.name),
                Body::MaskingPolicy(policy) => format!("masking policy \"{}\"", policy.name),
                _ => "another object".to_owned(),
            };
            let hint = format!("Drop {what}, and make it again afterwards.");
            ddl.refusal = Some(unsupported(format!("renaming a schema that {what} names")).hint(hint));
            return Ok(());
        }
        if moved {
            ddl.put(entry.id, body);
        }
    }
    Ok(())
}

/// Whether a text in an object seems to name something in a schema.
fn mentions(body: &Body, schema: &str) -> bool {
    let text = serde_json::to_string(body).unwrap_or_default().to_lowercase();
    let name = schema.to_lowercase();
    [format!("{name}."), format!("{name}\\\".")].iter().any(|named| {
        text.match_indices(named.as_str()).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}
