//! What the programs of this package share: comparisons that name the statement, and tell each difference before the program ends.
use futures_util::FutureExt;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Checks of what a server is known not to do, marked by a word in capitals and a colon: ALL=1 runs them, too.
pub fn all() -> bool {
    std::env::var("ALL").is_ok_and(|value| value == "1")
}

/// Of the environment.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub fn fail(statement: &str, what: impl Display) {
    FAILED.fetch_add(1, Ordering::Relaxed);
    eprintln!("{statement}: {what}");
}

/// The very value.
pub fn same<T: Debug + PartialEq<U>, U: Debug>(statement: &str, got: T, wanted: U) {
    if got != wanted {
        fail(statement, format_args!("got {got:?}, wanted {wanted:?}"));
    }
}

/// An error with those it comes from.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        next = cause.source();
    }
    said
}

/// No error, and this value.
pub fn gives<T: Debug + PartialEq<U>, U: Debug, E: Error + 'static>(statement: &str, got: Result<T, E>, wanted: U) {
    match got {
        Ok(got) => same(statement, got, wanted),
        Err(error) => fail(statement, format_args!("{}, wanted {wanted:?}", chain(&error))),
    }
}

/// No error.
pub fn works<T, E: Error + 'static>(statement: &str, got: Result<T, E>) -> Option<T> {
    got.map_err(|error| fail(statement, chain(&error))).ok()
}

/// A part of the program: what goes wrong in it is told, and the next one begins.
pub async fn part<E: Error + 'static>(name: &str, part: impl Future<Output = Result<(), E>>) {
    match tokio::time::timeout(Duration::from_secs(120), AssertUnwindSafe(part).catch_unwind()).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => fail(name, format_args!("ends with {}", chain(&error))),
        Ok(Err(_)) => fail(name, "panics"),
        Err(_) => fail(name, "does not end"),
    }
}

/// The end of the program.
pub fn done() {
    let failed = FAILED.load(Ordering::Relaxed);
    assert!(failed == 0, "{failed} answers are not PostgreSQL's");
}
