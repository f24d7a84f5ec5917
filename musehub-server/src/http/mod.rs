//! HTTP: the listener, requests with bounded bodies, answers, and the one table of routes.

mod body;
pub mod error;
mod listen;
mod reply;
pub mod route;

pub use body::{BodyError, BodyReader, RequestBody};
pub use error::ApiError;
pub use listen::{Listener, serve};
pub use reply::{Body, Reply, html, json, msgpack, plain};
