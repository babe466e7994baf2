//! Whether a role has a right. PostgreSQL's messages.

use crate::catalog::{Body, IdentityKind, Relation, RelationKind};
use crate::context::Context;
use crate::error::{Plain, SqlState, internal};
use crate::govern::predefined::SECURITY_ADMIN;
use crate::govern::{Privilege, best_admin, can_set};
use crate::guard::{ChosenMask, Reader, masks};
use crate::name::ObjectId;
use crate::pg::SequenceAction;
use crate::plan::{Attribute, Need, Right};

pub(super) fn permit(ctx: &Context, need: &Need) -> Result<(), Plain> {
    if let Right::Relation { id, privilege: Privilege::Select, columns } = &need.right {
        readable(ctx, *id, columns)?;
    }
    let as_role;
    let who = if need.role == ctx.role {
        ctx
    } else {
        as_role = ctx.as_role(need.role);
        &as_role
    };
    if who.superuser {
        return Ok(());
    }
    match &need.right {
        Right::Superuser(what) => {
            Err(denied(format!("permission denied to {what}")).detail("Only a superuser may do that."))
        }
        Right::Attribute(attribute, doing) => self::attribute(who, *attribute, doing),
        Right::Own(id) => own(who, *id),
        Right::UseType(id) => use_type(who, *id),
        Right::OwnOr(role, id) => {
            if who.roles.contains(role) {
                Ok(())
            } else {
                own(who, *id)
            }
        }
        Right::Member(role) => {
            let member = can_set(who.role, *role, |id| who.catalog.role(id));
            let error = || denied(format!("must be able to SET ROLE \"{}\"", who.catalog.role_name(*role)));
            if member { Ok(()) } else { Err(error()) }
        }
        Right::RightsOf(role, what) => {
            let error = || {
                denied(format!("permission denied to {what}")).detail(format!(
                    "Only roles with privileges of role \"{}\" may do that.",
                    who.catalog.role_name(*role)
                ))
            };
            if who.roles.contains(role) { Ok(()) } else { Err(error()) }
        }
        Right::Admin(role, doing) => admin(who, *role, doing),
        Right::Apply(id) => {
            let tag = who.catalog.tag(*id).ok_or_else(|| internal("a need for a tag that is gone"))?;
            let held =
                who.roles.contains(&SECURITY_ADMIN) || who.rights(&tag.effective_acl()).contains(Privilege::Apply);
            if held { Ok(()) } else { Err(denied(format!("permission denied for tag {}", tag.name))) }
        }
        Right::Database(privilege) => {
            let held = who.catalog.database().and_then(|database| database.acl.as_ref()).map(|acl| who.rights(acl));
            let name = crate::catalog::DATABASE_NAME;
            if held.is_some_and(|held| held.contains(*privilege)) {
                Ok(())
            } else if *privilege == Privilege::Temporary {
                Err(denied(format!("permission denied to create temporary tables in database \"{name}\"")))
            } else {
                Err(denied(format!("permission denied for database {name}")))
            }
        }
        Right::Schema(id, privilege) => {
            let schema = who.catalog.schema(*id).ok_or_else(|| internal("a need for a schema that is gone"))?;
            let held = who.schema_rights(schema).contains(*privilege);
            if held { Ok(()) } else { Err(denied(format!("permission denied for schema {}", schema.name))) }
        }
        Right::Relation { id, privilege, columns } => on_relation(who, *id, *privilege, columns),
        Right::Sequence(id, action) => sequence(who, *id, *action),
        Right::AnyColumn { id, privilege } => {
            let relation = usable(who, *id)?;
            let held = who.relation_rights(*id, relation);
            let any = relation.columns.iter().any(|column| who.column_rights(*id, column).contains(*privilege));
            if held.contains(*privilege) || any { Ok(()) } else { Err(denied_relation(relation)) }
        }
        Right::AnyOf { id, privileges } => {
            let relation = usable(who, *id)?;
            let held = who.relation_rights(*id, relation);
            let any = privileges.iter().any(|privilege| held.contains(*privilege));
            if any { Ok(()) } else { Err(denied_relation(relation)) }
        }
        Right::Anything { id, column } => anything(who, *id, *column),
    }
}

/// To create a role, with an attribute or not, or to change an attribute of one.
fn attribute(who: &Context, attribute: Attribute, doing: &str) -> Result<(), Plain> {
    let own = who.catalog.role(who.role);
    let (name, held) = match attribute {
        Attribute::Superuser => ("SUPERUSER", own.map(|role| role.superuser)),
        Attribute::CreateRole => ("CREATEROLE", own.map(|role| role.create_role)),
        Attribute::CreateDb => ("CREATEDB", own.map(|role| role.create_db)),
        Attribute::Replication => ("REPLICATION", own.map(|role| role.replication)),
        Attribute::BypassRls => ("BYPASSRLS", own.map(|role| role.bypass_rls)),
    };
    if held == Some(true) {
        return Ok(());
    }
    let what = match (doing, attribute) {
        ("create", Attribute::CreateRole) => "create roles".to_owned(),
        ("create", _) => format!("create roles with the {name} attribute"),
        ("drop", _) => {
            let detail =
                "Only roles with the CREATEROLE attribute and the ADMIN option on the target roles may drop roles.";
            return Err(denied("permission denied to drop role".to_owned()).detail(detail));
        }
        _ => format!("change the {name} attribute"),
    };
    Err(denied(format!("permission denied to {doing} role"))
        .detail(format!("Only roles with the {name} attribute may {what}.")))
}

fn admin(who: &Context, role: ObjectId, doing: &str) -> Result<(), Plain> {
    let catalog = &who.catalog;
    let name = catalog.role_name(role);
    let of_membership = matches!(doing, "grant" | "revoke");
    let message = if of_membership {
        format!("permission denied to {doing} role \"{name}\"")
    } else {
        format!("permission denied to {doing} role")
    };
    if catalog.role(role).is_some_and(|role| role.superuser) {
        let detail = format!("Only roles with the SUPERUSER attribute may {doing} roles with the SUPERUSER attribute.");
        return Err(denied(message).detail(detail));
    }
    let may_create = catalog.role(who.role).is_some_and(|role| role.create_role);
    let alone = of_membership || doing == "comment on";
    if best_admin(who.role, role, |id| catalog.role(id)).is_some() && (alone || may_create) {
        return Ok(());
    }
    let attribute = if alone { "" } else { "CREATEROLE attribute and the " };
    let detail = format!("Only roles with the {attribute}ADMIN option on role \"{name}\" may {doing} this role.");
    Err(denied(message).detail(detail))
}

fn denied(message: String) -> Plain {
    Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

/// USAGE of a type: to make a column, an attribute or a domain of it.
fn use_type(who: &Context, id: ObjectId) -> Result<(), Plain> {
    let user_type = who.catalog.user_type(id).ok_or_else(|| internal("a need for a type that is gone"))?;
    let held = who.owns(user_type.owner) || who.rights(&user_type.effective_acl()).contains(Privilege::Usage);
    let name = || who.type_name(id.oid(), -1).unwrap_or_default();
    if held { Ok(()) } else { Err(denied(format!("permission denied for type {}", name()))) }
}

fn denied_relation(relation: &Relation) -> Plain {
    denied(format!("permission denied for {} {}", relation.kind_name(), relation.name))
}

/// The relation, if its schema may be used.
fn usable(who: &Context, id: ObjectId) -> Result<&Relation, Plain> {
    let relation = who.catalog.relation(id).ok_or_else(|| internal("a need for a relation that is gone"))?;
    if who.may_use_schema(relation.schema) {
        return Ok(relation);
    }
    let schema = who.catalog.schema(relation.schema).map(|schema| schema.name.clone()).unwrap_or_default();
    Err(denied(format!("permission denied for schema {schema}")))
}

fn on_relation(who: &Context, id: ObjectId, privilege: Privilege, columns: &[i32]) -> Result<(), Plain> {
    let relation = usable(who, id)?;
    if who.relation_rights(id, relation).contains(privilege) {
        return Ok(());
    }
    // Lineage counts columns by position; grants go by column id.
    let held = |position: &i32| {
        let column = usize::try_from(*position).ok().and_then(|index| relation.columns.get(index));
        column.is_some_and(|column| who.column_rights(id, column).contains(privilege))
    };
    if !columns.is_empty() && columns.iter().all(held) { Ok(()) } else { Err(denied_relation(relation)) }
}

/// A column that shows nothing to whoever asks is not read, whoever's rights count. `42501`
fn readable(ctx: &Context, id: ObjectId, columns: &[i32]) -> Result<(), Plain> {
    // Only tags bring that about.
    let Some(relation) = ctx.catalog.relation(id).filter(|_| ctx.catalog.has_tags()) else { return Ok(()) };
    // An ambiguous mask is told of where it is bound.
    let Ok(masks) = masks(ctx, &Reader::of(ctx), id, relation) else { return Ok(()) };
    let hidden = |mask: &ChosenMask<'_>| i32::try_from(mask.column).is_ok_and(|at| columns.contains(&at));
    let Some(mask) = masks.iter().find(|mask| mask.policy.is_none() && hidden(mask)) else { return Ok(()) };
    let column = relation.columns.get(mask.column).map(|column| column.name.as_str()).unwrap_or_default();
    let message = format!("permission denied for column \"{column}\" of relation \"{}\"", relation.name);
    let detail = "Masking policies are attached to its tag, or to the tag of what it is computed from, but none is for its type.";
    Err(denied(message).detail(detail))
}

/// USAGE or UPDATE; the sequence of an identity column comes with INSERT on its table.
fn sequence(who: &Context, id: ObjectId, action: SequenceAction) -> Result<(), Plain> {
    let relation = usable(who, id)?;
    let held = who.relation_rights(id, relation);
    let suffices = match action {
        SequenceAction::Next { .. } => held.contains(Privilege::Usage) || held.contains(Privilege::Update),
        SequenceAction::Current => held.contains(Privilege::Usage) || held.contains(Privilege::Select),
        SequenceAction::Set => held.contains(Privilege::Update),
    };
    if suffices {
        return Ok(());
    }
    if action == SequenceAction::Set {
        return Err(denied_relation(relation));
    }
    let owner = match &relation.storage {
        RelationKind::Sequence(sequence) => sequence.owned_by,
        RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) | RelationKind::Index(_) => None,
    };
    let table = owner.and_then(|(table, column)| Some((table, who.catalog.relation(table)?, column)));
    let comes_along = table.is_some_and(|(id, table, column)| {
        let identity = table.column_by_id(column).and_then(|column| column.identity.as_ref());
        identity.is_some_and(|identity| identity.kind != IdentityKind::Serial)
            && who.relation_rights(id, table).contains(Privilege::Insert)
    });
    if comes_along { Ok(()) } else { Err(denied_relation(relation)) }
}

fn own(who: &Context, id: ObjectId) -> Result<(), Plain> {
    let entry = who.catalog.entry(id).ok_or_else(|| internal("a need for an object that is gone"))?;
    if entry.body.owner().is_some_and(|owner| who.owns(owner)) {
        return Ok(());
    }
    Err(denied(match &entry.body {
        Body::Relation(relation) => format!("must be owner of {} {}", relation.kind_name(), relation.name),
        Body::Schema(schema) => format!("must be owner of schema {}", schema.name),
        Body::Database(database) => format!("must be owner of database {}", database.name),
        Body::RlsPolicy(policy) => format!("must be owner of RLS policy {}", policy.name),
        Body::MaskingPolicy(policy) => format!("must be owner of masking policy {}", policy.name),
        Body::Type(user_type) => format!("must be owner of {} {}", user_type.kind_name(), user_type.name),
        Body::Tag(tag) => format!("must be owner of tag {}", tag.name),
        Body::Role(_)
        | Body::RowPolicy(_)
        | Body::MaskAttachment(_)
        | Body::Credential(_)
        | Body::TagAssignment(_)
        | Body::TagMask(_)
        | Body::TagGrant(_) => "must be superuser".to_owned(),
    }))
}

fn anything(who: &Context, id: ObjectId, column: Option<i32>) -> Result<(), Plain> {
    let entry = who.catalog.entry(id).ok_or_else(|| internal("a need for an object that is gone"))?;
    let (held, shown) = match &entry.body {
        Body::Relation(relation) => {
            let column = column.and_then(|column| relation.column_by_id(column));
            let on_column = column.map(|column| who.column_rights(id, column)).unwrap_or_default();
            (who.relation_rights(id, relation).with(on_column), denied_relation(relation))
        }
        Body::Schema(schema) => {
            (who.schema_rights(schema), denied(format!("permission denied for schema {}", schema.name)))
        }
        Body::Database(database) => (
            database.acl.as_ref().map(|acl| who.rights(acl)).unwrap_or_default(),
            denied(format!("permission denied for database {}", database.name)),
        ),
        Body::Tag(tag) => (who.rights(&tag.effective_acl()), denied(format!("permission denied for tag {}", tag.name))),
        Body::Type(user_type) => {
            (who.rights(&user_type.effective_acl()), denied(format!("permission denied for type {}", user_type.name)))
        }
        Body::Role(_)
        | Body::RowPolicy(_)
        | Body::RlsPolicy(_)
        | Body::MaskingPolicy(_)
        | Body::MaskAttachment(_)
        | Body::Credential(_)
        | Body::TagAssignment(_)
        | Body::TagMask(_)
        | Body::TagGrant(_) => {
            return Err(internal("a grant on an object that has no ACL"));
        }
    };
    if held.is_empty() { Err(shown) } else { Ok(()) }
}
