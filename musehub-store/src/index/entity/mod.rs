//! The tables, by domain. Each entity's documentation names the reads that use it.
//!
//! Ids and places are kept in their text form, moments as milliseconds since 1970-01-01T00:00:00Z.

#![allow(clippy::module_inception, reason = "a file is named for its domain, a module for its table")]
#![expect(unreachable_pub, reason = "sea-orm's derives make public items beside these")]
#![allow(dead_code, reason = "a model mirrors the whole of its table; bulk reads and writes go by column")]

pub(super) mod abuse;
pub(super) mod access;
pub(super) mod history;
pub(super) mod identity;
pub(super) mod intel;
pub(super) mod job;
pub(super) mod mpack;
pub(super) mod object;
pub(super) mod proposal;
pub(super) mod release;
pub(super) mod repo;

#[cfg(test)]
mod tests;
