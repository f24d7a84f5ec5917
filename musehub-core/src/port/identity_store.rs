//! Identities and the tokens they prove themselves with.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::collaborators::UnknownWord;
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

    /// What lists and revocations call the token: the first 16 digits, which open nothing.
    #[must_use]
    pub fn token_id(self) -> String {
        hex::encode(&self.0[..8])
    }
}

/// How far a token goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Sees what its holder sees.
    Read,
    /// And pushes where its holder may.
    Push,
    /// Does whatever its holder may do.
    #[default]
    Admin,
}

impl Scope {
    /// All, least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Push, Self::Admin];

    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or(UnknownWord("read, push, admin"))
    }
}

/// A token to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Whose it is.
    pub handle: Handle,
    /// How far it goes.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it counts for nothing; none for never.
    pub expires_at: Option<Timestamp>,
}

/// A token that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// What to call it: [`TokenHash::token_id`].
    pub token_id: String,
    /// Whose it is.
    pub handle: Handle,
    /// How far it goes.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it counts for nothing.
    pub expires_at: Option<Timestamp>,
    /// Since when it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// Whether it counts at a moment.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A person, an organisation or an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its name.
    pub handle: Handle,
    /// Of an agent: who runs it.
    pub spawned_by: Option<Handle>,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// Who is who. Handles compare without case; each is given as it was first written.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Keeps an identity; whether it is new. One that is there stays as it is.
    async fn add_identity(&self, identity: &Identity) -> Result<bool, BackendError>;

    /// The identity of that name.
    async fn identity(&self, handle: &Handle) -> Result<Option<Identity>, BackendError>;

    /// Keeps a token, and its identity where that is new.
    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError>;

    /// A token, whether it still counts or not.
    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRow>, BackendError>;

    /// Every token of an identity, oldest first.
    async fn tokens(&self, handle: &Handle) -> Result<Vec<TokenRow>, BackendError>;

    /// Revokes a token of an identity by its [`token_id`](TokenRow::token_id); whether one was there and in force.
    async fn revoke_token(
        &self,
        handle: &Handle,
        token_id: &str,
        at: Timestamp,
    ) -> Result<bool, BackendError>;
}
