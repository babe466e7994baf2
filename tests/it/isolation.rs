//! Transactions beside each other, as on PostgreSQL 18: `tests/data/isolation.txt`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::support::postgres::Postgres;
use crate::support::{Client, DbError, PASSWORD, Reply, Server};

const SCRIPTS: &str = include_str!("../data/isolation.txt");
/// What has not answered by then waits.
const WAITS: Duration = Duration::from_millis(200);
/// What has not answered by then never will.
const NEVER: Duration = Duration::from_mins(1);

type Pending = JoinHandle<(Client, Result<Vec<Reply>, DbError>)>;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_see_and_wait_for_each_other_as_in_postgresql() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let server = Server::start().await;
    let mut different = Vec::new();
    for section in SCRIPTS.split("\n## ").skip(1) {
        let (title, script) = section.split_once('\n').unwrap();
        let theirs = play(postgres.address, script).await;
        let own = play(server.address, script).await;
        if theirs != own {
            different.push(format!("## {title}\nPostgreSQL:\n{theirs}\nthis server:\n{own}\n"));
        }
    }
    assert!(different.is_empty(), "\n{}", different.concat());
}

/// The script with its answers.
async fn play(address: SocketAddr, script: &str) -> String {
    let mut setup = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
    let table = "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int);
        INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)";
    setup.simple(table).await.unwrap();
    let mut free: BTreeMap<char, Client> = BTreeMap::new();
    let mut waiting: BTreeMap<char, Pending> = BTreeMap::new();
    let mut shown = String::new();
    for line in script.lines().filter(|line| !line.is_empty()) {
        let who = line.chars().next().unwrap();
        let (how, sql) = (&line[1..2], line[2..].trim().to_owned());
        let mut pending = match how {
            "!" => match waiting.remove(&who) {
                Some(pending) => pending,
                None => return format!("{shown}{line} → nothing to wait for\n"),
            },
            _ => {
                let mut client = match free.remove(&who) {
                    Some(client) => client,
                    None => Client::connect(address, "boathouse", PASSWORD).await.unwrap(),
                };
                tokio::spawn(async move {
                    let answer = client.simple(&sql).await;
                    (client, answer)
                })
            }
        };
        shown += line;
        if how == "~" {
            match tokio::time::timeout(WAITS, &mut pending).await {
                Err(_elapsed) => {
                    waiting.insert(who, pending);
                    shown += " … waits\n";
                    continue;
                }
                Ok(answered) => {
                    let (client, answer) = answered.unwrap();
                    free.insert(who, client);
                    shown = format!("{shown} → does not wait: {}\n", show(&answer));
                    continue;
                }
            }
        }
        let Ok(answered) = tokio::time::timeout(NEVER, pending).await else { return shown + " → never\n" };
        let (client, answer) = answered.unwrap();
        free.insert(who, client);
        shown = format!("{shown} → {}\n", show(&answer));
    }
    shown
}

fn show(answer: &Result<Vec<Reply>, DbError>) -> String {
    match answer {
        Ok(replies) => {
            let reply = replies.last().unwrap();
            let mut rows: Vec<String> = reply
                .rows
                .iter()
                .map(|row| row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(","))
                .collect();
            // RETURNING has no order.
            rows.sort();
            format!("{} [{}]", reply.tag, rows.join(" "))
        }
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

/// Who closes a circle of waits is told; the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_waits_is_a_deadlock() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.simple("CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 10), (2, 20)").await.unwrap();
    a.simple("BEGIN; UPDATE t SET n = 11 WHERE id = 1").await.unwrap();
    b.simple("BEGIN; UPDATE t SET n = 21 WHERE id = 2").await.unwrap();
    let waiting = tokio::spawn(async move {
        a.simple("UPDATE t SET n = n + 1 WHERE id = 2").await.unwrap();
        a.simple("COMMIT").await.unwrap();
        a
    });
    tokio::time::sleep(WAITS).await;
    let error = b.simple("UPDATE t SET n = 12 WHERE id = 1").await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("40P01", "deadlock detected"));
    b.simple("ROLLBACK").await.unwrap();
    let mut a = waiting.await.unwrap();
    assert_eq!(a.value("SELECT string_agg(n::text, ',' ORDER BY id) FROM t").await.as_deref(), Some("11,21"));
}

/// Rows that VACUUM moves while a transaction changes them are changed where they are by then.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_to_vacuum() {
    let server = Server::start().await;
    let (mut a, mut b, mut c) = (server.connect().await, server.connect().await, server.connect().await);
    let table = "CREATE TABLE t (id int PRIMARY KEY, n int);
        INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) g;
        INSERT INTO t SELECT g, 0 FROM generate_series(3001, 6000) g;
        INSERT INTO t SELECT g, 0 FROM generate_series(6001, 6010) g";
    for statement in table.split(';') {
        a.simple(statement).await.unwrap();
    }
    for level in ["READ COMMITTED", "REPEATABLE READ"] {
        a.simple(&format!("BEGIN ISOLATION LEVEL {level}")).await.unwrap();
        a.simple("UPDATE t SET n = n + 1 WHERE id % 1000 = 5").await.unwrap();
        a.simple("DELETE FROM t WHERE id = 3001").await.unwrap();
        b.simple("VACUUM FULL t").await.unwrap();
        c.simple("UPDATE t SET n = n + 10 WHERE id = 7").await.unwrap();
        a.simple("UPDATE t SET n = n + 1 WHERE id = 6005").await.unwrap();
        b.simple("VACUUM FULL t").await.unwrap();
        a.simple("COMMIT").await.unwrap();
        a.simple("INSERT INTO t VALUES (3001, 0)").await.unwrap();
    }
    let content = "SELECT count(*), sum(n), sum(n) FILTER (WHERE id = 6005), count(DISTINCT id) FROM t";
    let found = a.simple(content).await.unwrap().pop().unwrap();
    let found: Vec<&str> = found.rows[0].iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(found, ["6010", "36", "4", "6010"]);
    // Rows that go while VACUUM writes them are not there again: many rounds, so that some meet.
    let deleting = tokio::spawn(async move {
        for id in 1..=400 {
            c.simple(&format!("DELETE FROM t WHERE id = {id}")).await.unwrap();
        }
    });
    while !deleting.is_finished() {
        b.simple("VACUUM FULL t").await.unwrap();
    }
    deleting.await.unwrap();
    assert_eq!(a.value("SELECT count(*) || ' ' || min(id) FROM t").await.as_deref(), Some("5610 401"));
}
