//! Canonical bytes of snapshots and commits that were read lately: pages and fetches read the same few again and again.
//!
//! What is here was proven by its checksum when it was read, and bytes never change under a place, so it is right whatever
//! becomes of the file. Who wants to know how the file is reads past this: see [`ObjectStore::stream`].
//!
//! [`ObjectStore::stream`]: musehub_core::port::ObjectStore::stream

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use musehub_core::port::Place;

/// What an entry costs beyond its bytes.
const ENTRY: usize = 200;
/// An object may take this part of the cache at most, as a divisor.
const LARGEST: usize = 8;

/// The most recently read records, by bytes.
#[derive(Debug)]
pub(super) struct RecordCache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<Place, (Bytes, u64)>,
    /// Places by when they were used last.
    order: BTreeMap<u64, Place>,
    uses: u64,
    bytes: usize,
}

impl RecordCache {
    /// A cache of at most `limit` bytes; 0 keeps nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    pub(super) fn get(&self, place: &Place) -> Option<Bytes> {
        if self.limit == 0 {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let (bytes, used) = state.records.get_mut(place)?;
        state.order.remove(used);
        state.uses += 1;
        *used = state.uses;
        state.order.insert(state.uses, *place);
        Some(bytes.clone())
    }

    pub(super) fn add(&self, place: Place, bytes: &Bytes) {
        let cost = bytes.len() + ENTRY;
        if cost > self.limit / LARGEST {
            return;
        }
        // A slice would keep all that was read with it.
        let bytes = Bytes::copy_from_slice(bytes);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state.records.contains_key(&place) {
            return;
        }
        state.uses += 1;
        state.records.insert(place, (bytes, state.uses));
        state.order.insert(state.uses, place);
        state.bytes += cost;
        while state.bytes > self.limit
            && let Some((_, oldest)) = state.order.pop_first()
            && let Some((bytes, _)) = state.records.remove(&oldest)
        {
            state.bytes -= bytes.len() + ENTRY;
        }
    }
}

#[cfg(test)]
mod tests {
    use musehub_core::port::PackId;

    use super::*;

    fn place(offset: u64) -> Place {
        Place { pack: PackId::new([1; 32]), offset, length: 10 }
    }

    #[test]
    fn the_least_recently_used_goes_when_the_bytes_are_too_many() {
        let cache = RecordCache::new(10 * (100 + ENTRY));
        let bytes = |n: u64| Bytes::from(vec![n as u8; 100]);
        for n in 0..10 {
            cache.add(place(n), &bytes(n));
        }
        assert_eq!(cache.get(&place(0)), Some(bytes(0)));
        for n in 10..14 {
            cache.add(place(n), &bytes(n));
        }
        let held: Vec<u64> = (0..14).filter(|n| cache.get(&place(*n)).is_some()).collect();
        assert_eq!(held, [0, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        assert_eq!(cache.get(&Place { length: 11, ..place(0) }), None, "another length is another place");
    }

    #[test]
    fn what_would_fill_it_alone_stays_out_and_one_of_no_bytes_keeps_nothing() {
        let cache = RecordCache::new(1_000);
        cache.add(place(1), &Bytes::from(vec![0; 200]));
        assert_eq!(cache.get(&place(1)), None);
        let nothing = RecordCache::new(0);
        nothing.add(place(1), &Bytes::new());
        assert_eq!(nothing.get(&place(1)), None);
    }
}
