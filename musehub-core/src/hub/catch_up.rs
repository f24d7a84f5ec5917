//! Brings the index up to the ref log, after a crash or behind another process.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::recovery::IMPORTING;
use super::rows::commit_row;
use super::{Hub, sorted};
use crate::graph::{number_commits, topological_order};
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle, Slug};
use crate::object::{Commit, ObjectError, Snapshot};
use crate::port::{
    BackendError, BlobRow, Located, MoveRows, PackedObject, RefLogEntry, RepositoryRecord, SnapshotRow,
    Timestamp,
};
use crate::scheme::IdScheme;

/// What a catching-up found to do.
#[derive(Debug, Default)]
pub struct CaughtUp {
    /// Repositories looked at.
    pub repositories: u64,
    /// Moves that the index did not know.
    pub moves: u64,
    /// Commits that came with them.
    pub commits: u64,
    /// Snapshots that came with them.
    pub snapshots: u64,
    /// Blobs that came with them, once per repository.
    pub blobs: u64,
    /// Repositories of which the index lacks something, as their log or their packs could not be read.
    pub failed: Vec<LeftBehind>,
}

/// A repository of which the index lacks something.
#[derive(Debug)]
pub struct LeftBehind {
    /// Which; none where its record cannot be read, which the error names.
    pub repository: Option<(Handle, Slug)>,
    /// The first thing that was in the way.
    pub error: BackendError,
}

impl CaughtUp {
    /// For whoever wants all repositories or none.
    ///
    /// # Errors
    /// The first that was left behind.
    pub fn whole(mut self) -> Result<Self, BackendError> {
        match self.failed.pop() {
            None => Ok(self),
            Some(LeftBehind { error, .. }) => Err(error),
        }
    }
}

impl Hub {
    /// Brings the index up to the log for every repository. Runs at start-up; harmless at any time.
    ///
    /// One repository is not in the way of another: where something of it is lost or damaged, the index gets what does not
    /// stand on that, and the repository is among those that [failed](CaughtUp::failed). One that is deleted is brought up
    /// as far as it can be, and never is.
    ///
    /// # Errors
    /// [`BackendError`] where the repositories cannot be listed.
    pub async fn catch_up(&self) -> Result<CaughtUp, BackendError> {
        self.catch_up_telling(&mut |_| {}).await
    }

    /// Does what [`catch_up`](Self::catch_up) does, and says after every move how far it is. Over an empty index it makes
    /// all of it anew.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up).
    pub async fn catch_up_telling(
        &self,
        tell: &mut (dyn FnMut(&CaughtUp) + Send),
    ) -> Result<CaughtUp, BackendError> {
        let mut done = CaughtUp::default();
        let readable = self.backends.refs.readable_repositories().await?;
        done.failed.extend(readable.damage.into_iter().map(|error| LeftBehind { repository: None, error }));
        for repo in readable.items {
            done.repositories += 1;
            let caught_up = match self.backends.repositories.put_repository(&repo).await {
                Ok(()) => self.catch_up_repository(&repo, &mut done, tell).await,
                error => error,
            };
            self.behind.note(&repo.repo_id, caught_up.as_ref().err());
            if let Err(error) = caught_up
                && !repo.deleted
            {
                let repository = Some((repo.owner, repo.slug));
                done.failed.push(LeftBehind { repository, error });
            }
        }
        Ok(done)
    }

    /// Brings the index up to the log of one repository. Where something is lost or damaged, what does not stand on it is
    /// recorded before that is said.
    pub(super) async fn catch_up_repository(
        &self,
        repo: &RepositoryRecord,
        done: &mut CaughtUp,
        tell: &mut (dyn FnMut(&CaughtUp) + Send),
    ) -> Result<(), BackendError> {
        let (mut behind, damage) = match self.moves_behind(repo).await {
            Ok(behind) => (behind, None),
            Err(error) if error.is_damage() => self.readable_moves_behind(repo, error).await?,
            Err(error) => return Err(error),
        };
        // As they happened, so that of two moves that brought one object the same is recorded first again.
        behind.sort_by_key(|(at, _)| *at);
        let behind = behind.into_iter().map(|(_, entry)| entry).collect();
        let left = self.record_moves(repo, behind, done, tell).await?;
        match (damage.or(left.damage), left.waiting.first()) {
            (Some(damage), _) => Err(damage),
            (None, None) => Ok(()),
            (None, Some(waiting)) => Err(damaged(
                repo,
                &format!("a move of '{}' stands on commits that no move brought", waiting.branch),
            )),
        }
    }

    /// The moves that the index does not know, each with the moment from which on it counts.
    async fn moves_behind(
        &self,
        repo: &RepositoryRecord,
    ) -> Result<Vec<(Timestamp, RefLogEntry)>, BackendError> {
        let mut behind = Vec::new();
        for last in self.backends.refs.heads(&repo.repo_id).await? {
            let known = self.position(repo, &last.branch).await?.sequence;
            if last.sequence > known {
                behind.extend(timed(self.backends.refs.history(&repo.repo_id, &last.branch, known).await?));
            }
        }
        Ok(behind)
    }

    /// As many of them as can be read and go on from what the index knows, and what is in the way of the others.
    async fn readable_moves_behind(
        &self,
        repo: &RepositoryRecord,
        error: BackendError,
    ) -> Result<(Vec<(Timestamp, RefLogEntry)>, Option<BackendError>), BackendError> {
        let readable = self.backends.refs.readable_moves(&repo.repo_id).await?;
        let mut branches: BTreeMap<BranchName, Vec<RefLogEntry>> = BTreeMap::new();
        for entry in readable.items {
            branches.entry(entry.branch.clone()).or_default().push(entry);
        }
        let mut behind = Vec::new();
        for (branch, moves) in branches {
            let known = self.position(repo, &branch).await?.sequence;
            let new = moves.into_iter().filter(|entry| entry.sequence > known);
            let run = (known + 1..).zip(new).take_while(|(number, entry)| *number == entry.sequence);
            behind.extend(timed(run.map(|(_, entry)| entry).collect()));
        }
        Ok((behind, Some(readable.damage.into_iter().next().unwrap_or(error))))
    }

    /// Brings the index up to the log of one branch, and of the others where it stands on theirs.
    pub(super) async fn catch_up_branch(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<(), BackendError> {
        let known = self.position(repo, branch).await?.sequence;
        let moves = self.backends.refs.history(&repo.repo_id, branch, known).await?;
        let mut done = CaughtUp::default();
        if !self.record_moves(repo, moves, &mut done, &mut |_| {}).await?.waiting.is_empty() {
            self.catch_up_repository(repo, &mut done, &mut |_| {}).await?;
        }
        Ok(())
    }

    /// Records moves, those of each branch in their order. A move may stand on commits that came with another branch, so
    /// one whose ground is not there yet waits until the others are recorded, and one that cannot be read waits for ever.
    async fn record_moves(
        &self,
        repo: &RepositoryRecord,
        moves: Vec<RefLogEntry>,
        done: &mut CaughtUp,
        tell: &mut (dyn FnMut(&CaughtUp) + Send),
    ) -> Result<Left, BackendError> {
        let mut last: HashMap<BranchName, u64> = HashMap::new();
        for entry in &moves {
            let last = last.entry(entry.branch.clone()).or_default();
            *last = entry.sequence.max(*last);
        }
        let mut pending = moves;
        loop {
            let before = pending.len();
            let mut waiting: Vec<RefLogEntry> = Vec::new();
            let mut held_up: HashSet<BranchName> = HashSet::new();
            let mut damage = None;
            for entry in pending {
                let rows = if held_up.contains(&entry.branch) {
                    None
                } else {
                    match self.rows_of(repo, entry.clone()).await {
                        Err(error) if error.is_damage() => {
                            damage.get_or_insert(error);
                            None
                        }
                        rows => rows?,
                    }
                };
                match rows {
                    Some(mut rows) => {
                        // Work on a head that is passed already would be for nothing.
                        if last.get(&entry.branch) != Some(&entry.sequence) {
                            rows.jobs.clear();
                        }
                        done.moves += 1;
                        done.commits += rows.commits.len() as u64;
                        done.snapshots += rows.snapshots.len() as u64;
                        done.blobs += rows.blobs.len() as u64;
                        self.backends.history.record_move(rows).await?;
                        tell(done);
                    }
                    None => {
                        held_up.insert(entry.branch.clone());
                        waiting.push(entry);
                    }
                }
            }
            if waiting.is_empty() || waiting.len() == before {
                return Ok(Left { waiting, damage });
            }
            pending = waiting;
        }
    }

    /// The rows of a move, from the object store alone; none while the commits or snapshots that it stands on are not in
    /// the index.
    async fn rows_of(
        &self,
        repo: &RepositoryRecord,
        entry: RefLogEntry,
    ) -> Result<Option<MoveRows>, BackendError> {
        let scheme = repo.scheme.ok_or_else(|| damaged(repo, "it has moves and no id scheme"))?;
        let headless = entry.old.is_none() && entry.new.is_none();
        let mut written = Vec::new();
        // An import names packs before it is known whether it will bring them.
        let kept_only = headless && entry.branch.as_str() == IMPORTING;
        for pack in entry.packs.iter().filter(|_| !kept_only) {
            written.extend(self.backends.objects.pack_objects(*pack).await?);
        }
        let mut blob_places: HashMap<BlobId, PackedObject> = HashMap::new();
        for pack in &entry.borrowed {
            let objects = self.backends.objects.pack_objects(*pack).await?;
            blob_places
                .extend(of_kind(&objects, ObjectKind::Blob).map(|object| (object.key.id.into(), object)));
        }
        blob_places.extend(of_kind(&written, ObjectKind::Blob).map(|object| (object.key.id.into(), object)));

        let commits = self.commits_of(repo, scheme, &written).await?;
        let (snapshots, mut blobs) = self.snapshots_of(repo, &written).await?;
        if headless {
            // What came as rows comes before the snapshots that name it.
            blobs.extend(of_kind(&written, ObjectKind::Blob).map(|object| BlobId::from(object.key.id)));
        }
        let blobs = sorted(&blobs).into_iter().filter_map(|id| blob_places.get(&id));
        let row = |object: &PackedObject| BlobRow {
            id: object.key.id.into(),
            size: object.size,
            place: object.place,
        };
        let blobs: Vec<BlobRow> = blobs.map(row).collect();
        let lost = self.lost_before(&blobs).await?;
        let edges: Vec<(CommitId, Vec<CommitId>)> =
            commits.iter().map(|(commit, _)| (commit.id(), commit.parents().to_vec())).collect();
        let mut named: HashSet<CommitId> =
            edges.iter().flat_map(|(_, parents)| parents.iter().copied()).collect();
        named.extend(entry.new);
        let held = self.backends.history.commit_nodes(&repo.repo_id, &sorted(&named), 0).await?;
        let held: HashMap<CommitId, u64> = held.into_iter().map(|node| (node.id, node.generation)).collect();
        let brought: HashSet<CommitId> = edges.iter().map(|(id, _)| *id).collect();
        if named.iter().any(|id| !held.contains_key(id) && !brought.contains(id)) {
            return Ok(None);
        }
        let brought: HashSet<SnapshotId> = snapshots.iter().map(|row| row.id).collect();
        let lacking: HashSet<SnapshotId> =
            commits.iter().map(|(commit, _)| commit.snapshot()).filter(|id| !brought.contains(id)).collect();
        if self.backends.history.snapshots(&repo.repo_id, &sorted(&lacking)).await?.len() < lacking.len() {
            return Ok(None);
        }
        let order = topological_order(&edges).map_err(|error| damaged(repo, &error.to_string()))?;
        let nodes = number_commits(&edges, &order, |id| held.get(&id).copied())
            .map_err(|error| damaged(repo, &format!("commit {} names {}", error.commit, error.parent)))?;
        let by_id: HashMap<CommitId, &(Commit, PackedObject)> =
            commits.iter().map(|both| (both.0.id(), both)).collect();
        let commit_rows = nodes.iter().map(|node| {
            let (commit, object) = by_id[&node.id];
            commit_row(commit, node, Some(object.place), &entry.pusher)
        });
        Ok(Some(MoveRows {
            commits: commit_rows.collect(),
            snapshots,
            blobs,
            lost,
            jobs: self.jobs_of(repo, &entry),
            entry,
        }))
    }

    /// Where rows say that blobs of a move are and where nothing is: the move that it writes again found that out.
    async fn lost_before(&self, blobs: &[BlobRow]) -> Result<Vec<Located>, BackendError> {
        let keys: Vec<ObjectKey> = blobs.iter().map(|row| row.id.key()).collect();
        let known = self.backends.objects.locate(&keys).await?;
        let elsewhere = blobs.iter().zip(known).filter_map(|(row, place)| {
            place
                .filter(|place| place.pack != row.place.pack)
                .map(|place| Located { key: row.id.key(), place })
        });
        Ok(sorted(&self.lost(elsewhere.collect()).await?))
    }

    async fn commits_of(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        written: &[PackedObject],
    ) -> Result<Vec<(Commit, PackedObject)>, BackendError> {
        let objects: Vec<PackedObject> = of_kind(written, ObjectKind::Commit).collect();
        let bytes = self.read(objects.iter().map(PackedObject::located)).await?;
        let decode = |(object, bytes): (PackedObject, bytes::Bytes)| {
            let commit = Commit::decode(scheme, object.key.id.into(), &bytes);
            commit.map(|commit| (commit, object)).map_err(|error| undecodable(repo, object.key, &error))
        };
        objects.into_iter().zip(bytes).map(decode).collect()
    }

    async fn snapshots_of(
        &self,
        repo: &RepositoryRecord,
        written: &[PackedObject],
    ) -> Result<(Vec<SnapshotRow>, HashSet<BlobId>), BackendError> {
        let mut rows = Vec::new();
        let mut blobs = HashSet::new();
        // One at a time: a history's manifests together may be larger than memory.
        for object in of_kind(written, ObjectKind::Snapshot) {
            let bytes = self.read([object.located()]).await?.swap_remove(0);
            let id: SnapshotId = object.key.id.into();
            let snapshot =
                Snapshot::decode(id, &bytes).map_err(|error| undecodable(repo, object.key, &error))?;
            blobs.extend(snapshot.manifest().iter().map(|(_, blob)| *blob));
            let entry_count = snapshot.manifest().len() as u64;
            rows.push(SnapshotRow { id, entry_count, size: object.size, place: Some(object.place) });
        }
        Ok((rows, blobs))
    }
}

/// Moves that could not be recorded.
struct Left {
    waiting: Vec<RefLogEntry>,
    /// What could not be read of the first of them, if that is why.
    damage: Option<BackendError>,
}

/// Moves of one branch, each with the moment from which on it counts: never before an earlier one, whatever the clocks said.
fn timed(moves: Vec<RefLogEntry>) -> Vec<(Timestamp, RefLogEntry)> {
    let mut at = Timestamp::default();
    let timed = moves.into_iter().map(|entry| {
        at = at.max(entry.at);
        (at, entry)
    });
    timed.collect()
}

fn of_kind(objects: &[PackedObject], kind: ObjectKind) -> impl Iterator<Item = PackedObject> {
    objects.iter().copied().filter(move |object| object.key.kind == kind)
}

fn damaged(repo: &RepositoryRecord, reason: &str) -> BackendError {
    BackendError::Damaged {
        what: format!("the log of {}/{}", repo.owner, repo.slug),
        reason: reason.to_owned(),
    }
}

fn undecodable(repo: &RepositoryRecord, key: ObjectKey, error: &ObjectError) -> BackendError {
    BackendError::Damaged {
        what: format!("{key} of {}/{}", repo.owner, repo.slug),
        reason: error.to_string(),
    }
}
