//! Building packs for fetches: planned by ids and sizes, written as the objects are read, so that memory does not grow with
//! them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::TryStreamExt;

use super::Mpacks;
use crate::cpu;
use crate::hub::fetch::SNAPSHOT_BYTES;
use crate::hub::{FetchError, Hub, sorted};
use crate::id::{BlobId, CommitId, SnapshotId};
use crate::mpack::{Contents, MpackId, ObjectsWriter, SnapshotDelta, object_entry};
use crate::object::{Commit, Snapshot};
use crate::port::{
    BackendError, BlobRow, CommitRow, FetchKey, FetchPack, MpackFile, MpackWriter, RepositoryRecord,
    Timestamp,
};
use crate::scheme::IdScheme;

/// How many rows are read at a time.
const ROWS: usize = 1000;
/// How many bytes of blobs are read together; a larger blob is written as it is read.
const BLOB_BYTES: u64 = 4 << 20;

/// How many built packs of a repository are looked through for an id in its other form.
const LAST_PACKS: u32 = 32;
/// Of how many packs that id is remembered.
const REMEMBERED: usize = 10_000;

/// A panic elsewhere leaves no entry half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom a pack is for, which decides how long it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuiltFor {
    /// Whoever clones: nothing is there yet, and what branches point at is wanted.
    Clones,
    /// One fetch, and its retries.
    OneFetch,
}

/// The packs that this process is building.
#[derive(Default)]
pub(super) struct Building(Mutex<HashMap<FetchKey, Weak<futures::lock::Mutex<()>>>>);

impl Building {
    /// What is locked by whoever builds the pack of a fetch.
    fn turn(&self, key: &FetchKey) -> Arc<futures::lock::Mutex<()>> {
        let mut turns = lock(&self.0);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// A snapshot of a pack, and the one that it is a delta of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct PlannedSnapshot {
    id: SnapshotId,
    base: Option<SnapshotId>,
}

/// What a pack will hold.
#[derive(Default)]
struct Plan {
    commits: HashSet<CommitId>,
    contents: Contents,
    blobs: Vec<BlobRow>,
}

impl Mpacks {
    /// The pack for a fetch: everything reachable from `want` and not from `have`, whether it was built before or is now. Also
    /// whether it was there. Ids that the repository does not hold are ignored; a have stands for its whole history.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] where the commits and snapshots alone are more than fits into memory.
    pub async fn fetch_pack(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
    ) -> Result<(FetchPack, bool), FetchError> {
        let key = FetchKey::of(&repo.repo_id, want, have);
        if let Some(pack) = self.present(&key).await? {
            return Ok((pack, true));
        }
        // Of many that ask for one pack at a time, one builds it.
        let turn = self.building.turn(&key);
        let _turn = turn.lock().await;
        if let Some(pack) = self.present(&key).await? {
            return Ok((pack, true));
        }
        let for_whom = if have.is_empty() && self.are_heads(repo, want).await? {
            BuiltFor::Clones
        } else {
            BuiltFor::OneFetch
        };
        let plan = self.plan(repo, want, have).await?;
        Ok((self.build(repo, key, plan, for_whom).await?, false))
    }

    /// Builds the packs that clones will ask for, where they are not there: of all branches, and of the default branch alone.
    /// Earlier ones end. How many were built.
    ///
    /// # Errors
    /// As [`fetch_pack`](Self::fetch_pack).
    pub async fn prebuild(&self, repo: &RepositoryRecord) -> Result<usize, FetchError> {
        if self.options.ahead == 0 {
            return Ok(0);
        }
        let refs = self.hub.refs(repo).await?;
        let all: Vec<CommitId> = refs.branches.iter().map(|row| row.head).collect();
        let default = refs.branches.iter().find(|row| row.name == refs.default_branch);
        let default: Vec<CommitId> = default.map(|row| row.head).into_iter().collect();
        let mut built = 0;
        let mut done: HashSet<FetchKey> = HashSet::new();
        for want in [all, default] {
            let key = FetchKey::of(&repo.repo_id, &want, &[]);
            if want.is_empty() || !done.insert(key.clone()) {
                continue;
            }
            let turn = self.building.turn(&key);
            let _turn = turn.lock().await;
            if self.present(&key).await?.is_some() {
                continue;
            }
            let plan = self.plan(repo, &want, &[]).await?;
            if plan.contents.blob_bytes <= self.options.ahead {
                self.build(repo, key, plan, BuiltFor::Clones).await?;
                built += 1;
            }
        }
        let keep: Vec<FetchKey> = done.into_iter().collect();
        let end = self.after(self.options.fetch_life);
        self.built.end_fetch_packs(&repo.repo_id, &keep, end).await?;
        Ok(built)
    }

    /// The pack of an id, in either of its forms, that was built for a repository, as long as it is there.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn built_pack(
        &self,
        repo: &RepositoryRecord,
        id: MpackId,
    ) -> Result<Option<FetchPack>, BackendError> {
        let found = match self.built.fetch_pack_by_id(&repo.repo_id, id).await? {
            Some(pack) => Some(pack),
            None => self.by_typed_id(repo, id).await?,
        };
        let Some(pack) = found else {
            return Ok(None);
        };
        let there = self.store.size(&pack.file).await? == Some(pack.size);
        Ok(there.then_some(pack))
    }

    /// The pack whose id in its other form this is, among the last ones. Each is hashed once, however often somebody asks.
    async fn by_typed_id(
        &self,
        repo: &RepositoryRecord,
        id: MpackId,
    ) -> Result<Option<FetchPack>, BackendError> {
        for pack in self.built.fetch_packs(&repo.repo_id, LAST_PACKS).await? {
            if self.store.size(&pack.file).await? != Some(pack.size) {
                continue;
            }
            let known = lock(&self.typed).get(&pack.file).copied();
            let typed = match known {
                Some(typed) => typed,
                None => self.typed_id(&pack.file, pack.size).await?,
            };
            let mut remembered = lock(&self.typed);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(pack.file.clone(), typed);
            if typed == id {
                return Ok(Some(pack));
            }
        }
        Ok(None)
    }

    fn after(&self, life: Duration) -> Timestamp {
        let millis = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        self.hub.backends.clock.now().plus_millis(millis)
    }

    /// A pack that can still be given out.
    async fn present(&self, key: &FetchKey) -> Result<Option<FetchPack>, BackendError> {
        let found = self.built.fetch_pack(key).await?;
        let now = self.hub.backends.clock.now();
        let Some(pack) = found.filter(|pack| pack.expires_at > now) else {
            return Ok(None);
        };
        // A row outlives its file only where somebody removed that by hand.
        let there = self.store.size(&pack.file).await? == Some(pack.size);
        Ok(there.then_some(pack))
    }

    async fn plan(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
    ) -> Result<Plan, FetchError> {
        let mut plan = self.hub.plan_pack(repo, want, have, self.options.records).await?;
        self.add_tags(repo, &plan.commits, &mut plan.contents).await?;
        Ok(plan)
    }

    async fn are_heads(&self, repo: &RepositoryRecord, want: &[CommitId]) -> Result<bool, BackendError> {
        let branches = self.hub.backends.history.branches(&repo.repo_id).await?;
        let heads: HashSet<CommitId> = branches.iter().map(|row| row.head).collect();
        Ok(want.iter().all(|id| heads.contains(id)))
    }

    async fn build(
        &self,
        repo: &RepositoryRecord,
        key: FetchKey,
        plan: Plan,
        for_whom: BuiltFor,
    ) -> Result<FetchPack, FetchError> {
        let Plan { contents, blobs, .. } = plan;
        let (commits, snapshots) = (contents.commits.count(), contents.snapshots.count());
        let file = MpackFile::new_built(&repo.repo_id);
        let out = Output { writer: self.store.begin(&file).await?, hasher: None, size: 0 };
        let (id, size) = out.write(&self.hub, contents, &blobs).await?;
        let life = match for_whom {
            BuiltFor::Clones => self.options.clone_life,
            BuiltFor::OneFetch => self.options.fetch_life,
        };
        let pack = FetchPack {
            key,
            id,
            file,
            size,
            commits,
            snapshots,
            blobs: blobs.len() as u64,
            created_at: self.hub.backends.clock.now(),
            expires_at: self.after(life),
        };
        // The one that it replaces was given out until a moment ago, so it stays for the sweep to find.
        self.built.record_fetch_pack(&pack).await?;
        Ok(pack)
    }
}

impl Hub {
    /// Decides what goes into a pack, and encodes all of it but the bytes of blobs.
    async fn plan_pack(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
        limit: u64,
    ) -> Result<Plan, FetchError> {
        let mut plan = Plan::default();
        let difference = self.difference(repo, want, have).await?;
        let Some(scheme) = repo.scheme.filter(|_| !difference.commits.is_empty()) else {
            return Ok(plan);
        };
        let mut ids = difference.commits;
        ids.reverse();
        plan.commits = ids.iter().copied().collect();
        let known = self.commit_rows(repo, &difference.boundary).await?;
        let known: HashSet<SnapshotId> = known.iter().map(|row| row.snapshot).collect();

        let mut snapshots_of: HashMap<CommitId, SnapshotId> = HashMap::with_capacity(ids.len());
        let mut planned: Vec<PlannedSnapshot> = Vec::new();
        let mut sent: HashSet<SnapshotId> = HashSet::new();
        for ids in ids.chunks(ROWS) {
            let rows = self.commit_rows(repo, ids).await?;
            for row in &rows {
                let base = row.parents.first().and_then(|parent| snapshots_of.get(parent)).copied();
                snapshots_of.insert(row.id, row.snapshot);
                if !known.contains(&row.snapshot) && sent.insert(row.snapshot) {
                    let base = base.filter(|base| sent.contains(base) && *base != row.snapshot);
                    planned.push(PlannedSnapshot { id: row.snapshot, base });
                }
            }
            let length = plan.contents.commits.length() + rows.iter().map(|row| row.size).sum::<u64>();
            within(length, limit)?;
            self.add_commits(repo, scheme, &rows, &mut plan.contents).await?;
        }
        let mut named = self.add_snapshots(repo, planned, &mut plan.contents, limit).await?;
        self.remove_named(repo, &known, &mut named).await?;
        plan.blobs = self.backends.history.blobs(&repo.repo_id, &sorted(&named)).await?;
        if plan.blobs.len() != named.len() {
            let what = format!("{} blobs of {}/{}", named.len() - plan.blobs.len(), repo.owner, repo.slug);
            return Err(BackendError::Missing { what }.into());
        }
        plan.blobs.sort_unstable_by_key(|row| row.place);
        plan.contents.blobs = plan.blobs.len() as u64;
        plan.contents.blob_bytes = plan.blobs.iter().map(|row| row.size).sum();
        Ok(plan)
    }

    async fn add_commits(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        rows: &[CommitRow],
        contents: &mut Contents,
    ) -> Result<(), BackendError> {
        let bytes = self.read_commits(repo, rows).await?;
        let ids: Vec<CommitId> = rows.iter().map(|row| row.id).collect();
        let mut section = std::mem::take(&mut contents.commits);
        contents.commits = cpu::run(move || {
            for (id, bytes) in ids.into_iter().zip(bytes) {
                let commit = Commit::decode(scheme, id, &bytes).map_err(|error| BackendError::Damaged {
                    what: format!("commit {id}"),
                    reason: error.to_string(),
                })?;
                section.add_commit(&commit);
            }
            Ok::<_, BackendError>(section)
        })
        .await?;
        Ok(())
    }

    /// Adds snapshots, each as a delta of its base where it has one; gives the blobs that they name and their bases do not.
    async fn add_snapshots(
        &self,
        repo: &RepositoryRecord,
        planned: Vec<PlannedSnapshot>,
        contents: &mut Contents,
        limit: u64,
    ) -> Result<HashSet<BlobId>, FetchError> {
        let wanted: HashSet<SnapshotId> = planned.iter().map(|snapshot| snapshot.id).collect();
        let rows = self.snapshot_rows(repo, &wanted).await?;
        let rows: HashMap<SnapshotId, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut uses: HashMap<SnapshotId, usize> = HashMap::new();
        for base in planned.iter().filter_map(|snapshot| snapshot.base) {
            *uses.entry(base).or_default() += 1;
        }
        let mut state = Encoding { bases: HashMap::new(), uses, named: HashSet::new() };
        let mut pending = planned.into_iter().peekable();
        while pending.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(next) = pending.next_if(|_| bytes < SNAPSHOT_BYTES) {
                bytes += rows[&next.id].size;
                batch.push(next);
            }
            let rows = batch.iter().map(|next| rows[&next.id].clone()).collect();
            let read = self.decode_snapshots(repo, rows).await?;
            let mut section = std::mem::take(&mut contents.snapshots);
            (state, section) = cpu::run(move || {
                for (planned, snapshot) in batch.into_iter().zip(read) {
                    state.add(planned, snapshot, &mut section);
                }
                (state, section)
            })
            .await;
            contents.snapshots = section;
            within(contents.commits.length() + contents.snapshots.length(), limit)?;
        }
        Ok(state.named)
    }
}

fn within(bytes: u64, limit: u64) -> Result<(), FetchError> {
    if bytes > limit { Err(FetchError::TooLarge { bytes, limit }) } else { Ok(()) }
}

/// What is remembered while snapshots are encoded.
struct Encoding {
    /// Snapshots that later ones are deltas of.
    bases: HashMap<SnapshotId, Snapshot>,
    /// How many deltas of each are still to come.
    uses: HashMap<SnapshotId, usize>,
    named: HashSet<BlobId>,
}

impl Encoding {
    fn add(
        &mut self,
        planned: PlannedSnapshot,
        snapshot: Snapshot,
        section: &mut crate::mpack::RecordSection,
    ) {
        let base = planned.base.and_then(|id| self.bases.get(&id).map(|base| (id, base)));
        match base {
            Some((id, base)) => {
                let delta = SnapshotDelta::between(base.record(), id, snapshot.record(), snapshot.id());
                self.named.extend(delta.upsert.iter().map(|(_, blob)| *blob));
                section.add_delta(&delta);
            }
            None => {
                self.named.extend(snapshot.manifest().iter().map(|(_, blob)| *blob));
                section.add_snapshot(snapshot.record());
            }
        }
        if let Some(id) = planned.base
            && let Some(left) = self.uses.get_mut(&id)
        {
            *left -= 1;
            if *left == 0 {
                self.bases.remove(&id);
            }
        }
        if self.uses.contains_key(&planned.id) {
            self.bases.insert(planned.id, snapshot);
        }
    }
}

/// A pack on its way into the store.
struct Output {
    writer: Box<dyn MpackWriter>,
    /// None while it is on another thread, and before the first object.
    hasher: Option<ObjectsWriter>,
    size: u64,
}

impl Output {
    async fn write(
        mut self,
        hub: &Hub,
        contents: Contents,
        blobs: &[BlobRow],
    ) -> Result<(MpackId, u64), BackendError> {
        let (head, hasher) = cpu::run(move || contents.begin()).await;
        self.hasher = Some(hasher);
        self.put(head.into()).await?;
        let mut pending = blobs.iter().peekable();
        while let Some(first) = pending.peek() {
            if first.size > BLOB_BYTES {
                let row = **first;
                pending.next();
                self.write_large(hub, &row).await?;
                continue;
            }
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(row) = pending.next_if(|row| row.size + bytes <= BLOB_BYTES) {
                bytes += row.size;
                batch.push(*row);
            }
            self.write_batch(hub, &batch).await?;
        }
        let hasher = self.hasher.take().expect("it comes back from every thread");
        let (end, id) = cpu::run(move || hasher.finish()).await;
        self.put(end.into()).await?;
        self.writer.finish().await?;
        Ok((id, self.size))
    }

    async fn write_batch(&mut self, hub: &Hub, rows: &[BlobRow]) -> Result<(), BackendError> {
        let contents = hub.contents(rows).await?;
        let length: usize = contents.iter().map(|content| content.len() + 79).sum();
        let mut out = BytesMut::with_capacity(length);
        for (row, content) in rows.iter().zip(contents) {
            if content.len() as u64 != row.size {
                return Err(other_size(row, content.len() as u64));
            }
            out.put_slice(&object_entry(row.id, row.size));
            out.put_slice(&content);
        }
        self.put_hashed(out.freeze()).await
    }

    async fn write_large(&mut self, hub: &Hub, row: &BlobRow) -> Result<(), BackendError> {
        self.put_hashed(object_entry(row.id, row.size).into()).await?;
        let mut pieces = hub.content_stream(row).await?;
        let mut length = 0;
        while let Some(piece) = pieces.try_next().await? {
            length += piece.len() as u64;
            self.put_hashed(piece).await?;
        }
        if length == row.size { Ok(()) } else { Err(other_size(row, length)) }
    }

    async fn put_hashed(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        let mut hasher = self.hasher.take().expect("it comes back from every thread");
        let hashed = bytes.clone();
        self.hasher = Some(
            cpu::run(move || {
                hasher.hash(&hashed);
                hasher
            })
            .await,
        );
        self.put(bytes).await
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        self.size += bytes.len() as u64;
        self.writer.write(bytes).await
    }
}

fn other_size(row: &BlobRow, found: u64) -> BackendError {
    let reason = format!("it has {found} bytes, its row says {}", row.size);
    BackendError::Damaged { what: format!("blob {}", row.id), reason }
}
