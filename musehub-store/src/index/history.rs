//! [`HistoryIndex`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use musehub_core::graph::CommitNode;
use musehub_core::id::{BlobId, CommitId, ObjectKey, SnapshotId};
use musehub_core::name::{BranchName, RepoId};
use musehub_core::object::IdProof;
use musehub_core::port::{
    BackendError, BlobRow, BranchRow, CommitRow, HistoryIndex, Located, MoveRows, Place, RefLogEntry,
    RowTimes, SnapshotRow,
};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::dialect::among;
use super::entity::history::{commit, commit_graph, snapshot};
use super::entity::object::{object, object_ref};
use super::job::{self, Repeat};
use super::maintenance::RELOCATE_BLOB;
use super::retry;
use super::sql::{Row, Rows, Write, damaged, id_array, integer};

pub(super) const MOVE_BRANCH: &str = "\
    INSERT INTO musehub_branches (repo_id, name, head_commit_id, sequence, moved_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (repo_id, name) DO UPDATE SET \
        head_commit_id = excluded.head_commit_id, sequence = excluded.sequence, moved_at = excluded.moved_at \
    WHERE excluded.sequence > musehub_branches.sequence";

pub(super) const BRANCHES: &str = "\
    SELECT name, head_commit_id, sequence, moved_at FROM musehub_branches \
    WHERE repo_id = $1 AND head_commit_id IS NOT NULL ORDER BY name";

pub(super) const BRANCH: &str =
    "SELECT head_commit_id, sequence FROM musehub_branches WHERE repo_id = $1 AND name = $2";

/// The ids asked, then breadth first their ancestors, until there are `$3`: both engines make no more of a recursive
/// table than is asked of it. `UNION` keeps a commit from being visited by more than one path. `CROSS JOIN` keeps
/// SQLite's order of the joins: from a commit to its row, never through all rows. The parent that a root has not is a
/// NULL that leads nowhere; a condition against it makes SQLite choose the index of parents and read all of a
/// repository's.
pub(super) const NODES: &str = "\
    WITH RECURSIVE walk (commit_id) AS ( \
        {each $2} \
        UNION \
        SELECT edge.parent_id FROM walk CROSS JOIN musehub_commit_graph AS edge \
        WHERE edge.repo_id = $1 AND edge.commit_id = walk.commit_id \
    ) \
    SELECT node.commit_id, node.parent_id, node.generation \
    FROM (SELECT commit_id FROM walk LIMIT $3) AS nearest CROSS JOIN musehub_commit_graph AS node \
    WHERE node.repo_id = $1 AND node.commit_id = nearest.commit_id \
    ORDER BY node.commit_id, node.position";

pub(super) const COMMITS: &str = concat!(
    "SELECT c.commit_id, c.snapshot_id, c.author, c.message, c.committed_at, c.agent_id, c.branch, c.size, \
        c.storage_uri, g.generation, g.parent_id, c.id_opaque \
    FROM musehub_commits AS c \
    CROSS JOIN musehub_commit_graph AS g \
    WHERE c.repo_id = $1 AND g.repo_id = $1 AND g.commit_id = c.commit_id AND ",
    among!("c.commit_id", "$2"),
    " ORDER BY c.commit_id, g.position"
);

pub(super) const SNAPSHOTS: &str = concat!(
    "SELECT snapshot_id, entry_count, size, storage_uri FROM musehub_snapshots WHERE repo_id = $1 AND ",
    among!("snapshot_id", "$2")
);

pub(super) const BLOBS: &str = concat!(
    "SELECT o.object_id, o.size, o.storage_uri \
    FROM musehub_object_refs AS r CROSS JOIN musehub_objects AS o \
    WHERE r.repo_id = $1 AND o.object_id = r.object_id AND ",
    among!("r.object_id", "$2")
);

pub(super) const COMMIT_COUNT: &str = "SELECT COUNT(*) FROM musehub_commits WHERE repo_id = $1";

#[async_trait]
impl HistoryIndex for SqlIndex {
    async fn record_move(&self, rows: MoveRows) -> Result<RowTimes, BackendError> {
        let MoveRows { entry, commits, snapshots, blobs, lost, jobs } = &rows;
        retry::transaction(|| async {
            let write = self.write("recording a move").await?;
            let moved = move_branch(&write, entry).await?;
            let (objects, object_refs) = insert_blobs(&write, &entry.repo_id, blobs).await?;
            relocate_lost(&write, blobs, lost).await?;
            let begun = Instant::now();
            insert_snapshots(&write, &entry.repo_id, snapshots).await?;
            let snapshots = begun.elapsed();
            let begun = Instant::now();
            insert_commits(&write, &entry.repo_id, commits).await?;
            // A move that is recorded again must not start its finished work again.
            let repeat = if moved { Repeat::Restart } else { Repeat::Keep };
            for work in jobs {
                job::enqueue(&write, work, entry.at, repeat).await?;
            }
            write.commit().await?;
            Ok(RowTimes { objects, object_refs, snapshots, commits: begun.elapsed() })
        })
        .await
    }

    async fn branches(&self, repo: &RepoId) -> Result<Vec<BranchRow>, BackendError> {
        let rows = self.rows("listing branches", BRANCHES, [repo.as_str().into()]).await?;
        rows.iter().map(branch_row).collect()
    }

    async fn branch(
        &self,
        repo: &RepoId,
        branch: &BranchName,
    ) -> Result<(Option<CommitId>, u64), BackendError> {
        let rows =
            self.rows("finding a branch", BRANCH, [repo.as_str().into(), branch.as_str().into()]).await?;
        let Some(row) = rows.first() else {
            return Ok((None, 0));
        };
        let row = Row::of("musehub_branches", row);
        let head = row.parse_nullable(0, "head_commit_id")?;
        Ok((head, row.number(1, "sequence")?))
    }

    async fn commit_nodes(
        &self,
        repo: &RepoId,
        ids: &[CommitId],
        window: u32,
    ) -> Result<Vec<CommitNode>, BackendError> {
        let mut asked = ids.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let most = i64::try_from(asked.len()).unwrap_or(i64::MAX).saturating_add(i64::from(window));
        let values = [repo.as_str().into(), id_array(asked), most.into()];
        let rows = self.rows("walking the commit graph", NODES, values).await?;

        let mut nodes: Vec<CommitNode> = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = Row::of("musehub_commit_graph", row);
            let id = row.parse(0, "commit_id")?;
            let parent = row.parse_nullable(1, "parent_id")?;
            match nodes.last_mut() {
                Some(node) if node.id == id => node.parents.extend(parent),
                _ => nodes.push(CommitNode {
                    id,
                    parents: parent.into_iter().collect(),
                    generation: row.number(2, "generation")?,
                }),
            }
        }
        Ok(nodes)
    }

    async fn commits(&self, repo: &RepoId, ids: &[CommitId]) -> Result<Vec<CommitRow>, BackendError> {
        let rows = self.rows("reading commits", COMMITS, [repo.as_str().into(), id_array(ids)]).await?;
        commit_rows(&rows)
    }

    async fn snapshots(&self, repo: &RepoId, ids: &[SnapshotId]) -> Result<Vec<SnapshotRow>, BackendError> {
        let rows = self.rows("reading snapshots", SNAPSHOTS, [repo.as_str().into(), id_array(ids)]).await?;
        rows.iter().map(snapshot_row).collect()
    }

    async fn blobs(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<BlobRow>, BackendError> {
        let rows = self.rows("reading blobs", BLOBS, [repo.as_str().into(), id_array(ids)]).await?;
        rows.iter().map(blob_row).collect()
    }

    async fn commit_count(&self, repo: &RepoId) -> Result<u64, BackendError> {
        let rows = self.rows("counting commits", COMMIT_COUNT, [repo.as_str().into()]).await?;
        rows.first().map_or(Ok(0), |row| Row::of("musehub_commits", row).number(0, "COUNT(*)"))
    }
}

/// Moves the branch unless it has made that move or a later one; whether it did.
async fn move_branch(write: &Write, entry: &RefLogEntry) -> Result<bool, BackendError> {
    let values = [
        entry.repo_id.as_str().into(),
        entry.branch.as_str().into(),
        entry.new.map(|head| head.to_string()).into(),
        integer(entry.sequence)?.into(),
        entry.at.as_millis().into(),
    ];
    Ok(write.execute(MOVE_BRANCH, values).await? > 0)
}

/// Rows go in by order of key, so that neighbours meet the same pages, and two that insert the same rows never wait for
/// each other.
/// Also how long that took, for the blobs and for what the repository holds.
async fn insert_blobs(
    write: &Write,
    repo: &RepoId,
    blobs: &[BlobRow],
) -> Result<(Duration, Duration), BackendError> {
    let begun = Instant::now();
    let blobs = sorted(blobs, |blob| blob.id);
    insert_objects(write, &blobs).await?;
    let objects = begun.elapsed();

    let begun = Instant::now();
    use object_ref::Column as Ref;
    let refs: Rows<'_, 2> =
        Box::new(blobs.iter().map(|blob| Ok([repo.as_str().into(), blob.id.to_string().into()])));
    write.insert_new::<object_ref::Entity, 2>([Ref::RepoId, Ref::ObjectId], refs).await?;
    Ok((objects, begun.elapsed()))
}

/// Rows of blobs that say where nothing lies any more say where the move has them.
async fn relocate_lost(write: &Write, blobs: &[BlobRow], lost: &[Located]) -> Result<(), BackendError> {
    if lost.is_empty() {
        return Ok(());
    }
    let places: HashMap<ObjectKey, Place> = blobs.iter().map(|blob| (blob.id.key(), blob.place)).collect();
    for Located { key, place } in sorted(lost, |lost| (lost.key.id, lost.place)) {
        if let Some(now) = places.get(key) {
            let values = [key.id.to_string().into(), place.to_string().into(), now.to_string().into()];
            write.execute(RELOCATE_BLOB, values).await?;
        }
    }
    Ok(())
}

/// Says where blobs lie that are in no row yet. They are in order.
pub(super) async fn insert_objects(write: &Write, blobs: &[&BlobRow]) -> Result<(), BackendError> {
    let rows: Rows<'_, 3> = Box::new(blobs.iter().map(|blob| {
        Ok([blob.id.to_string().into(), integer(blob.size)?.into(), blob.place.to_string().into()])
    }));
    use object::Column as C;
    write.insert_new::<object::Entity, 3>([C::ObjectId, C::Size, C::StorageUri], rows).await.map(drop)
}

pub(super) const SNAPSHOT_COLUMNS: [snapshot::Column; 5] = {
    use snapshot::Column as C;
    [C::RepoId, C::SnapshotId, C::EntryCount, C::Size, C::StorageUri]
};

pub(super) fn snapshot_values(repo: &RepoId, snapshot: &SnapshotRow) -> Result<[Value; 5], BackendError> {
    Ok([
        repo.as_str().into(),
        snapshot.id.to_string().into(),
        integer(snapshot.entry_count)?.into(),
        integer(snapshot.size)?.into(),
        snapshot.place.map(|place| place.to_string()).into(),
    ])
}

/// A row that has a place takes the place of one that has none.
const STORE_SNAPSHOT: &str = "    ON CONFLICT (repo_id, snapshot_id) DO UPDATE SET \
        entry_count = excluded.entry_count, size = excluded.size, storage_uri = excluded.storage_uri, record = NULL \
    WHERE musehub_snapshots.storage_uri IS NULL";

async fn insert_snapshots(
    write: &Write,
    repo: &RepoId,
    snapshots: &[SnapshotRow],
) -> Result<(), BackendError> {
    let snapshots = sorted(snapshots, |snapshot| snapshot.id);
    let rows: Rows<'_, 5> = Box::new(snapshots.iter().map(|snapshot| snapshot_values(repo, snapshot)));
    write.insert::<snapshot::Entity, 5>(SNAPSHOT_COLUMNS, rows, STORE_SNAPSHOT).await.map(drop)
}

pub(super) const COMMIT_COLUMNS: [commit::Column; 11] = {
    use commit::Column as C;
    [
        C::RepoId,
        C::CommitId,
        C::SnapshotId,
        C::Author,
        C::Message,
        C::CommittedAt,
        C::AgentId,
        C::Branch,
        C::Size,
        C::StorageUri,
        C::IdOpaque,
    ]
};

pub(super) fn commit_values(repo: &RepoId, commit: &CommitRow) -> Result<[Value; 11], BackendError> {
    Ok([
        repo.as_str().into(),
        commit.id.to_string().into(),
        commit.snapshot.to_string().into(),
        commit.author.as_str().into(),
        commit.message.as_str().into(),
        commit.committed_at.as_str().into(),
        commit.agent_id.as_str().into(),
        commit.branch.as_str().into(),
        integer(commit.size)?.into(),
        commit.place.map(|place| place.to_string()).into(),
        (commit.id_proof == IdProof::Opaque).into(),
    ])
}

/// A row that has a place takes the place of one that has none.
const STORE_COMMIT: &str = "    ON CONFLICT (repo_id, commit_id) DO UPDATE SET \
        snapshot_id = excluded.snapshot_id, author = excluded.author, message = excluded.message, \
        committed_at = excluded.committed_at, agent_id = excluded.agent_id, branch = excluded.branch, \
        size = excluded.size, storage_uri = excluded.storage_uri, id_opaque = excluded.id_opaque, record = NULL \
    WHERE musehub_commits.storage_uri IS NULL";

async fn insert_commits(write: &Write, repo: &RepoId, commits: &[CommitRow]) -> Result<(), BackendError> {
    let commits = sorted(commits, |commit| commit.id);
    insert_edges(write, repo, &commits).await?;
    let rows: Rows<'_, 11> = Box::new(commits.iter().map(|commit| commit_values(repo, commit)));
    write.insert::<commit::Entity, 11>(COMMIT_COLUMNS, rows, STORE_COMMIT).await.map(drop)
}

pub(super) async fn insert_edges(
    write: &Write,
    repo: &RepoId,
    commits: &[&CommitRow],
) -> Result<(), BackendError> {
    let mut edges: Vec<(CommitId, i64, Option<CommitId>, u64)> = Vec::with_capacity(commits.len());
    for commit in commits {
        if commit.parents.is_empty() {
            edges.push((commit.id, 0, None, commit.generation));
        }
        let numbered = (0..).zip(&commit.parents);
        edges.extend(
            numbered.map(|(position, parent)| (commit.id, position, Some(*parent), commit.generation)),
        );
    }
    let edges = edges.into_iter().map(|(commit, position, parent, generation)| {
        Ok([
            repo.as_str().into(),
            commit.to_string().into(),
            position.into(),
            parent.map(|parent| parent.to_string()).into(),
            integer(generation)?.into(),
        ])
    });
    use commit_graph::Column as Edge;
    let columns = [Edge::RepoId, Edge::CommitId, Edge::Position, Edge::ParentId, Edge::Generation];
    write.insert_new::<commit_graph::Entity, 5>(columns, edges).await.map(drop)
}

pub(super) fn sorted<T, K: Ord>(rows: &[T], key: impl Fn(&T) -> K) -> Vec<&T> {
    let mut sorted: Vec<&T> = rows.iter().collect();
    sorted.sort_unstable_by_key(|row| key(row));
    sorted
}

fn branch_row(row: &QueryResult) -> Result<BranchRow, BackendError> {
    const TABLE: &str = "musehub_branches";
    let row = Row::of(TABLE, row);
    let name: String = row.get(0, "name")?;
    Ok(BranchRow {
        name: BranchName::parse(&name).map_err(|error| damaged(TABLE, "name", error))?,
        head: row.parse(1, "head_commit_id")?,
        sequence: row.number(2, "sequence")?,
        moved_at: row.moment(3, "moved_at")?,
    })
}

/// Commits from rows that come one per parent, those of a commit next to each other.
pub(super) fn commit_rows(rows: &[QueryResult]) -> Result<Vec<CommitRow>, BackendError> {
    let mut commits: Vec<CommitRow> = Vec::with_capacity(rows.len());
    for row in rows {
        let row = Row::of("musehub_commits", row);
        let id = row.parse(0, "commit_id")?;
        match commits.last_mut() {
            Some(commit) if commit.id == id => commit.parents.push(row.parse(10, "parent_id")?),
            _ => commits.push(commit_row(id, &row)?),
        }
    }
    Ok(commits)
}

fn commit_row(id: CommitId, row: &Row<'_>) -> Result<CommitRow, BackendError> {
    Ok(CommitRow {
        id,
        snapshot: row.parse(1, "snapshot_id")?,
        author: row.get(2, "author")?,
        message: row.get(3, "message")?,
        committed_at: row.get(4, "committed_at")?,
        agent_id: row.get(5, "agent_id")?,
        branch: row.get(6, "branch")?,
        size: row.number(7, "size")?,
        place: row.parse_nullable(8, "storage_uri")?,
        generation: row.number(9, "generation")?,
        parents: row.parse_nullable(10, "parent_id")?.into_iter().collect(),
        id_proof: if row.get(11, "id_opaque")? { IdProof::Opaque } else { IdProof::Verified },
    })
}

pub(super) fn snapshot_row(row: &QueryResult) -> Result<SnapshotRow, BackendError> {
    let row = Row::of("musehub_snapshots", row);
    Ok(SnapshotRow {
        id: row.parse(0, "snapshot_id")?,
        entry_count: row.number(1, "entry_count")?,
        size: row.number(2, "size")?,
        place: row.parse_nullable(3, "storage_uri")?,
    })
}

pub(super) fn blob_row(row: &QueryResult) -> Result<BlobRow, BackendError> {
    let row = Row::of("musehub_objects", row);
    Ok(BlobRow {
        id: row.parse(0, "object_id")?,
        size: row.number(1, "size")?,
        place: row.parse(2, "storage_uri")?,
    })
}
