//! Object stores and their credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use url::Url;

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
    /// By bucket, with the credential they were built from.
    buckets: Arc<Mutex<HashMap<String, Option<Credential>>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error("there is no storage credential for \"{location}\"")]
    NoCredential { location: String },
    #[error("storage option \"{name}\" is not supported")]
    Option { name: String },
    #[error("could not configure the object store for \"{location}\"")]
    Configure { location: String, source: object_store::Error },
}

impl Report for StoreError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Location(error) => error.sqlstate(),
            Self::NoCredential { .. } => SqlState::UNDEFINED_OBJECT,
            Self::Option { .. } => SqlState::INVALID_PARAMETER_VALUE,
            Self::Configure { .. } => SqlState::INVALID_PARAMETER_VALUE,
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
        let shown = || location.to_string();
        self.runtime.object_store_registry.get_store(url).map_err(|error| StoreError::Configure {
            location: shown(),
            source: object_store::Error::Generic { store: "registry", source: error.into() },
        })
    }

    fn register_bucket(&self, catalog: &CatalogState, url: &Url) -> Result<(), StoreError> {
        let bucket = url.host_str().unwrap_or_default().to_owned();
        // The longest scope; among equals the catalog's.
        let credential = self
            .credentials
            .iter()
            .chain(catalog.credentials())
            .filter(|credential| url.as_str().starts_with(&credential.scope))
            .max_by_key(|credential| credential.scope.len())
            .cloned();
        let Some(credential) = credential else { return Err(StoreError::NoCredential { location: url.to_string() }) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.get(&bucket) == Some(&Some(credential.clone())) {
            return Ok(());
        }
        let mut builder = AmazonS3Builder::new().with_bucket_name(&bucket).with_region("us-east-1");
        for (name, value) in &credential.options {
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
        let store = builder.build().map_err(|source| StoreError::Configure { location: url.to_string(), source })?;
        let root = Url::parse(&format!("s3://{bucket}"))
            .map_err(|_invalid| StoreError::NoCredential { location: url.to_string() })?;
        self.runtime.register_object_store(&root, Arc::new(store));
        buckets.insert(bucket, Some(credential));
        Ok(())
    }

    /// Refuses options that a storage credential does not have.
    pub fn check_credential_option(name: &str) -> Result<(), StoreError> {
        if CREDENTIAL_OPTIONS.contains(&name) { Ok(()) } else { Err(StoreError::Option { name: name.to_owned() }) }
    }
}
