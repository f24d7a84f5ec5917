//! `breakage DIR`: the detector as a check in somebody's CI.

use std::path::Path;

use crate::process::{Ran, musehub};

fn breakage(directory: &Path, more: &[&str]) -> Ran {
    Ran::of(musehub(&["breakage"]).arg(directory).args(more))
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// A project with an import of a name that is gone and one of a module that is gone.
fn broken() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("ship/__init__.py", ""),
        ("ship/engine.py", "def start():\n    return 1\n"),
        ("ship/bridge.py", "import os\n\nfrom ship.engine import ignite\n"),
        ("ship/deck.py", "import numpy\nimport ship.hull\n"),
        ("venv/lib/ship2.py", "from ship.engine import never_there\n"),
        (".git/hook.py", "from ship.engine import never_there\n"),
    ];
    write(root.path(), &files);
    root
}

#[test]
fn findings_are_lines_of_text_and_status_1() {
    let root = broken();
    let ran = breakage(root.path(), &[]).expect(1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with("ship/bridge.py:3:25: warning: ") && lines[0].contains("ignite"), "{ran:?}");
    assert!(lines[0].ends_with("[stale_import]"), "{ran:?}");
    assert!(lines[1].starts_with("ship/deck.py:2:8: error: ") && lines[1].contains("hull"), "{ran:?}");
    assert!(lines[1].ends_with("[missing_module]"), "{ran:?}");
    assert!(!root.path().join("musehub-data").exists(), "it keeps nothing");
}

#[test]
fn findings_are_a_json_array_of_objects_with_exactly_the_promised_fields() {
    let root = broken();
    let ran = breakage(root.path(), &["--json"]).expect(1);
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let findings = findings.as_array().unwrap();
    for finding in findings {
        let mut fields: Vec<&String> = finding.as_object().unwrap().keys().collect();
        fields.sort();
        let promised = [
            "column",
            "description",
            "file_path",
            "help",
            "issue_type",
            "line",
            "module",
            "name",
            "severity",
            "subject",
        ];
        assert_eq!(fields, promised);
        assert!(!finding["description"].as_str().unwrap().is_empty());
    }
    let places: Vec<String> = findings
        .iter()
        .map(|f| format!("{} {} {} {}", f["file_path"], f["line"], f["issue_type"], f["severity"]))
        .collect();
    let expected =
        [r#""ship/bridge.py" 3 "stale_import" "warning""#, r#""ship/deck.py" 2 "missing_module" "error""#];
    assert_eq!(places, expected);
    // The two forms say the same.
    let text = breakage(root.path(), &[]).expect(1).out;
    for (line, finding) in text.lines().zip(findings) {
        assert!(line.contains(finding["description"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn a_project_without_findings_is_status_0() {
    let root = tempfile::tempdir().unwrap();
    for expected in ["0 findings in 0 files", "0 findings in 3 files, 1 of them read in part or not at all"] {
        let text = breakage(root.path(), &[]).expect(0);
        assert_eq!(text.out, "");
        assert_eq!(text.err.trim(), expected);
        let json = breakage(root.path(), &["--json"]).expect(0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json.out).unwrap(), serde_json::json!([]));
        let files = [
            ("ship/__init__.py", "from .engine import start\n"),
            ("ship/engine.py", "def start():\n    return 1\n"),
            ("ship/torn.py", "from ship import start\ndef half(\n"),
            ("README.md", "from ship import nothing\n"),
        ];
        write(root.path(), &files);
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_status_2() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("file.py", "")]);
    for name in ["absent", "file.py"] {
        for form in [&[][..], &["--json"]] {
            let ran = breakage(&root.path().join(name), form).expect(2);
            assert!(ran.err.starts_with("error: ") && ran.err.contains(name), "{ran:?}");
            assert_eq!(ran.out, "");
        }
    }
}

#[test]
fn findings_are_the_same_from_another_directory_and_through_a_relative_path() {
    let root = broken();
    let absolute = breakage(root.path(), &["--json"]).expect(1);
    let relative = Ran::of(musehub(&["breakage", ".", "--json"]).current_dir(root.path())).expect(1);
    assert_eq!(relative.out, absolute.out);
}
