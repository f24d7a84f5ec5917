//! Servers whose objects rest in an S3-compatible store.

use std::path::Path;
use std::process::Command;

use musehub_test_services::s3::{BUCKET, Kind, Server as Store, fresh_prefix};
use musehub_test_support::History;
use musehub_test_support::history::{noise, write};

use crate::http::client;
use crate::process::{Ran, Server, musehub};
use crate::push::assert_same;

/// A command over a prefix of a store's bucket, with a data directory for the rest.
fn over(store: &Store, url: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = musehub(arguments);
    command.envs(&store.settings).args(["--store", url, "--data"]).arg(data);
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
