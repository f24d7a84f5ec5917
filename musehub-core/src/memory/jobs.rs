//! The job queue in memory.

use std::collections::HashMap;

use async_trait::async_trait;

use super::index::MemoryIndex;
use crate::name::RepoId;
use crate::port::{BackendError, Job, JobId, JobQueue, JobStatus, NewJob, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Jobs {
    queued: HashMap<JobId, Queued>,
    /// How often something was enqueued: what tells apart jobs of one moment.
    count: u64,
}

#[derive(Debug)]
struct Queued {
    job: Job,
    /// When it was enqueued, and which it was of all.
    age: (Timestamp, u64),
    due: Timestamp,
    lease: Option<(String, Timestamp)>,
    summary: Option<String>,
}

impl Queued {
    fn is_due(&self, now: Timestamp) -> bool {
        match self.job.status {
            JobStatus::Pending => self.due <= now,
            JobStatus::Running => self.lease.as_ref().is_none_or(|(_, until)| *until <= now),
            JobStatus::Done | JobStatus::Failed => false,
        }
    }
}

impl Jobs {
    pub(super) fn forget(&mut self, repo: &RepoId) {
        self.queued.retain(|_, queued| queued.job.work.repo_id != *repo);
    }

    pub(super) fn knows(&self, id: &JobId) -> bool {
        self.queued.contains_key(id)
    }

    pub(super) fn enqueue(&mut self, work: &NewJob, now: Timestamp) {
        let id = work.id();
        let waits = |queued: &Queued| matches!(queued.job.status, JobStatus::Pending | JobStatus::Running);
        if self.queued.get(&id).is_some_and(waits) {
            return;
        }
        self.count += 1;
        let job =
            Job { id: id.clone(), work: work.clone(), status: JobStatus::Pending, attempts: 0, error: None };
        self.queued.insert(id, Queued { job, age: (now, self.count), due: now, lease: None, summary: None });
    }

    /// The job, where `worker` holds its lease.
    fn held(&mut self, id: &JobId, worker: &str) -> Option<&mut Queued> {
        let queued = self.queued.get_mut(id)?;
        let is_holder = queued.lease.as_ref().is_some_and(|(holder, _)| holder == worker);
        is_holder.then_some(queued)
    }
}

#[async_trait]
impl JobQueue for MemoryIndex {
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(&job.repo_id)?;
        state.jobs.enqueue(job, now);
        Ok(())
    }

    async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        now: Timestamp,
        lease_millis: i64,
    ) -> Result<Option<Job>, BackendError> {
        let mut state = self.state();
        let due = |queued: &&mut Queued| kinds.contains(&queued.job.work.kind.as_str()) && queued.is_due(now);
        let Some(queued) = state.jobs.queued.values_mut().filter(due).min_by_key(|queued| queued.age) else {
            return Ok(None);
        };
        queued.job.status = JobStatus::Running;
        queued.job.attempts += 1;
        queued.lease = Some((worker.to_owned(), now.plus_millis(lease_millis)));
        Ok(Some(queued.job.clone()))
    }

    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(false);
        };
        queued.lease = Some((worker.to_owned(), until));
        Ok(true)
    }

    async fn complete(
        &self,
        job: &JobId,
        worker: &str,
        summary: &str,
        _now: Timestamp,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(false);
        };
        queued.job.status = JobStatus::Done;
        queued.summary = Some(summary.to_owned());
        queued.lease = None;
        Ok(true)
    }

    async fn fail(
        &self,
        job: &JobId,
        worker: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(false);
        };
        queued.job.error = Some(error.to_owned());
        queued.job.status = if retry_at.is_some() { JobStatus::Pending } else { JobStatus::Failed };
        queued.due = retry_at.unwrap_or(queued.due);
        queued.lease = None;
        Ok(true)
    }

    async fn latest(&self, repo: &RepoId, kind: &str) -> Result<Option<Job>, BackendError> {
        let state = self.state();
        let of_kind = state.jobs.queued.values().filter(|queued| {
            let work = &queued.job.work;
            work.repo_id == *repo && work.kind == kind
        });
        Ok(of_kind.max_by_key(|queued| queued.age).map(|queued| queued.job.clone()))
    }
}
