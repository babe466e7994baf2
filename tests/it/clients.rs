//! Real clients. `tests/run` installs them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::postgres::Postgres;
use crate::support::{PASSWORD, Server};

/// A client has passed: `tests/clients/matrix.py` makes a table of all of them.
fn passed(client: &str) {
    if let Some(folder) = std::env::var_os("TEST_MATRIX") {
        std::fs::write(std::path::Path::new(&folder).join(client), "").unwrap();
    }
}

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
    passed(script.split('/').next().unwrap());
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
    passed(client);
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

/// In Python, with a real PostgreSQL beside the server.
async fn program_with_postgres(client: &str) {
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
    python_program(&Server::start().await, client, &oracle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_fdw() {
    program_with_postgres("postgres_fdw").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_dump() {
    program_with_postgres("pg_dump").await;
}

/// What `docker/` says, without containers.
#[test]
fn docker() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker/check.py");
    let server = env!("CARGO_BIN_EXE_boathouse");
    let run = Command::new("timeout").args(["600", &installed("TEST_PYTHON"), script, server]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn dbt() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/dbt/check.py");
    program(&Server::start().await, &[&installed("TEST_DBT_PYTHON"), script], &[]).await;
    passed("dbt");
}

/// Superset in Chromium; its screenshots are left in `superset/` of cargo's folder for tests.
#[tokio::test(flavor = "multi_thread")]
async fn superset() {
    let server = Server::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/superset/check.py");
    let lake = server.directory.path().join("lake");
    let screenshots = concat!(env!("CARGO_TARGET_TMPDIR"), "/superset");
    let more = [("LAKE", lake.to_str().unwrap()), ("ARTIFACTS", screenshots)];
    program(&server, &[&installed("TEST_SUPERSET_PYTHON"), script], &more).await;
    passed("superset");
}

/// The drivers node-postgres and `postgres`, and ORMs and query builders over them.
#[tokio::test(flavor = "multi_thread")]
async fn node() {
    let folder = installed("TEST_NODE_CLIENTS");
    for client in ["pg", "postgres", "drizzle", "typeorm", "knex", "sequelize", "prisma"] {
        program(&Server::start().await, &["node", &format!("{folder}/{client}.mjs")], &[]).await;
        passed(client);
    }
}

/// The drivers tokio-postgres and `SQLx`.
#[tokio::test(flavor = "multi_thread")]
async fn rust() {
    let folder = installed("TEST_RUST_CLIENTS");
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/rust/migrations");
    for client in ["tokio_postgres", "sqlx"] {
        program(&Server::start().await, &[&format!("{folder}/{client}"), migrations], &[]).await;
        passed(client);
    }
}

/// The drivers pgx and `lib/pq`, and the ORM GORM.
#[tokio::test(flavor = "multi_thread")]
async fn go() {
    let folder = installed("TEST_GO_CLIENTS");
    for client in ["pgx", "pq", "gorm"] {
        program(&Server::start().await, &[&format!("{folder}/{client}")], &[]).await;
        passed(client);
    }
}

/// The driver pgjdbc, the pool `HikariCP` and the ORM Hibernate.
#[tokio::test(flavor = "multi_thread")]
async fn java() {
    let folder = installed("TEST_JAVA_CLIENTS");
    let path = format!("{folder}/classes:{folder}/lib/*");
    for (client, class) in [("jdbc", "Jdbc"), ("hikari", "Pool"), ("hibernate", "Orm")] {
        program(&Server::start().await, &["java", "-cp", &path, class], &[]).await;
        passed(client);
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
fn psql_command(program: &str, port: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-X", "-h", "127.0.0.1", "-p", port, "-U", "boathouse", "-d", "boathouse"]);
    command.env("PGPASSWORD", PASSWORD);
    command
}

/// What psql's backslash commands show, compared with what its version showed before.
async fn psql_shows(program: &str, wanted: &str) {
    let server = Server::start().await;
    let lake = server.directory.path().join("lake/hive");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/psql");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake/hive");
    assert!(Command::new("cp").args(["-r", data]).arg(&lake).status().unwrap().success());
    let location = format!("file://{}/", lake.display());
    let wanted = format!("{folder}/{wanted}");
    let (port, script) = (server.address.port().to_string(), format!("{folder}/catalog.sql"));
    let mut command = psql_command(program, &port);
    command.args(["-v", &format!("lake={location}"), "-f", &script]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(err, "", "{out}");
    let out = out.replace(&location, "${LAKE}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&wanted, &out).unwrap();
    }
    assert_eq!(out, std::fs::read_to_string(&wanted).unwrap());
}

/// Its layout is psql's own, so another version is not held to it.
#[tokio::test(flavor = "multi_thread")]
async fn psql_15_shows_the_catalog() {
    let version = Command::new("psql").arg("--version").output().unwrap();
    if String::from_utf8_lossy(&version.stdout).contains("(PostgreSQL) 15.") {
        psql_shows("psql", "catalog.out").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_18_shows_the_catalog() {
    psql_shows(&format!("{}/bin/psql", installed("TEST_POSTGRES")), "catalog18.out").await;
    passed("psql 18");
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
        let mut child = psql_command("psql", &port)
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
    passed("psql");
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
        psql_command("psql", &port)
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
