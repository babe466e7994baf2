//! Keys that recent commits gave their rows, so that two transactions that did not see each other cannot both have one.
//! Servers that share a database tell each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use super::MetastoreError;
use super::db::{Db, Script, Value};
use crate::catalog::Claims;
use crate::name::{ObjectId, SnapshotId};

/// Hashes that are remembered; the oldest commits are forgotten first.
const REMEMBERED_MAX: usize = 4 << 20;

/// What remembering a commit takes besides its hashes, in hashes.
const COMMIT_COST: usize = 16;

/// Hashes that one commit tells other servers of one index; of more, only that there were too many.
const TOLD_MAX: usize = 10_000;
/// Commits whose hashes are kept for other servers.
const TOLD_COMMITS: i64 = 10_000;
/// After so many commits those that are too old are forgotten.
const FORGET_INTERVAL: i64 = 1_000;

/// Keys of an index that a commit gave its rows.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) snapshot: SnapshotId,
    pub(super) index: ObjectId,
    /// `None`: too many to be told, or told by a server of another version.
    pub(super) claims: Option<Claims>,
}

/// Tells other servers what a commit gave its rows.
pub(super) fn tell<'a>(
    script: &mut Script,
    snapshot: SnapshotId,
    claimed: impl Iterator<Item = (ObjectId, &'a Claims)>,
) {
    let rows = claimed.map(|(index, claims)| {
        let few = (claims.len() <= TOLD_MAX).then(|| {
            claims.iter().fold(String::with_capacity(claims.len() * DIGITS), |mut text, hash| {
                // A String takes everything.
                let _always = write!(text, "{hash:0DIGITS$x}");
                text
            })
        });
        vec![snapshot.0.into(), index.0.into(), VERSION.into(), claims.arbitrated.into(), few.into()]
    });
    let columns = ["snapshot_id", "index_id", "version", "arbitrated", "hashes"];
    script.insert("boathouse_claim", &columns, rows.collect());
    if snapshot.0 % FORGET_INTERVAL == 0 {
        let oldest = Value::from(snapshot.0 - TOLD_COMMITS);
        script.execute("DELETE FROM boathouse_claim WHERE snapshot_id < $1", vec![oldest]);
    }
}

/// Digits of a hash.
const DIGITS: usize = 16;
/// Other versions may make other hashes of keys.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What commits after one snapshot up to another told; `None`: it may not be kept any more.
pub(super) async fn told(db: &Db, after: SnapshotId, last: SnapshotId) -> Result<Option<Vec<Told>>, MetastoreError> {
    if last.0 - after.0 > TOLD_COMMITS {
        return Ok(None);
    }
    let sql = "SELECT snapshot_id, index_id, arbitrated, hashes, version FROM boathouse_claim
                WHERE snapshot_id > $1 AND snapshot_id <= $2 ORDER BY snapshot_id";
    let corrupt = |error: std::num::ParseIntError| MetastoreError::Corrupt(error.to_string());
    let mut all = Vec::new();
    for row in db.query(sql, vec![after.0.into(), last.0.into()]).await? {
        let own = row.text(4)? == VERSION;
        let hashes = row.text_or_null(3)?.filter(|_| own).map(|text| {
            let hashes = text.as_bytes().chunks(DIGITS).map(|digits| {
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                u64::from_str_radix(digits, 16).map_err(corrupt)
            });
            hashes.collect::<Result<Vec<u64>, _>>()
        });
        let arbitrated = row.int(2)? != 0;
        all.push(Told {
            snapshot: SnapshotId(row.int(0)?),
            index: ObjectId(row.int(1)?),
            claims: hashes.transpose()?.map(|hashes| Claims::new(hashes, arbitrated)),
        });
    }
    Ok(Some(all))
}

/// Hashes of keys by commit. Of what others committed, those that were told.
#[derive(Debug)]
pub(super) struct RecentClaims {
    /// What was committed after this snapshot is remembered.
    since: SnapshotId,
    commits: VecDeque<(SnapshotId, ObjectId, HashSet<u64>)>,
    hashes: usize,
    /// The last commit that took rows from a table.
    deleted: HashMap<ObjectId, SnapshotId>,
    /// The last commit that gave a table's rows keys that are not known.
    unknown: HashMap<ObjectId, SnapshotId>,
}

/// Whether keys are still free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Free,
    Taken,
    /// They were taken; but rows of the table went, too, and those may be among them.
    TakenAtTimes,
    /// Too long ago, or another server took some.
    Unknown,
}

impl RecentClaims {
    pub(super) fn new(head: SnapshotId) -> Self {
        Self { since: head, commits: VecDeque::new(), hashes: 0, deleted: HashMap::new(), unknown: HashMap::new() }
    }

    /// Whether a commit after `base` gave a row one of these keys.
    pub(super) fn verdict(&self, base: SnapshotId, table: ObjectId, index: ObjectId, claims: &Claims) -> Verdict {
        if base < self.since || self.unknown.get(&table).is_some_and(|snapshot| base < *snapshot) {
            return Verdict::Unknown;
        }
        let later = self.commits.iter().rev().take_while(|(snapshot, ..)| *snapshot > base);
        let mut own = None;
        for (_, _, taken) in later.filter(|(_, other, _)| *other == index) {
            let both = if claims.len() <= taken.len() {
                claims.iter().any(|hash| taken.contains(&hash))
            } else {
                let own = own.get_or_insert_with(|| claims.iter().collect::<HashSet<u64>>());
                taken.iter().any(|hash| own.contains(hash))
            };
            if both {
                let deleted = self.deleted.get(&table).is_some_and(|snapshot| *snapshot > base);
                return if deleted { Verdict::TakenAtTimes } else { Verdict::Taken };
            }
        }
        Verdict::Free
    }

    /// Remembers that a commit gave a table's rows keys that are not known.
    pub(super) fn unknown(&mut self, snapshot: SnapshotId, table: ObjectId) {
        self.unknown.insert(table, snapshot);
    }

    /// Remembers that a commit took rows from a table.
    pub(super) fn delete(&mut self, snapshot: SnapshotId, table: ObjectId) {
        self.deleted.insert(table, snapshot);
    }

    /// Forgets commits that failed after all.
    pub(super) fn forget_after(&mut self, snapshot: SnapshotId) {
        while let Some((.., hashes)) = self.commits.pop_back_if(|(later, ..)| *later > snapshot) {
            self.hashes = self.hashes.saturating_sub(hashes.len() + COMMIT_COST);
        }
    }

    /// Remembers what a commit gave its rows.
    pub(super) fn add(&mut self, snapshot: SnapshotId, index: ObjectId, claims: &Claims) {
        self.hashes += claims.len() + COMMIT_COST;
        self.commits.push_back((snapshot, index, claims.iter().collect()));
        while self.hashes > REMEMBERED_MAX {
            let Some((oldest, _, hashes)) = self.commits.pop_front() else { return };
            self.hashes = self.hashes.saturating_sub(hashes.len() + COMMIT_COST);
            self.since = oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(hashes: &[u64]) -> Claims {
        Claims::new(hashes.to_vec(), false)
    }

    #[test]
    fn only_later_commits_of_the_same_index_take_a_key() {
        let mut recent = RecentClaims::new(SnapshotId(10));
        let (index, other) = (ObjectId(5), ObjectId(6));
        recent.add(SnapshotId(11), index, &claims(&[1, 2]));
        recent.add(SnapshotId(12), other, &claims(&[3]));
        let table = ObjectId(4);
        let verdict = |base, index, hashes: &[u64]| recent.verdict(SnapshotId(base), table, index, &claims(hashes));
        assert_eq!(verdict(10, index, &[2]), Verdict::Taken);
        assert_eq!(verdict(10, index, &[7, 8, 9, 2]), Verdict::Taken);
        assert_eq!(verdict(11, index, &[2]), Verdict::Free);
        assert_eq!(verdict(10, index, &[3]), Verdict::Free);
        assert_eq!(verdict(10, other, &[3]), Verdict::Taken);
        assert_eq!(verdict(9, other, &[4]), Verdict::Unknown);
        recent.delete(SnapshotId(12), table);
        let verdict = |base| recent.verdict(SnapshotId(base), table, index, &claims(&[2]));
        assert_eq!((verdict(10), verdict(11)), (Verdict::TakenAtTimes, Verdict::Free));
    }

    #[test]
    fn what_is_forgotten_is_not_known_to_be_free() {
        let mut recent = RecentClaims::new(SnapshotId(0));
        let many: Vec<u64> = (0..(REMEMBERED_MAX as u64)).collect();
        recent.add(SnapshotId(1), ObjectId(5), &claims(&many));
        recent.add(SnapshotId(2), ObjectId(5), &claims(&[u64::MAX]));
        assert_eq!(recent.verdict(SnapshotId(0), ObjectId(4), ObjectId(5), &claims(&[7])), Verdict::Unknown);
        assert_eq!(recent.verdict(SnapshotId(1), ObjectId(4), ObjectId(5), &claims(&[7])), Verdict::Free);
        assert_eq!(recent.verdict(SnapshotId(1), ObjectId(4), ObjectId(5), &claims(&[u64::MAX])), Verdict::Taken);
    }
}
