//! Walks the first parents of a commit back to those that removed what its imports ask for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use musehub_core::hub::ReadError;
use musehub_core::object::Snapshot;
use musehub_core::port::{CommitRow, RemovedBy, RepositoryRecord};
use musehub_core::{BlobId, CommitId};
use musehub_intel::FileFacts;
use musehub_intel::history::{Lack, OldTree, Removals, Shown};

use super::ScanError;
use super::kept::Kept;
use super::learn::{self, Key, Known};
use crate::app::App;

/// Commits looked at.
const MAX_COMMITS: usize = 1_000;
/// Files in all their manifests: of a large tree, fewer commits are looked at.
const MAX_FILES: usize = 5_000_000;
/// Versions of files that may have to be known for one walk.
const MAX_VERSIONS: usize = 2_000;

/// The tree of an older commit.
struct Tree<'a> {
    snapshot: &'a Snapshot,
    known: &'a Known,
    unreadable: &'a HashSet<Key>,
}

impl Tree<'_> {
    fn blob(&self, path: &str) -> Option<BlobId> {
        self.snapshot.manifest().get(path)
    }
}

impl OldTree for Tree<'_> {
    fn has_file(&self, path: &str) -> bool {
        self.blob(path).is_some()
    }

    fn has_folder(&self, path: &str) -> bool {
        self.snapshot.manifest().has_start(path)
    }

    fn facts(&self, path: &str) -> Option<Arc<FileFacts>> {
        let blob = self.blob(path)?;
        let unreadable = || learn::key(path, blob).is_none_or(|key| self.unreadable.contains(&key));
        self.known.get(path, blob).or_else(|| unreadable().then(Arc::default))
    }
}

/// Who removed each of `lacks`, all missing at `head`; `None` for what was never there, or not within the bounds.
pub(super) async fn removals(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    head: &CommitRow,
    lacks: HashSet<Lack>,
    previous: Option<&Kept>,
) -> Result<HashMap<Lack, Option<RemovedBy>>, ScanError> {
    let mut answer: HashMap<Lack, Option<RemovedBy>> =
        lacks.iter().map(|lack| (lack.clone(), None)).collect();
    let mut walk = Removals::new(head.id, lacks);
    let mut removers: HashMap<CommitId, RemovedBy> = HashMap::new();
    let (mut known, mut unreadable) = (Known::default(), HashSet::new());
    let (mut files, mut versions) = (0, 0);
    let mut at = head.clone();
    for _ in 0..MAX_COMMITS {
        if let Some(kept) = previous.filter(|kept| kept.commit == at.id) {
            settle(&mut walk, &mut answer, kept);
        }
        if walk.is_done() || files > MAX_FILES || versions > MAX_VERSIONS {
            break;
        }
        let Some(parent) = at.parents.first() else { break };
        let parent = match app.hub.commit(repo, *parent).await {
            Err(ReadError::NotFound { .. }) => break,
            parent => parent?,
        };
        let snapshot = app.hub.snapshot(repo, parent.snapshot).await?;
        files += snapshot.manifest().len();
        loop {
            let tree = Tree { snapshot: &snapshot, known: &known, unreadable: &unreadable };
            let Shown::Needs(paths) = walk.show(parent.id, &tree) else { break };
            let key = |path: &String| learn::key(path, tree.blob(path)?);
            let wanted: HashSet<Key> = paths.iter().filter_map(key).collect();
            versions += wanted.len();
            known.add(app, repo, wanted.clone()).await?;
            unreadable.extend(wanted);
        }
        removers.insert(at.id, removed_by(&at));
        at = parent;
    }
    for (lack, commit) in walk.finish() {
        answer.insert(lack, removers.get(&commit).cloned());
    }
    Ok(answer)
}

/// Takes over what the scan of this commit found out: its past is still the same.
fn settle(walk: &mut Removals<CommitId>, answer: &mut HashMap<Lack, Option<RemovedBy>>, kept: &Kept) {
    let pending: Vec<Lack> = walk.pending().cloned().collect();
    for lack in pending {
        if let Some(found) = kept.removals.get(&lack) {
            walk.settle(&lack, None);
            answer.insert(lack, found.clone());
        }
    }
}

fn removed_by(commit: &CommitRow) -> RemovedBy {
    RemovedBy { commit: commit.id, author: commit.author.clone(), committed_at: commit.committed_at.clone() }
}
