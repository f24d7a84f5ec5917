//! Verification of rows against the objects that they name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::report::finding;
use super::verify::Verification;
use super::{Problem, ProblemKind};
use crate::id::{BlobId, CommitId, ObjectKey, SnapshotId};
use crate::object::{Commit, Snapshot};
use crate::port::{
    BackendError, BlobRow, CommitRow, PackFaultKind, PackId, PackedObject, Place, RepositoryRecord,
    SnapshotRow,
};
use crate::scheme::IdScheme;

/// Rows of one page.
const PAGE: u32 = 1000;
/// Bytes of commits and snapshots that are in memory together.
const BATCH_BYTES: u64 = 16 << 20;
/// Blob ids that are remembered as held: what manifests name again and again is not asked again and again.
const HELD_BLOBS: usize = 1_000_000;

impl Verification<'_> {
    /// Every commit: read, its id computed again, its row compared, its parents and its snapshot there.
    pub(super) async fn commits(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let page = self.recovery.pages.commit_page(&repo.repo_id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            let objects: Vec<(ObjectKey, Place, u64)> =
                page.iter().map(|row| (row.id.key(), row.place, row.size)).collect();
            for batch in batches(&objects) {
                let bytes = self.read(repo, &objects[batch.clone()]).await?;
                for (row, bytes) in page[batch].iter().zip(bytes) {
                    if let Some(bytes) = bytes {
                        self.commit(repo, row, &bytes);
                    }
                }
            }
            self.ancestry(repo, &page).await?;
            self.summary.commits += page.len() as u64;
            self.progress("commits", self.summary.commits, None);
        }
    }

    fn commit(&mut self, repo: &RepositoryRecord, row: &CommitRow, bytes: &Bytes) {
        let key = row.id.key();
        let commit = match prove_commit(repo.scheme, row.id, bytes) {
            Ok(commit) => commit,
            Err(reason) => return self.damaged(repo, key, row.place, reason),
        };
        let author = commit.text("author");
        let fits = row.parents == commit.parents()
            && row.snapshot == commit.snapshot()
            && row.size == commit.size()
            && (author.is_empty() || row.author == author)
            && row.message == commit.text("message")
            && row.committed_at == commit.text("committed_at")
            && row.agent_id == commit.text("agent_id")
            && row.branch == commit.text("branch");
        if !fits {
            let problem = Problem::new(ProblemKind::WrongRow, "its row is not what its record says");
            self.problem(problem.of(repo).object(key));
        }
    }

    /// What a page of commits names is held, and each is one generation above its parents.
    async fn ancestry(&mut self, repo: &RepositoryRecord, page: &[CommitRow]) -> Result<(), BackendError> {
        let history = &self.recovery.backends().history;
        let parents: HashSet<CommitId> = page.iter().flat_map(|row| row.parents.iter().copied()).collect();
        let parents: Vec<CommitId> = parents.into_iter().collect();
        let nodes = history.commit_nodes(&repo.repo_id, &parents, 0).await?;
        let generations: HashMap<CommitId, u64> =
            nodes.into_iter().map(|node| (node.id, node.generation)).collect();
        let snapshots: HashSet<SnapshotId> = page.iter().map(|row| row.snapshot).collect();
        let snapshots: Vec<SnapshotId> = snapshots.into_iter().collect();
        let held = history.snapshots(&repo.repo_id, &snapshots).await?;
        let held: HashSet<SnapshotId> = held.into_iter().map(|row| row.id).collect();
        for row in page {
            let mut generation = Some(1);
            for parent in &row.parents {
                let above = generations.get(parent).map(|of_parent| of_parent + 1);
                if above.is_none() {
                    let detail = format!("its parent {parent} is not in the repository");
                    let problem = Problem::new(ProblemKind::MissingParent, detail);
                    self.problem(problem.of(repo).object(row.id.key()));
                }
                generation = generation.zip(above).map(|(a, b)| a.max(b));
            }
            if generation.is_some_and(|generation| generation != row.generation) {
                let problem = Problem::new(ProblemKind::WrongRow, "its generation does not fit its parents'");
                self.problem(problem.of(repo).object(row.id.key()));
            }
            if !held.contains(&row.snapshot) {
                let detail = format!("its snapshot {} is not in the repository", row.snapshot);
                let problem = Problem::new(ProblemKind::MissingSnapshot, detail);
                self.problem(problem.of(repo).object(row.id.key()));
            }
        }
        Ok(())
    }

    /// Every snapshot: read, its id computed again, its row compared, its blobs there.
    pub(super) async fn snapshots(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let page = self.recovery.pages.snapshot_page(&repo.repo_id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            let objects: Vec<(ObjectKey, Place, u64)> =
                page.iter().map(|row| (row.id.key(), row.place, row.size)).collect();
            for batch in batches(&objects) {
                let bytes = self.read(repo, &objects[batch.clone()]).await?;
                for (row, bytes) in page[batch].iter().zip(bytes) {
                    if let Some(bytes) = bytes {
                        self.snapshot(repo, row, &bytes).await?;
                    }
                }
            }
            self.summary.snapshots += page.len() as u64;
            self.progress("snapshots", self.summary.snapshots, None);
        }
    }

    async fn snapshot(
        &mut self,
        repo: &RepositoryRecord,
        row: &SnapshotRow,
        bytes: &Bytes,
    ) -> Result<(), BackendError> {
        let key = row.id.key();
        let snapshot = match prove_snapshot(repo.scheme, row.id, bytes) {
            Ok(snapshot) => snapshot,
            Err(reason) => {
                self.damaged(repo, key, row.place, reason);
                return Ok(());
            }
        };
        if row.entry_count != snapshot.manifest().len() as u64 {
            let problem = Problem::new(ProblemKind::WrongRow, "its row counts other files than it has");
            self.problem(problem.of(repo).object(key));
        }
        let named = snapshot.manifest().iter().map(|(_, blob)| *blob);
        let unknown: HashSet<BlobId> = named.filter(|blob| !self.held_blobs.contains(blob)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let asked: Vec<BlobId> = unknown.iter().copied().collect();
        let held = self.recovery.backends().history.blobs(&repo.repo_id, &asked).await?;
        let held: HashSet<BlobId> = held.into_iter().map(|row| row.id).collect();
        for (path, blob) in snapshot.manifest() {
            if unknown.contains(blob) && !held.contains(blob) {
                let detail = format!("its blob {blob} of '{path}' is not in the repository");
                let problem = Problem::new(ProblemKind::MissingBlob, detail);
                self.problem(problem.of(repo).object(key));
            }
        }
        if self.held_blobs.len() + held.len() <= HELD_BLOBS {
            self.held_blobs.extend(held);
        }
        Ok(())
    }

    /// Every blob is where its row says, by the index file of the pack.
    pub(super) async fn blobs(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let mut page = self.recovery.pages.blob_page(&repo.repo_id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            page.sort_unstable_by_key(|row| row.place);
            for row in &page {
                self.blob(repo, row).await?;
            }
            self.summary.blobs += page.len() as u64;
            self.progress("blobs", self.summary.blobs, None);
        }
    }

    async fn blob(&mut self, repo: &RepositoryRecord, row: &BlobRow) -> Result<(), BackendError> {
        let pack = row.place.pack;
        self.used.insert(pack);
        let reason = match self.pack_objects(pack).await? {
            Ok(objects) => {
                let start = objects.partition_point(|object| object.key < row.id.key());
                let mut listed = objects[start..].iter().take_while(|object| object.key == row.id.key());
                // A pack that was folded into others lists where its objects lie now.
                let fits = |object: &PackedObject| {
                    object.size == row.size && (object.place == row.place || object.place.pack != pack)
                };
                if listed.any(fits) {
                    return Ok(());
                }
                format!("its row says {} bytes at {}, the pack's index does not", row.size, row.place)
            }
            Err(reason) => reason,
        };
        let problem = Problem::new(ProblemKind::RowWithoutObject, reason);
        self.problem(problem.of(repo).object(row.id.key()).pack(pack));
        Ok(())
    }

    /// What a pack holds by its index, in the order of keys, or why that cannot be said.
    async fn pack_objects(
        &mut self,
        pack: PackId,
    ) -> Result<Result<Arc<[PackedObject]>, String>, BackendError> {
        if let Some(known) = self.known_packs.get(pack) {
            return Ok(known);
        }
        let listed = match self.recovery.backends().objects.pack_objects(pack).await {
            Ok(mut objects) => {
                objects.sort_unstable_by_key(|object| (object.key, object.place));
                Ok(objects.into())
            }
            Err(error) => Err(finding(error)?),
        };
        self.known_packs.add(pack, listed.clone());
        Ok(listed)
    }

    /// Canonical bytes of objects; none for one that is reported as missing or damaged.
    async fn read(
        &mut self,
        repo: &RepositoryRecord,
        objects: &[(ObjectKey, Place, u64)],
    ) -> Result<Vec<Option<Bytes>>, BackendError> {
        let places: Vec<Place> = objects.iter().map(|(_, place, _)| *place).collect();
        self.used.extend(places.iter().map(|place| place.pack));
        let store = &self.recovery.backends().objects;
        if let Ok(all) = store.read(&places).await {
            return Ok(all.into_iter().map(Some).collect());
        }
        // One of them is damaged: which ones, they say one by one.
        let mut read = Vec::with_capacity(objects.len());
        for (key, place, _) in objects {
            match store.read(&[*place]).await {
                Ok(mut one) => read.push(one.pop()),
                Err(error @ BackendError::Missing { .. }) => {
                    let problem = Problem::new(ProblemKind::RowWithoutObject, error.to_string());
                    self.problem(problem.of(repo).object(*key).pack(place.pack));
                    read.push(None);
                }
                Err(error) => {
                    self.damaged(repo, *key, *place, finding(error)?);
                    read.push(None);
                }
            }
        }
        Ok(read)
    }

    fn damaged(&mut self, repo: &RepositoryRecord, key: ObjectKey, place: Place, reason: String) {
        let problem = Problem::new(ProblemKind::Pack(PackFaultKind::DamagedObject), reason);
        self.problem(problem.of(repo).object(key).pack(place.pack));
    }
}

/// Stretches of objects whose payloads are in memory together.
fn batches(objects: &[(ObjectKey, Place, u64)]) -> Vec<std::ops::Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, (_, _, size)) in objects.iter().enumerate() {
        if at > start && bytes + size > BATCH_BYTES {
            batches.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < objects.len() {
        batches.push(start..objects.len());
    }
    batches
}

/// The commit that canonical bytes are of, its id computed again and its bytes printed again.
pub(super) fn prove_commit(scheme: Option<IdScheme>, id: CommitId, bytes: &[u8]) -> Result<Commit, String> {
    let scheme = scheme.ok_or("its repository has no id scheme")?;
    let decoded = Commit::decode(scheme, id, bytes).map_err(|error| error.to_string())?;
    let mut record = decoded.record().clone();
    if scheme == IdScheme::TypedV2 {
        record.insert("commit_id".to_owned(), id.to_string().into());
    }
    let proven = Commit::verify(scheme, record).map_err(|error| error.to_string())?;
    if proven.id() != id {
        return Err(format!("its content has the id {}", proven.id()));
    }
    if proven.canonical() != bytes { Err("its bytes are not canonical".to_owned()) } else { Ok(proven) }
}

/// The snapshot that canonical bytes are of, its id computed again and its bytes printed again.
pub(super) fn prove_snapshot(
    scheme: Option<IdScheme>,
    id: SnapshotId,
    bytes: &[u8],
) -> Result<Snapshot, String> {
    let scheme = scheme.ok_or("its repository has no id scheme")?;
    let decoded = Snapshot::decode(id, bytes).map_err(|error| error.to_string())?;
    let proven = Snapshot::verify(scheme, decoded.record().clone()).map_err(|error| error.to_string())?;
    let printed = proven.canonical(scheme).map_err(|error| error.to_string())?;
    if printed != bytes { Err("its bytes are not canonical".to_owned()) } else { Ok(proven) }
}

/// What the packs asked for last hold.
#[derive(Default)]
pub(super) struct KnownPacks {
    packs: HashMap<PackId, Result<Arc<[PackedObject]>, String>>,
    order: VecDeque<PackId>,
    entries: usize,
}

impl KnownPacks {
    /// How many entries of index files are remembered; the last pack is, however many it has.
    const LIMIT: usize = 1_000_000;

    fn get(&self, pack: PackId) -> Option<Result<Arc<[PackedObject]>, String>> {
        self.packs.get(&pack).cloned()
    }

    fn add(&mut self, pack: PackId, listed: Result<Arc<[PackedObject]>, String>) {
        self.entries += 1 + listed.as_ref().map_or(0, |objects| objects.len());
        self.packs.insert(pack, listed);
        self.order.push_back(pack);
        while self.entries > Self::LIMIT
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            let dropped = self.packs.remove(&oldest);
            self.entries -= 1 + dropped.and_then(Result::ok).map_or(0, |objects| objects.len());
        }
    }
}
