//! The rules of merging, one by one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use musehub_core::BlobId;
use musehub_core::merge::{
    Conflict, ConflictKind, Content, FileStrategy, MAX_LISTED_CONFLICTS, MAX_TEXT_BYTES, MAX_TEXT_LINES,
    MergeError, Merged, TreeMerge, TreeStep,
};

use crate::merge_fixtures::{File, Files, blob, options};

/// Files written `path=text`, where `;` ends a line, `*` before the path is the executable bit and a path that ends with `/`
/// is a recorded directory.
fn files(text: &str) -> Files {
    let mut files = Files::default();
    for word in text.split_whitespace() {
        if let Some(directory) = word.strip_suffix('/') {
            files.directories.insert(directory.to_owned());
            continue;
        }
        let (path, text) = word.split_once('=').unwrap();
        let executable = path.starts_with('*');
        let file = File { text: text.replace(';', "\n"), executable };
        files.files.insert(path.trim_start_matches('*').to_owned(), file);
    }
    files
}

fn merge(base: &str, ours: &str, theirs: &str, strategy: FileStrategy) -> Result<Files, Vec<Conflict>> {
    let [base, ours, theirs] = [base, ours, theirs].map(files);
    let mut texts: HashMap<BlobId, String> = HashMap::new();
    for side in [&base, &ours, &theirs] {
        texts.extend(side.files.values().map(|file| (blob(&file.text), file.text.clone())));
    }
    let [base, ours, theirs] = [base, ours, theirs].map(|side| Arc::new(side.tree()));
    let mut merge = TreeMerge::new(base, ours, theirs, options(strategy));
    loop {
        match merge.step().unwrap() {
            TreeStep::Done(Merged::Conflicts(conflicts)) => return Err(conflicts.listed),
            TreeStep::Done(Merged::Clean(merged)) => {
                let new =
                    merged.blobs.iter().map(|(id, bytes)| (*id, String::from_utf8(bytes.to_vec()).unwrap()));
                texts.extend(new);
                let tree = &merged.tree;
                let file = |(path, id): &(musehub_core::RepoPath, BlobId)| {
                    (
                        path.to_string(),
                        File { text: texts[id].clone(), executable: tree.executables().contains(path) },
                    )
                };
                let files: BTreeMap<String, File> = tree.manifest().iter().map(file).collect();
                return Ok(Files {
                    files,
                    directories: tree.directories().iter().map(ToString::to_string).collect(),
                });
            }
            TreeStep::Contents(ids) => {
                for id in ids {
                    merge.supply(id, Content::Bytes(texts[&id].clone().into()));
                }
            }
        }
    }
}

#[track_caller]
fn clean(base: &str, ours: &str, theirs: &str, merged: &str) {
    for strategy in [FileStrategy::Recursive, FileStrategy::Overlay] {
        assert_eq!(merge(base, ours, theirs, strategy), Ok(files(merged)));
        assert_eq!(merge(base, theirs, ours, strategy), Ok(files(merged)));
    }
}

/// One conflict, what its kind is, and the merge that their side wins.
#[track_caller]
fn conflict(base: &str, ours: &str, theirs: &str, overlaid: &str) -> Conflict {
    let mut conflicts = merge(base, ours, theirs, FileStrategy::Recursive).unwrap_err();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(merge(base, ours, theirs, FileStrategy::Overlay), Ok(files(overlaid)));
    conflicts.remove(0)
}

#[test]
fn what_one_side_changed_is_taken() {
    clean("a=1", "a=1 b=2", "a=1", "a=1 b=2");
    clean("a=1 b=2", "a=1", "a=1 b=2", "a=1");
    clean("a=1 b=2", "a=3 b=2", "a=1 b=4", "a=3 b=4");
    clean("a=1;2;3;", "a=0;1;2;3;", "a=1;2;3;4;", "a=0;1;2;3;4;");
    clean("", "a=1", "b=1", "a=1 b=1");
}

#[test]
fn what_both_sides_have_alike_never_conflicts() {
    clean("a=1", "a=2", "a=2", "a=2");
    clean("", "a=1", "a=1", "a=1");
    clean("a=1 b=2", "b=2", "b=2", "b=2");
    clean("", "*a=1", "a=1", "*a=1");
    clean("a=\0", "a=\0\0", "a=\0\0", "a=\0\0");
}

#[test]
fn the_executable_bit_is_merged_by_itself() {
    clean("a=1", "*a=1", "a=2", "*a=2");
    clean("*a=1", "a=1", "*a=2", "a=2");
    clean("a=1;2;3;", "*a=0;2;3;", "a=1;2;4;", "*a=0;2;4;");
    let kind = conflict("a=1", "*a=1", "", "").kind;
    assert_eq!(kind, ConflictKind::ModifyDelete);
}

#[test]
fn recorded_directories_are_merged_as_flags() {
    clean("a/ b/", "a/ c/", "a/ b/ d/", "a/ c/ d/");
    clean("a/", "a/x=1", "a/", "a/x=1");
    clean("a/", "a/ a/x=1", "a/", "a/ a/x=1");
    let found = conflict("", "a/", "a=1", "a=1");
    assert!(matches!(found.kind, ConflictKind::FileDirectory { .. }), "{found:?}");
    conflict("", "a=1", "a/b/", "a/b/");
}

#[test]
fn conflicts_name_kind_and_versions() {
    let found = conflict("a=1", "a=2", "a=3", "a=3");
    let id = |text| Some(blob(text));
    assert_eq!(
        (found.kind, found.base, found.ours, found.theirs),
        (ConflictKind::BothModified, id("1"), id("2"), id("3"))
    );
    let found = conflict("a=1", "", "a=3", "a=3");
    assert_eq!(
        (found.kind, found.base, found.ours, found.theirs),
        (ConflictKind::ModifyDelete, id("1"), None, id("3"))
    );
    conflict("a=1", "a=2", "", "");
    let found = conflict("", "a=2", "a=3", "a=3");
    assert_eq!((found.kind, found.base), (ConflictKind::AddAdd, None));
    let found = conflict("a=\0", "a=\0;2", "a=\0;3", "a=\0;3");
    assert_eq!(found.kind, ConflictKind::Binary);
    let found = conflict("a=1;2;3;4;5;", "a=0;2;3;4;5;6;", "a=x;2;3;4;5;", "a=x;2;3;4;5;6;");
    assert_eq!(
        found.kind,
        ConflictKind::BothModified,
        "of theirs the lines that conflict, of ours the others"
    );
}

#[test]
fn an_edit_follows_the_file_that_the_other_side_moved() {
    clean("a=1", "d/b=1", "a=2", "d/b=2");
    clean("a=1;2;3; z=", "b=1;2;3; z=", "a=1;2;4; z=", "b=1;2;4; z=");
    clean("a=1", "b=1", "*a=1", "*b=1");
    clean("a=1", "b=1", "b=1", "b=1");
    // Deleted by the other side: what was moved stays.
    clean("a=1", "b=1", "", "b=1");
    // Of equal files, those with one name.
    clean("p/a=1 p/b=1", "q/a=1 q/b=1", "p/a=2 p/b=1", "q/a=2 q/b=1");
    let found = conflict("a=1 b=1", "c=1", "a=2 b=1", "a=2 c=1");
    assert_eq!(found.kind, ConflictKind::ModifyDelete, "either may have been moved");
    let found = conflict("a=", "b=", "a=1", "a=1 b=");
    assert_eq!(found.kind, ConflictKind::ModifyDelete, "empty files are not moved");
}

#[test]
fn a_file_moved_to_two_places_conflicts() {
    let found = conflict("a=1", "b=1", "c=1", "c=1");
    let [ours, theirs] = ["b", "c"].map(|path| musehub_core::RepoPath::parse(path).unwrap());
    assert_eq!(found.path.as_str(), "a");
    assert_eq!(found.kind, ConflictKind::RenameRename { ours, theirs });
}

#[test]
fn a_file_and_what_is_below_it_conflict() {
    let found = conflict("", "a=1 a.b=0 z=9", "a-b=1 a/b=2 a/c=3", "a-b=1 a.b=0 a/b=2 a/c=3 z=9");
    let below = musehub_core::RepoPath::parse("a/b").unwrap();
    assert_eq!((found.path.as_str(), found.kind), ("a", ConflictKind::FileDirectory { below }));
    conflict("", "a/b=1 a/c/d=2 a/c/ z=9", "a=3", "a=3 z=9");
    // A move whose new path is below a file of the other side is not followed.
    let found = merge("a=1", "b/c=1", "a=2 b=3", FileStrategy::Recursive).unwrap_err();
    assert_eq!(found.len(), 2);
    assert_eq!(merge("a=1", "b/c=1", "a=2 b=3", FileStrategy::Overlay), Ok(files("a=2 b=3")));
    clean("a=1", "a/b=1", "a=1 c=1", "a/b=1 c=1");
    clean("a=1", "a/b=1", "a=2", "a/b=2");
}

#[test]
fn limits_are_kept() {
    let many =
        |text: &str| (0..=MAX_LISTED_CONFLICTS).fold(String::new(), |all, n| format!("{all} f{n}={text}"));
    assert_eq!(
        merge("", &many("1"), &many("2"), FileStrategy::Recursive).unwrap_err().len(),
        MAX_LISTED_CONFLICTS
    );

    let long = |first: &str| format!("a={first};{}", ";".repeat(MAX_TEXT_LINES));
    let found = merge(&long("1"), &long("2"), &long("3"), FileStrategy::Recursive).unwrap_err();
    assert_eq!(found[0].kind, ConflictKind::Binary);

    let [base, ours, theirs] = ["a=1", "a=2", "a=3"].map(|text| Arc::new(files(text).tree()));
    let mut merge = TreeMerge::new(base, ours, theirs, options(FileStrategy::Recursive));
    let TreeStep::Contents(ids) = merge.step().unwrap() else { panic!("it needs the texts") };
    for id in ids {
        merge.supply(id, Content::TooLarge);
    }
    let TreeStep::Done(Merged::Conflicts(found)) = merge.step().unwrap() else { panic!("no text") };
    assert_eq!(found.listed[0].kind, ConflictKind::Binary);

    let side = |text: &str| {
        Arc::new(files(&(0..30).fold(String::new(), |all, n| format!("{all} f{n}={text}{n}"))).tree())
    };
    let mut merge = TreeMerge::new(side("1"), side("2"), side("3"), options(FileStrategy::Recursive));
    let large = bytes::Bytes::from(vec![b'x'; MAX_TEXT_BYTES as usize]);
    let error = loop {
        match merge.step() {
            Ok(TreeStep::Contents(ids)) => {
                ids.into_iter().for_each(|id| merge.supply(id, Content::Bytes(large.clone())))
            }
            Ok(TreeStep::Done(_)) => panic!("more than may be read"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, MergeError::TooMuchText);
}
