//! RLS policies, Redshift's: made once, attached to tables. On each table one is a row policy for all commands, which asks nothing
//! of new rows but that a statement sees those that it reads, as in PostgreSQL. A table has policies of one kind.

use std::collections::BTreeSet;

use super::super::policy::{boolean, condition, expression, refuse, schema_of};
use super::super::{PlanResult, Right, Scope};
use super::DdlPlan;
use super::policy::{grantee, may_tell, table};
use super::{column, relation};
use crate::catalog::{Body, Change, Namespace};
use crate::error::{Notice, Plain, SqlState, unsupported};
use crate::govern::predefined::SECURITY_ADMIN;
use crate::govern::{Grantee, MaskingPolicy, PolicyCommand, RlsPolicy, RowPolicy};
use crate::name::{ObjectId, QualifiedName};
use crate::statement::{AlterRlsPolicy, CreateRlsPolicy, RlsChange, parse_expression};
use crate::types::{PgType, field};

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateRlsPolicy) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "create an RLS policy"));
    if scope.catalog().find(Namespace::RlsPolicy, &create.name).is_some() {
        return ddl.exists(SqlState::DUPLICATE_OBJECT, "RLS policy", &create.name, create.if_not_exists);
    }
    let columns = create.columns.iter().map(|(name, pg)| Ok((name.clone(), scope.ctx.named_type(pg)?.0)));
    let columns = columns.collect::<Result<Vec<(String, PgType)>, Plain>>()?;
    check(scope, &columns, &create.using.1)?;
    let policy = RlsPolicy {
        name: create.name.clone(),
        owner: scope.ctx.role,
        columns,
        using: create.using.1.clone(),
        search_path: scope.path_names(),
    };
    let id = ddl.new_id(scope);
    ddl.put(id, Body::RlsPolicy(policy));
    Ok(())
}

/// The expression reads no more than the columns that were declared.
fn check(scope: &Scope, columns: &[(String, PgType)], using: &str) -> PlanResult<()> {
    let schema = schema_of(columns.iter().map(|(name, pg)| field(name, pg, true)))?;
    let bound = condition(expression(scope, using, &schema, &[])?, &schema, "RLS POLICY")?;
    Ok(refuse(&bound, "RLS policy")?)
}

fn find<'a>(scope: &'a Scope, name: &str) -> PlanResult<(ObjectId, &'a RlsPolicy)> {
    let id = scope.catalog().find(Namespace::RlsPolicy, name);
    let found = id.and_then(|id| Some((id, scope.catalog().rls_policy(id)?)));
    let missing = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("RLS policy \"{name}\" does not exist"));
    Ok(found.ok_or_else(missing)?)
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterRlsPolicy) -> PlanResult<()> {
    let (id, old) = find(scope, &alter.name)?;
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "change an RLS policy"));
    let (parsed, using) = &alter.using;
    let within = scope.with_path(&old.search_path);
    check(&within, &old.columns, using)?;
    for entry in scope.catalog().entries() {
        let Body::RowPolicy(policy) = &entry.body else { continue };
        let Some(table) = scope.catalog().relation(policy.relation).filter(|_| policy.attached == Some(id)) else {
            continue;
        };
        boolean(&within, table, using, &[policy.relation])?;
        may_tell(scope, ddl, (policy.relation, table), parsed, &policy.roles)?;
        ddl.put(entry.id, Body::RowPolicy(RowPolicy { using: Some(using.clone()), ..policy.clone() }));
    }
    ddl.put(id, Body::RlsPolicy(RlsPolicy { using: using.clone(), ..old.clone() }));
    Ok(())
}

pub(super) fn change(scope: &Scope, ddl: &mut DdlPlan, change: &RlsChange) -> PlanResult<()> {
    let (id, policy) = find(scope, &change.policy)?;
    let what = if change.attach { "attach an RLS policy" } else { "detach an RLS policy" };
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, what));
    if change.attach {
        // Who gives it another expression meanwhile does not know of the new tables.
        ddl.put(id, Body::RlsPolicy(policy.clone()));
    }
    let mut grantees = change.grantees.iter().map(|spec| grantee(scope, spec)).collect::<PlanResult<Vec<_>>>()?;
    let mut named = BTreeSet::new();
    grantees.retain(|grantee| named.insert(*grantee));
    let mut seen = BTreeSet::new();
    for name in &change.tables {
        if !seen.insert(relation(scope, name)?.0) {
            return Err(Plain::new(SqlState::SYNTAX_ERROR, format!("table \"{name}\" is named twice")).into());
        }
        if change.attach {
            attach(scope, ddl, (id, policy), name, &grantees)?;
        } else {
            detach(scope, ddl, (id, policy), name, &grantees)?;
        }
    }
    Ok(())
}

/// What a policy has become on a table; `None`: it is not attached there. `42710`: the table has another policy of its name.
fn on_table<'a>(
    scope: &'a Scope,
    (id, policy): (ObjectId, &RlsPolicy),
    table: ObjectId,
) -> PlanResult<Option<(ObjectId, &'a RowPolicy)>> {
    let mut all = scope.catalog().row_policies(table);
    match all.find(|(_, found)| found.name == policy.name) {
        Some((_, other)) if other.attached != Some(id) => {
            let table = scope.ctx.display_name(table);
            let message = format!("policy \"{}\" for table \"{table}\" already exists", policy.name);
            Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into())
        }
        found => Ok(found),
    }
}

fn attach(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (id, policy): (ObjectId, &RlsPolicy),
    name: &QualifiedName,
    grantees: &[Grantee],
) -> PlanResult<()> {
    let (table_id, target) = table(scope, name)?;
    for (name, wanted) in &policy.columns {
        let own = &column(target, name)?.pg;
        if !MaskingPolicy::takes(wanted, own) {
            let message = format!(
                "column \"{name}\" of RLS policy \"{}\" is of type {wanted}, but that of relation \"{}\" is of type {own}",
                policy.name, target.name
            );
            return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
    }
    boolean(&scope.with_path(&policy.search_path), target, &policy.using, &[table_id])?;
    may_tell(scope, ddl, (table_id, target), &parse_expression(&policy.using)?, grantees)?;
    let found = on_table(scope, (id, policy), table_id)?;
    if scope.catalog().row_policies(table_id).any(|(_, other)| other.attached.is_none()) {
        let hint = "Make them RLS policies and attach these, or drop them first.";
        return Err(unsupported("an RLS policy beside other row policies").hint(hint).into());
    }
    if !target.row_security {
        let message = format!("row security is off for relation \"{}\": its policies are not in force", target.name);
        ddl.notices.push(Notice::warning(SqlState::WARNING, message));
    }
    if let Some(role) = found.and_then(|(_, found)| grantees.iter().find(|role| found.roles.contains(role))) {
        let role = match role {
            Grantee::Public => "PUBLIC".to_owned(),
            Grantee::Role(role) => scope.catalog().role_name(*role),
        };
        let message =
            format!("RLS policy \"{}\" is already attached to relation \"{}\" for {role}", policy.name, target.name);
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
    }
    let row_policy = found.map_or_else(|| ddl.new_id(scope), |(id, _)| id);
    let before = found.map(|(_, found)| found);
    let attached = RowPolicy {
        name: policy.name.clone(),
        relation: table_id,
        permissive: true,
        command: PolicyCommand::All,
        roles: before.iter().flat_map(|before| &before.roles).chain(grantees).copied().collect(),
        using: Some(policy.using.clone()),
        check: Some("true".to_owned()),
        search_path: policy.search_path.clone(),
        comment: before.and_then(|before| before.comment.clone()),
        attached: Some(id),
    };
    ddl.put(row_policy, Body::RowPolicy(attached));
    Ok(())
}

fn detach(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (id, policy): (ObjectId, &RlsPolicy),
    name: &QualifiedName,
    grantees: &[Grantee],
) -> PlanResult<()> {
    let (table, target) = relation(scope, name)?;
    let found = on_table(scope, (id, policy), table).ok().flatten();
    let found = found.filter(|(_, found)| grantees.iter().all(|role| found.roles.contains(role)));
    let missing = || {
        let message =
            format!("RLS policy \"{}\" is not attached to relation \"{}\" for this role", policy.name, target.name);
        Plain::new(SqlState::UNDEFINED_OBJECT, message)
    };
    let (row_policy, old) = found.ok_or_else(missing)?;
    let mut rest = old.clone();
    rest.roles.retain(|role| !grantees.contains(role));
    if rest.roles.is_empty() {
        ddl.changes.push(Change::Delete(row_policy));
    } else {
        ddl.put(row_policy, Body::RowPolicy(rest));
    }
    Ok(())
}

/// Whether RLS policies are attached to a table.
pub(super) fn has_attached(scope: &Scope, table: ObjectId) -> bool {
    scope.catalog().row_policies(table).any(|(_, policy)| policy.attached.is_some())
}

/// Asks for a security admin where one has attached RLS policies: who owns the table could see past them.
pub(super) fn keep_in_force(scope: &Scope, ddl: &mut DdlPlan, table: ObjectId) {
    if has_attached(scope, table) {
        ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "change the row policies of a table with RLS policies"));
    }
}

/// Refuses to change on one table what an RLS policy has become there. `0A000`.
pub(super) fn refuse_attached(scope: &Scope, row_policy: ObjectId) -> PlanResult<()> {
    let Some(Body::RowPolicy(policy)) = scope.catalog().entry(row_policy).map(|entry| &entry.body) else {
        return Ok(());
    };
    if policy.attached.is_none() {
        return Ok(());
    }
    let hint = "Use ALTER RLS POLICY or DETACH RLS POLICY.";
    Err(unsupported(format!("changing policy \"{}\", an RLS policy, on one table", policy.name)).hint(hint).into())
}
