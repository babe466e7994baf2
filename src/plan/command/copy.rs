//! COPY: its table, columns and options.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use sqlparser::ast;

use super::super::insert::{
    InsertPlan, RowCheck, default_value, insert_need, resolve_columns, target, unqualified, with_checks,
};
use super::super::query::{self, QueryPlan};
use super::super::{Need, Parameters, PlanResult, Right, Scope, has_subquery, policy};
use super::relation;
use super::table::plain_column;
use crate::catalog::{Column, ExternalFormat, Relation, RelationKind};
use crate::error::{Plain, SqlState, internal, unsupported};
use crate::govern::PolicyCommand;
use crate::govern::predefined::READ_SERVER_FILES;
use crate::lake::Location;
use crate::name::ObjectId;
use crate::statement::{CopyFormat, CopyOptions, CopySource, CopyStatement, parse_query};
use crate::types::PgType;

/// One COPY from or to the client.
#[derive(Debug)]
pub struct CopyPlan {
    /// For COPY FROM.
    pub table: Option<ObjectId>,
    /// Names of the data's columns, in order.
    pub names: Vec<String>,
    /// Types of the data's columns, in order.
    pub types: Vec<PgType>,
    /// For COPY FROM: each of the table's columns is one of the data's, or has this value.
    pub shape: Vec<ColumnSource>,
    /// For COPY FROM: which rows are kept, over the table's columns.
    pub filter: Option<Expr>,
    /// For COPY FROM: what row policies ask of the new rows.
    pub checks: Vec<RowCheck>,
    /// The format of the data, and how it is written in it.
    pub options: CopyOptions,
    /// For COPY FROM: the right to insert. COPY TO needs what its query needs.
    pub needs: Vec<Need>,
}

/// Where the values of a table's column come from.
#[derive(Clone, Debug)]
pub enum ColumnSource {
    /// One of the data's columns.
    Data {
        /// Among the data's columns.
        index: usize,
        /// What stands for the marker of COPY's DEFAULT option; `None`: the marker is an error.
        default: Option<Box<Expr>>,
    },
    /// The data lacks the column: its default, evaluated for each row, or NULL.
    Default(Box<Expr>),
}

fn client_format(options: &CopyOptions) -> PlanResult<()> {
    match options.format {
        CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => Ok(()),
        CopyFormat::Parquet | CopyFormat::Json => Err(unsupported("this COPY format between server and client").into()),
    }
}

pub(in crate::plan) fn copy_query(copy: &CopyStatement, query: &QueryPlan) -> CopyPlan {
    CopyPlan {
        table: None,
        names: query.fields.iter().map(|field| field.name().clone()).collect(),
        types: query.fields.iter().map(|field| crate::types::of_field(field)).collect(),
        shape: Vec::new(),
        filter: None,
        checks: Vec::new(),
        options: copy.options.clone(),
        needs: Vec::new(),
    }
}

/// The columns that COPY reads or writes: those that are named, or all that are not generated. `42P10`.
fn copied<'a>(table: &'a Relation, names: &[String]) -> PlanResult<Vec<&'a Column>> {
    let mut columns = resolve_columns(table, names)?;
    if let Some(column) = columns.iter().find(|column| column.generated.is_some() && !names.is_empty()) {
        let message = format!("column \"{}\" is a generated column", column.name);
        let error = Plain::new(SqlState::INVALID_COLUMN_REFERENCE, message);
        return Err(error.detail("Generated columns cannot be used in COPY.").into());
    }
    columns.retain(|column| column.generated.is_none());
    Ok(columns)
}

/// `COPY t TO` is a query over its columns; row policies and masks apply as in any other.
pub(in crate::plan) fn copy_table_out(scope: &Scope, copy: &CopyStatement) -> PlanResult<(CopyPlan, QueryPlan)> {
    client_format(&copy.options)?;
    let CopySource::Table { name, columns } = &copy.source else { return Err(internal("COPY without a table").into()) };
    let (_, found) = relation(scope, name)?;
    match found.storage {
        RelationKind::Table(_) | RelationKind::External(_) => {}
        RelationKind::View(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => {
            let message = format!("cannot copy from {} \"{}\"", found.kind_name(), found.name);
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Try the COPY (SELECT ...) TO variant.")
                .into());
        }
    }
    let columns = copied(found, columns)?;
    let quote = |ident: &str| format!("\"{}\"", ident.replace('"', "\"\""));
    let list = columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ");
    let table = name
        .schema
        .as_deref()
        .map_or_else(|| quote(&name.name), |schema| format!("{}.{}", quote(schema), quote(&name.name)));
    let select: Box<ast::Query> = parse_query(&format!("SELECT {list} FROM {table}"))?;
    let query = query::plan(scope, &select, &Parameters::default())?;
    Ok((copy_query(copy, &query), query))
}

pub(in crate::plan) fn copy_in(scope: &Scope, copy: &CopyStatement) -> PlanResult<CopyPlan> {
    client_format(&copy.options)?;
    let CopySource::Table { name, columns } = &copy.source else { return Err(internal("COPY without a table").into()) };
    let (id, found) = target(scope, name)?;
    let columns = copied(found, columns)?;
    let mut shape = Vec::with_capacity(found.columns.len());
    for column in &found.columns {
        shape.push(match columns.iter().position(|given| given.id == column.id) {
            Some(index) => {
                let marked = copy.options.default.is_some() && (column.default.is_some() || column.identity.is_some());
                let default = if marked { Some(Box::new(default_value(scope, column)?)) } else { None };
                ColumnSource::Data { index, default }
            }
            None => ColumnSource::Default(Box::new(default_value(scope, column)?)),
        });
    }
    Ok(CopyPlan {
        table: Some(id),
        names: columns.iter().map(|column| column.name.clone()).collect(),
        types: columns.iter().map(|column| column.pg.clone()).collect(),
        shape,
        filter: filter(scope, found, copy)?,
        checks: with_checks(scope, id, found, PolicyCommand::Insert, false)?,
        options: copy.options.clone(),
        needs: vec![insert_need(scope, id, found, &columns)],
    })
}

/// COPY FROM's WHERE. `42703`, `42804`; `0A000`, `42803`, `42P20` if it reads more than a row.
fn filter(scope: &Scope, relation: &Relation, copy: &CopyStatement) -> PlanResult<Option<Expr>> {
    let Some(condition) = &copy.filter else { return Ok(None) };
    let fields = relation.columns.iter().map(|column| crate::types::field(&column.name, &column.pg, column.nullable));
    let schema = policy::schema_of(fields)?;
    let schema = DFSchema::try_from_qualified_schema(relation.name.as_str(), schema.as_arrow())?;
    let bound = policy::bound(scope, condition.clone(), &schema, &[])?;
    if has_subquery(&bound) {
        return Err(
            Plain::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot use subquery in COPY FROM WHERE condition").into()
        );
    }
    for (found, code, what) in [
        (bound.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(_))))?, SqlState::GROUPING_ERROR, "aggregate"),
        (bound.exists(|expr| Ok(matches!(expr, Expr::WindowFunction(_))))?, SqlState::WINDOWING_ERROR, "window"),
    ] {
        if found {
            let message = format!("{what} functions are not allowed in COPY FROM WHERE conditions");
            return Err(Plain::new(code, message).into());
        }
    }
    let bound = policy::condition(bound, &schema, "WHERE")?;
    Ok(Some(unqualified(bound)?))
}

/// `COPY t FROM 's3://…'` of files that are read like the client's data.
pub(in crate::plan) fn copy_from_files(scope: &Scope, copy: &CopyStatement) -> PlanResult<(CopyPlan, Location)> {
    let location = scope.facts.location.clone().ok_or_else(|| internal("COPY from a location without facts"))?;
    let mut plan = copy_in(scope, copy)?;
    plan.needs.push(reads_files(scope));
    Ok((plan, location))
}

fn reads_files(scope: &Scope) -> Need {
    Need { role: scope.ctx.role, right: Right::RightsOf(READ_SERVER_FILES, "COPY from a location") }
}

/// `COPY t FROM 's3://…'` of files that have columns and types of their own: they are read as an external table.
pub(in crate::plan) fn copy_from_table(
    scope: &Scope,
    copy: &CopyStatement,
    format: ExternalFormat,
) -> PlanResult<InsertPlan> {
    let CopySource::Table { name, columns } = &copy.source else { return Err(internal("COPY without a table").into()) };
    let (id, found) = target(scope, name)?;
    let columns = resolve_columns(found, columns)?;
    let facts = scope.facts.location.as_ref().zip(scope.facts.inferred.as_ref());
    let (location, inferred) = facts.ok_or_else(|| internal("COPY from a location without facts"))?;
    // Columns are matched by name where the format has names, else by position.
    let by_name = columns.iter().all(|column| inferred.columns.iter().any(|(name, _)| *name == column.name));
    if !by_name && inferred.columns.len() != columns.len() {
        let message = format!("the files have {} columns, the table takes {}", inferred.columns.len(), columns.len());
        return Err(Plain::new(SqlState::BAD_COPY_FILE_FORMAT, message).into());
    }
    let file_columns = inferred.columns.iter().enumerate().map(|(index, (name, pg))| {
        let wanted = if by_name { columns.iter().find(|column| column.name == *name) } else { columns.get(index) };
        // JSON is read as the table's types; Parquet has its own.
        let pg =
            wanted.filter(|_| format == ExternalFormat::Json).map_or_else(|| pg.clone(), |column| column.pg.clone());
        plain_column(i32::try_from(index).unwrap_or(0) + 1, name, pg)
    });
    let external = Relation {
        schema: found.schema,
        name: "file".to_owned(),
        owner: scope.ctx.role,
        acl: None,
        columns: file_columns.collect(),
        storage: RelationKind::External(crate::catalog::ExternalTable {
            format,
            location: location.to_string(),
            partitions: Vec::new(),
            options: inferred.options.clone(),
        }),
        row_security: false,
        force_row_security: false,
        any_rls_policy: false,
        comment: None,
        constraints: Vec::new(),
        indexes: Vec::new(),
    };
    let table = scope.guard.open(&scope.ctx, ObjectId(i64::MIN), &external, None, scope.engine.state())?;
    let scan = LogicalPlanBuilder::scan("file", provider_as_source(table), None)?;
    let wanted = columns.iter().enumerate().map(|(index, column)| {
        let source = if by_name {
            column.name.as_str()
        } else {
            inferred.columns.get(index).map_or("", |(name, _)| name.as_str())
        };
        Expr::Column(datafusion::common::Column::new(Some("file"), source)).alias(&column.name)
    });
    let logical = scan.project(wanted.collect::<Vec<_>>())?.build()?;
    let mut plan = super::super::insert::from_plan(scope, id, found, logical, &columns)?;
    plan.checks = with_checks(scope, id, found, PolicyCommand::Insert, false)?;
    plan.needs = vec![insert_need(scope, id, found, &columns), reads_files(scope)];
    if let Some(filter) = filter(scope, found, copy)? {
        plan.source = LogicalPlanBuilder::from(plan.source).filter(filter)?.build()?;
    }
    plan.tag = "COPY";
    Ok(plan)
}

/// The lake's format, if its reader is to read the files and not COPY's.
pub fn file_format(options: &CopyOptions) -> Option<ExternalFormat> {
    match options.format {
        CopyFormat::Parquet => Some(ExternalFormat::Parquet),
        CopyFormat::Json => Some(ExternalFormat::Json),
        CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => None,
    }
}
