//! What policies hide stays hidden, whatever is asked: random statements over random tables under random policies.
//!
//! *Equality*: a query has the result that it has over tables of what PostgreSQL says the reader may see. *No
//! interference*: of two servers that differ only in what is hidden, both say the same, byte for byte: rows, errors, plans,
//! catalogs, what changes bring.
//!
//! `TEST_CASES=n` runs n statements of each kind instead of the usual number.

mod queries;
mod world;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::queries::{Queries, Query};
use self::world::{CANARY, World};
use crate::support::postgres::Postgres;
use crate::support::{Client, DbError, PASSWORD, Reply, Server};

/// Statements over the tables of one seed.
const OF_A_SEED: usize = 150;

fn seeds(usual: usize) -> std::ops::Range<u64> {
    let cases = std::env::var("TEST_CASES").map_or(usual, |cases| cases.parse().unwrap());
    1..1 + cases.div_ceil(OF_A_SEED) as u64
}

async fn started() -> (Server, Client, Client) {
    let server = Server::start().await;
    let mut owner = server.connect().await;
    let roles = format!("CREATE ROLE u LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE keeper");
    owner.simple(&roles).await.unwrap();
    let mut reader = Client::connect(server.address, "u", PASSWORD).await.unwrap();
    reader.simple("SET search_path = secret").await.unwrap();
    (server, owner, reader)
}

async fn oracle(postgres: &Postgres) -> Client {
    postgres.new_database().await;
    Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap()
}

/// Rows in an order of their own, unless the query gives them one.
fn sorted(mut reply: Reply, ordered: bool) -> Reply {
    if !ordered {
        reply.rows.sort();
    }
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_sees_what_a_masked_copy_has() {
    let postgres = Postgres::start().await;
    let mut oracle = oracle(&postgres).await;
    let (server, mut owner, mut reader) = started().await;
    let lake = server.directory.path().join("lake");
    let mut over_copies = server.connect().await;
    over_copies.simple("SET search_path = shown").await.unwrap();
    let (mut answered, mut refused, mut undecided) = (0, 0, 0);
    for seed in seeds(1500) {
        let world = World::new(seed);
        let shown = world.shown(&mut oracle).await;
        world.build(&mut owner, &lake).await;
        world.build_shown(&mut owner, &shown).await;
        let mut queries = Queries::new(seed, world.relations());
        for step in 0..OF_A_SEED {
            let Query { sql, ordered, fallible } = queries.query();
            let got = one(&mut reader, &sql, step).await;
            let wanted = one(&mut over_copies, &sql, step).await;
            match (got, wanted) {
                (Ok(got), Ok(wanted)) => {
                    let (got, wanted) = (sorted(got, ordered), sorted(wanted, ordered));
                    assert_eq!(got.columns, wanted.columns, "seed {seed}\n{world}{sql}");
                    assert_eq!(got.rows, wanted.rows, "seed {seed}\n{world}{sql}");
                    answered += 1;
                }
                (Err(got), Err(wanted)) => {
                    assert_ne!(got.code, "XX000", "seed {seed}\n{world}{sql}");
                    // Which row it fails on first, and how, is up to the order of rows.
                    let both_data = fallible && is_of_values(&got.code) && is_of_values(&wanted.code);
                    assert!(got.code == wanted.code || both_data, "seed {seed}\n{world}{sql}\n{got}\n{wanted}");
                    refused += 1;
                }
                (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
                    assert!(fallible && is_of_values(&error.code), "seed {seed}\n{world}{sql}\n{error}");
                    undecided += 1;
                }
            }
        }
    }
    assert!(
        refused < answered && undecided * 20 < answered,
        "{answered} answered, {refused} refused by both, {undecided} failed in one order of evaluation only"
    );
}

/// Whether a SQLSTATE, or what begins with one, is that of a value that a function does not take; of `chr` it is 54000.
fn is_of_values(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("54000")
}

/// Sends a statement, now in the simple protocol, now in the extended one.
async fn one(client: &mut Client, sql: &str, step: usize) -> Result<Reply, DbError> {
    if step.is_multiple_of(3) {
        client.extended(sql, &[]).await
    } else {
        client.simple(sql).await.map(|mut replies| replies.pop().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_changes_nothing() {
    let postgres = Postgres::start().await;
    let mut oracle = oracle(&postgres).await;
    let (first, mut first_owner, mut first_reader) = started().await;
    let (second, mut second_owner, mut second_reader) = started().await;
    let (mut answered, mut refused) = (0, 0);
    for seed in seeds(1500) {
        let mut world = World::new(seed);
        let other = world.other(&mut oracle).await;
        world.build(&mut first_owner, &first.directory.path().join("lake")).await;
        other.build(&mut second_owner, &second.directory.path().join("lake")).await;
        let hidden = world.hidden(&mut oracle).await;
        let before = first_owner.simple(&hidden).await.unwrap();
        let mut statements = Statements::new(seed, &world);
        for _step in 0..OF_A_SEED {
            let Query { sql, ordered, fallible } = statements.next();
            let said = told(&mut first_reader, &sql, ordered).await.replace(&directory(&first), "");
            let also_said = told(&mut second_reader, &sql, ordered).await.replace(&directory(&second), "");
            assert!(!said.starts_with("Err XX000"), "seed {seed}\n{world}{sql}");
            assert!(!also_said.to_lowercase().contains(CANARY), "seed {seed}\n{world}{sql}\n{also_said}");
            // Which of the visible rows it fails on first, and how, is up to the order of rows.
            let both_data =
                fallible && [&said, &also_said].iter().all(|said| said.strip_prefix("Err ").is_some_and(is_of_values));
            assert!(said == also_said || both_data, "seed {seed}\n{world}{sql}\n{said}\n{also_said}");
            *(if said.starts_with("Ok") { &mut answered } else { &mut refused }) += 1;
        }
        let after = first_owner.simple(&hidden).await.unwrap();
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(after.rows, before.rows, "seed {seed}: hidden rows were changed\n{world}{hidden}");
        }
    }
    assert!(refused < answered, "{answered} answered, {refused} refused");
}

/// Where a server has its files, as plans show it.
fn directory(server: &Server) -> String {
    server.directory.path().to_string_lossy().trim_start_matches('/').to_owned()
}

/// What a reader may try.
struct Statements<'a> {
    random: StdRng,
    queries: Queries,
    world: &'a World,
    next_id: usize,
}

impl<'a> Statements<'a> {
    fn new(seed: u64, world: &'a World) -> Self {
        let queries = Queries::new(seed ^ 0xB, world.relations());
        Self { random: StdRng::seed_from_u64(seed), queries, world, next_id: 10_000 }
    }

    fn next(&mut self) -> Query {
        let Query { sql: query, ordered, fallible } = self.queries.query();
        let table = &self.world.tables[self.random.random_range(0..self.world.tables.len())];
        let sql = match self.random.random_range(0..30) {
            0 => format!("EXPLAIN {query}"),
            1 => format!("EXPLAIN (POLICIES) {query}"),
            2 => format!("COPY ({query}) TO STDOUT"),
            3 => format!("COPY {} TO STDOUT (FORMAT csv)", table.name),
            4 => CATALOG[self.random.random_range(0..CATALOG.len())].replace("{t}", &table.name),
            5 => format!("DECLARE c CURSOR FOR {query}; FETCH 3 FROM c; FETCH ALL FROM c; CLOSE c"),
            6 => format!("PREPARE q AS {query}"),
            7..10 if table.may_change() => return self.queries.change(&table.name, &table.free()),
            10 if table.may_change() => {
                self.next_id += 1;
                let values = format!("({}, 1, 2, 'abc', 1.00, 0.5, '2010-02-03', true, 'new')", self.next_id);
                format!("INSERT INTO {} VALUES {values} RETURNING *", table.name)
            }
            11 if table.may_change() => {
                self.next_id += 100;
                format!(
                    "INSERT INTO {0} SELECT {1} + id, g, n, t, x, f, d, o, note FROM {0} WHERE id BETWEEN 3 AND 6",
                    table.name, self.next_id
                )
            }
            12 => format!("CREATE TEMP TABLE made AS {query}"),
            13 => "DROP TABLE made".to_owned(),
            14 => "SELECT * FROM made".to_owned(),
            15 => format!("SELECT * FROM {} TABLESAMPLE BERNOULLI (100)", table.name),
            16 => format!("SELECT {0} FROM {0}", table.name),
            _ => query.clone(),
        };
        let ordered = ordered && sql.contains(&query);
        Query { sql, ordered, fallible }
    }
}

/// What catalogs and statistics say.
const CATALOG: &[&str] = &[
    "SELECT relname, reltuples, relpages, relkind FROM pg_class WHERE relname IN ('r0', 'r1', 'r2')",
    "SELECT * FROM pg_stats WHERE tablename = '{t}'",
    "SELECT pg_relation_size('{t}'), pg_total_relation_size('{t}'), pg_table_size('{t}')",
    "SELECT relname, n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = '{t}'",
    "SELECT * FROM pg_policies WHERE tablename = '{t}'",
    "SELECT * FROM policy_references()",
    "SHOW EFFECTIVE POLICY ON {t}",
    "SELECT count(*) FROM table_changes('{t}', 1, 1000)",
    "SELECT * FROM pg_audit_log",
    "ANALYZE {t}",
    "VACUUM {t}",
    "TRUNCATE {t}",
    "CREATE UNIQUE INDEX ON {t} (n)",
    "ALTER TABLE {t} ADD CHECK (n > 0)",
    "ALTER TABLE {t} ALTER t SET NOT NULL",
    "EXPLAIN ANALYZE SELECT * FROM {t} WHERE n > 1",
    "SELECT count(*), min(n), max(t), min(d), max(f) FROM {t}",
    "LOCK TABLE {t}",
];

/// Everything that the server says, but for what tells the time.
async fn told(client: &mut Client, sql: &str, ordered: bool) -> String {
    match client.simple(sql).await {
        Ok(mut replies) => {
            for reply in &mut replies {
                if !ordered {
                    reply.rows.sort();
                    let mut lines: Vec<&[u8]> = reply.copy_out.split_inclusive(|byte| *byte == b'\n').collect();
                    lines.sort_unstable();
                    reply.copy_out = lines.concat();
                }
            }
            without_times(&format!("Ok {replies:?}"))
        }
        Err(error) => format!("Err {} {error:?}", error.code),
    }
}

/// How long something took is not compared.
fn without_times(text: &str) -> String {
    let mut parts = text.split("elapsed_compute=");
    let mut written = parts.next().unwrap().to_owned();
    for part in parts {
        written.push_str("elapsed_compute=…");
        written.push_str(&part[part.find([',', ']']).unwrap()..]);
    }
    written
}
