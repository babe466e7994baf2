//! Names of users' types in text that is kept to be read again.

use std::ops::ControlFlow;

use sqlparser::ast::{self, DataType, Ident, ObjectName, VisitMut, VisitorMut};

use super::{PlanResult, Scope};
use crate::context::Context;
use crate::name::ObjectId;
use crate::statement::{parse_expression, parse_query};
use crate::types::{PgType, from_sql};

/// Shows each type that a text names.
struct Types<F>(F);

impl<F: FnMut(&mut DataType)> VisitorMut for Types<F> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Cast { data_type, .. } => named(data_type, &mut self.0),
            ast::Expr::TypedString(typed) => named(&mut typed.data_type, &mut self.0),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Shows the type, or that of the elements of an array, if its name is looked up in the catalog.
fn named(data_type: &mut DataType, show: &mut impl FnMut(&mut DataType)) {
    match data_type {
        DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) => named(element, show),
        other if matches!(from_sql(other), Ok(PgType::Named(_))) => show(other),
        _ => {}
    }
}

/// The text of an expression with the schemas of all types that it names, so that it means the same under every search path.
pub(super) fn qualified(scope: &Scope, text: &str) -> PlanResult<String> {
    let mut parsed = parse_expression(text)?;
    let mut changed = false;
    let mut types = Types(|data_type: &mut DataType| {
        let Ok(PgType::Named(name)) = from_sql(data_type) else { return };
        let found = scope.ctx.user_type(&name).filter(|_| name.schema.is_none());
        let schema = found.and_then(|(_, user_type)| scope.catalog().schema(user_type.schema));
        if let Some(schema) = schema {
            let parts = [&schema.name, &name.name].map(|part| Ident::with_quote('"', part));
            *data_type = DataType::Custom(ObjectName::from(parts.to_vec()), Vec::new());
            changed = true;
        }
    });
    let _flow = parsed.visit(&mut types);
    Ok(if changed { parsed.to_string() } else { text.to_owned() })
}

/// Whether an expression or, else, a query names a type.
pub(super) fn names_type(ctx: &Context, text: &str, id: ObjectId) -> bool {
    let mut found = false;
    let mut types = Types(|data_type: &mut DataType| {
        if let Ok(PgType::Named(name)) = from_sql(data_type) {
            found |= ctx.user_type(&name).is_some_and(|(other, _)| other == id);
        }
    });
    if let Ok(mut expression) = parse_expression(text) {
        let _flow = expression.visit(&mut types);
    } else if let Ok(mut query) = parse_query(text) {
        let _flow = query.visit(&mut types);
    }
    found
}
