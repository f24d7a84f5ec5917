//! Input made to cost more than it is worth: each kind hits a limit, and what lies within the limits is still right.

use std::fmt::Write;

use musehub_intel::facts::{Exports, Reading};
use musehub_intel::{FileFacts, MAX_FILE_BYTES, Policy, Report, SnapshotBuilder, detect, extract};

/// Facts of one kind that are kept of one file.
const MAX_FACTS: usize = 65_536;

fn facts(source: &str) -> FileFacts {
    extract("a.py", source.as_bytes())
}

/// A package of the given modules.
fn package(modules: impl IntoIterator<Item = (String, String)>) -> Report {
    let mut snapshot = SnapshotBuilder::new();
    snapshot.python("pkg/__init__.py", extract("a.py", b""));
    for (name, source) in modules {
        snapshot.python(format!("pkg/{name}.py"), facts(&source));
    }
    detect(&snapshot.build(), Policy::Resolved)
}

#[test]
fn of_a_million_imports_the_first_are_kept_and_checked() {
    let million = "from .b import gone\n".repeat(1_000_000);
    assert_eq!(facts(&million).reading, Reading::Not, "the text is over the limit of a file");

    let million = "import b\n".repeat(1_000_000);
    assert!(million.len() > MAX_FILE_BYTES);
    let most = "import b\n".repeat(MAX_FILE_BYTES / 9);
    let kept = facts(&most);
    assert_eq!((kept.reading, kept.imports.len()), (Reading::Partly, MAX_FACTS));

    let names =
        (0..1_000_000).fold(String::from("from .b import "), |text, index| text + &format!("n{index},"));
    let kept = facts(&names[..names.len().min(MAX_FILE_BYTES)]);
    assert_eq!(kept.reading, Reading::Partly);
    assert!(kept.imports.len() <= MAX_FACTS, "{}", kept.imports.len());

    let half = "from .b import gone\n".repeat(MAX_FILE_BYTES / 20);
    let report = package([("a".to_owned(), half), ("b".to_owned(), String::new())]);
    assert_eq!((report.findings.len(), report.files_partly_read), (MAX_FACTS, 1));
}

#[test]
fn thousands_of_star_imports_in_circles_end() {
    let count = 3_000;
    // Every module hands on the names of the next, the last those of the first.
    let ring =
        (0..count).map(|index| (format!("m{index}"), format!("from .m{} import *\n", (index + 1) % count)));
    let user = |name: &str| (name.to_owned(), "from .m0 import gone\n".to_owned());
    let report = package(ring.chain([user("user")]));
    // Longer trails than are followed are taken to bring the name.
    assert_eq!((report.findings.len(), report.files_scanned), (0, count + 2));

    let short = 500;
    let ring =
        (0..short).map(|index| (format!("m{index}"), format!("from .m{} import *\n", (index + 1) % short)));
    let users = (0..100).map(|index| user(&format!("user{index}")));
    assert_eq!(package(ring.chain(users)).findings.len(), 100);

    // Each imports all others: a million edges, and one name to look for.
    let dense = 1_000;
    let all: String = (0..dense).fold(String::new(), |mut text, index| {
        let _ = writeln!(text, "from .m{index} import *");
        text
    });
    let report = package((0..dense).map(|index| (format!("m{index}"), all.clone())).chain([user("user")]));
    assert_eq!((report.findings.len(), report.files_partly_read), (0, 0));
}

#[test]
fn a_huge_list_of_exports_is_taken_to_be_open() {
    let listed = |count: usize| {
        let names = (0..count).fold(String::new(), |text, index| text + &format!("'n{index}',"));
        format!("__all__ = [{names}]\n")
    };
    assert_eq!(facts(&listed(500_000)).exports, Exports::Computed);
    let source = listed(MAX_FACTS);
    assert!(matches!(facts(&source).exports, Exports::Listed(names) if names.len() == MAX_FACTS));
    let users = (0..200).map(|index| (format!("user{index}"), "from .a import *\n".to_owned()));
    let report = package(users.chain([("a".to_owned(), source)]));
    assert_eq!(report.findings.len(), 200, "one of each, for the first name that is not there");
}

#[test]
fn long_lines_are_read_up_to_the_limits() {
    assert_eq!(extract("a.py", &vec![b'x'; 50 << 20]).reading, Reading::Not);
    assert_eq!(extract("a.py", &vec![b'x'; MAX_FILE_BYTES]).reading, Reading::Whole);
    let statements = facts(&format!("import b\n{}", "x;".repeat(MAX_FILE_BYTES / 2 - 8)));
    assert_eq!(
        (statements.reading, statements.imports.len()),
        (Reading::Partly, 1),
        "more tokens than are read"
    );
    let imports = facts(&"import b;".repeat(MAX_FACTS + 1));
    assert_eq!((imports.reading, imports.imports.len()), (Reading::Partly, MAX_FACTS));
    assert_eq!(imports.imports[MAX_FACTS - 1].at.line, 1);
}

#[test]
fn what_comes_before_deep_nesting_is_read() {
    for deep in ["(", "[", "{1: ", "f'{", "lambda: ", "not ", "x if y else ", "a.", "f()(", "1 + ", "x[0] = "]
    {
        let source = format!("from .b import gone\nx = {}\n", deep.repeat(400_000));
        let kept = facts(&source);
        assert_eq!((kept.reading, kept.imports.len()), (Reading::Partly, 1), "{deep}");
    }
    let blocks: String = (0..3_500).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    assert!(blocks.len() < MAX_FILE_BYTES);
    let report = package([
        ("a".to_owned(), format!("from .b import gone\n{blocks}")),
        ("b".to_owned(), String::new()),
    ]);
    assert_eq!((report.findings.len(), report.files_partly_read), (1, 1));
}
