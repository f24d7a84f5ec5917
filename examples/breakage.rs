//! The detector in twenty lines: prints the imports of a folder that fail. `cargo run --example breakage -- DIR`

use musehub::intel::{Policy, SnapshotBuilder, detect, extract, is_hint, is_python};

fn main() -> std::io::Result<()> {
    let root = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let (mut snapshot, mut folders) = (SnapshotBuilder::new(), vec![std::path::PathBuf::from(&root)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (kind, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
            match kind? {
                kind if kind.is_dir() => folders.push(path.clone()),
                kind if !kind.is_file() => {}
                _ if is_python(&name) => _ = snapshot.python(&*name, extract(&name, &std::fs::read(&path)?)),
                _ if is_hint(&name) => _ = snapshot.hint(&*name, &std::fs::read_to_string(&path)?),
                _ => _ = snapshot.file(&*name),
            }
        }
    }
    for finding in detect(&snapshot.build(), Policy::Resolved).findings {
        println!("{}:{}: {}", finding.file_path, finding.line, finding.description);
    }
    Ok(())
}
