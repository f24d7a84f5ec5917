//! The two hash functions of the hub, each behind one function, so that an implementation is chosen in one place.

use crate::id::HashAlgorithm;

/// An incremental hasher of one algorithm.
///
/// SHA-256 comes from `ring`, BLAKE3 from `blake3`.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a hasher lives on the stack of one computation; SHA-256 is the usual one"
)]
pub enum Hasher {
    /// SHA-256 in progress.
    Sha256(ring::digest::Context),
    /// BLAKE3 in progress.
    Blake3(Box<blake3::Hasher>),
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Hasher::Sha256",
            Self::Blake3(_) => "Hasher::Blake3",
        })
    }
}

impl Hasher {
    /// Starts a hash of `algorithm`.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha256 => Self::Sha256(ring::digest::Context::new(&ring::digest::SHA256)),
            HashAlgorithm::Blake3 => Self::Blake3(Box::default()),
        }
    }

    /// Adds `bytes` to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(context) => context.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    /// The digest of everything added.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        match self {
            Self::Sha256(context) => {
                let mut digest = [0; 32];
                digest.copy_from_slice(context.finish().as_ref());
                digest
            }
            Self::Blake3(hasher) => *hasher.finalize().as_bytes(),
        }
    }
}

/// The digest of the concatenation of `parts`.
#[must_use]
pub fn digest(algorithm: HashAlgorithm, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::new(algorithm);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}
