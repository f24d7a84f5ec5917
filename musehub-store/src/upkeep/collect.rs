//! Garbage collection: removes what nothing leads to and what has gone elsewhere, after a grace period.
//!
//! A pack that the log does not name may be named a moment later: a push writes it first and the entry last, and a push may
//! borrow what another one has just written, in this process or in another. So a pack goes in two steps, each at least the
//! grace period after the one before:
//!
//! 1. *condemned*, once its youngest file is older than the grace period: rows that lie in it are forgotten, the log is read
//!    once more for who found one of them a moment before, then a marker is written. From now on nobody takes its name for a
//!    new pack (`PackedStore::write_pack` looks for the marker).
//! 2. *removed*, once the marker is older than the grace period and the log, read again, still does not name it. The marker
//!    stays for another grace period, for those who wrote the pack again while it was removed.
//!
//! What cannot be judged stays, and is reported: a pack whose contents nobody can tell, all orphans where a forwarding file is
//! damaged that may lead to them.
//!
//! That is sound where no push takes longer than the grace period from its first write to its log entry, and where nobody
//! remembers a place longer than that without the log or the index saying so.

use std::collections::HashSet;
use std::time::Duration;

use musehub_core::RepoId;
use musehub_core::port::{BackendError, PackId, RepositoryRecord, Timestamp};

use super::listing::{Files, Listing, Live};
use super::report::{Action, Collection, Reason, Spared};
use super::{Lease, Upkeep, UpkeepError};
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

/// What is to be done with the packs of a listing.
#[derive(Debug, Default)]
struct Verdicts {
    condemn: Vec<PackId>,
    remove: Vec<PackId>,
    reprieve: Vec<PackId>,
    folded: Vec<PackId>,
    markers: Vec<PackId>,
}

/// What the steps of one collection have in common.
pub(super) struct Round<'a> {
    pub(super) listing: Listing,
    /// Repositories that count as gone in a dry run.
    pub(super) leaving: HashSet<RepoId>,
    /// What was written before this is old.
    pub(super) old: Timestamp,
    pub(super) lease: &'a mut Lease,
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
        lease: &mut Lease,
    ) -> Result<Collection, UpkeepError> {
        let mut done = Collection { dry_run: options.dry_run, ..Collection::default() };
        let before =
            |age: Duration| self.clock.now().plus_millis(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let old = before(options.grace);
        let leaving = self.collect_repositories(before(options.retention), lease, &mut done).await?;
        self.collect_staging(old, &mut done).await?;
        self.collect_interrupted(old, &mut done)?;
        self.keep(lease).await?;

        let listing = self.list_packs().await?;
        let live = self.live(&listing, &leaving).await?;
        done.spared.extend(live.unread.iter().cloned());
        let absent = |pack: &&PackId| {
            !listing.get(*pack).is_some_and(|files| files.has(PackFile::Pack) || files.has(PackFile::Forward))
        };
        done.missing = live.reached.iter().filter(absent).copied().collect();
        done.missing.sort_unstable();
        let verdicts = judge(&listing, &live, old);
        let mut round = Round { listing, leaving, old, lease };
        self.reprieve(&mut round, &verdicts.reprieve, &mut done).await?;
        self.condemn(&mut round, &live, &verdicts.condemn, &mut done).await?;
        self.remove_folded(&mut round, &verdicts.folded, &mut done).await?;
        self.remove_orphans(&mut round, &live, &verdicts.remove, &mut done).await?;
        for pack in verdicts.markers {
            self.keep(round.lease).await?;
            self.remove_files(&pack, &[PackFile::Shrink, PackFile::Condemned], done.dry_run).await?;
            done.add(pack, Reason::Marker, Action::Removed, round.listing[&pack].bytes());
        }
        Ok(done)
    }

    /// Repositories deleted before `before`: their rows and their log. Their packs are orphans then. One that cannot be removed
    /// keeps nobody else. Gives those that a dry run takes for removed.
    async fn collect_repositories(
        &self,
        before: Timestamp,
        lease: &mut Lease,
        done: &mut Collection,
    ) -> Result<HashSet<RepoId>, UpkeepError> {
        let mut leaving = HashSet::new();
        for repo in self.log.deleted_repositories(before).await? {
            self.keep(lease).await?;
            let name = format!("{}/{}", repo.owner, repo.slug);
            match self.collect_repository(&repo, before, done.dry_run).await {
                Ok(0) => {}
                Ok(bytes) => {
                    done.add(name, Reason::Deleted, Action::Removed, bytes);
                    leaving.extend(done.dry_run.then_some(repo.repo_id));
                }
                Err(error) => done.spared.push(Spared::new(name, error)),
            }
        }
        Ok(leaving)
    }

    /// Removes a repository for good; how many bytes its log had. Marked first, so that nobody makes its rows again.
    async fn collect_repository(
        &self,
        repo: &RepositoryRecord,
        before: Timestamp,
        dry_run: bool,
    ) -> Result<u64, BackendError> {
        let bytes = self.log.size(&repo.repo_id).await?.bytes;
        if !self.log.is_gone(repo, before).await? {
            return Ok(0);
        }
        if bytes == 0 {
            // What came as rows may be there without a log.
            if !dry_run {
                self.index.forget_repository(&repo.repo_id).await?;
            }
            return Ok(0);
        }
        if dry_run {
            return Ok(bytes);
        }
        self.log.mark_purged(&repo.repo_id).await?;
        if !self.log.is_gone(repo, before).await? {
            self.log.unmark_purged(&repo.repo_id).await?;
            return Ok(0);
        }
        self.index.forget_repository(&repo.repo_id).await?;
        self.log.purge(&repo.repo_id).await?;
        Ok(bytes)
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
                match std::fs::remove_file(&path) {
                    // Somebody else tidies up as well.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    removed => removed.map_err(|error| {
                        BackendError::unavailable("removing what an interrupted write left", error)
                    })?,
                }
            }
            done.add(path.display(), Reason::Interrupted, Action::Removed, bytes);
        }
        Ok(())
    }

    /// Takes the first step back. Rows that were forgotten come again: whoever names the pack may have had one.
    async fn reprieve(
        &self,
        round: &mut Round<'_>,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), UpkeepError> {
        for pack in packs {
            self.keep(round.lease).await?;
            let files = &round.listing[pack];
            if !done.dry_run
                && let Err(error) = self.restore_rows(*pack, files).await
            {
                match error {
                    BackendError::Missing { .. } | BackendError::Damaged { .. } => {
                        done.spared.push(Spared::new(pack, error));
                    }
                    error => return Err(error.into()),
                }
            }
            self.remove_files(pack, &[PackFile::Condemned], done.dry_run).await?;
            done.add(pack, Reason::Orphaned, Action::Reprieved, files.bytes());
        }
        Ok(())
    }

    /// The first step: rows, then marker.
    async fn condemn(
        &self,
        round: &mut Round<'_>,
        live: &Live,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), UpkeepError> {
        if packs.is_empty() || !live.unread.is_empty() {
            return Ok(());
        }
        let stay = self.clear_rows(round, live, packs, done).await?;
        for pack in packs.iter().filter(|pack| !stay.contains(pack)) {
            self.keep(round.lease).await?;
            if !done.dry_run {
                self.store.write_marker(*pack, PackFile::Condemned).await?;
            }
            done.add(pack, Reason::Orphaned, Action::Condemned, round.listing[pack].bytes());
        }
        Ok(())
    }

    /// Removes packs whose records lie elsewhere; their forwarding files stay.
    async fn remove_folded(
        &self,
        round: &mut Round<'_>,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), UpkeepError> {
        for pack in packs {
            self.keep(round.lease).await?;
            match self.remove_folded_pack(&round.listing, *pack, done).await {
                Ok(()) => {}
                Err(error @ (BackendError::Missing { .. } | BackendError::Damaged { .. })) => {
                    done.spared.push(Spared::new(pack, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn remove_folded_pack(
        &self,
        listing: &Listing,
        pack: PackId,
        done: &mut Collection,
    ) -> Result<(), BackendError> {
        let Some(forward) = self.store.forward(pack).await? else {
            return Ok(());
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
            return Ok(());
        }
        if !done.dry_run {
            done.rows += self.relocate(&forward).await?;
        }
        let files = [PackFile::Index, PackFile::Pack, PackFile::Shrink];
        self.remove_files(&pack, &files, done.dry_run).await?;
        let kept = listing[&pack].get(PackFile::Forward).map_or(0, |file| file.size);
        done.add(pack, Reason::Folded, Action::Removed, listing[&pack].bytes() - kept);
        Ok(())
    }

    /// The second step, after the log was read once more.
    async fn remove_orphans(
        &self,
        round: &mut Round<'_>,
        before: &Live,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(), UpkeepError> {
        if packs.is_empty() || !before.unread.is_empty() {
            return Ok(());
        }
        let live = self.live(&round.listing, &round.leaving).await?;
        if !live.unread.is_empty() {
            done.spared.extend(live.unread);
            return Ok(());
        }
        for pack in packs {
            self.keep(round.lease).await?;
            if live.reached.contains(pack) || before.reached.contains(pack) {
                continue;
            }
            match self.remove_orphan(round, *pack, done.dry_run).await {
                Ok(0) => {}
                Ok(bytes) => done.add(pack, Reason::Orphaned, Action::Removed, bytes),
                Err(error @ BackendError::Damaged { .. }) => done.spared.push(Spared::new(pack, error)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Removes a condemned pack; how many bytes it had, none where somebody has written it again since it was listed.
    async fn remove_orphan(
        &self,
        round: &Round<'_>,
        pack: PackId,
        dry_run: bool,
    ) -> Result<u64, BackendError> {
        let files = &round.listing[&pack];
        for kind in [PackFile::Pack, PackFile::Index].into_iter().filter(|kind| files.has(*kind)) {
            if self.store.written(pack, kind).await?.is_some_and(|written| written >= round.old) {
                return Ok(0);
            }
        }
        let forward = if files.has(PackFile::Forward) { self.store.forward(pack).await? } else { None };
        if !dry_run {
            // The marker is younger than the removal from now on.
            self.store.write_marker(pack, PackFile::Condemned).await?;
            for target in forward.map(|way| way.targets()).unwrap_or_default() {
                self.store.write_marker(target, PackFile::Shrink).await?;
            }
        }
        let kinds = [PackFile::Index, PackFile::Pack, PackFile::Forward, PackFile::Shrink];
        self.remove_files(&pack, &kinds, dry_run).await?;
        Ok(files.bytes())
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
