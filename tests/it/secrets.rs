//! Secrets at rest: the metadata tells none, whoever has no master key opens none, and keys can be changed.

use std::path::Path;
use std::process::Command;

use boathouse::app::App;
use boathouse::config::Config;
use boathouse::secret::MasterUrl;

use crate::crash::{connect, free_port, spawn_with};
use crate::support::kms::Kms;
use crate::support::postgres::Postgres;
use crate::support::{Client, MASTER_KEY, PASSWORD, Server, share_metadata};

/// What is in no file, in whatever state.
const CANARY: &str = "CNRYsecretkey";

/// For the password `pencil`.
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn files_with(directory: &Path, text: &str) -> String {
    let found = Command::new("grep").args(["-rlaF", text]).arg(directory).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}

fn forget_secrets(directory: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boathouse"));
    command.args(["forget-secrets", "--data-dir"]).arg(directory).env("BOATHOUSE_PASSWORD", "another");
    command.output().unwrap()
}

/// SQL over SQLite's metadata, by Python. Its last statement's rows, a line each.
fn sqlite(server: &Server, sql: &str) -> String {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  for s in sys.argv[2].split(';'):\n  rows = c.execute(s).fetchall()\nfor r in rows: print(*r)";
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python).args(["-c", script]).arg(metadata).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn new_key(directory: &Path, name: &str) -> MasterUrl {
    let path = directory.join(name);
    let made = Command::new("openssl").args(["rand", "-base64", "-out"]).arg(&path).arg("32").status().unwrap();
    assert!(made.success());
    MasterUrl::File(path)
}

/// Why a server does not start on the data of one that is stopped.
async fn refusal(server: &Server, change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    config.storage.data_dir = server.directory.path().join("data");
    config.wire.listen = "127.0.0.1:0".parse().unwrap();
    change(&mut config);
    format!("{:#}", App::start(&config, None).await.unwrap_err())
}

async fn with_secrets(admin: &mut Client) {
    let credential = format!("(scope 's3://b/', access_key_id 'k', secret_access_key '{CANARY}')");
    for sql in [
        "CREATE ROLE r LOGIN PASSWORD 'first'".to_owned(),
        "ALTER ROLE r PASSWORD 'second'".to_owned(),
        format!("CREATE STORAGE CREDENTIAL kept WITH {credential}"),
        format!("CREATE STORAGE CREDENTIAL gone WITH {credential}"),
        "DROP STORAGE CREDENTIAL gone".to_owned(),
    ] {
        admin.simple(&sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_a_server_tells_a_secret() {
    let mut server = Server::start().await;
    with_secrets(&mut server.connect().await).await;
    let data = server.directory.path().join("data");
    let ended = "SELECT count(*) FROM boathouse_object WHERE end_snapshot IS NOT NULL AND body LIKE '%$sealed$%'";
    for _ in 0..2 {
        for text in [CANARY, "SCRAM-SHA-256$", PASSWORD] {
            assert_eq!(files_with(&data, text), "", "{text}");
        }
        let live = "SELECT count(*) FROM boathouse_object WHERE body LIKE '%$sealed$1$%'";
        // Two roles, a credential, the database.
        assert_eq!(sqlite(&server, live), "4\n");
        assert_eq!(sqlite(&server, ended), "0\n", "what ended has no secrets");
        server.restart().await;
    }
    let nothing = forget_secrets(&data);
    assert!(!nothing.status.success(), "the server has the directory");
    Client::connect(server.address, "r", "second").await.unwrap();
    assert!(Client::connect(server.address, "r", "first").await.is_err());
    let mode = std::fs::metadata(data.join("master.key")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    server.stop().await;
    let nothing = String::from_utf8(forget_secrets(&data).stderr).unwrap();
    assert!(nothing.contains("no secret is lost"), "{nothing}");
    let elsewhere = String::from_utf8(forget_secrets(&data.join("none")).stderr).unwrap();
    assert!(elsewhere.contains("there is none in") && !data.join("none").exists(), "{elsewhere}");

    std::fs::rename(data.join("master.key"), server.directory.path().join("elsewhere")).unwrap();
    let without = refusal(&server, |_| ()).await;
    assert!(without.contains("master.key") && without.contains("No such file"), "{without}");
    assert!(!data.join("master.key").exists(), "another key would be of no use");
    let lost = server.directory.path().join("lost");
    assert!(Command::new("cp").arg("-r").args([&data, &lost]).status().unwrap().success());
    let forget = forget_secrets(&lost);
    assert!(forget.status.success(), "{}", String::from_utf8_lossy(&forget.stderr));
    let port = free_port();
    let process = spawn_with(&lost, port, &[]);
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    crate::support::answers(port).await;
    let mut admin = Client::connect(address, "boathouse", "another").await.unwrap();
    assert!(Client::connect(address, "r", "second").await.is_err());
    admin.simple("ALTER ROLE r PASSWORD 'third'; DROP STORAGE CREDENTIAL kept").await.unwrap();
    Client::connect(address, "r", "third").await.unwrap();
    drop((admin, process));
    // A verifier that somebody put there, or copied from another role, opens for nobody.
    let key = MasterUrl::File(server.directory.path().join("elsewhere"));
    sqlite(&server, "CREATE TABLE kept AS SELECT * FROM boathouse_object WHERE kind = 'role'");
    sqlite(
        &server,
        &format!(
            "UPDATE boathouse_object SET body = json_set(body, '$.password', '{VERIFIER}') WHERE kind = 'role' AND end_snapshot IS NULL AND body LIKE '%\"r\"%'"
        ),
    );
    let unsealed = refusal(&server, |config| config.secrets.key = Some(key.clone())).await;
    assert!(unsealed.contains("it is not sealed"), "{unsealed}");
    sqlite(
        &server,
        "DELETE FROM boathouse_object WHERE kind = 'role'; INSERT INTO boathouse_object SELECT * FROM kept",
    );
    let copy = "UPDATE boathouse_object SET body = json_set(body, '$.password',
                  (SELECT json_extract(body, '$.password') FROM boathouse_object
                    WHERE kind = 'role' AND json_extract(body, '$.name') = 'r' AND end_snapshot IS NULL))
                 WHERE kind = 'role' AND json_extract(body, '$.name') = 'boathouse' AND end_snapshot IS NULL";
    sqlite(&server, copy);
    let damaged = refusal(&server, |config| config.secrets.key = Some(key)).await;
    assert!(damaged.contains("a secret cannot be opened"), "{damaged}");
}

/// Metadata from before secrets were sealed.
#[tokio::test(flavor = "multi_thread")]
async fn old_metadata_is_sealed_at_the_next_start() {
    let mut server = Server::start().await;
    with_secrets(&mut server.connect().await).await;
    server.stop().await;
    let undo = format!(
        "UPDATE boathouse_object SET body = json_set(body, '$.password', '{VERIFIER}') WHERE kind = 'role' AND object_id < 1000000;
         UPDATE boathouse_object SET body = json_set(json_remove(body, '$.secrets'), '$.options.secret_access_key', '{CANARY}')
          WHERE kind = 'credential';
         UPDATE boathouse_object SET body = json_remove(body, '$.hash_key') WHERE kind = 'database';
         DELETE FROM boathouse_migration WHERE number = 3; DROP TABLE boathouse_key; VACUUM"
    );
    sqlite(&server, &undo);
    let data = server.directory.path().join("data");
    assert_ne!(files_with(&data, CANARY), "");
    server.restart().await;
    let mut r = Client::connect(server.address, "r", "pencil").await.unwrap();
    r.simple("SELECT 1").await.unwrap();
    for text in [CANARY, "SCRAM-SHA-256$"] {
        assert_eq!(files_with(&data, text), "", "{text}");
    }
    assert_eq!(sqlite(&server, "SELECT count(*) FROM boathouse_object WHERE body LIKE '%$sealed$1$%'"), "4\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_can_be_rotated_and_the_master_key_changed() {
    let mut server = Server::start().await;
    let mut admin = server.connect().await;
    with_secrets(&mut admin).await;
    let sealed = "SELECT substr(body, instr(body, '$sealed'), 60) FROM boathouse_object WHERE kind = 'credential' AND end_snapshot IS NULL";
    let before = sqlite(&server, sealed);
    // With the transaction, or not at all.
    admin.simple("BEGIN; CREATE ROLE other LOGIN PASSWORD 'o'; ALTER SYSTEM ROTATE KEYS; ROLLBACK").await.unwrap();
    admin.simple("BEGIN; SAVEPOINT s; ALTER SYSTEM ROTATE KEYS; ROLLBACK TO s; COMMIT").await.unwrap();
    assert_eq!(sqlite(&server, sealed), before);
    admin.simple("BEGIN; CREATE ROLE other LOGIN PASSWORD 'o'; ALTER SYSTEM ROTATE KEYS; COMMIT").await.unwrap();
    assert!(sqlite(&server, sealed).starts_with("$sealed$2$"));
    assert_eq!(sqlite(&server, "SELECT key_id FROM boathouse_key"), "2\n");
    assert_eq!(sqlite(&server, "SELECT count(*) FROM boathouse_object WHERE body LIKE '%$sealed$1$%'"), "0\n");
    let reply = admin.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap().pop().unwrap();
    assert_eq!(reply.tag, "ALTER SYSTEM");
    let notice = &reply.notices[0].message;
    assert!(notice.starts_with("secrets get data key 3, wrapped by master key \"sha256:"), "{notice}");
    let mut user = Client::connect(server.address, "r", "second").await.unwrap();
    let refused = user.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("42501", "permission denied to rotate keys"));

    // Another master key: beside the former one, until the data key is wrapped anew.
    let key = new_key(server.directory.path(), "new");
    let former = MasterUrl::File(server.directory.path().join("data/master.key"));
    server.stop().await;
    let alone = refusal(&server, |config| config.secrets.key = Some(key.clone())).await;
    assert!(alone.contains("that is not configured: sha256:"), "{alone}");
    server
        .restart_with(|config, _| {
            config.secrets.key = Some(key.clone());
            config.secrets.former_keys = vec![former.clone()];
        })
        .await;
    server.connect().await.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap();
    server.restart_with(|config, _| config.secrets.key = Some(key.clone())).await;
    for (user, password) in [("r", "second"), ("other", "o"), ("boathouse", PASSWORD)] {
        Client::connect(server.address, user, password).await.unwrap();
    }
    server.stop().await;
    let former_alone = refusal(&server, |config| config.secrets.key = Some(former)).await;
    assert!(former_alone.contains("that is not configured: sha256:"), "{former_alone}");
}

/// Servers that share their metadata: each follows when another rotates, and nothing is sealed with a key that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn servers_rotate_keys_while_others_make_secrets() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let url = format!("postgres://boathouse@{}/boathouse", postgres.address);
    let warehouse = tempfile::tempdir().unwrap();
    let start = || {
        Server::start_with(|config, directory| {
            share_metadata(config, directory, url.clone());
            config.storage.warehouse_url = Some(format!("file://{}/", warehouse.path().display()));
        })
    };
    let (first, second) = (start().await, start().await);
    let mut rotating = first.connect().await;
    let makers = [first.address, second.address].map(|address| {
        tokio::spawn(async move {
            let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
            for n in 0..15 {
                let role = format!("r{}_{n}", address.port());
                client.simple(&format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'")).await.unwrap();
            }
        })
    });
    let mut rotated = 0;
    for _ in 0..8 {
        rotated += i32::from(rotating.simple("ALTER SYSTEM ROTATE KEYS").await.is_ok());
    }
    assert!(rotated > 0);
    for maker in makers {
        maker.await.unwrap();
    }
    // With the newest key, of which the other server has not read anything yet.
    rotating.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap();
    second.connect().await.simple("CREATE ROLE late LOGIN PASSWORD 'late'").await.unwrap();
    let third = start().await;
    Client::connect(third.address, "late", "late").await.unwrap();
    for server in [&first, &second, &third] {
        for maker in [first.address, second.address] {
            for n in 0..15 {
                let role = format!("r{}_{n}", maker.port());
                let client = Client::connect(server.address, &role, &role).await;
                assert!(client.is_ok(), "{role}: {:?}", client.err());
            }
        }
    }
    // Without a key that all have.
    let mut config = Config::default();
    config.storage.metadata_url = Some(url);
    let faults = config.check().unwrap_err().to_string();
    assert!(faults.contains("secrets.key"), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_kms_may_have_the_master_key() {
    let kms = Kms::start().await;
    let arn = kms.call("r = k.create_key()['KeyMetadata']['Arn']; k.create_alias(AliasName='alias/b', TargetKeyId=r)");
    let other = kms.call("r = k.create_key()['KeyMetadata']['Arn']");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let start = async |keys: &[(&str, String)]| {
        let port = free_port();
        let environment: Vec<_> = kms.environment().into_iter().chain(keys.iter().cloned()).collect();
        let server = spawn_with(&data, port, &environment);
        (connect(port).await, server)
    };
    let by_alias = [("BOATHOUSE_SECRETS__KEY", "aws-kms:alias/b".to_owned())];
    let (mut admin, server) = start(&by_alias).await;
    admin.simple("CREATE ROLE r LOGIN PASSWORD 'second'").await.unwrap();
    let reply = admin.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap().pop().unwrap();
    assert!(reply.notices[0].message.ends_with(&format!("wrapped by master key \"{arn}\"")), "{reply:?}");
    drop((admin, server));
    let (_, server) = start(&by_alias).await;
    drop(server);
    // From one key of AWS to another, then to a file.
    let next = [
        ("BOATHOUSE_SECRETS__KEY", format!("aws-kms:{other}")),
        ("BOATHOUSE_SECRETS__FORMER_KEYS", "[\"aws-kms:alias/b\"]".to_owned()),
    ];
    let (mut admin, server) = start(&next).await;
    admin.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap();
    drop((admin, server));
    let file = directory.path().join("key");
    std::fs::write(&file, MASTER_KEY).unwrap();
    let last = [
        ("BOATHOUSE_SECRETS__KEY", format!("file:{}", file.display())),
        ("BOATHOUSE_SECRETS__FORMER_KEYS", format!("[\"aws-kms:{other}\"]")),
    ];
    let (mut admin, server) = start(&last).await;
    admin.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap();
    drop((admin, server));
    // A key that is not there: nothing changes.
    let gone = [
        ("BOATHOUSE_SECRETS__KEY", "aws-kms:alias/gone".to_owned()),
        ("BOATHOUSE_SECRETS__FORMER_KEYS", format!("[\"file:{}\"]", file.display())),
    ];
    let (mut admin, server) = start(&gone).await;
    let refused = admin.simple("ALTER SYSTEM ROTATE KEYS").await.unwrap_err();
    assert_eq!(refused.code, "58030", "{refused}");
    assert_eq!(refused.message, "a master key is not available");
    let detail = refused.detail.unwrap();
    assert!(detail.starts_with("aws-kms:alias/gone: ") && detail.contains("NotFound"), "{detail}");
    admin.simple("SELECT 1").await.unwrap();
    drop((admin, server));
    start(&last[..1]).await;
}
