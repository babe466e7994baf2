//! Random statements over tables that all have the same columns.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Names and types of each table's columns.
pub(super) const COLUMNS: [(&str, &str); 10] = [
    ("id", "int"),
    ("g", "int"),
    ("n", "int"),
    ("t", "text"),
    ("x", "numeric(12,2)"),
    ("f", "double precision"),
    ("d", "date"),
    ("o", "boolean"),
    ("j", "jsonb"),
    ("note", "text"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Float,
    Numeric,
    Date,
    Bool,
    Json,
}

/// Expressions: of which kind, whether they may fail, and their text. In braces columns, or expressions if in capitals.
const EXPRESSIONS: &[(Kind, bool, &str)] = &[
    (Kind::Int, false, "({INT} % {k})"),
    (Kind::Int, true, "({INT} + {k})"),
    (Kind::Int, true, "(10 / {INT})"),
    (Kind::Int, true, "({INT} % ({int} - {k}))"),
    (Kind::Int, true, "({TEXT})::int"),
    (Kind::Int, false, "length({TEXT})"),
    (Kind::Int, false, "coalesce({INT}, {k})"),
    (Kind::Int, false, "{k}"),
    (Kind::Text, false, "upper({TEXT})"),
    (Kind::Text, false, "left({TEXT}, {k})"),
    (Kind::Text, true, "substr({TEXT}, 1, {int})"),
    (Kind::Text, false, "({TEXT} || '{k}')"),
    (Kind::Text, false, "({INT})::text"),
    (Kind::Text, false, "({date})::text"),
    (Kind::Text, false, "({json})::text"),
    (Kind::Text, false, "left(({json})::text, 12)"),
    (Kind::Json, false, "nullif({json}, '1')"),
    (Kind::Text, true, "chr({int})"),
    (Kind::Text, true, "('a' ~ {text})::text"),
    (Kind::Text, false, "coalesce({TEXT}, 'none')"),
    (Kind::Text, false, "split_part({TEXT}, ',', 1)"),
    (Kind::Text, false, "'lit{k}'"),
    (Kind::Float, true, "sqrt({float})"),
    (Kind::Float, true, "(1 / {float})"),
    (Kind::Float, true, "({text})::float8"),
    (Kind::Float, true, "ln({float})"),
    (Kind::Float, false, "({INT})::float8"),
    (Kind::Numeric, true, "(7 / {numeric})"),
    (Kind::Numeric, false, "round({numeric})"),
    (Kind::Numeric, false, "({numeric} + 1.5)"),
    (Kind::Date, true, "({text})::date"),
    (Kind::Date, true, "({date} + {int})"),
];

/// A query and what may be expected of it.
pub(super) struct Query {
    pub sql: String,
    /// Rows come in the order of all their columns.
    pub ordered: bool,
    /// An expression in it may fail, and which rows it is asked for is up to the optimizer.
    pub fallible: bool,
}

/// Writes queries. The same seed writes the same ones.
pub(super) struct Queries {
    random: StdRng,
    relations: Vec<String>,
    aliases: usize,
    fallible: bool,
}

impl Queries {
    /// `relations`: what has the columns.
    pub(super) fn new(seed: u64, relations: Vec<String>) -> Self {
        Self { random: StdRng::seed_from_u64(seed), relations, aliases: 0, fallible: false }
    }

    pub(super) fn query(&mut self) -> Query {
        (self.aliases, self.fallible) = (0, false);
        let (body, columns) = match self.random.random_range(0..12) {
            0 => {
                let (first, columns) = self.plain(2);
                let second = self.of_kinds(&columns);
                let set = *self.one(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
                (format!("{first} {set} {second}"), columns)
            }
            1 => {
                let relation = self.relation();
                let inner = self.of_all_columns(1);
                let (query, columns) = self.over(&format!("c JOIN {relation} r ON r.id = c.id"), &["c", "r"], 1);
                (format!("WITH c AS ({inner}) {query}"), columns)
            }
            2..5 => self.grouped(),
            5 => self.windowed(),
            _ => self.plain(2),
        };
        let ordered = self.random.random_bool(0.3);
        let mut sql = body;
        if ordered {
            let all: Vec<String> = (1..=columns.len()).map(|n| format!("{n}{}", self.one(&["", " DESC"]))).collect();
            sql = format!("{sql} ORDER BY {}", all.join(", "));
            if self.random.random_bool(0.7) {
                sql = format!("{sql} LIMIT {}", self.random.random_range(0..8));
            }
            if self.random.random_bool(0.2) {
                sql = format!("{sql} OFFSET {}", self.random.random_range(0..4));
            }
        }
        Query { sql, ordered, fallible: self.fallible }
    }

    /// Changes rows of a table by columns that no policy and no mask reads.
    pub(super) fn change(&mut self, table: &str, free: &[&str]) -> Query {
        (self.aliases, self.fallible) = (0, false);
        let condition = self.boolean(&[table], 2);
        let id = self.random.random_range(0..60);
        let returning = *self.one(&["", " RETURNING *", " RETURNING id, note"]);
        let sql = match self.random.random_range(0..6) {
            0 => format!("DELETE FROM {table} WHERE {condition} AND id % 7 = {}{returning}", id % 7),
            1 => {
                let other = self.relation();
                format!(
                    "DELETE FROM {table} USING {other} o2 WHERE o2.id = {table}.id AND o2.n = {}{returning}",
                    id % 5
                )
            }
            2 => {
                let other = self.relation();
                let value = self.expression(Kind::Text, &["o2"], 1);
                format!(
                    "UPDATE {table} SET note = {value} FROM {other} o2 WHERE o2.id = {table}.id AND {condition}{returning}"
                )
            }
            _ => {
                let column = *self.one(free);
                let kind = kind_of(column);
                let value = self.expression(kind, &[table], 2);
                let narrow = if self.random.random_bool(0.5) { format!(" AND id < {id}") } else { String::new() };
                format!("UPDATE {table} SET {column} = {value} WHERE {condition}{narrow}{returning}")
            }
        };
        Query { sql, ordered: false, fallible: self.fallible }
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.choose(&mut self.random).unwrap()
    }

    fn relation(&mut self) -> String {
        let relations = self.relations.clone();
        self.one(&relations).clone()
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("a{}", self.aliases)
    }

    /// A query of one or more columns, and their kinds.
    fn plain(&mut self, depth: usize) -> (String, Vec<Kind>) {
        let (from, aliases) = self.from(depth);
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        self.over(&from, &aliases, depth)
    }

    fn over(&mut self, from: &str, aliases: &[&str], depth: usize) -> (String, Vec<Kind>) {
        let kinds: Vec<Kind> = (0..self.random.random_range(1..5)).map(|_| self.kind()).collect();
        let columns: Vec<String> = kinds.iter().map(|kind| self.expression(*kind, aliases, depth)).collect();
        let distinct = *self.one(&["", "", "", "DISTINCT "]);
        let condition = self.condition(aliases, depth);
        (format!("SELECT {distinct}{} FROM {from}{condition}", columns.join(", ")), kinds)
    }

    fn of_kinds(&mut self, kinds: &[Kind]) -> String {
        let (from, aliases) = self.from(1);
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        let columns: Vec<String> = kinds.iter().map(|kind| self.expression(*kind, &aliases, 1)).collect();
        let condition = self.condition(&aliases, 1);
        format!("SELECT {} FROM {from}{condition}", columns.join(", "))
    }

    /// A query that has the columns of a table.
    fn of_all_columns(&mut self, depth: usize) -> String {
        let (relation, alias) = (self.relation(), self.alias());
        let condition = self.condition(&[&alias], depth);
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(name, _)| {
                if *name != "id" && self.random.random_bool(0.2) {
                    format!("{} AS {name}", self.expression(kind_of(name), &[&alias], 1))
                } else {
                    format!("{alias}.{name}")
                }
            })
            .collect();
        format!("SELECT {} FROM {relation} {alias}{condition}", columns.join(", "))
    }

    fn condition(&mut self, aliases: &[&str], depth: usize) -> String {
        if self.random.random_bool(0.3) {
            return String::new();
        }
        format!(" WHERE {}", self.boolean(aliases, depth))
    }

    fn from(&mut self, depth: usize) -> (String, Vec<String>) {
        let mut aliases = vec![self.alias()];
        let mut from = self.item(&aliases[0].clone(), depth);
        let more = if depth == 0 { 0 } else { *self.one(&[0, 0, 1, 1, 2]) };
        for _ in 0..more {
            let alias = self.alias();
            if self.random.random_bool(0.15) {
                let (relation, last) = (self.relation(), aliases.last().unwrap().clone());
                from = format!("{from} CROSS JOIN LATERAL (SELECT * FROM {relation} q WHERE q.g = {last}.g) {alias}");
            } else {
                let item = self.item(&alias, depth - 1);
                let join = *self.one(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let left = aliases.last().unwrap();
                let on = match self.random.random_range(0..5) {
                    0 => format!("{left}.g = {alias}.g"),
                    1 => format!("{left}.n = {alias}.n"),
                    2 => format!("{left}.t = {alias}.t AND {left}.id <= {alias}.id"),
                    _ => format!("{left}.id = {alias}.id"),
                };
                from = format!("{from} {join} {item} ON {on}");
            }
            aliases.push(alias);
        }
        (from, aliases)
    }

    fn item(&mut self, alias: &str, depth: usize) -> String {
        if depth > 0 && self.random.random_bool(0.2) {
            format!("({}) {alias}", self.of_all_columns(depth - 1))
        } else {
            format!("{} {alias}", self.relation())
        }
    }

    fn grouped(&mut self) -> (String, Vec<Kind>) {
        let (from, aliases) = self.from(1);
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        let mut kinds = vec![self.kind()];
        let key = self.expression(kinds[0], &aliases, 1);
        let mut columns = vec![key.clone()];
        for _ in 0..self.random.random_range(1..4) {
            let (int, text) = (self.expression(Kind::Int, &aliases, 1), self.expression(Kind::Text, &aliases, 1));
            let (aggregate, kind) = match self.random.random_range(0..9) {
                0 => ("count(*)".to_owned(), Kind::Int),
                1 => (format!("count(DISTINCT {text})"), Kind::Int),
                2 => (format!("sum({int})"), Kind::Int),
                3 => (format!("min({text})"), Kind::Text),
                4 => (format!("max({})", self.expression(Kind::Date, &aliases, 1)), Kind::Date),
                5 => (format!("avg({int})"), Kind::Numeric),
                6 => (format!("bool_or({})", self.boolean(&aliases, 1)), Kind::Bool),
                7 => (format!("string_agg({text}, ',' ORDER BY {text})"), Kind::Text),
                _ => (format!("count(*) FILTER (WHERE {})", self.boolean(&aliases, 1)), Kind::Int),
            };
            columns.push(aggregate);
            kinds.push(kind);
        }
        let condition = self.condition(&aliases, 1);
        let grouping = *self.one(&["1", "1", "ROLLUP (1)"]);
        // Positions are not expressions inside ROLLUP.
        let grouping = if grouping == "1" { key.clone() } else { format!("ROLLUP ({key})") };
        let having = *self.one(&["", "", " HAVING count(*) > 1"]);
        (format!("SELECT {} FROM {from}{condition} GROUP BY {grouping}{having}", columns.join(", ")), kinds)
    }

    fn windowed(&mut self) -> (String, Vec<Kind>) {
        let (from, aliases) = self.from(1);
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        let (by, order) = (self.expression(Kind::Int, &aliases, 1), self.expression(Kind::Text, &aliases, 1));
        let int = self.expression(Kind::Int, &aliases, 1);
        let window = match self.random.random_range(0..4) {
            0 => format!("rank() OVER (PARTITION BY {by} ORDER BY {order})"),
            1 => format!("count(*) OVER (PARTITION BY {by})"),
            2 => format!("sum({int}) OVER (ORDER BY {by})"),
            _ => format!("max({order}) OVER (PARTITION BY {by})"),
        };
        let kind = if window.starts_with("max") { Kind::Text } else { Kind::Int };
        let condition = self.condition(&aliases, 1);
        (format!("SELECT {}.id, {window} FROM {from}{condition}", aliases[0]), vec![Kind::Int, kind])
    }

    fn kind(&mut self) -> Kind {
        *self.one(&[Kind::Int, Kind::Int, Kind::Text, Kind::Text, Kind::Float, Kind::Numeric, Kind::Date, Kind::Bool])
    }

    fn column(&mut self, kind: Kind, aliases: &[&str]) -> String {
        let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| kind_of(name) == kind).collect();
        format!("{}.{}", self.one(aliases), self.one(&columns))
    }

    fn expression(&mut self, kind: Kind, aliases: &[&str], depth: usize) -> String {
        if depth == 0 || self.random.random_bool(0.35) {
            return self.column(kind, aliases);
        }
        let depth = depth - 1;
        if self.random.random_bool(0.1) {
            let (when, then) = (self.boolean(aliases, depth), self.expression(kind, aliases, depth));
            let otherwise = self.expression(kind, aliases, depth);
            return format!("CASE WHEN {when} THEN {then} ELSE {otherwise} END");
        }
        if kind == Kind::Bool {
            return format!("({})", self.boolean(aliases, depth));
        }
        if kind == Kind::Int && self.random.random_bool(0.2) {
            let (relation, alias) = (self.relation(), self.alias());
            if self.random.random_bool(0.5) {
                let outer = self.column(Kind::Int, aliases);
                return format!("(SELECT count(*) FROM {relation} {alias} WHERE {alias}.g = {outer})::int");
            }
            let of = self.expression(Kind::Int, &[&alias], depth.min(1));
            return format!("(SELECT max({of}) FROM {relation} {alias})");
        }
        let of_kind: Vec<_> = EXPRESSIONS.iter().filter(|(of, ..)| *of == kind).collect();
        let (_, may_fail, text) = **self.one(&of_kind);
        self.fallible |= may_fail;
        let mut written = String::new();
        for (index, part) in text.split(['{', '}']).enumerate() {
            // Every other part is the name of a hole.
            match part {
                _ if index % 2 == 0 => written.push_str(part),
                "k" => written.push_str(&self.random.random_range(1..9).to_string()),
                "int" => written.push_str(&self.column(Kind::Int, aliases)),
                "INT" => written.push_str(&self.expression(Kind::Int, aliases, depth)),
                "text" => written.push_str(&self.column(Kind::Text, aliases)),
                "TEXT" => written.push_str(&self.expression(Kind::Text, aliases, depth)),
                "float" => written.push_str(&self.column(Kind::Float, aliases)),
                "numeric" => written.push_str(&self.column(Kind::Numeric, aliases)),
                "json" => written.push_str(&self.column(Kind::Json, aliases)),
                "date" => written.push_str(&self.column(Kind::Date, aliases)),
                other => panic!("{other}"),
            }
        }
        written
    }

    fn boolean(&mut self, aliases: &[&str], depth: usize) -> String {
        if depth == 0 {
            let (int, k) = (self.column(Kind::Int, aliases), self.random.random_range(0..6));
            return format!("{int} > {k}");
        }
        let below = depth - 1;
        let k = self.random.random_range(0..8);
        match self.random.random_range(0..15) {
            0 => format!("({} AND {})", self.boolean(aliases, below), self.boolean(aliases, below)),
            1 => format!("({} OR {})", self.boolean(aliases, below), self.boolean(aliases, below)),
            2 => format!("NOT ({})", self.boolean(aliases, below)),
            3 => {
                let kind = self.kind();
                format!("{} IS NULL", self.expression(kind, aliases, below))
            }
            4 => format!("{} LIKE '{}%'", self.expression(Kind::Text, aliases, below), self.one(&["a", "1", "C", ""])),
            5 => format!("{} IN (1, {k}, NULL)", self.expression(Kind::Int, aliases, below)),
            6 => {
                let (relation, alias) = (self.relation(), self.alias());
                let (inner, outer) = (self.boolean(&[&alias], below), self.column(Kind::Int, aliases));
                let not = *self.one(&["", "NOT "]);
                format!("{not}EXISTS (SELECT 1 FROM {relation} {alias} WHERE {alias}.id = {outer} AND {inner})")
            }
            7 => {
                let (relation, alias) = (self.relation(), self.alias());
                let inner = self.expression(Kind::Int, &[&alias], below);
                let condition = self.condition(&[&alias], below);
                let outer = self.expression(Kind::Int, aliases, below);
                let not = *self.one(&["", "NOT "]);
                format!("{outer} {not}IN (SELECT {inner} FROM {relation} {alias}{condition})")
            }
            8 => format!("{} ~ '^[a-c1]'", self.expression(Kind::Text, aliases, below)),
            9 => format!(
                "{} BETWEEN DATE '2000-01-01' AND DATE '2020-06-01'",
                self.expression(Kind::Date, aliases, below)
            ),
            10 => self.column(Kind::Bool, aliases),
            _ => {
                let kind = self.kind();
                let sign = *self.one(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]);
                let left = self.expression(kind, aliases, below);
                let right = if self.random.random_bool(0.5) {
                    self.literal(kind)
                } else {
                    self.expression(kind, aliases, below)
                };
                format!("{left} {sign} {right}")
            }
        }
    }

    fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Int => self.random.random_range(-1..6).to_string(),
            Kind::Text => (*self.one(&["'a'", "'1'", "''", "'abc'", "'***'"])).to_owned(),
            Kind::Float => (*self.one(&["0.5::float8", "'NaN'::float8", "2::float8"])).to_owned(),
            Kind::Numeric => (*self.one(&["1.5", "0.00", "-3.25"])).to_owned(),
            Kind::Date => (*self.one(&["DATE '2013-05-05'", "DATE '1999-12-31'"])).to_owned(),
            Kind::Json => "'1'::jsonb".to_owned(),
            Kind::Bool => (*self.one(&["true", "false"])).to_owned(),
        }
    }
}

fn kind_of(column: &str) -> Kind {
    match column {
        "id" | "g" | "n" => Kind::Int,
        "x" => Kind::Numeric,
        "f" => Kind::Float,
        "d" => Kind::Date,
        "o" => Kind::Bool,
        "j" => Kind::Json,
        _ => Kind::Text,
    }
}
