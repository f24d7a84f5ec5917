//! Identities, their tokens and keys, and what was proven once, in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::index::MemoryIndex;
use super::{conflict, missing};
use crate::name::{Handle, RepoId};
use crate::port::{
    BackendError, Collaborator, Collaborators, Identity, IdentityStore, KeyRecord, KeyStore, NewToken,
    ProofGuard, Role, Timestamp, TokenHash, TokenRow,
};
use crate::signature::KeyId;

#[derive(Debug, Default)]
pub(super) struct Identities {
    /// By handle in lower case.
    people: HashMap<String, Identity>,
    tokens: Vec<(TokenHash, TokenRow)>,
    keys: Vec<KeyRecord>,
    collaborators: HashMap<RepoId, BTreeMap<String, Collaborator>>,
    spent: HashMap<[u8; 32], Timestamp>,
    secrets: HashMap<String, [u8; 32]>,
}

impl Identities {
    pub(super) fn forget(&mut self, repo: &RepoId) {
        self.collaborators.remove(repo);
    }

    /// The name that an identity was first written with.
    fn known(&self, handle: &Handle) -> Result<Handle, BackendError> {
        let identity = self.people.get(&key(handle));
        identity.map(|identity| identity.handle.clone()).ok_or_else(|| missing(format!("identity {handle}")))
    }
}

fn key(handle: &Handle) -> String {
    handle.as_str().to_ascii_lowercase()
}

fn is(a: &Handle, b: &Handle) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}

#[async_trait]
impl IdentityStore for MemoryIndex {
    async fn add_identity(&self, identity: &Identity) -> Result<bool, BackendError> {
        let people = &mut self.state().identities.people;
        let is_new = !people.contains_key(&key(&identity.handle));
        if is_new {
            people.insert(key(&identity.handle), identity.clone());
        }
        Ok(is_new)
    }

    async fn identity(&self, handle: &Handle) -> Result<Option<Identity>, BackendError> {
        Ok(self.state().identities.people.get(&key(handle)).cloned())
    }

    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError> {
        let mut state = self.state();
        let identities = &mut state.identities;
        if let Some((_, held)) = identities.tokens.iter().find(|(hash, _)| *hash == token.hash) {
            let same = is(&held.handle, &token.handle);
            return if same { Ok(()) } else { Err(conflict("a token of somebody else")) };
        }
        let fresh = Identity { handle: token.handle.clone(), spawned_by: None, created_at: token.created_at };
        let handle = identities.people.entry(key(&token.handle)).or_insert(fresh).handle.clone();
        let row = TokenRow {
            token_id: token.hash.token_id(),
            handle,
            scope: token.scope,
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: None,
        };
        identities.tokens.push((token.hash, row));
        Ok(())
    }

    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRow>, BackendError> {
        let state = self.state();
        let found = state.identities.tokens.iter().find(|(held, _)| *held == hash);
        Ok(found.map(|(_, row)| row.clone()))
    }

    async fn tokens(&self, handle: &Handle) -> Result<Vec<TokenRow>, BackendError> {
        let state = self.state();
        let rows = state.identities.tokens.iter().map(|(_, row)| row).filter(|row| is(&row.handle, handle));
        let mut rows: Vec<TokenRow> = rows.cloned().collect();
        rows.sort_by(|a, b| (a.created_at, &a.token_id).cmp(&(b.created_at, &b.token_id)));
        Ok(rows)
    }

    async fn revoke_token(
        &self,
        handle: &Handle,
        token_id: &str,
        at: Timestamp,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let rows = state.identities.tokens.iter_mut().map(|(_, row)| row);
        let mut live = rows.filter(|row| row.revoked_at.is_none());
        let row = live.find(|row| row.token_id == token_id && is(&row.handle, handle));
        Ok(row.map(|row| row.revoked_at = Some(at)).is_some())
    }
}

#[async_trait]
impl KeyStore for MemoryIndex {
    async fn add_key(&self, record: &KeyRecord) -> Result<(), BackendError> {
        let mut state = self.state();
        let handle = state.identities.known(&record.handle)?;
        if state.identities.keys.iter().any(|held| held.key == record.key) {
            return Err(conflict("the key"));
        }
        state.identities.keys.push(KeyRecord { handle, ..record.clone() });
        Ok(())
    }

    async fn keys(&self, handle: &Handle) -> Result<Vec<KeyRecord>, BackendError> {
        let state = self.state();
        let held = state.identities.keys.iter().filter(|record| is(&record.handle, handle));
        let mut keys: Vec<KeyRecord> = held.cloned().collect();
        keys.sort_by_key(|record| (record.created_at, record.key.id()));
        Ok(keys)
    }

    async fn keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<KeyRecord>, BackendError> {
        let state = self.state();
        let found = state.identities.keys.iter().filter(|record| ids.contains(&record.key.id()));
        Ok(found.cloned().collect())
    }

    async fn retire_key(&self, handle: &Handle, id: &KeyId, at: Timestamp) -> Result<bool, BackendError> {
        let mut state = self.state();
        let mut live = state.identities.keys.iter_mut().filter(|record| record.retired_at.is_none());
        let record = live.find(|record| record.key.id() == *id && is(&record.handle, handle));
        Ok(record.map(|record| record.retired_at = Some(at)).is_some())
    }
}

#[async_trait]
impl ProofGuard for MemoryIndex {
    async fn spend(&self, proof: &[u8; 32], until: Timestamp) -> Result<bool, BackendError> {
        let spent = &mut self.state().identities.spent;
        let is_first = !spent.contains_key(proof);
        if is_first {
            spent.insert(*proof, until);
        }
        Ok(is_first)
    }

    async fn forget_spent(&self, now: Timestamp) -> Result<u64, BackendError> {
        let spent = &mut self.state().identities.spent;
        let before = spent.len();
        spent.retain(|_, until| *until > now);
        Ok((before - spent.len()) as u64)
    }

    async fn shared_secret(&self, name: &str, fresh: &[u8; 32]) -> Result<[u8; 32], BackendError> {
        Ok(*self.state().identities.secrets.entry(name.to_owned()).or_insert(*fresh))
    }
}

#[async_trait]
impl Collaborators for MemoryIndex {
    async fn put_collaborator(&self, repo: &RepoId, collaborator: &Collaborator) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let handle = state.identities.known(&collaborator.handle)?;
        let of_repo = state.identities.collaborators.entry(repo.clone()).or_default();
        of_repo.insert(key(&handle), Collaborator { handle, ..collaborator.clone() });
        Ok(())
    }

    async fn remove_collaborator(&self, repo: &RepoId, handle: &Handle) -> Result<bool, BackendError> {
        let mut state = self.state();
        let of_repo = state.identities.collaborators.get_mut(repo);
        Ok(of_repo.is_some_and(|of_repo| of_repo.remove(&key(handle)).is_some()))
    }

    async fn role(&self, repo: &RepoId, handle: &Handle) -> Result<Option<Role>, BackendError> {
        let state = self.state();
        let of_repo = state.identities.collaborators.get(repo);
        Ok(of_repo.and_then(|of_repo| of_repo.get(&key(handle))).map(|collaborator| collaborator.role))
    }

    async fn collaborators(&self, repo: &RepoId) -> Result<Vec<Collaborator>, BackendError> {
        let state = self.state();
        let of_repo = state.identities.collaborators.get(repo);
        Ok(of_repo.map(|of_repo| of_repo.values().cloned().collect()).unwrap_or_default())
    }
}
