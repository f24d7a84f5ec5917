//! The public keys of identities, and what was proven with them once.

use async_trait::async_trait;

use super::{BackendError, Timestamp};
use crate::name::Handle;
use crate::signature::{KeyId, PublicKey};

/// A public key of somebody's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub handle: Handle,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Since when it signs nothing any more.
    pub retired_at: Option<Timestamp>,
}

/// Keeps keys. A key is of one identity for ever: retired, it stays, so that old signatures can be judged.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keeps a key of an identity that is there.
    ///
    /// # Errors
    /// [`BackendError::Conflict`] where the key was registered before, by anybody; [`BackendError::Missing`] where there is no
    /// such identity.
    async fn add_key(&self, key: &KeyRecord) -> Result<(), BackendError>;

    /// Every key of an identity, oldest first. Handles compare without case.
    async fn keys(&self, handle: &Handle) -> Result<Vec<KeyRecord>, BackendError>;

    /// Those keys that are registered, in no order.
    async fn keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<KeyRecord>, BackendError>;

    /// Retires a key of an identity; whether one was there and in force.
    async fn retire_key(&self, handle: &Handle, id: &KeyId, at: Timestamp) -> Result<bool, BackendError>;
}

/// What may be proven once: a signature of a request, the answer to a challenge. Seen by all processes of a hub.
#[async_trait]
pub trait ProofGuard: Send + Sync {
    /// Marks a proof, by its hash, as used until `until`, after which it counts for nothing anyway; whether this was the
    /// first use. Of many at once exactly one is.
    async fn spend(&self, proof: &[u8; 32], until: Timestamp) -> Result<bool, BackendError>;

    /// Forgets proofs whose time is over, those that ended first first, perhaps not all at once; how many.
    async fn forget_spent(&self, now: Timestamp) -> Result<u64, BackendError>;

    /// The secret of that name, which all processes share: `fresh` where there was none, random bytes that are kept from then
    /// on.
    async fn shared_secret(&self, name: &str, fresh: &[u8; 32]) -> Result<[u8; 32], BackendError>;
}
