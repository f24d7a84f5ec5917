//! Signatures of commits: Ed25519 over the provenance of a commit, judged by the keys that are registered.
//!
//! What is signed is the SHA-256 of `commit id, author, agent, model, toolchain, hash of the prompt`, joined by NUL. Sources differ in
//! whether the digest is signed as text or as bytes, and ids came with and without their prefix; each form is tried, and all
//! bind the same fields. Under `typed-v2`, whose ids cover the whole record, the id is that of the record without its signature.

use std::collections::HashMap;

use super::{KeyError, KeyId, PublicKey, Signature};
use crate::hash;
use crate::id::{CommitId, HashAlgorithm, ObjectKind};
use crate::name::Handle;
use crate::object::Commit;
use crate::port::{KeyRecord, Timestamp};
use crate::scheme::{IdScheme, typed_v2};

/// The digits of an HMAC-SHA256, which is what the client of March 2026 signs with.
const HMAC_DIGITS: usize = 64;

/// What is known of a commit's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignatureState {
    /// Signed by a key that is in force.
    Valid {
        /// Whose key it is.
        signer: Handle,
        /// The key.
        key: KeyId,
    },
    /// The signature does not fit the commit, or is none.
    Invalid,
    /// Signed by a key that nobody registered.
    UnknownKey {
        /// The key, where the commit names one.
        key: Option<KeyId>,
    },
    /// Signed by a key that was registered, and is in force no more.
    RetiredKey {
        /// Whose key it was.
        signer: Handle,
        /// The key.
        key: KeyId,
        /// Since when.
        since: Timestamp,
    },
    /// Signed in a way that only who signed can check: the client of March 2026 shares its key with nobody.
    Unverifiable,
    /// Not signed.
    Unsigned,
}

impl SignatureState {
    /// Its stable word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::Invalid => "invalid",
            Self::UnknownKey { .. } => "unknown_key",
            Self::RetiredKey { .. } => "retired_key",
            Self::Unverifiable => "unverifiable",
            Self::Unsigned => "unsigned",
        }
    }
}

/// A commit's signature, checked against the key that the commit itself names. Whose key that is has still to be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// It needs no key to say this.
    Settled(Verdict),
    /// This key made it.
    SignedBy(KeyId),
}

/// What can be said of a signature without knowing any key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// [`SignatureState::Invalid`].
    Invalid,
    /// [`SignatureState::UnknownKey`], as the commit does not bring its key.
    UnknownKey,
    /// [`SignatureState::Unverifiable`].
    Unverifiable,
    /// [`SignatureState::Unsigned`].
    Unsigned,
}

impl Checked {
    /// The state, once the registered keys among those named are known.
    #[must_use]
    pub fn settle(self, keys: &HashMap<KeyId, KeyRecord>) -> SignatureState {
        match self {
            Self::Settled(Verdict::Invalid) => SignatureState::Invalid,
            Self::Settled(Verdict::UnknownKey) => SignatureState::UnknownKey { key: None },
            Self::Settled(Verdict::Unverifiable) => SignatureState::Unverifiable,
            Self::Settled(Verdict::Unsigned) => SignatureState::Unsigned,
            Self::SignedBy(key) => match keys.get(&key) {
                None => SignatureState::UnknownKey { key: Some(key) },
                Some(record) => match record.retired_at {
                    None => SignatureState::Valid { signer: record.handle.clone(), key },
                    Some(since) => SignatureState::RetiredKey { signer: record.handle.clone(), key, since },
                },
            },
        }
    }
}

/// Checks a commit's signature with the key that it brings.
#[must_use]
pub fn check(scheme: IdScheme, commit: &Commit) -> Checked {
    let signature = commit.text("signature");
    if signature.is_empty() {
        return Checked::Settled(Verdict::Unsigned);
    }
    let named = commit.text("signer_public_key");
    let hmac = signature.len() == HMAC_DIGITS && signature.bytes().all(|b| b.is_ascii_hexdigit());
    if hmac && named.is_empty() {
        return Checked::Settled(Verdict::Unverifiable);
    }
    let signature: Signature = match signature.parse() {
        Ok(signature) => signature,
        // Another algorithm may well be right.
        Err(KeyError::Algorithm) => return Checked::Settled(Verdict::Unverifiable),
        Err(_) => return Checked::Settled(Verdict::Invalid),
    };
    if named.is_empty() {
        return Checked::Settled(Verdict::UnknownKey);
    }
    let key: PublicKey = match named.parse() {
        Ok(key) => key,
        Err(KeyError::Algorithm) => return Checked::Settled(Verdict::Unverifiable),
        Err(_) => return Checked::Settled(Verdict::Invalid),
    };
    if names_another(commit.text("signer_key_id"), key.id()) {
        return Checked::Settled(Verdict::Invalid);
    }
    if messages(scheme, commit).iter().any(|message| key.verifies(message, &signature)) {
        Checked::SignedBy(key.id())
    } else {
        Checked::Settled(Verdict::Invalid)
    }
}

/// Whether a commit's `signer_key_id` is there and not this key's: the whole fingerprint, or its first 16 digits.
fn names_another(claimed: &str, key: KeyId) -> bool {
    let whole = key.to_string();
    let digits = &whole["sha256:".len()..];
    !(claimed.is_empty() || claimed == whole || claimed == digits || claimed == &digits[..16])
}

/// Every message that a client may have signed for this commit.
fn messages(scheme: IdScheme, commit: &Commit) -> Vec<Vec<u8>> {
    let id = signed_id(scheme, commit).object_id();
    let ids = [id.to_string(), id.to_hex()];
    let fields =
        ["author", "agent_id", "model_id", "toolchain_id", "prompt_hash"].map(|field| commit.text(field));
    let digest = |id: &String| {
        let joined = format!("{id}\0{}", fields.join("\0"));
        hash::digest(HashAlgorithm::Sha256, &[joined.as_bytes()])
    };
    let forms = |digest: [u8; 32]| {
        let digits = hex::encode(digest);
        [digits.clone().into_bytes(), digest.to_vec(), format!("sha256:{digits}").into_bytes()]
    };
    ids.iter().map(digest).flat_map(forms).collect()
}

/// The id that the signature covers.
fn signed_id(scheme: IdScheme, commit: &Commit) -> CommitId {
    if scheme != IdScheme::TypedV2 {
        return commit.id();
    }
    let mut unsigned = commit.record().clone();
    unsigned.remove("signature");
    let algorithm = commit.id().object_id().algorithm();
    // A record that was read or verified can be printed again.
    crate::canonical::json::to_vec(&unsigned)
        .map_or(commit.id(), |payload| typed_v2::object_id(algorithm, ObjectKind::Commit, &payload).into())
}

/// The message that a client signs for a commit, in the form that is written here: the digits of the digest, over the id with
/// its prefix.
#[must_use]
pub fn message_to_sign(scheme: IdScheme, commit: &Commit) -> Vec<u8> {
    messages(scheme, commit).swap_remove(0)
}

#[cfg(test)]
mod tests;
