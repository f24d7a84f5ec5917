//! Registering keys: a challenge, which the new key signs; rotation, retirement, and the keys of agents.

use std::sync::Arc;

use super::KeyringError;
use crate::hash;
use crate::id::HashAlgorithm;
use crate::name::Handle;
use crate::port::{BackendError, Clock, Identity, IdentityStore, KeyRecord, KeyStore, ProofGuard, Timestamp};
use crate::signature::{KeyId, PublicKey, Signature};

/// The most keys in force of one identity.
pub const MAX_KEYS: usize = 16;
/// How long a challenge can be answered, in milliseconds.
pub const CHALLENGE_MILLIS: i64 = 5 * 60 * 1000;

/// What every challenge begins with. No request and no commit has a message that does.
const PREFIX: &str = "musehub-challenge";
/// The name of the secret that challenges are recognised by.
const SECRET: &str = "challenge";

/// A challenge: a text that a key has to sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The text: `musehub-challenge:<handle>:<end>:<nonce>:<mac>`. Whoever signs it can read for which name.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A key, and the proof that whoever brings it holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyProof {
    /// The challenge, as it was given out.
    pub challenge: String,
    /// The key.
    pub key: PublicKey,
    /// Its signature of the challenge's text.
    pub signature: Signature,
}

/// The use cases of keys. A challenge is kept nowhere: it is recognised by its code, and spent by its first right answer.
#[derive(Clone)]
pub struct Keyring {
    identities: Arc<dyn IdentityStore>,
    keys: Arc<dyn KeyStore>,
    proofs: Arc<dyn ProofGuard>,
    clock: Arc<dyn Clock>,
    open_registration: bool,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("open_registration", &self.open_registration).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Keys over their stores. `open_registration` lets anybody take a name that is free; otherwise a first key is
    /// added by the holder of a token that the operator made.
    #[must_use]
    pub fn new(
        identities: Arc<dyn IdentityStore>,
        keys: Arc<dyn KeyStore>,
        proofs: Arc<dyn ProofGuard>,
        clock: Arc<dyn Clock>,
        open_registration: bool,
    ) -> Self {
        Self { identities, keys, proofs, clock, open_registration }
    }

    /// A new challenge for whoever wants a key for that name.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn challenge(&self, handle: &Handle) -> Result<Challenge, BackendError> {
        let expires_at = self.clock.now().plus_millis(CHALLENGE_MILLIS);
        let nonce = hex::encode(random());
        let said =
            format!("{PREFIX}:{}:{}:{nonce}", handle.as_str().to_ascii_lowercase(), expires_at.as_millis());
        let mac = self.mac(&said).await?;
        Ok(Challenge { token: format!("{said}:{}", mac.to_hex()), expires_at })
    }

    /// The keys of an identity, oldest first, retired ones included.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn keys(&self, handle: &Handle) -> Result<Vec<KeyRecord>, BackendError> {
        self.keys.keys(handle).await
    }

    /// Takes a free name with a first key.
    ///
    /// # Errors
    /// [`KeyringError::Closed`] where this hub lets nobody do that, [`KeyringError::Taken`] for a name that is not free.
    pub async fn register(&self, handle: &Handle, proof: &KeyProof) -> Result<KeyRecord, KeyringError> {
        if !self.open_registration {
            return Err(KeyringError::Closed);
        }
        self.enrol(handle, None, proof).await
    }

    /// Adds a key to an identity, whose holder asks: the new key of a rotation.
    ///
    /// # Errors
    /// [`KeyringError`]; then no key was added.
    pub async fn add(&self, holder: &Handle, proof: &KeyProof) -> Result<KeyRecord, KeyringError> {
        let identity = self.identities.identity(holder).await?;
        let identity = identity.ok_or_else(|| KeyringError::Unknown { handle: holder.clone() })?;
        self.check(holder, proof).await?;
        self.keep(&identity.handle, proof.key).await
    }

    /// Registers an agent's key on behalf of who runs it; the first makes the agent.
    ///
    /// # Errors
    /// [`KeyringError::Taken`] for a name that is not free and not an agent of this operator's.
    pub async fn register_agent(
        &self,
        operator: &Handle,
        agent: &Handle,
        proof: &KeyProof,
    ) -> Result<KeyRecord, KeyringError> {
        let operator = self.identities.identity(operator).await?;
        let operator = operator.ok_or(KeyringError::AgentOfAgent)?;
        if operator.spawned_by.is_some() {
            return Err(KeyringError::AgentOfAgent);
        }
        match self.identities.identity(agent).await? {
            Some(present) if present.spawned_by.as_ref() == Some(&operator.handle) => {
                self.check(agent, proof).await?;
                self.keep(&present.handle, proof.key).await
            }
            Some(_) => Err(KeyringError::Taken { handle: agent.clone() }),
            None => self.enrol(agent, Some(operator.handle), proof).await,
        }
    }

    /// Adds a key without a challenge, for the operator of the hub, who was given it another way.
    ///
    /// # Errors
    /// [`KeyringError`]; then no key was added.
    pub async fn add_unproven(&self, holder: &Handle, key: PublicKey) -> Result<KeyRecord, KeyringError> {
        let now = self.clock.now();
        let identity = Identity { handle: holder.clone(), spawned_by: None, created_at: now };
        self.identities.add_identity(&identity).await?;
        self.keep(holder, key).await
    }

    /// Retires a key of the caller's own or of an agent's that they run. It signs nothing from then on.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`] where there is none in force that is theirs.
    pub async fn retire(&self, caller: &Handle, key: &KeyId) -> Result<(), KeyringError> {
        let found = self.keys.keys_by_id(&[*key]).await?;
        let record = found.first().ok_or(KeyringError::NoKey { key: *key })?;
        let holder = self.identities.identity(&record.handle).await?;
        let is_caller = |handle: &Handle| handle.as_str().eq_ignore_ascii_case(caller.as_str());
        let theirs = is_caller(&record.handle)
            || holder.and_then(|holder| holder.spawned_by).is_some_and(|operator| is_caller(&operator));
        if theirs && self.keys.retire_key(&record.handle, key, self.clock.now()).await? {
            Ok(())
        } else {
            Err(KeyringError::NoKey { key: *key })
        }
    }

    /// Makes an identity and keeps its first key.
    async fn enrol(
        &self,
        handle: &Handle,
        spawned_by: Option<Handle>,
        proof: &KeyProof,
    ) -> Result<KeyRecord, KeyringError> {
        let taken = || KeyringError::Taken { handle: handle.clone() };
        if self.identities.identity(handle).await?.is_some() {
            return Err(taken());
        }
        self.require_new(&proof.key).await?;
        self.check(handle, proof).await?;
        let identity = Identity { handle: handle.clone(), spawned_by, created_at: self.clock.now() };
        // Of two at once, one makes it.
        if !self.identities.add_identity(&identity).await? {
            return Err(taken());
        }
        self.keep(handle, proof.key).await
    }

    async fn require_new(&self, key: &PublicKey) -> Result<(), KeyringError> {
        if self.keys.keys_by_id(&[key.id()]).await?.is_empty() {
            Ok(())
        } else {
            Err(KeyringError::Registered { key: key.id() })
        }
    }

    async fn keep(&self, handle: &Handle, key: PublicKey) -> Result<KeyRecord, KeyringError> {
        let in_force = self.keys.keys(handle).await?;
        if in_force.iter().filter(|record| record.retired_at.is_none()).count() >= MAX_KEYS {
            return Err(KeyringError::TooMany);
        }
        let created_at = self.clock.now();
        let record = KeyRecord { key, handle: handle.clone(), created_at, retired_at: None };
        match self.keys.add_key(&record).await {
            Err(BackendError::Conflict { .. }) => Err(KeyringError::Registered { key: key.id() }),
            done => Ok(done.map(|()| record)?),
        }
    }

    /// Whether the key answers a challenge that this hub gave out for that name, in time and for the first time.
    async fn check(&self, handle: &Handle, proof: &KeyProof) -> Result<(), KeyringError> {
        // One text form of each: digits in upper case would be another text with the same code.
        let lower = !proof.challenge.bytes().any(|byte| byte.is_ascii_uppercase());
        let parts = proof.challenge.rsplit_once(':').filter(|_| lower);
        let (said, mac) = parts.ok_or(KeyringError::Challenge)?;
        let mac = blake3::Hash::from_hex(mac).map_err(|_| KeyringError::Challenge)?;
        // The comparison takes the same time whatever differs.
        if self.mac(said).await? != mac {
            return Err(KeyringError::Challenge);
        }
        let mut parts = said.split(':').skip(1);
        let (name, end) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let end = end.parse().map(Timestamp::from_millis).map_err(|_| KeyringError::Challenge)?;
        if !name.eq_ignore_ascii_case(handle.as_str()) || self.clock.now() >= end {
            return Err(KeyringError::Challenge);
        }
        if !proof.key.verifies(proof.challenge.as_bytes(), &proof.signature) {
            return Err(KeyringError::Proof);
        }
        let hash = hash::digest(HashAlgorithm::Blake3, &[said.as_bytes()]);
        if self.proofs.spend(&hash, end.plus_millis(CHALLENGE_MILLIS)).await? {
            Ok(())
        } else {
            Err(KeyringError::Challenge)
        }
    }

    async fn mac(&self, said: &str) -> Result<blake3::Hash, BackendError> {
        let secret = self.proofs.shared_secret(SECRET, &random()).await?;
        Ok(blake3::keyed_hash(&secret, said.as_bytes()))
    }
}

/// 32 bytes of which 244 bits are random.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes
}
