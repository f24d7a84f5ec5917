//! The scan after a change: the answer is that of a scan from nothing, and only what the change could reach is checked.

use std::collections::BTreeMap;

use musehub_intel::{Policy, Scan, Snapshot, SnapshotBuilder, detect, extract, is_hint, is_python};
use proptest::prelude::*;

/// Every path that a generated tree may hold.
const PATHS: [&str; 26] = [
    "pkg/__init__.py",
    "pkg/a.py",
    "pkg/a.pyi",
    "pkg/b.py",
    "pkg/c.py",
    "pkg/a/__init__.py",
    "pkg/a/d.py",
    "pkg/sub/__init__.py",
    "pkg/sub/__init__.pyi",
    "pkg/sub/a.py",
    "pkg/sub/d.py",
    "pkg/sub/x/e.py",
    "pkg/_x.so",
    "pkg/b.c",
    "ns/a.py",
    "ns/e.py",
    "ns/pkg/a.py",
    "app.py",
    "a.py",
    "tests/test_a.py",
    "tests/a.py",
    "tests/__init__.py",
    "src/pkg/b.py",
    "src/setup.py",
    "pyproject.toml",
    ".gitignore",
];

/// Every piece that a generated file may be made of.
const PIECES: [&str; 56] = [
    "x = 1",
    "y = 1",
    "def z(): ...",
    "class w: ...",
    "del x",
    "__all__ = ['x', 'y']",
    "__all__ = ['d', 'z']",
    "__all__ += ['w']",
    "from .a import *",
    "from .b import *",
    "from .c import *",
    "from pkg.a import *",
    "from pkg.b import *",
    "from . import *",
    "from .sub import *",
    "from .. import *",
    "from pkg import *",
    "from . import a",
    "from . import b, sub",
    "from .a import x",
    "from .b import y as x",
    "from .sub.d import x, z",
    "from pkg import a, b, x",
    "from pkg import sub as x",
    "from pkg.a import x, y, z",
    "from pkg.c import w, z",
    "import pkg.a\npkg.a.x\npkg.a.z()",
    "import pkg.sub.d\npkg.sub.d.x = 1",
    "import pkg.b as m\nm.w\nm.z = 2",
    "from pkg import sub\nsub.d.x\nsub.y",
    "from pkg.sub import a\na.x",
    "import pkg\npkg.sub.a.y\npkg.y",
    "from .. import a, b",
    "from ..a import x",
    "from ...pkg import x",
    "from ....far import x",
    "import ns.a",
    "from ns.a import x, z",
    "from ns import e, a",
    "import a",
    "from a import x",
    "def __getattr__(n): return n",
    "globals()['q'] = 1",
    "import sys\nsys.modules['pkg.q'] = 1",
    "import pkg.q",
    "sys.modules[__name__ + '.q'] = 1",
    "__path__.append('x')",
    "try:\n    from pkg.a import gone\nexcept ImportError:\n    pass",
    "if TYPE_CHECKING:\n    from pkg.a import x, y",
    "def patch(c):\n    sys.modules[c.__module__].w = 1\n    return c",
    "from pkg.b import patch\n@patch\ndef f(): ...",
    "def f():\n    from .b import x, w\n    import pkg.gone",
    "import_module('pkg.c')",
    "q.py\n# [tool] where = [\"src\"]",
    "where = [\"src\"]",
    "def broken(:",
];

type Tree = BTreeMap<&'static str, String>;

fn snapshot(tree: &Tree) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    for (&path, text) in tree {
        if is_hint(path) {
            builder.hint(path, text);
        }
        if is_python(path) {
            builder.python(path, extract(path, text.as_bytes()));
        } else {
            builder.file(path);
        }
    }
    builder.build()
}

/// Pieces of a file by number, or that the file goes.
fn edit() -> impl Strategy<Value = (usize, Option<Vec<usize>>)> {
    (0..PATHS.len(), prop::option::weighted(0.8, prop::collection::vec(0..PIECES.len(), 0..4)))
}

fn apply(tree: &mut Tree, edits: &[(usize, Option<Vec<usize>>)]) {
    for (path, pieces) in edits {
        match pieces {
            None => drop(tree.remove(PATHS[*path])),
            Some(pieces) => {
                let text: String = pieces.iter().map(|&piece| format!("{}\n", PIECES[piece])).collect();
                tree.insert(PATHS[*path], text);
            }
        }
    }
}

/// A statement of one of eight modules whose names are all different, so that little is checked in vain.
fn statement() -> impl Strategy<Value = String> {
    (0..10, 0..8, 0..3).prop_map(|(form, module, name)| match form {
        0..=2 => format!("from .m{module} import *"),
        3 | 4 => format!("from .m{module} import v{name}"),
        5 | 6 => format!("v{name} = 1"),
        7 => format!("__all__ = ['v{name}']"),
        8 => format!("from . import m{module}\nm{module}.v{name}"),
        _ => format!("import pkg.m{module} as m\nm.v{name} = 1"),
    })
}

fn module_edit() -> impl Strategy<Value = (usize, Option<Vec<String>>)> {
    (0..8_usize, prop::option::weighted(0.9, prop::collection::vec(statement(), 0..3)))
}

/// The package with these contents of its modules.
fn package(modules: &BTreeMap<usize, Vec<String>>) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    builder.python("pkg/__init__.py", extract("pkg/__init__.py", b""));
    for (module, statements) in modules {
        let path = format!("pkg/m{module}.py");
        builder.python(&*path, extract(&path, statements.join("\n").as_bytes()));
    }
    builder.build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_comes_through_star_imports_is_checked_again(
        first in prop::collection::vec(module_edit(), 8..16),
        pushes in prop::collection::vec(module_edit(), 1..8),
    ) {
        let mut modules = BTreeMap::new();
        let mut apply = |(module, statements): (usize, Option<Vec<String>>)| {
            match statements {
                Some(statements) => drop(modules.insert(module, statements)),
                None => drop(modules.remove(&module)),
            }
            package(&modules)
        };
        let mut scan = Scan::new(first.into_iter().map(&mut apply).last().expect("edits"));
        for push in pushes {
            let told = format!("{push:?}");
            let snapshot = apply(push);
            let full = detect(&snapshot, Policy::Resolved);
            scan = scan.next(snapshot);
            prop_assert_eq!(scan.report(), &full, "after {}", told);
        }
    }

    #[test]
    fn the_answer_after_any_changes_is_that_of_a_full_scan(
        first in prop::collection::vec(edit(), 8..40),
        pushes in prop::collection::vec(prop::collection::vec(edit(), 1..3), 1..6),
    ) {
        let mut tree = Tree::new();
        apply(&mut tree, &first);
        let mut scan = Scan::new(snapshot(&tree));
        for push in pushes {
            apply(&mut tree, &push);
            scan = scan.next(snapshot(&tree));
            let full = detect(&snapshot(&tree), Policy::Resolved);
            prop_assert_eq!(scan.report(), &full, "after {:?} in {:#?}", push, tree);
        }
    }
}

/// Ten packages, each of which uses its neighbour.
fn chain() -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    for index in 0..10 {
        let next = index + 1;
        tree.insert(format!("p{index}/__init__.py"), String::new());
        tree.insert(format!("p{index}/mod{index}.py"), format!("def f{index}():\n    return 1\n"));
        let user = format!("from p{next}.mod{next} import f{next}\n");
        tree.insert(format!("p{index}/user{index}.py"), if next < 10 { user } else { String::new() });
    }
    tree
}

fn checked_after(change: impl FnOnce(&mut BTreeMap<String, String>)) -> (usize, usize) {
    let build = |tree: &BTreeMap<String, String>| {
        let mut builder = SnapshotBuilder::new();
        for (path, text) in tree {
            builder.python(path.as_str(), extract(path, text.as_bytes()));
        }
        builder.build()
    };
    let mut tree = chain();
    let scan = Scan::new(build(&tree));
    assert_eq!((scan.files_checked(), scan.report().findings.len()), (30, 0));
    change(&mut tree);
    let scan = scan.next(build(&tree));
    (scan.files_checked(), scan.report().findings.len())
}

#[test]
fn only_files_that_changed_or_whose_targets_changed_are_checked() {
    assert_eq!(checked_after(|_| ()), (0, 0));
    let body = |tree: &mut BTreeMap<String, String>| {
        tree.insert("p5/mod5.py".to_owned(), "# better\ndef f5():\n    return 2\n".to_owned());
    };
    assert_eq!(checked_after(body), (1, 0), "importers cannot tell");
    let renamed = |tree: &mut BTreeMap<String, String>| {
        tree.insert("p5/mod5.py".to_owned(), "def g5():\n    return 2\n".to_owned());
    };
    assert_eq!(checked_after(renamed), (2, 1), "the file and its importer");
    assert_eq!(checked_after(|tree| drop(tree.remove("p5/mod5.py"))), (1, 1), "the importer");
    let added = |tree: &mut BTreeMap<String, String>| {
        tree.insert("p5/new.py".to_owned(), "import p1.mod1\n".to_owned());
    };
    assert_eq!(checked_after(added), (1, 0), "the new file");
}
