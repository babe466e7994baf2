//! Passwords that an LDAP directory knows: it is asked to let the user in (RFC 4513, simple bind), under the name that a
//! pattern gives, or that of the one entry that is found for him. Always under TLS, but on the machine itself.

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry, dn_escape, ldap_escape};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use url::Url;

use super::rule::Options;
use crate::tls::client_config;

/// How long the directory may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Users that one rule's directory is asked about at once.
const AT_ONCE: usize = 16;
/// The result of a bind whose password is wrong, or whose user does not exist.
const INVALID_CREDENTIALS: u32 = 49;

/// A directory, and how users are found in it: the `ldap…` options of PostgreSQL's rules, and `cafile`.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Tried in order until one answers: `ldap://host:port`.
    urls: Vec<String>,
    start_tls: bool,
    /// Whose certificates are believed.
    tls: Arc<ClientConfig>,
    find: Find,
    /// How many are asked about at once.
    turns: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
enum Find {
    /// The user's name between two texts.
    Pattern { prefix: String, suffix: String },
    /// The one entry below `base` that a filter finds.
    Search { base: String, scope: Scope, filter: String, bind: Option<(String, Secret)> },
}

/// A password of our own.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("****")
    }
}

/// Why a directory could not tell.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// No server answers as it should.
    #[error("no LDAP server could be asked")]
    Unavailable(#[source] ldap3::LdapError),
    /// Our own name or password is not right, or the search is refused.
    #[error("the LDAP server refuses to search for users")]
    Refused(#[source] ldap3::LdapError),
}

impl Directory {
    pub(super) fn parse(options: &mut Options) -> Result<Self, String> {
        let url = options.take("ldapurl").map(|url| parse_url(&url)).transpose()?;
        let scheme = options.take("ldapscheme");
        let servers = options.take("ldapserver");
        let port = options.take("ldapport");
        let (mut base, mut attribute, mut filter) =
            (options.take("ldapbasedn"), options.take("ldapsearchattribute"), options.take("ldapsearchfilter"));
        let mut scope = Scope::Subtree;
        let urls = match url {
            Some(_) if servers.is_some() || port.is_some() || scheme.is_some() || base.is_some() => {
                return Err("cannot mix options for simple bind and LDAP URLs".to_owned());
            }
            Some(url) => {
                (base, scope) = (Some(url.base), url.scope);
                attribute = attribute.or(url.attribute);
                filter = filter.or(url.filter);
                vec![url.server]
            }
            None => {
                let servers =
                    servers.ok_or("authentication method \"ldap\" requires argument \"ldapserver\" to be set")?;
                let scheme = scheme.unwrap_or_else(|| "ldap".to_owned());
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                servers.split_whitespace().map(|server| format!("{scheme}://{server}{port}")).collect()
            }
        };
        let start_tls = options.flag("ldaptls")?;
        for url in &urls {
            let parsed = Url::parse(url).map_err(|error| format!("invalid LDAP server \"{url}\": {error}"))?;
            let local = parsed.host_str().is_some_and(is_loopback);
            match parsed.scheme() {
                "ldaps" if start_tls => return Err("ldaptls=1 is for the scheme \"ldap\"".to_owned()),
                "ldap" if !start_tls && !local => {
                    return Err(
                        "passwords go to an LDAP server under TLS only: use ldaptls=1 or ldapscheme=ldaps".to_owned()
                    );
                }
                "ldap" | "ldaps" => {}
                other => return Err(format!("invalid ldapscheme value: \"{other}\"")),
            }
        }
        let (prefix, suffix) = (options.take("ldapprefix"), options.take("ldapsuffix"));
        let name = options.take("ldapbinddn");
        let password = options.take("ldapbindpasswd");
        let find = match base {
            Some(_) if prefix.is_some() || suffix.is_some() => {
                return Err("cannot mix options for simple bind and search+bind modes".to_owned());
            }
            None if prefix.is_none() && suffix.is_none() => {
                return Err("authentication method \"ldap\" requires argument \"ldapbasedn\", \"ldapprefix\", or \
                            \"ldapsuffix\" to be set"
                    .to_owned());
            }
            None if name.is_some() || password.is_some() || attribute.is_some() || filter.is_some() => {
                return Err("cannot mix options for simple bind and search+bind modes".to_owned());
            }
            None => Find::Pattern { prefix: prefix.unwrap_or_default(), suffix: suffix.unwrap_or_default() },
            Some(base) => {
                let filter = match (filter, attribute) {
                    (Some(_), Some(_)) => {
                        return Err("cannot use ldapsearchattribute together with ldapsearchfilter".to_owned());
                    }
                    (Some(filter), None) => filter,
                    (None, attribute) => format!("({}=$username)", attribute.as_deref().unwrap_or("uid")),
                };
                let bind = name.map(|name| (name, Secret(password.unwrap_or_default())));
                Find::Search { base, scope, filter, bind }
            }
        };
        let authorities = options.take("cafile").map(PathBuf::from);
        let tls = client_config(authorities.as_deref()).map_err(|error| format!("invalid cafile: {error}"))?;
        Ok(Self { urls, start_tls, tls: Arc::new(tls), find, turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whether the directory lets a user in with a password. An empty one is wrong: many servers take such a bind for one of
    /// nobody, and say yes (RFC 4513, 5.1.2).
    pub async fn knows(&self, user: &str, password: &str) -> Result<bool, LdapError> {
        if password.is_empty() || user.is_empty() {
            return Ok(false);
        }
        let Ok(_turn) = self.turns.acquire().await else { return Ok(false) };
        let name = match &self.find {
            Find::Pattern { prefix, suffix } => format!("{prefix}{}{suffix}", dn_escape(user)),
            Find::Search { base, scope, filter, bind } => {
                let mut server = self.connect().await?;
                let (name, secret) =
                    bind.as_ref().map(|(name, secret)| (name.as_str(), secret.0.as_str())).unwrap_or_default();
                let bound = server.with_timeout(TIMEOUT).simple_bind(name, secret).await;
                bound.and_then(ldap3::LdapResult::success).map_err(LdapError::Refused)?;
                let filter = filter.replace("$username", &ldap_escape(user));
                let found = server.with_timeout(TIMEOUT).search(base, *scope, &filter, vec!["1.1"]).await;
                let (entries, _) = found.and_then(ldap3::SearchResult::success).map_err(LdapError::Refused)?;
                // Referrals are not followed, and no entry.
                let mut entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
                match (entries.next(), entries.next()) {
                    // It panics on an entry that is none.
                    (Some(entry), None) => match catch_unwind(|| SearchEntry::construct(entry).dn) {
                        Ok(name) => name,
                        Err(_panic) => return Ok(false),
                    },
                    _ => return Ok(false),
                }
            }
        };
        if name.is_empty() {
            return Ok(false);
        }
        let mut server = self.connect().await?;
        let bound = server.with_timeout(TIMEOUT).simple_bind(&name, password).await.map_err(LdapError::Unavailable)?;
        match bound.rc {
            0 => Ok(true),
            INVALID_CREDENTIALS => Ok(false),
            rc => {
                tracing::info!(
                    rc,
                    text = bound.text,
                    "an LDAP server refuses a user for another reason than his password"
                );
                Ok(false)
            }
        }
    }

    async fn connect(&self) -> Result<ldap3::Ldap, LdapError> {
        let mut last = ldap3::LdapError::UnknownScheme(String::new());
        for url in &self.urls {
            let settings = LdapConnSettings::new()
                .set_conn_timeout(TIMEOUT)
                .set_starttls(self.start_tls)
                .set_config(Arc::clone(&self.tls));
            match LdapConnAsync::with_settings(settings, url).await {
                Ok((connection, server)) => {
                    ldap3::drive!(connection);
                    return Ok(server);
                }
                Err(error) => {
                    tracing::warn!(%error, url, "an LDAP server cannot be reached");
                    last = error;
                }
            }
        }
        Err(LdapError::Unavailable(last))
    }
}

/// Whether a host of a URL is the machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

struct ParsedUrl {
    server: String,
    base: String,
    attribute: Option<String>,
    scope: Scope,
    filter: Option<String>,
}

/// `ldap[s]://host[:port]/base[?[attribute][?[scope][?[filter]]]]` (RFC 4516).
fn parse_url(text: &str) -> Result<ParsedUrl, String> {
    let invalid = |fault: &str| format!("could not parse LDAP URL \"{text}\": {fault}");
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    let host = url.host_str().ok_or_else(|| invalid("no host"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let decoded = |part: &str| {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|error| invalid(&error.to_string()))
    };
    let mut parts =
        url.query().unwrap_or_default().splitn(3, '?').map(|part| Some(part).filter(|part| !part.is_empty()));
    let attribute = parts.next().flatten().map(decoded).transpose()?;
    let scope = match parts.next().flatten() {
        Some("sub") => Scope::Subtree,
        Some("one") => Scope::OneLevel,
        // What RFC 4516 says of a URL without one.
        None | Some("base") => Scope::Base,
        Some(other) => return Err(invalid(&format!("unknown scope {other}"))),
    };
    Ok(ParsedUrl {
        server: format!("{}://{host}{port}", url.scheme()),
        base: decoded(url.path().trim_start_matches('/'))?,
        attribute,
        scope,
        filter: parts.next().flatten().map(decoded).transpose()?,
    })
}
