//! The lake on an S3 server: s3s-fs in a process of its own, which checks signatures. `tests/run` installs it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Client, Server};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI";

struct S3 {
    child: Child,
    endpoint: String,
    root: tempfile::TempDir,
}

impl S3 {
    /// With bucket `landing`, which holds the test data of the lake.
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake");
        assert!(Command::new("cp").args(["-r", data]).arg(root.path().join("landing")).status().unwrap().success());
        std::fs::create_dir(root.path().join("private")).unwrap();
        std::fs::write(root.path().join("private/x.csv"), "secret\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(std::env::var("TEST_S3").expect("run tests/run"))
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--access-key", KEY, "--secret-key", SECRET])
            .arg(root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, endpoint: format!("http://127.0.0.1:{port}"), root };
        for _attempt in 0..100 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the S3 server does not answer");
    }

    fn bucket(&self) -> PathBuf {
        self.root.path().join("landing")
    }

    fn credential(&self, secret: &str) -> String {
        format!(
            "CREATE STORAGE CREDENTIAL c WITH (scope 's3://landing/', access_key_id '{KEY}', secret_access_key '{secret}',
             endpoint '{}', allow_http 'true')",
            self.endpoint
        )
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

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
    let endpoint = s3.endpoint.clone();
    let server = Server::start_with(|config, directory| {
        let file = directory.join("secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        config.lake.allow = vec!["s3://landing/".to_owned()];
        config.lake.credentials = vec![boathouse::config::StoreCredential {
            scope: "s3://landing/".to_owned(),
            access_key_id: KEY.to_owned(),
            secret_access_key_file: file,
            region: None,
            endpoint: Some(endpoint),
            allow_http: true,
        }];
        assert!(!config.to_toml().contains(SECRET));
    })
    .await;
    let mut client = server.connect().await;
    client.simple("CREATE EXTERNAL TABLE hive STORED AS CSV LOCATION 's3://landing/hive/'").await.unwrap();
    assert_ne!(client.value("SELECT count(*) FROM hive").await.unwrap(), "0");
}
