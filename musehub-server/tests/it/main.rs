//! The server in process: what clients and readers see of it.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without should stop it where it stands")]

mod durability;
mod jobs;
mod pages;
mod wire_access;
mod wire_access_objects;
mod wire_errors;
mod wire_fetch;
mod wire_push;
mod wire_push_refused;
mod wire_push_rules;
mod wire_upload;

#[test]
fn every_file_of_this_folder_is_a_module() {
    let declared: Vec<&str> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || declared.contains(&&*name), "{name} is no module");
    }
}
