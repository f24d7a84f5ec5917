//! A push: an address for the pack, the pack, and the word to index it.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use musehub_core::hash::Hasher;
use musehub_core::hub::mpack::{IndexError, Indexed, UploadedPack};
use musehub_core::mpack::MpackId;
use musehub_core::port::{JobStatus, MpackAccess, MpackFile, NewJob};
use musehub_core::{BranchName, CommitId, HashAlgorithm};
use serde::{Deserialize, Serialize};

use super::super::addresses;
use super::{address, heads, verified};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json, plain};
use crate::jobs::{INDEX_MPACK, index_mpack};

#[derive(Deserialize)]
struct PresignRequest {
    mpack_key: MpackId,
    #[serde(alias = "size", alias = "mpack_size_bytes")]
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PresignAnswer {
    mpack_key: String,
    upload_url: String,
    /// The same, by the name that some clients look for.
    presigned_url: String,
    method: &'static str,
    expires_in: u64,
}

/// `POST push/mpack-presign`
pub(crate) async fn presign(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: PresignRequest = exchange.decode(body).await?;
    let limit = exchange.app.limits.mpack;
    let size = request.size_bytes.unwrap_or(limit);
    if size > limit {
        let detail = format!("a pack of {size} bytes; at most {limit} are taken in one push");
        return Err(ApiError::too_large(detail));
    }
    let file = MpackFile::incoming(&repo.repo_id, request.mpack_key);
    let url = address(exchange, repo, &file, MpackAccess::Put, request.mpack_key, size).await?;
    exchange.ok(&PresignAnswer {
        mpack_key: request.mpack_key.to_string(),
        upload_url: url.clone(),
        presigned_url: url,
        method: "PUT",
        expires_in: addresses::LIFE.as_secs(),
    })
}

/// `PUT push/mpack/{key}`: the pack itself, to an address of this server's. It is hashed as it arrives, and is there only if it is
/// what the address names.
pub(crate) async fn upload(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, id, limit) = verified(exchange, "PUT").await?;
    let store = exchange.app.mpacks.store();
    let file = MpackFile::incoming(&repo.repo_id, id);
    let mut writer = store.begin(&file).await?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut size = 0;
    while let Some(piece) = body.next(limit).await? {
        hasher.update(&piece);
        size += piece.len() as u64;
        writer.write(piece).await?;
    }
    let computed = MpackId::new(hasher.finish());
    writer.finish().await?;
    if computed != id && !exchange.app.mpacks.has_typed_id(&file, size, id).await? {
        store.remove(&file).await?;
        let detail = format!("the address is that of pack {id}; what came has the SHA-256 {computed}");
        return Err(ApiError::invalid(detail));
    }
    Ok(plain(StatusCode::OK, "application/json", Bytes::from_static(b"{}")))
}

#[derive(Deserialize)]
struct UnpackRequest {
    mpack_key: MpackId,
    branch: String,
    #[serde(alias = "head_commit_id")]
    head: Option<CommitId>,
    #[serde(default)]
    force: bool,
    /// Whether the client wants a job to poll instead of an answer.
    #[serde(default, rename = "async")]
    wants_job: bool,
}

#[derive(Serialize)]
struct UnpackAnswer<'a> {
    ok: bool,
    blobs_written: u64,
    remote_head: String,
    branch_heads: std::collections::BTreeMap<&'a str, String>,
    #[serde(flatten)]
    indexed: &'a Indexed,
}

#[derive(Serialize)]
struct PendingAnswer {
    job_id: String,
    status: &'static str,
    poll_url: String,
}

/// `POST push/unpack-mpack`: indexes the pack, or enqueues that where the client asks for it or the pack is large.
pub(crate) async fn unpack(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, app) = (exchange.repository()?, exchange.app);
    let request: UnpackRequest = exchange.decode(body).await?;
    let pack = UploadedPack {
        mpack_key: request.mpack_key,
        branch: BranchName::parse(&request.branch)?,
        head: request.head,
        force: request.force,
        pusher: exchange.caller()?.clone(),
    };
    let file = MpackFile::incoming(&repo.repo_id, pack.mpack_key);
    let size = app.mpacks.store().size(&file).await?;
    let wants_job = request.wants_job || prefers_job(exchange);
    if size.is_some_and(|size| wants_job || size > app.limits.mpack_inline) {
        return enqueue(exchange, &pack).await;
    }
    // On its own task: a client that hangs up must not stop a push between the log and the index.
    let (hub_app, owned, ordered) = (app.clone(), repo.clone(), pack.clone());
    let indexed = tokio::spawn(async move { index_mpack(&hub_app, &owned, &ordered).await });
    let (indexed, branches) = indexed.await.map_err(ApiError::internal)??;
    app.work.notify_one();
    exchange.ok(&UnpackAnswer {
        ok: true,
        blobs_written: indexed.objects_written,
        remote_head: indexed.branch_head.to_string(),
        branch_heads: heads(&branches),
        indexed: &indexed,
    })
}

/// Whether a client says in a header that it would rather poll (RFC 7240).
fn prefers_job(exchange: &Exchange<'_>) -> bool {
    exchange.header(&HeaderName::from_static("prefer")).contains("respond-async")
}

async fn enqueue(exchange: &Exchange<'_>, pack: &UploadedPack) -> Result<Reply, ApiError> {
    let (repo, app) = (exchange.repository()?, exchange.app);
    let payload = serde_json::to_string(pack).map_err(ApiError::internal)?;
    let job = NewJob::new(INDEX_MPACK, repo.repo_id.clone(), payload);
    app.queue.enqueue(&job, app.clock.now()).await?;
    app.work.notify_one();
    let id = job.id();
    let poll_url = format!("/{}/{}/push/jobs/{}", repo.owner, repo.slug, id.as_str());
    let answer = PendingAnswer {
        job_id: id.as_str().to_owned(),
        status: JobStatus::Pending.as_str(),
        poll_url: format!("{}{poll_url}", exchange.base_url()),
    };
    let mut reply = exchange.ok(&answer)?;
    *reply.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = HeaderValue::from_str(&poll_url) {
        reply.headers_mut().insert(hyper::header::LOCATION, location);
    }
    Ok(reply)
}

#[derive(Serialize)]
struct JobAnswer {
    job_id: String,
    /// `pending`, `running`, `done`, `failed` or `cancelled`.
    status: &'static str,
    commits_written: u64,
    snapshots_written: u64,
    blobs_written: u64,
    /// The branch's head as the job left it.
    branch_head: Option<String>,
    /// Why it failed, or why its last attempt did.
    error: Option<String>,
    /// A stable word for that, where the push was refused.
    code: Option<String>,
    /// Everything that the job measured, once it is done.
    result: Option<Indexed>,
}

/// `GET push/jobs/{id}`
pub(crate) async fn job(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, app) = (exchange.repository()?, exchange.app);
    let absent =
        || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such push in this repository");
    let id = exchange.params.get("id").parse().map_err(|_| absent())?;
    let job = app.control.job(&id).await?;
    let job = job.filter(|job| job.work.repo_id == repo.repo_id && job.work.kind == INDEX_MPACK.name);
    let job = job.ok_or_else(absent)?;
    let result: Option<Indexed> = job.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let (code, error) = match job.error.as_deref().map(split_code) {
        None => (None, None),
        Some((code, error)) => (code, Some(error)),
    };
    let count = |of: fn(&Indexed) -> u64| result.as_ref().map_or(0, of);
    json(
        StatusCode::OK,
        &JobAnswer {
            job_id: id.as_str().to_owned(),
            status: job.status.as_str(),
            commits_written: count(|done| done.commits_written),
            snapshots_written: count(|done| done.snapshots_written),
            blobs_written: count(|done| done.objects_written),
            branch_head: result.as_ref().map(|done| done.branch_head.to_string()),
            error,
            code,
            result,
        },
    )
}

/// Takes apart what [`index_mpack`] says of a refused push: a word and a sentence.
fn split_code(error: &str) -> (Option<String>, String) {
    match error.split_once(": ") {
        Some((code, rest)) if code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            (Some(code.to_owned()), rest.to_owned())
        }
        _ => (None, error.to_owned()),
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        use musehub_core::mpack::MpackError;
        match error {
            IndexError::NotUploaded(_) => Self::new(StatusCode::NOT_FOUND, "not_uploaded", error.to_string()),
            IndexError::TooLarge { .. } | IndexError::Pack(MpackError::TooLarge { .. }) => {
                Self::too_large(error.to_string())
            }
            IndexError::WrongId { .. } | IndexError::Pack(_) => Self::invalid(error.to_string()),
            IndexError::Push(error) => error.into(),
        }
    }
}
