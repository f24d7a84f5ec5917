//! The edge of a walk: commits reached but not yet visited, handed out in order of generation.
//!
//! A commit reached by name only has no known generation, but it is lower than that of the child that named it. So a
//! known commit may be handed out as soon as every unknown one is certain to lie below it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::mem;

use super::CommitNode;
use crate::id::CommitId;

/// A commit's place in a walk: the greatest comes first, that is the highest generation and then the smallest id.
pub(super) type Place = (u64, Reverse<CommitId>);

/// A set of up to three marks, whose meaning is the walk's.
pub(super) type Paint = u8;

/// How many different [`Paint`]s there are.
const PAINTS: usize = 8;

/// What is known of a commit.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// It is in the graph. Its parents are gone once it has been visited.
    Present { generation: u64, parents: Vec<CommitId> },
    /// It is not in the graph.
    Absent,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    fact: Option<Fact>,
    mark: Option<Mark>,
}

/// Says that a walk has reached a commit.
#[derive(Clone, Copy, Debug)]
struct Mark {
    paint: Paint,
    /// Not visited yet, and not known to be absent.
    pending: bool,
}

/// A commit handed out by [`Frontier::pop`], with the paint of all its descendants in the walk.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) id: CommitId,
    pub(super) generation: u64,
    pub(super) parents: Vec<CommitId>,
    pub(super) paint: Paint,
}

impl Visit {
    pub(super) fn place(&self) -> Place {
        (self.generation, Reverse(self.id))
    }

    /// The highest generation that a parent can have.
    pub(super) fn parent_ceiling(&self) -> u64 {
        self.generation.saturating_sub(1)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Frontier {
    slots: HashMap<CommitId, Slot>,
    ready: BinaryHeap<Place>,
    /// Pending commits without a fact, each with the highest generation it can have.
    waiting: Vec<(CommitId, u64)>,
    /// The greatest number in `waiting`.
    ceiling: Option<u64>,
    /// How many pending commits have each paint.
    census: [usize; PAINTS],
}

impl Frontier {
    pub(super) fn supply(&mut self, node: CommitNode) {
        let CommitNode { id, parents, generation } = node;
        self.slot(id).fact.get_or_insert(Fact::Present { generation, parents });
    }

    pub(super) fn absent(&mut self, id: CommitId) {
        self.slot(id).fact.get_or_insert(Fact::Absent);
    }

    fn slot(&mut self, id: CommitId) -> &mut Slot {
        self.slots.entry(id).or_default()
    }

    pub(super) fn fact(&self, id: CommitId) -> Option<&Fact> {
        self.slots.get(&id)?.fact.as_ref()
    }

    /// Adds a starting point.
    pub(super) fn start(&mut self, id: CommitId, paint: Paint) {
        self.reach(id, paint, u64::MAX);
    }

    /// Adds the parents of a visited commit, or more paint to those that were reached before.
    pub(super) fn expand(&mut self, visit: &Visit, paint: Paint) {
        for parent in &visit.parents {
            self.reach(*parent, paint, visit.parent_ceiling());
        }
    }

    fn reach(&mut self, id: CommitId, paint: Paint, ceiling: u64) {
        let slot = self.slots.entry(id).or_default();
        if let Some(mark) = &mut slot.mark {
            let before = mark.paint;
            mark.paint |= paint;
            if mark.pending {
                self.census[usize::from(before)] -= 1;
                self.census[usize::from(mark.paint)] += 1;
            }
            return;
        }
        let pending = !matches!(slot.fact, Some(Fact::Absent));
        slot.mark = Some(Mark { paint, pending });
        if pending {
            self.census[usize::from(paint)] += 1;
        }
        match slot.fact {
            Some(Fact::Present { generation, .. }) => self.ready.push((generation, Reverse(id))),
            Some(Fact::Absent) => {}
            None => self.wait(id, ceiling),
        }
    }

    fn wait(&mut self, id: CommitId, ceiling: u64) {
        self.waiting.push((id, ceiling));
        self.ceiling = self.ceiling.max(Some(ceiling));
    }

    /// Takes note of what was supplied since the last step; to be called as a step begins.
    pub(super) fn settle(&mut self) {
        self.ceiling = None;
        for (id, ceiling) in mem::take(&mut self.waiting) {
            match self.fact(id) {
                Some(Fact::Present { generation, .. }) => self.ready.push((*generation, Reverse(id))),
                Some(Fact::Absent) => {
                    self.retire(id);
                }
                None => self.wait(id, ceiling),
            }
        }
    }

    /// The next commit in order, unless one that is waited for might come before it.
    pub(super) fn pop(&mut self) -> Option<Visit> {
        let (generation, Reverse(id)) = *self.ready.peek()?;
        if self.ceiling.is_some_and(|ceiling| ceiling >= generation) {
            return None;
        }
        self.ready.pop();
        let (paint, parents) = self.retire(id);
        Some(Visit { id, generation, parents, paint })
    }

    /// Ends a commit's being pending; gives its paint and its parents.
    fn retire(&mut self, id: CommitId) -> (Paint, Vec<CommitId>) {
        let slot = self.slots.entry(id).or_default();
        let mark = slot.mark.as_mut().expect("a pending commit is marked");
        mark.pending = false;
        self.census[usize::from(mark.paint)] -= 1;
        let parents = match &mut slot.fact {
            Some(Fact::Present { parents, .. }) => mem::take(parents),
            Some(Fact::Absent) | None => Vec::new(),
        };
        (mark.paint, parents)
    }

    /// The pending commits that nothing is known of, sorted.
    pub(super) fn needed(&self) -> Vec<CommitId> {
        let mut ids: Vec<_> = self.waiting.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether a pending commit has a paint that `of_interest` accepts.
    pub(super) fn any_pending(&self, of_interest: impl Fn(Paint) -> bool) -> bool {
        (0..).zip(self.census).any(|(paint, count)| count > 0 && of_interest(paint))
    }

    /// Whether a pending commit that is known to be in the graph has a paint that `of_interest` accepts.
    pub(super) fn any_ready(&self, of_interest: impl Fn(Paint) -> bool) -> bool {
        self.ready.iter().any(|(_, Reverse(id))| {
            self.slots.get(id).and_then(|slot| slot.mark).is_some_and(|mark| of_interest(mark.paint))
        })
    }

    /// The pending commits, sorted.
    pub(super) fn pending(&self) -> Vec<CommitId> {
        let mut ids = self.needed();
        ids.extend(self.ready.iter().map(|(_, Reverse(id))| *id));
        ids.sort_unstable();
        ids
    }

    /// Forgets every commit reached, and what was known of it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Every commit ever reached, in no order.
    pub(super) fn reached(&self) -> impl Iterator<Item = (CommitId, Paint, Option<&Fact>)> {
        self.slots.iter().filter_map(|(id, slot)| Some((*id, slot.mark?.paint, slot.fact.as_ref())))
    }
}
