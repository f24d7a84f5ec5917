//! What the job `intel.code.breakage` costs on pushes: facts and findings read from and written to the index.
//!
//! `cargo bench --bench breakage -- [--rounds N] [DIR…]` pushes the Python files of each directory, by default a hundred made-up
//! ones, and prints a table for a hub in memory and one for a hub on disk: the scan of a first push of files never seen, that
//! of another repository with the same files, those of pushes that change one file, and one after which a name is gone that
//! others import. Only the job is timed, as its handler runs it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use musehub_core::CommitId;
use musehub_server::jobs::{Counts, provide_breakage};
use musehub_test_support::app::TestApp;
use musehub_test_support::client::MuseClient;
use musehub_test_support::history::{History, write};

type Files = Vec<(String, Vec<u8>)>;

fn main() -> std::io::Result<()> {
    let mut rounds = 9;
    let mut directories = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(rounds),
            "--bench" => {}
            _ => directories.push(PathBuf::from(argument)),
        }
    }
    let runtime = tokio::runtime::Runtime::new()?;
    if directories.is_empty() {
        runtime.block_on(measure_both("a hundred files", &hundred_files(), rounds.max(1)));
    }
    for directory in directories {
        let mut files = Files::new();
        collect(&directory, &directory, &mut files)?;
        runtime.block_on(measure_both(&directory.display().to_string(), &files, rounds.max(1)));
    }
    Ok(())
}

/// As large as the hundred files of the specification's gate: three that make a package, 97 that import a name that is gone.
fn hundred_files() -> Files {
    let mut files: Files = vec![
        ("pkg/__init__.py".to_owned(), Vec::new()),
        ("pkg/a.py".to_owned(), b"def here():\n    pass\n".to_vec()),
        ("pkg/b.py".to_owned(), b"from pkg.a import here\n".to_vec()),
    ];
    files.extend((0..97).map(|n| {
        let body: String = (0..40).map(|m| format!("def f{m}(x):\n    return x + {m}\n\n")).collect();
        let next = (n + 1) % 97;
        let text = format!("from pkg.a import gone\nfrom pkg.m{next} import f1\n{body}");
        (format!("pkg/m{n}.py"), text.into_bytes())
    }));
    files
}

fn collect(top: &Path, folder: &Path, files: &mut Files) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(top, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            let name = path.strip_prefix(top).expect("what is found in a folder is below it");
            files.push((name.to_string_lossy().into_owned(), std::fs::read(&path)?));
        }
    }
    Ok(())
}

async fn measure_both(name: &str, files: &Files, rounds: usize) {
    measure(&format!("{name}, in memory"), TestApp::new().await, files, rounds).await;
    measure(&format!("{name}, on disk"), TestApp::on_disk().await, files, rounds).await;
}

async fn measure(name: &str, app: TestApp, files: &Files, rounds: usize) {
    let (mut unknown, mut known) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let fresh: Files = files
            .iter()
            .map(|(path, content)| {
                (path.clone(), [content.as_slice(), format!("\n# {round}\n").as_bytes()].concat())
            })
            .collect();
        unknown.push(Pushed::of(&app, &format!("unknown-{round}"), &fresh).await.scan().await.0);
        known.push(Pushed::of(&app, &format!("known-{round}"), &fresh).await.scan().await.0);
    }
    let mut first = Pushed::of(&app, "first", files).await;
    let (_, counts) = first.scan().await;

    let (changed, content) = files.iter().max_by_key(|(_, content)| content.len()).expect("there are files");
    let mut one_file = Vec::new();
    for round in 0..rounds {
        let content = [content.as_slice(), format!("\nround_{round} = {round}\n").as_bytes()].concat();
        first.push("change one file", changed, content).await;
        one_file.push(first.scan().await.0);
    }
    let mut emptied = None;
    if let Some((path, _)) =
        files.iter().find(|(path, _)| path.ends_with("/a.py") || path.ends_with("/utils.py"))
    {
        first.push("empty a module", path, Vec::new()).await;
        let (time, after) = first.scan().await;
        emptied = Some((path, time, after.total));
    }

    println!("\n{name}: {} Python files, {} findings", counts.file_count, counts.total);
    println!("| the job after | median | least | most |\n|---|---|---|---|");
    row("a first push, nothing known", &mut unknown);
    row("a first push of files that another repository has", &mut known);
    row("a push that changes the largest file", &mut one_file);
    if let Some((path, time, total)) = emptied {
        row(&format!("a push that empties {path}: {total} findings then"), &mut [time]);
    }
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let [least, median, most] =
        [0, times.len() / 2, times.len() - 1].map(|at| times[at].as_secs_f64() * 1000.0);
    println!("| {what} | {median:.1} ms | {least:.1} ms | {most:.1} ms |");
}

/// A repository and what was pushed to it.
struct Pushed {
    app: TestApp,
    slug: String,
    client: MuseClient,
    history: History,
}

impl Pushed {
    async fn of(app: &TestApp, slug: &str, files: &Files) -> Self {
        let client = app.repository("alice", slug).await;
        let mut pushed = Self { app: app.clone(), slug: slug.to_owned(), client, history: History::new() };
        pushed.history.commit("main", "everything", |tree| {
            for (path, content) in files {
                write(tree, path, content.clone());
            }
        });
        pushed.client.push(&pushed.history, "main", false).await.expect("the push succeeds");
        pushed
    }

    async fn push(&mut self, message: &str, path: &str, content: Vec<u8>) {
        self.history.commit("main", message, |tree| write(tree, path, content));
        self.client.push(&self.history, "main", false).await.expect("the push succeeds");
    }

    /// Runs the job for the head of the branch.
    async fn scan(&self) -> (Duration, Counts) {
        let repo = self.app.record("alice", &self.slug).await;
        let head = CommitId::parse(self.history.head("main")).expect("a head is a commit id");
        let started = Instant::now();
        let mut results = provide_breakage(&self.app.app, &repo, head).await.expect("the job succeeds");
        let time = started.elapsed();
        let (_, counts) = results.pop().expect("the manifest can be read");
        (time, counts)
    }
}
