//! `has_*_privilege` and `pg_has_role`: the same rights that statements are checked with.

use super::Kind::{Object, Oid, Text};
use super::definition::known;
use super::{Function, boolean};
use crate::catalog::Relation;
use crate::context::{Context, undefined_schema};
use crate::error::{Plain, SqlState};
use crate::govern::predefined::on_all_schemas;
use crate::govern::{Acl, Privilege, PrivilegeSet, can_set, is_member};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::system::activity::may_read;
use crate::pg::system::names::schema_name;
use crate::pg::system::value::Value;
use crate::pg::system::{SystemRelation, is_system_schema, objects, relation_by_oid};
use crate::types::{PgType, type_of_oid};

/// `([role,] object, privileges)`.
const ONE: &[&[super::Kind]] = &[&[Object, Text], &[Object, Object, Text]];
/// `([role,] relation, column, privileges)`.
const COLUMN: &[&[super::Kind]] = &[&[Object, Object, Text], &[Object, Object, Object, Text]];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("has_table_privilege", ONE, boolean, |ctx, arguments| {
        on_object(ctx, arguments, |ctx, who, object, wanted| on_relation(ctx, who, object, wanted, Scope::Relation))
    }),
    Function::new("has_any_column_privilege", ONE, boolean, |ctx, arguments| {
        on_object(ctx, arguments, |ctx, who, object, wanted| on_relation(ctx, who, object, wanted, Scope::AnyColumn))
    }),
    Function::new("has_sequence_privilege", ONE, boolean, |ctx, arguments| {
        on_object(ctx, arguments, |ctx, who, object, wanted| on_relation(ctx, who, object, wanted, Scope::Relation))
    }),
    Function::new("has_column_privilege", COLUMN, boolean, |ctx, arguments| {
        let (role, relation, column, privileges) = match arguments {
            [relation, column, privileges] => (None, relation, column, privileges),
            [role, relation, column, privileges] => (Some(role), relation, column, privileges),
            _ => return Ok(Value::Null),
        };
        let who = as_role(ctx, role)?;
        let wanted = wanted(privileges)?;
        on_relation(ctx, &who, relation, &wanted, Scope::Column(column))
    }),
    Function::new("has_schema_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, on_schema)),
    Function::new("has_database_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, on_database)),
    Function::new("has_function_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, everyone)),
    Function::new("has_language_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, everyone)),
    Function::new("has_type_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, on_type)),
    Function::new("has_tablespace_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, superusers)),
    Function::new("has_server_privilege", ONE, boolean, |ctx, arguments| on_object(ctx, arguments, superusers)),
    Function::new("has_foreign_data_wrapper_privilege", ONE, boolean, |ctx, arguments| {
        on_object(ctx, arguments, superusers)
    }),
    Function::new("pg_has_role", ONE, boolean, has_role),
    Function::new(
        "acldefault",
        &[&[Text, Oid]],
        || PgType::Array(Box::new(PgType::Aclitem)),
        |ctx, arguments| match arguments {
            [kind, owner] => acl_default(ctx, kind.text(), owner.oid()),
            _ => Ok(Value::Null),
        },
    ),
];

/// What an owner and PUBLIC have of an object of a kind if nothing was said. `XX000` for a letter that is no kind.
fn acl_default(ctx: &Context, kind: &str, owner: u32) -> Result<Value, Plain> {
    use Privilege::{Connect, Create, Execute, Select, Temporary, Update, Usage};
    let (owners, public): (PrivilegeSet, &[Privilege]) = match kind {
        "c" => (PrivilegeSet::EMPTY, &[]),
        "r" => (PrivilegeSet::table(), &[]),
        "s" => (PrivilegeSet::sequence(), &[]),
        "d" => (PrivilegeSet::database(), &[Temporary, Connect]),
        "f" => (PrivilegeSet::of(&[Execute]), &[Execute]),
        "l" | "T" => (PrivilegeSet::of(&[Usage]), &[Usage]),
        "L" => (PrivilegeSet::of(&[Select, Update]), &[]),
        "n" => (PrivilegeSet::schema(), &[]),
        "t" => (PrivilegeSet::of(&[Create]), &[]),
        "F" | "S" => (PrivilegeSet::of(&[Usage]), &[]),
        _ => {
            let message = format!("unrecognized object type abbreviation: {kind}");
            return Err(Plain::new(SqlState::INTERNAL_ERROR, message));
        }
    };
    let Some(owner) = ObjectId::from_oid(owner) else { return Ok(Value::Null) };
    let mut acl = Acl::default_for(owner, owners, PrivilegeSet::of(public));
    acl.0.retain(|item| !item.privileges.is_empty());
    Ok(objects::acl_items(ctx, &acl).into())
}

/// A privilege that is asked for, and whether with its grant option.
type Wanted = (Privilege, bool);

/// Reads `SELECT, INSERT WITH GRANT OPTION`. `22023` for anything else.
fn wanted(privileges: &Value) -> Result<Vec<Wanted>, Plain> {
    let one = |text: &str| {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        let (word, option) = match upper.strip_suffix("WITH GRANT OPTION") {
            Some(word) => (word.trim_end().to_owned(), true),
            None => (upper, false),
        };
        Privilege::from_keyword(&word).map(|privilege| (privilege, option)).ok_or_else(|| {
            Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized privilege type: \"{text}\""))
        })
    };
    privileges.text().split(',').map(one).collect()
}

/// The role asked about, by name or OID. `public` has what everyone has.
pub(super) fn as_role(ctx: &Context, role: Option<&Value>) -> Result<Context, Plain> {
    let Some(role) = role else { return Ok(ctx.clone()) };
    if role.text() == "public" {
        let mut nobody = ctx.clone();
        nobody.roles = Vec::new();
        nobody.superuser = false;
        return Ok(nobody);
    }
    Ok(match role_id(ctx, role)? {
        Some(id) => ctx.as_role(id),
        None => ctx.as_role(ObjectId(i64::MIN)),
    })
}

/// `42704` for an unknown name; an unknown OID is a role without rights.
pub(super) fn role_id(ctx: &Context, role: &Value) -> Result<Option<ObjectId>, Plain> {
    match role {
        Value::Text(name) => ctx
            .catalog
            .role_id(name)
            .map(Some)
            .ok_or_else(|| Plain::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))),
        other => Ok(ObjectId::from_oid(other.oid())),
    }
}

fn on_object(
    ctx: &Context,
    arguments: &[Value],
    check: fn(&Context, &Context, &Value, &[Wanted]) -> Result<Value, Plain>,
) -> Result<Value, Plain> {
    let (role, object, privileges) = match arguments {
        [object, privileges] => (None, object, privileges),
        [role, object, privileges] => (Some(role), object, privileges),
        _ => return Ok(Value::Null),
    };
    check(ctx, &as_role(ctx, role)?, object, &wanted(privileges)?)
}

/// Which part of a relation is asked about.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Relation,
    AnyColumn,
    Column(&'a Value),
}

/// Names are found as the caller finds them; `who` is whose rights are asked for.
fn on_relation(
    ctx: &Context,
    who: &Context,
    object: &Value,
    wanted: &[Wanted],
    scope: Scope<'_>,
) -> Result<Value, Plain> {
    let id = match object {
        Value::Text(text) => {
            let oid = crate::pg::system::names::relation_oid(ctx, &QualifiedName::parse(text)?)?;
            if let Some(relation) = relation_by_oid(oid) {
                return Ok(on_system_relation(who, relation, wanted));
            }
            ObjectId::from_oid(oid)
        }
        oid => match relation_by_oid(oid.oid()) {
            Some(relation) => return Ok(on_system_relation(who, relation, wanted)),
            None => ObjectId::from_oid(oid.oid()),
        },
    };
    let found = id.and_then(|id| Some((id, who.catalog.relation(id)?)));
    let Some((id, relation)) = found else { return Ok(Value::Null) };
    if !objects::is_visible(ctx, relation) {
        return Ok(Value::Null);
    }
    let columns: Vec<i32> = match scope {
        Scope::Relation => vec![],
        Scope::AnyColumn => relation.columns.iter().map(|column| column.id).collect(),
        Scope::Column(column) => match column_id(relation, column)? {
            Some(id) => vec![id],
            None => return Ok(Value::Null),
        },
    };
    Ok(wanted.iter().any(|wanted| holds(who, id, relation, &columns, *wanted)).into())
}

/// Nearly all of the system's relations are read by everyone; only superusers could do more.
fn on_system_relation(who: &Context, relation: &SystemRelation, wanted: &[Wanted]) -> Value {
    let reads = wanted.contains(&(Privilege::Select, false)) && may_read(who, relation.name);
    (who.superuser || reads).into()
}

/// By name (`42703` if there is none) or number.
fn column_id(relation: &Relation, column: &Value) -> Result<Option<i32>, Plain> {
    match column {
        Value::Text(name) => relation.column(name).map(|column| Some(column.id)).ok_or_else(|| {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            Plain::new(SqlState::UNDEFINED_COLUMN, message)
        }),
        number => Ok(i32::try_from(number.int()).ok().and_then(|id| relation.column_by_id(id)).map(|column| column.id)),
    }
}

/// On the relation, or on one of these columns.
fn holds(who: &Context, id: ObjectId, relation: &Relation, columns: &[i32], (privilege, option): Wanted) -> bool {
    let mut columns = columns.iter().filter_map(|id| relation.column_by_id(*id));
    if !option {
        return who.relation_rights(id, relation).contains(privilege)
            || columns.any(|column| who.column_rights(id, column).contains(privilege));
    }
    let grantable = |acl: &Acl| acl.grantable_by(&who.roles).contains(privilege);
    who.owns(relation.owner)
        || grantable(&relation.effective_acl())
        || columns.any(|column| column.acl.as_ref().is_some_and(grantable))
}

fn on_schema(_: &Context, who: &Context, object: &Value, wanted: &[Wanted]) -> Result<Value, Plain> {
    let name = match object {
        Value::Text(name) => name.clone(),
        oid => match schema_name(who, oid.oid()) {
            Some(name) => name,
            None => return Ok(Value::Null),
        },
    };
    if is_system_schema(&name) {
        return Ok((who.superuser || wanted.contains(&(Privilege::Usage, false))).into());
    }
    let schema = who.catalog.schema_id(&name).and_then(|id| who.catalog.schema(id));
    let schema = schema.ok_or_else(|| undefined_schema(&name))?;
    let everywhere = on_all_schemas(&who.roles);
    let held = wanted.iter().any(|(privilege, option)| !option && everywhere.contains(*privilege));
    Ok(if held { true.into() } else { any_of(who, schema.owner, &Context::schema_acl(schema), wanted) })
}

fn on_database(_: &Context, who: &Context, object: &Value, wanted: &[Wanted]) -> Result<Value, Plain> {
    let Some(database) = who.catalog.database() else { return Ok(Value::Null) };
    match object {
        Value::Text(name) if *name != database.name => {
            return Err(Plain::new(SqlState::UNDEFINED_DATABASE, format!("database \"{name}\" does not exist")));
        }
        Value::Int(oid) if *oid != i64::from(crate::catalog::DATABASE_ID.oid()) => return Ok(Value::Null),
        _ => {}
    }
    Ok(any_of(who, database.owner, &database.acl.clone().unwrap_or_default(), wanted))
}

fn any_of(who: &Context, owner: ObjectId, acl: &Acl, wanted: &[Wanted]) -> Value {
    let held = |(privilege, option): &Wanted| {
        if *option {
            who.owns(owner) || acl.grantable_by(&who.roles).contains(*privilege)
        } else {
            who.rights(acl).contains(*privilege)
        }
    };
    wanted.iter().any(held).into()
}

/// By name (`42704` if there is none) or number. Built-in types are everyone's.
fn on_type(ctx: &Context, who: &Context, object: &Value, wanted: &[Wanted]) -> Result<Value, Plain> {
    let oid = match object {
        Value::Text(name) => match known(ctx, &PgType::Regtype, std::slice::from_ref(object))? {
            Value::Null => {
                return Err(Plain::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")));
            }
            found => found.oid(),
        },
        number => number.oid(),
    };
    match type_of_oid(oid) {
        Some((id, _)) => Ok(match who.catalog.user_type(id) {
            Some(user_type) => any_of(who, user_type.owner, &user_type.effective_acl(), wanted),
            None => Value::Null,
        }),
        None if PgType::from_oid(oid).is_some() => everyone(ctx, who, object, wanted),
        None => Ok(Value::Null),
    }
}

/// What PUBLIC has from the start.
fn everyone(_: &Context, who: &Context, _: &Value, wanted: &[Wanted]) -> Result<Value, Plain> {
    Ok((who.superuser || wanted.iter().any(|(_, option)| !option)).into())
}

fn superusers(_: &Context, who: &Context, _: &Value, _: &[Wanted]) -> Result<Value, Plain> {
    Ok(who.superuser.into())
}

fn has_role(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let (user, role, modes) = match arguments {
        [role, modes] => (Some(ctx.role), role, modes),
        [user, role, modes] => (role_id(ctx, user)?, role, modes),
        _ => return Ok(Value::Null),
    };
    let (Some(user), Some(role)) = (user, role_id(ctx, role)?) else { return Ok(Value::Null) };
    let superuser = ctx.catalog.role(user).is_some_and(|role| role.superuser);
    for mode in modes.text().split(',').map(|mode| mode.trim().to_ascii_uppercase()) {
        let role_of = |id| ctx.catalog.role(id);
        let held = match mode.as_str() {
            "USAGE" => ctx.catalog.closure(user).contains(&role),
            "MEMBER" => is_member(user, role, role_of),
            "SET" => can_set(user, role, role_of),
            "USAGE WITH ADMIN OPTION"
            | "USAGE WITH GRANT OPTION"
            | "MEMBER WITH ADMIN OPTION"
            | "MEMBER WITH GRANT OPTION"
            | "SET WITH ADMIN OPTION"
            | "SET WITH GRANT OPTION" => {
                let memberships = ctx.catalog.closure(user).into_iter().filter_map(role_of);
                memberships
                    .flat_map(|role| &role.member_of)
                    .any(|membership| membership.role == role && membership.admin)
            }
            _ => {
                let message = format!("unrecognized privilege type: \"{}\"", mode.to_ascii_lowercase());
                return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
        if superuser || held {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}
