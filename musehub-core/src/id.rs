//! Identifiers of objects: a hash algorithm and 32 bytes, printed `sha256:<64 lower-case hex>`.
//!
//! An id says nothing of how it was computed; the formulas are those of a repository's [scheme](crate::scheme).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash function that object ids are made with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum HashAlgorithm {
    /// SHA-256: what Muse clients use.
    #[default]
    Sha256,
    /// BLAKE3: for repositories that only native embedders use.
    Blake3,
}

impl HashAlgorithm {
    /// The prefix of an id's text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
        }
    }
}

/// Why a text is no object id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdError {
    /// The part after the prefix is not 64 lower-case hexadecimal digits.
    #[error("an id is 64 lower-case hexadecimal digits, optionally after 'sha256:' or 'blake3:'")]
    Malformed,
    /// The prefix names an algorithm this hub does not know.
    #[error("unknown hash algorithm in an id; known are 'sha256' and 'blake3'")]
    UnknownAlgorithm,
}

/// The id of an object of any kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    algorithm: HashAlgorithm,
    digest: [u8; 32],
}

impl ObjectId {
    /// An id from a digest already computed.
    #[must_use]
    pub const fn new(algorithm: HashAlgorithm, digest: [u8; 32]) -> Self {
        Self { algorithm, digest }
    }

    /// Reads `sha256:…`, `blake3:…` or bare hex, which is SHA-256.
    ///
    /// # Errors
    /// [`IdError`] where the text is none of these.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (algorithm, digits) = match text.split_once(':') {
            None => (HashAlgorithm::Sha256, text),
            Some(("sha256", digits)) => (HashAlgorithm::Sha256, digits),
            Some(("blake3", digits)) => (HashAlgorithm::Blake3, digits),
            Some(_) => return Err(IdError::UnknownAlgorithm),
        };
        let digits = digits.as_bytes();
        if digits.len() != 64 {
            return Err(IdError::Malformed);
        }
        let mut digest = [0_u8; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Ok(Self { algorithm, digest })
    }

    /// The hash function of this id.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The 64 digits without the prefix, as clients of the first generations write ids.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.digest)
    }
}

const fn nibble(digit: u8) -> Result<u8, IdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(IdError::Malformed),
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0_u8; 64];
        // The slice is twice the digest's length, the one thing the encoder asks for.
        hex::encode_to_slice(self.digest, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(self.algorithm.as_str())?;
        f.write_str(":")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

/// The kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectKind {
    /// The bytes of a file.
    Blob,
    /// A manifest: path → blob.
    Snapshot,
    /// A snapshot in history.
    Commit,
}

impl ObjectKind {
    /// The word that canonical bytes begin with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Snapshot => "snapshot",
            Self::Commit => "commit",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one object of the store.
///
/// The kind is part of the name: under `flat-v1` the empty blob and the empty snapshot have one and the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// What the object is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: ObjectId,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Deserializes a text through its parser, without a copy of the text.
pub(crate) fn parse_text<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    struct TextVisitor<T, E>(&'static str, fn(&str) -> Result<T, E>);

    impl<T, E: fmt::Display> serde::de::Visitor<'_> for TextVisitor<T, E> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E2: serde::de::Error>(self, text: &str) -> Result<T, E2> {
            (self.1)(text).map_err(E2::custom)
        }
    }

    deserializer.deserialize_str(TextVisitor(expected, parse))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ObjectId);

        impl $name {
            /// An id from a digest already computed.
            #[must_use]
            pub const fn new(algorithm: HashAlgorithm, digest: [u8; 32]) -> Self {
                Self(ObjectId::new(algorithm, digest))
            }

            /// Reads `sha256:…`, `blake3:…` or bare hex, which is SHA-256.
            ///
            /// # Errors
            /// [`IdError`] where the text is none of these.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                ObjectId::parse(text).map(Self)
            }

            /// The id without its kind.
            #[must_use]
            pub const fn object_id(&self) -> ObjectId {
                self.0
            }

            /// The object's name in the store.
            #[must_use]
            pub const fn key(&self) -> ObjectKey {
                ObjectKey { kind: ObjectKind::$kind, id: self.0 }
            }

            /// The 64 digits without the prefix.
            #[must_use]
            pub fn to_hex(&self) -> String {
                self.0.to_hex()
            }
        }

        impl From<ObjectId> for $name {
            fn from(id: ObjectId) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_text(deserializer, "an object id", Self::parse)
            }
        }
    };
}

typed_id!(
    /// The id of a file's bytes.
    BlobId,
    Blob
);
typed_id!(
    /// The id of a snapshot.
    SnapshotId,
    Snapshot
);
typed_id!(
    /// The id of a commit.
    CommitId,
    Commit
);

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn bare_hex_reads_as_sha256_and_prints_with_its_prefix() {
        let id = BlobId::parse(HEX).unwrap();
        assert_eq!(id.to_string(), format!("sha256:{HEX}"));
        assert_eq!(id, BlobId::parse(&format!("sha256:{HEX}")).unwrap());
        assert_eq!(id.to_hex(), HEX);
        assert_ne!(id, BlobId::parse(&format!("blake3:{HEX}")).unwrap());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let upper = HEX.to_uppercase();
        let short = &HEX[1..];
        let long = format!("{HEX}0");
        let newline = format!("{HEX}\n");
        let traversal = format!("../{}", &HEX[3..]);
        let nul = format!("\0{}", &HEX[1..]);
        let wide = "é".repeat(32);
        for bad in ["", short, &long, &upper, &newline, &traversal, &nul, &wide, "sha256:"] {
            assert_eq!(CommitId::parse(bad), Err(IdError::Malformed), "{bad:?}");
        }
        for bad in [format!("md5:{HEX}"), format!("SHA256:{HEX}")] {
            assert_eq!(CommitId::parse(&bad), Err(IdError::UnknownAlgorithm), "{bad:?}");
        }
        assert_eq!(CommitId::parse(&format!("sha256:sha256:{HEX}")), Err(IdError::Malformed));
    }
}
