//! HTTP: the listener, requests with bounded bodies, answers, and the one table of routes.

mod body;
pub mod error;
pub(crate) mod health;
mod listen;
pub mod origin;
mod reply;
pub mod route;
pub mod tls;

pub use body::{BodyError, BodyReader, RequestBody};
pub use error::ApiError;
pub use listen::{Listener, Purpose, serve};
pub use reply::{Body, Counted, Reply, html, json, msgpack, plain};
