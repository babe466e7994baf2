//! Random statements that change rows: what is there is what PostgreSQL has after the same statements, at every commit,
//! after restarts, and for DuckDB at every snapshot.

use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::interop::READ;
use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server};

/// What a table holds, in one row; PostgreSQL and DuckDB read it alike.
const CONTENT: &str = "SELECT count(*), coalesce(sum(id), 0), coalesce(sum(a), 0), count(a),
    coalesce(sum(length(b)), 0), coalesce(sum(CASE WHEN b LIKE '%x' THEN id ELSE 0 END), 0) FROM ";

struct Statements {
    random: StdRng,
    next_id: i64,
    savepoints: usize,
    in_block: bool,
}

impl Statements {
    fn condition(&mut self) -> String {
        let (n, m) = (self.random.random_range(2..40), self.random.random_range(0..self.next_id + 10));
        let k = self.random.random_range(0..n);
        match self.random.random_range(0..11) {
            0 => format!("id % {n} = {k}"),
            1 => format!("id BETWEEN {m} AND {}", m + n * 3),
            2 => format!("a = {k}"),
            3 => format!("a IS NULL OR id = {m}"),
            4 => format!("b LIKE '%{k}'"),
            5 => format!("id IN (SELECT a FROM m WHERE a % {n} = {k})"),
            6 => format!("EXISTS (SELECT 1 FROM m x WHERE x.a = m.id AND x.id % {n} <> {k})"),
            7 => format!("id = (SELECT max(id) FROM m) OR id < {k}"),
            8 => format!("id NOT IN (SELECT id FROM m WHERE id % {n} <> {k})"),
            9 => "false".to_owned(),
            _ => format!("id > {m}"),
        }
    }

    fn next(&mut self) -> String {
        match self.random.random_range(0..100) {
            0..18 => {
                let (first, count) = (self.next_id, self.random.random_range(1..6));
                self.next_id += count;
                let rows: Vec<String> =
                    (first..self.next_id).map(|id| format!("({id}, {}, 'b{id}')", id % 11)).collect();
                format!("INSERT INTO m VALUES {}", rows.join(", "))
            }
            18..22 => {
                let (first, count) = (self.next_id, [50, 1000, 12_000][self.random.random_range(0..3)]);
                self.next_id += count;
                format!(
                    "INSERT INTO m SELECT g, g % 11, 'b' || g FROM generate_series({first}, {}) AS g",
                    self.next_id - 1
                )
            }
            22..25 => "INSERT INTO m SELECT id, NULL, b FROM m WHERE id % 50 = 0".to_owned(),
            25..45 => format!("DELETE FROM m WHERE {}", self.condition()),
            45..75 => {
                let set = match self.random.random_range(0..5) {
                    0 => "a = a + 1",
                    1 => "b = b || 'x', a = id % 7",
                    2 => "a = NULL",
                    3 => "(a, b) = (id % 5, 'new')",
                    _ => "a = (SELECT count(*) FROM m y WHERE y.id < 20)",
                };
                format!("UPDATE m SET {set} WHERE {}", self.condition())
            }
            75 => "TRUNCATE m".to_owned(),
            76 => format!("ALTER TABLE m ADD COLUMN IF NOT EXISTS x int DEFAULT {}", self.next_id),
            77 => "ALTER TABLE m DROP COLUMN IF EXISTS x".to_owned(),
            78 => "ALTER TABLE m ALTER COLUMN a TYPE bigint USING a + 0".to_owned(),
            79..83 if self.in_block => "SELECT count(*) FROM m".to_owned(),
            79..81 => "VACUUM m".to_owned(),
            81..83 => "VACUUM FULL m".to_owned(),
            _ => self.transaction(),
        }
    }

    /// How the rows are laid out, which PostgreSQL does not know.
    fn layout(&mut self) -> Option<&'static str> {
        match self.random.random_range(0..60) {
            0 => Some("ALTER TABLE m SET PARTITIONED BY (bucket(4, id))"),
            1 => Some("ALTER TABLE m SET PARTITIONED BY (bucket(2, b), bucket(3, id))"),
            2 => Some("ALTER TABLE m RESET PARTITIONED BY"),
            3 => Some("ALTER TABLE m SET SORTED BY (b DESC, id)"),
            4 => Some("ALTER TABLE m RESET SORTED BY, SET PARTITIONED BY (bucket(5, b))"),
            _ => None,
        }
    }

    /// Rows that are looked for by the values that files are chosen by.
    fn lookup(&mut self) -> String {
        let id = self.random.random_range(0..self.next_id + 2);
        format!("SELECT count(*), coalesce(sum(a), 0) FROM m WHERE id IN ({id}, {}) AND b = 'b{id}'", id / 2)
    }

    fn transaction(&mut self) -> String {
        if !self.in_block {
            (self.in_block, self.savepoints) = (true, 0);
            return "BEGIN".to_owned();
        }
        match self.random.random_range(0..7) {
            0..2 => {
                self.savepoints += 1;
                format!("SAVEPOINT s{}", self.savepoints)
            }
            2..4 if self.savepoints > 0 => {
                let to = self.random.random_range(1..=self.savepoints);
                self.savepoints = to;
                format!("ROLLBACK TO s{to}")
            }
            4 if self.savepoints > 0 => {
                self.savepoints -= 1;
                format!("RELEASE s{}", self.savepoints + 1)
            }
            5 => {
                self.in_block = false;
                "ROLLBACK".to_owned()
            }
            _ => {
                self.in_block = false;
                "COMMIT".to_owned()
            }
        }
    }
}

async fn run(client: &mut Client, sql: &str) -> String {
    let reply = client.simple(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).pop().unwrap();
    format!("{} {:?}", reply.tag, reply.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_leave_what_postgresql_has() {
    let postgres = Postgres::start().await;
    for seed in 1..=3 {
        postgres.new_database().await;
        let mut theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
        let mut server = Server::start().await;
        let mut ours = server.connect().await;
        for client in [&mut theirs, &mut ours] {
            client.simple("CREATE TABLE m (id bigint, a bigint, b text)").await.unwrap();
        }
        let random = StdRng::seed_from_u64(seed);
        let mut statements = Statements { random, next_id: 0, savepoints: 0, in_block: false };
        let mut history = vec![run(&mut theirs, &format!("{CONTENT} m")).await];
        for step in 0..100 {
            let sql = statements.next();
            if let Some(layout) = statements.layout() {
                run(&mut ours, layout).await;
            }
            let (wanted, got) = (run(&mut theirs, &sql).await, run(&mut ours, &sql).await);
            assert_eq!(got, wanted, "seed {seed}, step {step}: {sql}");
            let lookup = statements.lookup();
            let wanted = run(&mut theirs, &lookup).await;
            for pruning in ["on", "off"] {
                ours.simple(&format!("SET enable_partition_pruning = {pruning}")).await.unwrap();
                let got = run(&mut ours, &lookup).await;
                assert_eq!(got, wanted, "seed {seed}, after step {step}, pruning {pruning}: {lookup}");
            }
            let content = format!("{CONTENT} m");
            let (wanted, got) = (run(&mut theirs, &content).await, run(&mut ours, &content).await);
            assert_eq!(got, wanted, "seed {seed}, after step {step}: {sql}");
            if !statements.in_block {
                history.push(wanted);
                if step % 25 == 0 {
                    server.restart().await;
                    ours = server.connect().await;
                    assert_eq!(run(&mut ours, &content).await, got, "seed {seed}, step {step}: after a restart");
                }
            }
        }
        let past = past(&mut ours).await;
        drop(ours);
        server.stop().await;
        compare_snapshots(&server, seed, history, &past);
    }
}

/// What we read, snapshot after snapshot, from the one that made the table.
async fn past(client: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for snapshot in 1.. {
        match client.simple(&format!("{CONTENT} m AT (VERSION => {snapshot})")).await {
            Ok(mut replies) => found.push(format!("{:?}", replies.pop().unwrap().rows)),
            Err(error) if error.code == "42704" => break,
            Err(error) => panic!("snapshot {snapshot}: {error}"),
        }
    }
    found
}

/// What DuckDB reads, snapshot after snapshot, is what was committed, commit after commit, and what we read. Snapshots
/// that upkeep made after `past` was read, before the server stopped, have the content of the last of it.
fn compare_snapshots(server: &Server, seed: u64, mut history: Vec<String>, past: &[String]) {
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let duckdb = |queries: &[String]| {
        let python = std::env::var("TEST_PYTHON").expect("run tests/run");
        let output = Command::new(python).args(["-c", READ]).arg(&metadata).args(queries).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let created = "SELECT min(snapshot_id) FROM l.snapshots() WHERE changes::text LIKE '%tables_created%'".to_owned();
    let snapshots = duckdb(&[created, "SELECT max(snapshot_id) FROM l.snapshots()".to_owned()]);
    let (first, last): (i64, i64) = (snapshots[0].parse().unwrap(), snapshots[1].parse().unwrap());
    let queries: Vec<String> =
        (first..=last).map(|snapshot| format!("{CONTENT} l.public.m AT (VERSION => {snapshot})")).collect();
    let as_ours = |line: &str| {
        let values: Vec<_> = line.split('|').map(|value| format!("Some(\"{value}\")")).collect();
        format!("[[{}]]", values.join(", "))
    };
    let mut past = past.to_vec();
    past.resize(queries.len().max(past.len()), past.last().unwrap().clone());
    let read: Vec<String> = duckdb(&queries).iter().map(|line| as_ours(line)).collect();
    assert_eq!(read, past, "seed {seed}");
    // A third reader, on another engine.
    let reader = std::env::var("TEST_DUCKLAKE_READER").expect("run tests/run");
    let content = format!("{CONTENT} l.public.m");
    let queries = (first..=last).flat_map(|snapshot| [snapshot.to_string(), content.clone()]);
    let output = Command::new(reader).arg(&metadata).args(queries).output().unwrap();
    assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let third: Vec<String> = lines.lines().map(as_ours).collect();
    assert_eq!(third, past, "seed {seed}: datafusion-ducklake");
    // A commit that changes nothing may be a snapshot or none.
    let mut read: Vec<String> = read.iter().map(|row| format!("SELECT 1 {row}")).collect();
    read.dedup();
    history.dedup();
    assert_eq!(read, history, "seed {seed}");
}

/// Concurrent increments, each a transaction of its own: all of them count, none counts twice, and no client is told of
/// the others.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE c (id int, n bigint)").await.unwrap();
    client.simple("INSERT INTO c SELECT g, 0 FROM generate_series(1, 4) AS g").await.unwrap();
    let address = server.address;
    let workers = (0..6).map(|worker| {
        tokio::spawn(async move {
            let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
            for round in 0..15 {
                let id = (1 + (worker + round) % 4).to_string();
                if round % 2 == 0 {
                    client.simple(&format!("UPDATE c SET n = n + 1 WHERE id = {id}")).await.unwrap();
                } else {
                    let sql = "UPDATE c SET n = n + 1 WHERE id = $1 RETURNING n";
                    let reply = client.extended(sql, &[Some(&id)]).await.unwrap();
                    assert_eq!(reply.rows.len(), 1);
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(client.value("SELECT sum(n) FROM c").await.as_deref(), Some("90"));
    assert_eq!(client.value("SELECT count(*) FROM c").await.as_deref(), Some("4"));
    // Small writes make no files, and what lost a race leaves none behind.
    let files = || {
        let folder = server.directory.path().join("data/warehouse");
        let files = Command::new("find").arg(folder).args(["-type", "f"]).output().unwrap();
        String::from_utf8(files.stdout).unwrap().lines().count()
    };
    assert_eq!(files(), 0);
    client.simple("CREATE TABLE many (id int, n int)").await.unwrap();
    client.simple("INSERT INTO many SELECT g, 0 FROM generate_series(1, 2000) AS g").await.unwrap();
    let workers = (0..4).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
            for _ in 0..3 {
                client.simple("UPDATE many SET n = n + 1").await.unwrap();
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(client.value("SELECT sum(n) FROM many").await.as_deref(), Some("24000"));
    assert_eq!(files(), 13);
}

/// Sessions that insert the same keys at the same time: each key is there once, and every other attempt was told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_given_once() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE k (id int PRIMARY KEY, code text UNIQUE, worker int)").await.unwrap();
    let address = server.address;
    let workers = (0..6).map(|worker| {
        tokio::spawn(async move {
            let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
            let (mut won, mut refused) = (0, 0);
            for id in 0..12 {
                let insert = format!("INSERT INTO k VALUES ({id}, 'c{}', {worker})", id / 2 * 2 + worker % 2);
                let done = if id % 3 == 0 {
                    // The commit finds out.
                    client.simple(&format!("BEGIN; {insert}")).await.map(drop)
                } else {
                    client.simple(&insert).await.map(drop)
                };
                let done = match done {
                    Ok(()) => client.simple("COMMIT").await.map(drop),
                    Err(error) => {
                        client.simple("ROLLBACK").await.unwrap();
                        Err(error)
                    }
                };
                match done {
                    Ok(()) => won += 1,
                    Err(error) => {
                        assert_eq!(error.code, "23505", "{}", error.message);
                        refused += 1;
                    }
                }
            }
            (won, refused)
        })
    });
    let (mut won, mut refused) = (0, 0);
    for worker in workers.collect::<Vec<_>>() {
        let (own_won, own_refused) = worker.await.unwrap();
        (won, refused) = (won + own_won, refused + own_refused);
    }
    assert_eq!(won + refused, 6 * 12);
    let counts = "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || count(DISTINCT code) FROM k";
    assert_eq!(client.value(counts).await, Some(format!("{won} {won} {won}")));
}

/// Sessions that count up the same keys with ON CONFLICT: every one of them counts, whoever made the row.
#[tokio::test(flavor = "multi_thread")]
async fn upserts_do_not_lose_each_other() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE c (id int PRIMARY KEY, n int)").await.unwrap();
    let address = server.address;
    let workers = (0..6).map(|worker| {
        tokio::spawn(async move {
            let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
            let sql = "INSERT INTO c VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = c.n + excluded.n";
            for round in 0..12 {
                let id = (worker + round) / 4;
                if round % 2 == 0 {
                    client.extended(sql, &[Some(&id.to_string())]).await.unwrap();
                } else {
                    client.simple(&sql.replace("$1", &id.to_string())).await.unwrap();
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(client.value("SELECT sum(n) FROM c").await.as_deref(), Some("72"));
}

#[tokio::test(flavor = "multi_thread")]
async fn different_rows_of_one_file_do_not_conflict() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.simple("CREATE TABLE c (id int, n int); INSERT INTO c VALUES (1, 10), (2, 10), (3, 10)").await.unwrap();
    for (client, id) in [(&mut a, 1), (&mut b, 2)] {
        client.simple(&format!("BEGIN; UPDATE c SET n = 0 WHERE id = {id}")).await.unwrap();
    }
    a.simple("COMMIT").await.unwrap();
    b.simple("COMMIT").await.unwrap();
    assert_eq!(a.value("SELECT string_agg(n::text, ',' ORDER BY id) FROM c").await.as_deref(), Some("0,0,10"));
}

/// More deleted rows of a file than the metadata database keeps, deleted by the transaction that wrote the file.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_deleted_rows_survive_a_restart() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE big (id int); CREATE TABLE gone (id int)").await.unwrap();
    let own = "BEGIN; INSERT INTO big SELECT g FROM generate_series(1, 200000) AS g;
               DELETE FROM big WHERE id % 10 = 0; COMMIT";
    client.simple(own).await.unwrap();
    client.simple("DELETE FROM big WHERE id % 10 = 1").await.unwrap();
    client.simple("DELETE FROM big WHERE id IN (2, 3)").await.unwrap();
    client
        .simple("INSERT INTO gone SELECT id FROM big; DELETE FROM gone WHERE id % 4 = 3; DROP TABLE gone")
        .await
        .unwrap();
    let content = "SELECT count(*) || ' ' || sum(id) FROM big";
    let before = client.value(content).await;
    assert_eq!(before.as_deref(), Some("159998 16000079995"));
    server.restart().await;
    client = server.connect().await;
    assert_eq!(client.value(content).await, before);
    client.simple("DELETE FROM big WHERE id % 10 > 4").await.unwrap();
    server.restart().await;
    assert_eq!(server.connect().await.value("SELECT count(*) FROM big").await.as_deref(), Some("59998"));
}

/// A policy and a change of what it names do not both commit.
#[tokio::test(flavor = "multi_thread")]
async fn policies_and_altered_columns_exclude_each_other() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.simple("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)").await.unwrap();
    b.simple("BEGIN; CREATE POLICY p ON t USING (a > 1)").await.unwrap();
    a.simple("ALTER TABLE t RENAME a TO c").await.unwrap();
    assert_eq!(b.simple("COMMIT").await.unwrap_err().code, "40001");
    b.simple("BEGIN; ALTER TABLE t RENAME c TO a").await.unwrap();
    a.simple("CREATE POLICY p ON t USING (c > 1)").await.unwrap();
    assert_eq!(b.simple("COMMIT").await.unwrap_err().code, "40001");
}
