//! Every commit, every snapshot and every blob that is written anywhere is in the object store, in canonical bytes, the moment
//! it exists.
//!
//! The store is read here without the database: from the index files beside its packs.

use futures::io::Cursor;
use musehub_core::hub::recovery::{BackfillOptions, ImportOptions};
use musehub_core::object::{Commit, Snapshot};
use musehub_core::port::{Located, ObjectStore};
use musehub_core::{CommitId, ObjectKind, canonical};
use musehub_store::{Backend, PackedStore, StoreLocation};
use musehub_test_support::history::write;
use musehub_test_support::{History, TestApp, rows};
use serde_json::{Value, json};

/// Commits exist, their snapshots and all files of those, as bytes that are `<kind> <size>\0<payload>` and have these ids.
async fn assert_canonical(app: &TestApp, commits: impl IntoIterator<Item = CommitId>) {
    let directory = app.directory().unwrap().join("store");
    let backend = Backend::open(&StoreLocation::Directory(directory), []).unwrap();
    let store = PackedStore::scan(backend).await.unwrap();
    let repo = app.record("alice", "demo").await;
    let scheme = repo.scheme.unwrap();
    let mut seen = 0;
    for id in commits {
        let [commit] = stored(&store, [id.key()]).await;
        let record = serde_json::from_slice(payload(ObjectKind::Commit, &commit)).unwrap();
        let commit = Commit::verify(scheme, record).unwrap();
        assert_eq!(commit.id(), id);
        let [snapshot] = stored(&store, [commit.snapshot().key()]).await;
        let record: Value = serde_json::from_slice(payload(ObjectKind::Snapshot, &snapshot)).unwrap();
        assert!(record["manifest"].is_object());
        let snapshot = Snapshot::decode(commit.snapshot(), &snapshot).unwrap();
        let snapshot = Snapshot::verify(scheme, snapshot.record().clone()).unwrap();
        assert_eq!(snapshot.id(), commit.snapshot());
        for (path, id) in snapshot.manifest().iter() {
            let [blob] = stored(&store, [id.key()]).await;
            let content = payload(ObjectKind::Blob, &blob);
            assert_eq!(scheme.blob_id(id.object_id().algorithm(), content), *id, "{path}");
        }
        seen += 1;
    }
    assert!(seen > 0);
}

/// The bytes of objects, each of which must exist.
async fn stored<const N: usize>(store: &PackedStore, keys: [musehub_core::ObjectKey; N]) -> [Vec<u8>; N] {
    for key in keys {
        assert!(store.exists(key).await.unwrap(), "{key} is in the store");
    }
    let places = store.locate(&keys).await.unwrap();
    let located = keys.into_iter().zip(places);
    let located = located.map(|(key, place)| Located { key, place: place.expect("it exists in the store") });
    let bytes = store.read(&located.collect::<Vec<_>>()).await.unwrap();
    bytes.into_iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>().try_into().unwrap()
}

/// The payload, whose size the header says in decimal.
fn payload(kind: ObjectKind, bytes: &[u8]) -> &[u8] {
    let payload = canonical::payload_of(kind, bytes).unwrap();
    assert!(bytes.starts_with(format!("{} {}\0", kind.as_str(), payload.len()).as_bytes()));
    assert_eq!(
        kind != ObjectKind::Blob,
        payload.starts_with(b"{"),
        "records are JSON, no file of these tests is"
    );
    payload
}

async fn create(app: &TestApp, body: Value) -> Value {
    let token = app.token("alice").await;
    app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(201).json()
}

fn id(text: &Value) -> CommitId {
    CommitId::parse(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn after_repo_init_the_init_commit_and_its_snapshot_exist() {
    for scheme in ["flat-v1", "typed-v1", "typed-v2"] {
        let app = TestApp::on_disk().await;
        let body = json!({"name": "demo", "initialize": true, "scheme": scheme, "license": "Apache-2.0"});
        let head = id(&create(&app, body).await["head"]);
        assert_canonical(&app, [head]).await;
    }
}

#[tokio::test]
async fn after_the_sync_path_every_commit_and_its_snapshot_exist() {
    let app = TestApp::on_disk().await;
    let made = create(&app, json!({"name": "demo"})).await;
    let mut source = History::new();
    let commits = ["one", "two", "three"].map(|message| source.commit_file("main", message, message));
    let _ = crate::sync::push(&app, made["repo_id"].as_str().unwrap(), &source, "main").await.expect(200);
    assert_canonical(&app, commits.map(|commit| CommitId::parse(&commit).unwrap())).await;
}

#[tokio::test]
async fn after_commit_files_to_repo_the_commit_and_its_snapshot_exist() {
    for scheme in ["flat-v1", "typed-v1", "typed-v2"] {
        let app = TestApp::on_disk().await;
        let head =
            create(&app, json!({"name": "demo", "initialize": true, "scheme": scheme})).await["head"].clone();
        let body = json!({"branch": "main", "expected_head": head, "message": "m",
                          "changes": [{"op": "put", "path": "x", "content": "x"}]});
        let token = app.token("alice").await;
        let made = app.post("/api/v1/repos/alice/demo/commits").bearer(&token).json(&body).send().await;
        assert_canonical(&app, [id(&made.expect(201).json()["commit_id"])]).await;
    }
}

#[tokio::test]
async fn after_merge_proposal_the_merge_commit_and_the_merged_snapshot_exist() {
    for (history, made) in [("merge", 1), ("squash", 1), ("rebase", 2)] {
        let app = TestApp::on_disk().await;
        let mut client = app.repository("alice", "demo").await;
        let mut source = History::new();
        source.commit_file("main", "first", "shared");
        source.fork("side", "main");
        source.commit_file("side", "side one", "side/1");
        source.commit_file("side", "side two", "side/2");
        source.commit_file("main", "main on", "main");
        for branch in ["main", "side"] {
            client.push(&source, branch, false).await.unwrap();
        }
        let merged = crate::merged_pulls::merge_proposal(&app, &json!({"history": history})).await;
        let commits: Vec<CommitId> = merged["commits"].as_array().unwrap().iter().map(id).collect();
        assert_eq!((commits.len(), commits.last()), (made, Some(&id(&merged["head"]))), "{history}");
        assert_canonical(&app, commits).await;
    }
}

#[tokio::test]
async fn after_push_receive_every_received_commit_and_its_snapshot_exist() {
    let app = TestApp::on_disk().await;
    let mut client = app.repository("alice", "demo").await;
    let mut source = History::new();
    for number in 0..5 {
        source.commit("main", &format!("{number}"), |tree| write(tree, "f", format!("{number}")));
    }
    client.push(&source, "main", false).await.unwrap();
    let commits: Vec<CommitId> = source.commits.keys().map(|id| CommitId::parse(id).unwrap()).collect();
    assert_eq!(commits.len(), 5);
    assert_canonical(&app, commits).await;
}

fn commits_of(history: &History) -> Vec<CommitId> {
    history.commits.keys().map(|id| CommitId::parse(id).unwrap()).collect()
}

fn three_commits() -> History {
    let mut source = History::new();
    for number in 0..3 {
        source.commit("main", &format!("{number}"), |tree| write(tree, "f", format!("{number}")));
    }
    source
}

#[tokio::test]
async fn after_a_push_of_an_earlier_or_later_client_every_received_commit_and_its_snapshot_exist() {
    let source = three_commits();
    let app = TestApp::on_disk().await;
    let _ = app.repository("alice", "demo").await;
    app.json_client("alice", "demo", Some("alice")).await.push(&source, "main", false).await.unwrap();
    assert_canonical(&app, commits_of(&source)).await;

    let app = TestApp::on_disk().await;
    let _ = app.repository("alice", "demo").await;
    app.mpack_client("alice", "demo", Some("alice")).await.push(&source, "main", false).await.unwrap();
    assert_canonical(&app, commits_of(&source)).await;
}

#[tokio::test]
async fn after_an_import_every_commit_and_its_snapshot_exist() {
    let elsewhere = TestApp::on_disk().await;
    let source = three_commits();
    elsewhere.repository("alice", "demo").await.push(&source, "main", false).await.unwrap();
    let repo = elsewhere.record("alice", "demo").await;
    let mut file = Vec::new();
    elsewhere.app.recovery.export(&repo, &mut file, &mut |_| {}).await.unwrap();
    let app = TestApp::on_disk().await;
    app.app.recovery.import(&mut Cursor::new(file), &ImportOptions::default(), &mut |_| {}).await.unwrap();
    assert_canonical(&app, commits_of(&source)).await;
}

#[tokio::test]
async fn after_a_back_fill_every_commit_and_its_snapshot_exist() {
    let app = TestApp::on_disk().await;
    let source = three_commits();
    let rows = rows::file(&source, "alice", "demo");
    app.app.recovery.load_rows(&mut Cursor::new(rows), None, &mut |_| {}).await.unwrap();
    app.app.recovery.backfill(&BackfillOptions::default(), &mut |_| {}).await.unwrap();
    assert_canonical(&app, commits_of(&source)).await;
}
