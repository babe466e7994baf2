//! Rows that are found by their keys, and statements that are planned once: they do what PostgreSQL does, whatever
//! happened since they were prepared.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server};

const INT4: u32 = 23;

/// Statements by name, with the types that the client declares of their parameters.
const PREPARED: &[(&str, &str, &[u32])] = &[
    ("whole", "SELECT * FROM k WHERE id = $1", &[]),
    ("pair", "SELECT id, n + 1, upper(x.c) FROM k AS x WHERE x.c = $1 AND $2 = x.d", &[]),
    ("uuid", "SELECT n, note FROM k WHERE u = $1 AND n > $2 ORDER BY id DESC LIMIT 3", &[]),
    ("narrow", "SELECT id, c FROM k WHERE id = $1 AND (n IS NULL OR n <> 3)", &[INT4]),
    ("count", "SELECT count(*), max(n) FROM k WHERE id = $1", &[]),
    ("literal", "SELECT note FROM k WHERE id = 77 AND c IS NOT NULL", &[]),
    ("constant", "SELECT $1::int + 1, lower($2), 'x' || $2", &[]),
    ("add", "UPDATE k SET n = n + $2, note = $3 WHERE id = $1", &[]),
    ("move", "UPDATE k SET id = $2, c = $3 WHERE id = $1 RETURNING id, c, d", &[]),
    ("delete", "DELETE FROM k WHERE id = $1 RETURNING id, c, note", &[]),
    ("delete pair", "DELETE FROM k WHERE c = $1 AND d = $2", &[]),
    ("insert", "INSERT INTO k (id, c, d, n, u, note) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, n", &[]),
    ("two", "INSERT INTO k (id, c, d, u) VALUES ($1, $2, '2024-01-01', $3), ($1 + 1, $2, '2024-01-02', NULL)", &[]),
    ("upsert", "INSERT INTO k (id, c, d, n) VALUES ($1, $2, $3, 1) ON CONFLICT (id) DO UPDATE SET n = k.n + 1", &[]),
];

const CONTENT: &str =
    "SELECT count(*), sum(id), sum(n), count(n), sum(length(c)), sum(length(note)), min(d), max(d) FROM k";

struct Statements {
    random: StdRng,
    next_id: i64,
    in_block: bool,
}

impl Statements {
    /// A key that is there, was there, or never was.
    fn id(&mut self) -> String {
        match self.random.random_range(0..12) {
            0 => (self.next_id + self.random.random_range(0..5)).to_string(),
            1 => (self.next_id - self.random.random_range(0..20)).to_string(),
            2 => "-1".to_owned(),
            _ => self.random.random_range(0..40_100).to_string(),
        }
    }

    /// `c`, `d` and `u` belong to an id until they are changed.
    fn c(&mut self) -> String {
        format!("c{}", self.random.random_range(0..400))
    }

    fn d(&mut self) -> String {
        format!("2024-01-{:02}", self.random.random_range(1..=28))
    }

    fn u(&mut self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.random.random_range(0..40_100))
    }

    fn values(&mut self, name: &str) -> Vec<Option<String>> {
        let small = self.random.random_range(0..5).to_string();
        let mut values = match name {
            "whole" | "narrow" | "count" | "delete" => vec![self.id()],
            "pair" | "delete pair" => vec![self.c(), self.d()],
            "uuid" => vec![self.u(), small],
            "constant" => vec![small, "aBc".to_owned()],
            "add" => vec![self.id(), small, "noted".to_owned()],
            "move" => vec![self.id(), self.id(), self.c()],
            "insert" => {
                self.next_id += 1;
                let id = if self.random.random_bool(0.8) { self.next_id.to_string() } else { self.id() };
                vec![id, self.c(), self.d(), small, self.u(), "new".to_owned()]
            }
            "two" => {
                self.next_id += 2;
                vec![(self.next_id - 1).to_string(), self.c(), self.u()]
            }
            "upsert" => vec![self.id(), self.c(), self.d()],
            _ => vec![],
        };
        let null = self.random.random_range(0..60);
        let values = values.drain(..).enumerate();
        values.map(|(index, value)| (index != null).then_some(value)).collect()
    }

    /// What else happens to the table and to the transaction.
    fn other(&mut self) -> &'static str {
        let always: &[&str] = &[
            "UPDATE k SET n = 5 WHERE id % 97 = 3",
            "DELETE FROM k WHERE id % 89 = 5",
            "UPDATE k SET note = note || '+' WHERE id BETWEEN 100 AND 300",
            "ALTER TABLE k ADD COLUMN IF NOT EXISTS x int DEFAULT 7",
            "ALTER TABLE k DROP COLUMN IF EXISTS x",
            "ALTER TABLE k ALTER COLUMN n TYPE bigint",
            "ALTER TABLE k ALTER COLUMN note SET DEFAULT 'by default'",
            "SELECT id, n, note FROM k WHERE id = 100",
            "SELECT id, n, note FROM k WHERE id = 100",
            "UPDATE k SET n = n + 1 WHERE 200 = id",
            "UPDATE k SET n = n + 1 WHERE 200 = id",
            "SELECT 1",
        ];
        let idle: &[&str] = &["BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "VACUUM k", "VACUUM FULL k"];
        let block: &[&str] = &["COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT a; ROLLBACK TO a"];
        let others = if self.in_block { block } else { idle };
        let chosen = if self.random.random_bool(0.4) { always } else { others };
        let chosen = chosen.choose(&mut self.random).unwrap();
        match *chosen {
            "COMMIT" | "ROLLBACK" => self.in_block = false,
            text if text.starts_with("BEGIN") => self.in_block = true,
            _ => {}
        }
        chosen
    }
}

async fn prepare(client: &mut Client) {
    for (name, sql, types) in PREPARED {
        client.prepare(name, sql, types).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_find_what_postgresql_finds() {
    let postgres = Postgres::start().await;
    let seeds = std::env::var("TEST_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        postgres.new_database().await;
        let mut theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
        let mut server = Server::start().await;
        let mut ours = server.connect().await;
        for client in [&mut theirs, &mut ours] {
            client
                .simple(
                    "CREATE TABLE k (id bigint PRIMARY KEY, c text, d date, n int, u uuid UNIQUE, note text, UNIQUE (c, d));
                     INSERT INTO k SELECT g, 'c' || (g - 40000), '2024-01-01', g % 7, NULL, 'first' FROM generate_series(40001, 40100) g",
                )
                .await
                .unwrap();
            prepare(client).await;
            client
                .simple(
                    "INSERT INTO k SELECT g, 'r' || g, date '2023-01-01' + g % 9, g % 5,
                            ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid, 'bulk'
                     FROM generate_series(0, 40000) g",
                )
                .await
                .unwrap();
        }
        let random = StdRng::seed_from_u64(seed);
        let mut statements = Statements { random, next_id: 50_000, in_block: false };
        for step in 0..220 {
            let (wanted, got, sql) = if statements.random.random_bool(0.75) {
                let (name, sql, _) = PREPARED.choose(&mut statements.random).unwrap();
                let values = statements.values(name);
                let given: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
                let wanted = theirs.run_prepared(name, &given).await;
                (wanted, ours.run_prepared(name, &given).await, format!("{sql} -- {values:?}"))
            } else {
                let sql = statements.other();
                let last = |replies: Vec<_>| replies.into_iter().next_back().unwrap_or_default();
                (theirs.simple(sql).await.map(last), ours.simple(sql).await.map(last), sql.to_owned())
            };
            let shown = |reply: Result<crate::support::Reply, crate::support::DbError>| match reply {
                Ok(reply) => format!("{} {:?}", reply.tag, reply.rows),
                Err(error) => error.code,
            };
            let (wanted, got) = (shown(wanted), shown(got));
            assert_eq!(got, wanted, "seed {seed}, step {step}: {sql}");
            if ours.status == 'E' {
                statements.in_block = false;
                for client in [&mut theirs, &mut ours] {
                    client.simple("ROLLBACK").await.unwrap();
                }
            }
            if step % 10 == 0 {
                let wanted = theirs.simple(CONTENT).await.unwrap().pop().unwrap().rows;
                assert_eq!(ours.simple(CONTENT).await.unwrap().pop().unwrap().rows, wanted, "seed {seed}, step {step}");
            }
            match step {
                60 => drop(ours.simple("SET enable_indexscan = off").await.unwrap()),
                80 => drop(ours.simple("SET enable_indexscan = on; SET enable_partition_pruning = off").await.unwrap()),
                100 => drop(ours.simple("RESET enable_partition_pruning").await.unwrap()),
                150.. if step % 30 == 0 && !statements.in_block => {
                    server.restart().await;
                    ours = server.connect().await;
                    theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
                    prepare(&mut ours).await;
                    prepare(&mut theirs).await;
                }
                _ => {}
            }
        }
    }
}

/// What a parameter stands beside gives it the type, not the length or the scale.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_compared_as_they_were_given() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let mut theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
    let server = Server::start().await;
    let mut ours = server.connect().await;
    for client in [&mut theirs, &mut ours] {
        client
            .simple(
                "CREATE TABLE tm (id int PRIMARY KEY, n numeric(12,2) UNIQUE, v varchar(4) UNIQUE, c char(4) UNIQUE, b boolean);
                 INSERT INTO tm VALUES (1, 1.00, 'abcd', 'abcd', true), (2, 1.01, 'ab', 'ab', false)",
            )
            .await
            .unwrap();
    }
    let conditions = ["n = $1", "n > $1", "v = $1", "v LIKE $1", "v >= $1", "c = $1", "c > $1", "id = $1"];
    let values = ["1.004", "1.005", "1.01", "99999999999999", "abcde", "abcd ", "abcd", "ab   ", "2", "-1"];
    for condition in conditions {
        let sql = format!("SELECT id FROM tm WHERE {condition} ORDER BY id");
        for value in values {
            let number = value.parse::<f64>().is_ok();
            if condition.starts_with('n') != number && !condition.starts_with(['v', 'c']) {
                continue;
            }
            let wanted =
                theirs.extended(&sql, &[Some(value)]).await.map(|reply| reply.rows).map_err(|error| error.code);
            let got = ours.extended(&sql, &[Some(value)]).await.map(|reply| reply.rows).map_err(|error| error.code);
            assert_eq!(got, wanted, "{sql} -- {value}");
        }
    }
    for (sql, value) in [
        ("INSERT INTO tm (id, v) VALUES (3, $1)", "abcde"),
        ("INSERT INTO tm (id, v) VALUES (4, $1)", "xyz       "),
        ("INSERT INTO tm (id, c) VALUES (5, $1)", "xy         "),
        ("INSERT INTO tm (id, n) VALUES (6, $1)", "7.005"),
        ("INSERT INTO tm (id, n) VALUES (7, $1)", "99999999999"),
        ("UPDATE tm SET n = $1 WHERE id = 1", "1.005"),
        ("UPDATE tm SET c = $1 WHERE id = 1", "toolong"),
        ("SELECT n * $1 FROM tm WHERE id = 2", "1.5"),
        ("SELECT id, n, v, c FROM tm WHERE id > $1 ORDER BY id", "0"),
    ] {
        let wanted = theirs.extended(sql, &[Some(value)]).await.map(|reply| reply.rows).map_err(|error| error.code);
        let got = ours.extended(sql, &[Some(value)]).await.map(|reply| reply.rows).map_err(|error| error.code);
        assert_eq!(got, wanted, "{sql} -- {value}");
    }
}

/// Labels that an enumeration gets are known to statements that were prepared before.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_know_new_labels() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE e (m mood PRIMARY KEY, n int); INSERT INTO e VALUES ('sad', 1)")
        .await
        .unwrap();
    client.prepare("find", "SELECT n FROM e WHERE m = $1", &[]).await.unwrap();
    client.prepare("add", "INSERT INTO e VALUES ($1, $2)", &[]).await.unwrap();
    client.simple("ALTER TYPE mood ADD VALUE 'happy' BEFORE 'sad'").await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.run_prepared("find", &[Some("happy")]).await.unwrap().rows.len(), 0);
    }
    client.run_prepared("add", &[Some("happy"), Some("2")]).await.unwrap();
    assert_eq!(client.run_prepared("find", &[Some("happy")]).await.unwrap().rows, [[Some("2".to_owned())]]);
    assert_eq!(client.run_prepared("find", &[Some("sad")]).await.unwrap().rows, [[Some("1".to_owned())]]);
    assert_eq!(client.run_prepared("find", &[Some("glad")]).await.unwrap_err().code, "22P02");
}
