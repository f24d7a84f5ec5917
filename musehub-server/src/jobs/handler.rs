//! What a kind of job has to say for itself, and the one list of the kinds that there are.
//!
//! A new kind is a [`Handler`] and a line in [`Registry::standard`]; queue, retries, leases, logs and metrics are the same
//! for all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use musehub_core::hub::Options;
use musehub_core::port::{BackendError, Job, JobKind, RepositoryRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::breakage::Breakage;
use super::mpack::{IndexMpack, Prebuild};
use crate::app::App;

/// What enqueues a kind of job, besides whoever does it by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Nothing.
    ByHand,
    /// A move of the default branch, with the payload `{"commit":"<id>"}`.
    DefaultBranch,
    /// A move of any branch to a commit, with the payload `{"branch":"<name>","commit":"<id>"}`.
    AnyBranch,
}

/// Runs the jobs of one kind.
///
/// # Contract
/// A job may run again after a crash, or when its worker was too slow to prolong its lease, and then beside itself: running
/// it twice must leave what running it once does. What a job writes it writes in transactions, since it can end between any
/// two awaits.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Its kind.
    fn kind(&self) -> JobKind;

    /// What enqueues it.
    fn trigger(&self) -> Trigger {
        Trigger::ByHand
    }

    /// How often a job is tried, at least once.
    fn max_attempts(&self) -> u32 {
        5
    }

    /// Does the work. What it answers is kept with the job, and logged.
    ///
    /// # Errors
    /// [`JobError`], which says whether trying again is of use.
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError>;
}

/// One job in progress.
#[derive(Debug)]
pub struct Task<'a> {
    /// The server that it runs in.
    pub app: &'a Arc<App>,
    /// The job, as it was claimed.
    pub job: &'a Job,
    cancelled: watch::Receiver<bool>,
}

impl<'a> Task<'a> {
    /// A job about to run; `cancelled` becomes true when it is to stop.
    #[must_use]
    pub fn new(app: &'a Arc<App>, job: &'a Job, cancelled: watch::Receiver<bool>) -> Self {
        Self { app, job, cancelled }
    }

    /// What the job is to be done with.
    ///
    /// # Errors
    /// [`JobError::Hopeless`] where it is not of this form.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_str(&self.job.work.payload)
            .map_err(|error| JobError::Hopeless(format!("its payload: {error}")))
    }

    /// The repository that it is about.
    ///
    /// # Errors
    /// [`JobError::Hopeless`] where it is gone; a backend's error.
    pub async fn repository(&self) -> Result<RepositoryRecord, JobError> {
        let repo = self.app.repositories.repository_by_id(&self.job.work.repo_id).await?;
        repo.filter(|repo| !repo.deleted).ok_or_else(|| JobError::Hopeless("its repository is gone".into()))
    }

    /// To be asked between the steps of long work.
    ///
    /// # Errors
    /// [`JobError::Cancelled`] once somebody has cancelled the job.
    pub fn checkpoint(&self) -> Result<(), JobError> {
        if *self.cancelled.borrow() { Err(JobError::Cancelled) } else { Ok(()) }
    }
}

/// What a job did: JSON, as it is kept with the job and logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary(String);

impl Summary {
    /// Anything that has a form in JSON.
    ///
    /// # Errors
    /// [`JobError::Hopeless`] where it has none.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JobError> {
        serde_json::to_string(value).map(Self).map_err(|error| JobError::Hopeless(error.to_string()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a job did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// What it is about is gone or malformed: trying again is of no use.
    #[error("{0}")]
    Hopeless(String),
    /// Somebody cancelled it, and it has stopped.
    #[error("cancelled while it ran")]
    Cancelled,
    /// A backend failed: it is tried again.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Its handler panicked: it is tried again.
    #[error("its handler panicked: {0}")]
    Panicked(String),
}

impl JobError {
    /// Whether another try may succeed.
    #[must_use]
    pub const fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Backend(_) | Self::Panicked(_))
    }
}

/// The kinds of jobs that a server runs.
#[derive(Clone)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn Handler>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// Those of this hub.
    #[must_use]
    pub fn standard() -> Self {
        let handlers: [Arc<dyn Handler>; 3] = [Arc::new(Breakage), Arc::new(IndexMpack), Arc::new(Prebuild)];
        Self::of(handlers)
    }

    /// These.
    ///
    /// # Panics
    /// Where two have one kind.
    #[must_use]
    pub fn of(handlers: impl IntoIterator<Item = Arc<dyn Handler>>) -> Self {
        let mut by_kind = BTreeMap::new();
        for handler in handlers {
            let kind = handler.kind().name;
            assert!(by_kind.insert(kind, handler).is_none(), "two handlers of '{kind}'");
        }
        Self(by_kind)
    }

    /// The names of the kinds, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// The handler of a kind.
    #[must_use]
    pub fn handler(&self, kind: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(kind)
    }

    /// What a hub enqueues when a branch moves.
    #[must_use]
    pub fn hub_options(&self) -> Options {
        let kinds = |trigger| {
            let triggered = self.0.values().filter(move |handler| handler.trigger() == trigger);
            triggered.map(|handler| handler.kind()).collect()
        };
        Options { default_branch_jobs: kinds(Trigger::DefaultBranch), branch_jobs: kinds(Trigger::AnyBranch) }
    }
}
