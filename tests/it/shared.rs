//! Several servers on one catalog: metadata in PostgreSQL, files of the warehouse on S3. To their users they are one.

use std::time::{Duration, Instant};

use crate::crash::{connect, free_port, spawn_with};
use crate::metadata::{content, duration, prepare, write};
use crate::support::postgres::Postgres;
use crate::support::s3::S3;
use crate::support::{Client, MASTER_KEY, PASSWORD, Server, share_metadata};

struct Fleet {
    postgres: Postgres,
    s3: S3,
}

impl Fleet {
    async fn start() -> Self {
        let postgres = Postgres::start().await;
        postgres.new_database().await;
        Self { postgres, s3: S3::start().await }
    }

    /// One more server.
    async fn server(&self) -> Server {
        Server::start_with(|config, directory| {
            let url = format!("postgres://boathouse@{}/boathouse", self.postgres.address);
            share_metadata(config, directory, url);
            config.storage.warehouse_url = Some("s3://warehouse/tables".to_owned());
            config.lake.credentials = vec![self.s3.configured("s3://warehouse/", directory)];
        })
        .await
    }
}

async fn fails(client: &mut Client, sql: &str, code: &str) {
    let error = client.simple(sql).await.unwrap_err();
    assert_eq!(error.code, code, "{sql}: {error}");
}

async fn is(client: &mut Client, sql: &str, wanted: &str) {
    assert_eq!(client.value(sql).await.as_deref(), Some(wanted), "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_commits_the_other_sees_at_once() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    a.simple("CREATE TABLE t (id serial PRIMARY KEY, n int, note text)").await.unwrap();
    for round in 0..20 {
        let (one, other) = if round % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        one.simple(&format!("INSERT INTO t (n) VALUES ({round})")).await.unwrap();
        is(other, "SELECT count(*) || ' ' || max(id) FROM t", &format!("{0} {0}", round + 1)).await;
        other.simple(&format!("UPDATE t SET note = 'x' WHERE n = {round}")).await.unwrap();
        is(one, "SELECT count(note) FROM t", &(round + 1).to_string()).await;
    }
    // Files, deleted rows, compaction, new columns.
    b.simple("INSERT INTO t (n) SELECT g FROM generate_series(100, 20099) g").await.unwrap();
    is(&mut a, "SELECT count(*) || ' ' || max(id) FROM t", "20020 20020").await;
    a.simple("DELETE FROM t WHERE n % 2 = 0 AND n >= 100").await.unwrap();
    is(&mut b, "SELECT count(*) FROM t", "10020").await;
    b.simple("ALTER TABLE t ADD COLUMN more int DEFAULT 7; VACUUM t").await.unwrap_err();
    b.simple("ALTER TABLE t ADD COLUMN more int DEFAULT 7").await.unwrap();
    is(&mut a, "SELECT sum(more) FROM t", "70140").await;
    b.simple("VACUUM FULL t").await.unwrap();
    is(&mut a, "SELECT sum(more) FROM t", "70140").await;
    a.simple("UPDATE t SET more = 8 WHERE n = 101").await.unwrap();
    is(&mut b, "SELECT sum(more) FROM t", "70141").await;
    // A transaction keeps what it reads; names, sequences and temporary tables.
    a.simple("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
    b.simple("INSERT INTO t (n) VALUES (-1)").await.unwrap();
    is(&mut a, "SELECT count(*) FROM t", "10020").await;
    a.simple("COMMIT").await.unwrap();
    is(&mut a, "SELECT count(*) FROM t", "10021").await;
    a.simple("CREATE SEQUENCE s; CREATE TEMPORARY TABLE mine (a int)").await.unwrap();
    is(&mut a, "SELECT nextval('s')", "1").await;
    is(&mut b, "SELECT nextval('s')", "2").await;
    b.simple("SELECT setval('s', 10)").await.unwrap();
    is(&mut a, "SELECT nextval('s')", "11").await;
    is(&mut b, "SELECT last_value FROM s", "11").await;
    b.simple("ALTER SEQUENCE s RESTART").await.unwrap();
    is(&mut a, "SELECT nextval('s')", "1").await;
    fails(&mut b, "SELECT * FROM mine", "42P01").await;
    b.simple("DROP TABLE t").await.unwrap();
    fails(&mut a, "SELECT * FROM t", "42P01").await;
    // A server that comes later.
    let third = fleet.server().await;
    is(&mut third.connect().await, "SELECT nextval('s')", "2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_the_same_at_once() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    a.simple("CREATE TABLE t (owner text, secret text); INSERT INTO t VALUES ('r', 'mine'), ('x', 'other')")
        .await
        .unwrap();
    a.simple("CREATE ROLE r LOGIN PASSWORD 'p'").await.unwrap();
    let mut r = Client::connect(second.address, "r", "p").await.unwrap();
    fails(&mut r, "SELECT * FROM t", "42501").await;
    a.simple("GRANT SELECT ON t TO r").await.unwrap();
    is(&mut r, "SELECT count(*) FROM t", "2").await;
    a.simple("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user)")
        .await
        .unwrap();
    is(&mut r, "SELECT string_agg(secret, ',') FROM t", "mine").await;
    r.simple("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    is(&mut r, "SELECT count(*) FROM t", "1").await;
    b.simple("REVOKE SELECT ON t FROM r").await.unwrap();
    fails(&mut r, "SELECT * FROM t", "40001").await;
    r.simple("ROLLBACK").await.unwrap();
    // Who lost a membership cannot use it, nor who is no superuser any more.
    a.simple("CREATE ROLE other; GRANT other TO r; CREATE ROLE su SUPERUSER LOGIN PASSWORD 's'").await.unwrap();
    r.simple("SET ROLE other; RESET ROLE; SELECT 1").await.unwrap();
    let mut su = Client::connect(second.address, "su", "s").await.unwrap();
    su.simple("SELECT 1").await.unwrap();
    a.simple("REVOKE other FROM r; ALTER ROLE su NOSUPERUSER").await.unwrap();
    fails(&mut r, "SET ROLE other", "42501").await;
    fails(&mut su, "SET SESSION AUTHORIZATION boathouse", "42501").await;
    a.simple("ALTER SYSTEM SET snapshot_retention = '30d'").await.unwrap();
    is(&mut b, "SHOW snapshot_retention", "30d").await;
    a.simple("ALTER ROLE r PASSWORD 'q'").await.unwrap();
    assert!(Client::connect(second.address, "r", "p").await.is_err());
    Client::connect(second.address, "r", "q").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_between_servers_are_found() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    a.simple("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g")
        .await
        .unwrap();
    // The same row; another row of the same file.
    for (row, code) in [(1, Some("40001")), (2, None)] {
        a.simple("BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE t SET n = 1 WHERE id = 1").await.unwrap();
        b.simple(&format!("UPDATE t SET n = 2 WHERE id = {row}")).await.unwrap();
        match code {
            Some(code) => fails(&mut a, "COMMIT", code).await,
            None => drop(a.simple("COMMIT").await.unwrap()),
        }
    }
    is(&mut b, "SELECT string_agg(n::text, ',' ORDER BY id) FROM t WHERE id < 3", "1,2").await;
    // The same key.
    a.simple("BEGIN; INSERT INTO t VALUES (3000, 1)").await.unwrap();
    b.simple("INSERT INTO t VALUES (3000, 2)").await.unwrap();
    let error = a.simple("COMMIT").await.unwrap_err();
    assert!(["23505", "40001"].contains(&error.code.as_str()), "{error}");
    fails(&mut a, "INSERT INTO t VALUES (3000, 1)", "23505").await;
    // The same name; a table that is altered, and one that is dropped, while the other writes to it.
    a.simple("BEGIN; CREATE TABLE u (a int)").await.unwrap();
    b.simple("CREATE TABLE u (b int)").await.unwrap();
    fails(&mut a, "COMMIT", "42P07").await;
    a.simple("BEGIN; INSERT INTO u VALUES (1)").await.unwrap();
    b.simple("ALTER TABLE u ALTER b TYPE text").await.unwrap();
    fails(&mut a, "COMMIT", "40001").await;
    a.simple("BEGIN; INSERT INTO u VALUES ('1')").await.unwrap();
    b.simple("DROP TABLE u").await.unwrap();
    fails(&mut a, "COMMIT", "40001").await;
    // Statements by themselves are tried again: appends to one table, and counting up one row.
    let count = async |mut client: Client| {
        for _ in 0..50 {
            client.simple("UPDATE t SET n = n + 1 WHERE id = 1000").await.unwrap();
        }
    };
    tokio::join!(count(first.connect().await), count(second.connect().await));
    is(&mut a, "SELECT n FROM t WHERE id = 1000", "100").await;
    is(&mut b, "SELECT count(*) || ' ' || count(DISTINCT id) FROM t", "2001 2001").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_two_servers() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let mut client = prepare(&first).await;
    let until = Instant::now() + duration();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let address = if writer % 2 == 0 { first.address } else { second.address };
            tokio::spawn(write(address, writer, until, false))
        })
        .collect();
    let (mut there, mut counted) = (0, 0);
    for writer in writers {
        let told = writer.await.unwrap();
        there += told.inserted - told.deleted;
        counted += told.counted;
    }
    assert!(there > 0 && counted > 0);
    assert_eq!(content(&mut client).await, [there, there, counted]);
    assert_eq!(content(&mut second.connect().await).await, [there, there, counted]);
    let third = fleet.server().await;
    assert_eq!(content(&mut third.connect().await).await, [there, there, counted]);
}

/// Also what was committed so long ago that its snapshot is let go.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_has_happened_nevertheless() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    a.simple("ALTER SYSTEM SET snapshot_retention = '1s'").await.unwrap();
    a.simple("CREATE TABLE pk (k int PRIMARY KEY, v int); INSERT INTO pk VALUES (0, 0)").await.unwrap();
    a.simple("CREATE TABLE tr (a int); CREATE TABLE dropped (a int); CREATE ROLE gone LOGIN PASSWORD 'p'")
        .await
        .unwrap();
    b.simple("SELECT * FROM pk; SELECT * FROM tr; SELECT * FROM dropped").await.unwrap();
    let (mut c, mut d) = (second.connect().await, second.connect().await);
    b.simple("BEGIN; INSERT INTO pk VALUES (1, 2)").await.unwrap();
    c.simple("BEGIN; TRUNCATE tr").await.unwrap();
    d.simple("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tr").await.unwrap();
    a.simple("INSERT INTO pk VALUES (1, 1)").await.unwrap();
    a.simple("INSERT INTO tr VALUES (7)").await.unwrap();
    a.simple("DROP ROLE gone").await.unwrap();
    let last = a.value("SELECT max(snapshot_id) FROM snapshots()").await.unwrap();
    a.simple("DROP TABLE dropped").await.unwrap();
    let began = Instant::now();
    while a.value(&format!("SELECT count(*) FROM snapshots() WHERE snapshot_id <= {last}")).await.as_deref()
        != Some("0")
    {
        assert!(began.elapsed() < Duration::from_mins(1), "nothing is forgotten");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(Client::connect(second.address, "gone", "p").await.is_err());
    let mut late = second.connect().await;
    fails(&mut late, "SELECT * FROM dropped", "42P01").await;
    let error = b.simple("COMMIT").await.unwrap_err();
    assert!(["23505", "40001"].contains(&error.code.as_str()), "{error}");
    fails(&mut c, "COMMIT", "40001").await;
    fails(&mut d, "SELECT 1 FROM tr", "40001").await;
    is(
        &mut late,
        "SELECT (SELECT string_agg(k || ' ' || v, ',' ORDER BY k) FROM pk) || ';' || (SELECT sum(a) FROM tr)",
        "0 0,1 1;7",
    )
    .await;
    // A sequence goes on where it was, also on the other server.
    a.simple("CREATE TABLE u (id serial PRIMARY KEY, v int); INSERT INTO u (v) VALUES (1), (2), (3)").await.unwrap();
    a.simple("DROP TABLE u").await.unwrap();
    a.simple("UNDROP TABLE u").await.unwrap();
    late.simple("INSERT INTO u (v) VALUES (4)").await.unwrap();
    is(&mut a, "SELECT max(id) FROM u", "4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_may_start_together() {
    let fleet = Fleet::start().await;
    let (first, second, third) = tokio::join!(fleet.server(), fleet.server(), fleet.server());
    first.connect().await.simple("CREATE TABLE t (a int)").await.unwrap();
    for server in [second, third] {
        is(&mut server.connect().await, "SELECT count(*) FROM t", "0").await;
    }
}

/// Until it succeeds: the server may be killed while it greets.
async fn reconnect(port: u16) -> Client {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let began = Instant::now();
    loop {
        if let Ok(client) = Client::connect(address, "boathouse", PASSWORD).await {
            return client;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the server does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What was acknowledged is there, and what nobody was told of is there as a whole or not at all, whichever server dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_takes_nothing_with_it() {
    let fleet = Fleet::start().await;
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("password"), PASSWORD).unwrap();
    std::fs::write(root.path().join("master.key"), MASTER_KEY).unwrap();
    let start = |port: u16| {
        let environment = [
            ("BOATHOUSE_STORAGE__METADATA_URL", format!("postgres://boathouse@{}/boathouse", fleet.postgres.address)),
            ("BOATHOUSE_STORAGE__METADATA_PASSWORD_FILE", root.path().join("password").display().to_string()),
            ("BOATHOUSE_SECRETS__KEY", format!("file:{}/master.key", root.path().display())),
            ("BOATHOUSE_STORAGE__WAREHOUSE_URL", format!("file://{}/tables", root.path().display())),
        ];
        spawn_with(&root.path().join(port.to_string()), port, &environment)
    };
    let ports = [free_port(), free_port()];
    let mut servers = ports.map(|port| Some(start(port)));
    let mut admin = connect(ports[0]).await;
    admin.simple("CREATE TABLE moves (id bigserial PRIMARY KEY, writer int, n int); CREATE TABLE account (id int PRIMARY KEY, balance int)").await.unwrap();
    admin.simple("INSERT INTO account SELECT g, 100 FROM generate_series(1, 10) g").await.unwrap();
    let until = Instant::now() + duration();
    let writer = |number: usize| {
        let port = ports[number % 2];
        tokio::spawn(async move {
            let mut client = connect(port).await;
            let (mut told, mut n) = (0, 0);
            while Instant::now() < until {
                n += 1;
                // Some more than go into the metadata database.
                let rows = if n % 7 == 0 { 1200 } else { 3 };
                let (from, to) = (number % 10 + 1, (number + n) % 10 + 1);
                let block = format!(
                    "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = {from};
                     UPDATE account SET balance = balance + 1 WHERE id = {to};
                     INSERT INTO moves (writer, n) SELECT {number}, {n} FROM generate_series(1, {rows}); COMMIT"
                );
                match client.simple(&block).await {
                    Ok(_) => told += rows,
                    // Others were faster, or the server is gone.
                    Err(error) if ["40001", "40P01"].contains(&error.code.as_str()) => {
                        drop(client.simple("ROLLBACK").await);
                    }
                    Err(_) => client = reconnect(port).await,
                }
            }
            told
        })
    };
    let writers: Vec<_> = (0..4).map(writer).collect();
    let mut killed = 0;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let which = killed % 2;
        // Killed, before another one takes its place.
        servers[which] = None;
        servers[which] = Some(start(ports[which]));
        killed += 1;
    }
    let mut told = 0;
    for writer in writers {
        told += writer.await.unwrap();
    }
    let wholes = "SELECT count(*) FROM (SELECT writer, n, count(*) AS c FROM moves GROUP BY writer, n) g WHERE c NOT IN (3, 1200)";
    for port in ports {
        let mut client = connect(port).await;
        is(&mut client, "SELECT sum(balance) FROM account", "1000").await;
        is(&mut client, wholes, "0").await;
        is(&mut client, "SELECT count(*) - count(DISTINCT id) FROM moves", "0").await;
        let there: i64 = client.value("SELECT count(*) FROM moves").await.unwrap().parse().unwrap();
        assert!(there >= told && told > 0, "{there} rows are there, {told} were acknowledged");
    }
}

/// One of them looks after the tables; if it goes, another one does.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_them_looks_after_the_tables() {
    let fleet = Fleet::start().await;
    let (mut first, second) = (fleet.server().await, fleet.server().await);
    let mut b = second.connect().await;
    b.simple("CREATE TABLE t (id int PRIMARY KEY, v text)").await.unwrap();
    for round in 0..2 {
        for batch in 0..6 {
            let first = (round * 6 + batch) * 1000;
            b.simple(&format!("INSERT INTO t SELECT g, 'x' FROM generate_series({first}, {}) g", first + 999))
                .await
                .unwrap();
        }
        let began = Instant::now();
        while b.value("SELECT n_ins_since_vacuum FROM pg_stat_user_tables WHERE relname = 't'").await.as_deref()
            != Some("0")
        {
            assert!(began.elapsed() < Duration::from_mins(1), "nobody vacuums in round {round}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        is(&mut b, "SELECT count(*) || ' ' || count(DISTINCT id) FROM t", &format!("{0} {0}", (round + 1) * 6000))
            .await;
        first.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_reach_clients_of_other_servers() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    a.simple("LISTEN news").await.unwrap();
    // A server hears others soon after it has started, not at once.
    let mut sent = 0;
    let (_, heard, pid) = loop {
        sent += 1;
        b.simple(&format!("NOTIFY news, '{sent}'")).await.unwrap();
        if let Ok(told) = tokio::time::timeout(Duration::from_millis(200), a.notification()).await {
            break told;
        }
        assert!(sent < 100);
    };
    assert!(heard.parse::<i32>().unwrap() <= sent);
    assert_eq!(pid, b.pid);
    b.simple("BEGIN; NOTIFY news, 'lost'; ROLLBACK; NOTIFY news, 'last'").await.unwrap();
    while a.notifications.last().unwrap().1 != "last" {
        a.notification().await;
    }
    assert!(a.notifications.iter().all(|(_, payload, _)| payload != "lost"));
    // One's own are told once.
    let before = a.notifications.len();
    a.simple("NOTIFY news, 'own'").await.unwrap();
    b.simple("NOTIFY news, 'end'").await.unwrap();
    while a.notifications.last().unwrap().1 != "end" {
        a.notification().await;
    }
    assert_eq!(
        a.notifications[before..].iter().map(|(_, payload, _)| payload.as_str()).collect::<Vec<_>>(),
        ["own", "end"]
    );
    let long = format!("NOTIFY news, '{}'", "a".repeat(7990));
    assert_eq!(b.simple(&long).await.unwrap_err().code, "22023");
}

#[tokio::test(flavor = "multi_thread")]
async fn advisory_locks_are_those_of_all_servers() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.server().await, fleet.server().await);
    crate::protocol::advisory_locks_hold(&first, &second).await;
    let mut a = first.connect().await;
    // Those by which servers take turns.
    fails(&mut a, &format!("SELECT pg_try_advisory_lock({})", 0x626f_6174_686f_7573_i64), "0A000").await;
    // The connection that had a lock is gone: the session is told, once.
    a.simple("SELECT pg_advisory_lock(5)").await.unwrap();
    let mut metadata = connect(fleet.postgres.address.port()).await;
    metadata
        .simple(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'boathouse' AND query LIKE '%advisory_lock((5)%'",
        )
        .await
        .unwrap();
    let told = async {
        loop {
            if let Err(error) = a.simple("SELECT 1").await {
                break error.code;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), told).await.unwrap(), "08006");
    is(&mut a, "SELECT pg_try_advisory_lock(5)", "t").await;
}
