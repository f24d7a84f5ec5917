//! Which pack holds an object.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use musehub_core::ObjectKey;
use musehub_core::port::{BackendError, PackId, PackedObject, Place};

/// Knows where objects lie. The database is one; [`ScannedPlaces`] does without.
#[async_trait]
pub trait PlaceIndex: Send + Sync {
    /// A place of each object, in the order asked.
    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError>;
}

/// The places of every object of a store, in memory.
#[derive(Clone, Debug, Default)]
pub struct ScannedPlaces(HashMap<ObjectKey, Place>);

impl ScannedPlaces {
    /// Adds what a pack holds.
    pub fn add(&mut self, objects: &[PackedObject]) {
        for object in objects {
            self.0.entry(object.key).or_insert(object.place);
        }
    }
}

#[async_trait]
impl PlaceIndex for ScannedPlaces {
    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        Ok(keys.iter().map(|key| self.0.get(key).copied()).collect())
    }
}

/// The places of what this process wrote last: the database learns of a pack only once its push is in the log.
#[derive(Debug, Default)]
pub(super) struct RecentPacks(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    places: HashMap<ObjectKey, Place>,
    packs: VecDeque<(Instant, PackId, Vec<ObjectKey>)>,
}

impl Recent {
    fn forget_oldest(&mut self) {
        let Some((_, oldest, keys)) = self.packs.pop_front() else {
            return;
        };
        for key in keys {
            if self.places.get(&key).is_some_and(|place| place.pack == oldest) {
                self.places.remove(&key);
            }
        }
    }

    fn forget_expired(&mut self, life: Duration) {
        while self.packs.front().is_some_and(|(written, ..)| written.elapsed() > life) {
            self.forget_oldest();
        }
    }
}

impl RecentPacks {
    /// How many objects are remembered at most.
    const LIMIT: usize = 200_000;
    /// For how long: a pack whose push failed may be removed an hour after it was written, and nobody may rely on it then.
    const LIFE: Duration = Duration::from_secs(15 * 60);

    pub(super) fn add(&self, pack: PackId, objects: &[PackedObject]) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.places.extend(objects.iter().map(|object| (object.key, object.place)));
        let keys = objects.iter().map(|object| object.key).collect();
        recent.packs.push_back((Instant::now(), pack, keys));
        while recent.places.len() > Self::LIMIT && recent.packs.len() > 1 {
            recent.forget_oldest();
        }
    }

    pub(super) fn locate(&self, keys: &[ObjectKey]) -> Vec<Option<Place>> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.forget_expired(Self::LIFE);
        keys.iter().map(|key| recent.places.get(key).copied()).collect()
    }
}
