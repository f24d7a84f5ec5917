//! `breakage` in every form: SARIF, workflow commands, and over a repository of the hub.

use std::path::Path;

use musehub_test_support::History;
use musehub_test_support::history::write;
use serde_json::Value;

use crate::http::client;
use crate::process::{Ran, Server, create_token, musehub, run};

fn breakage(directory: &Path, more: &[&str]) -> Ran {
    Ran::of(musehub(&["breakage"]).arg(directory).args(more))
}

/// A project with a stale import, a missing module, a missing attribute and a file whose name means something to a shell.
fn broken() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("ship/__init__.py", ""),
        ("ship/engine.py", "def start(): ...\n"),
        ("ship/bridge.py", "x = 'é'; from ship.engine import strat\n"),
        ("ship/deck.py", "import ship.hull\n"),
        ("ship/a,b=1::c %d.py", "import ship.engine\nship.engine.gone()\n"),
        ("ship/hull_parts/hull.py", ""),
    ];
    for (path, content) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    root
}

/// What the schema of SARIF 2.1.0 requires of the parts that a log of ours has.
fn check_sarif(log: &Value) -> &Vec<Value> {
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert!(driver["name"].is_string() && driver["version"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&runs[0]["columnKind"].as_str().unwrap()));
    let results = runs[0]["results"].as_array().unwrap();
    for rule in rules {
        assert!(!rule["id"].as_str().unwrap().is_empty() && rule["shortDescription"]["text"].is_string());
        assert!(["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    for result in results {
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert_eq!(
            rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()]["id"],
            result["ruleId"]
        );
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
        let related = result["relatedLocations"].as_array().cloned().unwrap_or_default();
        for place in result["locations"].as_array().unwrap().iter().chain(&related) {
            let physical = &place["physicalLocation"];
            let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
            assert!(uri.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%".contains(c)), "{uri}");
            assert!(physical["region"]["startLine"].as_u64().unwrap() >= 1);
            assert!(physical["region"].get("startColumn").is_none_or(|column| column.as_u64().unwrap() >= 1));
        }
    }
    results
}

#[test]
fn a_sarif_log_says_what_the_text_says() {
    let root = broken();
    let log: Value = serde_json::from_str(&breakage(root.path(), &["--sarif"]).expect(1).out).unwrap();
    let results = check_sarif(&log);
    let brief = |result: &Value| {
        let place = &result["locations"][0]["physicalLocation"];
        let region = &place["region"];
        format!(
            "{} {} {} {}",
            place["artifactLocation"]["uri"], region["startLine"], region["startColumn"], result["ruleId"]
        )
    };
    let found: Vec<String> = results.iter().map(brief).collect();
    let expected = [
        r#""ship/a%2Cb%3D1%3A%3Ac%20%25d.py" 2 1 "missing_symbol""#,
        r#""ship/bridge.py" 1 34 "stale_import""#,
        r#""ship/deck.py" 1 8 "missing_module""#,
    ];
    assert_eq!(found, expected);
    assert!(results[1]["message"]["text"].as_str().unwrap().ends_with("\ndid you mean 'start'?"));
    let place = &results[2]["relatedLocations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "ship/hull_parts/hull.py");

    let empty = tempfile::tempdir().unwrap();
    let log: Value = serde_json::from_str(&breakage(empty.path(), &["--sarif"]).expect(0).out).unwrap();
    assert!(check_sarif(&log).is_empty());
}

#[test]
fn workflow_commands_name_file_line_and_column_and_are_escaped() {
    let root = broken();
    let ran = breakage(root.path(), &["--github"]).expect(1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(
        lines[0].starts_with(
            "::warning file=ship/a%2Cb=1%3A%3Ac %25d.py,line=2,col=1,title=missing_symbol::uses 'ship.engine.gone'"
        ),
        "{ran:?}"
    );
    assert!(
        lines[1]
            .starts_with("::warning file=ship/bridge.py,line=1,col=34,title=stale_import::imports 'strat'")
    );
    assert!(lines[1].ends_with("%0Adid you mean 'start'?"), "{ran:?}");
    assert!(lines[2].starts_with("::error file=ship/deck.py,line=1,col=8,title=missing_module::"), "{ran:?}");
    assert_eq!(breakage(tempfile::tempdir().unwrap().path(), &["--github"]).expect(0).out, "");
}

#[test]
fn forms_exclude_each_other_and_policies_can_be_chosen() {
    let root = broken();
    for pair in [["--json", "--sarif"], ["--sarif", "--github"], ["--github", "--json"]] {
        let _ = breakage(root.path(), &pair).expect(2);
    }
    let flat = breakage(root.path(), &["--policy", "name-union"]).expect(1);
    assert!(
        flat.out.contains("imports 'strat' but no symbol with that name exists in HEAD")
            || flat.out.contains("ship.hull"),
        "{flat:?}"
    );
    let _ = breakage(root.path(), &["--policy", "guess"]).expect(2);
}

#[tokio::test]
async fn a_repository_of_the_hub_is_scanned_at_a_branch_or_commit_with_help_from_its_past() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    let token = create_token(data.path(), "alice");
    let mut history = History::new();
    let first = history.commit("main", "one", |tree| {
        write(tree, "pkg/__init__.py", "");
        write(tree, "pkg/a.py", "def gone(): ...\n");
        write(tree, "main.py", "from pkg.a import gone\n");
    });
    let second = history.commit("main", "two", |tree| write(tree, "pkg/a.py", ""));
    {
        let server = Server::start(data.path());
        client(&server, "alice", "tunes", Some(&token)).push(&history, "main", false).await.unwrap();
    }
    let scan = |target: &str, more: &[&str]| run(data.path(), &[&["breakage", target], more].concat());
    let ran = scan("alice/tunes", &[]).expect(1);
    assert!(ran.out.starts_with("main.py:1:19: warning: imports 'gone' from 'pkg.a'"), "{ran:?}");
    let digits = second.rsplit(':').next().unwrap();
    assert!(ran.out.contains("    help: removed by ") && ran.out.contains(digits), "{ran:?}");
    let json: Value = serde_json::from_str(&scan("alice/tunes@main", &["--json"]).expect(1).out).unwrap();
    assert!(json[0]["help"]["removed_by"]["commit"].as_str().unwrap().ends_with(digits), "{json}");
    assert_eq!(json[0]["subject"], "pkg.a.gone");
    let _ = scan(&format!("alice/tunes@{first}"), &[]).expect(0);

    for (target, reason) in [
        ("alice/tunes@nowhere", "no branch 'nowhere'"),
        ("alice/nothing", "no repository of that name"),
        (&format!("alice/tunes@{}", "0".repeat(64)), "is not in this repository"),
    ] {
        let ran = scan(target, &[]).expect(2);
        assert!(ran.err.contains(reason), "{target}: {ran:?}");
    }
    let nowhere = data.path().join("nowhere");
    let ran = run(&nowhere, &["breakage", "alice/tunes"]).expect(2);
    assert!(ran.err.contains("no hub in") && !nowhere.exists(), "{ran:?}");
}
