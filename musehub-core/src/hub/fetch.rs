//! What a client gets: which commits, snapshots and blobs it lacks.

use std::collections::HashSet;

use bytes::Bytes;
use rayon::prelude::*;

use super::{FetchError, Hub, sorted};
use crate::cpu;
use crate::graph::{Difference, Reachable};
use crate::id::{BlobId, CommitId, SnapshotId};
use crate::object::Snapshot;
use crate::port::{BackendError, BlobRow, BranchRow, CommitRow, Located, RepositoryRecord, SnapshotRow};
use crate::scheme::IdScheme;

/// How many bytes of snapshots are read at a time, beyond which only one more is.
pub(super) const SNAPSHOT_BYTES: u64 = 16 << 20;

/// What is to be sent. Blobs are read while they are sent: small ones together with [`Hub::contents`], a large one with
/// [`Hub::content_stream`].
#[derive(Clone, Debug, Default)]
pub struct FetchPlan {
    /// The commits, parents first, each with its canonical bytes.
    pub commits: Vec<(CommitRow, Bytes)>,
    /// Their snapshots, ordered by id.
    pub snapshots: Vec<Snapshot>,
    /// The blobs of those snapshots that the client does not have, ordered by place.
    pub blobs: Vec<BlobRow>,
    /// The heads of the repository.
    pub heads: Vec<BranchRow>,
}

/// How far a client and the hub have agreed on what they share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiation {
    /// Which of the haves the repository holds, in the order given.
    pub ack: Vec<CommitId>,
    /// A newest commit that both have.
    pub common_base: Option<CommitId>,
    /// Whether more haves would not change what is sent.
    pub ready: bool,
}

impl Hub {
    /// Plans a fetch: everything reachable from `want` and not from `have`. Ids that the repository does not hold are
    /// ignored. A have stands for its whole history.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] where the payloads together have more than `limit` bytes.
    pub async fn fetch(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
        limit: u64,
    ) -> Result<FetchPlan, FetchError> {
        self.plan_fetch(repo, want, have, limit, limit).await
    }

    /// Plans a fetch whose blobs are sent with many answers.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] where the payloads of commits and snapshots together have more than `limit` bytes.
    pub async fn fetch_in_pages(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
        limit: u64,
    ) -> Result<FetchPlan, FetchError> {
        self.plan_fetch(repo, want, have, limit, u64::MAX).await
    }

    /// Plans a fetch. `records` limits the payloads of commits and snapshots, `limit` all.
    async fn plan_fetch(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
        records: u64,
        limit: u64,
    ) -> Result<FetchPlan, FetchError> {
        let heads = self.backends.history.branches(&repo.repo_id).await?;
        let difference = self.difference(repo, want, have).await?;
        if difference.commits.is_empty() {
            return Ok(FetchPlan { heads, ..FetchPlan::default() });
        }
        let mut commits = self.commit_rows(repo, &difference.commits).await?;
        commits.reverse();
        let known = self.commit_rows(repo, &difference.boundary).await?;
        let known: HashSet<SnapshotId> = known.iter().map(|row| row.snapshot).collect();
        let wanted: HashSet<SnapshotId> =
            commits.iter().map(|row| row.snapshot).filter(|id| !known.contains(id)).collect();

        let wanted = self.snapshot_rows(repo, &wanted).await?;
        let mut bytes: u64 =
            commits.iter().map(|row| row.size).chain(wanted.iter().map(|row| row.size)).sum();
        within(bytes, records)?;

        let commit_bytes = self.read_commits(repo, &commits).await?;
        let snapshots = self.decode_snapshots(repo, wanted).await?;
        let mut blobs = named(&snapshots);
        self.remove_named(repo, &known, &mut blobs).await?;
        let mut rows = self.backends.history.blobs(&repo.repo_id, &sorted(&blobs)).await?;
        if rows.len() != blobs.len() {
            let what = format!("{} blobs of {}/{}", blobs.len() - rows.len(), repo.owner, repo.slug);
            return Err(BackendError::Missing { what }.into());
        }
        rows.sort_unstable_by_key(|row| row.place);
        bytes += rows.iter().map(|row| row.size).sum::<u64>();
        within(bytes, limit)?;
        Ok(FetchPlan {
            commits: commits.into_iter().zip(commit_bytes).collect(),
            snapshots,
            blobs: rows,
            heads,
        })
    }

    /// The rows of snapshots that the repository is known to hold, ordered by id.
    pub(super) async fn snapshot_rows(
        &self,
        repo: &RepositoryRecord,
        ids: &HashSet<SnapshotId>,
    ) -> Result<Vec<SnapshotRow>, BackendError> {
        let mut rows = self.backends.history.snapshots(&repo.repo_id, &sorted(ids)).await?;
        if rows.len() != ids.len() {
            let what = format!("{} snapshots of {}/{}", ids.len() - rows.len(), repo.owner, repo.slug);
            return Err(BackendError::Missing { what });
        }
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }

    /// Removes from `blobs` those that snapshots name. The snapshots may be as many as a history has merges, so there are never
    /// more than a batch of them in memory.
    pub(super) async fn remove_named(
        &self,
        repo: &RepositoryRecord,
        snapshots: &HashSet<SnapshotId>,
        blobs: &mut HashSet<BlobId>,
    ) -> Result<(), BackendError> {
        let mut rows = self.snapshot_rows(repo, snapshots).await?;
        while !rows.is_empty() && !blobs.is_empty() {
            let batch = next_batch(&mut rows);
            for snapshot in self.decode_snapshots(repo, batch).await? {
                for (_, blob) in snapshot.manifest() {
                    blobs.remove(blob);
                }
            }
        }
        Ok(())
    }

    /// Snapshots, in the order of their rows, decoded on all cores.
    pub(super) async fn decode_snapshots(
        &self,
        repo: &RepositoryRecord,
        rows: Vec<SnapshotRow>,
    ) -> Result<Vec<Snapshot>, BackendError> {
        let bytes = self.read_snapshots(repo, &rows).await?;
        cpu::run(move || {
            let decode = |(row, bytes): (SnapshotRow, Bytes)| {
                Snapshot::decode(row.id, &bytes).map_err(|error| BackendError::Damaged {
                    what: format!("snapshot {}", row.id),
                    reason: error.to_string(),
                })
            };
            rows.into_par_iter().zip(bytes).map(decode).collect()
        })
        .await
    }

    /// Canonical bytes of objects at their places.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails or the bytes are damaged.
    pub async fn read(&self, objects: impl IntoIterator<Item = Located>) -> Result<Vec<Bytes>, BackendError> {
        let objects: Vec<Located> = objects.into_iter().collect();
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        self.backends.objects.read(&objects).await
    }

    /// Finds what a client and the repository share.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn negotiate(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
    ) -> Result<Negotiation, BackendError> {
        let held = self.backends.history.commit_nodes(&repo.repo_id, have, 0).await?;
        let generations: std::collections::HashMap<CommitId, u64> =
            held.into_iter().map(|node| (node.id, node.generation)).collect();
        let ack: Vec<CommitId> = have.iter().copied().filter(|id| generations.contains_key(id)).collect();
        let difference = self.difference(repo, want, &ack).await?;
        let nodes = self.backends.history.commit_nodes(&repo.repo_id, &difference.boundary, 0).await?;
        let newest = nodes.iter().filter(|node| difference.boundary.contains(&node.id));
        let newest = newest.max_by_key(|node| (node.generation, node.id)).map(|node| node.id);
        // Where nothing is lacking, a want that is known to be had is the base itself.
        let had = || want.iter().copied().find(|id| !difference.absent.contains(id));
        let lacks_nothing = difference.commits.is_empty() && !ack.is_empty();
        let common_base = newest.or_else(|| if lacks_nothing { had() } else { None });
        Ok(Negotiation { ready: have.is_empty() || common_base.is_some(), ack, common_base })
    }

    /// Which of the blobs a client has to upload before it can push them: those that the repository does not hold and that
    /// are not staged, in the order given. The empty blob is never among them.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn missing_objects(
        &self,
        repo: &RepositoryRecord,
        ids: &[BlobId],
    ) -> Result<Vec<BlobId>, BackendError> {
        let unheld = self.unheld_objects(repo, ids).await?;
        let scheme = repo.scheme.unwrap_or(IdScheme::FlatV1);
        let empty = |id: &BlobId| scheme.blob_id(id.object_id().algorithm(), b"") == *id;
        let mut seen = HashSet::new();
        let lacking: Vec<BlobId> = unheld.into_iter().filter(|id| seen.insert(*id) && !empty(id)).collect();
        let staged = self.backends.staging.find(&repo.repo_id, &lacking).await?;
        let missing = lacking.into_iter().zip(staged).filter(|(_, staged)| staged.is_none());
        Ok(missing.map(|(id, _)| id).collect())
    }

    /// Which of the blobs the repository does not hold, staged or not, in the order given. One whose pack is lost is among them:
    /// whoever sends it again heals what names it.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn unheld_objects(
        &self,
        repo: &RepositoryRecord,
        ids: &[BlobId],
    ) -> Result<Vec<BlobId>, BackendError> {
        let held = self.backends.history.blobs(&repo.repo_id, ids).await?;
        let lost = self.lost(held.iter().map(BlobRow::located).collect()).await?;
        let held = held.iter().filter(|row| !lost.contains(&row.located()));
        let held: HashSet<BlobId> = held.map(|row| row.id).collect();
        Ok(ids.iter().copied().filter(|id| !held.contains(id)).collect())
    }

    pub(super) async fn difference(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
    ) -> Result<Difference, BackendError> {
        let mut walk = Reachable::new(want.iter().copied(), have.iter().copied());
        self.walk(&repo.repo_id, &mut walk).await
    }

    /// The rows of different commits that the repository is known to hold, in the order given.
    ///
    /// # Errors
    /// [`BackendError::Missing`] where it does not hold one, and where the backend fails.
    pub async fn commit_rows(
        &self,
        repo: &RepositoryRecord,
        ids: &[CommitId],
    ) -> Result<Vec<CommitRow>, BackendError> {
        let rows = self.backends.history.commits(&repo.repo_id, ids).await?;
        let mut by_id: std::collections::HashMap<CommitId, CommitRow> =
            rows.into_iter().map(|row| (row.id, row)).collect();
        let take = |id: &CommitId| {
            let missing =
                || BackendError::Missing { what: format!("commit {id} of {}/{}", repo.owner, repo.slug) };
            by_id.remove(id).ok_or_else(missing)
        };
        ids.iter().map(take).collect()
    }
}

fn within(bytes: u64, limit: u64) -> Result<(), FetchError> {
    if bytes > limit { Err(FetchError::TooLarge { bytes, limit }) } else { Ok(()) }
}

/// Takes as many rows of snapshots as are read together.
pub(super) fn next_batch(rows: &mut Vec<SnapshotRow>) -> Vec<SnapshotRow> {
    let mut bytes = 0;
    let full = rows.iter().position(|row| {
        bytes += row.size;
        bytes >= SNAPSHOT_BYTES
    });
    rows.drain(..full.map_or(rows.len(), |last| last + 1)).collect()
}

/// The blobs that snapshots name.
fn named(snapshots: &[Snapshot]) -> HashSet<BlobId> {
    snapshots.iter().flat_map(|snapshot| snapshot.manifest().iter().map(|(_, blob)| *blob)).collect()
}
