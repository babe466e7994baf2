//! Row policies and masking policies.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};

use super::super::policy::{boolean, mask_expression, refuse, schema_of};
use super::super::{PlanResult, Right, Scope};
use super::rls::{has_attached, refuse_attached};
use super::{DdlPlan, column, relation, role_id};
use crate::catalog::{Body, Change, Column, Namespace, Relation, RelationKind};
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::govern::predefined::SECURITY_ADMIN;
use crate::govern::{
    Grantee, MaskAttachment, MaskingPolicy, PolicyCommand, Privilege, RowPolicy, UNMASKED_POLICY, part_name,
};
use crate::guard::{MaskError, contradict, masks};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::part_type;
use crate::statement::{
    AlterPolicy, AttachMask, CreateMaskingPolicy, CreatePolicy, DetachMask, OtherMasks, RoleSpec, folded,
    parse_expression,
};
use crate::types::{PgType, field, of_field};

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreatePolicy) -> PlanResult<()> {
    let (id, table) = table(scope, &create.table)?;
    ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, id));
    if has_attached(scope, id) {
        let hint = "Make it an RLS policy and attach it, or detach the others first.";
        return Err(unsupported("a row policy beside RLS policies").hint(hint).into());
    }
    if scope.catalog().find(Namespace::RowPolicy(id), &create.name).is_some() {
        let message = format!("policy \"{}\" for table \"{}\" already exists", create.name, table.name);
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
    }
    match create.command {
        PolicyCommand::Select | PolicyCommand::Delete if create.check.is_some() => {
            return Err(Plain::new(SqlState::SYNTAX_ERROR, "WITH CHECK cannot be applied to SELECT or DELETE").into());
        }
        PolicyCommand::Insert if create.using.is_some() => {
            return Err(Plain::new(SqlState::SYNTAX_ERROR, "only WITH CHECK expression allowed for INSERT").into());
        }
        _ => {}
    }
    let sources = [&create.using, &create.check];
    let roles = grantees(scope, &create.roles)?;
    for (parsed, source) in sources.into_iter().flatten() {
        boolean(scope, table, source, &[id])?;
        may_tell(scope, ddl, (id, table), parsed, &roles)?;
    }
    let policy = RowPolicy {
        name: create.name.clone(),
        relation: id,
        permissive: create.permissive,
        command: create.command,
        roles,
        using: create.using.as_ref().map(|(_, source)| source.clone()),
        check: create.check.as_ref().map(|(_, source)| source.clone()),
        search_path: scope.path_names(),
        comment: None,
        attached: None,
    };
    let id = ddl.new_id(scope);
    ddl.put(id, Body::RowPolicy(policy));
    Ok(())
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterPolicy) -> PlanResult<()> {
    let (id, table) = table(scope, &alter.table)?;
    ddl.need(scope, Right::OwnOr(SECURITY_ADMIN, id));
    let missing = || {
        Plain::new(
            SqlState::UNDEFINED_OBJECT,
            format!("policy \"{}\" for table \"{}\" does not exist", alter.name, table.name),
        )
    };
    let policy_id = scope.catalog().find(Namespace::RowPolicy(id), &alter.name).ok_or_else(missing)?;
    let (_, old) = scope.catalog().row_policies(id).find(|(found, _)| *found == policy_id).ok_or_else(missing)?;
    refuse_attached(scope, policy_id)?;
    let mut new = old.clone();
    if let Some(name) = &alter.rename_to {
        new.name.clone_from(name);
    }
    if !alter.roles.is_empty() {
        new.roles = grantees(scope, &alter.roles)?;
        // For whom it did not count before, it may tell now.
        for source in [&new.using, &new.check].into_iter().flatten() {
            may_tell(scope, ddl, (id, table), &parse_expression(source)?, &new.roles)?;
        }
    }
    for (given, slot) in [(&alter.using, &mut new.using), (&alter.check, &mut new.check)] {
        if let Some((parsed, source)) = given {
            boolean(&scope.with_path(&new.search_path), table, source, &[id])?;
            may_tell(scope, ddl, (id, table), parsed, &new.roles)?;
            *slot = Some(source.clone());
        }
    }
    ddl.put(policy_id, Body::RowPolicy(new));
    Ok(())
}

/// A row policy tells of the columns that it reads by the rows that it lets through: to him who makes it, if it counts for him.
/// `0A000` if one of them is masked for him; if the table is not his, he needs the right to read them.
pub(super) fn may_tell(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (id, table): (ObjectId, &Relation),
    parsed: &ast::Expr,
    roles: &[Grantee],
) -> PlanResult<()> {
    let named = names_in(parsed, &table.name);
    let read: Vec<usize> = (0..table.columns.len())
        .filter(|at| table.columns.get(*at).is_some_and(|own| named.contains(&own.name)))
        .collect();
    let masked = masks(&scope.ctx, &scope.reader, id, table).map_err(SqlError::from)?;
    if let Some(mask) = masked.iter().find(|mask| read.contains(&mask.column)) {
        let name = table.columns.get(mask.column).map(|column| column.name.as_str()).unwrap_or_default();
        return Err(unsupported(format!("a row policy that reads masked column \"{name}\"")).into());
    }
    let own = scope.reader.roles();
    if !read.is_empty() && !scope.ctx.owns(table.owner) && roles.iter().any(|grantee| grantee.includes(own)) {
        let columns = read.iter().filter_map(|at| i32::try_from(*at).ok()).collect();
        ddl.need(scope, Right::Relation { id, privilege: Privilege::Select, columns });
    }
    Ok(())
}

/// All names in an expression that may stand for columns of a table.
fn names_in(parsed: &ast::Expr, table: &str) -> BTreeSet<String> {
    struct Names<'a>(BTreeSet<String>, &'a str);
    impl Visitor for Names<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            match expr {
                ast::Expr::Identifier(name) => drop(self.0.insert(folded(name))),
                ast::Expr::CompoundIdentifier(names) if names.iter().any(|name| folded(name) == self.1) => {
                    self.0.extend(names.iter().map(folded));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new(), table);
    let _flow = parsed.visit(&mut names);
    names.0
}

pub(super) fn table<'a>(scope: &'a Scope, name: &QualifiedName) -> PlanResult<(ObjectId, &'a Relation)> {
    let (id, found) = relation(scope, name)?;
    match found.storage {
        RelationKind::Table(_) | RelationKind::External(_) => Ok((id, found)),
        RelationKind::View(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => {
            Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", found.name)).into())
        }
    }
}

fn grantees(scope: &Scope, roles: &[RoleSpec]) -> PlanResult<Vec<Grantee>> {
    if roles.is_empty() {
        return Ok(vec![Grantee::Public]);
    }
    roles.iter().map(|spec| grantee(scope, spec)).collect()
}

/// Whom a role or PUBLIC means.
pub(super) fn grantee(scope: &Scope, spec: &RoleSpec) -> PlanResult<Grantee> {
    Ok(if *spec == RoleSpec::Public { Grantee::Public } else { Grantee::Role(role_id(scope, spec)?) })
}

pub(super) fn create_masking(scope: &Scope, ddl: &mut DdlPlan, create: &CreateMaskingPolicy) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "create a masking policy"));
    let existing = scope.catalog().find(Namespace::MaskingPolicy, &create.name);
    if create.name == UNMASKED_POLICY || (existing.is_some() && !create.replace) {
        return ddl.exists(SqlState::DUPLICATE_OBJECT, "masking policy", &create.name, create.if_not_exists);
    }
    let arguments = create.arguments.iter().map(|(name, pg)| Ok((name.clone(), scope.ctx.named_type(pg)?.0)));
    let arguments = arguments.collect::<Result<Vec<(String, PgType)>, Plain>>()?;
    let schema = schema_of(arguments.iter().map(|(name, pg)| field(name, pg, true)))?;
    let bound = mask_expression(scope, &create.expression.1, &schema, &[])?;
    refuse(&bound, "masking policy")?;
    let Some((_, masked)) = arguments.first() else {
        return Err(unsupported("a masking policy without arguments").into());
    };
    {
        use datafusion::logical_expr::ExprSchemable;
        let (_, given) = bound.to_field(&schema).map_err(SqlError::from_engine)?;
        let result = of_field(&given);
        let same = result.category() == masked.category() && (!result.is_made() || result == *masked);
        let related = same || *given.data_type() == arrow::datatypes::DataType::Null;
        if !related {
            let message = format!("masking policy \"{}\" returns type {result}, but masks type {masked}", create.name);
            return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
    }
    if let Some(id) = existing
        && let Some(old) = scope.catalog().masking_policy(id)
        && old.arguments != arguments
    {
        return Err(unsupported("changing the arguments of a masking policy").into());
    }
    let policy = MaskingPolicy {
        name: create.name.clone(),
        owner: scope.ctx.role,
        arguments,
        expression: create.expression.1.clone(),
        search_path: scope.path_names(),
    };
    let id = existing.unwrap_or_else(|| ddl.new_id(scope));
    ddl.put(id, Body::MaskingPolicy(policy));
    Ok(())
}

pub(super) fn attach(scope: &Scope, ddl: &mut DdlPlan, attach: &AttachMask) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "attach a masking policy"));
    let (id, table) = table(scope, &attach.table)?;
    let target = column(table, &attach.column)?;
    let masked_type = part_type(&target.pg, &attach.path)?;
    let policy = policy_id(scope, &attach.policy)?;
    let inputs = if attach.inputs.is_empty() {
        vec![target.id]
    } else {
        let input = |(name, path): &(String, Vec<String>)| {
            let column = column(table, name)?;
            let is_target = column.id == target.id;
            if *path != *(if is_target { attach.path.as_slice() } else { &[] }) {
                let other = part_name(name, path);
                return Err(unsupported(format!("a masking policy that reads \"{other}\"")).into());
            }
            Ok(column.id)
        };
        attach.inputs.iter().map(input).collect::<PlanResult<Vec<_>>>()?
    };
    if let Some(policy) = policy.and_then(|policy| scope.catalog().masking_policy(policy)) {
        if policy.arguments.len() != inputs.len() {
            let message = format!(
                "masking policy \"{}\" has {} arguments, not {}",
                policy.name,
                policy.arguments.len(),
                inputs.len()
            );
            return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
        for ((name, wanted), input) in policy.arguments.iter().zip(&inputs) {
            let given = table.column_by_id(*input).map(|column| &column.pg);
            let given = if *input == target.id { Some(&masked_type) } else { given };
            if !given.is_some_and(|given| MaskingPolicy::takes(wanted, given)) {
                let shown = given.map(ToString::to_string).unwrap_or_default();
                let message = format!(
                    "argument \"{name}\" of masking policy \"{}\" is of type {wanted}, but the column is of type {shown}",
                    policy.name
                );
                return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).into());
            }
        }
    }
    let grantee = grantee(scope, &attach.grantee)?;
    // Other columns than the masked one show in its values.
    let others = inputs.iter().filter(|input| **input != target.id);
    let others = others.filter_map(|input| table.columns.iter().position(|column| column.id == *input));
    let others: Vec<usize> = others.collect();
    let masked = masks(&scope.ctx, &scope.reader, id, table).map_err(SqlError::from)?;
    if masked.iter().any(|mask| others.contains(&mask.column)) {
        return Err(unsupported("a mask that reads another masked column").into());
    }
    let others: Vec<i32> = others.into_iter().filter_map(|at| i32::try_from(at).ok()).collect();
    if !others.is_empty() && !scope.ctx.owns(table.owner) && grantee.includes(scope.reader.roles()) {
        ddl.need(scope, Right::Relation { id, privilege: Privilege::Select, columns: others });
    }
    if let Some(reader) = table.columns.iter().find(|other| {
        other.generated.as_ref().is_some_and(|own| own.columns.contains(&target.id))
            && !masks_of(scope, id, other.id, &grantee).any(|mask| mask.path.is_empty())
    }) {
        let message = format!("masking column \"{}\", which a generated column reads,", target.name);
        let hint = format!("Mask column \"{}\" for the same role first.", reader.name);
        return Err(unsupported(message).hint(hint).into());
    }
    let same =
        |other: &MaskAttachment| other.column == target.id && other.path == attach.path && other.grantee == grantee;
    let present: Vec<_> = scope.catalog().mask_attachments(id).filter(|(_, other)| same(other)).collect();
    let clash = present.iter().any(|(_, other)| other.priority == attach.priority || other.policy == policy);
    if clash && attach.others == OtherMasks::Beside || !present.is_empty() && attach.others == OtherMasks::Refused {
        let message = format!(
            "column \"{}\" of relation \"{}\" already has this masking policy, or one of the same priority",
            part_name(&target.name, &attach.path),
            table.name
        );
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, message).into());
    }
    let mut priority = attach.priority;
    if attach.others == OtherMasks::Replaced {
        if policy.is_none() {
            stays_masked(scope, id, table, target, &grantee)?;
        }
        // It hides from whomever they hid it.
        priority = present.iter().map(|(_, other)| other.priority).max().unwrap_or(priority);
        ddl.changes.extend(present.iter().map(|(id, _)| Change::Delete(*id)));
    }
    let path = attach.path.clone();
    let attachment = MaskAttachment { policy, relation: id, column: target.id, path, inputs, grantee, priority };
    for (_, other) in scope.catalog().mask_attachments(id) {
        if other.column != target.id || other.grantee != attachment.grantee {
            continue;
        }
        if contradict(&attachment, other) {
            return Err(SqlError::from(MaskError::Ambiguous {
                relation: table.name.clone(),
                column: target.name.clone(),
            })
            .into());
        }
    }
    let id = ddl.new_id(scope);
    ddl.put(id, Body::MaskAttachment(attachment));
    Ok(())
}

/// `None`: the built-in identity.
pub(super) fn policy_id(scope: &Scope, name: &str) -> PlanResult<Option<ObjectId>> {
    if name == UNMASKED_POLICY {
        return Ok(None);
    }
    let found = scope.catalog().find(Namespace::MaskingPolicy, name);
    let missing = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("masking policy \"{name}\" does not exist"));
    Ok(Some(found.ok_or_else(missing)?))
}

pub(super) fn detach(scope: &Scope, ddl: &mut DdlPlan, detach: &DetachMask) -> PlanResult<()> {
    ddl.need(scope, Right::RightsOf(SECURITY_ADMIN, "detach a masking policy"));
    let (id, table) = table(scope, &detach.table)?;
    let target = column(table, &detach.column)?;
    let policy = match &detach.policy {
        Some(name) => Some((name, policy_id(scope, name)?)),
        None => None,
    };
    let grantee = grantee(scope, &detach.grantee)?;
    let found = scope.catalog().mask_attachments(id).filter(|(_, attachment)| {
        attachment.column == target.id
            && attachment.path == detach.path
            && policy.is_none_or(|(_, policy)| attachment.policy == policy)
            && attachment.grantee == grantee
    });
    let found: Vec<ObjectId> = found.map(|(attachment, _)| attachment).collect();
    if found.is_empty() {
        let what =
            policy.map_or_else(|| "no masking policy".to_owned(), |(name, _)| format!("masking policy \"{name}\""));
        let not = if policy.is_some() { " not" } else { "" };
        let column = part_name(&detach.column, &detach.path);
        let message = format!("{what} is{not} attached to column \"{column}\" for this role");
        return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
    }
    stays_masked(scope, id, table, target, &grantee)?;
    ddl.changes.extend(found.into_iter().map(Change::Delete));
    Ok(())
}

/// Refuses to unmask what is generated from a column that is masked for just this grantee. `0A000`.
fn stays_masked(scope: &Scope, id: ObjectId, table: &Relation, target: &Column, grantee: &Grantee) -> PlanResult<()> {
    let read = target.generated.as_ref().map(|own| own.columns.as_slice()).unwrap_or_default();
    let masked = read.iter().find(|column| masks_of(scope, id, **column, grantee).next().is_some());
    if let Some(masked) = masked.and_then(|column| table.column_by_id(*column)) {
        let message = format!("unmasking column \"{}\", which is generated from a masked one,", target.name);
        return Err(unsupported(message).hint(format!("Unmask column \"{}\" first.", masked.name)).into());
    }
    Ok(())
}

/// The masks of a column for just this grantee.
fn masks_of<'a>(
    scope: &'a Scope,
    relation: ObjectId,
    column: i32,
    grantee: &'a Grantee,
) -> impl Iterator<Item = &'a MaskAttachment> {
    let all = scope.catalog().mask_attachments(relation).map(|(_, mask)| mask);
    all.filter(move |mask| mask.column == column && mask.policy.is_some() && mask.grantee == *grantee)
}
