//! Each example as its reader runs it: a process that ends by itself and prints what it says it does. `cargo test` of this
//! package builds the examples before it runs this.

#![allow(clippy::unwrap_used, reason = "a test that fails should stop where it stands")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const EXAMPLES: [&str; 3] = ["breakage", "custom_backend", "local_hub"];

/// What an example prints, which must end well.
fn printed(name: &str, argument: &Path) -> String {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    let ran = Command::new(&example).arg(argument).output();
    let ran =
        ran.unwrap_or_else(|error| panic!("{}: {error}; cargo test -p musehub builds it", example.display()));
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{name}: {}\n{err}", ran.status);
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn every_example_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names: BTreeSet<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, EXAMPLES.map(str::to_owned).into_iter().collect());
}

#[test]
fn breakage_prints_the_imports_that_fail() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lib.py"), "def here():\n    pass\n").unwrap();
    std::fs::write(folder.path().join("app.py"), "from lib import here\nfrom lib import gone\n").unwrap();
    let printed = printed("breakage", folder.path());
    let [line] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(line.starts_with("app.py:2: ") && line.contains("gone"), "{line}");
}

#[test]
fn custom_backend_passes_its_suite_and_serves_a_hub() {
    let folder = tempfile::tempdir().unwrap();
    let printed = printed("custom_backend", folder.path());
    let [cases, pushed, cloned] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
    let number =
        cases.strip_prefix("the journal keeps the contract in ").and_then(|rest| rest.strip_suffix(" cases"));
    assert!(number.unwrap().parse::<usize>().unwrap() > 0, "{cases}");
    assert!(pushed.starts_with("pushed sha256:") && pushed.ends_with(" with 1 blob"), "{pushed}");
    assert!(cloned.starts_with("a clone gets 1 commit and ") && cloned.contains("la la la"), "{cloned}");
}

#[test]
fn local_hub_finds_what_it_made_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert_eq!(
        printed("local_hub", &data),
        "0 repositories, 0 moves indexed late\nexample/example-1: 0 branches\n"
    );
    assert_eq!(
        printed("local_hub", &data),
        "1 repositories, 0 moves indexed late\nexample/example-1: 0 branches\nexample/example-2: 0 branches\n"
    );
}
