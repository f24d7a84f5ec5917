//! What the detector found: the dashboard, the breakage page, and the same for programs.

use hyper::StatusCode;
use musehub_core::RepoPath;
use musehub_core::port::{
    self, BreakageGroup, BreakageGrouping, BreakageIssue, BreakageMeta, Help, JobStatus, RepositoryRecord,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{render, views};
use crate::api::RepositoryPath;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, json};
use crate::jobs;
use crate::pages::{BreakageFilter, BreakagePage, BreakageScan, Grouping, IntelDashboardPage, JobState};
use crate::pages::{Severity, Trend};

/// Rows of the preview on the dashboard.
const PREVIEW: u32 = 5;
/// Numbers of issues that a page may show.
const TOPS: [u64; 3] = [20, 50, 100];
/// Types of issues that can be filtered for.
const TYPES: [&str; 3] = ["stale_import", "missing_module", "missing_symbol"];
/// Issues shown of each group; the rest is a link away.
const EACH: u32 = 5;
/// Scans of the curve.
const SCANS: u32 = 30;
/// The longest missing name that can be asked for, in bytes.
const MAX_SUBJECT: usize = 2048;

/// `GET /{owner}/{slug}/intel`
pub(crate) async fn intel(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let filter = port::BreakageFilter { limit: PREVIEW, ..port::BreakageFilter::default() };
    let (issues, _) = exchange.app.breakage.breakage_issues(&repo.repo_id, &filter).await?;
    let page = IntelDashboardPage {
        repo: views::header(repo),
        breakage: scan(exchange, repo).await?,
        trend: trend(&exchange.app.breakage.breakage_history(&repo.repo_id, SCANS).await?),
        preview: issues.into_iter().map(views::issue).collect(),
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/intel/breakage`
pub(crate) async fn breakage(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let filter = filter(exchange);
    let found = find(exchange, repo, &filter).await?;
    let history = exchange.app.breakage.breakage_history(&repo.repo_id, SCANS).await?;
    let page = BreakagePage {
        repo: views::header(repo),
        scan: scan(exchange, repo).await?,
        trend: trend(&history),
        valid_types: TYPES.map(str::to_owned).to_vec(),
        valid_tops: TOPS.to_vec(),
        matching: found.matching,
        pages: found.pages(&filter),
        issues: found.issues.into_iter().map(views::issue).collect(),
        groups: found.groups.into_iter().map(views::group).collect(),
        filter,
    };
    render(exchange, &page)
}

/// What the detector of stale imports found
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/intel/breakage",
    tag = "intelligence",
    params(RepositoryPath, BreakageFilter),
    responses((status = 200, description = "A page of issues or of groups of them.", body = BreakageAnswer)),
)]
pub(crate) async fn breakage_json(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let filter = filter(exchange);
    let found = find(exchange, repo, &filter).await?;
    let index = &exchange.app.breakage;
    let meta = index.breakage_meta(&repo.repo_id).await?;
    let history = index.breakage_history(&repo.repo_id, SCANS).await?;
    let answer = BreakageAnswer {
        owner: repo.owner.as_str(),
        slug: repo.slug.as_str(),
        scan: meta.as_ref().map(ScanAnswer::from),
        job: job(exchange, repo).await?,
        matching: found.matching,
        pages: found.pages(&filter),
        issues: filter.group.is_none().then(|| found.issues.iter().map(IssueAnswer::from).collect()),
        groups: filter.group.is_some().then(|| found.groups.iter().map(GroupAnswer::from).collect()),
        history: history.iter().map(ScanAnswer::from).collect(),
        filter: &filter,
    };
    json(StatusCode::OK, &answer)
}

/// The page of findings that a selection asks for.
#[derive(Default)]
struct Found {
    issues: Vec<BreakageIssue>,
    groups: Vec<BreakageGroup>,
    /// How many issues or groups match.
    matching: u64,
}

impl Found {
    fn pages(&self, filter: &BreakageFilter) -> u64 {
        self.matching.div_ceil(filter.top).max(1)
    }
}

async fn find(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    filter: &BreakageFilter,
) -> Result<Found, ApiError> {
    let index = &exchange.app.breakage;
    let limit = u32::try_from(filter.top).unwrap_or(u32::MAX);
    let wanted = port::BreakageFilter {
        issue_type: filter.issue_type.clone(),
        severity: filter.severity.map(|severity| match severity {
            Severity::Warning => port::Severity::Warning,
            Severity::Error => port::Severity::Error,
        }),
        file_path: filter.file.clone(),
        subject: filter.subject.clone(),
        limit,
        offset: u32::try_from(filter.page - 1).unwrap_or(0).saturating_mul(limit),
    };
    let by = match filter.group {
        Some(Grouping::Name) => BreakageGrouping::Subject,
        Some(Grouping::File) => BreakageGrouping::File,
        None => {
            let (issues, matching) = index.breakage_issues(&repo.repo_id, &wanted).await?;
            return Ok(Found { issues, matching, ..Found::default() });
        }
    };
    let (groups, matching) = index.breakage_groups(&repo.repo_id, by, &wanted, EACH).await?;
    Ok(Found { groups, matching, ..Found::default() })
}

/// The selection of the query; whatever is not valid is as if it were not there.
fn filter(exchange: &Exchange<'_>) -> BreakageFilter {
    let number = |name: &str| exchange.query(name).and_then(|text| text.parse::<u64>().ok());
    let is_subject =
        |text: &String| !text.is_empty() && text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control);
    BreakageFilter {
        issue_type: exchange.query("issue_type").filter(|text| TYPES.contains(&text.as_str())),
        severity: match exchange.query("severity").as_deref() {
            Some("warning") => Some(Severity::Warning),
            Some("error") => Some(Severity::Error),
            _ => None,
        },
        file: exchange.query("file").filter(|text| RepoPath::parse(text).is_ok()),
        subject: exchange.query("subject").filter(is_subject),
        group: match exchange.query("group").as_deref() {
            Some("name") => Some(Grouping::Name),
            Some("file") => Some(Grouping::File),
            _ => None,
        },
        top: number("top").filter(|top| TOPS.contains(top)).unwrap_or(TOPS[0]),
        page: number("page").filter(|page| (1..=1_000_000).contains(page)).unwrap_or(1),
    }
}

/// Where the scan of a repository stands: its sums, and the job that will replace them.
pub(super) async fn scan(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Result<BreakageScan, ApiError> {
    let meta = exchange.app.breakage.breakage_meta(&repo.repo_id).await?;
    Ok(BreakageScan { counts: meta.map(views::counts), job: job(exchange, repo).await? })
}

/// The scan that is waiting, under way or given up.
async fn job(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Result<Option<JobState>, ApiError> {
    let job = exchange.app.queue.latest(&repo.repo_id, jobs::BREAKAGE).await?;
    Ok(job.and_then(|job| match job.status {
        JobStatus::Pending => Some(JobState::Pending),
        JobStatus::Running => Some(JobState::Running),
        JobStatus::Failed => Some(JobState::Failed),
        JobStatus::Done | JobStatus::Cancelled => None,
    }))
}

fn trend(history: &[BreakageMeta]) -> Option<Trend> {
    Trend::of(&history.iter().map(|scan| scan.total_issues).collect::<Vec<_>>())
}

#[derive(Serialize, ToSchema)]
struct BreakageAnswer<'a> {
    owner: &'a str,
    slug: &'a str,
    /// Null before the first scan.
    scan: Option<ScanAnswer>,
    /// A scan that is waiting, running or failed.
    job: Option<JobState>,
    filter: &'a BreakageFilter,
    matching: u64,
    pages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<Vec<IssueAnswer<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupAnswer<'a>>>,
    /// The last scans, oldest first.
    history: Vec<ScanAnswer>,
}

#[derive(Serialize, ToSchema)]
struct ScanAnswer {
    #[serde(rename = "ref")]
    commit: String,
    scanned_at: String,
    total_issues: u64,
    warning_count: u64,
    error_count: u64,
    file_count: u64,
}

impl From<&BreakageMeta> for ScanAnswer {
    fn from(meta: &BreakageMeta) -> Self {
        Self {
            commit: meta.commit.to_string(),
            scanned_at: meta.scanned_at.to_string(),
            total_issues: meta.total_issues,
            warning_count: meta.warning_count,
            error_count: meta.error_count,
            file_count: meta.file_count,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct IssueAnswer<'a> {
    issue_id: String,
    issue_type: &'a str,
    severity: &'a str,
    file_path: &'a str,
    line: u32,
    column: u32,
    subject: &'a str,
    description: &'a str,
    /// What is known to help; what is not is left out.
    help: HelpAnswer<'a>,
}

impl<'a> From<&'a BreakageIssue> for IssueAnswer<'a> {
    fn from(issue: &'a BreakageIssue) -> Self {
        Self {
            issue_id: issue.issue_id.to_string(),
            issue_type: &issue.issue_type,
            severity: issue.severity.as_str(),
            file_path: &issue.file_path,
            line: issue.line,
            column: issue.column,
            subject: &issue.subject,
            description: &issue.description,
            help: HelpAnswer::from(&issue.help),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct HelpAnswer<'a> {
    /// The nearest name that exists in the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<&'a str>,
    /// Where what is missing is defined now.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<DefinitionAnswer<'a>>,
    /// The commit that removed what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by: Option<RemovedByAnswer<'a>>,
}

#[derive(Serialize, ToSchema)]
struct DefinitionAnswer<'a> {
    file_path: &'a str,
    line: u32,
}

#[derive(Serialize, ToSchema)]
struct RemovedByAnswer<'a> {
    commit: String,
    author: &'a str,
    committed_at: &'a str,
}

impl<'a> From<&'a Help> for HelpAnswer<'a> {
    fn from(help: &'a Help) -> Self {
        Self {
            did_you_mean: help.did_you_mean.as_deref(),
            moved_to: help
                .moved_to
                .as_ref()
                .map(|place| DefinitionAnswer { file_path: &place.file_path, line: place.line }),
            removed_by: help.removed_by.as_ref().map(|by| RemovedByAnswer {
                commit: by.commit.to_string(),
                author: &by.author,
                committed_at: &by.committed_at,
            }),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct GroupAnswer<'a> {
    name: &'a str,
    total_issues: u64,
    error_count: u64,
    file_count: u64,
    subject_count: u64,
    /// The first issues of the group.
    issues: Vec<IssueAnswer<'a>>,
}

impl<'a> From<&'a BreakageGroup> for GroupAnswer<'a> {
    fn from(group: &'a BreakageGroup) -> Self {
        Self {
            name: &group.name,
            total_issues: group.issues,
            error_count: group.errors,
            file_count: group.files,
            subject_count: group.subjects,
            issues: group.first.iter().map(IssueAnswer::from).collect(),
        }
    }
}
