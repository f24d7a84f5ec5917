//! The receipt of a push.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::incoming::{Incoming, Push, ReadySnapshot, verify_snapshots};
use super::rows::commit_row;
use super::{Hub, Missing, Position, PushError, default_branch, sorted};
use crate::canonical;
use crate::graph::{CommitNode, IsAncestor, Walk, number_commits, topological_order};
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle};
use crate::object::{Commit, SnapshotRecord};
use crate::port::{
    BackendError, BlobRow, BranchRow, MoveRows, NewJob, NewObject, ObjectBody, PackedObject, PutReceipt,
    RefLogEntry, RepositoryRecord, SnapshotRow, Staged,
};
use crate::scheme::IdScheme;

/// How often a push is tried again when its branch moves under it.
const MAX_RACES: usize = 8;

/// What a push did.
#[derive(Clone, Debug)]
pub struct PushOutcome {
    /// The branch's head now.
    pub head: CommitId,
    /// Every head of the repository now.
    pub branches: Vec<BranchRow>,
    /// Commits that the repository did not hold.
    pub commits_stored: usize,
    /// Snapshots that the repository did not hold.
    pub snapshots_stored: usize,
    /// Blobs that the repository did not hold.
    pub blobs_stored: usize,
}

/// What of a push the repository does not hold, complete in itself.
#[derive(Debug, Default)]
struct Novelty {
    /// Parents first, with their generations.
    nodes: Vec<CommitNode>,
    snapshots: Vec<ReadySnapshot>,
    /// Blobs to be written.
    blobs: Vec<(BlobId, ObjectBody)>,
    /// Blobs that the repository did not hold though the store does, as another repository has them.
    shared: Vec<BlobRow>,
    /// Uploads that blobs were taken from.
    uploads: HashSet<String>,
}

impl Hub {
    /// Receives a push: verifies it, stores it, moves the branch. It is durable when this returns.
    ///
    /// # Errors
    /// [`PushError`]; then nothing of the push is visible.
    pub async fn receive_push(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        push: Push,
    ) -> Result<PushOutcome, PushError> {
        let scheme = repo.scheme.unwrap_or(push.scheme);
        let Push { branch, force, commits, snapshots, blobs, .. } = push;
        let incoming = Incoming::verify(scheme, commits, blobs).await?;
        let Some(tip) = incoming.tip(&branch)? else {
            return self.push_nothing(repo, &branch).await;
        };
        let novelty = self.novelty(repo, scheme, &incoming, tip, snapshots).await?;
        let repo = &self.prepare_first_push(repo, scheme, &branch).await?;

        let mut stored = None;
        for _ in 0..MAX_RACES {
            let position = self.position(repo, &branch).await?;
            if position.head == Some(tip) {
                return self.outcome(repo, tip, &Novelty::default()).await;
            }
            let _creating = match position.head {
                None => Some(self.creation_lock(&repo.repo_id).lock().await),
                Some(_) => None,
            };
            self.require_permitted(repo, &branch, position, tip, force, &novelty.nodes).await?;
            let Some(receipt) = self.store_once(&mut stored, &novelty, &incoming).await? else {
                self.catch_up_branch(repo, &branch).await?;
                continue;
            };
            let entry = RefLogEntry {
                repo_id: repo.repo_id.clone(),
                branch: branch.clone(),
                sequence: position.sequence + 1,
                old: position.head,
                new: Some(tip),
                forced: force,
                pusher: pusher.clone(),
                at: self.backends.clock.now(),
                packs: receipt.pack.into_iter().collect(),
                borrowed: sorted(&novelty.shared.iter().map(|row| row.place.pack).collect()),
            };
            match self.backends.refs.append(&entry).await {
                Ok(()) => {
                    let rows = self.move_rows(repo, entry, &novelty, &incoming, receipt);
                    self.backends.history.record_move(rows).await?;
                    let uploads: Vec<String> = novelty.uploads.iter().cloned().collect();
                    // The push is done; what is not discarded now expires.
                    let _ = self.backends.staging.discard(&repo.repo_id, &uploads).await;
                    return self.outcome(repo, tip, &novelty).await;
                }
                // Somebody else moved the branch, in this process or in another one.
                Err(BackendError::Conflict { .. }) => self.catch_up_branch(repo, &branch).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(PushError::Busy { branch })
    }

    /// Writes what is new, unless an earlier try did; none where another push took the same staged blobs and discarded
    /// them meanwhile.
    async fn store_once<'a>(
        &self,
        stored: &'a mut Option<PutReceipt>,
        novelty: &Novelty,
        incoming: &Incoming,
    ) -> Result<Option<&'a PutReceipt>, BackendError> {
        if stored.is_none() {
            match self.backends.objects.put(novelty.objects(incoming)).await {
                Ok(receipt) => *stored = Some(receipt),
                Err(BackendError::Missing { .. }) if !novelty.uploads.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stored.as_ref())
    }

    /// A push without commits: a branch that is there stays as it is.
    async fn push_nothing(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<PushOutcome, PushError> {
        let position = self.position(repo, branch).await?;
        let head = position.head.ok_or_else(|| PushError::NothingToPush { branch: branch.clone() })?;
        self.outcome(repo, head, &Novelty::default()).await
    }

    /// Finds what the repository lacks of a push, and refuses one that would leave a hole.
    async fn novelty(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        incoming: &Incoming,
        tip: CommitId,
        snapshots: Vec<SnapshotRecord>,
    ) -> Result<Novelty, PushError> {
        let nodes = self.new_commits(repo, incoming, tip).await?;
        let needed: HashSet<SnapshotId> =
            nodes.iter().map(|node| incoming.commits[&node.id].snapshot()).collect();
        let held = self.backends.history.snapshots(&repo.repo_id, &sorted(&needed)).await?;
        let held: HashSet<SnapshotId> = held.iter().map(|row| row.id).collect();
        let lacking: HashSet<SnapshotId> = needed.difference(&held).copied().collect();
        let (snapshots, blobs) = verify_snapshots(scheme, snapshots, lacking.clone()).await?;
        let ready: HashSet<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();

        let mut novelty = Novelty { nodes, snapshots, ..Novelty::default() };
        let missing = Missing {
            commits: Vec::new(),
            snapshots: sorted(&lacking.difference(&ready).copied().collect()),
            blobs: self.collect_blobs(repo, scheme, incoming, sorted(&blobs), &mut novelty).await?,
        };
        if missing.is_empty() { Ok(novelty) } else { Err(PushError::Incomplete(missing)) }
    }

    /// The commits of the push that the repository lacks, parents first; refuses those whose parents are nowhere.
    async fn new_commits(
        &self,
        repo: &RepositoryRecord,
        incoming: &Incoming,
        tip: CommitId,
    ) -> Result<Vec<CommitNode>, PushError> {
        let reachable = incoming.reachable_from(tip);
        let edges = |id: &CommitId| (*id, incoming.commits[id].parents().to_vec());
        let named: HashSet<CommitId> =
            reachable.iter().map(edges).flat_map(|(id, parents)| parents.into_iter().chain([id])).collect();
        let held = self.backends.history.commit_nodes(&repo.repo_id, &sorted(&named), 0).await?;
        let held: HashMap<CommitId, u64> = held.into_iter().map(|node| (node.id, node.generation)).collect();

        let fresh: Vec<_> = reachable.iter().filter(|id| !held.contains_key(id)).map(edges).collect();
        let known = |id: &CommitId| held.contains_key(id) || incoming.commits.contains_key(id);
        let absent: HashSet<CommitId> =
            fresh.iter().flat_map(|(_, parents)| parents.iter().copied()).filter(|id| !known(id)).collect();
        if !absent.is_empty() {
            return Err(PushError::Incomplete(Missing { commits: sorted(&absent), ..Missing::default() }));
        }
        let order = topological_order(&fresh)?;
        let nodes = number_commits(&fresh, &order, |id| held.get(&id).copied())
            .expect("every parent is held or comes earlier in the order");
        Ok(nodes)
    }

    /// Finds the bytes of each of `blobs` that the repository lacks; gives those that are nowhere.
    async fn collect_blobs(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        incoming: &Incoming,
        blobs: Vec<BlobId>,
        novelty: &mut Novelty,
    ) -> Result<Vec<BlobId>, PushError> {
        // In this order: a push that takes staged blobs records them before it discards them, so what is staged no more is
        // held by the time the index is asked.
        let staged = self.backends.staging.find(&repo.repo_id, &blobs).await?;
        let held = self.backends.history.blobs(&repo.repo_id, &blobs).await?;
        let held: HashSet<BlobId> = held.iter().map(|row| row.id).collect();
        let lacking = blobs.into_iter().zip(staged).filter(|(id, _)| !held.contains(id));
        let mut found: Vec<(BlobId, u64, ObjectBody)> = Vec::new();
        let mut missing = Vec::new();
        for (id, staged) in lacking {
            match source(scheme, id, incoming.blobs.get(&id), staged) {
                Some((size, body)) => found.push((id, size, body)),
                None => missing.push(id),
            }
        }
        // The bytes have been proven to the hub; another repository's copy of them need not be written again.
        let keys: Vec<ObjectKey> = found.iter().map(|(id, ..)| id.key()).collect();
        let places = self.backends.objects.locate(&keys).await?;
        for ((id, size, body), place) in found.into_iter().zip(places) {
            if let ObjectBody::Staged(staged) = &body {
                novelty.uploads.insert(staged.upload.clone());
            }
            match place {
                Some(place) => novelty.shared.push(BlobRow { id, size, place }),
                None => novelty.blobs.push((id, body)),
            }
        }
        Ok(missing)
    }

    /// Fixes the scheme with the first push, and the default branch as long as there is no branch.
    async fn prepare_first_push(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        branch: &BranchName,
    ) -> Result<RepositoryRecord, PushError> {
        let mut repo = repo.clone();
        for _ in 0..MAX_RACES {
            if repo.scheme.is_some_and(|fixed| fixed != scheme) {
                return Err(PushError::OtherScheme { scheme: repo.scheme.unwrap_or(scheme) });
            }
            let first = repo.default_branch.as_ref() != Some(branch) && {
                let branches = self.backends.history.branches(&repo.repo_id).await?;
                !branches.iter().any(|row| Some(&row.name) == repo.default_branch.as_ref())
            };
            if repo.scheme.is_some() && !first {
                return Ok(repo);
            }
            repo.version += 1;
            repo.scheme = Some(scheme);
            if first {
                repo.default_branch = Some(branch.clone());
            }
            match self.backends.refs.put_repository(&repo).await {
                Ok(()) => {
                    self.backends.repositories.put_repository(&repo).await?;
                    return Ok(repo);
                }
                Err(BackendError::Conflict { .. }) => {
                    let what = || format!("the record of {}/{}", repo.owner, repo.slug);
                    let present = self.backends.refs.repository(&repo.owner, &repo.slug).await?;
                    let present = present.ok_or_else(|| BackendError::Missing { what: what() })?;
                    self.backends.repositories.put_repository(&present).await?;
                    repo = present;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(PushError::Busy { branch: branch.clone() })
    }

    /// Whether the branch may move from where it stands to `tip`.
    async fn require_permitted(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        position: Position,
        tip: CommitId,
        force: bool,
        nodes: &[CommitNode],
    ) -> Result<(), PushError> {
        let Some(head) = position.head else {
            return self.require_no_directory(repo, branch).await;
        };
        if force {
            return Ok(());
        }
        let mut walk = IsAncestor::new(head, tip);
        for node in nodes {
            walk.supply(node.clone());
        }
        if self.walk(&repo.repo_id, &mut walk).await? {
            Ok(())
        } else {
            Err(PushError::NotFastForward { branch: branch.clone(), head, tip })
        }
    }

    /// Clients keep a branch as a file, so `a` and `a/b` cannot be side by side.
    async fn require_no_directory(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<(), PushError> {
        let below =
            |upper: &str, lower: &str| lower.strip_prefix(upper).is_some_and(|rest| rest.starts_with('/'));
        let name = branch.as_str();
        let branches = self.backends.history.branches(&repo.repo_id).await?;
        match branches
            .into_iter()
            .find(|row| below(row.name.as_str(), name) || below(name, row.name.as_str()))
        {
            None => Ok(()),
            Some(row) => Err(PushError::BranchConflict { branch: branch.clone(), existing: row.name }),
        }
    }

    fn move_rows(
        &self,
        repo: &RepositoryRecord,
        entry: RefLogEntry,
        novelty: &Novelty,
        incoming: &Incoming,
        receipt: &PutReceipt,
    ) -> MoveRows {
        let packed: HashMap<ObjectKey, &PackedObject> =
            receipt.objects.iter().map(|object| (object.key, object)).collect();
        let commits = novelty.nodes.iter().map(|node| {
            commit_row(&incoming.commits[&node.id], node, packed[&node.id.key()].place, &entry.pusher)
        });
        let snapshots = novelty.snapshots.iter().map(|snapshot| {
            let PackedObject { size, place, .. } = *packed[&snapshot.id.key()];
            SnapshotRow { id: snapshot.id, entry_count: snapshot.entry_count, size, place }
        });
        let written = receipt.objects.iter().filter(|object| object.key.kind == ObjectKind::Blob);
        let written = written.map(|object| BlobRow {
            id: object.key.id.into(),
            size: object.size,
            place: object.place,
        });
        MoveRows {
            commits: commits.collect(),
            snapshots: snapshots.collect(),
            blobs: written.chain(novelty.shared.iter().copied()).collect(),
            jobs: self.jobs_of(repo, &entry),
            entry,
        }
    }

    /// The jobs that a move makes.
    pub(super) fn jobs_of(&self, repo: &RepositoryRecord, entry: &RefLogEntry) -> Vec<NewJob> {
        let Some(head) = entry.new.filter(|_| entry.branch == default_branch(repo)) else {
            return Vec::new();
        };
        let kinds = self.options.default_branch_jobs.iter();
        let payload = format!("{{\"commit\":\"{head}\"}}");
        kinds
            .map(|kind| NewJob {
                repo_id: repo.repo_id.clone(),
                kind: kind.clone(),
                payload: payload.clone(),
            })
            .collect()
    }

    async fn outcome(
        &self,
        repo: &RepositoryRecord,
        head: CommitId,
        novelty: &Novelty,
    ) -> Result<PushOutcome, PushError> {
        Ok(PushOutcome {
            head,
            branches: self.backends.history.branches(&repo.repo_id).await?,
            commits_stored: novelty.nodes.len(),
            snapshots_stored: novelty.snapshots.len(),
            blobs_stored: novelty.blobs.len() + novelty.shared.len(),
        })
    }
}

impl Novelty {
    /// What to write: commits and snapshots first, as they are read together, then blobs.
    fn objects(&self, incoming: &Incoming) -> Vec<NewObject> {
        let commits = self.nodes.iter().map(|node| {
            let commit: &Commit = &incoming.commits[&node.id];
            NewObject { key: node.id.key(), body: ObjectBody::Canonical(commit.canonical()) }
        });
        let snapshots = self.snapshots.iter().map(|snapshot| NewObject {
            key: snapshot.id.key(),
            body: ObjectBody::Canonical(snapshot.canonical.clone()),
        });
        let blobs = self.blobs.iter().map(|(id, body)| NewObject { key: id.key(), body: body.clone() });
        commits.chain(snapshots).chain(blobs).collect()
    }
}

/// Where the bytes of a blob are: in the push, in staging, or known without asking.
fn source(
    scheme: IdScheme,
    id: BlobId,
    inline: Option<&Bytes>,
    staged: Option<Staged>,
) -> Option<(u64, ObjectBody)> {
    if let Some(content) = inline {
        let canonical = canonical::encode(ObjectKind::Blob, content).into();
        return Some((content.len() as u64, ObjectBody::Canonical(canonical)));
    }
    if let Some(staged) = staged {
        return Some((staged.size, ObjectBody::Staged(staged)));
    }
    if scheme.blob_id(id.object_id().algorithm(), b"") == id {
        return Some((0, ObjectBody::Canonical(canonical::encode(ObjectKind::Blob, b"").into())));
    }
    None
}
