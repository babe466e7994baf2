//! Arrays: what their functions give. The engine tells lists apart by what is in them, not by what PostgreSQL calls it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::functions::core::get_field as get_field_udf;
use datafusion::functions::unicode::expr_fn::substring;
use datafusion::functions_nested::array_compact::array_compact_udf;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, lit, when,
};

use super::Scope;
use super::typing::{
    Place, alike, call, is_unknown, known_as, literal, pg_type, remembering, types_comparable, untyped,
};
use crate::pg::function::PgFunction;
use crate::pg::{ANY_EQUAL, ARRAY_AT, ARRAY_FLATTENED, ARRAY_OF, Flattened, HasNull, OfArrays, UNTYPED_ARRAY};
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
const GIVE_ITEMS: &[&str] = &["array_any_value", "array_max", "array_min"];

/// Functions that look at the values of their arguments, whatever their dimensions.
const COMPARE_VALUES: &[&str] = &["array_has_all", "array_has_any"];

/// Whether a function is one of arrays.
pub(super) fn applies_to(name: &str) -> bool {
    matches!(name, ANY_EQUAL | ARRAY_AT | ARRAY_OF | ARRAY_FLATTENED)
        || COMPARE_VALUES.contains(&name)
        || GIVE_ARRAYS.contains(&name)
        || GIVE_ITEMS.contains(&name)
}

/// Whether a function of an array takes items of it, too.
pub(super) fn takes_items(name: &str) -> bool {
    let others = [
        "array_concat",
        "array_resize",
        "array_repeat",
        "array_slice",
        "array_element",
        "array_to_string",
        "array_length",
    ];
    name.starts_with("array_") && !others.contains(&name) && !compares(name)
}

/// Whether a function compares arrays of one type.
pub(super) fn compares(name: &str) -> bool {
    COMPARE_VALUES.contains(&name)
}

/// A call whose result has its PostgreSQL type.
fn known(function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let name = function.func.name();
    let arrays = function.args.iter().filter_map(|argument| pg_type(argument, schema));
    let arrays: Vec<PgType> = arrays.filter(|pg| pg.element().is_some()).collect();
    // What has fewer dimensions becomes a part of what has more.
    let most = arrays.iter().map(PgType::dimensions).max().unwrap_or_default();
    let array = arrays.into_iter().find(|pg| pg.dimensions() == most);
    let result = match array {
        Some(array) if GIVE_ITEMS.contains(&name) => array.element().cloned(),
        Some(array) if GIVE_ARRAYS.contains(&name) => Some(array),
        _ => None,
    };
    let nested = result.as_ref().is_some_and(|pg| pg.dimensions() > 1);
    let call = Expr::ScalarFunction(function);
    Transformed::yes(remembering(if nested { of_arrays(call, false) } else { call }, result, schema))
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
fn any_equal(array: Expr, value: Expr) -> Result<Expr> {
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
    let found = Expr::ScalarFunction(ScalarFunction::new_udf(array_has_udf(), vec![array.clone(), value.clone()]));
    let has_null = ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(HasNull::default())), vec![array.clone()]);
    let has_null = Expr::ScalarFunction(has_null);
    let unknown = array.clone().is_null().or(cardinality(array).gt(lit(0_u64)).and(value.is_null().or(has_null)));
    when(found, lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))
}

/// `ARRAY[…]`: literals without a type take that of the other items. `42804`, `42846`.
fn made(scope: &Scope, items: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let (items, known) = alike(scope, Place("ARRAY", "ARRAY"), items, schema)?;
    let nested = known.as_ref().is_some_and(|pg| pg.element().is_some());
    let array = Expr::ScalarFunction(ScalarFunction::new_udf(make_array_udf(), items));
    let array = if nested { of_arrays(array, false) } else { array };
    Ok(remembering(array, known.map(|pg| PgType::Array(Box::new(pg))), schema))
}

/// An array of arrays, which must be alike. `aggregated`: they were collected from rows.
pub(super) fn of_arrays(array: Expr, aggregated: bool) -> Expr {
    let function = ScalarUDF::new_from_impl(OfArrays::new(aggregated));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![array]))
}

/// The values of an array, which has one dimension or more.
fn flattened(array: Expr, pg: Option<&PgType>) -> Expr {
    if pg.is_none_or(|pg| pg.dimensions() < 2) {
        return array;
    }
    let function = ScalarUDF::new_from_impl(Flattened::default());
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![array]))
}

/// An array of rows that have no type of their own, whose items are in sight, as one of rows of a type. `None`: it is none.
pub(super) fn of_rows(scope: &Scope, array: &Expr, element: &PgType, schema: &DFSchema) -> Result<Option<Expr>> {
    let function = match array {
        Expr::ScalarFunction(known) if known.func.name() == "known_as" => match known.args.as_slice() {
            [array] => return of_rows(scope, array, element, schema),
            _ => return Ok(None),
        },
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

/// What the syntax of arrays, and functions over them, become when the types are known.
pub(super) fn function(scope: &Scope, function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match function.func.name() {
        ARRAY_OF => made(scope, function.args, schema).map(Transformed::yes),
        ANY_EQUAL => any(scope, function, schema).map(Transformed::yes),
        ARRAY_AT => item(scope, function, schema),
        // `&&` of networks.
        "array_has_any" if function.args.iter().any(|value| is_network(value, schema)) => {
            let given = |value: Expr| match &value {
                Expr::ScalarFunction(mark) if let Some(text) = untyped_array(mark) => lit(text),
                _ => value,
            };
            let Some(overlap) = PgFunction::named("&&") else { return plan_err!("networks overlap") };
            let values = function.args.into_iter().map(given).collect();
            call(scope, &overlap, values, schema).map(Transformed::yes)
        }
        name if name == ARRAY_FLATTENED || COMPARE_VALUES.contains(&name) => {
            let compares = name != ARRAY_FLATTENED;
            let is_known =
                |expr: &&Expr| !matches!(expr, Expr::ScalarFunction(mark) if mark.func.name() == UNTYPED_ARRAY);
            let mut known = function.args.iter().filter(is_known).filter_map(|array| pg_type(array, schema));
            let array = known.find(|pg| pg.element().is_some());
            let args = function.args.into_iter().map(|value| {
                let value = match (&value, &array) {
                    (Expr::ScalarFunction(mark), Some(array)) if let Some(text) = untyped_array(mark) => {
                        literal(scope, array, text)?
                    }
                    _ => untyped(scope, value, array.as_ref())?,
                };
                let pg = pg_type(&value, schema);
                Ok(flattened(value, pg.as_ref()))
            });
            let mut args: Vec<Expr> = args.collect::<Result<_>>()?;
            Ok(Transformed::yes(match args.pop() {
                // An array of one dimension is what it is.
                Some(array) if !compares => array,
                last => {
                    args.extend(last);
                    without_nulls_equal(function.func, args)?
                }
            }))
        }
        _ => Ok(known(function, schema)),
    }
}

fn is_network(value: &Expr, schema: &DFSchema) -> bool {
    pg_type(value, schema).is_some_and(|pg| pg.is_network())
}

/// `@>` and `&&`, in which a NULL among the items is equal to nothing, and which are NULL where one of the arrays is.
fn without_nulls_equal(function: Arc<ScalarUDF>, args: Vec<Expr>) -> Result<Expr> {
    let unknown = args.iter().cloned().map(Expr::is_null).reduce(Expr::or).unwrap_or_else(|| lit(false));
    let holds = match (function.name(), args.as_slice()) {
        ("array_has_all", [_, items]) => {
            let has_null = ScalarUDF::new_from_impl(HasNull::default());
            let has_null = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(has_null), vec![items.clone()]));
            Expr::ScalarFunction(ScalarFunction::new_udf(function, args)).and(has_null.is_false())
        }
        (_, [left, right]) => {
            let compact = Expr::ScalarFunction(ScalarFunction::new_udf(array_compact_udf(), vec![left.clone()]));
            Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![compact, right.clone()]))
        }
        _ => Expr::ScalarFunction(ScalarFunction::new_udf(function, args)),
    };
    when(unknown, lit(ScalarValue::Boolean(None))).otherwise(holds)
}

/// What subscripts are of: items of arrays, values in documents, or the bytes of names, which PostgreSQL's own queries ask for.
fn item(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match function.args.first().and_then(|document| pg_type(document, schema)) {
        Some(PgType::Jsonb) => {}
        Some(PgType::Name) => {
            let Ok([name, at]) = <[Expr; 2]>::try_from(function.args) else {
                return plan_err!("a name has one subscript");
            };
            let text = Cast::new_from_field(Box::new(name), Arc::new(field("", &PgType::Text, true)));
            let letter = substring(Expr::Cast(text), at + lit(1_i64), lit(1_i64));
            let letter = Cast::new_from_field(Box::new(letter), Arc::new(field("", &PgType::InternalChar, true)));
            return Ok(Transformed::yes(Expr::Cast(letter)));
        }
        _ => return Ok(Transformed::no(Expr::ScalarFunction(function))),
    }
    let steps = function.args.split_off(1);
    let [document] = <[Expr; 1]>::try_from(function.args).or_else(|_| plan_err!("a subscript is of one document"))?;
    if let DataType::Map(..) = document.get_type(schema)? {
        let part = |of, step| Expr::ScalarFunction(ScalarFunction::new_udf(get_field_udf(), vec![of, step]));
        return Ok(Transformed::yes(steps.into_iter().fold(document, part)));
    }
    let text = Arc::new(field("", &PgType::Text, true));
    let steps = steps.into_iter().map(|step| {
        let step = untyped(scope, step, Some(&PgType::Text))?;
        Ok(super::typing::cast(scope, Cast::new_from_field(Box::new(step), Arc::clone(&text)), schema)?.data)
    });
    let path = made(scope, steps.collect::<Result<_>>()?, schema)?;
    let Some(at_path) = PgFunction::named("#>") else { return plan_err!("documents have no paths") };
    call(scope, &at_path, vec![document, path], schema).map(Transformed::yes)
}

/// The text of a literal that is an array of no type.
fn untyped_array(mark: &ScalarFunction) -> Option<&str> {
    match mark.args.as_slice() {
        [Expr::Literal(ScalarValue::Utf8(Some(text)), _)] if mark.func.name() == UNTYPED_ARRAY => Some(text),
        _ => None,
    }
}

/// `value = ANY (array)`: what has no type of the two takes that of the other. `42883`.
fn any(scope: &Scope, function: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    let Ok([array, value]) = <[Expr; 2]>::try_from(function.args) else {
        return plan_err!("ANY compares a value with an array");
    };
    let pg = pg_type(&array, schema);
    let array = flattened(array, pg.as_ref());
    let element = pg.as_ref().and_then(PgType::element).map(|element| element.base().clone());
    let own = pg_type(&value, schema).filter(|pg| pg.element().is_none());
    let array = match (&array, own) {
        (Expr::ScalarFunction(mark), Some(own)) if let Some(text) = untyped_array(mark) => {
            literal(scope, &PgType::Array(Box::new(own)), text)?
        }
        _ => array,
    };
    let value = untyped(scope, value, element.as_ref())?;
    let item = pg_type(&array, schema).and_then(|pg| pg.element().cloned());
    if let (Some(own), Some(item)) = (pg_type(&value, schema), item)
        && !is_unknown(&value)
        && !matches!(array, Expr::Placeholder(_))
    {
        types_comparable(Operator::Eq, &own, &item)?;
    }
    any_equal(array, value)
}
