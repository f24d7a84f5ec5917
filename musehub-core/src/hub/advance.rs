//! The storing half of every write: the pack, the entry of the log, the rows and jobs. A push goes this way, and so does
//! whatever the hub writes itself.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::incoming::{Incoming, ReadySnapshot};
use super::rows::commit_row;
use super::{Hub, Position, PushError, Refused, default_branch, sorted};
use crate::graph::{CommitNode, IsAncestor, Walk};
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle};
use crate::object::Commit;
use crate::port::{
    BackendError, BlobRow, JobKind, Located, MoveRows, NewJob, NewObject, ObjectBody, PackedObject,
    PutReceipt, RefLogEntry, RepositoryRecord, SnapshotRow,
};
use crate::scheme::IdScheme;
use crate::settings::Protection;

/// How often a move is tried again when its branch moves under it.
pub(super) const MAX_RACES: usize = 8;

/// A move of a branch to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advance<'a> {
    pub(super) repo: &'a RepositoryRecord,
    pub(super) branch: &'a BranchName,
    /// The new head; none deletes the branch.
    pub(super) to: Option<CommitId>,
    pub(super) expected: Expected,
    /// Whether the branch may lose commits by it.
    pub(super) force: bool,
    pub(super) way: Way,
    pub(super) pusher: &'a Handle,
}

/// What came of a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Advanced {
    /// It was made.
    Moved,
    /// The branch stands there already.
    Stands,
    /// Staged blobs that it was to bring are there no more: another push took them, or they were damaged.
    Unstaged,
}

/// How a move comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Somebody moves the branch: by a push, by files committed, by hand.
    Direct,
    /// A proposal is merged.
    Proposal,
}

/// Where a branch must stand for a move to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// Anywhere.
    Any,
    /// At this head, or nowhere: the compare of a compare-and-swap.
    Head(Option<CommitId>),
}

/// What of a push the repository does not hold, complete in itself.
#[derive(Debug, Default)]
pub(super) struct Novelty {
    pub(super) incoming: Incoming,
    /// Parents first, with their generations.
    pub(super) nodes: Vec<CommitNode>,
    pub(super) snapshots: Vec<ReadySnapshot>,
    /// Blobs to be written.
    pub(super) blobs: Vec<(BlobId, ObjectBody)>,
    /// Blobs that the repository did not hold though the store does, as another repository has them.
    pub(super) shared: Vec<BlobRow>,
    /// Where the store had some of the blobs that are to be written, and has them no more.
    pub(super) lost: Vec<Located>,
    /// Uploads that blobs were taken from.
    pub(super) uploads: HashSet<String>,
}

impl Hub {
    /// Makes a move: writes what it brings, appends it to the log, records it. It is durable when this returns.
    ///
    /// # Errors
    /// [`PushError`]; then nothing is visible.
    pub(super) async fn advance(
        &self,
        advance: Advance<'_>,
        novelty: &Novelty,
    ) -> Result<Advanced, PushError> {
        let Advance { repo, branch, to, expected, force, pusher, .. } = advance;
        let mut stored = None;
        for _ in 0..MAX_RACES {
            let position = self.position(repo, branch).await?;
            if let Expected::Head(expected) = expected
                && expected != position.head
            {
                return Err(PushError::BranchMoved { branch: branch.clone(), expected, head: position.head });
            }
            if position.head == to {
                return Ok(Advanced::Stands);
            }
            require_stored(branch, position)?;
            self.require_stored_ground(repo, branch, to, novelty).await?;
            self.require_permitted(&advance, position, &novelty.nodes).await?;
            let Some(receipt) = self.store_once(&mut stored, novelty).await? else {
                return Ok(Advanced::Unstaged);
            };
            let entry = RefLogEntry {
                repo_id: repo.repo_id.clone(),
                branch: branch.clone(),
                sequence: position.sequence + 1,
                old: position.head,
                new: to,
                forced: force,
                pusher: pusher.clone(),
                at: self.backends.clock.now(),
                packs: receipt.pack.into_iter().collect(),
                borrowed: sorted(&novelty.shared.iter().map(|row| row.place.pack).collect()),
            };
            let claim = self.announce(repo, branch, position).await?;
            match self.backends.refs.append(&entry).await {
                Ok(()) => {
                    let rows = self.move_rows(repo, entry, novelty, receipt);
                    self.backends.history.record_move(rows).await?;
                    self.release(repo, &claim).await;
                    let uploads: Vec<String> = novelty.uploads.iter().cloned().collect();
                    // The move is made; what is not discarded now expires.
                    let _ = self.backends.staging.discard(&repo.repo_id, &uploads).await;
                    if let Some(new) = to {
                        // Whoever looks at a proposal that is missed here finds it merged.
                        let _ = self.settle_proposals(repo, branch, position.head, new).await;
                    }
                    return Ok(Advanced::Moved);
                }
                // Somebody else moved the branch, in this process or in another one.
                Err(BackendError::Conflict { .. }) => {
                    self.catch_up_branch(repo, branch).await?;
                    self.release(repo, &claim).await;
                }
                // The entry may be there all the same, so the word stays for its time.
                Err(error) => return Err(error.into()),
            }
        }
        Err(PushError::Busy { branch: branch.clone() })
    }

    /// Writes what is new, unless an earlier try did; none where staged blobs are there no more.
    async fn store_once<'a>(
        &self,
        stored: &'a mut Option<PutReceipt>,
        novelty: &Novelty,
    ) -> Result<Option<&'a PutReceipt>, BackendError> {
        if stored.is_none() {
            match self.backends.objects.put(novelty.objects()).await {
                Ok(receipt) => *stored = Some(receipt),
                Err(BackendError::Missing { .. }) if !novelty.uploads.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stored.as_ref())
    }

    /// Refuses a move onto commits or snapshots of which there are only rows: the log could not say what the branch stands on.
    /// What is stored stands on nothing else, so that only its edge is looked at.
    async fn require_stored_ground(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        to: Option<CommitId>,
        novelty: &Novelty,
    ) -> Result<(), PushError> {
        let commits = &novelty.incoming.commits;
        let brought: HashSet<CommitId> = novelty.nodes.iter().map(|node| node.id).collect();
        let named = novelty.nodes.iter().flat_map(|node| node.parents.iter().copied()).chain(to);
        let ground: HashSet<CommitId> = named.filter(|id| !brought.contains(id)).collect();
        let ready: HashSet<SnapshotId> = novelty.snapshots.iter().map(|snapshot| snapshot.id).collect();
        let named = novelty.nodes.iter().map(|node| commits[&node.id].snapshot());
        let snapshots: HashSet<SnapshotId> = named.filter(|id| !ready.contains(id)).collect();
        let history = &self.backends.history;
        let mut unstored = false;
        if !ground.is_empty() {
            let rows = history.commits(&repo.repo_id, &sorted(&ground)).await?;
            unstored |= rows.iter().any(|row| row.place.is_none());
        }
        if !snapshots.is_empty() {
            let rows = history.snapshots(&repo.repo_id, &sorted(&snapshots)).await?;
            unstored |= rows.iter().any(|row| row.place.is_none());
        }
        if unstored { Err(PushError::Unstored { branch: branch.clone() }) } else { Ok(()) }
    }

    /// Fixes the scheme with the first push, and the default branch as long as there is no branch.
    pub(super) async fn prepare_first_push(
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
            repo.scheme = Some(scheme);
            if first {
                repo.default_branch = Some(branch.clone());
            }
            if self.put_version(&mut repo).await? {
                return Ok(repo);
            }
        }
        Err(PushError::Busy { branch: branch.clone() })
    }

    /// Whether the branch may move from where it stands. This is the one place where branches are protected: whoever makes a
    /// branch that is not there may, since it takes nothing from anybody.
    async fn require_permitted(
        &self,
        advance: &Advance<'_>,
        position: Position,
        nodes: &[CommitNode],
    ) -> Result<(), PushError> {
        let Advance { repo, branch, to, force, way, .. } = *advance;
        let Some(head) = position.head else {
            return self.require_free_name(repo, branch).await;
        };
        let protection = protection(repo, branch);
        let refuse = |refused| Err(PushError::Protected { branch: branch.clone(), refused });
        if protection.refuse_direct_push && way == Way::Direct {
            return refuse(Refused::DirectPush);
        }
        let Some(tip) = to else {
            return if protection.refuse_deletion { refuse(Refused::Deletion) } else { Ok(()) };
        };
        if force && !protection.refuse_force {
            return Ok(());
        }
        let mut walk = IsAncestor::new(head, tip);
        for node in nodes {
            walk.supply(node.clone());
        }
        match self.walk(&repo.repo_id, &mut walk).await? {
            true => Ok(()),
            false if force => refuse(Refused::Force),
            false => Err(PushError::NotFastForward { branch: branch.clone(), head, tip }),
        }
    }

    fn move_rows(
        &self,
        repo: &RepositoryRecord,
        entry: RefLogEntry,
        novelty: &Novelty,
        receipt: &PutReceipt,
    ) -> MoveRows {
        let packed: HashMap<ObjectKey, &PackedObject> =
            receipt.objects.iter().map(|object| (object.key, object)).collect();
        let commits = novelty.nodes.iter().map(|node| {
            let place = packed[&node.id.key()].place;
            commit_row(&novelty.incoming.commits[&node.id], node, Some(place), &entry.pusher)
        });
        let snapshots = novelty.snapshots.iter().map(|snapshot| {
            let PackedObject { size, place, .. } = *packed[&snapshot.id.key()];
            SnapshotRow { id: snapshot.id, entry_count: snapshot.entry_count, size, place: Some(place) }
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
            lost: novelty.lost.clone(),
            jobs: self.jobs_of(repo, &entry),
            entry,
        }
    }

    /// The jobs that a move makes.
    pub(super) fn jobs_of(&self, repo: &RepositoryRecord, entry: &RefLogEntry) -> Vec<NewJob> {
        #[derive(Serialize)]
        struct Moved<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            branch: Option<&'a str>,
            commit: CommitId,
        }
        let Some(commit) = entry.new else {
            return Vec::new();
        };
        let jobs = |kinds: &[JobKind], branch| -> Vec<NewJob> {
            let payload =
                serde_json::to_string(&Moved { branch, commit }).expect("two texts are always JSON");
            kinds.iter().map(|kind| NewJob::new(*kind, repo.repo_id.clone(), payload.clone())).collect()
        };
        let mut made = jobs(&self.options.branch_jobs, Some(entry.branch.as_str()));
        if entry.branch == default_branch(repo) {
            made.extend(jobs(&self.options.default_branch_jobs, None));
        }
        made
    }
}

/// Refuses to move a branch that the log does not know: the hub has it from rows whose objects are not written yet.
fn require_stored(branch: &BranchName, position: Position) -> Result<(), PushError> {
    if position.head.is_some() && position.sequence == 0 {
        return Err(PushError::Unstored { branch: branch.clone() });
    }
    Ok(())
}

/// What may not happen to a branch.
pub(super) fn protection(repo: &RepositoryRecord, branch: &BranchName) -> Protection {
    const NONE: Protection =
        Protection { refuse_force: false, refuse_deletion: false, refuse_direct_push: false };
    repo.settings.protection(branch).unwrap_or(NONE)
}

impl Novelty {
    /// What to write: commits and snapshots first, as they are read together, then blobs, those that are staged upload by
    /// upload as they lie there: neighbours are copied with one request.
    fn objects(&self) -> Vec<NewObject> {
        let commits = self.nodes.iter().map(|node| {
            let commit: &Commit = &self.incoming.commits[&node.id];
            NewObject { key: node.id.key(), body: ObjectBody::Canonical(commit.canonical()) }
        });
        let snapshots = self.snapshots.iter().map(|snapshot| NewObject {
            key: snapshot.id.key(),
            body: ObjectBody::Canonical(snapshot.canonical.clone()),
        });
        let mut blobs: Vec<&(BlobId, ObjectBody)> = self.blobs.iter().collect();
        blobs.sort_by_key(|(_, body)| match body {
            ObjectBody::Canonical(_) => None,
            ObjectBody::Staged(staged) => Some((staged.upload.as_str(), staged.offset)),
        });
        let blobs = blobs.into_iter().map(|(id, body)| NewObject { key: id.key(), body: body.clone() });
        commits.chain(snapshots).chain(blobs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;
    use crate::port::Staged;

    #[test]
    fn staged_blobs_are_written_upload_by_upload_as_they_lie_there() {
        let id = |n: u8| BlobId::new(HashAlgorithm::Sha256, [n; 32]);
        let staged = |n: u8, upload: &str, offset| {
            let staged = Staged { id: id(n), size: 1, upload: upload.to_owned(), offset, length: 9 };
            (id(n), ObjectBody::Staged(staged))
        };
        let inline = (id(9), ObjectBody::Canonical(bytes::Bytes::from_static(b"blob 1\0x")));
        let blobs = vec![staged(1, "b", 8), staged(2, "a", 70), inline, staged(3, "b", 1), staged(4, "a", 7)];
        let order = Novelty { blobs, ..Novelty::default() }.objects().into_iter().map(|object| object.key);
        assert_eq!(order.collect::<Vec<_>>(), [9, 4, 2, 3, 1].map(|n| id(n).key()));
    }
}
