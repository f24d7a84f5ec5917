//! A process dies at every call that the upkeep makes of its object store and of its index, and what it leaves is read, repaired
//! and finished by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use musehub_core::hub::CaughtUp;
use musehub_core::port::{Clock, ObjectStore, RefStore};
use musehub_store::{CollectOptions, MIN_GRACE, RepackOptions, SqlIndex, Upkeep, UpkeepError};

use crate::faulty_index::{Heard, When, failure};
use crate::faulty_store::{Fault, Faulty};
use crate::hub_world::{Made, World, commit, text};
use crate::pack_fixtures::{blob, stage};
use crate::upkeep::{expect_both, repositories_of};

/// Everything that upkeep does, with something for each of it to do.
async fn all_upkeep(world: &World) -> Result<(), UpkeepError> {
    world.log.compact(world.clock.now(), 1).await?;
    let options = RepackOptions { min_packs: 2, all: true, dry_run: false };
    world.upkeep.repack(options, &|_| ()).await?;
    for _ in 0..3 {
        world.wait(2);
        let options = CollectOptions { grace: MIN_GRACE, retention: MIN_GRACE, dry_run: false };
        world.upkeep.collect(options).await?;
    }
    Ok(())
}

async fn scene() -> (World, [Vec<Made>; 2]) {
    let world = World::new().await;
    let histories = repositories_of(&world, 2).await;
    world.store.put(vec![blob(b"an orphan")]).await.unwrap();
    stage(&world.store, b"never claimed", &[4]).await;
    world.create("deleted").await;
    world.push("deleted", "main", &[commit("gone", None, &[("g".to_owned(), text("gone"))])]).await;
    let mut record = world.record("deleted").await;
    record.version += 1;
    record.deleted = true;
    world.log.put_repository(&record).await.unwrap();
    world.wait(2);
    (world, histories)
}

/// What the upkeep tells the index counts among the calls of its process.
fn dying_index(faulty: &Faulty, world: &World) -> Arc<Heard> {
    let (faulty, answer_lost) = (faulty.clone(), Arc::new(AtomicBool::new(false)));
    Heard::over(world.index.clone(), move |when, told| {
        let (faulty, answer_lost) = (faulty.clone(), answer_lost.clone());
        async move {
            let fails = match when {
                When::After => answer_lost.swap(false, Ordering::SeqCst),
                When::Before => match faulty.other(told.step()).await {
                    None => false,
                    Some(Fault::Before | Fault::Torn) => true,
                    Some(Fault::After) => {
                        answer_lost.store(true, Ordering::SeqCst);
                        false
                    }
                },
            };
            if fails { Err(failure()) } else { Ok(()) }
        }
        .boxed()
    })
}

/// One death; none once the upkeep makes fewer calls than that.
async fn survive(fault: Fault, at: u64, index_lost: bool) -> Option<String> {
    let (world, mut histories) = scene().await;
    let faulty: Faulty = world.faulty.failing(fault, at);
    let mut dying = World::over(faulty.clone(), world.index.clone(), world.clock.clone());
    let told = dying_index(&faulty, &world);
    dying.upkeep = Upkeep::new(dying.store.clone(), dying.log.clone(), told, dying.clock.clone());
    let outcome = all_upkeep(&dying).await;
    let step = faulty.struck()?;
    let context = format!("call {at}, {fault:?} at {step}, index lost: {index_lost}");
    // Some failures are passed over, such as that of removing an old lease; a dead process does nothing after it anyway.
    if outcome.is_ok() {
        assert!(step.starts_with("delete leases"), "{context}");
    }

    let next = if index_lost { world.without_index().await } else { world.restarted() };
    next.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    expect_both(&next, &histories, &context).await;
    // Work goes on, before anybody has tidied up.
    let [history, _] = &mut histories;
    let made = commit("after", history.last(), &[("own.py".to_owned(), text("after"))]);
    next.push("one", "main", std::slice::from_ref(&made)).await;
    history.push(made);
    expect_both(&next, &histories, &context).await;

    next.wait(2);
    let finished = all_upkeep(&next).await;
    finished.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    next.wait(2);
    next.collect().await;
    expect_both(&next, &histories, &context).await;
    expect_both(&next.without_index().await, &histories, &context).await;
    assert_tidy(&next, &context).await;
    Some(step)
}

/// What the upkeep leaves in the end: live packs that are whole, and nothing else.
async fn assert_tidy(world: &World, context: &str) {
    assert_eq!(world.count("staging", "").await, 0, "{context}");
    assert!(world.count("refs", ".json").await <= 1, "{context}: the last push alone is not folded");
    let (packs, indexes) = (world.count("packs", ".pack").await, world.count("packs", ".idx").await);
    assert_eq!(packs, indexes, "{context}");
    assert!(packs <= 2, "{context}: {packs} packs");
    for pack in world.store.packs().await.unwrap() {
        let objects = world.store.pack_objects(pack).await.unwrap();
        let places: Vec<_> = objects.iter().map(|object| object.located()).collect();
        world.store.read(&places).await.unwrap();
    }
}

async fn die_everywhere(fault: Fault, index_lost: bool) {
    let mut steps: BTreeMap<String, u64> = BTreeMap::new();
    let mut at = 0;
    while let Some(step) = survive(fault, at, index_lost).await {
        *steps.entry(step).or_default() += 1;
        at += 1;
    }
    for (step, count) in &steps {
        println!("| {fault:?} | index lost: {index_lost} | {step} | {count} |");
    }
    for step in [
        "put packs/*.pack",
        "put packs/*.idx",
        "put packs/*.fwd",
        "put packs/*.condemned",
        "put refs/=log/*.seg",
        "delete packs/*.pack",
        "delete packs/*.idx",
        "delete packs/*.fwd",
        "put refs/=log/purged",
        "delete refs/=log/purged",
        "put packs/*.shrink",
        "index: relocate ",
        "index: forget blobs ",
        "index: forget a repository ",
        "delete refs/*.json",
        "delete staging/*.idx",
        "list packs/",
    ] {
        assert!(steps.contains_key(step), "no call was {step}: {:?}", steps.keys());
    }
}

#[tokio::test]
async fn a_death_before_any_call_takes_effect_loses_nothing() {
    die_everywhere(Fault::Before, false).await;
}

#[tokio::test]
async fn a_death_after_any_call_took_effect_loses_nothing() {
    die_everywhere(Fault::After, false).await;
}

#[tokio::test]
async fn a_death_in_the_middle_of_any_write_loses_nothing_even_with_the_index() {
    die_everywhere(Fault::Torn, true).await;
}

/// Another process, whose index knows none of the new places, while this one removes what lies at the old ones.
#[tokio::test]
async fn an_index_that_never_heard_of_a_fold_reads_on() {
    let (world, histories) = scene().await;
    let other = Arc::new(SqlIndex::in_memory().await.unwrap());
    let stale = World::over(world.faulty.recovered(), other, world.clock.clone());
    stale.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    all_upkeep(&world).await.unwrap();
    assert_eq!(world.count("packs", ".pack").await, 1, "what the stale index names is gone");
    expect_both(&stale, &histories, "stale").await;
    expect_both(&stale.restarted(), &histories, "stale, without a cache").await;
}
