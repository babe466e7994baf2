//! A relation of `pg_catalog` as the engine reads it: filled when a statement is planned, from the state it sees.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::rows::{Rows, from_tsv};
use super::{SystemRelation, activity, keys, login, objects, roles, tags, types};
use crate::context::Context;
use crate::error::SqlError;
use crate::name::ObjectId;

/// A system relation under one statement's context.
#[derive(Debug)]
pub struct SystemTable {
    relation: &'static SystemRelation,
    ctx: Context,
}

impl SystemTable {
    /// Its rows are those that the statement's role may know of.
    pub fn new(relation: &'static SystemRelation, ctx: &Context) -> Self {
        Self { relation, ctx: ctx.clone() }
    }

    /// The system relation whose rows it has.
    pub fn relation(&self) -> &'static SystemRelation {
        self.relation
    }

    fn batch(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> Result<RecordBatch, SqlError> {
        let only = filters.iter().find_map(|filter| self.asked(filter));
        let mut rows = Rows::new(self.relation, projection)?.only(only);
        if self.relation.schema == super::PG_CATALOG {
            fill(self.relation.name, &self.ctx, &mut rows);
        } else {
            match self.relation.name {
                "table_privileges" => roles::table_privileges(&self.ctx, &mut rows),
                "udt_privileges" => roles::udt_privileges(&self.ctx, &mut rows),
                "usage_privileges" => roles::usage_privileges(&self.ctx, &mut rows),
                "column_privileges" => roles::column_privileges(&self.ctx, &mut rows),
                _ => {}
            }
        }
        rows.finish()
    }
}

impl SystemTable {
    /// The relations that a filter is about: `attrelid = 16384`.
    fn asked(&self, filter: &Expr) -> Option<Vec<ObjectId>> {
        let (column, oids) = match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), value) | (value, Expr::Column(column)) => (column, vec![oid(value)?]),
                _ => return None,
            },
            Expr::InList(InList { expr, list, negated: false }) => match expr.as_ref() {
                Expr::Column(column) => (column, list.iter().map(oid).collect::<Option<_>>()?),
                _ => return None,
            },
            _ => return None,
        };
        let (.., key) =
            KEYS.iter().find(|(relation, name, _)| *relation == self.relation.name && *name == column.name)?;
        let ids = oids.into_iter().filter_map(ObjectId::from_oid);
        Some(match key {
            Key::Own => ids.collect(),
            Key::Table => {
                let tables = ids.filter_map(|id| self.ctx.catalog.relation(id));
                tables.flat_map(|table| table.indexes.iter().copied()).collect()
            }
        })
    }
}

/// What a column with OIDs of relations says of a system relation's rows.
#[derive(Clone, Copy)]
enum Key {
    /// They are about the relation.
    Own,
    /// They are about indexes of the relation.
    Table,
}

/// Columns by which rows are asked for.
const KEYS: &[(&str, &str, Key)] = &[
    ("pg_attrdef", "adrelid", Key::Own),
    ("pg_attribute", "attrelid", Key::Own),
    ("pg_class", "oid", Key::Own),
    ("pg_constraint", "conrelid", Key::Own),
    ("pg_foreign_table", "ftrelid", Key::Own),
    ("pg_index", "indexrelid", Key::Own),
    ("pg_index", "indrelid", Key::Table),
    ("pg_policy", "polrelid", Key::Own),
    ("pg_rewrite", "ev_class", Key::Own),
    ("pg_sequence", "seqrelid", Key::Own),
];

fn oid(value: &Expr) -> Option<u32> {
    match value {
        Expr::Literal(value, _) => match value.cast_to(&DataType::UInt32).ok()? {
            ScalarValue::UInt32(oid) => oid,
            _ => None,
        },
        _ => None,
    }
}

/// The rows of a relation of `pg_catalog`. Those that are not named here are empty.
fn fill(name: &str, ctx: &Context, rows: &mut Rows) {
    match name {
        "pg_am" => from_tsv(rows, keys::ACCESS_METHODS),
        "pg_cast" => from_tsv(rows, include_str!("../../../sql/pg_catalog/pg_cast.tsv")),
        "pg_opclass" => from_tsv(rows, keys::OPERATOR_CLASSES),
        "pg_proc" => from_tsv(rows, objects::FUNCTIONS),
        "pg_type" => types::types(ctx, rows),
        "pg_enum" => types::enumerations(ctx, rows),
        "pg_attrdef" => objects::attrdef(ctx, rows),
        "pg_attribute" => objects::attribute(ctx, rows),
        "pg_class" => objects::class(ctx, rows),
        "pg_collation" => objects::collation(rows),
        "pg_constraint" => {
            keys::constraint(ctx, rows);
            types::domain_constraints(ctx, rows);
        }
        "pg_database" => objects::database(ctx, rows),
        "pg_depend" => objects::depend(ctx, rows),
        "pg_description" => objects::description(ctx, rows),
        "pg_shdescription" => objects::shared_description(ctx, rows),
        "pg_default_acl" => objects::default_acl(ctx, rows),
        "pg_foreign_data_wrapper" => objects::foreign_data_wrapper(rows),
        "pg_foreign_server" => objects::foreign_server(rows),
        "pg_foreign_table" => objects::foreign_table(ctx, rows),
        "pg_index" => keys::index(ctx, rows),
        "pg_language" => objects::language(rows),
        "pg_namespace" => objects::namespace(ctx, rows),
        "pg_policy" => objects::policy(ctx, rows),
        "pg_rewrite" => objects::rewrite(ctx, rows),
        "pg_sequence" => objects::sequence(ctx, rows),
        "pg_tablespace" => objects::tablespace(rows),
        "pg_auth_members" => roles::auth_members(ctx, rows),
        "pg_authid" => roles::authid(ctx, rows),
        "pg_db_role_setting" => roles::settings_of_roles(ctx, rows),
        "pg_cursors" => activity::cursors(ctx, rows),
        "pg_prepared_statements" => activity::prepared_statements(ctx, rows),
        "pg_stat_activity" => activity::backends(ctx, rows),
        "pg_stat_all_tables" => activity::tables(ctx, rows),
        "pg_stat_progress_vacuum" => activity::vacuums(ctx, rows),
        "pg_tag" => tags::tags(ctx, rows),
        "pg_tag_assignment" => tags::assignments(ctx, rows),
        "pg_tag_grant" => tags::grants(ctx, rows),
        "pg_settings" => roles::settings(ctx, rows),
        _ => {}
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.relation.arrow_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.asked(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = if self.relation.name == activity::SNAPSHOTS {
            let all = self.ctx.metastore.snapshots().await.map_err(SqlError::from)?;
            let mut rows = Rows::new(self.relation, projection)?;
            activity::snapshots(&self.ctx, all, &mut rows);
            rows.finish()?
        } else if [activity::AUDIT_LOG, activity::AUDIT_TRAIL].contains(&self.relation.name) {
            let mut rows = Rows::new(self.relation, projection)?;
            activity::audit(&self.ctx, self.relation.name, &mut rows).await?;
            rows.finish()?
        } else if [login::RULES, login::MAPS].contains(&self.relation.name) {
            let mut rows = Rows::new(self.relation, projection)?;
            login::list(&self.ctx, self.relation.name, &mut rows).await?;
            rows.finish()?
        } else {
            self.batch(projection, filters)?
        };
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
    }
}
