//! SELECT, VALUES, TABLE: from syntax to a logical plan over issued relations.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{Column, DataFusionError, ParamValues, ScalarValue, TableReference};
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast::{self, ObjectName, ObjectNamePart, Query, Visit, Visitor};

use super::lock::{self, Locks};
use super::modify::TARGET;
use super::names::Names;
use super::origin::with_origins;
use super::{Parameters, PlanError, PlanResult, Scope, rewrite, typing, waiting};
use crate::catalog::{Relation, View};
use crate::error::{SqlError, internal, unsupported};
use crate::name::QualifiedName;
use crate::pg::system::{self, SystemRelation};
pub(super) use crate::statement::folded;
use crate::statement::{as_it_was, parse_query};
use crate::types::{PgType, field, of_field};

/// A bound query, not yet permitted.
#[derive(Debug)]
pub struct QueryPlan {
    /// What the engine runs. Views are replaced by their queries once it is permitted.
    pub logical: LogicalPlan,
    /// Output columns with the names the client sees.
    pub fields: Vec<FieldRef>,
    /// Types of the parameters by position, as far as they are known.
    pub parameters: Vec<Option<PgType>>,
    /// What it locks.
    pub locks: Locks,
}

/// A query at the top of a statement, which may lock what it reads.
pub(super) fn plan_locking(scope: &Scope, query: &Query, parameters: &Parameters) -> PlanResult<QueryPlan> {
    if query.locks.is_empty() {
        return plan(scope, query, parameters);
    }
    let mut query = query.clone();
    let locks = lock::take(scope, &mut query)?;
    Ok(QueryPlan { locks, ..plan(scope, &query, parameters)? })
}

pub(super) fn plan(scope: &Scope, query: &Query, parameters: &Parameters) -> PlanResult<QueryPlan> {
    let mut query = query.clone();
    let mut types = parameters.types.clone();
    rewrite::query(scope, &mut query, &mut types)?;
    let logical = bind_any(scope, query, &mut types, vec![])?;
    waiting::refuse(&logical, true).map_err(PlanError::Engine)?;
    let logical = with_values(logical, &types, parameters)?;
    Ok(QueryPlan {
        fields: with_origins(scope, &logical, output(&logical)),
        logical,
        parameters: types,
        locks: Locks::default(),
    })
}

/// Binds a rewritten query that is part of something else; parameters without a type get the one their surroundings suggest.
pub(super) fn bind(
    scope: &Scope,
    query: Query,
    types: &mut Vec<Option<PgType>>,
    within: Vec<crate::name::ObjectId>,
) -> PlanResult<LogicalPlan> {
    let logical = bind_any(scope, query, types, within)?;
    waiting::refuse(&logical, false).map_err(PlanError::Engine)?;
    Ok(logical)
}

/// Times that a plan is bound to find out the types of parameters by one another.
const PASSES_MAX: usize = 16;

fn bind_any(
    scope: &Scope,
    query: Query,
    types: &mut Vec<Option<PgType>>,
    within: Vec<crate::name::ObjectId>,
) -> PlanResult<LogicalPlan> {
    check(&query, scope)?;
    let names = Names::new(scope, within);
    let statement = ast::Statement::Query(Box::new(query));
    let mut logical = to_plan(&names, statement.clone(), types)?;
    let mut passes = 0;
    while typing::has_open(&logical, types).map_err(PlanError::Engine)? {
        passes += 1;
        if passes < PASSES_MAX {
            typing::note_parameters(scope, &logical, types).map_err(PlanError::Engine)?;
        } else {
            typing::suggest_rest(&logical, types).map_err(PlanError::Engine)?;
        }
        logical = to_plan(&names, statement.clone(), types)?;
    }
    typing::apply(scope, logical).map_err(PlanError::Engine)
}

fn to_plan(names: &Names<'_>, statement: ast::Statement, types: &[Option<PgType>]) -> PlanResult<LogicalPlan> {
    let declared: Vec<Option<FieldRef>> =
        types.iter().map(|pg| pg.as_ref().map(|pg| Arc::new(field("", pg, true)) as FieldRef)).collect();
    let mut context = PlannerContext::new().with_prepare_param_data_types(declared);
    sql_to_rel(names).sql_statement_to_plan_with_context(statement, &mut context).map_err(PlanError::Engine)
}

pub(super) fn sql_to_rel<'a>(names: &'a Names<'a>) -> SqlToRel<'a, Names<'a>> {
    let options = ParserOptions::new().with_parse_float_as_decimal(true).with_collect_spans(true);
    SqlToRel::new_with_options(names, options)
}

/// Puts the parameters' values in their places.
pub(super) fn with_values(
    logical: LogicalPlan,
    types: &[Option<PgType>],
    parameters: &Parameters,
) -> PlanResult<LogicalPlan> {
    let Some(values) = &parameters.values else { return Ok(logical) };
    if values.is_empty() {
        return Ok(logical);
    }
    let values = values.iter().enumerate().map(|(index, value)| {
        let metadata =
            types.get(index).cloned().flatten().map(|pg| field("", &pg, true).metadata().clone()).unwrap_or_default();
        let metadata = (!metadata.is_empty()).then(|| datafusion::common::metadata::FieldMetadata::from(metadata));
        ScalarAndMetadata::new(value.clone(), metadata)
    });
    logical.with_param_values(ParamValues::List(values.collect())).map_err(PlanError::Engine)
}

pub(super) fn output(logical: &LogicalPlan) -> Vec<FieldRef> {
    let fields = logical.schema().fields().iter();
    fields
        .map(|field| Arc::new(Field::clone(field).with_name(rewrite::visible_name(field.name()))) as FieldRef)
        .collect()
}

/// The query of a view with the view's own column names and types.
pub(super) fn view(
    scope: &Scope,
    relation: &Relation,
    view: &View,
    within: Vec<crate::name::ObjectId>,
) -> Result<LogicalPlan, SqlError> {
    let bound = || -> PlanResult<LogicalPlan> {
        let mut query = *parse_query(&view.query).map_err(SqlError::from)?;
        let mut types = Vec::new();
        rewrite::query(scope, &mut query, &mut types)?;
        let logical = bind(scope, query, &mut types, within)?;
        let given: Vec<_> = logical.schema().iter().collect();
        // A table may have got columns since that `*` in the view stands for.
        let same_count = given.len() == relation.columns.len();
        let column = |(index, column): (usize, &crate::catalog::Column)| {
            let named =
                |(_, field): &&(Option<&TableReference>, &FieldRef)| rewrite::visible_name(field.name()) == column.name;
            let found = if same_count { given.get(index) } else { given.iter().find(named) };
            let (qualifier, field) =
                found.ok_or_else(|| unsupported("a view whose base table has changed its columns"))?;
            Ok(Expr::Column(Column::new(qualifier.cloned(), field.name())).alias(&column.name))
        };
        let columns = relation.columns.iter().enumerate().map(column).collect::<PlanResult<Vec<Expr>>>()?;
        LogicalPlanBuilder::from(logical)
            .project(columns)
            .and_then(LogicalPlanBuilder::build)
            .map_err(PlanError::Engine)
    };
    bound().map_err(PlanError::unlocated)
}

/// The query of a system view with the columns that PostgreSQL has: those it does not name are NULL.
pub(super) fn system_view(scope: &Scope, relation: &SystemRelation, query: &str) -> Result<LogicalPlan, SqlError> {
    let bound = || -> PlanResult<LogicalPlan> {
        let mut query = *parse_query(query).map_err(SqlError::from)?;
        let mut types = Vec::new();
        rewrite::query(scope, &mut query, &mut types)?;
        let logical = bind(scope, query, &mut types, vec![])?;
        let given: Vec<(Option<TableReference>, FieldRef)> =
            logical.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        if let Some((_, stranger)) = given
            .iter()
            .find(|(_, field)| !relation.columns.iter().any(|(name, _)| *name == rewrite::visible_name(field.name())))
        {
            return Err(internal(format!("{} has no column {}", relation.name, stranger.name())).into());
        }
        let columns = relation.columns.iter().map(|(name, pg)| {
            let target = Arc::new(field(*name, pg, true));
            let found = given.iter().find(|(_, field)| rewrite::visible_name(field.name()) == *name);
            let value = match found {
                Some((qualifier, field)) => {
                    let column = Expr::Column(Column::new(qualifier.clone(), field.name()));
                    // A name may lack a column's type, which a cast puts in place.
                    if field.data_type() == target.data_type() && of_field(field) == *pg {
                        column
                    } else {
                        Expr::Cast(Cast::new_from_field(Box::new(column), Arc::clone(&target) as FieldRef))
                    }
                }
                None => Expr::Cast(Cast::new_from_field(
                    Box::new(Expr::Literal(ScalarValue::Null, None)),
                    Arc::clone(&target) as FieldRef,
                )),
            };
            value.alias(*name)
        });
        LogicalPlanBuilder::from(logical)
            .project(columns.collect::<Vec<_>>())
            .and_then(LogicalPlanBuilder::build)
            .map_err(PlanError::Engine)
    };
    bound().map_err(PlanError::unlocated)
}

/// Raises what the engine would only say as text: unknown relations and functions, clauses it would ignore.
fn check(query: &Query, scope: &Scope) -> PlanResult<()> {
    let mut checker = Checker { scope, ctes: Vec::new(), error: None };
    let _flow = Visit::visit(query, &mut checker);
    checker.error.map_or(Ok(()), Err)
}

/// The same for an expression that is in no query.
pub(super) fn check_expression(expr: &ast::Expr, scope: &Scope) -> Result<(), SqlError> {
    let mut checker = Checker { scope, ctes: Vec::new(), error: None };
    let _flow = Visit::visit(expr, &mut checker);
    checker.error.map_or(Ok(()), |error| Err(error.unlocated()))
}

struct Checker<'a> {
    scope: &'a Scope,
    /// Names of WITH queries, of all levels: a shadowed table is found when it is bound.
    ctes: Vec<String>,
    error: Option<PlanError>,
}

impl Checker<'_> {
    fn fail(&mut self, error: impl Into<PlanError>) -> ControlFlow<()> {
        self.error.get_or_insert(error.into());
        ControlFlow::Break(())
    }
}

impl Visitor for Checker<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| folded(&cte.alias.name)));
        }
        if matches!(
            query.body.as_ref(),
            ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_)
        ) {
            return self.fail(unsupported("a data-modifying statement in WITH"));
        }
        if !query.locks.is_empty() {
            return self.fail(unsupported("SELECT … FOR UPDATE or FOR SHARE"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        match factor {
            ast::TableFactor::Table { name, args: None, version, sample, with_ordinality, .. } => {
                if version.is_some() {
                    return self.fail(unsupported("time travel"));
                }
                if sample.is_some() {
                    return self.fail(unsupported("TABLESAMPLE"));
                }
                if *with_ordinality {
                    return self.fail(unsupported("WITH ORDINALITY"));
                }
                let Some(name) = qualified(name) else {
                    return self.fail(unsupported("a relation name with more than a schema"));
                };
                let of_statement = name.name == TARGET
                    || self.ctes.contains(&name.name)
                    || self.scope.results.contains_key(&name.name);
                let known = (name.schema.is_none() && of_statement)
                    || system::relation(name.schema.as_deref(), &name.name).is_some()
                    || self.scope.ctx.relation(&name).is_some()
                    || as_it_was(&name.name).is_some();
                if !known {
                    self.error = Some(PlanError::Undefined(
                        self.scope.ctx.missing_relation(&name),
                        name.schema.unwrap_or(name.name),
                    ));
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
            ast::TableFactor::Function { name, .. } => self.function(name),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Function(function) => self.function(&function.name),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Checker<'_> {
    /// `42883` for the name of a function with a schema: those that there are have lost theirs.
    fn function(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let [ObjectNamePart::Identifier(_)] = name.0.as_slice() else {
            return self.fail(typing::undefined_function(&name.to_string()));
        };
        ControlFlow::Continue(())
    }
}

/// `[database.][schema.]name`.
pub(super) fn qualified(name: &ObjectName) -> Option<QualifiedName> {
    let parts: Vec<String> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(folded(ident)),
            ObjectNamePart::Function(_) => None,
        })
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [name] => Some(QualifiedName::bare(name.clone())),
        [schema, name] => Some(QualifiedName::new(schema.clone(), name.clone())),
        [database, schema, name] if database == crate::catalog::DATABASE_NAME => {
            Some(QualifiedName::new(schema.clone(), name.clone()))
        }
        _ => None,
    }
}

impl From<DataFusionError> for PlanError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

/// Names of the relations a stored query reads.
pub(super) fn relations_of(source: &str) -> Vec<QualifiedName> {
    struct Relations(Vec<QualifiedName>);
    impl Visitor for Relations {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            self.0.extend(qualified(name));
            ControlFlow::Continue(())
        }
    }
    let mut relations = Relations(Vec::new());
    if let Ok(query) = parse_query(source) {
        let _flow = Visit::visit(&query, &mut relations);
    }
    relations.0
}
