//! Is one commit in the history of another? The question behind every fast-forward.

use super::frontier::{Fact, Frontier};
use super::{CommitNode, Step, Walk};
use crate::id::CommitId;

/// Asks whether `ancestor` can be reached from `descendant`; a commit is its own ancestor.
///
/// Visits only commits of a higher generation than the ancestor's, so the cost is the distance between the two and
/// not the length of the history.
///
/// An absent ancestor is in no history and an absent descendant has none, so either makes the answer `false`, even
/// where both are the same id. An absent commit on the way ends its path.
#[derive(Clone, Debug)]
pub struct IsAncestor {
    ancestor: CommitId,
    descendant: CommitId,
    frontier: Frontier,
    answer: Option<bool>,
}

impl IsAncestor {
    /// Starts the walk.
    #[must_use]
    pub fn new(ancestor: CommitId, descendant: CommitId) -> Self {
        let mut frontier = Frontier::default();
        frontier.start(descendant, 0);
        Self { ancestor, descendant, frontier, answer: None }
    }

    /// The answer, or nothing if more must be known.
    fn search(&mut self, floor: u64) -> Option<bool> {
        if self.ancestor == self.descendant {
            return Some(true);
        }
        while let Some(visit) = self.frontier.pop() {
            if visit.parents.contains(&self.ancestor) {
                return Some(true);
            }
            // At the floor and below there is only the ancestor itself, which is looked for above.
            if visit.parent_ceiling() > floor {
                self.frontier.expand(&visit, 0);
            }
        }
        self.frontier.needed().is_empty().then_some(false)
    }
}

impl Walk for IsAncestor {
    type Output = bool;

    fn supply(&mut self, node: CommitNode) {
        self.frontier.supply(node);
    }

    fn absent(&mut self, id: CommitId) {
        self.frontier.absent(id);
    }

    /// May be called again after [`Step::Done`], with the same answer.
    fn step(&mut self) -> Step<bool> {
        self.frontier.settle();
        let floor = match self.frontier.fact(self.ancestor) {
            Some(Fact::Present { generation, .. }) => *generation,
            Some(Fact::Absent) => return Step::Done(false),
            None => {
                let mut ids = self.frontier.needed();
                ids.push(self.ancestor);
                ids.sort_unstable();
                ids.dedup();
                return Step::Need(ids);
            }
        };
        if self.answer.is_none() {
            self.answer = self.search(floor);
        }
        match self.answer {
            Some(answer) => Step::Done(answer),
            None => Step::Need(self.frontier.needed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Graph, id};
    use super::*;

    fn is_ancestor(graph: &Graph, ancestor: &str, descendant: &str) -> bool {
        graph.answer(IsAncestor::new(id(ancestor), id(descendant)))
    }

    #[test]
    fn ancestors_are_found_along_every_parent_and_only_downwards() {
        let graph = Graph::read("a b:a c:a d:b,c z");
        for ancestor in ["a", "b", "c", "d"] {
            assert!(is_ancestor(&graph, ancestor, "d"), "{ancestor}");
        }
        assert!(!is_ancestor(&graph, "d", "a"));
        assert!(!is_ancestor(&graph, "b", "c"));
        assert!(!is_ancestor(&graph, "z", "d"));
        assert!(!is_ancestor(&graph, "d", "z"));
    }

    #[test]
    fn an_absent_commit_is_in_no_history_and_has_none() {
        let graph = Graph::read("b:gone c:b");
        assert!(is_ancestor(&graph, "b", "c"));
        assert!(!is_ancestor(&graph, "gone", "c"));
        assert!(!is_ancestor(&graph, "c", "gone"));
        assert!(!is_ancestor(&graph, "gone", "gone"));
    }

    #[test]
    fn nothing_is_asked_for_at_the_generation_of_the_ancestor_or_below() {
        let graph = Graph::read("r a:r x:r y:x");
        assert_eq!(graph.drive(&mut IsAncestor::new(id("a"), id("y"))), (false, 2));
        assert_eq!(graph.drive(&mut IsAncestor::new(id("a"), id("x"))), (false, 2));
    }

    #[test]
    fn the_answer_may_be_asked_for_again() {
        let graph = Graph::read("a b:a");
        let mut walk = IsAncestor::new(id("a"), id("b"));
        assert!(graph.drive(&mut walk).0);
        assert_eq!(walk.step(), Step::Done(true));
    }
}
