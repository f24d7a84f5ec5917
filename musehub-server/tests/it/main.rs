//! The server in process: what clients and readers see of it.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without should stop it where it stands")]

mod api_proposal_merges;
mod api_proposals;
mod api_tags;
mod breakage_page;
mod canonical_writes;
mod changes;
mod commit_files;
mod damaged_repository;
mod durability;
mod files;
mod initialise;
mod job_api;
mod job_runner;
mod jobs;
mod keys;
mod merged_pulls;
mod opaque_ids;
mod openapi;
mod pages;
mod portable;
mod proposal_pages;
mod protection;
mod rate_limits;
mod rebuild;
mod route_rules;
mod scans;
mod signed_commits;
mod signed_requests;
mod sync;
mod tokens;
mod unsupported;
mod verify;
mod verify_rows;
mod wire_access;
mod wire_access_objects;
mod wire_errors;
mod wire_fetch;
mod wire_json;
mod wire_json_refused;
mod wire_matrix;
mod wire_mpack;
mod wire_push;
mod wire_push_refused;
mod wire_push_rules;
mod wire_releases;
mod wire_upload;

#[test]
fn every_file_of_this_folder_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    musehub_test_support::assert_every_file_is_a_module(include_str!("main.rs"), folder);
}
