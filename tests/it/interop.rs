//! DuckDB reads what we write. Needs a Python with `duckdb` and its ducklake extension: `tests/run` makes one and names it
//! in `TEST_PYTHON`.

use std::process::Command;

use crate::support::Server;

pub(crate) const READ: &str = r#"
import duckdb, glob, os, sys
site = os.path.dirname(os.path.dirname(duckdb.__file__))
c = duckdb.connect(config={'allow_unsigned_extensions': 'true'})
for name in ('sqlite_scanner', 'ducklake'):
    c.execute("LOAD '%s'" % glob.glob(f'{site}/duckdb_extension_{name}/extensions/*/{name}.duckdb_extension')[0])
c.execute("ATTACH 'ducklake:sqlite:%s' AS l (READ_ONLY)" % sys.argv[1])
c.execute("SET TimeZone = 'UTC'")
for sql in sys.argv[2:]:
    for row in c.execute(sql).fetchall():
        print('|'.join('NULL' if v is None else str(v) for v in row))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_attaches_the_catalog() {
    let Ok(python) = std::env::var("TEST_PYTHON") else {
        panic!("TEST_PYTHON is not set: run tests/run");
    };
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            "CREATE TABLE t (id bigint NOT NULL, n numeric(10,2), s text, d date, ts timestamptz, u uuid, f float8, a int[], j jsonb, iv interval);
             INSERT INTO t SELECT g, 1.5, 'x', '2024-01-02', '2024-01-02 03:04:05.678+00', '007d90e0-c4fc-44da-8475-47a4b3003f01',
                                  1.5, '{1,2}', '{\"a\": 1}', '1 day' FROM generate_series(1, 1000) AS s(g);
             INSERT INTO t (id, f) VALUES (1001, 'NaN');
             CREATE SCHEMA other; CREATE TABLE other.e (a int); INSERT INTO other.e VALUES (1); TRUNCATE other.e",
        )
        .await
        .unwrap();
    client.simple("INSERT INTO t (id, f) VALUES (1002, 2.5), (1003, NULL)").await.unwrap();
    server.stop().await;
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python)
        .args(["-c", READ, metadata.to_str().unwrap()])
        .args([
            "SELECT count(*), sum(id), sum(n), min(d), min(ts), max(u) FROM l.public.t",
            "SELECT count(*) FROM l.public.t WHERE f = 'NaN'",
            "SELECT a, j, iv, s FROM l.public.t WHERE id = 5",
            "SELECT count(*) FROM l.other.e",
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index",
            "SELECT count(*) FROM l.snapshots()",
            "SELECT count(*), sum(id) FROM l.public.t WHERE f IS NULL",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        "1003|503506|1500.00|2024-01-02|2024-01-02 03:04:05.678000+00:00|007d90e0-c4fc-44da-8475-47a4b3003f01"
    );
    assert_eq!(lines[1], "1");
    assert_eq!(lines[2], "[1, 2]|{\"a\": 1}|0 mons 1 days 0.000000 secs|x");
    assert_eq!(lines[3], "0");
    let types: Vec<&str> = lines[4..14].iter().map(|line| line.split('|').nth(1).unwrap()).collect();
    let wanted = [
        "BIGINT",
        "DECIMAL(10,2)",
        "VARCHAR",
        "DATE",
        "TIMESTAMP WITH TIME ZONE",
        "UUID",
        "DOUBLE",
        "INTEGER[]",
        "JSON",
        "VARCHAR",
    ];
    assert_eq!(types, wanted);
    assert_eq!(lines[14], "3");
    assert_eq!(lines[15], "1|1003");
}
