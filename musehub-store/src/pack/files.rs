//! The files that a pack's name stands for.

use musehub_core::ObjectKey;
use musehub_core::port::{BackendError, PackId, Place, Timestamp};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::PackedStore;
use crate::backend::{Backend, failed};

/// A file under a pack's name, by what it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum PackFile {
    /// Records.
    Pack,
    /// What the pack holds.
    Index,
    /// Where its records went.
    Forward,
    /// That it is about to be removed, or was a moment ago: its name is not to be used.
    Condemned,
    /// That nothing may lead to some of its records any more.
    Shrink,
}

impl PackFile {
    const ALL: [Self; 5] = [Self::Pack, Self::Index, Self::Forward, Self::Condemned, Self::Shrink];

    const fn extension(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Index => "idx",
            Self::Forward => "fwd",
            Self::Condemned => "condemned",
            Self::Shrink => "shrink",
        }
    }

    /// Where it lies; two digits in front keep directories short.
    pub(crate) fn path(self, pack: PackId) -> Path {
        let name = pack.to_string();
        Path::from(format!("packs/{}/{name}.{}", &name[..2], self.extension()))
    }

    /// Which file of which pack lies at a path.
    pub(crate) fn of_path(path: &Path) -> Option<(PackId, Self)> {
        let (name, extension) = path.filename()?.split_once('.')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        Some((PackId::parse(name).ok()?, kind))
    }
}

impl PackedStore {
    pub(crate) const fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Where the place index, and nobody's memory, says that objects lie.
    pub(crate) async fn indexed(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        self.places.locate(keys).await
    }

    /// Writes a marker, which is as old as its last writing.
    pub(crate) async fn write_marker(&self, pack: PackId, kind: PackFile) -> Result<(), BackendError> {
        let written = self.backend.durable.put(&kind.path(pack), bytes::Bytes::new().into()).await;
        written.map(drop).map_err(|error| failed("writing a marker", error))
    }

    /// When a file was last written; none where there is none.
    pub(crate) async fn written(
        &self,
        pack: PackId,
        kind: PackFile,
    ) -> Result<Option<Timestamp>, BackendError> {
        match self.backend.fast.head(&kind.path(pack)).await {
            Ok(found) => Ok(Some(Timestamp::from_millis(found.last_modified.timestamp_millis()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking at a file of a pack", error)),
        }
    }

    /// Removes a file, which may be gone already.
    pub(crate) async fn remove_file(&self, pack: PackId, kind: PackFile) -> Result<(), BackendError> {
        match self.backend.durable.delete(&kind.path(pack)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("removing a file of a pack", error)),
        }
    }
}
