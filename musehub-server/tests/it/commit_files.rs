//! Files committed over the API.

use std::collections::BTreeMap;

use bytes::Bytes;
use musehub_core::BlobId;
use musehub_server::Limits;
use musehub_test_support::history::{noise, write};
use musehub_test_support::{Answer, Call, History, MuseClient, TestApp};
use serde_json::{Value, json};

const COMMITS: &str = "/api/v1/repos/alice/demo/commits";

/// A form: the commit first, then the parts in the order given.
struct Form {
    body: Vec<u8>,
}

impl Form {
    const BOUNDARY: &str = "------------------------d74496d66958873e";

    fn new(commit: &Value) -> Self {
        Self { body: Vec::new() }.part("commit", commit.to_string().as_bytes())
    }

    fn part(mut self, name: &str, content: &[u8]) -> Self {
        let head = format!("--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", Self::BOUNDARY);
        self.body.extend([head.as_bytes(), content, b"\r\n"].concat());
        self
    }

    fn end(mut self) -> Bytes {
        self.body.extend(format!("--{}--\r\n", Self::BOUNDARY).bytes());
        self.body.into()
    }

    fn content_type() -> String {
        format!("multipart/form-data; boundary={}", Self::BOUNDARY)
    }
}

/// A repository with one commit of the hub's, in a scheme.
struct Scene {
    app: TestApp,
    token: String,
    head: String,
}

impl Scene {
    async fn new(scheme: &str) -> Self {
        Self::with(TestApp::new().await, scheme).await
    }

    async fn with(app: TestApp, scheme: &str) -> Self {
        let token = app.token("alice").await;
        let body = json!({"name": "demo", "initialize": true, "scheme": scheme});
        let made = app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(201).json();
        let head = made["head"].as_str().unwrap().to_owned();
        Self { app, token, head }
    }

    fn call(&self) -> Call {
        self.app.post(COMMITS).bearer(&self.token)
    }

    async fn json(&self, body: &Value) -> Answer {
        self.call().json(body).send().await
    }

    async fn form(&self, form: Form) -> Answer {
        self.call().bytes(&Form::content_type(), form.end()).send().await
    }

    /// A commit on top of the head, with these changes.
    fn on_head(&self, changes: Value) -> Value {
        json!({"branch": "main", "expected_head": self.head, "message": "m", "changes": changes})
    }

    async fn client(&self) -> MuseClient {
        self.app.client("alice", "demo", Some("alice")).await
    }

    async fn clone_repository(&self) -> History {
        self.client().await.clone_repository().await.unwrap()
    }

    /// Nothing was committed, and nothing waits in the staging area.
    async fn assert_untouched(&self) {
        let record = self.app.record("alice", "demo").await;
        let refs = self.app.app.hub.refs(&record).await.unwrap();
        assert_eq!(refs.branches.len(), 1);
        assert_eq!(refs.branches[0].head.to_string(), self.head);
        assert_eq!(self.app.app.hub.commit_count(&record).await.unwrap(), 1);
    }

    async fn is_staged(&self, id: &str) -> bool {
        let record = self.app.record("alice", "demo").await;
        let id = BlobId::parse(id).unwrap();
        self.app.app.staging().find(&record.repo_id, &[id]).await.unwrap()[0].is_some()
    }
}

#[tokio::test]
async fn a_commit_over_the_api_is_what_a_client_pulls() {
    let mut scene = Scene::new("flat-v1").await;
    let mut client = scene.client().await;
    let mut local = client.clone_repository().await.unwrap();
    let mut commit = scene.on_head(json!([
        {"op": "put", "path": "a.txt", "content": "Größe 🎵\n"},
        {"op": "put", "path": "b.bin", "content_base64": "AP8K"},
        {"op": "put", "path": "d/c", "part": "one"},
        {"op": "put", "path": "d/again", "part": "one"},
        {"op": "put", "path": "empty", "part": "zwei"},
        {"op": "move", "from": "README.md", "to": "doc/README.md"},
    ]));
    commit["message"] = "Añadir\nline2".into();
    commit["author"] = "Ann <ann@example.org>".into();
    let form = Form::new(&commit).part("zwei", b"").part("one", b"\r\n--x\r\n");
    let made = scene.form(form).await.expect(201).json();
    assert_eq!(
        (&made["author"], &made["message"], &made["branch"], &made["parent_ids"]),
        (&commit["author"], &commit["message"], &json!("main"), &json!([scene.head]))
    );

    // The real client verifies every id of what it pulls.
    assert_eq!(client.pull(&mut local, "main").await.unwrap(), 1);
    let head = made["commit_id"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let expected = BTreeMap::from([
        ("a.txt", "Größe 🎵\n".as_bytes()),
        ("b.bin", &[0, 255, 10]),
        ("d/again", b"\r\n--x\r\n"),
        ("d/c", b"\r\n--x\r\n"),
        ("doc/README.md", b"# demo\n"),
        ("empty", b""),
    ]);
    let tree = local.tree(head);
    assert_eq!(
        tree.iter().map(|(path, text)| (path.as_str(), &text[..])).collect::<BTreeMap<_, _>>(),
        expected
    );

    // And what it pushes on top is no divergence.
    local.branch("main", head);
    local.commit_file("main", "on top", "mine.txt");
    client.push(&local, "main", false).await.unwrap();
    scene.head = format!("sha256:{}", local.head("main"));
    let gone = json!([{"op": "delete", "path": "mine.txt"}, {"op": "delete", "path": "empty"}]);
    let made = scene.json(&scene.on_head(gone)).await.expect(201).json();
    let cloned = scene.clone_repository().await;
    assert_eq!(format!("sha256:{}", cloned.head("main")), made["commit_id"].as_str().unwrap());
    assert_eq!(made["author"], "alice");
    assert!(!cloned.tree(cloned.head("main")).contains_key("mine.txt"));
}

#[tokio::test]
async fn five_thousand_files_are_one_request_and_one_commit() {
    let scene = Scene::new("flat-v1").await;
    let path = |n: usize| format!("d{}/f{n}.txt", n % 70);
    // Many are equal, and together they are more than goes into one batch.
    let content = |n: usize| noise((n % 4000) as u64, 2500 + n % 7);
    let changes: Vec<Value> =
        (0..5000).map(|n| json!({"op": "put", "path": path(n), "part": n.to_string()})).collect();
    let mut form = Form::new(&scene.on_head(changes.into()));
    for n in (0..5000).rev() {
        form = form.part(&n.to_string(), &content(n));
    }
    let _ = scene.form(form).await.expect(201);
    let cloned = scene.clone_repository().await;
    let tree = cloned.tree(cloned.head("main"));
    assert_eq!(tree.len(), 5001);
    assert!((0..5000).all(|n| tree[&path(n)] == content(n)));
    assert!(!scene.is_staged(&cloned.manifest(cloned.head("main"))[&path(0)]).await);
}

#[tokio::test]
async fn native_repositories_record_the_executable_bit() {
    let mut scene = Scene::new("typed-v2").await;
    let script = json!({"op": "put", "path": "run", "content": "#!/bin/sh\n", "executable": true});
    let made = scene.json(&scene.on_head(json!([script]))).await.expect(201).json();
    scene.head = made["commit_id"].as_str().unwrap().to_owned();
    let again = json!([{"op": "put", "path": "run", "content": "#!/bin/sh\ntrue\n"}, {"op": "move", "from": "run", "to": "bin/run"}]);
    let made = scene.json(&scene.on_head(again)).await.expect(201).json();
    let record = scene.app.record("alice", "demo").await;
    let commit = made["commit_id"].as_str().unwrap().parse().unwrap();
    let row = scene.app.app.hub.commit(&record, commit).await.unwrap();
    let snapshot = scene.app.app.hub.snapshot(&record, row.snapshot).await.unwrap();
    let executables: Vec<&str> = snapshot.record().executables.iter().map(|path| path.as_str()).collect();
    assert_eq!(executables, ["bin/run"]);

    let scene = Scene::new("flat-v1").await;
    let refused = scene.json(&scene.on_head(json!([script]))).await.expect(422).json();
    assert_eq!((&refused["code"], &refused["path"]), (&json!("no_executables"), &json!("run")));
    scene.assert_untouched().await;
}

#[tokio::test]
async fn of_two_commits_for_one_head_one_is_told_where_the_branch_is() {
    let scene = Scene::new("flat-v1").await;
    let commit = |text: &str| scene.on_head(json!([{"op": "put", "path": "x", "content": text}]));
    let (one, two) = (commit("1"), commit("2"));
    let (one, two) = futures::join!(scene.json(&one), scene.json(&two));
    let (won, lost) = if one.status == 201 { (one, two) } else { (two, one) };
    let won = won.expect(201).json();
    let lost = lost.expect(409).json();
    assert_eq!(lost["code"], "branch_moved");
    assert_eq!((&lost["expected_head"], &lost["head"]), (&json!(scene.head), &won["commit_id"]));
    // A late form is refused before its contents are read, and leaves nothing.
    let late = scene.on_head(json!([{"op": "put", "path": "y", "part": "y"}]));
    let _ = scene.form(Form::new(&late).part("y", &noise(1, 3 << 20))).await.expect(409);
    let new = json!({"branch": "main", "expected_head": null, "message": "m",
                     "changes": [{"op": "put", "path": "y", "content": ""}]});
    let refused = scene.json(&new).await.expect(409).json();
    assert_eq!((&refused["expected_head"], &refused["head"]), (&Value::Null, &won["commit_id"]));
    let mut stranger = new;
    stranger["expected_head"] = format!("sha256:{}", "0".repeat(64)).into();
    assert_eq!(scene.json(&stranger).await.expect(409).json()["code"], "branch_moved");
}

#[tokio::test]
async fn a_commit_makes_a_new_branch_or_the_first_one() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let token = app.token("alice").await;
    let commit = |branch: &str| {
        json!({"branch": branch, "expected_head": null, "message": "first",
               "changes": [{"op": "put", "path": "a", "content": branch}]})
    };
    for branch in ["trunk", "orphan"] {
        let _ = app.post(COMMITS).bearer(&token).json(&commit(branch)).send().await.expect(201);
    }
    let refs = client.refs().await.unwrap();
    assert_eq!(refs.default_branch, "trunk");
    let mut cloned = client.clone_repository().await.unwrap();
    assert_eq!(cloned.tree(cloned.head("orphan"))["a"], "orphan");
    cloned.commit_file("trunk", "on top", "b");
    client.push(&cloned, "trunk", false).await.unwrap();
    let nested = app.post(COMMITS).bearer(&token).json(&commit("trunk/x")).send().await.expect(422);
    assert!(nested.detail().contains("cannot exist together"), "{}", nested.detail());
}

#[tokio::test]
async fn what_cannot_be_committed_is_refused_with_a_reason_and_leaves_nothing() {
    let scene = Scene::new("flat-v1").await;
    let put = |path: &str| json!({"op": "put", "path": path, "content": "x"});
    let moved = |from: &str, to: &str| json!({"op": "move", "from": from, "to": to});
    for (changes, code, says) in [
        (json!([put("../x")]), "invalid", ".."),
        (json!([put("/etc/passwd")]), "invalid", "relative"),
        (json!([put("a/.muse/HEAD")]), "invalid", ".muse"),
        (json!([put(".MUSE\\config")]), "invalid", ".muse"),
        (json!([put("a\u{0}b")]), "invalid", "control"),
        (json!([moved("README.md", ".muse/x")]), "invalid", ".muse"),
        (json!([put("x"), put("x")]), "written_twice", "'x'"),
        (json!([put("x"), moved("README.md", "x")]), "written_twice", "'x'"),
        (json!([moved("README.md", "README.md")]), "file_exists", "README.md"),
        (json!([put("README.md"), put("README.md/x")]), "invalid", "README.md"),
        (json!([moved("nothing", "x")]), "no_such_file", "nothing"),
        (json!([{"op": "delete", "path": "nothing"}]), "no_such_file", "nothing"),
        (json!([{"op": "put", "path": "README.md", "content": "# demo\n"}]), "nothing_changed", "as it is"),
        (json!([]), "nothing_changed", "as it is"),
        (json!([{"op": "put", "path": "x"}]), "invalid", "exactly one"),
        (json!([{"op": "put", "path": "x", "content": "", "part": "x"}]), "invalid", "exactly one"),
        (json!([{"op": "put", "path": "x", "content_base64": "?"}]), "invalid", "base64"),
        (json!([{"op": "put", "path": "x", "part": "x"}]), "invalid", "does not have"),
        (json!([{"op": "put", "path": "x", "object_id": "sha256:zz"}]), "invalid", ""),
        (
            json!([{"op": "put", "path": "x", "object_id": format!("sha256:{}", "1".repeat(64))}]),
            "incomplete",
            "1111",
        ),
        (json!([{"op": "chmod", "path": "x"}]), "invalid", "chmod"),
        (json!("x"), "invalid", ""),
    ] {
        let refused = scene.json(&scene.on_head(changes.clone())).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (422, &json!(code)),
            "{changes}: {}",
            refused.text()
        );
        assert!(refused.detail().contains(says), "{changes}: {}", refused.detail());
    }
    for (field, wrong) in [
        ("branch", json!("a..b")),
        ("message", json!("m".repeat((64 << 10) + 1))),
        ("message", json!("a\u{0}b")),
        ("author", json!("a".repeat(257))),
        ("expected_head", json!("main")),
    ] {
        let mut commit = scene.on_head(json!([put("x")]));
        commit[field] = wrong;
        assert_eq!(scene.json(&commit).await.expect(422).json()["code"], "invalid", "{field}");
    }
    let mut headless = scene.on_head(json!([put("x")]));
    headless.as_object_mut().unwrap().remove("expected_head");
    assert!(scene.json(&headless).await.expect(422).detail().contains("expected_head"));
    let many: Vec<Value> = (0..20_001).map(|n| put(&format!("f{n}"))).collect();
    assert_eq!(scene.json(&scene.on_head(many.into())).await.expect(413).json()["code"], "too_large");
    let _ = scene.call().bytes("application/json", "{").send().await.expect(400);
    scene.assert_untouched().await;
}

#[tokio::test]
async fn a_form_that_is_not_whole_is_refused_and_leaves_nothing() {
    let scene = Scene::new("flat-v1").await;
    let commit = scene.on_head(json!([{"op": "put", "path": "x", "part": "x"}]));
    let large = noise(7, 3 << 20);
    let id = musehub_test_support::id::object_id(&large);
    for (form, status) in [
        (Form::new(&commit), 422),
        (Form::new(&commit).part("x", &large).part("x", b"twice"), 422),
        (Form::new(&commit).part("x", &large).part("y", b"nobody asked"), 422),
        (Form::new(&commit).part("commit", b"{}"), 422),
        (Form { body: Vec::new() }.part("x", b"first").part("commit", commit.to_string().as_bytes()), 422),
        (Form { body: Vec::new() }, 422),
        (Form { body: Vec::new() }.part("commit", b"no json"), 400),
    ] {
        let _ = scene.form(form).await.expect(status);
    }
    let whole = Form::new(&commit).part("x", &large).end();
    for cut in [10, 200, whole.len() - 1000, whole.len() - 7] {
        let refused = scene.call().bytes(&Form::content_type(), whole.slice(..cut)).send().await.expect(400);
        assert_eq!(refused.json()["code"], "undecodable");
    }
    let _ = scene.call().bytes("multipart/form-data", whole.clone()).send().await.expect(400);
    let _ = scene.call().bytes("multipart/mixed; boundary=x", whole.clone()).send().await.expect(400);
    scene.assert_untouched().await;
    // What was staged for a commit that is refused is discarded.
    let mut bad = commit.clone();
    bad["changes"].as_array_mut().unwrap().push(json!({"op": "delete", "path": "nothing"}));
    let _ = scene.form(Form::new(&bad).part("x", &large)).await.expect(422);
    assert!(!scene.is_staged(&id).await);
    let _ = scene.call().bytes(&Form::content_type(), whole).send().await.expect(201);
    assert!(!scene.is_staged(&id).await);
}

#[tokio::test]
async fn limits_are_those_of_the_server() {
    let limits = Limits { object: 2 << 20, request: 64 << 10, upload: 5 << 20, ..Limits::default() };
    let scene = Scene::with(TestApp::with_limits(limits).await, "flat-v1").await;
    let puts: Vec<Value> =
        (0..3).map(|n| json!({"op": "put", "path": format!("f{n}"), "part": n.to_string()})).collect();
    let form = |sizes: [usize; 3]| {
        let parts = sizes.iter().enumerate();
        parts.fold(Form::new(&scene.on_head(puts.clone().into())), |form, (n, size)| {
            form.part(&n.to_string(), &noise(n as u64, *size))
        })
    };
    let _ = scene.form(form([(2 << 20) + 1, 0, 0])).await.expect(413);
    let _ = scene.form(form([2 << 20, 2 << 20, 2 << 20])).await.expect(413);
    let long = scene.on_head(json!([{"op": "put", "path": "x", "content": "x".repeat(64 << 10)}]));
    let _ = scene.json(&long).await.expect(413);
    let _ = scene.form(Form::new(&long)).await.expect(413);
    scene.assert_untouched().await;
    let _ = scene.form(form([2 << 20, 2 << 20, 5])).await.expect(201);
}

#[tokio::test]
async fn only_who_may_write_commits() {
    let scene = Scene::new("flat-v1").await;
    let commit = scene.on_head(json!([{"op": "put", "path": "x", "content": "x"}]));
    let bob = scene.app.token("bob").await;
    let _ = scene.app.post(COMMITS).json(&commit).send().await.expect(401);
    let _ = scene.app.post(COMMITS).bearer("mh_none").json(&commit).send().await.expect(401);
    let _ = scene.app.post(COMMITS).bearer(&bob).json(&commit).send().await.expect(403);
    let hidden = scene.app.post("/api/v1/repos/alice/absent/commits").bearer(&bob).json(&commit).send().await;
    let _ = scene.app.private_repository("alice", "private").await;
    let private =
        scene.app.post("/api/v1/repos/alice/private/commits").bearer(&bob).json(&commit).send().await;
    assert_eq!(hidden.expect(404).body, private.expect(404).body);
    scene.assert_untouched().await;
}

#[tokio::test]
async fn a_content_that_is_held_is_named_instead_of_sent() {
    let scene = Scene::new("flat-v1").await;
    let mut source = History::new();
    source.commit("side", "side", |tree| write(tree, "blob", "shared"));
    scene.client().await.push(&source, "side", false).await.unwrap();
    let id = &source.manifest(source.head("side"))["blob"];
    let _ =
        scene.json(&scene.on_head(json!([{"op": "put", "path": "copy", "object_id": id}]))).await.expect(201);
    let cloned = scene.clone_repository().await;
    assert_eq!(cloned.tree(cloned.head("main"))["copy"], "shared");
    // That another repository holds it gives nobody its bytes.
    let other = scene.app.repository("alice", "other").await;
    drop(other);
    let commit = json!({"branch": "main", "expected_head": null, "message": "m",
                        "changes": [{"op": "put", "path": "copy", "object_id": id}]});
    let refused = scene.app.post("/api/v1/repos/alice/other/commits").bearer(&scene.token).json(&commit);
    assert_eq!(refused.send().await.expect(422).json()["code"], "incomplete");
}
