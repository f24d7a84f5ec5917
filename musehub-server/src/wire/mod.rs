//! The wire: one module per generation of clients, all over the same use cases.

mod addresses;
pub(crate) mod codec;
#[cfg(feature = "decoders")]
pub mod decoders;
mod download;
pub(crate) mod jobs;
pub(crate) mod json;
pub(crate) mod mpack;
pub(crate) mod mwp;
pub(crate) mod object;
mod receive;
mod records;
mod upload;

pub(crate) use records::wire_id;
pub(crate) use upload::decode_base64;
