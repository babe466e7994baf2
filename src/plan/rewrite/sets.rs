//! Set-returning functions: in the engine each makes an array.

use sqlparser::ast::{self, Expr, Ident, ObjectName, SelectItem};

use super::function_name;
use super::syntax::{call, inside, outside_subqueries, string};
use crate::name::fold;
use crate::pg::{NAMED_ROW, TOLD_APART};

/// Set-returning functions other than `unnest`: in the engine each makes an array.
const SET_RETURNING: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "pg_listening_channels",
    "pg_partition_ancestors",
    "regexp_split_to_table",
    "string_to_table",
];

/// Functions whose rows have a column of another name than the function.
pub(super) fn column_of(name: &str) -> Option<&'static str> {
    name.contains("_array_elements").then_some("value")
}

/// Set-returning functions of several columns: for each column there is a function `name.column` that makes an array.
const COMPOSITES: &[(&str, &[&str])] = &[
    ("json_each", &["key", "value"]),
    ("json_each_text", &["key", "value"]),
    ("jsonb_each", &["key", "value"]),
    ("jsonb_each_text", &["key", "value"]),
    ("pg_options_to_table", &["option_name", "option_value"]),
    ("aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
    ("_pg_expandarray", &["x", "n"]),
    ("pg_get_sequence_data", &["last_value", "is_called"]),
    ("pg_available_extensions", &["name", "default_version", "comment"]),
    (
        "policy_references",
        &[
            "policy_kind",
            "policy_name",
            "schema_name",
            "relation_name",
            "column_name",
            "command",
            "attached_to",
            "priority",
            "enabled",
            "tag",
        ],
    ),
    (
        "effective_policy",
        &["policy_kind", "policy_name", "command", "column_name", "attached_to", "priority", "expression", "tag"],
    ),
    ("pg_get_keywords", &["word", "catcode", "barelabel", "catdesc", "baredesc"]),
];

pub(in crate::plan) fn returns_set(name: &str) -> bool {
    SET_RETURNING.contains(&name) || !composite(name).is_empty()
}

/// The columns of a set-returning function that has several.
pub(in crate::plan) fn composite(name: &str) -> &'static [&'static str] {
    COMPOSITES.iter().find(|(known, _)| *known == name).map_or(&[], |(_, columns)| columns)
}

/// Makes set-returning functions in a select list what the engine knows: the unnesting of an array.
pub(super) fn in_select(items: &mut [SelectItem]) {
    let mut subqueries = 0;
    for item in items {
        if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item {
            outside_subqueries(expr, &mut unnest);
            outside_subqueries(expr, &mut whole_row);
            outside_subqueries(expr, &mut |expr| {
                if let Expr::Function(function) = expr
                    && function_name(function).is_some_and(|name| name == "unnest")
                {
                    tell_apart(function, &mut subqueries);
                }
            });
        }
    }
}

/// Subqueries in what is unnested: to the engine all of them go by one name, and so would the columns that it unnests.
fn tell_apart(function: &mut ast::Function, count: &mut usize) {
    outside_subqueries(&mut function.args, &mut |expr| {
        if matches!(expr, Expr::Subquery(_)) {
            *count += 1;
            let subquery = std::mem::replace(expr, string(""));
            *expr = call(Ident::new(TOLD_APART), vec![subquery, string(&count.to_string())]);
        }
    });
}

/// A function of several columns whose rows are values.
fn whole_row(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = function_name(function).unwrap_or_default();
    let columns = composite(&name);
    if columns.is_empty() {
        return;
    }
    let items = columns.iter().flat_map(|column| {
        let array = column_of_rows(function, &name, column);
        [string(column), call(Ident::new("unnest"), vec![array])]
    });
    *expr = call(Ident::new(NAMED_ROW), items.collect());
}

/// The array of one column of a function that has several.
fn column_of_rows(function: &ast::Function, name: &str, column: &str) -> Expr {
    let mut part = function.clone();
    part.name = ObjectName::from(vec![Ident::with_quote('"', format!("{name}.{column}"))]);
    Expr::Function(part)
}

fn unnest(expr: &mut Expr) {
    let unnested = match expr {
        Expr::Function(function) if function_name(function).is_some_and(|name| SET_RETURNING.contains(&&*name)) => {
            Some(expr.clone())
        }
        // `(f(x)).column`
        Expr::CompoundFieldAccess { root, access_chain } => match (inside(root), access_chain.as_slice()) {
            (Expr::Function(function), [ast::AccessExpr::Dot(Expr::Identifier(column))]) => {
                let name = function_name(function).unwrap_or_default();
                let column = fold(&column.value);
                composite(&name).contains(&column.as_str()).then(|| column_of_rows(function, &name, &column))
            }
            _ => None,
        },
        _ => None,
    };
    if let Some(array) = unnested {
        *expr = call(Ident::new("unnest"), vec![array]);
    }
}
