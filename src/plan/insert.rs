//! INSERT: a source of rows, brought into the shape of the table, with what the rows must satisfy.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Column as EngineColumn, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::conflict::{self, OnConflict};
use super::names::Names;
use super::returning::{self, Returning};
use super::{
    Need, Parameters, PlanError, PlanResult, Right, Scope, command, generated, policy, query, rewrite, typing,
};
use crate::catalog::{Column, ConstraintKind, IdentityKind, Relation, RelationKind};
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::govern::{PolicyCommand, Privilege};
use crate::name::{ObjectId, QualifiedName, fold, quote};
use crate::pg::WithDimensions;
use crate::statement::{as_it_was, parse_expression};
use crate::types::{PgType, arrow_type, field, of_field};

/// Rows for a table.
#[derive(Debug)]
pub struct InsertPlan {
    /// The table that gets them; provisional if the statement creates it.
    pub table: ObjectId,
    /// Gives the table's columns, all of them, in order.
    pub source: LogicalPlan,
    /// What row policies and constraints ask of the new rows; empty: nothing.
    pub checks: Vec<RowCheck>,
    /// What becomes of rows whose keys are there already; `None`: an error.
    pub on_conflict: Option<OnConflict>,
    /// What the client gets back; `None`: the number of rows only.
    pub returning: Option<Returning>,
    /// Rights on the table. What the source reads needs its own.
    pub needs: Vec<Need>,
    /// Types of the parameters by position, as far as they are known.
    pub parameters: Vec<Option<PgType>>,
    /// The command tag without counts: `INSERT`, `COPY`, or `SELECT` for CREATE TABLE AS.
    pub tag: &'static str,
}

/// A condition that every new row must satisfy.
#[derive(Clone, Debug)]
pub struct RowCheck {
    /// Who asks for it.
    pub asked_by: AskedBy,
    /// Over the table's columns.
    pub condition: Expr,
}

/// Who asks for a condition on new rows.
#[derive(Clone, Debug)]
pub enum AskedBy {
    /// WITH CHECK of row policies, by name if it is a restrictive one. NULL is no better than false: `42501`.
    Policy(Option<String>),
    /// The CHECK constraint of this name. NULL is as good as true; else `23514`.
    Constraint(String),
}

pub(super) fn plan(scope: &Scope, insert: &ast::Insert, parameters: &Parameters) -> PlanResult<InsertPlan> {
    if insert.overwrite || insert.partitioned.is_some() || !insert.assignments.is_empty() {
        return Err(unsupported("this form of INSERT").into());
    }
    let ast::TableObject::TableName(name) = &insert.table else {
        return Err(unsupported("INSERT into a function").into());
    };
    let name = query::qualified(name).ok_or_else(|| unsupported("a relation name with more than a schema"))?;
    let (id, relation) = target(scope, &name)?;
    let names: Vec<String> = insert
        .columns
        .iter()
        .map(|column| query::qualified(column).map(|name| name.name))
        .collect::<Option<_>>()
        .ok_or_else(|| unsupported("a qualified column name"))?;
    let columns = resolve_columns(relation, &names)?;
    let mut types = parameters.types.clone();
    let (source, columns) = match &insert.source {
        None => (LogicalPlanBuilder::empty(true).build()?, Vec::new()),
        Some(source) => {
            let mut source = source.as_ref().clone();
            suggest_selected(&source.body, &columns, &mut types);
            let width = typed_values(scope, &columns, insert.columns.is_empty(), &mut source)?;
            rewrite::query(scope, &mut source, &mut types)?;
            let bound = query::bind(scope, source, &mut types, vec![])?;
            let width = width.unwrap_or(bound.schema().fields().len());
            (bound, narrow(&columns, insert.columns.is_empty(), width)?)
        }
    };
    let mut needs = vec![insert_need(scope, id, relation, &columns)];
    let alias = insert.table_alias.as_ref().map(|alias| &alias.alias);
    let alias = alias.map_or_else(|| relation.name.clone(), query::folded);
    let alias = TableReference::bare(alias);
    let on_conflict = match &insert.on {
        Some(on) => {
            let bound = returning::Bound { types: &mut types, values: parameters.values.as_deref() };
            let (on_conflict, more) = conflict::plan(scope, id, relation, &alias, on, bound)?;
            needs.extend(more);
            Some(on_conflict)
        }
        None => None,
    };
    let returning = match &insert.returning {
        Some(items) => {
            let bound = returning::Bound { types: &mut types, values: parameters.values.as_deref() };
            let seen = returning::Seen { target: &alias, joined: None };
            let (returning, need) = returning::plan(scope, id, relation, seen, items, bound)?;
            needs.push(need);
            Some(returning)
        }
        None => None,
    };
    // DEFAULT may be given in a VALUES list only.
    if !typing::is_values_list(&source)
        && let Some(column) = columns.iter().find(|column| is_always(column))
    {
        return Err(generated_always(column).into());
    }
    let source = shape(scope, relation, source, &columns)?;
    let source = query::with_values(source, &types, parameters)?;
    let reads = returning.is_some() || insert.on.is_some();
    let checks = with_checks(scope, id, relation, PolicyCommand::Insert, reads)?;
    Ok(InsertPlan { table: id, source, checks, on_conflict, returning, needs, parameters: types, tag: "INSERT" })
}

/// The rows of a query, for a table that is being created.
pub(super) fn from_query(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    query: query::QueryPlan,
    tag: &'static str,
) -> PlanResult<InsertPlan> {
    let columns: Vec<&Column> = relation.columns.iter().collect();
    let plan = from_plan(scope, id, relation, query.logical, &columns)?;
    Ok(InsertPlan { parameters: query.parameters, tag, ..plan })
}

/// The rows of a plan whose columns are the named ones.
pub(super) fn from_plan(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    source: LogicalPlan,
    columns: &[&Column],
) -> PlanResult<InsertPlan> {
    let source = shape(scope, relation, source, columns)?;
    Ok(InsertPlan {
        table: id,
        source,
        checks: constraint_checks(scope, relation)?,
        on_conflict: None,
        returning: None,
        needs: Vec::new(),
        parameters: Vec::new(),
        tag: "INSERT",
    })
}

/// A table that rows can go to.
pub(super) fn target<'a>(scope: &'a Scope, name: &QualifiedName) -> PlanResult<(ObjectId, &'a Relation)> {
    if as_it_was(&name.name).is_some() {
        return Err(unsupported("writing to the past").into());
    }
    let (id, relation) =
        scope.ctx.require_relation(name).map_err(|error| PlanError::Undefined(error, name.name.clone()))?;
    match relation.storage {
        RelationKind::Table(_) if relation.materialized().is_some() => {
            let message = format!("cannot change materialized view \"{}\"", relation.name);
            Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into())
        }
        RelationKind::Table(_) => Ok((id, relation)),
        RelationKind::External(_) => {
            Err(unsupported(format!("writing to the foreign table \"{}\"", relation.name)).into())
        }
        RelationKind::View(_) => Err(unsupported(format!("writing to the view \"{}\"", relation.name)).into()),
        RelationKind::Sequence(_) => {
            let message = format!("cannot change sequence \"{}\"", relation.name);
            Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into())
        }
        RelationKind::Index(_) => Err(cannot_open(relation).into()),
    }
}

/// `42809` for an index in the place of a table.
pub(super) fn cannot_open(relation: &Relation) -> Plain {
    let message = format!("cannot open relation \"{}\"", relation.name);
    Plain::new(SqlState::WRONG_OBJECT_TYPE, message).detail("This operation is not supported for indexes.")
}

/// The named columns, or all. `42703`, `42701`.
pub(super) fn resolve_columns<'a>(relation: &'a Relation, names: &[String]) -> PlanResult<Vec<&'a Column>> {
    if names.is_empty() {
        return Ok(relation.columns.iter().collect());
    }
    let mut columns: Vec<&Column> = Vec::new();
    for name in names {
        let column = relation.column(name).ok_or_else(|| {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.clone())
        })?;
        if columns.iter().any(|known| known.id == column.id) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Plain::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        columns.push(column);
    }
    Ok(columns)
}

pub(super) fn insert_need(scope: &Scope, id: ObjectId, relation: &Relation, columns: &[&Column]) -> Need {
    // Without a column list (DEFAULT VALUES) any column will do; the whole row is written.
    let named = |id: i32| columns.is_empty() || columns.iter().any(|column| column.id == id);
    let columns = positions(relation, named);
    Need { role: scope.ctx.role, right: Right::Relation { id, privilege: Privilege::Insert, columns } }
}

/// Indexes of the columns with some ids.
pub(super) fn positions(relation: &Relation, wanted: impl Fn(i32) -> bool) -> Vec<i32> {
    let columns = relation.columns.iter().enumerate().filter(|(_, column)| wanted(column.id));
    columns.map(|(index, _)| i32::try_from(index).unwrap_or(i32::MAX)).collect()
}

/// The first `width` columns when no list was given; else exactly the list. `42601` if the counts do not fit.
fn narrow<'a>(columns: &[&'a Column], implicit: bool, width: usize) -> PlanResult<Vec<&'a Column>> {
    if width > columns.len() {
        return Err(Plain::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns").into());
    }
    if width < columns.len() && !implicit {
        return Err(Plain::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions").into());
    }
    Ok(columns.iter().copied().take(width).collect())
}

/// Gives each expression of a VALUES list its column's type, and DEFAULT its meaning. Returns the list's width.
fn typed_values(
    scope: &Scope,
    columns: &[&Column],
    implicit: bool,
    source: &mut ast::Query,
) -> PlanResult<Option<usize>> {
    let ast::SetExpr::Values(values) = source.body.as_mut() else { return Ok(None) };
    let width = values.rows.first().map_or(0, |row| row.len());
    let columns = narrow(columns, implicit, width)?;
    for row in &mut values.rows {
        if row.len() != width {
            return Err(Plain::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length").into());
        }
        for (value, column) in row.iter_mut().zip(&columns) {
            let inner = if is_default(value) {
                default_source(scope, column)?
            } else {
                if is_always(column) {
                    return Err(generated_always(column).into());
                }
                std::mem::replace(value, ast::Expr::Identifier(ast::Ident::new("default")))
            };
            // The engine takes a cast to text for one to the type of what is cast, of which each row may have another.
            let text = PgType::Varchar(None);
            *value = cast_as(inner, if column.pg == PgType::Text { &text } else { &column.pg })?;
        }
    }
    Ok(Some(width))
}

/// A parameter that a SELECT shows, or a VALUES list has, has the type of the column that it is inserted into.
fn suggest_selected(body: &ast::SetExpr, columns: &[&Column], types: &mut Vec<Option<PgType>>) {
    let shown = |item: &ast::SelectItem| match item {
        ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let rows: Vec<Vec<Option<ast::Expr>>> = match body {
        ast::SetExpr::Select(select) => vec![select.projection.iter().map(shown).collect()],
        ast::SetExpr::Values(values) => {
            let is_parameter = |value: &&ast::Expr| rewrite::placeholder(value).is_some();
            values
                .rows
                .iter()
                .map(|row| row.content.iter().map(|value| Some(value).filter(is_parameter).cloned()).collect())
                .collect()
        }
        _ => return,
    };
    for (expr, column) in rows.iter().flat_map(|row| row.iter().zip(columns)) {
        let Some(index) = expr.as_ref().and_then(rewrite::placeholder) else { continue };
        if types.len() <= index {
            types.resize(index + 1, None);
        }
        if let Some(slot) = types.get_mut(index) {
            slot.get_or_insert_with(|| column.pg.unbounded());
        }
    }
}

/// The keyword in the place of a value.
pub(super) fn is_default(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && fold(&ident.value) == "default")
}

/// The expression as a value of a column's type.
pub(super) fn cast_to(value: ast::Expr, column: &Column) -> PlanResult<ast::Expr> {
    cast_as(value, &column.pg)
}

/// The expression as a value of a type. What is too long for it is refused later, where a cast that somebody wrote cuts it.
pub(super) fn cast_as(value: ast::Expr, pg: &PgType) -> PlanResult<ast::Expr> {
    let of_any_length = match pg.base() {
        PgType::Varchar(_) | PgType::Char(_) => pg.unbounded(),
        _ => pg.clone(),
    };
    Ok(ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(value),
        data_type: sql_type(&of_any_length)?,
        array: false,
        format: None,
    })
}

/// Whether only the server may give the column a value.
pub(super) fn is_always(column: &Column) -> bool {
    column.generated.is_some() || column.identity.as_ref().is_some_and(|identity| identity.kind == IdentityKind::Always)
}

pub(super) fn generated_always(column: &Column) -> Plain {
    if column.generated.is_some() {
        return generated::refuse_value(column);
    }
    Plain::new(SqlState::GENERATED_ALWAYS, format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name))
        .detail(format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name))
}

/// What DEFAULT in a VALUES list or in SET stands for.
pub(super) fn default_source(scope: &Scope, column: &Column) -> PlanResult<ast::Expr> {
    if let Some(identity) = &column.identity {
        let sequence = scope.ctx.catalog.relation(identity.sequence);
        let sequence = sequence.ok_or_else(|| crate::error::internal("an identity column without sequence"))?;
        let schema = scope.ctx.catalog.schema(sequence.schema).map(|schema| schema.name.clone()).unwrap_or_default();
        let call = format!("nextval('\"{schema}\".\"{}\"')", sequence.name);
        return Ok(parse_expression(&call)?);
    }
    Ok(parse_expression(default_text(scope, column).unwrap_or("NULL"))?)
}

/// Source text of a column's default, which may be its domain's.
fn default_text<'a>(scope: &'a Scope, column: &'a Column) -> Option<&'a str> {
    let domain = || scope.catalog().domain_of(column).and_then(|(_, domain)| domain.default.as_deref());
    column.default.as_deref().or_else(domain)
}

pub(super) fn sql_type(pg: &PgType) -> PlanResult<ast::DataType> {
    // A type that a user made is meant whatever the search path is.
    let qualified = |pg: &PgType| match pg {
        PgType::Enum(of) => format!("{}.{}", quote(&of.schema), quote(&of.name)),
        PgType::Composite(of) => format!("{}.{}", quote(&of.schema), quote(&of.name)),
        other => other.to_string(),
    };
    let text = format!("{}{}", qualified(pg.base()), "[]".repeat(pg.dimensions()));
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).and_then(|mut parser| parser.parse_data_type());
    parsed.map_err(|error| crate::error::internal(format!("type {text}: {error}")).into())
}

/// Projects a source to all of a table's columns.
fn shape(scope: &Scope, relation: &Relation, source: LogicalPlan, columns: &[&Column]) -> PlanResult<LogicalPlan> {
    let mut projection = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        let provided = columns.iter().position(|provided| provided.id == column.id);
        let expr = match provided {
            Some(index) => assign(scope, &source, index, column)?,
            None => default_value(scope, column)?,
        };
        projection.push(expr.alias(&column.name));
    }
    Ok(LogicalPlanBuilder::from(source).project(projection)?.build()?)
}

/// An output column of the source, cast as an assignment.
pub(super) fn assign(scope: &Scope, source: &LogicalPlan, index: usize, column: &Column) -> PlanResult<Expr> {
    let (qualifier, given) = source.schema().qualified_field(index);
    // A bare string literal has no type yet.
    if let LogicalPlan::Projection(projection) = source
        && let Some(Expr::Alias(alias)) = projection.expr.get(index)
        && let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) = alias.expr.as_ref()
        && !column.pg.is_text()
    {
        return Ok(typing::literal(scope, &column.pg, text)?);
    }
    let value = Expr::Column(EngineColumn::new(qualifier.cloned(), given.name()));
    assigned(scope, value, given, source.schema(), column)
}

/// A value, described by `given`, cast as an assignment to a column. `42804`.
pub(super) fn assigned(
    scope: &Scope,
    value: Expr,
    given: &FieldRef,
    schema: &DFSchema,
    column: &Column,
) -> PlanResult<Expr> {
    let from = of_field(given);
    let text_to_other = from.is_text() && !column.pg.is_text() && given.data_type() != &DataType::Null;
    let comparable =
        from.category() == column.pg.category() || column.pg.is_text() || given.data_type() == &DataType::Null;
    let related = matches!((from.category(), column.pg.category()), ('D', 'D'))
        || matches!((&from, &column.pg), (PgType::Record(_), PgType::Composite(_)))
        || (from == PgType::Jsonb) != (column.pg == PgType::Jsonb);
    if text_to_other || !(comparable || related) {
        let message = format!("column \"{}\" is of type {} but expression is of type {from}", column.name, column.pg);
        return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression.")
            .into());
    }
    let both = from.dimensions() > 0 && column.pg.dimensions() > 0;
    if both && from.dimensions() != column.pg.dimensions() {
        let empty = WithDimensions::new(column.pg.clone(), other_dimensions(column, &from));
        let empty = ScalarUDF::new_from_impl(empty);
        return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(empty), vec![value])));
    }
    if column.pg.is_made()
        && !matches!(from, PgType::Record(_))
        && from != column.pg
        && given.data_type() != &DataType::Null
    {
        let message = format!("column \"{}\" is of type {} but expression is of type {from}", column.name, column.pg);
        return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression.")
            .into());
    }
    if typing::same_arrow(&column.pg, given.data_type()) {
        return Ok(value);
    }
    if column.pg == PgType::Numeric(None) && matches!(given.data_type(), DataType::Decimal128(..)) {
        return Ok(typing::exact_numeric(value));
    }
    // Not one that a statement says: what is too long is refused later.
    let cast = Cast::new_from_field(Box::new(value), Arc::new(field(&column.name, &column.pg, true)));
    Ok(typing::cast(scope, cast, schema).map(|transformed| transformed.data)?)
}

/// Arrays of one type have any number of dimensions in PostgreSQL; those of a column here as many as it was declared with.
fn other_dimensions(column: &Column, given: &PgType) -> Plain {
    let (own, given) = (column.pg.dimensions(), given.dimensions());
    let message =
        format!("an array of {given} dimensions in column \"{}\", which was declared with {own},", column.name);
    let declared = format!("{}{}", column.pg.base(), "[]".repeat(given));
    unsupported(message).hint(format!("Declare the column as {declared}."))
}

/// The value of a column that the statement leaves out.
pub(super) fn default_value(scope: &Scope, column: &Column) -> PlanResult<Expr> {
    let empty = DFSchema::empty();
    let target: FieldRef = Arc::new(field(&column.name, &column.pg, true));
    if let Some(identity) = &column.identity {
        let sequence = scope.ctx.catalog.relation(identity.sequence);
        let Some((Relation { storage: RelationKind::Sequence(definition), name, .. }, ())) = sequence.map(|s| (s, ()))
        else {
            return Err(crate::error::internal("an identity column without sequence").into());
        };
        let next = typing::next_value_of(scope, identity.sequence, name, definition);
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(next), target)));
    }
    let Some(source) = default_text(scope, column) else {
        return Ok(lit(ScalarValue::try_from(&arrow_type(&column.pg))?));
    };
    let mut parsed = rewritten_default(scope, source)?;
    if !matches!(parsed, ast::Expr::Cast { .. }) {
        parsed = cast_to(parsed, column)?;
    }
    let names = Names::new(scope, vec![]);
    let bound = query::sql_to_rel(&names).sql_to_expr(parsed, &empty, &mut PlannerContext::new())?;
    let bound = typing::expression(scope, bound, &empty)?.data;
    Ok(typing::cast(scope, Cast::new_from_field(Box::new(bound), target), &empty)?.data)
}

/// A default's values for some rows.
pub fn evaluate_default(default: &Arc<dyn PhysicalExpr>, rows: usize) -> Result<ArrayRef, SqlError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let empty =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).map_err(SqlError::from_arrow)?;
    default.evaluate(&empty).and_then(|value| value.into_array(rows)).map_err(SqlError::from_engine)
}

fn rewritten_default(scope: &Scope, source: &str) -> PlanResult<ast::Expr> {
    let mut parsed = parse_expression(source)?;
    rewrite::expression(scope, &mut parsed)?;
    Ok(parsed)
}

/// What CHECK constraints ask of rows, in the order of their names.
pub(super) fn constraint_checks(scope: &Scope, relation: &Relation) -> PlanResult<Vec<RowCheck>> {
    let mut all = Vec::new();
    for constraint in &relation.constraints {
        if let ConstraintKind::Check(check) = &constraint.kind {
            let condition = command::bind_check(scope, relation, &check.condition)?;
            all.push((constraint.name.clone(), condition));
        }
    }
    all.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(all.into_iter().map(|(name, condition)| RowCheck { asked_by: AskedBy::Constraint(name), condition }).collect())
}

/// What constraints and row policies ask of rows that a command writes; `reads`: it gives them back, or reads those they come from.
pub(super) fn with_checks(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    command: PolicyCommand,
    reads: bool,
) -> PlanResult<Vec<RowCheck>> {
    let mut all = constraint_checks(scope, relation)?;
    for command in [Some(command), reads.then_some(PolicyCommand::Select)].into_iter().flatten() {
        for (policy, condition) in policy::checks(scope, id, relation, command)?.unwrap_or_default() {
            all.push(RowCheck { asked_by: AskedBy::Policy(policy), condition });
        }
    }
    Ok(all)
}

/// The expression over the same columns by their names alone.
pub(super) fn unqualified(expr: Expr) -> datafusion::common::Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(EngineColumn::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}
