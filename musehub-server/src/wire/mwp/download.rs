//! The answer to a fetch: a msgpack map whose length is known before its blobs are read, so that they can be sent as they
//! are read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use musehub_core::canonical;
use musehub_core::hub::{FetchPlan, Hub};
use musehub_core::object::{Manifest, Snapshot};
use musehub_core::port::{BackendError, BlobRow};
use rayon::prelude::*;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{heads, wire_id};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, json};

/// How many bytes of blobs are read together; a larger blob is sent as it is read.
const BATCH: u64 = 4 << 20;

/// Answers a fetch in the format that the client takes.
pub(super) async fn answer(exchange: &Exchange<'_>, plan: FetchPlan, limit: u64) -> Result<Reply, ApiError> {
    if exchange.accepts_msgpack() {
        as_msgpack(exchange.app.hub.clone(), plan, limit).await
    } else {
        as_json(exchange, plan).await
    }
}

async fn as_msgpack(hub: Hub, plan: FetchPlan, limit: u64) -> Result<Reply, ApiError> {
    let FetchPlan { commits, snapshots, blobs, heads: branches } = plan;
    let commits = commits.into_iter().map(|(_, bytes)| bytes).collect();
    let encoded = tokio::task::spawn_blocking(move || head(commits, snapshots));
    let mut head = encoded.await.map_err(ApiError::internal)??;
    write_key(&mut head, "objects")?;
    rmp::encode::write_array_len(&mut head, u32::try_from(blobs.len()).map_err(ApiError::internal)?)
        .map_err(ApiError::internal)?;

    let mut tail = Vec::new();
    write_key(&mut tail, "branch_heads")?;
    tail.extend(rmp_serde::to_vec_named(&heads(&branches)).map_err(ApiError::internal)?);

    let prefixes = blobs.iter().map(prefix).collect::<Result<Vec<_>, _>>()?;
    let objects: u64 = blobs.iter().zip(&prefixes).map(|(row, prefix)| row.size + prefix.len() as u64).sum();
    let length = (head.len() + tail.len()) as u64 + objects;
    if length > limit {
        let detail = format!("the answer would have {length} bytes; at most {limit} can be answered");
        return Err(ApiError::too_large(detail));
    }
    let bodies = stream::iter(batches(blobs, prefixes)).then(move |batch| {
        let hub = hub.clone();
        async move { send_batch(&hub, batch).await }
    });
    let pieces = stream::iter([Ok(Bytes::from(head))])
        .chain(bodies.try_flatten())
        .chain(stream::iter([Ok(Bytes::from(tail))]));
    let mut reply = Response::new(StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-msgpack"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(reply)
}

/// The map's beginning: commits and snapshots, encoded on all cores.
fn head(commits: Vec<Bytes>, snapshots: Vec<Snapshot>) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    rmp::encode::write_map_len(&mut out, 4).map_err(ApiError::internal)?;
    write_list(&mut out, "commits", commits.into_par_iter().map(|record| encode_commit(&record)).collect())?;
    let encode =
        |snapshot: Snapshot| rmp_serde::to_vec_named(&WireSnapshot(&snapshot)).map_err(ApiError::internal);
    write_list(&mut out, "snapshots", snapshots.into_par_iter().map(encode).collect())?;
    Ok(out)
}

fn write_list(out: &mut Vec<u8>, key: &str, items: Result<Vec<Vec<u8>>, ApiError>) -> Result<(), ApiError> {
    let items = items?;
    write_key(out, key)?;
    let count = u32::try_from(items.len()).map_err(ApiError::internal)?;
    rmp::encode::write_array_len(out, count).map_err(ApiError::internal)?;
    out.reserve(items.iter().map(Vec::len).sum());
    for item in items {
        out.extend_from_slice(&item);
    }
    Ok(())
}

/// A commit's record at rest as msgpack, every field of it.
fn encode_commit(canonical: &[u8]) -> Result<Vec<u8>, ApiError> {
    let (_, payload) = canonical::decode(canonical).map_err(ApiError::internal)?;
    let mut out = Vec::with_capacity(payload.len());
    let mut from = serde_json::Deserializer::from_slice(payload);
    let mut to = rmp_serde::Serializer::new(&mut out).with_struct_map();
    serde_transcode::transcode(&mut from, &mut to).map_err(ApiError::internal)?;
    Ok(out)
}

/// A snapshot's record as this generation writes it, every field of it.
struct WireSnapshot<'a>(&'a Snapshot);

impl Serialize for WireSnapshot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0.record();
        let listed = [("directories", &record.directories), ("executables", &record.executables)];
        let listed = listed.into_iter().filter(|(_, paths)| !paths.is_empty());
        let mut map = serializer.serialize_map(Some(2 + record.extra.len() + listed.clone().count()))?;
        map.serialize_entry("snapshot_id", &wire_id(self.0.id().object_id()))?;
        map.serialize_entry("manifest", &WireManifest(&record.manifest))?;
        for (key, paths) in listed {
            map.serialize_entry(key, paths)?;
        }
        for (key, value) in &record.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct WireManifest<'a>(&'a Manifest);

impl Serialize for WireManifest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (path, blob) in self.0 {
            map.serialize_entry(path.as_str(), &wire_id(blob.object_id()))?;
        }
        map.end()
    }
}

fn write_key(out: &mut Vec<u8>, key: &str) -> Result<(), ApiError> {
    rmp::encode::write_str(out, key).map_err(ApiError::internal)
}

/// Everything of an object but its bytes, which end it.
fn prefix(row: &BlobRow) -> Result<Vec<u8>, ApiError> {
    let size =
        u32::try_from(row.size).map_err(|_| ApiError::too_large("an object is too large for this format"))?;
    let mut out = Vec::with_capacity(112);
    rmp::encode::write_map_len(&mut out, 3).map_err(ApiError::internal)?;
    write_key(&mut out, "object_id")?;
    write_key(&mut out, &wire_id(row.id.object_id()))?;
    write_key(&mut out, "path")?;
    write_key(&mut out, "")?;
    write_key(&mut out, "content")?;
    rmp::encode::write_bin_len(&mut out, size).map_err(ApiError::internal)?;
    Ok(out)
}

type Batch = Vec<(BlobRow, Vec<u8>)>;

/// Blobs in groups that fit into memory.
fn batches(blobs: Vec<BlobRow>, prefixes: Vec<Vec<u8>>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut room = 0_u64;
    for (row, prefix) in blobs.into_iter().zip(prefixes) {
        match batches.last_mut() {
            Some(batch) if room > 0 && row.size <= room => batch.push((row, prefix)),
            _ => {
                room = BATCH;
                batches.push(vec![(row, prefix)]);
            }
        }
        room = room.saturating_sub(row.size);
    }
    batches
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Pieces = BoxStream<'static, Result<Bytes, Failure>>;

/// A batch as it is sent. The status is sent already by then: where reading fails, the connection ends short of its announced
/// length.
async fn send_batch(hub: &Hub, batch: Batch) -> Result<Pieces, Failure> {
    let log = |error: &BackendError| tracing::error!(%error, "a fetch failed while it was sent");
    if let [(row, prefix)] = &batch[..]
        && row.size > BATCH
    {
        let content = hub.content_stream(row).await.inspect_err(log)?;
        let content = content.inspect_err(log).map_err(Failure::from);
        return Ok(stream::iter([Ok(Bytes::from(prefix.clone()))]).chain(content).boxed());
    }
    let rows: Vec<BlobRow> = batch.iter().map(|(row, _)| *row).collect();
    let contents = hub.contents(&rows).await.inspect_err(log)?;
    let mut out = Vec::with_capacity(contents.iter().map(Bytes::len).sum::<usize>() + batch.len() * 128);
    for ((row, prefix), content) in batch.into_iter().zip(contents) {
        if content.len() as u64 != row.size {
            let found = content.len();
            return Err(format!("blob {} has {found} bytes, its row says {}", row.id, row.size).into());
        }
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&content);
    }
    Ok(stream::iter([Ok(Bytes::from(out))]).boxed())
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    commits: Vec<Value>,
    snapshots: Vec<WireSnapshot<'a>>,
    objects: Vec<JsonObject>,
    branch_heads: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct JsonObject {
    object_id: String,
    path: &'static str,
    content: String,
}

async fn as_json(exchange: &Exchange<'_>, plan: FetchPlan) -> Result<Reply, ApiError> {
    let record = |bytes: &Bytes| -> Result<Value, ApiError> {
        let (_, payload) = canonical::decode(bytes).map_err(ApiError::internal)?;
        serde_json::from_slice(payload).map_err(ApiError::internal)
    };
    let contents = exchange.app.hub.contents(&plan.blobs).await?;
    let objects = plan.blobs.iter().zip(contents).map(|(row, content)| JsonObject {
        object_id: wire_id(row.id.object_id()),
        path: "",
        content: STANDARD.encode(content),
    });
    let answer = JsonAnswer {
        commits: plan.commits.iter().map(|(_, bytes)| record(bytes)).collect::<Result<_, _>>()?,
        snapshots: plan.snapshots.iter().map(WireSnapshot).collect(),
        objects: objects.collect(),
        branch_heads: heads(&plan.heads),
    };
    json(StatusCode::OK, &answer)
}
