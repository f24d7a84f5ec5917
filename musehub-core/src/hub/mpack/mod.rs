//! Packs of the wire: indexing those that clients upload, and building those that they fetch.
//!
//! Both go through the same [`Hub`] as every other push and fetch: what a pack brings is written by the one path of a push.

mod build;
mod collect;
mod index;
mod intake;
mod phases;
mod scheme;
mod tags;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use build::BuiltFor;
pub use collect::MpackSweep;
pub use index::{INDEX_JOB, IndexError, Indexed, UploadedPack};

use super::{Hub, Releases};
use crate::mpack::{Limits, MpackId};
use crate::port::{FetchPacks, MpackFile, MpackStore, Stopwatch};
use build::Building;

/// What packs may cost, and how long they live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpackOptions {
    /// Bytes of an uploaded pack.
    pub pack: u64,
    /// What reading one may cost.
    pub reading: Limits,
    /// Bytes of snapshots that the deltas of one push may be rebuilt to.
    pub rebuilt: u64,
    /// Bytes of commits and snapshots of a pack that is built: they are in memory until it is written.
    pub records: u64,
    /// Bytes of objects of a pack that is built before anybody asks for it; 0 for none. Larger ones are built when they are asked
    /// for.
    pub ahead: u64,
    /// For how long a pack is given to clients that have nothing yet and want what branches point at.
    pub clone_life: Duration,
    /// For how long any other built pack is.
    pub fetch_life: Duration,
    /// For how long an upload waits to be indexed.
    pub upload_life: Duration,
    /// For how long what was given out is there still when it is given out no more: longer than an address is valid.
    pub grace: Duration,
}

impl Default for MpackOptions {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            pack: 2 << 30,
            reading: Limits::default(),
            rebuilt: 1 << 30,
            records: 1 << 30,
            ahead: 512 << 20,
            clone_life: 7 * 24 * HOUR,
            fetch_life: HOUR / 4,
            upload_life: 24 * HOUR,
            grace: 2 * HOUR,
        }
    }
}

/// The use cases around packs of the wire. Cheap to clone; clones share the backends.
#[derive(Clone)]
pub struct Mpacks {
    hub: Hub,
    store: Arc<dyn MpackStore>,
    built: Arc<dyn FetchPacks>,
    stopwatch: Arc<dyn Stopwatch>,
    options: MpackOptions,
    releases: Releases,
    building: Arc<Building>,
    /// Ids in their other form, of packs whose one was asked for: computed once.
    typed: Arc<Mutex<HashMap<MpackFile, MpackId>>>,
}

impl fmt::Debug for Mpacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpacks").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Mpacks {
    /// Packs of a hub.
    #[must_use]
    pub fn new(
        hub: Hub,
        store: Arc<dyn MpackStore>,
        built: Arc<dyn FetchPacks>,
        stopwatch: Arc<dyn Stopwatch>,
        releases: Releases,
        options: MpackOptions,
    ) -> Self {
        let (building, typed) = Default::default();
        Self { hub, store, built, stopwatch, options, releases, building, typed }
    }

    /// What packs may cost, and how long they live.
    #[must_use]
    pub const fn options(&self) -> &MpackOptions {
        &self.options
    }

    /// Where packs rest.
    #[must_use]
    pub fn store(&self) -> &dyn MpackStore {
        self.store.as_ref()
    }
}
