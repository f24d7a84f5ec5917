//! What lies in the store under `packs/`, and which of it the log still leads to.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use musehub_core::RepoId;
use musehub_core::port::{BackendError, ObjectStore as _, PackId, Timestamp};
use object_store::ObjectStore;
use object_store::path::Path;

use super::Upkeep;
use super::report::Spared;
use crate::backend::failed;
use crate::pack::PackFile;

/// How many files are read at a time.
pub(super) const PARALLEL: usize = 32;

/// A file, as the store lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) modified: Timestamp,
}

/// The files of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<PackFile, File>);

impl Files {
    pub(super) fn get(&self, kind: PackFile) -> Option<File> {
        self.0.get(&kind).copied()
    }

    pub(super) fn has(&self, kind: PackFile) -> bool {
        self.0.contains_key(&kind)
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(|file| file.size).sum()
    }

    /// When the youngest of those that hold or name objects was written.
    pub(super) fn youngest(&self) -> Option<Timestamp> {
        let content = [PackFile::Pack, PackFile::Index, PackFile::Forward];
        content.iter().filter_map(|kind| self.get(*kind)).map(|file| file.modified).max()
    }
}

/// Every name under which there is something.
pub(super) type Listing = BTreeMap<PackId, Files>;

/// The names that the log leads to.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Those that log entries name.
    pub(super) named: HashSet<PackId>,
    /// Those, and the packs that their records went to.
    pub(super) reached: HashSet<PackId>,
    /// Forwarding files that lead nobody knows where: whatever is not reached may be what they lead to.
    pub(super) unread: Vec<Spared>,
}

impl Upkeep {
    /// Lists the packs. What is put meanwhile may be absent.
    pub(super) async fn list_packs(&self) -> Result<Listing, BackendError> {
        let mut listing = Listing::new();
        let mut entries = self.store.backend().fast.list(Some(&Path::from("packs")));
        while let Some(entry) =
            entries.try_next().await.map_err(|error| failed("listing the packs", error))?
        {
            let Some((pack, kind)) = PackFile::of_path(&entry.location) else {
                continue;
            };
            let modified = Timestamp::from_millis(entry.last_modified.timestamp_millis());
            listing.entry(pack).or_default().0.insert(kind, File { size: entry.size, modified });
        }
        Ok(listing)
    }

    /// What the log leads to, but for that of some repositories. `listing` has to be older than the log that is read here:
    /// what it lists and the log does not name is then nobody's, or younger than a push takes.
    pub(super) async fn live(
        &self,
        listing: &Listing,
        except: &HashSet<RepoId>,
    ) -> Result<Live, BackendError> {
        let named = self.log.named_packs(except).await?;
        let mut reached = named.clone();
        let mut unread = Vec::new();
        let mut next: Vec<PackId> = named.iter().copied().collect();
        while !next.is_empty() {
            let forwarded = next
                .iter()
                .copied()
                .filter(|pack| listing.get(pack).is_some_and(|files| files.has(PackFile::Forward)));
            let reads = futures::stream::iter(forwarded.collect::<Vec<_>>())
                .map(|pack| async move { (pack, self.store.forward(pack).await) });
            let mut reads = reads.buffer_unordered(PARALLEL);
            let mut targets = Vec::new();
            while let Some((pack, forward)) = reads.next().await {
                let found = match forward {
                    Ok(forward) => forward.map(|forward| forward.targets()).unwrap_or_default(),
                    Err(error @ BackendError::Damaged { .. }) => {
                        unread.push(Spared::new(pack, error));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                targets.extend(found.into_iter().filter(|target| reached.insert(*target)));
            }
            next = targets;
        }
        unread.sort_unstable_by(|a: &Spared, b| a.what.cmp(&b.what));
        Ok(Live { named, reached, unread })
    }

    /// Where in `packs` records lie that the log leads to; a pack that it names itself is not in the answer, since all of
    /// it counts.
    pub(super) async fn live_records(
        &self,
        listing: &Listing,
        live: &Live,
        packs: &HashSet<PackId>,
    ) -> Result<HashMap<PackId, HashSet<u64>>, BackendError> {
        let mut records: HashMap<PackId, HashSet<u64>> = packs
            .iter()
            .filter(|pack| !live.named.contains(pack))
            .map(|pack| (*pack, HashSet::new()))
            .collect();
        if records.is_empty() {
            return Ok(records);
        }
        let forwarded = live
            .named
            .iter()
            .copied()
            .filter(|pack| listing.get(pack).is_some_and(|files| files.has(PackFile::Forward)));
        let reads = futures::stream::iter(forwarded.collect::<Vec<_>>())
            .map(|pack| async move { self.store.pack_objects(pack).await });
        let mut reads = reads.buffer_unordered(PARALLEL);
        while let Some(objects) = reads.try_next().await? {
            for object in objects {
                if let Some(offsets) = records.get_mut(&object.place.pack) {
                    offsets.insert(object.place.offset);
                }
            }
        }
        Ok(records)
    }
}
