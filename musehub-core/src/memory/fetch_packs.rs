//! Packs that were built, in memory.

use async_trait::async_trait;

use super::index::MemoryIndex;
use crate::mpack::MpackId;
use crate::name::RepoId;
use crate::port::{BackendError, FetchKey, FetchPack, FetchPacks, MpackFile, Timestamp};

#[async_trait]
impl FetchPacks for MemoryIndex {
    async fn fetch_pack(&self, key: &FetchKey) -> Result<Option<FetchPack>, BackendError> {
        Ok(self.state().fetch_packs.get(key).cloned())
    }

    async fn fetch_pack_by_id(&self, repo: &RepoId, id: MpackId) -> Result<Option<FetchPack>, BackendError> {
        let state = self.state();
        let named = state.fetch_packs.values().filter(|pack| pack.file.repo == *repo && pack.id == id);
        Ok(named.max_by_key(|pack| (pack.expires_at, pack.key.clone())).cloned())
    }

    async fn fetch_packs(&self, repo: &RepoId, limit: u32) -> Result<Vec<FetchPack>, BackendError> {
        let state = self.state();
        let theirs = state.fetch_packs.values().filter(|pack| pack.file.repo == *repo);
        let mut packs: Vec<FetchPack> = theirs.cloned().collect();
        packs.sort_by(|a, b| (b.expires_at, &b.key).cmp(&(a.expires_at, &a.key)));
        packs.truncate(limit as usize);
        Ok(packs)
    }

    async fn record_fetch_pack(&self, pack: &FetchPack) -> Result<Option<MpackFile>, BackendError> {
        let mut state = self.state();
        state.require_repository(&pack.file.repo)?;
        let replaced = state.fetch_packs.insert(pack.key.clone(), pack.clone());
        Ok(replaced.map(|replaced| replaced.file).filter(|file| *file != pack.file))
    }

    async fn end_fetch_packs(
        &self,
        repo: &RepoId,
        keep: &[FetchKey],
        end: Timestamp,
    ) -> Result<(), BackendError> {
        let mut state = self.state();
        let ending = state.fetch_packs.values_mut();
        for pack in ending.filter(|pack| pack.file.repo == *repo && !keep.contains(&pack.key)) {
            pack.expires_at = pack.expires_at.min(end);
        }
        Ok(())
    }

    async fn expired_fetch_packs(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<FetchPack>, BackendError> {
        let state = self.state();
        let expired = state.fetch_packs.values().filter(|pack| pack.expires_at < before);
        let mut expired: Vec<FetchPack> = expired.cloned().collect();
        expired.sort_by(|a, b| (a.expires_at, &a.key).cmp(&(b.expires_at, &b.key)));
        expired.truncate(limit as usize);
        Ok(expired)
    }

    async fn forget_fetch_packs(&self, keys: &[FetchKey], before: Timestamp) -> Result<(), BackendError> {
        self.state().fetch_packs.retain(|key, pack| !keys.contains(key) || pack.expires_at >= before);
        Ok(())
    }

    async fn recorded_files(&self, files: &[MpackFile]) -> Result<Vec<MpackFile>, BackendError> {
        let state = self.state();
        let recorded = |file: &&MpackFile| state.fetch_packs.values().any(|pack| pack.file == **file);
        Ok(files.iter().filter(recorded).cloned().collect())
    }
}
