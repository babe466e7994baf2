//! Where the rows of recent compactions went: a transaction that began before one names rows by their old addresses.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::commit::{CommitError, DeletedRows, TableCommit, conflict};
use crate::catalog::{Moves, TableData};
use crate::name::{FileId, ObjectId, SnapshotId};

/// Bytes that compactions may take together; the oldest are forgotten first, the last one is not.
const BYTES_MAX: usize = 256 << 20;
/// What remembering a compaction takes besides its rows, in bytes.
const COMPACTION_BYTES: usize = 512;
/// The same for each of its files.
const TARGET_BYTES: usize = 64;

/// Compactions of this process. What is forgotten is found as a conflict: the old files are gone.
#[derive(Debug, Default)]
pub(super) struct RecentMoves {
    compactions: VecDeque<Compaction>,
    bytes: usize,
}

#[derive(Debug)]
struct Compaction {
    snapshot: SnapshotId,
    table: ObjectId,
    moves: Arc<Moves>,
    /// By the number of its first row.
    targets: BTreeMap<u64, FileId>,
}

impl Compaction {
    fn cost(&self) -> usize {
        self.moves.size_bytes() + self.targets.len() * TARGET_BYTES + COMPACTION_BYTES
    }
}

impl RecentMoves {
    /// Remembers a compaction that was committed; its files have their ids.
    pub(super) fn add(&mut self, snapshot: SnapshotId, table: &TableCommit) {
        let Some(moves) = &table.moves else { return };
        let mut first = 0;
        let mut targets = BTreeMap::new();
        for file in &table.added {
            if let Some(id) = file.id {
                targets.insert(first, id);
            }
            first += file.record_count;
        }
        let compaction = Compaction { snapshot, table: table.table, moves: Arc::clone(moves), targets };
        self.bytes += compaction.cost();
        self.compactions.push_back(compaction);
        while self.bytes > BYTES_MAX
            && self.compactions.len() > 1
            && let Some(oldest) = self.compactions.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.cost());
        }
    }

    /// Forgets compactions that failed after all.
    pub(super) fn forget_after(&mut self, snapshot: SnapshotId) {
        while let Some(compaction) = self.compactions.pop_back_if(|compaction| compaction.snapshot > snapshot) {
            self.bytes = self.bytes.saturating_sub(compaction.cost());
        }
    }

    /// Those of a table after a snapshot, the first first.
    fn since(&self, base: SnapshotId, table: ObjectId) -> impl Iterator<Item = &Compaction> {
        let first = self.compactions.partition_point(|compaction| compaction.snapshot <= base);
        self.compactions.range(first..).filter(move |compaction| compaction.table == table)
    }

    /// Whether a table was compacted after a snapshot.
    pub(super) fn any_since(&self, base: SnapshotId, table: ObjectId) -> bool {
        self.since(base, table).next().is_some()
    }

    /// Gives rows of a table that were seen at `base` the addresses that they have at `head`. A delete file that was written
    /// for a file whose rows are elsewhere by now is not used.
    pub(super) fn follow(
        &self,
        base: SnapshotId,
        head: SnapshotId,
        table: ObjectId,
        deleted: &mut BTreeMap<FileId, DeletedRows>,
    ) {
        for compaction in self.since(base, table).filter(|compaction| compaction.snapshot <= head) {
            let mut moved: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
            for source in compaction.moves.sources() {
                let Some(rows) = deleted.get_mut(&source) else { continue };
                let numbers = compaction.moves.take(source, Arc::make_mut(&mut rows.positions));
                for number in numbers {
                    if let Some((first, target)) = compaction.targets.range(..=number).next_back() {
                        moved.entry(*target).or_default().insert(number - first);
                        rows.file = None;
                    }
                }
            }
            deleted.retain(|_, rows| !rows.positions.is_empty());
            for (target, rows) in moved {
                deleted.insert(target, DeletedRows { positions: Arc::new(rows), file: None });
            }
        }
    }
}

/// Rows that a compaction writes again and that others deleted since it read them are deleted where it puts them.
/// `then`: what it read.
pub(super) fn follow_deletes(
    now: &TableData,
    then: &TableData,
    table: &mut TableCommit,
    moves: &Moves,
) -> Result<(), CommitError> {
    let mut gone = RoaringTreemap::new();
    for (id, rows) in &mut table.deleted {
        let mut dead = dead(now, then, *id, &rows.positions)?;
        if !dead.is_empty() {
            *Arc::make_mut(&mut rows.positions) -= &dead;
            gone |= moves.take(*id, &mut dead);
        }
    }
    table.deleted.retain(|_, rows| !rows.positions.is_empty());
    let mut first = 0;
    let mut gone = gone.iter().peekable();
    for file in &mut table.added {
        let end = first + file.record_count;
        while let Some(number) = gone.next_if(|number| *number < end) {
            Arc::make_mut(&mut file.deletes.inlined).insert(number - first);
        }
        first = end;
    }
    Ok(())
}

/// Those of some rows that are not there any more. `40001` if that is not known.
pub(super) fn dead(
    now: &TableData,
    then: &TableData,
    file: FileId,
    rows: &RoaringTreemap,
) -> Result<RoaringTreemap, CommitError> {
    if file == FileId::INLINED {
        return Ok(rows - now.inlined.ids().as_ref());
    }
    let find = |data: &TableData| data.files.iter().find(|other| other.id == Some(file)).cloned();
    let Some(now) = find(now) else { return Ok(rows.clone()) };
    let mut dead = rows & now.deletes.inlined.as_ref();
    if let Some(written) = &now.deletes.file
        && find(then).is_none_or(|then| then.deletes.file.as_ref() != Some(written))
    {
        let known = written.positions.get().ok_or_else(|| conflict("Rows of a file were deleted meanwhile."))?;
        dead |= rows & known.as_ref();
    }
    Ok(dead)
}
