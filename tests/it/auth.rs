//! Who gets in.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, PASSWORD, Server};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_unknown_user_and_nologin_look_the_same() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin
        .simple("CREATE ROLE nologin PASSWORD 'x'; CREATE ROLE expired LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'")
        .await
        .unwrap();
    for (user, password) in [("boathouse", "wrong"), ("nobody", "x"), ("nologin", "x"), ("expired", "x")] {
        let error = Client::connect(server.address, user, password).await.err().unwrap();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "28P01"), "{user}");
        assert_eq!(error.message, format!("password authentication failed for user \"{user}\""));
    }
}

/// Who fails often takes turns; a flood of attempts is refused, and the right password is right as soon as it has its turn.
#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE ROLE ana LOGIN PASSWORD 'pw'; CREATE ROLE bob LOGIN PASSWORD 'pw'").await.unwrap();
    for _ in 0..4 {
        assert_eq!(Client::connect(server.address, "ana", "wrong").await.err().unwrap().code, "28P01");
    }
    let flood = (0..40).map(|_| Client::connect(server.address, "ana", "wrong"));
    let flood = tokio::spawn(futures::future::join_all(flood.collect::<Vec<_>>()));
    let codes = async {
        let refused = |said: &Result<Client, crate::support::DbError>| said.as_ref().err().unwrap().code == "28000";
        loop {
            let said = Client::connect(server.address, "ana", "wrong").await;
            if refused(&said) {
                return said.err().unwrap();
            }
        }
    };
    let error = codes.await;
    assert_eq!(error.message, "too many failed attempts to log in as user \"ana\" from this network");
    assert!(error.hint.unwrap().starts_with("Try again in "));
    Client::connect(server.address, "bob", "pw").await.unwrap();
    flood.abort();
    // What is left of the flood need not be waited for: a restart forgets.
    let mut server = server;
    server.restart().await;
    Client::connect(server.address, "ana", "wrong").await.err().unwrap();
    Client::connect(server.address, "ana", "pw").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_log_in_and_settings_apply() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE ROLE ana LOGIN PASSWORD 'pw'; ALTER ROLE ana SET timezone = 'Europe/Rome'").await.unwrap();
    let parameters =
        [("user", "ana"), ("database", "boathouse"), ("options", "-c statement_timeout=5s"), ("application_name", "t")];
    let mut ana = Client::connect_with(server.address, &parameters, "pw").await.unwrap();
    assert_eq!(ana.parameters["TimeZone"], "Europe/Rome");
    assert_eq!(ana.parameters["application_name"], "t");
    assert_eq!(ana.parameters["is_superuser"], "off");
    assert_eq!(ana.value("SHOW statement_timeout").await.as_deref(), Some("5s"));
    ana.simple("SET timezone = 'UTC'").await.unwrap();
    assert_eq!(ana.parameters["TimeZone"], "UTC", "changes are reported");

    let mut tool =
        Client::connect_with(server.address, &[("user", "ana"), ("database", "postgres")], "pw").await.unwrap();
    assert_eq!(tool.value("SELECT current_database()").await.as_deref(), Some("boathouse"), "there is one database");

    for (parameters, code) in [
        (vec![("user", "ana"), ("database", "other")], "3D000"),
        (vec![("user", "ana"), ("database", "boathouse"), ("nonsense", "1")], "42704"),
        (vec![("user", "ana"), ("database", "boathouse"), ("replication", "true")], "0A000"),
    ] {
        let error = Client::connect_with(server.address, &parameters, "pw").await.err().unwrap();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", code), "{parameters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_refused() {
    let server = Server::start_with(|config, _| config.wire.connections_max = 2).await;
    let _first = server.connect().await;
    let _second = server.connect().await;
    let error = Client::connect(server.address, "boathouse", PASSWORD).await;
    let error = match error {
        Err(error) => error,
        Ok(mut client) => client.simple("SELECT 1").await.unwrap_err(),
    };
    assert_eq!(error.code, "53300");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_has_a_limit_of_its_own() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE ROLE few LOGIN PASSWORD 'p' CONNECTION LIMIT 1").await.unwrap();
    let first = Client::connect(server.address, "few", "p").await.unwrap();
    let second = Client::connect(server.address, "few", "p").await;
    let error = match second {
        Err(error) => error,
        Ok(mut client) => client.simple("SELECT 1").await.unwrap_err(),
    };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("53300", "too many connections for role \"few\""));
    drop(first);
    admin.simple("ALTER ROLE few CONNECTION LIMIT -1").await.unwrap();
    assert!(Client::connect(server.address, "few", "p").await.is_ok());
}

/// A certificate for 127.0.0.1, signed by itself.
pub(crate) fn certificate(directory: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

/// psql's answer to one query.
async fn psql(connection: String) -> Result<String, String> {
    let run = move || {
        std::process::Command::new("psql").args(["-XAtc", "SELECT current_user", &connection]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_verifies_and_carries_argon2id_passwords() {
    let server = Server::start_with(|config, directory| {
        let (certificate, key) = certificate(directory);
        config.wire.tls_certificate = Some(certificate);
        config.wire.tls_key = Some(key);
    })
    .await;
    let mut admin = server.connect().await;
    admin.simple("SET password_encryption = 'argon2id'; CREATE ROLE deep LOGIN PASSWORD 'secret'").await.unwrap();
    let root = server.directory.path().join("server.crt");
    let dsn = |user: &str, password: &str, mode: &str| {
        let port = server.address.port();
        let root = root.display();
        format!(
            "host=localhost hostaddr=127.0.0.1 port={port} dbname=boathouse user={user} password='{password}' sslmode={mode} sslrootcert={root}"
        )
    };
    assert_eq!(psql(dsn("boathouse", PASSWORD, "verify-full")).await, Ok("boathouse".to_owned()));
    assert_eq!(
        psql(format!("{} channel_binding=require", dsn("boathouse", PASSWORD, "verify-full"))).await,
        Ok("boathouse".to_owned())
    );
    assert_eq!(psql(dsn("deep", "secret", "require")).await, Ok("deep".to_owned()));
    assert!(psql(dsn("deep", "wrong", "require")).await.unwrap_err().contains("password authentication failed"));
    // Its password would travel in clear.
    assert!(psql(dsn("deep", "secret", "disable")).await.unwrap_err().contains("password authentication failed"));
    assert_eq!(psql(dsn("boathouse", PASSWORD, "disable")).await, Ok("boathouse".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sent_in_clear_survives_into_tls() {
    let server = Server::start_with(|config, directory| {
        let (certificate, key) = certificate(directory);
        config.wire.tls_certificate = Some(certificate);
        config.wire.tls_key = Some(key);
    })
    .await;
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut packet = vec![0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    packet.extend_from_slice(b"Q\0\0\0\x0dSELECT 1\0");
    socket.write_all(&packet).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("received unencrypted data after SSL request"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_certificate_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken.crt");
    std::fs::write(&file, "not a certificate").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_boathouse"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path().join("data"))
        .env("BOATHOUSE_WIRE__TLS_CERTIFICATE", &file)
        .env("BOATHOUSE_WIRE__TLS_KEY", &file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.crt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_no_start_up_are_fatal() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    for packet in [&[0, 0, 0, 6, 0, 3][..], &[0, 0, 0, 3], &[0xff; 8], &[0, 0, 0, 8, 0, 9, 0, 0], b"GET / HTTP/1.1\r\n"]
    {
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        socket.write_all(packet).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with('E') && answer.contains("SFATAL"), "{packet:?} got {answer:?}");
    }
}
