//! Verification of the rows of blobs against the index files of packs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::report::finding;
use super::verify::{PAGE, Verification};
use super::{Problem, ProblemKind};
use crate::id::ObjectKey;
use crate::port::{BackendError, BlobRow, PackId, PackedObject, Place, RepositoryRecord};

impl Verification<'_> {
    /// Every blob is where its row says, by the index file of the pack, and one that the repository has reason to hold.
    pub(super) async fn blobs(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let page = self.recovery.pages.blob_page(&repo.repo_id, after, PAGE).await;
            let Some(mut page) = self.readable(repo, page)? else {
                return Ok(());
            };
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            self.refuse_foreign(repo, page.iter().map(|row| row.id.key())).await?;
            page.sort_unstable_by_key(|row| row.place);
            for row in &page {
                self.used.insert(row.place.pack);
                if let Some(problem) = self.blob(row).await? {
                    self.problem(problem.of(repo));
                }
            }
            self.summary.blobs += page.len() as u64;
            self.progress("blobs", self.summary.blobs, None);
        }
    }

    /// Blobs that no repository holds any more are where their rows say: the next push of one takes it from there.
    pub(super) async fn unheld_blobs(&mut self) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let (unheld, last) = self.recovery.pages.unheld_blobs(after, PAGE).await?;
            for row in &unheld {
                if let Some(problem) = self.blob(row).await? {
                    self.problem(problem);
                }
            }
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    /// What is wrong with where a row says that a blob lies.
    async fn blob(&mut self, row: &BlobRow) -> Result<Option<Problem>, BackendError> {
        let reason = match self.listing(row.id.key(), row.place, row.size).await? {
            Ok(true) => return Ok(None),
            Ok(false) => {
                format!("its row says {} bytes at {}, the pack's index does not", row.size, row.place)
            }
            Err(reason) => reason,
        };
        let problem = Problem::new(ProblemKind::RowWithoutObject, reason);
        Ok(Some(problem.object(row.id.key()).pack(row.place.pack)))
    }

    /// Whether the index of a pack has an object of this length at a place; why not, where it cannot be read.
    pub(super) async fn listing(
        &mut self,
        key: ObjectKey,
        place: Place,
        size: u64,
    ) -> Result<Result<bool, String>, BackendError> {
        Ok(self.pack_objects(place.pack).await?.map(|objects| {
            let start = objects.partition_point(|object| object.key < key);
            let mut listed = objects[start..].iter().take_while(|object| object.key == key);
            // A pack that was folded into others lists where its objects lie now.
            listed.any(|object| {
                object.size == size && (object.place == place || object.place.pack != place.pack)
            })
        }))
    }

    /// What a pack holds by its index, in the order of keys, or why that cannot be said.
    pub(super) async fn pack_objects(
        &mut self,
        pack: PackId,
    ) -> Result<Result<Arc<[PackedObject]>, String>, BackendError> {
        if let Some(known) = self.known_packs.get(pack) {
            return Ok(known);
        }
        let listed = match self.recovery.backends().objects.pack_objects(pack).await {
            Ok(mut objects) => {
                objects.sort_unstable_by_key(|object| (object.key, object.place));
                Ok(objects.into())
            }
            Err(error) => Err(finding(error)?),
        };
        self.known_packs.add(pack, listed.clone());
        Ok(listed)
    }
}

/// What the packs asked for last hold.
#[derive(Default)]
pub(super) struct KnownPacks {
    packs: HashMap<PackId, Result<Arc<[PackedObject]>, String>>,
    order: VecDeque<PackId>,
    entries: usize,
}

impl KnownPacks {
    /// How many entries of index files are remembered; the last pack is, however many it has.
    const LIMIT: usize = 1_000_000;

    fn get(&self, pack: PackId) -> Option<Result<Arc<[PackedObject]>, String>> {
        self.packs.get(&pack).cloned()
    }

    fn add(&mut self, pack: PackId, listed: Result<Arc<[PackedObject]>, String>) {
        self.entries += 1 + listed.as_ref().map_or(0, |objects| objects.len());
        self.packs.insert(pack, listed);
        self.order.push_back(pack);
        while self.entries > Self::LIMIT
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            let dropped = self.packs.remove(&oldest);
            self.entries -= 1 + dropped.and_then(Result::ok).map_or(0, |objects| objects.len());
        }
    }
}
