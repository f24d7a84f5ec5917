//! The generation `json`: clients of early March 2026, JSON with contents in base64, repositories by their ids.
//! `docs/WIRE.md` describes it.

use std::io::Read;

use bytes::Bytes;
use hyper::StatusCode;
use musehub_core::hub::Push;
use musehub_core::{BlobId, BranchName, CommitId};
use serde::Deserialize;

use self::bundle::PushRequest;
use self::objects::Objects;
use super::download::{self, Shape};
use super::receive;
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

/// The branch of a push that names none.
const DEFAULT_BRANCH: &str = "main";

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
    let sink = Sink::new(exchange, repo);
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
    let sink = Sink::new(exchange, &repo);
    let (sink, push) = body.decode(limits.upload, move |reader| read_push(reader, sink, limits.push)).await?;
    let (branch, received) = (push.branch.clone(), push.commits.len());
    let outcome = receive::receive(exchange, repo, pusher, push, sink).await?;
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

/// Reads a push, and stages its objects; no more than `kept` bytes of it are in memory beside one content. Without a branch it is
/// to `main`.
pub(super) fn read_push(reader: impl Read, sink: Sink, kept: u64) -> Result<(Sink, Push), ApiError> {
    read(reader, sink, kept, |branch| {
        Ok(branch.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_BRANCH.to_owned()))
    })
}

/// Reads a push that has to say its branch, as [`read_push`] does.
pub(super) fn read_named_push(reader: impl Read, sink: Sink, kept: u64) -> Result<(Sink, Push), ApiError> {
    read(reader, sink, kept, |branch| branch.ok_or_else(|| ApiError::invalid("field 'branch' is missing")))
}

fn read(
    reader: impl Read,
    sink: Sink,
    kept: u64,
    branch_of: impl FnOnce(Option<String>) -> Result<String, ApiError>,
) -> Result<(Sink, Push), ApiError> {
    let (mut objects, reader) = Objects::of_body(sink, reader, kept);
    let PushRequest { commits, snapshots, branch, force } = bundle::from_reader(reader, &mut objects)?;
    let push = Push {
        branch: BranchName::parse(&branch_of(branch)?)?,
        force,
        scheme: SCHEME,
        commits: commits.into_iter().map(|record| record.0).collect(),
        snapshots,
        blobs: Vec::new(),
    };
    Ok((objects.into_parts().0, push))
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
