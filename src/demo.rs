//! `boathouse demo`: a server in a temporary directory with sample data, a guided tour, then it keeps serving.
//!
//! The tour is `sql/example/tour.sql`, which psql runs too. Of psql's own commands it uses `\set`, `\echo` and `:'name'`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;

use crate::catalog::BOOTSTRAP_ROLE;
use crate::encode::{columns, write_text};
use crate::error::SqlError;
use crate::execute::Outcome;
use crate::plan::Parameters;
use crate::session::{Session, Shared};

const TOUR: &str = include_str!("../sql/example/tour.sql");
/// NYC flights of January and July 2013, a slice of the `nycflights13` data set (CC0).
const FILES: &[(&str, &[u8])] = &[
    ("flights/month=1/flights.parquet", include_bytes!("../sql/example/data/flights/month=1/flights.parquet")),
    ("flights/month=7/flights.parquet", include_bytes!("../sql/example/data/flights/month=7/flights.parquet")),
    ("weather.csv.gz", include_bytes!("../sql/example/data/weather.csv.gz")),
    ("planes.json", include_bytes!("../sql/example/data/planes.json")),
    ("airlines.csv", include_bytes!("../sql/example/data/airlines.csv")),
    ("airports.csv", include_bytes!("../sql/example/data/airports.csv")),
    ("bookings.csv", include_bytes!("../sql/example/data/bookings.csv")),
];

/// A directory that goes when the demo ends.
#[derive(Debug)]
pub struct DemoDirectory(PathBuf);

impl DemoDirectory {
    /// Makes the directory and puts the sample lake into it.
    pub fn create() -> std::io::Result<Self> {
        let directory = Self(std::env::temp_dir().join(format!("boathouse-demo-{}", uuid::Uuid::now_v7())));
        for (name, bytes) in FILES {
            let path = directory.lake().join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, bytes)?;
        }
        Ok(directory)
    }

    /// The data directory of the demo's server, which makes it when it starts.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn lake(&self) -> PathBuf {
        self.0.join("lake")
    }

    /// The lake as a location.
    pub fn lake_url(&self) -> String {
        format!("file://{}/", self.lake().display())
    }
}

impl Drop for DemoDirectory {
    fn drop(&mut self) {
        // The system clears its temporary directory if this fails.
        let _left = remove(&self.0);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_dir_all(path)
}

/// Runs the tour as the bootstrap role and hands what it shows, piece by piece, to `show`.
pub async fn tour(shared: Arc<Shared>, lake: &str, mut show: impl FnMut(&str)) -> Result<(), SqlError> {
    let mut session = Session::new(shared, 0, BOOTSTRAP_ROLE, &[])?;
    let mut variables = BTreeMap::from([("lake".to_owned(), lake.to_owned())]);
    let mut sql = String::new();
    for line in TOUR.lines() {
        if let Some(text) = line.strip_prefix("\\echo ") {
            show(&format!("\n-- {text}"));
        } else if let Some(words) = line.strip_prefix("\\set ") {
            let mut words = words.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let value = words.map(|word| match word.strip_prefix(':') {
                Some(name) => variables.get(name).cloned().unwrap_or_default(),
                None => word.trim_matches('\'').to_owned(),
            });
            let value: String = value.collect();
            variables.insert(name, value);
        } else if !line.starts_with("--") {
            sql.push_str(line);
            sql.push('\n');
            if line.trim_end().ends_with(';') {
                let statement = substitute(std::mem::take(&mut sql).trim(), &variables);
                show(&statement);
                match run(&mut session, &statement).await {
                    Ok(result) => show(&result),
                    Err(error) => {
                        session.fail();
                        show(&format!("ERROR:  {error}"));
                    }
                }
                if let Err(error) = session.end_implicit().await {
                    show(&format!("ERROR:  {error}"));
                }
            }
        }
    }
    Ok(())
}

/// Puts values in the place of `:'name'`.
fn substitute(statement: &str, variables: &BTreeMap<String, String>) -> String {
    variables
        .iter()
        .fold(statement.to_owned(), |text, (name, value)| text.replace(&format!(":'{name}'"), &format!("'{value}'")))
}

async fn run(session: &mut Session, sql: &str) -> Result<String, SqlError> {
    let mut shown = String::new();
    let message = session.message(sql)?;
    for statement in &message.statements {
        match session.run(statement, Parameters::default()).await? {
            Outcome::Done(tag) => shown.push_str(&tag),
            Outcome::Rows { fields, stream, .. } | Outcome::Returned { fields, stream, .. } => {
                let style = session.style();
                let mut rows = vec![fields.iter().map(|field| field.name().clone()).collect::<Vec<_>>()];
                let batches: Vec<_> = stream.try_collect().await.map_err(SqlError::from_engine)?;
                for batch in &batches {
                    let columns = columns(batch).map_err(SqlError::from_arrow)?;
                    for row in 0..batch.num_rows() {
                        let value = |column| {
                            let mut out = Vec::new();
                            write_text(&mut out, column, row, &style);
                            String::from_utf8_lossy(&out).into_owned()
                        };
                        rows.push(columns.iter().map(value).collect());
                    }
                }
                shown.push_str(&table(&rows));
            }
            Outcome::CopyIn(_) | Outcome::CopyOut { .. } => {
                return Err(crate::error::unsupported("COPY from or to the client in a tour").into());
            }
        }
    }
    Ok(shown)
}

/// Rows, the first of them the header, in columns.
fn table(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|value| value.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(value, width)| format!(" {value:width$} ")).collect();
        // Writing to a String cannot fail.
        let _written = writeln!(out, "{}", cells.join("|").trim_end());
        if index == 0 {
            let line: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            let _written = writeln!(out, "{}", line.join("+"));
        }
    }
    let count = rows.len().saturating_sub(1);
    let _written = write!(out, "({count} row{})", if count == 1 { "" } else { "s" });
    out
}
