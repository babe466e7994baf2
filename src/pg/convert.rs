//! Casts from and to text with PostgreSQL's own input and output forms.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::encode::{ColumnBuilder, InputError, Style, Surplus, array_items, text_array, within_modifier};
use crate::error::SqlError;
use crate::types::{PgType, arrow_type, field};

/// `text::type`.
#[derive(Debug)]
pub struct FromText {
    pg: PgType,
    style: Style,
    signature: Signature,
}

impl FromText {
    /// The cast to a type. `style` has the zone of local times, and the objects that names stand for.
    pub fn new(pg: PgType, style: Style) -> Self {
        Self { pg, style, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// Reads one value.
    pub fn scalar(&self, text: &str) -> Result<ScalarValue, SqlError> {
        let mut builder = ColumnBuilder::new(&self.pg, self.style.zone)?;
        self.append(&mut builder, text)?;
        ScalarValue::try_from_array(&builder.finish(), 0).map_err(SqlError::from_engine)
    }

    fn append(&self, builder: &mut ColumnBuilder, text: &str) -> Result<(), SqlError> {
        if self.pg.is_object_name() {
            builder.append_integer(self.style.object_oid(&self.pg, text)?.into());
            return Ok(());
        }
        if let PgType::Array(element) = &self.pg
            && element.is_object_name()
        {
            let items = array_items(text).ok_or_else(|| InputError::Array { text: text.to_owned() })?;
            let object = |name: Option<String>| match name {
                Some(name) => self.style.object_oid(element, &name).map(Some),
                None => Ok(None),
            };
            let oids = items.into_iter().map(object).collect::<Result<Vec<_>, _>>()?;
            return Ok(builder.append_items(|items| {
                for oid in oids {
                    match oid {
                        Some(oid) => items.append_integer(oid.into()),
                        None => items.append_null(),
                    }
                }
                Ok(())
            })?);
        }
        Ok(builder.append_text(text)?)
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef, SqlError> {
        let text = cast(array, &DataType::Utf8View).map_err(SqlError::from_arrow)?;
        let text = text.as_string_view();
        let mut builder = ColumnBuilder::new(&self.pg, self.style.zone)?;
        for value in text {
            match value {
                Some(value) => self.append(&mut builder, value)?,
                None => builder.append_null(),
            }
        }
        Ok(builder.finish())
    }
}

impl PartialEq for FromText {
    fn eq(&self, other: &Self) -> bool {
        self.pg == other.pg && self.style == other.style
    }
}
impl Eq for FromText {}
impl Hash for FromText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pg.hash(state);
    }
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &'static str {
        "from_text"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.pg))
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.pg.typname(), &self.pg, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| Ok(self.convert(array)?))
    }
}

/// `value::text`.
#[derive(Debug)]
pub struct ToText {
    source: PgType,
    style: Style,
    /// Whether it is what the type's output function gives: that of a boolean is a letter.
    output: bool,
    signature: Signature,
}

/// The type that one of our casts to or from text gives, if it gives the same in every session; `None`: it does not, or it
/// is another function.
pub fn always_the_same(function: &ScalarUDF) -> Option<DataType> {
    let varies = |pg: &PgType| {
        let element = pg.element().unwrap_or(pg);
        matches!(
            element,
            PgType::Date | PgType::Time(_) | PgType::Timetz(_) | PgType::Timestamp(_) | PgType::Timestamptz(_)
        ) || *element == PgType::Interval
            || matches!(element, PgType::Regclass | PgType::Regtype | PgType::Regproc)
            || matches!(element, PgType::Regnamespace | PgType::Regrole)
    };
    if let Some(cast) = function.inner().downcast_ref::<ToText>() {
        return (!varies(&cast.source) || matches!(cast.source, PgType::Time(_))).then_some(DataType::Utf8View);
    }
    let cast = function.inner().downcast_ref::<FromText>()?;
    (!varies(&cast.pg)).then(|| arrow_type(&cast.pg))
}

impl ToText {
    /// The cast from a type, whose values print as `style` says.
    pub fn new(source: PgType, style: Style) -> Self {
        Self { source, style, output: false, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// What the type's output function gives.
    pub fn output(source: PgType, style: Style) -> Self {
        Self { output: true, ..Self::new(source, style) }
    }
}

/// A value as one of a PostgreSQL type, of which it has the form already.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KnownAs {
    pg: PgType,
    signature: Signature,
}

impl KnownAs {
    /// The type that it is known as.
    pub fn new(pg: PgType) -> Self {
        Self { pg, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KnownAs {
    fn name(&self) -> &'static str {
        "known_as"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().map_or_else(|| exec_err!("known_as has one argument"), Ok)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [argument] = args.arg_fields else { return exec_err!("known_as has one argument") };
        Ok(Arc::new(field(self.name(), &self.pg, true).with_data_type(argument.data_type().clone())))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().map_or_else(|| exec_err!("known_as has one argument"), Ok)
    }
}

/// A value as one of a type of which it is but for the modifier, or an array of them: texts are cut, times rounded.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Fitted {
    pg: PgType,
    signature: Signature,
}

impl Fitted {
    /// The cast to a type, from the same without its modifier.
    pub fn new(pg: PgType) -> Self {
        Self { pg, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// The type, with as many dimensions as a value has that may be an array.
    fn of(&self, mut value: Option<&DataType>) -> PgType {
        if self.pg.element().is_none() {
            return self.pg.clone();
        }
        let mut dimensions = 0;
        while let Some(DataType::List(item)) = value {
            (value, dimensions) = (Some(item.data_type()), dimensions + 1);
        }
        self.pg.with_dimensions(dimensions.max(1))
    }
}

impl ScalarUDFImpl for Fitted {
    fn name(&self) -> &'static str {
        "fitted"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.pg))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name(), &self.of(args.arg_fields.first().map(|field| field.data_type())), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| {
            Ok(within_modifier(Arc::clone(array), &self.of(Some(array.data_type())), Surplus::Cut)
                .map_err(SqlError::from)?)
        })
    }
}

/// A value as its type's output function gives it.
pub const OUTPUT_TEXT: &str = "output_text";
/// `pg_typeof`: the type of a value, as `regtype`.
pub const TYPE_OF: &str = "pg_typeof";

/// `told_apart(cast, 'type')`: the cast. The engine's name for it says the type.
pub const TOLD_APART: &str = "told_apart";

/// Stands for its first argument while a query is bound.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToldApart(Signature);

impl Default for ToldApart {
    fn default() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for ToldApart {
    fn name(&self) -> &'static str {
        TOLD_APART
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields
            .first()
            .map_or_else(|| exec_err!("{TOLD_APART} has two arguments"), |field| Ok(Arc::clone(field)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{TOLD_APART} was not replaced")
    }
}

/// Stands for what is told of a value by its type, until that is known: it is replaced then.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToldByType {
    name: &'static str,
    result: PgType,
    signature: Signature,
}

impl ToldByType {
    /// All of them.
    pub fn all() -> [Self; 2] {
        [(OUTPUT_TEXT, PgType::Text), (TYPE_OF, PgType::Regtype)].map(|(name, result)| Self {
            name,
            result,
            signature: Signature::any(1, Volatility::Immutable),
        })
    }
}

impl ScalarUDFImpl for ToldByType {
    fn name(&self) -> &'static str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.result))
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name, &self.result, true)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} was not replaced", self.name)
    }
}

impl PartialEq for ToText {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.style == other.style && self.output == other.output
    }
}
impl Eq for ToText {}
impl Hash for ToText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl ScalarUDFImpl for ToText {
    fn name(&self) -> &'static str {
        "to_text"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| {
            let booleans = array.data_type() == &DataType::Boolean && !self.output;
            let source = field("", &self.source, true).with_data_type(array.data_type().clone());
            let text = text_array(array, &source, &self.style)?;
            // A boolean's cast spells it out, unlike its output function.
            let text: ArrayRef = if booleans {
                let words =
                    text.as_string::<i32>().iter().map(|value| value.map(|v| if v == "t" { "true" } else { "false" }));
                Arc::new(words.collect::<arrow::array::StringArray>())
            } else {
                text
            };
            Ok(cast(&text, &DataType::Utf8View)?)
        })
    }
}

/// Applies a function of one argument; a scalar stays one.
pub fn one(args: &ScalarFunctionArgs, apply: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    match args.args.as_slice() {
        [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(apply(array)?)),
        [ColumnarValue::Scalar(scalar)] => {
            let array = apply(&scalar.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
        _ => exec_err!("a conversion has one argument"),
    }
}
