//! The contract of [`RateLimits`].

use futures::future::join_all;

use super::fixtures::at;
use super::run_cases;
use crate::port::{Rate, RateLimits, Taken};

/// Three tokens, one of which comes back each second.
const RATE: Rate = Rate { micros_per_token: 1_000_000, burst: 3 };

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`RateLimits`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RateLimits,
{
    run_cases!(
        "rate_limits",
        fresh,
        [
            a_bucket_gives_what_it_holds_and_refills,
            many_tokens_are_taken_at_once_or_not_at_all,
            what_never_fits_is_refused,
            buckets_are_apart,
            those_who_come_at_once_get_no_more,
            a_clock_that_goes_back_gives_nothing_away,
            full_buckets_are_forgotten,
        ]
    );
}

async fn take<B: RateLimits>(rates: &B, key: &str, tokens: u32, millis: i64) -> Taken {
    rates.take(key, tokens, RATE, at(millis)).await.expect("take")
}

#[track_caller]
fn refused(taken: Taken, most: i64) {
    let Taken::Refused { wait_millis } = taken else { panic!("taken, though the bucket is empty") };
    assert!((1..=most).contains(&wait_millis), "waits {wait_millis} ms instead of at most {most}");
}

async fn a_bucket_gives_what_it_holds_and_refills<B: RateLimits>(rates: &B) {
    for _ in 0..3 {
        assert_eq!(take(rates, "a", 1, 0).await, Taken::Granted, "a new bucket is full");
    }
    refused(take(rates, "a", 1, 0).await, 1_001);
    refused(take(rates, "a", 1, 999).await, 2);
    assert_eq!(take(rates, "a", 1, 1_000).await, Taken::Granted, "a token came back");
    refused(take(rates, "a", 1, 1_000).await, 1_001);
    for _ in 0..3 {
        assert_eq!(take(rates, "a", 1, 1_000_000).await, Taken::Granted, "it is full again");
    }
    refused(take(rates, "a", 1, 1_000_000).await, 1_001);
}

async fn many_tokens_are_taken_at_once_or_not_at_all<B: RateLimits>(rates: &B) {
    assert_eq!(take(rates, "a", 2, 0).await, Taken::Granted, "there are three");
    refused(take(rates, "a", 2, 0).await, 1_001);
    assert_eq!(take(rates, "a", 1, 0).await, Taken::Granted, "a refusal takes nothing");
    assert_eq!(take(rates, "a", 0, 0).await, Taken::Granted, "nothing is always there");
    refused(take(rates, "a", 3, 0).await, 3_001);
    assert_eq!(take(rates, "a", 3, 3_000).await, Taken::Granted, "a full bucket gives all");
}

async fn what_never_fits_is_refused<B: RateLimits>(rates: &B) {
    refused(take(rates, "a", 4, 0).await, 1_001);
    assert!(matches!(take(rates, "a", u32::MAX, 0).await, Taken::Refused { .. }), "more than ever fits");
    assert_eq!(take(rates, "a", 3, 0).await, Taken::Granted, "a refusal takes nothing");
}

async fn buckets_are_apart<B: RateLimits>(rates: &B) {
    let odd = ["a", "A", "", " a", "a'", "\u{fc}", "address:2001:db8::/64:read"];
    for key in odd {
        assert_eq!(take(rates, key, 3, 0).await, Taken::Granted, "'{key}' is a bucket of its own");
    }
    for key in odd {
        refused(take(rates, key, 1, 0).await, 1_001);
    }
}

async fn those_who_come_at_once_get_no_more<B: RateLimits>(rates: &B) {
    let taken = join_all((0..20).map(|_| take(rates, "a", 1, 0))).await;
    assert_eq!(taken.iter().filter(|taken| **taken == Taken::Granted).count(), 3, "three of twenty");
}

async fn a_clock_that_goes_back_gives_nothing_away<B: RateLimits>(rates: &B) {
    assert_eq!(take(rates, "a", 3, 10_000).await, Taken::Granted, "full");
    refused(take(rates, "a", 1, 5_000).await, 6_001);
    assert_eq!(take(rates, "a", 1, 11_000).await, Taken::Granted, "as if it had not gone back");
}

async fn full_buckets_are_forgotten<B: RateLimits>(rates: &B) {
    take(rates, "a", 1, 0).await;
    take(rates, "b", 3, 0).await;
    assert_eq!(rates.forget_full(at(500)).await.expect("forget"), 0, "none is full");
    assert_eq!(rates.forget_full(at(1_500)).await.expect("forget"), 1, "one is full");
    assert_eq!(take(rates, "b", 1, 1_500).await, Taken::Granted, "the other is as it was");
    refused(take(rates, "b", 2, 1_500).await, 1_501);
    assert_eq!(rates.forget_full(at(100_000)).await.expect("forget"), 1, "later it is full too");
    assert_eq!(rates.forget_full(at(100_000)).await.expect("forget"), 0, "none is left");
}
