//! Pushes, folds, collections, compactions and deaths in any order, against a naive model.

use std::collections::BTreeMap;

use musehub_core::hub::CaughtUp;
use musehub_core::port::{Clock, RefStore, RepositoryIndex};
use musehub_store::{CollectOptions, MIN_GRACE, RepackOptions, UpkeepError};

use crate::faulty_store::{Fault, Faulty};
use crate::hub_world::{Made, World, commit, push_of, text};
use crate::pack_fixtures::Dice;

const REPOSITORIES: [&str; 3] = ["a", "b", "c"];
const BRANCHES: [&str; 3] = ["main", "dev", "x"];

type Model = BTreeMap<(&'static str, &'static str), Vec<Made>>;

/// A commit on a branch whose files are often those of other commits, in any repository.
fn next(dice: &mut Dice, history: &[Made]) -> Made {
    let files =
        (0..1 + dice.below(3)).map(|n| (format!("f{n}.py"), text(&format!("text_{}", dice.below(12)))));
    let files: Vec<(String, Vec<u8>)> = files.collect();
    commit(&format!("commit {}", dice.below(1 << 30)), history.last(), &files)
}

async fn check(world: &World, model: &Model, context: &str) {
    for ((repository, branch), history) in model {
        world.expect(repository, branch, history, context).await;
    }
}

/// Some upkeep, of which a store that is well hears no error.
async fn some_upkeep(world: &World, dice: &mut Dice) -> Result<(), UpkeepError> {
    match dice.below(4) {
        0 => drop(world.log.compact(world.clock.now(), 1).await?),
        1 => {
            let options = RepackOptions { min_packs: 2, all: dice.below(2) == 0, dry_run: false };
            let repacked = world.upkeep.repack(options, &|_| ()).await?;
            assert_eq!((repacked.refused, repacked.unread), (vec![], vec![]));
        }
        _ => {
            let options = CollectOptions { grace: MIN_GRACE, retention: MIN_GRACE, dry_run: false };
            let collected = world.upkeep.collect(options).await?;
            assert_eq!((collected.missing, collected.spared), (vec![], vec![]));
        }
    }
    Ok(())
}

/// A lease that a dead process holds is the one thing that may stand in the way.
fn expect_done(outcome: Result<(), UpkeepError>, context: &str) {
    assert!(matches!(outcome, Ok(()) | Err(UpkeepError::Busy)), "{context}: {outcome:?}");
}

/// A repository that has the same files as the others, for a while.
async fn passing(world: &World, dice: &mut Dice, name: &str) {
    world.create(name).await;
    let first = next(dice, &[]);
    let second = next(dice, std::slice::from_ref(&first));
    world.push(name, "main", &[first, second]).await;
}

async fn delete(world: &World, name: &str) {
    let mut record = world.record(name).await;
    (record.version, record.deleted) = (record.version + 1, true);
    world.log.put_repository(&record).await.unwrap();
    world.index.put_repository(&record).await.unwrap();
}

/// Whether an error is that of a store which is gone, or of a lease that another dead process holds.
fn outcome_is_of(outcome: &Result<(), UpkeepError>, faulty: &Faulty) -> bool {
    matches!(outcome, Err(UpkeepError::Busy)) || faulty.struck().is_some()
}

async fn run(seed: u64) {
    let mut dice = Dice::new(seed * 1_000_000);
    let mut world = World::new().await;
    let mut model = Model::new();
    for repository in REPOSITORIES {
        world.create(repository).await;
    }
    let mut passing_by: Vec<String> = Vec::new();
    for step in 0..40 {
        let context = format!("seed {seed}, step {step}");
        match dice.below(12) {
            0..=3 => {
                let (repository, branch) = (REPOSITORIES[dice.below(3)], BRANCHES[dice.below(3)]);
                let history = model.entry((repository, branch)).or_default();
                let made = next(&mut dice, history);
                world.push(repository, branch, std::slice::from_ref(&made)).await;
                history.push(made);
            }
            // A push that dies somewhere: acknowledged or not, whole or not there.
            4 => {
                let (repository, branch) = (REPOSITORIES[dice.below(3)], BRANCHES[dice.below(3)]);
                let made = next(&mut dice, model.get(&(repository, branch)).map_or(&[], Vec::as_slice));
                let fault = [Fault::Before, Fault::After, Fault::Torn][dice.below(3)];
                let faulty = world.faulty.failing(fault, dice.below(12) as u64);
                let dying = World::over(faulty, world.index.clone(), world.clock.clone());
                let record = world.record(repository).await;
                let push = push_of(branch, std::slice::from_ref(&made));
                let answer = dying.hub.receive_push(&record, &record.owner, push).await;
                world = world.restarted();
                world.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                let refs = world.hub.refs(&record).await.unwrap();
                let is_there =
                    refs.branches.iter().any(|row| row.name.as_str() == branch && row.head == made.id);
                assert!(is_there || answer.is_err(), "{context}: an acknowledged push is there");
                if is_there {
                    model.entry((repository, branch)).or_default().push(made);
                }
            }
            5 | 6 => expect_done(some_upkeep(&world, &mut dice).await, &context),
            7 => {
                let fault = [Fault::Before, Fault::After, Fault::Torn][dice.below(3)];
                let faulty = world.faulty.failing(fault, dice.below(60) as u64);
                let dying = World::over(faulty.clone(), world.index.clone(), world.clock.clone());
                let outcome = some_upkeep(&dying, &mut dice).await;
                assert!(outcome.is_ok() || outcome_is_of(&outcome, &faulty), "{context}: {outcome:?}");
                world = world.restarted();
            }
            8 => world.wait(1 + dice.below(3) as i64),
            9 => {
                let name = format!("passing-{step}");
                passing(&world, &mut dice, &name).await;
                passing_by.push(name);
            }
            10 => {
                if !passing_by.is_empty() {
                    let name = passing_by.swap_remove(dice.below(passing_by.len()));
                    delete(&world, &name).await;
                }
            }
            _ => {
                // Pushes and upkeep at the same time.
                let history = model.entry(("a", "main")).or_default();
                let made = next(&mut dice, history);
                let other = world.restarted();
                let (push, upkeep) =
                    (world.push("a", "main", std::slice::from_ref(&made)), some_upkeep(&other, &mut dice));
                expect_done(futures::join!(push, upkeep).1, &context);
                history.push(made);
            }
        }
        check(&world, &model, &context).await;
        if dice.below(8) == 0 {
            check(&world.without_index().await, &model, &format!("{context}, rebuilt")).await;
        }
    }
}

#[tokio::test]
async fn whatever_happens_every_acknowledged_push_is_whole() {
    for seed in 0..12 {
        run(seed).await;
    }
}
