//! Who gets in.

use crate::support::{Client, PASSWORD, Server};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_unknown_user_and_nologin_look_the_same() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE ROLE nologin PASSWORD 'x'; CREATE ROLE expired LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'").await.unwrap();
    for (user, password) in [("boathouse", "wrong"), ("nobody", "x"), ("nologin", "x"), ("expired", "x")] {
        let error = Client::connect(server.address, user, password).await.err().unwrap();
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "28P01"), "{user}");
        assert_eq!(error.message, format!("password authentication failed for user \"{user}\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_log_in_and_settings_apply() {
    let server = Server::start().await;
    let mut admin = server.connect().await;
    admin.simple("CREATE ROLE ana LOGIN PASSWORD 'pw'; ALTER ROLE ana SET timezone = 'Europe/Rome'").await.unwrap();
    let parameters = [("user", "ana"), ("database", "boathouse"), ("options", "-c statement_timeout=5s"), ("application_name", "t")];
    let mut ana = Client::connect_with(server.address, &parameters, "pw").await.unwrap();
    assert_eq!(ana.parameters["TimeZone"], "Europe/Rome");
    assert_eq!(ana.parameters["application_name"], "t");
    assert_eq!(ana.parameters["is_superuser"], "off");
    assert_eq!(ana.value("SHOW statement_timeout").await.as_deref(), Some("5s"));
    ana.simple("SET timezone = 'UTC'").await.unwrap();
    assert_eq!(ana.parameters["TimeZone"], "UTC", "changes are reported");

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
