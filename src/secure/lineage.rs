//! Which columns a query reads, from the plan as bound, before any optimizer has dropped one.
//!
//! Every column named anywhere is traced to the base columns it carries. What cannot be traced is an error; nodes that
//! name no columns read all of their input.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, TableScan};

use crate::catalog::Relation;
use crate::error::SqlError;
use crate::govern::Privilege;
use crate::guard::{FILE_COLUMN, OpenTable, POSITION_COLUMN, ResultTable, SecureTable, ViewTable};
use crate::name::ObjectId;
use crate::pg::{SequenceAction, SequenceFunction, SystemTable};
use crate::plan::{Need, Right, RowCheck, has_subquery, lateral_left};

/// The SELECT rights a query needs, its views' queries included.
pub(super) fn needs(role: ObjectId, plan: &LogicalPlan) -> Result<Vec<Need>, SqlError> {
    Lineage::of(plan)?.needs(role)
}

/// A base column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    relation: ObjectId,
    index: i32,
    /// Whether it is read as the table whose rows the statement changes.
    of_target: bool,
}

#[derive(Clone)]
struct Output {
    qualifier: Option<TableReference>,
    name: String,
    from: BTreeSet<Origin>,
}

type Scope = Vec<Output>;

/// The columns of a relation as its policies see them.
fn columns_without_rights<'a>(relation: &str, columns: impl Iterator<Item = &'a str>) -> Scope {
    let qualifier = TableReference::bare(relation.to_owned());
    let output =
        |name: &str| Output { qualifier: Some(qualifier.clone()), name: name.to_owned(), from: BTreeSet::new() };
    columns.map(output).collect()
}

/// What a query reads.
pub(super) struct Lineage {
    read: BTreeMap<ObjectId, BTreeSet<i32>>,
    /// Columns of the table whose rows the statement changes.
    pub(super) read_of_target: BTreeSet<i32>,
    views: Vec<(ObjectId, LogicalPlan)>,
    /// Masks with subqueries, each with the relation and the column that it is for, and what it sees. What they read counts if
    /// the column is read.
    masks: Vec<(ObjectId, i32, Expr, Scope)>,
    /// Those that `nextval` is called for.
    sequences: BTreeSet<(ObjectId, SequenceAction)>,
}

impl Lineage {
    pub(super) fn of(plan: &LogicalPlan) -> Result<Self, SqlError> {
        let mut lineage = Self::nothing();
        let output = lineage.walk(plan, &mut vec![]).map_err(SqlError::from_engine)?;
        lineage.mark(&output);
        lineage.read_by_masks().map_err(SqlError::from_engine)?;
        Ok(lineage)
    }

    fn read_by_masks(&mut self) -> Result<()> {
        let is_read = |read: &BTreeMap<ObjectId, BTreeSet<i32>>, relation: &ObjectId, index: &i32| {
            read.get(relation).is_some_and(|columns| columns.contains(index))
        };
        // One may read columns that others are for.
        while let Some(next) = self.masks.iter().position(|(relation, index, ..)| is_read(&self.read, relation, index))
        {
            let (_, _, mask, own) = self.masks.swap_remove(next);
            self.expression(&mask, &own, &mut vec![])?;
        }
        Ok(())
    }

    /// What subqueries read that row policies hold a relation's new rows against. The rows themselves need no right.
    pub(super) fn of_checks(relation: &Relation, checks: &[RowCheck]) -> Result<Self, SqlError> {
        let mut lineage = Self::nothing();
        let own = columns_without_rights(&relation.name, relation.columns.iter().map(|column| column.name.as_str()));
        for check in checks.iter().filter(|check| has_subquery(&check.condition)) {
            lineage.expression(&check.condition, &own, &mut vec![]).map_err(SqlError::from_engine)?;
        }
        lineage.read_by_masks().map_err(SqlError::from_engine)?;
        Ok(lineage)
    }

    fn nothing() -> Self {
        Self {
            read: BTreeMap::new(),
            read_of_target: BTreeSet::new(),
            views: Vec::new(),
            masks: Vec::new(),
            sequences: BTreeSet::new(),
        }
    }

    /// Rights for all of it, and for what its views read.
    pub(super) fn needs(self, role: ObjectId) -> Result<Vec<Need>, SqlError> {
        let sequences = self.sequence_needs(role);
        let mut needs = Vec::new();
        for (id, columns) in self.read {
            let right = if columns.is_empty() {
                Right::AnyColumn { id, privilege: Privilege::Select }
            } else {
                Right::Relation { id, privilege: Privilege::Select, columns: columns.into_iter().collect() }
            };
            needs.push(Need { role, right });
        }
        needs.extend(sequences);
        for (checked_as, plan) in self.views {
            needs.extend(self::needs(checked_as, &plan)?);
        }
        Ok(needs)
    }

    /// Rights for the sequences that it draws from.
    pub(super) fn sequence_needs(&self, role: ObjectId) -> Vec<Need> {
        self.sequences.iter().map(|(id, action)| Need { role, right: Right::Sequence(*id, *action) }).collect()
    }

    fn mark(&mut self, scope: &[Output]) {
        for origin in scope.iter().flat_map(|output| &output.from) {
            self.read.entry(origin.relation).or_default().insert(origin.index);
            if origin.of_target {
                self.read_of_target.insert(origin.index);
            }
        }
    }

    fn walk(&mut self, plan: &LogicalPlan, outer: &mut Vec<Scope>) -> Result<Scope> {
        use LogicalPlan as P;
        let mut input: Scope = vec![];
        for (index, child) in plan.inputs().into_iter().enumerate() {
            // Only the right side of a LATERAL join sees the left: what else it names is further out.
            let lateral = index == 1 && lateral_left(plan).is_some();
            if lateral {
                outer.push(input.clone());
            }
            let output = self.walk(child, outer)?;
            if lateral {
                outer.pop();
            }
            input.extend(output);
        }
        if let P::TableScan(scan) = plan {
            input = self.scan(scan)?;
        }
        let mut failed = None;
        plan.apply_expressions(|expr| {
            if let Err(error) = self.expression(expr, &input, outer) {
                failed.get_or_insert(error);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let is_barrier = matches!(plan, P::Extension(extension) if extension.node.name() == "Barrier");
        let names_what_it_reads = is_barrier
            || matches!(
                plan,
                P::Projection(_)
                    | P::Filter(_)
                    | P::Sort(_)
                    | P::Limit(_)
                    | P::SubqueryAlias(_)
                    | P::Join(_)
                    | P::Aggregate(_)
                    | P::Window(_)
                    | P::Repartition(_)
                    | P::Subquery(_)
                    | P::TableScan(_)
                    | P::Values(_)
                    | P::EmptyRelation(_)
                    | P::Distinct(Distinct::On(_))
            );
        if !names_what_it_reads {
            self.mark(&input);
        }
        let by_position = matches!(plan, P::SubqueryAlias(_));
        let outputs = plan.schema().iter().enumerate().map(|(index, (qualifier, field))| {
            let from = if by_position {
                input.get(index).map(|output| output.from.clone()).unwrap_or_default()
            } else {
                let same = input
                    .iter()
                    .filter(|output| output.qualifier.as_ref() == qualifier && output.name == *field.name());
                same.flat_map(|output| output.from.clone()).collect()
            };
            Output { qualifier: qualifier.cloned(), name: field.name().clone(), from }
        });
        Ok(outputs.collect())
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Scope> {
        let provider = source_as_provider(&scan.source)?;
        let relation = if let Some(table) = provider.downcast_ref::<SecureTable>() {
            // A policy's own columns need no right; what its subqueries read does.
            let schema = table.schema();
            let own = columns_without_rights(table.name(), schema.fields().iter().map(|field| field.name().as_str()));
            let policies = table.policies();
            if let Some(filter) = &policies.row_filter {
                self.expression(filter, &own, &mut vec![])?;
            }
            for (index, mask) in policies.masks.iter().enumerate() {
                if let Some(mask) = mask.as_ref().filter(|mask| has_subquery(mask)) {
                    let index = i32::try_from(index).unwrap_or(i32::MAX);
                    self.masks.push((table.relation(), index, mask.clone(), own.clone()));
                }
            }
            Some(table.relation())
        } else if let Some(table) = provider.downcast_ref::<OpenTable>() {
            // A file that COPY reads belongs to no relation; its own right was asked for.
            Some(table.relation()).filter(|id| id.0 != i64::MIN)
        } else if let Some(view) = provider.downcast_ref::<ViewTable>() {
            self.views.push((view.checked_as, view.plan.clone()));
            view.relation
        } else if is_nobodys(provider.as_ref()) {
            None
        } else {
            return Err(DataFusionError::Internal(format!("{} was not issued by the guard", scan.table_name)));
        };
        let schema = scan.source.schema();
        // Where a row is tells nothing about what is in it; and to change rows is not to read them.
        let is_address = |name: &str| name == FILE_COLUMN || name == POSITION_COLUMN;
        let of_target = schema.fields().iter().any(|field| is_address(field.name()));
        if let Some(id) = relation.filter(|_| !of_target) {
            self.read.entry(id).or_default();
        }
        let outputs = schema.fields().iter().enumerate().map(|(index, field)| {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            let origin = relation.filter(|_| !is_address(field.name()));
            let from = origin.map(|relation| Origin { relation, index, of_target }).into_iter().collect();
            Output { qualifier: Some(scan.table_name.clone()), name: field.name().clone(), from }
        });
        Ok(outputs.collect())
    }

    fn expression(&mut self, expr: &Expr, input: &Scope, outer: &mut Vec<Scope>) -> Result<()> {
        expr.apply(|expr| {
            let subquery = match expr {
                Expr::Column(column) => {
                    let hits = find(input, column)?;
                    self.mark(&hits);
                    None
                }
                Expr::OuterReferenceColumn(_, column) => {
                    let hits = outer
                        .iter()
                        .rev()
                        .find_map(|scope| find(scope, column).ok())
                        .ok_or_else(|| untraced(column))?;
                    self.mark(&hits);
                    None
                }
                Expr::ScalarFunction(function) => {
                    let sequence = function.func.inner().downcast_ref::<SequenceFunction>();
                    let asked = sequence.filter(|own| own.action != SequenceAction::Next { explicit: false });
                    self.sequences.extend(asked.map(|own| (own.id, own.action)));
                    None
                }
                Expr::ScalarSubquery(subquery) => Some((subquery, true)),
                Expr::InSubquery(subquery) => Some((&subquery.subquery, true)),
                Expr::SetComparison(subquery) => Some((&subquery.subquery, true)),
                Expr::Exists(subquery) => Some((&subquery.subquery, false)),
                _ => None,
            };
            if let Some((subquery, reads_output)) = subquery {
                outer.push(input.clone());
                let output = self.walk(&subquery.subquery, outer)?;
                outer.pop();
                if reads_output {
                    self.mark(&output);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }
}

/// Rows of no relation: a function's, the server's own, or such as were permitted when they were read.
fn is_nobodys(provider: &dyn TableProvider) -> bool {
    provider.is::<GenerateSeriesTable>()
        || provider.is::<CteWorkTable>()
        || provider.is::<SystemTable>()
        || provider.is::<ResultTable>()
}

fn find(scope: &Scope, column: &Column) -> Result<Scope> {
    let hits: Scope = scope
        .iter()
        .filter(|output| {
            output.name == column.name && (column.relation.is_none() || column.relation == output.qualifier)
        })
        .cloned()
        .collect();
    if hits.is_empty() { Err(untraced(column)) } else { Ok(hits) }
}

fn untraced(column: &Column) -> DataFusionError {
    DataFusionError::Internal(format!("column {column} has no origin"))
}
