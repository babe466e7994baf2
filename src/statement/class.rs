//! What kind of thing each command does: whether a read-only or a failed transaction admits it, and its command tag.
#![deny(clippy::wildcard_enum_match_arm)]

use super::{
    AlterType, Command, DropKind, Explain, NewType, Owned, RlsChange, RowChange, SetStatement, SetTags, SetValue,
    TagMaskChange, TagsOf,
};
use crate::notification::Listening;

/// What a command does, as far as a transaction's state decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads data.
    Read,
    /// Changes data or the catalog.
    Write,
    /// Changes or shows the session only.
    Session,
    /// Begins or ends a transaction or a part of it; the only class a failed transaction admits, when it ends one.
    Transaction,
}

impl Command {
    /// What the command does. EXPLAIN reads; with ANALYZE it does what the statement that it explains does.
    pub fn class(&self) -> Class {
        match self {
            Self::Query(_) | Self::Declare(_) | Self::LockTable(_) | Self::Checkpoint => Class::Read,
            Self::Copy(copy) => match copy.target {
                super::CopyTarget::ToStdout => Class::Read,
                super::CopyTarget::FromStdin
                | super::CopyTarget::FromLocation(_)
                | super::CopyTarget::ToLocation(_) => Class::Write,
            },
            Self::Explain(Explain { analyze: false, .. }) => Class::Read,
            Self::Explain(Explain { analyze: true, statement, .. }) => statement.class(),
            Self::Insert(_)
            | Self::Modify(_)
            | Self::Merge(_)
            | Self::Parts(_)
            | Self::CreateSchema(_)
            | Self::AlterSchema(_)
            | Self::CreateTable(_)
            | Self::CreateTableAs(_)
            | Self::Refresh(_)
            | Self::CreateExternalTable(_)
            | Self::CreateView(_)
            | Self::CreateIndex(_)
            | Self::CreateCredential(_)
            | Self::AlterTable(_)
            | Self::CreateSequence(_)
            | Self::AlterSequence(_)
            | Self::CreateType(_)
            | Self::AlterType(_)
            | Self::Drop(_)
            | Self::Truncate(_)
            | Self::Maintain(_)
            | Self::Comment(_)
            | Self::CreateRole(_)
            | Self::AlterRole(_)
            | Self::AlterSystem(_)
            | Self::Restore(_)
            | Self::DropRole(_)
            | Self::Grant(_)
            | Self::Revoke(_)
            | Self::AlterDefaultPrivileges(_)
            | Self::Owned(_)
            | Self::GrantRole(_)
            | Self::RevokeRole(_)
            | Self::CreatePolicy(_)
            | Self::AlterPolicy(_)
            | Self::CreateMaskingPolicy(_)
            | Self::CreateRlsPolicy(_)
            | Self::AlterRlsPolicy(_)
            | Self::ChangeRls(_)
            | Self::AttachMask(_)
            | Self::DetachMask(_)
            | Self::CreateTag(_)
            | Self::AlterTag(_)
            | Self::SetTags(_)
            | Self::TagMask(_) => Class::Write,
            Self::Set(_)
            | Self::SetCharacteristics(_)
            | Self::Show(_)
            | Self::Reset(_)
            | Self::DiscardAll
            | Self::DiscardTemporary
            | Self::Deallocate(_)
            | Self::Listen(_)
            | Self::Notify(..)
            | Self::Prepare(_)
            | Self::Execute(_)
            | Self::Fetch(_)
            | Self::CloseCursor(_)
            | Self::SetConstraints(_)
            | Self::SetTransaction(_) => Class::Session,
            Self::Begin(_)
            | Self::Commit
            | Self::Rollback
            | Self::Savepoint(_)
            | Self::RollbackTo(_)
            | Self::Release(_) => Class::Transaction,
        }
    }

    /// What the audit trail takes the command for.
    pub fn audit_class(&self) -> crate::audit::Class {
        use crate::audit::Class as Audited;
        match self {
            Self::Query(_) | Self::Declare(_) => Audited::Read,
            Self::Explain(Explain { analyze: false, .. }) => Audited::Misc,
            Self::Explain(Explain { analyze: true, statement, .. }) => statement.audit_class(),
            Self::Copy(copy) => match copy.target {
                super::CopyTarget::ToStdout => Audited::Read,
                super::CopyTarget::FromStdin
                | super::CopyTarget::FromLocation(_)
                | super::CopyTarget::ToLocation(_) => Audited::Write,
            },
            Self::Insert(_) | Self::Modify(_) | Self::Merge(_) | Self::Parts(_) | Self::Truncate(_) => Audited::Write,
            Self::AlterTable(alter) if alter.actions.iter().any(super::AlterTableAction::decides) => Audited::Role,
            Self::CreateRole(_)
            | Self::AlterRole(_)
            | Self::DropRole(_)
            | Self::Grant(_)
            | Self::Revoke(_)
            | Self::AlterDefaultPrivileges(_)
            | Self::Owned(_)
            | Self::GrantRole(_)
            | Self::RevokeRole(_)
            | Self::CreatePolicy(_)
            | Self::AlterPolicy(_)
            | Self::CreateMaskingPolicy(_)
            | Self::CreateRlsPolicy(_)
            | Self::AlterRlsPolicy(_)
            | Self::ChangeRls(_)
            | Self::AttachMask(_)
            | Self::DetachMask(_)
            | Self::CreateTag(_)
            | Self::AlterTag(_)
            | Self::SetTags(_)
            | Self::TagMask(_)
            | Self::AlterSystem(_)
            | Self::Set(SetStatement { value: SetValue::Role(_) | SetValue::SessionAuthorization(_), .. }) => {
                Audited::Role
            }
            Self::CreateSchema(_)
            | Self::AlterSchema(_)
            | Self::CreateTable(_)
            | Self::CreateTableAs(_)
            | Self::Refresh(_)
            | Self::CreateExternalTable(_)
            | Self::CreateView(_)
            | Self::CreateIndex(_)
            | Self::CreateCredential(_)
            | Self::AlterTable(_)
            | Self::CreateSequence(_)
            | Self::AlterSequence(_)
            | Self::CreateType(_)
            | Self::AlterType(_)
            | Self::Drop(_)
            | Self::Comment(_)
            | Self::Restore(_) => Audited::Ddl,
            Self::Maintain(_)
            | Self::LockTable(_)
            | Self::Checkpoint
            | Self::Set(_)
            | Self::SetCharacteristics(_)
            | Self::Show(_)
            | Self::Reset(_)
            | Self::DiscardAll
            | Self::DiscardTemporary
            | Self::Deallocate(_)
            | Self::Listen(_)
            | Self::Notify(..)
            | Self::Prepare(_)
            | Self::Execute(_)
            | Self::Fetch(_)
            | Self::CloseCursor(_)
            | Self::SetConstraints(_)
            | Self::SetTransaction(_)
            | Self::Begin(_)
            | Self::Commit
            | Self::Rollback
            | Self::Savepoint(_)
            | Self::RollbackTo(_)
            | Self::Release(_) => Audited::Misc,
        }
    }

    /// Whether tables in it may be asked for as they were: not where text is kept to be read again.
    pub(super) fn may_read_the_past(&self) -> bool {
        if let Self::Explain(explain) = self {
            return explain.statement.may_read_the_past();
        }
        if let Self::Prepare(prepare) = self {
            return prepare.statement.command.may_read_the_past();
        }
        if let Self::Copy(copy) = self {
            return matches!(copy.source, super::CopySource::Query(_));
        }
        matches!(
            self,
            Self::Query(_)
                | Self::Declare(_)
                | Self::Insert(_)
                | Self::Modify(_)
                | Self::Merge(_)
                | Self::CreateTableAs(_)
                | Self::Restore(_)
        )
    }

    /// The command tag, without counts.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Query(_) => "SELECT",
            Self::Insert(_) => "INSERT",
            Self::Modify(modify) => match modify.change {
                RowChange::Update(_) => "UPDATE",
                RowChange::Delete => "DELETE",
            },
            Self::Merge(_) => "MERGE",
            Self::Parts(with) => with.main.tag(),
            Self::Explain(_) => "EXPLAIN",
            Self::Copy(_) => "COPY",
            Self::CreateSchema(_) => "CREATE SCHEMA",
            Self::AlterSchema(_) => "ALTER SCHEMA",
            Self::LockTable(_) => "LOCK TABLE",
            Self::Checkpoint => "CHECKPOINT",
            Self::CreateTable(_) => "CREATE TABLE",
            Self::CreateTableAs(create) if create.materialized.is_some() => "CREATE MATERIALIZED VIEW",
            Self::CreateTableAs(_) => "CREATE TABLE AS",
            Self::Refresh(_) => "REFRESH MATERIALIZED VIEW",
            Self::CreateExternalTable(_) => "CREATE EXTERNAL TABLE",
            Self::CreateView(_) => "CREATE VIEW",
            Self::CreateType(create) => match create.definition {
                NewType::Enum(_) | NewType::Composite(_) => "CREATE TYPE",
                NewType::Domain(_) => "CREATE DOMAIN",
            },
            Self::AlterType(AlterType { domain: false, .. }) => "ALTER TYPE",
            Self::AlterType(AlterType { domain: true, .. }) => "ALTER DOMAIN",
            Self::CreateIndex(_) => "CREATE INDEX",
            Self::CreateCredential(_) => "CREATE STORAGE CREDENTIAL",
            Self::AlterTable(alter) => alter.kind.tag(),
            Self::CreateSequence(_) => "CREATE SEQUENCE",
            Self::AlterSequence(_) => "ALTER SEQUENCE",
            Self::Drop(drop) => drop.kind.tag(),
            Self::Truncate(_) => "TRUNCATE TABLE",
            Self::Maintain(maintain) => {
                if maintain.vacuum {
                    "VACUUM"
                } else {
                    "ANALYZE"
                }
            }
            Self::Comment(_) => "COMMENT",
            Self::CreateRole(_) => "CREATE ROLE",
            Self::AlterRole(_) => "ALTER ROLE",
            Self::AlterSystem(_) => "ALTER SYSTEM",
            Self::Restore(restore) => {
                if restore.dropped {
                    "UNDROP TABLE"
                } else {
                    "RESTORE TABLE"
                }
            }
            Self::DropRole(_) => "DROP ROLE",
            Self::Grant(_) => "GRANT",
            Self::Revoke(_) => "REVOKE",
            Self::AlterDefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
            Self::Owned(Owned { to: Some(_), .. }) => "REASSIGN OWNED",
            Self::Owned(_) => "DROP OWNED",
            Self::GrantRole(_) => "GRANT ROLE",
            Self::RevokeRole(_) => "REVOKE ROLE",
            Self::CreatePolicy(_) => "CREATE POLICY",
            Self::AlterPolicy(_) => "ALTER POLICY",
            Self::CreateMaskingPolicy(_) => "CREATE MASKING POLICY",
            Self::CreateRlsPolicy(_) => "CREATE RLS POLICY",
            Self::AlterRlsPolicy(_) => "ALTER RLS POLICY",
            Self::ChangeRls(RlsChange { attach: true, .. }) => "ATTACH RLS POLICY",
            Self::ChangeRls(_) => "DETACH RLS POLICY",
            Self::AttachMask(_) => "ATTACH MASKING POLICY",
            Self::DetachMask(_) => "DETACH MASKING POLICY",
            Self::CreateTag(_) => "CREATE TAG",
            Self::AlterTag(_) => "ALTER TAG",
            Self::SetTags(SetTags { of: TagsOf::Schema(_), .. }) => "ALTER SCHEMA",
            Self::SetTags(SetTags { of: TagsOf::Database(_), .. }) => "ALTER DATABASE",
            Self::TagMask(TagMaskChange { attach: Some(_), .. }) => "ATTACH MASKING POLICY",
            Self::TagMask(TagMaskChange { attach: None, .. }) => "DETACH MASKING POLICY",
            Self::Set(_) | Self::SetTransaction(_) | Self::SetCharacteristics(_) => "SET",
            Self::Show(_) => "SHOW",
            Self::Reset(_) => "RESET",
            Self::DiscardAll => "DISCARD ALL",
            Self::DiscardTemporary => "DISCARD TEMP",
            Self::Listen(Listening::To(_)) => "LISTEN",
            Self::Listen(_) => "UNLISTEN",
            Self::Notify(..) => "NOTIFY",
            Self::Prepare(_) => "PREPARE",
            Self::Execute(_) => "EXECUTE",
            Self::Deallocate(Some(_)) => "DEALLOCATE",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::Declare(_) => "DECLARE CURSOR",
            Self::Fetch(fetch) if fetch.skip => "MOVE",
            Self::Fetch(_) => "FETCH",
            Self::CloseCursor(Some(_)) => "CLOSE CURSOR",
            Self::CloseCursor(None) => "CLOSE CURSOR ALL",
            Self::Begin(modes) if modes.start => "START TRANSACTION",
            Self::Begin(_) => "BEGIN",
            Self::SetConstraints(_) => "SET CONSTRAINTS",
            Self::Commit => "COMMIT",
            Self::Rollback | Self::RollbackTo(_) => "ROLLBACK",
            Self::Savepoint(_) => "SAVEPOINT",
            Self::Release(_) => "RELEASE",
        }
    }
}

impl DropKind {
    fn tag(&self) -> &'static str {
        match self {
            Self::Table => "DROP TABLE",
            Self::ExternalTable => "DROP EXTERNAL TABLE",
            Self::View => "DROP VIEW",
            Self::MaterializedView => "DROP MATERIALIZED VIEW",
            Self::Sequence => "DROP SEQUENCE",
            Self::Index => "DROP INDEX",
            Self::Type => "DROP TYPE",
            Self::Domain => "DROP DOMAIN",
            Self::Schema => "DROP SCHEMA",
            Self::MaskingPolicy => "DROP MASKING POLICY",
            Self::RlsPolicy => "DROP RLS POLICY",
            Self::Credential => "DROP STORAGE CREDENTIAL",
            Self::Tag => "DROP TAG",
            Self::Policy(_) => "DROP POLICY",
        }
    }
}
