//! `pg_catalog` and `information_schema` as a whole.

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn every_system_relation_can_be_read() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            "CREATE ROLE ana LOGIN PASSWORD 'x'; CREATE TABLE t (id serial, a int[]); CREATE VIEW v AS SELECT id FROM t;
             GRANT SELECT (id) ON t TO ana; COMMENT ON TABLE t IS 'x'; ALTER TABLE t ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON t TO ana USING (id > 0)",
        )
        .await
        .unwrap();
    let list = "SELECT n.nspname, c.relname, c.relnatts FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname IN ('pg_catalog', 'information_schema')";
    let relations = client.simple(list).await.unwrap().pop().unwrap().rows;
    assert!(relations.len() > 200, "{}", relations.len());
    for role in ["boathouse", "ana"] {
        client.simple(&format!("SET ROLE {role}")).await.unwrap();
        for relation in &relations {
            let part = |index: usize| relation[index].clone().unwrap();
            let name = format!("{}.{}", part(0), part(1));
            let reply = client.simple(&format!("SELECT * FROM {name}")).await;
            if role == "ana" && ["audit", "hba_file", "ident_file"].iter().any(|word| name.contains(word)) {
                assert_eq!(reply.unwrap_err().code, "42501", "{name}");
                continue;
            }
            let reply = reply.unwrap_or_else(|error| panic!("{name} as {role}: {error}")).pop().unwrap();
            assert_eq!(reply.columns.unwrap().len().to_string(), part(2), "{name}");
        }
    }
}

/// Temporary tables are nowhere but in their session: no file of them outlives it, and the catalog never had them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_temporary_tables() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    let warehouse = server.directory.path().join("data/warehouse");
    let files = || {
        let mut folders = vec![warehouse.clone()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() { folders.push(entry.path()) } else { count += 1 }
            }
        }
        count
    };
    let fill = "AS SELECT g AS id, 'v' || g AS v FROM generate_series(1, 300000) AS g";
    client.simple(&format!("CREATE TEMP TABLE t {fill}")).await.unwrap();
    let of_one = files();
    assert!(of_one > 0);
    client.simple(&format!("CREATE TEMP TABLE u {fill}")).await.unwrap();
    client.simple("DELETE FROM t WHERE id % 2 = 0; UPDATE t SET v = 'new' WHERE id < 1000").await.unwrap();
    assert_eq!(files(), 2 * of_one);
    client.simple(&format!("BEGIN; INSERT INTO t {}; ROLLBACK", &fill[3..])).await.unwrap();
    assert_eq!(files(), 2 * of_one);
    let counted = client.value("SELECT count(*) FROM t JOIN u USING (id) WHERE t.v <> u.v").await;
    assert_eq!(counted.as_deref(), Some("500"));
    client.simple("DROP TABLE u").await.unwrap();
    assert_eq!(files(), of_one);
    client.simple(&format!("CREATE TABLE lasting {fill}")).await.unwrap();
    assert_eq!(client.value("SELECT count(*) FROM t").await.as_deref(), Some("150000"));
    assert_eq!(files(), 2 * of_one);
    drop(client);
    for _ in 0..100 {
        if files() == of_one {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(files(), of_one);
    let mut client = server.connect().await;
    client.simple(&format!("CREATE TEMP TABLE t {fill}")).await.unwrap();
    assert_eq!(files(), 2 * of_one);
    server.restart().await;
    assert_eq!(files(), of_one);
    let mut client = server.connect().await;
    assert_eq!(client.value("SELECT count(*) FROM boathouse_snapshots").await.as_deref(), Some("2"));
    let kept = client.value("SELECT string_agg(nspname, ',') FROM pg_namespace WHERE nspname LIKE 'pg_temp%'").await;
    assert_eq!(kept, None);
}

/// Who makes something of a type that another transaction alters meanwhile begins again: nothing is kept with values or rules
/// that the type does not have.
#[tokio::test(flavor = "multi_thread")]
async fn a_type_is_altered_by_one_at_a_time() {
    let server = Server::start().await;
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    one.simple("CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int").await.unwrap();
    for (made, altered) in [
        ("CREATE TABLE t1 (x e)", "ALTER TYPE e ADD VALUE 'b'"),
        ("ALTER TYPE e ADD VALUE 'c'", "CREATE TABLE t2 (x e)"),
        ("CREATE TABLE t3 (x d); INSERT INTO t3 VALUES (-1)", "ALTER DOMAIN d ADD CHECK (VALUE > 0)"),
        ("CREATE DOMAIN over AS e", "ALTER TYPE e ADD VALUE 'd'"),
    ] {
        one.simple(&format!("BEGIN; {made}")).await.unwrap();
        other.simple(altered).await.unwrap();
        one.simple("SELECT 1").await.unwrap();
        let error = one.simple("COMMIT").await.unwrap_err();
        assert_eq!(error.code, "40001", "{made}: {error}");
    }
    // A temporary table knows what others did.
    one.simple("CREATE TEMPORARY TABLE mine (x e)").await.unwrap();
    other.simple("ALTER TYPE e ADD VALUE 'z'").await.unwrap();
    one.simple("INSERT INTO mine VALUES ('z')").await.unwrap();
    assert_eq!(one.value("SELECT x FROM mine").await.as_deref(), Some("z"));
    one.simple("CREATE TABLE kept AS SELECT * FROM mine").await.unwrap();
    assert_eq!(other.value("SELECT x FROM kept").await.as_deref(), Some("z"));
}
