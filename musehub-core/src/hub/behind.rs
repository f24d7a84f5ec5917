//! Repositories that are known to be damaged, by this process: the index may lack some of their history.
//!
//! Each is served as far as its index goes. One of which the index has nothing is not: it would look as if it were empty.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Hub;
use crate::name::RepoId;
use crate::port::{BackendError, RepositoryRecord};

/// What is wrong with repositories that could not be caught up.
#[derive(Debug, Default)]
pub(super) struct Behind(Mutex<HashMap<RepoId, String>>);

impl Behind {
    /// Remembers how a repository was caught up. A backend that could not be asked says nothing about it.
    pub(super) fn note(&self, repo: &RepoId, error: Option<&BackendError>) {
        let mut behind = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => drop(behind.remove(repo)),
            Some(error) if error.is_damage() => drop(behind.insert(repo.clone(), error.to_string())),
            Some(_) => {}
        }
    }

    fn reason(&self, repo: &RepoId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }
}

impl Hub {
    /// Refuses a repository that is damaged and of which the index has no branch.
    pub(super) async fn require_not_lost(&self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let Some(reason) = self.behind.reason(&repo.repo_id) else {
            return Ok(());
        };
        if !self.backends.history.branches(&repo.repo_id).await?.is_empty() {
            return Ok(());
        }
        Err(BackendError::Damaged { what: format!("the history of {}/{}", repo.owner, repo.slug), reason })
    }
}
