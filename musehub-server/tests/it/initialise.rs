//! Repositories that begin with a commit of the hub's.

use musehub_core::scheme::IdScheme;
use musehub_test_support::TestApp;
use serde_json::{Value, json};

async fn create(app: &TestApp, body: &Value) -> Value {
    let token = app.token("alice").await;
    app.post("/api/v1/repos").bearer(&token).json(body).send().await.expect(201).json()
}

#[tokio::test]
async fn a_client_clones_the_first_commit_and_pushes_on_top_of_it() {
    let app = TestApp::new().await;
    let body = json!({"name": "demo", "initialize": true, "description": "What it is.", "license": "mit"});
    let made = create(&app, &body).await;
    assert_eq!((&made["scheme"], &made["default_branch"]), (&json!("flat-v1"), &json!("main")));

    let mut client = app.client("alice", "demo", Some("alice")).await;
    let mut local = client.clone_repository().await.unwrap();
    let head = local.head("main").to_owned();
    assert_eq!(made["head"], format!("sha256:{head}"));
    let commit = local.commits[&head].clone();
    let text = |field| musehub_test_support::text(&commit, field).to_owned();
    assert_eq!(
        (text("author"), text("message"), text("branch")),
        ("alice".into(), "Initial commit".into(), "main".into())
    );
    let tree = local.tree(&head);
    let file = |path: &str| String::from_utf8(tree[path].to_vec()).unwrap();
    assert_eq!(tree.len(), 2);
    assert_eq!(file("README.md"), "# demo\n\nWhat it is.\n");
    let year = app.app.clock.now().to_string();
    assert!(file("LICENSE").contains(&format!("Copyright (c) {} alice\n", &year[..4])));

    local.commit_file("main", "mine", "src/main.py");
    client.push(&local, "main", false).await.unwrap();
    let cloned = client.clone_repository().await.unwrap();
    assert_eq!(cloned.tree(cloned.head("main")), local.tree(local.head("main")));
}

#[tokio::test]
async fn branch_readme_and_scheme_are_those_asked_for() {
    let app = TestApp::new().await;
    let body = json!({
        "name": "demo", "initialize": true, "default_branch": "trunk", "readme": "Hello", "scheme": "typed-v2",
        "private": true,
    });
    let made = create(&app, &body).await;
    assert_eq!((&made["scheme"], &made["default_branch"]), (&json!("typed-v2"), &json!("trunk")));
    let record = app.record("alice", "demo").await;
    assert_eq!(record.scheme, Some(IdScheme::TypedV2));
    let refs = app.app.hub.refs(&record).await.unwrap();
    assert_eq!(refs.default_branch.as_str(), "trunk");
    assert_eq!(made["head"], refs.branches[0].head.to_string());
    let raw = app.get("/alice/demo/raw/trunk/README.md").bearer(&app.token("alice").await);
    assert_eq!(raw.send().await.expect(200).text(), "Hello");
    let _ = app.get("/alice/demo/raw/trunk/README.md").send().await.expect(404);
}

#[tokio::test]
async fn a_repository_is_empty_unless_asked_otherwise() {
    let app = TestApp::new().await;
    let made = create(&app, &json!({"name": "demo"})).await;
    assert_eq!((&made["scheme"], &made["head"]), (&Value::Null, &Value::Null));
    assert!(app.client("alice", "demo", None).await.refs().await.unwrap().branch_heads.is_empty());
    // A scheme alone is kept for the first push.
    let made = create(&app, &json!({"name": "native", "scheme": "typed-v2"})).await;
    assert_eq!((&made["scheme"], &made["head"]), (&json!("typed-v2"), &Value::Null));
}

#[tokio::test]
async fn a_bad_request_for_a_first_commit_claims_no_name() {
    let app = TestApp::new().await;
    let token = app.token("alice").await;
    for wrong in [
        json!({"license": "GPL"}),
        json!({"default_branch": "../x"}),
        json!({"readme": "a\0b"}),
        json!({"readme": "a".repeat((1 << 20) + 1)}),
    ] {
        let mut body = json!({"name": "demo", "initialize": true});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let refused = app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(422);
        assert_eq!(refused.json()["code"], "invalid");
    }
    let made = create(&app, &json!({"name": "demo", "initialize": true})).await;
    assert!(made["head"].is_string());
    let again = app.post("/api/v1/repos").bearer(&token).json(&json!({"name": "demo", "initialize": true}));
    assert_eq!(again.send().await.expect(409).json()["code"], "exists");
    assert_eq!(app.client("alice", "demo", None).await.clone_repository().await.unwrap().commits.len(), 1);
}
