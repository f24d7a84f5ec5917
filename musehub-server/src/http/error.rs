//! The one place where errors become a status, a stable code and a sentence that is safe to show.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use musehub_core::hub::proposals::ProposalError;
use musehub_core::hub::{
    AccessError, BranchError, CollaboratorError, CommitError, CreateError, FetchError, InitialiseError,
    KeyringError, MergeRefused, PushError, ReadError, Refused, ReleaseError, UpdateError,
};
use musehub_core::id::IdError;
use musehub_core::name::NameError;
use musehub_core::port::BackendError;
use musehub_core::{CommitId, Handle};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BodyError, Reply, plain};
use crate::api::proposals::answers::conflict_answers;

/// What a client is told.
#[derive(Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
    /// What a program needs besides to act on it.
    pub fields: Map<String, Value>,
    /// In how many seconds to try again, where that is known.
    pub retry_after: Option<u64>,
    /// What the log is told besides; never sent.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why a request is refused
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorAnswer<'a> {
    /// A sentence for people.
    detail: &'a str,
    /// A stable word for programs.
    code: &'a str,
    #[serde(flatten)]
    #[schema(ignore)]
    fields: &'a Map<String, Value>,
}

impl ApiError {
    /// An error whose sentence says everything.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), fields: Map::new(), retry_after: None, cause: None }
    }

    /// This error, with a field more.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// A failure of the hub itself; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the hub failed; this is logged");
        error.cause = Some(cause.into());
        error
    }

    /// Nothing there that the viewer may see: one and the same answer for absent and private.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "repository not found")
    }

    /// No route fits.
    #[must_use]
    pub fn no_such_address() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_route", "there is nothing at this address")
    }

    /// No valid token and no valid signature.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Bytes that are no message.
    pub fn undecodable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "undecodable", detail)
    }

    /// A message that breaks a rule.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// More than is taken.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// Too many requests of a class.
    #[must_use]
    pub fn too_many(class: &str, wait_millis: i64) -> Self {
        let seconds = u64::try_from(wait_millis).unwrap_or(0).div_ceil(1000).max(1);
        let detail = format!("too many requests of the class '{class}': try again in {seconds} seconds");
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        error.retry_after = Some(seconds);
        error
    }

    /// A body in a format that the address does not take.
    pub fn unsupported_media(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The answer as JSON, whatever format the request asked for: no client decodes it, people read it.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let body = ErrorAnswer { detail: &self.detail, code: self.code, fields: &self.fields };
        let body = serde_json::to_vec(&body).expect("texts and JSON values are always JSON");
        let mut reply = plain(self.status, "application/json", body);
        self.add_headers(&mut reply);
        reply
    }

    /// The headers that go with the status, whatever the body is.
    pub(crate) fn add_headers(&self, reply: &mut Reply) {
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            for scheme in ["Bearer", "MSign realm=\"musehub\""] {
                reply.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
        }
    }

    /// Logs what the client is not told. Once, here.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            let mut causes = cause.to_string();
            let mut source = cause.source();
            while let Some(next) = source {
                causes.push_str(": ");
                causes.push_str(&next.to_string());
                source = next.source();
            }
            tracing::error!(status = self.status.as_u16(), code = self.code, %causes, "request failed");
        }
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Unavailable { .. } => {
                let mut failed = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "storage is unavailable; try again",
                );
                failed.cause = Some(error.into());
                failed
            }
            BackendError::Damaged { .. } => {
                let mut damaged = Self::internal(error);
                damaged.code = "damaged";
                damaged.detail =
                    "something that this needs is damaged in the storage of the hub, whose operator has to restore it"
                        .into();
                damaged
            }
            other => Self::internal(other),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::too_large(error.to_string()),
            BodyError::Idle | BodyError::Slow => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", error.to_string())
            }
            BodyError::Unproven(refusal) => *refusal,
            BodyError::Failed(_) => Self::undecodable(error.to_string()),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotFound => Self::not_found(),
            AccessError::Unauthenticated => Self::unauthorized(error.to_string()),
            AccessError::Scope { .. } => Self::new(StatusCode::FORBIDDEN, "scope", error.to_string()),
            AccessError::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, "forbidden", error.to_string()),
            AccessError::Backend(error) => error.into(),
        }
    }
}

impl From<CollaboratorError> for ApiError {
    fn from(error: CollaboratorError) -> Self {
        match error {
            CollaboratorError::Backend(error) => error.into(),
            CollaboratorError::None { .. } => {
                Self::new(StatusCode::NOT_FOUND, "no_collaborator", error.to_string())
            }
            CollaboratorError::Unknown { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_identity", error.to_string())
            }
            CollaboratorError::Owner { .. } | CollaboratorError::TooMany => Self::invalid(error.to_string()),
        }
    }
}

impl From<KeyringError> for ApiError {
    fn from(error: KeyringError) -> Self {
        let (status, code) = match error {
            KeyringError::Backend(error) => return error.into(),
            KeyringError::Closed => (StatusCode::FORBIDDEN, "registration_closed"),
            KeyringError::AgentOfAgent => (StatusCode::FORBIDDEN, "agent"),
            KeyringError::Taken { .. } => (StatusCode::CONFLICT, "handle_taken"),
            KeyringError::Registered { .. } => (StatusCode::CONFLICT, "key_registered"),
            KeyringError::NoKey { .. } => (StatusCode::NOT_FOUND, "no_key"),
            KeyringError::Challenge => (StatusCode::UNPROCESSABLE_ENTITY, "challenge"),
            KeyringError::Proof => (StatusCode::UNPROCESSABLE_ENTITY, "proof"),
            KeyringError::Unknown { .. } | KeyringError::TooMany => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Exists { .. } => Self::new(StatusCode::CONFLICT, "exists", error.to_string()),
            CreateError::Backend(error) => error.into(),
        }
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::NotFastForward { .. } => {
                Self::new(StatusCode::CONFLICT, "non_fast_forward", error.to_string())
            }
            PushError::BranchMoved { expected, head, .. } => {
                let id = |id: Option<CommitId>| id.map(|id| id.to_string());
                Self::new(StatusCode::CONFLICT, "branch_moved", error.to_string())
                    .with("expected_head", id(expected))
                    .with("head", id(head))
            }
            PushError::Protected { refused, .. } => {
                let refused = match refused {
                    Refused::Force => "force",
                    Refused::Deletion => "deletion",
                    Refused::DirectPush => "direct_push",
                };
                Self::new(StatusCode::FORBIDDEN, "protected_branch", error.to_string())
                    .with("refused", refused)
            }
            PushError::Busy { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()),
            PushError::Unstored { .. } => Self::new(StatusCode::CONFLICT, "unstored", error.to_string()),
            PushError::StagingFull { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "staging_full", error.to_string())
            }
            PushError::TooManySnapshots { .. } | PushError::BlobTooLarge { .. } => {
                Self::too_large(error.to_string())
            }
            PushError::Incomplete(_) | PushError::MissingBase { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "incomplete", error.to_string())
            }
            PushError::NotSigned { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_signed", error.to_string())
            }
            PushError::Backend(error) => error.into(),
            other => Self::invalid(other.to_string()),
        }
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        let detail = error.to_string();
        let (code, path) = match error {
            CommitError::Push(error) => return error.into(),
            CommitError::Read(error) => return error.into(),
            CommitError::TooManyChanges => return Self::too_large(detail),
            CommitError::Text { .. } | CommitError::Manifest(_) => return Self::invalid(detail),
            CommitError::NothingChanged => ("nothing_changed", None),
            CommitError::NoSuchFile { path } => ("no_such_file", Some(path)),
            CommitError::FileExists { path } => ("file_exists", Some(path)),
            CommitError::WrittenTwice { path } => ("written_twice", Some(path)),
            CommitError::NoExecutables { path, .. } => ("no_executables", Some(path)),
        };
        let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        match path {
            Some(path) => refused.with("path", path.as_str()),
            None => refused,
        }
    }
}

impl From<InitialiseError> for ApiError {
    fn from(error: InitialiseError) -> Self {
        match error {
            InitialiseError::Create(error) => error.into(),
            InitialiseError::Commit(error) => {
                let mut refused = Self::from(error);
                let created = "the repository is created, and empty; its first commit is not made";
                refused.detail = format!("{created}: {}", refused.detail);
                refused.with("created", true)
            }
        }
    }
}

impl From<MergeRefused> for ApiError {
    fn from(error: MergeRefused) -> Self {
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, error.to_string());
        match error {
            MergeRefused::NothingToMerge => conflict("nothing_to_merge"),
            MergeRefused::Unrelated => conflict("unrelated"),
            MergeRefused::NotFastForward => conflict("not_fast_forward"),
            MergeRefused::ReplaysMerge { commit } => {
                conflict("replays_merge").with("commit_id", commit.to_string())
            }
            MergeRefused::TooManyCommits | MergeRefused::Limit(_) => Self::too_large(error.to_string()),
            MergeRefused::Conflicts(ref conflicts) => {
                match serde_json::to_value(conflict_answers(conflicts)) {
                    Ok(listed) => conflict("conflicts")
                        .with("conflict_count", conflicts.total)
                        .with("conflicts", listed),
                    Err(error) => Self::internal(error),
                }
            }
            MergeRefused::Push(error) => error.into(),
            MergeRefused::Commit(error) => error.into(),
            MergeRefused::Read(error) => error.into(),
        }
    }
}

impl From<ProposalError> for ApiError {
    fn from(error: ProposalError) -> Self {
        let refused = |status, code| Self::new(status, code, error.to_string());
        let conflict = |code| refused(StatusCode::CONFLICT, code);
        match error {
            ProposalError::NotFound { .. } | ProposalError::NoSuchEntry => {
                refused(StatusCode::NOT_FOUND, "not_found")
            }
            ProposalError::NoSuchBranch { ref branch } => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "no_such_branch").with("branch", branch.as_str())
            }
            ProposalError::SameBranch | ProposalError::Text { .. } => Self::invalid(error.to_string()),
            ProposalError::NothingProposed { .. } => conflict("nothing_to_merge"),
            ProposalError::Exists { .. } => conflict("exists"),
            ProposalError::Forbidden { .. } => refused(StatusCode::FORBIDDEN, "forbidden"),
            ProposalError::NotOpen { state, .. } => {
                conflict("proposal_not_open").with("state", state.as_str())
            }
            ProposalError::Draft { .. } => conflict("draft"),
            ProposalError::Changed { .. } => conflict("proposal_changed"),
            ProposalError::SourceMoved { expected, head } => conflict("source_moved")
                .with("expected_head", expected.to_string())
                .with("head", head.to_string()),
            ProposalError::TooManyEntries => conflict("too_many_entries"),
            ProposalError::ApprovalGate { approved, required, ref changes_requested } => {
                let asking: Vec<&str> = changes_requested.iter().map(Handle::as_str).collect();
                conflict("approval_gate")
                    .with("approved", approved)
                    .with("required", required)
                    .with("changes_requested", asking)
            }
            ProposalError::Merge(error) => error.into(),
            ProposalError::Read(error) => error.into(),
            ProposalError::Backend(error) => error.into(),
        }
    }
}

impl From<BranchError> for ApiError {
    fn from(error: BranchError) -> Self {
        match error {
            BranchError::Push(error) => error.into(),
            BranchError::Read(error) => error.into(),
            BranchError::IsDefault { .. } => {
                Self::new(StatusCode::CONFLICT, "default_branch", error.to_string())
            }
        }
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        let (status, code) = match error {
            ReleaseError::Backend(error) => return error.into(),
            ReleaseError::TooLarge { .. } => return Self::too_large(error.to_string()),
            ReleaseError::Label(_) => return Self::invalid(error.to_string()),
            ReleaseError::NoSuchCommit { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "incomplete"),
            ReleaseError::Exists { .. } | ReleaseError::Tagged { .. } => (StatusCode::CONFLICT, "exists"),
            ReleaseError::NotFound { .. } | ReleaseError::NoSuchTag { .. } => {
                (StatusCode::NOT_FOUND, "not_found")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NotFound => Self::not_found(),
            UpdateError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()),
            UpdateError::Backend(error) => error.into(),
            other => Self::invalid(other.to_string()),
        }
    }
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::TooLarge { .. } => Self::too_large(error.to_string()),
            FetchError::Backend(error) => error.into(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            ReadError::Backend(error) => error.into(),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::invalid(error.to_string())
    }
}
