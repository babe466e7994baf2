//! OAUTHBEARER (RFC 7628): the client sends a token, or asks where it can get one.

use super::{AUTH_SASL_CONTINUE, fatal, offer, refused, response};
use crate::login::{Issuer, Issuers, TokenHolder};
use crate::wire::link::{Fault, Link};
use crate::wire::message::violation;

const MECHANISM: &str = "OAUTHBEARER";
/// Between the parts of the client's message.
const SEPARATOR: char = '\u{1}';

/// Who the client is.
pub(super) async fn exchange(
    link: &mut Link,
    user: &str,
    issuer: &Issuer,
    issuers: &Issuers,
) -> Result<TokenHolder, Fault> {
    let (_, first) = offer(link, &[MECHANISM]).await?;
    let token = token(&first).ok_or_else(|| fatal(violation("malformed OAUTHBEARER message")))?;
    let said = match token {
        // He asks what he needs.
        "" => None,
        token => match issuers.holder(issuer, token).await {
            Ok(holder) => return Ok(holder),
            Err(error) => Some(crate::error::chain(&error)),
        },
    };
    let needed = serde_json::json!({
        "status": "invalid_token",
        "openid-configuration": issuer.discovery_url(),
        "scope": issuer.scope,
    });
    link.reply().authentication(AUTH_SASL_CONTINUE, needed.to_string().as_bytes());
    link.flush().await?;
    // One separator, which says that he has understood.
    response(link).await?;
    Err(refused("OAuth bearer", user, said.as_deref().unwrap_or("the client asked where it gets a token")))
}

/// The token of a first message: `n,,` `auth=Bearer …`, each part ended by a separator, and one more at the end. Empty:
/// he has none. `None`: it is no such message, or it is from someone else than the user that it is for (`a=`).
fn token(message: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(message).ok()?;
    let rest = text.strip_prefix("n,,")?.strip_prefix(SEPARATOR)?.strip_suffix(SEPARATOR)?;
    let mut found = None;
    for part in rest.split_terminator(SEPARATOR) {
        match part.split_once('=')? {
            ("auth", value) if found.is_none() => found = Some(value),
            ("auth", _) => return None,
            _ => {}
        }
    }
    let found = found?;
    if found.is_empty() {
        return Some(found);
    }
    let (scheme, token) = found.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.chars().all(fits)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn messages_are_taken_apart() {
        for (message, expected) in [
            ("n,,\u{1}auth=Bearer a.b-c\u{1}\u{1}", Some("a.b-c")),
            ("n,,\u{1}host=x\u{1}auth=bearer  abc=\u{1}\u{1}", Some("abc=")),
            ("n,,\u{1}auth=\u{1}\u{1}", Some("")),
            ("n,,\u{1}auth=Basic abc\u{1}\u{1}", None),
            ("n,,\u{1}auth=Bearer a b\u{1}\u{1}", None),
            ("n,,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}", None),
            ("n,a=ann,\u{1}auth=Bearer a\u{1}\u{1}", None),
            ("y,,\u{1}auth=Bearer a\u{1}\u{1}", None),
            ("n,,auth=Bearer a", None),
        ] {
            assert_eq!(token(message.as_bytes()), expected, "{message:?}");
        }
    }
}
