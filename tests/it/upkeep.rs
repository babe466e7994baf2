//! Upkeep in the background: small writes become few files, old snapshots and their files go, and DuckDB still reads it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::interop::READ;
use crate::support::{Client, Server};

async fn until(client: &mut Client, sql: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let found = client.value(sql).await;
        if found.as_deref() == Some(wanted) {
            return;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{sql}: {found:?} instead of {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn files(server: &Server) -> usize {
    fn count(directory: &Path) -> usize {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&server.directory.path().join("data/warehouse"))
}

fn duckdb(server: &Server, sql: &str) -> String {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python).args(["-c", READ, metadata.to_str().unwrap(), sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn worn_tables_are_vacuumed_by_themselves() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (id int PRIMARY KEY, v text)").await.unwrap();
    let vacuumed = "SELECT autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 't'";

    // Paused, nothing happens: rows in no file, and many files.
    client.simple("ALTER SYSTEM SET autovacuum = off").await.unwrap();
    for batch in 0..6 {
        let first = batch * 1000;
        let insert = format!("INSERT INTO t SELECT g, 'x' FROM generate_series({first}, {}) g", first + 999);
        client.simple(&insert).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.value(vacuumed).await.as_deref(), Some("f"));
    assert_eq!(files(&server), 0);
    client.simple("ALTER SYSTEM SET autovacuum = on").await.unwrap();
    until(&mut client, vacuumed, "t").await;
    let inlined = "SELECT n_ins_since_vacuum FROM pg_stat_user_tables WHERE relname = 't'";
    until(&mut client, inlined, "0").await;
    assert_eq!(files(&server), 1);
    for batch in 6..24 {
        let first = batch * 2000;
        let insert = format!("INSERT INTO t SELECT g, 'x' FROM generate_series({first}, {}) g", first + 1999);
        client.simple(&insert).await.unwrap();
    }
    let two = "SELECT autovacuum_count > 1 FROM pg_stat_user_tables WHERE relname = 't'";
    until(&mut client, two, "t").await;
    // A quarter of a file's rows gone: it is written again.
    client.simple("DELETE FROM t WHERE id % 4 = 0").await.unwrap();
    let dead = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'";
    until(&mut client, dead, "0").await;
    let sum = client.value("SELECT count(*) || ' ' || sum(id) FROM t").await.unwrap();
    server.restart().await;
    client = server.connect().await;
    assert_eq!(client.value("SELECT count(*) || ' ' || sum(id) FROM t").await.unwrap(), sum);
    server.stop().await;
    assert_eq!(duckdb(&server, "SELECT count(*) || ' ' || sum(id) FROM l.public.t"), sum);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_and_their_files_go() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("ALTER SYSTEM SET snapshot_retention = '1s'").await.unwrap();
    client.simple("ALTER SYSTEM SET file_deletion_delay = '1s'").await.unwrap();
    client.simple("CREATE TABLE t (id int, v text); CREATE TABLE gone (id int)").await.unwrap();
    client.simple("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 3000) g").await.unwrap();
    client.simple("INSERT INTO gone SELECT g FROM generate_series(1, 3000) g").await.unwrap();
    client.simple("INSERT INTO t VALUES (0, 'inlined')").await.unwrap();
    client.simple("DROP TABLE gone").await.unwrap();
    client.simple("UPDATE t SET v = 'y'").await.unwrap();
    client.simple("ALTER TABLE t ADD COLUMN w int DEFAULT 7").await.unwrap();
    client.simple("INSERT INTO t VALUES (-1, 'y', 7)").await.unwrap();
    // The file of `gone`, and the first of `t`.
    let began = Instant::now();
    while files(&server) > 1 {
        assert!(began.elapsed() < Duration::from_mins(1), "{} files are there", files(&server));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let content = "SELECT count(*) || ' ' || sum(id) || ' ' || min(v) || ' ' || sum(w) FROM ";
    let there = "3002 4501499 y 21014";
    assert_eq!(client.value(&format!("{content}t")).await.as_deref(), Some(there));
    until(&mut client, "SELECT count(*) FROM snapshots()", "1").await;
    let error = client.simple("SELECT * FROM t AT (VERSION => 3)").await.unwrap_err();
    assert_eq!(error.code, "42704", "{}", error.message);
    assert_eq!(client.simple("UNDROP TABLE gone").await.unwrap_err().code, "42P01");
    server.restart().await;
    client = server.connect().await;
    assert_eq!(client.value(&format!("{content}t")).await.as_deref(), Some(there));
    server.stop().await;
    assert_eq!(duckdb(&server, &format!("{content}l.public.t")), there);
}
