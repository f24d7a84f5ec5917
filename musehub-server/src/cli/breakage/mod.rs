//! `breakage`: the detector over a directory, as a check in anyone's CI, or over a commit of a repository of this hub.

mod directory;
mod print;
mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use musehub_core::CommitId;
use musehub_core::hub::Refs;
use musehub_core::port::{Definition, Help};
use musehub_intel::{Finding, Policy, Report};

use super::{DataDirectory, Outcome, parse_repository};
use crate::config::Limits;
use crate::scan;

/// Look for imports that fail in the Python files of a directory or of a stored commit.
///
/// Exit status: 0 where nothing was found, 1 where something was, 2 where the files could not be read.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A directory, the root of a project; or OWNER/SLUG[@REF], a repository of the hub whose data is at --data, and a branch or
    /// commit of it (its default branch where none is named). What is a directory is taken for one.
    #[arg(value_name = "DIR|OWNER/SLUG[@REF]")]
    target: PathBuf,
    #[command(flatten)]
    format: Format,
    /// `resolved` resolves every import as Python would; `name-union` only asks whether a name or module of that name is
    /// anywhere, as older hubs did.
    #[arg(long, value_enum, default_value_t = PolicyName::Resolved)]
    policy: PolicyName,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Format {
    /// Print the findings as a JSON array.
    #[arg(long)]
    json: bool,
    /// Print a SARIF 2.1.0 log.
    #[arg(long)]
    sarif: bool,
    /// Print workflow commands, which GitHub shows beside the lines of a pull request.
    #[arg(long)]
    github: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum PolicyName {
    Resolved,
    NameUnion,
}

/// Findings, and all help for each.
#[derive(Debug)]
struct Findings {
    report: Report,
    help: Vec<Help>,
}

impl Findings {
    fn iter(&self) -> impl Iterator<Item = (&Finding, &Help)> {
        self.report.findings.iter().zip(&self.help)
    }
}

pub(super) async fn run(arguments: &Arguments) -> Outcome {
    let policy = match arguments.policy {
        PolicyName::Resolved => Policy::Resolved,
        PolicyName::NameUnion => Policy::NameUnion,
    };
    let findings = match repository_of(&arguments.target) {
        Some(name) => of_repository(&arguments.data, name, policy).await?,
        None => of_directory(&arguments.target, policy)?,
    };
    match &arguments.format {
        Format { json: true, .. } => print::json(&findings)?,
        Format { sarif: true, .. } => println!("{:#}", sarif::log(&findings)),
        Format { github: true, .. } => print::github(&findings),
        Format { .. } => print::text(&findings),
    }
    Ok(if findings.help.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The target as the name of a repository, unless it is a path.
fn repository_of(target: &Path) -> Option<&str> {
    let text = target.to_str().filter(|text| !target.exists() && !text.starts_with('.'))?;
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    parse_repository(name).is_ok().then_some(text)
}

fn of_directory(
    directory: &Path,
    policy: Policy,
) -> Result<Findings, Box<dyn std::error::Error + Send + Sync>> {
    let report = musehub_intel::detect(&directory::snapshot(directory)?, policy);
    let help = |finding: &Finding| {
        let found = finding.help.clone().unwrap_or_default();
        let place = found.moved_to.map(|place| Definition { file_path: place.file_path, line: place.line });
        Help { did_you_mean: found.did_you_mean, moved_to: place, removed_by: None }
    };
    let help = report.findings.iter().map(help).collect();
    Ok(Findings { report, help })
}

async fn of_repository(
    data: &DataDirectory,
    target: &str,
    policy: Policy,
) -> Result<Findings, Box<dyn std::error::Error + Send + Sync>> {
    let (name, reference) = target.split_once('@').map_or((target, None), |(name, of)| (name, Some(of)));
    let (owner, slug) = parse_repository(name)?;
    if !data.data.is_dir() {
        return Err(
            format!("{target}: no directory of that name, and no hub in {}", data.data.display()).into()
        );
    }
    let app = data.open(Limits::default()).await?;
    let repo = app.repositories.repository(&owner, &slug).await?.filter(|repo| !repo.deleted);
    let repo = repo.ok_or_else(|| format!("{name}: no directory and no repository of that name"))?;
    let refs = app.hub.refs(&repo).await?;
    let commit = commit_of(&refs, reference).ok_or_else(|| match reference {
        Some(reference) => format!("{name} has no branch '{reference}', and no commit has such an id"),
        None => format!("{name} has no commit on '{}'", refs.default_branch),
    })?;
    let commit = app.hub.commit(&repo, commit).await?;
    let scanned = scan::scan(&app, &repo, &commit, policy).await?;
    let help = scanned.report.findings.iter().map(|finding| scanned.help(finding)).collect();
    Ok(Findings { report: scanned.report, help })
}

/// A branch of that name, or a commit of that id.
fn commit_of(refs: &Refs, reference: Option<&str>) -> Option<CommitId> {
    let head = |name: &str| refs.branches.iter().find(|row| row.name.as_str() == name).map(|row| row.head);
    match reference {
        None => head(refs.default_branch.as_str()),
        Some(reference) => head(reference).or_else(|| CommitId::parse(reference).ok()),
    }
}
