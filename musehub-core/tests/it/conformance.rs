//! The suites of every port against the in-memory adapters.

use futures::executor::block_on;
use musehub_core::conformance::{
    access, branch_claims, fetch_packs, history_index, identity, index_pages, intel, job_control, job_queue,
    maintenance_index, mpack_store, object_store, proposals, rate_limits, ref_store, release_store,
    repository_index, staging, unstored_index,
};
use musehub_core::memory::{MemoryIndex, MemoryMpacks, MemoryObjects, MemoryRates, MemoryRefs};

#[test]
fn objects_in_memory_keep_their_contract() {
    block_on(object_store::run(async || MemoryObjects::new()));
}

#[test]
fn staging_in_memory_keeps_its_contract() {
    block_on(staging::run(async || MemoryObjects::new()));
}

#[test]
fn refs_in_memory_keep_their_contract() {
    block_on(ref_store::run(async || MemoryRefs::new()));
}

#[test]
fn repositories_in_memory_keep_their_contract() {
    block_on(repository_index::run(async || MemoryIndex::new()));
}

#[test]
fn history_in_memory_keeps_its_contract() {
    block_on(history_index::run(async || MemoryIndex::new()));
}

#[test]
fn history_in_memory_without_a_window_keeps_its_contract() {
    block_on(history_index::run(async || MemoryIndex::new().with_window(false)));
}

#[test]
fn claims_in_memory_keep_their_contract() {
    block_on(branch_claims::run(async || MemoryIndex::new()));
}

#[test]
fn upkeep_in_memory_keeps_its_contract() {
    block_on(maintenance_index::run(async || MemoryIndex::new()));
}

#[test]
fn jobs_in_memory_keep_their_contract() {
    block_on(job_queue::run(async || MemoryIndex::new()));
}

#[test]
fn intel_in_memory_keeps_its_contract() {
    block_on(intel::run(async || MemoryIndex::new()));
}

#[test]
fn identities_in_memory_keep_their_contract() {
    block_on(identity::run(async || MemoryIndex::new()));
    block_on(access::run(async || MemoryIndex::new()));
}

#[test]
fn releases_in_memory_keep_their_contract() {
    block_on(release_store::run(async || MemoryIndex::new()));
}

#[test]
fn pages_in_memory_keep_their_contract() {
    block_on(index_pages::run(async || MemoryIndex::new()));
}

#[test]
fn the_care_of_jobs_in_memory_keeps_its_contract() {
    block_on(job_control::run(async || MemoryIndex::new()));
}

#[test]
fn rows_without_objects_in_memory_keep_their_contract() {
    block_on(unstored_index::run(async || MemoryIndex::new()));
}

#[test]
fn proposals_in_memory_keep_their_contract() {
    block_on(proposals::run(async || MemoryIndex::new()));
}

#[test]
fn rate_limits_in_memory_keep_their_contract() {
    block_on(rate_limits::run(async || MemoryRates::default()));
}

#[test]
fn packs_of_the_wire_in_memory_keep_their_contract() {
    block_on(mpack_store::run(async || MemoryMpacks::default()));
}

#[test]
fn built_packs_in_memory_keep_their_contract() {
    block_on(fetch_packs::run(async || MemoryIndex::new()));
}
