//! UPDATE and DELETE: sqlparser's reading of them, without what only other databases have.

use sqlparser::ast;

use super::Command;
use super::text::SyntaxError;

/// `[WITH …] UPDATE` or `DELETE FROM`.
#[derive(Clone, Debug)]
pub struct Modify {
    /// The queries of WITH.
    pub with: Option<ast::With>,
    /// The table whose rows change, with its alias.
    pub target: ast::TableFactor,
    /// What happens to the rows.
    pub change: RowChange,
    /// FROM of UPDATE, USING of DELETE: what the target is joined with.
    pub others: Vec<ast::TableWithJoins>,
    /// WHERE; `None`: all rows.
    pub selection: Option<ast::Expr>,
    /// RETURNING; `None`: the number of rows only.
    pub returning: Option<Vec<ast::SelectItem>>,
}

/// What a statement does to rows.
#[derive(Clone, Debug)]
pub enum RowChange {
    /// SET, not empty.
    Update(Vec<ast::Assignment>),
    /// They go.
    Delete,
}

/// An UPDATE or DELETE; `None` if the statement is another.
pub(super) fn from_statement(
    with: Option<ast::With>,
    statement: ast::Statement,
) -> Option<Result<Command, SyntaxError>> {
    let modify = match statement {
        ast::Statement::Update(update) => from_update(with, update),
        ast::Statement::Delete(delete) => from_delete(with, delete),
        _ => return None,
    };
    Some(modify.map(|modify| Command::Modify(Box::new(modify))))
}

fn from_update(with: Option<ast::With>, update: ast::Update) -> Result<Modify, SyntaxError> {
    let foreign = !update.optimizer_hints.is_empty()
        || update.output.is_some()
        || update.or.is_some()
        || !update.order_by.is_empty()
        || update.limit.is_some()
        || !update.table.joins.is_empty()
        || matches!(update.from, Some(ast::UpdateTableFromKind::BeforeSet(_)));
    if foreign {
        return Err(unsupported("this form of UPDATE"));
    }
    let others = match update.from {
        Some(ast::UpdateTableFromKind::AfterSet(tables) | ast::UpdateTableFromKind::BeforeSet(tables)) => tables,
        None => Vec::new(),
    };
    Ok(Modify {
        with,
        target: update.table.relation,
        change: RowChange::Update(update.assignments),
        others,
        selection: update.selection,
        returning: update.returning,
    })
}

fn from_delete(with: Option<ast::With>, delete: ast::Delete) -> Result<Modify, SyntaxError> {
    let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = delete.from;
    let foreign = !delete.optimizer_hints.is_empty()
        || !delete.tables.is_empty()
        || delete.output.is_some()
        || !delete.order_by.is_empty()
        || delete.limit.is_some();
    match <[ast::TableWithJoins; 1]>::try_from(tables) {
        Ok([target]) if target.joins.is_empty() && !foreign => Ok(Modify {
            with,
            target: target.relation,
            change: RowChange::Delete,
            others: delete.using.unwrap_or_default(),
            selection: delete.selection,
            returning: delete.returning,
        }),
        _ => Err(unsupported("this form of DELETE")),
    }
}

fn unsupported(feature: &str) -> SyntaxError {
    SyntaxError::Unsupported { feature: feature.to_owned(), position: None }
}
