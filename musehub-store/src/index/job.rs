//! [`JobQueue`].

use async_trait::async_trait;
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, Job, JobId, JobQueue, JobStatus, NewJob, Timestamp};
use sea_orm::{FromQueryResult, QueryResult};

use super::SqlIndex;
use super::dialect::among;
use super::entity::job::background_job::Model;
use super::retry;
use super::sql::{Write, damaged, number, text_array};
use super::text;

const TABLE: &str = "musehub_background_jobs";

const ENQUEUE: &str = "\
    INSERT INTO musehub_background_jobs \
        (job_id, repo_id, job_type, payload, status, attempt, run_at, created_at, updated_at) \
    VALUES ($1, $2, $3, $4, 'pending', 0, $5, $5, $5) \
    ON CONFLICT (job_id) DO ";

const KEEP: &str = "NOTHING";

const RESTART: &str = "\
    UPDATE SET status = 'pending', attempt = 0, run_at = excluded.run_at, lease_until = NULL, worker = NULL, \
        error = NULL, summary = NULL, created_at = excluded.created_at, updated_at = excluded.updated_at \
    WHERE musehub_background_jobs.status IN ('done', 'failed')";

/// The oldest of what is due, and of what a worker has let go by its lease. The condition on `status` is that of the
/// partial index, word by word, and the order is the index's, so the search ends at the first that may be claimed.
pub(super) const CLAIM: &str = concat!(
    "UPDATE musehub_background_jobs \
    SET status = 'running', attempt = attempt + 1, worker = $1, lease_until = $2, updated_at = $3 \
    WHERE job_id = ( \
        SELECT job_id FROM musehub_background_jobs \
        WHERE status IN ('pending', 'running') AND run_at <= $3 \
            AND (status = 'pending' OR lease_until <= $3) AND ",
    among!("job_type", "$4"),
    " ORDER BY created_at, run_at LIMIT 1 {skip locked}) RETURNING *"
);

pub(super) const HEARTBEAT: &str = "\
    UPDATE musehub_background_jobs SET lease_until = $3 WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const COMPLETE: &str = "\
    UPDATE musehub_background_jobs \
    SET status = 'done', summary = $3, updated_at = $4, error = NULL, lease_until = NULL, worker = NULL \
    WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const FAIL: &str = "\
    UPDATE musehub_background_jobs \
    SET status = $3, error = $4, run_at = COALESCE($5, run_at), lease_until = NULL, worker = NULL \
    WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const LATEST: &str = "\
    SELECT * FROM musehub_background_jobs WHERE repo_id = $1 AND job_type = $2 ORDER BY created_at DESC LIMIT 1";

/// What enqueuing does to work that is done or failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// It starts anew.
    Restart,
    /// It stays as it is.
    Keep,
}

/// Adds work within a transaction.
pub(super) async fn enqueue(
    write: &Write,
    job: &NewJob,
    now: Timestamp,
    repeat: Repeat,
) -> Result<(), BackendError> {
    let on_conflict = match repeat {
        Repeat::Restart => RESTART,
        Repeat::Keep => KEEP,
    };
    let values = [
        job.id().as_str().into(),
        job.repo_id.as_str().into(),
        job.kind.as_str().into(),
        job.payload.as_str().into(),
        now.as_millis().into(),
    ];
    write.execute(&[ENQUEUE, on_conflict].concat(), values).await.map(drop)
}

#[async_trait]
impl JobQueue for SqlIndex {
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("enqueuing a job").await?;
            enqueue(&write, job, now, Repeat::Restart).await?;
            write.commit().await
        })
        .await
    }

    async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        now: Timestamp,
        lease_millis: i64,
    ) -> Result<Option<Job>, BackendError> {
        retry::transaction(|| async {
            let write = self.write("claiming a job").await?;
            let until = now.plus_millis(lease_millis).as_millis();
            let values = [worker.into(), until.into(), now.as_millis().into(), text_array(kinds)];
            let rows = write.rows(CLAIM, values).await?;
            let claimed = rows.first().map(job).transpose()?;
            write.commit().await?;
            Ok(claimed)
        })
        .await
    }

    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("prolonging a lease").await?;
            let values = [job.as_str().into(), worker.into(), until.as_millis().into()];
            let held = write.execute(HEARTBEAT, values).await? > 0;
            write.commit().await?;
            Ok(held)
        })
        .await
    }

    async fn complete(
        &self,
        job: &JobId,
        worker: &str,
        summary: &str,
        now: Timestamp,
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("completing a job").await?;
            let values = [job.as_str().into(), worker.into(), summary.into(), now.as_millis().into()];
            let held = write.execute(COMPLETE, values).await? > 0;
            write.commit().await?;
            Ok(held)
        })
        .await
    }

    async fn fail(
        &self,
        job: &JobId,
        worker: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("giving a job back").await?;
            let status = if retry_at.is_some() { JobStatus::Pending } else { JobStatus::Failed };
            let retry_at = retry_at.map(Timestamp::as_millis);
            let values =
                [job.as_str().into(), worker.into(), status.as_str().into(), error.into(), retry_at.into()];
            let held = write.execute(FAIL, values).await? > 0;
            write.commit().await?;
            Ok(held)
        })
        .await
    }

    async fn latest(&self, repo: &RepoId, kind: &str) -> Result<Option<Job>, BackendError> {
        let rows = self.rows("finding a job", LATEST, [repo.as_str().into(), kind.into()]).await?;
        rows.first().map(job).transpose()
    }
}

fn job(row: &QueryResult) -> Result<Job, BackendError> {
    let row = Model::from_query_result(row, "").map_err(|error| damaged(TABLE, "of any name", error))?;
    Ok(Job {
        id: JobId::from_stored(row.job_id),
        work: NewJob {
            repo_id: RepoId::parse(&row.repo_id).map_err(|error| damaged(TABLE, "repo_id", error))?,
            kind: text::read(row.job_type),
            payload: text::read(row.payload),
        },
        status: status(&row.status)?,
        attempts: number(TABLE, "attempt", row.attempt)?,
        error: row.error.map(text::read),
    })
}

fn status(word: &str) -> Result<JobStatus, BackendError> {
    [JobStatus::Pending, JobStatus::Running, JobStatus::Done, JobStatus::Failed]
        .into_iter()
        .find(|status| status.as_str() == word)
        .ok_or_else(|| damaged(TABLE, "status", "no status has that name"))
}
