//! Tags, and what follows from them: masks and privileges.
//!
//! Whoever owns an object and may apply a tag says what the object is about. Where policies or privileges follow from a tag,
//! only a security admin may change what is said: else the owner of a table would unmask it, or open it, by saying something
//! else.

use super::super::{PlanResult, Right, Scope};
use super::grant::Order;
use super::policy::{grantee, policy_id};
use super::{DdlPlan, role_id};
use crate::catalog::{
    Body, Change, Column, DATABASE_ID, DATABASE_NAME, Namespace, Relation, RelationKind, TEMPORARY_SCHEMA, Tags,
};
use crate::error::{Plain, SqlState, unsupported};
use crate::govern::predefined::SECURITY_ADMIN;
use crate::govern::{MaskingPolicy, PrivilegeSet, Tag, TagAssignment, TagGrant, TagMask};
use crate::name::ObjectId;
use crate::statement::{AlterTag, AlterTagAction, CreateTag, SetTags, TagCondition, TagMaskChange, TagValues, TagsOf};

/// What it takes to change what follows from a tag.
const TO_DECIDE: Right = Right::RightsOf(SECURITY_ADMIN, "change a tag from which policies or privileges follow");

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateTag) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "create a tag"));
    if scope.catalog().find(Namespace::Tag, &create.name).is_some() {
        return ddl.exists(SqlState::DUPLICATE_OBJECT, "tag", &create.name, create.if_not_exists);
    }
    let mut tag = Tag { name: create.name.clone(), owner: scope.ctx.role, values: Vec::new(), acl: None };
    add_values(&mut tag, &create.values)?;
    let id = ddl.new_id(scope);
    ddl.put(id, Body::Tag(tag));
    Ok(())
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterTag) -> PlanResult<()> {
    let (id, old) = tag(scope, &alter.name)?;
    ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, id));
    let mut new = old.clone();
    match &alter.action {
        AlterTagAction::Rename(name) => {
            if scope.catalog().find(Namespace::Tag, name).is_some() {
                let message = format!("tag \"{name}\" already exists");
                return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
            }
            new.name.clone_from(name);
        }
        AlterTagAction::Owner(spec) => {
            let owner = role_id(scope, spec)?;
            ddl.need(scope, Right::Member(owner));
            let before = std::mem::replace(&mut new.owner, owner);
            new.acl.iter_mut().for_each(|acl| acl.hand_over(before, owner));
        }
        AlterTagAction::AddValues(values) => {
            if new.values.is_empty() {
                all_allowed(scope, id, old, values)?;
            }
            add_values(&mut new, values)?;
        }
        AlterTagAction::DropValues(values) => {
            for value in values {
                if !new.values.contains(value) {
                    let message = format!("\"{value}\" is no value of tag \"{}\"", old.name);
                    return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
                }
            }
            new.values.retain(|value| !values.contains(value));
            if new.values.is_empty() {
                let message = format!("tag \"{}\" would have no value", old.name);
                let hint = "Use UNSET ALLOWED_VALUES to allow any value.";
                return Err(Plain::new(SqlState::INVALID_OBJECT_DEFINITION, message).hint(hint).into());
            }
            all_allowed(scope, id, old, &new.values)?;
        }
        AlterTagAction::AnyValue => new.values.clear(),
    }
    ddl.put(id, Body::Tag(new));
    Ok(())
}

/// `42710` for one that is there already.
fn add_values(tag: &mut Tag, values: &[String]) -> PlanResult<()> {
    for value in values {
        if tag.values.contains(value) {
            let message = format!("\"{value}\" is a value of tag \"{}\" already", tag.name);
            return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
        }
        tag.values.push(value.clone());
    }
    Ok(())
}

/// `2BP01` if something has the tag with another value than some.
fn all_allowed(scope: &Scope, id: ObjectId, tag: &Tag, values: &[String]) -> PlanResult<()> {
    let named = |body: &Body| match body {
        Body::TagAssignment(assignment) if assignment.tag == id => {
            // What was said of a column that is gone is not in use.
            let relation = scope.catalog().relation(assignment.object);
            let is_gone = |column| relation.is_some_and(|relation| relation.column_by_id(column).is_none());
            if assignment.column.is_some_and(is_gone) { Vec::new() } else { vec![assignment.value.clone()] }
        }
        Body::TagMask(mask) if mask.tag == id => mask.value.iter().cloned().collect(),
        Body::TagGrant(grant) => {
            let own = grant.condition.iter().filter(|(tag, _)| *tag == id);
            own.flat_map(|(_, values)| values.clone()).collect()
        }
        _ => Vec::new(),
    };
    let used = scope.catalog().entries().flat_map(|entry| named(&entry.body)).find(|value| !values.contains(value));
    match used {
        None => Ok(()),
        Some(value) => {
            let message = format!("value \"{value}\" of tag \"{}\" is in use", tag.name);
            Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).into())
        }
    }
}

/// The tag of a name. `42704`.
pub(super) fn tag<'a>(scope: &'a Scope, name: &str) -> PlanResult<(ObjectId, &'a Tag)> {
    let missing = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("tag \"{name}\" does not exist"));
    let id = scope.catalog().find(Namespace::Tag, name).ok_or_else(missing)?;
    Ok((id, scope.catalog().tag(id).ok_or_else(missing)?))
}

/// `22023` for a value that the tag may not have.
fn may_have(tag: &Tag, value: &str) -> PlanResult<()> {
    if tag.values.is_empty() || tag.values.iter().any(|allowed| allowed == value) {
        return Ok(());
    }
    let message = format!("\"{value}\" is not a value of tag \"{}\"", tag.name);
    let hint = format!("Its values are {}.", tag.values.join(", "));
    Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).hint(hint).into())
}

/// `ALTER SCHEMA` and `ALTER DATABASE`.
pub(super) fn set(scope: &Scope, ddl: &mut DdlPlan, set: &SetTags) -> PlanResult<()> {
    let object = match &set.of {
        TagsOf::Schema(name) => {
            let missing = || crate::context::undefined_schema(name);
            scope.catalog().schema_id(name).ok_or_else(missing)?
        }
        TagsOf::Database(name) => {
            if name != DATABASE_NAME {
                let message = format!("database \"{name}\" does not exist");
                return Err(Plain::new(SqlState::UNDEFINED_DATABASE, message).into());
            }
            DATABASE_ID
        }
    };
    ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, object));
    assign(scope, ddl, object, None, &set.tags)
}

/// `ALTER TABLE` and `ALTER VIEW`, for those who own it or look after policies.
pub(super) fn set_on_relation(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (id, relation): (ObjectId, &Relation),
    column: Option<&str>,
    tags: &TagValues,
) -> PlanResult<()> {
    match relation.storage {
        RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) => {}
        RelationKind::Sequence(_) | RelationKind::Index(_) => {
            let message = format!("\"{}\" is not a table or view", relation.name);
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        }
    }
    if relation.schema == TEMPORARY_SCHEMA {
        return Err(unsupported("a tag on a temporary relation").into());
    }
    let column = column.map(|name| super::column(relation, name)).transpose()?.map(|column| column.id);
    assign(scope, ddl, id, column, tags)
}

fn assign(scope: &Scope, ddl: &mut DdlPlan, object: ObjectId, column: Option<i32>, tags: &TagValues) -> PlanResult<()> {
    let catalog = scope.catalog();
    let relation = catalog.relation(object);
    for (at, (name, value)) in tags.iter().enumerate() {
        if tags.iter().skip(at + 1).any(|(other, _)| other == name) {
            let message = format!("tag \"{name}\" specified more than once");
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let (id, known) = tag(scope, name)?;
        ddl.need(scope, Right::Apply(id));
        let own = catalog.tag_assignments(object).find(|(_, found)| found.tag == id && found.column == column);
        let before = catalog.tags_of(object, column).get(&id).map(|(value, _)| (*value).to_owned());
        // What it has now may be what masks it, wherever it comes from; what masks it may be another's.
        let changes = before.is_some() && (before != *value || own.is_none());
        let overrides = catalog.tag_masks(id).next().is_some() && is_masked_otherwise(scope, object, column, id);
        if decides(scope, id) && (relation.is_none() || changes || overrides) {
            ddl.need(scope, TO_DECIDE);
        }
        if is_view(relation) && catalog.tag_masks(id).next().is_some() {
            return Err(unsupported(format!("tag \"{name}\", which has masking policies, on a view")).into());
        }
        match (value, own) {
            (Some(value), own) => {
                may_have(known, value)?;
                let new = TagAssignment { tag: id, object, column, value: value.clone() };
                let id = own.map_or_else(|| ddl.new_id(scope), |(id, _)| id);
                ddl.put(id, Body::TagAssignment(new));
            }
            (None, Some((id, _))) => ddl.changes.push(Change::Delete(id)),
            (None, None) => {
                let message = format!("tag \"{name}\" is not set here");
                return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
            }
        }
    }
    Ok(())
}

/// Whether a column, or any of the relation, is masked by something else than a tag, or is computed from what is masked.
fn is_masked_otherwise(scope: &Scope, object: ObjectId, column: Option<i32>, tag: ObjectId) -> bool {
    let catalog = scope.catalog();
    let Some(relation) = catalog.relation(object) else { return false };
    let affected = relation.columns.iter().filter(|found| column.is_none_or(|column| column == found.id));
    let by_other = |id: i32| {
        let others = catalog.tags_of(object, Some(id)).into_keys().filter(|other| *other != tag);
        let mut masks = others.flat_map(|other| catalog.tag_masks(other));
        catalog.mask_attachments(object).any(|(_, mask)| mask.column == id) || masks.next().is_some()
    };
    let computed = |column: &Column| {
        let own = column.generated.as_ref().map(|own| own.columns.as_slice()).unwrap_or_default();
        own.iter().any(|source| catalog.is_masked(object, *source))
    };
    affected.into_iter().any(|found| by_other(found.id) || computed(found))
}

fn is_view(relation: Option<&Relation>) -> bool {
    relation.is_some_and(|relation| matches!(relation.storage, RelationKind::View(_)))
}

/// Whether masks or privileges follow from a tag.
fn decides(scope: &Scope, tag: ObjectId) -> bool {
    let grants =
        |body: &Body| matches!(body, Body::TagGrant(grant) if grant.condition.iter().any(|(other, _)| *other == tag));
    scope.catalog().tag_masks(tag).next().is_some() || scope.catalog().entries().any(|entry| grants(&entry.body))
}

/// A relation goes to another schema, where it may have other values of a tag that decides something.
pub(super) fn moved(scope: &Scope, ddl: &mut DdlPlan, relation: ObjectId, from: ObjectId, to: ObjectId) {
    let catalog = scope.catalog();
    let (from, to) = (catalog.tags_of(from, None), catalog.tags_of(to, None));
    let value = |tags: &Tags<'_>, tag: ObjectId| tags.get(&tag).map(|(value, _)| (*value).to_owned());
    let mut tags = from.keys().chain(to.keys()).copied();
    let decides_otherwise = tags.any(|tag| {
        let own = catalog.tag_assignments(relation).any(|(_, found)| found.tag == tag && found.column.is_none());
        !own && value(&from, tag) != value(&to, tag) && decides(scope, tag)
    });
    if decides_otherwise {
        ddl.need(scope, TO_DECIDE);
    }
}

pub(super) fn mask(scope: &Scope, ddl: &mut DdlPlan, change: &TagMaskChange) -> PlanResult<()> {
    let verb = if change.attach.is_some() { "attach a masking policy" } else { "detach a masking policy" };
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, verb));
    let catalog = scope.catalog();
    let (tag_id, known) = tag(scope, &change.tag)?;
    let policy = policy_id(scope, &change.policy)?;
    let grantee = grantee(scope, &change.grantee)?;
    let same = |mask: &TagMask| mask.value == change.value && mask.grantee == grantee;
    let Some(priority) = change.attach else {
        let found = catalog.tag_masks(tag_id).find(|(_, mask)| same(mask) && mask.policy == policy);
        let missing = || {
            let message = format!(
                "masking policy \"{}\" is not attached to this value of tag \"{}\" for this role",
                change.policy, change.tag
            );
            Plain::new(SqlState::UNDEFINED_OBJECT, message)
        };
        let (id, _) = found.ok_or_else(missing)?;
        ddl.changes.push(Change::Delete(id));
        return Ok(());
    };
    change.value.iter().try_for_each(|value| may_have(known, value))?;
    let argument = |policy: Option<ObjectId>| Some(&catalog.masking_policy(policy?)?.arguments.first()?.1);
    if let Some(policy) = policy.and_then(|policy| catalog.masking_policy(policy))
        && policy.arguments.len() != 1
    {
        let message = format!("masking policy \"{}\" has {} arguments, not 1", policy.name, policy.arguments.len());
        let detail = "A tag's policy gets the column that has the tag.";
        return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).detail(detail).into());
    }
    let on_view = |body: &Body| matches!(body, Body::TagAssignment(found) if found.tag == tag_id && is_view(catalog.relation(found.object)));
    if catalog.entries().any(|entry| on_view(&entry.body)) {
        return Err(unsupported("a masking policy on a tag that a view has").into());
    }
    // A tag may have a policy for each type.
    let clashes = |other: &TagMask| {
        let types = argument(policy).zip(argument(other.policy));
        let types_meet = types.is_none_or(|(own, other)| MaskingPolicy::takes(own, other));
        same(other) && (other.policy == policy || other.priority == priority && types_meet)
    };
    if catalog.tag_masks(tag_id).any(|(_, other)| clashes(other)) {
        let message = format!(
            "tag \"{}\" already has this masking policy, or one for the same type of the same priority",
            change.tag
        );
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
    }
    let id = ddl.new_id(scope);
    ddl.put(id, Body::TagMask(TagMask { policy, tag: tag_id, value: change.value.clone(), grantee, priority }));
    Ok(())
}

/// `GRANT` and `REVOKE … TAGGED (…)`.
pub(super) fn grant(scope: &Scope, ddl: &mut DdlPlan, order: &Order<'_>, condition: &TagCondition) -> PlanResult<()> {
    // It opens what others own, also what is yet to come.
    ddl.need(scope, Right::Superuser("grant or revoke privileges on tagged objects"));
    if order.grant.option {
        return Err(unsupported("a grant option on tagged objects").into());
    }
    let (all, kind) =
        if condition.columns { (PrivilegeSet::column(), "column") } else { (PrivilegeSet::table(), "table") };
    let privileges = order.whole(all, kind)?;
    let tags = resolved(scope, condition)?;
    let first = tags.first().map(|(tag, _)| *tag);
    for grantee in order.grantees.iter().copied() {
        let same = |found: &TagGrant| {
            found.columns == condition.columns && found.condition == tags && found.grantee == grantee
        };
        let new = |privileges| TagGrant { columns: condition.columns, condition: tags.clone(), privileges, grantee };
        // Several, if they were given at the same time.
        let known = first.into_iter().flat_map(|tag| scope.catalog().tag_grants(tag)).filter(|(_, found)| same(found));
        let known: Vec<(ObjectId, &TagGrant)> = known.collect();
        if order.give {
            let (id, held) = match known.first() {
                Some((id, found)) => (*id, found.privileges),
                None => (ddl.new_id(scope), PrivilegeSet::EMPTY),
            };
            ddl.put(id, Body::TagGrant(new(held.with(privileges))));
            continue;
        }
        for (id, found) in known {
            let left = found.privileges.without(privileges);
            if left.is_empty() {
                ddl.changes.push(Change::Delete(id));
            } else {
                ddl.put(id, Body::TagGrant(new(left)));
            }
        }
    }
    Ok(())
}

/// A condition with its tags in ascending order of id. `42601` for a tag that is named twice.
fn resolved(scope: &Scope, condition: &TagCondition) -> PlanResult<Vec<(ObjectId, Vec<String>)>> {
    let mut tags: Vec<(ObjectId, Vec<String>)> = Vec::new();
    for (name, values) in &condition.tags {
        let (id, known) = tag(scope, name)?;
        values.iter().try_for_each(|value| may_have(known, value))?;
        if tags.iter().any(|(other, _)| *other == id) {
            let message = format!("tag \"{name}\" specified more than once");
            let hint = "Give its values in one list: tag IN ('a', 'b').";
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).hint(hint).into());
        }
        let mut values = values.clone();
        values.sort();
        values.dedup();
        tags.push((id, values));
    }
    tags.sort();
    Ok(tags)
}
