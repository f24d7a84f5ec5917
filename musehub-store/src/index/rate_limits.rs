//! [`RateLimits`] that all processes over one database share.

use async_trait::async_trait;
use musehub_core::port::{BackendError, Rate, RateLimits, Taken, Timestamp};

use super::SqlIndex;
use super::retry;
use super::sql::Row;

const TABLE: &str = "musehub_rate_limits";

/// One statement, so that those who come at once see each other: the bucket is as full as it was or would be by now, and is
/// emptied if that leaves it no emptier than empty.
pub(super) const TAKE: &str = "\
    INSERT INTO musehub_rate_limits (bucket, full_at) VALUES ($1, $4) \
    ON CONFLICT (bucket) DO UPDATE SET full_at = \
        CASE WHEN musehub_rate_limits.full_at > $2 THEN musehub_rate_limits.full_at ELSE $2 END + $3 \
    WHERE CASE WHEN musehub_rate_limits.full_at > $2 THEN musehub_rate_limits.full_at ELSE $2 END + $3 <= $5";

pub(super) const FULL_AT: &str = "SELECT full_at FROM musehub_rate_limits WHERE bucket = $1";

const FORGET: &str = "DELETE FROM musehub_rate_limits WHERE full_at <= $1";

#[async_trait]
impl RateLimits for SqlIndex {
    async fn take(&self, key: &str, tokens: u32, rate: Rate, now: Timestamp) -> Result<Taken, BackendError> {
        let now = micros(now);
        // Of a full bucket; whatever it lacks is only more.
        let when_new = match rate.take(now, tokens, now) {
            Ok(then) => then,
            Err(wait) => return Ok(refused(wait)),
        };
        let taken = retry::transaction(|| async {
            let write = self.write("taking tokens").await?;
            let cost = when_new - now;
            let most = now.saturating_add(rate.fill_micros());
            let values = [key.into(), now.into(), cost.into(), when_new.into(), most.into()];
            let taken = write.execute(TAKE, values).await? > 0;
            write.commit().await?;
            Ok(taken)
        });
        if taken.await? {
            return Ok(Taken::Granted);
        }
        let rows = self.rows("looking at a bucket of tokens", FULL_AT, [key.into()]).await?;
        let full_at = rows.first().map(|row| Row::of(TABLE, row).get(0, "full_at")).transpose()?;
        // It may have refilled between the two, or be forgotten: then it is not long.
        Ok(refused(rate.take(full_at.unwrap_or(now), tokens, now).err().unwrap_or(0)))
    }

    async fn forget_full(&self, now: Timestamp) -> Result<u64, BackendError> {
        retry::transaction(|| async {
            let write = self.write("forgetting full buckets").await?;
            let forgotten = write.execute(FORGET, [micros(now).into()]).await?;
            write.commit().await?;
            Ok(forgotten)
        })
        .await
    }
}

fn refused(wait_micros: i64) -> Taken {
    Taken::Refused { wait_millis: wait_micros.div_euclid(1000) + 1 }
}

fn micros(now: Timestamp) -> i64 {
    now.as_millis().saturating_mul(1000)
}
