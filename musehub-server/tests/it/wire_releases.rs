//! Releases and tags, as clients push, list and remove them, and objects by their ids.

use musehub_test_support::id::object_id;
use musehub_test_support::record::{get, list, map, text};
use musehub_test_support::{Answer, History, TestApp, Value};
use serde_json::json;

struct World {
    app: TestApp,
    history: History,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let mut client = app.repository("alice", "demo").await;
        let mut history = History::new();
        history.commit_file("main", "first", "first.txt");
        history.commit_file("main", "second", "second.txt");
        client.push(&history, "main", false).await.unwrap();
        Self { app, history }
    }

    /// A release as the client describes it.
    fn release(&self, tag: &str) -> serde_json::Value {
        let head = self.history.head("main");
        json!({
            "release_id": "8a9f9211-62e0-483a-ad4c-81b955e8765b", "repo_id": "of another", "tag": tag,
            "semver": {"major": 9, "minor": 9, "patch": 9, "pre": "", "build": ""},
            "channel": "stable", "commit_id": head,
            "snapshot_id": text(self.history.record(head), "snapshot_id"), "title": "First", "body": "It's “one”",
            "changelog": [{
                "commit_id": head, "message": "second", "sem_ver_bump": "minor", "breaking_changes": ["a.py::f"],
                "author": "alice", "committed_at": "2026-11-21T02:05:32.609130+00:00", "agent_id": "a", "model_id": "m",
            }],
            "agent_id": "", "model_id": "", "is_draft": false, "gpg_signature": "",
            "created_at": "2026-11-21T02:06:46.492617+00:00", "a_field_of_tomorrow": [1, null],
        })
    }

    async fn publish(&self, who: Option<&str>, release: &serde_json::Value) -> Answer {
        let call = self.app.post("/alice/demo/releases").json(release).accept_msgpack();
        match who {
            Some(who) => call.bearer(&self.app.token(who).await).send().await,
            None => call.send().await,
        }
    }

    async fn tags_listed(&self, who: Option<&str>, query: &str) -> Vec<String> {
        let call = self.app.get(&format!("/alice/demo/releases{query}")).accept_msgpack();
        let answer = match who {
            Some(who) => call.bearer(&self.app.token(who).await).send().await,
            None => call.send().await,
        };
        let answer = answer.expect(200).msgpack();
        list(&answer, "releases").iter().map(|release| text(release, "tag").to_owned()).collect()
    }

    async fn retract(&self, who: &str, tag: &str) -> Answer {
        let call = self.app.request("DELETE", &format!("/alice/demo/releases/{tag}")).accept_msgpack();
        call.bearer(&self.app.token(who).await).send().await
    }

    async fn tag(&self, who: &str, tags: Vec<Value>) -> Answer {
        let body = map([("tags", Value::Array(tags))]);
        self.app.post("/alice/demo/tags").msgpack(&body).bearer(&self.app.token(who).await).send().await
    }

    fn wire_tag(&self, label: &str, id: &str) -> Value {
        map([
            ("tag_id", id.into()),
            ("repo_id", "of another".into()),
            ("commit_id", self.history.head("main").into()),
            ("tag", label.into()),
            ("created_at", "2026-11-21T02:06:41.641216+00:00".into()),
        ])
    }
}

#[tokio::test]
async fn a_release_is_listed_with_everything_that_was_said_about_it() {
    let world = World::new().await;
    let answer = world.publish(Some("alice"), &world.release("v0.1.0-beta.1+b")).await.expect(200).msgpack();
    assert_eq!(text(&answer, "release_id"), "8a9f9211-62e0-483a-ad4c-81b955e8765b");
    let listed = world.app.get("/alice/demo/releases").accept_msgpack().send().await.expect(200).msgpack();
    let [release] = list(&listed, "releases") else { panic!("{listed}") };
    let sent = world.release("v0.1.0-beta.1+b");
    for field in ["tag", "title", "body", "commit_id", "snapshot_id", "channel", "created_at", "release_id"] {
        assert_eq!(text(release, field), sent[field].as_str().unwrap(), "{field}");
    }
    assert_eq!(text(release, "repo_id"), world.app.record("alice", "demo").await.repo_id.as_str());
    assert_eq!(musehub_test_support::record::to_json(get(release, "changelog")), sent["changelog"]);
    let semver = musehub_test_support::record::to_json(get(release, "semver"));
    assert_eq!(semver, json!({"major": 0, "minor": 1, "patch": 0, "pre": "beta.1", "build": "b"}));
    assert_eq!(get(release, "is_draft"), &Value::Boolean(false));
    assert_eq!(list(release, "a_field_of_tomorrow").len(), 2);
    // A nil would become the text "None" in the client.
    for field in ["agent_id", "model_id", "gpg_signature"] {
        assert_eq!(get(release, field), &Value::from(""), "{field}");
    }
}

#[tokio::test]
async fn what_a_client_leaves_out_is_filled_in() {
    let world = World::new().await;
    let release = json!({"tag": "2.0.0-alpha.1", "commit_id": world.history.head("main")});
    let answer = world.publish(Some("alice"), &release).await.expect(200).msgpack();
    assert_eq!(text(&answer, "release_id").len(), 36);
    let listed = world.app.get("/alice/demo/releases?channel=alpha").send().await.expect(200).json();
    let release = &listed["releases"][0];
    assert_eq!((&release["channel"], &release["title"]), (&json!("alpha"), &json!("")));
    assert_eq!((&release["changelog"], &release["is_draft"]), (&json!([]), &json!(false)));
    assert_eq!(release["semver"]["pre"], json!("alpha.1"));
}

#[tokio::test]
async fn releases_are_newest_first_by_channel_and_drafts_are_for_writers() {
    let world = World::new().await;
    for (tag, channel, is_draft) in
        [("v1.0.0", "stable", false), ("v1.1.0-beta.1", "beta", false), ("v2.0.0", "stable", true)]
    {
        let mut release = world.release(tag);
        (release["channel"], release["is_draft"]) = (json!(channel), json!(is_draft));
        drop(world.publish(Some("alice"), &release).await.expect(200));
    }
    let public = world.tags_listed(None, "").await;
    assert_eq!(public, ["v1.1.0-beta.1", "v1.0.0"]);
    assert_eq!(world.tags_listed(None, "?channel=beta").await, ["v1.1.0-beta.1"]);
    assert_eq!(world.tags_listed(None, "?include_drafts=1").await, public);
    assert_eq!(world.tags_listed(Some("mallory"), "?include_drafts=1").await, public);
    assert_eq!(world.tags_listed(Some("alice"), "").await, public);
    assert_eq!(
        world.tags_listed(Some("alice"), "?include_drafts=1&channel=stable").await,
        ["v2.0.0", "v1.0.0"]
    );
    let refused = world.app.get("/alice/demo/releases?channel=gold").send().await;
    assert_eq!(refused.status, 422);
}

#[tokio::test]
async fn a_retracted_release_is_gone_and_its_commit_stays() {
    let world = World::new().await;
    drop(world.publish(Some("alice"), &world.release("v1.0.0+b")).await.expect(200));
    assert_eq!(world.retract("mallory", "v1.0.0%2Bb").await.status, 403);
    let answer = world.retract("alice", "v1.0.0%2Bb").await.expect(200).msgpack();
    assert_eq!(text(&answer, "retracted"), "v1.0.0+b");
    for absent in ["v1.0.0%2Bb", "v9.9.9", "nonsense", "%2F..%2F"] {
        assert_eq!(world.retract("alice", absent).await.status, 404, "{absent}");
    }
    assert!(world.tags_listed(None, "").await.is_empty());
    drop(world.publish(Some("alice"), &world.release("v1.0.0+b")).await.expect(200));
    world.app.client("alice", "demo", None).await.clone_repository().await.unwrap();
}

#[tokio::test]
async fn releases_that_cannot_be_are_refused_and_none_is_kept() {
    let world = World::new().await;
    assert_eq!(world.publish(None, &world.release("v1.0.0")).await.status, 401);
    assert_eq!(world.publish(Some("mallory"), &world.release("v1.0.0")).await.status, 403);
    for (field, value, status) in [
        ("tag", json!("1.0"), 422),
        ("tag", json!(7), 422),
        ("tag", json!(null), 422),
        ("channel", json!("gold"), 422),
        ("channel", json!(["stable"]), 422),
        ("commit_id", json!("ab".repeat(32)), 422),
        ("commit_id", json!("main"), 422),
        ("title", json!({"a": 1}), 422),
        ("is_draft", json!("no"), 422),
        ("changelog", json!({}), 422),
        ("body", json!("x".repeat(5 << 20)), 413),
    ] {
        let mut release = world.release("v1.0.0");
        release[field] = value;
        let answer = world.publish(Some("alice"), &release).await;
        assert_eq!(answer.status, status, "{field}: {}", answer.text());
        assert!(!answer.detail().is_empty());
    }
    assert!(world.tags_listed(None, "").await.is_empty());
    drop(world.publish(Some("alice"), &world.release("v1.0.0")).await.expect(200));
    let again = world.publish(Some("alice"), &world.release("v1.0.0")).await;
    assert_eq!(again.status, 409);
    assert!(again.detail().contains("v1.0.0"), "{}", again.text());
}

#[tokio::test]
async fn tags_are_stored_once_and_listed() {
    let world = World::new().await;
    let tags = vec![
        world.wire_tag("stage:demo", "id-1"),
        world.wire_tag("  é  ", "id-2"),
        world.wire_tag(" ", "id-3"),
    ];
    let stored = async |tags: Vec<Value>| {
        get(&world.tag("alice", tags).await.expect(200).msgpack(), "stored").as_u64()
    };
    assert_eq!(stored(tags.clone()).await, Some(2), "a label of nothing is passed over");
    assert_eq!(stored(tags).await, Some(0), "what is there is there");
    assert_eq!(stored(vec![]).await, Some(0));
    let listed = world.app.get("/alice/demo/tags").accept_msgpack().send().await.expect(200).msgpack();
    let [first, second] = list(&listed, "tags") else { panic!("{listed}") };
    assert_eq!((text(first, "tag"), text(second, "tag")), ("stage:demo", "é"));
    assert_eq!(text(first, "tag_id"), "id-1");
    assert_eq!(text(first, "commit_id"), world.history.head("main"));
    assert_eq!(text(first, "created_at"), "2026-11-21T02:06:41.641216+00:00");
    assert_eq!(text(first, "repo_id"), world.app.record("alice", "demo").await.repo_id.as_str());

    let page = world.app.get("/alice/demo/tags?limit=1").send().await.expect(200).json();
    assert_eq!(page["tags"][0]["tag"], json!("stage:demo"));
    let cursor = page["next_cursor"].as_str().unwrap().replace(' ', "+");
    let page =
        world.app.get(&format!("/alice/demo/tags?limit=1&cursor={cursor}")).send().await.expect(200).json();
    assert_eq!(page["tags"][0]["tag"], json!("é"));
    assert_eq!(world.app.get("/alice/demo/tags?cursor=x").send().await.status, 422);
}

#[tokio::test]
async fn tags_that_cannot_be_are_refused_and_none_is_kept() {
    let world = World::new().await;
    let good = world.wire_tag("good", "id-1");
    assert_eq!(world.tag("mallory", vec![good.clone()]).await.status, 403);
    let with = |field: &str, value: Value| {
        let mut tag = world.wire_tag("bad", "id-2");
        musehub_test_support::set(&mut tag, field, value);
        vec![good.clone(), tag]
    };
    for (tags, code) in [
        (with("commit_id", "ab".repeat(32).into()), "incomplete"),
        (with("commit_id", "main".into()), "invalid"),
        (with("tag", "a\u{7}b".into()), "invalid"),
        (with("tag", "x".repeat(256).into()), "invalid"),
        (with("tag", Value::Nil), "invalid"),
        (with("tag_id", "x".repeat(65).into()), "invalid"),
    ] {
        let answer = world.tag("alice", tags).await.expect(422);
        assert_eq!(answer.json()["code"], json!(code), "{}", answer.text());
    }
    let token = world.app.token("alice").await;
    let no_list = world.app.post("/alice/demo/tags").json(&json!({"tags": {}})).bearer(&token).send().await;
    assert_eq!(no_list.status, 422);
    let listed = world.app.get("/alice/demo/tags").send().await.expect(200).json();
    assert_eq!(listed["tags"], json!([]));
}

#[tokio::test]
async fn an_object_is_for_whoever_may_read_a_repository_that_holds_it() {
    let world = World::new().await;
    let app = &world.app;
    let mut secret = History::new();
    secret.commit_file("main", "secret", "secret.txt");
    let mut client = app.private_repository("alice", "secret").await;
    client.push(&secret, "main", false).await.unwrap();
    let (open, hidden) = (object_id(b"first.txt of first\n"), object_id(b"secret.txt of secret\n"));
    let get = async |address: &str, who: Option<&str>| match who {
        Some(who) => app.get(address).bearer(&app.token(who).await).send().await,
        None => app.get(address).send().await,
    };
    let answer = get(&format!("/o/{open}"), None).await.expect(200);
    assert_eq!(answer.text(), "first.txt of first\n");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-length"), "19");
    assert_eq!(answer.header("etag"), format!("\"{open}\""));
    assert!(answer.header("cache-control").contains("immutable"));
    let known =
        app.get(&format!("/o/sha256:{open}")).header("if-none-match", answer.header("etag")).send().await;
    assert_eq!((known.status, known.body.len()), (304, 0));

    let absent = get(&format!("/o/{}", "ab".repeat(32)), None).await.expect(404);
    for who in [None, Some("mallory")] {
        let answer = get(&format!("/o/{hidden}"), who).await.expect(404);
        assert_eq!((&answer.body, &answer.headers), (&absent.body, &absent.headers));
    }
    assert_eq!(get("/o/nonsense", None).await.expect(404).body, absent.body);
    assert_eq!(
        get(&format!("/o/{hidden}"), Some("alice")).await.expect(200).text(),
        "secret.txt of secret\n"
    );

    // In one repository: where it is not, it is nowhere, whoever else holds it.
    let ids = [app.record("alice", "demo").await.repo_id, app.record("alice", "secret").await.repo_id];
    for (object, repo, who, status) in [
        (&open, &ids[0], None, 200),
        (&open, &ids[1], Some("alice"), 404),
        (&hidden, &ids[1], Some("alice"), 200),
        (&hidden, &ids[1], Some("mallory"), 404),
        (&hidden, &ids[1], None, 404),
        (&hidden, &ids[0], Some("alice"), 404),
    ] {
        let answer = get(&format!("/o/{object}?repo_id={repo}"), who).await;
        assert_eq!(answer.status, status, "{object} {repo} {who:?}");
    }
    // Once somebody public holds the same bytes, everybody gets them.
    let mut public = app.repository("bob", "copy").await;
    public.push(&secret, "main", false).await.unwrap();
    assert_eq!(get(&format!("/o/{hidden}"), None).await.status, 200);
}
