//! What `pg_catalog` says of the rules and maps by which users come in: as their files are now, faults included.

use std::sync::Arc;

use super::activity::may_read;
use super::rows::{Rows, row};
use crate::context::Context;
use crate::error::{Plain, SqlError, SqlState, failed, internal};
use crate::login::{Connection, Listed, Mapping, Rule};

pub(super) const RULES: &str = "pg_hba_file_rules";
pub(super) const MAPS: &str = "pg_ident_file_mappings";

/// `pg_hba_file_rules` and `pg_ident_file_mappings`, for superusers. `42501`; `58030` if the file cannot be read.
pub(super) async fn list(ctx: &Context, relation: &str, rows: &mut Rows) -> Result<(), SqlError> {
    if !may_read(ctx, relation) {
        let message = format!("permission denied for view {relation}");
        return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
    }
    let login = Arc::clone(&ctx.login);
    if relation == RULES {
        let listed = tokio::task::spawn_blocking(move || login.listed_rules()).await.map_err(internal)?;
        let (file, lines) = listed.map_err(failed("read the rules", SqlState::IO_ERROR))?;
        rules(&file, lines, rows);
    } else {
        let listed = tokio::task::spawn_blocking(move || login.listed_maps()).await.map_err(internal)?;
        let (file, lines) = listed.map_err(failed("read the maps", SqlState::IO_ERROR))?;
        maps(&file, lines, rows);
    }
    Ok(())
}

fn rules(file: &str, lines: Vec<Listed<Rule>>, rows: &mut Rows) {
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
                    file,
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
                    file,
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
}

fn maps(file: &str, lines: Vec<Listed<Mapping>>, rows: &mut Rows) {
    let mut rows =
        rows.columns(["map_number", "file_name", "line_number", "map_name", "sys_name", "pg_username", "error"]);
    let mut number = 0;
    for line in lines {
        let none = || None::<String>;
        match line.entry {
            Ok(mapping) => {
                number += 1;
                let (map, system, role) = (Some(mapping.map), Some(mapping.system), Some(mapping.role));
                rows.push(row![Some(number), file, number_of(line.number), map, system, role, none()]);
            }
            Err(fault) => {
                rows.push(row![None::<i64>, file, number_of(line.number), none(), none(), none(), Some(fault)]);
            }
        }
    }
}

fn number_of(line: usize) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}
