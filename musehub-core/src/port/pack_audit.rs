//! Packs as they rest, whatever anybody believes of them.

use async_trait::async_trait;
use serde::Serialize;

use super::{BackendError, PackId};
use crate::id::ObjectKey;

/// What can be wrong with a pack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackFaultKind {
    /// There is an index file and no pack.
    MissingPack,
    /// There is a pack and no index file.
    MissingIndex,
    /// The pack is not as long as its index says, or its bytes are not those that its name is the hash of.
    DamagedPack,
    /// The index file cannot be read.
    DamagedIndex,
    /// The index file is whole and says what is not so.
    LyingIndex,
    /// The forwarding file, which says where the records went when the pack was folded into others, cannot be read.
    DamagedForward,
    /// The forwarding file is whole and says what is not so.
    LyingForward,
    /// The record of an object is damaged, or its bytes do not have the id.
    DamagedObject,
}

/// Something wrong with a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackFault {
    /// What.
    pub kind: PackFaultKind,
    /// The object that it is about, by the index.
    pub object: Option<ObjectKey>,
    /// What does not fit.
    pub reason: String,
}

/// What looking at a pack gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackReport {
    /// Bytes of the pack that were read.
    pub bytes: u64,
    /// Whether its records were copied into other packs: then its own files may be gone.
    pub folded: bool,
    /// Everything that is wrong.
    pub faults: Vec<PackFault>,
}

/// Looks at packs as files.
#[async_trait]
pub trait PackAudit: Send + Sync {
    /// Every pack of which there is anything, in order: the pack, its index file, or where its records went.
    async fn pack_names(&self) -> Result<Vec<PackId>, BackendError>;

    /// Looks at a pack, its index file and its forwarding file; whether what that leads to is there is for the caller to ask
    /// ([`pack_objects`](super::ObjectStore::pack_objects)). With `whole`, every byte is read, every checksum compared and the id of every
    /// blob computed again; without, their lengths are compared.
    ///
    /// Damage is in the report. An error means that the store could not be asked.
    async fn audit(&self, pack: PackId, whole: bool) -> Result<PackReport, BackendError>;
}
