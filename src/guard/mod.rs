//! Raw table + policies → what a user may read. The only door to raw bytes.
//!
//! A relation under policies becomes a [`SecureTable`], an opaque leaf of the plan; any other relation is read through an
//! [`OpenTable`], with the engine's full push-down. Both are bound to one statement's [`Guard`], which remembers what it
//! opened; [`Guard::inspect`] refuses a physical plan that reads anything else.

mod gate;
mod in_part;
mod leaf;
mod leakproof;
mod open;
mod policies;
mod result;
mod view;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;

pub use gate::GateError;
pub(crate) use in_part::asked_in_part;
pub use leaf::{AppliedPolicy, Policies, SecureTable, applied, sanitize, shown};
pub use open::OpenTable;
pub use policies::{
    Attached, ChosenMask, MaskError, Reader, RowRules, Shown, attachments, contradict, masks, row_policies,
    row_security_applies,
};
pub use result::ResultTable;
pub use view::{ViewTable, expand_views};

pub use crate::warehouse::{FILE_COLUMN, POSITION_COLUMN};

use crate::catalog::{Relation, RelationKind};
use crate::context::Context;
use crate::error::{Plain, SqlError, internal};
use crate::lake::{Lake, LakeFile, LakeTable, Location};
use crate::name::ObjectId;
use crate::warehouse::{Warehouse, WarehouseTable};

/// Opens one statement's relations.
#[derive(Clone, Debug)]
pub struct Guard {
    warehouse: Warehouse,
    lake: Lake,
    issued: Arc<Issued>,
}

/// Files that may be read outside a secure leaf, because the relation they belong to has no policy for this user.
#[derive(Debug, Default)]
struct Issued(Mutex<BTreeSet<String>>);

impl Issued {
    fn add(&self, path: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    fn contains(&self, path: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }
}

impl Guard {
    /// A statement's guard, which has opened nothing yet.
    pub fn new(warehouse: Warehouse, lake: Lake) -> Self {
        Self { warehouse, lake, issued: Arc::default() }
    }

    /// A relation as the statement's user may read it. `system` plans what is behind a secure leaf.
    pub fn open(
        &self,
        ctx: &Context,
        id: ObjectId,
        relation: &Relation,
        policies: Option<Policies>,
        system: &Arc<SessionState>,
    ) -> Result<Arc<dyn TableProvider>, Plain> {
        let raw = self.raw(ctx, id, relation, false)?;
        Ok(match policies {
            Some(policies) => Arc::new(SecureTable::new(id, relation, raw, policies, Arc::clone(system))),
            None => Arc::new(OpenTable::new(id, raw, Arc::clone(&self.issued))),
        })
    }

    /// A table whose rows a statement changes: as it is kept, without masks, and with the columns that tell where each row
    /// is. Only rows that pass `row_filter` are there.
    pub fn open_target(
        &self,
        ctx: &Context,
        id: ObjectId,
        relation: &Relation,
        row_filter: Option<Expr>,
        system: &Arc<SessionState>,
    ) -> Result<Arc<dyn TableProvider>, Plain> {
        let raw = self.raw(ctx, id, relation, true)?;
        Ok(match row_filter {
            Some(filter) => {
                let masks = vec![None; raw.schema().fields().len()];
                let policies = Policies { row_filter: Some(filter), masks, applied: Vec::new() };
                Arc::new(SecureTable::new(id, relation, raw, policies, Arc::clone(system)))
            }
            None => Arc::new(OpenTable::new(id, raw, Arc::clone(&self.issued))),
        })
    }

    /// The files of a location. Only superusers read files that are no table's; their right was proven before.
    pub async fn files(
        &self,
        ctx: &Context,
        session: &SessionState,
        location: &Location,
    ) -> Result<Vec<LakeFile>, SqlError> {
        self.lake.files(&ctx.catalog, session, location).await
    }

    fn raw(
        &self,
        ctx: &Context,
        id: ObjectId,
        relation: &Relation,
        addressed: bool,
    ) -> Result<Arc<dyn TableProvider>, Plain> {
        let lost = || internal(format!("relation {id} cannot be opened"));
        Ok(match &relation.storage {
            RelationKind::Table(_) => Arc::new(
                WarehouseTable::new(&self.warehouse, &ctx.catalog, id, relation, ctx.staged.get(id), addressed)
                    .ok_or_else(lost)?
                    .pruning(ctx.settings.is_on("enable_partition_pruning")),
            ),
            RelationKind::External(external) => Arc::new(LakeTable::new(&self.lake, &ctx.catalog, relation, external)?),
            RelationKind::View(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => return Err(lost()),
        })
    }
}
