//! Rows of the index while packs go: pushes, failures and restorations in the middle of a collection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use musehub_core::ObjectKey;
use musehub_core::memory::FixedClock;
use musehub_core::port::{
    Clock, HistoryIndex, ObjectStore, PackId, Place, RefStore, RepositoryIndex, RepositoryRecord,
    SystemClock, Timestamp,
};
use musehub_core::scheme::flat_v1;
use musehub_store::{Action, CollectOptions, PlaceIndex, Reason, Upkeep};

use crate::faulty_index::{Heard, Told, When, failure};
use crate::hub_world::{Made, World, commit, text};
use crate::pack_fixtures::blob;
use crate::upkeep::{name_in_log, of};

/// A repository of one commit, with this file.
async fn one_commit(world: &World, name: &str, file: &[u8]) -> Made {
    world.create(name).await;
    let made = commit(name, None, &[("file".to_owned(), file.to_vec())]);
    world.push(name, "main", std::slice::from_ref(&made)).await;
    made
}

async fn delete(world: &World, name: &str) -> RepositoryRecord {
    set_deleted(world, name, true).await
}

async fn set_deleted(world: &World, name: &str, deleted: bool) -> RepositoryRecord {
    let mut record = world.record(name).await;
    record.version += 1;
    record.deleted = deleted;
    world.log.put_repository(&record).await.unwrap();
    world.index.put_repository(&record).await.unwrap();
    record
}

async fn place(world: &World, content: &[u8]) -> Option<Place> {
    let key: ObjectKey = flat_v1::blob_id(content).key();
    PlaceIndex::locate(world.index.as_ref(), &[key]).await.unwrap()[0]
}

/// The same process, whose upkeep tells its index through something else.
fn hearing(world: &World, heard: &Arc<Heard>) -> World {
    let mut other = world.restarted();
    other.upkeep = Upkeep::new(other.store.clone(), other.log.clone(), heard.clone(), other.clock.clone());
    other
}

async fn condemned(world: &World, pack: PackId) -> bool {
    let name = pack.to_string();
    let path = format!("packs/{}/{name}.condemned", &name[..2]);
    world.faulty.contents().await.iter().any(|(key, _)| *key == path)
}

/// A world where the only repository with a file is deleted for so long that it goes, and where its blob lies.
async fn about_to_go(content: &[u8]) -> (World, Place) {
    let world = World::new().await;
    one_commit(&world, "old", content).await;
    let place = place(&world, content).await.unwrap();
    delete(&world, "old").await;
    world.wait(2);
    (world, place)
}

#[tokio::test]
async fn a_push_that_found_a_blob_before_its_row_was_forgotten_is_whole() {
    let content = text("found");
    let (world, place_before) = about_to_go(&content).await;
    let pushing = Arc::new(world.restarted());
    pushing.create("new").await;
    let made = commit("new", None, &[("again".to_owned(), content.clone())]);
    let (other, push) = (pushing.clone(), made.clone());
    let once = AtomicBool::new(false);
    let heard = Heard::over(world.index.clone(), move |when, told| {
        let (other, push) = (other.clone(), push.clone());
        let first = (when, &told) == (When::Before, &Told::ForgetBlobs) && !once.swap(true, Ordering::SeqCst);
        async move {
            if first {
                other.push("new", "main", std::slice::from_ref(&push)).await;
            }
            Ok(())
        }
        .boxed()
    });
    hearing(&world, &heard).collect().await;
    assert!(heard.told().contains(&Told::ForgetBlobs), "the row was about to be forgotten");
    let record = world.record("new").await;
    assert_eq!(world.log.heads(&record.repo_id).await.unwrap()[0].borrowed, [place_before.pack]);
    world.expect("new", "main", std::slice::from_ref(&made), "at once").await;
    assert!(!condemned(&world, place_before.pack).await, "the log names it");
    for round in 0..3 {
        world.wait(2);
        world.collect().await;
        world.expect("new", "main", std::slice::from_ref(&made), &format!("round {round}")).await;
    }
}

#[tokio::test]
async fn rows_of_a_pack_that_the_log_names_meanwhile_come_again() {
    let content = text("named");
    let (world, place_before) = about_to_go(&content).await;
    let naming = Arc::new(world.restarted());
    let once = AtomicBool::new(false);
    let heard = Heard::over(world.index.clone(), move |when, told| {
        let naming = naming.clone();
        let first = (when, &told) == (When::Before, &Told::ForgetBlobs) && !once.swap(true, Ordering::SeqCst);
        async move {
            if first {
                // A push whose move is in the log, and whose rows are about to be written.
                name_in_log(&naming, "new", place_before.pack).await;
            }
            Ok(())
        }
        .boxed()
    });
    let collected = hearing(&world, &heard).collect().await;
    assert!(heard.told().contains(&Told::RestoreBlobs), "{:?}", heard.told());
    assert_eq!(place(&world, &content).await, Some(place_before));
    assert_eq!(of(&collected, Reason::Deleted, Action::Removed), 1);
    assert!(!condemned(&world, place_before.pack).await);
}

#[tokio::test]
async fn a_reprieved_pack_has_its_rows_again() {
    let content = text("reprieved");
    let (world, place_before) = about_to_go(&content).await;
    world.collect().await;
    assert_eq!(place(&world, &content).await, None, "it is about to go");
    assert!(condemned(&world, place_before.pack).await);
    name_in_log(&world, "new", place_before.pack).await;
    let collected = world.collect().await;
    assert_eq!(of(&collected, Reason::Orphaned, Action::Reprieved), 1);
    assert_eq!(place(&world, &content).await, Some(place_before));
}

#[tokio::test]
async fn a_row_that_nobody_told_of_a_fold_goes_with_the_pack() {
    let content = text("untold");
    let world = World::new().await;
    one_commit(&world, "old", &content).await;
    let small = one_commit(&world, "stays", &text("beside")).await;
    let heard = Heard::over(world.index.clone(), |_, told| {
        async move { if told == Told::Relocate { Err(failure()) } else { Ok(()) } }.boxed()
    });
    let place_before = place(&world, &content).await.unwrap();
    let options = musehub_store::RepackOptions { min_packs: 2, all: true, dry_run: false };
    hearing(&world, &heard).upkeep.repack(options, &|_| ()).await.unwrap_err();
    assert_eq!(place(&world, &content).await, Some(place_before), "folded, and the index was not told");
    assert!(world.count("packs", ".fwd").await > 0);
    delete(&world, "old").await;
    for round in 0..5 {
        world.wait(2);
        world.collect().await;
        world.expect("stays", "main", std::slice::from_ref(&small), &format!("round {round}")).await;
    }
    assert_ne!(place(&world, &content).await, Some(place_before), "its pack is gone");
    let again = one_commit(&world.restarted(), "again", &content).await;
    world.expect("again", "main", std::slice::from_ref(&again), "pushed again").await;
}

async fn damage(world: &World, pack: PackId, extension: &str, at: usize) {
    let name = pack.to_string();
    let path = format!("packs/{}/{name}.{extension}", &name[..2]);
    let contents = world.faulty.contents().await;
    let mut bytes = contents.iter().find(|(key, _)| *key == path).unwrap().1.to_vec();
    bytes[at] ^= 1;
    world.faulty.put(&path, &bytes).await;
}

#[tokio::test]
async fn rows_of_a_pack_whose_index_is_damaged_are_forgotten_by_its_records() {
    let content = text("damaged index");
    let (world, place_before) = about_to_go(&content).await;
    damage(&world, place_before.pack, "idx", 70).await;
    for _ in 0..3 {
        world.collect().await;
        world.wait(2);
    }
    assert_eq!(place(&world, &content).await, None);
    assert_eq!(world.count("packs", ".pack").await, 0, "its pack is gone");
    let again = one_commit(&world.restarted(), "again", &content).await;
    world.expect("again", "main", std::slice::from_ref(&again), "pushed again").await;
}

#[tokio::test]
async fn a_pack_of_which_nobody_can_tell_what_it_holds_stays_and_is_reported() {
    let content = text("damaged");
    let (world, place_before) = about_to_go(&content).await;
    let other = world.store.put(vec![blob(b"an orphan beside")]).await.unwrap().pack.unwrap();
    damage(&world, place_before.pack, "idx", 70).await;
    damage(&world, place_before.pack, "pack", 9).await;
    let collected = world.collect().await;
    let names: Vec<&str> = collected.spared.iter().map(|spared| spared.what.as_str()).collect();
    assert_eq!(names, [place_before.pack.to_string()], "{collected:?}");
    assert!(!condemned(&world, place_before.pack).await && condemned(&world, other).await);
    assert_eq!(place(&world, &content).await, Some(place_before));
}

/// Another process does something once, when the rows of a deleted repository were forgotten, or are about to be.
fn meanwhile<F>(
    world: &World,
    when: When,
    act: impl Fn(Arc<World>) -> F + Send + Sync + 'static,
) -> Arc<Heard>
where
    F: Future<Output = ()> + Send + 'static,
{
    let other = Arc::new(world.restarted());
    Heard::over(world.index.clone(), move |at, told| {
        let act = (at == when && matches!(told, Told::ForgetRepository(_))).then(|| act(other.clone()));
        async move {
            if let Some(act) = act {
                act.await;
            }
            Ok(())
        }
        .boxed()
    })
}

#[tokio::test]
async fn another_process_that_catches_up_makes_no_rows_of_what_is_being_removed() {
    let content = text("caught up");
    let (world, _) = about_to_go(&content).await;
    let record = world.record("old").await;
    let heard = meanwhile(&world, When::After, |other| async move {
        other.hub.catch_up().await.unwrap();
    });
    hearing(&world, &heard).collect().await;
    assert!(heard.told().contains(&Told::ForgetRepository(record.repo_id.clone())));
    assert_eq!(world.index.branches(&record.repo_id).await.unwrap(), [], "no move is recorded again");
    assert_eq!(place(&world, &content).await, None);
}

#[tokio::test]
async fn a_repository_that_cannot_be_forgotten_keeps_nobody_else() {
    let (world, _) = about_to_go(&text("stuck")).await;
    one_commit(&world, "second", &text("second")).await;
    delete(&world, "second").await;
    let orphan = world.store.put(vec![blob(b"an orphan")]).await.unwrap().pack.unwrap();
    world.wait(2);
    let stuck = world.record("old").await.repo_id;
    let heard = Heard::over(world.index.clone(), move |_, told| {
        let fails = told == Told::ForgetRepository(stuck.clone());
        async move { if fails { Err(failure()) } else { Ok(()) } }.boxed()
    });
    let other = hearing(&world, &heard);
    let collected = other.collect().await;
    assert_eq!(of(&collected, Reason::Deleted, Action::Removed), 1, "{collected:?}");
    assert_eq!(
        of(&collected, Reason::Orphaned, Action::Condemned),
        2,
        "the orphan, and what the second one had"
    );
    assert!(condemned(&world, orphan).await);
    let spared: Vec<&str> = collected.spared.iter().map(|spared| spared.what.as_str()).collect();
    assert_eq!(spared, ["alice/old"]);
    let collected = world.collect().await;
    assert_eq!(of(&collected, Reason::Deleted, Action::Removed), 1, "the next run removes it");
}

#[tokio::test]
async fn a_repository_that_is_restored_in_the_last_moment_stays() {
    let content = text("restored");
    let world = World::new().await;
    let made = one_commit(&world, "old", &content).await;
    delete(&world, "old").await;
    world.wait(2);
    // Every call of the collection is one before which somebody may restore it.
    let mut seen = Vec::new();
    for at in 0.. {
        let restoring = world.restarted();
        let restored = move || {
            let world = restoring.restarted();
            async move { drop(set_deleted(&world, "old", false).await) }.boxed()
        };
        let faulty = world.faulty.before(at, restored);
        let other = World::over(faulty.clone(), world.index.clone(), world.clock.clone());
        let collected = other.collect().await;
        if of(&collected, Reason::Deleted, Action::Removed) == 1 {
            break;
        }
        let step = faulty.struck().unwrap();
        let context = format!("restored before call {at}, {step}");
        world.expect("old", "main", std::slice::from_ref(&made), &context).await;
        world.without_index().await.expect("old", "main", std::slice::from_ref(&made), &context).await;
        seen.push(step);
        delete(&world, "old").await;
        world.wait(2);
    }
    assert!(seen.contains(&"put refs/=log/purged".to_owned()), "{seen:?}");
}

/// A moment after everything that was written until now, and before everything that is written from now on.
fn moment() -> Timestamp {
    let passed = |moment: Timestamp| {
        while SystemClock.now() <= moment {
            std::thread::yield_now();
        }
    };
    passed(SystemClock.now());
    let moment = SystemClock.now();
    passed(moment);
    moment
}

async fn collect_deleted_before(world: &World, moment: Timestamp) -> usize {
    let world = World::over(world.faulty.clone(), world.index.clone(), Arc::new(FixedClock::new(moment)));
    let options = CollectOptions { retention: Duration::ZERO, ..CollectOptions::default() };
    of(&world.upkeep.collect(options).await.unwrap(), Reason::Deleted, Action::Removed)
}

#[tokio::test]
async fn what_is_deleted_goes_only_if_nobody_has_touched_it() {
    let world = World::new().await;
    // As an import claims a name, and writes moves of what nobody sees.
    for name in ["untouched", "renewed", "moved"] {
        one_commit(&world, name, &text(name)).await;
    }
    let claims = [delete(&world, "renewed").await, delete(&world, "moved").await];
    delete(&world, "untouched").await;
    let moment = moment();
    world.log.renew_repository(&claims[0]).await.unwrap();
    let mut entry = world.log.heads(&claims[1].repo_id).await.unwrap().remove(0);
    (entry.sequence, entry.old) = (2, entry.new);
    world.log.append(&entry).await.unwrap();
    assert_eq!(collect_deleted_before(&world, moment).await, 1);
    assert_eq!(world.record("renewed").await, claims[0], "it says what it said");
    for claim in &claims {
        assert!(!world.log.heads(&claim.repo_id).await.unwrap().is_empty());
    }
    assert_eq!(collect_deleted_before(&world, self::moment()).await, 2, "then nobody has");
}
