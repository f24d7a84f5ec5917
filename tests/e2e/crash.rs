//! The crash matrix: each operation is struck at each of its writes by each fault, in a process of its own. What it leaves is
//! then looked at, served, pushed to and finished. `--nocapture` prints the tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, stream};
use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, MuseClient};

use crate::crash_place::Place;
use crate::crash_scene::{EXPORT, PARTS, POINT, Scene, halve_uploads};
use crate::http::client;
use crate::process::Server;
use crate::push::assert_same;

/// What strikes, as the fail points call it, and what it is.
const FAULTS: [Fault; 5] = [
    ("abort", "abort before it"),
    ("torn", "half written, abort"),
    ("before", "error, no effect"),
    ("after", "error after its effect"),
    ("full", "disk full from here on"),
];
/// What strikes where objects and rows are not files of the machine: a write is whole, and no disk is full.
const SHARED_FAULTS: [Fault; 2] = [FAULTS[0], FAULTS[3]];
/// The steps whose answers get lost there: those that decide.
const DECIDING: [&str; 3] = ["put refs/*.json", "complete packs/*.pack", "rows: recording a move"];
type Fault = (&'static str, &'static str);
/// How many cases run at a time.
const AT_ONCE: usize = 2;

/// One write of an operation: the nth of a step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Step {
    name: String,
    nth: u64,
}

/// One cell.
#[derive(Clone, Debug)]
struct Case {
    step: Step,
    fault: &'static str,
}

impl Case {
    fn point(&self) -> String {
        format!("{}:{}:{}", self.fault, self.step.nth, self.step.name)
    }

    /// Whether the fault ends the process.
    fn kills(&self) -> bool {
        matches!(self.fault, "abort" | "torn")
    }
}

/// The steps in a list that a process wrote, in their order, without those of its start: of each the first time and the last,
/// or the first alone where the place is slow.
fn steps(place: &Place, log: &Path, start: usize, wanted: impl Fn(&str) -> bool) -> Vec<Step> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    let mut order: Vec<Step> = Vec::new();
    for (line, name) in text.lines().enumerate().filter(|(_, name)| wanted(name)) {
        let nth = count.entry(name).or_default();
        *nth += 1;
        if line >= start {
            order.push(Step { name: name.to_owned(), nth: *nth });
        }
    }
    let first: BTreeMap<String, u64> = order.iter().rev().map(|step| (step.name.clone(), step.nth)).collect();
    order.retain(|step| {
        let last = step.nth == count[step.name.as_str()] && !place.is_shared();
        step.nth == first[&step.name] || last
    });
    order
}

/// Runs every case of an operation and prints its table.
async fn fill<F, Fut>(operation: &str, place: &Place, steps: &[Step], required: &[&str], case: F)
where
    F: Fn(Case) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = String> + Send + 'static,
{
    for name in required {
        assert!(steps.iter().any(|step| step.name == *name), "{operation} has no step {name}: {steps:?}");
    }
    let shared = place.is_shared();
    let faults: &[Fault] = if shared { &SHARED_FAULTS } else { &FAULTS };
    let each = |step: &Step| {
        let step = step.clone();
        let lost = !shared || DECIDING.contains(&step.name.as_str());
        faults
            .iter()
            .map(move |(fault, _)| (lost || *fault != "after").then(|| Case { step: step.clone(), fault }))
    };
    let cases: Vec<Option<Case>> = steps.iter().flat_map(each).collect();
    let cells: Vec<String> = stream::iter(cases)
        .map(|each| {
            let case = case.clone();
            async move {
                let Some(each) = each else {
                    return String::new();
                };
                let name = format!("{each:?}");
                match tokio::spawn(case(each)).await {
                    Ok(cell) => cell,
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let over = if shared { "S3 and PostgreSQL" } else { "a directory and SQLite" };
    let mut table = format!("\n| {operation}, over {over} |");
    table.extend(faults.iter().map(|(_, what)| format!(" {what} |")));
    table.push_str(&format!("\n|---|{}\n", "---|".repeat(faults.len())));
    for (step, row) in steps.iter().zip(cells.chunks(faults.len())) {
        table.push_str(&format!("| {} {} | {} |\n", step.name, step.nth, row.join(" | ")));
    }
    println!("{table}");
}

const LOG: &str = "MUSEHUB_FAILPOINT_LOG";

/// A history to push to the empty repository.
fn fresh() -> History {
    let mut history = History::new();
    let _ = history.commit_file("main", "one", "one.txt");
    let _ = history.commit_file("main", "two", "two.txt");
    history
}

/// The same with a file that takes several parts.
fn large(part: usize) -> History {
    let mut history = fresh();
    let _ = history.commit("main", "large", |tree| write(tree, "large.bin", noise(7, part + part / 4)));
    history
}

/// A push that is struck: what it brings, and how the server is set up.
#[derive(Clone)]
struct Push {
    brings: History,
    variables: Vec<(&'static str, String)>,
}

impl Push {
    fn serve(&self, place: &Place, name: &str, value: &str) -> Server {
        let mut variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.push((name, value));
        place.serve_with(&variables)
    }
}

/// Strikes a push at those of its steps that are wanted.
async fn strike_push(
    operation: &str,
    place: Place,
    push: Push,
    wanted: impl Fn(&str) -> bool,
    required: &[&str],
) {
    let scene = Arc::new(Scene::new(place).await);
    let dry = scene.place.copy().await;
    let log = dry.path().join("steps");
    let mut server = push.serve(&dry, LOG, log.to_str().unwrap());
    let start = std::fs::read_to_string(&log).unwrap().lines().count();
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let _ = remote.push(&push.brings, "main", false).await.unwrap();
    server.process.kill();
    let steps = steps(&scene.place, &log, start, wanted);
    dry.remove().await;
    let struck = scene.clone();
    fill(operation, &scene.place, &steps, required, move |case| {
        push_case(struck.clone(), push.clone(), case)
    })
    .await;
}

/// Whether a step is of a push, and not what the server does of its own accord in the meantime.
fn is_of_a_push(step: &str) -> bool {
    let rows = ["rows: recording a move", "rows: indexing a repository"];
    !step.contains("leases") && (!step.starts_with("rows") || rows.contains(&step))
}

async fn strike_small_push(place: Place) {
    let required = [
        "put staging/*.pack",
        "put staging/*.idx",
        "put packs/*.pack",
        "put packs/*.idx",
        "put repositories/*.json",
        "put refs/*.json",
        "rows: recording a move",
        "delete staging/*.idx",
        "delete staging/*.pack",
    ];
    let push = Push { brings: fresh(), variables: Vec::new() };
    strike_push("push", place, push, is_of_a_push, &required).await;
}

async fn strike_large_push(place: Place) {
    let required = ["begin packs/*.pack", "part packs/*.pack", "complete packs/*.pack"];
    // A store takes no parts under 5 MiB but the last.
    let part: usize = if place.is_shared() { 5 << 20 } else { 64 << 10 };
    let push = Push { brings: large(part), variables: vec![(PARTS, part.to_string())] };
    let wanted = |step: &str| required.contains(&step);
    strike_push("push of a large pack", place, push, wanted, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_is_cut_off_anywhere_is_whole_or_not_there() {
    strike_small_push(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_in_parts_that_is_cut_off_anywhere_is_whole_or_not_there() {
    strike_large_push(Place::local()).await;
}

/// What is to be seen of a repository that is empty but for one push: all of it or nothing.
async fn is_there(remote: &MuseClient, pushed: &History, case: &Case) -> bool {
    let heads = remote.refs().await.unwrap().branch_heads;
    if heads.is_empty() {
        let head = pushed.head("main").to_owned();
        let brought = remote.fetch_bundle(&[head], &[]).await;
        assert!(!brought.is_ok_and(|bundle| !bundle.commits.is_empty()), "{case:?}: seen without its branch");
        return false;
    }
    assert_same(&remote.clone_repository().await.unwrap(), pushed);
    true
}

async fn push_case(scene: Arc<Scene>, push: Push, case: Case) -> String {
    let mut place = scene.place.copy().await;
    let before = place.census();
    let mut pushed = push.brings.clone();
    let mut server = push.serve(&place, POINT, &case.point());
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let answer = remote.push(&pushed, "main", false).await;
    let acknowledged = answer.is_ok();
    if case.kills() {
        // The last steps come after the answer.
        assert!(server.process.ended(), "{case:?}: {}", server.process.printed());
    } else {
        server.process.wait_for("fail point", |line| line.starts_with("failpoint:").then_some(()));
        let there = is_there(&remote, &pushed, &case).await;
        assert!(there || !acknowledged, "{case:?}: an acknowledged push is lost");
        if case.fault != "full" {
            let again = remote.push(&pushed, "main", false).await;
            let again = again.map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(again, Ok(()), "{case:?}: a server that failed once cannot be pushed to");
            assert!(is_there(&remote, &pushed, &case).await, "{case:?}");
        }
        server.process.kill();
    }
    let left = before.difference(&place.census());

    let mut server = place.serve();
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let there = is_there(&remote, &pushed, &case).await;
    assert!(there || !acknowledged, "{case:?}: an acknowledged push is lost");
    let _ = pushed.commit_file("main", "afterwards", "three.txt");
    go_on(&mut remote, &pushed, &case).await;
    let mut tunes = scene.tunes.clone();
    let _ = tunes.commit_file("main", "afterwards", "two.txt");
    go_on(&mut client(&server, "alice", "tunes", Some(&scene.token)), &tunes, &case).await;
    server.process.kill();
    expect_from_store_alone(&mut place, &[("new", &pushed), ("tunes", &tunes)]).await;
    place.remove().await;
    let seen = match (there, acknowledged) {
        (true, true) => "acknowledged",
        (true, false) => "there",
        (false, _) => "not there",
    };
    format!("{seen}: {left}")
}

#[tokio::test]
async fn an_upload_of_which_a_power_cut_left_half_is_uploaded_again() {
    let scene = Scene::new(Place::local()).await;
    let pushed = fresh();
    let mut server = scene.place.serve();
    let bundle = pushed.whole("main");
    let _ = client(&server, "alice", "new", Some(&scene.token)).upload(&bundle).await.unwrap();
    server.process.kill();
    halve_uploads(&scene.place);
    let server = scene.place.serve();
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let report = remote.push(&pushed, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 2, "what is lost is asked for");
    assert_same(&remote.clone_repository().await.unwrap(), &pushed);
}

/// Pushes go on, and are whole.
async fn go_on(remote: &mut MuseClient, history: &History, case: &Case) {
    let answer = remote.push(history, "main", false).await;
    assert!(answer.is_ok(), "{case:?}: pushes do not go on: {answer:?}");
    assert_same(&remote.clone_repository().await.unwrap(), history);
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
    // What every command does at its start, and who is at the upkeep, is struck over a directory.
    let everywhere = ["check", "leases", "bringing the schema"];
    let wanted = |step: &str| !scene.place.is_shared() || !everywhere.iter().any(|word| step.contains(word));
    let steps = steps(&scene.place, &log, 0, wanted);
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
    let verified = place.run(&["verify", "--objects"]);
    assert_eq!(verified.status, 0, "{case:?}: {verified:?}");
    let mut repositories = vec![("tunes", &tunes)];
    repositories.extend(scene.rows.as_ref().map(|rows| ("rows", rows)));
    if imports {
        repositories.push(("copy", &copied));
    }
    expect_from_store_alone(&mut place, &repositories).await;
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

async fn strike_repack(place: Place) {
    let required = [
        "put refs/*.seg",
        "delete refs/*.json",
        "put packs/*.pack",
        "put packs/*.idx",
        "put packs/*.fwd",
        "rows: relocating objects",
    ];
    strike_command(Scene::aged(place).await, REPACK, &required).await;
}

async fn strike_first_collection(place: Place) {
    let scene = Scene::aged(place).await;
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

async fn strike_back_filling(place: Place) {
    let required = ["put packs/*.pack", "put packs/*.idx", "put refs/*.json", "rows: recording a move"];
    strike_command(Scene::with_rows(place).await, &["backfill"], &required).await;
}

async fn strike_import(place: Place) {
    let required = [
        "put packs/*.pack",
        "put packs/*.idx",
        "put repositories/*.json",
        "put refs/*.json",
        "rows: indexing a repository",
        "rows: recording a move",
    ];
    strike_command(Scene::exported(place).await, IMPORT, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_that_is_cut_off_anywhere_loses_nothing() {
    strike_repack(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_collection_that_is_cut_off_anywhere_loses_nothing() {
    strike_first_collection(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_collection_that_is_cut_off_anywhere_loses_nothing() {
    let scene = Scene::aged(Place::local()).await;
    let _ = scene.place.run(GC).expect(0);
    scene.place.later();
    strike_command(scene, GC, &["put packs/*.condemned", "delete packs/*.pack", "delete packs/*.idx"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_filling_that_is_cut_off_anywhere_goes_on_and_everything_is_read_meanwhile() {
    strike_back_filling(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_cut_off_anywhere_is_whole_or_not_there() {
    strike_import(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_whose_making_is_cut_off_anywhere_is_made_again() {
    let required = ["rows: indexing a repository", "rows: recording a move"];
    strike_command(Scene::new(Place::local()).await, &["rebuild-index"], &required).await;
}

/// One after the other, since all of them wait for the same two servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_over_an_s3_compatible_store_and_postgresql() {
    strike_small_push(Place::shared().await).await;
    strike_large_push(Place::shared().await).await;
    strike_repack(Place::shared().await).await;
    strike_first_collection(Place::shared().await).await;
    strike_back_filling(Place::shared().await).await;
    strike_import(Place::shared().await).await;
    let required = ["rows: indexing a repository", "rows: recording a move", "rows: replacing the tables"];
    strike_command(Scene::new(Place::shared().await).await, &["rebuild-index", "--replace"], &required).await;
}
