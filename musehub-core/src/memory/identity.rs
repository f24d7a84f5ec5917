//! Tokens in memory.

use std::collections::HashMap;

use async_trait::async_trait;

use super::conflict;
use super::index::MemoryIndex;
use crate::name::Handle;
use crate::port::{BackendError, IdentityStore, NewToken, TokenHash};

#[derive(Debug, Default)]
pub(super) struct Identities {
    tokens: HashMap<TokenHash, Handle>,
}

#[async_trait]
impl IdentityStore for MemoryIndex {
    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError> {
        let mut state = self.state();
        let owner = state.identities.tokens.entry(token.hash).or_insert_with(|| token.handle.clone());
        if *owner == token.handle { Ok(()) } else { Err(conflict("a token of somebody else")) }
    }

    async fn token_owner(&self, hash: TokenHash) -> Result<Option<Handle>, BackendError> {
        Ok(self.state().identities.tokens.get(&hash).cloned())
    }
}
