//! What the index is told before a pack goes: rows of blobs that lie in it are pointed to where a live pack has them, or
//! forgotten.
//!
//! Pushes go on meanwhile. One that finds a row before it is forgotten logs a move that borrows the pack, and makes no new row.
//! So a row of a blob that a repository holds is never forgotten, and once rows are, the log is read again: those of packs that
//! it names by then come again.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use musehub_core::port::{
    BackendError, BlobRow, MAINTENANCE_BATCH, ObjectStore as _, PackId, PackedObject, Place, Relocation,
};
use musehub_core::{ObjectKey, ObjectKind};

use super::collect::Round;
use super::listing::{Files, Live, PARALLEL};
use super::report::{Collection, Spared};
use super::{Upkeep, UpkeepError};
use crate::pack::PackFile;

/// A row that names a pack which is about to go.
#[derive(Clone, Copy, Debug)]
struct Lying {
    row: BlobRow,
    /// The pack; the row may name one that its record went to.
    pack: PackId,
}

/// A blob of a pack.
struct Held {
    /// Where it lies now.
    object: PackedObject,
    /// Where it lay before the pack was folded: a row that nobody told of it says that still.
    before: Option<Place>,
}

impl Upkeep {
    /// Takes blobs that lie in packs about to go out of the index, or points their rows to where a live pack has them. Gives
    /// the packs that stay: the log names them now, or what they hold cannot be told.
    pub(super) async fn clear_rows(
        &self,
        round: &mut Round<'_>,
        live: &Live,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<HashSet<PackId>, UpkeepError> {
        let (mut lying, mut stay) = self.rows_in(round, packs, done).await?;
        if lying.is_empty() || done.dry_run {
            return Ok(stay);
        }
        // Records that a live name leads to as well stay where they are.
        let targets: HashSet<PackId> = lying.values().map(|lying| lying.row.place.pack).collect();
        let alive = match self.live_records(&round.listing, live, &targets).await {
            Ok(alive) => alive,
            Err(error @ (BackendError::Missing { .. } | BackendError::Damaged { .. })) => {
                done.spared.push(Spared::new("packs that nothing leads to", error));
                return Ok(packs.iter().copied().collect());
            }
            Err(error) => return Err(error.into()),
        };
        lying.retain(|_, lying| {
            let place = lying.row.place;
            alive.get(&place.pack).is_some_and(|offsets| !offsets.contains(&place.offset))
        });
        let moved = self.live_copies(round, live, &lying).await?;
        for batch in moved.chunks(MAINTENANCE_BATCH) {
            done.rows += self.index.relocate(batch).await?;
        }
        for relocation in moved {
            lying.remove(&relocation.key);
        }
        let gone: Vec<Lying> = lying.into_values().collect();
        for batch in gone.chunks(MAINTENANCE_BATCH) {
            self.keep(round.lease).await?;
            let places: Vec<_> = batch.iter().map(|lying| (lying.row.id, lying.row.place)).collect();
            done.rows += self.index.forget_blobs(&places).await?;
        }
        stay.extend(self.found_meanwhile(round, &gone, done).await?);
        Ok(stay)
    }

    /// The rows that name packs about to go, and those of the packs of which nobody can tell what they hold.
    async fn rows_in(
        &self,
        round: &mut Round<'_>,
        packs: &[PackId],
        done: &mut Collection,
    ) -> Result<(HashMap<ObjectKey, Lying>, HashSet<PackId>), UpkeepError> {
        let mut lying = HashMap::new();
        let mut untold = HashSet::new();
        for pack in packs {
            self.keep(round.lease).await?;
            let held = match self.blobs_of(*pack, &round.listing[pack]).await {
                Ok(held) => held,
                Err(error @ (BackendError::Missing { .. } | BackendError::Damaged { .. })) => {
                    done.spared.push(Spared::new(pack, error));
                    untold.insert(*pack);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let keys: Vec<ObjectKey> = held.iter().map(|held| held.object.key).collect();
            for (held, place) in held.iter().zip(self.store.indexed(&keys).await?) {
                let named = place.filter(|place| *place == held.object.place || Some(*place) == held.before);
                if let Some(place) = named {
                    let row = BlobRow { id: held.object.key.id.into(), size: held.object.size, place };
                    lying.insert(held.object.key, Lying { row, pack: *pack });
                }
            }
        }
        Ok((lying, untold))
    }

    /// The blobs of a pack, by its forwarding file, its index, or its own records where the index is lost or damaged.
    async fn blobs_of(&self, pack: PackId, files: &Files) -> Result<Vec<Held>, BackendError> {
        let is_blob = |object: &PackedObject| object.key.kind == ObjectKind::Blob;
        if let Some(forward) = self.store.forward(pack).await? {
            let before = forward.records.iter().filter(|record| record.to.is_some());
            let before: Vec<Place> = before.map(|record| record.from).collect();
            let mut objects = forward.objects();
            self.store.follow(&mut objects).await?;
            let held = objects.into_iter().zip(before).filter(|(object, _)| is_blob(object));
            return Ok(held.map(|(object, before)| Held { object, before: Some(before) }).collect());
        }
        let objects = match self.store.index_objects(pack).await {
            Err(BackendError::Damaged { .. }) if files.has(PackFile::Pack) => {
                self.store.record_objects(pack).await?
            }
            // Whoever wrote it died before the index: no row was made. Unless the index is lost: then the records tell.
            Err(BackendError::Missing { .. }) if files.has(PackFile::Pack) => {
                match self.store.record_objects(pack).await {
                    Err(BackendError::Damaged { .. }) => Vec::new(),
                    objects => objects?,
                }
            }
            objects => objects?,
        };
        let held = objects.into_iter().filter(is_blob);
        Ok(held.map(|object| Held { object, before: None }).collect())
    }

    /// Looks at the log and the index again after rows were forgotten. Gives the packs that stay.
    async fn found_meanwhile(
        &self,
        round: &mut Round<'_>,
        gone: &[Lying],
        done: &mut Collection,
    ) -> Result<HashSet<PackId>, UpkeepError> {
        if gone.is_empty() {
            return Ok(HashSet::new());
        }
        let now = self.live(&round.listing, &round.leaving).await?;
        let mut stay: HashSet<PackId> =
            gone.iter().map(|lying| lying.pack).filter(|pack| now.reached.contains(pack)).collect();
        let named = gone.iter().filter(|lying| stay.contains(&lying.pack)).map(|lying| lying.row);
        for batch in named.collect::<Vec<_>>().chunks(MAINTENANCE_BATCH) {
            self.index.restore_blobs(batch).await?;
        }
        let keys: Vec<ObjectKey> = gone.iter().map(|lying| lying.row.id.key()).collect();
        for (lying, place) in gone.iter().zip(self.store.indexed(&keys).await?) {
            if place == Some(lying.row.place) && stay.insert(lying.pack) {
                let reason =
                    format!("a repository holds {} there, by the index and not by the log", lying.row.id);
                done.spared.push(Spared::new(lying.pack, reason));
            }
        }
        Ok(stay)
    }

    /// Makes rows of the blobs of a pack that have none.
    pub(super) async fn restore_rows(&self, pack: PackId, files: &Files) -> Result<(), BackendError> {
        let held = self.blobs_of(pack, files).await?;
        let row = |object: &PackedObject| BlobRow {
            id: object.key.id.into(),
            size: object.size,
            place: object.place,
        };
        let rows: Vec<BlobRow> = held.iter().map(|held| row(&held.object)).collect();
        for batch in rows.chunks(MAINTENANCE_BATCH) {
            self.index.restore_blobs(batch).await?;
        }
        Ok(())
    }

    /// Where else the log leads to objects.
    async fn live_copies(
        &self,
        round: &mut Round<'_>,
        live: &Live,
        lying: &HashMap<ObjectKey, Lying>,
    ) -> Result<Vec<Relocation>, UpkeepError> {
        let mut found: HashMap<ObjectKey, Relocation> = HashMap::new();
        if lying.is_empty() {
            return Ok(Vec::new());
        }
        let reads = futures::stream::iter(live.named.iter().copied()).map(|pack| async move {
            match self.store.pack_objects(pack).await {
                Err(BackendError::Missing { .. } | BackendError::Damaged { .. }) => Ok(Vec::new()),
                objects => objects,
            }
        });
        let mut reads = reads.buffer_unordered(PARALLEL);
        while let Some(objects) = reads.try_next().await? {
            self.keep(round.lease).await?;
            for object in objects {
                if let Some(lying) = lying.get(&object.key) {
                    let from = lying.row.place;
                    let relocation = Relocation { key: object.key, from, to: object.place };
                    found.entry(object.key).or_insert(relocation);
                }
            }
        }
        Ok(found.into_values().collect())
    }
}
