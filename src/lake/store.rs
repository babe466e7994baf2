//! Object stores and their credentials.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use url::Url;

use super::readable::Readable;
use super::{Location, LocationError};
use crate::catalog::{CatalogState, Credential};
use crate::error::{Report, SqlState};

/// The lake: what may be read, and how to get there.
#[derive(Clone, Debug)]
pub struct Lake {
    allow: Arc<[String]>,
    /// Those that the operator configured.
    credentials: Arc<[Credential]>,
    runtime: Arc<RuntimeEnv>,
    /// By bucket, with the credential they were built from; local files under an empty name.
    buckets: Arc<Mutex<HashMap<String, Option<Credential>>>>,
}

/// Why an object store or a storage credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The location itself is refused, with the SQLSTATE of that error.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// `42704`: the location lies in no credential's scope.
    #[error("there is no storage credential for \"{location}\"")]
    NoCredential {
        /// The canonical URL that was to be read.
        location: String,
    },
    /// `22023`: storage credentials have no such option.
    #[error("storage option \"{name}\" is not supported")]
    Option {
        /// As the credential has it.
        name: String,
    },
    /// `22023`: a store could not be built from the credential's options, or the engine has none for the location.
    #[error("could not configure the object store for \"{location}\"")]
    Configure {
        /// The canonical URL that was to be read.
        location: String,
        /// The store's or the engine's reason.
        source: object_store::Error,
    },
}

impl Report for StoreError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Location(error) => error.sqlstate(),
            Self::NoCredential { .. } => SqlState::UNDEFINED_OBJECT,
            Self::Option { .. } | Self::Configure { .. } => SqlState::INVALID_PARAMETER_VALUE,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Location(error) => error.detail(),
            Self::NoCredential { .. } | Self::Option { .. } | Self::Configure { .. } => None,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Location(error) => error.hint(),
            Self::NoCredential { .. } => Some(
                "CREATE STORAGE CREDENTIAL name WITH (scope 's3://bucket/', access_key_id '…', secret_access_key '…')"
                    .to_owned(),
            ),
            Self::Option { .. } => Some(format!("Options are: scope, {}.", CREDENTIAL_OPTIONS.join(", "))),
            Self::Configure { .. } => None,
        }
    }
}

/// Options of a storage credential beside its scope.
const CREDENTIAL_OPTIONS: &[&str] =
    &["access_key_id", "secret_access_key", "session_token", "region", "endpoint", "allow_http"];

/// The credential with the longest scope that a location lies in; the last of equals.
fn of_scope<'a>(credentials: impl Iterator<Item = &'a Credential>, url: &Url) -> Result<&'a Credential, StoreError> {
    credentials
        .filter(|credential| url.as_str().starts_with(&credential.scope))
        .max_by_key(|credential| credential.scope.len())
        .ok_or_else(|| StoreError::NoCredential { location: url.to_string() })
}

fn open_bucket(url: &Url, credential: &Credential) -> Result<AmazonS3, StoreError> {
    let bucket = url.host_str().unwrap_or_default();
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region("us-east-1");
    let options = credential.options.iter().map(|(name, value)| (name, value.as_str()));
    let secrets = credential.secrets.iter().map(|(name, value)| (name, value.expose()));
    for (name, value) in options.chain(secrets) {
        builder = match name.as_str() {
            "access_key_id" => builder.with_access_key_id(value),
            "secret_access_key" => builder.with_secret_access_key(value),
            "session_token" => builder.with_token(value),
            "region" => builder.with_region(value),
            "endpoint" => builder.with_endpoint(value),
            "allow_http" => builder.with_allow_http(value == "true"),
            _ => return Err(StoreError::Option { name: name.clone() }),
        };
    }
    builder.build().map_err(|source| StoreError::Configure { location: url.to_string(), source })
}

/// The bucket of an `s3:` URL, opened with the one of some credentials that is for it; for whoever owns what is there.
pub fn bucket(url: &Url, credentials: &[Credential]) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Ok(Arc::new(open_bucket(url, of_scope(credentials.iter(), url)?)?))
}

impl Lake {
    /// `allow`: canonical prefixes that end with a slash.
    pub fn new(allow: Vec<String>, credentials: Vec<Credential>, runtime: Arc<RuntimeEnv>) -> Self {
        Self { allow: allow.into(), credentials: credentials.into(), runtime, buckets: Arc::default() }
    }

    /// Checks a location against the allowed prefixes. `42501` if it is outside.
    pub fn locate(&self, text: &str) -> Result<Location, LocationError> {
        Location::check(text, &self.allow)
    }

    /// The store of a location, known to the engine from now on.
    pub fn store(&self, catalog: &CatalogState, location: &Location) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let url = location.url();
        if url.scheme() == "s3" {
            self.register_bucket(catalog, url)?;
        }
        if url.scheme() == "file" {
            self.register_files(url)?;
        }
        let shown = || location.to_string();
        self.runtime.object_store_registry.get_store(url).map_err(|error| StoreError::Configure {
            location: shown(),
            source: object_store::Error::Generic { store: "registry", source: error.into() },
        })
    }

    /// Once.
    fn register_files(&self, url: &Url) -> Result<(), StoreError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(files) = buckets.entry(String::new()) {
            let root = url.join("/").map_err(|_invalid| StoreError::NoCredential { location: url.to_string() })?;
            let store = Readable(Arc::new(LocalFileSystem::new()));
            self.runtime.register_object_store(&root, Arc::new(store));
            files.insert(None);
        }
        Ok(())
    }

    fn register_bucket(&self, catalog: &CatalogState, url: &Url) -> Result<(), StoreError> {
        let bucket = url.host_str().unwrap_or_default().to_owned();
        // Among equals the catalog's.
        let credential = of_scope(self.credentials.iter().chain(catalog.credentials()), url)?.clone();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.get(&bucket) == Some(&Some(credential.clone())) {
            return Ok(());
        }
        let store = open_bucket(url, &credential)?;
        let root = Url::parse(&format!("s3://{bucket}"))
            .map_err(|_invalid| StoreError::NoCredential { location: url.to_string() })?;
        self.runtime.register_object_store(&root, Arc::new(Readable(Arc::new(store))));
        buckets.insert(bucket, Some(credential));
        Ok(())
    }

    /// Refuses options that a storage credential does not have.
    pub fn check_credential_option(name: &str) -> Result<(), StoreError> {
        if CREDENTIAL_OPTIONS.contains(&name) { Ok(()) } else { Err(StoreError::Option { name: name.to_owned() }) }
    }
}
