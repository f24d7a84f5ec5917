//! `repack` and `gc`: the upkeep of the object store, by hand.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use musehub_core::hub::mpack::MpackSweep;
use musehub_store::{CollectOptions, Collection, Compacted, RepackOptions, Repacked};
use serde_json::json;

use super::{DataDirectory, Outcome};
use crate::config::Limits;

const HOUR: u64 = 60 * 60;

#[derive(Args, Debug)]
pub(super) struct RepackArguments {
    /// Fold as soon as this many small packs are of about one size.
    #[arg(long, value_name = "N", default_value_t = RepackOptions::default().min_packs)]
    min_packs: usize,
    /// Fold small packs of any size together, and compress large ones however old they are.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct GcArguments {
    /// For how long something has to be unreachable; at least 1.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    grace: u64,
    /// For how long a deleted repository keeps its history.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    retention: u64,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
struct RunArguments {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON, with every pack by name.
    #[arg(long)]
    json: bool,
}

pub(super) async fn repack(arguments: RepackArguments) -> Outcome {
    let app = arguments.data.open(Limits::default()).await?;
    let RunArguments { dry_run, json } = arguments.run;
    let options = RepackOptions { min_packs: arguments.min_packs, all: arguments.all, dry_run };
    let compacted = if dry_run { Compacted::default() } else { app.compact_log(1).await? };
    let done = app.upkeep.repack(options, &progress).await?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({"log": compacted, "repack": done}))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} moves of branches folded into segments of the log", compacted.folded)?;
    let would = if dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{} of {} packs {would}folded, {} bytes before, {} after; {} records, {} of them there twice",
        done.folded.len(),
        done.packs,
        done.bytes_before,
        done.bytes_after,
        done.records + done.duplicates,
        done.duplicates
    )?;
    for (pack, reason) in &done.refused {
        writeln!(out, "pack {pack} stays as it is: {reason}")?;
    }
    Ok(if done.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn progress(done: &Repacked) {
    eprintln!("{} of {} folds, {} bytes written", done.folds, done.folds_planned, done.bytes_after);
}

pub(super) async fn gc(arguments: GcArguments) -> Outcome {
    let app = arguments.data.open(Limits::default()).await?;
    let RunArguments { dry_run, json } = arguments.run;
    let options = CollectOptions {
        grace: Duration::from_secs(arguments.grace * HOUR),
        retention: Duration::from_secs(arguments.retention * 24 * HOUR),
        dry_run,
    };
    let done = app.upkeep.collect(options).await?;
    let swept = app.mpacks.sweep(dry_run).await?;
    let jobs = if dry_run { 0 } else { app.forget_jobs().await? };
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", report(&done, swept, jobs))?;
    } else {
        for ((reason, action), sum) in done.sums() {
            let (reason, action) = (word(&reason), word(&action));
            let would = if dry_run { "would be " } else { "" };
            writeln!(out, "{reason}: {} {would}{action}, {} bytes", sum.count, sum.bytes)?;
        }
        let would = if dry_run { "would be " } else { "" };
        let packs = swept.uploads + swept.built;
        if packs > 0 {
            writeln!(out, "packs of the wire: {packs} {would}removed, {} bytes", swept.bytes)?;
        }
        if jobs > 0 {
            writeln!(out, "jobs that ended a week ago: {jobs} forgotten")?;
        }
        if done.collected.is_empty() && packs == 0 && jobs == 0 {
            writeln!(out, "there is nothing to collect")?;
        }
        for pack in &done.missing {
            writeln!(out, "pack {pack} is named by the log and is not there")?;
        }
        for spared in &done.spared {
            writeln!(out, "{} stays: {}", spared.what, spared.reason)?;
        }
    }
    Ok(if done.missing.is_empty() && done.spared.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn report(done: &Collection, swept: MpackSweep, jobs: u64) -> serde_json::Value {
    let sums = done.sums().into_iter().map(|((reason, action), sum)| {
        json!({"reason": reason, "action": action, "count": sum.count, "bytes": sum.bytes})
    });
    json!({
        "dry_run": done.dry_run,
        "sums": sums.collect::<Vec<_>>(),
        "collected": done.collected,
        "missing": done.missing,
        "spared": done.spared,
        "rows": done.rows,
        "jobs": jobs,
        "wire": {"uploads": swept.uploads, "built": swept.built, "bytes": swept.bytes},
    })
}

/// The word that JSON has for it.
fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok();
    text.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
