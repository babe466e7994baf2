//! An external table over Parquet, CSV or JSON files, with hive partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::file::{compression_of, list, no_files};
use super::{Lake, Location};
use crate::catalog::{CatalogState, ExternalFormat, ExternalTable, Relation};
use crate::error::{Plain, SqlError, SqlState};
use crate::types::{PgType, of_field};

/// Files looked at to infer columns.
const INFER_FILES_MAX: usize = 16;
/// Rows looked at in each file that has no schema of its own.
const INFER_ROWS_MAX: usize = 10_000;
/// Option: only files whose name ends with this.
const EXTENSION: &str = "file_extension";
/// Option: of all files; found by the first one's name.
const COMPRESSION: &str = "compression";

/// An external table as a source of the engine.
#[derive(Debug)]
pub struct LakeTable {
    listing: ListingTable,
}

/// Columns and partitions found by looking at files.
#[derive(Debug)]
pub struct InferredTable {
    /// Name and type of each column in the files, in order; columns that are partitions are left out.
    pub columns: Vec<(String, PgType)>,
    /// Name and type of each column given by `name=value` folders, outermost first. Empty: not partitioned.
    pub partitions: Vec<(String, PgType)>,
    /// The table's options, completed by what the files say.
    pub options: BTreeMap<String, String>,
}

impl LakeTable {
    /// Opens a table without a look at its files. `42501` outside `lake.allow`, `42704` without a credential.
    pub fn new(lake: &Lake, catalog: &CatalogState, relation: &Relation, table: &ExternalTable) -> Result<Self, Plain> {
        let location = lake.locate(&table.location).map_err(|error| plain(&error))?;
        lake.store(catalog, &location).map_err(|error| plain(&error))?;
        let (partition_columns, file_columns): (Vec<_>, Vec<_>) =
            relation.columns.iter().partition(|column| table.partitions.contains(&column.name));
        let file_schema = Schema::new(
            file_columns
                .iter()
                .map(|column| crate::types::field(&column.name, &column.pg, column.nullable))
                .collect::<Vec<_>>(),
        );
        let partitions = partition_columns
            .iter()
            .map(|column| (column.name.clone(), crate::types::arrow_type(&column.pg)))
            .collect::<Vec<_>>();
        let options = listing_options(table.format, &table.options)?.with_table_partition_cols(partitions);
        let url = ListingTableUrl::parse(location.url().as_str()).map_err(|error| engine(&error))?;
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(Arc::new(file_schema));
        let listing = ListingTable::try_new(config).map_err(|error| engine(&error))?;
        Ok(Self { listing })
    }

    /// Looks at the files of a location.
    pub async fn infer(
        lake: &Lake,
        catalog: &CatalogState,
        session: &dyn Session,
        location: &Location,
        format: ExternalFormat,
        options: &BTreeMap<String, String>,
    ) -> Result<InferredTable, SqlError> {
        let store = lake.store(catalog, location)?;
        let url = ListingTableUrl::parse(location.url().as_str()).map_err(SqlError::from_engine)?;
        let mut objects = list(&store, session, &url).await?;
        let Some(first) = objects.first() else {
            return Err(no_files(location).hint("Give the columns, or a location with files.").into());
        };
        let mut options = options.clone();
        let name = first.location.filename().unwrap_or_default().to_owned();
        if format != ExternalFormat::Parquet {
            options.entry(COMPRESSION.to_owned()).or_insert_with(|| compression_of(&name).to_owned());
        }
        let listing = listing_options(format, &options)?;
        let folder = url.prefix().clone();
        let partitions = hive_partitions(&folder, &objects);
        objects.truncate(INFER_FILES_MAX);
        let schema: SchemaRef =
            listing.format.infer_schema(session, &store, &objects).await.map_err(SqlError::from_engine)?;
        let columns = schema
            .fields()
            .iter()
            .filter(|field| !partitions.iter().any(|(name, _)| name == field.name()))
            .map(|field| (field.name().clone(), inferred_type(field)));
        Ok(InferredTable { columns: columns.collect(), partitions, options })
    }
}

/// Unsigned and other types without an equal are widened to one that PostgreSQL has.
fn inferred_type(field: &arrow::datatypes::Field) -> PgType {
    match field.data_type() {
        DataType::Null => PgType::Text,
        _ => match of_field(field) {
            // An unsigned number in a file is not an OID.
            PgType::Oid => PgType::Int8,
            PgType::Array(element) if *element == PgType::Oid => PgType::Array(Box::new(PgType::Int8)),
            pg => pg,
        },
    }
}

fn listing_options(format: ExternalFormat, options: &BTreeMap<String, String>) -> Result<ListingOptions, Plain> {
    let mut extension = String::new();
    let mut compression = FileCompressionType::UNCOMPRESSED;
    let mut csv = CsvFormat::default().with_has_header(true).with_schema_infer_max_rec(INFER_ROWS_MAX);
    let mut json = JsonFormat::default().with_schema_infer_max_rec(INFER_ROWS_MAX);
    for (name, value) in options {
        let name = name.strip_prefix("format.").unwrap_or(name);
        let invalid = || {
            Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid value for option \"{name}\": \"{value}\""))
        };
        let byte = || match value.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(invalid()),
        };
        let flag = || match value.as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(invalid()),
        };
        match (format, name) {
            (_, EXTENSION) => extension.clone_from(value),
            (ExternalFormat::Csv | ExternalFormat::Json, COMPRESSION) => {
                compression = value.parse().map_err(|_unknown| invalid())?;
            }
            (ExternalFormat::Csv, "header" | "has_header") => csv = csv.with_has_header(flag()?),
            (ExternalFormat::Csv, "delimiter") => csv = csv.with_delimiter(byte()?),
            (ExternalFormat::Csv, "quote") => csv = csv.with_quote(byte()?),
            (ExternalFormat::Csv, "escape") => csv = csv.with_escape(Some(byte()?)),
            (ExternalFormat::Csv, "comment") => csv = csv.with_comment(Some(byte()?)),
            (ExternalFormat::Csv, "null" | "null_regex") => {
                let pattern = if name == "null" { format!("^{}$", regex_escape(value)) } else { value.clone() };
                csv = csv.with_null_regex(Some(pattern));
            }
            (ExternalFormat::Csv, "newlines_in_values") => csv = csv.with_newlines_in_values(flag()?),
            _ => {
                return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid option \"{name}\""))
                    .hint("Options are: file_extension; header, delimiter, quote, escape, comment, null, newlines_in_values, compression (CSV); compression (JSON)."));
            }
        }
    }
    let format: Arc<dyn FileFormat> = match format {
        ExternalFormat::Parquet => Arc::new(ParquetFormat::default()),
        ExternalFormat::Csv => {
            csv = csv.with_file_compression_type(compression);
            Arc::new(csv)
        }
        ExternalFormat::Json => {
            json = json.with_file_compression_type(compression);
            Arc::new(json)
        }
    };
    Ok(ListingOptions::new(format).with_file_extension(extension))
}

fn regex_escape(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['\\', c] }).collect()
}

/// `name=value` folders below a location. A column all of whose values are integers or dates gets that type.
fn hive_partitions(folder: &object_store::path::Path, objects: &[object_store::ObjectMeta]) -> Vec<(String, PgType)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for object in objects {
        let Some(parts) = object.location.prefix_match(folder) else { continue };
        for part in parts {
            if let Some((name, value)) = part.as_ref().split_once('=') {
                match found.iter_mut().find(|(known, _)| known == name) {
                    Some((_, values)) => values.push(value.to_owned()),
                    None => found.push((name.to_owned(), vec![value.to_owned()])),
                }
            }
        }
    }
    found
        .into_iter()
        .map(|(name, values)| {
            let pg = if values.iter().all(|value| value.parse::<i32>().is_ok()) {
                PgType::Int4
            } else if values.iter().all(|value| value.parse::<i64>().is_ok()) {
                PgType::Int8
            } else if values.iter().all(|value| value.len() == 10 && crate::encode::parse_date(value).is_ok()) {
                PgType::Date
            } else {
                PgType::Text
            };
            (name, pg)
        })
        .collect()
}

fn plain(error: &dyn crate::error::Report) -> Plain {
    let mut plain = Plain::new(error.sqlstate(), error.to_string());
    plain.detail = error.detail();
    plain.hint = error.hint();
    plain
}

fn engine(error: &datafusion::error::DataFusionError) -> Plain {
    Plain::new(SqlState::INTERNAL_ERROR, error.to_string())
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.listing.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.listing.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.listing.scan(state, projection, filters, limit).await
    }
}
