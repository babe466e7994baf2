//! `ducklake-reader CATALOG (SNAPSHOT QUERY)…`: prints the rows of queries over the SQLite catalog `l`, each at a snapshot,
//! with `|` between values.

use std::error::Error;
use std::sync::Arc;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use datafusion_ducklake::{DuckLakeCatalog, SqliteMetadataProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (catalog, queries) = arguments.split_first().ok_or("no catalog")?;
    let provider = Arc::new(SqliteMetadataProvider::new(&format!("sqlite:{catalog}?mode=ro")).await?);
    let options = FormatOptions::default().with_null("NULL");
    for query in queries.chunks(2) {
        let [snapshot, sql] = query else { return Err("a snapshot without a query".into()) };
        let context = SessionContext::new();
        let catalog = DuckLakeCatalog::with_snapshot(provider.clone(), snapshot.parse()?)?;
        context.register_catalog("l", Arc::new(catalog));
        for batch in context.sql(sql).await?.collect().await? {
            let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
                println!("{}", values.join("|"));
            }
        }
    }
    Ok(())
}
