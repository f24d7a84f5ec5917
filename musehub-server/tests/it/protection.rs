//! Protected branches, on every way by which clients of any generation move one.

use std::collections::BTreeSet;

use musehub_test_support::mpack_client::container_of;
use musehub_test_support::{Answer, ClientError, History, TestApp};
use serde_json::{Value, json};

/// A way to push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The sync of the earliest clients.
    Sync,
    /// Clients of early March 2026.
    Json,
    /// Clients of late March 2026.
    Mwp,
    /// Clients from late May 2026 on, answered at once.
    Mpack,
    /// The same, whose pack a job indexes.
    MpackJob,
}

const WAYS: [Way; 5] = [Way::Sync, Way::Json, Way::Mwp, Way::Mpack, Way::MpackJob];

/// Why a push is refused: its code, and of a protected branch what it refuses.
type Refusal = (String, Option<String>);

/// A repository that one way pushed three commits to.
struct Scene {
    app: TestApp,
    alice: String,
    way: Way,
    history: History,
    commits: [String; 3],
}

impl Scene {
    async fn new(way: Way, protection: Value) -> Self {
        let app = TestApp::new().await;
        let alice = app.token("alice").await;
        drop(app.repository("alice", "demo").await);
        let mut history = History::new();
        let commits = ["one", "two", "three"].map(|message| history.commit_file("main", message, message));
        let scene = Self { app, alice, way, history, commits };
        scene.push(&scene.history, "main", false).await.unwrap();
        let settings = json!({"settings": {"protected_branches": [protection]}});
        let changed = scene.call("PATCH", "", &settings).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        scene
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v1/repos/alice/demo{path}");
        self.app.request(method, &path).bearer(&self.alice).json(body).send().await
    }

    async fn push(&self, history: &History, branch: &str, force: bool) -> Result<(), Refusal> {
        let who = Some("alice");
        let pushed = match self.way {
            Way::Sync => {
                let repo = self.app.record("alice", "demo").await;
                let path = format!("/api/v1/repos/{}/push", repo.repo_id);
                let mut body = crate::sync::push_body(history, branch);
                body["force"] = force.into();
                let answer = self.app.post(&path).bearer(&self.alice).json(&body).send().await;
                return if answer.status == 200 { Ok(()) } else { Err(refusal(&answer.text())) };
            }
            Way::Json => {
                let client = self.app.json_client("alice", "demo", who).await;
                client.push(history, branch, force).await.map(drop)
            }
            Way::Mwp => {
                let mut client = self.app.client("alice", "demo", who).await;
                client.push(history, branch, force).await.map(drop)
            }
            Way::Mpack => {
                let client = self.app.mpack_client("alice", "demo", who).await;
                client.push(history, branch, force).await.map(drop)
            }
            Way::MpackJob => return self.push_as_job(history, branch, force).await,
        };
        pushed.map_err(|ClientError { body, .. }| refusal(&body))
    }

    async fn push_as_job(&self, history: &History, branch: &str, force: bool) -> Result<(), Refusal> {
        let client = self.app.mpack_client("alice", "demo", Some("alice")).await;
        let head = history.head(branch);
        let key = client.upload(&container_of(&history.bundle(head, &BTreeSet::new()))).await.unwrap();
        let body = json!({"mpack_key": key, "branch": branch, "head": head, "force": force, "async": true});
        let queued = client.call("POST", "push/unpack-mpack", Some(body)).await.unwrap();
        let job = queued["job_id"].as_str().unwrap();
        self.app.run_jobs().await;
        let done = client.call("GET", &format!("push/jobs/{job}"), None).await.unwrap();
        match done["code"].as_str() {
            None => {
                assert_eq!(done["status"], "done", "{done}");
                Ok(())
            }
            // A job says in words what is refused.
            Some(code) => {
                let error = done["error"].as_str().unwrap();
                let said = [("lose commits", "force"), ("merge of a proposal", "direct_push")];
                let refused = said.into_iter().find(|(words, _)| error.contains(words));
                Err((code.to_owned(), refused.map(|(_, refused)| refused.to_owned())))
            }
        }
    }

    /// Where a branch stands, as a client sees it.
    async fn head(&self, branch: &str) -> Option<String> {
        let client = self.app.client("alice", "demo", None).await;
        client.refs().await.unwrap().branch_heads.get(branch).cloned()
    }

    /// The history as it was after the first commit, and another second one.
    fn diverged(&self, message: &str) -> History {
        let mut diverged = self.history.clone();
        diverged.branch("main", &self.commits[0]);
        diverged.commit_file("main", message, message);
        diverged
    }
}

fn refusal(body: &str) -> Refusal {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no error of the hub's: {body}"));
    (body["code"].as_str().unwrap().to_owned(), body["refused"].as_str().map(str::to_owned))
}

fn protected(refused: &str) -> Result<(), Refusal> {
    Err(("protected_branch".to_owned(), Some(refused.to_owned())))
}

#[tokio::test]
async fn a_branch_that_refuses_force_loses_no_commit_on_any_way() {
    for way in WAYS {
        let protection = json!({"pattern": "ma*", "refuse_force": true, "refuse_deletion": false});
        let mut scene = Scene::new(way, protection).await;
        let rewritten = scene.diverged("rewritten");
        assert_eq!(scene.push(&rewritten, "main", true).await, protected("force"), "{way:?}");
        let (code, _) = scene.push(&rewritten, "main", false).await.unwrap_err();
        assert_eq!(code, "non_fast_forward", "{way:?}");
        assert_eq!(scene.head("main").await.as_deref(), Some(&*scene.commits[2]), "{way:?}");
        let repo = scene.app.record("alice", "demo").await;
        assert_eq!(
            scene.app.app.hub.commit_count(&repo).await.unwrap(),
            3,
            "{way:?}: nothing of it is there"
        );

        // What loses nothing needs no force, and may be sent with it.
        let next = scene.history.commit_file("main", "four", "four");
        assert_eq!(scene.push(&scene.history, "main", true).await, Ok(()), "{way:?}");
        assert_eq!(scene.head("main").await, Some(next), "{way:?}");
        // Other branches are free.
        for message in ["once", "twice"] {
            let mut other = scene.diverged(message);
            let head = other.head("main").to_owned();
            other.branch("other", &head);
            assert_eq!(scene.push(&other, "other", true).await, Ok(()), "{way:?}");
            assert_eq!(scene.head("other").await, Some(head), "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_branch_that_refuses_direct_pushes_moves_by_a_merge_on_every_way() {
    for way in WAYS {
        let protection = json!({"pattern": "main", "refuse_direct_push": true});
        let mut scene = Scene::new(way, protection).await;
        let before = scene.commits[2].clone();
        scene.history.fork("topic", "main");
        let topic = scene.history.commit_file("topic", "proposed", "proposed");
        scene.history.branch("main", &topic);
        for force in [false, true] {
            assert_eq!(scene.push(&scene.history, "main", force).await, protected("direct_push"), "{way:?}");
            let rewritten = scene.diverged("rewritten");
            assert_eq!(scene.push(&rewritten, "main", force).await, protected("direct_push"), "{way:?}");
        }
        let commit = json!({"branch": "main", "expected_head": before, "message": "m",
            "changes": [{"op": "put", "path": "x", "content": "x"}]});
        let refused = scene.call("POST", "/commits", &commit).await.expect(403).json();
        assert_eq!(
            (&refused["code"], &refused["refused"]),
            (&json!("protected_branch"), &json!("direct_push"))
        );
        assert_eq!(scene.head("main").await, Some(before), "{way:?}");

        assert_eq!(scene.push(&scene.history, "topic", false).await, Ok(()), "{way:?}");
        let propose = json!({"title": "t", "source_branch": "topic", "target_branch": "main"});
        let _ = scene.call("POST", "/proposals", &propose).await.expect(201);
        let merged = scene.call("POST", "/proposals/1/merge", &json!({})).await.expect(200).json();
        let head = scene.head("main").await.unwrap();
        assert_eq!(merged["head"], format!("sha256:{head}"), "{way:?}");
    }
}

#[tokio::test]
async fn a_branch_that_refuses_deletion_is_there_after_every_way_to_delete_it() {
    for way in WAYS {
        let protection = json!({"pattern": "kept/*", "refuse_force": false, "refuse_deletion": true});
        let mut scene = Scene::new(way, protection).await;
        scene.history.fork("kept/1", "main");
        let kept = scene.history.commit_file("kept/1", "kept", "kept");
        assert_eq!(scene.push(&scene.history, "kept/1", false).await, Ok(()), "{way:?}");
        let refused = |answer: Answer| answer.expect(403).json()["refused"].as_str().unwrap().to_owned();
        let delete = format!("/branches/kept/1?expected_head={kept}");
        assert_eq!(refused(scene.call("DELETE", &delete, &json!({})).await), "deletion", "{way:?}");
        let rename = json!({"name": "free", "expected_head": kept});
        assert_eq!(refused(scene.call("PATCH", "/branches/kept/1", &rename).await), "deletion", "{way:?}");
        let propose = json!({"title": "t", "source_branch": "kept/1", "target_branch": "main"});
        let _ = scene.call("POST", "/proposals", &propose).await.expect(201);
        let how = json!({"delete_source": true});
        let merged = scene.call("POST", "/proposals/1/merge", &how).await.expect(200).json();
        assert_eq!(merged["source_deleted"], json!(false), "{way:?}");
        assert_eq!(scene.head("kept/1").await.as_ref(), Some(&kept), "{way:?}");
        assert_eq!(scene.head("free").await, None, "{way:?}");
        // It moves all the same, also where that loses commits.
        let mut rewritten = scene.diverged("rewritten");
        let head = rewritten.head("main").to_owned();
        rewritten.branch("kept/1", &head);
        assert_eq!(scene.push(&rewritten, "kept/1", true).await, Ok(()), "{way:?}");
        assert_eq!(scene.head("kept/1").await, Some(head), "{way:?}");
    }
}
