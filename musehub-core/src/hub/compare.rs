//! What pages of changes show: a commit's whole record, which files changed between two commits, how far two are apart.

use std::sync::Arc;

use super::merging::scheme_of;
use super::{Hub, ReadError};
use crate::cpu;
use crate::diff::{self, Selection, TreeDiff};
use crate::graph::{Apart, Divergence, MergeBases};
use crate::id::CommitId;
use crate::merge::Tree;
use crate::object::Commit;
use crate::port::{BackendError, RepositoryRecord};

impl Hub {
    /// The record of a commit, as this repository has it.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] where the repository does not hold it.
    pub async fn commit_record(&self, repo: &RepositoryRecord, id: CommitId) -> Result<Commit, ReadError> {
        let row = self.commit(repo, id).await?;
        let bytes = self.read_commits(repo, &[row]).await?.swap_remove(0);
        Commit::decode(scheme_of(repo), id, &bytes).map_err(|error| {
            BackendError::Damaged { what: format!("commit {id}"), reason: error.to_string() }.into()
        })
    }

    /// The files that changed from `old` to `new`; without `old`, all files of `new` were added.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] where the repository does not hold a commit.
    pub async fn changed_files(
        &self,
        repo: &RepositoryRecord,
        old: Option<CommitId>,
        new: CommitId,
        wanted: Selection,
    ) -> Result<TreeDiff, ReadError> {
        let after = Arc::new(self.tree_of(repo, new).await?);
        let before = match old {
            Some(old) => Arc::new(self.tree_of(repo, old).await?),
            None => Arc::<Tree>::default(),
        };
        let scheme = scheme_of(repo);
        Ok(cpu::run(move || diff::trees(&before, &after, scheme, &wanted)).await)
    }

    /// What each of two commits has that the other lacks, as far as `visits` visits to commits show.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn divergence(
        &self,
        repo: &RepositoryRecord,
        left: CommitId,
        right: CommitId,
        visits: usize,
    ) -> Result<Apart, BackendError> {
        self.walk(&repo.repo_id, &mut Divergence::new(left, right, visits)).await
    }

    /// The best common ancestors of two commits, sorted by id.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn merge_bases(
        &self,
        repo: &RepositoryRecord,
        a: CommitId,
        b: CommitId,
    ) -> Result<Vec<CommitId>, BackendError> {
        self.walk(&repo.repo_id, &mut MergeBases::new(a, b)).await
    }
}
