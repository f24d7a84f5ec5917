//! Which pack holds an object.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

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
    packs: VecDeque<(PackId, Vec<ObjectKey>)>,
}

impl RecentPacks {
    /// How many objects are remembered at most.
    const LIMIT: usize = 200_000;

    pub(super) fn add(&self, pack: PackId, objects: &[PackedObject]) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.places.extend(objects.iter().map(|object| (object.key, object.place)));
        recent.packs.push_back((pack, objects.iter().map(|object| object.key).collect()));
        while recent.places.len() > Self::LIMIT && recent.packs.len() > 1 {
            let Some((oldest, keys)) = recent.packs.pop_front() else {
                break;
            };
            for key in keys {
                if recent.places.get(&key).is_some_and(|place| place.pack == oldest) {
                    recent.places.remove(&key);
                }
            }
        }
    }

    pub(super) fn locate(&self, keys: &[ObjectKey]) -> Vec<Option<Place>> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| recent.places.get(key).copied()).collect()
    }
}
