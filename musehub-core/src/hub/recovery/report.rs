//! What the operator is told while a use case runs.

use std::fmt;

use serde::Serialize;

use crate::id::ObjectKey;
use crate::name::BranchName;
use crate::port::{BackendError, PackFaultKind, PackId, RepositoryRecord};

/// What happens during a use case.
#[derive(Debug)]
pub enum Event {
    /// Something is wrong.
    Problem(Problem),
    /// So much of a stage is done.
    Progress {
        /// What is being done.
        stage: &'static str,
        /// How much of it.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
    },
}

/// What can be wrong with a hub.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A row names an object that is not where the row says, or a repository has a row and no record.
    RowWithoutObject,
    /// A pack of a recorded move holds an object that no row names.
    ObjectWithoutRow,
    /// A row says something else than the object or the record that it was made from.
    WrongRow,
    /// A branch points at a commit that the repository does not hold.
    MissingHead,
    /// No object can be made of the record that a row without an object keeps.
    UnstorableRow,
    /// A commit names a parent that the repository does not hold.
    MissingParent,
    /// A commit names a snapshot that the repository does not hold.
    MissingSnapshot,
    /// A snapshot names a blob that the repository does not hold.
    MissingBlob,
    /// A move is missing in the log of a branch.
    LogGap,
    /// An entry of a log or a repository's record cannot be read or does not fit the one before it, or a log has no record.
    DamagedLog,
    /// The index has a branch elsewhere than the log.
    StaleBranch,
    /// Something of a pack, whoever uses it.
    #[serde(untagged)]
    Pack(PackFaultKind),
}

/// Something that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// What.
    pub kind: ProblemKind,
    /// The repository, as `owner/slug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// The object, as `<kind> <id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackId>,
    /// What does not fit.
    pub detail: String,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, repository: None, branch: None, object: None, pack: None, detail: detail.into() }
    }

    pub(super) fn of(mut self, repo: &RepositoryRecord) -> Self {
        self.repository = Some(format!("{}/{}", repo.owner, repo.slug));
        self
    }

    pub(super) fn branch(mut self, branch: &BranchName) -> Self {
        self.branch = Some(branch.clone());
        self
    }

    pub(super) fn object(mut self, key: ObjectKey) -> Self {
        self.object = Some(key.to_string());
        self
    }

    pub(super) fn pack(mut self, pack: PackId) -> Self {
        self.pack = Some(pack);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The kind reads in texts as it does in JSON.
        let kind = serde_json::to_value(self.kind).map_err(|_| fmt::Error)?;
        f.write_str(kind.as_str().unwrap_or_default())?;
        if let Some(repository) = &self.repository {
            write!(f, " {repository}")?;
        }
        if let Some(branch) = &self.branch {
            write!(f, " branch {branch}")?;
        }
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if let Some(pack) = &self.pack {
            write!(f, " pack {pack}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// Tells damage, which is a finding, from a backend that cannot be asked, which ends the use case.
pub(super) fn finding(error: BackendError) -> Result<String, BackendError> {
    match error {
        BackendError::Missing { .. } | BackendError::Damaged { .. } => Ok(error.to_string()),
        other => Err(other),
    }
}
