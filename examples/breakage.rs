//! The detector in twenty lines: prints the imports of a folder that fail. `cargo run --example breakage -- DIR`

use std::path::Path;

use musehub::intel::{Policy, SnapshotBuilder, detect, extract, is_hint, is_python};

fn add(snapshot: &mut SnapshotBuilder, root: &Path, folder: &Path) -> std::io::Result<()> {
    for path in std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())) {
        let path = path?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        match () {
            () if path.is_symlink() => {}
            () if path.is_dir() => add(snapshot, root, &path)?,
            () if is_python(&name) => drop(snapshot.python(&*name, extract(&name, &std::fs::read(&path)?))),
            () if is_hint(&name) => drop(snapshot.hint(&*name, &std::fs::read_to_string(&path)?)),
            () => drop(snapshot.file(&*name)),
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut snapshot = SnapshotBuilder::new();
    add(&mut snapshot, Path::new(&root), Path::new(&root))?;
    let report = detect(&snapshot.build(), Policy::Resolved);
    for finding in &report.findings {
        println!("{}:{}:{}: {}", finding.file_path, finding.line, finding.column, finding.description);
    }
    println!("{} findings in {} files", report.findings.len(), report.files_scanned);
    Ok(())
}
