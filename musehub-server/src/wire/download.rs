//! The answer to a fetch of the generations that get whole records: its length is known before its blobs are read, so that
//! they can be sent as they are read.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use musehub_core::hub::{FetchPlan, Hub};
use musehub_core::port::{BackendError, BlobRow};
use musehub_core::scheme::IdScheme;

use super::records::heads;
use crate::http::{ApiError, Reply};

mod base64;
mod json;
mod msgpack;

/// How many bytes of blobs are read together; a larger blob is sent as it is read.
const BATCH: u64 = 4 << 20;

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A map of msgpack, contents as they are.
    Msgpack,
    /// JSON, contents in base64 under this key.
    Json {
        /// The key.
        content: &'static str,
    },
}

impl Shape {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Msgpack => "application/x-msgpack",
            Self::Json { .. } => "application/json",
        }
    }

    /// How many bytes a content has on the wire.
    const fn content_length(self, size: u64) -> u64 {
        match self {
            Self::Msgpack => size,
            Self::Json { .. } => size.div_ceil(3).saturating_mul(4),
        }
    }
}

/// An object that is to be sent, and what stands before and behind its content.
#[derive(Debug)]
struct Framed {
    row: BlobRow,
    before: Vec<u8>,
    behind: &'static [u8],
}

/// Answers a fetch. The limit is for contents as they are; base64 makes a third more of them.
pub(super) async fn answer(
    hub: Hub,
    scheme: IdScheme,
    plan: FetchPlan,
    shape: Shape,
    limit: u64,
) -> Result<Reply, ApiError> {
    let FetchPlan { commits, snapshots, blobs, heads: branches } = plan;
    let (count, sends_nothing) = (blobs.len(), commits.is_empty());
    let encode = move || match shape {
        Shape::Msgpack => msgpack::head(scheme, commits, snapshots, count),
        Shape::Json { .. } => json::head(scheme, commits, snapshots),
    };
    let head = tokio::task::spawn_blocking(encode).await.map_err(ApiError::internal)??;
    let heads = heads(&branches);
    let tail = match shape {
        Shape::Msgpack => msgpack::tail(&heads)?,
        Shape::Json { .. } => json::tail(&heads)?,
    };
    let framed = blobs.into_iter().enumerate().map(|(at, row)| match shape {
        Shape::Msgpack => Ok(Framed { row, before: msgpack::before(&row)?, behind: b"" }),
        Shape::Json { content } => {
            Ok(Framed { row, before: json::before(at, &row, content), behind: b"\"}" })
        }
    });
    let framed = framed.collect::<Result<Vec<Framed>, ApiError>>()?;

    let ends = (head.len() + tail.len()) as u64;
    let around: u64 = framed.iter().map(|object| (object.before.len() + object.behind.len()) as u64).sum();
    let raw = ends + around + framed.iter().map(|object| object.row.size).sum::<u64>();
    // Heads alone are answered always.
    if raw > limit && !sends_nothing {
        let detail = format!("the answer would have {raw} bytes; at most {limit} can be answered");
        return Err(ApiError::too_large(detail));
    }
    let contents: u64 = framed.iter().map(|object| shape.content_length(object.row.size)).sum();
    let bodies = stream::iter(batches(framed)).then(move |batch| {
        let hub = hub.clone();
        async move { send_batch(&hub, batch, shape).await }
    });
    let pieces = stream::iter([Ok(Bytes::from(head))])
        .chain(bodies.try_flatten())
        .chain(stream::iter([Ok(Bytes::from(tail))]));
    let mut reply = Response::new(StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(shape.content_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(ends + around + contents));
    Ok(reply)
}

/// Objects in groups that fit into memory.
fn batches(objects: Vec<Framed>) -> Vec<Vec<Framed>> {
    let mut batches: Vec<Vec<Framed>> = Vec::new();
    let mut room = 0_u64;
    for object in objects {
        let size = object.row.size;
        match batches.last_mut() {
            Some(batch) if room > 0 && size <= room => batch.push(object),
            _ => {
                room = BATCH;
                batches.push(vec![object]);
            }
        }
        room = room.saturating_sub(size);
    }
    batches
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Pieces = BoxStream<'static, Result<Bytes, Failure>>;

/// A batch as it is sent. The status is sent already by then: where reading fails, the connection ends short of its announced
/// length.
async fn send_batch(hub: &Hub, batch: Vec<Framed>, shape: Shape) -> Result<Pieces, Failure> {
    let log = |error: &BackendError| tracing::error!(%error, "a fetch failed while it was sent");
    if let [Framed { row, before, behind }] = &batch[..]
        && row.size > BATCH
    {
        let content = hub.content_stream(row).await.inspect_err(log)?;
        let content = content.inspect_err(log).map_err(Failure::from).boxed();
        let content = match shape {
            Shape::Msgpack => content,
            Shape::Json { .. } => base64::encoded(content),
        };
        let before = stream::iter([Ok(Bytes::from(before.clone()))]);
        return Ok(before.chain(content).chain(stream::iter([Ok(Bytes::from_static(behind))])).boxed());
    }
    let rows: Vec<BlobRow> = batch.iter().map(|object| object.row).collect();
    let contents = hub.contents(&rows).await.inspect_err(log)?;
    let bytes: u64 = rows.iter().map(|row| shape.content_length(row.size)).sum();
    let mut out = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0) + batch.len() * 192);
    for (Framed { row, before, behind }, content) in batch.into_iter().zip(contents) {
        if content.len() as u64 != row.size {
            let found = content.len();
            return Err(format!("blob {} has {found} bytes, its row says {}", row.id, row.size).into());
        }
        out.extend_from_slice(&before);
        match shape {
            Shape::Msgpack => out.extend_from_slice(&content),
            Shape::Json { .. } => base64::write(&mut out, &content),
        }
        out.extend_from_slice(behind);
    }
    Ok(stream::iter([Ok(Bytes::from(out))]).boxed())
}
