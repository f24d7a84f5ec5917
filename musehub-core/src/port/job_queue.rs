//! Background work: claimed under a lease, retried with back-off, kept with its error when it will not succeed.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, Timestamp};
use crate::hash;
use crate::id::HashAlgorithm;
use crate::name::RepoId;

/// Names a job: a hash of what is to be done, so that enqueuing twice is once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct JobId(String);

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && is_hex { Ok(Self(text.to_owned())) } else { Err(InvalidJobId) }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no [`JobId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the id of a job is 64 hexadecimal digits in lower case")]
pub struct InvalidJobId;

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

impl JobPriority {
    /// All of them, the first first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
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
    /// When it comes.
    pub priority: JobPriority,
    /// Whether it comes in turn.
    pub order: JobOrder,
}

impl NewJob {
    /// Work of a kind; `payload` is JSON text that the handler of the kind understands.
    #[must_use]
    pub fn new(kind: JobKind, repo_id: RepoId, payload: String) -> Self {
        let JobKind { name, priority, order } = kind;
        Self { repo_id, kind: name.to_owned(), payload, priority, order }
    }

    /// The id that this work has.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::of(&self.repo_id, &self.kind, &self.payload)
    }
}

/// What became of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum JobStatus {
    /// Waits for a worker, perhaps for a time not yet come.
    Pending,
    /// A worker holds its lease.
    Running,
    /// Done.
    Done,
    /// Given up, with its last error.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it by itself.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl FromStr for JobStatus {
    type Err = UnknownJobStatus;

    fn from_str(word: &str) -> Result<Self, UnknownJobStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or(UnknownJobStatus)
    }
}

/// A word that is no [`JobStatus`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a job is pending, running, done, failed or cancelled")]
pub struct UnknownJobStatus;

/// A job as the queue knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The work.
    pub work: NewJob,
    /// What became of it.
    pub status: JobStatus,
    /// How often it was claimed and not given back.
    pub attempts: u32,
    /// The error of the last attempt that failed.
    pub error: Option<String>,
    /// What it did, by its handler's words, when it is done.
    pub summary: Option<String>,
    /// Whether somebody has asked that it be cancelled.
    pub cancel_requested: bool,
    /// When it was enqueued last.
    pub enqueued_at: Timestamp,
    /// From when it may be claimed.
    pub due_at: Timestamp,
    /// When it was enqueued, claimed or ended last.
    pub updated_at: Timestamp,
}

/// What a worker hears of the lease that it prolongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// It is the worker's, for longer.
    Held,
    /// It is the worker's, who is to stop and give the job back as cancelled.
    CancelRequested,
    /// It is not the worker's any more.
    Lost,
}

/// Why a worker gives a job back without an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GiveBack {
    /// The worker stops: somebody else is to do it, at once, and the attempt does not count.
    Unfinished,
    /// It was asked to cancel it, and has.
    Cancelled,
}

/// The queue, as those see it who fill and work it.
///
/// # Contract
/// A job is claimed by one worker at a time; one whose lease ran out may be claimed again. A worker that lost its lease
/// changes nothing any more. Of jobs that are [in turn](JobOrder::InTurn), of one kind and repository, at most one runs, and
/// none while an earlier one waits. Handlers are idempotent, since a job may run again after a crash.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Adds work. Work that waits or runs already stays as it is; work that is over starts anew, at the end of its turn.
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), BackendError>;

    /// Claims, among `kinds`, the job that is due, of the highest priority, and of those the oldest, for `lease_millis` from
    /// `now`.
    async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        now: Timestamp,
        lease_millis: i64,
    ) -> Result<Option<Job>, BackendError>;

    /// Prolongs a lease.
    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<Lease, BackendError>;

    /// Marks a job done, with the summary of what it did; false where the worker does not hold it.
    async fn complete(
        &self,
        job: &JobId,
        worker: &str,
        summary: &str,
        now: Timestamp,
    ) -> Result<bool, BackendError>;

    /// Ends an attempt with an error: to be tried again at `retry_at`, or failed for good without one. A job that was to be
    /// cancelled is cancelled instead of tried again. False where the worker does not hold it.
    async fn fail(
        &self,
        job: &JobId,
        worker: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<bool, BackendError>;

    /// Ends an attempt without an error and without an outcome; false where the worker does not hold it. A job that was to be
    /// cancelled is cancelled in any case.
    async fn give_back(
        &self,
        job: &JobId,
        worker: &str,
        why: GiveBack,
        now: Timestamp,
    ) -> Result<bool, BackendError>;

    /// The newest job of a kind for a repository.
    async fn latest(&self, repo: &RepoId, kind: &str) -> Result<Option<Job>, BackendError>;
}

/// Where a list of jobs goes on: after this one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct JobCursor {
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// Which of that moment.
    pub id: JobId,
}

impl JobCursor {
    /// What comes after a job.
    #[must_use]
    pub fn after(job: &Job) -> Self {
        Self { enqueued_at: job.enqueued_at, id: job.id.clone() }
    }
}

/// Which jobs to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobFilter {
    /// Of this repository.
    pub repo_id: Option<RepoId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of which this became.
    pub status: Option<JobStatus>,
    /// After this one.
    pub after: Option<JobCursor>,
    /// At most so many.
    pub limit: u32,
}

/// What became of a wish to cancel a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancellation {
    /// It waited, or its worker was gone: it is cancelled.
    Cancelled,
    /// It runs: its worker will hear of it with the next sign of life.
    Requested,
    /// It was over already.
    Over,
    /// There is no such job.
    Unknown,
}

/// The queue, as those see it who look after it.
#[async_trait]
pub trait JobControl: Send + Sync {
    /// A job.
    async fn job(&self, id: &JobId) -> Result<Option<Job>, BackendError>;

    /// Jobs, those enqueued last first; of one moment, by falling ids.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, BackendError>;

    /// Cancels a job: one that waits at once, one that runs as soon as its worker hears of it.
    async fn cancel(&self, id: &JobId, now: Timestamp) -> Result<Cancellation, BackendError>;

    /// Enqueues a job again that failed or was cancelled; false where it is not there or neither.
    async fn retry(&self, id: &JobId, now: Timestamp) -> Result<bool, BackendError>;

    /// Forgets jobs that were done or cancelled before `before`, those enqueued first first, at most `limit`; how many. Those that
    /// failed stay: somebody has to look at them.
    async fn forget_ended(&self, before: Timestamp, limit: u32) -> Result<u64, BackendError>;
}
