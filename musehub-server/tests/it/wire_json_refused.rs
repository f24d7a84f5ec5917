//! What clients of early March 2026 are refused, and that it leaves nothing behind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use musehub_server::Limits;
use musehub_test_support::history::{noise, write};
use musehub_test_support::id::object_id;
use musehub_test_support::json_client::{push_body, wire_objects};
use musehub_test_support::record::set;
use musehub_test_support::{Answer, History, JsonClient, TestApp};
use serde_json::{Value, json};

async fn hub_with(limits: Limits) -> (TestApp, JsonClient, String) {
    let app = TestApp::with_limits(limits).await;
    drop(app.repository("alice", "demo").await);
    let client = app.json_client("alice", "demo", Some("alice")).await;
    let base = format!("/wire/repos/{}", app.record("alice", "demo").await.repo_id);
    (app, client, base)
}

async fn hub() -> (TestApp, JsonClient, String) {
    hub_with(Limits::default()).await
}

async fn post(app: &TestApp, address: &str, body: &str) -> Answer {
    let token = app.token("alice").await;
    app.post(address).bearer(&token).bytes("application/json", body.to_owned()).send().await
}

/// Whether the hub has the bytes of an object, pushed or waiting for a push.
async fn has(app: &TestApp, content: &[u8]) -> bool {
    let client = app.client("alice", "demo", Some("alice")).await;
    client.filter_objects(&[object_id(content)]).await.unwrap().is_empty()
}

fn history() -> History {
    let mut history = History::new();
    history.commit_file("main", "first", "first.txt");
    history.commit_file("main", "second", "second.txt");
    history
}

#[tokio::test]
async fn a_branch_is_not_moved_to_what_it_is_no_ancestor_of_unless_by_force() {
    let (_app, client, _) = hub().await;
    let ours = history();
    client.push(&ours, "main", false).await.unwrap();
    let mut theirs = History::new();
    theirs.commit_file("main", "elsewhere", "x.txt");
    let refused = client.push(&theirs, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("non_fast_forward"), "{refused}");
    // The old head in the bundle does not make it an ancestor of the new one.
    let mut both = ours.whole("main");
    let stray = theirs.whole("main");
    set(&mut both.commits[0], "branch", "other");
    both.commits.extend(stray.commits);
    both.snapshots.extend(stray.snapshots);
    both.objects.extend(stray.objects);
    assert_eq!(client.push_bundle(&both, "main", false).await.unwrap_err().status, 409);
    assert_eq!(client.refs().await.unwrap().branch_heads["main"], ours.head("main"));
    client.push(&theirs, "main", true).await.unwrap();
    assert_eq!(client.refs().await.unwrap().branch_heads["main"], theirs.head("main"));
}

#[tokio::test]
async fn who_may_not_see_a_repository_cannot_tell_it_from_none() {
    let app = TestApp::new().await;
    drop(app.private_repository("alice", "secret").await);
    drop(app.repository("alice", "open").await);
    let token = app.token("mallory").await;
    let secret = app.record("alice", "secret").await.repo_id.to_string();
    let absent = "00000000-0000-4000-8000-000000000000".to_owned();
    let body = push_body(&history().whole("main"), "main", false);
    for (method, call) in [("GET", "refs"), ("POST", "fetch"), ("POST", "push"), ("POST", "push/objects")] {
        let ask = async |id: &str, token: Option<&str>| {
            let request = app.request(method, &format!("/wire/repos/{id}/{call}")).json(&body);
            match token {
                Some(token) => request.bearer(token).send().await,
                None => request.send().await,
            }
        };
        for who in [Some(token.as_str()), None] {
            let (hidden, none) = (ask(&secret, who).await, ask(&absent, who).await);
            assert_eq!((hidden.status, &hidden.body), (none.status, &none.body), "{call}");
            let expected = if who.is_none() && call.starts_with("push") { 401 } else { 404 };
            assert_eq!(hidden.status, expected, "{call}");
            assert_eq!(ask("../../etc", who).await.status, expected.max(404), "{call}");
        }
        if call.starts_with("push") {
            let open = app.record("alice", "open").await.repo_id.to_string();
            assert_eq!(ask(&open, Some(&token)).await.status, 403, "{call}");
        }
    }
}

#[tokio::test]
async fn content_that_is_not_its_ids_is_422_and_nothing_of_the_body_is_kept() {
    let (app, _, base) = hub().await;
    let good = json!({"object_id": object_id(b"good"), "content_b64": STANDARD.encode(b"good")});
    let with = |bad: Value| json!({"objects": [good, bad]}).to_string();
    let id = object_id(b"bad");
    for (bad, says) in [
        (json!({"object_id": id, "content_b64": "AAAA"}), "its content has the id"),
        (json!({"object_id": id, "content_b64": "A"}), "no base64"),
        (json!({"object_id": id, "content_b64": "AA A"}), "no base64"),
        (json!({"object_id": id, "content_b64": ""}), "its content has the id"),
        (json!({"object_id": id, "content_b64": null}), "base64"),
        (json!({"object_id": id}), "content_b64"),
        (json!({"object_id": "", "content_b64": "AAAA"}), "64 lower-case"),
        (json!({"content_b64": "AAAA"}), "object_id"),
        (json!({"object_id": id, "content_b64": "AAAA", "content": "AAAA"}), "two fields"),
        (json!([id, "AAAA"]), "map"),
    ] {
        let answer = post(&app, &format!("{base}/push/objects"), &with(bad.clone())).await;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.text());
        assert!(answer.detail().contains(says), "{bad}: {}", answer.text());
        assert!(!has(&app, b"good").await, "{bad}");
        let mut push = push_body(&history().whole("main"), "main", false);
        push["bundle"]["objects"].as_array_mut().unwrap().push(bad.clone());
        assert_eq!(post(&app, &format!("{base}/push"), &push.to_string()).await.status, 422, "{bad}");
        assert!(!has(&app, b"first.txt of first\n").await, "{bad}");
    }
    assert!(app.app.repositories.public_repositories(None, 9).await.unwrap()[0].default_branch.is_none());
}

#[tokio::test]
async fn what_is_no_json_is_400_and_what_is_no_push_422() {
    let (app, client, base) = hub().await;
    let whole = push_body(&history().whole("main"), "main", false).to_string();
    for (call, body, status) in [
        ("push", "", 400),
        ("push", "{", 400),
        ("push", &whole[..whole.len() / 2], 400),
        ("push", &format!("{whole}x"), 400),
        ("push", "[]", 422),
        ("push", "{}", 422),
        ("push", r#"{"bundle": {}, "bundle": {}}"#, 422),
        ("push", r#"{"bundle": []}"#, 422),
        ("push", r#"{"bundle": {"commits": {}}}"#, 422),
        ("push", r#"{"bundle": {"commits": [1]}}"#, 422),
        ("push", r#"{"bundle": {}, "branch": 1}"#, 422),
        ("push", r#"{"bundle": {}, "branch": "../x"}"#, 422),
        ("push", r#"{"bundle": {}, "force": "yes"}"#, 422),
        ("push", r#"{"bundle": {}, "branch": "main"}"#, 422),
        ("push/objects", "{}", 422),
        ("push/objects", r#"{"objects": {}}"#, 422),
        ("push/objects", "nonsense", 400),
        ("fetch", r#"{"want": ["xyz"]}"#, 422),
        ("fetch", r#"{"want": 1}"#, 422),
        ("fetch", "\u{0}", 400),
    ] {
        let answer = post(&app, &format!("{base}/{call}"), body).await;
        assert_eq!(answer.status, status, "{call} {body:.60}: {}", answer.text());
        assert!(!answer.detail().is_empty());
    }
    let deep = format!("{{\"bundle\": {{\"commits\": [{}{}]}}}}", "[".repeat(9000), "]".repeat(9000));
    assert!(matches!(post(&app, &format!("{base}/push"), &deep).await.status, 400 | 422));
    assert!(client.refs().await.unwrap().branch_heads.is_empty());
}

#[tokio::test]
async fn ids_that_are_not_those_of_their_records_and_holes_are_422() {
    let (_app, client, _) = hub().await;
    let whole = history().whole("main");
    let refused = async |change: &dyn Fn(&mut musehub_test_support::Bundle)| {
        let mut bundle = whole.clone();
        change(&mut bundle);
        let refused = client.push_bundle(&bundle, "main", false).await.unwrap_err();
        assert_eq!(refused.status, 422, "{refused}");
        refused.body
    };
    // Before any other, as the objects of a push that is refused wait for the next one.
    assert!(refused(&|bundle| bundle.objects.clear()).await.contains("incomplete"));
    refused(&|bundle| set(&mut bundle.commits[0], "message", "other")).await;
    refused(&|bundle| set(&mut bundle.commits[0], "committed_at", "yesterday")).await;
    refused(&|bundle| set(&mut bundle.commits[0], "commit_id", "")).await;
    refused(&|bundle| set(&mut bundle.snapshots[0], "snapshot_id", "ab".repeat(32))).await;
    assert!(refused(&|bundle| drop(bundle.commits.pop())).await.contains("incomplete"));
    assert!(refused(&|bundle| bundle.snapshots.clear()).await.contains("incomplete"));
    assert!(client.refs().await.unwrap().branch_heads.is_empty());
}

#[tokio::test]
async fn limits_are_413_and_a_content_may_stand_before_its_id() {
    let limits = Limits { object: 1000, push: 20_000, upload: 100_000, ..Limits::default() };
    let (app, client, base) = hub_with(limits).await;
    let upload = async |objects: Vec<Value>| {
        post(&app, &format!("{base}/push/objects"), &json!({"objects": objects}).to_string()).await
    };
    let object = |size: usize| {
        let content = noise(size as u64, size);
        format!(
            r#"{{"content_b64": "{}", "object_id": "{}"}}"#,
            STANDARD.encode(&content),
            object_id(&content)
        )
    };
    let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(upload(vec![parse(object(1000))]).await.status, 200);
    let raw = format!(r#"{{"objects": [{}]}}"#, object(1000));
    assert_eq!(post(&app, &format!("{base}/push/objects"), &raw).await.status, 200);
    assert_eq!(upload(vec![parse(object(1001))]).await.status, 413);
    assert_eq!(upload(vec![parse(object(1500))]).await.status, 413);
    // Many contents are more than the records of a push may have, and pass: they are staged as they come.
    let many: Vec<Value> = (900..930).map(|size| parse(object(size))).collect();
    assert_eq!(upload(many).await.status, 200);
    // Records that are too many do not, nor does a body of more than an upload may have.
    let mut long = history();
    long.commit("main", &"m".repeat(900), |tree| write(tree, "z", "z"));
    for at in 0..30 {
        long.commit_file("main", &format!("{at}"), "first.txt");
    }
    assert_eq!(client.push(&long, "main", false).await.unwrap_err().status, 413);
    let large: Vec<Value> = (0..100).map(|at| parse(object(900 + at))).collect();
    assert_eq!(upload(large).await.status, 413);
    assert!(client.refs().await.unwrap().branch_heads.is_empty());
    assert_eq!(wire_objects(&std::collections::BTreeMap::new()), Vec::<Value>::new());
}
