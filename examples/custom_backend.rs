//! A store of your own behind the hub: branch moves and repository records as lines of one append-only journal. It keeps the
//! contract of its port, which the conformance suite proves, and then serves a push and a fetch.
//!
//! `cargo run --example custom_backend`

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use musehub::core::hub::{Backends, InlineBlob, Need, NewRepository, Options, Push, Viewer};
use musehub::core::memory::{MemoryIndex, MemoryObjects};
use musehub::core::object::{Manifest, Snapshot, SnapshotRecord};
use musehub::core::port::{BackendError, RefLogEntry, RefStore, RepositoryRecord, SystemClock, Visibility};
use musehub::core::scheme::{IdScheme, typed_v2};
use musehub::core::{BranchName, Handle, HashAlgorithm, Hub, RepoId, RepoPath, Slug};
use serde::{Deserialize, Serialize};

/// A [`RefStore`] in one file of JSON lines. Every question reads the file: fit for a test, and for nothing larger.
struct Journal {
    path: PathBuf,
    /// Who writes holds it, so that of two callers with one number the second sees the first's line. Several processes
    /// on one file would need a lock of the file.
    writing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
enum Line {
    Repository(RepositoryRecord),
    Move(RefLogEntry),
}

impl Journal {
    fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), writing: Mutex::new(()) }
    }

    fn lines(&self) -> Result<Vec<Line>, BackendError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(BackendError::unavailable("reading the journal", error)),
        };
        let damaged = |error: serde_json::Error| BackendError::Damaged {
            what: self.path.display().to_string(),
            reason: error.to_string(),
        };
        text.lines().map(|line| serde_json::from_str(line).map_err(damaged)).collect()
    }

    /// Adds a line that nothing in the journal contradicts; it is on disk when this returns.
    fn add(&self, line: &Line, taken: impl Fn(&Line) -> bool) -> Result<(), BackendError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lines()?.iter().any(taken) {
            return Err(BackendError::Conflict { what: "that number".to_owned() });
        }
        let mut text = serde_json::to_string(line)
            .map_err(|error| BackendError::unavailable("writing the journal", error))?;
        text.push('\n');
        let append = || {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        append().map_err(|error| BackendError::unavailable("writing the journal", error))
    }

    fn moves(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError> {
        let of_repo = |line| match line {
            Line::Move(entry) if entry.repo_id == *repo => Some(entry),
            _ => None,
        };
        let mut moves: Vec<RefLogEntry> = self.lines()?.into_iter().filter_map(of_repo).collect();
        moves.sort_by_key(|entry| entry.sequence);
        Ok(moves)
    }
}

/// Names are compared without regard to case, as every store of the hub does.
fn same_name(record: &RepositoryRecord, owner: &Handle, slug: &Slug) -> bool {
    record.owner.as_str().eq_ignore_ascii_case(owner.as_str())
        && record.slug.as_str().eq_ignore_ascii_case(slug.as_str())
}

#[async_trait]
impl RefStore for Journal {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        self.add(&Line::Repository(record.clone()), |line| {
            matches!(line, Line::Repository(held)
                if same_name(held, &record.owner, &record.slug) && held.version == record.version)
        })
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        let all = self.repositories().await?;
        Ok(all.into_iter().find(|record| same_name(record, owner, slug)))
    }

    async fn repositories(&self) -> Result<Vec<RepositoryRecord>, BackendError> {
        let mut in_force: Vec<RepositoryRecord> = Vec::new();
        for line in self.lines()? {
            let Line::Repository(record) = line else { continue };
            match in_force.iter_mut().find(|held| same_name(held, &record.owner, &record.slug)) {
                Some(held) if held.version < record.version => *held = record,
                Some(_) => {}
                None => in_force.push(record),
            }
        }
        Ok(in_force)
    }

    async fn moved_repositories(&self) -> Result<Vec<RepoId>, BackendError> {
        let moves = self.lines()?.into_iter().filter_map(|line| match line {
            Line::Move(entry) => Some(entry.repo_id),
            Line::Repository(_) => None,
        });
        Ok(moves.collect::<std::collections::BTreeSet<RepoId>>().into_iter().collect())
    }

    async fn append(&self, entry: &RefLogEntry) -> Result<(), BackendError> {
        self.add(&Line::Move(entry.clone()), |line| {
            let number = |entry: &RefLogEntry| (entry.repo_id.clone(), entry.branch.clone(), entry.sequence);
            matches!(line, Line::Move(held) if number(held) == number(entry))
        })
    }

    async fn heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError> {
        let mut heads: std::collections::BTreeMap<BranchName, RefLogEntry> = Default::default();
        heads.extend(self.moves(repo)?.into_iter().map(|entry| (entry.branch.clone(), entry)));
        Ok(heads.into_values().collect())
    }

    async fn history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, BackendError> {
        let mut moves = self.moves(repo)?;
        moves.retain(|entry| entry.branch == *branch && entry.sequence > after);
        Ok(moves)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let cases = std::sync::atomic::AtomicUsize::new(0);
    // A fresh journal for every case; a case that fails panics with its name.
    musehub::core::conformance::ref_store::run(|| async {
        let number = cases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Journal::open(&directory.path().join(format!("case-{number}")))
    })
    .await;
    println!("the journal keeps the contract in {} cases", cases.into_inner());

    let (objects, index) = (MemoryObjects::new(), Arc::new(MemoryIndex::new()));
    let hub = Hub::new(
        Backends {
            objects: Arc::new(objects.clone()),
            staging: Arc::new(objects),
            refs: Arc::new(Journal::open(&directory.path().join("journal"))),
            repositories: index.clone(),
            history: index.clone(),
            unstored: index.clone(),
            claims: index.clone(),
            collaborators: index.clone(),
            keys: index.clone(),
            proposals: index.clone(),
            conversations: index,
            clock: Arc::new(SystemClock),
        },
        Options::default(),
    );
    let alice = Handle::parse("alice")?;
    let new = NewRepository {
        owner: alice.clone(),
        slug: Slug::parse("tunes")?,
        visibility: Visibility::Public,
        description: String::new(),
        scheme: None,
    };
    let repo = hub.create_repository(new).await?;
    let outcome = hub.receive_push(&repo, &alice, first_push()?).await?;
    println!("pushed {} with {} blob", outcome.head, outcome.blobs_stored);

    let repo = hub.open(&alice, &repo.slug, &Viewer::Anonymous, Need::Read).await?;
    let plan = hub.fetch(&repo, &[outcome.head], &[], 64 << 20).await?;
    let songs = hub.contents(&plan.blobs).await?;
    println!("a clone gets {} commit and {:?}", plan.commits.len(), songs);
    Ok(())
}

/// One commit with one file.
fn first_push() -> Result<Push, Box<dyn std::error::Error + Send + Sync>> {
    let blob = typed_v2::blob_id(HashAlgorithm::Blake3, b"la la la");
    let manifest = Manifest::new(vec![(RepoPath::parse("song.txt")?, blob)])?;
    let record = SnapshotRecord { manifest, ..SnapshotRecord::default() };
    let snapshot = Snapshot::verify(IdScheme::TypedV2, record)?;
    let commit = serde_json::json!({
        "parents": [],
        "snapshot_id": snapshot.id().to_string(),
        "message": "A song",
        "committed_at": "2026-11-21T12:00:00+00:00",
        "author": "alice",
    });
    Ok(Push {
        branch: BranchName::parse("main")?,
        force: false,
        scheme: IdScheme::TypedV2,
        commits: vec![commit.as_object().cloned().unwrap_or_default()],
        snapshots: vec![SnapshotRecord { id: Some(snapshot.id()), ..snapshot.record().clone() }],
        blobs: vec![InlineBlob { id: blob, content: "la la la".into() }],
    })
}
