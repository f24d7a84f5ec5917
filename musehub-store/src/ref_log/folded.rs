//! The part of the log that lies in segments, as readers and writers meet it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use musehub_core::port::{BackendError, RefLogEntry};
use musehub_core::{BranchName, RepoId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::segment::Segment;
use super::{RefLog, branch_directory, numbered};
use crate::backend::failed;

/// How many branches are remembered at most, of all repositories.
const REMEMBERED: usize = 100_000;

/// The number of the last folded move of each branch.
type FoldedUntil = Arc<HashMap<BranchName, u64>>;

/// How far the branches of repositories are folded, by the newest segment that was read.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<RepoId, (u64, FoldedUntil)>>);

impl Remembered {
    fn get(&self, repo: &RepoId, segment: u64) -> Option<FoldedUntil> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(repo).filter(|(number, _)| *number == segment).map(|(_, folded)| folded.clone())
    }

    fn add(&self, repo: &RepoId, segment: u64, folded: FoldedUntil) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = remembered.values().map(|(_, folded)| folded.len()).sum();
        if held + folded.len() > REMEMBERED {
            remembered.clear();
        }
        remembered.insert(repo.clone(), (segment, folded));
    }
}

/// What the directory of segments says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Folds {
    /// The number of the newest segment; 0 without any.
    pub(super) newest: u64,
    /// Whether the log is being removed: the repository was deleted for good.
    pub(super) purged: bool,
}

/// The directory of a repository's segments. No branch has its name: after a `=` in those are digits or another `=`.
pub(super) fn segment_directory(repo: &RepoId) -> String {
    format!("refs/{repo}/=log")
}

pub(super) fn segment_path(repo: &RepoId, number: u64) -> Path {
    Path::from(format!("{}/{number:012}.seg", segment_directory(repo)))
}

/// Says that a repository's log is being removed.
pub(super) fn purge_path(repo: &RepoId) -> Path {
    Path::from(format!("{}/purged", segment_directory(repo)))
}

impl RefLog {
    /// Looks at the directory of segments. To be asked after entries were listed: what was removed before that listing is in
    /// a segment that is there now.
    pub(super) async fn folds(&self, repo: &RepoId) -> Result<Folds, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from(segment_directory(repo))));
        let mut folds = Folds::default();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let name = entry.location.filename().unwrap_or_default();
            if let Some(number) = name.strip_suffix(".seg").and_then(|number| number.parse().ok()) {
                folds.newest = folds.newest.max(number);
            }
            folds.purged |= name == "purged";
        }
        Ok(folds)
    }

    pub(super) async fn segment(&self, repo: &RepoId, number: u64) -> Result<Segment, BackendError> {
        let path = segment_path(repo, number);
        let bytes = self.backend.get(&path).await?;
        let damaged = |reason: String| BackendError::Damaged { what: path.to_string(), reason };
        let segment = Segment::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        if segment.repo_id != *repo || segment.number != number {
            return Err(damaged(format!("it is segment {} of {}", segment.number, segment.repo_id)));
        }
        Ok(segment)
    }

    /// The newest segment; none where nothing is folded.
    pub(super) async fn newest_segment(
        &self,
        repo: &RepoId,
        folds: Folds,
    ) -> Result<Option<Segment>, BackendError> {
        match folds.newest {
            0 => Ok(None),
            number => self.segment(repo, number).await.map(Some),
        }
    }

    /// The number up to which a branch is folded.
    async fn folded_until(
        &self,
        repo: &RepoId,
        folds: Folds,
        branch: &BranchName,
    ) -> Result<u64, BackendError> {
        if folds.newest == 0 {
            return Ok(0);
        }
        if let Some(folded) = self.remembered.get(repo, folds.newest) {
            return Ok(folded.get(branch).copied().unwrap_or(0));
        }
        let folded = Arc::new(self.segment(repo, folds.newest).await?.folded());
        self.remembered.add(repo, folds.newest, folded.clone());
        Ok(folded.get(branch).copied().unwrap_or(0))
    }

    /// Makes sure that an entry which was just created is the first of its number: one that was folded is not there to
    /// refuse it. Asked after the creation, so whatever was removed before is in a segment that is seen now.
    pub(super) async fn refuse_folded(&self, entry: &RefLogEntry) -> Result<(), BackendError> {
        let folds = self.folds(&entry.repo_id).await?;
        let until = self.folded_until(&entry.repo_id, folds, &entry.branch).await?;
        if entry.sequence > until && !folds.purged {
            return Ok(());
        }
        if !folds.purged {
            let before = entry.sequence.saturating_sub(1);
            let (moves, _) = self.folded_moves(&entry.repo_id, &entry.branch, before, folds).await?;
            if moves.first() == Some(entry) {
                // It was this one that was folded, since it was created.
                return Ok(());
            }
        }
        let path = numbered(&branch_directory(&entry.repo_id, &entry.branch), entry.sequence);
        // Readers pass over it in any case.
        let _ = self.backend.fast.delete(&path).await;
        Err(BackendError::Conflict { what: path.to_string() })
    }

    /// The moves of a branch after number `after` that are folded, oldest first, and the last number that is.
    pub(super) async fn folded_moves(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
        folds: Folds,
    ) -> Result<(Vec<RefLogEntry>, u64), BackendError> {
        let until = self.folded_until(repo, folds, branch).await?;
        if until <= after {
            return Ok((Vec::new(), until));
        }
        let newest = self.segment(repo, folds.newest).await?;
        let stretches = newest.head(branch).map(|head| head.stretches.clone()).unwrap_or_default();
        let mut moves = Vec::new();
        for stretch in stretches.iter().filter(|stretch| stretch.last > after) {
            let own;
            let segment = if stretch.segment == newest.number {
                &newest
            } else {
                own = self.segment(repo, stretch.segment).await?;
                &own
            };
            let of_branch = segment.moves.iter().filter(|entry| entry.branch == *branch);
            moves.extend(of_branch.filter(|entry| entry.sequence > after).cloned());
        }
        let whole = moves.iter().map(|entry| entry.sequence).eq(after + 1..=until);
        if whole {
            Ok((moves, until))
        } else {
            Err(BackendError::Damaged {
                what: segment_path(repo, folds.newest).to_string(),
                reason: format!("it does not lead to all moves of branch '{branch}'"),
            })
        }
    }
}
