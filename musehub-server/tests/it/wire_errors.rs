//! Bodies that are no messages, or too large ones: always an answer that says so, never a failure of the hub.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::Frame;
use musehub_server::Limits;
use musehub_server::http::RequestBody;
use musehub_test_support::client::{push_body, upload_body};
use musehub_test_support::history::noise;
use musehub_test_support::record::{map, pack, texts};
use musehub_test_support::transport::{Pieces, answer};
use musehub_test_support::{Answer, History, TestApp, Value};

const ENDPOINTS: [&str; 6] = ["filter-objects", "presign", "push/objects", "push", "fetch", "negotiate"];
const MSGPACK: &str = "application/x-msgpack";

struct Hub {
    app: TestApp,
    token: String,
}

impl Hub {
    async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    async fn with_limits(limits: Limits) -> Self {
        let app = TestApp::with_limits(limits).await;
        app.repository("alice", "demo").await;
        let token = app.token("alice").await;
        Self { app, token }
    }

    async fn post(&self, endpoint: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let call = self.app.post(&format!("/alice/demo/{endpoint}")).bearer(&self.token);
        call.bytes(content_type, body).send().await
    }

    /// Sends a body of this kind of its own, past the client.
    async fn send(&self, endpoint: &str, content_type: &str, body: RequestBody) -> Answer {
        let request = Request::post(format!("/alice/demo/{endpoint}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type)
            .body(body)
            .unwrap();
        answer(self.app.app.handle(request).await).await.unwrap()
    }
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, what: &str) {
    let body: String = answer.text().chars().take(300).collect();
    assert_eq!(answer.status, status, "{what}: {body}");
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    let body = answer.json();
    assert!(body["detail"].is_string() && body["code"].is_string(), "{what}: {body}");
}

fn history() -> History {
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    history.commit_file("main", "two", "b.txt");
    history
}

/// A message that each endpoint takes.
fn valid(endpoint: &str) -> Value {
    let history = history();
    let ids = texts(history.objects.keys());
    match endpoint {
        "filter-objects" => map([("object_ids", ids)]),
        "presign" => map([("object_ids", ids), ("direction", "put".into())]),
        "push/objects" => upload_body(history.objects.iter().map(|(id, content)| (&**id, content.clone()))),
        "push" => push_body(&history.whole("main"), "main", false),
        _ => map([("want", texts([history.head("main")])), ("have", texts(history.commits.keys()))]),
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_400() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        let whole = pack(&valid(endpoint));
        let mut bodies: Vec<Vec<u8>> = vec![
            vec![],
            // A map whose entries never come.
            vec![0xdf, 0xff, 0xff, 0xff, 0xff],
        ];
        bodies.extend([1, 5, whole.len() / 2, whole.len() - 1].map(|end| whole[..end].to_vec()));
        for extra in [&b"\0"[..], b"\xc0", b"\x80", &whole] {
            bodies.push([&whole[..], extra].concat());
        }
        for body in bodies {
            let answer = hub.post(endpoint, MSGPACK, body.clone()).await;
            assert_error(&answer, 400, &format!("{endpoint} {}", body.escape_ascii()));
        }
        for body in ["", "{", "{\"want\":[}", "not json", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
            let answer = hub.post(endpoint, "application/json", body).await;
            assert_error(&answer, 400, &format!("{endpoint} {body}"));
        }
        let answer = hub.post(endpoint, "application/json", whole).await;
        assert_error(&answer, 400, endpoint);
        if matches!(endpoint, "fetch" | "negotiate") {
            let answer = hub.post(endpoint, "application/json", "{\"want\":[]} {}").await;
            assert_error(&answer, 400, endpoint);
        }
        let answer = hub.post(endpoint, MSGPACK, "{\"object_ids\":[]}").await;
        assert!(matches!(answer.status, 400 | 422), "{endpoint}: {}", answer.text());
    }
    assert!(
        hub.app.get("/alice/demo/refs").send().await.json()["branch_heads"].as_object().unwrap().is_empty()
    );
}

#[tokio::test]
async fn bytes_that_msgpack_reserves_are_400() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        for body in [&b"\xc1"[..], b"\x81\xa4want\xc1"] {
            let answer = hub.post(endpoint, MSGPACK, body).await;
            assert_error(&answer, 400, &format!("{endpoint} {}", body.escape_ascii()));
        }
    }
}

#[tokio::test]
async fn texts_that_are_no_utf8_are_400() {
    let hub = Hub::new().await;
    for (endpoint, key) in [("filter-objects", "object_ids"), ("fetch", "want"), ("negotiate", "have")] {
        let body = [&[0x81, 0xa0 | key.len() as u8], key.as_bytes(), b"\x91\xa2\xff\xfe"].concat();
        assert_error(&hub.post(endpoint, MSGPACK, body).await, 400, endpoint);
    }
    let body = b"\x82\xa6bundle\x80\xa6branch\xa2\xff\xfe".to_vec();
    assert_error(&hub.post("push", MSGPACK, body).await, 400, "push");
    let answer = hub.post("fetch", "application/json", &b"{\"want\":[\"\xff\"]}"[..]).await;
    assert_error(&answer, 400, "fetch");
}

#[tokio::test]
async fn a_list_in_place_of_a_map_is_422() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        let Value::Map(pairs) = valid(endpoint) else { unreachable!() };
        let fields = Value::Array(pairs.into_iter().map(|(_, value)| value).collect());
        for value in [Value::Array(Vec::new()), fields] {
            let answer = hub.post(endpoint, MSGPACK, pack(&value)).await;
            assert_error(&answer, 422, &format!("{endpoint} {}", value.as_array().map_or(0, Vec::len)));
        }
        assert_error(&hub.post(endpoint, "application/json", "[]").await, 422, endpoint);
    }
}

#[tokio::test]
async fn messages_that_say_something_else_are_422() {
    let hub = Hub::new().await;
    let wrong = [
        Value::Nil,
        Value::from(7),
        Value::from("text"),
        Value::Boolean(true),
        Value::F64(0.5),
        texts(["a"]),
        Value::Binary(vec![1, 2]),
        Value::Ext(5, vec![1, 2, 3]),
    ];
    for endpoint in ENDPOINTS {
        for value in &wrong {
            let answer = hub.post(endpoint, MSGPACK, pack(value)).await;
            assert_error(&answer, 422, &format!("{endpoint} {value}"));
        }
        // One field of the message is something else.
        let Value::Map(pairs) = valid(endpoint) else { unreachable!() };
        for at in 0..pairs.len() {
            for value in [Value::from(7), Value::F64(1.5), Value::Ext(1, vec![0]), Value::Binary(vec![0xff])]
            {
                let mut pairs = pairs.clone();
                pairs[at].1 = value;
                let what = format!("{endpoint} {}", Value::Map(pairs.clone()));
                let answer = hub.post(endpoint, MSGPACK, pack(&Value::Map(pairs))).await;
                assert_error(&answer, 422, &what.chars().take(200).collect::<String>());
            }
        }
        if !matches!(endpoint, "fetch" | "negotiate") {
            let answer = hub.post(endpoint, MSGPACK, pack(&map([]))).await;
            assert_error(&answer, 422, endpoint);
            let answer = hub.post(endpoint, "application/json", "{}").await;
            assert_error(&answer, 422, endpoint);
        }
        for body in ["7", "\"x\"", "null"] {
            let answer = hub.post(endpoint, "application/json", body).await;
            assert_error(&answer, 422, &format!("{endpoint} {body}"));
        }
    }
    for ids in [texts(["x"]), texts([""]), Value::Array(vec![Value::Nil]), Value::Array(vec![7.into()])] {
        for (endpoint, key) in [("filter-objects", "object_ids"), ("fetch", "want"), ("negotiate", "have")] {
            let answer = hub.post(endpoint, MSGPACK, pack(&map([(key, ids.clone())]))).await;
            assert_error(&answer, 422, &format!("{endpoint} {ids}"));
        }
    }
    let body = map([("object_ids", texts::<&str>([])), ("direction", "sideways".into())]);
    assert_error(&hub.post("presign", MSGPACK, pack(&body)).await, 422, "presign");
}

#[tokio::test]
async fn fields_that_the_hub_does_not_know_are_ignored() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        let Value::Map(mut pairs) = valid(endpoint) else { unreachable!() };
        let odd = Value::Array(vec![Value::Ext(3, vec![1, 2]), Value::Binary(vec![0xff]), valid("push")]);
        pairs.insert(0, ("field_of_2027".into(), odd));
        pairs.push(("z".into(), Value::Nil));
        let answer = hub.post(endpoint, MSGPACK, pack(&Value::Map(pairs))).await;
        assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
    }
}

#[tokio::test]
async fn deep_nesting_harms_nobody_and_is_refused_in_what_is_kept() {
    let hub = Hub::new().await;
    for depth in [200, 5_000, 200_000] {
        let arrays = |open: u8, close: &[u8]| {
            let mut bytes = vec![open; depth];
            bytes.extend_from_slice(close);
            bytes
        };
        let nested = arrays(0x91, b"\xc0");
        let keyed = b"\x81\xa1x".repeat(depth);
        let json = "[".repeat(depth) + &"]".repeat(depth);
        let objects = "{\"x\":".repeat(depth) + "1" + &"}".repeat(depth);
        for endpoint in ENDPOINTS {
            for body in [nested.clone(), [b"\x81\xa1x", &nested[..]].concat(), keyed.clone()] {
                let answer = hub.post(endpoint, MSGPACK, body).await;
                assert!(answer.status < 500, "{endpoint} {depth}: {}", answer.status);
            }
            for body in [json.clone(), objects.clone(), format!("{{\"x\":{json}}}")] {
                let answer = hub.post(endpoint, "application/json", body).await;
                assert!(answer.status < 500, "{endpoint} {depth}: {}", answer.status);
            }
        }
        // Inside of a record, which is kept as it comes.
        let mut bundle = history().whole("main");
        let mut deep = Value::Nil;
        for _ in 0..depth.min(2_000) {
            deep = Value::Array(vec![deep]);
        }
        musehub_test_support::set(&mut bundle.commits[0], "structured_delta", deep);
        let answer = hub.post("push", MSGPACK, pack(&push_body(&bundle, "main", false))).await;
        assert_error(&answer, 422, "push");
    }
}

#[tokio::test]
async fn lengths_that_are_announced_and_do_not_come_cost_nothing() {
    let hub = Hub::new().await;
    let id = "a".repeat(64);
    let most = [0xff; 4];
    let list = |key: &str| [&[0x81, 0xa0 | key.len() as u8], key.as_bytes(), &[0xdd], &most].concat();
    for (endpoint, key) in [
        ("filter-objects", "object_ids"),
        ("presign", "object_ids"),
        ("fetch", "want"),
        ("negotiate", "have"),
        ("push/objects", "objects"),
    ] {
        let answer = hub.post(endpoint, MSGPACK, list(key)).await;
        assert_error(&answer, 400, endpoint);
    }
    for key in ["commits", "snapshots", "objects"] {
        let body = [&b"\x81\xa6bundle"[..], &list(key)].concat();
        assert_error(&hub.post("push", MSGPACK, body).await, 400, key);
    }
    let content = |length: [u8; 4]| {
        let head = b"\x81\xa7objects\x91\x82\xa9object_id\xd9\x40";
        [&head[..], id.as_bytes(), b"\xa7content\xc6", &length, b"x"].concat()
    };
    assert_error(&hub.post("push/objects", MSGPACK, content([0x0f, 0, 0, 0])).await, 400, "240 MiB");
    assert_error(&hub.post("push/objects", MSGPACK, content(most)).await, 413, "4 GiB");
    let text = [&b"\x81\xa7objects\x91\x81\xa9object_id\xdb"[..], &most].concat();
    assert_error(&hub.post("push/objects", MSGPACK, text).await, 422, "a text of 4 GiB");
}

#[tokio::test]
async fn bodies_over_a_limit_are_413_and_read_to_their_end() {
    let limits = Limits {
        object: 2_000,
        upload: 50_000,
        push: 40_000,
        request: 30_000,
        fetch: 1 << 20,
        ..Limits::default()
    };
    let hub = Hub::with_limits(limits).await;
    let body = |length: usize| map([("junk", Value::Binary(noise(1, length).to_vec()))]);
    for endpoint in ENDPOINTS {
        for announced in [true, false] {
            let bytes = Bytes::from(pack(&body(200_000)));
            let length = bytes.len() as u64;
            let mut pieces = Pieces::new(bytes);
            if !announced {
                pieces = pieces.unannounced();
            }
            let taken = pieces.taken();
            let answer = hub.send(endpoint, MSGPACK, RequestBody::new(pieces)).await;
            // What is no message may be found out before what is too long.
            assert_error(&answer, 413, &format!("{endpoint} {announced}"));
            assert_eq!(answer.json()["code"], "too_large");
            assert_eq!(taken.load(Ordering::Relaxed), length, "{endpoint}: the rest is drained");
        }
        let answer =
            hub.post(endpoint, "application/json", format!("{{\"x\":\"{}\"}}", "y".repeat(200_000))).await;
        assert_error(&answer, 413, endpoint);
    }
    let large = noise(2, 2_001);
    let id = musehub_test_support::id::object_id(&large);
    let upload = pack(&upload_body([(&*id, large.clone())]));
    assert_error(&hub.post("push/objects", MSGPACK, upload).await, 413, "an object");
    let fits = large.slice(..2_000);
    let id = musehub_test_support::id::object_id(&fits);
    let upload = pack(&upload_body([(&*id, fits)]));
    let _ = hub.post("push/objects", MSGPACK, upload).await.expect(200);
}

#[tokio::test]
async fn an_early_refusal_reads_the_body_first() {
    let hub = Hub::new().await;
    let bytes = Bytes::from(pack(&map([("junk", Value::Binary(noise(1, 3_000_000).to_vec()))])));
    for (path, token, status) in [
        ("/alice/demo/push/objects", None, 401),
        ("/alice/demo/push", Some("bob"), 403),
        ("/alice/absent/push", Some("bob"), 404),
        ("/nothing/at/all/here", None, 404),
        ("/alice/demo/refs", None, 405),
    ] {
        let pieces = Pieces::new(bytes.clone());
        let taken = pieces.taken();
        let mut request = Request::post(path).header("content-type", MSGPACK);
        if let Some(who) = token {
            request = request.header("authorization", format!("Bearer {}", hub.app.token(who).await));
        }
        let request = request.body(RequestBody::new(pieces)).unwrap();
        let answer = answer(hub.app.app.handle(request).await).await.unwrap();
        assert_error(&answer, status, path);
        assert_eq!(taken.load(Ordering::Relaxed), bytes.len() as u64, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        let whole = Bytes::from(pack(&valid(endpoint)));
        for content_type in [MSGPACK, "application/json"] {
            let pieces = [
                Ok(Frame::data(whole.slice(..whole.len() / 2))),
                Err(std::io::Error::other("connection reset")),
            ];
            let body = StreamBody::new(futures::stream::iter(pieces));
            let answer = hub.send(endpoint, content_type, RequestBody::new(body)).await;
            assert!(matches!(answer.status, 400 | 422), "{endpoint}: {} {}", answer.status, answer.text());
        }
    }
    let refs = hub.app.get("/alice/demo/refs").send().await.json();
    assert!(refs["branch_heads"].as_object().unwrap().is_empty());
}

#[tokio::test]
async fn other_methods_are_405_and_other_paths_404() {
    let hub = Hub::new().await;
    for (method, path, allowed) in [
        ("GET", "/alice/demo/push", "POST"),
        ("PUT", "/alice/demo/push/objects", "POST"),
        ("POST", "/alice/demo/refs", "GET"),
        ("DELETE", "/alice/demo", "GET"),
        ("POST", "/alice/demo/intel", "GET"),
        ("GET", "/api/v1/repos", "POST"),
        ("PATCH", "/", "GET"),
        ("OPTIONS", "/health", "GET"),
        ("TRACE", "/alice/demo/fetch", "POST"),
        ("BREW", "/alice/demo/fetch", "POST"),
    ] {
        let answer = hub.app.request(method, path).send().await;
        assert_error(&answer, 405, &format!("{method} {path}"));
        assert!(answer.header("allow").split(", ").any(|method| method == allowed), "{path}");
    }
    for path in [
        "/a",
        "/a/b/c/d/e",
        "/alice/demo/nothing",
        "/%ff/x",
        "/alice/%ff",
        "/static/absent.css",
        "/static/..%2f..%2fCargo.toml",
        "/static/%2e%2e",
        "/alice//refs",
        "/api/v1",
        "/alice/demo/commits",
        "/alice/demo/../demo/refs",
    ] {
        let answer = hub.app.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_hub_says_that_it_is_up() {
    let hub = Hub::new().await;
    for path in ["/health", "/healthz", "/health/"] {
        let answer = hub.app.get(path).header("authorization", "Bearer nonsense").send().await.expect(200);
        assert_eq!(answer.json()["status"], "ok");
    }
}

#[tokio::test]
async fn no_answer_is_a_redirect_or_says_more_than_it_should() {
    let hub = Hub::new().await;
    for path in ["/alice/demo/", "/alice/demo/refs/", "/ALICE/demo", "/alice/absent", "/alice/demo?x=%ff&y"] {
        let answer = hub.app.get(path).send().await;
        assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.status);
        assert!(answer.header("server").is_empty());
    }
}

/// Bytes of valid messages, changed at random: never a failure of the hub.
#[tokio::test]
async fn damaged_messages_never_make_the_hub_fail() {
    let hub = Hub::new().await;
    for endpoint in ENDPOINTS {
        let whole = pack(&valid(endpoint));
        let random = noise(17, 40_000);
        let mut dice =
            random.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap()) as usize);
        for round in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..=round % 3 {
                let (at, what, to) = (dice.next().unwrap(), dice.next().unwrap(), dice.next().unwrap());
                let at = at % bytes.len();
                match what % 4 {
                    0 => bytes[at] = to as u8,
                    1 => bytes[at] ^= 1 << (to % 8),
                    2 => drop(bytes.splice(at..at, [to as u8])),
                    _ => drop(bytes.remove(at)),
                }
            }
            let answer = hub.post(endpoint, MSGPACK, bytes.clone()).await;
            assert!(answer.status < 500, "{endpoint}: {}: {}", answer.text(), bytes.escape_ascii());
        }
    }
}
