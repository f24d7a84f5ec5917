//! The contract of [`IdentityStore`].

use futures::future::join_all;

use super::fixtures::{at, handle};
use super::run_cases;
use crate::port::{IdentityStore, NewToken, TokenHash};

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`IdentityStore`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: IdentityStore,
{
    run_cases!(
        "identity",
        fresh,
        [
            an_unknown_token_is_nobodys,
            a_token_has_its_owner,
            one_identity_has_several_tokens,
            a_token_never_changes_hands,
            a_hundred_tokens_at_once,
        ]
    );
}

fn token(text: &str, owner: &str) -> NewToken {
    NewToken { hash: TokenHash::of(text), handle: handle(owner), created_at: at(0) }
}

async fn assert_owner<B: IdentityStore>(store: &B, text: &str, owner: Option<&str>) {
    let found = store.token_owner(TokenHash::of(text)).await.expect("token_owner");
    assert_eq!(found, owner.map(handle), "whose token '{text}' is");
}

async fn add<B: IdentityStore>(store: &B, text: &str, owner: &str) {
    store.add_token(&token(text, owner)).await.expect("add_token takes a new token");
}

async fn an_unknown_token_is_nobodys<B: IdentityStore>(store: &B) {
    assert_owner(store, "unknown", None).await;
    assert_owner(store, "", None).await;
}

async fn a_token_has_its_owner<B: IdentityStore>(store: &B) {
    add(store, "of alice", "alice").await;
    add(store, "of bob", "Bob.Bot-1_x").await;
    assert_owner(store, "of alice", Some("alice")).await;
    assert_owner(store, "of bob", Some("Bob.Bot-1_x")).await;
    for other in ["OF ALICE", "of alice ", "of alic", ""] {
        assert_owner(store, other, None).await;
    }
}

async fn one_identity_has_several_tokens<B: IdentityStore>(store: &B) {
    for text in ["laptop", "server", "agent"] {
        add(store, text, "alice").await;
    }
    for text in ["laptop", "server", "agent"] {
        assert_owner(store, text, Some("alice")).await;
    }
}

/// Whether the second attempt is an error is the backend's own choice; that it gains nothing is not.
async fn a_token_never_changes_hands<B: IdentityStore>(store: &B) {
    add(store, "secret", "alice").await;
    let _ = store.add_token(&token("secret", "mallory")).await;
    assert_owner(store, "secret", Some("alice")).await;
}

async fn a_hundred_tokens_at_once<B: IdentityStore>(store: &B) {
    let owner = |n: usize| format!("owner-{}", n % 7);
    let tokens: Vec<NewToken> = (0..100).map(|n| token(&format!("token {n}"), &owner(n))).collect();
    for result in join_all(tokens.iter().map(|token| store.add_token(token))).await {
        result.expect("identities are made once, by whoever comes first");
    }
    for n in 0..100 {
        assert_owner(store, &format!("token {n}"), Some(&owner(n))).await;
    }
}
