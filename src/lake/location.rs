//! Checked addresses of files: canonical, and inside what the operator allows.

use std::fmt;
use std::path::Path;

use url::Url;

use crate::error::{Report, SqlState};

/// A file or folder that may be read. Only [`Location::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Url);

/// Why a text is not a location that may be read.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// `22023`: no URL or absolute path, or with parts that a location may not have.
    #[error("invalid location \"{location}\"")]
    Malformed {
        /// The text as it was given.
        location: String,
        /// What is wrong with it, shown as DETAIL.
        detail: String,
    },
    /// `42501`: outside the prefixes of `lake.allow`.
    #[error("permission denied for location \"{location}\"")]
    NotAllowed {
        /// The text as it was given.
        location: String,
    },
    /// `0A000`: of another scheme than `file` and `s3`.
    #[error("location \"{location}\" is not supported")]
    Scheme {
        /// The text as it was given.
        location: String,
    },
}

impl Report for LocationError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Malformed { .. } => SqlState::INVALID_PARAMETER_VALUE,
            Self::NotAllowed { .. } => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::Scheme { .. } => SqlState::FEATURE_NOT_SUPPORTED,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Malformed { detail, .. } => Some(detail.clone()),
            Self::NotAllowed { .. } => {
                Some("It is outside the prefixes of the configuration key lake.allow.".to_owned())
            }
            Self::Scheme { .. } => None,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Scheme { .. } => Some("Locations start with file:// or s3://.".to_owned()),
            Self::Malformed { .. } | Self::NotAllowed { .. } => None,
        }
    }
}

impl Location {
    /// Canonicalises a location and holds it against the allowed prefixes (which are canonical and end with a slash).
    pub fn check(text: &str, allow: &[String]) -> Result<Self, LocationError> {
        let url = canonical(text)?;
        let allowed =
            allow.iter().any(|prefix| url.as_str().starts_with(prefix.as_str()) || format!("{url}/") == *prefix);
        if allowed { Ok(Self(url)) } else { Err(LocationError::NotAllowed { location: text.to_owned() }) }
    }

    /// A prefix of the configuration, canonical and with a slash at its end.
    pub fn prefix(text: &str) -> Result<String, LocationError> {
        let url = canonical(text)?;
        Ok(if url.as_str().ends_with('/') { url.to_string() } else { format!("{url}/") })
    }

    /// The canonical form: no dot segments, symbolic links of a local path followed.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it means all files below a folder: it ends with a slash, as every local directory does.
    pub fn is_folder(&self) -> bool {
        self.0.path().ends_with('/')
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn canonical(text: &str) -> Result<Url, LocationError> {
    let malformed = |detail: &str| LocationError::Malformed { location: text.to_owned(), detail: detail.to_owned() };
    // A plain path means a local file.
    let url = if text.starts_with('/') {
        Url::from_file_path(text).map_err(|()| malformed("It is not an absolute path."))?
    } else {
        Url::parse(text).map_err(|error| malformed(&error.to_string()))?
    };
    if !matches!(url.scheme(), "file" | "s3") {
        return Err(LocationError::Scheme { location: text.to_owned() });
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
        || url.port().is_some()
    {
        return Err(malformed("A location has no query, fragment, user or port."));
    }
    // The URL parser removes dot segments; what it leaves encoded must not bring them back.
    let decoded = percent_decoded(url.path());
    if decoded.contains('\\')
        || decoded.contains('\0')
        || decoded.contains("//")
        || decoded.split('/').any(|part| part == "..")
    {
        return Err(malformed("A location's path has no backslash, empty or parent segment."));
    }
    if url.scheme() == "s3" {
        return if url.host_str().is_some_and(|bucket| !bucket.is_empty()) {
            Ok(url)
        } else {
            Err(malformed("The bucket is missing."))
        };
    }
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err(malformed("A local location has three slashes: file:///path."));
    }
    local(&decoded).ok_or_else(|| malformed("The path cannot be resolved."))
}

/// Follows symbolic links as far as the path exists.
fn local(path: &str) -> Option<Url> {
    let folder = path.ends_with('/') || Path::new(path).is_dir();
    let mut existing = Path::new(path);
    let mut missing = Vec::new();
    let resolved = loop {
        match existing.canonicalize() {
            Ok(resolved) => break resolved,
            Err(_) => {
                missing.push(existing.file_name()?);
                existing = existing.parent()?;
            }
        }
    };
    let full = missing.iter().rev().fold(resolved, |path, part| path.join(part));
    if folder { Url::from_directory_path(full).ok() } else { Url::from_file_path(full).ok() }
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                bytes.push(digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0));
                rest = tail;
            }
            (byte, tail) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn only_inside_the_allowed_prefixes() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::create_dir(root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("out"), root.join("in/link")).unwrap();
        let root = root.display();
        let allow = vec![Location::prefix(&format!("file://{root}/in")).unwrap(), "s3://bucket/a/".to_owned()];
        for (text, allowed) in [
            (format!("file://{root}/in/x.csv"), true),
            (format!("{root}/in/x.csv"), true),
            (format!("file://{root}/in"), true),
            (format!("file://{root}/in/../out/x"), false),
            (format!("file://{root}/in/%2e%2e/out/x"), false),
            (format!("file://{root}/in/link/x"), false),
            (format!("file://{root}/inside/x"), false),
            (format!("file://host{root}/in/x"), false),
            ("s3://bucket/a/b".to_owned(), true),
            ("s3://bucket/ab".to_owned(), false),
            ("s3://user@bucket/a/b".to_owned(), false),
            ("s3://bucket/a/b?x=1".to_owned(), false),
            ("http://bucket/a/b".to_owned(), false),
        ] {
            assert_eq!(Location::check(&text, &allow).is_ok(), allowed, "{text}");
        }
    }
}
