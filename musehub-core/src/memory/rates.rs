//! Buckets of tokens in memory, bounded: an attacker with many addresses costs no more than that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::port::{BackendError, Rate, RateLimits, Taken, Timestamp};

/// How many buckets are remembered where nobody says otherwise.
const MAX_BUCKETS: usize = 100_000;

/// Two generations of buckets: a bucket that is used moves to the younger one, and when that has half of what may be
/// remembered, the older one is forgotten. So what is forgotten has not been used for long.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, i64>,
    old: HashMap<String, i64>,
}

/// [`RateLimits`] of one process.
#[derive(Debug)]
pub struct MemoryRates {
    generations: Mutex<Generations>,
    most: usize,
}

impl Default for MemoryRates {
    fn default() -> Self {
        Self::with_room_for(MAX_BUCKETS)
    }
}

impl MemoryRates {
    /// One that remembers at most `most` buckets.
    #[must_use]
    pub fn with_room_for(most: usize) -> Self {
        Self { generations: Mutex::default(), most: most.max(2) }
    }

    /// How many buckets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.generations();
        generations.young.len() + generations.old.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        // Each change is one insertion or removal, whole or not there.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RateLimits for MemoryRates {
    async fn take(&self, key: &str, tokens: u32, rate: Rate, now: Timestamp) -> Result<Taken, BackendError> {
        let now = micros(now);
        let mut generations = self.generations();
        let Generations { young, old } = &mut *generations;
        let known = young.get(key).copied().or_else(|| old.remove(key));
        let full_at = known.unwrap_or(now);
        let (full_at, taken) = match rate.take(full_at, tokens, now) {
            Ok(then) => (then, Taken::Granted),
            Err(wait) => (full_at, Taken::Refused { wait_millis: wait.div_euclid(1000) + 1 }),
        };
        if let Some(known) = young.get_mut(key) {
            *known = full_at;
        } else {
            if young.len() >= self.most / 2 {
                *old = std::mem::take(young);
            }
            young.insert(key.to_owned(), full_at);
        }
        Ok(taken)
    }

    async fn forget_full(&self, now: Timestamp) -> Result<u64, BackendError> {
        let now = micros(now);
        let before = self.len();
        let mut generations = self.generations();
        generations.young.retain(|_, full_at| *full_at > now);
        generations.old.retain(|_, full_at| *full_at > now);
        let left = generations.young.len() + generations.old.len();
        Ok((before - left) as u64)
    }
}

fn micros(now: Timestamp) -> i64 {
    now.as_millis().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn ten_times_as_many_addresses_as_there_is_room_for_take_no_more_room() {
        let rates = MemoryRates::with_room_for(100);
        let rate = Rate { micros_per_token: 1_000_000, burst: 1 };
        let now = Timestamp::from_millis(1);
        let take = |key: &str| block_on(rates.take(key, 1, rate, now)).unwrap();
        for n in 0..1000 {
            assert_eq!(take(&format!("stranger {n}")), Taken::Granted);
            // Whoever comes all the time is not forgotten for those who come once.
            assert_eq!(take("regular") == Taken::Granted, n == 0);
            assert!(rates.len() <= 100, "{}", rates.len());
        }
    }
}
