//! Real clients. `tests/run` installs them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::postgres::Postgres;
use crate::support::{PASSWORD, Server};

/// Runs a script of `tests/clients/` with the server's connection string and some arguments.
async fn python(server: &Server, script: &str, arguments: &[&str]) {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let port = server.address.port();
    // A client that waits for ever fails.
    let mut command = Command::new("timeout");
    command
        .args(["600", &python])
        .arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg(format!("host=127.0.0.1 port={port} user=boathouse dbname=boathouse password='{PASSWORD}'"))
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg() {
    let server = Server::start().await;
    python(&server, "psycopg/check.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg() {
    let server = Server::start().await;
    python(&server, "asyncpg/check.py", &[]).await;
}

/// Runs a client's program, with the server in the environment as libpq has it.
async fn program(server: &Server, command: &[&str], more: &[(&str, &str)]) {
    let port = server.address.port().to_string();
    let mut run = Command::new("timeout");
    run.arg("600").args(command);
    run.envs([("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGUSER", "boathouse"), ("PGPASSWORD", PASSWORD)]);
    run.envs([("PGDATABASE", "boathouse"), ("PGSSLMODE", "disable")]);
    run.envs(more.iter().copied());
    let output = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&said));
}

fn installed(name: &str) -> String {
    std::env::var(name).expect("run tests/run")
}

/// Of `tests/clients/`, in Python.
async fn python_program(server: &Server, client: &str, more: &[(&str, &str)]) {
    let script = format!("{}/tests/clients/{client}/check.py", env!("CARGO_MANIFEST_DIR"));
    program(server, &[&installed("TEST_PYTHON"), &script], more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg2() {
    python_program(&Server::start().await, "psycopg2", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg8000() {
    python_program(&Server::start().await, "pg8000", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc() {
    python_program(&Server::start().await, "adbc", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pgcli() {
    python_program(&Server::start().await, "pgcli", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psqlodbc() {
    python_program(&Server::start().await, "odbc", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_fdw() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let port = postgres.address.port().to_string();
    let oracle = [
        ("ORACLE_HOST", "127.0.0.1"),
        ("ORACLE_PORT", port.as_str()),
        ("ORACLE_USER", "boathouse"),
        ("ORACLE_PASSWORD", PASSWORD),
        ("ORACLE_DATABASE", "boathouse"),
    ];
    python_program(&Server::start().await, "postgres_fdw", &oracle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dbt() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/dbt/check.py");
    program(&Server::start().await, &[&installed("TEST_DBT_PYTHON"), script], &[]).await;
}

/// The drivers node-postgres and `postgres`, and ORMs and query builders over them.
#[tokio::test(flavor = "multi_thread")]
async fn node() {
    let folder = installed("TEST_NODE_CLIENTS");
    for client in ["pg", "postgres", "drizzle", "typeorm", "knex", "sequelize"] {
        program(&Server::start().await, &["node", &format!("{folder}/{client}.mjs")], &[]).await;
    }
}

/// The drivers pgx and `lib/pq`, and the ORM GORM.
#[tokio::test(flavor = "multi_thread")]
async fn go() {
    let folder = installed("TEST_GO_CLIENTS");
    for client in ["pgx", "pq", "gorm"] {
        program(&Server::start().await, &[&format!("{folder}/{client}")], &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy() {
    let server = Server::start().await;
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake/hive");
    let lake = server.directory.path().join("lake");
    let copied = Command::new("cp").args(["-r", data]).arg(&lake).status().unwrap();
    assert!(copied.success());
    python(&server, "sqlalchemy/check.py", &[lake.to_str().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_with_alembic() {
    python(&Server::start().await, "alembic/check.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django() {
    python(&Server::start().await, "django/check.py", &[]).await;
}

/// `TPCH_SCALE=1` for the full size.
#[tokio::test(flavor = "multi_thread")]
async fn tpch_gives_duckdbs_answers_over_lake_and_warehouse() {
    let server = Server::start().await;
    let folder = server.directory.path().join("lake/tpch");
    std::fs::create_dir_all(&folder).unwrap();
    let scale = std::env::var("TPCH_SCALE").unwrap_or_else(|_unset| "0.1".to_owned());
    python(&server, "tpch/check.py", &[folder.to_str().unwrap(), &scale]).await;
}

/// psql as the superuser of a server on this machine.
fn psql_command(port: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["-X", "-h", "127.0.0.1", "-p", port, "-U", "boathouse", "-d", "boathouse"]);
    command.env("PGPASSWORD", PASSWORD);
    command
}

/// What psql 15's backslash commands show, compared with `catalog.out`. Its layout is psql's own, so another version is
/// not held to it.
#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_the_catalog() {
    let server = Server::start().await;
    let lake = server.directory.path().join("lake/hive");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/psql");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake/hive");
    assert!(Command::new("cp").args(["-r", data]).arg(&lake).status().unwrap().success());
    let location = format!("file://{}/", lake.display());
    let wanted = std::fs::read_to_string(format!("{folder}/catalog.out")).unwrap().replace("${LAKE}", &location);
    let (port, script) = (server.address.port().to_string(), format!("{folder}/catalog.sql"));
    let output = tokio::task::spawn_blocking(move || {
        let variable = format!("lake={location}");
        psql_command(&port).args(["-v", &variable, "-f", &script]).output().unwrap()
    })
    .await
    .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(err, "", "{out}");
    let version = Command::new("psql").arg("--version").output().unwrap();
    if String::from_utf8_lossy(&version.stdout).contains("(PostgreSQL) 15.") {
        assert_eq!(out, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql() {
    let server = Server::start().await;
    let port = server.address.port().to_string();
    let script =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/psql/session.sql")).unwrap();
    // The data of \copy … from pstdin comes from psql's standard input.
    let (script, data) = {
        let start = script.find("1,x").unwrap();
        let end = script.find("\\.\n").unwrap() + 3;
        (format!("{}{}", &script[..start], &script[end..]), script[start..end].to_owned())
    };
    let output = tokio::task::spawn_blocking(move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let mut child = psql_command(&port)
            .args(["-f", file.path().to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(data.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for part in [
        "connected to database \"boathouse\"",
        "COPY 2",
        "a | b \n---+---\n 1 | x\n 2 | \n(2 rows)",
        "count | 2",
        "one \n-----\n   1",
        "two \n-----\n   2",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}\n{err}");
    }
    assert!(err.contains("column \"nope\" does not exist\nLINE 1: SELECT nope FROM s;\n               ^"), "{err}");
}

/// The demo's tour shows what it promises, and psql runs the same file.
#[tokio::test(flavor = "multi_thread")]
async fn tour() {
    let wanted = [
        "****-****-****-",
        "hidden",
        "permission denied for table bookings",
        "SecureScan: bookings",
        "JetBlue Airways",
    ];

    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_boathouse"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(demo.stdout.take().unwrap()));
    let mut shown = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        shown.push_str(&line);
        shown.push('\n');
        if line.starts_with("listening on") {
            break;
        }
    }
    let stopped = Command::new("kill").arg(demo.id().to_string()).status().unwrap();
    assert!(stopped.success() && demo.wait().unwrap().success());
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0, "it removes what it made");
    for part in wanted {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert_eq!(shown.matches("ERROR:").count(), 1, "{shown}");

    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/example/data/");
    let server = Server::start_with(|config, _| config.lake.allow = vec![format!("file://{data}")]).await;
    let port = server.address.port().to_string();
    let output = tokio::task::spawn_blocking(move || {
        psql_command(&port)
            .args(["-v", &format!("lake=file://{data}")])
            .args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/sql/example/tour.sql")])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for part in wanted {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert_eq!(shown.matches("ERROR:").count(), 1, "{shown}");
}
