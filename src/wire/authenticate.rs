//! Who is it? SCRAM-SHA-256 (with channel binding under TLS), or a clear password under TLS for argon2id verifiers.
//!
//! A wrong password, an unknown user and one who may not log in look the same from outside.

use hmac::{Hmac, Mac};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use sha2::Sha256;

use super::link::{Fault, Link};
use super::message::{Message, Reader, violation};
use super::tls::Tls;
use crate::catalog::CatalogState;
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::govern::{MOCK_ITERATIONS, ScramVerifier};
use crate::name::ObjectId;

/// Nothing before authentication needs more.
const MESSAGE_BYTES_MAX: usize = 10_000;
const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

const AUTH_OK: i32 = 0;
const AUTH_CLEARTEXT: i32 = 3;
const AUTH_SASL: i32 = 10;
const AUTH_SASL_CONTINUE: i32 = 11;
const AUTH_SASL_FINAL: i32 = 12;

fn fatal(error: impl Into<SqlError>) -> Fault {
    Fault::Fatal(error.into())
}

fn wrong(user: &str) -> Fault {
    fatal(Plain::new(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\"")))
}

/// Authenticates a user. `secret` makes up salts for users who do not exist.
pub(super) async fn authenticate(
    link: &mut Link,
    catalog: &CatalogState,
    user: &str,
    tls: Option<&Tls>,
    secret: &[u8],
) -> Result<ObjectId, Fault> {
    let role = catalog.role_id(user).and_then(|id| catalog.role(id).map(|role| (id, role)));
    let now = chrono::Utc::now().timestamp_micros();
    let usable = role.filter(|(_, role)| role.login && role.valid_until_us.is_none_or(|until| until > now));
    let verifier = role.and_then(|(_, role)| role.password.clone());
    match (&verifier, tls) {
        (Some(verifier), Some(_)) if verifier.is_argon2id() => {
            link.reply().authentication(AUTH_CLEARTEXT, &[]);
            link.flush().await?;
            let body = password_message(link).await?;
            let password = Reader { rest: &body }.string().map_err(Fault::Fatal)?;
            let verifier = verifier.clone();
            let right = tokio::task::spawn_blocking(move || verifier.verify(&password))
                .await
                .map_err(|error| fatal(internal(error)))?;
            if !right {
                return Err(wrong(user));
            }
        }
        _ => {
            // An argon2id verifier cannot answer SCRAM, and its password may not travel in clear: fail as for nobody.
            let known = verifier.as_ref().and_then(crate::govern::PasswordVerifier::as_scram);
            scram(link, user, known, tls, secret).await?;
        }
    }
    let (id, _) = usable.ok_or_else(|| wrong(user))?;
    link.reply().authentication(AUTH_OK, &[]);
    Ok(id)
}

async fn password_message(link: &mut Link) -> Result<Vec<u8>, Fault> {
    match link.next(MESSAGE_BYTES_MAX).await?.map_err(Fault::Fatal)? {
        Message::Password(body) => Ok(body),
        _ => Err(Fault::Fatal(violation("expected a password or SASL response"))),
    }
}

async fn scram(
    link: &mut Link,
    user: &str,
    known: Option<ScramVerifier>,
    tls: Option<&Tls>,
    secret: &[u8],
) -> Result<(), Fault> {
    let server = tls.map_or_else(ScramServerAuth::new, |tls| tls.scram.clone());
    let offered: &[&str] = if tls.is_some() { &[PLUS, PLAIN] } else { &[PLAIN] };
    let mut list = Vec::new();
    for mechanism in offered {
        list.extend_from_slice(mechanism.as_bytes());
        list.push(0);
    }
    list.push(0);
    link.reply().authentication(AUTH_SASL, &list);
    link.flush().await?;

    let body = password_message(link).await?;
    let mut reader = Reader { rest: &body };
    let mechanism = reader.string().map_err(Fault::Fatal)?;
    let length =
        usize::try_from(reader.int4().map_err(Fault::Fatal)?).map_err(|_negative| fatal(violation("no SASL data")))?;
    let first = reader.bytes(length).map_err(Fault::Fatal)?;
    if !offered.contains(&mechanism.as_str()) || (mechanism == PLUS) != first.starts_with(b"p=") {
        return Err(fatal(violation("client selected an invalid SASL authentication mechanism")));
    }
    let is_known = known.is_some();
    let verifier = known.unwrap_or_else(|| mock(user, secret));
    let stored = ScramSecret::Verifier {
        salt: verifier.salt,
        iterations: usize::try_from(verifier.iterations).unwrap_or(0),
        stored_key: verifier.stored_key,
        server_key: verifier.server_key,
    };
    let malformed = |_error| fatal(violation("malformed SCRAM message"));
    let (challenge, waiting) = server.on_client_first_message_with_secret(first, stored).map_err(malformed)?;
    link.reply().authentication(AUTH_SASL_CONTINUE, challenge.as_bytes());
    link.flush().await?;
    let last = password_message(link).await?;
    match waiting.on_client_final_message(&last) {
        Ok(proof) if is_known => {
            link.reply().authentication(AUTH_SASL_FINAL, proof.as_bytes());
            Ok(())
        }
        _ => Err(wrong(user)),
    }
}

/// A verifier that no password fits, always the same for one name.
fn mock(user: &str, secret: &[u8]) -> ScramVerifier {
    let mut salt = [0_u8; 16];
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(user.as_bytes());
        for (place, byte) in salt.iter_mut().zip(mac.finalize().into_bytes()) {
            *place = byte;
        }
    }
    ScramVerifier { iterations: MOCK_ITERATIONS, salt: salt.to_vec(), stored_key: vec![0; 32], server_key: vec![0; 32] }
}
