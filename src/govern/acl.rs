//! Privileges and access control lists, as PostgreSQL stores them in `aclitem[]`.

use serde::{Deserialize, Serialize};

use crate::name::ObjectId;

/// One right on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Privilege {
    /// Add rows, giving values to all columns or to some.
    Insert,
    /// Read rows, in all columns or in some.
    Select,
    /// Draw values from a sequence; on tables it is kept and shown, but no statement needs it.
    Update,
    /// Kept and shown; no statement needs it.
    Delete,
    /// Remove all rows of a table at once.
    Truncate,
    /// Kept and shown; there are no foreign keys.
    References,
    /// Kept and shown; there are no triggers.
    Trigger,
    /// Call functions; no object in the catalog can have it.
    Execute,
    /// Find the objects of a schema; draw values from a sequence.
    Usage,
    /// Make relations in a schema, or schemas in the database.
    Create,
    /// To create temporary tables and views.
    Temporary,
    /// Log in to the database.
    Connect,
    /// Kept and shown; there is no VACUUM, ANALYZE or the like.
    Maintain,
    /// Set a tag on what is one's own; not PostgreSQL's.
    Apply,
}

impl Privilege {
    /// In the order in which PostgreSQL prints them in an ACL.
    pub const ALL: &[Self] = &[
        Self::Insert,
        Self::Select,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::References,
        Self::Trigger,
        Self::Execute,
        Self::Usage,
        Self::Create,
        Self::Temporary,
        Self::Connect,
        Self::Maintain,
        Self::Apply,
    ];

    /// How an `aclitem` writes it.
    pub fn letter(self) -> char {
        match self {
            Self::Insert => 'a',
            Self::Select => 'r',
            Self::Update => 'w',
            Self::Delete => 'd',
            Self::Truncate => 'D',
            Self::References => 'x',
            Self::Trigger => 't',
            Self::Execute => 'X',
            Self::Usage => 'U',
            Self::Create => 'C',
            Self::Temporary => 'T',
            Self::Connect => 'c',
            Self::Maintain => 'm',
            Self::Apply => 'p',
        }
    }

    /// How GRANT writes it, in upper case.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Select => "SELECT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
            Self::Execute => "EXECUTE",
            Self::Usage => "USAGE",
            Self::Create => "CREATE",
            Self::Temporary => "TEMPORARY",
            Self::Connect => "CONNECT",
            Self::Maintain => "MAINTAIN",
            Self::Apply => "APPLY",
        }
    }

    /// Reads a keyword of GRANT or an argument of `has_*_privilege`, in any case.
    pub fn from_keyword(word: &str) -> Option<Self> {
        let upper = word.trim().to_ascii_uppercase();
        if upper == "TEMP" {
            return Some(Self::Temporary);
        }
        Self::ALL.iter().copied().find(|p| p.keyword() == upper)
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivilegeSet(u16);

impl PrivilegeSet {
    /// No privilege at all.
    pub const EMPTY: Self = Self(0);

    /// The set of the listed privileges, in any order.
    pub fn of(privileges: &[Privilege]) -> Self {
        Self(privileges.iter().fold(0, |bits, p| bits | p.bit()))
    }
    /// What GRANT ALL means for a table.
    pub fn table() -> Self {
        use Privilege as P;
        Self::of(&[P::Insert, P::Select, P::Update, P::Delete, P::Truncate, P::References, P::Trigger, P::Maintain])
    }
    /// What GRANT ALL means for a column; no other privilege can be granted on one.
    pub fn column() -> Self {
        Self::of(&[Privilege::Insert, Privilege::Select, Privilege::Update, Privilege::References])
    }
    /// What GRANT ALL means for a sequence.
    pub fn sequence() -> Self {
        Self::of(&[Privilege::Select, Privilege::Update, Privilege::Usage])
    }
    /// What GRANT ALL means for a schema.
    pub fn schema() -> Self {
        Self::of(&[Privilege::Usage, Privilege::Create])
    }
    /// What GRANT ALL means for a tag.
    pub fn tag() -> Self {
        Self::of(&[Privilege::Apply])
    }
    /// What GRANT ALL means for the database.
    pub fn database() -> Self {
        Self::of(&[Privilege::Create, Privilege::Temporary, Privilege::Connect])
    }
    /// Whether the privilege is one of the set.
    pub fn contains(self, privilege: Privilege) -> bool {
        self.0 & privilege.bit() != 0
    }
    /// What is in either set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// What is in this set and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// What is in both sets.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Whether there is no privilege in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The privileges one by one, in the order of [`Privilege::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.iter().copied().filter(move |p| self.contains(*p))
    }
}

impl Serialize for PrivilegeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.iter().map(Privilege::letter).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for PrivilegeSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = String::deserialize(deserializer)?;
        let mut set = Self::EMPTY;
        for letter in letters.chars() {
            let privilege = Privilege::ALL.iter().find(|p| p.letter() == letter);
            let privilege =
                privilege.ok_or_else(|| serde::de::Error::custom(format!("unknown privilege {letter:?}")))?;
            set = set.with(Self::of(&[*privilege]));
        }
        Ok(set)
    }
}

/// To whom something is granted or a policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// Every role there is and will be.
    Public,
    /// A role, and those that inherit its rights.
    Role(ObjectId),
}

impl Grantee {
    /// Whether someone with all of these roles is meant.
    pub fn includes(self, roles: &[ObjectId]) -> bool {
        match self {
            Self::Public => true,
            Self::Role(role) => roles.contains(&role),
        }
    }
}

/// What one grantor gave one grantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    /// Who holds the privileges.
    pub grantee: Grantee,
    /// The role that gave them; the owner, if someone with the owner's rights did.
    pub grantor: ObjectId,
    /// All that the grantee holds from this grantor.
    pub privileges: PrivilegeSet,
    /// Those of `privileges` that the grantee may grant on.
    pub grantable: PrivilegeSet,
}

/// An access control list. An object without one has its owner's default rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Acl(pub Vec<AclItem>);

impl Acl {
    /// The owner's own rights, plus what PUBLIC has from the start.
    pub fn default_for(owner: ObjectId, owner_rights: PrivilegeSet, public: PrivilegeSet) -> Self {
        let mut items = Vec::new();
        if !public.is_empty() {
            items.push(AclItem {
                grantee: Grantee::Public,
                grantor: owner,
                privileges: public,
                grantable: PrivilegeSet::EMPTY,
            });
        }
        items.push(AclItem {
            grantee: Grantee::Role(owner),
            grantor: owner,
            privileges: owner_rights,
            grantable: PrivilegeSet::EMPTY,
        });
        Self(items)
    }

    /// Adds to what the grantor gave the grantee. `with_option`: the grantee may grant it on.
    pub fn grant(&mut self, grantee: Grantee, grantor: ObjectId, privileges: PrivilegeSet, with_option: bool) {
        let grantable = if with_option { privileges } else { PrivilegeSet::EMPTY };
        match self.0.iter_mut().find(|item| item.grantee == grantee && item.grantor == grantor) {
            Some(item) => {
                item.privileges = item.privileges.with(privileges);
                item.grantable = item.grantable.with(grantable);
            }
            None => self.0.push(AclItem { grantee, grantor, privileges, grantable }),
        }
    }

    /// Takes privileges back, or only the right to grant them on.
    pub fn revoke(&mut self, grantee: Grantee, grantor: ObjectId, privileges: PrivilegeSet, option_only: bool) {
        for item in self.0.iter_mut().filter(|item| item.grantee == grantee && item.grantor == grantor) {
            item.grantable = item.grantable.without(privileges);
            if !option_only {
                item.privileges = item.privileges.without(privileges);
            }
        }
        self.0.retain(|item| !item.privileges.is_empty());
    }

    /// What one role granted and held is another's.
    pub fn hand_over(&mut self, old: ObjectId, new: ObjectId) {
        let mut merged: Vec<AclItem> = Vec::with_capacity(self.0.len());
        for mut item in self.0.drain(..) {
            if item.grantor == old {
                item.grantor = new;
            }
            if item.grantee == Grantee::Role(old) {
                item.grantee = Grantee::Role(new);
            }
            // The new owner may have had something of the old one.
            match merged.iter_mut().find(|known| (known.grantee, known.grantor) == (item.grantee, item.grantor)) {
                Some(known) => {
                    known.privileges = known.privileges.with(item.privileges);
                    known.grantable = known.grantable.with(item.grantable);
                }
                None => merged.push(item),
            }
        }
        self.0 = merged;
    }

    /// In the order in which default privileges are kept: PUBLIC, then by role.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|item| (item.grantee, item.grantor));
    }

    /// What the roles hold together with PUBLIC.
    pub fn held_by(&self, roles: &[ObjectId]) -> PrivilegeSet {
        self.matching(roles).fold(PrivilegeSet::EMPTY, |set, item| set.with(item.privileges))
    }

    /// What the roles may grant on.
    pub fn grantable_by(&self, roles: &[ObjectId]) -> PrivilegeSet {
        self.matching(roles).fold(PrivilegeSet::EMPTY, |set, item| set.with(item.grantable))
    }

    /// Whether anything names the role: then it cannot be dropped.
    pub fn mentions(&self, role: ObjectId) -> bool {
        self.0.iter().any(|item| item.grantor == role || item.grantee == Grantee::Role(role))
    }

    fn matching<'a>(&'a self, roles: &'a [ObjectId]) -> impl Iterator<Item = &'a AclItem> {
        self.0.iter().filter(|item| match item.grantee {
            Grantee::Public => true,
            Grantee::Role(role) => roles.contains(&role),
        })
    }
}
