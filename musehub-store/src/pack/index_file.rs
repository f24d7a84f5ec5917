//! What a pack holds, by its index file, or by where its records went.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use musehub_core::port::{BackendError, Located, PackId, PackedObject, Place};
use object_store::ObjectStoreExt;

use super::format::{self, FormatError, PACK_FOOTER, PACK_HEADER, RECORD_FRAMING, RECORD_HEADER};
use super::forward::Forward;
use super::{PackedStore, forward_path, index_path, pack_path, range};
use crate::backend::failed;
use crate::sealed::SealError;

/// How often a pack's records may have gone on. Packs grow with each fold, so a longer way is a circle.
pub(super) const MAX_FORWARDS: usize = 64;
/// How much of a pack is read at a time to learn what it holds, in bytes.
const WINDOW: u64 = 1 << 20;

impl PackedStore {
    /// What the pack file holds, by its own index.
    pub(crate) async fn index_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        let bytes = self.backend.get(&index_path(pack)).await?;
        let damaged =
            |reason: String| BackendError::Damaged { what: format!("the index of pack {pack}"), reason };
        let (named, length, objects) =
            format::parse_index(&bytes).map_err(|error| damaged(error.to_string()))?;
        if named != pack {
            return Err(damaged(format!("it is of pack {named}")));
        }
        let records_end = objects.last().map_or(PACK_HEADER, |last| range(&last.place).end);
        if records_end.checked_add(PACK_FOOTER) != Some(length) {
            return Err(damaged(FormatError::Length.to_string()));
        }
        Ok(objects)
    }

    /// What the pack file holds, by the headers of its own records: for one whose index is lost or damaged. That the records
    /// are whole is not looked at.
    pub(crate) async fn record_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        let damaged = |error: FormatError| BackendError::Damaged {
            what: format!("pack {pack}"),
            reason: error.to_string(),
        };
        let found = self.backend.fast.head(&pack_path(pack)).await;
        let length = found.map_err(|error| failed("looking at a pack", error))?.size;
        let end = length.checked_sub(PACK_FOOTER).ok_or_else(|| damaged(SealError::Truncated.into()))?;
        let mut objects = Vec::new();
        let (mut at, mut start, mut window) = (PACK_HEADER, 0, Bytes::new());
        while at < end {
            // Small records are read many at a time, and of a large one only what stands before it.
            if at < start || at + RECORD_HEADER > start + window.len() as u64 {
                (start, window) = (at, self.read_bytes(pack, at..end.min(at + WINDOW)).await?);
            }
            // What was read is in memory, so a place in it fits its index type.
            let header = format::parse_record_header(&window[(at - start) as usize..]).map_err(damaged)?;
            let size = format::payload_size(header.key.kind, header.canonical);
            let size = size.ok_or_else(|| damaged(FormatError::Length))?;
            let length = header.stored.saturating_add(RECORD_FRAMING);
            objects.push(PackedObject { key: header.key, place: Place { pack, offset: at, length }, size });
            at = at.saturating_add(length);
        }
        if at == end { Ok(objects) } else { Err(damaged(FormatError::Length)) }
    }

    /// Where the records of a pack went, where it was folded.
    pub(crate) async fn forward(&self, pack: PackId) -> Result<Option<Forward>, BackendError> {
        let bytes = match self.backend.get(&forward_path(pack)).await {
            Ok(bytes) => bytes,
            Err(BackendError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match Forward::parse(pack, &bytes) {
            Ok(forward) => Ok(Some(forward)),
            Err(error) => Err(BackendError::Damaged {
                what: format!("the forwarding file of pack {pack}"),
                reason: error.to_string(),
            }),
        }
    }

    /// Follows objects to where they lie now.
    pub(crate) async fn follow(&self, objects: &mut [PackedObject]) -> Result<(), BackendError> {
        let mut known: HashMap<PackId, Option<HashMap<Place, Place>>> = HashMap::new();
        for _ in 0..MAX_FORWARDS {
            let mut went_on = false;
            for object in objects.iter_mut() {
                let pack = object.place.pack;
                let moved = match known.entry(pack) {
                    Entry::Occupied(held) => held.into_mut(),
                    Entry::Vacant(new) => {
                        let forward = self.forward(pack).await?;
                        new.insert(forward.map(|forward| forward.by_place()))
                    }
                };
                if let Some(moved) = moved {
                    object.place = *moved.get(&object.place).ok_or_else(|| lost(&object.place))?;
                    went_on = true;
                }
            }
            if !went_on {
                return Ok(());
            }
        }
        let first = objects.first().map(|object| object.place.to_string()).unwrap_or_default();
        let reason = "it leads on and on".to_owned();
        Err(BackendError::Damaged { what: format!("the way of {first}"), reason })
    }

    /// Where records of a pack that is not there went, one fold on.
    pub(super) async fn forwarded(&self, pack: PackId, places: &[Place]) -> Result<Vec<Place>, BackendError> {
        let forward = self.forward(pack).await?;
        let forward = forward.ok_or_else(|| BackendError::Missing { what: format!("pack {pack}") })?;
        let moved = forward.by_place();
        places.iter().map(|place| moved.get(place).copied().ok_or_else(|| lost(place))).collect()
    }

    /// Reads objects of a pack that is not there from where they went.
    pub(super) async fn read_forwarded(
        &self,
        pack: PackId,
        objects: &[Located],
    ) -> Result<Vec<Bytes>, BackendError> {
        let places: Vec<Place> = objects.iter().map(|object| object.place).collect();
        let moved = self.forwarded(pack, &places).await?;
        let mut by_pack: HashMap<PackId, Vec<usize>> = HashMap::new();
        for (at, place) in moved.iter().enumerate() {
            by_pack.entry(place.pack).or_default().push(at);
        }
        let mut answer = vec![Bytes::new(); moved.len()];
        for (pack, positions) in by_pack {
            let located = |at: &usize| Located { key: objects[*at].key, place: moved[*at] };
            let wanted: Vec<Located> = positions.iter().map(located).collect();
            let read = Box::pin(self.read_pack(pack, &wanted)).await?;
            for (at, bytes) in positions.into_iter().zip(read) {
                answer[at] = bytes;
            }
        }
        Ok(answer)
    }
}

fn lost(place: &Place) -> BackendError {
    BackendError::Missing { what: format!("an object at {place}, whose pack was folded without it,") }
}
