//! Rows that the tests of the index write.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use musehub_core::hash;
use musehub_core::id::{BlobId, CommitId, HashAlgorithm, SnapshotId};
use musehub_core::name::{BranchName, Handle, RepoId, Slug};
use musehub_core::port::{
    BlobRow, CommitRow, MoveRows, PackId, Place, RefLogEntry, RepositoryIndex, RepositoryRecord, SnapshotRow,
    Timestamp, Visibility,
};
use musehub_core::settings::RepositorySettings;
use musehub_store::DatabaseUrl;
pub(crate) use musehub_store::SqlIndex;
use musehub_test_services::{Engine, postgres};
use tempfile::TempDir;

fn digest(tag: &str, n: u64) -> [u8; 32] {
    hash::digest(HashAlgorithm::Blake3, &[tag.as_bytes(), &n.to_le_bytes()])
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

pub(crate) fn repo(n: u64) -> RepoId {
    RepoId::parse(&format!("00000000-0000-4000-8000-{n:012x}")).unwrap()
}

pub(crate) fn handle(name: &str) -> Handle {
    Handle::parse(name).unwrap()
}

pub(crate) fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

pub(crate) fn branch(name: &str) -> BranchName {
    BranchName::parse(name).unwrap()
}

pub(crate) fn commit_id(n: u64) -> CommitId {
    CommitId::new(HashAlgorithm::Sha256, digest("commit", n))
}

pub(crate) fn snapshot_id(n: u64) -> SnapshotId {
    SnapshotId::new(HashAlgorithm::Sha256, digest("snapshot", n))
}

pub(crate) fn blob_id(n: u64) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, digest("blob", n))
}

pub(crate) fn place(n: u64) -> Place {
    Place { pack: PackId::new(digest("pack", 0)), offset: n * 5_000, length: 4_321 }
}

/// Version 1 of a public repository.
pub(crate) fn record(n: u64, owner: &str, name: &str) -> RepositoryRecord {
    RepositoryRecord {
        version: 1,
        repo_id: repo(n),
        owner: handle(owner),
        slug: slug(name),
        visibility: Visibility::Public,
        description: "what it is about".to_owned(),
        scheme: None,
        default_branch: None,
        settings: RepositorySettings::default(),
        created_at: at(0),
        deleted: false,
    }
}

/// An empty index of the engine that was chosen for this run.
pub(crate) async fn empty() -> SqlIndex {
    match Engine::chosen() {
        Engine::Sqlite => SqlIndex::in_memory().await.unwrap(),
        Engine::Postgres => Database::postgres().await.open().await,
    }
}

/// An index with the repositories 1 and 2.
pub(crate) async fn index() -> SqlIndex {
    let index = empty().await;
    create_repositories(&index).await;
    index
}

/// A new database that may be opened several times.
pub(crate) struct Database {
    pub(crate) url: DatabaseUrl,
    _directory: Option<TempDir>,
}

impl Database {
    /// Of the engine that was chosen for this run.
    pub(crate) async fn new() -> Self {
        match Engine::chosen() {
            Engine::Sqlite => Self::sqlite(),
            Engine::Postgres => Self::postgres().await,
        }
    }

    /// A file.
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { url: DatabaseUrl::sqlite(directory.path().join("musehub.db")), _directory: Some(directory) }
    }

    /// On a server.
    pub(crate) async fn postgres() -> Self {
        Self { url: postgres::database().await.parse().unwrap(), _directory: None }
    }

    /// One more handle, as another process would have.
    pub(crate) async fn open(&self) -> SqlIndex {
        SqlIndex::connect(&self.url).await.unwrap()
    }
}

pub(crate) async fn create_repositories(index: &SqlIndex) {
    for n in [1, 2] {
        index.put_repository(&record(n, "owner", &format!("repository-{n}"))).await.unwrap();
    }
}

/// The move of `main` of a repository to a commit.
pub(crate) fn entry(repo_number: u64, sequence: u64, new: Option<CommitId>) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo(repo_number),
        branch: branch("main"),
        sequence,
        old: None,
        new,
        forced: false,
        pusher: handle("owner"),
        at: at(i64::try_from(sequence).unwrap()),
        packs: Vec::new(),
        borrowed: Vec::new(),
    }
}

/// A move that adds nothing.
pub(crate) fn bare(entry: RefLogEntry) -> MoveRows {
    MoveRows {
        entry,
        commits: Vec::new(),
        snapshots: Vec::new(),
        blobs: Vec::new(),
        lost: Vec::new(),
        jobs: Vec::new(),
    }
}

pub(crate) fn commit_row(n: u64, parents: &[u64], generation: u64) -> CommitRow {
    CommitRow {
        id: commit_id(n),
        parents: parents.iter().map(|parent| commit_id(*parent)).collect(),
        generation,
        snapshot: snapshot_id(n),
        author: "owner".to_owned(),
        message: format!("message {n}"),
        committed_at: "2026-03-01T00:00:00+00:00".to_owned(),
        agent_id: String::new(),
        branch: "main".to_owned(),
        size: 300 + n,
        place: Some(place(n)),
        id_proof: musehub_core::object::IdProof::Verified,
    }
}

pub(crate) fn snapshot_row(n: u64) -> SnapshotRow {
    SnapshotRow { id: snapshot_id(n), entry_count: n, size: 1_000 + n, place: Some(place(n)) }
}

pub(crate) fn blob_row(n: u64) -> BlobRow {
    BlobRow { id: blob_id(n), size: n, place: place(n) }
}

/// The first move of `main`: commits with their snapshots.
pub(crate) fn history(repo_number: u64, commits: Vec<CommitRow>) -> MoveRows {
    let snapshots = commits
        .iter()
        .map(|commit| SnapshotRow { id: commit.snapshot, entry_count: 1, size: 1, place: commit.place })
        .collect();
    let head = commits.last().map(|commit| commit.id);
    MoveRows { commits, snapshots, ..bare(entry(repo_number, 1, head)) }
}

/// Texts that would break a statement that they were pasted into.
pub(crate) const HOSTILE: &[&str] = &[
    "'; DROP TABLE musehub_repos; --",
    "\" OR 1=1 --",
    "$1 ?1 :name @name %s {}",
    "back\\slash 'quote' \"double\" `tick`",
    "zero\0byte",
    "line\nbreak\ttab \u{1f980} é",
    "",
];
