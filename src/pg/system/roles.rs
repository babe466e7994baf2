//! What `pg_catalog` says of roles and settings.

use super::objects::{self, column_object_oid};
use super::rows::{Rows, row};
use super::types;
use crate::catalog::{DATABASE_NAME, Relation, UserType};
use crate::context::Context;
use crate::govern::{Acl, Grantee, Privilege, PrivilegeSet};
use crate::setting::{Kind, SETTINGS, Scope};

pub(super) fn authid(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolbypassrls",
        "rolconnlimit",
        "rolpassword",
        "rolvaliduntil",
    ]);
    for (id, role) in ctx.catalog.roles() {
        rows.push(row![
            id.oid(),
            &role.name,
            role.superuser,
            role.inherit,
            role.create_role,
            role.create_db,
            role.login,
            role.replication,
            role.bypass_rls,
            role.connection_limit,
            // Nobody reads a verifier.
            (!ctx.superuser || role.password.is_some()).then_some("********"),
            role.valid_until_us,
        ]);
    }
}

pub(super) fn auth_members(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "roleid", "member", "grantor", "admin_option", "inherit_option", "set_option"]);
    for (id, role) in ctx.catalog.roles() {
        for (index, membership) in role.member_of.iter().enumerate() {
            rows.push(row![
                column_object_oid(id.oid(), i32::try_from(index).unwrap_or(0)),
                membership.role.oid(),
                id.oid(),
                membership.grantor.oid(),
                membership.admin,
                membership.inherit,
                membership.set,
            ]);
        }
    }
}

pub(super) fn settings_of_roles(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["setdatabase", "setrole", "setconfig"]);
    for (id, role) in ctx.catalog.roles() {
        if !role.settings.is_empty() {
            let settings: Vec<_> = role.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            rows.push(row![0, id.oid(), settings]);
        }
    }
}

pub(super) fn settings(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "name",
        "setting",
        "unit",
        "category",
        "short_desc",
        "context",
        "vartype",
        "source",
        "min_val",
        "max_val",
        "enumvals",
        "boot_val",
        "reset_val",
        "pending_restart",
    ]);
    for setting in SETTINGS {
        let value = ctx.settings.value(setting);
        let (kind, unit, min, max, words) = match &setting.kind {
            Kind::Bool => ("bool", None, None, None, None),
            Kind::Int { min, max } => ("integer", None, Some(min.to_string()), Some(max.to_string()), None),
            Kind::Milliseconds { max } => ("integer", Some("ms"), Some("0".to_owned()), Some(max.to_string()), None),
            Kind::Word(words) => ("enum", None, None, None, Some(words.to_vec())),
            Kind::Text | Kind::Names | Kind::TimeZone | Kind::DateStyle | Kind::Encoding => {
                ("string", None, None, None, None)
            }
        };
        let context = match setting.scope {
            Scope::User => "user",
            Scope::System => "sighup",
            Scope::Internal => "internal",
        };
        let source = if value == setting.default { "default" } else { "session" };
        rows.push(row![
            setting.name,
            value,
            unit,
            "Settings",
            setting.doc,
            context,
            kind,
            source,
            min,
            max,
            words,
            setting.default,
            setting.default,
            false,
        ]);
    }
}

/// One privilege that somebody has: grantor, grantee, what, and whether he may grant it on.
fn grants(ctx: &Context, acl: &Acl, owner: crate::name::ObjectId) -> Vec<(String, String, Privilege, &'static str)> {
    let mut grants = Vec::new();
    for item in &acl.0 {
        let (grantee, owns) = match item.grantee {
            Grantee::Public => ("PUBLIC".to_owned(), false),
            Grantee::Role(id) => (ctx.catalog.role_name(id), id == owner),
        };
        // Only those whom the current role is one of, or who granted as it: as information_schema has it.
        let concerned = match item.grantee {
            Grantee::Public => true,
            Grantee::Role(id) => ctx.owns(id) || ctx.owns(item.grantor),
        };
        for privilege in item.privileges.iter().filter(|_| concerned) {
            let grantable = if owns || item.grantable.contains(privilege) { "YES" } else { "NO" };
            grants.push((ctx.catalog.role_name(item.grantor), grantee.clone(), privilege, grantable));
        }
    }
    grants
}

/// A relation's schema name.
fn schema_of<'a>(ctx: &'a Context, relation: &Relation) -> &'a str {
    ctx.catalog.schema(relation.schema).map(|schema| schema.name.as_str()).unwrap_or_default()
}

pub(super) fn table_privileges(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "grantor",
        "grantee",
        "table_catalog",
        "table_schema",
        "table_name",
        "privilege_type",
        "is_grantable",
        "with_hierarchy",
    ]);
    for (_, relation) in objects::visible(ctx).filter(|(_, relation)| relation.relkind() != 'S') {
        // MAINTAIN is not in the standard.
        let grants = grants(ctx, &relation.effective_acl(), relation.owner).into_iter();
        for (grantor, grantee, privilege, grantable) in grants.filter(|grant| grant.2 != Privilege::Maintain) {
            let hierarchy = if privilege == Privilege::Select { "YES" } else { "NO" };
            let schema = schema_of(ctx, relation);
            rows.push(row![
                grantor,
                grantee,
                DATABASE_NAME,
                schema,
                &relation.name,
                privilege.keyword(),
                grantable,
                hierarchy,
            ]);
        }
    }
}

/// USAGE of types that are meant.
fn usage_of_types<'a>(
    ctx: &'a Context,
    meant: impl Fn(&UserType) -> bool + 'a,
) -> impl Iterator<Item = (&'a UserType, &'a str, (String, String, Privilege, &'static str))> {
    types::visible(ctx).filter(move |(_, user_type)| meant(user_type)).flat_map(|(_, user_type)| {
        let schema = ctx.catalog.schema(user_type.schema).map(|schema| schema.name.as_str()).unwrap_or_default();
        let grants = grants(ctx, &user_type.effective_acl(), user_type.owner).into_iter();
        grants.map(move |grant| (user_type, schema, grant))
    })
}

/// Of composite types.
pub(super) fn udt_privileges(ctx: &Context, rows: &mut Rows) {
    let mut rows =
        rows.columns(["grantor", "grantee", "udt_catalog", "udt_schema", "udt_name", "privilege_type", "is_grantable"]);
    for (user_type, schema, (grantor, grantee, _, grantable)) in
        usage_of_types(ctx, |user_type| user_type.as_composite().is_some())
    {
        rows.push(row![grantor, grantee, DATABASE_NAME, schema, &user_type.name, "TYPE USAGE", grantable]);
    }
}

/// Of domains.
pub(super) fn usage_privileges(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "grantor",
        "grantee",
        "object_catalog",
        "object_schema",
        "object_name",
        "object_type",
        "privilege_type",
        "is_grantable",
    ]);
    for (user_type, schema, (grantor, grantee, privilege, grantable)) in
        usage_of_types(ctx, |user_type| user_type.as_domain().is_some())
    {
        let privilege = privilege.keyword();
        rows.push(row![grantor, grantee, DATABASE_NAME, schema, &user_type.name, "DOMAIN", privilege, grantable]);
    }
}

pub(super) fn column_privileges(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns([
        "grantor",
        "grantee",
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "privilege_type",
        "is_grantable",
    ]);
    for (_, relation) in objects::visible(ctx).filter(|(_, relation)| relation.relkind() != 'S') {
        let on_table = grants(ctx, &relation.effective_acl(), relation.owner);
        for column in &relation.columns {
            let own = column.acl.iter().flat_map(|acl| grants(ctx, acl, relation.owner));
            let all = on_table.iter().cloned().chain(own);
            for (grantor, grantee, privilege, grantable) in all.filter(|grant| PrivilegeSet::column().contains(grant.2))
            {
                rows.push(row![
                    grantor,
                    grantee,
                    DATABASE_NAME,
                    schema_of(ctx, relation),
                    &relation.name,
                    &column.name,
                    privilege.keyword(),
                    grantable,
                ]);
            }
        }
    }
}
