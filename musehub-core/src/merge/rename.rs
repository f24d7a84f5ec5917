//! Files that one side moved without changing their bytes.

use std::collections::{BTreeMap, HashMap};

use crate::id::BlobId;
use crate::path::RepoPath;

/// The moves of one side, old path to new path.
pub(crate) type Renames = BTreeMap<RepoPath, RepoPath>;

/// Pairs what a side deleted with what it added: by blob, and where a blob was deleted or added at several paths, by blob
/// and file name. What cannot be told apart is in no pair.
pub(crate) fn find<'a>(
    deleted: impl Iterator<Item = (&'a RepoPath, BlobId)>,
    added: impl Iterator<Item = (&'a RepoPath, BlobId)>,
) -> Renames {
    let mut candidates: HashMap<BlobId, Candidates<'a>> = HashMap::new();
    for (path, blob) in deleted {
        candidates.entry(blob).or_default().deleted.push(path);
    }
    for (path, blob) in added {
        // What was not deleted anywhere is an addition or a copy.
        if let Some(candidates) = candidates.get_mut(&blob) {
            candidates.added.push(path);
        }
    }
    candidates.into_values().flat_map(Candidates::pair).collect()
}

/// The paths at which one blob was deleted and added.
#[derive(Default)]
struct Candidates<'a> {
    deleted: Vec<&'a RepoPath>,
    added: Vec<&'a RepoPath>,
}

impl Candidates<'_> {
    fn pair(self) -> Vec<(RepoPath, RepoPath)> {
        if let ([old], [new]) = (&self.deleted[..], &self.added[..]) {
            return vec![((*old).clone(), (*new).clone())];
        }
        let (deleted, added) = (unique_names(&self.deleted), unique_names(&self.added));
        let pair = |(name, old): (&str, &RepoPath)| Some((old.clone(), (*added.get(name)?).clone()));
        deleted.into_iter().filter_map(pair).collect()
    }
}

/// The paths whose file name no other of them has.
fn unique_names<'a>(paths: &[&'a RepoPath]) -> HashMap<&'a str, &'a RepoPath> {
    let mut names: HashMap<&str, Option<&RepoPath>> = HashMap::new();
    for path in paths {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        names.entry(name).and_modify(|only| *only = None).or_insert(Some(path));
    }
    names.into_iter().filter_map(|(name, only)| Some((name, only?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;

    /// Pairs files written `path=content`.
    fn found(deleted: &str, added: &str) -> String {
        let parse = |files: &str| -> Vec<(RepoPath, BlobId)> {
            let file = |text: &str| {
                let (path, content) = text.split_once('=').unwrap();
                (
                    RepoPath::parse(path).unwrap(),
                    BlobId::new(HashAlgorithm::Sha256, [content.as_bytes()[0]; 32]),
                )
            };
            files.split_whitespace().map(file).collect()
        };
        let (deleted, added) = (parse(deleted), parse(added));
        let files = |list: &'_ [(RepoPath, BlobId)]| {
            list.iter().map(|(path, blob)| (path.clone(), *blob)).collect::<Vec<_>>()
        };
        let (deleted, added) = (files(&deleted), files(&added));
        let pairs = find(
            deleted.iter().map(|(path, blob)| (path, *blob)),
            added.iter().map(|(path, blob)| (path, *blob)),
        );
        pairs.iter().map(|(old, new)| format!("{old}>{new}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_blob_deleted_here_and_added_there_was_moved() {
        assert_eq!(found("a=1 b=2 c=3", "x=2 y=1 z=4"), "a>y b>x");
    }

    #[test]
    fn of_several_equal_files_those_with_the_same_name_were_moved() {
        assert_eq!(found("p/a=1 p/b=1", "q/a=1 q/b=1"), "p/a>q/a p/b>q/b");
        assert_eq!(found("p/a=1 p/b=1", "q/a=1 q/c=1"), "p/a>q/a");
        assert_eq!(found("p/a=1", "q/a=1 r/a=1"), "", "either may be the copy");
        assert_eq!(found("p/a=1 q/a=1", "r/a=1"), "");
        assert_eq!(found("p/a=1", "q/a=1 q/b=1"), "p/a>q/a");
    }
}
