//! The jobs around packs of the wire: `mpack.index` indexes one that a client uploaded, `fetch.mpack.prebuild` builds those that
//! clones will ask for.

use std::sync::Arc;

use async_trait::async_trait;
use musehub_core::hub::mpack::{INDEX_JOB, IndexError, Indexed, UploadedPack};
use musehub_core::hub::{FetchError, PushError};
use musehub_core::port::{BackendError, BranchRow, JobKind, JobPriority, NewJob, RepositoryRecord};
use serde::Serialize;

use super::handler::{Handler, JobError, Summary, Task};
use crate::app::App;
use crate::http::ApiError;

/// Indexes an uploaded pack. Somebody waits for it, and the pushes of a repository come in turn.
pub const INDEX_MPACK: JobKind = JobKind::new(INDEX_JOB).with_priority(JobPriority::High).in_turn();

/// Builds packs ahead.
pub const PREBUILD: JobKind = JobKind::new("fetch.mpack.prebuild").with_priority(JobPriority::Low).in_turn();

/// Indexes a pack, says so in one line of the log, and counts its phases.
///
/// # Errors
/// As [`Mpacks::index`](musehub_core::hub::mpack::Mpacks::index).
pub(crate) async fn index_mpack(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    pack: &UploadedPack,
) -> Result<(Indexed, Vec<BranchRow>), IndexError> {
    let (done, branches) = app.mpacks.index(repo, pack).await?;
    tracing::info!(
        repository = %format_args!("{}/{}", repo.owner, repo.slug), branch = %pack.branch, pack = %pack.mpack_key,
        fetch_mpack_ms = done.fetch_mpack_ms, unpack_ms = done.unpack_ms,
        object_puts_ms = done.object_puts_ms, object_insert_ms = done.object_insert_ms,
        object_refs_ms = done.object_refs_ms, snapshot_insert_ms = done.snapshot_insert_ms,
        commit_insert_ms = done.commit_insert_ms, elapsed_ms = done.elapsed_ms,
        mpack_size_bytes = done.mpack_size_bytes,
        commits_written = done.commits_written, commits_skipped = done.commits_skipped,
        snapshots_written = done.snapshots_written, snapshots_skipped = done.snapshots_skipped,
        objects_written = done.objects_written, objects_skipped = done.objects_skipped,
        object_refs_written = done.object_refs_written,
        "mpack.index done"
    );
    app.metrics.job_phases(INDEX_MPACK.name, done.phases());
    if app.limits.mpack_ahead > 0 {
        build_ahead(app, repo, &done).await;
    }
    Ok((done, branches))
}

/// Has the packs built that clones of this generation will ask for. It only saves them time, so that it fails is no failure of
/// the push.
async fn build_ahead(app: &Arc<App>, repo: &RepositoryRecord, done: &Indexed) {
    let payload = format!("{{\"commit\":\"{}\"}}", done.branch_head);
    let job = NewJob::new(PREBUILD, repo.repo_id.clone(), payload);
    if let Err(error) = app.queue.enqueue(&job, app.clock.now()).await {
        tracing::warn!(%error, "packs are not built ahead");
    }
}

/// The handler of [`INDEX_MPACK`].
#[derive(Debug)]
pub(super) struct IndexMpack;

#[async_trait]
impl Handler for IndexMpack {
    fn kind(&self) -> JobKind {
        INDEX_MPACK
    }

    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        let pack: UploadedPack = task.payload()?;
        let repo = task.repository().await?;
        match index_mpack(task.app, &repo, &pack).await {
            Ok((done, _)) => Summary::of(&done),
            Err(IndexError::Push(PushError::Backend(error))) => Err(error.into()),
            Err(IndexError::Push(error @ PushError::Busy { .. })) => {
                Err(BackendError::unavailable("moving a branch", error).into())
            }
            Err(error) => {
                // A word for programs in front, which whoever polls gets apart.
                let ApiError { code, detail, .. } = error.into();
                Err(JobError::Hopeless(format!("{code}: {detail}")))
            }
        }
    }
}

/// The handler of [`PREBUILD`].
#[derive(Debug)]
pub(super) struct Prebuild;

#[derive(Serialize)]
struct Prebuilt {
    built: usize,
}

#[async_trait]
impl Handler for Prebuild {
    fn kind(&self) -> JobKind {
        PREBUILD
    }

    /// Builds what the branches point at now, whatever push the job is of: of many, the first that runs does the work of all.
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        let repo = task.repository().await?;
        match task.app.mpacks.prebuild(&repo).await {
            Ok(built) => Summary::of(&Prebuilt { built }),
            Err(FetchError::Backend(error)) => Err(error.into()),
            Err(error @ FetchError::TooLarge { .. }) => Err(JobError::Hopeless(error.to_string())),
        }
    }
}
