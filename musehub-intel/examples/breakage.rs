//! Prints the stale imports of a folder: `cargo run --release -p musehub-intel --example breakage -- DIR`.

use std::path::Path;

use musehub_intel::{Policy, SnapshotBuilder, detect, extract_many, is_hint, is_python};

fn walk(dir: &Path, root: &Path, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            walk(&path, root, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            let wanted = is_python(name) || is_hint(name);
            files.push((name.to_owned(), if wanted { std::fs::read(&path)? } else { Vec::new() }));
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut files = Vec::new();
    walk(Path::new(&root), Path::new(&root), &mut files)?;
    let mut snapshot = SnapshotBuilder::new();
    let python: Vec<_> = files.iter().filter(|(name, _)| is_python(name)).collect();
    let sources: Vec<_> = python.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    for ((name, _), facts) in python.iter().zip(extract_many(sources)) {
        snapshot.python(name.as_str(), facts);
    }
    for (name, bytes) in files.iter().filter(|(name, _)| !is_python(name) || is_hint(name)) {
        snapshot
            .hint(name.as_str(), if is_hint(name) { std::str::from_utf8(bytes).unwrap_or("") } else { "" });
    }
    let report = detect(&snapshot.build(), Policy::Resolved);
    for finding in &report.findings {
        let (kind, severity) = (finding.issue_type.as_str(), finding.severity.as_str());
        let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        println!(
            "{}:{}:{}: {severity} {kind}: {}{help}",
            finding.file_path, finding.line, finding.column, finding.description
        );
    }
    println!("{} findings in {} files", report.findings.len(), report.files_scanned);
    Ok(())
}
