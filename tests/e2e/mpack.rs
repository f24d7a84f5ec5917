//! Packs of the wire with processes that die, and with an object store that clients send to and get from by themselves.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use musehub_test_services::s3::{BUCKET, Kind, Server as Store, fresh_prefix};
use musehub_test_support::History;
use musehub_test_support::history::{noise, write};
use musehub_test_support::id::object_id;
use musehub_test_support::mpack_client::container_of;
use musehub_test_support::record::{get, map, texts};
use serde_json::{Value, json};

use crate::crash_table::POINT;
use crate::http::{client, mpack_client, send};
use crate::process::{PATIENCE, Process, Ran, Server, create_token, over, run};
use crate::push::assert_same;

/// A history whose pack has everything: several commits, deltas, an object that comes in pieces.
fn history(seed: u64) -> History {
    let mut history = History::new();
    for number in 0..3 {
        let _ = history.commit("main", &format!("change {number} of {seed}"), |tree| {
            write(tree, &format!("src/{number}.py"), format!("def f{number}():\n    return {seed}\n"));
        });
    }
    let _ = history.commit("main", "large", |tree| write(tree, "large.bin", noise(seed, 3 << 20)));
    history
}

/// A worker, once it works.
fn worker(data: &Path, failpoint: Option<&str>) -> Process {
    let mut command = over(data, &["worker", "--job-lease", "1", "--jobs", "1"]);
    command.env("RUST_LOG", "info,musehub_server=debug");
    if let Some(failpoint) = failpoint {
        command.env(POINT, failpoint);
    }
    let worker = Process::start(&mut command).unwrap();
    worker.wait_for("worker", |line| line.contains(" working ").then_some(()));
    worker
}

/// Waits until the job of a push is over, and gives what is said of it.
async fn polled(server: &Server, slug: &str, token: &str, job: &str) -> Value {
    let remote = mpack_client(server.address, "alice", slug, Some(token));
    let started = Instant::now();
    loop {
        let job = remote.call("GET", &format!("push/jobs/{job}"), None).await.unwrap();
        if !matches!(job["status"].as_str(), Some("pending" | "running")) {
            return job;
        }
        assert!(started.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_indexing_a_pack_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/first"]).expect(0);
    let token = create_token(data.path(), "alice");
    let server = Server::serve(&mut over(data.path(), &["serve", "--no-worker", "--rate-limit", "off"]));

    // Before each write that a push makes, and in the middle of those that can be cut; then by the kernel, whenever that is.
    let moments = [
        Some("abort:1:put staging/*.pack"),
        Some("abort:1:put packs/*.pack"),
        Some("torn:1:put packs/*.pack"),
        Some("abort:1:put packs/*.idx"),
        Some("abort:1:put refs/*.json"),
        Some("torn:1:put refs/*.json"),
        Some("abort:1:rows: recording a move"),
        Some("torn:1:rows: recording a move"),
        Some("abort:1:delete mpacks/*.mpack"),
        Some("abort:1:rows: completing a job"),
        Some("torn:1:rows: completing a job"),
        None,
        None,
        None,
    ];
    for (number, failpoint) in (0..).zip(moments) {
        let slug = format!("tunes{number}");
        let _ = run(data.path(), &["repo", "create", &format!("alice/{slug}")]).expect(0);
        let remote = mpack_client(server.address, "alice", &slug, Some(&token));
        let history = history(number);
        let key = remote.upload(&container_of(&history.whole("main"))).await.unwrap();
        let order = json!({"mpack_key": key, "branch": "main", "head": history.head("main"), "async": true});
        let pending = remote.call("POST", "push/unpack-mpack", Some(order)).await.unwrap();
        let job = pending["job_id"].as_str().unwrap();

        let mut dies = worker(data.path(), failpoint);
        if failpoint.is_some() {
            assert!(dies.ended(), "{failpoint:?}: {}", dies.printed());
        } else {
            dies.wait_for("job", |line| line.contains(" job started ").then_some(()));
            dies.kill();
        }
        drop(dies);
        let works = worker(data.path(), None);
        let done = polled(&server, &slug, &token, job).await;
        assert_eq!(done["status"], "done", "{failpoint:?}: {done}");
        assert_eq!(done["branch_head"], format!("sha256:{}", history.head("main")), "{failpoint:?}");
        assert_same(&remote.whole().await.unwrap(), &history);
        let march = client(&server, "alice", &slug, None).clone_repository().await.unwrap();
        assert_same(&march, &history);
        // What follows a push is done before the next one, so that the next fail point strikes that one.
        idle(data.path());
        works.signal("TERM");
        let (status, printed) = works.wait();
        assert!(status.success(), "{failpoint:?}: {printed}");
    }
    let verified = run(data.path(), &["verify", "--objects"]);
    assert_eq!(verified.status, 0, "{verified:?}");
}

/// Waits until no job is left to be done.
fn idle(data: &Path) {
    let started = Instant::now();
    loop {
        let left = ["pending", "running"].map(|status| {
            let listed = run(data, &["jobs", "list", "--json", "--status", status]).expect(0).out;
            let listed: Value = serde_json::from_str(&listed).unwrap();
            listed["jobs"].as_array().unwrap().len()
        });
        if left == [0, 0] {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{left:?} jobs are left");
    }
}

/// A server over a bucket of a store, the token of alice, and her repository `tunes`.
struct Bucket {
    store: Store,
    server: Server,
    token: String,
    _data: tempfile::TempDir,
}

impl Bucket {
    fn new(options: &[&str]) -> Self {
        let store = Store::of(Kind::S3sFs);
        let url = format!("s3://{BUCKET}/{}", fresh_prefix());
        let data = tempfile::tempdir().unwrap();
        let command = |arguments: &[&str]| -> Command {
            let mut command = over(data.path(), arguments);
            command.envs(&store.settings).args(["--store", &url]);
            command
        };
        let _ = Ran::of(&mut command(&["repo", "create", "alice/tunes"])).expect(0);
        let token = Ran::of(&mut command(&["token", "create", "alice"])).expect(0);
        let token = token.out.lines().last().unwrap().to_owned();
        let server = Server::serve(command(&["serve"]).args(options));
        Self { store, server, token, _data: data }
    }

    /// Where a file is to be sent or got from: the bucket, or the server.
    fn is_of_store(&self, url: &str) -> bool {
        let host = |address: std::net::SocketAddr| format!("http://{address}/");
        let of_store = url.starts_with(&host(self.store.address()));
        assert!(of_store || url.starts_with(&host(self.server.address)), "{url}");
        of_store
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_bucket_packs_go_to_it_and_come_from_it() {
    let bucket = Bucket::new(&[]);
    let remote = mpack_client(bucket.server.address, "alice", "tunes", Some(&bucket.token));
    let mut history = history(1);
    let bytes = container_of(&history.whole("main"));
    let url =
        remote.presign(&musehub_test_support::mpack_client::mpack_key(&bytes), bytes.len()).await.unwrap();
    assert!(bucket.is_of_store(&url), "{url}");
    let pushed = remote.push(&history, "main", false).await.unwrap();
    assert_eq!(pushed["commits_written"], 4, "{pushed}");

    let order = json!({"want": [format!("sha256:{}", history.head("main"))], "have": []});
    let answer = remote.call("POST", "fetch", Some(order)).await.unwrap();
    assert!(bucket.is_of_store(answer["mpack_url"].as_str().unwrap()), "{answer}");
    assert_same(&remote.whole().await.unwrap(), &history);
    let _ = history.commit_file("main", "onwards", "more.txt");
    let _ = remote.push(&history, "main", false).await.unwrap();
    assert_same(&client(&bucket.server, "alice", "tunes", None).clone_repository().await.unwrap(), &history);

    // The bucket takes any bytes; the hub does not believe them.
    let mut other = bytes.clone();
    other[100] ^= 1;
    let _ = remote.put(&url, &other).await.unwrap().expect(200);
    let key = musehub_test_support::mpack_client::mpack_key(&bytes);
    let order = json!({"mpack_key": key, "branch": "side", "head": history.head("main")});
    let refused = remote.call("POST", "push/unpack-mpack", Some(order)).await.unwrap_err();
    assert_eq!(refused.status, 422, "{refused}");
    assert!(!remote.heads().await.unwrap().contains_key("side"));
    // Another verb, another object: the signature is for one of each.
    for forged in [url.replace(&key["sha256:".len()..], &"0".repeat(64)), format!("{url}0")] {
        // Few bytes, which are all sent by the time the bucket hangs up.
        assert!(matches!(remote.put(&forged, b"x").await.unwrap().status, 400 | 403), "{forged}");
    }
    assert_eq!(remote.get(&url).await.unwrap().status, 403);
}

/// What `presign` answers for one object.
async fn presign(bucket: &Bucket, direction: &str, id: &str) -> musehub_test_support::Value {
    let body = map([("object_ids", texts([id])), ("direction", direction.into())]);
    let request = hyper::Request::post("/alice/tunes/presign")
        .header("content-type", "application/x-msgpack")
        .header("accept", "application/x-msgpack")
        .header("authorization", format!("Bearer {}", bucket.token))
        .body(musehub_test_support::record::pack(&body).into())
        .unwrap();
    let answer = send(bucket.server.address, request).await.unwrap().expect(200).msgpack();
    get(&answer, "presigned").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_bucket_large_objects_of_the_march_client_go_to_it() {
    let bucket = Bucket::new(&[]);
    let mut remote = client(&bucket.server, "alice", "tunes", Some(&bucket.token));
    let mut history = History::new();
    let large = noise(9, (6 << 20) + 1);
    let _ = history.commit("main", "mixed", |tree| {
        write(tree, "large.bin", large.clone());
        write(tree, "other.bin", noise(10, 70_000));
        write(tree, "small.txt", "small\n");
    });
    let id = object_id(&large);
    let presigned = presign(&bucket, "put", &id).await;
    let url = get(&presigned, &id).as_str().unwrap().to_owned();
    assert!(bucket.is_of_store(&url), "{url}");

    // Other bytes than the address names are found by the push, which says so, and are gone after it.
    let bundle = history.whole("main");
    remote.put(&url, noise(11, 6 << 20)).await.unwrap();
    let without: Vec<_> = bundle.objects.iter().filter(|(named, _)| **named != id).collect();
    let body = musehub_test_support::client::upload_body(
        without.iter().map(|(id, content)| (id.as_str(), (*content).clone())),
    );
    let request = hyper::Request::post("/alice/tunes/push/objects")
        .header("content-type", "application/x-msgpack")
        .header("authorization", format!("Bearer {}", bucket.token))
        .body(musehub_test_support::record::pack(&body).into())
        .unwrap();
    let _ = send(bucket.server.address, request).await.unwrap().expect(200);
    let refused = remote.push_bundle(&bundle, "main", false).await.unwrap_err();
    assert!(refused.status == 422 && refused.body.contains(&id), "{refused}");
    let refused = remote.push_bundle(&bundle, "main", false).await.unwrap_err();
    assert!(
        refused.status == 422 && refused.body.contains("neither in it nor in this repository"),
        "{refused}"
    );

    let report = remote.push(&history, "main", false).await.unwrap();
    assert_eq!((report.missing, report.uploads), (vec![id.clone()], 0), "it went to the bucket");
    assert_same(&remote.clone_repository().await.unwrap(), &history);
    // Objects rest together in packs, so one alone comes from the server.
    let presigned = presign(&bucket, "get", &id).await;
    let url = get(&presigned, &id).as_str().unwrap().to_owned();
    assert!(!bucket.is_of_store(&url));
    let request = hyper::Request::get(&url).body(bytes::Bytes::new()).unwrap();
    assert_eq!(send(bucket.server.address, request).await.unwrap().expect(200).body, large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_clients_cannot_reach_is_kept_from_them() {
    let bucket = Bucket::new(&["--no-store-addresses"]);
    let mut remote = client(&bucket.server, "alice", "tunes", Some(&bucket.token));
    let mut history = History::new();
    let large = noise(9, 1 << 20);
    let _ = history.commit("main", "large", |tree| write(tree, "large.bin", large.clone()));
    let id = object_id(&large);
    let presigned = presign(&bucket, "put", &id).await;
    assert!(!bucket.is_of_store(get(&presigned, &id).as_str().unwrap()));
    let _ = remote.push(&history, "main", false).await.unwrap();
    let packs = mpack_client(bucket.server.address, "alice", "tunes", Some(&bucket.token));
    assert!(!bucket.is_of_store(&packs.presign(&format!("sha256:{}", "0".repeat(64)), 10).await.unwrap()));
    let _ = history.commit_file("main", "onwards", "more.txt");
    let _ = packs.push(&history, "main", false).await.unwrap();
    assert_same(&packs.whole().await.unwrap(), &history);
}
