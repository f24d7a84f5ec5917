//! What users wait for: a first push, a clone, and how many clients can ask for heads at once.
//!
//! `cargo bench --bench wire` starts the real server in a process of its own, with its data in a temporary directory, and prints
//! a table. Times are those of whole requests as a client on this machine sees them, bodies already encoded; the median of several
//! rounds, each with a repository of its own. `-- --commits N --files N --changed N --rounds N` changes the history.

#[allow(dead_code, reason = "the other benchmarks call more of it")]
mod server;

use std::time::{Duration, Instant};

use server::history::{Shape, history};
use server::{Connection, Outcome, Server};

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::run_if_asked(&arguments);
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let shape = Shape {
        commits: number("--commits", 200),
        files: number("--files", 300),
        changed: number("--changed", 5),
    };
    let rounds = number("--rounds", 5).max(1);
    let history = history(&shape);
    let server = Server::start(&[])?;

    let mut push = Vec::new();
    let mut parts = Vec::new();
    let mut fetch = Vec::new();
    for round in 0..rounds {
        let slug = format!("bench-{round}");
        server.command(&["repo", "create", &format!("bench/{slug}")])?;
        let (uploaded, pushed) = server.push(&slug, &history)?;
        push.push(uploaded + pushed);
        parts.push((uploaded, pushed));
        fetch.push(server.clone_all(&slug, &history)?);
    }
    let memory = server.memory("VmHWM")?;
    let resident = server.memory("VmRSS")?;
    let rate = server.refs_per_second("bench-0", 8, Duration::from_secs(5))?;

    let Shape { commits, files, changed } = shape;
    println!(
        "history: {commits} commits, {files} files of 4 KiB, {changed} changed in each; {rounds} rounds"
    );
    println!("| what | median | least | most |");
    println!("|---|---|---|---|");
    row("first push, all requests", &mut push);
    row("  of it uploads", &mut parts.iter().map(|(uploads, _)| *uploads).collect::<Vec<_>>());
    row("  of it the push itself", &mut parts.iter().map(|(_, push)| *push).collect::<Vec<_>>());
    row("fetch of a clone", &mut fetch);
    println!("| refs over 8 connections | {rate:.0}/s | | |");
    println!("| memory after the pushes | {resident:.1} MiB | | {memory:.1} MiB at its highest |");
    Ok(())
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let median = millis(times[times.len() / 2]);
    println!(
        "| {what} | {median:.1} ms | {:.1} ms | {:.1} ms |",
        millis(times[0]),
        millis(times[times.len() - 1])
    );
}

impl Server {
    fn refs_per_second(&self, slug: &str, connections: usize, time: Duration) -> Outcome<f64> {
        let begun = Instant::now();
        let counts: Vec<u64> = std::thread::scope(|threads| {
            let workers: Vec<_> = (0..connections)
                .map(|_| {
                    threads.spawn(move || {
                        let mut connection = Connection::open(self).map_err(|error| error.to_string())?;
                        let mut count = 0;
                        while begun.elapsed() < time {
                            connection.get(slug, "refs").map_err(|error| error.to_string())?;
                            count += 1;
                        }
                        Ok::<u64, String>(count)
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| "a thread failed".to_owned())?)
                .collect::<Result<_, _>>()
        })?;
        Ok(counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
    }
}
