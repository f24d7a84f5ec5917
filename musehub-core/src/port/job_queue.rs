//! Background work: claimed under a lease, retried with back-off, kept with its error when it will not succeed.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, Timestamp};
use crate::hash;
use crate::id::HashAlgorithm;
use crate::name::RepoId;

/// Names a job: a hash of what is to be done, so that enqueuing twice is once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    /// The id of the work `kind` on `repo` with `payload`.
    #[must_use]
    pub fn of(repo: &RepoId, kind: &str, payload: &str) -> Self {
        let parts = [repo.as_str(), "\0", kind, "\0", payload];
        Self(hex::encode(hash::digest(HashAlgorithm::Blake3, &parts.map(str::as_bytes))))
    }

    /// An id as a backend kept it.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which of the jobs that are due comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum JobPriority {
    /// Somebody waits for it.
    High,
    /// The rule.
    #[default]
    Normal,
    /// Nobody will miss it for a while.
    Low,
}

/// Whether jobs of one kind about one repository may overtake each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum JobOrder {
    /// They run as workers come, several at once.
    #[default]
    Any,
    /// They run one after the other, in the order in which they were enqueued: none begins before the one ahead of it is
    /// done, failed for good or cancelled.
    InTurn,
}

/// A kind of job, and how the queue treats its jobs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct JobKind {
    /// Its name, e.g. `intel.code.breakage`: at most 64 bytes.
    pub name: &'static str,
    /// When its jobs come.
    pub priority: JobPriority,
    /// Whether they come in turn.
    pub order: JobOrder,
}

impl JobKind {
    /// A kind of normal priority, in any order.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, priority: JobPriority::Normal, order: JobOrder::Any }
    }

    /// With another priority.
    #[must_use]
    pub const fn with_priority(self, priority: JobPriority) -> Self {
        Self { priority, ..self }
    }

    /// With the jobs of each repository in turn.
    #[must_use]
    pub const fn in_turn(self) -> Self {
        Self { order: JobOrder::InTurn, ..self }
    }
}

/// Work to be enqueued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewJob {
    /// The repository it is about.
    pub repo_id: RepoId,
    /// What to do, e.g. `intel.code.breakage`.
    pub kind: String,
    /// With what: JSON text that the handler of the kind understands.
    pub payload: String,
}

impl NewJob {
    /// Work of a kind; `payload` is JSON text that the handler of the kind understands.
    #[must_use]
    pub fn new(kind: JobKind, repo_id: RepoId, payload: String) -> Self {
        Self { repo_id, kind: kind.name.to_owned(), payload }
    }

    /// The id that this work has.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::of(&self.repo_id, &self.kind, &self.payload)
    }
}

/// What became of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobStatus {
    /// Waits for a worker, perhaps for a time not yet come.
    Pending,
    /// A worker holds its lease.
    Running,
    /// Done.
    Done,
    /// Given up, with its last error.
    Failed,
}

impl JobStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A job as the queue knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The work.
    pub work: NewJob,
    /// What became of it.
    pub status: JobStatus,
    /// How often it was claimed.
    pub attempts: u32,
    /// The error of the last attempt that failed.
    pub error: Option<String>,
}

/// The queue.
///
/// # Contract
/// A job is claimed by one worker at a time; one whose lease ran out may be claimed again. A worker that lost its lease
/// changes nothing any more. Handlers are idempotent, since a job may run again after a crash.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Adds work. Work that is enqueued already stays as it is, unless it is done or failed: then it starts anew.
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), BackendError>;

    /// Claims the oldest job that is due among `kinds`, for `lease_millis` from `now`.
    async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        now: Timestamp,
        lease_millis: i64,
    ) -> Result<Option<Job>, BackendError>;

    /// Prolongs a lease; false where the worker no longer holds it.
    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<bool, BackendError>;

    /// Marks a job done, with the summary of what it did.
    async fn complete(
        &self,
        job: &JobId,
        worker: &str,
        summary: &str,
        now: Timestamp,
    ) -> Result<bool, BackendError>;

    /// Gives a job back after an error: to be tried again at `retry_at`, or failed for good without one.
    async fn fail(
        &self,
        job: &JobId,
        worker: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<bool, BackendError>;

    /// The newest job of a kind for a repository.
    async fn latest(&self, repo: &RepoId, kind: &str) -> Result<Option<Job>, BackendError>;
}
