//! Uploads that were damaged while they waited: asked for again, not in the way for a day.

use bytes::Bytes;
use musehub_core::BlobId;
use musehub_core::hub::{Push, PushError};
use musehub_core::port::{RepositoryRecord, Staging};

use crate::hub_world::{Made, World, commit, push_of};
use crate::pack_fixtures::noise;

async fn stage(world: &World, repo: &RepositoryRecord, made: &Made) -> Vec<BlobId> {
    let blobs = push_of("main", std::slice::from_ref(made)).blobs;
    let mut writer = world.store.begin(&repo.repo_id).await.unwrap();
    for blob in &blobs {
        writer.begin_blob(blob.id, blob.content.len() as u64).await.unwrap();
        writer.write(Bytes::clone(&blob.content)).await.unwrap();
    }
    writer.finish().await.unwrap();
    blobs.iter().map(|blob| blob.id).collect()
}

async fn push(world: &World, repo: &RepositoryRecord, made: &Made) -> Result<(), PushError> {
    let push = Push { blobs: Vec::new(), ..push_of("main", std::slice::from_ref(made)) };
    world.hub.receive_push(repo, &repo.owner, push).await.map(drop)
}

/// Turns a byte in the middle of the only staged pack over; its length stays.
async fn damage(world: &World) {
    let contents = world.faulty.contents().await;
    let (key, bytes) = contents
        .into_iter()
        .find(|(key, _)| key.starts_with("staging/") && key.ends_with(".pack"))
        .expect("an upload waits");
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x41;
    world.faulty.put(&key, &bytes).await;
}

#[tokio::test]
async fn a_damaged_upload_is_asked_for_again_and_the_push_goes_on() {
    for size in [1000, 3 << 20] {
        let world = World::new().await;
        let repo = world.create("demo").await;
        let made = commit("made", None, &[("file".to_owned(), noise(7, size))]);
        let ids = stage(&world, &repo, &made).await;
        damage(&world).await;
        assert_eq!(world.hub.missing_objects(&repo, &ids).await.unwrap(), [], "nobody knows yet");
        match push(&world, &repo, &made).await {
            Err(PushError::Incomplete(missing)) => assert_eq!(missing.blobs, ids, "{size}"),
            other => panic!("{size}: {other:?}"),
        }
        assert_eq!(world.hub.missing_objects(&repo, &ids).await.unwrap(), ids, "it is to be sent again");
        stage(&world, &repo, &made).await;
        push(&world, &repo, &made).await.unwrap();
        world.expect("demo", "main", std::slice::from_ref(&made), "after the second upload").await;
        assert_eq!(world.count("staging/", "").await, 0, "nothing is left behind");
    }
}
