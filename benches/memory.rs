//! How much memory the server needs for large objects: the most that it held while they were pushed and fetched.
//!
//! `cargo bench --bench memory` starts the real server anew for each case, in a process of its own, and prints a table. The
//! database is in a temporary directory, and so are the objects unless `MUSEHUB_STORE` says otherwise:
//! `scripts/with-s3 env MUSEHUB_STORE=s3://hub/memory cargo bench --bench memory`.
//!
//! It ends with status 1 where a case took more than the server may have for it.

#[allow(dead_code, reason = "the other benchmark calls more of it")]
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use musehub_core::scheme::flat_v1;
use musehub_core::{BlobId, SnapshotId};
use serde::Serialize;
use serde_bytes::ByteBuf;

use server::{Connection, Outcome, Server};

/// Objects to be pushed.
struct Case {
    name: &'static str,
    objects: usize,
    /// The size of each, in bytes.
    size: usize,
    /// How many go into one request; none where all come inline with the push.
    together: Option<usize>,
}

/// What the server may hold at most, in MiB, however much is pushed and fetched.
const BOUND: f64 = 200.0;

const CASES: [Case; 5] = [
    Case { name: "one blob of 256 MiB", objects: 1, size: 256 << 20, together: Some(1) },
    Case { name: "1 GiB as 256 blobs of 4 MiB", objects: 256, size: 4 << 20, together: Some(64) },
    Case { name: "1 GiB as 4 blobs of 256 MiB", objects: 4, size: 256 << 20, together: Some(1) },
    Case { name: "one blob of 256 MiB, inline", objects: 1, size: 256 << 20, together: None },
    Case { name: "960 MiB as 240 blobs of 4 MiB, inline", objects: 240, size: 4 << 20, together: None },
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::run_if_asked(&arguments);
    println!(
        "| | uploads | push | fetch | memory at start | highest after the push | highest after the fetch | at most {BOUND:.0} MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut beyond = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        if measure(number, case)? > BOUND {
            beyond.push(case.name);
        }
    }
    if beyond.is_empty() {
        Ok(())
    } else {
        Err(format!("more than {BOUND:.0} MiB: {}", beyond.join("; ")).into())
    }
}

/// Pushes and fetches a case, and gives the most memory that the server held, in MiB.
fn measure(number: usize, case: &Case) -> Outcome<f64> {
    let server = Server::start(&["--max-fetch", "2048"])?;
    let slug = format!("memory-{number}");
    server.command(&["repo", "create", &format!("bench/{slug}")])?;
    let at_start = server.memory("VmRSS")?;
    let mut connection = Connection::open(&server)?;
    let (mut manifest, mut uploads) = (BTreeMap::new(), Duration::ZERO);
    let seeds: Vec<usize> = (0..case.objects).collect();
    let mut inline = Vec::new();
    for batch in seeds.chunks(case.together.unwrap_or(case.objects)) {
        let objects: Vec<Object> = batch.iter().map(|seed| Object::new(*seed, case.size)).collect();
        manifest.extend(objects.iter().map(|object| (object.path.clone(), object.object_id.clone())));
        if case.together.is_none() {
            inline = objects;
            continue;
        }
        let body = rmp_serde::to_vec_named(&BTreeMap::from([("objects", objects)]))?;
        let begun = Instant::now();
        connection.post(&slug, "push/objects", &body)?;
        uploads += begun.elapsed();
    }
    let (tip, push) = push_of(&manifest, inline)?;
    let begun = Instant::now();
    connection.post(&slug, "push", &push)?;
    let pushed = begun.elapsed();
    let after_push = server.memory("VmHWM")?;
    let want = BTreeMap::from([("want", vec![tip]), ("have", Vec::new())]);
    let begun = Instant::now();
    let answer = connection.post(&slug, "fetch", &rmp_serde::to_vec_named(&want)?)?;
    let fetched = begun.elapsed();
    if answer.len() < case.objects * case.size {
        return Err("the fetch is not whole".into());
    }
    let highest = server.memory("VmHWM")?;
    let held = if highest <= BOUND { "yes" } else { "**no**" };
    println!(
        "| {} | {:.1} s | {:.1} s | {:.1} s | {at_start:.0} MiB | {after_push:.0} MiB | {highest:.0} MiB | {held} |",
        case.name,
        uploads.as_secs_f64(),
        pushed.as_secs_f64(),
        fetched.as_secs_f64(),
    );
    Ok(highest)
}

#[derive(Serialize)]
struct Object {
    object_id: String,
    content: ByteBuf,
    #[serde(skip)]
    path: String,
}

impl Object {
    /// Bytes that do not compress and differ with the seed.
    fn new(seed: usize, size: usize) -> Self {
        let mut content = Vec::with_capacity(size);
        let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        while content.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        let id: BlobId = flat_v1::blob_id(&content);
        Self { object_id: id.to_hex(), content: ByteBuf::from(content), path: format!("{seed:03}.bin") }
    }
}

/// The commit that a push ends with, and the body of that call.
fn push_of(manifest: &BTreeMap<String, String>, objects: Vec<Object>) -> Outcome<(String, Vec<u8>)> {
    let committed_at = "2026-03-20T10:00:00+00:00";
    let mut entries: Vec<(&str, BlobId)> = Vec::new();
    for (path, id) in manifest {
        entries.push((path, BlobId::parse(id)?));
    }
    let snapshot = flat_v1::snapshot_id(entries.iter().map(|(path, id)| (*path, id)))?.to_hex();
    let commit = flat_v1::commit_id(&[], &SnapshotId::parse(&snapshot)?, "large", committed_at)?.to_hex();
    let bundle = Bundle {
        commits: [serde_json::json!({
            "commit_id": commit,
            "snapshot_id": snapshot,
            "branch": "main",
            "message": "large",
            "committed_at": committed_at,
            "author": "bench",
            "parent_commit_id": null,
            "parent2_commit_id": null,
        })],
        snapshots: [serde_json::json!({
            "snapshot_id": snapshot, "manifest": manifest, "created_at": committed_at,
        })],
        objects,
    };
    Ok((commit, rmp_serde::to_vec_named(&Push { bundle, branch: "main", force: false })?))
}

#[derive(Serialize)]
struct Push {
    bundle: Bundle,
    branch: &'static str,
    force: bool,
}

#[derive(Serialize)]
struct Bundle {
    commits: [serde_json::Value; 1],
    snapshots: [serde_json::Value; 1],
    objects: Vec<Object>,
}
