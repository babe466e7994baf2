//! Functions that stand for facts of the session.

use sqlparser::ast::{self, Expr, FunctionArguments, ObjectName, ObjectNamePart, Value};

use super::syntax::{call, cast, cast_to, null, typed};
use crate::name::fold;
use crate::pg::system::is_system_schema;
use crate::plan::Scope;
use crate::setting::{SERVER_VERSION, Zone};

/// Whether an identifier is no column but a function of the session, which needs no parentheses.
pub(super) fn is_session_word(ident: &ast::Ident) -> bool {
    let words = ["current_schema", "current_role", "system_user"];
    ident.quote_style.is_none() && words.contains(&fold(&ident.value).as_str())
}

/// The value of a function of the session without arguments.
pub(super) fn session_call(scope: &Scope, name: &ObjectName) -> Option<Expr> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
    match call(ident.clone(), vec![]) {
        Expr::Function(function) => session_function(scope, &function),
        _ => None,
    }
}

/// Functions whose value the session knows: they become literals.
pub(super) fn session_function(scope: &Scope, function: &ast::Function) -> Option<Expr> {
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
        scope.note_moment();
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
    let first_schema = || {
        let first = ctx.settings.search_path().into_iter().next();
        if let Some(system) = first.filter(|name| is_system_schema(name)) {
            return Some(system);
        }
        ctx.creation_schema(&crate::name::QualifiedName::bare(String::new()))
            .ok()
            .map(|(_, schema)| schema.name.clone())
    };
    Some(match (fold(&name.value).as_str(), arguments.as_slice()) {
        ("current_user" | "user" | "current_role", []) => typed("name", &ctx.catalog.role_name(ctx.user)),
        ("session_user", []) => typed("name", &ctx.catalog.role_name(ctx.session_role)),
        ("system_user", []) => match &ctx.identity {
            Some(identity) => typed("text", identity),
            None => null("text"),
        },
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
        ("current_time", []) => cast(timestamp(ctx.transaction_start_us, true, false), "timetz"),
        ("localtime", []) => cast(timestamp(ctx.transaction_start_us, false, false), "time"),
        (name @ ("current_timestamp" | "localtimestamp" | "current_time" | "localtime"), [Expr::Value(digits)]) => {
            let Value::Number(digits, _) = &digits.value else { return None };
            let (digits, zone) = (Some(digits.parse().ok()?), name.starts_with("current"));
            let zone = if zone { ast::TimezoneInfo::WithTimeZone } else { ast::TimezoneInfo::WithoutTimeZone };
            let to = match name {
                "current_timestamp" | "localtimestamp" => ast::DataType::Timestamp(digits, zone),
                _ => ast::DataType::Time(digits, zone),
            };
            cast_to(session_call(scope, &function.name)?, to)
        }
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
