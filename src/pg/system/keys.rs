//! What `pg_catalog` says of constraints and indexes.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::deparse;
use super::objects::{self, PG_CLASS_OID, visible};
use super::rows::{Rows, row};
use crate::catalog::{Constraint, ConstraintKind, ForeignKey, Index, IndexKey, KeyValue, Relation};
use crate::context::Context;
use crate::name::{ObjectId, quote};
use crate::pg::system::types;
use crate::types::PgType;

/// `pg_class.oid` of `pg_constraint`.
pub(super) const PG_CONSTRAINT_OID: u32 = 2606;

/// Rows of `pg_am` and `pg_opclass`.
pub(super) const ACCESS_METHODS: &str = include_str!("../../../sql/pg_catalog/pg_am.tsv");
pub(super) const OPERATOR_CLASSES: &str = include_str!("../../../sql/pg_catalog/pg_opclass.tsv");

static METHODS: LazyLock<HashMap<&'static str, u32>> = LazyLock::new(|| {
    let named = |line: &'static str| {
        let mut fields = line.split('\t');
        let oid = fields.next()?.parse().ok()?;
        Some((fields.next()?, oid))
    };
    ACCESS_METHODS.lines().filter_map(named).collect()
});

/// The default operator class by access method and type.
static DEFAULT_CLASSES: LazyLock<HashMap<(u32, u32), u32>> = LazyLock::new(|| {
    let class = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [oid, method, _, _, _, _, input, "t", _] = fields.as_slice() else { return None };
        Some(((method.parse().ok()?, input.parse().ok()?), oid.parse().ok()?))
    };
    OPERATOR_CLASSES.lines().filter_map(class).collect()
});

/// The operator class by access method and name.
static CLASSES: LazyLock<HashMap<(u32, &'static str), u32>> = LazyLock::new(|| {
    let class = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [oid, method, name, ..] = fields.as_slice() else { return None };
        Some(((method.parse().ok()?, *name), oid.parse().ok()?))
    };
    OPERATOR_CLASSES.lines().filter_map(class).collect()
});

fn is_default(class: u32) -> bool {
    DEFAULT_CLASSES.values().any(|default| *default == class)
}

/// `pg_class.relam`
pub(super) fn access_method(index: &Index) -> u32 {
    METHODS.get(index.method.as_str()).copied().unwrap_or(0)
}

fn operator_class(index: &Index, key: &IndexKey, pg: &PgType) -> u32 {
    if let Some(name) = &key.operator_class {
        return CLASSES.get(&(access_method(index), name.as_str())).copied().unwrap_or(0);
    }
    let input = match pg {
        PgType::Varchar(_) => PgType::Text.oid(),
        // anyarray
        PgType::Array(_) => 2277,
        pg => pg.oid(),
    };
    DEFAULT_CLASSES.get(&(access_method(index), input)).copied().unwrap_or(0)
}

/// Indexes that the current role may know of, with their tables.
fn indexes(ctx: &Context) -> impl Iterator<Item = (ObjectId, &Relation, &Index, &Relation)> {
    visible(ctx).filter_map(|(id, relation)| of_index(ctx, id, relation))
}

fn of_index<'c>(
    ctx: &'c Context,
    id: ObjectId,
    relation: &'c Relation,
) -> Option<(ObjectId, &'c Relation, &'c Index, &'c Relation)> {
    let index = relation.as_index()?;
    Some((id, relation, index, ctx.catalog.relation(index.table)?))
}

/// An index's columns, those of INCLUDE last: names and types.
pub(super) fn columns<'a>(index: &'a Index, table: &'a Relation) -> Vec<(&'a str, &'a PgType)> {
    let of = |id: i32| table.column_by_id(id).map(|column| (column.name.as_str(), &column.pg));
    let keys = index.keys.iter().filter_map(|key| match &key.value {
        KeyValue::Column(id) => of(*id),
        KeyValue::Expression(own) => Some((own.name.as_str(), &own.pg)),
    });
    keys.chain(index.included.iter().filter_map(|id| of(*id))).collect()
}

fn numbers(ids: impl IntoIterator<Item = i32>) -> Vec<i16> {
    ids.into_iter().map(|id| i16::try_from(id).unwrap_or(i16::MAX)).collect()
}

pub(super) fn index(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns([
        "indexrelid",
        "indrelid",
        "indnatts",
        "indnkeyatts",
        "indisunique",
        "indnullsnotdistinct",
        "indisprimary",
        "indimmediate",
        "indisvalid",
        "indisready",
        "indislive",
        "indkey",
        "indcollation",
        "indclass",
        "indoption",
        "indexprs",
        "indpred",
    ]);
    for (id, _, index, table) in asked.into_iter().filter_map(|(id, relation)| of_index(ctx, id, relation)) {
        let primary = table.primary_key().and_then(Constraint::index) == Some(id);
        let all = numbers(index.keys.iter().map(|key| key.column().unwrap_or(0)).chain(index.included.iter().copied()));
        let mut keys = columns(index, table);
        keys.truncate(index.keys.len());
        let expressions = index.keys.iter().filter_map(|key| match &key.value {
            KeyValue::Expression(own) => Some(deparse::expression(ctx, table, &own.expression, false)),
            KeyValue::Column(_) => None,
        });
        let expressions: Vec<String> = expressions.collect();
        let option = |key: &IndexKey| i16::from(key.descending) + 2 * i16::from(key.nulls_first);
        rows.push(row![
            id.oid(),
            index.table.oid(),
            i16::try_from(all.len()).unwrap_or(i16::MAX),
            i16::try_from(keys.len()).unwrap_or(i16::MAX),
            index.unique,
            index.nulls_not_distinct,
            primary,
            true,
            true,
            true,
            true,
            all,
            keys.iter().map(|(_, pg)| objects::collation_of(pg)).collect::<Vec<_>>(),
            keys.iter().zip(&index.keys).map(|((_, pg), key)| operator_class(index, key, pg)).collect::<Vec<_>>(),
            index.keys.iter().map(option).collect::<Vec<_>>(),
            (!expressions.is_empty()).then(|| expressions.join(", ")),
            index.predicate.as_ref().map(|own| deparse::expression(ctx, table, &own.condition, false)),
        ]);
    }
}

pub(super) fn constraint(ctx: &Context, rows: &mut Rows) {
    let asked = rows.asked(ctx);
    let mut rows = rows.columns([
        "oid",
        "conname",
        "connamespace",
        "contype",
        "condeferrable",
        "condeferred",
        "conenforced",
        "convalidated",
        "conrelid",
        "conindid",
        "confrelid",
        "confupdtype",
        "confdeltype",
        "confmatchtype",
        "conislocal",
        "connoinherit",
        "conkey",
        "confkey",
        "conbin",
    ]);
    for (id, table) in asked {
        for constraint in &table.constraints {
            let foreign = match &constraint.kind {
                ConstraintKind::Foreign(key) => Some(key),
                ConstraintKind::Primary(_) | ConstraintKind::Unique(_) | ConstraintKind::Check(_) => None,
            };
            let check = match &constraint.kind {
                ConstraintKind::Check(check) => Some(check.condition.as_str()),
                ConstraintKind::Primary(_) | ConstraintKind::Unique(_) | ConstraintKind::Foreign(_) => None,
            };
            let index = constraint.index().or_else(|| foreign.map(|key| key.index));
            let letter = |of: fn(&ForeignKey) -> char| foreign.map_or(' ', of);
            rows.push(row![
                constraint.id.oid(),
                &constraint.name,
                table.schema.oid(),
                kind(constraint),
                foreign.is_some_and(|key| key.deferrable),
                foreign.is_some_and(|key| key.deferred),
                foreign.is_none(),
                foreign.is_none(),
                id.oid(),
                index.map_or(0, ObjectId::oid),
                foreign.map_or(0, |key| key.table.oid()),
                letter(|key| key.on_update),
                letter(|key| key.on_delete),
                letter(|key| if key.match_full { 'f' } else { 's' }),
                true,
                check.is_none(),
                numbers(key_columns(ctx, constraint)),
                foreign.map(|key| numbers(key.referenced.iter().copied())),
                check,
            ]);
        }
    }
}

/// `pg_constraint.contype`
fn kind(constraint: &Constraint) -> char {
    match constraint.kind {
        ConstraintKind::Primary(_) => 'p',
        ConstraintKind::Unique(_) => 'u',
        ConstraintKind::Check(_) => 'c',
        ConstraintKind::Foreign(_) => 'f',
    }
}

fn key_columns(ctx: &Context, constraint: &Constraint) -> Vec<i32> {
    match &constraint.kind {
        ConstraintKind::Primary(index) | ConstraintKind::Unique(index) => {
            ctx.catalog.relation(*index).and_then(Relation::as_index).and_then(Index::columns).unwrap_or_default()
        }
        ConstraintKind::Check(check) => check.columns.clone(),
        ConstraintKind::Foreign(key) => key.columns.clone(),
    }
}

/// What constraints and indexes depend on, for `pg_depend`: class, object, class, object, column, kind.
pub(super) fn dependencies(ctx: &Context) -> Vec<(u32, u32, u32, u32, i32, char)> {
    let mut found = Vec::new();
    for (id, table) in visible(ctx) {
        for constraint in &table.constraints {
            let own = constraint.id.oid();
            for column in key_columns(ctx, constraint) {
                found.push((PG_CONSTRAINT_OID, own, PG_CLASS_OID, id.oid(), column, 'a'));
            }
            if let Some(index) = constraint.index() {
                found.push((PG_CLASS_OID, index.oid(), PG_CONSTRAINT_OID, own, 0, 'i'));
            }
            if let ConstraintKind::Foreign(key) = &constraint.kind {
                let referred = key.referenced.iter();
                found.extend(
                    referred.map(|column| (PG_CONSTRAINT_OID, own, PG_CLASS_OID, key.table.oid(), *column, 'n')),
                );
                found.push((PG_CONSTRAINT_OID, own, PG_CLASS_OID, key.index.oid(), 0, 'n'));
            }
        }
    }
    for (id, _, index, _) in indexes(ctx).filter(|(id, _, _, table)| table.constraint_of(*id).is_none()) {
        let columns = index.reads().into_iter().chain(index.included.iter().copied());
        found.extend(columns.map(|column| (PG_CLASS_OID, id.oid(), PG_CLASS_OID, index.table.oid(), column, 'a')));
    }
    found
}

/// A constraint by its OID, with its table.
pub(super) fn find(ctx: &Context, oid: u32) -> Option<(ObjectId, &Relation, &Constraint)> {
    let id = ObjectId::from_oid(oid)?;
    let (table, relation) = ctx.catalog.constrained(id).filter(|(_, relation)| objects::is_visible(ctx, relation))?;
    let found = relation.constraints.iter().find(|constraint| constraint.id == id)?;
    Some((table, relation, found))
}

fn names(table: &Relation, columns: &[i32]) -> String {
    let names = columns.iter().filter_map(|id| table.column_by_id(*id)).map(|column| quote(&column.name));
    names.collect::<Vec<_>>().join(", ")
}

/// `pg_get_constraintdef`
pub(super) fn constraint_definition(ctx: &Context, oid: u32, pretty: bool) -> Option<String> {
    let Some((_, table, constraint)) = find(ctx, oid) else { return types::domain_constraint_definition(ctx, oid) };
    Some(match &constraint.kind {
        ConstraintKind::Check(check) => {
            let shown = deparse::expression(ctx, table, &check.condition, pretty);
            format!("CHECK ({})", if pretty { shown } else { deparse::enclosed(shown) })
        }
        ConstraintKind::Primary(index) | ConstraintKind::Unique(index) => {
            let index = ctx.catalog.relation(*index)?.as_index()?;
            let what = if kind(constraint) == 'p' { "PRIMARY KEY" } else { "UNIQUE" };
            let nulls = if index.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" };
            let columns = index.columns().unwrap_or_default();
            format!("{what}{nulls} ({}){}", names(table, &columns), include(table, index))
        }
        ConstraintKind::Foreign(key) => {
            let other = ctx.catalog.relation(key.table)?;
            let mut text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                names(table, &key.columns),
                ctx.display_name(key.table),
                names(other, &key.referenced)
            );
            if key.match_full {
                text.push_str(" MATCH FULL");
            }
            for (when, letter) in [(" ON UPDATE ", key.on_update), (" ON DELETE ", key.on_delete)] {
                let action = match letter {
                    'r' => "RESTRICT",
                    'c' => "CASCADE",
                    'n' => "SET NULL",
                    'd' => "SET DEFAULT",
                    _ => continue,
                };
                text.push_str(when);
                text.push_str(action);
            }
            for (said, words) in [(key.deferrable, " DEFERRABLE"), (key.deferred, " INITIALLY DEFERRED")] {
                text.push_str(if said { words } else { "" });
            }
            text.push_str(" NOT ENFORCED");
            text
        }
    })
}

fn include(table: &Relation, index: &Index) -> String {
    if index.included.is_empty() { String::new() } else { format!(" INCLUDE ({})", names(table, &index.included)) }
}

/// `pg_get_indexdef`; with a column, from 1, its name alone.
pub(super) fn index_definition(ctx: &Context, oid: u32, column: i64, pretty: bool) -> Option<String> {
    let id = ObjectId::from_oid(oid)?;
    let relation = ctx.catalog.relation(id).filter(|relation| objects::is_visible(ctx, relation))?;
    let index = relation.as_index()?;
    let table = ctx.catalog.relation(index.table)?;
    if let Some(number) = usize::try_from(column).ok().and_then(|column| column.checked_sub(1)) {
        return Some(match index.keys.get(number).map(|key| &key.value) {
            Some(KeyValue::Expression(own)) => deparse::key(ctx, table, own, pretty),
            _ => columns(index, table).get(number).map(|(name, _)| quote(name)).unwrap_or_default(),
        });
    }
    let keys = index.keys.iter().filter_map(|key| {
        let value = match &key.value {
            KeyValue::Column(id) => quote(&table.column_by_id(*id)?.name),
            KeyValue::Expression(own) => deparse::key(ctx, table, own, pretty),
        };
        let default = |name: &&String| {
            CLASSES.get(&(access_method(index), name.as_str())).is_some_and(|class| is_default(*class))
        };
        let class = key.operator_class.as_ref().filter(|name| !default(name));
        let class = class.map(|name| format!(" {}", quote(name))).unwrap_or_default();
        let order = match (key.descending, key.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        Some(format!("{value}{class}{order}"))
    });
    let schema = ctx.catalog.schema(table.schema).map(|schema| quote(&schema.name)).unwrap_or_default();
    let named = if pretty { ctx.display_name(index.table) } else { format!("{schema}.{}", quote(&table.name)) };
    Some(format!(
        "CREATE {}INDEX {} ON {named} USING {} ({}){}{}{}",
        if index.unique { "UNIQUE " } else { "" },
        quote(&relation.name),
        index.method,
        keys.collect::<Vec<_>>().join(", "),
        include(table, index),
        if index.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" },
        match &index.predicate {
            Some(own) => format!(" WHERE {}", deparse::expression(ctx, table, &own.condition, pretty)),
            None => String::new(),
        },
    ))
}
