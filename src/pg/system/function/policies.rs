//! Which policies there are, and which of them count for whom.

use super::Function;
use super::Kind::{Object, Text};
use super::definition::relation_of;
use super::privilege::{as_role, role_id};
use crate::context::Context;
use crate::error::{Plain, Report, SqlState};
use crate::govern::{Grantee, PolicyCommand, RowPolicy, UNMASKED_POLICY, is_member, part_name};
use crate::guard::{Reader, Shown, attachments, row_security_applies};
use crate::name::ObjectId;
use crate::pg::system::objects;
use crate::pg::system::value::Value;
use crate::types::PgType;

fn texts() -> PgType {
    PgType::Array(Box::new(PgType::Text))
}

fn integers() -> PgType {
    PgType::Array(Box::new(PgType::Int4))
}

fn booleans() -> PgType {
    PgType::Array(Box::new(PgType::Bool))
}

/// A function of one column of `policy_references()`.
macro_rules! reference {
    ($name:literal, $type:expr, $value:expr) => {
        Function::new(concat!("policy_references.", $name), &[&[], &[Text]], $type, |ctx, arguments| {
            let value: fn(Reference) -> Value = $value;
            Ok(Value::Items(references(ctx, arguments.first()).into_iter().map(value).collect()))
        })
    };
}

/// A function of one column of `effective_policy()`.
macro_rules! effective {
    ($name:literal, $type:expr, $value:expr) => {
        Function::new(concat!("effective_policy.", $name), &[&[Object], &[Object, Text]], $type, |ctx, arguments| {
            let value: fn(Effective) -> Value = $value;
            Ok(Value::Items(effective(ctx, arguments)?.into_iter().map(value).collect()))
        })
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    reference!("policy_kind", texts, |found| found.kind.into()),
    reference!("policy_name", texts, |found| found.policy.into()),
    reference!("schema_name", texts, |found| found.schema.into()),
    reference!("relation_name", texts, |found| found.relation.into()),
    reference!("column_name", texts, |found| found.column.into()),
    reference!("command", texts, |found| found.command.into()),
    reference!("attached_to", texts, |found| found.attached_to.into()),
    reference!("priority", integers, |found| found.priority.into()),
    reference!("enabled", booleans, |found| found.enabled.into()),
    reference!("tag", texts, |found| found.tag.into()),
    effective!("policy_kind", texts, |found| found.kind.into()),
    effective!("policy_name", texts, |found| found.policy.into()),
    effective!("command", texts, |found| found.command.into()),
    effective!("column_name", texts, |found| found.column.into()),
    effective!("attached_to", texts, |found| found.attached_to.into()),
    effective!("priority", integers, |found| found.priority.into()),
    effective!("expression", texts, |found| found.expression.into()),
    effective!("tag", texts, |found| found.tag.into()),
];

/// A policy and what it is for.
struct Reference {
    kind: &'static str,
    policy: String,
    /// `None`: it is attached to a tag.
    schema: Option<String>,
    relation: Option<String>,
    /// `None`: all rows.
    column: Option<String>,
    /// `None`: whatever reads the column.
    command: Option<&'static str>,
    attached_to: String,
    priority: Option<i32>,
    /// What it is attached to, if that is no column of its own.
    tag: Option<String>,
    /// Whether row security is on, or the column is masked at all.
    enabled: bool,
}

/// Of the relations that the caller may know of; `wanted`: the name of a policy.
fn references(ctx: &Context, wanted: Option<&Value>) -> Vec<Reference> {
    let mut found = Vec::new();
    for (id, relation) in objects::visible(ctx) {
        let schema = ctx.catalog.schema(relation.schema).map(|schema| schema.name.clone()).unwrap_or_default();
        for (_, policy) in ctx.catalog.row_policies(id) {
            found.push(Reference {
                kind: if policy.attached.is_some() { "RLS POLICY" } else { "ROW POLICY" },
                policy: policy.name.clone(),
                schema: Some(schema.clone()),
                relation: Some(relation.name.clone()),
                column: None,
                command: Some(policy.command.keyword()),
                attached_to: names(ctx, policy.roles.iter()),
                priority: None,
                tag: None,
                enabled: relation.row_security,
            });
        }
        for (_, attachment) in ctx.catalog.mask_attachments(id) {
            found.push(Reference {
                kind: "MASKING POLICY",
                policy: mask_name(ctx, attachment.policy),
                schema: Some(schema.clone()),
                relation: Some(relation.name.clone()),
                column: relation
                    .column_by_id(attachment.column)
                    .map(|column| part_name(&column.name, &attachment.path)),
                command: None,
                attached_to: names(ctx, std::iter::once(&attachment.grantee)),
                priority: Some(attachment.priority),
                tag: None,
                enabled: true,
            });
        }
    }
    for (id, _) in ctx.catalog.tags() {
        for (_, mask) in ctx.catalog.tag_masks(id) {
            found.push(Reference {
                kind: "MASKING POLICY",
                policy: mask_name(ctx, mask.policy),
                schema: None,
                relation: None,
                column: None,
                command: None,
                attached_to: names(ctx, std::iter::once(&mask.grantee)),
                priority: Some(mask.priority),
                tag: Some(tag_text(ctx, id, mask.value.as_deref())),
                enabled: true,
            });
        }
    }
    found.retain(|reference| wanted.is_none_or(|wanted| wanted.text() == reference.policy));
    found
}

fn names<'a>(ctx: &Context, grantees: impl Iterator<Item = &'a Grantee>) -> String {
    let name = |grantee: &Grantee| match grantee {
        Grantee::Public => "PUBLIC".to_owned(),
        Grantee::Role(role) => ctx.catalog.role_name(*role),
    };
    grantees.map(name).collect::<Vec<_>>().join(", ")
}

/// `pii = ssn`, or `pii` for any value.
fn tag_text(ctx: &Context, tag: ObjectId, value: Option<&str>) -> String {
    let name = ctx.catalog.tag(tag).map(|tag| tag.name.as_str()).unwrap_or_default();
    value.map_or_else(|| name.to_owned(), |value| format!("{name} = {value}"))
}

fn mask_name(ctx: &Context, policy: Option<ObjectId>) -> String {
    let policy = policy.and_then(|policy| ctx.catalog.masking_policy(policy));
    policy.map_or_else(|| UNMASKED_POLICY.to_owned(), |policy| policy.name.clone())
}

/// A policy that counts for a role, or why none does.
#[derive(Default)]
struct Effective {
    kind: &'static str,
    policy: Option<String>,
    command: Option<&'static str>,
    column: Option<String>,
    attached_to: Option<String>,
    priority: Option<i32>,
    /// The tag that it comes by, and its value.
    tag: Option<String>,
    /// `None`: the caller may not know it.
    expression: Option<String>,
}

/// What counts for a role, by default the caller, on a relation. `42501` about a role that the caller is no member of,
/// unless he owns the relation or looks after policies.
fn effective(ctx: &Context, arguments: &[Value]) -> Result<Vec<Effective>, Plain> {
    let Some((id, relation)) = arguments.first().and_then(|object| relation_of(ctx, object)) else {
        return Ok(Vec::new());
    };
    let mut who = as_role(ctx, arguments.get(1))?;
    let role = arguments.get(1).map_or(Ok(Some(ctx.role)), |role| role_id(ctx, role))?;
    if let Some(role) = role.filter(|_| arguments.len() > 1) {
        who.session_role = role;
    }
    let may_know = objects::may_know_policies(ctx, relation);
    let is_own = role.is_some_and(|role| is_member(ctx.role, role, |id| ctx.catalog.role(id)));
    if !may_know && !is_own {
        let message = format!("permission denied to see the policies of others on \"{}\"", relation.name);
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    let mut found = Vec::new();
    if relation.row_security && !row_security_applies(&who, relation) {
        found.push(Effective { kind: "EXEMPT FROM ROW POLICIES", ..Effective::default() });
    } else if relation.row_security {
        rows(&who, id, may_know, &mut found);
    }
    let reader = Reader::of(&who);
    if reader.is_exempt() {
        found.extend(
            ctx.catalog
                .has_masks(id)
                .then(|| Effective { kind: "EXEMPT FROM MASKING POLICIES", ..Effective::default() }),
        );
        return Ok(found);
    }
    for attached in attachments(&who, &reader, id, relation).map_err(|error| {
        let plain = Plain::new(error.sqlstate(), error.to_string());
        match error.hint() {
            Some(hint) => plain.hint(hint),
            None => plain,
        }
    })? {
        let (kind, policy) = match attached.shown {
            Shown::Raw => ("MASKING POLICY", None),
            Shown::Masked(policy) => ("MASKING POLICY", Some(policy)),
            Shown::Nothing => ("NO VALUE", None),
        };
        let name = (attached.shown != Shown::Nothing).then(|| mask_name(ctx, policy));
        let policy = policy.and_then(|policy| ctx.catalog.masking_policy(policy));
        found.push(Effective {
            kind,
            policy: name,
            column: relation.columns.get(attached.column).map(|column| part_name(&column.name, attached.path)),
            attached_to: Some(names(ctx, std::iter::once(attached.grantee))),
            priority: Some(attached.priority),
            tag: attached.tag.map(|(tag, value)| tag_text(ctx, tag, Some(value))),
            expression: policy.filter(|_| may_know).map(|policy| policy.expression.clone()),
            ..Effective::default()
        });
    }
    Ok(found)
}

/// Row policies by command, and which commands see no row because none lets them.
fn rows(who: &Context, id: ObjectId, may_know: bool, found: &mut Vec<Effective>) {
    use PolicyCommand::{Delete, Insert, Select, Update};
    let counts = |policy: &RowPolicy| policy.roles.iter().any(|grantee| grantee.includes(&who.roles));
    let mut policies: Vec<&RowPolicy> =
        who.catalog.row_policies(id).map(|(_, policy)| policy).filter(|policy| counts(policy)).collect();
    policies.sort_by(|a, b| (b.permissive, &a.name).cmp(&(a.permissive, &b.name)));
    for command in [Select, Insert, Update, Delete] {
        if !policies.iter().any(|policy| policy.permissive && policy.command.covers(command)) {
            found.push(Effective { kind: "NO ROW", command: Some(command.keyword()), ..Effective::default() });
        }
    }
    for policy in policies {
        let parts = [("USING", &policy.using), ("WITH CHECK", &policy.check)];
        let parts = parts.into_iter().filter_map(|(word, text)| Some(format!("{word} ({})", text.as_ref()?)));
        let counting = policy.roles.iter().filter(|grantee| grantee.includes(&who.roles));
        found.push(Effective {
            kind: match (policy.attached, policy.permissive) {
                (Some(_), _) => "RLS POLICY",
                (None, true) => "PERMISSIVE ROW POLICY",
                (None, false) => "RESTRICTIVE ROW POLICY",
            },
            policy: Some(policy.name.clone()),
            command: Some(policy.command.keyword()),
            attached_to: Some(names(who, counting)),
            expression: may_know.then(|| parts.collect::<Vec<_>>().join(" ")),
            ..Effective::default()
        });
    }
}
