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

/// Few rows are kept in the metadata database: values of all types read the same from there, after a restart, from a file,
/// and by DuckDB at each of these moments.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_files_are_rows_like_others() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            "CREATE TABLE t (id int PRIMARY KEY, b bool, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric(12,3), s text,
                             v varchar(9), c char(4), d date, tm time, ts timestamp, tz timestamptz, u uuid, j json,
                             jb jsonb, \"we ird\"\"q\" int)",
        )
        .await
        .unwrap();
    let rows = [
        "(1, true, -32768, 9223372036854775807, 1.5, 2.25, 123456.789, 'it''s ü \\ \"q\"', 'varchar', 'ab', '2024-02-29',
          '23:59:59.999999', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.678+02',
          '007d90e0-c4fc-44da-8475-47a4b3003f01', '{\"a\":  1}', '{\"b\": [1, null]}', 7)",
        "(2, false, 0, -1, 'NaN', '-Infinity', -0.001, '', '', '', '0001-01-01', '00:00', 'infinity', '-infinity', NULL,
          'null', '[]', NULL)",
        "(3)",
    ];
    for row in rows {
        client.simple(&format!("INSERT INTO t VALUES {row}")).await.unwrap();
    }
    let files = |server: &Server| {
        let folder = server.directory.path().join("data/warehouse");
        let found = Command::new("find").arg(folder).args(["-name", "*.parquet"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().count()
    };
    let all = "SELECT * FROM t ORDER BY id";
    let here = client.simple(all).await.unwrap().pop().unwrap().rows;
    assert_eq!((here.len(), files(&server)), (3, 0));
    server.restart().await;
    client = server.connect().await;
    assert_eq!(client.simple(all).await.unwrap().pop().unwrap().rows, here);
    client.simple("UPDATE t SET s = s || '!' WHERE id = 1; DELETE FROM t WHERE id = 3").await.unwrap();
    client.simple("ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN w text DEFAULT 'new'").await.unwrap();
    client.simple("INSERT INTO t (id) VALUES (4)").await.unwrap();
    let now = client.simple(all).await.unwrap().pop().unwrap().rows;
    server.restart().await;
    client = server.connect().await;
    assert_eq!(client.simple(all).await.unwrap().pop().unwrap().rows, now);
    assert_eq!(files(&server), 0);
    client.simple("VACUUM FULL t").await.unwrap();
    assert_eq!(files(&server), 1);
    assert_eq!(client.simple(all).await.unwrap().pop().unwrap().rows, now);
    let last = client.value("SELECT count(*) FROM t WHERE w = 'new'").await;
    assert_eq!(last.as_deref(), Some("3"));
    server.stop().await;

    let metadata = server.directory.path().join("data/metadata.sqlite");
    // Snapshot 1 made the table, 2 to 4 are the first rows.
    let queries = [
        "SELECT id, b, i2, i8, f4, f8, n, s, v, c, d, tm, ts, tz, u, j, jb, \"we ird\"\"q\" FROM l.public.t AT (VERSION => 4) WHERE id = 1",
        "SELECT count(*), count(b), min(f4), max(f8), min(n), count(u), count(ts) FROM l.public.t AT (VERSION => 4)",
        "SELECT count(*), max(id) FROM l.public.t AT (VERSION => 3)",
        "SELECT id, s, w, isnan(f4), f8, ts FROM l.public.t ORDER BY id",
        "SELECT count(*) FROM l.public.t WHERE f4 = 'nan'",
    ];
    let output = Command::new(python).args(["-c", READ, metadata.to_str().unwrap()]).args(queries).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let wanted = [
        "1|True|-32768|9223372036854775807|1.5|2.25|123456.789|it's ü \\ \"q\"|varchar|ab|2024-02-29|23:59:59.999999|2024-01-02 03:04:05.678000|2024-01-02 01:04:05.678000+00:00|007d90e0-c4fc-44da-8475-47a4b3003f01|{\"a\":  1}|{\"b\": [1, null]}|7",
        "3|2|1.5|2.25|-0.001|1|2",
        "2|2",
        "1|it's ü \\ \"q\"!|new|False|2.25|2024-01-02 03:04:05.678000",
    ];
    assert_eq!(&lines[..4], &wanted);
    assert_eq!(lines[4..].join(" / "), "2||new|True|-inf|9999-12-31 23:59:59.999999 / 4|NULL|new|NULL|NULL|NULL / 1");
}

/// Types without a home in DuckLake are text there; a domain's values are those of its base type.
#[tokio::test(flavor = "multi_thread")]
async fn types_of_users_are_read_by_others() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN d AS numeric(6,2) CHECK (VALUE > 0);
             CREATE TABLE t (id int, m mood, ms mood[], z timetz, n numeric, d d, iv interval[]);
             INSERT INTO t SELECT g, 'happy', '{sad,NULL}', '12:00+02', 1.50, 2.5, '{1 day,01:00}' FROM generate_series(1, 2000) g;
             INSERT INTO t VALUES (2001, 'sad', NULL, '10:00:00.5-03:30', 7, NULL, NULL)",
        )
        .await
        .unwrap();
    client.simple("ALTER TYPE mood ADD VALUE 'fine' BEFORE 'happy'").await.unwrap();
    client.simple("INSERT INTO t (id, m) VALUES (2002, 'fine')").await.unwrap();
    let own =
        "SELECT string_agg(concat_ws(' ', id, m, ms, z, n, d, iv), ';' ORDER BY m, id DESC) FROM t WHERE id > 1999";
    let wanted =
        "2001 sad 10:00:00.5-03:30 7;2002 fine;2000 happy {sad,NULL} 12:00:00+02 1.5 2.50 {\"1 day\",01:00:00}";
    assert_eq!(client.value(own).await.as_deref(), Some(wanted));
    server.restart().await;
    let mut client = server.connect().await;
    assert_eq!(client.value(own).await.as_deref(), Some(wanted));
    client.simple("VACUUM FULL t").await.unwrap();
    assert_eq!(client.value(own).await.as_deref(), Some(wanted));
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python)
        .args(["-c", READ, metadata.to_str().unwrap()])
        .args([
            "SELECT id, m, ms, z, n, d, iv FROM l.public.t WHERE id > 1999 ORDER BY id",
            "SELECT count(*) FROM l.public.t WHERE m = 'happy'",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = "2000|happy|['sad', None]|12:00:00+02|1.5000000000|2.50|['0 mons 1 days 0.000000 secs', '0 mons 0 days 3600.000000 secs']
2001|sad|NULL|10:00:00.5-03:30|7.0000000000|NULL|NULL
2002|fine|NULL|NULL|NULL|NULL|NULL
2000
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
}

/// Rows that are values are STRUCTs, at any depth.
#[tokio::test(flavor = "multi_thread")]
async fn composite_values_are_structs_to_others() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE point AS (x int, y float8, m mood);
             CREATE TYPE path AS (name text, points point[], middle point);
             CREATE TABLE t (id int, p point, q path, ps path[], g int[][] DEFAULT '{{1,2},{3,NULL}}');
             INSERT INTO t SELECT g, ROW(g, g / 2.0, 'sad'), ROW('p' || g, ARRAY[ROW(1, 2, 'happy')::point], NULL), NULL
             FROM generate_series(1, 2000) g;
             INSERT INTO t VALUES (2001, NULL, '(a,\"{\"\"(1,2,sad)\"\",NULL}\",\"(3,,)\")', '{\"(b,,)\",NULL}');
             UPDATE t SET p.y = 7, q.middle = ROW(9, 9, 'happy') WHERE id = 2000",
        )
        .await
        .unwrap();
    let own = "SELECT string_agg(concat_ws(' ', id, p, q, ps), ';' ORDER BY id) FROM t WHERE id > 1998";
    let wanted = "1999 (1999,999.5,sad) (p1999,\"{\"\"(1,2,happy)\"\"}\",);2000 (2000,7,sad) \
                  (p2000,\"{\"\"(1,2,happy)\"\"}\",\"(9,9,happy)\");2001 \
                  (a,\"{\"\"(1,2,sad)\"\",NULL}\",\"(3,,)\") {\"(b,,)\",NULL}";
    let before = client.value("SELECT max(snapshot_id) FROM snapshots()").await.unwrap();
    assert_eq!(client.value(own).await.as_deref(), Some(wanted));
    server.restart().await;
    let mut client = server.connect().await;
    assert_eq!(client.value(own).await.as_deref(), Some(wanted));
    client.simple("VACUUM FULL t; UPDATE t SET p = NULL WHERE id = 1999").await.unwrap();
    let past = own.replace("FROM t", &format!("FROM t AT (VERSION => {before})"));
    assert_eq!(client.value(&past).await.as_deref(), Some(wanted));
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python)
        .args(["-c", READ, metadata.to_str().unwrap()])
        .args([
            "SELECT id, p, q, ps FROM l.public.t WHERE id > 1998 ORDER BY id",
            "SELECT sum(p.x), count(*) FILTER (p.m = 'sad'), max(q.points[1].y) FROM l.public.t",
            "SELECT typeof(q) FROM l.public.t LIMIT 1",
            "SELECT DISTINCT g, typeof(g), g[2][1] FROM l.public.t",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = "1999|NULL|{'name': 'p1999', 'points': [{'x': 1, 'y': 2.0, 'm': 'happy'}], 'middle': None}|NULL
2000|{'x': 2000, 'y': 7.0, 'm': 'sad'}|{'name': 'p2000', 'points': [{'x': 1, 'y': 2.0, 'm': 'happy'}], 'middle': {'x': 9, 'y': 9.0, 'm': 'happy'}}|NULL
2001|NULL|{'name': 'a', 'points': [{'x': 1, 'y': 2.0, 'm': 'sad'}, None], 'middle': {'x': 3, 'y': None, 'm': None}}|[{'name': 'b', 'points': None, 'middle': None}, None]
1999001|1999|2.0
STRUCT(\"name\" VARCHAR, points STRUCT(x INTEGER, y DOUBLE, m VARCHAR)[], middle STRUCT(x INTEGER, y DOUBLE, m VARCHAR))
[[1, 2], [3, None]]|INTEGER[][]|3
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
}

/// A few rows are in no file, whatever is in them, and are the same to us, to DuckDB, after a restart and in files.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_all_types_are_inlined() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple(
            r#"CREATE TYPE mood AS ENUM ('so so', 'it''s \ fine', 'null'); CREATE TYPE part AS ("a: b" text, ns numeric[], b bytea);
             CREATE TABLE t (id int, b bytea, iv interval, z timetz, ts text[], m mood[], g int[][], p part, ps part[],
                             x timestamptz[], f float8[], u uuid[], bo bool[], c char(3)[], bs bytea[], ivs interval[]);
             INSERT INTO t VALUES (1, '\x00ff5c27', '1 year -3 days 04:05:06.000007', '10:11:12+02',
               ARRAY['', 'null', NULL, 'a, b', '[x]', '{y: z}', 'q''q"q', 'b\c', E'l\nm', ' s ', 'ü'],
               ARRAY['so so', 'it''s \ fine', 'null', NULL]::mood[], '{{1,2},{NULL,4}}',
               ROW('it''s, {x}: [y]', ARRAY[1.5, NULL, -2], '\x2700')::part, ARRAY[ROW(NULL, NULL, NULL)::part, NULL, ROW('', '{}', '')::part],
               ARRAY['2024-01-02 03:04:05.678+00'::timestamptz, 'infinity'], ARRAY['NaN'::float8, '-Infinity', '1e-300', -0.1],
               ARRAY['007d90e0-c4fc-44da-8475-47a4b3003f01'::uuid], '{t,f,NULL}',
               ARRAY['ab ', 'c'], ARRAY['\x'::bytea, '\x6127ff'], ARRAY['-1 month 00:00:01'::interval]);
             INSERT INTO t (id, ts, ps) VALUES (2, '{}', '{}'), (3, NULL, NULL)"#,
        )
        .await
        .unwrap();
    assert_eq!(client.value("SELECT count(*) FROM t WHERE p.\"a: b\" LIKE '%[y]'").await.as_deref(), Some("1"));
    let all = "SELECT string_agg(t::text, '|' ORDER BY id) FROM t";
    let wanted = client.value(all).await.unwrap();
    let files = "SELECT count(*) FROM pg_stat_user_tables WHERE relname = 't' AND n_ins_since_vacuum = 3";
    assert_eq!(client.value(files).await.as_deref(), Some("1"), "the rows are in a file");
    server.restart().await;
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let read = || {
        let output = Command::new(&python)
            .args(["-c", READ, metadata.to_str().unwrap()])
            .arg("SELECT * FROM l.public.t ORDER BY id")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let inlined = read();
    let mut client = server.connect().await;
    assert_eq!(client.value(all).await.as_ref(), Some(&wanted));
    client.simple("VACUUM FULL t").await.unwrap();
    assert_eq!(client.value(all).await.as_ref(), Some(&wanted));
    assert_eq!(read(), inlined);
    client.simple("DELETE FROM t WHERE id = 3; INSERT INTO t (id, bs) VALUES (4, '{}'); UPDATE t SET b = b || '\\x01' WHERE id = 1").await.unwrap();
    let wanted = client.value(all).await.unwrap();
    server.restart().await;
    assert_eq!(server.connect().await.value(all).await.as_ref(), Some(&wanted));
}

/// The files of a table that is in another schema now are where they were, also after a restart, which sweeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_may_move_to_another_schema() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client
        .simple("CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t AS SELECT g AS x FROM generate_series(1, 5000) g")
        .await
        .unwrap();
    client.simple("DELETE FROM a.t WHERE x > 4990").await.unwrap();
    client.simple("ALTER TABLE a.t SET SCHEMA b").await.unwrap();
    client.simple("INSERT INTO b.t SELECT g FROM generate_series(1, 2000) g").await.unwrap();
    client.simple("DROP SCHEMA a").await.unwrap();
    server.restart().await;
    let mut client = server.connect().await;
    assert_eq!(client.value("SELECT count(*) FROM b.t").await.as_deref(), Some("6990"));
    client.simple("INSERT INTO b.t VALUES (1)").await.unwrap();
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python)
        .args(["-c", READ, metadata.to_str().unwrap()])
        .args(["SELECT count(*) FROM l.b.t", "SELECT count(*) FROM l.a.t AT (VERSION => 2)"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "6991\n4990\n");
}

/// Whatever a table is partitioned by, DuckDB finds the rows in the files that it chooses by partition.
#[tokio::test(flavor = "multi_thread")]
async fn duckdb_chooses_files_by_partition() {
    let python = std::env::var("TEST_PYTHON").expect("run tests/run");
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.simple("SET TimeZone = 'UTC'").await.unwrap();
    client
        .simple(
            "CREATE TABLE source (id bigint, i int, n numeric(10,2), s text, d date, ts timestamp, tz timestamptz, u uuid, b bool,
                                  tm time)",
        )
        .await
        .unwrap();
    client
        .simple(
            "INSERT INTO source SELECT g, g % 7, (g % 5) * 1.25, 's/=%' || g % 6, date '1969-12-25' + g, timestamp '1969-12-31 20:00' + (g || ' hours')::interval,
                    timestamptz '2024-02-28 20:00+00' + (g || ' hours')::interval,
                    ('007d90e0-c4fc-44da-8475-47a4b3003f0' || g % 3)::uuid, g % 2 = 0, time '01:02:03.5'
               FROM generate_series(1, 60) AS g",
        )
        .await
        .unwrap();
    client.simple("INSERT INTO source (id) VALUES (0); INSERT INTO source (d) VALUES ('0044-03-15 BC')").await.unwrap();
    let keys = [
        "i",
        "n",
        "s",
        "d",
        "ts",
        "tz",
        "u",
        "b",
        "tm",
        "year(d)",
        "month(ts)",
        "day(tz)",
        "hour(ts)",
        "hour(tz)",
        "bucket(4, id)",
        "bucket(4, i)",
        "bucket(4, n)",
        "bucket(4, s)",
        "bucket(4, d)",
        "bucket(4, ts)",
        "bucket(4, tz)",
        "bucket(4, tm)",
        "year(ts), month(ts), bucket(2, s)",
    ];
    let conditions = [
        "id = 7",
        "i = 3",
        "n = 2.50",
        "s = 's/=%2'",
        "d = DATE '1970-01-03'",
        "d = DATE '1969-12-26'",
        "ts = TIMESTAMP '1969-12-31 23:00:00'",
        "tz = TIMESTAMPTZ '2024-02-29 02:00:00+00'",
        "u = UUID '007d90e0-c4fc-44da-8475-47a4b3003f01'",
        "b",
        "NOT b",
        "tm = TIME '01:02:03.5'",
        "ts < TIMESTAMP '1970-01-01'",
        "tz >= TIMESTAMPTZ '2024-03-01 00:00:00+00'",
        "s IS NULL",
        "extract(year FROM d) = 1969",
        "s IN ('s/=%1', 's/=%4')",
    ];
    let (mut queries, mut wanted) = (Vec::new(), Vec::new());
    for (number, key) in keys.iter().enumerate() {
        client
            .simple(&format!(
                "CREATE TABLE p{number} PARTITIONED BY ({key}) SORTED BY (id DESC) AS SELECT * FROM source"
            ))
            .await
            .unwrap_or_else(|error| panic!("{key}: {error}"));
        client.simple(&format!("VACUUM FULL p{number}")).await.unwrap();
        let found = "SELECT count(*), coalesce(sum(id), 0) FROM TABLE WHERE ";
        for condition in conditions {
            let query = format!("{found}{condition}");
            let plain = client.simple(&query.replace("TABLE", "source")).await.unwrap().pop().unwrap().rows;
            let own = client.simple(&query.replace("TABLE", &format!("p{number}"))).await.unwrap().pop().unwrap().rows;
            assert_eq!(own, plain, "{key}: {condition}");
            let values = own.concat().into_iter().flatten().collect::<Vec<_>>();
            wanted.push(format!("{key}, {condition}: {}", values.join("|")));
            queries.push(query.replace("TABLE", &format!("l.public.p{number}")));
        }
    }
    server.stop().await;
    let metadata = server.directory.path().join("data/metadata.sqlite");
    let output = Command::new(python).args(["-c", READ, metadata.to_str().unwrap()]).args(queries).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let cases = keys.iter().flat_map(|key| conditions.iter().map(move |condition| format!("{key}, {condition}: ")));
    let read: Vec<String> = cases.zip(lines.lines()).map(|(case, line)| format!("{case}{line}")).collect();
    assert_eq!(read, wanted);
}
