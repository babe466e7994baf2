//! What SQL text cannot say: start-up, authentication, protocol messages, cancellation, restarts, crashes.

mod auth;
mod catalog;
mod clients;
mod copy;
mod crash;
mod interop;
mod lake;
mod protocol;
mod s3;
mod support;
mod transcript;
