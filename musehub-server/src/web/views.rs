//! Rows of the index as rows of pages.

use musehub_core::object::IdProof;
use musehub_core::port::{self, BreakageGroup, BreakageIssue, BreakageMeta, RepositoryRecord};

use crate::pages::{
    BreakageCounts, CommitRow, GroupRow, HelpView, IssueRow, PlaceView, RemovalView, RepoHeader, Severity,
    Visibility,
};

pub(super) fn header(repo: &RepositoryRecord) -> RepoHeader {
    RepoHeader {
        owner: repo.owner.to_string(),
        slug: repo.slug.to_string(),
        description: Some(repo.description.clone()).filter(|text| !text.is_empty()),
        visibility: match repo.visibility {
            port::Visibility::Public => Visibility::Public,
            port::Visibility::Private => Visibility::Private,
        },
        default_branch: repo.default_branch.as_ref().map_or_else(|| "main".to_owned(), ToString::to_string),
    }
}

pub(super) fn commit(row: port::CommitRow) -> CommitRow {
    CommitRow {
        id: row.id.to_string(),
        message: row.message,
        author: row.author,
        agent_id: Some(row.agent_id).filter(|id| !id.is_empty()),
        committed_at: row.committed_at,
        is_merge: row.parents.len() > 1,
        id_verified: row.id_proof == IdProof::Verified,
    }
}

pub(super) fn issue(issue: BreakageIssue) -> IssueRow {
    IssueRow {
        file_path: issue.file_path,
        line: issue.line.into(),
        column: issue.column.into(),
        issue_type: issue.issue_type,
        severity: match issue.severity {
            port::Severity::Warning => Severity::Warning,
            port::Severity::Error => Severity::Error,
        },
        description: issue.description,
        help: help(issue.help),
    }
}

fn help(help: port::Help) -> HelpView {
    HelpView {
        did_you_mean: help.did_you_mean,
        moved_to: help
            .moved_to
            .map(|place| PlaceView { file_path: place.file_path, line: place.line.into() }),
        removed_by: help.removed_by.map(|removal| RemovalView {
            commit_id: removal.commit.to_string(),
            author: removal.author,
            committed_at: removal.committed_at,
        }),
    }
}

pub(super) fn group(group: BreakageGroup) -> GroupRow {
    GroupRow {
        name: group.name,
        total: group.issues,
        errors: group.errors,
        files: group.files,
        names: group.subjects,
        first: group.first.into_iter().map(issue).collect(),
    }
}

pub(super) fn counts(meta: BreakageMeta) -> BreakageCounts {
    BreakageCounts {
        total: meta.total_issues,
        warnings: meta.warning_count,
        errors: meta.error_count,
        files: meta.file_count,
        commit_id: meta.commit.to_string(),
        scanned_at: Some(meta.scanned_at.to_string()),
    }
}
