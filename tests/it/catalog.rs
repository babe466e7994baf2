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
            let reply = reply.unwrap_or_else(|error| panic!("{name} as {role}: {error}")).pop().unwrap();
            assert_eq!(reply.columns.unwrap().len().to_string(), part(2), "{name}");
        }
    }
}
