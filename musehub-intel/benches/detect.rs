//! What a scan costs: cold, with all facts known, and after a push that changed one file.
//!
//! `cargo bench -p musehub-intel --bench detect -- DIR…` prints a table for each directory. Files are read into memory first; that
//! is a row of its own. The median of several rounds; `--rounds N` changes their number.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use musehub_intel::{
    FileFacts, Policy, Scan, Snapshot, SnapshotBuilder, detect, extract, extract_many, is_hint, is_python,
};

/// A path and what it holds as far as a scan wants it.
struct Source {
    path: String,
    content: Vec<u8>,
}

/// By file, empty for what is not Python.
type Facts = Vec<Arc<FileFacts>>;

fn main() -> std::io::Result<()> {
    let mut rounds = 9;
    let mut directories = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(rounds),
            "--bench" => {}
            _ => directories.push(argument),
        }
    }
    if directories.is_empty() {
        eprintln!("usage: cargo bench -p musehub-intel --bench detect -- [--rounds N] DIR…");
    }
    for directory in directories {
        measure(&directory, rounds.max(1))?;
    }
    Ok(())
}

fn measure(directory: &str, rounds: usize) -> std::io::Result<()> {
    let root = Path::new(directory);
    let mut files = Vec::new();
    let reading = time(rounds, || {
        files.clear();
        walk(root, root, &mut files)
    });
    let python: Vec<usize> = (0..files.len()).filter(|&file| is_python(&files[file].path)).collect();
    let bytes: usize = python.iter().map(|&file| files[file].content.len()).sum();
    println!("\n{directory}: {} Python files, {:.1} MiB", python.len(), bytes as f64 / f64::from(1 << 20));
    println!("| what | median | least | most |\n|---|---|---|---|");
    row("reading the files", &reading);

    let mut facts = Facts::new();
    row("pass 1: facts of all files", &time(rounds, || facts = learn(&files, &python)));
    row("building the snapshot", &time(rounds, || snapshot(&files, &facts)));
    let built = snapshot(&files, &facts);
    row("pass 2: all files", &time(rounds, || detect(&built, Policy::Resolved)));
    let whole = time(rounds, || detect(&snapshot(&files, &learn(&files, &python)), Policy::Resolved));
    row("a full scan, all of these but reading", &whole);

    let next = time(rounds, || Scan::new(snapshot(&files, &facts)));
    row("a push of one file, if all files were checked", &next);
    let before = Scan::new(built);
    let hub = most_imported(&files, &facts, &python);
    let middle = python[python.len() / 2];
    for (what, file, addition) in [
        ("a comment", middle, "\n# comment\n"),
        ("a function", middle, "\ndef added_by_a_push(): ...\n"),
        ("a function in the most imported module", hub, "\ndef added_by_a_push(): ...\n"),
    ] {
        let content = [&files[file].content, addition.as_bytes()].concat();
        let mut checked = 0;
        let times = time(rounds, || {
            let mut facts = facts.clone();
            facts[file] = Arc::new(extract(&files[file].path, &content));
            let scan = before.next(snapshot(&files, &facts));
            checked = scan.files_checked();
            scan
        });
        row(&format!("a push of one file, {what}: {checked} files checked"), &times);
    }
    let report = before.report();
    let partly = report.files_partly_read + report.files_not_read;
    println!(
        "{} findings, {} guarded, {partly} files not or partly read",
        report.findings.len(),
        report.guarded.len()
    );
    Ok(())
}

fn learn(files: &[Source], python: &[usize]) -> Facts {
    let sources: Vec<_> = python.iter().map(|&file| (&*files[file].path, &*files[file].content)).collect();
    let mut facts = vec![Arc::default(); files.len()];
    for (&file, learned) in python.iter().zip(extract_many(sources)) {
        facts[file] = Arc::new(learned);
    }
    facts
}

/// The file whose name most import statements mention.
fn most_imported(files: &[Source], facts: &Facts, python: &[usize]) -> usize {
    let mut mentions: HashMap<&str, usize> = HashMap::new();
    for import in facts.iter().flat_map(|facts| &facts.imports) {
        *mentions.entry(import.module.rsplit('.').next().unwrap_or_default()).or_default() += 1;
    }
    let stem = |file: usize| files[file].path.rsplit('/').next().and_then(|name| name.split('.').next());
    let count = |file: &usize| stem(*file).and_then(|stem| mentions.get(stem)).copied().unwrap_or_default();
    python.iter().copied().max_by_key(count).unwrap_or_default()
}

fn snapshot(files: &[Source], facts: &Facts) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    for (file, facts) in files.iter().zip(facts) {
        if is_hint(&file.path) {
            builder.hint(&*file.path, &String::from_utf8_lossy(&file.content));
        }
        if is_python(&file.path) {
            builder.python(&*file.path, facts.clone());
        } else {
            builder.file(&*file.path);
        }
    }
    builder.build()
}

fn walk(directory: &Path, root: &Path, files: &mut Vec<Source>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && !path.ends_with(".git") && !path.ends_with("__pycache__") {
            walk(&path, root, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && kind.is_file()
        {
            let wanted = is_python(name) || is_hint(name);
            let content = if wanted { std::fs::read(&path)? } else { Vec::new() };
            files.push(Source { path: name.to_owned(), content });
        }
    }
    Ok(())
}

fn time<T>(rounds: usize, mut work: impl FnMut() -> T) -> Vec<Duration> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        let made = work();
        times.push(started.elapsed());
        drop(made);
    }
    times.sort_unstable();
    times
}

fn row(what: &str, times: &[Duration]) {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "| {what} | {:.2} ms | {:.2} ms | {:.2} ms |",
        millis(times[times.len() / 2]),
        millis(times[0]),
        millis(times[times.len() - 1])
    );
}
