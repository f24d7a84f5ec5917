//! What the crash matrix strikes at: hubs with some history, made once, copied for every case, and aged.

use std::fs::{self, File};

use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, rows};
use serde_json::Value;

use crate::crash_place::Place;
use crate::crash_table::POINT;
use crate::http::client;

/// The file that [`Scene::exported`] makes, in the directory that commands run in.
pub(crate) const EXPORT: &str = "tunes.mhex";

/// A hub that nobody serves, and what was pushed to `alice/tunes` in it. `alice/new` is empty.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) token: String,
    pub(crate) tunes: History,
    /// What `alice/rows` has, where it came as rows.
    pub(crate) rows: Option<History>,
}

/// Makes a token with the command line.
fn create_token(place: &Place) -> String {
    let ran = place.run(&["token", "create", "alice"]).expect(0);
    ran.out.lines().last().unwrap().to_owned()
}

impl Scene {
    pub(crate) async fn new(place: Place) -> Self {
        let _ = place.run(&["repo", "create", "alice/tunes"]).expect(0);
        let token = create_token(&place);
        let _ = place.run(&["repo", "create", "alice/new"]).expect(0);
        let mut tunes = History::new();
        let mut server = place.serve();
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
        Self { place, token, tunes, rows: None }
    }

    /// The same, three hours later, with what a push leaves that was cut off before its log entry: an orphaned pack and an
    /// upload that nobody claimed. The database is made anew, since the log is another one now.
    pub(crate) async fn aged(place: Place) -> Self {
        let mut scene = Self::new(place).await;
        let mut server = scene.place.serve_with(&[(POINT, "abort:1:put refs/*.json")]);
        let mut lost = History::new();
        let _ = lost.commit_file("lost", "lost", "lost.txt");
        let mut remote = client(&server, "alice", "tunes", Some(&scene.token));
        assert_eq!(remote.push(&lost, "lost", false).await.unwrap_err().status, 0);
        server.process.kill();
        for path in scene.place.under("refs") {
            let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            entry["at"] = (entry["at"].as_i64().unwrap() - 3 * 60 * 60 * 1000).into();
            // As entries were before they had a checksum.
            entry["format"] = 1.into();
            let _ = entry.as_object_mut().unwrap().remove("blake3");
            fs::write(&path, entry.to_string()).unwrap();
        }
        scene.place.without_database().await;
        scene.place.serve().process.kill();
        scene.token = create_token(&scene.place);
        scene.place.later();
        scene
    }

    /// The same, and `alice/rows`, whose objects are not written yet.
    pub(crate) async fn with_rows(place: Place) -> Self {
        let scene = Self::new(place).await;
        let mut came = History::new();
        for number in 0..3 {
            let _ = came.commit_file("main", &format!("row {number}"), &format!("{number}.txt"));
        }
        came.fork("old", "main");
        let _ = came.commit_file("main", "the last row", "last.txt");
        fs::write(scene.place.path().join("rows.jsonl"), rows::file(&came, "alice", "rows")).unwrap();
        let _ = scene.place.run(&["load-rows", "rows.jsonl"]).expect(0);
        Self { rows: Some(came), ..scene }
    }

    /// The same, and `alice/tunes` in a file.
    pub(crate) async fn exported(place: Place) -> Self {
        let scene = Self::new(place).await;
        let _ = scene.place.run(&["export", "alice/tunes", EXPORT]).expect(0);
        scene
    }
}

/// Cuts every upload in staging in half, as a power cut may.
pub(crate) fn halve_uploads(place: &Place) {
    for path in place.under("staging") {
        if path.extension().is_some_and(|extension| extension == "pack") {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
    }
}
