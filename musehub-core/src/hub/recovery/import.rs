//! Import: an exported repository becomes one of this hub, whole or not at all.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures::io::AsyncRead;

use super::portable::{Frame, FrameReader, PIECE, malformed};
use super::proof::{prove_commit, prove_snapshot};
use super::{Event, PortableError, Recovery, Transferred};
use crate::canonical;
use crate::graph::topological_order;
use crate::hub::{CaughtUp, MAX_DESCRIPTION_BYTES, opaque_ids};
use crate::id::{BlobId, CommitId, ObjectKey, ObjectKind};
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::object::{MAX_COMMIT_BYTES, OpaqueIds};
use crate::port::{BackendError, NewObject, ObjectBody, PackId, RefLogEntry, RepositoryRecord, Timestamp};
use crate::scheme::{BlobHasher, IdScheme};

/// Canonical bytes of one pack, about.
const PACK_BYTES: u64 = 24 << 20;
/// A larger blob goes through the staging area.
const LARGE: u64 = 8 << 20;
/// For how long a pack is named by nothing, in milliseconds: much less than any grace period of the collection.
const UNNAMED_MILLIS: i64 = 10 * 60 * 1000;

/// The branch whose moves name the packs of an import that is going on. They bring nothing and it never has a head.
pub(in crate::hub) const IMPORTING: &str = "musehub/import";

/// How a repository is imported.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The name that it gets instead of the one that it had.
    pub name: Option<(Handle, Slug)>,
    /// Whether a repository may come that takes commits and snapshots whose ids nothing proves: on the word of whoever made
    /// the file.
    pub accept_opaque_ids: bool,
    /// The largest blob that is taken, in bytes.
    pub max_blob: u64,
    /// The largest snapshot that is taken, in bytes; it is decoded in memory.
    pub max_snapshot: u64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { name: None, accept_opaque_ids: false, max_blob: 256 << 20, max_snapshot: 128 << 20 }
    }
}

/// An import in progress: nothing of it is visible yet.
struct Import<'a> {
    recovery: &'a Recovery,
    options: &'a ImportOptions,
    repo: RepositoryRecord,
    scheme: IdScheme,
    opaque: OpaqueIds,
    /// Whether the name is claimed.
    claimed: bool,
    pending: Vec<NewObject>,
    pending_bytes: u64,
    /// Packs written since the last move.
    packs: Vec<PackId>,
    /// Packs that no entry of the log names yet, and since when the first of them.
    unnamed: Vec<PackId>,
    unnamed_since: Timestamp,
    seen: HashSet<ObjectKey>,
    /// Named by something that was seen, and not seen itself.
    lacking: HashSet<ObjectKey>,
    /// Blobs since the last move, and those that its snapshots name.
    blobs: HashSet<ObjectKey>,
    named: HashSet<ObjectKey>,
    /// The commits since the last move, with their parents.
    commits: Vec<(CommitId, Vec<CommitId>)>,
    moves: Vec<RefLogEntry>,
    /// Where each branch stands: the number of its last move, and its head.
    branches: HashMap<BranchName, (u64, Option<CommitId>)>,
    done: Transferred,
}

impl Recovery {
    /// Reads an exported repository, under the name that it had or another one. Every id is computed again, every reference
    /// followed. It is visible when this returns; where it fails, nothing is, and trying again is harmless.
    ///
    /// Kept are visibility, description, settings, time of creation, default branch, and every branch with every move. The
    /// repository gets an id of its own. After each move everything is there that it stands on, or the stream is refused.
    ///
    /// One that takes longer than some minutes claims the name and names its packs in the log, so that they are not collected.
    ///
    /// # Errors
    /// [`PortableError`] where the stream is no whole export, the name is taken, or a backend fails.
    pub async fn import(
        &self,
        input: &mut (dyn AsyncRead + Send + Unpin),
        options: &ImportOptions,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(RepositoryRecord, Transferred), PortableError> {
        let mut input = FrameReader::begin(input).await?;
        let Frame::Record(length) = input.next().await? else {
            return Err(malformed("its first frame is no repository's record"));
        };
        let record: RepositoryRecord = parse(&input.bytes(length).await?)?;
        let mut import = self.begin_import(record, options).await?;
        loop {
            import.name_packs().await?;
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

    async fn begin_import<'a>(
        &'a self,
        record: RepositoryRecord,
        options: &'a ImportOptions,
    ) -> Result<Import<'a>, PortableError> {
        check_record(&record, options)?;
        let (owner, slug) = options.name.clone().unwrap_or((record.owner, record.slug));
        let repo_id = self.claimable(&owner, &slug).await?.unwrap_or_else(RepoId::random);
        let repo = RepositoryRecord { version: 1, repo_id, owner, slug, deleted: true, ..record };
        Ok(Import {
            recovery: self,
            options,
            // Without a scheme there is no history, and no object to apply one to.
            scheme: repo.scheme.unwrap_or(IdScheme::FlatV1),
            opaque: opaque_ids(&repo),
            repo,
            claimed: false,
            pending: Vec::new(),
            pending_bytes: 0,
            packs: Vec::new(),
            unnamed: Vec::new(),
            unnamed_since: Timestamp::default(),
            seen: HashSet::new(),
            lacking: HashSet::new(),
            blobs: HashSet::new(),
            named: HashSet::new(),
            commits: Vec::new(),
            moves: Vec::new(),
            branches: HashMap::new(),
            done: Transferred::default(),
        })
    }
}

fn parse<T: for<'de> serde::Deserialize<'de>>(json: &[u8]) -> Result<T, PortableError> {
    serde_json::from_slice(json).map_err(|error| malformed(&error.to_string()))
}

/// The record keeps to the limits that one has which is made here.
fn check_record(record: &RepositoryRecord, options: &ImportOptions) -> Result<(), PortableError> {
    record.settings.check().map_err(|error| malformed(&error.to_string()))?;
    if record.description.len() > MAX_DESCRIPTION_BYTES || record.description.contains('\0') {
        return Err(malformed(&format!(
            "its description has more than {MAX_DESCRIPTION_BYTES} bytes, or NUL"
        )));
    }
    if record.settings.accept_opaque_ids && !options.accept_opaque_ids {
        return Err(malformed(
            "its repository takes commits and snapshots whose ids nothing proves, on the word of whoever made the file: \
             whoever trusts them says so with --accept-opaque-ids",
        ));
    }
    Ok(())
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
        let limit = match key.kind {
            ObjectKind::Commit => MAX_COMMIT_BYTES,
            ObjectKind::Snapshot => self.options.max_snapshot,
            ObjectKind::Blob => self.options.max_blob,
        };
        if length > limit.saturating_add(canonical::MAX_HEADER_BYTES as u64) {
            return Err(malformed(&format!("{key} has {length} bytes, at most {limit} are taken")));
        }
        if key.kind == ObjectKind::Blob {
            self.blobs.insert(key);
        }
        if key.kind == ObjectKind::Blob && length > LARGE {
            return self.large_blob(input, key.id.into(), length).await;
        }
        let bytes: Bytes = input.bytes(length).await?.into();
        let named = prove(self.scheme, self.opaque, key, &bytes)
            .map_err(|reason| malformed(&format!("{key}: {reason}")))?;
        if key.kind == ObjectKind::Commit {
            let parents = named.iter().filter(|named| named.kind == ObjectKind::Commit);
            self.commits.push((key.id.into(), parents.map(|parent| parent.id.into()).collect()));
        }
        if key.kind == ObjectKind::Snapshot {
            self.named.extend(&named);
        }
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
        let backends = self.recovery.backends();
        let receipt = backends.objects.put(objects).await?;
        if self.unnamed.is_empty() {
            self.unnamed_since = backends.clock.now();
        }
        self.unnamed.extend(receipt.pack);
        self.packs.extend(receipt.pack);
        Ok(())
    }

    /// Names packs in the log that have waited for it, so that they are not taken for what a failed push left.
    async fn name_packs(&mut self) -> Result<(), PortableError> {
        let now = self.recovery.backends().clock.now();
        if self.unnamed.is_empty() || now < self.unnamed_since.plus_millis(UNNAMED_MILLIS) {
            return Ok(());
        }
        self.claim().await?;
        let importing = BranchName::parse(IMPORTING).expect("'musehub/import' is a branch name");
        let packs = std::mem::take(&mut self.unnamed);
        self.recovery.name_packs(&self.repo, importing, packs, Vec::new()).await?;
        Ok(())
    }

    /// Claims the name with a record that nobody sees, here and in the index.
    async fn claim(&mut self) -> Result<(), PortableError> {
        if !self.claimed {
            self.recovery.claim(&self.repo).await?;
            self.recovery.backends().repositories.put_repository(&self.repo).await?;
            self.claimed = true;
        }
        Ok(())
    }

    /// A move goes on from the one before it, and whatever it stands on came before it.
    async fn branch_move(&mut self, mut entry: RefLogEntry) -> Result<(), PortableError> {
        self.flush().await?;
        let wrong = |reason: &str| malformed(&format!("a move of branch '{}' {reason}", entry.branch));
        if self.repo.scheme.is_none() {
            return Err(malformed("its record has no id scheme"));
        }
        if let Some(key) = self.lacking.iter().min() {
            let count = self.lacking.len();
            return Err(wrong(&format!(
                "comes before {count} objects that it needs, {key} first, or they are lacking"
            )));
        }
        let (blobs, named) = (std::mem::take(&mut self.blobs), std::mem::take(&mut self.named));
        let headless = entry.old.is_none() && entry.new.is_none();
        // The log leads to a blob by the move whose snapshots name it, or by one that brings rows.
        if let Some(blob) = blobs.difference(&named).min().filter(|_| !headless) {
            return Err(wrong(&format!("brings {blob}, which none of its snapshots names")));
        }
        topological_order(&std::mem::take(&mut self.commits))
            .map_err(|error| wrong(&format!("brings no history: {error}")))?;
        let (sequence, head) = self.branches.get(&entry.branch).copied().unwrap_or_default();
        if entry.sequence != sequence + 1 || entry.old != head {
            return Err(wrong("does not go on from the one before it"));
        }
        if let Some(new) = entry.new.filter(|new| !self.seen.contains(&new.key())) {
            return Err(wrong(&format!("points at {new}, which is lacking")));
        }
        self.branches.insert(entry.branch.clone(), (entry.sequence, entry.new));
        entry.repo_id = self.repo.repo_id.clone();
        entry.packs = std::mem::take(&mut self.packs);
        entry.borrowed.clear();
        self.moves.push(entry);
        self.done.moves += 1;
        Ok(())
    }

    /// Nothing is left over, and no branch is in the way of another one.
    fn check(&self) -> Result<(), PortableError> {
        if !self.packs.is_empty() || !self.pending.is_empty() {
            return Err(malformed("it has objects after its last move"));
        }
        let there = self.branches.iter().filter(|(_, (_, head))| head.is_some());
        let names: BTreeMap<&str, &BranchName> = there.map(|(name, _)| (name.as_str(), name)).collect();
        for name in names.keys() {
            let mut above = name.match_indices('/').map(|(at, _)| &name[..at]);
            if let Some(above) = above.find(|above| names.contains_key(above)) {
                return Err(malformed(&format!("branch '{name}' cannot be beside branch '{above}'")));
            }
        }
        Ok(())
    }

    /// Claims the name, writes the log, makes the rows, and then shows the repository.
    async fn publish(mut self) -> Result<(RepositoryRecord, Transferred), PortableError> {
        self.claim().await?;
        let backends = self.recovery.backends();
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
        // It is complete before it is seen, by this process or by any other.
        let mut caught_up = CaughtUp::default();
        self.recovery.hub.catch_up_repository(&self.repo, &mut caught_up, &mut |_| {}).await?;
        let shown = RepositoryRecord { version: 2, deleted: false, ..self.repo };
        backends.refs.put_repository(&shown).await?;
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
