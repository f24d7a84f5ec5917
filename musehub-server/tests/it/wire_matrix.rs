//! A repository that clients of one generation pushed is got by those of every other, with the same ids and files.

use std::fmt::Write as _;
use std::sync::Arc;

use musehub_test_support::history::{noise, write};
use musehub_test_support::id::Ids;
use musehub_test_support::mpack_client::PackForm;
use musehub_test_support::{Fetched, History, TestApp, WireClient};

/// The generations, the later one in both of its forms.
const GENERATIONS: [&str; 4] = ["json", "mwp", "mpack", "mpack-map"];

async fn client(app: &TestApp, slug: &str, generation: &str, ids: Ids) -> Box<dyn WireClient> {
    match generation {
        "json" => {
            let mut client = app.json_client("alice", slug, Some("alice")).await;
            client.ids = ids;
            Box::new(client)
        }
        "mwp" => {
            let mut client = app.client("alice", slug, Some("alice")).await;
            client.ids = ids;
            Box::new(client)
        }
        _ => {
            let mut client = app.mpack_client("alice", slug, Some("alice")).await;
            client.ids = ids;
            client.form = if generation == "mpack" { PackForm::Container } else { PackForm::Map };
            Box::new(client)
        }
    }
}

async fn repository(app: &TestApp, slug: &str, ids: Ids) {
    let mut body = serde_json::json!({"name": slug, "visibility": "public"});
    if ids == Ids::Typed {
        // Clients of March 2026 have a first push taken as one of their own ids.
        body["scheme"] = "typed-v1".into();
    }
    let token = app.token("alice").await;
    let _ = app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(201);
}

/// Two branches, a merge, an empty file, names beyond ASCII, and a file that is too large to be sent in one piece.
fn history(ids: Ids) -> History {
    let mut history = History::with_ids(ids);
    history.commit("main", "Añadir 🎵\nline2", |tree| {
        write(tree, "a/é.txt", "");
        write(tree, "a.b", "dot\n");
        write(tree, "😀", "smile\n");
    });
    history.fork("side", "main");
    history.commit_file("side", "aside", "side.txt");
    history.commit("main", "large", |tree| write(tree, "large.bin", noise(7, (1 << 20) + 1)));
    history.merge("main", "side");
    history
}

/// Pushes by one generation, fetches by another, and the other way round on top of that; what differs, or nothing.
async fn exchange(app: &TestApp, slug: &str, pusher: &str, fetcher: &str, ids: Ids) -> Result<(), String> {
    repository(app, slug, ids).await;
    let mut history = history(ids);
    let mut pushes = client(app, slug, pusher, ids).await;
    let mut fetches = client(app, slug, fetcher, ids).await;
    for branch in ["main", "side"] {
        pushes.push(&history, branch).await?;
    }
    same(&fetches.fetch().await?, &history)?;
    history.commit_file("main", "back", "back.txt");
    fetches.push(&history, "main").await?;
    same(&pushes.fetch().await?, &history).map_err(|error| format!("on the way back: {error}"))
}

/// Compares heads, ids of commits, parents, snapshots and every tree.
fn same(fetched: &Fetched, history: &History) -> Result<(), String> {
    let expected = Fetched::of(history);
    if fetched.heads != expected.heads {
        return Err(format!("other heads: {:?}", fetched.heads));
    }
    if !fetched.commits.keys().eq(expected.commits.keys()) {
        return Err("other commits".into());
    }
    let differs = fetched.commits.iter().find(|(id, commit)| expected.commits[*id] != **commit);
    differs.map_or(Ok(()), |(id, _)| Err(format!("commit {id} has other parents or files")))
}

#[tokio::test]
async fn what_one_generation_pushes_every_generation_gets() {
    let mut table =
        format!("{:10}{:12}{}\n", "ids", "pushed by", GENERATIONS.map(|to| format!("{to:12}")).concat());
    let mut failed = Vec::new();
    for (name, ids) in [("flat-v1", Ids::Flat), ("typed-v1", Ids::Typed)] {
        let app = TestApp::new().await;
        for pusher in GENERATIONS {
            write!(table, "{name:10}{pusher:12}").unwrap();
            for fetcher in GENERATIONS {
                let slug = format!("{pusher}-to-{fetcher}");
                let done = exchange(&app, &slug, pusher, fetcher, ids).await;
                write!(table, "{:12}", if done.is_ok() { "same" } else { "FAILED" }).unwrap();
                failed.extend(done.err().map(|error| format!("{name}, {slug}: {error}")));
            }
            table.push('\n');
        }
    }
    println!("{table}");
    assert!(failed.is_empty(), "{table}\n{failed:#?}");
}

#[tokio::test]
async fn a_first_push_of_packs_decides_the_scheme_by_its_ids() {
    let app = TestApp::new().await;
    for (slug, ids, scheme) in [("flat", Ids::Flat, "flat-v1"), ("typed", Ids::Typed, "typed-v1")] {
        repository(&app, slug, Ids::Flat).await;
        let history = history(ids);
        client(&app, slug, "mpack", ids).await.push(&history, "main").await.unwrap();
        assert_eq!(app.record("alice", slug).await.scheme.unwrap().to_string(), scheme);
    }
    // The client of March 2026 itself hashes contents without a header: it refuses what it does not know.
    let march = app.client("alice", "typed", Some("alice")).await;
    let refused = march.clone_repository().await.unwrap_err();
    assert!(refused.status == 0 && refused.body.contains("has the id"), "{refused}");
}

#[tokio::test]
async fn a_push_of_what_another_generation_pushed_changes_nothing() {
    let app = TestApp::new().await;
    for first in GENERATIONS {
        for second in GENERATIONS {
            let slug = format!("{first}-then-{second}");
            repository(&app, &slug, Ids::Flat).await;
            let history = history(Ids::Flat);
            client(&app, &slug, first, Ids::Flat).await.push(&history, "main").await.unwrap();
            let before = app.record("alice", &slug).await;
            client(&app, &slug, second, Ids::Flat).await.push(&history, "main").await.unwrap();
            let repo = Arc::new(app.record("alice", &slug).await);
            assert_eq!(*repo, before);
            assert_eq!(app.app.hub.commit_count(&repo).await.unwrap(), history.commits.len() as u64);
        }
    }
}
