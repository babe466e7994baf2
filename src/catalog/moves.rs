//! Where rows went that were written again unchanged, so that whoever saw them at their old address finds them.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use crate::name::FileId;

/// Rows in the order in which they were written to new files, by their old addresses. Neighbours are kept as one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    /// By file and first position: how many rows, and the number that the first of them got.
    runs: BTreeMap<FileId, BTreeMap<u64, Run>>,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    length: u64,
    first: u64,
}

impl Moves {
    /// Notes the next row that is written.
    pub fn push(&mut self, file: FileId, position: u64) {
        let runs = self.runs.entry(file).or_default();
        let number = self.count;
        self.count += 1;
        if let Some((start, run)) = runs.range_mut(..position).next_back()
            && start + run.length == position
            && run.first + run.length == number
        {
            run.length += 1;
            return;
        }
        runs.insert(position, Run { length: 1, first: number });
    }

    /// Rows that were written.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What it takes to remember them: the number of runs.
    pub fn runs(&self) -> usize {
        self.runs.values().map(BTreeMap::len).sum()
    }

    /// Files that the rows came from.
    pub fn sources(&self) -> impl Iterator<Item = FileId> {
        self.runs.keys().copied()
    }

    /// The number of a row among those that were written, from 0; `None`: it was not.
    fn number(&self, file: FileId, position: u64) -> Option<u64> {
        let (start, run) = self.runs.get(&file)?.range(..=position).next_back()?;
        (position < start + run.length).then(|| run.first + (position - start))
    }

    /// Takes those of a file's rows that were written out of `rows`; gives their numbers among all that were.
    pub fn take(&self, file: FileId, rows: &mut RoaringTreemap) -> RoaringTreemap {
        let mut numbers = RoaringTreemap::new();
        let mut moved = RoaringTreemap::new();
        for position in rows.iter() {
            if let Some(number) = self.number(file, position) {
                moved.insert(position);
                numbers.insert(number);
            }
        }
        *rows -= moved;
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_old_address() {
        let mut moves = Moves::default();
        let (a, b) = (FileId(1), FileId(2));
        for position in [5, 6, 7, 9] {
            moves.push(a, position);
        }
        moves.push(b, 0);
        moves.push(a, 10);
        moves.push(a, 1);
        assert_eq!((moves.count(), moves.runs()), (7, 5));
        let mut rows: RoaringTreemap = [1, 4, 6, 8, 9, 10, 11].into_iter().collect();
        let numbers: Vec<u64> = moves.take(a, &mut rows).iter().collect();
        assert_eq!(numbers, [1, 3, 5, 6]);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [4, 8, 11]);
        assert_eq!(moves.take(FileId(3), &mut rows).len(), 0);
    }
}
