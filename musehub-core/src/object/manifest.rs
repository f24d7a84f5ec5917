//! What a snapshot holds: paths in order, each with its blob.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::id::BlobId;
use crate::path::RepoPath;

/// The most files of one snapshot.
pub const MAX_MANIFEST_ENTRIES: usize = 1_000_000;

/// Why paths and blobs are no manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// One path twice.
    #[error("the path '{0}' is there twice")]
    Duplicate(RepoPath),
    /// A path is a file and a directory at once.
    #[error("'{file}' is a file, so '{below}' cannot be below it")]
    FileAndDirectory {
        /// The path that is a file.
        file: RepoPath,
        /// The path that needs it to be a directory.
        below: RepoPath,
    },
    /// More than [`MAX_MANIFEST_ENTRIES`].
    #[error("more than {MAX_MANIFEST_ENTRIES} files")]
    TooMany,
}

/// Files by path, in the order of their paths' bytes, which is that of their code points.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest(Vec<(RepoPath, BlobId)>);

impl Manifest {
    /// Puts entries in order and checks that a file system could hold them.
    ///
    /// # Errors
    /// [`ManifestError`] with the first rule that is broken.
    pub fn new(mut entries: Vec<(RepoPath, BlobId)>) -> Result<Self, ManifestError> {
        if entries.len() > MAX_MANIFEST_ENTRIES {
            return Err(ManifestError::TooMany);
        }
        if !entries.is_sorted_by(|a, b| a.0 <= b.0) {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let manifest = Self(entries);
        manifest.check()?;
        Ok(manifest)
    }

    /// One pass over the paths in order. `prefixes` holds the earlier paths that the present one begins with: whatever
    /// stands between a path and one below it in the order begins with that path too.
    fn check(&self) -> Result<(), ManifestError> {
        let mut prefixes: Vec<&RepoPath> = Vec::new();
        for (path, _) in &self.0 {
            let text = path.as_str();
            while prefixes.last().is_some_and(|prefix| !text.starts_with(prefix.as_str())) {
                prefixes.pop();
            }
            for prefix in &prefixes {
                match text.as_bytes().get(prefix.as_str().len()) {
                    None => return Err(ManifestError::Duplicate(path.clone())),
                    Some(b'/') => {
                        return Err(ManifestError::FileAndDirectory {
                            file: (*prefix).clone(),
                            below: path.clone(),
                        });
                    }
                    Some(_) => {}
                }
            }
            prefixes.push(path);
        }
        Ok(())
    }

    /// The entries, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (RepoPath, BlobId)> {
        self.0.iter()
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files below a path, in order.
    #[must_use]
    pub fn below(&self, directory: &RepoPath) -> &[(RepoPath, BlobId)] {
        let prefix = format!("{directory}/");
        let start = self.0.partition_point(|(path, _)| path.as_str() < prefix.as_str());
        let length = self.0[start..].partition_point(|(path, _)| path.as_str().starts_with(&prefix));
        &self.0[start..start + length]
    }

    /// The blob of a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<BlobId> {
        self.0.binary_search_by(|(p, _)| p.as_str().cmp(path)).ok().map(|at| self.0[at].1)
    }

    /// Whether any path begins with `start`: with a folder's path and its slash, whether there is such a folder.
    #[must_use]
    pub fn has_start(&self, start: &str) -> bool {
        let at = self.0.partition_point(|(path, _)| path.as_str() < start);
        self.0.get(at).is_some_and(|(path, _)| path.as_str().starts_with(start))
    }
}

impl<'a> IntoIterator for &'a Manifest {
    type Item = &'a (RepoPath, BlobId);
    type IntoIter = std::slice::Iter<'a, (RepoPath, BlobId)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManifestVisitor;

        impl<'de> Visitor<'de> for ManifestVisitor {
            type Value = Manifest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from paths to blob ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
                // What a hint claims is not believed beyond a page of entries.
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(4096));
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == MAX_MANIFEST_ENTRIES {
                        return Err(serde::de::Error::custom(ManifestError::TooMany));
                    }
                    entries.push(entry);
                }
                Manifest::new(entries).map_err(serde::de::Error::custom)
            }
        }

        deserializer.deserialize_map(ManifestVisitor)
    }
}
