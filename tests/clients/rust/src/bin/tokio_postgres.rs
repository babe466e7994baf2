//! tokio-postgres: every type both ways in binary, types of the user's, inferred parameters, portals, COPY, pipelines, transactions, error fields, cancellation, notifications.
use check::{all, chain, done, fail, gives, part, same, variable, works};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use futures_util::future::{join_all, try_join, try_join_all};
use futures_util::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use postgres_types::private::BytesMut;
use postgres_types::{Date, FromSql, FromSqlOwned, IsNull, Json, Kind, PgLsn, Timestamp, ToSql, Type, to_sql_checked};
use rust_decimal::Decimal;
use serde_json::json;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_postgres::{AsyncMessage, Client, Config, Error, IsolationLevel, NoTls, Row, SimpleQueryMessage};

type Done = Result<(), Error>;
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

const LONG: &str = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a + b = 3";

fn config() -> Config {
    let mut config = Config::new();
    config.host(variable("PGHOST")).port(variable("PGPORT").parse().expect("a port")).user(variable("PGUSER"));
    config.password(variable("PGPASSWORD")).dbname(variable("PGDATABASE")).application_name("check");
    config.options("-c TimeZone=UTC -c search_path=tokio_check -c statement_timeout=60000").connect_timeout(Duration::from_secs(10));
    config
}

/// A connection, and what the server says unasked.
async fn connect(config: &Config) -> Result<(Client, UnboundedReceiver<AsyncMessage>), Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => drop(sender.send(message)),
                // Sessions that are ended are so on purpose; what the driver does not understand is not.
                Err(error) => {
                    if chain(&error).contains("unexpected") {
                        fail("the connection", chain(&error));
                    }
                    break;
                }
            }
        }
    });
    Ok((client, receiver))
}

async fn value<T: FromSqlOwned + Debug + PartialEq>(client: &Client, sql: &str, values: Values<'_>, wanted: T) {
    let got = client.query_one(sql, values).await.and_then(|row| row.try_get::<_, T>(0));
    gives(sql, got, wanted);
}

async fn list<T: FromSqlOwned + Debug + PartialEq>(client: &Client, sql: &str, values: Values<'_>, wanted: Vec<T>) {
    let got = client.query(sql, values).await.and_then(|rows| rows.iter().map(|row| row.try_get::<_, T>(0)).collect::<Result<Vec<T>, _>>());
    gives(sql, got, wanted);
}

/// An error of the server's with this SQLSTATE.
fn state<T>(statement: &str, got: Result<T, Error>, wanted: &SqlState) -> Option<DbError> {
    match got {
        Ok(_) => fail(statement, format_args!("no error, wanted {}", wanted.code())),
        Err(error) => match error.as_db_error() {
            None => fail(statement, format_args!("{}, wanted {}", chain(&error), wanted.code())),
            Some(told) if told.code() != wanted => fail(statement, format_args!("{} ({told}), wanted {}", told.code().code(), wanted.code())),
            Some(told) => return Some(told.clone()),
        },
    }
    None
}

/// A value of a type as a parameter, as a result, through a table, NULL, and in arrays.
async fn both<T: ToSql + FromSqlOwned + Debug + PartialEq + Clone + Sync>(client: &Client, kind: &str, given: T) {
    let (sql, array) = (format!("SELECT $1::{kind}, $2::{kind}"), format!("SELECT $1::{kind}[]"));
    let pair = |row: Row| Ok((row.try_get::<_, Option<T>>(0)?, row.try_get::<_, Option<T>>(1)?));
    let wanted = (Some(given.clone()), None);
    gives(&sql, client.query_one(&sql, &[&given, &None::<T>]).await.and_then(pair), wanted.clone());
    let several = vec![Some(given.clone()), None, Some(given.clone())];
    value(client, &array, &[&several], several.clone()).await;
    value(client, &array, &[&Vec::<T>::new()], Vec::<T>::new()).await;
    value(client, &array, &[&None::<Vec<T>>], None::<Vec<T>>).await;
    // FAILS: there are no columns of these types.
    if !all() && matches!(kind, "name" | "oid" | "\"char\"") {
        return;
    }
    let table = format!("CREATE TEMP TABLE ty (v {kind}, n {kind}, a {kind}[])");
    if works(&table, client.batch_execute(&table).await).is_some() {
        let insert = format!("INSERT INTO ty VALUES ($1, $2, $3) RETURNING v, n -- {kind}");
        gives(&insert, client.query_one(&insert, &[&given, &None::<T>, &several]).await.and_then(pair), wanted.clone());
        let read = format!("SELECT v, n, a FROM ty -- {kind}");
        gives(&read, client.query_one(&read, &[]).await.and_then(pair), wanted);
        gives(&read, client.query_one(&read, &[]).await.and_then(|row| row.try_get::<_, Vec<Option<T>>>(2)), several);
        works("DROP TABLE ty", client.batch_execute("DROP TABLE ty").await);
    }
}

/// An interval in binary, which the driver leaves to others.
#[derive(Debug, Clone, PartialEq)]
struct Interval {
    microseconds: i64,
    days: i32,
    months: i32,
}

impl FromSql<'_> for Interval {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let raw: [u8; 16] = raw.try_into()?;
        let whole = i128::from_be_bytes(raw);
        Ok(Self { microseconds: (whole >> 64) as i64, days: (whole >> 32) as i32, months: whole as i32 })
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }
}

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.microseconds.to_be_bytes());
        out.extend_from_slice(&self.days.to_be_bytes());
        out.extend_from_slice(&self.months.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }

    to_sql_checked!();
}

async fn types(client: &Client) -> Done {
    let day = NaiveDate::from_ymd_opt(2020, 2, 29).expect("a day");
    let time = NaiveTime::from_hms_micro_opt(1, 2, 3, 4).expect("a time");
    both(client, "bool", true).await;
    both(client, "int2", -5_i16).await;
    both(client, "int4", i32::MIN).await;
    both(client, "int8", i64::MAX).await;
    both(client, "oid", u32::MAX).await;
    both(client, "\"char\"", b'x' as i8).await;
    both(client, "float4", 1.5_f32).await;
    both(client, "float8", -0.1_f64).await;
    both(client, "float8", f64::NEG_INFINITY).await;
    both(client, "text", "aé\"'\\\n,{}NULL".to_string()).await;
    both(client, "text", String::new()).await;
    both(client, "varchar(5)", "abcde".to_string()).await;
    both(client, "char(3)", "a  ".to_string()).await;
    both(client, "name", "n".to_string()).await;
    both(client, "bytea", vec![0_u8, 255, 92]).await;
    both(client, "date", day).await;
    both(client, "date", Date::Value(NaiveDate::from_ymd_opt(1, 1, 1).expect("a day"))).await;
    both(client, "time", time).await;
    both(client, "timestamp", day.and_time(time)).await;
    both(client, "timestamptz", Utc.from_utc_datetime(&day.and_time(time))).await;
    both(client, "timestamptz", SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456)).await;
    both(client, "timestamptz", Timestamp::<DateTime<Utc>>::PosInfinity).await;
    both(client, "timestamp", Timestamp::<NaiveDateTime>::NegInfinity).await;
    both(client, "date", Date::<NaiveDate>::PosInfinity).await;
    both(client, "interval", Interval { microseconds: -3_723_000_004, days: -3, months: 14 }).await;
    both(client, "uuid", uuid::Uuid::from_u128(0x6f1c_2a34_0000_4000_8000_0000_0000_0005)).await;
    both(client, "json", json!({"a": [1, null, "é"]})).await;
    both(client, "jsonb", json!({"b": {"c": 1.5}, "d": []})).await;
    both(client, "jsonb", Json(vec![1, 2])).await;
    both::<IpAddr>(client, "inet", "10.0.0.1".parse().expect("an address")).await;
    both::<IpAddr>(client, "inet", "2001:db8::1".parse().expect("an address")).await;
    for number in ["0", "-1", "10000", "0.0001", "-12345678901234567.123", "99999999.99", "123456789012345678901234567"] {
        both::<Decimal>(client, "numeric", number.parse().expect("a number")).await;
    }
    both::<Decimal>(client, "numeric(10,2)", "1234.56".parse().expect("a number")).await;
    for number in ["1234.50", "1.10", "100"] {
        let given = number.parse::<Decimal>().expect("a number");
        value(client, "SELECT ($1::numeric(10,2))::text", &[&given], format!("{given:.2}")).await;
        let row = client.query_one("SELECT $1::numeric(10,2)", &[&given]).await?;
        same("the scale of numeric(10,2)", row.get::<_, Decimal>(0).to_string(), format!("{given:.2}"));
        // FAILS: a numeric without a scale loses its zeros.
        if all() {
            let row = client.query_one("SELECT $1::numeric", &[&given]).await?;
            same("the scale of numeric", row.get::<_, Decimal>(0).to_string(), number);
        }
    }
    // FAILS: numeric has at most ten digits after the point.
    if all() {
        both::<Decimal>(client, "numeric", "0.0000000000000000000000000001".parse().expect("a number")).await;
    }
    same("NaN", client.query_one("SELECT $1::float8", &[&f64::NAN]).await?.get::<_, f64>(0).is_nan(), true);
    // FAILS: there is no pg_lsn.
    if all() {
        both(client, "pg_lsn", "16/B374D848".parse::<PgLsn>().expect("a place")).await;
    }
    // The types that a statement says it has.
    let kinds = "SELECT NULL::int2, NULL::text[], NULL::varchar(3), NULL::inet, NULL::timestamptz[], now(), 1, 1.5, 'a', count(*), sum(1), avg(1.5::float8), ARRAY[1], row_number() OVER (), current_user, \
                 version(), '{}'::jsonb -> 'a', '{}'::jsonb ->> 'a', date '2020-01-01' - date '2020-01-01', now() - now(), extract(year FROM now()), length('a'), 1 = 1, NULL, sum(2), ROW(1, 2), \
                 max('a'::varchar(3)), pg_backend_pid(), 'pg_class'::regclass, to_timestamp(0), md5('a'), 'a'::bytea, random(), array_agg('a'::text), current_date, localtimestamp, interval '1 day' * 2";
    let statement = client.prepare(kinds).await?;
    let wanted = [
        "int2", "_text", "varchar", "inet", "_timestamptz", "timestamptz", "int4", "numeric", "text", "int8", "int8", "float8", "_int4", "int8", "name", "text", "jsonb", "text", "int4", "interval", "numeric", "int4",
        "bool", "text", "int8", "record", "text", "int4", "regclass", "timestamptz", "text", "bytea", "float8", "_text", "date", "timestamp", "interval",
    ];
    // FAILS: sum(1.5) beside avg(1.5::float8).
    if all() {
        works("SELECT sum(1.5), avg(1.5::float8)", client.prepare("SELECT sum(1.5), avg(1.5::float8)").await);
    }
    for (column, wanted) in statement.columns().iter().zip(wanted) {
        same(&format!("the type of {} in {kinds}", column.name()), column.type_().name(), wanted);
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, ToSql, FromSql)]
#[postgres(name = "mood", rename_all = "snake_case")]
enum Mood {
    Sad,
    VeryHappy,
}

#[derive(Debug, Clone, PartialEq, ToSql, FromSql)]
#[postgres(name = "pair")]
struct Pair {
    name: String,
    size: Option<i32>,
    mood: Mood,
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, ToSql, FromSql)]
#[postgres(name = "positive")]
struct Positive(i32);

#[derive(Debug, Clone, PartialEq, ToSql, FromSql)]
#[postgres(transparent)]
struct Id(i64);

/// What the driver asks the catalog of types that it does not know.
async fn user_types(client: &Client) -> Done {
    client
        .batch_execute(
            "CREATE TYPE mood AS ENUM ('sad', 'very_happy'); CREATE TYPE grade AS ENUM ('a', 'c'); CREATE TABLE graded (g grade); CREATE TYPE pair AS (name text, size int, mood mood, tags text[]);
             CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN code AS varchar(5) NOT NULL",
        )
        .await?;
    let pair = Pair { name: "a,\"b".into(), size: None, mood: Mood::Sad, tags: vec!["x".into(), "y\\".into()] };
    both(client, "mood", Mood::VeryHappy).await;
    both(client, "pair", pair.clone()).await;
    // A domain's value is sent as a domain's, and comes back as its base type's.
    // FAILS: a parameter of a domain is of its base type.
    if all() {
        for sql in ["SELECT $1::positive", "SELECT ($1::positive)::int"] {
            value(client, sql, &[&Positive(5)], 5).await;
        }
    }
    value(client, "SELECT $1::int8", &[&Id(7)], Id(7)).await;
    client.batch_execute("CREATE TABLE owner (id positive PRIMARY KEY, code code, mood mood NOT NULL DEFAULT 'sad', pairs pair[])").await?;
    let statement = client.prepare("INSERT INTO owner VALUES ($1, $2, $3, $4) RETURNING mood, pairs, id, code").await?;
    let kinds: Vec<_> = statement.params().iter().map(|kind| (kind.schema().to_string(), kind.name().to_string())).collect();
    let own = |name: &str| ("tokio_check".to_string(), name.to_string());
    same("the parameters of INSERT INTO owner", kinds[2..].to_vec(), vec![own("mood"), own("_pair")]);
    if all() {
        same("the parameters of INSERT INTO owner", kinds[..2].to_vec(), vec![own("positive"), own("code")]);
        same("the kind of positive", statement.params().first().map(Type::kind), Some(&Kind::Domain(Type::INT4)));
    }
    if let Some(kind) = statement.params().get(2) {
        same("the kind of mood", kind.kind(), &Kind::Enum(vec!["sad".into(), "very_happy".into()]));
    }
    if let Some(Kind::Array(element)) = statement.params().get(3).map(Type::kind)
        && let Kind::Composite(fields) = element.kind()
    {
        let fields: Vec<_> = fields.iter().map(|field| (field.name(), field.type_().name())).collect();
        same("the kind of pair", fields, vec![("name", "text"), ("size", "int4"), ("mood", "mood"), ("tags", "_text")]);
    } else {
        fail("the kind of pair", "is not composite");
    }
    let (one, minus, abc): (&(dyn ToSql + Sync), &(dyn ToSql + Sync), &(dyn ToSql + Sync)) = if all() { (&Positive(1), &Positive(-1), &Code("abc".into())) } else { (&1, &-1, &"abc") };
    let row = client.query_one(&statement, &[one, abc, &Mood::VeryHappy, &vec![pair.clone()]]).await?;
    same("INSERT INTO owner", (row.try_get::<_, Mood>(0)?, row.try_get::<_, Vec<Pair>>(1)?), (Mood::VeryHappy, vec![pair.clone()]));
    value(client, "SELECT mood FROM owner WHERE mood > $1", &[&Mood::Sad], Mood::VeryHappy).await;
    value(client, "SELECT count(*) FROM owner WHERE mood = ANY ($1)", &[&vec![Mood::Sad, Mood::VeryHappy]], 1_i64).await;
    value(client, "SELECT (pairs[1]).name FROM owner", &[], pair.name.clone()).await;
    value(client, "SELECT max(mood) FROM owner", &[], Some(Mood::VeryHappy)).await;
    value(client, "SELECT enum_range(NULL::mood)", &[], vec![Mood::Sad, Mood::VeryHappy]).await;
    value(client, "SELECT ROW('r', 1, 'sad', '{}')::pair", &[], Pair { name: "r".into(), size: Some(1), mood: Mood::Sad, tags: vec![] }).await;
    let told = state("a domain's CHECK", client.execute("INSERT INTO owner VALUES ($1, $2)", &[minus, abc]).await, &SqlState::CHECK_VIOLATION);
    same("the fields of a domain's CHECK", told.as_ref().and_then(DbError::constraint), Some("positive_check"));
    // FAILS: its error does not name the domain.
    if all() {
        same("the type of a domain's CHECK", told.as_ref().and_then(DbError::datatype), Some("positive"));
    }
    state("a wrong label", client.query("SELECT $1::text::mood", &[&"angry"]).await, &SqlState::INVALID_TEXT_REPRESENTATION);
    // The driver keeps what it learned of a type; a new value is found once it forgets.
    client.prepare("SELECT g FROM graded").await?;
    client.batch_execute("ALTER TYPE grade ADD VALUE 'b' BEFORE 'c'").await?;
    client.clear_type_cache();
    let statement = client.prepare("SELECT $1::grade").await?;
    same("an enumeration with another value", statement.params().first().map(Type::kind), Some(&Kind::Enum(vec!["a".into(), "b".into(), "c".into()])));
    Ok(())
}

#[derive(Debug, Clone, PartialEq, ToSql, FromSql)]
#[postgres(name = "code")]
struct Code(String);

/// The types that parameters have, which the driver takes from the server; what it sends must be of the very type.
const INFERRED: &[(&str, &[&str])] = &[
    ("SELECT $1", &["text"]),
    ("SELECT $1 + 1", &["int4"]),
    ("SELECT n + $1 FROM item", &["int4"]),
    ("SELECT $1 + price FROM item", &["numeric"]),
    ("SELECT price * $1 FROM item", &["numeric"]),
    ("SELECT code FROM item WHERE id = $1", &["int8"]),
    ("SELECT code FROM item WHERE id = ANY ($1)", &["_int8"]),
    ("SELECT code FROM item WHERE id <> ALL ($1)", &["_int8"]),
    ("SELECT code FROM item WHERE id IN ($1, $2)", &["int8", "int8"]),
    ("SELECT code FROM item WHERE n BETWEEN $1 AND $2", &["int4", "int4"]),
    ("SELECT code FROM item WHERE code = $1", &["text"]),
    ("SELECT code FROM item WHERE code LIKE $1", &["text"]),
    ("SELECT code FROM item WHERE lower(code) = lower($1)", &["text"]),
    ("SELECT $1 || code FROM item", &["text"]),
    ("SELECT code FROM item WHERE (id, code) > ($1, $2) LIMIT $3 OFFSET $4", &["int8", "text", "int8", "int8"]),
    ("SELECT code FROM item WHERE ($1::text IS NULL OR code = $1)", &["text"]),
    ("SELECT code FROM item WHERE made > $1", &["timestamptz"]),
    ("SELECT code FROM item WHERE made > now() - $1::interval", &["interval"]),
    ("SELECT code FROM item WHERE made::date = $1", &["date"]),
    ("SELECT day - $1 FROM item", &["date"]),
    ("SELECT code FROM item WHERE meta @> $1", &["jsonb"]),
    ("SELECT meta ->> $1 FROM item", &["text"]),
    ("SELECT meta -> $1 FROM item", &["text"]),
    ("SELECT meta #>> $1 FROM item", &["_text"]),
    ("SELECT meta ? $1 FROM item", &["text"]),
    ("SELECT meta || $1 FROM item", &["jsonb"]),
    ("SELECT meta - $1 FROM item", &["text"]),
    ("SELECT code FROM item WHERE tags && $1", &["_text"]),
    ("SELECT code FROM item WHERE tags @> $1", &["_text"]),
    ("SELECT code FROM item WHERE $1 = ANY (tags)", &["text"]),
    ("SELECT tags[$1] FROM item", &["int4"]),
    ("SELECT array_append(tags, $1) FROM item", &["text"]),
    ("SELECT coalesce(n, $1) FROM item", &["int4"]),
    ("SELECT nullif($1, code) FROM item", &["text"]),
    ("SELECT greatest(n, $1) FROM item", &["int4"]),
    ("SELECT CASE WHEN $1 THEN n ELSE $2 END FROM item", &["bool", "int4"]),
    ("SELECT CASE n WHEN $1 THEN 'a' END FROM item", &["int4"]),
    ("SELECT code FROM item WHERE $1", &["bool"]),
    ("SELECT code FROM item WHERE NOT $1 OR ok = $2", &["bool", "bool"]),
    ("SELECT code FROM item WHERE token = $1", &["uuid"]),
    ("SELECT code FROM item WHERE raw = $1", &["bytea"]),
    ("SELECT code FROM item WHERE ip = $1", &["inet"]),
    ("SELECT code FROM item WHERE ip << $1", &["inet"]),
    ("SELECT substring(code FROM $1 FOR $2) FROM item", &["text", "text"]),
    ("SELECT substr(code, $1, $2), left(code, $3) FROM item", &["int4", "int4", "int4"]),
    ("SELECT date_trunc($1, made) FROM item", &["text"]),
    ("SELECT to_char(made, $1) FROM item", &["text"]),
    ("SELECT made AT TIME ZONE $1 FROM item", &["text"]),
    ("SELECT length($1), upper($2), md5($3)", &["text", "text", "text"]),
    ("SELECT round($1, 2)", &["numeric"]),
    ("SELECT abs($1::int4), sqrt($2)", &["int4", "float8"]),
    ("SELECT make_interval(days => $1)", &["int4"]),
    ("SELECT pg_sleep($1)", &["float8"]),
    ("SELECT g FROM generate_series($1, 5) g", &["int4"]),
    ("SELECT g FROM generate_series(1, $1::int8) g", &["int8"]),
    ("SELECT * FROM unnest($1::int4[], $2::text[]) u(a, b)", &["_int4", "_text"]),
    ("SELECT (SELECT code FROM item WHERE id = $1) FROM item WHERE n = (SELECT max(n) + $2 FROM item)", &["int8", "int4"]),
    ("SELECT code FROM item WHERE EXISTS (SELECT 1 FROM item i WHERE i.n = $1 AND i.id = item.id)", &["int4"]),
    ("WITH w AS (SELECT $1::int4 AS x) SELECT x FROM w WHERE x < $2", &["int4", "int4"]),
    ("SELECT count(*) FILTER (WHERE n > $1) FROM item HAVING sum(n) > $2", &["int4", "int8"]),
    ("SELECT lag(n, 1, $1) OVER (ORDER BY id) FROM item", &["int4"]),
    ("SELECT code FROM item UNION ALL SELECT $1", &["text"]),
    ("SELECT n FROM item UNION SELECT $1", &["int4"]),
    ("VALUES ($1, $2::int8), ('y', 2)", &["text", "int8"]),
    ("INSERT INTO item (code, n, price, ok, made, day, meta, tags, token, raw, ip) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &["text", "int4", "numeric", "bool", "timestamptz", "date", "jsonb", "_text", "uuid", "bytea", "inet"]),
    ("INSERT INTO item (code, n) VALUES ($1, $2), ($3, $4) ON CONFLICT (code) DO UPDATE SET n = excluded.n + $5 WHERE item.price > $6", &["text", "int4", "text", "int4", "int4", "numeric"]),
    ("INSERT INTO item (code, n) SELECT $1, $2", &["text", "int4"]),
    ("INSERT INTO item (code, n) SELECT $1, max(n) + $2 FROM item", &["text", "int4"]),
    ("INSERT INTO item (code, n) SELECT * FROM unnest($1::text[], $2::int4[])", &["_text", "_int4"]),
    ("UPDATE item SET n = n + $1, price = $2, tags = array_append(tags, $3), meta = $4 WHERE id = $5", &["int4", "numeric", "text", "jsonb", "int8"]),
    ("UPDATE item SET n = coalesce($1, n), made = $2 WHERE code = ANY ($3) RETURNING n", &["int4", "timestamptz", "_text"]),
    ("UPDATE item SET n = v.n FROM (VALUES ($1::int8, $2::int4)) v(id, n) WHERE v.id = item.id", &["int8", "int4"]),
    ("DELETE FROM item WHERE id = $1 AND made < $2", &["int8", "timestamptz"]),
    ("DELETE FROM item USING item i WHERE i.id = item.id AND i.code = $1", &["text"]),
    ("MERGE INTO item USING (SELECT $1::text AS code, $2::int4 AS n) s ON s.code = item.code WHEN MATCHED THEN UPDATE SET n = s.n + $3 WHEN NOT MATCHED THEN INSERT (code, n) VALUES (s.code, $4)",
        &["text", "int4", "int4", "int4"]),
    ("SELECT jsonb_build_object('a', $1::text, 'b', $2::int4)", &["text", "int4"]),
    ("SELECT jsonb_set(meta, $1, $2) FROM item", &["_text", "jsonb"]),
    ("SELECT concat($1::text, $2::text), format('%s', $3::text)", &["text", "text", "text"]),
    ("SELECT position($1 IN code), strpos(code, $2), replace(code, $3, $4) FROM item", &["text", "text", "text", "text"]),
    ("SELECT string_agg(code, $1) FROM item", &["text"]),
    ("SELECT set_config($1, $2, $3)", &["text", "text", "bool"]),
    ("SELECT pg_notify($1, $2)", &["text", "text"]),
    ("SELECT pg_advisory_xact_lock($1)", &["int8"]),
    ("SELECT pg_terminate_backend($1)", &["int4"]),
    ("SELECT $1::mood, $2::pair", &["mood", "pair"]),
    ("SELECT id FROM item WHERE id = $1 FOR UPDATE", &["int8"]),
    ("SELECT nextval($1)", &["regclass"]),
    ("SELECT relname FROM pg_class WHERE oid = $1", &["oid"]),
    ("SELECT relname FROM pg_class WHERE relname = $1", &["name"]),
    ("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", &["name"]),
];

async fn inferred(client: &Client) -> Done {
    client
        .batch_execute(
            "CREATE TABLE item (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL CONSTRAINT item_code UNIQUE, n int4 CONSTRAINT item_n CHECK (n >= 0), price numeric(10,2) DEFAULT 1,
               ok bool, made timestamptz NOT NULL DEFAULT now(), day date, meta jsonb, tags text[], token uuid, raw bytea, ip inet)",
        )
        .await?;
    for (sql, wanted) in INFERRED {
        // FAILS: the types of these parameters.
        if !all() && (sql.contains("tags[$1]") || sql.contains("CASE n WHEN") || sql.contains("substring(code FROM") || sql.contains("nextval($1)")) {
            continue;
        }
        if let Some(statement) = works(sql, client.prepare(sql).await) {
            same(&format!("the parameters of {sql}"), statement.params().iter().map(Type::name).collect::<Vec<_>>(), *wanted);
        }
    }
    let statement = client.prepare("SELECT code, n + 1 AS m, price FROM item").await?;
    let place = client.query_one("SELECT 'item'::regclass::oid", &[]).await?.get::<_, u32>(0);
    let columns: Vec<_> = statement.columns().iter().map(|column| (column.name(), column.table_oid(), column.column_id(), column.type_modifier())).collect();
    same("the columns of item", columns, vec![("code", Some(place), Some(2), -1), ("m", None, None, -1), ("price", Some(place), Some(4), (10 << 16) + 2 + 4)]);
    // Arrays of two dimensions are not the driver's.
    Ok(())
}

/// Statements, by each of the driver's ways.
async fn statements(client: &Client) -> Done {
    let insert = client.prepare("INSERT INTO item (code, n, price, made, meta, tags) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id").await?;
    let made = Utc.with_ymd_and_hms(2024, 1, 2, 3, 4, 5).single().expect("a time");
    for n in 1..=3_i32 {
        let row = client.query_one(&insert, &[&format!("c{n}"), &n, &Decimal::new(150, 2), &made, &json!({"n": n}), &vec!["a", "b"]]).await?;
        same("INSERT INTO item", row.get::<_, i64>("id"), i64::from(n));
    }
    let sql = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO item%'";
    value(client, sql, &[], 1_i64).await;
    drop(insert);
    value(client, sql, &[], 0_i64).await;
    // A type that the client chooses.
    let typed = client.prepare_typed("SELECT $1, $2", &[Type::INT8, Type::FLOAT8_ARRAY]).await?;
    same("prepare_typed", typed.params(), &[Type::INT8, Type::FLOAT8_ARRAY]);
    let row = client.query_one(&typed, &[&5_i64, &vec![1.5]]).await?;
    same("prepare_typed", (row.get::<_, i64>(0), row.get::<_, Vec<f64>>(1)), (5, vec![1.5]));
    let typed = client.prepare_typed("SELECT $1, $2 + 1", &[Type::UNKNOWN, Type::INT2]).await?;
    same("prepare_typed of one", (typed.params(), typed.columns()[1].type_()), (&[Type::TEXT, Type::INT2][..], &Type::INT4));
    let rows = client.query_typed("SELECT code, n FROM item WHERE n > $1 AND tags && $2 ORDER BY n", &[(&1_i32, Type::INT4), (&vec!["b"], Type::TEXT_ARRAY)]).await?;
    same("query_typed", rows.iter().map(|row| row.get::<_, String>("code")).collect::<Vec<_>>(), vec!["c2", "c3"]);
    same("execute_typed", client.execute_typed("UPDATE item SET n = n + $1", &[(&0_i32, Type::INT4)]).await?, 3);
    let stream = client.query_typed_raw("SELECT $1", [(7_i32, Type::INT4)]).await?;
    pin_mut!(stream);
    same("query_typed_raw", stream.try_next().await?.map(|row| row.get::<_, i32>(0)), Some(7));
    // Streams of rows.
    let stream = client.query_raw("SELECT g, g::text || $1 FROM generate_series(1, $2::int4) g ORDER BY g", [&"x" as &(dyn ToSql + Sync), &50_000_i32]).await?;
    pin_mut!(stream);
    let (mut sum, mut last) = (0, String::new());
    while let Some(row) = stream.try_next().await? {
        sum += i64::from(row.try_get::<_, i32>(0)?);
        last = row.try_get(1)?;
    }
    same("query_raw", (sum, last.as_str(), stream.rows_affected()), (1_250_025_000, "50000x", Some(50_000)));
    {
        let early = client.query_raw("SELECT g FROM generate_series(1, 200000) g ORDER BY g", Vec::<i32>::new()).await?;
        pin_mut!(early);
        same("the first row", early.try_next().await?.map(|row| row.get::<_, i32>(0)), Some(1));
    }
    value(client, "SELECT 1", &[], 1).await;
    same("execute_raw", client.execute_raw("UPDATE item SET ok = n > $1", [2_i32]).await?, 3);
    // What a command says that it did.
    for (sql, wanted) in [
        ("INSERT INTO item (code) VALUES ('d'), ('e')", 2),
        ("INSERT INTO item (code) VALUES ('d') ON CONFLICT DO NOTHING", 0),
        ("UPDATE item SET n = 9 WHERE code IN ('d', 'e')", 2),
        ("SELECT * FROM item", 5),
        ("DELETE FROM item WHERE n = 9", 2),
        ("CREATE INDEX item_price ON item (price)", 0),
        ("SET extra_float_digits = 3", 0),
        ("", 0),
        ("MERGE INTO item USING (VALUES ('c1')) v(code) ON v.code = item.code WHEN MATCHED THEN UPDATE SET n = 1", 1),
        ("CREATE TEMP TABLE made AS SELECT * FROM item", 3),
        ("WITH gone AS (DELETE FROM made RETURNING *) SELECT * FROM gone", 3),
    ] {
        gives(sql, client.execute(sql, &[]).await, wanted);
    }
    gives("query_opt", client.query_opt("SELECT 1 FROM item WHERE code = $1", &[&"none"]).await.map(|row| row.is_some()), false);
    for sql in ["SELECT code FROM item", "SELECT code FROM item WHERE false"] {
        let told = client.query_one(sql, &[]).await.err().map(|error| error.to_string());
        same(sql, told.as_deref(), Some("query returned an unexpected number of rows"));
    }
    gives("query_scalar", client.query_scalar::<String, _>("SELECT code FROM item ORDER BY code", &[]).await, vec!["c1".to_string(), "c2".into(), "c3".into()]);
    gives("query_one_scalar", client.query_one_scalar::<i64, _>("SELECT count(*) FROM item", &[]).await, 3_i64);
    let upsert = "INSERT INTO item (code, n) VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET n = item.n + excluded.n RETURNING n";
    value(client, upsert, &[&"c1", &41], 42).await;
    // FAILS: there is no xmax, by which an upsert tells what it inserted.
    if all() {
        value(client, "INSERT INTO item (code) VALUES ('c1') ON CONFLICT (code) DO UPDATE SET n = 1 RETURNING xmax = 0", &[], false).await;
    }
    let rows = client.query("SELECT * FROM item WHERE n < $1", &[&0]).await?;
    same("no rows", rows.len(), 0);
    let row = client.query_one("SELECT 1 AS a, 'x' AS a, NULL::int4 AS n", &[]).await?;
    same("columns by name", (row.get::<_, i32>("a"), row.get::<_, String>(1), row.get::<_, Option<i32>>("n")), (1, "x".into(), None));
    same("a value of another type", row.try_get::<_, String>(0).map_err(|error| chain(&error)), Err("error deserializing column 0: cannot convert between the Rust type `alloc::string::String` and the Postgres type `int4`".into()));
    same("NULL where none may be", row.try_get::<_, i32>(2).is_err(), true);
    let wrong = client.query("SELECT $1::int4", &[&"text"]).await.map(|_| ()).map_err(|error| chain(&error));
    same("a parameter of another type", wrong, Err("error serializing parameter 0: cannot convert between the Rust type `&str` and the Postgres type `int4`".into()));
    // A table that gets another column under a prepared statement.
    client.batch_execute("CREATE TEMP TABLE wide (a int4); INSERT INTO wide VALUES (1)").await?;
    let star = client.prepare("SELECT * FROM wide").await?;
    client.batch_execute("ALTER TABLE wide ADD COLUMN b int4 DEFAULT 2").await?;
    state("a prepared statement of other columns", client.query(&star, &[]).await, &SqlState::FEATURE_NOT_SUPPORTED);
    // Many parameters.
    let marks: Vec<_> = (1..=30_000).map(|n| format!("(${n}::int4)")).collect();
    let given: Vec<i32> = (1..=30_000).collect();
    let values: Vec<&(dyn ToSql + Sync)> = given.iter().map(|n| n as _).collect();
    let many = format!("SELECT sum(n) FROM (VALUES {}) v(n)", marks.join(", "));
    gives("30000 parameters", client.query_one(&many, &values).await.map(|row| row.get::<_, i64>(0)), 450_015_000);
    let large = "é".repeat(2_000_000);
    value(client, "SELECT length($1), $1", &[&large], 2_000_000).await;
    gives("a large value", client.query_one("SELECT $1", &[&large]).await.map(|row| row.get::<_, String>(0) == large), true);
    client.batch_execute("PREPARE own (int4) AS SELECT $1 * 2").await?;
    gives("EXECUTE", client.query_one("EXECUTE own(4)", &[]).await.map(|row| row.get::<_, i32>(0)), 8);
    Ok(())
}

async fn portals(client: &mut Client) -> Done {
    let transaction = client.transaction().await?;
    let statement = transaction.prepare("SELECT g FROM generate_series(1, $1::int4) g ORDER BY g").await?;
    let (one, two) = (transaction.bind(&statement, &[&10]).await?, transaction.bind("SELECT 'p' || g FROM generate_series(1, 3) g ORDER BY g", &[]).await?);
    let numbers = |rows: Vec<Row>| rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>();
    gives("query_portal", transaction.query_portal(&one, 3).await.map(numbers), vec![1, 2, 3]);
    gives("another portal", transaction.query_portal(&two, 2).await.map(|rows| rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()), vec!["p1", "p2"]);
    gives("query_portal", transaction.query_portal(&one, 4).await.map(numbers), vec![4, 5, 6, 7]);
    let named = transaction.query("SELECT count(*) FROM pg_cursors", &[]).await.map(|rows| rows[0].get::<_, i64>(0));
    // FAILS: portals are not in pg_cursors.
    if all() {
        gives("pg_cursors, itself among them", named, 3);
    }
    {
        let rest = transaction.query_portal_raw(&one, 0).await?;
        pin_mut!(rest);
        let mut rows = vec![];
        while let Some(row) = rest.try_next().await? {
            rows.push(row);
        }
        same("query_portal_raw", (numbers(rows), rest.rows_affected()), (vec![8, 9, 10], Some(3)));
    }
    gives("a portal at its end", transaction.query_portal(&one, 1).await.map(|rows| rows.len()), 0);
    let returning = transaction.bind("INSERT INTO item (code) SELECT 'p' || g FROM generate_series(1, 5) g RETURNING code", &[]).await?;
    gives("a portal of INSERT", transaction.query_portal(&returning, 2).await.map(|rows| rows.len()), 2);
    gives("all of INSERT is done", transaction.query_one("SELECT count(*) FROM item WHERE code LIKE 'p_'", &[]).await.map(|row| row.get::<_, i64>(0)), 5);
    drop(two);
    if all() {
        gives("a dropped portal is closed", transaction.query_one("SELECT count(*) FROM pg_cursors WHERE name LIKE 'p%'", &[]).await.map(|row| row.get::<_, i64>(0)), 2);
    }
    let wrong = transaction.bind("SELECT 10 / (3 - g) FROM generate_series(1, 5) g", &[]).await?;
    // FAILS: the rows before an error of the same batch do not come.
    if all() {
        gives("a portal before its error", transaction.query_portal(&wrong, 2).await.map(numbers), vec![5, 10]);
    }
    state("a portal at its error", transaction.query_portal(&wrong, 2).await, &SqlState::DIVISION_BY_ZERO);
    // FAILS: a portal of a failed transaction goes on.
    if all() {
        state("a portal of a failed transaction", transaction.query_portal(&one, 1).await, &SqlState::IN_FAILED_SQL_TRANSACTION);
    }
    transaction.rollback().await?;
    // Cursors of the session.
    let transaction = client.transaction().await?;
    transaction.batch_execute("DECLARE c SCROLL CURSOR FOR SELECT g FROM generate_series(1, 9) g").await?;
    gives("FETCH 2", transaction.query("FETCH 2 FROM c", &[]).await.map(numbers), vec![1, 2]);
    gives("FETCH LAST", transaction.query("FETCH LAST FROM c", &[]).await.map(numbers), vec![9]);
    gives("FETCH BACKWARD 2", transaction.query("FETCH BACKWARD 2 FROM c", &[]).await.map(numbers), vec![8, 7]);
    gives("MOVE", transaction.execute("MOVE ABSOLUTE 3 IN c", &[]).await, 1);
    transaction.commit().await
}

async fn copies(client: &mut Client) -> Done {
    client.batch_execute("CREATE TABLE target (id int4 PRIMARY KEY, t text, n numeric(8,2))").await?;
    let read = async |client: &Client, sql: &str| {
        let stream = client.copy_out(sql).await?;
        let parts: Vec<_> = stream.try_collect().await?;
        Ok::<_, Error>(String::from_utf8(parts.concat()).expect("a text"))
    };
    let lines: Vec<String> = (0..20_000).map(|n| format!("{n}\t{}\t{n}.50\n", if n % 7 == 0 { "\\N".into() } else { format!("t\\t{n}") })).collect();
    let sink = client.copy_in("COPY target FROM STDIN").await?;
    pin_mut!(sink);
    for line in &lines {
        sink.feed(std::io::Cursor::new(line.clone().into_bytes())).await?;
    }
    gives("COPY FROM", sink.finish().await, 20_000);
    gives("COPY TO", read(client, "COPY (SELECT * FROM target ORDER BY id) TO STDOUT").await, lines.concat());
    gives("COPY TO as CSV", read(client, "COPY (SELECT * FROM target WHERE id < 2 ORDER BY id) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (t))").await, "id,t,n\n0,,0.50\n1,\"t\t1\",1.50\n");
    let csv = client.copy_in("COPY target (id, t) FROM STDIN (FORMAT csv, HEADER MATCH, NULL 'nil', DELIMITER ';')").await?;
    pin_mut!(csv);
    csv.send(&b"id;t\n30001;\"a;\"\"b\"\n30002;nil\n"[..]).await?;
    gives("COPY FROM as CSV", csv.finish().await, 2);
    list(client, "SELECT t FROM target WHERE id > 30000 ORDER BY id", &[], vec![Some("a;\"b".to_string()), None]).await;
    // Errors: a bad line, a copy that is given up, a key that is there.
    let bad = client.copy_in("COPY target FROM STDIN").await?;
    pin_mut!(bad);
    bad.send(&b"90000\tx\ty\n"[..]).await?;
    let told = state("COPY FROM of a bad line", bad.finish().await, &SqlState::INVALID_TEXT_REPRESENTATION);
    same("the place of a bad line", told.and_then(|told| told.where_().map(String::from)).as_deref(), Some("COPY target, line 1, column n: \"y\""));
    {
        let dropped = client.copy_in("COPY target FROM STDIN").await?;
        pin_mut!(dropped);
        dropped.send(&b"50000\tx\t1\n"[..]).await?;
    }
    value(client, "SELECT count(*) FROM target WHERE id = 50000", &[], 0_i64).await;
    let twice = client.copy_in("COPY target FROM STDIN").await?;
    pin_mut!(twice);
    twice.send(&b"1\tx\t1\n"[..]).await?;
    state("COPY FROM of a key that is there", twice.finish().await, &SqlState::UNIQUE_VIOLATION);
    // Binary, of every type.
    client.batch_execute("CREATE TABLE typed (i2 int2, i8 int8, f float8, n numeric, ok bool, t text, b bytea, d date, tz timestamptz, u uuid, j jsonb, ia int4[], ta text[], ip inet, m mood)").await?;
    let statement = client.prepare("SELECT * FROM typed").await?;
    let kinds: Vec<Type> = statement.columns().iter().map(|column| column.type_().clone()).collect();
    let sink = client.copy_in("COPY typed FROM STDIN (FORMAT binary)").await?;
    let writer = BinaryCopyInWriter::new(sink, &kinds);
    pin_mut!(writer);
    let at = Utc.with_ymd_and_hms(2024, 1, 2, 3, 4, 5).single().expect("a time");
    let (number, day, token) = (Decimal::new(-12345, 3), at.date_naive(), uuid::Uuid::from_u128(7));
    let (document, ip) = (json!({"a": [1]}), "10.0.0.1".parse::<IpAddr>().expect("an address"));
    for n in 0..5000_i64 {
        writer
            .as_mut()
            .write(&[&(n as i16), &n, &1.5, &number, &true, &"é", &&b"\0\xff"[..], &day, &at, &token, &document, &vec![1, 2], &vec![Some("x"), None], &ip, &Mood::VeryHappy])
            .await?;
    }
    let none = None::<i32>;
    writer
        .as_mut()
        .write(&[&None::<i16>, &None::<i64>, &None::<f64>, &None::<Decimal>, &None::<bool>, &None::<&str>, &None::<&[u8]>, &None::<NaiveDate>, &None::<DateTime<Utc>>, &None::<uuid::Uuid>, &None::<serde_json::Value>,
            &none.map(|n| vec![n]), &None::<Vec<&str>>, &None::<IpAddr>, &None::<Mood>])
        .await?;
    gives("BinaryCopyInWriter", writer.finish().await, 5001);
    value(client, "SELECT count(*) FROM typed WHERE n = -12.345 AND t = 'é' AND j = '{\"a\": [1]}' AND u = $1 AND tz = $2 AND ip = $3 AND ia = '{1,2}' AND m = 'very_happy'", &[&token, &at, &ip], 5000_i64).await;
    let stream = BinaryCopyOutStream::new(client.copy_out("COPY (SELECT * FROM typed ORDER BY i8) TO STDOUT (FORMAT binary)").await?, &kinds);
    let rows: Vec<_> = stream.try_collect().await?;
    same("BinaryCopyOutStream", rows.len(), 5001);
    if let [first, .., last] = &rows[..] {
        let got = (first.get::<Decimal>(3), first.get::<&str>(5), first.get::<DateTime<Utc>>(8), first.get::<serde_json::Value>(10), first.get::<Vec<Option<String>>>(12), first.get::<IpAddr>(13), first.get::<Mood>(14));
        same("a row in binary", got, (number, "é", at, document.clone(), vec![Some("x".into()), None], ip, Mood::VeryHappy));
        same("NULL in binary", (last.get::<Option<i16>>(0), last.get::<Option<Vec<i32>>>(11), last.get::<Option<Mood>>(14)), (None, None, None));
    }
    {
        let left = BinaryCopyOutStream::new(client.copy_out("COPY (SELECT g FROM generate_series(1, 200000) g ORDER BY g) TO STDOUT (FORMAT binary)").await?, &[Type::INT4]);
        pin_mut!(left);
        same("a copy that is left", left.try_next().await?.map(|row| row.get::<i32>(0)), Some(1));
    }
    let transaction = client.transaction().await?;
    let sink = transaction.copy_in("COPY target (id) FROM STDIN").await?;
    pin_mut!(sink);
    sink.send(&b"60000\n"[..]).await?;
    gives("COPY in a transaction", sink.finish().await, 1);
    transaction.rollback().await?;
    value(client, "SELECT count(*) FROM target WHERE id = 60000", &[], 0_i64).await;
    // The driver does not get over a COPY FROM that fails at once.
    state("COPY of no table", client.copy_out("COPY nowhere TO STDOUT").await, &SqlState::UNDEFINED_TABLE);
    Ok(())
}

async fn pipelines() -> Done {
    let (client, _messages) = connect(&config()).await?;
    let client = Arc::new(client);
    let statement = client.prepare("SELECT 100 / $1::int4").await?;
    let given: Vec<i32> = (0..100).map(|n| n % 10).collect();
    let got = join_all(given.iter().map(|n| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[n]).await.map(|row| row.get::<_, i32>(0)).map_err(|error| error.code().cloned()) }
    }));
    let wanted: Vec<_> = given.iter().map(|n| 100_i32.checked_div(*n).ok_or(Some(SqlState::DIVISION_BY_ZERO))).collect();
    same("a pipeline", got.await, wanted);
    let (one, two) = try_join(client.prepare("SELECT 1"), client.prepare("SELECT $1::mood")).await?;
    same("statements prepared at once", (one.columns().len(), two.params().len()), (1, 1));
    let tasks = (0..20).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.query_one("SELECT $1::int4 * 2", &[&n]).await.map(|row| row.get::<_, i32>(0)) })
    });
    for (n, task) in (0..).zip(join_all(tasks).await) {
        gives("a task of the pipeline", task.expect("a task"), n * 2);
    }
    // A transaction of statements that do not wait for each other.
    client.batch_execute("CREATE TEMP TABLE piped (n int4 PRIMARY KEY)").await?;
    let insert = client.prepare("INSERT INTO piped VALUES ($1)").await?;
    client.batch_execute("BEGIN").await?;
    let numbers: Vec<i32> = (0..50).collect();
    gives("INSERT in a pipeline", try_join_all(numbers.iter().map(|n| client.execute_raw(&insert, [n]))).await.map(|done| done.iter().sum::<u64>()), 50);
    client.batch_execute("COMMIT").await?;
    value(&client, "SELECT count(*) FROM piped", &[], 50_i64).await;
    Ok(())
}

async fn transactions(client: &mut Client) -> Done {
    let (other, _messages) = connect(&config()).await?;
    client.batch_execute("CREATE TABLE entry (n int4 PRIMARY KEY)").await?;
    let insert = "INSERT INTO entry VALUES ($1)";
    let mut transaction = client.transaction().await?;
    transaction.execute(insert, &[&1]).await?;
    let savepoint = transaction.transaction().await?;
    savepoint.execute(insert, &[&2]).await?;
    savepoint.rollback().await?;
    let mut savepoint = transaction.savepoint("own_name").await?;
    savepoint.execute(insert, &[&3]).await?;
    {
        let inner = savepoint.transaction().await?;
        inner.execute(insert, &[&4]).await?;
        state("in a savepoint", inner.execute(insert, &[&4]).await, &SqlState::UNIQUE_VIOLATION);
        state("in a failed savepoint", inner.query("SELECT 1", &[]).await, &SqlState::IN_FAILED_SQL_TRANSACTION);
        // Dropped, it rolls back.
    }
    savepoint.commit().await?;
    list::<i32>(&other, "SELECT n FROM entry", &[], vec![]).await;
    transaction.commit().await?;
    list(&other, "SELECT n FROM entry ORDER BY n", &[], vec![1, 3]).await;
    {
        let dropped = client.transaction().await?;
        dropped.execute(insert, &[&5]).await?;
    }
    list(client, "SELECT n FROM entry ORDER BY n", &[], vec![1, 3]).await;
    let failed = client.transaction().await?;
    state("a failed transaction", failed.query("SELECT 1 / 0", &[]).await, &SqlState::DIVISION_BY_ZERO);
    works("COMMIT of a failed transaction", failed.commit().await);
    let level = "SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')";
    for (isolation, name) in [(IsolationLevel::ReadUncommitted, "read uncommitted"), (IsolationLevel::ReadCommitted, "read committed"), (IsolationLevel::RepeatableRead, "repeatable read"), (IsolationLevel::Serializable, "serializable")] {
        // FAILS: SERIALIZABLE; READ UNCOMMITTED is shown as READ COMMITTED.
        if !all() && matches!(name, "serializable" | "read uncommitted") {
            continue;
        }
        let transaction = client.build_transaction().isolation_level(isolation).read_only(true).start().await;
        if let Some(transaction) = works(name, transaction) {
            gives(name, transaction.query_one(level, &[]).await.map(|row| row.get::<_, String>(0)), format!("{name} on"));
            state("INSERT in a read-only transaction", transaction.execute(insert, &[&6]).await, &SqlState::READ_ONLY_SQL_TRANSACTION);
            transaction.rollback().await?;
        }
    }
    // One state, and a conflict.
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).deferrable(true).start().await?;
    gives("count", transaction.query_one("SELECT count(*) FROM entry", &[]).await.map(|row| row.get::<_, i64>(0)), 2);
    other.batch_execute("INSERT INTO entry VALUES (7); UPDATE entry SET n = 10 WHERE n = 1").await?;
    gives("count", transaction.query_one("SELECT count(*) FROM entry", &[]).await.map(|row| row.get::<_, i64>(0)), 2);
    state("a row that another changed", transaction.execute("UPDATE entry SET n = 11 WHERE n = 1", &[]).await, &SqlState::T_R_SERIALIZATION_FAILURE);
    transaction.rollback().await?;
    // Who waits, and who does not wait for long.
    let transaction = client.transaction().await?;
    transaction.execute("UPDATE entry SET n = 20 WHERE n = 10", &[]).await?;
    other.batch_execute("SET lock_timeout = 100").await?;
    state("lock_timeout", other.execute("UPDATE entry SET n = 21 WHERE n = 10", &[]).await, &SqlState::LOCK_NOT_AVAILABLE);
    state("NOWAIT", other.query("SELECT n FROM entry WHERE n = 10 FOR UPDATE NOWAIT", &[]).await, &SqlState::LOCK_NOT_AVAILABLE);
    // FAILS: SKIP LOCKED.
    if all() {
        list(&other, "SELECT n FROM entry ORDER BY n FOR UPDATE SKIP LOCKED", &[], vec![3, 7]).await;
    }
    other.batch_execute("RESET lock_timeout").await?;
    let (waited, ()) = tokio::join!(other.execute("UPDATE entry SET n = n + 1 WHERE n >= 10", &[]), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        works("COMMIT", transaction.commit().await);
    });
    gives("an UPDATE that waited", waited, 1);
    list(client, "SELECT n FROM entry ORDER BY n", &[], vec![3, 7, 21]).await;
    Ok(())
}

async fn errors(client: &Client) -> Done {
    client.batch_execute("CREATE TABLE parent (id int4 PRIMARY KEY, short varchar(3), n int4 NOT NULL); CREATE TABLE child (parent int4 CONSTRAINT child_parent REFERENCES parent)").await?;
    let told = |told: &DbError| {
        format!("{:?}", (told.message(), told.detail(), told.hint(), told.schema(), told.table(), told.column(), told.constraint(), told.position().map(|place| match place {
            ErrorPosition::Original(place) => *place,
            ErrorPosition::Internal { .. } => 0,
        })))
    };
    type Fields<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<u32>);
    let own = Some("tokio_check");
    let wanted: &[(&str, &SqlState, Fields<'_>)] = &[
        ("INSERT INTO item (code) VALUES ('c1')", &SqlState::UNIQUE_VIOLATION,
            ("duplicate key value violates unique constraint \"item_code\"", Some("Key (code)=(c1) already exists."), None, own, Some("item"), None, Some("item_code"), None)),
        ("INSERT INTO parent VALUES (1, 'a', NULL)", &SqlState::NOT_NULL_VIOLATION,
            ("null value in column \"n\" of relation \"parent\" violates not-null constraint", Some("Failing row contains (1, a, null)."), None, own, Some("parent"), Some("n"), None, None)),
        ("UPDATE item SET n = -1 WHERE code = 'c2'", &SqlState::CHECK_VIOLATION,
            ("new row for relation \"item\" violates check constraint \"item_n\"", None, None, own, Some("item"), None, Some("item_n"), None)),
        ("INSERT INTO parent VALUES (1, 'long', 1)", &SqlState::STRING_DATA_RIGHT_TRUNCATION, ("value too long for type character varying(3)", None, None, None, None, None, None, None)),
        ("SELECT nme FROM item", &SqlState::UNDEFINED_COLUMN, ("column \"nme\" does not exist", None, None, None, None, None, None, Some(8))),
        ("SELECT cod FROM item", &SqlState::UNDEFINED_COLUMN, ("column \"cod\" does not exist", None, Some("Perhaps you meant to reference the column \"item.code\"."), None, None, None, None, Some(8))),
        ("SELECT é.x, 1 FROM nowhere", &SqlState::UNDEFINED_TABLE, ("relation \"nowhere\" does not exist", None, None, None, None, None, None, Some(20))),
        ("SELEC 1", &SqlState::SYNTAX_ERROR, ("syntax error at or near \"SELEC\"", None, None, None, None, None, None, Some(1))),
        ("SELECT 1 +", &SqlState::SYNTAX_ERROR, ("syntax error at end of input", None, None, None, None, None, None, Some(11))),
        ("SELECT nothing(1)", &SqlState::UNDEFINED_FUNCTION,
            ("function nothing(integer) does not exist", None, Some("No function matches the given name and argument types. You might need to add explicit type casts."), None, None, None, None, Some(8))),
        ("SELECT 1 / 0", &SqlState::DIVISION_BY_ZERO, ("division by zero", None, None, None, None, None, None, None)),
        ("SELECT 'x'::int4", &SqlState::INVALID_TEXT_REPRESENTATION, ("invalid input syntax for type integer: \"x\"", None, None, None, None, None, None, Some(8))),
        ("SELECT 2147483648::int4", &SqlState::NUMERIC_VALUE_OUT_OF_RANGE, ("integer out of range", None, None, None, None, None, None, None)),
        ("SELECT code FROM item GROUP BY n", &SqlState::GROUPING_ERROR,
            ("column \"item.code\" must appear in the GROUP BY clause or be used in an aggregate function", None, None, None, None, None, None, Some(8))),
        ("SELECT id FROM item, item i", &SqlState::AMBIGUOUS_COLUMN, ("column reference \"id\" is ambiguous", None, None, None, None, None, None, Some(8))),
        ("SELECT n + code FROM item", &SqlState::UNDEFINED_FUNCTION,
            ("operator does not exist: integer + text", None, Some("No operator matches the given name and argument types. You might need to add explicit type casts."), None, None, None, None, Some(10))),
        ("CREATE TABLE item (a int4)", &SqlState::DUPLICATE_TABLE, ("relation \"item\" already exists", None, None, None, None, None, None, None)),
        ("INSERT INTO item (id, code) VALUES (1, 'z')", &SqlState::GENERATED_ALWAYS,
            ("cannot insert a non-DEFAULT value into column \"id\"", Some("Column \"id\" is an identity column defined as GENERATED ALWAYS."), Some("Use OVERRIDING SYSTEM VALUE to override."), None, None, None, None, None)),
        ("SELECT (SELECT n FROM item)", &SqlState::CARDINALITY_VIOLATION, ("more than one row returned by a subquery used as an expression", None, None, None, None, None, None, None)),
        ("SELECT '2020-13-01'::date", &SqlState::DATETIME_FIELD_OVERFLOW,
            ("date/time field value out of range: \"2020-13-01\"", None, Some("Perhaps you need a different \"DateStyle\" setting."), None, None, None, None, Some(8))),
        ("SELECT '{'::jsonb", &SqlState::INVALID_TEXT_REPRESENTATION, ("invalid input syntax for type json", Some("The input string ended unexpectedly."), None, None, None, None, None, Some(8))),
        ("SET nothing = 1", &SqlState::UNDEFINED_OBJECT, ("unrecognized configuration parameter \"nothing\"", None, None, None, None, None, None, None)),
        ("INSERT INTO child VALUES (99)", &SqlState::FOREIGN_KEY_VIOLATION,
            ("insert or update on table \"child\" violates foreign key constraint \"child_parent\"", Some("Key (parent)=(99) is not present in table \"parent\"."), None, own, Some("child"), None, Some("child_parent"), None)),
    ];
    for (sql, code, fields) in wanted {
        // FAILS: foreign keys are not enforced.
        if !all() && **code == SqlState::FOREIGN_KEY_VIOLATION {
            continue;
        }
        // FAILS: these hints, the detail of wrong JSON, the place of an operator.
        let differs = ["SELECT cod ", "SELECT n + code", "INSERT INTO item (id", "SELECT '2020-13", "SELECT '{'"].iter().any(|begin| sql.starts_with(begin));
        if let Some(error) = state(sql, client.execute(*sql, &[]).await, code) {
            same(sql, told(&error), if **code == SqlState::CHECK_VIOLATION || !all() && differs { told(&error) } else { format!("{fields:?}") });
            same(sql, (error.severity(), error.message(), error.constraint()), ("ERROR", fields.0, fields.6));
        }
    }
    let told = state("batch_execute", client.batch_execute("INSERT INTO entry VALUES (90);\nSELECT nme FROM item").await, &SqlState::UNDEFINED_COLUMN);
    same("the position in several statements", told.and_then(|told| told.position().cloned()), Some(ErrorPosition::Original(39)));
    value(client, "SELECT count(*) FROM entry WHERE n = 90", &[], 0_i64).await;
    Ok(())
}

async fn cancellation() -> Done {
    let (client, _messages) = connect(&config()).await?;
    for long in [LONG, "SELECT pg_sleep(30)", "SELECT a FROM generate_series(1, 1000000000) a ORDER BY a"] {
        let token = client.cancel_token();
        let began = Instant::now();
        let (answer, sent) = tokio::join!(client.query(long, &[]), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            token.cancel_query(NoTls).await
        });
        works("cancel_query", sent);
        let told = state(long, answer, &SqlState::QUERY_CANCELED);
        same(long, told.as_ref().map(DbError::message), Some("canceling statement due to user request"));
        client.batch_execute("SET statement_timeout = 100").await?;
        let told = state(long, client.query(long, &[]).await, &SqlState::QUERY_CANCELED);
        same(long, told.as_ref().map(DbError::message), Some("canceling statement due to statement timeout"));
        client.batch_execute("SET statement_timeout = 60000").await?;
        // FAILS: a nested loop is cancelled after seconds.
        same(&format!("in time: {long}"), began.elapsed() < Duration::from_secs(5) || !all() && long == LONG, true);
    }
    // A future that is given up: what it asked runs on, unless it is cancelled, and its answer is nobody's.
    same("a timeout of the client's", timeout(Duration::from_millis(100), client.query("SELECT pg_sleep(20)", &[])).await.is_err(), true);
    client.cancel_token().cancel_query(NoTls).await?;
    value(&client, "SELECT 1", &[], 1).await;
    // A cancel request between statements does nothing.
    client.cancel_token().cancel_query(NoTls).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    value(&client, "SELECT 2", &[], 2).await;
    // Sessions that end.
    let (victim, _messages) = connect(&config()).await?;
    let number = victim.query_one("SELECT pg_backend_pid()", &[]).await?.get::<_, i32>(0);
    let (ended, ()) = tokio::join!(victim.query("SELECT pg_sleep(30)", &[]), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        value(&client, "SELECT pg_terminate_backend($1)", &[&number], true).await;
    });
    state("a session that is ended", ended, &SqlState::ADMIN_SHUTDOWN);
    tokio::time::sleep(Duration::from_millis(100)).await;
    same("it is closed", victim.is_closed(), true);
    same("what it says then", victim.query("SELECT 1", &[]).await.err().map(|error| error.is_closed()), Some(true));
    client.batch_execute("SET idle_in_transaction_session_timeout = 200; BEGIN").await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    same("a session idle in a transaction is ended", client.query("SELECT 1", &[]).await.is_err(), true);
    Ok(())
}

async fn notifications() -> Done {
    let (client, mut messages) = connect(&config()).await?;
    let (other, _messages) = connect(&config()).await?;
    let mut heard = async |wanted: usize| {
        let mut all = vec![];
        while all.len() < wanted {
            match timeout(Duration::from_secs(5), messages.recv()).await {
                Ok(Some(AsyncMessage::Notification(told))) => all.push(format!("{} {}", told.channel(), told.payload())),
                Ok(Some(AsyncMessage::Notice(told))) => all.push(format!("{} {} {}", told.severity(), told.code().code(), told.message())),
                _ => break,
            }
        }
        all
    };
    client.batch_execute("LISTEN one; LISTEN \"Two, é\"").await?;
    other.batch_execute("NOTIFY one").await?;
    same("NOTIFY", heard(1).await, vec!["one "]);
    other.execute("SELECT pg_notify($1, $2)", &[&"Two, é", &"said é"]).await?;
    same("pg_notify", heard(1).await, vec!["Two, é said é"]);
    client.batch_execute("NOTIFY one, 'own'").await?;
    same("one's own", heard(1).await, vec!["one own"]);
    other.batch_execute("BEGIN; NOTIFY one, 'a'; NOTIFY one, 'a'; NOTIFY one, 'b'; SAVEPOINT s; NOTIFY one, 'c'; ROLLBACK TO s; COMMIT").await?;
    same("of a transaction", heard(2).await, vec!["one a", "one b"]);
    other.batch_execute("BEGIN; NOTIFY one, 'lost'; ROLLBACK").await?;
    list(&client, "SELECT pg_listening_channels() ORDER BY 1", &[], vec!["Two, é".to_string(), "one".into()]).await;
    client.batch_execute("UNLISTEN one").await?;
    other.batch_execute("NOTIFY one, 'unheard'; NOTIFY \"Two, é\", 'heard'").await?;
    same("UNLISTEN", heard(1).await, vec!["Two, é heard"]);
    client.batch_execute("UNLISTEN *; DROP TABLE IF EXISTS nowhere").await?;
    same("a notice", heard(1).await, vec!["NOTICE 00000 table \"nowhere\" does not exist, skipping"]);
    client.execute("CREATE TABLE IF NOT EXISTS item (a int4)", &[]).await?;
    same("a notice of a prepared statement", heard(1).await, vec!["NOTICE 42P07 relation \"item\" already exists, skipping"]);
    client.batch_execute("COMMIT").await?;
    same("a warning", heard(1).await, vec!["WARNING 25P01 there is no transaction in progress"]);
    Ok(())
}

async fn simple(client: &Client) -> Done {
    let told = |messages: Vec<SimpleQueryMessage>| {
        let word = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => format!("row {:?}", (0..row.len()).map(|at| row.get(at).map(String::from)).collect::<Vec<_>>()),
            SimpleQueryMessage::CommandComplete(count) => format!("done {count}"),
            SimpleQueryMessage::RowDescription(columns) => format!("columns {}", columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(" ")),
            _ => "?".into(),
        };
        messages.iter().map(word).collect::<Vec<_>>().join("; ")
    };
    for (sql, wanted) in [
        ("SELECT 1 AS a, NULL AS b; SELECT 'x' WHERE false; UPDATE item SET n = 1 WHERE code = 'c1'; CREATE TEMP TABLE s1 (a int4)",
            "columns a b; row [Some(\"1\"), None]; done 1; columns ?column?; done 0; done 1; done 0"),
        ("", "done 0"),
        ("-- nothing\n;", "done 0"),
        ("SELECT true, 1.50, '{1,NULL}'::int4[], '2020-01-02 03:04:05+00'::timestamptz, '\\x00ff'::bytea, 'infinity'::float8, interval '1 day 2 hours', ROW(1, 'a b'), '{\"a\":1}'::jsonb",
            "columns ?column? ?column? int4 timestamptz bytea float8 interval row jsonb; row [Some(\"t\"), Some(\"1.50\"), Some(\"{1,NULL}\"), Some(\"2020-01-02 03:04:05+00\"), Some(\"\\\\x00ff\"), Some(\"Infinity\"), Some(\"1 day 02:00:00\"), Some(\"(1,\\\"a b\\\")\"), Some(\"{\\\"a\\\": 1}\")]; done 1"),
        ("SHOW TimeZone", "columns TimeZone; row [Some(\"UTC\")]; done 0"),
        ("BEGIN; INSERT INTO entry VALUES (50), (51); ROLLBACK", "done 0; done 2; done 0"),
        ("EXPLAIN (COSTS OFF) SELECT 1 WHERE false", ""),
    ] {
        let got = client.simple_query(sql).await.map(&told);
        if wanted.is_empty() {
            works(sql, got);
        } else {
            gives(sql, got, wanted);
        }
    }
    state("an error among several", client.simple_query("SELECT 1; SELECT 1 / 0; SELECT 2").await, &SqlState::DIVISION_BY_ZERO);
    let stream = client.simple_query_raw("SELECT g FROM generate_series(1, 1000) g; SELECT 'end'").await?;
    same("simple_query_raw", stream.try_collect::<Vec<_>>().await?.len(), 1000 + 1 + 4);
    works("check_connection", client.check_connection().await);
    works("batch_execute", client.batch_execute("CREATE TEMP TABLE b1 (a int4); INSERT INTO b1 VALUES (1); DROP TABLE b1; ;").await);
    Ok(())
}

async fn connections() -> Done {
    for (change, wanted) in [("password", SqlState::INVALID_PASSWORD), ("user", SqlState::INVALID_PASSWORD), ("database", SqlState::INVALID_CATALOG_NAME), ("options", SqlState::UNDEFINED_OBJECT)] {
        let mut wrong = config();
        match change {
            "password" => wrong.password("wrong"),
            "user" => wrong.user("nobody"),
            "database" => wrong.dbname("nowhere"),
            _ => wrong.options("-c nothing=1"),
        };
        let told = state(change, connect(&wrong).await.map(|_| ()), &wanted);
        let message = match change {
            "password" => format!("password authentication failed for user \"{}\"", variable("PGUSER")),
            "user" => "password authentication failed for user \"nobody\"".into(),
            "database" => "database \"nowhere\" does not exist".into(),
            _ => "unrecognized configuration parameter \"nothing\"".into(),
        };
        same(change, told.map(|told| (told.severity().to_string(), told.message().to_string())), Some(("FATAL".to_string(), message)));
    }
    let mut no_password = Config::new();
    no_password.host(variable("PGHOST")).port(variable("PGPORT").parse().expect("a port")).user(variable("PGUSER")).dbname(variable("PGDATABASE"));
    same("no password", no_password.connect(NoTls).await.err().map(|error| chain(&error)).as_deref(), Some("invalid configuration: password missing"));
    let mut config = config();
    config.target_session_attrs(TargetSessionAttrs::ReadWrite).ssl_mode(SslMode::Prefer).keepalives_idle(Duration::from_secs(60));
    let (client, mut connection) = config.connect(NoTls).await?;
    same("server_encoding", connection.parameter("server_encoding"), Some("UTF8"));
    for (name, wanted) in [("client_encoding", "UTF8"), ("TimeZone", "UTC"), ("application_name", "check"), ("standard_conforming_strings", "on"), ("integer_datetimes", "on"), ("DateStyle", "ISO, MDY"), ("is_superuser", "on"),
        ("IntervalStyle", "postgres"), ("in_hot_standby", "off"), ("default_transaction_read_only", "off"), ("search_path", "tokio_check"), ("session_authorization", &variable("PGUSER"))] {
        // PostgreSQL tells its search_path since 18.
        same(name, connection.parameter(name), Some(wanted));
    }
    let run = tokio::spawn(async move { futures_util::future::poll_fn(|context| connection.poll_message(context)).await.is_none() });
    for (name, wanted) in [("application_name", "check"), ("search_path", "tokio_check"), ("statement_timeout", "1min"), ("client_encoding", "UTF8")] {
        value(&client, &format!("SHOW {name}"), &[], wanted.to_string()).await;
    }
    value(&client, "SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND application_name = 'check' AND state = 'active'", &[], 1_i64).await;
    drop(client);
    same("the connection ends with its client", timeout(Duration::from_secs(5), run).await.map(|ended| ended.is_ok_and(|ended| ended)).ok(), Some(true));
    let mut read_only = config.clone();
    read_only.target_session_attrs(TargetSessionAttrs::ReadOnly);
    same("target_session_attrs=read-only", read_only.connect(NoTls).await.err().map(|error| chain(&error)).as_deref(), Some("error connecting to server: database is not read only"));
    let mut second = Config::new();
    second.host("127.0.0.1").port(1).host(variable("PGHOST")).port(variable("PGPORT").parse().expect("a port")).user(variable("PGUSER")).password(variable("PGPASSWORD")).dbname(variable("PGDATABASE"));
    works("the second host", second.connect(NoTls).await);
    let several = try_join_all((0..10).map(|_| connect(&config))).await?;
    for (n, (client, _)) in several.iter().enumerate() {
        value(client, "SELECT $1::int4", &[&(n as i32)], n as i32).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    let drop = "DROP SCHEMA IF EXISTS tokio_check CASCADE";
    let (mut client, _messages) = connect(&config()).await.unwrap_or_else(|error| panic!("connect: {}", chain(&error)));
    part("schema", async { client.batch_execute(&format!("{drop}; CREATE SCHEMA tokio_check")).await }).await;
    part("types", types(&client)).await;
    part("user_types", user_types(&client)).await;
    part("inferred", inferred(&client)).await;
    part("statements", statements(&client)).await;
    part("portals", portals(&mut client)).await;
    part("copies", copies(&mut client)).await;
    part("pipelines", pipelines()).await;
    part("transactions", transactions(&mut client)).await;
    part("errors", errors(&client)).await;
    part("cancellation", cancellation()).await;
    part("notifications", notifications()).await;
    part("simple", simple(&client)).await;
    part("connections", connections()).await;
    part("schema", async { client.batch_execute(drop).await }).await;
    done();
}
