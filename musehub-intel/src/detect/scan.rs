//! A checked snapshot, kept so that the next one is checked only where it differs.

use rayon::prelude::*;

use super::change::Changes;
use super::help::Definitions;
use super::report::{Finding, Report};
use super::resolve::{Effects, Resolver};
use crate::history::Lack;
use crate::snapshot::Snapshot;

/// The findings of one snapshot under [`super::Policy::Resolved`], and what is needed to check its successor.
///
/// ```
/// use musehub_intel::{Scan, SnapshotBuilder, extract};
///
/// let snapshot = |prices: &str| {
///     let mut snapshot = SnapshotBuilder::new();
///     for (path, source) in [("prices.py", prices), ("cart.py", "from prices import net"), ("other.py", "import os")] {
///         snapshot.python(path, extract(path, source.as_bytes()));
///     }
///     snapshot.build()
/// };
/// let before = Scan::new(snapshot("net = 1"));
/// assert!(before.report().findings.is_empty());
/// let after = before.next(snapshot("gross = 1"));
/// assert_eq!(after.report().findings.len(), 1);
/// assert_eq!(after.files_checked(), 2, "the changed file and the one that imports it");
/// ```
#[derive(Debug)]
pub struct Scan {
    pub(super) snapshot: Snapshot,
    pub(super) effects: Effects,
    /// By file.
    broken: Vec<Vec<Finding>>,
    report: Report,
    files_checked: usize,
}

impl Scan {
    /// Checks every file of a snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self::made(snapshot, |resolver| (check_all(resolver), resolver.snapshot.files.len()))
    }

    /// Checks a later snapshot, which may be any other: only files whose imports or targets differ are looked at, and
    /// the answer is that of [`Scan::new`].
    #[must_use]
    pub fn next(&self, snapshot: Snapshot) -> Self {
        Self::made(snapshot, |resolver| match Changes::between(self, resolver) {
            Some(changes) => self.check_changed(resolver, &changes),
            None => (check_all(resolver), resolver.snapshot.files.len()),
        })
    }

    fn made(snapshot: Snapshot, check: impl FnOnce(&Resolver<'_>) -> (Vec<Vec<Finding>>, usize)) -> Self {
        let resolver = Resolver::new(&snapshot);
        let (broken, files_checked) = check(&resolver);
        let report = finish(&resolver, &broken);
        let effects = resolver.into_effects();
        Self { snapshot, effects, broken, report, files_checked }
    }

    fn check_changed(&self, resolver: &Resolver<'_>, changes: &Changes) -> (Vec<Vec<Finding>>, usize) {
        let files = (0..resolver.snapshot.files.len()).into_par_iter();
        let (broken, checked): (Vec<_>, Vec<usize>) = files
            .map(|file| match changes.unaffected(resolver.snapshot, file) {
                Some(old) => (self.broken[old].clone(), 0),
                None => (resolver.check(file), 1),
            })
            .unzip();
        (broken, checked.into_iter().sum())
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The snapshot that was checked.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How many files this scan looked at; the findings of the others were known.
    #[must_use]
    pub fn files_checked(&self) -> usize {
        self.files_checked
    }
}

/// The findings of one snapshot, of which nothing is kept.
pub(super) fn resolved(snapshot: &Snapshot) -> Report {
    let resolver = Resolver::new(snapshot);
    finish(&resolver, &check_all(&resolver))
}

fn check_all(resolver: &Resolver<'_>) -> Vec<Vec<Finding>> {
    (0..resolver.snapshot.files.len()).into_par_iter().map(|file| resolver.check(file)).collect()
}

/// Adds help, which any file of the snapshot may give.
fn finish(resolver: &Resolver<'_>, broken: &[Vec<Finding>]) -> Report {
    let all: Vec<(&Finding, Option<Lack>)> =
        broken.iter().flatten().map(|finding| (finding, finding.lack())).collect();
    let wanted = all.iter().filter_map(|(_, lack)| Some(lack.as_ref()?.name.as_str())).collect();
    let mut definitions = Definitions::of(resolver, wanted);
    let findings = all.iter().map(|(finding, lack)| {
        let help =
            lack.as_ref().and_then(|lack| definitions.help(&lack.holder, &lack.name, finding.name.is_some()));
        Finding { help, ..(*finding).clone() }
    });
    super::report(resolver.snapshot, findings.collect())
}
