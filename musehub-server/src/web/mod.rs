//! Pages: what each shows is gathered here and written by [`crate::pages`].

mod repository;
mod views;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use musehub_core::hub::Need;
use musehub_core::port::{BreakageFilter, RepositoryRecord};
use musehub_core::{BranchName, CommitId, Handle, Slug};

use crate::app::Exchange;
use crate::http::{ApiError, Reply, html, plain};
use crate::jobs;
use crate::pages::{
    self, BreakagePage, BreakageScan, CommitListPage, HomePage, IntelDashboardPage, JobState, Page,
};
use crate::pages::{RepoListRow, Severity};

pub(crate) use repository::repository;

/// Rows of a page of repositories.
const REPOSITORIES: u32 = 30;
/// Rows of a page of commits.
const COMMITS: usize = 30;
/// Names in the menu of branches.
const BRANCHES: usize = 200;
/// Rows of the preview on the intel page.
const PREVIEW: u32 = 5;
/// Numbers of issues that a page may show.
const TOPS: [u64; 3] = [20, 50, 100];
/// Types of issues that can be filtered for.
const TYPES: [&str; 3] = ["stale_import", "missing_module", "missing_symbol"];

/// `GET /static/{name}`
pub(crate) fn asset(name: &str) -> Result<Reply, ApiError> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such file");
    let asset = pages::asset(name).ok_or_else(missing)?;
    let mut reply = plain(StatusCode::OK, asset.content_type, asset.bytes);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(asset.cache_control));
    Ok(reply)
}

fn render<P: Page>(exchange: &Exchange<'_>, page: &P) -> Result<Reply, ApiError> {
    let text = exchange.app.pages.render(page).map_err(ApiError::internal)?;
    Ok(html(StatusCode::OK, text))
}

/// `GET /`
pub(crate) async fn home(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let cursor = exchange.query("cursor");
    let after = cursor.as_deref().and_then(|cursor| cursor.split_once('/'));
    let after = after.and_then(|(owner, slug)| Handle::parse(owner).ok().zip(Slug::parse(slug).ok()));
    let after = after.as_ref().map(|(owner, slug)| (owner, slug));
    let records = exchange.app.repositories.public_repositories(after, REPOSITORIES).await?;
    let full = records.len() == REPOSITORIES as usize;
    let next_cursor = records.last().filter(|_| full).map(|last| format!("{}/{}", last.owner, last.slug));
    let mut repositories = Vec::with_capacity(records.len());
    for record in records {
        let refs = exchange.app.hub.refs(&record).await?;
        repositories.push(RepoListRow {
            owner: record.owner.to_string(),
            slug: record.slug.to_string(),
            description: Some(record.description).filter(|text| !text.is_empty()),
            pushed_at: refs.branches.iter().map(|branch| branch.moved_at).max().map(|at| at.to_string()),
        });
    }
    render(exchange, &HomePage { base_url: exchange.base_url(), repositories, next_cursor })
}

/// `GET /{owner}/{slug}/commits/{branch}`
pub(crate) async fn commits(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, _) = exchange.repository(Need::Read).await?;
    let refs = exchange.app.hub.refs(&repo).await?;
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such branch");
    let name = BranchName::parse(exchange.params.get("branch")).map_err(|_| missing())?;
    let branch = refs.branches.iter().find(|row| row.name == name);
    // Before the first push the default branch has a page all the same: every repository links to it.
    if branch.is_none() && (name != refs.default_branch || !refs.branches.is_empty()) {
        return Err(missing());
    }
    let cursor = exchange.query("cursor").and_then(|text| CommitId::parse(&text).ok());
    let page_size = std::num::NonZeroUsize::new(COMMITS + 1).expect("a page has rows");
    let mut rows = match branch {
        Some(branch) => exchange.app.hub.log(&repo, branch.head, cursor, page_size).await?,
        None => Vec::new(),
    };
    let more = rows.len() > COMMITS;
    rows.truncate(COMMITS);
    let page = CommitListPage {
        repo: views::header(&repo),
        branch: name.to_string(),
        branches: refs.branches.iter().take(BRANCHES).map(|row| row.name.to_string()).collect(),
        is_first: cursor.is_none(),
        next_cursor: rows.last().filter(|_| more).map(|row| row.id.to_string()),
        commits: rows.into_iter().map(views::commit).collect(),
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/intel`
pub(crate) async fn intel(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, _) = exchange.repository(Need::Read).await?;
    let filter = BreakageFilter { limit: PREVIEW, ..BreakageFilter::default() };
    let (issues, _) = exchange.app.breakage.breakage_issues(&repo.repo_id, &filter).await?;
    let page = IntelDashboardPage {
        repo: views::header(&repo),
        breakage: scan(exchange, &repo).await?,
        preview: issues.into_iter().map(views::issue).collect(),
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/intel/breakage`
pub(crate) async fn breakage(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, _) = exchange.repository(Need::Read).await?;
    let filter = filter(exchange);
    let limit = u32::try_from(filter.top).unwrap_or(100);
    let core_filter = BreakageFilter {
        issue_type: filter.issue_type.clone(),
        severity: filter.severity.map(|severity| match severity {
            Severity::Warning => musehub_core::port::Severity::Warning,
            Severity::Error => musehub_core::port::Severity::Error,
        }),
        limit,
        offset: u32::try_from(filter.page - 1).unwrap_or(0).saturating_mul(limit),
        ..BreakageFilter::default()
    };
    let (issues, matching) = exchange.app.breakage.breakage_issues(&repo.repo_id, &core_filter).await?;
    let page = BreakagePage {
        repo: views::header(&repo),
        scan: scan(exchange, &repo).await?,
        valid_types: TYPES.map(str::to_owned).to_vec(),
        valid_tops: TOPS.to_vec(),
        matching,
        issues: issues.into_iter().map(views::issue).collect(),
        pages: matching.div_ceil(filter.top).max(1),
        filter,
    };
    render(exchange, &page)
}

/// The filter of the query; whatever is not valid is as if it were not there.
fn filter(exchange: &Exchange<'_>) -> pages::BreakageFilter {
    let number = |name: &str| exchange.query(name).and_then(|text| text.parse::<u64>().ok());
    pages::BreakageFilter {
        issue_type: exchange.query("issue_type").filter(|text| TYPES.contains(&text.as_str())),
        severity: match exchange.query("severity").as_deref() {
            Some("warning") => Some(Severity::Warning),
            Some("error") => Some(Severity::Error),
            _ => None,
        },
        top: number("top").filter(|top| TOPS.contains(top)).unwrap_or(TOPS[0]),
        page: number("page").filter(|page| (1..=1_000_000).contains(page)).unwrap_or(1),
    }
}

/// Where the scan of a repository stands: its sums, and the job that will replace them.
async fn scan(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Result<BreakageScan, ApiError> {
    let meta = exchange.app.breakage.breakage_meta(&repo.repo_id).await?;
    let job = exchange.app.queue.latest(&repo.repo_id, jobs::BREAKAGE).await?;
    use musehub_core::port::JobStatus;
    let job = job.and_then(|job| match job.status {
        JobStatus::Pending => Some(JobState::Pending),
        JobStatus::Running => Some(JobState::Running),
        JobStatus::Failed => Some(JobState::Failed),
        JobStatus::Done => None,
    });
    Ok(BreakageScan { counts: meta.map(views::counts), job })
}
