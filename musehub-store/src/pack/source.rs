//! A pack about to be written, as pieces of bytes that can be gone through more than once.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use musehub_core::ObjectKey;
use musehub_core::canonical;
use musehub_core::port::{BackendError, Located, NewObject, ObjectBody, PackId, PackedObject, Place, Staged};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rayon::prelude::*;

use super::compress::Effort;
use super::format::{
    self, Encoding, FormatError, PACK_FOOTER, PACK_HEADER, RECORD_FRAMING, RECORD_HEADER, RECORD_TRAILER,
};
use super::{damaged, staging};
use crate::backend::{Backend, failed};
use crate::sealed::SealError;

/// A stretch of bytes of a pack.
pub(super) type Piece = Bytes;

/// Staged records up to this size are copied in memory, neighbours together; larger ones are streamed.
const COPY_WHOLE: u64 = 1 << 20;
/// How many bytes of staged records are copied with one look at the store: few, as they stay in memory until the part they
/// went into is written.
const COPY_BATCH: u64 = 1 << 20;

/// What a pack will hold, in order.
#[derive(Debug)]
pub(super) struct PackSource {
    effort: Effort,
    bodies: Vec<Body>,
    layout: Vec<PackedObject>,
    length: u64,
}

/// Where the bytes of a record come from.
#[derive(Debug)]
enum Body {
    /// A whole record, compressed.
    Record(Bytes),
    /// Canonical bytes that are stored as they are.
    Canonical(ObjectKey, Bytes),
    Staged(Staged),
    /// A record of another pack, copied as it is.
    Resting(PackedObject),
}

impl PackSource {
    /// Lays out the records, those in memory compressed on all cores. What is staged is copied as it is: nobody waits for
    /// its compression.
    pub(super) async fn prepare(objects: Vec<NewObject>) -> Result<Self, BackendError> {
        let prepared = tokio::task::spawn_blocking(move || {
            objects.into_par_iter().map(prepare).collect::<Result<Vec<_>, _>>()
        });
        let prepared =
            prepared.await.map_err(|error| BackendError::unavailable("laying out a pack", error))??;
        Ok(Self::lay_out(Effort::Push, prepared))
    }

    /// Whole records: their object, the length of its payload, and their bytes.
    pub(super) fn of_records(effort: Effort, records: Vec<(ObjectKey, u64, Bytes)>) -> Self {
        let bodies = records.into_iter().map(|(key, size, record)| {
            let length = record.len() as u64;
            (key, length, size, Body::Record(record))
        });
        Self::lay_out(effort, bodies)
    }

    /// One record of another pack, however large.
    pub(super) fn of_resting(object: &PackedObject) -> Self {
        let body = Body::Resting(*object);
        Self::lay_out(Effort::Repack, [(object.key, object.place.length, object.size, body)])
    }

    fn lay_out(effort: Effort, prepared: impl IntoIterator<Item = Prepared>) -> Self {
        let mut offset = PACK_HEADER;
        let (mut layout, mut bodies) = (Vec::new(), Vec::new());
        for (key, length, size, body) in prepared {
            let place = Place { pack: PackId::new([0; 32]), offset, length };
            layout.push(PackedObject { key, place, size });
            bodies.push(body);
            offset += length;
        }
        Self { effort, bodies, layout, length: offset + PACK_FOOTER }
    }

    /// The length of the whole pack, in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// What the pack holds once its name is known.
    pub(super) fn objects(&self, pack: PackId) -> Vec<PackedObject> {
        let named = |object: &PackedObject| PackedObject { place: Place { pack, ..object.place }, ..*object };
        self.layout.iter().map(named).collect()
    }

    /// The bytes of a variant of the pack. Every staged record is proven by its checksum on the way.
    pub(super) fn pieces<'a>(
        &'a self,
        backend: &'a Backend,
        variant: u16,
    ) -> BoxStream<'a, Result<Piece, BackendError>> {
        let header = Bytes::copy_from_slice(&format::pack_header(self.effort, variant));
        let records = stream::iter(self.runs()).then(move |run| read_run(backend, run)).try_flatten();
        let count = self.bodies.len() as u64;
        let mut hash = blake3::Hasher::new();
        let body = stream::once(async { Ok(header) }).chain(records);
        let body = body.map(Some).chain(stream::once(async { None }));
        body.map(move |piece| match piece {
            Some(piece) => piece.inspect(|bytes| {
                hash.update(bytes);
            }),
            None => Ok(format::pack_footer(count, &hash)),
        })
        .boxed()
    }

    /// The objects in order, those staged next to each other in one upload taken together.
    fn runs(&self) -> Vec<Run<'_>> {
        let mut runs: Vec<Run<'_>> = Vec::new();
        for body in &self.bodies {
            match body {
                Body::Record(record) => runs.push(Run::Record(record)),
                Body::Canonical(key, bytes) => runs.push(Run::Canonical(*key, bytes)),
                Body::Staged(staged) if staged.length > COPY_WHOLE => {
                    runs.push(Run::LargeStaged(staged));
                }
                Body::Resting(object) => {
                    runs.push(Run::Large(super::pack_path(object.place.pack), object.located()));
                }
                Body::Staged(staged) => match runs.last_mut() {
                    Some(Run::Small(batch, bytes))
                        if *bytes < COPY_BATCH && batch[0].upload == staged.upload =>
                    {
                        batch.push(staged);
                        *bytes += staged.length;
                    }
                    _ => runs.push(Run::Small(vec![staged], staged.length)),
                },
            }
        }
        runs
    }
}

enum Run<'a> {
    Record(&'a Bytes),
    Canonical(ObjectKey, &'a Bytes),
    /// Small records of one upload, and their length together.
    Small(Vec<&'a Staged>, u64),
    LargeStaged(&'a Staged),
    Large(Path, Located),
}

/// An object ready to be written: its name, the lengths of its record and of its payload, and where the record comes from.
type Prepared = (ObjectKey, u64, u64, Body);

fn prepare(object: NewObject) -> Result<Prepared, BackendError> {
    let key = object.key;
    match object.body {
        ObjectBody::Canonical(bytes) => {
            let (kind, payload) =
                canonical::decode(&bytes).map_err(|error| refused(key, &error.to_string()))?;
            if kind != key.kind {
                return Err(refused(key, &format!("its bytes are those of a {kind}")));
            }
            let size = payload.len() as u64;
            Ok(match format::compressed_record(key, &bytes, Effort::Push) {
                Some(record) => (key, record.len() as u64, size, Body::Record(record)),
                None => (key, bytes.len() as u64 + RECORD_FRAMING, size, Body::Canonical(key, bytes)),
            })
        }
        ObjectBody::Staged(staged) => {
            if staged.id.key() != key {
                return Err(refused(key, &format!("it was staged as {}", staged.id)));
            }
            Ok((key, staged.length, staged.size, Body::Staged(staged)))
        }
    }
}

fn refused(key: ObjectKey, reason: &str) -> BackendError {
    BackendError::Damaged { what: format!("{key} that was to be written"), reason: reason.to_owned() }
}

async fn read_run<'a>(
    backend: &'a Backend,
    run: Run<'a>,
) -> Result<BoxStream<'a, Result<Piece, BackendError>>, BackendError> {
    match run {
        Run::Record(record) => Ok(stream::iter([Ok(record.clone())]).boxed()),
        Run::Canonical(key, canonical) => {
            let record = format::raw_record(key, canonical);
            Ok(stream::iter([Ok(record)]).boxed())
        }
        Run::Small(batch, _) => {
            let records = match read_staged(backend, &batch).await {
                Ok(records) => records,
                Err(error) => return Err(spoilt(backend, &batch[0].upload, error).await),
            };
            Ok(stream::iter(records.into_iter().map(Ok)).boxed())
        }
        Run::LargeStaged(staged) => {
            match copy(backend, &staging::pack_path(&staged.upload), located(staged)).await {
                Ok(pieces) => Ok(pieces
                    .or_else(move |error| async move { Err(spoilt(backend, &staged.upload, error).await) })
                    .boxed()),
                Err(error) => Err(spoilt(backend, &staged.upload, error).await),
            }
        }
        Run::Large(path, object) => copy(backend, &path, object).await,
    }
}

/// A large record, piece by piece, proven on the way.
async fn copy<'a>(
    backend: &'a Backend,
    path: &Path,
    object: Located,
) -> Result<BoxStream<'a, Result<Piece, BackendError>>, BackendError> {
    let found = backend.stream(path, super::range(&object.place)).await;
    let found = found.map_err(|error| failed("copying a large object", error))?;
    let pieces = found.map_err(|error| failed("copying a large object", error)).boxed();
    Ok(verified_record(pieces, object).map_ok(|(piece, _)| piece).boxed())
}

/// What a push is told of an upload that could not be read. One that is damaged is discarded, and is missing then: kept, it would
/// be found again by every push until it expires, and its blobs never asked for.
async fn spoilt(backend: &Backend, upload: &str, error: BackendError) -> BackendError {
    let BackendError::Damaged { what, reason } = error else {
        return error;
    };
    match staging::remove_upload(backend, upload).await {
        Ok(()) => BackendError::Missing { what: format!("{what} in staging, which is damaged ({reason}),") },
        Err(error) => error,
    }
}

/// The records of a batch of one upload, each proven.
async fn read_staged(backend: &Backend, batch: &[&Staged]) -> Result<Vec<Bytes>, BackendError> {
    let path = staging::pack_path(&batch[0].upload);
    let ranges: Vec<_> = batch.iter().map(|staged| super::range(&located(staged).place)).collect();
    let records = object_store::coalesce_ranges(
        &ranges,
        |range| {
            let path = path.clone();
            async move { backend.fast.get_range(&path, range).await }
        },
        super::READ_GAP,
    )
    .await
    .map_err(|error| failed("reading from staging", error))?;
    for (record, staged) in records.iter().zip(batch) {
        let object = located(staged);
        let (found, _) = format::parse_record(record).map_err(|error| damaged(&object, &error))?;
        if found != object.key {
            return Err(damaged(&object, &FormatError::OtherObject { expected: object.key, found }));
        }
    }
    Ok(records)
}

/// A staged record; its pack has no name yet.
fn located(staged: &Staged) -> Located {
    let place = Place { pack: PackId::new([0; 32]), offset: staged.offset, length: staged.length };
    Located { key: staged.id.key(), place }
}

/// The canonical bytes of a record that arrives in pieces; fails before the end where its checksum does not fit.
pub(super) fn checked(
    pieces: BoxStream<'static, Result<Bytes, BackendError>>,
    object: Located,
) -> BoxStream<'static, Result<Bytes, BackendError>> {
    let canonical_end = object.place.length.saturating_sub(RECORD_TRAILER);
    let cut = move |(piece, start): (Bytes, u64)| {
        let end = start + piece.len() as u64;
        let from = RECORD_HEADER.clamp(start, end) - start;
        let to = canonical_end.clamp(start, end) - start;
        // Offsets within a piece in memory fit its index type.
        if from < to { piece.slice(from as usize..to as usize) } else { Bytes::new() }
    };
    verified_record(pieces, object)
        .map_ok(cut)
        .try_filter(|bytes| futures::future::ready(!bytes.is_empty()))
        .boxed()
}

/// The whole record of an object in pieces, each with its offset in the record. The last canonical bytes are held back until the checksum, which ends the record, has been compared: who has all bytes has the right ones.
fn verified_record<'a>(
    pieces: BoxStream<'a, Result<Bytes, BackendError>>,
    object: Located,
) -> impl futures::Stream<Item = Result<(Bytes, u64), BackendError>> + Send + 'a {
    let state = Verification {
        pieces,
        object,
        held: BytesMut::new(),
        ready: None,
        start: 0,
        hash: blake3::Hasher::new(),
    };
    stream::try_unfold(Some(state), |state| async move {
        let Some(mut state) = state else {
            return Ok(None);
        };
        while let Some(piece) = state.pieces.try_next().await? {
            if let Some(before) = state.take(&piece)? {
                return Ok(Some((before, Some(state))));
            }
        }
        let rest = state.finish()?;
        Ok(Some((rest, None)))
    })
}

/// How far a record has been verified.
struct Verification<'a> {
    pieces: BoxStream<'a, Result<Bytes, BackendError>>,
    object: Located,
    /// Bytes that may belong to the checksum.
    held: BytesMut,
    /// The last piece that has been hashed, with its offset.
    ready: Option<(Bytes, u64)>,
    /// How many bytes have been hashed.
    start: u64,
    hash: blake3::Hasher,
}

impl Verification<'_> {
    /// Takes the next piece of the record; gives the one before it.
    fn take(&mut self, piece: &[u8]) -> Result<Option<(Bytes, u64)>, BackendError> {
        const KEEP: usize = (RECORD_TRAILER + RECORD_HEADER) as usize;
        self.held.extend_from_slice(piece);
        let first = self.start == 0;
        if self.held.len() <= if first { KEEP } else { RECORD_TRAILER as usize } {
            return Ok(None);
        }
        if first {
            self.check_header()?;
        }
        let ready = self.held.split_to(self.held.len() - RECORD_TRAILER as usize).freeze();
        self.hash.update(&ready);
        let start = self.start;
        self.start += ready.len() as u64;
        Ok(self.ready.replace((ready, start)))
    }

    fn check_header(&self) -> Result<(), BackendError> {
        let fits = format::parse_record_header(&self.held).and_then(|header| {
            if header.stored.checked_add(RECORD_FRAMING) != Some(self.object.place.length) {
                return Err(FormatError::Length);
            }
            if header.key != self.object.key {
                return Err(FormatError::OtherObject { expected: self.object.key, found: header.key });
            }
            // Compressed records are short, and are read whole.
            if header.encoding == Encoding::Raw { Ok(()) } else { Err(FormatError::Unknown) }
        });
        fits.map_err(|error| damaged(&self.object, &error))
    }

    /// Compares the checksum; gives the last piece, which ends with it.
    fn finish(&mut self) -> Result<(Bytes, u64), BackendError> {
        let (ready, checksum) = (self.ready.take(), self.held.split());
        let complete = self.start + checksum.len() as u64 == self.object.place.length;
        match ready {
            Some((ready, start)) if complete => {
                if self.hash.finalize().as_bytes()[..] != checksum[..] {
                    return Err(damaged(&self.object, &SealError::Checksum.into()));
                }
                let mut last = BytesMut::from(ready);
                last.extend_from_slice(&checksum);
                Ok((last.freeze(), start))
            }
            _ => Err(damaged(&self.object, &SealError::Truncated.into())),
        }
    }
}
