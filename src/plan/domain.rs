//! Domains: what must hold of a value, wherever it comes from.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_plan::PhysicalExpr;

use super::{Scope, has_subquery, policy};
use crate::catalog::Domain;
use crate::error::{About, Plain, SqlError, SqlState, internal, unsupported};
use crate::name::ObjectId;
use crate::pg::one;
use crate::types::{PgType, field};

/// What `VALUE` is called in the conditions of a domain.
const VALUE: &str = "value";
/// Metadata of a cast's field: the domain's id.
const DOMAIN_KEY: &str = "boathouse.domain";

/// What must hold of the values of a domain.
#[derive(Debug)]
pub struct DomainRules {
    name: String,
    nullable: bool,
    /// With their names.
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
    schema: SchemaRef,
}

impl DomainRules {
    /// The rules of a domain.
    pub fn new(scope: &Scope, id: ObjectId, domain: &Domain) -> std::result::Result<Self, SqlError> {
        let schema = Arc::new(Schema::new(vec![field(VALUE, &domain.base, true)]));
        let df_schema = DFSchema::try_from(Arc::clone(&schema)).map_err(SqlError::from_engine)?;
        let checks = domain.checks.iter().map(|check| {
            let bound = bind(scope, &domain.base, &check.condition)?;
            let physical = scope.engine.physical_expr(&bound, &df_schema).map_err(SqlError::from_engine)?;
            Ok((check.name.clone(), physical))
        });
        let checks = checks.collect::<std::result::Result<_, SqlError>>()?;
        let name = scope.ctx.type_name(id.oid(), -1).unwrap_or_default();
        Ok(Self { name, nullable: domain.nullable, checks, schema })
    }

    /// Whether all of some values are the domain's. `23502`, `23514`.
    pub fn hold(&self, values: &ArrayRef) -> std::result::Result<(), SqlError> {
        if !self.nullable && values.logical_null_count() > 0 {
            let message = format!("domain {} does not allow null values", self.name);
            return Err(Plain::new(SqlState::NOT_NULL_VIOLATION, message).into());
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let values = arrow::compute::cast(values, self.schema.field(0).data_type()).map_err(SqlError::from_arrow)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![values]).map_err(SqlError::from_arrow)?;
        for (name, check) in &self.checks {
            let holds = check.evaluate(&batch).and_then(|holds| holds.into_array(batch.num_rows()));
            let holds = holds.map_err(SqlError::from_engine)?;
            let holds = holds.as_boolean_opt().ok_or_else(|| internal("a condition that is not boolean"))?;
            if holds.iter().any(|holds| holds == Some(false)) {
                let message = format!("value for domain {} violates check constraint \"{name}\"", self.name);
                let about = About { constraint: Some(name.clone()), ..About::default() };
                return Err(Plain::new(SqlState::CHECK_VIOLATION, message).about(about).into());
            }
        }
        Ok(())
    }
}

/// The condition of a domain over its value. `42804`, `42703` …
pub(super) fn bind(scope: &Scope, base: &PgType, condition: &str) -> std::result::Result<Expr, SqlError> {
    let schema = policy::schema_of(std::iter::once(field(VALUE, base, true)))?;
    let bound = policy::expression(scope, condition, &schema, &[])?;
    if has_subquery(&bound) {
        return Err(unsupported("a subquery in a check constraint").into());
    }
    let aggregates = bound.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_))));
    if aggregates.unwrap_or(true) {
        let message = "aggregate functions are not allowed in check constraints";
        return Err(Plain::new(SqlState::GROUPING_ERROR, message).into());
    }
    policy::condition(bound, &schema, "CHECK")
}

/// The field of a cast to a domain over a type.
pub(super) fn cast_field(pg: &PgType, domain: ObjectId) -> Field {
    let own = field("", pg, true);
    let mut metadata = own.metadata().clone();
    metadata.insert(DOMAIN_KEY.to_owned(), domain.to_string());
    own.with_metadata(metadata)
}

/// The domain that a cast's field is of, and the field without it.
pub(super) fn of_cast(target: &FieldRef) -> Option<(ObjectId, FieldRef)> {
    let mut metadata = target.metadata().clone();
    let id = metadata.remove(DOMAIN_KEY)?.parse().ok()?;
    Some((ObjectId(id), Arc::new(Field::clone(target).with_metadata(metadata))))
}

/// A value that is held to the rules of a domain.
pub(super) fn held(scope: &Scope, value: Expr, id: ObjectId, pg: &PgType) -> std::result::Result<Expr, SqlError> {
    let user_type = scope.catalog().user_type(id).ok_or_else(|| internal("a cast to a domain that is gone"))?;
    let domain = user_type.as_domain().ok_or_else(|| internal("a cast to a domain that is none"))?;
    let rules = Arc::new(DomainRules::new(scope, id, domain)?);
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(DomainValue { id, pg: pg.clone(), rules, signature });
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value])))
}

/// `value::domain`, for a value of the type that the domain is over.
#[derive(Debug)]
struct DomainValue {
    id: ObjectId,
    pg: PgType,
    rules: Arc<DomainRules>,
    signature: Signature,
}

impl PartialEq for DomainValue {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for DomainValue {}
impl Hash for DomainValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl ScalarUDFImpl for DomainValue {
    fn name(&self) -> &'static str {
        "domain_value"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().map_or_else(|| exec_err!("domain_value has one argument"), Ok)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [argument] = args.arg_fields else { return exec_err!("domain_value has one argument") };
        let own = field(self.name(), &self.pg, true).with_data_type(argument.data_type().clone());
        Ok(Arc::new(own))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |values| {
            self.rules.hold(values)?;
            Ok(Arc::clone(values))
        })
    }
}
