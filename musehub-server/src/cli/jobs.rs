//! `jobs`: looks at background jobs, and tries them again or cancels them.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use musehub_core::port::{Cancellation, Job, JobFilter, JobId, JobStatus};
use musehub_core::{Handle, RepoId, Slug};
use serde::Serialize;

use super::{DataDirectory, Outcome, parse_repository};
use crate::app::App;
use crate::config::Limits;
use crate::jobs::JobView;

/// Exit status where something was not done that was asked for.
const NOT_DONE: u8 = 1;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// List jobs, those enqueued last first.
    List(ListArguments),
    /// Show a job: its payload, what it did, its last error.
    Show(ShowArguments),
    /// Enqueue jobs again that failed for good or were cancelled. Exit status 1 where one is neither.
    Retry(NamedArguments),
    /// Cancel jobs: those that wait at once, those that run when their worker hears of it. Exit status 1 where one is over.
    Cancel(NamedArguments),
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Of this repository.
    #[arg(long, value_name = "OWNER/SLUG", value_parser = parse_repository)]
    repo: Option<(Handle, Slug)>,
    /// Of this kind, e.g. intel.code.breakage.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Of which this became: pending, running, done, failed or cancelled.
    #[arg(long, value_name = "STATUS")]
    status: Option<JobStatus>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct ShowArguments {
    /// Its id, as `jobs list` prints it.
    id: JobId,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct NamedArguments {
    /// Their ids, as `jobs list` prints them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
    #[command(flatten)]
    data: DataDirectory,
}

/// A job with the name of its repository.
#[derive(Serialize)]
struct Listed {
    repository: String,
    #[serde(flatten)]
    job: JobView,
}

#[derive(Serialize)]
struct Listing {
    jobs: Vec<Listed>,
}

pub(super) async fn run(command: Command) -> Outcome {
    match command {
        Command::List(arguments) => list(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Retry(arguments) => retry(arguments).await,
        Command::Cancel(arguments) => cancel(arguments).await,
    }
}

async fn list(arguments: ListArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let repo_id = match &arguments.repo {
        None => None,
        Some((owner, slug)) => {
            let repo = app.repositories.repository(owner, slug).await?;
            Some(repo.ok_or_else(|| format!("there is no repository {owner}/{slug}"))?.repo_id)
        }
    };
    let ListArguments { kind, status, limit, .. } = arguments;
    let jobs = app.control.jobs(&JobFilter { repo_id, kind, status, after: None, limit }).await?;
    let jobs = named(&app, jobs).await?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&Listing { jobs })?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for Listed { repository, job } in jobs {
        let error = job.error.unwrap_or_default().replace(char::is_control, " ");
        let line = format!(
            "{}  {:<9}  {}  {}  {repository}  {}",
            job.job_id, job.status, job.enqueued_at, job.kind, error
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(arguments: ShowArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let job = app.control.job(&arguments.id).await?;
    let job = job.ok_or_else(|| format!("there is no job {}", arguments.id))?;
    let listed = named(&app, vec![job]).await?.swap_remove(0);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&listed)?)?;
    } else {
        writeln!(out, "{}", serde_json::to_string_pretty(&listed)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry(arguments: NamedArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let mut status = ExitCode::SUCCESS;
    for id in &arguments.ids {
        if app.control.retry(id, app.clock.now()).await? {
            println!("{id} is enqueued again");
        } else {
            eprintln!("{id} is no job that failed or was cancelled");
            status = ExitCode::from(NOT_DONE);
        }
    }
    Ok(status)
}

async fn cancel(arguments: NamedArguments) -> Outcome {
    arguments.data.require_existing()?;
    let app = arguments.data.open(Limits::default()).await?;
    let mut status = ExitCode::SUCCESS;
    for id in &arguments.ids {
        match app.control.cancel(id, app.clock.now()).await? {
            Cancellation::Cancelled => println!("{id} is cancelled"),
            Cancellation::Requested => println!("{id} runs; its worker will stop it"),
            Cancellation::Over | Cancellation::Unknown => {
                eprintln!("{id} is no job that waits or runs");
                status = ExitCode::from(NOT_DONE);
            }
        }
    }
    Ok(status)
}

/// Jobs with the names of their repositories.
async fn named(app: &App, jobs: Vec<Job>) -> Result<Vec<Listed>, musehub_core::port::BackendError> {
    let mut names: HashMap<RepoId, String> = HashMap::new();
    let mut listed = Vec::with_capacity(jobs.len());
    for job in jobs {
        let id = job.work.repo_id.clone();
        if !names.contains_key(&id) {
            let repo = app.repositories.repository_by_id(&id).await?;
            let name = repo.map_or_else(|| id.to_string(), |repo| format!("{}/{}", repo.owner, repo.slug));
            names.insert(id.clone(), name);
        }
        listed.push(Listed { repository: names[&id].clone(), job: job.into() });
    }
    Ok(listed)
}
