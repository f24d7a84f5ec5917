//! The jobs of a repository, for its owner.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use musehub_core::port::{Job, JobCursor, JobFilter, JobId, JobStatus, Timestamp};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::RepositoryPath;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, json};
use crate::jobs::JobView;

/// Jobs of a page where nobody says how many.
const PAGE: u32 = 50;
/// Jobs of a page at most.
const MAX_PAGE: u32 = 200;
/// The longest kind, in bytes.
const MAX_KIND: usize = 64;

#[derive(Serialize, ToSchema)]
struct JobsAnswer {
    jobs: Vec<JobView>,
    /// What `cursor` is to be for the next page; null on the last.
    next_cursor: Option<String>,
}

/// What jobs of a list are asked for
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: parameters are read one by one")]
pub(crate) struct JobsQuery {
    /// Only these: `pending`, `running`, `done`, `failed` or `cancelled`.
    status: Option<String>,
    /// Only of this kind.
    kind: Option<String>,
    /// Jobs of a page: 1 to 200, 50 where this is left out.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The jobs of a repository, those enqueued last first
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/jobs",
    tag = "jobs",
    operation_id = "list_jobs",
    params(RepositoryPath, JobsQuery),
    responses((status = 200, description = "A page.", body = JobsAnswer)),
)]
pub(crate) async fn list(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let status = exchange.query("status").map(|word| word.parse::<JobStatus>()).transpose();
    let kind = exchange.query("kind");
    if kind.as_ref().is_some_and(|kind| kind.len() > MAX_KIND) {
        return Err(ApiError::invalid(format!("a kind has at most {MAX_KIND} bytes")));
    }
    let limit = exchange.query("limit").map_or(Ok(PAGE), |limit| limit.parse());
    let limit = limit.ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    let limit = limit.ok_or_else(|| ApiError::invalid(format!("limit is from 1 to {MAX_PAGE}")))?;
    let after = exchange.query("cursor").map(|text| cursor(&text)).transpose()?;
    let filter = JobFilter {
        repo_id: Some(repo.repo_id.clone()),
        kind,
        status: status.map_err(|error| ApiError::invalid(error.to_string()))?,
        after,
        // One more, to know whether there is a next page.
        limit: limit + 1,
    };
    let mut jobs = exchange.app.control.jobs(&filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    let next_cursor = jobs.last().filter(|_| more).map(cursor_after);
    json(StatusCode::OK, &JobsAnswer { jobs: jobs.into_iter().map(JobView::from).collect(), next_cursor })
}

/// One job
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/jobs/{id}",
    tag = "jobs",
    operation_id = "show_job",
    params(RepositoryPath, ("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The job.", body = JobView)),
)]
pub(crate) async fn show(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let absent = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "this repository has no such job");
    let id: JobId = exchange.params.get("id").parse().map_err(|_| absent())?;
    let job = exchange.app.control.job(&id).await?.filter(|job| job.work.repo_id == repo.repo_id);
    json(StatusCode::OK, &JobView::from(job.ok_or_else(absent)?))
}

fn cursor_after(job: &Job) -> String {
    let JobCursor { enqueued_at, id } = JobCursor::after(job);
    URL_SAFE_NO_PAD.encode(format!("{}.{id}", enqueued_at.as_millis()))
}

fn cursor(text: &str) -> Result<JobCursor, ApiError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (millis, id) = std::str::from_utf8(&bytes).ok()?.split_once('.')?;
        Some(JobCursor { enqueued_at: Timestamp::from_millis(millis.parse().ok()?), id: id.parse().ok()? })
    };
    read().ok_or_else(|| ApiError::invalid("this cursor is none of this hub's"))
}
