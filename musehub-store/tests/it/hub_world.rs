//! A whole hub over one object store, with its upkeep, and histories to push to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use musehub_core::Hub;
use musehub_core::hub::{Backends, CaughtUp, InlineBlob, NewRepository, Options, Push};
use musehub_core::memory::FixedClock;
use musehub_core::object::{Manifest, SnapshotRecord};
use musehub_core::port::{Clock, RefStore, RepositoryRecord, SystemClock, Visibility};
use musehub_core::scheme::{IdScheme, flat_v1};
use musehub_core::{BlobId, CommitId, RepoPath};
use musehub_store::{Backend, CollectOptions, PackedStore, RefLog, RepackOptions, SqlIndex, Upkeep};
use serde_json::{Map, Value, json};

use crate::faulty_store::Faulty;
use crate::index_fixtures::{branch, handle, slug};

pub(crate) const HOUR: i64 = 60 * 60 * 1000;

/// A commit, with everything that a clone of it shows.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: CommitId,
    record: Map<String, Value>,
    snapshot: SnapshotRecord,
    blobs: Vec<InlineBlob>,
    pub(crate) files: BTreeMap<String, Bytes>,
}

/// A commit of `flat-v1` with these files.
pub(crate) fn commit(message: &str, parent: Option<&Made>, files: &[(String, Vec<u8>)]) -> Made {
    let files: BTreeMap<String, Bytes> =
        files.iter().map(|(path, content)| (path.clone(), Bytes::from(content.clone()))).collect();
    let ids: Vec<(&String, BlobId)> =
        files.iter().map(|(path, content)| (path, flat_v1::blob_id(content))).collect();
    let snapshot_id = flat_v1::snapshot_id(ids.iter().map(|(path, id)| (path.as_str(), id))).unwrap();
    let parent = parent.map(|parent| parent.id);
    let time = "2026-03-20T12:00:00+00:00";
    let parents: Vec<CommitId> = parent.into_iter().collect();
    let id = flat_v1::commit_id(&parents, &snapshot_id, message, time).unwrap();
    let record = json!({
        "commit_id": id.to_hex(),
        "snapshot_id": snapshot_id.to_hex(),
        "parent_commit_id": parent.map(|id| id.to_hex()),
        "parent2_commit_id": null,
        "message": message,
        "committed_at": time,
        "author": "alice",
        "branch": "main",
    });
    let entries = ids.iter().map(|(path, id)| (RepoPath::parse(path).unwrap(), *id));
    let manifest = Manifest::new(entries.collect()).unwrap();
    let snapshot = SnapshotRecord { id: Some(snapshot_id), manifest, ..SnapshotRecord::default() };
    let blobs = ids.iter().map(|(path, id)| InlineBlob { id: *id, content: files[*path].clone() });
    let blobs = blobs.collect();
    Made { id, record: record.as_object().unwrap().clone(), snapshot, blobs, files }
}

/// Text of a few hundred bytes that compresses.
pub(crate) fn text(label: &str) -> Vec<u8> {
    (0..12).flat_map(|n| format!("def {label}_{n}(value):\n    return value * {n}\n").into_bytes()).collect()
}

/// One process.
pub(crate) struct World {
    pub(crate) faulty: Faulty,
    pub(crate) store: PackedStore,
    pub(crate) log: RefLog,
    pub(crate) index: Arc<SqlIndex>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) hub: Hub,
    pub(crate) upkeep: Upkeep,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(FixedClock::new(SystemClock.now()));
        Self::over(Faulty::sound(), Arc::new(SqlIndex::in_memory().await.unwrap()), clock)
    }

    pub(crate) fn over(faulty: Faulty, index: Arc<SqlIndex>, clock: Arc<FixedClock>) -> Self {
        Self::on_backend(Backend::over(Arc::new(faulty.clone())), faulty, index, clock)
    }

    /// One whose objects lie elsewhere.
    pub(crate) async fn on(backend: Backend) -> Self {
        let clock = Arc::new(FixedClock::new(SystemClock.now()));
        let index = Arc::new(SqlIndex::in_memory().await.unwrap());
        Self::on_backend(backend, Faulty::sound(), index, clock)
    }

    fn on_backend(backend: Backend, faulty: Faulty, index: Arc<SqlIndex>, clock: Arc<FixedClock>) -> Self {
        let store = PackedStore::new(backend.clone(), index.clone()).with_cache(1 << 20);
        let log = RefLog::new(backend);
        let backends = Backends {
            objects: Arc::new(store.clone()),
            staging: Arc::new(store.clone()),
            refs: Arc::new(log.clone()),
            repositories: index.clone(),
            history: index.clone(),
            unstored: index.clone(),
            claims: index.clone(),
            collaborators: index.clone(),
            keys: index.clone(),
            proposals: index.clone(),
            conversations: index.clone(),
            clock: clock.clone(),
        };
        let hub = Hub::new(backends, Options::default());
        let upkeep = Upkeep::new(store.clone(), log.clone(), index.clone(), clock.clone());
        Self { faulty, store, log, index, clock, hub, upkeep }
    }

    /// The process that comes after this one, with the same index.
    pub(crate) fn restarted(&self) -> Self {
        Self::over(self.faulty.recovered(), self.index.clone(), self.clock.clone())
    }

    /// One that has to make the index anew.
    pub(crate) async fn without_index(&self) -> Self {
        let index = Arc::new(SqlIndex::in_memory().await.unwrap());
        let world = Self::over(self.faulty.recovered(), index, self.clock.clone());
        world.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        world
    }

    pub(crate) async fn create(&self, name: &str) -> RepositoryRecord {
        let new = NewRepository {
            owner: handle("alice"),
            slug: slug(name),
            visibility: Visibility::Public,
            description: String::new(),
            scheme: None,
        };
        self.hub.create_repository(new).await.unwrap()
    }

    pub(crate) async fn record(&self, name: &str) -> RepositoryRecord {
        self.log.repository(&handle("alice"), &slug(name)).await.unwrap().unwrap()
    }

    pub(crate) async fn push(&self, name: &str, to: &str, commits: &[Made]) {
        let repo = self.record(name).await;
        let pushed = self.hub.receive_push(&repo, &repo.owner, push_of(to, commits)).await.unwrap();
        assert_eq!(pushed.head, commits.last().unwrap().id);
    }

    /// Checks that a clone of a branch shows these commits and files, and no more.
    pub(crate) async fn expect(&self, name: &str, to: &str, history: &[Made], context: &str) {
        let repo = self.record(name).await;
        let refs = self.hub.refs(&repo).await.unwrap();
        let head = refs.branches.iter().find(|row| row.name.as_str() == to).map(|row| row.head);
        assert_eq!(head, history.last().map(|made| made.id), "{context}: {name} {to}");
        let plan = self.hub.fetch(&repo, &[head.unwrap()], &[], u64::MAX).await;
        let plan = plan.unwrap_or_else(|error| panic!("{context}: {name} {to}: {error:?}"));
        assert_eq!(plan.commits.len(), history.len(), "{context}: {name} {to}");
        let contents = self.hub.contents(&plan.blobs).await;
        let contents = contents.unwrap_or_else(|error| panic!("{context}: {name} {to}: {error:?}"));
        let blobs: BTreeMap<BlobId, Bytes> = plan.blobs.iter().map(|row| row.id).zip(contents).collect();
        for made in history {
            let snapshot = plan.snapshots.iter().find(|snapshot| Some(snapshot.id()) == made.snapshot.id);
            let snapshot = snapshot.unwrap_or_else(|| panic!("{context}: a snapshot of {name} {to}"));
            let files = snapshot.manifest().iter();
            let files = files.map(|(path, blob)| (path.to_string(), blobs[blob].clone()));
            assert_eq!(files.collect::<BTreeMap<_, _>>(), made.files, "{context}: {name} {to}");
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, hours: i64) {
        self.clock.advance(hours * HOUR);
    }

    pub(crate) async fn repack_all(&self) -> musehub_store::Repacked {
        let options = RepackOptions { min_packs: 2, all: true, dry_run: false };
        self.upkeep.repack(options, &|_| ()).await.unwrap()
    }

    /// Collects with the shortest grace period and no retention.
    pub(crate) async fn collect(&self) -> musehub_store::Collection {
        let grace = musehub_store::MIN_GRACE;
        let options = CollectOptions { grace, retention: grace, dry_run: false };
        self.upkeep.collect(options).await.unwrap()
    }

    /// How many files there are with an extension below a folder.
    pub(crate) async fn count(&self, folder: &str, extension: &str) -> usize {
        let contents = self.faulty.contents().await;
        contents.iter().filter(|(key, _)| key.starts_with(folder) && key.ends_with(extension)).count()
    }
}

pub(crate) fn push_of(to: &str, commits: &[Made]) -> Push {
    Push {
        branch: branch(to),
        force: false,
        scheme: IdScheme::FlatV1,
        commits: commits.iter().map(|made| made.record.clone()).collect(),
        snapshots: commits.iter().map(|made| made.snapshot.clone()).collect(),
        blobs: commits.iter().flat_map(|made| made.blobs.iter().cloned()).collect(),
    }
}
