//! `mpack.index`: makes of an uploaded pack what every push leaves — canonical objects, the entry of the log, rows and
//! membership.
//!
//! The pack is read once, as it comes, and its id is compared at the end of that, before anything is visible. What it brings
//! is handed to the path of a push. So running it again after a crash, wherever that was, ends in the same state; the pack is
//! removed last.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::intake::Intake;
use super::phases::{Phase, Phases, timed_hub};
use super::{Mpacks, tags};
use crate::cpu;
use crate::hash::Hasher;
use crate::hub::push::Received;
use crate::hub::rebuild::PushedSnapshots;
use crate::hub::{Hub, InlineBlob, Push, PushError};
use crate::id::{CommitId, HashAlgorithm};
use crate::mpack::{Counts, Item, MpackError, MpackId, Reader, SnapshotDelta, commit_ids_for};
use crate::name::{BranchName, Handle};
use crate::object::SnapshotRecord;
use crate::port::{BackendError, BranchRow, MpackFile, RepositoryRecord};
use crate::release::CommitTag;

/// How much of a pack is read before it is looked into.
const BATCH: usize = 1 << 20;

/// The kind of the jobs that index an [`UploadedPack`]. What is to be done is in the payload of its job and nowhere else, so no
/// such job can be made again.
pub const INDEX_JOB: &str = "mpack.index";

/// A pack that a client uploaded, and what it is to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UploadedPack {
    /// The pack.
    pub mpack_key: MpackId,
    /// The branch to move.
    pub branch: BranchName,
    /// Where to: a commit of the pack, or one that the repository holds; none for the commit of the pack that is nobody's
    /// parent.
    pub head: Option<CommitId>,
    /// Whether the branch may lose commits by it.
    pub force: bool,
    /// Who pushes.
    pub pusher: Handle,
}

/// What indexing a pack did, and how long that took. Times are in milliseconds, by a clock that never goes back; none counts
/// twice.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Indexed {
    /// Waiting for the bytes of the pack.
    pub fetch_mpack_ms: f64,
    /// Taking it apart, its hash included.
    pub unpack_ms: f64,
    /// Rows of snapshots.
    pub snapshot_insert_ms: f64,
    /// Rows of commits and of the graph, and the end of the transaction.
    pub commit_insert_ms: f64,
    /// Writing objects.
    pub object_puts_ms: f64,
    /// Rows of objects.
    pub object_insert_ms: f64,
    /// Rows of which objects the repository holds.
    pub object_refs_ms: f64,
    /// All of it, verification of ids included.
    pub elapsed_ms: f64,
    /// The length of the pack, in bytes.
    pub mpack_size_bytes: u64,
    /// Commits that the repository did not hold.
    pub commits_written: u64,
    /// Commits of the pack that it did.
    pub commits_skipped: u64,
    /// Snapshots that the repository did not hold.
    pub snapshots_written: u64,
    /// Snapshots of the pack that it did.
    pub snapshots_skipped: u64,
    /// Objects that were written to the store.
    pub objects_written: u64,
    /// Objects of the pack that were in the store.
    pub objects_skipped: u64,
    /// Objects that the repository holds now and did not before, written or not.
    pub object_refs_written: u64,
    /// Tags that their commits did not have.
    #[serde(default)]
    pub tags_written: u64,
    /// The branch.
    pub branch: BranchName,
    /// Its head now.
    pub branch_head: CommitId,
}

impl Indexed {
    /// What is said of a pack that was indexed before.
    fn nothing(pack: &UploadedPack, head: CommitId, phases: &Phases) -> Self {
        Self {
            fetch_mpack_ms: 0.0,
            unpack_ms: 0.0,
            snapshot_insert_ms: 0.0,
            commit_insert_ms: 0.0,
            object_puts_ms: 0.0,
            object_insert_ms: 0.0,
            object_refs_ms: 0.0,
            elapsed_ms: phases.elapsed_millis(),
            mpack_size_bytes: 0,
            commits_written: 0,
            commits_skipped: 0,
            snapshots_written: 0,
            snapshots_skipped: 0,
            objects_written: 0,
            objects_skipped: 0,
            object_refs_written: 0,
            tags_written: 0,
            branch: pack.branch.clone(),
            branch_head: head,
        }
    }

    /// The phases by name, as they are logged and measured.
    #[must_use]
    pub const fn phases(&self) -> [(&'static str, f64); 7] {
        [
            ("fetch_mpack", self.fetch_mpack_ms),
            ("unpack", self.unpack_ms),
            ("snapshot_insert", self.snapshot_insert_ms),
            ("commit_insert", self.commit_insert_ms),
            ("object_puts", self.object_puts_ms),
            ("object_insert", self.object_insert_ms),
            ("object_refs", self.object_refs_ms),
        ]
    }
}

/// Why a pack is not indexed. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The pack is not there: it never came, or was indexed already.
    #[error("pack {0} was not uploaded to this repository, or was indexed already")]
    NotUploaded(MpackId),
    /// Longer than is taken.
    #[error("pack {id} has {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// The pack.
        id: MpackId,
        /// Its length.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// Other bytes than the id names.
    #[error("pack {claimed}: its bytes have the SHA-256 {computed}")]
    WrongId {
        /// The id it was uploaded under.
        claimed: MpackId,
        /// The one that it has.
        computed: MpackId,
    },
    /// It is no pack.
    #[error(transparent)]
    Pack(#[from] MpackError),
    /// What it brings is refused as a push.
    #[error(transparent)]
    Push(#[from] PushError),
}

impl From<BackendError> for IndexError {
    fn from(error: BackendError) -> Self {
        Self::Push(error.into())
    }
}

/// Everything of a pack but its objects.
#[derive(Default)]
struct Records {
    commits: Vec<Map<String, Value>>,
    snapshots: Vec<SnapshotRecord>,
    deltas: Vec<SnapshotDelta>,
    tags: Vec<Map<String, Value>>,
}

/// A pack that was read.
struct Unpacked {
    push: Push,
    deltas: Vec<SnapshotDelta>,
    tags: Vec<CommitTag>,
    counts: Counts,
}

impl Mpacks {
    /// Indexes an uploaded pack and moves its branch. It is durable when this returns; the pack is gone then. Also every head
    /// of the repository.
    ///
    /// # Errors
    /// [`IndexError`]; nothing of the pack is visible, and it is still there, to be tried again.
    pub async fn index(
        &self,
        repo: &RepositoryRecord,
        pack: &UploadedPack,
    ) -> Result<(Indexed, Vec<BranchRow>), IndexError> {
        let phases = Phases::begin(self.stopwatch.clone());
        let file = MpackFile::incoming(&repo.repo_id, pack.mpack_key);
        let Some(size) = self.store.size(&file).await? else {
            return self.indexed_before(repo, pack, &phases).await;
        };
        if size > self.options.pack {
            self.store.remove(&file).await?;
            return Err(IndexError::TooLarge { id: pack.mpack_key, size, limit: self.options.pack });
        }
        let hub = timed_hub(&self.hub, &phases);
        let Unpacked { push, deltas, tags, counts } =
            self.unpack(&hub, repo, pack, &file, size, &phases).await?;
        let received = Received {
            push,
            head: pack.head,
            deltas: PushedSnapshots { deltas, limit: self.options.rebuilt },
            named: tags.iter().map(|tag| tag.commit).collect(),
        };
        let outcome = hub.receive_pack(repo, &pack.pusher, received).await?;
        let tags_written = self.keep_tags(repo, &tags).await?;
        // Whoever asks for it again is told that it was indexed.
        self.store.remove(&file).await?;
        let skipped = |all: u64, written: usize| all.saturating_sub(written as u64);
        let written = outcome.blobs_stored - outcome.blobs_shared;
        let indexed = Indexed {
            fetch_mpack_ms: phases.millis(Phase::FetchMpack),
            unpack_ms: phases.millis(Phase::Unpack),
            snapshot_insert_ms: phases.millis(Phase::SnapshotInsert),
            commit_insert_ms: phases.millis(Phase::CommitInsert),
            object_puts_ms: phases.millis(Phase::ObjectPuts),
            object_insert_ms: phases.millis(Phase::ObjectInsert),
            object_refs_ms: phases.millis(Phase::ObjectRefs),
            elapsed_ms: phases.elapsed_millis(),
            mpack_size_bytes: size,
            commits_written: outcome.commits_stored as u64,
            commits_skipped: skipped(counts.commits, outcome.commits_stored),
            snapshots_written: outcome.snapshots_stored as u64,
            snapshots_skipped: skipped(counts.snapshots, outcome.snapshots_stored),
            objects_written: written as u64,
            objects_skipped: skipped(counts.blobs, written),
            object_refs_written: outcome.blobs_stored as u64,
            tags_written,
            branch: pack.branch.clone(),
            branch_head: outcome.head,
        };
        Ok((indexed, outcome.branches))
    }

    /// What is answered where the pack is not there: its branch has moved already, and whoever asks has not heard of it.
    async fn indexed_before(
        &self,
        repo: &RepositoryRecord,
        pack: &UploadedPack,
        phases: &Phases,
    ) -> Result<(Indexed, Vec<BranchRow>), IndexError> {
        let branches = self.hub.refs(repo).await?.branches;
        let head = branches.iter().find(|row| row.name == pack.branch).map(|row| row.head);
        let Some(head) = head.filter(|head| pack.head == Some(*head)) else {
            return Err(IndexError::NotUploaded(pack.mpack_key));
        };
        Ok((Indexed::nothing(pack, head, phases), branches))
    }

    /// Whether a file's bytes have an id, in either of its forms. Asked where the usual form is known not to fit.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn has_typed_id(&self, file: &MpackFile, size: u64, id: MpackId) -> Result<bool, BackendError> {
        Ok(self.typed_id(file, size).await? == id)
    }

    /// Reads a pack, stages its objects, and proves its id.
    async fn unpack(
        &self,
        hub: &Hub,
        repo: &RepositoryRecord,
        pack: &UploadedPack,
        file: &MpackFile,
        size: u64,
        phases: &Arc<Phases>,
    ) -> Result<Unpacked, IndexError> {
        let mut records = Records::default();
        let mut intake = Intake::new(hub, repo, self.options.reading, phases);
        let mut reader = Reader::new(self.options.reading);
        let mut pieces = phases.timed(Phase::FetchMpack, self.store.read(file, 0..size)).await?;
        loop {
            let batch = phases.timed(Phase::FetchMpack, next_batch(&mut pieces)).await?;
            let ended = batch.is_empty();
            let items;
            (reader, items) = phases.timed(Phase::Unpack, read_batch(reader, batch)).await?;
            sort_in(items, &mut records, &mut intake).await?;
            if ended {
                break;
            }
        }
        let (computed, counts) = phases.timed(Phase::Unpack, cpu::run(|| reader.finish())).await?;
        if computed != pack.mpack_key && self.typed_id(file, size).await? != pack.mpack_key {
            return Err(IndexError::WrongId { claimed: pack.mpack_key, computed });
        }
        let Records { mut commits, snapshots, deltas, tags } = records;
        let tags = tags::read(&tags, &pack.pusher)?;
        if let Some(first) = commits.first() {
            intake.candidates.narrow_by_commit(first);
        }
        let scheme = intake.candidates.first();
        commits.iter_mut().for_each(|record| commit_ids_for(scheme, record));
        let blobs = intake.finish().await?;
        let (branch, force) = (pack.branch.clone(), pack.force);
        let push = Push { branch, force, scheme, commits, snapshots, blobs };
        Ok(Unpacked { push, deltas, tags, counts })
    }

    /// The id in the form that some clients compute: as if the pack were a blob. Asked only where the usual form does not fit.
    pub(super) async fn typed_id(&self, file: &MpackFile, size: u64) -> Result<MpackId, BackendError> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(&MpackId::typed_header(size));
        let mut pieces = self.store.read(file, 0..size).await?;
        while let Some(piece) = pieces.try_next().await? {
            hasher = cpu::run(move || {
                hasher.update(&piece);
                hasher
            })
            .await;
        }
        Ok(MpackId::new(hasher.finish()))
    }
}

type Pieces = futures::stream::BoxStream<'static, Result<Bytes, BackendError>>;

/// The next pieces of a pack, together about [`BATCH`] bytes; none at the end.
async fn next_batch(pieces: &mut Pieces) -> Result<Vec<Bytes>, BackendError> {
    let (mut batch, mut length) = (Vec::new(), 0);
    while length < BATCH {
        let Some(piece) = pieces.try_next().await? else {
            break;
        };
        length += piece.len();
        batch.push(piece);
    }
    Ok(batch)
}

/// Takes apart what has come.
async fn read_batch(mut reader: Reader, batch: Vec<Bytes>) -> Result<(Reader, Vec<Item>), MpackError> {
    cpu::run(move || {
        let mut items = Vec::new();
        for piece in batch {
            reader.push(&piece);
            while let Some(item) = reader.next()? {
                items.push(item);
            }
        }
        Ok((reader, items))
    })
    .await
}

/// Puts what came where it belongs. Whole objects go on together, as they are verified together.
async fn sort_in(items: Vec<Item>, records: &mut Records, intake: &mut Intake<'_>) -> Result<(), PushError> {
    let mut blobs: Vec<InlineBlob> = Vec::new();
    for item in items {
        match item {
            Item::Blob { id, content } => blobs.push(InlineBlob { id, content }),
            Item::LargeBlob { id, size } => {
                intake.take(std::mem::take(&mut blobs)).await?;
                intake.begin_large(id, size).await?;
            }
            Item::Piece(piece) => intake.piece(piece).await?,
            Item::Commit(record) => {
                if records.commits.is_empty() {
                    intake.candidates.narrow_by_commit(&record);
                }
                records.commits.push(record);
            }
            Item::Snapshot(record) => records.snapshots.push(record),
            Item::Delta(delta) => records.deltas.push(delta),
            Item::Tag(record) => records.tags.push(record),
        }
    }
    intake.take(blobs).await
}
