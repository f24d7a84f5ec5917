//! How far two branches are apart: what each has that the other lacks.

use super::frontier::{Frontier, Paint};
use super::{CommitNode, Step, Walk};
use crate::id::CommitId;

const LEFT: Paint = 1;
const RIGHT: Paint = 2;

/// The answer of [`Divergence`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Apart {
    /// What only the left side has: children before parents, in the order of [`History`](super::History).
    pub left: Vec<CommitId>,
    /// What only the right side has, in the same order.
    pub right: Vec<CommitId>,
    /// Whether that is all. Otherwise there is at least as much.
    pub complete: bool,
}

/// Lists what each of two commits can reach and the other cannot.
///
/// Both histories are painted downwards, highest generation first, so a commit's paint is final when it is visited. The walk
/// ends when all that is left to visit is known to both sides, or after as many visits as its caller allows: then the
/// commits found so far are certain, and there may be more.
///
/// An absent commit counts for nothing, and ends its path.
#[derive(Clone, Debug)]
pub struct Divergence {
    frontier: Frontier,
    found: Apart,
    visits_left: usize,
}

impl Divergence {
    /// Starts the walk, which makes at most `visits` visits.
    #[must_use]
    pub fn new(left: CommitId, right: CommitId, visits: usize) -> Self {
        let mut frontier = Frontier::default();
        frontier.start(left, LEFT);
        frontier.start(right, RIGHT);
        Self { frontier, found: Apart::default(), visits_left: visits }
    }
}

impl Walk for Divergence {
    type Output = Apart;

    fn supply(&mut self, node: CommitNode) {
        self.frontier.supply(node);
    }

    fn absent(&mut self, id: CommitId) {
        self.frontier.absent(id);
    }

    /// May be called again after [`Step::Done`], with the same answer.
    fn step(&mut self) -> Step<Apart> {
        let one_sided = |paint| paint == LEFT || paint == RIGHT;
        self.frontier.settle();
        while self.frontier.any_pending(one_sided) {
            if self.visits_left == 0 {
                // Only a commit that is there makes the answer less than complete, so those not known of decide it.
                return match self.frontier.any_ready(one_sided) {
                    true => Step::Done(self.found.clone()),
                    false => Step::Need(self.frontier.needed()),
                };
            }
            let Some(visit) = self.frontier.pop() else {
                return Step::Need(self.frontier.needed());
            };
            self.visits_left -= 1;
            match visit.paint {
                LEFT => self.found.left.push(visit.id),
                RIGHT => self.found.right.push(visit.id),
                _ => {}
            }
            self.frontier.expand(&visit, visit.paint);
        }
        Step::Done(Apart { complete: true, ..self.found.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Graph, id, ids};
    use super::*;

    fn apart(graph: &Graph, left: &str, right: &str) -> (Vec<CommitId>, Vec<CommitId>) {
        let found = graph.answer(Divergence::new(id(left), id(right), usize::MAX));
        assert!(found.complete);
        (found.left, found.right)
    }

    #[test]
    fn each_side_has_what_the_other_lacks() {
        let graph = Graph::read("a b:a c:b d:a e:d f:e");
        assert_eq!(apart(&graph, "c", "f"), (ids("c b"), ids("f e d")));
        assert_eq!(apart(&graph, "f", "c"), (ids("f e d"), ids("c b")));
        assert_eq!(apart(&graph, "a", "c"), (vec![], ids("c b")));
        assert_eq!(apart(&graph, "c", "c"), (vec![], vec![]));
    }

    #[test]
    fn what_was_merged_is_on_both_sides() {
        let graph = Graph::read("a b:a c:a d:b,c e:c");
        assert_eq!(apart(&graph, "d", "e"), (ids("d b"), ids("e")));
    }

    #[test]
    fn absent_commits_count_for_nothing() {
        let graph = Graph::read("a b:a c:gone");
        assert_eq!(apart(&graph, "gone", "b"), (vec![], ids("b a")));
        assert_eq!(apart(&graph, "c", "b"), (ids("c"), ids("b a")));
    }

    #[test]
    fn a_walk_that_was_cut_short_says_so_and_what_it_found_is_right() {
        let graph = Graph::read("a b:a c:b d:c x:a");
        let found = graph.answer(Divergence::new(id("d"), id("x"), 2));
        assert_eq!(found, Apart { left: ids("d c"), right: vec![], complete: false });
        assert!(graph.answer(Divergence::new(id("d"), id("d"), 0)).complete);
    }

    #[test]
    fn absent_commits_leave_a_walk_cut_short_complete() {
        let graph = Graph::read("a b:a,gone c:a");
        let found = graph.answer(Divergence::new(id("b"), id("c"), 2));
        assert_eq!(found, Apart { left: ids("b"), right: ids("c"), complete: true });
    }

    #[test]
    fn the_walk_does_not_go_below_where_the_sides_meet() {
        let graph = Graph::read("a b:a c:b d:c e:d f:d");
        let (found, asked) = graph.drive(&mut Divergence::new(id("e"), id("f"), usize::MAX));
        assert_eq!((found.left, found.right), (ids("e"), ids("f")));
        assert_eq!(asked, 2);
    }
}
