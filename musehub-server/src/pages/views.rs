//! The data each page shows, as plain values.
//!
//! Text is raw: escaping and URL encoding are the templates' work. Times are the ISO 8601 texts as
//! stored; ids are whole.

use serde::Serialize;

use super::Page;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// Line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// Issue type, such as `stale_import`.
    pub issue_type: String,
    /// Severity.
    pub severity: Severity,
    /// One sentence.
    pub description: String,
}

/// `GET /{owner}/{slug}/intel/breakage`: the findings.
#[derive(Debug, Clone, Serialize)]
pub struct BreakagePage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Where the analysis stands.
    pub scan: BreakageScan,
    /// The selection, made valid.
    pub filter: BreakageFilter,
    /// Issue types to offer as filters.
    pub valid_types: Vec<String>,
    /// Page lengths to offer.
    pub valid_tops: Vec<u64>,
    /// Findings that match the filter, over all pages.
    pub matching: u64,
    /// Findings of this page.
    pub issues: Vec<IssueRow>,
    /// Number of pages, at least 1.
    pub pages: u64,
}

/// What a reader selected on the breakage page: the query parameters `issue_type`, `severity`,
/// `top` and `page`, the first two absent for all.
#[derive(Debug, Clone, Serialize)]
pub struct BreakageFilter {
    /// Only this issue type.
    pub issue_type: Option<String>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Findings per page.
    pub top: u64,
    /// Page shown, counted from 1.
    pub page: u64,
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
    ErrorPage => "error.html",
}
