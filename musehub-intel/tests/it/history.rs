//! The walk through older trees finds the commit after which a name was gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use musehub_intel::history::{Lack, OldTree, Removals, Shown};
use musehub_intel::{FileFacts, extract};

/// A tree in which files are known once they have been asked for.
struct Tree<'a> {
    files: BTreeMap<&'a str, &'a str>,
    known: HashMap<String, Arc<FileFacts>>,
}

impl OldTree for Tree<'_> {
    fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn has_folder(&self, path: &str) -> bool {
        self.files.keys().any(|file| file.starts_with(path))
    }

    fn facts(&self, path: &str) -> Option<Arc<FileFacts>> {
        self.known.get(path).cloned()
    }
}

/// Walks from commit 0 through trees 1, 2 …; what each lack was removed by, and which files were asked for.
fn walk(lacks: &[(&str, &str)], trees: &[&[(&str, &str)]]) -> (Vec<Option<usize>>, Vec<String>) {
    let lack = |&(holder, name): &(&str, &str)| Lack { holder: holder.to_owned(), name: name.to_owned() };
    let mut removals = Removals::new(0, lacks.iter().map(lack));
    let mut asked = Vec::new();
    for (age, files) in trees.iter().enumerate() {
        let mut tree = Tree { files: files.iter().copied().collect(), known: HashMap::new() };
        while let Shown::Needs(paths) = removals.show(age + 1, &tree) {
            for path in paths {
                let facts = extract(&path, tree.files[&*path].as_bytes());
                assert!(tree.known.insert(path.clone(), Arc::new(facts)).is_none(), "asked twice for {path}");
                asked.push(path);
            }
        }
    }
    let found = removals.finish();
    (lacks.iter().map(|of| found.get(&lack(of)).copied()).collect(), asked)
}

#[test]
fn a_name_was_removed_by_the_commit_after_the_last_tree_that_defines_it() {
    let trees: [&[_]; 4] = [
        &[("pkg/__init__.py", ""), ("pkg/a.py", "y = 1")],
        &[("pkg/__init__.py", ""), ("pkg/a.py", "y = 2")],
        &[("pkg/__init__.py", ""), ("pkg/a.py", "x = 1"), ("other.py", "")],
        &[("pkg/a.py", "")],
    ];
    let (found, asked) = walk(&[("pkg/a.py", "x"), ("pkg/a.py", "never")], &trees);
    assert_eq!(found, [Some(2), None]);
    assert!(asked.iter().all(|path| path == "pkg/a.py"), "{asked:?}");
}

#[test]
fn a_module_was_removed_by_the_commit_after_the_last_tree_that_has_it() {
    let trees: [&[_]; 3] = [
        &[("pkg/__init__.py", "")],
        &[("pkg/__init__.py", ""), ("pkg/gone.py", ""), ("pkg/deep/er/x.py", "")],
        &[("pkg/old/__init__.py", "")],
    ];
    let lacks = [("pkg/", "gone"), ("pkg/", "deep"), ("pkg/", "old"), ("pkg/", "never"), ("/", "gone")];
    let (found, _) = walk(&lacks, &trees);
    assert_eq!(found, [Some(1), Some(1), Some(2), None, None]);
}

#[test]
fn names_of_a_package_are_looked_for_in_its_init_and_through_its_star_imports() {
    let trees: [&[_]; 3] = [
        &[("pkg/__init__.py", "from .core import *"), ("pkg/core.py", "y = 1")],
        &[
            ("pkg/__init__.py", "from .core import *"),
            ("pkg/core.py", "from pkg.deep.more import *"),
            ("pkg/deep/more.py", "def f(): ...\nfrom . import *"),
            ("pkg/deep/__init__.py", "from pkg.core import *"),
        ],
        &[("pkg/__init__.py", "def g(): ...")],
    ];
    let (found, _) = walk(&[("pkg/", "f"), ("pkg/", "g"), ("pkg/__init__.py", "f")], &trees);
    assert_eq!(found, [Some(1), Some(2), Some(1)]);
}

#[test]
fn a_module_that_became_a_package_is_followed() {
    let trees: [&[_]; 2] = [&[("a/__init__.py", "")], &[("a.py", "x = 1")]];
    assert_eq!(walk(&[("a/", "x")], &trees).0, [Some(1)]);
    let trees: [&[_]; 2] = [&[("a.py", "")], &[("a/__init__.py", "x = 1")]];
    assert_eq!(walk(&[("a.py", "x")], &trees).0, [Some(1)]);
}

#[test]
fn what_is_settled_is_not_looked_for() {
    let lack = Lack { holder: "a.py".to_owned(), name: "x".to_owned() };
    let other = Lack { holder: "a.py".to_owned(), name: "y".to_owned() };
    let mut removals = Removals::new("new", [lack.clone(), other.clone()]);
    removals.settle(&lack, Some("known"));
    assert!(!removals.is_done());
    removals.settle(&other, None);
    assert!(removals.is_done());
    assert_eq!(removals.finish(), HashMap::from([(lack, "known")]));
}
