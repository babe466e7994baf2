//! The server put together: what it is made of, the order of start and stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::audit::{Audit, Entry};
use crate::catalog::{BOOTSTRAP_ROLE, Credential};
use crate::config::{Config, StoreCredential, Wire};
use crate::govern::PasswordVerifier;
use crate::lake::{Lake, Location, bucket};
use crate::metastore::{MetadataDatabase, Metastore};
use crate::notification;
use crate::plan::Engine;
use crate::secret::MasterKeys;
use crate::session::Shared;
use crate::upkeep;
use crate::warehouse::Warehouse;
use crate::wire::{Doors, Listener, TlsFiles};

/// How long to wait until the metadata database is listened to again.
const HEAR_AGAIN: Duration = Duration::from_secs(1);
/// How long connections may take to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);
const SCRAM_ITERATIONS: u32 = 4096;

/// A server that is ready to accept connections.
#[derive(Debug)]
pub struct App {
    listener: Listener,
    shutdown: CancellationToken,
    shared: Arc<Shared>,
    /// The bootstrap role's password, if it was made up.
    pub generated_password: Option<String>,
}

impl App {
    /// Opens stores and door. Nothing is served before [`App::run`].
    pub async fn start(config: &Config, password: Option<String>) -> anyhow::Result<Self> {
        config.check()?;
        let directory = config.storage.data_dir.as_path();
        let mut generated_password = None;
        let database_password = database_password(config)?;
        let database = database(config, database_password.as_deref());
        let credentials = config.lake.credentials.iter().map(credential).collect::<Result<Vec<_>, _>>()?;
        let warehouse = open_warehouse(config, &credentials)?;
        let metastore = Metastore::open(directory, database, warehouse.data_path(), master_keys(config), || {
            let password = password.unwrap_or_else(|| generated_password.insert(generate_password()).clone());
            PasswordVerifier::scram(&password, SCRAM_ITERATIONS)
        })
        .await?;
        sweep(&metastore, &warehouse).await?;

        let parallelism = config.parallelism();
        let engine = Engine::new(parallelism, config.limit.query_bytes())?;
        let allow = config.lake.allow.iter().map(|prefix| Location::prefix(prefix)).collect::<Result<Vec<_>, _>>()?;
        let lake = Lake::new(allow, credentials, Arc::clone(engine.runtime()));
        let metastore = Arc::new(metastore);
        let shared = Arc::new(Shared {
            metastore,
            engine: Arc::new(engine),
            warehouse,
            lake,
            workers: parallelism,
            turns: Arc::new(Semaphore::new(parallelism.max(1))),
            locks: Arc::default(),
            advisory: Arc::default(),
            activity: Arc::default(),
            audit: open_audit(config)?,
            login: Arc::new(config.wire.login()?),
        });

        let shutdown = CancellationToken::new();
        let listener = Listener::bind(doors(&config.wire), Arc::clone(&shared), shutdown.clone()).await?;
        Ok(Self { listener, shutdown, shared, generated_password })
    }

    /// Where it listens, with the port that the system chose if the configuration says 0.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.address()
    }

    /// What sessions work with.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Cancelling it stops the server.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Serves until shutdown, then lets connections finish what they are doing.
    pub async fn run(self) {
        let upkeep = tokio::spawn(upkeep::run(Arc::clone(&self.shared), self.shutdown.clone()));
        let hears = tokio::spawn(hear(Arc::clone(&self.shared), self.shutdown.clone()));
        self.listener.run(DRAIN).await;
        hears.abort();
        if let Err(error) = upkeep.await {
            tracing::error!(%error, "upkeep ended badly");
        }
        if self.shared.audit.is_on()
            && let Err(error) = self.shared.audit.record_durably(Entry::of_server("stop", String::new())).await
        {
            tracing::error!(%error, "the audit trail does not tell of the end");
        }
    }
}

/// Tells clients what clients of other servers said, until shutdown.
async fn hear(shared: Arc<Shared>, shutdown: CancellationToken) {
    let own = shared.activity.id();
    let heard = |letter: &str| match notification::read(letter) {
        Ok((from, _)) if from == own => {}
        Ok((_, told)) => shared.activity.tell(&[Arc::new(told)]),
        Err(error) => tracing::warn!(%error, "a notification of another server cannot be read"),
    };
    while shared.metastore.is_shared() {
        tokio::select! {
            () = shutdown.cancelled() => return,
            broke = shared.metastore.hear(&heard) => {
                tracing::warn!(cause = ?broke, "notifications of other servers are not heard");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(HEAR_AGAIN) => {}
        }
    }
}

/// Gives up all secrets of the metadata; see [`Metastore::forget_secrets`]. Returns the bootstrap role's new password if it had
/// to be made up.
pub async fn forget_secrets(config: &Config, password: Option<String>) -> anyhow::Result<Option<String>> {
    let database_password = database_password(config)?;
    let database = database(config, database_password.as_deref());
    let generated = password.is_none().then(generate_password);
    let password = password.or_else(|| generated.clone()).unwrap_or_default();
    let verifier = PasswordVerifier::scram(&password, SCRAM_ITERATIONS);
    Metastore::forget_secrets(&config.storage.data_dir, database, master_keys(config), verifier).await?;
    Ok(generated)
}

fn database_password(config: &Config) -> anyhow::Result<Option<String>> {
    let file = config.storage.metadata_password_file.as_ref();
    file.map(|file| std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))).transpose()
}

/// The metadata's database, if it is not in the data directory.
fn database<'a>(config: &'a Config, password: Option<&'a str>) -> Option<MetadataDatabase<'a>> {
    config.storage.metadata_url.as_deref().map(|url| MetadataDatabase {
        url,
        password: password.map(str::trim),
        authorities: config.storage.metadata_ca_file.as_deref(),
    })
}

fn doors(wire: &Wire) -> Doors<'_> {
    let tls = wire.tls_certificate.clone().zip(wire.tls_key.clone()).map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        client_authorities: wire.tls_client_ca.clone(),
        revoked: wire.tls_client_crl.clone(),
    });
    Doors {
        address: wire.listen,
        directory: wire.socket_directory.as_deref(),
        connections_max: usize::try_from(wire.connections_max).unwrap_or(usize::MAX),
        tls,
        tls_required: wire.tls_required,
    }
}

/// Those of the configuration, or the one in the data directory.
fn master_keys(config: &Config) -> MasterKeys {
    let former = config.secrets.former_keys.clone();
    match &config.secrets.key {
        Some(key) => MasterKeys::new(key.clone(), former),
        None => MasterKeys::in_file(config.storage.data_dir.join("master.key"), former),
    }
}

/// A configured credential with its secret.
fn credential(configured: &StoreCredential) -> anyhow::Result<Credential> {
    let file = &configured.secret_access_key_file;
    let secret = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut options = BTreeMap::from([
        ("access_key_id", configured.access_key_id.clone()),
        ("secret_access_key", secret.trim().to_owned()),
        ("allow_http", configured.allow_http.to_string()),
    ]);
    options.extend(configured.region.iter().map(|region| ("region", region.clone())));
    options.extend(configured.endpoint.iter().map(|endpoint| ("endpoint", endpoint.clone())));
    let options = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Credential::new("configured".to_owned(), BOOTSTRAP_ROLE, configured.scope.clone(), options))
}

/// Where the configuration says, else in the data directory.
fn open_audit(config: &Config) -> anyhow::Result<Arc<Audit>> {
    let own = config.storage.data_dir.join("audit");
    let directory = config.audit.directory.as_deref().unwrap_or(&own);
    let bytes = config.audit.file_mib.saturating_mul(1 << 20);
    Audit::open(directory, config.audit.mode, &config.audit.classes, bytes)
        .with_context(|| format!("open the audit trail in {}", directory.display()))
}

/// Where the configuration says, else in the data directory.
fn open_warehouse(config: &Config, credentials: &[Credential]) -> anyhow::Result<Warehouse> {
    let hot = config.limit.hot_bytes();
    let Some(url) = &config.storage.warehouse_url else {
        return Ok(Warehouse::local(&config.storage.data_dir.join("warehouse"), hot)?);
    };
    let url = Url::parse(&Location::prefix(url)?)?;
    match url.to_file_path() {
        Ok(directory) if url.scheme() == "file" => Ok(Warehouse::local(&directory, hot)?),
        _ => Ok(Warehouse::remote(bucket(&url, credentials)?, &url, hot)?),
    }
}

/// No transaction of this server is open yet: files that no snapshot names are left-overs.
async fn sweep(metastore: &Metastore, warehouse: &Warehouse) -> anyhow::Result<()> {
    let referenced = metastore.referenced_files().await?;
    let orphans = warehouse.sweep(&referenced, !metastore.is_shared()).await?;
    if orphans > 0 {
        tracing::info!(orphans, "deleted data files of unfinished transactions");
    }
    Ok(())
}

fn generate_password() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let random = rand::random::<[u8; 20]>();
    random
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

/// The request for encryption that PostgreSQL's clients may begin with: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Whether a server at an address answers what clients ask first.
pub async fn is_healthy(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_u8().await
    };
    matches!(tokio::time::timeout(Duration::from_secs(3), ask).await, Ok(Ok(b'S' | b'N')))
}
