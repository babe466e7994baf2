//! Expressions as PostgreSQL prints them: literals with their types, operators in parentheses. What is not known here stays as it was
//! written, which means the same.

use sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::catalog::{Column, KeyExpression, Relation};
use crate::context::Context;
use crate::name::{fold, quote};
use crate::pg::{FromText, Objects};
use crate::types::{PgType, from_sql};

/// The default of a column of some type.
pub(super) fn default(ctx: &Context, source: &str, pg: &PgType) -> String {
    let printed = parsed(source).and_then(|expr| Printer { ctx, table: None, pretty: false }.print(&expr, Some(pg)));
    printed.unwrap_or_else(|| source.to_owned())
}

/// An expression over a table's columns. `pretty`: without parentheses that need not be there.
pub(super) fn expression(ctx: &Context, table: &Relation, source: &str, pretty: bool) -> String {
    let parsed = parsed(source);
    let printer = Printer { ctx, table: Some(table), pretty };
    let printed = parsed.as_ref().and_then(|expr| Some(printer.bare(expr, printer.print(expr, None)?)));
    printed.unwrap_or_else(|| match parsed {
        Some(expr) if is_closed_by_itself(&expr) => source.to_owned(),
        _ if pretty => without_parentheses(source).to_owned(),
        _ => format!("({})", without_parentheses(source)),
    })
}

/// A part of an index's key that is an expression: in parentheses unless it is a call.
pub fn key(ctx: &Context, table: &Relation, key: &KeyExpression, pretty: bool) -> String {
    let printed = expression(ctx, table, &key.expression, pretty);
    match parsed(&printed) {
        Some(Expr::Function(_)) => printed,
        _ => format!("({printed})"),
    }
}

fn parsed(source: &str) -> Option<Expr> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(source).and_then(|mut parser| {
        let expr = parser.parse_expr()?;
        parser.expect_token(&sqlparser::tokenizer::Token::EOF)?;
        Ok(expr)
    });
    parsed.ok()
}

/// Whether no operator binds more than an expression.
fn is_closed_by_itself(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(_) | Expr::Identifier(_) | Expr::Value(_) | Expr::Case { .. })
}

/// The definition of a CHECK. In how many parentheses it was written makes no difference.
pub(super) fn check(condition: &str) -> String {
    format!("CHECK (({}))", without_parentheses(condition))
}

/// A text without the parentheses around all of it.
fn without_parentheses(text: &str) -> &str {
    let mut inner = text.trim();
    while let Some(stripped) =
        inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|rest| is_closed(rest))
    {
        inner = stripped.trim();
    }
    inner
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
    /// Whose columns there are.
    table: Option<&'a Relation>,
    /// Whether parentheses are left out that need not be there.
    pretty: bool,
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
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                let mut parts = Vec::new();
                self.operands(op, left, &mut parts)?;
                self.operands(op, right, &mut parts)?;
                format!("({})", parts.join(&format!(" {op} ")))
            }
            Expr::BinaryOp { left, op, right } if self.table.is_some() => {
                let (left_type, right_type) = (self.type_of(left), self.type_of(right));
                let common = common(op, left_type, right_type)?;
                let (left, right) = (self.operand(left, &common, op)?, self.operand(right, &common, op)?);
                format!("({left} {op} {right})")
            }
            Expr::IsNull(inner) => format!("({} IS NULL)", self.print(inner, None)?),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.print(inner, None)?),
            Expr::IsTrue(inner) => format!("({} IS TRUE)", self.print(inner, None)?),
            Expr::IsNotTrue(inner) => format!("({} IS NOT TRUE)", self.print(inner, None)?),
            Expr::IsFalse(inner) => format!("({} IS FALSE)", self.print(inner, None)?),
            Expr::IsNotFalse(inner) => format!("({} IS NOT FALSE)", self.print(inner, None)?),
            Expr::Between { expr, negated: false, low, high } if self.table.is_some() => {
                let op = &BinaryOperator::GtEq;
                let common = common(op, self.type_of(expr), self.type_of(low))?;
                let value = self.operand(expr, &common, op)?;
                let (low, high) = (self.operand(low, &common, op)?, self.operand(high, &common, op)?);
                if self.pretty {
                    format!("({value} >= {low} AND {value} <= {high})")
                } else {
                    format!("(({value} >= {low}) AND ({value} <= {high}))")
                }
            }
            Expr::InList { expr, list, negated } if self.table.is_some() => {
                let common = self.type_of(expr)?;
                let items = list.iter().map(|item| self.print(item, Some(&common))).collect::<Option<Vec<_>>>()?;
                let (op, quantifier) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
                match &common {
                    PgType::Varchar(_) => {
                        let value = self.operand(expr, &PgType::Text, &BinaryOperator::Eq)?;
                        let array = self.cast(&format!("ARRAY[{}]", items.join(", ")), "text[]");
                        format!("({value} {op} {quantifier} ({array}))")
                    }
                    PgType::Int4 | PgType::Text => {
                        format!("({} {op} {quantifier} (ARRAY[{}]))", self.print(expr, None)?, items.join(", "))
                    }
                    _ => return None,
                }
            }
            Expr::Identifier(name) if self.column(name).is_some() => {
                let column = self.column(name)?;
                match (&column.pg, wanted) {
                    (PgType::Varchar(_), Some(PgType::Text)) => self.cast(&quote(&column.name), "text"),
                    _ => quote(&column.name),
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

    /// A name, a number or an array that is cast.
    fn cast(&self, value: &str, pg: &str) -> String {
        if self.pretty { format!("{value}::{pg}") } else { format!("({value})::{pg}") }
    }

    /// What was printed of an expression that nothing is around.
    fn bare(&self, expr: &Expr, printed: String) -> String {
        let inner = printed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        match inner {
            Some(inner) if self.pretty && is_enclosed(inside(expr)) => inner.to_owned(),
            _ => printed,
        }
    }

    fn column(&self, name: &ast::Ident) -> Option<&Column> {
        let name = if name.quote_style.is_some() { name.value.clone() } else { fold(&name.value) };
        self.table?.column(&name)
    }

    /// What AND or OR stands between: one beside another of the same kind, or in parentheses.
    fn operands(&self, op: &BinaryOperator, expr: &Expr, parts: &mut Vec<String>) -> Option<()> {
        match expr {
            Expr::BinaryOp { left, op: same, right } if same == op => {
                self.operands(op, left, parts)?;
                self.operands(op, right, parts)
            }
            other => {
                let printed = self.print(other, Some(&PgType::Bool))?;
                let binds_less = matches!(inside(other), Expr::BinaryOp { op: BinaryOperator::Or, .. });
                parts.push(if binds_less { printed } else { self.bare(other, printed) });
                Some(())
            }
        }
    }

    /// The type of an operand, without its modifier; `None`: a literal without a type, or it is not known here.
    fn type_of(&self, expr: &Expr) -> Option<PgType> {
        Some(match expr {
            Expr::Nested(inner) => return self.type_of(inner),
            Expr::Identifier(name) => self.column(name)?.pg.without_modifier(),
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => match number_type(digits) {
                    "integer" => PgType::Int4,
                    "bigint" => PgType::Int8,
                    _ => PgType::Numeric(None),
                },
                Value::Boolean(_) => PgType::Bool,
                _ => return None,
            },
            Expr::Cast { data_type, .. } => from_sql(data_type).ok()?.without_modifier(),
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                return common(op, self.type_of(left), self.type_of(right));
            }
            Expr::BinaryOp { op: BinaryOperator::StringConcat, .. } => PgType::Text,
            Expr::Function(function) => match function.name.to_string().to_ascii_lowercase().as_str() {
                "lower" | "upper" | "btrim" | "replace" | "md5" | "concat" => PgType::Text,
                "length" | "char_length" | "octet_length" => PgType::Int4,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An operand of an operator that takes a type.
    fn operand(&self, expr: &Expr, common: &PgType, op: &BinaryOperator) -> Option<String> {
        let is_modulo = matches!(op, BinaryOperator::Modulo);
        let printed = self.print(expr, Some(common))?;
        let is_integer = |pg: &PgType| matches!(pg, PgType::Int2 | PgType::Int4 | PgType::Int8);
        Some(match self.type_of(expr) {
            // Integers of all lengths are compared and computed with as they are.
            Some(own) if is_integer(&own) && (!is_integer(common) || is_modulo && own != *common) => match expr {
                Expr::Identifier(_) | Expr::Value(_) => self.cast(&printed, &common.to_string()),
                _ => format!("{}::{common}", enclosed(printed)),
            },
            _ => printed,
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
            _ if in_capitals => match wanted {
                Some(wanted) => wanted.clone(),
                None => arguments.iter().find_map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => self.type_of(argument),
                    _ => None,
                })?,
            },
            "nextval" | "currval" => PgType::Regclass,
            "length" | "char_length" | "upper" | "lower" | "md5" | "timezone" | "date_trunc" | "btrim" | "to_char"
            | "replace" => PgType::Text,
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
        op if is_arithmetic(op) => {
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

/// An expression without the parentheses that it was written in.
fn inside(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => inside(inner),
        other => other,
    }
}

/// Whether an expression is printed in parentheses.
fn is_enclosed(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryOp { .. }
            | Expr::UnaryOp { op: UnaryOperator::Not, .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::AtTimeZone { .. }
    )
}

/// The type that an operator takes both its operands in.
fn common(op: &BinaryOperator, left: Option<PgType>, right: Option<PgType>) -> Option<PgType> {
    let compares = matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    );
    if matches!(op, BinaryOperator::StringConcat) {
        let is_text = |pg: &Option<PgType>| pg.as_ref().is_none_or(PgType::is_text);
        return (is_text(&left) && is_text(&right)).then_some(PgType::Text);
    }
    let rank = |pg: &PgType| match pg {
        PgType::Int2 | PgType::Int4 | PgType::Int8 => Some(0),
        PgType::Numeric(_) => Some(1),
        PgType::Float8 => Some(2),
        _ => None,
    };
    let found = match (left, right) {
        // There is no such operator for integers of different lengths.
        (Some(left), Some(right)) if matches!(op, BinaryOperator::Modulo) => {
            let longest = [PgType::Int8, PgType::Int4, PgType::Int2].into_iter().find(|pg| left == *pg || right == *pg);
            return longest.filter(|_| rank(&left) == Some(0) && rank(&right) == Some(0));
        }
        (Some(left), Some(right)) => match (rank(&left), rank(&right)) {
            (Some(first), Some(second)) => {
                if second > first {
                    right
                } else {
                    left
                }
            }
            _ if left == right => left,
            _ if left.is_text() && right.is_text() => PgType::Text,
            _ => return None,
        },
        (Some(known), None) | (None, Some(known)) => known,
        (None, None) => return None,
    };
    let known = compares || is_arithmetic(op) && rank(&found).is_some();
    known.then_some(if matches!(found, PgType::Varchar(_)) { PgType::Text } else { found })
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

/// In parentheses, unless it has them.
pub(super) fn enclosed(text: String) -> String {
    if text.starts_with('(') { text } else { format!("({text})") }
}
