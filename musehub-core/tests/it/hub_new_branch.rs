//! Branches of which one would be a directory of the other, made through several hubs.

use std::sync::Arc;

use futures::executor::block_on;
use musehub_core::Hub;
use musehub_core::hub::{CaughtUp, PushError};
use musehub_core::memory::FixedClock;
use musehub_core::port::{Clock, RepositoryRecord, Timestamp};

use crate::hub_faults::{pausing, race, schedules};
use crate::hub_fixtures::{Made, World, branch, chain, hub, push_of};
use crate::hub_ports::{Disturbed, Fault};

/// Longer than a name stays claimed.
const LATER: i64 = 24 * 60 * 60 * 1000;

/// A repository with a branch, and a commit for more branches.
async fn scene() -> (World, RepositoryRecord, Vec<Made>) {
    let world = World::new();
    let repo = world.create("demo").await;
    let commits = chain("base", None, 2);
    world.push(&repo, push_of("main", &commits)).await.unwrap();
    let repo = world.reopen(&repo).await;
    (world, repo, commits)
}

#[test]
fn of_two_hubs_that_make_branches_in_each_others_way_one_does() {
    block_on(async {
        for pauses in schedules() {
            for names in [["a", "a/b"], ["a/b/c", "a"]] {
                let (world, repo, commits) = scene().await;
                let pushes = names.map(|name| push_of(name, &commits));
                let answers = race(pausing(&world, &world.restarted(), pauses), &repo, pushes).await;
                let heads = world.heads(&repo).await;
                for (name, answer) in names.iter().zip(&answers) {
                    assert_eq!(heads.contains_key(*name), answer.is_ok(), "{pauses:x?} {answers:?}");
                    let conflict = matches!(answer, Ok(_) | Err(PushError::BranchConflict { .. }));
                    assert!(conflict, "{pauses:x?} {answers:?}");
                }
                let made = answers.iter().filter(|answer| answer.is_ok()).count();
                assert_eq!(made, 1, "{pauses:x?} {answers:?}");
                let log = world.without_index();
                log.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                assert_eq!(log.heads(&repo).await, heads, "{pauses:x?}: the log says something else");
            }
        }
    });
}

/// A hub over the stores of a world, whose clock shows `millis` more.
fn at(world: &World, millis: i64) -> Hub {
    let mut backends = world.backends();
    let now = backends.clock.now();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::new(Timestamp::from_millis(now.as_millis() + millis)));
    backends.clock = clock;
    hub(backends)
}

/// The other hub has no chance to catch up but the push itself.
#[test]
fn a_hub_that_dies_while_it_makes_a_branch_leaves_no_room_for_one_in_its_way() {
    block_on(async {
        let (mut unrecorded, mut dead_before) = (0, 0);
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for call in 0.. {
                let (world, repo, commits) = scene().await;
                let dying = Disturbed::failing(world.backends(), fault, call);
                let _ = hub(dying.backends()).receive_push(&repo, &repo.owner, push_of("a", &commits)).await;
                if !dying.struck() {
                    break;
                }
                let context = format!("{fault:?} at call {call}");
                let indexed = world.heads(&repo).await.contains_key("a");
                let logged = !world.refs_of(&repo, &branch("a")).await.is_empty();
                let below = push_of("a/b", &commits);
                let at_once = world.push(&repo, below.clone()).await;
                assert!(!logged || at_once.is_err(), "{context}: both are there");
                let later = at(&world, LATER).receive_push(&repo, &repo.owner, below).await;
                assert_eq!(later.is_ok(), !logged, "{context}: {later:?}");
                unrecorded += usize::from(logged && !indexed);
                dead_before += usize::from(!logged && at_once.is_err());
                let heads = world.heads(&repo).await;
                assert_eq!(
                    (heads.contains_key("a"), heads.contains_key("a/b")),
                    (logged, !logged),
                    "{context}"
                );
            }
        }
        assert!(unrecorded > 0, "no hub died between the log and the index");
        assert!(dead_before > 0, "no hub died between the claim and the log");
    });
}
