//! A lease over the upkeep of a store, kept in the store itself: one process at a time folds and collects. It saves work;
//! nothing breaks where two hold it, since what they write is created once.

use std::time::Duration;

use futures::TryStreamExt;
use musehub_core::port::{BackendError, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, failed};

const DIRECTORY: &str = "leases/upkeep";
/// For how long it is held without being prolonged.
const LIFE: Duration = Duration::from_secs(10 * 60);

#[derive(Serialize, Deserialize)]
struct Resting {
    holder: String,
    /// Until when, in milliseconds since 1970.
    until: Timestamp,
}

/// The lease, held.
#[derive(Debug)]
pub(super) struct Lease {
    backend: Backend,
    holder: String,
    number: u64,
    /// Until when it is held.
    until: Timestamp,
}

impl Lease {
    /// Takes the lease; none where somebody else holds it.
    pub(super) async fn take(backend: &Backend, now: Timestamp) -> Result<Option<Self>, BackendError> {
        let last = last_number(backend).await?;
        if last > 0 {
            match backend.get(&path(last)).await {
                // What cannot be read holds nobody up for ever: it was to be a lease, and leases end.
                Ok(bytes) => {
                    let held = serde_json::from_slice::<Resting>(&bytes);
                    if held.is_ok_and(|held| held.until > now) {
                        return Ok(None);
                    }
                }
                // It was prolonged meanwhile.
                Err(BackendError::Missing { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let holder = uuid::Uuid::new_v4().to_string();
        let mut lease = Self { backend: backend.clone(), holder, number: last, until: now };
        Ok(lease.write(until(now)).await?.then_some(lease))
    }

    /// Prolongs it; false where it was lost.
    pub(super) async fn renew(&mut self, now: Timestamp) -> Result<bool, BackendError> {
        self.write(until(now)).await
    }

    /// Prolongs it where half of its time is over, so it may be called often; false where it was lost.
    pub(super) async fn keep(&mut self, now: Timestamp) -> Result<bool, BackendError> {
        let half = now.plus_millis(LIFE.as_millis() as i64 / 2);
        if self.until > half { Ok(true) } else { self.renew(now).await }
    }

    /// Gives it back. One that is not given back ends by itself.
    pub(super) async fn release(mut self) -> Result<(), BackendError> {
        self.write(Timestamp::default()).await.map(drop)
    }

    /// Creates the next number. Old ones are removed, so one that was created below the last is no lease.
    async fn write(&mut self, until: Timestamp) -> Result<bool, BackendError> {
        let number = self.number + 1;
        let resting = Resting { holder: self.holder.clone(), until };
        let bytes = serde_json::to_vec(&resting)
            .map_err(|error| BackendError::unavailable("writing a lease", error))?;
        match self.backend.create(&path(number), bytes.into()).await {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
            Err(error) => return Err(failed("writing a lease", error)),
        }
        if last_number(&self.backend).await? != number {
            return Ok(false);
        }
        if self.number > 0 {
            // One that stays is harmless.
            let _ = self.backend.fast.delete(&path(self.number)).await;
        }
        (self.number, self.until) = (number, until);
        Ok(true)
    }
}

const fn until(now: Timestamp) -> Timestamp {
    now.plus_millis(LIFE.as_millis() as i64)
}

fn path(number: u64) -> Path {
    Path::from(format!("{DIRECTORY}/{number:012}.json"))
}

async fn last_number(backend: &Backend) -> Result<u64, BackendError> {
    let entries = backend.fast.list(Some(&Path::from(DIRECTORY)));
    let numbers = entries.try_filter_map(|entry| async move {
        let name = entry.location.filename().and_then(|name| name.strip_suffix(".json"));
        Ok(name.and_then(|name| name.parse::<u64>().ok()))
    });
    let numbers: Vec<u64> = numbers.try_collect().await.map_err(|error| failed("listing leases", error))?;
    Ok(numbers.into_iter().max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holds_it_until_it_is_given_back_or_runs_out() {
        let backend = Backend::memory();
        let at = Timestamp::from_millis;
        let mut first = Lease::take(&backend, at(1)).await.unwrap().expect("nobody holds it");
        assert!(Lease::take(&backend, at(2)).await.unwrap().is_none());
        assert!(first.renew(at(3)).await.unwrap());
        first.release().await.unwrap();
        let mut second = Lease::take(&backend, at(4)).await.unwrap().expect("it was given back");
        let late = until(at(4)).plus_millis(1);
        let mut third = Lease::take(&backend, late).await.unwrap().expect("it ran out");
        assert!(!second.renew(late).await.unwrap(), "who lost it is told");
        assert!(third.renew(late).await.unwrap());
    }

    #[tokio::test]
    async fn it_is_kept_by_writing_when_half_of_its_time_is_over() {
        let backend = Backend::memory();
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60 * 1000);
        let mut lease = Lease::take(&backend, at(0)).await.unwrap().unwrap();
        for (minute, number) in [(1, 1), (4, 1), (6, 2), (10, 2), (12, 3), (21, 4)] {
            assert!(lease.keep(at(minute)).await.unwrap());
            assert_eq!(lease.number, number, "minute {minute}");
        }
        let mut other = Lease::take(&backend, at(40)).await.unwrap().expect("it ran out");
        assert!(!lease.keep(at(40)).await.unwrap(), "who lost it is told");
        assert!(other.keep(at(40)).await.unwrap());
    }

    #[tokio::test]
    async fn of_many_that_race_one_gets_it() {
        let backend = Backend::memory();
        let takers = (0..16).map(|_| Lease::take(&backend, Timestamp::from_millis(1)));
        let taken = futures::future::join_all(takers).await;
        assert_eq!(taken.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
    }
}
