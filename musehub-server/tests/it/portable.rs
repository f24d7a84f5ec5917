//! A repository goes from one hub to another as one file, whole or not at all.

use std::collections::BTreeMap;

use futures::io::Cursor;
use musehub_core::hub::CaughtUp;
use musehub_core::hub::recovery::{ImportOptions, PortableError, Transferred, VerifyOptions};
use musehub_core::port::{RefLogEntry, RefStore, RepositoryRecord};
use musehub_core::{BranchName, Handle, Slug};
use musehub_store::{Backend, RefLog};
use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, TestApp};

async fn export(app: &TestApp, repo: &RepositoryRecord) -> Vec<u8> {
    let mut file = Vec::new();
    app.app.recovery.export(repo, &mut file, &mut |_| {}).await.unwrap();
    file
}

async fn import(
    app: &TestApp,
    file: &[u8],
    name: Option<&str>,
) -> Result<(RepositoryRecord, Transferred), PortableError> {
    let name = name.map(|name| (Handle::parse("carol").unwrap(), Slug::parse(name).unwrap()));
    let options = ImportOptions { name, ..ImportOptions::default() };
    app.app.recovery.import(&mut Cursor::new(file), &options, &mut |_| {}).await
}

/// A repository with several branches, a forced move, borrowed blobs and a large one; and its history.
async fn source() -> (TestApp, History) {
    let app = TestApp::on_disk().await;
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        write(tree, "a.py", "import b\n");
        write(tree, "empty", "");
        write(tree, "large", noise(1, 9 << 20));
    });
    app.repository("bob", "first").await.push(&history, "main", false).await.unwrap();
    let mut client = app.repository("alice", "demo").await;
    client.push(&history, "main", false).await.unwrap();
    history.fork("topic/x", "main");
    history.commit_file("topic/x", "two", "b.py");
    client.push(&history, "topic/x", false).await.unwrap();
    let kept = history.head("topic/x").to_owned();
    history.commit_file("topic/x", "lost by force", "c.py");
    client.push(&history, "topic/x", false).await.unwrap();
    history.branch("topic/x", &kept);
    client.push(&history, "topic/x", true).await.unwrap();
    history.merge("main", "topic/x");
    client.push(&history, "main", false).await.unwrap();
    (app, history)
}

/// Every move of every branch, apart from what names the store or the repository.
async fn moves(app: &TestApp, repo: &RepositoryRecord) -> BTreeMap<String, Vec<RefLogEntry>> {
    let log = RefLog::new(Backend::local(&app.directory().unwrap().join("store")).unwrap());
    let mut moves = BTreeMap::new();
    for name in ["main", "topic/x"] {
        let history = log.history(&repo.repo_id, &BranchName::parse(name).unwrap(), 0).await.unwrap();
        let bare = history.into_iter().map(|entry| RefLogEntry {
            repo_id: musehub_core::RepoId::parse("00000000-0000-4000-8000-000000000000").unwrap(),
            packs: Vec::new(),
            borrowed: Vec::new(),
            ..entry
        });
        moves.insert(name.to_owned(), bare.collect());
    }
    moves
}

async fn problems(app: &TestApp) -> u64 {
    let options = VerifyOptions { objects: true, ..VerifyOptions::default() };
    app.app.recovery.verify(&options, &mut |event| println!("{event:?}")).await.unwrap().problems
}

#[tokio::test]
async fn an_imported_repository_is_the_exported_one() {
    let (old, mut history) = source().await;
    let exported = old.record("alice", "demo").await;
    let file = export(&old, &exported).await;
    let new = TestApp::on_disk().await;
    let (imported, done) = import(&new, &file, None).await.unwrap();
    assert_eq!((done.moves, done.commits, done.snapshots, done.blobs), (5, 4, 3, 5));
    let same = RepositoryRecord { repo_id: imported.repo_id.clone(), ..exported.clone() };
    assert_eq!(imported, same, "record, name and all; its version happens to be the same");
    assert_eq!(moves(&new, &imported).await, moves(&old, &exported).await);
    assert_eq!(problems(&new).await, 0);
    assert_eq!(export(&new, &imported).await.len(), file.len());

    let client = new.client("alice", "demo", Some("alice")).await;
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.branches, history.branches);
    for head in clone.branches.values() {
        assert_eq!(clone.tree(head), history.tree(head));
    }
    assert_eq!(new.run_jobs().await, 1, "findings of the default branch's head");
    let mut client = client;
    history.commit_file("main", "goes on", "on.py");
    client.push(&history, "main", false).await.unwrap();

    let taken = import(&new, &file, None).await;
    assert!(matches!(taken, Err(PortableError::Exists { .. })), "{taken:?}");
    let (other, _) = import(&new, &file, Some("again")).await.unwrap();
    assert_eq!((other.owner.as_str(), other.slug.as_str()), ("carol", "again"));
    assert_ne!(other.repo_id, imported.repo_id);
    assert_eq!(problems(&new).await, 0);
}

#[tokio::test]
async fn of_a_file_that_does_not_fit_nothing_is_visible() {
    let (old, _) = source().await;
    let file = export(&old, &old.record("alice", "demo").await).await;
    let new = TestApp::on_disk().await;
    let mut cases: Vec<Vec<u8>> = [0, 7, 100, file.len() / 2, file.len() - 33, file.len() - 1]
        .into_iter()
        .map(|length| file[..length].to_vec())
        .collect();
    for at in [0, 4, 9, 40, 600, file.len() / 2, file.len() - 50, file.len() - 1] {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        cases.push(flipped);
    }
    for (number, case) in cases.iter().enumerate() {
        let refused = import(&new, case, Some("broken")).await;
        assert!(matches!(refused, Err(PortableError::Malformed { .. })), "{number}: {refused:?}");
    }
    let _ = new.get("/carol/broken/refs").send().await.expect(404);
    new.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let _ = new.get("/carol/broken/refs").send().await.expect(404);
    import(&new, &file, Some("broken")).await.unwrap();
    assert_eq!(problems(&new).await, 0);
}

/// The file without one of its objects, its checksum made to fit.
fn without(file: &[u8], nth: usize) -> Option<Vec<u8>> {
    let mut kept = file[..8].to_vec();
    let (mut at, mut objects) = (8, 0);
    loop {
        let kind = file[at];
        let length = u64::from_le_bytes(file[at + 1..at + 9].try_into().unwrap()) as usize;
        if kind == 4 {
            break;
        }
        if kind != 2 || objects != nth {
            kept.extend_from_slice(&file[at..at + 9 + length]);
        }
        objects += usize::from(kind == 2);
        at += 9 + length;
    }
    kept.extend_from_slice(&file[at..at + 9]);
    let checksum = *blake3::hash(&kept).as_bytes();
    kept.extend_from_slice(&checksum);
    (nth < objects).then_some(kept)
}

#[tokio::test]
async fn an_object_that_is_lacking_is_noticed_whichever_it_is() {
    let (old, _) = source().await;
    let file = export(&old, &old.record("alice", "demo").await).await;
    let new = TestApp::on_disk().await;
    let mut nth = 0;
    while let Some(lacking) = without(&file, nth) {
        let refused = import(&new, &lacking, None).await;
        assert!(matches!(refused, Err(PortableError::Malformed { .. })), "{nth}: {refused:?}");
        nth += 1;
    }
    assert_eq!(nth, 12, "four commits, three snapshots, five blobs");
}

/// What an import leaves that was cut off between its log and its record is finished by the next one.
#[tokio::test]
async fn an_import_that_was_cut_off_is_invisible_and_can_be_tried_again() {
    let (old, history) = source().await;
    let file = export(&old, &old.record("alice", "demo").await).await;
    let new = TestApp::on_disk().await;
    let (whole, _) = import(&new, &file, None).await.unwrap();
    let store = new.directory().unwrap().join("store");
    let cut = tempfile::tempdir().unwrap();
    crate::durability::copy(&store, &cut.path().join("store"));
    std::fs::remove_file(cut.path().join("store/repositories/alice/demo/000000000002.json")).unwrap();
    let last = cut.path().join(format!("store/refs/{}/main/000000000002.json", whole.repo_id));
    std::fs::remove_file(last).unwrap();

    let app = TestApp::open(cut.path()).await;
    app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let _ = app.get("/alice/demo/refs").send().await.expect(404);
    let (again, _) = import(&app, &file, None).await.unwrap();
    assert_eq!(again, whole);
    let clone = app.client("alice", "demo", None).await.clone_repository().await.unwrap();
    assert_eq!(clone.branches, history.branches);
    assert_eq!(problems(&app).await, 0);
}

/// The frames of a file between its beginning and its checksum.
fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut frames, mut at) = (Vec::new(), 8);
    while file[at] != 4 {
        let length = u64::from_le_bytes(file[at + 1..at + 9].try_into().unwrap()) as usize;
        frames.push(file[at..at + 9 + length].to_vec());
        at += 9 + length;
    }
    frames
}

/// A file of frames, with the checksum that fits them.
fn file_of<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut file = b"MHEX\x01\0\0\0".to_vec();
    file.extend(frames.into_iter().flatten());
    file.push(4);
    file.extend(32_u64.to_le_bytes());
    let checksum = *blake3::hash(&file).as_bytes();
    file.extend(checksum);
    file
}

/// A frame whose text is changed.
fn edited(frame: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(frame[9..].to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    let text = text.replace(from, to);
    [&frame[..1], &(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Whatever the order of the frames: the file is refused and leaves nothing, or it says the same.
#[tokio::test]
async fn a_file_with_its_frames_in_another_order_is_refused_or_says_the_same() {
    let old = TestApp::new().await;
    let mut client = old.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    client.push(&history, "main", false).await.unwrap();
    history.fork("topic/x", "main");
    history.commit_file("topic/x", "two", "b.txt");
    client.push(&history, "topic/x", false).await.unwrap();
    history.merge("main", "topic/x");
    client.push(&history, "main", false).await.unwrap();
    let file = export(&old, &old.record("alice", "demo").await).await;
    let frames = frames(&file);
    assert_eq!(file_of(&frames), file);
    let new = TestApp::on_disk().await;
    let (mut refused, mut taken) = (0, 0);
    for from in 1..frames.len() {
        for to in 1..frames.len() {
            let mut other = frames.clone();
            let moved = other.remove(from);
            other.insert(to, moved);
            let name = format!("other-{from}-{to}");
            match import(&new, &file_of(&other), Some(&name)).await {
                Err(PortableError::Malformed { .. }) => {
                    refused += 1;
                    let _ = new.get(&format!("/carol/{name}/refs")).send().await.expect(404);
                }
                Ok(_) => {
                    taken += 1;
                    let clone = new.client("carol", &name, None).await.clone_repository().await.unwrap();
                    assert_eq!(clone.branches, history.branches, "{name}");
                }
                Err(other) => panic!("{name}: {other:?}"),
            }
        }
    }
    assert!(refused > 20 && taken > 20, "{refused} refused, {taken} taken");
    assert_eq!(problems(&new).await, 0);
    let backend = Backend::local(&new.directory().unwrap().join("store")).unwrap();
    let index = musehub_store::SqlIndex::in_memory().await.unwrap();
    let again = musehub_server::App::over(
        backend.clone(),
        RefLog::new(backend),
        index,
        musehub_server::Limits::default(),
    );
    assert_eq!(again.hub.catch_up().await.unwrap().failed.len(), 0, "a server starts over it");
}

#[tokio::test]
async fn a_move_comes_after_all_that_it_stands_on() {
    let (old, _) = source().await;
    let frames = frames(&export(&old, &old.record("alice", "demo").await).await);
    let new = TestApp::on_disk().await;
    let kinds: Vec<u8> = frames.iter().map(|frame| frame[0]).collect();
    let (moves, objects): (Vec<_>, Vec<_>) = (1..frames.len()).partition(|at| kinds[*at] == 3);
    // All moves first, and every object of the last move after it.
    let early: Vec<&Vec<u8>> = [0].iter().chain(&moves).chain(&objects).map(|at| &frames[*at]).collect();
    let mut late: Vec<&Vec<u8>> = frames.iter().collect();
    let last = late.pop().unwrap();
    let first_of_last = late.iter().rposition(|frame| frame[0] == 3).unwrap() + 1;
    late.insert(first_of_last, last);
    for order in [early, late] {
        let refused = import(&new, &file_of(order), Some("early")).await;
        assert!(matches!(refused, Err(PortableError::Malformed { .. })), "{refused:?}");
        let _ = new.get("/carol/early/refs").send().await.expect(404);
    }
}

#[tokio::test]
async fn a_file_keeps_to_what_a_repository_may_be() {
    let (old, _) = source().await;
    let frames = frames(&export(&old, &old.record("alice", "demo").await).await);
    let new = TestApp::on_disk().await;
    let with = |at: usize, from: &str, to: &str| {
        let mut frames = frames.clone();
        frames[at] = edited(&frames[at], from, to);
        file_of(&frames)
    };
    let beside: Vec<Vec<u8>> = frames
        .iter()
        .map(
            |frame| {
                if frame[0] == 3 { edited(frame, "\"branch\":\"", "\"branch\":\"") } else { frame.clone() }
            },
        )
        .map(|frame| {
            let topic = frame[0] == 3 && String::from_utf8_lossy(&frame).contains("topic/x");
            if topic { edited(&frame, "topic/x", "main/x") } else { frame }
        })
        .collect();
    let long = format!("\"description\":\"{}", "x".repeat(5000));
    let cases = [
        (with(0, "\"required_approvals\":0", "\"required_approvals\":1000"), "approvals"),
        (with(0, "\"description\":\"", &long), "description"),
        (with(0, "\"accept_opaque_ids\":false", "\"accept_opaque_ids\":true"), "--accept-opaque-ids"),
        (file_of(&beside), "cannot be beside"),
    ];
    for (file, expected) in cases {
        let refused = import(&new, &file, Some("limits")).await.unwrap_err();
        assert!(matches!(refused, PortableError::Malformed { .. }), "{refused:?}");
        assert!(refused.to_string().contains(expected), "{expected}: {refused}");
    }
    let small = [
        ImportOptions { max_blob: 1 << 20, ..ImportOptions::default() },
        ImportOptions { max_snapshot: 100, ..ImportOptions::default() },
    ];
    for options in small {
        let refused =
            new.app.recovery.import(&mut Cursor::new(file_of(&frames)), &options, &mut |_| {}).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("at most"), "{refused}");
    }
    let _ = new.get("/alice/demo/refs").send().await.expect(404);
    import(&new, &file_of(&frames), Some("limits")).await.unwrap();
}
