//! ALTER TABLE: what a table is changes at once, its files stay as they are; files are read by column id, and give a
//! column they do not have its first value. Only values that must be computed anew make the table be written again.

use std::collections::BTreeSet;

use datafusion::common::{Column as EngineColumn, DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast;

use super::super::generated;
use super::super::insert::{InsertPlan, assign, default_value, evaluate_default, from_plan};
use super::super::{PlanResult, Right, Scope, has_subquery, policy, with_changes};
use super::constraint::{Constrained, bind_check, renamed, validation};
use super::dependents::Changed;
use super::layout::{lay_out, refuse_in_layout};
use super::policy::{attach, detach};
use super::rls::keep_in_force;
use super::sequence;
use super::table::{change_owner, declare, new_relation, one_source, parts, plain_column, sequence_name};
use super::tag;
use super::{DdlPlan, Validation, column, relation, role_id};
use crate::catalog::{
    Body, Change, Column, Constraint, ConstraintKind, Identity, IdentityKind, Namespace, Relation, RelationKind,
    Sequence, TEMPORARY_SCHEMA, TableStorage,
};
use crate::context::undefined_schema;
use crate::encode::{Style, Surplus, scalar_text, within_modifier};
use crate::error::{Plain, SqlError, SqlState, internal, unsupported};
use crate::govern::Privilege;
use crate::govern::predefined::SECURITY_ADMIN;
use crate::guard::masks;
use crate::name::{ObjectId, quote};
use crate::statement::{
    AlterColumn, AlterKind, AlterTable, AlterTableAction, ColumnDefinition, IdentityOption, SequenceOptions,
};
use crate::types::{PgType, SECOND_DIGITS_MAX};
use crate::warehouse::initial;

/// The catalog's changes, and the table's new rows if they have to be written again.
pub(in crate::plan) fn alter(scope: &Scope, alter: &AlterTable) -> PlanResult<(DdlPlan, Option<InsertPlan>)> {
    let mut ddl = DdlPlan { tag: alter.kind.tag(), ..DdlPlan::default() };
    let (id, old) = match relation(scope, &alter.name) {
        Ok(found) => found,
        Err(_) if alter.if_exists => {
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("relation \"{}\" does not exist, skipping", alter.name));
            return Ok((ddl, None));
        }
        Err(error) => return Err(error),
    };
    check_kind(old, alter.kind)?;
    let of_policies = alter.actions.iter().all(AlterTableAction::is_of_policies);
    ddl.need(scope, if of_policies { Right::OwnOr(SECURITY_ADMIN, id) } else { Right::Own(id) });
    if old.as_index().is_some() {
        return rename_index(scope, ddl, id, old, &alter.actions);
    }
    let (required, rewritten, added) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mut table = Altered { scope, id, old, new: old.clone(), required, rewritten, added };
    for action in &alter.actions {
        if let Some(what) = of_tables_only(action)
            && old.materialized().is_some()
        {
            let message = format!("ALTER action {what} cannot be performed on relation \"{}\"", old.name);
            let error = Plain::new(SqlState::WRONG_OBJECT_TYPE, message);
            return Err(error.detail("This operation is not supported for materialized views.").into());
        }
        table.apply(&mut ddl, action)?;
    }
    if table.new == *old && table.rewritten.is_empty() {
        return Ok((ddl, None));
    }
    table.require(&mut ddl)?;
    table.hold_constraints(&mut ddl)?;
    ddl.put(id, Body::Relation(table.new.clone()));
    let cascades = |action: &AlterTableAction| matches!(action, AlterTableAction::DropColumn { cascade: true, .. });
    let changed = Changed { scope, id, old, new: &table.new };
    changed.keep_dependents(&mut ddl, alter.actions.iter().any(cascades))?;
    let fill = if table.rewritten.is_empty() { None } else { Some(table.rewrite(&ddl)?) };
    Ok((ddl, fill))
}

/// A name with its schema, quoted.
fn qualified(scope: &Scope, schema: ObjectId, name: &str) -> String {
    let schema = scope.catalog().schema(schema).map(|schema| schema.name.as_str()).unwrap_or_default();
    format!("{}.{}", quote(schema), quote(name))
}

struct Altered<'a> {
    scope: &'a Scope,
    id: ObjectId,
    old: &'a Relation,
    new: Relation,
    /// Ids of columns that may have no NULL in rows that are there.
    required: BTreeSet<i32>,
    /// Ids of columns whose values are computed anew, with USING.
    rewritten: Vec<(i32, Option<ast::Expr>)>,
    /// New constraints.
    added: Vec<ObjectId>,
}

impl Altered<'_> {
    fn apply(&mut self, ddl: &mut DdlPlan, action: &AlterTableAction) -> PlanResult<()> {
        match action {
            AlterTableAction::RowSecurity(_)
            | AlterTableAction::ForceRowSecurity(_)
            | AlterTableAction::RlsPolicies { .. }
                if !matches!(self.new.storage, RelationKind::Table(_) | RelationKind::External(_)) =>
            {
                let message = format!("\"{}\" is not a table", self.new.name);
                return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
            AlterTableAction::RowSecurity(on) => {
                keep_in_force(self.scope, ddl, self.id);
                self.new.row_security = *on;
            }
            AlterTableAction::ForceRowSecurity(on) => {
                keep_in_force(self.scope, ddl, self.id);
                self.new.force_row_security = *on;
            }
            AlterTableAction::RlsPolicies { on, any } => {
                ddl.need(self.scope, Right::RightsOf(SECURITY_ADMIN, "say whether RLS policies are in force"));
                (self.new.row_security, self.new.force_row_security) = (*on, *on);
                self.new.any_rls_policy = any.unwrap_or(self.new.any_rls_policy);
            }
            AlterTableAction::Owner(spec) => {
                let owner = role_id(self.scope, spec)?;
                ddl.need(self.scope, Right::Member(owner));
                change_owner(&mut self.new, owner);
                for (part_id, part) in parts(self.scope, self.id) {
                    let mut part = part.clone();
                    change_owner(&mut part, owner);
                    ddl.put(part_id, Body::Relation(part));
                }
            }
            AlterTableAction::Rename(name) => {
                if self.scope.catalog().find(Namespace::Relation(self.new.schema), name).is_some() {
                    let message = format!("relation \"{name}\" already exists");
                    return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into());
                }
                if matches!(self.old.storage, RelationKind::Sequence(_)) {
                    sequence::follow_rename(self.scope, ddl, self.id, &qualified(self.scope, self.old.schema, name))?;
                }
                self.new.name.clone_from(name);
            }
            AlterTableAction::SetSchema(name) => self.set_schema(ddl, name)?,
            AlterTableAction::Tags { column, tags } => {
                tag::set_on_relation(self.scope, ddl, (self.id, &self.new), column.as_deref(), tags)?;
            }
            AlterTableAction::AttachMask(mask) => attach(self.scope, ddl, mask)?,
            AlterTableAction::DetachMask(mask) => detach(self.scope, ddl, mask)?,
            AlterTableAction::AddColumn { if_not_exists, column } => self.add(ddl, column, *if_not_exists)?,
            AlterTableAction::DropColumn { if_exists, column, cascade } => {
                self.drop(ddl, column, *if_exists, *cascade)?;
            }
            AlterTableAction::AddConstraint(definition) => {
                self.of_warehouse()?;
                let before: Vec<i32> = self.nullable_columns();
                let id = self.constrained(ddl).add(definition)?;
                self.added.push(id);
                let now = self.nullable_columns();
                self.required.extend(before.into_iter().filter(|column| !now.contains(column)));
            }
            AlterTableAction::DropConstraint { if_exists, name, cascade } => {
                self.constrained(ddl).drop(name, *if_exists, *cascade)?;
            }
            AlterTableAction::RenameConstraint { name, to } => self.constrained(ddl).rename(name, to)?,
            AlterTableAction::ValidateConstraint(name) => {
                if !self.new.constraints.iter().any(|constraint| constraint.name == *name) {
                    let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", self.new.name);
                    return Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into());
                }
            }
            AlterTableAction::Layout(layout) => {
                self.of_warehouse()?;
                lay_out(self.scope, ddl, &mut self.new, layout)?;
            }
            AlterTableAction::RenameColumn { column, to } => self.rename_column(ddl, column, to)?,
            AlterTableAction::AlterColumn(name, change) => self.alter_column(ddl, name, change)?,
        }
        Ok(())
    }

    fn alter_column(&mut self, ddl: &mut DdlPlan, name: &str, change: &AlterColumn) -> PlanResult<()> {
        self.of_warehouse()?;
        let found = column(&self.new, name)?.clone();
        match change {
            AlterColumn::Default(_) if found.generated.is_some() => {
                let message =
                    format!("column \"{}\" of relation \"{}\" is a generated column", found.name, self.new.name);
                return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
            }
            AlterColumn::Default(default) => self.default(&found, default.as_deref())?,
            AlterColumn::Expression(expression) => self.expression(ddl, &found, Some(expression), false)?,
            AlterColumn::DropExpression { if_exists } => self.expression(ddl, &found, None, *if_exists)?,
            AlterColumn::AddIdentity(option) => self.add_identity(ddl, &found, option)?,
            AlterColumn::DropIdentity { if_exists } => self.drop_identity(ddl, &found, *if_exists)?,
            AlterColumn::Identity { kind, options } => self.change_identity(ddl, &found, *kind, options)?,
            AlterColumn::NotNull(true) => {
                if found.nullable && found.initial.is_none() || self.old.column_by_id(found.id).is_some() {
                    self.required.insert(found.id);
                }
                self.change(found.id, |column| column.nullable = false);
            }
            AlterColumn::NotNull(false) if found.identity.is_some() => {
                return Err(identity_column(&found, &self.new).into());
            }
            AlterColumn::NotNull(false) if self.is_in_primary_key(ddl, found.id) => {
                let message = format!("column \"{}\" is in a primary key", found.name);
                return Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
            }
            AlterColumn::NotNull(false) => self.change(found.id, |column| column.nullable = true),
            AlterColumn::Type { pg, using } => self.retype(ddl, &found, pg, using.as_deref())?,
        }
        Ok(())
    }

    /// Moves it to another schema, with its sequences and indexes. Its files stay where they are. `3F000`, `42P07`.
    fn set_schema(&mut self, ddl: &mut DdlPlan, name: &str) -> PlanResult<()> {
        let (scope, from) = (self.scope, self.old.schema);
        let to = scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name))?;
        if to == TEMPORARY_SCHEMA || from == TEMPORARY_SCHEMA {
            return Err(unsupported("a move into or out of temporary schemas").into());
        }
        ddl.need(scope, Right::Schema(to, Privilege::Create));
        if to == from {
            return Ok(());
        }
        tag::moved(scope, ddl, self.id, from, to);
        if let RelationKind::Sequence(Sequence { owned_by: Some((table, _)), .. }) = &self.old.storage {
            let table = scope.catalog().relation(*table).map(|table| table.name.as_str()).unwrap_or_default();
            let message = "cannot move an owned sequence into another schema";
            let detail = format!("Sequence \"{}\" is linked to table \"{table}\".", self.old.name);
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail).into());
        }
        let all = parts(scope, self.id).map(|(id, part)| (id, part.clone())).chain([(self.id, self.old.clone())]);
        for (id, mut part) in all.collect::<Vec<_>>() {
            if scope.catalog().find(Namespace::Relation(to), &part.name).is_some() {
                let message = format!("relation \"{}\" already exists in schema \"{name}\"", part.name);
                return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into());
            }
            if matches!(part.storage, RelationKind::Sequence(_)) {
                sequence::follow_rename(scope, ddl, id, &qualified(scope, to, &part.name))?;
            }
            if id != self.id {
                part.schema = to;
                ddl.put(id, Body::Relation(part));
            }
        }
        if let Some(followed) = ddl.relation(scope, self.id) {
            self.new.columns.clone_from(&followed.columns);
        }
        self.new.schema = to;
        if let RelationKind::Table(storage) = &mut self.new.storage
            && storage.home.is_none()
        {
            storage.home = scope.catalog().schema(from).map(|schema| schema.path.clone());
        }
        Ok(())
    }

    fn rename_column(&mut self, ddl: &mut DdlPlan, name: &str, to: &str) -> PlanResult<()> {
        let next = ddl.new_id(self.scope);
        let storage = self.of_warehouse()?;
        // DuckLake knows the columns of an order by their names.
        storage.sorting.iter_mut().for_each(|sorting| sorting.id = next);
        let id = column(&self.new, name)?.id;
        self.refuse_known(to)?;
        self.change(id, |column| to.clone_into(&mut column.name));
        for own in self.new.columns.iter_mut().filter_map(|column| column.generated.as_mut()) {
            if own.columns.contains(&id) {
                own.expression = renamed(&own.expression, name, to)?;
            }
        }
        for constraint in &mut self.new.constraints {
            if let ConstraintKind::Check(check) = &mut constraint.kind
                && check.columns.contains(&id)
            {
                check.condition = renamed(&check.condition, name, to)?;
            }
        }
        for id_of_index in self.new.indexes.clone() {
            let Some(mut index) = ddl.relation(self.scope, id_of_index).cloned() else { continue };
            let RelationKind::Index(definition) = &mut index.storage else { continue };
            let mut is_in = false;
            for (text, _) in definition.texts_mut().filter(|(_, columns)| columns.contains(&id)) {
                *text = renamed(text, name, to)?;
                is_in = true;
            }
            if is_in {
                ddl.put(id_of_index, Body::Relation(index));
            }
        }
        Ok(())
    }

    fn constrained<'b>(&'b mut self, ddl: &'b mut DdlPlan) -> Constrained<'b> {
        Constrained { scope: self.scope, ddl, id: self.id, table: &mut self.new }
    }

    fn nullable_columns(&self) -> Vec<i32> {
        self.new.columns.iter().filter(|column| column.nullable).map(|column| column.id).collect()
    }

    fn is_in_primary_key(&self, ddl: &DdlPlan, column: i32) -> bool {
        let index = self.new.primary_key().and_then(Constraint::index);
        let index = index.and_then(|index| ddl.relation(self.scope, index)?.as_index());
        index.is_some_and(|index| index.reads().contains(&column))
    }

    /// Holds conditions to the new columns, and the rows to new constraints.
    fn hold_constraints(&self, ddl: &mut DdlPlan) -> PlanResult<()> {
        for constraint in &self.new.constraints {
            if let ConstraintKind::Check(check) = &constraint.kind {
                bind_check(self.scope, &self.new, &check.condition)?;
            }
            // A table that is written again is held to all of them as it is written.
            if self.added.contains(&constraint.id)
                && self.rewritten.is_empty()
                && let Some(validation) = validation(self.scope, self.id, self.old, &self.new, constraint, ddl)?
            {
                ddl.validations.push(validation);
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
            RelationKind::External(_) | RelationKind::View(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => {
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
        let mut column = plain_column(next, &definition.name, definition.pg.clone());
        declare(self.scope, &mut column)?;
        column.nullable = !definition.not_null;
        column.default =
            definition.default.as_deref().map(|text| sequence::with_schemas(self.scope, text)).transpose()?;
        if let Some(option) = &definition.identity {
            self.identify(ddl, &mut column, option)?;
            self.rewritten.push((next, None));
        }
        if let Some((expression, stored)) = &definition.generated {
            one_source(&column, definition, &self.new.name)?;
            self.generate(&mut column, expression, *stored)?;
        }
        if column.domain.is_some() {
            // Each row is held to the rules of the domain.
            self.rewritten.push((next, None));
        } else if column.default.is_some() {
            let value = default_value(self.scope, &column)?;
            if value.is_volatile() || !has_common_text(&column.pg) {
                self.rewritten.push((next, None));
            } else {
                column.initial = constant(self.scope, &value, &column.pg)?;
            }
        }
        self.new.columns.push(column);
        for constraint in &definition.constraints {
            let id = self.constrained(ddl).add(constraint)?;
            self.added.push(id);
        }
        if self.new.column_by_id(next).is_some_and(|column| !column.nullable && column.initial.is_none()) {
            self.required.insert(next);
        }
        Ok(())
    }

    /// Gives a column a sequence of its own.
    fn identify(&mut self, ddl: &mut DdlPlan, column: &mut Column, option: &IdentityOption) -> PlanResult<()> {
        let table = &self.new;
        if column.default.is_some() {
            let message = format!(
                "both default and identity specified for column \"{}\" of table \"{}\"",
                column.name, table.name
            );
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let sequence = sequence::of_column(self.id, column, &option.options)?;
        let id = ddl.new_id(self.scope);
        let name = sequence_name(self.scope, table.schema, &table.name, &column.name, option)?;
        let mut relation = new_relation(self.scope, table.schema, &name, Vec::new(), RelationKind::Sequence(sequence));
        change_owner(&mut relation, table.owner);
        ddl.put(id, Body::Relation(relation));
        column.identity = Some(Identity { kind: option.kind, sequence: id });
        column.nullable = false;
        Ok(())
    }

    fn add_identity(&mut self, ddl: &mut DdlPlan, found: &Column, option: &IdentityOption) -> PlanResult<()> {
        let table = &self.new.name;
        let state = |message: String| Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
        if found.identity.as_ref().is_some_and(|identity| identity.kind != IdentityKind::Serial) {
            let message = format!("column \"{}\" of relation \"{table}\" is already an identity column", found.name);
            return Err(state(message).into());
        }
        if found.default.is_some() || found.identity.is_some() {
            let message = format!("column \"{}\" of relation \"{table}\" already has a default value", found.name);
            return Err(state(message).into());
        }
        if found.nullable {
            let message = format!(
                "column \"{}\" of relation \"{table}\" must be declared NOT NULL before identity can be added",
                found.name
            );
            return Err(state(message).into());
        }
        let mut column = found.clone();
        self.identify(ddl, &mut column, option)?;
        self.change(found.id, |old| *old = column);
        Ok(())
    }

    fn drop_identity(&mut self, ddl: &mut DdlPlan, found: &Column, if_exists: bool) -> PlanResult<()> {
        let own = found.identity.as_ref().filter(|identity| identity.kind != IdentityKind::Serial);
        let Some(identity) = own else {
            let message =
                format!("column \"{}\" of relation \"{}\" is not an identity column", found.name, self.new.name);
            if !if_exists {
                return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
            }
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
            return Ok(());
        };
        ddl.changes.push(Change::Delete(identity.sequence));
        self.change(found.id, |column| column.identity = None);
        Ok(())
    }

    fn change_identity(
        &mut self,
        ddl: &mut DdlPlan,
        found: &Column,
        kind: Option<IdentityKind>,
        options: &SequenceOptions,
    ) -> PlanResult<()> {
        let own = found.identity.as_ref().filter(|identity| identity.kind != IdentityKind::Serial);
        let Some(identity) = own else {
            let message =
                format!("column \"{}\" of relation \"{}\" is not an identity column", found.name, self.new.name);
            return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        };
        let id = identity.sequence;
        let Some(relation) = ddl.relation(self.scope, id).cloned() else { return Ok(()) };
        if let RelationKind::Sequence(before) = &relation.storage {
            let after = sequence::altered(self.scope, ddl, id, before, options)?;
            if after != *before {
                ddl.put(id, Body::Relation(Relation { storage: RelationKind::Sequence(after), ..relation }));
            }
        }
        let kind = kind.unwrap_or(identity.kind);
        self.change(found.id, |column| column.identity = Some(Identity { kind, sequence: id }));
        Ok(())
    }

    /// Makes a column a generated one; its values are computed for all rows.
    fn generate(&mut self, column: &mut Column, expression: &str, stored: bool) -> PlanResult<()> {
        let own = generated::define(self.scope, &self.new, expression, stored)?;
        if own.columns.contains(&column.id) {
            let message = format!("cannot use generated column \"{}\" in column generation expression", column.name);
            let error = Plain::new(SqlState::INVALID_OBJECT_DEFINITION, message);
            return Err(error.detail("A generated column cannot reference another generated column.").into());
        }
        // Whoever sees the mask would see the value here.
        if let Some(masked) = self.masked_of(&own.columns) {
            return Err(unsupported(format!("a column generated from the masked column \"{}\"", masked.name)).into());
        }
        generated::generation(self.scope, &self.new, column, &own)?;
        column.generated = Some(own);
        self.rewritten.retain(|(rewritten, _)| *rewritten != column.id);
        self.rewritten.push((column.id, None));
        Ok(())
    }

    /// The first of some columns that is masked for anybody.
    fn masked_of(&self, columns: &[i32]) -> Option<&Column> {
        let masked = columns.iter().find(|id| self.scope.catalog().is_masked(self.id, **id))?;
        self.new.column_by_id(*masked)
    }

    fn expression(
        &mut self,
        ddl: &mut DdlPlan,
        found: &Column,
        expression: Option<&String>,
        if_exists: bool,
    ) -> PlanResult<()> {
        let Some(own) = &found.generated else {
            let message =
                format!("column \"{}\" of relation \"{}\" is not a generated column", found.name, self.new.name);
            if if_exists {
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        };
        // What a tag masks is hidden in what is computed from it, as long as that is known.
        if let Some(masked) = self.masked_of(&own.columns) {
            let what = format!("changing what is generated from the masked column \"{}\"", masked.name);
            return Err(unsupported(what).into());
        }
        let mut column = Column { generated: None, ..found.clone() };
        if let Some(expression) = expression {
            self.generate(&mut column, expression, own.stored)?;
        }
        self.change(found.id, |old| *old = column);
        Ok(())
    }

    /// Takes away what is generated from a column that goes. `2BP01`.
    fn drop_generated(&mut self, ddl: &mut DdlPlan, found: &Column, cascade: bool) -> PlanResult<()> {
        let reads = |column: &&Column| column.generated.as_ref().is_some_and(|own| own.columns.contains(&found.id));
        let dependents: Vec<Column> = self.new.columns.iter().filter(reads).cloned().collect();
        for dependent in dependents {
            let table = &self.new.name;
            if !cascade {
                let message =
                    format!("cannot drop column {} of table {table} because other objects depend on it", found.name);
                let detail = format!(
                    "column {} of table {table} depends on column {} of table {table}",
                    dependent.name, found.name
                );
                return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(detail)
                    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
                    .into());
            }
            let message = format!("drop cascades to column {} of table {table}", dependent.name);
            self.drop(ddl, &dependent.name, false, true)?;
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, message);
        }
        Ok(())
    }

    fn drop(&mut self, ddl: &mut DdlPlan, name: &str, if_exists: bool, cascade: bool) -> PlanResult<()> {
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
        let found = found.clone();
        let id = found.id;
        refuse_in_layout(&self.new, &found, "drop")?;
        self.drop_generated(ddl, &found, cascade)?;
        self.constrained(ddl).forget_column(&found, cascade)?;
        let owned = self.scope.catalog().relations().filter(|(_, relation)| {
            let sequence = match &relation.storage {
                RelationKind::Sequence(sequence) => sequence.owned_by,
                _ => None,
            };
            sequence == Some((self.id, found.id))
        });
        let owned = owned.map(|(id, _)| id).chain(found.identity.as_ref().map(|identity| identity.sequence));
        for sequence in owned.collect::<BTreeSet<_>>() {
            ddl.changes.push(Change::Delete(sequence));
        }
        self.required.remove(&id);
        self.rewritten.retain(|(rewritten, _)| *rewritten != id);
        self.new.columns.retain(|column| column.id != id);
        Ok(())
    }

    fn default(&mut self, found: &Column, default: Option<&str>) -> PlanResult<()> {
        let is_serial = found.identity.as_ref().is_some_and(|identity| identity.kind == IdentityKind::Serial);
        if found.identity.is_some() && !is_serial {
            return Err(identity_column(found, &self.new).into());
        }
        let default = default.map(|text| sequence::with_schemas(self.scope, text)).transpose()?;
        // A serial column is one with a default; its sequence stays its own.
        let changed = Column { default, identity: None, ..found.clone() };
        // It must be one that can be computed.
        default_value(self.scope, &changed)?;
        self.change(found.id, |column| *column = changed);
        Ok(())
    }

    /// Asks for no NULL in columns that may have none. A table that is written again is held to that as it is written.
    fn require(&self, ddl: &mut DdlPlan) -> PlanResult<()> {
        let wanted = self.new.columns.iter().filter(|column| self.required.contains(&column.id));
        for column in wanted.filter(|_| self.rewritten.is_empty()) {
            let old = self.old.column_by_id(column.id);
            let null = old.map(|old| Expr::Column(EngineColumn::new(Some(TABLE), &old.name)).is_null());
            self.validate(ddl, null, column)?;
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
        let none_of = plan.limit(0, Some(1))?.build()?;
        ddl.validations.push(Validation { table: self.id, none_of, error, key: None });
        Ok(())
    }

    fn retype(&mut self, ddl: &mut DdlPlan, found: &Column, pg: &PgType, using: Option<&ast::Expr>) -> PlanResult<()> {
        let mut declared = plain_column(found.id, &found.name, pg.clone());
        declare(self.scope, &mut declared)?;
        let (pg, domain) = (&declared.pg, declared.domain);
        if found.identity.is_some() && !matches!(pg, PgType::Int2 | PgType::Int4 | PgType::Int8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
        if found.pg == *pg && using.is_none() && (domain.is_none() || domain == found.domain) {
            self.change(found.id, |column| column.domain = domain);
            return Ok(());
        }
        refuse_in_layout(&self.new, found, "alter")?;
        generated::refuse_if_read(&self.new, found)?;
        for (_, name, index) in self.scope.catalog().indexes(self.old) {
            if index.texts().any(|(_, columns)| columns.contains(&found.id)) {
                let error = unsupported("altering the type of a column used by an index's expression or predicate");
                return Err(error.hint(format!("Drop the index \"{name}\" before, and create it again after.")).into());
            }
        }
        if found.generated.is_some() {
            return Err(unsupported("altering the type of a generated column").into());
        }
        // An operator of the condition may be another one for another kind of type, or none.
        let checked = self.new.constraints.iter().any(
            |constraint| matches!(&constraint.kind, ConstraintKind::Check(check) if check.columns.contains(&found.id)),
        );
        if checked && found.pg.category() != pg.category() {
            let message = "cannot alter the type of a column that a check constraint reads to a type of another kind";
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("Drop the constraint first.").into());
        }
        let widening = using.is_none() && is_widening(&found.pg, pg) && domain.is_none();
        // What rows had before the column was there is text of the old type.
        let initial = found.initial.clone().filter(|_| widening);
        let widened = Column { pg: pg.clone(), domain, initial, ..found.clone() };
        if widened.default.is_some() && found.identity.is_none() {
            default_value(self.scope, &widened).map_err(|_error| {
                let message =
                    format!("default for column \"{}\" cannot be cast automatically to type {pg}", found.name);
                Plain::new(SqlState::DATATYPE_MISMATCH, message)
            })?;
        }
        if let Some(identity) = &found.identity {
            sequence::retyped(ddl, self.scope, identity.sequence, &found.pg, pg)?;
        }
        if !widening {
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
        let masked = masks(&scope.ctx, &scope.reader, id, old).map_err(SqlError::from)?;
        let masked = masked.iter().filter_map(|mask| old.columns.get(mask.column));
        let masked: Vec<String> = masked.map(|column| column.name.clone()).collect();
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
                (None, Some(_)) => default_value(&inner, column)?,
                (None, None) => Expr::Literal(initial(column)?, None),
            };
            let read: Vec<_> = value.column_refs().into_iter().map(|column| column.name.clone()).collect();
            if using.is_some() && masked.iter().any(|name| read.contains(name)) {
                let message = "cannot read a masked column in ALTER TABLE";
                return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
            }
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
}

/// What PostgreSQL calls an action that changes the columns or constraints of a table.
fn of_tables_only(action: &AlterTableAction) -> Option<&'static str> {
    Some(match action {
        AlterTableAction::AddColumn { .. } => "ADD COLUMN",
        AlterTableAction::DropColumn { .. } => "DROP COLUMN",
        AlterTableAction::AddConstraint(_) => "ADD CONSTRAINT",
        AlterTableAction::DropConstraint { .. } => "DROP CONSTRAINT",
        AlterTableAction::ValidateConstraint(_) => "VALIDATE CONSTRAINT",
        AlterTableAction::RenameConstraint { .. } => "RENAME CONSTRAINT",
        AlterTableAction::AlterColumn(_, change) => match change {
            AlterColumn::Type { .. } => "ALTER COLUMN ... SET DATA TYPE",
            AlterColumn::NotNull(true) => "ALTER COLUMN ... SET NOT NULL",
            AlterColumn::NotNull(false) => "ALTER COLUMN ... DROP NOT NULL",
            AlterColumn::Default(Some(_)) => "ALTER COLUMN ... SET DEFAULT",
            AlterColumn::Default(None) => "ALTER COLUMN ... DROP DEFAULT",
            _ => "ALTER COLUMN",
        },
        AlterTableAction::RowSecurity(_)
        | AlterTableAction::ForceRowSecurity(_)
        | AlterTableAction::RlsPolicies { .. }
        | AlterTableAction::Owner(_)
        | AlterTableAction::Rename(_)
        | AlterTableAction::SetSchema(_)
        | AlterTableAction::RenameColumn { .. }
        | AlterTableAction::Layout(_)
        | AlterTableAction::Tags { .. }
        | AlterTableAction::AttachMask(_)
        | AlterTableAction::DetachMask(_) => return None,
    })
}

/// `42809` for a relation of another kind.
fn check_kind(relation: &Relation, kind: AlterKind) -> PlanResult<()> {
    let (fits, what) = match kind {
        AlterKind::Table => (true, "table"),
        AlterKind::Index => (relation.as_index().is_some(), "index"),
        AlterKind::Sequence => (matches!(relation.storage, RelationKind::Sequence(_)), "sequence"),
        AlterKind::View => (matches!(relation.storage, RelationKind::View(_)), "view"),
        AlterKind::MaterializedView => (relation.materialized().is_some(), "materialized view"),
    };
    if fits {
        return Ok(());
    }
    let article = if what == "index" { "an" } else { "a" };
    let message = format!("\"{}\" is not {article} {what}", relation.name);
    Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into())
}

/// An index is altered in its name only; a constraint that it carries has the same one.
fn rename_index(
    scope: &Scope,
    mut ddl: DdlPlan,
    id: ObjectId,
    old: &Relation,
    actions: &[AlterTableAction],
) -> PlanResult<(DdlPlan, Option<InsertPlan>)> {
    let [AlterTableAction::Rename(name)] = actions else {
        let message = format!("\"{}\" is not a table", old.name);
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
    };
    if scope.catalog().find(Namespace::Relation(old.schema), name).is_some() {
        let message = format!("relation \"{name}\" already exists");
        return Err(Plain::new(SqlState::DUPLICATE_TABLE, message).into());
    }
    let table = old.as_index().and_then(|index| Some((index.table, scope.catalog().relation(index.table)?)));
    if let Some((table_id, table)) = table.filter(|(_, table)| table.constraint_of(id).is_some()) {
        let mut table = table.clone();
        for constraint in table.constraints.iter_mut().filter(|constraint| constraint.index() == Some(id)) {
            constraint.name.clone_from(name);
        }
        ddl.put(table_id, Body::Relation(table));
    }
    ddl.put(id, Body::Relation(Relation { name: name.clone(), ..old.clone() }));
    Ok((ddl, None))
}

/// What the table is called in plans over its old rows.
pub(super) const TABLE: &str = "old";

/// The table's old rows, as they are kept.
pub(super) fn scan(scope: &Scope, id: ObjectId, relation: &Relation) -> PlanResult<LogicalPlanBuilder> {
    let table = scope.guard.open(&scope.ctx, id, relation, None, scope.engine.state())?;
    Ok(LogicalPlanBuilder::scan(TABLE, provider_as_source(table), None)?)
}

/// Ids are never given twice: files keep the columns that they were written with.
fn next_column_id(relation: &Relation) -> i32 {
    let RelationKind::Table(storage) = &relation.storage else { return 1 };
    let highest = relation.columns.iter().map(|column| column.id).max().unwrap_or(0);
    storage.next_column_id.unwrap_or(0).max(highest + 1)
}

/// The text of a value that is the same for all rows; `None`: NULL.
fn constant(scope: &Scope, value: &Expr, pg: &PgType) -> PlanResult<Option<String>> {
    let physical = scope.engine.physical_expr(value, &DFSchema::empty())?;
    let array = evaluate_default(&physical, 1)?;
    let array = within_modifier(array, pg, Surplus::Refused).map_err(SqlError::from)?;
    let value = ScalarValue::try_from_array(&array, 0)?;
    if value.is_null() {
        return Ok(None);
    }
    let text = scalar_text(&value, pg, &Style::utc()).map_err(internal)?;
    let calendar = matches!(pg, PgType::Date | PgType::Timestamp(_) | PgType::Timestamptz(_));
    if text.contains('\0') || calendar && (text.contains("BC") || text.contains("infinity")) {
        return Err(unsupported("this default of a new column").into());
    }
    Ok(Some(text))
}

/// Whether values of the type have one text for all who read DuckLake's catalog.
fn has_common_text(pg: &PgType) -> bool {
    use PgType as T;
    matches!(
        pg,
        T::Bool | T::Int2 | T::Int4 | T::Int8 | T::Float4 | T::Float8 | T::Numeric(_) | T::Text | T::Varchar(_)
    ) || matches!(pg, T::Date | T::Time(_) | T::Timestamp(_) | T::Timestamptz(_) | T::Uuid | T::Json | T::Jsonb)
}

/// Whether files with the old type can be read as the new one, and what they say of their values still holds.
fn is_widening(from: &PgType, to: &PgType) -> bool {
    use PgType as T;
    match (from, to) {
        (T::Int2, T::Int4 | T::Int8) | (T::Int4, T::Int8) | (T::Varchar(_), T::Text | T::Varchar(None)) => true,
        (T::Text, T::Varchar(None)) => true,
        (T::Varchar(Some(from)), T::Varchar(Some(to))) => from <= to,
        (T::Numeric(Some((from, scale))), T::Numeric(Some((to, new_scale)))) => from <= to && scale == new_scale,
        (T::Time(from), T::Time(to))
        | (T::Timetz(from), T::Timetz(to))
        | (T::Timestamp(from), T::Timestamp(to))
        | (T::Timestamptz(from), T::Timestamptz(to)) => {
            from.unwrap_or(SECOND_DIGITS_MAX) <= to.unwrap_or(SECOND_DIGITS_MAX)
        }
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
