//! Answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, SizeHint};
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

/// A body whose bytes are counted as they are sent. It says what it knows of its length, as a wrapper of frames would not.
pub struct Counted {
    body: Body,
    counter: metrics::Counter,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Counted {
    /// Counts a body.
    pub fn new(body: Body, counter: metrics::Counter) -> Self {
        Self { body, counter }
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(piece) = frame.data_ref()
        {
            self.counter.increment(piece.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
