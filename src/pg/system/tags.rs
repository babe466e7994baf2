//! What `pg_catalog` says of tags: relations of our own.

use super::objects;
use super::rows::{Rows, row};
use crate::catalog::{Body, DATABASE_ID};
use crate::context::Context;
use crate::govern::Grantee;

/// `pg_tag`: the tags there are.
pub(super) fn tags(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["oid", "tagname", "tagowner", "tagvalues", "tagacl"]);
    for (id, tag) in ctx.catalog.tags() {
        let values = Some(tag.values.clone()).filter(|values| !values.is_empty());
        let acl = tag.acl.as_ref().map(|acl| objects::acl_items(ctx, acl));
        rows.push(row![id.oid(), tag.name.as_str(), tag.owner.oid(), values, acl]);
    }
}

/// `pg_tag_assignment`: what was said of objects that the role may know of.
pub(super) fn assignments(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["tagid", "tagname", "objtype", "schemaname", "relname", "attname", "value"]);
    let schema_name = |id| ctx.catalog.schema(id).map(|schema| schema.name.clone());
    for entry in ctx.catalog.entries() {
        let Body::TagAssignment(assignment) = &entry.body else { continue };
        let Some(tag) = ctx.catalog.tag(assignment.tag) else { continue };
        let object = assignment.object;
        let relation = ctx.catalog.relation(object);
        let (kind, schema, name, column) = match (relation, assignment.column) {
            (Some(relation), _) if !objects::is_visible(ctx, relation) => continue,
            (Some(relation), None) => {
                (relation.kind_name(), schema_name(relation.schema), Some(relation.name.clone()), None)
            }
            (Some(relation), Some(column)) => {
                let Some(column) = relation.column_by_id(column) else { continue };
                ("column", schema_name(relation.schema), Some(relation.name.clone()), Some(column.name.clone()))
            }
            (None, _) if object == DATABASE_ID => ("database", None, None, None),
            (None, _) if ctx.may_use_schema(object) => ("schema", schema_name(object), None, None),
            (None, _) => continue,
        };
        let value = assignment.value.as_str();
        rows.push(row![assignment.tag.oid(), tag.name.as_str(), kind, schema, name, column, value]);
    }
}

/// `pg_tag_grant`: privileges on what has tags.
pub(super) fn grants(ctx: &Context, rows: &mut Rows) {
    let mut rows = rows.columns(["objtype", "condition", "grantee", "privileges"]);
    for entry in ctx.catalog.entries() {
        let Body::TagGrant(grant) = &entry.body else { continue };
        let part = |(tag, values): &(_, Vec<String>)| {
            let name = ctx.catalog.tag(*tag).map(|tag| tag.name.as_str()).unwrap_or_default();
            let values = values.iter().map(|value| format!("'{}'", value.replace('\'', "''")));
            format!("{name} IN ({})", values.collect::<Vec<_>>().join(", "))
        };
        let condition = grant.condition.iter().map(part).collect::<Vec<_>>().join(" AND ");
        let grantee = match grant.grantee {
            Grantee::Public => "public".to_owned(),
            Grantee::Role(role) => ctx.catalog.role_name(role),
        };
        let privileges: Vec<String> = grant.privileges.iter().map(|held| held.keyword().to_owned()).collect();
        rows.push(row![if grant.columns { "columns" } else { "tables" }, condition, grantee, privileges]);
    }
}
