//! Names, records and objects that the suites write.

use bytes::Bytes;

use crate::canonical;
use crate::hash;
use crate::id::{BlobId, CommitId, HashAlgorithm, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::port::{
    Located, NewObject, ObjectBody, ObjectStore, PackId, PackedObject, RepositoryIndex, RepositoryRecord,
    Timestamp, Visibility,
};
use crate::scheme::IdScheme;
use crate::settings::RepositorySettings;

/// A moment `millis` after one in the year 2027.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

pub(super) fn repo(n: u64) -> RepoId {
    RepoId::parse(&format!("00000000-0000-4000-8000-{n:012x}")).expect("a UUID")
}

pub(super) fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

pub(super) fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("a slug")
}

pub(super) fn branch(text: &str) -> BranchName {
    BranchName::parse(text).expect("a branch name")
}

/// Version 1 of a public repository.
pub(super) fn record(n: u64, owner: &str, name: &str) -> RepositoryRecord {
    RepositoryRecord {
        version: 1,
        repo_id: repo(n),
        owner: handle(owner),
        slug: slug(name),
        visibility: Visibility::Public,
        description: "a 'fixture'; 100 % \u{1f980}".to_owned(),
        scheme: None,
        default_branch: None,
        settings: RepositorySettings::default(),
        created_at: at(i64::try_from(n).expect("a small number")),
        deleted: false,
    }
}

/// What its first push makes of a record.
pub(super) fn after_first_push(record: &RepositoryRecord) -> RepositoryRecord {
    let (scheme, default_branch) = (Some(IdScheme::FlatV1), Some(branch("main")));
    RepositoryRecord { version: record.version + 1, scheme, default_branch, ..record.clone() }
}

/// Creates the repositories 1 to `count` in a read model.
pub(super) async fn create_repositories<B: RepositoryIndex>(index: &B, count: u64) {
    for n in 1..=count {
        let record = record(n, "fixture", &format!("repository-{n}"));
        index.put_repository(&record).await.expect("put_repository takes a new record");
    }
}

fn digest(kind: ObjectKind, seed: &str) -> [u8; 32] {
    hash::digest(HashAlgorithm::Sha256, &[kind.as_str().as_bytes(), b"\0", seed.as_bytes()])
}

pub(super) fn blob_id(seed: &str) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, digest(ObjectKind::Blob, seed))
}

pub(super) fn snapshot_id(seed: &str) -> SnapshotId {
    SnapshotId::new(HashAlgorithm::Sha256, digest(ObjectKind::Snapshot, seed))
}

pub(super) fn commit_id(seed: &str) -> CommitId {
    CommitId::new(HashAlgorithm::Sha256, digest(ObjectKind::Commit, seed))
}

pub(super) fn pack_id(seed: &str) -> PackId {
    PackId::new(hash::digest(HashAlgorithm::Blake3, &[seed.as_bytes()]))
}

/// The id of a blob with this payload under `flat-v1`.
pub(super) fn id_of(payload: &[u8]) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, hash::digest(HashAlgorithm::Sha256, &[payload]))
}

fn object(key: ObjectKey, payload: &[u8]) -> NewObject {
    let bytes = Bytes::from(canonical::encode(key.kind, payload));
    NewObject { key, body: ObjectBody::Canonical(bytes) }
}

/// A blob of `flat-v1`.
pub(super) fn blob(payload: &[u8]) -> NewObject {
    object(id_of(payload).key(), payload)
}

/// A blob of `typed-v2`.
pub(super) fn typed_blob(algorithm: HashAlgorithm, payload: &[u8]) -> NewObject {
    let canonical = canonical::encode(ObjectKind::Blob, payload);
    object(BlobId::new(algorithm, hash::digest(algorithm, &[&canonical])).key(), payload)
}

/// A snapshot or commit of `flat-v1`, whose id says nothing of all its bytes.
pub(super) fn flat_record(kind: ObjectKind, seed: &str, payload: &str) -> NewObject {
    let key = ObjectKey { kind, id: ObjectId::new(HashAlgorithm::Sha256, digest(kind, seed)) };
    object(key, payload.as_bytes())
}

/// The empty snapshot of `flat-v1`, which shares its id with the empty blob.
pub(super) fn empty_snapshot() -> NewObject {
    let key = ObjectKey { kind: ObjectKind::Snapshot, id: id_of(b"").object_id() };
    object(key, br#"{"manifest":{}}"#)
}

/// `length` bytes that repeat nowhere soon.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = [0_u8; 32];
    while bytes.len() < length {
        block = hash::digest(HashAlgorithm::Blake3, &[&block]);
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn keys_of(objects: &[NewObject]) -> Vec<ObjectKey> {
    objects.iter().map(|object| object.key).collect()
}

/// The canonical bytes of a fixture.
pub(super) fn bytes_of(object: &NewObject) -> &Bytes {
    match &object.body {
        ObjectBody::Canonical(bytes) => bytes,
        ObjectBody::Staged(staged) => panic!("{} of {} is staged", object.key, staged.upload),
    }
}

/// Puts objects and checks the receipt against them; gives where they lie.
pub(super) async fn put<B: ObjectStore>(store: &B, objects: &[NewObject]) -> Vec<Located> {
    let receipt = store.put(objects.to_vec()).await.expect("put takes these objects");
    let keys: Vec<ObjectKey> = receipt.objects.iter().map(|object| object.key).collect();
    assert_eq!(keys, keys_of(objects), "the receipt names every object of the put, in the order given");
    for (object, packed) in objects.iter().zip(&receipt.objects) {
        let payload = canonical::decode(bytes_of(object)).expect("canonical bytes").1;
        assert_eq!(
            packed.size,
            payload.len() as u64,
            "the receipt's size of {} is its payload's",
            object.key
        );
    }
    receipt.objects.iter().map(PackedObject::located).collect()
}

/// Reads one object.
pub(super) async fn read_one<B: ObjectStore>(store: &B, object: Located) -> Bytes {
    let mut read = store.read(&[object]).await.expect("read gives what a receipt names");
    assert_eq!(read.len(), 1, "read gives one answer for each object");
    read.remove(0)
}
