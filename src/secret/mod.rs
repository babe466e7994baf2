//! Secrets at rest: how texts that nobody is shown look where they are stored.
//!
//! Envelope encryption in two steps. A *data key* of this catalog seals secrets with AES-256-GCM; it is stored beside them,
//! wrapped by a *master key* that is elsewhere ([`MasterKeys`]: a file, or a key of AWS KMS that never leaves it). So what has
//! the database but not the master key has no secret, and a server asks for the master key at start and for new data keys only.
//! One takes the place of the old one with `ALTER SYSTEM ROTATE KEYS`; with the old one goes all that it sealed.

mod master;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::STANDARD};
pub use master::{MasterKeys, MasterUrl, Wrapped};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{Report, SqlState};

/// What sealed texts begin with; the number of the data key, a `$` and Base64 follow.
const PREFIX: &str = "$sealed$";
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// Why a secret or a key cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    /// `58030`: the master key cannot be read, or the service that has it refuses or does not answer.
    #[error("a master key is not available")]
    Master(#[source] MasterFault),
    /// `55000`: the data key is wrapped by a master key that the configuration does not name.
    #[error("the secrets of this database are under a master key that is not configured")]
    OtherMaster(#[source] MasterFault),
    /// `XX000`: what is stored is damaged, or was put in another place.
    #[error("a secret cannot be opened: {0}")]
    Damaged(&'static str),
    /// `XX000`: no data key has its number. While somebody rotates keys, another reading finds both.
    #[error("a secret cannot be opened: data key {0} is gone")]
    KeyGone(i64),
}

/// What is wrong with which master key: for whoever runs the server, not for its clients.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{key}: {fault}")]
pub struct MasterFault {
    /// As the configuration names it, or as it was called when it wrapped a data key.
    pub key: String,
    /// What is wrong with it.
    pub fault: String,
}

impl Report for SecretError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Master(_) => SqlState::IO_ERROR,
            Self::OtherMaster(_) => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::Damaged(_) | Self::KeyGone(_) => SqlState::INTERNAL_ERROR,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::OtherMaster(_) => {
                Some("Name it in secrets.key, or in secrets.former_keys beside a new one.".to_owned())
            }
            Self::Master(_) | Self::Damaged(_) | Self::KeyGone(_) => None,
        }
    }
}

/// A text that is shown to nobody, and overwritten in memory when it is dropped. Only a sealed one can be serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(State);

#[derive(Clone, PartialEq, Eq)]
enum State {
    Open(Zeroizing<String>),
    Sealed(String),
}

impl Secret {
    /// A secret from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(State::Open(Zeroizing::new(text.into())))
    }

    /// 256 random bits.
    pub fn random() -> Self {
        Self::new(STANDARD.encode(rand::random::<[u8; KEY_BYTES]>()))
    }

    /// The text, for those who use it; empty while it is sealed, which no secret of a loaded catalog is.
    pub fn expose(&self) -> &str {
        match &self.0 {
            State::Open(text) => text,
            State::Sealed(_) => "",
        }
    }

    /// As it is stored. `place`: what says where, so that it opens nowhere else.
    pub fn seal(&mut self, keyring: &Keyring, place: &str) -> Result<(), SecretError> {
        if let State::Open(text) = &self.0 {
            self.0 = State::Sealed(keyring.seal(text, place)?);
        }
        Ok(())
    }

    /// Undoes [`Self::seal`]; tells whether it was sealed.
    pub fn open(&mut self, keyring: &Keyring, place: &str) -> Result<bool, SecretError> {
        let State::Sealed(sealed) = &self.0 else { return Ok(false) };
        self.0 = State::Open(keyring.open(sealed, place)?);
        Ok(true)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            State::Sealed(text) => serializer.serialize_str(text),
            State::Open(_) => Err(serde::ser::Error::custom("a secret must be sealed before it is written")),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Texts that are not sealed are from before secrets were.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text.starts_with(PREFIX) { Self(State::Sealed(text)) } else { Self::new(text) })
    }
}

/// A key for secrets of one catalog.
#[derive(Clone)]
struct DataKey(Arc<RandomizedNonceKey>);

/// The bytes of a data key, before it is wrapped.
type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

impl DataKey {
    fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes);
        key.map(|key| Self(Arc::new(key))).map_err(|_unspecified| SecretError::Damaged("its key has another length"))
    }

    /// Nonce, ciphertext and tag.
    fn seal(&self, text: &[u8], about: &str) -> Result<Vec<u8>, SecretError> {
        let mut sealed = text.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(about.as_bytes()), &mut sealed)
            .map_err(|_unspecified| SecretError::Damaged("it is too long to be sealed"))?;
        sealed.splice(0..0, *nonce.as_ref());
        Ok(sealed)
    }

    fn open(&self, sealed: &[u8], about: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let damaged = || SecretError::Damaged("it is damaged, or sealed by another key or for another place");
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| damaged())?;
        let mut text = Zeroizing::new(rest.to_vec());
        let opened = self.0.open_in_place(nonce, Aad::from(about.as_bytes()), &mut text);
        let length = opened.map_err(|_unspecified| damaged())?.len();
        text.truncate(length);
        Ok(text)
    }
}

/// The data keys of a catalog, by their numbers; the last seals.
#[derive(Clone, Default)]
pub struct Keyring(BTreeMap<i64, DataKey>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.0.keys()).finish()
    }
}

impl Keyring {
    /// The number of the key that seals.
    pub fn newest(&self) -> Option<i64> {
        self.0.keys().next_back().copied()
    }

    /// With the keys of another, too.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(other.0.iter().map(|(number, key)| (*number, key.clone())));
        all
    }

    /// A number for a key to come.
    pub fn next(&self) -> i64 {
        self.newest().unwrap_or(0) + 1
    }

    fn seal(&self, text: &str, place: &str) -> Result<String, SecretError> {
        let (number, key) = self.0.last_key_value().ok_or(SecretError::Damaged("there is no key"))?;
        Ok(format!("{PREFIX}{number}${}", STANDARD.encode(key.seal(text.as_bytes(), place)?)))
    }

    fn open(&self, sealed: &str, place: &str) -> Result<Zeroizing<String>, SecretError> {
        let malformed = || SecretError::Damaged("it has another form");
        let (number, bytes) =
            sealed.strip_prefix(PREFIX).and_then(|rest| rest.split_once('$')).ok_or_else(malformed)?;
        let number = number.parse().map_err(|_invalid| malformed())?;
        let key = self.0.get(&number).ok_or(SecretError::KeyGone(number))?;
        let bytes = STANDARD.decode(bytes).map_err(|_invalid| malformed())?;
        let text = key.open(&bytes, place)?;
        let text = std::str::from_utf8(&text).map_err(|_invalid| SecretError::Damaged("it is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{DataKey, Keyring, Secret};

    fn keyring(number: i64, byte: u8) -> Keyring {
        Keyring([(number, DataKey::new(&[byte; 32]).unwrap())].into())
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed_with_its_key_only() {
        let mut secret = Secret::new("swordfish");
        assert!(serde_json::to_string(&secret).is_err());
        secret.seal(&keyring(1, 7), "9/password").unwrap();
        let stored = serde_json::to_string(&secret).unwrap();
        assert!(!stored.contains("swordfish") && stored.starts_with("\"$sealed$1$"));
        let loaded = || serde_json::from_str::<Secret>(&stored).unwrap();
        assert!(loaded().open(&keyring(1, 7), "8/password").is_err());
        assert!(loaded().open(&keyring(1, 8), "9/password").is_err());
        assert!(loaded().open(&keyring(2, 7), "9/password").is_err());
        let mut same = loaded();
        assert_eq!((same.open(&keyring(1, 7), "9/password").unwrap(), same.expose()), (true, "swordfish"));
        assert_eq!(format!("{same:?}"), "***");
    }

    #[test]
    fn each_is_sealed_anew() {
        let sealed = |_| keyring(1, 7).seal("x", "").unwrap();
        assert_ne!(sealed(1), sealed(2));
    }

    #[test]
    fn bits_that_are_changed_are_noticed() {
        let key = DataKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(b"swordfish", "").unwrap();
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert!(key.open(&changed, "").is_err());
        }
        assert!(key.open(&sealed[..5], "").is_err());
    }
}
