//! Merges of proposals over HTTP: races, and what runs after one as after a push.

use std::collections::BTreeSet;

use futures::future::join_all;
use musehub_test_support::history::write;
use musehub_test_support::{Answer, History, TestApp};
use serde_json::{Value, json};

const REPO: &str = "/api/v1/repos/alice/demo";

/// A repository of alice's on disk, to which a history was pushed.
struct Scene {
    app: TestApp,
    alice: String,
    history: History,
}

impl Scene {
    async fn of(history: History) -> Self {
        let app = TestApp::on_disk().await;
        let alice = app.token("alice").await;
        let mut client = app.repository("alice", "demo").await;
        // The first push makes the default branch.
        client.push(&history, "main", false).await.unwrap();
        for branch in history.branches.keys().filter(|branch| *branch != "main") {
            client.push(&history, branch, false).await.unwrap();
        }
        Self { app, alice, history }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.app.post(&format!("{REPO}{path}")).bearer(&self.alice).json(body).send().await
    }

    async fn get(&self, path: &str) -> Value {
        self.app.get(&format!("{REPO}{path}")).send().await.expect(200).json()
    }

    /// Proposes a branch for `main`; the number.
    async fn propose(&self, branch: &str) -> u64 {
        let body = json!({"title": format!("Take {branch} in"), "source_branch": branch});
        self.post("/proposals", &body).await.expect(201).json()["number"].as_u64().unwrap()
    }

    async fn merge(&self, number: u64, expected_target: &str) -> Answer {
        let how = json!({"expected_target": expected_target});
        self.post(&format!("/proposals/{number}/merge"), &how).await
    }

    async fn head(&self) -> String {
        let refs = self.app.client("alice", "demo", None).await.refs().await.unwrap();
        format!("sha256:{}", refs.branch_heads["main"])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_proposals_merged_into_one_branch_at_the_same_moment_one_wins_and_the_others_check_again() {
    let mut history = History::new();
    history.commit_file("main", "first", "first.txt");
    let branches = ["a", "b", "c", "d"];
    for branch in branches {
        history.fork(branch, "main");
        history.commit_file(branch, branch, &format!("{branch}.txt"));
    }
    history.commit_file("main", "on", "on.txt");
    let scene = Scene::of(history).await;
    let mut open = Vec::new();
    for branch in branches {
        open.push(scene.propose(branch).await);
    }
    // Everybody looked at the same state, and merges what they saw.
    while !open.is_empty() {
        let seen = scene.head().await;
        let answers = join_all(open.iter().map(|number| scene.merge(*number, &seen))).await;
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        for (number, answer) in open.iter().zip(answers) {
            match answer.status {
                200 => won.push(answer.json()["head"].as_str().unwrap().to_owned()),
                _ => {
                    let told = answer.expect(409).json();
                    assert_eq!(
                        (&told["code"], &told["expected_head"]),
                        (&json!("branch_moved"), &json!(seen))
                    );
                    lost.push((*number, told["head"].clone()));
                }
            }
        }
        assert_eq!(won, [scene.head().await], "one wins, and the branch is where it says");
        for (number, head) in &lost {
            assert_eq!(*head, json!(won[0]), "the others are told where the branch is");
            let shown = scene.get(&format!("/proposals/{number}")).await;
            assert_eq!(
                (&shown["proposal"]["state"], &shown["proposal"]["merge"]),
                (&json!("open"), &Value::Null)
            );
            assert_eq!((&shown["mergeability"]["state"], &shown["target_head"]), (&json!("clean"), head));
        }
        open = lost.into_iter().map(|(number, _)| number).collect();
    }
    let cloned = scene.app.client("alice", "demo", None).await.clone_repository().await.unwrap();
    let files: BTreeSet<String> = cloned.tree(cloned.head("main")).into_keys().collect();
    let expected = ["a", "b", "c", "d", "first", "on"].map(|name| format!("{name}.txt"));
    assert_eq!(files, expected.into(), "nobody's files are lost");
    let made = cloned.commits.len() - scene.history.commits.len();
    assert_eq!(made, branches.len(), "a commit for each merge and none besides");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_merges_of_one_proposal_at_the_same_moment_one_is_made() {
    let mut history = History::new();
    history.commit_file("main", "first", "first.txt");
    history.fork("side", "main");
    history.commit_file("side", "side", "side.txt");
    history.commit_file("main", "on", "on.txt");
    let scene = Scene::of(history).await;
    let number = scene.propose("side").await;
    let seen = scene.head().await;
    let answers = join_all((0..6).map(|_| scene.merge(number, &seen))).await;
    let mut won = 0;
    for answer in answers {
        if answer.status == 200 {
            won += 1;
            continue;
        }
        let code = answer.expect(409).json()["code"].clone();
        let told = ["branch_moved", "proposal_changed", "proposal_not_open"];
        assert!(told.iter().any(|known| code == *known), "{code}");
    }
    assert_eq!(won, 1);
    let cloned = scene.app.client("alice", "demo", None).await.clone_repository().await.unwrap();
    assert_eq!(cloned.commits.len(), scene.history.commits.len() + 1);
}

#[tokio::test]
async fn what_runs_after_a_push_runs_after_a_merge() {
    let mut history = History::new();
    history.commit("main", "begin", |tree| {
        write(tree, "pkg/__init__.py", "");
        write(tree, "pkg/tools.py", "def cut():\n    return 1\n\n\ndef glue():\n    return 2\n");
    });
    history.fork("side", "main");
    history.commit("side", "use it", |tree| write(tree, "pkg/use.py", "from pkg.tools import cut\n"));
    history.commit("main", "rename", |tree| {
        write(tree, "pkg/tools.py", "def saw():\n    return 1\n\n\ndef glue():\n    return 2\n");
    });
    let scene = Scene::of(history).await;
    scene.app.run_jobs().await;
    let scanned = scene.get("/intel/breakage").await;
    assert_eq!(scanned["scan"]["total_issues"], 0, "{scanned}");

    // Neither branch imports what is not there; what they merge to does.
    let number = scene.propose("side").await;
    let head = scene.head().await;
    let merged = scene.merge(number, &head).await.expect(200).json();
    let waiting = scene.get("/intel/breakage").await;
    assert_eq!(waiting["job"], "pending");
    assert!(scene.app.run_jobs().await > 0);
    let scanned = scene.get("/intel/breakage").await;
    assert_eq!(scanned["scan"]["ref"], merged["head"]);
    let issue = &scanned["issues"][0];
    assert_eq!(
        (&issue["file_path"], &issue["subject"]),
        (&json!("pkg/use.py"), &json!("pkg.tools.cut")),
        "{scanned}"
    );
}
