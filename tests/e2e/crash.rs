//! The crash matrix: each operation is struck at each of its writes by each fault, in a process of its own. What it leaves is
//! then looked at, served, pushed to and finished. `--nocapture` prints the tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, stream};
use musehub_test_support::{History, MuseClient};

use crate::crash_scene::{
    POINT, Scene, census, difference, end_leases, halve_uploads, later, without_database,
};
use crate::http::client;
use crate::process::{Server, musehub, run};
use crate::push::assert_same;

/// What strikes, as the fail points call it, and what it is.
const FAULTS: [(&str, &str); 5] = [
    ("abort", "abort before it"),
    ("torn", "half written, abort"),
    ("before", "error, no effect"),
    ("after", "error after its effect"),
    ("full", "disk full from here on"),
];
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

/// The steps in a list that a process wrote, in their order, without those of its start: of each the first time and the last.
fn steps(log: &Path, start: usize, wanted: impl Fn(&str) -> bool) -> Vec<Step> {
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
    order.retain(|step| step.nth == first[&step.name] || step.nth == count[step.name.as_str()]);
    order
}

/// Runs every case of an operation and prints its table.
async fn fill<F, Fut>(operation: &str, steps: &[Step], required: &[&str], case: F)
where
    F: Fn(Case) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = String> + Send + 'static,
{
    for name in required {
        assert!(steps.iter().any(|step| step.name == *name), "{operation} has no step {name}: {steps:?}");
    }
    let cases: Vec<Case> =
        steps.iter().flat_map(|step| FAULTS.map(|(fault, _)| Case { step: step.clone(), fault })).collect();
    let cells: Vec<String> = stream::iter(cases)
        .map(|each| {
            let case = case.clone();
            async move {
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
    let mut table = format!("\n| {operation} |");
    table.extend(FAULTS.map(|(_, what)| format!(" {what} |")));
    table.push_str("\n|---|---|---|---|---|---|\n");
    for (step, row) in steps.iter().zip(cells.chunks(FAULTS.len())) {
        table.push_str(&format!("| {} {} | {} |\n", step.name, step.nth, row.join(" | ")));
    }
    println!("{table}");
}

fn serve(data: &Path, variable: &str, value: &str) -> Server {
    Server::serve(musehub(&["serve"]).arg("--data").arg(data).env(variable, value))
}

const LOG: &str = "MUSEHUB_FAILPOINT_LOG";

/// A history to push to the empty repository.
fn fresh() -> History {
    let mut history = History::new();
    let _ = history.commit_file("main", "one", "one.txt");
    let _ = history.commit_file("main", "two", "two.txt");
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_is_cut_off_anywhere_is_whole_or_not_there() {
    let scene = Arc::new(Scene::new().await);
    let dry = scene.copy();
    let log = dry.path().join("steps");
    let mut server = serve(dry.path(), LOG, log.to_str().unwrap());
    let start = std::fs::read_to_string(&log).unwrap().lines().count();
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let _ = remote.push(&fresh(), "main", false).await.unwrap();
    server.process.kill();
    // What the server does of its own accord in the meantime is no step of the push.
    let steps = steps(&log, start, |step| {
        let rows = ["rows: recording a move", "rows: indexing a repository"];
        !step.contains("leases") && (!step.starts_with("rows") || rows.contains(&step))
    });
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
    fill("push", &steps, &required, move |case| push_case(scene.clone(), case)).await;
}

/// What is to be seen of the struck push: all of it or nothing.
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

async fn push_case(scene: Arc<Scene>, case: Case) -> String {
    let data = scene.copy();
    let before = census(data.path());
    let mut pushed = fresh();
    let mut server = serve(data.path(), POINT, &case.point());
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
    let left = difference(&before, &census(data.path()));

    let mut server = Server::start(data.path());
    let mut remote = client(&server, "alice", "new", Some(&scene.token));
    let there = is_there(&remote, &pushed, &case).await;
    assert!(there || !acknowledged, "{case:?}: an acknowledged push is lost");
    let _ = pushed.commit_file("main", "afterwards", "three.txt");
    go_on(&mut remote, &pushed, &case).await;
    let mut tunes = scene.tunes.clone();
    let _ = tunes.commit_file("main", "afterwards", "two.txt");
    go_on(&mut client(&server, "alice", "tunes", Some(&scene.token)), &tunes, &case).await;
    server.process.kill();
    expect_from_store_alone(data.path(), &[("new", &pushed), ("tunes", &tunes)]).await;
    let seen = match (there, acknowledged) {
        (true, true) => "acknowledged",
        (true, false) => "there",
        (false, _) => "not there",
    };
    format!("{seen}: {left}")
}

#[tokio::test]
async fn an_upload_of_which_a_power_cut_left_half_is_uploaded_again() {
    let scene = Scene::new().await;
    let pushed = fresh();
    let mut server = Server::start(scene.path());
    let bundle = pushed.whole("main");
    let _ = client(&server, "alice", "new", Some(&scene.token)).upload(&bundle).await.unwrap();
    server.process.kill();
    halve_uploads(scene.path());
    let server = Server::start(scene.path());
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
async fn expect_from_store_alone(data: &Path, repositories: &[(&str, &History)]) {
    without_database(data);
    let server = Server::start(data);
    for (slug, history) in repositories {
        let clone = client(&server, "alice", slug, None).clone_repository().await.unwrap();
        assert_same(&clone, history);
    }
}

/// Strikes a command of the upkeep everywhere.
async fn strike_command(scene: Scene, arguments: &'static [&'static str], required: &[&str]) {
    let scene = Arc::new(scene);
    let dry = scene.copy();
    let log = dry.path().join("steps");
    let done = musehub(arguments).arg("--data").arg(dry.path()).env(LOG, &log).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let steps = steps(&log, 0, |_| true);
    fill(&arguments.join(" "), &steps, required, move |case| command_case(scene.clone(), arguments, case))
        .await;
}

async fn command_case(scene: Arc<Scene>, arguments: &[&str], case: Case) -> String {
    let data = scene.copy();
    let before = census(data.path());
    let struck = musehub(arguments).arg("--data").arg(data.path()).env(POINT, case.point()).output().unwrap();
    let said = String::from_utf8_lossy(&struck.stderr).into_owned();
    assert!(said.contains("failpoint:"), "{case:?} was not struck: {said}");
    assert_eq!(struck.status.code().is_none(), case.kills(), "{case:?}: {struck:?}");
    let left = difference(&before, &census(data.path()));
    let told = match struck.status.code() {
        None => "",
        Some(0) => "done, ",
        Some(_) => "failed, ",
    };

    let mut tunes = scene.tunes.clone();
    let mut server = Server::start(data.path());
    let mut remote = client(&server, "alice", "tunes", Some(&scene.token));
    assert_same(&remote.clone_repository().await.unwrap(), &tunes);
    if let Some(rows) = &scene.rows {
        let clone = client(&server, "alice", "rows", None).clone_repository().await.unwrap();
        assert_same(&clone, rows);
    }
    let _ = tunes.commit_file("main", "afterwards", "two.txt");
    go_on(&mut remote, &tunes, &case).await;
    server.process.kill();
    end_leases(data.path());
    let finished = run(data.path(), arguments);
    assert_eq!(finished.status, 0, "{case:?}: what was begun cannot be finished: {finished:?}");
    let verified = run(data.path(), &["verify", "--objects"]);
    assert_eq!(verified.status, 0, "{case:?}: {verified:?}");
    let mut repositories = vec![("tunes", &tunes)];
    repositories.extend(scene.rows.as_ref().map(|rows| ("rows", rows)));
    expect_from_store_alone(data.path(), &repositories).await;
    format!("{told}{left}")
}

const REPACK: &[&str] = &["repack", "--all", "--min-packs", "2"];
const GC: &[&str] = &["gc", "--grace", "1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_that_is_cut_off_anywhere_loses_nothing() {
    let required = [
        "put leases/*.json",
        "put refs/*.seg",
        "delete refs/*.json",
        "put packs/*.pack",
        "put packs/*.idx",
        "put packs/*.fwd",
        "rows: relocating objects",
    ];
    strike_command(Scene::aged().await, REPACK, &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_collection_that_is_cut_off_anywhere_loses_nothing() {
    let scene = Scene::aged().await;
    let _ = run(scene.path(), REPACK).expect(0);
    scene.later();
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
    let scene = Scene::aged().await;
    let _ = run(scene.path(), GC).expect(0);
    later(scene.path());
    strike_command(scene, GC, &["put packs/*.condemned", "delete packs/*.pack", "delete packs/*.idx"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_filling_that_is_cut_off_anywhere_goes_on_and_everything_is_read_meanwhile() {
    let required = ["put packs/*.pack", "put packs/*.idx", "put refs/*.json", "rows: recording a move"];
    strike_command(Scene::with_rows().await, &["backfill"], &required).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_whose_making_is_cut_off_anywhere_is_made_again() {
    let required = ["rows: indexing a repository", "rows: recording a move"];
    strike_command(Scene::new().await, &["rebuild-index"], &required).await;
}
