//! Defaults as PostgreSQL prints them: literals with their types, operators in parentheses. What is not known here stays as it was
//! written, which means the same.

use sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::context::Context;
use crate::name::{fold, quote};
use crate::pg::{FromText, Objects};
use crate::types::{PgType, from_sql};

/// The default of a column of some type.
pub(super) fn default(ctx: &Context, source: &str, pg: &PgType) -> String {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(source).and_then(|mut parser| {
        let expr = parser.parse_expr()?;
        parser.expect_token(&sqlparser::tokenizer::Token::EOF)?;
        Ok(expr)
    });
    let printed = parsed.ok().and_then(|expr| Printer { ctx }.print(&expr, Some(pg)));
    printed.unwrap_or_else(|| source.to_owned())
}

/// The definition of a CHECK. In how many parentheses it was written makes no difference.
pub(super) fn check(condition: &str) -> String {
    let mut inner = condition.trim();
    while let Some(stripped) =
        inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|rest| is_closed(rest))
    {
        inner = stripped.trim();
    }
    format!("CHECK (({inner}))")
}

/// Whether each parenthesis of a text is closed within it. One with quotes is not looked at.
fn is_closed(text: &str) -> bool {
    let mut depth = 0_i32;
    let balanced = text.chars().all(|letter| {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth >= 0
    });
    balanced && depth == 0 && !text.contains(['\'', '"', '$'])
}

struct Printer<'a> {
    ctx: &'a Context,
}

impl Printer<'_> {
    /// `wanted`: the type that a literal without one takes; `None`: it is not known.
    fn print(&self, expr: &Expr, wanted: Option<&PgType>) -> Option<String> {
        Some(match expr {
            Expr::Nested(inner) => self.print(inner, wanted)?,
            Expr::Value(value) => self.literal(&value.value, wanted)?,
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match inner.as_ref() {
                Expr::Value(value) => {
                    let Value::Number(digits, _) = &value.value else { return None };
                    format!("'-{digits}'::{}", number_type(digits))
                }
                _ => return None,
            },
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => {
                format!("(NOT {})", self.print(inner, Some(&PgType::Bool))?)
            }
            Expr::TypedString(typed) => {
                let pg = from_sql(&typed.data_type).ok()?;
                self.cast_literal(&typed.value.value, &pg)?
            }
            Expr::Interval(interval) if interval.leading_field.is_none() => {
                let Expr::Value(value) = interval.value.as_ref() else { return None };
                self.literal(&value.value, Some(&PgType::Interval))?
            }
            Expr::Cast { kind: ast::CastKind::Cast | ast::CastKind::DoubleColon, expr: inner, data_type, .. } => {
                let pg = from_sql(data_type).ok().filter(|pg| !matches!(pg, PgType::Named(_)))?;
                match inner.as_ref() {
                    Expr::Value(value) if is_text(&value.value) => self.cast_literal(&value.value, &pg)?,
                    // An array literal that is empty has the type that it is cast to.
                    Expr::Array(array) if array.elem.is_empty() => format!("ARRAY[]::{}", pg.without_modifier()),
                    inner @ (Expr::Value(_) | Expr::Cast { .. }) => format!("({})::{pg}", self.print(inner, None)?),
                    inner => format!("{}::{pg}", enclosed(self.print(inner, None)?)),
                }
            }
            Expr::BinaryOp { left, op, right } => {
                let (left_type, right_type) = operand_types(op, left, right)?;
                let (left, right) = (self.print(left, left_type.as_ref())?, self.print(right, right_type.as_ref())?);
                format!("({left} {op} {right})")
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = self.print(time_zone, Some(&PgType::Text))?;
                format!("({} AT TIME ZONE {zone})", self.print(timestamp, None)?)
            }
            Expr::Function(function) => self.call(function, wanted)?,
            Expr::Identifier(name) if is_keyword(&name.value) => name.value.to_ascii_uppercase(),
            _ => return None,
        })
    }

    /// A literal that is cast, to a modifier, too.
    fn cast_literal(&self, value: &Value, pg: &PgType) -> Option<String> {
        let (Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)) = value else { return None };
        Some(match pg {
            PgType::Numeric(Some(_)) if !text.contains('-') => format!("{}::{pg}", text.trim()),
            pg if *pg != pg.without_modifier() || matches!(pg, PgType::Char(_)) => format!("{}::{pg}", quoted(text)),
            pg => self.literal(value, Some(pg))?,
        })
    }

    fn literal(&self, value: &Value, wanted: Option<&PgType>) -> Option<String> {
        let text = match value {
            Value::Number(digits, _) if number_type(digits) == "bigint" => return Some(format!("'{digits}'::bigint")),
            Value::Number(digits, _) => return Some(digits.clone()),
            Value::Boolean(value) => return Some(value.to_string()),
            Value::Null => return Some("NULL".to_owned()),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
            _ => return None,
        };
        let pg = wanted?.without_modifier();
        // What it is read as, in its type's own form.
        let shown = match &pg {
            PgType::Text
            | PgType::Varchar(_)
            | PgType::Char(_)
            | PgType::Json
            | PgType::Array(_)
            | PgType::Interval => text.clone(),
            PgType::Regclass | PgType::Enum(_) | PgType::Timestamptz(_) => text.clone(),
            PgType::Composite(_) | PgType::Record(_) | PgType::Named(_) | PgType::Unknown => return None,
            pg => {
                let style = Objects::style(self.ctx);
                let value = FromText::new(pg.clone(), style.clone()).scalar(text).ok()?;
                crate::encode::scalar_text(&value, pg, &style).ok()?
            }
        };
        Some(match &pg {
            PgType::Bool => if shown == "t" { "true" } else { "false" }.to_owned(),
            PgType::Int4 if !shown.starts_with('-') => shown,
            PgType::Char(_) => format!("{}::bpchar", quoted(&shown)),
            pg => format!("{}::{pg}", quoted(&shown)),
        })
    }

    fn call(&self, function: &ast::Function, wanted: Option<&PgType>) -> Option<String> {
        let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
        let [ast::ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        let name = fold(&name.value);
        let arguments = match &function.args {
            FunctionArguments::None => return is_keyword(&name).then(|| name.to_ascii_uppercase()),
            FunctionArguments::List(list) if plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
                &list.args
            }
            _ => return None,
        };
        let in_capitals = matches!(name.as_str(), "coalesce" | "greatest" | "least" | "nullif");
        let own = match name.as_str() {
            _ if in_capitals => wanted.cloned()?,
            "nextval" | "currval" => PgType::Regclass,
            "upper" | "lower" | "md5" | "timezone" | "date_trunc" | "btrim" | "to_char" | "replace" => PgType::Text,
            _ => PgType::Unknown,
        };
        let printed = arguments.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => self.print(argument, Some(&own)),
            _ => None,
        });
        let printed = printed.collect::<Option<Vec<_>>>()?.join(", ");
        let in_capitals = in_capitals || is_keyword(&name);
        let shown = if in_capitals { name.to_ascii_uppercase() } else { quote(&name) };
        Some(format!("{shown}({printed})"))
    }
}

/// The types of what stands beside an operator where it is a literal without one. `None`: not one of those that are known here.
fn operand_types(op: &BinaryOperator, left: &Expr, right: &Expr) -> Option<(Option<PgType>, Option<PgType>)> {
    let is_interval = |expr: &Expr| matches!(expr, Expr::Interval(_));
    match op {
        BinaryOperator::StringConcat => Some((Some(PgType::Text), Some(PgType::Text))),
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo => {
            let numbers = [left, right].iter().all(|expr| is_number(expr) || is_interval(expr) || is_call(expr));
            numbers.then_some((None, None))
        }
        _ => None,
    }
}

fn is_call(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(_) | Expr::Cast { .. } | Expr::TypedString(_) | Expr::Nested(_))
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_))
}

/// The type of a literal number.
fn number_type(digits: &str) -> &'static str {
    match digits {
        digits if digits.parse::<i32>().is_ok() => "integer",
        digits if digits.parse::<i64>().is_ok() => "bigint",
        _ => "numeric",
    }
}

/// Whether a function is called by a word that PostgreSQL prints in capitals.
fn is_keyword(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "localtime",
        "localtimestamp",
        "session_user",
    ];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// As a literal in which backslashes mean themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// In parentheses, unless it has them.
fn enclosed(text: String) -> String {
    if text.starts_with('(') { text } else { format!("({text})") }
}
