//! The name of a pack on the wire.

use std::fmt;
use std::str::FromStr;

use crate::canonical;
use crate::hash::digest;
use crate::id::{HashAlgorithm, IdError, ObjectId, ObjectKind};

/// Names a pack on the wire: the SHA-256 of its bytes, `sha256:` and 64 digits.
///
/// Clients also know the *typed* form, the hash of `blob <size>\0` and the bytes. This hub says the raw one and takes both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MpackId([u8; 32]);

impl MpackId {
    /// An id from a digest already computed.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The id of a pack in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(digest(HashAlgorithm::Sha256, &[bytes]))
    }

    /// What the typed form puts in front of a pack of `size` bytes.
    #[must_use]
    pub fn typed_header(size: u64) -> Vec<u8> {
        canonical::header(ObjectKind::Blob, size)
    }

    /// Reads `sha256:` and 64 digits, or the digits alone.
    ///
    /// # Errors
    /// [`IdError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let id = ObjectId::parse(text)?;
        if id.algorithm() == HashAlgorithm::Sha256 {
            Ok(Self(*id.digest()))
        } else {
            Err(IdError::UnknownAlgorithm)
        }
    }

    /// The 64 digits without the prefix.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for MpackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ObjectId::new(HashAlgorithm::Sha256, self.0), f)
    }
}

impl fmt::Debug for MpackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MpackId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl serde::Serialize for MpackId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MpackId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::id::parse_text(deserializer, "the id of a pack", Self::parse)
    }
}
