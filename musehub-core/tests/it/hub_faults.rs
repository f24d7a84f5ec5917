//! Failures at every step of a push, and races for one branch.

use futures::executor::block_on;
use futures::future::join;
use musehub_core::hub::{
    CaughtUp, InitialCommit, InitialiseError, Need, NewRepository, Push, PushError, PushOutcome,
};
use musehub_core::port::{BackendError, RefStore, RepositoryRecord, Visibility};
use musehub_core::scheme::IdScheme;
use musehub_core::{CommitId, Hub};

use crate::hub_fixtures::{
    Cloned, Made, World, alice, branch, chain, commit, handle, hub, new_repository, push_of, slug,
};
use crate::hub_ports::{Disturbed, Fault};
use crate::hub_writes::{canonical_commit, commit_files, put};

const FAULTS: [Fault; 4] = [Fault::Refused, Fault::AnswerLost, Fault::DiesBefore, Fault::DiesAfter];

/// A push that is about to be made, and what must hold of it.
struct Scene {
    world: World,
    repo: RepositoryRecord,
    push: Push,
    /// All of the branch's history once the push is made, oldest first.
    history: Vec<Made>,
    /// Where the branch stands before.
    before: Option<CommitId>,
}

impl Scene {
    fn tip(&self) -> &Made {
        self.history.last().unwrap()
    }

    async fn head(&self, world: &World) -> Option<CommitId> {
        let heads = world.heads(&self.repo).await;
        heads.get(self.push.branch.as_str()).copied()
    }

    /// Whether the push is visible, after checking that it is so wholly or not at all.
    async fn is_visible(&self, world: &World, context: &str) -> bool {
        let head = self.head(world).await;
        let tip = self.tip().id;
        if head == Some(tip) {
            assert_eq!(world.clone_of(&self.repo, tip).await, Cloned::expected(&self.history), "{context}");
            return true;
        }
        assert_eq!(head, self.before, "{context}");
        assert!(world.hub.commit(&self.repo, tip).await.is_err(), "{context}");
        assert!(world.fetch(&self.repo, &[tip], &[]).await.commits.is_empty(), "{context}");
        if let Some(before) = self.before {
            let old = &self.history[..self.history.iter().position(|made| made.id == before).unwrap() + 1];
            assert_eq!(world.clone_of(&self.repo, before).await, Cloned::expected(old), "{context}");
        }
        false
    }
}

async fn first_push() -> Scene {
    let world = World::new();
    let repo = world.create("demo").await;
    let history = chain("first", None, 3);
    Scene { push: push_of("main", &history), world, repo, history, before: None }
}

/// Inline, staged and borrowed blobs, a merge, and a branch that moves over commits of its own push.
async fn later_push() -> Scene {
    let world = World::new();
    let other = world.create("other").await;
    let elsewhere = commit("elsewhere", &[], &[("shared", "shared text")]);
    world.push(&other, push_of("main", [&elsewhere])).await.unwrap();
    let repo = world.create("demo").await;
    let mut history = chain("base", None, 3);
    world.push(&repo, push_of("main", &history)).await.unwrap();
    let before = Some(history[2].id);
    let side = commit("side", &[&history[0]], &[("s", "staged"), ("shared", "shared text")]);
    let merge = commit("merge", &[&history[2], &side], &[("i", "inline"), ("s", "staged")]);
    let mut push = push_of("main", [&side, &merge]);
    let (staged, inline) = push.blobs.into_iter().partition(|blob| blob.content == "staged");
    push.blobs = inline;
    world.stage(&repo, &staged).await;
    history.extend([side, merge]);
    let repo = world.reopen(&repo).await;
    Scene { world, repo, push, history, before }
}

/// One push with one fault; false once the push makes fewer calls than that.
async fn survive(scene: Scene, fault: Fault, at: u64, index_lost: bool) -> bool {
    let context = format!("call {at} {fault:?}, index lost: {index_lost}");
    let failing = Disturbed::failing(scene.world.backends(), fault, at);
    let pusher = &scene.repo.owner;
    let answer = hub(failing.backends()).receive_push(&scene.repo, pusher, scene.push.clone()).await;
    if !failing.struck() {
        assert!(answer.is_ok(), "{context}");
        return false;
    }
    if let Err(error) = &answer {
        let expected = matches!(error, PushError::Backend(BackendError::Unavailable { .. }));
        assert!(expected, "{context}: {error}");
    }
    let survivor = if index_lost { scene.world.without_index() } else { scene.world.restarted() };
    survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let visible = scene.is_visible(&survivor, &context).await;
    assert!(visible || answer.is_err(), "{context}: an acknowledged push is there");
    let caught_up = survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    assert_eq!(caught_up.moves, 0, "{context}: catching up again finds nothing");

    // The client tries again, with what it was told before.
    let again = survivor.push(&scene.repo, scene.push.clone()).await;
    let again = again.unwrap_or_else(|error| panic!("{context}: the same push again: {error}"));
    assert_eq!(again.head, scene.tip().id, "{context}");
    assert!(scene.is_visible(&survivor, &context).await, "{context}");
    let log = survivor.refs.history(&scene.repo.repo_id, &scene.push.branch, 0).await.unwrap();
    let moves = 1 + usize::from(scene.before.is_some());
    assert_eq!(log.len(), moves, "{context}: the branch moved once");
    true
}

#[test]
fn a_first_push_that_fails_anywhere_is_whole_or_not_there_and_succeeds_again() {
    block_on(async {
        for fault in FAULTS {
            for index_lost in [false, true] {
                let mut at = 0;
                while survive(first_push().await, fault, at, index_lost).await {
                    at += 1;
                }
                assert!(at > 8, "{at} calls");
            }
        }
    });
}

#[test]
fn a_later_push_that_fails_anywhere_is_whole_or_not_there_and_succeeds_again() {
    block_on(async {
        for fault in FAULTS {
            for index_lost in [false, true] {
                let mut at = 0;
                while survive(later_push().await, fault, at, index_lost).await {
                    at += 1;
                }
                assert!(at > 8, "{at} calls");
            }
        }
    });
}

fn first_commit() -> InitialCommit {
    InitialCommit {
        branch: branch("trunk"),
        author: handle("alice"),
        readme: "# demo\n".to_owned(),
        licence: Some("Do as you like.\n".to_owned()),
    }
}

/// One creation of a repository with a first commit, with one fault; false once it makes fewer calls than that.
async fn survive_creation(fault: Fault, at: u64) -> bool {
    let context = format!("call {at} {fault:?}");
    let world = World::new();
    let new = || NewRepository {
        scheme: Some(IdScheme::FlatV1),
        ..new_repository("alice", "demo", Visibility::Public)
    };
    let failing = Disturbed::failing(world.backends(), fault, at);
    let answer = hub(failing.backends()).create_initialised(new(), first_commit()).await;
    if !failing.struck() {
        assert!(answer.is_ok(), "{context}");
        return false;
    }
    let survivor = world.restarted();
    survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let found = survivor.hub.open(&handle("alice"), &slug("demo"), &alice(), Need::Read).await;
    let Ok(repo) = found else {
        assert!(
            matches!(answer, Err(InitialiseError::Create(_))),
            "{context}: what says that it is there is there"
        );
        assert!(
            survivor.hub.create_initialised(new(), first_commit()).await.is_ok(),
            "{context}: the name is free"
        );
        return true;
    };
    let heads = survivor.heads(&repo).await;
    let head = match heads.get("trunk") {
        Some(head) => *head,
        None => {
            assert!(answer.is_err() && heads.is_empty(), "{context}: empty, and nobody was told otherwise");
            let made =
                commit_files(&survivor, &repo, "trunk", None, vec![put("README.md", "# demo\n")]).await;
            made.unwrap_or_else(|error| panic!("{context}: it takes a first commit: {error}")).head
        }
    };
    canonical_commit(&survivor, &repo, head).await;
    true
}

#[test]
fn a_creation_that_fails_anywhere_leaves_nothing_an_empty_repository_or_all_of_it() {
    block_on(async {
        for fault in FAULTS {
            let mut at = 0;
            while survive_creation(fault, at).await {
                at += 1;
            }
            assert!(at > 8, "{at} calls");
        }
    });
}

/// Without a restart: the index may be behind the log while the same process goes on.
#[test]
fn a_push_that_failed_anywhere_can_be_made_again_at_once() {
    block_on(async {
        for fault in [Fault::Refused, Fault::AnswerLost] {
            for at in 0.. {
                let scene = later_push().await;
                let failing = Disturbed::failing(scene.world.backends(), fault, at);
                let hub = hub(failing.backends());
                let pusher = &scene.repo.owner;
                let _ = hub.receive_push(&scene.repo, pusher, scene.push.clone()).await;
                if !failing.struck() {
                    break;
                }
                let again = hub.receive_push(&scene.repo, pusher, scene.push.clone()).await;
                assert_eq!(again.unwrap().head, scene.tip().id, "call {at} {fault:?}");
                assert!(scene.is_visible(&scene.world, "at once").await);
            }
        }
    });
}

/// The calls that wait, for each of two pushers: many interleavings of their steps.
pub(crate) fn schedules() -> impl Iterator<Item = (u64, u64)> {
    let mixed = (0..60_u64).map(|n| {
        let hash = blake3::hash(&n.to_le_bytes());
        let (first, rest) = hash.as_bytes().split_first_chunk::<8>().unwrap();
        let (second, _) = rest.split_first_chunk::<8>().unwrap();
        (u64::from_le_bytes(*first), u64::from_le_bytes(*second))
    });
    [(0, 0), (u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)].into_iter().chain(mixed)
}

pub(crate) type Answer = Result<PushOutcome, PushError>;

pub(crate) async fn race(hubs: [Hub; 2], repo: &RepositoryRecord, pushes: [Push; 2]) -> [Answer; 2] {
    let [first, second] = hubs;
    let [one, two] = pushes;
    let answers =
        join(first.receive_push(repo, &repo.owner, one), second.receive_push(repo, &repo.owner, two));
    answers.await.into()
}

pub(crate) fn pausing(first: &World, second: &World, pauses: (u64, u64)) -> [Hub; 2] {
    [(first, pauses.0), (second, pauses.1)]
        .map(|(world, pauses)| hub(Disturbed::pausing(world.backends(), pauses).backends()))
}

#[test]
fn of_two_hubs_that_race_with_diverging_pushes_exactly_one_is_acknowledged() {
    block_on(async {
        for pauses in schedules() {
            for (index_shared, first) in [(true, false), (false, false), (true, true)] {
                let world = World::new();
                let repo = world.create("demo").await;
                let base = chain("base", None, 3);
                if !first {
                    world.push(&repo, push_of("main", &base)).await.unwrap();
                }
                let other = if index_shared { world.restarted() } else { world.without_index() };
                other.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                let parents: Vec<&Made> = base.last().filter(|_| !first).into_iter().collect();
                let rivals =
                    ["one", "two"].map(|name| commit(name, &parents, &[("who", name), ("same", "")]));
                let pushes = [push_of("main", [&rivals[0]]), push_of("main", [&rivals[1]])];
                let answers = race(pausing(&world, &other, pauses), &repo, pushes).await;

                let won: Vec<usize> = (0..2).filter(|n| answers[*n].is_ok()).collect();
                assert_eq!(won.len(), 1, "{pauses:x?} {answers:?}");
                let (winner, loser) = (&rivals[won[0]], &rivals[1 - won[0]]);
                match &answers[1 - won[0]] {
                    Err(PushError::NotFastForward { head, tip, .. }) => {
                        assert_eq!((*head, *tip), (winner.id, loser.id));
                    }
                    answer => panic!("{answer:?}"),
                }
                for world in [&world, &other] {
                    world.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                    assert_eq!(world.heads(&repo).await["main"], winner.id);
                    assert!(world.hub.commit(&repo, loser.id).await.is_err(), "{pauses:x?}");
                }
                let log = world.refs.history(&repo.repo_id, &branch("main"), 0).await.unwrap();
                assert_eq!(log.len(), 1 + usize::from(!first));
            }
        }
    });
}

#[test]
fn two_hubs_that_race_with_one_push_are_both_acknowledged_and_the_branch_moves_once() {
    block_on(async {
        for pauses in schedules() {
            let scene = later_push().await;
            // Both take the same staged blobs, which the first to end discards.
            let other = scene.world.restarted();
            let pushes = [scene.push.clone(), scene.push.clone()];
            let answers = race(pausing(&scene.world, &other, pauses), &scene.repo, pushes).await;
            for answer in answers {
                assert_eq!(answer.unwrap().head, scene.tip().id, "{pauses:x?}");
            }
            assert!(scene.is_visible(&scene.world, "raced").await);
            let log = scene.world.refs.history(&scene.repo.repo_id, &branch("main"), 0).await;
            assert_eq!(log.unwrap().len(), 2);
        }
    });
}

#[test]
fn of_two_racing_pushes_one_of_which_contains_the_other_the_longer_one_is_kept() {
    block_on(async {
        for pauses in schedules() {
            let world = World::new();
            let repo = world.create("demo").await;
            let commits = chain("base", None, 4);
            let pushes = [push_of("main", &commits[..2]), push_of("main", &commits)];
            let answers = race(pausing(&world, &world.restarted(), pauses), &repo, pushes).await;
            answers[1].as_ref().unwrap();
            assert_eq!(world.heads(&repo).await["main"], commits[3].id, "{pauses:x?}");
            assert_eq!(world.clone_of(&repo, commits[3].id).await, Cloned::expected(&commits));
        }
    });
}

#[test]
fn racing_first_pushes_to_two_branches_leave_a_default_branch_that_exists() {
    block_on(async {
        for pauses in schedules() {
            let world = World::new();
            let repo = world.create("demo").await;
            let commits = [chain("one", None, 2), chain("two", None, 2)];
            let pushes = [push_of("one", &commits[0]), push_of("two", &commits[1])];
            let answers = race(pausing(&world, &world.restarted(), pauses), &repo, pushes).await;
            for answer in &answers {
                answer.as_ref().unwrap();
            }
            let default = world.reopen(&repo).await.default_branch.unwrap();
            assert!(world.heads(&repo).await.contains_key(default.as_str()), "{pauses:x?}");
        }
    });
}

/// A first push that dies after it fixed the default branch must not leave a repository whose default branch never comes.
#[test]
fn a_default_branch_whose_first_push_never_came_is_replaced_by_the_next_push() {
    block_on(async {
        let world = World::new();
        let commits = chain("main", None, 2);
        let lost = chain("lost", None, 1);
        // The rival fixes its branch as the default after `main` was fixed and before `main` exists, and dies.
        let [first, second] = [0, 1].map(|_| world.restarted());
        for pause in 0..16 {
            for at in 0..16 {
                let dying = Disturbed::failing(second.backends(), Fault::DiesAfter, at);
                let patient = Disturbed::pausing(first.backends(), 1 << pause);
                let name = format!("demo-{pause}-{at}");
                let repo = world.create(&name).await;
                let hubs = [hub(patient.backends()), hub(dying.backends())];
                let pushes = [push_of("main", &commits[..1]), push_of("lost", &lost)];
                race(hubs, &repo, pushes).await[0].as_ref().unwrap();
                world.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                let repo = world.reopen(&repo).await;
                world.push(&repo, push_of("main", &commits)).await.unwrap();
                let default = world.reopen(&repo).await.default_branch.unwrap();
                let heads = world.heads(&repo).await;
                assert!(heads.contains_key(default.as_str()), "{default} is none of {heads:?}");
            }
        }
    });
}
