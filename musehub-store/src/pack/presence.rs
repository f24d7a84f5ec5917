//! Whether packs are there, without reading them: what a push asks before it relies on bytes that it did not write.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use musehub_core::port::{BackendError, PackId, Place};
use object_store::ObjectStoreExt;

use super::format::PACK_FOOTER;
use super::index_file::MAX_FORWARDS;
use super::{PackedStore, pack_path, range};
use crate::backend::failed;

/// How many packs are asked for at a time.
const PARALLEL: usize = 16;

/// The lengths of packs that were there a moment ago. Those that were not are asked for each time.
#[derive(Debug, Default)]
pub(super) struct SeenPacks(Mutex<HashMap<PackId, (Instant, u64)>>);

impl SeenPacks {
    /// For how long: far less than the time between the decision to remove a pack and its removal.
    const LIFE: Duration = Duration::from_secs(10);
    /// How many are remembered at most.
    const LIMIT: usize = 10_000;

    fn length(&self, pack: PackId) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&pack).filter(|(at, _)| at.elapsed() < Self::LIFE).map(|(_, length)| *length)
    }

    fn add(&self, pack: PackId, length: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= Self::LIMIT {
            seen.retain(|_, (at, _)| at.elapsed() < Self::LIFE);
        }
        if seen.len() < Self::LIMIT {
            seen.insert(pack, (Instant::now(), length));
        }
    }
}

impl PackedStore {
    /// Whether each place is within a pack that is there, or leads on to one that is.
    pub(super) async fn are_present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        let mut answer = vec![false; places.len()];
        let mut open: Vec<(usize, Place)> = places.iter().copied().enumerate().collect();
        for _ in 0..MAX_FORWARDS {
            let lengths = self.lengths(open.iter().map(|(_, place)| place.pack).collect()).await?;
            let mut gone: HashMap<PackId, Vec<(usize, Place)>> = HashMap::new();
            for (at, place) in open {
                match lengths.get(&place.pack) {
                    Some(length) => {
                        let end = range(&place).end.checked_add(PACK_FOOTER);
                        answer[at] = end.is_some_and(|end| end <= *length);
                    }
                    None => gone.entry(place.pack).or_default().push((at, place)),
                }
            }
            let led = stream::iter(gone).map(|(pack, places)| self.lead_on(pack, places));
            let led: Vec<_> = led.buffer_unordered(PARALLEL).try_collect().await?;
            open = led.into_iter().flatten().collect();
            if open.is_empty() {
                break;
            }
        }
        Ok(answer)
    }

    /// The lengths of those packs that are there.
    async fn lengths(&self, packs: HashSet<PackId>) -> Result<HashMap<PackId, u64>, BackendError> {
        let lengths = stream::iter(packs).map(|pack| async move {
            if let Some(length) = self.seen.length(pack) {
                return Ok(Some((pack, length)));
            }
            match self.backend.fast.head(&pack_path(pack)).await {
                Ok(found) => {
                    self.seen.add(pack, found.size);
                    Ok(Some((pack, found.size)))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed("asking whether a pack is there", error)),
            }
        });
        lengths
            .buffer_unordered(PARALLEL)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    /// Where those places of a pack that is not there lead, one fold on.
    async fn lead_on(
        &self,
        pack: PackId,
        places: Vec<(usize, Place)>,
    ) -> Result<Vec<(usize, Place)>, BackendError> {
        let forward = match self.forward(pack).await {
            Ok(Some(forward)) => forward.by_place(),
            Ok(None) | Err(BackendError::Damaged { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let led = places.into_iter().filter_map(|(at, place)| Some((at, *forward.get(&place)?)));
        Ok(led.collect())
    }
}
