//! Sequence values. They are handed out in memory, outside transactions; each commit stores how far the sequences it
//! drew from have come, so that no committed value is ever handed out again.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::catalog::Sequence;
use crate::error::{Plain, SqlState};
use crate::name::ObjectId;

/// The last value handed out, by sequence; none for one that was never drawn from.
#[derive(Debug, Default)]
pub struct Sequences(Mutex<HashMap<ObjectId, i64>>);

impl Sequences {
    pub(super) fn new(last_values: HashMap<ObjectId, i64>) -> Self {
        Self(Mutex::new(last_values))
    }

    /// The next `count` values. `2200H` says when the sequence has come to its end.
    pub fn draw(&self, id: ObjectId, name: &str, sequence: &Sequence, count: usize) -> Result<Vec<i64>, Plain> {
        let mut last_values = self.lock();
        let mut last = last_values.get(&id).copied();
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let next = match last {
                None => sequence.start,
                Some(last) => {
                    let next =
                        last.checked_add(sequence.increment).filter(|n| (sequence.min..=sequence.max).contains(n));
                    match next {
                        Some(next) => next,
                        None if sequence.cycle && sequence.increment > 0 => sequence.min,
                        None if sequence.cycle => sequence.max,
                        None => {
                            // What was drawn is not given back.
                            last_values.insert(id, last);
                            return Err(exhausted(name, sequence));
                        }
                    }
                }
            };
            values.push(next);
            last = Some(next);
        }
        if let Some(last) = last {
            last_values.insert(id, last);
        }
        Ok(values)
    }

    /// Forgets all but those of temporary objects.
    pub fn keep_temporary(&self) {
        self.lock().retain(|id, _| id.is_temporary());
    }

    /// The last value handed out, if any was.
    pub fn last(&self, id: ObjectId) -> Option<i64> {
        self.lock().get(&id).copied()
    }

    /// Goes on after `last`; with `None` from the sequence's start.
    pub fn set(&self, id: ObjectId, last: Option<i64>) {
        match last {
            Some(last) => self.lock().insert(id, last),
            None => self.lock().remove(&id),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectId, i64>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn exhausted(name: &str, sequence: &Sequence) -> Plain {
    let (end, value) = if sequence.increment > 0 { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
    Plain::new(
        SqlState::SEQUENCE_LIMIT_EXCEEDED,
        format!("nextval: reached {end} value of sequence \"{name}\" ({value})"),
    )
}
