//! A log, a page at a time.

use std::cmp::Reverse;
use std::mem;
use std::num::NonZeroUsize;

use super::frontier::{Fact, Frontier, Place};
use super::{CommitNode, Step, Walk};
use crate::id::CommitId;

const DEFAULT_PAGE_SIZE: NonZeroUsize = NonZeroUsize::new(50).expect("50 is not zero");

/// Lists a history newest first: by generation, highest first, and by id within a generation.
///
/// So children come before their parents, and each commit comes once. [`Step::Done`] gives a page, and the next
/// [`step`](Walk::step) begins the next one. A page shorter than the page size is the last; after it come empty ones.
///
/// To go on in another request, either name the last commit seen ([`after`](Self::after)), which walks down to it
/// again, or keep [`resume_from`](Self::resume_from) and start a walk [from there](Self::from_tips), which does not.
///
/// Absent commits are left out, and end their path.
#[derive(Clone, Debug)]
pub struct History {
    frontier: Frontier,
    cursor: Option<CommitId>,
    page_size: NonZeroUsize,
    page: Vec<CommitId>,
}

impl History {
    /// The history of one commit, in pages of 50.
    #[must_use]
    pub fn new(tip: CommitId) -> Self {
        Self::from_tips([tip])
    }

    /// The history of several commits taken together, in pages of 50.
    #[must_use]
    pub fn from_tips(tips: impl IntoIterator<Item = CommitId>) -> Self {
        let mut frontier = Frontier::default();
        for tip in tips {
            frontier.start(tip, 0);
        }
        Self { frontier, cursor: None, page_size: DEFAULT_PAGE_SIZE, page: Vec::new() }
    }

    /// Sets how many commits a page has.
    #[must_use]
    pub fn page_size(mut self, page_size: NonZeroUsize) -> Self {
        self.page_size = page_size;
        self
    }

    /// Leaves out `cursor` and all that the order puts before it.
    ///
    /// The cursor need not be in this history, so it still works after the branch was moved. If it is absent from
    /// the graph it has no place in the order, and every page is empty.
    #[must_use]
    pub fn after(mut self, cursor: CommitId) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// The tips whose history is what follows the last page; asked for between pages.
    ///
    /// As many as there are lines of development side by side at that place.
    #[must_use]
    pub fn resume_from(&self) -> Vec<CommitId> {
        self.frontier.pending()
    }

    /// Whether every further page is empty; asked for between pages.
    ///
    /// In a graph with holes `false` may still be followed by an empty page.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.frontier.any_pending(|_| true)
    }
}

impl Walk for History {
    type Output = Vec<CommitId>;

    fn supply(&mut self, node: CommitNode) {
        self.frontier.supply(node);
    }

    fn absent(&mut self, id: CommitId) {
        self.frontier.absent(id);
    }

    /// Gives a page; may be called again after [`Step::Done`] for the next one.
    fn step(&mut self) -> Step<Vec<CommitId>> {
        self.frontier.settle();
        let mut cursor: Option<Place> = None;
        if let Some(id) = self.cursor {
            match self.frontier.fact(id) {
                Some(Fact::Present { generation, .. }) => cursor = Some((*generation, Reverse(id))),
                Some(Fact::Absent) => {
                    self.frontier.clear();
                    self.cursor = None;
                }
                None => {
                    let mut ids = self.frontier.needed();
                    ids.push(id);
                    ids.sort_unstable();
                    ids.dedup();
                    return Step::Need(ids);
                }
            }
        }
        while self.page.len() < self.page_size.get() {
            match self.frontier.pop() {
                Some(visit) => {
                    self.frontier.expand(&visit, 0);
                    if cursor.is_none_or(|cursor| visit.place() < cursor) {
                        self.page.push(visit.id);
                    }
                }
                None => {
                    let ids = self.frontier.needed();
                    if ids.is_empty() {
                        break;
                    }
                    return Step::Need(ids);
                }
            }
        }
        Step::Done(mem::take(&mut self.page))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Graph, id, ids};
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[test]
    fn pages_follow_each_other_until_they_are_empty() {
        let graph = Graph::read("a b:a c:a d:b,c e:d");
        let mut walk = History::new(id("e")).page_size(TWO);
        for page in ["e d", "b c", "a", "", ""] {
            assert!(!walk.is_finished() || page.is_empty());
            let (found, _) = graph.drive(&mut walk);
            assert_eq!(found, ids(page));
        }
        assert!(walk.is_finished());
    }

    #[test]
    fn a_cursor_leaves_out_what_comes_before_it() {
        let graph = Graph::read("a b:a c:a d:b,c e:d");
        let after = |cursor| graph.answer(History::new(id("e")).after(id(cursor)));
        assert_eq!(after("d"), ids("b c a"));
        assert_eq!(after("b"), ids("c a"));
        assert_eq!(after("a"), []);
    }

    #[test]
    fn a_cursor_outside_the_history_keeps_its_place_in_the_order() {
        let graph = Graph::read("a b:a c:b x:b d:c");
        let after = |cursor| graph.answer(History::new(id("d")).after(id(cursor)));
        assert_eq!(after("x"), ids("b a"));
        assert_eq!(after("gone"), []);
    }

    #[test]
    fn a_walk_resumes_from_where_another_stopped() {
        let graph = Graph::read("a b:a c:a d:b,c e:d");
        let mut walk = History::new(id("e")).page_size(TWO);
        assert_eq!(graph.drive(&mut walk).0, ids("e d"));
        assert_eq!(walk.resume_from(), ids("b c"));
        assert_eq!(graph.answer(History::from_tips(walk.resume_from())), ids("b c a"));
    }

    #[test]
    fn absent_commits_are_left_out() {
        let graph = Graph::read("b:gone c:b");
        assert_eq!(graph.answer(History::new(id("c"))), ids("c b"));
        assert_eq!(graph.answer(History::new(id("gone"))), []);
    }
}
