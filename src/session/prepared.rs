//! Prepared statements and portals.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::kept::Keeper;
use super::{Run, STATEMENTS_MAX, Session, in_failed_transaction};
use crate::encode::{ColumnBuilder, Format, binary_dimensions, text_dimensions, utf8};
use crate::error::{About, Plain, Report, SqlError, SqlState, internal};
use crate::execute::Outcome;
use crate::listing::{Listed, PreparedEntry};
use crate::pg::FromText;
use crate::plan::{Description, Parameters};
use crate::statement::{Class, Execute, Prepare, Statement, parse};
use crate::types::{PgType, arrow_type, of_field};

/// A parsed statement under a name.
#[derive(Debug)]
pub struct Prepared {
    /// `None`: an empty query.
    pub statement: Option<Statement>,
    /// What it takes and gives, as found when it was parsed.
    pub description: Description,
    /// The plan that was made for that, too.
    pub keeper: Keeper,
    /// For the session to see; `None`: it has no name.
    _listed: Option<Listed<PreparedEntry>>,
}

/// `0A000`: a prepared statement would give other columns than the client was told of. Drivers that know the routine
/// prepare it anew.
#[derive(Debug, thiserror::Error)]
#[error("cached plan must not change result type")]
pub(super) struct ResultChanged;

impl Report for ResultChanged {
    fn sqlstate(&self) -> SqlState {
        SqlState::FEATURE_NOT_SUPPORTED
    }
    fn about(&self) -> About {
        About { routine: Some("RevalidateCachedQuery"), ..About::default() }
    }
}

/// A statement with its parameters, and as much of its result as was not read yet.
#[derive(Debug)]
pub struct Portal {
    /// The statement it runs, kept even if its name is closed meanwhile.
    pub prepared: Arc<Prepared>,
    /// The bound values, in the types of the statement's description.
    pub parameters: Parameters,
    /// One for each output column.
    pub formats: Vec<Format>,
    /// `None`: it has not run yet, has no rows, or all of them were sent.
    pub rows: Option<PortalRows>,
    /// It ran to its end.
    pub done: bool,
}

/// The rest of a result.
pub struct PortalRows {
    /// The output columns, of the types that the statement's description tells.
    pub fields: Vec<FieldRef>,
    /// Batches that were not read at all; they come after `current`.
    pub stream: SendableRecordBatchStream,
    /// A batch that was read in part.
    pub current: Option<(RecordBatch, usize)>,
    /// The tag that counts are added to; a complete one does not count.
    pub tag: String,
    /// Whether the number of rows that the last Execute sent is added to the tag.
    pub counts: bool,
}

impl std::fmt::Debug for PortalRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PortalRows").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// A parameter as Bind carries it.
#[derive(Debug)]
pub struct BoundValue<'a> {
    /// How to read `bytes`: as text or as the type's binary form.
    pub format: Format,
    /// `None`: NULL.
    pub bytes: Option<&'a [u8]>,
}

impl Session {
    /// Parse. `42601` for more than one statement, `42P05` for a name in use.
    pub async fn prepare(&mut self, name: &str, sql: &str, types: &[Option<PgType>]) -> Result<(), SqlError> {
        let mut statements = parse(sql)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
        }
        self.keep_prepared((name, sql, false), statements.pop(), types).await
    }

    /// PREPARE. `42P05` for a name in use, `42704` for a type that does not exist.
    pub(super) async fn prepare_by_name(&mut self, prepare: &Prepare, text: &str) -> Result<(), SqlError> {
        let ctx = self.context();
        let types = prepare.types.iter().map(|pg| Ok(Some(ctx.named_type(pg)?.0)));
        let types = types.collect::<Result<Vec<_>, SqlError>>()?;
        self.keep_prepared((&prepare.name, text, true), Some(prepare.statement.as_ref().clone()), &types).await
    }

    /// What EXECUTE runs, and with which parameters. `26000`, `42601` for a wrong number of them.
    pub(super) async fn executed(&mut self, execute: &Execute) -> Result<(Arc<Prepared>, Parameters), SqlError> {
        let prepared = Arc::clone(self.prepared(&execute.name)?);
        let wanted = &prepared.description.parameters;
        if wanted.len() != execute.arguments.len() {
            let message = format!("wrong number of parameters for prepared statement \"{}\"", execute.name);
            let detail = format!("Expected {} parameters but got {}.", wanted.len(), execute.arguments.len());
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).detail(detail).into());
        }
        let types: Vec<PgType> = wanted.iter().map(|pg| self.as_of_now(pg)).collect();
        let values = if types.is_empty() { Vec::new() } else { self.computed(&execute.arguments, &types).await? };
        let types = types.into_iter().map(Some).collect();
        Ok((prepared, Parameters { types, values: Some(values) }))
    }

    /// The values of expressions as those of some types.
    async fn computed(&mut self, expressions: &[String], types: &[PgType]) -> Result<Vec<ScalarValue>, SqlError> {
        let casts = expressions.iter().zip(types).map(|(value, pg)| format!("CAST({value} AS {pg})"));
        let mut statements = parse(&format!("SELECT {}", casts.collect::<Vec<_>>().join(", ")))?;
        let statement = statements.pop().ok_or_else(|| internal("parameters are no query"))?;
        let parameters = Parameters::default();
        let run = Run { statement: &statement, parameters: &parameters, told: None, keeper: None };
        let Outcome::Rows { mut stream, .. } = Box::pin(self.perform(&run)).await? else {
            return Err(internal("parameters have no rows").into());
        };
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(SqlError::from_engine)?;
            if batch.num_rows() > 0 {
                let value = |(column, pg): (&ArrayRef, &PgType)| {
                    let value = ScalarValue::try_from_array(column, 0)?;
                    if matches!(pg, PgType::Numeric(_)) { Ok(value) } else { value.cast_to(&arrow_type(pg)) }
                };
                return batch
                    .columns()
                    .iter()
                    .zip(types)
                    .map(value)
                    .collect::<Result<_, _>>()
                    .map_err(SqlError::from_engine);
            }
        }
        Err(internal("parameters have no row").into())
    }

    async fn keep_prepared(
        &mut self,
        (name, text, from_sql): (&str, &str, bool),
        statement: Option<Statement>,
        types: &[Option<PgType>],
    ) -> Result<(), SqlError> {
        if !name.is_empty() && self.prepared.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Plain::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        if self.prepared.len() >= STATEMENTS_MAX {
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many prepared statements").into());
        }
        let (description, keeper) = match &statement {
            Some(statement) => self.describe(statement, types).await?,
            None if self.is_failed() => return Err(in_failed_transaction()),
            None => (Description { parameters: Vec::new(), fields: None }, Keeper::default()),
        };
        let listed = (!name.is_empty()).then(|| {
            self.open_objects.prepared.add(PreparedEntry {
                name: name.to_owned(),
                statement: text.to_owned(),
                parameters: description.parameters.clone(),
                results: description.fields.as_ref().map(|fields| fields.iter().map(|field| of_field(field)).collect()),
                from_sql,
            })
        });
        let prepared = Prepared { statement, description, keeper, _listed: listed };
        self.prepared.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    /// The prepared statement of a name, which is empty for the unnamed one. `26000` if there is none.
    pub fn prepared(&self, name: &str) -> Result<&Arc<Prepared>, SqlError> {
        self.prepared.get(name).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Plain::new(SqlState::INVALID_STATEMENT_NAME, message).into()
        })
    }

    /// Bind. `08P01` for wrong counts, `22P02` and `22P03` for wrong values, `42P03` for a portal in use.
    pub fn bind(
        &mut self,
        portal: &str,
        name: &str,
        values: &[BoundValue<'_>],
        formats: &[Format],
    ) -> Result<(), SqlError> {
        let prepared = Arc::clone(self.prepared(name)?);
        let class = prepared.statement.as_ref().map(|statement| statement.command.class());
        if self.is_failed() && class.is_some_and(|class| class != Class::Transaction) {
            return Err(in_failed_transaction());
        }
        let protocol = |message: String| SqlError::from(Plain::new(SqlState::PROTOCOL_VIOLATION, message));
        let wanted = prepared.description.parameters.len();
        if values.len() != wanted {
            return Err(protocol(format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {wanted}",
                values.len()
            )));
        }
        if !portal.is_empty() && self.portals.contains_key(portal) {
            return Err(Plain::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{portal}\" already exists")).into());
        }
        let mut bound = Vec::with_capacity(values.len());
        let mut types: Vec<PgType> = prepared.description.parameters.iter().map(|pg| self.as_of_now(pg)).collect();
        for (index, (value, pg)) in values.iter().zip(&mut types).enumerate() {
            *pg = with_dimensions_of(value, pg);
            bound.push(self.parameter(value, pg).map_err(|error| parameter_error(error, portal, index, value))?);
        }
        let columns = prepared.description.fields.as_ref().map_or(0, Vec::len);
        let formats = match formats {
            [] => vec![Format::Text; columns],
            [one] => vec![*one; columns],
            many if many.len() == columns => many.to_vec(),
            many => {
                return Err(protocol(format!(
                    "bind message has {} result formats but query has {columns} columns",
                    many.len()
                )));
            }
        };
        let types = types.into_iter().map(Some).collect();
        let parameters = Parameters { types, values: Some(bound) };
        self.portals.insert(portal.to_owned(), Portal { prepared, parameters, formats, rows: None, done: false });
        Ok(())
    }

    /// A type with what was added to it since: an enumeration's labels.
    fn as_of_now(&self, pg: &PgType) -> PgType {
        let changes = pg.is_made();
        let now = changes.then(|| self.context().type_of_oid(pg.oid())).flatten();
        now.unwrap_or_else(|| pg.clone())
    }

    fn parameter(&self, value: &BoundValue<'_>, pg: &PgType) -> Result<ScalarValue, SqlError> {
        let pg = match (pg, value.bytes) {
            // Without a scale of its own, a numeric keeps that of the value.
            (PgType::Numeric(None), Some(bytes)) => PgType::Numeric(Some((38, numeric_scale(value.format, bytes)))),
            (pg, _) => pg.clone(),
        };
        let mut builder = ColumnBuilder::new(&pg, self.settings.time_zone())?;
        match (value.bytes, value.format) {
            (None, _) => builder.append_null(),
            (Some(bytes), Format::Binary) => builder.append_binary(bytes)?,
            (Some(bytes), Format::Text) => {
                let text = utf8(bytes)?;
                if pg.is_object_name() {
                    return FromText::new(pg, self.style()).scalar(text);
                }
                builder.append_text(text)?;
            }
        }
        ScalarValue::try_from_array(&builder.finish(), 0).map_err(SqlError::from_engine)
    }

    /// Takes a portal out to run it; it is put back with [`Session::put_portal`].
    pub fn take_portal(&mut self, name: &str) -> Result<Portal, SqlError> {
        self.portals.remove(name).ok_or_else(|| no_portal(name))
    }

    /// The columns that a portal gives, with their formats; `None`: it gives no rows. A cursor of SQL is a portal, too.
    /// `34000` if there is none.
    pub fn describe_portal(&self, name: &str) -> Result<(Option<Vec<FieldRef>>, Vec<Format>), SqlError> {
        match (self.portals.get(name), self.cursor(name)) {
            (Some(portal), _) => Ok((portal.prepared.description.fields.clone(), portal.formats.clone())),
            (None, Ok(cursor)) => Ok((Some(cursor.fields.clone()), vec![Format::Text; cursor.fields.len()])),
            (None, Err(_)) => Err(no_portal(name)),
        }
    }

    /// Keeps a portal for the next Execute, in place of one of the same name.
    pub fn put_portal(&mut self, name: &str, portal: Portal) {
        self.portals.insert(name.to_owned(), portal);
    }

    /// Close of a statement. Its portals stay; an unknown name is no error.
    pub fn close_statement(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    /// Close of a portal, with what it has not sent yet; an unknown name is no error.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
        self.cursors.remove(name);
    }

    /// A simple query takes the place of the unnamed statement and portal.
    pub fn drop_unnamed(&mut self) {
        self.prepared.remove("");
        self.portals.remove("");
    }
}

/// An array's type with as many dimensions as a value has: those of a declared type are any.
fn with_dimensions_of(value: &BoundValue<'_>, pg: &PgType) -> PgType {
    if pg.dimensions() == 0 {
        return pg.clone();
    }
    let dimensions = match (value.bytes, value.format) {
        (None, _) => None,
        (Some(bytes), Format::Binary) => binary_dimensions(bytes),
        (Some(bytes), Format::Text) => std::str::from_utf8(bytes).ok().and_then(text_dimensions),
    };
    dimensions.map_or_else(|| pg.clone(), |dimensions| pg.with_dimensions(dimensions))
}

fn numeric_scale(format: Format, bytes: &[u8]) -> i8 {
    let parsed = match format {
        Format::Binary => crate::encode::Numeric::from_binary(bytes),
        Format::Text => std::str::from_utf8(bytes).ok().and_then(crate::encode::parse_numeric),
    };
    parsed.map_or(0, |numeric| numeric.scale.max(0))
}

fn parameter_error(error: SqlError, portal: &str, index: usize, value: &BoundValue<'_>) -> SqlError {
    let number = index + 1;
    error.with_context(|| {
        let which = if portal.is_empty() { "unnamed portal".to_owned() } else { format!("portal \"{portal}\"") };
        match (value.format, value.bytes) {
            // Values are data, which errors do not show.
            (Format::Text, Some(bytes)) if utf8(bytes).is_ok() => format!("{which} parameter ${number} = '...'"),
            _ => format!("{which} parameter ${number}"),
        }
    })
}

fn no_portal(name: &str) -> SqlError {
    Plain::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist")).into()
}
