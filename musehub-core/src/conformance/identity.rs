//! The contract of [`IdentityStore`].

use futures::future::join_all;

use super::fixtures::{at, handle};
use super::run_cases;
use crate::port::{Identity, IdentityStore, NewToken, Scope, TokenHash};

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
            a_token_keeps_its_scope_and_end,
            one_identity_has_several_tokens,
            a_revoked_token_stays_revoked,
            a_token_is_revoked_for_its_owner_only,
            a_token_never_changes_hands,
            a_hundred_tokens_at_once,
            an_identity_is_made_once,
        ]
    );
}

fn token(text: &str, owner: &str) -> NewToken {
    NewToken {
        hash: TokenHash::of(text),
        handle: handle(owner),
        scope: Scope::Admin,
        created_at: at(0),
        expires_at: None,
    }
}

async fn assert_owner<B: IdentityStore>(store: &B, text: &str, owner: Option<&str>) {
    let found = store.token(TokenHash::of(text)).await.expect("token");
    assert_eq!(found.map(|row| row.handle), owner.map(handle), "whose token '{text}' is");
}

async fn add<B: IdentityStore>(store: &B, text: &str, owner: &str) {
    store.add_token(&token(text, owner)).await.expect("add_token takes a new token");
}

async fn an_unknown_token_is_nobodys<B: IdentityStore>(store: &B) {
    assert_owner(store, "unknown", None).await;
    assert_owner(store, "", None).await;
    assert_eq!(store.tokens(&handle("alice")).await.expect("tokens"), []);
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

async fn a_token_keeps_its_scope_and_end<B: IdentityStore>(store: &B) {
    for (n, scope) in (1..).zip(Scope::ALL) {
        let new = NewToken {
            scope,
            created_at: at(n),
            expires_at: Some(at(100 + n)),
            ..token(scope.as_str(), "alice")
        };
        store.add_token(&new).await.expect("add_token");
        let row = store.token(new.hash).await.expect("token").expect("it was added");
        assert_eq!((row.scope, row.created_at, row.expires_at), (scope, at(n), Some(at(100 + n))));
        assert_eq!((row.token_id, row.revoked_at), (new.hash.token_id(), None));
    }
    add(store, "endless", "alice").await;
    let listed = store.tokens(&handle("ALICE")).await.expect("tokens");
    let listed: Vec<_> = listed.into_iter().map(|row| (row.created_at, row.expires_at)).collect();
    let ends = [(at(0), None), (at(1), Some(at(101))), (at(2), Some(at(102))), (at(3), Some(at(103)))];
    assert_eq!(listed, ends, "oldest first");
}

async fn one_identity_has_several_tokens<B: IdentityStore>(store: &B) {
    for text in ["laptop", "server", "agent"] {
        add(store, text, "alice").await;
    }
    for text in ["laptop", "server", "agent"] {
        assert_owner(store, text, Some("alice")).await;
    }
}

async fn a_revoked_token_stays_revoked<B: IdentityStore>(store: &B) {
    add(store, "lost", "alice").await;
    add(store, "kept", "alice").await;
    let id = TokenHash::of("lost").token_id();
    assert!(store.revoke_token(&handle("Alice"), &id, at(5)).await.expect("revoke_token"));
    assert!(!store.revoke_token(&handle("alice"), &id, at(9)).await.expect("revoke_token"), "twice");
    // Adding it again does not bring it back.
    let _ = store.add_token(&token("lost", "alice")).await;
    let row = store.token(TokenHash::of("lost")).await.expect("token").expect("it is kept");
    assert_eq!(row.revoked_at, Some(at(5)));
    let kept = store.token(TokenHash::of("kept")).await.expect("token").expect("it is kept");
    assert_eq!(kept.revoked_at, None);
}

async fn a_token_is_revoked_for_its_owner_only<B: IdentityStore>(store: &B) {
    add(store, "of alice", "alice").await;
    add(store, "of bob", "bob").await;
    let id = TokenHash::of("of alice").token_id();
    for (who, id) in [("bob", id.as_str()), ("nobody", &id), ("alice", ""), ("alice", "0000000000000000")] {
        assert!(!store.revoke_token(&handle(who), id, at(1)).await.expect("revoke_token"), "{who} {id}");
    }
    let row = store.token(TokenHash::of("of alice")).await.expect("token").expect("it is kept");
    assert_eq!(row.revoked_at, None);
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

async fn an_identity_is_made_once<B: IdentityStore>(store: &B) {
    assert_eq!(store.identity(&handle("bot")).await.expect("identity"), None);
    let bot = Identity { handle: handle("Bot"), spawned_by: Some(handle("alice")), created_at: at(3) };
    assert!(store.add_identity(&bot).await.expect("add_identity"), "it is new");
    let again = Identity { handle: handle("bOT"), spawned_by: None, created_at: at(4) };
    assert!(!store.add_identity(&again).await.expect("add_identity"), "it is there");
    add(store, "of bot", "BOT").await;
    assert_eq!(store.identity(&handle("bot")).await.expect("identity"), Some(bot));
    add(store, "of carol", "Carol").await;
    let carol = store.identity(&handle("carol")).await.expect("identity").expect("made with the token");
    assert_eq!((carol.handle, carol.spawned_by), (handle("Carol"), None));
}
