//! The best common ancestors of two commits, from which a merge starts.

use super::frontier::{Frontier, Paint};
use super::{CommitNode, Step, Walk};
use crate::id::CommitId;

const LEFT: Paint = 1;
const RIGHT: Paint = 2;
const BOTH: Paint = LEFT | RIGHT;
/// Below a common ancestor that was found, and so not a best one.
const STALE: Paint = 4;

/// Finds every common ancestor of two commits that is not an ancestor of another common one.
///
/// The answer is sorted by id. It has several members after a criss-cross merge and none where the histories are
/// unrelated; where one commit is the other's ancestor it is that one.
///
/// Both histories are painted downwards, highest generation first. A commit visited with both paints and not below
/// another such is a base, and final: all its descendants have been visited by then. Once either side has no commit
/// left of its own, no further base can appear and the walk ends.
///
/// An absent commit is never a base, and ends its path.
#[derive(Clone, Debug)]
pub struct MergeBases {
    frontier: Frontier,
    bases: Vec<CommitId>,
}

impl MergeBases {
    /// Starts the walk.
    #[must_use]
    pub fn new(a: CommitId, b: CommitId) -> Self {
        let mut frontier = Frontier::default();
        frontier.start(a, LEFT);
        frontier.start(b, RIGHT);
        Self { frontier, bases: Vec::new() }
    }

    fn more_may_follow(&self) -> bool {
        let pending = |wanted| self.frontier.any_pending(|paint| paint == wanted);
        pending(BOTH) || (pending(LEFT) && pending(RIGHT))
    }
}

impl Walk for MergeBases {
    type Output = Vec<CommitId>;

    fn supply(&mut self, node: CommitNode) {
        self.frontier.supply(node);
    }

    fn absent(&mut self, id: CommitId) {
        self.frontier.absent(id);
    }

    /// May be called again after [`Step::Done`], with the same answer.
    fn step(&mut self) -> Step<Vec<CommitId>> {
        self.frontier.settle();
        while self.more_may_follow() {
            let Some(visit) = self.frontier.pop() else {
                return Step::Need(self.frontier.needed());
            };
            let mut paint = visit.paint;
            if paint == BOTH {
                self.bases.push(visit.id);
                paint |= STALE;
            }
            self.frontier.expand(&visit, paint);
        }
        self.bases.sort_unstable();
        Step::Done(self.bases.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Graph, id, ids};
    use super::*;

    fn merge_bases(graph: &Graph, a: &str, b: &str) -> Vec<CommitId> {
        graph.answer(MergeBases::new(id(a), id(b)))
    }

    #[test]
    fn a_fork_has_one_base_and_a_line_the_older_commit() {
        let graph = Graph::read("a b:a c:b d:b e:d");
        assert_eq!(merge_bases(&graph, "c", "e"), ids("b"));
        assert_eq!(merge_bases(&graph, "a", "e"), ids("a"));
        assert_eq!(merge_bases(&graph, "e", "d"), ids("d"));
        assert_eq!(merge_bases(&graph, "e", "e"), ids("e"));
    }

    #[test]
    fn a_criss_cross_has_two_bases() {
        let graph = Graph::read("r a:r b:r x:a,b y:b,a");
        assert_eq!(merge_bases(&graph, "x", "y"), ids("a b"));
    }

    #[test]
    fn a_common_ancestor_below_another_is_no_base() {
        // `a` is a parent of both, but the better base `b` is above it.
        let graph = Graph::read("a b:a c:b x:c,a y:b,a");
        assert_eq!(merge_bases(&graph, "x", "y"), ids("b"));
    }

    #[test]
    fn unrelated_and_absent_commits_have_none() {
        let graph = Graph::read("a b:a z w:gone v:gone");
        assert_eq!(merge_bases(&graph, "b", "z"), []);
        assert_eq!(merge_bases(&graph, "w", "v"), []);
        assert_eq!(merge_bases(&graph, "gone", "w"), []);
        assert_eq!(merge_bases(&graph, "gone", "gone"), []);
    }

    #[test]
    fn the_walk_ends_once_one_side_is_used_up() {
        // `old` stays far below: the left side has nothing of its own left when `b` is found.
        let graph = Graph::read("old o:old p:o a:p b:a c:b x:c,old");
        let (bases, asked) = graph.drive(&mut MergeBases::new(id("b"), id("x")));
        assert_eq!(bases, ids("b"));
        assert_eq!(asked, 4);
    }
}
