//! [`BranchClaims`].

use async_trait::async_trait;
use musehub_core::name::{BranchName, RepoId};
use musehub_core::port::{BackendError, BranchClaim, BranchClaims};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::retry;
use super::sql::{Row, damaged};

const TABLE: &str = "musehub_branch_claims";

/// Changes nothing, and holds back every other claim in the repository until the transaction ends. On SQLite the
/// transaction itself does.
pub(super) const LOCK: &str = "UPDATE musehub_repos SET version = version WHERE repo_id = $1";

pub(super) const CLAIMS: &str =
    "SELECT name, claimed_until FROM musehub_branch_claims WHERE repo_id = $1 ORDER BY name";

const CLAIM: &str = "\
    INSERT INTO musehub_branch_claims (repo_id, name, claimed_until) VALUES ($1, $2, $3) \
    ON CONFLICT (repo_id, name) DO UPDATE SET claimed_until = excluded.claimed_until";

pub(super) const RELEASE: &str =
    "DELETE FROM musehub_branch_claims WHERE repo_id = $1 AND name = $2 AND claimed_until = $3";

#[async_trait]
impl BranchClaims for SqlIndex {
    async fn claim(&self, repo: &RepoId, claim: &BranchClaim) -> Result<Option<BranchClaim>, BackendError> {
        retry::transaction(|| async {
            let write = self.write("claiming the name of a branch").await?;
            write.execute(LOCK, [repo.as_str().into()]).await?;
            for row in write.rows(CLAIMS, [repo.as_str().into()]).await? {
                let other = read(&row)?;
                if other.branch.is_in_the_way_of(&claim.branch) {
                    return Ok(Some(other));
                }
            }
            write.execute(CLAIM, values(repo, claim)).await?;
            write.commit().await?;
            Ok(None)
        })
        .await
    }

    async fn announce(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("announcing a move").await?;
            write.execute(CLAIM, values(repo, claim)).await?;
            write.commit().await
        })
        .await
    }

    async fn claims(&self, repo: &RepoId) -> Result<Vec<BranchClaim>, BackendError> {
        let rows = self.rows("finding announced moves", CLAIMS, [repo.as_str().into()]).await?;
        rows.iter().map(read).collect()
    }

    async fn release(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("releasing the name of a branch").await?;
            write.execute(RELEASE, values(repo, claim)).await?;
            write.commit().await
        })
        .await
    }
}

fn values(repo: &RepoId, claim: &BranchClaim) -> [Value; 3] {
    [repo.as_str().into(), claim.branch.as_str().into(), claim.until.as_millis().into()]
}

fn read(row: &QueryResult) -> Result<BranchClaim, BackendError> {
    let row = Row::of(TABLE, row);
    let name: String = row.get(0, "name")?;
    Ok(BranchClaim {
        branch: BranchName::parse(&name).map_err(|error| damaged(TABLE, "name", error))?,
        until: row.moment(1, "claimed_until")?,
    })
}
