//! System relations that are queries over others: `sql/pg_catalog/views.sql`, `sql/information_schema/views.sql`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{INFORMATION_SCHEMA, PG_CATALOG, SystemRelation};

static QUERIES: LazyLock<HashMap<(&'static str, &'static str), &'static str>> = LazyLock::new(|| {
    let pg_catalog = include_str!("../../../sql/pg_catalog/views.sql");
    let information_schema = include_str!("../../../sql/information_schema/views.sql");
    statements(PG_CATALOG, pg_catalog).chain(statements(INFORMATION_SCHEMA, information_schema)).collect()
});

/// The `CREATE VIEW name AS query;` statements of a file; each ends at a line's end.
fn statements(
    schema: &'static str,
    file: &'static str,
) -> impl Iterator<Item = ((&'static str, &'static str), &'static str)> {
    file.split(";\n").filter_map(move |statement| {
        let (_, view) = statement.split_once("CREATE VIEW ")?;
        let (name, query) = view.split_once(" AS\n")?;
        Some(((schema, name), query))
    })
}

/// The query of a system relation that is one.
pub fn view_query(relation: &SystemRelation) -> Option<&'static str> {
    QUERIES.get(&(relation.schema, relation.name)).copied()
}
