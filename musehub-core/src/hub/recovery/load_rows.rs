//! Rows of a database without its objects become rows of this one: how a hub comes over that kept history in tables alone.
//!
//! They wait there for their objects: see [`Recovery::backfill`]. `docs/STORAGE.md` specifies the lines.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use bytes::Bytes;
use futures::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::portable::malformed;
use super::{Event, PortableError, Recovery};
use crate::canonical::{self, json};
use crate::graph::CommitNode;
use crate::hub::rows::commit_row;
use crate::id::{BlobId, CommitId, ObjectKind, SnapshotId};
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::object::{Commit, MAX_COMMIT_BYTES, Record, Snapshot, SnapshotRecord};
use crate::port::{
    BackendError, BranchRow, CommitRow, NewObject, ObjectBody, RepositoryRecord, SnapshotRow, Timestamp,
    UnstoredRows, Visibility,
};
use crate::scheme::{BlobHasher, IdScheme};
use crate::settings::RepositorySettings;

const FORMAT: &str = "musehub-rows";
const VERSION: u32 = 1;
/// The longest line, in bytes; so the largest blob has about 190 MiB.
const MAX_LINE: u64 = 256 << 20;
/// Rows that are written together.
const ROWS: usize = 500;
/// Bytes of records, or of blobs, that are written together.
const BATCH_BYTES: u64 = 16 << 20;

/// What was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LoadedRows {
    /// Branches.
    pub branches: u64,
    /// Commits.
    pub commits: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Blobs.
    pub blobs: u64,
}

/// One line.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Repository(Repository),
    Blob { id: BlobId, base64: String },
    Snapshot(SnapshotRecord),
    Commit(Record),
    Branch { name: BranchName, head: CommitId, moved_at: Timestamp },
    End { lines: u64 },
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// What the lines are about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repository {
    owner: Handle,
    slug: Slug,
    visibility: Visibility,
    #[serde(default)]
    description: String,
    scheme: IdScheme,
    default_branch: BranchName,
    created_at: Timestamp,
}

struct Load<'a> {
    recovery: &'a Recovery,
    repo: RepositoryRecord,
    scheme: IdScheme,
    rows: UnstoredRows,
    bytes: u64,
    blobs: Vec<NewObject>,
    blob_bytes: u64,
    /// The generations of the commits that came.
    generations: HashMap<CommitId, u64>,
    snapshots: HashSet<SnapshotId>,
    done: LoadedRows,
}

impl Recovery {
    /// Reads the rows of one repository, under the name that they say or another one. It is visible when this returns; where
    /// it fails, nothing is, and trying again goes on.
    ///
    /// Blobs are proven and stored. Commits and snapshots are not proven here: a fetch and [`backfill`](Self::backfill) do.
    ///
    /// # Errors
    /// [`PortableError`] where the lines are not as specified, the name is taken, or a backend fails.
    pub async fn load_rows(
        &self,
        input: &mut (dyn AsyncBufRead + Send + Unpin),
        name: Option<(Handle, Slug)>,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(RepositoryRecord, LoadedRows), PortableError> {
        let mut lines = Lines { input, number: 0 };
        let head: Head = lines.next().await?;
        if head.format != FORMAT || head.version != VERSION {
            return Err(lines.wrong(&format!("it is no {FORMAT} of version {VERSION}")));
        }
        let Line::Repository(repository) = lines.next().await? else {
            return Err(lines.wrong("the repository comes first"));
        };
        let mut load = self.begin_load(repository, name).await?;
        if let Err(error) = load.all(&mut lines, report).await {
            // Nobody will miss them: whoever tries again brings them all. What cannot be taken back now is not counted.
            let _ = self.backends().unstored.forget_unstored(&load.repo.repo_id).await;
            return Err(error);
        }
        load.publish().await
    }

    async fn begin_load(
        &self,
        repository: Repository,
        name: Option<(Handle, Slug)>,
    ) -> Result<Load<'_>, PortableError> {
        let (owner, slug) = name.unwrap_or((repository.owner, repository.slug));
        let repo_id = self.claimable(&owner, &slug).await?.unwrap_or_else(RepoId::random);
        let repo = RepositoryRecord {
            version: 1,
            repo_id,
            owner,
            slug,
            visibility: repository.visibility,
            description: repository.description,
            scheme: Some(repository.scheme),
            default_branch: Some(repository.default_branch),
            created_at: repository.created_at,
            settings: RepositorySettings::default(),
            deleted: true,
        };
        self.claim(&repo).await?;
        self.backends().repositories.put_repository(&repo).await?;
        Ok(Load {
            recovery: self,
            scheme: repository.scheme,
            repo,
            rows: UnstoredRows::default(),
            bytes: 0,
            blobs: Vec::new(),
            blob_bytes: 0,
            generations: HashMap::new(),
            snapshots: HashSet::new(),
            done: LoadedRows::default(),
        })
    }
}

/// The lines of a file, with the number of the last one read.
struct Lines<'a> {
    input: &'a mut (dyn AsyncBufRead + Send + Unpin),
    number: u64,
}

impl Lines<'_> {
    fn wrong(&self, reason: &str) -> PortableError {
        malformed(&format!("line {}: {reason}", self.number))
    }

    async fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, PortableError> {
        self.number += 1;
        let mut text = Vec::new();
        let mut line = (&mut self.input).take(MAX_LINE);
        line.read_until(b'\n', &mut text).await?;
        if text.is_empty() {
            return Err(self.wrong("the file ends before its last line"));
        }
        if text.len() as u64 == MAX_LINE {
            return Err(self.wrong(&format!("it has more than {MAX_LINE} bytes")));
        }
        serde_json::from_slice(&text).map_err(|error| self.wrong(&error.to_string()))
    }
}

impl Load<'_> {
    /// Takes all lines to the last.
    async fn all(
        &mut self,
        lines: &mut Lines<'_>,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), PortableError> {
        loop {
            let line = lines.next().await?;
            if let Line::End { lines: expected } = line {
                if expected != lines.number {
                    return Err(lines.wrong(&format!("it says {expected} lines")));
                }
                return Ok(());
            }
            self.line(line).await?.map_err(|reason| lines.wrong(&reason))?;
            report(Event::Progress { stage: "lines", done: lines.number, total: None });
        }
    }

    /// Takes a line; says what is wrong with it.
    async fn line(&mut self, line: Line) -> Result<Result<(), String>, PortableError> {
        let taken = match line {
            Line::Repository(_) => Err("a second repository".to_owned()),
            Line::End { .. } => Err("an end".to_owned()),
            Line::Blob { id, base64 } => self.blob(id, &base64),
            Line::Snapshot(record) => self.snapshot(record),
            Line::Commit(Record(record)) => self.commit(record),
            Line::Branch { name, head, moved_at } => self.branch(name, head, moved_at),
        };
        if taken.is_ok() {
            if self.blob_bytes > BATCH_BYTES {
                self.put_blobs().await?;
            }
            let rows = self.rows.commits.len() + self.rows.snapshots.len();
            if rows >= ROWS || self.bytes > BATCH_BYTES {
                self.put_rows().await?;
            }
        }
        Ok(taken)
    }

    fn blob(&mut self, id: BlobId, base64: &str) -> Result<(), String> {
        let payload =
            base64::engine::general_purpose::STANDARD.decode(base64).map_err(|error| error.to_string())?;
        let size = payload.len() as u64;
        let mut hasher = BlobHasher::new(self.scheme, id.object_id().algorithm(), size);
        hasher.update(&payload).map_err(|error| error.to_string())?;
        let computed = hasher.finish().map_err(|error| error.to_string())?;
        if computed != id {
            return Err(format!("blob {id}: its content has the id {computed}"));
        }
        let canonical: Bytes = canonical::encode(ObjectKind::Blob, &payload).into();
        self.blob_bytes += canonical.len() as u64;
        let object = NewObject { key: id.key(), body: ObjectBody::Canonical(canonical) };
        self.blobs.push(object);
        self.done.blobs += 1;
        Ok(())
    }

    fn snapshot(&mut self, record: SnapshotRecord) -> Result<(), String> {
        let id = record.id.ok_or("a snapshot without a 'snapshot_id'")?;
        // Whether this is its id is for others to find out; its record has one form in any case.
        let unclaimed = SnapshotRecord { id: None, ..record };
        let algorithm = id.object_id().algorithm();
        let snapshot = Snapshot::with_algorithm(self.scheme, algorithm, unclaimed)
            .map_err(|error| format!("snapshot {id}: {error}"))?;
        let canonical = snapshot.canonical(self.scheme).map_err(|error| error.to_string())?;
        let payload =
            canonical::payload_of(ObjectKind::Snapshot, &canonical).map_err(|error| error.to_string())?;
        let mut json: serde_json::Map<String, Value> =
            serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        json.insert("snapshot_id".to_owned(), id.to_string().into());
        let json = Value::Object(json).to_string();
        self.bytes += json.len() as u64;
        let entry_count = snapshot.manifest().len() as u64;
        let row = SnapshotRow { id, entry_count, size: payload.len() as u64, place: None };
        self.rows.snapshots.push((row, json));
        self.snapshots.insert(id);
        self.done.snapshots += 1;
        Ok(())
    }

    fn commit(&mut self, mut record: serde_json::Map<String, Value>) -> Result<(), String> {
        let id = record.get("commit_id").and_then(Value::as_str).ok_or("a commit without a 'commit_id'")?;
        let id = CommitId::parse(id).map_err(|error| error.to_string())?;
        if self.scheme == IdScheme::TypedV2 {
            record.remove("commit_id");
        }
        let of_commit = |reason: String| format!("commit {id}: {reason}");
        let payload = json::to_vec(&record).map_err(|error| of_commit(error.to_string()))?;
        if payload.len() as u64 > MAX_COMMIT_BYTES {
            return Err(of_commit(format!("{} bytes, at most {MAX_COMMIT_BYTES} are kept", payload.len())));
        }
        let canonical = canonical::encode(ObjectKind::Commit, &payload);
        let commit =
            Commit::decode(self.scheme, id, &canonical).map_err(|error| of_commit(error.to_string()))?;
        let row = self.commit_row(&commit).map_err(of_commit)?;
        let json = String::from_utf8(payload).map_err(|error| error.to_string())?;
        self.bytes += json.len() as u64;
        self.generations.insert(id, row.generation);
        self.rows.commits.push((row, json));
        self.done.commits += 1;
        Ok(())
    }

    fn commit_row(&self, commit: &Commit) -> Result<CommitRow, String> {
        if !self.snapshots.contains(&commit.snapshot()) {
            return Err(format!("its snapshot {} comes after it, or not at all", commit.snapshot()));
        }
        let mut generation = 1;
        for parent in commit.parents() {
            let of_parent = self.generations.get(parent);
            let of_parent =
                of_parent.ok_or_else(|| format!("its parent {parent} comes after it, or not at all"))?;
            generation = generation.max(of_parent + 1);
        }
        let node = CommitNode { id: commit.id(), parents: commit.parents().to_vec(), generation };
        Ok(commit_row(commit, &node, None, &self.repo.owner))
    }

    fn branch(&mut self, name: BranchName, head: CommitId, moved_at: Timestamp) -> Result<(), String> {
        if !self.generations.contains_key(&head) {
            return Err(format!("branch '{name}': its head {head} comes after it, or not at all"));
        }
        let mut others = self.rows.branches.iter();
        if let Some(other) = others.find(|row| row.name == name || row.name.is_in_the_way_of(&name)) {
            return Err(format!("branch '{name}' cannot be beside branch '{}'", other.name));
        }
        self.rows.branches.push(BranchRow { name, head, sequence: 0, moved_at });
        self.done.branches += 1;
        Ok(())
    }

    /// Stores blobs, and names their packs in the log, which makes their rows.
    async fn put_blobs(&mut self) -> Result<(), BackendError> {
        self.blob_bytes = 0;
        let blobs = std::mem::take(&mut self.blobs);
        if blobs.is_empty() {
            return Ok(());
        }
        let receipt = self.recovery.backends().objects.put(blobs).await?;
        self.recovery.carry(&self.repo, receipt.pack.into_iter().collect(), Vec::new()).await.map(drop)
    }

    /// Branches wait until all that they stand on is there.
    async fn put_rows(&mut self) -> Result<(), BackendError> {
        self.bytes = 0;
        let branches = std::mem::take(&mut self.rows.branches);
        let rows = std::mem::take(&mut self.rows);
        self.rows.branches = branches;
        self.recovery.backends().unstored.add_unstored(&self.repo.repo_id, rows).await
    }

    async fn publish(mut self) -> Result<(RepositoryRecord, LoadedRows), PortableError> {
        self.put_blobs().await?;
        self.put_rows().await?;
        let backends = self.recovery.backends();
        let branches = UnstoredRows { branches: self.rows.branches, ..UnstoredRows::default() };
        backends.unstored.add_unstored(&self.repo.repo_id, branches).await?;
        let shown = RepositoryRecord { version: 2, deleted: false, ..self.repo };
        backends.refs.put_repository(&shown).await?;
        backends.repositories.put_repository(&shown).await?;
        Ok((shown, self.done))
    }
}
