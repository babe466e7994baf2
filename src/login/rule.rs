//! Rules of who may come in by which means, as in PostgreSQL's `pg_hba.conf`. Of its methods those are here that need no
//! module of the operating system; names of hosts are not looked up, other files not included.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::file::{Field, Word};
use super::ldap::Directory;
use super::oauth::Issuer;

/// How the client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// By the socket in the file system.
    Local,
    /// By TCP, encrypted or not.
    Host,
    /// By TCP under TLS.
    HostSsl,
    /// By TCP without TLS.
    HostNoSsl,
}

impl Connection {
    /// As the file spells it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Host => "host",
            Self::HostSsl => "hostssl",
            Self::HostNoSsl => "hostnossl",
        }
    }
}

/// How it is found out who the client is.
#[derive(Clone, Debug)]
pub enum Method {
    /// Not at all; over the socket in the file system, and from the machine itself, only.
    Trust,
    /// The client may not come in.
    Reject,
    /// SCRAM-SHA-256; under TLS the password itself, if what is kept of it is an argon2id hash.
    Scram,
    /// The password itself, under TLS only.
    Password,
    /// By the client's certificate.
    Cert,
    /// As whom the client's process runs.
    Peer,
    /// An LDAP directory knows the password.
    Ldap(Box<Directory>),
    /// By a token of an OAuth issuer.
    OAuth(Box<Issuer>),
}

impl Method {
    /// As the file spells it.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Reject => "reject",
            Self::Scram => "scram-sha-256",
            Self::Password => "password",
            Self::Cert => "cert",
            Self::Peer => "peer",
            Self::Ldap(_) => "ldap",
            Self::OAuth(_) => "oauth",
        }
    }
}

/// What is asked of the client's certificate, whatever the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateCheck {
    /// Nothing.
    None,
    /// An authority that we know has signed it.
    Authority,
    /// And it is the user's.
    Name,
}

/// What of a certificate's subject names the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name.
    CommonName,
    /// All of it, as RFC 2253 writes it.
    DistinguishedName,
}

/// A line of the file.
#[derive(Debug)]
pub struct Rule {
    /// The connections that it is about.
    pub connection: Connection,
    /// The databases, as written.
    pub databases: Vec<String>,
    /// The users, as written.
    pub users: Vec<String>,
    /// The addresses it is about; `None`: all, or the socket in the file system.
    pub network: Option<IpNet>,
    /// What it asks for.
    pub method: Method,
    /// The map from the method's names to roles.
    pub map: Option<String>,
    /// What it asks of the client's certificate.
    pub certificate: CertificateCheck,
    /// What names the user in it.
    pub certificate_name: CertificateName,
    /// `name=value`, as written but for secrets.
    pub options: Vec<String>,
    database_names: Vec<Name>,
    user_names: Vec<Name>,
}

#[derive(Debug)]
enum Name {
    All,
    /// The database that is called as the user.
    SameUser,
    /// The database that is called as a group of the user's.
    SameRole,
    /// What stands for no database, such as `replication`.
    Nothing,
    Member(String),
    Like(Regex),
    Is(String),
}

/// Who wants to come in where, and how.
#[expect(missing_debug_implementations, reason = "it asks a function about membership")]
pub struct Subject<'a> {
    /// As the client says.
    pub user: &'a str,
    /// As the client says.
    pub database: &'a str,
    /// `None`: by the socket in the file system.
    pub address: Option<IpAddr>,
    /// Whether the connection is under TLS.
    pub encrypted: bool,
    /// Whether the user belongs to a group, by the group's name.
    pub is_member: &'a (dyn Fn(&str) -> bool + Sync),
}

const UNSUPPORTED: [&str; 8] = ["md5", "gss", "sspi", "ident", "pam", "bsd", "radius", "krb5"];

impl Rule {
    /// Whether the rule is about a client.
    pub fn fits(&self, subject: &Subject<'_>) -> bool {
        let connection = match (self.connection, subject.address) {
            (Connection::Local, address) => address.is_none(),
            (_, None) => false,
            (Connection::Host, Some(_)) => true,
            (Connection::HostSsl, Some(_)) => subject.encrypted,
            (Connection::HostNoSsl, Some(_)) => !subject.encrypted,
        };
        let address = match (self.network, subject.address) {
            (Some(network), Some(address)) => network.contains(&address.to_canonical()),
            _ => true,
        };
        let is_member = subject.is_member;
        let user = |name: &Name| match name {
            Name::All => true,
            Name::Member(group) => is_member(group),
            Name::Like(pattern) => pattern.is_match(subject.user),
            Name::Is(name) => name == subject.user,
            Name::SameUser | Name::SameRole | Name::Nothing => false,
        };
        let database = |name: &Name| match name {
            Name::All => true,
            Name::SameUser => subject.database == subject.user,
            Name::SameRole => is_member(subject.database),
            Name::Like(pattern) => pattern.is_match(subject.database),
            Name::Is(name) => name == subject.database,
            Name::Member(_) | Name::Nothing => false,
        };
        connection && address && self.database_names.iter().any(database) && self.user_names.iter().any(user)
    }

    pub(super) fn parse(fields: &[Field]) -> Result<Self, String> {
        let mut fields = fields.iter();
        let mut next =
            |missing: &str| fields.next().ok_or_else(|| format!("end-of-line before {missing} specification"));
        let connection = match single(next("connection type")?, "connection type")?.text.as_str() {
            "local" => Connection::Local,
            "host" | "hostnogssenc" => Connection::Host,
            "hostssl" => Connection::HostSsl,
            "hostnossl" => Connection::HostNoSsl,
            other @ ("include" | "include_if_exists" | "include_dir" | "hostgssenc") => {
                return Err(format!("\"{other}\" is not supported"));
            }
            other => return Err(format!("invalid connection type \"{other}\"")),
        };
        let databases = next("database")?;
        let users = next("role")?;
        let network = if connection == Connection::Local {
            None
        } else {
            let address = single(next("IP address")?, "host address")?;
            network(&address, || single(next("netmask")?, "netmask"))?
        };
        let method = single(next("authentication method")?, "authentication type")?;
        let mut options = Options::parse(fields.as_slice())?;
        let secret = |name: &str| name == "ldapbindpasswd";
        let shown = options.0.iter().map(|(name, value)| {
            let value = if secret(name) { "********" } else { value.as_str() };
            format!("{name}={value}")
        });
        let shown = shown.collect();
        let map = options.take("map");
        let method = Method::parse(&method.text, &mut options)?;
        let local = connection == Connection::Local;
        let here = local || network.is_some_and(|network| network.network().is_loopback() && network.prefix_len() >= 8);
        match &method {
            Method::Trust if !here => {
                return Err("method \"trust\" is for local connections and loopback addresses only".to_owned());
            }
            Method::Peer if !local => return Err("peer authentication is only supported on local sockets".to_owned()),
            Method::Cert if connection != Connection::HostSsl => {
                return Err("cert authentication is only supported on hostssl connections".to_owned());
            }
            Method::Trust | Method::Reject | Method::Scram | Method::Password | Method::Ldap(_) if map.is_some() => {
                return Err("option \"map\" is only valid for methods peer, cert and oauth".to_owned());
            }
            _ => {}
        }
        let certificate = match options.take("clientcert").as_deref() {
            Some(_) if connection != Connection::HostSsl => {
                return Err("clientcert can only be configured for \"hostssl\" rows".to_owned());
            }
            Some("verify-ca") if matches!(method, Method::Cert) => {
                return Err("clientcert only accepts \"verify-full\" when using \"cert\" authentication".to_owned());
            }
            Some("verify-ca") => CertificateCheck::Authority,
            Some("verify-full") => CertificateCheck::Name,
            Some(other) => return Err(format!("invalid value for clientcert: \"{other}\"")),
            None if matches!(method, Method::Cert) => CertificateCheck::Name,
            None => CertificateCheck::None,
        };
        let certificate_name = match options.take("clientname").as_deref() {
            Some(_) if connection != Connection::HostSsl => {
                return Err("clientname can only be configured for \"hostssl\" rows".to_owned());
            }
            None | Some("CN") => CertificateName::CommonName,
            Some("DN") => CertificateName::DistinguishedName,
            Some(other) => return Err(format!("invalid value for clientname: \"{other}\"")),
        };
        options.none_left(method.keyword())?;
        let texts = |field: &Field| field.iter().map(|word| word.text.clone()).collect();
        Ok(Self {
            connection,
            databases: texts(databases),
            users: texts(users),
            network,
            method,
            map,
            certificate,
            certificate_name,
            options: shown,
            database_names: databases.iter().map(database_name).collect::<Result<_, _>>()?,
            user_names: users.iter().map(user_name).collect::<Result<_, _>>()?,
        })
    }
}

impl Method {
    fn parse(word: &str, options: &mut Options) -> Result<Self, String> {
        Ok(match word {
            "trust" => Self::Trust,
            "reject" => Self::Reject,
            "scram-sha-256" => Self::Scram,
            "password" => Self::Password,
            "cert" => Self::Cert,
            "peer" => Self::Peer,
            "ldap" => Self::Ldap(Box::new(Directory::parse(options)?)),
            "oauth" => Self::OAuth(Box::new(Issuer::parse(options)?)),
            other if UNSUPPORTED.contains(&other) => {
                return Err(format!(
                    "invalid authentication method \"{other}\": not supported; use scram-sha-256 for passwords"
                ));
            }
            other => return Err(format!("invalid authentication method \"{other}\"")),
        })
    }
}

/// The options of a rule that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Options(Vec<(String, String)>);

impl Options {
    fn parse(fields: &[Field]) -> Result<Self, String> {
        let mut options = Vec::new();
        for word in fields.iter().flatten() {
            let Some((name, value)) = word.text.split_once('=') else {
                return Err(format!("authentication option not in name=value format: {}", word.text));
            };
            options.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(options))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn required(&mut self, method: &str, name: &str) -> Result<String, String> {
        self.take(name)
            .ok_or_else(|| format!("authentication method \"{method}\" requires argument \"{name}\" to be set"))
    }

    /// `name=1` is true, `name=0` and nothing are false.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.take(name).as_deref() {
            Some("1") => Ok(true),
            None | Some("0") => Ok(false),
            Some(other) => Err(format!("invalid {name} value: \"{other}\"")),
        }
    }

    fn none_left(&self, method: &str) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("unrecognized authentication option \"{name}\" for method {method}")),
            None => Ok(()),
        }
    }
}

fn single(field: &Field, what: &str) -> Result<Word, String> {
    match field.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err(format!("multiple values specified for {what}")),
    }
}

fn network(address: &Word, mask: impl FnOnce() -> Result<Word, String>) -> Result<Option<IpNet>, String> {
    if address.is("all") {
        return Ok(None);
    }
    let text = address.text.as_str();
    if let Some((_, length)) = text.split_once('/') {
        return match text.parse::<IpNet>() {
            Ok(network) if network.trunc().network() == network.addr() => Ok(Some(network)),
            Ok(network) => {
                Err(format!("address \"{text}\" has bits that its mask leaves out: the network is {}", network.trunc()))
            }
            Err(_) => Err(format!("invalid CIDR mask in address \"{text}\" (/{length})")),
        };
    }
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Err(format!("\"{text}\" is no address: names of hosts, samehost and samenet are not supported"));
    };
    let mask = mask()?.text;
    let network = mask.parse().ok().and_then(|mask| IpNet::with_netmask(ip, mask).ok());
    network.map(Some).ok_or_else(|| format!("invalid IP mask \"{mask}\""))
}

fn database_name(word: &Word) -> Result<Name, String> {
    Ok(match word.text.as_str() {
        _ if word.is("all") => Name::All,
        _ if word.is("sameuser") => Name::SameUser,
        _ if word.is("samerole") || word.is("samegroup") => Name::SameRole,
        _ if word.is("replication") => Name::Nothing,
        _ => named(word)?,
    })
}

fn user_name(word: &Word) -> Result<Name, String> {
    Ok(match word.after('+') {
        _ if word.is("all") => Name::All,
        Some(group) => Name::Member(group.to_owned()),
        None => named(word)?,
    })
}

fn named(word: &Word) -> Result<Name, String> {
    match (word.pattern(), word.after('@')) {
        (Some(pattern), _) => Ok(Name::Like(name_pattern(pattern)?)),
        (_, Some(_)) => Err(format!("a file of names (\"{}\") is not supported", word.text)),
        _ => Ok(Name::Is(word.text.clone())),
    }
}

/// A pattern of names, in the syntax of the crate `regex`.
pub(super) fn name_pattern(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).dot_matches_new_line(true).build();
    built.map_err(|error| format!("invalid regular expression \"{pattern}\": {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::file::read_rules;
    use super::Subject;

    fn fault(line: &str) -> String {
        read_rules(line).remove(0).entry.unwrap_err()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let text = r#"
            local   all          all                        peer map=staff
            host    all          mallory    all             reject
            hostssl boathouse    +staff     10.0.0.0/8      scram-sha-256
            host    sameuser     all        ::1/128         trust
            hostnossl all        /^app_     192.168.0.0 255.255.0.0 scram-sha-256
            host    "all","replication" "all" 127.0.0.1/32  password
            host    samerole     ann        all             scram-sha-256
            host    all          "/^(tmp|svc)_.{2,4}$"      all reject
        "#;
        let rules: Vec<_> = read_rules(text).into_iter().map(|line| line.entry.unwrap()).collect();
        let method = |address: &str, encrypted: bool, database: &str, user: &str| {
            let address = Some(address).filter(|address| !address.is_empty()).map(|address| address.parse().unwrap());
            let is_member = |group: &str| user == "ann" && group == "staff";
            let subject = Subject { user, database, address, encrypted, is_member: &is_member };
            let found = rules.iter().position(|rule| rule.fits(&subject));
            found.map(|at| (at, rules[at].method.keyword()))
        };
        assert_eq!(method("", false, "any", "any"), Some((0, "peer")));
        assert_eq!(method("::1", false, "mallory", "mallory"), Some((1, "reject")));
        assert_eq!(method("10.1.2.3", true, "boathouse", "ann"), Some((2, "scram-sha-256")));
        assert_eq!(method("::ffff:10.1.2.3", true, "boathouse", "ann"), Some((2, "scram-sha-256")));
        assert_eq!(method("10.1.2.3", false, "boathouse", "ann"), None);
        assert_eq!(method("10.1.2.3", true, "other", "ann"), None);
        assert_eq!(method("11.1.2.3", true, "boathouse", "ann"), None);
        assert_eq!(method("::1", false, "bob", "bob"), Some((3, "trust")));
        assert_eq!(method("192.168.7.7", false, "x", "app_1"), Some((4, "scram-sha-256")));
        assert_eq!(method("192.168.7.7", true, "x", "app_1"), None);
        assert_eq!(method("127.0.0.1", true, "all", "all"), Some((5, "password")));
        assert_eq!(method("127.0.0.1", true, "replication", "all"), Some((5, "password")));
        assert_eq!(method("127.0.0.1", true, "x", "bob"), None);
        assert_eq!(method("11.1.2.3", false, "staff", "ann"), Some((6, "scram-sha-256")));
        assert_eq!(method("11.1.2.3", false, "x", "svc_ab"), Some((7, "reject")));
        assert_eq!(method("11.1.2.3", false, "x", "svc_a"), None);
    }

    #[test]
    fn faults_are_told() {
        for (line, expected) in [
            ("hosts all all all trust", "invalid connection type \"hosts\""),
            ("host all", "end-of-line before role specification"),
            ("host all all 10.0.0.1", "end-of-line before netmask specification"),
            ("host all all 10.0.0.1/8 scram-sha-256", "the network is 10.0.0.0/8"),
            ("host all all 10.0.0.1/33 scram-sha-256", "invalid CIDR mask"),
            ("host all all db.example scram-sha-256", "names of hosts"),
            ("host all all all md5", "use scram-sha-256"),
            ("host all all all magic", "invalid authentication method \"magic\""),
            ("host all all all trust", "loopback addresses only"),
            ("host all all 0.0.0.0/0 trust", "loopback addresses only"),
            ("host all all all peer", "only supported on local sockets"),
            ("host all all all cert", "only supported on hostssl"),
            ("host all all all scram-sha-256 map=x", "only valid for methods"),
            ("host all all all scram-sha-256 clientcert=verify-ca", "can only be configured for \"hostssl\""),
            ("hostssl all all all cert clientcert=verify-ca", "only accepts \"verify-full\""),
            ("local all all peer x=1", "unrecognized authentication option \"x\""),
            ("local all all peer x", "not in name=value format"),
            ("local all @users peer", "is not supported"),
            ("include other.conf", "is not supported"),
            ("local all /( peer", "invalid regular expression"),
            ("host all all all ldap", "ldap"),
            ("host all all all oauth", "requires argument \"issuer\""),
        ] {
            assert!(fault(line).contains(expected), "{line}: {}", fault(line));
        }
    }
}
