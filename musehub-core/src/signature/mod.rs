//! Ed25519: public keys, signatures, and what clients sign with them: [requests](request) and [commits](commit).
//!
//! Signatures are verified strictly: only canonical encodings, and no key of small order, under which one signature would fit
//! any message.

pub mod commit;
pub mod request;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;

use crate::hash;
use crate::id::HashAlgorithm;

/// The only algorithm of keys and signatures.
pub const ALGORITHM: &str = "ed25519";

/// Why a text is no key, signature or fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// No base64 of so many bytes.
    #[error("{what} is base64url of {bytes} bytes")]
    Length {
        /// What it should be.
        what: &'static str,
        /// How many bytes it has.
        bytes: usize,
    },
    /// Another algorithm.
    #[error("only the algorithm 'ed25519' is known")]
    Algorithm,
    /// No point of the curve, or one of small order.
    #[error("this is no usable public key")]
    Weak,
    /// No fingerprint.
    #[error("a fingerprint is 'sha256:' and 64 hexadecimal digits")]
    Fingerprint,
}

/// Reads base64 of exactly `N` bytes: url-safe or not, padded or not, with or without the prefix `ed25519:`.
fn read<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], KeyError> {
    let text = match text.split_once(':') {
        Some((ALGORITHM, rest)) => rest,
        Some(_) => return Err(KeyError::Algorithm),
        None => text,
    };
    let wrong = KeyError::Length { what, bytes: N };
    // Nothing longer is decoded.
    if text.len() > N.div_ceil(3) * 4 {
        return Err(wrong);
    }
    let engines = [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD_NO_PAD, &STANDARD];
    let decoded = engines.into_iter().find_map(|engine| engine.decode(text).ok());
    decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(wrong)
}

/// The fingerprint of a public key: the SHA-256 of its 32 bytes, printed `sha256:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix("sha256:").ok_or(KeyError::Fingerprint)?;
        let mut id = [0; 32];
        hex::decode_to_slice(digits, &mut id).map_err(|_| KeyError::Fingerprint)?;
        // One text form of each.
        if Self(id).to_string() == text { Ok(Self(id)) } else { Err(KeyError::Fingerprint) }
    }
}

/// A public key that can verify.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`KeyError::Weak`] where they are no point of the curve, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(hash::digest(HashAlgorithm::Sha256, &[self.as_bytes()]))
    }

    /// Whether the signature is this key's of this message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads base64, url-safe or not, padded or not, with or without the prefix `ed25519:`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&read(text, "a public key")?)
    }
}

/// The 64 bytes of a signature, which may be nobody's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    /// Reads base64, url-safe or not, padded or not, with or without the prefix `ed25519:`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        read(text, "a signature").map(Self)
    }
}
