//! Objects that come inline with a push: memory stays flat, and what came is there.

use bytes::Bytes;
use hyper::Request;
use musehub_core::scheme::flat_v1;
use musehub_test_support::history::noise;
use rmpv::Value;

use crate::http::{get, send};
use crate::process::Server;
use crate::push::repository;

/// Bytes of each object, 120 MiB together: one that is streamed, several, and some that stay in memory.
const SIZES: [usize; 8] = [64 << 20, 16 << 20, 16 << 20, 16 << 20, 4 << 20, 3 << 20, 900 << 10, 100 << 10];
/// What the server may need more than when it started: less than half of what it is sent.
const MOST_ADDED_MIB: u64 = 56;

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn path(number: usize) -> String {
    format!("files/{number}.bin")
}

/// A push of one commit that has all objects inline; and its head.
fn push(contents: &[Bytes]) -> (Bytes, String) {
    let at = "2026-03-20T10:00:00+00:00";
    let files: Vec<(String, _)> =
        contents.iter().enumerate().map(|(at, content)| (path(at), flat_v1::blob_id(content))).collect();
    let snapshot = flat_v1::snapshot_id(files.iter().map(|(path, id)| (path.as_str(), id))).unwrap();
    let commit = flat_v1::commit_id(&[], &snapshot, "inline", at).unwrap();
    let manifest = files.iter().map(|(path, id)| (path.as_str().into(), id.to_hex().into()));
    let objects = files.iter().zip(contents).map(|((_, id), content)| {
        map([("object_id", id.to_hex().into()), ("content", Value::Binary(content.to_vec()))])
    });
    let bundle = map([
        (
            "commits",
            Value::Array(vec![map([
                ("commit_id", commit.to_hex().into()),
                ("snapshot_id", snapshot.to_hex().into()),
                ("branch", "main".into()),
                ("message", "inline".into()),
                ("committed_at", at.into()),
                ("author", "alice".into()),
                ("parent_commit_id", Value::Nil),
                ("parent2_commit_id", Value::Nil),
            ])]),
        ),
        (
            "snapshots",
            Value::Array(vec![map([
                ("snapshot_id", snapshot.to_hex().into()),
                ("manifest", Value::Map(manifest.collect())),
            ])]),
        ),
        ("objects", Value::Array(objects.collect())),
    ]);
    let push = map([("bundle", bundle), ("branch", "main".into()), ("force", false.into())]);
    let mut body = Vec::with_capacity(130 << 20);
    rmpv::encode::write_value(&mut body, &push).unwrap();
    (body.into(), commit.to_hex())
}

#[tokio::test]
async fn a_hundred_mib_of_inline_objects_are_pushed_within_bounded_memory() {
    let (data, token) = repository();
    let contents: Vec<Bytes> = SIZES.iter().zip(0..).map(|(size, seed)| noise(seed, *size)).collect();
    let (body, head) = push(&contents);
    let server = Server::start(data.path());
    let before = server.process.peak_memory();
    let request = Request::post("/alice/tunes/push")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/x-msgpack")
        .header("accept", "application/json")
        .body(body)
        .unwrap();
    let answer = send(server.address, request).await.unwrap().expect(200).json();
    let added = server.process.peak_memory() - before;
    assert!(added < MOST_ADDED_MIB, "{added} MiB more than the {before} MiB before");

    assert_eq!(answer["branch_heads"]["main"], head);
    for (number, content) in contents.iter().enumerate() {
        let raw = format!("/alice/tunes/raw/main/{}", path(number));
        let answer = get(&server, &raw, None).await.expect(200);
        assert!(answer.body == *content, "{raw}");
    }
    let left = std::fs::read_dir(data.path().join("store/staging")).into_iter().flatten();
    let left: Vec<_> = left.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).collect();
    assert!(left.is_empty(), "nothing of it waits any more: {left:?}");
}
