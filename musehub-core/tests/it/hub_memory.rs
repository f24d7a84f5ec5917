//! How much of the store is in memory at a time: a request that names much reads it batch by batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::BoxStream;
use musehub_core::hub::Backends;
use musehub_core::hub::Releases;
use musehub_core::hub::mpack::{MpackOptions, Mpacks, UploadedPack};
use musehub_core::memory::{MemoryMpacks, MemoryObjects};
use musehub_core::mpack::{Contents, MpackId, SnapshotDelta};
use musehub_core::port::{
    BackendError, Located, MpackFile, MpackStore, NewObject, ObjectStore, PackId, PackedObject, Place,
    PutReceipt, RepositoryRecord, SystemClock,
};
use musehub_core::{CommitId, ObjectKey};

use crate::hub_fixtures::{Made, World, branch, commit, commit_on, handle, hub, push_of};

/// Snapshots are read in batches that end once they have so many bytes.
const BATCH: u64 = 16 << 20;
/// More than a snapshot of these tests has.
const SNAPSHOT: u64 = 1 << 20;

/// Remembers the largest read.
struct Recording {
    inner: MemoryObjects,
    largest: AtomicU64,
    read: AtomicU64,
}

#[async_trait]
impl ObjectStore for Recording {
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError> {
        self.inner.put(objects).await
    }

    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        self.inner.locate(keys).await
    }

    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        self.inner.present(places).await
    }

    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
        let bytes = objects.iter().map(|object| object.place.length).sum();
        self.largest.fetch_max(bytes, Ordering::SeqCst);
        self.read.fetch_add(bytes, Ordering::SeqCst);
        self.inner.read(objects).await
    }

    async fn stream(
        &self,
        object: Located,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        self.inner.stream(object).await
    }

    async fn packs(&self) -> Result<Vec<PackId>, BackendError> {
        self.inner.packs().await
    }

    async fn pack_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        self.inner.pack_objects(pack).await
    }
}

/// A repository whose `main` merged `tips`, each with a snapshot of nearly a MiB that no other commit has.
struct Merged {
    world: World,
    repo: RepositoryRecord,
    tips: Vec<Made>,
    head: CommitId,
}

async fn merged(merges: usize) -> Merged {
    let world = World::new();
    let repo = world.create("demo").await;
    let folder = "x".repeat(120);
    let root = commit("root", &[], &[("root", "1")]);
    let mut main = vec![root.clone()];
    world.push(&repo, push_of("main", [&root])).await.unwrap();
    let mut tips = Vec::new();
    for number in 0..merges {
        let paths: Vec<String> = (0..3500).map(|file| format!("{folder}/{number}/{file}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "the same")).collect();
        let tip = commit_on(&format!("side{number}"), &format!("side {number}"), &[&root], &files);
        let merge = commit(&format!("merge {number}"), &[&main[main.len() - 1], &tip], &[("merged", "2")]);
        world.push(&repo, push_of(&format!("side{number}"), [&tip])).await.unwrap();
        tips.push(tip);
        main.push(merge);
    }
    world.push(&repo, push_of("main", &main)).await.unwrap();
    let head = main[main.len() - 1].id;
    Merged { repo: world.reopen(&repo).await, world, tips, head }
}

impl Merged {
    fn recorded(&self) -> (Arc<Recording>, Backends) {
        let inner = self.world.objects.clone();
        let recording = Arc::new(Recording { inner, largest: AtomicU64::new(0), read: AtomicU64::new(0) });
        (recording.clone(), Backends { objects: recording, ..self.world.backends() })
    }
}

fn assert_bounded(recording: &Recording, merges: u64) {
    let (largest, read) = (recording.largest.load(Ordering::SeqCst), recording.read.load(Ordering::SeqCst));
    assert!(read > merges * SNAPSHOT / 2, "{read} bytes: every snapshot of the boundary was read");
    assert!(largest <= BATCH + SNAPSHOT, "{largest} bytes were read at once");
}

fn mpacks(backends: Backends, world: &World, store: &MemoryMpacks) -> Mpacks {
    let (hub, built) = (hub(backends), world.index.clone());
    let releases = Releases::new(hub.clone(), built.clone());
    Mpacks::new(hub, Arc::new(store.clone()), built, Arc::new(SystemClock), releases, MpackOptions::default())
}

#[test]
fn what_a_fetch_has_already_is_read_in_batches() {
    block_on(async {
        let merged = merged(40).await;
        let have: Vec<CommitId> = merged.tips.iter().map(|tip| tip.id).collect();
        let (recording, backends) = merged.recorded();
        let plan = hub(backends).fetch(&merged.repo, &[merged.head], &have, u64::MAX).await.unwrap();
        assert_eq!((plan.commits.len(), plan.blobs.len()), (40, 1), "merges, and the file that they made");
        assert_bounded(&recording, 40);
    });
}

#[test]
fn what_a_fetch_of_a_pack_has_already_is_read_in_batches() {
    block_on(async {
        let merged = merged(40).await;
        let have: Vec<CommitId> = merged.tips.iter().map(|tip| tip.id).collect();
        let (recording, backends) = merged.recorded();
        let packs = mpacks(backends, &merged.world, &MemoryMpacks::default());
        let (pack, _) = packs.fetch_pack(&merged.repo, &[merged.head], &have).await.unwrap();
        assert_eq!((pack.commits, pack.blobs), (40, 1));
        assert_bounded(&recording, 40);
    });
}

#[test]
fn what_deltas_are_based_on_is_read_in_batches() {
    block_on(async {
        let merged = merged(40).await;
        // One commit after another, each with a snapshot that is all but nothing and a delta of a large one.
        let mut contents = Contents::default();
        let mut made: Vec<Made> = Vec::new();
        for (number, base) in merged.tips.iter().enumerate() {
            let file = number.to_string();
            let parents: Vec<&Made> = made.last().into_iter().collect();
            let next = commit(&format!("next {number}"), &parents, &[(&file, "the same")]);
            contents.commits.add(&next.record);
            let (base_id, id) = (base.snapshot_id(), next.snapshot_id());
            contents.snapshots.add_delta(&SnapshotDelta::between(
                &base.snapshot,
                base_id,
                &next.snapshot,
                id,
            ));
            made.push(next);
        }
        let (mut bytes, writer) = contents.begin();
        bytes.extend_from_slice(&writer.finish().0);

        let store = MemoryMpacks::default();
        let id = MpackId::of(&bytes);
        let mut writer = store.begin(&MpackFile::incoming(&merged.repo.repo_id, id)).await.unwrap();
        writer.write(Bytes::from(bytes)).await.unwrap();
        writer.finish().await.unwrap();
        let (recording, backends) = merged.recorded();
        let packs = mpacks(backends, &merged.world, &store);
        let head = Some(made[made.len() - 1].id);
        let upload = UploadedPack {
            mpack_key: id,
            branch: branch("next"),
            head,
            force: false,
            pusher: handle("alice"),
        };
        packs.index(&merged.repo, &upload).await.unwrap();
        assert_bounded(&recording, 40);
        let plan = merged.world.fetch(&merged.repo, &[made[39].id], &[]).await;
        assert_eq!(plan.snapshots.len(), 40, "each was rebuilt");
    });
}
