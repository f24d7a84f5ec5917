//! Protected branches: what is refused on every way to a branch, and the way that stays open.

use futures::executor::block_on;
use musehub_core::hub::proposals::MergeProposal;
use musehub_core::hub::{
    BranchError, CommitError, HistoryStrategy, MergeRefused, MergeRequest, PushError, Refused,
    RepositoryChange,
};
use musehub_core::merge::FileStrategy;
use musehub_core::port::RepositoryRecord;
use musehub_core::scheme::IdScheme;
use musehub_core::settings::{BranchPattern, BranchProtection, Protection, RepositorySettings};

use crate::hub_fixtures::{World, branch, chain, commit, forced, handle, push_of};
use crate::hub_merge::Parted;
use crate::hub_proposals::ONE;
use crate::hub_writes::{commit_files, put};

const NOTHING: Protection =
    Protection { refuse_force: false, refuse_deletion: false, refuse_direct_push: false };

async fn protect(
    world: &World,
    repo: &RepositoryRecord,
    pattern: &str,
    protection: Protection,
) -> RepositoryRecord {
    let pattern = BranchPattern::parse(pattern).unwrap();
    let settings = RepositorySettings {
        protected_branches: vec![BranchProtection { pattern, protection }],
        ..RepositorySettings::default()
    };
    let change = RepositoryChange { settings: Some(settings), ..RepositoryChange::default() };
    world.hub.update_repository(repo, &change).await.unwrap()
}

fn refused(error: PushError) -> Refused {
    match error {
        PushError::Protected { refused, .. } => refused,
        other => panic!("{other}"),
    }
}

fn refused_branch(error: BranchError) -> Refused {
    match error {
        BranchError::Push(error) => refused(error),
        other => panic!("{other}"),
    }
}

#[test]
fn a_branch_that_refuses_force_loses_no_commit() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let first = chain("first", None, 3);
        world.push(&repo, push_of("main", &first)).await.unwrap();
        let repo = world.reopen(&repo).await;
        let repo = protect(&world, &repo, "ma*", Protection { refuse_force: true, ..NOTHING }).await;
        let other = commit("other", &[&first[0]], &[("x", "x")]);
        let error = world.push(&repo, forced("main", [&other])).await.unwrap_err();
        assert_eq!(refused(error), Refused::Force);
        let error = world.push(&repo, push_of("main", [&other])).await.unwrap_err();
        assert!(matches!(error, PushError::NotFastForward { .. }), "{error}");
        assert_eq!(world.heads(&repo).await["main"], first[2].id);
        assert!(world.hub.commit(&repo, other.id).await.is_err(), "nothing of it is there");

        let next = commit("next", &[&first[2]], &[("x", "x")]);
        world.push(&repo, forced("main", [&next])).await.unwrap();
        assert_eq!(world.heads(&repo).await["main"], next.id, "what loses nothing needs no force");
        world.push(&repo, push_of("other", [&other])).await.unwrap();
        let rewritten = commit("again", &[&first[0]], &[("x", "y")]);
        world.push(&repo, forced("other", [&rewritten])).await.unwrap();
    });
}

#[test]
fn a_branch_that_refuses_deletion_is_neither_deleted_nor_renamed() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let Parted { world, dev, .. } = &parted;
        let alice = handle("alice");
        let repo = protect(world, &parted.repo, "dev", Protection { refuse_deletion: true, ..NOTHING }).await;
        let error = world.hub.delete_branch(&repo, &alice, &branch("dev"), *dev).await.unwrap_err();
        assert_eq!(refused_branch(error), Refused::Deletion);
        let names = (&branch("dev"), &branch("new"));
        let error = world.hub.rename_branch(&repo, &alice, names, *dev).await.unwrap_err();
        assert_eq!(refused_branch(error), Refused::Deletion);
        let heads = world.heads(&repo).await;
        assert!(heads.contains_key("dev") && !heads.contains_key("new"), "{heads:?}");
        // It moves all the same.
        parted.commit("dev", *dev, "more").await;
    });
}

#[test]
fn a_branch_that_refuses_direct_pushes_moves_by_the_merge_of_a_proposal_only() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await.proposed().await;
        let Parted { world, main, dev, .. } = &parted;
        let alice = handle("alice");
        let repo =
            protect(world, &parted.repo, "main", Protection { refuse_direct_push: true, ..NOTHING }).await;

        let stray = commit("stray", &[], &[("x", "x")]);
        for push in [push_of("main", [&stray]), forced("main", [&stray])] {
            assert_eq!(refused(world.push(&repo, push).await.unwrap_err()), Refused::DirectPush);
        }
        let error = commit_files(world, &repo, "main", Some(*main), vec![put("x", "x")]).await.unwrap_err();
        let CommitError::Push(error) = error else { panic!("{error}") };
        assert_eq!(refused(error), Refused::DirectPush);
        for history in [HistoryStrategy::Merge, HistoryStrategy::Squash, HistoryStrategy::Rebase] {
            let request = MergeRequest {
                target: branch("main"),
                expected_head: *main,
                source: *dev,
                history,
                files: FileStrategy::Recursive,
                author: "Ann".to_owned(),
                message: "By hand".to_owned(),
                delete_source: None,
            };
            let error = world.hub.merge(&repo, &alice, request).await.unwrap_err();
            let MergeRefused::Push(error) = error else { panic!("{error}") };
            assert_eq!(refused(error), Refused::DirectPush);
        }
        assert_eq!(world.heads(&repo).await["main"], *main);

        let merged = world.hub.merge_proposal(&repo, &alice, ONE, MergeProposal::default()).await.unwrap();
        assert_eq!(world.heads(&repo).await["main"], merged.outcome.head);
        let next = parted.commit("dev", *dev, "next").await;
        assert_eq!(world.heads(&repo).await["dev"], next, "other branches are free");
    });
}

#[test]
fn a_branch_that_refuses_direct_pushes_can_be_made_and_not_be_deleted_to_be_made_anew() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let Parted { world, main, dev, .. } = &parted;
        let alice = handle("alice");
        let protection = Protection { refuse_direct_push: true, ..NOTHING };
        let repo = protect(world, &parted.repo, "release/*", protection).await;
        let (old, new) = (branch("release/1"), branch("release/2"));
        world.hub.create_branch(&repo, &alice, &old, *main).await.unwrap();
        let error = world.hub.delete_branch(&repo, &alice, &old, *main).await.unwrap_err();
        assert_eq!(refused_branch(error), Refused::DirectPush);
        let error = world.hub.rename_branch(&repo, &alice, (&old, &new), *main).await.unwrap_err();
        assert_eq!(refused_branch(error), Refused::DirectPush);
        world.hub.rename_branch(&repo, &alice, (&branch("dev"), &new), *dev).await.unwrap();
        let heads = world.heads(&repo).await;
        assert_eq!((heads["release/1"], heads["release/2"]), (*main, *dev));
    });
}
