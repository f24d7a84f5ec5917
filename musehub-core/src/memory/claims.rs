//! Claims of branch names in memory.

use async_trait::async_trait;

use super::index::MemoryIndex;
use crate::name::RepoId;
use crate::port::{BackendError, BranchClaim, BranchClaims};

#[async_trait]
impl BranchClaims for MemoryIndex {
    async fn claim(&self, repo: &RepoId, claim: &BranchClaim) -> Result<Option<BranchClaim>, BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let claims = state.claims.entry(repo.clone()).or_default();
        let in_the_way = claims.iter().find(|(name, _)| name.is_in_the_way_of(&claim.branch));
        if let Some((branch, until)) = in_the_way {
            return Ok(Some(BranchClaim { branch: branch.clone(), until: *until }));
        }
        claims.insert(claim.branch.clone(), claim.until);
        Ok(None)
    }

    async fn announce(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        state.claims.entry(repo.clone()).or_default().insert(claim.branch.clone(), claim.until);
        Ok(())
    }

    async fn claims(&self, repo: &RepoId) -> Result<Vec<BranchClaim>, BackendError> {
        let state = self.state();
        let claims = state.claims.get(repo).into_iter().flatten();
        let claims = claims.map(|(branch, until)| BranchClaim { branch: branch.clone(), until: *until });
        let mut claims: Vec<BranchClaim> = claims.collect();
        claims.sort_unstable_by(|a, b| a.branch.cmp(&b.branch));
        Ok(claims)
    }

    async fn release(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError> {
        if let Some(claims) = self.state().claims.get_mut(repo)
            && claims.get(&claim.branch) == Some(&claim.until)
        {
            claims.remove(&claim.branch);
        }
        Ok(())
    }
}
