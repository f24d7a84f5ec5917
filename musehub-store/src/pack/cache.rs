//! Canonical bytes of snapshots and commits that were read lately: pages and fetches read the same few again and again.
//!
//! What is here was proven by its checksum and key when it was read, and bytes never change under a place, so it is right whatever
//! becomes of the file. Who wants to know how the file is reads past this: see [`ObjectStore::stream`].
//!
//! [`ObjectStore::stream`]: musehub_core::port::ObjectStore::stream

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use musehub_core::port::Located;

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
    records: HashMap<Located, (Bytes, u64)>,
    /// Objects by when they were used last.
    order: BTreeMap<u64, Located>,
    uses: u64,
    bytes: usize,
}

impl RecordCache {
    /// A cache of at most `limit` bytes; 0 keeps nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    pub(super) fn get(&self, object: &Located) -> Option<Bytes> {
        if self.limit == 0 {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let (bytes, used) = state.records.get_mut(object)?;
        state.order.remove(used);
        state.uses += 1;
        *used = state.uses;
        state.order.insert(state.uses, *object);
        Some(bytes.clone())
    }

    pub(super) fn add(&self, object: Located, bytes: &Bytes) {
        let cost = bytes.len() + ENTRY;
        if cost > self.limit / LARGEST {
            return;
        }
        // A slice would keep all that was read with it.
        let bytes = Bytes::copy_from_slice(bytes);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state.records.contains_key(&object) {
            return;
        }
        state.uses += 1;
        state.records.insert(object, (bytes, state.uses));
        state.order.insert(state.uses, object);
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
    use musehub_core::port::{PackId, Place};
    use musehub_core::{HashAlgorithm, ObjectId, ObjectKey, ObjectKind};

    use super::*;

    fn located(offset: u64) -> Located {
        let id = ObjectId::new(HashAlgorithm::Sha256, [2; 32]);
        let place = Place { pack: PackId::new([1; 32]), offset, length: 10 };
        Located { key: ObjectKey { kind: ObjectKind::Commit, id }, place }
    }

    #[test]
    fn the_least_recently_used_goes_when_the_bytes_are_too_many() {
        let cache = RecordCache::new(10 * (100 + ENTRY));
        let bytes = |n: u64| Bytes::from(vec![n as u8; 100]);
        for n in 0..10 {
            cache.add(located(n), &bytes(n));
        }
        assert_eq!(cache.get(&located(0)), Some(bytes(0)));
        for n in 10..14 {
            cache.add(located(n), &bytes(n));
        }
        let held: Vec<u64> = (0..14).filter(|n| cache.get(&located(*n)).is_some()).collect();
        assert_eq!(held, [0, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let elsewhere = Located { place: Place { length: 11, ..located(0).place }, ..located(0) };
        assert_eq!(cache.get(&elsewhere), None, "another length is another place");
        let other = ObjectId::new(HashAlgorithm::Sha256, [3; 32]);
        let other = Located { key: ObjectKey { kind: ObjectKind::Commit, id: other }, ..located(0) };
        assert_eq!(cache.get(&other), None, "another object is not there");
    }

    #[test]
    fn what_would_fill_it_alone_stays_out_and_one_of_no_bytes_keeps_nothing() {
        let cache = RecordCache::new(1_000);
        cache.add(located(1), &Bytes::from(vec![0; 200]));
        assert_eq!(cache.get(&located(1)), None);
        let nothing = RecordCache::new(0);
        nothing.add(located(1), &Bytes::new());
        assert_eq!(nothing.get(&located(1)), None);
    }
}
