//! Many writers at once, and metadata in PostgreSQL: nothing is lost and nothing is there twice, whatever happens to the
//! connection; DuckDB reads that catalog, too.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use boathouse::config::Config;

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server, share_metadata};

const WRITERS: i64 = 16;

/// How long writers write. `TEST_SECONDS` makes it longer.
pub(crate) fn duration() -> Duration {
    let seconds = std::env::var("TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// What one writer was told it had done.
#[derive(Default)]
pub(crate) struct Told {
    pub inserted: i64,
    pub deleted: i64,
    pub counted: i64,
    /// Statements of which it does not know.
    pub unknown: i64,
}

/// Each writer inserts rows of its own, deletes some of them, moves others to new columns, and counts up rows that all
/// share. `lenient`: a connection to the metadata may break, and then nobody knows.
pub(crate) async fn write(address: SocketAddr, writer: i64, until: Instant, lenient: bool) -> Told {
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

pub(crate) async fn prepare(server: &Server) -> Client {
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

pub(crate) async fn content(client: &mut Client) -> Vec<i64> {
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

async fn on_postgres(postgres: &Postgres, address: SocketAddr) -> Server {
    postgres.new_database().await;
    Server::start_with(metadata_at(address)).await
}

fn metadata_at(address: SocketAddr) -> impl FnOnce(&mut Config, &Path) {
    move |config, directory| share_metadata(config, directory, format!("postgres://boathouse@{address}/boathouse"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_postgresql() {
    let postgres = Postgres::start().await;
    let server = on_postgres(&postgres, postgres.address).await;
    let mut client = prepare(&server).await;
    let told = hammer(&server, false).await;
    let there = told.inserted - told.deleted;
    assert_eq!(content(&mut client).await, [there, there, told.counted]);

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
    let server = on_postgres(&postgres, postgres.address).await;
    let mut client = prepare(&server).await;
    let address = postgres.address;
    let breaking = tokio::spawn(async move {
        let mut postgres = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'boathouse'";
            postgres.simple(kill).await.unwrap();
        }
    });
    let told = hammer(&server, true).await;
    breaking.abort();
    let found = content(&mut client).await;
    let there = told.inserted - told.deleted;
    assert!(told.inserted > 0);
    assert_eq!(found[0], found[1]);
    assert!((there - told.unknown..=there + told.unknown).contains(&found[0]), "{found:?} {there} {}", told.unknown);
    assert!((told.counted..=told.counted + told.unknown).contains(&found[2]), "{found:?} {}", told.counted);
}

/// Stands before PostgreSQL. Once it is armed, it passes on the next COMMIT, keeps the answer to itself and is gone for a
/// while.
async fn proxy(to: SocketAddr, armed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gone = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if gone.load(Ordering::SeqCst) {
                continue;
            }
            let (armed, gone) = (Arc::clone(&armed), Arc::clone(&gone));
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut asked) => {
                            let Ok(count @ 1..) = read else { return };
                            let message = &asked[..count];
                            server.write_all(message).await.unwrap();
                            let commits = message.windows(6).any(|word| word == b"COMMIT");
                            if commits && armed.swap(false, Ordering::SeqCst) {
                                gone.store(true, Ordering::SeqCst);
                                tokio::time::sleep(Duration::from_millis(100)).await;
                                drop((client, server));
                                tokio::time::sleep(Duration::from_secs(1)).await;
                                gone.store(false, Ordering::SeqCst);
                                return;
                            }
                        }
                        read = server.read(&mut answered) => {
                            let Ok(count @ 1..) = read else { return };
                            if client.write_all(&answered[..count]).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    address
}

/// Stands before PostgreSQL and encrypts.
async fn encrypting(to: SocketAddr, certificate: &Path, key: &Path) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "nothing is sent in clear but the request for TLS");
                client.write_all(b"S").await.unwrap();
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_metadata_may_be_encrypted() {
    let postgres = Postgres::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = crate::auth::certificate(directory.path());
    let address = encrypting(postgres.address, &certificate, &key).await;
    postgres.new_database().await;
    let url = |host: &str| {
        format!("postgres://boathouse:correct%20horse@{host}:{}/boathouse?sslmode=verify-full", address.port())
    };
    let server = Server::start_with(|config, directory| {
        share_metadata(config, directory, url("localhost"));
        config.storage.metadata_ca_file = Some(certificate);
    })
    .await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (id serial); INSERT INTO t DEFAULT VALUES").await.unwrap();
    assert_eq!(client.value("SELECT max(id) FROM t").await.as_deref(), Some("1"));
    // An authority that is not trusted.
    let other = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = other.path().to_owned();
    share_metadata(&mut config, other.path(), url("localhost"));
    let error = boathouse::app::App::start(&config, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("connect to PostgreSQL"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_found_or_not_but_never_lost() {
    let postgres = Postgres::start().await;
    let armed = Arc::new(AtomicBool::new(false));
    let server = on_postgres(&postgres, proxy(postgres.address, Arc::clone(&armed)).await).await;
    let mut client = prepare(&server).await;
    let mut there = 0;
    for round in 0..3 {
        armed.store(true, Ordering::SeqCst);
        let first = round * 10;
        // It was committed; as long as the database is away nobody knows.
        if let Err(error) = client.simple(&format!("INSERT INTO w VALUES ({first}, 1, 'lost')")).await {
            assert_eq!(error.code, "08007", "{}", error.message);
        }
        there += 1;
        let began = Instant::now();
        loop {
            let insert = format!("INSERT INTO w VALUES ({}, 1, 'later')", first + 1);
            match client.simple(&insert).await {
                Ok(_) => break,
                Err(error) => assert!(["08007", "58030"].contains(&error.code.as_str()), "{}", error.message),
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it does not come back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        there += 1;
        assert_eq!(content(&mut client).await[..2], [there, there]);
        let error = client.simple(&format!("INSERT INTO w VALUES ({first}, 1, 'again')")).await.unwrap_err();
        assert_eq!(error.code, "23505");
    }
}

/// What the database refuses of one transaction is not the others' failure.
#[tokio::test(flavor = "multi_thread")]
async fn system_columns_of_postgresql_are_names_like_others() {
    let postgres = Postgres::start().await;
    let mut server = on_postgres(&postgres, postgres.address).await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE o (xmin int, ctid text)").await.unwrap();
    client.simple("INSERT INTO o VALUES (1, 'a'), (2, 'b')").await.unwrap();
    client.simple("UPDATE o SET xmin = 3 WHERE ctid = 'a'").await.unwrap();
    assert_eq!(client.value("SELECT sum(xmin) FROM o").await.as_deref(), Some("5"));
    // Values of all types come back as they were.
    client.simple(r"CREATE TABLE v (b bytea, a text[], i interval)").await.unwrap();
    client.simple(r#"INSERT INTO v VALUES ('\x00ff5c', '{NULL,it''s,"a\\b"}', '1 mon -3 days')"#).await.unwrap();
    let all = "SELECT v::text FROM v";
    let before = client.value(all).await;
    assert_eq!(before.as_deref(), Some(r#"("\\x00ff5c","{NULL,it's,""a\\\\b""}","1 mon -3 days")"#));
    server.restart_with(metadata_at(postgres.address)).await;
    assert_eq!(server.connect().await.value(all).await, before);
}

/// A COMMIT that has begun is not canceled, and does what it says.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_comes_to_its_end() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("CREATE TABLE t (a int); CREATE ROLE other; GRANT INSERT ON t TO other").await.unwrap();
    let path = server.directory.path().join("data/metadata.sqlite");
    let busy = rusqlite::Connection::open(path).unwrap();
    client.simple("BEGIN; SET LOCAL ROLE other; INSERT INTO t VALUES (1)").await.unwrap();
    client.simple("SET LOCAL statement_timeout = 100").await.unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let committing = tokio::spawn(async move {
        let done = client.simple("COMMIT").await;
        (client, done)
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!committing.is_finished());
    busy.execute_batch("ROLLBACK").unwrap();
    let (mut client, done) = committing.await.unwrap();
    done.unwrap();
    assert_eq!(client.value("SELECT count(*) FROM t").await.as_deref(), Some("1"));
    assert_eq!(client.value("SELECT current_user").await.as_deref(), Some("boathouse"));
    assert_eq!(client.value("SHOW statement_timeout").await.as_deref(), Some("0"));
}
