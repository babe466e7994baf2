//! What the audit trail is told of statements.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result as EngineResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

use super::{Run, Session};
use crate::audit::{Audit, Class, Entry, Object};
use crate::catalog::Body;
use crate::context::Context;
use crate::error::{Plain, SqlError, SqlState};
use crate::execute::Outcome;
use crate::govern::{PolicyCommand, Privilege, UNMASKED_POLICY, part_name};
use crate::guard::{Reader, Shown, attachments, row_policies};
use crate::name::ObjectId;
use crate::pg::SequenceAction;
use crate::plan::{Need, Right};

/// What is known of a statement before it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) objects: Vec<Object>,
    pub(super) policies: Vec<String>,
}

impl Seen {
    /// What some needs are for, and the policies that they are met under.
    pub(super) fn of(ctx: &Context, reader: &Reader, needs: &[Need]) -> Self {
        let mut seen = Self::default();
        for need in needs {
            seen.add(ctx, reader, need);
        }
        seen.policies.sort();
        seen.policies.dedup();
        seen
    }

    fn add(&mut self, ctx: &Context, reader: &Reader, need: &Need) {
        let (id, privilege, columns): (ObjectId, String, &[i32]) = match &need.right {
            Right::Relation { id, privilege, columns } => (*id, privilege.keyword().to_owned(), columns),
            Right::AnyColumn { id, privilege } => (*id, privilege.keyword().to_owned(), &[]),
            Right::Sequence(id, SequenceAction::Current) => (*id, "SELECT".to_owned(), &[]),
            Right::Sequence(id, _) => (*id, "USAGE".to_owned(), &[]),
            Right::Own(id) | Right::OwnOr(_, id) => (*id, "OWNER".to_owned(), &[]),
            Right::Apply(id) => (*id, "APPLY".to_owned(), &[]),
            Right::UseType(id) => (*id, "USAGE".to_owned(), &[]),
            Right::AnyOf { id, .. } | Right::Anything { id, .. } => (*id, "ANY".to_owned(), &[]),
            Right::Schema(id, privilege) => (*id, privilege.keyword().to_owned(), &[]),
            Right::Superuser(_)
            | Right::Attribute(..)
            | Right::Member(_)
            | Right::RightsOf(..)
            | Right::Admin(..)
            | Right::Database(_) => return,
        };
        let rights_of = (need.role != ctx.user).then(|| ctx.catalog.role_name(need.role));
        let Some(relation) = ctx.catalog.relation(id) else {
            let (name, kind) = match ctx.catalog.entry(id).map(|entry| &entry.body) {
                Some(Body::Schema(schema)) => (schema.name.clone(), "schema"),
                Some(Body::Tag(tag)) => (tag.name.clone(), "tag"),
                Some(Body::Type(user_type)) => (user_type.name.clone(), "type"),
                _ => return,
            };
            return self.objects.push(Object { name, kind, privilege, columns: Vec::new(), rights_of });
        };
        let schema = ctx.catalog.schema(relation.schema).map(|schema| schema.name.as_str()).unwrap_or_default();
        let at = |column: &i32| usize::try_from(*column).ok().and_then(|at| relation.columns.get(at));
        let object = Object {
            name: format!("{schema}.{}", relation.name),
            kind: relation.kind_name(),
            privilege,
            columns: columns.iter().filter_map(at).map(|column| column.name.clone()).collect(),
            rights_of,
        };
        self.add_policies(ctx, reader, need, &object.name);
        self.objects.push(object);
    }

    fn add_policies(&mut self, ctx: &Context, reader: &Reader, need: &Need, name: &str) {
        let (id, privilege, columns): (ObjectId, Privilege, &[i32]) = match &need.right {
            Right::Relation { id, privilege, columns } => (*id, *privilege, columns),
            Right::AnyColumn { id, privilege } => (*id, *privilege, &[]),
            _ => return,
        };
        let (Some(command), Some(relation)) = (command_of(privilege), ctx.catalog.relation(id)) else { return };
        if relation.row_security {
            let who = ctx.as_role(need.role);
            if let Some(rules) = row_policies(&who, id, relation, command) {
                let none = rules.permissive.is_empty().then(|| format!("{name}: no row policy, no row"));
                let all = rules.permissive.iter().chain(&rules.restrictive);
                self.policies.extend(none);
                self.policies.extend(all.map(|policy| format!("{name}: row policy {}", policy.name)));
            }
        }
        if command != PolicyCommand::Select {
            return;
        }
        for attached in attachments(ctx, reader, id, relation).unwrap_or_default() {
            let read = columns.is_empty() || columns.iter().any(|read| usize::try_from(*read) == Ok(attached.column));
            let Some(masked) = relation.columns.get(attached.column).filter(|_| read) else { continue };
            let policy = match attached.shown {
                Shown::Raw => UNMASKED_POLICY,
                Shown::Masked(policy) => ctx.catalog.masking_policy(policy).map_or("?", |policy| policy.name.as_str()),
                Shown::Nothing => continue,
            };
            let tag = attached.tag.and_then(|(tag, _)| ctx.catalog.tag(tag));
            let by = tag.map(|tag| format!(" by tag {}", tag.name)).unwrap_or_default();
            self.policies.push(format!(
                "{name}: masking policy {policy} on column {}{by}",
                part_name(&masked.name, attached.path)
            ));
        }
    }
}

/// Whether some needs are for relations with policies, whomever these are for.
pub(super) fn are_protected(ctx: &Context, needs: &[Need]) -> bool {
    needs.iter().any(|need| match &need.right {
        Right::Relation { id, .. } | Right::AnyColumn { id, .. } => {
            ctx.catalog.relation(*id).is_some_and(|relation| relation.row_security) || ctx.catalog.has_masks(*id)
        }
        _ => false,
    })
}

fn command_of(privilege: Privilege) -> Option<PolicyCommand> {
    match privilege {
        Privilege::Select => Some(PolicyCommand::Select),
        Privilege::Insert => Some(PolicyCommand::Insert),
        Privilege::Update => Some(PolicyCommand::Update),
        Privilege::Delete => Some(PolicyCommand::Delete),
        _ => None,
    }
}

impl Session {
    /// An entry about this session.
    pub fn audit_entry(&self, class: Class, event: &'static str) -> Entry {
        let head = self.shared.metastore.head();
        let name = |role: ObjectId| head.role_name(role);
        Entry {
            class,
            pid: self.pid,
            login_role: name(self.login_role),
            session_role: name(self.session_role),
            effective_role: name(self.role),
            client: self.client.clone(),
            application: self.settings.application_name(),
            ..Entry::of_server(event, String::new())
        }
    }

    /// Before the effects of a permitted statement, in strict mode. `58030` if it cannot be recorded.
    pub(super) async fn audit_begin(&mut self, run: &Run<'_>) -> Result<(), Plain> {
        let class = self.class_of(run);
        let must = matches!(class, Class::Role | Class::Ddl | Class::Protected);
        if !must || !self.shared.audit.is_strict() || !self.shared.audit.records(class) {
            return Ok(());
        }
        let entry = self.entry_of(run, class, "begin");
        self.shared.audit.record_durably(entry).await
    }

    fn class_of(&self, run: &Run<'_>) -> Class {
        match run.statement.command.audit_class() {
            Class::Read if !self.seen.policies.is_empty() => Class::Protected,
            class => class,
        }
    }

    fn entry_of(&self, run: &Run<'_>, class: Class, event: &'static str) -> Entry {
        Entry {
            command: run.statement.command.tag().to_owned(),
            statement: run.statement.text.redacted().to_owned(),
            objects: self.seen.objects.clone(),
            policies: self.seen.policies.clone(),
            ..self.audit_entry(class, event)
        }
    }

    /// Records what came of a statement, once it is known.
    pub(super) fn audit_end(
        &mut self,
        run: &Run<'_>,
        started: Instant,
        outcome: Result<Outcome, SqlError>,
    ) -> Result<Outcome, SqlError> {
        let class = self.class_of(run);
        let code = outcome.as_ref().err().map(SqlError::sqlstate);
        // What is refused is recorded whatever it is.
        let denied = code == Some(SqlState::INSUFFICIENT_PRIVILEGE);
        let reads_something = !self.seen.objects.is_empty();
        if !denied && (!self.shared.audit.records(class) || class == Class::Read && !reads_something) {
            return outcome;
        }
        let mut entry = self.entry_of(run, class, "statement");
        entry.sqlstate = code.map(|code| code.as_str().to_owned());
        let audit = Arc::clone(&self.shared.audit);
        let watched = |stream, entry| -> SendableRecordBatchStream {
            Box::pin(Watched { stream, entry: Some(entry), rows: 0, started, audit: Arc::clone(&audit) })
        };
        match outcome {
            Ok(Outcome::Rows { fields, stream, tag }) => {
                Ok(Outcome::Rows { fields, stream: watched(stream, entry), tag })
            }
            Ok(Outcome::CopyOut { stream, encoder, columns, binary }) => {
                Ok(Outcome::CopyOut { stream: watched(stream, entry), encoder, columns, binary })
            }
            Ok(Outcome::CopyIn(copy)) => {
                self.copying = Some((entry, started));
                Ok(Outcome::CopyIn(copy))
            }
            other => {
                // What it changed is done, whoever reads its rows.
                if let Ok(Outcome::Done(tag) | Outcome::Returned { tag, .. }) = &other {
                    entry.rows = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
                }
                entry.duration_us = Some(micros(started));
                audit.record(&entry);
                other
            }
        }
    }

    /// A commit that failed: what was recorded of its statements did not come to be.
    pub(super) fn audit_commit(&self, failed: Option<SqlState>) {
        let (Some(code), true) = (failed, self.shared.audit.records(Class::Write)) else { return };
        let sqlstate = Some(code.as_str().to_owned());
        let entry = Entry { sqlstate, ..self.audit_entry(Class::Write, "commit failed") };
        self.shared.audit.record(&entry);
    }

    /// The end of a COPY FROM STDIN, with its rows if it succeeded.
    pub(super) fn audit_copied(&mut self, rows: Option<u64>, code: Option<SqlState>) {
        let Some((mut entry, started)) = self.copying.take() else { return };
        entry.rows = rows;
        entry.sqlstate = code.map(|code| code.as_str().to_owned());
        entry.complete = rows.is_none().then_some(false);
        entry.duration_us = Some(micros(started));
        self.shared.audit.record(&entry);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A result whose end, by whatever cause, is recorded.
struct Watched {
    stream: SendableRecordBatchStream,
    entry: Option<Entry>,
    rows: u64,
    started: Instant,
    audit: Arc<Audit>,
}

impl Watched {
    fn end(&mut self, complete: bool, code: Option<SqlState>) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.rows = Some(self.rows);
        entry.complete = (!complete).then_some(false);
        entry.sqlstate = code.map(|code| code.as_str().to_owned());
        entry.duration_us = Some(micros(self.started));
        self.audit.record(&entry);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.client.is_empty() && self.shared.audit.records(Class::Session) {
            self.shared.audit.record(&self.audit_entry(Class::Session, "logout"));
        }
    }
}

impl Stream for Watched {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        match self.stream.poll_next_unpin(task) {
            Poll::Ready(Some(Ok(batch))) => {
                self.rows += u64::try_from(batch.num_rows()).unwrap_or(0);
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = SqlError::from_engine(error);
                self.end(false, Some(error.sqlstate()));
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.end(true, None);
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl RecordBatchStream for Watched {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end(false, None);
    }
}
