//! [`JobQueue`].

use async_trait::async_trait;
use musehub_core::name::RepoId;
use musehub_core::port::{
    BackendError, GiveBack, Job, JobId, JobOrder, JobPriority, JobQueue, JobStatus, Lease, NewJob, Timestamp,
};
use sea_orm::{FromQueryResult, QueryResult};

use super::SqlIndex;
use super::dialect::among;
use super::entity::job::background_job::Model;
use super::retry;
use super::sql::{Row, Write, damaged, number, text_array};
use super::text;

const TABLE: &str = "musehub_background_jobs";

const ENQUEUE: &str = "\
    INSERT INTO musehub_background_jobs \
        (job_id, repo_id, job_type, payload, status, attempt, run_at, created_at, updated_at, priority, turn) \
    VALUES ($1, $2, $3, $4, 'pending', 0, $5, $5, $5, $6, ";

/// The place of a job that comes in any order.
const NO_TURN: &str = "NULL";

/// The place behind all that are open.
pub(super) const LAST_TURN: &str = "\
    (SELECT COALESCE(MAX(turn), 0) + 1 FROM musehub_background_jobs \
    WHERE repo_id = $2 AND job_type = $3 AND status IN ('pending', 'running'))";

const ON_CONFLICT: &str = ") ON CONFLICT (job_id) DO ";

const KEEP: &str = "NOTHING";

const RESTART: &str = "\
    UPDATE SET status = 'pending', attempt = 0, run_at = excluded.run_at, lease_until = NULL, worker = NULL, \
        error = NULL, summary = NULL, created_at = excluded.created_at, updated_at = excluded.updated_at, \
        priority = excluded.priority, turn = excluded.turn, cancel_requested_at = NULL \
    WHERE musehub_background_jobs.status IN ('done', 'failed', 'cancelled')";

/// Held until the end of the transaction by whoever gives a job of the repository its turn. So turns become visible in
/// their order, and no job appears in front of one that runs.
pub(super) const GIVE_TURNS: &str = "SELECT repo_id FROM musehub_repos WHERE repo_id = $1 {keep others out}";

/// The first of what is due, and of what a worker has let go by its lease. The condition on `status` is that of the
/// partial index, word by word, and the order is the index's, so the search ends at the first that may be claimed. One that
/// comes in turn may not while another runs or an earlier one is open: of a turn at most one row is updated, so those who
/// claim at the same time cannot pass each other.
pub(super) const CLAIM: &str = concat!(
    "UPDATE musehub_background_jobs \
    SET status = 'running', attempt = attempt + 1, worker = $1, lease_until = $2, updated_at = $3 \
    WHERE job_id = ( \
        SELECT next.job_id FROM musehub_background_jobs AS next \
        WHERE next.status IN ('pending', 'running') AND next.run_at <= $3 \
            AND (next.status = 'pending' OR next.lease_until <= $3) \
            AND (next.turn IS NULL OR NOT EXISTS ( \
                SELECT 1 FROM musehub_background_jobs AS ahead \
                WHERE ahead.repo_id = next.repo_id AND ahead.job_type = next.job_type \
                    AND ahead.status IN ('pending', 'running') AND ahead.job_id <> next.job_id \
                    AND (ahead.turn < next.turn OR ahead.status = 'running'))) \
            AND ",
    among!("next.job_type", "$4"),
    " ORDER BY next.priority, next.created_at, next.run_at LIMIT 1 {skip locked}) RETURNING *"
);

pub(super) const HEARTBEAT: &str = "\
    UPDATE musehub_background_jobs SET lease_until = $3 WHERE job_id = $1 AND worker = $2 AND status = 'running' \
    RETURNING cancel_requested_at";

pub(super) const COMPLETE: &str = "\
    UPDATE musehub_background_jobs \
    SET status = 'done', summary = $3, updated_at = $4, error = NULL, lease_until = NULL, worker = NULL \
    WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const FAIL: &str = "\
    UPDATE musehub_background_jobs \
    SET status = CASE WHEN cancel_requested_at IS NOT NULL AND $3 = 'pending' THEN 'cancelled' ELSE $3 END, \
        error = $4, run_at = COALESCE($5, run_at), lease_until = NULL, worker = NULL \
    WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const UNFINISHED: &str = "\
    UPDATE musehub_background_jobs \
    SET status = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END, \
        attempt = CASE WHEN cancel_requested_at IS NULL THEN attempt - 1 ELSE attempt END, \
        updated_at = $3, lease_until = NULL, worker = NULL \
    WHERE job_id = $1 AND worker = $2 AND status = 'running'";

pub(super) const CANCELLED: &str = "\
    UPDATE musehub_background_jobs SET status = 'cancelled', updated_at = $3, lease_until = NULL, worker = NULL \
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
        (job.priority as i64).into(),
    ];
    let turn = match job.order {
        JobOrder::Any => NO_TURN,
        JobOrder::InTurn => {
            write.rows(GIVE_TURNS, [job.repo_id.as_str().into()]).await?;
            LAST_TURN
        }
    };
    write.execute(&[ENQUEUE, turn, ON_CONFLICT, on_conflict].concat(), values).await.map(drop)
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

    async fn heartbeat(&self, job: &JobId, worker: &str, until: Timestamp) -> Result<Lease, BackendError> {
        retry::transaction(|| async {
            let write = self.write("prolonging a lease").await?;
            let values = [job.as_str().into(), worker.into(), until.as_millis().into()];
            let rows = write.rows(HEARTBEAT, values).await?;
            let cancelled = rows.first().map(|row| Row::of(TABLE, row).get(0, "cancel_requested_at"));
            let cancelled: Option<Option<i64>> = cancelled.transpose()?;
            write.commit().await?;
            Ok(match cancelled {
                None => Lease::Lost,
                Some(None) => Lease::Held,
                Some(Some(_)) => Lease::CancelRequested,
            })
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

    async fn give_back(
        &self,
        job: &JobId,
        worker: &str,
        why: GiveBack,
        now: Timestamp,
    ) -> Result<bool, BackendError> {
        let statement = match why {
            GiveBack::Unfinished => UNFINISHED,
            GiveBack::Cancelled => CANCELLED,
        };
        retry::transaction(|| async {
            let write = self.write("giving a job back unfinished").await?;
            let values = [job.as_str().into(), worker.into(), now.as_millis().into()];
            let held = write.execute(statement, values).await? > 0;
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

/// A row as the port has it.
pub(super) fn job(row: &QueryResult) -> Result<Job, BackendError> {
    let row = Model::from_query_result(row, "").map_err(|error| damaged(TABLE, "of any name", error))?;
    let priority = usize::try_from(row.priority).ok().and_then(|at| JobPriority::ALL.get(at));
    Ok(Job {
        id: JobId::from_stored(row.job_id),
        work: NewJob {
            repo_id: RepoId::parse(&row.repo_id).map_err(|error| damaged(TABLE, "repo_id", error))?,
            kind: text::read(row.job_type),
            payload: text::read(row.payload),
            priority: *priority.ok_or_else(|| damaged(TABLE, "priority", "no priority has that number"))?,
            order: if row.turn.is_some() { JobOrder::InTurn } else { JobOrder::Any },
        },
        status: row.status.parse().map_err(|error| damaged(TABLE, "status", error))?,
        attempts: number(TABLE, "attempt", row.attempt)?,
        error: row.error.map(text::read),
        summary: row.summary.map(text::read),
        cancel_requested: row.cancel_requested_at.is_some(),
        enqueued_at: Timestamp::from_millis(row.created_at),
        due_at: Timestamp::from_millis(row.run_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    })
}
