//! Records in their files: how a line is made, read and held against the one before.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The hash before the first record.
pub(super) const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What files are called, around their number.
const NAME: (&str, &str) = ("audit-", ".jsonl");
/// Text that [`read`] takes at most, from the newest file back.
const READ_BYTES_MAX: u64 = 256 << 20;

/// A record with its hash, as a line.
pub(super) fn line(previous: &str, record: &str) -> (String, String) {
    let hash = hash(previous, record);
    let line = format!("{{\"hash\":\"{hash}\",\"record\":{record}}}\n");
    (hash, line)
}

fn hash(previous: &str, record: &str) -> String {
    let digest = Sha256::new().chain_update(previous.as_bytes()).chain_update(record.as_bytes()).finalize();
    format!("{digest:x}")
}

/// Hash and record of a line; `None`: it is none, or not all of it.
pub(super) fn parts(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("{\"hash\":\"")?;
    let (hash, rest) = rest.split_at_checked(BEGINNING.len())?;
    Some((hash, rest.strip_prefix("\",\"record\":")?.strip_suffix('}')?))
}

/// The files of a trail, from the oldest on.
pub(super) fn files(directory: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{}{number:08}{}", NAME.0, NAME.1))
}

/// What every record has.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    /// Its number in the trail, from 1.
    pub(super) seq: u64,
    /// The server's name for itself.
    pub(super) node: String,
    /// Of the first record of a file: the hash that the file before ends with.
    pub(super) previous: Option<String>,
}

/// What a trail is found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Records that are there.
    pub records: u64,
    /// The number of the first of them; older ones may have been put away with their files.
    pub first: Option<u64>,
    /// The number of the last.
    pub last: Option<u64>,
    /// The hash that it ends with: noted elsewhere, it shows later whether something was cut off.
    pub head: Option<String>,
    /// The first record that does not follow from the one before, or is none, as file and line.
    pub broken: Option<String>,
}

/// Computes all hashes of a trail anew, up to the first that is wrong.
pub fn verify(directory: &Path) -> std::io::Result<Trail> {
    let mut trail = Trail::default();
    for (_, path) in files(directory)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut lines = BufReader::new(std::fs::File::open(&path)?);
        let (mut text, mut number) = (String::new(), 0_u64);
        loop {
            text.clear();
            if lines.read_line(&mut text)? == 0 {
                break;
            }
            number += 1;
            // A line without its end is being written.
            let Some(whole) = text.strip_suffix('\n') else { break };
            let broken = Some(format!("{name}, line {number}"));
            let Some((told, record)) = parts(whole) else { return Ok(Trail { broken, ..trail }) };
            let Ok(head) = serde_json::from_str::<Head>(record) else { return Ok(Trail { broken, ..trail }) };
            // The first file that is there says what it goes on from.
            let previous = trail.head.clone().or_else(|| head.previous.clone()).unwrap_or_default();
            let begins = number != 1 || head.previous.as_ref() == Some(&previous);
            let follows = trail.last.is_none_or(|last| head.seq == last + 1);
            if !begins || !follows || hash(&previous, record) != told {
                return Ok(Trail { broken, ..trail });
            }
            trail.records += 1;
            trail.first.get_or_insert(head.seq);
            trail.last = Some(head.seq);
            trail.head = Some(told.to_owned());
        }
    }
    Ok(trail)
}

/// A record as it is read.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Found {
    /// Its number in the trail.
    pub seq: u64,
    /// When it was written, in UTC.
    pub at: String,
    /// The server.
    pub node: String,
    /// What kind of thing it is about.
    pub class: String,
    /// What happened.
    pub event: String,
    /// The connection's number.
    pub pid: i32,
    /// Who logged in.
    pub login_role: String,
    /// The session's user.
    pub session_role: String,
    /// The current user.
    pub effective_role: String,
    /// The client's address.
    pub client: String,
    /// What the client calls itself.
    pub application: String,
    /// The command tag.
    pub command: String,
    /// The message without its literals.
    pub statement: String,
    /// What it took.
    pub objects: serde_json::Value,
    /// Under which policies.
    pub policies: Vec<String>,
    /// How many rows.
    pub rows: Option<i64>,
    /// Whether all rows were read.
    pub complete: Option<bool>,
    /// How long it took.
    pub duration_us: Option<i64>,
    /// Why it failed.
    pub sqlstate: Option<String>,
    /// More about other events.
    pub detail: String,
    /// The line's hash.
    #[serde(skip)]
    pub hash: String,
}

/// The newest records, as many as are in a quarter of a gibibyte, in order. Lines that are none are left out.
pub fn read(directory: &Path) -> std::io::Result<Vec<Found>> {
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for (_, path) in files(directory)?.into_iter().rev() {
        bytes += std::fs::metadata(&path)?.len();
        if bytes > READ_BYTES_MAX && !chosen.is_empty() {
            break;
        }
        chosen.push(path);
    }
    let mut all = Vec::new();
    for path in chosen.into_iter().rev() {
        for line in BufReader::new(std::fs::File::open(&path)?).lines() {
            let line = line?;
            let Some((hash, record)) = parts(&line) else { continue };
            if let Ok(found) = serde_json::from_str::<Found>(record) {
                all.push(Found { hash: hash.to_owned(), ..found });
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{BEGINNING, file, line, verify};

    fn written(directory: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        let mut previous = BEGINNING.to_owned();
        for seq in 1..=5 {
            let first = if seq == 1 { format!(",\"previous\":\"{BEGINNING}\"") } else { String::new() };
            let (hash, line) = line(&previous, &format!("{{\"seq\":{seq},\"node\":\"n\"{first}}}"));
            previous = hash;
            lines.push(line);
        }
        std::fs::write(file(directory, 1), lines.concat()).unwrap();
        lines
    }

    #[test]
    fn what_was_changed_shows() {
        let directory = tempfile::tempdir().unwrap();
        let lines = written(directory.path());
        let trail = verify(directory.path()).unwrap();
        assert_eq!((trail.records, trail.first, trail.last, trail.broken), (5, Some(1), Some(5), None));
        let broken = |lines: &[String]| {
            std::fs::write(file(directory.path(), 1), lines.concat()).unwrap();
            verify(directory.path()).unwrap().broken
        };
        let at = |line: usize| Some(format!("audit-00000001.jsonl, line {line}"));
        let mut changed = lines.clone();
        changed.remove(2);
        assert_eq!(broken(&changed), at(3), "a record is taken out");
        changed = lines.clone();
        changed.swap(1, 2);
        assert_eq!(broken(&changed), at(2), "records change places");
        for (at_line, text) in lines.iter().enumerate() {
            for byte in 0..text.len() - 1 {
                let mut bytes = text.clone().into_bytes();
                *bytes.get_mut(byte).unwrap() ^= 1;
                let Ok(flipped) = String::from_utf8(bytes) else { continue };
                changed = lines.clone();
                *changed.get_mut(at_line).unwrap() = flipped;
                assert_eq!(broken(&changed), at(at_line + 1), "byte {byte}");
            }
        }
    }
}
