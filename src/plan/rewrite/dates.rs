//! Syntax of dates and times as calls of functions.

use sqlparser::ast::{
    self, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Value,
};
use sqlparser::tokenizer::Span;

use super::syntax::{arguments as plain_arguments, call, string};
use super::{function_name, session};
use crate::plan::Scope;

/// `EXTRACT(field FROM value)`.
pub(super) fn extract(field: &DateTimeField, value: &Expr) -> Expr {
    let name = match field {
        DateTimeField::Custom(ident) => ident.value.clone(),
        other => other.to_string(),
    };
    call(Ident::new("extract"), vec![string(&name), value.clone()])
}

/// `(start, end) OVERLAPS (start, end)`, or with an interval in an end's place.
pub(super) fn overlaps(expr: &mut Expr) {
    let Expr::BinaryOp { left, op: ast::BinaryOperator::Overlaps, right } = expr else { return };
    let (Expr::Tuple(left), Expr::Tuple(right)) = (left.as_ref(), right.as_ref()) else { return };
    let ends = |pair: &[Expr]| -> Option<[Expr; 2]> {
        let [start, end] = pair else { return None };
        let end = match end {
            Expr::Interval(_) => Expr::BinaryOp {
                left: Box::new(start.clone()),
                op: ast::BinaryOperator::Plus,
                right: Box::new(end.clone()),
            },
            other => other.clone(),
        };
        Some([start.clone(), end])
    };
    if let (Some(left), Some(right)) = (ends(left), ends(right)) {
        *expr = call(Ident::new("overlaps"), left.into_iter().chain(right).collect());
    }
}

/// The arguments that a call leaves out, or names.
pub(super) fn arguments(scope: &Scope, function: &mut ast::Function) {
    match function_name(function).as_deref() {
        Some("age") => {
            if let [since] = plain_arguments(function).as_slice()
                && let Some(today) = session::session_call(scope, &ObjectName::from(vec![Ident::new("current_date")]))
            {
                set(function, vec![today, since.clone()]);
            }
        }
        Some("make_interval") => {
            let zero =
                || Expr::Value(ast::ValueWithSpan { value: Value::Number("0".to_owned(), false), span: Span::empty() });
            let FunctionArguments::List(list) = &function.args else { return };
            let names = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
            let mut all: Vec<Expr> = names.iter().map(|_| zero()).collect();
            for (place, argument) in list.args.iter().enumerate() {
                let (place, value) = match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(place), value),
                    FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
                    | FunctionArg::ExprNamed {
                        name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), ..
                    } => (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value),
                    _ => return,
                };
                // What is no argument of it is told of where none fits.
                let Some(slot) = place.and_then(|place| all.get_mut(place)) else { return };
                *slot = value.clone();
            }
            set(function, all);
        }
        _ => {}
    }
}

fn set(function: &mut ast::Function, values: Vec<Expr>) {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args = values.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    }
}
