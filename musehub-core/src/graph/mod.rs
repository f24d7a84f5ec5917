//! Walks over the commit graph: what a push adds, what a fetch lacks, where two branches part.
//!
//! A walk is a resumable state machine. It never does I/O: [`Walk::step`] runs as far as it can and then says which
//! commits it must know of to go on, and whoever drives it fetches those, from a database, from memory or from a pack
//! that has just arrived, and hands them in. So one implementation serves every backend, blocking or not.
//!
//! All walks but the plain [`topological_order`] go by *generation number*, highest first. A commit's generation is
//! greater than that of each of its parents, so in that order a commit is met only after all of its descendants, which
//! makes every verdict final when it is given and lets a walk stop as soon as nothing below could change its answer.
//! Generations are trusted: they are computed here ([`number_commits`]) and never taken from a client. With wrong ones
//! a walk still ends, after at most one visit to each commit, but may answer wrongly.
//!
//! What a walk answers depends on the graph alone, not on how it was driven: neither on the order of answers nor on
//! nodes supplied beyond what was asked for. A commit said to be absent is not part of the graph, and the edges to it
//! count for nothing.
//!
//! Nothing here recurses, and no walk holds more than the commits it has visited or been told of.
//!
//! ```
//! use std::collections::HashMap;
//! # use musehub_core::graph::CommitNode;
//! use musehub_core::graph::{self, IsAncestor};
//! # use musehub_core::id::{CommitId, HashAlgorithm};
//! # let id = |n| CommitId::new(HashAlgorithm::Sha256, [n; 32]);
//! # let node = |n, parent: Option<u8>| CommitNode {
//! #     id: id(n),
//! #     parents: parent.map(id).into_iter().collect(),
//! #     generation: u64::from(n),
//! # };
//! # let (root, middle, tip) = (id(1), id(2), id(3));
//! # let nodes = [node(1, None), node(2, Some(1)), node(3, Some(2))];
//!
//! let graph: HashMap<CommitId, CommitNode> = nodes.into_iter().map(|n| (n.id, n)).collect();
//! let mut walk = IsAncestor::new(root, tip);
//! assert!(graph::run(&mut walk, |id| graph.get(&id).cloned()));
//! ```

mod ancestry;
mod divergence;
mod frontier;
mod history;
mod merge_base;
mod reachable;
mod topo;

#[cfg(test)]
mod tests;

use crate::id::CommitId;

pub use ancestry::IsAncestor;
pub use divergence::{Apart, Divergence};
pub use history::History;
pub use merge_base::MergeBases;
pub use reachable::{Difference, Reachable};
pub use topo::{TopoError, UnknownParent, number_commits, topological_order};

/// What a walk needs to know of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitNode {
    /// The commit.
    pub id: CommitId,
    /// Its parents, the first one first.
    pub parents: Vec<CommitId>,
    /// 1 for a root, else one more than the greatest of its parents'.
    pub generation: u64,
}

/// How far a walk has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step<T> {
    /// The walk cannot go on before each of these is [supplied](Walk::supply) or [absent](Walk::absent).
    ///
    /// Never empty, sorted, without repeats, and without any id that was answered already.
    Need(Vec<CommitId>),
    /// The answer.
    Done(T),
}

/// A question about the commit graph, asked in steps.
pub trait Walk {
    /// The answer.
    type Output;

    /// Tells the walk of a commit.
    ///
    /// Any commit may be supplied at any time, whether it was asked for or not: a backend may answer with a window
    /// of ancestors, and a push supplies its whole pack up front. The first answer about an id stands.
    fn supply(&mut self, node: CommitNode);

    /// Tells the walk that a commit is not in the graph. The first answer about an id stands.
    fn absent(&mut self, id: CommitId);

    /// Runs as far as possible.
    ///
    /// A driver that answers only some of the ids it was asked for will be asked for the rest again, if they still
    /// matter. A walk is spent once it has said [`Step::Done`], unless its documentation says otherwise.
    fn step(&mut self) -> Step<Self::Output>;

    /// Answers a [`Step::Need`]: supplies `nodes`, and every asked id that is not among them is absent.
    fn answer(&mut self, asked: &[CommitId], nodes: impl IntoIterator<Item = CommitNode>)
    where
        Self: Sized,
    {
        for node in nodes {
            self.supply(node);
        }
        for id in asked {
            self.absent(*id);
        }
    }
}

/// Drives a walk over a graph that is at hand; what `lookup` does not know is absent.
pub fn run<W: Walk>(walk: &mut W, mut lookup: impl FnMut(CommitId) -> Option<CommitNode>) -> W::Output {
    loop {
        match walk.step() {
            Step::Done(output) => return output,
            Step::Need(ids) => {
                let nodes: Vec<_> = ids.iter().filter_map(|id| lookup(*id)).collect();
                walk.answer(&ids, nodes);
            }
        }
    }
}
