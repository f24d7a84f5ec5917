//! [`JobControl`].

use async_trait::async_trait;
use musehub_core::port::{
    BackendError, Cancellation, Job, JobControl, JobCursor, JobFilter, JobId, JobStatus, Timestamp,
};
use sea_orm::Value;

use super::SqlIndex;
use super::dialect::among;
use super::job::{self, Repeat};
use super::retry;
use super::sql::{Row, id_array, integer};

const TABLE: &str = "musehub_background_jobs";

pub(super) const BY_ID: &str = "SELECT * FROM musehub_background_jobs WHERE job_id = $1";

/// One that waits, or whose worker let its lease run out, at once; of one that runs its worker is told.
pub(super) const CANCEL: &str = "\
    UPDATE musehub_background_jobs \
    SET status = CASE WHEN status = 'pending' OR lease_until <= $2 THEN 'cancelled' ELSE status END, \
        updated_at = CASE WHEN status = 'pending' OR lease_until <= $2 THEN $2 ELSE updated_at END, \
        worker = CASE WHEN status = 'pending' OR lease_until <= $2 THEN NULL ELSE worker END, \
        lease_until = CASE WHEN status = 'pending' OR lease_until <= $2 THEN NULL ELSE lease_until END, \
        cancel_requested_at = COALESCE(cancel_requested_at, $2) \
    WHERE job_id = $1 AND status IN ('pending', 'running') RETURNING status";

/// Jobs of one status that ended before a time, those enqueued first first. The moment at which a job was enqueued is never after
/// that of its end, and is what the index has in order.
const ENDED: &str = "SELECT job_id FROM musehub_background_jobs \
    WHERE status = '{status}' AND status IN ('done', 'failed', 'cancelled') AND created_at < $1 AND updated_at < $1 \
    ORDER BY created_at, job_id LIMIT $2";

/// The statement that finds jobs of one status that are to be forgotten.
pub(super) fn ended(status: JobStatus) -> String {
    ENDED.replace("{status}", status.as_str())
}

/// Of jobs that were found so, those that nobody has enqueued again meanwhile.
pub(super) const FORGET: &str = concat!(
    "DELETE FROM musehub_background_jobs WHERE status = $2 AND updated_at < $1 AND ",
    among!("job_id", "$3")
);

/// The statement of a list, and its values. A list of all repositories is of one status: the indexes have these orders.
pub(super) fn list(filter: &JobFilter, status: Option<JobStatus>) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    if let Some(repo) = &filter.repo_id {
        conditions.push(format!("repo_id = {}", bind(repo.as_str().into())));
    }
    if let Some(status) = status {
        // Spelled out, with the condition of a partial index, word by word: no engine derives it from a bound value.
        let indexed = if status.is_over() { "'done', 'failed', 'cancelled'" } else { "'pending', 'running'" };
        conditions.push(format!("status = '{}' AND status IN ({indexed})", status.as_str()));
    }
    if let Some(kind) = &filter.kind {
        conditions.push(format!("job_type = {}", bind(kind.as_str().into())));
    }
    if let Some(after) = &filter.after {
        let (moment, id) = (bind(after.enqueued_at.as_millis().into()), bind(after.id.as_str().into()));
        conditions.push(format!("(created_at, job_id) < ({moment}, {id})"));
    }
    let limit = bind(i64::from(filter.limit).into());
    let text = format!(
        "SELECT * FROM musehub_background_jobs WHERE {} ORDER BY created_at DESC, job_id DESC LIMIT {limit}",
        conditions.join(" AND ")
    );
    (text, values)
}

#[async_trait]
impl JobControl for SqlIndex {
    async fn job(&self, id: &JobId) -> Result<Option<Job>, BackendError> {
        let rows = self.rows("reading a job", BY_ID, [id.as_str().into()]).await?;
        rows.first().map(job::job).transpose()
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, BackendError> {
        let statuses: Vec<Option<JobStatus>> = match filter.status {
            Some(status) => vec![Some(status)],
            None if filter.repo_id.is_some() => vec![None],
            None => JobStatus::ALL.map(Some).to_vec(),
        };
        let mut jobs = Vec::new();
        for status in statuses {
            let (text, values) = list(filter, status);
            let rows = self.rows("listing jobs", &text, values).await?;
            for row in &rows {
                jobs.push(job::job(row)?);
            }
        }
        jobs.sort_by_key(|job| std::cmp::Reverse(JobCursor::after(job)));
        jobs.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        Ok(jobs)
    }

    async fn cancel(&self, id: &JobId, now: Timestamp) -> Result<Cancellation, BackendError> {
        let status = retry::transaction(|| async {
            let write = self.write("cancelling a job").await?;
            let rows = write.rows(CANCEL, [id.as_str().into(), now.as_millis().into()]).await?;
            let status = rows.first().map(|row| Row::of(TABLE, row).parse::<JobStatus>(0, "status"));
            let status = status.transpose()?;
            write.commit().await?;
            Ok(status)
        });
        Ok(match status.await? {
            Some(JobStatus::Cancelled) => Cancellation::Cancelled,
            Some(_) => Cancellation::Requested,
            None if self.job(id).await?.is_some() => Cancellation::Over,
            None => Cancellation::Unknown,
        })
    }

    async fn retry(&self, id: &JobId, now: Timestamp) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("retrying a job").await?;
            let rows = write.rows(BY_ID, [id.as_str().into()]).await?;
            let Some(found) = rows.first().map(job::job).transpose()? else {
                return Ok(false);
            };
            if !matches!(found.status, JobStatus::Failed | JobStatus::Cancelled) {
                return Ok(false);
            }
            job::enqueue(&write, &found.work, now, Repeat::Restart).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn forget_ended(&self, before: Timestamp, limit: u32) -> Result<u64, BackendError> {
        let mut forgotten = 0;
        for status in [JobStatus::Done, JobStatus::Cancelled] {
            let statement = ended(status);
            let left = u64::from(limit).saturating_sub(forgotten);
            forgotten += retry::transaction(|| async {
                let write = self.write("forgetting jobs").await?;
                let rows = write.rows(&statement, [before.as_millis().into(), integer(left)?.into()]).await?;
                let id = |row| Row::of(TABLE, row).get::<String>(0, "job_id");
                let mut ids = rows.iter().map(id).collect::<Result<Vec<_>, _>>()?;
                ids.sort_unstable();
                let values = [before.as_millis().into(), status.as_str().into(), id_array(ids)];
                let done = write.execute(FORGET, values).await?;
                write.commit().await?;
                Ok(done)
            })
            .await?;
        }
        Ok(forgotten)
    }
}
