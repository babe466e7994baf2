//! What PostgreSQL decides from a query's text before binding: names of output columns, functions that stand for facts
//! of the session, types of parameters that a cast names.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Value, VisitMut,
    VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::Scope;
use crate::error::SqlError;
use crate::name::fold;
use crate::setting::{SERVER_VERSION, Zone};
use crate::types::{PgType, from_sql};

/// Separates an output column's name from the number that makes it unique inside the engine.
const UNIQUE: char = '\u{1}';

/// The name of an output column as the user sees it.
pub(super) fn visible_name(name: &str) -> &str {
    name.split(UNIQUE).next().unwrap_or(name)
}

/// Rewrites a query in place. `types` receives the parameter types that casts name.
pub(super) fn query(scope: &Scope, query: &mut Query, types: &mut Vec<Option<PgType>>) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { scope, types, error: None };
    let _flow = VisitMut::visit(query, &mut rewriter);
    rewriter.error.map_or(Ok(()), Err)
}

/// Rewrites one expression in place.
pub(super) fn expression(scope: &Scope, expr: &mut Expr) -> Result<(), SqlError> {
    let mut types = Vec::new();
    let mut rewriter = Rewriter { scope, types: &mut types, error: None };
    let _flow = VisitMut::visit(expr, &mut rewriter);
    rewriter.error.map_or(Ok(()), Err)
}

struct Rewriter<'a> {
    scope: &'a Scope,
    types: &'a mut Vec<Option<PgType>>,
    error: Option<SqlError>,
}

impl Rewriter<'_> {
    /// A parameter's type, unless it has one.
    fn suggest(&mut self, index: usize, pg: PgType) {
        if self.types.len() <= index {
            self.types.resize(index + 1, None);
        }
        if let Some(slot) = self.types.get_mut(index) {
            slot.get_or_insert(pg);
        }
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let counts = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            for index in counts.filter_map(placeholder) {
                self.suggest(index, PgType::Int8);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.error = Some(crate::error::unsupported("SELECT INTO").into());
            return ControlFlow::Break(());
        }
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && let Some(index) = placeholder(inner)
        {
            match from_sql(data_type) {
                Ok(pg) => self.suggest(index, pg),
                Err(error) => {
                    self.error = Some(error.into());
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replacement = match expr {
            Expr::Function(function) => {
                unqualify(&mut function.name);
                session_function(self.scope, function)
            }
            // `x::numeric` without scale: the literal's own.
            Expr::Cast { expr: inner, data_type, .. } => {
                if let (Expr::Value(value), ast::DataType::Numeric(info) | ast::DataType::Decimal(info)) =
                    (inner.as_ref(), &mut *data_type)
                    && *info == ast::ExactNumberInfo::None
                    && let Value::Number(text, _) | Value::SingleQuotedString(text) = &value.value
                    && let Some(numeric) = crate::encode::parse_numeric(text)
                {
                    let scale = i64::from(numeric.scale.max(0));
                    *info = ast::ExactNumberInfo::PrecisionAndScale(38, scale);
                }
                None
            }
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// The index of `$n`, from 0.
pub(super) fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

/// Drops `pg_catalog.` before a function's name.
fn unqualify(name: &mut ObjectName) {
    if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)] = name.0.as_slice()
        && fold(&schema.value) == "pg_catalog"
    {
        *name = ObjectName(vec![ObjectNamePart::Identifier(function.clone())]);
    }
}

/// Gives every unnamed output column PostgreSQL's name for it, made unique for the engine.
fn name_columns(items: &mut [SelectItem]) {
    let several = items.len() > 1;
    let wildcard = items.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken: HashSet<String> = HashSet::new();
    let mut unique = |name: String, mark: bool| -> Ident {
        let mut candidate = if mark { format!("{name}{UNIQUE}0") } else { name.clone() };
        let mut number = 0;
        while !taken.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name}{UNIQUE}{number}");
        }
        Ident { value: candidate, quote_style: Some('"'), span: Span::empty() }
    };
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                let name = column_name(expr);
                if column {
                    // Kept as it is, so that its qualifier stays known, unless it would be there twice.
                    let alias = if several { unique(name.clone(), wildcard) } else { continue };
                    if alias.value == name {
                        continue;
                    }
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                } else {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(name, false) };
                }
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = if alias.quote_style.is_some() { alias.value.clone() } else { fold(&alias.value) };
                *alias = unique(name, false);
            }
            SelectItem::ExprWithAliases { .. } | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
        }
    }
}

/// PostgreSQL's `FigureColname`.
pub(super) fn column_name(expr: &Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn figure(expr: &Expr) -> Option<String> {
    let ident = |ident: &Ident| if ident.quote_style.is_some() { ident.value.clone() } else { fold(&ident.value) };
    Some(match expr {
        Expr::Identifier(name) => ident(name),
        Expr::CompoundIdentifier(parts) => ident(parts.last()?),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(name) => ident(name),
            ObjectNamePart::Function(_) => return None,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return figure(inner),
        Expr::Cast { expr: inner, data_type, .. } => {
            return figure(inner)
                .or_else(|| from_sql(data_type).ok().map(|pg| pg.typname().trim_start_matches('_').to_owned()));
        }
        Expr::TypedString(typed) => from_sql(&typed.data_type).ok()?.typname(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::Case { else_result, .. } => {
            else_result.as_deref().and_then(strong_figure).unwrap_or_else(|| "case".to_owned())
        }
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Subquery(query) => match query.body.as_ref() {
            ast::SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => return figure(expr),
                SelectItem::ExprWithAlias { alias, .. } => ident(alias),
                _ => return None,
            },
            _ => return None,
        },
        Expr::Array(_) => "array".to_owned(),
        Expr::Tuple(_) => "row".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        Expr::Value(value) => match value.value {
            Value::Boolean(_) => "bool".to_owned(),
            _ => return None,
        },
        _ => return None,
    })
}

/// A CASE takes the name of its ELSE only from a column or function.
fn strong_figure(expr: &Expr) -> Option<String> {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_))
        .then(|| figure(expr))
        .flatten()
}

/// Functions whose value the session knows: they become literals.
fn session_function(scope: &Scope, function: &ast::Function) -> Option<Expr> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let arguments: Vec<&Expr> = match &function.args {
        FunctionArguments::None => vec![],
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect::<Option<_>>()?,
        FunctionArguments::Subquery(_) => return None,
    };
    let ctx = &scope.ctx;
    let timestamp = |micros: i64, zoned: bool, text_only_date: bool| {
        let zone = ctx.settings.time_zone();
        let offset = i64::from(zone.offset_at(micros)) * 1_000_000;
        let (pg, value) = if text_only_date {
            (
                "date",
                crate::encode::timestamp_text(micros + offset, None).split(' ').next().unwrap_or_default().to_owned(),
            )
        } else if zoned {
            ("timestamptz", crate::encode::timestamp_text(micros, Some(Zone::UTC)))
        } else {
            ("timestamp", crate::encode::timestamp_text(micros + offset, None))
        };
        typed(pg, &value)
    };
    let first_schema =
        || ctx.search_path.first().and_then(|id| ctx.catalog.schema(*id)).map(|schema| schema.name.clone());
    Some(match (fold(&name.value).as_str(), arguments.as_slice()) {
        ("current_user" | "user" | "current_role", []) => typed("name", &ctx.catalog.role_name(ctx.role)),
        ("session_user", []) => typed("name", &ctx.catalog.role_name(ctx.session_role)),
        ("current_database" | "current_catalog", []) => typed("name", crate::catalog::DATABASE_NAME),
        ("current_schema", []) => match first_schema() {
            Some(schema) => typed("name", &schema),
            None => null("name"),
        },
        ("version", []) => typed(
            "text",
            &format!(
                "PostgreSQL {SERVER_VERSION} (Boathouse {}) on x86_64-pc-linux-gnu, 64-bit",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        ("pg_backend_pid", []) => typed("int4", &ctx.backend_pid.to_string()),
        ("now" | "current_timestamp" | "transaction_timestamp", []) => timestamp(ctx.transaction_start_us, true, false),
        ("statement_timestamp", []) => timestamp(ctx.statement_start_us, true, false),
        ("localtimestamp", []) => timestamp(ctx.transaction_start_us, false, false),
        ("current_date", []) => timestamp(ctx.transaction_start_us, false, true),
        ("current_setting", [Expr::Value(value), rest @ ..]) => {
            let Value::SingleQuotedString(setting) = &value.value else { return None };
            match (ctx.settings.show(setting), rest) {
                (Some((_, value)), _) => typed("text", &value),
                (None, [Expr::Value(missing_ok)]) if missing_ok.value == Value::Boolean(true) => null("text"),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn string(text: &str) -> Expr {
    Expr::Value(ast::ValueWithSpan { value: Value::SingleQuotedString(text.to_owned()), span: Span::empty() })
}

/// `CAST('value' AS type)`.
fn typed(pg: &str, text: &str) -> Expr {
    cast(string(text), pg)
}

fn null(pg: &str) -> Expr {
    cast(Expr::Value(ast::ValueWithSpan { value: Value::Null, span: Span::empty() }), pg)
}

/// An expression with a type of this name around it.
pub(super) fn cast(expr: Expr, pg: &str) -> Expr {
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(pg))]);
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(expr),
        data_type: ast::DataType::Custom(name, vec![]),
        array: false,
        format: None,
    }
}
