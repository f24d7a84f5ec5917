//! Servers that the tests of MuseHub start for themselves: private to a test process, and gone with it.

#![warn(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that unwraps fails where it stands"
)]

pub mod proxy;
pub mod s3;
