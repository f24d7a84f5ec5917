//! One history, pushed and fetched by the clients of each generation: how long each request takes, and where the time goes.
//!
//! `cargo bench --bench generations` starts the real server in a process of its own, with its data in a temporary directory, and
//! prints tables. Times are those of whole requests as a client on this machine sees them, bodies already encoded: the median of
//! several rounds, each with repositories of its own. A fetch begins when the jobs that the push left are done.
//! `-- --commits N --objects N --files N --rounds N` changes the history.

#[allow(dead_code, reason = "another benchmark calls more of it")]
mod server;

use std::time::{Duration, Instant};

use musehub_test_support::client::{self, CHUNK_OBJECTS};
use musehub_test_support::history::{Bundle, History, write};
use musehub_test_support::mpack_client::{container_of, mpack_key, read_container};
use musehub_test_support::{json_client, record};
use serde_json::{Value, json};

use server::{Connection, Outcome, Server};

const JSON: &str = "application/json";
const PACK: &str = "application/x-muse-pack";

/// What `mpack.index` says of itself, in the order in which it does it.
const INDEX_PHASES: [&str; 8] = [
    "fetch_mpack_ms",
    "unpack_ms",
    "object_puts_ms",
    "object_insert_ms",
    "object_refs_ms",
    "snapshot_insert_ms",
    "commit_insert_ms",
    "elapsed_ms",
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::run_if_asked(&arguments);
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let shape = Shape {
        commits: number("--commits", 1000).max(2),
        objects: number("--objects", 5000),
        files: number("--files", 200),
    };
    let rounds = number("--rounds", 5).max(1);
    let history = Encoded::of(&shape);
    let server = Server::start(&[])?;
    let generations: [(&str, Exchange); 3] = [("mwp", mwp), ("json", json_generation), ("mpack", mpack)];
    let mut measured: Vec<Vec<Round>> = generations.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for ((name, exchange), rounds) in generations.iter().zip(&mut measured) {
            let slug = format!("{name}-{round}");
            server.command(&["repo", "create", &format!("bench/{slug}")])?;
            rounds.push(exchange(&server, &slug, &history)?);
        }
    }
    println!(
        "history: {} commits, {} objects, {:.1} MB, {} files in each snapshot; medians of {rounds} rounds\n",
        shape.commits,
        history.objects,
        megabytes(history.bytes),
        shape.files
    );
    println!("| generation | requests | sent | push | requests | received | fetch |");
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), rounds) in generations.iter().zip(&measured) {
        let first = &rounds[0];
        println!(
            "| {name} | {} | {:.1} MB | {:.0} ms | {} | {:.1} MB | {:.0} ms |",
            first.push.requests,
            megabytes(first.push.bytes),
            median(rounds.iter().map(|round| round.push.total())),
            first.fetch.requests,
            megabytes(first.fetch.bytes),
            median(rounds.iter().map(|round| round.fetch.total())),
        );
    }
    println!("\n| generation | of | request or phase | median | least | most |\n|---|---|---|---|---|---|");
    for ((name, _), rounds) in generations.iter().zip(&measured) {
        for (part, (what, steps)) in rounds[0].parts().into_iter().enumerate() {
            for (at, (step, _)) in steps.iter().enumerate() {
                let mut times: Vec<f64> = rounds.iter().map(|round| round.parts()[part].1[at].1).collect();
                times.sort_unstable_by(f64::total_cmp);
                println!(
                    "| {name} | {what} | {step} | {:.1} ms | {:.1} ms | {:.1} ms |",
                    times[times.len() / 2],
                    times[0],
                    times[times.len() - 1]
                );
            }
        }
    }
    Ok(())
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Shape {
    commits: usize,
    objects: usize,
    files: usize,
}

/// A history as each generation sends it.
struct Encoded {
    commits: usize,
    objects: usize,
    /// Of all objects.
    bytes: usize,
    first: String,
    tip: String,
    filter: Vec<u8>,
    uploads: Vec<Vec<u8>>,
    mwp: Vec<u8>,
    json: Vec<u8>,
    pack: Vec<u8>,
}

impl Encoded {
    fn of(shape: &Shape) -> Self {
        let mut history = History::new();
        let mut written = 0;
        let mut first = String::new();
        for number in 0..shape.commits {
            // So many that the last commit brings the last object.
            let later = shape.objects.saturating_sub(shape.files);
            let due = shape.files + later * number / (shape.commits - 1);
            let commit = history.commit("main", &format!("Commit number {number}"), |tree| {
                for version in written..due {
                    let file = version % shape.files;
                    let path = format!("package/module_{:02}/file_{file:04}.py", file % 17);
                    write(tree, &path, content(version));
                }
            });
            written = due;
            if number == 0 {
                first = commit;
            }
        }
        let tip = history.head("main").to_owned();
        let bundle = history.whole("main");
        let ids: Vec<&String> = bundle.objects.keys().collect();
        let upload = |ids: &[&String]| {
            let objects = ids.iter().map(|id| (id.as_str(), bundle.objects[*id].clone()));
            record::pack(&client::upload_body(objects))
        };
        Self {
            commits: bundle.commits.len(),
            objects: bundle.objects.len(),
            bytes: bundle.objects.values().map(|content| content.len()).sum(),
            filter: record::pack(&record::map([("object_ids", record::texts(&ids))])),
            uploads: ids.chunks(CHUNK_OBJECTS).map(upload).collect(),
            mwp: record::pack(&client::push_body(&bundle, "main", false)),
            json: json_client::push_body(&bundle, "main", false).to_string().into_bytes(),
            pack: container_of(&bundle),
            first,
            tip,
        }
    }

    /// Refuses a fetch that did not bring everything, or everything but the first commit.
    fn check(&self, bundle: &Bundle, whole: bool) -> Outcome<()> {
        let commits = if whole { self.commits } else { self.commits - 1 };
        if bundle.commits.len() != commits || (whole && bundle.objects.len() != self.objects) {
            return Err("the fetch is not whole".into());
        }
        Ok(())
    }
}

/// Python text of 4 KiB, different for every version.
fn content(version: usize) -> Vec<u8> {
    let mut text = format!("\"\"\"Version {version}.\"\"\"\n\nVALUE = {version}\n");
    let mut line = 0;
    while text.len() < 4096 {
        text.push_str(&format!("\n\ndef function_{line}(x):\n    return x * {} + {version}\n", line + 1));
        line += 1;
    }
    text.truncate(4095);
    text.push('\n');
    text.into_bytes()
}

/// A request or a phase, and its milliseconds.
type Step = (&'static str, f64);

/// What a client does, request by request.
#[derive(Default)]
struct Timed {
    requests: usize,
    /// Sent by a push, received by a fetch.
    bytes: usize,
    steps: Vec<Step>,
}

impl Timed {
    /// Does something that takes so many requests.
    fn step<T>(
        &mut self,
        name: &'static str,
        requests: usize,
        work: impl FnOnce() -> Outcome<T>,
    ) -> Outcome<T> {
        let begun = Instant::now();
        let done = work()?;
        self.steps.push((name, begun.elapsed().as_secs_f64() * 1000.0));
        self.requests += requests;
        Ok(done)
    }

    fn total(&self) -> f64 {
        self.steps.iter().map(|(_, millis)| millis).sum()
    }
}

/// One history pushed to one repository, and fetched from it.
#[derive(Default)]
struct Round {
    push: Timed,
    /// The phases of `mpack.index` as the server measured them.
    index: Vec<Step>,
    fetch: Timed,
    /// A fetch of all but the first commit, which nothing was prepared for.
    partial: Vec<Step>,
}

impl Round {
    /// What was timed, each with its steps.
    fn parts(&self) -> [(&'static str, &[Step]); 4] {
        [
            ("push", &self.push.steps),
            ("mpack.index", &self.index),
            ("fetch", &self.fetch.steps),
            ("fetch of all but the first commit", &self.partial),
        ]
    }
}

/// Pushes and fetches by one generation.
type Exchange = fn(&Server, &str, &Encoded) -> Outcome<Round>;

fn mwp(server: &Server, slug: &str, history: &Encoded) -> Outcome<Round> {
    let mut round = Round::default();
    let mut connection = Connection::open(server)?;
    let push = &mut round.push;
    push.bytes =
        history.filter.len() + history.mwp.len() + history.uploads.iter().map(Vec::len).sum::<usize>();
    push.step("refs", 1, || connection.get(slug, "refs"))?;
    push.step("filter-objects", 1, || connection.post(slug, "filter-objects", &history.filter))?;
    push.step("push/objects, four at a time", history.uploads.len(), || {
        server.upload(slug, &history.uploads)
    })?;
    push.step("push", 1, || connection.post(slug, "push", &history.mwp))?;
    wait_for_jobs(&mut connection, slug)?;
    round.fetch.step("refs", 1, || connection.get(slug, "refs"))?;
    for (whole, have) in [(true, Vec::new()), (false, vec![history.first.as_str()])] {
        let body = record::map([("want", record::texts([&history.tip])), ("have", record::texts(have))]);
        let body = record::pack(&body);
        let mut timed = Timed::default();
        let answer = timed.step("fetch", 1, || connection.post(slug, "fetch", &body))?;
        history.check(&client::read_bundle(&record::unpack(&answer)?), whole)?;
        add_fetch(&mut round, whole, timed, answer.len());
    }
    Ok(round)
}

fn json_generation(server: &Server, slug: &str, history: &Encoded) -> Outcome<Round> {
    let mut round = Round::default();
    let mut connection = Connection::open(server)?;
    let refs: Value =
        serde_json::from_slice(&connection.request("GET", &format!("/bench/{slug}/refs"), JSON, &[])?)?;
    let base = format!("/wire/repos/{}", refs["repo_id"].as_str().ok_or("a repository has an id")?);
    let (refs, push, fetch) = (format!("{base}/refs"), format!("{base}/push"), format!("{base}/fetch"));
    round.push.bytes = history.json.len();
    round.push.step("refs", 1, || connection.request("GET", &refs, JSON, &[]))?;
    round.push.step("push", 1, || connection.request("POST", &push, JSON, &history.json))?;
    wait_for_jobs(&mut connection, slug)?;
    round.fetch.step("refs", 1, || connection.request("GET", &refs, JSON, &[]))?;
    for (whole, have) in [(true, Vec::new()), (false, vec![&history.first])] {
        let body = json!({"want": [history.tip], "have": have}).to_string();
        let mut timed = Timed::default();
        let answer = timed.step("fetch", 1, || connection.request("POST", &fetch, JSON, body.as_bytes()))?;
        history.check(&json_client::read_bundle(&serde_json::from_slice(&answer)?)?, whole)?;
        add_fetch(&mut round, whole, timed, answer.len());
    }
    Ok(round)
}

fn mpack(server: &Server, slug: &str, history: &Encoded) -> Outcome<Round> {
    let mut round = Round::default();
    let mut connection = Connection::open(server)?;
    let mut call = |method: &str, what: &str, body: &Value| -> Outcome<Value> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Ok(serde_json::from_slice(&connection.request(
            method,
            &format!("/bench/{slug}/{what}"),
            JSON,
            &body,
        )?)?)
    };
    let key = mpack_key(&history.pack);
    let push = &mut round.push;
    push.bytes = history.pack.len();
    push.step("refs", 1, || call("GET", "refs", &Value::Null))?;
    let presign = json!({"mpack_key": key, "size_bytes": history.pack.len()});
    let address = push.step("push/mpack-presign", 1, || call("POST", "push/mpack-presign", &presign))?;
    let address = path_of(&address["upload_url"])?;
    let mut other = Connection::open(server)?;
    push.step("PUT of the pack", 1, || other.request("PUT", &address, PACK, &history.pack))?;
    let unpack = json!({"mpack_key": key, "branch": "main", "head": format!("sha256:{}", history.tip)});
    let indexed = push.step("push/unpack-mpack", 1, || call("POST", "push/unpack-mpack", &unpack))?;
    round.index = INDEX_PHASES.map(|phase| (phase, indexed[phase].as_f64().unwrap_or(f64::NAN))).to_vec();
    wait_for_jobs(&mut Connection::open(server)?, slug)?;
    round.fetch.step("refs", 1, || call("GET", "refs", &Value::Null))?;
    for (whole, have) in [(true, Vec::new()), (false, vec![format!("sha256:{}", history.first)])] {
        let body = json!({"want": [format!("sha256:{}", history.tip)], "have": have});
        let mut timed = Timed::default();
        let answer = timed.step("fetch", 1, || call("POST", "fetch", &body))?;
        if whole && answer["cached"] != true {
            return Err("the pack of a clone was not built ahead".into());
        }
        let address = path_of(&answer["mpack_url"])?;
        let pack = timed.step("GET of the pack", 1, || other.request("GET", &address, PACK, &[]))?;
        history.check(&read_container(&pack)?, whole)?;
        add_fetch(&mut round, whole, timed, pack.len());
    }
    Ok(round)
}

fn add_fetch(round: &mut Round, whole: bool, timed: Timed, bytes: usize) {
    if whole {
        round.fetch.bytes = bytes;
        round.fetch.requests += timed.requests;
        round.fetch.steps.extend(timed.steps);
    } else {
        round.partial = timed.steps;
    }
}

/// An address as a connection to the same server takes it.
fn path_of(url: &Value) -> Outcome<String> {
    let url = url.as_str().ok_or("there is no address in the answer")?;
    let path = url.split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    Ok(path.unwrap_or(url).to_owned())
}

/// Waits until nothing of a repository is left to be done, so that no job takes the processor from a fetch.
fn wait_for_jobs(connection: &mut Connection<'_>, slug: &str) -> Outcome<()> {
    let patience = Instant::now() + Duration::from_secs(300);
    for status in ["pending", "running"] {
        let address = format!("/api/v1/repos/bench/{slug}/jobs?status={status}&limit=1");
        loop {
            let answer: Value = serde_json::from_slice(&connection.request("GET", &address, JSON, &[])?)?;
            if answer["jobs"].as_array().is_some_and(Vec::is_empty) {
                break;
            }
            if Instant::now() > patience {
                return Err(format!("jobs are {status} for minutes").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}
