//! Index rows of objects. A push and the recovery from the log make them through these same functions, so a rebuilt index
//! equals the one it replaces.

use crate::graph::CommitNode;
use crate::name::Handle;
use crate::object::Commit;
use crate::port::{CommitRow, Place};

pub(super) fn commit_row(
    commit: &Commit,
    node: &CommitNode,
    place: Option<Place>,
    pusher: &Handle,
) -> CommitRow {
    let author = commit.text("author");
    CommitRow {
        id: commit.id(),
        parents: commit.parents().to_vec(),
        generation: node.generation,
        snapshot: commit.snapshot(),
        author: if author.is_empty() { pusher.to_string() } else { author.to_owned() },
        message: commit.text("message").to_owned(),
        committed_at: commit.text("committed_at").to_owned(),
        agent_id: commit.text("agent_id").to_owned(),
        branch: commit.text("branch").to_owned(),
        size: commit.size(),
        place,
        id_proof: commit.id_proof(),
    }
}
