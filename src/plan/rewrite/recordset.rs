//! `json_to_recordset(…) AS t(a int, b text)` and its like in FROM: the values of documents as columns, by a query.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, TableFactor};

use super::unqualify;
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::name::{quote, quote_literal};
use crate::statement::{folded, parse_query};
use crate::types::{PgType, from_sql};

/// Functions whose columns their alias says, with that which gives the documents. `None`: the argument is the one document.
const FUNCTIONS: &[(&str, Option<&str>)] = &[
    ("json_to_record", None),
    ("json_to_recordset", Some("json_array_elements")),
    ("jsonb_to_record", None),
    ("jsonb_to_recordset", Some("jsonb_array_elements")),
];

/// Gives such functions their queries. `42601`, `0A000`.
pub(super) fn as_queries(from: &mut [ast::TableWithJoins]) -> Result<(), SqlError> {
    let factors = from.iter_mut().flat_map(|table| {
        std::iter::once(&mut table.relation).chain(table.joins.iter_mut().map(|join| &mut join.relation))
    });
    for factor in factors {
        let (name, args, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, &*args, alias),
            _ => continue,
        };
        let mut name = name.clone();
        unqualify(&mut name);
        let function = name.to_string().to_lowercase();
        let Some((function, elements)) = FUNCTIONS.iter().find(|(known, _)| *known == function) else { continue };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(document))] = args.as_slice() else { continue };
        let columns = alias.as_ref().map(|alias| alias.columns.as_slice()).unwrap_or_default();
        if columns.is_empty() || columns.iter().any(|column| column.data_type.is_none()) {
            let message = "a column definition list is required for functions returning \"record\"";
            return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let form = if function.starts_with("jsonb") { "jsonb" } else { "json" };
        let items = columns.iter().map(|column| item(column, form)).collect::<Result<Vec<_>, _>>()?.join(", ");
        let query = match elements {
            Some(elements) => format!("SELECT {items} FROM {elements}({document}) AS e(value)"),
            None => format!("SELECT {items} FROM (SELECT ({document})::{form} AS value) AS e"),
        };
        let subquery = parse_query(&query).map_err(SqlError::from)?;
        let name = alias.as_ref().map_or_else(|| Ident::new(*function), |alias| alias.name.clone());
        let alias = Some(ast::TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        *factor = TableFactor::Derived { lateral: true, subquery, alias, sample: None };
    }
    Ok(())
}

/// The value of a column: that of the key of its name.
fn item(column: &ast::TableAliasColumnDef, form: &str) -> Result<String, SqlError> {
    let name = folded(&column.name);
    let key = quote_literal(&name);
    let Some(data_type) = &column.data_type else { return Ok(String::new()) };
    let value = match from_sql(data_type).map_err(SqlError::from)? {
        PgType::Array(_) | PgType::Named(_) => {
            return Err(unsupported(format!("a column of type {data_type} of a document")).into());
        }
        // A null of JSON is none of SQL.
        PgType::Json | PgType::Jsonb => {
            format!("CASE WHEN {form}_typeof(e.value::{form} -> {key}) <> 'null' THEN e.value::{form} -> {key} END")
        }
        _ => format!("e.value::{form} ->> {key}"),
    };
    Ok(format!("({value})::{data_type} AS {}", quote(&name)))
}
