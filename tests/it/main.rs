//! What SQL text cannot say: start-up, authentication, protocol messages, cancellation, restarts, crashes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails where it is wrong, also in a function it calls"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "lengths in messages are small"
)]

mod audit;
mod auth;
mod catalog;
mod clients;
mod copy;
mod crash;
mod docs;
mod expressions;
mod hidden;
mod interop;
mod isolation;
mod lake;
mod login;
mod lookup;
mod metadata;
mod model;
mod nested;
mod protocol;
mod random;
mod s3;
mod secrets;
mod shared;
mod support;
mod transcript;
mod upkeep;
