//! A hub in memory, and histories to push to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use musehub_core::hub::{
    Backends, FetchPlan, InlineBlob, Need, NewRepository, Options, Push, PushError, PushOutcome, Viewer,
};
use musehub_core::memory::{FixedClock, MemoryIndex, MemoryObjects, MemoryRefs};
use musehub_core::object::{Commit, Manifest, Snapshot, SnapshotRecord};
use musehub_core::port::{
    JobKind, JobPriority, RefLogEntry, RefStore, RepositoryRecord, Staging, Timestamp, Visibility,
};
use musehub_core::scheme::{IdScheme, flat_v1, typed_v2};
use musehub_core::{
    BlobId, BranchName, CommitId, Handle, HashAlgorithm, Hub, ObjectKind, RepoPath, Slug, SnapshotId,
    canonical,
};
use serde_json::{Map, Value, json};

pub(crate) const NO_LIMIT: u64 = u64::MAX;
/// The kind of the jobs that moves of the default branch make.
pub(crate) const JOB: &str = "test.job";
/// The kind of those that moves of any branch make.
pub(crate) const BRANCH_JOB: &str = "test.branch.job";

pub(crate) fn branch(name: &str) -> BranchName {
    BranchName::parse(name).unwrap()
}

pub(crate) fn handle(name: &str) -> Handle {
    Handle::parse(name).unwrap()
}

pub(crate) fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

pub(crate) fn alice() -> Viewer {
    Viewer::Identity(handle("alice"))
}

/// A hub and its stores.
pub(crate) struct World {
    pub(crate) objects: MemoryObjects,
    pub(crate) refs: Arc<MemoryRefs>,
    pub(crate) index: Arc<MemoryIndex>,
    pub(crate) hub: Hub,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(MemoryObjects::new(), Arc::default(), Arc::default())
    }

    fn over(objects: MemoryObjects, refs: Arc<MemoryRefs>, index: Arc<MemoryIndex>) -> Self {
        let hub = hub(backends(&objects, &refs, &index));
        Self { objects, refs, index, hub }
    }

    /// Another process over the same stores, with the same index.
    pub(crate) fn restarted(&self) -> Self {
        Self::over(self.objects.clone(), self.refs.clone(), self.index.clone())
    }

    /// Another process over the same stores that has lost the index.
    pub(crate) fn without_index(&self) -> Self {
        Self::over(self.objects.clone(), self.refs.clone(), Arc::default())
    }

    pub(crate) fn backends(&self) -> Backends {
        backends(&self.objects, &self.refs, &self.index)
    }

    pub(crate) async fn create(&self, name: &str) -> RepositoryRecord {
        self.create_as("alice", name, Visibility::Public).await
    }

    pub(crate) async fn create_as(
        &self,
        owner: &str,
        name: &str,
        visibility: Visibility,
    ) -> RepositoryRecord {
        self.hub.create_repository(new_repository(owner, name, visibility)).await.unwrap()
    }

    /// What its owner opens under a repository's name now.
    pub(crate) async fn reopen(&self, repo: &RepositoryRecord) -> RepositoryRecord {
        let viewer = Viewer::Identity(repo.owner.clone());
        let opened = self.hub.open(&repo.owner, &repo.slug, &viewer, Need::Write).await;
        opened.unwrap()
    }

    pub(crate) async fn push(&self, repo: &RepositoryRecord, push: Push) -> Result<PushOutcome, PushError> {
        self.hub.receive_push(repo, &repo.owner, push).await
    }

    /// The moves of a branch that its log has.
    pub(crate) async fn refs_of(&self, repo: &RepositoryRecord, branch: &BranchName) -> Vec<RefLogEntry> {
        self.refs.history(&repo.repo_id, branch, 0).await.unwrap()
    }

    /// The heads by branch.
    pub(crate) async fn heads(&self, repo: &RepositoryRecord) -> BTreeMap<String, CommitId> {
        let refs = self.hub.refs(repo).await.unwrap();
        let heads = refs.branches.into_iter();
        heads.map(|row| (row.name.to_string(), row.head)).collect()
    }

    pub(crate) async fn fetch(
        &self,
        repo: &RepositoryRecord,
        want: &[CommitId],
        have: &[CommitId],
    ) -> FetchPlan {
        self.hub.fetch(repo, want, have, NO_LIMIT).await.unwrap()
    }

    /// What a clone of one commit holds: commits, and every file of every snapshot.
    pub(crate) async fn clone_of(&self, repo: &RepositoryRecord, tip: CommitId) -> Cloned {
        let plan = self.fetch(repo, &[tip], &[]).await;
        let contents = self.hub.contents(&plan.blobs).await.unwrap();
        let blobs: BTreeMap<BlobId, Bytes> = plan.blobs.iter().map(|row| row.id).zip(contents).collect();
        let trees = plan.snapshots.iter().map(|snapshot| {
            let files = snapshot.manifest().iter();
            let files = files.map(|(path, blob)| (path.to_string(), blobs[blob].clone()));
            (snapshot.id(), files.collect())
        });
        Cloned { commits: plan.commits.iter().map(|(row, _)| row.id).collect(), trees: trees.collect() }
    }

    pub(crate) async fn stage(&self, repo: &RepositoryRecord, blobs: &[InlineBlob]) {
        let mut writer = self.objects.begin(&repo.repo_id).await.unwrap();
        for blob in blobs {
            writer.begin_blob(blob.id, blob.content.len() as u64).await.unwrap();
            writer.write(blob.content.clone()).await.unwrap();
        }
        writer.finish().await.unwrap();
    }
}

#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Cloned {
    pub(crate) commits: BTreeSet<CommitId>,
    pub(crate) trees: BTreeMap<SnapshotId, BTreeMap<String, Bytes>>,
}

impl Cloned {
    /// What a clone of this history must hold.
    pub(crate) fn expected<'a>(history: impl IntoIterator<Item = &'a Made>) -> Self {
        let mut cloned = Self::default();
        for made in history {
            cloned.commits.insert(made.id);
            cloned.trees.insert(made.snapshot_id(), made.files.clone());
        }
        cloned
    }
}

fn backends(objects: &MemoryObjects, refs: &Arc<MemoryRefs>, index: &Arc<MemoryIndex>) -> Backends {
    Backends {
        objects: Arc::new(objects.clone()),
        staging: Arc::new(objects.clone()),
        refs: refs.clone(),
        repositories: index.clone(),
        history: index.clone(),
        unstored: index.clone(),
        claims: index.clone(),
        collaborators: index.clone(),
        keys: index.clone(),
        proposals: index.clone(),
        conversations: index.clone(),
        clock: Arc::new(FixedClock::new(Timestamp::from_millis(1_800_000_000_000))),
    }
}

pub(crate) fn hub(backends: Backends) -> Hub {
    let options = Options {
        default_branch_jobs: vec![JobKind::new(JOB)],
        branch_jobs: vec![JobKind::new(BRANCH_JOB).with_priority(JobPriority::Low)],
    };
    Hub::new(backends, options)
}

pub(crate) fn new_repository(owner: &str, name: &str, visibility: Visibility) -> NewRepository {
    NewRepository {
        owner: handle(owner),
        slug: slug(name),
        visibility,
        description: String::new(),
        scheme: None,
    }
}

/// A commit as a client makes it, with everything that it names.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: CommitId,
    pub(crate) parents: Vec<CommitId>,
    pub(crate) record: Map<String, Value>,
    pub(crate) snapshot: SnapshotRecord,
    pub(crate) blobs: Vec<InlineBlob>,
    pub(crate) files: BTreeMap<String, Bytes>,
}

impl Made {
    pub(crate) fn snapshot_id(&self) -> SnapshotId {
        self.snapshot.id.unwrap()
    }
}

fn contents(files: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
    let owned = |(path, text): &(&str, &str)| (path.to_string(), Bytes::from(text.to_string()));
    files.iter().map(owned).collect()
}

fn manifest(blobs: &[(String, BlobId)]) -> Manifest {
    let entry = |(path, id): &(String, BlobId)| (RepoPath::parse(path).unwrap(), *id);
    Manifest::new(blobs.iter().map(entry).collect()).unwrap()
}

/// A commit of `flat-v1`, on branch `main` by its record.
pub(crate) fn commit(message: &str, parents: &[&Made], files: &[(&str, &str)]) -> Made {
    commit_on("main", message, parents, files)
}

pub(crate) fn commit_on(on: &str, message: &str, parents: &[&Made], files: &[(&str, &str)]) -> Made {
    let files = contents(files);
    let ids: Vec<(String, BlobId)> =
        files.iter().map(|(path, content)| (path.clone(), flat_v1::blob_id(content))).collect();
    let snapshot_id = flat_v1::snapshot_id(ids.iter().map(|(path, id)| (path.as_str(), id))).unwrap();
    let parents: Vec<CommitId> = parents.iter().map(|parent| parent.id).collect();
    let time = "2026-03-20T12:00:00+00:00";
    let id = flat_v1::commit_id(&parents, &snapshot_id, message, time).unwrap();
    let parent = |n: usize| parents.get(n).map(CommitId::to_hex);
    let record = json!({
        "commit_id": id.to_hex(),
        "snapshot_id": snapshot_id.to_hex(),
        "parent_commit_id": parent(0),
        "parent2_commit_id": parent(1),
        "message": message,
        "committed_at": time,
        "author": "alice",
        "branch": on,
    });
    let snapshot =
        SnapshotRecord { id: Some(snapshot_id), manifest: manifest(&ids), ..SnapshotRecord::default() };
    Made {
        id,
        parents,
        record: record.as_object().unwrap().clone(),
        snapshot,
        blobs: inline(&ids, &files),
        files,
    }
}

/// A commit of `typed-v2` whose ids are of BLAKE3.
pub(crate) fn native_commit(message: &str, parents: &[&Made], files: &[(&str, &str)]) -> Made {
    native_commit_of(HashAlgorithm::Blake3, message, parents, files)
}

pub(crate) fn native_commit_of(
    algorithm: HashAlgorithm,
    message: &str,
    parents: &[&Made],
    files: &[(&str, &str)],
) -> Made {
    let scheme = IdScheme::TypedV2;
    let files = contents(files);
    let ids: Vec<(String, BlobId)> =
        files.iter().map(|(path, content)| (path.clone(), typed_v2::blob_id(algorithm, content))).collect();
    let mut snapshot = SnapshotRecord {
        manifest: manifest(&ids),
        directories: vec![RepoPath::parse("empty").unwrap()],
        ..SnapshotRecord::default()
    };
    let verified = Snapshot::verify(scheme, snapshot.clone()).unwrap();
    let bytes = verified.canonical(scheme).unwrap();
    let payload = canonical::payload_of(ObjectKind::Snapshot, &bytes).unwrap();
    let snapshot_id: SnapshotId = typed_v2::object_id(algorithm, ObjectKind::Snapshot, payload).into();
    snapshot.id = Some(snapshot_id);
    let parents: Vec<CommitId> = parents.iter().map(|parent| parent.id).collect();
    let record = json!({
        "snapshot_id": snapshot_id,
        "parents": parents,
        "message": message,
        "committed_at": "2027-01-01T00:00:00Z",
        "branch": "main",
    });
    let record = record.as_object().unwrap().clone();
    let id = Commit::verify(scheme, record.clone()).unwrap().id();
    Made { id, parents, record, snapshot, blobs: inline(&ids, &files), files }
}

fn inline(ids: &[(String, BlobId)], files: &BTreeMap<String, Bytes>) -> Vec<InlineBlob> {
    let blob = |(path, id): &(String, BlobId)| InlineBlob { id: *id, content: files[path].clone() };
    ids.iter().map(blob).collect()
}

/// A push of these commits and of all that they name.
pub(crate) fn push_of<'a>(to: &str, commits: impl IntoIterator<Item = &'a Made>) -> Push {
    let mut push = Push {
        branch: branch(to),
        force: false,
        scheme: IdScheme::FlatV1,
        commits: Vec::new(),
        snapshots: Vec::new(),
        blobs: Vec::new(),
    };
    for made in commits {
        push.commits.push(made.record.clone());
        push.snapshots.push(made.snapshot.clone());
        push.blobs.extend_from_slice(&made.blobs);
    }
    push
}

/// The same, moving the branch wherever it stands.
pub(crate) fn forced<'a>(to: &str, commits: impl IntoIterator<Item = &'a Made>) -> Push {
    Push { force: true, ..push_of(to, commits) }
}

/// A straight history of `length` commits, each changing one of three files.
pub(crate) fn chain(label: &str, base: Option<&Made>, length: usize) -> Vec<Made> {
    let mut commits: Vec<Made> = Vec::new();
    let mut texts = [0, 0, 0];
    for n in 0..length {
        texts[n % 3] = n;
        let texts = texts.map(|text| format!("{label} {text}\n"));
        let files = [("a.py", &*texts[0]), ("b.py", &*texts[1]), ("lib/c.py", &*texts[2])];
        let parents: Vec<&Made> = commits.last().or(base).into_iter().collect();
        commits.push(commit(&format!("{label} {n}"), &parents, &files));
    }
    commits
}
