//! Signatures of commits: what is said of them, and repositories that take no others.

use musehub_core::CommitId;
use musehub_core::hub::RepositoryChange;
use musehub_core::settings::RepositorySettings;
use musehub_test_support::history::write;
use musehub_test_support::id::object_id;
use musehub_test_support::signing::Signer;
use musehub_test_support::{History, TestApp, set, text};

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
            "unverifiable" => {
                let record = history.commits.get_mut(&id).unwrap();
                set(record, "signature", "2aac446acda41d89eee43a8a7ea35d05236892527a3f99598cdb8485e02a4bd2");
                set(record, "signer_key_id", "630dcd2966c43366");
            }
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
