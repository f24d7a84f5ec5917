//! Objects in memory, packed as a store on disk would pack them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::staging::Upload;
use super::{conflict, damaged, lock, missing};
use crate::canonical;
use crate::hash::{self, Hasher};
use crate::id::{HashAlgorithm, ObjectId, ObjectKey, ObjectKind};
use crate::port::{
    BackendError, Clock, Located, NewObject, ObjectBody, ObjectStore, PackId, PackedObject, Place,
    PutReceipt, SystemClock,
};

/// The length of a piece of [`ObjectStore::stream`].
const PIECE_BYTES: usize = 64 * 1024;

/// An [`ObjectStore`] and its [`Staging`](crate::port::Staging) in memory. Clones share one store.
///
/// A put becomes one pack: the canonical bytes of its objects one after the other, without framing. The pack's id
/// covers the keys as well, since equal bytes may go by several ids.
///
/// # Errors
/// [`BackendError::Conflict`] for other bytes under the key of a blob, or of any object whose id is the hash of its
/// canonical bytes, and for two contents of one key in one put. [`BackendError::Damaged`] for bytes that are not
/// canonical bytes of the key's kind, and for a blob whose id is the hash neither of its payload nor of its canonical
/// bytes. [`BackendError::Missing`] for places, packs and staged blobs that this store never gave out.
#[derive(Clone)]
pub struct MemoryObjects {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Default)]
pub(super) struct State {
    packs: BTreeMap<PackId, Vec<(PackedObject, Bytes)>>,
    places: HashMap<ObjectKey, Vec<Place>>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) uploads_begun: u64,
}

impl MemoryObjects {
    /// An empty store that takes the times of its uploads from the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store that takes the times of its uploads from `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock }
    }
}

impl Default for MemoryObjects {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("MemoryObjects")
            .field("packs", &state.packs.len())
            .field("objects", &state.places.len())
            .field("uploads", &state.uploads.len())
            .finish()
    }
}

/// Whether a blob's id is its hash under one of the schemes.
pub(super) fn is_blob_hash(id: &ObjectId, canonical: &[u8], payload: &[u8]) -> bool {
    [payload, canonical].iter().any(|bytes| hash::digest(id.algorithm(), &[bytes]) == *id.digest())
}

/// Refuses bytes that cannot be those of `key`; gives the length of their payload.
fn check(key: &ObjectKey, bytes: &[u8]) -> Result<u64, BackendError> {
    let payload = canonical::payload_of(key.kind, bytes)
        .map_err(|error| damaged(key.to_string(), error.to_string()))?;
    if key.kind == ObjectKind::Blob && !is_blob_hash(&key.id, bytes, payload) {
        return Err(damaged(key.to_string(), "its id is not the hash of its bytes"));
    }
    Ok(payload.len() as u64)
}

impl State {
    /// The bytes of an object, where they are its own.
    fn object(&self, wanted: &Located) -> Result<&Bytes, BackendError> {
        let (object, bytes) = self.resting(&wanted.place)?;
        if object.key == wanted.key {
            return Ok(bytes);
        }
        Err(damaged(format!("{} at {}", wanted.key, wanted.place), format!("it is {} there", object.key)))
    }

    pub(super) fn record(&self, place: &Place) -> Result<&Bytes, BackendError> {
        self.resting(place).map(|(_, bytes)| bytes)
    }

    fn resting(&self, place: &Place) -> Result<(&PackedObject, &Bytes), BackendError> {
        let records = self.packs.get(&place.pack).ok_or_else(|| missing(format!("pack {}", place.pack)))?;
        let at = records.binary_search_by_key(&place.offset, |(object, _)| object.place.offset).ok();
        at.map(|at| &records[at])
            .filter(|(object, _)| object.place == *place)
            .map(|(object, bytes)| (object, bytes))
            .ok_or_else(|| missing(place.to_string()))
    }

    fn bytes_of(&self, object: NewObject) -> Result<Bytes, BackendError> {
        match object.body {
            ObjectBody::Canonical(bytes) => Ok(bytes),
            ObjectBody::Staged(staged) if staged.id.key() != object.key => {
                Err(conflict(format!("another object than {} in the upload", object.key)))
            }
            ObjectBody::Staged(staged) => {
                let upload = self.uploads.get(&staged.upload);
                let bytes = upload.and_then(|upload| upload.bytes_of(&staged));
                bytes.ok_or_else(|| missing(format!("{} of upload {}", object.key, staged.upload)))
            }
        }
    }

    /// Refuses other bytes under a key that has one content: a blob's, and any that hashes its canonical bytes.
    fn refuse_other_content(&self, key: &ObjectKey, bytes: &Bytes) -> Result<(), BackendError> {
        let is_hash = |bytes: &Bytes| hash::digest(key.id.algorithm(), &[bytes]) == *key.id.digest();
        for place in self.places.get(key).into_iter().flatten() {
            let held = self.record(place)?;
            if held != bytes && (key.kind == ObjectKind::Blob || is_hash(held) || is_hash(bytes)) {
                return Err(conflict(key.to_string()));
            }
        }
        Ok(())
    }

    fn write_pack(&mut self, records: &[(ObjectKey, u64, Bytes)]) -> (PackId, Vec<PackedObject>) {
        let mut hasher = Hasher::new(HashAlgorithm::Blake3);
        for (key, _, bytes) in records {
            hasher.update(format!("{key}\0").as_bytes());
            hasher.update(bytes);
        }
        let pack = PackId::new(hasher.finish());
        let mut offset = 0;
        let mut packed = Vec::with_capacity(records.len());
        for (key, size, bytes) in records {
            let length = bytes.len() as u64;
            packed.push(PackedObject { key: *key, place: Place { pack, offset, length }, size: *size });
            offset += length;
        }
        if !self.packs.contains_key(&pack) {
            for object in &packed {
                self.places.entry(object.key).or_default().push(object.place);
            }
            let bytes = records.iter().map(|(_, _, bytes)| bytes.clone());
            self.packs.insert(pack, packed.iter().copied().zip(bytes).collect());
        }
        (pack, packed)
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError> {
        let mut state = lock(&self.state);
        let mut records: Vec<(ObjectKey, u64, Bytes)> = Vec::with_capacity(objects.len());
        let mut known: HashMap<ObjectKey, usize> = HashMap::with_capacity(objects.len());
        let mut given = Vec::with_capacity(objects.len());
        for object in objects {
            let key = object.key;
            let bytes = state.bytes_of(object)?;
            let size = check(&key, &bytes)?;
            state.refuse_other_content(&key, &bytes)?;
            let at = match known.entry(key) {
                Entry::Occupied(at) if records[*at.get()].2 != bytes => {
                    return Err(conflict(format!("{key} in the same put")));
                }
                Entry::Occupied(at) => *at.get(),
                Entry::Vacant(new) => {
                    records.push((key, size, bytes));
                    *new.insert(records.len() - 1)
                }
            };
            given.push(at);
        }
        if records.is_empty() {
            return Ok(PutReceipt { pack: None, objects: Vec::new() });
        }
        let (pack, packed) = state.write_pack(&records);
        Ok(PutReceipt { pack: Some(pack), objects: given.into_iter().map(|at| packed[at]).collect() })
    }

    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        let state = lock(&self.state);
        Ok(keys.iter().map(|key| state.places.get(key).and_then(|places| places.first().copied())).collect())
    }

    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        let state = lock(&self.state);
        Ok(places.iter().map(|place| state.resting(place).is_ok()).collect())
    }

    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
        let state = lock(&self.state);
        objects.iter().map(|object| state.object(object).cloned()).collect()
    }

    async fn stream(
        &self,
        object: Located,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        let bytes = lock(&self.state).object(&object)?.clone();
        let starts = (0..bytes.len()).step_by(PIECE_BYTES);
        let pieces = starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + PIECE_BYTES))));
        Ok(stream::iter(pieces).boxed())
    }

    async fn packs(&self) -> Result<Vec<PackId>, BackendError> {
        Ok(lock(&self.state).packs.keys().copied().collect())
    }

    async fn pack_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        let state = lock(&self.state);
        let records = state.packs.get(&pack).ok_or_else(|| missing(format!("pack {pack}")))?;
        Ok(records.iter().map(|(object, _)| *object).collect())
    }
}
