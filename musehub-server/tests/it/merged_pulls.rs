//! A client pulls what the hub merged: every object verifies, and the files are those that git makes of the same contents.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, TestApp, Tree};
use serde_json::{Value, json};

/// A change of a tree.
type Edit = fn(&mut Tree);

/// Two branches from one base: the commits of each, oldest first.
struct Scene {
    base: Edit,
    main: &'static [Edit],
    side: &'static [Edit],
}

fn lines(changed: &[(usize, &str)]) -> String {
    let line = |n: usize| match changed.iter().find(|(at, _)| *at == n) {
        Some((_, text)) => format!("{text}\n"),
        None => format!("line {n}\n"),
    };
    (0..30).map(line).collect()
}

fn base(tree: &mut Tree) {
    write(tree, "text.txt", lines(&[]));
    write(tree, "gone.txt", "of no more use\n");
    write(tree, "old name.txt", "moves as it is\n");
    write(tree, "image.bin", noise(1, 5000));
    write(tree, "deep/er/größe 🎵.txt", "ünïcode\n");
    write(tree, "empty", "");
}

fn rename(tree: &mut Tree, from: &str, to: &str) {
    let content = tree.remove(from).unwrap();
    tree.insert(to.to_owned(), content);
}

const SIDE: &[Edit] = &[
    |tree| {
        write(tree, "text.txt", lines(&[(2, "of the side")]));
        tree.remove("gone.txt");
    },
    |tree| {
        write(tree, "text.txt", lines(&[(2, "of the side"), (15, "again")]));
        rename(tree, "old name.txt", "deep/new name.txt");
        write(tree, "side/new.txt", "added there\n");
    },
    |tree| write(tree, "image.bin", noise(2, 5000)),
];

const MAIN: &[Edit] = &[
    |tree| write(tree, "text.txt", lines(&[(27, "of main")])),
    |tree| {
        write(tree, "main.txt", "added here\n");
        tree.remove("deep/er/größe 🎵.txt");
    },
];

const DIVERGED: Scene = Scene { base, main: MAIN, side: SIDE };
const AHEAD: Scene = Scene { base, main: &[], side: SIDE };

/// Runs git apart from what the machine configures, at a time that stands still.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "core.autocrlf=false", "-c", "core.quotepath=false", "-c", "merge.conflictStyle=merge"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Ann")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "ann@example.org")))
        .output()
        .expect("git is in PATH");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes the working tree of a repository of git's hold these files, and commits it.
fn commit_with_git(folder: &Path, tree: &Tree) {
    git(folder, &["rm", "-r", "-q", "--ignore-unmatch", "."]);
    for (path, content) in tree {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", "m"]);
}

/// The files of a commit of git's.
fn tree_of_git(folder: &Path, commit: &str) -> Tree {
    let listed = git(folder, &["ls-tree", "-r", "-z", "--name-only", commit]);
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    let content = |path: &str| {
        let blob =
            Command::new("git").args(["show", &format!("{commit}:{path}")]).current_dir(folder).output();
        Bytes::from(blob.unwrap().stdout)
    };
    paths.map(|path| (path.to_owned(), content(path))).collect()
}

/// The trees that git has after the same merge, from the newest commit that it made back to the target's old head.
fn trees_of_git(source: &History, scene: &Scene, history: &str) -> Vec<Tree> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    git(folder, &["init", "-q", "-b", "main"]);
    let trees = |branch: &str| {
        let commits = source.walk(source.head(branch), &Default::default());
        commits.into_iter().rev().map(|commit| source.tree(&commit)).collect::<Vec<_>>()
    };
    let (main, side) = (trees("main"), trees("side"));
    commit_with_git(folder, &main[0]);
    git(folder, &["checkout", "-q", "-b", "side"]);
    side[1..].iter().for_each(|tree| commit_with_git(folder, tree));
    git(folder, &["checkout", "-q", "main"]);
    main[1..].iter().for_each(|tree| commit_with_git(folder, tree));
    git(folder, &["tag", "before"]);
    match history {
        "merge" => drop(git(folder, &["merge", "-q", "--no-ff", "-m", "m", "side"])),
        "squash" => {
            git(folder, &["merge", "-q", "--squash", "side"]);
            git(folder, &["commit", "-q", "-m", "m"]);
        }
        "rebase" => {
            git(folder, &["checkout", "-q", "side"]);
            git(folder, &["rebase", "-q", "main"]);
        }
        "fast_forward" => drop(git(folder, &["merge", "-q", "--ff-only", "side"])),
        other => panic!("no history {other}"),
    }
    assert_eq!(main.len() - 1, scene.main.len());
    let made = git(folder, &["rev-list", "--first-parent", "before..HEAD"]);
    made.lines().map(|commit| tree_of_git(folder, commit)).collect()
}

/// Proposes `side` for `main` of `alice/demo` and merges that over HTTP; the answer.
pub(crate) async fn merge_proposal(app: &TestApp, how: &Value) -> Value {
    let alice = app.token("alice").await;
    let path = "/api/v1/repos/alice/demo/proposals";
    let propose = json!({"title": "Take the side in", "source_branch": "side", "target_branch": "main"});
    let made = app.post(path).bearer(&alice).json(&propose).send().await.expect(201).json();
    let path = format!("{path}/{}/merge", made["number"]);
    app.post(&path).bearer(&alice).json(how).send().await.expect(200).json()
}

/// Pushes a scene, merges on the hub, pulls with a client that cloned before, and compares with git.
async fn check(scene: &Scene, history: &str) {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut source = History::new();
    source.commit("main", "base", scene.base);
    source.fork("side", "main");
    for (branch, edits) in [("side", scene.side), ("main", scene.main)] {
        for (number, edit) in edits.iter().enumerate() {
            source.commit(branch, &format!("{branch} {number}"), edit);
        }
    }
    for branch in ["main", "side"] {
        client.push(&source, branch, false).await.unwrap();
    }
    let mut bob = app.client("alice", "demo", None).await;
    let mut local = bob.clone_repository().await.unwrap();

    let how = json!({"history": history, "author": "Ann <ann@example.org>", "message": "Merge side",
        "expected_target": source.head("main"), "expected_source": source.head("side")});
    let merged = merge_proposal(&app, &how).await;
    let head = merged["head"].as_str().unwrap().trim_start_matches("sha256:").to_owned();

    // Every id of what came is computed anew by the pull.
    let came = bob.pull(&mut local, "main").await.unwrap();
    assert_eq!(came, merged["commits"].as_array().unwrap().len());
    let mut at = head.clone();
    assert_eq!(bob.refs().await.unwrap().branch_heads["main"], at);
    for (number, expected) in trees_of_git(&source, scene, history).iter().enumerate() {
        let tree = local.tree(&at);
        let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&tree), names(expected), "{history}, {number} before the head");
        let differing: BTreeMap<_, _> =
            tree.iter().filter(|(path, text)| expected[*path] != **text).collect();
        assert!(differing.is_empty(), "{history}, {number} before the head: {differing:?}");
        at = musehub_test_support::text(local.record(&at), "parent_commit_id").to_owned();
    }
    assert_eq!(at, source.head("main"), "{history} stands on the old head");

    // Clients of the other generations get the same; each of them computes every id anew, too.
    let by_json = app.json_client("alice", "demo", None).await.whole().await.unwrap();
    let by_pack = app.mpack_client("alice", "demo", None).await.whole().await.unwrap();
    for whole in [by_json, by_pack] {
        assert_eq!(whole.head("main"), head, "{history}");
        assert!(whole.tree(&head) == local.tree(&head), "{history}: other files");
    }

    // And it can be built on.
    local.branch("main", &head);
    local.commit_file("main", "on top", "next.txt");
    client.push(&local, "main", false).await.unwrap();
}

#[tokio::test]
async fn diverged_branches_merge_to_what_git_makes_of_them() {
    for history in ["merge", "squash", "rebase"] {
        check(&DIVERGED, history).await;
    }
}

#[tokio::test]
async fn a_branch_that_is_ahead_merges_to_what_git_makes_of_it() {
    for history in ["merge", "squash", "rebase", "fast_forward"] {
        check(&AHEAD, history).await;
    }
}
