//! Tests of the crate through its public face, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod breakage_tables;
mod durability;
mod faulty_index;
mod faulty_store;
mod hub_world;
mod index_concurrency;
mod index_conformance;
mod index_database;
mod index_fixtures;
mod index_history;
mod index_identity;
mod index_intel;
mod index_jobs;
mod index_postgres;
mod index_repositories;
mod lost_packs;
mod pack_damage;
mod pack_fixtures;
mod packs;
mod ref_log;
mod ref_log_compaction;
mod s3;
mod s3_faults;
mod staged_damage;
mod store_conformance;
mod upkeep;
mod upkeep_crash;
mod upkeep_random;
mod upkeep_rows;

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
