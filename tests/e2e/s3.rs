//! Servers whose objects rest in an S3-compatible store.

use std::path::Path;
use std::process::Command;

use musehub_test_services::proxy::Proxy;
use musehub_test_services::s3::{BUCKET, Kind, Server as Store, fresh_prefix};
use musehub_test_support::History;
use musehub_test_support::history::{noise, write};

use crate::http::client;
use crate::process::{self, Ran, Server};
use crate::push::assert_same;

/// A command over a prefix of a store's bucket, with a data directory for the rest.
fn over(store: &Store, url: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = process::over(data, arguments);
    command.envs(&store.settings).args(["--store", url]);
    command
}

#[tokio::test]
async fn what_was_pushed_outlives_the_server_and_its_database() {
    let store = Store::of(Kind::S3sFs);
    let url = format!("s3://{BUCKET}/{}", fresh_prefix());
    let data = tempfile::tempdir().unwrap();
    let _ = Ran::of(&mut over(&store, &url, data.path(), &["repo", "create", "alice/tunes"])).expect(0);
    let token = Ran::of(&mut over(&store, &url, data.path(), &["token", "create", "alice"])).expect(0);
    let token = token.out.lines().last().unwrap();

    let mut source = History::new();
    // Larger than what is written in one request.
    let _ = source.commit("main", "large", |tree| write(tree, "large.bin", noise(1, 40 << 20)));
    let mut server = Server::serve(&mut over(&store, &url, data.path(), &["serve"]));
    for number in 0..5 {
        let _ = source.commit_file("main", &format!("change {number}"), "song.txt");
        let _ = client(&server, "alice", "tunes", Some(token)).push(&source, "main", false).await.unwrap();
    }
    server.process.kill();
    assert!(!data.path().join("store").exists(), "objects are on this machine");

    // Another machine, which has no database.
    let other = tempfile::tempdir().unwrap();
    let server = Server::serve(&mut over(&store, &url, other.path(), &["serve"]));
    assert_same(&client(&server, "alice", "tunes", None).clone_repository().await.unwrap(), &source);
}

#[tokio::test]
async fn a_store_that_overwrites_serves_one_process_that_promises_to_be_the_only_one() {
    let store = Store::of(Kind::Moto);
    let proxy = Proxy::start(store.address()).await;
    proxy.ignore_conditions();
    let store = store.through(proxy.address);
    let url = format!("s3://{BUCKET}/{}", fresh_prefix());
    let data = tempfile::tempdir().unwrap();
    let create = async |options: &[&str]| {
        let mut command = over(&store, &url, data.path(), &["repo", "create", "alice/tunes"]);
        command.args(options);
        // The proxy runs on this thread.
        tokio::task::spawn_blocking(move || Ran::of(&mut command)).await.unwrap()
    };
    assert!(create(&[]).await.expect(2).err.contains("--only-process"));
    let _ = create(&["--only-process"]).await.expect(0);
    let again = create(&["--only-process"]).await;
    assert!(again.status != 0 && again.err.contains("alice/tunes"), "{again:?}");
}

#[tokio::test]
async fn two_servers_on_one_bucket_and_one_file_of_sqlite_serve_the_same_repositories() {
    const ROUNDS: usize = 8;
    // Decides races as S3 does.
    let store = Store::of(Kind::Moto);
    let url = format!("s3://{BUCKET}/{}", fresh_prefix());
    let data = tempfile::tempdir().unwrap();
    let _ = Ran::of(&mut over(&store, &url, data.path(), &["repo", "create", "alice/tunes"])).expect(0);
    let token = Ran::of(&mut over(&store, &url, data.path(), &["token", "create", "alice"])).expect(0);
    let token = token.out.lines().last().unwrap();
    let serve = || Server::serve(&mut over(&store, &url, data.path(), &["serve"]));
    let mut servers = [serve(), serve()];
    let mut base = History::new();
    let _ = base.commit_file("main", "root", "song.txt");
    let _ = client(&servers[0], "alice", "tunes", Some(token)).push(&base, "main", false).await.unwrap();
    for round in 0..ROUNDS {
        // To one branch through both: one wins. To a branch of each: both do.
        let racers = ["left", "right"].map(|name| {
            let mut history = base.clone();
            let own = format!("{name}-{round}");
            history.branch(&own, base.head("main"));
            let _ = history.commit_file(&own, &format!("{name} {round}"), &format!("{name}.txt"));
            let _ = history.commit_file("main", &format!("{name} {round}"), "song.txt");
            (history, own)
        });
        let pushing = racers.iter().zip(&servers).map(|((history, own), server)| {
            let mut remote = client(server, "alice", "tunes", Some(token));
            async move {
                let mine = remote.push(history, own, false).await.map(drop);
                (mine, remote.push(history, "main", false).await.map(drop))
            }
        });
        let pushed = futures::future::join_all(pushing).await;
        let mut winners = Vec::new();
        for ((history, own), (mine, main)) in racers.iter().zip(pushed) {
            mine.unwrap_or_else(|error| panic!("round {round}, {own}: {error}"));
            match main {
                Ok(()) => winners.push(history),
                Err(error) => assert_eq!(error.status, 409, "round {round}: {error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        if round == ROUNDS / 2 {
            servers[0].process.kill();
            servers[0] = serve();
        }
        let mut seen = Vec::new();
        for server in &servers {
            seen.push(client(server, "alice", "tunes", None).clone_repository().await.unwrap());
        }
        assert_same(&seen[0], &seen[1]);
        assert_eq!(seen[0].head("main"), winners[0].head("main"), "round {round}");
        for (history, own) in &racers {
            assert_eq!(seen[0].head(own), history.head(own), "round {round}");
        }
        base = seen.swap_remove(0);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_told_before_anything_is_served() {
    let data = tempfile::tempdir().unwrap();
    let why =
        |store: &Store, url: &str| Ran::of(&mut over(store, url, data.path(), &["serve"])).expect(2).err;
    let (s3s_fs, moto) = (Store::of(Kind::S3sFs), Store::of(Kind::Moto));
    assert!(why(&moto, "s3://nowhere/hub").contains("there is no such bucket"));
    let stranger = s3s_fs.with("AWS_SECRET_ACCESS_KEY", "guessed");
    assert!(why(&stranger, &format!("s3://{BUCKET}")).contains("refuses these credentials"));
    let far = s3s_fs.with("AWS_ENDPOINT_URL", "http://store.example:9000");
    assert!(why(&far, &format!("s3://{BUCKET}")).contains("AWS_ALLOW_HTTP"));
    let ran = Ran::of(&mut over(&s3s_fs, "gs://hub", data.path(), &["serve"])).expect(2);
    assert!(ran.err.contains("s3://BUCKET/PREFIX"), "{ran:?}");
}

/// What docs/OPERATIONS.md counts on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_of_one_upload_to_a_branch_that_is_there_asks_fifteen_times() {
    let store = Store::of(Kind::S3sFs);
    let proxy = Proxy::start(store.address()).await;
    let store = store.through(proxy.address);
    let url = format!("s3://{BUCKET}/{}", fresh_prefix());
    let data = tempfile::tempdir().unwrap();
    let _ = Ran::of(&mut over(&store, &url, data.path(), &["repo", "create", "alice/tunes"])).expect(0);
    let token = Ran::of(&mut over(&store, &url, data.path(), &["token", "create", "alice"])).expect(0);
    let token = token.out.lines().last().unwrap();
    let server = Server::serve(&mut over(&store, &url, data.path(), &["serve"]));
    let mut remote = client(&server, "alice", "tunes", Some(token));
    let mut source = History::new();
    let _ = source.commit_file("main", "root", "song.txt");
    source.fork("side", "main");
    let _ = remote.push(&source, "main", false).await.unwrap();
    let _ = source.commit_file("side", "first", "side.txt");
    let _ = remote.push(&source, "side", false).await.unwrap();
    // Nothing else asks from here on.
    for done in [" upkeep done ", " job done "] {
        server.process.wait_for(done, |line| line.contains(done).then_some(()));
    }

    proxy.plan(|_| None);
    let _ = source.commit_file("side", "second", "side.txt");
    let _ = remote.push(&source, "side", false).await.unwrap();
    let mut asked: Vec<String> = Vec::new();
    for (call, _) in proxy.calls() {
        let path = call.target.split_once(&url["s3://".len()..]).map_or("", |(_, path)| path);
        let part = path.trim_start_matches('/').split(['/', '?']).next().unwrap();
        let listing = call.target.contains("list-type");
        let folder = call.target.split("prefix=").nth(1).and_then(|prefix| prefix.split("%2F").nth(2));
        let what = if listing { folder.unwrap_or_default() } else { part };
        let method = if listing { "LIST" } else { call.method.as_str() };
        asked.push(format!("{method} {what}").trim_end().to_owned());
    }
    asked.sort_unstable();
    let expected = [
        "GET staging",
        "GET staging",
        "HEAD packs",
        "HEAD packs",
        "LIST refs",
        "LIST staging",
        "LIST staging",
        "LIST staging",
        "POST",
        "POST",
        "PUT packs",
        "PUT packs",
        "PUT refs",
        "PUT staging",
        "PUT staging",
    ];
    assert_eq!(asked, expected, "{:#?}", proxy.calls());
}
