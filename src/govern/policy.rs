//! Row policies (PostgreSQL's), RLS policies and masking policies (Redshift's).

use serde::{Deserialize, Serialize};

use super::Grantee;
use crate::name::ObjectId;
use crate::types::PgType;

/// The built-in identity policy: attached with a higher priority, it exempts a role from a mask.
pub const UNMASKED_POLICY: &str = "pg_unmasked";

/// `CREATE POLICY`: which rows a command may see or write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPolicy {
    /// Already folded; unique among the relation's row policies.
    pub name: String,
    /// The table or external table it protects, and with which it is dropped.
    pub relation: ObjectId,
    /// True: it adds rows to those allowed (OR). False, restrictive: it takes rows away from them (AND).
    pub permissive: bool,
    /// The command it is for, or all of them.
    pub command: PolicyCommand,
    /// For whom it counts, with all who inherit their rights; PUBLIC if none were named, so never empty.
    pub roles: Vec<Grantee>,
    /// Source text of the USING expression.
    pub using: Option<String>,
    /// Source text of the WITH CHECK expression.
    pub check: Option<String>,
    /// Under which its names are resolved, whatever the reader's own.
    pub search_path: Vec<String>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The [`RlsPolicy`] that it is made from, and whose name and expression it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<ObjectId>,
}

/// `CREATE RLS POLICY name WITH (column type, …) USING (expression)`: which rows may be seen of each table that it is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlsPolicy {
    /// Already folded; unique among RLS policies.
    pub name: String,
    /// The role that created it.
    pub owner: ObjectId,
    /// What a table needs to have it attached.
    pub columns: Vec<(String, PgType)>,
    /// Source text of the USING expression, over these columns.
    pub using: String,
    /// Under which its names are resolved, whatever the reader's own.
    pub search_path: Vec<String>,
}

/// The commands a row policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyCommand {
    /// Every command.
    All,
    /// Reading rows, in queries and in `INSERT … RETURNING`.
    Select,
    /// Adding rows.
    Insert,
    /// Changing rows.
    Update,
    /// Deleting rows.
    Delete,
}

impl PolicyCommand {
    /// `pg_policy.polcmd`.
    pub fn letter(self) -> char {
        match self {
            Self::All => '*',
            Self::Select => 'r',
            Self::Insert => 'a',
            Self::Update => 'w',
            Self::Delete => 'd',
        }
    }

    /// As CREATE POLICY spells it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a policy for `self` counts when a command does what `command` says.
    pub fn covers(self, command: Self) -> bool {
        self == Self::All || self == command
    }
}

/// `CREATE MASKING POLICY name WITH (arg type, …) USING (expression)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskingPolicy {
    /// Already folded; unique among masking policies, and not [`UNMASKED_POLICY`].
    pub name: String,
    /// The role that created it.
    pub owner: ObjectId,
    /// The first argument is the column that is masked.
    pub arguments: Vec<(String, PgType)>,
    /// Source text of the masking expression.
    pub expression: String,
    /// Under which its names are resolved, whatever the reader's own.
    pub search_path: Vec<String>,
}

impl MaskingPolicy {
    /// Whether an argument may be a column of a type: of the same type but for its modifier, or both character strings.
    pub fn takes(argument: &PgType, column: &PgType) -> bool {
        argument.oid() == column.oid() || (argument.category() == 'S' && column.category() == 'S')
    }

    /// Whether it is a mask of one argument for a column of a type.
    pub fn masks(&self, column: &PgType) -> bool {
        matches!(self.arguments.as_slice(), [(_, argument)] if Self::takes(argument, column))
    }
}

/// A column, or a part of its values, as a masking policy is attached to it: `person.name`.
pub fn part_name(column: &str, path: &[String]) -> String {
    let steps = std::iter::once(column).chain(path.iter().map(String::as_str));
    steps.collect::<Vec<_>>().join(".")
}

/// `ATTACH MASKING POLICY … ON relation (column[.path]) USING (columns) TO grantee PRIORITY n`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskAttachment {
    /// `None`: [`UNMASKED_POLICY`].
    pub policy: Option<ObjectId>,
    /// The table or external table whose column is masked.
    pub relation: ObjectId,
    /// The masked column's field id, so that a rename cannot detach the policy.
    pub column: i32,
    /// What of its values is masked: attributes of a row, keys of JSON objects, from the outside in. Empty: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Field ids of the policy's arguments, in order; the masked column's own stands for what is at the path.
    pub inputs: Vec<i32>,
    /// For whom it counts, with all who inherit their rights; superusers see no masks.
    pub grantee: Grantee,
    /// Of the attachments for one reader and column the highest wins; 0 if none was given.
    pub priority: i32,
}
