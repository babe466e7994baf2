//! Feature tests: every `.slt` file against a server of its own, in the simple and in the extended protocol.
//!
//! Files in `slt/pg/` run against a real PostgreSQL first: what they expect is what PostgreSQL does.
//!
//! `cargo test --test slt -- word` runs the files whose path contains the word.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test runner fails where it is wrong, and prints what it found"
)]

#[path = "it/support/mod.rs"]
#[expect(dead_code, reason = "it is written for two test binaries")]
mod support;

use std::path::{Path, PathBuf};

use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use support::postgres::Postgres;
use support::{Client, DbError, PASSWORD, Reply, Server};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Simple,
    Extended,
}

struct Connection {
    client: Client,
    protocol: Protocol,
}

#[async_trait::async_trait]
impl AsyncDB for Connection {
    type Error = DbError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, DbError> {
        // COPY's data follows the statement, after a line of its own.
        let reply = if let Some((statement, data)) = sql.split_once("\nDATA\n") {
            let data = data.replace("\\t", "\t") + "\n";
            self.client.copy_in(statement, data.as_bytes()).await?.pop().unwrap_or_default()
        } else {
            match self.protocol {
                Protocol::Simple => self.client.simple(sql).await?.pop().unwrap_or_default(),
                Protocol::Extended => self.client.extended(sql, &[]).await?,
            }
        };
        Ok(output(reply))
    }

    async fn shutdown(&mut self) {
        self.client.send(b'X', &[]).await;
    }

    fn engine_name(&self) -> &'static str {
        "boathouse"
    }

    fn error_sql_state(error: &DbError) -> Option<String> {
        Some(error.code.clone())
    }
}

fn output(reply: Reply) -> DBOutput<DefaultColumnType> {
    if !reply.copy_out.is_empty() {
        let text = String::from_utf8(reply.copy_out).unwrap();
        let rows = text.lines().map(|line| vec![line.to_owned()]).collect();
        return DBOutput::Rows { types: vec![DefaultColumnType::Text], rows };
    }
    match reply.columns {
        Some(columns) => {
            let shown = |value: Option<String>| match value {
                None => "NULL".to_owned(),
                Some(text) if text.is_empty() => "(empty)".to_owned(),
                Some(text) => text,
            };
            let rows = reply.rows.into_iter().map(|row| row.into_iter().map(shown).collect()).collect();
            DBOutput::Rows { types: vec![DefaultColumnType::Text; columns.len()], rows }
        }
        None => {
            let count = reply.tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
            DBOutput::StatementComplete(count)
        }
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut found = Vec::new();
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt")), &mut found);
    found.retain(|path| words.iter().all(|word| path.to_string_lossy().contains(word.as_str())));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(256 << 20).build().unwrap();
    let (mut passed, mut failed) = (0, 0);
    let compared = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("slt/pg"));
    let postgres = found.iter().any(compared).then(|| runtime.block_on(Postgres::start()));
    for path in &found {
        if let Some(postgres) = postgres.as_ref().filter(|_| compared(path)) {
            match runtime.block_on(run_on_postgres(postgres, path)) {
                Ok(()) => passed += 1,
                Err(error) => {
                    failed += 1;
                    eprintln!("{} (PostgreSQL):\n{error}\n", path.display());
                }
            }
        }
        for protocol in [Protocol::Simple, Protocol::Extended] {
            match runtime.block_on(run(path, protocol)) {
                Ok(()) => passed += 1,
                Err(error) => {
                    failed += 1;
                    eprintln!("{} ({protocol:?}):\n{error}\n", path.display());
                }
            }
        }
    }
    drop(postgres);
    println!("slt: {passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0 || found.is_empty()));
}

async fn run(path: &Path, protocol: Protocol) -> Result<(), String> {
    let mut server = Server::start().await;
    let address = server.address;
    let lake = server.directory.path().join("lake");
    let mut runner = Runner::new(move || async move {
        Ok(Connection { client: Client::connect(address, "boathouse", PASSWORD).await?, protocol })
    });
    let script = std::fs::read_to_string(path).unwrap().replace("${LAKE}", &lake.to_string_lossy());
    let script = sticky_connections(&script);
    copy_fixtures(&lake);
    let outcome = runner.run_script_async(&script).await.map_err(|error| error.display(false).to_string());
    runner.shutdown_async().await;
    server.stop().await;
    outcome
}

/// The simple protocol will do: PostgreSQL's two are not what is tested.
async fn run_on_postgres(postgres: &Postgres, path: &Path) -> Result<(), String> {
    postgres.new_database().await;
    let address = postgres.address;
    let mut runner = Runner::new(move || async move {
        let client = Client::connect(address, "boathouse", PASSWORD).await?;
        Ok(Connection { client, protocol: Protocol::Simple })
    });
    let script = sticky_connections(&std::fs::read_to_string(path).unwrap());
    let outcome = runner.run_script_async(&script).await.map_err(|error| error.display(false).to_string());
    runner.shutdown_async().await;
    outcome
}

/// `connection name` counts until the next one, not for one record only.
fn sticky_connections(script: &str) -> String {
    let mut current = "default";
    let mut out = String::new();
    for line in script.lines() {
        if let Some(name) = line.strip_prefix("connection ") {
            current = name.trim();
            continue;
        }
        if (line.starts_with("statement ") || line.starts_with("query ")) && current != "default" {
            out.extend(["connection ", current, "\n"]);
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Small files for tests of the lake.
fn copy_fixtures(lake: &Path) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() { copy(&path, &target) } else { assert!(std::fs::copy(&path, &target).is_ok()) }
        }
    }
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake"));
    if data.exists() {
        copy(data, lake);
    }
}
