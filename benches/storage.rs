//! What keeping a history costs: its push and clone over a directory and over an S3-compatible store, the size of its packs,
//! and making the index anew on both engines.
//!
//! `scripts/measure-storage` runs it beside the servers that it needs, and then the benchmark of memory. Alone, without
//! `AWS_ENDPOINT_URL` and `MUSEHUB_TEST_POSTGRES`, `cargo bench --bench storage` measures the directory and SQLite. A history of
//! 1,000 commits and about 5,000 objects; `-- --commits N --files N --changed N` changes it.

#[allow(dead_code, reason = "the other benchmarks call more of it")]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use server::history::{History, Shape, history};
use server::{Outcome, Server};

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::run_if_asked(&arguments);
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let shape = Shape {
        commits: number("--commits", 1_000),
        files: number("--files", 300),
        changed: number("--changed", 3),
    };
    let history = history(&shape);
    println!(
        "{} commits, {} files of 4 KiB, {} changed in each\n",
        shape.commits, shape.files, shape.changed
    );

    println!("| store | uploads | push | clone | memory at its highest |");
    println!("|---|---|---|---|---|");
    let mut local = Server::start(OPTIONS)?;
    push_and_clone("directory", &local, &history)?;
    if std::env::var_os("AWS_ENDPOINT_URL").is_some() {
        let store = format!("s3://hub/storage-{}", std::process::id());
        push_and_clone("S3-compatible", &Server::start_over(Some(&store), OPTIONS)?, &history)?;
    }
    local.stop()?;

    println!("\n| packs | |");
    println!("|---|---|");
    sizes(&local)?;
    println!("\n| index made anew | |");
    println!("|---|---|");
    rebuild("SQLite", &local, &[])?;
    if let Ok(address) = std::env::var("MUSEHUB_TEST_POSTGRES") {
        let name = format!("storage_{}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        let made =
            Command::new("psql").args(["-q", &format!("{address}postgres"), "-c", &create]).status()?;
        if !made.success() {
            return Err("no database could be made".into());
        }
        rebuild("PostgreSQL", &local, &["--database", &format!("{address}{name}")])?;
    }
    Ok(())
}

/// Answers are as large as the history is.
const OPTIONS: &[&str] = &["--max-fetch", "2048"];
const REPOSITORY: &str = "bench/history";

fn push_and_clone(what: &str, server: &Server, history: &History) -> Outcome<()> {
    server.command(&["repo", "create", REPOSITORY])?;
    let (uploads, push) = server.push("history", history)?;
    let clone = server.clone_all("history", history)?;
    let memory = server.memory("VmHWM")?;
    println!("| {what} | {} | {} | {} | {memory:.0} MiB |", seconds(uploads), seconds(push), seconds(clone));
    Ok(())
}

/// The bytes of packs, as pushed and as folded, against those of the objects.
fn sizes(server: &Server) -> Outcome<()> {
    let file = server.data().join("history.mhex");
    let exported = server.command(&["export", REPOSITORY, &file.display().to_string()])?;
    let words: Vec<&str> = exported.split([' ', ',']).collect();
    let before = |word: &str| -> Outcome<u64> {
        let at = words.iter().position(|other| *other == word).ok_or("export says something else")?;
        Ok(words[at - 1].parse()?)
    };
    let objects = before("commits")? + before("snapshots")? + before("blobs")?;
    println!("| objects | {objects}, {} |", mib(before("bytes")?));
    println!("| packs as pushed | {} |", mib(size_of(&server.data().join("store/packs"), "pack")?));
    println!("| their index files | {} |", mib(size_of(&server.data().join("store/packs"), "idx")?));
    let old = size_of(&server.data().join("store/packs"), "pack")?;
    server.command(&["repack", "--all"])?;
    // What was folded stays until it is collected.
    let folded = size_of(&server.data().join("store/packs"), "pack")? - old;
    if folded > 0 {
        println!("| packs as folded | {} |", mib(folded));
    }
    Ok(())
}

/// Makes the index anew, and says what is in it then.
fn rebuild(engine: &str, server: &Server, database: &[&str]) -> Outcome<()> {
    let begun = Instant::now();
    let printed = server.command(&[&["rebuild-index"][..], database].concat())?;
    let took = begun.elapsed();
    let rows = printed.split(", in ").next().unwrap_or_default();
    println!("| {engine} | {rows}: {} |", seconds(took));
    Ok(())
}

/// The bytes of files below a directory that have an extension.
fn size_of(directory: &Path, extension: &str) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            bytes += size_of(&path, extension)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            bytes += path.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / (1 << 20) as f64)
}
