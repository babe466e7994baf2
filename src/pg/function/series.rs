//! `generate_series`: values from one to another, step by step.

use std::cmp::Ordering;

use crate::error::{Plain, SqlState};

/// Values that one array may have: 2^26. Series of literal numbers in FROM are not made as one.
const VALUES_MAX: usize = 1 << 26;

/// The values from `start` to `stop`. `direction`: how the step compares with none. `next`: the value after one, `None` where
/// it cannot be counted any more. `22023`, `54000`
pub(super) fn series<T: Copy + PartialOrd>(
    start: T,
    stop: T,
    direction: Ordering,
    next: impl Fn(T) -> Result<Option<T>, Plain>,
) -> Result<Vec<T>, Plain> {
    if direction == Ordering::Equal {
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
    }
    let mut values = Vec::new();
    let mut at = Some(start);
    while let Some(value) = at {
        let order = value.partial_cmp(&stop);
        if order != Some(Ordering::Equal) && order != Some(direction.reverse()) {
            break;
        }
        if values.len() == VALUES_MAX {
            let message = format!("a series has more than {VALUES_MAX} values");
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        values.push(value);
        at = next(value)?;
    }
    Ok(values)
}
