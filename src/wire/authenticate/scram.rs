//! SCRAM-SHA-256 (RFC 7677), with channel binding under TLS.

use hmac::{Hmac, Mac};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use sha2::Sha256;

use super::{AUTH_SASL_CONTINUE, AUTH_SASL_FINAL, fatal, offer, response, wrong_password};
use crate::govern::{MOCK_ITERATIONS, ScramVerifier};
use crate::wire::link::{Fault, Link};
use crate::wire::message::violation;
use crate::wire::tls::Tls;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Whether the client knows the password. `known`: what we know of it; without, the client hears what he would hear if it
/// were wrong. `secret` makes up salts for users who do not exist.
pub(super) async fn exchange(
    link: &mut Link,
    user: &str,
    known: Option<ScramVerifier>,
    tls: Option<&Tls>,
    secret: &[u8],
) -> Result<(), Fault> {
    let server = tls.map_or_else(ScramServerAuth::new, |tls| tls.scram.clone());
    let offered: &[&str] = if tls.is_some() { &[PLUS, PLAIN] } else { &[PLAIN] };
    let (mechanism, first) = offer(link, offered).await?;
    if (mechanism == PLUS) != first.starts_with(b"p=") {
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
    let (challenge, waiting) = server.on_client_first_message_with_secret(&first, stored).map_err(malformed)?;
    link.reply().authentication(AUTH_SASL_CONTINUE, challenge.as_bytes());
    link.flush().await?;
    let last = response(link).await?;
    match waiting.on_client_final_message(&last) {
        Ok(proof) if is_known => {
            link.reply().authentication(AUTH_SASL_FINAL, proof.as_bytes());
            Ok(())
        }
        _ => Err(wrong_password(user)),
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
