//! CREATE, ALTER and what goes with DROP of types and domains. Columns have a copy of their enumeration, so that past states
//! keep theirs: whoever changes it changes them.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;

use super::super::domain::bind;
use super::super::insert::default_value;
use super::super::type_names::{self, names_type};
use super::super::{PlanError, PlanResult, Right, Scope};
use super::constraint::{numbered, rows};
use super::sequence;
use super::table::{initial, plain_column};
use super::{DdlPlan, Validation, role_id};
use crate::catalog::{
    Body, Column, ConstraintKind, Domain, DomainCheck, DomainUse, Namespace, Relation, RelationKind, TEMPORARY_SCHEMA,
    TypeDefinition, UserType,
};
use crate::context::undefined_schema;
use crate::error::{About, Plain, SqlError, SqlState, unsupported};
use crate::govern::{MaskingPolicy, ObjectKind, Privilege, RlsPolicy};
use crate::guard::masks;
use crate::name::{ObjectId, QualifiedName, quote};
use crate::statement::{AlterType, AlterTypeAction, AttributeChange, CreateType, NewDomain, NewType};
use crate::types::{Attribute, EnumLabel, EnumType, PgType};

/// The longest label, in bytes.
const LABEL_BYTES_MAX: usize = 63;

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateType) -> PlanResult<()> {
    let (schema, _) = scope.ctx.creation_schema(&create.name)?;
    if schema == TEMPORARY_SCHEMA {
        return Err(unsupported("a temporary type").into());
    }
    ddl.need(scope, Right::Schema(schema, Privilege::Create));
    let name = &create.name.name;
    refuse_known(scope, schema, name)?;
    let definition = match &create.definition {
        NewType::Enum(labels) => {
            let mut known = BTreeSet::new();
            for label in labels {
                check_label(label)?;
                if !known.insert(label) {
                    let message = "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"";
                    return Err(Plain::new(SqlState::UNIQUE_VIOLATION, message).into());
                }
            }
            TypeDefinition::Enum(EnumType::number(labels.iter().cloned()))
        }
        NewType::Composite(attributes) => TypeDefinition::Composite(new_attributes(scope, schema, name, attributes)?),
        NewType::Domain(domain) => TypeDefinition::Domain(new_domain(scope, name, domain)?),
    };
    let id = ddl.new_id(scope);
    let owner = scope.ctx.role;
    let acl = initial(scope, owner, ObjectKind::Types, Some(schema));
    let user_type = UserType { schema, name: name.clone(), owner, acl, comment: None, definition };
    ddl.put(id, Body::Type(user_type));
    Ok(())
}

fn new_attributes(scope: &Scope, schema: ObjectId, name: &str, new: &[Attribute]) -> PlanResult<Vec<Attribute>> {
    // In PostgreSQL tables are types, too.
    if scope.catalog().find(Namespace::Relation(schema), name).is_some() {
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists")).into());
    }
    let mut attributes: Vec<Attribute> = Vec::with_capacity(new.len());
    for attribute in new {
        if attributes.iter().any(|known| known.name == attribute.name) {
            let message = format!("column \"{}\" specified more than once", attribute.name);
            return Err(Plain::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        attributes.push(Attribute { name: attribute.name.clone(), pg: attribute_type(scope, &attribute.pg)? });
    }
    refuse_empty(&attributes)?;
    Ok(attributes)
}

/// Looks up the type of an attribute. `0A000` for a domain, and for what the warehouse does not keep.
fn attribute_type(scope: &Scope, pg: &PgType) -> PlanResult<PgType> {
    let (pg, domain) = scope.ctx.named_type(pg)?;
    if domain.is_some() {
        return Err(unsupported("an attribute whose type is a domain").into());
    }
    super::table::storable(&pg)?;
    Ok(pg)
}

/// Parquet has no rows without columns.
fn refuse_empty(attributes: &[Attribute]) -> PlanResult<()> {
    if attributes.is_empty() { Err(unsupported("a composite type without attributes").into()) } else { Ok(()) }
}

fn refuse_known(scope: &Scope, schema: ObjectId, name: &str) -> PlanResult<()> {
    if scope.catalog().find(Namespace::Type(schema), name).is_none() {
        return Ok(());
    }
    Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists")).into())
}

fn check_label(label: &str) -> PlanResult<()> {
    if label.len() <= LABEL_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("Labels must be {LABEL_BYTES_MAX} bytes or less.");
    Err(Plain::new(SqlState::INVALID_NAME, format!("invalid enum label \"{label}\"")).detail(detail).into())
}

fn new_domain(scope: &Scope, name: &str, new: &NewDomain) -> PlanResult<Domain> {
    let (base, over) = scope.ctx.named_type(&new.base)?;
    if over.is_some() {
        return Err(unsupported("a domain over a domain").into());
    }
    super::table::storable(&base)?;
    let mut domain = Domain { base, revision: 0, nullable: !new.not_null, default: None, checks: Vec::new() };
    domain.default = new.default.as_deref().map(|text| sequence::with_schemas(scope, text)).transpose()?;
    for (constraint, condition) in &new.checks {
        add_check(scope, name, &mut domain, constraint.as_deref(), condition)?;
    }
    check_default(scope, name, &domain)?;
    Ok(domain)
}

/// Defaults must be expressions that can be computed.
fn check_default(scope: &Scope, name: &str, domain: &Domain) -> PlanResult<()> {
    let mut column = plain_column(1, name, domain.base.clone());
    column.default.clone_from(&domain.default);
    default_value(scope, &column).map(drop)
}

/// Adds a condition; gives its name.
fn add_check(
    scope: &Scope,
    domain_name: &str,
    domain: &mut Domain,
    name: Option<&str>,
    condition: &str,
) -> PlanResult<String> {
    let condition = type_names::qualified(scope, condition)?;
    bind(scope, &domain.base, &condition)?;
    let taken = |name: &str| domain.checks.iter().any(|check| check.name == name);
    let name = match name {
        Some(name) if taken(name) => {
            let message = format!("constraint \"{name}\" for domain \"{domain_name}\" already exists");
            return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
        }
        Some(name) => name.to_owned(),
        None => numbered(&format!("{domain_name}_check"), taken),
    };
    domain.checks.push(DomainCheck { name: name.clone(), condition });
    // PostgreSQL checks them in this order.
    domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(name)
}

/// A type to be changed. `42704`; `42809` for one that is no domain where one is meant.
pub(super) fn find<'a>(
    scope: &'a Scope,
    name: &QualifiedName,
    domain: bool,
) -> Result<(ObjectId, &'a UserType), Plain> {
    let undefined = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"));
    let (id, user_type) = scope.ctx.user_type(name).ok_or_else(undefined)?;
    if domain && user_type.as_domain().is_none() {
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is not a domain")));
    }
    Ok((id, user_type))
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterType) -> PlanResult<()> {
    let (id, old) = find(scope, &alter.name, alter.domain)?;
    ddl.need(scope, Right::Own(id));
    let mut new = old.clone();
    match &alter.action {
        AlterTypeAction::Rename(name) => {
            refuse_named(scope, id, "RENAME")?;
            refuse_known(scope, old.schema, name)?;
            new.name.clone_from(name);
        }
        AlterTypeAction::Owner(spec) => {
            let before = std::mem::replace(&mut new.owner, role_id(scope, spec)?);
            if let Some(acl) = &mut new.acl {
                acl.hand_over(before, new.owner);
            }
            ddl.need(scope, Right::Member(new.owner));
        }
        AlterTypeAction::SetSchema(name) => {
            let schema = scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name))?;
            if schema == TEMPORARY_SCHEMA {
                return Err(unsupported("a temporary type").into());
            }
            ddl.need(scope, Right::Schema(schema, Privilege::Create));
            if schema != old.schema {
                refuse_named(scope, id, "SET SCHEMA")?;
                refuse_known(scope, schema, &old.name)?;
            }
            new.schema = schema;
        }
        action => match &mut new.definition {
            TypeDefinition::Enum(labels) => {
                if !alter_labels(scope, ddl, id, labels, action)? {
                    return Ok(());
                }
            }
            TypeDefinition::Composite(attributes) => {
                if !alter_attributes(scope, ddl, (id, &old.name), attributes, action)? {
                    return Ok(());
                }
            }
            TypeDefinition::Domain(domain) => {
                if !alter_domain(scope, ddl, id, &old.name, domain, action)? {
                    return Ok(());
                }
            }
        },
    }
    follow(scope, ddl, id, &new);
    ddl.put(id, Body::Type(new));
    Ok(())
}

/// Tells whether there is something to do.
fn alter_labels(
    scope: &Scope,
    ddl: &mut DdlPlan,
    id: ObjectId,
    labels: &mut Vec<EnumLabel>,
    action: &AlterTypeAction,
) -> PlanResult<bool> {
    let place = |labels: &[EnumLabel], name: &str| labels.iter().position(|label| label.name == name);
    let missing = |name: &str| {
        let message = format!("\"{name}\" is not an existing enum label");
        Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    let known = |name: &str| Plain::new(SqlState::DUPLICATE_OBJECT, format!("enum label \"{name}\" already exists"));
    match action {
        AlterTypeAction::AddValue { if_not_exists, label, beside } => {
            check_label(label)?;
            if place(labels, label).is_some() {
                if !if_not_exists {
                    return Err(known(label).into());
                }
                ddl.skip(SqlState::DUPLICATE_OBJECT, format!("{}, skipping", known(label).message));
                return Ok(false);
            }
            let at = match beside {
                None => labels.len(),
                Some((name, after)) => place(labels, name).ok_or_else(|| missing(name))? + usize::from(*after),
            };
            let code = EnumType::code_at(labels, at)
                .ok_or_else(|| unsupported("another enum label at this place, where so many were added"))?;
            labels.insert(at, EnumLabel { code, name: label.clone() });
        }
        AlterTypeAction::RenameValue { label, to } => {
            check_label(to)?;
            let at = place(labels, label).ok_or_else(|| missing(label))?;
            if place(labels, to).is_some() {
                return Err(known(to).into());
            }
            refuse_named(scope, id, "RENAME VALUE")?;
            // Files have labels, and may have this one.
            if let Some((table, _)) = users(scope, id).find(|(_, relation)| is_table(relation)) {
                let what = format!("RENAME VALUE of a type that table {} has", scope.ctx.display_name(table));
                let hint =
                    "Make its column text with ALTER TABLE … ALTER COLUMN … TYPE text, and give it the type again.";
                return Err(unsupported(what).hint(hint).into());
            }
            if let Some(found) = labels.get_mut(at) {
                found.name.clone_from(to);
            }
        }
        _ => return Err(unsupported("this ALTER of an enumeration").into()),
    }
    Ok(true)
}

/// Tells whether there is something to do.
fn alter_attributes(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (id, name): (ObjectId, &str),
    attributes: &mut Vec<Attribute>,
    action: &AlterTypeAction,
) -> PlanResult<bool> {
    let AlterTypeAction::Attributes(changes) = action else {
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("{} is not an enum", quote(name))).into());
    };
    let missing = |attribute: &str| {
        let message = format!("column \"{attribute}\" of relation \"{name}\" does not exist");
        Plain::new(SqlState::UNDEFINED_COLUMN, message)
    };
    let place = |attributes: &[Attribute], name: &str| attributes.iter().position(|known| known.name == name);
    let free = |attributes: &[Attribute], attribute: &str| match place(attributes, attribute) {
        None => Ok(()),
        Some(_) => {
            let message = format!("column \"{attribute}\" of relation \"{name}\" already exists");
            Err(Plain::new(SqlState::DUPLICATE_COLUMN, message))
        }
    };
    let checked = |pg: &PgType| {
        let pg = attribute_type(scope, pg)?;
        if pg.objects().contains(&id) {
            let message = format!("composite type {name} cannot be made a member of itself");
            return Err(PlanError::from(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message)));
        }
        Ok(pg)
    };
    let mut changed = false;
    for change in changes {
        changed = true;
        match change {
            AttributeChange::Add(new) => {
                free(attributes, &new.name)?;
                attributes.push(Attribute { name: new.name.clone(), pg: checked(&new.pg)? });
            }
            AttributeChange::Drop { if_exists, name } => match place(attributes, name) {
                Some(at) => drop(attributes.remove(at)),
                None if *if_exists => {
                    ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{}, skipping", missing(name).message));
                    changed = false;
                }
                None => return Err(missing(name).into()),
            },
            AttributeChange::Retype(new) => {
                let found = attributes.iter_mut().find(|known| known.name == new.name);
                found.ok_or_else(|| missing(&new.name))?.pg = checked(&new.pg)?;
            }
            AttributeChange::Rename { name, to } => {
                free(attributes, to)?;
                let found = attributes.iter_mut().find(|known| known.name == *name);
                found.ok_or_else(|| missing(name))?.name.clone_from(to);
            }
        }
    }
    refuse_empty(attributes)?;
    // What is in files is as it was.
    let uses = |column: &&Column| column.types().any(|found| found == id);
    let mut tables = users(scope, id).filter(|(_, relation)| changed && is_table(relation));
    let used = tables.find_map(|(table, relation)| Some((table, relation.columns.iter().find(uses)?)));
    if let Some((table, column)) = used {
        let message = format!(
            "cannot alter type \"{name}\" because column \"{}.{}\" uses it",
            scope.ctx.display_name(table),
            column.name
        );
        let hint = "Make the column text with ALTER TABLE … ALTER COLUMN … TYPE text, and give it the type again.";
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint).into());
    }
    let masked = users(scope, id).find(|(relation, _)| {
        let mut masks = scope.catalog().mask_attachments(*relation);
        masks.any(|(_, mask)| !mask.path.is_empty())
    });
    if let Some((relation, _)) = masked.filter(|_| changed) {
        let what =
            format!("altering a type of {}, parts of whose columns are masked,", scope.ctx.display_name(relation));
        return Err(unsupported(what).into());
    }
    refuse_named(scope, id, "ALTER of an attribute")?;
    Ok(changed)
}

fn is_table(relation: &Relation) -> bool {
    matches!(relation.storage, RelationKind::Table(_))
}

/// Tells whether there is something to do.
fn alter_domain(
    scope: &Scope,
    ddl: &mut DdlPlan,
    id: ObjectId,
    name: &str,
    domain: &mut Domain,
    action: &AlterTypeAction,
) -> PlanResult<bool> {
    let missing = |constraint: &str| {
        let message = format!("constraint \"{constraint}\" of domain \"{name}\" does not exist");
        Plain::new(SqlState::UNDEFINED_OBJECT, message)
    };
    match action {
        AlterTypeAction::Default(default) => {
            domain.default = default.as_deref().map(|text| sequence::with_schemas(scope, text)).transpose()?;
            check_default(scope, name, domain)?;
            return Ok(true);
        }
        AlterTypeAction::NotNull(required) => {
            domain.nullable = !required;
            if *required {
                let message = |table: &str, column: &str| {
                    format!("column \"{column}\" of table \"{table}\" contains null values")
                };
                validate(scope, ddl, id, SqlState::NOT_NULL_VIOLATION, message, |value| Ok(value.is_null()))?;
            }
        }
        AlterTypeAction::AddCheck { name: constraint, condition } => {
            add_check(scope, name, domain, constraint.as_deref(), condition)?;
            let message = |table: &str, column: &str| {
                format!("column \"{column}\" of table \"{table}\" contains values that violate the new constraint")
            };
            let broken = |value: Expr| {
                let bound = bind(scope, &domain.base, condition)?;
                let of_column = |expr| match expr {
                    Expr::Column(_) => Ok(Transformed::yes(value.clone())),
                    other => Ok(Transformed::no(other)),
                };
                Ok(Expr::IsFalse(Box::new(bound.transform_up(of_column)?.data)))
            };
            validate(scope, ddl, id, SqlState::CHECK_VIOLATION, message, broken)?;
        }
        AlterTypeAction::DropConstraint { if_exists, name: constraint } => {
            let before = domain.checks.len();
            domain.checks.retain(|check| check.name != *constraint);
            if domain.checks.len() == before {
                if !if_exists {
                    return Err(missing(constraint).into());
                }
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{}, skipping", missing(constraint).message));
                return Ok(false);
            }
        }
        AlterTypeAction::RenameConstraint { name: constraint, to } => {
            if domain.checks.iter().any(|check| check.name == *to) {
                let message = format!("constraint \"{to}\" for domain \"{name}\" already exists");
                return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
            }
            let found = domain.checks.iter_mut().find(|check| check.name == *constraint);
            found.ok_or_else(|| missing(constraint))?.name.clone_from(to);
            domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(true);
        }
        AlterTypeAction::Validate(constraint) => {
            if !domain.checks.iter().any(|check| check.name == *constraint) {
                return Err(missing(constraint).into());
            }
            return Ok(false);
        }
        _ => return Err(unsupported("this ALTER of a domain").into()),
    }
    // Who writes meanwhile must not have been held to other rules.
    domain.revision += 1;
    Ok(true)
}

/// Asks that no value of a domain that is there is broken.
fn validate(
    scope: &Scope,
    ddl: &mut DdlPlan,
    id: ObjectId,
    code: SqlState,
    message: impl Fn(&str, &str) -> String,
    broken: impl Fn(Expr) -> PlanResult<Expr>,
) -> PlanResult<()> {
    for (table, relation) in users(scope, id).filter(|(_, relation)| is_table(relation)) {
        let hidden = masks(&scope.ctx, &scope.reader, table, relation).map_err(SqlError::from)?;
        let hidden: Vec<i32> =
            hidden.iter().filter_map(|mask| relation.columns.get(mask.column)).map(|column| column.id).collect();
        for column in relation.columns.iter().filter(|column| column.domain.is_some_and(|domain| domain.id == id)) {
            // Whether it holds would tell of what a mask hides.
            if hidden.contains(&column.id) {
                let what =
                    format!("holding masked column \"{}\" of relation \"{}\" to a rule", column.name, relation.name);
                ddl.refusal = Some(unsupported(what));
                return Ok(());
            }
            let value = Expr::Column(datafusion::common::Column::new_unqualified(&column.name));
            let none_of = rows(scope, table, relation, relation)?.filter(broken(value)?)?.limit(0, Some(1))?.build()?;
            let about = About { column: Some(column.name.clone()), ..About::default() };
            let error = Plain::new(code, message(&relation.name, &column.name)).about(about);
            ddl.validations.push(Validation { table, none_of, error, key: None });
        }
    }
    Ok(())
}

/// `0A000` for a change of a type that stored text names.
fn refuse_named(scope: &Scope, id: ObjectId, what: &str) -> PlanResult<()> {
    match named_by(scope, id, &BTreeSet::new()) {
        None => Ok(()),
        Some(by) => Err(unsupported(format!("{what} of a type that {by} names")).hint("Drop that first.").into()),
    }
}

/// What names a type in an expression or query that is kept as text, but for objects that go.
pub(super) fn named_by(scope: &Scope, id: ObjectId, gone: &BTreeSet<ObjectId>) -> Option<String> {
    let ctx = &scope.ctx;
    let names = |text: &str| names_type(ctx, text, id);
    let under = |path: &[String], text: &str| names_type(&ctx.clone().with_search_path(path), text, id);
    for entry in scope.catalog().entries().filter(|entry| entry.id != id && !gone.contains(&entry.id)) {
        let found = match &entry.body {
            Body::Relation(relation) => {
                let of_column = |column: &Column| {
                    let generated = column.generated.as_ref().map(|own| own.expression.as_str());
                    column.default.as_deref().into_iter().chain(generated).any(names)
                };
                let checks = relation.constraints.iter().any(
                    |constraint| matches!(&constraint.kind, ConstraintKind::Check(check) if names(&check.condition)),
                );
                let view = relation.query().is_some_and(|view| under(&view.search_path, &view.query));
                let index = relation.as_index().is_some_and(|own| own.texts().any(|(text, _)| names(text)));
                let found = view || checks || index || relation.columns.iter().any(of_column);
                found.then(|| format!("{} {}", relation.kind_name(), ctx.display_name(entry.id)))
            }
            Body::RowPolicy(policy) => {
                let mut texts = policy.using.iter().chain(&policy.check);
                texts.any(|text| under(&policy.search_path, text)).then(|| format!("policy {}", policy.name))
            }
            Body::RlsPolicy(policy) => {
                under(&policy.search_path, &policy.using).then(|| format!("RLS policy {}", policy.name))
            }
            Body::MaskingPolicy(policy) => {
                under(&policy.search_path, &policy.expression).then(|| format!("masking policy {}", policy.name))
            }
            Body::Type(user_type) => user_type.as_domain().and_then(|domain| {
                let mut texts = domain.checks.iter().map(|check| &check.condition).chain(&domain.default);
                texts.any(|text| names(text)).then(|| format!("domain {}", user_type.name))
            }),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Brings a table of the past up to the types of today. `0A000` if its rows may not be right for them.
pub(super) fn renew(scope: &Scope, relation: &mut Relation) -> PlanResult<()> {
    let name = relation.name.clone();
    for column in &mut relation.columns {
        let refused = |what: &str| {
            let message = format!("bringing back table \"{name}\", of whose column \"{}\" {what} since", column.name);
            unsupported(message)
        };
        if let Some(used) = column.domain
            && let Some(domain) = scope.catalog().user_type(used.id).and_then(UserType::as_domain)
            && domain.revision != used.revision
        {
            return Err(refused("the rules of the domain were changed").into());
        }
        let mut refusal = None;
        column.pg.change_made(&mut |made| {
            let now = made.object().and_then(|id| {
                let user_type = scope.catalog().user_type(id)?;
                Some(scope.catalog().value_type(id, user_type))
            });
            let Some(now) = now else { return };
            match (&*made, &now) {
                (PgType::Enum(old), PgType::Enum(new)) => {
                    if old.labels.iter().any(|label| new.label(label.code) != Some(label.name.as_str())) {
                        refusal = Some(refused("values were renamed"));
                    }
                }
                (PgType::Composite(old), PgType::Composite(new)) => {
                    let shape = |of: &[Attribute]| -> Vec<(String, u32, i32)> {
                        of.iter().map(|known| (known.name.clone(), known.pg.oid(), known.pg.typmod())).collect()
                    };
                    if shape(&old.attributes) != shape(&new.attributes) {
                        refusal = Some(refused("the attributes of the type were changed"));
                    }
                }
                _ => return,
            }
            *made = now;
        });
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
    }
    Ok(())
}

/// Relations with columns of a type.
pub(super) fn users(scope: &Scope, id: ObjectId) -> impl Iterator<Item = (ObjectId, &Relation)> {
    scope
        .catalog()
        .relations()
        .filter(move |(_, relation)| relation.columns.iter().any(|column| column.types().any(|found| found == id)))
}

/// What has a copy of a type gets the new one.
fn follow(scope: &Scope, ddl: &mut DdlPlan, id: ObjectId, new: &UserType) {
    let value = scope.catalog().value_type(id, new);
    let revision = new.as_domain().map(|domain| domain.revision);
    // What a domain is over stays as it is.
    let refresh = |pg: &mut PgType| {
        if value.object() == Some(id) {
            pg.renew(&value);
        }
    };
    for (user, relation) in users(scope, id) {
        let mut relation = relation.clone();
        for column in &mut relation.columns {
            refresh(&mut column.pg);
            if let (Some(used), Some(revision)) = (&mut column.domain, revision)
                && used.id == id
            {
                *used = DomainUse { id, revision };
            }
        }
        ddl.put(user, Body::Relation(relation));
    }
    for entry in scope.catalog().entries() {
        if !matches!(entry.body, Body::MaskingPolicy(_) | Body::RlsPolicy(_)) || !entry.body.types().contains(&id) {
            continue;
        }
        let mut body = entry.body.clone();
        if let Body::MaskingPolicy(MaskingPolicy { arguments: typed, .. })
        | Body::RlsPolicy(RlsPolicy { columns: typed, .. }) = &mut body
        {
            for (_, pg) in typed {
                refresh(pg);
            }
        }
        ddl.put(entry.id, body);
    }
    for (other, user_type) in scope.catalog().user_types() {
        if other != id && user_type.over().any(|pg| pg.objects().contains(&id)) {
            let mut user_type = user_type.clone();
            user_type.over_mut().for_each(refresh);
            ddl.put(other, Body::Type(user_type));
        }
    }
}
