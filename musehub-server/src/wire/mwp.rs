//! The generation `mwp`: what the Muse client of March 2026 (0.1.5) speaks. `docs/WIRE.md` describes it.
//!
//! Ids of SHA-256 are bare on this wire, in both directions.

use bytes::Bytes;
use musehub_core::hub::{InlineBlob, Push};
use musehub_core::object::{Record, SnapshotRecord};
use musehub_core::{BlobId, BranchName, CommitId};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle as Runtime;

use super::codec::Format;
use super::download::{self, Shape};
use super::records::{DOMAIN, PushAnswer, PushObjectsAnswer, RefsAnswer, SCHEME, heads, wire_id};
use super::upload::{self, Sink};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody};

pub(crate) mod presign;
pub(crate) mod releases;

/// `GET refs`
pub(crate) async fn refs(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let refs = exchange.app.hub.refs(repo).await?;
    exchange.ok(&RefsAnswer {
        repo_id: repo.repo_id.as_str(),
        domain: DOMAIN,
        default_branch: refs.default_branch.as_str(),
        branch_heads: heads(&refs.branches),
    })
}

#[derive(Deserialize)]
struct ObjectIds {
    object_ids: Vec<BlobId>,
}

#[derive(Serialize)]
struct MissingAnswer {
    missing: Vec<String>,
}

/// `POST filter-objects`
pub(crate) async fn filter_objects(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: ObjectIds = exchange.decode(body).await?;
    let missing = exchange.app.hub.missing_objects(repo, &request.object_ids).await?;
    exchange.ok(&MissingAnswer { missing: missing.iter().map(|id| wire_id(id.object_id())).collect() })
}

/// `POST push/objects`
pub(crate) async fn push_objects(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let limits = exchange.app.limits;
    let sink = Sink {
        scheme: repo.scheme.unwrap_or(SCHEME),
        writer: exchange.app.staging().begin(&repo.repo_id).await?,
        runtime: Runtime::current(),
        object_limit: limits.object,
    };
    let (uploaded, sink) = match exchange.request_format()? {
        Format::Msgpack => {
            body.decode(limits.upload, move |reader| upload::from_msgpack(reader, sink)).await?
        }
        Format::Json => {
            let bytes = body.collect(limits.request).await?;
            let decoded = tokio::task::spawn_blocking(move || upload::from_json(&bytes, sink));
            decoded.await.map_err(ApiError::internal)??
        }
    };
    // The body is whole, and its sender proven.
    sink.finish().await?;
    let lacking = exchange.app.hub.unheld_objects(repo, &uploaded.ids).await?.len();
    exchange.ok(&PushObjectsAnswer { stored: lacking, skipped: uploaded.ids.len() - lacking })
}

/// The body of a push.
#[derive(Deserialize)]
pub(super) struct PushRequest {
    bundle: Bundle,
    branch: String,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, Default)]
struct Bundle {
    #[serde(default)]
    commits: Vec<Record>,
    #[serde(default)]
    snapshots: Vec<SnapshotRecord>,
    #[serde(default)]
    objects: Vec<InlineObject>,
}

/// An object that comes with the bundle: bytes in msgpack, base64 in JSON.
#[derive(Deserialize)]
struct InlineObject {
    object_id: BlobId,
    #[serde(alias = "content_b64")]
    content: InlineContent,
}

enum InlineContent {
    Base64(String),
    Bytes(Vec<u8>),
}

impl<'de> Deserialize<'de> for InlineContent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl serde::de::Visitor<'_> for ContentVisitor {
            type Value = InlineContent;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes, or base64 text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<InlineContent, E> {
                Ok(InlineContent::Base64(text.to_owned()))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<InlineContent, E> {
                Ok(InlineContent::Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<InlineContent, E> {
                Ok(InlineContent::Bytes(bytes))
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}

impl PushRequest {
    /// What the use case takes.
    pub(super) fn into_push(self) -> Result<Push, ApiError> {
        Ok(Push {
            branch: BranchName::parse(&self.branch)?,
            force: self.force,
            scheme: SCHEME,
            commits: self.bundle.commits.into_iter().map(|record| record.0).collect(),
            snapshots: self.bundle.snapshots,
            blobs: self.bundle.objects.into_iter().map(inline_blob).collect::<Result<_, _>>()?,
        })
    }
}

/// `POST push`
pub(crate) async fn push(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?.clone();
    let pusher = exchange.caller()?.clone();
    let request: PushRequest = exchange.decode_stream(body, exchange.app.limits.push).await?;
    let push = request.into_push()?;
    let branch = push.branch.clone();
    // On its own task: a client that hangs up must not stop a push between the log and the index.
    let hub = exchange.app.hub.clone();
    let received = tokio::spawn(async move { hub.receive_push(&repo, &pusher, push).await });
    let outcome = received.await.map_err(ApiError::internal)??;
    exchange.app.work.notify_one();
    let message = format!(
        "{} commits, {} snapshots and {} objects are new on '{branch}'",
        outcome.commits_stored, outcome.snapshots_stored, outcome.blobs_stored
    );
    exchange.ok(&PushAnswer {
        ok: true,
        message,
        branch_heads: heads(&outcome.branches),
        remote_head: wire_id(outcome.head.object_id()),
    })
}

fn inline_blob(object: InlineObject) -> Result<InlineBlob, ApiError> {
    let id = object.object_id;
    let content = match object.content {
        InlineContent::Bytes(bytes) => Bytes::from(bytes),
        InlineContent::Base64(text) => upload::decode_base64(&text)
            .ok_or_else(|| ApiError::invalid(format!("object {id}: 'content' is no base64")))?,
    };
    Ok(InlineBlob { id, content })
}

#[derive(Deserialize)]
struct WantHave {
    #[serde(default)]
    want: Vec<CommitId>,
    #[serde(default)]
    have: Vec<CommitId>,
}

/// `POST fetch`, once it is known that a client of this generation asks.
pub(super) async fn fetch(
    exchange: &Exchange<'_>,
    want: &[CommitId],
    have: &[CommitId],
) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let limit = exchange.app.limits.fetch;
    let plan = exchange.app.hub.fetch(repo, want, have, limit).await?;
    let shape = if exchange.accepts_msgpack() { Shape::Msgpack } else { Shape::Json { content: "content" } };
    let scheme = repo.scheme.unwrap_or(SCHEME);
    download::answer(exchange.app.hub.clone(), scheme, plan, shape, limit).await
}

#[derive(Serialize)]
struct NegotiateAnswer {
    ack: Vec<String>,
    common_base: Option<String>,
    ready: bool,
}

/// `POST negotiate`
pub(crate) async fn negotiate(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: WantHave = exchange.decode(body).await?;
    let found = exchange.app.hub.negotiate(repo, &request.want, &request.have).await?;
    exchange.ok(&NegotiateAnswer {
        ack: found.ack.iter().map(|id| wire_id(id.object_id())).collect(),
        common_base: found.common_base.map(|id| wire_id(id.object_id())),
        ready: found.ready,
    })
}
