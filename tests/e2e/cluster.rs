//! Two server processes on one PostgreSQL and one S3-compatible store.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use musehub_test_services::postgres;
use musehub_test_services::s3::{BUCKET, Kind, Server as Store, fresh_prefix};
use musehub_test_support::history::write;
use musehub_test_support::{History, MuseClient};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

use crate::http::client;
use crate::process::{PATIENCE, Ran, Server, musehub};
use crate::push::assert_same;

/// A store and a database that servers share.
struct Shared {
    store: Store,
    url: String,
    database: String,
    /// Nothing may ever lie in it.
    data: tempfile::TempDir,
}

impl Shared {
    async fn new() -> Self {
        Self {
            // Decides races as S3 does.
            store: Store::of(Kind::Moto),
            url: format!("s3://{BUCKET}/{}", fresh_prefix()),
            database: postgres::database().await,
            data: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = musehub(arguments);
        command.envs(&self.store.settings).env("MUSEHUB_DATABASE", &self.database);
        command.args(["--store", &self.url, "--data"]).arg(self.data.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let ran = Ran::of(&mut self.command(arguments)).expect(0);
        ran.out.lines().last().unwrap_or_default().to_owned()
    }

    fn serve(&self) -> Server {
        Server::serve(&mut self.command(&["serve"]))
    }

    /// Stops both servers, after which nothing is done a second time, and sees that as many jobs were done, each by one
    /// server, at the first attempt, and by each server one at least.
    async fn all_jobs_ran_once(&self, servers: [Server; 2], expected: usize) {
        let printed = servers.map(|server| {
            server.process.signal("TERM");
            let (status, printed) = server.process.wait();
            assert!(status.success(), "{printed}");
            printed
        });
        let by_each = [done(&printed[0]), done(&printed[1])];
        assert!(by_each.iter().all(|done| !done.is_empty()), "one has done them all: {by_each:?}");
        let all = done(&printed.join("\n"));
        assert!(all.values().all(|times| *times == 1), "{by_each:?}");
        assert_eq!(all.len(), expected, "{by_each:?}");

        let database = Database::connect(&self.database).await.unwrap();
        let query = "SELECT job_id FROM musehub_background_jobs WHERE status = 'done' AND attempt = 1";
        let rows = database.query_all_raw(Statement::from_string(DbBackend::Postgres, query)).await.unwrap();
        let recorded: BTreeSet<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(recorded, all.into_keys().collect());
        let query = "SELECT COUNT(*) FROM musehub_background_jobs";
        let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.unwrap();
        assert_eq!(row.unwrap().try_get_by_index::<i64>(0).unwrap(), i64::try_from(expected).unwrap());
    }

    /// A repository with one commit on `main`, its owner's token, and two servers.
    async fn started(&self) -> ([Server; 2], String, History) {
        self.run(&["repo", "create", "alice/tunes"]);
        let token = self.run(&["token", "create", "alice"]);
        let servers = [self.serve(), self.serve()];
        let mut base = History::new();
        let _ =
            base.commit("main", "root", |tree| write(tree, "ship/engine.py", "def ignite():\n    pass\n"));
        let _ = remote(&servers[0], &token).push(&base, "main", false).await.unwrap();
        (servers, token, base)
    }
}

fn remote(server: &Server, token: &str) -> MuseClient {
    client(server, "alice", "tunes", Some(token))
}

/// What both servers show, which must be the same.
async fn seen(servers: &[Server; 2], token: &str) -> History {
    let mut seen = Vec::new();
    for server in servers {
        seen.push(remote(server, token).clone_repository().await.unwrap());
    }
    assert_same(&seen[0], &seen[1]);
    seen.swap_remove(0)
}

#[tokio::test]
async fn pushes_through_both_to_one_branch_and_to_branches_of_each_are_all_there_or_refused() {
    const ROUNDS: usize = 4;
    let shared = Shared::new().await;
    let (servers, token, mut base) = shared.started().await;
    for round in 0..ROUNDS {
        let racers = ["left", "right"].map(|name| {
            let mut history = base.clone();
            let own = format!("{name}-{round}");
            history.branch(&own, base.head("main"));
            let _ = history.commit_file(&own, &format!("{name} {round}"), &format!("{name}.txt"));
            let _ = history.commit_file("main", &format!("{name} {round}"), "song.txt");
            (history, own)
        });
        let pushing = racers.iter().zip(&servers).map(|((history, own), server)| {
            let mut remote = remote(server, &token);
            async move {
                let mine = remote.push(history, own, false).await.map(drop);
                (mine, remote.push(history, "main", false).await.map(drop))
            }
        });
        let mut winners = Vec::new();
        for ((history, own), (mine, main)) in racers.iter().zip(futures::future::join_all(pushing).await) {
            mine.unwrap_or_else(|error| panic!("round {round}, {own}: {error}"));
            match main {
                Ok(()) => winners.push(history),
                Err(error) => assert_eq!(error.status, 409, "round {round}: {error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let seen = seen(&servers, &token).await;
        assert_eq!(seen.head("main"), winners[0].head("main"), "round {round}");
        for (history, own) in &racers {
            assert_eq!(seen.head(own), history.head(own), "round {round}");
        }
        base = seen;
    }
    jobs_done(&servers, ROUNDS + 1).await;
    // Each alone once, so that neither leaves all of them to the other.
    for (number, server) in servers.iter().enumerate() {
        let other = &servers[1 - number];
        other.process.signal("STOP");
        let _ = base.commit_file("main", &format!("alone {number}"), "alone.txt");
        let _ = remote(server, &token).push(&base, "main", false).await.unwrap();
        jobs_done(&servers, ROUNDS + 2 + number).await;
        other.process.signal("CONT");
    }
    shared.all_jobs_ran_once(servers, ROUNDS + 3).await;
    assert_eq!(std::fs::read_dir(shared.data.path()).unwrap().count(), 0, "something is on this machine");
}

/// How often each job was done, by its id, as servers have printed.
fn done(printed: &str) -> BTreeMap<String, usize> {
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for line in printed.lines().filter(|line| line.contains(" job done ")) {
        let job = line.split_once("job=").expect("a job has an id").1.split(' ').next().unwrap();
        *done.entry(job.to_owned()).or_default() += 1;
    }
    done
}

/// Waits until the servers have done as many jobs.
async fn jobs_done(servers: &[Server; 2], expected: usize) {
    let started = std::time::Instant::now();
    loop {
        let [one, other] = [0, 1].map(|number| servers[number].process.printed());
        let done = done(&format!("{one}\n{other}")).len();
        if done >= expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{done} of {expected} jobs are done");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn of_branches_in_each_others_way_that_both_make_one_is_made() {
    let shared = Shared::new().await;
    let (servers, token, base) = shared.started().await;
    for round in 0..4 {
        let names = [format!("side-{round}"), format!("side-{round}/below")];
        let pushing = names.iter().zip(&servers).map(|(name, server)| {
            let mut history = base.clone();
            history.branch(name, base.head("main"));
            let _ = history.commit_file(name, name, "song.txt");
            let mut remote = remote(server, &token);
            async move { remote.push(&history, name, false).await.map(drop) }
        });
        let pushed = futures::future::join_all(pushing).await;
        let seen = seen(&servers, &token).await;
        for (name, pushed) in names.iter().zip(&pushed) {
            assert_eq!(seen.branches.contains_key(name), pushed.is_ok(), "round {round}: {pushed:?}");
        }
        assert_eq!(pushed.iter().filter(|pushed| pushed.is_ok()).count(), 1, "round {round}: {pushed:?}");
    }
}

#[tokio::test]
async fn what_was_uploaded_through_one_is_pushed_through_the_other() {
    let shared = Shared::new().await;
    let (servers, token, mut history) = shared.started().await;
    let before = history.walk(history.head("main"), &Default::default()).into_iter().collect();
    let head = history.commit_file("main", "next", "song.txt");
    let bundle = history.bundle(&head, &before);
    let _ = remote(&servers[0], &token).upload(&bundle).await.unwrap();
    let ids: Vec<String> = bundle.objects.keys().cloned().collect();
    assert_eq!(remote(&servers[1], &token).filter_objects(&ids).await.unwrap(), Vec::<String>::new());
    let _ = remote(&servers[1], &token).push_bundle(&bundle, "main", false).await.unwrap();
    assert_same(&seen(&servers, &token).await, &history);
}

/// Pushes to one branch until a server does not answer; the history, and the last head that was acknowledged.
async fn push_on(mut remote: MuseClient, mut history: History, branch: &str) -> (History, Option<String>) {
    let mut acknowledged = None;
    loop {
        let number = history.commits.len();
        let head = history.commit_file(branch, &format!("{branch} {number}"), "song.txt");
        match remote.push(&history, branch, false).await {
            Ok(_) => acknowledged = Some(head),
            Err(error) if error.status == 0 => return (history, acknowledged),
            Err(error) => panic!("{branch}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_in_the_middle_of_pushes_takes_nothing_with_it() {
    const KILLS: usize = 3;
    let shared = Shared::new().await;
    let (mut servers, token, mut base) = shared.started().await;
    for kill in 0..KILLS {
        let (dying, branch) = (kill % 2, format!("dying-{kill}"));
        let mut history = base.clone();
        history.branch(&branch, base.head("main"));
        let (pusher, name) = (remote(&servers[dying], &token), branch.clone());
        let pushing = tokio::spawn(async move { push_on(pusher, history, &name).await });
        // The other one takes pushes to `main` meanwhile, and goes on when it is alone.
        let mut other = remote(&servers[1 - dying], &token);
        for number in 0..6 {
            let _ = base.commit_file("main", &format!("{kill} {number}"), "main.txt");
            let _ = other.push(&base, "main", false).await.unwrap();
            if number == 3 {
                servers[dying].process.kill();
            }
        }
        let (history, acknowledged) = pushing.await.unwrap();

        // Before the dead one comes back, the survivor shows the last push wholly or not at all.
        let clone = other.clone_repository().await.unwrap();
        let shown = clone.branches.get(&branch);
        let in_flight = history.branches.get(&branch);
        assert!(shown == acknowledged.as_ref() || shown == in_flight, "kill {kill}: {shown:?}");
        // The client tries again there.
        let _ = other.push(&history, &branch, false).await.unwrap();
        base.branch(&branch, history.head(&branch));
        servers[dying] = shared.serve();
        let seen = seen(&servers, &token).await;
        assert_eq!(seen.branches, base.branches, "kill {kill}");
        base = seen;
    }
}

/// The survivor has no chance to catch up but the read itself: it was started before, and nobody pushes to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_logged_before_it_died_is_read_through_the_other_at_once() {
    let shared = Shared::new().await;
    let (servers, token, mut base) = shared.started().await;
    for (round, branch) in ["main", "side"].into_iter().enumerate() {
        let mut command = shared.command(&["serve"]);
        let dying = Server::serve(command.env("MUSEHUB_FAILPOINT", "abort:1:rows: recording a move"));
        if branch == "side" {
            base.fork("side", "main");
        }
        let _ = base.commit_file(branch, &format!("round {round}"), "song.txt");
        let lost = remote(&dying, &token).push(&base, branch, false).await.unwrap_err();
        assert_eq!(lost.status, 0, "{lost}");
        assert!(dying.process.ended());
        for server in &servers {
            assert_same(&remote(server, &token).clone_repository().await.unwrap(), &base);
        }
    }
}
