//! Arrays: what their functions give. The engine tells lists apart by what is in them, not by what PostgreSQL calls it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, lit, when,
};

use super::Scope;
use super::typing::{agree, common_type, known_as, literal, pg_type, remembering, same_type, untyped, with_type};
use crate::pg::{ARRAY_OF, HasNull, UNTYPED_ARRAY, is_vector};
use crate::types::{PgType, field, of_field};

/// Functions whose result is an array of the type of the first argument that is one.
const GIVE_ARRAYS: &[&str] = &[
    "array_append",
    "array_concat",
    "array_distinct",
    "array_prepend",
    "array_remove",
    "array_remove_all",
    "array_replace",
    "array_replace_all",
    "array_resize",
    "array_reverse",
    "array_slice",
    "array_sort",
];
/// Functions whose result is an item of their first argument.
const GIVE_ITEMS: &[&str] = &["array_any_value", "array_element", "array_max", "array_min"];

/// Whether a function is one of arrays.
pub(super) fn applies_to(name: &str) -> bool {
    name == "array_has" || name == ARRAY_OF || GIVE_ARRAYS.contains(&name) || GIVE_ITEMS.contains(&name)
}

/// A call whose result has its PostgreSQL type.
fn known(function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let name = function.func.name();
    let mut arrays = function.args.iter().filter_map(|argument| pg_type(argument, schema));
    let array = arrays.find(|pg| pg.element().is_some());
    let result = match array {
        Some(array) if GIVE_ITEMS.contains(&name) => array.element().cloned(),
        Some(array) if GIVE_ARRAYS.contains(&name) => Some(array),
        _ => None,
    };
    Transformed::yes(remembering(Expr::ScalarFunction(function), result, schema))
}

/// The items of an array as rows, with their PostgreSQL type.
pub(super) fn unnested(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Unnest(unnest) = &node else { return Ok(node) };
    let input = unnest.input.schema();
    let of_column = |place: usize| {
        let own = *unnest.dependency_indices.get(place)?;
        let is_list = unnest.list_type_columns.iter().any(|(index, _)| *index == own);
        of_field(input.fields().get(own).filter(|_| is_list)?).element().cloned()
    };
    let columns: Vec<Expr> = node
        .schema()
        .iter()
        .enumerate()
        .map(|(place, (qualifier, shown))| {
            let column = Expr::Column(Column::new(qualifier.cloned(), shown.name()));
            match of_column(place).filter(|pg| *pg != of_field(shown) && pg.element().is_none()) {
                Some(pg) => known_as(column, pg).alias_qualified(qualifier.cloned(), shown.name()),
                None => column,
            }
        })
        .collect();
    if columns.iter().all(|column| matches!(column, Expr::Column(_))) {
        return Ok(node);
    }
    LogicalPlanBuilder::from(node).project(columns)?.build()
}

/// `value = ANY (array)`: NULL if no item is equal and one is NULL. Known items are a list, which prunes files.
fn any_equal(array_has: Arc<ScalarUDF>, array: Expr, value: Expr) -> Result<Expr> {
    let items = match &array {
        Expr::Literal(ScalarValue::List(list), _) if list.is_valid(0) => {
            let items = list.value(0);
            let item = |row| Ok(Expr::Literal(ScalarValue::try_from_array(&items, row)?, None));
            Some((0..items.len()).map(item).collect::<Result<Vec<_>>>()?)
        }
        Expr::ScalarFunction(made) if made.func.name() == "make_array" => Some(made.args.clone()),
        _ => None,
    };
    if let Some(items) = items {
        return Ok(if items.is_empty() { lit(false) } else { value.in_list(items, false) });
    }
    let found = Expr::ScalarFunction(ScalarFunction::new_udf(array_has, vec![array.clone(), value.clone()]));
    let has_null = ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(HasNull::default())), vec![array.clone()]);
    let has_null = Expr::ScalarFunction(has_null);
    let unknown = array.clone().is_null().or(cardinality(array).gt(lit(0_u64)).and(value.is_null().or(has_null)));
    when(found, lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))
}

/// `ARRAY[…]`: literals without a type take that of the other items. `42804`, `42846`.
fn made(scope: &Scope, items: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    agree(("ARRAY", "ARRAY"), items.iter(), schema)?;
    let target = common_type(items.iter(), schema).filter(|pg| pg.element().is_none());
    let items = with_type(scope, items, target.as_ref())?;
    let known = same_type(items.iter(), schema).filter(|pg| pg.element().is_none());
    let array = ScalarFunction::new_udf(make_array_udf(), items);
    Ok(remembering(Expr::ScalarFunction(array), known.map(|pg| PgType::Array(Box::new(pg))), schema))
}

/// An array of rows that have no type of their own, whose items are in sight, as one of rows of a type. `None`: it is none.
pub(super) fn of_rows(scope: &Scope, array: &Expr, element: &PgType, schema: &DFSchema) -> Result<Option<Expr>> {
    let function = match array {
        Expr::Cast(cast) => return of_rows(scope, &cast.expr, element, schema),
        Expr::ScalarFunction(function) if function.func.name() == "make_array" => function,
        _ => return Ok(None),
    };
    let target = Arc::new(field("", element, true));
    let items = function.args.iter().map(|item| {
        let cast = Cast::new_from_field(Box::new(item.clone()), Arc::clone(&target));
        Ok(super::typing::cast(scope, cast, schema)?.data)
    });
    let array = ScalarFunction::new_udf(make_array_udf(), items.collect::<Result<_>>()?);
    Ok(Some(remembering(Expr::ScalarFunction(array), Some(PgType::Array(Box::new(element.clone()))), schema)))
}

/// `value = ANY (array)` with a literal on one side, subscripts of the catalogs' vectors, which start at 0, and what else
/// gives back an array or an item of one.
pub(super) fn function(scope: &Scope, function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let name = function.func.name().to_owned();
    if name == ARRAY_OF {
        return made(scope, function.args, schema).map(Transformed::yes);
    }
    if !matches!(name.as_str(), "array_has" | "array_element") {
        return Ok(known(function, schema));
    }
    let Ok([array, operand]) = <[Expr; 2]>::try_from(function.args.clone()) else {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    };
    let (array_type, operand_type) = (pg_type(&array, schema), pg_type(&operand, schema));
    let args = if name == "array_has" {
        let wanted = operand_type.filter(|pg| pg.element().is_none()).map(|pg| PgType::Array(Box::new(pg)));
        let element = array_type.as_ref().and_then(PgType::element).cloned();
        let array = match (&array, wanted) {
            (Expr::ScalarFunction(untyped), Some(wanted)) if untyped.func.name() == UNTYPED_ARRAY => {
                match untyped.args.as_slice() {
                    [Expr::Literal(ScalarValue::Utf8(Some(text)), _)] => literal(scope, &wanted, text)?,
                    _ => array,
                }
            }
            _ => array,
        };
        let operand = untyped(scope, operand, element.as_ref())?;
        return Ok(Transformed::yes(any_equal(function.func, array, operand)?));
    } else if array_type.as_ref().is_some_and(is_vector) {
        let one = Expr::Literal(ScalarValue::Int64(Some(1)), None);
        let subscript = Expr::Cast(Cast::new(Box::new(operand), DataType::Int64));
        vec![array, Expr::BinaryExpr(BinaryExpr::new(Box::new(subscript), Operator::Plus, Box::new(one)))]
    } else {
        return Ok(known(function, schema));
    };
    Ok(known(ScalarFunction::new_udf(function.func, args), schema))
}
