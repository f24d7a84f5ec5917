//! Export: one repository as one stream, move after move with the objects that each brought.

use std::collections::HashSet;

use futures::TryStreamExt;
use futures::io::AsyncWrite;
use serde::Serialize;

use super::portable::FrameWriter;
use super::{Event, IMPORTING, PortableError, Recovery};
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind};
use crate::name::BranchName;
use crate::object::Snapshot;
use crate::port::{BackendError, BlobRow, CommitRow, PackedObject, RefLogEntry, RepositoryRecord, Timestamp};

/// Bytes of blobs that are in memory together; a larger one is streamed.
const BATCH: u64 = 8 << 20;
/// Blobs that are looked up together.
const LOOKUP: usize = 1000;

/// What went through an export or an import.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Transferred {
    /// Moves of branches.
    pub moves: u64,
    /// Commits.
    pub commits: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Blobs.
    pub blobs: u64,
    /// Canonical bytes of all of them.
    pub bytes: u64,
}

impl Transferred {
    pub(super) fn count(&mut self, key: ObjectKey, length: u64) {
        self.bytes += length;
        match key.kind {
            ObjectKind::Blob => self.blobs += 1,
            ObjectKind::Snapshot => self.snapshots += 1,
            ObjectKind::Commit => self.commits += 1,
        }
    }
}

struct Export<'a> {
    recovery: &'a Recovery,
    repo: &'a RepositoryRecord,
    out: FrameWriter<'a>,
    sent: HashSet<ObjectKey>,
    done: Transferred,
}

impl Recovery {
    /// Writes a repository with its branches, all their moves and every object, as a stream that
    /// [`import`](Self::import) reads, here or elsewhere. Memory is bounded by one snapshot, a batch of blobs, and a key for
    /// each object.
    ///
    /// # Errors
    /// [`PortableError`] where a backend or the stream fails, or an object is missing or damaged.
    pub async fn export(
        &self,
        repo: &RepositoryRecord,
        out: &mut (dyn AsyncWrite + Send + Unpin),
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Transferred, PortableError> {
        let rows = self.backends().unstored.unstored(&repo.repo_id).await?;
        if !rows.is_empty() {
            let (owner, slug) = (repo.owner.clone(), repo.slug.clone());
            return Err(PortableError::Unstored { owner, slug, rows });
        }
        let moves = self.moves_in_order(repo).await?;
        let mut out = FrameWriter::begin(out).await?;
        out.record(&serde_json::to_vec(repo).map_err(std::io::Error::from)?).await?;
        let done = Transferred::default();
        let mut export = Export { recovery: self, repo, out, sent: HashSet::new(), done };
        let total = moves.len() as u64;
        let mut pending = moves;
        while !pending.is_empty() {
            let before = pending.len();
            let mut held_up: HashSet<BranchName> = HashSet::new();
            let mut waiting = Vec::new();
            for entry in pending {
                // Clocks disagree: one that stands on what another branch brings comes after that.
                if held_up.contains(&entry.branch) || !export.has_ground(&entry).await? {
                    held_up.insert(entry.branch.clone());
                    waiting.push(entry);
                    continue;
                }
                export.branch_move(entry).await?;
                report(Event::Progress { stage: "moves", done: export.done.moves, total: Some(total) });
            }
            if let Some(entry) = waiting.first().filter(|_| waiting.len() == before) {
                let what =
                    format!("what a move of '{}' of {}/{} stands on", entry.branch, repo.owner, repo.slug);
                return Err(BackendError::Missing { what }.into());
            }
            pending = waiting;
        }
        export.out.end().await?;
        Ok(export.done)
    }

    /// Every move of every branch, those of a branch in their order, all as they happened.
    async fn moves_in_order(&self, repo: &RepositoryRecord) -> Result<Vec<RefLogEntry>, BackendError> {
        let refs = &self.backends().refs;
        let mut moves = Vec::new();
        for last in refs.heads(&repo.repo_id).await? {
            let mut at = Timestamp::default();
            if last.new.is_none() && last.old.is_none() && last.branch.as_str() == IMPORTING {
                continue;
            }
            for entry in refs.history(&repo.repo_id, &last.branch, 0).await? {
                at = at.max(entry.at);
                moves.push((at, entry));
            }
        }
        moves.sort_by_key(|(at, _)| *at);
        Ok(moves.into_iter().map(|(_, entry)| entry).collect())
    }
}

impl Export<'_> {
    /// Whether what a move stands on was sent or comes with it.
    async fn has_ground(&self, entry: &RefLogEntry) -> Result<bool, PortableError> {
        let mut brought: HashSet<ObjectKey> = HashSet::new();
        for pack in &entry.packs {
            let objects = self.recovery.backends().objects.pack_objects(*pack).await?;
            brought.extend(objects.into_iter().map(|object| object.key));
        }
        let there = |key: ObjectKey| self.sent.contains(&key) || brought.contains(&key);
        if entry.new.is_some_and(|new| !there(new.key())) {
            return Ok(false);
        }
        let commits =
            brought.iter().filter(|key| key.kind == ObjectKind::Commit && !self.sent.contains(*key));
        let commits: Vec<CommitId> = commits.map(|key| key.id.into()).collect();
        for ids in commits.chunks(LOOKUP) {
            let rows = self.recovery.backends().history.commits(&self.repo.repo_id, ids).await?;
            let stands = |row: &CommitRow| {
                there(row.snapshot.key()) && row.parents.iter().all(|parent| there(parent.key()))
            };
            if !rows.iter().all(stands) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a move brought, then the move.
    async fn branch_move(&mut self, mut entry: RefLogEntry) -> Result<(), PortableError> {
        let mut named: HashSet<BlobId> = HashSet::new();
        let headless = entry.old.is_none() && entry.new.is_none();
        for pack in &entry.packs {
            for object in self.recovery.backends().objects.pack_objects(*pack).await? {
                if object.key.kind == ObjectKind::Blob {
                    // What came as rows came before the snapshots that name it, if any do.
                    named.extend(headless.then_some(BlobId::from(object.key.id)));
                } else if !self.sent.contains(&object.key) {
                    self.record(&object, &mut named).await?;
                }
            }
        }
        let named: Vec<BlobId> = named.into_iter().filter(|id| !self.sent.contains(&id.key())).collect();
        for ids in named.chunks(LOOKUP) {
            self.blobs(ids).await?;
        }
        // Packs are of this store; an import writes its own.
        entry.packs.clear();
        entry.borrowed.clear();
        self.out.branch_move(&serde_json::to_vec(&entry).map_err(std::io::Error::from)?).await?;
        self.done.moves += 1;
        Ok(())
    }

    /// A commit, or a snapshot with the blobs that it names.
    async fn record(
        &mut self,
        object: &PackedObject,
        named: &mut HashSet<BlobId>,
    ) -> Result<(), PortableError> {
        let bytes = self.recovery.backends().objects.read(&[object.located()]).await?.swap_remove(0);
        if object.key.kind == ObjectKind::Snapshot {
            let snapshot = Snapshot::decode(object.key.id.into(), &bytes).map_err(|error| {
                BackendError::Damaged { what: object.key.to_string(), reason: error.to_string() }
            })?;
            named.extend(snapshot.manifest().iter().map(|(_, blob)| *blob));
        }
        self.object(object.key, &bytes).await
    }

    async fn object(&mut self, key: ObjectKey, bytes: &[u8]) -> Result<(), PortableError> {
        self.out.object(key, bytes.len() as u64).await?;
        self.out.write(bytes).await?;
        self.sent.insert(key);
        self.done.count(key, bytes.len() as u64);
        Ok(())
    }

    async fn blobs(&mut self, ids: &[BlobId]) -> Result<(), PortableError> {
        let mut rows = self.recovery.backends().history.blobs(&self.repo.repo_id, ids).await?;
        if rows.len() != ids.len() {
            let what = format!("{} blobs of {}/{}", ids.len() - rows.len(), self.repo.owner, self.repo.slug);
            return Err(BackendError::Missing { what }.into());
        }
        rows.sort_unstable_by_key(|row| row.place);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for row in rows {
            if row.size > BATCH {
                self.large_blob(&row).await?;
                continue;
            }
            if bytes + row.size > BATCH {
                self.blob_batch(&std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += row.size;
            batch.push(row);
        }
        self.blob_batch(&batch).await
    }

    async fn blob_batch(&mut self, rows: &[BlobRow]) -> Result<(), PortableError> {
        let contents = self.recovery.hub.read(rows.iter().map(BlobRow::located)).await?;
        for (row, bytes) in rows.iter().zip(contents) {
            self.object(row.id.key(), &bytes).await?;
        }
        Ok(())
    }

    async fn large_blob(&mut self, row: &BlobRow) -> Result<(), PortableError> {
        let header = crate::canonical::header(ObjectKind::Blob, row.size).len() as u64;
        let length = header + row.size;
        self.out.object(row.id.key(), length).await?;
        let mut pieces = self.recovery.backends().objects.stream(row.located()).await?;
        let mut written = 0;
        while let Some(piece) = pieces.try_next().await? {
            written += piece.len() as u64;
            self.out.write(&piece).await?;
        }
        if written != length {
            let reason = "it is not as long as its row says".to_owned();
            return Err(BackendError::Damaged { what: row.id.key().to_string(), reason }.into());
        }
        self.sent.insert(row.id.key());
        self.done.count(row.id.key(), length);
        Ok(())
    }
}
