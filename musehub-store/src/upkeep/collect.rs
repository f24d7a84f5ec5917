//! Garbage collection: removes what nothing leads to and what has gone elsewhere, after a grace period.
//!
//! A pack that the log does not name may be named a moment later: a push writes it first and the entry last, and a push may
//! borrow what another one has just written, in this process or in another. So a pack goes in two steps, each at least the
//! grace period after the one before:
//!
//! 1. *condemned*, once its youngest file is older than the grace period: rows that lie in it are forgotten, then a marker is
//!    written. From now on nobody takes its name for a new pack (`PackedStore::write_pack` looks for the marker).
//! 2. *removed*, once the marker is older than the grace period and the log, read again, still does not name it. The marker
//!    stays for another grace period, for those who wrote the pack again while it was removed.
//!
//! That is sound where no push takes longer than the grace period from its first write to its log entry, and where nobody
//! remembers a place longer than that without the log or the index saying so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use musehub_core::port::{
    BackendError, MAINTENANCE_BATCH, ObjectStore as _, PackId, PackedObject, Place, Relocation, Timestamp,
};
use musehub_core::{BlobId, ObjectKey, ObjectKind};
use serde::Serialize;

use super::listing::{Files, Listing, Live};
use super::{Upkeep, UpkeepError};
use crate::pack::PackFile;

/// The shortest grace period: longer than a push takes, and four times what a process remembers of its own packs.
pub const MIN_GRACE: Duration = Duration::from_secs(60 * 60);

/// What to collect.
#[derive(Clone, Copy, Debug)]
pub struct CollectOptions {
    /// For how long something has to be unreachable, and be seen so twice. Not below [`MIN_GRACE`].
    pub grace: Duration,
    /// For how long a deleted repository keeps its history.
    pub retention: Duration,
    /// Says what would be done.
    pub dry_run: bool,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 60 * 60),
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            dry_run: false,
        }
    }
}

/// Why something goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No log entry leads to it.
    Orphaned,
    /// Its records lie in other packs.
    Folded,
    /// An upload that no push claimed.
    Staged,
    /// What an interrupted write left.
    Interrupted,
    /// It belongs to a repository that was deleted longer ago than the retention time.
    Deleted,
    /// A marker of something that is gone.
    Marker,
}

/// What is done with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is to be removed by a later run.
    Condemned,
    /// It was condemned, and stays: the log names it now.
    Reprieved,
    /// It is gone.
    Removed,
}

/// One thing that was collected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Collected {
    /// A pack's name, an upload, a path or a repository.
    pub what: String,
    /// Why.
    pub reason: Reason,
    /// What was done.
    pub action: Action,
    /// Bytes of its files.
    pub bytes: u64,
}

/// How much was collected for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sum {
    /// Things.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Collection {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Everything collected.
    pub collected: Vec<Collected>,
    /// Packs that the log leads to and that are not there, nor lead on.
    pub missing: Vec<PackId>,
    /// Rows of the index that were told where their object lies now.
    pub rows: u64,
}

impl Collection {
    /// How much there was for each reason and action.
    #[must_use]
    pub fn sums(&self) -> BTreeMap<(Reason, Action), Sum> {
        let mut sums: BTreeMap<(Reason, Action), Sum> = BTreeMap::new();
        for collected in &self.collected {
            let sum = sums.entry((collected.reason, collected.action)).or_default();
            sum.count += 1;
            sum.bytes += collected.bytes;
        }
        sums
    }

    fn add(&mut self, what: impl ToString, reason: Reason, action: Action, bytes: u64) {
        self.collected.push(Collected { what: what.to_string(), reason, action, bytes });
    }
}

/// What is to be done with the packs of a listing.
#[derive(Debug, Default)]
struct Verdicts {
    condemn: Vec<PackId>,
    remove: Vec<PackId>,
    reprieve: Vec<PackId>,
    folded: Vec<PackId>,
    markers: Vec<PackId>,
}

impl Upkeep {
    /// Collects what nothing needs. A grace period below [`MIN_GRACE`] is taken for that.
    ///
    /// # Errors
    /// [`UpkeepError::Busy`] where another process is at it; what was removed until then stays removed.
    pub async fn collect(&self, options: CollectOptions) -> Result<Collection, UpkeepError> {
        let mut lease = self.lease().await?;
        let options = CollectOptions { grace: options.grace.max(MIN_GRACE), ..options };
        let outcome = self.collect_leased(options, &mut lease).await;
        let released = lease.release().await;
        let done = outcome?;
        released?;
        Ok(done)
    }

    async fn collect_leased(
        &self,
        options: CollectOptions,
        lease: &mut super::Lease,
    ) -> Result<Collection, UpkeepError> {
        let mut done = Collection { dry_run: options.dry_run, ..Collection::default() };
        let before =
            |age: Duration| self.clock.now().plus_millis(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let old = before(options.grace);
        self.collect_repositories(before(options.retention), &mut done).await?;
        self.collect_staging(old, &mut done).await?;
        self.collect_interrupted(old, &mut done)?;
        self.renew(lease).await?;

        let listing = self.list_packs().await?;
        let live = self.live(&listing).await?;
        let absent = |pack: &&PackId| {
            !listing.get(*pack).is_some_and(|files| files.has(PackFile::Pack) || files.has(PackFile::Forward))
        };
        done.missing = live.reached.iter().filter(absent).copied().collect();
        done.missing.sort_unstable();
        let verdicts = judge(&listing, &live, old);
        self.renew(lease).await?;
        self.reprieve(&listing, &verdicts.reprieve, &mut done).await?;
        self.condemn(&listing, &live, &verdicts.condemn, &mut done).await?;
        self.remove_folded(&listing, &verdicts.folded, &mut done).await?;
        self.renew(lease).await?;
        self.remove_orphans(&listing, &live, &verdicts.remove, &mut done).await?;
        for pack in verdicts.markers {
            self.remove_files(&pack, &[PackFile::Shrink, PackFile::Condemned], done.dry_run).await?;
            done.add(pack, Reason::Marker, Action::Removed, listing[&pack].bytes());
        }
        Ok(done)
    }

    /// Repositories deleted before `before`: their rows, then their log. Their packs are orphans then.
    async fn collect_repositories(
        &self,
        before: Timestamp,
        done: &mut Collection,
    ) -> Result<(), UpkeepError> {
        for repo in self.log.deleted_repositories(before).await? {
            let bytes = self.log.size(&repo.repo_id).await?;
            if bytes == 0 {
                continue;
            }
            if !done.dry_run {
                self.index.forget_repository(&repo.repo_id).await?;
                self.log.purge(&repo.repo_id).await?;
            }
            done.add(format!("{}/{}", repo.owner, repo.slug), Reason::Deleted, Action::Removed, bytes);
        }
        Ok(())
    }

    async fn collect_staging(&self, before: Timestamp, done: &mut Collection) -> Result<(), UpkeepError> {
        for (upload, bytes) in self.store.expired_uploads(before).await? {
            if !done.dry_run {
                self.store.remove_upload(&upload).await?;
            }
            done.add(upload, Reason::Staged, Action::Removed, bytes);
        }
        Ok(())
    }

    fn collect_interrupted(&self, before: Timestamp, done: &mut Collection) -> Result<(), UpkeepError> {
        for (path, bytes) in self.store.backend().interrupted(before)? {
            if !done.dry_run {
                std::fs::remove_file(&path).map_err(|error| {
                    BackendError::unavailable("removing what an interrupted write left", error)
                })?;
            }
            done.add(path.display(), Reason::Interrupted, Action::Removed, bytes);
        }
        Ok(())
    }

    async fn reprieve(
        &self,
        listing: &Listing,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), BackendError> {
        for pack in packs {
            self.remove_files(pack, &[PackFile::Condemned], done.dry_run).await?;
            done.add(pack, Reason::Orphaned, Action::Reprieved, listing[pack].bytes());
        }
        Ok(())
    }

    /// The first step: rows, then marker.
    async fn condemn(
        &self,
        listing: &Listing,
        live: &Live,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), BackendError> {
        if packs.is_empty() {
            return Ok(());
        }
        if !done.dry_run {
            done.rows += self.clear_rows(listing, live, packs).await?;
        }
        for pack in packs {
            if !done.dry_run {
                self.store.write_marker(*pack, PackFile::Condemned).await?;
            }
            done.add(pack, Reason::Orphaned, Action::Condemned, listing[pack].bytes());
        }
        Ok(())
    }

    /// Takes blobs that lie in packs about to go out of the index, or points their rows to where a live pack has them.
    async fn clear_rows(
        &self,
        listing: &Listing,
        live: &Live,
        packs: &[PackId],
    ) -> Result<u64, BackendError> {
        let mut lying: HashMap<ObjectKey, Place> = HashMap::new();
        for pack in packs {
            let objects = match self.store.pack_objects(*pack).await {
                Ok(objects) => objects,
                // Nobody can have made rows of what cannot be read.
                Err(BackendError::Missing { .. } | BackendError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            let blobs = objects.iter().filter(|object| object.key.kind == ObjectKind::Blob);
            let blobs: Vec<&PackedObject> = blobs.collect();
            let keys: Vec<ObjectKey> = blobs.iter().map(|object| object.key).collect();
            for (object, place) in blobs.iter().zip(self.store.indexed(&keys).await?) {
                if place == Some(object.place) {
                    lying.insert(object.key, object.place);
                }
            }
        }
        if lying.is_empty() {
            return Ok(0);
        }
        // Records that a live name leads to as well stay where they are.
        let targets: HashSet<PackId> = lying.values().map(|place| place.pack).collect();
        let alive = self.live_records(listing, live, &targets).await?;
        lying.retain(|_, place| {
            alive.get(&place.pack).is_some_and(|offsets| !offsets.contains(&place.offset))
        });
        let moved = self.live_copies(live, &lying).await?;
        let mut rows = 0;
        for batch in moved.chunks(MAINTENANCE_BATCH) {
            rows += self.index.relocate(batch).await?;
        }
        for relocation in moved {
            lying.remove(&relocation.key);
        }
        let gone: Vec<(BlobId, Place)> =
            lying.into_iter().map(|(key, place)| (BlobId::from(key.id), place)).collect();
        for batch in gone.chunks(MAINTENANCE_BATCH) {
            rows += self.index.forget_blobs(batch).await?;
        }
        Ok(rows)
    }

    /// Where else the log leads to objects.
    async fn live_copies(
        &self,
        live: &Live,
        lying: &HashMap<ObjectKey, Place>,
    ) -> Result<Vec<Relocation>, BackendError> {
        let mut found: HashMap<ObjectKey, Relocation> = HashMap::new();
        if lying.is_empty() {
            return Ok(Vec::new());
        }
        for pack in &live.named {
            let objects = match self.store.pack_objects(*pack).await {
                Ok(objects) => objects,
                Err(BackendError::Missing { .. } | BackendError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            for object in objects {
                if let Some(from) = lying.get(&object.key) {
                    let relocation = Relocation { key: object.key, from: *from, to: object.place };
                    found.entry(object.key).or_insert(relocation);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes packs whose records lie elsewhere; their forwarding files stay.
    async fn remove_folded(
        &self,
        listing: &Listing,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), BackendError> {
        for pack in packs {
            let Some(forward) = self.store.forward(*pack).await? else {
                continue;
            };
            // The last look: what the records went to is there.
            let arrived = forward.targets().iter().all(|target| {
                let there = |files: &Files| {
                    files.has(PackFile::Forward) || (files.has(PackFile::Pack) && files.has(PackFile::Index))
                };
                listing.get(target).is_some_and(there)
            });
            if !arrived {
                done.missing.extend(forward.targets().iter().filter(|target| !listing.contains_key(target)));
                continue;
            }
            if !done.dry_run {
                done.rows += self.relocate(&forward).await?;
            }
            let files = [PackFile::Index, PackFile::Pack, PackFile::Shrink];
            self.remove_files(pack, &files, done.dry_run).await?;
            let kept = listing[pack].get(PackFile::Forward).map_or(0, |file| file.size);
            done.add(pack, Reason::Folded, Action::Removed, listing[pack].bytes() - kept);
        }
        Ok(())
    }

    /// The second step, after the log was read once more.
    async fn remove_orphans(
        &self,
        listing: &Listing,
        before: &Live,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), BackendError> {
        if packs.is_empty() {
            return Ok(());
        }
        let live = self.live(listing).await?;
        for pack in packs {
            if live.reached.contains(pack) || before.reached.contains(pack) {
                continue;
            }
            let files = &listing[pack];
            if !done.dry_run {
                // The marker is younger than the removal from now on.
                self.store.write_marker(*pack, PackFile::Condemned).await?;
                if files.has(PackFile::Forward) {
                    for target in
                        self.store.forward(*pack).await?.map(|way| way.targets()).unwrap_or_default()
                    {
                        self.store.write_marker(target, PackFile::Shrink).await?;
                    }
                }
            }
            let kinds = [PackFile::Index, PackFile::Pack, PackFile::Forward, PackFile::Shrink];
            self.remove_files(pack, &kinds, done.dry_run).await?;
            done.add(pack, Reason::Orphaned, Action::Removed, files.bytes());
        }
        Ok(())
    }

    async fn remove_files(
        &self,
        pack: &PackId,
        kinds: &[PackFile],
        dry_run: bool,
    ) -> Result<(), BackendError> {
        for kind in kinds.iter().filter(|_| !dry_run) {
            self.store.remove_file(*pack, *kind).await?;
        }
        Ok(())
    }
}

/// Says what is to be done with each name, by the age of its files.
fn judge(listing: &Listing, live: &Live, old: Timestamp) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for (pack, files) in listing {
        let condemned = files.get(PackFile::Condemned);
        let is_old = files.youngest().is_none_or(|youngest| youngest < old);
        if live.reached.contains(pack) {
            if condemned.is_some() {
                verdicts.reprieve.push(*pack);
            } else if files.has(PackFile::Forward)
                && is_old
                && (files.has(PackFile::Pack) || files.has(PackFile::Index))
            {
                verdicts.folded.push(*pack);
            }
            continue;
        }
        let nothing_left = files.youngest().is_none();
        match condemned {
            None if nothing_left => verdicts.markers.push(*pack),
            None if is_old => verdicts.condemn.push(*pack),
            Some(marker) if marker.modified < old && nothing_left => verdicts.markers.push(*pack),
            Some(marker) if marker.modified < old && is_old => verdicts.remove.push(*pack),
            _ => {}
        }
    }
    verdicts
}
