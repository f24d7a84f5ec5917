//! Histories: made commit by commit, with the records that the client of March 2026 keeps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rmpv::Value;

use crate::id::{self, Ids};
use crate::record::{get, map, set, text, texts};

/// Files by path.
pub type Tree = BTreeMap<String, Bytes>;

/// A history as a client keeps it: commits, snapshots and objects by id, and branches.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Records of commits.
    pub commits: BTreeMap<String, Value>,
    /// Records of snapshots.
    pub snapshots: BTreeMap<String, Value>,
    /// Contents of files.
    pub objects: BTreeMap<String, Bytes>,
    /// Heads of branches.
    pub branches: BTreeMap<String, String>,
    /// The repository that records name; the client copies it from its own `.muse`.
    pub repo_id: String,
    /// What its ids are computed with.
    pub ids: Ids,
    clock: u64,
}

/// What a push carries, or a fetch brings: newest commits first, as the client has them.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// Records of commits.
    pub commits: Vec<Value>,
    /// Records of snapshots.
    pub snapshots: Vec<Value>,
    /// Contents by id, the empty file included.
    pub objects: BTreeMap<String, Bytes>,
}

/// What a commit is made of, before it has an id.
#[derive(Clone, Debug)]
pub struct NewCommit<'a> {
    /// The branch on which it is made; only its record names it.
    pub branch: &'a str,
    /// Its message.
    pub message: &'a str,
    /// Its time, as it is written.
    pub committed_at: &'a str,
    /// Its parents.
    pub parents: Vec<String>,
    /// Its files.
    pub tree: Tree,
}

impl History {
    /// A history without commits.
    #[must_use]
    pub fn new() -> Self {
        Self { repo_id: "6f1a52c8-0d7e-4f0b-9a53-3c5f2c1d9e70".into(), ..Self::default() }
    }

    /// The same, with the ids of other clients.
    #[must_use]
    pub fn with_ids(ids: Ids) -> Self {
        Self { ids, ..Self::new() }
    }

    /// Commits on a branch what `edit` makes of its head's files, and moves the branch. A branch that is not there
    /// begins with this commit. Returns the commit's id.
    pub fn commit(&mut self, branch: &str, message: &str, edit: impl FnOnce(&mut Tree)) -> String {
        let parents: Vec<String> = self.branches.get(branch).cloned().into_iter().collect();
        let mut tree = parents.first().map(|head| self.tree(head)).unwrap_or_default();
        edit(&mut tree);
        let committed_at = self.tick();
        let commit = self.add(NewCommit { branch, message, committed_at: &committed_at, parents, tree });
        self.branches.insert(branch.to_owned(), commit.clone());
        commit
    }

    /// A commit of one file whose content is its path and message.
    pub fn commit_file(&mut self, branch: &str, message: &str, path: &str) -> String {
        let content = format!("{path} of {message}\n");
        self.commit(branch, message, |tree| write(tree, path, content))
    }

    /// Makes a branch at a commit, or moves it there.
    pub fn branch(&mut self, name: &str, at: &str) {
        self.branches.insert(name.to_owned(), at.to_owned());
    }

    /// Makes the branch `name` at the head of another, or moves it there.
    pub fn fork(&mut self, name: &str, from: &str) {
        let head = self.head(from).to_owned();
        self.branches.insert(name.to_owned(), head);
    }

    /// Merges the head of `from` into `into`: files of both, those of `into` where they differ.
    pub fn merge(&mut self, into: &str, from: &str) -> String {
        let (ours, theirs) = (self.head(into).to_owned(), self.head(from).to_owned());
        let mut tree = self.tree(&theirs);
        tree.extend(self.tree(&ours));
        let message = format!("Merge {from} into {into}");
        let committed_at = self.tick();
        let commit = self.add(NewCommit {
            branch: into,
            message: &message,
            committed_at: &committed_at,
            parents: vec![ours, theirs],
            tree,
        });
        self.branches.insert(into.to_owned(), commit.clone());
        commit
    }

    /// Adds a commit without moving a branch; returns its id.
    pub fn add(&mut self, mut new: NewCommit<'_>) -> String {
        let manifest: BTreeMap<String, String> = std::mem::take(&mut new.tree)
            .into_iter()
            .map(|(path, content)| {
                let id = self.ids.object(&content);
                self.objects.insert(id.clone(), content);
                (path, id)
            })
            .collect();
        let snapshot = record_of_snapshot(self.ids.snapshot(&manifest), &manifest, new.committed_at);
        let snapshot_id = text(&snapshot, "snapshot_id").to_owned();
        self.snapshots.entry(snapshot_id.clone()).or_insert(snapshot);
        let record = commit_record(self.ids, &self.repo_id, &snapshot_id, &new);
        let commit = text(&record, "commit_id").to_owned();
        self.commits.insert(commit.clone(), record);
        commit
    }

    /// The head of a branch.
    ///
    /// # Panics
    /// Where there is no such branch.
    #[must_use]
    pub fn head(&self, branch: &str) -> &str {
        self.branches.get(branch).unwrap_or_else(|| panic!("no branch {branch:?}"))
    }

    /// The record of a commit.
    ///
    /// # Panics
    /// Where there is no such commit.
    #[must_use]
    pub fn record(&self, commit: &str) -> &Value {
        self.commits.get(commit).unwrap_or_else(|| panic!("no commit {commit}"))
    }

    /// The manifest of a commit: ids by path.
    #[must_use]
    pub fn manifest(&self, commit: &str) -> BTreeMap<String, String> {
        let snapshot = &self.snapshots[text(self.record(commit), "snapshot_id")];
        manifest_of(snapshot)
    }

    /// The files of a commit.
    ///
    /// # Panics
    /// Where an object is not there.
    #[must_use]
    pub fn tree(&self, commit: &str) -> Tree {
        let content = |id: &str| match self.objects.get(id) {
            Some(content) => content.clone(),
            None => panic!("no object {id}"),
        };
        let manifest = self.manifest(commit).into_iter();
        manifest.map(|(path, id)| (path, content(&id))).collect()
    }

    /// A commit and all its ancestors that are not in `stop` or behind it, newest first.
    #[must_use]
    pub fn walk(&self, from: &str, stop: &BTreeSet<String>) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut queue = std::collections::VecDeque::from([from.to_owned()]);
        let mut found = Vec::new();
        while let Some(commit) = queue.pop_front() {
            if stop.contains(&commit) || !seen.insert(commit.clone()) {
                continue;
            }
            if let Some(record) = self.commits.get(&commit) {
                queue.extend(parents(record));
                found.push(commit);
            }
        }
        found
    }

    /// What a push of `head` carries to a hub that has `have`, as the client packs it.
    #[must_use]
    pub fn bundle(&self, head: &str, have: &BTreeSet<String>) -> Bundle {
        let ids = self.walk(head, have);
        let commits: Vec<Value> = ids.iter().map(|id| self.commits[id].clone()).collect();
        let snapshots: BTreeSet<&str> = commits.iter().map(|commit| text(commit, "snapshot_id")).collect();
        let snapshots: Vec<Value> = snapshots.iter().map(|id| self.snapshots[*id].clone()).collect();
        let objects: BTreeSet<String> =
            snapshots.iter().flat_map(|snapshot| manifest_of(snapshot).into_values()).collect();
        let objects = objects.into_iter().map(|id| {
            let content = self.objects[&id].clone();
            (id, content)
        });
        Bundle { objects: objects.collect(), commits, snapshots }
    }

    /// The whole history of a branch, as a first push carries it.
    #[must_use]
    pub fn whole(&self, branch: &str) -> Bundle {
        self.bundle(self.head(branch), &BTreeSet::new())
    }

    /// Takes what a fetch brought.
    pub fn receive(&mut self, bundle: &Bundle) {
        let named = |record: &Value, key| (text(record, key).to_owned(), record.clone());
        self.commits.extend(bundle.commits.iter().map(|record| named(record, "commit_id")));
        self.snapshots.extend(bundle.snapshots.iter().map(|record| named(record, "snapshot_id")));
        self.objects.extend(bundle.objects.clone());
    }

    /// Recomputes every id and follows every reference from every branch.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn verify(&self) -> Result<(), String> {
        for (claimed, content) in &self.objects {
            expect("object", claimed, &self.ids.object(content))?;
        }
        for (claimed, record) in &self.snapshots {
            let manifest = manifest_of(record);
            expect("snapshot", claimed, &self.ids.snapshot(&manifest))?;
            if let Some((path, id)) = manifest.iter().find(|(_, id)| !self.objects.contains_key(*id)) {
                return Err(format!("snapshot {claimed} lacks {path}: {id}"));
            }
        }
        for (claimed, record) in &self.commits {
            let parents = parents(record);
            if let Some(parent) = parents.iter().find(|id| !self.commits.contains_key(*id)) {
                return Err(format!("commit {claimed} lacks its parent {parent}"));
            }
            let snapshot = text(record, "snapshot_id");
            if !self.snapshots.contains_key(snapshot) {
                return Err(format!("commit {claimed} lacks its snapshot {snapshot}"));
            }
            expect("commit", claimed, &self.ids.commit(record))?;
        }
        match self.branches.iter().find(|(_, head)| !self.commits.contains_key(*head)) {
            Some((branch, head)) => Err(format!("branch {branch} points at {head}, which is nowhere")),
            None => Ok(()),
        }
    }

    /// A time later than every other that this history gave.
    fn tick(&mut self) -> String {
        self.clock += 1;
        let (minutes, seconds) = (self.clock / 60, self.clock % 60);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        // As `datetime.isoformat` prints: no fraction where it is 0.
        let fraction = if self.clock.is_multiple_of(7) {
            String::new()
        } else {
            format!(".{:06}", self.clock * 8191 % 1_000_000)
        };
        format!("2026-03-{:02}T{:02}:{minutes:02}:{seconds:02}{fraction}+00:00", 1 + hours / 24, hours % 24)
    }
}

/// Writes a file into a tree.
pub fn write(tree: &mut Tree, path: &str, content: impl Into<Bytes>) {
    tree.insert(path.to_owned(), content.into());
}

/// Bytes that do not repeat, the same for the same seed.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// The parents that a record names, first parent first.
#[must_use]
pub fn parents(record: &Value) -> Vec<String> {
    let named = ["parent_commit_id", "parent2_commit_id"].map(|key| get(record, key).as_str());
    named.into_iter().flatten().map(str::to_owned).collect()
}

/// The manifest of a snapshot's record.
#[must_use]
pub fn manifest_of(record: &Value) -> BTreeMap<String, String> {
    let pairs = get(record, "manifest").as_map().map_or(&[][..], Vec::as_slice);
    pairs
        .iter()
        .map(|(path, id)| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(path), text(id))
        })
        .collect()
}

/// The id that the fields of a commit's record have, as clients of March 2026 compute it.
#[must_use]
pub fn recompute(record: &Value) -> String {
    Ids::Flat.commit(record)
}

/// The record of a snapshot, with the id that clients of March 2026 compute.
#[must_use]
pub fn snapshot_record(manifest: &BTreeMap<String, String>, created_at: &str) -> Value {
    record_of_snapshot(Ids::Flat.snapshot(manifest), manifest, created_at)
}

fn record_of_snapshot(id: String, manifest: &BTreeMap<String, String>, created_at: &str) -> Value {
    let entries = manifest.iter().map(|(path, id)| (path.as_str().into(), id.as_str().into()));
    map([
        ("snapshot_id", id.into()),
        ("manifest", Value::Map(entries.collect())),
        ("created_at", created_at.into()),
    ])
}

/// The record of a commit: the 22 fields of format version 5, in the client's order.
fn commit_record(ids: Ids, repo_id: &str, snapshot: &str, new: &NewCommit<'_>) -> Value {
    let parent = |at: usize| new.parents.get(at).map_or(Value::Nil, |id| id.as_str().into());
    let delta = if new.parents.is_empty() { Value::Nil } else { structured_delta(new.message) };
    let mut record = map([
        ("commit_id", Value::Nil),
        ("repo_id", repo_id.into()),
        ("branch", new.branch.into()),
        ("snapshot_id", snapshot.into()),
        ("message", new.message.into()),
        ("committed_at", new.committed_at.into()),
        ("parent_commit_id", parent(0)),
        ("parent2_commit_id", parent(1)),
        ("author", "alice".into()),
        ("metadata", Value::Map(Vec::new())),
        ("structured_delta", delta),
        ("sem_ver_bump", "none".into()),
        ("breaking_changes", texts::<&str>([])),
        ("agent_id", "".into()),
        ("model_id", "".into()),
        ("toolchain_id", "".into()),
        ("prompt_hash", "".into()),
        ("signature", "".into()),
        ("signer_key_id", "".into()),
        ("format_version", 5.into()),
        ("reviewed_by", texts::<&str>([])),
        ("test_runs", 0.into()),
    ]);
    let id = ids.commit(&record);
    set(&mut record, "commit_id", id);
    record
}

/// What the client notes about a change of code, in small.
fn structured_delta(summary: &str) -> Value {
    let child = map([
        ("op", "insert".into()),
        ("address", "src/lib.py::f".into()),
        ("position", Value::Nil),
        ("content_id", id::object_id(summary.as_bytes()).into()),
        ("content_summary", "added function f  L1–2".into()),
    ]);
    let patch = map([
        ("op", "patch".into()),
        ("address", "src/lib.py".into()),
        ("child_ops", Value::Array(vec![child])),
        ("child_domain", "code_symbols".into()),
        ("child_summary", "1 symbol added".into()),
    ]);
    map([
        ("domain", "code".into()),
        ("ops", Value::Array(vec![patch])),
        ("summary", summary.into()),
        ("sem_ver_bump", "minor".into()),
        ("breaking_changes", texts::<&str>([])),
    ])
}

fn expect(what: &str, claimed: &str, computed: &str) -> Result<(), String> {
    if claimed == computed { Ok(()) } else { Err(format!("{what} {claimed} has the id {computed}")) }
}
