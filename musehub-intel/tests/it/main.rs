//! What the detector reports, and above all what it does not, on small snapshots.

mod breakage;
mod history;
mod hostile;
mod incremental;
mod properties;
mod roots;
mod silence;
mod union;

use musehub_intel::{Policy, Report, Snapshot, SnapshotBuilder, detect, extract, is_hint, is_python};

/// A snapshot of `(path, text)` pairs.
fn snapshot(files: &[(&str, &str)]) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    for &(path, text) in files {
        if is_python(path) {
            builder.python(path, extract(path, text.as_bytes()));
        }
        if is_hint(path) {
            builder.hint(path, text);
        }
        builder.file(path);
    }
    builder.build()
}

fn report(files: &[(&str, &str)]) -> Report {
    detect(&snapshot(files), Policy::Resolved)
}

/// The findings as `path:line type: sentence`.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    report(files)
        .findings
        .iter()
        .map(|f| format!("{}:{} {}: {}", f.file_path, f.line, f.issue_type.as_str(), f.description))
        .collect()
}

/// Asserts that nothing is reported about these files.
#[track_caller]
fn silent(files: &[(&str, &str)]) {
    assert_eq!(findings(files), Vec::<String>::new());
}

/// Asserts that exactly these findings are reported.
#[track_caller]
fn reports(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(findings(files), expected);
}
