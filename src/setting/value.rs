//! Reading and normalising a setting's value.

use std::time::Duration;

use super::{Kind, Setting, Zone};
use crate::error::{Report, SqlState};
use crate::name::{fold, quote};

/// Why a setting cannot have a value.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// `42704`: there is no such setting, and users' own have a dot in their name.
    #[error("unrecognized configuration parameter \"{name}\"")]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// `55P02`: users may only look at it.
    #[error("parameter \"{name}\" cannot be changed")]
    Fixed {
        /// The setting's name in its own spelling.
        name: &'static str,
    },
    /// `55P02`: it is the server's.
    #[error("parameter \"{name}\" cannot be changed now")]
    NotNow {
        /// The setting's name in its own spelling.
        name: &'static str,
    },
    /// `0A000`: each session has its own.
    #[error("ALTER SYSTEM for the parameter \"{name}\" is not supported")]
    NotSystem {
        /// The setting's name in its own spelling.
        name: &'static str,
    },
    /// `22023`: the setting does not take this value.
    #[error("invalid value for parameter \"{name}\": \"{value}\"")]
    Invalid {
        /// The setting's name in its own spelling.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// The values that it takes, for the hint.
        expected: String,
    },
    /// `0A000`: PostgreSQL takes this value, this server does not.
    #[error("{name} = \"{value}\" is not supported")]
    Unsupported {
        /// The setting's name in its own spelling.
        name: &'static str,
        /// The value that was given.
        value: String,
    },
}

impl Report for SettingError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Unknown { .. } => SqlState::UNDEFINED_OBJECT,
            Self::Fixed { .. } | Self::NotNow { .. } => SqlState::CANT_CHANGE_RUNTIME_PARAM,
            Self::Invalid { .. } => SqlState::INVALID_PARAMETER_VALUE,
            Self::Unsupported { .. } | Self::NotSystem { .. } => SqlState::FEATURE_NOT_SUPPORTED,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { expected, .. } => Some(format!("Available values: {expected}.")),
            Self::NotNow { .. } => Some("Use ALTER SYSTEM SET.".to_owned()),
            Self::NotSystem { .. } => Some("Use ALTER ROLE … SET, or SET in each session.".to_owned()),
            Self::Unknown { .. } | Self::Fixed { .. } | Self::Unsupported { .. } => None,
        }
    }
}

/// The value in the form in which SHOW prints it.
pub(super) fn canonical(setting: &Setting, value: &str) -> Result<String, SettingError> {
    let invalid = |expected: String| SettingError::Invalid { name: setting.name, value: value.to_owned(), expected };
    let unsupported = || SettingError::Unsupported { name: setting.name, value: value.to_owned() };
    match setting.kind {
        Kind::Bool => boolean(value)
            .map(|on| if on { "on" } else { "off" }.to_owned())
            .ok_or_else(|| invalid("on, off".to_owned())),
        Kind::Int { min, max } => match value.trim().parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => Err(invalid(format!("{min} to {max}"))),
        },
        Kind::Milliseconds { max } => match milliseconds(value) {
            Some(duration) if duration.as_millis() <= u128::from(max) => Ok(show_duration(duration)),
            _ => Err(invalid("a duration such as 500ms, 10s or 5min; 0 for none".to_owned())),
        },
        Kind::Word(words) => {
            let folded = fold(value.trim());
            // Values of our own kind of boolean settings that have one value only.
            if words == ["on"] && boolean(value) == Some(false)
                || words == ["hex"] && folded == "escape"
                || setting.name == "default_transaction_isolation" && folded == "serializable"
            {
                return Err(unsupported());
            }
            let word = words.iter().find(|word| **word == folded || (**word == "on" && boolean(value) == Some(true)));
            match word {
                Some(word) => Ok((*word).to_owned()),
                None if setting.name == "IntervalStyle"
                    && matches!(folded.as_str(), "sql_standard" | "postgres_verbose") =>
                {
                    Err(unsupported())
                }
                None => Err(invalid(words.join(", "))),
            }
        }
        Kind::Text => Ok(value.to_owned()),
        Kind::Names => Ok(names(value)
            .iter()
            .map(|name| if name == "$user" { "\"$user\"".to_owned() } else { quote(name) })
            .collect::<Vec<_>>()
            .join(", ")),
        Kind::TimeZone => match Zone::setting(value) {
            Some(zone) => Ok(zone),
            None => Err(invalid("names of the IANA time zone database, UTC, or hours east of Greenwich".to_owned())),
        },
        Kind::DateStyle => {
            let mut order = "MDY";
            for word in value.split(',').map(|word| word.trim().to_ascii_uppercase()) {
                match word.as_str() {
                    "ISO" => {}
                    "MDY" | "US" | "NONEURO" | "NONEUROPEAN" => order = "MDY",
                    "SQL" | "POSTGRES" | "GERMAN" | "DMY" | "EURO" | "EUROPEAN" | "YMD" => return Err(unsupported()),
                    _ => return Err(invalid("ISO, MDY".to_owned())),
                }
            }
            Ok(format!("ISO, {order}"))
        }
        // Only letters and digits of an encoding's name count: asyncpg sends it in quotes.
        Kind::Encoding => match value.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_ascii_lowercase().as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            _ => Err(unsupported()),
        },
    }
}

pub(super) fn boolean(value: &str) -> Option<bool> {
    match fold(value.trim()).as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// A duration with a unit; milliseconds without one.
pub(super) fn milliseconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let scale = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(scale)?))
}

/// With the largest unit that needs no fraction.
fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match units.into_iter().find(|(scale, _)| ms >= *scale && ms.is_multiple_of(*scale)) {
        _ if ms == 0 => "0".to_owned(),
        Some((scale, unit)) => format!("{}{unit}", ms / scale),
        None => format!("{ms}ms"),
    }
}

/// Names with commas between them, some of them quoted.
pub(super) fn names(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                if c == '"' {
                    if chars.peek().is_some_and(|(_, next)| *next == '"') {
                        chars.next();
                    } else {
                        end = at + 1;
                        break;
                    }
                }
                name.push(c);
            }
            names.push(name);
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (name, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if !name.trim().is_empty() {
                names.push(fold(name.trim()));
            }
            rest = tail;
        }
        rest = rest.trim_start().trim_start_matches(',').trim_start();
    }
    names
}
