//! Views and row policies are kept as text, in which a changed table may mean something else: such changes are refused, but
//! that a view's text follows a relation to its new name. Whatever might be meant counts as meant.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, VisitMut, VisitorMut};

use super::super::{PlanResult, Scope, query, with_changes};
use super::DdlPlan;
use crate::catalog::{Body, Change, Column, Relation, View};
use crate::error::{Plain, SqlState};
use crate::govern::RowPolicy;
use crate::name::{ObjectId, QualifiedName};
use crate::statement::parse_query;

/// A table before and after a change.
pub(super) struct Changed<'a> {
    pub(super) scope: &'a Scope,
    pub(super) id: ObjectId,
    pub(super) old: &'a Relation,
    pub(super) new: &'a Relation,
}

impl Changed<'_> {
    /// Refuses a change that others rely on not to happen. `2BP01`, `0A000`. `cascade`: views that read a column that
    /// goes go, too.
    pub(super) fn keep_dependents(&self, ddl: &mut DdlPlan, cascade: bool) -> PlanResult<()> {
        let gone = self.names(|old, new| new.is_none().then(|| vec![old.name.clone()]));
        let renamed = self.names(|old, new| {
            new.filter(|new| new.name != old.name).map(|new| vec![old.name.clone(), new.name.clone()])
        });
        let retyped = self.names(|old, new| new.filter(|new| new.pg != old.pg).map(|_| vec![old.name.clone()]));
        let known = |column: &&Column| self.old.column_by_id(column.id).is_none();
        let added: BTreeSet<String> = self.new.columns.iter().filter(known).map(|column| lower(&column.name)).collect();
        let moved = self.old.name != self.new.name || self.old.schema != self.new.schema;
        if gone.is_empty() && renamed.is_empty() && retyped.is_empty() && added.is_empty() && !moved {
            return Ok(());
        }
        let own: BTreeSet<String> = gone.iter().chain(&renamed).chain(&retyped).cloned().collect();
        let any: BTreeSet<String> = own.iter().chain(&added).cloned().collect();
        let mut after = self.scope.clone();
        after.ctx = with_changes(&self.scope.ctx, &ddl.changes);
        for entry in self.scope.catalog().entries() {
            match &entry.body {
                Body::RowPolicy(policy) => {
                    let text = policy_text(policy);
                    let named = policy_reads(self.scope, policy, &|id| id == self.id);
                    let touched = if policy.relation == self.id { mentions(&text, &own) } else { false };
                    if touched || named && (moved || mentions(&text, &any)) {
                        let table = self.scope.ctx.display_name(policy.relation);
                        return Err(self.refused(&format!("policy {} on table {table} depends on it", policy.name)));
                    }
                }
                Body::MaskAttachment(mask) if mask.relation == self.id => {
                    let mut read = mask.inputs.iter().chain([&mask.column]);
                    let same = |id: &i32| {
                        let columns = (self.old.column_by_id(*id), self.new.column_by_id(*id));
                        matches!(columns, (Some(old), Some(new)) if old.pg == new.pg)
                    };
                    if !read.all(same) {
                        return Err(self.refused("a masking policy is attached to it, or reads it"));
                    }
                }
                Body::Relation(view) if self.is_read_by(view) => {
                    let Some(definition) = view.query() else { continue };
                    if moved
                        && any.is_empty()
                        && let Some(follows) = self.following(&after, view, definition)?
                    {
                        ddl.changes.push(Change::Put(entry.id, Box::new(Body::Relation(follows))));
                        continue;
                    }
                    let text = &definition.query;
                    // Names of an inner query may become those of another table.
                    let nested = words(text).filter(|word| word == "select").count() > 1
                        || words(text).any(|word| word == "natural");
                    let breaks = view_holds(self.scope, view)? && !view_holds(&after, view)?;
                    if !(moved || breaks || nested && mentions(text, &any) || mentions(text, &retyped)) {
                        continue;
                    }
                    let name = format!("{} {}", view.kind_name(), self.scope.ctx.display_name(entry.id));
                    if !cascade || moved {
                        return Err(self.refused(&format!("{name} depends on it")));
                    }
                    ddl.changes.push(Change::Delete(entry.id));
                    ddl.changes.extend(view.indexes.iter().map(|index| Change::Delete(*index)));
                    ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Names of the old columns that something happened to.
    fn names(&self, happened: impl Fn(&Column, Option<&Column>) -> Option<Vec<String>>) -> BTreeSet<String> {
        let columns = self.old.columns.iter();
        let names = columns.filter_map(|old| happened(old, self.new.column_by_id(old.id))).flatten();
        names.map(|name| lower(&name)).collect()
    }

    fn is_read_by(&self, relation: &Relation) -> bool {
        let Some(view) = relation.query() else { return false };
        let inner = self.scope.ctx.as_role(relation.owner).with_search_path(&view.search_path);
        let is_it = |name: &QualifiedName| inner.relation(name).is_some_and(|(id, _)| id == self.id);
        query::relations_of(&view.query).iter().any(is_it)
    }

    /// A view that reads the relation under its new name; `None` if its query cannot be made to.
    fn following(&self, after: &Scope, view: &Relation, definition: &View) -> PlanResult<Option<Relation>> {
        let Ok(mut query) = parse_query(&definition.query) else { return Ok(None) };
        let inner = self.scope.ctx.as_role(view.owner).with_search_path(&definition.search_path);
        let Some(schema) = self.scope.catalog().schema(self.new.schema) else { return Ok(None) };
        let mut renaming = Renaming {
            is_it: &|name| inner.relation(name).is_some_and(|(id, _)| id == self.id),
            to: [&schema.name, &self.new.name],
            within: Vec::new(),
        };
        let _flow = VisitMut::visit(query.as_mut(), &mut renaming);
        if renaming.within.contains(&self.old.name) {
            return Ok(None);
        }
        let mut follows = view.clone();
        if let Some(definition) = follows.query_mut() {
            definition.query = query.to_string();
        }
        Ok(view_holds(after, &follows)?.then_some(follows))
    }

    fn refused(&self, what: &str) -> super::super::PlanError {
        let gone = self.names(|old, new| new.is_none().then(|| vec![old.name.clone()]));
        let error = if gone.is_empty() {
            let message = format!("cannot alter table \"{}\" because of what depends on it", self.old.name);
            Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message)
        } else {
            let columns = gone.into_iter().collect::<Vec<_>>().join(", ");
            let message =
                format!("cannot drop column {columns} of table {} because other objects depend on it", self.old.name);
            Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        };
        error.detail(what).hint("Drop or detach it first.").into()
    }
}

/// Gives a relation of a query another name. What the query says of its columns stays true: it keeps the old name as its
/// alias.
struct Renaming<'a> {
    is_it: &'a dyn Fn(&QualifiedName) -> bool,
    /// Schema and name.
    to: [&'a str; 2],
    /// The names that the query's WITH gives.
    within: Vec<String>,
}

impl VisitorMut for Renaming<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.within.extend(tables.map(|table| query::folded(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table { name, alias, args: None, .. } = factor
            && let Some(old) = query::qualified(name)
            && (self.is_it)(&old)
        {
            let quoted = |name: &str| ast::Ident::with_quote('"', name);
            *name = ast::ObjectName::from(self.to.map(quoted).to_vec());
            alias.get_or_insert_with(|| ast::TableAlias {
                explicit: true,
                name: quoted(&old.name),
                columns: vec![],
                at: None,
            });
        }
        ControlFlow::Continue(())
    }
}

fn policy_text(policy: &RowPolicy) -> String {
    let texts: Vec<&str> = policy.using.iter().chain(&policy.check).map(String::as_str).collect();
    texts.join(" ")
}

/// Whether a row policy has a query over one of some relations.
pub(super) fn policy_reads(scope: &Scope, policy: &RowPolicy, which: &dyn Fn(ObjectId) -> bool) -> bool {
    let inner = scope.with_path(&policy.search_path).ctx;
    let texts = policy.using.iter().chain(&policy.check);
    let mut named = texts.flat_map(|text| query::relations_of(&format!("SELECT {text}")));
    named.any(|name| inner.relation(&name).is_some_and(|(id, _)| which(id)))
}

/// Whether a view's query still gives the view's columns.
fn view_holds(scope: &Scope, relation: &Relation) -> PlanResult<bool> {
    let Some(view) = relation.query() else { return Ok(true) };
    let inner = scope.as_role(relation.owner, &view.search_path);
    let Ok(plan) = query::view(&inner, relation, view, vec![]) else { return Ok(false) };
    let same = |(field, column): (&arrow::datatypes::FieldRef, &Column)| crate::types::of_field(field) == column.pg;
    Ok(plan.schema().fields().iter().zip(&relation.columns).all(same))
}

fn lower(name: &str) -> String {
    name.to_lowercase()
}

/// Whatever in a text may be a name, folded.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).map(lower)
}

/// A quoted name may have spaces in it.
fn mentions(text: &str, names: &BTreeSet<String>) -> bool {
    let folded = lower(text);
    words(text).any(|word| names.contains(&word)) || names.iter().any(|name| folded.contains(&format!("\"{name}\"")))
}
