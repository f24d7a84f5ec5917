//! How long each phase of indexing a pack takes: a hub whose backends are timed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::graph::CommitNode;
use crate::hub::{Backends, Hub};
use crate::id::{BlobId, CommitId, ObjectKey, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::port::{
    BackendError, BlobRow, BranchRow, CommitRow, HistoryIndex, Located, MoveRows, NewObject, ObjectStore,
    PackId, PackedObject, Place, PutReceipt, RowTimes, SnapshotRow, Stopwatch,
};

/// A phase of indexing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    FetchMpack,
    Unpack,
    SnapshotInsert,
    CommitInsert,
    ObjectPuts,
    ObjectInsert,
    ObjectRefs,
}

/// What was measured so far. No moment counts to two phases.
pub(super) struct Phases {
    stopwatch: Arc<dyn Stopwatch>,
    begun: Duration,
    /// Nanoseconds by phase.
    spent: [AtomicU64; 7],
}

impl Phases {
    pub(super) fn begin(stopwatch: Arc<dyn Stopwatch>) -> Arc<Self> {
        let begun = stopwatch.elapsed();
        Arc::new(Self { stopwatch, begun, spent: Default::default() })
    }

    fn add(&self, phase: Phase, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.spent[phase as usize].fetch_add(nanos, Ordering::Relaxed);
    }

    /// Does something that counts to a phase.
    pub(super) async fn timed<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let begun = self.stopwatch.elapsed();
        let done = work.await;
        self.add(phase, self.stopwatch.elapsed().saturating_sub(begun));
        done
    }

    /// Milliseconds of a phase.
    pub(super) fn millis(&self, phase: Phase) -> f64 {
        let nanos = self.spent[phase as usize].load(Ordering::Relaxed);
        Duration::from_nanos(nanos).as_secs_f64() * 1000.0
    }

    /// Milliseconds since the beginning.
    pub(super) fn elapsed_millis(&self) -> f64 {
        self.stopwatch.elapsed().saturating_sub(self.begun).as_secs_f64() * 1000.0
    }
}

/// The same hub, which says how long its writes take.
pub(super) fn timed_hub(hub: &Hub, phases: &Arc<Phases>) -> Hub {
    let inner = hub.backends.clone();
    let objects = Arc::new(Timed { inner: inner.objects.clone(), phases: phases.clone() });
    let history = Arc::new(Timed { inner: inner.history.clone(), phases: phases.clone() });
    Hub { backends: Backends { objects, history, ..inner }, ..hub.clone() }
}

struct Timed<P: ?Sized> {
    inner: Arc<P>,
    phases: Arc<Phases>,
}

#[async_trait]
impl ObjectStore for Timed<dyn ObjectStore> {
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError> {
        self.phases.timed(Phase::ObjectPuts, self.inner.put(objects)).await
    }

    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        self.inner.locate(keys).await
    }

    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        self.inner.present(places).await
    }

    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
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

#[async_trait]
impl HistoryIndex for Timed<dyn HistoryIndex> {
    async fn record_move(&self, rows: MoveRows) -> Result<RowTimes, BackendError> {
        let times = self.inner.record_move(rows).await?;
        self.phases.add(Phase::ObjectInsert, times.objects);
        self.phases.add(Phase::ObjectRefs, times.object_refs);
        self.phases.add(Phase::SnapshotInsert, times.snapshots);
        self.phases.add(Phase::CommitInsert, times.commits);
        Ok(times)
    }

    async fn branches(&self, repo: &RepoId) -> Result<Vec<BranchRow>, BackendError> {
        self.inner.branches(repo).await
    }

    async fn branch(
        &self,
        repo: &RepoId,
        branch: &BranchName,
    ) -> Result<(Option<CommitId>, u64), BackendError> {
        self.inner.branch(repo, branch).await
    }

    async fn commit_nodes(
        &self,
        repo: &RepoId,
        ids: &[CommitId],
        window: u32,
    ) -> Result<Vec<CommitNode>, BackendError> {
        self.inner.commit_nodes(repo, ids, window).await
    }

    async fn commits(&self, repo: &RepoId, ids: &[CommitId]) -> Result<Vec<CommitRow>, BackendError> {
        self.inner.commits(repo, ids).await
    }

    async fn snapshots(&self, repo: &RepoId, ids: &[SnapshotId]) -> Result<Vec<SnapshotRow>, BackendError> {
        self.inner.snapshots(repo, ids).await
    }

    async fn blobs(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<BlobRow>, BackendError> {
        self.inner.blobs(repo, ids).await
    }

    async fn commit_count(&self, repo: &RepoId) -> Result<u64, BackendError> {
        self.inner.commit_count(repo).await
    }
}
