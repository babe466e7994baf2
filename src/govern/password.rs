//! Password verifiers: SCRAM-SHA-256 (RFC 5802, RFC 7677) in PostgreSQL's text form, and argon2id (RFC 9106) in PHC
//! form. A password itself is never kept.

use std::borrow::Cow;
use std::fmt;

use argon2::password_hash::{PasswordHasher, PasswordVerifier as _};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Report, SqlState};
use crate::secret::Secret;

/// Iterations pretended for a user who does not exist.
pub const MOCK_ITERATIONS: u32 = 4096;
const SCRAM_PREFIX: &str = "SCRAM-SHA-256$";
const ARGON2_PREFIX: &str = "$argon2id$";
const SALT_BYTES: usize = 16;

/// Why there is no verifier.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// `0A000`: the text is an MD5 hash, as old PostgreSQL servers kept them.
    #[error("MD5 password verifiers are not supported")]
    Md5,
    /// `22023`: the text begins like a verifier, but is none.
    #[error("invalid password verifier")]
    Malformed,
    /// `XX000`: the library could not compute a hash; with its message.
    #[error("could not hash the password: {0}")]
    Hash(String),
}

impl Report for PasswordError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Md5 => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Malformed => SqlState::INVALID_PARAMETER_VALUE,
            Self::Hash(_) => SqlState::INTERNAL_ERROR,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Md5 => Some("Give the password itself, or a SCRAM-SHA-256 or argon2id verifier.".to_owned()),
            Self::Malformed | Self::Hash(_) => None,
        }
    }
}

/// What a password is checked against. Never printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordVerifier(Secret);

/// The parts of a SCRAM-SHA-256 verifier.
pub struct ScramVerifier {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// As bytes, decoded from Base64.
    pub salt: Vec<u8>,
    /// What the client's proof is checked against: 32 bytes from which the password does not follow.
    pub stored_key: Vec<u8>,
    /// What the server proves with that it has the verifier: 32 bytes.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PasswordVerifier {
    /// A SCRAM-SHA-256 verifier: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    pub fn scram(password: &str, iterations: u32) -> Self {
        Self::scram_salted(password, iterations, &rand::random::<[u8; SALT_BYTES]>())
    }

    fn scram_salted(password: &str, iterations: u32, salt: &[u8]) -> Self {
        // RFC 7677: a password that SASLprep refuses is used as it is, as PostgreSQL does.
        let prepared = stringprep::saslprep(password).map_or_else(|_refused| password.to_owned(), Cow::into_owned);
        let mut salted = [0_u8; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key);
        let server_key = hmac(&salted, b"Server Key");
        let [salt, stored, server] =
            [salt, stored_key.as_slice(), server_key.as_slice()].map(|part| STANDARD.encode(part));
        Self(Secret::new(format!("{SCRAM_PREFIX}{iterations}:{salt}${stored}:{server}")))
    }

    /// An argon2id verifier with the library's recommended cost (19 MiB, 2 passes, 1 lane).
    pub fn argon2id(password: &str) -> Result<Self, PasswordError> {
        let hash = argon2::Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| PasswordError::Hash(error.to_string()))?;
        Ok(Self(Secret::new(hash.to_string())))
    }

    /// Takes a text that is a verifier already; `None` if it is a password.
    pub fn from_hashed(text: &str) -> Result<Option<Self>, PasswordError> {
        if text.len() == 35 && text.starts_with("md5") && text.bytes().skip(3).all(|b| b.is_ascii_hexdigit()) {
            return Err(PasswordError::Md5);
        }
        if text.starts_with(SCRAM_PREFIX) || text.starts_with(ARGON2_PREFIX) {
            let verifier = Self(Secret::new(text));
            let valid = if text.starts_with(SCRAM_PREFIX) {
                verifier.as_scram().is_some()
            } else {
                argon2::PasswordHash::new(text).is_ok()
            };
            return if valid { Ok(Some(verifier)) } else { Err(PasswordError::Malformed) };
        }
        Ok(None)
    }

    /// Whether it is for argon2id: then the password itself must be sent, which takes TLS.
    pub fn is_argon2id(&self) -> bool {
        self.0.expose().starts_with(ARGON2_PREFIX)
    }

    /// Its parts, decoded; `None` if it is for argon2id or malformed.
    pub fn as_scram(&self) -> Option<ScramVerifier> {
        let rest = self.0.expose().strip_prefix(SCRAM_PREFIX)?;
        let (cost, keys) = rest.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(ScramVerifier {
            iterations: iterations.parse().ok()?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored_key).ok().filter(|key| key.len() == 32)?,
            server_key: STANDARD.decode(server_key).ok().filter(|key| key.len() == 32)?,
        })
    }

    /// As it is stored: sealed.
    pub fn as_secret(&mut self) -> &mut Secret {
        &mut self.0
    }

    /// Checks a password that came in clear. Takes about 20 MiB and 20 ms for argon2id: run it off the event loop.
    pub fn verify(&self, password: &str) -> bool {
        if self.is_argon2id() {
            return argon2::PasswordHash::new(self.0.expose())
                .is_ok_and(|hash| argon2::Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        }
        let Some(scram) = self.as_scram() else { return false };
        let again = Self::scram_salted(password, scram.iterations, &scram.salt);
        subtle::ConstantTimeEq::ct_eq(again.0.expose().as_bytes(), self.0.expose().as_bytes()).into()
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::PasswordVerifier;

    #[test]
    fn verifies_only_the_password() {
        for verifier in [PasswordVerifier::scram("pencil", 4096), PasswordVerifier::argon2id("pencil").unwrap()] {
            assert!(verifier.verify("pencil"));
            assert!(!verifier.verify("pencil "));
            assert_eq!(format!("{verifier:?}"), "PasswordVerifier(***)");
        }
    }

    /// The worked example of RFC 7677, section 3.
    #[test]
    fn agrees_with_the_rfc() {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let scram = PasswordVerifier::scram_salted("pencil", 4096, &salt).as_scram().unwrap();
        assert_eq!(STANDARD.encode(scram.stored_key), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        assert_eq!(STANDARD.encode(scram.server_key), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    }

    #[test]
    fn takes_verifiers_as_they_are() {
        let made = PasswordVerifier::scram("x", 4096);
        assert_eq!(PasswordVerifier::from_hashed(made.0.expose()).unwrap(), Some(made));
        assert_eq!(PasswordVerifier::from_hashed("secret").unwrap(), None);
        assert!(PasswordVerifier::from_hashed("md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").is_err());
        assert!(PasswordVerifier::from_hashed("SCRAM-SHA-256$nonsense").is_err());
    }
}
