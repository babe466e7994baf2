//! TLS: certificate and key from PEM files. What cannot be loaded stops the server's start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why certificate and key cannot be used; the server does not start then.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file cannot be read, or has no certificate that can be used.
    #[error("could not read certificate \"{path}\": {detail}")]
    Certificate {
        /// The PEM file, as configured.
        path: PathBuf,
        /// What is wrong with it, for the operator.
        detail: String,
    },
    /// The key's file cannot be read, or has no private key.
    #[error("could not read private key \"{path}\": {detail}")]
    Key {
        /// The PEM file, as configured.
        path: PathBuf,
        /// What is wrong with it, for the operator.
        detail: String,
    },
    /// The TLS library does not take the two together; its reason.
    #[error("certificate and key do not fit: {0}")]
    Mismatch(String),
}

/// The server's end of TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// SCRAM with channel binding to the certificate.
    pub(super) scram: ScramServerAuth,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let bad_certificate = |detail: String| TlsError::Certificate { path: certificate.to_owned(), detail };
        let pem = std::fs::read(certificate).map_err(|error| bad_certificate(error.to_string()))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_certificate(format!("{error:?}")))?;
        if chain.is_empty() {
            return Err(bad_certificate("it has no certificate".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::Key { path: key.to_owned(), detail: format!("{error:?}") })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| TlsError::Mismatch(error.to_string()))?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let mut scram = ScramServerAuth::new();
        scram.configure_certificate(&pem).map_err(|error| bad_certificate(error.to_string()))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), scram })
    }
}
