//! Names as PostgreSQL reads and prints them, and the numbers objects go by.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Plain, SqlState};

/// The longest identifier, in bytes.
pub const IDENT_BYTES_MAX: usize = 63;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Any catalog object: schema, relation, role, policy. Drawn from `next_catalog_id`; negative while the
    /// transaction that creates it has not committed.
    ObjectId
);
id!(
    /// A committed state of the whole catalog.
    SnapshotId
);
id!(
    /// A data file of the warehouse.
    FileId
);

impl FileId {
    /// Stands for the rows of a table that are in no file; their positions are their row ids.
    pub const INLINED: Self = Self(i64::MAX);
}

/// The first OID of user objects, as in PostgreSQL.
const USER_OID_MIN: i64 = 16384;
/// Ids of temporary objects are below those of all that is not committed yet.
pub const TEMPORARY_ID_MAX: i64 = -0x4000_0000;
/// OIDs from here on belong to objects that are not committed yet.
const PROVISIONAL_OID_MIN: i64 = 0x7000_0000;

/// Ids from here on are of roles that every catalog has: this and their OIDs. No commit gives such an id.
const PREDEFINED_ID_MIN: i64 = 1 << 40;
/// The OIDs of these roles: those of PostgreSQL's predefined roles, and our own from 9901 on.
const PREDEFINED_OIDS: &[u32] =
    &[3373, 3374, 3375, 3377, 4200, 4544, 4550, 4569, 4570, 4571, 6171, 6181, 6182, 6304, 6337, 6392, 9901, 9902, 9903];

/// Objects of every new catalog have the OIDs that they have in PostgreSQL: the bootstrap superuser, the database, schema
/// `public`.
const CANONICAL_OIDS: &[(ObjectId, u32)] = &[(ObjectId(1), 10), (ObjectId(2), 5), (ObjectId(3), 2200)];

impl ObjectId {
    /// The object's OID in `pg_catalog`: stable across restarts, renames and nodes.
    pub fn oid(self) -> u32 {
        if let Some((_, oid)) = CANONICAL_OIDS.iter().find(|(id, _)| *id == self) {
            return *oid;
        }
        if self.is_predefined() {
            return u32::try_from(self.0 - PREDEFINED_ID_MIN).unwrap_or(u32::MAX);
        }
        let oid = if self.0 < 0 { PROVISIONAL_OID_MIN - self.0 } else { USER_OID_MIN + self.0 };
        u32::try_from(oid).unwrap_or(u32::MAX)
    }

    /// The object that would have an OID; `None` for OIDs of PostgreSQL's own objects.
    pub fn from_oid(oid: u32) -> Option<Self> {
        if let Some((id, _)) = CANONICAL_OIDS.iter().find(|(_, canonical)| *canonical == oid) {
            return Some(*id);
        }
        match i64::from(oid) {
            oid if oid >= PROVISIONAL_OID_MIN => Some(Self(PROVISIONAL_OID_MIN - oid)),
            oid if oid >= USER_OID_MIN => Some(Self(oid - USER_OID_MIN)),
            _ => PREDEFINED_OIDS.contains(&oid).then(|| Self::predefined(oid)),
        }
    }

    /// A role that every catalog has, by its OID.
    pub const fn predefined(oid: u32) -> Self {
        Self(PREDEFINED_ID_MIN + oid as i64)
    }

    /// Whether it is a role that every catalog has.
    pub fn is_predefined(self) -> bool {
        self.0 >= PREDEFINED_ID_MIN
    }

    /// Whether no commit gave it: the object's transaction has not committed, or it is temporary.
    pub fn is_provisional(self) -> bool {
        self.0 < 0
    }

    /// Whether the object is a session's own for as long as that lasts.
    pub fn is_temporary(self) -> bool {
        self.0 <= TEMPORARY_ID_MAX
    }
}

/// A relation, or another object in a schema, as written: `[schema.]name`, already folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QualifiedName {
    /// `None`: found by the search path.
    pub schema: Option<String>,
    /// Without its schema.
    pub name: String,
}

impl QualifiedName {
    /// A name in a schema.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), name: name.into() }
    }

    /// A name without a schema, for the search path to find.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// Reads a name from a string, as `regclass` does. `42602` if it is malformed.
    pub fn parse(text: &str) -> Result<Self, Plain> {
        let mut parts = parse_qualified(text).unwrap_or_default();
        match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(name), schema, true) => Ok(Self { schema, name }),
            _ => Err(Plain::new(SqlState::INVALID_NAME, format!("invalid name syntax: \"{text}\""))),
        }
    }
}

impl fmt::Display for QualifiedName {
    /// As PostgreSQL's messages show it: no quotes around the parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Folds an unquoted identifier: ASCII letters to lower case, as PostgreSQL does for UTF-8 databases.
pub fn fold(ident: &str) -> String {
    ident.to_ascii_lowercase()
}

/// Quotes an identifier if it would not survive being read back: `quote_ident`.
pub fn quote(ident: &str) -> String {
    let plain = ident.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && ident.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(ident);
    if plain { ident.to_owned() } else { format!("\"{}\"", ident.replace('"', "\"\"")) }
}

/// Quotes a string literal: `quote_literal`.
pub fn quote_literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Reads a dotted name as `regclass` and its like do: unquoted parts are folded. `None` if it is malformed.
pub fn parse_qualified(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => parse_quoted(quoted)?,
            None => {
                let (part, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                (fold(part.trim()), after)
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// An identifier up to its closing quote, and what follows.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return Some((part, after)),
        }
    }
}

/// PostgreSQL's reserved words (also those reserved except as function or type name): quoted when printed. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{ObjectId, quote, quote_literal};

    #[test]
    fn quotes_what_would_not_survive() {
        for (ident, printed) in
            [("a1", "a1"), ("_x", "_x"), ("A", "\"A\""), ("1a", "\"1a\""), ("user", "\"user\""), ("a\"b", "\"a\"\"b\"")]
        {
            assert_eq!(quote(ident), printed);
        }
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
    }

    #[test]
    fn oids_of_committed_and_provisional_objects_do_not_meet() {
        assert_eq!(ObjectId(0).oid(), 16384);
        assert!(ObjectId(-1).oid() > ObjectId(1_000_000_000).oid());
    }
}
