//! Upkeep of the read model in memory.

use async_trait::async_trait;

use super::index::MemoryIndex;
use crate::id::BlobId;
use crate::name::RepoId;
use crate::port::{BackendError, BlobRow, MaintenanceIndex, Place, Relocation};

#[async_trait]
impl MaintenanceIndex for MemoryIndex {
    async fn relocate(&self, moves: &[Relocation]) -> Result<u64, BackendError> {
        let mut state = self.state();
        let mut relocated = 0;
        for holdings in state.holdings.values_mut() {
            relocated += moves.iter().map(|relocation| holdings.relocate(relocation)).sum::<u64>();
        }
        Ok(relocated)
    }

    async fn forget_blobs(&self, _: &[(BlobId, Place)]) -> Result<u64, BackendError> {
        // Here every row is that of a repository which holds the blob.
        Ok(0)
    }

    async fn restore_blobs(&self, _: &[BlobRow]) -> Result<(), BackendError> {
        Ok(())
    }

    async fn forget_repository(&self, repo: &RepoId) -> Result<(), BackendError> {
        self.state().forget(repo);
        Ok(())
    }
}
