//! RETURNING: expressions over the rows that a statement wrote, and over what they were joined with.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast;

use super::insert::positions;
use super::names::Names;
use super::{Need, PlanResult, Right, Scope, has_subquery, origin, policy, query, rewrite, typing};
use crate::catalog::Relation;
use crate::error::{SqlError, unsupported};
use crate::govern::Privilege;
use crate::guard::masks;
use crate::name::{ObjectId, fold};
use crate::types::{PgType, arrow_type, field, of_field};

/// What RETURNING gives back, over the table's columns and then `others`.
#[derive(Clone, Debug)]
pub struct Returning {
    /// Masks of the table's columns for this user, applied before the expressions.
    pub masks: Vec<Option<Expr>>,
    /// Columns of joined tables that it reads, as the statement's own query has them. In the expressions they go by
    /// [`other_name`].
    pub others: Vec<Expr>,
    /// Over unqualified columns.
    pub expressions: Vec<Expr>,
    /// What the client is told of the columns.
    pub fields: Vec<FieldRef>,
}

/// What the columns of joined tables are called in RETURNING's expressions.
pub fn other_name(index: usize) -> String {
    format!("\u{2}other{index}")
}

/// What RETURNING may name.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The table's name in the statement.
    pub(super) target: &'a TableReference,
    /// All that the statement reads, the table included; `None`: the table alone.
    pub(super) joined: Option<&'a DFSchema>,
}

/// Also tells what right on the table it needs.
pub(super) fn plan(
    scope: &Scope,
    id: ObjectId,
    relation: &Relation,
    seen: Seen<'_>,
    items: &[ast::SelectItem],
    parameters: Bound<'_>,
) -> PlanResult<(Returning, Need)> {
    let fields = relation.columns.iter().map(|column| field(&column.name, &column.pg, column.nullable));
    let alone = DFSchema::try_from_qualified_schema(seen.target.clone(), policy::schema_of(fields)?.as_arrow())?;
    let Seen { target, joined } = seen;
    let schema = joined.unwrap_or(&alone);
    let (others, expressions, fields) = (vec![], vec![], vec![]);
    let mut planner = Planner { scope, schema, target, id, relation, parameters, others, expressions, fields };
    for item in items {
        planner.item(item)?;
    }
    let Planner { others, expressions, fields, .. } = planner;
    let named: BTreeSet<String> =
        expressions.iter().flat_map(Expr::column_refs).map(|column| column.name.clone()).collect();
    let read = positions(relation, |id| relation.column_by_id(id).is_some_and(|column| named.contains(&column.name)));
    let role = scope.ctx.role;
    let need = if read.is_empty() {
        Need { role, right: Right::AnyColumn { id, privilege: Privilege::Select } }
    } else {
        Need { role, right: Right::Relation { id, privilege: Privilege::Select, columns: read } }
    };
    // Masks are bound like those of a scan.
    let mut bound_masks = vec![None; relation.columns.len()];
    let masked = masks(&scope.ctx, &scope.reader, id, relation).map_err(SqlError::from)?;
    if !masked.is_empty()
        && let Some(policies) = policy::bind(scope, id, relation, &[])?
    {
        bound_masks = policies.masks;
        for (column, mask) in relation.columns.iter().zip(&mut bound_masks) {
            if mask.as_ref().is_some_and(has_subquery) {
                if named.contains(&column.name) {
                    return Err(unsupported("RETURNING of a column whose mask has a subquery").into());
                }
                let unread = ScalarValue::try_new_null(field("", &column.pg, true).data_type())?;
                *mask = Some(Expr::Literal(unread, None));
            }
        }
    }
    Ok((Returning { masks: bound_masks, others, expressions, fields }, need))
}

/// The statement's parameters: types by position, and values when it is to run.
pub(super) struct Bound<'a> {
    pub(super) types: &'a mut Vec<Option<PgType>>,
    pub(super) values: Option<&'a [ScalarValue]>,
}

impl Bound<'_> {
    /// An expression over some columns, with the parameters' values in it.
    pub(super) fn bind(&mut self, scope: &Scope, mut expr: ast::Expr, schema: &DFSchema) -> PlanResult<Expr> {
        rewrite::typed_expression(scope, &mut expr, self.types)?;
        let names = Names::new(scope, vec![]);
        let declared = self.types.iter();
        let declared = declared.map(|pg| pg.as_ref().map(|pg| Arc::new(field("", pg, true)) as FieldRef)).collect();
        let mut context = PlannerContext::new().with_prepare_param_data_types(declared);
        let bound = query::sql_to_rel(&names).sql_to_expr(expr, schema, &mut context)?;
        let bound = self.fill(bound, schema)?;
        Ok(typing::expression(scope, bound, schema)?.data)
    }

    /// Puts values in the places of parameters, and notes the types of those that had none.
    fn fill(&mut self, expr: Expr, schema: &DFSchema) -> datafusion::common::Result<Expr> {
        let (expr, _) = expr.infer_placeholder_types(schema)?;
        let filled = expr.transform(|expr| {
            let Expr::Placeholder(placeholder) = &expr else { return Ok(Transformed::no(expr)) };
            let index = placeholder.id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let Some(index) = index.and_then(|number| number.checked_sub(1)) else { return Ok(Transformed::no(expr)) };
            if self.types.len() <= index {
                self.types.resize(index + 1, None);
            }
            let inferred = || placeholder.field.as_ref().map_or(PgType::Text, |field| of_field(field));
            let pg = self.types.get_mut(index).map_or(PgType::Text, |slot| slot.get_or_insert_with(inferred).clone());
            let null = || ScalarValue::try_from(&arrow_type(&pg));
            // Before it runs, any value of the type will do.
            let value = match self.values.and_then(|values| values.get(index)) {
                Some(value) => value.cast_to(&arrow_type(&pg))?,
                None => null()?,
            };
            let metadata = FieldMetadata::from(field("", &pg, true).metadata().clone());
            Ok(Transformed::yes(Expr::Literal(value, Some(metadata))))
        });
        filled.map(|transformed| transformed.data)
    }
}

struct Planner<'a> {
    scope: &'a Scope,
    schema: &'a DFSchema,
    target: &'a TableReference,
    id: ObjectId,
    relation: &'a Relation,
    parameters: Bound<'a>,
    others: Vec<Expr>,
    expressions: Vec<Expr>,
    fields: Vec<FieldRef>,
}

impl Planner<'_> {
    fn item(&mut self, item: &ast::SelectItem) -> PlanResult<()> {
        let (expr, name) = match item {
            ast::SelectItem::Wildcard(_) => return self.all(None),
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = query::qualified(name).filter(|name| name.schema.is_none());
                let name = name.ok_or_else(|| unsupported("a qualified name before .*"))?;
                return self.all(Some(&TableReference::bare(name.name)));
            }
            ast::SelectItem::UnnamedExpr(expr) => (expr.clone(), rewrite::column_name(expr)),
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                let name = if alias.quote_style.is_some() { alias.value.clone() } else { fold(&alias.value) };
                (expr.clone(), name)
            }
            ast::SelectItem::QualifiedWildcard(..) | ast::SelectItem::ExprWithAliases { .. } => {
                return Err(unsupported("this form of RETURNING").into());
            }
        };
        let bound = self.parameters.bind(self.scope, expr, self.schema)?;
        self.push(bound, &name)
    }

    /// `*`, or `table.*`.
    fn all(&mut self, of: Option<&TableReference>) -> PlanResult<()> {
        let columns: Vec<Column> = self.schema.columns();
        let mut found = false;
        for column in columns {
            let shown = !column.name.starts_with('\u{2}');
            if shown && of.is_none_or(|of| column.relation.as_ref() == Some(of)) {
                found = true;
                let name = rewrite::visible_name(&column.name).to_owned();
                self.push(Expr::Column(column), &name)?;
            }
        }
        match of {
            Some(of) if !found => {
                let message = format!("missing FROM-clause entry for table \"{}\"", of.table());
                Err(crate::error::Plain::new(crate::error::SqlState::UNDEFINED_TABLE, message).into())
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, expr: Expr, name: &str) -> PlanResult<()> {
        if has_subquery(&expr) {
            return Err(unsupported("a subquery in RETURNING").into());
        }
        let (_, given) = expr.to_field(self.schema)?;
        let unique = format!("{name}\u{1}{}", self.expressions.len());
        let own = expr.column_refs().into_iter().all(|column| column.relation.as_ref() == Some(self.target));
        let given = Field::clone(&given).with_name(name);
        self.fields.push(Arc::new(if own {
            origin::of_returned(self.id, self.relation, &expr).note(given)
        } else {
            given
        }));
        let unqualified = expr.transform(|expr| {
            let Expr::Column(column) = expr else { return Ok(Transformed::no(expr)) };
            let name = if column.relation.as_ref() == Some(self.target) {
                column.name
            } else {
                let other = Expr::Column(column);
                let known = self.others.iter().position(|known| *known == other);
                other_name(known.unwrap_or_else(|| {
                    self.others.push(other);
                    self.others.len() - 1
                }))
            };
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        });
        self.expressions.push(unqualified?.data.alias(unique));
        Ok(())
    }
}
