//! Back-fill: rows of commits and snapshots that came without objects get them.
//!
//! Objects are written in packs, parents first, and every pack is named by a move of a branch that never has a head
//! ([`carrier`]): so the rows are made from the log, by the code that makes them after a crash, and a rebuilt index has them
//! too. Once all that a branch stands on is stored, its first move is written, which brings nothing. Whoever does it again,
//! after a crash or beside somebody else, goes on with the rows that have no place yet.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::{Event, Problem, ProblemKind, Recovery};
use crate::hub::records::{commit_of, snapshot_of};
use crate::id::{BlobId, CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle, Slug};
use crate::port::{
    BackendError, BranchPosition, CommitRow, NewObject, ObjectBody, PackId, RefLogEntry, RepositoryRecord,
    SnapshotRow, Timestamp, UnstoredRecord,
};
use crate::scheme::IdScheme;

/// Rows that are worked on together.
const PAGE: usize = 200;
/// Canonical bytes of one pack, about.
const PACK_BYTES: u64 = 16 << 20;
/// How often an entry is tried again when somebody else wrote one of its number.
const MAX_RACES: usize = 8;

/// The branch whose moves bring what came as rows. It never has a head, so nobody sees it.
pub(super) fn carrier() -> BranchName {
    BranchName::parse("musehub/rows").expect("'musehub/rows' is a branch name")
}

/// What to back-fill.
#[derive(Clone, Debug, Default)]
pub struct BackfillOptions {
    /// One repository only; all of them otherwise.
    pub repository: Option<(Handle, Slug)>,
    /// Proves every record, and writes nothing.
    pub dry_run: bool,
}

/// What a back-fill wrote, or would write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Backfilled {
    /// Repositories that had rows without objects.
    pub repositories: u64,
    /// Commits.
    pub commits: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Packs; none in a dry run.
    pub packs: u64,
    /// Canonical bytes of all objects.
    pub bytes: u64,
    /// Branches that got their first move; none in a dry run.
    pub branches: u64,
    /// Rows and branches that stay as they are, each of which was reported.
    pub left: u64,
}

struct Backfill<'a> {
    recovery: &'a Recovery,
    repo: &'a RepositoryRecord,
    scheme: IdScheme,
    dry_run: bool,
    /// Commits that stay as they are, so that what descends from them does.
    left: HashSet<CommitId>,
    /// Snapshots that were looked at: whether they are stored, or will be with the present batch.
    snapshots: HashMap<SnapshotId, bool>,
    batch: Vec<NewObject>,
    batch_bytes: u64,
    /// Packs with blobs that the batch's snapshots name.
    borrowed: BTreeSet<PackId>,
    total: u64,
    done: &'a mut Backfilled,
    report: &'a mut (dyn FnMut(Event) + Send),
}

impl Recovery {
    /// Writes the objects of rows that have none, and the first moves of branches that stand on them. What is done stays
    /// done where it fails or is cut off; the next run goes on. May run beside a server.
    ///
    /// A row whose record does not give its id, or that stands on what is not there, is reported and left, and so are the
    /// commits and branches above it. Memory is bounded by a pack, one snapshot, and some bytes for each row.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails, and [`BackendError::Missing`] where there is no repository of the name given.
    pub async fn backfill(
        &self,
        options: &BackfillOptions,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Backfilled, BackendError> {
        let repositories = self.chosen(options.repository.as_ref()).await?;
        let mut done = Backfilled::default();
        for repo in repositories.iter().filter(|repo| !repo.deleted) {
            let rows = self.backends().unstored.unstored(&repo.repo_id).await?;
            if rows.is_empty() {
                continue;
            }
            let branches = self.unmoved_branches(repo).await?;
            done.repositories += 1;
            let mut backfill = Backfill {
                recovery: self,
                repo,
                scheme: repo.scheme.unwrap_or(IdScheme::FlatV1),
                dry_run: options.dry_run,
                left: HashSet::new(),
                snapshots: HashMap::new(),
                batch: Vec::new(),
                batch_bytes: 0,
                borrowed: BTreeSet::new(),
                total: rows.commits + rows.snapshots,
                done: &mut done,
                report: &mut *report,
            };
            backfill.commits().await?;
            backfill.other_snapshots().await?;
            backfill.flush().await?;
            for branch in branches {
                backfill.branch(branch).await?;
            }
        }
        Ok(done)
    }

    /// The branches that the log does not know.
    async fn unmoved_branches(&self, repo: &RepositoryRecord) -> Result<Vec<BranchPosition>, BackendError> {
        let mut unmoved = Vec::new();
        let mut after = None;
        loop {
            let page = self.pages.branch_page(&repo.repo_id, after.as_ref(), PAGE as u32).await?;
            let Some(last) = page.last() else {
                return Ok(unmoved);
            };
            after = Some(last.name.clone());
            unmoved.extend(page.into_iter().filter(|branch| branch.sequence == 0 && branch.head.is_some()));
        }
    }
}

impl Backfill<'_> {
    async fn commits(&mut self) -> Result<(), BackendError> {
        let unstored = self.recovery.backends().unstored.unstored_commits(&self.repo.repo_id).await?;
        let ids: Vec<CommitId> = unstored.into_iter().map(|(_, id)| id).collect();
        for ids in ids.chunks(PAGE) {
            let history = &self.recovery.backends().history;
            let rows = history.commits(&self.repo.repo_id, ids).await?;
            let rows: HashMap<CommitId, CommitRow> = rows.into_iter().map(|row| (row.id, row)).collect();
            let parents: BTreeSet<CommitId> =
                rows.values().flat_map(|row| row.parents.iter().copied()).collect();
            let parents: Vec<CommitId> = parents.into_iter().collect();
            let nodes = history.commit_nodes(&self.repo.repo_id, &parents, 0).await?;
            let generations: HashMap<CommitId, u64> =
                nodes.into_iter().map(|node| (node.id, node.generation)).collect();
            let keys: Vec<ObjectId> = ids.iter().map(|id| id.object_id()).collect();
            let records: HashMap<ObjectKey, UnstoredRecord> = self.records(ObjectKind::Commit, &keys).await?;
            for id in ids {
                // One that lacks either was stored meanwhile, by somebody else.
                if let Some((row, record)) = rows.get(id).zip(records.get(&id.key())) {
                    self.commit(row, record, &generations).await?;
                }
            }
        }
        Ok(())
    }

    async fn records(
        &self,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<HashMap<ObjectKey, UnstoredRecord>, BackendError> {
        let unstored = &self.recovery.backends().unstored;
        let records = unstored.unstored_records(&self.repo.repo_id, kind, ids).await?;
        Ok(records.into_iter().map(|record| (record.key, record)).collect())
    }

    async fn commit(
        &mut self,
        row: &CommitRow,
        record: &UnstoredRecord,
        generations: &HashMap<CommitId, u64>,
    ) -> Result<(), BackendError> {
        let commit = match commit_of(self.scheme, record) {
            Ok(commit) if commit.parents() != row.parents || commit.snapshot() != row.snapshot => {
                return self.leave(row.id, "its row names other parents or another snapshot than its record");
            }
            Ok(commit) => commit,
            Err(reason) => return self.leave(row.id, &reason),
        };
        let mut generation = 1;
        for parent in &row.parents {
            if self.left.contains(parent) {
                return self.leave(row.id, &format!("it stands on {parent}, which is left"));
            }
            let Some(of_parent) = generations.get(parent) else {
                return self.leave(row.id, &format!("its parent {parent} is not in the repository"));
            };
            generation = generation.max(of_parent + 1);
        }
        if generation != row.generation {
            return self.leave(row.id, "its generation does not fit its parents'");
        }
        if !self.snapshot(row.snapshot).await? {
            return self.leave(row.id, &format!("its snapshot {} cannot be stored", row.snapshot));
        }
        self.done.commits += 1;
        self.add(row.id.key(), commit.canonical()).await
    }

    /// Leaves a commit as it is.
    fn leave(&mut self, id: CommitId, reason: &str) -> Result<(), BackendError> {
        self.left.insert(id);
        self.problem(id.key(), reason);
        Ok(())
    }

    fn problem(&mut self, key: ObjectKey, reason: &str) {
        self.done.left += 1;
        let problem = Problem::new(ProblemKind::UnstorableRow, reason).of(self.repo).object(key);
        (self.report)(Event::Problem(problem));
    }

    /// Adds a snapshot, unless it is stored; whether it is, or will be with this batch.
    async fn snapshot(&mut self, id: SnapshotId) -> Result<bool, BackendError> {
        if let Some(known) = self.snapshots.get(&id) {
            return Ok(*known);
        }
        let history = &self.recovery.backends().history;
        let stored = match history.snapshots(&self.repo.repo_id, &[id]).await?.pop() {
            None => false,
            Some(SnapshotRow { place: Some(_), .. }) => true,
            Some(_) => match self.prove_snapshot(id).await? {
                Ok(canonical) => {
                    self.done.snapshots += 1;
                    self.add(id.key(), canonical).await?;
                    true
                }
                Err(reason) => {
                    self.problem(id.key(), &reason);
                    false
                }
            },
        };
        self.snapshots.insert(id, stored);
        Ok(stored)
    }

    /// The canonical bytes of a snapshot's row, whose blobs are all there.
    async fn prove_snapshot(&mut self, id: SnapshotId) -> Result<Result<bytes::Bytes, String>, BackendError> {
        let Some(record) = self.records(ObjectKind::Snapshot, &[id.object_id()]).await?.remove(&id.key())
        else {
            return Ok(Err("its row has neither a place nor a record".to_owned()));
        };
        let snapshot = match snapshot_of(self.scheme, &record) {
            Ok(snapshot) => snapshot,
            Err(reason) => return Ok(Err(reason)),
        };
        let named: BTreeSet<BlobId> = snapshot.manifest().iter().map(|(_, blob)| *blob).collect();
        let named: Vec<BlobId> = named.into_iter().collect();
        let held = self.recovery.backends().history.blobs(&self.repo.repo_id, &named).await?;
        let there: HashSet<BlobId> = held.iter().map(|row| row.id).collect();
        if let Some((path, blob)) = snapshot.manifest().iter().find(|(_, blob)| !there.contains(blob)) {
            return Ok(Err(format!("its blob {blob} of '{path}' is not in the repository")));
        }
        self.borrowed.extend(held.iter().map(|row| row.place.pack));
        Ok(snapshot.canonical(self.scheme).map_err(|error| error.to_string()))
    }

    /// Snapshots that no commit names.
    async fn other_snapshots(&mut self) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let unstored = &self.recovery.backends().unstored;
            let page = unstored.unstored_snapshots(&self.repo.repo_id, after, PAGE as u32).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for id in page {
                let _ = self.snapshot(id).await?;
            }
        }
    }

    async fn add(&mut self, key: ObjectKey, canonical: bytes::Bytes) -> Result<(), BackendError> {
        self.batch_bytes += canonical.len() as u64;
        self.done.bytes += canonical.len() as u64;
        if !self.dry_run {
            self.batch.push(NewObject { key, body: ObjectBody::Canonical(canonical) });
        }
        // Never between a snapshot and the commit that it was added for: a commit is the last of its batch.
        let full = key.kind == ObjectKind::Commit && self.batch_bytes > PACK_BYTES;
        if full || self.batch_bytes > 2 * PACK_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes the batch as a pack, names it in the log, and lets the log make the rows.
    async fn flush(&mut self) -> Result<(), BackendError> {
        self.batch_bytes = 0;
        let borrowed: Vec<PackId> = std::mem::take(&mut self.borrowed).into_iter().collect();
        if self.batch.is_empty() {
            return Ok(());
        }
        let receipt = self.recovery.backends().objects.put(std::mem::take(&mut self.batch)).await?;
        let packs: Vec<PackId> = receipt.pack.into_iter().collect();
        self.done.packs += packs.len() as u64;
        self.recovery.carry(self.repo, packs, borrowed).await?;
        let done = self.done.commits + self.done.snapshots;
        (self.report)(Event::Progress { stage: "commits and snapshots", done, total: Some(self.total) });
        Ok(())
    }

    /// The first move of a branch, once all that it stands on is stored.
    async fn branch(&mut self, branch: BranchPosition) -> Result<(), BackendError> {
        let Some(head) = branch.head else {
            return Ok(());
        };
        let row = self.recovery.backends().history.commits(&self.repo.repo_id, &[head]).await?.pop();
        let stored = row.is_some_and(|row| row.place.is_some() || self.dry_run) && !self.left.contains(&head);
        if !stored {
            self.done.left += 1;
            let problem =
                Problem::new(ProblemKind::UnstorableRow, "its head is not stored, so it gets no move");
            (self.report)(Event::Problem(problem.of(self.repo).branch(&branch.name).object(head.key())));
            return Ok(());
        }
        if self.dry_run {
            return Ok(());
        }
        let first = RefLogEntry {
            repo_id: self.repo.repo_id.clone(),
            branch: branch.name.clone(),
            sequence: 1,
            old: None,
            new: Some(head),
            forced: false,
            pusher: self.repo.owner.clone(),
            at: branch.moved_at,
            packs: Vec::new(),
            borrowed: Vec::new(),
        };
        match self.recovery.backends().refs.append(&first).await {
            Ok(()) => self.done.branches += 1,
            // Somebody else was at it.
            Err(BackendError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        self.recovery.hub.catch_up_branch(self.repo, &branch.name).await
    }
}

impl Recovery {
    /// Names packs in the log, by a move of the branch that brings what came as rows, and lets the log make their rows. Gives
    /// the move.
    pub(super) async fn carry(
        &self,
        repo: &RepositoryRecord,
        packs: Vec<PackId>,
        borrowed: Vec<PackId>,
    ) -> Result<RefLogEntry, BackendError> {
        self.name_packs(repo, carrier(), packs, borrowed).await
    }

    /// Names packs in the log, by a move of a branch that never has a head, and records it. Gives the move.
    pub(super) async fn name_packs(
        &self,
        repo: &RepositoryRecord,
        branch: BranchName,
        packs: Vec<PackId>,
        borrowed: Vec<PackId>,
    ) -> Result<RefLogEntry, BackendError> {
        let mut entry = RefLogEntry {
            repo_id: repo.repo_id.clone(),
            branch,
            sequence: 0,
            old: None,
            new: None,
            forced: false,
            pusher: repo.owner.clone(),
            at: Timestamp::default(),
            packs,
            borrowed,
        };
        for _ in 0..MAX_RACES {
            entry.sequence = self.hub.position(repo, &entry.branch).await?.sequence + 1;
            entry.at = self.backends().clock.now();
            let raced = match self.backends().refs.append(&entry).await {
                Ok(()) => false,
                Err(BackendError::Conflict { .. }) => true,
                Err(error) => return Err(error),
            };
            self.hub.catch_up_branch(repo, &entry.branch).await?;
            if !raced {
                return Ok(entry);
            }
        }
        Err(BackendError::Conflict { what: format!("move {} of '{}'", entry.sequence, entry.branch) })
    }
}
