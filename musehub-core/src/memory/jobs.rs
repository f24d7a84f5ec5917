//! The job queue in memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;

use super::index::MemoryIndex;
use crate::name::RepoId;
use crate::port::{
    BackendError, Cancellation, GiveBack, Job, JobControl, JobCursor, JobFilter, JobId, JobOrder, JobQueue,
    JobStatus, Lease, NewJob, Timestamp,
};

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
    lease: Option<(String, Timestamp)>,
}

impl Queued {
    fn is_due(&self, now: Timestamp) -> bool {
        match self.job.status {
            JobStatus::Pending => self.job.due_at <= now,
            JobStatus::Running => self.lease.as_ref().is_none_or(|(_, until)| *until <= now),
            JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled => false,
        }
    }

    /// Whether it keeps `other` from running, which is to come in turn.
    fn holds_up(&self, other: &Self) -> bool {
        let (work, waiting) = (&self.job.work, &other.job.work);
        let same = work.repo_id == waiting.repo_id && work.kind == waiting.kind;
        let ahead = match self.job.status {
            JobStatus::Running => true,
            JobStatus::Pending => self.age.1 < other.age.1,
            JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled => false,
        };
        work.order == JobOrder::InTurn && same && ahead && self.job.id != other.job.id
    }

    /// Ends the lease.
    fn end(&mut self, status: JobStatus) {
        self.job.status = status;
        self.lease = None;
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
        if self.queued.get(&id).is_some_and(|queued| !queued.job.status.is_over()) {
            return;
        }
        self.count += 1;
        let job = Job {
            id: id.clone(),
            work: work.clone(),
            status: JobStatus::Pending,
            attempts: 0,
            error: None,
            summary: None,
            cancel_requested: false,
            enqueued_at: now,
            due_at: now,
            updated_at: now,
        };
        self.queued.insert(id, Queued { job, age: (now, self.count), lease: None });
    }

    /// The next job to be claimed.
    fn next(&self, kinds: &[&str], now: Timestamp) -> Option<JobId> {
        let may_run = |queued: &&Queued| {
            let in_turn = queued.job.work.order == JobOrder::InTurn;
            kinds.contains(&queued.job.work.kind.as_str())
                && queued.is_due(now)
                && !(in_turn && self.queued.values().any(|other| other.holds_up(queued)))
        };
        let next = self.queued.values().filter(may_run);
        next.min_by_key(|queued| (queued.job.work.priority, queued.age)).map(|queued| queued.job.id.clone())
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
        let jobs = &mut self.state().jobs;
        let Some(queued) = jobs.next(kinds, now).and_then(|id| jobs.queued.get_mut(&id)) else {
            return Ok(None);
        };
        queued.job.status = JobStatus::Running;
        queued.job.attempts += 1;
        queued.job.updated_at = now;
        queued.lease = Some((worker.to_owned(), now.plus_millis(lease_millis)));
        Ok(Some(queued.job.clone()))
    }

    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<Lease, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(Lease::Lost);
        };
        queued.lease = Some((worker.to_owned(), until));
        Ok(if queued.job.cancel_requested { Lease::CancelRequested } else { Lease::Held })
    }

    async fn complete(
        &self,
        job: &JobId,
        worker: &str,
        summary: &str,
        now: Timestamp,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(false);
        };
        queued.end(JobStatus::Done);
        queued.job.summary = Some(summary.to_owned());
        queued.job.error = None;
        queued.job.updated_at = now;
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
        queued.end(match retry_at {
            None => JobStatus::Failed,
            Some(_) if queued.job.cancel_requested => JobStatus::Cancelled,
            Some(_) => JobStatus::Pending,
        });
        queued.job.error = Some(error.to_owned());
        queued.job.due_at = retry_at.unwrap_or(queued.job.due_at);
        Ok(true)
    }

    async fn give_back(
        &self,
        job: &JobId,
        worker: &str,
        why: GiveBack,
        now: Timestamp,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.held(job, worker) else {
            return Ok(false);
        };
        let cancelled = why == GiveBack::Cancelled || queued.job.cancel_requested;
        queued.end(if cancelled { JobStatus::Cancelled } else { JobStatus::Pending });
        if !cancelled {
            queued.job.attempts -= 1;
        }
        queued.job.updated_at = now;
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

#[async_trait]
impl JobControl for MemoryIndex {
    async fn job(&self, id: &JobId) -> Result<Option<Job>, BackendError> {
        Ok(self.state().jobs.queued.get(id).map(|queued| queued.job.clone()))
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, BackendError> {
        let state = self.state();
        let wanted = |job: &&Job| {
            filter.repo_id.as_ref().is_none_or(|repo| job.work.repo_id == *repo)
                && filter.kind.as_ref().is_none_or(|kind| job.work.kind == *kind)
                && filter.status.is_none_or(|status| job.status == status)
                && filter.after.as_ref().is_none_or(|after| JobCursor::after(job) < *after)
        };
        let mut jobs: Vec<Job> =
            state.jobs.queued.values().map(|queued| &queued.job).filter(wanted).cloned().collect();
        jobs.sort_by_key(|job| Reverse(JobCursor::after(job)));
        jobs.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        Ok(jobs)
    }

    async fn cancel(&self, id: &JobId, now: Timestamp) -> Result<Cancellation, BackendError> {
        let mut state = self.state();
        let Some(queued) = state.jobs.queued.get_mut(id) else {
            return Ok(Cancellation::Unknown);
        };
        if queued.job.status.is_over() {
            return Ok(Cancellation::Over);
        }
        queued.job.cancel_requested = true;
        if queued.job.status == JobStatus::Running && !queued.is_due(now) {
            return Ok(Cancellation::Requested);
        }
        queued.end(JobStatus::Cancelled);
        queued.job.updated_at = now;
        Ok(Cancellation::Cancelled)
    }

    async fn retry(&self, id: &JobId, now: Timestamp) -> Result<bool, BackendError> {
        let jobs = &mut self.state().jobs;
        let Some(queued) = jobs.queued.get(id) else {
            return Ok(false);
        };
        if !matches!(queued.job.status, JobStatus::Failed | JobStatus::Cancelled) {
            return Ok(false);
        }
        let work = queued.job.work.clone();
        jobs.enqueue(&work, now);
        Ok(true)
    }

    async fn forget_ended(&self, before: Timestamp, limit: u32) -> Result<u64, BackendError> {
        let jobs = &mut self.state().jobs;
        let ended = |job: &&Job| {
            matches!(job.status, JobStatus::Done | JobStatus::Cancelled) && job.updated_at < before
        };
        let mut ids: Vec<JobCursor> =
            jobs.queued.values().map(|queued| &queued.job).filter(ended).map(JobCursor::after).collect();
        ids.sort();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for forgotten in &ids {
            jobs.queued.remove(&forgotten.id);
        }
        Ok(ids.len() as u64)
    }
}
