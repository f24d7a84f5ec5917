//! The server as people run it: processes, sockets, signals and a browser.
//!
//! Every process listens on a port of its own, keeps its data in a directory of its own and is killed with the value that
//! stands for it.

#![allow(clippy::unwrap_used, reason = "a test that fails should stop where it stands")]

mod beside;
mod breakage;
mod breakage_forms;
mod browser;
mod cli;
mod cluster;
mod commit_files;
mod crash;
mod crash_change;
mod crash_place;
mod crash_scene;
mod crash_table;
mod database;
mod demo;
mod http;
mod inline;
mod kill;
mod listener;
mod mpack;
mod process;
mod proposed;
mod push;
mod recovery;
mod s3;
mod schema;
mod tls;
mod webdriver;
mod worker;

#[test]
fn every_file_of_this_folder_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e");
    musehub_test_support::assert_every_file_is_a_module(include_str!("main.rs"), folder);
}
