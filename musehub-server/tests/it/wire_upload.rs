//! Uploads of objects: what is taken, what is not, and what it says about it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use musehub_test_support::client::upload_body;
use musehub_test_support::history::noise;
use musehub_test_support::id::{EMPTY, object_id};
use musehub_test_support::record::{get, map, pack, text_list, texts};
use musehub_test_support::{Answer, MuseClient, TestApp, Value};
use serde_json::json;

struct Hub {
    app: TestApp,
    client: MuseClient,
    token: String,
}

impl Hub {
    async fn new() -> Self {
        Self::over(TestApp::new().await).await
    }

    async fn over(app: TestApp) -> Self {
        let client = app.repository("alice", "demo").await;
        let token = app.token("alice").await;
        Self { app, client, token }
    }

    async fn upload(&self, body: &Value) -> Answer {
        self.app.post("/alice/demo/push/objects").msgpack(body).bearer(&self.token).send().await
    }

    async fn upload_json(&self, body: &serde_json::Value) -> Answer {
        self.app.post("/alice/demo/push/objects").json(body).bearer(&self.token).send().await
    }

    /// Whether the hub has the bytes of an object, pushed or waiting for a push.
    async fn has(&self, content: &[u8]) -> bool {
        self.client.filter_objects(&[object_id(content)]).await.unwrap().is_empty()
    }
}

fn objects(objects: Vec<Value>) -> Value {
    map([("objects", Value::Array(objects))])
}

fn binary(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec())
}

#[track_caller]
fn assert_counts(answer: Answer, stored: u64, skipped: u64) {
    let value = answer.expect(200).msgpack();
    let count = |key| get(&value, key).as_u64();
    assert_eq!((count("stored"), count("skipped")), (Some(stored), Some(skipped)));
}

#[tokio::test]
async fn uploaded_objects_wait_for_their_push() {
    let hub = Hub::new().await;
    let body = upload_body([(&*object_id(b"one"), "one".into()), (&*object_id(b"two"), "two".into())]);
    assert_counts(hub.upload(&body).await, 2, 0);
    assert!(hub.has(b"one").await && hub.has(b"two").await);
    assert_counts(hub.upload(&upload_body([])).await, 0, 0);
    // Nothing of it is visible before the push.
    let page = hub.app.get("/alice/demo").send().await.expect(200).text();
    assert!(!page.contains(&object_id(b"one")[..12]));
}

#[tokio::test]
async fn objects_that_the_repository_holds_are_skipped() {
    let hub = Hub::new().await;
    let mut history = musehub_test_support::History::new();
    history.commit("main", "m", |tree| musehub_test_support::history::write(tree, "f", "held"));
    hub.client.clone().push(&history, "main", false).await.unwrap();
    let body = upload_body([(&*object_id(b"held"), "held".into()), (&*object_id(b"new"), "new".into())]);
    assert_counts(hub.upload(&body).await, 1, 1);
}

#[tokio::test]
async fn content_that_is_not_what_its_id_says_is_422_and_nothing_of_the_upload_is_kept() {
    let hub = Hub::new().await;
    let body = upload_body([
        (&*object_id(b"good"), "good".into()),
        (&*object_id(b"expected"), "something else".into()),
        (&*object_id(b"after"), "after".into()),
    ]);
    let refused = hub.upload(&body).await.expect(422);
    assert!(refused.detail().contains(&object_id(b"expected")), "{}", refused.text());
    for content in [&b"good"[..], b"expected", b"something else", b"after"] {
        assert!(!hub.has(content).await, "{}", content.escape_ascii());
    }
    let json = json!({"objects": [{"object_id": object_id(b"x"), "content": STANDARD.encode("y")}]});
    let _ = hub.upload_json(&json).await.expect(422);
    assert!(!hub.has(b"x").await && !hub.has(b"y").await);
}

#[tokio::test]
async fn objects_without_id_or_content_are_422() {
    let hub = Hub::new().await;
    let id: Value = object_id(b"x").into();
    for object in [
        map([("object_id", id.clone())]),
        map([("content", binary(b"x"))]),
        map([]),
        map([("object_id", id.clone()), ("content", "x".into())]),
        map([("object_id", id.clone()), ("content", Value::Nil)]),
        map([("object_id", Value::Nil), ("content", binary(b"x"))]),
        map([("object_id", "".into()), ("content", binary(b"x"))]),
        map([("object_id", "../../x".into()), ("content", binary(b"x"))]),
        map([("object_id", object_id(b"x").to_uppercase().into()), ("content", binary(b"x"))]),
        map([("object_id", id.clone()), ("content", binary(b"x")), ("content", binary(b"x"))]),
        Value::Nil,
        Value::from("x"),
    ] {
        let answer = hub.upload(&objects(vec![object.clone()])).await;
        assert_eq!(answer.status, 422, "{object}: {}", answer.text());
    }
    for object in [
        json!({"object_id": object_id(b"x")}),
        json!({"content": "eA=="}),
        json!({"object_id": object_id(b"x"), "content": "no base64!"}),
        json!({"object_id": object_id(b"x"), "content": null}),
        json!({"object_id": object_id(b"x"), "content": [120]}),
        json!(null),
    ] {
        let answer = hub.upload_json(&json!({"objects": [object]})).await;
        assert_eq!(answer.status, 422, "{object}: {}", answer.text());
    }
    let answer = hub.upload(&map([("other", 1.into())])).await;
    assert_eq!(answer.status, 422);
    assert!(!hub.has(b"x").await);
}

#[tokio::test]
async fn content_may_come_before_its_id() {
    let hub = Hub::new().await;
    let object = map([("content", binary(b"first")), ("object_id", object_id(b"first").into())]);
    assert_counts(hub.upload(&objects(vec![object])).await, 1, 0);
    assert!(hub.has(b"first").await);
    let liar = map([("content", binary(b"a")), ("object_id", object_id(b"b").into())]);
    let _ = hub.upload(&objects(vec![liar])).await.expect(422);
    // What would have to be kept in memory for long has to come in the usual order.
    let large = noise(1, 9 << 20);
    let object = map([("content", binary(&large)), ("object_id", object_id(&large).into())]);
    let _ = hub.upload(&objects(vec![object])).await.expect(422);
    assert_counts(hub.upload(&upload_body([(&*object_id(&large), large.clone())])).await, 1, 0);
    assert!(hub.has(&large).await);
}

#[tokio::test]
async fn fields_that_are_not_known_are_passed_over() {
    let hub = Hub::new().await;
    let odd = || {
        Value::Array(vec![
            Value::Ext(9, vec![1; 300]),
            Value::Ext(9, vec![1]),
            Value::F32(1.5),
            Value::F64(-0.0),
            i64::MIN.into(),
            u64::MAX.into(),
            binary(&noise(3, 70_000)),
            "x".repeat(70_000).into(),
            map([("deeper", Value::Array(vec![Value::Boolean(false); 20]))]),
        ])
    };
    let object = map([
        ("path", "src/x.py".into()),
        ("future", odd()),
        ("object_id", object_id(b"x").into()),
        ("later", odd()),
        ("content", binary(b"x")),
        ("latest", odd()),
    ]);
    let body = map([("before", odd()), ("objects", Value::Array(vec![object])), ("after", odd())]);
    assert_counts(hub.upload(&body).await, 1, 0);
    assert!(hub.has(b"x").await);
}

#[tokio::test]
async fn json_uploads_have_base64_with_or_without_padding() {
    let hub = Hub::new().await;
    for length in 0..7_usize {
        let content = noise(length as u64 + 1, length);
        for encoded in [STANDARD.encode(&content), STANDARD_NO_PAD.encode(&content)] {
            for key in ["content", "content_b64"] {
                let body =
                    json!({"objects": [{"object_id": object_id(&content), "path": "p", key: encoded}]});
                let answer = hub.upload_json(&body).await.expect(200).json();
                assert_eq!(answer["stored"].as_u64().unwrap() + answer["skipped"].as_u64().unwrap(), 1);
            }
        }
        assert!(hub.has(&content).await);
    }
}

#[tokio::test]
async fn an_empty_object_may_be_uploaded_and_need_not_be() {
    let hub = Hub::new().await;
    let answer = hub.upload(&upload_body([(EMPTY, Bytes::new())])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let _ = hub.upload(&upload_body([(&*object_id(b"x"), Bytes::new())])).await.expect(422);
    assert!(!hub.has(b"x").await);
}

#[tokio::test]
async fn one_object_may_come_many_times() {
    let hub = Hub::new().await;
    let id = object_id(b"again");
    let body = upload_body(vec![(&*id, "again".into()); 5]);
    let answer = hub.upload(&body).await.expect(200).msgpack();
    assert!(get(&answer, "stored").as_u64() >= Some(1));
    for _ in 0..3 {
        let _ = hub.upload(&body).await.expect(200);
    }
    assert!(hub.has(b"again").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chunks_may_come_at_the_same_time_and_hundreds_a_minute() {
    let hub = std::sync::Arc::new(Hub::new().await);
    let mut uploads = Vec::new();
    for chunk in 0..150_u32 {
        let hub = hub.clone();
        uploads.push(tokio::spawn(async move {
            let contents: Vec<String> = (0..20).map(|at| format!("{}", (chunk / 2) * 20 + at)).collect();
            let ids: Vec<String> = contents.iter().map(|content| object_id(content.as_bytes())).collect();
            let pairs = ids.iter().zip(contents).map(|(id, content)| (&**id, Bytes::from(content)));
            hub.upload(&upload_body(pairs)).await.status
        }));
    }
    for upload in uploads {
        assert_eq!(upload.await.unwrap(), 200);
    }
    let ids: Vec<String> = (0..1500).map(|at| object_id(at.to_string().as_bytes())).collect();
    assert!(hub.client.filter_objects(&ids).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let hub = Hub::new().await;
    let large = noise(5, 400_000);
    let whole =
        pack(&upload_body([(&*object_id(b"small"), "small".into()), (&*object_id(&large), large.clone())]));
    for end in [whole.len() - 1, whole.len() / 2, 120] {
        let call = hub.app.post("/alice/demo/push/objects").bearer(&hub.token);
        let answer = call.bytes("application/x-msgpack", whole[..end].to_vec()).send().await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(!hub.has(b"small").await && !hub.has(&large).await);
    }
    let call = hub.app.post("/alice/demo/push/objects").bearer(&hub.token);
    let _ = call.bytes("application/x-msgpack", whole).send().await.expect(200);
    assert!(hub.has(b"small").await && hub.has(&large).await);
}

#[tokio::test]
async fn uploads_without_a_push_expire() {
    let hub = Hub::new().await;
    let _ = hub.upload(&upload_body([(&*object_id(b"old"), "old".into())])).await.expect(200);
    let now = hub.app.app.clock.now();
    assert_eq!(hub.app.app.staging().expire(now.plus_millis(-60_000)).await.unwrap(), 0);
    assert!(hub.has(b"old").await, "what is new stays");
    assert!(hub.app.app.staging().expire(now.plus_millis(60_000)).await.unwrap() > 0);
    assert!(!hub.has(b"old").await);
}

/// What `presign` answers: addresses by id, and what goes inline.
async fn presign(hub: &Hub, direction: &str, ids: &[String]) -> (BTreeMap<String, String>, Vec<String>) {
    let body =
        map([("object_ids", texts(ids)), ("direction", direction.into()), ("ttl_seconds", 300.into())]);
    let answer = hub.app.post("/alice/demo/presign").msgpack(&body).bearer(&hub.token).send().await;
    let answer = answer.expect(200).msgpack();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let presigned = get(&answer, "presigned").as_map().unwrap();
    let presigned = presigned.iter().map(|(id, url)| (text(id), text(url))).collect();
    (presigned, text_list(&answer, "inline"))
}

/// A PUT as the client of March 2026 makes it: without credentials, with a type that means nothing.
async fn put(hub: &Hub, url: &str, content: &[u8]) -> Answer {
    let call = hub.app.request("PUT", url).header("content-length", &content.len().to_string());
    call.bytes("application/x-www-form-urlencoded", content.to_vec()).send().await
}

#[tokio::test]
async fn an_object_goes_to_its_address_and_comes_from_one() {
    let hub = Hub::new().await;
    let mut history = musehub_test_support::History::new();
    let large = noise(3, 200_000);
    history
        .commit("main", "large", |tree| musehub_test_support::history::write(tree, "l.bin", large.clone()));
    let id = object_id(&large);
    let (addresses, inline) = presign(&hub, "put", std::slice::from_ref(&id)).await;
    assert_eq!(inline, [""; 0]);
    assert!(!hub.has(&large).await);
    let _ = put(&hub, &addresses[&id], &large).await.expect(200);
    assert!(hub.has(&large).await, "it waits for its push");
    // Sent again, as somebody may who has not heard the answer.
    let _ = put(&hub, &addresses[&id], &large).await.expect(200);
    let report = hub.client.clone().push(&history, "main", false).await.unwrap();
    assert_eq!((report.uploads, report.missing.len()), (0, 0));

    let absent = object_id(b"absent");
    let (addresses, inline) = presign(&hub, "get", &[absent.clone(), id.clone()]).await;
    assert_eq!(inline, [absent], "what is not there has no address");
    let got = hub.app.get(&addresses[&id]).send().await.expect(200);
    assert_eq!(got.body, large);
    let (again, inline) = presign(&hub, "put", std::slice::from_ref(&id)).await;
    assert_eq!((again.len(), inline), (0, vec![id]), "what is there needs none");
}

#[tokio::test]
async fn the_client_uploads_what_is_large_to_addresses_and_the_rest_in_chunks() {
    let hub = Hub::new().await;
    let mut history = musehub_test_support::History::new();
    history.commit("main", "mixed", |tree| {
        for n in 0..3_u64 {
            let content = noise(n, 70_000 + n as usize);
            musehub_test_support::history::write(tree, &format!("large/{n}"), content);
            musehub_test_support::history::write(tree, &format!("small/{n}"), noise(90 + n, 100));
        }
    });
    let report = hub.client.clone().push(&history, "main", false).await.unwrap();
    assert_eq!((report.missing.len(), report.uploads), (6, 1));
    let clone = hub.client.clone_repository().await.unwrap();
    assert_eq!(clone.tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn an_address_takes_its_object_and_nothing_else() {
    let hub = Hub::new().await;
    let content = noise(5, 100_000);
    let id = object_id(&content);
    let (addresses, _) = presign(&hub, "put", std::slice::from_ref(&id)).await;
    let url = &addresses[&id];
    let other = put(&hub, url, &noise(6, 100_000)).await.expect(422);
    assert!(other.detail().contains(&id), "{}", other.text());
    let short = hub.app.request("PUT", url).header("content-length", "100001");
    assert!(matches!(short.bytes("x/y", content.clone()).send().await.status, 400 | 422), "it ended early");
    let unsized_call = hub.app.request("PUT", url).bytes("x/y", content.clone());
    assert_eq!(unsized_call.send().await.json()["code"], "length_required");
    for forged in [
        url.replace("/demo/", "/other/"),
        url.replace(&id, &object_id(b"another")),
        url.replace("bytes=", "bytes=9"),
        url.replace("/push/objects/", "/fetch/objects/"),
        url.split('?').next().unwrap().to_owned(),
    ] {
        assert!(matches!(put(&hub, &forged, &content).await.status, 403 | 405), "{forged}");
    }
    assert!(!hub.has(&content).await, "nothing of all that is kept");
    // Whoever may not write gets no address.
    let mallory = hub.app.token("mallory").await;
    let body = map([("object_ids", texts([&id])), ("direction", "put".into())]);
    let refused = hub.app.post("/alice/demo/presign").msgpack(&body).bearer(&mallory).send().await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn where_an_object_of_the_client_might_be_too_large_everything_goes_inline() {
    let limits = musehub_server::Limits { object: 100 << 20, ..Default::default() };
    let hub = Hub::over(TestApp::with_limits(limits).await).await;
    let ids = [object_id(b"a"), object_id(b"b")];
    let (addresses, inline) = presign(&hub, "put", &ids).await;
    assert_eq!(
        (addresses.len(), inline),
        (0, ids.to_vec()),
        "an upload that is refused would end that client"
    );
}

#[tokio::test]
async fn objects_may_come_with_the_push_itself() {
    let hub = Hub::new().await;
    let mut history = musehub_test_support::History::new();
    history.commit_file("main", "m", "f");
    let bundle = history.whole("main");
    let (id, content) = bundle.objects.first_key_value().unwrap();
    let push = |object: Value| {
        let records = map([
            ("commits", Value::Array(bundle.commits.clone())),
            ("snapshots", Value::Array(bundle.snapshots.clone())),
            ("objects", Value::Array(vec![object])),
        ]);
        map([("bundle", records), ("branch", "main".into())])
    };
    let liar = push(map([("object_id", id.as_str().into()), ("content", binary(b"else"))]));
    let call = hub.app.post("/alice/demo/push").msgpack(&liar).bearer(&hub.token);
    let _ = call.send().await.expect(422);
    let honest = push(map([("object_id", id.as_str().into()), ("content", binary(content))]));
    let call = hub.app.post("/alice/demo/push").msgpack(&honest).bearer(&hub.token);
    let _ = call.send().await.expect(200);
    assert_eq!(hub.client.clone_repository().await.unwrap().branches, history.branches);
}

#[tokio::test]
async fn a_push_may_be_json_throughout() {
    let hub = Hub::new().await;
    let mut history = musehub_test_support::History::new();
    history.commit_file("main", "en JSON: é 🎵", "f");
    let bundle = history.whole("main");
    let json_of = |value: &Value| -> serde_json::Value { serde_json::from_str(&to_json(value)).unwrap() };
    let objects: Vec<serde_json::Value> = bundle
        .objects
        .iter()
        .map(|(id, content)| json!({"object_id": id, "content": STANDARD.encode(content)}))
        .collect();
    let body = json!({
        "branch": "main",
        "force": false,
        "bundle": {
            "commits": bundle.commits.iter().map(json_of).collect::<Vec<_>>(),
            "snapshots": bundle.snapshots.iter().map(json_of).collect::<Vec<_>>(),
            "objects": objects,
        },
    });
    let answer = hub.app.post("/alice/demo/push").json(&body).bearer(&hub.token).send().await.expect(200);
    assert_eq!(answer.json()["ok"], true);
    assert_eq!(hub.client.clone_repository().await.unwrap().branches, history.branches);
}

fn to_json(value: &Value) -> String {
    match value {
        Value::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}:{}", to_json(key), to_json(value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(to_json).collect::<Vec<_>>().join(","))
        }
        Value::String(text) => serde_json::to_string(text.as_str().unwrap()).unwrap(),
        Value::Nil => "null".into(),
        other => other.to_string(),
    }
}
