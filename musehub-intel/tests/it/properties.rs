//! What holds for every input.

use musehub_intel::{FileFacts, Policy, SnapshotBuilder, detect, extract, extract_many};
use proptest::prelude::*;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// One package of modules `m_a` to `m_f`.
#[derive(Debug, Clone)]
struct Package {
    modules: Vec<Module>,
}

/// The functions that a module defines, and what it imports: from which module, which name.
#[derive(Debug, Clone)]
struct Module {
    defined: Vec<usize>,
    imported: Vec<(usize, usize)>,
}

fn package() -> impl Strategy<Value = Package> {
    let name = 0..NAMES.len();
    let defined = prop::collection::vec(name.clone(), 0..4);
    let imported = prop::collection::vec((name.clone(), name), 0..4);
    let module = (defined, imported).prop_map(|(defined, imported)| Module { defined, imported });
    prop::collection::vec(module, NAMES.len()).prop_map(|modules| Package { modules })
}

impl Package {
    /// The files, imports behind definitions so that a module sees its own first.
    fn files(&self) -> Vec<(String, String)> {
        let text = |(index, module): (usize, &Module)| {
            let mut text = String::new();
            for &name in &module.defined {
                text += &format!("def {}(): ...\n", NAMES[name]);
            }
            for &(from, name) in &module.imported {
                text += &format!("def use():\n    from pkg.m_{} import {}\n", NAMES[from], NAMES[name]);
            }
            (format!("pkg/m_{}.py", NAMES[index]), text)
        };
        let mut files: Vec<_> = self.modules.iter().enumerate().map(text).collect();
        files.push(("pkg/__init__.py".to_owned(), String::new()));
        files
    }

    /// How many imports name something that their module does not define.
    fn broken(&self) -> usize {
        let imports = self.modules.iter().flat_map(|module| &module.imported);
        imports.filter(|(from, name)| !self.modules[*from].defined.contains(name)).count()
    }
}

proptest! {
    #[test]
    fn exactly_the_broken_imports_are_reported(package in package()) {
        let mut snapshot = SnapshotBuilder::new();
        for (path, text) in package.files() {
            snapshot.python(path.as_str(), extract(&path, text.as_bytes()));
        }
        let report = detect(&snapshot.build(), Policy::Resolved);
        prop_assert_eq!(report.findings.len(), package.broken());
    }

    #[test]
    fn any_bytes_give_facts_and_facts_depend_on_bytes_alone(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let facts = extract("a.py", &bytes);
        prop_assert_eq!(&facts, &extract("some/where/else.py", &bytes));
        let many: Vec<FileFacts> = extract_many(vec![("a.py", bytes.as_slice())]);
        prop_assert_eq!(&many[0], &facts);
    }

    #[test]
    fn any_python_like_text_is_scanned(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
        let mut snapshot = SnapshotBuilder::new();
        snapshot.python("pkg/__init__.py", extract("pkg/__init__.py", text.as_bytes()));
        snapshot.python("pkg/a.py", extract("pkg/a.py", text.as_bytes()));
        let snapshot = snapshot.build();
        let report = detect(&snapshot, Policy::Resolved);
        prop_assert_eq!(&report, &detect(&snapshot, Policy::Resolved));
        prop_assert!(report.findings.is_sorted_by_key(|finding| (finding.file_path.clone(), finding.line, finding.column)));
    }
}

const PIECES: [&str; 32] = [
    "import ",
    "from ",
    "pkg",
    ".",
    "..",
    " import ",
    "a",
    "b",
    " as ",
    ", ",
    "*",
    "\n",
    "    ",
    "def ",
    "class ",
    "(",
    ")",
    ":",
    "if ",
    "try:",
    "except ",
    "ImportError",
    "with ",
    "=",
    "__all__",
    "[",
    "]",
    "'x'",
    "f'{",
    "}'",
    "del ",
    "\\\n",
];
