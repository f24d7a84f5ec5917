//! Identities and tokens in the SQL index.

use musehub_core::port::{BackendError, IdentityStore, NewToken, Scope, TokenHash};

use crate::index_fixtures::{at, empty, handle};

fn token(secret: &str, owner: &str) -> NewToken {
    NewToken {
        hash: TokenHash::of(secret),
        handle: handle(owner),
        scope: Scope::Admin,
        created_at: at(0),
        expires_at: None,
    }
}

#[tokio::test]
async fn a_token_names_its_owner_and_no_other_does() {
    let index = empty().await;
    for (secret, owner) in [("one", "alice"), ("two", "alice"), ("three", "bob")] {
        index.add_token(&token(secret, owner)).await.unwrap();
    }
    for (secret, owner) in [("one", "alice"), ("two", "alice"), ("three", "bob")] {
        assert_eq!(
            index.token(TokenHash::of(secret)).await.unwrap().map(|row| row.handle),
            Some(handle(owner))
        );
    }
    assert_eq!(index.token(TokenHash::of("four")).await.unwrap().map(|row| row.handle), None);
}

#[tokio::test]
async fn an_identity_keeps_the_spelling_it_began_with() {
    let index = empty().await;
    index.add_token(&token("one", "Alice")).await.unwrap();
    index.add_token(&token("two", "aLICE")).await.unwrap();
    assert_eq!(index.token(TokenHash::of("two")).await.unwrap().map(|row| row.handle), Some(handle("Alice")));
}

#[tokio::test]
async fn a_token_is_added_once_and_never_changes_hands() {
    let index = empty().await;
    index.add_token(&token("one", "alice")).await.unwrap();
    index.add_token(&token("one", "alice")).await.unwrap();
    let refused = index.add_token(&token("one", "mallory")).await;
    assert!(matches!(refused, Err(BackendError::Conflict { .. })), "{refused:?}");
    assert_eq!(index.token(TokenHash::of("one")).await.unwrap().map(|row| row.handle), Some(handle("alice")));
}
