//! The data each page shows, as plain values.
//!
//! Text is raw: escaping and URL encoding are the templates' work. Times are the ISO 8601 texts as
//! stored; ids are whole.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::Page;
use super::highlight::CodeLine;

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Its owner.
    Private,
}

/// What the head of every page of a repository shows.
#[derive(Debug, Clone, Serialize)]
pub struct RepoHeader {
    /// Handle of the owner.
    pub owner: String,
    /// Name within the owner's repositories.
    pub slug: String,
    /// One line about the repository.
    pub description: Option<String>,
    /// Who may read it.
    pub visibility: Visibility,
    /// Branch the Commits tab leads to.
    pub default_branch: String,
}

/// `GET /`: the public repositories of this hub.
#[derive(Debug, Clone, Serialize)]
pub struct HomePage {
    /// Scheme and authority the hub is reached at, without a closing slash.
    pub base_url: String,
    /// One page of repositories, latest push first.
    pub repositories: Vec<RepoListRow>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// One repository in a list.
#[derive(Debug, Clone, Serialize)]
pub struct RepoListRow {
    /// Handle of the owner.
    pub owner: String,
    /// Name within the owner's repositories.
    pub slug: String,
    /// One line about the repository.
    pub description: Option<String>,
    /// Time of the last push; `None` before the first.
    pub pushed_at: Option<String>,
}

/// `GET /{owner}/{slug}`: what is in a repository and how to get it.
#[derive(Debug, Clone, Serialize)]
pub struct RepoHomePage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Scheme and authority the hub is reached at, without a closing slash.
    pub base_url: String,
    /// Totals over the whole repository.
    pub counts: RepoCounts,
    /// `None` before the first push.
    pub content: Option<RepoContent>,
    /// Where the breakage analysis stands.
    pub breakage: BreakageScan,
}

/// Totals of a repository.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct RepoCounts {
    /// Commits in the repository.
    pub commits: u64,
    /// Branches.
    pub branches: u64,
    /// Files in the shown head.
    pub files: u64,
}

/// The shown branch of a repository, and its other branches.
#[derive(Debug, Clone, Serialize)]
pub struct RepoContent {
    /// Branch whose head is shown: the default branch, or the first where that is missing.
    pub branch: String,
    /// Head of that branch.
    pub head: CommitRow,
    /// Root of the head's tree: directories first, then files, by name.
    pub entries: Vec<TreeEntry>,
    /// Entries left out of `entries`.
    pub entries_omitted: u64,
    /// Latest commits of the branch, the head first.
    pub commits: Vec<CommitRow>,
    /// Branches with their heads, the default branch first.
    pub branches: Vec<BranchRow>,
    /// Branches left out of `branches`.
    pub branches_omitted: u64,
}

/// A branch and its head.
#[derive(Debug, Clone, Serialize)]
pub struct BranchRow {
    /// Branch name, which may hold slashes.
    pub name: String,
    /// Whether it is the default branch.
    pub is_default: bool,
    /// Commit it points at.
    pub head: CommitRow,
}

/// One commit in a list.
#[derive(Debug, Clone, Serialize)]
pub struct CommitRow {
    /// Whole commit id.
    pub id: String,
    /// Whole message; rows show its first line.
    pub message: String,
    /// Author as recorded; may be empty.
    pub author: String,
    /// Agent that made the commit, if one did.
    pub agent_id: Option<String>,
    /// Commit time as recorded.
    pub committed_at: String,
    /// Whether it has two parents.
    pub is_merge: bool,
    /// Whether its id is proven; else it is taken on its client's word.
    pub id_verified: bool,
}

/// What a tree entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A file.
    File,
}

/// One name in a tree.
#[derive(Debug, Clone, Serialize)]
pub struct TreeEntry {
    /// Last path segment.
    pub name: String,
    /// Folder or file.
    pub kind: EntryKind,
    /// Size of a file in bytes, where it is known.
    pub size: Option<u64>,
    /// Files below a folder at any depth, where that is known.
    pub files: Option<u64>,
}

/// `GET /{owner}/{slug}/commits/{branch}`: one page of history.
#[derive(Debug, Clone, Serialize)]
pub struct CommitListPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Branch shown.
    pub branch: String,
    /// Names to switch to, the default branch first.
    pub branches: Vec<String>,
    /// Commits, newest first.
    pub commits: Vec<CommitRow>,
    /// Whether this page starts at the head of the branch.
    pub is_first: bool,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// `GET /{owner}/{slug}/intel`: one card per analysis.
#[derive(Debug, Clone, Serialize)]
pub struct IntelDashboardPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Where the breakage analysis stands.
    pub breakage: BreakageScan,
    /// How the number of findings went, after the second scan.
    pub trend: Option<Trend>,
    /// First findings, at most five.
    pub preview: Vec<IssueRow>,
}

/// Where the breakage analysis of a repository stands.
///
/// The pages tell four states apart: nothing at all, a job and no result yet, a result without
/// issues, a result with issues. A job beside a result is shown as a note.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BreakageScan {
    /// Result of the last finished scan.
    pub counts: Option<BreakageCounts>,
    /// Scan under way or lately failed.
    pub job: Option<JobState>,
}

/// State of a background job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waiting for a worker.
    Pending,
    /// At work.
    Running,
    /// Given up.
    Failed,
}

/// The breakage meta row: totals over the whole scan, never over the shown page.
#[derive(Debug, Clone, Serialize)]
pub struct BreakageCounts {
    /// Findings of any severity.
    pub total: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity error.
    pub errors: u64,
    /// Files scanned.
    pub files: u64,
    /// Scanned commit.
    pub commit_id: String,
    /// When the scan finished, where it is known.
    pub scanned_at: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Suspicious or latent.
    Warning,
    /// Fails when it is reached.
    Error,
}

/// One finding.
#[derive(Debug, Clone, Serialize)]
pub struct IssueRow {
    /// Path of the file from the root of the repository.
    pub file_path: String,
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// Issue type, such as `stale_import`.
    pub issue_type: String,
    /// Severity.
    pub severity: Severity,
    /// One sentence.
    pub description: String,
    /// What to do about it.
    pub help: HelpView,
}

/// What to do about a finding.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HelpView {
    /// The nearest name that exists.
    pub did_you_mean: Option<String>,
    /// Where what is missing is defined now.
    pub moved_to: Option<PlaceView>,
    /// The commit that removed it.
    pub removed_by: Option<RemovalView>,
}

/// A line of a file.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceView {
    /// Path of the file.
    pub file_path: String,
    /// Line, counted from 1.
    pub line: u64,
}

/// The commit that took something away.
#[derive(Debug, Clone, Serialize)]
pub struct RemovalView {
    /// Whole commit id.
    pub commit_id: String,
    /// Author as recorded; may be empty.
    pub author: String,
    /// Commit time as recorded.
    pub committed_at: String,
}

/// Findings that share a file or a missing name.
#[derive(Debug, Clone, Serialize)]
pub struct GroupRow {
    /// The file or name; empty where a name was not recorded.
    pub name: String,
    /// Findings in the group.
    pub total: u64,
    /// Those of severity error.
    pub errors: u64,
    /// Files in the group.
    pub files: u64,
    /// Missing names in the group.
    pub names: u64,
    /// The first findings, at least one.
    pub first: Vec<IssueRow>,
}

/// How the number of findings went over the last scans.
#[derive(Debug, Clone, Serialize)]
pub struct Trend {
    /// One point for each scan, oldest first, in a box `width` wide and 40 high.
    pub points: Vec<Point>,
    /// Width of the box.
    pub width: u64,
    /// Number of scans.
    pub scans: u64,
    /// Findings of the oldest scan.
    pub first: u64,
    /// Findings of the scan before the last.
    pub before: u64,
    /// Findings of the last scan.
    pub now: u64,
    /// The fewest findings.
    pub low: u64,
    /// The most findings.
    pub high: u64,
}

/// A point of a curve, from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// To the right.
    pub x: u64,
    /// Downwards.
    pub y: u64,
}

impl Trend {
    /// The height between the lowest and the highest point.
    const HEIGHT: u64 = 34;
    /// How far the highest point stays below the upper edge.
    const MARGIN: u64 = 3;
    /// The way from one scan to the next.
    const STEP: u64 = 10;

    /// The curve of the totals of scans, oldest first. Fewer than two make none.
    #[must_use]
    pub fn of(totals: &[u64]) -> Option<Self> {
        let (first, before, now) = match totals {
            [first, now] => (*first, *first, *now),
            [first, .., before, now] => (*first, *before, *now),
            _ => return None,
        };
        let (low, high) = totals.iter().fold((now, now), |(low, high), n| (low.min(*n), high.max(*n)));
        let span = u128::from(high - low).max(1);
        let height = |total: u64| {
            let above = u128::from(total - low) * u128::from(Self::HEIGHT) / span;
            Self::MARGIN + Self::HEIGHT - u64::try_from(above).unwrap_or(Self::HEIGHT)
        };
        let points = (0..).zip(totals).map(|(at, total)| Point { x: at * Self::STEP, y: height(*total) });
        let scans = totals.len() as u64;
        let width = (scans - 1) * Self::STEP;
        Some(Self { points: points.collect(), width, scans, first, before, now, low, high })
    }
}

/// `GET /{owner}/{slug}/intel/breakage`: the findings.
#[derive(Debug, Clone, Serialize)]
pub struct BreakagePage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Where the analysis stands.
    pub scan: BreakageScan,
    /// How the number of findings went, after the second scan.
    pub trend: Option<Trend>,
    /// The selection, made valid.
    pub filter: BreakageFilter,
    /// Issue types to offer as filters.
    pub valid_types: Vec<String>,
    /// Page lengths to offer.
    pub valid_tops: Vec<u64>,
    /// Findings, or groups where the selection groups, that match the filter, over all pages.
    pub matching: u64,
    /// Findings of this page, unless they are grouped.
    pub issues: Vec<IssueRow>,
    /// Groups of this page.
    pub groups: Vec<GroupRow>,
    /// Number of pages, at least 1.
    pub pages: u64,
}

/// What findings are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// The missing name.
    Name,
    /// The file.
    File,
}

/// What a reader selected on the breakage page: the query parameters of the same names, absent where they are `None`.
#[derive(Debug, Clone, Serialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BreakageFilter {
    /// Only this issue type.
    pub issue_type: Option<String>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only this file.
    pub file: Option<String>,
    /// Only this missing name.
    pub subject: Option<String>,
    /// In groups.
    pub group: Option<Grouping>,
    /// Findings or groups per page.
    #[param(required = false)]
    pub top: u64,
    /// Page shown, counted from 1.
    #[param(required = false)]
    pub page: u64,
}

/// Which version of a repository is shown.
#[derive(Debug, Clone, Serialize)]
pub struct VersionView {
    /// How addresses name it: the branch, or the whole commit id.
    pub rev: String,
    /// The branch, unless a commit was asked for.
    pub branch: Option<String>,
    /// The commit.
    pub commit: CommitRow,
}

/// A step on the way from the root to a folder or file.
#[derive(Debug, Clone, Serialize)]
pub struct Crumb {
    /// The segment.
    pub name: String,
    /// The path up to it.
    pub path: String,
}

/// `GET /{owner}/{slug}/tree/{ref}/{path}`: a folder.
#[derive(Debug, Clone, Serialize)]
pub struct TreePage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// The version shown.
    pub at: VersionView,
    /// The folder; empty for the root.
    pub folder: String,
    /// Its segments.
    pub path: Vec<Crumb>,
    /// Directories first, then files, by name.
    pub entries: Vec<TreeEntry>,
    /// Entries left out of `entries`.
    pub entries_omitted: u64,
}

/// `GET /{owner}/{slug}/blob/{ref}/{path}`: a file.
#[derive(Debug, Clone, Serialize)]
pub struct BlobPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// The version shown.
    pub at: VersionView,
    /// The path of the file.
    pub file: String,
    /// Its segments.
    pub path: Vec<Crumb>,
    /// Its size in bytes.
    pub size: u64,
    /// What of it can be shown.
    pub content: BlobContent,
    /// The first findings in it, where this version is the one that was scanned.
    pub issues: Vec<IssueRow>,
    /// How many findings there are in it.
    pub issues_total: u64,
    /// The scan that found them.
    pub counts: Option<BreakageCounts>,
}

/// What of a file can be shown.
#[derive(Debug, Clone, Serialize)]
pub struct BlobContent {
    /// Of which kind it is.
    pub kind: BlobKind,
    /// Its lines, where it is text.
    pub lines: Vec<CodeLine>,
    /// The language it is highlighted as.
    pub language: Option<String>,
    /// Whether some of its bytes are no UTF-8.
    pub lossy: bool,
    /// Whether characters in it change the direction of text.
    pub bidi: bool,
    /// The largest file that is shown, in bytes.
    pub limit: u64,
    /// The most lines that are shown.
    pub line_limit: u64,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// Text.
    Text,
    /// Nothing.
    Empty,
    /// Bytes that are no text.
    Binary,
    /// More than a page holds.
    Large,
}

/// Any page that could not be shown.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorPage {
    /// HTTP status.
    pub status: u16,
    /// A few words.
    pub title: String,
    /// One sentence about what to do.
    pub sentence: String,
}

macro_rules! pages {
    ($($view:ty => $template:literal),+ $(,)?) => {
        $(impl Page for $view { const TEMPLATE: &'static str = $template; })+
    };
}

pages! {
    HomePage => "home.html",
    RepoHomePage => "repo.html",
    CommitListPage => "commits.html",
    IntelDashboardPage => "intel.html",
    BreakagePage => "breakage.html",
    TreePage => "tree.html",
    BlobPage => "blob.html",
    ErrorPage => "error.html",
}
