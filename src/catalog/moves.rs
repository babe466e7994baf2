//! Where rows went that were written again unchanged, so that whoever saw them at their old address finds them.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use crate::name::FileId;

/// Rows in the order in which they were written to new files, by their old addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    files: BTreeMap<FileId, Rows>,
    count: u64,
}

/// Which numbers the rows of one file got, in the form that takes less memory.
#[derive(Clone, Debug, PartialEq)]
enum Rows {
    /// Neighbours that stayed so, by their first position.
    Runs(Vec<Run>),
    /// By position; [`NOT_MOVED`] for a row that was not written.
    Each(Vec<u32>),
}

const NOT_MOVED: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    start: u64,
    length: u64,
    /// The number that the first of them got.
    first: u64,
}

impl Moves {
    /// Rows as they were written: neighbours of a file, by their first position and their count.
    pub fn new(written: &[(FileId, u64, u64)]) -> Self {
        let count = written.iter().map(|(_, _, length)| length).sum();
        let mut sizes: BTreeMap<FileId, (usize, u64)> = BTreeMap::new();
        for (file, start, length) in written {
            let (runs, end) = sizes.entry(*file).or_default();
            *runs += 1;
            *end = (*end).max(start + length);
        }
        let empty = |(runs, end): (usize, u64)| {
            let each = usize::try_from(end).unwrap_or(usize::MAX).saturating_mul(size_of::<u32>());
            if count < u64::from(NOT_MOVED) && each < runs * size_of::<Run>() {
                Rows::Each(vec![NOT_MOVED; usize::try_from(end).unwrap_or(0)])
            } else {
                Rows::Runs(Vec::with_capacity(runs))
            }
        };
        let mut files: BTreeMap<FileId, Rows> = sizes.into_iter().map(|(file, size)| (file, empty(size))).collect();
        let mut first = 0;
        for (file, start, length) in written {
            match files.get_mut(file) {
                Some(Rows::Runs(runs)) => runs.push(Run { start: *start, length: *length, first }),
                Some(Rows::Each(numbers)) => {
                    let places = numbers.iter_mut().skip(usize::try_from(*start).unwrap_or(usize::MAX));
                    for (place, number) in places.zip(first..first + length) {
                        *place = u32::try_from(number).unwrap_or(NOT_MOVED);
                    }
                }
                None => {}
            }
            first += length;
        }
        for rows in files.values_mut() {
            if let Rows::Runs(runs) = rows {
                runs.sort_unstable_by_key(|run| run.start);
            }
        }
        Self { files, count }
    }

    /// Rows that were written.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes that it takes to remember them.
    pub fn size_bytes(&self) -> usize {
        let size = |rows: &Rows| match rows {
            Rows::Runs(runs) => runs.len() * size_of::<Run>(),
            Rows::Each(numbers) => numbers.len() * size_of::<u32>(),
        };
        self.files.values().map(size).sum()
    }

    /// Files that the rows came from.
    pub fn sources(&self) -> impl Iterator<Item = FileId> {
        self.files.keys().copied()
    }

    /// The number of a row among those that were written, from 0; `None`: it was not.
    fn number(&self, file: FileId, position: u64) -> Option<u64> {
        match self.files.get(&file)? {
            Rows::Runs(runs) => {
                let run = runs.get(runs.partition_point(|run| run.start <= position).checked_sub(1)?)?;
                (position < run.start + run.length).then(|| run.first + (position - run.start))
            }
            Rows::Each(numbers) => {
                let number = numbers.get(usize::try_from(position).ok()?)?;
                (*number != NOT_MOVED).then(|| u64::from(*number))
            }
        }
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
        let (a, b) = (FileId(1), FileId(2));
        let written = [(a, 5, 3), (a, 9, 1), (b, 0, 1), (a, 10, 1), (a, 1, 1)];
        let moves = Moves::new(&written);
        assert_eq!(moves.count(), 7);
        let mut rows: RoaringTreemap = [1, 4, 6, 8, 9, 10, 11].into_iter().collect();
        let numbers: Vec<u64> = moves.take(a, &mut rows).iter().collect();
        assert_eq!(numbers, [1, 3, 5, 6]);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [4, 8, 11]);
        assert_eq!(moves.take(FileId(3), &mut rows).len(), 0);
        // The same rows far apart are remembered as runs.
        let far = Moves::new(&written.map(|(file, start, length)| (file, start + 1_000_000, length)));
        assert_eq!(far.number(a, 1_000_006), moves.number(a, 6));
        assert_eq!((far.number(a, 1_000_008), moves.number(a, 8)), (None, None));
        assert!(far.size_bytes() < 1000 && moves.size_bytes() < 100);
    }
}
