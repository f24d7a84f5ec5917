//! Histories of any shape, pushed in any order, against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use futures::executor::block_on;
use musehub_core::hub::CaughtUp;
use musehub_core::port::RepositoryRecord;
use musehub_core::{BlobId, CommitId, SnapshotId};
use proptest::prelude::*;

use crate::hub_fixtures::{Cloned, Made, World, commit, forced};

/// A commit's parents, as positions counted back from it, and which file it changes to what.
type Shape = (Vec<usize>, usize, u8);

/// A push: its tip, its branch, and how many commits that the repository may hold it brings along.
type Chunk = (usize, usize, usize);

const BRANCHES: [&str; 4] = ["main", "dev", "a/x", "z"];

fn build(shapes: &[Shape]) -> Vec<Made> {
    let mut commits: Vec<Made> = Vec::new();
    let mut trees: Vec<BTreeMap<String, String>> = Vec::new();
    for (n, (back, file, text)) in shapes.iter().enumerate() {
        let mut parents: Vec<usize> = back.iter().filter_map(|back| n.checked_sub(back + 1)).collect();
        parents.dedup();
        let mut tree = parents.first().map(|first| trees[*first].clone()).unwrap_or_default();
        tree.insert(format!("file-{file}"), format!("text {text}"));
        let files: Vec<(&str, &str)> = tree.iter().map(|(path, text)| (&**path, &**text)).collect();
        let parents: Vec<&Made> = parents.into_iter().map(|parent| &commits[parent]).collect();
        commits.push(commit(&format!("commit {n}"), &parents, &files));
        trees.push(tree);
    }
    commits
}

/// The history of commits.
struct Model<'a>(BTreeMap<CommitId, &'a Made>);

impl<'a> Model<'a> {
    fn new(commits: &'a [Made]) -> Self {
        Self(commits.iter().map(|made| (made.id, made)).collect())
    }

    fn closure(&self, tips: impl IntoIterator<Item = CommitId>) -> BTreeSet<CommitId> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<CommitId> = tips.into_iter().collect();
        while let Some(id) = pending.pop() {
            if seen.insert(id) {
                pending.extend(&self.0[&id].parents);
            }
        }
        seen
    }

    fn blobs(&self, snapshots: &BTreeSet<SnapshotId>) -> BTreeSet<BlobId> {
        let named = self.0.values().filter(|made| snapshots.contains(&made.snapshot_id()));
        named.flat_map(|made| made.blobs.iter().map(|blob| blob.id)).collect()
    }

    fn snapshots<'b>(&self, commits: impl IntoIterator<Item = &'b CommitId>) -> BTreeSet<SnapshotId> {
        commits.into_iter().map(|id| self.0[id].snapshot_id()).collect()
    }
}

/// Pushes chunk after chunk; what the repository must hold and where its branches must stand.
async fn push_all(
    world: &World,
    repo: &RepositoryRecord,
    commits: &[Made],
    chunks: &[Chunk],
) -> (BTreeSet<CommitId>, BTreeMap<String, CommitId>) {
    let model = Model::new(commits);
    let (mut held, mut heads) = (BTreeSet::new(), BTreeMap::new());
    for (tip, to, along) in chunks {
        let (tip, to) = (&commits[tip % commits.len()], BRANCHES[to % BRANCHES.len()]);
        let history = model.closure([tip.id]);
        let mut known = 0;
        let brought = history.iter().filter(|id| {
            known += usize::from(held.contains(*id));
            !held.contains(*id) || **id == tip.id || known <= *along
        });
        let mut brought: Vec<&Made> = brought.map(|id| model.0[id]).collect();
        // A commit that is brought along must lead to the tip within the push, or it would be another tip.
        while let Some(at) = brought.iter().position(|made| {
            made.id != tip.id && !brought.iter().any(|child| child.parents.contains(&made.id))
        }) {
            brought.remove(at);
        }
        let outcome = world.push(repo, forced(to, brought)).await.unwrap();
        assert_eq!(outcome.head, tip.id);
        assert_eq!(outcome.commits_stored, history.difference(&held).count());
        held.extend(history);
        heads.insert(to.to_owned(), tip.id);
    }
    (held, heads)
}

async fn check_fetch(
    world: &World,
    repo: &RepositoryRecord,
    model: &Model<'_>,
    held: &BTreeSet<CommitId>,
    want: &[CommitId],
    have: &[CommitId],
) {
    let of_held = |ids: &[CommitId]| ids.iter().copied().filter(|id| held.contains(id)).collect::<Vec<_>>();
    let had = model.closure(of_held(have));
    let lacking: BTreeSet<CommitId> = model.closure(of_held(want)).difference(&had).copied().collect();
    let plan = world.fetch(repo, want, have).await;

    let mut sent = BTreeSet::new();
    for (row, _) in &plan.commits {
        assert!(
            row.parents.iter().all(|parent| sent.contains(parent) || had.contains(parent)),
            "parents first"
        );
        assert!(sent.insert(row.id), "each once");
    }
    assert_eq!(sent, lacking);
    let parents = lacking.iter().flat_map(|id| &model.0[id].parents);
    let boundary: BTreeSet<CommitId> = parents.copied().filter(|id| had.contains(id)).collect();
    let known = model.snapshots(&boundary);
    let wanted: BTreeSet<SnapshotId> = model.snapshots(&lacking).difference(&known).copied().collect();
    let snapshots: Vec<SnapshotId> = plan.snapshots.iter().map(|snapshot| snapshot.id()).collect();
    assert!(snapshots.iter().eq(&wanted), "the snapshots that the boundary has not, each once");
    let mut blobs: Vec<BlobId> = plan.blobs.iter().map(|row| row.id).collect();
    blobs.sort_unstable();
    assert!(blobs.iter().eq(model.blobs(&wanted).difference(&model.blobs(&known))), "their blobs alike");
    let complete: BTreeSet<BlobId> = model.blobs(&model.snapshots(&had)).into_iter().chain(blobs).collect();
    assert!(complete.is_superset(&model.blobs(&model.snapshots(&lacking))), "the client has all in the end");
}

async fn check_everything(
    world: &World,
    repo: &RepositoryRecord,
    commits: &[Made],
    held: &BTreeSet<CommitId>,
    heads: &BTreeMap<String, CommitId>,
) {
    let model = Model::new(commits);
    assert_eq!(world.heads(repo).await, *heads);
    assert_eq!(world.hub.commit_count(repo).await.unwrap(), held.len() as u64);
    for head in heads.values() {
        let history = model.closure([*head]);
        let expected = Cloned::expected(history.iter().map(|id| model.0[id]));
        assert_eq!(world.clone_of(repo, *head).await, expected);
    }
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let parents = prop_oneof![
        1 => Just(vec![]),
        6 => (0_usize..3).prop_map(|back| vec![back]),
        3 => (0_usize..4, 1_usize..8).prop_map(|(a, b)| vec![a, a + b]),
    ];
    prop::collection::vec((parents, 0_usize..5, 0_u8..6), 1..28)
}

fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
    prop::collection::vec((0_usize..28, 0_usize..4, 0_usize..5), 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn a_fetch_gives_exactly_what_the_haves_lack(
        shapes in shapes(),
        chunks in chunks(),
        asked in prop::collection::vec(
            (prop::collection::vec(0_usize..28, 1..4), prop::collection::vec(0_usize..28, 0..4)), 1..6),
    ) {
        block_on(async {
            let world = World::new();
            let repo = world.create("random").await;
            let commits = build(&shapes);
            let (held, heads) = push_all(&world, &repo, &commits, &chunks).await;
            check_everything(&world, &repo, &commits, &held, &heads).await;
            let model = Model::new(&commits);
            let pick = |at: &Vec<usize>| at.iter().map(|at| commits[at % commits.len()].id).collect::<Vec<_>>();
            for (want, have) in &asked {
                check_fetch(&world, &repo, &model, &held, &pick(want), &pick(have)).await;
            }
        });
    }

    #[test]
    fn a_lost_index_comes_back_whole_from_the_log(shapes in shapes(), chunks in chunks()) {
        block_on(async {
            let world = World::new();
            let repo = world.create("random").await;
            let commits = build(&shapes);
            let (held, heads) = push_all(&world, &repo, &commits, &chunks).await;
            let rebuilt = world.without_index();
            rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
            check_everything(&rebuilt, &repo, &commits, &held, &heads).await;
        });
    }
}
