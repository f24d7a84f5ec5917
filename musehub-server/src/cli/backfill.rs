//! `load-rows` and `backfill`: history that another hub kept in tables alone.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use futures::io::AllowStdIo;
use musehub_core::hub::recovery::{BackfillOptions, Backfilled, Event, Problem};
use musehub_core::{Handle, Slug};
use serde::Serialize;

use super::progress::{Listener, ProgressLine, ProgressOption};
use super::{DataDirectory, Outcome, parse_repository};
use crate::config::Limits;

/// Read one repository as rows of a database, without objects of its commits and snapshots.
///
/// Reads lines of JSON, as docs/STORAGE.md says: a repository, its blobs, the records of its snapshots and commits, parents
/// first, and its branches. The repository can be seen and fetched at once, and takes pushes once `backfill` has written its
/// objects. Where a line does not fit, nothing is seen of the repository. May run beside a server; after a crash, run it again.
#[derive(Args, Debug)]
pub(super) struct LoadArguments {
    /// The file to read.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Load it under this name instead of the one that it has.
    #[arg(long = "as", value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: Option<(Handle, Slug)>,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

/// Write the objects of commits and snapshots that are rows of the database alone.
///
/// Computes the id of every record again and writes its object, in packs, then the first entry of the log of every branch. A
/// row that cannot be stored is reported and left, and so is what stands on it; the exit status is 1 then. May run beside a
/// server; after a crash, run it again, and it goes on.
#[derive(Args, Debug)]
pub(super) struct BackfillArguments {
    /// Only this repository.
    #[arg(long, value_name = "OWNER/SLUG", value_parser = parse_repository)]
    repo: Option<(Handle, Slug)>,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print what was done and what is left as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    problems: &'a [Problem],
    dry_run: bool,
    done: &'a Backfilled,
    seconds: f64,
}

pub(super) async fn load_rows(arguments: LoadArguments) -> Outcome {
    let file =
        File::open(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let app = arguments.data.open(Limits::default()).await?;
    let mut line = ProgressLine::new(arguments.progress);
    let mut input = AllowStdIo::new(BufReader::new(file));
    let mut report = |event: Event| line.show(&event);
    let (repo, done) = app.recovery.load_rows(&mut input, arguments.name, &mut report).await?;
    line.clear();
    println!(
        "{}/{}: {} branches, {} commits, {} snapshots, {} blobs",
        repo.owner, repo.slug, done.branches, done.commits, done.snapshots, done.blobs
    );
    println!("run `musehub-server backfill` to write their objects");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn backfill(arguments: BackfillArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let options = BackfillOptions { repository: arguments.repo, dry_run: arguments.dry_run };
    let started = Instant::now();
    let mut listener = Listener::new(arguments.progress, arguments.json);
    let done = app.recovery.backfill(&options, &mut |event| listener.hear(event)).await?;
    let problems = listener.finish();
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let printed = Printed { problems: &problems, dry_run: arguments.dry_run, done: &done, seconds };
        println!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        let would = if arguments.dry_run { "would be " } else { "" };
        println!(
            "{} commits and {} snapshots of {} repositories {would}stored, {} bytes in {} packs, {} branches, in \
             {seconds:.1} seconds; {} rows and branches left",
            done.commits, done.snapshots, done.repositories, done.bytes, done.packs, done.branches, done.left
        );
    }
    Ok(if done.left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
