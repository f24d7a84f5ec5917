//! The operator's commands, as processes.

use std::fs;
use std::path::{Path, PathBuf};

use musehub_test_services::{Engine, postgres};
use musehub_test_support::{History, rows};

use crate::http::client;
use crate::process::{Ran, Server, create_token, lose_database, run};
use crate::push::{assert_same, repository};

/// A data directory with one repository of some history, and nobody serving it.
async fn pushed() -> (tempfile::TempDir, History) {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let mut source = History::new();
    let mut remote = client(&server, "alice", "tunes", Some(&token));
    for number in 0..3 {
        let _ = source.commit_file("main", &format!("change {number}"), &format!("{number}.txt"));
        let _ = remote.push(&source, "main", false).await.unwrap();
    }
    server.process.signal("TERM");
    let _ = server.process.wait();
    (data, source)
}

/// Makes the index anew. Tables of PostgreSQL's are replaced by somebody who says so.
fn rebuild(data: &Path, more: &[&str]) -> Ran {
    let replace: &[&str] = if Engine::chosen() == Engine::Postgres { &["--replace"] } else { &[] };
    run(data, &[&["rebuild-index"][..], replace, more].concat())
}

/// The files of packs with an extension, in order.
fn packs(data: &Path, extension: &str) -> Vec<PathBuf> {
    let directories = fs::read_dir(data.join("store/packs")).unwrap();
    let files = directories.flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

#[tokio::test]
async fn verify_says_whole_or_what_is_wrong_and_ends_accordingly() {
    let (data, _) = pushed().await;
    let whole = run(data.path(), &["verify", "--objects", "--progress"]).expect(0);
    assert!(whole.out.contains("1 repositories, 1 branches with 3 moves, 3 commits"), "{whole:?}");
    assert!(whole.out.contains("0 problems"), "{whole:?}");
    assert!(whole.err.contains("packs: 3 of 3"), "{whole:?}");
    assert_eq!(run(data.path(), &["verify"]).expect(0).err, "", "no progress where nobody looks");

    let damaged = &packs(data.path(), "pack")[0];
    let mut bytes = fs::read(damaged).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(damaged, bytes).unwrap();
    let name = damaged.file_stem().unwrap().to_str().unwrap();
    let _ = run(data.path(), &["verify"]).expect(0);
    let found = run(data.path(), &["verify", "--objects", "--repo", "alice/tunes"]).expect(1);
    assert!(found.out.contains(&format!("damaged-pack pack {name}")), "{found:?}");
    let json = run(data.path(), &["verify", "--objects", "--json"]).expect(1);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["problems"][0]["kind"], "damaged-pack");
    assert_eq!(json["problems"][0]["pack"], name);
    assert_eq!(json["summary"]["problems"], 1);

    let nobody = run(data.path(), &["verify", "--repo", "alice/nothing"]).expect(2);
    assert!(nobody.err.contains("alice/nothing"), "{nobody:?}");
    let empty = tempfile::tempdir().unwrap();
    let _ = run(empty.path(), &["verify"]).expect(2);
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "a check makes nothing");
    let (lost, aside) = (data.path().join("musehub.db"), data.path().join("aside.db"));
    if Engine::chosen() == Engine::Sqlite {
        fs::rename(&lost, &aside).unwrap();
        let _ = run(data.path(), &["verify"]).expect(2);
        assert!(!lost.exists(), "not even a database");
    }
}

#[tokio::test]
async fn a_lost_database_comes_back_from_the_store_and_a_backup() {
    let (data, source) = pushed().await;
    let backup = data.path().join("alone.jsonl");
    let file = backup.to_str().unwrap();
    let written = run(data.path(), &["backup", file]).expect(0);
    assert!(written.out.contains("rows in"), "{written:?}");
    let _ = run(data.path(), &["backup", file]).expect(2);

    let rebuilt = rebuild(data.path(), &["--progress"]).expect(0);
    assert!(rebuilt.out.contains("1 repositories, 3 moves, 3 commits, 3 snapshots, 3 blobs"), "{rebuilt:?}");
    assert!(rebuilt.out.contains("were carried over") && rebuilt.err.contains("moves: 3"), "{rebuilt:?}");
    assert!(rebuilt.out.contains("the old database is ") && rebuilt.out.contains("before"), "{rebuilt:?}");

    let (records, aside) = (data.path().join("store/repositories"), data.path().join("aside"));
    fs::rename(&records, &aside).unwrap();
    let refused = rebuild(data.path(), &[]).expect(2);
    assert!(
        refused.err.contains("no record of 1 repositories") && refused.err.contains("alice/tunes"),
        "{refused:?}"
    );
    let found = run(data.path(), &["verify"]).expect(1);
    assert!(found.out.contains("row-without-object alice/tunes: the store has no record of it"), "{found:?}");
    fs::rename(&aside, &records).unwrap();
    let _ = run(data.path(), &["verify"]).expect(0);

    lose_database(data.path());
    let rebuilt = rebuild(data.path(), &[]).expect(0);
    assert!(!rebuilt.out.contains("carried over"), "{rebuilt:?}");
    let _ = run(data.path(), &["restore", file]).expect(0);
    let _ = run(data.path(), &["restore", file]).expect(2);
    let _ = run(data.path(), &["restore", file, "--replace"]).expect(0);

    let server = Server::start(data.path());
    let in_use = rebuild(data.path(), &[]).expect(2);
    assert!(in_use.err.contains("must not be in use"), "{in_use:?}");
    let clone = client(&server, "alice", "tunes", None).clone_repository().await.unwrap();
    assert_same(&clone, &source);
}

#[tokio::test]
async fn an_empty_database_of_postgresql_is_filled_from_the_store_and_a_backup() {
    let (data, _) = pushed().await;
    let url = postgres::database().await;
    let [old, new] = ["old.jsonl", "new.jsonl"].map(|name| data.path().join(name).display().to_string());
    let over = |arguments: &[&str]| run(data.path(), &[arguments, &["--database", &url]].concat());
    let _ = run(data.path(), &["backup", &old]).expect(0);
    let rebuilt = over(&["rebuild-index"]).expect(0);
    assert!(rebuilt.out.contains("1 repositories, 3 moves, 3 commits, 3 snapshots, 3 blobs"), "{rebuilt:?}");
    let _ = over(&["restore", &old]).expect(0);
    let whole = over(&["verify", "--objects"]).expect(0);
    assert!(whole.out.contains("3 commits, 3 snapshots, 3 blobs, 3 packs"), "{whole:?}");
    let _ = over(&["backup", &new]).expect(0);
    let rows = |file: &str| -> Vec<String> {
        fs::read_to_string(file)
            .unwrap()
            .lines()
            .filter(|line| line.contains("\"row\""))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(rows(&new), rows(&old));
    let full = over(&["rebuild-index"]).expect(2);
    assert!(full.err.contains("name an empty database"), "{full:?}");
}

/// Where the files of a branch's moves are.
fn moves(data: &Path, repo_id: &str) -> PathBuf {
    data.join(format!("store/refs/{repo_id}/main"))
}

#[tokio::test]
async fn one_damaged_repository_stops_neither_the_server_nor_a_rebuild() {
    let (data, source) = pushed().await;
    let token = create_token(data.path(), "alice");
    let _ = run(data.path(), &["repo", "create", "alice/other"]).expect(0);
    let server = Server::start(data.path());
    let mut other = client(&server, "alice", "other", Some(&token));
    let _ = other.push(&source, "main", false).await.unwrap();
    let repo_id = client(&server, "alice", "tunes", None).refs().await.unwrap().repo_id;
    server.process.signal("TERM");
    let _ = server.process.wait();

    fs::write(moves(data.path(), &repo_id).join("000000000003.json"), "{\"format\":1,").unwrap();
    let server = Server::start(data.path());
    server.process.wait_for("the damage in the log", |line| {
        (line.contains("alice/tunes") && line.contains("000000000003.json is damaged")).then_some(())
    });
    for slug in ["other", "tunes"] {
        let clone = client(&server, "alice", slug, None).clone_repository().await.unwrap();
        assert_same(&clone, &source);
    }
    server.process.signal("TERM");
    let _ = server.process.wait();

    fs::write(moves(data.path(), &repo_id).join("000000000001.json"), "").unwrap();
    let rebuilt = rebuild(data.path(), &[]).expect(1);
    assert!(rebuilt.out.contains("2 repositories, 1 moves"), "{rebuilt:?}");
    let named = rebuilt.err.contains("alice/tunes is not whole") && rebuilt.err.contains("is damaged");
    assert!(named && !rebuilt.err.contains("alice/other"), "{rebuilt:?}");
    let server = Server::start(data.path());
    let clone = client(&server, "alice", "other", None).clone_repository().await.unwrap();
    assert_same(&clone, &source);
    let lost = client(&server, "alice", "tunes", None).clone_repository().await.unwrap_err();
    assert!(lost.status == 500 && lost.body.contains("\"damaged\""), "{lost}");
}

#[tokio::test]
async fn a_repository_goes_from_one_hub_to_another_as_a_file() {
    let (data, source) = pushed().await;
    let file = data.path().join("tunes.mhex");
    let name = file.to_str().unwrap();
    let exported = run(data.path(), &["export", "alice/tunes", name]).expect(0);
    assert!(exported.out.contains("3 moves, 3 commits, 3 snapshots, 3 blobs"), "{exported:?}");
    let _ = run(data.path(), &["export", "alice/tunes", name]).expect(2);
    let nothing = data.path().join("nothing");
    let _ = run(data.path(), &["export", "alice/nothing", nothing.to_str().unwrap()]).expect(2);
    assert!(!nothing.exists());

    let elsewhere = tempfile::tempdir().unwrap();
    let imported = run(elsewhere.path(), &["import", name, "--as", "bob/song", "--progress"]).expect(0);
    assert!(imported.out.contains("bob/song: 3 moves") && imported.err.contains("moves: 3"), "{imported:?}");
    let again = run(elsewhere.path(), &["import", name, "--as", "bob/song"]).expect(2);
    assert!(again.err.contains("bob/song exists already"), "{again:?}");
    let _ = run(elsewhere.path(), &["verify", "--objects"]).expect(0);
    let server = Server::start(elsewhere.path());
    let clone = client(&server, "bob", "song", None).clone_repository().await.unwrap();
    assert_same(&clone, &source);
}

#[tokio::test]
async fn a_repository_that_came_as_rows_is_served_before_and_after_its_objects_are_written() {
    let (data, token) = repository();
    let mut source = History::new();
    for number in 0..5 {
        let _ = source.commit_file("main", &format!("change {number}"), &format!("{number}.txt"));
    }
    source.fork("side/line", "main");
    let _ = source.commit_file("side/line", "aside", "aside.txt");
    let _ = source.merge("main", "side/line");
    let file = data.path().join("rows.jsonl");
    let name = file.to_str().unwrap();
    fs::write(&file, rows::file(&source, "alice", "rows")).unwrap();

    let server = Server::start(data.path());
    let loaded = run(data.path(), &["load-rows", name]).expect(0);
    assert!(loaded.out.contains("alice/rows: 2 branches, 7 commits, 6 snapshots, 6 blobs"), "{loaded:?}");
    let again = run(data.path(), &["load-rows", name]).expect(2);
    assert!(again.err.contains("alice/rows exists already"), "{again:?}");
    let mut remote = client(&server, "alice", "rows", Some(&token));
    assert_same(&remote.clone_repository().await.unwrap(), &source);
    let mut next = source.clone();
    let _ = next.commit_file("main", "more", "more.txt");
    let refused = remote.push(&next, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 409, "{refused:?}");
    let waiting = run(data.path(), &["verify", "--objects"]).expect(0);
    assert!(
        waiting.out.contains("13 commits and snapshots and 2 branches are in the database alone"),
        "{waiting:?}"
    );
    let backup = data.path().join("alone.jsonl");
    let backup = run(data.path(), &["backup", backup.to_str().unwrap()]).expect(2);
    assert!(backup.err.contains("run `musehub-server backfill` first"), "{backup:?}");
    let exported = data.path().join("rows.mhex");
    let _ = run(data.path(), &["export", "alice/rows", exported.to_str().unwrap()]).expect(2);

    let dry = run(data.path(), &["backfill", "--dry-run"]).expect(0);
    assert!(dry.out.contains("7 commits and 6 snapshots of 1 repositories would be stored"), "{dry:?}");
    let done = run(data.path(), &["backfill", "--json", "--progress"]).expect(0);
    let printed: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (&printed["done"]["commits"], &printed["done"]["branches"]),
        (&7.into(), &2.into()),
        "{done:?}"
    );
    assert!(done.err.contains("commits and snapshots: 13 of 13"), "{done:?}");
    let nothing = run(data.path(), &["backfill"]).expect(0);
    assert!(nothing.out.contains("0 commits and 0 snapshots of 0 repositories"), "{nothing:?}");
    assert_same(&remote.clone_repository().await.unwrap(), &source);
    let _ = remote.push(&next, "main", false).await.unwrap();
    let _ = run(data.path(), &["verify", "--objects"]).expect(0);

    server.process.signal("TERM");
    let _ = server.process.wait();
    let _ = rebuild(data.path(), &[]).expect(0);
    let server = Server::start(data.path());
    let clone = client(&server, "alice", "rows", None).clone_repository().await.unwrap();
    assert_same(&clone, &next);
    let _ = run(data.path(), &["verify", "--objects"]).expect(0);
}

#[tokio::test]
async fn an_index_is_not_made_anew_while_the_old_one_alone_has_rows() {
    let (data, _) = repository();
    let mut source = History::new();
    let _ = source.commit_file("main", "one", "one.txt");
    let file = data.path().join("rows.jsonl");
    fs::write(&file, rows::file(&source, "alice", "rows")).unwrap();
    let _ = run(data.path(), &["load-rows", file.to_str().unwrap(), "--as", "alice/other"]).expect(0);
    let refused = rebuild(data.path(), &[]).expect(2);
    assert!(
        refused.err.contains("3 commits, snapshots and branches are in the database alone"),
        "{refused:?}"
    );
    let _ = run(data.path(), &["backfill", "--repo", "alice/other"]).expect(0);
    let _ = rebuild(data.path(), &[]).expect(0);
    let server = Server::start(data.path());
    let clone = client(&server, "alice", "other", None).clone_repository().await.unwrap();
    assert_same(&clone, &source);
}
