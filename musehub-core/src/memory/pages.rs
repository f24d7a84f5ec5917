//! Pages of the read model, and the audit of packs, in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Bound;

use async_trait::async_trait;

use super::index::MemoryIndex;
use super::objects::is_blob_hash;
use super::{MemoryObjects, lock};
use crate::canonical;
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::port::{
    BackendError, BlobRow, BranchPosition, CommitRow, IndexPages, ObjectStore, PackAudit, PackFault,
    PackFaultKind, PackId, PackReport, SnapshotRow,
};

/// The first `limit` rows after `after`, in the order of their ids.
fn page<K: Ord + Copy + Hash, R: Clone>(rows: &HashMap<K, R>, after: Option<K>, limit: u32) -> Vec<R> {
    let mut ids: Vec<&K> = rows.keys().filter(|id| after.is_none_or(|after| **id > after)).collect();
    ids.sort_unstable();
    ids.into_iter().take(limit as usize).filter_map(|id| rows.get(id)).cloned().collect()
}

#[async_trait]
impl IndexPages for MemoryIndex {
    async fn repository_page(&self, after: Option<&RepoId>, limit: u32) -> Result<Vec<RepoId>, BackendError> {
        let state = self.state();
        let later = state.repository_ids().into_iter().filter(|id| after.is_none_or(|after| *id > after));
        Ok(later.take(limit as usize).cloned().collect())
    }

    async fn branch_page(
        &self,
        repo: &RepoId,
        after: Option<&BranchName>,
        limit: u32,
    ) -> Result<Vec<BranchPosition>, BackendError> {
        let state = self.state();
        let Some(holdings) = state.holdings.get(repo) else {
            return Ok(Vec::new());
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = holdings.branches.range::<BranchName, _>((start, Bound::Unbounded));
        let position = later.map(|(name, last)| BranchPosition {
            name: name.clone(),
            head: last.head,
            sequence: last.sequence,
            moved_at: last.at,
        });
        Ok(position.take(limit as usize).collect())
    }

    async fn commit_page(
        &self,
        repo: &RepoId,
        after: Option<CommitId>,
        limit: u32,
    ) -> Result<Vec<CommitRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|held| page(&held.commits, after, limit)).unwrap_or_default())
    }

    async fn snapshot_page(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|held| page(&held.snapshots, after, limit)).unwrap_or_default())
    }

    async fn blob_page(
        &self,
        repo: &RepoId,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<Vec<BlobRow>, BackendError> {
        let state = self.state();
        Ok(state.holdings.get(repo).map(|held| page(&held.blobs, after, limit)).unwrap_or_default())
    }

    /// Here a blob is there as long as a repository holds it.
    async fn unheld_blobs(
        &self,
        _after: Option<BlobId>,
        _limit: u32,
    ) -> Result<(Vec<BlobRow>, Option<BlobId>), BackendError> {
        Ok((Vec::new(), None))
    }

    async fn rowless(&self, _repo: &RepoId, _limit: u32) -> Result<Vec<ObjectKey>, BackendError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl PackAudit for MemoryObjects {
    async fn pack_names(&self) -> Result<Vec<PackId>, BackendError> {
        self.packs().await
    }

    async fn audit(&self, pack: PackId, whole: bool) -> Result<PackReport, BackendError> {
        let objects = self.pack_objects(pack).await?;
        let mut report = PackReport::default();
        if !whole {
            return Ok(report);
        }
        let state = lock(&self.state);
        for object in &objects {
            let bytes = state.record(&object.place)?;
            report.bytes += bytes.len() as u64;
            let fits = match canonical::payload_of(object.key.kind, bytes) {
                Ok(payload) if object.key.kind == ObjectKind::Blob => {
                    is_blob_hash(&object.key.id, bytes, payload)
                }
                other => other.is_ok(),
            };
            if !fits {
                report.faults.push(PackFault {
                    kind: PackFaultKind::DamagedObject,
                    object: Some(object.key),
                    reason: "its bytes are not those of its id".to_owned(),
                });
            }
        }
        Ok(report)
    }
}
