//! A statement in parts: WITH whose queries change rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};

use super::{Parameters, Plan, PlanResult, Scope, plan_command, rewrite};
use crate::error::{Plain, SqlState, unsupported};
use crate::guard::ResultTable;
use crate::name::ObjectId;
use crate::statement::WithParts;
use crate::types::Origin;

/// One part, and where its rows go.
#[derive(Debug)]
pub struct PartPlan {
    /// What it does.
    pub plan: Plan,
    /// Its result, for the parts after it; `None`: it gives nothing back.
    pub result: Option<Arc<ResultTable>>,
}

pub(super) fn plan(scope: &Scope, with: &WithParts, parameters: &Parameters) -> PlanResult<Plan> {
    let mut scope = scope.clone();
    let mut parameters = parameters.clone();
    let mut parts = Vec::new();
    for part in &with.parts {
        let plan = plan_command(&scope, &part.command, &parameters)?;
        note_types(&plan, &mut parameters);
        let result = match plan.fields() {
            Some(fields) if fields.len() < part.columns.len() => {
                let (has, wants) = (fields.len(), part.columns.len());
                let message =
                    format!("WITH query \"{}\" has {has} columns available but {wants} columns specified", part.name);
                return Err(Plain::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
            }
            Some(fields) => Some(Arc::new(ResultTable::new(schema(&fields, &part.columns)))),
            None => None,
        };
        if scope.results.insert(part.name.clone(), result.clone()).is_some() {
            let message = format!("WITH query name \"{}\" specified more than once", part.name);
            return Err(Plain::new(SqlState::DUPLICATE_ALIAS, message).into());
        }
        parts.push(PartPlan { plan, result });
    }
    let main = plan_command(&scope, &with.main, &parameters)?;
    note_types(&main, &mut parameters);
    refuse_collisions(parts.iter().map(|part| &part.plan).chain([&main]))?;
    Ok(Plan::Parts { parts, main: Box::new(main), parameters: parameters.types })
}

/// The types of parameters that a part shows hold for the others.
fn note_types(plan: &Plan, parameters: &mut Parameters) {
    let found = plan.found_types();
    if parameters.types.len() < found.len() {
        parameters.types.resize(found.len(), None);
    }
    for (known, found) in parameters.types.iter_mut().zip(found) {
        if known.is_none() {
            *known = found;
        }
    }
}

fn schema(fields: &[FieldRef], names: &[String]) -> Arc<Schema> {
    let mut all: Vec<Field> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let name = names.get(index).unwrap_or(field.name());
        let known = all.iter().any(|other| other.name() == name);
        let name = if known { rewrite::numbered(name, index) } else { name.clone() };
        let field = Origin::forget(Field::clone(field));
        all.push(field.with_name(name).with_nullable(true));
    }
    Arc::new(Schema::new(all))
}

/// Refuses to change rows of a table in two places: neither would see what the other does.
fn refuse_collisions<'a>(plans: impl Iterator<Item = &'a Plan>) -> PlanResult<()> {
    let mut changed: BTreeMap<ObjectId, usize> = BTreeMap::new();
    for plan in plans {
        match plan {
            Plan::Modify(modify) => *changed.entry(modify.table).or_default() += 1,
            Plan::Insert(insert) if insert.on_conflict.is_some() => *changed.entry(insert.table).or_default() += 1,
            _ => {}
        }
    }
    if changed.values().any(|times| *times > 1) {
        return Err(unsupported("changing rows of one table in two parts of a statement").into());
    }
    Ok(())
}
