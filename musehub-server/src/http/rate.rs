//! How often somebody may ask: by who they are where they say so, else by their address.
//!
//! Whoever proves who they are is counted by that alone, wherever they are: an office behind one address does not suffer for
//! one of its own. Credentials that are not valid are counted by address, and strictest. Limits are generous: the March client
//! pushes 100,000 objects in 250 requests, and negotiates over 100,000 commits in 1,600.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use musehub_core::Handle;
use musehub_core::port::{BackendError, Rate, RateLimits, Taken, Timestamp};

use super::ApiError;
use super::origin::network_of;

/// What is counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Requests that change nothing.
    Read,
    /// Those that do.
    Write,
    /// Those with credentials that are not valid.
    Failure,
}

impl Class {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Failure => "failure",
        }
    }
}

/// How much of each class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    read: Rate,
    write: Rate,
    failure: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second: i64, burst| Rate { micros_per_token: 1_000_000 / per_second, burst };
        let failure = Rate { micros_per_token: 5_000_000, burst: 20 };
        Self { read: rate(50, 3_000), write: rate(30, 2_000), failure }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To thousandths: 30 in a second are one in 33,333 microseconds, which is a little more.
        let per_second = |rate: Rate| (1e9 / rate.micros_per_token as f64).round() / 1e3;
        let shown = |rate: Rate| format!("{}/{}", per_second(rate), rate.burst);
        write!(f, "read={},write={},failure={}", shown(self.read), shown(self.write), shown(self.failure))
    }
}

/// Reads `read=50/3000,write=30/2000,failure=0.2/20`: requests per second, and how many at once. What is not named stays.
impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rates = Self::default();
        for part in text.split(',') {
            let (class, rate) = part.split_once('=').ok_or("limits look like read=50/3000,write=30/2000")?;
            let place = match class {
                "read" => &mut rates.read,
                "write" => &mut rates.write,
                "failure" => &mut rates.failure,
                _ => return Err(format!("there are read, write and failure, and no '{class}'")),
            };
            *place = parse_rate(rate)?;
        }
        Ok(rates)
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let parsed = text.split_once('/').and_then(|(per_second, burst)| {
        let (per_second, burst): (f64, u32) = (per_second.parse().ok()?, burst.parse().ok()?);
        let sane = (0.001..=1e6).contains(&per_second) && (1..=10_000_000).contains(&burst);
        // From 1 to 1e9, as the rate is from 1e6 down to 0.001.
        sane.then(|| Rate { micros_per_token: (1e6 / per_second).round() as i64, burst })
    });
    parsed.ok_or_else(|| {
        format!("'{text}' is no limit: 0.001 to 1000000 per second, a slash, at least 1 at once")
    })
}

/// Who is counted.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Somebody who proved to be this one.
    Identity(&'a Handle),
    /// Whoever is at an address.
    Address(IpAddr),
}

impl Who<'_> {
    fn bucket(self, class: Class) -> String {
        let class = class.as_str();
        match self {
            Self::Identity(handle) => format!("identity:{}:{class}", handle.as_str().to_ascii_lowercase()),
            Self::Address(address) => format!("address:{}:{class}", network_of(address)),
        }
    }
}

/// Counts requests.
pub struct Limiter {
    limits: Option<(Rates, Arc<dyn RateLimits>)>,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("rates", &self.limits.as_ref().map(|(rates, _)| rates)).finish()
    }
}

impl Limiter {
    /// One that lets everybody through.
    #[must_use]
    pub const fn off() -> Self {
        Self { limits: None }
    }

    /// One over buckets.
    #[must_use]
    pub fn over(rates: Rates, buckets: Arc<dyn RateLimits>) -> Self {
        Self { limits: Some((rates, buckets)) }
    }

    /// Counts a request that costs so much.
    ///
    /// # Errors
    /// 429 where there were too many. A store that fails lets everybody through: what they want fails by itself, if it needs
    /// the same store.
    pub async fn count(&self, who: Who<'_>, class: Class, cost: u32, now: Timestamp) -> Result<(), ApiError> {
        let Some((rates, buckets)) = &self.limits else {
            return Ok(());
        };
        let rate = match class {
            Class::Read => rates.read,
            Class::Write => rates.write,
            Class::Failure => rates.failure,
        };
        // What costs more than a full bucket would never be let through.
        match buckets.take(&who.bucket(class), cost.min(rate.burst), rate, now).await {
            Ok(Taken::Granted) => Ok(()),
            Ok(Taken::Refused { wait_millis }) => Err(ApiError::too_many(class.as_str(), wait_millis)),
            Err(error) => {
                tracing::warn!(%error, "requests are not counted");
                Ok(())
            }
        }
    }

    /// Forgets what means nothing any more.
    pub async fn tidy(&self, now: Timestamp) {
        let Some((_, buckets)) = &self.limits else {
            return;
        };
        if let Err(error) = buckets.forget_full(now).await {
            tracing::warn!(%error, "full buckets of tokens were not forgotten");
        }
    }
}

/// How many reservations are held at most.
const MAX_HELD: usize = 50_000;
/// A reservation is this part of a full bucket.
const PORTION: u32 = 32;
/// For how long a reservation is kept, in milliseconds.
const KEPT: i64 = 10_000;

/// Buckets that several processes share, taken from in portions: so that not every request is a write to the database. What a
/// process has reserved and not used is lost to the others, which makes a limit stricter by a part of it, never laxer.
pub struct Reserving {
    shared: Arc<dyn RateLimits>,
    held: Mutex<HashMap<String, (u32, Timestamp)>>,
}

impl fmt::Debug for Reserving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserving").finish_non_exhaustive()
    }
}

impl Reserving {
    /// Takes from these.
    #[must_use]
    pub fn from(shared: Arc<dyn RateLimits>) -> Self {
        Self { shared, held: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u32, Timestamp)>> {
        // Each change is one insertion or removal, whole or not there.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes from what is reserved.
    fn take_held(&self, key: &str, tokens: u32, now: Timestamp) -> bool {
        let mut held = self.held();
        match held.get_mut(key) {
            Some((left, until)) if *until > now && *left >= tokens => {
                *left -= tokens;
                true
            }
            _ => false,
        }
    }
}

#[async_trait]
impl RateLimits for Reserving {
    async fn take(&self, key: &str, tokens: u32, rate: Rate, now: Timestamp) -> Result<Taken, BackendError> {
        if self.take_held(key, tokens, now) {
            return Ok(Taken::Granted);
        }
        let portion = tokens.max(rate.burst / PORTION);
        let taken = self.shared.take(key, portion, rate, now).await?;
        if taken != Taken::Granted {
            // Less may be there.
            return if portion > tokens { self.shared.take(key, tokens, rate, now).await } else { Ok(taken) };
        }
        if portion > tokens {
            let mut held = self.held();
            if held.len() >= MAX_HELD {
                held.retain(|_, (left, until)| *left > 0 && *until > now);
            }
            // Where even that leaves no room, the rest of the portion is lost.
            if held.len() < MAX_HELD {
                held.insert(key.to_owned(), (portion - tokens, now.plus_millis(KEPT)));
            }
        }
        Ok(Taken::Granted)
    }

    async fn forget_full(&self, now: Timestamp) -> Result<u64, BackendError> {
        self.held().retain(|_, (left, until)| *left > 0 && *until > now);
        self.shared.forget_full(now).await
    }
}

#[cfg(test)]
mod tests {
    use musehub_core::memory::MemoryRates;

    use super::*;

    #[test]
    fn limits_are_read_as_they_are_shown() {
        let rates = Rates::default();
        assert_eq!(rates.to_string(), "read=50/3000,write=30/2000,failure=0.2/20");
        assert_eq!(rates.to_string().parse(), Ok(rates));
        let some: Rates = "write=1/5".parse().unwrap();
        assert_eq!(some.to_string(), "read=50/3000,write=1/5,failure=0.2/20");
        for bad in [
            "",
            "read",
            "read=",
            "read=1",
            "read=0/5",
            "read=1/0",
            "read=-1/5",
            "read=NaN/5",
            "all=1/5",
            "read=1/5,",
        ] {
            assert!(bad.parse::<Rates>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn processes_that_reserve_get_no_more_together_than_one_alone() {
        let shared: Arc<dyn RateLimits> = Arc::new(MemoryRates::default());
        let processes =
            [Reserving::from(shared.clone()), Reserving::from(shared.clone()), Reserving::from(shared)];
        let rate = Rate { micros_per_token: 1_000_000_000, burst: 1_000 };
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut granted = 0;
        for round in 0..1_000 {
            for process in &processes {
                let taken = process.take("address:192.0.2.7:read", 1, rate, now).await.unwrap();
                granted += u32::from(taken == Taken::Granted);
                assert!(round > 300 || taken == Taken::Granted, "refused in round {round}");
            }
        }
        assert_eq!(granted, 1_000);
    }

    #[tokio::test]
    async fn reservations_take_bounded_room() {
        let process = Reserving::from(Arc::new(MemoryRates::default()));
        let rate = Rate { micros_per_token: 1_000, burst: 1_000 };
        let now = Timestamp::from_millis(1_800_000_000_000);
        for n in 0..MAX_HELD + 1_000 {
            assert_eq!(process.take(&n.to_string(), 1, rate, now).await.unwrap(), Taken::Granted);
        }
        assert_eq!(process.held().len(), MAX_HELD);
        process.forget_full(now.plus_millis(KEPT)).await.unwrap();
        assert_eq!(process.held().len(), 0);
    }
}
