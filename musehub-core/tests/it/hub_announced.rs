//! Moves of a hub that died between the log and the index, as another hub reads them.

use std::sync::Arc;

use futures::executor::block_on;
use musehub_core::hub::{Need, Viewer};
use musehub_core::memory::FixedClock;
use musehub_core::port::RepositoryRecord;

use crate::hub_fixtures::{Made, World, branch, chain, commit, hub, push_of};
use crate::hub_ports::{Disturbed, Fault};

async fn scene() -> (World, RepositoryRecord, Vec<Made>) {
    let world = World::new();
    let repo = world.create("demo").await;
    let mut history = chain("base", None, 2);
    world.push(&repo, push_of("main", &history)).await.unwrap();
    let next = commit("next", &[&history[1]], &[("n", "base 0\n")]);
    history.push(next);
    let repo = world.reopen(&repo).await;
    (world, repo, history)
}

async fn open(world: &World, repo: &RepositoryRecord) {
    let viewer = Viewer::Identity(repo.owner.clone());
    let _ = world.hub.open(&repo.owner, &repo.slug, &viewer, Need::Read).await.unwrap();
}

#[test]
fn whoever_opens_a_repository_sees_what_a_hub_logged_that_died_before_its_rows() {
    block_on(async {
        let mut unrecorded = 0;
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for (name, moves) in [("main", 1), ("side", 0)] {
                for call in 0.. {
                    let (world, repo, history) = scene().await;
                    let dying = Disturbed::failing(world.backends(), fault, call);
                    let push = push_of(name, &history);
                    let _ = hub(dying.backends()).receive_push(&repo, &repo.owner, push).await;
                    if !dying.struck() {
                        break;
                    }
                    let context = format!("{name}: {fault:?} at call {call}");
                    let log = world.refs_of(&repo, &branch(name)).await;
                    let logged = log.last().and_then(|entry| entry.new);
                    let indexed = world.heads(&repo).await.get(name).copied();
                    unrecorded += usize::from(logged != indexed);
                    let other = world.restarted();
                    open(&other, &repo).await;
                    assert_eq!(other.heads(&repo).await.get(name).copied(), logged, "{context}");
                    assert!(log.len() == moves || log.len() == moves + 1, "{context}");
                }
            }
        }
        assert!(unrecorded > 1, "no hub died between the log and the index");
    });
}

/// The number of the call at which a push to a new branch is logged, and not recorded yet.
async fn call_of_the_entry() -> u64 {
    for call in 0.. {
        let (world, repo, history) = scene().await;
        let dying = Disturbed::failing(world.backends(), Fault::DiesAfter, call);
        let pushed = hub(dying.backends()).receive_push(&repo, &repo.owner, push_of("side", &history)).await;
        assert!(pushed.is_err(), "there is such a call");
        if !world.refs_of(&repo, &branch("side")).await.is_empty() {
            return call;
        }
    }
    unreachable!("a push makes finitely many calls")
}

#[test]
fn however_many_branches_were_left_they_are_all_seen_and_their_announcements_end() {
    block_on(async {
        const BRANCHES: usize = 20;
        let (world, repo, history) = scene().await;
        let entry = call_of_the_entry().await;
        for number in 0..BRANCHES {
            let dying = Disturbed::failing(world.backends(), Fault::DiesAfter, entry);
            let push = push_of(&format!("side-{number}"), &history);
            hub(dying.backends()).receive_push(&repo, &repo.owner, push).await.unwrap_err();
        }
        assert_eq!(world.heads(&repo).await.len(), 1, "none is in the index");
        let claims = async || world.backends().claims.claims(&repo.repo_id).await.unwrap().len();
        assert_eq!(claims().await, BRANCHES);
        open(&world.restarted(), &repo).await;
        assert_eq!(world.heads(&repo).await.len(), 1 + BRANCHES);
        assert_eq!(claims().await, BRANCHES, "whoever announced them may be about to write");
        let day = 24 * 60 * 60 * 1000;
        let mut later = world.backends();
        later.clock = Arc::new(FixedClock::new(later.clock.now().plus_millis(day)));
        let viewer = Viewer::Identity(repo.owner.clone());
        let _ = hub(later).open(&repo.owner, &repo.slug, &viewer, Need::Read).await.unwrap();
        assert_eq!(claims().await, 0, "their time is over");
    });
}

#[test]
fn a_repository_in_which_nothing_is_under_way_is_opened_without_a_look_at_the_log() {
    block_on(async {
        let (world, repo, history) = scene().await;
        world.push(&repo, push_of("main", &history)).await.unwrap();
        assert_eq!(world.backends().claims.claims(&repo.repo_id).await.unwrap(), []);
        let counting = Disturbed::pausing(world.backends(), 0);
        let viewer = Viewer::Identity(repo.owner.clone());
        let opened = hub(counting.backends()).open(&repo.owner, &repo.slug, &viewer, Need::Read).await;
        assert_eq!(opened.unwrap(), repo);
        assert_eq!(counting.calls(), 2, "its record and what is announced");
    });
}
