//! A relation of `pg_catalog` as the engine reads it: filled when a statement is planned, from the state it sees.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::rows::{Rows, from_tsv};
use super::{SystemRelation, activity, keys, login, objects, roles, tags, types};
use crate::context::Context;
use crate::error::SqlError;

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

    fn batch(&self, projection: Option<&Vec<usize>>) -> Result<RecordBatch, SqlError> {
        let mut rows = Rows::new(self.relation, projection)?;
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

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
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
            self.batch(projection)?
        };
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
    }
}
