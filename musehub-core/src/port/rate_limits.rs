//! How often somebody may do something: buckets of tokens that refill with time.

use async_trait::async_trait;

use super::{BackendError, Timestamp};

/// A bucket: how many tokens it holds when it is full, and how long one takes to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Microseconds for one token, at least 1.
    pub micros_per_token: i64,
    /// Tokens of a full bucket, at least 1.
    pub burst: u32,
}

impl Rate {
    /// Microseconds that an empty bucket takes to be full.
    #[must_use]
    pub const fn fill_micros(self) -> i64 {
        self.micros_per_token.saturating_mul(self.burst as i64)
    }

    /// What a bucket that will be full at `full_at` becomes when `tokens` are taken at `now`, both in microseconds since the
    /// epoch: when it will be full then, or how many microseconds are to be waited first. This is the generic cell rate
    /// algorithm: one number says everything of a bucket, and a bucket that is full need not be known.
    ///
    /// # Errors
    /// The wait, where the bucket has not as many. More than a full bucket holds are never there.
    pub fn take(self, full_at: i64, tokens: u32, now: i64) -> Result<i64, i64> {
        let taken = self.micros_per_token.saturating_mul(i64::from(tokens));
        let then = full_at.max(now).saturating_add(taken);
        let wait = then.saturating_sub(now).saturating_sub(self.fill_micros());
        if wait > 0 { Err(wait) } else { Ok(then) }
    }
}

/// What became of an attempt to take tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// They are taken.
    Granted,
    /// The bucket has not as many; nothing is taken.
    Refused {
        /// In how many milliseconds it will have, at least 1.
        wait_millis: i64,
    },
}

/// The buckets.
///
/// # Contract
/// Tokens are taken at once or not at all, whoever asks at the same time. A bucket never heard of is full. A store that is
/// bounded may forget a bucket, which is full then.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Takes tokens of the bucket `key`, at most 128 bytes long; its rate is the caller's to know.
    async fn take(&self, key: &str, tokens: u32, rate: Rate, now: Timestamp) -> Result<Taken, BackendError>;

    /// Forgets buckets that are full again; how many.
    async fn forget_full(&self, now: Timestamp) -> Result<u64, BackendError>;
}
