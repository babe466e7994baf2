//! Values against what PostgreSQL 18 sends: `tests/data/binary_vectors_pg18.tsv`.

use arrow::array::ArrayRef;

use super::binary::write_binary;
use super::{Column, ColumnBuilder, Style, write_text};
use crate::setting::Zone;
use crate::types::{PgType, field};

const VECTORS: &str = include_str!("../../tests/data/binary_vectors_pg18.tsv");

/// The types that can be stored; the others in the file belong to the catalogs or are not supported.
fn covered(pg: &PgType) -> bool {
    let scalar = pg.element().unwrap_or(pg);
    !matches!(
        scalar,
        PgType::Oid
            | PgType::Regclass
            | PgType::Regtype
            | PgType::Name
            | PgType::InternalChar
            | PgType::Void
            | PgType::Unknown
            | PgType::Aclitem
            | PgType::Record(_)
            | PgType::Named(_)
    ) && !matches!(pg, PgType::Int2vector | PgType::Oidvector)
}

/// What Arrow or our decimals cannot hold, and arrays with more than one dimension or other bounds.
fn representable(pg: &PgType, text: &str) -> bool {
    match pg {
        PgType::Numeric(_) => text.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'.') && text.len() <= 38,
        // Arrow counts from 1970, PostgreSQL from 2000: the last 30 years do not fit.
        PgType::Timestamp(_) | PgType::Timestamptz(_) => !text.starts_with("294276"),
        PgType::Interval => !text.contains("infinity"),
        PgType::Array(_) => !text.starts_with('[') && !text.contains("{{"),
        _ => true,
    }
}

#[test]
fn values_are_read_and_written_as_postgresql_does() {
    let style = Style::utc();
    let mut checked = 0;
    for line in VECTORS.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, _oid, _length, _literal, text, hex] = fields.as_slice() else { continue };
        let Ok(mut pg) = name.parse::<PgType>() else { continue };
        if !covered(&pg) || !representable(pg.element().unwrap_or(&pg), text) || !representable(&pg, text) {
            continue;
        }
        let scale_of = |text: &str| super::parse_numeric(text).map_or(0, |numeric| numeric.scale.max(0));
        match &pg {
            PgType::Numeric(None) => pg = PgType::Numeric(Some((38, scale_of(text)))),
            // An array's elements share a scale here; PostgreSQL's do not.
            PgType::Array(element) if matches!(element.as_ref(), PgType::Numeric(_)) => continue,
            _ => {}
        }
        let bytes: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        for from_binary in [false, true] {
            let mut builder = ColumnBuilder::new(&pg, Zone::UTC).unwrap();
            let input = if from_binary { builder.append_binary(&bytes) } else { builder.append_text(text) };
            input.unwrap_or_else(|error| panic!("{name} {text} (binary: {from_binary}): {error}"));
            let array: ArrayRef = builder.finish();
            let column = Column::new(&array, &field("", &pg, true)).unwrap();
            let (mut written_text, mut written_binary) = (Vec::new(), Vec::new());
            write_text(&mut written_text, &column, 0, &style);
            write_binary(&mut written_binary, &column, 0, &style);
            assert_eq!(String::from_utf8(written_text).unwrap(), *text, "{name} as text (binary: {from_binary})");
            assert_eq!(written_binary, bytes, "{name} {text} as binary (binary: {from_binary})");
        }
        checked += 1;
    }
    assert!(checked > 80, "{checked} vectors were checked");
}

#[test]
fn nulls_are_nulls() {
    for pg in [PgType::Int4, PgType::Text, PgType::Array(Box::new(PgType::Int4))] {
        let mut builder = ColumnBuilder::new(&pg, Zone::UTC).unwrap();
        builder.append_null();
        assert_eq!(builder.finish().null_count(), 1);
    }
}
