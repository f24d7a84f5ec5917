//! A packed store on disk, and objects to put there.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use musehub_core::port::{
    BackendError, Located, NewObject, ObjectBody, ObjectStore, PackId, PackedObject, PutReceipt, Staged,
    Staging,
};
use musehub_core::scheme::flat_v1;
use musehub_core::{BlobId, ObjectKey, ObjectKind, RepoId, canonical, hash};
use musehub_store::{Backend, PackedStore};

/// Lengths of a pack's parts, as the format has them.
pub(crate) const PACK_HEADER: usize = 8;
pub(crate) const PACK_FOOTER: usize = 40;

/// A packed store in a directory of its own.
pub(crate) struct Disk {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: PackedStore,
}

impl Disk {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        Self { directory, store }
    }

    /// Another process over the same directory.
    pub(crate) async fn reopened(&self) -> PackedStore {
        open(self.directory.path()).await
    }

    pub(crate) fn path(&self, pack: PackId, extension: &str) -> PathBuf {
        let name = pack.to_string();
        self.directory.path().join(format!("packs/{}/{name}.{extension}", &name[..2]))
    }

    pub(crate) fn files(&self) -> Vec<String> {
        files(self.directory.path())
    }

    /// Finished files with an extension.
    pub(crate) fn count(&self, extension: &str) -> usize {
        let files = self.files();
        files.iter().filter(|file| file.ends_with(extension)).count()
    }
}

pub(crate) async fn open(directory: &Path) -> PackedStore {
    PackedStore::scan(Backend::local(directory).unwrap()).await.unwrap()
}

/// Every file below a directory, relative to it, in order.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let relative = path.strip_prefix(directory).unwrap();
                found.push(relative.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

pub(crate) fn repo() -> RepoId {
    RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap()
}

/// `length` bytes that differ with the seed and do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn blob(payload: &[u8]) -> NewObject {
    object(flat_v1::blob_id(payload).key(), payload)
}

fn object(key: ObjectKey, payload: &[u8]) -> NewObject {
    NewObject { key, body: ObjectBody::Canonical(canonical::encode(key.kind, payload).into()) }
}

/// A snapshot or commit with an id of `typed-v2`.
pub(crate) fn record(kind: ObjectKind, payload: &[u8]) -> NewObject {
    let canonical = canonical::encode(kind, payload);
    let algorithm = musehub_core::HashAlgorithm::Blake3;
    let id = musehub_core::ObjectId::new(algorithm, hash::digest(algorithm, &[&canonical]));
    object(ObjectKey { kind, id }, payload)
}

pub(crate) fn staged(staged: &Staged) -> NewObject {
    NewObject { key: staged.id.key(), body: ObjectBody::Staged(staged.clone()) }
}

pub(crate) fn bytes_of(object: &NewObject) -> &Bytes {
    match &object.body {
        ObjectBody::Canonical(bytes) => bytes,
        ObjectBody::Staged(staged) => panic!("{} is staged", staged.id),
    }
}

pub(crate) async fn put(store: &PackedStore, objects: &[NewObject]) -> PutReceipt {
    store.put(objects.to_vec()).await.unwrap()
}

pub(crate) fn places(receipt: &PutReceipt) -> Vec<Located> {
    receipt.objects.iter().map(PackedObject::located).collect()
}

/// Uploads one payload in pieces of the given lengths, which repeat.
pub(crate) async fn stage(store: &PackedStore, payload: &[u8], pieces: &[usize]) -> Staged {
    let id = flat_v1::blob_id(payload);
    let mut writer = store.begin(&repo()).await.unwrap();
    writer.begin_blob(id, payload.len() as u64).await.unwrap();
    let (mut rest, mut lengths) = (payload, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        rest = after;
    }
    writer.finish().await.unwrap();
    find(store, id).await.unwrap()
}

pub(crate) async fn find(store: &PackedStore, id: BlobId) -> Option<Staged> {
    store.find(&repo(), &[id]).await.unwrap().remove(0)
}

/// What was said to be damaged.
pub(crate) fn damage<T: std::fmt::Debug>(result: Result<T, BackendError>) -> String {
    match result {
        Err(BackendError::Damaged { what, .. }) => what,
        other => panic!("expected damage, got {other:?}"),
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 += 1;
        let hash = blake3::hash(&self.0.to_le_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap();
        (u64::from_le_bytes(*first) % limit as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
