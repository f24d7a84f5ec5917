//! Repack: many small packs become few large ones, and what a push left uncompressed is compressed.
//!
//! Packs of about the same size are folded together once there are enough of them, so a record is copied a number of times
//! that grows with the logarithm of the store. Nothing is removed: that is the collection's, after its grace period.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use musehub_core::port::{BackendError, PackId, Place, Timestamp};
use serde::Serialize;

use super::listing::{Files, Listing, Live};
use super::report::Spared;
use super::{Upkeep, UpkeepError};
use crate::pack::{Effort, Folded, PackFile};

/// Packs from this size on are not folded with others.
const SMALL: u64 = 8 << 20;
/// Packs below this size are of one tier; those of the next are up to four times as large.
const FIRST_TIER: u64 = 64 << 10;
/// How many bytes of packs are folded at a time.
const GROUP_BYTES: u64 = 256 << 20;
/// How many records of packs are folded at a time, which bounds the memory of it.
const GROUP_RECORDS: u64 = 250_000;
/// For how long after its push a large pack is looked at for whether it should be compressed.
const FRESH: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// What an entry of an index file has, in bytes.
const INDEX_ENTRY: u64 = 60;

/// What to fold.
#[derive(Clone, Copy, Debug)]
pub struct RepackOptions {
    /// How many small packs of about one size make a fold worth it; at least 2.
    pub min_packs: usize,
    /// Folds small packs of any size together, and looks at every large pack, however old.
    pub all: bool,
    /// Says what would be done.
    pub dry_run: bool,
}

impl Default for RepackOptions {
    fn default() -> Self {
        Self { min_packs: 8, all: false, dry_run: false }
    }
}

/// What a repack did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Repacked {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Packs that the log leads to.
    pub packs: u64,
    /// Folds that there are to do.
    pub folds_planned: u64,
    /// Folds done.
    pub folds: u64,
    /// Packs folded; in a dry run, those that would be.
    pub folded: Vec<PackId>,
    /// Packs written.
    pub written: Vec<PackId>,
    /// Packs that could not be read whole and stay as they are, and why.
    pub refused: Vec<(PackId, String)>,
    /// Forwarding files that cannot be read: what they lead to is not folded, and no record is left behind.
    pub unread: Vec<Spared>,
    /// Records copied.
    pub records: u64,
    /// Records that another pack had as well.
    pub duplicates: u64,
    /// Records left behind, since nothing leads to them.
    pub dropped: u64,
    /// Rows of the index that were told where their object lies now.
    pub rows: u64,
    /// Bytes of the folded packs.
    pub bytes_before: u64,
    /// Bytes of the written ones.
    pub bytes_after: u64,
}

impl Upkeep {
    /// Folds packs. `progress` hears of each fold when it is done.
    ///
    /// # Errors
    /// [`UpkeepError::Busy`] where another process is at it; what was folded until then stays folded.
    pub async fn repack(
        &self,
        options: RepackOptions,
        progress: &(dyn Fn(&Repacked) + Send + Sync),
    ) -> Result<Repacked, UpkeepError> {
        let mut lease = self.lease().await?;
        let outcome = self.repack_leased(options, progress, &mut lease).await;
        let released = lease.release().await;
        let done = outcome?;
        released?;
        Ok(done)
    }

    async fn repack_leased(
        &self,
        options: RepackOptions,
        progress: &(dyn Fn(&Repacked) + Send + Sync),
        lease: &mut super::Lease,
    ) -> Result<Repacked, UpkeepError> {
        let listing = self.list_packs().await?;
        let live = self.live(&listing, &HashSet::new()).await?;
        let groups = self.plan(&listing, &live, options).await?;
        let mut done =
            Repacked { dry_run: options.dry_run, folds_planned: groups.len() as u64, ..Repacked::default() };
        done.unread.clone_from(&live.unread);
        done.packs = live.reached.len() as u64;
        for group in groups {
            if options.dry_run {
                let sizes = group.iter().filter_map(|pack| listing[pack].get(PackFile::Pack));
                done.bytes_before += sizes.map(|file| file.size).sum::<u64>();
                done.folded.extend(group);
                continue;
            }
            let dead = self.dead_records(&listing, &live, &group).await?;
            let folded = self.store.fold(&group, &dead).await?;
            for pack in &folded.forwarded {
                if let Some(forward) = self.store.forward(*pack).await? {
                    done.rows += self.relocate(&forward).await?;
                }
            }
            done.add(folded);
            progress(&done);
            self.keep(lease).await?;
        }
        Ok(done)
    }

    /// Which packs are to be folded together.
    async fn plan(
        &self,
        listing: &Listing,
        live: &Live,
        options: RepackOptions,
    ) -> Result<Vec<Vec<PackId>>, UpkeepError> {
        let now = self.clock.now();
        let mut tiers: BTreeMap<u32, Vec<(Timestamp, PackId)>> = BTreeMap::new();
        let mut groups = Vec::new();
        for (pack, files) in
            listing.iter().filter(|(pack, files)| live.reached.contains(pack) && is_whole(files))
        {
            let Some(file) = files.get(PackFile::Pack) else {
                continue;
            };
            let shrinks = files.has(PackFile::Shrink);
            if file.size < SMALL && !shrinks {
                let tier = if options.all { 0 } else { tier(file.size) };
                tiers.entry(tier).or_default().push((file.modified, *pack));
                continue;
            }
            let fresh = now.as_millis() - file.modified.as_millis() < FRESH.as_millis() as i64;
            let raw = (options.all || fresh) && self.is_raw(*pack).await;
            if shrinks || raw {
                groups.push(vec![*pack]);
            }
        }
        for packs in tiers.into_values().filter(|packs| packs.len() >= options.min_packs.max(2)) {
            groups.extend(grouped(listing, packs));
        }
        Ok(groups)
    }

    /// Whether a pack is as its push wrote it. One that cannot be read is nothing to fold.
    async fn is_raw(&self, pack: PackId) -> bool {
        matches!(self.store.effort_of(pack).await, Ok(Effort::Push))
    }

    /// The records of marked packs that nothing leads to any more.
    async fn dead_records(
        &self,
        listing: &Listing,
        live: &Live,
        group: &[PackId],
    ) -> Result<HashSet<Place>, UpkeepError> {
        let marked = group.iter().copied().filter(|pack| listing[pack].has(PackFile::Shrink));
        let marked: HashSet<PackId> = marked.collect();
        let mut dead = HashSet::new();
        let records = match self.live_records(listing, live, &marked).await {
            // Whose way cannot be told, whose records may be any.
            Err(BackendError::Missing { .. } | BackendError::Damaged { .. }) => return Ok(dead),
            records => records?,
        };
        for (pack, alive) in records {
            let places = self.store.index_objects(pack).await?.into_iter().map(|object| object.place);
            dead.extend(places.filter(|place| !alive.contains(&place.offset)));
        }
        Ok(dead)
    }
}

impl Repacked {
    fn add(&mut self, folded: Folded) {
        self.folds += 1;
        self.folded.extend(folded.forwarded);
        self.written.extend(folded.written);
        self.refused.extend(folded.refused);
        self.records += folded.records;
        self.duplicates += folded.duplicates;
        self.dropped += folded.dropped;
        self.bytes_before += folded.bytes_before;
        self.bytes_after += folded.bytes_after;
    }
}

/// Whether a pack is there with its index, leads nowhere else and is not about to go.
fn is_whole(files: &Files) -> bool {
    files.has(PackFile::Pack)
        && files.has(PackFile::Index)
        && !files.has(PackFile::Forward)
        && !files.has(PackFile::Condemned)
}

/// Sizes within a factor of four are of one tier.
fn tier(size: u64) -> u32 {
    (size / FIRST_TIER).checked_ilog(4).map_or(0, |tier| tier + 1)
}

/// Cuts packs, oldest first, into groups that are folded at a time. A group of one is nothing to fold.
fn grouped(listing: &Listing, mut packs: Vec<(Timestamp, PackId)>) -> Vec<Vec<PackId>> {
    packs.sort_unstable();
    let mut groups: Vec<Vec<PackId>> = Vec::new();
    let (mut bytes, mut records) = (GROUP_BYTES, 0);
    for (_, pack) in packs {
        let size = |kind| listing[&pack].get(kind).map_or(0, |file| file.size);
        bytes += size(PackFile::Pack);
        records += size(PackFile::Index) / INDEX_ENTRY;
        match groups.last_mut() {
            Some(group) if bytes <= GROUP_BYTES && records <= GROUP_RECORDS => group.push(pack),
            _ => {
                (bytes, records) = (size(PackFile::Pack), size(PackFile::Index) / INDEX_ENTRY);
                groups.push(vec![pack]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_of_about_one_size_are_of_one_tier() {
        assert_eq!([0, 1, FIRST_TIER - 1].map(tier), [0; 3]);
        assert_eq!([FIRST_TIER, 4 * FIRST_TIER - 1].map(tier), [1; 2]);
        assert_eq!([4 * FIRST_TIER, 16 * FIRST_TIER - 1, SMALL - 1].map(tier), [2, 2, 4]);
    }
}
