//! A repository that clients of one generation pushed is got by those of every other, with the same ids and files.

use std::sync::Arc;

use musehub_test_support::history::{noise, write};
use musehub_test_support::{Fetched, History, JsonClient, MuseClient, TestApp, WireClient};

/// The generations that read and write histories of scheme `flat-v1`.
const GENERATIONS: [&str; 2] = ["json", "mwp"];

async fn client(app: &TestApp, slug: &str, generation: &str) -> Box<dyn WireClient> {
    match generation {
        "json" => {
            let client: JsonClient = app.json_client("alice", slug, Some("alice")).await;
            Box::new(client)
        }
        "mwp" => {
            let client: MuseClient = app.client("alice", slug, Some("alice")).await;
            Box::new(client)
        }
        other => panic!("no generation {other:?}"),
    }
}

/// Two branches, a merge, an empty file, names beyond ASCII, and a file that is too large to be sent in one piece.
fn history() -> History {
    let mut history = History::new();
    history.commit("main", "Añadir 🎵\nline2", |tree| {
        write(tree, "a/é.txt", "");
        write(tree, "a.b", "dot\n");
        write(tree, "😀", "smile\n");
    });
    history.fork("side", "main");
    history.commit_file("side", "aside", "side.txt");
    history.commit("main", "large", |tree| write(tree, "large.bin", noise(7, (5 << 20) + 1)));
    history.merge("main", "side");
    history
}

#[tokio::test]
async fn what_one_generation_pushes_every_generation_gets() {
    let app = TestApp::new().await;
    for pusher in GENERATIONS {
        for fetcher in GENERATIONS {
            let slug = format!("{pusher}-to-{fetcher}");
            drop(app.repository("alice", &slug).await);
            let mut history = history();
            let mut pushes = client(&app, &slug, pusher).await;
            let mut fetches = client(&app, &slug, fetcher).await;
            for branch in ["main", "side"] {
                pushes.push(&history, branch).await.unwrap_or_else(|error| panic!("{slug}: {error}"));
            }
            let fetched = fetches.fetch().await.unwrap_or_else(|error| panic!("{slug}: {error}"));
            assert_eq!(fetched.heads, history.branches, "{slug}");
            assert!(fetched == Fetched::of(&history), "{slug}: other commits or files came");

            // And the other way round, on top of that.
            history.commit_file("main", "back", "back.txt");
            fetches.push(&history, "main").await.unwrap_or_else(|error| panic!("{slug}: {error}"));
            let fetched = pushes.fetch().await.unwrap_or_else(|error| panic!("{slug}: {error}"));
            assert!(fetched == Fetched::of(&history), "{slug}: other commits or files came back");
        }
    }
}

#[tokio::test]
async fn a_push_of_what_another_generation_pushed_changes_nothing() {
    let app = TestApp::new().await;
    for first in GENERATIONS {
        for second in GENERATIONS {
            let slug = format!("{first}-then-{second}");
            drop(app.repository("alice", &slug).await);
            let history = history();
            client(&app, &slug, first).await.push(&history, "main").await.unwrap();
            let before = app.record("alice", &slug).await;
            client(&app, &slug, second).await.push(&history, "main").await.unwrap();
            let repo = Arc::new(app.record("alice", &slug).await);
            assert_eq!(*repo, before);
            assert_eq!(app.app.hub.commit_count(&repo).await.unwrap(), history.commits.len() as u64);
        }
    }
}
