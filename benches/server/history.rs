//! A history as the client of March 2026 sends it, and its push and clone.

use std::time::{Duration, Instant};

use musehub_core::scheme::flat_v1;
use musehub_core::{BlobId, CommitId};
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::{Connection, Outcome, Server};

/// How a history looks.
pub(crate) struct Shape {
    pub(crate) commits: usize,
    /// Files of the first commit, of 4 KiB each.
    pub(crate) files: usize,
    /// Files that each later commit changes.
    pub(crate) changed: usize,
}

/// A history as the client of March 2026 sends it, encoded.
pub(crate) struct History {
    filter: Vec<u8>,
    uploads: Vec<Vec<u8>>,
    push: Vec<u8>,
    tip: String,
    blobs: usize,
}

#[derive(Serialize)]
struct CommitRecord {
    commit_id: String,
    repo_id: String,
    branch: String,
    snapshot_id: String,
    message: String,
    committed_at: String,
    parent_commit_id: Option<String>,
    parent2_commit_id: Option<String>,
    author: String,
    metadata: std::collections::BTreeMap<String, String>,
    structured_delta: Option<String>,
    sem_ver_bump: String,
    breaking_changes: Vec<String>,
    agent_id: String,
    model_id: String,
    toolchain_id: String,
    prompt_hash: String,
    signature: String,
    signer_key_id: String,
    format_version: u32,
    reviewed_by: Vec<String>,
    test_runs: u32,
}

#[derive(Serialize)]
struct SnapshotRecord {
    snapshot_id: String,
    manifest: std::collections::BTreeMap<String, String>,
    created_at: String,
}

#[derive(Serialize)]
struct Object {
    object_id: String,
    content: ByteBuf,
}

#[derive(Serialize)]
struct Bundle {
    commits: Vec<CommitRecord>,
    snapshots: Vec<SnapshotRecord>,
    objects: Vec<Object>,
}

/// Makes a history, the same whenever it is asked for.
pub(crate) fn history(shape: &Shape) -> History {
    let path = |file: usize| format!("package/module_{:02}/file_{file:04}.py", file % 17);
    let mut contents: Vec<Vec<u8>> = (0..shape.files).map(|file| content(file, 0)).collect();
    let mut ids: Vec<BlobId> = contents.iter().map(|bytes| flat_v1::blob_id(bytes)).collect();
    let mut blobs: Vec<(BlobId, Vec<u8>)> = ids.iter().copied().zip(contents.iter().cloned()).collect();
    let (mut commits, mut snapshots) = (Vec::new(), Vec::new());
    let mut parent: Option<CommitId> = None;
    for number in 0..shape.commits {
        if number > 0 {
            for change in 0..shape.changed {
                let file = (number * 31 + change * 7) % shape.files;
                contents[file] = content(file, number);
                ids[file] = flat_v1::blob_id(&contents[file]);
                blobs.push((ids[file], contents[file].clone()));
            }
        }
        let mut entries: Vec<(String, BlobId)> =
            (0..shape.files).map(|file| (path(file), ids[file])).collect();
        entries.sort();
        let snapshot = flat_v1::snapshot_id(entries.iter().map(|(path, blob)| (path.as_str(), blob)));
        let snapshot = snapshot.expect("sorted paths without NUL");
        let committed_at =
            format!("2026-03-20T{:02}:{:02}:{:02}+00:00", number / 3600 % 24, number / 60 % 60, number % 60);
        let message = format!("Commit number {number}");
        let parents: Vec<CommitId> = parent.into_iter().collect();
        let id = flat_v1::commit_id(&parents, &snapshot, &message, &committed_at).expect("no NUL");
        snapshots.push(SnapshotRecord {
            snapshot_id: snapshot.to_hex(),
            manifest: entries.iter().map(|(path, blob)| (path.clone(), blob.to_hex())).collect(),
            created_at: committed_at.clone(),
        });
        commits.push(CommitRecord {
            commit_id: id.to_hex(),
            repo_id: "0ed13dbb-5ad0-484e-bfe9-b1f95f142341".into(),
            branch: "main".into(),
            snapshot_id: snapshot.to_hex(),
            message,
            committed_at,
            parent_commit_id: parent.map(|id| id.to_hex()),
            parent2_commit_id: None,
            author: "bench".into(),
            metadata: std::collections::BTreeMap::new(),
            structured_delta: None,
            sem_ver_bump: "none".into(),
            breaking_changes: Vec::new(),
            agent_id: String::new(),
            model_id: String::new(),
            toolchain_id: String::new(),
            prompt_hash: String::new(),
            signature: String::new(),
            signer_key_id: String::new(),
            format_version: 5,
            reviewed_by: Vec::new(),
            test_runs: 0,
        });
        parent = Some(id);
    }
    let object = |(id, bytes): &(BlobId, Vec<u8>)| Object {
        object_id: id.to_hex(),
        content: ByteBuf::from(bytes.clone()),
    };
    let uploads = blobs.chunks(400).map(|chunk| {
        let objects: Vec<Object> = chunk.iter().map(object).collect();
        encode(&std::collections::BTreeMap::from([("objects", objects)]))
    });
    let mut names: Vec<String> = blobs.iter().map(|(id, _)| id.to_hex()).collect();
    names.sort_unstable();
    #[derive(Serialize)]
    struct Push {
        bundle: Bundle,
        branch: &'static str,
        force: bool,
    }
    History {
        uploads: uploads.collect(),
        filter: encode(&std::collections::BTreeMap::from([("object_ids", names)])),
        push: encode(&Push {
            bundle: Bundle { commits, snapshots, objects: Vec::new() },
            branch: "main",
            force: false,
        }),
        tip: parent.map(|id| id.to_hex()).unwrap_or_default(),
        blobs: blobs.len(),
    }
}

/// Python text of 4 KiB, different for every file and every version of it.
fn content(file: usize, version: usize) -> Vec<u8> {
    let mut text = format!("\"\"\"Module {file}, version {version}.\"\"\"\n\nVALUE = {file}\n");
    let mut line = 0;
    while text.len() < 4096 {
        text.push_str(&format!(
            "\n\ndef function_{line}(x):\n    return x * {} + {version}\n",
            line * file + 1
        ));
        line += 1;
    }
    text.truncate(4095);
    text.push('\n');
    text.into_bytes()
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("plain data is msgpack")
}

impl Server {
    /// The calls of a first push: how long the uploads and how long the rest took.
    pub(crate) fn push(&self, slug: &str, history: &History) -> Outcome<(Duration, Duration)> {
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        connection.post(slug, "filter-objects", &history.filter)?;
        let filtered = begun.elapsed();
        let uploads = Instant::now();
        self.upload(slug, &history.uploads)?;
        let uploaded = uploads.elapsed();
        let begun = Instant::now();
        connection.post(slug, "push", &history.push)?;
        Ok((uploaded + filtered, begun.elapsed()))
    }

    /// The fetch of a clone: how long it took.
    pub(crate) fn clone_all(&self, slug: &str, history: &History) -> Outcome<Duration> {
        let body = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([
            ("want", vec![history.tip.clone()]),
            ("have", Vec::new()),
        ]))?;
        let mut connection = Connection::open(self)?;
        let begun = Instant::now();
        let answer = connection.post(slug, "fetch", &body)?;
        let elapsed = begun.elapsed();
        if answer.len() < history.blobs * 4096 {
            return Err("the clone is not whole".into());
        }
        Ok(elapsed)
    }
}
