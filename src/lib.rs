//! Boathouse, a lakehouse you can `psql` into.
//!
//! One statement, whatever its door, takes one road: `wire` → `session` → `statement` (parse) → `plan` (pure) → `secure`
//! (prove) → `execute` (effects) → `encode` → `wire`. Each arrow is a type; a stage accepts only the product of the
//! stage before. The map is in `README.md` beside this file.

pub mod error;
pub mod name;
pub mod types;
pub mod setting;
pub mod encode;

pub mod govern;
pub mod catalog;
pub mod metastore;

pub mod lake;
pub mod warehouse;
pub mod context;
pub mod guard;
pub mod pg;
pub mod transaction;

pub mod statement;
pub mod plan;
pub mod secure;
pub mod execute;

pub mod session;
pub mod wire;

pub mod config;
pub mod demo;
pub mod app;
