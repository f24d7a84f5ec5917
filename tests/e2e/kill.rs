//! `kill -9` while clients push: what was acknowledged stays, what was not is wholly there or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Request;
use musehub_test_support::history::{NewCommit, write};
use musehub_test_support::{Answer, Bundle, ClientError, History, MuseClient, Transport};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::http::{Tcp, client};
use crate::process::{PATIENCE, Server, over};
use crate::push::repository;

/// How often the server is killed.
const KILLS: usize = 40;
/// Where the moments of the kills come from. The same seed gives the same choices, not the same interleaving.
const SEED: u64 = 0x6d75_7365_6875_6221;
/// Branches, each with a client that pushes to it without a pause.
const BRANCHES: [&str; 3] = ["main", "feature/one", "feature/two"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_push_outlives_kill_9_and_no_half_push_is_visible() {
    let (data, token) = repository();
    let mut random = Random(SEED);
    let mut durations = Durations::default();
    let mut tally = Tally::default();
    let mut root = History::new();
    let _ = root.commit_file("main", "root", "song.txt");

    let mut server = serve(data.path());
    let _ = client(&server, "alice", "tunes", Some(&token)).push(&root, "main", false).await.unwrap();
    let mut pushers: Vec<Pusher> = BRANCHES.iter().map(|branch| Pusher::new(branch, &root)).collect();
    let unwelcome = Unwelcome::new(&root);

    for kill in 0..KILLS {
        let moment = Moment::choose(&mut random, kill, &durations);
        let context = format!("kill {kill} of seed {SEED:#x}, {moment:?}");
        let (events, seen) = unbounded_channel();
        let transport: Arc<dyn Transport> = Arc::new(Watched { tcp: Tcp(server.address), events });
        let remote = MuseClient::new(transport, "alice", "tunes", Some(&token));
        let pushing: Vec<_> =
            pushers.drain(..).map(|pusher| tokio::spawn(pusher.run(remote.clone()))).collect();
        let refused = tokio::spawn(unwelcome.clone().run(client(&server, "alice", "tunes", Some(&token))));
        drop(remote);
        moment.wait(seen, &mut durations).await;
        server.process.kill();
        for pusher in pushing {
            pushers.push(pusher.await.unwrap().unwrap_or_else(|error| panic!("{context}: {error}")));
        }
        refused.await.unwrap();

        // The object store alone says what was pushed; the database only indexes it.
        let alone = (kill % 4 == 0).then(|| without_database(data.path()));
        server = serve(data.path());
        let remote = client(&server, "alice", "tunes", Some(&token));
        let shown = check(&remote, &mut pushers, &unwelcome, &mut tally).await;
        let shown = shown.unwrap_or_else(|error| panic!("{context}: {error}"));
        if let Some(alone) = alone {
            let server = Server::start(alone.path());
            let clone = client(&server, "alice", "tunes", None).clone_repository().await.unwrap();
            assert_eq!(clone.branches, shown.branches, "{context}: the store alone says something else");
        }
        for pusher in &mut pushers {
            pusher.retry(&remote).await.unwrap_or_else(|error| panic!("{context}: the retry: {error}"));
        }
    }

    println!("{KILLS} kills: {tally:?}");
    assert!(tally.acknowledged > KILLS, "hardly anything was pushed: {tally:?}");
    let clone = client(&server, "alice", "tunes", None).clone_repository().await.unwrap();
    for pusher in &pushers {
        assert_eq!(clone.head(pusher.branch), pusher.history.head(pusher.branch));
    }
}

/// A server that refuses nobody for pushing without a pause.
fn serve(data: &Path) -> Server {
    Server::serve(&mut over(data, &["serve", "--rate-limit", "off"]))
}

/// Checks what a server that was started again shows, and settles what became of the pushes in flight.
async fn check(
    remote: &MuseClient,
    pushers: &mut [Pusher],
    unwelcome: &Unwelcome,
    tally: &mut Tally,
) -> Result<History, String> {
    // Recomputes the id of every object, snapshot and commit.
    let clone = remote.clone_repository().await.map_err(|error| error.to_string())?;
    if clone.branches.contains_key(Unwelcome::BRANCH) || clone.commits.contains_key(&unwelcome.commit) {
        return Err("a refused push is visible".into());
    }
    for pusher in pushers {
        let branch = pusher.branch;
        let head = clone.branches.get(branch);
        tally.acknowledged += std::mem::take(&mut pusher.acknowledgements);
        if head.is_some() && head == pusher.in_flight.as_ref() {
            tally.kept_unacknowledged += 1;
        } else if head == pusher.acknowledged.as_ref() {
            if let Some(lost) = &pusher.in_flight {
                tally.not_kept += 1;
                let brought = remote.fetch_bundle(std::slice::from_ref(lost), &[]).await;
                if brought.is_ok_and(|bundle| !bundle.commits.is_empty()) {
                    return Err(format!("{branch}: {lost} can be fetched, and no branch has it"));
                }
            }
        } else {
            let Pusher { acknowledged, in_flight, .. } = pusher;
            return Err(format!(
                "{branch} is at {head:?}; {acknowledged:?} was acknowledged and {in_flight:?} in flight"
            ));
        }
        if let Some(head) = head {
            let same = clone.walk(head, &Default::default())
                == pusher.history.walk(head, &Default::default())
                && clone.tree(head) == pusher.history.tree(head);
            if !same {
                return Err(format!("{branch}: the clone differs from what was pushed"));
            }
        }
    }
    Ok(clone)
}

/// A data directory with the object store of another, as it is now, and no database.
fn without_database(data: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut pending = vec![PathBuf::from("store")];
    while let Some(folder) = pending.pop() {
        std::fs::create_dir(copy.path().join(&folder)).unwrap();
        for entry in std::fs::read_dir(data.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                pending.push(path);
            } else {
                std::fs::copy(entry.path(), copy.path().join(path)).unwrap();
            }
        }
    }
    copy
}

/// What became of the pushes.
#[derive(Default, Debug)]
struct Tally {
    acknowledged: usize,
    kept_unacknowledged: usize,
    not_kept: usize,
}

/// A client that pushes to one branch, and what it knows of it.
struct Pusher {
    branch: &'static str,
    history: History,
    acknowledged: Option<String>,
    in_flight: Option<String>,
    acknowledgements: usize,
}

impl Pusher {
    fn new(branch: &'static str, root: &History) -> Self {
        let mut history = root.clone();
        let acknowledged = history.branches.get(branch).cloned();
        history.branch(branch, root.head("main"));
        Self { branch, history, acknowledged, in_flight: None, acknowledgements: 0 }
    }

    /// Commits and pushes until the server does not answer.
    async fn run(mut self, mut remote: MuseClient) -> Result<Self, ClientError> {
        loop {
            let number = self.history.commits.len();
            let (message, path) =
                (format!("{} {number}", self.branch), format!("{}/{}.txt", self.branch, number % 5));
            self.in_flight = Some(self.history.commit_file(self.branch, &message, &path));
            match remote.push(&self.history, self.branch, false).await {
                Ok(_) => self.acknowledge(),
                // A server that answers must not refuse: nothing is wrong with these pushes.
                Err(error) if error.status != 0 => return Err(error),
                Err(_) => return Ok(self),
            }
        }
    }

    /// Pushes again what was not acknowledged.
    async fn retry(&mut self, remote: &MuseClient) -> Result<(), ClientError> {
        remote.clone().push(&self.history, self.branch, false).await?;
        self.acknowledge();
        Ok(())
    }

    fn acknowledge(&mut self) {
        self.acknowledged = self.in_flight.take().or(self.acknowledged.take());
        self.acknowledgements += 1;
    }
}

/// A push that must always be refused: its commit has a parent that nobody has.
#[derive(Clone)]
struct Unwelcome {
    bundle: Bundle,
    commit: String,
}

impl Unwelcome {
    const BRANCH: &str = "refused";

    fn new(root: &History) -> Self {
        let mut history = root.clone();
        let mut tree = history.tree(history.head("main"));
        write(&mut tree, "refused.txt", "never to be seen\n");
        let absent = "ab".repeat(32);
        let commit = history.add(NewCommit {
            branch: Self::BRANCH,
            message: "refused",
            committed_at: "2026-03-01T00:00:00+00:00",
            parents: vec![absent.clone()],
            tree,
        });
        Self { bundle: history.bundle(&commit, &[absent].into()), commit }
    }

    /// Tries until the server does not answer.
    async fn run(self, remote: MuseClient) {
        loop {
            let tried = match remote.upload(&self.bundle).await {
                Ok(_) => remote.push_bundle(&self.bundle, Self::BRANCH, false).await.map(drop),
                Err(error) => Err(error),
            };
            match tried {
                Ok(()) => panic!("a push without its parent was taken"),
                Err(error) if error.status == 0 => return,
                Err(error) => assert_eq!(error.status, 422, "{error}"),
            }
        }
    }
}

/// The calls of a push, in their order.
const CALLS: [&str; 4] = ["/refs", "/filter-objects", "/push/objects", "/push"];

/// What happened on the wire: a call began, or was answered.
#[derive(Debug)]
struct Event {
    call: &'static str,
    answered_after: Option<Duration>,
}

/// A transport that tells what it does.
struct Watched {
    tcp: Tcp,
    events: UnboundedSender<Event>,
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        let path = request.uri().path();
        let call = CALLS.into_iter().find(|call| path.ends_with(call)).unwrap_or_default();
        let began = Instant::now();
        let _ = self.events.send(Event { call, answered_after: None });
        let answer = self.tcp.send(request).await?;
        let _ = self.events.send(Event { call, answered_after: Some(began.elapsed()) });
        Ok(answer)
    }
}

/// How long each call takes lately, so that kills fall into all of it on a fast machine and on a slow one.
#[derive(Default)]
struct Durations(BTreeMap<&'static str, Duration>);

impl Durations {
    fn of(&self, call: &str) -> Duration {
        self.0.get(call).copied().unwrap_or(Duration::from_millis(10))
    }

    fn learn(&mut self, call: &'static str, took: Duration) {
        let mean = (self.of(call) * 7 + took) / 8;
        self.0.insert(call, mean);
    }
}

/// When to kill: some time after a call began for the nth time.
#[derive(Debug)]
struct Moment {
    call: &'static str,
    nth: u64,
    after: Duration,
}

impl Moment {
    /// Every call has its turn, the last one most often, and every part of its duration the same chance.
    fn choose(random: &mut Random, kill: usize, durations: &Durations) -> Self {
        let call = match kill % 8 {
            0 => "/refs",
            1 => "/filter-objects",
            2 | 3 => "/push/objects",
            _ => "/push",
        };
        let longest = (durations.of(call) * 5 / 4).as_micros();
        let after = Duration::from_micros(random.below(u64::try_from(longest).unwrap().max(1)));
        Self { call, nth: 1 + random.below(12), after }
    }

    /// Waits for this moment.
    async fn wait(&self, mut events: UnboundedReceiver<Event>, durations: &mut Durations) {
        let mut left = self.nth;
        let deadline = Instant::now() + PATIENCE;
        while left > 0 {
            let event = tokio::time::timeout_at(deadline.into(), events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("the pushes stand still: {self:?}"));
            // The clients gave up, which they say themselves.
            let Some(event) = event else { break };
            match event.answered_after {
                Some(took) => durations.learn(event.call, took),
                None if event.call == self.call => left -= 1,
                None => {}
            }
        }
        // A sleep would end up to a millisecond late, which is longer than some phases take.
        let kill_at = Instant::now() + self.after;
        while Instant::now() < kill_at {
            tokio::task::yield_now().await;
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
