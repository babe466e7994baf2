//! Who is it? The first rule that fits says how that is found out (`login`); here is the conversation.
//!
//! A wrong password, an unknown user and one who may not log in look the same from outside.

mod oauth;
mod scram;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

use super::link::{Fault, Link};
use super::listen::Server;
use super::message::{Message, Reader, violation};
use super::tls::{ClientCertificate, Tls};
use crate::catalog::CatalogState;
use crate::error::{Plain, SqlError, SqlState, chain, internal};
use crate::govern::{PasswordVerifier, Role, is_member};
use crate::login::{CertificateCheck, CertificateName, Directory, Login, Method, Rule, Subject};
use crate::name::ObjectId;

/// Nothing before authentication needs more.
const MESSAGE_BYTES_MAX: usize = 10_000;

const AUTH_OK: i32 = 0;
const AUTH_CLEARTEXT: i32 = 3;
const AUTH_SASL: i32 = 10;
const AUTH_SASL_CONTINUE: i32 = 11;
const AUTH_SASL_FINAL: i32 = 12;

/// From where a client speaks.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// By the socket in the file system.
    Local {
        /// As whom its process runs.
        uid: u32,
    },
    /// By TCP.
    Remote(SocketAddr),
}

impl Peer {
    /// What failed attempts are counted by: the address, or for local clients one of those that lead nowhere (RFC 6666), which
    /// has the user of the operating system in its network.
    pub(super) fn network(&self) -> IpAddr {
        match self {
            Self::Local { uid } => IpAddr::V6(Ipv6Addr::from_bits((0x0100 << 112) | (u128::from(*uid) << 64))),
            Self::Remote(address) => address.ip(),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { .. } => f.write_str("[local]"),
            Self::Remote(address) => address.fmt(f),
        }
    }
}

/// Who wants to come in.
#[derive(Debug)]
pub(super) struct Client<'a> {
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) peer: &'a Peer,
    /// `None`: the connection is not encrypted.
    pub(super) tls: Option<&'a Tls>,
    /// One that an authority that we know has signed.
    pub(super) certificate: Option<&'a ClientCertificate>,
}

/// Who came in.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) role: ObjectId,
    /// The method, and whom it found out: PostgreSQL's `SYSTEM_USER`. `None`: nobody was asked.
    pub(super) identity: Option<String>,
    /// When the session is to end; `None`: when the client likes.
    pub(super) until: Option<SystemTime>,
}

fn fatal(error: impl Into<SqlError>) -> Fault {
    Fault::Fatal(error.into())
}

fn unauthorized(message: String) -> Fault {
    fatal(Plain::new(SqlState::INVALID_AUTHORIZATION, message))
}

fn wrong_password(user: &str) -> Fault {
    fatal(Plain::new(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\"")))
}

/// The operator is told why; the client is not.
fn refused(method: &str, user: &str, why: &str) -> Fault {
    tracing::info!(method, user, why, "authentication failed");
    unauthorized(format!("{method} authentication failed for user \"{user}\""))
}

/// Whether a client is asked for what can be guessed.
pub(super) fn asks_for_password(server: &Server, catalog: &CatalogState, client: &Client<'_>) -> bool {
    let login = server.shared.login.current();
    let rule = rule_for(&login, client, &|group: &str| belongs(catalog, client.user, group));
    rule.is_some_and(|rule| matches!(rule.method, Method::Scram | Method::Password | Method::Ldap(_)))
}

fn rule_for<'a>(login: &'a Login, client: &Client<'_>, is_member: &(dyn Fn(&str) -> bool + Sync)) -> Option<&'a Rule> {
    let subject = Subject {
        user: client.user,
        database: client.database,
        address: match client.peer {
            Peer::Local { .. } => None,
            Peer::Remote(address) => Some(address.ip()),
        },
        encrypted: client.tls.is_some(),
        is_member,
    };
    login.rules.iter().find(|rule| rule.fits(&subject))
}

/// Finds out who a client is, by the rule that is for him, and lets him in.
pub(super) async fn authenticate(
    server: &Server,
    link: &mut Link,
    catalog: &CatalogState,
    client: &Client<'_>,
) -> Result<Authenticated, Fault> {
    let login = server.shared.login.current();
    let belongs = |group: &str| belongs(catalog, client.user, group);
    let rule = rule_for(&login, client, &belongs)
        .ok_or_else(|| unauthorized(format!("no pg_hba.conf entry for {}", described(client))))?;
    let certificate = match (rule.certificate, client.certificate) {
        (CertificateCheck::None, _) => None,
        (_, None) => return Err(unauthorized("connection requires a valid client certificate".to_owned())),
        (CertificateCheck::Authority, Some(_)) => None,
        (CertificateCheck::Name, Some(certificate)) => Some(name_in(certificate, rule)),
    };
    let user = client.user;
    let permits = |outside: &str, method: &str| {
        if login.maps.permits(rule.map.as_deref(), outside, user, &belongs) {
            return Ok(());
        }
        Err(refused(method, user, &format!("he is \"{outside}\", who may not be this role")))
    };
    let mut until = None;
    let identity = match &rule.method {
        Method::Reject => {
            return Err(unauthorized(format!("pg_hba.conf rejects connection for {}", described(client))));
        }
        Method::Trust => None,
        Method::Scram | Method::Password => {
            by_password(server, link, catalog, client, matches!(rule.method, Method::Password)).await?;
            Some(user.to_owned())
        }
        Method::Ldap(directory) => {
            by_directory(link, catalog, client, directory).await?;
            Some(user.to_owned())
        }
        Method::Peer => {
            let name =
                system_name(client.peer).await.ok_or_else(|| refused("Peer", user, "the system does not know him"))?;
            permits(&name, "Peer")?;
            Some(name)
        }
        Method::Cert => None,
        Method::OAuth(issuer) => {
            may_be_secret(client, "OAuth")?;
            let holder = oauth::exchange(link, user, issuer, &server.issuers).await?;
            permits(&holder.identity, "OAuth bearer")?;
            until = holder.until;
            Some(holder.identity)
        }
    };
    let identity = match certificate {
        Some(name) => {
            let name = name.ok_or_else(|| refused("certificate", user, "his certificate names nobody"))?;
            permits(name, "certificate")?;
            Some(identity.unwrap_or_else(|| name.to_owned()))
        }
        None => identity,
    };
    let (role, _) = usable(catalog, user, rule)?;
    link.reply().authentication(AUTH_OK, &[]);
    Ok(Authenticated { role, identity: identity.map(|name| format!("{}:{name}", rule.method.keyword())), until })
}

/// A role that may log in. What it is that keeps it out is told to those only whom others know.
fn usable<'a>(catalog: &'a CatalogState, user: &str, rule: &Rule) -> Result<(ObjectId, &'a Role), Fault> {
    let found = catalog.role_id(user).and_then(|id| catalog.role(id).map(|role| (id, role)));
    let has_password = matches!(rule.method, Method::Scram | Method::Password);
    let now = chrono::Utc::now().timestamp_micros();
    match found {
        // VALID UNTIL is about the password.
        Some((_, role)) if has_password && (!role.login || role.valid_until_us.is_some_and(|until| until <= now)) => {
            Err(wrong_password(user))
        }
        Some((_, role)) if !role.login => Err(unauthorized(format!("role \"{user}\" is not permitted to log in"))),
        Some(found) => Ok(found),
        None if has_password => Err(wrong_password(user)),
        None => Err(unauthorized(format!("role \"{user}\" does not exist"))),
    }
}

async fn by_password(
    server: &Server,
    link: &mut Link,
    catalog: &CatalogState,
    client: &Client<'_>,
    plain: bool,
) -> Result<(), Fault> {
    let user = client.user;
    let known = catalog.role_id(user).and_then(|id| catalog.role(id)?.password.clone());
    let hashed = known.as_ref().is_some_and(PasswordVerifier::is_argon2id);
    let asks = plain || (hashed && client.tls.is_some());
    if !asks {
        // An argon2id verifier cannot answer SCRAM, and its password may not travel in clear: fail as for nobody.
        let known = known.as_ref().and_then(PasswordVerifier::as_scram);
        return scram::exchange(link, user, known, client.tls, &server.mock_secret).await;
    }
    let password = password(link, client).await?;
    let Some(verifier) = known else { return Err(wrong_password(user)) };
    // Each takes memory and a processor.
    let turn = server.hashing.acquire().await.map_err(|error| fatal(internal(error)))?;
    let right = tokio::task::spawn_blocking(move || verifier.verify(&password)).await;
    drop(turn);
    if right.map_err(|error| fatal(internal(error)))? { Ok(()) } else { Err(wrong_password(user)) }
}

async fn by_directory(
    link: &mut Link,
    catalog: &CatalogState,
    client: &Client<'_>,
    directory: &Directory,
) -> Result<(), Fault> {
    let password = password(link, client).await?;
    let wrong = || {
        let message = format!("LDAP authentication failed for user \"{}\"", client.user);
        fatal(Plain::new(SqlState::INVALID_PASSWORD, message))
    };
    // Nobody tries passwords of people who have no role here, or under other spellings of a name.
    let role = catalog.role_id(client.user).and_then(|id| catalog.role(id));
    if !role.is_some_and(|role| role.login) {
        return Err(wrong());
    }
    match directory.knows(client.user, &password).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(wrong()),
        Err(error) => {
            tracing::warn!(error = chain(&error), "an LDAP directory cannot be asked");
            Err(unauthorized("the LDAP directory cannot be asked now".to_owned()))
        }
    }
}

/// The password itself.
async fn password(link: &mut Link, client: &Client<'_>) -> Result<String, Fault> {
    may_be_secret(client, "password")?;
    link.reply().authentication(AUTH_CLEARTEXT, &[]);
    link.flush().await?;
    let body = response(link).await?;
    Reader { rest: &body }.string().map_err(Fault::Fatal)
}

/// What others must not hear is asked for where they cannot.
fn may_be_secret(client: &Client<'_>, method: &str) -> Result<(), Fault> {
    if client.tls.is_some() || matches!(client.peer, Peer::Local { .. }) {
        return Ok(());
    }
    Err(unauthorized(format!("{method} authentication needs an encrypted connection")))
}

/// Whether a user belongs to a group; everybody does to his own role.
fn belongs(catalog: &CatalogState, user: &str, group: &str) -> bool {
    let (user, group) = (catalog.role_id(user), catalog.role_id(group));
    user.zip(group).is_some_and(|(user, group)| is_member(user, group, |id| catalog.role(id)))
}

fn name_in<'a>(certificate: &'a ClientCertificate, rule: &Rule) -> Option<&'a str> {
    match rule.certificate_name {
        CertificateName::CommonName => certificate.common_name.as_deref(),
        CertificateName::DistinguishedName => Some(&certificate.distinguished_name),
    }
}

/// What the operating system calls the owner of the client's process.
async fn system_name(peer: &Peer) -> Option<String> {
    let Peer::Local { uid } = *peer else { return None };
    // It may ask a directory.
    let asked = tokio::task::spawn_blocking(move || uzers::get_user_by_uid(uid)).await;
    asked.ok().flatten()?.name().to_str().map(ToOwned::to_owned)
}

fn described(client: &Client<'_>) -> String {
    let host = match client.peer {
        Peer::Local { .. } => "[local]".to_owned(),
        Peer::Remote(address) => address.ip().to_canonical().to_string(),
    };
    let encryption = if client.tls.is_some() { "SSL encryption" } else { "no encryption" };
    format!("host \"{host}\", user \"{}\", database \"{}\", {encryption}", client.user, client.database)
}

/// Offers SASL mechanisms; the one that the client takes, and its first message.
async fn offer<'a>(link: &mut Link, mechanisms: &[&'a str]) -> Result<(&'a str, Vec<u8>), Fault> {
    let mut list = Vec::new();
    for mechanism in mechanisms {
        list.extend_from_slice(mechanism.as_bytes());
        list.push(0);
    }
    list.push(0);
    link.reply().authentication(AUTH_SASL, &list);
    link.flush().await?;
    let body = response(link).await?;
    let mut reader = Reader { rest: &body };
    let taken = reader.string().map_err(Fault::Fatal)?;
    let length =
        usize::try_from(reader.int4().map_err(Fault::Fatal)?).map_err(|_negative| fatal(violation("no SASL data")))?;
    let first = reader.bytes(length).map_err(Fault::Fatal)?.to_vec();
    let mechanism = mechanisms.iter().find(|mechanism| **mechanism == taken);
    let invalid = || fatal(violation("client selected an invalid SASL authentication mechanism"));
    Ok((mechanism.ok_or_else(invalid)?, first))
}

async fn response(link: &mut Link) -> Result<Vec<u8>, Fault> {
    match link.next(MESSAGE_BYTES_MAX).await?.map_err(Fault::Fatal)? {
        Message::Password(body) => Ok(body),
        _ => Err(Fault::Fatal(violation("expected a password or SASL response"))),
    }
}
