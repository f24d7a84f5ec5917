//! `backup` and `restore`: what the database alone holds, as a file.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use musehub_store::SqlIndex;

use super::new_file::NewFile;
use super::{DataDirectory, Outcome};

/// What keeps the object store and a backup from being everything.
pub(super) const WAITING: &str =
    "commits, snapshots and branches are in the database alone: run `musehub-server backfill` first";

/// Write what the database alone holds (identities, tokens, proposals, releases and more) to a file.
///
/// Writes identities, tokens (their hashes: tokens themselves are kept nowhere), public keys, collaborators, past scans,
/// proposals, releases, tags and the jobs of uploaded packs to FILE, as lines of JSON with a checksum at the end. Everything else
/// is in the object store, or made again. May run beside a server: the backup is of one moment.
#[derive(Args, Debug)]
pub(super) struct BackupArguments {
    /// The file to write; it must not be there.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the backup although commits, snapshots or branches are in the database alone, which the backup lacks.
    #[arg(long)]
    without_unstored: bool,
    #[command(flatten)]
    data: DataDirectory,
}

/// Read a backup back into a database that has none of it.
///
/// Reads a backup back, all of it or nothing. Rows of repositories need their repositories: where the database is lost, copy
/// the object store back first, run rebuild-index, then this.
#[derive(Args, Debug)]
pub(super) struct RestoreArguments {
    /// The file to read.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace what the database holds of it; without this, a database that holds any is refused.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run_backup(arguments: BackupArguments) -> Outcome {
    let database = arguments.data.settings()?.database;
    if let Some(file) = database.file()
        && !file.is_file()
    {
        return Err(format!("{} is not there", file.display()).into());
    }
    let index = SqlIndex::connect(&database).await?;
    let unstored = index.unstored_rows().await?;
    if unstored > 0 && !arguments.without_unstored {
        return Err(format!("{unstored} {WAITING}, or leave them out with --without-unstored").into());
    }
    let mut file = NewFile::create(&arguments.file)?;
    let now = musehub_core::port::Clock::now(&musehub_core::port::SystemClock);
    let rows = index.backup(file.out(), now).await?;
    file.finish()?;
    println!("{rows} rows in {}", arguments.file.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run_restore(arguments: RestoreArguments) -> Outcome {
    let name = |error| format!("{}: {error}", arguments.file.display());
    let mut file = BufReader::new(File::open(&arguments.file).map_err(name)?);
    let index = SqlIndex::connect(&arguments.data.settings()?.database).await?;
    let rows = index.restore(&mut file, arguments.replace).await?;
    println!("{rows} rows restored");
    Ok(ExitCode::SUCCESS)
}
