//! `export` and `import`: one repository as one file.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures::io::AllowStdIo;
use musehub_core::hub::recovery::{Event, ImportOptions, Transferred};
use musehub_core::{Handle, Slug};

use super::new_file::NewFile;
use super::progress::{ProgressLine, ProgressOption};
use super::{DataDirectory, Outcome, parse_repository};
use crate::config::Limits;

/// Write one repository, with all its history, to a file that `import` reads.
///
/// Writes a repository with its branches, every move that they ever made, and every object, to a file that any hub imports.
/// May run beside a server.
#[derive(Args, Debug)]
pub(super) struct ExportArguments {
    /// The repository.
    #[arg(value_name = "OWNER/SLUG", value_parser = parse_repository)]
    repo: (Handle, Slug),
    /// The file to write; it must not be there.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

/// Read an exported repository into this hub, whole or not at all.
///
/// Reads an exported repository. Every id is computed again and every reference followed; where anything does not fit,
/// nothing of it is visible. Kept are branches with all their moves, the default branch, visibility, description, settings and
/// the time of creation. May run beside a server; after a crash, run it again.
#[derive(Args, Debug)]
pub(super) struct ImportArguments {
    /// The file to read.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Import it under this name instead of the one that it had.
    #[arg(long = "as", value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: Option<(Handle, Slug)>,
    /// Take a repository that accepts commits and snapshots whose ids nothing proves, on the word of whoever made the file.
    #[arg(long)]
    accept_opaque_ids: bool,
    /// Largest blob that is taken, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = ImportOptions::default().max_blob >> 20)]
    max_object: u64,
    /// Largest snapshot that is taken, in MiB. It is in memory several times over.
    #[arg(long, value_name = "MIB", default_value_t = ImportOptions::default().max_snapshot >> 20)]
    max_snapshot: u64,
    #[command(flatten)]
    progress: ProgressOption,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run_export(arguments: ExportArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let (owner, slug) = &arguments.repo;
    let repo = app.repositories.repository(owner, slug).await?.filter(|repo| !repo.deleted);
    let repo = repo.ok_or_else(|| format!("there is no repository {owner}/{slug}"))?;
    let mut file = NewFile::create(&arguments.file)?;
    let mut line = ProgressLine::new(arguments.progress);
    let mut out = AllowStdIo::new(file.out());
    let done = app.recovery.export(&repo, &mut out, &mut |event: Event| line.show(&event)).await?;
    line.clear();
    file.finish()?;
    println!("{owner}/{slug}: {} in {}", counted(&done), arguments.file.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run_import(arguments: ImportArguments) -> Outcome {
    let file =
        File::open(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let app = arguments.data.open(Limits::default()).await?;
    let mut line = ProgressLine::new(arguments.progress);
    let mut input = AllowStdIo::new(BufReader::new(file));
    let mut report = |event: Event| line.show(&event);
    let mib = |count: u64| count.saturating_mul(1 << 20);
    let options = ImportOptions {
        name: arguments.name,
        accept_opaque_ids: arguments.accept_opaque_ids,
        max_blob: mib(arguments.max_object),
        max_snapshot: mib(arguments.max_snapshot),
    };
    let (repo, done) = app.recovery.import(&mut input, &options, &mut report).await?;
    line.clear();
    println!("{}/{}: {}", repo.owner, repo.slug, counted(&done));
    Ok(ExitCode::SUCCESS)
}

fn counted(done: &Transferred) -> String {
    format!(
        "{} moves, {} commits, {} snapshots, {} blobs, {} bytes",
        done.moves, done.commits, done.snapshots, done.blobs, done.bytes
    )
}
