//! Random subqueries: over joins of tables whose columns have the same names, correlated over several levels, in FROM, in
//! conditions, in select lists. Their rows are PostgreSQL's.
//!
//! `TEST_CASES=n` runs n queries instead of the usual number.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server};

const TABLES: [(&str, [&str; 3]); 3] = [("f", ["x", "y", "k"]), ("g", ["x", "y", "m"]), ("h", ["x", "z", "k"])];

struct Queries {
    random: StdRng,
    aliases: usize,
}

/// A FROM clause, and the columns that it has.
type Relation = (String, Vec<String>);

impl Queries {
    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_range(0..n) == 0
    }

    fn among<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.choose(&mut self.random).unwrap()
    }

    fn column(&mut self, columns: &[String]) -> String {
        columns.choose(&mut self.random).unwrap().clone()
    }

    fn both(a: &[String], b: &[String]) -> Vec<String> {
        a.iter().chain(b).cloned().collect()
    }

    /// A table or a subquery in FROM, which sees `seen` if it is LATERAL.
    fn item(&mut self, seen: Option<&[String]>, depth: usize) -> Relation {
        self.aliases += 1;
        let alias = format!("a{}", self.aliases);
        if depth > 0 && (seen.is_some() || self.one_in(6)) {
            let (from, own) = self.from(depth - 1);
            let condition = self.condition(&own, seen.unwrap_or_default(), depth - 1);
            let (columns, shown): (&[&str], String) = match self.random.random_range(0..4) {
                0 => (
                    &["x", "n"],
                    format!("max({}) AS x, count(*) AS n FROM {from} WHERE {condition}", self.column(&own)),
                ),
                1 => {
                    let key = self.column(&own);
                    (&["x", "n"], format!("{key} AS x, count(*) AS n FROM {from} WHERE {condition} GROUP BY {key}"))
                }
                _ => (
                    &["y", "q"],
                    format!("{} AS y, {} AS q FROM {from} WHERE {condition}", self.term(&own), self.term(&own)),
                ),
            };
            let lateral = if seen.is_some() { "LATERAL " } else { "" };
            return (
                format!("{lateral}(SELECT {shown}) AS {alias}"),
                columns.iter().map(|name| format!("{alias}.{name}")).collect(),
            );
        }
        let (table, columns) = TABLES.choose(&mut self.random).unwrap();
        (format!("{table} AS {alias}"), columns.iter().map(|name| format!("{alias}.{name}")).collect())
    }

    fn from(&mut self, depth: usize) -> Relation {
        let (mut text, mut own) = self.item(None, depth);
        for _ in 0..self.random.random_range(0..3) {
            if depth > 0 && self.one_in(6) {
                let (right, columns) = self.item(Some(&own), depth);
                text = format!("{text} CROSS JOIN {right}");
                own.extend(columns);
                continue;
            }
            let (right, columns) = self.item(None, depth);
            let equal = format!("{} = {}", self.column(&own), self.column(&columns));
            let all = Self::both(&own, &columns);
            // PostgreSQL has FULL JOIN for equalities alone, and LATERAL on no nullable side.
            let joins: &[&str] =
                if text.contains("LATERAL") { &["JOIN", "LEFT JOIN"] } else { &["JOIN", "LEFT JOIN", "RIGHT JOIN"] };
            text = match self.random.random_range(0..5) {
                0 => format!("{text} CROSS JOIN {right}"),
                1 if joins.len() > 2 => format!("{text} FULL JOIN {right} ON {equal}"),
                2 => format!("{text} {} {right} ON {}", self.among(joins), self.condition(&all, &[], 0)),
                _ => format!("{text} {} {right} ON {equal}", self.among(joins)),
            };
            own = all;
        }
        (text, own)
    }

    fn term(&mut self, columns: &[String]) -> String {
        let column = self.column(columns);
        match self.random.random_range(0..9) {
            0 => self.random.random_range(1..6).to_string(),
            1 => format!("coalesce({column}, {})", self.column(columns)),
            2 => format!("coalesce({column}, 3)"),
            3 => format!("({column} + {})", self.column(columns)),
            _ => column,
        }
    }

    fn condition(&mut self, own: &[String], around: &[String], depth: usize) -> String {
        let all = Self::both(own, around);
        if depth > 0 && !self.one_in(3) {
            return self.subquery(&all, depth);
        }
        match self.random.random_range(0..10) {
            0 => format!("{} IS {}NULL", self.column(&all), self.among(&["", "NOT "])),
            1 => {
                let (left, right) = (self.condition(own, around, 0), self.condition(own, around, 0));
                format!("({left} {} {right})", self.among(&["OR", "AND"]))
            }
            2 => format!("NOT ({})", self.condition(own, around, 0)),
            _ => {
                let right = if around.is_empty() { self.term(own) } else { self.term(around) };
                let op = self.among(&["=", "=", "=", "<", ">=", "<>", "IS DISTINCT FROM"]);
                format!("{} {op} {right}", self.term(own))
            }
        }
    }

    /// A condition on a subquery that sees `around`.
    fn subquery(&mut self, around: &[String], depth: usize) -> String {
        let (from, own) = self.from(depth - 1);
        let condition = self.condition(&own, around, depth - 1);
        let (operand, value) = (self.term(around), self.term(&own));
        let rows = format!("FROM {from} WHERE {condition}");
        match self.random.random_range(0..10) {
            0..3 => format!("{}EXISTS (SELECT {value} {rows})", self.among(&["", "NOT "])),
            3..5 => format!("{operand} {}IN (SELECT {value} {rows})", self.among(&["", "NOT "])),
            5 => format!("{operand} IN (SELECT DISTINCT {value} {rows})"),
            6 => format!("{operand} IN (SELECT {value} {rows} UNION SELECT {})", self.column(around)),
            7 => format!(
                "{operand} {} {} (SELECT {value} {rows})",
                self.among(&["=", "<", ">", "<>"]),
                self.among(&["ANY", "ALL"])
            ),
            _ => format!(
                "{operand} {} (SELECT {}({value}) {rows})",
                self.among(&["=", "<", ">"]),
                self.among(&["max", "min", "count", "sum"])
            ),
        }
    }

    fn query(&mut self) -> String {
        self.aliases = 0;
        let (from, own) = self.from(1);
        let condition = self.condition(&own, &[], 2);
        let mut shown = self.column(&own);
        if self.one_in(3) {
            let (inner, columns) = self.from(0);
            let (value, correlated) = (self.term(&columns), self.condition(&columns, &own, 1));
            shown = format!("{shown}, (SELECT max({value}) FROM {inner} WHERE {correlated})");
        }
        format!("SELECT {shown} FROM {from} WHERE {condition}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_have_the_rows_of_postgresql() {
    let cases: u32 = std::env::var("TEST_CASES").map_or(600, |cases| cases.parse().unwrap());
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let server = Server::start().await;
    let mut theirs = Client::connect(postgres.address, "boathouse", PASSWORD).await.unwrap();
    let mut ours = server.connect().await;
    let mut random = StdRng::seed_from_u64(1);
    for (table, columns) in TABLES {
        let value = |random: &mut StdRng| match random.random_range(0..6) {
            0 => "NULL".to_owned(),
            value => value.to_string(),
        };
        let rows: Vec<String> = (0..7)
            .map(|_| format!("({}, {}, {})", value(&mut random), value(&mut random), value(&mut random)))
            .collect();
        let [a, b, c] = columns;
        let sql =
            format!("CREATE TABLE {table} ({a} int, {b} int, {c} int); INSERT INTO {table} VALUES {}", rows.join(", "));
        theirs.simple(&sql).await.unwrap();
        ours.simple(&sql).await.unwrap();
    }
    let mut queries = Queries { random, aliases: 0 };
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..cases {
        let sql = queries.query();
        // What PostgreSQL does not take is not a case.
        let Ok(mut wanted) = theirs.simple(&sql).await else { continue };
        match ours.simple(&sql).await {
            Ok(mut got) => {
                let (mut wanted, mut got) = (wanted.remove(0).rows, got.remove(0).rows);
                wanted.sort();
                got.sort();
                assert_eq!(got, wanted, "{sql}");
                answered += 1;
            }
            Err(error) if error.code == "0A000" => refused += 1,
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    assert!(answered > cases * 4 / 5, "{answered} of {cases} answered, {refused} refused");
}
