//! Signatures of commits, and every way in which they are none.

use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Map, Value, json};

use super::*;
use crate::scheme::flat_v1;
use crate::{SnapshotId, hash};

fn signing_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

/// A record whose id fits, with these provenance fields.
fn record(message: &str, model: &str) -> Map<String, Value> {
    let snapshot = SnapshotId::parse(&hex::encode(hash::digest(HashAlgorithm::Sha256, &[b""]))).unwrap();
    let time = "2026-06-01T00:00:00+00:00";
    let id = flat_v1::commit_id(&[], &snapshot, message, time).unwrap();
    let record = json!({
        "commit_id": id.object_id().to_hex(), "snapshot_id": snapshot.object_id().to_hex(), "parent_commit_id": null,
        "message": message, "committed_at": time, "author": "alice", "agent_id": "bot", "model_id": model,
        "toolchain_id": "t", "prompt_hash": "p",
    });
    record.as_object().unwrap().clone()
}

fn commit(record: Map<String, Value>) -> Commit {
    Commit::verify(IdScheme::FlatV1, record).unwrap()
}

fn encoded(key: &SigningKey, message: &[u8]) -> String {
    Signature::from_bytes(key.sign(message).to_bytes()).to_string()
}

/// The record, signed as the client writes it.
fn signed(key: &SigningKey, mut record: Map<String, Value>) -> Map<String, Value> {
    let unsigned = commit(record.clone());
    let message = message_to_sign(IdScheme::FlatV1, &unsigned);
    record.insert("signature".into(), encoded(key, &message).into());
    record.insert("signer_public_key".into(), public(key).to_string().into());
    record.insert("signer_key_id".into(), public(key).id().to_string().into());
    record
}

fn state(record: Map<String, Value>, keys: &[KeyRecord]) -> SignatureState {
    let keys = keys.iter().map(|record| (record.key.id(), record.clone())).collect();
    check(IdScheme::FlatV1, &commit(record)).settle(&keys)
}

fn registered(key: &SigningKey, retired_at: Option<i64>) -> KeyRecord {
    KeyRecord {
        key: public(key),
        handle: Handle::parse("alice").unwrap(),
        created_at: Timestamp::from_millis(0),
        retired_at: retired_at.map(Timestamp::from_millis),
    }
}

#[test]
fn the_message_is_the_published_one() {
    let commit = commit(record("m", "gpt"));
    let joined = format!("{}\0alice\0bot\0gpt\0t\0p", commit.id());
    let expected = hex::encode(hash::digest(HashAlgorithm::Sha256, &[joined.as_bytes()]));
    assert_eq!(message_to_sign(IdScheme::FlatV1, &commit), expected.into_bytes());
}

#[test]
fn a_signature_is_judged_by_the_keys_that_are_registered() {
    let key = signing_key(1);
    let record = signed(&key, record("m", "gpt"));
    let (signer, id) = (Handle::parse("alice").unwrap(), public(&key).id());
    let in_force = state(record.clone(), &[registered(&key, None)]);
    assert_eq!(in_force, SignatureState::Valid { signer: signer.clone(), key: id });
    let retired = state(record.clone(), &[registered(&key, Some(5))]);
    assert_eq!(retired, SignatureState::RetiredKey { signer, key: id, since: Timestamp::from_millis(5) });
    let other = [registered(&signing_key(2), None)];
    assert_eq!(state(record, &other), SignatureState::UnknownKey { key: Some(id) });
}

#[test]
fn every_published_form_of_the_message_is_known() {
    let key = signing_key(1);
    for (bare, form) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1)] {
        let mut record = record("m", "gpt");
        let id = commit(record.clone()).id();
        let id = if bare { id.object_id().to_hex() } else { id.to_string() };
        let digest =
            hash::digest(HashAlgorithm::Sha256, &[format!("{id}\0alice\0bot\0gpt\0t\0p").as_bytes()]);
        let message = match form {
            0 => hex::encode(digest).into_bytes(),
            1 => digest.to_vec(),
            _ => format!("sha256:{}", hex::encode(digest)).into_bytes(),
        };
        record.insert("signature".into(), format!("ed25519:{}", encoded(&key, &message)).into());
        record.insert("signer_public_key".into(), format!("ed25519:{}", public(&key)).into());
        // The first sixteen digits of the fingerprint, as some clients write it.
        record.insert("signer_key_id".into(), public(&key).id().to_string()[7..23].into());
        assert_eq!(state(record, &[registered(&key, None)]).as_str(), "valid", "bare {bare}, form {form}");
    }
}

#[test]
fn a_field_that_was_changed_after_signing_makes_it_invalid() {
    let key = signing_key(1);
    let keys = [registered(&key, None)];
    for field in ["author", "agent_id", "model_id", "toolchain_id", "prompt_hash"] {
        let mut changed = signed(&key, record("m", "gpt"));
        changed.insert(field.into(), "other".into());
        assert_eq!(state(changed, &keys), SignatureState::Invalid, "{field}");
    }
    // What enters the id cannot change without it, so a signature carried over to another commit is what remains.
    let mut carried = signed(&key, record("other message", "gpt"));
    let first = signed(&key, record("m", "gpt"));
    carried.insert("signature".into(), first["signature"].clone());
    assert_eq!(state(carried, &keys), SignatureState::Invalid);
}

#[test]
fn a_key_that_does_not_fit_makes_it_invalid() {
    let (key, other) = (signing_key(1), signing_key(2));
    let keys = [registered(&key, None), registered(&other, None)];
    let good = signed(&key, record("m", "gpt"));
    let with = |field: &str, value: Value| {
        let mut record = good.clone();
        record.insert(field.into(), value);
        state(record, &keys).as_str()
    };
    assert_eq!(with("signer_public_key", public(&other).to_string().into()), "invalid");
    assert_eq!(with("signer_key_id", public(&other).id().to_string().into()), "invalid");
    assert_eq!(with("signer_public_key", "AAAA".into()), "invalid");
    // Of small order.
    assert_eq!(with("signer_public_key", "A".repeat(43).into()), "invalid");
    assert_eq!(with("signature", "not base64".into()), "invalid");
    assert_eq!(with("signature", "A".repeat(86).into()), "invalid");
    assert_eq!(with("signature", "".into()), "unsigned");
    assert_eq!(with("signature", Value::Null), "unsigned");
    assert_eq!(with("signature", "ml-dsa-65:AAAA".into()), "unverifiable");
    assert_eq!(with("signer_public_key", "".into()), "unknown_key");
    assert_eq!(with("signer_key_id", "".into()), "valid");
}

/// The client of March 2026 signs with a key that nobody else has.
#[test]
fn an_hmac_is_never_called_verified() {
    let mut record = record("m", "");
    record.insert(
        "signature".into(),
        "2aac446acda41d89eee43a8a7ea35d05236892527a3f99598cdb8485e02a4bd2".into(),
    );
    record.insert("signer_key_id".into(), "630dcd2966c43366".into());
    assert_eq!(state(record, &[]), SignatureState::Unverifiable);
}

/// Under a scheme whose ids cover the signature, it is the record without it that is signed.
#[test]
fn a_native_commit_is_signed_without_its_signature() {
    let key = signing_key(3);
    let mut record = record("m", "gpt");
    record.remove("commit_id");
    record.remove("parent_commit_id");
    record.insert("parents".into(), json!([]));
    record.insert("signer_public_key".into(), public(&key).to_string().into());
    let unsigned = Commit::verify(IdScheme::TypedV2, record.clone()).unwrap();
    let message = message_to_sign(IdScheme::TypedV2, &unsigned);
    record.insert("signature".into(), encoded(&key, &message).into());
    let signed = Commit::verify(IdScheme::TypedV2, record.clone()).unwrap();
    assert_ne!(signed.id(), unsigned.id());
    assert_eq!(check(IdScheme::TypedV2, &signed), Checked::SignedBy(public(&key).id()));
    record.insert("message".into(), "other".into());
    let changed = Commit::verify(IdScheme::TypedV2, record).unwrap();
    assert_eq!(check(IdScheme::TypedV2, &changed), Checked::Settled(Verdict::Invalid));
}
