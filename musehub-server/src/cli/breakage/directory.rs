//! A directory of files as a snapshot.

use std::path::Path;

use musehub_intel::{Snapshot, SnapshotBuilder};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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

/// Reads what is below a directory.
pub(super) fn snapshot(root: &Path) -> Outcome<Snapshot> {
    read(root, walk(root)?)
}

/// The files below a directory, with their sizes, by their paths from it. Links are not followed.
fn walk(root: &Path) -> Outcome<Vec<(String, u64)>> {
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

fn read(root: &Path, files: Vec<(String, u64)>) -> Outcome<Snapshot> {
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
