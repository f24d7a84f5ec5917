//! What the hub writes itself: first commits, files committed, branches.

use futures::executor::block_on;
use musehub_core::hub::{
    BranchError, CaughtUp, CommitError, CommitFiles, FileChange, FileContent, InitialCommit, InlineBlob,
    MAX_MESSAGE_BYTES, NewRepository, PushError, PushOutcome,
};
use musehub_core::object::Commit;
use musehub_core::port::{JobQueue, Located, ObjectStore, RepositoryRecord, Visibility};
use musehub_core::scheme::{IdScheme, flat_v1};
use musehub_core::{CommitId, HashAlgorithm, ObjectKind, RepoPath, canonical};
use serde_json::json;

use crate::hub_fixtures::{JOB, World, branch, chain, handle, native_commit, new_repository, push_of};

pub(crate) fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

pub(crate) fn put(at: &str, text: &str) -> FileChange {
    let content = FileContent::Bytes(text.to_owned().into());
    FileChange::Put { path: path(at), content, executable: None }
}

fn delete(at: &str) -> FileChange {
    FileChange::Delete { path: path(at) }
}

fn rename(from: &str, to: &str) -> FileChange {
    FileChange::Move { from: path(from), to: path(to) }
}

pub(crate) async fn commit_files(
    world: &World,
    repo: &RepositoryRecord,
    on: &str,
    head: Option<CommitId>,
    changes: Vec<FileChange>,
) -> Result<PushOutcome, CommitError> {
    let request = CommitFiles {
        branch: branch(on),
        expected_head: head,
        author: "Ann <ann@example.org>".to_owned(),
        message: "Añadir 🎵\nline2".to_owned(),
        changes,
        scheme: None,
    };
    world.hub.commit_files(repo, &handle("alice"), request).await
}

/// Both objects of a commit are in the store, as canonical bytes whose id is computed anew; the index is rebuilt without them.
/// Gives the commit and its files, as `path=text`.
pub(crate) async fn canonical_commit(
    world: &World,
    repo: &RepositoryRecord,
    id: CommitId,
) -> (Commit, String) {
    let repo = world.reopen(repo).await;
    let scheme = repo.scheme.unwrap();
    let row = world.hub.commit(&repo, id).await.unwrap();
    let places = world.objects.locate(&[id.key(), row.snapshot.key()]).await.unwrap();
    let [Some(of_commit), Some(of_snapshot)] = places[..] else { panic!("exists(commit), exists(snapshot)") };
    let of_commit = Located { key: id.key(), place: of_commit };
    let of_snapshot = Located { key: row.snapshot.key(), place: of_snapshot };
    let bytes = world.objects.read(&[of_commit, of_snapshot]).await.unwrap();
    let payload = canonical::payload_of(ObjectKind::Commit, &bytes[0]).unwrap();
    assert!(bytes[0].starts_with(format!("commit {}\0{{", payload.len()).as_bytes()));
    let record = serde_json::from_slice(payload).unwrap();
    let commit = Commit::verify(scheme, record).unwrap();
    assert_eq!(commit.id(), id);
    let payload = canonical::payload_of(ObjectKind::Snapshot, &bytes[1]).unwrap();
    assert!(bytes[1].starts_with(format!("snapshot {}\0{{", payload.len()).as_bytes()));
    assert_eq!(commit.snapshot(), row.snapshot);

    let rebuilt = world.without_index();
    rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let cloned = rebuilt.clone_of(&repo, id).await;
    assert_eq!(cloned, world.clone_of(&repo, id).await);
    let files = cloned.trees[&row.snapshot].iter();
    let files: Vec<String> =
        files.map(|(path, text)| format!("{path}={}", String::from_utf8_lossy(text).trim_end())).collect();
    (commit, files.join(" "))
}

async fn initialised(scheme: Option<IdScheme>) -> (World, RepositoryRecord, CommitId) {
    let world = World::new();
    let new = NewRepository { scheme, ..new_repository("alice", "demo", Visibility::Public) };
    let initial = InitialCommit {
        branch: branch("trunk"),
        author: handle("alice"),
        readme: "# demo\n".to_owned(),
        licence: Some("Do as you like.\n".to_owned()),
    };
    let (repo, head) = world.hub.create_initialised(new, initial).await.unwrap();
    (world, repo, head)
}

#[test]
fn a_repository_begins_with_a_commit_and_a_snapshot_that_are_there() {
    block_on(async {
        for (scheme, expected) in [(None, IdScheme::TypedV2), (Some(IdScheme::FlatV1), IdScheme::FlatV1)] {
            let (world, repo, head) = initialised(scheme).await;
            assert_eq!((repo.scheme, repo.default_branch.clone()), (Some(expected), Some(branch("trunk"))));
            let (commit, files) = canonical_commit(&world, &repo, head).await;
            assert_eq!(files, "LICENSE=Do as you like. README.md=# demo");
            assert_eq!(
                (commit.text("author"), commit.text("branch"), commit.parents()),
                ("alice", "trunk", &[][..])
            );
            assert_eq!(world.heads(&repo).await["trunk"], head);
            let job = world.index.latest(&repo.repo_id, JOB).await.unwrap().unwrap();
            assert_eq!(job.work.payload, format!("{{\"commit\":\"{head}\"}}"));
        }
    });
}

#[test]
fn committed_files_are_put_deleted_and_moved() {
    block_on(async {
        for scheme in [IdScheme::FlatV1, IdScheme::TypedV1, IdScheme::TypedV2] {
            let (world, repo, head) = initialised(Some(scheme)).await;
            let changes = vec![
                put("src/a.py", "a = 1\n"),
                put("b", ""),
                delete("LICENSE"),
                rename("README.md", "doc/README.md"),
            ];
            let first = commit_files(&world, &repo, "trunk", Some(head), changes).await.unwrap().head;
            let (commit, files) = canonical_commit(&world, &repo, first).await;
            assert_eq!(files, "b= doc/README.md=# demo src/a.py=a = 1");
            assert_eq!(commit.parents(), [head]);
            assert_eq!(
                (commit.text("message"), commit.text("author")),
                ("Añadir 🎵\nline2", "Ann <ann@example.org>")
            );
            let changes = vec![delete("b"), put("b/c", "now a directory\n")];
            let second = commit_files(&world, &repo, "trunk", Some(first), changes).await.unwrap().head;
            let (_, files) = canonical_commit(&world, &repo, second).await;
            assert_eq!(files, "b/c=now a directory doc/README.md=# demo src/a.py=a = 1");
        }
    });
}

/// The vectors of the scheme pin the formula; this pins what the record says beside it.
#[test]
fn a_commit_of_the_hub_is_one_that_the_client_of_march_2026_writes() {
    block_on(async {
        let (world, repo, head) = initialised(Some(IdScheme::FlatV1)).await;
        let first = commit_files(&world, &repo, "trunk", Some(head), vec![put("a", "1")]).await.unwrap().head;
        let (commit, _) = canonical_commit(&world, &repo, first).await;
        let snapshot = commit.snapshot();
        let time = "2027-01-15T08:00:00+00:00";
        assert_eq!(first, flat_v1::commit_id(&[head], &snapshot, "Añadir 🎵\nline2", time).unwrap());
        let expected = json!({
            "commit_id": first.to_hex(), "repo_id": "", "branch": "trunk", "snapshot_id": snapshot.to_hex(),
            "message": "Añadir 🎵\nline2", "committed_at": time, "parent_commit_id": head.to_hex(),
            "parent2_commit_id": null, "author": "Ann <ann@example.org>", "metadata": {}, "structured_delta": null,
            "sem_ver_bump": "none", "breaking_changes": [], "agent_id": "", "model_id": "", "toolchain_id": "",
            "prompt_hash": "", "signature": "", "signer_key_id": "", "format_version": 5, "reviewed_by": [],
            "test_runs": 0,
        });
        assert_eq!(serde_json::Value::Object(commit.record().clone()), expected);
        let record = world.hub.snapshot(&repo, snapshot).await.unwrap();
        assert_eq!(record.record().extra["created_at"], json!(time));
    });
}

#[test]
fn a_native_repository_keeps_its_hash_function_bits_and_directories() {
    block_on(async {
        let world = World::new();
        let repo = world.create("native").await;
        let first = native_commit("first", &[], &[("a", "1")]);
        let mut push = push_of("main", [&first]);
        push.scheme = IdScheme::TypedV2;
        world.push(&repo, push).await.unwrap();
        let repo = world.reopen(&repo).await;
        let content = FileContent::Bytes("#!/bin/sh\n".into());
        let script = FileChange::Put { path: path("run"), content, executable: Some(true) };
        let changes = vec![script, rename("run", "bin/run"), put("x", "2")];
        let head = commit_files(&world, &repo, "main", Some(first.id), changes).await.unwrap().head;
        assert_eq!(head.object_id().algorithm(), HashAlgorithm::Blake3);
        let (commit, _) = canonical_commit(&world, &repo, head).await;
        let snapshot = world.hub.snapshot(&repo, commit.snapshot()).await.unwrap();
        assert_eq!(snapshot.record().executables, [path("bin/run")]);
        assert_eq!(snapshot.record().directories, [path("empty")]);
        let head =
            commit_files(&world, &repo, "main", Some(head), vec![put("empty", "a file")]).await.unwrap().head;
        let (commit, _) = canonical_commit(&world, &repo, head).await;
        let snapshot = world.hub.snapshot(&repo, commit.snapshot()).await.unwrap();
        assert_eq!(snapshot.record().directories, []);
    });
}

#[test]
fn several_thousand_files_and_staged_ones_are_one_commit() {
    block_on(async {
        let (world, repo, head) = initialised(Some(IdScheme::FlatV1)).await;
        let staged = InlineBlob { id: flat_v1::blob_id(b"staged"), content: "staged".into() };
        world.stage(&repo, std::slice::from_ref(&staged)).await;
        let mut changes: Vec<FileChange> =
            (0..5000).map(|n| put(&format!("d{}/f{n}", n % 50), &format!("{n}"))).collect();
        let content = FileContent::Blob(staged.id);
        changes.push(FileChange::Put { path: path("staged"), content, executable: None });
        let packs = world.objects.packs().await.unwrap().len();
        let outcome = commit_files(&world, &repo, "trunk", Some(head), changes).await.unwrap();
        assert_eq!(world.objects.packs().await.unwrap().len(), packs + 1);
        let cloned = world.clone_of(&world.reopen(&repo).await, outcome.head).await;
        assert!(cloned.trees.values().any(|tree| tree.len() == 5003 && tree["staged"] == "staged"));

        let content = FileContent::Blob(flat_v1::blob_id(b"nowhere"));
        let change = FileChange::Put { path: path("x"), content, executable: None };
        let error = commit_files(&world, &repo, "trunk", Some(outcome.head), vec![change]).await.unwrap_err();
        assert!(matches!(error, CommitError::Push(PushError::Incomplete(_))), "{error}");
    });
}

#[test]
fn what_cannot_be_committed_is_refused_with_its_reason() {
    block_on(async {
        let (world, repo, head) = initialised(Some(IdScheme::FlatV1)).await;
        let refused =
            async |changes| commit_files(&world, &repo, "trunk", Some(head), changes).await.unwrap_err();
        assert!(matches!(refused(vec![delete("x")]).await, CommitError::NoSuchFile { .. }));
        assert!(matches!(refused(vec![rename("x", "y")]).await, CommitError::NoSuchFile { .. }));
        assert!(matches!(
            refused(vec![rename("README.md", "LICENSE")]).await,
            CommitError::FileExists { .. }
        ));
        assert!(matches!(refused(vec![put("README.md/x", "")]).await, CommitError::Manifest(_)));
        let twice = vec![put("x", "1"), rename("README.md", "y"), put("x", "2")];
        assert!(matches!(refused(twice).await, CommitError::WrittenTwice { .. }));
        let twice = vec![put("x", "1"), delete("x"), rename("README.md", "x")];
        assert!(matches!(refused(twice).await, CommitError::WrittenTwice { .. }));
        let content = FileContent::Bytes("#!/bin/sh\n".into());
        let script = FileChange::Put { path: path("run"), content, executable: Some(true) };
        assert!(matches!(refused(vec![script]).await, CommitError::NoExecutables { .. }));
        assert!(matches!(refused(vec![put("README.md", "# demo\n")]).await, CommitError::NothingChanged));
        let request = CommitFiles {
            branch: branch("trunk"),
            expected_head: Some(head),
            author: String::new(),
            message: "m".repeat(MAX_MESSAGE_BYTES + 1),
            changes: vec![put("x", "")],
            scheme: None,
        };
        let error = world.hub.commit_files(&repo, &handle("alice"), request).await.unwrap_err();
        assert!(matches!(error, CommitError::Text { field: "message", .. }));
        assert_eq!(world.hub.commit_count(&repo).await.unwrap(), 1);
    });
}

#[test]
fn a_branch_that_moved_refuses_what_was_made_for_where_it_was() {
    block_on(async {
        let (world, repo, head) = initialised(Some(IdScheme::FlatV1)).await;
        let (one, two) = futures::join!(
            commit_files(&world, &repo, "trunk", Some(head), vec![put("x", "1")]),
            commit_files(&world, &repo, "trunk", Some(head), vec![put("x", "2")]),
        );
        let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
        let won = won.unwrap().head;
        let CommitError::Push(PushError::BranchMoved { expected, head: now, .. }) = lost.unwrap_err() else {
            panic!("it moved")
        };
        assert_eq!((expected, now), (Some(head), Some(won)));
        // Another process moved it, and this one's index does not know.
        let stale = world.without_index();
        stale.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        let next = commit_files(&world, &repo, "trunk", Some(won), vec![put("y", "1")]).await.unwrap().head;
        let error = commit_files(&stale, &repo, "trunk", Some(won), vec![put("y", "2")]).await.unwrap_err();
        let CommitError::Push(PushError::BranchMoved { head: now, .. }) = error else { panic!("{error}") };
        assert_eq!(now, Some(next));
        let error = commit_files(&world, &repo, "trunk", None, vec![put("y", "2")]).await.unwrap_err();
        assert!(matches!(error, CommitError::Push(PushError::BranchMoved { expected: None, .. })), "{error}");
    });
}

#[test]
fn branches_are_made_renamed_and_deleted() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let commits = chain("base", None, 3);
        world.push(&repo, push_of("main", &commits)).await.unwrap();
        let repo = world.reopen(&repo).await;
        let (alice, at) = (handle("alice"), commits[1].id);
        let create = async |name: &str, at| world.hub.create_branch(&repo, &alice, &branch(name), at).await;
        create("dev", at).await.unwrap();
        assert_eq!(world.heads(&repo).await["dev"], at);
        let taken = create("dev", commits[2].id).await.unwrap_err();
        assert!(matches!(taken, BranchError::Push(PushError::BranchMoved { .. })), "{taken}");
        let below = create("dev/x", at).await.unwrap_err();
        assert!(matches!(below, BranchError::Push(PushError::BranchConflict { .. })), "{below}");
        let nowhere = create("other", chain("other", None, 1)[0].id).await.unwrap_err();
        assert!(matches!(nowhere, BranchError::Read(_)), "{nowhere}");

        let renamed = |from: &str, to: &str| (branch(from), branch(to));
        let (from, to) = renamed("dev", "feature/one");
        world.hub.rename_branch(&repo, &alice, (&from, &to), at).await.unwrap();
        let stale = world.hub.delete_branch(&repo, &alice, &to, commits[2].id).await.unwrap_err();
        assert!(matches!(stale, BranchError::Push(PushError::BranchMoved { .. })), "{stale}");
        assert_eq!(world.heads(&repo).await.into_keys().collect::<Vec<_>>(), ["feature/one", "main"]);
        world.hub.delete_branch(&repo, &alice, &to, at).await.unwrap();

        let stays = world.hub.delete_branch(&repo, &alice, &branch("main"), commits[2].id).await.unwrap_err();
        assert!(matches!(stays, BranchError::IsDefault { .. }), "{stays}");
        let (from, to) = renamed("main", "trunk");
        let repo = world.hub.rename_branch(&repo, &alice, (&from, &to), commits[2].id).await.unwrap();
        assert_eq!(world.reopen(&repo).await.default_branch, Some(to));
        assert_eq!(world.heads(&repo).await.into_keys().collect::<Vec<_>>(), ["trunk"]);

        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert_eq!(rebuilt.heads(&repo).await, world.heads(&repo).await);
        world.hub.create_branch(&repo, &alice, &branch("dev"), at).await.unwrap();
    });
}
