//! The whole catalog at one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use super::{
    Body, Credential, DATABASE_ID, Database, Entry, Relation, RelationKind, Schema, TEMPORARY_SCHEMA, TableData,
    UserType,
};
use crate::govern::{
    MaskAttachment, MaskingPolicy, PrivilegeSet, RlsPolicy, Role, RowPolicy, Tag, TagAssignment, TagGrant, TagLevel,
    TagMask, closure,
};
use crate::name::{ObjectId, SnapshotId};
use crate::types::PgType;

/// An immutable catalog. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CatalogState {
    /// The committed snapshot it shows, or that a transaction's own changes were made to.
    pub snapshot: SnapshotId,
    /// DuckLake's `schema_version`: how many commits have changed an object and not only data.
    pub schema_version: i64,
    /// The id that the next new object gets when it is committed.
    pub next_catalog_id: i64,
    /// The id that the next new data file gets when it is committed.
    pub next_file_id: i64,
    /// The last change of rights, roles or policies that were there before.
    pub rights_changed: SnapshotId,
    objects: Arc<Objects>,
    data: Arc<TablesData>,
}

#[derive(Clone, Debug, Default)]
struct Objects {
    entries: BTreeMap<ObjectId, Arc<Entry>>,
    names: BTreeMap<NameKey, ObjectId>,
    /// Row policies, mask attachments and sequences, each after the relation that it is part of; tags' values after the object
    /// that has them, and what follows from a tag after the tag.
    parts: BTreeSet<(ObjectId, ObjectId)>,
    /// The tables of constraints, once somebody asks for one.
    constrained: OnceLock<HashMap<ObjectId, ObjectId>>,
}

/// What the tables hold, in parts: a commit copies those of the tables that it changes.
#[derive(Clone, Debug)]
struct TablesData([Arc<HashMap<ObjectId, Arc<TableData>>>; SHARDS]);

const SHARDS: usize = 64;

impl Default for TablesData {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl TablesData {
    fn get(&self, table: ObjectId) -> Option<&Arc<TableData>> {
        self.0.get(Self::index(table))?.get(&table)
    }

    /// `None` forgets a table.
    fn set(&mut self, table: ObjectId, files: Option<Arc<TableData>>) {
        let Some(shard) = self.0.get_mut(Self::index(table)).map(Arc::make_mut) else { return };
        match files {
            Some(files) => shard.insert(table, files),
            None => shard.remove(&table),
        };
    }

    fn index(table: ObjectId) -> usize {
        usize::try_from(table.0.unsigned_abs()).unwrap_or(0) % SHARDS
    }
}

/// All objects of a catalog, roles, rights and policies among them. Equal only to those of the same catalog, or of one that
/// differs from it in data alone.
#[derive(Clone, Debug)]
pub struct Definitions(Arc<Objects>);

impl PartialEq for Definitions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Where a name must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Among all schemas.
    Schema,
    /// Within a schema: tables, views and sequences share it.
    Relation(ObjectId),
    /// Among all roles, users and groups alike.
    Role,
    /// Within a relation.
    RowPolicy(ObjectId),
    /// Among all RLS policies: they belong to no schema.
    RlsPolicy,
    /// Among all masking policies: they belong to no schema.
    MaskingPolicy,
    /// Among all storage credentials.
    Credential,
    /// Within a schema.
    Type(ObjectId),
    /// Among all tags.
    Tag,
    /// Within an object that has tags: a tag has one value there.
    TagAssignment(ObjectId),
}

/// What an object is found by: where its name is unique, and the name, folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(pub Namespace, pub String);

/// A step from one catalog to the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Makes a new object, or replaces an old one as a whole.
    Put(ObjectId, Box<Body>),
    /// Removes an object and frees its name.
    Delete(ObjectId),
}

impl Change {
    /// The object it changes; provisional if the object is new and not committed.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Put(id, _) | Self::Delete(id) => *id,
        }
    }

    /// The lowest id of the object and its parts, temporary ones aside.
    pub fn lowest_id(&self) -> ObjectId {
        let parts = match self {
            Self::Put(_, body) => body.parts(),
            Self::Delete(_) => Vec::new(),
        };
        let ids = parts.into_iter().chain([self.id()]).filter(|id| !id.is_temporary());
        ids.min().unwrap_or(ObjectId(0))
    }
}

/// Whether somebody may see or do other things after a change than before.
fn changes_rights(old: Option<&Body>, change: &Change) -> bool {
    let new = match change {
        Change::Put(_, body) => Some(body.as_ref()),
        Change::Delete(_) => None,
    };
    match (old, new) {
        (Some(Body::Relation(old)), Some(Body::Relation(new))) => {
            let acls =
                |relation: &Relation| relation.columns.iter().map(|column| column.acl.clone()).collect::<Vec<_>>();
            (&old.acl, old.owner, old.schema, old.row_security, old.force_row_security, old.any_rls_policy)
                != (&new.acl, new.owner, new.schema, new.row_security, new.force_row_security, new.any_rls_policy)
                || acls(old) != acls(new)
        }
        (Some(Body::Schema(old)), Some(Body::Schema(new))) => (&old.acl, old.owner) != (&new.acl, new.owner),
        (Some(Body::Database(old)), Some(Body::Database(new))) => (&old.acl, old.owner) != (&new.acl, new.owner),
        (Some(Body::Role(_) | Body::Tag(_)), _) => old != new,
        (_, Some(body)) | (Some(body), None) => {
            let decides = matches!(
                body,
                Body::RowPolicy(_)
                    | Body::RlsPolicy(_)
                    | Body::MaskingPolicy(_)
                    | Body::MaskAttachment(_)
                    | Body::TagAssignment(_)
                    | Body::TagMask(_)
                    | Body::TagGrant(_)
            );
            decides && old != new
        }
        (None, None) => false,
    }
}

/// Tags with their values, and from where they come.
pub type Tags<'a> = BTreeMap<ObjectId, (&'a str, TagLevel)>;

/// The tags of an object, and what its columns have beside them.
#[derive(Clone, Debug, Default)]
pub struct TagsWithin<'a> {
    /// Of the object as a whole, with those that it inherits.
    pub whole: Tags<'a>,
    /// By a column's id: those that go before the others.
    pub columns: BTreeMap<i32, Tags<'a>>,
}

/// Whether changes that were made to `base` were permitted in view of what follows from tags in `head`: who changes tags, or a
/// table that may have some, was asked for the rights that this took then.
pub fn tags_stand(head: &CatalogState, base: &CatalogState, changes: &[Change]) -> bool {
    let touches = |change: &Change| {
        let old = base.entry(change.id()).map(|entry| &entry.body);
        match (old, change) {
            (_, Change::Put(_, body)) if matches!(body.as_ref(), Body::TagAssignment(_)) => true,
            (Some(Body::TagAssignment(_)), _) => true,
            (Some(Body::Relation(old)), Change::Put(_, body)) => {
                matches!(body.as_ref(), Body::Relation(new) if old.schema != new.schema || old.columns != new.columns)
            }
            _ => false,
        }
    };
    let decides = |body: &Body| {
        matches!(body, Body::TagAssignment(_) | Body::TagMask(_) | Body::TagGrant(_) | Body::MaskAttachment(_))
    };
    let versions = |state: &CatalogState| {
        let all = state.entries().filter(|entry| decides(&entry.body));
        all.map(|entry| (entry.id, entry.version)).collect::<Vec<_>>()
    };
    !(head.has_tags() || base.has_tags()) || !changes.iter().any(touches) || versions(head) == versions(base)
}

/// Whether changes that were made to `base` know types as `head` has them, and all that `head` makes of types that they
/// change.
pub fn types_stand(head: &CatalogState, base: &CatalogState, changes: &[Change]) -> bool {
    let version = |state: &CatalogState, id: ObjectId| state.entry(id).map(|entry| entry.version);
    let same = |id: ObjectId| version(head, id) == version(base, id);
    changes.iter().all(|change| {
        let Change::Put(id, body) = change else { return true };
        let others = |entry: &Arc<Entry>| {
            !same(entry.id) && entry.body.types().contains(id) && !changes.iter().any(|other| other.id() == entry.id)
        };
        body.types().into_iter().all(same)
            && !(matches!(body.as_ref(), Body::Type(_)) && (!same(*id) || head.entries().any(others)))
    })
}

impl CatalogState {
    /// Changes that were made before, with users' types as they are here.
    pub fn with_types(&self, changes: Vec<Change>) -> Vec<Change> {
        let renewed = |change| match change {
            Change::Put(id, mut body) => {
                if let Body::Relation(relation) = body.as_mut() {
                    let renew = &mut |made: &mut PgType| {
                        let now = made.object().and_then(|id| Some(self.value_type(id, self.user_type(id)?)));
                        *made = now.unwrap_or_else(|| made.clone());
                    };
                    relation.columns.iter_mut().for_each(|column| column.pg.change_made(renew));
                }
                Change::Put(id, body)
            }
            Change::Delete(id) => Change::Delete(id),
        };
        changes.into_iter().map(renewed).collect()
    }

    /// A catalog without objects or files, to be filled by `with` and `with_data`.
    pub fn new(snapshot: SnapshotId, schema_version: i64, next_catalog_id: i64, next_file_id: i64) -> Self {
        Self {
            snapshot,
            schema_version,
            next_catalog_id,
            next_file_id,
            rights_changed: SnapshotId(0),
            objects: Arc::default(),
            data: Arc::default(),
        }
    }

    /// The catalog after some changes, made by `version`.
    #[must_use]
    pub fn with(mut self, version: SnapshotId, changes: impl IntoIterator<Item = Change>) -> Self {
        for change in changes {
            // Without changes the definitions stay the same.
            let objects = Arc::make_mut(&mut self.objects);
            objects.constrained.take();
            let old = objects.entries.remove(&change.id());
            if changes_rights(old.as_deref().map(|old| &old.body), &change) {
                self.rights_changed = version;
            }
            if let Some(old) = old {
                if let Some(key) = name_key(&old.body)
                    && objects.names.get(&key) == Some(&old.id)
                {
                    objects.names.remove(&key);
                }
                if let Some(relation) = whole(&old.body) {
                    objects.parts.remove(&(relation, old.id));
                }
            }
            if let Change::Put(id, body) = change {
                if let Some(relation) = whole(&body) {
                    objects.parts.insert((relation, id));
                }
                if let Some(key) = name_key(&body) {
                    objects.names.insert(key, id);
                }
                objects.entries.insert(id, Arc::new(Entry { id, version, body: *body }));
            }
        }
        self
    }

    /// What exists, without data: the same as long as nothing was created, changed or dropped.
    pub fn definitions(&self) -> Definitions {
        Definitions(Arc::clone(&self.objects))
    }

    /// The catalog with other files in some tables; `None` forgets a table.
    #[must_use]
    pub fn with_data(mut self, tables: impl IntoIterator<Item = (ObjectId, Option<Arc<TableData>>)>) -> Self {
        let data = Arc::make_mut(&mut self.data);
        for (table, files) in tables {
            data.set(table, files);
        }
        self
    }

    /// All objects, in ascending order of id.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.objects.entries.values()
    }

    /// The current version of an object; `None` if there is no such object.
    pub fn entry(&self, id: ObjectId) -> Option<&Arc<Entry>> {
        self.objects.entries.get(&id)
    }

    /// The object with a name, compared as it is: the caller has folded it.
    pub fn find(&self, namespace: Namespace, name: &str) -> Option<ObjectId> {
        self.objects.names.get(&NameKey(namespace, name.to_owned())).copied()
    }

    /// Files of a warehouse table; empty if it has none.
    pub fn data(&self, table: ObjectId) -> Arc<TableData> {
        self.data.get(table).cloned().unwrap_or_default()
    }

    /// The schema with a folded name.
    pub fn schema_id(&self, name: &str) -> Option<ObjectId> {
        if name == "pg_temp" {
            return self.schema(TEMPORARY_SCHEMA).map(|_| TEMPORARY_SCHEMA);
        }
        self.find(Namespace::Schema, name)
    }

    /// The schema with an id; `None` if that is no schema.
    pub fn schema(&self, id: ObjectId) -> Option<&Schema> {
        match &self.entry(id)?.body {
            Body::Schema(schema) => Some(schema),
            _ => None,
        }
    }

    /// All schemas, whoever may use them, in ascending order of id.
    pub fn schemas(&self) -> impl Iterator<Item = (ObjectId, &Schema)> {
        self.entries().filter_map(|entry| match &entry.body {
            Body::Schema(schema) => Some((entry.id, schema)),
            _ => None,
        })
    }

    /// The relation with an id; `None` if that is no relation.
    pub fn relation(&self, id: ObjectId) -> Option<&Relation> {
        match &self.entry(id)?.body {
            Body::Relation(relation) => Some(relation),
            _ => None,
        }
    }

    /// The relations of all schemas, whoever may see them, in ascending order of id.
    pub fn relations(&self) -> impl Iterator<Item = (ObjectId, &Relation)> {
        self.entries().filter_map(|entry| match &entry.body {
            Body::Relation(relation) => Some((entry.id, relation)),
            _ => None,
        })
    }

    /// The table that has a constraint.
    pub fn constrained(&self, constraint: ObjectId) -> Option<(ObjectId, &Relation)> {
        let tables = self.objects.constrained.get_or_init(|| {
            let constraints = |(table, relation): (ObjectId, &Relation)| {
                relation.constraints.iter().map(|constraint| (constraint.id, table)).collect::<Vec<_>>()
            };
            self.relations().flat_map(constraints).collect()
        });
        let table = *tables.get(&constraint)?;
        Some((table, self.relation(table)?))
    }

    /// The type with an id; `None` if that is no type.
    pub fn user_type(&self, id: ObjectId) -> Option<&UserType> {
        match &self.entry(id)?.body {
            Body::Type(user_type) => Some(user_type),
            _ => None,
        }
    }

    /// The types of all schemas, in ascending order of id.
    pub fn user_types(&self) -> impl Iterator<Item = (ObjectId, &UserType)> {
        self.entries().filter_map(|entry| match &entry.body {
            Body::Type(user_type) => Some((entry.id, user_type)),
            _ => None,
        })
    }

    /// The role with an id; `None` if that is no role.
    pub fn role(&self, id: ObjectId) -> Option<&Role> {
        match &self.entry(id)?.body {
            Body::Role(role) => Some(role),
            _ => None,
        }
    }

    /// All users and groups, in ascending order of id.
    pub fn roles(&self) -> impl Iterator<Item = (ObjectId, &Role)> {
        self.entries().filter_map(|entry| match &entry.body {
            Body::Role(role) => Some((entry.id, role)),
            _ => None,
        })
    }

    /// The role with a folded name.
    pub fn role_id(&self, name: &str) -> Option<ObjectId> {
        self.find(Namespace::Role, name)
    }

    /// A role's name, or its number if it is gone.
    pub fn role_name(&self, id: ObjectId) -> String {
        self.role(id).map_or_else(|| format!("unknown (OID={})", id.oid()), |role| role.name.clone())
    }

    /// The role and all it inherits the rights of.
    pub fn closure(&self, role: ObjectId) -> Vec<ObjectId> {
        closure(role, |id| self.role(id))
    }

    /// The one database; `None` only before the catalog is filled.
    pub fn database(&self) -> Option<&Database> {
        match &self.entry(DATABASE_ID)?.body {
            Body::Database(database) => Some(database),
            _ => None,
        }
    }

    /// The server's settings that ALTER SYSTEM changed, by their names.
    pub fn system_settings(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.database().map_or(&NONE, |database| &database.settings)
    }

    /// The row policies of a relation, whether or not its row security is on, in ascending order of id.
    pub fn row_policies(&self, relation: ObjectId) -> impl Iterator<Item = (ObjectId, &RowPolicy)> {
        self.parts(relation).filter_map(|entry| match &entry.body {
            Body::RowPolicy(policy) => Some((entry.id, policy)),
            _ => None,
        })
    }

    fn parts(&self, relation: ObjectId) -> impl Iterator<Item = &Arc<Entry>> {
        let all = (relation, ObjectId(i64::MIN))..=(relation, ObjectId(i64::MAX));
        self.objects.parts.range(all).filter_map(|(_, id)| self.entry(*id))
    }

    /// Sequences that a table owns, and those that no table does.
    pub fn sequences_for(&self, table: ObjectId) -> impl Iterator<Item = ObjectId> {
        let all = self.parts(table).chain(self.parts(NO_RELATION));
        let is_sequence = |body: &Body| matches!(body, Body::Relation(relation) if matches!(relation.storage, RelationKind::Sequence(_)));
        all.filter(move |entry| is_sequence(&entry.body)).map(|entry| entry.id)
    }

    /// The RLS policy with an id; `None` if that is no RLS policy.
    pub fn rls_policy(&self, id: ObjectId) -> Option<&RlsPolicy> {
        match &self.entry(id)?.body {
            Body::RlsPolicy(policy) => Some(policy),
            _ => None,
        }
    }

    /// The masking policy with an id; `None` if that is no masking policy.
    pub fn masking_policy(&self, id: ObjectId) -> Option<&MaskingPolicy> {
        match &self.entry(id)?.body {
            Body::MaskingPolicy(policy) => Some(policy),
            _ => None,
        }
    }

    /// The masks attached to a relation's columns, in ascending order of id.
    pub fn mask_attachments(&self, relation: ObjectId) -> impl Iterator<Item = (ObjectId, &MaskAttachment)> {
        self.parts(relation).filter_map(|entry| match &entry.body {
            Body::MaskAttachment(attachment) => Some((entry.id, attachment)),
            _ => None,
        })
    }

    /// The tag with an id; `None` if that is no tag.
    pub fn tag(&self, id: ObjectId) -> Option<&Tag> {
        match &self.entry(id)?.body {
            Body::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    /// All tags, in ascending order of their names.
    pub fn tags(&self) -> impl Iterator<Item = (ObjectId, &Tag)> {
        let first = NameKey(Namespace::Tag, String::new());
        let all =
            self.objects.names.range(first..).take_while(|(NameKey(namespace, _), _)| *namespace == Namespace::Tag);
        all.filter_map(|(_, id)| Some((*id, self.tag(*id)?)))
    }

    /// Whether there is any tag.
    pub fn has_tags(&self) -> bool {
        self.tags().next().is_some()
    }

    /// What was said of an object itself, in ascending order of id.
    pub fn tag_assignments(&self, object: ObjectId) -> impl Iterator<Item = (ObjectId, &TagAssignment)> {
        self.parts(object).filter_map(|entry| match &entry.body {
            Body::TagAssignment(assignment) => Some((entry.id, assignment)),
            _ => None,
        })
    }

    /// The masks attached to a tag, in ascending order of id.
    pub fn tag_masks(&self, tag: ObjectId) -> impl Iterator<Item = (ObjectId, &TagMask)> {
        self.parts(tag).filter_map(|entry| match &entry.body {
            Body::TagMask(mask) => Some((entry.id, mask)),
            _ => None,
        })
    }

    /// The grants whose condition begins with a tag, in ascending order of id.
    pub fn tag_grants(&self, tag: ObjectId) -> impl Iterator<Item = (ObjectId, &TagGrant)> {
        self.parts(tag).filter_map(|entry| match &entry.body {
            Body::TagGrant(grant) => Some((entry.id, grant)),
            _ => None,
        })
    }

    /// The tags of an object with their values and from where they come: of the database, a schema, a relation or a column
    /// of one; each from the lowest level that has it.
    pub fn tags_of(&self, object: ObjectId, column: Option<i32>) -> Tags<'_> {
        let mut all = self.tags_within(object);
        let own = column.and_then(|column| all.columns.remove(&column));
        all.whole.extend(own.unwrap_or_default());
        all.whole
    }

    /// The tags of an object, and what its columns have beside them.
    pub fn tags_within(&self, object: ObjectId) -> TagsWithin<'_> {
        let mut all = TagsWithin::default();
        if !self.has_tags() {
            return all;
        }
        let schema = self.relation(object).map(|relation| relation.schema);
        let own = match schema {
            Some(_) => TagLevel::Relation,
            None if object == DATABASE_ID => TagLevel::Database,
            None => TagLevel::Schema,
        };
        let above = [Some((DATABASE_ID, TagLevel::Database)), schema.map(|schema| (schema, TagLevel::Schema))];
        for (object, level) in above.into_iter().flatten().chain([(object, own)]) {
            for (_, assignment) in self.tag_assignments(object) {
                let (tags, level) = match assignment.column {
                    Some(column) => (all.columns.entry(column).or_default(), TagLevel::Column),
                    None => (&mut all.whole, level),
                };
                tags.insert(assignment.tag, (assignment.value.as_str(), level));
            }
        }
        all
    }

    /// What tags let some roles do with a table or view as a whole.
    pub fn tagged_rights(&self, relation: ObjectId, roles: &[ObjectId]) -> PrivilegeSet {
        let kind = || self.relation(relation).map(|relation| &relation.storage);
        match self.has_tags().then(kind).flatten() {
            Some(RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_)) => {
                self.rights_by_tags(&self.tags_of(relation, None), false, roles)
            }
            Some(RelationKind::Sequence(_) | RelationKind::Index(_)) | None => PrivilegeSet::EMPTY,
        }
    }

    /// What tags let some roles do with a column of a relation.
    pub fn tagged_column_rights(&self, relation: ObjectId, column: i32, roles: &[ObjectId]) -> PrivilegeSet {
        self.rights_by_tags(&self.tags_of(relation, Some(column)), true, roles)
    }

    fn rights_by_tags(&self, tags: &Tags<'_>, columns: bool, roles: &[ObjectId]) -> PrivilegeSet {
        let fits = |(tag, values): &(ObjectId, Vec<String>)| {
            tags.get(tag).is_some_and(|(value, _)| values.iter().any(|wanted| wanted == value))
        };
        let grants = tags.keys().flat_map(|tag| self.tag_grants(*tag)).map(|(_, grant)| grant);
        let mine = grants.filter(|grant| {
            grant.columns == columns && grant.grantee.includes(roles) && grant.condition.iter().all(fits)
        });
        mine.fold(PrivilegeSet::EMPTY, |set, grant| set.with(grant.privileges))
    }

    /// Whether a mask is attached to a column of a relation, or to a tag that a column has, whomever it is for.
    pub fn has_masks(&self, relation: ObjectId) -> bool {
        if self.mask_attachments(relation).next().is_some() {
            return true;
        }
        let tags = self.tags_within(relation);
        tags.columns.values().chain([&tags.whole]).flat_map(Tags::keys).any(|tag| self.tag_masks(*tag).next().is_some())
    }

    /// Whether a mask is attached to a column, or to a tag that it has, whomever it is for.
    pub fn is_masked(&self, relation: ObjectId, column: i32) -> bool {
        let by_tag = || self.tags_of(relation, Some(column)).keys().any(|tag| self.tag_masks(*tag).next().is_some());
        self.mask_attachments(relation).any(|(_, mask)| mask.column == column) || by_tag()
    }

    /// Those that were created in SQL, in ascending order of id; the configuration's are not here.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.entries().filter_map(|entry| match &entry.body {
            Body::Credential(credential) => Some(credential),
            _ => None,
        })
    }
}

/// What sequences that no table owns are parts of.
const NO_RELATION: ObjectId = ObjectId(i64::MAX);

/// The relation that a policy or a sequence is part of.
fn whole(body: &Body) -> Option<ObjectId> {
    match body {
        Body::RowPolicy(policy) => Some(policy.relation),
        Body::MaskAttachment(attachment) => Some(attachment.relation),
        Body::TagAssignment(assignment) => Some(assignment.object),
        Body::TagMask(mask) => Some(mask.tag),
        Body::TagGrant(grant) => grant.condition.first().map(|(tag, _)| *tag),
        Body::Relation(relation) => match &relation.storage {
            RelationKind::Sequence(sequence) => Some(sequence.owned_by.map_or(NO_RELATION, |(table, _)| table)),
            _ => None,
        },
        _ => None,
    }
}

/// Under which name an object is found, if it has one.
pub fn name_key(body: &Body) -> Option<NameKey> {
    Some(match body {
        Body::Schema(schema) => NameKey(Namespace::Schema, schema.name.clone()),
        Body::Relation(relation) => NameKey(Namespace::Relation(relation.schema), relation.name.clone()),
        Body::Role(role) => NameKey(Namespace::Role, role.name.clone()),
        Body::RowPolicy(policy) => NameKey(Namespace::RowPolicy(policy.relation), policy.name.clone()),
        Body::RlsPolicy(policy) => NameKey(Namespace::RlsPolicy, policy.name.clone()),
        Body::MaskingPolicy(policy) => NameKey(Namespace::MaskingPolicy, policy.name.clone()),
        Body::Credential(credential) => NameKey(Namespace::Credential, credential.name.clone()),
        Body::Type(user_type) => NameKey(Namespace::Type(user_type.schema), user_type.name.clone()),
        Body::Tag(tag) => NameKey(Namespace::Tag, tag.name.clone()),
        Body::TagAssignment(assignment) => {
            let column = assignment.column.map(|column| column.to_string()).unwrap_or_default();
            NameKey(Namespace::TagAssignment(assignment.object), format!("{column} {}", assignment.tag))
        }
        Body::Database(_) | Body::MaskAttachment(_) | Body::TagMask(_) | Body::TagGrant(_) => return None,
    })
}
