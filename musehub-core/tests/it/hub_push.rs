//! What a push must prove, and what it leaves.

use futures::executor::block_on;
use musehub_core::hub::{CaughtUp, InlineBlob, Missing, Push, PushError};
use musehub_core::object::ObjectError;
use musehub_core::port::{JobKind, JobPriority, JobQueue, NewJob, ObjectStore, RepositoryRecord, Staging};
use musehub_core::scheme::{IdScheme, flat_v1};
use serde_json::json;

use crate::hub_fixtures::{
    BRANCH_JOB, Cloned, JOB, Made, World, branch, chain, commit, commit_on, forced, native_commit, push_of,
};

/// A repository with a straight history of five commits on `main`.
async fn with_history() -> (World, RepositoryRecord, Vec<Made>) {
    let world = World::new();
    let repo = world.create("demo").await;
    let commits = chain("base", None, 5);
    world.push(&repo, push_of("main", &commits)).await.unwrap();
    let repo = world.reopen(&repo).await;
    (world, repo, commits)
}

/// Pushes what must be refused, and checks that nothing of it is visible.
async fn refused(world: &World, repo: &RepositoryRecord, push: Push, new: &[&Made]) -> PushError {
    let (heads, count) = (world.heads(repo).await, world.hub.commit_count(repo).await.unwrap());
    let error = world.push(repo, push).await.unwrap_err();
    assert_eq!(world.heads(repo).await, heads, "{error}");
    assert_eq!(world.hub.commit_count(repo).await.unwrap(), count, "{error}");
    for made in new {
        assert!(world.hub.commit(repo, made.id).await.is_err(), "{error}");
        assert!(world.hub.snapshot(repo, made.snapshot_id()).await.is_err(), "{error}");
        assert!(world.fetch(repo, &[made.id], &[]).await.commits.is_empty(), "{error}");
    }
    error
}

fn missing(error: PushError) -> Missing {
    match error {
        PushError::Incomplete(missing) => missing,
        other => panic!("{other}"),
    }
}

#[test]
fn a_first_push_is_kept_whole_and_fixes_scheme_and_default_branch() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        assert_eq!(world.hub.refs(&repo).await.unwrap().default_branch, branch("main"));
        let commits = chain("first", None, 4);
        let outcome = world.push(&repo, push_of("trunk", &commits)).await.unwrap();
        assert_eq!(outcome.head, commits[3].id);
        assert_eq!((outcome.commits_stored, outcome.snapshots_stored), (4, 4));
        let repo = world.reopen(&repo).await;
        assert_eq!(
            (repo.scheme, repo.default_branch.clone()),
            (Some(IdScheme::FlatV1), Some(branch("trunk")))
        );
        assert_eq!(world.clone_of(&repo, commits[3].id).await, Cloned::expected(&commits));
        world.push(&repo, push_of("other", &commits[..2])).await.unwrap();
        assert_eq!(world.reopen(&repo).await.default_branch, Some(branch("trunk")));
        assert_eq!(world.objects.packs().await.unwrap().len(), 1, "nothing is written twice");
    });
}

#[test]
fn a_repository_of_one_scheme_takes_no_push_of_another() {
    block_on(async {
        let (world, repo, _) = with_history().await;
        let native = native_commit("native", &[], &[("a", "1")]);
        let push = Push { scheme: IdScheme::TypedV2, ..push_of("native", [&native]) };
        let error = refused(&world, &repo, push, &[&native]).await;
        assert!(matches!(error, PushError::Object(_) | PushError::OtherScheme { .. }), "{error}");
    });
}

#[test]
fn a_native_repository_works_from_end_to_end() {
    block_on(async {
        let world = World::new();
        let repo = world.create("native").await;
        let first = native_commit("first", &[], &[("a", "1"), ("b", "")]);
        let second = native_commit("second", &[&first], &[("a", "2"), ("b", "")]);
        let native = |push: Push| Push { scheme: IdScheme::TypedV2, ..push };
        world.push(&repo, native(push_of("main", [&first]))).await.unwrap();
        world.stage(&repo, &second.blobs[..1]).await;
        let mut push = native(push_of("main", [&second]));
        push.blobs.clear();
        let repo = world.reopen(&repo).await;
        world.push(&repo, push).await.unwrap();
        assert_eq!(repo.scheme, Some(IdScheme::TypedV2));
        let whole = Cloned::expected([&first, &second]);
        assert_eq!(world.clone_of(&repo, second.id).await, whole);
        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert_eq!(rebuilt.clone_of(&repo, second.id).await, whole);
        let snapshot = rebuilt.hub.snapshot(&repo, second.snapshot_id()).await.unwrap();
        assert_eq!(snapshot.record().directories, second.snapshot.directories);
    });
}

#[test]
fn a_branch_moves_forward_over_commits_of_the_push_and_of_the_repository() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let side = chain("side", Some(&base[1]), 3);
        world.push(&repo, push_of("side", &side)).await.unwrap();
        // Up to a commit that came with another branch: the push brings the tip's record, and nothing is new.
        world.push(&repo, push_of("old", &base[..1])).await.unwrap();
        let outcome = world.push(&repo, push_of("old", [&side[2]])).await.unwrap();
        assert_eq!((outcome.head, outcome.commits_stored), (side[2].id, 0));
        // The path from the head to the tip runs through new commits, then stored ones.
        let merge = commit("merge", &[&side[2], &base[4]], &[("m", "merged")]);
        let after = commit("after", &[&merge], &[("m", "after")]);
        let outcome = world.push(&repo, push_of("old", [&merge, &after])).await.unwrap();
        assert_eq!((outcome.head, outcome.commits_stored), (after.id, 2));
        world.push(&repo, push_of("main", [&merge])).await.unwrap();
        assert_eq!(world.heads(&repo).await["main"], merge.id);
        let all = base.iter().chain(&side).chain([&merge, &after]);
        assert_eq!(world.clone_of(&repo, after.id).await, Cloned::expected(all));
    });
}

#[test]
fn a_branch_moves_nowhere_else_unless_forced() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let beside = commit("beside", &[&base[2]], &[("x", "beside")]);
        let unrelated = commit("unrelated", &[], &[("x", "unrelated")]);
        for (tip, new) in [(&beside, vec![&beside]), (&unrelated, vec![&unrelated]), (&base[3], vec![])] {
            let error = refused(&world, &repo, push_of("main", [tip]), &new).await;
            let PushError::NotFastForward { branch: at, head, tip: pushed } = error else {
                panic!("{error}")
            };
            assert_eq!((at, head, pushed), (branch("main"), base[4].id, tip.id));
        }
        for tip in [&beside, &unrelated, &base[3]] {
            let outcome = world.push(&repo, forced("main", [tip])).await.unwrap();
            assert_eq!(outcome.head, tip.id);
        }
        let old = world.clone_of(&repo, base[4].id).await;
        assert_eq!(old, Cloned::expected(&base), "what the log names is still held");
    });
}

#[test]
fn the_new_head_is_what_nothing_in_the_push_descends_from() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let next = commit_on("topic", "next", &[&base[4]], &[("x", "next")]);
        let other = commit_on("other", "other", &[&base[4]], &[("x", "other")]);
        let twin = commit_on("topic", "twin", &[&base[4]], &[("x", "twin")]);
        // In any order, and with commits that the repository holds.
        let shuffled = [&next, &base[2], &base[4], &base[3]];
        let outcome = world.push(&repo, push_of("shuffled", shuffled)).await.unwrap();
        assert_eq!(outcome.head, next.id);
        // Of two leaves the one whose record names the branch; the other one is not kept.
        let outcome = world.push(&repo, push_of("topic", [&other, &next])).await.unwrap();
        assert_eq!((outcome.head, outcome.commits_stored), (next.id, 0));
        assert!(world.hub.commit(&repo, other.id).await.is_err());
        for (to, tips) in [("topic", [&next, &twin]), ("third", [&other, &twin])] {
            let error = refused(&world, &repo, push_of(to, tips), &[&twin, &other]).await;
            let PushError::AmbiguousTip { tips: named, .. } = error else { panic!("{error}") };
            assert_eq!(named, tips.map(|made| made.id));
        }
    });
}

#[test]
fn a_push_without_commits_leaves_a_branch_as_it_is_and_makes_none() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let outcome = world.push(&repo, push_of("main", [])).await.unwrap();
        assert_eq!((outcome.head, outcome.commits_stored), (base[4].id, 0));
        let error = refused(&world, &repo, push_of("new", []), &[]).await;
        assert!(matches!(error, PushError::NothingToPush { .. }), "{error}");
        let empty = world.create("empty").await;
        let error = refused(&world, &empty, push_of("main", []), &[]).await;
        assert!(matches!(error, PushError::NothingToPush { .. }), "{error}");
        assert_eq!(world.reopen(&empty).await.scheme, None);
    });
}

#[test]
fn the_same_push_again_changes_nothing() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let packs = world.objects.packs().await.unwrap();
        let refs = world.hub.refs(&repo).await.unwrap().branches;
        for _ in 0..2 {
            let outcome = world.push(&repo, push_of("main", &base)).await.unwrap();
            assert_eq!((outcome.head, outcome.commits_stored, outcome.blobs_stored), (base[4].id, 0, 0));
        }
        assert_eq!(world.objects.packs().await.unwrap(), packs);
        assert_eq!(world.hub.refs(&repo).await.unwrap().branches, refs);
    });
}

#[test]
fn a_blob_or_snapshot_twice_in_a_push_is_once() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let one = commit("one", &[], &[("a", "same"), ("b", "same")]);
        let two = commit("two", &[&one], &[("a", "same"), ("b", "same")]);
        let outcome = world.push(&repo, push_of("main", [&one, &two])).await.unwrap();
        let stored = (outcome.commits_stored, outcome.snapshots_stored, outcome.blobs_stored);
        assert_eq!(stored, (2, 1, 1));
        assert_eq!(world.clone_of(&repo, two.id).await, Cloned::expected([&one, &two]));
    });
}

/// [`PushError::Graph`] is for commits that come twice *with different content*.
#[test]
fn one_id_twice_is_harmless_with_equal_content_and_refused_with_other() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let made = commit("one", &[], &[("a", "1")]);
        let mut forged = made.clone();
        forged.record.insert("author".to_owned(), json!("mallory"));
        let error = refused(&world, &repo, push_of("main", [&made, &forged]), &[&made]).await;
        assert!(matches!(error, PushError::Graph(_)), "{error}");
        let outcome = world.push(&repo, push_of("main", [&made, &made])).await.unwrap();
        assert_eq!((outcome.head, outcome.commits_stored), (made.id, 1));
    });
}

#[test]
fn what_is_missing_is_named() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let absent = commit("absent", &[&base[4]], &[("x", "absent")]);
        let next = commit("next", &[&absent], &[("x", "1"), ("y", "2"), ("z", "3")]);
        let found = missing(refused(&world, &repo, push_of("main", [&next]), &[&next]).await);
        assert_eq!(found.commits, [absent.id]);

        let next = commit("next", &[&base[4]], &[("x", "1"), ("y", "2"), ("z", "3")]);
        let mut push = push_of("main", [&next]);
        push.blobs.retain(|blob| blob.content != "2");
        let found = missing(refused(&world, &repo, push.clone(), &[&next]).await);
        assert_eq!(found.blobs, [flat_v1::blob_id(b"2")]);
        assert!(found.commits.is_empty() && found.snapshots.is_empty());
        push.snapshots.clear();
        let found = missing(refused(&world, &repo, push, &[&next]).await);
        assert_eq!(found.snapshots, [next.snapshot_id()]);
        assert_eq!(world.push(&repo, push_of("main", [&next])).await.unwrap().head, next.id);
    });
}

#[test]
fn every_id_is_computed_anew() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let next = commit("next", &[&base[4]], &[("x", "1")]);
        let mut changed = push_of("main", [&next]);
        changed.commits[0].insert("message".to_owned(), json!("another"));
        let error = refused(&world, &repo, changed, &[&next]).await;
        assert!(matches!(error, PushError::Object(ObjectError::IdMismatch { .. })), "{error}");

        let mut changed = push_of("main", [&next]);
        changed.snapshots[0].manifest = base[0].snapshot.manifest.clone();
        let error = refused(&world, &repo, changed, &[&next]).await;
        assert!(matches!(error, PushError::Object(ObjectError::IdMismatch { .. })), "{error}");

        let mut changed = push_of("main", [&next]);
        changed.blobs[0].content = "2".into();
        let error = refused(&world, &repo, changed, &[&next]).await;
        assert!(matches!(error, PushError::BlobMismatch { .. }), "{error}");
    });
}

#[test]
fn the_empty_blob_is_always_there() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let made = commit("empty", &[], &[("__init__.py", "")]);
        let mut push = push_of("main", [&made]);
        push.blobs.clear();
        world.push(&repo, push).await.unwrap();
        assert_eq!(world.clone_of(&repo, made.id).await, Cloned::expected([&made]));
        let nothing = commit("nothing", &[&made], &[]);
        world.push(&repo, push_of("main", [&nothing])).await.unwrap();
        assert_eq!(world.clone_of(&repo, nothing.id).await, Cloned::expected([&made, &nothing]));
    });
}

#[test]
fn staged_blobs_are_taken_by_the_push_and_gone_after_it() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let next = commit("next", &[&base[4]], &[("x", "staged"), ("y", "inline")]);
        let ids: Vec<_> = next.blobs.iter().map(|blob| blob.id).collect();
        assert_eq!(world.hub.missing_objects(&repo, &ids).await.unwrap(), ids);
        let (staged, inline): (Vec<InlineBlob>, Vec<InlineBlob>) =
            next.blobs.iter().cloned().partition(|blob| blob.content == "staged");
        world.stage(&repo, &staged).await;
        assert_eq!(world.hub.missing_objects(&repo, &ids).await.unwrap(), [inline[0].id]);
        let mut push = push_of("main", [&next]);
        push.blobs = inline;
        world.push(&repo, push).await.unwrap();
        let found = world.objects.find(&repo.repo_id, &ids).await.unwrap();
        assert_eq!(found, [None, None], "the upload is discarded");
        assert_eq!(world.hub.missing_objects(&repo, &ids).await.unwrap(), []);
        assert_eq!(world.clone_of(&repo, next.id).await.trees[&next.snapshot_id()], next.files);
    });
}

#[test]
fn a_branch_is_not_a_directory_of_another() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        world.push(&repo, push_of("feat/deep/one", &base[..1])).await.unwrap();
        for (to, existing) in [
            ("main/x", "main"),
            ("feat", "feat/deep/one"),
            ("feat/deep", "feat/deep/one"),
            ("feat/deep/one/more", "feat/deep/one"),
        ] {
            let error = refused(&world, &repo, push_of(to, &base[..1]), &[]).await;
            let PushError::BranchConflict { existing: named, .. } = error else { panic!("{error}") };
            assert_eq!(named, branch(existing));
        }
        for to in ["feat/deep/two", "feature", "main2", "feat/deeper"] {
            world.push(&repo, push_of(to, &base[..1])).await.unwrap();
        }
    });
}

#[test]
fn moves_of_branches_make_the_jobs_that_were_asked_for() {
    block_on(async {
        let (world, repo, base) = with_history().await;
        let of_default = |made: &Made| {
            let payload = format!("{{\"commit\":\"{}\"}}", made.id);
            NewJob::new(JobKind::new(JOB), repo.repo_id.clone(), payload)
        };
        let of_branch = |name: &str, made: &Made| {
            let payload = format!("{{\"branch\":\"{name}\",\"commit\":\"{}\"}}", made.id);
            let kind = JobKind::new(BRANCH_JOB).with_priority(JobPriority::Low);
            NewJob::new(kind, repo.repo_id.clone(), payload)
        };
        let latest = async |kind| world.index.latest(&repo.repo_id, kind).await.unwrap().unwrap().work;
        assert_eq!(latest(JOB).await, of_default(&base[4]));
        assert_eq!(latest(BRANCH_JOB).await, of_branch("main", &base[4]));
        let side = commit("side", &[&base[4]], &[("x", "side")]);
        world.push(&repo, push_of("side", [&side])).await.unwrap();
        assert_eq!(
            latest(JOB).await,
            of_default(&base[4]),
            "a side branch makes no job of the default branch"
        );
        assert_eq!(latest(BRANCH_JOB).await, of_branch("side", &side));
        world.push(&repo, push_of("main", [&side])).await.unwrap();
        assert_eq!(latest(JOB).await, of_default(&side));
        assert_eq!(latest(BRANCH_JOB).await, of_branch("main", &side));
    });
}
