//! The wire: one module per generation of clients, all over the same use cases.

pub(crate) mod api;
mod codec;
pub(crate) mod jobs;
pub(crate) mod mwp;
mod upload;
