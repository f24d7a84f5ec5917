//! Import: an exported repository becomes one of this hub, whole or not at all.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::io::AsyncRead;

use super::portable::{Frame, FrameReader, PIECE, malformed};
use super::proof::{prove_commit, prove_snapshot};
use super::{Event, PortableError, Recovery, Transferred};
use crate::canonical;
use crate::hub::{CaughtUp, opaque_ids};
use crate::id::{BlobId, ObjectKey, ObjectKind};
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::object::{MAX_COMMIT_BYTES, OpaqueIds};
use crate::port::{BackendError, NewObject, ObjectBody, PackId, RefLogEntry, RepositoryRecord};
use crate::scheme::{BlobHasher, IdScheme};

/// Canonical bytes of one pack, about.
const PACK_BYTES: u64 = 24 << 20;
/// A larger blob goes through the staging area.
const LARGE: u64 = 8 << 20;
/// The largest snapshot, in bytes: that of as many files as one may have, with paths of usual length.
const MAX_SNAPSHOT_BYTES: u64 = 512 << 20;

/// An import in progress: nothing of it is visible yet.
struct Import<'a> {
    recovery: &'a Recovery,
    repo: RepositoryRecord,
    scheme: IdScheme,
    opaque: OpaqueIds,
    pending: Vec<NewObject>,
    pending_bytes: u64,
    /// Packs written since the last move.
    packs: Vec<PackId>,
    seen: HashSet<ObjectKey>,
    /// Named by something that was seen, and not seen itself.
    lacking: HashSet<ObjectKey>,
    moves: Vec<RefLogEntry>,
    done: Transferred,
}

impl Recovery {
    /// Reads an exported repository, under the name that it had or another one. Every id is computed again, every reference
    /// followed. It is visible when this returns; where it fails, nothing is, and trying again is harmless.
    ///
    /// Kept are visibility, description, time of creation, default branch, and every branch with every move. The repository
    /// gets an id of its own.
    ///
    /// # Errors
    /// [`PortableError`] where the stream is no whole export, the name is taken, or a backend fails.
    pub async fn import(
        &self,
        input: &mut (dyn AsyncRead + Send + Unpin),
        name: Option<(Handle, Slug)>,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(RepositoryRecord, Transferred), PortableError> {
        let mut input = FrameReader::begin(input).await?;
        let Frame::Record(length) = input.next().await? else {
            return Err(malformed("its first frame is no repository's record"));
        };
        let record: RepositoryRecord = parse(&input.bytes(length).await?)?;
        let mut import = self.begin_import(record, name).await?;
        loop {
            match input.next().await? {
                Frame::Object(key, length) => import.object(&mut input, key, length).await?,
                Frame::Move(length) => {
                    import.branch_move(parse(&input.bytes(length).await?)?).await?;
                    let done = import.done.moves;
                    report(Event::Progress { stage: "moves", done, total: None });
                }
                Frame::Record(_) => return Err(malformed("it has a second record")),
                Frame::End => break,
            }
        }
        import.check()?;
        import.publish().await
    }

    /// The id of the repository that an earlier try left under a name when it was cut off; none where the name is free.
    pub(super) async fn claimable(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepoId>, PortableError> {
        match self.backends().refs.repository(owner, slug).await? {
            None => Ok(None),
            Some(left) if left.deleted && left.version == 1 => Ok(Some(left.repo_id)),
            Some(_) => Err(PortableError::Exists { owner: owner.clone(), slug: slug.clone() }),
        }
    }

    /// Claims a name with a record that nobody sees.
    pub(super) async fn claim(&self, unseen: &RepositoryRecord) -> Result<(), PortableError> {
        let refs = &self.backends().refs;
        match refs.put_repository(unseen).await {
            Ok(()) => Ok(()),
            Err(BackendError::Conflict { .. }) => {
                let present = refs.repository(&unseen.owner, &unseen.slug).await?;
                // An earlier try's is as good as this one's, however long ago that was.
                if let Some(left) =
                    present.filter(|present| present.repo_id == unseen.repo_id && present.deleted)
                {
                    return Ok(refs.renew_repository(&left).await?);
                }
                Err(PortableError::Exists { owner: unseen.owner.clone(), slug: unseen.slug.clone() })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn begin_import(
        &self,
        record: RepositoryRecord,
        name: Option<(Handle, Slug)>,
    ) -> Result<Import<'_>, PortableError> {
        let (owner, slug) = name.unwrap_or((record.owner, record.slug));
        let repo_id = self.claimable(&owner, &slug).await?.unwrap_or_else(RepoId::random);
        let repo = RepositoryRecord { version: 1, repo_id, owner, slug, deleted: true, ..record };
        Ok(Import {
            recovery: self,
            // Without a scheme there is no history, and no object to apply one to.
            scheme: repo.scheme.unwrap_or(IdScheme::FlatV1),
            opaque: opaque_ids(&repo),
            repo,
            pending: Vec::new(),
            pending_bytes: 0,
            packs: Vec::new(),
            seen: HashSet::new(),
            lacking: HashSet::new(),
            moves: Vec::new(),
            done: Transferred::default(),
        })
    }
}

fn parse<T: for<'de> serde::Deserialize<'de>>(json: &[u8]) -> Result<T, PortableError> {
    serde_json::from_slice(json).map_err(|error| malformed(&error.to_string()))
}

impl Import<'_> {
    async fn object(
        &mut self,
        input: &mut FrameReader<'_>,
        key: ObjectKey,
        length: u64,
    ) -> Result<(), PortableError> {
        if !self.seen.insert(key) {
            return Err(malformed(&format!("{key} is there twice")));
        }
        self.lacking.remove(&key);
        self.done.count(key, length);
        if key.kind == ObjectKind::Blob && length > LARGE {
            return self.large_blob(input, key.id.into(), length).await;
        }
        let limit = match key.kind {
            ObjectKind::Commit => MAX_COMMIT_BYTES + canonical::MAX_HEADER_BYTES as u64,
            ObjectKind::Snapshot => MAX_SNAPSHOT_BYTES,
            ObjectKind::Blob => LARGE,
        };
        if length > limit {
            return Err(malformed(&format!("{key} has {length} bytes, at most {limit} are kept")));
        }
        let bytes: Bytes = input.bytes(length).await?.into();
        let named = prove(self.scheme, self.opaque, key, &bytes)
            .map_err(|reason| malformed(&format!("{key}: {reason}")))?;
        self.lacking.extend(named.into_iter().filter(|key| !self.seen.contains(key)));
        self.pending.push(NewObject { key, body: ObjectBody::Canonical(bytes) });
        self.pending_bytes += length;
        if self.pending_bytes > PACK_BYTES { self.flush().await } else { Ok(()) }
    }

    /// A blob that is too large to be in memory: staged as it comes, and taken from there.
    async fn large_blob(
        &mut self,
        input: &mut FrameReader<'_>,
        id: BlobId,
        length: u64,
    ) -> Result<(), PortableError> {
        let wrong = |reason: &str| malformed(&format!("{}: {reason}", id.key()));
        let head = input.bytes(canonical::MAX_HEADER_BYTES as u64).await?;
        let (kind, size, start) =
            canonical::parse_header(&head).map_err(|error| wrong(&error.to_string()))?;
        if kind != ObjectKind::Blob || size.checked_add(start as u64) != Some(length) {
            return Err(wrong("its header does not fit it"));
        }
        let staging = &self.recovery.backends().staging;
        let mut writer = staging.begin(&self.repo.repo_id).await?;
        writer.begin_blob(id, size).await?;
        let mut hasher = BlobHasher::new(self.scheme, id.object_id().algorithm(), size);
        let mut piece = Bytes::copy_from_slice(&head[start..]);
        let mut left = length - head.len() as u64;
        loop {
            hasher.update(&piece).map_err(|error| wrong(&error.to_string()))?;
            writer.write(piece).await?;
            if left == 0 {
                break;
            }
            let next = left.min(PIECE as u64);
            piece = input.bytes(next).await?.into();
            left -= next;
        }
        if hasher.finish().map_err(|error| wrong(&error.to_string()))? != id {
            return Err(wrong("its bytes are not those that its id is the hash of"));
        }
        writer.finish().await?;
        let staged = staging.find(&self.repo.repo_id, &[id]).await?.pop().flatten();
        let staged =
            staged.ok_or_else(|| BackendError::Missing { what: format!("{} in staging", id.key()) })?;
        let upload = staged.upload.clone();
        self.put(vec![NewObject { key: id.key(), body: ObjectBody::Staged(staged) }]).await?;
        Ok(staging.discard(&self.repo.repo_id, &[upload]).await?)
    }

    async fn flush(&mut self) -> Result<(), PortableError> {
        let objects = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.put(objects).await
    }

    async fn put(&mut self, objects: Vec<NewObject>) -> Result<(), PortableError> {
        let receipt = self.recovery.backends().objects.put(objects).await?;
        self.packs.extend(receipt.pack);
        Ok(())
    }

    async fn branch_move(&mut self, mut entry: RefLogEntry) -> Result<(), PortableError> {
        self.flush().await?;
        entry.repo_id = self.repo.repo_id.clone();
        entry.packs = std::mem::take(&mut self.packs);
        entry.borrowed.clear();
        self.moves.push(entry);
        self.done.moves += 1;
        Ok(())
    }

    /// The moves of each branch follow one another, and nothing is lacking.
    fn check(&self) -> Result<(), PortableError> {
        if !self.packs.is_empty() || !self.pending.is_empty() {
            return Err(malformed("it has objects after its last move"));
        }
        if let Some(key) = self.lacking.iter().min() {
            return Err(malformed(&format!("{} objects are lacking, {key} first", self.lacking.len())));
        }
        if !self.moves.is_empty() && self.repo.scheme.is_none() {
            return Err(malformed("its record has no id scheme"));
        }
        let mut last: HashMap<&BranchName, &RefLogEntry> = HashMap::new();
        for entry in &self.moves {
            let before = last.insert(&entry.branch, entry);
            let (sequence, head) = before.map_or((0, None), |before| (before.sequence, before.new));
            if entry.sequence != sequence + 1 || entry.old != head {
                return Err(malformed(&format!("the moves of branch '{}' do not go on", entry.branch)));
            }
            if let Some(new) = entry.new.filter(|new| !self.seen.contains(&new.key())) {
                return Err(malformed(&format!(
                    "branch '{}' points at {new}, which is lacking",
                    entry.branch
                )));
            }
        }
        Ok(())
    }

    /// Claims the name with a record that nobody sees, writes the log, and then shows the repository.
    async fn publish(self) -> Result<(RepositoryRecord, Transferred), PortableError> {
        let backends = self.recovery.backends();
        self.recovery.claim(&self.repo).await?;
        for entry in &self.moves {
            let appended = backends.refs.append(entry).await;
            if let Err(BackendError::Conflict { .. }) = appended {
                let after = entry.sequence - 1;
                let there = backends.refs.history(&entry.repo_id, &entry.branch, after).await?;
                if there.first() != Some(entry) {
                    return Err(PortableError::Exists { owner: self.repo.owner, slug: self.repo.slug });
                }
            } else {
                appended?;
            }
        }
        let shown = RepositoryRecord { version: 2, deleted: false, ..self.repo };
        backends.refs.put_repository(&shown).await?;
        // Its rows first: it is complete when it is seen.
        let unseen = RepositoryRecord { version: 1, deleted: true, ..shown.clone() };
        backends.repositories.put_repository(&unseen).await?;
        let mut caught_up = CaughtUp::default();
        self.recovery.hub.catch_up_repository(&shown, &mut caught_up, &mut |_| {}).await?;
        backends.repositories.put_repository(&shown).await?;
        Ok((shown, self.done))
    }
}

/// Proves that bytes are those of the object; gives what it names.
fn prove(
    scheme: IdScheme,
    opaque: OpaqueIds,
    key: ObjectKey,
    bytes: &Bytes,
) -> Result<Vec<ObjectKey>, String> {
    match key.kind {
        ObjectKind::Commit => {
            let commit = prove_commit(Some(scheme), key.id.into(), bytes, opaque)?;
            let parents = commit.parents().iter().map(|parent| parent.key());
            Ok(parents.chain([commit.snapshot().key()]).collect())
        }
        ObjectKind::Snapshot => {
            let (snapshot, _) = prove_snapshot(Some(scheme), key.id.into(), bytes, opaque)?;
            Ok(snapshot.manifest().iter().map(|(_, blob)| blob.key()).collect())
        }
        ObjectKind::Blob => {
            let payload =
                canonical::payload_of(ObjectKind::Blob, bytes).map_err(|error| error.to_string())?;
            let size = payload.len() as u64;
            let mut hasher = BlobHasher::new(scheme, key.id.algorithm(), size);
            hasher.update(payload).map_err(|error| error.to_string())?;
            let id = hasher.finish().map_err(|error| error.to_string())?;
            if id.key() == key { Ok(Vec::new()) } else { Err(format!("its content has the id {id}")) }
        }
    }
}
