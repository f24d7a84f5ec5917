//! What the adapters refuse beyond the contracts of the ports. The contracts themselves are the conformance suites.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;

use super::*;
use crate::canonical;
use crate::hash;
use crate::id::{BlobId, CommitId, HashAlgorithm, ObjectKey, ObjectKind, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::port::{
    BlobRow, BreakageIndex, BreakageIssue, BreakageMeta, Clock, CommitRow, FactCache, HistoryIndex,
    IdentityStore, JobKind, JobQueue, Located, MoveRows, NewJob, NewObject, NewToken, ObjectBody,
    ObjectStore, PackId, PackedObject, Place, RefLogEntry, RefStore, RepositoryIndex, RepositoryRecord,
    Scope, Severity, SnapshotRow, Staging, Timestamp, TokenHash, Visibility,
};
use crate::scheme::IdScheme;
use crate::settings::RepositorySettings;

/// What a method of an adapter in memory gives, which it does at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("an adapter in memory never waits")
}

#[track_caller]
fn assert_conflict<T>(result: Result<T, BackendError>) {
    assert!(matches!(result.err(), Some(BackendError::Conflict { .. })));
}

#[track_caller]
fn assert_missing<T>(result: Result<T, BackendError>) {
    assert!(matches!(result.err(), Some(BackendError::Missing { .. })));
}

#[track_caller]
fn assert_damaged<T>(result: Result<T, BackendError>) {
    assert!(matches!(result.err(), Some(BackendError::Damaged { .. })));
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    hash::digest(HashAlgorithm::Sha256, &[bytes])
}

fn blob_id(payload: &[u8]) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, sha256(payload))
}

fn commit_id(seed: &str) -> CommitId {
    CommitId::new(HashAlgorithm::Sha256, sha256(seed.as_bytes()))
}

fn object(key: ObjectKey, bytes: impl Into<Bytes>) -> NewObject {
    NewObject { key, body: ObjectBody::Canonical(bytes.into()) }
}

fn put(store: &MemoryObjects, objects: &[NewObject]) -> Result<Vec<Located>, BackendError> {
    let receipt = now(store.put(objects.to_vec()))?;
    Ok(receipt.objects.iter().map(PackedObject::located).collect())
}

fn repo(n: u32) -> RepoId {
    RepoId::parse(&format!("00000000-0000-4000-8000-{n:012}")).unwrap()
}

fn branch() -> BranchName {
    BranchName::parse("main").unwrap()
}

fn handle(text: &str) -> Handle {
    Handle::parse(text).unwrap()
}

fn record(n: u32, version: u64) -> RepositoryRecord {
    RepositoryRecord {
        version,
        repo_id: repo(n),
        owner: handle("alice"),
        slug: Slug::parse(&format!("demo-{n}")).unwrap(),
        visibility: Visibility::Public,
        description: String::new(),
        scheme: None,
        default_branch: None,
        settings: RepositorySettings::default(),
        created_at: Timestamp::from_millis(0),
        deleted: false,
    }
}

fn entry(sequence: u64, old: Option<&str>, new: Option<&str>) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo(1),
        branch: branch(),
        sequence,
        old: old.map(commit_id),
        new: new.map(commit_id),
        forced: false,
        pusher: handle("alice"),
        at: Timestamp::from_millis(0),
        packs: Vec::new(),
        borrowed: Vec::new(),
    }
}

#[test]
fn a_blob_has_one_content() {
    let store = MemoryObjects::new();
    let key = blob_id(b"x").key();
    put(&store, &[object(key, &b"blob 1\0x"[..])]).unwrap();
    // The same text as flat-v1 payload and as typed-v2 canonical bytes: one id, two contents that both fit it.
    let inner = canonical::encode(ObjectKind::Blob, b"x");
    let ambiguous = blob_id(&inner).key();
    put(&store, &[object(ambiguous, inner.clone())]).unwrap();
    let outer = canonical::encode(ObjectKind::Blob, &inner);
    assert_conflict(put(&store, &[object(ambiguous, outer.clone())]));
    let fresh = MemoryObjects::new();
    assert_conflict(put(&fresh, &[object(ambiguous, inner), object(ambiguous, outer)]));
    assert!(now(fresh.packs()).unwrap().is_empty());
}

#[test]
fn bytes_that_are_not_those_of_the_key_are_refused() {
    let store = MemoryObjects::new();
    let blob = blob_id(b"x").key();
    let commit = commit_id("c").key();
    for (key, bytes) in [
        (blob, &b"x"[..]),
        (blob, b"blob 2\0x"),
        (blob, b"blob 1\0y"),
        (blob, b"commit 1\0x"),
        (commit, b"snapshot 2\0{}"),
        (commit, b"{}"),
    ] {
        assert_damaged(put(&store, &[object(key, bytes)]));
    }
    assert!(now(store.packs()).unwrap().is_empty());
}

#[test]
fn a_record_named_by_its_bytes_has_no_variants() {
    let store = MemoryObjects::new();
    let bytes = canonical::encode(ObjectKind::Commit, b"{}");
    let key = CommitId::new(HashAlgorithm::Sha256, sha256(&bytes)).key();
    let other = canonical::encode(ObjectKind::Commit, b"{\"a\":1}");
    put(&store, &[object(key, bytes)]).unwrap();
    assert_conflict(put(&store, &[object(key, other)]));
}

#[test]
fn places_come_from_receipts_only() {
    let store = MemoryObjects::new();
    let Located { key, place } = put(&store, &[object(blob_id(b"x").key(), &b"blob 1\0x"[..])]).unwrap()[0];
    let at = |place| Located { key, place };
    assert_missing(now(store.read(&[at(Place { offset: 1, ..place })])));
    assert_missing(now(store.read(&[at(Place { length: 7, ..place })])));
    assert_missing(now(store.stream(at(Place { pack: PackId::new([0; 32]), ..place }))));
    assert_missing(now(store.pack_objects(PackId::new([0; 32]))));
}

#[test]
fn an_upload_with_a_wrong_hash_is_refused() {
    let store = MemoryObjects::new();
    let mut writer = now(store.begin(&repo(1))).unwrap();
    now(writer.begin_blob(blob_id(b"x"), 1)).unwrap();
    now(writer.write(Bytes::from_static(b"y"))).unwrap();
    assert_damaged(now(writer.finish()));
    assert_eq!(now(store.find(&repo(1), &[blob_id(b"x")])).unwrap(), [None]);
}

#[test]
fn a_writer_does_nothing_after_an_error() {
    let store = MemoryObjects::new();
    let mut writer = now(store.begin(&repo(1))).unwrap();
    assert_damaged(now(writer.write(Bytes::from_static(b"x"))));
    assert_damaged(now(writer.begin_blob(blob_id(b"x"), 1)));
    assert_damaged(now(writer.finish()));
}

#[test]
fn uploads_expire_by_the_clock_of_the_store() {
    let clock = Arc::new(FixedClock::new(Timestamp::from_millis(1_000)));
    let store = MemoryObjects::with_clock(clock.clone());
    for payload in [&b"a"[..], b"b", b"c"] {
        let mut writer = now(store.begin(&repo(1))).unwrap();
        now(writer.begin_blob(blob_id(payload), 1)).unwrap();
        now(writer.write(Bytes::from_static(payload))).unwrap();
        clock.advance(500);
        now(writer.finish()).unwrap();
    }
    assert_eq!(now(store.expire(Timestamp::from_millis(1_500))).unwrap(), 0);
    assert_eq!(now(store.expire(Timestamp::from_millis(2_001))).unwrap(), 2);
    let found = now(store.find(&repo(1), &[blob_id(b"b"), blob_id(b"c")])).unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_staged_body_must_be_the_one_that_was_found() {
    let store = MemoryObjects::new();
    let mut writer = now(store.begin(&repo(1))).unwrap();
    now(writer.begin_blob(blob_id(b"x"), 1)).unwrap();
    now(writer.write(Bytes::from_static(b"x"))).unwrap();
    now(writer.finish()).unwrap();
    let staged = now(store.find(&repo(1), &[blob_id(b"x")])).unwrap().remove(0).unwrap();
    let mut moved = staged.clone();
    moved.offset += 1;
    assert_missing(put(&store, &[NewObject { key: moved.id.key(), body: ObjectBody::Staged(moved) }]));
    let other = blob_id(b"y").key();
    assert_conflict(put(&store, &[NewObject { key: other, body: ObjectBody::Staged(staged) }]));
}

#[test]
fn moves_follow_one_another() {
    let refs = MemoryRefs::new();
    assert_missing(now(refs.append(&entry(1, None, Some("a")))));
    now(refs.put_repository(&record(1, 1))).unwrap();
    assert_missing(now(refs.append(&entry(1, None, None))));
    assert_missing(now(refs.append(&entry(2, None, Some("a")))));
    assert_conflict(now(refs.append(&entry(0, None, Some("a")))));
    assert_conflict(now(refs.append(&entry(1, Some("z"), Some("a")))));
    now(refs.append(&entry(1, None, Some("a")))).unwrap();
    assert_conflict(now(refs.append(&entry(1, None, Some("a")))));
    assert_conflict(now(refs.append(&entry(2, Some("z"), Some("b")))));
    assert_missing(now(refs.append(&entry(3, Some("a"), Some("b")))));
    now(refs.append(&entry(2, Some("a"), Some("b")))).unwrap();
}

#[test]
fn versions_keep_what_stays() {
    let refs = MemoryRefs::new();
    assert_missing(now(refs.put_repository(&record(1, 2))));
    assert_conflict(now(refs.put_repository(&record(1, 0))));
    now(refs.put_repository(&record(1, 1))).unwrap();
    assert_missing(now(refs.put_repository(&record(1, 3))));
    let flat = RepositoryRecord { scheme: Some(IdScheme::FlatV1), ..record(1, 2) };
    now(refs.put_repository(&flat)).unwrap();
    for wrong in [
        RepositoryRecord { repo_id: repo(2), version: 3, ..flat.clone() },
        RepositoryRecord { scheme: Some(IdScheme::TypedV2), version: 3, ..flat.clone() },
        RepositoryRecord { created_at: Timestamp::from_millis(1), version: 3, ..flat.clone() },
        RepositoryRecord { repo_id: repo(1), ..record(2, 1) },
    ] {
        assert_conflict(now(refs.put_repository(&wrong)));
    }
}

fn index_with_repository() -> MemoryIndex {
    let index = MemoryIndex::new();
    now(index.put_repository(&record(1, 1))).unwrap();
    index
}

fn place() -> Place {
    Place { pack: PackId::new([0; 32]), offset: 0, length: 9 }
}

fn commit(seed: &str, parents: &[&str], generation: u64) -> CommitRow {
    CommitRow {
        id: commit_id(seed),
        parents: parents.iter().map(|parent| commit_id(parent)).collect(),
        generation,
        snapshot: SnapshotId::new(HashAlgorithm::Sha256, [0; 32]),
        author: String::new(),
        message: String::new(),
        committed_at: String::new(),
        agent_id: String::new(),
        branch: String::new(),
        size: 2,
        place: Some(place()),
        id_proof: crate::object::IdProof::Verified,
    }
}

fn rows(entry: RefLogEntry, commits: Vec<CommitRow>) -> MoveRows {
    let id = SnapshotId::new(HashAlgorithm::Sha256, [0; 32]);
    let snapshots = vec![SnapshotRow { id, entry_count: 0, size: 2, place: Some(place()) }];
    MoveRows { entry, commits, snapshots, blobs: Vec::new(), lost: Vec::new(), jobs: Vec::new() }
}

#[test]
fn history_is_whole_when_it_is_recorded() {
    let index = index_with_repository();
    let first = || entry(1, None, Some("a"));
    let root = || commit("a", &[], 1);
    let nowhere =
        MoveRows { entry: RefLogEntry { repo_id: repo(9), ..first() }, ..rows(first(), vec![root()]) };
    let no_snapshot = MoveRows { snapshots: Vec::new(), ..rows(first(), vec![root()]) };
    for wrong in [
        nowhere,
        no_snapshot,
        rows(first(), Vec::new()),
        rows(first(), vec![commit("a", &["z"], 2)]),
        rows(entry(1, None, Some("b")), vec![commit("b", &["a"], 2), root()]),
    ] {
        assert_missing(now(index.record_move(wrong)));
    }
    assert_conflict(now(index.record_move(rows(first(), vec![commit("a", &[], 2)]))));
    assert_conflict(now(index.record_move(rows(entry(0, None, Some("a")), vec![root()]))));
    assert_conflict(now(index.record_move(rows(entry(1, Some("z"), Some("a")), vec![root()]))));
    assert_eq!(now(index.commit_count(&repo(1))).unwrap(), 0);
    now(index.record_move(rows(first(), vec![root()]))).unwrap();
    let generations = vec![commit("b", &["a"], 2), commit("c", &["a", "b"], 3)];
    now(index.record_move(rows(entry(2, Some("a"), Some("c")), generations))).unwrap();
    assert_eq!(now(index.commit_count(&repo(1))).unwrap(), 3);
}

#[test]
fn rows_do_not_contradict_those_held() {
    let index = index_with_repository();
    let blob = BlobRow { id: blob_id(b"x"), size: 1, place: place() };
    let blobs = |size| vec![BlobRow { size, ..blob }];
    let first = || rows(entry(1, None, Some("b")), vec![commit("a", &[], 1), commit("b", &["a"], 2)]);
    now(index.record_move(MoveRows { blobs: blobs(1), ..first() })).unwrap();
    assert_conflict(now(index.record_move(MoveRows { blobs: blobs(2), ..first() })));
    assert_conflict(now(index.record_move(rows(entry(1, None, Some("b")), vec![commit("b", &[], 1)]))));
}

#[test]
fn without_a_window_no_ancestors_are_sent() {
    let index = index_with_repository().with_window(false);
    now(index.record_move(rows(
        entry(1, None, Some("b")),
        vec![commit("a", &[], 1), commit("b", &["a"], 2)],
    )))
    .unwrap();
    let nodes = |index: &MemoryIndex| now(index.commit_nodes(&repo(1), &[commit_id("b")], 9)).unwrap().len();
    assert_eq!(nodes(&index), 1);
    assert_eq!(nodes(&index.with_window(true)), 2);
}

#[test]
fn names_of_the_index_are_of_one_repository() {
    let index = index_with_repository();
    let taken = RepositoryRecord { repo_id: repo(2), ..record(1, 1) };
    assert_conflict(now(index.put_repository(&taken)));
    let renamed = RepositoryRecord { repo_id: repo(1), ..record(2, 2) };
    now(index.put_repository(&renamed)).unwrap();
    now(index.put_repository(&taken)).unwrap();
}

#[test]
fn unknown_repositories_have_no_jobs_and_no_scans() {
    let index = index_with_repository();
    let job = NewJob::new(JobKind::new("scan"), repo(9), "{}".to_owned());
    assert_missing(now(index.enqueue(&job, Timestamp::from_millis(0))));
    let jobs = MoveRows { jobs: vec![job], ..rows(entry(1, None, Some("a")), vec![commit("a", &[], 1)]) };
    assert_missing(now(index.record_move(jobs)));
    assert_eq!(now(index.commit_count(&repo(1))).unwrap(), 0);
}

#[test]
fn a_scan_adds_up() {
    let index = index_with_repository();
    let meta = |total_issues, error_count| BreakageMeta {
        commit: commit_id("a"),
        total_issues,
        warning_count: 0,
        error_count,
        file_count: 1,
        scanned_at: Timestamp::from_millis(0),
    };
    let issue = BreakageIssue {
        issue_id: blob_id(b"x"),
        issue_type: "stale_import".to_owned(),
        file_path: "a.py".to_owned(),
        line: 1,
        column: 1,
        subject: "pkg.gone".to_owned(),
        help: Default::default(),
        description: String::new(),
        severity: Severity::Error,
    };
    let twice = [issue.clone(), issue];
    assert_conflict(now(index.replace_breakage(&repo(1), &meta(2, 1), &[])));
    assert_conflict(now(index.replace_breakage(&repo(1), &meta(0, 0), &twice[..1])));
    assert_conflict(now(index.replace_breakage(&repo(1), &meta(2, 2), &twice)));
    assert_missing(now(index.replace_breakage(&repo(9), &meta(1, 1), &twice[..1])));
    assert_eq!(now(index.breakage_meta(&repo(1))).unwrap(), None);
    now(index.replace_breakage(&repo(1), &meta(1, 1), &twice[..1])).unwrap();
}

#[test]
fn facts_and_tokens_do_not_change() {
    let index = MemoryIndex::new();
    let facts = |text: &str| [(blob_id(b"x"), text.to_owned())];
    now(index.put_facts("kind", &facts("1"))).unwrap();
    assert_conflict(now(index.put_facts("kind", &facts("2"))));
    let token = |owner| NewToken {
        hash: TokenHash::of("secret"),
        handle: handle(owner),
        scope: Scope::Admin,
        created_at: Timestamp::from_millis(0),
        expires_at: None,
    };
    now(index.add_token(&token("alice"))).unwrap();
    now(index.add_token(&token("alice"))).unwrap();
    assert_conflict(now(index.add_token(&token("mallory"))));
}

#[test]
fn a_fixed_clock_moves_when_told() {
    let clock = FixedClock::new(Timestamp::from_millis(5));
    assert_eq!(clock.advance(10), Timestamp::from_millis(15));
    assert_eq!(clock.now(), Timestamp::from_millis(15));
    clock.set(Timestamp::from_millis(1));
    assert_eq!(clock.now(), Timestamp::from_millis(1));
}
