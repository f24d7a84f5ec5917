//! What the walks' tests share, and what holds for every walk: agreement with naive models on random graphs however
//! the walk is driven, histories too deep for recursion, and cost that goes with the difference.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::id::HashAlgorithm;

/// An id that sorts as its name does.
pub(super) fn id(name: &str) -> CommitId {
    let mut digest = [0; 32];
    digest[..name.len()].copy_from_slice(name.as_bytes());
    CommitId::new(HashAlgorithm::Sha256, digest)
}

pub(super) fn ids(names: &str) -> Vec<CommitId> {
    names.split_whitespace().map(id).collect()
}

/// A graph, and what lies outside it.
pub(super) struct Graph {
    nodes: HashMap<CommitId, CommitNode>,
}

impl Graph {
    /// Reads `"a b:a c:a d:b,c"`, parents first. A parent that is not listed is absent.
    pub(super) fn read(text: &str) -> Self {
        let commits: Vec<_> = text
            .split_whitespace()
            .map(|commit| match commit.split_once(':') {
                None => (id(commit), vec![]),
                Some((name, parents)) => (id(name), parents.split(',').map(id).collect()),
            })
            .collect();
        Self::new(&commits)
    }

    fn new(commits: &[(CommitId, Vec<CommitId>)]) -> Self {
        let order: Vec<_> = (0..commits.len()).collect();
        let nodes = number_commits(commits, &order, |_| Some(1)).unwrap();
        Self { nodes: nodes.into_iter().map(|node| (node.id, node)).collect() }
    }

    fn chain(length: u64) -> Self {
        let commits: Vec<_> = (1..=length)
            .map(|n| (numbered(n), if n == 1 { vec![] } else { vec![numbered(n - 1)] }))
            .collect();
        Self::new(&commits)
    }

    fn node(&self, id: CommitId) -> Option<CommitNode> {
        self.nodes.get(&id).cloned()
    }

    /// Answers exactly what is asked; gives the answer and the number of commits asked for.
    pub(super) fn drive<W: Walk>(&self, walk: &mut W) -> (W::Output, usize) {
        let mut asked = HashSet::new();
        let output = run(walk, |id| {
            assert!(asked.insert(id), "{id} was asked for again");
            self.node(id)
        });
        (output, asked.len())
    }

    pub(super) fn answer<W: Walk>(&self, mut walk: W) -> W::Output {
        self.drive(&mut walk).0
    }

    fn generation(&self, id: CommitId) -> u64 {
        self.nodes[&id].generation
    }

    fn reachable(&self, tips: &[CommitId]) -> BTreeSet<CommitId> {
        let mut reached = BTreeSet::new();
        let mut left = tips.to_vec();
        while let Some(id) = left.pop() {
            if let Some(node) = self.nodes.get(&id)
                && reached.insert(id)
            {
                left.extend(&node.parents);
            }
        }
        reached
    }

    fn newest_first(&self, ids: impl IntoIterator<Item = CommitId>) -> Vec<CommitId> {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_by_key(|id| (Reverse(self.generation(*id)), *id));
        ids
    }
}

/// A distinct id whose order has nothing to do with the number.
fn numbered(n: u64) -> CommitId {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    CommitId::new(HashAlgorithm::Sha256, digest)
}

/// A xorshift generator: proptest picks the seed, so a failure can be replayed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// A history with its holes, and every id it names in a fixed order.
#[derive(Debug, Clone)]
struct Sample {
    commits: Vec<(CommitId, Vec<CommitId>)>,
    holes: HashSet<CommitId>,
    seed: u64,
}

impl Sample {
    fn graph(&self) -> Graph {
        let mut graph = Graph::new(&self.commits);
        graph.nodes.retain(|id, _| !self.holes.contains(id));
        graph
    }

    fn pick(&self, at: prop::sample::Index) -> CommitId {
        at.get(&self.commits).0
    }

    fn pick_all(&self, at: &[prop::sample::Index]) -> Vec<CommitId> {
        at.iter().map(|at| self.pick(*at)).collect()
    }

    /// Steps the walk with answers in part, in any order, twice over, and with windows nobody asked for.
    fn drive_wildly<W: Walk>(&self, walk: &mut W, dice: &mut Dice) -> W::Output {
        let graph = self.graph();
        let mut answered = HashSet::new();
        let tell = |walk: &mut W, answered: &mut HashSet<_>, id: CommitId| {
            answered.insert(id);
            match graph.node(id) {
                Some(node) => walk.supply(node),
                None => walk.absent(id),
            }
        };
        loop {
            for _ in 0..dice.below(4) {
                let extra = self.commits[dice.below(self.commits.len())].0;
                tell(walk, &mut answered, extra);
            }
            let ids = match walk.step() {
                Step::Done(output) => return output,
                Step::Need(ids) => ids,
            };
            assert!(!ids.is_empty());
            assert!(ids.is_sorted_by(|a, b| a < b));
            assert!(ids.iter().all(|id| !answered.contains(id)));
            for _ in 0..=dice.below(ids.len()) {
                tell(walk, &mut answered, ids[dice.below(ids.len())]);
            }
        }
    }

    /// The walk's answer, the same for every driver.
    fn answer<W: Walk + Clone>(&self, walk: &W) -> W::Output
    where
        W::Output: PartialEq + std::fmt::Debug,
    {
        let (output, _) = self.graph().drive(&mut walk.clone());
        let mut dice = Dice(self.seed);
        for _ in 0..4 {
            assert_eq!(self.drive_wildly(&mut walk.clone(), &mut dice), output);
        }
        output
    }
}

/// Up to 60 commits of up to two parents, some of them absent.
fn sample() -> impl Strategy<Value = Sample> {
    let commits = prop::collection::vec((any::<[usize; 2]>(), 0..10_u8, 0..20_u8), 1..60);
    (commits, 1..60_usize, any::<bool>(), 1..u64::MAX).prop_map(|(commits, spread, holes, seed)| {
        let mut sample = Sample { commits: vec![], holes: HashSet::new(), seed };
        for (at, (offsets, shape, fate)) in commits.into_iter().enumerate() {
            let near = |offset: usize| sample.commits[at - 1 - offset % spread.min(at)].0;
            let parents = match (at, shape) {
                (0, _) | (_, 0) => vec![],
                (_, 1..=5) => vec![near(offsets[0])],
                _ => vec![near(offsets[0]), near(offsets[1])],
            };
            let id = numbered(at as u64);
            sample.commits.push((id, parents));
            if holes && fate == 0 {
                sample.holes.insert(id);
            }
        }
        sample
    })
}

fn index() -> impl Strategy<Value = prop::sample::Index> {
    any::<prop::sample::Index>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn ancestry_is_membership_in_the_closure(sample in sample(), a in index(), b in index()) {
        let (a, b) = (sample.pick(a), sample.pick(b));
        let expected = sample.graph().reachable(&[b]).contains(&a);
        prop_assert_eq!(sample.answer(&IsAncestor::new(a, b)), expected);
    }

    #[test]
    fn merge_bases_are_the_common_ancestors_below_no_other(
        sample in sample(), a in index(), b in index(),
    ) {
        let (a, b) = (sample.pick(a), sample.pick(b));
        let graph = sample.graph();
        let common: BTreeSet<_> =
            graph.reachable(&[a]).intersection(&graph.reachable(&[b])).copied().collect();
        let best: Vec<_> = common
            .iter()
            .filter(|base| {
                !common.iter().any(|c| c != *base && graph.reachable(&[*c]).contains(base))
            })
            .copied()
            .collect();
        prop_assert_eq!(&sample.answer(&MergeBases::new(a, b)), &best);
        prop_assert_eq!(&sample.answer(&MergeBases::new(b, a)), &best);
    }

    #[test]
    fn reachable_is_the_difference_of_the_closures(
        sample in sample(),
        want in prop::collection::vec(index(), 0..4),
        have in prop::collection::vec(index(), 0..8),
    ) {
        let (want, have) = (sample.pick_all(&want), sample.pick_all(&have));
        let graph = sample.graph();
        let had = graph.reachable(&have);
        let commits: BTreeSet<_> = graph.reachable(&want).difference(&had).copied().collect();
        let edge: BTreeSet<_> =
            commits.iter().flat_map(|id| &graph.nodes[id].parents).copied().collect();
        let expected = Difference {
            commits: graph.newest_first(commits.iter().copied()),
            boundary: edge.intersection(&had).copied().collect(),
            absent: edge
                .iter()
                .chain(&want)
                .filter(|id| !graph.nodes.contains_key(id))
                .copied()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        };
        prop_assert_eq!(sample.answer(&Reachable::new(want, have)), expected);
    }

    #[test]
    fn divergence_is_the_difference_of_the_closures_both_ways(
        sample in sample(), a in index(), b in index(), visits in 0..40_usize,
    ) {
        let (a, b) = (sample.pick(a), sample.pick(b));
        let graph = sample.graph();
        let (left, right) = (graph.reachable(&[a]), graph.reachable(&[b]));
        let only = |one: &BTreeSet<_>, other| graph.newest_first(one.difference(other).copied());
        let expected = Apart { left: only(&left, &right), right: only(&right, &left), complete: true };
        prop_assert_eq!(&sample.answer(&Divergence::new(a, b, usize::MAX)), &expected);
        let cut = sample.answer(&Divergence::new(a, b, visits));
        prop_assert!(expected.left.starts_with(&cut.left) && expected.right.starts_with(&cut.right));
        prop_assert!(!cut.complete || cut == expected);
    }

    #[test]
    fn pages_of_a_history_join_to_the_whole(
        sample in sample(),
        tips in prop::collection::vec(index(), 1..4),
        cursor in prop::option::of(index()),
        page in 1..9_usize,
    ) {
        let tips = sample.pick_all(&tips);
        let graph = sample.graph();
        let mut expected = graph.newest_first(graph.reachable(&tips));
        let mut walk =
            History::from_tips(tips).page_size(NonZeroUsize::new(page).unwrap());
        if let Some(cursor) = cursor.map(|cursor| sample.pick(cursor)) {
            walk = walk.after(cursor);
            let place = |id| (Reverse(graph.generation(id)), id);
            expected.retain(|id| {
                graph.nodes.contains_key(&cursor) && place(*id) > place(cursor)
            });
        }
        let mut dice = Dice(sample.seed);
        for expected in expected.chunks(page) {
            prop_assert_eq!(&sample.answer(&walk), expected);
            sample.drive_wildly(&mut walk, &mut dice);
            let resumed = History::from_tips(walk.resume_from()).page_size(
                NonZeroUsize::new(page).unwrap(),
            );
            prop_assert_eq!(sample.answer(&resumed), sample.answer(&walk));
        }
        prop_assert_eq!(sample.answer(&walk), vec![]);
    }

    #[test]
    fn a_topological_order_takes_the_first_that_is_ready(
        sample in sample(), seed in 1..u64::MAX,
    ) {
        let mut dice = Dice(seed);
        let mut commits = sample.commits;
        commits.retain(|(id, _)| !sample.holes.contains(id));
        for at in (1..commits.len()).rev() {
            commits.swap(at, dice.below(at + 1));
        }
        let mut left: Vec<_> = (0..commits.len()).collect();
        let mut expected = vec![];
        while !left.is_empty() {
            let next = left.iter().position(|at| {
                commits[*at].1.iter().all(|p| left.iter().all(|other| commits[*other].0 != *p))
            });
            expected.push(left.remove(next.unwrap()));
        }
        prop_assert_eq!(topological_order(&commits).unwrap(), expected);
    }
}

const DEEP: u64 = 200_000;

/// Answers as a backend of deep histories does: with a window of ancestors below each commit asked for.
fn answer_with_windows<W: Walk>(graph: &Graph, mut walk: W) -> W::Output {
    loop {
        let asked = match walk.step() {
            Step::Done(output) => return output,
            Step::Need(asked) => asked,
        };
        for id in asked {
            let mut next = Some(id);
            for _ in 0..500 {
                let Some(node) = next.and_then(|id| graph.node(id)) else {
                    break;
                };
                next = node.parents.first().copied();
                walk.supply(node);
            }
        }
    }
}

#[test]
fn deep_histories_are_walked_without_recursion() {
    let graph = Graph::chain(DEEP);
    let (root, tip) = (numbered(1), numbered(DEEP));
    assert!(answer_with_windows(&graph, IsAncestor::new(root, tip)));
    assert_eq!(answer_with_windows(&graph, MergeBases::new(tip, root)), [root]);
    let all = answer_with_windows(&graph, Reachable::new([tip], []));
    assert_eq!(all.commits.len(), graph.nodes.len());
    let none = answer_with_windows(&graph, Reachable::new([root], [tip]));
    assert_eq!(none, Difference::default());
    assert_eq!(answer_with_windows(&graph, History::new(tip).after(root)), []);
}

#[test]
fn deep_histories_are_walked_a_commit_at_a_time() {
    let graph = Graph::chain(DEEP);
    let page_size = NonZeroUsize::MAX;
    let walk = History::new(numbered(DEEP)).page_size(page_size);
    assert_eq!(graph.answer(walk).len(), graph.nodes.len());
}

#[test]
fn deep_packs_are_ordered_and_numbered_without_recursion() {
    let commits: Vec<_> = (1..=DEEP).rev().map(|n| (numbered(n), vec![numbered(n - 1)])).collect();
    let order = topological_order(&commits).unwrap();
    assert!(order.iter().copied().eq((0..commits.len()).rev()));
    let nodes = number_commits(&commits, &order, |id| (id == numbered(0)).then_some(1)).unwrap();
    assert_eq!(nodes.last().unwrap().generation, DEEP + 1);
}

#[test]
fn cost_goes_with_the_difference_and_not_with_the_history() {
    let mut graph = Graph::chain(DEEP);
    // A side branch of ten commits that left the main line 20 commits ago.
    let fork = DEEP - 20;
    for n in 1..=10 {
        let parent = if n == 1 { numbered(fork) } else { numbered(DEEP + n - 1) };
        let id = numbered(DEEP + n);
        graph.nodes.insert(id, CommitNode { id, parents: vec![parent], generation: fork + n });
    }
    let (tip, side) = (numbered(DEEP), numbered(DEEP + 10));

    let (ancestor, asked) = graph.drive(&mut IsAncestor::new(numbered(fork), tip));
    assert!(ancestor);
    assert!(asked <= 22, "{asked}");
    let (ancestor, asked) = graph.drive(&mut IsAncestor::new(side, tip));
    assert!(!ancestor);
    assert!(asked <= 13, "{asked}");
    let (ancestor, asked) = graph.drive(&mut IsAncestor::new(tip, side));
    assert!(!ancestor);
    assert_eq!(asked, 2);

    let (bases, asked) = graph.drive(&mut MergeBases::new(tip, side));
    assert_eq!(bases, [numbered(fork)]);
    assert!(asked <= 32, "{asked}");

    let (missing, asked) = graph.drive(&mut Reachable::new([side], [tip]));
    assert_eq!(missing.commits.len(), 10);
    assert_eq!(missing.boundary, [numbered(fork)]);
    assert!(asked <= 32, "{asked}");
    let (missing, asked) = graph.drive(&mut Reachable::new([tip], [side]));
    assert_eq!(missing.commits.len(), 20);
    assert!(asked <= 32, "{asked}");

    let (page, asked) = graph.drive(&mut History::new(tip).page_size(NonZeroUsize::MIN));
    assert_eq!(page, [tip]);
    assert_eq!(asked, 1);
}

#[test]
fn haves_that_are_ancestors_of_each_other_cost_one_look_each() {
    let graph = Graph::chain(DEEP);
    let haves = || (1..=50_000).map(|n| numbered(DEEP - 5 - n));
    let (missing, asked) = graph.drive(&mut Reachable::new([numbered(DEEP)], haves()));
    assert_eq!(missing.commits.len(), 6);
    assert!(asked <= 50_006, "{asked}");
}

#[test]
fn a_pack_supplied_up_front_is_not_asked_for() {
    let graph = Graph::read("a b:a c:b d:c e:d");
    let mut walk = IsAncestor::new(id("b"), id("e"));
    for name in ["c", "d", "e"] {
        walk.supply(graph.nodes[&id(name)].clone());
    }
    assert_eq!(walk.step(), Step::Need(ids("b")));
    walk.answer(&ids("b"), graph.node(id("b")));
    assert_eq!(walk.step(), Step::Done(true));
}

#[test]
fn both_ends_are_asked_for_at_once_and_then_a_level_at_a_time() {
    let graph = Graph::read("r a:r b:r c:a,b d:b x:r y:x z:y");
    let mut walk = Reachable::new(ids("c d"), ids("z"));
    let mut rounds = vec![];
    while let Step::Need(ids) = walk.step() {
        walk.answer(&ids, ids.iter().filter_map(|id| graph.node(*id)));
        rounds.push(ids);
    }
    assert_eq!(rounds, [ids("c d z"), ids("y"), ids("a b x"), ids("r")]);
}

#[test]
fn the_first_answer_about_a_commit_stands() {
    let mut walk = History::new(id("a"));
    walk.absent(id("a"));
    walk.supply(CommitNode { id: id("a"), parents: vec![], generation: 1 });
    assert_eq!(walk.step(), Step::Done(vec![]));
}

#[test]
fn walks_end_on_cycles_and_forged_generations() {
    let node = |name, parents, generation| CommitNode { id: id(name), parents: ids(parents), generation };
    let nodes = [node("a", "c a", 0), node("b", "a", u64::MAX), node("c", "b d", 7), node("d", "c b", 0)];
    let graph = Graph { nodes: nodes.into_iter().map(|node| (node.id, node)).collect() };
    for (a, b) in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("a", "a")] {
        let (a, b) = (id(a), id(b));
        graph.answer(IsAncestor::new(a, b));
        graph.answer(MergeBases::new(a, b));
        graph.answer(Reachable::new([a], [b]));
        assert_eq!(graph.answer(History::from_tips([a, b])).len(), 4);
    }
}
