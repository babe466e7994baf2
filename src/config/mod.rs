//! What the operator said: defaults < file (TOML) < environment (`BOATHOUSE_<SECTION>__<KEY>`) < flags. A key that is not
//! known is an error; all faults are reported at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::{Class, Mode};
use crate::lake::Location;
use crate::login::{LoginFileError, LoginFiles};
use crate::secret::MasterUrl;

const PREFIX: &str = "BOATHOUSE_";
/// Not part of the configuration: the first password of the bootstrap role.
const PASSWORD: &str = "BOATHOUSE_PASSWORD";

/// All there is to configure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server keeps its own data.
    pub storage: Storage,
    /// How clients connect.
    pub wire: Wire,
    /// What queries may use of the machine.
    pub limit: Limit,
    /// Which files outside the warehouse may be read, and with which keys.
    pub lake: LakeConfig,
    /// What is recorded of what users do.
    pub audit: AuditConfig,
    /// What the secrets in the metadata are encrypted with.
    pub secrets: SecretsConfig,
}

/// Section `storage`: where metadata and warehouse are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Holds `warehouse/` and `metadata.sqlite`, unless they are elsewhere. Belongs to this server.
    pub data_dir: PathBuf,
    /// Where the files of the warehouse are, such as `s3://bucket/warehouse/`, with keys from `lake.credentials`, or a
    /// directory that all servers see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse_url: Option<String>,
    /// A PostgreSQL database for the metadata, such as `postgres://boathouse@db.example/lake`. Servers that share it, and the
    /// files of the warehouse, are one to their users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
    /// A file with the password for it, so that the configuration can be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_password_file: Option<PathBuf>,
    /// A PEM file with the authorities that may have signed that database's certificate; with it, connections are encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_ca_file: Option<PathBuf>,
}

/// Section `wire`: address, number and encryption of client connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wire {
    /// Address to accept PostgreSQL clients on.
    pub listen: SocketAddr,
    /// Connections open at once; more are refused with 53300.
    pub connections_max: u32,
    /// PEM file with the server's certificate. With it, a key is needed too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Whether unencrypted connections over TCP are refused.
    pub tls_required: bool,
    /// PEM file with the authorities that sign clients' certificates. With it, clients may show one; which must, is for the
    /// rules to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_ca: Option<PathBuf>,
    /// PEM file with lists of clients' certificates that count no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_crl: Option<PathBuf>,
    /// Directory of a socket for clients on this machine, `.s.PGSQL.<port>`, as of psql's `-h <directory>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_directory: Option<PathBuf>,
    /// Rules of who may connect from where and by which means, in the format of PostgreSQL's `pg_hba.conf`. Without it: with a
    /// password from everywhere, and as the operating system's user of the same name by the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hba_file: Option<PathBuf>,
    /// Maps from users of the operating system, certificates and issuers to roles, in the format of PostgreSQL's
    /// `pg_ident.conf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ident_file: Option<PathBuf>,
}

impl Wire {
    /// The rules and maps.
    pub fn login(&self) -> Result<LoginFiles, LoginFileError> {
        LoginFiles::open(self.hba_file.as_deref(), self.ident_file.as_deref())
    }
}

/// Section `limit`: memory and processors for queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Memory for queries, in MiB; what needs more spills to disk or fails with 53200. An eighth of it keeps what is read by
    /// key again and again.
    pub memory_mib: u64,
    /// Partitions a query is split into. 0: one for each processor.
    pub parallelism: u32,
}

/// Section `lake`: files outside the warehouse that may be read, and keys for their stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// Prefixes under which files may be read, such as `file:///srv/lake/` and `s3://landing/`. Empty: none.
    pub allow: Vec<String>,
    /// Credentials for object stores, beside those that `CREATE STORAGE CREDENTIAL` makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<StoreCredential>,
}

/// Keys for what lies below one URL prefix. The secret is in a file, so that the configuration can be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCredential {
    /// Such as `s3://landing/`.
    pub scope: String,
    /// Names the key at its store; no secret.
    pub access_key_id: String,
    /// A file with the secret access key in it.
    pub secret_access_key_file: PathBuf,
    /// `us-east-1` if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Of a store that is not Amazon's, such as `https://minio.example:9000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the endpoint may be without TLS.
    #[serde(default)]
    pub allow_http: bool,
}

/// Section `audit`: what is recorded of what users do, in files of JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// `off`, `async` or `strict`: whether statements wait for their records.
    pub mode: Mode,
    /// What is recorded: `session`, `role`, `ddl`, `write`, `read`, `protected` (reads through policies), `misc`. What is
    /// refused for want of rights is recorded always.
    pub classes: Vec<Class>,
    /// Where; `audit/` in the data directory if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A file that is longer, in MiB, is followed by another.
    pub file_mib: u64,
}

/// Section `secrets`: master keys for password verifiers and storage credentials in the metadata, `file:<path>` of 32 bytes in
/// Base64, or `aws-kms:<key>` with an id, ARN or alias; region and credentials for AWS are those of the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    /// The key. Without it `master.key` in the data directory, which is made with new metadata; servers that share their
    /// metadata share their key, so there it must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<MasterUrl>,
    /// Keys that were here before, until `ALTER SYSTEM ROTATE KEYS`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<MasterUrl>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        let classes = vec![Class::Session, Class::Role, Class::Ddl, Class::Write, Class::Protected];
        Self { mode: Mode::default(), classes, directory: None, file_mib: 64 }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./boathouse-data"),
            warehouse_url: None,
            metadata_url: None,
            metadata_password_file: None,
            metadata_ca_file: None,
        }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5432)),
            connections_max: 500,
            tls_certificate: None,
            tls_key: None,
            tls_required: false,
            tls_client_ca: None,
            tls_client_crl: None,
            socket_directory: None,
            hba_file: None,
            ident_file: None,
        }
    }
}

impl Limit {
    fn bytes(&self) -> u64 {
        self.memory_mib.saturating_mul(1 << 20)
    }

    /// Of the memory, what keeps parts of data files that are read by key.
    pub fn hot_bytes(&self) -> u64 {
        self.bytes() / 8
    }

    /// Of the memory, what running queries may take.
    pub fn query_bytes(&self) -> usize {
        usize::try_from(self.bytes() - self.hot_bytes()).unwrap_or(usize::MAX)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self { memory_mib: 4096, parallelism: 0 }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Puts together file and environment.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut table = toml::Table::new();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => match text.parse::<toml::Table>() {
                    Ok(parsed) => table = parsed,
                    Err(error) => faults.push(format!("{}: {error}", path.display())),
                },
                Err(error) => faults.push(format!("{}: {error}", path.display())),
            }
        }
        for (name, value) in environment.filter(|(name, _)| name.starts_with(PREFIX) && name != PASSWORD) {
            let key = name.trim_start_matches(PREFIX).to_ascii_lowercase();
            let Some((section, key)) = key.split_once("__") else {
                faults.push(format!("{name}: an environment variable is named {PREFIX}<SECTION>__<KEY>"));
                continue;
            };
            let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            match section.as_table_mut() {
                Some(section) => {
                    section.insert(key.to_owned(), environment_value(&value));
                }
                None => faults.push(format!("{name}: not a section")),
            }
        }
        match table.try_into::<Self>() {
            Ok(config) if faults.is_empty() => Ok(config),
            Ok(_) => Err(ConfigError(faults)),
            Err(error) => {
                faults.push(error.to_string().trim().to_owned());
                Err(ConfigError(faults))
            }
        }
    }

    /// All that would keep the server from starting.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        if self.wire.tls_certificate.is_some() != self.wire.tls_key.is_some() {
            faults.push("wire.tls_certificate and wire.tls_key: both or neither must be set".to_owned());
        }
        if self.wire.tls_required && self.wire.tls_certificate.is_none() {
            faults.push("wire.tls_required: there is no wire.tls_certificate".to_owned());
        }
        if self.wire.tls_client_ca.is_some() && self.wire.tls_certificate.is_none() {
            faults.push("wire.tls_client_ca: there is no wire.tls_certificate".to_owned());
        }
        if self.wire.tls_client_crl.is_some() && self.wire.tls_client_ca.is_none() {
            faults.push("wire.tls_client_crl: there is no wire.tls_client_ca".to_owned());
        }
        if let Err(error) = self.wire.login() {
            faults.push(error.to_string());
        }
        if self.wire.connections_max == 0 {
            faults.push("wire.connections_max: must be at least 1".to_owned());
        }
        if self.limit.memory_mib < 64 {
            faults.push("limit.memory_mib: must be at least 64".to_owned());
        }
        for credential in &self.lake.credentials {
            if !credential.scope.starts_with("s3://") || !credential.scope.ends_with('/') {
                faults.push(format!("lake.credentials: \"{}\" is no scope such as s3://bucket/", credential.scope));
            }
            if let Err(error) = std::fs::metadata(&credential.secret_access_key_file) {
                let file = credential.secret_access_key_file.display();
                faults.push(format!("lake.credentials: secret_access_key_file {file}: {error}"));
            }
        }
        if self.storage.metadata_url.is_some() && self.secrets.key.is_none() {
            let hint = "such as \"file:/etc/boathouse/master.key\", made by openssl rand -base64 32";
            faults.push(format!("secrets.key: storage.metadata_url takes a key that its servers share, {hint}"));
        }
        let warehouse = self.storage.warehouse_url.as_deref().map(Location::prefix).transpose();
        if let Err(error) = &warehouse {
            faults.push(format!("storage.warehouse_url: {error}"));
        }
        for prefix in &self.lake.allow {
            match (Location::prefix(prefix), &warehouse) {
                (Err(error), _) => faults.push(format!("lake.allow: {error}")),
                (Ok(prefix), Ok(Some(warehouse)))
                    if prefix.starts_with(warehouse) || warehouse.starts_with(&prefix) =>
                {
                    faults.push(format!("lake.allow: \"{prefix}\" has files of the warehouse"));
                }
                _ => {}
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigError(faults)) }
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Processors to use.
    pub fn parallelism(&self) -> usize {
        match usize::try_from(self.limit.parallelism) {
            Ok(wanted) if wanted > 0 => wanted,
            _ => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        }
    }
}

/// TOML if it is, else a plain string.
fn environment_value(text: &str) -> toml::Value {
    let wrapped: Result<BTreeMap<String, toml::Value>, _> = toml::from_str(&format!("value = {text}"));
    let parsed = wrapped.ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// The bootstrap role's first password, if the environment has one.
pub fn initial_password() -> Option<String> {
    std::env::var(PASSWORD).ok().filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, pairs).map_err(|error| error.to_string())
    }

    #[test]
    fn environment_overrides_and_unknown_keys_are_errors() {
        let config = load(&[
            ("BOATHOUSE_LAKE__ALLOW", r#"["file:///srv/lake/"]"#),
            ("BOATHOUSE_WIRE__LISTEN", "127.0.0.1:7000"),
            ("BOATHOUSE_PASSWORD", "x"),
            ("OTHER", "y"),
        ])
        .unwrap();
        assert_eq!(config.lake.allow, ["file:///srv/lake/"]);
        assert_eq!(config.wire.listen.port(), 7000);
        assert!(load(&[("BOATHOUSE_WIRE__NONSENSE", "1")]).unwrap_err().contains("nonsense"));
        assert!(load(&[("BOATHOUSE_NONSENSE", "1")]).is_err());
        assert!(load(&[("BOATHOUSE_WIRE__TLS_REQUIRED", "true")]).unwrap().check().is_err());
    }
}
