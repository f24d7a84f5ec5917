//! HTTP: the listener, requests with bounded bodies, answers, and the one table of routes.

pub(crate) mod address;
mod body;
pub mod error;
pub(crate) mod health;
mod listen;
pub mod multipart;
pub mod origin;
pub mod rate;
mod reply;
pub mod route;
pub mod tls;
mod unsupported;

pub use body::{BodyError, BodyProof, BodyReader, Pieces, RequestBody};
pub use error::ApiError;
pub use listen::{Listener, Purpose, serve};
pub use reply::{Body, Counted, Reply, html, json, msgpack, plain};
pub(crate) use unsupported::unsupported;
