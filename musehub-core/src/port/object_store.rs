//! Where objects rest: immutable canonical bytes in packs, and the staging area before them.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{BackendError, Timestamp};
use crate::id::{BlobId, HashAlgorithm, ObjectId, ObjectKey};
use crate::name::RepoId;

/// Names a pack: the BLAKE3 hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId([u8; 32]);

impl PackId {
    /// A pack id from a digest.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`PlaceError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text.contains(':') {
            return Err(PlaceError);
        }
        ObjectId::parse(text).map(|id| Self(*id.digest())).map_err(|_| PlaceError)
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ObjectId::new(HashAlgorithm::Blake3, self.0).to_hex())
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for PackId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PackId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Where one object's record lies. Its text form is the `storage_uri` of the index:
/// `pack:<pack id>#<offset>+<length>`, in bytes of the pack file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The pack.
    pub pack: PackId,
    /// Where the record begins.
    pub offset: u64,
    /// The record's length, framing included.
    pub length: u64,
}

/// A text is no pack id or place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a place reads pack:<64 hexadecimal digits>#<offset>+<length>")]
pub struct PlaceError;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack:{}#{}+{}", self.pack, self.offset, self.length)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let rest = text.strip_prefix("pack:").ok_or(PlaceError)?;
        let (pack, rest) = rest.split_once('#').ok_or(PlaceError)?;
        let (offset, length) = rest.split_once('+').ok_or(PlaceError)?;
        Ok(Self {
            pack: PackId::parse(pack)?,
            offset: offset.parse().map_err(|_| PlaceError)?,
            length: length.parse().map_err(|_| PlaceError)?,
        })
    }
}

/// An object by its name, and where its record lies: what a reader asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Located {
    /// The object.
    pub key: ObjectKey,
    /// The place of its record.
    pub place: Place,
}

/// An object to be written.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// Its name.
    pub key: ObjectKey,
    /// Its canonical bytes, or where the store finds them.
    pub body: ObjectBody,
}

/// Where the bytes of a new object come from.
#[derive(Clone, Debug)]
pub enum ObjectBody {
    /// Canonical bytes in memory.
    Canonical(Bytes),
    /// A blob that this store's own [`Staging`] holds.
    Staged(Staged),
}

/// One object of a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackedObject {
    /// Its name.
    pub key: ObjectKey,
    /// Its place.
    pub place: Place,
    /// Length of its payload, in bytes.
    pub size: u64,
}

impl PackedObject {
    /// Its name and place.
    #[must_use]
    pub const fn located(&self) -> Located {
        Located { key: self.key, place: self.place }
    }
}

/// What a put wrote.
#[derive(Clone, Debug)]
pub struct PutReceipt {
    /// The pack; none where nothing was to be written.
    pub pack: Option<PackId>,
    /// Every object of the put, in the order given.
    pub objects: Vec<PackedObject>,
}

/// Immutable objects.
///
/// # Contract
/// * [`put`](Self::put) writes all objects as one unit, visible whole or not at all, durable when it returns.
/// * Bytes never change under a place. Reading gives exactly the canonical bytes written, or
///   [`BackendError::Damaged`], never other bytes. Where the record of another object lies at a place, that is damage too.
/// * [`locate`](Self::locate) says what is known of places, and asks nobody whether the bytes are there: they may have been
///   lost since. Who wants to rely on them asks [`present`](Self::present).
/// * Under `flat-v1` the hash of a commit or snapshot does not cover its whole record, so two packs may hold
///   different bytes under one key; a place tells them apart, [`locate`](Self::locate) may answer either.
///   Blobs and `typed-v2` objects have one content per key.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Writes objects as one immutable pack. Writing the same objects again is harmless.
    ///
    /// [`BackendError::Missing`] where a staged blob is there no more, or no more as it was staged: then nothing is staged under
    /// that handle afterwards, so that whoever looks for the blob again is told to send it.
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError>;

    /// Where each object lies, in the order asked; none for an object that the store does not hold.
    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError>;

    /// Whether what was written at each place is there still, in the order asked, as far as that is told without reading it.
    /// An answer may be some seconds old where it is yes.
    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError>;

    /// Whether an object is in the store: it has a place, and what was written there is there still.
    async fn exists(&self, key: ObjectKey) -> Result<bool, BackendError> {
        match self.locate(&[key]).await?[..] {
            [Some(place)] => Ok(self.present(&[place]).await? == [true]),
            _ => Ok(false),
        }
    }

    /// The canonical bytes of each object, in the order asked. All are in memory at once: callers bound the sum of
    /// lengths, and stream single large objects with [`stream`](Self::stream).
    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError>;

    /// The canonical bytes of one object in pieces. A damaged one fails before the last piece.
    async fn stream(
        &self,
        object: Located,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError>;

    /// Every pack of the store.
    async fn packs(&self) -> Result<Vec<PackId>, BackendError>;

    /// What a pack holds, in order of its records.
    async fn pack_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError>;
}

/// A staged blob: an opaque handle that the [`ObjectStore`] of the same backend understands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Staged {
    /// The blob.
    pub id: BlobId,
    /// Length of its payload, in bytes.
    pub size: u64,
    /// Which upload holds it.
    pub upload: String,
    /// Where the record begins in the upload.
    pub offset: u64,
    /// The record's length, framing included.
    pub length: u64,
}

/// How much of uploads waits in a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Uploads.
    pub uploads: u64,
    /// Bytes that they take together.
    pub bytes: u64,
}

/// Blobs that were uploaded to a repository and that no push has claimed yet. Only pushes into the same repository see
/// them.
#[async_trait]
pub trait Staging: Send + Sync {
    /// Begins an upload. Nothing of it is visible before [`StageWriter::finish`]; dropping the writer discards it.
    async fn begin(&self, repo: &RepoId) -> Result<Box<dyn StageWriter>, BackendError>;

    /// Which of the blobs are staged, in the order asked.
    async fn find(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<Option<Staged>>, BackendError>;

    /// How much is finished and waits.
    async fn waiting(&self, repo: &RepoId) -> Result<Waiting, BackendError>;

    /// Discards uploads of `repo`.
    async fn discard(&self, repo: &RepoId, uploads: &[String]) -> Result<(), BackendError>;

    /// Discards every upload finished before `before`; how many there were.
    async fn expire(&self, before: Timestamp) -> Result<u64, BackendError>;
}

/// One upload in progress.
///
/// For each blob: [`begin_blob`](Self::begin_blob), its payload in any number of pieces, then the next. The caller has
/// checked the hash by the time it finishes the upload.
#[async_trait]
pub trait StageWriter: Send {
    /// Begins a blob of exactly `size` bytes of payload.
    async fn begin_blob(&mut self, id: BlobId, size: u64) -> Result<(), BackendError>;

    /// Adds a piece of the current blob's payload.
    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError>;

    /// Makes the upload visible, and gives the name by which it can be discarded. An upload without blobs leaves nothing
    /// and has none.
    async fn finish(self: Box<Self>) -> Result<Option<String>, BackendError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_text() {
        let place = Place { pack: PackId::new([0xab; 32]), offset: 16, length: u64::MAX };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "pack:", "pack:00#1+2", "file:x", "pack:zz#1+2"] {
            assert!(bad.parse::<Place>().is_err());
        }
    }
}
