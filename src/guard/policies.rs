//! Which policies apply to whom.

use crate::catalog::Relation;
use crate::context::Context;
use crate::error::{Report, SqlState};
use crate::govern::predefined::READ_UNMASKED;
use crate::govern::{MaskAttachment, MaskingPolicy, PolicyCommand, RowPolicy};
use crate::name::ObjectId;

/// Row policies that apply to a command. A row is visible if some permissive policy and every restrictive one say so;
/// without a permissive policy none is.
#[derive(Debug, Default)]
pub struct RowRules<'a> {
    /// One of them must be true; empty: no row is visible. By name.
    pub permissive: Vec<&'a RowPolicy>,
    /// All of them must be true; empty: nothing is restricted. By name.
    pub restrictive: Vec<&'a RowPolicy>,
}

/// Whether row policies are in force on a relation for the current role.
pub fn row_security_applies(ctx: &Context, relation: &Relation) -> bool {
    let bypass = ctx.superuser || ctx.catalog.role(ctx.role).is_some_and(|role| role.bypass_rls);
    relation.row_security && !bypass && (relation.force_row_security || !ctx.roles.contains(&relation.owner))
}

/// The row policies of a relation for a command; `None` if row security is not in force.
pub fn row_policies<'a>(
    ctx: &'a Context,
    id: ObjectId,
    relation: &Relation,
    command: PolicyCommand,
) -> Option<RowRules<'a>> {
    if !row_security_applies(ctx, relation) {
        return None;
    }
    let mut rules = RowRules::default();
    for (_, policy) in ctx.catalog.row_policies(id) {
        if policy.command.covers(command) && policy.roles.iter().any(|grantee| grantee.includes(&ctx.roles)) {
            if policy.permissive {
                rules.permissive.push(policy);
            } else {
                rules.restrictive.push(policy);
            }
        }
    }
    // In the order of their names, so that the first failing check is always the same.
    rules.permissive.sort_by(|a, b| a.name.cmp(&b.name));
    rules.restrictive.sort_by(|a, b| a.name.cmp(&b.name));
    Some(rules)
}

/// The mask that a role sees a column through.
#[derive(Clone, Debug)]
pub struct ChosenMask<'a> {
    /// Index of the column in the relation.
    pub column: usize,
    /// Its expression stands in the column's place.
    pub policy: &'a MaskingPolicy,
    /// Column ids of the policy's arguments.
    pub inputs: &'a [i32],
}

/// Why no mask can be chosen for a column.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// `55000`: of those for the reader's roles, several of the highest priority differ in policy or arguments.
    #[error("ambiguous masking policies on column \"{column}\" of relation \"{relation}\"")]
    Ambiguous {
        /// The relation's name, without its schema.
        relation: String,
        /// The name of the column they are attached to.
        column: String,
    },
}

impl Report for MaskError {
    fn sqlstate(&self) -> SqlState {
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
    }
    fn hint(&self) -> Option<String> {
        Some("Give one of them a higher PRIORITY.".to_owned())
    }
}

/// Who sees a statement's result, whoever's rights its views are read with.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The roles in force and those of the session's user: SET ROLE cannot shed a mask.
    roles: Vec<ObjectId>,
    /// A superuser, or a member of `pg_read_unmasked`.
    exempt: bool,
}

impl Reader {
    /// Whoever runs a statement: to be taken before the rights of a view's owner are put on.
    pub fn of(ctx: &Context) -> Self {
        let session = ctx.catalog.closure(ctx.session_role);
        let exempt = ctx.superuser || ctx.roles.contains(&READ_UNMASKED);
        Self { roles: ctx.roles.iter().copied().chain(session).collect(), exempt }
    }

    /// All roles that count for him.
    pub fn roles(&self) -> &[ObjectId] {
        &self.roles
    }

    /// Whether no mask counts for him.
    pub fn is_exempt(&self) -> bool {
        self.exempt
    }
}

/// The masks of a relation for a reader.
pub fn masks<'a>(
    ctx: &'a Context,
    reader: &Reader,
    id: ObjectId,
    relation: &Relation,
) -> Result<Vec<ChosenMask<'a>>, MaskError> {
    let chosen = attachments(ctx, reader, id, relation)?.into_iter().filter_map(|(column, attachment)| {
        // No policy: the built-in identity.
        let policy = ctx.catalog.masking_policy(attachment.policy?)?;
        Some(ChosenMask { column, policy, inputs: &attachment.inputs })
    });
    Ok(chosen.collect())
}

/// What decides how a reader sees a relation's columns, by their index: for each the attachment with the highest priority
/// among those for his roles. Superusers and members of `pg_read_unmasked` see the data as it is; owners do not.
pub fn attachments<'a>(
    ctx: &'a Context,
    reader: &Reader,
    id: ObjectId,
    relation: &Relation,
) -> Result<Vec<(usize, &'a MaskAttachment)>, MaskError> {
    if reader.exempt {
        return Ok(Vec::new());
    }
    let all = ctx.catalog.mask_attachments(id).map(|(_, attachment)| attachment);
    let all: Vec<_> = all.filter(|attachment| attachment.grantee.includes(&reader.roles)).collect();
    let mut chosen = Vec::new();
    for (index, column) in relation.columns.iter().enumerate() {
        let candidates: Vec<_> = all.iter().copied().filter(|attachment| attachment.column == column.id).collect();
        let Some(highest) = candidates.iter().map(|attachment| attachment.priority).max() else { continue };
        let mut best = candidates.into_iter().filter(|attachment| attachment.priority == highest);
        let Some(first) = best.next() else { continue };
        if best.any(|other| other.policy != first.policy || other.inputs != first.inputs) {
            return Err(MaskError::Ambiguous { relation: relation.name.clone(), column: column.name.clone() });
        }
        chosen.push((index, first));
    }
    Ok(chosen)
}
