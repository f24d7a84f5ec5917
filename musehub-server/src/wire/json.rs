//! The generation `json`: clients of early March 2026, JSON with contents in base64, repositories by their ids.
//! `docs/WIRE.md` describes it.

use std::io::Read;

use bytes::Bytes;
use hyper::StatusCode;
use musehub_core::hub::{Push, PushOutcome};
use musehub_core::port::RepositoryRecord;
use musehub_core::{BlobId, BranchName, CommitId, Handle};
use serde::Deserialize;
use tokio::runtime::Handle as Runtime;

use self::bundle::PushRequest;
use self::objects::Objects;
use super::download::{self, Shape};
use super::records::{DOMAIN, PushAnswer, PushObjectsAnswer, RefsAnswer, SCHEME, heads, wire_id};
use super::upload::Sink;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

mod base64;
mod bounded;
mod bundle;
mod objects;

/// The key of a content.
const CONTENT: &str = "content_b64";

/// `GET refs`
pub(crate) async fn refs(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let refs = exchange.app.hub.refs(repo).await?;
    let answer = RefsAnswer {
        repo_id: repo.repo_id.as_str(),
        domain: DOMAIN,
        default_branch: refs.default_branch.as_str(),
        branch_heads: heads(&refs.branches),
    };
    json(StatusCode::OK, &answer)
}

/// `POST push/objects`
pub(crate) async fn push_objects(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let limits = exchange.app.limits;
    let sink = sink(exchange, repo).await?;
    let (sink, ids) =
        body.decode(limits.upload, move |reader| read_objects(reader, sink, limits.push)).await?;
    sink.finish().await?;
    let lacking = exchange.app.hub.unheld_objects(repo, &ids).await?.len();
    json(StatusCode::OK, &PushObjectsAnswer { stored: lacking, skipped: ids.len() - lacking })
}

/// `POST push`: objects of the bundle are staged as they are read, so that memory holds its records alone.
pub(crate) async fn push(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, pusher) = (exchange.repository()?.clone(), exchange.caller()?.clone());
    let limits = exchange.app.limits;
    let sink = sink(exchange, &repo).await?;
    let (sink, push) = body.decode(limits.upload, move |reader| read_push(reader, sink, limits.push)).await?;
    sink.finish().await?;
    let (branch, received) = (push.branch.clone(), push.commits.len());
    let outcome = receive(exchange, repo, pusher, push).await?;
    let answer = PushAnswer {
        ok: true,
        message: format!("pushed {received} commit(s) to '{branch}'"),
        branch_heads: heads(&outcome.branches),
        remote_head: wire_id(outcome.head.object_id()),
    };
    json(StatusCode::OK, &answer)
}

/// Reads an upload, and stages its objects, of which it gives the ids; no more than `kept` bytes of it are in memory beside one
/// content.
pub(super) fn read_objects(
    reader: impl Read,
    sink: Sink,
    kept: u64,
) -> Result<(Sink, Vec<BlobId>), ApiError> {
    let (mut objects, reader) = Objects::of_body(sink, reader, kept);
    objects::from_reader(reader, &mut objects)?;
    Ok(objects.into_parts())
}

/// Reads a push, and stages its objects; no more than `kept` bytes of it are in memory beside one content.
pub(super) fn read_push(reader: impl Read, sink: Sink, kept: u64) -> Result<(Sink, Push), ApiError> {
    let (mut objects, reader) = Objects::of_body(sink, reader, kept);
    let PushRequest { commits, snapshots, branch, force } = bundle::from_reader(reader, &mut objects)?;
    let push = Push {
        branch: BranchName::parse(&branch)?,
        force,
        scheme: SCHEME,
        commits: commits.into_iter().map(|record| record.0).collect(),
        snapshots,
        blobs: Vec::new(),
    };
    Ok((objects.into_parts().0, push))
}

/// On its own task: a client that hangs up must not stop a push between the log and the index.
async fn receive(
    exchange: &Exchange<'_>,
    repo: RepositoryRecord,
    pusher: Handle,
    push: Push,
) -> Result<PushOutcome, ApiError> {
    let hub = exchange.app.hub.clone();
    let received = tokio::spawn(async move { hub.receive_push(&repo, &pusher, push).await });
    let outcome = received.await.map_err(ApiError::internal)??;
    exchange.app.work.notify_one();
    Ok(outcome)
}

async fn sink(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Result<Sink, ApiError> {
    Ok(Sink {
        scheme: repo.scheme.unwrap_or(SCHEME),
        writer: exchange.app.staging().begin(&repo.repo_id).await?,
        runtime: Runtime::current(),
        object_limit: exchange.app.limits.object,
    })
}

#[derive(Deserialize)]
struct WantHave {
    #[serde(default)]
    want: Vec<CommitId>,
    #[serde(default)]
    have: Vec<CommitId>,
}

/// `POST fetch`
pub(crate) async fn fetch(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let bytes: Bytes = body.collect(exchange.app.limits.request).await?;
    let request: WantHave = super::codec::from_json_bytes(&bytes)?;
    let (hub, limit) = (&exchange.app.hub, exchange.app.limits.fetch);
    let plan = hub.fetch(repo, &request.want, &request.have, limit).await?;
    let scheme = repo.scheme.unwrap_or(SCHEME);
    download::answer(hub.clone(), scheme, plan, Shape::Json { content: CONTENT }, limit).await
}
