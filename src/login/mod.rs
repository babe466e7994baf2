//! By which means who may come in: rules and maps in the format of PostgreSQL's `pg_hba.conf` and `pg_ident.conf`, and the
//! outside systems that know users, LDAP directories and OAuth issuers. The conversation with the client is `wire`'s.

mod file;
mod ldap;
mod map;
mod oauth;
mod rule;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

pub use file::{Listed, read_maps, read_rules};
pub use ldap::{Directory, LdapError};
pub use map::{Mapping, UserMaps};
pub use oauth::{Issuer, Issuers, OAuthError, TokenHolder};
pub use rule::{CertificateCheck, CertificateName, Connection, Method, Rule, Subject};

/// Without a file: passwords from everywhere, and the user of the operating system over the socket in the file system.
const DEFAULT_RULES: &str = "local all all peer\nhost all all all scram-sha-256\n";

/// Rules and maps of one moment.
#[derive(Debug)]
pub struct Login {
    /// In the order of the file: the first that fits counts.
    pub rules: Vec<Rule>,
    /// Which names of others stand for which roles.
    pub maps: UserMaps,
}

/// Files that cannot be used, with a line for each fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct LoginFileError(Vec<String>);

/// Where rules and maps are, and those in force. Files are read again when someone asks for it; if they have a fault, those
/// in force stay.
#[derive(Debug)]
pub struct LoginFiles {
    rules: Option<PathBuf>,
    maps: Option<PathBuf>,
    current: RwLock<Arc<Login>>,
    reloads: watch::Sender<u64>,
}

impl LoginFiles {
    /// Reads both files; without one, its default.
    pub fn open(rules: Option<&Path>, maps: Option<&Path>) -> Result<Self, LoginFileError> {
        let current = RwLock::new(Arc::new(load(rules, maps)?));
        let (rules, maps) = (rules.map(Path::to_owned), maps.map(Path::to_owned));
        Ok(Self { rules, maps, current, reloads: watch::channel(0).0 })
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Login> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the files say now.
    pub fn read(&self) -> Result<Login, LoginFileError> {
        load(self.rules.as_deref(), self.maps.as_deref())
    }

    /// Puts something in force for those who come from now on.
    pub fn put(&self, new: Login) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    /// Asks the server to read its files again (`pg_reload_conf()`).
    pub fn ask_for_reload(&self) {
        self.reloads.send_modify(|count| *count += 1);
    }

    /// Changes with each [`Self::ask_for_reload`].
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }

    /// The rules as the file has them now, faults included, and the file's name; without a file, `default`.
    pub fn listed_rules(&self) -> std::io::Result<(String, Vec<Listed<Rule>>)> {
        listed(self.rules.as_deref(), DEFAULT_RULES, read_rules)
    }

    /// The maps as the file has them now, faults included, and the file's name; without a file, there are none.
    pub fn listed_maps(&self) -> std::io::Result<(String, Vec<Listed<Mapping>>)> {
        listed(self.maps.as_deref(), "", read_maps)
    }
}

type Lines<T> = Vec<Listed<T>>;

fn listed<T>(path: Option<&Path>, default: &str, read: fn(&str) -> Lines<T>) -> std::io::Result<(String, Lines<T>)> {
    let Some(path) = path else { return Ok(("default".to_owned(), read(default))) };
    Ok((path.display().to_string(), read(&std::fs::read_to_string(path)?)))
}

fn load(rules: Option<&Path>, maps: Option<&Path>) -> Result<Login, LoginFileError> {
    let mut faults = Vec::new();
    let rules = match rules {
        Some(path) => usable(path, read_rules, &mut faults),
        None => read_rules(DEFAULT_RULES).into_iter().filter_map(|line| line.entry.ok()).collect(),
    };
    let maps = maps.map(|path| usable(path, read_maps, &mut faults)).unwrap_or_default();
    if rules.is_empty() && faults.is_empty() {
        // Nobody could come in, not even to mend it: a file that is being written, most likely.
        faults.push("the file of rules contains no entries".to_owned());
    }
    if faults.is_empty() { Ok(Login { rules, maps: UserMaps(maps) }) } else { Err(LoginFileError(faults)) }
}

/// What a file says; what is wrong with it goes to `faults`.
fn usable<T>(path: &Path, read: fn(&str) -> Lines<T>, faults: &mut Vec<String>) -> Vec<T> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.push(format!("could not read \"{}\": {error}", path.display()));
            return Vec::new();
        }
    };
    let mut entries = Vec::new();
    for line in read(&text) {
        match line.entry {
            Ok(entry) => entries.push(entry),
            Err(fault) => faults.push(format!("line {} of \"{}\": {fault}", line.number, path.display())),
        }
    }
    entries
}
