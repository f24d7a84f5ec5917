//! Where three trees differ.

use std::collections::{BTreeMap, BTreeSet};

use super::rename::{self, Renames};
use super::tree::{Base, Entry, Tree};
use crate::id::BlobId;
use crate::path::RepoPath;

/// The versions of a path that are not all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    pub(super) base: Option<Entry>,
    pub(super) ours: Option<Entry>,
    pub(super) theirs: Option<Entry>,
    /// The base is none of these, but something that no side can have left as it was.
    pub(super) unknown: bool,
}

pub(super) type Changes = BTreeMap<RepoPath, Change>;

/// Compares three trees path by path.
pub(super) fn changes(base: &Base, ours: &Tree, theirs: &Tree) -> Changes {
    let trees = [&*base.tree, ours, theirs];
    let mut files = trees.map(|tree| tree.manifest.iter().peekable());
    let mut changes = Changes::new();
    while let Some(path) = files.iter_mut().filter_map(|files| files.peek().map(|file| &file.0)).min() {
        let mut versions = files.iter_mut().map(|files| files.next_if(|file| file.0 == *path));
        let mut version = |tree: &Tree| versions.next().flatten().map(|(path, blob)| tree.entry(path, *blob));
        let [base_version, ours, theirs] = trees.map(&mut version);
        let unknown = base.unknown.contains(path);
        if unknown || base_version != ours || ours != theirs {
            changes.insert(path.clone(), Change { base: base_version, ours, theirs, unknown });
        }
    }
    changes
}

/// The files that one side moved without changing their bytes. Empty files are alike without being one another.
pub(super) fn renames(changes: &Changes, empty: BlobId, side: fn(&Change) -> Option<Entry>) -> Renames {
    let known = || changes.iter().filter(|(_, change)| !change.unknown);
    let deleted = known().filter(|(_, change)| side(change).is_none());
    let deleted = deleted.filter_map(|(path, change)| Some((path, change.base?.blob)));
    let added = known().filter(|(_, change)| change.base.is_none());
    let added = added.filter_map(|(path, change)| Some((path, side(change)?.blob)));
    rename::find(deleted.filter(|(_, blob)| *blob != empty), added)
}

/// The recorded directories: those of either side that the other one has too or did not remove.
pub(super) fn merge_directories(base: &Tree, ours: &Tree, theirs: &Tree) -> Vec<RepoPath> {
    let [base, ours, theirs] =
        [base, ours, theirs].map(|tree| tree.directories.iter().collect::<BTreeSet<_>>());
    let all = ours.union(&theirs).copied();
    let kept =
        |path: &&RepoPath| merge_flags(base.contains(path), ours.contains(path), theirs.contains(path));
    all.filter(kept).cloned().collect()
}

/// What both sides say, or where they differ what the base does not say.
pub(super) const fn merge_flags(base: bool, ours: bool, theirs: bool) -> bool {
    if ours == theirs { ours } else { !base }
}
