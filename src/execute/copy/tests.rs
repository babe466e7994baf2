//! Whatever the values, and wherever the input is cut: what is read is what was written.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, AsArray};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Layout;
use super::parse::{ParsedColumn, parse_chunk};
use super::split::Splitter;
use crate::setting::Zone;
use crate::statement::{Command, CopyFormat, parse};
use crate::types::PgType;

type Row = Vec<Option<String>>;

fn layout(columns: usize, options: &str) -> Layout {
    let Command::Copy(copy) = parse(&format!("COPY t FROM STDIN WITH ({options})")).unwrap().remove(0).command else {
        panic!("{options} are no options of COPY");
    };
    let names = (0..columns).map(|index| format!("c{index}")).collect();
    Layout {
        table: "t".to_owned(),
        names,
        types: vec![PgType::Text; columns],
        options: copy.options,
        defaults: vec![false; columns],
        zone: Zone::UTC,
        skipped: AtomicU64::new(0),
        told: Mutex::default(),
        files: Vec::new(),
    }
}

/// Feeds pieces of random length; gives all rows, and checks the numbers of the chunks' first lines.
fn read(layout: &Layout, input: &[u8], random: &mut StdRng) -> Vec<Row> {
    let mut splitter = Splitter::new(&layout.options, 0);
    let (mut rest, mut rows, mut seen) = (input, Vec::new(), Vec::new());
    loop {
        let (piece, tail) = rest.split_at(random.random_range(0..=rest.len().min(9)));
        rest = tail;
        splitter.feed(piece).unwrap();
        let end = rest.is_empty();
        if end {
            splitter.finish().unwrap();
        }
        let now = end || random.random_bool(0.1);
        while let Some(chunk) = splitter.take_chunk(now) {
            let before = if layout.options.format == CopyFormat::Csv {
                memchr::memchr_iter(b'\n', &seen).count()
            } else {
                rows.len()
            };
            assert_eq!(chunk.first.line, 1 + before as u64);
            seen.extend_from_slice(&chunk.bytes);
            let columns = parse_chunk(layout, &chunk).unwrap().columns;
            for row in 0..columns[0].values.len() {
                let value = |column: &ParsedColumn| {
                    let values = column.values.as_string_view();
                    values.is_valid(row).then(|| values.value(row).to_owned())
                };
                rows.push(columns.iter().map(value).collect());
            }
        }
        if end {
            return rows;
        }
    }
}

fn values(random: &mut StdRng, pieces: &[&str], columns: usize) -> Vec<Row> {
    let mut value = || {
        let length = random.random_range(0..5);
        random.random_bool(0.8).then(|| (0..length).map(|_| pieces[random.random_range(0..pieces.len())]).collect())
    };
    (0..20).map(|_| (0..columns).map(|_| value()).collect()).collect()
}

#[test]
fn csv() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let escape = if random.random_bool(0.5) { '"' } else { '\\' };
        let columns = random.random_range(2..4);
        // Half of the inputs need no quotes at all.
        let all = ["a", "ü", " ", "'", "\u{1F6A3}", "\\", ",", "\"", "\n", "\r\n"];
        let pieces = if random.random_bool(0.5) { &all[..5] } else { &all[..] };
        let rows = values(&mut random, pieces, columns);
        let mut input = String::new();
        for row in &rows {
            for (index, value) in row.iter().enumerate() {
                input.push_str(if index > 0 { "," } else { "" });
                let Some(value) = value else { continue };
                let must = value.is_empty() || value.contains([',', '"', '\n', '\r']);
                if must || random.random_bool(0.1) {
                    input.push('"');
                    for character in value.chars() {
                        if character == '"' || character == escape {
                            input.push(escape);
                        }
                        input.push(character);
                    }
                    input.push('"');
                } else {
                    input.push_str(value);
                }
            }
            input.push_str(if random.random_bool(0.5) { "\n" } else { "\r\n" });
        }
        let read = read(&layout(columns, &format!("FORMAT csv, ESCAPE '{escape}'")), input.as_bytes(), &mut random);
        assert_eq!(read, rows, "seed {seed}: {input:?}");
    }
}

#[test]
fn text() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let columns = random.random_range(2..4);
        let all = ["a", "ü", " ", ",", "\u{1F6A3}", "\\", "\t", "\n", "\r", "N", "."];
        let pieces = if random.random_bool(0.5) { &all[..5] } else { &all[..] };
        let rows = values(&mut random, pieces, columns);
        let mut input = String::new();
        for row in &rows {
            for (index, value) in row.iter().enumerate() {
                input.push_str(if index > 0 { "\t" } else { "" });
                let Some(value) = value else {
                    input.push_str("\\N");
                    continue;
                };
                for character in value.chars() {
                    match character {
                        '\\' => input.push_str("\\\\"),
                        '\r' => input.push_str("\\r"),
                        '\n' => input.push_str(if random.random_bool(0.5) { "\\n" } else { "\\\n" }),
                        '\t' => input.push_str(if random.random_bool(0.5) { "\\t" } else { "\\\t" }),
                        other => input.push(other),
                    }
                }
            }
            input.push('\n');
        }
        let read = read(&layout(columns, "FORMAT text"), input.as_bytes(), &mut random);
        assert_eq!(read, rows, "seed {seed}: {input:?}");
    }
}
