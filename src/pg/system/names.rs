//! Names of objects: what a value of a `reg…` type prints as, and which object a name stands for.

use std::sync::Arc;

use super::{INFORMATION_SCHEMA, PG_CATALOG, objects, relation, relation_by_oid};
use crate::catalog::{DATABASE_NAME, Namespace};
use crate::context::{Context, undefined_schema, undefined_table};
use crate::encode::{ObjectNames, Style};
use crate::error::{Plain, SqlState};
use crate::name::{ObjectId, QualifiedName, parse_qualified, quote};
use crate::pg::system::types;
use crate::types::PgType;

/// Pseudo-types: they have names, and nothing else here.
const PSEUDO_TYPES: &[(&str, u32)] = &[
    ("record", 2249),
    ("cstring", 2275),
    ("any", 2276),
    ("anyarray", 2277),
    ("trigger", 2279),
    ("language_handler", 2280),
    ("internal", 2281),
    ("anyelement", 2283),
    ("anynonarray", 2776),
    ("fdw_handler", 3115),
    ("anyenum", 3500),
    ("anyrange", 3831),
    ("event_trigger", 3838),
];

/// The objects one statement sees.
#[derive(Debug)]
pub struct Objects {
    ctx: Context,
}

impl Objects {
    /// Those of the statement's catalog state; of the relations, what its role may know of.
    pub fn new(ctx: &Context) -> Self {
        Self { ctx: ctx.clone() }
    }

    /// How values print to the statement's user.
    pub fn style(ctx: &Context) -> Style {
        Style::of(&ctx.settings, Arc::new(Self::new(ctx)))
    }
}

impl ObjectNames for Objects {
    fn known_from(&self) -> (usize, usize, i64) {
        let (catalog, settings) = (Arc::as_ptr(&self.ctx.catalog), Arc::as_ptr(&self.ctx.settings));
        (catalog.addr(), settings.addr(), self.ctx.user.0)
    }

    fn name(&self, pg: &PgType, oid: u32) -> String {
        if oid == 0 {
            return "-".to_owned();
        }
        object_name(&self.ctx, pg, oid).unwrap_or_else(|| oid.to_string())
    }

    fn oid(&self, pg: &PgType, text: &str) -> Result<u32, Plain> {
        let text = text.trim();
        if text == "-" {
            return Ok(0);
        }
        if let Ok(oid) = text.parse() {
            return Ok(oid);
        }
        object_oid(&self.ctx, pg, text)
    }
}

/// The name of an object of the kind that a `reg…` type stands for.
fn object_name(ctx: &Context, pg: &PgType, oid: u32) -> Option<String> {
    match pg {
        PgType::Regclass => relation_name(ctx, oid),
        PgType::Regtype => ctx
            .type_name(oid, -1)
            .or_else(|| PSEUDO_TYPES.iter().find(|(_, known)| *known == oid).map(|(name, _)| (*name).to_owned())),
        PgType::Regproc => objects::function_name(oid),
        PgType::Regnamespace => schema_name(ctx, oid).map(|name| quote(&name)),
        PgType::Regrole => ctx.catalog.role(ObjectId::from_oid(oid)?).map(|role| quote(&role.name)),
        _ => None,
    }
}

/// A relation's name, with its schema unless the search path finds it.
pub(super) fn relation_name(ctx: &Context, oid: u32) -> Option<String> {
    if let Some(relation) = relation_by_oid(oid) {
        let name = quote(relation.name);
        return Some(if relation.schema == PG_CATALOG { name } else { format!("{}.{name}", relation.schema) });
    }
    let id = ObjectId::from_oid(oid)?;
    ctx.catalog.relation(id).filter(|relation| objects::is_visible(ctx, relation)).map(|_| ctx.display_name(id))
}

/// `pg_namespace.nspname`.
pub(super) fn schema_name(ctx: &Context, oid: u32) -> Option<String> {
    match oid {
        super::PG_CATALOG_OID => Some(PG_CATALOG.to_owned()),
        super::INFORMATION_SCHEMA_OID => Some(INFORMATION_SCHEMA.to_owned()),
        oid => ctx.catalog.schema(ObjectId::from_oid(oid)?).map(|schema| schema.name.clone()),
    }
}

/// A relation's name, perhaps with the database's before it. `42602`, `0A000` for another database.
fn in_this_database(text: &str) -> Result<QualifiedName, Plain> {
    match parse_qualified(text).and_then(|parts| <[String; 3]>::try_from(parts).ok()) {
        Some([database, schema, name]) if database == DATABASE_NAME => Ok(QualifiedName { schema: Some(schema), name }),
        Some(parts) => {
            let message = format!("cross-database references are not implemented: \"{}\"", parts.join("."));
            Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
        None => QualifiedName::parse(text),
    }
}

/// The object that a name stands for; `42P01`, `42704`, `3F000` or `42883` if there is none.
fn object_oid(ctx: &Context, pg: &PgType, text: &str) -> Result<u32, Plain> {
    match pg {
        PgType::Regclass => relation_oid(ctx, &in_this_database(text)?),
        PgType::Regtype => {
            let unknown = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"));
            let pseudo = || {
                let name = QualifiedName::parse(text).ok()?.name;
                PSEUDO_TYPES.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid)
            };
            types::oid_of(ctx, text).or_else(pseudo).ok_or_else(unknown)
        }
        PgType::Regproc => objects::function_oid(&QualifiedName::parse(text)?.name)
            .ok_or_else(|| Plain::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))),
        PgType::Regnamespace => {
            let name = QualifiedName::parse(text)?.name;
            match name.as_str() {
                PG_CATALOG => Ok(super::PG_CATALOG_OID),
                INFORMATION_SCHEMA => Ok(super::INFORMATION_SCHEMA_OID),
                name => ctx.catalog.schema_id(name).map(ObjectId::oid).ok_or_else(|| undefined_schema(name)),
            }
        }
        _ => {
            let name = QualifiedName::parse(text)?.name;
            ctx.catalog
                .role_id(&name)
                .map(ObjectId::oid)
                .ok_or_else(|| Plain::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
        }
    }
}

/// The relation of a name, a system relation first. `42P01` also for what the role may not know of.
pub(super) fn relation_oid(ctx: &Context, name: &QualifiedName) -> Result<u32, Plain> {
    if let Some(relation) = relation(name.schema.as_deref(), &name.name) {
        return Ok(relation.oid);
    }
    match ctx.relation(name) {
        Some((id, relation)) if objects::is_visible(ctx, relation) => Ok(id.oid()),
        Some(_) => Err(undefined_table(name)),
        // A composite type is a relation, too.
        None => {
            let found = ctx.user_type(name).filter(|(id, _)| types::composites(ctx).any(|(known, ..)| known == *id));
            found.map(|(id, _)| id.oid()).ok_or_else(|| undefined_table(name))
        }
    }
}

/// Whether the search path finds a relation without its schema: `pg_table_is_visible`. `None` if there is none.
pub(super) fn is_on_path(ctx: &Context, oid: u32) -> Option<bool> {
    if let Some(relation) = relation_by_oid(oid) {
        return Some(relation.schema == PG_CATALOG);
    }
    let id = ObjectId::from_oid(oid)?;
    if let Some(composite) = types::visible_type(ctx, id).filter(|known| known.as_composite().is_some()) {
        let found = ctx.user_type(&QualifiedName::bare(composite.name.clone()));
        return Some(found.is_some_and(|(found, _)| found == id));
    }
    let found = ctx.catalog.relation(id).filter(|relation| objects::is_visible(ctx, relation))?;
    if relation(None, &found.name).is_some() {
        return Some(false);
    }
    let first = ctx.search_path.iter().find_map(|schema| ctx.catalog.find(Namespace::Relation(*schema), &found.name));
    Some(first == Some(id))
}
