//! Clients with typed ids: what is proven, and what is taken on their word where a repository allows it.

use musehub_core::hub::recovery::{Event, ImportOptions, VerifyOptions};
use musehub_core::hub::{InlineBlob, Push, PushError, RepositoryChange};
use musehub_core::object::{IdProof, Manifest, ObjectError, Snapshot, SnapshotRecord};
use musehub_core::port::RepositoryRecord;
use musehub_core::scheme::typed_v1::{CommitFields, CommitForm};
use musehub_core::scheme::{IdScheme, typed_v1};
use musehub_core::settings::RepositorySettings;
use musehub_core::{BranchName, CommitId, Handle, HashAlgorithm, RepoPath, SnapshotId};
use musehub_test_support::TestApp;
use serde_json::json;

const SCHEME: IdScheme = IdScheme::TypedV1;

/// A push of one commit. Its ids are those of a known form, or of none.
fn push(message: &str, parents: &[CommitId], known: bool) -> Push {
    let content = format!("{message}\n");
    let blob = InlineBlob { id: typed_v1::blob_id(content.as_bytes()), content: content.into() };
    let manifest = Manifest::new(vec![(RepoPath::parse("a.txt").unwrap(), blob.id)]).unwrap();
    let directories = vec![RepoPath::parse("empty").unwrap()];
    let record = SnapshotRecord { manifest, directories, ..SnapshotRecord::default() };
    let mut snapshot = Snapshot::verify(SCHEME, record).unwrap().record().clone();
    if !known {
        snapshot.id = Some(SnapshotId::new(HashAlgorithm::Sha256, [message.len() as u8; 32]));
    }
    let snapshot_id = snapshot.id.unwrap();
    let committed_at = "2026-06-01T00:00:00+00:00";
    let hashed = CommitFields {
        parents,
        snapshot: &snapshot_id,
        message,
        committed_at,
        author: "ada",
        signer_public_key: "",
    };
    let id = if known {
        hashed.id(CommitForm::OWN).unwrap()
    } else {
        CommitId::new(HashAlgorithm::Sha256, [0x80 + message.len() as u8; 32])
    };
    let commit = json!({
        "commit_id": id, "snapshot_id": snapshot_id, "message": message, "committed_at": committed_at,
        "author": "ada", "branch": "main", "parent_commit_id": parents.first(), "parent2_commit_id": null,
    });
    Push {
        branch: BranchName::parse("main").unwrap(),
        force: false,
        scheme: SCHEME,
        commits: vec![commit.as_object().unwrap().clone()],
        snapshots: vec![snapshot],
        blobs: vec![blob],
    }
}

async fn repository(app: &TestApp) -> RepositoryRecord {
    drop(app.repository("alice", "demo").await);
    app.record("alice", "demo").await
}

async fn allow(app: &TestApp, repo: &RepositoryRecord) -> RepositoryRecord {
    let settings = RepositorySettings { accept_opaque_ids: true, ..repo.settings.clone() };
    let change = RepositoryChange { settings: Some(settings), ..RepositoryChange::default() };
    app.app.hub.update_repository(repo, &change).await.unwrap()
}

async fn send(app: &TestApp, repo: &RepositoryRecord, push: Push) -> Result<CommitId, PushError> {
    let alice = Handle::parse("alice").unwrap();
    app.app.hub.receive_push(repo, &alice, push).await.map(|outcome| outcome.head)
}

async fn verified(app: &TestApp) -> (u64, u64, u64) {
    let options = VerifyOptions { objects: true, ..VerifyOptions::default() };
    let mut print = |event| {
        if let Event::Problem(problem) = event {
            println!("{problem}");
        }
    };
    let summary = app.app.recovery.verify(&options, &mut print).await.unwrap();
    (summary.problems, summary.opaque_commits, summary.opaque_snapshots)
}

#[tokio::test]
async fn ids_of_a_known_form_are_proven() {
    let app = TestApp::new().await;
    let repo = repository(&app).await;
    let first = send(&app, &repo, push("one", &[], true)).await.unwrap();
    let repo = app.record("alice", "demo").await;
    assert_eq!(repo.scheme, Some(SCHEME));
    let head = send(&app, &repo, push("two!", &[first], true)).await.unwrap();
    assert_eq!(app.app.hub.commit(&repo, head).await.unwrap().id_proof, IdProof::Verified);
    let mut altered = push("three", &[head], true);
    altered.commits[0].insert("author".to_owned(), json!("eve"));
    let refused = send(&app, &repo, altered).await.unwrap_err();
    assert!(matches!(refused, PushError::Object(ObjectError::UnknownForm { .. })), "{refused}");
    assert_eq!(verified(&app).await, (0, 0, 0));
}

#[tokio::test]
async fn ids_of_no_known_form_are_refused_unless_the_repository_takes_them_and_stay_marked() {
    let app = TestApp::new().await;
    let repo = repository(&app).await;
    let refused = send(&app, &repo, push("one", &[], false)).await.unwrap_err().to_string();
    assert!(refused.contains("accept_opaque_ids"), "{refused}");
    assert!(app.app.hub.refs(&repo).await.unwrap().branches.is_empty());

    let repo = allow(&app, &repo).await;
    let first = send(&app, &repo, push("one", &[], false)).await.unwrap();
    let repo = app.record("alice", "demo").await;
    let known = send(&app, &repo, push("four", &[first], true)).await.unwrap();
    let row = app.app.hub.commit(&repo, first).await.unwrap();
    assert_eq!(row.id_proof, IdProof::Opaque);
    assert_eq!(app.app.hub.commit(&repo, known).await.unwrap().id_proof, IdProof::Verified);
    let snapshot = app.app.hub.snapshot(&repo, row.snapshot).await.unwrap();
    assert_eq!(snapshot.id_proof(SCHEME), IdProof::Opaque);
    assert_eq!(verified(&app).await, (0, 1, 1), "an opaque id is no damage");

    // Blobs are proven all the same.
    let mut lie = push("three", &[known], false);
    lie.blobs[0].content = "something else".into();
    let refused = send(&app, &repo, lie).await.unwrap_err();
    assert!(matches!(refused, PushError::BlobMismatch { .. }), "{refused}");
}

#[tokio::test]
async fn a_copy_whose_index_is_made_from_its_objects_marks_the_same_ids() {
    let app = TestApp::new().await;
    let repo = allow(&app, &repository(&app).await).await;
    let first = send(&app, &repo, push("one", &[], false)).await.unwrap();
    let repo = app.record("alice", "demo").await;
    let head = send(&app, &repo, push("four", &[first], true)).await.unwrap();
    let mut file = Vec::new();
    app.app.recovery.export(&repo, &mut file, &mut |_| {}).await.unwrap();
    let elsewhere = TestApp::new().await;
    let recovery = &elsewhere.app.recovery;
    let doubted = recovery.import(&mut &file[..], &ImportOptions::default(), &mut |_| {}).await.unwrap_err();
    assert!(doubted.to_string().contains("--accept-opaque-ids"), "the file alone does not decide: {doubted}");
    let _ = elsewhere.get("/alice/demo/refs").send().await.expect(404);
    let options = ImportOptions { accept_opaque_ids: true, ..ImportOptions::default() };
    let (copy, _) = recovery.import(&mut &file[..], &options, &mut |_| {}).await.unwrap();
    for id in [first, head] {
        let there = app.app.hub.commit(&repo, id).await.unwrap();
        let here = elsewhere.app.hub.commit(&copy, id).await.unwrap();
        assert_eq!(here.id_proof, there.id_proof);
    }
    assert_eq!(verified(&elsewhere).await, (0, 1, 1));
}

#[tokio::test]
async fn pages_and_the_api_say_which_ids_are_unverified() {
    const MARK: &str = "badge--unverified";
    let app = TestApp::new().await;
    let repo = allow(&app, &repository(&app).await).await;
    let first = send(&app, &repo, push("one", &[], false)).await.unwrap();
    let repo = app.record("alice", "demo").await;
    let second = send(&app, &repo, push("four", &[first], true)).await.unwrap();

    let marks = async |path: &str| app.get(path).send().await.expect(200).text().matches(MARK).count();
    assert_eq!(marks("/alice/demo/commits/main").await, 1, "one of the two");
    assert_eq!(marks("/alice/demo").await, 1);
    // In the head of the page, at the id, and at the snapshot's.
    assert_eq!(marks(&format!("/alice/demo/commits/{first}")).await, 3);
    assert_eq!(marks(&format!("/alice/demo/commits/{second}")).await, 0);
    assert_eq!(marks(&format!("/alice/demo/tree/{first}")).await, 1);

    for (id, verified) in [(first, false), (second, true)] {
        let path = format!("/api/v1/repos/alice/demo/commits/{id}");
        let shown = app.get(&path).send().await.expect(200).json();
        assert_eq!(shown["commit"]["commit_id"], id.to_string());
        assert_eq!(
            (&shown["commit"]["id_verified"], &shown["snapshot_id_verified"]),
            (&json!(verified), &json!(verified))
        );
        assert_eq!(shown["signature"]["state"], "unsigned");
    }
    let absent = format!("/api/v1/repos/alice/demo/commits/sha256:{}", "0".repeat(64));
    assert_eq!(app.get(&absent).send().await.status, 404);
    assert_eq!(app.get("/api/v1/repos/alice/demo/commits/nonsense").send().await.status, 422);
}
