//! Snapshots that come as deltas: rebuilt one after the other, each from its base, and verified.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::fetch::next_batch;
use super::incoming::{ReadySnapshot, ready_snapshot};
use super::{Hub, PushError, sorted};
use crate::cpu;
use crate::id::{BlobId, SnapshotId};
use crate::mpack::SnapshotDelta;
use crate::object::{OpaqueIds, SnapshotRecord};
use crate::port::RepositoryRecord;
use crate::scheme::IdScheme;

/// How many files of rebuilt snapshots are in memory at a time, before they are verified.
const BATCH_ENTRIES: usize = 1 << 20;

/// Snapshots of a push that come as deltas.
#[derive(Debug, Default)]
pub(super) struct PushedSnapshots {
    pub(super) deltas: Vec<SnapshotDelta>,
    /// How many bytes of snapshots they may be rebuilt to.
    pub(super) limit: u64,
}

impl Hub {
    /// Rebuilds those of the deltas that are in `lacking`, from snapshots of the push and of the repository. Gives them ready to
    /// be stored, and the blobs that they name.
    ///
    /// # Errors
    /// [`PushError::MissingBase`] where the base of a delta is nowhere, or deltas are based on each other.
    pub(super) async fn rebuild_snapshots(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        full: &[SnapshotRecord],
        pushed: PushedSnapshots,
        lacking: &HashSet<SnapshotId>,
    ) -> Result<(Vec<ReadySnapshot>, HashSet<BlobId>), PushError> {
        let PushedSnapshots { deltas, limit } = pushed;
        let needed = chains(deltas, full, lacking);
        if needed.is_empty() {
            return Ok((Vec::new(), HashSet::new()));
        }
        let by_id: HashSet<SnapshotId> = needed.iter().map(|delta| delta.id).collect();
        let bases: HashSet<SnapshotId> = needed.iter().map(|delta| delta.base).collect();
        let known: Vec<(SnapshotId, SnapshotRecord)> = full
            .iter()
            .filter_map(|record| record.id.filter(|id| bases.contains(id)).map(|id| (id, record.clone())))
            .collect();
        let inside: HashSet<SnapshotId> = known.iter().map(|(id, _)| *id).chain(by_id).collect();
        let outside: HashSet<SnapshotId> = bases.difference(&inside).copied().collect();
        let mut rebuild = Rebuild::new(scheme, limit, lacking.clone(), needed);
        rebuild = cpu::run(move || rebuild.extend(known)).await?;
        // A base may be as large as any snapshot, and each delta may have another one.
        let mut rows = self.backends.history.snapshots(&repo.repo_id, &sorted(&outside)).await?;
        while !rows.is_empty() {
            let read = self.decode_snapshots(repo, next_batch(&mut rows)).await?;
            let bases = move || read.iter().map(|base| (base.id(), base.record().clone())).collect();
            rebuild = cpu::run(move || rebuild.extend(bases())).await?;
        }
        rebuild.finish()
    }
}

/// The deltas of the snapshots that are lacking, and of those that they are based on, each once.
fn chains(
    deltas: Vec<SnapshotDelta>,
    full: &[SnapshotRecord],
    lacking: &HashSet<SnapshotId>,
) -> Vec<SnapshotDelta> {
    let full: HashSet<SnapshotId> = full.iter().filter_map(|record| record.id).collect();
    let mut by_id: HashMap<SnapshotId, SnapshotDelta> = HashMap::with_capacity(deltas.len());
    let mut order = Vec::with_capacity(deltas.len());
    for delta in deltas {
        if !full.contains(&delta.id) && !by_id.contains_key(&delta.id) {
            order.push(delta.id);
            by_id.insert(delta.id, delta);
        }
    }
    let mut wanted: HashSet<SnapshotId> = HashSet::new();
    let mut pending: Vec<SnapshotId> = lacking.iter().copied().filter(|id| by_id.contains_key(id)).collect();
    while let Some(id) = pending.pop() {
        if wanted.insert(id) {
            pending.extend(by_id.get(&id).map(|delta| delta.base).filter(|base| by_id.contains_key(base)));
        }
    }
    order.into_iter().filter(|id| wanted.contains(id)).filter_map(|id| by_id.remove(&id)).collect()
}

struct Rebuild {
    scheme: IdScheme,
    limit: u64,
    lacking: HashSet<SnapshotId>,
    /// Deltas that were not applied yet, by what they are based on.
    children: HashMap<SnapshotId, Vec<SnapshotDelta>>,
    /// Bytes of snapshots that were rebuilt so far.
    rebuilt: u64,
    ready: Vec<ReadySnapshot>,
    blobs: HashSet<BlobId>,
}

impl Rebuild {
    fn new(scheme: IdScheme, limit: u64, lacking: HashSet<SnapshotId>, deltas: Vec<SnapshotDelta>) -> Self {
        let mut children: HashMap<SnapshotId, Vec<SnapshotDelta>> = HashMap::new();
        for delta in deltas {
            children.entry(delta.base).or_default().push(delta);
        }
        Self { scheme, limit, lacking, children, rebuilt: 0, ready: Vec::new(), blobs: HashSet::new() }
    }

    /// Goes along every chain that begins at one of the bases. A snapshot is kept until the last delta that is based on it was
    /// applied.
    fn extend(mut self, mut pending: Vec<(SnapshotId, SnapshotRecord)>) -> Result<Self, PushError> {
        pending.sort_unstable_by_key(|(id, _)| *id);
        let (mut batch, mut entries) = (Vec::new(), 0);
        while let Some((id, base)) = pending.pop() {
            for delta in self.children.remove(&id).unwrap_or_default() {
                let record = delta.apply(&base).map_err(|source| crate::object::ObjectError::Manifest {
                    id: delta.id.to_string(),
                    source,
                })?;
                if self.children.contains_key(&delta.id) {
                    pending.push((delta.id, record.clone()));
                }
                if self.lacking.contains(&delta.id) {
                    entries += record.manifest.len();
                    batch.push(record);
                }
                if entries > BATCH_ENTRIES {
                    self.verify(std::mem::take(&mut batch))?;
                    entries = 0;
                }
            }
        }
        self.verify(batch)?;
        Ok(self)
    }

    /// What was rebuilt, once there are no more bases.
    fn finish(self) -> Result<(Vec<ReadySnapshot>, HashSet<BlobId>), PushError> {
        // What is left leads to nothing, or only to itself.
        let mut left: Vec<&SnapshotDelta> = self.children.values().flatten().collect();
        left.sort_by_key(|delta| delta.id);
        let known: HashSet<SnapshotId> = left.iter().map(|delta| delta.id).collect();
        match left.iter().find(|delta| !known.contains(&delta.base)).or(left.first()) {
            Some(delta) => Err(PushError::MissingBase { snapshot: delta.id, base: delta.base }),
            None => Ok((self.ready, self.blobs)),
        }
    }

    fn verify(&mut self, batch: Vec<SnapshotRecord>) -> Result<(), PushError> {
        let scheme = self.scheme;
        // What was put together here and gives no known id may have been put together wrongly.
        let verify = |record| ready_snapshot(scheme, OpaqueIds::Refuse, record);
        let verified: Vec<_> = batch.into_par_iter().map(verify).collect();
        for done in verified {
            let (snapshot, named) = done?;
            self.rebuilt += snapshot.canonical.len() as u64;
            if self.rebuilt > self.limit {
                return Err(PushError::TooManySnapshots { limit: self.limit });
            }
            self.ready.push(snapshot);
            self.blobs.extend(named);
        }
        Ok(())
    }
}
