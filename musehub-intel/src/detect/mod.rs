//! Pass 2: checks what a snapshot's files import against what its files define.

mod change;
mod check;
mod help;
mod learned;
mod names;
mod patched;
mod report;
mod resolve;
mod scan;
mod union;

use crate::facts::{Guard, Reading};
use crate::snapshot::Snapshot;

pub use report::{Finding, Help, IssueType, Place, Policy, Report, Severity};
pub use scan::Scan;

/// Finds the imports of a snapshot that cannot succeed.
#[must_use]
pub fn detect(snapshot: &Snapshot, policy: Policy) -> Report {
    match policy {
        Policy::Resolved => scan::resolved(snapshot),
        Policy::NameUnion => report(snapshot, union::findings(snapshot)),
    }
}

/// Sorts findings into the counted and the guarded, and counts files.
fn report(snapshot: &Snapshot, all: Vec<Finding>) -> Report {
    let (mut findings, mut guarded): (Vec<_>, Vec<_>) = all.into_iter().partition(|f| f.guard == Guard::None);
    for list in [&mut findings, &mut guarded] {
        list.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    }
    let reading = |wanted| {
        let readings =
            snapshot.files.iter().map(|file| file.facts.as_ref().map_or(Reading::Not, |facts| facts.reading));
        readings.filter(|&reading| reading == wanted).count()
    };
    Report {
        findings,
        guarded,
        files_scanned: snapshot.files.len(),
        files_partly_read: reading(Reading::Partly),
        files_not_read: reading(Reading::Not),
    }
}

fn sort_key(finding: &Finding) -> (&str, u32, u32, IssueType, &str) {
    (&finding.file_path, finding.line, finding.column, finding.issue_type, &finding.description)
}
