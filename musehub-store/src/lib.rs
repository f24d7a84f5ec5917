//! MuseHub's ports over real storage: packs and the ref log over `object_store`, the index over `sea-orm`.
//!
//! [`PackedStore`] and [`RefLog`] hold the truth; [`SqlIndex`] can be rebuilt from them.

#![warn(missing_docs)]

mod backend;
#[cfg(feature = "failpoints")]
mod failpoints;
mod index;
mod mpack;
mod pack;
mod ref_log;
mod s3;
mod sealed;
mod upkeep;

pub use backend::{Backend, Creation, StoreLocation, StoreLocationError};
pub use index::backup::BackupError;
pub use index::rebuild::{Kept, Replacement};
pub use index::{DatabaseUrl, DatabaseUrlError, SqlIndex, schema};
pub use mpack::MpackFiles;
pub use pack::{PackedStore, PlaceIndex, ScannedPlaces};
pub use ref_log::{Compacted, RefLog};
pub use upkeep::{
    Action, CollectOptions, Collected, Collection, MIN_GRACE, Reason, RepackOptions, Repacked, Spared, Sum,
    Upkeep, UpkeepError,
};
