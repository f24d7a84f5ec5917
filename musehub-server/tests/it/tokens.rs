//! Tokens that go only so far, or only for so long; and the collaborators of a repository.

use musehub_core::Handle;
use musehub_core::port::{NewToken, Scope, TokenHash};
use musehub_test_support::History;
use musehub_test_support::TestApp;
use musehub_test_support::history::write;
use serde_json::json;

/// A token of alice's with this scope, which ends so many milliseconds from now.
async fn token(app: &TestApp, scope: Scope, ends_in: Option<i64>) -> String {
    let text = format!("{scope}-{ends_in:?}");
    let now = app.app.clock.now();
    let new = NewToken {
        hash: TokenHash::of(&text),
        handle: Handle::parse("alice").unwrap(),
        scope,
        created_at: now,
        expires_at: ends_in.map(|millis| now.plus_millis(millis)),
    };
    app.app.identities.add_token(&new).await.unwrap();
    text
}

#[tokio::test]
async fn a_token_goes_as_far_as_its_scope() {
    let app = TestApp::new().await;
    drop(app.private_repository("alice", "secret").await);
    let calls = [
        ("GET", "/alice/secret/refs", Scope::Read),
        ("GET", "/alice/secret", Scope::Read),
        ("POST", "/alice/secret/filter-objects", Scope::Push),
        ("GET", "/api/v1/repos/alice/secret/collaborators", Scope::Admin),
        ("POST", "/api/v1/repos", Scope::Admin),
    ];
    for scope in Scope::ALL {
        let token = token(&app, scope, None).await;
        for (method, path, needed) in calls {
            let body =
                if path == "/api/v1/repos" { json!({"name": "new"}) } else { json!({"object_ids": []}) };
            let answer = app.request(method, path).bearer(&token).json(&body).send().await;
            if scope >= needed {
                assert!(answer.status < 300, "{method} {path} with {scope}: {}", answer.text());
            } else {
                assert_eq!(answer.status, 403, "{method} {path} with {scope}: {}", answer.text());
            }
        }
    }
    // What the body asks for counts as well.
    let token = token(&app, Scope::Read, Some(60_000)).await;
    for (direction, status) in [("get", 200), ("put", 403)] {
        let body = json!({"object_ids": [], "direction": direction});
        let answer = app.post("/alice/secret/presign").bearer(&token).json(&body).send().await;
        assert_eq!(answer.status, status, "{direction}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_token_counts_until_its_end_or_revocation() {
    let app = TestApp::new().await;
    drop(app.private_repository("alice", "secret").await);
    let refs = async |token: &str| app.get("/alice/secret/refs").bearer(token).send().await.status;
    let ended = token(&app, Scope::Admin, Some(-1)).await;
    assert_eq!(refs(&ended).await, 401);
    let live = token(&app, Scope::Admin, Some(3_600_000)).await;
    assert_eq!(refs(&live).await, 200);
    let (alice, id) = (Handle::parse("alice").unwrap(), TokenHash::of(&live).token_id());
    assert!(app.app.identities.revoke_token(&alice, &id, app.app.clock.now()).await.unwrap());
    assert_eq!(refs(&live).await, 401);
}

#[tokio::test]
async fn a_collaborator_is_let_in_changed_and_let_go_over_the_api() {
    let app = TestApp::new().await;
    let mut history = History::new();
    history.commit("main", "one", |tree| write(tree, "a.py", "1"));
    app.private_repository("alice", "secret").await.push(&history, "main", false).await.unwrap();
    let (alice, bob) = (app.token("alice").await, app.token("bob").await);
    let address = "/api/v1/repos/alice/secret/collaborators";
    let one = |who: &str| format!("{address}/{who}");
    let put = |who: &str, role: &str, by: &str| {
        app.request("PUT", &one(who)).bearer(by).json(&json!({"role": role})).send()
    };
    let sees = async || app.get("/alice/secret/refs").bearer(&bob).send().await.status;
    assert_eq!(sees().await, 404);
    let given = put("BOB", "read", &alice).await.expect(200).json();
    assert_eq!((given["role"].as_str(), given["added_by"].as_str()), (Some("read"), Some("alice")));
    assert_eq!(sees().await, 200);
    history.commit("main", "two", |tree| write(tree, "b.py", "2"));
    let mut client = app.client("alice", "secret", Some("bob")).await;
    assert_eq!(client.push(&history, "main", false).await.unwrap_err().status, 403);
    let _ = put("bob", "write", &alice).await.expect(200);
    client.push(&history, "main", false).await.unwrap();
    // A writer lets nobody in, an administrator does.
    app.token("carol").await;
    let _ = put("carol", "read", &bob).await.expect(403);
    let _ = put("bob", "admin", &alice).await.expect(200);
    let _ = put("carol", "read", &bob).await.expect(200);
    let listed = app.get(address).bearer(&bob).send().await.expect(200).json();
    let listed: Vec<_> = listed["collaborators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["handle"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ["bob", "carol"]);
    // Nobody is made less than an owner, or let in who is not there.
    let _ = put("alice", "read", &bob).await.expect(422);
    assert_eq!(put("ghost", "read", &alice).await.expect(422).json()["code"], "unknown_identity");
    for (who, role) in [("carol", "owner"), ("carol", ""), ("..", "read")] {
        let answer = put(who, role, &alice).await;
        assert!(matches!(answer.status, 400 | 404 | 422), "{who} {role}: {}", answer.status);
    }
    let delete = async |who: &str| app.request("DELETE", &one(who)).bearer(&alice).send().await.status;
    assert_eq!(delete("bob").await, 200);
    assert_eq!(delete("bob").await, 404);
    assert_eq!(sees().await, 404);
}
