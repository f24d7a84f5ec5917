//! What people call versions: branches and commit ids.

use hyper::StatusCode;
use musehub_core::CommitId;
use musehub_core::hub::Refs;

use crate::http::ApiError;

/// A version that somebody named.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// How it was named: the branch, or the whole commit id.
    pub(super) name: String,
    pub(super) is_branch: bool,
    pub(super) commit: CommitId,
}

/// The version of that name. A commit need not be in the repository.
pub(super) fn resolve(refs: &Refs, name: &str) -> Option<Version> {
    match refs.branches.iter().find(|row| row.name.as_str() == name) {
        Some(row) => Some(Version { name: name.to_owned(), is_branch: true, commit: row.head }),
        None => {
            let commit = CommitId::parse(name).ok()?;
            Some(Version { name: commit.to_string(), is_branch: false, commit })
        }
    }
}

pub(super) fn missing(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}
