//! `time with time zone`. Values are bytes in PostgreSQL's order: the time in UTC (microseconds since midnight, which may be
//! of the day before or after), then the offset, in seconds west of Greenwich.

use super::datetime::{DAY_US, Malformed, leading_date, parse_time, split_offset, write_offset, write_time, zone_of};
use crate::setting::Zone;

/// The length of a value.
pub(super) const BYTES: usize = 12;
/// The farthest offset from UTC, in seconds.
const OFFSET_MAX: i32 = 16 * 3600 - 1;

/// A time of day with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeTz {
    /// Microseconds since midnight, where it was read.
    pub(crate) local_us: i64,
    /// Seconds west of Greenwich.
    pub(crate) west: i32,
}

impl TimeTz {
    pub(crate) fn to_bytes(self) -> [u8; BYTES] {
        let utc = self.local_us + i64::from(self.west) * 1_000_000;
        let mut bytes = [0; BYTES];
        let (time, offset) = bytes.split_at_mut(8);
        // With the sign turned, bytes are in the order of the numbers.
        time.copy_from_slice(&(utc ^ i64::MIN).to_be_bytes());
        offset.copy_from_slice(&(self.west ^ i32::MIN).to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, offset) = bytes.split_first_chunk::<8>()?;
        let west = i32::from_be_bytes(offset.try_into().ok()?) ^ i32::MIN;
        let utc = i64::from_be_bytes(*time) ^ i64::MIN;
        Some(Self { local_us: utc - i64::from(west) * 1_000_000, west })
    }

    /// Reads `hh:mm[:ss[.ffffff]]` with an offset; without one, it is that of a zone now.
    pub(crate) fn parse(text: &str, zone: Zone) -> Result<Self, Malformed> {
        // A date before it counts for nothing.
        let text = text.trim();
        let text = if text.contains('-') { leading_date(text).map_or(text, |(_, rest)| rest) } else { text };
        let (time, offset) = split_offset(text.trim());
        let zone = zone_of(offset, zone)?;
        let west = -zone.offset_at(chrono::Utc::now().timestamp_micros());
        if !(-OFFSET_MAX..=OFFSET_MAX).contains(&west) {
            return Err(Malformed::OutOfRange);
        }
        Ok(Self { local_us: parse_time(time)?, west })
    }

    /// From what PostgreSQL sends: the local time and the offset.
    pub(crate) fn from_parts(local_us: i64, west: i32) -> Option<Self> {
        let valid = (0..=DAY_US).contains(&local_us) && (-OFFSET_MAX..=OFFSET_MAX).contains(&west);
        valid.then_some(Self { local_us, west })
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write_time(out, self.local_us);
        write_offset(out, -self.west);
    }
}
