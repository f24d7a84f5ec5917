//! Registering keys: challenges, rotation, retirement, agents; and who may take a name.

use musehub_core::port::{Clock, SystemClock};
use musehub_core::signature::request::Form;
use musehub_server::App;
use musehub_server::auth::AccessOptions;
use musehub_server::config::Config;
use musehub_store::{Backend, RefLog, SqlIndex};
use musehub_test_support::signing::Signer;
use musehub_test_support::{Answer, TestApp};
use serde_json::{Value, json};

/// A hub where anybody may take a free name.
async fn open_hub() -> TestApp {
    let access = AccessOptions { open_registration: true, ..AccessOptions::default() };
    let (backend, index) = (Backend::memory(), SqlIndex::in_memory().await.unwrap());
    TestApp::of(App::over(
        backend.clone(),
        RefLog::new(backend),
        index,
        Config { access, ..Config::default() },
    ))
}

async fn challenge(app: &TestApp, handle: &str) -> String {
    let answer = app.post("/api/auth/challenge").json(&json!({"handle": handle})).send().await.expect(200);
    answer.json()["challenge_token"].as_str().unwrap().to_owned()
}

/// A key's answer to a challenge.
fn proof(signer: &Signer, challenge: &str) -> Value {
    json!({
        "handle": signer.handle.as_str(),
        "challenge_token": challenge,
        "public_key_b64": signer.public().to_string(),
        "signature_b64": signer.sign(challenge.as_bytes()),
    })
}

/// The same where who asks says the name.
fn unnamed(signer: &Signer, challenge: &str) -> Value {
    let mut proof = proof(signer, challenge);
    proof.as_object_mut().unwrap().remove("handle");
    proof
}

async fn register(app: &TestApp, signer: &Signer) -> Answer {
    let challenge = challenge(app, signer.handle.as_str()).await;
    app.post("/api/auth/register").json(&proof(signer, &challenge)).send().await
}

async fn keys(app: &TestApp, signer: &Signer) -> Vec<Value> {
    let answer = app.get("/api/auth/keys").signed(signer).send().await.expect(200).json();
    answer["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_free_name_is_taken_with_a_key_where_the_operator_lets_anybody() {
    let app = open_hub().await;
    let alice = Signer::new("alice", 1);
    let made = register(&app, &alice).await.expect(201).json();
    assert_eq!(made["key_id"], alice.public().id().to_string());
    assert_eq!(made["public_key_b64"], alice.public().to_string());
    assert_eq!(keys(&app, &alice).await.len(), 1);
    let create = app.post("/api/v1/repos").json(&json!({"name": "demo"})).signed(&alice);
    let _ = create.send().await.expect(201);
    // A name is taken once, in any spelling; a key is of one identity.
    for (signer, code) in [
        (Signer::new("alice", 2), "handle_taken"),
        (Signer::new("ALICE", 2), "handle_taken"),
        (Signer::new("bob", 1), "key_registered"),
    ] {
        assert_eq!(register(&app, &signer).await.expect(409).json()["code"], code);
    }
    // A refused registration takes no name.
    let _ = register(&app, &Signer::new("bob", 3)).await.expect(201);
}

#[tokio::test]
async fn nobody_takes_a_name_unless_the_operator_lets_them() {
    let app = TestApp::new().await;
    let alice = Signer::new("alice", 1);
    assert_eq!(register(&app, &alice).await.expect(403).json()["code"], "registration_closed");
    // Who was given a token adds a key with it.
    let token = app.token("alice").await;
    let answered = unnamed(&alice, &challenge(&app, "alice").await);
    let _ = app.post("/api/auth/keys").bearer(&token).json(&answered).send().await.expect(201);
    assert_eq!(keys(&app, &alice).await.len(), 1);
}

#[tokio::test]
async fn a_key_is_rotated_by_both_keys_and_the_old_one_signs_no_more() {
    let app = TestApp::new().await;
    let (old, new) = (app.signer("alice", 1).await, Signer::new("alice", 2));
    let answered = unnamed(&new, &challenge(&app, "alice").await);
    // Without the old key's signature it is nobody's request.
    let _ = app.post("/api/auth/keys").json(&answered).send().await.expect(401);
    let _ = app.post("/api/auth/keys").json(&answered).signed(&old).send().await.expect(201);
    let retire = format!("/api/auth/keys/{}", old.public().id());
    let _ = app.request("DELETE", &retire).signed(&new).send().await.expect(200);
    let _ = app.get("/api/auth/keys").signed(&old).send().await.expect(401);
    let listed = keys(&app, &new).await;
    assert_eq!(listed.len(), 2);
    assert!(listed[0]["retired_at"].is_string() && listed[1]["retired_at"].is_null(), "{listed:?}");
    // What is retired stays so, and cannot be registered again. In the other form, as a signature counts once.
    let again =
        app.request("DELETE", &retire).signed_as(&new, Form::V1, SystemClock.now().as_millis() / 1000);
    let _ = again.send().await.expect(404);
    let again = unnamed(&old, &challenge(&app, "alice").await);
    let _ = app.post("/api/auth/keys").json(&again).signed(&new).send().await.expect(409);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_challenge_adds_no_key() {
    let app = TestApp::new().await;
    let (alice, new) = (app.signer("alice", 1).await, Signer::new("alice", 2));
    app.signer("bob", 9).await;
    let of_alice = challenge(&app, "alice").await;
    let with = |field: &str, value: Value| {
        let mut body = unnamed(&new, &of_alice);
        body[field] = value;
        body
    };
    let other_key = Signer::new("alice", 3);
    let of_bob = challenge(&app, "bob").await;
    let longer = of_alice.replacen(":1", ":9", 1);
    let bad = [
        (with("signature_b64", other_key.sign(of_alice.as_bytes()).into()), "proof"),
        (with("public_key_b64", other_key.public().to_string().into()), "proof"),
        (with("signature_b64", new.sign(b"something else").into()), "proof"),
        (unnamed(&new, &of_bob), "challenge"),
        (unnamed(&new, &of_bob.replace(":bob:", ":alice:")), "challenge"),
        (unnamed(&new, &longer), "challenge"),
        (unnamed(&new, "musehub-challenge:alice:1:2:3"), "challenge"),
        (unnamed(&new, ""), "challenge"),
        (with("public_key_b64", "AAAA".into()), "invalid"),
        // Of small order.
        (with("public_key_b64", "A".repeat(43).into()), "invalid"),
        (with("signature_b64", "?".into()), "invalid"),
    ];
    for (body, code) in bad {
        let answer = app.post("/api/auth/keys").json(&body).signed(&alice).send().await.expect(422);
        assert_eq!(answer.json()["code"], code, "{body}");
    }
    assert_eq!(keys(&app, &alice).await.len(), 1);
    // A challenge is answered once.
    let good = unnamed(&new, &of_alice);
    let _ = app.post("/api/auth/keys").json(&good).signed(&alice).send().await.expect(201);
    let third = unnamed(&Signer::new("alice", 5), &of_alice);
    let answer = app.post("/api/auth/keys").json(&third).signed(&alice).send().await.expect(422);
    assert_eq!(answer.json()["code"], "challenge");
}

#[tokio::test]
async fn an_agent_is_registered_and_its_keys_retired_by_who_runs_it() {
    let app = TestApp::new().await;
    let (alice, mallory) = (app.signer("alice", 1).await, app.signer("mallory", 2).await);
    let bot = Signer::new("alice-bot", 3);
    let answered = proof(&bot, &challenge(&app, "alice-bot").await);
    let _ = app.post("/api/identities/agent").json(&answered).send().await.expect(401);
    let made =
        app.post("/api/identities/agent").json(&answered).signed(&alice).send().await.expect(201).json();
    assert_eq!((made["handle"].as_str(), made["spawned_by"].as_str()), (Some("alice-bot"), Some("alice")));
    let identity = app.app.identities.identity(&bot.handle).await.unwrap().unwrap();
    assert_eq!(identity.spawned_by, Some(alice.handle.clone()));
    assert_eq!(keys(&app, &bot).await.len(), 1);
    // Its operator gives it another key; nobody else does, and it runs no agents itself.
    let second = Signer::new("alice-bot", 4);
    let answered = proof(&second, &challenge(&app, "alice-bot").await);
    let post = |body: &Value, by: &Signer| app.post("/api/identities/agent").json(body).signed(by).send();
    assert_eq!(post(&answered, &mallory).await.expect(409).json()["code"], "handle_taken");
    let _ = post(&answered, &alice).await.expect(201);
    let of_bot = proof(&Signer::new("sub-bot", 5), &challenge(&app, "sub-bot").await);
    assert_eq!(post(&of_bot, &bot).await.expect(403).json()["code"], "agent");
    // A person's name is no agent's.
    let of_person = proof(&Signer::new("mallory", 6), &challenge(&app, "mallory").await);
    let _ = post(&of_person, &alice).await.expect(409);
    let retire = format!("/api/auth/keys/{}", bot.public().id());
    let _ = app.request("DELETE", &retire).signed(&mallory).send().await.expect(404);
    let _ = app.request("DELETE", &retire).signed(&alice).send().await.expect(200);
    let _ = app.get("/api/auth/keys").signed(&bot).send().await.expect(401);
    let _ = app.get("/api/auth/keys").signed(&second).send().await.expect(200);
}

#[tokio::test]
async fn a_token_for_reading_or_pushing_adds_no_key() {
    use musehub_core::port::{NewToken, Scope, TokenHash};
    let app = TestApp::new().await;
    for scope in [Scope::Read, Scope::Push] {
        let token = format!("token-{scope}");
        let alice = Signer::new("alice", 1);
        let new = NewToken {
            hash: TokenHash::of(&token),
            handle: alice.handle.clone(),
            scope,
            created_at: app.app.clock.now(),
            expires_at: None,
        };
        app.app.identities.add_token(&new).await.unwrap();
        let answered = unnamed(&alice, &challenge(&app, "alice").await);
        let answer = app.post("/api/auth/keys").bearer(&token).json(&answered).send().await.expect(403);
        assert_eq!(answer.json()["code"], "scope");
    }
}

#[tokio::test]
async fn an_identity_has_only_so_many_keys_in_force() {
    let app = TestApp::new().await;
    let mut last = app.signer("alice", 1).await;
    let mut seed = 1;
    let add = async |by: &Signer, new: &Signer| {
        let answered = unnamed(new, &challenge(&app, "alice").await);
        app.post("/api/auth/keys")
            .json(&answered)
            .signed_as(by, Form::V2, SystemClock.now().as_millis() / 1000)
            .send()
            .await
    };
    while seed < 16 {
        seed += 1;
        let new = Signer::new("alice", seed);
        let _ = add(&last, &new).await.expect(201);
        last = new;
    }
    let _ = add(&last, &Signer::new("alice", 17)).await.expect(422);
    let first = format!("/api/auth/keys/{}", Signer::new("alice", 1).public().id());
    let _ = app.request("DELETE", &first).signed(&last).send().await.expect(200);
    let _ = add(&last, &Signer::new("alice", 17)).await.expect(201);
}
