//! Sequences: CREATE, ALTER, and those of identity columns; defaults that draw from one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast;

use super::super::{PlanResult, Right, Scope, type_names};
use super::table::{new_relation, place};
use super::{DdlPlan, column, relation};
use crate::catalog::{Body, Column, IdentityKind, Relation, RelationKind, Sequence};
use crate::error::{Plain, SqlState};
use crate::name::{ObjectId, QualifiedName, quote};
use crate::statement::{
    AlterSequence, CreateSequence, Limit, Restart, SequenceOptions, SequenceOwner, parse_expression,
};
use crate::types::PgType;

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateSequence) -> PlanResult<()> {
    let Some(schema) = place(scope, ddl, &create.name, create.if_not_exists, create.temporary)? else { return Ok(()) };
    let mut sequence = define(&create.options, create.options.pg.as_ref().unwrap_or(&PgType::Int8), None)?;
    sequence.pg.clone_from(&create.options.pg);
    let id = ddl.new_id(scope);
    own(scope, ddl, &mut sequence, schema, create.options.owned_by.as_ref())?;
    let new = new_relation(scope, schema, &create.name.name, Vec::new(), RelationKind::Sequence(sequence));
    ddl.put(id, Body::Relation(new));
    Ok(())
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterSequence) -> PlanResult<()> {
    let (id, old) = match relation(scope, &alter.name) {
        Ok(found) => found,
        Err(_) if alter.if_exists => {
            ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("relation \"{}\" does not exist, skipping", alter.name));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let RelationKind::Sequence(before) = &old.storage else {
        let message = format!("\"{}\" is not a sequence", old.name);
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
    };
    ddl.need(scope, Right::Own(id));
    let sequence = altered(scope, ddl, id, before, &alter.options)?;
    let mut sequence = sequence;
    if alter.options.owned_by.is_some() && of_identity(scope, id, before) {
        let message = "cannot change ownership of identity sequence";
        let detail = format!("Sequence \"{}\" is linked to a table.", old.name);
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail).into());
    }
    own(scope, ddl, &mut sequence, old.schema, alter.options.owned_by.as_ref())?;
    if sequence != *before {
        ddl.put(id, Body::Relation(Relation { storage: RelationKind::Sequence(sequence), ..old.clone() }));
    }
    Ok(())
}

/// A sequence after a change of how it counts; where it goes on is noted.
pub(super) fn altered(
    scope: &Scope,
    ddl: &mut DdlPlan,
    id: ObjectId,
    before: &Sequence,
    options: &SequenceOptions,
) -> PlanResult<Sequence> {
    let of_column = before.owned_by.and_then(|(table, column)| {
        let found = scope.catalog().relation(table)?.column_by_id(column)?;
        found.identity.as_ref().filter(|identity| identity.sequence == id).map(|_| found.pg.clone())
    });
    let pg = options.pg.clone().or_else(|| before.pg.clone()).or(of_column).unwrap_or(PgType::Int8);
    let mut sequence = define(options, &pg, Some(before))?;
    sequence.pg = options.pg.clone().or_else(|| before.pg.clone());
    match options.restart {
        Some(Restart::AtStart) => ddl.restart.push((id, None)),
        Some(Restart::With(value)) => {
            let outside = |than: &str, limit: &str, end: i64| {
                let message = format!("RESTART value ({value}) cannot be {than} than {limit} ({end})");
                Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
            };
            if value < sequence.min {
                return Err(outside("less", "MINVALUE", sequence.min).into());
            }
            if value > sequence.max {
                return Err(outside("greater", "MAXVALUE", sequence.max).into());
            }
            ddl.restart.push((id, Some(sequence.before(value))));
        }
        None => {}
    }
    Ok(sequence)
}

fn of_identity(scope: &Scope, id: ObjectId, sequence: &Sequence) -> bool {
    let column = sequence.owned_by.and_then(|(table, column)| scope.catalog().relation(table)?.column_by_id(column));
    let identity = column.and_then(|column| column.identity.as_ref());
    identity.is_some_and(|identity| identity.sequence == id && identity.kind != IdentityKind::Serial)
}

/// OWNED BY. `42703`, `55000`.
fn own(
    scope: &Scope,
    ddl: &mut DdlPlan,
    sequence: &mut Sequence,
    schema: ObjectId,
    owner: Option<&SequenceOwner>,
) -> PlanResult<()> {
    match owner {
        None => {}
        Some(SequenceOwner::Nothing) => sequence.owned_by = None,
        Some(SequenceOwner::Column(table, name)) => {
            let (id, table) = relation(scope, table)?;
            if !matches!(table.storage, RelationKind::Table(_)) {
                let message = format!("sequence cannot be owned by relation \"{}\"", table.name);
                return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
            ddl.need(scope, Right::Own(id));
            if table.schema != schema {
                let message = "sequence must be in same schema as table it is linked to";
                return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
            }
            sequence.owned_by = Some((id, column(table, name)?.id));
        }
    }
    Ok(())
}

/// The least and the greatest value of a type that a sequence may have.
fn ends(pg: &PgType) -> Option<(i64, i64)> {
    match pg {
        PgType::Int2 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        PgType::Int4 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        PgType::Int8 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// How a sequence of a type counts; what is not said is as `before`, or as usual. `22023`.
pub(super) fn define(options: &SequenceOptions, pg: &PgType, before: Option<&Sequence>) -> PlanResult<Sequence> {
    let invalid = |message: String| Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
    let Some((least, greatest)) = ends(pg) else {
        return invalid("sequence type must be smallint, integer, or bigint".to_owned());
    };
    let increment = options.increment.or(before.map(|before| before.increment)).unwrap_or(1);
    if increment == 0 {
        return invalid("INCREMENT must not be zero".to_owned());
    }
    let usual = if increment > 0 { (1, greatest) } else { (least, -1) };
    // With another type, an end that was the old type's is the new one's.
    let old_ends = before.and_then(|before| ends(before.pg.as_ref().unwrap_or(&PgType::Int8)));
    let keeps = |end: i64| options.pg.is_none() || old_ends.is_none_or(|old| end != old.0 && end != old.1);
    let limit = |said: Option<Limit>, before: Option<i64>, usual: i64| match said {
        Some(Limit::At(value)) => value,
        Some(Limit::Usual) => usual,
        None => before.filter(|end| keeps(*end)).unwrap_or(usual),
    };
    let max = limit(options.max, before.map(|before| before.max), usual.1);
    let min = limit(options.min, before.map(|before| before.min), usual.0);
    for (name, value) in [("MAXVALUE", max), ("MINVALUE", min)] {
        if !(least..=greatest).contains(&value) {
            return invalid(format!("{name} ({value}) is out of range for sequence data type {pg}"));
        }
    }
    if min >= max {
        return invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})"));
    }
    let first = if increment > 0 { min } else { max };
    let start = options.start.or(before.map(|before| before.start)).unwrap_or(first);
    if start < min {
        return invalid(format!("START value ({start}) cannot be less than MINVALUE ({min})"));
    }
    if start > max {
        return invalid(format!("START value ({start}) cannot be greater than MAXVALUE ({max})"));
    }
    let cycle = options.cycle.or(before.map(|before| before.cycle)).unwrap_or(false);
    let owned_by = before.and_then(|before| before.owned_by);
    Ok(Sequence { start, increment, min, max, cycle, pg: None, owned_by })
}

/// The sequence of a new identity or serial column. `22023`.
pub(super) fn of_column(table: ObjectId, column: &Column, options: &SequenceOptions) -> PlanResult<Sequence> {
    if !matches!(column.pg, PgType::Int2 | PgType::Int4 | PgType::Int8) {
        let message = "identity column type must be smallint, integer, or bigint";
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
    }
    let sequence = define(options, &column.pg, None)?;
    Ok(Sequence { owned_by: Some((table, column.id)), ..sequence })
}

/// Functions whose argument names a sequence.
const FUNCTIONS: &[&str] = &["nextval", "currval", "setval"];

/// A default with the schemas of the sequences that it names, so that it means them wherever it is used.
pub(super) fn with_schemas(scope: &Scope, default: &str) -> PlanResult<String> {
    let default = &type_names::qualified(scope, default)?;
    let mut parsed = parse_expression(default)?;
    let mut changed = false;
    visit(&mut parsed, &mut |name| {
        let found = QualifiedName::parse(name).ok().filter(|name| name.schema.is_none());
        let Some((_, found)) = found.and_then(|name| scope.ctx.relation(&name)) else { return };
        if let Some(schema) = scope.catalog().schema(found.schema) {
            *name = format!("{}.{}", quote(&schema.name), quote(&found.name));
            changed = true;
        }
    });
    Ok(if changed { parsed.to_string() } else { default.to_owned() })
}

/// A sequence gets another name or schema: defaults that name it follow. `new`: with its schema, quoted.
pub(super) fn follow_rename(scope: &Scope, ddl: &mut DdlPlan, id: ObjectId, new: &str) -> PlanResult<()> {
    let which = BTreeSet::from([id]);
    for (table_id, table) in scope.catalog().relations() {
        if !table.columns.iter().any(|column| draws_from(scope, column, &which)) {
            continue;
        }
        let mut table = ddl.relation(scope, table_id).unwrap_or(table).clone();
        for column in table.columns.iter_mut().filter(|column| draws_from(scope, column, &which)) {
            let mut parsed = parse_expression(column.default.as_deref().unwrap_or("NULL"))?;
            visit(&mut parsed, &mut |name| {
                let found = QualifiedName::parse(name).ok();
                if found.and_then(|name| scope.ctx.relation(&name)).is_some_and(|(found, _)| found == id) {
                    new.clone_into(name);
                }
            });
            column.default = Some(parsed.to_string());
        }
        ddl.put(table_id, Body::Relation(table));
    }
    Ok(())
}

/// With another type of its identity column, a sequence that went to the end of the old type goes to that of the new.
pub(super) fn retyped(ddl: &mut DdlPlan, scope: &Scope, id: ObjectId, old: &PgType, new: &PgType) -> PlanResult<()> {
    let Some(relation) = ddl.relation(scope, id).cloned() else { return Ok(()) };
    let RelationKind::Sequence(before) = &relation.storage else { return Ok(()) };
    let as_old = Sequence { pg: Some(old.clone()), ..before.clone() };
    let options = SequenceOptions { pg: Some(new.clone()), ..SequenceOptions::default() };
    let after = define(&options, new, Some(&as_old))?;
    if after != *before {
        ddl.put(id, Body::Relation(Relation { storage: RelationKind::Sequence(after), ..relation }));
    }
    Ok(())
}

/// Whether a column's default draws from one of some sequences.
pub(super) fn draws_from(scope: &Scope, column: &Column, which: &BTreeSet<ObjectId>) -> bool {
    let Some(mut parsed) = column.default.as_ref().and_then(|default| parse_expression(default).ok()) else {
        return false;
    };
    let mut found = false;
    visit(&mut parsed, &mut |name| {
        let name = QualifiedName::parse(name).ok();
        found |= name.and_then(|name| scope.ctx.relation(&name)).is_some_and(|(id, _)| which.contains(&id));
    });
    found
}

/// Shows each name of a sequence.
fn visit(expr: &mut ast::Expr, show: &mut impl FnMut(&mut String)) {
    let flow: ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
        if let ast::Expr::Function(function) = expr
            && FUNCTIONS.iter().any(|name| function.name.to_string().eq_ignore_ascii_case(name))
            && let ast::FunctionArguments::List(list) = &mut function.args
            && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))) = list.args.first_mut()
        {
            let literal = match argument {
                ast::Expr::Cast { expr, .. } => expr.as_mut(),
                other => other,
            };
            if let ast::Expr::Value(value) = literal
                && let ast::Value::SingleQuotedString(name) = &mut value.value
            {
                show(name);
            }
        }
        ControlFlow::Continue(())
    });
    debug_assert!(flow.is_continue(), "nothing breaks the visit");
}
