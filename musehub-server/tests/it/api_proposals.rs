//! Proposals, branches and settings over the API.

use musehub_test_support::{Answer, Call, History, TestApp};
use serde_json::{Value, json};

const REPO: &str = "/api/v1/repos/alice/demo";

/// A repository whose `main` and `dev` parted after one commit, and three people.
struct Scene {
    app: TestApp,
    alice: String,
    mallory: String,
    main: String,
    dev: String,
}

impl Scene {
    /// On `main` and on `dev`, `both.txt` becomes these.
    async fn with(visibility: &str, on_main: &str, on_dev: &str) -> Self {
        let app = TestApp::new().await;
        let (alice, mallory) = (app.token("alice").await, app.token("mallory").await);
        let mut scene = Self { app, alice, mallory, main: String::new(), dev: String::new() };
        let body = json!({"name": "demo", "initialize": true, "visibility": visibility});
        let made = scene.app.post("/api/v1/repos").bearer(&scene.alice).json(&body).send().await;
        let first = made.expect(201).json()["head"].as_str().unwrap().to_owned();
        let base = scene.commit("main", &first, "both.txt", "1\n2\n3\n").await;
        let branch = json!({"name": "dev", "commit_id": base});
        let _ = scene.post("/branches", &scene.alice, &branch).await.expect(201);
        scene.main = scene.commit("main", &base, "both.txt", on_main).await;
        let dev = scene.commit("dev", &base, "dev.txt", "new\n").await;
        scene.dev = scene.commit("dev", &dev, "both.txt", on_dev).await;
        scene
    }

    async fn new() -> Self {
        Self::with("public", "one\n2\n3\n", "1\n2\nthree\n").await
    }

    /// The same, with `dev` proposed for `main`.
    async fn proposed() -> Self {
        let scene = Self::new().await;
        let _ = scene.propose("A title").await.expect(201);
        scene
    }

    async fn propose(&self, title: &str) -> Answer {
        self.post("/proposals", &self.alice, &json!({"title": title, "source_branch": "dev"})).await
    }

    async fn commit(&self, branch: &str, head: &str, path: &str, text: &str) -> String {
        let body = json!({
            "branch": branch,
            "expected_head": head,
            "message": format!("Write {path}"),
            "changes": [{"op": "put", "path": path, "content": text}],
        });
        let made = self.post("/commits", &self.alice, &body).await.expect(201).json();
        made["commit_id"].as_str().unwrap().to_owned()
    }

    fn call(&self, method: &str, path: &str, token: &str) -> Call {
        let call = self.app.request(method, &format!("{REPO}{path}"));
        if token.is_empty() { call } else { call.bearer(token) }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token).send().await
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call("POST", path, token).json(body).send().await
    }

    async fn patch(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call("PATCH", path, token).json(body).send().await
    }

    async fn settings(&self, settings: &Value) {
        let _ = self.patch("", &self.alice, &json!({ "settings": settings })).await.expect(200);
    }

    async fn heads(&self) -> Value {
        let listed = self.get("/branches", &self.alice).await.expect(200).json();
        let branches = listed["branches"].as_array().unwrap().iter();
        branches.map(|row| (row["name"].as_str().unwrap().to_owned(), row["head"].clone())).collect()
    }

    async fn clone_repository(&self) -> History {
        self.app.client("alice", "demo", Some("alice")).await.clone_repository().await.unwrap()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_proposal_is_made_shown_listed_and_merged_and_clients_pull_the_result() {
    let scene = Scene::new().await;
    let made = scene.propose("A title").await.expect(201);
    assert_eq!(made.header("etag"), "\"1\"");
    let made = made.json();
    assert_eq!((&made["number"], &made["target_branch"]), (&json!(1), &json!("main")));
    assert_eq!((&made["head"], &made["merge"]), (&json!(scene.dev), &Value::Null));
    let shown = scene.get("/proposals/1", "").await.expect(200).json();
    assert_eq!(shown["mergeability"]["state"], "clean");
    assert_eq!(shown["proposal"], made);

    let commits = scene.get("/proposals/1/commits?limit=1", "").await.expect(200).json();
    assert_eq!((&commits["total"], &commits["commits"][0]["commit_id"]), (&json!(2), &json!(scene.dev)));
    let cursor = commits["next_cursor"].as_str().unwrap();
    let rest = scene.get(&format!("/proposals/1/commits?limit=1&cursor={cursor}"), "").await.json();
    assert_eq!((rest["commits"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let files = scene.get("/proposals/1/files?limit=1", "").await.expect(200).json();
    assert_eq!(
        (&files["files"][0]["path"], &files["files"][0]["change"]),
        (&json!("both.txt"), &json!("modified"))
    );
    let rest = scene.get("/proposals/1/files?cursor=1", "").await.expect(200).json();
    assert_eq!(
        (&rest["files"][0]["path"], &rest["files"][0]["change"]),
        (&json!("dev.txt"), &json!("added"))
    );

    let merge = json!({"history": "merge", "expected_source": scene.dev, "expected_target": scene.main,
        "delete_source": true});
    let merged = scene.post("/proposals/1/merge", &scene.alice, &merge).await.expect(200).json();
    assert_eq!((&merged["proposal"]["state"], &merged["source_deleted"]), (&json!("merged"), &json!(true)));
    assert_eq!(merged["proposal"]["merge"]["merged_by"], "alice");
    assert_eq!(scene.heads().await, json!({ "main": merged["head"] }));
    let cloned = scene.clone_repository().await;
    assert!(!cloned.commits.is_empty(), "a client takes what the hub merged");
    let listed = scene.get("/proposals?state=merged", "").await.expect(200).json();
    assert_eq!((listed["proposals"].as_array().unwrap().len(), &listed["counts"]["merged"]), (1, &json!(1)));
    let again = scene.post("/proposals/1/merge", &scene.alice, &json!({})).await.expect(409);
    assert_eq!(code(&again), "proposal_not_open");
}

#[tokio::test]
async fn each_route_asks_who_calls() {
    let scene = Scene::proposed().await;
    let _ = scene.post("/proposals/1/comments", &scene.alice, &json!({"body": "mine"})).await.expect(201);
    let delete = format!("/branches/dev?expected_head={}", scene.dev);
    // Method, path, body; what nobody and a stranger are answered on a public repository.
    let calls = [
        ("POST", "/proposals", json!({"title": "t", "source_branch": "dev"}), 401, 403),
        ("PATCH", "/proposals/1", json!({"title": "t"}), 401, 403),
        ("POST", "/proposals/1/close", json!({}), 401, 403),
        ("POST", "/proposals/1/reopen", json!({}), 401, 403),
        ("POST", "/proposals/1/merge", json!({}), 401, 403),
        ("POST", "/proposals/1/comments", json!({"body": "hello"}), 401, 201),
        ("PATCH", "/proposals/1/comments/1", json!({"body": "theirs"}), 401, 403),
        ("DELETE", "/proposals/1/comments/1", json!({}), 401, 403),
        ("POST", "/proposals/1/reviews", json!({"verdict": "approve"}), 401, 201),
        ("POST", "/proposals/1/reviews/mallory/dismissal", json!({"reason": "mine"}), 401, 201),
        ("POST", "/branches", json!({"name": "b", "commit_id": scene.dev}), 401, 403),
        ("PATCH", "/branches/dev", json!({"name": "b", "expected_head": scene.dev}), 401, 403),
        ("DELETE", &*delete, json!({}), 401, 403),
        ("PATCH", "", json!({"description": "x"}), 401, 403),
        ("GET", "/proposals", json!({}), 200, 200),
        ("GET", "/proposals/1", json!({}), 200, 200),
        ("GET", "/proposals/1/conversation", json!({}), 200, 200),
        ("GET", "/branches", json!({}), 200, 200),
        ("GET", "", json!({}), 200, 200),
    ];
    for (method, path, body, nobody, stranger) in &calls {
        for (token, status) in [("", nobody), (&*scene.mallory, stranger)] {
            let answer = scene.call(method, path, token).json(body).send().await;
            // Nobody else is the author; the stranger's reopening finds the state first.
            assert_eq!(answer.status, *status, "{method} {path}: {}", answer.text());
        }
    }
    let private = Scene::with("private", "one\n2\n3\n", "1\n2\nthree\n").await;
    let _ = private.propose("secret").await.expect(201);
    for (method, path, body, ..) in &calls {
        let answer = private.call(method, path, &private.mallory).json(body).send().await.expect(404);
        assert_eq!(answer.json()["detail"], "repository not found", "{method} {path}");
    }
}

#[tokio::test]
async fn what_people_write_comes_back_as_json_whatever_it_is() {
    let scene = Scene::new().await;
    let hostile = "<script>alert(\"1\")</script>'; DROP TABLE musehub_proposals; -- {{7*7}}";
    let made = scene.propose(hostile).await.expect(201);
    assert_eq!(made.header("content-type"), "application/json");
    assert_eq!(made.header("x-content-type-options"), "nosniff");
    assert_eq!(made.json()["title"], hostile);
    let _ =
        scene.post("/proposals/1/comments", &scene.mallory, &json!({ "body": hostile })).await.expect(201);
    let said = scene.get("/proposals/1/conversation", "").await.expect(200).json();
    assert_eq!(
        (&said["entries"][0]["body"], &said["entries"][0]["author"]),
        (&json!(hostile), &json!("mallory"))
    );
    let name = "<img src=x onerror=alert(1)>'; --";
    let branch = json!({"name": name, "commit_id": scene.dev});
    let _ = scene.post("/branches", &scene.alice, &branch).await.expect(201);
    let propose = json!({"title": "t", "source_branch": name});
    let made = scene.post("/proposals", &scene.alice, &propose).await.expect(201).json();
    assert_eq!(made["source_branch"], name);
    for (path, body) in [
        ("/proposals", json!({"title": "", "source_branch": "dev"})),
        ("/proposals", json!({"title": "two\nlines", "source_branch": "dev"})),
        ("/proposals", json!({"title": "t", "source_branch": "../dev"})),
        ("/proposals", json!({"source_branch": "dev"})),
        ("/proposals/1/comments", json!({"body": " "})),
        ("/proposals/1/comments", json!({"body": "x".repeat((64 << 10) + 1)})),
        ("/proposals/1/reviews", json!({"verdict": "perhaps"})),
        ("/proposals/1/merge", json!({"history": "rewrite"})),
    ] {
        let answer = scene.post(path, &scene.alice, &body).await;
        assert_eq!(answer.status, 422, "{path} {}: {}", body.to_string().len(), answer.text());
    }
    for path in
        ["?state=new", "?limit=0", "?limit=101", "?limit=x", "?cursor=x", "?author=a%20b", "?source=.."]
    {
        let _ = scene.get(&format!("/proposals{path}"), "").await.expect(422);
    }
    for path in ["/proposals/99", "/proposals/x", "/proposals/99/conversation", "/proposals/99/files"] {
        let _ = scene.get(path, "").await.expect(404);
    }
}

#[tokio::test]
async fn a_change_of_what_changed_meanwhile_is_refused() {
    let scene = Scene::proposed().await;
    let edit = |tag: &str| scene.call("PATCH", "/proposals/1", &scene.alice).header("if-match", tag);
    let first = edit("\"1\"").json(&json!({"title": "first", "draft": true})).send().await.expect(200);
    assert_eq!((first.header("etag"), &first.json()["draft"]), ("\"2\"", &json!(true)));
    let stale = edit("\"1\"").json(&json!({"title": "second"})).send().await.expect(409);
    assert_eq!(code(&stale), "proposal_changed");
    let _ = edit("nonsense").json(&json!({"title": "third"})).send().await.expect(422);
    let draft = scene.post("/proposals/1/merge", &scene.alice, &json!({})).await.expect(409);
    assert_eq!(code(&draft), "draft");
    let _ = scene.post("/proposals/1/close", &scene.alice, &json!({})).await.expect(200);
    let closed = scene.post("/proposals/1/merge", &scene.alice, &json!({})).await.expect(409);
    assert_eq!(code(&closed), "proposal_not_open");
    let _ = scene.post("/proposals/1/reopen", &scene.alice, &json!({})).await.expect(200);
    let twin = scene.propose("again").await.expect(409);
    assert_eq!(code(&twin), "exists");
}

#[tokio::test]
async fn conflicts_are_listed_with_their_versions_and_nothing_is_written() {
    let scene = Scene::with("public", "1\n2\nTHREE\n", "1\n2\nthree\n").await;
    let _ = scene.propose("It conflicts").await.expect(201);
    let shown = scene.get("/proposals/1", "").await.expect(200).json();
    assert_eq!(shown["mergeability"]["state"], "conflicts");
    let before = scene.heads().await;
    let refused = scene.post("/proposals/1/merge", &scene.alice, &json!({})).await.expect(409).json();
    assert_eq!((&refused["code"], &refused["conflict_count"]), (&json!("conflicts"), &json!(1)));
    let conflict = &refused["conflicts"][0];
    assert_eq!((&conflict["path"], &conflict["kind"]), (&json!("both.txt"), &json!("both_modified")));
    for version in ["base", "ours", "theirs"] {
        assert!(conflict[version].as_str().unwrap().starts_with("sha256:"), "{version}");
    }
    assert_eq!(refused["conflicts"], shown["mergeability"]["conflicts"]);
    assert_eq!(scene.heads().await, before);
    let overlay = json!({"strategy": "overlay", "history": "squash"});
    let merged = scene.post("/proposals/1/merge", &scene.alice, &overlay).await.expect(200).json();
    assert_eq!(merged["overridden"][0]["path"], "both.txt");
}

#[tokio::test]
async fn a_merge_waits_for_the_approvals_that_settings_require() {
    let scene = Scene::proposed().await;
    scene.settings(&json!({"required_approvals": 2})).await;
    let review = json!({"verdict": "approve", "commit_id": scene.dev});
    let _ = scene.post("/proposals/1/reviews", &scene.mallory, &review).await.expect(201);
    let own = scene.post("/proposals/1/reviews", &scene.alice, &review).await.expect(403);
    assert_eq!(code(&own), "forbidden");
    let stale = json!({"verdict": "approve", "commit_id": scene.main});
    let stale = scene.post("/proposals/1/reviews", &scene.mallory, &stale).await.expect(409).json();
    assert_eq!((&stale["code"], &stale["head"]), (&json!("source_moved"), &json!(scene.dev)));
    let gate = scene.post("/proposals/1/merge", &scene.alice, &json!({})).await.expect(409).json();
    assert_eq!(
        (&gate["code"], &gate["approved"], &gate["required"]),
        (&json!("approval_gate"), &json!(0), &json!(2))
    );
    assert_eq!(scene.heads().await["main"], json!(scene.main));
    let shown = scene.get("/proposals/1", "").await.json();
    let review = &shown["approvals"]["reviews"][0];
    assert_eq!((&review["reviewer"], &review["counts"]), (&json!("mallory"), &json!(false)));
}

#[tokio::test]
async fn a_merge_into_a_branch_that_moved_is_told_to_look_again() {
    let scene = Scene::proposed().await;
    let moved = scene.commit("main", &scene.main, "other.txt", "o\n").await;
    let merge = json!({ "expected_target": scene.main });
    let refused = scene.post("/proposals/1/merge", &scene.alice, &merge).await.expect(409).json();
    assert_eq!((&refused["code"], &refused["head"]), (&json!("branch_moved"), &json!(moved)));
    let merge = json!({"expected_target": moved, "history": "rebase"});
    let _ = scene.post("/proposals/1/merge", &scene.alice, &merge).await.expect(200);
}

#[tokio::test]
async fn branches_are_listed_made_renamed_and_deleted() {
    let scene = Scene::new().await;
    let make = |name: &str| json!({"name": name, "commit_id": scene.dev});
    for name in ["feat/a", "feat/b"] {
        let _ = scene.post("/branches", &scene.alice, &make(name)).await.expect(201);
    }
    let taken = scene.post("/branches", &scene.alice, &make("dev")).await.expect(409);
    assert_eq!(code(&taken), "branch_moved");
    for bad in ["feat", "..", "HEAD", "a\nb"] {
        let _ = scene.post("/branches", &scene.alice, &make(bad)).await.expect(422);
    }
    let unknown = json!({"name": "x", "commit_id": format!("sha256:{}", "0".repeat(64))});
    let _ = scene.post("/branches", &scene.alice, &unknown).await.expect(404);
    let page = scene.get("/branches?limit=3", "").await.expect(200).json();
    assert_eq!(page["next_cursor"], "feat/b");
    let rest = scene.get("/branches?limit=3&cursor=feat%2Fb", "").await.expect(200).json();
    assert_eq!((&rest["branches"][0]["name"], &rest["next_cursor"]), (&json!("main"), &Value::Null));
    assert_eq!(rest["branches"][0]["is_default"], json!(true));

    let stale = json!({"name": "feat/c", "expected_head": scene.main});
    let _ = scene.patch("/branches/feat/b", &scene.alice, &stale).await.expect(409);
    let rename = json!({"name": "feat/c", "expected_head": scene.dev});
    let _ = scene.patch("/branches/feat/b", &scene.alice, &rename).await.expect(200);
    let delete = async |name: &str, head: &str| {
        let path = format!("/branches/{name}?expected_head={head}");
        scene.call("DELETE", &path, &scene.alice).send().await
    };
    assert_eq!(delete("feat/c", &scene.main).await.status, 409);
    let _ = delete("feat/c", &scene.dev).await.expect(200);
    let _ = scene.call("DELETE", "/branches/feat/a", &scene.alice).send().await.expect(422);
    let default = delete("main", &scene.main).await.expect(409);
    assert_eq!(code(&default), "default_branch");
    let heads = scene.heads().await;
    assert_eq!(heads.as_object().unwrap().keys().collect::<Vec<_>>(), ["dev", "feat/a", "main"]);
}

#[tokio::test]
async fn a_protected_branch_refuses_every_way_but_the_merge_of_a_proposal() {
    let scene = Scene::proposed().await;
    scene
        .settings(&json!({"protected_branches": [
            {"pattern": "ma*", "refuse_direct_push": true},
            {"pattern": "dev", "refuse_force": false},
        ]}))
        .await;
    let protected = |answer: Answer| {
        let answer = answer.expect(403).json();
        assert_eq!(answer["code"], "protected_branch");
        answer["refused"].as_str().unwrap().to_owned()
    };
    let commit = json!({"branch": "main", "expected_head": scene.main, "message": "m",
        "changes": [{"op": "put", "path": "x", "content": "x"}]});
    assert_eq!(protected(scene.post("/commits", &scene.alice, &commit).await), "direct_push");
    let mut local = scene.clone_repository().await;
    let mut client = scene.app.client("alice", "demo", Some("alice")).await;
    local.commit_file("main", "pushed", "pushed.txt");
    for force in [false, true] {
        let pushed = client.push(&local, "main", force).await;
        let refused = pushed.unwrap_err();
        assert_eq!((refused.status, refused.body.contains("protected_branch")), (403, true), "{refused}");
    }
    let delete = format!("/branches/dev?expected_head={}", scene.dev);
    assert_eq!(protected(scene.call("DELETE", &delete, &scene.alice).send().await), "deletion");
    let rename = json!({"name": "new", "expected_head": scene.dev});
    assert_eq!(protected(scene.patch("/branches/dev", &scene.alice, &rename).await), "deletion");
    let listed = scene.get("/branches", "").await.json();
    assert_eq!(listed["branches"][0]["protection"]["refuse_deletion"], json!(true));
    assert_eq!(scene.heads().await["main"], json!(scene.main));
    let how = json!({"delete_source": true});
    let merged = scene.post("/proposals/1/merge", &scene.alice, &how).await.expect(200).json();
    assert_eq!(merged["source_deleted"], json!(false), "a protected source stays");
    assert_eq!(scene.heads().await["main"], merged["head"]);
}

#[tokio::test]
async fn settings_are_shown_and_changed_one_by_one() {
    let scene = Scene::new().await;
    let change = json!({"description": "<b>x</b>", "visibility": "private", "default_branch": "dev",
        "settings": {"required_approvals": 1}});
    let changed = scene.patch("", &scene.alice, &change).await.expect(200).json();
    assert_eq!((&changed["description"], &changed["default_branch"]), (&json!("<b>x</b>"), &json!("dev")));
    scene.settings(&json!({"protected_branches": [{"pattern": "main"}]})).await;
    let shown = scene.get("", &scene.alice).await.expect(200).json();
    assert_eq!(shown["settings"]["required_approvals"], json!(1), "what is left out stays");
    let protected = json!([{"pattern": "main", "refuse_force": true, "refuse_deletion": true,
        "refuse_direct_push": false}]);
    assert_eq!(shown["settings"]["protected_branches"], protected);
    let _ = scene.get("", &scene.mallory).await.expect(404);
    for bad in [
        json!({"default_branch": "absent"}),
        json!({"visibility": "secret"}),
        json!({"settings": {"required_approvals": 101}}),
        json!({"settings": {"protected_branches": [{"pattern": "../*"}]}}),
        json!({"settings": {"unknown": true}}),
        json!({"owner": "mallory"}),
    ] {
        let _ = scene.patch("", &scene.alice, &bad).await.expect(422);
    }
    assert_eq!(scene.get("", &scene.alice).await.json(), shown, "nothing of what was refused is there");
}
