//! The wire: one module per generation of clients, all over the same use cases.

pub(crate) mod codec;
pub(crate) mod jobs;
pub(crate) mod mwp;
mod upload;

pub(crate) use mwp::wire_id;
pub(crate) use upload::decode_base64;
