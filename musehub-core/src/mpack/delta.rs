//! Snapshots as what they change of another one.

use serde_json::{Map, Value};

use crate::id::{BlobId, SnapshotId};
use crate::object::{Manifest, ManifestError, SnapshotRecord};
use crate::path::RepoPath;

/// A snapshot that comes as what it changes of another one. What it rebuilds is nothing before its id was recomputed.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotDelta {
    /// The id it claims.
    pub id: SnapshotId,
    /// The snapshot that it changes: one of the same pack, or one that the receiver holds.
    pub base: SnapshotId,
    /// Files that it adds or changes.
    pub upsert: Vec<(RepoPath, BlobId)>,
    /// Files that it lacks.
    pub remove: Vec<RepoPath>,
    /// Its directories; none where they are the base's.
    pub directories: Option<Vec<RepoPath>>,
    /// Its executable files; none where they are the base's.
    pub executables: Option<Vec<RepoPath>>,
    /// Every other field of its record; nothing of them is the base's.
    pub extra: Map<String, Value>,
}

impl SnapshotDelta {
    /// What `to` changes of `base`.
    #[must_use]
    pub fn between(base: &SnapshotRecord, base_id: SnapshotId, to: &SnapshotRecord, id: SnapshotId) -> Self {
        let (mut upsert, mut remove) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (base.manifest.iter().peekable(), to.manifest.iter().peekable());
        loop {
            match (old.peek(), new.peek()) {
                (Some((before, _)), Some((after, _))) if before < after => {
                    remove.extend(old.next().map(|(path, _)| path.clone()));
                }
                (Some((before, held)), Some((after, blob))) if before == after => {
                    if held != blob {
                        upsert.push((after.clone(), *blob));
                    }
                    old.next();
                    new.next();
                }
                (_, Some(_)) => upsert.extend(new.next().cloned()),
                (Some(_), None) => remove.extend(old.next().map(|(path, _)| path.clone())),
                (None, None) => break,
            }
        }
        let unless_equal =
            |before: &[RepoPath], after: &[RepoPath]| (before != after).then(|| after.to_vec());
        Self {
            id,
            base: base_id,
            upsert,
            remove,
            directories: unless_equal(&base.directories, &to.directories),
            executables: unless_equal(&base.executables, &to.executables),
            extra: to.extra.clone(),
        }
    }

    /// The record that it makes of its base.
    ///
    /// # Errors
    /// [`ManifestError`] where no file system could hold the result.
    pub fn apply(&self, base: &SnapshotRecord) -> Result<SnapshotRecord, ManifestError> {
        Ok(SnapshotRecord {
            id: Some(self.id),
            manifest: rebuild(&base.manifest, &self.upsert, &self.remove)?,
            directories: self.directories.clone().unwrap_or_else(|| base.directories.clone()),
            executables: self.executables.clone().unwrap_or_else(|| base.executables.clone()),
            extra: self.extra.clone(),
        })
    }
}

/// One pass over both lists in order.
fn rebuild(
    base: &Manifest,
    upsert: &[(RepoPath, BlobId)],
    remove: &[RepoPath],
) -> Result<Manifest, ManifestError> {
    let mut upsert: Vec<&(RepoPath, BlobId)> = upsert.iter().collect();
    upsert.sort_by(|a, b| a.0.cmp(&b.0));
    let mut remove: Vec<&RepoPath> = remove.iter().collect();
    remove.sort_unstable();
    let mut entries = Vec::with_capacity(base.len() + upsert.len());
    let mut added = upsert.into_iter().peekable();
    for (path, blob) in base {
        while let Some(entry) = added.next_if(|(other, _)| other < path) {
            entries.push(entry.clone());
        }
        if added.peek().is_some_and(|(other, _)| other == path) {
            entries.extend(added.next().cloned());
        } else if remove.binary_search(&path).is_err() {
            entries.push((path.clone(), *blob));
        }
    }
    entries.extend(added.cloned());
    Manifest::new(entries)
}
