//! TLS: certificate and key from PEM files, and what clients show of themselves. What cannot be loaded stops the server's
//! start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::objects::{oid_registry, oid2abbrev};

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

/// Where the PEM files are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those up to its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Authorities whose signature makes a client's certificate count; `None`: no client is asked for one.
    pub client_authorities: Option<PathBuf>,
    /// Lists of client certificates that count no more; each authority must be in one then.
    pub revoked: Option<PathBuf>,
}

/// The server's end of TLS, which reads its files again when it is asked to.
#[derive(Debug)]
pub(super) struct TlsHolder {
    files: TlsFiles,
    current: RwLock<Arc<Tls>>,
}

impl TlsHolder {
    pub(super) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(Tls::load(&files)?));
        Ok(Self { files, current })
    }

    pub(super) fn current(&self) -> Arc<Tls> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the files say now.
    pub(super) fn read(&self) -> Result<Tls, TlsError> {
        Tls::load(&self.files)
    }

    /// For connections to come.
    pub(super) fn put(&self, new: Tls) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

/// The server's end of TLS, by the files of one moment.
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
    fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let bad = |path: &Path, detail: String| TlsError::Certificate { path: path.to_owned(), detail };
        let bad_certificate = |detail: String| bad(&files.certificate, detail);
        let pem = std::fs::read(&files.certificate).map_err(|error| bad_certificate(error.to_string()))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_certificate(format!("{error:?}")))?;
        if chain.is_empty() {
            return Err(bad_certificate("it has no certificate".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| TlsError::Key { path: files.key.clone(), detail: format!("{error:?}") })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match &files.client_authorities {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => {
                let bad = |detail: String| bad(path, detail);
                let mut roots = RootCertStore::empty();
                for authority in CertificateDer::pem_file_iter(path).map_err(|error| bad(format!("{error:?}")))? {
                    let authority = authority.map_err(|error| bad(format!("{error:?}")))?;
                    roots.add(authority).map_err(|error| bad(error.to_string()))?;
                }
                // Whether a client needs a certificate is for the rules to say.
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
                let builder = match &files.revoked {
                    Some(path) => builder.with_crls(revocation_lists(path)?).enforce_revocation_expiration(),
                    None => builder,
                };
                builder.allow_unauthenticated().build().map_err(|error| bad(error.to_string()))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, private))
            .map_err(|error| TlsError::Mismatch(error.to_string()))?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        // A session that goes on would not be asked for its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let mut scram = ScramServerAuth::new();
        scram.configure_certificate(&pem).map_err(|error| bad_certificate(error.to_string()))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), scram })
    }
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bad = |detail: String| TlsError::Certificate { path: path.to_owned(), detail };
    let lists = CertificateRevocationListDer::pem_file_iter(path).map_err(|error| bad(format!("{error:?}")))?;
    let lists: Vec<_> = lists.collect::<Result<_, _>>().map_err(|error| bad(format!("{error:?}")))?;
    // Without a list nothing would be looked up.
    if lists.is_empty() { Err(bad("it has no list of revoked certificates".to_owned())) } else { Ok(lists) }
}

/// Whose certificate a client has shown, which an authority that we know has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientCertificate {
    /// `None`: it has none, or one that could be read in two ways.
    pub(super) common_name: Option<String>,
    /// The whole subject, the most special part first (RFC 2253).
    pub(super) distinguished_name: String,
}

impl ClientCertificate {
    /// `None` if the client has shown none.
    pub(super) fn of<Io>(stream: &TlsStream<Io>) -> Option<Self> {
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(shown).ok()?;
        let subject = certificate.subject();
        let mut names = subject.iter_common_name().map(|name| name.as_str().ok().map(ToOwned::to_owned));
        let common_name = match (names.next(), names.next()) {
            (Some(name), None) => name.filter(|name| !name.contains('\0')),
            _ => None,
        };
        let mut parts = Vec::new();
        for part in subject.iter_rdn() {
            let pairs = part.iter().map(|pair| {
                let name = oid2abbrev(pair.attr_type(), oid_registry())
                    .map_or_else(|_| pair.attr_type().to_id_string(), ToOwned::to_owned);
                Some(format!("{name}={}", escaped(pair.as_str().ok()?)))
            });
            parts.push(pairs.collect::<Option<Vec<_>>>()?.join("+"));
        }
        parts.reverse();
        Some(Self { common_name, distinguished_name: parts.join(",") })
    }
}

/// A value as RFC 2253 writes it.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let at_end = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if at_end || ",+\"\\<>;".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}
