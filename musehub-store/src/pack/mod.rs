//! Objects in packs: one immutable file and one index file for everything that is put together.

mod audit;
mod cache;
mod compress;
mod files;
mod fold;
pub(crate) mod format;
mod forward;
mod index_file;
mod places;
mod presence;
mod source;
mod staging;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use musehub_core::port::{
    BackendError, Located, NewObject, ObjectStore, PackId, PackedObject, Place, PutReceipt,
};
use musehub_core::{ObjectKey, ObjectKind};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};

use crate::backend::{Backend, PARTS_AT_ONCE, failed};
use crate::sealed::SealError;
use cache::RecordCache;
pub(crate) use compress::Effort;
pub(crate) use files::PackFile;
pub(crate) use fold::Folded;
use format::{FormatError, RECORD_FRAMING};
pub(crate) use forward::Forward;
use places::RecentPacks;
pub use places::{PlaceIndex, ScannedPlaces};
use presence::SeenPacks;
use source::PackSource;

/// Records nearer to each other than this are read with one request.
const READ_GAP: u64 = 64 << 10;
/// How much is asked for with one request at most, in bytes, unless one record is longer.
const MAX_READ: u64 = 16 << 20;
/// How many names a pack may have: retired ones are few.
const MAX_VARIANTS: u16 = 64;

/// Packs over an object store. Which pack holds an object is for a [`PlaceIndex`] to say.
#[derive(Clone)]
pub struct PackedStore {
    backend: Backend,
    places: Arc<dyn PlaceIndex>,
    /// What this process wrote last, which the place index may not know yet.
    recent: Arc<RecentPacks>,
    seen: Arc<SeenPacks>,
    cache: Arc<RecordCache>,
}

impl std::fmt::Debug for PackedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedStore").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl PackedStore {
    /// Packs in `backend`, found through `places`.
    #[must_use]
    pub fn new(backend: Backend, places: Arc<dyn PlaceIndex>) -> Self {
        Self {
            backend,
            places,
            recent: Arc::default(),
            seen: Arc::default(),
            cache: Arc::new(RecordCache::new(0)),
        }
    }

    /// Keeps up to `bytes` bytes of snapshots and commits that were read lately in memory. Without this, nothing is kept.
    #[must_use]
    pub fn with_cache(self, bytes: usize) -> Self {
        Self { cache: Arc::new(RecordCache::new(bytes)), ..self }
    }

    /// Packs in `backend`, found by reading every index file once, now: for stores without a database.
    ///
    /// # Errors
    /// [`BackendError`] where an index file cannot be read.
    pub async fn scan(backend: Backend) -> Result<Self, BackendError> {
        let store = Self::new(backend, Arc::new(ScannedPlaces::default()));
        let mut places = ScannedPlaces::default();
        for pack in store.packs().await? {
            places.add(&store.pack_objects(pack).await?);
        }
        Ok(Self { places: Arc::new(places), ..store })
    }

    /// Writes a pack and its index file, under a name that is not retired.
    async fn write_pack(&self, source: &PackSource) -> Result<(PackId, Vec<PackedObject>), BackendError> {
        for variant in 0..MAX_VARIANTS {
            let small = source.length() <= self.backend.parts.one_put;
            let (pack, objects) = if small {
                self.put_small(source, variant).await?
            } else {
                self.put_large(source, variant).await?
            };
            let index = format::write_index(pack, source.length(), &objects);
            let path = index_path(pack);
            let written = self.backend.durable.put(&path, index.into());
            // Asked after the pack was written: a name that is retired later is removed later than this push can take.
            let (written, retired) = futures::join!(written, self.is_retired(pack));
            written.map_err(|error| failed("writing a pack's index", error))?;
            if !retired? {
                return Ok((pack, objects));
            }
        }
        Err(BackendError::Conflict { what: "a pack under every name that it could have".to_owned() })
    }

    /// Whether a pack's name leads elsewhere or is about to be removed.
    async fn is_retired(&self, pack: PackId) -> Result<bool, BackendError> {
        let (forward, condemned) = (forward_path(pack), condemned_path(pack));
        let (forward, condemned) =
            futures::join!(self.backend.fast.head(&forward), self.backend.fast.head(&condemned));
        for found in [forward, condemned] {
            match found {
                Ok(_) => return Ok(true),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed("asking whether a pack's name is retired", error)),
            }
        }
        Ok(false)
    }

    /// Writes a small pack: once to learn its name, which is the hash of its bytes, and to write it.
    async fn put_small(
        &self,
        source: &PackSource,
        variant: u16,
    ) -> Result<(PackId, Vec<PackedObject>), BackendError> {
        let pieces: Vec<Bytes> = source.pieces(&self.backend, variant).try_collect().await?;
        let mut hash = blake3::Hasher::new();
        for piece in &pieces {
            hash.update(piece);
        }
        let pack = PackId::new(*hash.finalize().as_bytes());
        let payload = PutPayload::from_iter(pieces);
        let written = self.backend.durable.put(&pack_path(pack), payload).await;
        written.map_err(|error| failed("writing a pack", error))?;
        Ok((pack, source.objects(pack)))
    }

    /// Writes a large pack: read once to learn its name, and once more to write it part by part.
    async fn put_large(
        &self,
        source: &PackSource,
        variant: u16,
    ) -> Result<(PackId, Vec<PackedObject>), BackendError> {
        let mut hash = blake3::Hasher::new();
        let mut pieces = source.pieces(&self.backend, variant);
        while let Some(piece) = pieces.try_next().await? {
            hash.update(&piece);
        }
        let pack = PackId::new(*hash.finalize().as_bytes());
        let action = "writing a pack";
        let path = pack_path(pack);
        let upload = self.backend.durable.put_multipart(&path).await;
        let upload = upload.map_err(|error| failed(action, error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, self.backend.part_size(source.length()));
        if let Err(error) = self.write_parts(source, variant, pack, &mut upload).await {
            // The upload's own error says why; that it could not be cleaned up adds nothing.
            let _ = upload.abort().await;
            return Err(error);
        }
        if let Err(error) = upload.finish().await {
            // A store that completed the upload and whose answer was lost knows no such upload when it is asked again.
            let found = self.backend.durable.head(&path).await;
            if !found.is_ok_and(|found| found.size == source.length()) {
                return Err(BackendError::unavailable(action, error));
            }
        }
        Ok((pack, source.objects(pack)))
    }

    async fn write_parts(
        &self,
        source: &PackSource,
        variant: u16,
        pack: PackId,
        upload: &mut WriteMultipart,
    ) -> Result<(), BackendError> {
        let mut hash = blake3::Hasher::new();
        let mut pieces = source.pieces(&self.backend, variant);
        while let Some(piece) = pieces.try_next().await? {
            hash.update(&piece);
            let room = upload.wait_for_capacity(PARTS_AT_ONCE).await;
            room.map_err(|error| BackendError::unavailable("writing a pack", error))?;
            upload.put(piece);
        }
        if PackId::new(*hash.finalize().as_bytes()) != pack {
            let reason = "the staged bytes changed while they were read".to_owned();
            return Err(BackendError::Damaged { what: "an upload in staging".to_owned(), reason });
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for PackedStore {
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError> {
        if objects.is_empty() {
            return Ok(PutReceipt { pack: None, objects: Vec::new() });
        }
        let source = PackSource::prepare(objects).await?;
        let (pack, objects) = self.write_pack(&source).await?;
        self.recent.add(pack, &objects);
        Ok(PutReceipt { pack: Some(pack), objects })
    }

    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        let mut found = self.recent.locate(keys);
        let unknown: Vec<ObjectKey> =
            keys.iter().zip(&found).filter(|(_, place)| place.is_none()).map(|(key, _)| *key).collect();
        if !unknown.is_empty() {
            let mut rest = self.places.locate(&unknown).await?.into_iter();
            for place in found.iter_mut().filter(|place| place.is_none()) {
                *place = rest.next().flatten();
            }
        }
        Ok(found)
    }

    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        self.are_present(places).await
    }

    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
        let mut by_pack: HashMap<PackId, Vec<usize>> = HashMap::new();
        for (at, object) in objects.iter().enumerate() {
            by_pack.entry(object.place.pack).or_default().push(at);
        }
        let mut answer = vec![Bytes::new(); objects.len()];
        for (pack, positions) in by_pack {
            let mut lacking = Vec::with_capacity(positions.len());
            for at in positions {
                match self.cache.get(&objects[at]) {
                    Some(bytes) => answer[at] = bytes,
                    None => lacking.push(at),
                }
            }
            let wanted: Vec<Located> = lacking.iter().map(|at| objects[*at]).collect();
            for (at, bytes) in lacking.into_iter().zip(self.read_pack(pack, &wanted).await?) {
                if objects[at].key.kind != ObjectKind::Blob {
                    self.cache.add(objects[at], &bytes);
                }
                answer[at] = bytes;
            }
        }
        Ok(answer)
    }

    async fn stream(
        &self,
        object: Located,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        let Located { key, place } = object;
        if place.length <= compress::MAX_COMPRESSED + RECORD_FRAMING {
            let bytes = self.read_pack(place.pack, &[object]).await?.swap_remove(0);
            return Ok(stream::once(async { Ok(bytes) }).boxed());
        }
        let found = match self.backend.stream(&pack_path(place.pack), range(&place)).await {
            Ok(found) => found,
            Err(error) => {
                return match self.unread(place.pack, range(&place).end, error).await {
                    Unread::Short(_) => Err(damaged(&object, &SealError::Truncated.into())),
                    Unread::Failed(error) => Err(error),
                    Unread::Gone => {
                        let place = self.forwarded(place.pack, &[place]).await?[0];
                        self.stream(Located { key, place }).await
                    }
                };
            }
        };
        let pieces = found.map_err(|error| failed("reading a pack", error)).boxed();
        Ok(source::checked(pieces, object))
    }

    async fn packs(&self) -> Result<Vec<PackId>, BackendError> {
        let entries = self.backend.fast.list(Some(&Path::from("packs")));
        let names = entries.try_filter_map(|entry| async move {
            let name =
                entry.location.filename().and_then(|name| name.strip_suffix(".idx")).map(str::to_owned);
            Ok(name.and_then(|name| PackId::parse(&name).ok()))
        });
        let mut packs: Vec<PackId> =
            names.try_collect().await.map_err(|error| failed("listing the packs", error))?;
        packs.sort_unstable();
        Ok(packs)
    }

    async fn pack_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        let mut objects = match self.forward(pack).await? {
            Some(forward) => forward.objects(),
            None => return self.index_objects(pack).await,
        };
        self.follow(&mut objects).await?;
        Ok(objects)
    }
}

impl PackedStore {
    /// Objects of one pack, read from the store, neighbours together. A record that is not of the object asked for is damage.
    async fn read_pack(&self, pack: PackId, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
        let ranges: Vec<_> = objects.iter().map(|object| range(&object.place)).collect();
        let records = match self.read_ranges(pack, &ranges).await {
            Ok(records) => records,
            Err(Unread::Failed(error)) => return Err(error),
            Err(Unread::Gone) => return self.read_forwarded(pack, objects).await,
            Err(Unread::Short(length)) => {
                let beyond = objects.iter().find(|object| range(&object.place).end > length);
                return Err(damaged(beyond.unwrap_or(&objects[0]), &SealError::Truncated.into()));
            }
        };
        let canonical = |(record, object): (&Bytes, &Located)| match format::parse_record(record) {
            Ok((key, bytes)) if key == object.key => Ok(bytes),
            Ok((found, _)) => Err(damaged(object, &FormatError::OtherObject { expected: object.key, found })),
            Err(error) => Err(damaged(object, &error)),
        };
        records.iter().zip(objects).map(canonical).collect()
    }

    /// Exactly the bytes of ranges of a pack, in the order asked.
    async fn read_ranges(&self, pack: PackId, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Unread> {
        let mut read = vec![Bytes::new(); ranges.len()];
        for group in groups(ranges) {
            let wanted: Vec<Range<u64>> = group.iter().map(|at| ranges[*at].clone()).collect();
            let bytes =
                object_store::coalesce_ranges(&wanted, |range| self.read_range(pack, range), READ_GAP)
                    .await?;
            for (at, bytes) in group.into_iter().zip(bytes) {
                read[at] = bytes;
            }
        }
        Ok(read)
    }

    /// Exactly the bytes of a range of a pack.
    async fn read_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, Unread> {
        match self.backend.fast.get_range(&pack_path(pack), range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(bytes) => Err(Unread::Short(range.start + bytes.len() as u64)),
            Err(error) => Err(self.unread(pack, range.end, error).await),
        }
    }

    /// Why nothing could be read of a pack up to `end`: stores say in many ways that a file is too short.
    async fn unread(&self, pack: PackId, end: u64, error: object_store::Error) -> Unread {
        match (error, self.backend.fast.head(&pack_path(pack)).await) {
            (object_store::Error::NotFound { .. }, _) => Unread::Gone,
            (_, Ok(found)) if found.size < end => Unread::Short(found.size),
            (error, _) => Unread::Failed(failed("reading a pack", error)),
        }
    }
}

/// Ranges by their numbers, in order of where they begin: those of one group span no more than [`MAX_READ`], but for one that is
/// longer by itself.
fn groups(ranges: &[Range<u64>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_unstable_by_key(|at| ranges[*at].start);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut start = 0;
    for at in order {
        match groups.last_mut() {
            Some(group) if ranges[at].end - start <= MAX_READ => group.push(at),
            _ => {
                start = ranges[at].start;
                groups.push(vec![at]);
            }
        }
    }
    groups
}

/// Why a range of a pack was not read.
enum Unread {
    /// The pack has only so many bytes.
    Short(u64),
    /// It is not there.
    Gone,
    Failed(BackendError),
}

fn range(place: &Place) -> Range<u64> {
    place.offset..place.offset.saturating_add(place.length)
}

/// Says which object of which pack is damaged: the one that was asked for, as the record's own header may be what is damaged.
fn damaged(object: &Located, error: &FormatError) -> BackendError {
    BackendError::Damaged { what: format!("{} at {}", object.key, object.place), reason: error.to_string() }
}

/// Where a pack lies in the object store; two digits in front keep directories short.
fn pack_path(pack: PackId) -> Path {
    PackFile::Pack.path(pack)
}

fn index_path(pack: PackId) -> Path {
    PackFile::Index.path(pack)
}

fn forward_path(pack: PackId) -> Path {
    PackFile::Forward.path(pack)
}

fn condemned_path(pack: PackId) -> Path {
    PackFile::Condemned.path(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together_up_to_a_limit() {
        let mib = |n: u64| n << 20;
        let ranges = [
            mib(9)..mib(10),
            0..mib(1),
            mib(15)..mib(16),
            mib(16)..mib(17),
            mib(40)..mib(80),
            mib(41)..mib(42),
        ];
        assert_eq!(groups(&ranges), [vec![1, 0, 2], vec![3], vec![4, 5]]);
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(groups(&[u64::MAX - 1..u64::MAX, 5..6]), [vec![1], vec![0]]);
    }
}
