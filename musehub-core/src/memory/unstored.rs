//! Rows without objects, in memory.

use async_trait::async_trait;

use super::history::LastMove;
use super::index::MemoryIndex;
use super::{conflict, missing};
use crate::id::{CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::RepoId;
use crate::port::{BackendError, Unstored, UnstoredIndex, UnstoredRecord, UnstoredRows};

#[async_trait]
impl UnstoredIndex for MemoryIndex {
    async fn add_unstored(&self, repo: &RepoId, rows: UnstoredRows) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let placed = rows.commits.iter().any(|(row, _)| row.place.is_some())
            || rows.snapshots.iter().any(|(row, _)| row.place.is_some());
        if placed {
            return Err(conflict("a row with a place among those without"));
        }
        if let Some(branch) = rows.branches.iter().find(|branch| branch.sequence != 0) {
            return Err(conflict(format!("branch '{}' with a move", branch.name)));
        }
        let holdings = state.holdings.entry(repo.clone()).or_default();
        let new = |id: &CommitId| rows.commits.iter().any(|(row, _)| row.id == *id);
        for (row, _) in &rows.commits {
            if let Some(absent) =
                row.parents.iter().find(|id| !new(id) && !holdings.commits.contains_key(*id))
            {
                return Err(missing(format!("{}, a parent of {}", absent.key(), row.id.key())));
            }
        }
        for (row, json) in rows.snapshots {
            if !holdings.snapshots.contains_key(&row.id) {
                holdings.unstored.insert(row.id.key(), json);
                holdings.snapshots.insert(row.id, row);
            }
        }
        for (row, json) in rows.commits {
            if !holdings.commits.contains_key(&row.id) {
                holdings.unstored.insert(row.id.key(), json);
                holdings.commits.insert(row.id, row);
            }
        }
        for branch in rows.branches {
            let at = LastMove { sequence: 0, head: Some(branch.head), at: branch.moved_at };
            holdings.branches.entry(branch.name).or_insert(at);
        }
        Ok(())
    }

    async fn unstored(&self, repo: &RepoId) -> Result<Unstored, BackendError> {
        let state = self.state();
        let count = |kind| {
            let keys = state.holdings.get(repo).into_iter().flat_map(|held| held.unstored.keys());
            keys.filter(|key| key.kind == kind).count() as u64
        };
        let branches = state.holdings.get(repo).into_iter().flat_map(|held| held.branches.values());
        Ok(Unstored {
            commits: count(ObjectKind::Commit),
            snapshots: count(ObjectKind::Snapshot),
            branches: branches.filter(|at| at.sequence == 0 && at.head.is_some()).count() as u64,
        })
    }

    async fn unstored_commits(&self, repo: &RepoId) -> Result<Vec<(u64, CommitId)>, BackendError> {
        let state = self.state();
        let rows = state.holdings.get(repo).into_iter().flat_map(|held| held.commits.values());
        let mut found: Vec<(u64, CommitId)> =
            rows.filter(|row| row.place.is_none()).map(|row| (row.generation, row.id)).collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn unstored_snapshots(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotId>, BackendError> {
        let state = self.state();
        let rows = state.holdings.get(repo).into_iter().flat_map(|held| held.snapshots.values());
        let rows = rows.filter(|row| row.place.is_none() && after.is_none_or(|after| row.id > after));
        let mut found: Vec<SnapshotId> = rows.map(|row| row.id).collect();
        found.sort_unstable();
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn unstored_records(
        &self,
        repo: &RepoId,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<Vec<UnstoredRecord>, BackendError> {
        let state = self.state();
        let Some(holdings) = state.holdings.get(repo) else {
            return Ok(Vec::new());
        };
        let mut keys: Vec<ObjectKey> = ids.iter().map(|id| ObjectKey { kind, id: *id }).collect();
        keys.sort_unstable();
        keys.dedup();
        let record = |key: ObjectKey| {
            let json = holdings.unstored.get(&key)?.clone();
            Some(UnstoredRecord { key, json })
        };
        Ok(keys.into_iter().filter_map(record).collect())
    }

    async fn forget_unstored(&self, repo: &RepoId) -> Result<(), BackendError> {
        let mut state = self.state();
        if let Some(holdings) = state.holdings.get_mut(repo) {
            holdings.commits.retain(|_, row| row.place.is_some());
            holdings.snapshots.retain(|_, row| row.place.is_some());
            holdings.unstored.clear();
            holdings.branches.retain(|_, at| at.sequence > 0);
        }
        Ok(())
    }
}
