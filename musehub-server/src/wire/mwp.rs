//! The generation `mwp`: what the Muse client of March 2026 (0.1.5) speaks. `docs/WIRE.md` describes it.
//!
//! Ids of SHA-256 are bare on this wire, in both directions.

use musehub_core::{BlobId, CommitId};
use serde::{Deserialize, Serialize};

use super::codec::Format;
use super::download::{self, Shape};
use super::records::{DOMAIN, PushAnswer, PushObjectsAnswer, RefsAnswer, SCHEME, heads, wire_id};
use super::upload::{self, Sink};
use super::{json, receive};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody};

pub(super) mod bundle;
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
    let sink = Sink::new(exchange, repo);
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

/// `POST push`
pub(crate) async fn push(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?.clone();
    let pusher = exchange.caller()?.clone();
    let limits = exchange.app.limits;
    let sink = Sink::new(exchange, &repo);
    let (sink, push) = match exchange.request_format()? {
        Format::Msgpack => body.decode(limits.push, move |reader| bundle::from_msgpack(reader, sink)).await?,
        Format::Json => {
            body.decode(limits.push, move |reader| json::read_named_push(reader, sink, limits.push)).await?
        }
    };
    let branch = push.branch.clone();
    let outcome = receive::receive(exchange, repo, pusher, push, sink).await?;
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
