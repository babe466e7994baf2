//! EXPLAIN: the physical plan, as far as its user may know it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::StringViewArray;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::{displayable, execute_stream};
use futures::TryStreamExt;

use super::{Outcome, query};
use crate::error::SqlError;
use crate::guard::{applied, shown};
use crate::plan::{QueryPlan, Scope};
use crate::types::{PgType, field};

pub(super) async fn run(
    scope: &Scope,
    query: QueryPlan,
    analyze: bool,
    verbose: bool,
    policies: bool,
) -> Result<Outcome, SqlError> {
    let logical = shown(query.logical.clone()).map_err(SqlError::from_engine)?;
    let plan = query::physical(scope, &logical).await?;
    if analyze {
        let mut stream = execute_stream(Arc::clone(&plan), scope.engine.task()).map_err(SqlError::from_engine)?;
        while stream.try_next().await.map_err(SqlError::from_engine)?.is_some() {}
    }
    let mut text = if analyze {
        datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(plan.as_ref())
            .indent(verbose)
            .to_string()
    } else {
        displayable(plan.as_ref()).indent(verbose).to_string()
    };
    if policies {
        text.push_str(&policy_lines(scope, &query)?);
    }
    let fields = vec![Arc::new(field("QUERY PLAN", &PgType::Text, false))];
    let lines = StringViewArray::from_iter_values(text.lines());
    let schema = Arc::new(Schema::new(fields.clone()));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(lines)]).map_err(SqlError::from_arrow)?;
    Ok(Outcome::Returned { stream: query::ready(&fields, vec![batch]), fields, tag: "EXPLAIN".to_owned() })
}

/// The policies that a query's relations are read through.
fn policy_lines(scope: &Scope, query: &QueryPlan) -> Result<String, SqlError> {
    let mut lines = BTreeSet::new();
    for (relation, policies) in applied(&query.logical).map_err(SqlError::from_engine)? {
        let name = scope.ctx.display_name(relation);
        lines.extend(policies.iter().map(|policy| format!("\n  {name}: {policy}")));
    }
    let lines: String = if lines.is_empty() { " none".to_owned() } else { lines.into_iter().collect() };
    Ok(format!("Policies:{lines}"))
}
