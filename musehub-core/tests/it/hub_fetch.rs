//! What a client gets.

use std::num::NonZeroUsize;

use futures::executor::block_on;
use musehub_core::CommitId;
use musehub_core::canonical;
use musehub_core::hub::{FetchError, FetchPlan, ReadError};
use musehub_core::port::RepositoryRecord;
use musehub_core::scheme::IdScheme;

use crate::hub_fixtures::{Made, World, chain, commit, push_of};

fn ids<'a>(commits: impl IntoIterator<Item = &'a Made>) -> Vec<CommitId> {
    commits.into_iter().map(|made| made.id).collect()
}

fn listed(plan: &FetchPlan) -> Vec<CommitId> {
    plan.commits.iter().map(|(row, _)| row.id).collect()
}

/// `main` of six commits, and `side`, which leaves it after the third and has three of its own.
async fn forked() -> (World, RepositoryRecord, Vec<Made>, Vec<Made>) {
    let world = World::new();
    let repo = world.create("demo").await;
    let main = chain("main", None, 6);
    let side = chain("side", Some(&main[2]), 3);
    world.push(&repo, push_of("main", &main)).await.unwrap();
    world.push(&repo, push_of("side", &side)).await.unwrap();
    (world, repo, main, side)
}

fn absent() -> CommitId {
    commit("nowhere", &[], &[]).id
}

#[test]
fn a_have_stands_for_all_of_its_history() {
    block_on(async {
        let (world, repo, main, side) = forked().await;
        let plan = world.fetch(&repo, &[main[5].id], &[main[3].id]).await;
        assert_eq!(listed(&plan), ids(&main[4..]), "parents first");
        let plan = world.fetch(&repo, &[main[5].id, side[2].id], &[main[4].id]).await;
        assert_eq!(plan.commits.len(), 4);
        let plan = world.fetch(&repo, &[side[2].id], &[main[5].id, absent()]).await;
        assert_eq!(listed(&plan), ids(&side));
        let plan = world.fetch(&repo, &[main[1].id], &[main[5].id]).await;
        assert!(plan.commits.is_empty() && plan.snapshots.is_empty() && plan.blobs.is_empty());
        assert_eq!(plan.heads.len(), 2, "the heads come with every answer");
        let plan = world.fetch(&repo, &[absent()], &[]).await;
        assert!(plan.commits.is_empty(), "what is not held is ignored");
    });
}

#[test]
fn only_blobs_that_changed_since_the_haves_are_sent() {
    block_on(async {
        let (world, repo, main, _) = forked().await;
        let changed = |made: &Made, before: &Made| -> Vec<_> {
            let blobs = made.blobs.iter().map(|blob| blob.id);
            blobs.filter(|id| before.blobs.iter().all(|blob| blob.id != *id)).collect()
        };
        for at in 1..main.len() {
            let plan = world.fetch(&repo, &[main[at].id], &[main[at - 1].id]).await;
            let sent: Vec<_> = plan.blobs.iter().map(|row| row.id).collect();
            assert_eq!(sent, changed(&main[at], &main[at - 1]), "commit {at}");
        }
    });
}

#[test]
fn records_come_back_as_they_were_pushed() {
    block_on(async {
        let (world, repo, main, _) = forked().await;
        let plan = world.fetch(&repo, &[main[5].id], &[]).await;
        for ((row, bytes), made) in plan.commits.iter().zip(&main) {
            let scheme = musehub_core::scheme::IdScheme::FlatV1;
            let commit = musehub_core::object::Commit::decode(scheme, row.id, bytes).unwrap();
            assert_eq!(*commit.record(), made.record);
        }
    });
}

#[test]
fn an_answer_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    block_on(async {
        let (world, repo, main, _) = forked().await;
        let plan = world.fetch(&repo, &[main[5].id], &[]).await;
        let commits = plan.commits.iter().map(|(row, _)| row.size);
        let snapshots = plan.snapshots.iter().map(|snapshot| {
            let bytes = snapshot.canonical(IdScheme::FlatV1).unwrap();
            canonical::decode(&bytes).unwrap().1.len() as u64
        });
        let size: u64 = commits.chain(snapshots).chain(plan.blobs.iter().map(|row| row.size)).sum();
        for (limit, fits) in [(0, false), (size - 1, false), (size, true)] {
            match world.hub.fetch(&repo, &[main[5].id], &[], limit).await {
                Ok(_) => assert!(fits, "{limit}"),
                Err(FetchError::TooLarge { bytes, limit: named }) => {
                    assert!(!fits && bytes > limit && bytes <= size && named == limit);
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn negotiation_finds_the_newest_commit_that_both_have() {
    block_on(async {
        let (world, repo, main, side) = forked().await;
        let agree = async |want: &[CommitId], have: &[CommitId]| {
            let found = world.hub.negotiate(&repo, want, have).await.unwrap();
            (found.ack, found.common_base, found.ready)
        };
        let (tip, base) = (main[5].id, main[2].id);
        assert_eq!(agree(&[tip], &[]).await, (vec![], None, true));
        assert_eq!(agree(&[tip], &[absent()]).await, (vec![], None, false));
        let have = [side[2].id, absent(), main[0].id];
        assert_eq!(agree(&[tip], &have).await, (vec![have[0], have[2]], Some(base), true));
        assert_eq!(agree(&[tip], &[tip]).await, (vec![tip], Some(tip), true));
        assert_eq!(agree(&[main[3].id], &[tip]).await, (vec![tip], Some(main[3].id), true));
        assert_eq!(agree(&[absent()], &[absent()]).await, (vec![], None, false));
    });
}

#[test]
fn a_log_in_pages_is_the_log_in_one() {
    block_on(async {
        let (world, repo, main, side) = forked().await;
        let merge = commit("merge", &[&main[5], &side[2]], &[("m", "merged")]);
        world.push(&repo, push_of("main", [&merge])).await.unwrap();
        let page = async |after, size| {
            let size = NonZeroUsize::new(size).unwrap();
            let rows = world.hub.log(&repo, merge.id, after, size).await.unwrap();
            rows.iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let whole = page(None, 100).await;
        assert_eq!(whole.len(), 10);
        assert_eq!((whole[0], whole[9]), (merge.id, main[0].id), "newest first");
        for size in 1..=11 {
            let mut seen: Vec<CommitId> = Vec::new();
            loop {
                let next = page(seen.last().copied(), size).await;
                seen.extend(&next);
                if next.len() < size {
                    break;
                }
            }
            assert_eq!(seen, whole, "pages of {size}");
        }
        assert!(page(Some(absent()), 5).await.is_empty());
    });
}

#[test]
fn what_is_not_held_is_not_found() {
    block_on(async {
        let (world, repo, main, _) = forked().await;
        let other = world.create("other").await;
        let found = world.hub.commit(&repo, main[0].id).await.unwrap();
        assert_eq!((found.message.as_str(), found.author.as_str()), ("main 0", "alice"));
        let commit = world.hub.commit(&other, main[0].id).await;
        assert!(matches!(commit, Err(ReadError::NotFound { .. })), "{commit:?}");
        let snapshot = world.hub.snapshot(&other, main[0].snapshot_id()).await;
        assert!(matches!(snapshot, Err(ReadError::NotFound { .. })), "{snapshot:?}");
    });
}
