//! Verification of the rows of commits and snapshots against the records that they name, and of what these stand on.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::proof::{prove_commit, prove_snapshot};
use super::report::finding;
use super::verify::{PAGE, Verification};
use super::{Problem, ProblemKind};
use crate::canonical;
use crate::id::{BlobId, CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::object::{IdProof, OpaqueIds};
use crate::port::{BackendError, CommitRow, PackFaultKind, Place, RepositoryRecord, SnapshotRow};

/// Bytes of commits and snapshots that are in memory together.
const BATCH_BYTES: u64 = 16 << 20;
/// Blob ids that are remembered as held: what manifests name again and again is not asked again and again.
const HELD_BLOBS: usize = 1_000_000;

impl Verification<'_> {
    /// Every commit: read, its id computed again, its row compared, its parents and its snapshot there.
    pub(super) async fn commits(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        self.recorded(repo, ObjectKind::Commit).await
    }

    /// Every snapshot: read, its id computed again, its row compared, its blobs there.
    pub(super) async fn snapshots(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        self.recorded(repo, ObjectKind::Snapshot).await
    }

    /// Goes through the rows of commits or snapshots, a page at a time.
    async fn recorded(&mut self, repo: &RepositoryRecord, kind: ObjectKind) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let page = self.page(repo, kind, after).await;
            let Some(page) = self.readable(repo, page)? else {
                // What the rest of its manifests name is not known.
                self.brought.incomplete = true;
                return Ok(());
            };
            let wanted = page.wanted();
            let Some(last) = wanted.last() else {
                return Ok(());
            };
            after = Some(last.key.id);
            let placeless: Vec<ObjectId> =
                wanted.iter().filter(|row| row.place.is_none()).map(|row| row.key.id).collect();
            self.summary.unstored += placeless.len() as u64;
            self.refuse_placeless(repo, kind, &placeless).await?;
            let placed = wanted.iter().filter(|row| row.place.is_some());
            self.refuse_foreign(repo, placed.map(|row| row.key)).await?;
            for batch in batches(&wanted) {
                let bytes = self.read(repo, &wanted[batch.clone()]).await?;
                for (at, bytes) in batch.zip(bytes) {
                    match (&page, bytes) {
                        (Page::Commits(rows), Some(bytes)) => self.commit(repo, &rows[at], &bytes).await?,
                        (Page::Snapshots(rows), Some(bytes)) => {
                            self.snapshot(repo, &rows[at], &bytes).await?;
                        }
                        (Page::Commits(_), None) => {}
                        (Page::Snapshots(_), None) => self.brought.incomplete = true,
                    }
                }
            }
            match &page {
                Page::Commits(rows) => {
                    self.ancestry(repo, rows).await?;
                    self.summary.commits += rows.len() as u64;
                    self.progress("commits", self.summary.commits, None);
                }
                Page::Snapshots(rows) => {
                    self.summary.snapshots += rows.len() as u64;
                    self.progress("snapshots", self.summary.snapshots, None);
                }
            }
        }
    }

    async fn page(
        &self,
        repo: &RepositoryRecord,
        kind: ObjectKind,
        after: Option<ObjectId>,
    ) -> Result<Page, BackendError> {
        let (pages, repo) = (&self.recovery.pages, &repo.repo_id);
        Ok(match kind {
            ObjectKind::Commit => Page::Commits(pages.commit_page(repo, after.map(Into::into), PAGE).await?),
            _ => Page::Snapshots(pages.snapshot_page(repo, after.map(Into::into), PAGE).await?),
        })
    }

    async fn commit(
        &mut self,
        repo: &RepositoryRecord,
        row: &CommitRow,
        bytes: &Bytes,
    ) -> Result<(), BackendError> {
        let key = row.id.key();
        let commit = match prove_commit(repo.scheme, row.id, bytes, OpaqueIds::Accept) {
            Ok(commit) => commit,
            Err(reason) => return self.damaged(repo, &Wanted::of_commit(row), reason).await,
        };
        self.summary.opaque_commits += u64::from(commit.id_proof() == IdProof::Opaque);
        let author = commit.text("author");
        let author_fits = match author {
            "" => row.place.is_none() || self.brought.is_pusher(row.id, &row.author),
            author => row.author == author,
        };
        let fits = row.parents == commit.parents()
            && row.snapshot == commit.snapshot()
            && row.size == commit.size()
            && author_fits
            && row.message == commit.text("message")
            && row.committed_at == commit.text("committed_at")
            && row.agent_id == commit.text("agent_id")
            && row.branch == commit.text("branch")
            && row.id_proof == commit.id_proof();
        if !fits {
            let problem = Problem::new(ProblemKind::WrongRow, "its row is not what its record says");
            self.problem(problem.of(repo).object(key));
        }
        Ok(())
    }

    /// What a page of commits names is held, and each is one generation above its parents.
    async fn ancestry(&mut self, repo: &RepositoryRecord, page: &[CommitRow]) -> Result<(), BackendError> {
        let history = &self.recovery.backends().history;
        let parents: HashSet<CommitId> = page.iter().flat_map(|row| row.parents.iter().copied()).collect();
        let parents: Vec<CommitId> = parents.into_iter().collect();
        let snapshots: HashSet<SnapshotId> = page.iter().map(|row| row.snapshot).collect();
        let snapshots: Vec<SnapshotId> = snapshots.into_iter().collect();
        let above = history.commits(&repo.repo_id, &parents).await;
        let held = history.snapshots(&repo.repo_id, &snapshots).await;
        let (Some(above), Some(held)) = (self.readable(repo, above)?, self.readable(repo, held)?) else {
            return Ok(());
        };
        let generations: HashMap<CommitId, u64> =
            above.into_iter().map(|row| (row.id, row.generation)).collect();
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

    async fn snapshot(
        &mut self,
        repo: &RepositoryRecord,
        row: &SnapshotRow,
        bytes: &Bytes,
    ) -> Result<(), BackendError> {
        let key = row.id.key();
        let snapshot = match prove_snapshot(repo.scheme, row.id, bytes, OpaqueIds::Accept) {
            Ok((snapshot, proof)) => {
                self.summary.opaque_snapshots += u64::from(proof == IdProof::Opaque);
                snapshot
            }
            Err(reason) => {
                self.brought.incomplete = true;
                return self.damaged(repo, &Wanted::of_snapshot(row), reason).await;
            }
        };
        let size =
            canonical::payload_of(ObjectKind::Snapshot, bytes).map_or(0, |payload| payload.len() as u64);
        if row.entry_count != snapshot.manifest().len() as u64 || row.size != size {
            let problem = Problem::new(ProblemKind::WrongRow, "its row is not what its record says");
            self.problem(problem.of(repo).object(key));
        }
        for (_, blob) in snapshot.manifest() {
            self.brought.named(*blob);
        }
        let named = snapshot.manifest().iter().map(|(_, blob)| *blob);
        let unknown: HashSet<BlobId> = named.filter(|blob| !self.held_blobs.contains(blob)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let asked: Vec<BlobId> = unknown.iter().copied().collect();
        let held = self.recovery.backends().history.blobs(&repo.repo_id, &asked).await;
        let Some(held) = self.readable(repo, held)? else {
            return Ok(());
        };
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

    /// Canonical bytes of objects; none for one that is reported as missing or damaged.
    async fn read(
        &mut self,
        repo: &RepositoryRecord,
        wanted: &[Wanted],
    ) -> Result<Vec<Option<Bytes>>, BackendError> {
        let asked: Vec<(ObjectKey, Option<Place>)> = wanted.iter().map(|row| (row.key, row.place)).collect();
        self.used.extend(asked.iter().filter_map(|(_, place)| place.map(|place| place.pack)));
        let hub = &self.recovery.hub;
        if let Ok(all) = hub.records(repo, &asked).await {
            return Ok(all.into_iter().map(Some).collect());
        }
        // One of them is damaged: which ones, they say one by one.
        let mut read = Vec::with_capacity(asked.len());
        for row in wanted {
            match hub.records(repo, &[(row.key, row.place)]).await {
                Ok(mut one) => read.push(one.pop()),
                Err(error @ BackendError::Missing { .. }) => {
                    let problem = Problem::new(ProblemKind::RowWithoutObject, error.to_string());
                    self.problem(in_pack(problem.of(repo).object(row.key), row.place));
                    read.push(None);
                }
                Err(error) => {
                    self.damaged(repo, row, finding(error)?).await?;
                    read.push(None);
                }
            }
        }
        Ok(read)
    }

    /// What lies where a row says is not the object: by the pack's index it is the object's place, or the row's mistake.
    async fn damaged(
        &mut self,
        repo: &RepositoryRecord,
        row: &Wanted,
        reason: String,
    ) -> Result<(), BackendError> {
        let kind = match row.place {
            None => ProblemKind::UnstorableRow,
            Some(place) => match self.listing(row.key, place, row.size).await? {
                Ok(false) => ProblemKind::RowWithoutObject,
                Ok(true) | Err(_) => ProblemKind::Pack(PackFaultKind::DamagedObject),
            },
        };
        self.problem(in_pack(Problem::new(kind, reason).of(repo).object(row.key), row.place));
        Ok(())
    }
}

fn in_pack(problem: Problem, place: Option<Place>) -> Problem {
    match place {
        Some(place) => problem.pack(place.pack),
        None => problem,
    }
}

/// A page of rows that have records.
enum Page {
    Commits(Vec<CommitRow>),
    Snapshots(Vec<SnapshotRow>),
}

/// An object to be read: where it lies, if anywhere, and the length of its payload.
struct Wanted {
    key: ObjectKey,
    place: Option<Place>,
    size: u64,
}

impl Wanted {
    fn of_commit(row: &CommitRow) -> Self {
        Self { key: row.id.key(), place: row.place, size: row.size }
    }

    fn of_snapshot(row: &SnapshotRow) -> Self {
        Self { key: row.id.key(), place: row.place, size: row.size }
    }
}

impl Page {
    fn wanted(&self) -> Vec<Wanted> {
        match self {
            Self::Commits(rows) => rows.iter().map(Wanted::of_commit).collect(),
            Self::Snapshots(rows) => rows.iter().map(Wanted::of_snapshot).collect(),
        }
    }
}

/// Stretches of objects whose payloads are in memory together.
fn batches(wanted: &[Wanted]) -> Vec<std::ops::Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, Wanted { size, .. }) in wanted.iter().enumerate() {
        if at > start && bytes + size > BATCH_BYTES {
            batches.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < wanted.len() {
        batches.push(start..wanted.len());
    }
    batches
}
