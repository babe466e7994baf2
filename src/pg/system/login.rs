//! What `pg_catalog` says of the rules and maps by which users come in: as their files are now, faults included.

use super::activity::may_read;
use super::rows::{Rows, row};
use crate::context::Context;
use crate::error::{Plain, SqlError, SqlState, failed};
use crate::login::Connection;

pub(super) const RULES: &str = "pg_hba_file_rules";
pub(super) const MAPS: &str = "pg_ident_file_mappings";

/// `pg_hba_file_rules` and `pg_ident_file_mappings`, for superusers. `42501`; `58030` if the file cannot be read.
pub(super) fn list(ctx: &Context, relation: &str, rows: &mut Rows) -> Result<(), SqlError> {
    if !may_read(ctx, relation) {
        let message = format!("permission denied for view {relation}");
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
    }
    if relation == RULES { rules(ctx, rows) } else { maps(ctx, rows) }
}

fn rules(ctx: &Context, rows: &mut Rows) -> Result<(), SqlError> {
    let (file, lines) = ctx.login.listed_rules().map_err(failed("read the rules", SqlState::IO_ERROR))?;
    let mut rows = rows.columns([
        "rule_number",
        "file_name",
        "line_number",
        "type",
        "database",
        "user_name",
        "address",
        "netmask",
        "auth_method",
        "options",
        "error",
    ]);
    let mut number = 0;
    for line in lines {
        let none = || None::<String>;
        match line.entry {
            Ok(rule) => {
                number += 1;
                let (address, mask) = match (rule.connection, rule.network) {
                    (Connection::Local, _) => (None, None),
                    (_, None) => (Some("all".to_owned()), None),
                    (_, Some(network)) => (Some(network.addr().to_string()), Some(network.netmask().to_string())),
                };
                rows.push(row![
                    Some(number),
                    file.as_str(),
                    number_of(line.number),
                    Some(rule.connection.keyword()),
                    Some(rule.databases),
                    Some(rule.users),
                    address,
                    mask,
                    Some(rule.method.keyword()),
                    Some(rule.options).filter(|options| !options.is_empty()),
                    none(),
                ]);
            }
            Err(fault) => {
                let nothing = None::<Vec<String>>;
                rows.push(row![
                    None::<i64>,
                    file.as_str(),
                    number_of(line.number),
                    none(),
                    nothing.clone(),
                    nothing.clone(),
                    none(),
                    none(),
                    none(),
                    nothing,
                    Some(fault),
                ]);
            }
        }
    }
    Ok(())
}

fn maps(ctx: &Context, rows: &mut Rows) -> Result<(), SqlError> {
    let (file, lines) = ctx.login.listed_maps().map_err(failed("read the maps", SqlState::IO_ERROR))?;
    let mut rows =
        rows.columns(["map_number", "file_name", "line_number", "map_name", "sys_name", "pg_username", "error"]);
    let mut number = 0;
    for line in lines {
        let none = || None::<String>;
        match line.entry {
            Ok(mapping) => {
                number += 1;
                let (map, system, role) = (Some(mapping.map), Some(mapping.system), Some(mapping.role));
                rows.push(row![Some(number), file.as_str(), number_of(line.number), map, system, role, none()]);
            }
            Err(fault) => {
                rows.push(row![
                    None::<i64>,
                    file.as_str(),
                    number_of(line.number),
                    none(),
                    none(),
                    none(),
                    Some(fault)
                ]);
            }
        }
    }
    Ok(())
}

fn number_of(line: usize) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}
