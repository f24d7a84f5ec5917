//! What a client pushes, verified: every id of it recomputed before anything is believed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::PushError;
use crate::cpu;
use crate::graph::TopoError;
use crate::id::{BlobId, CommitId, ObjectKind, SnapshotId};
use crate::name::BranchName;
use crate::object::{Commit, ObjectError, OpaqueIds, Snapshot, SnapshotRecord};
use crate::scheme::{BlobHasher, IdScheme};

/// A push as a client sends it: nothing of it is proven.
#[derive(Clone, Debug)]
pub struct Push {
    /// The branch to move.
    pub branch: BranchName,
    /// Whether the branch may lose commits by it.
    pub force: bool,
    /// The scheme of the ids that this client computes; decides that of a repository without history.
    pub scheme: IdScheme,
    /// Records of commits.
    pub commits: Vec<Map<String, Value>>,
    /// Records of snapshots.
    pub snapshots: Vec<SnapshotRecord>,
    /// Blobs that come with the push instead of having been staged.
    pub blobs: Vec<InlineBlob>,
}

/// A blob that comes with a push.
#[derive(Clone, Debug)]
pub struct InlineBlob {
    /// The id it claims.
    pub id: BlobId,
    /// Its bytes.
    pub content: Bytes,
}

/// The commits and inline blobs of a push, verified; its snapshots wait until it is known which are needed.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) commits: HashMap<CommitId, Commit>,
    pub(super) blobs: HashMap<BlobId, Bytes>,
    /// In the order they came, so that what is stored does not depend on a hash map.
    order: Vec<CommitId>,
}

/// A snapshot, verified and ready to be stored.
#[derive(Debug)]
pub(super) struct ReadySnapshot {
    pub(super) id: SnapshotId,
    pub(super) entry_count: u64,
    pub(super) canonical: Bytes,
}

impl Incoming {
    /// Verifies commits and inline blobs, on all cores.
    pub(super) async fn verify(
        scheme: IdScheme,
        opaque: OpaqueIds,
        commits: Vec<Map<String, Value>>,
        blobs: Vec<InlineBlob>,
    ) -> Result<Self, PushError> {
        cpu::run(move || {
            let verified: Vec<Commit> = commits
                .into_par_iter()
                .map(|record| Commit::accept(scheme, record, opaque))
                .collect::<Result<_, _>>()?;
            let blobs =
                blobs.into_par_iter().map(|blob| verify_blob(scheme, blob)).collect::<Result<_, _>>()?;
            let mut commits = HashMap::with_capacity(verified.len());
            let mut order = Vec::with_capacity(verified.len());
            for commit in verified {
                let id = commit.id();
                match commits.entry(id) {
                    Entry::Vacant(new) => {
                        new.insert(commit);
                        order.push(id);
                    }
                    Entry::Occupied(held) if held.get().record() == commit.record() => {}
                    Entry::Occupied(_) => return Err(PushError::Graph(TopoError::Duplicate(id))),
                }
            }
            Ok(Self { commits, blobs, order })
        })
        .await
    }

    /// The commit that the branch is to point at: the one that is nobody's parent. Of several, the one whose record names
    /// the branch.
    pub(super) fn tip(&self, branch: &BranchName) -> Result<Option<CommitId>, PushError> {
        let parents: HashSet<CommitId> =
            self.commits.values().flat_map(|commit| commit.parents().iter().copied()).collect();
        let tips: Vec<CommitId> = self.order.iter().copied().filter(|id| !parents.contains(id)).collect();
        match tips[..] {
            [] => Ok(None),
            [tip] => Ok(Some(tip)),
            _ => {
                let on_branch = |id: &&CommitId| self.commits[*id].text("branch") == branch.as_str();
                let mut named = tips.iter().filter(on_branch);
                match (named.next(), named.next()) {
                    (Some(tip), None) => Ok(Some(*tip)),
                    _ => Err(PushError::AmbiguousTip { branch: branch.clone(), tips }),
                }
            }
        }
    }

    /// The commits of the push from which `tip` descends, itself included, in the order they came.
    pub(super) fn reachable_from(&self, tip: CommitId) -> Vec<CommitId> {
        let mut seen = HashSet::from([tip]);
        let mut pending = vec![tip];
        while let Some(id) = pending.pop() {
            let parents = self.commits.get(&id).map(Commit::parents).unwrap_or_default();
            pending
                .extend(parents.iter().copied().filter(|p| self.commits.contains_key(p) && seen.insert(*p)));
        }
        self.order.iter().copied().filter(|id| seen.contains(id)).collect()
    }
}

fn verify_blob(scheme: IdScheme, blob: InlineBlob) -> Result<(BlobId, Bytes), PushError> {
    let InlineBlob { id, content } = blob;
    let formula = |source| ObjectError::Formula { kind: ObjectKind::Blob, id: id.to_string(), source };
    let mut hasher = BlobHasher::new(scheme, id.object_id().algorithm(), content.len() as u64);
    hasher.update(&content).map_err(formula)?;
    let computed = hasher.finish().map_err(formula)?;
    if computed != id {
        return Err(PushError::BlobMismatch { claimed: id, computed });
    }
    Ok((id, content))
}

/// Verifies a snapshot: ready to be stored, and the blobs that it names.
pub(super) fn ready_snapshot(
    scheme: IdScheme,
    opaque: OpaqueIds,
    record: SnapshotRecord,
) -> Result<(ReadySnapshot, Vec<BlobId>), PushError> {
    let (snapshot, _) = Snapshot::accept(scheme, record, opaque)?;
    let ready = ReadySnapshot {
        id: snapshot.id(),
        entry_count: snapshot.manifest().len() as u64,
        canonical: snapshot.canonical(scheme)?,
    };
    Ok((ready, snapshot.manifest().iter().map(|(_, blob)| *blob).collect()))
}

/// Verifies those of the snapshots that are `needed`, on all cores: ready to be stored, in the order they came, and the
/// blobs that they name.
pub(super) async fn verify_snapshots(
    scheme: IdScheme,
    opaque: OpaqueIds,
    snapshots: Vec<SnapshotRecord>,
    needed: HashSet<SnapshotId>,
) -> Result<(Vec<ReadySnapshot>, HashSet<BlobId>), PushError> {
    cpu::run(move || {
        let mut taken = HashSet::new();
        let wanted: Vec<SnapshotRecord> = snapshots
            .into_iter()
            .filter(|record| record.id.is_some_and(|id| needed.contains(&id) && taken.insert(id)))
            .collect();
        let mut ready = Vec::with_capacity(wanted.len());
        let mut blobs = HashSet::new();
        // Batches, so that the ids of a history's files are never all in memory more than once.
        let mut pending = wanted.into_iter().peekable();
        while pending.peek().is_some() {
            let batch: Vec<_> = pending.by_ref().take(256).collect();
            let verify = |record| ready_snapshot(scheme, opaque, record);
            for done in batch.into_par_iter().map(verify).collect::<Vec<_>>() {
                let (snapshot, named) = done?;
                ready.push(snapshot);
                blobs.extend(named);
            }
        }
        Ok((ready, blobs))
    })
    .await
}
