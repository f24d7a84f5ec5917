//! Packs that are lost, cut short or led on: what a push relies on is there.

use musehub_core::BlobId;
use musehub_core::port::{ObjectStore, PackId, Place, RefStore, RepositoryRecord};

use crate::hub_world::{Made, World, commit, push_of, text};
use crate::index_fixtures::branch;

fn files(label: &str) -> Vec<(String, Vec<u8>)> {
    (0..3).map(|n| (format!("{label}{n}.py"), text(&format!("{label}{n}")))).collect()
}

fn blobs_of(made: &Made) -> Vec<BlobId> {
    push_of("main", std::slice::from_ref(made)).blobs.iter().map(|blob| blob.id).collect()
}

fn path_of(pack: PackId) -> String {
    let name = pack.to_string();
    format!("packs/{}/{name}.pack", &name[..2])
}

/// The pack of a repository's only push.
async fn only_pack(world: &World, repo: &RepositoryRecord) -> PackId {
    let moves = world.log.history(&repo.repo_id, &branch("main"), 0).await.unwrap();
    moves[0].packs[0]
}

/// A hub to whose repository `first` a commit was pushed whose pack is gone or cut short since.
async fn damaged(how: impl AsyncFnOnce(&World, &str)) -> (World, Made) {
    let world = World::new().await;
    let first = world.create("first").await;
    world.create("second").await;
    let pushed = commit("pushed", None, &files("a"));
    world.push("first", "main", std::slice::from_ref(&pushed)).await;
    how(&world, &path_of(only_pack(&world, &first).await)).await;
    (world.restarted(), pushed)
}

async fn remove(world: &World, path: &str) {
    world.faulty.remove(path).await;
}

async fn cut_short(world: &World, path: &str) {
    let contents = world.faulty.contents().await;
    let (_, bytes) = contents.into_iter().find(|(key, _)| key == path).unwrap();
    world.faulty.put(path, &bytes[..bytes.len() - 100]).await;
}

/// Pushes the same files to another repository: they are there by the index kept, and by one made anew.
async fn recovers_in_another_repository(world: World, borrowed: &[PackId]) {
    let again = commit("again", None, &files("a"));
    world.push("second", "main", std::slice::from_ref(&again)).await;
    let second = world.record("second").await;
    let moves = world.log.history(&second.repo_id, &branch("main"), 0).await.unwrap();
    assert_eq!(moves[0].borrowed, borrowed, "what is there is borrowed, and nothing else");
    world.expect("second", "main", std::slice::from_ref(&again), "index kept").await;

    let first = world.record("first").await;
    // Its move cannot be made again, as its commit is lost.
    for (key, _) in world.faulty.contents().await {
        if key.starts_with("repositories/alice/first/")
            || key.starts_with(&format!("refs/{}/", first.repo_id))
        {
            world.faulty.remove(&key).await;
        }
    }
    let rebuilt = world.without_index().await;
    rebuilt.expect("second", "main", std::slice::from_ref(&again), "index rebuilt").await;
}

#[tokio::test]
async fn blobs_of_a_lost_pack_are_written_again_by_a_push_elsewhere() {
    let (world, _) = damaged(remove).await;
    recovers_in_another_repository(world, &[]).await;
}

#[tokio::test]
async fn blobs_of_a_pack_that_was_cut_short_are_written_again_by_a_push_elsewhere() {
    let (world, pushed) = damaged(cut_short).await;
    let first = world.record("first").await;
    let last = world.hub.missing_objects(&first, &blobs_of(&pushed)).await.unwrap();
    assert_eq!(last.len(), 1, "what lies beyond the end is asked for");
    let pack = only_pack(&world, &first).await;
    recovers_in_another_repository(world, &[pack]).await;
}

#[tokio::test]
async fn a_repository_asks_for_what_it_lost_and_takes_it() {
    let (world, pushed) = damaged(remove).await;
    let first = world.record("first").await;
    let ids = blobs_of(&pushed);
    assert_eq!(world.hub.missing_objects(&first, &ids).await.unwrap(), ids, "a client is to send it");
    assert_eq!(world.hub.unheld_objects(&first, &ids).await.unwrap(), ids);

    let more: Vec<_> = files("a").into_iter().chain(files("b")).collect();
    let next = commit("next", Some(&pushed), &more);
    world.push("first", "main", std::slice::from_ref(&next)).await;
    assert_eq!(world.hub.missing_objects(&first, &ids).await.unwrap(), []);
    let rows = world.hub.blobs(&first, &ids).await.unwrap();
    let contents = world.hub.contents(&rows).await.unwrap();
    for (row, content) in rows.iter().zip(contents) {
        assert!(pushed.files.values().any(|file| *file == content), "{} is whole again", row.id);
    }
}

#[tokio::test]
async fn what_a_pack_leads_on_to_is_there_until_that_is_lost() {
    let world = World::new().await;
    let first = world.create("first").await;
    let pushed = commit("pushed", None, &files("a"));
    world.push("first", "main", std::slice::from_ref(&pushed)).await;
    let next = commit("next", Some(&pushed), &files("b"));
    world.push("first", "main", std::slice::from_ref(&next)).await;
    let old = only_pack(&world, &first).await;
    let objects = world.store.pack_objects(old).await.unwrap();
    let places: Vec<Place> = objects.iter().map(|object| object.place).collect();
    world.repack_all().await;
    world.faulty.remove(&path_of(old)).await;

    let later = world.restarted();
    assert_eq!(later.store.present(&places).await.unwrap(), vec![true; places.len()]);
    let now = later.store.pack_objects(old).await.unwrap()[0].place.pack;
    assert_ne!(now, old);
    later.faulty.remove(&path_of(now)).await;
    let later = later.restarted();
    assert_eq!(later.store.present(&places).await.unwrap(), vec![false; places.len()]);
}

#[tokio::test]
async fn a_pack_is_asked_for_once_in_a_while_however_many_of_its_objects_are_borrowed() {
    let world = World::new().await;
    let first = world.create("first").await;
    let many: Vec<_> = (0..40).flat_map(|n| files(&format!("f{n}_"))).collect();
    let pushed = commit("pushed", None, &many);
    world.push("first", "main", std::slice::from_ref(&pushed)).await;
    let later = world.restarted();
    let ids = blobs_of(&pushed);
    for _ in 0..3 {
        assert_eq!(later.hub.unheld_objects(&first, &ids).await.unwrap(), []);
    }
    assert_eq!(later.faulty.calls(), 1, "one look at the one pack");
}
