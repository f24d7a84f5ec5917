//! Rows of history that the suite of [`HistoryIndex`](crate::port::HistoryIndex) writes.

use super::fixtures::{at, blob_id, branch, commit_id, handle, pack_id, snapshot_id};
use crate::id::CommitId;
use crate::name::RepoId;
use crate::object::IdProof;
use crate::port::{BlobRow, CommitRow, MoveRows, Place, RefLogEntry, SnapshotRow};

pub(super) fn place(seed: &str) -> Place {
    Place { pack: pack_id(seed), offset: 5_000_000_000, length: 6_000_000_000 }
}

/// A commit with a snapshot of its own.
pub(super) fn commit(seed: &str, parents: &[&CommitRow]) -> CommitRow {
    CommitRow {
        id: commit_id(seed),
        parents: parents.iter().map(|parent| parent.id).collect(),
        generation: 1 + parents.iter().map(|parent| parent.generation).max().unwrap_or(0),
        snapshot: snapshot_id(seed),
        author: "Ünï <u@example.org>".to_owned(),
        message: format!("{seed}: \"quotes\", 'more', \\, \n\u{1f980}"),
        committed_at: "2026-03-01T12:00:00.123456+00:00".to_owned(),
        agent_id: String::new(),
        branch: "main".to_owned(),
        size: 7_000_000_000,
        place: Some(place(seed)),
        id_proof: if seed.len().is_multiple_of(2) { IdProof::Verified } else { IdProof::Opaque },
    }
}

/// A straight history, root first.
pub(super) fn chain(seed: &str, length: usize) -> Vec<CommitRow> {
    let mut rows: Vec<CommitRow> = Vec::with_capacity(length);
    for n in 0..length {
        let parents: Vec<&CommitRow> = rows.last().into_iter().collect();
        let row = commit(&format!("{seed} {n}"), &parents);
        rows.push(row);
    }
    rows
}

pub(super) fn snapshot_of(commit: &CommitRow) -> SnapshotRow {
    SnapshotRow { id: commit.snapshot, entry_count: 8_000_000_000, size: 9_000_000_000, place: commit.place }
}

pub(super) fn blob(seed: &str) -> BlobRow {
    BlobRow { id: blob_id(seed), size: 5_000_000_001, place: place(seed) }
}

pub(super) fn entry(
    repo: &RepoId,
    name: &str,
    sequence: u64,
    old: Option<CommitId>,
    new: Option<CommitId>,
) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo.clone(),
        branch: branch(name),
        sequence,
        old,
        new,
        forced: false,
        pusher: handle("pusher"),
        at: at(i64::try_from(sequence).expect("a small number")),
        packs: vec![pack_id(name)],
        borrowed: Vec::new(),
    }
}

pub(super) fn rows(entry: RefLogEntry, commits: &[CommitRow]) -> MoveRows {
    let snapshots = commits.iter().map(snapshot_of).collect();
    MoveRows {
        entry,
        commits: commits.to_vec(),
        snapshots,
        blobs: Vec::new(),
        lost: Vec::new(),
        jobs: Vec::new(),
    }
}

/// The first move of a branch to the last of `commits`.
pub(super) fn first_move(repo: &RepoId, name: &str, commits: &[CommitRow]) -> MoveRows {
    rows(entry(repo, name, 1, None, commits.last().map(|commit| commit.id)), commits)
}

pub(super) fn ids_of(rows: &[CommitRow]) -> Vec<CommitId> {
    rows.iter().map(|row| row.id).collect()
}

pub(super) fn sorted(rows: &[CommitRow]) -> Vec<CommitRow> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.id);
    rows
}
