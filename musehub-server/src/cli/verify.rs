//! `verify`: whether everything is there and is what it was.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use musehub_core::hub::recovery::{Problem, VerifyOptions, VerifySummary};
use musehub_core::{Handle, Slug};
use musehub_store::SqlIndex;
use serde::Serialize;

use super::progress::{Listener, ProgressOption};
use super::{DataDirectory, Outcome, parse_repository};
use crate::config::Limits;

/// Check that everything is there and is what it was; exit status 1 where something is not.
///
/// Follows every branch from its log over commits and snapshots to the blobs, and every row to the bytes it names. Changes
/// nothing: a database that is not there or not of this version is refused. Exit status: 0 where everything is whole, 1 where problems were found, 2 where it could not run.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// One repository only, and the packs that it uses.
    #[arg(long, value_name = "OWNER/SLUG", value_parser = parse_repository)]
    repo: Option<(Handle, Slug)>,
    /// Read every byte of every pack, too, and compute every hash again.
    #[arg(long)]
    objects: bool,
    /// Print JSON: `{"problems": […], "summary": {…}}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Serialize)]
struct Printed<'a> {
    problems: &'a [Problem],
    summary: &'a VerifySummary,
    seconds: f64,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    arguments.data.require_existing()?;
    let database = arguments.data.settings()?.database;
    // Opening it would bring it up to date, or make it.
    let pending = SqlIndex::check_schema(&database).await?.pending;
    if let Some(first) = pending.first() {
        return Err(format!(
            "the database is of an older version (migration {first} is not applied): a server that starts brings it up to date"
        )
        .into());
    }
    let app = arguments.data.open(Limits::default()).await?;
    let options = VerifyOptions { repository: arguments.repo, objects: arguments.objects };
    let started = Instant::now();
    let mut listener = Listener::new(arguments.progress, arguments.json);
    let summary = app.recovery.verify(&options, &mut |event| listener.hear(event)).await?;
    let problems = listener.finish();
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let printed = Printed { problems: &problems, summary: &summary, seconds };
        println!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        print_summary(&summary, seconds);
    }
    Ok(if summary.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_summary(summary: &VerifySummary, seconds: f64) {
    println!(
        "{} repositories, {} branches with {} moves, {} commits, {} snapshots, {} blobs, {} packs",
        summary.repositories,
        summary.branches,
        summary.moves,
        summary.commits,
        summary.snapshots,
        summary.blobs,
        summary.packs
    );
    if summary.unstored + summary.unstored_branches > 0 {
        println!(
            "{} commits and snapshots and {} branches are in the database alone, and wait for `backfill`",
            summary.unstored, summary.unstored_branches
        );
    }
    if summary.folded_packs > 0 {
        println!("{} packs lead to others, into which they were folded", summary.folded_packs);
    }
    if summary.unused_packs > 0 {
        println!("{} packs are used by nothing, as pushes that failed leave them", summary.unused_packs);
    }
    if summary.opaque_commits + summary.opaque_snapshots > 0 {
        println!(
            "{} commits and {} snapshots have ids that nothing proves, as their repositories allow",
            summary.opaque_commits, summary.opaque_snapshots
        );
    }
    if summary.pack_bytes > 0 {
        println!("{} bytes of packs were read and hashed", summary.pack_bytes);
    }
    println!("{} problems, in {seconds:.1} seconds", summary.problems);
}
