//! Workers beside a server: several, killed, asked to stop, and looked after from the command line.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use musehub_test_support::History;
use musehub_test_support::history::write;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{client, get};
use crate::process::{PATIENCE, Process, Ran, Server, over};

/// How many repositories have a job each.
const REPOSITORIES: usize = 8;

/// A directory of data, and its database.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        over(self.0.path(), arguments)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], status: i32) -> Ran {
        Ran::of(&mut self.command(arguments)).expect(status)
    }

    /// A worker, once it works.
    fn worker(&self, more: &[&str], failpoint: Option<&str>) -> Process {
        let mut command = self.command(&["worker"]);
        command.args(more).env("RUST_LOG", "info,musehub_server=debug");
        if let Some(failpoint) = failpoint {
            command.env("MUSEHUB_FAILPOINT", failpoint);
        }
        let worker = Process::start(&mut command).unwrap();
        worker.wait_for("worker", |line| line.contains(" working ").then_some(()));
        worker
    }

    /// The jobs of a status.
    fn jobs(&self, status: &str) -> Vec<Value> {
        let listed: Value =
            serde_json::from_str(&self.run(&["jobs", "list", "--json", "--status", status], 0).out).unwrap();
        listed["jobs"].as_array().unwrap().clone()
    }
}

/// A server that runs no jobs, and a push to each of some repositories. Gives the token of their owner.
async fn pushed(data: &Data) -> (Server, String) {
    let token = data.run(&["token", "create", "alice"], 0).out.lines().last().unwrap().to_owned();
    for n in 0..REPOSITORIES {
        data.run(&["repo", "create", &format!("alice/tunes{n}")], 0);
    }
    let server = Server::serve(&mut data.command(&["serve", "--no-worker"]));
    for n in 0..REPOSITORIES {
        let mut history = History::new();
        let _ = history.commit("main", "root", |tree| {
            write(tree, "ship/__init__.py", "");
            write(tree, "ship/engine.py", format!("def ignite{n}():\n    pass\n"));
            write(tree, "ship/deck.py", "from ship.engine import never_there\n");
        });
        let mut remote = client(&server, "alice", &format!("tunes{n}"), Some(&token));
        let _ = remote.push(&history, "main", false).await.unwrap();
    }
    (server, token)
}

/// Waits until a number of jobs is done.
fn wait_for_done(data: &Data, expected: usize) {
    let started = Instant::now();
    loop {
        let done = data.jobs("done").len();
        if done == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{done} of {expected} jobs are done");
    }
}

/// What a process says of jobs that are done, by their ids.
fn done_in(printed: &str) -> Vec<String> {
    let lines = printed.lines().filter(|line| line.contains(" job done "));
    lines.map(|line| line.split_once("job=").unwrap().1.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_job_loses_nothing() {
    let data = Data::new();
    let (server, token) = pushed(&data).await;
    let before = get(&server, "/api/v1/repos/alice/tunes0/intel/breakage", None).await.json();
    assert_eq!((&before["scan"], &before["job"]), (&Value::Null, &Value::from("pending")), "no server works");

    // Before, in and after the transaction that keeps what a job found, and the one that ends it.
    for failpoint in [
        "abort:1:rows: replacing breakage",
        "torn:2:rows: replacing breakage",
        "abort:1:rows: completing a job",
    ] {
        let dies = data.worker(&["--job-lease", "1"], Some(failpoint));
        assert!(dies.ended(), "{failpoint}: {}", dies.printed());
    }
    // And by the kernel, at a moment that nobody chose.
    for _ in 0..2 {
        let mut killed = data.worker(&["--job-lease", "1"], None);
        killed.wait_for("job", |line| line.contains(" job started ").then_some(()));
        killed.kill();
    }

    let worker = data.worker(&["--job-lease", "1", "--jobs", "3"], None);
    wait_for_done(&data, REPOSITORIES);
    for n in 0..REPOSITORIES {
        let path = format!("/api/v1/repos/alice/tunes{n}/intel/breakage");
        let shown = get(&server, &path, None).await.json();
        assert_eq!(shown["matching"], 1, "{path}: what the job found is there, once: {shown}");
    }
    let attempts: Vec<u64> = data.jobs("done").iter().map(|job| job["attempts"].as_u64().unwrap()).collect();
    assert!(attempts.iter().any(|attempts| *attempts > 1), "a kill hit a job: {attempts:?}");
    let listed =
        get(&server, "/api/v1/repos/alice/tunes0/jobs?status=done", Some(&token)).await.expect(200).json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
    worker.signal("TERM");
    let (status, printed) = worker.wait();
    assert!(status.success(), "{printed}");
}

#[tokio::test]
async fn two_workers_on_one_database_do_each_job_once() {
    let data = Data::new();
    let (_server, _) = pushed(&data).await;
    let workers = [data.worker(&["--jobs", "2"], None), data.worker(&["--jobs", "2"], None)];
    wait_for_done(&data, REPOSITORIES);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for worker in workers {
        worker.signal("TERM");
        let (status, printed) = worker.wait();
        assert!(status.success(), "{printed}");
        for job in done_in(&printed) {
            *times.entry(job).or_default() += 1;
        }
    }
    assert_eq!(times.len(), REPOSITORIES, "{times:?}");
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(data.jobs("done").iter().all(|job| job["attempts"] == 1), "each was claimed once");
}

#[tokio::test]
async fn jobs_are_listed_shown_cancelled_and_tried_again_from_the_command_line() {
    let data = Data::new();
    let (_server, _) = pushed(&data).await;
    let pending = data.jobs("pending");
    assert_eq!(pending.len(), REPOSITORIES);
    let id = pending[0]["job_id"].as_str().unwrap();
    let shown: Value = serde_json::from_str(&data.run(&["jobs", "show", id, "--json"], 0).out).unwrap();
    assert_eq!(shown, pending[0]);
    assert_eq!(shown["kind"], "intel.code.breakage");
    let repository = shown["repository"].as_str().unwrap();
    let listed = data.run(&["jobs", "list", "--repo", repository], 0).out;
    assert!(listed.starts_with(id) && listed.lines().count() == 1 && listed.contains(repository), "{listed}");

    data.run(&["jobs", "retry", id], 1);
    assert!(data.run(&["jobs", "cancel", id], 0).out.contains("is cancelled"));
    data.run(&["jobs", "cancel", id], 1);
    assert_eq!(data.jobs("cancelled").len(), 1);
    let worker = data.worker(&[], None);
    wait_for_done(&data, REPOSITORIES - 1);
    assert_eq!(data.jobs("cancelled")[0]["job_id"], id, "nobody ran it");
    data.run(&["jobs", "retry", id], 0);
    wait_for_done(&data, REPOSITORIES);
    drop(worker);

    data.run(&["jobs", "show", &"0".repeat(64)], 2);
    data.run(&["jobs", "show", "nonsense"], 2);
    data.run(&["jobs", "list", "--status", "lost"], 2);
    data.run(&["jobs", "list", "--repo", "alice/absent"], 2);
}
