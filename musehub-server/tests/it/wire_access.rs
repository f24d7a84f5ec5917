//! Who may do what, and how little everybody else learns.

use musehub_test_support::history::write;
use musehub_test_support::record::{map, texts};
use musehub_test_support::{Answer, Call, History, TestApp, Value};
use serde_json::json;

const READS: [&str; 4] = ["refs", "fetch", "negotiate", "presign?get"];
const WRITES: [&str; 4] = ["filter-objects", "presign?put", "push/objects", "push"];
const PAGES: [&str; 4] = ["", "/commits/main", "/intel", "/intel/breakage"];

/// A public and a private repository of alice's with the same history, and a server that knows bob.
async fn hub() -> (TestApp, History) {
    let app = TestApp::new().await;
    app.token("bob").await;
    let mut history = History::new();
    history.commit("main", "one", |tree| write(tree, "a.py", "import b\n"));
    let mut open = app.repository("alice", "open").await;
    let mut secret = app.private_repository("alice", "secret").await;
    for client in [&mut open, &mut secret] {
        client.push(&history, "main", false).await.unwrap();
    }
    (app, history)
}

fn call(app: &TestApp, repo: &str, endpoint: &str, history: &History) -> Call {
    let object = history.objects.keys().next().unwrap();
    let ids = || map([("want", texts([history.head("main")])), ("have", texts::<&str>([]))]);
    let presign = |direction: &str| map([("object_ids", texts([object])), ("direction", direction.into())]);
    let (path, body): (&str, Value) = match endpoint {
        "refs" => return app.get(&format!("/{repo}/refs")).accept_msgpack(),
        "fetch" | "negotiate" => (endpoint, ids()),
        "filter-objects" => (endpoint, map([("object_ids", texts([object]))])),
        "presign?get" => ("presign", presign("get")),
        "presign?put" => ("presign", presign("put")),
        "push/objects" => (endpoint, musehub_test_support::client::upload_body([])),
        _ => (endpoint, musehub_test_support::client::push_body(&history.whole("main"), "main", false)),
    };
    app.post(&format!("/{repo}/{path}")).msgpack(&body)
}

async fn ask(app: &TestApp, repo: &str, endpoint: &str, history: &History, who: Option<&str>) -> Answer {
    let call = call(app, repo, endpoint, history);
    match who {
        Some(who) => call.bearer(&app.token(who).await).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn each_call_answers_each_viewer_as_it_should() {
    let (app, history) = hub().await;
    // Anonymous, a stranger, the owner.
    let viewers = [None, Some("bob"), Some("alice")];
    for (repo, endpoints, expected) in [
        ("alice/open", READS, [200, 200, 200]),
        ("alice/open", WRITES, [401, 403, 200]),
        ("alice/secret", READS, [404, 404, 200]),
        ("alice/absent", READS, [404, 404, 404]),
        ("nobody/absent", READS, [404, 404, 404]),
    ] {
        for endpoint in endpoints {
            for (who, status) in viewers.into_iter().zip(expected) {
                let answer = ask(&app, repo, endpoint, &history, who).await;
                assert_eq!(answer.status, status, "{repo} {endpoint} {who:?}: {}", answer.text());
                if status == 401 {
                    assert_eq!(answer.header("www-authenticate"), "Bearer");
                }
            }
        }
    }
    for endpoint in WRITES {
        assert_eq!(
            ask(&app, "alice/secret", endpoint, &history, Some("bob")).await.status,
            404,
            "{endpoint}"
        );
        assert_eq!(
            ask(&app, "alice/secret", endpoint, &history, Some("alice")).await.status,
            200,
            "{endpoint}"
        );
        let anonymous = ask(&app, "alice/secret", endpoint, &history, None).await.status;
        assert!(matches!(anonymous, 401 | 404), "{endpoint}: {anonymous}");
    }
}

#[tokio::test]
async fn private_and_absent_cannot_be_told_apart() {
    let (app, history) = hub().await;
    let absent = ["alice/absent", "nobody/x", "alice/..%2f", "a%20b/secret"];
    for endpoint in READS.into_iter().chain(WRITES) {
        for who in [None, Some("bob")] {
            let hidden = ask(&app, "alice/secret", endpoint, &history, who).await;
            for repo in &absent {
                let answer = ask(&app, repo, endpoint, &history, who).await;
                assert_eq!(answer.status, hidden.status, "{repo} {endpoint} {who:?}");
                assert_eq!(answer.body, hidden.body, "{repo} {endpoint} {who:?}");
                assert_eq!(answer.headers, hidden.headers, "{repo} {endpoint} {who:?}");
            }
        }
    }
    for page in PAGES {
        for who in [None, Some("bob")] {
            let token = match who {
                Some(who) => app.token(who).await,
                None => String::new(),
            };
            let get = async |repo: &str| {
                let call = app.get(&format!("/{repo}{page}"));
                if token.is_empty() { call.send().await } else { call.bearer(&token).send().await }
            };
            let hidden = get("alice/secret").await.expect(404);
            for repo in &absent[..3] {
                let answer = get(repo).await.expect(404);
                assert_eq!((&answer.body, &answer.headers), (&hidden.body, &hidden.headers), "{repo}{page}");
            }
        }
    }
}

#[tokio::test]
async fn malformed_bodies_do_not_tell_either() {
    let (app, _) = hub().await;
    let token = app.token("bob").await;
    for endpoint in ["fetch", "negotiate", "presign", "filter-objects", "push/objects", "push"] {
        let post = async |repo: &str| {
            let call = app.post(&format!("/{repo}/{endpoint}"));
            call.bytes("application/x-msgpack", "\u{1}junk").bearer(&token).send().await.expect(404)
        };
        assert_eq!(post("alice/secret").await.body, post("alice/absent").await.body, "{endpoint}");
    }
}

#[tokio::test]
async fn a_bad_token_is_401_even_where_none_is_needed() {
    let (app, history) = hub().await;
    let good = app.token("alice").await;
    let bad = [
        "Bearer nonsense".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        String::new(),
        good.clone(),
        format!("Basic {good}"),
        format!("Bearer {good}x"),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer {good} {good}"),
    ];
    for header in &bad {
        for endpoint in READS.into_iter().chain(WRITES) {
            let call = call(&app, "alice/open", endpoint, &history).header("authorization", header);
            let answer = call.send().await.expect(401);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{endpoint} {header:?}");
            assert_eq!(answer.json()["code"], "unauthorized");
            assert!(!answer.text().contains(&good));
        }
        for page in PAGES {
            let call = app.get(&format!("/alice/open{page}")).header("authorization", header);
            let answer = call.send().await.expect(401);
            assert!(answer.header("content-type").starts_with("text/html"));
        }
        let call = app.post("/api/v1/repos").header("authorization", header);
        let _ = call.json(&json!({"name": "x"})).send().await.expect(401);
    }
    let lower = app.get("/alice/secret/refs").header("authorization", &format!("bearer {good}"));
    let _ = lower.send().await.expect(200);
}

#[tokio::test]
async fn the_owner_sees_the_pages_of_a_private_repository() {
    let (app, _) = hub().await;
    let token = app.token("alice").await;
    for page in PAGES {
        let _ = app.get(&format!("/alice/secret{page}")).bearer(&token).send().await.expect(200);
    }
    let home = app.get("/").bearer(&token).send().await.expect(200).text();
    assert!(home.contains("/alice/open") && !home.contains("secret"));
}

#[tokio::test]
async fn an_answer_that_depends_on_who_asks_is_not_kept_by_caches() {
    let (app, history) = hub().await;
    for endpoint in READS {
        let answer = ask(&app, "alice/secret", endpoint, &history, Some("alice")).await;
        assert!(matches!(answer.header("cache-control"), "no-store" | "private, no-store"), "{endpoint}");
    }
    let answer = app.get("/alice/open").send().await;
    assert!(!answer.header("cache-control").contains("public"));
}

#[tokio::test]
async fn a_repository_is_created_for_its_caller_only() {
    let app = TestApp::new().await;
    let token = app.token("alice").await;
    app.token("bob").await;
    let post =
        async |body: serde_json::Value| app.post("/api/v1/repos").bearer(&token).json(&body).send().await;

    let made = post(json!({"name": "demo", "owner": "alice", "description": "d"})).await.expect(201).json();
    assert_eq!((made["owner"].as_str(), made["slug"].as_str()), (Some("alice"), Some("demo")));
    assert_eq!(made["visibility"], "public");
    for (body, status) in [
        (json!({"name": "demo"}), 409),
        (json!({"name": "DEMO"}), 409),
        (json!({"name": "x", "owner": "bob"}), 403),
        (json!({"name": "x", "readme": "# x"}), 422),
        (json!({"name": "x", "initialize": true, "license": "WTFPL"}), 422),
        (json!({"name": "x", "initialize": true, "default_branch": "a..b"}), 422),
        (json!({"name": "x", "initialize": true, "scheme": "typed-v9"}), 422),
        (json!({"name": "../x"}), 422),
        (json!({"name": ""}), 422),
        (json!({"name": "a/b"}), 422),
        (json!({"name": 7}), 422),
        (json!({}), 422),
        (json!([]), 422),
        (json!({"name": "x", "visibility": "secret"}), 422),
        (json!({"name": "x", "description": "a\0b"}), 422),
        (json!({"name": "x", "description": "a".repeat(5000)}), 422),
    ] {
        let answer = post(body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let _ = app.post("/api/v1/repos").json(&json!({"name": "y"})).send().await.expect(401);
    // A failed creation claims no name.
    let _ = post(json!({"slug": "x", "private": true})).await.expect(201);
    let _ = app.get("/alice/x/refs").send().await.expect(404);
    // A new repository has no history, so that a first push is no divergence.
    let refs = app.get("/alice/demo/refs").send().await.expect(200).json();
    assert_eq!(refs["branch_heads"], json!({}));
}

#[tokio::test]
async fn names_are_found_in_any_case() {
    let (app, history) = hub().await;
    let client = app.client("ALICE", "Open", None).await;
    assert_eq!(client.clone_repository().await.unwrap().branches, history.branches);
    let mut owner = app.client("Alice", "OPEN", Some("alice")).await;
    assert!(owner.push(&history, "main", false).await.unwrap().up_to_date);
}
