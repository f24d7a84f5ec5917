//! Files committed over TCP: memory stays flat, and what came is there.

use bytes::Bytes;
use hyper::Request;
use musehub_test_support::history::noise;
use serde_json::{Value, json};

use crate::http::{client, get, send};
use crate::process::Server;
use crate::push::repository;

const BOUNDARY: &str = "e2e-boundary";
const FILES: usize = 5000;
/// Together 100 MiB.
const FILE_BYTES: usize = (100 << 20) / FILES;
/// What the server may need more than when it started: far less than what it is sent.
const MOST_ADDED_MIB: u64 = 64;

fn content(number: usize) -> Bytes {
    noise(number as u64, FILE_BYTES)
}

fn path(number: usize) -> String {
    format!("directory {}/file {number}.bin", number % 100)
}

/// One form of all files.
fn form() -> Bytes {
    let put = |number: usize| json!({"op": "put", "path": path(number), "part": format!("part {number}")});
    let changes: Vec<Value> = (0..FILES).map(put).collect();
    let commit = json!({"branch": "main", "expected_head": null, "message": "All of it", "changes": changes});
    let mut body = Vec::with_capacity(110 << 20);
    let mut part = |name: &str, content: &[u8]| {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    part("commit", commit.to_string().as_bytes());
    for number in 0..FILES {
        part(&format!("part {number}"), &content(number));
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

#[tokio::test]
async fn a_hundred_mib_of_files_are_committed_within_bounded_memory() {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let before = server.process.peak_memory();
    let request = Request::post("/api/v1/repos/alice/tunes/commits")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(form())
        .unwrap();
    let made = send(server.address, request).await.unwrap().expect(201).json();
    let added = server.process.peak_memory() - before;
    assert!(added < MOST_ADDED_MIB, "{added} MiB more than the {before} MiB before");

    let heads = client(&server, "alice", "tunes", None).refs().await.unwrap().branch_heads;
    assert_eq!(made["commit_id"], format!("sha256:{}", heads["main"]));
    // A few of them, byte for byte; that all are there is what committing proved.
    for number in [0, 1, FILES / 2, FILES - 1] {
        let raw = format!("/alice/tunes/raw/main/{}", path(number).replace(' ', "%20"));
        let answer = get(&server, &raw, None).await.expect(200);
        assert_eq!(answer.body, content(number), "{raw}");
    }
}
