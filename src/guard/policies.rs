//! Which policies apply to whom.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::catalog::{Column, Relation, RelationKind, TagsWithin};
use crate::context::Context;
use crate::error::{Report, SqlState};
use crate::govern::predefined::READ_UNMASKED;
use crate::govern::{Grantee, MaskAttachment, MaskingPolicy, PolicyCommand, RowPolicy, TagLevel};
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
    let mut together = Vec::new();
    let mixed = ctx.catalog.row_policies(id).any(|(_, policy)| policy.attached.is_none());
    for (_, policy) in ctx.catalog.row_policies(id) {
        if policy.command.covers(command) && policy.roles.iter().any(|grantee| grantee.includes(&ctx.roles)) {
            if policy.attached.is_some() && (mixed || !relation.any_rls_policy) {
                together.push(policy);
            } else if policy.permissive {
                rules.permissive.push(policy);
            } else {
                rules.restrictive.push(policy);
            }
        }
    }
    // All of them must hold; they allow what they do not forbid. Where there came to be others beside them, they forbid only.
    if !mixed {
        rules.permissive.extend(together.pop());
    }
    rules.restrictive.extend(together);
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
    /// The part of its values that is masked; empty: all. No mask is for a part within that of another one.
    pub path: &'a [String],
    /// Its expression stands in the column's place; `None`: the column may not be read, and NULL stands there.
    pub policy: Option<&'a MaskingPolicy>,
    /// Column ids of the policy's arguments.
    pub inputs: Vec<i32>,
}

/// What decides how a reader sees a column.
#[derive(Clone, Debug)]
pub struct Attached<'a> {
    /// Index of the column in the relation.
    pub column: usize,
    /// The part of its values that it is about; empty: all.
    pub path: &'a [String],
    /// What stands in the column's place.
    pub shown: Shown,
    /// Column ids of the policy's arguments.
    pub inputs: Vec<i32>,
    /// For whom it counts.
    pub grantee: &'a Grantee,
    /// As it was attached with.
    pub priority: i32,
    /// The tag that it comes by, with its value; `None`: it is attached to the column.
    pub tag: Option<(ObjectId, &'a str)>,
}

/// What stands in a masked column's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The column itself: the built-in identity is attached.
    Raw,
    /// What a masking policy makes of it.
    Masked(ObjectId),
    /// Nothing: there is a policy for its tag, but none for its type; or it is computed from what is masked by a tag.
    Nothing,
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
    let chosen = attachments(ctx, reader, id, relation)?.into_iter().filter_map(|attached| {
        let policy = match attached.shown {
            Shown::Raw => return None,
            // One that is gone shows nothing.
            Shown::Masked(policy) => ctx.catalog.masking_policy(policy),
            Shown::Nothing => None,
        };
        Some(ChosenMask { column: attached.column, path: attached.path, policy, inputs: attached.inputs })
    });
    Ok(chosen.collect())
}

/// A mask for the reader, and how near to the column it is attached: to itself, or to a tag of some level.
#[derive(Clone, Debug)]
struct Candidate<'a> {
    level: Option<TagLevel>,
    found: Attached<'a>,
}

impl Candidate<'_> {
    /// The highest counts.
    fn rank(&self) -> (i32, bool, Option<TagLevel>) {
        (self.found.priority, self.level.is_none(), self.level)
    }
}

/// What decides how a reader sees a relation's columns and parts of their values. Of those for his roles, attached to a column
/// or to a tag that it has, the highest priority counts, then what is nearest to the column. Superusers and members of
/// `pg_read_unmasked` see the data as it is; owners do not.
pub fn attachments<'a>(
    ctx: &'a Context,
    reader: &Reader,
    id: ObjectId,
    relation: &Relation,
) -> Result<Vec<Attached<'a>>, MaskError> {
    if reader.exempt {
        return Ok(Vec::new());
    }
    let own: Vec<&MaskAttachment> = ctx
        .catalog
        .mask_attachments(id)
        .map(|(_, attachment)| attachment)
        .filter(|attachment| attachment.grantee.includes(&reader.roles))
        .collect();
    let mut chosen: Vec<Attached<'a>> = Vec::new();
    // A view shows what the masks of its tables leave.
    let has_rows = matches!(relation.storage, RelationKind::Table(_) | RelationKind::External(_));
    let tags = if has_rows { ctx.catalog.tags_within(id) } else { TagsWithin::default() };
    for (index, column) in relation.columns.iter().enumerate() {
        let mut candidates: BTreeMap<&[String], Vec<Candidate<'a>>> = BTreeMap::new();
        for attachment in own.iter().filter(|attachment| attachment.column == column.id) {
            let found = Attached {
                column: index,
                path: &attachment.path,
                shown: attachment.policy.map_or(Shown::Raw, Shown::Masked),
                inputs: attachment.inputs.clone(),
                grantee: &attachment.grantee,
                priority: attachment.priority,
                tag: None,
            };
            candidates.entry(&attachment.path).or_default().push(Candidate { level: None, found });
        }
        let own_tags = tags.columns.get(&column.id);
        let inherited = tags.whole.iter().filter(|(tag, _)| own_tags.is_none_or(|own| !own.contains_key(tag)));
        for (tag, (value, level)) in own_tags.into_iter().flatten().chain(inherited) {
            let (tag, value, level) = (*tag, *value, *level);
            let masks = ctx.catalog.tag_masks(tag).map(|(_, mask)| mask);
            let mine = masks.filter(|mask| {
                mask.grantee.includes(&reader.roles) && mask.value.as_deref().is_none_or(|wanted| wanted == value)
            });
            let mine = mine.map(|mask| {
                let fits = |policy| ctx.catalog.masking_policy(policy).is_some_and(|policy| policy.masks(&column.pg));
                let shown = match mask.policy {
                    None => Shown::Raw,
                    Some(policy) if fits(policy) => Shown::Masked(policy),
                    Some(_) => Shown::Nothing,
                };
                let (grantee, priority) = (&mask.grantee, mask.priority);
                let (inputs, path) = (vec![column.id], [].as_slice());
                let tag = Some((tag, value));
                Candidate {
                    level: Some(level),
                    found: Attached { column: index, path, shown, inputs, grantee, priority, tag },
                }
            });
            let mut mine = mine.peekable();
            if mine.peek().is_some() {
                candidates.entry(&[]).or_default().extend(mine);
            }
        }
        let best = candidates.into_values().map(best).collect::<Result<Vec<_>, Ambiguous>>();
        let counting = best.and_then(|parts| outermost(&parts));
        let ambiguous = |_| MaskError::Ambiguous { relation: relation.name.clone(), column: column.name.clone() };
        chosen.extend(counting.map_err(ambiguous)?);
    }
    computed(relation, &mut chosen);
    Ok(chosen)
}

/// Several count and differ.
struct Ambiguous;

/// Of those for the same part of a column the one that counts.
fn best(mut candidates: Vec<Candidate<'_>>) -> Result<Candidate<'_>, Ambiguous> {
    let highest = candidates.iter().map(Candidate::rank).max();
    candidates.retain(|candidate| Some(candidate.rank()) == highest);
    // A tag may have a policy for each type. Where one has none for this type, nothing else helps.
    let tag_of = |candidate: &Candidate<'_>| candidate.found.tag.map(|(tag, _)| tag);
    let fits = |tag, other: &Candidate<'_>| tag_of(other) == tag && matches!(other.found.shown, Shown::Masked(_));
    let lacks = |candidate: &Candidate<'_>| {
        candidate.found.shown == Shown::Nothing && !candidates.iter().any(|other| fits(tag_of(candidate), other))
    };
    if let Some(nothing) = candidates.iter().position(lacks) {
        return Ok(candidates.swap_remove(nothing));
    }
    candidates.retain(|candidate| candidate.found.shown != Shown::Nothing);
    let mut rest = candidates.into_iter();
    let first = rest.next().ok_or(Ambiguous)?;
    if rest.any(|other| other.found.shown != first.found.shown || other.found.inputs != first.found.inputs) {
        return Err(Ambiguous);
    }
    Ok(first)
}

/// Of masks of different parts of a column those that count. The mask of what another part is in hides that part, too, and must
/// be of the higher priority; only what is shown as it is may have masks in it.
fn outermost<'a>(parts: &[Candidate<'a>]) -> Result<Vec<Attached<'a>>, Ambiguous> {
    let mut parts: Vec<&Candidate<'a>> = parts.iter().collect();
    parts.sort_by_key(|part| part.found.path.len());
    // From the outside in; what is shown as it is counts until a part of it is masked.
    let mut kept: Vec<(&Candidate<'a>, bool)> = Vec::with_capacity(parts.len());
    for part in parts {
        let around = |outer: &Candidate<'_>| part.found.path.starts_with(outer.found.path);
        let over: Vec<Result<bool, Ambiguous>> = kept
            .iter()
            .filter(|(outer, _)| around(outer))
            .map(|(outer, _)| hides(outer.found.shown, &outer.rank(), &part.rank()))
            .collect();
        if over.iter().any(|hidden| matches!(hidden, Ok(true))) {
            continue;
        }
        over.into_iter().collect::<Result<Vec<bool>, Ambiguous>>()?;
        kept.iter_mut().filter(|(outer, _)| around(outer)).for_each(|(_, counts)| *counts = false);
        kept.push((part, true));
    }
    Ok(kept.into_iter().filter(|(_, counts)| *counts).map(|(part, _)| part.found.clone()).collect())
}

/// Whether of two masks, one of a part within that of the other, the outer one decides; false: the inner one.
fn hides<T: Ord>(outer: Shown, rank: &T, inner: &T) -> Result<bool, Ambiguous> {
    match rank.cmp(inner) {
        Ordering::Greater => Ok(true),
        Ordering::Less if outer == Shown::Raw => Ok(false),
        Ordering::Less | Ordering::Equal => Err(Ambiguous),
    }
}

/// Whether two masks of one grantee leave nobody who could read the column: one is of a part within that of the other, and it is
/// not clear which counts.
pub fn contradict(one: &MaskAttachment, other: &MaskAttachment) -> bool {
    let shown = |mask: &MaskAttachment| mask.policy.map_or(Shown::Raw, Shown::Masked);
    let (outer, inner) = if one.path.len() < other.path.len() { (one, other) } else { (other, one) };
    outer.column == inner.column
        && outer.path != inner.path
        && inner.path.starts_with(&outer.path)
        && hides(shown(outer), &outer.priority, &inner.priority).is_err()
}

/// A generated column that nobody thought of shows nothing of what a tag hides. (Who attaches a mask to a column must mask
/// what is computed from it.)
fn computed(relation: &Relation, chosen: &mut Vec<Attached<'_>>) {
    let mut found = Vec::new();
    for (index, column) in relation.columns.iter().enumerate() {
        let Some(generated) = &column.generated else { continue };
        if chosen.iter().any(|attached| attached.column == index && attached.path.is_empty()) {
            continue;
        }
        let source = chosen.iter().find(|attached| {
            let reads = |column: &Column| generated.columns.contains(&column.id);
            attached.tag.is_some()
                && attached.shown != Shown::Raw
                && relation.columns.get(attached.column).is_some_and(reads)
        });
        found.extend(source.map(|source| Attached {
            column: index,
            path: &[],
            shown: Shown::Nothing,
            ..source.clone()
        }));
    }
    // A mask of a part of it is no mask of it.
    chosen.retain(|attached| !found.iter().any(|whole| whole.column == attached.column));
    chosen.extend(found);
}
