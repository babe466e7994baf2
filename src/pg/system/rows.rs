//! Rows of a system relation while they are collected.

use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::SystemRelation;
use super::objects::{is_visible, visible};
use super::value::{Value, append};
use crate::catalog::Relation;
use crate::context::Context;
use crate::encode::ColumnBuilder;
use crate::error::{SqlError, internal};
use crate::name::ObjectId;
use crate::setting::Zone;
use crate::types::PgType;

/// The rows of one relation, of which only the columns that are asked for are kept.
pub(super) struct Rows {
    relation: &'static SystemRelation,
    /// By output column: its index in the relation, and its values.
    columns: Vec<(usize, ColumnBuilder)>,
    /// By output column: which of a pushed row's values it takes.
    slots: Vec<Option<usize>>,
    count: usize,
    failed: Option<SqlError>,
    /// The relations that they are about, if nobody asks for others.
    only: Option<Vec<ObjectId>>,
}

impl Rows {
    pub(super) fn new(relation: &'static SystemRelation, projection: Option<&Vec<usize>>) -> Result<Self, SqlError> {
        let all;
        let projection = match projection {
            Some(projection) => projection,
            None => {
                all = (0..relation.columns.len()).collect();
                &all
            }
        };
        let builder = |index: &usize| {
            let (_, pg) = relation.columns.get(*index).ok_or_else(|| internal("a column that is not there"))?;
            Ok((*index, ColumnBuilder::new(pg, Zone::UTC)?))
        };
        let columns = projection.iter().map(builder).collect::<Result<Vec<_>, SqlError>>()?;
        let slots = vec![None; columns.len()];
        Ok(Self { relation, columns, slots, count: 0, failed: None, only: None })
    }

    /// Of some relations only: others may be left out.
    pub(super) fn only(self, relations: Option<Vec<ObjectId>>) -> Self {
        Self { only: relations, ..self }
    }

    /// The relations that the role may know of and that are asked for.
    pub(super) fn asked<'c>(&self, ctx: &'c Context) -> Vec<(ObjectId, &'c Relation)> {
        match &self.only {
            Some(ids) => {
                let known = ids.iter().filter_map(|id| Some((*id, ctx.catalog.relation(*id)?)));
                known.filter(|(_, relation)| is_visible(ctx, relation)).collect()
            }
            None => visible(ctx).collect(),
        }
    }

    /// Names the values of the rows that are pushed next. Other columns of a table are zero, false or NULL, other
    /// columns of a view are NULL.
    pub(super) fn columns<const N: usize>(&mut self, names: [&str; N]) -> Pushed<'_, N> {
        for name in names {
            if !self.relation.columns.iter().any(|(column, _)| *column == name) {
                self.failed.get_or_insert_with(|| internal(format!("{} has no {name}", self.relation.name)).into());
            }
        }
        self.name_values(&names);
        Pushed { rows: self }
    }

    /// Which of a pushed row's values each column takes.
    fn name_values(&mut self, names: &[&str]) {
        let slot = |(index, _): &(usize, ColumnBuilder)| {
            let (name, _) = self.relation.columns.get(*index)?;
            names.iter().position(|given| given == name)
        };
        self.slots = self.columns.iter().map(slot).collect();
    }

    fn push(&mut self, mut row: Vec<Value>) {
        self.count += 1;
        for ((index, builder), slot) in self.columns.iter_mut().zip(&self.slots) {
            let value = match slot.and_then(|slot| row.get_mut(slot)) {
                Some(value) => std::mem::replace(value, Value::Null),
                None if self.relation.view => Value::Null,
                None => self.relation.columns.get(*index).map_or(Value::Null, |(_, pg)| absent(pg)),
            };
            if let Err(error) = append(builder, value) {
                self.failed.get_or_insert(error.into());
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<RecordBatch, SqlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let projection: Vec<usize> = self.columns.iter().map(|(index, _)| *index).collect();
        let arrays = self.columns.iter_mut().map(|(_, builder)| builder.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        self.relation
            .arrow_schema()
            .project(&projection)
            .and_then(|schema| RecordBatch::try_new_with_options(schema.into(), arrays, &options))
            .map_err(SqlError::from_arrow)
    }
}

/// Takes rows with `N` values each.
pub(super) struct Pushed<'a, const N: usize> {
    rows: &'a mut Rows,
}

impl<const N: usize> Pushed<'_, N> {
    pub(super) fn push(&mut self, row: [Value; N]) {
        self.rows.push(row.into());
    }
}

/// A row of values of any kind.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::pg::system::value::Value::from($value)),*] };
}
pub(super) use row;

/// What a table's column holds where there is nothing to say.
fn absent(pg: &PgType) -> Value {
    match pg {
        PgType::Bool => Value::Bool(false),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Oid | PgType::Float4 | PgType::Float8 => Value::Int(0),
        pg if pg.is_object_name() => Value::Int(0),
        PgType::InternalChar => Value::Text(String::new()),
        _ => Value::Null,
    }
}

/// Rows from a file of tab-separated values whose second line names the columns; `\N` is NULL.
pub(super) fn from_tsv(rows: &mut Rows, text: &'static str) {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    rows.name_values(&names);
    for line in lines {
        let value = |text: &str| if text == "\\N" { Value::Null } else { Value::from(text) };
        rows.push(line.split('\t').map(value).collect());
    }
}
