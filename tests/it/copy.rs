//! COPY FROM STDIN that stops in the middle, or fails.

use std::time::Duration;

use crate::support::{Client, PASSWORD, Server};

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_nothing_keep_nobody_waiting() {
    let server = Server::start_with(|config, _| config.limit.parallelism = 64).await;
    let mut admin = server.connect().await;
    admin.simple("CREATE TABLE t (a int); INSERT INTO t SELECT * FROM generate_series(1, 100000)").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..12 {
        let mut client = server.connect().await;
        client.send_query("COPY t FROM STDIN").await;
        assert_eq!(client.receive().await.unwrap().0, b'G');
        idle.push(client);
    }
    let read = async {
        let mut client = Client::connect(server.address, "boathouse", PASSWORD).await.unwrap();
        client.value("SELECT count(*) FROM t WHERE a > 50000").await
    };
    let count = tokio::time::timeout(Duration::from_secs(30), read).await.expect("a query waits for idle clients");
    assert_eq!(count.as_deref(), Some("50000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_copy_leaves_no_files() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (a int, b text)").await.unwrap();
    let files = || {
        let folder = server.directory.path().join("data/warehouse");
        let output = std::process::Command::new("find").arg(folder).args(["-type", "f"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let before = files();
    let mut data: Vec<u8> =
        (0..400_000).flat_map(|row| format!("{row}\tsome text that is long enough\n").into_bytes()).collect();
    data.extend_from_slice(b"x\ty\n");
    let error = client.copy_in("COPY t FROM STDIN", &data).await.unwrap_err();
    assert_eq!(error.code, "22P02");
    assert_eq!(error.context.as_deref(), Some("COPY t, line 400001, column a: \"x\""));
    assert_eq!(files(), before);
    assert_eq!(client.value("SELECT count(*) FROM t").await.as_deref(), Some("0"));
}
