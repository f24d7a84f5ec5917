//! The contracts of [`Collaborators`], [`KeyStore`] and [`ProofGuard`].

use futures::future::join_all;

use super::fixtures::{at, create_repositories, handle, repo};
use super::run_cases;
use crate::hash;
use crate::id::HashAlgorithm;
use crate::port::{
    BackendError, Collaborator, Collaborators, Identity, IdentityStore, KeyRecord, KeyStore, ProofGuard,
    RepositoryIndex, Role,
};
use crate::signature::PublicKey;

/// Runs every case, each against a backend fresh from `fresh`. It needs the ports whose repositories and identities these are
/// about.
///
/// # Panics
/// Where the backend breaks a contract.
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: Collaborators + KeyStore + ProofGuard + IdentityStore + RepositoryIndex,
{
    run_cases!(
        "access",
        fresh,
        [
            a_collaborator_has_the_last_role_given,
            roles_are_of_one_repository,
            only_who_is_there_can_collaborate,
            a_key_is_of_one_identity_for_ever,
            a_retired_key_is_still_found,
            a_key_is_retired_for_its_holder_only,
            a_proof_counts_once,
            of_many_uses_at_once_one_counts,
            used_proofs_are_forgotten_after_their_end,
            a_secret_is_kept_by_whoever_comes_first,
        ]
    );
}

async fn know<B: IdentityStore>(store: &B, names: &[&str]) {
    for name in names {
        let identity = Identity { handle: handle(name), spawned_by: None, created_at: at(0) };
        store.add_identity(&identity).await.expect("add_identity");
    }
}

fn collaborator(name: &str, role: Role, n: i64) -> Collaborator {
    Collaborator { handle: handle(name), role, added_by: handle("alice"), added_at: at(n) }
}

async fn a_collaborator_has_the_last_role_given<B: Collaborators + IdentityStore + RepositoryIndex>(
    store: &B,
) {
    create_repositories(store, 1).await;
    know(store, &["Bob", "carol"]).await;
    assert_eq!(store.role(&repo(1), &handle("bob")).await.expect("role"), None);
    for (n, role) in (1..).zip([Role::Read, Role::Admin, Role::Write]) {
        store.put_collaborator(&repo(1), &collaborator("bob", role, n)).await.expect("put_collaborator");
        assert_eq!(store.role(&repo(1), &handle("BOB")).await.expect("role"), Some(role));
    }
    store.put_collaborator(&repo(1), &collaborator("carol", Role::Read, 9)).await.expect("put_collaborator");
    let listed = store.collaborators(&repo(1)).await.expect("collaborators");
    assert_eq!(listed, [collaborator("Bob", Role::Write, 3), collaborator("carol", Role::Read, 9)]);
    assert!(store.remove_collaborator(&repo(1), &handle("bOb")).await.expect("remove_collaborator"));
    assert!(
        !store.remove_collaborator(&repo(1), &handle("bob")).await.expect("remove_collaborator"),
        "twice"
    );
    assert_eq!(store.role(&repo(1), &handle("bob")).await.expect("role"), None);
}

async fn roles_are_of_one_repository<B: Collaborators + IdentityStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    know(store, &["bob"]).await;
    store.put_collaborator(&repo(1), &collaborator("bob", Role::Admin, 1)).await.expect("put_collaborator");
    assert_eq!(store.role(&repo(2), &handle("bob")).await.expect("role"), None);
    assert_eq!(store.collaborators(&repo(2)).await.expect("collaborators"), []);
    assert!(!store.remove_collaborator(&repo(2), &handle("bob")).await.expect("remove_collaborator"));
    assert_eq!(store.role(&repo(1), &handle("bob")).await.expect("role"), Some(Role::Admin));
}

async fn only_who_is_there_can_collaborate<B: Collaborators + IdentityStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let refused = store.put_collaborator(&repo(1), &collaborator("ghost", Role::Read, 1)).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
    know(store, &["bob"]).await;
    let refused = store.put_collaborator(&repo(2), &collaborator("bob", Role::Read, 1)).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
}

/// A key of the curve. Nobody knows what it belongs to.
fn key(n: u8) -> PublicKey {
    let mut bytes = hash::digest(HashAlgorithm::Sha256, &[&[n]]);
    loop {
        if let Ok(key) = PublicKey::from_bytes(&bytes) {
            return key;
        }
        bytes = hash::digest(HashAlgorithm::Sha256, &[&bytes]);
    }
}

fn record(n: u8, holder: &str) -> KeyRecord {
    KeyRecord { key: key(n), handle: handle(holder), created_at: at(n.into()), retired_at: None }
}

async fn a_key_is_of_one_identity_for_ever<B: KeyStore + IdentityStore>(store: &B) {
    let refused = store.add_key(&record(1, "alice")).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
    know(store, &["Alice", "bob"]).await;
    for n in [2, 1] {
        store.add_key(&record(n, "alice")).await.expect("add_key");
    }
    for holder in ["bob", "alice"] {
        let refused = store.add_key(&record(1, holder)).await;
        assert!(matches!(refused, Err(BackendError::Conflict { .. })), "{refused:?}");
    }
    let keys = store.keys(&handle("ALICE")).await.expect("keys");
    assert_eq!(keys, [record(1, "Alice"), record(2, "Alice")], "oldest first");
    assert_eq!(store.keys(&handle("bob")).await.expect("keys"), []);
}

async fn a_retired_key_is_still_found<B: KeyStore + IdentityStore>(store: &B) {
    know(store, &["alice"]).await;
    store.add_key(&record(1, "alice")).await.expect("add_key");
    store.add_key(&record(2, "alice")).await.expect("add_key");
    assert!(store.retire_key(&handle("Alice"), &key(1).id(), at(7)).await.expect("retire_key"));
    assert!(!store.retire_key(&handle("alice"), &key(1).id(), at(8)).await.expect("retire_key"), "twice");
    let retired = KeyRecord { retired_at: Some(at(7)), ..record(1, "alice") };
    assert_eq!(store.keys(&handle("alice")).await.expect("keys"), [retired.clone(), record(2, "alice")]);
    let found = store.keys_by_id(&[key(3).id(), key(1).id()]).await.expect("keys_by_id");
    assert_eq!(found, [retired]);
    assert_eq!(store.keys_by_id(&[]).await.expect("keys_by_id"), []);
    let refused = store.add_key(&record(1, "alice")).await;
    assert!(
        matches!(refused, Err(BackendError::Conflict { .. })),
        "a retired key does not come back: {refused:?}"
    );
}

async fn a_key_is_retired_for_its_holder_only<B: KeyStore + IdentityStore>(store: &B) {
    know(store, &["alice", "bob"]).await;
    store.add_key(&record(1, "alice")).await.expect("add_key");
    for (who, n) in [("bob", 1), ("alice", 2), ("ghost", 1)] {
        assert!(!store.retire_key(&handle(who), &key(n).id(), at(1)).await.expect("retire_key"), "{who} {n}");
    }
    assert_eq!(store.keys(&handle("alice")).await.expect("keys"), [record(1, "alice")]);
}

async fn a_proof_counts_once<B: ProofGuard>(store: &B) {
    assert!(store.spend(&[1; 32], at(10)).await.expect("spend"));
    assert!(!store.spend(&[1; 32], at(99)).await.expect("spend"), "a second time");
    assert!(store.spend(&[2; 32], at(10)).await.expect("spend"), "another proof");
}

async fn of_many_uses_at_once_one_counts<B: ProofGuard>(store: &B) {
    for round in 0..10_u8 {
        let uses = join_all((0..8).map(|_| async { store.spend(&[round; 32], at(10)).await })).await;
        let counted = uses.into_iter().filter(|first| *first.as_ref().expect("spend")).count();
        assert_eq!(counted, 1, "round {round}");
    }
}

async fn used_proofs_are_forgotten_after_their_end<B: ProofGuard>(store: &B) {
    for n in 1..=5_u8 {
        assert!(store.spend(&[n; 32], at(n.into())).await.expect("spend"));
    }
    assert_eq!(store.forget_spent(at(3)).await.expect("forget_spent"), 3);
    assert_eq!(store.forget_spent(at(3)).await.expect("forget_spent"), 0);
    assert!(store.spend(&[3; 32], at(9)).await.expect("spend"), "forgotten");
    assert!(!store.spend(&[4; 32], at(9)).await.expect("spend"), "not yet");
}

async fn a_secret_is_kept_by_whoever_comes_first<B: ProofGuard>(store: &B) {
    let fresh: Vec<[u8; 32]> = (1..=8).map(|n| [n; 32]).collect();
    let kept = join_all(fresh.iter().map(|fresh| store.shared_secret("challenge", fresh))).await;
    let kept: Vec<[u8; 32]> = kept.into_iter().map(|secret| secret.expect("shared_secret")).collect();
    assert!(kept.iter().all(|secret| *secret == kept[0] && fresh.contains(secret)), "{kept:?}");
    assert_eq!(store.shared_secret("challenge", &[9; 32]).await.expect("shared_secret"), kept[0]);
    assert_eq!(store.shared_secret("another", &[9; 32]).await.expect("shared_secret"), [9; 32]);
}
