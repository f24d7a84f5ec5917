//! What must hold of every decoder, whatever it is fed: one function for each, which panics where it does not hold.
//!
//! The fuzzer (`scripts/fuzz`) calls them with what it makes up, the tests of this crate with what it found and kept. None of
//! them only waits for a panic of the decoder: what is decoded is encoded again, every id is computed a second time with
//! formulas of its own, limits are looked after, and where one thing has two decoders, both must say the same.

#![warn(missing_docs)]
#![allow(clippy::unwrap_used, reason = "only tests call this; a failure should stop them where it stands")]

mod branch_name;
mod bundle;
mod canonical_object;
mod id;
mod json_bundle;
mod manifest_path;
mod msgpack_bundle;
mod pack;
mod pack_forms;
mod records;

pub use branch_name::branch_name;
pub use canonical_object::canonical_object;
pub use id::id;
pub use json_bundle::json_bundle;
pub use manifest_path::manifest_path;
pub use msgpack_bundle::msgpack_bundle;
pub use pack::pack;

/// A check: panics where something does not hold of the decoders that it feeds. Says whether one of them took what it was fed.
pub type Check = fn(&[u8]) -> bool;

/// Every check, by the name of its fuzz target.
pub const CHECKS: [(&str, Check); 7] = [
    ("pack", pack),
    ("msgpack_bundle", msgpack_bundle),
    ("json_bundle", json_bundle),
    ("canonical_object", canonical_object),
    ("id", id),
    ("branch_name", branch_name),
    ("manifest_path", manifest_path),
];

/// The size of the pieces in which `data` arrives the second time: it depends on nothing but `data`, so that every failure
/// can be had again.
fn piece_size(data: &[u8]) -> usize {
    1 + data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31) ^ usize::from(*byte)) % 67
}

/// SHA-256, by another implementation than the hub's.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}
