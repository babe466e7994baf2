//! The audit trail: nobody changes it unseen, it has no secrets, and in strict mode nothing happens without it.

use std::path::{Path, PathBuf};

use boathouse::audit::Mode;

use crate::support::{Client, Server};

fn trail(server: &Server) -> PathBuf {
    server.directory.path().join("data/audit")
}

/// All text of the trail.
fn text(directory: &Path) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_goes_on_after_restarts_and_shows_what_was_changed() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (a int)").await.unwrap();
    client.simple("INSERT INTO t VALUES (1), (2)").await.unwrap();
    let verify = "SELECT last_seq || ' ' || coalesce(broken_at, 'whole') FROM audit_verify()";
    let first = client.value(verify).await.unwrap();
    assert!(first.ends_with("whole"), "{first}");
    drop(client);
    server.stop().await;
    // What a crash leaves of a record.
    let file = trail(&server).join("audit-00000001.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{whole}{{\"hash\":\"0123")).unwrap();
    server.restart().await;
    let mut client = server.connect().await;
    let second = client.value(verify).await.unwrap();
    assert!(second.ends_with("whole"), "{second}");
    let events = "SELECT string_agg(event, ' ' ORDER BY seq) FROM pg_audit_log WHERE event IN ('start', 'stop') OR event <> 'login' AND detail IS NOT NULL";
    assert_eq!(client.value(events).await.as_deref(), Some("start stop start"));
    let torn = "SELECT detail FROM pg_audit_log WHERE event <> 'login' AND detail IS NOT NULL";
    assert_eq!(client.value(torn).await.unwrap(), "13 bytes of a record that was being written were there");
    let rows = "SELECT rows FROM pg_audit_log WHERE command = 'INSERT'";
    assert_eq!(client.value(rows).await.as_deref(), Some("2"));
    drop(client);
    server.stop().await;
    // A file that was just begun when the server was killed.
    std::fs::write(trail(&server).join("audit-00000002.jsonl"), "").unwrap();
    server.restart().await;
    let mut client = server.connect().await;
    let third = client.value(verify).await.unwrap();
    assert!(third.ends_with("whole"), "{third}");
    drop(client);
    server.stop().await;
    let changed = std::fs::read_to_string(&file).unwrap().replace("\"rows\":2", "\"rows\":3");
    std::fs::write(&file, changed).unwrap();
    server.restart().await;
    let mut client = server.connect().await;
    let broken = client.value("SELECT broken_at FROM audit_verify()").await.unwrap();
    assert_eq!(broken, "audit-00000001.jsonl, line 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_has_no_secrets() {
    let mut server = Server::start_with(|config, _| config.audit.file_mib = 0).await;
    let mut client = server.connect().await;
    for sql in [
        "CREATE ROLE u LOGIN PASSWORD 'CNRY1'",
        "CREATE TABLE t (id int, s text)",
        "INSERT INTO t VALUES (1, 'CNRY2'), (2, E'CNRY\\x33'), (3, $$CNRY4$$) /* CNRY5 */",
        "GRANT SELECT ON t TO u",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t TO u USING (s <> 'CNRY6')",
        "SET application_name = 'reports'",
    ] {
        client.simple(sql).await.unwrap();
    }
    client.simple("INSERT INTO t VALUES ('CNRY7', 'x')").await.unwrap_err();
    client.copy_in("COPY t FROM STDIN", b"4\tCNRY8\n").await.unwrap();
    client.copy_in("COPY t FROM STDIN", b"CNRY9\tx\n").await.unwrap_err();
    Client::connect(server.address, "u", "CNRYA").await.err().expect("a wrong password");
    let mut user = Client::connect(server.address, "u", "CNRY1").await.unwrap();
    user.extended("SELECT s FROM t WHERE s = $1", &[Some("CNRYB")]).await.unwrap();
    user.simple("SELECT * FROM pg_audit_log").await.unwrap_err();
    user.simple("SELECT * FROM audit_verify()").await.unwrap_err();
    client.simple("GRANT pg_audit_reader TO u").await.unwrap();
    let of_user = "SELECT string_agg(concat_ws('/', class, event, command, rows, sqlstate, array_to_string(policies, '+')), ' ' ORDER BY seq)
                   FROM pg_audit_log WHERE login_role = 'u'";
    let wanted = "session/login refused/28P01 session/login protected/statement/SELECT/0/public.t: row policy p \
                  read/statement/SELECT/42501 read/statement/SELECT/42501";
    assert_eq!(user.value(of_user).await.as_deref(), Some(wanted));
    let application = "SELECT count(*) FROM pg_audit_log WHERE application = 'reports'";
    assert_ne!(user.value(application).await.as_deref(), Some("0"));
    drop((client, user));
    server.stop().await;
    let text = text(&trail(&server));
    assert!(!text.contains("CNRY"), "{text}");
    assert!(text.contains("\"logout\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_strict_mode_nothing_happens_without_a_record() {
    let server = Server::start_with(|config, _| {
        config.audit.mode = Mode::Strict;
        config.audit.file_mib = 0;
    })
    .await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (a int)").await.unwrap();
    client.simple("CREATE ROLE u").await.unwrap();
    client.simple("GRANT SELECT ON t TO u").await.unwrap();
    client.simple("ALTER TABLE t ENABLE ROW LEVEL SECURITY").await.unwrap();
    let begun = "SELECT string_agg(event, ' ' ORDER BY seq) FROM pg_audit_log WHERE command = 'GRANT'";
    assert_eq!(client.value(begun).await.as_deref(), Some("begin statement"));
    // The next file cannot be made.
    let last: u64 = std::fs::read_dir(trail(&server)).unwrap().count() as u64 - 1;
    let next = trail(&server).join(format!("audit-{:08}.jsonl", last + 1));
    std::fs::create_dir(&next).unwrap();
    for sql in ["CREATE TABLE u (a int)", "GRANT INSERT ON t TO u", "ALTER TABLE t DISABLE ROW LEVEL SECURITY"] {
        assert_eq!(client.simple(sql).await.unwrap_err().code, "58030", "{sql}");
    }
    client.simple("SET ROLE u").await.unwrap();
    assert_eq!(client.simple("SELECT * FROM t").await.unwrap_err().code, "58030", "a read through a policy");
    client.simple("RESET ROLE").await.unwrap();
    assert_eq!(client.value("SELECT to_regclass('u')").await, None);
    assert_eq!(client.value("SELECT has_table_privilege('u', 't', 'INSERT')").await.as_deref(), Some("f"));
    assert_eq!(client.value("SELECT 1").await.as_deref(), Some("1"), "what is not protected goes on");
    std::fs::remove_dir(&next).unwrap();
    client.simple("SET ROLE u").await.unwrap();
    assert_eq!(client.value("SELECT count(*) FROM t").await.as_deref(), Some("0"));
    client.simple("RESET ROLE").await.unwrap();
    let lost = "SELECT count(*) FROM pg_audit_log WHERE event = 'lost'";
    assert_eq!(client.value(lost).await.as_deref(), Some("1"), "what is missing is told");
    assert_eq!(client.value("SELECT broken_at FROM audit_verify()").await, None);
}
