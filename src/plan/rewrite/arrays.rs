//! Arrays of several dimensions in the text of a query.

use sqlparser::ast::{self, AccessExpr, Expr, FunctionArguments, Ident, Subscript};

use super::function_name;
use super::syntax::{call, inside};
use crate::error::{SqlError, unsupported};
use crate::pg::{ARRAY_AT, ARRAY_FLATTENED};

/// `array[i][j]`, `document['key']`. `None`: there is no subscript but a slice. `0A000` for several of which one is a slice.
pub(super) fn subscripts(root: &Expr, chain: &[AccessExpr]) -> Result<Option<Expr>, SqlError> {
    let is_subscript = |access: &&AccessExpr| matches!(access, AccessExpr::Subscript(_));
    let first = chain.iter().position(|access| is_subscript(&access)).unwrap_or(chain.len());
    let (before, rest) = chain.split_at(first);
    let several: Vec<&AccessExpr> = rest.iter().take_while(is_subscript).collect();
    match several.as_slice() {
        [AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride })]
            if lower_bound.is_none() || upper_bound.is_none() =>
        {
            let bound = |given: &Option<Expr>, end: i32| Some(given.clone().unwrap_or_else(|| number(end)));
            let (lower_bound, upper_bound) = (bound(lower_bound, 1), bound(upper_bound, i32::MAX));
            let slice = Subscript::Slice { lower_bound, upper_bound, stride: stride.clone() };
            let mut access_chain = chain.to_vec();
            if let Some(access) = access_chain.get_mut(first) {
                *access = AccessExpr::Subscript(slice);
            }
            return Ok(Some(Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain }));
        }
        [] | [AccessExpr::Subscript(Subscript::Slice { .. })] => return Ok(None),
        _ => {}
    }
    let (name, before) = super::records::named(root, before);
    let root = name.as_ref().unwrap_or(root);
    let array = super::records::of_row(root, before).unwrap_or_else(|| super::records::further(root.clone(), before));
    let index = |access: &&AccessExpr| match access {
        AccessExpr::Subscript(Subscript::Index { index }) => Ok(index.clone()),
        _ => Err(SqlError::from(unsupported("a slice of an array in several dimensions"))),
    };
    let mut arguments = vec![array];
    arguments.extend(several.iter().map(index).collect::<Result<Vec<_>, _>>()?);
    let item = call(Ident::new(ARRAY_AT), arguments);
    let after = rest.get(several.len()..).unwrap_or_default();
    Ok(Some(match after {
        [] => item,
        after => Expr::CompoundFieldAccess { root: Box::new(item), access_chain: after.to_vec() },
    }))
}

fn number(value: i32) -> Expr {
    Expr::value(ast::Value::Number(value.to_string(), false))
}

/// `unnest` gives the values of all dimensions.
pub(super) fn unnested(function: &mut ast::Function) {
    if function_name(function).as_deref() != Some("unnest") {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(array)) = argument {
            flatten(array);
        }
    }
}

/// An array as its values in one dimension; a literal, which has no type yet, stays as it is.
pub(super) fn flatten(array: &mut Expr) {
    if matches!(inside(array), Expr::Value(_)) {
        return;
    }
    let given = std::mem::replace(array, super::syntax::string(""));
    *array = call(Ident::new(ARRAY_FLATTENED), vec![given]);
}
