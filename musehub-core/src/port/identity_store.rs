//! Identities and the tokens they prove themselves with.

use async_trait::async_trait;

use super::{BackendError, Timestamp};
use crate::hash;
use crate::id::HashAlgorithm;
use crate::name::Handle;

/// The BLAKE3 hash of a token; the token itself is kept nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(hash::digest(HashAlgorithm::Blake3, &[token.as_bytes()]))
    }

    /// Its 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// A token to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Whose it is.
    pub handle: Handle,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who is who.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Keeps a token, and its identity where that is new.
    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError>;

    /// Whose token it is; none for one unknown or revoked.
    async fn token_owner(&self, hash: TokenHash) -> Result<Option<Handle>, BackendError>;
}
