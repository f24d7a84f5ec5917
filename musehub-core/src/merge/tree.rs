//! Three trees become one: the paths first, then the texts that both sides changed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;

use super::plan::{Conflicting, Plan, SettledText, TextMerge};
use super::text::{self, Overlap};
use super::{
    ConflictKind, Content, FileStrategy, MAX_TEXT_BYTES, MAX_TOTAL_TEXT_BYTES, MergeError, MergeOptions,
    Merged,
};
use crate::id::BlobId;
use crate::object::{Manifest, Snapshot, SnapshotRecord};
use crate::path::RepoPath;

/// How many files are merged at a time, so that no more of their contents is in memory.
const BATCH_FILES: usize = 8;

/// The files and recorded directories of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    pub(super) manifest: Manifest,
    /// Sorted.
    pub(super) directories: Vec<RepoPath>,
    /// Sorted; each is in the manifest.
    pub(super) executables: Vec<RepoPath>,
}

/// A file of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) blob: BlobId,
    pub(super) executable: bool,
}

impl Tree {
    /// The tree of these files and directories; executables that are no file of it are left out.
    #[must_use]
    pub fn new(manifest: Manifest, mut directories: Vec<RepoPath>, mut executables: Vec<RepoPath>) -> Self {
        executables.retain(|path| manifest.get(path.as_str()).is_some());
        for paths in [&mut directories, &mut executables] {
            paths.sort_unstable();
            paths.dedup();
        }
        Self { manifest, directories, executables }
    }

    /// The tree of a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let SnapshotRecord { manifest, directories, executables, .. } = snapshot.record().clone();
        Self::new(manifest, directories, executables)
    }

    /// The record of a snapshot of this tree, whose id is left to the hub.
    #[must_use]
    pub fn into_record(self) -> SnapshotRecord {
        let Self { manifest, directories, executables } = self;
        SnapshotRecord { manifest, directories, executables, ..SnapshotRecord::default() }
    }

    /// The files.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directories that are recorded though empty, in order.
    #[must_use]
    pub fn directories(&self) -> &[RepoPath] {
        &self.directories
    }

    /// The files that are executable, in order.
    #[must_use]
    pub fn executables(&self) -> &[RepoPath] {
        &self.executables
    }

    /// Whether the file at `old` could be moved to `new`, as far as other files and directories go.
    pub(super) fn has_room_for(&self, old: &RepoPath, new: &RepoPath) -> bool {
        let text = new.as_str();
        let mut above =
            text.match_indices('/').map(|(end, _)| &text[..end]).filter(|above| *above != old.as_str());
        let prefix = format!("{text}/");
        let first_below = self.directories.partition_point(|directory| directory.as_str() < prefix.as_str());
        let below =
            self.directories.get(first_below).filter(|directory| directory.as_str().starts_with(&prefix));
        self.manifest.get(text).is_none()
            && above.all(|above| self.manifest.get(above).is_none())
            && self.manifest.below(new).iter().all(|(below, _)| below == old)
            && below.is_none()
            && self.directories.binary_search(new).is_err()
    }

    pub(super) fn entry(&self, path: &RepoPath, blob: BlobId) -> Entry {
        Entry { blob, executable: self.executables.binary_search(path).is_ok() }
    }
}

/// A tree that two sides began with; some of it may be unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    pub(super) tree: Arc<Tree>,
    /// Paths at which the bases of a criss-cross have no version in common.
    pub(super) unknown: Arc<BTreeSet<RepoPath>>,
}

/// What is done about conflicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Resolution {
    #[default]
    Refuse,
    Theirs,
    /// For a virtual base: texts are marked, other paths become unknown.
    Unknown,
}

/// A merge of three trees, in steps. See the [module](super) for the rules.
#[derive(Debug)]
pub struct TreeMerge {
    options: MergeOptions,
    resolution: Resolution,
    plan: Plan,
    pending: VecDeque<TextMerge>,
    contents: HashMap<BlobId, Content>,
    /// How many bytes of text have been read.
    read: u64,
}

/// How far a [`TreeMerge`] has come.
#[derive(Debug)]
pub enum TreeStep {
    /// It needs the content of each of these: sorted, never empty.
    Contents(Vec<BlobId>),
    /// The end.
    Done(Merged),
}

impl TreeMerge {
    /// Starts a merge of what two sides made of `base`.
    #[must_use]
    pub fn new(base: Arc<Tree>, ours: Arc<Tree>, theirs: Arc<Tree>, options: MergeOptions) -> Self {
        let resolution = match options.strategy {
            FileStrategy::Recursive => Resolution::Refuse,
            FileStrategy::Overlay => Resolution::Theirs,
        };
        Self::resolving(resolution, &Base { tree: base, ..Base::default() }, ours, theirs, options)
    }

    pub(super) fn resolving(
        resolution: Resolution,
        base: &Base,
        ours: Arc<Tree>,
        theirs: Arc<Tree>,
        options: MergeOptions,
    ) -> Self {
        let empty = options.scheme.blob_id(options.algorithm, b"");
        let (plan, texts) = Plan::new(base, ours, theirs, resolution, empty);
        Self { options, resolution, plan, pending: texts.into(), contents: HashMap::new(), read: 0 }
    }

    /// Hands in the content of a blob.
    pub fn supply(&mut self, blob: BlobId, content: Content) {
        self.contents.insert(blob, content);
    }

    /// Runs as far as possible. May take long: texts are merged here. A merge is spent once it is done.
    ///
    /// # Errors
    /// [`MergeError`] where a limit is reached.
    pub fn step(&mut self) -> Result<TreeStep, MergeError> {
        while !self.pending.is_empty() {
            let batch = self.pending.len().min(BATCH_FILES);
            let lacking: BTreeSet<BlobId> = self.pending.range(..batch).flat_map(TextMerge::blobs).collect();
            let lacking: Vec<BlobId> =
                lacking.into_iter().filter(|id| !self.contents.contains_key(id)).collect();
            if !lacking.is_empty() {
                return Ok(TreeStep::Contents(lacking));
            }
            let batch: Vec<TextMerge> = self.pending.drain(..batch).collect();
            self.merge_texts(batch)?;
            self.contents.clear();
        }
        let plan = std::mem::take(&mut self.plan);
        plan.finish().map(TreeStep::Done)
    }

    fn merge_texts(&mut self, batch: Vec<TextMerge>) -> Result<(), MergeError> {
        let sizes =
            batch.iter().flat_map(TextMerge::blobs).map(|id| self.bytes(id).map_or(0, Bytes::len) as u64);
        self.read += sizes.sum::<u64>();
        if self.read > MAX_TOTAL_TEXT_BYTES {
            return Err(MergeError::TooMuchText);
        }
        let merged: Vec<(TextMerge, Result<SettledText, ConflictKind>)> = batch
            .into_par_iter()
            .map(|file| {
                let merged = self.merge_text(&file);
                (file, merged)
            })
            .collect();
        for (file, merged) in merged {
            match merged {
                Ok(settled) => self.plan.settle_text(file, settled),
                Err(kind) => self.plan.conflict(Conflicting { kind, ..file.conflicting }),
            }
        }
        Ok(())
    }

    fn merge_text(&self, file: &TextMerge) -> Result<SettledText, ConflictKind> {
        let text = |id: Option<BlobId>| match id {
            None => Some(&b""[..]),
            Some(id) => self.bytes(id).map(|bytes| &bytes[..]).filter(|bytes| text::is_mergeable(bytes)),
        };
        let Conflicting { base, ours, theirs, .. } = &file.conflicting;
        let versions = [base, ours, theirs].map(|entry| text(entry.map(|entry| entry.blob)));
        let [Some(base), Some(ours), Some(theirs)] = versions else {
            return Err(ConflictKind::Binary);
        };
        let overlap = match self.resolution {
            Resolution::Refuse => Overlap::Refuse,
            Resolution::Theirs => Overlap::Theirs,
            Resolution::Unknown => Overlap::Mark,
        };
        let merged = text::merge(base, ours, theirs, overlap).ok_or(ConflictKind::BothModified)?;
        let blob = self.options.scheme.blob_id(self.options.algorithm, &merged.bytes);
        Ok(SettledText { blob, bytes: merged.bytes.into(), overlaps: merged.overlaps })
    }

    fn bytes(&self, blob: BlobId) -> Option<&Bytes> {
        match self.contents.get(&blob) {
            Some(Content::Bytes(bytes)) if bytes.len() as u64 <= MAX_TEXT_BYTES => Some(bytes),
            Some(Content::Bytes(_) | Content::TooLarge) | None => None,
        }
    }
}
