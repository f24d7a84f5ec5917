//! Folding: the records of several packs, each proven on the way, become few packs, and what was there before says where they
//! went.
//!
//! Order: new packs and their index files, then one forwarding file for each old pack. Until its forwarding file is there, an
//! old pack is what it was, and a new pack is one that nothing names; after it, both hold the same. Nothing is removed here.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use musehub_core::ObjectKey;
use musehub_core::ObjectKind;
use musehub_core::port::{BackendError, PackId, PackedObject, Place};
use object_store::ObjectStoreExt;
use rayon::prelude::*;

use super::compress::{Effort, MAX_COMPRESSED};
use super::format::{self, FormatError, PACK_HEADER, RECORD_FRAMING};
use super::forward::{Forward, Forwarded};
use super::source::PackSource;
use super::{PackedStore, forward_path, pack_path, range};
use crate::backend::{ONE_PUT, failed};
use crate::sealed::SealError;

/// How many bytes of records are read with one request and worked on together.
const BATCH: u64 = 8 << 20;

/// What a fold did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Folded {
    /// The packs that it wrote.
    pub(crate) written: Vec<PackId>,
    /// The packs that lead to those now.
    pub(crate) forwarded: Vec<PackId>,
    /// Packs that could not be read whole, and stay as they are.
    pub(crate) refused: Vec<(PackId, String)>,
    /// Records copied.
    pub(crate) records: u64,
    /// Records that another pack had as well.
    pub(crate) duplicates: u64,
    /// Records that nothing needs.
    pub(crate) dropped: u64,
    /// Bytes of the forwarded packs.
    pub(crate) bytes_before: u64,
    /// Bytes of the written packs.
    pub(crate) bytes_after: u64,
}

/// A record in an output that has no name yet.
#[derive(Clone, Copy)]
struct Slot {
    output: usize,
    offset: u64,
    length: u64,
}

/// Where the records of a pack went, in their order; none for those that were dropped.
type Way = Vec<(PackedObject, Option<Slot>)>;

/// The packs being written.
struct Output<'a> {
    store: &'a PackedStore,
    records: Vec<(ObjectKey, u64, Bytes)>,
    length: u64,
    /// Names of the finished ones; none while one is being filled.
    names: Vec<Option<PackId>>,
    current: usize,
    seen: HashMap<(ObjectKey, Option<[u8; 32]>), Slot>,
    folded: Folded,
}

/// How far the output was.
struct Mark {
    output: usize,
    length: u64,
    held: usize,
    /// Records, duplicates and dropped ones.
    counts: [u64; 3],
}

/// A record that was read, proven, and made ready to be written again.
struct Ready {
    from: PackedObject,
    identity: (ObjectKey, Option<[u8; 32]>),
    record: Bytes,
}

impl PackedStore {
    /// Folds packs. Records in `dead` are not copied: the caller knows that nothing names them any more.
    ///
    /// In memory are one output, one batch, and about 150 bytes for each record of all the packs.
    pub(crate) async fn fold(&self, packs: &[PackId], dead: &HashSet<Place>) -> Result<Folded, BackendError> {
        let mut output = Output::new(self);
        let mut ways: Vec<(PackId, Way)> = Vec::new();
        for pack in packs {
            let before = output.mark();
            match self.fold_pack(*pack, dead, &mut output).await {
                Ok(way) => ways.push((*pack, way)),
                Err(error @ (BackendError::Damaged { .. } | BackendError::Missing { .. })) => {
                    output.take_back(&before);
                    output.folded.refused.push((*pack, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        output.finish_pack().await?;
        let (names, mut folded) = (output.names, output.folded);
        for (pack, way) in ways {
            if folded.written.contains(&pack) {
                continue;
            }
            folded.bytes_before += way.last().map_or(0, |(last, _)| range(&last.place).end);
            let records = way.into_iter().map(|(object, slot)| Forwarded {
                key: object.key,
                size: object.size,
                from: object.place,
                to: slot.map(|slot| {
                    let pack = names[slot.output].expect("every output that has a record was written");
                    Place { pack, offset: slot.offset, length: slot.length }
                }),
            });
            self.write_forward(&Forward { pack, records: records.collect() }).await?;
            folded.forwarded.push(pack);
        }
        Ok(folded)
    }

    /// Creates a forwarding file. One that is there stays: records lie where the first one says.
    async fn write_forward(&self, forward: &Forward) -> Result<(), BackendError> {
        match self.backend.create(&forward_path(forward.pack), forward.write()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(failed("writing a forwarding file", error)),
        }
    }

    /// Adds the records of one pack to the output; where each went.
    async fn fold_pack(
        &self,
        pack: PackId,
        dead: &HashSet<Place>,
        output: &mut Output<'_>,
    ) -> Result<Way, BackendError> {
        let objects = self.index_objects(pack).await?;
        let effort = self.effort_of(pack).await?;
        let mut way = Vec::with_capacity(objects.len());
        let mut batch: Vec<PackedObject> = Vec::new();
        for object in objects {
            if dead.contains(&object.place) {
                output.folded.dropped += 1;
                way.push((object, None));
                continue;
            }
            if is_large(&object) {
                let slot = output.copy_large(&object).await?;
                way.push((object, Some(slot)));
                continue;
            }
            let start = batch.first().map_or(object.place.offset, |first| first.place.offset);
            if range(&object.place).end - start > BATCH {
                self.fold_batch(std::mem::take(&mut batch), effort, output, &mut way).await?;
            }
            batch.push(object);
        }
        self.fold_batch(batch, effort, output, &mut way).await?;
        way.sort_unstable_by_key(|(object, _)| object.place.offset);
        Ok(way)
    }

    /// How hard the records of a pack were compressed.
    pub(crate) async fn effort_of(&self, pack: PackId) -> Result<Effort, BackendError> {
        let header = self.read_bytes(pack, 0..PACK_HEADER).await?;
        format::parse_pack_header(&header).map_err(|error| damaged(pack, &error))
    }

    pub(super) async fn read_bytes(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, BackendError> {
        let (length, end) = (range.end - range.start, range.end);
        match self.backend.fast.get_range(&pack_path(pack), range).await {
            Ok(bytes) if bytes.len() as u64 == length => Ok(bytes),
            Ok(_) => Err(damaged(pack, &SealError::Truncated.into())),
            Err(error @ object_store::Error::NotFound { .. }) => Err(failed("reading a pack", error)),
            // Stores say in many ways that a file is too short.
            Err(error) => match self.backend.fast.head(&pack_path(pack)).await {
                Ok(found) if found.size < end => Err(damaged(pack, &SealError::Truncated.into())),
                _ => Err(failed("reading a pack", error)),
            },
        }
    }

    /// Reads neighbouring records with one request, proves and compresses them on all cores, and adds them to the output.
    async fn fold_batch(
        &self,
        batch: Vec<PackedObject>,
        effort: Effort,
        output: &mut Output<'_>,
        way: &mut Way,
    ) -> Result<(), BackendError> {
        let Some((first, last)) = batch.first().zip(batch.last()) else {
            return Ok(());
        };
        let (pack, start) = (first.place.pack, first.place.offset);
        let bytes = self.read_bytes(pack, start..range(&last.place).end).await?;
        let ready = tokio::task::spawn_blocking(move || {
            batch.into_par_iter().map(|object| ready(object, start, &bytes, effort)).collect::<Vec<_>>()
        });
        let ready = ready.await.map_err(|error| BackendError::unavailable("folding packs", error))?;
        for ready in ready {
            let ready = ready?;
            let slot = output.add(&ready).await?;
            way.push((ready.from, Some(slot)));
        }
        Ok(())
    }
}

/// Whether a record is too large to be worked on in memory. Snapshots and commits are read whole by everybody.
fn is_large(object: &PackedObject) -> bool {
    object.key.kind == ObjectKind::Blob && object.place.length > MAX_COMPRESSED + RECORD_FRAMING
}

/// Proves a record of a batch that begins at `start` of its pack.
fn ready(from: PackedObject, start: u64, batch: &Bytes, effort: Effort) -> Result<Ready, BackendError> {
    let damaged = |error: FormatError| super::damaged(&from.located(), &error);
    let wanted = range(&from.place);
    // The batch is in memory, so what lies within it fits its index type.
    let record = batch.slice((wanted.start - start) as usize..(wanted.end - start) as usize);
    let (key, canonical) = format::parse_record(&record).map_err(damaged)?;
    if key != from.key {
        return Err(damaged(FormatError::OtherObject { expected: from.key, found: key }));
    }
    // A blob has one content. Of other objects, records under one key may differ.
    let content = (key.kind != ObjectKind::Blob).then(|| *blake3::hash(&canonical).as_bytes());
    let record = match effort {
        Effort::Repack => record,
        Effort::Push => format::compressed_record(key, &canonical, Effort::Repack)
            .unwrap_or_else(|| format::raw_record(key, &canonical)),
    };
    Ok(Ready { from, identity: (key, content), record })
}

impl<'a> Output<'a> {
    fn new(store: &'a PackedStore) -> Self {
        Self {
            store,
            records: Vec::new(),
            length: PACK_HEADER,
            names: vec![None],
            current: 0,
            seen: HashMap::new(),
            folded: Folded::default(),
        }
    }

    fn mark(&self) -> Mark {
        let Folded { records, duplicates, dropped, .. } = self.folded;
        let (length, held) = (self.length, self.records.len());
        Mark { output: self.current, length, held, counts: [records, duplicates, dropped] }
    }

    /// Takes out what was added since a mark and is not written yet: no name will lead to it. What is written already is no
    /// longer offered to others.
    fn take_back(&mut self, before: &Mark) {
        let (length, held) =
            if self.current == before.output { (before.length, before.held) } else { (PACK_HEADER, 0) };
        self.records.truncate(held);
        self.length = length;
        self.seen.retain(|_, slot| (slot.output, slot.offset) < (before.output, before.length));
        [self.folded.records, self.folded.duplicates, self.folded.dropped] = before.counts;
    }

    /// Adds a record, unless the same one is there.
    async fn add(&mut self, ready: &Ready) -> Result<Slot, BackendError> {
        if let Some(slot) = self.seen.get(&ready.identity) {
            self.folded.duplicates += 1;
            return Ok(*slot);
        }
        let length = ready.record.len() as u64;
        if self.length + length + format::PACK_FOOTER > ONE_PUT {
            self.finish_pack().await?;
        }
        let slot = Slot { output: self.current, offset: self.length, length };
        // Whatever was read with it may go.
        let record = Bytes::copy_from_slice(&ready.record);
        self.records.push((ready.from.key, ready.from.size, record));
        self.length += length;
        self.seen.insert(ready.identity, slot);
        self.folded.records += 1;
        Ok(slot)
    }

    /// Copies a large blob into a pack of its own, as it streams.
    async fn copy_large(&mut self, object: &PackedObject) -> Result<Slot, BackendError> {
        let identity = (object.key, None);
        if let Some(slot) = self.seen.get(&identity) {
            self.folded.duplicates += 1;
            return Ok(*slot);
        }
        let source = PackSource::of_resting(object);
        let (pack, objects) = self.store.write_pack(&source).await?;
        self.names.push(Some(pack));
        let slot = Slot {
            output: self.names.len() - 1,
            offset: objects[0].place.offset,
            length: objects[0].place.length,
        };
        self.seen.insert(identity, slot);
        self.folded.records += 1;
        self.folded.bytes_after += source.length();
        self.folded.written.push(pack);
        Ok(slot)
    }

    /// Writes what has been gathered.
    async fn finish_pack(&mut self) -> Result<(), BackendError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let source = PackSource::of_records(Effort::Repack, std::mem::take(&mut self.records));
        let (pack, _) = self.store.write_pack(&source).await?;
        self.folded.written.push(pack);
        self.folded.bytes_after += source.length();
        self.names[self.current] = Some(pack);
        self.names.push(None);
        self.current = self.names.len() - 1;
        self.length = PACK_HEADER;
        Ok(())
    }
}

fn damaged(pack: PackId, error: &FormatError) -> BackendError {
    BackendError::Damaged { what: format!("pack {pack}"), reason: error.to_string() }
}
