//! Ordering and numbering the commits of a pack, before any of them is in the graph.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::CommitNode;
use crate::id::CommitId;

/// Why a set of commits has no order.
///
/// Neither can happen to commits whose ids were verified, except that the same one may be listed twice; a hostile
/// pack can claim both.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TopoError {
    /// A commit is listed more than once.
    #[error("commit {0} is listed more than once")]
    Duplicate(CommitId),
    /// A commit is its own ancestor.
    #[error("commit {0} is its own ancestor")]
    Cycle(CommitId),
}

/// A commit names a parent that is neither in its pack nor in the graph.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("commit {commit} has an unknown parent {parent}")]
pub struct UnknownParent {
    /// The commit.
    pub commit: CommitId,
    /// The parent it names.
    pub parent: CommitId,
}

/// Orders commits parents first, and gives their positions in `commits`.
///
/// The order is stable: of the commits that may come next, the one listed first does, so commits that are in order
/// already stay as they are. Parents that are not in `commits` count for nothing. Takes *O(V log V + E)*.
///
/// # Errors
/// [`TopoError`] where there is no such order, naming the first repeated commit or one that is on a cycle.
pub fn topological_order(commits: &[(CommitId, Vec<CommitId>)]) -> Result<Vec<usize>, TopoError> {
    let mut positions = HashMap::with_capacity(commits.len());
    for (position, (id, _)) in commits.iter().enumerate() {
        if positions.insert(*id, position).is_some() {
            return Err(TopoError::Duplicate(*id));
        }
    }

    let mut children = vec![Vec::new(); commits.len()];
    let mut missing = vec![0_usize; commits.len()];
    for (position, (_, parents)) in commits.iter().enumerate() {
        for parent in parents.iter().filter_map(|parent| positions.get(parent)) {
            children[*parent].push(position);
            missing[position] += 1;
        }
    }

    let mut ready: BinaryHeap<_> =
        (0..commits.len()).filter(|position| missing[*position] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(commits.len());
    while let Some(Reverse(position)) = ready.pop() {
        order.push(position);
        for child in &children[position] {
            missing[*child] -= 1;
            if missing[*child] == 0 {
                ready.push(Reverse(*child));
            }
        }
    }

    match missing.iter().position(|missing| *missing > 0) {
        None => Ok(order),
        Some(stuck) => Err(TopoError::Cycle(on_cycle(commits, &positions, &missing, stuck))),
    }
}

/// From a commit that never became ready, up to one that keeps itself from it.
fn on_cycle(
    commits: &[(CommitId, Vec<CommitId>)],
    positions: &HashMap<CommitId, usize>,
    missing: &[usize],
    stuck: usize,
) -> CommitId {
    let mut seen = vec![false; commits.len()];
    let mut at = stuck;
    while !seen[at] {
        seen[at] = true;
        at = commits[at]
            .1
            .iter()
            .filter_map(|parent| positions.get(parent).copied())
            .find(|parent| missing[*parent] > 0)
            .expect("a commit that is stuck has a parent that is stuck");
    }
    commits[at].0
}

/// Gives each commit of a pack its generation.
///
/// `order` is what [`topological_order`] says of `commits`, and the nodes come in that order; `known` tells the
/// generation of a parent that is in the graph already.
///
/// # Errors
/// [`UnknownParent`] where a parent is neither in `commits` nor known.
///
/// # Panics
/// If `order` has a position beyond the end of `commits`.
pub fn number_commits(
    commits: &[(CommitId, Vec<CommitId>)],
    order: &[usize],
    known: impl Fn(CommitId) -> Option<u64>,
) -> Result<Vec<CommitNode>, UnknownParent> {
    let mut generations = HashMap::with_capacity(order.len());
    let mut nodes = Vec::with_capacity(order.len());
    for position in order {
        let (id, parents) = &commits[*position];
        let mut highest = 0_u64;
        for parent in parents {
            let generation = generations
                .get(parent)
                .copied()
                .or_else(|| known(*parent))
                .ok_or(UnknownParent { commit: *id, parent: *parent })?;
            highest = highest.max(generation);
        }
        let generation = highest.saturating_add(1);
        generations.insert(*id, generation);
        nodes.push(CommitNode { id: *id, parents: parents.clone(), generation });
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, ids};
    use super::*;

    fn commits(text: &[(&str, &str)]) -> Vec<(CommitId, Vec<CommitId>)> {
        text.iter().map(|(name, parents)| (id(name), ids(parents))).collect()
    }

    #[test]
    fn an_ordered_pack_stays_as_it_is() {
        let pack = commits(&[("b", ""), ("z", ""), ("a", "b"), ("y", "a b b"), ("c", "elsewhere")]);
        assert_eq!(topological_order(&pack), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(topological_order(&[]), Ok(vec![]));
    }

    #[test]
    fn parents_come_first_and_the_rest_as_listed() {
        let pack = commits(&[("d", "b c"), ("c", "a"), ("b", "a"), ("z", ""), ("a", "")]);
        assert_eq!(topological_order(&pack), Ok(vec![3, 4, 1, 2, 0]));
    }

    #[test]
    fn a_repeated_commit_is_an_error() {
        let pack = commits(&[("a", ""), ("b", "a"), ("a", "")]);
        assert_eq!(topological_order(&pack), Err(TopoError::Duplicate(id("a"))));
    }

    #[test]
    fn a_cycle_is_an_error_that_names_a_commit_on_it() {
        let pack = commits(&[("tip", "x"), ("x", "root y"), ("y", "z"), ("z", "x"), ("root", "")]);
        let Err(TopoError::Cycle(found)) = topological_order(&pack) else { panic!("no cycle") };
        assert!(ids("x y z").contains(&found));
        let own = commits(&[("a", "a")]);
        assert_eq!(topological_order(&own), Err(TopoError::Cycle(id("a"))));
    }

    #[test]
    fn generations_count_from_the_known_parents() {
        let pack = commits(&[("d", "b c"), ("c", "old"), ("b", "c"), ("root", "")]);
        let order = topological_order(&pack).unwrap();
        let nodes = number_commits(&pack, &order, |parent| (parent == id("old")).then_some(41)).unwrap();
        let found: Vec<_> = nodes.iter().map(|node| (node.id, node.generation)).collect();
        assert_eq!(found, [(id("c"), 42), (id("b"), 43), (id("d"), 44), (id("root"), 1)]);
    }

    #[test]
    fn a_parent_that_nobody_knows_is_an_error() {
        let pack = commits(&[("a", ""), ("b", "a gone")]);
        assert_eq!(
            number_commits(&pack, &[0, 1], |_| None),
            Err(UnknownParent { commit: id("b"), parent: id("gone") })
        );
    }
}
