//! Merges made by the hub, in each history.

use futures::executor::block_on;
use musehub_core::hub::{
    HistoryStrategy, MergeOutcome, MergeRefused, MergeRequest, Mergeability, NewRepository, PushError,
};
use musehub_core::merge::{ConflictKind, FileStrategy};
use musehub_core::port::{JobQueue, RepositoryRecord, Visibility};
use musehub_core::scheme::IdScheme;
use musehub_core::{CommitId, ObjectId};
use serde_json::json;

use crate::hub_fixtures::{JOB, World, branch, handle, new_repository};
use crate::hub_writes::{canonical_commit, commit_files, put};

const SCHEMES: [IdScheme; 3] = [IdScheme::FlatV1, IdScheme::TypedV1, IdScheme::TypedV2];

/// A repository whose `main` and `dev` parted after one commit.
pub(crate) struct Parted {
    pub(crate) world: World,
    pub(crate) repo: RepositoryRecord,
    pub(crate) base: CommitId,
    pub(crate) main: CommitId,
    pub(crate) dev: CommitId,
}

impl Parted {
    /// On `dev`, each text is a commit that writes it to `dev.txt`, and the last one edits line 3 of `both`.
    pub(crate) async fn new(scheme: IdScheme, on_main: &str, on_dev: &[&str]) -> Self {
        let world = World::new();
        let new =
            NewRepository { scheme: Some(scheme), ..new_repository("alice", "demo", Visibility::Public) };
        let repo = world.hub.create_repository(new).await.unwrap();
        let text = put("both", "1\n2\n3\n");
        let base = commit_files(&world, &repo, "main", None, vec![text]).await.unwrap().head;
        let repo = world.reopen(&repo).await;
        world.hub.create_branch(&repo, &handle("bob"), &branch("dev"), base).await.unwrap();
        let mut main = base;
        if !on_main.is_empty() {
            main = commit_files(&world, &repo, "main", Some(base), vec![put("both", on_main)])
                .await
                .unwrap()
                .head;
        }
        let mut dev = base;
        for (n, text) in on_dev.iter().enumerate() {
            let mut changes = vec![put("dev.txt", text)];
            if n + 1 == on_dev.len() {
                changes.push(put("both", "1\n2\nthree\n"));
            }
            dev = commit_files(&world, &repo, "dev", Some(dev), changes).await.unwrap().head;
        }
        Self { world, repo, base, main, dev }
    }

    fn request(&self, history: HistoryStrategy, files: FileStrategy) -> MergeRequest {
        MergeRequest {
            target: branch("main"),
            expected_head: self.main,
            source: self.dev,
            history,
            files,
            author: "Ann".to_owned(),
            message: "Merge dev".to_owned(),
            delete_source: None,
        }
    }

    async fn merge(&self, history: HistoryStrategy) -> Result<MergeOutcome, MergeRefused> {
        let request = self.request(history, FileStrategy::Recursive);
        self.world.hub.merge(&self.repo, &handle("bob"), request).await
    }

    async fn mergeability(&self) -> Mergeability {
        let Self { world, repo, main, dev, .. } = self;
        world.hub.mergeability(repo, *main, *dev, FileStrategy::Recursive).await.unwrap()
    }

    pub(crate) async fn first_parents(&self, mut at: CommitId) -> Vec<CommitId> {
        let mut line = vec![at];
        while let Some(parent) = self.world.hub.commit(&self.repo, at).await.unwrap().parents.first() {
            at = *parent;
            line.push(at);
        }
        line
    }
}

#[test]
fn a_merge_has_both_parents_author_merger_and_message() {
    block_on(async {
        for scheme in SCHEMES {
            let parted = Parted::new(scheme, "one\n2\n3\n", &["a"]).await;
            assert_eq!(parted.mergeability().await, Mergeability::Clean);
            let merged = parted.merge(HistoryStrategy::Merge).await.unwrap();
            assert_eq!(merged.commits, [merged.head]);
            let (commit, files) = canonical_commit(&parted.world, &parted.repo, merged.head).await;
            assert_eq!(files, "both=one\n2\nthree dev.txt=a");
            assert_eq!(commit.parents(), [parted.main, parted.dev]);
            assert_eq!((commit.text("author"), commit.text("message")), ("Ann", "Merge dev"));
            assert_eq!(commit.record()["metadata"], json!({ "merged_by": "bob" }));
            assert_eq!(parted.world.heads(&parted.repo).await["main"], merged.head);
            let job = parted.world.index.latest(&parted.repo.repo_id, JOB).await.unwrap().unwrap();
            assert!(job.work.payload.contains(&merged.head.to_string()), "the jobs of a push run for it");
            let Parted { world, repo, dev, .. } = &parted;
            let files = FileStrategy::Recursive;
            let after = world.hub.mergeability(repo, merged.head, *dev, files).await.unwrap();
            assert_eq!(after, Mergeability::Behind);
            let same = world.hub.mergeability(repo, *dev, *dev, files).await.unwrap();
            assert_eq!(same, Mergeability::UpToDate);
        }
    });
}

#[test]
fn a_squash_is_one_commit_on_top() {
    block_on(async {
        for scheme in SCHEMES {
            let parted = Parted::new(scheme, "one\n2\n3\n", &["a", "b", "c"]).await;
            let merged = parted.merge(HistoryStrategy::Squash).await.unwrap();
            let (commit, files) = canonical_commit(&parted.world, &parted.repo, merged.head).await;
            assert_eq!((commit.parents(), &*files), (&[parted.main][..], "both=one\n2\nthree dev.txt=c"));
        }
    });
}

#[test]
fn a_rebase_makes_each_commit_again_and_leaves_out_what_changes_nothing() {
    block_on(async {
        for scheme in SCHEMES {
            let parted = Parted::new(scheme, "one\n2\n3\n", &["a", "b", "c"]).await;
            let merged = parted.merge(HistoryStrategy::Rebase).await.unwrap();
            assert_eq!(merged.commits.len(), 3);
            let line = parted.first_parents(merged.head).await;
            let made: Vec<CommitId> = merged.commits.iter().rev().copied().collect();
            assert_eq!(line, [&made[..], &[parted.main, parted.base]].concat());
            let expected =
                ["both=one\n2\n3 dev.txt=a", "both=one\n2\n3 dev.txt=b", "both=one\n2\nthree dev.txt=c"];
            for (id, expected) in merged.commits.iter().zip(expected) {
                let (commit, files) = canonical_commit(&parted.world, &parted.repo, *id).await;
                assert_eq!((files.as_str(), commit.text("author")), (expected, "Ann <ann@example.org>"));
                assert_eq!(commit.record()["metadata"]["merged_by"], "bob");
                assert!(ObjectId::parse(commit.record()["metadata"]["replays"].as_str().unwrap()).is_ok());
            }

            // `main` has the change of the last commit but one already.
            let parted = Parted::new(scheme, "one\n2\n3\n", &["a", "b"]).await;
            let Parted { world, repo, main, .. } = &parted;
            let main =
                commit_files(world, repo, "main", Some(*main), vec![put("dev.txt", "a")]).await.unwrap().head;
            let mut request = parted.request(HistoryStrategy::Rebase, FileStrategy::Recursive);
            request.expected_head = main;
            let merged = world.hub.merge(repo, &handle("bob"), request).await.unwrap();
            assert_eq!(merged.commits.len(), 1);
        }
    });
}

#[test]
fn a_rebase_refuses_to_replay_a_merge() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let Parted { world, repo, main, dev, .. } = &parted;
        let mut request = parted.request(HistoryStrategy::Merge, FileStrategy::Recursive);
        (request.target, request.expected_head, request.source) = (branch("dev"), *dev, *main);
        let merge = world.hub.merge(repo, &handle("bob"), request).await.unwrap().head;
        let next = commit_files(world, repo, "main", Some(*main), vec![put("z", "z")]).await.unwrap().head;
        let mut request = parted.request(HistoryStrategy::Rebase, FileStrategy::Recursive);
        (request.expected_head, request.source) = (next, merge);
        let error = world.hub.merge(repo, &handle("bob"), request).await.unwrap_err();
        assert!(matches!(error, MergeRefused::ReplaysMerge { commit } if commit == merge), "{error}");
    });
}

#[test]
fn a_branch_that_can_just_be_moved_is_moved_or_merged_as_asked() {
    block_on(async {
        for scheme in SCHEMES {
            for history in [HistoryStrategy::FastForward, HistoryStrategy::Rebase] {
                let parted = Parted::new(scheme, "", &["a", "b"]).await;
                assert_eq!(parted.mergeability().await, Mergeability::FastForward);
                let merged = parted.merge(history).await.unwrap();
                assert_eq!((merged.head, merged.commits.len()), (parted.dev, 0));
                canonical_commit(&parted.world, &parted.repo, merged.head).await;
            }
            for (history, parents) in [(HistoryStrategy::Merge, 2), (HistoryStrategy::Squash, 1)] {
                let parted = Parted::new(scheme, "", &["a", "b"]).await;
                let merged = parted.merge(history).await.unwrap();
                let (commit, files) = canonical_commit(&parted.world, &parted.repo, merged.head).await;
                assert_eq!((commit.parents().len(), &*files), (parents, "both=1\n2\nthree dev.txt=b"));
            }
        }
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let error = parted.merge(HistoryStrategy::FastForward).await.unwrap_err();
        assert!(matches!(error, MergeRefused::NotFastForward), "{error}");
    });
}

#[test]
fn conflicts_refuse_the_merge_with_nothing_written_unless_the_source_wins() {
    block_on(async {
        for history in [HistoryStrategy::Merge, HistoryStrategy::Squash, HistoryStrategy::Rebase] {
            let parted = Parted::new(IdScheme::FlatV1, "1\n2\nTHREE\n4\n", &["a"]).await;
            let Parted { world, repo, main, .. } = &parted;
            let before = world.hub.commit_count(repo).await.unwrap();
            let MergeRefused::Conflicts(found) = parted.merge(history).await.unwrap_err() else {
                panic!("it conflicts")
            };
            assert_eq!(parted.mergeability().await, Mergeability::Conflicts(found.clone()));
            assert_eq!(
                (found.listed[0].path.as_str(), &found.listed[0].kind),
                ("both", &ConflictKind::BothModified)
            );
            assert_eq!(world.hub.commit_count(repo).await.unwrap(), before);
            assert_eq!(world.heads(repo).await["main"], *main);

            let request = parted.request(history, FileStrategy::Overlay);
            let merged = world.hub.merge(repo, &handle("bob"), request).await.unwrap();
            assert_eq!(merged.overridden.total, 1);
            let (_, files) = canonical_commit(world, repo, merged.head).await;
            assert_eq!(files, "both=1\n2\nthree dev.txt=a");
        }
    });
}

#[test]
fn of_two_merges_in_the_same_moment_one_wins() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let Parted { world, repo, base, main, .. } = &parted;
        world.hub.create_branch(repo, &handle("bob"), &branch("more"), *base).await.unwrap();
        let more = commit_files(world, repo, "more", Some(*base), vec![put("more", "m")]).await.unwrap().head;
        let mut request = parted.request(HistoryStrategy::Merge, FileStrategy::Recursive);
        request.source = more;
        let bob = handle("bob");
        let (one, two) = futures::join!(
            parted.merge(HistoryStrategy::Merge),
            world.hub.merge(repo, &bob, request.clone())
        );
        let (won, lost) = match one {
            Ok(won) => (won, two),
            lost => (two.unwrap(), lost),
        };
        let MergeRefused::Push(PushError::BranchMoved { expected, head, .. }) = lost.unwrap_err() else {
            panic!("it moved")
        };
        assert_eq!((expected, head), (Some(*main), Some(won.head)));
        // Checked again where the branch is now, both are in it.
        let source = if world.hub.commit(repo, won.head).await.unwrap().parents[1] == more {
            parted.dev
        } else {
            more
        };
        (request.expected_head, request.source) = (won.head, source);
        let merged = world.hub.merge(repo, &bob, request).await.unwrap();
        let (_, files) = canonical_commit(world, repo, merged.head).await;
        assert_eq!(files, "both=one\n2\nthree dev.txt=a more=m");
    });
}

#[test]
fn the_source_branch_goes_if_asked_and_if_it_did_not_move() {
    block_on(async {
        for (moved, source) in [(false, "dev"), (true, "dev"), (false, "main")] {
            let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
            let Parted { world, repo, dev, .. } = &parted;
            if moved {
                commit_files(world, repo, "dev", Some(*dev), vec![put("dev.txt", "later")]).await.unwrap();
            }
            let mut request = parted.request(HistoryStrategy::Merge, FileStrategy::Recursive);
            request.delete_source = Some(branch(source));
            let merged = world.hub.merge(repo, &handle("bob"), request).await.unwrap();
            let deleted = !moved && source == "dev";
            assert_eq!(merged.source_deleted, deleted);
            assert_eq!(world.heads(repo).await.contains_key("dev"), !deleted);
            canonical_commit(world, repo, merged.head).await;
        }
    });
}

#[test]
fn nothing_unknown_or_unrelated_is_merged() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a"]).await;
        let Parted { world, repo, base, .. } = &parted;
        let bob = handle("bob");
        let merge = async |source| {
            let mut request = parted.request(HistoryStrategy::Merge, FileStrategy::Recursive);
            request.source = source;
            world.hub.merge(repo, &bob, request).await.unwrap_err()
        };
        assert!(matches!(merge(*base).await, MergeRefused::NothingToMerge));
        let other = commit_files(world, repo, "other", None, vec![put("x", "x")]).await.unwrap().head;
        assert!(matches!(merge(other).await, MergeRefused::Unrelated));
        let elsewhere = Parted::new(IdScheme::FlatV1, "1\n", &["elsewhere"]).await.dev;
        assert!(matches!(merge(elsewhere).await, MergeRefused::Read(_)));
    });
}
