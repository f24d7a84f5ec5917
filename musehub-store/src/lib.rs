//! MuseHub's ports over real storage: packs and the ref log over `object_store`, the index over `sea-orm`.
//!
//! [`PackedStore`] and [`RefLog`] hold the truth; [`SqlIndex`] can be rebuilt from them.

#![warn(missing_docs)]

mod backend;
mod index;
mod pack;
mod ref_log;
mod s3;

pub use backend::{Backend, Creation, StoreLocation, StoreLocationError};
pub use index::{DatabaseUrl, DatabaseUrlError, SqlIndex, schema};
pub use pack::{PackedStore, PlaceIndex, ScannedPlaces};
pub use ref_log::RefLog;
