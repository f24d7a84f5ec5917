//! Packs of the wire as files: uploaded by clients and not indexed yet, or built for clients to fetch. And single objects that
//! clients uploaded by themselves, as an address leads to a file of its own.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{BackendError, Timestamp};
use crate::id::BlobId;
use crate::mpack::MpackId;
use crate::name::RepoId;

/// What a pack of the wire is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MpackArea {
    /// A client uploaded it, or is about to.
    Incoming,
    /// It was built for clients.
    Built,
    /// No pack: an object that a client uploaded by itself, for a push to come.
    Object,
}

/// Names a pack of the wire: in one repository, for one purpose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MpackFile {
    /// What it is for.
    pub area: MpackArea,
    /// Whose it is.
    pub repo: RepoId,
    /// Its name there, of letters, digits and dashes.
    name: String,
}

impl MpackFile {
    /// A pack that a client uploads, which is named by its id.
    #[must_use]
    pub fn incoming(repo: &RepoId, id: MpackId) -> Self {
        Self { area: MpackArea::Incoming, repo: repo.clone(), name: id.to_hex() }
    }

    /// A pack about to be built. Its id is not known before it is written, so its name is random.
    #[must_use]
    pub fn new_built(repo: &RepoId) -> Self {
        Self { area: MpackArea::Built, repo: repo.clone(), name: uuid::Uuid::new_v4().simple().to_string() }
    }

    /// An object that a client uploads by itself, which is named by its id.
    #[must_use]
    pub fn of_object(repo: &RepoId, id: BlobId) -> Self {
        Self { area: MpackArea::Object, repo: repo.clone(), name: id.to_string().replace(':', "-") }
    }

    /// Which object this is; none where it is a pack, or of no such name.
    #[must_use]
    pub fn object(&self) -> Option<BlobId> {
        let named = self.area == MpackArea::Object;
        BlobId::parse(&self.name.replace('-', ":")).ok().filter(|_| named)
    }

    /// A pack by a name that a backend kept; none where it is no such name.
    #[must_use]
    pub fn from_stored(area: MpackArea, repo: &RepoId, name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let named = (1..=80).contains(&name.len()) && name.bytes().all(plain);
        named.then(|| Self { area, repo: repo.clone(), name: name.to_owned() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a signed address permits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MpackAccess {
    /// Reading it.
    Get,
    /// Writing it.
    Put,
}

/// Packs of the wire. None of them is the truth: what a push brings is indexed into the [`ObjectStore`](super::ObjectStore),
/// and what a fetch gets is built from there.
///
/// # Contract
/// A pack is there whole or not at all. Writing one again replaces it.
#[async_trait]
pub trait MpackStore: Send + Sync {
    /// Begins to write a pack. It is not there before [`MpackWriter::finish`]; dropping the writer discards it.
    async fn begin(&self, file: &MpackFile) -> Result<Box<dyn MpackWriter>, BackendError>;

    /// The length of a pack, in bytes; none where it is not there.
    async fn size(&self, file: &MpackFile) -> Result<Option<u64>, BackendError>;

    /// A range of a pack's bytes, which lies within it, in pieces. [`BackendError::Missing`] where it is not there.
    async fn read(
        &self,
        file: &MpackFile,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError>;

    /// Removes a pack, which may be gone already.
    async fn remove(&self, file: &MpackFile) -> Result<(), BackendError>;

    /// The packs of an area that were written before `before`, and their lengths.
    async fn written_before(
        &self,
        area: MpackArea,
        before: Timestamp,
    ) -> Result<Vec<(MpackFile, u64)>, BackendError>;

    /// The files of an area that are a repository's, and their lengths, in order.
    async fn files_of(&self, area: MpackArea, repo: &RepoId) -> Result<Vec<(MpackFile, u64)>, BackendError>;

    /// An address under which whoever knows it may do one thing with a pack for as long as `life`, without asking the hub;
    /// none where the store has no such addresses.
    async fn sign(
        &self,
        file: &MpackFile,
        access: MpackAccess,
        life: Duration,
    ) -> Result<Option<String>, BackendError>;

    /// A secret that was made at random once, for this store, and is the same for every process over it.
    async fn secret(&self) -> Result<[u8; 32], BackendError>;
}

/// A pack being written.
#[async_trait]
pub trait MpackWriter: Send {
    /// Adds the next bytes.
    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError>;

    /// Makes the pack durable and visible.
    async fn finish(self: Box<Self>) -> Result<(), BackendError>;
}
