//! Folding packs and collecting what nothing needs, step by step.

use bytes::Bytes;
use musehub_core::ObjectKey;
use musehub_core::port::{
    BackendError, HistoryIndex, ObjectStore, PackId, PackedObject, RefStore, RepositoryIndex,
};
use musehub_store::{Action, Collection, Reason, UpkeepError};

use crate::hub_world::{HOUR, Made, World, commit, text};
use crate::pack_fixtures::{blob, noise, record};

/// Two repositories that share files, pushed commit by commit: one pack for each push.
async fn two_repositories(world: &World) -> [Vec<Made>; 2] {
    repositories_of(world, 5).await
}

/// The same with this many commits each.
pub(crate) async fn repositories_of(world: &World, commits: u8) -> [Vec<Made>; 2] {
    let mut histories = [Vec::new(), Vec::new()];
    for (name, history) in ["one", "two"].into_iter().zip(&mut histories) {
        world.create(name).await;
        for n in 0..commits {
            let files = [
                ("shared.py".to_owned(), text("shared")),
                ("own.py".to_owned(), text(&format!("{name}_{n}"))),
                ("noise.bin".to_owned(), noise(u64::from(n % 3), 2_000)),
            ];
            let made = commit(&format!("{name} {n}"), history.last(), &files);
            world.push(name, "main", std::slice::from_ref(&made)).await;
            history.push(made);
        }
    }
    histories
}

pub(crate) async fn expect_both(world: &World, histories: &[Vec<Made>; 2], context: &str) {
    for (name, history) in ["one", "two"].into_iter().zip(histories) {
        world.expect(name, "main", history, context).await;
    }
}

/// Everything that is in the packs, with its bytes.
async fn everything(world: &World) -> Vec<(PackedObject, Bytes)> {
    let mut all = Vec::new();
    for pack in world.store.packs().await.unwrap() {
        for object in world.store.pack_objects(pack).await.unwrap() {
            all.push((object, world.store.read(&[object.located()]).await.unwrap().remove(0)));
        }
    }
    all
}

pub(crate) fn of(collection: &Collection, reason: Reason, action: Action) -> usize {
    collection.sums().get(&(reason, action)).map_or(0, |sum| sum.count as usize)
}

#[tokio::test]
async fn many_packs_become_one_and_every_old_name_and_place_leads_there() {
    let world = World::new().await;
    let histories = two_repositories(&world).await;
    let before = everything(&world).await;
    let old = world.store.packs().await.unwrap();
    assert_eq!(old.len(), 10);

    let done = world.repack_all().await;
    assert_eq!((done.folds, done.folded.len(), done.written.len()), (1, 10, 1));
    assert!(done.bytes_after < done.bytes_before, "{done:?}");
    assert_eq!((done.rows, done.duplicates, done.refused.len()), (done.records, 0, 0));
    let new = done.written[0];
    expect_both(&world, &histories, "after the repack").await;
    for pack in &old {
        let objects = world.store.pack_objects(*pack).await.unwrap();
        assert!(objects.iter().all(|object| object.place.pack == new), "an old name leads to the new pack");
    }
    assert_eq!(world.repack_all().await.folds, 0, "there is nothing to do again");

    assert_eq!(of(&world.collect().await, Reason::Folded, Action::Removed), 0, "not within the grace period");
    world.wait(2);
    let collected = world.collect().await;
    assert_eq!(of(&collected, Reason::Folded, Action::Removed), 10);
    assert_eq!((world.count("packs", ".pack").await, world.count("packs", ".fwd").await), (1, 10));
    expect_both(&world, &histories, "after the collection").await;
    for (object, bytes) in before {
        let read = world.store.read(&[object.located()]).await.unwrap();
        assert_eq!(read, [bytes], "whoever knows an old place still reads it");
    }
}

#[tokio::test]
async fn a_rebuilt_index_equals_the_one_that_was_told() {
    let world = World::new().await;
    let histories = two_repositories(&world).await;
    let mut keys: Vec<ObjectKey> = everything(&world).await.iter().map(|(object, _)| object.key).collect();
    keys.sort_unstable();
    keys.dedup();
    for round in 0..3 {
        world.repack_all().await;
        world.wait(2);
        if round > 0 {
            world.collect().await;
        }
        let rebuilt = world.without_index().await;
        let told = musehub_store::PlaceIndex::locate(world.index.as_ref(), &keys).await.unwrap();
        let made = musehub_store::PlaceIndex::locate(rebuilt.index.as_ref(), &keys).await.unwrap();
        assert_eq!(told, made, "round {round}");
        expect_both(&rebuilt, &histories, "rebuilt").await;
        // A later push makes another pack, so that the next round folds what is folded.
        world.create(&format!("more-{round}")).await;
        let more = commit("more", None, &[("m.py".to_owned(), text(&format!("more_{round}")))]);
        world.push(&format!("more-{round}"), "main", &[more]).await;
    }
}

#[tokio::test]
async fn names_lead_on_through_many_folds() {
    let world = World::new().await;
    let histories = two_repositories(&world).await;
    let first = everything(&world).await;
    for round in 0..4 {
        let name = format!("round-{round}");
        world.create(&name).await;
        let made = commit(&name, None, &[("r.py".to_owned(), text(&format!("round_{round}")))]);
        world.push(&name, "main", std::slice::from_ref(&made)).await;
        assert_eq!(world.repack_all().await.folds, 1);
        world.wait(2);
        world.collect().await;
        assert_eq!(world.count("packs", ".pack").await, 1, "round {round}");
        expect_both(&world, &histories, &name).await;
    }
    for (object, bytes) in first {
        assert_eq!(world.store.read(&[object.located()]).await.unwrap(), [bytes]);
    }
}

#[tokio::test]
async fn blobs_that_several_packs_have_become_one_and_are_compressed() {
    let world = World::new().await;
    let content = text("twice");
    let mut before = 0;
    for name in ["one", "two", "three"] {
        // A process that knows nothing of the others' packs, and a client that uploads first.
        let store = &world.restarted().store;
        let staged = crate::pack_fixtures::stage(store, &content, &[100]).await;
        let own = blob(name.as_bytes());
        let receipt = store.put(vec![crate::pack_fixtures::staged(&staged), own]).await.unwrap();
        before += receipt.objects[0].place.length;
        name_in_log(&world, name, receipt.pack.unwrap()).await;
    }
    let done = world.repack_all().await;
    assert_eq!((done.records, done.duplicates), (4, 2));
    let packs = world.store.packs().await.unwrap();
    let places = futures::future::join_all(packs.iter().map(|pack| world.store.pack_objects(*pack))).await;
    let lengths =
        places.into_iter().flat_map(Result::unwrap).filter(|object| object.size == content.len() as u64);
    let lengths: Vec<u64> = lengths.map(|object| object.place.length).collect();
    assert_eq!(lengths.len(), 4, "three names and the new pack");
    assert!(lengths.iter().all(|length| *length < before / 3 / 2), "{lengths:?} of {before}");
}

#[tokio::test]
async fn variants_under_one_key_are_both_kept() {
    let world = World::new().await;
    let key = record(musehub_core::ObjectKind::Commit, b"{}").key;
    let variants = [r#"{"author":"a"}"#, r#"{"author":"b"}"#].map(|payload| {
        let mut object = record(musehub_core::ObjectKind::Commit, payload.as_bytes());
        object.key = key;
        object
    });
    let mut places = Vec::new();
    for (variant, name) in variants.iter().zip(["one", "two"]) {
        let receipt = world.store.put(vec![variant.clone()]).await.unwrap();
        places.push(receipt.objects[0].located());
        name_in_log(&world, name, receipt.pack.unwrap()).await;
    }
    let done = world.repack_all().await;
    assert_eq!((done.folds, done.records, done.duplicates), (1, 2, 0));
    world.wait(2);
    world.collect().await;
    let read = world.store.read(&places).await.unwrap();
    assert!(read[0].ends_with(br#"{"author":"a"}"#) && read[1].ends_with(br#"{"author":"b"}"#));
}

/// Makes the log name a pack, as a push that borrows from it does.
pub(crate) async fn name_in_log(world: &World, repository: &str, pack: PackId) {
    let record = world.create(repository).await;
    let entry = musehub_core::port::RefLogEntry {
        repo_id: record.repo_id.clone(),
        branch: crate::index_fixtures::branch("main"),
        sequence: 1,
        old: None,
        new: Some(crate::index_fixtures::commit_id(1)),
        forced: false,
        pusher: record.owner.clone(),
        at: record.created_at,
        packs: Vec::new(),
        borrowed: vec![pack],
    };
    world.log.append(&entry).await.unwrap();
}

#[tokio::test]
async fn a_damaged_pack_is_refused_by_name_and_the_others_are_folded() {
    let world = World::new().await;
    two_repositories(&world).await;
    let damaged = world.store.packs().await.unwrap()[3];
    let name = damaged.to_string();
    let path = format!("packs/{}/{name}.pack", &name[..2]);
    let contents = world.faulty.contents().await;
    let mut bytes = contents.iter().find(|(key, _)| *key == path).unwrap().1.to_vec();
    bytes[100] ^= 1;
    world.faulty.put(&path, &bytes).await;
    let done = world.repack_all().await;
    assert_eq!((done.folded.len(), done.refused.len()), (9, 1));
    assert_eq!(done.refused[0].0, damaged);
    assert!(done.refused[0].1.contains(&name), "{:?}", done.refused);
    assert!(!done.folded.contains(&damaged), "it stays as it is");
}

#[tokio::test]
async fn an_orphaned_pack_goes_in_two_steps_and_its_name_is_not_used_meanwhile() {
    let world = World::new().await;
    let histories = two_repositories(&world).await;
    let receipt = world.store.put(vec![blob(b"nobody's")]).await.unwrap();
    let orphan = receipt.pack.unwrap();
    let is_there = async || world.store.packs().await.unwrap().contains(&orphan);

    assert_eq!(of(&world.collect().await, Reason::Orphaned, Action::Condemned), 0, "it may be named yet");
    world.wait(2);
    assert_eq!(of(&world.collect().await, Reason::Orphaned, Action::Condemned), 1);
    assert!(is_there().await);
    let again = world.store.put(vec![blob(b"nobody's")]).await.unwrap();
    assert_ne!(again.pack, Some(orphan), "the same objects under another name");
    name_in_log(&world, "third", again.pack.unwrap()).await;
    world.wait(2);
    let collected = world.collect().await;
    assert_eq!(of(&collected, Reason::Orphaned, Action::Removed), 1);
    assert!(!is_there().await);
    let read = world.store.read(&[again.objects[0].located()]).await.unwrap();
    assert!(read[0].ends_with(b"nobody's"));
    world.wait(2);
    assert_eq!(of(&world.collect().await, Reason::Marker, Action::Removed), 1, "then the name is free");
    expect_both(&world, &histories, "after all").await;
}

#[tokio::test]
async fn a_pack_that_is_named_after_it_was_condemned_is_reprieved() {
    let world = World::new().await;
    let receipt = world.store.put(vec![blob(b"late")]).await.unwrap();
    world.wait(2);
    assert_eq!(of(&world.collect().await, Reason::Orphaned, Action::Condemned), 1);
    // A push that found the object before, and took its time.
    name_in_log(&world, "late", receipt.pack.unwrap()).await;
    world.wait(2);
    assert_eq!(of(&world.collect().await, Reason::Orphaned, Action::Reprieved), 1);
    world.wait(2);
    assert!(world.collect().await.collected.is_empty());
    assert!(world.store.read(&[receipt.objects[0].located()]).await.is_ok());
}

#[tokio::test]
async fn a_push_that_borrows_from_an_orphan_keeps_it() {
    let world = World::new().await;
    // The push that wrote the pack died before its log entry; the process lives and remembers.
    let content = text("lent");
    let orphan = world.store.put(vec![blob(&content)]).await.unwrap().pack.unwrap();
    world.create("borrower").await;
    let made = commit("borrows", None, &[("f".to_owned(), content)]);
    world.push("borrower", "main", std::slice::from_ref(&made)).await;
    let record = world.record("borrower").await;
    let entry = world.log.heads(&record.repo_id).await.unwrap().remove(0);
    assert_eq!(entry.borrowed, [orphan]);
    for _ in 0..4 {
        world.wait(2);
        world.collect().await;
    }
    world.expect("borrower", "main", std::slice::from_ref(&made), "later").await;
    world.without_index().await.expect("borrower", "main", &[made], "rebuilt").await;
}

#[tokio::test]
async fn a_deleted_repository_goes_and_what_others_hold_of_it_stays() {
    let world = World::new().await;
    let histories = two_repositories(&world).await;
    // The second repository borrows the shared blobs from the first.
    let mut record = world.record("one").await;
    record.version += 1;
    record.deleted = true;
    world.log.put_repository(&record).await.unwrap();
    world.index.put_repository(&record).await.unwrap();
    let stays = async |world: &World, context: &str| {
        world.expect("two", "main", &histories[1], context).await;
        world.without_index().await.expect("two", "main", &histories[1], context).await;
    };
    assert_eq!(of(&world.collect().await, Reason::Deleted, Action::Removed), 0, "it may be restored yet");
    world.repack_all().await;
    let mut removed = Collection::default();
    for round in 0..6 {
        world.wait(2);
        let collection = world.collect().await;
        assert_eq!(of(&collection, Reason::Deleted, Action::Removed), usize::from(round == 0));
        removed.collected.extend(collection.collected);
        stays(&world, &format!("round {round}")).await;
        world.repack_all().await;
    }
    assert_eq!(world.log.heads(&record.repo_id).await.unwrap(), []);
    assert_eq!(world.index.branches(&record.repo_id).await.unwrap(), []);
    assert!(of(&removed, Reason::Orphaned, Action::Removed) > 0);
    // What only the first one held is in no pack any more, but for packs that the second one borrows from.
    let own = histories[0][4].files["own.py"].clone();
    let all = everything(&world).await;
    assert!(!all.iter().any(|(_, bytes)| bytes.ends_with(&own)), "its own files are gone");
    let shared = histories[0][0].files["shared.py"].clone();
    assert!(all.iter().any(|(_, bytes)| bytes.ends_with(&shared)), "the shared ones are not");
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let world = World::new().await;
    // Ten folded packs, ten that are not, and what becomes an orphan only once a repository is removed.
    two_repositories(&world).await;
    world.repack_all().await;
    for name in ["third", "fourth"] {
        world.create(name).await;
        let mut history: Vec<Made> = Vec::new();
        for n in 0..5 {
            let made = commit(&format!("{name} {n}"), history.last(), &[("own".to_owned(), text(name))]);
            world.push(name, "main", std::slice::from_ref(&made)).await;
            history.push(made);
        }
    }
    world.create("deleted").await;
    let made = commit("deleted", None, &[("own".to_owned(), text("deleted"))]);
    world.push("deleted", "main", &[made]).await;
    let mut record = world.record("deleted").await;
    (record.version, record.deleted) = (record.version + 1, true);
    world.log.put_repository(&record).await.unwrap();
    world.store.put(vec![blob(b"orphan")]).await.unwrap();
    crate::pack_fixtures::stage(&world.store, b"never claimed", &[3]).await;
    world.wait(2);
    let before = packs_and_staging(&world).await;
    let options = musehub_store::RepackOptions { min_packs: 2, all: true, dry_run: true };
    let planned = world.upkeep.repack(options, &|_| ()).await.unwrap();
    let options = musehub_store::CollectOptions {
        grace: musehub_store::MIN_GRACE,
        retention: musehub_store::MIN_GRACE,
        dry_run: true,
    };
    let would = world.upkeep.collect(options).await.unwrap();
    assert_eq!(packs_and_staging(&world).await, before);
    assert_eq!((planned.folds_planned, planned.folds), (1, 0));
    let done = world.collect().await;
    assert_eq!(would.collected, done.collected);
    assert_eq!(of(&done, Reason::Staged, Action::Removed), 1);
    assert_eq!(of(&done, Reason::Deleted, Action::Removed), 1);
    assert_eq!(of(&done, Reason::Folded, Action::Removed), 10);
    assert_eq!(of(&done, Reason::Orphaned, Action::Condemned), 2, "the orphan, and what was deleted");
    assert_ne!(packs_and_staging(&world).await, before);
}

async fn packs_and_staging(world: &World) -> Vec<(String, Bytes)> {
    let mut contents = world.faulty.contents().await;
    contents.retain(|(key, _)| !key.starts_with("leases/"));
    contents
}

#[tokio::test]
async fn one_process_at_a_time_does_the_upkeep() {
    let world = World::new().await;
    two_repositories(&world).await;
    let other = world.restarted();
    let options = musehub_store::RepackOptions { min_packs: 2, all: true, dry_run: false };
    let meanwhile = std::sync::Mutex::new(None);
    let both = async {
        let first = world.upkeep.repack(options, &|_| ());
        let second = async {
            let outcome = other.upkeep.repack(options, &|_| ()).await;
            *meanwhile.lock().unwrap() = Some(outcome);
        };
        futures::join!(first, second).0
    };
    both.await.unwrap();
    let second = meanwhile.into_inner().unwrap().unwrap();
    assert!(matches!(second, Err(UpkeepError::Busy)), "{second:?}");
    assert_eq!(other.repack_all().await.folds, 0, "and it is free again");
    // A process that died held the lease; it ends by itself.
    let died = world.faulty.failing(crate::faulty_store::Fault::Before, 6);
    let died = World::over(died, world.index.clone(), world.clock.clone());
    assert!(died.upkeep.repack(options, &|_| ()).await.is_err());
    let busy = world.upkeep.repack(options, &|_| ()).await;
    assert!(matches!(busy, Err(UpkeepError::Busy)), "{busy:?}");
    world.clock.advance(HOUR);
    world.repack_all().await;
}

#[tokio::test]
async fn a_large_blob_is_copied_into_a_pack_of_its_own() {
    let world = World::new().await;
    world.create("large").await;
    let large = noise(5, 9 << 20);
    let files = [("large.bin".to_owned(), large), ("small.py".to_owned(), text("small"))];
    let made = commit("large", None, &files);
    world.push("large", "main", std::slice::from_ref(&made)).await;
    let done = world.repack_all().await;
    assert_eq!((done.folds, done.written.len(), done.records), (1, 2, 4));
    world.wait(2);
    world.collect().await;
    world.expect("large", "main", std::slice::from_ref(&made), "after").await;
    world.without_index().await.expect("large", "main", &[made], "rebuilt").await;
    assert_eq!(world.repack_all().await.folds, 0, "compressed once is compressed for good");
}

#[tokio::test]
async fn a_damaged_forwarding_file_is_named() {
    let world = World::new().await;
    two_repositories(&world).await;
    let old = world.repack_all().await.folded[0];
    let name = old.to_string();
    let path = format!("packs/{}/{name}.fwd", &name[..2]);
    let contents = world.faulty.contents().await;
    let mut bytes = contents.iter().find(|(key, _)| *key == path).unwrap().1.to_vec();
    bytes[60] ^= 1;
    world.faulty.put(&path, &bytes).await;
    match world.store.pack_objects(old).await {
        Err(BackendError::Damaged { what, .. }) => assert!(what.contains(&name), "{what}"),
        other => panic!("{other:?}"),
    }
    // What it leads to may be any pack that nothing else leads to.
    let orphan = world.store.put(vec![blob(b"an orphan")]).await.unwrap().pack.unwrap();
    crate::pack_fixtures::stage(&world.store, b"never claimed", &[3]).await;
    world.create("more").await;
    let made = commit("more", None, &[("m".to_owned(), text("more"))]);
    world.push("more", "main", std::slice::from_ref(&made)).await;
    world.wait(2);
    let repacked = world.repack_all().await;
    assert_eq!(repacked.unread.len(), 1, "{repacked:?}");
    for _ in 0..3 {
        let collected = world.collect().await;
        let spared: Vec<&str> = collected.spared.iter().map(|spared| spared.what.as_str()).collect();
        assert!(!spared.is_empty() && spared.iter().all(|spared| *spared == name), "{spared:?}");
        assert_eq!(of(&collected, Reason::Orphaned, Action::Condemned), 0, "nothing that it may lead to");
        world.wait(2);
    }
    assert_eq!(world.count("staging", "").await, 0, "what it cannot lead to is collected");
    assert_eq!(world.count("packs", ".pack").await, 3, "nine folded packs are gone, too");
    assert!(world.store.packs().await.unwrap().contains(&orphan));
    world.expect("more", "main", &[made], "in the end").await;
}
