//! `breakage`: the detector over a directory, as a check in anyone's CI.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use musehub_intel::{Policy, SnapshotBuilder};
use serde::Serialize;

use super::{DataDirectory, Outcome};

/// Directories that hold no source of the project: what Muse clients leave out of a snapshot, and the stores of version
/// control systems.
const SKIPPED: &[&str] = &[
    ".git",
    ".hg",
    ".muse",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "htmlcov",
    "node_modules",
    "venv",
];
/// How many bytes of files are in memory together.
const BATCH: u64 = 64 << 20;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The directory to look through: the root of a project.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print the findings as a JSON array.
    #[arg(long)]
    json: bool,
    /// `resolved` resolves every import as Python would; `name-union` only asks whether a name or module of that name is
    /// anywhere, as older hubs did.
    #[arg(long, value_enum, default_value_t = PolicyName::Resolved)]
    policy: PolicyName,
    // Taken so that scripts can give it to every command; this one reads a directory and keeps nothing.
    #[command(flatten)]
    _data: DataDirectory,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum PolicyName {
    Resolved,
    NameUnion,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    issue_type: &'a str,
    file_path: &'a str,
    line: u32,
    description: &'a str,
    severity: &'a str,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let files = walk(&arguments.directory)?;
    let snapshot = read(&arguments.directory, files)?;
    let policy = match arguments.policy {
        PolicyName::Resolved => Policy::Resolved,
        PolicyName::NameUnion => Policy::NameUnion,
    };
    let report = musehub_intel::detect(&snapshot, policy);
    let findings: Vec<JsonFinding<'_>> = report
        .findings
        .iter()
        .map(|finding| JsonFinding {
            issue_type: finding.issue_type.as_str(),
            file_path: &finding.file_path,
            line: finding.line,
            description: &finding.description,
            severity: finding.severity.as_str(),
        })
        .collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        for (finding, line) in report.findings.iter().zip(&findings) {
            let JsonFinding { issue_type, file_path, line, description, severity } = line;
            println!("{file_path}:{line}: {severity}: {description} [{issue_type}]");
            if let Some(help) = &finding.help {
                println!("    help: {help}");
            }
        }
        eprintln!("{} findings in {} files", findings.len(), report.files_scanned);
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files below a directory, with their sizes, by their paths from it. Links are not followed.
fn walk(root: &Path) -> Result<Vec<(String, u64)>, Box<dyn std::error::Error + Send + Sync>> {
    let mut files = Vec::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        let entries =
            std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            // A name that is no UTF-8 can be in no snapshot and in no import.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                pending.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() {
                files.push((path, entry.metadata()?.len()));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(
    root: &Path,
    files: Vec<(String, u64)>,
) -> Result<musehub_intel::Snapshot, Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = SnapshotBuilder::new();
    let mut batch: Vec<(String, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    for (path, size) in files {
        let readable = size <= musehub_intel::MAX_FILE_BYTES as u64;
        if readable && musehub_intel::is_hint(&path) {
            builder.hint(path.as_str(), &String::from_utf8_lossy(&std::fs::read(root.join(&path))?));
        }
        if readable && musehub_intel::is_python(&path) {
            let content = std::fs::read(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
            bytes += size;
            batch.push((path, content));
            if bytes > BATCH {
                extract(&mut builder, std::mem::take(&mut batch));
                bytes = 0;
            }
        } else {
            builder.file(path);
        }
    }
    extract(&mut builder, batch);
    Ok(builder.build())
}

fn extract(builder: &mut SnapshotBuilder, batch: Vec<(String, Vec<u8>)>) {
    let files: Vec<(&str, &[u8])> =
        batch.iter().map(|(path, content)| (path.as_str(), &content[..])).collect();
    let facts = musehub_intel::extract_many(files);
    for ((path, _), facts) in batch.into_iter().zip(facts) {
        builder.python(path, facts);
    }
}
