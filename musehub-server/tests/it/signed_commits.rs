//! Signatures of commits: what is said of them, and repositories that take no others.

use musehub_core::CommitId;
use musehub_core::hub::RepositoryChange;
use musehub_core::settings::RepositorySettings;
use musehub_test_support::history::write;
use musehub_test_support::id::{Ids, object_id};
use musehub_test_support::mpack_client::container_of;
use musehub_test_support::signing::Signer;
use musehub_test_support::{History, TestApp, WireClient, set, text};

/// Makes a commit on main.
fn commit(history: &mut History, message: &str) -> String {
    history.commit("main", message, |tree| write(tree, "a.py", message.to_owned()))
}

/// Signs a commit as the clients of June 2026 do: the digits of the digest of its provenance.
fn sign(history: &mut History, commit: &str, signer: &Signer) {
    let record = history.commits.get_mut(commit).unwrap();
    set(record, "agent_id", "bot");
    let joined = format!(
        "sha256:{commit}\0{}\0bot\0{}\0{}\0{}",
        text(record, "author"),
        text(record, "model_id"),
        text(record, "toolchain_id"),
        text(record, "prompt_hash")
    );
    // Blobs of this generation are named by the SHA-256 of their bytes, and nothing else.
    let digest = object_id(joined.as_bytes());
    set(record, "signature", signer.sign(digest.as_bytes()));
    set(record, "signer_public_key", signer.public().to_string());
    set(record, "signer_key_id", signer.public().id().to_string());
}

/// Makes a signed commit on main. Later clients have the key enter the id, so it is there before there is one.
fn signed_commit(history: &mut History, message: &str, signer: &Signer) -> String {
    let made = commit(history, message);
    let mut record = history.commits.remove(&made).unwrap();
    set(&mut record, "signer_public_key", signer.public().to_string());
    let id = history.ids.commit(&record);
    set(&mut record, "commit_id", id.as_str());
    history.commits.insert(id.clone(), record);
    history.branch("main", &id);
    sign(history, &id, signer);
    id
}

/// Signs a commit as the client of March 2026 does, with a secret that it shares with nobody.
fn sign_with_hmac(history: &mut History, commit: &str) {
    let record = history.commits.get_mut(commit).unwrap();
    set(record, "signature", "2aac446acda41d89eee43a8a7ea35d05236892527a3f99598cdb8485e02a4bd2");
    set(record, "signer_key_id", "630dcd2966c43366");
}

async fn require_signatures(app: &TestApp, slug: &str) {
    let settings = RepositorySettings { require_signed_commits: true, ..RepositorySettings::default() };
    let change = RepositoryChange { settings: Some(settings), ..RepositoryChange::default() };
    app.app.hub.update_repository(&app.record("alice", slug).await, &change).await.unwrap();
}

#[tokio::test]
async fn each_commit_is_said_to_be_what_its_signature_is() {
    let app = TestApp::new().await;
    let (alice, retired) = (app.signer("alice", 1).await, app.signer("alice", 2).await);
    app.app.keyring.retire(&retired.handle, &retired.public().id()).await.unwrap();
    let stranger = Signer::new("mallory", 3);
    let mut history = History::new();
    let mut expected = Vec::new();
    for (message, word) in [
        ("signed", "valid"),
        ("by a retired key", "retired_key"),
        ("by a stranger", "unknown_key"),
        ("changed", "invalid"),
        ("by the client of March", "unverifiable"),
        ("plain", "unsigned"),
    ] {
        let id = commit(&mut history, message);
        match word {
            "valid" => sign(&mut history, &id, &alice),
            "retired_key" => sign(&mut history, &id, &retired),
            "unknown_key" => sign(&mut history, &id, &stranger),
            "invalid" => {
                sign(&mut history, &id, &alice);
                set(history.commits.get_mut(&id).unwrap(), "model_id", "another");
            }
            "unverifiable" => sign_with_hmac(&mut history, &id),
            _ => {}
        }
        expected.push((CommitId::parse(&id).unwrap(), word));
    }
    app.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
    let ids: Vec<CommitId> = expected.iter().map(|(id, _)| *id).collect();
    let repo = app.record("alice", "demo").await;
    let states = app.app.hub.signature_states(&repo, &ids).await.unwrap();
    let states: Vec<_> = states.iter().map(|(id, state)| (*id, state.as_str())).collect();
    assert_eq!(states, expected);

    for (id, word) in expected {
        let shown =
            app.get(&format!("/api/v1/repos/alice/demo/commits/{id}")).send().await.expect(200).json();
        assert_eq!(shown["signature"]["state"], word);
        let known = matches!(word, "valid" | "retired_key");
        assert_eq!(shown["signature"]["signer"].as_str(), known.then_some("alice"), "{word}");
        let page = app.get(&format!("/alice/demo/commits/{id}")).send().await.expect(200).text();
        let said = match word {
            "valid" => "valid</span>, by alice",
            "retired_key" => "retired key<",
            "unknown_key" => "unknown key<",
            "invalid" => "invalid</span>",
            "unverifiable" => "signed, unverifiable<",
            _ => "not signed<",
        };
        assert!(page.contains(said) && !page.contains("erified"), "{word}: {page}");
    }
}

#[tokio::test]
async fn a_repository_that_asks_for_signatures_takes_no_commit_without_one() {
    let app = TestApp::new().await;
    let alice = app.signer("alice", 1).await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let before = commit(&mut history, "before the rule");
    client.push(&history, "main", false).await.unwrap();
    require_signatures(&app, "demo").await;

    commit(&mut history, "not signed");
    let refused = client.push(&history, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422, "{refused}");
    assert!(refused.body.contains("not_signed") && refused.body.contains("unsigned"), "{refused}");
    let heads = client.refs().await.unwrap().branch_heads;
    assert_eq!(heads["main"], before, "nothing of the push is there");

    // One that is not signed hides behind no signed one.
    let unsigned = history.head("main").to_owned();
    let tip = commit(&mut history, "signed");
    sign(&mut history, &tip, &alice);
    assert_eq!(client.push(&history, "main", false).await.unwrap_err().status, 422);
    sign(&mut history, &unsigned, &alice);
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(client.refs().await.unwrap().branch_heads["main"], tip);

    // A key that nobody registered, and one that is retired, sign nothing.
    let stranger = Signer::new("mallory", 3);
    let next = commit(&mut history, "by a stranger");
    sign(&mut history, &next, &stranger);
    let refused = client.push(&history, "main", false).await.unwrap_err();
    assert!(refused.body.contains("unknown_key"), "{refused}");
    app.app.keyring.retire(&alice.handle, &alice.public().id()).await.unwrap();
    sign(&mut history, &next, &alice);
    let refused = client.push(&history, "main", false).await.unwrap_err();
    assert!(refused.body.contains("retired_key"), "{refused}");
}

/// A client of a generation that some history can be pushed with.
async fn client(app: &TestApp, slug: &str, generation: &str) -> Box<dyn WireClient> {
    match generation {
        "mwp" => Box::new(app.client("alice", slug, Some("alice")).await),
        "json" => Box::new(app.json_client("alice", slug, Some("alice")).await),
        _ => Box::new(app.mpack_client("alice", slug, Some("alice")).await),
    }
}

#[tokio::test]
async fn every_generation_is_held_to_it() {
    let app = TestApp::new().await;
    let alice = app.signer("alice", 1).await;
    for (generation, ids) in [
        ("mwp", Ids::Flat),
        ("json", Ids::Flat),
        ("mpack", Ids::Flat),
        ("mpack", Ids::Typed),
        ("mwp", Ids::Typed),
    ] {
        let slug = format!("{generation}-{ids:?}").to_lowercase();
        let mut body = serde_json::json!({"name": slug, "visibility": "public"});
        if ids == Ids::Typed {
            body["scheme"] = "typed-v1".into();
        }
        let token = app.token("alice").await;
        let _ = app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(201);
        require_signatures(&app, &slug).await;
        let mut client = client(&app, &slug, generation).await;

        for (what, word) in [("plain", "unsigned"), ("by the client of March", "unverifiable")] {
            let mut history = History::with_ids(ids);
            let id = commit(&mut history, what);
            if word == "unverifiable" {
                sign_with_hmac(&mut history, &id);
            }
            let refused = client.push(&history, "main").await.unwrap_err();
            let named = refused.contains("not_signed") && refused.contains(word);
            assert!(named && refused.contains("422"), "{slug}, {what}: {refused}");
            assert!(app.app.hub.refs(&app.record("alice", &slug).await).await.unwrap().branches.is_empty());
        }
        let mut history = History::with_ids(ids);
        let head = signed_commit(&mut history, "signed", &alice);
        client.push(&history, "main").await.unwrap_or_else(|error| panic!("{slug}: {error}"));
        let (repo, head) = (app.record("alice", &slug).await, CommitId::parse(&head).unwrap());
        let states = app.app.hub.signature_states(&repo, &[head]).await.unwrap();
        assert_eq!(states[0].1.as_str(), "valid", "{slug}");
    }
}

#[tokio::test]
async fn the_sync_of_the_earliest_clients_which_knows_no_signatures_is_refused() {
    let app = TestApp::new().await;
    drop(app.repository("alice", "demo").await);
    require_signatures(&app, "demo").await;
    let mut history = History::new();
    let id = commit(&mut history, "plain");
    let record = history.record(&id);
    let objects = history.objects.iter().map(|(id, content)| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, content);
        serde_json::json!({"objectId": id, "path": "a.py", "contentB64": text})
    });
    let body = serde_json::json!({
        "branch": "main", "headCommitId": id, "force": false,
        "commits": [{
            "commitId": id, "parentIds": [], "message": "plain", "snapshotId": text(record, "snapshot_id"),
            "timestamp": text(record, "committed_at"), "author": "alice",
        }],
        "snapshots": [{
            "snapshotId": text(record, "snapshot_id"), "manifest": history.manifest(&id),
            "createdAt": text(record, "committed_at"),
        }],
        "objects": objects.collect::<Vec<_>>(),
    });
    let path = format!("/api/v1/repos/{}/push", app.record("alice", "demo").await.repo_id);
    let token = app.token("alice").await;
    let refused = app.post(&path).bearer(&token).json(&body).send().await.expect(422);
    assert_eq!(refused.json()["code"], "not_signed", "{}", refused.text());
    assert!(app.app.hub.refs(&app.record("alice", "demo").await).await.unwrap().branches.is_empty());
}

#[tokio::test]
async fn a_push_in_the_background_says_that_it_is_not_signed() {
    let app = TestApp::new().await;
    drop(app.repository("alice", "demo").await);
    require_signatures(&app, "demo").await;
    let client = app.mpack_client("alice", "demo", Some("alice")).await;
    let mut history = History::new();
    let head = commit(&mut history, "plain");
    let key = client.upload(&container_of(&history.whole("main"))).await.unwrap();
    let body = serde_json::json!({"mpack_key": key, "branch": "main", "head": head, "async": true});
    let pending = client.call("POST", "push/unpack-mpack", Some(body)).await.unwrap();
    app.run_jobs().await;
    let path = format!("push/jobs/{}", pending["job_id"].as_str().unwrap());
    let failed = client.call("GET", &path, None).await.unwrap();
    assert_eq!((&failed["status"], &failed["code"]), (&"failed".into(), &"not_signed".into()), "{failed}");
}
