//! Many writers at once, and metadata in PostgreSQL: nothing is lost and nothing is there twice, whatever happens to the
//! connection; DuckDB reads that catalog, too.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use boathouse::app::App;

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server};

const WRITERS: i64 = 16;

/// How long writers write. `TEST_SECONDS` makes it longer.
fn duration() -> Duration {
    let seconds = std::env::var("TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// What one writer was told it had done.
#[derive(Default)]
struct Told {
    inserted: i64,
    deleted: i64,
    counted: i64,
    /// Statements of which it does not know.
    unknown: i64,
}

/// Each writer inserts rows of its own, deletes some of them, moves others to new columns, and counts up rows that all
/// share. `lenient`: a connection to the metadata may break, and then nobody knows.
async fn write(address: SocketAddr, writer: i64, until: Instant, lenient: bool) -> Told {
    let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
    let mut told = Told::default();
    let mut next = 0;
    while Instant::now() < until {
        let id = writer * 1_000_000 + next;
        next += 1;
        let (sql, kind) = match next % 5 {
            0 => (format!("DELETE FROM w WHERE id = {}", id - 4), 'd'),
            1 | 2 => (format!("INSERT INTO w VALUES ({id}, {writer}, 'x')"), 'i'),
            3 => (format!("UPDATE w SET note = 'y' WHERE id = {}", id - 1), 'u'),
            _ => (format!("UPDATE shared SET n = n + 1 WHERE id = {}", next / 5 % 4), 'c'),
        };
        match client.simple(&sql).await {
            Ok(replies) => {
                let tag = replies.last().unwrap().tag.as_str();
                match kind {
                    'i' => told.inserted += 1,
                    'd' => {
                        assert_eq!(tag, "DELETE 1", "{sql}");
                        told.deleted += 1;
                    }
                    'u' => assert_eq!(tag, "UPDATE 1", "{sql}"),
                    _ => {
                        assert_eq!(tag, "UPDATE 1", "{sql}");
                        told.counted += 1;
                    }
                }
            }
            Err(error) if lenient && ["08007", "58030"].contains(&error.code.as_str()) => {
                told.unknown += 1;
                // The next statements are about rows of this round.
                next += 5 - next % 5;
            }
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    told
}

async fn prepare(server: &Server) -> Client {
    let mut client = server.connect().await;
    client.simple("CREATE TABLE w (id bigint PRIMARY KEY, writer int, note text)").await.unwrap();
    client.simple("CREATE TABLE shared (id int PRIMARY KEY, n bigint)").await.unwrap();
    client.simple("INSERT INTO shared SELECT g, 0 FROM generate_series(0, 3) g").await.unwrap();
    client
}

async fn hammer(server: &Server, lenient: bool) -> Told {
    let until = Instant::now() + duration();
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(server.address, writer, until, lenient))).collect();
    let mut all = Told::default();
    for writer in writers {
        let told = writer.await.unwrap();
        all.inserted += told.inserted;
        all.deleted += told.deleted;
        all.counted += told.counted;
        all.unknown += told.unknown;
    }
    all
}

const CONTENT: &str = "SELECT count(*), count(DISTINCT id), (SELECT sum(n) FROM shared) FROM w";

async fn content(client: &mut Client) -> Vec<i64> {
    let rows = client.simple(CONTENT).await.unwrap().pop().unwrap().rows;
    rows[0].iter().map(|value| value.as_deref().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_sqlite() {
    let mut server = Server::start().await;
    let mut client = prepare(&server).await;
    let told = hammer(&server, false).await;
    let there = told.inserted - told.deleted;
    assert_eq!(content(&mut client).await, [there, there, told.counted]);
    server.restart().await;
    assert_eq!(content(&mut server.connect().await).await, [there, there, told.counted]);
}

async fn on_postgres(postgres: &Postgres) -> Server {
    postgres.new_database().await;
    let url = format!("postgres://boathouse@{}/boathouse", postgres.address);
    Server::start_with(|config, directory| {
        let file = directory.join("password");
        std::fs::write(&file, PASSWORD).unwrap();
        config.storage.metadata_url = Some(url);
        config.storage.metadata_password_file = Some(file);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_postgresql() {
    let postgres = Postgres::start().await;
    let server = on_postgres(&postgres).await;
    let mut client = prepare(&server).await;
    let told = hammer(&server, false).await;
    let there = told.inserted - told.deleted;
    assert_eq!(content(&mut client).await, [there, there, told.counted]);

    // A second server may not use the database.
    let other = tempfile::tempdir().unwrap();
    let mut config = boathouse::config::Config::default();
    config.storage.data_dir = other.path().to_owned();
    config.storage.metadata_url = Some(format!("postgres://boathouse:correct%20horse@{}/boathouse", postgres.address));
    config.wire.listen = "127.0.0.1:0".parse().unwrap();
    let error = App::start(&config, None).await.unwrap_err();
    assert!(error.to_string().contains("is in use by another server"), "{error:#}");

    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let attach = format!(
        "ducklake:postgres:host={} port={} user=boathouse password='{PASSWORD}' dbname=boathouse",
        postgres.address.ip(),
        postgres.address.port()
    );
    let read = crate::interop::READ
        .replace("sqlite_scanner", "postgres_scanner")
        .replace("\"ATTACH 'ducklake:sqlite:%s' AS l (READ_ONLY)\" % sys.argv[1]", "sys.argv[1]");
    let output = Command::new(python)
        .args(["-c", &read, &format!("ATTACH '{}' AS l (READ_ONLY)", attach.replace('\'', "''"))])
        .args(["SELECT count(*), count(DISTINCT id) FROM l.public.w", "SELECT sum(n) FROM l.public.shared"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{there}|{there}\n{}\n", told.counted));
}

/// The connection to the metadata breaks again and again: what was acknowledged is there, what was refused is not there
/// twice, and the server goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_to_the_metadata_loses_nothing() {
    let postgres = Postgres::start().await;
    let server = on_postgres(&postgres).await;
    let mut client = prepare(&server).await;
    let address = postgres.address;
    let breaking = tokio::spawn(async move {
        let mut postgres = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'boathouse'";
            postgres.simple(kill).await.unwrap();
        }
    });
    let told = hammer(&server, true).await;
    breaking.abort();
    let found = content(&mut client).await;
    let there = told.inserted - told.deleted;
    assert!(told.inserted > 0 && told.unknown > 0, "{} {}", told.inserted, told.unknown);
    assert_eq!(found[0], found[1]);
    assert!((there - told.unknown..=there + told.unknown).contains(&found[0]), "{found:?} {there} {}", told.unknown);
    assert!((told.counted..=told.counted + told.unknown).contains(&found[2]), "{found:?} {}", told.counted);
}
