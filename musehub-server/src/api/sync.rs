//! The sync of the earliest clients: whole pushes and pulls in JSON, with the names of fields that they use. Over the same use cases
//! as the wire of later ones, so ids are verified, and who may not write does not.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use musehub_core::hub::{InlineBlob, Push, PushError};
use musehub_core::object::{Manifest, Snapshot, SnapshotRecord};
use musehub_core::port::{BlobRow, CommitRow};
use musehub_core::scheme::IdScheme;
use musehub_core::{BlobId, BranchName, CommitId, SnapshotId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};
use crate::wire::{decode_base64, wire_id};

/// Objects of a page.
const PAGE_OBJECTS: usize = 500;
/// Bytes of objects after which a page ends.
const PAGE_BYTES: u64 = 16 << 20;

/// The repository that a path names by its id
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
pub(crate) struct RepositoryIdPath {
    /// Its id, a UUID.
    repo_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncPushRequest {
    branch: String,
    /// The new head: a commit of the push, or one that the repository holds.
    #[schema(value_type = String)]
    head_commit_id: CommitId,
    #[serde(default)]
    commits: Vec<SyncCommit>,
    #[serde(default)]
    snapshots: Vec<SyncSnapshot>,
    #[serde(default)]
    objects: Vec<SyncObject>,
    /// Whether the branch may lose commits.
    #[serde(default)]
    force: bool,
}

/// A commit as the earliest clients have it
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncCommit {
    commit_id: String,
    /// At most two.
    #[serde(default)]
    parent_ids: Vec<String>,
    message: String,
    snapshot_id: String,
    /// The time that the id was computed with, verbatim.
    timestamp: String,
    #[serde(default)]
    author: String,
    /// Only in answers.
    #[serde(default)]
    branch: String,
}

/// The files of a commit
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncSnapshot {
    #[schema(value_type = String)]
    snapshot_id: SnapshotId,
    /// Ids of objects by path.
    #[schema(value_type = BTreeMap<String, String>)]
    manifest: Manifest,
    #[serde(default)]
    created_at: String,
}

/// The content of a file
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncObject {
    object_id: String,
    /// Read nowhere: the manifest says where objects are.
    #[serde(default)]
    path: String,
    content_b64: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncPushAnswer {
    ok: bool,
    remote_head: String,
}

/// A push that the branch cannot follow, as the earliest clients read it
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncConflict {
    detail: SyncConflictDetail,
    code: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SyncConflictDetail {
    error: &'static str,
    message: String,
}

/// Pushes, as the earliest clients do
#[utoipa::path(
    post,
    path = "/api/v1/repos/{repo_id}/push",
    tag = "sync",
    params(RepositoryIdPath),
    request_body = SyncPushRequest,
    responses(
        (status = 200, description = "Pushed.", body = SyncPushAnswer),
        (status = 409, description = "The branch has commits that the push lacks.", body = SyncConflict),
    ),
)]
pub(crate) async fn push(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?.clone();
    let pusher = exchange.caller()?.clone();
    let request: SyncPushRequest = exchange.decode_stream(body, exchange.app.limits.push).await?;
    let head = request.head_commit_id;
    let push = understand(request)?;
    // On its own task: a client that hangs up must not stop a push between the log and the index.
    let hub = exchange.app.hub.clone();
    let received = tokio::spawn(async move { hub.receive_push_to(&repo, &pusher, push, head).await });
    match received.await.map_err(ApiError::internal)? {
        Ok(outcome) => {
            exchange.app.work.notify_one();
            let remote_head = wire_id(outcome.head.object_id());
            json(StatusCode::OK, &SyncPushAnswer { ok: true, remote_head })
        }
        Err(error @ PushError::NotFastForward { .. }) => {
            let code = "non_fast_forward";
            let detail = SyncConflictDetail { error: code, message: error.to_string() };
            json(StatusCode::CONFLICT, &SyncConflict { detail, code })
        }
        Err(error) => Err(error.into()),
    }
}

/// A push in the terms of the use case, with records as the clients of March 2026 write them.
fn understand(request: SyncPushRequest) -> Result<Push, ApiError> {
    let branch = BranchName::parse(&request.branch)?;
    let blob = |object: SyncObject| {
        let id = BlobId::parse(&object.object_id)?;
        let content = decode_base64(&object.content_b64)
            .ok_or_else(|| ApiError::invalid(format!("object {id}: 'contentB64' is no base64")))?;
        Ok(InlineBlob { id, content })
    };
    let snapshot = |snapshot: SyncSnapshot| {
        let mut extra = Map::new();
        extra.insert("created_at".to_owned(), snapshot.created_at.into());
        let (id, manifest) = (Some(snapshot.snapshot_id), snapshot.manifest);
        SnapshotRecord { id, manifest, extra, ..SnapshotRecord::default() }
    };
    Ok(Push {
        force: request.force,
        scheme: IdScheme::FlatV1,
        commits: request
            .commits
            .into_iter()
            .map(|commit| record(commit, &branch))
            .collect::<Result<_, _>>()?,
        snapshots: request.snapshots.into_iter().map(snapshot).collect(),
        blobs: request.objects.into_iter().map(blob).collect::<Result<_, ApiError>>()?,
        branch,
    })
}

fn record(commit: SyncCommit, branch: &BranchName) -> Result<Map<String, Value>, ApiError> {
    if commit.parent_ids.len() > 2 {
        let detail = format!("commit {}: at most two parents", commit.commit_id);
        return Err(ApiError::invalid(detail));
    }
    let fields = [
        ("commit_id", json!(commit.commit_id)),
        ("parent_commit_id", json!(commit.parent_ids.first())),
        ("parent2_commit_id", json!(commit.parent_ids.get(1))),
        ("snapshot_id", json!(commit.snapshot_id)),
        ("message", json!(commit.message)),
        ("committed_at", json!(commit.timestamp)),
        ("author", json!(commit.author)),
        ("branch", json!(branch)),
    ];
    Ok(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncPullRequest {
    branch: String,
    /// Commits that the client has, each with all before it.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    have_commits: Vec<CommitId>,
    /// Objects that the client has besides.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    have_objects: Vec<BlobId>,
    /// `nextCursor` of the page before, with the same haves.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncPullAnswer {
    /// What the client lacks, parents first; on the first page.
    commits: Vec<SyncCommit>,
    /// The snapshots of these commits; on the first page.
    snapshots: Vec<SyncSnapshotAnswer>,
    /// At most 500, ordered by id.
    objects: Vec<SyncObject>,
    /// The head that the pages lead to; null where there is no such branch.
    remote_head: Option<String>,
    has_more: bool,
    /// What to ask the next page with.
    next_cursor: Option<String>,
}

/// The files of a commit, in an answer
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncSnapshotAnswer {
    snapshot_id: String,
    /// Ids of objects by path.
    manifest: BTreeMap<String, String>,
    created_at: String,
}

/// Pulls, as the earliest clients do, page by page
#[utoipa::path(
    post,
    path = "/api/v1/repos/{repo_id}/pull",
    tag = "sync",
    params(RepositoryIdPath),
    request_body = SyncPullRequest,
    responses((status = 200, description = "A page of what the client lacks.", body = SyncPullAnswer)),
)]
pub(crate) async fn pull(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: SyncPullRequest = exchange.decode(body).await?;
    let branch = BranchName::parse(&request.branch)?;
    let hub = &exchange.app.hub;
    let after = request.cursor.as_deref().map(read_cursor).transpose()?;
    let head = match after {
        Some((head, _)) => Some(head),
        None => hub.refs(repo).await?.branches.iter().find(|row| row.name == branch).map(|row| row.head),
    };
    let want: Vec<CommitId> = head.into_iter().collect();
    let plan = hub.fetch_in_pages(repo, &want, &request.have_commits, exchange.app.limits.fetch).await?;
    let had: HashSet<BlobId> = request.have_objects.into_iter().collect();
    let mut lacking: Vec<BlobRow> = plan.blobs.into_iter().filter(|row| !had.contains(&row.id)).collect();
    lacking.sort_unstable_by_key(|row| row.id);
    let from = after.map_or(0, |(_, last)| lacking.partition_point(|row| row.id <= last));
    let page = page(&lacking[from..]);
    require_small(page, exchange.app.limits.fetch)?;
    let more = from + page.len() < lacking.len();
    let last = page.last().map(|row| row.id).filter(|_| more);
    let contents = hub.contents(page).await?;
    let objects = page.iter().zip(contents).map(|(row, content)| SyncObject {
        object_id: wire_id(row.id.object_id()),
        path: String::new(),
        content_b64: STANDARD.encode(content),
    });
    let first = after.is_none();
    let commits = plan.commits.into_iter().filter(|_| first).map(|(row, _)| commit(row));
    let snapshots = plan.snapshots.iter().filter(|_| first).map(SyncSnapshotAnswer::from);
    json(
        StatusCode::OK,
        &SyncPullAnswer {
            commits: commits.collect(),
            snapshots: snapshots.collect(),
            objects: objects.collect(),
            remote_head: head.map(|head| wire_id(head.object_id())),
            has_more: more,
            next_cursor: head.zip(last).map(|(head, last)| format!("{head}.{last}")),
        },
    )
}

fn commit(row: CommitRow) -> SyncCommit {
    SyncCommit {
        commit_id: wire_id(row.id.object_id()),
        parent_ids: row.parents.iter().map(|id| wire_id(id.object_id())).collect(),
        message: row.message,
        snapshot_id: wire_id(row.snapshot.object_id()),
        timestamp: row.committed_at,
        author: row.author,
        branch: row.branch,
    }
}

impl From<&Snapshot> for SyncSnapshotAnswer {
    fn from(snapshot: &Snapshot) -> Self {
        let manifest = snapshot.manifest().iter();
        let created_at = snapshot.record().extra.get("created_at").and_then(Value::as_str);
        Self {
            snapshot_id: wire_id(snapshot.id().object_id()),
            manifest: manifest.map(|(path, id)| (path.to_string(), wire_id(id.object_id()))).collect(),
            created_at: created_at.unwrap_or_default().to_owned(),
        }
    }
}

/// The objects of a page: at least one, where there are any.
fn page(rows: &[BlobRow]) -> &[BlobRow] {
    let mut bytes = 0;
    let fitting = rows.iter().take(PAGE_OBJECTS).take_while(|row| {
        let room = bytes < PAGE_BYTES;
        bytes += row.size;
        room
    });
    &rows[..fitting.count()]
}

/// Refuses an object that no answer can hold.
fn require_small(page: &[BlobRow], limit: u64) -> Result<(), ApiError> {
    match page.iter().find(|row| row.size > limit) {
        None => Ok(()),
        Some(row) => {
            let (id, size) = (row.id, row.size);
            Err(ApiError::too_large(format!("object {id} has {size} bytes; at most {limit} can be answered")))
        }
    }
}

/// A head, and the last object of the page before.
fn read_cursor(text: &str) -> Result<(CommitId, BlobId), ApiError> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(head, last)| CommitId::parse(head).ok().zip(BlobId::parse(last).ok()));
    parsed.ok_or_else(|| ApiError::invalid("'cursor' is none that this hub gave"))
}
