//! Files that come and go below an external table.

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn every_query_sees_the_files_that_are_there() {
    let server = Server::start().await;
    let folder = server.directory.path().join("lake/days");
    std::fs::create_dir_all(folder.join("_temporary")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("day.2023.csv", "id,v\n1,a\n");
    let mut client = server.connect().await;
    let location = format!("file://{}/", folder.display());
    client.simple(&format!("CREATE EXTERNAL TABLE days STORED AS CSV LOCATION '{location}'")).await.unwrap();
    let mut found = client.value("SELECT string_agg(v, ',' ORDER BY id) FROM days").await;
    assert_eq!(found.as_deref(), Some("a"));
    // Whatever its name, but not what writers keep for themselves.
    write("day.2024.csv", "id,v\n2,b\n");
    write("part-00001", "id,v\n3,c\n");
    write("_SUCCESS", "");
    write("empty.csv", "");
    write(".part-00001.crc", "crc");
    write("_temporary/half.csv", "id,v\n9,half");
    found = client.value("SELECT string_agg(v, ',' ORDER BY id) FROM days").await;
    assert_eq!(found.as_deref(), Some("a,b,c"));
    std::fs::remove_file(folder.join("day.2023.csv")).unwrap();
    found = client.value("SELECT string_agg(v, ',' ORDER BY id) FROM days").await;
    assert_eq!(found.as_deref(), Some("b,c"));
}
