//! The extended query protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use futures::StreamExt;

use super::connection::Connection;
use super::link::{Fault, Stop, Watch};
use super::message::{Bind, Message, Target, violation};
use super::reply::Bare;
use crate::encode::{Format, RowEncoder};
use crate::error::SqlError;
use crate::execute::Outcome;
use crate::session::{BoundValue, Portal, PortalRows, Run};
use crate::statement::Command;
use crate::types::PgType;

impl Connection {
    /// Handles one message; after an error everything up to Sync is skipped.
    pub(super) async fn extended(&mut self, message: Message) -> Result<(), Fault> {
        match self.dispatch(message).await {
            Ok(()) => Ok(()),
            Err(Stop::Statement(error)) => {
                self.report(&error);
                self.skipping = true;
                // At once, as PostgreSQL does: asyncpg waits for it before it sends its Sync.
                self.flush().await
            }
            Err(Stop::Connection(fault)) => Err(fault),
        }
    }

    async fn dispatch(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Parse { name, sql, types } => {
                let known = |oid: &u32| self.session.parameter_type(*oid);
                let types = types.iter().map(known).collect::<Result<Vec<_>, _>>()?;
                let mut watch = self.watch();
                watch.run(&mut self.link, self.session.prepare(&name, &sql, &types)).await??;
                self.link.reply().bare(Bare::ParseComplete);
            }
            Message::Bind(bind) => {
                self.bind(&bind)?;
                self.link.reply().bare(Bare::BindComplete);
            }
            Message::Describe(Target::Statement, name) => {
                let description = self.session.prepared(&name)?.description.clone();
                let oids: Vec<u32> = description.parameters.iter().map(PgType::oid).collect();
                self.link.reply().parameter_description(&oids);
                match &description.fields {
                    Some(fields) => self.link.reply().row_description(fields, &[]),
                    None => self.link.reply().bare(Bare::NoData),
                }
            }
            Message::Describe(Target::Portal, name) => {
                let (fields, formats) = self.session.describe_portal(&name)?;
                match fields {
                    Some(fields) => self.link.reply().row_description(&fields, &formats),
                    None => self.link.reply().bare(Bare::NoData),
                }
            }
            Message::Execute { portal, rows_max } => self.execute(&portal, rows_max).await?,
            Message::Close(target, name) => {
                match target {
                    Target::Statement => self.session.close_statement(&name),
                    Target::Portal => self.session.close_portal(&name),
                }
                self.link.reply().bare(Bare::CloseComplete);
            }
            _ => return Err(violation("not a message of the extended query protocol").into()),
        }
        Ok(())
    }

    fn bind(&mut self, bind: &Bind) -> Result<(), SqlError> {
        let count = bind.values.len();
        if bind.formats.len() > 1 && bind.formats.len() != count {
            return Err(violation(format!(
                "bind message has {} parameter formats but {count} parameters",
                bind.formats.len()
            )));
        }
        let values: Vec<BoundValue<'_>> = bind
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let format = match bind.formats.as_slice() {
                    [one] => *one,
                    many => many.get(index).copied().unwrap_or(Format::Text),
                };
                BoundValue { format, bytes: value.as_deref() }
            })
            .collect();
        self.session.bind(&bind.portal, &bind.statement, &values, &bind.result_formats)
    }

    async fn execute(&mut self, name: &str, rows_max: i32) -> Result<(), Stop> {
        let mut portal = self.session.take_portal(name)?;
        let mut watch = self.watch();
        let limit = u64::try_from(rows_max).ok().filter(|limit| *limit > 0);
        if portal.rows.is_none() && !portal.done {
            let prepared = Arc::clone(&portal.prepared);
            let Some(statement) = &prepared.statement else {
                self.link.reply().bare(Bare::EmptyQuery);
                self.session.put_portal(name, portal);
                return Ok(());
            };
            // Nobody is owed an answer before Flush or Sync, and whether it is Sync decides what can be done at a conflict.
            let writes = matches!(
                statement.command,
                Command::Insert(_) | Command::Modify(_) | Command::Merge(_) | Command::Parts(_)
            );
            while writes && self.session.is_idle() && !self.link.has_input() {
                tokio::select! {
                    filled = self.link.fill() => filled?,
                    () = self.server.shutdown.cancelled() => break,
                }
            }
            let alone = self.link.next_is(b'S');
            let (told, keeper) = (Some(&prepared.description), Some(&prepared.keeper));
            let run = Run { statement, parameters: &portal.parameters, told, keeper };
            match self.perform(run, alone, &mut watch).await? {
                Outcome::Rows { fields, stream, tag } => {
                    portal.rows = Some(PortalRows { fields, stream, current: None, tag: tag.to_owned(), counts: true });
                }
                Outcome::Returned { fields, stream, tag } => {
                    portal.rows = Some(PortalRows { fields, stream, current: None, tag, counts: false });
                }
                other => {
                    let formats = portal.formats.clone();
                    let tag = self.finish(other, &mut watch, Some(&formats)).await?;
                    portal.done = true;
                    // A transaction's end has closed all portals.
                    if !self.session.is_idle() {
                        self.session.put_portal(name, portal);
                    }
                    return self.complete(&tag).await;
                }
            }
        }
        let (count, finished) = self.fetch(&mut portal, limit, &mut watch).await?;
        if !finished {
            self.session.put_portal(name, portal);
            self.link.reply().bare(Bare::PortalSuspended);
            return Ok(());
        }
        let tag = match &portal.rows {
            Some(rows) if rows.counts => format!("{} {count}", rows.tag),
            Some(rows) => rows.tag.clone(),
            None => format!("SELECT {count}"),
        };
        portal.rows = None;
        portal.done = true;
        self.session.put_portal(name, portal);
        self.complete(&tag).await
    }

    /// Sends the tag; what comes right before Sync is committed first, so that the tag tells the truth.
    async fn complete(&mut self, tag: &str) -> Result<(), Stop> {
        if self.link.next_is(b'S') {
            self.session.end_implicit().await?;
        }
        self.notices();
        self.link.reply().command_complete(tag);
        Ok(())
    }

    /// Sends up to `limit` rows. Also tells whether the end was reached before the limit.
    async fn fetch(&mut self, portal: &mut Portal, limit: Option<u64>, watch: &mut Watch) -> Result<(u64, bool), Stop> {
        let style = self.session.style();
        let Some(rows) = &mut portal.rows else { return Ok((0, true)) };
        let mut count = 0;
        loop {
            let (batch, start) = match rows.current.take() {
                Some(current) => current,
                None => match watch.run(&mut self.link, rows.stream.next()).await? {
                    Some(batch) => (batch.map_err(SqlError::from_engine)?, 0),
                    None => return Ok((count, true)),
                },
            };
            let encoder = RowEncoder::new(&batch, &portal.formats).map_err(SqlError::from_arrow)?;
            for row in start..encoder.rows() {
                if limit == Some(count) {
                    rows.current = Some((batch, row));
                    return Ok((count, false));
                }
                encoder.write(&mut self.link.write, row, &style);
                count += 1;
                if self.link.is_full() {
                    watch.flush(&mut self.link).await?;
                }
            }
            if limit == Some(count) {
                return Ok((count, false));
            }
        }
    }
}
