//! Materialized views: tables of the warehouse whose rows are a query's. CREATE is a kind of CREATE TABLE AS ([`super::table`]).

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::super::insert::{InsertPlan, from_plan};
use super::super::policy::effect_in;
use super::super::{PlanResult, Right, Scope, query};
use super::{DdlPlan, relation};
use crate::catalog::{Body, Column, RelationKind, TableStorage};
use crate::error::{Plain, SqlState, unsupported};
use crate::govern::Privilege;
use crate::guard::{Reader, ViewTable, expand_views};
use crate::statement::Refresh;

/// REFRESH MATERIALIZED VIEW: its rows are those of its query as its owner sees them, whoever asks for it. `42809`, `55000`.
pub(in crate::plan) fn refresh(scope: &Scope, refresh: &Refresh) -> PlanResult<(DdlPlan, Option<InsertPlan>)> {
    let mut ddl = DdlPlan { tag: "REFRESH MATERIALIZED VIEW", ..DdlPlan::default() };
    let (id, old) = relation(scope, &refresh.name)?;
    ddl.need(scope, Right::Relation { id, privilege: Privilege::Maintain, columns: vec![] });
    let Some(materialized) = old.materialized() else {
        let code = if old.is_table() { SqlState::FEATURE_NOT_SUPPORTED } else { SqlState::WRONG_OBJECT_TYPE };
        let what = if old.is_table() { "materialized view" } else { "table or materialized view" };
        return Err(Plain::new(code, format!("\"{}\" is not a {what}", old.name)).into());
    };
    if refresh.concurrently {
        if !materialized.populated {
            let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
        let mut indexes = scope.catalog().indexes(old);
        if !indexes.any(|(_, _, index)| index.unique && index.columns_of_all_rows().is_some()) {
            let schema = scope.catalog().schema(old.schema).map(|schema| schema.name.as_str()).unwrap_or_default();
            let name = format!("{schema}.{}", old.name);
            let message = format!("cannot refresh materialized view \"{name}\" concurrently");
            let hint = "Create a unique index with no WHERE clause on one or more columns of the materialized view.";
            let error = Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
            return Err(error.hint(hint).into());
        }
    }
    let mut new = old.clone();
    if let RelationKind::Table(TableStorage { materialized: Some(own), .. }) = &mut new.storage {
        own.populated = refresh.with_data;
    }
    let populates = new != *old;
    if populates {
        ddl.put(id, Body::Relation(new));
    }
    ddl.truncate.push(id);
    if !refresh.with_data {
        return Ok((ddl, None));
    }
    let mut inner = scope.as_role(old.owner, &materialized.view.search_path);
    inner.facts.moment = None;
    (inner.ctx.user, inner.ctx.session_role) = (old.owner, old.owner);
    inner.reader = Reader::of(&inner.ctx);
    let plan = query::view(&inner, old, &materialized.view, vec![id])?;
    refuse_effects(&plan)?;
    let schema = Arc::clone(plan.schema().inner());
    let view = ViewTable { relation: None, schema, plan, checked_as: old.owner };
    let source = LogicalPlanBuilder::scan("refreshed", provider_as_source(Arc::new(view)), None)?.build()?;
    let columns: Vec<&Column> = old.columns.iter().collect();
    let fill = from_plan(scope, id, old, source, &columns)?;
    let tag = ddl.tag;
    Ok((ddl, Some(InsertPlan { tag, ..fill })))
}

/// Functions that change something of the session, or of others: whoever refreshes would do it for the owner.
const EFFECTS: &[&str] = &["set_config", "pg_notify", "pg_reload_conf", "pg_cancel_backend", "pg_terminate_backend"];

/// `0A000` for a query that does more than read, be it in the views that it reads.
pub(super) fn refuse_effects(query: &LogicalPlan) -> PlanResult<()> {
    let mut effect = None;
    expand_views(query.clone())?.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            effect = effect_in(expr, EFFECTS)?;
            Ok(if effect.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    match effect {
        Some(effect) => Err(unsupported(format!("{effect} in a materialized view")).into()),
        None => Ok(()),
    }
}
