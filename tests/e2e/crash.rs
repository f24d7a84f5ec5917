//! The crash matrix: each operation is struck at each of its writes by each fault, in a process of its own. What it leaves is
//! then looked at, served, pushed to and finished. Hubs are over a directory and SQLite, or over an S3-compatible store and
//! PostgreSQL where the tests run on that. `--nocapture` prints the tables.

use std::sync::Arc;

use musehub_test_services::Engine;
use musehub_test_support::{History, MuseClient};

use crate::crash_change::Change;
use crate::crash_place::Place;
use crate::crash_scene::{EXPORT, Scene, halve_uploads};
use crate::crash_table::{Case, LOG, POINT, fill, steps};
use crate::http::client;
use crate::process::Server;
use crate::push::assert_same;

/// Strikes a change at those of its steps that are wanted.
async fn strike(operation: &str, scene: Scene, change: Change, required: &[&str]) {
    let dry = scene.place.copy().await;
    let log = dry.path().join("steps");
    let mut server = change.serve(&dry, LOG, log.to_str().unwrap());
    let start = std::fs::read_to_string(&log).unwrap().lines().count();
    change.make(&server, &scene.token).await.unwrap();
    server.process.kill();
    let steps = steps(&log, start, is_of_a_change);
    dry.remove().await;
    let scene = Arc::new(scene);
    let struck = scene.clone();
    let case = move |case| change_case(struck.clone(), change.clone(), case);
    fill(operation, &scene.place, &steps, required, case).await;
}

/// Whether a step is of a change, and not what the server does of its own accord in the meantime.
fn is_of_a_change(step: &str) -> bool {
    !step.contains("leases") && (!step.starts_with("rows") || ROWS_OF_A_CHANGE.contains(&step))
}

const ROWS_OF_A_CHANGE: [&str; 5] = [
    "rows: claiming the name of a branch",
    "rows: announcing a move",
    "rows: recording a move",
    "rows: releasing the name of a branch",
    "rows: indexing a repository",
];

async fn change_case(scene: Arc<Scene>, change: Change, case: Case) -> String {
    let mut place = scene.place.copy().await;
    let (context, token) = (format!("{case:?}"), &scene.token);
    let before = place.census();
    let mut server = change.serve(&place, POINT, &case.point());
    let acknowledged = change.make(&server, token).await.is_ok();
    let mut lasts = acknowledged;
    // The last steps come after the answer.
    let left = if case.kills() {
        assert!(server.process.ended(), "{context}: {}", server.process.printed());
        before.difference(&place.census())
    } else {
        server.process.wait_for("fail point", |line| line.starts_with("failpoint:").then_some(()));
        let left = before.difference(&place.census());
        let there = change.seen(&server, token, &context).await.is_some();
        assert!(there || !lasts, "{context}: an acknowledged change is lost");
        if case.fault != "full" && !there {
            let _ = made(&change, &server, token, &context).await;
            lasts = true;
        }
        server.process.kill();
        left
    };

    let mut server = place.serve();
    let seen = change.seen(&server, token, &context).await;
    expect_whole(&place, &context);
    let there = seen.is_some();
    assert!(there || !lasts, "{context}: an acknowledged change is lost");
    let mut changed = match seen {
        Some(history) => history,
        None => made(&change, &server, token, &context).await,
    };
    let _ = changed.commit_file("main", "afterwards", "three.txt");
    go_on(&mut change.client(&server, Some(token)), &changed, &case).await;
    server.process.kill();
    if case.kills() {
        let mut all = vec![(change.slug(), &changed)];
        all.extend((change.slug() != "tunes").then_some(("tunes", &scene.tunes)));
        expect_from_store_alone(&mut place, &all).await;
    }
    place.remove().await;
    let seen = match (there, acknowledged) {
        (true, true) => "acknowledged",
        (true, false) => "there",
        (false, _) => "not there",
    };
    format!("{seen}: {left}")
}

/// Makes a change that was not made; what is there then.
async fn made(change: &Change, server: &Server, token: &str, context: &str) -> History {
    let answer = change.make(server, token).await;
    assert!(answer.is_ok(), "{context}: it cannot be tried again: {answer:?}");
    change.seen(server, token, context).await.unwrap_or_else(|| panic!("{context}: it was acknowledged"))
}

const OF_A_LOG_ENTRY: [&str; 4] =
    ["rows: announcing a move", "put packs/*.pack", "put refs/*.json", "rows: recording a move"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let required = [
        "put staging/*.pack",
        "put staging/*.idx",
        "put packs/*.pack",
        "put packs/*.idx",
        "put repositories/*.json",
        "rows: claiming the name of a branch",
        "put refs/*.json",
        "rows: recording a move",
        "delete staging/*.idx",
        "delete staging/*.pack",
    ];
    strike("push", Scene::new(Place::chosen().await).await, Change::first(), &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_in_parts_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let required = ["begin packs/*.pack", "part packs/*.pack", "complete packs/*.pack"];
    let scene = Scene::new(Place::chosen().await).await;
    let change = Change::large(&scene.place);
    strike("push of a large pack", scene, change, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_push_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let scene = Scene::new(Place::chosen().await).await;
    let change = Change::forced(&scene.tunes);
    strike("forced push", scene, change, &OF_A_LOG_ENTRY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_the_hub_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let scene = Scene::new(Place::chosen().await).await;
    let change = Change::commit(&scene.tunes);
    strike("commit of a file", scene, change, &OF_A_LOG_ENTRY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_whose_deletion_is_cut_off_anywhere_is_there_or_gone() {
    let scene = Scene::new(Place::chosen().await).await;
    let change = Change::deletion(&scene.tunes);
    strike("deletion of a branch", scene, change, &["put refs/*.json", "rows: recording a move"]).await;
}

#[tokio::test]
async fn an_upload_of_which_a_power_cut_left_half_is_uploaded_again() {
    let scene = Scene::new(Place::local()).await;
    let change = Change::first();
    let pushed = change.pushed();
    let mut server = scene.place.serve();
    let bundle = pushed.whole("main");
    let _ = change.client(&server, Some(&scene.token)).upload(&bundle).await.unwrap();
    server.process.kill();
    halve_uploads(&scene.place);
    let server = scene.place.serve();
    let mut remote = change.client(&server, Some(&scene.token));
    let report = remote.push(pushed, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 2, "what is lost is asked for");
    assert_same(&remote.clone_repository().await.unwrap(), pushed);
}

/// Pushes go on, and are whole.
async fn go_on(remote: &mut MuseClient, history: &History, case: &Case) {
    let answer = remote.push(history, "main", false).await;
    assert!(answer.is_ok(), "{case:?}: pushes do not go on: {answer:?}");
    assert_same(&remote.clone_repository().await.unwrap(), history);
}

/// Every byte, every reference and every row fit, as a running server has brought the rows up to the store.
fn expect_whole(place: &Place, context: &str) {
    let verified = place.run(&["verify", "--objects"]);
    assert_eq!(verified.status, 0, "{context}: {verified:?}");
}

/// A database that is made of the store says the same.
async fn expect_from_store_alone(place: &mut Place, repositories: &[(&str, &History)]) {
    place.without_database().await;
    let mut server = place.serve();
    for (slug, history) in repositories {
        let clone = client(&server, "alice", slug, None).clone_repository().await.unwrap();
        assert_same(&clone, history);
    }
    server.process.kill();
}

/// Strikes a command everywhere.
async fn strike_command(scene: Scene, arguments: &'static [&'static str], required: &[&str]) {
    let scene = Arc::new(scene);
    let dry = scene.place.copy().await;
    let log = dry.path().join("steps");
    let done = dry.command(arguments).env(LOG, &log).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    // What every command does, at its start and as it holds the upkeep, is struck once.
    let everywhere = ["check", "leases", "bringing the schema"];
    let wanted = |step: &str| arguments == REPACK || !everywhere.iter().any(|word| step.contains(word));
    let steps = steps(&log, 0, wanted);
    dry.remove().await;
    let struck = scene.clone();
    let case = move |case| command_case(struck.clone(), arguments, case);
    fill(&arguments.join(" "), &scene.place, &steps, required, case).await;
}

async fn command_case(scene: Arc<Scene>, arguments: &[&str], case: Case) -> String {
    let mut place = scene.place.copy().await;
    let before = place.census();
    let struck = place.command(arguments).env(POINT, case.point()).output().unwrap();
    let said = String::from_utf8_lossy(&struck.stderr).into_owned();
    assert!(said.contains("failpoint:"), "{case:?} was not struck: {said}");
    assert_eq!(struck.status.code().is_none(), case.kills(), "{case:?}: {struck:?}");
    let left = before.difference(&place.census());
    let told = match struck.status.code() {
        None => "",
        Some(0) => "done, ",
        Some(_) => "failed, ",
    };

    let mut tunes = scene.tunes.clone();
    let mut server = place.serve();
    let mut remote = client(&server, "alice", "tunes", Some(&scene.token));
    assert_same(&remote.clone_repository().await.unwrap(), &tunes);
    expect_whole(&place, &format!("{case:?}"));
    if let Some(rows) = &scene.rows {
        let clone = client(&server, "alice", "rows", None).clone_repository().await.unwrap();
        assert_same(&clone, rows);
    }
    let imports = arguments == IMPORT;
    let mut imported = false;
    if imports {
        let copy = client(&server, "alice", "copy", None);
        imported = copy.refs().await.is_ok();
        assert!(imported || told != "done, ", "{case:?}: it is said to be done");
        if imported {
            assert_same(&copy.clone_repository().await.unwrap(), &tunes);
        }
    }
    let copied = tunes.clone();
    let _ = tunes.commit_file("main", "afterwards", "two.txt");
    go_on(&mut remote, &tunes, &case).await;
    server.process.kill();
    place.end_leases();
    let finished = place.run(arguments);
    if imported {
        assert!(finished.status == 2 && finished.err.contains("exists already"), "{case:?}: {finished:?}");
    } else {
        assert_eq!(finished.status, 0, "{case:?}: what was begun cannot be finished: {finished:?}");
    }
    let mut repositories = vec![("tunes", &tunes)];
    repositories.extend(scene.rows.as_ref().map(|rows| ("rows", rows)));
    if imports {
        repositories.push(("copy", &copied));
    }
    expect_whole(&place, &format!("{case:?}"));
    if case.kills() {
        expect_from_store_alone(&mut place, &repositories).await;
    }
    place.remove().await;
    let seen = match (imports, imported) {
        (false, _) => "",
        (true, true) => "there: ",
        (true, false) => "not there: ",
    };
    format!("{told}{seen}{left}")
}

const REPACK: &[&str] = &["repack", "--all", "--min-packs", "2"];
const GC: &[&str] = &["gc", "--grace", "1"];
const IMPORT: &[&str] = &["import", EXPORT, "--as", "alice/copy"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_that_is_cut_off_anywhere_loses_nothing() {
    let required = [
        "put refs/*.seg",
        "delete refs/*.json",
        "put packs/*.pack",
        "put packs/*.idx",
        "put packs/*.fwd",
        "rows: relocating objects",
    ];
    strike_command(Scene::aged(Place::chosen().await).await, REPACK, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_collection_that_is_cut_off_anywhere_loses_nothing() {
    let scene = Scene::aged(Place::chosen().await).await;
    let _ = scene.place.run(REPACK).expect(0);
    scene.place.later();
    let required = [
        "put packs/*.condemned",
        "delete packs/*.pack",
        "delete packs/*.idx",
        "delete staging/*.pack",
        "delete staging/*.idx",
    ];
    strike_command(scene, GC, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_collection_that_is_cut_off_anywhere_loses_nothing() {
    let scene = Scene::aged(Place::chosen().await).await;
    let _ = scene.place.run(GC).expect(0);
    scene.place.later();
    strike_command(scene, GC, &["put packs/*.condemned", "delete packs/*.pack", "delete packs/*.idx"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_filling_that_is_cut_off_anywhere_goes_on_and_everything_is_read_meanwhile() {
    let required = ["put packs/*.pack", "put packs/*.idx", "put refs/*.json", "rows: recording a move"];
    strike_command(Scene::with_rows(Place::chosen().await).await, &["backfill"], &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let required = [
        "put packs/*.pack",
        "put packs/*.idx",
        "put repositories/*.json",
        "put refs/*.json",
        "rows: indexing a repository",
        "rows: recording a move",
    ];
    strike_command(Scene::exported(Place::chosen().await).await, IMPORT, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_whose_making_is_cut_off_anywhere_is_made_again() {
    let scene = Scene::new(Place::chosen().await).await;
    let rows = ["rows: indexing a repository", "rows: recording a move", "rows: carrying rows over"];
    let (arguments, last): (&[&str], &[&str]) = match Engine::chosen() {
        Engine::Sqlite => (
            &["rebuild-index"],
            &["file: keeping the old database", "file: putting the new database in place"],
        ),
        Engine::Postgres => (&["rebuild-index", "--replace"], &["rows: replacing the tables"]),
    };
    strike_command(scene, arguments, &[&rows[..], last].concat()).await;
}
