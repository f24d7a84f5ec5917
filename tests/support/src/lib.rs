//! What the tests of MuseHub share.
//!
//! - [`history`] makes histories of its own and computes their ids with formulas of its own: a second implementation,
//!   which must never call the hub's.
//! - [`client`] makes the calls that the Muse client of March 2026 makes, over any [`transport`], and believes nothing
//!   that it gets.
//! - [`json_client`] makes those of its predecessor of early March, and [`generation`] gives all of them one face.
//! - [`rows`] writes a history as rows of a hub that has no objects.
//! - [`mpack_client`] makes those of clients from late May 2026 on, with packs that it writes and reads itself.
//! - [`app`] runs a server in process.

#![warn(missing_docs)]
#![allow(clippy::unwrap_used, reason = "only tests call this; a failure should stop them where it stands")]

pub mod app;
pub mod client;
mod described;
pub mod generation;
pub mod history;
pub mod id;
pub mod json_client;
pub mod mpack_client;
pub mod record;
pub mod rows;
pub mod signing;
pub mod transport;

pub use app::{Call, TestApp};
pub use client::{ClientError, MuseClient, PushReport};
pub use generation::{Fetched, WireClient};
pub use history::{Bundle, History, Tree};
pub use json_client::JsonClient;
pub use mpack_client::MpackClient;
pub use record::{get, map, set, text};
pub use rmpv::Value;
pub use transport::{Answer, InProcess, Transport};

/// Fails for a file of a test binary's folder that its `main.rs`, given as text, does not declare: its tests would never run.
pub fn assert_every_file_is_a_module(main: &str, folder: &str) {
    let declared: Vec<&str> =
        main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || declared.contains(&&*name), "{name} is no module");
    }
}
