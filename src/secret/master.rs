//! Master keys: what data keys are wrapped with, and where they are.

use std::collections::HashMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{DataKey, KEY_BYTES, KeyBytes, Keyring, MasterFault, SecretError};

/// What a wrapped data key is for: another ciphertext of the same master key is no data key.
const ABOUT: &str = "boathouse data key";
const FILE: &str = "file:";
const AWS_KMS: &str = "aws-kms:";
/// How long AWS KMS may take, attempts that fail included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a master key is: `file:` and a path, or `aws-kms:` and a key's id, ARN, alias (`alias/…`) or alias's ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MasterUrl {
    /// A file with 32 bytes in Base64.
    File(PathBuf),
    /// A symmetric key of AWS KMS. Region, endpoint and credentials are those of the environment, as of all AWS software.
    AwsKms(String),
}

impl FromStr for MasterUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.strip_prefix(FILE), text.strip_prefix(AWS_KMS)) {
            (Some(path), _) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            (_, Some(key)) if !key.is_empty() => Ok(Self::AwsKms(key.to_owned())),
            // It is not said what was found: it may be the key itself.
            _ => Err(format!("a master key is named as {FILE}<path> or {AWS_KMS}<key>")),
        }
    }
}

impl TryFrom<String> for MasterUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MasterUrl> for String {
    fn from(url: MasterUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{FILE}{}", path.display()),
            Self::AwsKms(key) => write!(f, "{AWS_KMS}{key}"),
        }
    }
}

impl MasterUrl {
    fn failed(&self, fault: impl fmt::Display) -> SecretError {
        SecretError::Master(MasterFault { key: self.to_string(), fault: fault.to_string() })
    }
}

/// A data key as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// In the catalog, from 1.
    pub number: i64,
    /// Which master key wrapped it: a file's fingerprint, or an ARN.
    pub master: String,
    /// Base64 of what the master key made of it.
    pub wrapped: String,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({} by {})", self.number, self.master)
    }
}

/// The master keys that are configured: the one that wraps new data keys, and those that may have wrapped older ones.
#[derive(Debug)]
pub struct MasterKeys {
    key: MasterUrl,
    former: Vec<MasterUrl>,
    /// Whether the file is made for a data key, where it is missing.
    makes_file: bool,
    kms: OnceCell<aws_sdk_kms::Client>,
}

impl MasterKeys {
    /// `former`: keys that wrapped data keys before `key` came. Nothing is read or asked yet.
    pub fn new(key: MasterUrl, former: Vec<MasterUrl>) -> Self {
        Self { key, former, makes_file: false, kms: OnceCell::new() }
    }

    /// The key is in a file, which is made together with a data key, unless it is there.
    pub fn in_file(path: PathBuf, former: Vec<MasterUrl>) -> Self {
        Self { makes_file: true, ..Self::new(MasterUrl::File(path), former) }
    }

    /// A new data key of a number, and a keyring with nothing else.
    pub async fn generate(&self, number: i64) -> Result<(Wrapped, Keyring), SecretError> {
        let bytes: KeyBytes = Zeroizing::new(rand::random());
        let (master, wrapped) = match &self.key {
            MasterUrl::File(path) => {
                if self.makes_file {
                    make_file(path).map_err(|error| self.key.failed(error))?;
                }
                let (key, fingerprint) = self.key.read(path)?;
                (fingerprint, key.seal(bytes.as_slice(), ABOUT)?)
            }
            MasterUrl::AwsKms(id) => self.wrap_by_kms(id, &bytes).await?,
        };
        let keyring = Keyring([(number, DataKey::new(bytes.as_slice())?)].into());
        Ok((Wrapped { number, master, wrapped: STANDARD.encode(wrapped) }, keyring))
    }

    /// A keyring and stored data keys that it lacks. It keeps what is stored no more: somebody may be reading what was sealed
    /// with it.
    pub async fn unwrap(&self, stored: &[Wrapped], known: &Keyring) -> Result<Keyring, SecretError> {
        let mut keyring = known.clone();
        for wrapped in stored {
            if let Entry::Vacant(place) = keyring.0.entry(wrapped.number) {
                place.insert(self.unwrap_one(wrapped).await?);
            }
        }
        Ok(keyring)
    }

    async fn unwrap_one(&self, wrapped: &Wrapped) -> Result<DataKey, SecretError> {
        let bytes = STANDARD.decode(&wrapped.wrapped);
        let bytes = bytes.map_err(|_invalid| SecretError::Damaged("a data key has another form"))?;
        let mut fault = None;
        // Only keys that the operator names: else whoever writes to the database chose the key of secrets to come.
        for url in std::iter::once(&self.key).chain(&self.former) {
            let key = match url {
                MasterUrl::File(path) => match url.read(path) {
                    Ok((key, fingerprint)) if fingerprint == wrapped.master => key.open(&bytes, ABOUT),
                    Ok(_) => continue,
                    Err(error) => Err(error),
                },
                MasterUrl::AwsKms(id) if wrapped.master.starts_with("arn:") => self.unwrap_by_kms(id, &bytes).await,
                MasterUrl::AwsKms(_) => continue,
            };
            match key {
                Ok(key) => return DataKey::new(&key),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        Err(fault.unwrap_or_else(|| {
            let fault = format!("it wrapped data key {}", wrapped.number);
            SecretError::OtherMaster(MasterFault { key: wrapped.master.clone(), fault })
        }))
    }

    async fn kms(&self) -> &aws_sdk_kms::Client {
        let connect = async || {
            use aws_smithy_http_client::{Builder, tls};
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
            let http = Builder::new().tls_provider(provider).build_https();
            let timeouts = aws_config::timeout::TimeoutConfig::builder().operation_timeout(PATIENCE).build();
            let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
            aws_sdk_kms::Client::new(&config.http_client(http).timeout_config(timeouts).load().await)
        };
        self.kms.get_or_init(connect).await
    }

    /// The key's ARN and what it made of the bytes.
    async fn wrap_by_kms(&self, id: &str, bytes: &KeyBytes) -> Result<(String, Vec<u8>), SecretError> {
        let request = self.kms().await.encrypt().key_id(id).plaintext(Blob::new(bytes.as_slice()));
        let reply = request.set_encryption_context(Some(context())).send().await;
        let reply = reply.map_err(|error| self.key.failed(aws_sdk_kms::error::DisplayErrorContext(error)))?;
        match (reply.key_id, reply.ciphertext_blob) {
            (Some(arn), Some(blob)) => Ok((arn, blob.into_inner())),
            _ => Err(self.key.failed("AWS KMS gave no ciphertext")),
        }
    }

    async fn unwrap_by_kms(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let url = MasterUrl::AwsKms(id.to_owned());
        let request = self.kms().await.decrypt().key_id(id).ciphertext_blob(Blob::new(wrapped));
        let reply = request.set_encryption_context(Some(context())).send().await;
        let reply = reply.map_err(|error| url.failed(aws_sdk_kms::error::DisplayErrorContext(error)))?;
        let plaintext = reply.plaintext.ok_or_else(|| url.failed("AWS KMS gave no plaintext"))?;
        Ok(Zeroizing::new(plaintext.into_inner()))
    }
}

/// AWS KMS decrypts for the same context only, and shows it in its own trail.
fn context() -> HashMap<String, String> {
    HashMap::from([("purpose".to_owned(), ABOUT.to_owned())])
}

impl MasterUrl {
    /// The key in a file, and what it is called where the file is not: `sha256:` and 12 characters of Base64.
    fn read(&self, path: &Path) -> Result<(DataKey, String), SecretError> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| self.failed(error))?;
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new);
        let bytes = bytes
            .ok()
            .filter(|bytes| bytes.len() == KEY_BYTES)
            .ok_or_else(|| self.failed("there must be 32 bytes in Base64, as of openssl rand -base64 32"))?;
        let digest = Sha256::digest([ABOUT.as_bytes(), bytes.as_slice()].concat());
        let fingerprint = STANDARD.encode(digest.get(..9).unwrap_or_default());
        Ok((DataKey::new(&bytes)?, format!("sha256:{fingerprint}")))
    }
}

/// The file of a new key, which only its owner may read, unless there is one.
fn make_file(path: &Path) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if path.exists() {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let key: KeyBytes = Zeroizing::new(rand::random());
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key.as_slice())));
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::super::{Keyring, SecretError};
    use super::{MasterKeys, MasterUrl, make_file};

    #[tokio::test]
    async fn a_data_key_is_unwrapped_by_the_key_that_wrapped_it() {
        let directory = tempfile::tempdir().unwrap();
        let url = |name: &str| {
            let path = directory.path().join(name);
            make_file(&path).unwrap();
            MasterUrl::File(path)
        };
        let (a, b) = (url("a"), url("b"));
        let (stored, one) = MasterKeys::new(a.clone(), vec![]).generate(1).await.unwrap();
        let sealed = one.seal("x", "here").unwrap();
        let again = MasterKeys::new(b.clone(), vec![a])
            .unwrap(std::slice::from_ref(&stored), &Keyring::default())
            .await
            .unwrap();
        assert_eq!(again.open(&sealed, "here").unwrap().as_str(), "x");
        let error = MasterKeys::new(b, vec![]).unwrap(&[stored], &Keyring::default()).await.unwrap_err();
        assert!(matches!(error, SecretError::OtherMaster(_)));
    }

    #[test]
    fn urls_are_read_back() {
        for url in ["file:/etc/boathouse/master.key", "aws-kms:alias/boathouse"] {
            assert_eq!(url.parse::<MasterUrl>().unwrap().to_string(), url);
        }
        assert!("/etc/master.key".parse::<MasterUrl>().is_err());
    }
}
