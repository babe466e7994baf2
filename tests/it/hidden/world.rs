//! Tables with random rows under random policies, what PostgreSQL says a reader may see of them, and other tables of
//! which he may see the same.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::queries::COLUMNS;
use crate::support::Client;

/// Text that stands nowhere but where a reader may not see it.
pub(super) const CANARY: &str = "hushhush";

/// Conditions of row policies; `{t}` is the table.
const POLICIES: [&str; 13] = [
    "n > 0",
    "g IN (1, 2)",
    "t LIKE 'a%'",
    "o",
    "d < DATE '2012-01-01'",
    "id % 3 <> 0",
    "g IN (SELECT g FROM lookup WHERE ok)",
    "EXISTS (SELECT 1 FROM lookup l WHERE l.g = {t}.g AND l.ok)",
    "f IS NOT NULL AND f > 0",
    "length(t) < 4",
    "x BETWEEN -5 AND 5 OR n IS NULL",
    "coalesce(o, true) AND id > 5",
    "true",
];

/// Masks of each column; `{v}` is its value and `{g}` that of the column `g`. Before a colon: of a part of its value.
const MASKS: [(&str, &[&str]); 8] = [
    ("n", &["NULL::int", "0", "{v} % 2", "CASE WHEN {g} = 1 THEN {v} END", "CASE WHEN {v} > 2 THEN 9 ELSE 1 END"]),
    ("t", &["'***'", "left({v}, 1)", "md5({v})", "NULL::text", "CASE WHEN {g} = 2 THEN {v} ELSE 'hidden' END"]),
    ("x", &["round({v})", "NULL::numeric(12,2)", "0.00"]),
    ("f", &["NULL::float8", "CASE WHEN {g} < 3 THEN {v} ELSE 0.5 END"]),
    ("d", &["date_trunc('year', {v})::date", "NULL::date", "DATE '2000-01-01'"]),
    ("o", &["NULL::boolean", "false", "{v} IS NULL"]),
    (
        "j",
        &[
            "a.b: NULL::jsonb",
            "a.b: CASE WHEN {g} = 1 THEN {v} END",
            "a.b: CASE WHEN {v} = '5' THEN '1'::jsonb ELSE {v} END",
            "a: '2'::jsonb",
        ],
    ),
    ("j", &["c: NULL::jsonb", "c: '0'::jsonb", "c: CASE WHEN {v} IS NULL THEN '1'::jsonb ELSE '7'::jsonb END"]),
];

/// Values of `j`, and such as have no parts.
const DOCUMENTS: &[&str] = &[
    r#"'{"a": {"b": 5, "z": 1}, "c": 2}'"#,
    r#"'{"a": {"b": 6}, "c": 2}'"#,
    r#"'{"a": {"b": {"c": 5}}, "c": 3}'"#,
    r#"'{"a": {"z": 1}}'"#,
    r#"'{"a": [{"b": 5}], "c": "x"}'"#,
    r#"'{"a": [{"b": 6}], "c": [3]}'"#,
    r#"'[{"a": {"b": 5}}]'"#,
    r#"'{"x": {"a": {"b": 6}}}'"#,
];
const OTHER_DOCUMENTS: &[&str] = &[r#"'"a"'"#, "'5'", "'null'", r#"'{"a": "b5", "c": null}'"#, r#"'{"a": null}'"#];

/// The SQL of a document with something else in one part; what is no object on the way there becomes null.
fn with_part(document: &str, path: &[&str], part: &str) -> String {
    let Some((step, rest)) = path.split_first() else { return format!("coalesce({part}, 'null'::jsonb)") };
    let inner = with_part(&format!("({document} -> '{step}')"), rest, part);
    format!(
        "(CASE WHEN jsonb_typeof({document}) <> 'object' THEN 'null'::jsonb
          WHEN {document} ? '{step}' THEN jsonb_set({document}, '{{{step}}}', {inner}) ELSE {document} END)"
    )
}

/// The types of `COLUMNS`, by name.
fn type_of(column: &str) -> &'static str {
    COLUMNS.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind).unwrap()
}

struct Policy {
    restrictive: bool,
    condition: &'static str,
}

struct Mask {
    column: &'static str,
    /// Of the column's value, with points between its steps; empty: all.
    path: &'static str,
    text: &'static str,
    /// Attached to a tag of the column; else to the column.
    by_tag: bool,
}

/// A row's values as literals, in the order of `COLUMNS`.
type Row = Vec<String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    /// Rows in the metadata database.
    Inlined,
    /// Parquet files of the warehouse.
    Files,
    /// JSON lines in the lake.
    Lake,
}

pub(super) struct Table {
    pub name: String,
    storage: Storage,
    key: bool,
    secured: bool,
    policies: Vec<Policy>,
    masks: Vec<Mask>,
    pub rows: Vec<Row>,
}

/// Tables of a seed.
pub(super) struct World {
    pub tables: Vec<Table>,
    random: StdRng,
}

/// What a reader sees of a row, by PostgreSQL: `None` if nothing.
type Seen = Option<Vec<Option<String>>>;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let tables = (0..3).map(|number| Table::random(&mut random, number)).collect();
        Self { tables, random }
    }

    /// The names of tables and of the views over them.
    pub(super) fn relations(&self) -> Vec<String> {
        let tables = self.tables.iter().map(|table| table.name.clone());
        tables.chain(["v0", "v1", "lookup_all"].map(str::to_owned)).collect()
    }

    /// What a reader sees of each table's rows, by PostgreSQL, which has them without policies.
    pub(super) async fn shown(&self, oracle: &mut Client) -> Vec<Vec<Seen>> {
        let mut shown = Vec::new();
        run(oracle, "DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw; SET search_path = raw").await;
        run(oracle, &lookup()).await;
        for table in &self.tables {
            shown.push(table.seen(oracle, &table.rows).await);
        }
        shown
    }

    /// Queries for the rows that a reader may not see, one for each table.
    pub(super) async fn hidden(&self, oracle: &mut Client) -> String {
        let mut queries = Vec::new();
        for (table, shown) in self.tables.iter().zip(self.shown(oracle).await) {
            let hidden =
                table.rows.iter().zip(shown).filter(|(_, seen)| seen.is_none()).map(|(row, _)| row[0].as_str());
            let hidden: Vec<&str> = std::iter::once("-1").chain(hidden).collect();
            queries.push(format!(
                "SELECT * FROM secret.{} WHERE id IN ({}) ORDER BY id",
                table.name,
                hidden.join(", ")
            ));
        }
        queries.join("; ")
    }

    /// Tables of which a reader sees the same, with other rows behind what is hidden and other values behind masks.
    pub(super) async fn other(&mut self, oracle: &mut Client) -> Self {
        let shown = self.shown(oracle).await;
        let mut tables = Vec::new();
        for (table, shown) in self.tables.iter().zip(shown) {
            let mut rows: Vec<Row> = Vec::new();
            for _attempt in 0..2 {
                // Hidden rows become others, values behind masks, too, one column at a time.
                let before = if rows.is_empty() { &table.rows } else { &rows };
                let candidates: Vec<Row> = before
                    .iter()
                    .zip(&shown)
                    .map(|(row, seen)| table.changed(row, seen.is_none(), &mut self.random))
                    .collect();
                let seen = table.seen(oracle, &candidates).await;
                let next = before.iter().zip(candidates).zip(shown.iter().zip(seen));
                rows = next.map(|((old, new), (was, is))| if *was == is { new } else { old.clone() }).collect();
            }
            // Some hidden rows go, others come. A copy with another id may be seen: then it is none.
            let (mut kept, mut next_id) = (Vec::new(), 500);
            for (row, seen) in rows.into_iter().zip(&shown) {
                if seen.is_some() {
                    kept.push((row, true));
                    continue;
                }
                for _copy in 0..self.random.random_range(0..3) {
                    let mut row = row.clone();
                    if table.key || self.random.random_bool(0.5) {
                        next_id += 3;
                        row[0] = next_id.to_string();
                    }
                    kept.push((row, false));
                }
            }
            let candidates: Vec<Row> = kept.iter().map(|(row, _)| row.clone()).collect();
            let seen = table.seen(oracle, &candidates).await;
            let rows = kept.into_iter().zip(seen).filter(|((_, was), is)| *was == is.is_some());
            let rows = rows.map(|((row, _), _)| row).collect();
            tables.push(Table { rows, ..table.like() });
        }
        Self { tables, random: StdRng::seed_from_u64(0) }
    }

    /// Makes the tables in ours, under their policies, in the schema `secret`. `lake`: where the server may read files.
    pub(super) async fn build(&self, client: &mut Client, lake: &std::path::Path) {
        run(client, "DROP SCHEMA IF EXISTS secret CASCADE; CREATE SCHEMA secret; SET search_path = secret").await;
        run(client, "GRANT USAGE, CREATE ON SCHEMA secret TO keeper; GRANT USAGE ON SCHEMA secret TO u").await;
        run(client, &lookup()).await;
        for table in &self.tables {
            table.build(client, lake).await;
        }
        run(client, &self.views()).await;
        run(client, "GRANT SELECT ON ALL TABLES IN SCHEMA secret TO u").await;
    }

    /// Makes tables of what a reader sees, without policies, in the schema `shown`.
    pub(super) async fn build_shown(&self, client: &mut Client, shown: &[Vec<Seen>]) {
        run(client, "DROP SCHEMA IF EXISTS shown CASCADE; CREATE SCHEMA shown; SET search_path = shown").await;
        run(client, "GRANT USAGE, CREATE ON SCHEMA shown TO keeper").await;
        run(client, &lookup()).await;
        for (table, rows) in self.tables.iter().zip(shown) {
            run(client, &table.definition(true)).await;
            let rows: Vec<Row> = rows
                .iter()
                .flatten()
                .map(|row| {
                    row.iter().map(|value| value.as_ref().map_or_else(|| "NULL".to_owned(), |v| quoted(v))).collect()
                })
                .collect();
            run(client, &table.insert(&rows)).await;
            run(client, &format!("GRANT SELECT ON {} TO keeper", table.name)).await;
        }
        run(client, &self.views()).await;
    }

    /// One view with its owner's rights, who sees the rows that all see, and one with the reader's.
    fn views(&self) -> String {
        let (first, second) = (&self.tables[0].name, &self.tables[1].name);
        let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let columns = columns.join(", ");
        format!(
            "CREATE VIEW v1 WITH (security_invoker = true) AS SELECT {columns} FROM {second} WHERE n IS NOT NULL;
             CREATE VIEW lookup_all AS SELECT g AS id, g, 1 AS n, name AS t, 1.25::numeric(12,2) AS x, 0.5::float8 AS f,
                DATE '2010-10-10' AS d, ok AS o, '[1]'::jsonb AS j, name AS note FROM lookup;
             GRANT SELECT ON lookup TO keeper;
             SET ROLE keeper;
             CREATE VIEW v0 AS SELECT {columns} FROM {first} WHERE id % 5 <> 0;
             RESET ROLE"
        )
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            let masks: Vec<String> =
                table.masks.iter().map(|mask| format!("{}.{} = {}", mask.column, mask.path, mask.text)).collect();
            writeln!(f, "{} {:?} where {}; {}", table.name, table.storage, table.condition(), masks.join(", "))?;
        }
        Ok(())
    }
}

/// What policies look things up in, which all may read.
fn lookup() -> String {
    "CREATE TABLE lookup (g int, ok boolean, name text);
     INSERT INTO lookup VALUES (1, true, 'abc'), (2, false, '1'), (3, true, 'x'), (4, NULL, NULL)"
        .to_owned()
}

impl Table {
    fn random(random: &mut StdRng, number: usize) -> Self {
        let other = if number == 2 { Storage::Lake } else { Storage::Files };
        let storage = *[other, Storage::Inlined].choose(random).unwrap();
        let mut policies = Vec::new();
        for _ in 0..*[0, 1, 1, 1, 2].choose(random).unwrap() {
            policies.push(Policy { restrictive: false, condition: POLICIES.choose(random).unwrap() });
        }
        if random.random_bool(0.3) {
            policies.push(Policy { restrictive: true, condition: POLICIES.choose(random).unwrap() });
        }
        let masks = MASKS.iter().filter(|_| random.random_bool(0.35)).collect::<Vec<_>>();
        let mut mask = |(column, texts): &(&'static str, &'static [&'static str])| {
            let text = *texts.choose(random).unwrap();
            let (path, text) = text.split_once(": ").unwrap_or(("", text));
            let by_tag = path.is_empty() && !text.contains("{g}") && random.random_bool(0.5);
            Mask { column, path, text, by_tag }
        };
        let masks = masks.into_iter().map(&mut mask).collect();
        let secured = !policies.is_empty() && random.random_bool(0.9);
        let mut table = Self {
            name: format!("r{number}"),
            storage,
            key: storage != Storage::Lake && random.random_bool(0.5),
            secured,
            policies,
            masks,
            rows: vec![],
        };
        table.rows = (0..40).map(|id| table.row(id, random.random_bool(0.1), random)).collect();
        table
    }

    fn like(&self) -> Self {
        Self {
            name: self.name.clone(),
            policies: self.policies.iter().map(|policy| Policy { ..*policy }).collect(),
            masks: self.masks.iter().map(|mask| Mask { ..*mask }).collect(),
            rows: vec![],
            ..*self
        }
    }

    /// `extreme`: values on which expressions fail.
    fn row(&self, id: usize, extreme: bool, random: &mut StdRng) -> Row {
        let mut row = vec![id.to_string()];
        row.extend(COLUMNS[1..].iter().map(|(column, _)| self.value(column, extreme, random)));
        row
    }

    fn value(&self, column: &str, extreme: bool, random: &mut StdRng) -> String {
        let one = |usual: &[&str], extremes: &[&str], random: &mut StdRng| {
            if random.random_bool(0.12) {
                return "NULL".to_owned();
            }
            (*if extreme { extremes } else { usual }.choose(random).unwrap()).to_owned()
        };
        match column {
            "g" => one(&["1", "2", "3", "4"], &["1", "2", "0"], random),
            "n" => one(&["-1", "0", "1", "2", "3", "4", "7", "97"], &["0", "2147483647", "-2147483648"], random),
            "t" => one(
                &["''", "'1'", "'12'", "'a'", "'abc'", "'a,b'", "'2020-01-01'", "'1.5'"],
                &[
                    "''",
                    "'x'",
                    "'a('",
                    "'99999999999'",
                    "'2020-13-45'",
                    "'a text that is longer than the others, much longer'",
                ],
                random,
            ),
            "x" => one(&["0.50", "1.00", "-3.25", "4.99", "100.10"], &["0.00", "99999999.99"], random),
            "f" if self.storage == Storage::Lake => {
                one(&["'0.5'", "'1'", "'-2.25'", "'1e10'"], &["'0'", "'-1'", "'1e300'"], random)
            }
            "f" => {
                one(&["'0.5'", "'1'", "'-2.25'", "'1e10'", "'NaN'"], &["'0'", "'NaN'", "'Infinity'", "'1e300'"], random)
            }
            "d" => one(
                &["'1999-12-31'", "'2010-02-03'", "'2013-05-05'", "'2020-06-01'"],
                &["'1700-01-01'", "'2200-12-31'"],
                random,
            ),
            "j" => one(DOCUMENTS, OTHER_DOCUMENTS, random),
            "o" => one(&["true", "false"], &["true", "false"], random),
            _ => one(&["'note'", "'other'"], &["''"], random),
        }
    }

    /// A row with other values where a reader may not see them.
    fn changed(&self, row: &Row, hidden: bool, random: &mut StdRng) -> Row {
        let mut row = row.clone();
        for (index, (column, _)) in COLUMNS.iter().enumerate().skip(1) {
            let masked = self.masks.iter().any(|mask| mask.column == *column);
            if (hidden && random.random_bool(0.7)) || (masked && random.random_bool(0.4)) {
                let extreme = random.random_bool(0.6);
                row[index] = match *column {
                    "j" if random.random_bool(0.3) => {
                        format!("'{{\"a\": {{\"b\": \"{CANARY}\"}}, \"c\": {}}}'", random.random_range(0..9))
                    }
                    "t" | "note" if random.random_bool(0.3) => format!("'{CANARY}{}'", random.random_range(0..1000)),
                    _ => self.value(column, extreme, random),
                };
            }
        }
        row
    }

    /// Columns that no policy and no mask reads, so that who sets them learns nothing.
    pub(super) fn free(&self) -> Vec<&'static str> {
        let read = |column: &str| {
            column == "id"
                || self.masks.iter().any(|mask| mask.column == column || (column == "g" && mask.text.contains("{g}")))
                || self
                    .policies
                    .iter()
                    .any(|policy| policy.condition.split(|c: char| !c.is_alphanumeric()).any(|word| word == column))
        };
        COLUMNS.iter().map(|(column, _)| *column).filter(|column| !read(column)).collect()
    }

    pub(super) fn may_change(&self) -> bool {
        self.storage != Storage::Lake
    }

    fn definition(&self, bare: bool) -> String {
        let key = if self.key && !bare { ", PRIMARY KEY (id)" } else { "" };
        let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        format!("CREATE TABLE {} ({}{key})", self.name, columns.join(", "))
    }

    fn insert(&self, rows: &[Row]) -> String {
        if rows.is_empty() {
            return "SELECT 1".to_owned();
        }
        let rows: Vec<String> = rows.iter().map(|row| format!("({})", row.join(", "))).collect();
        format!("INSERT INTO {} VALUES {}", self.name, rows.join(", "))
    }

    /// The condition under which a row is seen.
    fn condition(&self) -> String {
        if !self.secured {
            return "true".to_owned();
        }
        let of = |restrictive: bool| {
            let of_kind = self.policies.iter().filter(move |policy| policy.restrictive == restrictive);
            of_kind.map(|policy| format!("({})", policy.condition.replace("{t}", &self.name))).collect::<Vec<_>>()
        };
        let permissive = if of(false).is_empty() { "false".to_owned() } else { of(false).join(" OR ") };
        let all: Vec<String> = std::iter::once(format!("({permissive})")).chain(of(true)).collect();
        all.join(" AND ")
    }

    /// What a reader sees of each of these rows.
    async fn seen(&self, oracle: &mut Client, rows: &[Row]) -> Vec<Seen> {
        run(oracle, &format!("DROP TABLE IF EXISTS {0}; {1}", self.name, self.definition(true))).await;
        run(oracle, &format!("ALTER TABLE {} ADD COLUMN at serial", self.name)).await;
        let with_numbers = rows.iter().enumerate().map(|(at, row)| format!("({}, {at})", row.join(", ")));
        if rows.is_empty() {
            return vec![];
        }
        let values: Vec<String> = with_numbers.collect();
        run(oracle, &format!("INSERT INTO {} VALUES {}", self.name, values.join(", "))).await;
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(column, kind)| {
                let own = self.masks.iter().filter(|mask| mask.column == *column);
                own.fold((*column).to_owned(), |shown, mask| {
                    let steps: Vec<&str> = mask.path.split('.').filter(|step| !step.is_empty()).collect();
                    let value = steps.iter().fold((*column).to_owned(), |value, step| format!("({value} -> '{step}')"));
                    let masked = mask.text.replace("{v}", &value).replace("{g}", "g");
                    if steps.is_empty() {
                        return format!("({masked})::{kind}");
                    }
                    format!("CASE WHEN {shown} IS NOT NULL THEN {} END", with_part(&shown, &steps, &masked))
                })
            })
            .collect();
        let sql = format!(
            "SELECT coalesce({}, false), {} FROM {} ORDER BY at",
            self.condition(),
            columns.join(", "),
            self.name
        );
        let replies = run(oracle, &sql).await;
        replies.into_iter().map(|mut row| (row.remove(0).as_deref() == Some("t")).then_some(row)).collect()
    }

    async fn build(&self, client: &mut Client, lake: &std::path::Path) {
        let name = &self.name;
        if self.storage == Storage::Lake {
            let folder = lake.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("rows.json"), self.json()).unwrap();
            let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            let location = format!("file://{}/", folder.display());
            run(
                client,
                &format!("CREATE EXTERNAL TABLE {name} ({}) STORED AS JSON LOCATION '{location}'", columns.join(", ")),
            )
            .await;
        } else {
            run(client, &self.definition(false)).await;
            run(client, &self.insert(&self.rows)).await;
            if self.storage == Storage::Files {
                run(client, &format!("VACUUM {name}")).await;
            }
            run(client, &format!("GRANT INSERT, UPDATE, DELETE ON {name} TO u")).await;
        }
        run(client, &format!("GRANT SELECT ON {name} TO keeper")).await;
        if self.secured {
            run(client, &format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")).await;
        }
        for (number, policy) in self.policies.iter().enumerate() {
            let kind = if policy.restrictive { "RESTRICTIVE" } else { "PERMISSIVE" };
            let condition = policy.condition.replace("{t}", name);
            run(client, &format!("CREATE POLICY p{number} ON {name} AS {kind} TO PUBLIC USING ({condition})")).await;
        }
        for mask in &self.masks {
            let column = mask.column;
            let policy = format!("m_{name}_{column}_{}", mask.path.replace('.', "_"));
            let masked = if mask.path.is_empty() { column.to_owned() } else { format!("{column}.{}", mask.path) };
            let kind = type_of(column);
            let text = mask.text.replace("{v}", "v").replace("{g}", "w");
            let (inputs, using) = if mask.text.contains("{g}") {
                (format!("v {kind}, w int"), format!(" USING ({masked}, g)"))
            } else {
                (format!("v {kind}"), String::new())
            };
            if mask.by_tag {
                // Both outlive the table.
                let tag = format!("tag_{name}_{column}");
                run(client, &format!("CREATE OR REPLACE MASKING POLICY {tag} WITH ({inputs}) USING ({text})")).await;
                run(client, &format!("CREATE TAG IF NOT EXISTS {tag}")).await;
                let attached = format!("SELECT count(*) FROM policy_references('{tag}')");
                if client.value(&attached).await.as_deref() == Some("0") {
                    run(client, &format!("ATTACH MASKING POLICY {tag} ON TAG {tag} TO PUBLIC")).await;
                }
                run(client, &format!("ALTER TABLE {name} ALTER COLUMN {column} SET TAG {tag} = 'yes'")).await;
                continue;
            }
            run(client, &format!("DROP MASKING POLICY IF EXISTS {policy} CASCADE")).await;
            run(client, &format!("CREATE MASKING POLICY {policy} WITH ({inputs}) USING ({text})")).await;
            run(client, &format!("ATTACH MASKING POLICY {policy} ON {name} ({masked}){using} TO PUBLIC")).await;
        }
    }

    /// The rows as JSON lines; without the quotes of SQL where JSON has numbers.
    fn json(&self) -> String {
        let mut lines = String::new();
        for row in &self.rows {
            let values = COLUMNS.iter().zip(row).filter(|(_, value)| *value != "NULL").map(|((name, kind), value)| {
                let bare = value.trim_matches('\'');
                match *kind {
                    "text" | "date" => format!("\"{name}\": \"{bare}\""),
                    "jsonb" => format!("\"{name}\": {}", serde_json::Value::from(bare)),
                    _ => format!("\"{name}\": {bare}"),
                }
            });
            lines.extend(["{", &values.collect::<Vec<_>>().join(", "), "}\n"]);
        }
        lines
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

async fn run(client: &mut Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let replies = client.simple(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    replies.into_iter().next_back().map(|reply| reply.rows).unwrap_or_default()
}
