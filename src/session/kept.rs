//! Plans that are kept for statements which are run again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::Definitions;
use crate::context::Context;
use crate::error::SqlError;
use crate::execute::Ready;
use crate::name::ObjectId;
use crate::plan::{Description, Need, Parameters, Plan, Scope, plan};
use crate::secure::{Authorized, authorize};
use crate::setting::Settings;
use crate::statement::{Statement, parse};
use crate::types::PgType;

/// Messages of the simple protocol that a session remembers, and their longest text in bytes.
pub(super) const MESSAGES_MAX: usize = 8;
pub(super) const MESSAGE_BYTES_MAX: usize = 512;

/// A message of the simple protocol.
#[derive(Debug)]
pub struct SimpleMessage {
    /// What it says.
    pub statements: Vec<Statement>,
    /// For a message of one statement.
    pub keeper: Keeper,
}

impl SimpleMessage {
    pub(super) fn new(sql: &str) -> Result<Self, SqlError> {
        Ok(Self { statements: parse(sql)?, keeper: Keeper::default() })
    }
}

/// The plan of one statement, as long as it holds. If it does not any more, a new one is made when the statement has run
/// twice under the same conditions: those that change each time are not worth it.
#[derive(Debug, Default)]
pub struct Keeper(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    made: Option<(Conditions, Option<Permitted>)>,
    /// Those that the last run met, if they were others.
    met: Option<Conditions>,
}

/// A plan that was permitted, and what it took.
#[derive(Clone, Debug)]
pub(super) struct Permitted {
    pub(super) ready: Arc<Ready>,
    pub(super) needs: Arc<[Need]>,
}

/// All that a plan hangs on, the values of parameters and the data aside.
#[derive(Clone, Debug, PartialEq)]
struct Conditions {
    definitions: Definitions,
    settings: Arc<Settings>,
    roles: (ObjectId, ObjectId),
}

impl Conditions {
    /// `None`: some that do not come again.
    fn of(ctx: &Context) -> Option<Self> {
        let roles = (ctx.session_role, ctx.role);
        let known = Self { definitions: ctx.catalog.definitions(), settings: Arc::clone(&ctx.settings), roles };
        ctx.restarted.is_empty().then_some(known)
    }
}

impl Keeper {
    /// Keeps what was made of a permitted plan: `types` are those of its parameters.
    pub(super) fn new(
        scope: &Scope,
        plan: Authorized<Plan>,
        needs: Vec<Need>,
        types: &[PgType],
    ) -> Result<Self, SqlError> {
        let made = match Conditions::of(&scope.ctx) {
            Some(conditions) => Some((conditions, ready(scope, plan, needs, types)?)),
            None => None,
        };
        Ok(Self(Mutex::new(Kept { made, met: None })))
    }

    /// The plan for a run under the conditions of `scope`. `told`: what the client knows of the statement. `None`: it has to
    /// be planned.
    pub(super) fn get(
        &self,
        scope: &Scope,
        statement: &Statement,
        told: Option<&Description>,
    ) -> Result<Option<Permitted>, SqlError> {
        let Some(now) = Conditions::of(&scope.ctx) else { return Ok(None) };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((conditions, ready)) = &kept.made
            && *conditions == now
        {
            return Ok(ready.clone());
        }
        if kept.met.as_ref() != Some(&now) {
            kept.met = Some(now);
            return Ok(None);
        }
        let types = told.map(|told| told.parameters.clone()).unwrap_or_default();
        let parameters = Parameters { types: types.iter().cloned().map(Some).collect(), values: None };
        let plan = plan(scope, statement, &parameters)?;
        let same = told.is_none_or(|told| told.gives(plan.fields().as_deref()));
        let mut needs = Vec::new();
        let made = if same {
            let plan = authorize(&scope.ctx, plan, &mut needs)?;
            ready(scope, plan, needs, &types)?
        } else {
            None
        };
        kept.made = Some((now, made.clone()));
        Ok(made)
    }
}

fn ready(
    scope: &Scope,
    plan: Authorized<Plan>,
    needs: Vec<Need>,
    types: &[PgType],
) -> Result<Option<Permitted>, SqlError> {
    if !scope.is_lasting() {
        return Ok(None);
    }
    let ready = Ready::new(scope, plan, types)?;
    Ok(ready.map(|ready| Permitted { ready: Arc::new(ready), needs: needs.into() }))
}
