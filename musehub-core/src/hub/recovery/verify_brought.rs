//! What the moves of a repository brought, against the rows that say what it holds.

use std::collections::{HashMap, HashSet};

use super::report::finding;
use super::verify::Verification;
use super::{IMPORTING, Problem, ProblemKind};
use crate::id::{BlobId, CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle};
use crate::port::{BackendError, PackId, PackedObject, RefLogEntry, RepositoryRecord};

/// Objects that are asked for at a time.
const BATCH: usize = 1000;
/// Rows without their counterpart that are named, for each repository.
const NAMED: u32 = 100;

/// What the moves of the present repository brought, and what its snapshots name.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// How far each branch was followed.
    followed: HashMap<BranchName, u64>,
    /// Of objects the first eight bytes of their digests: enough to tell apart those that one repository holds.
    commits: HashMap<u64, u32>,
    /// Commits that several brought at once, and the others of them.
    also: HashSet<(u64, u32)>,
    snapshots: HashSet<u64>,
    blobs: HashSet<u64>,
    pushers: Vec<Handle>,
    /// Whether there is more that could not be read: then no row is known to be one too many.
    pub(super) incomplete: bool,
    /// Whether moves came after the log was read: then which blobs they share is not known.
    grew: bool,
    /// Whether the repository came as rows.
    pub(super) came_as_rows: bool,
}

fn short(id: ObjectId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id.digest()[..8]);
    u64::from_le_bytes(first)
}

impl Brought {
    fn pusher(&mut self, handle: &Handle) -> u32 {
        let known = self.pushers.iter().position(|known| known == handle);
        let at = known.unwrap_or_else(|| {
            self.pushers.push(handle.clone());
            self.pushers.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn add(&mut self, key: ObjectKey, pusher: u32) {
        let id = short(key.id);
        match key.kind {
            ObjectKind::Blob => drop(self.blobs.insert(id)),
            ObjectKind::Snapshot => drop(self.snapshots.insert(id)),
            ObjectKind::Commit => {
                if *self.commits.entry(id).or_insert(pusher) != pusher {
                    self.also.insert((id, pusher));
                }
            }
        }
    }

    /// A snapshot of the repository names a blob.
    pub(super) fn named(&mut self, blob: BlobId) {
        self.blobs.insert(short(blob.object_id()));
    }

    fn has(&self, key: ObjectKey) -> bool {
        let id = short(key.id);
        match key.kind {
            ObjectKind::Blob => self.blobs.contains(&id),
            ObjectKind::Snapshot => self.snapshots.contains(&id),
            ObjectKind::Commit => self.commits.contains_key(&id),
        }
    }

    /// Whether somebody of this name brought a commit; true where nobody is known to have.
    pub(super) fn is_pusher(&self, commit: CommitId, name: &str) -> bool {
        let id = short(commit.object_id());
        let mut of_name = (0..).zip(&self.pushers).filter(|(_, pusher)| pusher.as_str() == name);
        match self.commits.get(&id) {
            None => true,
            Some(first) => of_name.any(|(at, _)| at == *first || self.also.contains(&(id, at))),
        }
    }
}

impl Verification<'_> {
    /// Takes down what moves of one branch brought, those that follow what was taken down before. Whatever they name leads to
    /// whole packs, and the repository has the rows of what was written for them.
    pub(super) async fn brought_by(
        &mut self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        moves: &[RefLogEntry],
    ) -> Result<(), BackendError> {
        if let Some(last) = moves.last() {
            self.brought.followed.insert(branch.clone(), last.sequence);
        }
        for entry in moves {
            let pusher = self.brought.pusher(&entry.pusher);
            // Of packs that an import names while it goes on, no rows are made.
            let kept_only = entry.branch.as_str() == IMPORTING && entry.old.is_none() && entry.new.is_none();
            for pack in entry.packs.iter().filter(|_| kept_only) {
                self.borrowed.insert(*pack);
                let _ = self.named_pack(*pack).await?;
            }
            for pack in entry.packs.iter().filter(|_| !kept_only) {
                self.moved.insert(*pack);
                if let Some(objects) = self.named_pack(*pack).await? {
                    for object in &*objects {
                        self.brought.add(object.key, pusher);
                    }
                    self.rows_of_pack(repo, *pack, &objects).await?;
                }
            }
            for pack in &entry.borrowed {
                self.borrowed.insert(*pack);
                let _ = self.named_pack(*pack).await?;
            }
        }
        Ok(())
    }

    /// Names rows of objects that no move of the repository brought, not even one that was made since the log was read.
    pub(super) async fn refuse_foreign(
        &mut self,
        repo: &RepositoryRecord,
        keys: impl Iterator<Item = ObjectKey> + Send,
    ) -> Result<(), BackendError> {
        let mut foreign: Vec<ObjectKey> = keys.filter(|key| !self.brought.has(*key)).collect();
        if foreign.is_empty() || self.brought.incomplete {
            return Ok(());
        }
        self.follow_further(repo).await?;
        // Blobs that later moves share with others are named by snapshots that were not read.
        let grew = self.brought.grew;
        foreign.retain(|key| !(self.brought.has(*key) || grew && key.kind == ObjectKind::Blob));
        for key in foreign {
            let detail = "the repository has a row of it, and no move brought it";
            self.problem(Problem::new(ProblemKind::WrongRow, detail).of(repo).object(key));
        }
        Ok(())
    }

    /// Takes down what was brought since the log was read.
    async fn follow_further(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let refs = &self.recovery.backends().refs;
        for last in refs.heads(&repo.repo_id).await? {
            let known = self.brought.followed.get(&last.branch).copied().unwrap_or(0);
            if last.sequence > known {
                let moves = refs.history(&repo.repo_id, &last.branch, known).await?;
                self.brought.grew = true;
                self.brought_by(repo, &last.branch, &moves).await?;
            }
        }
        Ok(())
    }

    /// Names rows that have no place although a move brought their object, and no record of which one could be made.
    pub(super) async fn refuse_placeless(
        &mut self,
        repo: &RepositoryRecord,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<(), BackendError> {
        if ids.is_empty() {
            return Ok(());
        }
        let unstored = &self.recovery.backends().unstored;
        let kept = unstored.unstored_records(&repo.repo_id, kind, ids).await?;
        let kept: HashSet<ObjectId> = kept.iter().map(|record| record.key.id).collect();
        for id in ids {
            let key = ObjectKey { kind, id: *id };
            let detail = match (kept.contains(id), self.brought.has(key)) {
                (true, false) => continue,
                (true, true) => "its row has a record and no place, and a move brought it",
                (false, _) => "its row has neither a place nor a record",
            };
            if self.is_still_placeless(repo, key).await? {
                self.problem(Problem::new(ProblemKind::WrongRow, detail).of(repo).object(key));
            }
        }
        Ok(())
    }

    /// Whether a row has no place even now: it may have been back-filled since it was read.
    async fn is_still_placeless(
        &self,
        repo: &RepositoryRecord,
        key: ObjectKey,
    ) -> Result<bool, BackendError> {
        let history = &self.recovery.backends().history;
        Ok(match key.kind {
            ObjectKind::Commit => {
                let row = history.commits(&repo.repo_id, &[key.id.into()]).await?.pop();
                row.is_none_or(|row| row.place.is_none())
            }
            _ => {
                let row = history.snapshots(&repo.repo_id, &[key.id.into()]).await?.pop();
                row.is_none_or(|row| row.place.is_none())
            }
        })
    }

    /// What was written for a move has rows.
    async fn rows_of_pack(
        &mut self,
        repo: &RepositoryRecord,
        pack: PackId,
        objects: &[PackedObject],
    ) -> Result<(), BackendError> {
        for objects in objects.chunks(BATCH) {
            for key in self.without_row(repo, objects).await? {
                let problem = Problem::new(ProblemKind::ObjectWithoutRow, "the repository has no row of it");
                self.problem(problem.of(repo).object(key).pack(pack));
            }
        }
        Ok(())
    }

    /// Commits and snapshots are rows of the repository, blobs of the hub: which of these the repository holds, its snapshots
    /// say.
    async fn without_row(
        &mut self,
        repo: &RepositoryRecord,
        objects: &[PackedObject],
    ) -> Result<Vec<ObjectKey>, BackendError> {
        let backends = self.recovery.backends();
        let of_kind = |kind| objects.iter().map(|object| object.key).filter(move |key| key.kind == kind);
        let commits: Vec<CommitId> = of_kind(ObjectKind::Commit).map(|key| key.id.into()).collect();
        let snapshots: Vec<SnapshotId> = of_kind(ObjectKind::Snapshot).map(|key| key.id.into()).collect();
        let blobs: Vec<ObjectKey> = of_kind(ObjectKind::Blob).collect();
        let mut held: HashSet<ObjectKey> = HashSet::new();
        let commits = backends.history.commits(&repo.repo_id, &commits).await;
        let snapshots = backends.history.snapshots(&repo.repo_id, &snapshots).await;
        let places = backends.objects.locate(&blobs).await;
        match (commits, snapshots, places) {
            (Ok(commits), Ok(snapshots), Ok(places)) => {
                held.extend(commits.iter().map(|row| row.id.key()));
                held.extend(snapshots.iter().map(|row| row.id.key()));
                held.extend(
                    blobs.iter().zip(places).filter(|(_, place)| place.is_some()).map(|(key, _)| *key),
                );
            }
            // Rows that cannot be read are named when all of them are gone through.
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
                let _ = finding(error)?;
                return Ok(Vec::new());
            }
        }
        Ok(objects.iter().map(|object| object.key).filter(|key| !held.contains(key)).collect())
    }

    /// Places in the graph and blobs held that have no row.
    pub(super) async fn rowless(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        for key in self.recovery.pages.rowless(&repo.repo_id, NAMED).await? {
            let detail = match key.kind {
                ObjectKind::Blob => "the repository is said to hold it, and it has no row",
                _ => "it has a place in the graph, and no row",
            };
            self.problem(Problem::new(ProblemKind::WrongRow, detail).of(repo).object(key));
        }
        Ok(())
    }
}
