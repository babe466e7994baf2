//! FOR UPDATE and FOR SHARE: until the transaction ends, nobody else writes to the tables whose rows it has locked. That is
//! more than PostgreSQL locks, and less than it tells apart. LOCK TABLE.

use sqlparser::ast::{self, Query, SetExpr, TableFactor};

use super::command::DdlPlan;
use super::rewrite::called;
use super::{Need, PlanError, PlanResult, Right, Scope, query};
use crate::catalog::RelationKind;
use crate::error::{Plain, SqlState, unsupported};
use crate::govern::Privilege;
use crate::guard::row_security_applies;
use crate::name::ObjectId;
use crate::statement::{LockMode, LockTable, as_it_was};

/// What a query locks.
#[derive(Debug, Default)]
pub struct Locks {
    /// Tables that must not be written to by others until the transaction commits.
    pub tables: Vec<ObjectId>,
    /// `NOWAIT`: it fails if others have them. What it could not lock then, as the error's message says it.
    pub nowait: Option<&'static str>,
    /// Rights that it takes, besides those to read.
    pub needs: Vec<Need>,
}

/// Takes the locking clauses out of a query. `0A000`, `42P01`.
pub(super) fn take(scope: &Scope, query: &mut Query) -> PlanResult<Locks> {
    let mut locks = Locks::default();
    for clause in std::mem::take(&mut query.locks) {
        let SetExpr::Select(select) = query.body.as_ref() else {
            return Err(refused("UNION/INTERSECT/EXCEPT"));
        };
        let grouped = match &select.group_by {
            ast::GroupByExpr::All(_) => true,
            ast::GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        };
        for (there, what) in [
            (select.distinct.is_some(), "DISTINCT clause"),
            (grouped, "GROUP BY clause"),
            (select.having.is_some(), "HAVING clause"),
        ] {
            if there {
                return Err(refused(what));
            }
        }
        if matches!(clause.nonblock, Some(ast::NonBlock::SkipLocked)) {
            return Err(unsupported("SKIP LOCKED").into());
        }
        if matches!(clause.nonblock, Some(ast::NonBlock::Nowait)) {
            locks.nowait = Some("row in relation");
        }
        let of = clause.of.as_ref().map(|name| query::qualified(name).map(|name| name.name).unwrap_or_default());
        let mut found = false;
        let from = select.from.iter();
        let factors =
            from.flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
        for factor in factors {
            if of.is_some() && called(factor) != of {
                continue;
            }
            found = true;
            lock(scope, &mut locks, factor)?;
        }
        if let Some(of) = of.filter(|_| !found) {
            let message = format!("relation \"{of}\" in FOR UPDATE clause not found in FROM clause");
            return Err(PlanError::Undefined(Plain::new(SqlState::UNDEFINED_TABLE, message), of));
        }
    }
    Ok(locks)
}

fn lock(scope: &Scope, locks: &mut Locks, factor: &TableFactor) -> PlanResult<()> {
    let TableFactor::Table { name, args: None, .. } = factor else {
        return Err(unsupported("FOR UPDATE of what is no table").into());
    };
    let named_past = query::qualified(name).is_some_and(|name| as_it_was(&name.name).is_some());
    if named_past || scope.facts.moment.is_some() {
        return Err(unsupported("FOR UPDATE of the past").into());
    }
    let Some((id, relation)) = query::qualified(name).and_then(|name| scope.ctx.relation(&name)) else {
        // Binding tells whether it is a query of WITH, or nothing.
        return Ok(());
    };
    if relation.materialized().is_some() {
        let message = format!("cannot lock rows in materialized view \"{}\"", relation.name);
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
    }
    if !relation.is_table() {
        return Err(unsupported("FOR UPDATE of what is no table").into());
    }
    if row_security_applies(&scope.ctx, relation) {
        return Err(unsupported("FOR UPDATE under row-level security").into());
    }
    locks.tables.push(id);
    locks.needs.push(Need { role: scope.ctx.role, right: Right::AnyColumn { id, privilege: Privilege::Update } });
    Ok(())
}

/// LOCK TABLE. What it holds against others is the whole table, or nothing. `42P01`, `42809`.
pub(super) fn tables(scope: &Scope, ddl: &mut DdlPlan, lock: &LockTable) -> PlanResult<()> {
    use Privilege::{Delete, Insert, Maintain, Select, Truncate, Update};
    ddl.locks.nowait = lock.nowait.then_some("relation");
    let suffices: &[Privilege] = match lock.mode {
        LockMode::Read => &[Select, Insert, Update, Delete, Truncate, Maintain],
        LockMode::Write => &[Insert, Update, Delete, Truncate, Maintain],
        LockMode::Whole => &[Update, Delete, Truncate, Maintain],
    };
    for name in &lock.tables {
        let (id, relation) = scope.ctx.require_relation(name)?;
        if !matches!(relation.storage, RelationKind::Table(_)) {
            let message = format!("\"{}\" is not a table", relation.name);
            return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        }
        ddl.needs.push(Need { role: scope.ctx.role, right: Right::AnyOf { id, privileges: suffices } });
        if lock.mode == LockMode::Whole {
            ddl.locks.tables.push(id);
        }
    }
    Ok(())
}

fn refused(what: &str) -> PlanError {
    Plain::new(SqlState::FEATURE_NOT_SUPPORTED, format!("FOR UPDATE is not allowed with {what}")).into()
}
