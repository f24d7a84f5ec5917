//! Upkeep of an object store: folding packs, collecting what nothing needs, folding the log.
//!
//! The log and the packs are the truth here, never the index, which is told afterwards. Every step may be the last one before
//! a crash: what it leaves is read as before, and the next run goes on. What is removed was unreachable for the whole grace
//! period, and again when it was looked at a second time.

mod collect;
mod lease;
mod listing;
mod repack;
mod report;
mod rows;

use std::sync::Arc;

use musehub_core::port::{
    BackendError, Clock, MAINTENANCE_BATCH, MaintenanceIndex, PackedObject, Relocation,
};

use crate::pack::{Forward, PackedStore};
use crate::ref_log::RefLog;

pub use collect::{CollectOptions, MIN_GRACE};
pub use repack::{RepackOptions, Repacked};
pub use report::{Action, Collected, Collection, Reason, Spared, Sum};

use lease::Lease;

/// Why upkeep was not done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// Another process does it, or did until a moment ago.
    #[error("another process is at the upkeep of this store")]
    Busy,
    /// A backend failed; what was done until then stays done.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Keeps a store tidy. Clones share the backends.
#[derive(Clone)]
pub struct Upkeep {
    store: PackedStore,
    log: RefLog,
    index: Arc<dyn MaintenanceIndex>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upkeep").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Upkeep {
    /// The upkeep of a store and its log, with the index that is told of it. The clocks of this machine and of the store
    /// have to agree to within some minutes.
    #[must_use]
    pub fn new(
        store: PackedStore,
        log: RefLog,
        index: Arc<dyn MaintenanceIndex>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, log, index, clock }
    }

    async fn lease(&self) -> Result<Lease, UpkeepError> {
        Lease::take(self.store.backend(), self.clock.now()).await?.ok_or(UpkeepError::Busy)
    }

    /// Keeps the lease: called in every loop whose rounds ask the store for something.
    async fn keep(&self, lease: &mut Lease) -> Result<(), UpkeepError> {
        if lease.keep(self.clock.now()).await? { Ok(()) } else { Err(UpkeepError::Busy) }
    }

    /// Tells the index where the records of a folded pack lie now; how many rows lay in the old one.
    async fn relocate(&self, forward: &Forward) -> Result<u64, BackendError> {
        let moved = forward.records.iter().filter(|record| record.to.is_some());
        let mut objects: Vec<PackedObject> = forward.objects();
        self.store.follow(&mut objects).await?;
        let moves: Vec<Relocation> = moved
            .zip(objects)
            .map(|(record, object)| Relocation { key: record.key, from: record.from, to: object.place })
            .collect();
        let mut rows = 0;
        for batch in moves.chunks(MAINTENANCE_BATCH) {
            rows += self.index.relocate(batch).await?;
        }
        Ok(rows)
    }
}
