//! Moves that are announced: every process knows of them before they are in the log, so it is known without a look at the log
//! whether the index may be behind it.
//!
//! Whoever moves a branch announces it where all processes see it, then creates the entry of the log, then records it in the
//! index, then takes the word back. Where that process dies in between, the word stays, and whoever opens the repository next
//! reads the log of that branch and records what is there. A repository without such words is current.
//!
//! Of two that announce a move of one branch at a time the later word counts. The earlier one is not missed: the later one is
//! taken back only by somebody who recorded the move of that number, his own or the one that was before it.

use super::{CaughtUp, Hub, Position, PushError};
use crate::name::BranchName;
use crate::port::{BranchClaim, RepositoryRecord, Timestamp};

/// For how long a move is announced, in milliseconds: longer than any adapter tries to write an entry of the log.
const CLAIM_MILLIS: i64 = 10 * 60 * 1000;

/// Where more branches are announced, the whole repository is compared with its log: two listings, however many they are.
const MAX_LOOKS: usize = 8;

pub(super) fn new_claim(branch: &BranchName, now: Timestamp) -> BranchClaim {
    BranchClaim { branch: branch.clone(), until: now.plus_millis(CLAIM_MILLIS) }
}

impl Hub {
    /// Announces the move of a branch; one that is made is refused where its name is not free.
    pub(super) async fn announce(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        position: Position,
    ) -> Result<BranchClaim, PushError> {
        if position.head.is_none() {
            return self.claim_name(repo, branch).await;
        }
        let claim = new_claim(branch, self.backends.clock.now());
        self.backends.claims.announce(&repo.repo_id, &claim).await?;
        Ok(claim)
    }

    /// Takes the word back. One that is not taken back now means nothing after its time.
    pub(super) async fn release(&self, repo: &RepositoryRecord, claim: &BranchClaim) {
        let _ = self.backends.claims.release(&repo.repo_id, claim).await;
    }

    /// Brings the index up to what was announced and is in the log, for somebody who is about to read. Where the log cannot
    /// be read, the index stays as it is, and so does the word.
    pub(super) async fn catch_up_announced(&self, repo: &RepositoryRecord) {
        let Ok(claims) = self.backends.claims.claims(&repo.repo_id).await else {
            return;
        };
        let now = self.backends.clock.now();
        let many = claims.len() > MAX_LOOKS;
        let all = many && self.catch_up_repository(repo, &mut CaughtUp::default(), &mut |_| {}).await.is_ok();
        for claim in &claims {
            let caught_up = if many { all } else { self.catch_up_branch(repo, &claim.branch).await.is_ok() };
            if caught_up && claim.until < now {
                self.release(repo, claim).await;
            }
        }
    }
}
