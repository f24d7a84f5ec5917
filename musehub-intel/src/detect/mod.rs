//! Pass 2: checks what a snapshot's files import against what its files define.

mod check;
mod help;
mod names;
mod patched;
mod report;
mod resolve;
mod union;

use rayon::prelude::*;

use crate::facts::{Guard, Reading};
use crate::snapshot::Snapshot;

pub use report::{Finding, Help, IssueType, Place, Policy, Report, Severity};

use check::Broken;
use help::Definitions;
use resolve::Resolver;

/// Finds the imports of a snapshot that cannot succeed.
#[must_use]
pub fn detect(snapshot: &Snapshot, policy: Policy) -> Report {
    let all = match policy {
        Policy::Resolved => resolved(snapshot),
        Policy::NameUnion => union::findings(snapshot),
    };
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

fn resolved(snapshot: &Snapshot) -> Vec<Finding> {
    let resolver = Resolver::new(snapshot);
    let broken: Vec<Broken> =
        (0..snapshot.files.len()).into_par_iter().flat_map_iter(|file| resolver.check(file)).collect();
    if broken.is_empty() {
        return Vec::new();
    }
    let definitions = Definitions::new(snapshot);
    broken
        .into_iter()
        .map(|Broken { mut finding, lacks }| {
            finding.help = lacks.and_then(|(node, missing)| match finding.name {
                Some(_) => definitions.for_name(&missing, resolver.names_of(node)),
                None => definitions.for_module(&missing, resolver.submodules_of(node)),
            });
            finding
        })
        .collect()
}
