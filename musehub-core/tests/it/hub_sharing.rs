//! Several repositories over one object store: bytes are shared, and nothing else.

use bytes::Bytes;
use futures::executor::block_on;
use musehub_core::hub::{CaughtUp, Push, PushError};
use musehub_core::port::{ObjectStore, RefStore, Visibility};
use musehub_core::scheme::{IdScheme, flat_v1};
use musehub_core::{HashAlgorithm, canonical};

use crate::hub_fixtures::{Cloned, World, branch, chain, commit, native_commit, push_of};

#[test]
fn blobs_of_another_repository_are_not_written_again_and_are_fetched_from_both() {
    block_on(async {
        let world = World::new();
        let (first, second) = (world.create("first").await, world.create("second").await);
        let commits = chain("shared", None, 4);
        let tip = commits[3].id;
        world.push(&first, push_of("main", &commits)).await.unwrap();
        let own = commit("own", &[&commits[3]], &[("a.py", "shared 0\n"), ("own.py", "own")]);
        let both: Vec<_> = commits.iter().chain([&own]).cloned().collect();
        let outcome = world.push(&second, push_of("main", &both)).await.unwrap();
        assert_eq!((outcome.commits_stored, outcome.blobs_stored), (5, 5));

        let entry = world.refs.history(&second.repo_id, &branch("main"), 0).await.unwrap().remove(0);
        let written = world.objects.pack_objects(entry.packs[0]).await.unwrap();
        let blobs: Vec<_> =
            written.iter().filter(|object| object.key == flat_v1::blob_id(b"own").key()).collect();
        assert_eq!((written.len(), blobs.len()), (5 + 5 + 1, 1), "of the blobs only the new one is written");
        assert_eq!(entry.borrowed.len(), 1, "the log says where the others are");

        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        for world in [&world, &rebuilt] {
            assert_eq!(world.clone_of(&first, tip).await, Cloned::expected(&commits));
            assert_eq!(world.clone_of(&second, own.id).await, Cloned::expected(&both));
        }
    });
}

#[test]
fn naming_what_a_private_repository_holds_gives_nothing() {
    block_on(async {
        let world = World::new();
        let secret = world.create_as("bob", "secret", Visibility::Private).await;
        let hidden = commit("hidden", &[], &[("key", "the private key")]);
        world.push(&secret, push_of("main", [&hidden])).await.unwrap();
        let mine = world.create("mine").await;

        let child = commit("child", &[&hidden], &[("a", "1")]);
        let same_tree = commit("same tree", &[], &[("key", "the private key")]);
        let mut without_blob = push_of("main", [&same_tree]);
        without_blob.blobs.clear();
        let mut without_snapshot = push_of("main", [&same_tree]);
        without_snapshot.snapshots.clear();
        for push in [push_of("main", [&child]), without_blob.clone(), without_snapshot] {
            let error = world.push(&mine, push).await.unwrap_err();
            assert!(matches!(error, PushError::Incomplete(_)), "{error}");
        }
        let blob = hidden.blobs[0].id;
        assert_eq!(world.hub.missing_objects(&mine, &[blob]).await.unwrap(), [blob]);
        assert!(world.hub.blobs(&mine, &[blob]).await.unwrap().is_empty());
        assert!(world.fetch(&mine, &[hidden.id], &[]).await.commits.is_empty());
        let negotiated = world.hub.negotiate(&mine, &[hidden.id], &[hidden.id]).await.unwrap();
        assert_eq!(negotiated.ack, []);

        // What another repository has staged is as little there.
        world.stage(&secret, &same_tree.blobs).await;
        let error = world.push(&mine, without_blob).await.unwrap_err();
        assert!(matches!(error, PushError::Incomplete(_)), "{error}");
    });
}

/// Under `flat-v1` a file that reads `blob 5\0hello` has the id that `hello` has under `typed-v2` with SHA-256. Both may
/// come to one store, and each must come back as what it is.
#[test]
fn a_file_that_looks_like_a_typed_blob_does_not_stand_in_for_it() {
    block_on(async {
        let world = World::new();
        let (flat, native) = (world.create("flat").await, world.create("native").await);
        let text = "hello";
        let lookalike =
            String::from_utf8(canonical::encode(musehub_core::ObjectKind::Blob, text.as_bytes())).unwrap();
        let bait = commit("bait", &[], &[("bait", &lookalike)]);
        let refused = world.push(&flat, push_of("main", [&bait])).await.unwrap_err().to_string();
        assert!(refused.contains("the id of another blob"), "{refused}");

        let victim =
            crate::hub_fixtures::native_commit_of(HashAlgorithm::Sha256, "victim", &[], &[("file", text)]);
        assert_eq!(victim.blobs[0].id, bait.blobs[0].id, "one id, two contents");
        let push = Push { scheme: IdScheme::TypedV2, ..push_of("main", [&victim]) };
        world.push(&native, push).await.unwrap();
        let rows = world.hub.blobs(&native, &[victim.blobs[0].id]).await.unwrap();
        let read: Vec<Bytes> = world.hub.contents(&rows).await.unwrap();
        assert_eq!(read, [victim.blobs[0].content.clone()]);
    });
}

#[test]
fn repositories_of_two_schemes_live_in_one_store() {
    block_on(async {
        let world = World::new();
        let (flat, native) = (world.create("flat").await, world.create("native").await);
        let old = commit("old", &[], &[("a", "same bytes"), ("e", "")]);
        let new = native_commit("new", &[], &[("a", "same bytes"), ("e", "")]);
        world.push(&flat, push_of("main", [&old])).await.unwrap();
        let push = Push { scheme: IdScheme::TypedV2, ..push_of("main", [&new]) };
        world.push(&native, push).await.unwrap();
        assert_eq!(world.clone_of(&flat, old.id).await, Cloned::expected([&old]));
        assert_eq!(world.clone_of(&native, new.id).await, Cloned::expected([&new]));
    });
}
