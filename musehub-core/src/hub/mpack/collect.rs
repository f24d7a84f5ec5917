//! Packs of the wire that are of no use any more.

use std::collections::HashSet;
use std::time::Duration;

use super::Mpacks;
use crate::port::{BackendError, MpackArea, MpackFile, Timestamp};

/// How many rows are looked at at a time.
const BATCH: u32 = 200;

/// What a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MpackSweep {
    /// Uploads that were never indexed, and objects that no push took.
    pub uploads: u64,
    /// Built packs.
    pub built: u64,
    /// The bytes of both.
    pub bytes: u64,
}

impl Mpacks {
    /// Removes uploads that nobody had indexed, and built packs whose time is over. Where `dry_run` says so, counts them only.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails; what was removed until then stays removed.
    pub async fn sweep(&self, dry_run: bool) -> Result<MpackSweep, BackendError> {
        let mut swept = MpackSweep::default();
        for area in [MpackArea::Incoming, MpackArea::Object] {
            for (file, size) in self.old(area, self.options.upload_life).await? {
                self.remove(&file, size, dry_run, &mut swept).await?;
                swept.uploads += 1;
            }
        }
        if !dry_run {
            self.forget_expired().await?;
        }
        // What has no row: forgotten above, replaced, of a repository that is gone, or left by a crash. The youngest of them may
        // be on their way to a row.
        let built = self.old(MpackArea::Built, self.options.grace).await?;
        for batch in built.chunks(BATCH as usize) {
            let files: Vec<MpackFile> = batch.iter().map(|(file, _)| file.clone()).collect();
            let recorded: HashSet<MpackFile> = self.built.recorded_files(&files).await?.into_iter().collect();
            for (file, size) in batch.iter().filter(|(file, _)| !recorded.contains(file)) {
                self.remove(file, *size, dry_run, &mut swept).await?;
                swept.built += 1;
            }
        }
        Ok(swept)
    }

    /// Forgets packs that are given out no more, and whose last addresses have ended too.
    async fn forget_expired(&self) -> Result<(), BackendError> {
        let before = self.before(self.options.grace);
        loop {
            let expired = self.built.expired_fetch_packs(before, BATCH).await?;
            if expired.is_empty() {
                return Ok(());
            }
            let keys: Vec<_> = expired.into_iter().map(|pack| pack.key).collect();
            self.built.forget_fetch_packs(&keys, before).await?;
        }
    }

    async fn remove(
        &self,
        file: &MpackFile,
        size: u64,
        dry_run: bool,
        swept: &mut MpackSweep,
    ) -> Result<(), BackendError> {
        swept.bytes += size;
        if dry_run { Ok(()) } else { self.store.remove(file).await }
    }

    async fn old(&self, area: MpackArea, age: Duration) -> Result<Vec<(MpackFile, u64)>, BackendError> {
        self.store.written_before(area, self.before(age)).await
    }

    fn before(&self, age: Duration) -> Timestamp {
        let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.hub.backends.clock.now().plus_millis(-millis)
    }
}
