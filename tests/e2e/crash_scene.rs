//! Data directories for the crash matrix: made once, copied for every case, aged, and compared.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, rows};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::client;
use crate::process::{Server, create_token, musehub, run};
use crate::push::repository;

/// A data directory that nobody serves, and what was pushed to `alice/tunes` in it. `alice/new` is empty.
pub(crate) struct Scene {
    data: TempDir,
    pub(crate) token: String,
    pub(crate) tunes: History,
    /// What `alice/rows` has, where it came as rows.
    pub(crate) rows: Option<History>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let (data, token) = repository();
        let _ = run(data.path(), &["repo", "create", "alice/new"]).expect(0);
        let mut tunes = History::new();
        let mut server = Server::start(data.path());
        let mut remote = client(&server, "alice", "tunes", Some(&token));
        for number in 0..3 {
            let _ = tunes.commit("main", &format!("change {number}"), |tree| {
                write(tree, &format!("{number}.bin"), noise(number, 3_000));
            });
            let _ = remote.push(&tunes, "main", false).await.unwrap();
        }
        tunes.fork("side/line", "main");
        let _ = tunes.commit_file("side/line", "aside", "aside.txt");
        let _ = remote.push(&tunes, "side/line", false).await.unwrap();
        server.process.kill();
        Self { data, token, tunes, rows: None }
    }

    /// The same, three hours later, with what a push leaves that was cut off before its log entry: an orphaned pack and an
    /// upload that nobody claimed. The database is made anew, since the log is another one now.
    pub(crate) async fn aged() -> Self {
        let mut scene = Self::new().await;
        let data = scene.data.path();
        let mut server =
            Server::serve(musehub(&["serve"]).arg("--data").arg(data).env(POINT, "abort:1:put refs/*.json"));
        let mut lost = History::new();
        let _ = lost.commit_file("lost", "lost", "lost.txt");
        let mut remote = client(&server, "alice", "tunes", Some(&scene.token));
        assert_eq!(remote.push(&lost, "lost", false).await.unwrap_err().status, 0);
        server.process.kill();
        for (path, _) in files(&data.join("store/refs")) {
            let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            entry["at"] = (entry["at"].as_i64().unwrap() - 3 * 60 * 60 * 1000).into();
            fs::write(&path, entry.to_string()).unwrap();
        }
        without_database(data);
        Server::start(data).process.kill();
        scene.token = create_token(data, "alice");
        scene.later();
        scene
    }

    /// The same, and `alice/rows`, whose objects are not written yet.
    pub(crate) async fn with_rows() -> Self {
        let scene = Self::new().await;
        let mut came = History::new();
        for number in 0..3 {
            let _ = came.commit_file("main", &format!("row {number}"), &format!("{number}.txt"));
        }
        came.fork("old", "main");
        let _ = came.commit_file("main", "the last row", "last.txt");
        let file = scene.path().join("rows.jsonl");
        fs::write(&file, rows::file(&came, "alice", "rows")).unwrap();
        let _ = run(scene.path(), &["load-rows", file.to_str().unwrap()]).expect(0);
        Self { rows: Some(came), ..scene }
    }

    /// Lets three hours pass for the files of the store, and ends all leases.
    pub(crate) fn later(&self) {
        later(self.data.path());
    }

    pub(crate) fn path(&self) -> &Path {
        self.data.path()
    }

    /// A copy, with the times of its files.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for (path, modified) in files(self.path()) {
            let target = copy.path().join(path.strip_prefix(self.path()).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&path, &target).unwrap();
            File::options().write(true).open(&target).unwrap().set_modified(modified).unwrap();
        }
        copy
    }
}

/// The variable that names what fails.
pub(crate) const POINT: &str = "MUSEHUB_FAILPOINT";

/// Lets three hours pass for the files of a store, and ends all leases.
pub(crate) fn later(data: &Path) {
    end_leases(data);
    for (path, modified) in files(&data.join("store")) {
        let earlier = modified - Duration::from_secs(3 * 60 * 60);
        File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
    }
}

/// A lease that a dead process held ends after ten minutes.
pub(crate) fn end_leases(data: &Path) {
    let _ = fs::remove_dir_all(data.join("store/leases"));
}

/// Removes the database.
pub(crate) fn without_database(data: &Path) {
    for file in ["musehub.db", "musehub.db-wal", "musehub.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
}

/// Every file below a directory, and when it was written.
fn files(directory: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                found.push((entry.path(), entry.metadata().unwrap().modified().unwrap()));
            }
        }
    }
    found
}

/// Cuts every upload in staging in half, as a power cut may.
pub(crate) fn halve_uploads(data: &Path) {
    for (path, _) in files(&data.join("store/staging")) {
        if path.extension().is_some_and(|extension| extension == "pack") {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
    }
}

/// The files of a store by their kind.
pub(crate) fn census(data: &Path) -> BTreeMap<String, i64> {
    let store = data.join("store");
    let mut census = BTreeMap::new();
    for (path, _) in files(&store) {
        let path = path.strip_prefix(&store).unwrap().to_str().unwrap();
        let top = path.split('/').next().unwrap();
        if top != "leases" {
            let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
            *census.entry(format!("{top}.{extension}")).or_default() += 1;
        }
    }
    census
}

/// What came and what went, in words.
pub(crate) fn difference(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> String {
    let kinds: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let count = |census: &BTreeMap<String, i64>, kind| census.get(kind).copied().unwrap_or(0);
    let changes: Vec<String> = kinds
        .into_iter()
        .map(|kind| (kind, count(after, kind) - count(before, kind)))
        .filter(|(_, change)| *change != 0)
        .map(|(kind, change)| format!("{change:+} {kind}"))
        .collect();
    if changes.is_empty() { "as before".to_owned() } else { changes.join(" ") }
}
