//! ALTER TABLE.

use sqlparser::ast;

use super::Command;
use super::constraint::{ConstraintDefinition, TABLE_CONSTRAINTS, of_table};
use super::cursor::Cursor;
use super::layout::Layout;
use super::policy::{AttachMask, DetachMask};
use super::role::RoleSpec;
use super::sequence::SequenceOptions;
use super::table::{ColumnDefinition, IdentityOption, column_definition, identity};
use super::tag::TagValues;
use super::text::SyntaxError;
use crate::catalog::IdentityKind;
use crate::name::QualifiedName;
use crate::types::PgType;

/// `ALTER [EXTERNAL | FOREIGN] TABLE [IF EXISTS] name action, …`.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// The table, as written: unresolved.
    pub name: QualifiedName,
    /// `IF EXISTS`: a table that is not there is passed over with a notice.
    pub if_exists: bool,
    /// In the order in which they were written and are carried out.
    pub actions: Vec<AlterTableAction>,
    /// What the statement calls it.
    pub kind: AlterKind,
}

/// What may be altered as a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterKind {
    /// A table of any kind, or another relation that PostgreSQL takes for one here.
    Table,
    /// An index: only its name.
    Index,
    /// A sequence: its name and owner.
    Sequence,
    /// A view: its name and owner.
    View,
    /// A materialized view: its name, owner and schema, the names of its columns.
    MaterializedView,
}

impl AlterKind {
    /// The command tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Table => "ALTER TABLE",
            Self::Index => "ALTER INDEX",
            Self::Sequence => "ALTER SEQUENCE",
            Self::View => "ALTER VIEW",
            Self::MaterializedView => "ALTER MATERIALIZED VIEW",
        }
    }
}

/// What ALTER TABLE can do.
#[derive(Clone, Debug)]
pub enum AlterTableAction {
    /// `ENABLE` (true) or `DISABLE ROW LEVEL SECURITY`: whether row policies are in force.
    RowSecurity(bool),
    /// `FORCE` (true) or `NO FORCE ROW LEVEL SECURITY`: whether row policies hold for the owner as well.
    ForceRowSecurity(bool),
    /// `ROW LEVEL SECURITY {ON | OFF} [CONJUNCTION TYPE {AND | OR}]`, Redshift's words, for its owner, too.
    RlsPolicies {
        /// Whether they are in force.
        on: bool,
        /// `OR`: one that is attached is enough. `None`: as before.
        any: Option<bool>,
    },
    /// `OWNER TO role`: the new owner, also of the sequences of its identity columns.
    Owner(RoleSpec),
    /// `RENAME TO name`.
    Rename(String),
    /// `SET SCHEMA name`.
    SetSchema(String),
    /// `ADD [COLUMN]`.
    AddColumn {
        /// `IF NOT EXISTS`: a column of that name stays as it is, with a notice.
        if_not_exists: bool,
        /// The new column, which comes last.
        column: Box<ColumnDefinition>,
    },
    /// `DROP [COLUMN]`.
    DropColumn {
        /// `IF EXISTS`: a column that is not there is passed over with a notice.
        if_exists: bool,
        /// Its name.
        column: String,
        /// `CASCADE`: views that read it go too. False: RESTRICT, they make it `2BP01`.
        cascade: bool,
    },
    /// `RENAME [COLUMN] column TO name`.
    RenameColumn {
        /// Its name so far.
        column: String,
        /// Its name from now on.
        to: String,
    },
    /// `ADD [CONSTRAINT name] …`.
    AddConstraint(Box<ConstraintDefinition>),
    /// `DROP CONSTRAINT`.
    DropConstraint {
        /// `IF EXISTS`: a constraint that is not there is passed over with a notice.
        if_exists: bool,
        /// Its name.
        name: String,
        /// `CASCADE`: foreign keys that rely on it go too. False: RESTRICT, they make it `2BP01`.
        cascade: bool,
    },
    /// `RENAME CONSTRAINT name TO name`.
    RenameConstraint {
        /// Its name so far.
        name: String,
        /// Its name from now on.
        to: String,
    },
    /// `VALIDATE CONSTRAINT name`: those that are enforced always hold.
    ValidateConstraint(String),
    /// `{SET | RESET} {PARTITIONED | SORTED} BY …`: for rows that are written from now on, and for VACUUM.
    Layout(Layout),
    /// `SET TAG name = 'value', …` or `UNSET TAG name, …`.
    Tags {
        /// `ALTER [COLUMN]`: of one of its columns.
        column: Option<String>,
        /// What is said of it.
        tags: TagValues,
    },
    /// `{ALTER | MODIFY} [COLUMN] column SET MASKING POLICY policy [USING (column, …)] [FORCE]`: Snowflake's words for one that
    /// is for everybody.
    AttachMask(AttachMask),
    /// `{ALTER | MODIFY} [COLUMN] column UNSET MASKING POLICY`.
    DetachMask(DetachMask),
    /// `ALTER [COLUMN] column …`.
    AlterColumn(String, AlterColumn),
}

impl AlterTableAction {
    /// Whether it is about policies.
    pub fn is_of_policies(&self) -> bool {
        let of_masks = matches!(self, Self::AttachMask(_) | Self::DetachMask(_) | Self::Tags { .. });
        of_masks || matches!(self, Self::RlsPolicies { .. } | Self::RowSecurity(_) | Self::ForceRowSecurity(_))
    }

    /// Whether it is about who may see what.
    pub(super) fn decides(&self) -> bool {
        self.is_of_policies() || matches!(self, Self::Owner(_))
    }
}

/// What ALTER COLUMN can do.
#[derive(Clone, Debug)]
pub enum AlterColumn {
    /// `SET DEFAULT expression`, its source text; `None`: `DROP DEFAULT`.
    Default(Option<String>),
    /// `SET NOT NULL` (true) or `DROP NOT NULL`.
    NotNull(bool),
    /// `SET EXPRESSION AS (expression)`: its source text.
    Expression(String),
    /// `DROP EXPRESSION [IF EXISTS]`: its values stay as they are.
    DropExpression {
        /// A column that is not generated is passed over with a notice.
        if_exists: bool,
    },
    /// `ADD GENERATED {ALWAYS | BY DEFAULT} AS IDENTITY`.
    AddIdentity(IdentityOption),
    /// `DROP IDENTITY [IF EXISTS]`: its values stay.
    DropIdentity {
        /// A column that is none is passed over with a notice.
        if_exists: bool,
    },
    /// `SET GENERATED {ALWAYS | BY DEFAULT}`, `SET option …`, `RESTART`.
    Identity {
        /// Whether INSERT may give a value, if that changes.
        kind: Option<IdentityKind>,
        /// How its sequence counts.
        options: SequenceOptions,
    },
    /// `[SET DATA] TYPE type [USING expression]`.
    Type {
        /// The new type.
        pg: PgType,
        /// What the new values are, over the table's columns; `None`: the old value, cast.
        using: Option<Box<ast::Expr>>,
    },
}

pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let if_exists = c.if_exists();
    let _only = c.words(&["only"]);
    let name = c.qualified_name()?;
    // A new name or schema stands alone, as in PostgreSQL.
    let actions = if c.peek_any(&["rename"]) { vec![action(c, &name)?] } else { c.list(|c| action(c, &name))? };
    if actions.len() > 1 && actions.iter().any(stands_alone) {
        return Err(c.unexpected());
    }
    Ok(Command::AlterTable(AlterTable { name, if_exists, actions, kind: AlterKind::Table }))
}

/// `ALTER {INDEX | SEQUENCE | VIEW} [IF EXISTS] name {RENAME TO name | OWNER TO role | SET SCHEMA name}`, or options of a
/// sequence.
pub(super) fn parse_other(c: &mut Cursor<'_>, kind: AlterKind) -> Result<Command, SyntaxError> {
    let if_exists = c.if_exists();
    let name = c.qualified_name()?;
    let is_view = matches!(kind, AlterKind::View | AlterKind::MaterializedView);
    let tags = if is_view { super::tag::assignments(c)? } else { None };
    let action = if let Some(tags) = tags {
        AlterTableAction::Tags { column: None, tags }
    } else if c.words(&["rename", "to"]) {
        AlterTableAction::Rename(c.ident()?)
    } else if kind != AlterKind::Index && c.words(&["owner", "to"]) {
        AlterTableAction::Owner(RoleSpec::parse(c)?)
    } else if kind != AlterKind::Index && c.words(&["set", "schema"]) {
        AlterTableAction::SetSchema(c.ident()?)
    } else if kind == AlterKind::MaterializedView && c.words(&["rename"]) {
        let _noise = c.words(&["column"]);
        let column = c.ident()?;
        c.expect_words(&["to"])?;
        AlterTableAction::RenameColumn { column, to: c.ident()? }
    } else if is_view && c.words(&["alter"]) {
        let _noise = c.words(&["column"]);
        let column = c.ident()?;
        match super::tag::assignments(c)? {
            Some(tags) => AlterTableAction::Tags { column: Some(column), tags },
            None => return Err(c.unsupported_or_unexpected("ALTER VIEW … ALTER COLUMN …", &["set", "drop"])),
        }
    } else if kind == AlterKind::Sequence {
        return super::sequence::alter(c, name, if_exists);
    } else {
        let others = ["set", "reset", "attach", "depends", "alter", "rename"];
        return Err(c.unsupported_or_unexpected(&format!("{} …", kind.tag()), &others));
    };
    Ok(Command::AlterTable(AlterTable { name, if_exists, actions: vec![action], kind }))
}

fn stands_alone(action: &AlterTableAction) -> bool {
    use AlterTableAction as A;
    matches!(action, A::Rename(_) | A::SetSchema(_) | A::RenameColumn { .. } | A::RenameConstraint { .. })
        || matches!(action, A::AttachMask(_) | A::DetachMask(_))
}

fn action(c: &mut Cursor<'_>, table: &QualifiedName) -> Result<AlterTableAction, SyntaxError> {
    if let Some(layout) = Layout::change(c)? {
        return Ok(AlterTableAction::Layout(layout));
    }
    if let Some(tags) = super::tag::assignments(c)? {
        return Ok(AlterTableAction::Tags { column: None, tags });
    }
    Ok(if c.words(&["set", "schema"]) {
        AlterTableAction::SetSchema(c.ident()?)
    } else if c.words(&["enable", "row", "level", "security"]) {
        AlterTableAction::RowSecurity(true)
    } else if c.words(&["disable", "row", "level", "security"]) {
        AlterTableAction::RowSecurity(false)
    } else if c.words(&["force", "row", "level", "security"]) {
        AlterTableAction::ForceRowSecurity(true)
    } else if c.words(&["no", "force", "row", "level", "security"]) {
        AlterTableAction::ForceRowSecurity(false)
    } else if c.words(&["row", "level", "security"]) {
        let on = c.words(&["on"]);
        if !on {
            c.expect_words(&["off"])?;
        }
        let typed = c.words(&["conjunction", "type"]);
        let any = typed && c.words(&["or"]);
        if typed && !any {
            c.expect_words(&["and"])?;
        }
        AlterTableAction::RlsPolicies { on, any: typed.then_some(any) }
    } else if c.words(&["owner", "to"]) {
        AlterTableAction::Owner(RoleSpec::parse(c)?)
    } else if c.words(&["rename", "to"]) {
        AlterTableAction::Rename(c.ident()?)
    } else if c.words(&["rename"]) {
        if c.words(&["constraint"]) {
            let name = c.ident()?;
            c.expect_words(&["to"])?;
            return Ok(AlterTableAction::RenameConstraint { name, to: c.ident()? });
        }
        let _noise = c.words(&["column"]);
        let column = c.ident()?;
        c.expect_words(&["to"])?;
        AlterTableAction::RenameColumn { column, to: c.ident()? }
    } else if c.words(&["add"]) {
        if c.peek_any(TABLE_CONSTRAINTS) {
            return Ok(AlterTableAction::AddConstraint(Box::new(of_table(c)?)));
        }
        let _noise = c.words(&["column"]);
        let if_not_exists = c.if_not_exists();
        let name = c.ident()?;
        AlterTableAction::AddColumn { if_not_exists, column: Box::new(column_definition(c, name)?) }
    } else if c.words(&["drop"]) {
        if c.words(&["constraint"]) {
            let if_exists = c.if_exists();
            let name = c.ident()?;
            let cascade = c.words(&["cascade"]);
            let _default = !cascade && c.words(&["restrict"]);
            return Ok(AlterTableAction::DropConstraint { if_exists, name, cascade });
        }
        let _noise = c.words(&["column"]);
        let if_exists = c.if_exists();
        let column = c.ident()?;
        let cascade = c.words(&["cascade"]);
        let _default = !cascade && c.words(&["restrict"]);
        AlterTableAction::DropColumn { if_exists, column, cascade }
    } else if c.words(&["alter"]) {
        let _noise = c.words(&["column"]);
        if c.peek_any(&["constraint"]) {
            return Err(c.unsupported("ALTER CONSTRAINT"));
        }
        let column = c.ident()?;
        if let Some(mask) = mask(c, table, &column)? {
            return Ok(mask);
        }
        match super::tag::assignments(c)? {
            Some(tags) => AlterTableAction::Tags { column: Some(column), tags },
            None => AlterTableAction::AlterColumn(column, alter_column(c)?),
        }
    } else if c.words(&["modify"]) {
        let _noise = c.words(&["column"]);
        let column = c.ident()?;
        mask(c, table, &column)?.ok_or_else(|| c.unexpected())?
    } else if c.words(&["validate", "constraint"]) {
        AlterTableAction::ValidateConstraint(c.ident()?)
    } else {
        return Err(c.unsupported_or_unexpected(
            "ALTER TABLE …",
            &["set", "reset", "attach", "detach", "inherit", "enable", "disable", "cluster", "validate"],
        ));
    })
}

/// `SET MASKING POLICY …` or `UNSET MASKING POLICY`, if it is that.
fn mask(c: &mut Cursor<'_>, table: &QualifiedName, column: &str) -> Result<Option<AlterTableAction>, SyntaxError> {
    let (table, column) = (table.clone(), column.to_owned());
    Ok(if c.words(&["set", "masking", "policy"]) {
        super::policy::set(c, table, column).map(AlterTableAction::AttachMask).map(Some)?
    } else if c.words(&["unset", "masking", "policy"]) {
        let (path, grantee) = (Vec::new(), RoleSpec::Public);
        Some(AlterTableAction::DetachMask(DetachMask { policy: None, table, column, path, grantee }))
    } else {
        None
    })
}

fn alter_column(c: &mut Cursor<'_>) -> Result<AlterColumn, SyntaxError> {
    Ok(if c.words(&["set", "default"]) {
        AlterColumn::Default(Some(c.expression()?.1))
    } else if c.words(&["drop", "default"]) {
        AlterColumn::Default(None)
    } else if c.words(&["set", "expression", "as"]) {
        c.expect_left_parenthesis()?;
        let (_, expression) = c.expression()?;
        c.expect_right_parenthesis()?;
        AlterColumn::Expression(expression)
    } else if c.words(&["drop", "expression"]) {
        AlterColumn::DropExpression { if_exists: c.if_exists() }
    } else if c.words(&["set", "not", "null"]) {
        AlterColumn::NotNull(true)
    } else if c.words(&["drop", "not", "null"]) {
        AlterColumn::NotNull(false)
    } else if c.words(&["set", "data", "type"]) || c.words(&["type"]) {
        let pg = c.data_type()?;
        c.collation()?;
        let using = if c.words(&["using"]) { Some(Box::new(c.expression()?.0)) } else { None };
        AlterColumn::Type { pg, using }
    } else if c.words(&["add", "generated", "always", "as", "identity"]) {
        AlterColumn::AddIdentity(identity(c, IdentityKind::Always)?)
    } else if c.words(&["add", "generated", "by", "default", "as", "identity"]) {
        AlterColumn::AddIdentity(identity(c, IdentityKind::ByDefault)?)
    } else if c.words(&["drop", "identity"]) {
        AlterColumn::DropIdentity { if_exists: c.if_exists() }
    } else if c.peek_any(&["set", "restart"]) {
        let (kind, options) = identity_changes(c)?;
        AlterColumn::Identity { kind, options }
    } else {
        return Err(c.unsupported_or_unexpected("ALTER COLUMN …", &["set", "drop", "add", "reset", "restart"]));
    })
}

/// `{SET GENERATED … | SET option | RESTART …} …`.
fn identity_changes(c: &mut Cursor<'_>) -> Result<(Option<IdentityKind>, SequenceOptions), SyntaxError> {
    let mut kind = None;
    let mut all = SequenceOptions::default();
    loop {
        if c.words(&["set", "generated", "always"]) {
            kind = Some(IdentityKind::Always);
        } else if c.words(&["set", "generated", "by", "default"]) {
            kind = Some(IdentityKind::ByDefault);
        } else if c.words(&["set"]) || c.peek_any(&["restart"]) {
            let options = SequenceOptions::parse(c)?;
            if options == SequenceOptions::default() || !all.add(options) {
                return Err(c.unexpected());
            }
        } else {
            return Ok((kind, all));
        }
    }
}
