//! Statements about the session itself: settings, roles, transactions.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::state::open_transaction;
use super::{Description, Session};
use crate::catalog::ConstraintKind;
use crate::context::{Assignment, Effect};
use crate::error::{Notice, Plain, SqlError, SqlState, unsupported};
use crate::execute::Outcome;
use crate::govern::can_set;
use crate::name::ObjectId;
use crate::notification::{Listening, Notification, letter};
use crate::setting::{SETTINGS, find};
use crate::statement::{
    Command, IsolationLevel, SetConstraints, SetStatement, SetValue, Shown, Statement, TransactionModes,
};
use crate::types::{PgType, field};

impl Session {
    /// Runs a statement about the session; `None` if it is about data.
    pub(super) async fn control(&mut self, statement: &Statement) -> Result<Option<Outcome>, SqlError> {
        let command = &statement.command;
        let tag = match command {
            Command::Begin(modes) => {
                self.begin(*modes)?;
                command.tag()
            }
            Command::SetTransaction(modes) => {
                self.set_modes(*modes)?;
                "SET"
            }
            Command::SetConstraints(set) => {
                self.set_constraints(set)?;
                command.tag()
            }
            Command::Commit => self.commit().await?,
            Command::Rollback => {
                self.roll_back_explicit().await;
                "ROLLBACK"
            }
            Command::Savepoint(name) => {
                self.savepoint(name)?;
                "SAVEPOINT"
            }
            Command::RollbackTo(name) => {
                self.roll_back_to(name).await?;
                "ROLLBACK"
            }
            Command::Release(name) => {
                self.release(name)?;
                "RELEASE"
            }
            Command::Set(set) => {
                self.set(set)?;
                "SET"
            }
            Command::SetCharacteristics(modes) => {
                self.set_characteristics(*modes)?;
                "SET"
            }
            Command::Reset(name) => {
                self.reset(name.as_deref())?;
                "RESET"
            }
            Command::Show(shown) => return Ok(Some(self.show(shown)?)),
            Command::DiscardTemporary => {
                if self.open.is_some() {
                    return Err(unsupported("DISCARD TEMP inside a transaction block").into());
                }
                self.drop_temporary().await;
                "DISCARD TEMP"
            }
            Command::DiscardAll => {
                self.discard_all().await?;
                "DISCARD ALL"
            }
            Command::Listen(listening) => {
                self.begin_implicit();
                open_transaction(&mut self.open)?.pending.listen(listening.clone());
                command.tag()
            }
            Command::Notify(channel, payload) => {
                self.begin_implicit();
                self.notify_others(Notification::new(self.pid, channel, payload)?)?;
                command.tag()
            }
            Command::Prepare(prepare) => {
                self.prepare_by_name(prepare, statement.text.sql()).await?;
                "PREPARE"
            }
            Command::Deallocate(Some(name)) => {
                if self.prepared.remove(name).is_none() {
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(Plain::new(SqlState::INVALID_STATEMENT_NAME, message).into());
                }
                "DEALLOCATE"
            }
            Command::Deallocate(None) => {
                self.prepared.retain(|name, _| name.is_empty());
                "DEALLOCATE ALL"
            }
            Command::Fetch(fetch) => return Ok(Some(self.fetch_cursor(fetch).await?)),
            Command::CloseCursor(name) => {
                self.close_cursor(name.as_deref())?;
                command.tag()
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done(tag.to_owned())))
    }

    /// DISCARD ALL. `25001` inside a transaction block.
    async fn discard_all(&mut self) -> Result<(), SqlError> {
        if self.open.is_some() {
            return Err(
                Plain::new(SqlState::ACTIVE_TRANSACTION, "DISCARD ALL cannot run inside a transaction block").into()
            );
        }
        self.prepared.clear();
        self.portals.clear();
        self.cursors.clear();
        if let Some(backend) = self.shared.activity.backend(self.pid) {
            backend.mailbox().listen(Listening::ToNone);
        }
        self.advisory.release_all().await?;
        self.drop_temporary().await;
        self.drawn = Arc::default();
        self.session_role = self.login_role;
        self.role = self.login_role;
        self.roles_set(false);
        self.reset(None)
    }

    /// What a statement about the session takes and gives; `None` if it is about data.
    pub(super) fn describe_control(&self, statement: &Statement) -> Result<Option<Description>, SqlError> {
        let fields = match &statement.command {
            Command::Show(shown) => Some(self.shown(shown)?.0),
            Command::Fetch(fetch) if !fetch.skip => Some(self.cursor(&fetch.name)?.fields.clone()),
            Command::Execute(execute) => self.prepared(&execute.name)?.description.fields.clone(),
            Command::Fetch(_)
            | Command::Prepare(_)
            | Command::CloseCursor(_)
            | Command::Begin(_)
            | Command::SetTransaction(_)
            | Command::SetConstraints(_)
            | Command::Commit
            | Command::Rollback
            | Command::Savepoint(_)
            | Command::RollbackTo(_)
            | Command::Release(_)
            | Command::Set(_)
            | Command::SetCharacteristics(_)
            | Command::Reset(_)
            | Command::DiscardAll
            | Command::DiscardTemporary
            | Command::Deallocate(_)
            | Command::Listen(_)
            | Command::Notify(..) => None,
            _ => return Ok(None),
        };
        Ok(Some(Description { parameters: vec![PgType::Text; statement.parameters], fields }))
    }

    /// Takes over what the last statement left: settings and notifications.
    pub(super) fn take_effects(&mut self) -> Result<(), SqlError> {
        for effect in self.effects.take() {
            match effect {
                Effect::Assigned(Assignment { name, value, local }) => {
                    self.set(&SetStatement { local, value: SetValue::Setting { name, value } })?;
                }
                Effect::Notified(told) => self.notify_others(told)?,
                Effect::Warned(code, message) => self.notify(Notice::warning(code, message)),
            }
        }
        Ok(())
    }

    /// NOTIFY, once the transaction commits. `54000` if someone does not listen any more, `22023`.
    fn notify_others(&mut self, told: Notification) -> Result<(), SqlError> {
        if self.shared.activity.is_deaf(&told.channel) {
            let message = "too many notifications in the NOTIFY queue";
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
        }
        if self.shared.metastore.is_shared() {
            letter(self.shared.activity.id(), &told)?;
        }
        open_transaction(&mut self.open)?.pending.tell(told)
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION: `default_transaction_isolation` and `default_transaction_read_only`.
    fn set_characteristics(&mut self, modes: TransactionModes) -> Result<(), SqlError> {
        let level = modes.isolation.map(|level| match level {
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead => "repeatable read",
            IsolationLevel::Serializable => "serializable",
        });
        let read_only = modes.read_only.map(|read_only| if read_only { "on" } else { "off" });
        for (name, value) in [("default_transaction_isolation", level), ("default_transaction_read_only", read_only)] {
            if let Some(value) = value {
                let value = SetValue::Setting { name: name.to_owned(), value: Some(value.to_owned()) };
                self.set(&SetStatement { local: false, value })?;
            }
        }
        Ok(())
    }

    /// `42704`, `42809`
    fn set_constraints(&mut self, set: &SetConstraints) -> Result<(), SqlError> {
        if self.open.is_none() {
            let message = "SET CONSTRAINTS can only be used in transaction blocks";
            self.notify(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, message));
        }
        let context = self.context();
        for name in &set.names {
            let schemas = match &name.schema {
                Some(schema) => context
                    .catalog
                    .schema_id(schema)
                    .filter(|schema| context.may_use_schema(*schema))
                    .into_iter()
                    .collect(),
                None => context.search_path.clone(),
            };
            let relations = context.catalog.relations().filter(|(_, relation)| schemas.contains(&relation.schema));
            let constraints = relations.flat_map(|(_, relation)| &relation.constraints);
            let named: Vec<_> = constraints.filter(|constraint| constraint.name == name.name).collect();
            if named.is_empty() {
                let message = format!("constraint \"{}\" does not exist", name.name);
                return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
            }
            let may_wait = |kind: &ConstraintKind| matches!(kind, ConstraintKind::Foreign(key) if key.deferrable);
            if set.deferred && !named.iter().any(|constraint| may_wait(&constraint.kind)) {
                let message = format!("constraint \"{}\" is not deferrable", name.name);
                return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
        }
        Ok(())
    }

    fn set(&mut self, set: &SetStatement) -> Result<(), SqlError> {
        if set.local && self.open.is_none() {
            self.notify(Notice::warning(
                SqlState::NO_ACTIVE_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            ));
            return Ok(());
        }
        match &set.value {
            SetValue::Setting { name, value } => {
                let initial = || find(name).map(|setting| self.initial.value(setting));
                let value = value.clone().or_else(initial);
                let mut next = self.settings.clone();
                next.set(name, value.as_deref())?;
                if !set.local {
                    self.lasting.set(name, value.as_deref())?;
                }
                self.settings = next;
            }
            SetValue::Role(name) => {
                let role = match name {
                    Some(name) => self.role_to_be(name, self.session_role)?,
                    None => self.session_role,
                };
                self.role = role;
                self.roles_set(set.local);
            }
            SetValue::SessionAuthorization(name) => {
                let role = match name {
                    Some(name) => self.role_to_be(name, self.login_role)?,
                    None => self.login_role,
                };
                let superuser = self.catalog().role(self.login_role).is_some_and(|role| role.superuser);
                if role != self.login_role && !superuser {
                    return Err(Plain::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        "permission denied to set session authorization",
                    )
                    .into());
                }
                self.session_role = role;
                self.role = role;
                self.roles_set(set.local);
            }
        }
        Ok(())
    }

    /// A role that `from` may become. `22023`, `42501`.
    fn role_to_be(&mut self, name: &str, from: ObjectId) -> Result<ObjectId, SqlError> {
        self.read_todays_rights()?;
        let catalog = self.catalog();
        let missing = || Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("role \"{name}\" does not exist"));
        let role = catalog.role_id(name).ok_or_else(missing)?;
        let superuser = catalog.role(from).is_some_and(|role| role.superuser);
        if superuser || can_set(from, role, |id| catalog.role(id)) {
            return Ok(role);
        }
        Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to set role \"{name}\"")).into())
    }

    fn roles_set(&mut self, local: bool) {
        if !local {
            self.lasting_roles = (self.session_role, self.role);
        }
        self.show_roles();
    }

    /// Puts the roles into the settings that show them.
    pub(super) fn show_roles(&mut self) {
        let catalog = self.catalog();
        let superuser = catalog.role(self.role).is_some_and(|role| role.superuser);
        let name = catalog.role_name(self.session_role);
        for settings in [&mut self.settings, &mut self.lasting] {
            settings.set_internal("is_superuser", if superuser { "on" } else { "off" });
            settings.set_internal("session_authorization", &name);
        }
    }

    fn reset(&mut self, name: Option<&str>) -> Result<(), SqlError> {
        match name {
            Some("role") => self.set(&SetStatement { local: false, value: SetValue::Role(None) })?,
            Some("session_authorization") => {
                self.set(&SetStatement { local: false, value: SetValue::SessionAuthorization(None) })?;
            }
            Some(name) => {
                let value = find(name).map(|setting| self.initial.value(setting));
                self.settings.set(name, value.as_deref())?;
                self.lasting.set(name, value.as_deref())?;
            }
            None => {
                self.settings = self.initial.clone();
                self.lasting = self.initial.clone();
                self.show_roles();
            }
        }
        Ok(())
    }

    fn show(&self, shown: &Shown) -> Result<Outcome, SqlError> {
        let (fields, columns) = self.shown(shown)?;
        let arrays = columns.into_iter().map(|values| Arc::new(StringViewArray::from_iter_values(values)) as ArrayRef);
        let schema = Arc::new(Schema::new(fields.clone()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).map_err(SqlError::from_arrow)?;
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])));
        Ok(Outcome::Returned { fields, stream, tag: "SHOW".to_owned() })
    }

    fn shown(&self, shown: &Shown) -> Result<(Vec<FieldRef>, Vec<Vec<String>>), SqlError> {
        let settings = self.settings.with_system(self.catalog().system_settings());
        let text = |name: &str| -> FieldRef { Arc::new(field(name, &PgType::Text, true)) };
        match shown {
            Shown::One(name) => {
                let unknown = || {
                    Plain::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
                };
                let (name, value) = settings.show(name).ok_or_else(unknown)?;
                Ok((vec![text(&name)], vec![vec![value]]))
            }
            Shown::All => {
                let columns = [
                    SETTINGS.iter().map(|setting| setting.name.to_owned()).collect(),
                    SETTINGS.iter().map(|setting| settings.value(setting)).collect(),
                    SETTINGS.iter().map(|setting| setting.doc.to_owned()).collect(),
                ];
                Ok((vec![text("name"), text("setting"), text("description")], columns.into()))
            }
        }
    }
}
