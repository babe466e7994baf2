//! WITH whose queries change rows: a statement in parts.

use sqlparser::ast;

use super::text::SyntaxError;
use super::{Command, folded, parse_query, top_level};

/// `WITH name AS (INSERT | UPDATE | DELETE …), … statement`. Each part is evaluated once, in order; all of them see what was
/// there before the statement, and the results of parts before them.
#[derive(Clone, Debug)]
pub struct WithParts {
    /// The queries of WITH, those included that change nothing.
    pub parts: Vec<Part>,
    /// The statement after them, whose result is the client's.
    pub main: Box<Command>,
}

/// A query of WITH.
#[derive(Clone, Debug)]
pub struct Part {
    /// What the parts after it call its result.
    pub name: String,
    /// Names for its first columns.
    pub columns: Vec<String>,
    /// What it does.
    pub command: Command,
}

/// Takes such a WITH from before a statement, in parts; `None`: it changes nothing, and stays.
pub(super) fn split(query: &mut ast::Query) -> Result<Option<Vec<Part>>, SyntaxError> {
    if !query.with.iter().flat_map(|with| &with.cte_tables).any(|cte| changes(&cte.query)) {
        return Ok(None);
    }
    let Some(with) = query.with.take() else { return Ok(None) };
    let mut parts = Vec::new();
    for cte in with.cte_tables {
        let name = folded(&cte.alias.name);
        if changes(&cte.query) {
            let columns = cte.alias.columns.iter().map(|column| folded(&column.name)).collect();
            parts.push(Part { name, columns, command: top_level(cte.query)? });
            continue;
        }
        // Evaluated once like the others, under its own name and columns.
        let mut whole = parse_query("SELECT * FROM it")?;
        if let ast::SetExpr::Select(select) = whole.body.as_mut() {
            for table in &mut select.from {
                if let ast::TableFactor::Table { name, .. } = &mut table.relation {
                    *name = ast::ObjectName::from(vec![cte.alias.name.clone()]);
                }
            }
        }
        whole.with =
            Some(ast::With { with_token: with.with_token.clone(), recursive: with.recursive, cte_tables: vec![cte] });
        parts.push(Part { name, columns: Vec::new(), command: Command::Query(whole) });
    }
    Ok(Some(parts))
}

/// Whether a query is a statement that changes rows.
fn changes(query: &ast::Query) -> bool {
    use ast::SetExpr as S;
    matches!(query.body.as_ref(), S::Insert(_) | S::Update(_) | S::Delete(_) | S::Merge(_))
}
