//! What one side has of history and the other lacks: the heart of fetch, of push and of a branch comparison.

use std::mem;

use super::frontier::{Fact, Frontier, Paint};
use super::{CommitNode, Step, Walk};
use crate::id::CommitId;

const WANT: Paint = 1;
const HAVE: Paint = 2;
/// A parent of a listed commit.
const EDGE: Paint = 4;

/// The answer of [`Reachable`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// What is reachable from the wants and not from the haves: children before parents, in the order of
    /// [`History`](super::History).
    pub commits: Vec<CommitId>,
    /// The parents of `commits` that are reachable from the haves, sorted by id: where the two sides meet.
    pub boundary: Vec<CommitId>,
    /// The wants, and the parents of `commits`, that are not in the graph, sorted by id.
    pub absent: Vec<CommitId>,
}

/// Lists the commits reachable from `want` and not from `have`.
///
/// A have stands for its whole history, so it is enough to name tips, and harmless to name everything below them as
/// well. Each commit is visited at most once however many haves lead to it. The walk ends when all that is left to
/// visit is known to the have side; a have above all wants has to be followed down to them, since they may be its
/// ancestors.
///
/// Absent haves are ignored. Absent wants, and absent parents of listed commits, are reported in
/// [`Difference::absent`], so an answer with none there is a complete history.
#[derive(Clone, Debug)]
pub struct Reachable {
    frontier: Frontier,
    commits: Vec<CommitId>,
}

impl Reachable {
    /// Starts the walk. Repeated ids count once.
    #[must_use]
    pub fn new(want: impl IntoIterator<Item = CommitId>, have: impl IntoIterator<Item = CommitId>) -> Self {
        let mut frontier = Frontier::default();
        for id in want {
            frontier.start(id, WANT);
        }
        for id in have {
            frontier.start(id, HAVE);
        }
        Self { frontier, commits: Vec::new() }
    }

    /// Sorts what the listed commits and the wants lead to; all of it must be known to be in the graph or not.
    fn conclude(&mut self) -> Step<Difference> {
        let (mut boundary, mut absent, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (id, paint, fact) in self.frontier.reached().filter(|(_, paint, _)| paint & WANT != 0) {
            match fact {
                None => unknown.push(id),
                Some(Fact::Absent) => absent.push(id),
                Some(Fact::Present { .. }) if paint & HAVE != 0 && paint & EDGE != 0 => {
                    boundary.push(id);
                }
                Some(Fact::Present { .. }) => {}
            }
        }
        if !unknown.is_empty() {
            unknown.sort_unstable();
            return Step::Need(unknown);
        }
        boundary.sort_unstable();
        absent.sort_unstable();
        Step::Done(Difference { commits: mem::take(&mut self.commits), boundary, absent })
    }
}

const fn is_wanted(paint: Paint) -> bool {
    paint & WANT != 0 && paint & HAVE == 0
}

impl Walk for Reachable {
    type Output = Difference;

    fn supply(&mut self, node: CommitNode) {
        self.frontier.supply(node);
    }

    fn absent(&mut self, id: CommitId) {
        self.frontier.absent(id);
    }

    fn step(&mut self) -> Step<Difference> {
        self.frontier.settle();
        while self.frontier.any_pending(is_wanted) {
            let Some(visit) = self.frontier.pop() else {
                return Step::Need(self.frontier.needed());
            };
            if is_wanted(visit.paint) {
                self.commits.push(visit.id);
                self.frontier.expand(&visit, WANT | EDGE);
            } else {
                self.frontier.expand(&visit, HAVE);
            }
        }
        self.conclude()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Graph, id, ids};
    use super::*;

    fn difference(graph: &Graph, want: &str, have: &str) -> Difference {
        graph.answer(Reachable::new(ids(want), ids(have)))
    }

    #[test]
    fn without_haves_the_whole_history_is_listed_children_first() {
        let graph = Graph::read("a b:a c:a d:b,c");
        let found = difference(&graph, "d", "");
        assert_eq!(found, Difference { commits: ids("d b c a"), ..Difference::default() });
        assert_eq!(difference(&graph, "", "d"), Difference::default());
    }

    #[test]
    fn a_have_stands_for_all_below_it() {
        let graph = Graph::read("a b:a c:b d:c e:d,a");
        let found = difference(&graph, "e", "c");
        assert_eq!(found.commits, ids("e d"));
        assert_eq!(found.boundary, ids("a c"));
        assert_eq!(difference(&graph, "e", "a b c"), found);
    }

    #[test]
    fn haves_above_the_wants_leave_nothing() {
        let graph = Graph::read("a b:a c:b d:c");
        assert_eq!(difference(&graph, "a c", "d"), Difference::default());
        assert_eq!(difference(&graph, "c", "c"), Difference::default());
    }

    #[test]
    fn unrelated_histories_have_no_boundary() {
        let graph = Graph::read("a b:a y z:y");
        let found = difference(&graph, "b", "z");
        assert_eq!(found, Difference { commits: ids("b a"), ..Difference::default() });
    }

    #[test]
    fn absent_haves_are_ignored_and_absent_wants_reported() {
        let graph = Graph::read("a b:a");
        let found = difference(&graph, "b no", "a nor no");
        assert_eq!(found.commits, ids("b"));
        assert_eq!(found.boundary, ids("a"));
        assert_eq!(found.absent, ids("no"));
    }

    #[test]
    fn a_hole_below_a_want_is_reported_even_if_a_have_names_it() {
        let graph = Graph::read("b:gone c:b x:gone");
        for have in ["", "x", "gone", "x gone"] {
            let found = difference(&graph, "c", have);
            assert_eq!(found.commits, ids("c b"), "{have}");
            assert_eq!(found.absent, ids("gone"), "{have}");
            assert_eq!(found.boundary, [], "{have}");
        }
    }

    #[test]
    fn haves_are_not_followed_below_the_place_where_they_meet_the_wants() {
        let graph = Graph::read("a b:a c:b d:c e:d f:d");
        let (found, asked) = graph.drive(&mut Reachable::new([id("e")], [id("f")]));
        assert_eq!(found.commits, ids("e"));
        assert_eq!(asked, 3);
    }
}
