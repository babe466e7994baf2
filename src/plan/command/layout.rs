//! PARTITIONED BY and SORTED BY.

use super::super::{PlanError, PlanResult, Scope};
use super::DdlPlan;
use crate::catalog::{Column, KeyColumn, PartitionKey, Partitioning, Relation, RelationKind, Sorting, Transform};
use crate::error::{Plain, SqlState, unsupported};
use crate::statement::{Layout, SortColumn};
use crate::types::PgType;

/// Gives a table the layout that a statement says; what it does not mention stays. `42703`, `42P16`, `0A000`.
pub(super) fn lay_out(scope: &Scope, ddl: &mut DdlPlan, table: &mut Relation, layout: &Layout) -> PlanResult<()> {
    let partitioned = layout.partitioned.as_ref().map(|keys| partition_keys(table, keys)).transpose()?;
    let sorted = layout.sorted.as_ref().map(|columns| sort_keys(table, columns)).transpose()?;
    let RelationKind::Table(storage) = &mut table.storage else { return Ok(()) };
    if let Some(keys) = partitioned {
        storage.partitioning = (!keys.is_empty()).then(|| Partitioning { id: ddl.new_id(scope), keys });
    }
    if let Some(keys) = sorted {
        storage.sorting = (!keys.is_empty()).then(|| Sorting { id: ddl.new_id(scope), keys });
    }
    Ok(())
}

fn partition_keys(table: &Relation, keys: &[(Transform, String)]) -> PlanResult<Vec<PartitionKey>> {
    let mut found: Vec<PartitionKey> = Vec::new();
    for (transform, name) in keys {
        let column = find(table, name)?;
        check_transform(*transform, column)?;
        let key = PartitionKey { column: column.id, transform: *transform };
        if found.contains(&key) {
            return Err(twice(name, "partition").into());
        }
        found.push(key);
    }
    Ok(found)
}

fn sort_keys(table: &Relation, columns: &[SortColumn]) -> PlanResult<Vec<KeyColumn>> {
    let mut found: Vec<KeyColumn> = Vec::new();
    for SortColumn { name, descending, nulls_first } in columns {
        let column = find(table, name)?;
        if !is_ordered(&column.pg) {
            return Err(unsupported(format!("sorting by a column of type {}", column.pg)).into());
        }
        if found.iter().any(|key| key.column == column.id) {
            return Err(twice(name, "sort").into());
        }
        found.push(KeyColumn { column: column.id, descending: *descending, nulls_first: *nulls_first });
    }
    Ok(found)
}

/// The column that a key of a table names. `42703`.
pub(in crate::plan) fn find<'a>(table: &'a Relation, name: &str) -> PlanResult<&'a Column> {
    table.column(name).ok_or_else(|| {
        let message = format!("column \"{name}\" does not exist");
        PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.to_owned())
    })
}

fn twice(column: &str, key: &str) -> Plain {
    Plain::new(SqlState::INVALID_TABLE_DEFINITION, format!("column \"{column}\" appears twice in {key} key"))
}

/// Refuses a change of a column that the table is partitioned or sorted by. `42P16`.
pub(super) fn refuse_in_layout(table: &Relation, column: &Column, verb: &str) -> PlanResult<()> {
    let partitioned = table.partitioning().map(|partitioning| partitioning.keys.as_slice()).unwrap_or_default();
    let sorted = table.sorting().map(|sorting| sorting.keys.as_slice()).unwrap_or_default();
    let (key, reset) = if partitioned.iter().any(|key| key.column == column.id) {
        ("partition key", "PARTITIONED")
    } else if sorted.iter().any(|key| key.column == column.id) {
        ("sort key", "SORTED")
    } else {
        return Ok(());
    };
    let message = format!(
        "cannot {verb} column \"{}\" because it is part of the {key} of relation \"{}\"",
        column.name, table.name
    );
    let hint = format!("Use ALTER TABLE … RESET {reset} BY first.");
    Err(Plain::new(SqlState::INVALID_TABLE_DEFINITION, message).hint(hint).into())
}

fn check_transform(transform: Transform, column: &Column) -> PlanResult<()> {
    let pg = &column.pg;
    let fits = match transform {
        Transform::Identity => is_ordered(pg) && !matches!(pg, PgType::Float4 | PgType::Float8 | PgType::Bytea),
        Transform::Year | Transform::Month | Transform::Day => {
            matches!(pg, PgType::Date | PgType::Timestamp(_) | PgType::Timestamptz(_))
        }
        Transform::Hour => matches!(pg, PgType::Timestamp(_) | PgType::Timestamptz(_)),
        // Those whose hashes DuckDB and Iceberg agree on.
        Transform::Bucket(_) => match pg {
            PgType::Numeric(precision) => precision.is_some_and(|(precision, _)| precision <= 18),
            PgType::Bytea => true,
            PgType::Bool | PgType::Uuid | PgType::Float4 | PgType::Float8 => false,
            other => is_ordered(other),
        },
    };
    if fits {
        return Ok(());
    }
    let by = match transform {
        Transform::Identity => String::new(),
        Transform::Bucket(_) => "a bucket of ".to_owned(),
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour => format!("the {transform} of "),
    };
    Err(unsupported(format!("partitioning by {by}a column of type {pg}")).into())
}

/// Types whose values have an order that all readers agree on.
fn is_ordered(pg: &PgType) -> bool {
    matches!(
        pg,
        PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Float4
            | PgType::Float8
            | PgType::Numeric(Some(_))
            | PgType::Text
            | PgType::Varchar(_)
            | PgType::Char(_)
            | PgType::Bytea
            | PgType::Date
            | PgType::Time(_)
            | PgType::Timestamp(_)
            | PgType::Timestamptz(_)
            | PgType::Uuid
    )
}
