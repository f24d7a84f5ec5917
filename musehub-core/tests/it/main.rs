//! Tests of the crate through its public face, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod conformance;
mod diff_properties;
mod hub_access;
mod hub_announced;
mod hub_backfill;
mod hub_faults;
mod hub_fetch;
mod hub_fixtures;
mod hub_memory;
mod hub_merge;
mod hub_mpack;
mod hub_new_branch;
mod hub_ports;
mod hub_proposal_merge;
mod hub_proposals;
mod hub_protection;
mod hub_push;
mod hub_random;
mod hub_repository;
mod hub_sharing;
mod hub_staged;
mod hub_writes;
mod keyring;
mod merge_fixtures;
mod merge_git;
mod merge_model;
mod merge_random;
mod merge_rules;
mod mpack_vectors;
mod vectors;

#[test]
fn every_file_of_this_folder_is_a_module_of_this_binary() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else {
            continue;
        };
        assert!(main.contains(&format!("mod {module};")), "tests/it/{name} is not declared in main.rs");
    }
}
