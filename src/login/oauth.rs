//! Tokens of an OAuth issuer: JSON web tokens (RFC 9068) whose signature, issuer, audience, time and scopes are checked with
//! the keys that the issuer publishes (`OpenID` Connect Discovery 1.0, RFC 7517).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::ldap::is_loopback;
use super::rule::Options;
use crate::error::chain;
use crate::tls::client_config;

/// How long an issuer may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer of an issuer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Keys that are older are asked for again.
const KEYS_LAST: Duration = Duration::from_mins(10);
/// Tokens with keys that we do not know make us ask at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Between our clock and the issuer's.
const LEEWAY_S: u64 = 60;
/// Those with public keys: of what is signed with a shared secret, everybody who can check it could be the author.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Who is believed and what a token must say: the options of a rule.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `issuer`: exactly as tokens have it, and where its configuration is found.
    pub url: String,
    /// `scope`: what a token must permit, with blanks between.
    pub scope: String,
    /// `audience`: ourselves, as tokens call us; those for others are not for us.
    audience: String,
    /// `subject_claim`: what names the user; `sub` if it is not given.
    claim: String,
    /// `client_id`: the only client whose tokens count, if it is given.
    client: Option<String>,
    /// `end_session=1`: a session ends with the token that it began with.
    end_session: bool,
    /// `cafile`: PEM file with the authorities that are believed; `None`: those of the operating system.
    authorities: Option<PathBuf>,
    /// Asks the issuer.
    http: reqwest::Client,
}

/// Who has a token.
#[derive(Debug)]
pub struct TokenHolder {
    /// In the issuer's words.
    pub identity: String,
    /// When his session is to end; `None`: when he likes.
    pub until: Option<SystemTime>,
}

/// Why a token is not enough. Whoever sent it is not told.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// It is no token, not of this issuer, not for us, too old, or its signature is wrong.
    #[error("the token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// It is signed in a way that proves nothing, or with a key that the issuer does not have.
    #[error("the token is not signed with a key of the issuer")]
    Key,
    /// It does not permit what the rule asks for, is of another client, or names nobody.
    #[error("the token has no fitting claim \"{0}\"")]
    Claim(String),
    /// The issuer cannot be asked for its keys.
    #[error("the OAuth issuer cannot be asked")]
    Unavailable(#[source] reqwest::Error),
    /// What the issuer publishes makes no sense.
    #[error("the OAuth issuer's configuration is not right: {0}")]
    Configuration(String),
}

impl Issuer {
    pub(super) fn parse(options: &mut Options) -> Result<Self, String> {
        let url = options.required("oauth", "issuer")?;
        https(&url)?;
        let authorities = options.take("cafile").map(PathBuf::from);
        let tls = client_config(authorities.as_deref()).map_err(|error| format!("invalid cafile: {error}"))?;
        let end_session = options.flag("end_session")?;
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .use_preconfigured_tls(tls)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self {
            url,
            scope: options.required("oauth", "scope")?,
            audience: options.required("oauth", "audience")?,
            claim: options.take("subject_claim").unwrap_or_else(|| "sub".to_owned()),
            client: options.take("client_id"),
            end_session,
            authorities,
            http,
        })
    }

    /// Where clients find what the issuer offers.
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'))
    }
}

/// Under TLS, but on the machine itself.
fn https(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("invalid URL \"{url}\": {error}"))?;
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if parsed.host_str().is_some_and(is_loopback) => Ok(()),
        _ => Err(format!("\"{url}\" is no https URL")),
    }
}

/// The keys of all issuers that were asked.
#[derive(Debug, Default)]
pub struct Issuers(Mutex<HashMap<Source, Arc<Keys>>>);

/// Where keys come from: an issuer, and whose certificates are believed.
type Source = (String, Option<PathBuf>);

/// The keys of one issuer. Nobody waits for what is known; one at a time asks for what is not.
#[derive(Debug, Default)]
struct Keys {
    known: Mutex<Known>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Jwk>,
    /// When the issuer told them.
    told: Option<Instant>,
    /// When it was asked the last time, whether or not it answered.
    asked: Option<Instant>,
}

impl Known {
    /// The key of a name, or the only one.
    fn find(&self, name: Option<&str>) -> Option<&Jwk> {
        match (name, self.keys.as_slice()) {
            (Some(name), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(name)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// As [`Self::find`]; `None`: the issuer has to be asked.
    fn current(&self, name: Option<&str>) -> Option<Result<Jwk, OAuthError>> {
        let younger = |moment: Option<Instant>, than: Duration| moment.is_some_and(|moment| moment.elapsed() < than);
        match self.find(name).filter(|_| younger(self.told, KEYS_LAST)) {
            Some(key) => Some(Ok(key.clone())),
            None if younger(self.asked, ASK_AGAIN) => Some(Err(OAuthError::Key)),
            None => None,
        }
    }
}

impl Keys {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn key(&self, issuer: &Issuer, name: Option<&str>) -> Result<Jwk, OAuthError> {
        if let Some(known) = self.known().current(name) {
            return known;
        }
        let _one = self.asking.lock().await;
        // Whom one waited for may have asked.
        if let Some(known) = self.known().current(name) {
            return known;
        }
        let told = ask(issuer).await;
        let mut known = self.known();
        // Also after a failure it is not asked again at once; the keys that it told stay as long as they would.
        known.asked = Some(Instant::now());
        known.keys = told?.keys;
        known.told = known.asked;
        known.find(name).cloned().ok_or(OAuthError::Key)
    }
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    /// Who has a token.
    pub async fn holder(&self, issuer: &Issuer, token: &str) -> Result<TokenHolder, OAuthError> {
        let header = decode_header(token).map_err(OAuthError::Invalid)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(OAuthError::Key);
        }
        let key = self.keys(issuer).key(issuer, header.kid.as_deref()).await?;
        let own = key.common.key_algorithm.map(|algorithm| algorithm.to_string());
        let is_for_signing = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        if !is_for_signing || own.is_some_and(|own| own != format!("{:?}", header.alg)) {
            return Err(OAuthError::Key);
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.set_audience(&[&issuer.audience]);
        validation.set_issuer(&[&issuer.url]);
        let key = DecodingKey::from_jwk(&key).map_err(OAuthError::Invalid)?;
        let claims: Value = decode(token, &key, &validation).map_err(OAuthError::Invalid)?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let missing = |name: &str| OAuthError::Claim(name.to_owned());
        let permitted: Vec<&str> = match claims.get("scope").or_else(|| claims.get("scp")) {
            Some(Value::String(scopes)) => scopes.split(' ').collect(),
            Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !issuer.scope.split_whitespace().all(|wanted| permitted.contains(&wanted)) {
            return Err(missing("scope"));
        }
        if let Some(client) = &issuer.client
            && text("client_id").or_else(|| text("azp")) != Some(client)
        {
            return Err(missing("client_id"));
        }
        let identity = text(&issuer.claim).filter(|identity| !identity.is_empty());
        let identity = identity.ok_or_else(|| missing(&issuer.claim))?.to_owned();
        let until = if issuer.end_session {
            let seconds = claims.get("exp").and_then(Value::as_f64).ok_or_else(|| missing("exp"))?;
            let until = Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
            // By our clock alone: there would be no session.
            Some(until.filter(|until| *until > SystemTime::now()).ok_or_else(|| missing("exp"))?)
        } else {
            None
        };
        Ok(TokenHolder { identity, until })
    }

    fn keys(&self, issuer: &Issuer) -> Arc<Keys> {
        let source = (issuer.url.clone(), issuer.authorities.clone());
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(source).or_default())
    }
}

async fn ask(issuer: &Issuer) -> Result<JwkSet, OAuthError> {
    let configuration: Configuration = get(&issuer.http, &issuer.discovery_url()).await?;
    if configuration.issuer != issuer.url {
        return Err(OAuthError::Configuration(format!("it calls itself {}", configuration.issuer)));
    }
    https(&configuration.jwks_uri).map_err(OAuthError::Configuration)?;
    get(&issuer.http, &configuration.jwks_uri).await
}

async fn get<T: for<'de> Deserialize<'de>>(client: &reqwest::Client, url: &str) -> Result<T, OAuthError> {
    let sent = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = sent.map_err(OAuthError::Unavailable)?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(OAuthError::Unavailable)? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(OAuthError::Configuration(format!("{url} has more than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    serde_json::from_slice(&body).map_err(|error| OAuthError::Configuration(format!("{url}: {error}")))
}
