//! The lake on an S3 server.

use crate::support::s3::{S3, SECRET};
use crate::support::{Client, Server};

async fn lake_on_s3() -> Server {
    Server::start_with(|config, _| config.lake.allow = vec!["s3://landing/".to_owned()]).await
}

async fn fails(client: &mut Client, sql: &str, code: &str) {
    let error = client.simple(sql).await.unwrap_err();
    assert_eq!(error.code, code, "{sql}: {error}");
    assert!(!error.message.contains(SECRET), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_tables_and_copy_read_s3() {
    let s3 = S3::start().await;
    let server = lake_on_s3().await;
    let mut client = server.connect().await;
    let table = "CREATE EXTERNAL TABLE hive STORED AS CSV LOCATION 's3://landing/hive/'";
    fails(&mut client, table, "42704").await;
    client.simple(&s3.credential(SECRET)).await.unwrap();
    client.simple(table).await.unwrap();
    let rows = "SELECT string_agg(concat_ws(' ', id, name, year, month), ',' ORDER BY id) FROM hive";
    let before = client.value(rows).await.unwrap();
    assert!(before.ends_with("2024 2"), "{before}");

    // The next query sees a file that came, and no longer one that went.
    let added = s3.bucket().join("hive/year=2025/month=3");
    std::fs::create_dir_all(&added).unwrap();
    std::fs::write(added.join("c.csv"), "id,name\n99,new\n").unwrap();
    assert_eq!(client.value(rows).await.unwrap(), format!("{before},99 new 2025 3"));
    assert_eq!(client.value("SELECT count(*) FROM hive WHERE year = 2025").await.unwrap(), "1");
    std::fs::remove_dir_all(s3.bucket().join("hive/year=2025")).unwrap();
    assert_eq!(client.value(rows).await.unwrap(), before);

    // COPY loads a file into the warehouse.
    std::fs::write(s3.bucket().join("load.csv"), "a,b\n1,x\n2,\n").unwrap();
    client.simple("CREATE TABLE w (a int, b text)").await.unwrap();
    client.simple("COPY w FROM 's3://landing/load.csv' WITH (FORMAT csv, HEADER)").await.unwrap();
    assert_eq!(client.value("SELECT concat(count(*), ' ', sum(a), ' ', max(b)) FROM w").await.unwrap(), "2 3 x");

    // Nothing outside the allowed prefixes, however it is spelled.
    for location in ["s3://private/x.csv", "s3://landing.private/x.csv", "s3://private%2fx.csv"] {
        fails(&mut client, &format!("COPY w FROM '{location}' WITH (FORMAT csv)"), "42501").await;
    }
    fails(&mut client, "COPY w FROM 's3://landing/../private/x.csv' WITH (FORMAT csv)", "58P01").await;
    fails(&mut client, "COPY w FROM 's3://landing/nothing.csv' WITH (FORMAT csv)", "58P01").await;

    // A credential that is wrong or gone.
    client.simple("DROP STORAGE CREDENTIAL c").await.unwrap();
    fails(&mut client, rows, "42704").await;
    client.simple(&s3.credential("wrong")).await.unwrap();
    fails(&mut client, rows, "58030").await;
    fails(&mut client, "SELECT count(*) FROM hive", "58030").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_be_configured() {
    let s3 = S3::start().await;
    let server = Server::start_with(|config, directory| {
        config.lake.allow = vec!["s3://landing/".to_owned()];
        config.lake.credentials = vec![s3.configured("s3://landing/", directory)];
        assert!(!config.to_toml().contains(SECRET));
    })
    .await;
    let mut client = server.connect().await;
    client.simple("CREATE EXTERNAL TABLE hive STORED AS CSV LOCATION 's3://landing/hive/'").await.unwrap();
    assert_ne!(client.value("SELECT count(*) FROM hive").await.unwrap(), "0");
}
