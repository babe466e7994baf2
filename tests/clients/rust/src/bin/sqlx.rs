//! SQLx: pool, every type both ways, derived types and rows, streams, describe, nested transactions, migrations, COPY, listeners, error kinds, advisory locks, large batches.
use bigdecimal::BigDecimal;
use check::{all, chain, done, fail, part, same, works};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeZone, Utc};
use futures_util::{TryStreamExt, future::join_all};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::error::ErrorKind;
use sqlx::migrate::{MigrateDatabase, MigrateError, Migrator};
use sqlx::postgres::types::{Oid, PgInterval, PgMoney, PgPoint, PgRange, PgTimeTz};
use sqlx::postgres::{PgAdvisoryLock, PgBindIterExt, PgConnectOptions, PgDatabaseError, PgErrorPosition, PgHasArrayType, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions, PgRow, PgTypeKind};
use sqlx::types::Json;
use sqlx::types::ipnetwork::IpNetwork;
use sqlx::{AssertSqlSafe, Column, ColumnOrigin, ConnectOptions, Connection, Either, Error, Executor, FromRow, Postgres, QueryBuilder, Row, Statement, TypeInfo, query, query_as, query_scalar, raw_sql};
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

type Done = Result<(), Error>;

fn options() -> PgConnectOptions {
    PgConnectOptions::new().application_name("check").options([("TimeZone", "UTC"), ("search_path", "sqlx_check"), ("statement_timeout", "60000")])
}

/// No error, and this value; its type is that which is asked for.
fn gives<T: Debug + PartialEq, E: std::error::Error + 'static>(statement: &str, got: Result<T, E>, wanted: T) {
    check::gives(statement, got, wanted);
}

/// The error is the server's, with this SQLSTATE.
fn state<T>(statement: &str, got: Result<T, Error>, wanted: &str) -> Option<Box<PgDatabaseError>> {
    match got {
        Ok(_) => fail(statement, format_args!("no error, wanted {wanted}")),
        Err(Error::Database(told)) if told.code().as_deref() == Some(wanted) => return Some(told.downcast::<PgDatabaseError>()),
        Err(error) => fail(statement, format_args!("{} {}, wanted {wanted}", error.as_database_error().and_then(|told| told.code()).unwrap_or_default(), chain(&error))),
    }
    None
}

trait Kind: for<'a> sqlx::Encode<'a, Postgres> + for<'a> sqlx::Decode<'a, Postgres> + sqlx::Type<Postgres> + PgHasArrayType + Debug + PartialEq + Clone + Send + Sync + Unpin + 'static {}
impl<T> Kind for T where T: for<'a> sqlx::Encode<'a, Postgres> + for<'a> sqlx::Decode<'a, Postgres> + sqlx::Type<Postgres> + PgHasArrayType + Debug + PartialEq + Clone + Send + Sync + Unpin + 'static {}

/// A value of a type as a parameter, as a result in binary and in text, through a table, NULL, and in arrays.
async fn both<T: Kind>(pool: &PgPool, kind: &str, given: T) {
    let sql = format!("SELECT $1::{kind}, $2::{kind}, $3::{kind}[]");
    let several = vec![Some(given.clone()), None, Some(given.clone())];
    let wanted = (Some(given.clone()), None::<T>, Some(several.clone()));
    let bound = |sql: &str| query_as(AssertSqlSafe(sql)).bind(given.clone()).bind(None::<T>).bind(several.clone());
    gives(&sql, bound(&sql).fetch_one(pool).await, wanted.clone());
    gives(&sql, query_as(AssertSqlSafe(sql.clone())).bind(None::<T>).bind(None::<T>).bind(Vec::<T>::new()).fetch_one(pool).await, (None::<T>, None::<T>, Some(Vec::<Option<T>>::new())));
    // FAILS: there are no columns of these types.
    if !all() && matches!(kind, "name" | "oid" | "\"char\"") {
        return;
    }
    let Some(mut connection) = works("acquire", pool.acquire().await) else { return };
    let table = format!("CREATE TEMP TABLE ty (v {kind}, n {kind}, a {kind}[])");
    if works(&table, connection.execute(AssertSqlSafe(table.clone())).await).is_some() {
        let insert = format!("INSERT INTO ty VALUES ($1, $2, $3) RETURNING v, n, a -- {kind}");
        gives(&insert, bound(&insert).fetch_one(&mut *connection).await, wanted.clone());
        // Without parameters and statement, rows come as text.
        let read = raw_sql("SELECT v, n, a FROM ty").fetch_one(&mut *connection).await;
        gives(&format!("{kind} as text"), read.and_then(|row| FromRow::from_row(&row)), wanted);
        works("DROP TABLE ty", connection.execute("DROP TABLE ty").await);
    }
}

async fn types(pool: &PgPool) -> Done {
    let day = NaiveDate::from_ymd_opt(2020, 2, 29).expect("a day");
    let time = NaiveTime::from_hms_micro_opt(1, 2, 3, 4).expect("a time");
    both(pool, "bool", true).await;
    both(pool, "\"char\"", 120_i8).await;
    both(pool, "int2", -5_i16).await;
    both(pool, "int4", i32::MIN).await;
    both(pool, "int8", i64::MAX).await;
    both(pool, "oid", Oid(u32::MAX)).await;
    both(pool, "float4", 1.5_f32).await;
    both(pool, "float8", -0.1_f64).await;
    both(pool, "float8", f64::INFINITY).await;
    both(pool, "text", "aé\"'\\\n,{}NULL".to_string()).await;
    both(pool, "varchar(5)", "abcde".to_string()).await;
    both(pool, "char(3)", "a  ".to_string()).await;
    both(pool, "name", "n".to_string()).await;
    both(pool, "bytea", vec![0_u8, 255, 92]).await;
    both(pool, "date", day).await;
    both(pool, "time", time).await;
    both(pool, "timestamp", day.and_time(time)).await;
    both(pool, "timestamptz", Utc.from_utc_datetime(&day.and_time(time))).await;
    both(pool, "timetz", PgTimeTz { time, offset: FixedOffset::east_opt(7200).expect("an offset") }).await;
    let interval = PgInterval { months: 14, days: -3, microseconds: 3_723_000_004 };
    gives("interval", query_scalar("SELECT $1::interval").bind(interval).fetch_one(pool).await, interval);
    gives("interval[]", query_scalar("SELECT $1::interval[]").bind(vec![interval]).fetch_one(pool).await, vec![interval]);
    both(pool, "uuid", uuid::Uuid::from_u128(0x6f1c_2a34_0000_4000_8000_0000_0000_0005)).await;
    both(pool, "jsonb", json!({"b": {"c": 1.5}, "d": [null, "é"]})).await;
    both(pool, "jsonb", Json(vec![1, 2])).await;
    gives("json", query_scalar::<_, Value>("SELECT $1::json").bind(json!({"a": [1]})).fetch_one(pool).await, json!({"a": [1]}));
    for number in ["0", "-1", "10000", "0.0001", "-12345678901234567.123", "123456789012345678901234567"] {
        both(pool, "numeric", number.parse::<Decimal>().expect("a number")).await;
        both(pool, "numeric", number.parse::<BigDecimal>().expect("a number")).await;
    }
    both(pool, "numeric(10,2)", "1234.50".parse::<BigDecimal>().expect("a number")).await;
    // FAILS: numeric has at most 28 digits before the point and ten after it.
    if all() {
        both(pool, "numeric", "1e40".parse::<BigDecimal>().expect("a number")).await;
        both(pool, "numeric", "0.000000000000001".parse::<Decimal>().expect("a number")).await;
    }
    for address in ["10.0.0.1/32", "10.1.0.0/16", "2001:db8::1/128"] {
        both(pool, "inet", address.parse::<IpNetwork>().expect("an address")).await;
    }
    both(pool, "cidr", "10.1.0.0/16".parse::<IpNetwork>().expect("a network")).await;
    // FAILS: ranges, points, money.
    if all() {
        both(pool, "int4range", PgRange::from(1..5)).await;
        let since = PgRange::from(Utc.from_utc_datetime(&day.and_time(time))..);
        gives("tstzrange", query_scalar("SELECT $1::tstzrange").bind(since.clone()).fetch_one(pool).await, since);
        gives("money", query_scalar("SELECT $1::money").bind(PgMoney(150)).fetch_one(pool).await, PgMoney(150));
        gives("point", query_scalar("SELECT '(1,2)'::point").fetch_one(pool).await, PgPoint { x: 1.0, y: 2.0 });
    }
    gives("a row", query_scalar("SELECT ROW(1::int4, 'a'::text, NULL::int8)").fetch_one(pool).await, (1_i32, "a".to_string(), None::<i64>));
    gives("an array of rows", query_scalar("SELECT array_agg((g, 'r' || g) ORDER BY g) FROM generate_series(1, 2) g").fetch_one(pool).await, vec![(1_i32, "r1".to_string()), (2, "r2".to_string())]);
    same("a wrong type", query_scalar::<_, String>("SELECT 1").fetch_one(pool).await.is_err_and(|error| matches!(error, Error::ColumnDecode { .. })), true);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, sqlx::Type)]
#[sqlx(type_name = "mood", rename_all = "snake_case")]
enum Mood {
    Sad,
    VeryHappy,
}

#[derive(Debug, Clone, PartialEq, sqlx::Type)]
#[sqlx(type_name = "pair")]
struct Pair {
    name: String,
    size: Option<i32>,
    mood: Mood,
    tags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Id(i64);

#[derive(Debug, Clone, Copy, PartialEq, sqlx::Type)]
#[repr(i32)]
enum Level {
    Low = 1,
    High = 2,
}

#[derive(Debug, Clone, PartialEq, sqlx::Type)]
#[sqlx(type_name = "positive")]
struct Positive(i32);

#[derive(Debug, PartialEq, FromRow)]
struct Owner {
    id: Id,
    #[sqlx(rename = "name")]
    called: String,
    mood: Mood,
    level: Level,
    pairs: Option<Vec<Pair>>,
    #[sqlx(json)]
    meta: Vec<i32>,
    #[sqlx(default)]
    missing: i32,
    #[sqlx(skip)]
    skipped: u8,
    #[sqlx(try_from = "i32")]
    n: i64,
    #[sqlx(flatten)]
    place: Place,
}

#[derive(Debug, PartialEq, FromRow)]
struct Place {
    town: Option<String>,
}

/// What the client asks the catalog of types that it does not know.
async fn user_types(pool: &PgPool) -> Done {
    raw_sql("CREATE TYPE mood AS ENUM ('sad', 'very_happy'); CREATE TYPE pair AS (name text, size int, mood mood, tags text[]); CREATE DOMAIN positive AS int CHECK (VALUE > 0)").execute(pool).await?;
    let pair = Pair { name: "a,\"b".into(), size: None, mood: Mood::Sad, tags: vec!["x".into(), "y\\".into()] };
    both(pool, "mood", Mood::VeryHappy).await;
    both(pool, "pair", pair.clone()).await;
    both(pool, "int4", Level::High).await;
    both(pool, "int8", Id(7)).await;
    gives("a domain's value", query_scalar::<_, i32>("SELECT ($1::positive)::int").bind(Positive(5)).fetch_one(pool).await, 5);
    raw_sql("CREATE TABLE owner (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mood mood NOT NULL, level int NOT NULL, pairs pair[], meta jsonb, n int DEFAULT 3, town text)").execute(pool).await?;
    let insert = "INSERT INTO owner (name, mood, level, pairs, meta) VALUES ($1, $2, $3, $4, $5) RETURNING *";
    let owner = query_as::<_, Owner>(insert).bind("o").bind(Mood::VeryHappy).bind(Level::High).bind(vec![pair.clone()]).bind(Json(vec![1, 2])).fetch_one(pool).await;
    let wanted = Owner { id: Id(1), called: "o".into(), mood: Mood::VeryHappy, level: Level::High, pairs: Some(vec![pair]), meta: vec![1, 2], missing: 0, skipped: 0, n: 3, place: Place { town: None } };
    gives(insert, owner, wanted);
    gives("an array of an enumeration", query_scalar("SELECT count(*) FROM owner WHERE mood = ANY ($1)").bind(vec![Mood::Sad, Mood::VeryHappy]).fetch_one(pool).await, 1_i64);
    gives("the order of an enumeration", query_scalar("SELECT mood FROM owner WHERE mood > $1").bind(Mood::Sad).fetch_one(pool).await, Mood::VeryHappy);
    same("a label that the client does not know", query_scalar::<_, Mood>("SELECT 'x'::text::mood").fetch_one(pool).await.is_err(), true);
    Ok(())
}

async fn queries(pool: &PgPool) -> Done {
    raw_sql("CREATE TABLE item (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL CONSTRAINT item_code UNIQUE, n int4 CONSTRAINT item_n CHECK (n >= 0), made timestamptz NOT NULL DEFAULT now(), tags text[])").execute(pool).await?;
    let done = query("INSERT INTO item (code, n) SELECT 'c' || g, g FROM generate_series(1, $1) g").bind(1000).execute(pool).await?;
    same("rows_affected", done.rows_affected(), 1000);
    let mut sum = 0;
    let mut stream = query_as::<_, (i64, String, Option<i32>)>("SELECT id, code, n FROM item ORDER BY n").fetch(pool);
    while let Some((_, code, n)) = stream.try_next().await? {
        sum += n.unwrap_or_default();
        if sum == 6 {
            same("the third row", code, "c3");
        }
    }
    drop(stream);
    same("fetch", sum, 500_500);
    {
        let mut early = query("SELECT g FROM generate_series(1, 200000) g ORDER BY g").fetch(pool);
        same("a stream that is left", early.try_next().await?.map(|row| row.get::<i32, _>("g")), Some(1));
    }
    gives("fetch_optional", query_scalar::<_, i32>("SELECT n FROM item WHERE code = $1").bind("none").fetch_optional(pool).await, None);
    same("fetch_one of nothing", matches!(query("SELECT 1 WHERE false").fetch_one(pool).await, Err(Error::RowNotFound)), true);
    gives("map", query("SELECT n FROM item WHERE id <= $1 ORDER BY n").bind(3_i64).map(|row: PgRow| row.get::<i32, _>(0) * 2).fetch_all(pool).await, vec![2, 4, 6]);
    gives("NULL", query_as("SELECT $1::text, $2, $3").bind(None::<String>).bind(Some(1_i16)).bind(None::<Vec<i32>>).fetch_one(pool).await, (None::<String>, Some(1_i16), None::<Vec<i32>>));
    let several = "INSERT INTO item (code) VALUES ('x1'), ('x2'); SELECT code FROM item WHERE code LIKE 'x%' ORDER BY code; DELETE FROM item WHERE code LIKE 'x%'; SELECT 1 WHERE false";
    let told: Vec<_> = raw_sql(several).fetch_many(pool).map_ok(|step| match step {
        Either::Left(done) => format!("done {}", done.rows_affected()),
        Either::Right(row) => row.get(0),
    }).try_collect().await?;
    same(several, told, vec!["done 2", "x1", "x2", "done 2", "done 2", "done 0"]);
    // Builders.
    let mut builder = QueryBuilder::<Postgres>::new("INSERT INTO item (code, n, tags) ");
    builder.push_values(0..500, |mut row, n: i32| {
        row.push_bind(format!("b{n}")).push_bind(n).push_bind(vec![n.to_string()]);
    });
    builder.push(" ON CONFLICT (code) DO UPDATE SET n = excluded.n");
    gives("push_values", builder.build().execute(pool).await.map(|done| done.rows_affected()), 500);
    let mut builder = QueryBuilder::<Postgres>::new("SELECT count(*) FROM item WHERE (code, n) IN ");
    builder.push_tuples([("b1", 1), ("b2", 2), ("b3", 0)], |mut row, (code, n)| {
        row.push_bind(code).push_bind(n);
    });
    gives("push_tuples", builder.build_query_scalar::<i64>().fetch_one(pool).await, 2);
    // Large batches.
    let numbers: Vec<i32> = (0..50_000).collect();
    let codes: Vec<String> = numbers.iter().map(|n| format!("u{n}")).collect();
    let upsert = "INSERT INTO item (code, n, made) SELECT * FROM UNNEST($1::text[], $2::int4[], $3::timestamptz[]) ON CONFLICT (code) DO UPDATE SET n = item.n + excluded.n";
    let times = vec![Utc.timestamp_opt(0, 0).single().expect("a time"); numbers.len()];
    for _ in 0..2 {
        gives(upsert, query(upsert).bind(&codes).bind(&numbers).bind(&times).execute(pool).await.map(|done| done.rows_affected()), 50_000);
    }
    gives("bind_iter", query_scalar("SELECT count(*) FROM item JOIN UNNEST($1, $2) u(code, n) ON item.code = u.code AND item.n = u.n * 2").bind(codes.iter().bind_iter()).bind(numbers.iter().copied().bind_iter()).fetch_one(pool).await, 50_000_i64);
    gives("UPDATE … FROM UNNEST", query("UPDATE item SET n = u.n FROM UNNEST($1::text[], $2::int4[]) u(code, n) WHERE u.code = item.code").bind(&codes).bind(&numbers).execute(pool).await.map(|done| done.rows_affected()), 50_000);
    gives("DELETE … ANY", query("DELETE FROM item WHERE code = ANY ($1)").bind(&codes).execute(pool).await.map(|done| done.rows_affected()), 50_000);
    // Prepared statements, their cache, and a table that changes under one.
    let mut connection = pool.acquire().await?;
    connection.clear_cached_statements().await?;
    for n in 1..=3 {
        gives("a cached statement", query_scalar::<_, i32>("SELECT n FROM item WHERE code = $1").bind(format!("c{n}")).fetch_one(&mut *connection).await, n);
    }
    same("cached_statements_size", connection.cached_statements_size(), 1);
    query("SELECT 5").persistent(false).execute(&mut *connection).await?;
    same("a statement that is not kept", connection.cached_statements_size(), 1);
    let statement = (&mut *connection).prepare(sqlx::SqlStr::from_static("SELECT id, code AS c, n + 1 AS m, $1 || code FROM item WHERE n = $2")).await?;
    let columns: Vec<_> = statement.columns().iter().map(|column| (column.name().to_string(), column.type_info().name().to_string())).collect();
    same("the columns of a statement", columns, [("id", "INT8"), ("c", "TEXT"), ("m", "INT4"), ("?column?", "TEXT")].map(|(name, kind)| (name.to_string(), kind.to_string())).to_vec());
    connection.execute("CREATE TEMP TABLE wide (a int4); INSERT INTO wide VALUES (1)").await?;
    query("SELECT * FROM wide").fetch_one(&mut *connection).await?;
    connection.execute("ALTER TABLE wide ADD COLUMN b int4 DEFAULT 2").await?;
    state("a cached statement of other columns", query("SELECT * FROM wide").fetch_one(&mut *connection).await, "0A000");
    Ok(())
}

async fn describe(pool: &PgPool) -> Done {
    raw_sql("CREATE TABLE part (id int8 PRIMARY KEY, owner int8 NOT NULL, note varchar(9), mood mood)").execute(pool).await?;
    for (sql, parameters, columns) in [
        ("SELECT id, note, mood, id + 1 AS more, 'x' FROM part WHERE id = $1 AND note = ANY ($2) AND mood = $3", "INT8 TEXT[] mood", "id INT8 part.id Some(false); note VARCHAR part.note Some(true); mood mood part.mood Some(true); more INT8 - None; ?column? TEXT - None"),
        ("SELECT p.id, o.id, o.name FROM part p LEFT JOIN owner o ON o.id = p.owner", "", "id INT8 part.id Some(false); id INT8 owner.id Some(true); name TEXT owner.name Some(true)"),
        ("SELECT p.id, o.name FROM part p JOIN owner o ON o.id = p.owner", "", "id INT8 part.id Some(false); name TEXT owner.name Some(false)"),
        ("INSERT INTO part VALUES ($1, $2, $3, $4) RETURNING id, note", "INT8 INT8 VARCHAR mood", "id INT8 part.id Some(false); note VARCHAR part.note Some(true)"),
        ("UPDATE part SET note = $1 WHERE id = $2", "VARCHAR INT8", ""),
        ("SELECT count(*), max(note) FROM part", "", "count INT8 - None; max TEXT - None"),
        ("CREATE TABLE never (a int)", "", ""),
    ] {
        // FAILS: EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE, without which the client describes nothing that gives rows.
        if !all() && !columns.is_empty() {
            continue;
        }
        let Some(told) = works(sql, pool.describe(sqlx::SqlStr::from_static(sql)).await) else { continue };
        let got = match told.parameters() {
            Some(Either::Left(kinds)) => kinds.iter().map(TypeInfo::name).collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        same(&format!("the parameters of {sql}"), got, parameters);
        let got: Vec<_> = told.columns().iter().enumerate().map(|(at, column)| {
            let origin = match column.origin() {
                ColumnOrigin::Table(from) => format!("{}.{}", from.table, from.name),
                ColumnOrigin::Expression => "-".into(),
                ColumnOrigin::Unknown => "?".into(),
            };
            format!("{} {} {origin} {:?}", column.name(), column.type_info().name(), told.nullable(at))
        }).collect();
        same(&format!("the columns of {sql}"), got.join("; "), columns);
    }
    if all()
        && let Some(told) = works("describe", pool.describe(sqlx::SqlStr::from_static("SELECT mood FROM part")).await) {
        let wanted = PgTypeKind::Enum(["sad".into(), "very_happy".into()].into_iter().collect());
        same("the kind of mood", format!("{:?}", told.column(0).type_info().kind()), format!("{wanted:?}"));
    }
    Ok(())
}

async fn transactions(pool: &PgPool) -> Done {
    raw_sql("CREATE TABLE entry (n int4 PRIMARY KEY)").execute(pool).await?;
    let all_of = "SELECT n FROM entry ORDER BY n";
    let insert = |n: i32| query("INSERT INTO entry VALUES ($1)").bind(n);
    let mut outer = pool.begin().await?;
    insert(1).execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    insert(2).execute(&mut *inner).await?;
    let mut third = inner.begin().await?;
    insert(3).execute(&mut *third).await?;
    third.commit().await?;
    let mut third = inner.begin().await?;
    state("in a savepoint", insert(3).execute(&mut *third).await, "23505");
    state("in a failed savepoint", query("SELECT 1").execute(&mut *third).await, "25P02");
    third.rollback().await?;
    inner.commit().await?;
    {
        let mut dropped = outer.begin().await?;
        insert(4).execute(&mut *dropped).await?;
    }
    gives("another session", query_scalar::<_, i32>(all_of).fetch_all(pool).await, vec![]);
    gives("one's own", query_scalar(all_of).fetch_all(&mut *outer).await, vec![1, 2, 3]);
    outer.commit().await?;
    {
        let mut dropped = pool.begin().await?;
        insert(5).execute(&mut *dropped).await?;
    }
    gives("after a dropped transaction", query_scalar(all_of).fetch_all(pool).await, vec![1, 2, 3]);
    let mut read_only = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    state("INSERT in a read-only transaction", insert(6).execute(&mut *read_only).await, "25006");
    read_only.rollback().await?;
    same("begin_with that does not begin", matches!(pool.begin_with("SELECT 1").await, Err(Error::BeginFailed)), true);
    let mut failed = pool.begin().await?;
    state("a failed transaction", query("SELECT 1 / 0").execute(&mut *failed).await, "22012");
    works("COMMIT of a failed transaction", failed.commit().await);
    let mut connection = pool.acquire().await?;
    let done: Result<i64, Error> = connection.transaction(|transaction| Box::pin(async move { query_scalar("SELECT count(*) FROM entry").fetch_one(&mut **transaction).await })).await;
    gives("transaction()", done, 3);
    // FAILS: SERIALIZABLE.
    if all() {
        works("SERIALIZABLE", pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await?.commit().await);
    }
    // A queue of jobs.
    let mut one = pool.begin().await?;
    // FAILS: SKIP LOCKED.
    if all() {
        let mut two = pool.begin().await?;
        let next = "SELECT n FROM entry ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED";
        gives(next, query_scalar(next).fetch_one(&mut *one).await, 1);
        gives(next, query_scalar(next).fetch_one(&mut *two).await, 2);
        two.rollback().await?;
    }
    one.rollback().await
}

async fn migrations(pool: &PgPool) -> Result<(), MigrateError> {
    let folder = std::env::args().nth(1).expect("the folder of migrations as an argument");
    let migrator = Migrator::new(Path::new(&folder)).await?;
    migrator.run_to(1, pool).await?;
    let applied = "SELECT string_agg(version || ' ' || description || ' ' || success || ' ' || (execution_time > 0) || ' ' || length(checksum), '; ' ORDER BY version) FROM _sqlx_migrations";
    gives("run_to", query_scalar::<_, String>(applied).fetch_one(pool).await, "1 shop true true 48".to_string());
    // Several at once: who comes second waits for the lock.
    for done in join_all((0..3).map(|_| migrator.run(pool))).await {
        works("run at once", done);
    }
    gives("run", query_scalar::<_, String>(applied).fetch_one(pool).await, "1 shop true true 48; 2 town true true 48".to_string());
    gives("what they made", query_as("SELECT town, shops FROM towns").fetch_one(pool).await, ("Rome".to_string(), 1_i64));
    gives("a comment", query_scalar::<_, String>("SELECT col_description('shop'::regclass, 3)").fetch_one(pool).await, "where it is".to_string());
    migrator.run(pool).await?;
    query("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").execute(pool).await?;
    // The lock of a run that fails so ends with its session only.
    let mut own = options().connect().await?;
    same("a changed migration", matches!(migrator.run(&mut own).await, Err(MigrateError::VersionMismatch(2))), true);
    own.close().await?;
    query("UPDATE _sqlx_migrations SET checksum = $1 WHERE version = 2").bind(migrator.iter().find(|migration| migration.version == 2).map(|migration| migration.checksum.to_vec())).execute(pool).await?;
    migrator.undo(pool, 1).await?;
    gives("undo", query_scalar::<_, i64>("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'sqlx_check' AND table_name = 'shop'").fetch_one(pool).await, 2);
    migrator.undo(pool, 0).await?;
    gives("undo of all", query_as("SELECT to_regclass('shop')::text, count(*) FROM _sqlx_migrations").fetch_one(pool).await, (None::<String>, 0_i64));
    gives("no lock is left", query_scalar::<_, i64>("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetch_one(pool).await, 0);
    Ok(())
}

async fn copies(pool: &PgPool) -> Done {
    raw_sql("CREATE TABLE target (id int4 PRIMARY KEY, t text)").execute(pool).await?;
    let mut copy = pool.copy_in_raw("COPY target FROM STDIN (FORMAT csv)").await?;
    same("the format of a copy", (copy.is_textual(), copy.num_columns(), copy.column_is_textual(1)), (true, 2, true));
    for n in 0..1000 {
        copy.send(format!("{n},\"t,{n}\"\n").into_bytes()).await?;
    }
    gives("COPY FROM", copy.finish().await, 1000);
    let text: Vec<_> = pool.copy_out_raw("COPY (SELECT * FROM target WHERE id < 2 ORDER BY id) TO STDOUT").await?.try_collect().await?;
    same("COPY TO", text.concat(), b"0\tt,0\n1\tt,1\n".to_vec());
    let mut connection = pool.acquire().await?;
    let mut bad = connection.copy_in_raw("COPY target FROM STDIN").await?;
    bad.send(&b"x\ty\n"[..]).await?;
    let told = state("COPY FROM of a bad line", bad.finish().await, "22P02");
    same("the place of a bad line", told.as_ref().and_then(|told| told.r#where()), Some("COPY target, line 1, column id: \"x\""));
    let mut aborted = connection.copy_in_raw("COPY target FROM STDIN").await?;
    aborted.send(&b"5000\ty\n"[..]).await?;
    works("abort", aborted.abort("enough").await);
    // A copy that is dropped, or that fails at once, the client does not get over.
    gives("what is left of them", query_scalar("SELECT count(*) FROM target").fetch_one(&mut *connection).await, 1000_i64);
    Ok(())
}

async fn listeners(pool: &PgPool) -> Done {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("one").await?;
    listener.listen_all(["Two, é", "three"]).await?;
    let notify = |channel: &'static str, payload: &'static str| query("SELECT pg_notify($1, $2)").bind(channel).bind(payload).execute(pool);
    for (channel, payload) in [("one", "a"), ("Two, é", "b é"), ("three", "")] {
        notify(channel, payload).await?;
        let got = timeout(Duration::from_secs(5), listener.recv()).await;
        same("recv", got.ok().and_then(Result::ok).map(|told| (told.channel().to_string(), told.payload().to_string())), Some((channel.to_string(), payload.to_string())));
    }
    listener.unlisten("one").await?;
    notify("one", "unheard").await?;
    notify("three", "heard").await?;
    same("unlisten", timeout(Duration::from_secs(5), listener.recv()).await.ok().and_then(Result::ok).map(|told| told.payload().to_string()).as_deref(), Some("heard"));
    // A listener whose session ends comes back.
    let number: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut listener).await?;
    query("SELECT pg_terminate_backend($1)").bind(number).execute(pool).await?;
    same("try_recv of an ended session", matches!(timeout(Duration::from_secs(5), listener.try_recv()).await, Ok(Ok(None))), true);
    let (got, ()) = tokio::join!(timeout(Duration::from_secs(5), listener.recv()), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        works("pg_notify", notify("three", "again").await);
    });
    same("recv of another session", got.ok().and_then(Result::ok).map(|told| told.payload().to_string()).as_deref(), Some("again"));
    listener.unlisten_all().await?;
    Ok(())
}

async fn errors(pool: &PgPool) -> Done {
    raw_sql("CREATE TABLE parent (id int4 PRIMARY KEY, n int4 NOT NULL); CREATE TABLE child (parent int4 CONSTRAINT child_parent REFERENCES parent)").execute(pool).await?;
    for (sql, code, kind, constraint, table) in [
        ("INSERT INTO item (code) VALUES ('c1')", "23505", ErrorKind::UniqueViolation, Some("item_code"), Some("item")),
        ("UPDATE item SET n = -1 WHERE code = 'c1'", "23514", ErrorKind::CheckViolation, Some("item_n"), Some("item")),
        ("INSERT INTO parent VALUES (1, NULL)", "23502", ErrorKind::NotNullViolation, None, Some("parent")),
        ("INSERT INTO child VALUES (9)", "23503", ErrorKind::ForeignKeyViolation, Some("child_parent"), Some("child")),
        ("SELECT 1 / 0", "22012", ErrorKind::Other, None, None),
    ] {
        // FAILS: foreign keys are not enforced.
        if !all() && code == "23503" {
            continue;
        }
        match query(sql).execute(pool).await {
            Err(Error::Database(told)) => {
                same(sql, (told.code().as_deref(), told.constraint(), told.table()), (Some(code), constraint, table));
                same(sql, format!("{:?}", told.kind()), format!("{kind:?}"));
                same(sql, (told.is_unique_violation(), told.is_check_violation(), told.is_foreign_key_violation()), (code == "23505", code == "23514", code == "23503"));
            }
            other => fail(sql, format_args!("{other:?}, wanted {code}")),
        }
    }
    if let Some(told) = state("SELECT nme", query("SELECT nme FROM item").execute(pool).await, "42703") {
        same("SELECT nme", (told.message(), told.position()), ("column \"nme\" does not exist", Some(PgErrorPosition::Original(8))));
    }
    if let Some(told) = state("INSERT", query("INSERT INTO parent VALUES (1, NULL)").execute(pool).await, "23502") {
        same("INSERT", (told.schema(), told.column(), told.detail()), (Some("sqlx_check"), Some("n"), Some("Failing row contains (1, null).")));
    }
    state("a wrong value", query("SELECT $1::text::int4").bind("x").execute(pool).await, "22P02");
    same("ping", pool.acquire().await?.ping().await.is_ok(), true);
    state("statement_timeout", raw_sql("SET statement_timeout = 100; SELECT pg_sleep(5)").execute(&mut options().connect().await?).await, "57014");
    state("a wrong password", options().password("wrong").connect().await.map(|_| ()), "28P01");
    state("a wrong database", options().database("nowhere").connect().await.map(|_| ()), "3D000");
    Ok(())
}

async fn pools(pool: &PgPool) -> Done {
    let got = join_all((0..40).map(|n| query_scalar::<_, i32>("SELECT $1::int4").bind(n).fetch_one(pool))).await;
    same("40 at once", got.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    let small = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(300))
        .after_connect(|connection, _| Box::pin(async move { connection.execute("SET application_name = 'set up'; SET search_path = sqlx_check, public").await.map(|_| ()) }))
        .before_acquire(|connection, _| Box::pin(async move { query_scalar("SELECT true").fetch_one(connection).await }))
        .after_release(|connection, _| Box::pin(async move { connection.execute("DISCARD TEMP; RESET statement_timeout").await.map(|_| true) }))
        .connect_with(options())
        .await?;
    gives("after_connect", query_scalar::<_, String>("SHOW application_name").fetch_one(&small).await, "set up".to_string());
    let mut held = small.acquire().await?;
    let began = Instant::now();
    same("a pool that is empty", matches!(small.acquire().await, Err(Error::PoolTimedOut)), true);
    same("in time", began.elapsed() < Duration::from_secs(2), true);
    held.execute("CREATE TEMP TABLE mine (a int4)").await?;
    let number: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *held).await?;
    drop(held);
    gives("after_release", query_scalar::<_, Option<String>>("SELECT to_regclass('mine')::text").fetch_one(&small).await, None);
    // A connection whose session has ended is replaced.
    gives("pg_terminate_backend", query_scalar("SELECT pg_terminate_backend($1)").bind(number).fetch_one(pool).await, true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other: Option<i32> = works("a new connection", query_scalar("SELECT pg_backend_pid()").fetch_one(&small).await);
    same("a new connection", other.is_some_and(|other| other != number), true);
    same("its size", small.size(), 1);
    // A query that is given up, by the client or for good.
    same("a timeout of the client's", timeout(Duration::from_millis(100), query("SELECT pg_sleep(0.5)").execute(&small)).await.is_err(), true);
    tokio::time::sleep(Duration::from_millis(700)).await;
    gives("after it", query_scalar("SELECT 1").fetch_one(&small).await, 1);
    small.close().await;
    same("a closed pool", matches!(small.acquire().await, Err(Error::PoolClosed)), true);
    // Advisory locks.
    let lock = PgAdvisoryLock::new("check");
    let guard = lock.acquire(pool.acquire().await?).await?;
    same("a lock that another has", matches!(lock.try_acquire(pool.acquire().await?).await?, Either::Right(_)), true);
    guard.release_now().await?;
    match lock.try_acquire(pool.acquire().await?).await? {
        Either::Left(guard) => drop(guard),
        Either::Right(_) => fail("a lock that nobody has", "is not given"),
    }
    // What the server says of itself, and databases by their names.
    let connection = pool.acquire().await?;
    same("server_version_num", connection.server_version_num().is_some_and(|version| version >= 170_000), true);
    drop(connection);
    let here = options().to_url_lossy();
    gives("database_exists", Postgres::database_exists(here.as_str()).await, true);
    let nowhere = options().database("sqlx_check_made").to_url_lossy();
    gives("database_exists", Postgres::database_exists(nowhere.as_str()).await, false);
    // FAILS: CREATE DATABASE.
    if all() {
        works("create_database", Postgres::create_database(nowhere.as_str()).await);
        gives("database_exists", Postgres::database_exists(nowhere.as_str()).await, true);
        works("force_drop_database", Postgres::force_drop_database(nowhere.as_str()).await);
    }
    let kept: DateTime<Utc> = query_scalar("SELECT to_timestamp(0)").fetch_one(pool).await?;
    same("to_timestamp", kept.timestamp(), 0);
    Ok(())
}

#[tokio::main]
async fn main() {
    let drop = "DROP SCHEMA IF EXISTS sqlx_check CASCADE";
    let pool = PgPoolOptions::new().max_connections(5).connect_with(options()).await.unwrap_or_else(|error| panic!("connect: {}", chain(&error)));
    part("schema", async { raw_sql("DROP SCHEMA IF EXISTS sqlx_check CASCADE; CREATE SCHEMA sqlx_check").execute(&pool).await.map(|_| ()) }).await;
    part("types", types(&pool)).await;
    part("user_types", user_types(&pool)).await;
    part("queries", queries(&pool)).await;
    part("describe", describe(&pool)).await;
    part("transactions", transactions(&pool)).await;
    part("migrations", migrations(&pool)).await;
    part("copies", copies(&pool)).await;
    part("listeners", listeners(&pool)).await;
    part("errors", errors(&pool)).await;
    part("pools", pools(&pool)).await;
    part("schema", async { raw_sql(drop).execute(&pool).await.map(|_| ()) }).await;
    pool.close().await;
    done();
}
