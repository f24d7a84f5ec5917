//! Id schemes: the formulas that turn objects into ids.
//!
//! A repository's first commit fixes its scheme. A new scheme is one variant of [`IdScheme`] and one module here;
//! nothing else may know a formula.

pub mod flat_v1;
pub mod typed_v1;
pub mod typed_v2;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::hash::Hasher;
use crate::id::{BlobId, HashAlgorithm, ObjectKind};

/// How ids are computed in a repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum IdScheme {
    /// The hash of the bare content: Muse clients of March 2026. See [`flat_v1`].
    #[serde(rename = "flat-v1")]
    FlatV1,
    /// The hash of joined texts behind a header of kind and size: Muse clients from late May 2026 on. See [`typed_v1`].
    #[serde(rename = "typed-v1")]
    TypedV1,
    /// The hash of the canonical bytes, kind and size included. See [`typed_v2`].
    #[serde(rename = "typed-v2")]
    TypedV2,
}

/// The text names no scheme that this hub knows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown id scheme {0:?}; known are 'flat-v1', 'typed-v1' and 'typed-v2'")]
pub struct UnknownScheme(String);

/// Why a formula gives no id for its input.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormulaError {
    /// A text holds a NUL, which the formula takes for the end of a field: another object could have the same id.
    #[error("a NUL in a text that enters an id")]
    Nul,
    /// The paths of a manifest do not come in strictly ascending order.
    #[error("the paths of a manifest must be sorted and there once")]
    Unsorted,
    /// An id made with another hash function than the scheme's own.
    #[error("an id of another hash function than the scheme's")]
    ForeignAlgorithm,
    /// A file that reads like the canonical bytes of a blob: its id is also that of the blob it reads like.
    #[error("a file of this content has the id of another blob under another scheme")]
    Ambiguous,
    /// A directory whose path a form of `typed-v1` cannot tell from something else.
    #[error("a directory of a path that this form of ids cannot mark")]
    Unmarked,
    /// A blob is not as long as was announced.
    #[error("a blob of {actual} bytes was announced with {announced}")]
    SizeMismatch {
        /// The size that was announced.
        announced: u64,
        /// How many bytes came; where there were too many, how many until that was seen.
        actual: u64,
    },
}

impl IdScheme {
    /// The scheme's name in records and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlatV1 => "flat-v1",
            Self::TypedV1 => "typed-v1",
            Self::TypedV2 => "typed-v2",
        }
    }

    /// Whether a repository of this scheme can have ids of `algorithm`.
    #[must_use]
    pub const fn supports(self, algorithm: HashAlgorithm) -> bool {
        match self {
            Self::FlatV1 | Self::TypedV1 => matches!(algorithm, HashAlgorithm::Sha256),
            Self::TypedV2 => true,
        }
    }

    /// Whether a snapshot says which files are executable.
    #[must_use]
    pub const fn records_executables(self) -> bool {
        match self {
            Self::FlatV1 | Self::TypedV1 => false,
            Self::TypedV2 => true,
        }
    }

    /// The id of a file's bytes.
    ///
    /// Under a scheme of SHA-256 alone, it is of that whatever the `algorithm`.
    #[must_use]
    pub fn blob_id(self, algorithm: HashAlgorithm, bytes: &[u8]) -> BlobId {
        match self {
            Self::FlatV1 => flat_v1::blob_id(bytes),
            Self::TypedV1 => typed_v1::blob_id(bytes),
            Self::TypedV2 => typed_v2::blob_id(algorithm, bytes),
        }
    }
}

impl fmt::Display for IdScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdScheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        match text {
            "flat-v1" => Ok(Self::FlatV1),
            "typed-v1" => Ok(Self::TypedV1),
            "typed-v2" => Ok(Self::TypedV2),
            _ => Err(UnknownScheme(text.to_owned())),
        }
    }
}

/// The id of a blob that comes in pieces.
#[derive(Clone, Debug)]
pub struct BlobHasher {
    hasher: Hasher,
    algorithm: HashAlgorithm,
    announced: u64,
    actual: u64,
    /// Under `flat-v1`, the first bytes: enough to see a header there.
    head: Option<Vec<u8>>,
}

impl BlobHasher {
    /// Starts the id of a blob of `size` bytes.
    ///
    /// Under a scheme of SHA-256 alone, it is of that whatever the `algorithm`.
    #[must_use]
    pub fn new(scheme: IdScheme, algorithm: HashAlgorithm, size: u64) -> Self {
        let algorithm = match scheme {
            IdScheme::FlatV1 | IdScheme::TypedV1 => HashAlgorithm::Sha256,
            IdScheme::TypedV2 => algorithm,
        };
        let mut hasher = Hasher::new(algorithm);
        match scheme {
            IdScheme::FlatV1 => {}
            IdScheme::TypedV1 | IdScheme::TypedV2 => hasher.update(&typed_v2::header(ObjectKind::Blob, size)),
        }
        let head = (scheme == IdScheme::FlatV1).then(Vec::new);
        Self { hasher, algorithm, announced: size, actual: 0, head }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`FormulaError::SizeMismatch`] as soon as they are more than was announced.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), FormulaError> {
        self.actual = self.actual.saturating_add(bytes.len() as u64);
        if self.actual > self.announced {
            return Err(self.mismatch());
        }
        if let Some(head) = &mut self.head {
            let wanted = canonical::MAX_HEADER_BYTES - head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// The id of what was added.
    ///
    /// # Errors
    /// [`FormulaError::SizeMismatch`] where it is not as long as was announced, and [`FormulaError::Ambiguous`] where a
    /// file of `flat-v1` reads `blob <size>\0<bytes>`: its hash is the `typed` id of those bytes, and one store holds
    /// both. Nobody could tell which of the two an id means.
    pub fn finish(self) -> Result<BlobId, FormulaError> {
        if self.actual != self.announced {
            return Err(self.mismatch());
        }
        if let Some(Ok((ObjectKind::Blob, size, start))) = self.head.as_deref().map(canonical::parse_header)
            && size.checked_add(start as u64) == Some(self.actual)
        {
            return Err(FormulaError::Ambiguous);
        }
        Ok(BlobId::new(self.algorithm, self.hasher.finish()))
    }

    const fn mismatch(&self) -> FormulaError {
        FormulaError::SizeMismatch { announced: self.announced, actual: self.actual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [IdScheme; 3] = [IdScheme::FlatV1, IdScheme::TypedV1, IdScheme::TypedV2];
    const ALGORITHMS: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Blake3];

    #[test]
    fn a_scheme_is_its_name_in_text_and_in_json() {
        for scheme in SCHEMES {
            assert_eq!(scheme.to_string().parse(), Ok(scheme));
            let json = serde_json::to_string(&scheme).unwrap();
            assert_eq!(json, format!("{:?}", scheme.as_str()));
            assert_eq!(serde_json::from_str::<IdScheme>(&json).unwrap(), scheme);
        }
        for bad in ["", "FlatV1", "flat-v2", "typed-v2 "] {
            assert_eq!(bad.parse::<IdScheme>(), Err(UnknownScheme(bad.to_owned())));
        }
    }

    #[test]
    fn a_blob_in_pieces_has_the_id_of_the_whole() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(10_000).collect();
        for scheme in SCHEMES {
            for algorithm in ALGORITHMS {
                for size in [0, 1, 9, 10, 63, 64, 65, 10_000] {
                    let blob = &bytes[..size];
                    let mut hasher = BlobHasher::new(scheme, algorithm, size as u64);
                    for piece in blob.chunks(977) {
                        hasher.update(piece).unwrap();
                    }
                    let id = hasher.finish().unwrap();
                    assert_eq!(id, scheme.blob_id(algorithm, blob));
                    let supported = scheme.supports(algorithm);
                    assert_eq!(id.object_id().algorithm() == algorithm, supported);
                }
            }
        }
    }

    #[test]
    fn a_blob_of_another_size_than_announced_has_no_id() {
        for scheme in SCHEMES {
            let mut hasher = BlobHasher::new(scheme, HashAlgorithm::Sha256, 3);
            hasher.update(b"ab").unwrap();
            let short = FormulaError::SizeMismatch { announced: 3, actual: 2 };
            assert_eq!(hasher.clone().finish(), Err(short));
            let long = FormulaError::SizeMismatch { announced: 3, actual: 4 };
            assert_eq!(hasher.update(b"cd"), Err(long.clone()));
            assert_eq!(hasher.finish(), Err(long));
        }
    }
}
