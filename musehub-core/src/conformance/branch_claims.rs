//! The contract of [`BranchClaims`].

use futures::future::join_all;

use super::fixtures::{at, branch, create_repositories, repo};
use super::run_cases;
use crate::port::{BranchClaim, BranchClaims, RepositoryIndex};

/// Runs every case, each against a backend fresh from `fresh`. It needs the port whose repositories the claims are of.
///
/// # Panics
/// Where the backend breaks the contract of [`BranchClaims`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: BranchClaims + RepositoryIndex,
{
    run_cases!(
        "branch_claims",
        fresh,
        [
            names_beside_each_other_are_claimed,
            a_name_in_the_way_is_refused_until_it_is_released,
            the_last_claim_of_a_name_counts,
            claims_are_of_one_repository,
            a_branch_that_is_there_is_claimed_whatever_is_in_its_way,
            claims_are_listed_until_they_are_released,
            of_many_in_each_others_way_one_succeeds,
        ]
    );
}

fn claim(name: &str, until: i64) -> BranchClaim {
    BranchClaim { branch: branch(name), until: at(until) }
}

async fn names_beside_each_other_are_claimed<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    for name in ["a", "ab", "b/c", "b/d", "bc", "a", "%/_"] {
        assert_eq!(index.claim(&repo(1), &claim(name, 1)).await.expect("claim"), None, "{name}");
    }
}

async fn a_name_in_the_way_is_refused_until_it_is_released<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    for (held, other) in [("a", "a/b"), ("x/y/z", "x"), ("x/y/z", "x/y")] {
        let held = claim(held, 1);
        assert_eq!(index.claim(&repo(1), &held).await.expect("claim"), None);
        let refused = index.claim(&repo(1), &claim(other, 2)).await.expect("claim");
        assert_eq!(refused.as_ref(), Some(&held), "{other} after {held:?}");
        index.release(&repo(1), &held).await.expect("release");
        let other = claim(other, 2);
        assert_eq!(index.claim(&repo(1), &other).await.expect("claim"), None, "{other:?}: it was refused");
        index.release(&repo(1), &other).await.expect("release");
    }
}

async fn the_last_claim_of_a_name_counts<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    for until in [1, 3] {
        assert_eq!(index.claim(&repo(1), &claim("a", until)).await.expect("claim"), None);
    }
    index.release(&repo(1), &claim("a", 1)).await.expect("release");
    let refused = index.claim(&repo(1), &claim("a/b", 2)).await.expect("claim");
    assert_eq!(refused, Some(claim("a", 3)), "an older claim was released");
    index.release(&repo(1), &claim("never-claimed", 1)).await.expect("release");
}

async fn claims_are_of_one_repository<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    for (n, name) in [(1, "a"), (2, "a/b")] {
        assert_eq!(index.claim(&repo(n), &claim(name, 1)).await.expect("claim"), None, "{name}");
    }
}

async fn a_branch_that_is_there_is_claimed_whatever_is_in_its_way<B: BranchClaims + RepositoryIndex>(
    index: &B,
) {
    create_repositories(index, 1).await;
    assert_eq!(index.claim(&repo(1), &claim("a/b", 1)).await.expect("claim"), None);
    index.announce(&repo(1), &claim("a", 2)).await.expect("announce");
    index.announce(&repo(1), &claim("a", 3)).await.expect("announce again");
    let claims = index.claims(&repo(1)).await.expect("claims");
    assert_eq!(claims, [claim("a", 3), claim("a/b", 1)], "the last word counts");
    let refused = index.claim(&repo(1), &claim("a/c", 4)).await.expect("claim");
    assert_eq!(refused, Some(claim("a", 3)), "what is announced is in the way");
}

async fn claims_are_listed_until_they_are_released<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    assert_eq!(index.claims(&repo(1)).await.expect("claims"), [], "nothing is claimed at first");
    for (name, until) in [("c", 1), ("b/x", 2), ("ä", 3)] {
        index.announce(&repo(1), &claim(name, until)).await.expect("announce");
    }
    let all = [claim("b/x", 2), claim("c", 1), claim("ä", 3)];
    assert_eq!(index.claims(&repo(1)).await.expect("claims"), all, "ordered by name");
    assert_eq!(index.claims(&repo(2)).await.expect("claims"), [], "of one repository");
    index.release(&repo(1), &claim("c", 9)).await.expect("release of another claim");
    index.release(&repo(1), &claim("b/x", 2)).await.expect("release");
    assert_eq!(index.claims(&repo(1)).await.expect("claims"), all[1..], "one was released");
}

async fn of_many_in_each_others_way_one_succeeds<B: BranchClaims + RepositoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let names = ["a", "a/b", "a/b/c", "a/b/c/d"].map(|name| claim(name, 1));
    for round in 0..10 {
        let one = repo(1);
        let tried = join_all(names.iter().map(|claim| index.claim(&one, claim))).await;
        let won = tried.into_iter().filter(|tried| tried.as_ref().expect("claim").is_none()).count();
        assert_eq!(won, 1, "round {round}");
        for claim in &names {
            index.release(&one, claim).await.expect("release");
        }
    }
}
