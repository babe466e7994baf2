//! What an object is called, is visible as, and was made with.

use super::super::objects;
use super::super::{keys, names, relation};
use super::Kind::{Bool, Int, Object, Oid, Text};
use super::{Function, boolean, name, text};
use crate::catalog::Relation;
use crate::context::{Context, undefined_table};
use crate::encode::ObjectNames;
use crate::error::Plain;
use crate::name::{ObjectId, QualifiedName, quote};
use crate::pg::system::Objects;
use crate::pg::system::types;
use crate::pg::system::value::Value;
use crate::types::PgType;

/// Of objects there are none of.
fn nothing(_: &Context, _: &[Value]) -> Result<Value, Plain> {
    Ok(Value::Null)
}

/// Whether PostgreSQL is to leave out what need not be there.
fn pretty(argument: Option<&Value>) -> bool {
    matches!(argument, Some(Value::Bool(true)))
}

/// Whether an object exists that only PostgreSQL's own schema has: those are always visible.
fn system_only(_: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    Ok(arguments.first().is_some_and(|oid| oid.int() != 0).into())
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("format_type", &[&[Oid, Int]], text, format_type).with_nulls(),
    Function::new("pg_get_expr", &[&[Text, Oid], &[Text, Oid, Bool]], text, |_, arguments| {
        Ok(arguments.first().cloned().unwrap_or(Value::Null))
    }),
    Function::new("pg_get_userbyid", &[&[Oid]], name, |ctx, arguments| {
        let role = arguments.first().and_then(|oid| ObjectId::from_oid(oid.oid()));
        let found = role.and_then(|id| ctx.catalog.role(id)).map(|role| role.name.clone());
        let unknown = || format!("unknown (OID={})", arguments.first().map_or(0, Value::oid));
        Ok(found.unwrap_or_else(unknown).into())
    }),
    Function::new("pg_table_is_visible", &[&[Oid]], boolean, |ctx, arguments| {
        Ok(arguments.first().and_then(|oid| names::is_on_path(ctx, oid.oid())).into())
    }),
    Function::new("pg_type_is_visible", &[&[Oid]], boolean, |ctx, arguments| {
        Ok(arguments.first().map_or(Value::Null, |oid| types::is_found(ctx, oid.oid())))
    }),
    Function::new("pg_function_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_operator_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_opclass_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_opfamily_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_collation_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_conversion_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_statistics_obj_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_ts_config_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_ts_dict_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_ts_parser_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_ts_template_is_visible", &[&[Oid]], boolean, system_only),
    Function::new("pg_get_viewdef", &[&[Object], &[Object, Bool]], text, |ctx, arguments| {
        let Some((_, relation)) = arguments.first().and_then(|object| relation_of(ctx, object)) else {
            return Ok(Value::Null);
        };
        let view = relation.query().map(|view| format!("{};", view.query.trim().trim_end_matches(';')));
        Ok(view.unwrap_or_else(|| "Not a view".to_owned()).into())
    }),
    Function::new("pg_get_ruledef", &[&[Oid], &[Oid, Bool]], text, nothing),
    Function::new("pg_get_constraintdef", &[&[Oid], &[Oid, Bool]], text, |ctx, arguments| {
        Ok(arguments
            .first()
            .and_then(|oid| keys::constraint_definition(ctx, oid.oid(), pretty(arguments.get(1))))
            .into())
    }),
    Function::new("pg_get_indexdef", &[&[Oid], &[Oid, Int, Bool]], text, |ctx, arguments| {
        let column = arguments.get(1).map_or(0, Value::int);
        let pretty = pretty(arguments.get(2));
        Ok(arguments.first().and_then(|oid| keys::index_definition(ctx, oid.oid(), column, pretty)).into())
    }),
    Function::new("pg_get_triggerdef", &[&[Oid], &[Oid, Bool]], text, nothing),
    Function::new("pg_get_functiondef", &[&[Oid]], text, nothing),
    Function::new("pg_get_function_sqlbody", &[&[Oid]], text, nothing),
    Function::new("pg_get_function_result", &[&[Oid]], text, nothing),
    Function::new("pg_get_function_arguments", &[&[Oid]], text, nothing),
    Function::new("pg_get_function_identity_arguments", &[&[Oid]], text, nothing),
    Function::new("pg_get_function_arg_default", &[&[Oid, Int]], text, nothing),
    Function::new("pg_get_partkeydef", &[&[Oid]], text, nothing),
    Function::new("pg_get_partition_constraintdef", &[&[Oid]], text, nothing),
    Function::new("pg_get_statisticsobjdef", &[&[Oid]], text, nothing),
    Function::new("pg_get_statisticsobjdef_columns", &[&[Oid]], text, nothing),
    Function::new("pg_get_serial_sequence", &[&[Text, Text]], text, serial_sequence),
    Function::new("obj_description", &[&[Oid], &[Oid, Text]], text, |ctx, arguments| {
        let catalog = arguments.get(1).map_or("", Value::text);
        let Some(id) = arguments.first().and_then(|oid| ObjectId::from_oid(oid.oid())) else { return Ok(Value::Null) };
        let schema = || ctx.catalog.schema(id).and_then(|schema| objects::schema_comment(id, schema));
        Ok(match catalog {
            "pg_class" => comment(ctx, id, 0),
            "pg_namespace" => schema(),
            "pg_constraint" => {
                let found = keys::find(ctx, arguments.first().map_or(0, Value::oid));
                found.and_then(|(_, _, constraint)| constraint.comment.as_deref())
            }
            "pg_type" => types::comment(ctx, id),
            "pg_policy" => objects::policy_comment(ctx, id),
            "" => comment(ctx, id, 0).or_else(schema),
            _ => None,
        }
        .into())
    }),
    Function::new("col_description", &[&[Oid, Int]], text, |ctx, arguments| {
        let [relation, column] = arguments else { return Ok(Value::Null) };
        let id = ObjectId::from_oid(relation.oid());
        let column = i32::try_from(column.int()).unwrap_or(0);
        Ok(id.filter(|_| column != 0).and_then(|id| comment(ctx, id, column)).into())
    }),
    Function::new("shobj_description", &[&[Oid, Text]], text, |ctx, arguments| {
        let [oid, catalog] = arguments else { return Ok(Value::Null) };
        Ok(objects::shared_comment(ctx, oid.oid(), catalog.text()).into())
    }),
    Function::new(
        "to_regclass",
        &[&[Text]],
        || PgType::Regclass,
        |ctx, arguments| known(ctx, &PgType::Regclass, arguments),
    ),
    Function::new(
        "to_regtype",
        &[&[Text]],
        || PgType::Regtype,
        |ctx, arguments| known(ctx, &PgType::Regtype, arguments),
    ),
    Function::new(
        "to_regproc",
        &[&[Text]],
        || PgType::Regproc,
        |ctx, arguments| known(ctx, &PgType::Regproc, arguments),
    ),
    Function::new(
        "to_regnamespace",
        &[&[Text]],
        || PgType::Regnamespace,
        |ctx, arguments| known(ctx, &PgType::Regnamespace, arguments),
    ),
    Function::new(
        "to_regrole",
        &[&[Text]],
        || PgType::Regrole,
        |ctx, arguments| known(ctx, &PgType::Regrole, arguments),
    ),
    Function::new("pg_describe_object", &[&[Oid, Oid, Int]], text, |ctx, arguments| {
        let [catalog, object, _] = arguments else { return Ok(Value::Null) };
        if catalog.oid() != objects::PG_CLASS_OID {
            return Ok(Value::Null);
        }
        let found = relation_of(ctx, object);
        Ok(found.map(|(_, found)| format!("{} {}", found.kind_name(), quote(&found.name))).into())
    }),
    Function::new("pg_relation_is_publishable", &[&[Oid]], boolean, |_, _| Ok(false.into())),
    Function::new("row_security_active", &[&[Object]], boolean, |ctx, arguments| {
        let found = arguments.first().and_then(|object| relation_of(ctx, object));
        Ok(found
            .map(|(_, relation)| {
                relation.row_security && !ctx.superuser && (relation.force_row_security || !ctx.owns(relation.owner))
            })
            .into())
    }),
    Function::new("pg_get_replica_identity_index", &[&[Oid]], || PgType::Regclass, nothing),
    Function::new(
        "pg_relation_filenode",
        &[&[Oid]],
        || PgType::Oid,
        |_, arguments| Ok(arguments.first().cloned().unwrap_or(Value::Null)),
    ),
];

fn format_type(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let [oid, modifier] = arguments else { return Ok(Value::Null) };
    if oid.is_null() {
        return Ok(Value::Null);
    }
    if oid.int() == 0 {
        return Ok("-".into());
    }
    // Of no known length it is SQL's type; of any, PostgreSQL's own.
    let standard = match oid.oid() {
        1042 if modifier.is_null() => Some("character"),
        1014 if modifier.is_null() => Some("character[]"),
        _ => None,
    };
    let modifier = if modifier.is_null() { -1 } else { i32::try_from(modifier.int()).unwrap_or(-1) };
    let named = || ctx.type_name(oid.oid(), modifier).map_or_else(|| "???".into(), Into::into);
    Ok(standard.map_or_else(named, Into::into))
}

/// A relation by name or OID, if the role may know of it. A system relation is none.
pub(super) fn relation_of<'a>(ctx: &'a Context, object: &Value) -> Option<(ObjectId, &'a Relation)> {
    let id = match object {
        Value::Text(text) => ctx.relation(&QualifiedName::parse(text).ok()?)?.0,
        other => ObjectId::from_oid(other.oid())?,
    };
    let relation = ctx.catalog.relation(id)?;
    objects::is_visible(ctx, relation).then_some((id, relation))
}

fn comment(ctx: &Context, id: ObjectId, column: i32) -> Option<&str> {
    let relation = ctx.catalog.relation(id).filter(|relation| objects::is_visible(ctx, relation))?;
    objects::relation_comment(relation, column)
}

/// The object of a name; NULL if there is none.
pub(super) fn known(ctx: &Context, pg: &PgType, arguments: &[Value]) -> Result<Value, Plain> {
    let text = arguments.first().map_or("", Value::text);
    Ok(Objects::new(ctx).oid(pg, text).ok().into())
}

/// The sequence behind a column, as text that `nextval` takes.
fn serial_sequence(ctx: &Context, arguments: &[Value]) -> Result<Value, Plain> {
    let [table, column] = arguments else { return Ok(Value::Null) };
    let table = QualifiedName::parse(table.text())?;
    if relation(table.schema.as_deref(), &table.name).is_some() {
        return Ok(Value::Null);
    }
    let (_, found) = ctx.require_relation(&table)?;
    if !objects::is_visible(ctx, found) {
        return Err(undefined_table(&table));
    }
    let column = found.column(column.text()).ok_or_else(|| {
        Plain::new(
            crate::error::SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" of relation \"{}\" does not exist", column.text(), found.name),
        )
    })?;
    let sequence = column.identity.as_ref().and_then(|identity| ctx.catalog.relation(identity.sequence));
    let qualified = sequence.and_then(|sequence| {
        let schema = ctx.catalog.schema(sequence.schema)?;
        Some(format!("{}.{}", quote(&schema.name), quote(&sequence.name)))
    });
    Ok(qualified.into())
}
