//! Who guesses passwords has to wait: after a few failures each attempt of a user from one network takes its turn, and each
//! failure doubles the pause before the next. Nobody else waits, so a user cannot be locked out from where he is by others
//! elsewhere. Whether the user exists makes no difference.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures without a pause.
const FREE: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Who would have to wait for longer is refused.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// After this long without an attempt, failures are forgotten.
const MEMORY: Duration = Duration::from_mins(15);
/// Users and networks that are remembered. Beyond it the one whose last attempt is the longest ago is forgotten.
const KNOWN_MAX: usize = 10_000;

/// What is remembered of a name, in characters: clients may send longer ones.
const NAME_MAX: usize = 64;

/// A user, as the client calls him, and the network that he comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(String, IpAddr);

#[derive(Debug)]
struct Attempts {
    failures: u32,
    /// How many have begun and not ended: each may fail.
    open: u32,
    /// When the next may begin.
    next: Instant,
    last: Instant,
}

/// Remembers failures, in memory.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Key, Attempts>>);

/// An attempt to log in. Dropped without being told how it ended, it counts neither way: the client has gone.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    key: Key,
    /// How long it has to wait before it begins.
    pub(super) wait: Duration,
}

impl Throttle {
    /// `Err`: how long the user would have to wait, which is too long.
    pub(super) fn begin(&self, user: &str, address: IpAddr, now: Instant) -> Result<Attempt<'_>, Duration> {
        let key = Key(user.chars().take(NAME_MAX).collect(), network(address));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX && !known.contains_key(&key) {
            known.retain(|_, attempts| attempts.open > 0 || now.duration_since(attempts.last) < MEMORY);
            let oldest = known.iter().min_by_key(|(_, attempts)| attempts.last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| known.len() >= KNOWN_MAX) {
                known.remove(&oldest);
            }
        }
        let new = || Attempts { failures: 0, open: 0, next: now, last: now };
        let attempts = known.entry(key.clone()).or_insert_with(new);
        if attempts.open == 0 && now.duration_since(attempts.last) >= MEMORY {
            *attempts = new();
        }
        let begins = attempts.next.max(now);
        let wait = begins.duration_since(now);
        if wait > WAIT_MAX {
            return Err(wait);
        }
        attempts.open += 1;
        attempts.last = now;
        // Before there is something to suspect, a pool may open all of its connections at once.
        let suspected = if attempts.failures < FREE { 0 } else { attempts.failures.saturating_add(attempts.open) };
        attempts.next = begins + pause(suspected);
        Ok(Attempt { throttle: self, key, wait })
    }
}

impl Attempt<'_> {
    /// Tells whether the user is in.
    pub(super) fn end(self, succeeded: bool) {
        let mut known = self.throttle.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            known.remove(&self.key);
        } else if let Some(attempts) = known.get_mut(&self.key) {
            attempts.failures = attempts.failures.saturating_add(1);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut known = self.throttle.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempts) = known.get_mut(&self.key) {
            attempts.open = attempts.open.saturating_sub(1);
        }
    }
}

/// After an attempt that may be the n-th failure.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE + 1) {
        Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(PAUSE_MAX),
        None => Duration::ZERO,
    }
}

/// The first 24 bits of an IPv4 address, 64 of an IPv6 address: what one attacker has easily.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    #[test]
    fn each_failure_doubles_the_pause() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..14 {
            let attempt = throttle.begin("ann", HERE, now).unwrap();
            waits.push(attempt.wait.as_millis());
            now += attempt.wait;
            attempt.end(false);
        }
        assert_eq!(waits, [0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert!(throttle.begin("ann", NEAR, now).unwrap().wait > Duration::ZERO);
        assert_eq!(throttle.begin("ann", FAR, now).unwrap().wait, Duration::ZERO);
        assert_eq!(throttle.begin("bob", HERE, now).unwrap().wait, Duration::ZERO);
        assert_eq!(throttle.begin("ann", HERE, now + MEMORY).unwrap().wait, Duration::ZERO);
    }

    #[test]
    fn attempts_at_the_same_time_take_turns() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let pool: Vec<_> = (0..100).map(|_| throttle.begin("ann", HERE, now).unwrap()).collect();
        assert!(pool.iter().all(|attempt| attempt.wait.is_zero()));
        pool.into_iter().take(3).for_each(|attempt| attempt.end(false));
        let begun: Vec<_> = std::iter::from_fn(|| throttle.begin("ann", HERE, now).ok()).collect();
        let waits: Vec<_> = begun.iter().map(|attempt| attempt.wait.as_millis()).collect();
        assert_eq!(waits, [0, 100, 300, 700, 1500, 3100, 6300, 12_700]);
        assert!(throttle.begin("ann", HERE, now).unwrap_err() > WAIT_MAX);
    }

    #[test]
    fn who_is_in_has_not_failed() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for succeeded in [false, false, false, false, true] {
            let attempt = throttle.begin("ann", HERE, now).unwrap();
            now += attempt.wait;
            attempt.end(succeeded);
        }
        assert_eq!(throttle.begin("ann", HERE, now).unwrap().wait, Duration::ZERO);
        for _gone in 0..10 {
            drop(throttle.begin("ann", HERE, now + MEMORY).unwrap());
        }
    }

    #[test]
    fn not_all_are_remembered() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..KNOWN_MAX + 10 {
            throttle.begin(&format!("u{number}"), HERE, now).unwrap().end(false);
        }
        assert_eq!(throttle.0.lock().unwrap().len(), KNOWN_MAX);
    }
}
