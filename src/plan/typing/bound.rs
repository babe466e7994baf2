//! Functions that are bound to what they name: a sequence, an enumeration.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::cast::literal;
use super::pg_type;
use crate::catalog::{Relation, RelationKind, Sequence};
use crate::error::{Plain, SqlError, SqlState};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::{LastValue, Objects, SequenceAction, SequenceFunction};
use crate::plan::Scope;
use crate::types::{PgType, arrow_type};

/// A function of sequences, bound to the one that it names.
pub(super) fn sequence_function(scope: &Scope, mut function: ScalarFunction) -> Result<Expr> {
    let bound = |udf: ScalarUDF, args| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), args));
    let action = match function.func.name() {
        "nextval" => SequenceAction::Next { explicit: true },
        "currval" => SequenceAction::Current,
        "setval" if (2..=3).contains(&function.args.len()) => SequenceAction::Set,
        "lastval" => {
            let last = LastValue::new(Arc::clone(&scope.ctx.drawn));
            return Ok(bound(ScalarUDF::new_from_impl(last), vec![]));
        }
        name => return Err(undefined_function(name).into()),
    };
    let rest = function.args.split_off(1);
    let (id, relation) = named_sequence(scope, function.args.first())?;
    let RelationKind::Sequence(sequence) = &relation.storage else {
        let message = format!("\"{}\" is not a sequence", relation.name);
        return Err(SqlError::from(Plain::new(SqlState::WRONG_OBJECT_TYPE, message)).into());
    };
    Ok(bound(ScalarUDF::new_from_impl(function_of(scope, action, (id, &relation.name), sequence)), rest))
}

/// `enum_first`, `enum_last` and `enum_range`: labels of the enumeration that an argument is of.
pub(super) fn enum_function(scope: &Scope, function: &ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    let name = function.func.name();
    let of = function.args.iter().find_map(|argument| match pg_type(argument, schema) {
        Some(PgType::Enum(of)) => Some(of),
        _ => None,
    });
    let Some(of) = of else {
        let error = Plain::new(SqlState::DATATYPE_MISMATCH, "could not determine actual enum type");
        return Err(SqlError::from(error).into());
    };
    let labels = || of.labels.iter().map(|label| label.name.as_str());
    let pg = PgType::Enum(Arc::clone(&of));
    let found = match name {
        "enum_first" => labels().next(),
        "enum_last" => labels().next_back(),
        _ => {
            let bound = |argument: Option<&Expr>| -> Result<Option<String>> {
                let Some(argument) = argument else { return Ok(None) };
                let value = match argument {
                    Expr::Cast(cast) if matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null()) => {
                        None
                    }
                    argument => {
                        let computed = || SqlError::from(crate::error::unsupported("enum_range of a computed value"));
                        Some(constant(scope, argument)?.ok_or_else(computed)?).filter(|value| !value.is_null())
                    }
                };
                let style = Objects::style(&scope.ctx);
                value.map(|value| Ok(crate::encode::scalar_text(&value, &pg, &style)?)).transpose()
            };
            let (from, to) = match function.args.as_slice() {
                [from, to] => (bound(Some(from))?, bound(Some(to))?),
                _ => (None, None),
            };
            let place =
                |label: &Option<String>| label.as_deref().and_then(|label| labels().position(|known| known == label));
            let reversed = place(&to).is_some_and(|last| place(&from).is_some_and(|first| first > last));
            let after =
                labels().filter(|_| !reversed).skip_while(|label| from.as_deref().is_some_and(|from| from != *label));
            let mut range = Vec::new();
            for label in after {
                range.push(array_item(label));
                if to.as_deref() == Some(label) {
                    break;
                }
            }
            return literal(scope, &PgType::Array(Box::new(pg)), &format!("{{{}}}", range.join(",")));
        }
    };
    match found {
        Some(label) => literal(scope, &pg, label),
        None => Ok(Expr::Literal(ScalarValue::try_from(&arrow_type(&pg))?, None)),
    }
}

/// A label in the text of an array.
pub(super) fn array_item(label: &str) -> String {
    format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The sequence that an argument names: a name, or an OID, as a literal.
pub(super) fn named_sequence<'a>(scope: &'a Scope, argument: Option<&Expr>) -> Result<(ObjectId, &'a Relation)> {
    let value = match argument {
        Some(Expr::Cast(cast)) => constant(scope, &cast.expr)?,
        Some(other) => constant(scope, other)?,
        None => None,
    };
    let found = match value {
        Some(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name))) => {
            let name = QualifiedName::parse(&name).map_err(SqlError::from)?;
            let found = scope.ctx.require_relation(&name).map_err(SqlError::from)?;
            // What a role may not know of is not there.
            if !crate::pg::system::is_visible(&scope.ctx, found.1) {
                return Err(SqlError::from(crate::context::undefined_table(&name)).into());
            }
            Some(found)
        }
        Some(value) => {
            let oid = value.cast_to(&DataType::UInt32).ok();
            let id = oid.and_then(|oid| match oid {
                ScalarValue::UInt32(Some(oid)) => ObjectId::from_oid(oid),
                _ => None,
            });
            let relation = id.and_then(|id| Some((id, scope.ctx.catalog.relation(id)?)));
            relation.filter(|(_, relation)| crate::pg::system::is_visible(&scope.ctx, relation))
        }
        None => None,
    };
    let computed = || SqlError::from(crate::error::unsupported("a sequence whose name is computed")).into();
    found.ok_or_else(computed)
}

/// The value of an expression that reads no row; `None`: it reads one, or a parameter.
pub(super) fn constant(scope: &Scope, expr: &Expr) -> Result<Option<ScalarValue>> {
    if let Expr::Literal(value, _) = expr {
        return Ok(Some(value.clone()));
    }
    let reads = |expr: &Expr| Ok(matches!(expr, Expr::Placeholder(_) | Expr::OuterReferenceColumn(..)));
    if expr.any_column_refs() || crate::plan::has_subquery(expr) || expr.exists(reads)? || expr.is_volatile() {
        return Ok(None);
    }
    let physical = scope.engine.physical_expr(expr, &DFSchema::empty())?;
    let row = crate::plan::evaluate_default(&physical, 1)?;
    ScalarValue::try_from_array(&row, 0).map(Some)
}

pub(super) fn function_of(
    scope: &Scope,
    action: SequenceAction,
    named: (ObjectId, &str),
    sequence: &Sequence,
) -> SequenceFunction {
    let counter = scope.ctx.counter(named.0);
    SequenceFunction::new(action, named, sequence, Arc::clone(counter), Arc::clone(&scope.ctx.drawn))
}

/// The next value of an identity column's sequence.
pub(in crate::plan) fn next_value_of(scope: &Scope, id: ObjectId, name: &str, sequence: &Sequence) -> Expr {
    let next = function_of(scope, SequenceAction::Next { explicit: false }, (id, name), sequence);
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(next)), vec![]))
}

pub(in crate::plan) fn undefined_function(name: &str) -> SqlError {
    Plain::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist"))
        .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
        .into()
}
