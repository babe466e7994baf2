//! Boathouse, a lakehouse you can `psql` into.
//!
//! One statement, whatever its door, takes one road: `wire` → `session` → `statement` (parse) → `plan` (pure) → `secure`
//! (prove) → `execute` (effects) → `encode` → `wire`. Each arrow is a type; a stage accepts only the product of the
//! stage before. The map is in `README.md` beside this file.

pub mod activity;
pub mod audit;
pub mod encode;
pub mod error;
pub mod listing;
pub mod name;
pub mod notification;
pub mod secret;
pub mod setting;
pub mod tls;
pub mod types;

pub mod catalog;
pub mod govern;
pub mod metastore;

pub mod advisory;
pub mod context;
pub mod guard;
pub mod lake;
pub mod login;
pub mod pg;
pub mod transaction;
pub mod warehouse;

pub mod execute;
pub mod plan;
pub mod secure;
pub mod statement;

pub mod session;
pub mod upkeep;
pub mod wire;

pub mod app;
pub mod config;
pub mod demo;
