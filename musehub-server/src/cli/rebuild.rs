//! `rebuild-index`: the database from the object store alone.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use musehub_core::hub::recovery::Event;
use musehub_core::hub::{CaughtUp, LeftBehind};
use musehub_store::Replacement;

use super::backup::WAITING;
use super::progress::{ProgressLine, ProgressOption};
use super::{DataDirectory, Outcome};
use crate::app::App;
use crate::config::Limits;

/// Make the database anew from the object store, and put it in the place of the old one.
///
/// Makes a new database beside the old one, from the object store alone; carries over what only the old one holds
/// (identities, tokens, past scans); and puts it in place at the end. Refuses where the old one shows repositories of which the
/// store has no record. Findings are computed again by jobs when a server runs.
/// Stop the servers first: a database in use is refused. After a crash, run it again. Of PostgreSQL's, an empty database is
/// filled, and nothing carried over into it; with --replace, tables are made beside those that are there and take their place.
///
/// What is lost or damaged in the store is in the way of nothing else: the rest comes back, each repository that lacks something is
/// named, and the exit status is 1. Where the store cannot be asked, nothing is replaced, and it is 2.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Carry nothing over from the old database, for one that cannot be read any more: identities and tokens are lost, unless
    /// a backup of them is restored, and so is what it has of repositories that the store lacks.
    #[arg(long)]
    discard_old: bool,
    /// Replace the tables of a database of PostgreSQL's. The old ones are kept in a schema of their own. Needs the right to make
    /// schemas. A file of SQLite's is replaced without this.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    arguments.data.require_existing()?;
    let started = Instant::now();
    let settings = arguments.data.settings()?;
    let (database, replace) = (&settings.database, arguments.replace);
    let replacement = if arguments.discard_old {
        Replacement::begin_discarding(database, replace).await?
    } else {
        Replacement::begin(database, replace).await?
    };
    if !arguments.discard_old {
        let unstored = replacement.unstored_rows().await?;
        if unstored > 0 {
            return Err(format!("{unstored} {WAITING}, or give them up with --discard-old").into());
        }
    }
    let (backend, refs) = App::open_store(&settings).await?;
    let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
    let mut line = ProgressLine::new(arguments.progress);
    let mut tell = |done: &CaughtUp| {
        line.show(&Event::Progress { stage: "moves", done: done.moves, total: None });
    };
    let made = app.hub.catch_up_telling(&mut tell).await?;
    line.clear();
    // A store that failed once has what the new index would lack.
    let (damaged, failed): (Vec<_>, Vec<_>) =
        made.failed.into_iter().partition(|left| left.error.is_damage());
    if let Some(LeftBehind { error, .. }) = failed.into_iter().next() {
        return Err(error.into());
    }
    if !arguments.discard_old {
        refuse_loss(&replacement.lost_repositories().await?)?;
    }
    let carried = if arguments.discard_old { None } else { replacement.carry_over().await? };
    drop(app);
    let kept = replacement.swap().await?;
    println!(
        "{} repositories, {} moves, {} commits, {} snapshots, {} blobs, in {:.1} seconds",
        made.repositories,
        made.moves,
        made.commits,
        made.snapshots,
        made.blobs,
        started.elapsed().as_secs_f64()
    );
    if let Some(carried) = carried {
        println!("{carried} rows of identities, tokens and past scans were carried over");
    }
    if let Some(kept) = kept {
        println!("the old database is {kept}");
    }
    for LeftBehind { repository, error } in &damaged {
        match repository {
            Some((owner, slug)) => eprintln!("{owner}/{slug} is not whole: {error}"),
            None => eprintln!("a repository is left out: {error}"),
        }
    }
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Refuses to replace a database by one that lacks repositories which it shows.
fn refuse_loss(lost: &[String]) -> Result<(), String> {
    const NAMED: usize = 10;
    let Some(first) = lost.get(..lost.len().min(NAMED)).filter(|first| !first.is_empty()) else {
        return Ok(());
    };
    let more = if lost.len() > NAMED { ", …" } else { "" };
    Err(format!(
        "the store has no record of {} repositories that the old database shows ({}{more}): restore repositories/ of the \
         store from a copy, or give them up with --discard-old",
        lost.len(),
        first.join(", ")
    ))
}
