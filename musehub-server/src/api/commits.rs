//! Commits made of files that come over the API.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use musehub_core::hub::{CommitFiles, FileChange, FileContent, MAX_FILE_CHANGES, algorithm_of};
use musehub_core::object::IdProof;
use musehub_core::port::{CommitRow, RepositoryRecord};
use musehub_core::signature::commit::SignatureState;
use musehub_core::{BlobId, BranchName, CommitId, Hub, RepoPath};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle as Runtime;
use utoipa::ToSchema;

use super::RepositoryPath;
use super::repositories::CLIENT_SCHEME;
use super::staged::{Contents, Formula, Taken};
use crate::app::Exchange;
use crate::http::multipart::Multipart;
use crate::http::{ApiError, BodyReader, Pieces, Reply, RequestBody, json};
use crate::wire::codec::from_json_bytes;

/// The name of the part that says what the others are.
const COMMIT_PART: &str = "commit";

#[derive(Deserialize, ToSchema)]
pub(crate) struct CommitFilesRequest {
    /// The branch to move.
    branch: String,
    /// Where it stands, by what the caller saw; null where it is to be new, with a commit that has no parent.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<String>, required)]
    expected_head: Option<CommitId>,
    /// At most 64 KiB.
    message: String,
    /// Who wrote it, at most 256 bytes; the caller where this is left out.
    author: Option<String>,
    /// Made one after the other; at most 20,000, and no path is written twice.
    changes: Vec<ChangeRequest>,
}

/// A change of one file
#[derive(Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum ChangeRequest {
    /// Writes a file, new or not. One of `content`, `content_base64`, `object_id` and `part` says what it holds.
    Put {
        #[schema(value_type = String)]
        path: RepoPath,
        /// As text.
        content: Option<String>,
        /// As bytes.
        content_base64: Option<String>,
        /// A content that the repository holds, or that was uploaded to it.
        #[schema(value_type = Option<String>)]
        object_id: Option<BlobId>,
        /// The name of the part of the form that holds it.
        part: Option<String>,
        /// Left as it is where this is left out. Only `typed-v2` records it.
        executable: Option<bool>,
    },
    /// Deletes a file that is there.
    Delete {
        #[schema(value_type = String)]
        path: RepoPath,
    },
    /// Moves a file to where none is.
    Move {
        #[schema(value_type = String)]
        from: RepoPath,
        #[schema(value_type = String)]
        to: RepoPath,
    },
}

/// The commit first, then the contents that it names, in any order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: parts are read one by one")]
pub(crate) struct CommitFilesForm {
    commit: CommitFilesRequest,
    /// Any number of parts with names of the caller's choice.
    #[schema(value_type = String, format = Binary)]
    part: Vec<u8>,
}

/// A commit
#[derive(Serialize, ToSchema)]
pub(crate) struct CommitAnswer {
    commit_id: String,
    parent_ids: Vec<String>,
    snapshot_id: String,
    /// The branch on which it was made.
    branch: String,
    author: String,
    message: String,
    /// As its record has it.
    committed_at: String,
    /// Empty where no agent made it.
    agent_id: String,
    /// Whether the hub computed its id; else the id is taken on the word of whoever pushed it.
    id_verified: bool,
}

/// A commit with what is known of it
#[derive(Serialize, ToSchema)]
pub(crate) struct CommitShown {
    commit: CommitAnswer,
    /// Whether the hub computed the snapshot's id.
    snapshot_id_verified: bool,
    signature: SignatureAnswer,
}

/// What is known of the signature of a commit
#[derive(Serialize, ToSchema)]
pub(crate) struct SignatureAnswer {
    /// `valid`, `invalid`, `unknown_key`, `retired_key`, `unverifiable` or `unsigned`.
    state: &'static str,
    /// Whose key made it; null where that is not known.
    signer: Option<String>,
    /// The key that made it; null where that is not known.
    key_id: Option<String>,
    /// Since when that key is retired.
    retired_at: Option<String>,
}

impl From<SignatureState> for SignatureAnswer {
    fn from(known: SignatureState) -> Self {
        let state = known.as_str();
        let (signer, key, since) = match known {
            SignatureState::Valid { signer, key } => (Some(signer), Some(key), None),
            SignatureState::RetiredKey { signer, key, since } => (Some(signer), Some(key), Some(since)),
            SignatureState::UnknownKey { key } => (None, key, None),
            SignatureState::Invalid | SignatureState::Unverifiable | SignatureState::Unsigned => {
                (None, None, None)
            }
        };
        Self {
            state,
            signer: signer.map(|signer| signer.to_string()),
            key_id: key.map(|key| key.to_string()),
            retired_at: since.map(|since| since.to_string()),
        }
    }
}

impl From<CommitRow> for CommitAnswer {
    fn from(row: CommitRow) -> Self {
        Self {
            commit_id: row.id.to_string(),
            parent_ids: row.parents.iter().map(ToString::to_string).collect(),
            snapshot_id: row.snapshot.to_string(),
            branch: row.branch,
            author: row.author,
            message: row.message,
            committed_at: row.committed_at,
            agent_id: row.agent_id,
            id_verified: row.id_proof == IdProof::Verified,
        }
    }
}

/// One commit
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/commits/{id}",
    tag = "commits",
    operation_id = "show_commit",
    params(RepositoryPath, ("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The commit.", body = CommitShown)),
)]
pub(crate) async fn show(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, hub) = (exchange.repository()?, &exchange.app.hub);
    let id = CommitId::parse(exchange.params.get("id"))?;
    let row = hub.commit(repo, id).await?;
    let snapshot_id_verified = hub.snapshot_proof(repo, row.snapshot).await? == IdProof::Verified;
    let signature = hub.signature_states(repo, &[id]).await?.pop();
    let signature = signature.map_or(SignatureState::Unsigned, |(_, state)| state).into();
    json(StatusCode::OK, &CommitShown { commit: row.into(), snapshot_id_verified, signature })
}

/// Commits changes of files to a branch
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/commits",
    tag = "commits",
    params(RepositoryPath),
    request_body(content(
        (CommitFilesRequest = "application/json"),
        (CommitFilesForm = "multipart/form-data"),
    )),
    responses((status = 201, description = "The commit, which is the head of the branch.", body = CommitAnswer)),
)]
pub(crate) async fn commit_files(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let committer = exchange.caller()?.clone();
    let app = exchange.app;
    let intake = Intake {
        hub: app.hub.clone(),
        repo: repo.clone(),
        runtime: Runtime::current(),
        writer: app.hub.begin_upload(repo).await?,
        commit_limit: app.limits.request,
        file_limit: app.limits.object,
        default_author: committer.to_string(),
    };
    let content_type = exchange.header(&CONTENT_TYPE).to_owned();
    let (commit, upload) = if content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        body.decode(app.limits.upload, move |reader| intake.take_form(&content_type, reader)).await?
    } else {
        let bytes = body.collect(app.limits.request).await?;
        let taken = tokio::task::spawn_blocking(move || intake.take_json(&bytes));
        taken.await.map_err(ApiError::internal)??
    };
    // On its own task: a client that hangs up must not stop a commit between the log and the index.
    let (hub, of) = (app.hub.clone(), repo.clone());
    let made = tokio::spawn(async move { hub.commit_files(&of, &committer, commit).await });
    let made = made.await.map_err(ApiError::internal);
    if let Some(upload) = upload {
        // Taken into the commit or of no more use. What is not discarded now expires.
        let _ = app.staging().discard(&repo.repo_id, &[upload]).await;
    }
    let head = made??.head;
    app.work.notify_one();
    let row = app.hub.commit(repo, head).await?;
    json(StatusCode::CREATED, &CommitAnswer::from(row))
}

/// Takes in a request, on a thread that may block.
struct Intake {
    hub: Hub,
    repo: RepositoryRecord,
    runtime: Runtime,
    writer: Box<dyn musehub_core::port::StageWriter>,
    /// The most bytes of what says what to commit.
    commit_limit: u64,
    /// The most bytes of one file.
    file_limit: u64,
    default_author: String,
}

impl Intake {
    fn take_json(self, bytes: &[u8]) -> Result<(CommitFiles, Option<String>), ApiError> {
        self.take(from_json_bytes(bytes)?, |_, parts| match parts.iter().next() {
            None => Ok(()),
            Some(part) => Err(no_part(part)),
        })
    }

    fn take_form(
        self,
        content_type: &str,
        reader: &mut BodyReader,
    ) -> Result<(CommitFiles, Option<String>), ApiError> {
        let form = Multipart::of(content_type, reader)?;
        let mut form = form.ok_or_else(|| ApiError::undecodable("a form is multipart/form-data"))?;
        if form.next_part()?.as_deref() != Some(COMMIT_PART) {
            return Err(ApiError::invalid("the first part must be named 'commit'"));
        }
        let request = from_json_bytes(&read_whole(&mut form, self.commit_limit)?)?;
        self.take(request, |contents, mut parts| {
            while let Some(name) = form.next_part()? {
                if !parts.remove(&name) {
                    let detail = format!("part '{name}' comes twice, or no change names it");
                    return Err(ApiError::invalid(detail));
                }
                contents.read(part_key(&name), || form.next_piece())?;
            }
            parts.iter().min().map_or(Ok(()), |part| Err(no_part(part)))
        })
    }

    /// Takes in a commit; `read` is to take in the contents of the parts that it names.
    fn take(
        self,
        request: CommitFilesRequest,
        read: impl FnOnce(&mut Contents, HashSet<String>) -> Result<(), ApiError>,
    ) -> Result<(CommitFiles, Option<String>), ApiError> {
        if request.changes.len() > MAX_FILE_CHANGES {
            return Err(ApiError::too_large(format!("more than {MAX_FILE_CHANGES} changes")));
        }
        let branch = BranchName::parse(&request.branch)?;
        let head = request.expected_head;
        // Before the contents are read, for whoever is late.
        self.runtime.block_on(self.hub.require_head(&self.repo, &branch, head))?;
        let scheme = self.repo.scheme.unwrap_or(CLIENT_SCHEME);
        let formula = Formula { scheme, algorithm: algorithm_of(head) };
        let mut contents = Contents::new(formula, self.writer, self.runtime, self.file_limit);
        let mut parts = HashSet::new();
        let mut drafts = Vec::with_capacity(request.changes.len());
        for (number, change) in request.changes.into_iter().enumerate() {
            drafts.push(draft(number, change, &mut contents, &mut parts)?);
        }
        read(&mut contents, parts)?;
        let Taken { contents, upload } = contents.finish()?;
        let changes = drafts.into_iter().map(|draft| draft.resolve(&contents)).collect();
        let author = request.author.unwrap_or(self.default_author);
        let message = request.message;
        let commit =
            CommitFiles { branch, expected_head: head, author, message, changes, scheme: Some(scheme) };
        Ok((commit, upload))
    }
}

/// A change whose content may still be on its way.
enum Draft {
    Ready(FileChange),
    Put { path: RepoPath, key: String, executable: Option<bool> },
}

impl Draft {
    fn resolve(self, contents: &HashMap<String, FileContent>) -> FileChange {
        match self {
            Self::Ready(change) => change,
            Self::Put { path, key, executable } => {
                let content =
                    contents.get(&key).expect("every content that a change names was taken").clone();
                FileChange::Put { path, content, executable }
            }
        }
    }
}

/// Understands one change: its content is taken, or the part that will bring it is noted.
fn draft(
    number: usize,
    change: ChangeRequest,
    contents: &mut Contents,
    parts: &mut HashSet<String>,
) -> Result<Draft, ApiError> {
    let (path, content, content_base64, object_id, part, executable) = match change {
        ChangeRequest::Delete { path } => return Ok(Draft::Ready(FileChange::Delete { path })),
        ChangeRequest::Move { from, to } => return Ok(Draft::Ready(FileChange::Move { from, to })),
        ChangeRequest::Put { path, content, content_base64, object_id, part, executable } => {
            (path, content, content_base64, object_id, part, executable)
        }
    };
    let mut take = |bytes: Bytes| {
        let key = format!("the content of '{path}' (change {number})");
        contents.add(key.clone(), bytes).map(|()| key)
    };
    let key = match (content, content_base64, object_id, part) {
        (Some(text), None, None, None) => take(text.into())?,
        (None, Some(text), None, None) => {
            let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('='));
            take(
                bytes
                    .map_err(|_| ApiError::invalid(format!("'{path}': content_base64 is no base64")))?
                    .into(),
            )?
        }
        (None, None, Some(id), None) => {
            let content = FileContent::Blob(id);
            return Ok(Draft::Ready(FileChange::Put { path, content, executable }));
        }
        (None, None, None, Some(part)) => {
            let key = part_key(&part);
            parts.insert(part);
            key
        }
        _ => {
            let one = "exactly one of content, content_base64, object_id and part";
            return Err(ApiError::invalid(format!("'{path}': a put has {one}")));
        }
    };
    Ok(Draft::Put { path, key, executable })
}

/// What a content that comes as a part is called.
fn part_key(part: &str) -> String {
    format!("part '{part}'")
}

fn no_part(part: &str) -> ApiError {
    ApiError::invalid(format!("a change names part '{part}', which the request does not have"))
}

/// The whole content of a part that may be in memory.
fn read_whole<R: Pieces>(form: &mut Multipart<'_, R>, limit: u64) -> Result<Vec<u8>, ApiError> {
    let mut whole = Vec::new();
    while let Some(piece) = form.next_piece()? {
        whole.extend_from_slice(&piece);
        if whole.len() as u64 > limit {
            return Err(ApiError::too_large(format!("part 'commit' has more than {limit} bytes")));
        }
    }
    Ok(whole)
}
