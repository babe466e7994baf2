//! ALTER TABLE: what a table is changes at once, its files stay as they are; files are read by column id, and give a
//! column they do not have its first value. Only values that must be computed anew make the table be written again.

use std::collections::BTreeSet;

use datafusion::common::{Column as EngineColumn, DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast;

use super::super::insert::{InsertPlan, assign, default_value, from_plan};
use super::super::{PlanResult, Right, Scope, has_subquery, policy, query, with_changes};
use super::table::{change_owner, owned_sequences, plain_column, storable};
use super::{DdlPlan, Validation, column, relation, role_id};
use crate::catalog::{Body, Change, Column, Namespace, Relation, RelationKind, TableStorage};
use crate::encode::{Style, length_checked, scalar_text};
use crate::error::{Plain, SqlError, SqlState, internal, unsupported};
use crate::name::ObjectId;
use crate::statement::{AlterColumn, AlterTable, AlterTableAction, ColumnDefinition};
use crate::types::PgType;

/// The catalog's changes, and the table's new rows if they have to be written again.
pub(in crate::plan) fn alter(scope: &Scope, alter: &AlterTable) -> PlanResult<(DdlPlan, Option<InsertPlan>)> {
    let mut ddl = DdlPlan { tag: "ALTER TABLE", ..DdlPlan::default() };
    let (id, old) = match relation(scope, &alter.name) {
        Ok(found) => found,
        Err(_) if alter.if_exists => {
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("relation \"{}\" does not exist, skipping", alter.name));
            return Ok((ddl, None));
        }
        Err(error) => return Err(error),
    };
    ddl.need(scope, Right::Own(id));
    let mut table = Altered { scope, id, old, new: old.clone(), dropped: BTreeSet::new(), rewritten: Vec::new() };
    for action in &alter.actions {
        table.apply(&mut ddl, action)?;
    }
    if table.new == *old {
        return Ok((ddl, None));
    }
    ddl.put(id, Body::Relation(table.new.clone()));
    let cascades = |action: &AlterTableAction| matches!(action, AlterTableAction::DropColumn { cascade: true, .. });
    table.keep_dependents(&mut ddl, alter.actions.iter().any(cascades))?;
    let fill = if table.rewritten.is_empty() { None } else { Some(table.rewrite(&ddl)?) };
    Ok((ddl, fill))
}

struct Altered<'a> {
    scope: &'a Scope,
    id: ObjectId,
    old: &'a Relation,
    new: Relation,
    /// Ids of columns that go.
    dropped: BTreeSet<i32>,
    /// Ids of columns whose values are computed anew, with USING.
    rewritten: Vec<(i32, Option<ast::Expr>)>,
}

impl Altered<'_> {
    fn apply(&mut self, ddl: &mut DdlPlan, action: &AlterTableAction) -> PlanResult<()> {
        match action {
            AlterTableAction::RowSecurity(_) | AlterTableAction::ForceRowSecurity(_)
                if !matches!(self.new.storage, RelationKind::Table(_) | RelationKind::External(_)) =>
            {
                let message = format!("\"{}\" is not a table", self.new.name);
                return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
            AlterTableAction::RowSecurity(on) => self.new.row_security = *on,
            AlterTableAction::ForceRowSecurity(on) => self.new.force_row_security = *on,
            AlterTableAction::Owner(spec) => {
                let owner = role_id(self.scope, spec)?;
                ddl.need(self.scope, Right::Member(owner));
                change_owner(&mut self.new, owner);
                for (sequence_id, sequence) in owned_sequences(self.scope, self.id) {
                    let mut sequence = sequence.clone();
                    change_owner(&mut sequence, owner);
                    ddl.put(sequence_id, Body::Relation(sequence));
                }
            }
            AlterTableAction::Rename(name) => {
                if self.scope.catalog().find(Namespace::Relation(self.new.schema), name).is_some() {
                    let message = format!("relation \"{name}\" already exists");
                    return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into());
                }
                self.new.name.clone_from(name);
            }
            AlterTableAction::AddColumn { if_not_exists, column } => self.add(ddl, column, *if_not_exists)?,
            AlterTableAction::DropColumn { if_exists, column, .. } => self.drop(ddl, column, *if_exists)?,
            AlterTableAction::RenameColumn { column: name, to } => {
                self.of_warehouse()?;
                let id = column(&self.new, name)?.id;
                self.refuse_known(to)?;
                self.change(id, |column| column.name.clone_from(to));
            }
            AlterTableAction::AlterColumn(name, change) => {
                self.of_warehouse()?;
                let found = column(&self.new, name)?.clone();
                match change {
                    AlterColumn::Default(default) => self.default(&found, default.as_deref())?,
                    AlterColumn::NotNull(true) => self.not_null(ddl, &found)?,
                    AlterColumn::NotNull(false) if found.identity.is_some() => {
                        return Err(identity_column(&found, &self.new).into());
                    }
                    AlterColumn::NotNull(false) => self.change(found.id, |column| column.nullable = true),
                    AlterColumn::Type { pg, using } => self.retype(&found, pg, using.as_deref())?,
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, id: i32, change: impl FnOnce(&mut Column)) {
        if let Some(column) = self.new.columns.iter_mut().find(|column| column.id == id) {
            change(column);
        }
    }

    fn of_warehouse(&mut self) -> PlanResult<&mut TableStorage> {
        match &mut self.new.storage {
            RelationKind::Table(storage) => Ok(storage),
            RelationKind::External(_) | RelationKind::View(_) | RelationKind::Sequence(_) => {
                Err(unsupported(format!("this ALTER of a {}", self.old.kind_name())).into())
            }
        }
    }

    fn refuse_known(&self, name: &str) -> PlanResult<()> {
        match self.new.column(name) {
            Some(_) => Err(known_column(name, &self.new).into()),
            None => Ok(()),
        }
    }

    fn add(&mut self, ddl: &mut DdlPlan, definition: &ColumnDefinition, if_not_exists: bool) -> PlanResult<()> {
        let next = next_column_id(&self.new);
        self.of_warehouse()?.next_column_id = Some(next + 1);
        if self.new.column(&definition.name).is_some() {
            let known = known_column(&definition.name, &self.new);
            if !if_not_exists {
                return Err(known.into());
            }
            ddl.skip(SqlState::DUPLICATE_COLUMN, format!("{}, skipping", known.message));
            return Ok(());
        }
        if definition.identity.is_some() {
            return Err(unsupported("adding an identity or serial column").into());
        }
        storable(&definition.pg)?;
        let mut column = plain_column(next, &definition.name, definition.pg.clone());
        column.nullable = !definition.not_null;
        column.default.clone_from(&definition.default);
        if column.default.is_some() {
            let value = default_value(self.scope, &column)?;
            if value.is_volatile() {
                self.rewritten.push((next, None));
            } else {
                column.initial = constant(self.scope, &value, &column.pg)?;
            }
        }
        if !column.nullable && column.initial.is_none() && !self.rewritten.iter().any(|(id, _)| *id == next) {
            self.validate(ddl, None, &column)?;
        }
        self.new.columns.push(column);
        Ok(())
    }

    fn drop(&mut self, ddl: &mut DdlPlan, name: &str, if_exists: bool) -> PlanResult<()> {
        let next = next_column_id(&self.new);
        self.of_warehouse()?.next_column_id = Some(next);
        let Some(found) = self.new.column(name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.new.name);
            if !if_exists {
                return Err(super::super::PlanError::Undefined(
                    Plain::new(SqlState::UNDEFINED_COLUMN, message),
                    name.to_owned(),
                ));
            }
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
            return Ok(());
        };
        if self.new.columns.len() == 1 {
            return Err(unsupported("a table without columns").into());
        }
        let id = found.id;
        if let Some(identity) = &found.identity {
            ddl.changes.push(Change::Delete(identity.sequence));
        }
        self.dropped.insert(id);
        self.new.columns.retain(|column| column.id != id);
        Ok(())
    }

    fn default(&mut self, found: &Column, default: Option<&str>) -> PlanResult<()> {
        if found.identity.is_some() {
            return Err(identity_column(found, &self.new).into());
        }
        let changed = Column { default: default.map(str::to_owned), ..found.clone() };
        // It must be one that can be computed.
        default_value(self.scope, &changed)?;
        self.change(found.id, |column| *column = changed);
        Ok(())
    }

    fn not_null(&mut self, ddl: &mut DdlPlan, found: &Column) -> PlanResult<()> {
        if found.nullable {
            if let Some(old) = self.old.column_by_id(found.id) {
                let named = Expr::Column(EngineColumn::new(Some(TABLE), &old.name)).is_null();
                self.validate(ddl, Some(named), found)?;
            } else if found.initial.is_none() {
                self.validate(ddl, None, found)?;
            }
            self.change(found.id, |column| column.nullable = false);
        }
        Ok(())
    }

    /// Asks for no rows in the table, or none where a condition holds. Else `23502`.
    fn validate(&self, ddl: &mut DdlPlan, condition: Option<Expr>, column: &Column) -> PlanResult<()> {
        let mut plan = scan(self.scope, self.id, self.old)?;
        if let Some(condition) = condition {
            plan = plan.filter(condition)?;
        }
        let message = format!("column \"{}\" of relation \"{}\" contains null values", column.name, self.old.name);
        let error = Plain::new(SqlState::NOT_NULL_VIOLATION, message);
        ddl.validations.push(Validation { table: self.id, none_of: plan.limit(0, Some(1))?.build()?, error });
        Ok(())
    }

    fn retype(&mut self, found: &Column, pg: &PgType, using: Option<&ast::Expr>) -> PlanResult<()> {
        storable(pg)?;
        if found.identity.is_some() && !matches!(pg, PgType::Int2 | PgType::Int4 | PgType::Int8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
        if found.pg == *pg && using.is_none() {
            return Ok(());
        }
        let widened = Column { pg: pg.clone(), ..found.clone() };
        if widened.default.is_some() && found.identity.is_none() {
            default_value(self.scope, &widened).map_err(|_error| {
                let message =
                    format!("default for column \"{}\" cannot be cast automatically to type {pg}", found.name);
                Plain::new(SqlState::DATATYPE_MISMATCH, message)
            })?;
        }
        if using.is_some() || !is_widening(&found.pg, pg) {
            self.rewritten.retain(|(id, _)| *id != found.id);
            self.rewritten.push((found.id, using.cloned()));
        }
        self.change(found.id, |column| *column = widened);
        Ok(())
    }

    /// All rows of the table with their new values.
    fn rewrite(&self, ddl: &DdlPlan) -> PlanResult<InsertPlan> {
        let Self { scope, id, old, new, rewritten, .. } = self;
        let id = *id;
        let mut inner = (*scope).clone();
        inner.ctx = with_changes(&scope.ctx, &ddl.changes);
        let source = scan(scope, id, old)?;
        let schema: DFSchema = source.schema().as_ref().clone();
        let mut values = Vec::with_capacity(new.columns.len());
        for column in &new.columns {
            let using = rewritten.iter().find(|(id, _)| *id == column.id);
            let before = old.column_by_id(column.id);
            let value = match (before, using) {
                (_, Some((_, Some(using)))) => {
                    let bound = policy::bound(scope, using.clone(), &schema, &[])?;
                    if has_subquery(&bound) {
                        return Err(unsupported("a subquery in USING").into());
                    }
                    bound
                }
                (Some(before), _) => Expr::Column(EngineColumn::new(Some(TABLE), &before.name)),
                (None, _) => default_value(&inner, column)?,
            };
            values.push(value.alias(&column.name));
        }
        let source: LogicalPlan = source.project(values)?.build()?;
        for (index, column) in new.columns.iter().enumerate() {
            if let Some((_, using)) = rewritten.iter().find(|(id, _)| *id == column.id)
                && old.column_by_id(column.id).is_some()
                && assign(&inner, &source, index, column).is_err()
            {
                let message = match using {
                    Some(_) => format!(
                        "result of USING clause for column \"{}\" cannot be cast automatically to type {}",
                        column.name, column.pg
                    ),
                    None => format!("column \"{}\" cannot be cast automatically to type {}", column.name, column.pg),
                };
                let error = Plain::new(SqlState::DATATYPE_MISMATCH, message);
                let hint = format!("You might need to specify \"USING {}::{}\".", column.name, column.pg);
                return Err(if using.is_none() { error.hint(hint) } else { error }.into());
            }
        }
        let columns: Vec<&Column> = new.columns.iter().collect();
        let plan = from_plan(&inner, id, new, source, &columns)?;
        Ok(InsertPlan { tag: "ALTER TABLE", ..plan })
    }

    /// What refers to the table goes on to do so, or falls with a column, or forbids the change.
    fn keep_dependents(&self, ddl: &mut DdlPlan, cascade: bool) -> PlanResult<()> {
        let Self { scope, id, old, new, dropped, .. } = self;
        let id = *id;
        if old.name == new.name && old.columns == new.columns {
            return Ok(());
        }
        let mut after = (*scope).clone();
        after.ctx = with_changes(&scope.ctx, &ddl.changes);
        let names = |ids: &BTreeSet<i32>| {
            let columns = old.columns.iter().filter(|column| ids.contains(&column.id));
            columns.map(|column| column.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let refused = |what: String| {
            if dropped.is_empty() {
                Plain::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot alter what a view or policy uses").detail(what)
            } else {
                let column = names(dropped);
                let message =
                    format!("cannot drop column {column} of table {} because other objects depend on it", old.name);
                Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(what)
                    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
            }
        };
        for entry in scope.catalog().entries() {
            match &entry.body {
                Body::RowPolicy(row) if row.relation == id => {
                    let bound = scope.with_path(&row.search_path);
                    let mut sources = row.using.iter().chain(&row.check);
                    let holds = |source: &String| policy::boolean(&bound, new, source, &[id]).is_ok();
                    if !sources.all(holds) {
                        return Err(refused(format!("policy {} on table {} depends on it", row.name, old.name)).into());
                    }
                }
                Body::MaskAttachment(mask) if mask.relation == id => {
                    if dropped.contains(&mask.column) {
                        ddl.changes.push(Change::Delete(entry.id));
                    } else if mask.inputs.iter().any(|input| dropped.contains(input)) {
                        return Err(refused("a masking policy reads it".to_owned()).into());
                    }
                }
                Body::Relation(view) if view_holds(scope, view)? && !view_holds(&after, view)? => {
                    let name = scope.ctx.display_name(entry.id);
                    if !cascade {
                        return Err(refused(format!("view {name} depends on it")).into());
                    }
                    ddl.changes.push(Change::Delete(entry.id));
                    ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to view {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the table is called in plans over its old rows.
const TABLE: &str = "old";

/// The table's old rows, as they are kept.
fn scan(scope: &Scope, id: ObjectId, relation: &Relation) -> PlanResult<LogicalPlanBuilder> {
    let table = scope.guard.open(&scope.ctx, id, relation, None, &scope.engine.state())?;
    Ok(LogicalPlanBuilder::scan(TABLE, provider_as_source(table), None)?)
}

/// Whether a view's query still gives the view's columns.
fn view_holds(scope: &Scope, relation: &Relation) -> PlanResult<bool> {
    let RelationKind::View(view) = &relation.storage else { return Ok(true) };
    let inner = scope.as_role(relation.owner, &view.search_path);
    let Ok(plan) = query::view(&inner, relation, view, vec![]) else { return Ok(false) };
    let same = |(field, column): (&arrow::datatypes::FieldRef, &Column)| crate::types::of_field(field) == column.pg;
    Ok(plan.schema().fields().iter().zip(&relation.columns).all(same))
}

/// Ids are never given twice: files keep the columns that they were written with.
fn next_column_id(relation: &Relation) -> i32 {
    let RelationKind::Table(storage) = &relation.storage else { return 1 };
    let highest = relation.columns.iter().map(|column| column.id).max().unwrap_or(0);
    storage.next_column_id.unwrap_or(0).max(highest + 1)
}

/// The text of a value that is the same for all rows; `None`: NULL.
fn constant(scope: &Scope, value: &Expr, pg: &PgType) -> PlanResult<Option<String>> {
    use arrow::record_batch::{RecordBatch, RecordBatchOptions};
    let physical = scope.engine.state().create_physical_expr(value.clone(), &DFSchema::empty())?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::empty());
    let row = RecordBatch::try_new_with_options(schema, vec![], &options)
        .map_err(|error| SqlError::from_engine(error.into()))?;
    let array = physical.evaluate(&row)?.into_array(1)?;
    let array = length_checked(array, pg).map_err(SqlError::from)?;
    let value = ScalarValue::try_from_array(&array, 0)?;
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(scalar_text(&value, pg, &Style::utc()).map_err(internal)?))
}

/// Whether files with the old type can be read as the new one, and what they say of their values still holds.
fn is_widening(from: &PgType, to: &PgType) -> bool {
    use PgType as T;
    match (from, to) {
        (T::Int2, T::Int4 | T::Int8) | (T::Int4, T::Int8) | (T::Varchar(_), T::Text | T::Varchar(None)) => true,
        (T::Text, T::Varchar(None)) => true,
        (T::Varchar(Some(from)), T::Varchar(Some(to))) => from <= to,
        (T::Numeric(Some((from, scale))), T::Numeric(Some((to, new_scale)))) => from <= to && scale == new_scale,
        _ => from == to,
    }
}

fn known_column(name: &str, relation: &Relation) -> Plain {
    let message = format!("column \"{name}\" of relation \"{}\" already exists", relation.name);
    Plain::new(SqlState::DUPLICATE_COLUMN, message)
}

fn identity_column(column: &Column, relation: &Relation) -> Plain {
    let message = format!("column \"{}\" of relation \"{}\" is an identity column", column.name, relation.name);
    Plain::new(SqlState::SYNTAX_ERROR, message)
}
