//! Verification of the rows of blobs against the index files of packs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::report::finding;
use super::verify::{PAGE, Verification};
use super::{Problem, ProblemKind};
use crate::port::{BackendError, BlobRow, PackId, PackedObject, RepositoryRecord};

impl Verification<'_> {
    /// Every blob is where its row says, by the index file of the pack.
    pub(super) async fn blobs(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let mut after = None;
        loop {
            let mut page = self.recovery.pages.blob_page(&repo.repo_id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            page.sort_unstable_by_key(|row| row.place);
            for row in &page {
                self.blob(repo, row).await?;
            }
            self.summary.blobs += page.len() as u64;
            self.progress("blobs", self.summary.blobs, None);
        }
    }

    async fn blob(&mut self, repo: &RepositoryRecord, row: &BlobRow) -> Result<(), BackendError> {
        let pack = row.place.pack;
        self.used.insert(pack);
        let reason = match self.pack_objects(pack).await? {
            Ok(objects) => {
                let start = objects.partition_point(|object| object.key < row.id.key());
                let mut listed = objects[start..].iter().take_while(|object| object.key == row.id.key());
                // A pack that was folded into others lists where its objects lie now.
                let fits = |object: &PackedObject| {
                    object.size == row.size && (object.place == row.place || object.place.pack != pack)
                };
                if listed.any(fits) {
                    return Ok(());
                }
                format!("its row says {} bytes at {}, the pack's index does not", row.size, row.place)
            }
            Err(reason) => reason,
        };
        let problem = Problem::new(ProblemKind::RowWithoutObject, reason);
        self.problem(problem.of(repo).object(row.id.key()).pack(pack));
        Ok(())
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
