//! `PARTITIONED BY (…)` and `SORTED BY (…)`: how a table's rows are laid out in files.

use super::constraint::{SortColumn, sort_column};
use super::cursor::Cursor;
use super::text::SyntaxError;
use crate::catalog::Transform;

/// What a statement says of a table's layout; `None`: nothing.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// `PARTITIONED BY (transform(column), …)`; empty: `RESET PARTITIONED BY`.
    pub partitioned: Option<Vec<(Transform, String)>>,
    /// `SORTED BY (column [ASC | DESC] [NULLS {FIRST | LAST}], …)`; empty: `RESET SORTED BY`.
    pub sorted: Option<Vec<SortColumn>>,
}

impl Layout {
    /// Clauses of CREATE TABLE, in any order; there may be none.
    pub(super) fn clauses(c: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        let mut layout = Self::default();
        while let Some(next) = Self::clause(c, &[])? {
            if next.partitioned.is_some() && layout.partitioned.is_some()
                || next.sorted.is_some() && layout.sorted.is_some()
            {
                return Err(c.unexpected());
            }
            layout =
                Self { partitioned: layout.partitioned.or(next.partitioned), sorted: layout.sorted.or(next.sorted) };
        }
        Ok(layout)
    }

    /// `SET …` or `RESET …` of ALTER TABLE; `None`: it is something else.
    pub(super) fn change(c: &mut Cursor<'_>) -> Result<Option<Self>, SyntaxError> {
        if c.words(&["reset", "partitioned", "by"]) {
            return Ok(Some(Self { partitioned: Some(Vec::new()), sorted: None }));
        }
        if c.words(&["reset", "sorted", "by"]) {
            return Ok(Some(Self { partitioned: None, sorted: Some(Vec::new()) }));
        }
        Self::clause(c, &["set"])
    }

    fn clause(c: &mut Cursor<'_>, before: &[&str]) -> Result<Option<Self>, SyntaxError> {
        if c.words(&[before, &["partitioned", "by"]].concat()) {
            return Ok(Some(Self { partitioned: Some(c.parenthesized(partition_key)?), sorted: None }));
        }
        if c.words(&[before, &["sorted", "by"]].concat()) {
            return Ok(Some(Self { partitioned: None, sorted: Some(c.parenthesized(sort_column)?) }));
        }
        Ok(None)
    }
}

/// `column`, `year(column)` and its like, or `bucket(count, column)`.
fn partition_key(c: &mut Cursor<'_>) -> Result<(Transform, String), SyntaxError> {
    let word = c.ident()?;
    if !c.left_parenthesis() {
        return Ok((Transform::Identity, word));
    }
    let transform = match word.as_str() {
        "identity" => Transform::Identity,
        "year" => Transform::Year,
        "month" => Transform::Month,
        "day" => Transform::Day,
        "hour" => Transform::Hour,
        "bucket" => {
            let count = c.integer()?;
            let count = u32::try_from(count).ok().filter(|count| (1..=i32::MAX.unsigned_abs()).contains(count));
            if !c.comma() {
                return Err(c.unexpected());
            }
            Transform::Bucket(count.ok_or_else(|| c.unsupported("this number of buckets"))?)
        }
        other => return Err(c.unsupported(&format!("partitioning by {other}(…)"))),
    };
    let column = c.ident()?;
    c.expect_right_parenthesis()?;
    Ok((transform, column))
}
