//! One object by its id, whatever repository holds it.

use futures::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderValue, IF_NONE_MATCH,
};
use hyper::{Response, StatusCode};
use musehub_core::BlobId;
use musehub_core::port::BlobRow;

use super::records::wire_id;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, plain};

/// The policy of bytes that somebody pushed, should a browser show them after all.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Bytes of an id never change, but who may see them does: nobody keeps them for others.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// `GET /o/{object_id}`: for whoever may read a repository that holds it; `?repo_id=` names the one to look in. An object that
/// is nowhere and one that is not theirs to see give the same answer.
pub(crate) async fn object(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let id = BlobId::parse(exchange.params.get("object_id")).map_err(|_| absent())?;
    let within = exchange.query("repo_id").filter(|repo| !repo.is_empty());
    let hub = &exchange.app.hub;
    let row = hub.readable_blob(id, exchange.viewer(), within.as_deref()).await?.ok_or_else(absent)?;
    send(exchange, &row).await
}

/// What is said of an object that is nowhere, and of one that is not for who asks.
pub(super) fn absent() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such object")
}

/// Sends the bytes of an object, or says that the client has them.
pub(super) async fn send(exchange: &Exchange<'_>, row: &BlobRow) -> Result<Reply, ApiError> {
    let id = row.id;
    let tag = format!("\"{}\"", wire_id(id.object_id()));
    let known = exchange.header(&IF_NONE_MATCH).split(',').any(|known| known.trim() == tag);
    let mut reply = if known {
        plain(StatusCode::NOT_MODIFIED, "application/octet-stream", "")
    } else {
        let pieces = exchange.app.hub.content_stream(row).await?;
        let body = StreamBody::new(pieces.map_ok(Frame::data).map_err(Into::into));
        let mut reply = Response::new(body.boxed_unsync());
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(row.size));
        reply
    };
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    headers.insert(ETAG, HeaderValue::try_from(tag).map_err(ApiError::internal)?);
    Ok(reply)
}
