//! Answers.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::ApiError;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer.
pub type Reply = Response<Body>;

/// An answer whose body is at hand.
pub fn plain(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A page.
pub fn html(status: StatusCode, page: String) -> Reply {
    plain(status, "text/html; charset=utf-8", page)
}

/// A value as JSON.
///
/// # Errors
/// [`ApiError`] where the value cannot be written.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Result<Reply, ApiError> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    Ok(plain(status, "application/json", body))
}

/// A value as msgpack.
///
/// # Errors
/// [`ApiError`] where the value cannot be written.
pub fn msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Reply, ApiError> {
    let body = rmp_serde::to_vec_named(value).map_err(ApiError::internal)?;
    Ok(plain(StatusCode::OK, "application/x-msgpack", body))
}
