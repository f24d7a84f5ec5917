//! Who may do what.

use futures::executor::block_on;
use musehub_core::hub::{AccessError, CreateError, Need, Viewer};
use musehub_core::port::{BackendError, RefStore, RepositoryIndex, RepositoryRecord, Visibility};

use crate::hub_fixtures::{World, alice, handle, hub, new_repository, slug};
use crate::hub_ports::{Disturbed, Fault};

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Opened,
    NotFound,
    Unauthenticated,
    Forbidden,
    Scope,
}

async fn verdict(world: &World, name: &str, viewer: &Viewer, need: Need) -> Verdict {
    match world.hub.open(&handle("alice"), &slug(name), viewer, need).await {
        Ok(repo) => {
            assert_eq!(repo.slug, slug(name));
            Verdict::Opened
        }
        Err(AccessError::NotFound) => Verdict::NotFound,
        Err(AccessError::Unauthenticated) => Verdict::Unauthenticated,
        Err(AccessError::Forbidden { .. }) => Verdict::Forbidden,
        Err(AccessError::Scope { .. }) => Verdict::Scope,
        Err(AccessError::Backend(error)) => panic!("{error}"),
    }
}

#[test]
fn everyone_reads_what_is_public_and_only_its_owner_the_rest() {
    use Verdict::{Forbidden, NotFound, Opened, Unauthenticated};
    block_on(async {
        let world = World::new();
        world.create("public").await;
        world.create_as("alice", "private", Visibility::Private).await;
        let gone = world.create("gone").await;
        let deleted = RepositoryRecord { version: 2, deleted: true, ..gone };
        world.refs.put_repository(&deleted).await.unwrap();
        world.index.put_repository(&deleted).await.unwrap();

        let [anonymous, bob] = [Viewer::Anonymous, Viewer::Identity(handle("bob"))];
        let shouting = Viewer::Identity(handle("ALICE"));
        let table = [
            ("public", [Opened, Opened, Opened, Opened], [Unauthenticated, Forbidden, Opened, Opened]),
            ("private", [NotFound, NotFound, Opened, Opened], [Unauthenticated, NotFound, Opened, Opened]),
            (
                "gone",
                [NotFound, NotFound, NotFound, NotFound],
                [Unauthenticated, NotFound, NotFound, NotFound],
            ),
            (
                "absent",
                [NotFound, NotFound, NotFound, NotFound],
                [Unauthenticated, NotFound, NotFound, NotFound],
            ),
        ];
        for (name, read, write) in table {
            let viewers = [&anonymous, &bob, &alice(), &shouting];
            for ((viewer, read), write) in viewers.into_iter().zip(read).zip(write) {
                assert_eq!(verdict(&world, name, viewer, Need::Read).await, read, "{viewer:?} reads {name}");
                assert_eq!(
                    verdict(&world, name, viewer, Need::Write).await,
                    write,
                    "{viewer:?} writes {name}"
                );
            }
        }
    });
}

/// A token of the owner's that was made for less does less, and never shows anybody more.
#[test]
fn a_limited_proof_goes_no_further_than_it_says() {
    block_on(async {
        let world = World::new();
        world.create_as("alice", "private", Visibility::Private).await;
        for scope in Need::ALL {
            for need in Need::ALL {
                let owner = Viewer::Limited(handle("alice"), scope);
                let expected = if need <= scope { Verdict::Opened } else { Verdict::Scope };
                assert_eq!(verdict(&world, "private", &owner, need).await, expected, "{scope:?} {need:?}");
                let stranger = Viewer::Limited(handle("bob"), scope);
                assert_eq!(verdict(&world, "private", &stranger, need).await, Verdict::NotFound);
            }
        }
    });
}

#[test]
fn a_name_is_given_once_whatever_its_case() {
    block_on(async {
        let world = World::new();
        world.create("demo").await;
        let again = new_repository("Alice", "DEMO", Visibility::Private);
        let again = world.hub.create_repository(again).await;
        assert!(matches!(again, Err(CreateError::Exists { .. })), "{again:?}");
        world.create_as("bob", "demo", Visibility::Public).await;
    });
}

/// A name that is said to exist can be opened by its owner, without waiting for a restart.
#[test]
fn creation_that_failed_half_way_can_be_tried_again() {
    block_on(async {
        for fault in [Fault::Refused, Fault::AnswerLost] {
            for at in 0..2 {
                let world = World::new();
                let failing = Disturbed::failing(world.backends(), fault, at);
                let new = || new_repository("alice", "demo", Visibility::Public);
                let failed = hub(failing.backends()).create_repository(new()).await;
                let failed = failed.map_err(|error| match error {
                    CreateError::Backend(BackendError::Unavailable { .. }) => {}
                    other => panic!("{other:?}"),
                });
                assert!(failed.is_err() && failing.struck());
                let again = world.hub.create_repository(new()).await;
                assert!(matches!(again, Ok(_) | Err(CreateError::Exists { .. })), "{again:?}");
                let opened = verdict(&world, "demo", &alice(), Need::Write).await;
                assert_eq!(opened, Verdict::Opened, "call {at} {fault:?}, then {again:?}");
            }
        }
    });
}
