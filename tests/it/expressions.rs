//! Expression by expression, what PostgreSQL 18 and this server say of it: value, name and type, or SQLSTATE.
//! `tests/data/expressions/`.
//!
//! A line is what follows SELECT, or a whole query. `@refused` before it says that this server has no answer, `@differs` that it has
//! another one; both are expected, until they are not so any more.

use std::fmt::Write;

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server};

const FILES: [(&str, &str); 6] = [
    ("aggregates", include_str!("../data/expressions/aggregates.txt")),
    ("collections", include_str!("../data/expressions/collections.txt")),
    ("dates", include_str!("../data/expressions/dates.txt")),
    ("numbers", include_str!("../data/expressions/numbers.txt")),
    ("strings", include_str!("../data/expressions/strings.txt")),
    ("system", include_str!("../data/expressions/system.txt")),
];

#[tokio::test(flavor = "multi_thread")]
async fn both_servers_evaluate_alike() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let server = Server::start().await;
    let mut theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
    let mut own = Client::connect(server.address, "boathouse", PASSWORD).await.unwrap();
    for client in [&mut theirs, &mut own] {
        client.simple("SET timezone = 'Europe/Berlin'").await.unwrap();
    }
    let mut different = String::new();
    let mut count = 0;
    for (file, text) in FILES {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (mark, expression) = match line.split_once(' ') {
                Some((mark @ ("@refused" | "@differs"), expression)) => (mark, expression),
                _ => ("", line),
            };
            let word = expression.split(' ').next().unwrap_or_default();
            let sql =
                if ["with", "values"].contains(&word) { expression.to_owned() } else { format!("SELECT {expression}") };
            let (their, own) = (answer(&mut theirs, &sql).await, answer(&mut own, &sql).await);
            count += 1;
            let found = match (&their, &own) {
                (Err(their), Err(own)) if their == own => "",
                (Ok(their), Ok(own)) if their == own => "",
                (_, Err(_)) => "@refused",
                (_, Ok(_)) => "@differs",
            };
            if found != mark {
                let _written = writeln!(
                    different,
                    "{file}: {found} {expression}\n  PostgreSQL:  {their:?}\n  this server: {own:?}"
                );
            }
        }
    }
    assert!(count > 500);
    assert!(different.is_empty(), "\n{different}");
}

/// Columns with their types and rows, or a SQLSTATE.
async fn answer(client: &mut Client, sql: &str) -> Result<String, String> {
    match client.simple(sql).await {
        Ok(replies) => {
            let shown = replies.iter().map(|reply| format!("{:?} {:?}", reply.columns, reply.rows));
            Ok(shown.collect::<Vec<_>>().join("; "))
        }
        Err(error) => Err(error.code),
    }
}
