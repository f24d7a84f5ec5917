//! A first push and a clone of one history by each generation of clients, and where the time of an indexed pack goes.
//!
//! `cargo bench --bench generations` starts the real server in a process of its own, with its data in a temporary directory, and
//! prints two tables. Times are those of whole requests as a client on this machine sees them, bodies already encoded; the median of
//! several rounds, each with a repository of its own. `-- --commits N --files N --changed N --rounds N` changes the history.

mod server;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use musehub_test_support::client::{push_body, upload_body};
use musehub_test_support::history::write;
use musehub_test_support::json_client;
use musehub_test_support::mpack_client::{container_of, mpack_key};
use musehub_test_support::record::pack;
use musehub_test_support::{Bundle, History};
use serde_json::{Value, json};

use server::{Connection, Outcome, Server};

/// Phases of an indexed pack, as its answer names them.
const PHASES: [&str; 7] = [
    "fetch_mpack_ms",
    "unpack_ms",
    "object_puts_ms",
    "object_insert_ms",
    "object_refs_ms",
    "snapshot_insert_ms",
    "commit_insert_ms",
];

const MSGPACK: &str = "application/x-msgpack";
const JSON: &str = "application/json";
const PACK: &str = "application/x-muse-pack";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::run_if_asked(&arguments);
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (commits, files) = (number("--commits", 1000), number("--files", 1000));
    let (changed, rounds) = (number("--changed", 4), number("--rounds", 3).max(1));
    let history = history(commits, files, changed);
    let bundle = history.whole("main");
    let objects = bundle.objects.len();
    let bytes: usize = bundle.objects.values().map(|content| content.len()).sum();
    let sent = Sent::of(&history, &bundle);
    drop(bundle);
    // The clone by the March client is larger than that client takes.
    let server = Server::start(&["--max-fetch", "4096", "--max-push", "4096", "--max-request", "1024"])?;

    let mut rows: Vec<(&str, Vec<Duration>, Vec<Duration>)> =
        ["json", "mwp", "mpack"].map(|name| (name, Vec::new(), Vec::new())).into();
    let mut ahead = Vec::new();
    let mut phases: Vec<Value> = Vec::new();
    for round in 0..rounds {
        for (generation, pushes, fetches) in &mut rows {
            let slug = format!("{generation}-{round}");
            let repo = server.create(&slug)?;
            let (push, fetch) = match *generation {
                "json" => (server.push_json(&repo, &sent)?, server.fetch_json(&repo, &sent)?),
                "mwp" => (server.push_mwp(&slug, &sent)?, server.fetch_mwp(&slug, &sent)?),
                _ => {
                    let (push, answer) = server.push_mpack(&slug, &sent)?;
                    phases.push(answer);
                    // Built for this fetch, or by the job after the push; the next one finds it in any case.
                    let fetch = server.fetch_mpack(&slug, &sent)?;
                    ahead.push(server.fetch_mpack(&slug, &sent)?);
                    (push, fetch)
                }
            };
            pushes.push(push);
            fetches.push(fetch);
        }
    }
    println!(
        "{commits} commits, {objects} objects, {:.1} MB; {files} files, {changed} changed in each; {rounds} rounds",
        bytes as f64 / 1e6
    );
    println!("| generation | first push, ms | sent, MB | clone, ms |");
    println!("|---|---|---|---|");
    for (generation, pushes, fetches) in &mut rows {
        let sent = sent.length(generation) as f64 / 1e6;
        println!("| {generation} | {:.0} | {sent:.1} | {:.0} |", median(pushes), median(fetches));
    }
    println!("| mpack, the pack found | | | {:.0} |", median(&mut ahead));
    println!("\n| phase of mpack.index | ms |\n|---|---|");
    for phase in PHASES.into_iter().chain(["elapsed_ms"]) {
        let mut of_phase: Vec<f64> = phases.iter().filter_map(|answer| answer[phase].as_f64()).collect();
        of_phase.sort_by(f64::total_cmp);
        println!("| {phase} | {:.1} |", of_phase.get(of_phase.len() / 2).copied().unwrap_or_default());
    }
    println!("\nmemory of the server: {:.0} MiB at its highest", server.memory("VmHWM")?);
    Ok(())
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// What each generation sends, encoded.
struct Sent {
    head: String,
    filter: Vec<u8>,
    uploads: Vec<Vec<u8>>,
    push: Vec<u8>,
    json: Vec<u8>,
    pack: Vec<u8>,
    key: String,
    bytes: usize,
}

impl Sent {
    fn of(history: &History, bundle: &Bundle) -> Self {
        let names: Vec<rmpv::Value> = bundle.objects.keys().map(|id| id.as_str().into()).collect();
        let filter = rmpv::Value::Map(vec![("object_ids".into(), rmpv::Value::Array(names))]);
        let objects: Vec<(&str, bytes::Bytes)> =
            bundle.objects.iter().map(|(id, content)| (id.as_str(), content.clone())).collect();
        let packed = container_of(bundle);
        Self {
            head: history.head("main").to_owned(),
            filter: pack(&filter),
            uploads: objects.chunks(400).map(|chunk| pack(&upload_body(chunk.to_vec()))).collect(),
            push: pack(&push_body(bundle, "main", false)),
            json: json_client::push_body(bundle, "main", false).to_string().into_bytes(),
            key: mpack_key(&packed),
            pack: packed,
            bytes: bundle.objects.values().map(|content| content.len()).sum(),
        }
    }

    fn length(&self, generation: &str) -> usize {
        match generation {
            "json" => self.json.len(),
            "mwp" => self.filter.len() + self.push.len() + self.uploads.iter().map(Vec::len).sum::<usize>(),
            _ => self.pack.len(),
        }
    }
}

impl Server {
    /// Creates a repository; its id.
    fn create(&self, slug: &str) -> Outcome<String> {
        self.command(&["repo", "create", &format!("bench/{slug}")])?;
        let answer = Connection::open(self)?.request("GET", &format!("/bench/{slug}/refs"), JSON, &[])?;
        let refs: Value = serde_json::from_slice(&answer)?;
        Ok(refs["repo_id"].as_str().unwrap_or_default().to_owned())
    }

    fn push_json(&self, repo: &str, sent: &Sent) -> Outcome<Duration> {
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        connection.request("POST", &format!("/wire/repos/{repo}/push"), JSON, &sent.json)?;
        Ok(begun.elapsed())
    }

    fn fetch_json(&self, repo: &str, sent: &Sent) -> Outcome<Duration> {
        let body = json!({"want": [sent.head], "have": []}).to_string();
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        let path = format!("/wire/repos/{repo}/fetch");
        let answer = connection.request("POST", &path, JSON, body.as_bytes())?;
        whole(begun, answer.len(), STANDARD.encode([0; 3]).len() * sent.bytes / 3)
    }

    fn push_mwp(&self, slug: &str, sent: &Sent) -> Outcome<Duration> {
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        connection.request("POST", &format!("/bench/{slug}/filter-objects"), MSGPACK, &sent.filter)?;
        // The client uploads with four threads.
        std::thread::scope(|threads| {
            let workers: Vec<_> = (0..4)
                .map(|worker| {
                    threads.spawn(move || {
                        let mut connection = Connection::open(self).map_err(|error| error.to_string())?;
                        for upload in sent.uploads.iter().skip(worker).step_by(4) {
                            let path = format!("/bench/{slug}/push/objects");
                            let sent = connection.request("POST", &path, MSGPACK, upload);
                            sent.map_err(|error| error.to_string())?;
                        }
                        Ok::<_, String>(())
                    })
                })
                .collect();
            let mut workers = workers.into_iter();
            workers.try_for_each(|worker| worker.join().map_err(|_| "a thread failed".to_owned())?)
        })?;
        connection.request("POST", &format!("/bench/{slug}/push"), MSGPACK, &sent.push)?;
        Ok(begun.elapsed())
    }

    fn fetch_mwp(&self, slug: &str, sent: &Sent) -> Outcome<Duration> {
        let ids = |ids: &[&str]| rmpv::Value::Array(ids.iter().map(|id| (*id).into()).collect());
        let body = rmpv::Value::Map(vec![("want".into(), ids(&[&sent.head])), ("have".into(), ids(&[]))]);
        let body = pack(&body);
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        let answer = connection.request("POST", &format!("/bench/{slug}/fetch"), MSGPACK, &body)?;
        whole(begun, answer.len(), sent.bytes)
    }

    fn push_mpack(&self, slug: &str, sent: &Sent) -> Outcome<(Duration, Value)> {
        let presign = json!({"mpack_key": sent.key, "size_bytes": sent.pack.len()}).to_string();
        let unpack = json!({"mpack_key": sent.key, "branch": "main", "head": sent.head}).to_string();
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        let path = format!("/bench/{slug}/push/mpack-presign");
        let answer: Value =
            serde_json::from_slice(&connection.request("POST", &path, JSON, presign.as_bytes())?)?;
        connection.request("PUT", path_of(&answer["upload_url"]), PACK, &sent.pack)?;
        let path = format!("/bench/{slug}/push/unpack-mpack");
        let answer = connection.request("POST", &path, JSON, unpack.as_bytes())?;
        Ok((begun.elapsed(), serde_json::from_slice(&answer)?))
    }

    fn fetch_mpack(&self, slug: &str, sent: &Sent) -> Outcome<Duration> {
        let body = json!({"want": [format!("sha256:{}", sent.head)], "have": []}).to_string();
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        let path = format!("/bench/{slug}/fetch/mpack");
        let answer: Value =
            serde_json::from_slice(&connection.request("POST", &path, JSON, body.as_bytes())?)?;
        let pack = connection.request("GET", path_of(&answer["mpack_url"]), JSON, &[])?;
        whole(begun, pack.len(), sent.bytes)
    }
}

/// How long a clone took, once it is known to be whole.
fn whole(begun: Instant, length: usize, least: usize) -> Outcome<Duration> {
    let elapsed = begun.elapsed();
    if length < least { Err("the clone is not whole".into()) } else { Ok(elapsed) }
}

/// The path of an address of the server's.
fn path_of(url: &Value) -> &str {
    let url = url.as_str().unwrap_or_default();
    url.split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or(url)
}

fn history(commits: usize, files: usize, changed: usize) -> History {
    let mut history = History::new();
    let path = |file: usize| format!("package/module_{:02}/file_{file:04}.py", file % 17);
    for number in 0..commits {
        history.commit("main", &format!("Commit number {number}"), |tree| {
            if number == 0 {
                (0..files).for_each(|file| write(tree, &path(file), content(file, 0)));
            } else {
                for change in 0..changed {
                    let file = (number * 31 + change * 7) % files;
                    write(tree, &path(file), content(file, number));
                }
            }
        });
    }
    history
}

/// Python text of 4 KiB, different for every file and every version of it.
fn content(file: usize, version: usize) -> Vec<u8> {
    let mut text = format!("\"\"\"Module {file}, version {version}.\"\"\"\n\nVALUE = {file}\n");
    let mut line = 0;
    while text.len() < 4096 {
        let factor = line * file + 1;
        text.push_str(&format!("\n\ndef function_{line}(x):\n    return x * {factor} + {version}\n"));
        line += 1;
    }
    text.truncate(4096);
    text.into_bytes()
}
