//! What a merge of trees does at each path: decided from ids alone, but for the texts that both sides changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::change::{Change, Changes, changes, merge_directories, merge_flags, renames};
use super::tree::{Base, Entry, Resolution, Tree};
use super::{Conflict, ConflictKind, Conflicts, MergeError, Merged, MergedTree};
use crate::id::BlobId;
use crate::object::{MAX_MANIFEST_ENTRIES, Manifest};
use crate::path::RepoPath;

/// Versions that conflict, with what they conflict about.
#[derive(Clone, Debug)]
pub(super) struct Conflicting {
    pub(super) path: RepoPath,
    pub(super) kind: ConflictKind,
    pub(super) base: Option<Entry>,
    pub(super) ours: Option<Entry>,
    pub(super) theirs: Option<Entry>,
}

/// A file that both sides changed: a conflict unless its text can be merged.
#[derive(Debug)]
pub(super) struct TextMerge {
    pub(super) conflicting: Conflicting,
    executable: bool,
}

impl TextMerge {
    /// The blobs of its versions.
    pub(super) fn blobs(&self) -> impl Iterator<Item = BlobId> {
        let Conflicting { base, ours, theirs, .. } = &self.conflicting;
        [base, ours, theirs].into_iter().flatten().map(|entry| entry.blob)
    }
}

/// A text that was merged.
#[derive(Debug)]
pub(super) struct SettledText {
    pub(super) blob: BlobId,
    pub(super) bytes: Bytes,
    /// Whether both sides changed the same lines somewhere.
    pub(super) overlaps: bool,
}

/// What becomes of each path, as changes of our tree.
#[derive(Debug, Default)]
pub(super) struct Plan {
    ours: Arc<Tree>,
    theirs: Arc<Tree>,
    resolution: Resolution,
    edits: BTreeMap<RepoPath, Option<Entry>>,
    directories: Vec<RepoPath>,
    blobs: BTreeMap<BlobId, Bytes>,
    conflicts: Conflicts,
    /// Paths of conflicts, so that a path is in one conflict only.
    conflicting: BTreeSet<RepoPath>,
    unknown: BTreeSet<RepoPath>,
}

impl Plan {
    /// Decides what can be decided without reading files; gives the texts to be merged, too.
    pub(super) fn new(
        base: &Base,
        ours: Arc<Tree>,
        theirs: Arc<Tree>,
        resolution: Resolution,
        empty: BlobId,
    ) -> (Self, Vec<TextMerge>) {
        let mut changes = changes(base, &ours, &theirs);
        let directories = merge_directories(&base.tree, &ours, &theirs);
        let mut plan = Self { ours, theirs, resolution, directories, ..Self::default() };
        plan.follow_renames(&mut changes, empty);
        let texts = changes.into_iter().filter_map(|(path, change)| plan.decide(path, &change)).collect();
        (plan, texts)
    }

    /// Takes the edits of one side to where the other side moved the file.
    fn follow_renames(&mut self, changes: &mut Changes, empty: BlobId) {
        let by_us = renames(changes, empty, |change| change.ours);
        let by_them = renames(changes, empty, |change| change.theirs);
        for (old, new) in &by_us {
            match by_them.get(old) {
                Some(other) if other == new => {
                    changes.get_mut(new).expect("it was added").base = changes[old].base
                }
                Some(other) => self.rename_apart(changes, old, new, other),
                None if changes[old].theirs != changes[old].base && self.theirs.has_room_for(old, new) => {
                    let Change { base, theirs, .. } = changes[old];
                    // Without an edit there is nothing to follow: what they deleted stays where we put it.
                    if theirs.is_some() {
                        changes.remove(old);
                        let moved = changes.get_mut(new).expect("we added it");
                        (moved.base, moved.theirs) = (base, theirs);
                    }
                }
                None => {}
            }
        }
        for (old, new) in by_them.iter().filter(|(old, _)| !by_us.contains_key(*old)) {
            let Change { base, ours, .. } = changes[old];
            if ours.is_some() && ours != base && self.ours.has_room_for(old, new) {
                changes.remove(old);
                self.edits.insert(old.clone(), None);
                let moved = changes.get_mut(new).expect("they added it");
                (moved.base, moved.ours) = (base, ours);
            }
        }
    }

    /// Both sides moved one file, to different paths.
    fn rename_apart(&mut self, changes: &mut Changes, old: &RepoPath, ours: &RepoPath, theirs: &RepoPath) {
        if !self.theirs.has_room_for(old, ours) || !self.ours.has_room_for(old, theirs) {
            return;
        }
        let base = changes[old].base;
        let kind = ConflictKind::RenameRename { ours: ours.clone(), theirs: theirs.clone() };
        for path in [old, ours] {
            changes.remove(path);
        }
        let versions = (self.ours_at(ours), changes.remove(theirs).and_then(|change| change.theirs));
        self.edits.insert(ours.clone(), None);
        let settled = versions.1.filter(|_| self.resolution == Resolution::Theirs);
        self.edits.insert(theirs.clone(), settled);
        if self.resolution == Resolution::Unknown {
            self.unknown.extend([ours.clone(), theirs.clone()]);
        }
        let path = old.clone();
        self.note(Conflicting { path, kind, base, ours: versions.0, theirs: versions.1 });
    }

    /// Decides about one path; gives the text to be merged where that is what it takes.
    fn decide(&mut self, path: RepoPath, change: &Change) -> Option<TextMerge> {
        let Change { base, ours, theirs, unknown } = *change;
        let entry = if ours == theirs || (!unknown && theirs == base) {
            ours
        } else if !unknown && ours == base {
            theirs
        } else if let (Some(ours), Some(theirs)) = (ours, theirs) {
            let executable =
                merge_flags(base.is_some_and(|e| e.executable), ours.executable, theirs.executable);
            let known = base.filter(|_| !unknown);
            let blob = match known.map(|entry| entry.blob) {
                _ if ours.blob == theirs.blob => ours.blob,
                Some(base) if base == theirs.blob => ours.blob,
                Some(base) if base == ours.blob => theirs.blob,
                _ => return self.both_changed(path, known, ours, theirs, executable),
            };
            Some(Entry { blob, executable })
        } else {
            let kind = ConflictKind::ModifyDelete;
            self.conflict(Conflicting { path, kind, base: base.filter(|_| !unknown), ours, theirs });
            return None;
        };
        self.edits.insert(path, entry);
        None
    }

    fn both_changed(
        &mut self,
        path: RepoPath,
        base: Option<Entry>,
        ours: Entry,
        theirs: Entry,
        executable: bool,
    ) -> Option<TextMerge> {
        let kind = ConflictKind::AddAdd;
        let conflicting = Conflicting { path, kind, base, ours: Some(ours), theirs: Some(theirs) };
        // In a virtual base, a text that both added is there with both versions marked.
        if base.is_some() || self.resolution == Resolution::Unknown {
            return Some(TextMerge { conflicting, executable });
        }
        self.conflict(conflicting);
        None
    }

    /// Puts a merged text in its place.
    pub(super) fn settle_text(&mut self, file: TextMerge, text: SettledText) {
        let executable = file.executable;
        let SettledText { blob, bytes, overlaps } = text;
        if file.blobs().all(|version| version != blob) {
            self.blobs.insert(blob, bytes);
        }
        self.edits.insert(file.conflicting.path.clone(), Some(Entry { blob, executable }));
        if overlaps && self.resolution == Resolution::Theirs {
            self.note(Conflicting { kind: ConflictKind::BothModified, ..file.conflicting });
        }
    }

    /// Settles a conflict about the versions at one path.
    pub(super) fn conflict(&mut self, conflicting: Conflicting) {
        let settled = conflicting.theirs.filter(|_| self.resolution == Resolution::Theirs);
        self.edits.insert(conflicting.path.clone(), settled);
        self.note(conflicting);
    }

    /// Notes a conflict that is settled in the edits.
    fn note(&mut self, conflicting: Conflicting) {
        let Conflicting { path, kind, base, ours, theirs } = conflicting;
        self.conflicting.insert(path.clone());
        if self.resolution == Resolution::Unknown {
            self.unknown.insert(path);
            return;
        }
        let blob = |entry: Option<Entry>| entry.map(|entry| entry.blob);
        let (base, ours, theirs) = (blob(base), blob(ours), blob(theirs));
        self.conflicts.add(Conflict { path, kind, base, ours, theirs });
    }

    fn ours_at(&self, path: &RepoPath) -> Option<Entry> {
        self.ours.manifest.get(path.as_str()).map(|blob| self.ours.entry(path, blob))
    }

    /// The merged tree, or the conflicts.
    pub(super) fn finish(mut self) -> Result<Merged, MergeError> {
        self.settle_clashes();
        if self.resolution == Resolution::Refuse && !self.conflicts.is_empty() {
            return Ok(Merged::Conflicts(self.conflicts));
        }
        let kept = self.ours.manifest.iter().filter(|(path, _)| !self.edits.contains_key(path)).cloned();
        let set = self.edits.iter().filter_map(|(path, entry)| Some((path.clone(), (*entry)?.blob)));
        let entries: Vec<_> = kept.chain(set).collect();
        if entries.len() > MAX_MANIFEST_ENTRIES {
            return Err(MergeError::TooManyFiles);
        }
        let manifest = Manifest::new(entries).expect("each path is there once, and clashes are settled");
        let kept = self.ours.executables.iter().filter(|path| !self.edits.contains_key(*path)).cloned();
        let set = self.edits.iter().filter(|(_, entry)| entry.is_some_and(|entry| entry.executable));
        let executables = kept.chain(set.map(|(path, _)| path.clone())).collect();
        // A text that lost its path to a file or directory is in no tree.
        let named: BTreeSet<BlobId> = self.edits.values().flatten().map(|entry| entry.blob).collect();
        self.blobs.retain(|blob, _| named.contains(blob));
        Ok(Merged::Clean(MergedTree {
            tree: Tree::new(manifest, self.directories, executables),
            blobs: self.blobs,
            overridden: self.conflicts,
            unknown: self.unknown,
        }))
    }

    /// Finds files with something below them. One of the two came from their side, or both sides did not have it before.
    fn settle_clashes(&mut self) {
        let set = self.edits.iter().filter(|(_, entry)| entry.is_some());
        for path in set.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            if !self.holds(path.as_str()) {
                continue;
            }
            let file = self.file_above(&path);
            let below = self.below(&path).next().cloned();
            match (file, below) {
                (Some(file), _) => self.clash(&file, &path),
                (None, Some(below)) => self.clash(&path, &below),
                (None, None) => {}
            }
        }
        for directory in self.directories.clone() {
            let file = if self.holds(directory.as_str()) {
                Some(directory.clone())
            } else {
                self.file_above(&directory)
            };
            if let Some(file) = file {
                self.clash(&file, &directory);
            }
        }
    }

    /// Settles that `file` is a file and `below` needs it to be a directory.
    fn clash(&mut self, file: &RepoPath, below: &RepoPath) {
        let theirs = self.theirs.manifest.get(file.as_str()).map(|blob| self.theirs.entry(file, blob));
        let ours = self.ours_at(file);
        if self.resolution == Resolution::Theirs && theirs.is_some() {
            for path in self.below(file).cloned().collect::<Vec<_>>() {
                self.edits.insert(path, None);
            }
            self.directories.retain(|directory| directory != file && !directory.is_below(file));
        } else {
            self.edits.insert(file.clone(), None);
        }
        if !self.conflicting.contains(file) {
            let kind = ConflictKind::FileDirectory { below: below.clone() };
            self.note(Conflicting { path: file.clone(), kind, base: None, ours, theirs });
        }
    }

    /// The file above a path, if there is one as things stand.
    fn file_above(&self, path: &RepoPath) -> Option<RepoPath> {
        let ends = path.as_str().match_indices('/').map(|(at, _)| at);
        let file = ends.map(|end| &path.as_str()[..end]).find(|above| self.holds(above))?;
        Some(RepoPath::parse(file).expect("what a path begins with is a path"))
    }

    /// Whether a path is a file as things stand.
    fn holds(&self, path: &str) -> bool {
        match self.edits.get(path) {
            Some(entry) => entry.is_some(),
            None => self.ours.manifest.get(path).is_some(),
        }
    }

    /// The files below a path as things stand: those of ours that stay, then those that are set.
    fn below(&self, path: &RepoPath) -> impl Iterator<Item = &RepoPath> {
        let kept = self.ours.manifest.below(path).iter().map(|(path, _)| path);
        let kept = kept.filter(|path| !self.edits.contains_key(*path));
        let prefix = format!("{path}/");
        let edits = self.edits.range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded));
        let set = edits.take_while(move |(path, _)| path.as_str().starts_with(&prefix));
        let set = set.filter(|(_, entry)| entry.is_some());
        kept.chain(set.map(|(path, _)| path))
    }
}
