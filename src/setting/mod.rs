//! What a user may SET. One definition per setting: SET, SHOW, start-up parameters, `pg_settings` and the protocol's
//! ParameterStatus read this table.

mod value;
mod zone;

use std::collections::BTreeMap;
use std::time::Duration;

pub use value::SettingError;
pub use zone::Zone;

/// A setting's definition.
#[derive(Debug)]
pub struct Setting {
    /// In PostgreSQL's spelling; users may write it in any case.
    pub name: &'static str,
    /// `pg_settings.short_desc`.
    pub doc: &'static str,
    /// The value of a session that has not set it, as SHOW prints it.
    pub default: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Who may change it.
    pub scope: Scope,
    /// Whether clients are told of every change.
    pub report: bool,
}

/// What values a setting takes.
#[derive(Debug)]
pub enum Kind {
    /// Any spelling of a boolean; shown as `on` or `off`.
    Bool,
    /// A whole number without a unit.
    Int {
        /// The lowest value it takes.
        min: i64,
        /// The highest value it takes.
        max: i64,
    },
    /// Milliseconds when no unit is given.
    Milliseconds {
        /// The longest duration it takes, in milliseconds.
        max: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// A list of schema names.
    Names,
    /// A name of the IANA time zone database, or an offset east of Greenwich such as `+02`.
    TimeZone,
    /// `ISO` with the order `MDY`; PostgreSQL's other styles and orders are `0A000`.
    DateStyle,
    /// UTF8 in any of its spellings; other encodings are `0A000`.
    Encoding,
}

/// Who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any user, for the session or a transaction.
    User,
    /// A superuser, for the server: with ALTER SYSTEM.
    System,
    /// Shown only.
    Internal,
}

macro_rules! setting {
    ($name:literal, $default:literal, $kind:expr, $doc:literal $(, $scope:ident)? $(; $report:ident)?) => {
        Setting {
            name: $name,
            doc: $doc,
            default: $default,
            kind: $kind,
            scope: setting!(@scope $($scope)?),
            report: setting!(@report $($report)?),
        }
    };
    (@scope) => { Scope::User };
    (@scope $scope:ident) => { Scope::$scope };
    (@report) => { false };
    (@report report) => { true };
}

/// PostgreSQL's version whose behaviour and catalogs we follow.
pub const SERVER_VERSION: &str = "17.6";
/// [`SERVER_VERSION`] as one number: major version times 10000, plus minor version.
pub const SERVER_VERSION_NUM: &str = "170006";
const DAY_MS: u64 = 86_400_000;
const LEVELS: &[&str] = &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
const ISOLATION: &[&str] = &["read committed", "repeatable read", "read uncommitted", "serializable"];

/// All settings, sorted by name in lower case.
pub static SETTINGS: &[Setting] = &[
    setting!("application_name", "", Kind::Text, "Sets the application name to be reported in statistics and logs."; report),
    setting!(
        "array_nulls",
        "on",
        Kind::Word(&["on"]),
        "Enables input of NULL elements in arrays. Accepted for compatibility."
    ),
    setting!("autovacuum", "on", Kind::Bool, "Starts VACUUM in the background for tables that need it.", System),
    setting!("bytea_output", "hex", Kind::Word(&["hex"]), "Sets the output format for bytea."),
    setting!(
        "check_function_bodies",
        "on",
        Kind::Bool,
        "Checks routine bodies when they are made. Accepted for compatibility."
    ),
    setting!("client_encoding", "UTF8", Kind::Encoding, "Sets the client's character set encoding."; report),
    setting!(
        "client_min_messages",
        "notice",
        Kind::Word(LEVELS),
        "Sets the message levels that are sent to the client."
    ),
    setting!(
        "constraint_exclusion",
        "partition",
        Kind::Word(&["partition", "on", "off"]),
        "Enables the planner to use constraints to optimize queries. Accepted for compatibility."
    ),
    setting!("cpu_tuple_cost", "0.01", Kind::Text, "Sets an estimate of the planner. Accepted for compatibility."),
    setting!(
        "createrole_self_grant",
        "",
        Kind::Word(&["", "set", "inherit", "set, inherit", "set,inherit", "inherit, set", "inherit,set"]),
        "Sets whether a CREATEROLE user automatically grants the role to themselves, and with which options."
    ),
    setting!(
        "cursor_tuple_fraction",
        "0.1",
        Kind::Text,
        "Sets an estimate of the planner. Accepted for compatibility."
    ),
    setting!("DateStyle", "ISO, MDY", Kind::DateStyle, "Sets the display format for date and time values."; report),
    setting!(
        "default_statistics_target",
        "100",
        Kind::Int { min: 0, max: 10_000 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!("default_table_access_method", "heap", Kind::Text, "Sets the default table access method for new tables."),
    setting!(
        "default_tablespace",
        "",
        Kind::Word(&["", "pg_default"]),
        "Sets the default tablespace to create tables in. Accepted for compatibility."
    ),
    setting!(
        "default_text_search_config",
        "pg_catalog.simple",
        Kind::Text,
        "Sets default text search configuration. Accepted for compatibility."
    ),
    setting!(
        "default_transaction_deferrable",
        "off",
        Kind::Bool,
        "Sets the default deferrable status of new transactions. Accepted for compatibility."
    ),
    setting!(
        "default_transaction_isolation",
        "read committed",
        Kind::Word(ISOLATION),
        "Sets the transaction isolation level of each new transaction."
    ),
    setting!("default_transaction_read_only", "off", Kind::Bool, "Sets the default read-only status of new transactions."; report),
    setting!("effective_cache_size", "4GB", Kind::Text, "Sets an amount of memory. Accepted for compatibility."),
    setting!(
        "effective_io_concurrency",
        "16",
        Kind::Int { min: 0, max: 1_000 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!(
        "enable_bitmapscan",
        "on",
        Kind::Bool,
        "Enables the planner's use of bitmapscan plans. Accepted for compatibility."
    ),
    setting!(
        "enable_hashagg",
        "on",
        Kind::Bool,
        "Enables the planner's use of hashagg plans. Accepted for compatibility."
    ),
    setting!(
        "enable_hashjoin",
        "on",
        Kind::Bool,
        "Enables the planner's use of hashjoin plans. Accepted for compatibility."
    ),
    setting!(
        "enable_indexonlyscan",
        "on",
        Kind::Bool,
        "Enables the planner's use of indexonlyscan plans. Accepted for compatibility."
    ),
    setting!("enable_indexscan", "on", Kind::Bool, "Enables the planner's use of index-scan plans."),
    setting!(
        "enable_material",
        "on",
        Kind::Bool,
        "Enables the planner's use of material plans. Accepted for compatibility."
    ),
    setting!(
        "enable_memoize",
        "on",
        Kind::Bool,
        "Enables the planner's use of memoize plans. Accepted for compatibility."
    ),
    setting!(
        "enable_mergejoin",
        "on",
        Kind::Bool,
        "Enables the planner's use of mergejoin plans. Accepted for compatibility."
    ),
    setting!(
        "enable_nestloop",
        "on",
        Kind::Bool,
        "Enables the planner's use of nestloop plans. Accepted for compatibility."
    ),
    setting!(
        "enable_partition_pruning",
        "on",
        Kind::Bool,
        "Enables plan-time and execution-time partition pruning, also by the least and greatest values of files."
    ),
    setting!(
        "enable_seqscan",
        "on",
        Kind::Bool,
        "Enables the planner's use of seqscan plans. Accepted for compatibility."
    ),
    setting!("enable_sort", "on", Kind::Bool, "Enables the planner's use of sort plans. Accepted for compatibility."),
    setting!(
        "enable_tidscan",
        "on",
        Kind::Bool,
        "Enables the planner's use of tidscan plans. Accepted for compatibility."
    ),
    setting!(
        "escape_string_warning",
        "on",
        Kind::Bool,
        "Warns about backslash escapes in ordinary string literals. Accepted for compatibility."
    ),
    setting!(
        "extra_float_digits",
        "1",
        Kind::Int { min: -15, max: 3 },
        "Sets the number of digits displayed for floating-point values."
    ),
    setting!(
        "file_deletion_delay",
        "1d",
        Kind::Milliseconds { max: 36_500 * DAY_MS },
        "Sets how long files that no snapshot needs are kept.",
        System
    ),
    setting!(
        "from_collapse_limit",
        "8",
        Kind::Int { min: 0, max: 2_147_483_647 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!("geqo", "on", Kind::Bool, "Enables genetic query optimization. Accepted for compatibility."),
    setting!(
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds { max: DAY_MS },
        "Sets the maximum allowed idle time between queries, when in a transaction."
    ),
    setting!(
        "idle_session_timeout",
        "0",
        Kind::Word(&["0"]),
        "Sets the maximum allowed idle time between queries, when not in a transaction: none can be set. Accepted for compatibility."
    ),
    setting!("in_hot_standby", "off", Kind::Bool, "Shows whether hot standby is currently active.", Internal; report),
    setting!("integer_datetimes", "on", Kind::Bool, "Shows whether datetimes are integer based.", Internal; report),
    setting!("IntervalStyle", "postgres", Kind::Word(&["postgres", "iso_8601"]), "Sets the display format for interval values."; report),
    setting!("is_superuser", "off", Kind::Bool, "Shows whether the current user is a superuser.", Internal; report),
    setting!("jit", "off", Kind::Bool, "Allow JIT compilation. Accepted for compatibility."),
    setting!(
        "join_collapse_limit",
        "8",
        Kind::Int { min: 0, max: 2_147_483_647 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!("lc_collate", "C", Kind::Text, "Shows the collation order locale.", Internal),
    setting!("lc_messages", "C", Kind::Text, "Sets a locale; C is in force. Accepted for compatibility."),
    setting!("lc_monetary", "C", Kind::Text, "Sets a locale; C is in force. Accepted for compatibility."),
    setting!("lc_numeric", "C", Kind::Text, "Sets a locale; C is in force. Accepted for compatibility."),
    setting!("lc_time", "C", Kind::Text, "Sets a locale; C is in force. Accepted for compatibility."),
    setting!(
        "lock_timeout",
        "0",
        Kind::Milliseconds { max: DAY_MS },
        "Sets the maximum allowed duration of any wait for a lock."
    ),
    setting!("maintenance_work_mem", "64MB", Kind::Text, "Sets an amount of memory. Accepted for compatibility."),
    setting!(
        "max_identifier_length",
        "63",
        Kind::Int { min: 63, max: 63 },
        "Shows the maximum identifier length.",
        Internal
    ),
    setting!(
        "max_index_keys",
        "32",
        Kind::Int { min: 32, max: 32 },
        "Shows the maximum number of index keys.",
        Internal
    ),
    setting!(
        "max_parallel_maintenance_workers",
        "2",
        Kind::Int { min: 0, max: 1_024 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!(
        "max_parallel_workers_per_gather",
        "2",
        Kind::Int { min: 0, max: 1_024 },
        "Sets a limit of the planner or of what it runs. Accepted for compatibility."
    ),
    setting!(
        "max_prepared_transactions",
        "0",
        Kind::Int { min: 0, max: 0 },
        "Shows how many transactions may be prepared for two-phase commit: none.",
        Internal
    ),
    setting!(
        "password_encryption",
        "scram-sha-256",
        Kind::Word(&["scram-sha-256", "argon2id"]),
        "Chooses the algorithm for encrypting passwords."
    ),
    setting!(
        "plan_cache_mode",
        "auto",
        Kind::Word(&["auto", "force_generic_plan", "force_custom_plan"]),
        "Controls the planner's selection of custom or generic plan. Accepted for compatibility."
    ),
    setting!(
        "quote_all_identifiers",
        "off",
        Kind::Word(&["off"]),
        "Quotes all identifiers in SQL fragments. Accepted for compatibility."
    ),
    setting!("random_page_cost", "4", Kind::Text, "Sets an estimate of the planner. Accepted for compatibility."),
    setting!(
        "row_security",
        "on",
        Kind::Bool,
        "Enables row security. When off, a query that a policy would filter fails instead."
    ),
    setting!("scram_iterations", "4096", Kind::Int { min: 4096, max: 1_000_000 }, "Sets the iteration count for SCRAM secret generation."; report),
    setting!("search_path", "\"$user\", public", Kind::Names, "Sets the schema search order for names that are not schema-qualified."; report),
    setting!("seq_page_cost", "1", Kind::Text, "Sets an estimate of the planner. Accepted for compatibility."),
    setting!("server_encoding", "UTF8", Kind::Encoding, "Shows the server (database) character set encoding.", Internal; report),
    setting!("server_version", "17.6", Kind::Text, "Shows the server version.", Internal; report),
    setting!(
        "server_version_num",
        "170006",
        Kind::Int { min: 0, max: 999_999 },
        "Shows the server version as an integer.",
        Internal
    ),
    setting!("session_authorization", "", Kind::Text, "Shows the session user's name.", Internal; report),
    setting!(
        "session_replication_role",
        "origin",
        Kind::Word(&["origin", "replica", "local"]),
        "Sets the session's behavior for triggers and rewrite rules, of which there are none. Accepted for compatibility."
    ),
    setting!(
        "snapshot_retention",
        "7d",
        Kind::Milliseconds { max: 36_500 * DAY_MS },
        "Sets how long earlier snapshots can be read; 0 keeps them.",
        System
    ),
    setting!(
        "snapshot_time",
        "",
        Kind::Text,
        "Reads tables as they were at a time, such as '2026-01-31 12:00+00'; empty: as they are."
    ),
    setting!(
        "snapshot_version",
        "",
        Kind::Text,
        "Reads tables as they were at a snapshot, by its number; empty: as they are."
    ),
    setting!("standard_conforming_strings", "on", Kind::Word(&["on"]), "Causes '...' strings to treat backslashes literally."; report),
    setting!(
        "statement_timeout",
        "0",
        Kind::Milliseconds { max: DAY_MS },
        "Sets the maximum allowed duration of any statement."
    ),
    setting!(
        "synchronize_seqscans",
        "on",
        Kind::Bool,
        "Enables synchronized sequential scans. Accepted for compatibility."
    ),
    setting!(
        "synchronous_commit",
        "on",
        Kind::Word(&["on", "off", "local", "remote_write", "remote_apply"]),
        "Sets the current transaction's synchronization level: commits are durable with every level. Accepted for compatibility."
    ),
    setting!(
        "tcp_keepalives_count",
        "0",
        Kind::Int { min: 0, max: 2_147_483_647 },
        "Sets TCP keepalives. Accepted for compatibility."
    ),
    setting!(
        "tcp_keepalives_idle",
        "0",
        Kind::Int { min: 0, max: 2_147_483_647 },
        "Sets TCP keepalives. Accepted for compatibility."
    ),
    setting!(
        "tcp_keepalives_interval",
        "0",
        Kind::Int { min: 0, max: 2_147_483_647 },
        "Sets TCP keepalives. Accepted for compatibility."
    ),
    setting!("temp_buffers", "8MB", Kind::Text, "Sets an amount of memory. Accepted for compatibility."),
    setting!("TimeZone", "UTC", Kind::TimeZone, "Sets the time zone for displaying and interpreting time stamps."; report),
    setting!(
        "transaction_deferrable",
        "off",
        Kind::Word(&["off"]),
        "Shows whether the current transaction waits until it needs no guard: none has one.",
        Internal
    ),
    setting!(
        "transaction_isolation",
        "read committed",
        Kind::Word(ISOLATION),
        "Shows the current transaction's isolation level.",
        Internal
    ),
    setting!("transaction_read_only", "off", Kind::Bool, "Shows the current transaction's read-only status.", Internal),
    setting!(
        "transaction_timeout",
        "0",
        Kind::Word(&["0"]),
        "Sets the maximum allowed duration of any transaction: none can be set. Accepted for compatibility."
    ),
    setting!("work_mem", "4MB", Kind::Text, "Sets an amount of memory. Accepted for compatibility."),
    setting!(
        "xmloption",
        "content",
        Kind::Word(&["content", "document"]),
        "Sets whether XML data is to be considered as documents or content fragments. Accepted for compatibility."
    ),
];

/// The definition of a setting, whatever the case of its name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// A setting of the server by its name, and a value for it in canonical form. `42704`, `22023`, `55P02`, or `0A000` if
/// it is a setting of sessions.
pub fn system(name: &str, value: Option<&str>) -> Result<(&'static Setting, Option<String>), SettingError> {
    let setting = find(name).ok_or_else(|| SettingError::Unknown { name: name.to_owned() })?;
    match setting.scope {
        Scope::System => Ok((setting, value.map(|value| value::canonical(setting, value)).transpose()?)),
        Scope::User => Err(SettingError::NotSystem { name: setting.name }),
        Scope::Internal => Err(SettingError::Fixed { name: setting.name }),
    }
}

/// Which setting says that tables are read as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotSetting {
    /// `snapshot_version`, which wins.
    Version,
    /// `snapshot_time`.
    Time,
}

/// A session's values. Those that are not set have their default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// By definition name, in canonical form.
    values: BTreeMap<&'static str, String>,
    /// Users' own settings, which have a dot in their name.
    custom: BTreeMap<String, String>,
}

impl Settings {
    /// Sets a value; `None` goes back to the default. `42704`, `22023`, `55P02` or `0A000` if that cannot be.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), SettingError> {
        let Some(setting) = find(name) else {
            return self.set_custom(name, value);
        };
        match setting.scope {
            Scope::User => self.put(setting, value),
            Scope::System => Err(SettingError::NotNow { name: setting.name }),
            Scope::Internal => Err(SettingError::Fixed { name: setting.name }),
        }
    }

    /// With the server's values, by definition name, of the settings that are the server's.
    #[must_use]
    pub fn with_system(&self, system: &BTreeMap<String, String>) -> Self {
        let mut all = self.clone();
        for setting in SETTINGS.iter().filter(|setting| setting.scope == Scope::System) {
            match system.get(setting.name) {
                Some(value) => all.values.insert(setting.name, value.clone()),
                None => all.values.remove(setting.name),
            };
        }
        all
    }

    /// Sets a value that users may only look at.
    pub fn set_internal(&mut self, name: &str, value: &str) {
        if let Some(setting) = find(name) {
            self.values.insert(setting.name, value.to_owned());
        }
    }

    fn put(&mut self, setting: &'static Setting, value: Option<&str>) -> Result<(), SettingError> {
        match value {
            Some(value) => {
                let canonical = value::canonical(setting, value)?;
                self.values.insert(setting.name, canonical);
            }
            None => {
                self.values.remove(setting.name);
            }
        }
        Ok(())
    }

    fn set_custom(&mut self, name: &str, value: Option<&str>) -> Result<(), SettingError> {
        if !name.contains('.') {
            return Err(SettingError::Unknown { name: name.to_owned() });
        }
        match value {
            Some(value) => self.custom.insert(name.to_owned(), value.to_owned()),
            None => self.custom.remove(name),
        };
        Ok(())
    }

    /// The value as SHOW prints it, with the setting's own spelling of its name.
    pub fn show(&self, name: &str) -> Option<(String, String)> {
        match find(name) {
            Some(setting) => Some((setting.name.to_owned(), self.value(setting))),
            None => self.custom.get(name).map(|value| (name.to_owned(), value.clone())),
        }
    }

    /// The value as SHOW prints it: as set, or the default. What is one transaction's own is, outside of one, what the next one
    /// begins with.
    pub fn value(&self, setting: &Setting) -> String {
        let next = match setting.name {
            "transaction_isolation" => "default_transaction_isolation",
            "transaction_read_only" => "default_transaction_read_only",
            own => own,
        };
        let set = self.values.get(setting.name).or_else(|| self.values.get(next));
        set.cloned().unwrap_or_else(|| setting.default.to_owned())
    }

    fn text(&self, name: &str) -> String {
        find(name).map(|setting| self.value(setting)).unwrap_or_default()
    }

    /// Whether a boolean setting is on; false if there is none by that name.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "on"
    }

    /// The longest time a statement may run, if there is a limit.
    pub fn statement_timeout(&self) -> Option<Duration> {
        value::milliseconds(&self.text("statement_timeout")).filter(|timeout| !timeout.is_zero())
    }

    /// The longest time to wait for other transactions, if there is a limit.
    pub fn lock_timeout(&self) -> Option<Duration> {
        value::milliseconds(&self.text("lock_timeout")).filter(|timeout| !timeout.is_zero())
    }

    /// The longest time a session may be idle in a transaction, if there is a limit.
    pub fn idle_in_transaction_timeout(&self) -> Option<Duration> {
        value::milliseconds(&self.text("idle_in_transaction_session_timeout")).filter(|timeout| !timeout.is_zero())
    }

    /// How long earlier snapshots can be read; `None`: for ever.
    pub fn snapshot_retention(&self) -> Option<Duration> {
        value::milliseconds(&self.text("snapshot_retention")).filter(|kept| !kept.is_zero())
    }

    /// How long files are kept that no snapshot needs.
    pub fn file_deletion_delay(&self) -> Duration {
        value::milliseconds(&self.text("file_deletion_delay")).unwrap_or_default()
    }

    /// The moment as of which tables are read: text of a snapshot's number, or of a time; `None`: now.
    pub fn snapshot(&self) -> Option<(SnapshotSetting, String)> {
        let set = |name: &str| Some(self.text(name)).filter(|text| !text.is_empty());
        let version = set("snapshot_version").map(|text| (SnapshotSetting::Version, text));
        version.or_else(|| set("snapshot_time").map(|text| (SnapshotSetting::Time, text)))
    }

    /// The zone in which timestamps are read and printed.
    pub fn time_zone(&self) -> Zone {
        Zone::parse(&self.text("TimeZone")).unwrap_or(Zone::UTC)
    }

    /// How exactly floats print: above 0 the shortest exact form, else that many digits more than 15 (float4: 6).
    pub fn extra_float_digits(&self) -> i32 {
        self.text("extra_float_digits").parse().unwrap_or(1)
    }

    /// Whether who makes a role may SET ROLE to it, and whether he inherits its rights.
    pub fn createrole_self_grant(&self) -> (bool, bool) {
        let text = self.text("createrole_self_grant");
        (text.contains("set"), text.contains("inherit"))
    }

    /// What the client calls itself.
    pub fn application_name(&self) -> String {
        self.text("application_name")
    }

    /// Rounds of hashing in new SCRAM verifiers.
    pub fn scram_iterations(&self) -> u32 {
        self.text("scram_iterations").parse().unwrap_or(4096)
    }

    /// How intervals print: `postgres` or `iso_8601`.
    pub fn interval_style(&self) -> String {
        self.text("IntervalStyle")
    }

    /// The algorithm of new password verifiers: `scram-sha-256` or `argon2id`.
    pub fn password_encryption(&self) -> String {
        self.text("password_encryption")
    }

    /// The lowest level of messages that the client wants, such as `notice`.
    pub fn min_messages(&self) -> String {
        self.text("client_min_messages")
    }

    /// Schema names of the search path as set, `$user` included.
    pub fn search_path(&self) -> Vec<String> {
        value::names(&self.text("search_path"))
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, Settings, value};

    #[test]
    fn sorted_and_with_valid_defaults() {
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.name.to_ascii_lowercase()));
        for setting in SETTINGS {
            assert_eq!(value::canonical(setting, setting.default).unwrap(), setting.default, "{}", setting.name);
        }
    }

    #[test]
    fn takes_values_as_postgresql_does() {
        for (name, given, shown) in [
            ("statement_timeout", "10s", Ok("10s")),
            ("statement_timeout", "1500", Ok("1500ms")),
            ("statement_timeout", "60000", Ok("1min")),
            ("statement_timeout", "soon", Err("22023")),
            ("statement_timeout", "-1", Err("22023")),
            ("jit", "TRUE", Ok("on")),
            ("timezone", "europe/rome", Ok("Europe/Rome")),
            ("timezone", "Nowhere/Land", Err("22023")),
            ("datestyle", "iso", Ok("ISO, MDY")),
            ("datestyle", "German", Err("0A000")),
            ("server_version", "1", Err("55P02")),
            ("nonsense", "1", Err("42704")),
            ("my.own", "1", Ok("1")),
            ("search_path", "a, \"B c\"", Ok("a, \"B c\"")),
        ] {
            let mut settings = Settings::default();
            let got = settings.set(name, Some(given)).map(|()| settings.show(name).unwrap().1);
            let got = got.map_err(|error| crate::error::Report::sqlstate(&error).as_str());
            assert_eq!(got, shown.map(str::to_owned), "{name} = {given}");
        }
    }
}
