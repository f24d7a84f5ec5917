//! Requests that are signed: which count, which do not, and that nothing is done or told before that is known.

use musehub_core::hub::Need;
use musehub_core::port::{Clock, SystemClock, Timestamp};
use musehub_core::signature::request::Form;
use musehub_server::App;
use musehub_server::auth::AccessOptions;
use musehub_server::config::Config;
use musehub_server::http::route::{Route, Rule, TABLE};
use musehub_store::{Backend, RefLog, SqlIndex};
use musehub_test_support::client::{push_body, upload_body};
use musehub_test_support::history::write;
use musehub_test_support::signing::{Claim, Signer};
use musehub_test_support::{Call, History, TestApp};
use serde_json::json;

fn now() -> i64 {
    SystemClock.now().as_millis() / 1000
}

/// A private repository of alice's with one commit, a history that has another, and alice's key.
async fn hub() -> (TestApp, History, Signer) {
    let app = TestApp::new().await;
    let mut history = History::new();
    history.commit("main", "one", |tree| write(tree, "a.py", "1"));
    app.private_repository("alice", "secret").await.push(&history, "main", false).await.unwrap();
    history.commit("main", "two", |tree| write(tree, "b.py", "2".repeat(50_000)));
    let alice = app.signer("alice", 1).await;
    (app, history, alice)
}

async fn head(app: &TestApp) -> String {
    let refs =
        app.get("/alice/secret/refs").bearer(&app.token("alice").await).send().await.expect(200).json();
    refs["branch_heads"]["main"].as_str().unwrap().to_owned()
}

fn upload(app: &TestApp, history: &History, repo: &str) -> Call {
    let objects = history.objects.iter().map(|(id, bytes)| (id.as_str(), bytes.clone()));
    app.post(&format!("/{repo}/push/objects")).msgpack(&upload_body(objects))
}

fn push(app: &TestApp, history: &History, repo: &str) -> Call {
    app.post(&format!("/{repo}/push")).msgpack(&push_body(&history.whole("main"), "main", false))
}

#[tokio::test]
async fn a_signed_client_pushes_and_reads_in_both_forms() {
    for form in [Form::V1, Form::V2] {
        let (app, history, alice) = hub().await;
        let _ = app.get("/alice/secret/refs").signed_as(&alice, form, now()).send().await.expect(200);
        let _ = app.get("/alice/secret").signed_as(&alice, form, now()).send().await.expect(200);
        let _ =
            upload(&app, &history, "alice/secret").signed_as(&alice, form, now()).send().await.expect(200);
        let _ = push(&app, &history, "alice/secret").signed_as(&alice, form, now()).send().await.expect(200);
        assert_eq!(head(&app).await, history.head("main"), "{form:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_changed_is_refused_and_does_nothing() {
    let (app, history, alice) = hub().await;
    let before = head(&app).await;
    let body = push(&app, &history, "alice/secret").into_request().into_body();
    let good = Claim {
        form: Form::V2,
        method: "POST",
        host: "localhost:1337",
        path: "/alice/secret/push",
        seconds: now(),
        body: &body,
    };
    let mut other_body = body.to_vec();
    *other_body.last_mut().unwrap() ^= 1;
    let wrong = [
        ("body", Claim { body: &other_body, ..good.clone() }),
        ("no body", Claim { body: b"", ..good.clone() }),
        ("path", Claim { path: "/alice/other/push", ..good.clone() }),
        ("query", Claim { path: "/alice/secret/push?force=1", ..good.clone() }),
        ("method", Claim { method: "PUT", ..good.clone() }),
        ("host", Claim { host: "evil.example", ..good.clone() }),
        ("port", Claim { host: "localhost", ..good.clone() }),
        ("stale", Claim { seconds: now() - 40, ..good.clone() }),
        ("early", Claim { seconds: now() + 40, ..good.clone() }),
    ];
    for (what, claim) in wrong {
        let call = push(&app, &history, "alice/secret").header("host", "localhost:1337");
        let answer = call.header("authorization", &alice.authorization(&claim)).send().await.expect(401);
        let schemes: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(schemes, ["Bearer", "MSign realm=\"musehub\""], "{what}");
        assert_eq!(head(&app).await, before, "{what}");
    }
    let call = push(&app, &history, "alice/secret").header("host", "localhost:1337");
    // Its objects are not there yet, which only who is proven is told.
    let _ = call.header("authorization", &alice.authorization(&good)).send().await.expect(422);
}

#[tokio::test]
async fn only_the_key_of_who_is_said_to_sign_counts() {
    let (app, _, alice) = hub().await;
    let bob = app.signer("bob", 2).await;
    let refs = || app.get("/alice/secret/refs");
    // Bob signs as alice.
    let claim = Claim {
        form: Form::V2,
        method: "GET",
        host: "localhost:1337",
        path: "/alice/secret/refs",
        seconds: now(),
        body: b"",
    };
    let forged = bob.authorization(&claim).replace("\"bob\"", "\"alice\"");
    let forged = refs().header("host", "localhost:1337").header("authorization", &forged);
    let _ = forged.send().await.expect(401);
    let _ = refs().signed(&bob).send().await.expect(404);
    let nobody = Signer::new("nobody", 3);
    let answer = refs().signed(&nobody).send().await.expect(401);
    assert_eq!(answer.detail(), "No registered keys for identity 'nobody'");
    // A retired key counts no more, another one goes on.
    let second = app.signer("alice", 4).await;
    app.app.keyring.retire(&alice.handle, &alice.public().id()).await.unwrap();
    let _ = refs().signed(&alice).send().await.expect(401);
    let _ = refs().signed(&second).send().await.expect(200);
}

#[tokio::test]
async fn another_algorithm_or_two_headers_are_refused() {
    let (app, _, alice) = hub().await;
    let request = app.get("/alice/secret/refs").signed(&alice).into_request();
    let good = request.headers()["authorization"].to_str().unwrap().to_owned();
    for bad in [
        good.replace("ed25519", "none"),
        good.replace("ed25519", "hmac-sha256"),
        good.replace(" alg=\"ed25519\"", ""),
        good.replace("sig=\"", "sig=\"A"),
        good.replace("MSign", "MSign2"),
        "MSign".to_owned(),
        "MSign ".to_owned(),
        good.replace("MSign", "Bearer"),
    ] {
        let call = app.get("/alice/secret/refs").header("host", "localhost:1337");
        let _ = call.header("authorization", &bad).send().await.expect(401);
    }
    let twice = app.get("/alice/secret/refs").signed(&alice).bearer(&app.token("alice").await);
    let _ = twice.send().await.expect(401);
    let call = app.get("/alice/secret/refs").header("host", "localhost:1337");
    let _ = call.header("authorization", &good).send().await.expect(200);
}

#[tokio::test]
async fn a_signature_changes_something_once() {
    let (app, history, alice) = hub().await;
    let second = now();
    let upload = || upload(&app, &history, "alice/secret").signed_as(&alice, Form::V2, second).send();
    let _ = upload().await.expect(200);
    let again = upload().await.expect(401);
    assert!(again.detail().contains("used before"), "{}", again.detail());
    // What changes nothing may come again: a client that polls signs the same text several times a second.
    for _ in 0..3 {
        let refs = app.get("/alice/secret/refs").signed_as(&alice, Form::V2, second);
        let _ = refs.send().await.expect(200);
    }
    // Used signatures are forgotten once their time is over, not before.
    let proofs = &app.app.proofs;
    assert_eq!(proofs.forget_spent(Timestamp::from_millis(second * 1000 + 30_000)).await.unwrap(), 0);
    assert_eq!(proofs.forget_spent(Timestamp::from_millis(second * 1000 + 61_000)).await.unwrap(), 1);
}

/// Of the same signature sent many times at once, one is heard.
#[tokio::test]
async fn a_signature_sent_many_times_at_once_counts_once() {
    let (app, history, alice) = hub().await;
    let second = now();
    let sent =
        (0..8).map(|_| upload(&app, &history, "alice/secret").signed_as(&alice, Form::V2, second).send());
    let answers = futures::future::join_all(sent).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
}

/// Whoever forges a signature learns nothing: not whether a repository is there, not what is wrong with a body.
#[tokio::test]
async fn a_forged_signature_is_told_the_same_everywhere() {
    let (app, history, _) = hub().await;
    let forger = Signer::new("alice", 66);
    let asked = TABLE.iter().filter(|entry| !matches!(entry.route, Route::Health | Route::Ready));
    for entry in asked {
        let path = |repo: &str| {
            let path = entry
                .path
                .replace("{owner}/{slug}", repo)
                .replace("{*place}", "main")
                .replace("{*branch}", "main");
            path.split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect::<Vec<_>>()
                .join("/")
        };
        let mut answers = Vec::new();
        for repo in ["alice/secret", "alice/absent"] {
            for body in [&b"junk"[..], b"", &[0x90]] {
                let call =
                    app.request(entry.method, &path(repo)).bytes("application/x-msgpack", body.to_vec());
                answers.push(call.signed(&forger).send().await);
            }
        }
        for answer in &answers {
            assert_eq!(answer.status, 401, "{} {}: {}", entry.method, entry.path, answer.text());
            assert_eq!(answer.body, answers[0].body, "{} {}", entry.method, entry.path);
        }
    }
    for repo in ["alice/secret", "alice/absent"] {
        let answer = push(&app, &history, repo).signed(&forger).send().await.expect(401);
        assert_eq!(answer.detail(), "this signature is not valid here");
        let _ = upload(&app, &history, repo).signed(&forger).send().await.expect(401);
    }
    // And nothing of it was staged.
    let ids: Vec<_> = history.objects.keys().cloned().collect();
    let body = json!({"object_ids": ids});
    let call = app.post("/alice/secret/filter-objects").bearer(&app.token("alice").await).json(&body);
    let missing = call.send().await.expect(200).json();
    assert_eq!(
        missing["missing"].as_array().unwrap().len(),
        1,
        "what only the forged upload held is missing"
    );
}

/// Every route that needs somebody takes a signature for it.
#[tokio::test]
async fn a_signature_is_as_good_as_a_token_on_every_route() {
    let (app, _, alice) = hub().await;
    for entry in TABLE.iter().filter(|entry| matches!(entry.rule, Rule::Repository(Need::Read))) {
        let path = entry.path.replace("{owner}/{slug}", "alice/secret");
        let path = path.split('/').map(|part| if part.starts_with('{') { "main" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let answer =
            app.request(entry.method, &path).json(&json!({"n": entry.path})).signed(&alice).send().await;
        assert!(!matches!(answer.status, 401 | 403), "{} {}: {}", entry.method, entry.path, answer.text());
    }
}

#[tokio::test]
async fn a_signature_counts_for_the_hosts_that_the_operator_names() {
    let backend = Backend::memory();
    let access = AccessOptions {
        public_hosts: vec!["Hub.Example:443".to_owned(), "other.example:8443".to_owned()],
        ..AccessOptions::default()
    };
    let index = SqlIndex::in_memory().await.unwrap();
    let app = App::over(backend.clone(), RefLog::new(backend), index, Config { access, ..Config::default() });
    let app = TestApp::of(app);
    let alice = app.signer("alice", 1).await;
    let ask = async |signed: &str, said: &str| {
        let claim = Claim {
            form: Form::V2,
            method: "GET",
            host: signed,
            path: "/api/auth/keys",
            seconds: now(),
            body: b"",
        };
        let call = app.get("/api/auth/keys").header("host", said);
        call.header("authorization", &alice.authorization(&claim)).send().await.status
    };
    assert_eq!(ask("hub.example", "hub.example").await, 200);
    // A proxy may have changed what the request says; what was signed counts.
    assert_eq!(ask("hub.example", "127.0.0.1:1337").await, 200);
    assert_eq!(ask("other.example:8443", "other.example:8443").await, 200);
    for (signed, said) in [
        ("evil.example", "evil.example"),
        ("evil.example", "hub.example"),
        ("other.example", "other.example"),
        ("localhost:1337", "localhost:1337"),
        ("", ""),
    ] {
        assert_eq!(ask(signed, said).await, 401, "{signed} {said}");
    }
    // Told of no host, a server answers to this machine's names alone.
    let plain = TestApp::new().await;
    let alice = plain.signer("alice", 1).await;
    let claim = |host| Claim {
        form: Form::V2,
        method: "GET",
        host,
        path: "/api/auth/keys",
        seconds: now(),
        body: b"",
    };
    for (host, status) in
        [("127.0.0.1:9", 200), ("[::1]:9", 200), ("hub.example", 401), ("localhost.evil.example", 401)]
    {
        let call = plain.get("/api/auth/keys").header("host", host);
        let answer = call.header("authorization", &alice.authorization(&claim(host))).send().await;
        assert_eq!(answer.status, status, "{host}: {}", answer.text());
    }
}
