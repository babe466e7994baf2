//! Messages and their answers.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;

use crate::support::{Client, PASSWORD, Server, put_string};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_several_statements_is_one_transaction() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let error =
        client.simple("CREATE TABLE t (a int); INSERT INTO t VALUES (1); SELECT 1/0; SELECT 2").await.unwrap_err();
    assert_eq!(error.code, "22012");
    assert_eq!(client.status, 'I');
    assert_eq!(client.simple("SELECT * FROM t").await.unwrap_err().code, "42P01", "everything was rolled back");
    let replies =
        client.simple("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT * FROM t").await.unwrap();
    let tags: Vec<&str> = replies.iter().map(|reply| reply.tag.as_str()).collect();
    assert_eq!(tags, ["CREATE TABLE", "INSERT 0 2", "SELECT 2"]);
    assert!(client.simple("  ; -- nothing").await.unwrap()[0].columns.is_none());
    // A syntax error anywhere keeps everything from running.
    client.simple("DROP TABLE t; SELEC").await.unwrap_err();
    assert_eq!(client.value("SELECT count(*) FROM t").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_inferred_and_errors_skip_to_sync() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (a int, b text, d date)").await.unwrap();
    let tag =
        client.extended("INSERT INTO t VALUES ($1, $2, $3)", &[Some("7"), None, Some("2024-01-02")]).await.unwrap().tag;
    assert_eq!(tag, "INSERT 0 1");
    let reply = client
        .extended(
            "SELECT a + $1, d FROM t WHERE a = $2 AND d < $3 LIMIT $4",
            &[Some("1"), Some("7"), Some("2025-01-01"), Some("5")],
        )
        .await
        .unwrap();
    assert_eq!(reply.rows, [[Some("8".to_owned()), Some("2024-01-02".to_owned())]]);
    let reply = client.extended("SELECT $1, $2::int", &[Some("x"), Some("3")]).await.unwrap();
    let oids: Vec<u32> = reply.columns.unwrap().iter().map(|(_, oid)| *oid).collect();
    assert_eq!(oids, [25, 23]);
    assert_eq!(client.extended("SELECT $1::int", &[Some("x")]).await.unwrap_err().code, "22P02");
    assert_eq!(client.extended("SELECT 1; SELECT 2", &[]).await.unwrap_err().code, "42601");
    assert_eq!(client.extended("SELECT $1", &[]).await.unwrap_err().code, "08P01");
    assert_eq!(client.value("SELECT 1").await.as_deref(), Some("1"), "the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_rows_in_portions() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut body = BytesMut::new();
    body.put_u8(0);
    put_string(&mut body, "SELECT g FROM generate_series(1, 5) AS s(g)");
    body.put_i16(0);
    client.send(b'P', &body).await;
    client.send(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]).await;
    for _ in 0..3 {
        client.send(b'E', &[0, 0, 0, 0, 2]).await;
    }
    client.send(b'S', &[]).await;
    let mut kinds = String::new();
    loop {
        let (kind, _) = client.receive().await.unwrap();
        kinds.push(char::from(kind));
        if kind == b'Z' {
            break;
        }
    }
    assert_eq!(kinds, "12DDsDDsDCZ");
}

/// The time for a statement grows with its length, not with its square: this one would take hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_may_have_many_rows() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE many (id int PRIMARY KEY, at text)").await.unwrap();
    let rows: Vec<String> = (0..30_000).map(|id| format!("({id}, upper('x{id}'))")).collect();
    let insert = format!("INSERT INTO many VALUES {}", rows.join(", "));
    let reply = client.simple(&insert).await.unwrap().pop().unwrap();
    assert_eq!(reply.tag, "INSERT 0 30000");
    assert_eq!(client.value("SELECT count(*) || ' ' || sum(id) FROM many").await.as_deref(), Some("30000 449985000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_statements_stop_when_told() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let endless =
        "SELECT sum(a.g::bigint * b.g) FROM generate_series(1, 1000000) AS a(g), generate_series(1, 1000000) AS b(g)";
    client.simple("SET statement_timeout = '200ms'").await.unwrap();
    let start = Instant::now();
    assert_eq!(client.simple(endless).await.unwrap_err().code, "57014");
    assert!(start.elapsed() < Duration::from_secs(5));
    client.simple("SET statement_timeout = 0").await.unwrap();

    client.send_query(endless).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut packet = BytesMut::new();
    packet.put_i32(12 + client.key.len() as i32);
    packet.put_i32(80_877_102);
    packet.put_i32(client.pid);
    packet.extend_from_slice(&client.key);
    let mut other = tokio::net::TcpStream::connect(server.address).await.unwrap();
    other.write_all(&packet).await.unwrap();
    let error = client.replies(&[]).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("57014", "canceling statement due to user request"));
    assert_eq!(client.value("SELECT 1").await.as_deref(), Some("1"));
}

/// The client reads nothing until the statement was stopped: what is half sent then is sent to its end.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_stop_between_messages() {
    let server = Server::start().await;
    let mut boss = server.connect().await;
    let long = "SELECT repeat('x', 50), g FROM generate_series(1, 5000000) AS a(g)";
    for long in [long.to_owned(), format!("COPY ({long}) TO STDOUT")] {
        let mut client = server.connect().await;
        client.send_query(&long).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        boss.simple(&format!("SELECT pg_cancel_backend({})", client.pid)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let error = client.replies(&[]).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("57014", "canceling statement due to user request"));
        assert_eq!(client.value("SELECT 1").await.as_deref(), Some("1"));

        client.simple("SET statement_timeout = '300ms'").await.unwrap();
        client.send_query(&long).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let error = client.replies(&[]).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("57014", "canceling statement due to statement timeout")
        );
        client.simple("SET statement_timeout = 0").await.unwrap();

        client.send_query(&long).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        boss.simple(&format!("SELECT pg_terminate_backend({})", client.pid)).await.unwrap();
        let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", client.pid);
        while boss.value(&there).await.as_deref() != Some("0") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_seen_and_stopped_by_who_may() {
    let server = Server::start().await;
    let mut boss = server.connect().await;
    boss.simple("CREATE ROLE ana LOGIN PASSWORD 'pw'; CREATE ROLE ben LOGIN PASSWORD 'pw'").await.unwrap();
    boss.simple("CREATE TABLE t (a text); GRANT INSERT ON t TO ana").await.unwrap();
    let mut ana = Client::connect(server.address, "ana", "pw").await.unwrap();
    let mut ben = Client::connect(server.address, "ben", "pw").await.unwrap();
    ana.simple("SET application_name = 'report'; BEGIN; SELECT 'secret'").await.unwrap();

    let activity =
        |pid: i32| format!("SELECT usename, application_name, state, query FROM pg_stat_activity WHERE pid = {pid}");
    let row = |texts: [Option<&str>; 4]| texts.map(|text| text.map(ToOwned::to_owned)).to_vec();
    let told = boss.simple(&activity(ana.pid)).await.unwrap();
    let query = "SET application_name = ?; BEGIN; SELECT ?";
    assert_eq!(told[0].rows, [row([Some("ana"), Some("report"), Some("idle in transaction"), Some(query)])]);
    ana.simple("SELECT 1/0").await.unwrap_err();
    let state = format!("SELECT state FROM pg_stat_activity WHERE pid = {}", ana.pid);
    assert_eq!(boss.value(&state).await.as_deref(), Some("idle in transaction (aborted)"));
    let hidden = ben.simple(&activity(ana.pid)).await.unwrap();
    assert_eq!(hidden[0].rows, [row([Some("ana"), None, None, Some("<insufficient privilege>")])]);

    let error = ben.simple(&format!("SELECT pg_cancel_backend({})", ana.pid)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("42501", "permission denied to cancel query"));
    let error = ben.simple(&format!("SELECT pg_terminate_backend({})", boss.pid)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("42501", "permission denied to terminate process"));
    assert_eq!(ben.value("SELECT pg_cancel_backend(-5)").await.as_deref(), Some("f"), "there is no such session");

    ana.simple("ROLLBACK").await.unwrap();
    ana.send_query("SELECT count(*) FROM generate_series(1, 1000000000000)").await;
    while boss.value(&state).await.as_deref() != Some("active") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(boss.value(&format!("SELECT pg_cancel_backend({})", ana.pid)).await.as_deref(), Some("t"));
    assert_eq!(ana.replies(&[]).await.unwrap_err().code, "57014");
    assert_eq!(ana.value("SELECT 1").await.as_deref(), Some("1"));

    boss.simple("GRANT pg_signal_backend, pg_read_all_stats TO ben").await.unwrap();
    assert_eq!(ben.value(&state).await.as_deref(), Some("idle"));
    ana.simple("BEGIN; INSERT INTO t VALUES ('lost')").await.unwrap();
    assert_eq!(ben.value(&format!("SELECT pg_terminate_backend({})", ana.pid)).await.as_deref(), Some("t"));
    assert_eq!(ana.replies(&[]).await.unwrap_err().code, "57P01");
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", ana.pid);
    while boss.value(&there).await.as_deref() != Some("0") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(boss.value("SELECT count(*) FROM t").await.as_deref(), Some("0"), "what was open is rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_messages_do_not_harm_the_server() {
    let server = Server::start().await;
    for (kind, body) in [(b'Q', b"SELECT 1".as_slice()), (b'P', b"x"), (b'B', b"\0"), (b'?', b""), (b'E', b"")] {
        let mut client = server.connect().await;
        client.send(kind, body).await;
        client.send(b'S', &[]).await;
        assert_eq!(client.replies(&[]).await.unwrap_err().code, "08P01");
    }
    let mut raw = tokio::net::TcpStream::connect(server.address).await.unwrap();
    raw.write_all(&[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]).await.unwrap();
    assert!(Client::connect(server.address, "boathouse", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_meets_todays_rights() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE ROLE u LOGIN PASSWORD 'x'; GRANT SELECT ON t TO u").await.unwrap();
    let mut user = Client::connect(server.address, "u", "x").await.unwrap();
    let mut body = BytesMut::new();
    put_string(&mut body, "s");
    put_string(&mut body, "SELECT a FROM t");
    body.put_i16(0);
    user.send(b'P', &body).await;
    user.send(b'S', &[]).await;
    user.replies(&[]).await.unwrap();
    admin.simple("REVOKE SELECT ON t FROM u").await.unwrap();
    user.send(b'B', b"\0s\0\0\0\0\0\0\0").await;
    user.send(b'E', &[0, 0, 0, 0, 0]).await;
    user.send(b'S', &[]).await;
    assert_eq!(user.replies(&[]).await.unwrap_err().code, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_come_when_their_transaction_commits() {
    let server = Server::start().await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    let told = |payloads: &[&str], pid: i32| {
        payloads.iter().map(|payload| ("news".to_owned(), (*payload).to_owned(), pid)).collect::<Vec<_>>()
    };
    a.simple("LISTEN news; LISTEN \"Other\"").await.unwrap();
    let channels = "SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() AS c";
    assert_eq!(a.value(channels).await.as_deref(), Some("Other news"));
    // To one that asks nothing, at once.
    b.simple("NOTIFY news, 'now'").await.unwrap();
    assert_eq!(a.notification().await, ("news".to_owned(), "now".to_owned(), b.pid));
    a.notifications.clear();
    // The same once in a transaction, in order, without what was rolled back; from functions, too.
    b.simple("BEGIN; NOTIFY news; NOTIFY elsewhere, 'x'; NOTIFY news, 'b'; SAVEPOINT s; NOTIFY news, 'lost'")
        .await
        .unwrap();
    b.simple("SELECT pg_notify('news', 'lost too')").await.unwrap();
    b.simple("ROLLBACK TO s; SELECT pg_notify('news', g::text) FROM generate_series(1, 2) AS g; NOTIFY news, 'b'")
        .await
        .unwrap();
    a.simple("SELECT 1").await.unwrap();
    assert_eq!(a.notifications, []);
    b.simple("COMMIT").await.unwrap();
    a.simple("SELECT 1").await.unwrap();
    assert_eq!(a.notifications, told(&["", "b", "1", "2"], b.pid));
    a.notifications.clear();
    // What fails tells nothing, not even before it fails.
    b.simple("NOTIFY news, 'lost'; SELECT 1/0").await.unwrap_err();
    b.simple("BEGIN; NOTIFY news, 'lost'; ROLLBACK").await.unwrap();
    b.simple("SELECT pg_notify('news', 'lost') || 1/(g - 1)::text FROM generate_series(1, 1) AS g").await.unwrap_err();
    // In a transaction of his own the listener is not disturbed.
    a.simple("BEGIN").await.unwrap();
    b.extended("SELECT pg_notify($1, $2)", &[Some("news"), Some("found")]).await.unwrap();
    a.simple("SELECT 1").await.unwrap();
    assert_eq!(a.notifications, []);
    a.simple("LISTEN later; NOTIFY news, 'own'; NOTIFY later, 'own'; COMMIT").await.unwrap();
    let mut wanted = told(&["found"], b.pid);
    wanted.extend(told(&["own"], a.pid));
    wanted.push(("later".to_owned(), "own".to_owned(), a.pid));
    assert_eq!(a.notifications, wanted);
    a.notifications.clear();
    // Not listening any more is done at the commit, too.
    a.simple("BEGIN; UNLISTEN news; ROLLBACK").await.unwrap();
    assert_eq!(a.value(channels).await.as_deref(), Some("Other later news"));
    a.simple("UNLISTEN news; UNLISTEN nothing").await.unwrap();
    assert_eq!(a.value(channels).await.as_deref(), Some("Other later"));
    a.simple("DISCARD ALL").await.unwrap();
    b.simple("NOTIFY news; NOTIFY later; NOTIFY \"Other\"").await.unwrap();
    a.simple("SELECT 1").await.unwrap();
    assert_eq!(a.notifications, []);
    for (sql, message) in [
        (format!("NOTIFY news, '{}'", "a".repeat(8000)), "payload string too long"),
        ("SELECT pg_notify('', 'x')".to_owned(), "channel name cannot be empty"),
        ("SELECT pg_notify(NULL, 'x')".to_owned(), "channel name cannot be empty"),
        (format!("SELECT pg_notify('{}', 'x')", "a".repeat(64)), "channel name too long"),
    ] {
        let error = b.simple(&sql).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("22023", message));
    }
}

/// Who waits for an advisory lock gets it when its holder gives it back or is gone; a circle is told.
pub(crate) async fn advisory_locks_hold(first: &Server, second: &Server) {
    let (mut a, mut b, mut c) = (first.connect().await, second.connect().await, second.connect().await);
    a.simple("SELECT pg_advisory_lock(1)").await.unwrap();
    assert_eq!(b.value("SELECT pg_try_advisory_lock_shared(1)").await.as_deref(), Some("f"));
    b.send_query("SELECT pg_advisory_lock(1)").await;
    c.simple("SELECT pg_advisory_lock(2)").await.unwrap();
    // Time for the wait to begin: without it, less would be tried.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(a.value("SELECT pg_advisory_unlock(1)").await.as_deref(), Some("t"));
    b.replies(b"").await.unwrap();
    assert_eq!(a.value("SELECT pg_try_advisory_lock(1)").await.as_deref(), Some("f"));
    // A cancelled wait leaves nothing behind.
    a.simple("SET statement_timeout = 100").await.unwrap();
    assert_eq!(a.simple("SELECT pg_advisory_lock(1)").await.unwrap_err().code, "57014");
    a.simple("RESET statement_timeout").await.unwrap();
    // c has 2 and wants 1, which b has; b wants 2.
    c.send_query("SELECT pg_advisory_lock(1)").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // One of them fails, and with the end of its session gives way to the other.
    let waits = async move { b.simple("SELECT pg_advisory_lock(2)").await.err().map(|error| error.code) };
    let waited = async move { c.replies(b"").await.err().map(|error| error.code) };
    let failed = [tokio::spawn(waits), tokio::spawn(waited)];
    let mut codes = Vec::new();
    for one in failed {
        codes.extend(tokio::time::timeout(Duration::from_secs(20), one).await.expect("a circle ends").unwrap());
    }
    assert_eq!(codes, ["40P01"]);
    let freed = async {
        while a.value("SELECT pg_try_advisory_lock(2)").await.as_deref() != Some("t") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("what a session had is free when it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn advisory_locks_are_waited_for() {
    let server = Server::start().await;
    advisory_locks_hold(&server, &server).await;
}
