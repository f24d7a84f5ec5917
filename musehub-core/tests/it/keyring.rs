//! Challenges for keys: how long they can be answered, and by which hub.

use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use futures::executor::block_on;
use musehub_core::Handle;
use musehub_core::hub::{CHALLENGE_MILLIS, KeyProof, Keyring, KeyringError};
use musehub_core::memory::{FixedClock, MemoryIndex};
use musehub_core::port::{KeyStore, Timestamp};
use musehub_core::signature::{PublicKey, Signature};

fn keyring(index: &Arc<MemoryIndex>, clock: &Arc<FixedClock>, open: bool) -> Keyring {
    Keyring::new(index.clone(), index.clone(), index.clone(), clock.clone(), open)
}

fn proof(seed: u8, challenge: &str) -> KeyProof {
    let key = SigningKey::from_bytes(&[seed; 32]);
    KeyProof {
        challenge: challenge.to_owned(),
        key: PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap(),
        signature: Signature::from_bytes(key.sign(challenge.as_bytes()).to_bytes()),
    }
}

#[test]
fn a_challenge_can_be_answered_until_its_end_at_any_process_of_its_hub() {
    block_on(async {
        let index = Arc::new(MemoryIndex::new());
        let clock = Arc::new(FixedClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let (one, other) = (keyring(&index, &clock, true), keyring(&index, &clock, true));
        let alice = Handle::parse("Alice").unwrap();
        let in_time = one.challenge(&alice).await.unwrap();
        assert!(in_time.token.starts_with("musehub-challenge:alice:"), "{}", in_time.token);
        clock.advance(CHALLENGE_MILLIS - 1);
        other.register(&alice, &proof(1, &in_time.token)).await.unwrap();

        let late = one.challenge(&alice).await.unwrap();
        clock.advance(CHALLENGE_MILLIS);
        let refused = one.add(&alice, &proof(2, &late.token)).await;
        assert!(matches!(refused, Err(KeyringError::Challenge)), "{refused:?}");

        // Another hub has another secret.
        let elsewhere = keyring(&Arc::new(MemoryIndex::new()), &clock, true);
        let foreign = elsewhere.challenge(&alice).await.unwrap();
        let refused = one.add(&alice, &proof(2, &foreign.token)).await;
        assert!(matches!(refused, Err(KeyringError::Challenge)), "{refused:?}");
        assert_eq!(index.keys(&alice).await.unwrap().len(), 1);
    });
}

/// Every change of one character of a challenge makes it none.
#[test]
fn a_challenge_that_was_changed_is_none() {
    block_on(async {
        let index = Arc::new(MemoryIndex::new());
        let clock = Arc::new(FixedClock::new(Timestamp::from_millis(0)));
        let keyring = keyring(&index, &clock, true);
        let alice = Handle::parse("alice").unwrap();
        let token = keyring.challenge(&alice).await.unwrap().token;
        for at in 0..token.len() {
            for other in ["0", "1", "f", ":", "A"] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, other);
                // A name in another case is the same name, and no challenge is written so.
                if changed != token {
                    let refused = keyring.register(&alice, &proof(1, &changed)).await;
                    assert!(matches!(refused, Err(KeyringError::Challenge)), "{changed}: {refused:?}");
                }
            }
        }
        keyring.register(&alice, &proof(1, &token)).await.unwrap();
    });
}

#[test]
fn of_many_who_want_a_name_at_once_one_gets_it() {
    block_on(async {
        let index = Arc::new(MemoryIndex::new());
        let clock = Arc::new(FixedClock::new(Timestamp::from_millis(0)));
        let keyring = keyring(&index, &clock, true);
        let alice = Handle::parse("alice").unwrap();
        let challenges =
            futures::future::join_all((0..5).map(|_| async { keyring.challenge(&alice).await.unwrap() }))
                .await;
        let (keyring, alice) = (&keyring, &alice);
        let tried = challenges.iter().zip(1..).map(|(challenge, seed)| async move {
            keyring.register(alice, &proof(seed, &challenge.token)).await
        });
        let tried = futures::future::join_all(tried).await;
        assert_eq!(tried.iter().filter(|done| done.is_ok()).count(), 1, "{tried:?}");
        assert_eq!(index.keys(alice).await.unwrap().len(), 1);
    });
}
