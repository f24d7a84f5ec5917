//! Two trees, path by path.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::id::{BlobId, HashAlgorithm};
use crate::merge::{Tree, rename};
use crate::path::RepoPath;
use crate::scheme::IdScheme;

/// A file on one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileVersion {
    /// Its content.
    pub blob: BlobId,
    /// Whether it is executable.
    pub executable: bool,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Deleted,
    /// Its content, its executable bit or both are others.
    Modified,
    /// It was elsewhere before, with the same content.
    Renamed,
}

/// A file that is not the same on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedFile {
    /// Its path; of a deleted one, the one it had.
    pub path: RepoPath,
    /// The path it had before, where that is another.
    pub from: Option<RepoPath>,
    /// The version before.
    pub old: Option<FileVersion>,
    /// The version after.
    pub new: Option<FileVersion>,
}

impl ChangedFile {
    /// What became of it.
    #[must_use]
    pub const fn kind(&self) -> ChangeKind {
        kind(self.from.is_some(), self.old.is_some(), self.new.is_some())
    }
}

const fn kind(moved: bool, before: bool, after: bool) -> ChangeKind {
    match (moved, before, after) {
        (true, ..) => ChangeKind::Renamed,
        (_, false, _) => ChangeKind::Added,
        (_, _, false) => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    }
}

/// How many files and recorded directories changed, in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Files that were added.
    pub added: usize,
    /// Files that were deleted.
    pub deleted: usize,
    /// Files that were modified.
    pub modified: usize,
    /// Files that were moved.
    pub renamed: usize,
    /// Directories that are recorded now and were not before.
    pub directories_added: usize,
    /// Directories that were recorded before and are not any more.
    pub directories_removed: usize,
}

impl Totals {
    /// How many files changed.
    #[must_use]
    pub const fn files(&self) -> usize {
        self.added + self.deleted + self.modified + self.renamed
    }
}

/// Which of the changed files are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Those from one place on, in order of their paths.
    Page {
        /// How many come before.
        offset: usize,
        /// How many at most.
        limit: usize,
    },
    /// The one of this path.
    Path(RepoPath),
}

/// The changes between two trees.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TreeDiff {
    /// The files that were wanted, in order of their paths.
    pub files: Vec<ChangedFile>,
    /// All changes.
    pub totals: Totals,
}

/// Compares two trees whose ids are of `scheme`. Takes time in proportion to their sizes.
#[must_use]
pub fn trees(old: &Tree, new: &Tree, scheme: IdScheme, wanted: &Selection) -> TreeDiff {
    let mut changes = changes(old, new);
    let mut totals = Totals::default();
    follow_moves(&mut changes, scheme);
    for change in changes.values() {
        match kind(change.from.is_some(), change.old.is_some(), change.new.is_some()) {
            ChangeKind::Added => totals.added += 1,
            ChangeKind::Deleted => totals.deleted += 1,
            ChangeKind::Modified => totals.modified += 1,
            ChangeKind::Renamed => totals.renamed += 1,
        }
    }
    let [before, after] = [old, new].map(|tree| tree.directories().iter().collect::<BTreeSet<_>>());
    totals.directories_added = after.difference(&before).count();
    totals.directories_removed = before.difference(&after).count();
    let file = |(path, change): (&&RepoPath, &Changed<'_>)| ChangedFile {
        path: (*path).clone(),
        from: change.from.cloned(),
        old: change.old,
        new: change.new,
    };
    let files = match wanted {
        Selection::Page { offset, limit } => changes.iter().skip(*offset).take(*limit).map(file).collect(),
        Selection::Path(path) => changes.get_key_value(path).map(file).into_iter().collect(),
    };
    TreeDiff { files, totals }
}

#[derive(Clone, Copy, Default)]
struct Changed<'a> {
    from: Option<&'a RepoPath>,
    old: Option<FileVersion>,
    new: Option<FileVersion>,
}

/// The paths at which the trees differ.
fn changes<'a>(old: &'a Tree, new: &'a Tree) -> BTreeMap<&'a RepoPath, Changed<'a>> {
    let mut changes = BTreeMap::new();
    let (mut before, mut after) = (old.manifest().iter().peekable(), new.manifest().iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let gone = before.next_if(|_| order != Ordering::Greater);
        let come = after.next_if(|_| order != Ordering::Less);
        let Some((path, _)) = gone.or(come) else {
            return changes;
        };
        let version = |tree: &Tree, entry: Option<&(RepoPath, BlobId)>| {
            entry.map(|(path, blob)| FileVersion {
                blob: *blob,
                executable: tree.executables().binary_search(path).is_ok(),
            })
        };
        let (old, new) = (version(old, gone), version(new, come));
        if old != new {
            changes.insert(path, Changed { from: None, old, new });
        }
    }
}

/// Joins each file that was deleted here and added there. Empty files are alike without being one another.
fn follow_moves<'a>(changes: &mut BTreeMap<&'a RepoPath, Changed<'a>>, scheme: IdScheme) {
    let algorithms = [HashAlgorithm::Sha256, HashAlgorithm::Blake3];
    let empty: Vec<BlobId> = algorithms
        .into_iter()
        .filter(|algorithm| scheme.supports(*algorithm))
        .map(|algorithm| scheme.blob_id(algorithm, b""))
        .collect();
    let gone = changes.iter().filter(|(_, change)| change.new.is_none());
    let gone = gone.filter_map(|(path, change)| Some((*path, change.old?.blob)));
    let come = changes.iter().filter(|(_, change)| change.old.is_none());
    let come = come.filter_map(|(path, change)| Some((*path, change.new?.blob)));
    let moves = rename::find(gone.filter(|(_, blob)| !empty.contains(blob)), come);
    for (from, to) in moves {
        if let Some((from, Changed { old, .. })) = changes.remove_entry(&from)
            && let Some(change) = changes.get_mut(&to)
        {
            change.from = Some(from);
            change.old = old;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Manifest;

    const ALL: Selection = Selection::Page { offset: 0, limit: usize::MAX };

    /// A tree of files written `path=content`, with `*` behind those that are executable and `/` behind directories.
    fn tree(text: &str) -> Tree {
        let path = |text: &str| RepoPath::parse(text.trim_end_matches(['*', '/'])).unwrap();
        let blob = |text: &str| IdScheme::FlatV1.blob_id(HashAlgorithm::Sha256, text.as_bytes());
        let words = || text.split_whitespace();
        let files = words().filter_map(|word| word.split_once('='));
        let files: Vec<_> =
            files.map(|(name, text)| (path(name), blob(text.trim_end_matches('*')))).collect();
        let executable = words().filter(|word| word.ends_with('*')).filter_map(|word| word.split_once('='));
        let directories = words().filter(|word| word.ends_with('/')).map(path).collect();
        let executables = executable.map(|(name, _)| path(name)).collect();
        Tree::new(Manifest::new(files).unwrap(), directories, executables)
    }

    fn diff(old: &str, new: &str, wanted: &Selection) -> TreeDiff {
        trees(&tree(old), &tree(new), IdScheme::FlatV1, wanted)
    }

    fn said(old: &str, new: &str) -> String {
        let bit = |version: Option<FileVersion>| version.is_some_and(|version| version.executable);
        let said = |file: &ChangedFile| {
            let mode =
                if file.kind() != ChangeKind::Added && bit(file.old) != bit(file.new) { "*" } else { "" };
            match file.kind() {
                ChangeKind::Added => format!("+{}", file.path),
                ChangeKind::Deleted => format!("-{}", file.path),
                ChangeKind::Modified => format!("~{}{mode}", file.path),
                ChangeKind::Renamed => format!("{}>{}{mode}", file.from.as_ref().unwrap(), file.path),
            }
        };
        diff(old, new, &ALL).files.iter().map(said).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_are_added_deleted_modified_and_moved() {
        assert_eq!(said("a=1 b=2 c=3", "a=1 b=9 d=4"), "~b -c +d");
        assert_eq!(said("a=1 b=2", "a=1 c/b=2"), "b>c/b");
        assert_eq!(said("a=1 b=2", "a=2 b=1"), "~a ~b");
        assert_eq!(said("", "a=1"), "+a");
        assert_eq!(said("a=1", "a=1"), "");
    }

    #[test]
    fn the_executable_bit_is_a_change_of_its_own_and_moves_along() {
        assert_eq!(said("a=1 b=2*", "a=1* b=2"), "~a* ~b*");
        assert_eq!(said("a=1", "b=1*"), "a>b*");
    }

    #[test]
    fn what_cannot_be_told_apart_was_not_moved() {
        assert_eq!(said("a=1", "b=1 c=1"), "-a +b +c");
        assert_eq!(said("a= b=1", "c= d=1"), "-a +c b>d");
    }

    #[test]
    fn a_file_that_became_a_directory_is_deleted_and_what_is_in_it_added() {
        assert_eq!(said("a=1", "a/b=2"), "-a +a/b");
        assert_eq!(said("a/b=2", "a=2"), "a/b>a");
    }

    #[test]
    fn recorded_directories_are_counted() {
        let totals = diff("x/ y/ a=1", "y/ z/ w/ a=1", &ALL).totals;
        assert_eq!((totals.directories_added, totals.directories_removed, totals.files()), (2, 1, 0));
    }

    #[test]
    fn a_page_has_its_files_and_the_totals_of_all() {
        let (old, new) = ("a=1 b=1 e=1", "b=2 c=3 d=4 e=5");
        let page = |offset, limit| {
            let diff = diff(old, new, &Selection::Page { offset, limit });
            assert_eq!(diff.totals, Totals { added: 2, deleted: 1, modified: 2, ..Totals::default() });
            diff.files.iter().map(|file| file.path.to_string()).collect::<Vec<_>>().join("")
        };
        assert_eq!(
            (page(0, 2), page(2, 2), page(4, 2), page(6, 2)),
            ("ab".into(), "cd".into(), "e".into(), String::new())
        );
        let one = |path| diff(old, new, &Selection::Path(RepoPath::parse(path).unwrap())).files.len();
        assert_eq!((one("c"), one("x")), (1, 0));
    }
}
