//! The rows of history in memory, with the shape of the graph checked on the way in.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use async_trait::async_trait;

use super::index::MemoryIndex;
use super::{conflict, missing};
use crate::graph::CommitNode;
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::port::{
    BackendError, BlobRow, BranchRow, CommitRow, HistoryIndex, MoveRows, Place, RefLogEntry, Relocation,
    RowTimes, SnapshotRow, Timestamp,
};

/// What one repository holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) branches: BTreeMap<BranchName, LastMove>,
    pub(super) commits: HashMap<CommitId, CommitRow>,
    pub(super) snapshots: HashMap<SnapshotId, SnapshotRow>,
    pub(super) blobs: HashMap<BlobId, BlobRow>,
    /// The records of commits and snapshots that have no place.
    pub(super) unstored: HashMap<ObjectKey, String>,
}

#[derive(Debug)]
pub(super) struct LastMove {
    pub(super) sequence: u64,
    pub(super) head: Option<CommitId>,
    pub(super) at: Timestamp,
}

fn node(row: &CommitRow) -> CommitNode {
    CommitNode { id: row.id, parents: row.parents.clone(), generation: row.generation }
}

impl Holdings {
    fn last_sequence(&self, branch: &BranchName) -> u64 {
        self.branches.get(branch).map_or(0, |last| last.sequence)
    }

    /// Moves what lies at one place to another; how many rows there were.
    pub(super) fn relocate(&mut self, relocation: &Relocation) -> u64 {
        let Relocation { key, from, to } = relocation;
        let place = match key.kind {
            ObjectKind::Blob => self.blobs.get_mut(&key.id.into()).map(|row| &mut row.place),
            ObjectKind::Snapshot => self.snapshots.get_mut(&key.id.into()).and_then(|row| row.place.as_mut()),
            ObjectKind::Commit => self.commits.get_mut(&key.id.into()).and_then(|row| row.place.as_mut()),
        };
        match place {
            Some(place) if *place == *from => {
                *place = *to;
                1
            }
            _ => 0,
        }
    }

    fn check(&self, rows: &MoveRows) -> Result<(), BackendError> {
        self.check_contents(rows)?;
        let added = self.check_commits(rows)?;
        self.check_entry(&rows.entry, &added)
    }

    /// Refuses rows that contradict the ones held under the same ids.
    fn check_contents(&self, rows: &MoveRows) -> Result<(), BackendError> {
        for row in &rows.snapshots {
            if self.snapshots.get(&row.id).is_some_and(|held| held.entry_count != row.entry_count) {
                return Err(conflict(row.id.key().to_string()));
            }
        }
        for row in &rows.blobs {
            if self.blobs.get(&row.id).is_some_and(|held| held.size != row.size) {
                return Err(conflict(row.id.key().to_string()));
            }
        }
        Ok(())
    }

    /// Refuses commits that come before their parents or snapshots, or that lie about their generation.
    fn check_commits(&self, rows: &MoveRows) -> Result<HashMap<CommitId, u64>, BackendError> {
        let snapshots: HashSet<SnapshotId> = rows.snapshots.iter().map(|row| row.id).collect();
        let mut added = HashMap::new();
        for row in &rows.commits {
            let mut generation = 1;
            for parent in &row.parents {
                let held = self.commits.get(parent).map(|held| held.generation);
                let known = held.or_else(|| added.get(parent).copied());
                let known = known
                    .ok_or_else(|| missing(format!("{}, a parent of {}", parent.key(), row.id.key())))?;
                generation = generation.max(known + 1);
            }
            if row.generation != generation {
                return Err(conflict(format!("{} with generation {generation}", row.id.key())));
            }
            if !snapshots.contains(&row.snapshot) && !self.snapshots.contains_key(&row.snapshot) {
                return Err(missing(format!("{}, which {} records", row.snapshot.key(), row.id.key())));
            }
            let differs = |held: &CommitRow| held.parents != row.parents || held.snapshot != row.snapshot;
            if self.commits.get(&row.id).is_some_and(differs) {
                return Err(conflict(row.id.key().to_string()));
            }
            added.insert(row.id, generation);
        }
        Ok(added)
    }

    fn check_entry(&self, entry: &RefLogEntry, added: &HashMap<CommitId, u64>) -> Result<(), BackendError> {
        if entry.sequence == 0 {
            return Err(conflict("a move without a number"));
        }
        if let Some(new) = entry.new.filter(|new| !added.contains_key(new) && !self.commits.contains_key(new))
        {
            return Err(missing(format!("{}, the head of '{}'", new.key(), entry.branch)));
        }
        // What came as rows is at no move of the log.
        let last = self.branches.get(&entry.branch).filter(|last| last.sequence > 0);
        let head = last.and_then(|last| last.head);
        if entry.sequence == self.last_sequence(&entry.branch) + 1 && entry.old != head {
            return Err(conflict(format!("branch '{}' with another head", entry.branch)));
        }
        Ok(())
    }

    fn add(&mut self, rows: MoveRows) {
        for row in rows.commits {
            if self.commits.get(&row.id).is_none_or(|held| held.place.is_none()) {
                self.unstored.remove(&row.id.key());
                self.commits.insert(row.id, row);
            }
        }
        for row in rows.snapshots {
            if self.snapshots.get(&row.id).is_none_or(|held| held.place.is_none()) {
                self.unstored.remove(&row.id.key());
                self.snapshots.insert(row.id, row);
            }
        }
        let lost: HashSet<(ObjectKey, Place)> = rows.lost.iter().map(|lost| (lost.key, lost.place)).collect();
        for row in rows.blobs {
            let held = self.blobs.entry(row.id).or_insert(row);
            if lost.contains(&(row.id.key(), held.place)) {
                held.place = row.place;
            }
        }
        let RefLogEntry { branch, sequence, new: head, at, .. } = rows.entry;
        if sequence > self.last_sequence(&branch) {
            self.branches.insert(branch, LastMove { sequence, head, at });
        }
    }

    /// Nodes of the commits asked for, then of up to `window` ancestors, nearest first.
    fn nodes(&self, ids: &[CommitId], window: usize) -> Vec<CommitNode> {
        let mut seen = HashSet::new();
        let asked = ids.iter().filter(|id| seen.insert(**id)).filter_map(|id| self.commits.get(id));
        let mut nodes: Vec<CommitNode> = asked.map(node).collect();
        let wanted = nodes.len() + window;
        let mut next: VecDeque<CommitId> =
            nodes.iter().flat_map(|node| node.parents.iter().copied()).collect();
        while nodes.len() < wanted
            && let Some(id) = next.pop_front()
        {
            if let Some(row) = self.commits.get(&id).filter(|_| seen.insert(id)) {
                next.extend(row.parents.iter().copied());
                nodes.push(node(row));
            }
        }
        nodes
    }
}

fn rows_of<K: Eq + std::hash::Hash + Copy, R: Clone>(rows: &HashMap<K, R>, ids: &[K]) -> Vec<R> {
    let ids: HashSet<K> = ids.iter().copied().collect();
    ids.iter().filter_map(|id| rows.get(id)).cloned().collect()
}

#[async_trait]
impl HistoryIndex for MemoryIndex {
    async fn record_move(&self, rows: MoveRows) -> Result<RowTimes, BackendError> {
        let mut state = self.state();
        let (repo, at) = (rows.entry.repo_id.clone(), rows.entry.at);
        state.require_repository(&repo)?;
        for job in &rows.jobs {
            state.require_repository(&job.repo_id)?;
        }
        let holdings = state.holdings.entry(repo).or_default();
        holdings.check(&rows)?;
        let is_new = rows.entry.sequence > holdings.last_sequence(&rows.entry.branch);
        let jobs = rows.jobs.clone();
        holdings.add(rows);
        for job in &jobs {
            if is_new || !state.jobs.knows(&job.id()) {
                state.jobs.enqueue(job, at);
            }
        }
        Ok(RowTimes::default())
    }

    async fn branches(&self, repo: &RepoId) -> Result<Vec<BranchRow>, BackendError> {
        let state = self.state();
        let branches = state.holdings.get(repo).into_iter().flat_map(|holdings| &holdings.branches);
        let row = |(name, last): (&BranchName, &LastMove)| {
            let (sequence, moved_at) = (last.sequence, last.at);
            last.head.map(|head| BranchRow { name: name.clone(), head, sequence, moved_at })
        };
        Ok(branches.filter_map(row).collect())
    }

    async fn branch(
        &self,
        repo: &RepoId,
        branch: &BranchName,
    ) -> Result<(Option<CommitId>, u64), BackendError> {
        let state = self.state();
        let last = state.holdings.get(repo).and_then(|holdings| holdings.branches.get(branch));
        Ok(last.map_or((None, 0), |last| (last.head, last.sequence)))
    }

    async fn commit_nodes(
        &self,
        repo: &RepoId,
        ids: &[CommitId],
        window: u32,
    ) -> Result<Vec<CommitNode>, BackendError> {
        let window = if self.window { window as usize } else { 0 };
        let state = self.state();
        Ok(state.holdings.get(repo).map(|holdings| holdings.nodes(ids, window)).unwrap_or_default())
    }

    async fn commits(&self, repo: &RepoId, ids: &[CommitId]) -> Result<Vec<CommitRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|holdings| rows_of(&holdings.commits, ids)).unwrap_or_default())
    }

    async fn snapshots(&self, repo: &RepoId, ids: &[SnapshotId]) -> Result<Vec<SnapshotRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|holdings| rows_of(&holdings.snapshots, ids)).unwrap_or_default())
    }

    async fn blobs(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<BlobRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|holdings| rows_of(&holdings.blobs, ids)).unwrap_or_default())
    }

    async fn commit_count(&self, repo: &RepoId) -> Result<u64, BackendError> {
        Ok(self.state().holdings.get(repo).map_or(0, |holdings| holdings.commits.len() as u64))
    }
}
